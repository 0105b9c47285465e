#include <stdlib.h>

#include "core/state.h"

#define SPARE_MOST 256

/* Clients coming and going, and how many there may be.
 *
 *   ENTERS                     NAMED           SETTLED
 *   ------> PORCH --> DOOR --> LOGIN --------> LOGIN -----> no record: parked
 *       |   (porch.c)   admitted  |  counted in pool,        |  ^
 *       |                         |  database and user       v  | lease over, gives up
 *       +-> REFUSED               +-> refused            WAITS, LENT
 *
 * Two ways to count (client_limit_counts). BUSY: who logs in, waits or holds a server; at the limit a newcomer waits at
 * the door, first come, first admitted, and who is logged in already is never turned away. ALL: every client that entered; at
 * the limit a newcomer is refused, which is PgBouncer's max_client_conn.
 *
 * A parked client has no record here: a million of them cost three counters. So what LEFT must undo is told by the record where
 * there is one, and by the event where there is none.
 *
 * Where few clients are busy, there is mostly one of them, and then none: uthash frees its table with the last entry, and would make it anew
 * for the next. `nobody`, a record that is no client's, stays in it for good, the first of them all. */

/* Twice in each lease; slots and generations are our own numbers, which nobody can choose to collide. */
static inline unsigned ref_hash(struct client_ref ref)
{
	uint64_t word = ((uint64_t)ref.client.slot << 32 | ref.client.generation) +
		ref.worker * UINT64_C(0x9e3779b97f4a7c15);

	word *= UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(word >> 32 ^ word);
}

struct client *client_find(const struct core *core, struct client_ref ref)
{
	struct client *c;

	HASH_FIND_BYHASHVALUE(hh, core->clients, &ref, sizeof(ref), ref_hash(ref), c);
	return c;
}

struct client *client_make(struct core *core, struct client_ref ref, enum stage stage)
{
	struct client *c = core->spare;

	check(!handle_none(ref.client));
	check(ref.worker < core->setup.workers);
	if (c) {
		core->spare = c->spare;
		core->spare_count--;
	} else {
		c = core_memory(sizeof(*c));
	}
	*c = (struct client){ .ref = ref, .stage = stage, .named = NO_POOL };
	link_init(&c->link);
	link_init(&c->in_line);
	HASH_ADD_BYHASHVALUE(hh, core->clients, ref, sizeof(ref), ref_hash(ref), c);
	return c;
}

void client_drop(struct core *core, struct client *c)
{
	check(c->want == WANT_NOTHING && c->server == NULL);
	check(c->link.next == &c->link);
	HASH_DELETE(hh, core->clients, c);
	if (core->spare_count == SPARE_MOST) {
		free(c);
		return;
	}
	c->spare = core->spare;
	core->spare = c;
	core->spare_count++;
}

void clients_init(struct core *core)
{
	struct client *nobody = &core->nobody;

	nobody->ref.worker = UINT32_MAX;
	HASH_ADD_BYHASHVALUE(hh, core->clients, ref, sizeof(nobody->ref), ref_hash(nobody->ref), nobody);
}

struct client *clients_first(const struct core *core)
{
	return core->nobody.hh.next;
}

void clients_free(struct core *core)
{
	struct client *c;

	while ((c = clients_first(core)) != NULL) {
		HASH_DELETE(hh, core->clients, c);
		free(c);
	}
	HASH_CLEAR(hh, core->clients);
	while ((c = core->spare) != NULL) {
		core->spare = c->spare;
		free(c);
	}
}

void client_rest(struct core *core, struct client *c)
{
	if (c->stage == STAGE_SETTLED && c->want == WANT_NOTHING)
		client_drop(core, c);
}

uint32_t door_busy(const struct core *core)
{
	return HASH_COUNT(core->clients) - 1 - core->at_porch - core->at_door - core->refused;
}

/* May one more begin to log in? Clients at the door are not busy; they are entered. */
static bool has_place(const struct core *core)
{
	const struct core_rules *rules = &core->rules;

	if (rules->clients_max == 0)
		return true;
	if (rules->limit_counts == COUNT_BUSY)
		return door_busy(core) < rules->clients_max;
	return core->clients_count - core->at_porch - core->at_door < rules->clients_max;
}

static void admit(struct core *core, struct client *c)
{
	c->stage = STAGE_LOGIN;
	core->logging_in++;
	effect_for(core, EFFECT_ADMIT, c->ref);
}

/* Its record stays until LEFT, so that LEFT finds that there is nothing to undo. */
static void turn_away(struct core *core, struct client *c, enum refusal refusal)
{
	check(c->stage == STAGE_DOOR);
	c->stage = STAGE_REFUSED;
	core->refused++;
	effect_for(core, EFFECT_REFUSE, c->ref)->refusal = refusal;
}

void door_come(struct core *core, struct client *c)
{
	c->stage = STAGE_DOOR;
	/* This one is in the hash already, and not at the door by the counts: it would count itself. */
	core->at_door++;
	if (core->at_door == 1 && has_place(core)) {
		core->at_door--;
		admit(core, c);
		return;
	}
	link_last(&core->door, &c->link);
	core->door_waits++;
}

