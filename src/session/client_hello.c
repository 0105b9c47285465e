/* What a client says before its proof: that it wants to encrypt or to cancel, and then its startup packet: who it is, where it wants to go,
 * and its parameters. Nothing larger than a startup packet is accepted, and who sends bytes behind an SSLRequest without waiting for the
 * answer is refused (they might be an attacker's). */
#include "session/client_state.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "wire/startup.h"

/* Parameters that PgBouncer carries; any other is refused under its name and carried under ours. */
static bool is_tracked(const struct client *client, struct span name)
{
	static const char standard[] = "DateStyle,client_encoding,TimeZone,standard_conforming_strings,application_name";

	return config_list_has(standard, name, true) ||
		config_list_has(client->config->track_extra_parameters, name, true);
}

static bool put_param(struct client *client, struct span name, struct span value)
{
	return params_put(&client->facts.params, name, value);
}

static enum client_edge take_options(struct client *client, struct span text, struct buf *out)
{
	const char *ignored = client->config->ignore_startup_parameters;
	bool lenient = config_list_has(ignored, span_text("options"), true);
	struct startup_options options = { .rest = text, .scratch = malloc(text.length + 1) };
	char *scratch = options.scratch, *name, *value;
	enum client_edge edge = CLIENT_ENTERS;
	enum startup_option option;

	if (!scratch)
		return out_of_memory(client, out);
	while (edge == CLIENT_ENTERS && (option = startup_option_next(&options, &name, &value)) != OPTION_END) {
		if (option == OPTION_OTHER) {
			if (!lenient)
				edge = bouncer(client)
					? refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION,
						  "unsupported options startup parameter: only '-c config=val' and "
						  "'--config=val' are allowed")
					: refuse(client, out, SQLSTATE_SYNTAX_ERROR,
						  "invalid command-line argument for server process: %s", name);
		} else if (config_list_has(ignored, span_text(name), true)) {
			continue;
		} else if (bouncer(client) && !is_tracked(client, span_text(name))) {
			if (!lenient)
				edge = refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION,
					"unsupported startup parameter in options: %s", name);
		} else if (!put_param(client, span_text(name), span_text(value))) {
			edge = out_of_memory(client, out);
		}
	}
	free(scratch);
	return edge;
}

/* What it is not told of it would take for granted: all of them are kept. False: memory refused. */
static bool note_unknown(struct client *client, struct span key)
{
	struct client_rare *rare = client_rare(client);

	if (!rare || !buf_add(&rare->unknown, key.at, key.length + 1))
		return false;
	rare->unknown_count++;
	return true;
}

/* The first letters of a word are enough where they tell it from others, as for PostgreSQL's booleans. */
static bool begins(const char *word, struct span value, size_t least)
{
	return value.length >= least && value.length <= strlen(word) &&
		text_equal_nocase(value, span_of(word, value.length));
}

static bool read_replication(struct span value, enum replication *out)
{
	if (span_is(value, "database")) {
		*out = REPLICATION_LOGICAL;
		return true;
	}
	*out = REPLICATION_NONE;
	if (span_is(value, "0") || begins("false", value, 1) || begins("no", value, 1) || begins("off", value, 2))
		return true;
	*out = REPLICATION_PHYSICAL;
	return span_is(value, "1") || begins("true", value, 1) || begins("yes", value, 1) || begins("on", value, 2);
}

static enum client_edge refuse_replication(struct client *client, struct span value, struct buf *out)
{
	char message[192];
	struct complaint complaint = {
		.severity = SEVERITY_FATAL,
		.sqlstate = SQLSTATE_INVALID_PARAMETER_VALUE,
		.message = message,
		.hint = "Valid values are: \"false\", 0, \"true\", 1, \"database\".",
	};

	text_format(message, sizeof message, "invalid value for parameter \"replication\": \"%.*s\"",
		value.length > 60 ? 60 : (int)value.length, (const char *)value.at);
	return client_refuse(client, &complaint, out);
}

