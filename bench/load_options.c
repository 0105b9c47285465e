/* The load generator's command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "load_parts.h"

struct want want = { .user = "postgres",
	.database = "postgres",
	.sql = "SELECT 1",
	.clients = 1,
	.threads = 1,
	.depth = 1,
	.seconds = 2,
	.warmup = 0.5,
	.megabytes = 200,
	.password = "" };

const char *const mode_names[] = { "simple", "extended", "prepared", "pipelined", "connect", "bulk", "copy", "idle",
	"hold" };

bool stays(void)
{
	return want.mode == IDLE || want.mode == HOLD;
}

static void usage(void)
{
	puts("load: ask questions of a PostgreSQL, and print one line of JSON\n\n"
	     "  --server PLACE     host:port or the path of a unix socket\n"
	     "  --mode M           simple extended prepared pipelined connect bulk copy idle hold\n"
	     "  --clients N --threads N\n"
	     "  --seconds S        measured, after --warmup S (default 2 after 0.5)\n"
	     "  --rate R           open loop, R transactions a second in all, latency from the\n"
	     "                     intended start; default: closed loop\n"
	     "  --depth K          pipelined: batches in flight (default 8)\n"
	     "  --megabytes N      bulk, copy: the size of one transaction (default 200)\n"
	     "  --sql TEXT         the statement (default SELECT 1; bulk: of nullpg's)\n"
	     "  --vary             its first 000000 is another number each time\n"
	     "  --user U --database D --password P   (trust, cleartext, md5, SCRAM-SHA-256)\n"
	     "  --options TEXT --application NAME    sent at startup\n"
	     "  --source A,B,...   loopback addresses to connect from, in turn\n"
	     "  --watch PID        report the CPU time and memory of this process (repeatable)\n"
	     "idle: prints a line when all are in, stays until standard input ends, and prints\n"
	     "      how many were still connected then\n"
	     "hold: as idle, but each asks once when it is in (--sql BEGIN: and holds its server)");
}

static void read_sources(const char *list)
{
	while (*list != '\0') {
		size_t length = strcspn(list, ",");
		char text[64];

		if (want.source_count == SOURCES_MAX)
			die("no more than %d sources are used", SOURCES_MAX);
		snprintf(text, sizeof(text), "%.*s:0", (int)length, list);
		want.sources[want.source_count++] = place_of(text);
		list += length + (list[length] == ',');
	}
}

void read_options(int argc, char **argv)
{
	static const struct option table[] = {
		{ "server", required_argument, NULL, 's' },
		{ "mode", required_argument, NULL, 'm' },
		{ "clients", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 'T' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "rate", required_argument, NULL, 'r' },
		{ "depth", required_argument, NULL, 'k' },
		{ "megabytes", required_argument, NULL, 'M' },
		{ "sql", required_argument, NULL, 'q' },
		{ "vary", no_argument, NULL, 'V' },
		{ "user", required_argument, NULL, 'u' },
		{ "database", required_argument, NULL, 'd' },
		{ "password", required_argument, NULL, 'p' },
		{ "source", required_argument, NULL, 'S' },
		{ "options", required_argument, NULL, 'o' },
		{ "application", required_argument, NULL, 'a' },
		{ "watch", required_argument, NULL, 'W' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool known_server = false;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 's':
			want.server = place_of(optarg);
			known_server = true;
			break;
		case 'm':
			for (want.mode = SIMPLE; strcmp(mode_names[want.mode], optarg) != 0; want.mode++)
				if (want.mode == HOLD)
					die("there is no mode \"%s\"", optarg);
			break;
		case 'c':
			want.clients = (int)number_of("--clients", optarg, 1, 4000000);
			break;
		case 't':
			want.threads = (int)number_of("--threads", optarg, 1, 64);
			break;
		case 'T':
			want.seconds = real_of("--seconds", optarg);
			break;
		case 'w':
			want.warmup = real_of("--warmup", optarg);
			break;
		case 'r':
			want.rate = real_of("--rate", optarg);
			break;
		case 'k':
			want.depth = (int)number_of("--depth", optarg, 1, DEPTH_MAX);
			break;
		case 'M':
			want.megabytes = (uint64_t)number_of("--megabytes", optarg, 1, 1000000);
			break;
		case 'q':
			want.sql = optarg;
			break;
		case 'V':
			want.vary = true;
			break;
		case 'u':
			want.user = optarg;
			break;
		case 'd':
			want.database = optarg;
			break;
		case 'p':
			want.password = optarg;
			break;
		case 'o':
			want.options = optarg;
			break;
		case 'a':
			want.application = optarg;
			break;
		case 'S':
			read_sources(optarg);
			break;
		case 'W':
			if (want.watched_count == WATCHED_MAX)
				die("no more than %d processes are watched", WATCHED_MAX);
			want.watched[want.watched_count++] = (int)number_of("--watch", optarg, 1, 1 << 30);
			break;
		case 'h':
			usage();
			exit(0);
		default:
			usage();
			exit(2);
		}
	}
	if (!known_server)
		die("--server is missing");
	if (want.mode == PIPELINED && want.depth == 1)
		want.depth = 8;
	if (want.mode != PIPELINED && want.depth != 1)
		die("--depth is for pipelined mode");
	if (want.rate > 0 && (want.mode == PIPELINED || want.mode == CONNECT || stays()))
		die("--rate is not for this mode");
	if (want.threads > want.clients)
		want.threads = want.clients;
}
