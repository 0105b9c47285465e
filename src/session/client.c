/* A client's login. See the drawing in client.h.
 *
 * What comes before the proof is in client_hello.c; here is how it proves who it is, and its welcome. Nothing larger than a password is
 * accepted once the proof began. */
#include "session/client_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/login.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/text.h"
#include "wire/frame.h"

/* A password message. PostgreSQL allows 65,535 bytes, which each stranger could make us collect; tokens that serve as passwords have a few
 * thousand. */
#define PROOF_BYTES_MAX 8192

struct client_rare *client_rare(struct client *client)
{
	if (!client->rare)
		client->rare = calloc(1, sizeof *client->rare);
	return client->rare;
}

struct client *client_new(const struct client_setup *setup)
{
	struct client *client = memory_zeroed(sizeof *client);

	if (!client)
		return NULL;
	client->config = config_keep(setup->config);
	client->secrets = setup->secrets ? secrets_keep(setup->secrets) : NULL;
	client->book = setup->params;
	client->local_owner = setup->local_owner;
	client->tls = setup->tls;
	check(setup->random || !login_draws((enum auth_method)setup->config->auth_type));
	client->has_random = setup->random != NULL;
	if (setup->random)
		memcpy(client->random, setup->random, sizeof client->random);
	memcpy(client->process_random, setup->process_random, sizeof client->process_random);
	if (setup->peer_host)
		text_copy(client->peer_host, sizeof client->peer_host, setup->peer_host);
	client->peer = setup->peer;
	client->facts.params = params_empty(setup->params);
	client->facts.refusal = client->refusal;
	if (setup->peer.system_user) {
		struct client_rare *rare = client_rare(client);

		if (!rare) {
			client_free(client);
			return NULL;
		}
		text_copy(rare->system_user, sizeof rare->system_user, setup->peer.system_user);
		client->peer.system_user = rare->system_user;
	}
	return client;
}

void client_free(struct client *client)
{
	if (!client)
		return;
	login_free(client->login);
	config_drop(client->config);
	secrets_drop(client->secrets);
	secrets_drop(client->facts.found);
	roles_drop(client->roles);
	params_drop(client->facts.params);
	free(client->user);
	free(client->database);
	buf_fini(&client->names);
	if (client->rare) {
		buf_fini(&client->rare->unknown);
		secret_wipe(client->rare, sizeof *client->rare);
	}
	free(client->rare);
	secret_wipe(client, sizeof *client);
	free(client);
}

const struct client_facts *client_facts(const struct client *client)
{
	return &client->facts;
}

enum client_edge client_refuse(struct client *client, const struct complaint *complaint, struct buf *out)
{
	struct writer w = writer_to(out);
	struct complaint said = *complaint;

	/* PgBouncer says nearly everything with one SQLSTATE, and its users' scripts know it. */
	if (client->config->manner == MANNER_PGBOUNCER)
		said.sqlstate = SQLSTATE_PROTOCOL_VIOLATION;
	message_complaint(&w, &said);
	text_copy(client->refusal, sizeof client->refusal, complaint->message);
	client->state = STATE_OVER;
	return CLIENT_REFUSED;
}

enum client_edge refuse(struct client *client, struct buf *out, const char *sqlstate, const char *format, ...)
{
	char message[192];
	struct complaint complaint = { .severity = SEVERITY_FATAL, .sqlstate = sqlstate, .message = message };
	va_list list;

	va_start(list, format);
	vsnprintf(message, sizeof message, format, list);
	va_end(list);
	return client_refuse(client, &complaint, out);
}

