#include "core/state.h"

/* Every invariant, at full cost: each count is counted anew, each list walked, each promise of the other files' essays
 * executed. Growth beyond a limit is caught where servers are made (dial_one checks); here a limit may be exceeded only
 * by what was there before it was lowered, and by nothing that rests. */

static void audit_list(const struct link *list, uint32_t expected)
{
	uint32_t length = 0;

	for (const struct link *l = list->next; l != list; l = l->next) {
		check(l->next->prev == l && l->prev->next == l);
		length++;
	}
	check(length == expected);
}

static void audit_server(const struct core *core, const struct server *s)
{
	const struct client *c = s->holder;

	check(slots_get(&core->servers, s->id) == s);
	check((s->state == SERVER_LENT) == (c != NULL));
	check(s->worker < core->setup.workers && s->to < core->setup.workers);
	check((s->state == SERVER_MOVING) == (s->to != s->worker));
	check((s->state == SERVER_IDLE) == (s->local.next != &s->local));
	check(s->since <= core->now && s->born <= core->now);
	if (c) {
		check(c->server == s && c->want == WANT_LENT && c->pool == s->pool);
		check(c->ref.worker == s->worker);
		check(client_find(core, c->ref) == c);
	}
	if (s->state == SERVER_IDLE) {
		check(!s->close_needed && !s->close_told && s->rested);
		check(!pool_paused(core, s->pool));
		check(!pool_over(s->pool));
	}
	if (s->state == SERVER_DIALING || s->state == SERVER_MOVING)
		check(!s->close_told);
	if (s->room_for)
		check(s->state == SERVER_CLOSING || s->state == SERVER_ORPHANED);
}

/* The servers of a pool, counted anew. */
static void audit_servers(const struct core *core, const struct pool *pool)
{
	uint32_t counted[SERVER_STATES] = { 0 }, servers = 0, slot = 0, rooms = 0;
	const struct server *s;

	while ((s = slots_next(&core->servers, &slot)) != NULL) {
		rooms += s->room_for == pool;
		if (s->pool != pool)
			continue;
		counted[s->state]++;
		servers++;
		audit_server(core, s);
	}
	check(servers == pool->servers);
	check(rooms == pool->rooms);
	for (unsigned i = 0; i < SERVER_STATES; i++) {
		check(counted[i] == pool->count[i]);
		audit_list(&pool->by_state[i], counted[i]);
	}
}

static void audit_waiters(const struct core *core, const struct pool *pool, uint32_t w)
{
	const struct pool_worker *at = &pool->at[w];
	time_us before = 0;

	audit_list(&at->waiters, at->waiting);
	for (const struct link *l = at->waiters.next; l != &at->waiters; l = l->next) {
		const struct client *c = link_owner(l, struct client, link);

		check(c->want == WANT_WAITS && c->pool == pool && c->ref.worker == w && c->server == NULL);
		check(c->since >= before && c->since <= core->now);
		check(client_find(core, c->ref) == c);
		before = c->since;
	}
}

static void audit_workers(const struct core *core, const struct pool *pool)
{
	uint32_t waiting = 0, dialing = 0, incoming = 0, idle = 0;

	for (uint32_t w = 0; w < core->setup.workers; w++) {
		const struct pool_worker *at = &pool->at[w];
		uint32_t idle_here = 0;

		audit_waiters(core, pool, w);
		for (const struct link *l = at->idle.next; l != &at->idle; l = l->next) {
			const struct server *s = link_owner(l, struct server, local);

			check(s->pool == pool && s->worker == w && s->state == SERVER_IDLE);
			idle_here++;
		}
		audit_list(&at->idle, idle_here);
		idle += idle_here;
		waiting += at->waiting;
		dialing += at->dialing;
		incoming += at->incoming;
	}
	check(waiting == pool->waiting);
	check(dialing == pool->count[SERVER_DIALING]);
	check(incoming == pool->count[SERVER_MOVING]);
	check(idle == pool->count[SERVER_IDLE]);
}

