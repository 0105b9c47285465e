#include <stdlib.h>
#include <string.h>

#include "tool/check.h"
#include "tool/doctor_rules.h"
#include "tool/doctor_show.h"
#include "tool/json.h"

/* What `pgweir check --json` prints: the same as for people, as one document. doc/sizing.md tells its keys. */

static json_t *text_or_null(const char *text)
{
	return text && *text ? text_json(span_text(text)) : json_null();
}

static json_t *seconds(time_us time)
{
	return time > 0 ? json_real((double)time / (double)SECOND_US) : json_null();
}

static json_t *entry_json(const struct config *config, const struct database_settings *d)
{
	json_t *json = memory_got(json_object()), *hosts = memory_got(json_array()), *ports = memory_got(json_array());
	struct pool_rules rules;

	config_pool_rules(config, d, d->user ? span_text(d->user) : span_of("", 0), &rules);
	for (size_t i = 0; i < d->host_count; i++) {
		array_append(hosts, text_json(span_text(d->hosts[i].name)));
		array_append(ports, json_integer(d->hosts[i].port));
	}
	object_set(json, "name", text_json(span_text(d->name)));
	object_set(json, "hosts", hosts);
	object_set(json, "port", json_integer(d->hosts[0].port));
	object_set(json, "ports", ports);
	object_set(json, "load_balance_hosts", json_string(d->hosts_stay ? "disable" : "round-robin"));
	object_set(json, "target_session_attrs", json_string(target_word(d->target)));
	object_set(json, "dbname", text_or_null(d->dbname));
	object_set(json, "user", text_or_null(d->user));
	object_set(json, "pool_mode", json_string(check_mode_name(rules.mode)));
	object_set(json, "pool_size", json_integer(rules.size));
	object_set(json, "reserve_pool_size", json_integer(rules.reserve_size));
	object_set(json, "max_db_connections",
		rules.database_connections_max > 0 ? json_integer(rules.database_connections_max) : json_null());
	return json;
}

static json_t *server_json(const struct server_facts *server)
{
	json_t *json = memory_got(json_object());

	object_set(json, "name", text_json(span_text(server->name)));
	object_set(json, "reached", json_boolean(server->reached));
	object_set(json, "hot_standby",
		server->in_recovery == ANSWER_UNKNOWN ? json_null() : json_boolean(server->in_recovery == ANSWER_YES));
	object_set(json, "problem", text_or_null(server->problem));
	if (!server->reached)
		return json;
	object_set(json, "version", json_integer(server->version));
	object_set(json, "max_connections", json_integer(server->max_connections));
	object_set(json, "reserved", json_integer(server->superuser_reserved + server->reserved));
	object_set(json, "usable", json_integer(server_usable(server)));
	object_set(json, "sessions", json_integer((json_int_t)server_sessions(server)));
	return json;
}

static json_t *meaning_json(const struct pooler_file *file)
{
	const struct config *c = file->config;
	json_t *json = memory_got(json_object()), *databases = memory_got(json_array());

	object_set(json, "listen_addr", text_or_null(c->listen_addr));
	object_set(json, "listen_port", json_integer(c->listen_port));
	object_set(json, "unix_socket_dir", text_or_null(c->unix_socket_dir));
	object_set(json, "auth_type", text_json(span_text(c->auth_type_text)));
	object_set(json, "auth_file", text_or_null(c->auth_file));
	object_set(json, "users_plain", file->secrets_read ? json_integer(file->secrets_plain) : json_null());
	object_set(json, "users_md5", file->secrets_read ? json_integer(file->secrets_md5) : json_null());
	object_set(json, "users_scram", file->secrets_read ? json_integer(file->secrets_scram) : json_null());
	object_set(json, "auth_user", text_or_null(c->auth_user));
	object_set(json, "auth_hba_file", text_or_null(c->auth_hba_file));
	object_set(json, "client_tls_sslmode", json_string(check_sslmode_name(c->client_tls_sslmode)));
	object_set(json, "server_tls_sslmode", json_string(check_sslmode_name(c->server_tls_sslmode)));
	object_set(json, "peer_id", c->peer_id ? json_integer(c->peer_id) : json_null());
	object_set(json, "admin_users", text_or_null(c->admin_users));
	object_set(json, "stats_users", text_or_null(c->stats_users));
	object_set(json, "max_client_conn", json_integer(c->max_client_conn));
	object_set(json, "client_limit_counts", json_string(c->client_limit_counts == LIMIT_BUSY ? "busy" : "all"));
	object_set(json, "query_wait_timeout", seconds(c->query_wait_timeout));
	for (size_t i = 0; i < c->database_count; i++)
		array_append(databases, entry_json(c, &c->databases[i]));
	object_set(json, "databases", databases);
	return json;
}

static json_t *differences_json(const struct config *config, const struct config *like)
{
	json_t *json = memory_got(json_array());
	struct setting_view here, there;

	for (size_t i = 0; like && config_view(config, i, &here) && config_view(like, i, &there); i++) {
		json_t *one;

		if (strcmp(here.value, there.value) == 0)
			continue;
		one = memory_got(json_object());
		object_set(one, "key", text_json(span_text(here.key)));
		object_set(one, "pgweir", text_json(span_text(here.value)));
		object_set(one, "pgbouncer", text_json(span_text(there.value)));
		array_append(json, one);
	}
	return json;
}

static json_t *lines_json(struct span lines)
{
	json_t *json = memory_got(json_array());

	while (lines.length) {
		const uint8_t *end = memchr(lines.at, '\n', lines.length);
		size_t length = end ? (size_t)(end - lines.at) : lines.length;

		array_append(json, text_json(span_of(lines.at, length)));
		lines = span_skip(lines, length + (end ? 1 : 0));
	}
	return json;
}

void check_show_json(const struct checked *checked, FILE *to)
{
	const struct doctor_facts *facts = checked->facts;
	json_t *document = memory_got(json_object()), *servers = memory_got(json_array());
	char *text;

	object_set(document, "file", text_json(span_text(checked->file->path)));
	object_set(document, "meaning", meaning_json(checked->file));
	for (size_t i = 0; i < facts->server_count; i++)
		array_append(servers, server_json(&facts->servers[i]));
	object_set(document, "servers", servers);
	object_set(document, "differences", differences_json(checked->file->config, checked->like));
	object_set(document, "ignored", lines_json(checked->ignored));
	report_json(document, checked->report);
	object_set(document, "exit_status", json_integer(checked->exit_status));
	text = memory_got(json_dumps(document, JSON_INDENT(2) | JSON_ENSURE_ASCII));
	fprintf(to, "%s\n", text);
	free(text);
	json_decref(document);
}