static enum client_edge take_parameter(struct client *client, struct span key, struct span value, struct buf *out)
{
	if (span_is(key, "user")) {
		if (value.length > USER_NAME_MAX)
			return refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION, "username too long");
		free(client->user);
		client->user = strndup((const char *)value.at, value.length);
		return client->user ? CLIENT_ENTERS : out_of_memory(client, out);
	}
	if (span_is(key, "database")) {
		free(client->database);
		client->database = strndup((const char *)value.at, value.length);
		return client->database ? CLIENT_ENTERS : out_of_memory(client, out);
	}
	if (key.length >= 5 && memcmp(key.at, "_pq_.", 5) == 0)
		return note_unknown(client, key) ? CLIENT_ENTERS : out_of_memory(client, out);
	if (span_is(key, "options"))
		return CLIENT_ENTERS; /* read before the others, see take_login */
	if (span_is(key, "replication")) {
		if (read_replication(value, &client->facts.replication))
			return CLIENT_ENTERS;
		return refuse_replication(client, value, out);
	}
	if (text_equal_nocase(key, span_text("client_encoding")))
		client->facts.manner.encoding_early = !client->user || !client->database;
	if (span_is(key, "DateStyle"))
		client->facts.manner.style_capital = true;
	if (config_list_has(client->config->ignore_startup_parameters, key, true))
		return CLIENT_ENTERS;
	if (bouncer(client) && !is_tracked(client, key))
		return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION, "unsupported startup parameter: %.*s",
			(int)key.length, (const char *)key.at);
	if (span_is(key, "application_name") && client->config->application_name_add_host) {
		char name[192];

		text_format(
			name, sizeof name, "%.*s - %s", (int)value.length, (const char *)value.at, client->peer_host);
		return put_param(client, key, span_text(name)) ? CLIENT_ENTERS : out_of_memory(client, out);
	}
	return put_param(client, key, value) ? CLIENT_ENTERS : out_of_memory(client, out);
}

static enum client_edge take_login(struct client *client, struct startup *startup, struct buf *out)
{
	struct startup again = *startup;
	struct span key, value, options = span_of("", 0);
	enum client_edge edge = CLIENT_ENTERS;

	if (client->tls == CLIENT_TLS_MUST && !client->secure)
		return refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION, "SSL required");
	client->asked = startup->protocol;
	client->facts.protocol = startup->protocol >= STARTUP_PROTOCOL(3, 2) ? STARTUP_PROTOCOL(3, 2)
									     : STARTUP_PROTOCOL(3, 0);
	/* As PostgreSQL does: first `options`, so that a setting given by itself wins over one in there; of several the last counts. */
	while (startup->has_options && startup_next(&again, &key, &value))
		if (span_is(key, "options"))
			options = value;
	if (startup->has_options)
		edge = take_options(client, options, out);
	while (edge == CLIENT_ENTERS && startup_next(startup, &key, &value))
		edge = take_parameter(client, key, value, out);
	if (edge != CLIENT_ENTERS)
		return edge;
	if (!client->user || !*client->user)
		return refuse(client, out, SQLSTATE_INVALID_AUTHORIZATION,
			bouncer(client) ? "no username supplied"
					: "no PostgreSQL user name specified in startup packet");
	if (!client->database || !*client->database) {
		free(client->database);
		client->database = strdup(client->user);
		if (!client->database)
			return out_of_memory(client, out);
	}
	client->facts.user = span_text(client->user);
	client->facts.database = span_text(client->database);
	client->facts.console = config_is_console(client->database);
	if (client->facts.console && client->facts.replication != REPLICATION_NONE)
		return refuse(client, out, SQLSTATE_FEATURE_NOT_SUPPORTED, "the console has nothing to replicate");
	client->peer.replication = client->facts.replication == REPLICATION_PHYSICAL;
	client->state = STATE_ENTERING;
	return CLIENT_ENTERS;
}

bool client_about(struct client *client, struct span user)
{
	client->user = strndup((const char *)user.at, user.length);
	client->database = strdup("pgweir");
	if (!client->user || !client->database)
		return false;
	client->facts.user = span_text(client->user);
	client->facts.database = span_text(client->database);
	client->facts.console = true;
	return true;
}

