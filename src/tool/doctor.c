#include <getopt.h>
#include <stdio.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/thread.h"
#include "tool/doctor_server.h"
#include "tool/doctor_show.h"
#include "tool/doctor_url.h"
#include "tool/doctor_watch.h"
#include "tool/manual.h"
#include "tool/memory.h"
#include "tool/table.h"

/* `pgweir doctor`: what is wrong with these settings, this pooler, this PostgreSQL, and what to write instead.
 *
 *     arguments --input--> facts --rules--> findings --show--> text or JSON
 *
 *     doctor_input                                    what each argument is; reads it with one of:
 *     doctor_python, _django, _url, _scan             settings and source, none of which is ever run
 *     doctor_server, _console                         live things, by libpq; nothing is changed there
 *     doctor_watch                                    pictures of pg_stat_activity, for the leak detector
 *     doctor_rules, _rules_app, _pooler, _server, _size    pure functions from facts to findings
 *     doctor_show                                     the only one that prints
 *
 * It is a program of its own, because libpq and jansson have no business in the process that strangers can reach. */

enum status { STATUS_HEALTHY = 0, STATUS_DANGER = 1, STATUS_USAGE = 2 };

struct doctor_options {
	bool json, strict;
	double sample, watch, pace;
	int cores, tasks, held, poolers;
	double request_timeout;
	bool wsgi;
};

static bool read_positive(const char *text, double most, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && !*end && *out > 0 && *out <= most;
}

