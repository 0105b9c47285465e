#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"
#include "tool/connect.h"
#include "tool/manual.h"
#include "tool/reap.h"
#include "tool/table.h"

/* `pgweir reap`, the safe form of
 *
 *     SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' AND ...
 *
 * which ends whoever is idle: listeners, backups between two steps, a pooler's servers, the administrator's psql, and by a recycled process
 * id somebody who was never meant. Here the same wish is written as conditions, met by guards, shown first, and done
 * slowly, with a look at what became of it:
 *
 *     reap_options    the command line         what is too old, and of whom
 *     reap_query      the questions asked      the guards; looking, signalling, tracing
 *     reap_act        one after another        cancel, terminate, verify
 *     reap_show       tables, JSON, audit      who goes, who stays, and why
 *
 * It is a program of its own, because libpq and jansson have no business in the process that strangers can reach. */

#define LOGIN_US (15 * SECOND_US)

static int fail(const char *what, enum reap_status status)
{
	show_lines(stderr, "pgweir reap: ", what);
	return status;
}

static PGconn *connect(const struct reap_options *o, int *status)
{
	struct connect_error error = { .trouble = CONNECT_FINE };
	PGconn *connection = connect_open(o->url, "pgweir reap", LOGIN_US, &error);
	char words[1000];

	if (!connection) {
		*status = fail(error.text, error.trouble == CONNECT_BAD_URL ? REAP_USAGE : REAP_FAILED);
		return NULL;
	}
	if (PQserverVersion(connection) < 120000) {
		text_format(words, sizeof words, "this is PostgreSQL %d.%d, and 12 is the oldest that is understood",
			PQserverVersion(connection) / 10000, PQserverVersion(connection) / 100 % 100);
	} else if (connect_is_direct(connection, words, sizeof words)) {
		if (connect_prepare(connection, words, sizeof words))
			return connection;
	} else if (!words[0]) {
		text_copy(words, sizeof words,
			"this URL leads to a pooler, not to PostgreSQL itself: give the address that the pooler connects to\n"
			"(the host and port of its [databases] entry)");
	}
	*status = fail(words, REAP_FAILED);
	PQfinish(connection);
	return NULL;
}

static enum reap_status status_of(const struct reap_options *o, const struct reap_view *v)
{
	if (!o->execute)
		return v->goes > 0 ? REAP_CANDIDATES : REAP_DONE;
	for (size_t i = 0; i < v->goes; i++) {
		if (v->sessions[i].outcome == OUTCOME_STAYED || v->sessions[i].outcome == OUTCOME_REFUSED)
			return REAP_STAYED;
	}
	return REAP_DONE;
}

/* Of the user, database and application of one that was ended. */
static bool resembles(const struct reap_session *new, const struct reap_view *before)
{
	for (size_t i = 0; i < before->goes; i++) {
		const struct reap_session *old = &before->sessions[i];

		if (old->outcome == OUTCOME_ENDED && span_equal(new->user, old->user) &&
			span_equal(new->database, old->database) && span_equal(new->application, old->application))
			return true;
	}
	return false;
}

/* How many sessions have been opened since the first look by whoever lost one. A second look that fails changes nothing. */
static size_t count_newcomers(PGconn *connection, const struct reap_options *o, const struct reap_view *before)
{
	struct reap_view after;
	bool usage;
	char error[1000];
	size_t count = 0;

	if (reap_look(connection, o, &after, &usage, error, sizeof error)) {
		for (size_t i = 0; i < after.count; i++)
			count += after.sessions[i].began > before->clock && resembles(&after.sessions[i], before);
	}
	reap_view_fini(&after);
	return count;
}

static int reap(PGconn *connection, const struct reap_options *o)
{
	struct reap_view view;
	char error[1000];
	enum reap_status status;
	size_t came_back = 0;
	bool usage, acted = true;

	if (!reap_look(connection, o, &view, &usage, error, sizeof error)) {
		reap_view_fini(&view);
		return fail(error, usage ? REAP_USAGE : REAP_FAILED);
	}
	if (!o->json)
		reap_show_plan(o, &view);
	if (o->execute && view.goes > 0) {
		acted = reap_act(connection, o, &view, error, sizeof error);
		if (acted)
			came_back = count_newcomers(connection, o, &view);
		if (!o->json)
			reap_show_outcomes(&view, came_back);
	}
	status = acted ? status_of(o, &view) : REAP_FAILED;
	if (o->json)
		reap_show_json(o, &view, came_back, status);
	reap_view_fini(&view);
	return acted ? (int)status : fail(error, status);
}

int main(int argc, char **argv)
{
	static char name[] = "pgweir reap"; /* what getopt begins its complaints with */
	struct reap_options options;
	char error[400];
	PGconn *connection;
	int status = REAP_DONE;

	process_standard(name);
	if (argc > 0)
		argv[0] = name;
	if (!reap_options_read(argc, argv, &options, error, sizeof error)) {
		if (error[0])
			fail(error, REAP_USAGE);
		manual_unknown_option("reap", argv, error[0] ? 0 : optind);
		status = REAP_USAGE;
	} else if (options.help) {
		manual_help("reap", stdout);
	} else if ((connection = connect(&options, &status)) != NULL) {
		status = reap(connection, &options);
		PQfinish(connection);
	}
	reap_options_fini(&options);
	return status;
}