void door_enters(struct core *core, const struct event *event)
{
	struct porch *porch;
	struct client *c;

	check(client_find(core, event->client) == NULL);
	c = client_make(core, event->client, STAGE_DOOR);
	if (core->shutting_down) {
		turn_away(core, c, REFUSAL_SHUTDOWN);
		return;
	}
	if (core->at_door == 0 && !has_place(core) && core->rules.limit_counts == COUNT_ALL) {
		turn_away(core, c, REFUSAL_MAX_CLIENTS);
		return;
	}
	porch = porch_of(core, event->origin);
	if (porch_full(core, porch) && core->rules.limit_counts == COUNT_ALL) {
		turn_away(core, c, REFUSAL_MAX_ORIGIN_CLIENTS);
		return;
	}
	core->clients_count++;
	if (porch && (porch->waiting || !porch_passes(core, porch))) {
		c->stage = STAGE_PORCH;
		porch_wait(core, porch, c);
		core->door_waits++;
		return;
	}
	porch_enter(core, porch, c);
	door_come(core, c);
}

void door_named(struct core *core, const struct event *event)
{
	struct client *c = client_find(core, event->client);
	enum refusal refusal = REFUSAL_NONE;
	struct pool *pool;

	check(event->pool < core->pools_count);
	check(c && c->stage == STAGE_LOGIN && c->named == NO_POOL);
	pool = core->pools[event->pool];
	if (core->shutting_down && core->shutdown != SHUTDOWN_CLIENTS)
		refusal = REFUSAL_SHUTDOWN;
	else if (pool->database->disabled)
		refusal = REFUSAL_DISABLED;
	else if (pool->database->rules.clients_max && pool->database->clients >= pool->database->rules.clients_max)
		refusal = REFUSAL_MAX_DATABASE_CLIENTS;
	else if (pool->user->clients_max && pool->user->clients >= pool->user->clients_max)
		refusal = REFUSAL_MAX_USER_CLIENTS;
	if (refusal != REFUSAL_NONE) {
		effect_for(core, EFFECT_REFUSE, c->ref)->refusal = refusal;
		return;
	}
	c->named = pool->id;
	pool->clients++;
	pool_used(pool);
	pool->database->clients++;
	pool->user->clients++;
	effect_for(core, EFFECT_ADMIT, c->ref)->pool = pool->id;
	if (pool->clients == 1)
		tick_hurry(core, dial_min_due(core, pool));
}

void door_settled(struct core *core, const struct event *event)
{
	struct client *c = client_find(core, event->client);

	check(c && c->stage == STAGE_LOGIN && c->named != NO_POOL);
	check(core->logging_in > 0);
	core->logging_in--;
	c->stage = STAGE_SETTLED;
	client_rest(core, c);
}

/* It was counted as one of this pool's clients. */
static void forget_named(struct core *core, pool_id id)
{
	struct pool *pool;

	check(id < core->pools_count);
	pool = core->pools[id];
	check(pool->clients > 0 && pool->database->clients > 0 && pool->user->clients > 0);
	pool->clients--;
	pool->database->clients--;
	pool->user->clients--;
	if (pool->clients == 0 && pool->is_keeper)
		tick_hurry(core, tick_pool_due(core, pool));
	vacate_left(core, pool);
	pool_left(core, pool);
}

/* It entered, and came as far as `stage`. */
static void forget(struct core *core, enum stage stage, pool_id named, bool was_named)
{
	switch (stage) {
	case STAGE_REFUSED:
	case STAGE_PORCH:
		break;
	case STAGE_DOOR:
		check(core->at_door > 0);
		core->at_door--;
		break;
	case STAGE_LOGIN:
		check(core->logging_in > 0);
		core->logging_in--;
		if (named != NO_POOL)
			forget_named(core, named);
		break;
	case STAGE_SETTLED:
		check(was_named);
		forget_named(core, named);
		break;
	}
	check(core->clients_count > 0);
	core->clients_count--;
}

void door_left(struct core *core, const struct event *event)
{
	struct client *c = client_find(core, event->client);
	enum stage stage = c ? c->stage : STAGE_SETTLED;
	struct porch *porch = stage != STAGE_SETTLED ? c->porch : porch_of(core, event->origin);
	pool_id named = event->pool;

	if (c && c->want == WANT_LENT) {
		lend_take_back(core, c);
		c = client_find(core, event->client);
	}
	if (c) {
		if (c->want != WANT_NOTHING)
			waiters_remove(core, c);
		if (stage == STAGE_PORCH)
			porch_stop(core, c);
		if (stage == STAGE_LOGIN)
			named = c->named;
		link_remove(&c->link);
		client_drop(core, c);
	}
	if (stage == STAGE_REFUSED) {
		check(core->refused > 0);
		core->refused--;
	} else {
		forget(core, stage, named, event->named);
	}
	if (porch && stage != STAGE_PORCH)
		porch_leave(core, porch);
}

static struct client *door_first(struct core *core)
{
	check(!link_empty(&core->door));
	return link_owner(core->door.next, struct client, link);
}

/* Somebody may have made place. */
void door_open(struct core *core)
{
	while (core->at_door && has_place(core)) {
		struct client *c = door_first(core);

		link_remove(&c->link);
		core->at_door--;
		admit(core, c);
	}
	if (core->at_door && core->rules.limit_counts == COUNT_ALL)
		door_shut(core);
}

/* Nobody who stands there will be let in. */
void door_shut(struct core *core)
{
	while (core->shutting_down && !link_empty(&core->crowded)) {
		struct porch *porch = link_owner(core->crowded.next, struct porch, crowded);
		struct client *c = link_owner(porch->waiters.next, struct client, link);

		porch_stop(core, c);
		core->clients_count--;
		c->stage = STAGE_DOOR;
		turn_away(core, c, REFUSAL_SHUTDOWN);
	}
	while (core->at_door) {
		struct client *c = door_first(core);

		link_remove(&c->link);
		core->at_door--;
		core->clients_count--;
		turn_away(core, c, core->shutting_down ? REFUSAL_SHUTDOWN : REFUSAL_MAX_CLIENTS);
	}
	check(link_empty(&core->door));
}
