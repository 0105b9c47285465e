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
	check(s->state == SERVER_MOVING || s->to == s->worker);
	check((s->line != NULL) >= (s->state == SERVER_MOVING || s->state == SERVER_LENT));
	check(!s->line || s->state == SERVER_MOVING || s->state == SERVER_LENT || s->state == SERVER_CLEANING);
	check((s->state == SERVER_IDLE) == (s->local.next != &s->local));
	check(s->since <= core->now && s->born <= core->now);
	if (c) {
		check(c->server == s && c->want == WANT_LENT && c->pool == s->pool);
		check(c->ref.worker == s->worker && c->line == s->line);
		check(client_find(core, c->ref) == c);
	}
	if (s->state == SERVER_IDLE) {
		check(!s->close_needed && !s->close_told && s->rested);
		check(!s->pool->rules.replication);
		check(!pool_paused(core, s->pool));
		check(!pool_over(s->pool));
	}
	if (s->state == SERVER_DIALING || s->state == SERVER_MOVING)
		check(!s->close_told);
	if (s->room_for)
		check(s->state == SERVER_CLOSING);
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

/* ---- the order of turns ---- */

static void audit_turns(const struct turns *turns, uint32_t standing)
{
	check(turns->count == standing);
	for (uint32_t i = 0; i < turns->count; i++) {
		const struct turn *t = turns->heap[i], *above = turns->heap[i ? (i - 1) / 2 : 0];

		check(t->place == i && t->standing > 0 && t->last <= turns->round);
		check(t->next == t->last + turn_wait(t));
		check(above->next < t->next || (above->next == t->next && above->order <= t->order));
	}
}

static void audit_line_clients(const struct line *line)
{
	const struct pool *pool = line->pool;
	uint32_t waiting = 0, incoming = 0, uncovered = 0;

	for (uint32_t w = 0; w < pool->workers; w++) {
		const struct line_worker *at = &line->at[w];
		time_us before = 0;

		audit_list(&at->waiters, at->waiting);
		for (const struct link *l = at->waiters.next; l != &at->waiters; l = l->next) {
			const struct client *c = link_owner(l, struct client, in_line);

			check(c->want == WANT_WAITS && c->line == line && c->pool == pool && c->ref.worker == w);
			check(c->since >= before);
			before = c->since;
		}
		waiting += at->waiting;
		incoming += at->incoming;
		uncovered += at->waiting > at->incoming ? at->waiting - at->incoming : 0;
	}
	check(waiting == line->waiting && incoming == line->promised && uncovered == line->turn.standing);
	audit_list(&line->kept, line->kept_count);
	for (const struct link *l = line->kept.next; l != &line->kept; l = l->next) {
		const struct client *c = link_owner(l, struct client, in_line);

		check(c->want == WANT_KEPT && c->line == line && c->pool == pool && c->server == NULL);
	}
}

static void audit_heirs(const struct core *core, const struct pool *pool)
{
	uint32_t heirs = 0;
	time_us before = 0;

	audit_list(&pool->heirs, pool->heirs_count);
	for (const struct link *l = pool->heirs.next; l != &pool->heirs; l = l->next) {
		const struct client *c = link_owner(l, struct client, link);

		check(c->want == WANT_HEIR && c->pool == pool && c->server == NULL);
		check(c->awaits && c->awaits->heir == c && c->awaits->pool == pool);
		check(c->awaits->state == SERVER_LENT || c->awaits->state == SERVER_CLEANING ||
			c->awaits->state == SERVER_MOVING);
		check(c->awaits_until >= before && core->deadline);
		before = c->awaits_until;
	}
	for (const struct line *line = pool->lines; line; line = line->hh.next)
		heirs += line->heirs;
	check(heirs == pool->heirs_count);
}

static void audit_lines(const struct core *core, const struct pool *pool)
{
	uint32_t waiting = 0, kept = 0, lines = 0, resting = 0, groups_standing = 0, slot = 0;
	uint32_t held = 0, servers = 0;
	const struct server *s;

	while ((s = slots_next(&core->servers, &slot)) != NULL)
		servers += s->pool == pool && s->line;
	for (const struct line *line = pool->lines; line; line = line->hh.next) {
		uint32_t most = pool->rules.origin_servers_max;
		bool rests = line->resting.next != &line->resting;

		check(line->pool == pool && line->turn.held == line->lent + line->promised);
		check(line->weight >= 1 && line->weight <= WEIGHT_MOST && line->turn.load == line_load(line));
		audit_line_clients(line);
		check(rests == !(line->turn.held || line->waiting || line->kept_count || line->heirs));
		/* The limit may have been lowered: then nobody waits for what is lent beyond it. */
		if (most && line->key)
			check(line->waiting == 0 || line->lent + line->waiting <= most);
		check(line->kept_count == 0 || !line_has_room(line));
		check(link_empty(&line->roomy));
		waiting += line->waiting;
		kept += line->kept_count;
		held += line->turn.held;
		resting += rests;
		lines++;
	}
	check(held == servers);
	check(waiting == pool->waiting && kept == pool->kept);
	audit_list(&pool->resting, resting);
	check(resting == pool->resting_count && lines == HASH_COUNT(pool->lines));
	for (const struct group *group = pool->groups; group; group = group->hh.next) {
		uint32_t of_it = 0, standing = 0, its_held = 0, its_standing = 0;
		uint64_t its_load = 0;

		for (const struct line *line = pool->lines; line; line = line->hh.next) {
			if (line->group != group)
				continue;
			of_it++;
			standing += line->turn.standing > 0;
			its_held += line->turn.held;
			its_load += line->turn.load;
			its_standing += line->turn.standing;
		}
		check(of_it == group->lines && of_it > 0 && group->pool == pool);
		check(its_held == group->turn.held && its_load == group->turn.load);
		check(its_standing == group->turn.standing);
		audit_turns(&group->turns, standing);
		groups_standing += group->turn.standing > 0;
	}
	audit_turns(&pool->turns, groups_standing);
}

