/* pgweir serve: with a file, or with nothing but PostgreSQL's URL. */
#include "cmd/serve.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/url.h"
#include "config/from_url.h"
#include "io/file.h"
#include "serve/serve.h"
#include "tool/manual.h"

#define OVERRIDES_MAX 256

void serve_from_supervisor(struct serve_setup *setup)
{
	const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int64_t number;

	setup->notify_socket = getenv("NOTIFY_SOCKET");
	if (process && count && text_to_i64(span_text(process), &number) && number == process_id() &&
		text_to_i64(span_text(count), &number) && number > 0 && number <= 1024)
		setup->sockets = (unsigned)number;
}

/* Split key=value in place. */
static bool take_override(char *text, struct config_override *out)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return false;
	*equals = 0;
	out->key = text;
	out->value = equals + 1;
	return true;
}

/* Nobody who looks at the processes of this machine shall find the password from now on. */
static void hide_password(char *text)
{
	struct url url;

	if (url_split(span_text(text), &url) && url.password.length)
		memset(text + (url.password.at - (const uint8_t *)text), '*', url.password.length);
}

static bool is_missing(const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return errno == ENOENT;
	fclose(file);
	return false;
}

static int refuse(const char *what)
{
	fprintf(stderr, "pgweir serve: %s\nTry: pgweir serve --help\n", what);
	return 1;
}

/* ---- with a URL */

/* What it does and how to connect, as the configuration has it after all -o options. */
static bool welcome(const struct serve_setup *setup, const struct from_url *from)
{
	static const char *const modes[] = { "session", "transaction", "statement" };
	struct config_source source = { .text = span_of("", 0),
		.overrides = setup->overrides,
		.override_count = setup->override_count,
		.manner = setup->manner };
	char error[512], user[160], database[80];
	const struct database_settings *d;
	struct config *config = config_parse(&source, error, sizeof error);
	const char *address, *name;
	struct span first;

	if (!config) {
		fprintf(stderr, "pgweir serve: %s\n", error);
		return false;
	}
	first = span_text(config->listen_addr);
	first = text_trim(span_upto(&first, ','));
	address = span_is(first, "*") || span_is(first, "0.0.0.0") ? "127.0.0.1" : span_is(first, "::") ? "::1" : NULL;
	if (address)
		first = span_text(address);
	text_escape(user, sizeof user, span_text(from->user));
	text_escape(database, sizeof database, span_text(from->database ? from->database : "DATABASE"));
	name = from->database ? from->database : "*";
	d = config_database(config, span_text(name));
	fprintf(stderr, "pgweir %s: a pool in front of PostgreSQL at %s port %d; %s of it, for user \"%s\".\n",
		PGWEIR_VERSION, d ? d->hosts[0].name : "?", d ? d->hosts[0].port : 0,
		from->database ? "this database" : "every database", user);
	fprintf(stderr,
		"Servers are lent for one %s at a time, %d at most; clients log in as \"%s\" with %s.\n"
		"  connect       psql 'postgresql://%s@%s%.*s%s:%d/%s'\n"
		"  its console   psql 'postgresql://%s@%s%.*s%s:%d/pgweir' -c 'SHOW POOLS'\n"
		"  to keep it    pgweir init URL -o pgweir.ini\n",
		modes[config->pool_mode], config->default_pool_size, user,
		from->password ? "its own password" : "no password", user,
		memchr(first.at, ':', first.length) ? "[" : "", (int)first.length, (const char *)first.at,
		memchr(first.at, ':', first.length) ? "]" : "", config->listen_port, database, user,
		memchr(first.at, ':', first.length) ? "[" : "", (int)first.length, (const char *)first.at,
		memchr(first.at, ':', first.length) ? "]" : "", config->listen_port);
	if (!from->password)
		fputs("There is no password: whoever has an account on this machine can connect, and use the console.\n",
			stderr);
	if (from->ignored[0])
		fprintf(stderr, "In the URL, these are for the application's driver and not used here: %s.\n",
			from->ignored);
	config_drop(config);
	return true;
}

