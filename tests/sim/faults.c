/* What goes wrong, and when: drawn from the seed. Runs that are `plain` have none of it. */
#include <errno.h>

#include "fakeio.h"
#include "house.h"

static bool active;
static time_us interval_most;
static unsigned weights[11];

enum fault { STALL, CUT_SERVER, TERMINATE, VANISH, RESTART, CRASH, FULL, SLOW, RELOAD, CUT_CLIENT, OTHERS };

static struct wire *some_wire(bool to_server)
{
	struct wire *chosen = NULL;
	unsigned n = 0;

	for (struct wire *w = wires(); w; w = w->next) {
		/* Whose it is shows before PostgreSQL has heard of it: a dial may be cut too. */
		if (w->cut || w->ends[0].closed || w->ends[1].closed || w->to_postgres != to_server)
			continue;
		if (pick(++n) == 0)
			chosen = w;
	}
	return chosen;
}

static struct backend *some_backend(void)
{
	struct backend *chosen = NULL;
	unsigned n = 0;

	for (struct backend *b = cluster.backends; b; b = b->next)
		if (b->state == BACKEND_READY && pick(++n) == 0)
			chosen = b;
	return chosen;
}

static void room_again(void *who, uint64_t what)
{
	(void)who;
	(void)what;
	cluster_room(cluster.usual);
	story("pg: has room again");
}

static void quick_again(void *who, uint64_t what)
{
	(void)who;
	(void)what;
	cluster.think_least = 1;
	cluster.think_most = 200;
}

static void do_fault(enum fault fault)
{
	struct wire *w;
	struct backend *b;

	switch (fault) {
	case STALL:
		if ((w = some_wire(chance(500)))) {
			story("fault: wire %u stalls", w->number);
			wire_stall(w, between(1000, 3 * SECOND_US));
		}
		break;
	case CUT_SERVER:
		if ((w = some_wire(true))) {
			story("fault: wire %u to the server is cut", w->number);
			world.server_faults++;
			wire_cut(w, between(1, 10 * SECOND_US), between(1, 20 * SECOND_US),
				chance(500) ? ETIMEDOUT : EHOSTUNREACH);
		}
		break;
	case CUT_CLIENT:
		if ((w = some_wire(false))) {
			story("fault: wire %u to a client is cut", w->number);
			world.client_faults++;
			wire_cut(w, between(1, 10 * SECOND_US), between(1, 20 * SECOND_US), ETIMEDOUT);
		}
		break;
	case TERMINATE:
		if ((b = some_backend()))
			backend_terminate(b);
		break;
	case VANISH:
		if ((b = some_backend()))
			backend_vanish(b);
		break;
	case RESTART:
		if (!cluster.down && !cluster.starting)
			cluster_restart(between(1000, 4 * SECOND_US));
		break;
	case CRASH:
		if (!cluster.down && !cluster.starting)
			cluster_crash(between(1000, 4 * SECOND_US));
		break;
	case FULL:
		cluster_room((unsigned)pick(cluster.counted + cluster.others + 2));
		story("fault: pg: has room for %u", cluster.max_connections);
		world_after(between(1000, 5 * SECOND_US), room_again, NULL, 0);
		break;
	case SLOW:
		cluster.think_least = 1000;
		cluster.think_most = between(2000, 300 * MILLISECOND_US);
		world_after(between(1000, 3 * SECOND_US), quick_again, NULL, 0);
		break;
	case RELOAD:
		house_reload();
		break;
	case OTHERS:
		if (house_is_monitored())
			cluster_others((unsigned)pick(cluster.usual));
		break;
	}
}

static void something_happens(void *who, uint64_t what)
{
	unsigned total = 0, i;
	uint64_t at;

	(void)who;
	(void)what;
	if (!active)
		return;
	for (i = 0; i < sizeof weights / sizeof *weights; i++)
		total += weights[i];
	if (total > 0) {
		at = pick(total);
		for (i = 0; at >= weights[i]; i++)
			at -= weights[i];
		do_fault((enum fault)i);
	}
	world_after(between(1, interval_most), something_happens, NULL, 0);
}

void faults_begin(void)
{
	world.trouble = (struct trouble){
		.fragment = chance(300) ? 0 : (unsigned)pick(800),
		.short_read = chance(300) ? 0 : (unsigned)pick(700),
		.short_write = chance(300) ? 0 : (unsigned)pick(500),
		.refuse_memory = (unsigned)pick(3000),
	};
	for (unsigned i = 0; i < sizeof weights / sizeof *weights; i++)
		weights[i] = chance(500) ? (unsigned)pick(10) : 0;
	weights[RESTART] /= 3;
	weights[CRASH] /= 3;
	interval_most = chance(500) ? 300 * MILLISECOND_US : 3 * SECOND_US;
	fakeio_set_resolver(world.plain ? 0 : chance(200) ? 200 : 0);
	active = !world.plain;
	if (active)
		world_after(between(1, SECOND_US), something_happens, NULL, 0);
}

void faults_end(void)
{
	active = false;
	fakeio_set_resolver(0);
	cluster_room(cluster.usual);
	cluster_others(0);
	cluster.think_least = 1;
	cluster.think_most = 200;
}
