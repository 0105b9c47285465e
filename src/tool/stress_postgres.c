#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <libpq-fe.h>

#include "base/check.h"
#include "base/text.h"
#include "io/terminal.h"
#include "tool/memory.h"
#include "tool/stress_load.h"

/* Visitors who speak PostgreSQL: the pooler can be tested with no application in front of it. libpq does the talking and never waits;
 * one poll looks at all of them. */

#define MESSAGE_MAX 8192

struct postgres {
	struct pollfd *waited;
	struct visitor **whose;
};

bool postgres_start(struct load *l, char *error, size_t error_size)
{
	struct postgres *way = memory_new(1, sizeof *way);

	(void)error;
	(void)error_size;
	way->waited = memory_new(l->count, sizeof *way->waited);
	way->whose = memory_new(l->count, sizeof *way->whose);
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
	v->started = v->expected = false;
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

bool postgres_ask(struct visitor *v)
{
	char message[MESSAGE_MAX];

	if (v->abuse == ABUSE_TRANSACTION) {
		if (v->started)
			return true; /* and rests in it */
		v->started = true;
		text_copy(message, sizeof message, "BEGIN; SELECT 1");
	} else {
		visitor_fill(v, v->load->plan->message, message, sizeof message);
	}
	if (!PQsendQuery(v->connection, message)) {
		lose(v);
		return false;
	}
	visitor_asked(v);
	return true;
}

static void hear(struct visitor *v, const PGresult *result)
{
	for (int row = 0; row < PQntuples(result); row++) {
		for (int column = 0; column < PQnfields(result); column++)
			visitor_heard(
				v, span_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)));
	}
}

static void advance(struct visitor *v)
{
	PGconn *connection = v->connection;
	PGresult *result;

	if (!PQconsumeInput(connection)) {
		lose(v);
		return;
	}
	while (v->state == VISITOR_ASKING && !PQisBusy(connection)) {
		ExecStatusType status;

		result = PQgetResult(connection);
		if (!result) {
			visitor_answered(v, !v->refusal[0], v->refusal);
			return;
		}
		status = PQresultStatus(result);
		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
			PQclear(result);
			postgres_close(v, GOODBYE);
			visitor_dropped(v, "a COPY is none of what can be asked here");
			return;
		}
		if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
			text_copy(v->refusal, sizeof v->refusal, words_of(PQresultErrorMessage(result)));
		hear(v, result);
		PQclear(result);
		if (PQstatus(connection) == CONNECTION_BAD) {
			lose(v);
			return;
		}
	}
	if (PQstatus(connection) == CONNECTION_BAD)
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
	free(way->whose);
	free(way);
}
