#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tool/check.h"
#include "tool/manual.h"
#include "tool/memory.h"
#include "tool/table.h"

#define LABEL 14

static void line(FILE *to, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A label and a text of any length. What a file or a server chose as a name is in it, so nothing of it is obeyed. */
static void line(FILE *to, const char *label, const char *format, ...)
{
	char text[1800], shown[3600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	show_text(shown, sizeof shown, 0, span_text(text));
	fprintf(to, "  %-*s", LABEL - 2, label);
	manual_wrap(to, shown, LABEL, LABEL);
}

const char *check_mode_name(enum pool_mode mode)
{
	return mode == POOL_SESSION ? "session" : mode == POOL_TRANSACTION ? "transaction" : "statement";
}

static void show_door(const struct config *c, FILE *to)
{
	if (*c->listen_addr)
		line(to, "listens", "on %s, port %d%s%s", c->listen_addr, c->listen_port,
			*c->unix_socket_dir ? ", and on a unix socket in " : "", c->unix_socket_dir);
	else
		line(to, "listens", "on a unix socket in %s alone, number %d", c->unix_socket_dir, c->listen_port);
}

static void show_people(const struct pooler_file *file, FILE *to)
{
	const struct config *c = file->config;

	if (file->secrets_read)
		line(to, "clients", "auth_type %s; users in %s: %u with a password, %u with md5, %u with SCRAM",
			c->auth_type_text, c->auth_file, file->secrets_plain, file->secrets_md5, file->secrets_scram);
	else
		line(to, "clients", "auth_type %s%s", c->auth_type_text,
			*c->auth_file ? "" : "; there is no auth_file");
	if (*c->auth_user && *c->auth_query)
		line(to, "", "who is not there is asked for by auth_query as %s%s%s", c->auth_user,
			*c->auth_dbname ? " in " : ", in the database that is wanted", c->auth_dbname);
	if (strcmp(c->auth_type_text, "hba") == 0)
		line(to, "", "rules in %s%s%s", c->auth_hba_file, *c->auth_ident_file ? ", name maps in " : "",
			c->auth_ident_file);
	line(to, "",
		c->client_limit_counts == LIMIT_BUSY
			? "max_client_conn %d counts those that log in, wait or hold a server; idle ones are free"
			: "max_client_conn %d counts all, idle ones too",
		c->max_client_conn);
	line(to, "console", "databases pgbouncer and pgweir; admin_users: %s; stats_users: %s",
		*c->admin_users ? c->admin_users : "nobody", *c->stats_users ? c->stats_users : "nobody");
}

const char *check_sslmode_name(enum sslmode mode)
{
	static const char *const names[] = { [SSLMODE_DISABLE] = "disable",
		[SSLMODE_ALLOW] = "allow",
		[SSLMODE_PREFER] = "prefer",
		[SSLMODE_REQUIRE] = "require",
		[SSLMODE_VERIFY_CA] = "verify-ca",
		[SSLMODE_VERIFY_FULL] = "verify-full" };

	return names[mode];
}

static void show_peers(const struct config *c, FILE *to)
{
	char others[400] = "";
	size_t n = 0;

	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peers[i].id != c->peer_id)
			n += text_format(others + n, sizeof others - n, "%s%d at %s port %d", n ? ", " : "",
				c->peers[i].id, c->peers[i].host, c->peers[i].port);
	if (c->peer_id)
		line(to, "peers", "it is number %d; cancel requests go on to %s", c->peer_id, n ? others : "nobody");
	else if (n)
		line(to, "peers", "%s; but without peer_id it is none of them", others);
}

/* Entries of [databases] that say the same but for their names are one line, or a file with a hundred of them could not be read. */
struct entry {
	const char *name;
	char place[600], rules[200];
};

static void say_place(const struct database_settings *d, char *place, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < d->host_count; i++)
		n += text_format(
			place + n, size - n, "%s%s port %d", i ? ", " : "", d->hosts[i].name, d->hosts[i].port);
	if (d->host_count > 1)
		n += text_format(place + n, size - n, " (%s; %s%s)",
			d->hosts_stay ? "the one that was good last" : "in turn",
			d->target == TARGET_ANY ? "any that lets us in" : "wants ",
			d->target == TARGET_ANY ? "" : target_word(d->target));
	if (d->dbname && strcmp(d->dbname, d->name) != 0)
		n += text_format(place + n, size - n, ", there %s", d->dbname);
	if (d->user)
		text_format(place + n, size - n, ", always as user %s", d->user);
}

