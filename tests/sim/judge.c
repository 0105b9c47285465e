/* The judge. It sees both sides: what PostgreSQL gets, what clients get, and, between turns, the books of workers and core, which
 * must tell the same story. Here is what it judges by: the limits in force, and those that were before.
 *
 * A run is a process of its own, so whatever the judge remembers begins at zero. */
#include "base/check.h"
#include "judge_parts.h"
#include "serve/worker.h"

/* For so long after a reload a server may still arrive that was dialed before it. */
#define LIMITS_GRACE (20 * SECOND_US)

struct judge judge;

void judge_begin(struct house *house, const struct limits *l)
{
	judge = (struct judge){ .greets = judge.greets,
		.house = house,
		.limits = *l,
		.old_limits = *l,
		.limits_since = world.now,
		.began_at = world.now };
}

static unsigned larger(unsigned limit, unsigned other)
{
	return limit > other ? limit : other;
}

/* 0: there is none. */
static unsigned looser(unsigned limit, unsigned other)
{
	return limit == 0 || other == 0 ? 0 : larger(limit, other);
}

static unsigned named_size(const struct limits *l)
{
	return l->named_size ? l->named_size : l->pool_size;
}

struct limits judge_bounds(void)
{
	struct limits bounds = judge.limits;

	if (world.now < judge.limits_since + LIMITS_GRACE) {
		bounds.named_size = larger(named_size(&bounds), named_size(&judge.old_limits));
		bounds.pool_size = looser(bounds.pool_size, judge.old_limits.pool_size);
		bounds.database_max = looser(bounds.database_max, judge.old_limits.database_max);
		bounds.user_max = looser(bounds.user_max, judge.old_limits.user_max);
		bounds.origin_servers_max = looser(bounds.origin_servers_max, judge.old_limits.origin_servers_max);
		bounds.reserve = larger(bounds.reserve, judge.old_limits.reserve);
	}
	return bounds;
}

void judge_limits(const struct limits *l)
{
	judge.old_limits = judge_bounds();
	judge.limits = *l;
	/* What ends somebody may have been set when his time began. */
#define EVER(field) \
	judge.limits.field = judge.limits.field > judge.old_limits.field ? judge.limits.field : judge.old_limits.field
	EVER(query_wait_timeout);
	EVER(query_timeout);
	EVER(idle_transaction_timeout);
	EVER(transaction_timeout);
	EVER(client_idle_timeout);
	if (judge.old_limits.login_timeout < judge.limits.login_timeout)
		judge.limits.login_timeout = judge.old_limits.login_timeout;
	judge.limits_since = world.now;
}

void judge_removed(const char *database)
{
	judge.removed = database;
	judge.removes = judge.removes || database;
}

void judge_greets(const char *database)
{
	judge.greets = database;
}

void judge_step(void)
{
	core_audit(judge.house->core);
	if (judge_books())
		judge_order();
}

void judge_rest(void)
{
	struct totals_picture totals;
	unsigned backends = 0;

	core_totals(judge.house->core, &totals);
	for (struct backend *b = cluster.backends; b; b = b->next) {
		backends += judge_counts(b) && !b->monitor && !b->aside;
		if (b->replicates && judge_counts(b))
			broken("a connection for replication ends with its client", "backend %u of c%d is there",
				b->process, b->only);
	}
	if (totals.clients != 0 || totals.lent != 0 || totals.waiting != 0)
		broken("who leaves leaves nothing behind", "%u clients, %u leases, %u waiting", totals.clients,
			totals.lent, totals.waiting);
	for (uint32_t i = 0; i < judge.house->worker_count; i++) {
		uint32_t slot = 0;
		struct guest *g = slots_next(&judge.house->workers[i]->guests, &slot);

		if (g)
			broken("who leaves leaves nothing behind",
				"worker %u still has %u clients, one in state %u by wire %u", i,
				judge.house->workers[i]->guests.used, g->state, stream_peer(g->stream)->port - 1024u);
	}
	if (backends > totals.servers)
		broken("PostgreSQL has no more backends than the pools' idle servers", "%u backends, %u servers",
			backends, totals.servers);
}
