#include <stdlib.h>

#include "base/hash.h"
#include "core/state.h"

/* The core: one pure step from an event to effects.
 *
 *   worker --event--> core_step --> the one function for this kind --> effects
 *                                     |
 *                                     +-- ledger, lease, waiters, line, turns: what is   (states and counts change only there)
 *                                     +-- lend, dial, limits, tick: what follows
 *                                     +-- door, porch, commands: clients and people
 *
 * Time is the newest `now` an event brought; it never goes back, so that a worker whose clock was read a moment earlier
 * than another's does no harm. After each event's own function the three things that any event may have made possible are
 * looked at: may one who was kept wait with the others, does the door open, is an answer due. */

void *core_memory(size_t size)
{
	void *memory = calloc(1, size);

	check(memory != NULL);
	return memory;
}

unsigned core_hash(const void *key, size_t length)
{
	return (unsigned)hash_bytes(span_of(key, length));
}

struct core *core_new(const struct core_setup *setup)
{
	struct core *core = core_memory(sizeof(*core));

	check(setup->workers > 0 && setup->servers_max > 0);
	core->setup = *setup;
	core->scope = (struct scope){ .max = setup->servers_max };
	link_init(&core->scope.pools);
	link_init(&core->nowhere.pools);
	slots_init(&core->servers, setup->servers_max);
	link_init(&core->door);
	link_init(&core->hungry);
	link_init(&core->keepers);
	link_init(&core->askers);
	link_init(&core->roomy);
	link_init(&core->crowded);
	link_init(&core->lingering);
	clients_init(core);
	return core;
}

static void free_clients_and_servers(struct core *core)
{
	struct server *s;
	uint32_t slot = 0;

	clients_free(core);
	while ((s = slots_next(&core->servers, &slot)) != NULL) {
		slots_remove(&core->servers, s->id);
		free(s);
	}
	slots_fini(&core->servers);
	while (!link_empty(&core->askers)) {
		struct asker *asker = link_owner(core->askers.next, struct asker, link);

		link_remove(&asker->link);
		free(asker);
	}
}

void core_free(struct core *core)
{
	struct user *user, *next_user;

	if (!core)
		return;
	free_clients_and_servers(core);
	porches_free(core);
	for (uint32_t i = 0; i < core->pools_count; i++) {
		lines_free(core->pools[i]);
		free(core->pools[i]->lengths);
		free(core->pools[i]);
	}
	free(core->pools);
	HASH_CLEAR(hh, core->databases_by_name);
	for (uint32_t i = 0; i < core->databases_count; i++)
		free(core->databases[i]);
	free(core->databases);
	HASH_CLEAR(hh, core->instances_by_name);
	for (uint32_t i = 0; i < core->instances_count; i++)
		free(core->instances[i]);
	free(core->instances);
	HASH_ITER(hh, core->users_by_name, user, next_user) {
		HASH_DELETE(hh, core->users_by_name, user);
		free(user);
	}
	free(core);
}

typedef void step_function(struct core *, const struct event *);

static step_function *const steps[] = {
	[EVENT_CLIENT_ENTERS] = door_enters,
	[EVENT_CLIENT_NAMED] = door_named,
	[EVENT_CLIENT_SETTLED] = door_settled,
	[EVENT_CLIENT_LEFT] = door_left,
	[EVENT_CLIENT_WANTS] = lend_wants,
	[EVENT_CLIENT_GIVES_UP] = lend_gives_up,
	[EVENT_SERVER_READY] = lend_ready,
	[EVENT_SERVER_CLEANING] = lend_cleaning,
	[EVENT_SERVER_ARRIVED] = lend_arrived,
	[EVENT_SERVER_FAILED] = dial_failed,
	[EVENT_SERVER_CLOSING] = lend_closing,
	[EVENT_SERVER_UNFIT] = lend_unfit,
	[EVENT_SERVER_LOST] = lend_lost,
	[EVENT_VACATE] = vacate,
	[EVENT_PAUSE] = command,
	[EVENT_SUSPEND] = command,
	[EVENT_SUSPENDED] = command_suspended,
	[EVENT_CONSOLES_LEFT] = command_consoles_left,
	[EVENT_RESUME] = command,
	[EVENT_KILL] = command,
	[EVENT_RECONNECT] = command,
	[EVENT_WAIT_CLOSE] = command,
	[EVENT_EXPEL] = command,
	[EVENT_DISABLE] = command,
	[EVENT_ENABLE] = command,
	[EVENT_SHUTDOWN] = command_shutdown,
	[EVENT_ASKER_LEFT] = command_asker_left,
	[EVENT_ASKER_CANCELS] = command_asker_left,
	[EVENT_BUDGET] = limits_budget,
	[EVENT_VISITOR_LEFT] = limits_visitor_left,
	[EVENT_TICK] = tick,
};

void core_step(struct core *core, const struct event *event, struct effects *effects)
{
	check((unsigned)event->kind < sizeof(steps) / sizeof(steps[0]) && steps[event->kind]);
	check(core->out == NULL);
	core->out = effects;
	if (event->now > core->now)
		core->now = event->now;
	steps[event->kind](core, event);
	if (core->loose_heirs)
		heirs_join(core);
	if (!link_empty(&core->roomy))
		lines_admit(core);
	if (core->at_door)
		door_open(core);
	if (core->shutting_down || !link_empty(&core->askers))
		commands_settle(core);
	core->out = NULL;
}

time_us core_deadline(const struct core *core)
{
	return core->deadline;
}
