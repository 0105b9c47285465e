#include "tool/connect.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/clock.h"

/* libpq's own waits have no end when a server stops answering, so nothing here waits inside libpq: it is asked to begin, and poll
 * waits for its socket until a deadline. Only the look-up of a host name blocks as long as the system's resolver does.
 *
 * What a stranger may put into a database must not reach an administrator's session: search_path names pg_catalog first and pg_temp
 * last, so that no function, operator or view of the same name in `public` is ever taken for PostgreSQL's own. */

/* The way out when a server is silent: asked, it would have ended the statement itself by then. */
#define ANSWER_US ((CONNECT_STATEMENT_SECONDS + 5) * SECOND_US)

static const char prepare_session[] = "SET search_path = pg_catalog, pg_temp;"
				      "SET client_encoding = 'SQL_ASCII'; SET standard_conforming_strings = on;"
				      "SET DateStyle = 'ISO'; SET TimeZone = 'UTC';"
				      "SET lock_timeout = '2s';"
				      "SET statement_timeout = '15s'";

_Static_assert(CONNECT_STATEMENT_SECONDS == 15, "as in prepare_session");

/* False: the deadline came first. */
static bool wait_for(int descriptor, short events, time_us deadline)
{
	for (;;) {
		struct pollfd waited = { .fd = descriptor, .events = events };
		time_us left = deadline - clock_now();
		int n;

		if (left <= 0)
			return false;
		n = poll(&waited, 1, (int)(left / MILLISECOND_US + 1));
		if (n > 0 || (n < 0 && errno != EINTR))
			return true; /* libpq will say what is wrong with it */
	}
}

void connect_rest(time_us duration)
{
	time_us until = clock_now() + duration;

	for (;;) {
		time_us left = until - clock_now();

		if (left <= 0)
			return;
		poll(NULL, 0, (int)(left / MILLISECOND_US + 1));
	}
}

/* libpq would print them as they are. */
static void ignore_notice(void *unused, const char *words)
{
	(void)unused;
	(void)words;
}

/* libpq's text without the lines about PostgreSQL's source code, without a newline at the end, and, since nobody knows yet whether it
 * is PostgreSQL that speaks, without what a terminal obeys: it keeps its lines, and whatever else controls becomes a question mark. */
static void copy_words(char *out, size_t size, const char *words)
{
	const char *location = strstr(words, "\nLOCATION:");
	struct span text = span_of(words, location ? (size_t)(location - words) : strlen(words));

	text_copy_span(out, size, text_trim(text));
	for (; *out; out++) {
		uint8_t c = (uint8_t)out[0], next = (uint8_t)out[1];

		if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			out[0] = out[1] = '?';
		else if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			out[0] = '?';
	}
}

static void fail(struct connect_error *error, enum connect_trouble trouble, const char *words, const char *advice)
{
	size_t n;

	error->trouble = trouble;
	copy_words(error->text, sizeof error->text, words);
	n = strlen(error->text);
	text_format(error->text + n, sizeof error->text - n, "%s%s", *advice ? "\n" : "", advice);
}

static const char advice_when_full[] =
	"PostgreSQL is full for this role. Its last slots are kept: superuser_reserved_connections (3 unless changed)\n"
	"for superusers and, since PostgreSQL 16, reserved_connections for members of pg_use_reserved_connections.\n"
	"Log in as one of those, for example over the unix socket: postgresql://postgres@/postgres?host=/run/postgresql";

/* What to do next, by the words of the failure. */
static void explain(PGconn *connection, struct connect_error *error)
{
	const char *words = PQerrorMessage(connection);

	if (strstr(words, "53300"))
		fail(error, CONNECT_FULL, words, advice_when_full);
	else if (PQconnectionNeedsPassword(connection))
		fail(error, CONNECT_FAILED, words,
			"A password is wanted: put it into ~/.pgpass or PGPASSWORD, where nobody's ps shows it.");
	else if (strstr(words, "28P01"))
		fail(error, CONNECT_FAILED, words, "Look at the user and the password (PGPASSWORD, ~/.pgpass).");
	else if (strstr(words, "28000"))
		fail(error, CONNECT_FAILED, words,
			"There is no such role, or pg_hba.conf does not let it in from here.");
	else if (strstr(words, "3D000"))
		fail(error, CONNECT_FAILED, words, "Any database will do; \"postgres\" is nearly always there.");
	else
		fail(error, CONNECT_FAILED, words, "Is PostgreSQL there, and is the address right?");
}