/* Nobody who can be served waits; nobody for whom a server could be dialed is forgotten; no deadline is missed. */
static void audit_promises(const struct core *core, const struct pool *pool)
{
	time_us due = tick_pool_due(core, pool);
	enum dial_answer answer = dial_allowed(core, pool);

	if (pool->count[SERVER_IDLE])
		check(waiters_uncovered(pool) == 0);
	if (dial_wanted(pool)) {
		/* The reserve opens by a TICK, which may be late. */
		check(answer != DIAL_NOW || (core->deadline && core->deadline <= core->now));
		if (answer == DIAL_SHARED)
			check(pool->is_hungry || (core->deadline && core->deadline <= core->now));
	}
	check(pool->count[SERVER_DIALING] <= DIALS_AT_ONCE);
	if (due)
		check(core->deadline && core->deadline <= (due > core->now ? due : core->now));
	check(pool->is_hungry == (pool->hungry.next != &pool->hungry));
	check(pool->is_keeper == (pool->rules.min_size > 0));
	check(pool->lease_times.count == pool->leases);
	check(pool->waits.count == pool->leases + pool->count[SERVER_LENT]);
}

static void audit_scope(const struct scope *scope, enum scope_kind kind)
{
	uint32_t servers = 0, leaving = 0, idle = 0, pools = 0;

	for (const struct link *l = scope->pools.next; l != &scope->pools; l = l->next) {
		const struct pool *pool = link_owner(l - kind, struct pool, scope_links);

		check(pool->scopes[kind] == scope);
		servers += pool->servers;
		leaving += pool->count[SERVER_CLOSING] + pool->count[SERVER_ORPHANED];
		idle += pool->count[SERVER_IDLE];
		pools++;
	}
	audit_list(&scope->pools, pools);
	check(servers == scope->servers && leaving == scope->leaving && idle == scope->idle);
}

static void audit_clients(const struct core *core)
{
	uint32_t door = 0, login = 0, refused = 0, waiting = 0, lent = 0;
	const struct client *c;

	for (c = core->clients; c; c = c->hh.next) {
		door += c->stage == STAGE_DOOR;
		login += c->stage == STAGE_LOGIN;
		refused += c->stage == STAGE_REFUSED;
		waiting += c->want == WANT_WAITS;
		lent += c->want == WANT_LENT;
		check(c->stage != STAGE_SETTLED || c->want != WANT_NOTHING);
		check((c->want == WANT_LENT) == (c->server != NULL));
		if (c->server)
			check(c->server->holder == c);
		if (c->stage == STAGE_DOOR || c->stage == STAGE_REFUSED)
			check(c->want == WANT_NOTHING);
	}
	check(door == core->at_door && login == core->logging_in && refused == core->refused);
	check(waiting == core->waiting && lent == core->lent);
	audit_list(&core->door, door);
	check(core->clients_count >= door + login);
}

void core_audit(const struct core *core)
{
	const struct user *user;
	uint32_t waiting = 0, servers = 0, clients = 0;

	check(core->out == NULL);
	check(core->scope.servers <= core->setup.servers_max);
	for (uint32_t i = 0; i < core->pools_count; i++) {
		const struct pool *pool = core->pools[i];

		check(pool->id == i);
		audit_servers(core, pool);
		audit_workers(core, pool);
		audit_promises(core, pool);
		waiting += pool->waiting;
		servers += pool->servers;
		clients += pool->clients;
	}
	check(waiting == core->waiting && servers == core->scope.servers);
	check(clients <= core->clients_count);
	audit_scope(&core->scope, SCOPE_ALL);
	for (uint32_t i = 0; i < core->databases_count; i++) {
		check(core->databases[i]->id == i);
		audit_scope(&core->databases[i]->scope, SCOPE_DATABASE);
	}
	for (user = core->users_by_name; user; user = user->hh.next)
		audit_scope(&user->scope, SCOPE_USER);
	audit_clients(core);
}