static enum client_edge refuse_protocol(struct client *client, const struct startup *startup, struct buf *out)
{
	return refuse(client, out, SQLSTATE_FEATURE_NOT_SUPPORTED,
		"unsupported frontend protocol %u.%u: server supports 3.0 to 3.2", startup->protocol >> 16,
		startup->protocol & 0xffff);
}

/* SSLRequest or GSSENCRequest. */
static enum client_edge take_request(struct client *client, const struct startup *startup, bool more, struct buf *out)
{
	bool ssl = startup->kind == STARTUP_SSL, yes = ssl && client->tls != CLIENT_TLS_NEVER;
	bool *asked = ssl ? &client->asked_ssl : &client->asked_gss;

	/* Somebody between us and the client could have sent them, to be taken for the client's own once TLS stands (CVE-2021-3935). */
	if (more)
		return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION,
			ssl ? "received unencrypted data after SSL request"
			    : "received unencrypted data after GSSAPI encryption request");
	if (client->secure)
		return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION,
			ssl ? "SSL request inside an encrypted connection"
			    : "GSSAPI encryption request inside an encrypted connection");
	/* Either may follow the other that was declined, and neither itself (PostgreSQL, ProcessStartupPacket). */
	if (*asked)
		return refuse_protocol(client, startup, out);
	*asked = true;
	if (!buf_add(out, yes ? "S" : "N", 1))
		return CLIENT_GONE;
	if (!yes)
		return CLIENT_MORE;
	client->state = STATE_SECURING;
	return CLIENT_SECURE;
}

bool client_secured(struct client *client, const struct client_channel *channel)
{
	check(client->state == STATE_SECURING && channel->binding.length <= sizeof client->binding);
	if (channel->binding.length > 0)
		memcpy(client->binding, channel->binding.at, channel->binding.length);
	client->binding_length = channel->binding.length;
	if (!buf_add_span(&client->names, channel->names))
		return false;
	client->peer.certificate = channel->certificate;
	client->peer.names = buf_span(&client->names);
	client->secure = client->peer.encrypted = true;
	client->state = STATE_HELLO;
	return true;
}

#define TLS_HANDSHAKE 0x16 /* the first byte of a TLS client; of a startup packet of 300 megabytes */

enum client_edge client_take_hello(struct client *client, struct span bytes, size_t *used, struct buf *out)
{
	struct startup startup;

	if (bytes.length > 0 && bytes.at[0] == TLS_HANDSHAKE && client->tls != CLIENT_TLS_NEVER && !client->secure &&
		!client->asked_gss) {
		client->facts.direct = true;
		client->state = STATE_SECURING;
		return CLIENT_SECURE;
	}
	startup_parse(bytes, &startup);
	switch (startup.kind) {
	case STARTUP_MORE:
		return CLIENT_MORE;
	case STARTUP_LOGIN:
		*used = startup.length;
		return take_login(client, &startup, out);
	case STARTUP_SSL:
	case STARTUP_GSSENC:
		*used = startup.length;
		return take_request(client, &startup, bytes.length > startup.length, out);
	case STARTUP_CANCEL:
		*used = startup.length;
		client->facts.cancel_process = startup.process_id;
		if (!client_rare(client))
			return CLIENT_GONE;
		memcpy(client->rare->cancel_secret, startup.secret.at, startup.secret.length);
		client->facts.cancel_secret = span_of(client->rare->cancel_secret, startup.secret.length);
		client->state = STATE_OVER; /* one connection carries one request, and nothing behind it is read */
		return CLIENT_CANCEL;
	case STARTUP_OLD:
		return refuse(client, out, SQLSTATE_FEATURE_NOT_SUPPORTED, "old V2 protocol not supported");
	case STARTUP_NEWER:
		return refuse_protocol(client, &startup, out);
	case STARTUP_TOO_LONG:
	case STARTUP_BAD:
		break;
	}
	return refuse(client, out, SQLSTATE_PROTOCOL_VIOLATION,
		startup.kind == STARTUP_TOO_LONG ? "invalid length of startup packet"
						 : "invalid startup packet layout: expected terminator as last byte");
}