/* False: it was said what is wrong. */
static bool read_options(int argc, char **argv, struct doctor_options *o, bool *helped)
{
	static const struct option table[] = { { "watch", required_argument, NULL, 'w' },
		{ "sample", required_argument, NULL, 's' }, { "pace", required_argument, NULL, 'p' },
		{ "cores", required_argument, NULL, 'c' }, { "poolers", required_argument, NULL, 'n' },
		{ "request-timeout", required_argument, NULL, 'r' }, { "tasks", required_argument, NULL, 't' },
		{ "held", required_argument, NULL, 'm' }, { "wsgi", no_argument, NULL, 'g' },
		{ "json", no_argument, NULL, 'j' }, { "strict", no_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	int option, which = 0;

	*o = (struct doctor_options){ .sample = 2, .pace = 1 };
	while ((option = getopt_long(argc, argv, "jh", table, &which)) != -1) {
		double number = 0;
		char words[80];

		if (optarg && !read_positive(optarg, 1e6, &number)) {
			text_format(words, sizeof words, "--%s wants a number above 0, not ", table[which].name);
			usage_error("doctor", words, optarg);
			return false;
		}
		switch (option) {
		case 'w':
			o->watch = number;
			break;
		case 's':
			o->sample = number;
			break;
		case 'p':
			o->pace = number;
			break;
		case 'c':
			o->cores = (int)number;
			break;
		case 'n':
			o->poolers = (int)number;
			break;
		case 'r':
			o->request_timeout = number;
			break;
		case 't':
			o->tasks = (int)number;
			break;
		case 'm':
			o->held = (int)number;
			break;
		case 'g':
			o->wsgi = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'x':
			o->strict = true;
			break;
		case 'h':
			manual_help("doctor", stdout);
			*helped = true;
			return false;
		default:
			manual_unknown_option("doctor", argv, optind);
			return false;
		}
	}
	return true;
}

/* ---- watching ---- */

static void tell_change(const struct watch *watch, const struct leak_change *change, time_us since)
{
	static const char *const words[] = {
		[LEAK_BEGAN] = "began", [LEAK_CHANGED] = "changed", [LEAK_ENDED] = "ended"
	};
	char line[800], shown[1000];

	text_format(line, sizeof line, "%s %s, %s: %s", change->leak.pattern->number, words[change->kind],
		watch_origin(watch, change->leak.origin), change->leak.evidence);
	show_text(shown, sizeof shown, 0, span_text(line));
	fprintf(stderr, "after %.0f s: %s\n", (double)since / 1e6, shown);
}

static void keep_leaks(const struct watch *watch, const struct server_facts *server, struct doctor_facts *facts)
{
	const struct leak *leak;

	for (size_t i = 0; (leak = watch_leak(watch, i)) && facts->leak_count < DOCTOR_LEAKS_MAX; i++) {
		struct watched_leak *kept = &facts->leaks[facts->leak_count++];

		kept->leak = *leak;
		text_copy(kept->origin, sizeof kept->origin, watch_origin(watch, leak->origin));
		text_copy(kept->server, sizeof kept->server, server->name);
	}
}

/* False: it ended early, and `problem` says why. What was seen until then counts. */
static bool watch_server(
	struct doctor_facts *facts, const char *url, const struct doctor_options *o, char *problem, size_t problem_size)
{
	struct server_facts *server = &facts->servers[0];
	struct leak_rules rules = { .period = (time_us)(5 * SECOND_US / o->pace),
		.quiet = (time_us)(5 * SECOND_US / o->pace),
		.hold = (time_us)(30 * SECOND_US / o->pace),
		.siblings = 5 };
	struct watch *watch = memory_got(watch_new(&rules));
	struct connect_error error;
	PGconn *connection = connect_open(url, "pgweir doctor", DOCTOR_LOGIN_US, &error);
	time_us began = clock_now(), end = began + (time_us)(o->watch * 1e6);
	bool good = connection != NULL;

	if (!connection)
		first_line(problem, problem_size, error.text);
	while (good && clock_now() < end) {
		struct leak_change changes[64];
		time_us now = clock_now();
		size_t count;

		good = server_read_sessions(server, connection, problem, problem_size);
		count = good ? watch_picture(watch, server, now, changes, 64) : 0;
		for (size_t i = 0; i < count; i++)
			tell_change(watch, &changes[i], now - began);
		connect_rest((time_us)(SECOND_US / o->pace));
	}
	keep_leaks(watch, server, facts);
	PQfinish(connection);
	watch_free(watch);
	return good;
}

static bool watch_all(
	struct doctor_facts *facts, struct doctor_inputs *inputs, char **arguments, const struct doctor_options *o)
{
	char url[4096], problem[300] = "";

	for (size_t i = 0; i < inputs->count; i++) {
		bool good;

		if (strcmp(inputs->at[i].kind, "PostgreSQL") != 0 || !inputs->at[i].read)
			continue;
		/* The arguments are in the order of the inputs until a folder comes; so look for it by its name. */
		for (char **argument = arguments; *argument; argument++) {
			url_for(span_text(*argument), false, url, sizeof url);
			if (strncmp(url, inputs->at[i].what, sizeof inputs->at[i].what - 1) != 0)
				continue;
			url_for(span_text(*argument), true, url, sizeof url);
			good = watch_server(facts, url, o, problem, sizeof problem);
			secret_wipe(url, sizeof url);
			if (!good)
				fprintf(stderr, "pgweir doctor: the watch ended early: %s\n", problem);
			return good;
		}
	}
	return false;
}

static bool all_read(const struct doctor_inputs *inputs)
{
	for (size_t i = 0; i < inputs->count; i++) {
		if (!inputs->at[i].read)
			return false;
	}
	return true;
}

static int status_of(const struct doctor_inputs *inputs, const struct doctor_report *report, bool strict, bool watched)
{
	if (report_count(report, LEVEL_DANGER) || (strict && report_count(report, LEVEL_WARNING)))
		return STATUS_DANGER;
	return all_read(inputs) && watched ? STATUS_HEALTHY : STATUS_USAGE;
}

int main(int argc, char **argv)
{
	static char name[] = "pgweir doctor"; /* what getopt begins its complaints with */
	struct doctor_facts *facts = memory_new(1, sizeof *facts);
	struct doctor_inputs inputs = { 0 };
	struct doctor_report report = { 0 };
	struct doctor_options o;
	bool helped = false, watched = true;
	int status;

	process_standard(name);
	if (argc > 0)
		argv[0] = name;
	if (!read_options(argc, argv, &o, &helped)) {
		free(facts);
		return helped ? STATUS_HEALTHY : STATUS_USAGE;
	}
	if (optind >= argc) {
		free(facts);
		return usage_error("doctor", "what shall it look at?", "");
	}
	facts->cores = o.cores;
	facts->tasks = o.tasks;
	facts->held = o.held;
	facts->poolers = o.poolers;
	facts->request_timeout = (time_us)(o.request_timeout * 1e6);
	for (int i = optind; i < argc; i++)
		input_read(&inputs, facts, argv[i], getenv("DATABASE_URL"), o.sample);
	if (o.watch > 0 && (facts->server_count != 1 || !facts->servers[0].reached)) {
		fputs("pgweir doctor: --watch wants exactly one PostgreSQL that answers\n", stderr);
		watched = false;
	} else if (o.watch > 0) {
		watched = watch_all(facts, &inputs, argv + optind, &o);
	}
	for (size_t i = 0; i < facts->server_count; i++) {
		if (facts->cores == 0 && facts->servers[i].local)
			facts->cores = (int)cores_count();
	}
	for (size_t i = 0; o.wsgi && i < facts->app_count; i++) {
		if (facts->apps[i].asgi == ANSWER_UNKNOWN)
			facts->apps[i].asgi = ANSWER_NO;
	}
	doctor_look(facts, &report);
	status = status_of(&inputs, &report, o.strict, watched);
	if (o.json)
		show_report_json(&inputs, &report, status, stdout);
	else
		show_report(&inputs, &report, stdout);
	doctor_report_fini(&report);
	inputs_fini(&inputs);
	doctor_facts_fini(facts);
	free(facts);
	return status;
}
