#include "tool/init_plan.h"

#include <math.h>
#include <string.h>

#include "tool/doctor_rules.h"

/* The rules of doc/sizing.md:
 *
 *   usable   max_connections - reserved - head-room (a tenth, at least 5)
 *   most     usable - who stays past pgweir; CONNECTION LIMIT of role and database, less one for the monitoring connection
 *   good     2 x cores + 1
 *   need     L + 2 sqrt(L), L: connections at work or in a transaction at a time
 *   pool     the larger of good and need, no more than most
 *   reserve  a quarter of the pool, as far as there is room */

#define GOOD_UNKNOWN  20
#define POOL_LEAST    5
#define CLIENTS_LEAST 1000

static void count_sessions(const struct server_facts *server, struct init_plan *plan)
{
	for (size_t i = 0; i < server->session_count; i++) {
		const struct session *s = &server->sessions[i];

		if (s->ours)
			continue;
		if (strcmp(s->user, server->user) == 0 && strcmp(s->database, server->database) == 0)
			plan->own++;
		else
			plan->direct++;
	}
}

static void apply_limit(struct init_plan *plan, int limit, bool is_role)
{
	/* One of them is the monitoring connection's. */
	if (limit <= 0 || limit - 1 >= plan->most)
		return;
	plan->most = limit - 1;
	plan->limit = limit;
	plan->limit_is_role = is_role;
}

void init_plan_make(const struct server_facts *server, int cores, struct init_plan *plan)
{
	double concurrency = server->active + server->in_transaction;

	*plan = (struct init_plan){ .usable = server_usable(server) };
	count_sessions(server, plan);
	plan->most = plan->usable - plan->direct;
	apply_limit(plan, server->role_limit, true);
	apply_limit(plan, server->database_limit, false);
	if (plan->most < 1)
		plan->most = 1;
	plan->good = cores > 0 ? 2 * cores + 1 : GOOD_UNKNOWN;
	if (server->sees_all && server->samples > 0 && concurrency > 0)
		plan->need = (int)ceil(concurrency + 2 * sqrt(concurrency));
	plan->pool = plan->good > plan->need ? plan->good : plan->need;
	if (plan->pool < POOL_LEAST)
		plan->pool = POOL_LEAST;
	if (plan->pool > plan->most)
		plan->pool = plan->most;
	plan->reserve = plan->pool / 4;
	if (plan->reserve > plan->most - plan->pool)
		plan->reserve = plan->most - plan->pool;
	/* Twice what there is now, for a deploy, and a fifth more. */
	plan->clients = plan->own * 24 / 10;
	if (plan->clients < CLIENTS_LEAST)
		plan->clients = CLIENTS_LEAST;
}
