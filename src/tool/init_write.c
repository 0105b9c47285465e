#include <string.h>

#include "base/text.h"
#include "tool/doctor_origins.h"
#include "tool/init.h"
#include "tool/memory.h"
#include "tool/table.h"

/* The file says where each number comes from, so that its reader can tell which to change when the server has changed. What a stranger
 * chose as a name stands in comments only, made safe, or quoted as the parser wants it. */

#define SHOWN_MOST 12

static void put(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct buf *out, const char *format, ...)
{
	char line[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (!buf_add(out, line, strlen(line)))
		memory_got(NULL);
}

static bool is_plain(const char *text)
{
	return *text &&
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/") == strlen(text);
}

/* `quote`...`quote` with each quote inside twice. */
static void put_quoted(struct buf *out, const char *text, char quote)
{
	put(out, "%c", quote);
	for (; *text; text++)
		put(out, *text == quote ? "%c%c" : "%c", *text, quote);
	put(out, "%c", quote);
}

static void put_word(struct buf *out, const char *text)
{
	if (is_plain(text))
		put(out, "%s", text);
	else
		put_quoted(out, text, '\'');
}

static void put_shown(struct buf *out, const char *text, size_t most)
{
	char shown[400];

	show_text(shown, sizeof shown, most, span_text(text));
	put(out, "%s", shown);
}

/* ---- the comment at the head ---- */

static bool same(const struct session *a, const struct session *b)
{
	return strcmp(a->user, b->user) == 0 && strcmp(a->database, b->database) == 0 &&
		strcmp(a->application, b->application) == 0 && strcmp(a->address, b->address) == 0;
}

static bool is_first(const struct server_facts *server, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (!server->sessions[j].ours && same(&server->sessions[j], &server->sessions[i]))
			return false;
	}
	return !server->sessions[i].ours;
}

static void put_who(struct buf *out, const struct init_wish *w)
{
	const struct server_facts *server = w->server;
	unsigned shown = 0;

	put(out,
		";; Connected when it was asked: %d as this user to this database, who will come through pgweir, and %d others.\n",
		w->plan->own, w->plan->direct);
	for (size_t i = 0; i < server->session_count && shown < SHOWN_MOST; i++) {
		const struct session *s = &server->sessions[i];
		unsigned count = 0;

		if (!is_first(server, i))
			continue;
		for (size_t j = i; j < server->session_count; j++)
			count += !server->sessions[j].ours && same(s, &server->sessions[j]);
		put(out, ";;   %4u  ", count);
		put_shown(out, s->user, 40);
		put(out, "@");
		put_shown(out, s->database, 40);
		put(out, "  ");
		put_shown(out, *s->application ? s->application : "(no name)", 40);
		put(out, "  ");
		put_shown(out, *s->address ? s->address : "(not to be seen)", 60);
		put(out, "\n");
		shown++;
	}
	if (*server->problem) {
		put(out, ";; ");
		put_shown(out, server->problem, 0);
		put(out, "\n");
	}
}

/* ---- the file ---- */

static void put_sizes(struct buf *out, const struct init_wish *w)
{
	const struct init_plan *p = w->plan;

	put(out, "\n;; Servers: connections to PostgreSQL, lent to a client for one transaction at a time. ");
	if (w->cores > 0)
		put(out, "%d core%s are busy with\n;; about %d of them (2 x cores + 1)", w->cores,
			text_plural(w->cores), p->good);
	else
		put(out,
			"The machine's cores are not known\n;; from here: 2 x cores + 1 is a good start (pgweir init --cores N)");
	if (p->need > 0)
		put(out, "; the work seen in %.1f s needs about %d", w->server->seconds, p->need);
	put(out, ". More do not make it faster: measure.\n");
	put(out, "pool_mode = transaction\ndefault_pool_size = %d\n", p->pool);
	put(out, ";; For when clients have waited for reserve_pool_timeout.\nreserve_pool_size = %d\n", p->reserve);
	put(out, ";; %d slots are usable, %d of them are taken by others", p->usable, p->direct);
	if (p->limit > 0)
		put(out, "; and %s may have %d (one is for the monitoring connection)",
			p->limit_is_role ? "the role" : "the database", p->limit);
	put(out,
		".\n;; With server_budget = auto, pgweir keeps below what is free at any time as well.\nmax_db_connections = %d\n",
		p->most);
	if (p->limit_is_role)
		put(out, "max_user_connections = %d\n", p->most);
}

void init_write_ini(const struct init_wish *w, struct buf *out)
{
	const struct init_access *a = w->access;
	const struct server_facts *server = w->server;

	put(out, ";; pgweir in front of ");
	put_shown(out, a->host, 0);
	put(out, " port %s (PostgreSQL %d), written by pgweir init.\n", a->port, server->version / 10000);
	put(out,
		";; What it means: pgweir check FILE. After a change: RELOAD on the console, or systemctl reload pgweir.\n;;\n");
	put(out, ";; max_connections is %d, less %d reserved, less a tenth of head-room: %d usable.\n",
		server->max_connections, server->superuser_reserved + server->reserved, w->plan->usable);
	put_who(out, w);

	put(out, "\n[databases]\n");
	put_word(out, a->database);
	put(out, " = host=");
	put_word(out, a->host);
	put(out, " port=%s\n;; Every other database of that server:\n;* = host=", a->port);
	put_word(out, a->host);
	put(out, " port=%s\n\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %s\nunix_socket_dir =\n", a->port,
		w->listen_address, w->listen_port);
	if (*a->sslmode)
		put(out, "server_tls_sslmode = %s\n", a->sslmode);

	put(out, "\n;; Who may come in: the users of auth_file. ");
	if (*a->password)
		put(out, "They prove it by SCRAM.\nauth_type = scram-sha-256\n");
	else
		put(out,
			"PostgreSQL asked for no password, so there is none to ask clients for:\n"
			";; whoever reaches listen_addr is let in.\nauth_type = trust\n");
	put(out, "auth_file = %s\n", w->users_path);
	if (a->superuser)
		put(out,
			";; This one is a superuser, and takes the slots that are reserved for help: give applications a role of their own.\n");
	put(out, ";; Who may do everything on the console (database pgweir).\nadmin_users = %s\n", a->user);
	put_sizes(out, w);
	put(out,
		"\n;; Clients that log in, wait or hold a server; those that are idle are free and do not count.\nmax_client_conn = %d\n",
		w->plan->clients);
	put(out,
		";; Longer than this nobody waits for a server: less than a request of the application may take.\nquery_wait_timeout = 10\n");
	put(out,
		";; Who is idle inside a transaction holds a server that others wait for. Five times the longest that is meant.\n;idle_transaction_timeout = 60\n");
	put(out, "\n;; More: doc/settings.md, man 5 pgweir.ini\n");
}

void init_write_users(const struct init_wish *w, struct buf *out)
{
	const struct init_access *a = w->access;

	put(out,
		";; The users of pgweir, and their secrets: passwords, or what pg_authid has. Nobody else may read this.\n");
	put_quoted(out, a->user, '"');
	put(out, " ");
	put_quoted(out, a->password, '"');
	put(out, "\n");
	if (!buf_add_span(out, buf_span(&a->others)))
		memory_got(NULL);
}
