/* pgweir: a table of commands. Called as `pgbouncer` (by that name or a link) it takes PgBouncer's command line instead. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/serve.h"
#include "io/file.h"
#include "serve/serve.h"
#include "tool/manual.h"

static int command_tool(int argc, char **argv);
static int command_help(int argc, char **argv);
static int command_version(int argc, char **argv);

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "serve", command_serve },
	{ "init", command_tool },
	{ "check", command_tool },
	{ "top", command_tool },
	{ "doctor", command_tool },
	{ "reap", command_tool },
	{ "logs", command_tool },
	{ "stress", command_tool },
	{ "help", command_help },
	{ "version", command_version },
};

#define COMMANDS (sizeof commands / sizeof commands[0])

/* PgBouncer takes its file as the first word, and so do fingers. */
static bool is_to_be_served(const char *word)
{
	size_t length = strlen(word);

	return strstr(word, "://") || (length > 4 && strcmp(word + length - 4, ".ini") == 0);
}

static int unknown_command(const char *word)
{
	static const char *const options[] = { "--help", "--version", NULL };
	const char *names[COMMANDS + 1] = { 0 }, *nearest;

	for (size_t i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	nearest = text_nearest(word, word[0] == '-' ? options : names);
	fprintf(stderr, "pgweir: there is no command \"%s\"", word);
	if (is_to_be_served(word))
		fputs("; to serve it: pgweir serve, and this behind it\n", stderr);
	else if (nearest)
		fprintf(stderr, "; did you mean \"%s\"?\n", nearest);
	else
		fputs("; see pgweir help\n", stderr);
	return 1;
}

static int command_help(int argc, char **argv)
{
	if (argc > 1 && manual_find(argv[1]))
		manual_help(argv[1], stdout);
	else if (argc > 1)
		return unknown_command(argv[1]);
	else
		manual_commands(stdout);
	return 0;
}

/* A tool is a program of its own, so that this one, which strangers can reach, links nothing for its sake. */
static int command_tool(int argc, char **argv)
{
	char program[64], error[400];

	(void)argc;
	snprintf(program, sizeof program, "pgweir-%s", argv[0]);
	process_exec_beside(program, argv, error, sizeof error);
	fprintf(stderr, "pgweir %s: %s\nIt is built and installed with pgweir, in the same folder.\n", argv[0], error);
	return 1;
}

static int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("pgweir %s\n", PGWEIR_VERSION);
	return 0;
}

static int as_pgbouncer(int argc, char **argv)
{
	static const struct option options[] = {
		{ "daemon", no_argument, NULL, 'd' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "reboot", no_argument, NULL, 'R' },
		{ "user", required_argument, NULL, 'u' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct serve_setup setup = { .manner = MANNER_PGBOUNCER };
	int option;

	while ((option = getopt_long(argc, argv, "dqRu:vVh", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			setup.daemon = true;
			break;
		case 'q':
			setup.quiet = true;
			break;
		case 'R':
			setup.reboot = true;
			break;
		case 'u':
			setup.user = optarg;
			break;
		case 'v':
			setup.verbose++;
			break;
		case 'V':
			printf("PgBouncer 1.25.2\npgweir %s\n", PGWEIR_VERSION);
			return 0;
		case 'h':
			printf("%s [OPTION]... CONFIG\n"
			       "  -d, --daemon         run in the background (needs a pidfile)\n"
			       "  -q, --quiet          nothing on standard error\n"
			       "  -R, --reboot         take the place of the process that runs with this file\n"
			       "  -u, --user=USERNAME  become this user\n"
			       "  -v, --verbose        say more (may be repeated)\n"
			       "  -V, --version        print the version\n"
			       "  -h, --help           print this\n"
			       "This is pgweir under PgBouncer's name: pgweir help tells the rest.\n",
				argv[0]);
			return 0;
		default:
			fprintf(stderr, "Try \"%s --help\" for more information.\n", argv[0]);
			return 1;
		}
	}
	if (argc - optind != 1) {
		fprintf(stderr, "%s: %s\nTry \"%s --help\" for more information.\n", argv[0],
			optind == argc ? "no configuration file specified" : "too many arguments", argv[0]);
		return 1;
	}
	setup.file = argv[optind];
	serve_from_supervisor(&setup);
	return serve(&setup);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	size_t i;

	process_standard("pgweir");
	if (strcmp(name, "pgbouncer") == 0)
		return as_pgbouncer(argc, argv);
	if (argc < 2)
		return command_help(1, argv);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return command_help(1, argv);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return command_version(1, argv);
	for (i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return unknown_command(argv[1]);
}
