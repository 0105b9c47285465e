#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

#include "people.h"
#include "postgres.h"

/* What must always hold. Every breach ends the run with the seed. */

struct house;

/* What the configuration in force allows, as the judge counts; kept beside the text that made it. */
struct limits {
	unsigned named_size; /* pool_size of "named"; 0: as the others */
	unsigned pool_size, reserve, database_max, user_max, origin_servers_max, origin_clients_max;
	bool fair;        /* for the whole run, as origin_clients_max */
	bool transparent; /* for the whole run: nobody sees what another left in a session */
	bool budget;      /* the monitor reads, and its budget holds */
	time_us query_wait_timeout, login_timeout, query_timeout, idle_transaction_timeout, transaction_timeout,
		client_idle_timeout;
};
void judge_begin(struct house *, const struct limits *);

/* New limits: for a while, servers that were dialed under the old ones may still arrive. */
void judge_limits(const struct limits *);

/* A RELOAD has left this database without an entry; NULL: none. Whoever is in it is ended, and nobody comes in. */
void judge_removed(const char *database);

/* What connect_query does to servers of this database may be told; of the first of all it does nothing. */
void judge_greets(const char *database);

void judge_statement(struct backend *, const char *text); /* it begins to run */
/* A cancel request hits what it runs, having hit something before (0: nothing). */
void judge_cancelled(struct backend *, const char *text, bool writes, time_us hit_before);
/* It runs what was planned by others or itself, and would be `now` if it were planned now. */
void judge_plan(struct backend *, const struct plan *, const char *now, int tag);
void judge_backend(struct backend *); /* it takes a slot */
void judge_full(struct backend *);    /* there is none for it */
void judge_fatal(struct person *, const char *sqlstate, const char *message);
void judge_hung_up_on(struct person *, bool in_mid_message);

/* Whom the leak guard lets alone. An origin is protected for sure from the answer to PROTECT until somebody asks to release it. */
void judge_protected(unsigned origin, time_us asked_at);
void judge_release_asked(unsigned origin);
void judge_released(unsigned origin); /* that was answered */
void judge_told(struct person *);     /* by the leak guard, that it looks forgotten */

/* After every turn of a worker. */
void judge_step(void);

/* Nothing happens any more, everybody is gone. */
void judge_rest(void);

#endif