static void add_for_log(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The log knows more of a refusal than the client does. */
static void add_for_log(struct client *client, const char *format, ...)
{
	size_t length = strlen(client->refusal);
	va_list list;

	va_start(list, format);
	vsnprintf(client->refusal + length, sizeof client->refusal - length, format, list);
	va_end(list);
}

static enum client_edge refuse_proof(struct client *client, struct buf *out)
{
	const char *reason = login_reason(client->login), *where = client->facts.looked_up ? "auth_query" : "auth_file";

	if (bouncer(client))
		return refuse(client, out, SQLSTATE_INVALID_PASSWORD, "%s", login_refusal(client->login));
	refuse(client, out, SQLSTATE_INVALID_PASSWORD, "password authentication failed for user \"%s\"", client->user);
	if (reason)
		add_for_log(client, " (%s: %s)", where, reason);
	return CLIENT_REFUSED;
}

/* It is who it says. */
static enum client_edge accept_proof(struct client *client, struct buf *out)
{
	struct client_facts *facts = &client->facts;

	if (facts->console) {
		facts->console_admin = config_list_has(client->config->admin_users, facts->user, false) ||
			(client->local_owner && config_is_console(client->user));
		if (!facts->console_admin && !config_list_has(client->config->stats_users, facts->user, false) &&
			client->config->auth_type != AUTH_ANY)
			return bouncer(client)
				? refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION, "not allowed")
				: refuse(client, out, SQLSTATE_INSUFFICIENT_PRIVILEGE,
					  "user \"%s\" may not use the console: it is neither in admin_users nor in "
					  "stats_users",
					  client->user);
	}
	if (client->secrets || facts->found) {
		uint8_t key[SCRAM_KEY_LENGTH];

		if (login_client_key(client->login, key))
			secrets_put_client_key(facts->found ? facts->found : client->secrets, facts->user, key);
		secret_wipe(key, sizeof key);
	}
	client->state = STATE_PROVEN;
	return CLIENT_PROVEN;
}

static enum client_edge settle_proof(struct client *client, enum login_result result, struct buf *out)
{
	switch (result) {
	case LOGIN_MORE:
		return CLIENT_MORE;
	case LOGIN_ELSEWHERE:
		client->state = STATE_VOUCHING;
		return CLIENT_VOUCHES;
	case LOGIN_BROKEN:
		return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION, "%s", login_problem(client->login));
	case LOGIN_FAILED:
		return refuse_proof(client, out);
	case LOGIN_OK:
		break;
	}
	return accept_proof(client, out);
}

/* PgBouncer has one text for all of it, and the reason in its log alone. */
static enum client_edge refuse_certificate(struct client *client, bool missing, struct buf *out)
{
	if (bouncer(client)) {
		refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION, "certificate authentication failed");
		add_for_log(
			client, missing ? " (TLS client certificate required)" : " (TLS certificate name mismatch)");
		return CLIENT_REFUSED;
	}
	if (missing)
		return refuse(
			client, out, SQLSTATE_INVALID_AUTHORIZATION, "connection requires a valid client certificate");
	return refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION,
		"certificate authentication failed for user \"%.100s\"", client->user);
}

static enum client_edge refuse_unknown(struct client *client, const char *what, struct buf *out)
{
	char message[160];
	struct complaint complaint = { .severity = SEVERITY_FATAL,
		.sqlstate = SQLSTATE_CANNOT_CONNECT_NOW,
		.message = bouncer(client) ? "bouncer config error" : message,
		.hint = bouncer(client) ? NULL : "Its log says why." };

	text_format(message, sizeof message, "the pooler could not find out %s, which auth_hba_file asks for", what);
	return client_refuse(client, &complaint, out);
}

static void refuse_by_rule(struct client *client, enum hba_verdict verdict, struct buf *out)
{
	char who[160], host[sizeof client->peer_host], *port;

	text_copy(host, sizeof host, client->peer.ip_length ? client->peer_host : "[local]");
	port = client->peer.ip_length ? strrchr(host, ':') : NULL;
	if (port)
		*port = 0;
	text_format(who, sizeof who, "host \"%.48s\", user \"%.32s\", database \"%.32s\"", host, client->user,
		client->database);
	if (verdict == HBA_NONE)
		refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION,
			bouncer(client) ? "no authentication method is found" : "no entry of auth_hba_file fits %s",
			who);
	else if (verdict == HBA_REJECT)
		refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION,
			bouncer(client) ? "login rejected" : "auth_hba_file rejects %s", who);
	else if (verdict == HBA_CERTIFICATE_MISSING || verdict == HBA_CERTIFICATE_FAILED)
		refuse_certificate(client, verdict == HBA_CERTIFICATE_MISSING, out);
	else if (verdict == HBA_ROLES_UNKNOWN)
		refuse_unknown(client, "this user's roles", out);
	else if (verdict == HBA_HOST_UNKNOWN)
		refuse_unknown(client, "the name of this client's host", out);
	else if (bouncer(client))
		refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION, "unix socket login rejected");
	else
		refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION, "peer authentication failed for user \"%.100s\"",
			client->user);
}

/* What auth_hba_file says. MORE: prove it by client->method. */
static enum client_edge ask_rules(struct client *client, struct buf *out)
{
	const struct hba *hba = secrets_hba(client->secrets);
	enum hba_verdict verdict = HBA_NONE;

