#include "tool/init.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/url.h"
#include "io/file.h"
#include "io/thread.h"
#include "tool/doctor_server.h"
#include "tool/doctor_url.h"
#include "tool/manual.h"
#include "tool/memory.h"
#include "tool/table.h"

/* `pgweir init`: a file for this PostgreSQL.
 *
 *     URL --libpq--> access (who, where, with which password)
 *         --doctor_server--> facts --init_plan--> sizes --init_write--> ini and list of users --> files
 *
 * Before anything is written, the ini is read as pgweir will read it. */

enum status { STATUS_WRITTEN = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

struct options {
	const char *url, *output;
	char listen_address[256], listen_port[16];
	double sample;
	int cores;
	bool force, json;
};

static bool read_positive(const char *text, double most, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && !*end && *out > 0 && *out <= most;
}

static bool read_listen(const char *text, struct options *o)
{
	const char *colon = strrchr(text, ':');
	int64_t port;

	if (!colon || !text_to_i64(span_text(colon + 1), &port) || port < 1 || port > 65535)
		return false;
	if (*text == '[' && colon > text + 1 && colon[-1] == ']')
		text_copy_span(
			o->listen_address, sizeof o->listen_address, span_of(text + 1, (size_t)(colon - text) - 2));
	else if (colon > text)
		text_copy_span(o->listen_address, sizeof o->listen_address, span_of(text, (size_t)(colon - text)));
	text_copy(o->listen_port, sizeof o->listen_port, colon + 1);
	return true;
}

/* STATUS_WRITTEN to go on; *ended: there is nothing to go on with. */
static enum status read_options(int argc, char **argv, struct options *o, bool *ended)
{
	static const struct option table[] = { { "output", required_argument, NULL, 'o' },
		{ "listen", required_argument, NULL, 'l' }, { "sample", required_argument, NULL, 's' },
		{ "cores", required_argument, NULL, 'c' }, { "force", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	double number;
	int option;

	*o = (struct options){ .sample = 2, .listen_address = "127.0.0.1", .listen_port = "6432" };
	*ended = true;
	while ((option = getopt_long(argc, argv, "o:h", table, NULL)) != -1) {
		switch (option) {
		case 'o':
			o->output = optarg;
			break;
		case 'l':
			if (!read_listen(optarg, o))
				return (enum status)usage_error("init", "--listen wants ADDRESS:PORT, not ", optarg);
			break;
		case 's':
		case 'c':
			if (!read_positive(optarg, 4096, &number))
				return (enum status)usage_error("init",
					option == 's' ? "--sample wants a number above 0, not "
						      : "--cores wants a number above 0, not ",
					optarg);
			if (option == 's')
				o->sample = number;
			else
				o->cores = (int)number;
			break;
		case 'f':
			o->force = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			manual_help("init", stdout);
			return STATUS_WRITTEN;
		default:
			manual_unknown_option("init", argv, optind);
			return STATUS_USAGE;
		}
	}
	if (argc - optind != 1)
		return (enum status)usage_error(
			"init", optind == argc ? "which PostgreSQL? Give its URL" : "one URL only", "");
	o->url = argv[optind];
	if (!url_is_postgres(span_text(o->url)))
		return (enum status)usage_error(
			"init", "that is no postgresql:// URL: one is postgresql://USER:PASSWORD@HOST/DATABASE", "");
	if (url_is_console(o->url))
		return (enum status)usage_error("init", "that is a pooler's console; give PostgreSQL's own URL", "");
	*ended = false;
	return STATUS_WRITTEN;
}

/* ---- who, where, with what ---- */

static const char secrets_sql[] =
	"SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND NOT rolsuper AND rolpassword IS NOT NULL"
	" AND rolname <> current_user AND (rolvaliduntil IS NULL OR rolvaliduntil > now()) ORDER BY rolname";

static void add_quoted(struct buf *out, const char *text)
{
	bool good = buf_add(out, "\"", 1);

	for (; good && *text; text++)
		good = (*text != '"' || buf_add(out, "\"", 1)) && buf_add(out, text, 1);
	if (!good || !buf_add(out, "\"", 1))
		memory_got(NULL);
}

/* The other roles' secrets, where we may see them. */
static void read_others(PGconn *connection, struct init_access *access)
{
	char unseen[400];
	PGresult *rows = ask_server(connection, secrets_sql, unseen, sizeof unseen);

	for (int i = 0; rows && i < PQntuples(rows); i++) {
		const char *name = cell(rows, i, "rolname");

		if (strpbrk(name, "\r\n"))
			continue;
		add_quoted(&access->others, name);
		if (!buf_add(&access->others, " ", 1))
			memory_got(NULL);
		add_quoted(&access->others, cell(rows, i, "rolpassword"));
		if (!buf_add(&access->others, "\n", 1))
			memory_got(NULL);
		access->other_count++;
	}
	PQclear(rows);
}

/* What this connection was told by URL, environment, service and password file together. */
static void read_wishes(PGconn *connection, struct init_access *access)
{
	PQconninfoOption *options = PQconninfo(connection);

	for (PQconninfoOption *o = options; o && o->keyword; o++) {
		if (strcmp(o->keyword, "sslmode") == 0 && o->val &&
			(strcmp(o->val, "require") == 0 || strncmp(o->val, "verify", 6) == 0))
			text_copy(access->sslmode, sizeof access->sslmode, o->val);
	}
	PQconninfoFree(options);
}

static bool log_in(const char *url, struct init_access *access, char *error, size_t error_size)
{
	struct connect_error trouble;
	PGconn *connection = connect_open(url, "pgweir init", DOCTOR_LOGIN_US, &trouble);
	char unseen[400];
	PGresult *row;

	if (!connection) {
		text_copy(error, error_size, trouble.text);
		return false;
	}
	if (!connect_is_direct(connection, error, error_size)) {
		if (!*error)
			text_copy(error, error_size, "a pooler answers there; give PostgreSQL's own URL");
		PQfinish(connection);
		return false;
	}
	text_copy(access->host, sizeof access->host, PQhost(connection));
	text_copy(access->port, sizeof access->port, PQport(connection));
	text_copy(access->user, sizeof access->user, PQuser(connection));
	text_copy(access->database, sizeof access->database, PQdb(connection));
	if (PQconnectionUsedPassword(connection))
		text_copy(access->password, sizeof access->password, PQpass(connection));
	read_wishes(connection, access);
	row = ask_server(
		connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user", unseen, sizeof unseen);
	access->superuser = row && *cell(row, 0, "rolsuper") == 't';
	PQclear(row);
	if (*access->password)
		read_others(connection, access);
	PQfinish(connection);
	return true;
}

/* ---- the files ---- */

/* Where the list of users goes: shop.ini has shop-users.txt beside it, named whole, since pgweir may be started elsewhere. False: there is no
 * such folder, and errno says why. */
static bool users_path(const char *output, char *out, size_t size)
{
	const char *slash = strrchr(output, '/');
	size_t length = strlen(output);
	char folder[2048], *whole;

	if (length > 4 && strcmp(output + length - 4, ".ini") == 0)
		length -= 4;
	text_format(folder, sizeof folder, "%.*s", slash ? (int)(slash - output) + 1 : 1, slash ? output : ".");
	whole = realpath(folder, NULL);
	if (!whole)
		return false;
	if (slash) {
		length -= (size_t)(slash + 1 - output);
		output = slash + 1;
	}
	text_format(out, size, "%s/%.*s-users.txt", whole, (int)length, output);
	free(whole);
	return true;
}

static bool may_be_written(const struct options *o, const char *path, char *error, size_t error_size)
{
	int is_folder = path_is_folder(path);

	if (is_folder == 1)
		text_format(error, error_size, "could not write \"%s\": it is a folder", path);
	else if (is_folder == 0 && !o->force)
		text_format(error, error_size,
			"could not write \"%s\": it is there already (--force writes over what is there)", path);
	else
		return true;
	return false;
}

/* Both or none, as far as can be known before: a list of secrets is not left behind without its file. */
static bool write_files(const struct options *o, const char *users_path, const struct buf *users, struct span ini,
	char *error, size_t error_size)
{
	return may_be_written(o, o->output, error, error_size) && may_be_written(o, users_path, error, error_size) &&
		file_write(users_path, (const char *)buf_span(users).at, users->length, true, o->force, error,
			error_size) &&
		file_write(o->output, (const char *)ini.at, ini.length, false, o->force, error, error_size);
}

/* pgweir must be able to read what we write. */
static bool reads_back(struct span text, char *error, size_t error_size)
{
	struct config_source source = { .file = "(init)", .text = text, .manner = MANNER_PGWEIR };
	struct config *config = config_parse(&source, error, error_size);

	config_drop(config);
	return config != NULL;
}

static enum status write_out(const struct options *o, const struct init_wish *wish)
{
	struct buf ini = { 0 }, users = { 0 };
	enum status status = STATUS_FAILED;
	char error[800], shown[1600];
	struct span text;

	init_write_ini(wish, &ini);
	init_write_users(wish, &users);
	text = buf_span(&ini);
	if (strpbrk(wish->access->password, "\r\n") || !reads_back(text, error, sizeof error)) {
		show_text(shown, sizeof shown, 0, span_text(error));
		fprintf(stderr, "pgweir init: a name or the password can not stand in a file: %s\n", shown);
	} else if (!o->output && o->json) {
		init_show_json(wish, NULL, text, stdout);
		status = STATUS_WRITTEN;
	} else if (!o->output) {
		fwrite(text.at, 1, text.length, stdout);
		fprintf(stderr,
			"auth_file = %s is for you to write: lines of \"user\" \"password\". With -o FILE.ini it is written too.\n",
			wish->users_path);
		status = STATUS_WRITTEN;
	} else if (write_files(o, wish->users_path, &users, text, error, sizeof error)) {
		if (o->json)
			init_show_json(wish, o->output, text, stdout);
		else
			printf("%s  written: %d servers and %d in reserve for each user, %d at most\n%s  written: %u user%s; nobody else may read it\n"
			       "Next:  pgweir check %s && pgweir serve %s\n",
				o->output, wish->plan->pool, wish->plan->reserve, wish->plan->most, wish->users_path,
				wish->access->other_count + 1, text_plural(wish->access->other_count + 1), o->output,
				o->output);
		status = STATUS_WRITTEN;
	} else {
		fprintf(stderr, "pgweir init: %s\n", error);
	}
	buf_fini(&ini);
	buf_wipe(&users);
	return status;
}

static enum status make(const struct options *o)
{
	struct init_access access = { 0 };
	struct server_facts server = { 0 };
	struct init_plan plan;
	struct init_wish wish = { .server = &server,
		.plan = &plan,
		.access = &access,
		.listen_address = o->listen_address,
		.listen_port = o->listen_port,
		.users_path = "users.txt",
		.cores = o->cores };
	enum status status = STATUS_FAILED;
	char url[4096], path[4096], error[2200], shown[4400];

	if (o->output && !users_path(o->output, path, sizeof path)) {
		fprintf(stderr, "pgweir init: could not write \"%s\": %s\n", o->output, strerror(errno));
		return STATUS_FAILED;
	}
	url_for(span_text(o->url), true, url, sizeof url);
	if (!log_in(url, &access, error, sizeof error)) {
		show_lines(stderr, "pgweir init: ", error);
		secret_wipe(url, sizeof url);
		return STATUS_FAILED;
	}
	server_read(&server, url, o->sample);
	secret_wipe(url, sizeof url);
	if (!server.reached) {
		show_text(shown, sizeof shown, 0, span_text(server.problem));
		fprintf(stderr, "pgweir init: %s\n", shown);
	} else {
		if (wish.cores == 0 && server.local)
			wish.cores = (int)cores_count();
		init_plan_make(&server, wish.cores, &plan);
		if (o->output)
			wish.users_path = path;
		status = write_out(o, &wish);
	}
	free(server.sessions);
	buf_wipe(&access.others);
	secret_wipe(&access, sizeof access);
	return status;
}

int main(int argc, char **argv)
{
	static char name[] = "pgweir init"; /* what getopt begins its complaints with */
	struct options o;
	enum status status;
	bool ended;

	process_standard(name);
	if (argc > 0)
		argv[0] = name;
	status = read_options(argc, argv, &o, &ended);
	return (int)(ended ? status : make(&o));
}