static int serve_url(struct serve_setup *setup, struct config_override *overrides, char *url, const char *listen)
{
	struct from_url from;
	char error[512], own[128];
	struct from_url_setup asked = { .url = url,
		.listen = listen,
		.user = getenv("PGUSER"),
		.password = getenv("PGPASSWORD"),
		.host = getenv("PGHOST"),
		.port = getenv("PGPORT"),
		.database = getenv("PGDATABASE") };
	int status = 1;

	if ((!asked.user || !asked.user[0]) && user_name(process_user(), own, sizeof own))
		asked.user = own;
	if (!from_url_read(&from, &asked, error, sizeof error))
		return refuse(error);
	hide_password(url);
	if (from.override_count + setup->override_count > OVERRIDES_MAX) {
		from_url_fini(&from);
		return refuse("too many -o options");
	}
	/* The last one wins, so those of the command line stand behind. */
	memmove(overrides + from.override_count, overrides, setup->override_count * sizeof *overrides);
	memcpy(overrides, from.overrides, from.override_count * sizeof *overrides);
	setup->override_count += from.override_count;
	setup->users = from.users;
	if (welcome(setup, &from))
		status = serve(setup);
	from_url_fini(&from);
	return status;
}

/* ---- the command */

int command_serve(int argc, char **argv)
{
	enum { OPTION_LISTEN = 256, OPTION_TRY };
	static const struct option options[] = { { "option", required_argument, NULL, 'o' },
		{ "verbose", no_argument, NULL, 'v' }, { "reboot", no_argument, NULL, 'R' },
		{ "daemon", no_argument, NULL, 'd' }, { "help", no_argument, NULL, 'h' },
		{ "listen", required_argument, NULL, OPTION_LISTEN }, { "try", no_argument, NULL, OPTION_TRY }, { 0 } };
	static struct config_override overrides[OVERRIDES_MAX];
	struct serve_setup setup = { .overrides = overrides, .manner = MANNER_PGWEIR };
	static char name[] = "pgweir serve"; /* what getopt begins its complaints with */
	const char *listen = NULL;
	bool missing;
	int option, status;

	argv[0] = name;
	while ((option = getopt_long(argc, argv, "o:vRdh", options, NULL)) != -1) {
		switch (option) {
		case 'o':
			if (setup.override_count == OVERRIDES_MAX) {
				fprintf(stderr, "pgweir serve: more than %d -o options\n", OVERRIDES_MAX);
				return 1;
			}
			if (!take_override(optarg, &overrides[setup.override_count])) {
				fprintf(stderr, "pgweir serve: -o wants key=value, not \"%s\"\n", optarg);
				return 1;
			}
			setup.override_count++;
			break;
		case 'v':
			setup.verbose++;
			break;
		case 'R':
			setup.reboot = true;
			break;
		case 'd':
			setup.daemon = true;
			break;
		case 'h':
			manual_help("serve", stdout);
			return 0;
		case OPTION_LISTEN:
			listen = optarg;
			break;
		case OPTION_TRY:
			setup.trial = true;
			break;
		default:
			manual_unknown_option("serve", argv, optind);
			return 1;
		}
	}
	if (argc - optind != 1)
		return refuse(optind == argc ? "which FILE.ini, or which URL?" : "one FILE.ini or URL only");
	if (strstr(argv[optind], "://"))
		return serve_url(&setup, overrides, argv[optind], listen);
	if (listen)
		return refuse("--listen goes with a URL; a file has listen_addr and listen_port");
	setup.file = argv[optind];
	serve_from_supervisor(&setup);
	missing = is_missing(setup.file);
	status = serve(&setup);
	if (status != 0 && missing)
		fputs(strncmp(setup.file, "postgres", 8) == 0 && strchr(setup.file, ':')
				? "If that is meant to be a URL, one is postgresql://USER:PASSWORD@HOST/DATABASE\n"
				: "To have one written: pgweir init URL -o FILE.ini\n",
			stderr);
	return status;
}