bool connect_reads(const char *url, struct connect_error *error)
{
	char *words = NULL;
	PQconninfoOption *options = PQconninfoParse(url, &words);

	if (!options) {
		fail(error, CONNECT_BAD_URL, words ? words : "out of memory",
			"A URL is postgresql://USER@HOST:PORT/DATABASE, or host=... port=... user=... dbname=...");
		PQfreemem(words);
		return false;
	}
	PQconninfoFree(options);
	return true;
}

static PGconn *start(const char *url, const char *program, struct connect_error *error)
{
	/* The URL wins over what stands before it, and loses to what stands behind it. */
	const char *const keys[] = { "fallback_application_name", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname", NULL };
	const char *const values[] = { program, "5", "2", "3", "10000", url, NULL };
	PGconn *connection;

	if (!connect_reads(url, error))
		return NULL;
	connection = PQconnectStartParams(keys, values, 1);
	if (!connection || PQstatus(connection) == CONNECTION_BAD) {
		fail(error, CONNECT_FAILED, connection ? PQerrorMessage(connection) : "out of memory", "");
		PQfinish(connection);
		return NULL;
	}
	/* So that a refused login tells its SQLSTATE, whatever language the server speaks. */
	PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
	return connection;
}

PGconn *connect_open(const char *url, const char *program, time_us most, struct connect_error *error)
{
	time_us deadline = clock_now() + most;
	PGconn *connection = start(url, program, error);
	PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
	char words[1000];

	if (!connection)
		return NULL;
	while (wants != PGRES_POLLING_OK && wants != PGRES_POLLING_FAILED) {
		if (!wait_for(PQsocket(connection), wants == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
			text_format(words, sizeof words, "connection to \"%s\", port %s: no answer within %d s",
				PQhost(connection), PQport(connection), (int)(most / SECOND_US));
			fail(error, CONNECT_FAILED, words, "Is PostgreSQL there, and is the address right?");
			goto failed;
		}
		wants = PQconnectPoll(connection);
	}
	if (wants == PGRES_POLLING_FAILED) {
		explain(connection, error);
		goto failed;
	}
	PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
	PQsetNoticeProcessor(connection, ignore_notice, NULL);
	error->trouble = CONNECT_FINE;
	return connection;
failed:
	PQfinish(connection);
	return NULL;
}

bool connect_prepare(PGconn *connection, char *error, size_t error_size)
{
	PGresult *result = connect_ask(connection, prepare_session, 0, NULL, NULL, error, error_size);

	PQclear(result);
	return result != NULL;
}

bool connect_is_direct(PGconn *connection, char *error, size_t error_size)
{
	PGresult *result = connect_ask(connection, "SELECT pg_backend_pid()", 0, NULL, NULL, error, error_size);
	bool direct;

	if (!result)
		return false;
	error[0] = 0;
	direct = PQntuples(result) == 1 && strtol(PQgetvalue(result, 0, 0), NULL, 10) == PQbackendPID(connection);
	PQclear(result);
	return direct;
}

bool connect_lives(const PGconn *connection)
{
	return PQstatus(connection) == CONNECTION_OK;
}

/* The last result, or NULL when none came in time. */
static PGresult *collect(PGconn *connection, time_us deadline)
{
	PGresult *last = NULL, *next;

	for (;;) {
		while (PQisBusy(connection)) {
			if (!wait_for(PQsocket(connection), POLLIN, deadline)) {
				PQclear(last);
				return NULL;
			}
			if (!PQconsumeInput(connection))
				break;
		}
		next = PQgetResult(connection);
		if (!next)
			return last;
		/* After a failure nothing that came later is better. */
		if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
			PQclear(next);
			continue;
		}
		PQclear(last);
		last = next;
	}
}

PGresult *connect_ask(PGconn *connection, const char *sql, int count, const char *const *values, char sqlstate[6],
	char *error, size_t error_size)
{
	PGresult *result;
	int sent;

	if (sqlstate)
		sqlstate[0] = 0;
	sent = count > 0 ? PQsendQueryParams(connection, sql, count, NULL, values, NULL, NULL, 0)
			 : PQsendQuery(connection, sql);
	if (!sent) {
		copy_words(error, error_size, PQerrorMessage(connection));
		return NULL;
	}
	result = collect(connection, clock_now() + ANSWER_US);
	if (!result) {
		text_format(error, error_size, "PostgreSQL did not answer within %d s", (int)(ANSWER_US / SECOND_US));
		return NULL;
	}
	if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
		return result;
	if (sqlstate && PQresultErrorField(result, PG_DIAG_SQLSTATE))
		text_copy(sqlstate, 6, PQresultErrorField(result, PG_DIAG_SQLSTATE));
	copy_words(error, error_size, PQresultErrorMessage(result));
	PQclear(result);
	return NULL;
}
