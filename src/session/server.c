/* Our login to a server:
 *
 *   startup --> 'R' request, 'p' answer ... 'R' ok --> 'S'* 'K' --> 'Z'
 *
 * The server may be hostile or broken: every message is bounded, and anything unexpected ends the login. */
#include "session/server.h"

#include <stdlib.h>

#include "auth/proof.h"
#include "base/check.h"
#include "base/text.h"
#include "wire/frame.h"
#include "wire/startup.h"

/* No message of a login is longer; a flood of ParameterStatus is cut too. */
#define LOGIN_BYTES_MAX 16384

struct server {
	struct proof *proof;
	struct server_facts facts;
	bool proven;
};

struct server *server_login_new(const struct server_setup *setup, struct buf *out)
{
	struct startup_pair *pairs = calloc(2 + setup->extra_count, sizeof *pairs);
	struct proof_setup proof = {
		.user = setup->user,
		.secret = setup->secret,
		.client_key = setup->client_key,
		.random = setup->random,
		.binding = setup->binding,
	};
	struct server *server = calloc(1, sizeof *server);
	struct writer w = writer_to(out);

	if (!server || !pairs) {
		free(pairs);
		free(server);
		return NULL;
	}
	pairs[0] = (struct startup_pair){ span_text("user"), setup->user };
	pairs[1] = (struct startup_pair){ span_text("database"), setup->database };
	for (size_t i = 0; i < setup->extra_count; i++)
		pairs[2 + i] = setup->extra[i];
	message_startup(&w, STARTUP_PROTOCOL(3, 0), pairs, 2 + setup->extra_count);
	free(pairs);
	server->proof = proof_new(&proof);
	server->facts.reported = params_empty(setup->params);
	if (!server->proof || !writer_ok(&w)) {
		server_login_free(server);
		return NULL;
	}
	return server;
}

void server_login_free(struct server *server)
{
	if (!server)
		return;
	proof_free(server->proof);
	params_drop(server->facts.reported);
	secret_wipe(server, sizeof *server);
	free(server);
}

const struct server_facts *server_login_facts(const struct server *server)
{
	return &server->facts;
}

static enum server_edge refused(struct server *server, const char *sqlstate, const char *problem)
{
	text_copy(server->facts.sqlstate, sizeof server->facts.sqlstate, sqlstate);
	text_copy(server->facts.problem, sizeof server->facts.problem, problem);
	return SERVER_REFUSED;
}

static enum server_edge take_error(struct server *server, struct span body)
{
	struct complaint_fields fields;
	char sqlstate[6] = SQLSTATE_CONNECTION_FAILURE, message[160] = "the server refused the login without words";

	if (message_read_complaint(body, &fields)) {
		if (fields.sqlstate.length > 0)
			text_copy_span(sqlstate, sizeof sqlstate, fields.sqlstate);
		if (fields.message.length > 0)
			text_copy_span(message, sizeof message, fields.message);
		if (span_is(fields.routine, "InitializeSessionUserId"))
			server->facts.limit = LIMIT_OF_ROLE;
		else if (span_is(fields.routine, "CheckMyDatabase"))
			server->facts.limit = LIMIT_OF_DATABASE;
		server->facts.told = true;
	}
	return refused(server, sqlstate, message);
}

static enum server_edge take_message(struct server *server, char type, struct span body, struct buf *out)
{
	struct writer w = writer_to(out);
	struct span name, value;

	switch (type) {
	case 'R':
		if (server->proven)
			break;
		switch (proof_take(server->proof, body, &w)) {
		case PROOF_MORE:
			return SERVER_MORE;
		case PROOF_OK:
			server->proven = true;
			return SERVER_MORE;
		case PROOF_FAILED:
			break;
		}
		return refused(server, SQLSTATE_INVALID_AUTHORIZATION, proof_problem(server->proof));
	case 'E':
		return take_error(server, body);
	case 'N':
	case 'v':
		return SERVER_MORE;
	case 'S':
		if (!message_read_parameter_status(body, &name, &value) ||
			params_count(server->facts.reported) >= SERVER_REPORTED_MAX ||
			!params_put(&server->facts.reported, name, value))
			break;
		return SERVER_MORE;
	case 'K':
		if (!message_read_backend_key(body, &server->facts.process_id, &value) ||
			value.length > SERVER_SECRET_MAX)
			break;
		memcpy(server->facts.secret, value.at, value.length);
		server->facts.secret_length = value.length;
		return SERVER_MORE;
	case 'Z':
		if (!server->proven || body.length != 1 || body.at[0] != 'I')
			break;
		return SERVER_READY;
	default:
		break;
	}
	return refused(server, SQLSTATE_PROTOCOL_VIOLATION, "the server broke the protocol of the login");
}

enum server_edge server_login_take(struct server *server, struct span bytes, size_t *used, struct buf *out)
{
	struct frame frame;
	enum server_edge edge = SERVER_MORE;

	*used = 0;
	while (edge == SERVER_MORE) {
		switch (frame_peek(bytes, &frame)) {
		case FRAME_MORE:
			return SERVER_MORE;
		case FRAME_BAD:
			return refused(
				server, SQLSTATE_PROTOCOL_VIOLATION, "the server does not speak PostgreSQL's protocol");
		case FRAME_HERE:
			break;
		}
		if (frame.body > LOGIN_BYTES_MAX)
			return refused(server, SQLSTATE_PROTOCOL_VIOLATION,
				"the server sent a message that is too long for a login");
		if (bytes.length < FRAME_HEADER + (size_t)frame.body)
			return SERVER_MORE;
		edge = take_message(server, frame.type, span_of(bytes.at + FRAME_HEADER, frame.body), out);
		*used += FRAME_HEADER + frame.body;
		bytes = span_skip(bytes, FRAME_HEADER + frame.body);
	}
	return edge;
}