	client->rule = 0;
	if (hba)
		verdict = hba_judge(
			hba, &client->peer, client->facts.database, client->facts.user, &client->method, &client->rule);
	if (verdict == HBA_METHOD)
		return CLIENT_MORE;
	if (verdict == HBA_ASK_ROLES || verdict == HBA_ASK_HOST) {
		client->state = STATE_JUDGING;
		return verdict == HBA_ASK_ROLES ? CLIENT_ASKS_ROLES : CLIENT_ASKS_HOST;
	}
	refuse_by_rule(client, verdict, out);
	if (client->rule)
		add_for_log(client, " (line %u of %s)", hba_line(hba, client->rule),
			hba_file(hba, client->rule) ? hba_file(hba, client->rule) : "auth_hba_file");
	return CLIENT_REFUSED;
}

static const struct secret *own_secret(const struct client *client)
{
	if (client->facts.found)
		return secrets_find(client->facts.found, client->facts.user);
	return client->secrets ? secrets_find(client->secrets, client->facts.user) : NULL;
}

/* If there is something to say. */
static void negotiate(const struct client *client, struct writer *w)
{
	const struct client_rare *rare = client->rare;
	size_t unknown = rare ? rare->unknown_count : 0;

	if (unknown > 0 || client->asked != client->facts.protocol)
		message_negotiate(
			w, client->facts.protocol, unknown, unknown > 0 ? buf_span(&rare->unknown) : span_of(NULL, 0));
}

static enum client_edge begin_proof(struct client *client, const struct secret *secret, struct buf *out)
{
	struct writer w = writer_to(out);
	enum login_result result = LOGIN_FAILED;
	struct login_setup setup = {
		.method = client->method,
		.secret = secret,
		.user = client->facts.user,
		.scram_iterations = (uint32_t)client->config->scram_iterations,
		.random = client->has_random ? client->random : NULL,
		.process = client->process_random,
		.binding = span_of(client->binding, client->binding_length),
	};

	client->facts.nobody = !setup.secret && client->method != AUTH_ANY && client->method != AUTH_PAM &&
		client->method != AUTH_LDAP;
	negotiate(client, &w);
	if (client->facts.looked_up)
		setup.mock = client->mock;
	else if (client->secrets)
		setup.mock = secrets_mock(client->secrets, client->facts.user, client->process_random);
	client->login = login_new(&setup, &w, &result);
	if (!client->login || !writer_ok(&w))
		return out_of_memory(client, out);
	client->state = STATE_PROVING;
	return settle_proof(client, result, out);
}

/* It is admitted; how does it prove who it is? */
static enum client_edge choose_proof(struct client *client, struct buf *out)
{
	const struct secret *secret;
	struct auth_lookup where;
	enum client_edge edge = CLIENT_MORE;

	client->method = (enum auth_method)client->config->auth_type;
	if (client->facts.console && client->local_owner && config_is_console(client->user))
		client->method = AUTH_ANY;
	if (client->method == AUTH_HBA)
		edge = ask_rules(client, out);
	if (edge != CLIENT_MORE)
		return edge;
	if (client->method == AUTH_CERT) {
		if (!client->peer.certificate || !hba_is_named(client->peer.names, client->facts.user))
			return refuse_certificate(client, !client->peer.certificate, out);
		client->method = AUTH_TRUST; /* whoever is not known stays outside */
	}
	secret = own_secret(client);
	if (client->method == AUTH_ANY || client->method == AUTH_PAM || client->method == AUTH_LDAP || secret ||
		!config_auth_lookup(client->config, client->facts.database, &where))
		return begin_proof(client, secret, out);
	client->state = STATE_ASKING;
	return CLIENT_ASKS;
}

enum client_edge client_admit(struct client *client, struct buf *out)
{
	check(client->state == STATE_ENTERING);
	return choose_proof(client, out);
}

enum client_edge client_told_roles(struct client *client, struct roles *roles, struct buf *out)
{
	check(client->state == STATE_JUDGING && client->peer.roles_known == HBA_UNASKED);
	client->roles = roles ? roles_keep(roles) : NULL;
	client->peer.roles = client->roles;
	client->peer.roles_known = roles ? HBA_KNOWN : HBA_UNKNOWABLE;
	return choose_proof(client, out);
}

enum client_edge client_told_host(struct client *client, const char *host, struct buf *out)
{
	check(client->state == STATE_JUDGING && client->peer.host_known == HBA_UNASKED);
	if (host && !client_rare(client))
		return out_of_memory(client, out);
	if (host)
		text_copy(client->rare->host, sizeof client->rare->host, host);
	client->peer.host = host ? client->rare->host : "";
	client->peer.host_known = host ? HBA_KNOWN : HBA_UNKNOWABLE;
	return choose_proof(client, out);
}

