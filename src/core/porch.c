#include <stdlib.h>

#include "core/state.h"

/* What limits the logins of one origin, before the door that is for all.
 *
 *   ENTERS --> porch of its origin --> the door --> login
 *                 waits here while the origin has max_origin_clients, or logs in faster than origin_login_rate
 *
 * So who floods us with logins waits on its own porch, first come, first let in, and the door stays free for the others. A porch
 * counts every client of its origin, parked ones too, from here to LEFT; a record for each origin that has a client, none for each client.
 *
 * The rate is kept with one number (the generic cell rate algorithm, ITU-T I.371): `next_login` is when the next login would be due if they
 * came evenly; each moves it on by one interval, and one may come before it by as much as makes a second's worth at once. */

/* An origin's key is a hash already, and one that no client can foresee. */
static unsigned key_hash(uint64_t key)
{
	return (unsigned)key;
}

struct porch *porch_of(struct core *core, uint64_t origin)
{
	struct porch *porch;

	if (origin == 0)
		return NULL;
	HASH_FIND_BYHASHVALUE(hh, core->porches, &origin, sizeof origin, key_hash(origin), porch);
	if (porch)
		return porch;
	porch = core_memory(sizeof(*porch));
	porch->key = origin;
	link_init(&porch->waiters);
	link_init(&porch->crowded);
	link_init(&porch->lingers);
	HASH_ADD_BYHASHVALUE(hh, core->porches, key, sizeof porch->key, key_hash(origin), porch);
	return porch;
}

static void porch_free(struct core *core, struct porch *porch)
{
	check(porch->clients == 0 && porch->waiting == 0);
	link_remove(&porch->lingers);
	HASH_DELETE(hh, core->porches, porch);
	free(porch);
}

void porches_free(struct core *core)
{
	struct porch *porch, *next;

	HASH_ITER(hh, core->porches, porch, next) {
		HASH_DELETE(hh, core->porches, porch);
		free(porch);
	}
}

/* Nobody of it is here: it goes, unless its rate has something to remember. Those that linger go with the next that comes late enough. */
static void settle(struct core *core, struct porch *porch)
{
	if (porch->clients || porch->waiting)
		return;
	if (porch->next_login > core->now && core->rules.origin_login_rate)
		link_last(&core->lingering, &porch->lingers);
	else
		porch_free(core, porch);
	while (!link_empty(&core->lingering)) {
		struct porch *first = link_owner(core->lingering.next, struct porch, lingers);

		if (first->next_login > core->now)
			break;
		porch_free(core, first);
	}
}

/* When the rate lets the next one in; 0: now. */
static time_us rate_due(const struct core *core, const struct porch *porch)
{
	uint32_t rate = core->rules.origin_login_rate;
	time_us due;

	if (rate == 0)
		return 0;
	due = porch->next_login - (SECOND_US - SECOND_US / rate);
	return due > core->now ? due : 0;
}

bool porch_full(const struct core *core, const struct porch *porch)
{
	return porch && core->rules.origin_clients_max && porch->clients >= core->rules.origin_clients_max;
}

bool porch_passes(const struct core *core, const struct porch *porch)
{
	return !porch || (!porch_full(core, porch) && rate_due(core, porch) == 0);
}

void porch_enter(struct core *core, struct porch *porch, struct client *c)
{
	if (!porch)
		return;
	link_remove(&porch->lingers);
	porch->clients++;
	c->porch = porch;
	if (core->rules.origin_login_rate) {
		if (porch->next_login < core->now)
			porch->next_login = core->now;
		porch->next_login += SECOND_US / core->rules.origin_login_rate;
	}
}

void porch_wait(struct core *core, struct porch *porch, struct client *c)
{
	link_remove(&porch->lingers);
	link_last(&porch->waiters, &c->link);
	porch->waiting++;
	core->at_porch++;
	c->porch = porch;
	if (porch->waiting == 1)
		link_last(&core->crowded, &porch->crowded);
	tick_hurry(core, rate_due(core, porch));
}

static void step_off(struct core *core, struct client *c)
{
	struct porch *porch = c->porch;

	check(c->stage == STAGE_PORCH && porch->waiting > 0 && core->at_porch > 0);
	link_remove(&c->link);
	porch->waiting--;
	core->at_porch--;
	if (porch->waiting == 0)
		link_remove(&porch->crowded);
}

void porch_stop(struct core *core, struct client *c)
{
	struct porch *porch = c->porch;

	step_off(core, c);
	c->porch = NULL;
	settle(core, porch);
}

static void porch_open(struct core *core, struct porch *porch)
{
	while (porch->waiting && porch_passes(core, porch)) {
		struct client *c = link_owner(porch->waiters.next, struct client, link);

		step_off(core, c);
		porch_enter(core, porch, c);
		door_come(core, c);
	}
	if (porch->waiting && !porch_full(core, porch))
		tick_hurry(core, rate_due(core, porch));
}

void porch_leave(struct core *core, struct porch *porch)
{
	check(porch->clients > 0);
	porch->clients--;
	porch_open(core, porch);
	settle(core, porch);
}

void porches_open(struct core *core)
{
	for (struct link *l = core->crowded.next, *after; l != &core->crowded; l = after) {
		after = l->next;
		porch_open(core, link_owner(l, struct porch, crowded));
	}
}

time_us porches_due(const struct core *core)
{
	time_us due = 0;

	for (const struct link *l = core->crowded.next; l != &core->crowded; l = l->next) {
		const struct porch *porch = link_owner(l, struct porch, crowded);

		due = time_sooner(due, porch_full(core, porch) ? 0 : rate_due(core, porch));
	}
	return due;
}
