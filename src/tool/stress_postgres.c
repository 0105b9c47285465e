#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <libpq-fe.h>

#include "base/check.h"
#include "base/text.h"
#include "io/terminal.h"
#include "tool/memory.h"
#include "tool/stress_cancel.h"
#include "tool/stress_load.h"

/* Visitors who speak PostgreSQL: the pooler can be tested with no application in front of it. libpq does the talking and never waits;
 * one poll looks at all of them. */

#define MESSAGE_MAX 8192

struct postgres {
	struct pollfd *waited;
	struct visitor **whose;
	struct cancels *cancels;
};

/* What each of them says instead of --message. The lock is one that nobody waits for, of its own for each visitor. */
static const char rest_in_transaction[] = "BEGIN; SELECT 1";
static const char leave_state[] =
	"SET statement_timeout = '4711s'; SELECT pg_catalog.pg_try_advisory_lock(4711, {{i}});"
	" PREPARE pgweir_stress_{{i}} AS SELECT 1; CREATE TEMPORARY TABLE pgweir_stress_{{i}} (line text)";
static const char copy_out[] = "COPY (SELECT pg_catalog.generate_series(1, 1000000000)) TO STDOUT";
static const char copy_in[] = "BEGIN; CREATE TEMPORARY TABLE pgweir_stress_copy (line text) ON COMMIT DROP;"
			      " COPY pgweir_stress_copy FROM STDIN";

bool postgres_start(struct load *l, char *error, size_t error_size)
{
	struct postgres *way = memory_new(1, sizeof *way);

	(void)error;
	(void)error_size;
	way->waited = memory_new(l->count, sizeof *way->waited);
	way->whose = memory_new(l->count, sizeof *way->whose);
	way->cancels = cancels_new();
	l->way = way;
	return true;
}

static void ignore_notice(void *unused, const char *words)
{
	(void)unused;
	(void)words;
}

/* One line, without what libpq says about where it asked. */
static const char *words_of(const char *said)
{
	static char line[STRESS_TEXT];
	const char *fatal = strstr(said, "FATAL:");

	if (!fatal)
		fatal = said;
	text_copy_span(line, sizeof line, text_trim(span_of(fatal, strcspn(fatal, "\n"))));
	return line[0] ? line : "the connection was lost";
}

bool postgres_open(struct visitor *v)
{
	const char *const keys[] = { "fallback_application_name", "dbname", NULL };
	const char *const values[] = { "stress", v->load->plan->url, NULL };
	PGconn *connection = PQconnectStartParams(keys, values, 1);

	if (!connection || PQstatus(connection) == CONNECTION_BAD) {
		visitor_failed(v, connection ? words_of(PQerrorMessage(connection)) : "out of memory");
		PQfinish(connection);
		return false;
	}
	PQsetNoticeProcessor(connection, ignore_notice, NULL);
	v->connection = connection;
	v->started = v->preparing = v->expected = false;
	return true;
}

void postgres_close(struct visitor *v, enum goodbye goodbye)
{
	if (!v->connection)
		return;
	if (goodbye != GOODBYE)
		socket_cut(PQsocket(v->connection), goodbye == GOODBYE_RESET);
	PQfinish(v->connection);
	v->connection = NULL;
}

/* Not more of it. */
static void lose(struct visitor *v)
{
	char words[STRESS_TEXT];
	bool in = v->state != VISITOR_OPENING;

	text_copy(words, sizeof words, words_of(PQerrorMessage(v->connection)));
	postgres_close(v, GOODBYE);
	if (in)
		visitor_dropped(v, words);
	else
		visitor_failed(v, words);
}

bool postgres_cancel(struct visitor *v)
{
	struct postgres *way = v->load->way;

	return cancels_send(way->cancels, v->connection);
}

/* What it has to say, and nothing where it has said it. */
static const char *words_for(const struct visitor *v)
{
	switch (v->abuse) {
	case ABUSE_TRANSACTION:
		return v->started ? NULL : rest_in_transaction;
	case ABUSE_STATE:
		return v->started ? NULL : leave_state;
	case ABUSE_COPY:
		return v->serial % 2 ? copy_out : copy_in;
	default:
		return v->load->plan->message;
	}
}

#define STATEMENT_NAME "pgweir_stress"

static int send_words(struct visitor *v, const char *words)
{
	char message[MESSAGE_MAX];

	if (v->load->plan->prepared && words == v->load->plan->message && v->started)
		return PQsendQueryPrepared(v->connection, STATEMENT_NAME, 0, NULL, NULL, NULL, 0);
	visitor_fill(v, words, message, sizeof message);
	v->started = true;
	if (!v->load->plan->prepared || words != v->load->plan->message)
		return PQsendQuery(v->connection, message);
	v->preparing = true;
	return PQsendPrepare(v->connection, STATEMENT_NAME, message, 0, NULL);
}