enum client_edge client_found(struct client *client, struct secrets *found, struct secret_mock mock, struct buf *out)
{
	check(client->state == STATE_ASKING);
	client->facts.looked_up = true;
	client->facts.found = found ? secrets_keep(found) : NULL;
	client->mock = mock;
	return begin_proof(client, own_secret(client), out);
}

void client_question(const struct client *client, struct client_question *question)
{
	const struct config *config = client->config;
	bool ldap = client->method == AUTH_LDAP;
	const char *options = ldap ? config->auth_ldap_options : config->auth_pam_service;

	check(client->state == STATE_VOUCHING);
	/* A rule with options of its own. */
	if (client->rule && hba_options(secrets_hba(client->secrets), client->rule))
		options = hba_options(secrets_hba(client->secrets), client->rule);
	*question = (struct client_question){ client->method, login_password(client->login), options };
}

enum client_edge client_vouched(struct client *client, bool yes, struct buf *out)
{
	check(client->state == STATE_VOUCHING);
	if (!yes)
		return refuse_proof(client, out);
	/* Its password may be what PostgreSQL asks for. */
	if (!own_secret(client)) {
		client->facts.found = secrets_one(client->facts.user, login_password(client->login));
		if (!client->facts.found)
			return out_of_memory(client, out);
	}
	return accept_proof(client, out);
}

static enum client_edge take_proof(struct client *client, struct span bytes, size_t *used, struct buf *out)
{
	struct writer w = writer_to(out);
	struct frame frame;
	enum login_result result;

	switch (frame_peek(bytes, &frame)) {
	case FRAME_MORE:
		return CLIENT_MORE;
	case FRAME_BAD:
		return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION, "invalid message length");
	case FRAME_HERE:
		break;
	}
	if (frame.type == 'X')
		return CLIENT_GONE;
	if (frame.type != 'p')
		return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION,
			"expected password response, got message type %u", (unsigned char)frame.type);
	if (frame.body > PROOF_BYTES_MAX)
		return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION, "invalid password packet size");
	if (bytes.length < FRAME_HEADER + (size_t)frame.body)
		return CLIENT_MORE;
	result = login_take(client->login, span_of(bytes.at + FRAME_HEADER, frame.body), &w);
	*used = FRAME_HEADER + frame.body;
	return settle_proof(client, result, out);
}

enum client_edge client_take(struct client *client, struct span bytes, size_t *used, struct buf *out)
{
	*used = 0;
	switch (client->state) {
	case STATE_HELLO:
		return client_take_hello(client, bytes, used, out);
	case STATE_PROVING:
		return take_proof(client, bytes, used, out);
	case STATE_SECURING:
	case STATE_ENTERING:
	case STATE_JUDGING:
	case STATE_ASKING:
	case STATE_VOUCHING:
	case STATE_PROVEN:
	case STATE_OVER:
		break;
	}
	return CLIENT_MORE;
}

/* What the console shows so that drivers are content. */
static void console_parameters(struct writer *w)
{
	static const char *const list[][2] = {
		{ "client_encoding", "UTF8" },
		{ "server_encoding", "UTF8" },
		{ "DateStyle", "ISO" },
		{ "TimeZone", "GMT" },
		{ "is_superuser", "on" },
		{ "standard_conforming_strings", "on" },
	};
	size_t i;

	for (i = 0; i < sizeof list / sizeof list[0]; i++)
		message_parameter_status(w, list[i][0], list[i][1]);
}

bool client_welcome(
	struct client *client, const struct params *reported, uint32_t process_id, struct span secret, struct buf *out)
{
	struct writer w = writer_to(out);

	check(client->state == STATE_PROVEN);
	message_authentication(&w, 0, span_of(NULL, 0));
	if (client->facts.console) {
		message_parameter_status(&w, "server_version", bouncer(client) ? "1.25.2/bouncer" : "15.0/pgweir");
		console_parameters(&w);
	}
	if (reported)
		write_span(&w, params_messages(reported));
	message_backend_key(&w, process_id, secret);
	if (client->config->login_notify_message[0]) {
		struct complaint notice = { .severity = SEVERITY_NOTICE,
			.sqlstate = SQLSTATE_SUCCESS,
			.message = client->config->login_notify_message };

		message_complaint(&w, &notice);
	}
	message_ready(&w, 'I');
	return writer_ok(&w);
}