static void say_rules(const struct config *c, const struct database_settings *d, char *text, size_t size)
{
	struct pool_rules rules;
	size_t n;

	config_pool_rules(c, d, d->user ? span_text(d->user) : span_of("", 0), &rules);
	if (rules.size > 0)
		n = text_format(text, size, "%s pooling, %d server%s for each user and %d in reserve",
			check_mode_name(rules.mode), rules.size, text_plural(rules.size), rules.reserve_size);
	else
		n = text_format(
			text, size, "%s pooling, as many servers as clients ask for", check_mode_name(rules.mode));
	if (rules.database_connections_max > 0)
		text_format(text + n, size - n, "; %d at most for the whole database", rules.database_connections_max);
}

/* By what holds for them, then by where they lead. */
static int compare_entries(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->rules, b->rules);

	if (order == 0)
		order = strcmp(a->place, b->place);
	return order ? order : strcmp(a->name, b->name);
}

/* A few names, and how many more there are. */
static void list_names(const struct entry *entries, size_t count, char *names, size_t size)
{
	enum { SHOWN = 12 };
	size_t shown = count <= SHOWN + 1 ? count : SHOWN, n = 0;

	for (size_t i = 0; i < shown; i++)
		n += text_format(names + n, size - n, "%s%s", i ? ", " : "", entries[i].name);
	if (shown < count)
		text_format(names + n, size - n, " and %zu more", count - shown);
}

/* Those of one set of rules. */
static void show_alike(const struct entry *entries, size_t count, FILE *to)
{
	bool one_place = strcmp(entries[0].place, entries[count - 1].place) == 0;
	char names[900];

	if (!one_place)
		line(to, "databases", "%s:", entries[0].rules);
	for (size_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && strcmp(entries[next].place, entries[i].place) == 0;)
			next++;
		list_names(&entries[i], next - i, names, sizeof names);
		if (one_place)
			line(to, count > 1 ? "databases" : "database", "%s at %s: %s", names, entries[i].place,
				entries[i].rules);
		else
			line(to, "", "%s at %s", names, entries[i].place);
	}
}

static void show_entries(const struct config *c, FILE *to)
{
	struct entry *entries = memory_new(c->database_count, sizeof *entries);

	for (size_t i = 0; i < c->database_count; i++) {
		entries[i].name = c->databases[i].name;
		say_place(&c->databases[i], entries[i].place, sizeof entries[i].place);
		say_rules(c, &c->databases[i], entries[i].rules, sizeof entries[i].rules);
	}
	qsort(entries, c->database_count, sizeof *entries, compare_entries);
	for (size_t i = 0, next; i < c->database_count; i = next) {
		for (next = i + 1; next < c->database_count && strcmp(entries[next].rules, entries[i].rules) == 0;)
			next++;
		show_alike(&entries[i], next - i, to);
	}
	if (c->database_count == 0)
		line(to, "database", "none: nobody can connect to anything but the console");
	free(entries);
}

static void show_server(const struct server_facts *server, FILE *to)
{
	if (!server->reached)
		line(to, "PostgreSQL", "%s NOT ASKED: %s", server->name, server->problem);
	else
		line(to, "PostgreSQL",
			"%s, version %d%s: max_connections %d, %d reserved, %d usable with some head-room; %zu sessions now%s%s",
			server->name, server->version / 10000,
			server->in_recovery == ANSWER_YES ? ", a hot standby" : "", server->max_connections,
			server->superuser_reserved + server->reserved, server_usable(server), server_sessions(server),
			*server->problem ? "; " : "", server->problem);
}

void check_show_meaning(const struct doctor_facts *facts, const struct pooler_file *file, FILE *to)
{
	const struct config *c = file->config;

	fprintf(to, "What it means\n");
	show_door(c, to);
	show_people(file, to);
	line(to, "TLS", "with clients: %s; with servers: %s", check_sslmode_name(c->client_tls_sslmode),
		check_sslmode_name(c->server_tls_sslmode));
	show_peers(c, to);
	show_entries(c, to);
	if (c->query_wait_timeout > 0)
		line(to, "waiting", "a client waits for a server for %.6g s at most",
			(double)c->query_wait_timeout / 1e6);
	else
		line(to, "waiting", "a client waits for a server without end");
	for (size_t i = 0; i < facts->server_count; i++)
		show_server(&facts->servers[i], to);
}

void check_show_differences(const struct config *c, const struct config *like, FILE *to)
{
	struct setting_view here, there;
	bool any = false;

	for (size_t i = 0; like && config_view(c, i, &here) && config_view(like, i, &there); i++) {
		if (strcmp(here.value, there.value) == 0)
			continue;
		if (!any)
			fprintf(to, "\nWhat differs from PgBouncer with the same file\n");
		any = true;
		line(to, "", "%s is %s here, as PgBouncer has it: %s", here.key, *here.value ? here.value : "empty",
			*there.value ? there.value : "empty");
	}
	if (any)
		line(to, "", "Called as pgbouncer, pgweir does as PgBouncer (doc/differences.md).");
}