bool postgres_ask(struct visitor *v)
{
	const char *words = words_for(v);

	if (!words)
		return true; /* and rests */
	if (!send_words(v, words)) {
		lose(v);
		return false;
	}
	visitor_asked(v);
	return true;
}

static void hear(struct visitor *v, const PGresult *result)
{
	for (int row = 0; row < PQntuples(result); row++) {
		for (int column = 0; column < PQnfields(result); column++) {
			visitor_parted(v);
			visitor_heard(
				v, span_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)));
		}
	}
}

/* All rows that have come. False: not the last one. */
static bool take_rows(struct visitor *v)
{
	char *row = NULL;
	int length;

	while ((length = PQgetCopyData(v->connection, &row, 1)) > 0) {
		visitor_heard(v, span_of(row, (size_t)length));
		PQfreemem(row);
	}
	return length < 0;
}

/* Some rows, and no end of them; whoever asks so goes away before it. False: nobody has rows to give. */
static bool give_rows(struct visitor *v)
{
	if (v->abuse != ABUSE_COPY) {
		postgres_close(v, GOODBYE);
		visitor_dropped(v,
			"COPY ... FROM STDIN wants rows, and there are none; what can be asked is COPY ... TO STDOUT");
		return false;
	}
	PQputCopyData(v->connection, "a\nb\nc\n", 6);
	PQflush(v->connection);
	return true;
}

/* The end of what was asked. */
static void finish(struct visitor *v)
{
	if (v->preparing && !v->refusal[0]) {
		v->preparing = false;
		if (!PQsendQueryPrepared(v->connection, STATEMENT_NAME, 0, NULL, NULL, NULL, 0))
			lose(v);
		return;
	}
	v->started = v->started && !v->preparing;
	v->preparing = false;
	visitor_answered(v, !v->refusal[0], v->refusal);
}

static void take_result(struct visitor *v, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		hear(v, result);
	else if (v->abuse != ABUSE_CANCEL || !state || strcmp(state, "57014") != 0) /* query_canceled, as was wished */
		text_copy(v->refusal, sizeof v->refusal, words_of(PQresultErrorMessage(result)));
}

static void advance(struct visitor *v)
{
	PGconn *connection = v->connection;

	if (!PQconsumeInput(connection)) {
		lose(v);
		return;
	}
	while (v->state == VISITOR_ASKING && v->connection && !PQisBusy(connection)) {
		PGresult *result = PQgetResult(connection);
		ExecStatusType status = PQresultStatus(result);

		if (!result) {
			finish(v);
			continue;
		}
		if (status == PGRES_COPY_OUT ? !take_rows(v) : status == PGRES_COPY_IN && give_rows(v)) {
			PQclear(result);
			return; /* libpq gives this result again and again, until the COPY is over */
		}
		if (status != PGRES_COPY_OUT && status != PGRES_COPY_IN)
			take_result(v, result);
		PQclear(result);
		if (v->connection && PQstatus(connection) == CONNECTION_BAD)
			lose(v);
	}
	if (v->connection && PQstatus(connection) == CONNECTION_BAD)
		lose(v);
}

static short events_of(const struct visitor *v)
{
	if (!v->connection)
		return 0;
	if (v->state == VISITOR_OPENING)
		return v->expected ? POLLIN : POLLOUT; /* what libpq wanted last */
	if (v->abuse == ABUSE_STOP_READING && v->state == VISITOR_ASKING)
		return 0;
	return POLLIN;
}

static void login(struct visitor *v)
{
	switch (PQconnectPoll(v->connection)) {
	case PGRES_POLLING_OK:
		visitor_opened(v);
		break;
	case PGRES_POLLING_READING:
		v->expected = true;
		break;
	case PGRES_POLLING_FAILED:
		lose(v);
		break;
	default:
		v->expected = false;
		break;
	}
}

void postgres_turn(struct load *l, time_us most)
{
	struct postgres *way = l->way;
	nfds_t count = 0;

	for (unsigned i = 0; i < l->count; i++) {
		struct visitor *v = &l->visitors[i];
		short events = events_of(v);

		if (!events)
			continue;
		way->waited[count] = (struct pollfd){ .fd = PQsocket(v->connection), .events = events };
		way->whose[count++] = v;
	}
	if (poll(way->waited, count, (int)(most / MILLISECOND_US)) <= 0)
		return;
	for (nfds_t i = 0; i < count; i++) {
		struct visitor *v = way->whose[i];

		if (!way->waited[i].revents || !v->connection)
			continue;
		if (v->state == VISITOR_OPENING)
			login(v);
		else
			advance(v);
	}
}

void postgres_end(struct load *l)
{
	struct postgres *way = l->way;

	for (unsigned i = 0; i < l->count; i++)
		postgres_close(&l->visitors[i], GOODBYE);
	free(way->waited);
	cancels_free(way->cancels);
	free(way->whose);
	free(way);
}
