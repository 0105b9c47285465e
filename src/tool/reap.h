#ifndef PGWEIR_TOOL_REAP_H
#define PGWEIR_TOOL_REAP_H

#include <stdint.h>
#include <stdio.h>
#include <libpq-fe.h>

#include "base/span.h"
#include "base/time.h"

/* `pgweir reap`: ends sessions that were left behind, and no others. What the parts of the program share. */

/* The exit status, as doc/reap.md tells it. */
enum reap_status {
	REAP_DONE = 0,       /* nothing matched, or with --execute: what was acted on is gone */
	REAP_FAILED = 1,     /* could not look, or lost the connection */
	REAP_USAGE = 2,      /* the command line makes no sense, or asks for too much */
	REAP_STAYED = 3,     /* with --execute: something that was to end is still there */
	REAP_CANDIDATES = 4, /* without --execute: something would end */
};

/* Words of the command line, borrowed from it. */
struct reap_list {
	const char **words;
	size_t count;
};

struct reap_options {
	const char *url;
	time_us idle, in_transaction, active;         /* how long is too long; 0: such sessions are not meant */
	int64_t writing_times;                        /* a transaction that has written may be older by this factor */
	struct reap_list users, databases, addresses; /* empty: all */
	struct reap_list applications;                /* may hold * */
	struct reap_list allowed, poolers;            /* names of applications (may hold *) and addresses that stay */
	bool everyone, execute, json, literals, help;
	int64_t limit;
	time_us wait, pause;
	FILE *audit; /* where reap_act tells what it did; borrowed */
};

/* How old is too old, where nothing else was said. */
#define REAP_IDLE           (600 * SECOND_US)
#define REAP_IN_TRANSACTION (300 * SECOND_US)

/* What holds where the command line says nothing: no ages, nobody, standard error for the audit. */
void reap_options_init(struct reap_options *);

/* Read the command line. False: `error` says what is wrong with it. The lists go with reap_options_fini. */
bool reap_options_read(int argc, char **argv, struct reap_options *, char *error, size_t error_size);
void reap_options_fini(struct reap_options *);

enum reap_rule { RULE_NONE, RULE_IDLE, RULE_READING, RULE_WRITING, RULE_ACTIVE };

enum reap_outcome {
	OUTCOME_NONE,      /* not acted on */
	OUTCOME_ENDED,     /* not in pg_stat_activity any more, after our signal */
	OUTCOME_CANCELLED, /* its statement ended after our signal; the session lives */
	OUTCOME_SPARED,    /* it did something, or came under a guard, after it was listed */
	OUTCOME_GONE,      /* it ended by itself before our turn */
	OUTCOME_STAYED,    /* signalled, and still there after --wait */
	OUTCOME_REFUSED,   /* PostgreSQL would not signal it */
};

/* One row of pg_stat_activity. Texts are the server's bytes, never to be shown as they are. */
struct reap_session {
	int pid;
	struct span user, database, application, state, query;
	const char *address; /* "10.0.0.7:1234", "local", or "" when not to be seen */
	int64_t began,
		changed; /* microseconds of PostgreSQL's clock; with the pid they name this session in this state */
	time_us age, threshold;            /* since the last change of state; what is allowed */
	time_us transaction_age, lifetime; /* since the transaction began, or -1; login to the last change of state */
	enum reap_rule rule;
	bool writing;
	int64_t blocks, xmin_age; /* who waits for its locks; how far it holds back vacuum, or -1 */
	const char *verdict;      /* REAP_GO, or why it stays: reap_reason tells in words */
	enum reap_outcome outcome;
	char note[300]; /* more about the outcome */
	time_us took;
};

#define REAP_GO        "go"
#define REAP_OVERLIMIT "limit"

/* One look at the server. */
struct reap_view {
	PGresult *result; /* owns the sessions' texts */
	struct reap_session *sessions;
	size_t count; /* in the order in which they would end; those that stay come behind */
	size_t goes;  /* the first so many */
	size_t outside, background, hidden;
	int64_t clock;                           /* PostgreSQL's, in microseconds */
	char version[40], user[80], address[80]; /* shown already */
	bool superuser, sees_all, standby;
	int64_t slots, used, kept_superuser, kept_role; /* max_connections, and so on */
};

/* Look. False: `error`; `usage` when the command line is to blame. */
bool reap_look(PGconn *, const struct reap_options *, struct reap_view *, bool *usage, char *error, size_t error_size);
void reap_view_fini(struct reap_view *);

/* Why it stays, as a sentence without a full stop. */
const char *reap_reason(const struct reap_session *, char *out, size_t size);

/* Ask to signal this session if it is still what it was, all in one statement; the answer goes to its outcome and note, OUTCOME_NONE
 * when the signal was sent. False: the connection is lost, `error`. */
bool reap_signal(
	PGconn *, const struct reap_options *, struct reap_session *, bool cancel, char *error, size_t error_size);

/* Whether the session still exists, and whether it still is in the same state. False: the connection is lost, `error`. */
struct reap_trace {
	bool exists, same;
	char doing[120]; /* its state and what it waits for, shown already */
};
bool reap_trace(PGconn *, const struct reap_session *, struct reap_trace *, char *error, size_t error_size);

/* Act on those that go, one after another. False: the connection was lost, `error`; what was done is in the outcomes. */
bool reap_act(PGconn *, const struct reap_options *, struct reap_view *, char *error, size_t error_size);

/* Evidence against one that goes, as a sentence without a full stop. */
const char *reap_evidence(const struct reap_session *, char *out, size_t size);

/* Its outcome, as a sentence without a full stop. */
const char *reap_outcome(const struct reap_session *, char *out, size_t size);

/* The table of what goes and what stays, before anything is done; and what came of it. */
void reap_show_plan(const struct reap_options *, const struct reap_view *);
void reap_show_outcomes(const struct reap_view *, size_t came_back);

/* All of it as one JSON document. */
void reap_show_json(const struct reap_options *, const struct reap_view *, size_t came_back, enum reap_status);

/* One line of JSON on `audit` of the options: who did what to whom, on what evidence, and what came of it. */
void reap_audit(const struct reap_options *, const struct reap_view *, const struct reap_session *);

#endif