static void audit_porches(const struct core *core)
{
	uint32_t waiting = 0, crowded = 0, lingering = 0;
	const struct client *c;

	for (const struct porch *porch = core->porches; porch; porch = porch->hh.next) {
		bool lingers = porch->lingers.next != &porch->lingers;

		audit_list(&porch->waiters, porch->waiting);
		check((porch->crowded.next != &porch->crowded) == (porch->waiting > 0));
		check(lingers == (porch->clients == 0 && porch->waiting == 0));
		/* Time lets in by a TICK, which may be late. */
		if (porch->waiting)
			check(!porch_passes(core, porch) || (core->deadline && core->deadline <= core->now));
		waiting += porch->waiting;
		crowded += porch->waiting > 0;
		lingering += lingers;
	}
	if (porches_due(core))
		check(core->deadline && core->deadline <= porches_due(core));
	check(waiting == core->at_porch);
	audit_list(&core->crowded, crowded);
	audit_list(&core->lingering, lingering);
	for (c = clients_first(core); c; c = c->hh.next)
		check(c->stage != STAGE_PORCH || c->porch);
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
		check(waiters_uncovered(pool) == 0 && (!pool->rules.fair || pool->turns.count == 0));
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
	check((pool->lengths ? pool->lengths->leases.count : 0) == pool->leases);
	check((pool->lengths ? pool->lengths->waits.count : 0) == pool->leases + pool->count[SERVER_LENT]);
	check(pool->in_use == (pool->clients || pool->servers || pool->waiting || pool->kept || pool->heirs_count));
	check(!pool->in_use || !pool->forgotten);
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
	uint32_t porch = 0, door = 0, login = 0, refused = 0, waiting = 0, lent = 0;
	const struct client *c;

	for (c = clients_first(core); c; c = c->hh.next) {
		porch += c->stage == STAGE_PORCH;
		door += c->stage == STAGE_DOOR;
		login += c->stage == STAGE_LOGIN;
		refused += c->stage == STAGE_REFUSED;
		waiting += c->want == WANT_WAITS || c->want == WANT_KEPT || c->want == WANT_HEIR;
		lent += c->want == WANT_LENT;
		check(c->stage != STAGE_SETTLED || c->want != WANT_NOTHING);
		check((c->want == WANT_LENT) == (c->server != NULL));
		if (c->server)
			check(c->server->holder == c);
		check((c->want != WANT_NOTHING) == (c->line != NULL));
		if (c->stage == STAGE_PORCH || c->stage == STAGE_DOOR || c->stage == STAGE_REFUSED)
			check(c->want == WANT_NOTHING);
	}
	check(porch == core->at_porch && door == core->at_door && login == core->logging_in && refused == core->refused);
	check(waiting == core->waiting && lent == core->lent);
	audit_list(&core->door, door);
	check(core->clients_count >= porch + door + login);
}

void core_audit(const struct core *core)
{
	const struct user *user;
	uint32_t waiting = 0, servers = 0, clients = 0, full = 0;

	check(core->out == NULL && core->loose_heirs == 0);
	check(core->scope.servers <= core->setup.servers_max);
	for (uint32_t i = 0; i < core->pools_count; i++) {
		const struct pool *pool = core->pools[i];

		check(pool->id == i);
		audit_servers(core, pool);
		audit_workers(core, pool);
		audit_lines(core, pool);
		audit_heirs(core, pool);
		audit_promises(core, pool);
		waiting += pool->waiting + pool->kept + pool->heirs_count;
		servers += pool->servers;
		clients += pool->clients;
		full += pool->full_since != 0;
	}
	check(full == core->full_pools);
	check(waiting == core->waiting && servers == core->scope.servers);
	check(clients <= core->clients_count);
	audit_scope(&core->scope, SCOPE_ALL);
	for (uint32_t i = 0; i < core->databases_count; i++) {
		check(core->databases[i]->id == i);
		audit_scope(&core->databases[i]->scope, SCOPE_DATABASE);
	}
	for (user = core->users_by_name; user; user = user->hh.next)
		audit_scope(&user->scope, SCOPE_USER);
	for (uint32_t i = 0; i < core->instances_count; i++) {
		check(core->instances[i]->id == i);
		audit_scope(&core->instances[i]->scope, SCOPE_INSTANCE);
	}
	audit_scope(&core->nowhere, SCOPE_INSTANCE);
	for (uint32_t i = 0; i < core->pools_count; i++)
		audit_scope(&core->pools[i]->pair, SCOPE_PAIR);
	check(core->nowhere.max == 0 && core->nowhere.aside == 0 && core->nowhere.visitors == 0);
	audit_clients(core);
	audit_porches(core);
	check(link_empty(&core->roomy));
}
