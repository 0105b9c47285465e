#ifndef PGWEIR_CORE_WORLD_TEST_H
#define PGWEIR_CORE_WORLD_TEST_H

#include "base/rng.h"
#include "core/state.h"

/* The world of core_test.c (see the drawing there): who is in it, how it carries out what the core asks for, and what the core has promised,
 * which is checked whenever it is fed. */

#define WORKERS  3
#define PEOPLE   70
#define SERVERS  64
#define ORIGINS  9 /* 0: unknown; three to a group */
#define GROUPS   3
#define MAIL_MAX 8192

enum person_state { P_OUT, P_DOOR, P_LOGIN, P_NAMED, P_PARKED, P_WAITS, P_HOLDS, P_GONE };

struct person {
	enum person_state state;
	struct client_ref ref;
	pool_id pool;
	bool asked, named; /* NAMED was fed, and answered */
	uint64_t origin, group;
	time_us since;
};

enum world_server_state { S_NONE, S_DIALING, S_FREE, S_LENT, S_CLEANING, S_MAILED, S_CLOSING, S_CUT };

struct world_server {
	enum world_server_state state;
	server_id id;
	uint32_t worker;
	uint32_t holder; /* a person */
	pool_id pool;
};

/* A letter is an effect for this worker, or a server that arrives (kind MOVE, to == the reader). */
struct letter {
	struct effect effect;
	bool arrives;
};

struct mailbox {
	struct letter letters[MAIL_MAX];
	uint32_t first, count;
};

struct world {
	struct rng rng;
	uint64_t seed, steps, lends;
	bool forgotten; /* some pool was, with what was counted for it */
	enum event_kind last;
	time_us now;
	struct core *core;
	struct effects effects;
	struct person people[PEOPLE];
	struct world_server servers[SERVERS];
	struct mailbox mail[WORKERS];
	pool_id pools[9];
	database_id databases[4];
	uint32_t pools_count, databases_count, generation;
	uint32_t asked, answered;
	uint32_t passed[9][GROUPS]
		       [GROUPS]; /* by pool: who stands and holds nothing; who was served meanwhile, how often */
	bool replicates;         /* there are pools for that */
	bool heirs;              /* people may want one server: it is theirs out of turn */
	bool calm;               /* no faults and no people's whims any more */
	uint32_t failing;        /* permille of dials that fail */
};

static inline void perform(struct world *, const struct effect *);

/* Nobody of the same origin (where the pool is not fair: nobody at all) who waits uncovered has waited more than one median lease
 * longer than the one who is served. */
static inline void check_bound(struct world *w, const struct effect *e)
{
	const struct line *line = client_find(w->core, e->client)->line;
	const struct pool *pool = w->core->pools[e->pool];
	time_us served = w->now - e->waited;

	if (w->heirs)
		return;
	for (uint32_t worker = 0; worker < WORKERS; worker++) {
		const struct pool_worker *at = &pool->at[worker];
		uint32_t place = 0;

		for (struct link *l = at->waiters.next; l != &at->waiters; l = l->next) {
			const struct client *c = link_owner(l, struct client, link);
			bool covered;

			if (pool->rules.fair && c->line != line)
				continue;
			covered = place++ < (pool->rules.fair ? line->at[worker].incoming : at->incoming);
			if (worker == e->worker)
				check(c->since >= served);
			else if (!covered)
				check(c->since + pool->median_lease >= served);
		}
	}
}

static inline const struct group *group_of(const struct pool *pool, uint64_t key)
{
	const struct group *group = pool->groups;

	while (group && group->key != key)
		group = group->hh.next;
	return group;
}

/* It is this line's turn. */
static inline void pass(struct world *w, const struct line *line)
{
	const struct pool *pool = line->pool;

	for (unsigned g = 0; g < GROUPS && pool->rules.fair && !w->heirs; g++) {
		const struct group *other = group_of(pool, g);

		if (!other || other == line->group || !other->turn.standing || other->turn.held)
			w->passed[pool->id][g][line->group->key] = 0;
		else
			check(++w->passed[pool->id][g][line->group->key] <= 2);
	}
}

static inline void check_turns(struct world *w, const struct effects *effects, const struct line *promised)
{
	for (size_t i = 0; i < effects->count; i++) {
		const struct effect *e = &effects->list[i];
		const struct line *line = NULL;

		if (e->kind == EFFECT_LEND)
			line = client_find(w->core, e->client)->line;
		if (e->kind == EFFECT_MOVE)
			line = server_of(w->core, e->server)->line;
		if (line && line != promised)
			pass(w, line);
	}
	for (unsigned i = 0; i < w->pools_count; i++) {
		const struct pool *pool = w->core->pools[w->pools[i]];

		for (unsigned g = 0; g < GROUPS; g++) {
			const struct group *group = group_of(pool, g);

			if (!pool->rules.fair || !group || !group->turn.standing || group->turn.held)
				memset(w->passed[i][g], 0, sizeof w->passed[i][g]);
		}
	}
}

static inline void feed(struct world *w, uint32_t worker, struct event event)
{
	const struct server *arrives = event.kind == EVENT_SERVER_ARRIVED ? server_of(w->core, event.server) : NULL;
	const struct line *promised = arrives ? arrives->line : NULL;
	struct effects mine;

	event.now = w->now;
	w->steps++;
	w->last = event.kind;
	core_step(w->core, &event, &w->effects);
	core_audit(w->core);
	check_turns(w, &w->effects, promised);
	/* Performing may feed again: the list becomes ours first. */
	mine = w->effects;
	w->effects = (struct effects){ 0 };
	for (size_t i = 0; i < mine.count; i++) {
		const struct effect *e = &mine.list[i];
		struct mailbox *box = &w->mail[e->worker];

		if (e->kind == EFFECT_LEND) {
			check(e->worker == worker);
			check_bound(w, e);
		}
		/* A worker carries out its own effects at the end of its turn: other things may happen before. */
		if (e->worker == worker && box->count == 0 && rng_chance(&w->rng, 800)) {
			perform(w, e);
			continue;
		}
		check(box->count < MAIL_MAX);
		box->letters[(box->first + box->count++) % MAIL_MAX] = (struct letter){ .effect = *e };
	}
	effects_fini(&mine);
}

/* ---- finding ---- */

static inline struct world_server *server_find(struct world *w, server_id id)
{
	for (unsigned i = 0; i < SERVERS; i++) {
		if (w->servers[i].state != S_NONE && handle_equal(w->servers[i].id, id))
			return &w->servers[i];
	}
	return NULL;
}

static inline struct person *person_find(struct world *w, struct client_ref ref)
{
	struct person *p = &w->people[ref.client.slot];

	check(ref.client.slot < PEOPLE);
	return p->state != P_OUT && handle_equal(p->ref.client, ref.client) ? p : NULL;
}

/* ---- servers ---- */

static inline void lost(struct world *w, struct world_server *s, bool proven)
{
	server_id id = s->id;

	if (proven)
		s->state = S_NONE;
	else
		s->state = S_CUT;
	feed(w, s->worker, (struct event){ .kind = EVENT_SERVER_LOST, .server = id, .proven = proven });
}

static inline void leave(struct world *w, struct person *p)
{
	struct event event = {
		.kind = EVENT_CLIENT_LEFT, .client = p->ref, .named = p->named, .pool = p->pool, .origin = p->origin
	};

	check(p->state != P_HOLDS);
	p->state = P_OUT;
	feed(w, event.client.worker, event);
}

static inline void want(struct world *w, struct person *p, time_us since)
{
	static const uint32_t weights[] = { 1, 4, 0, 3, 1, 100, 2 };
	server_id wanted = { 0 };

	p->state = P_WAITS;
	p->since = since;
	for (unsigned tries = 0; w->heirs && tries < 20 && wanted.generation == 0; tries++) {
		const struct world_server *s = &w->servers[rng_below(&w->rng, SERVERS)];

		if (s->state != S_NONE && s->pool == p->pool)
			wanted = s->id;
	}
	feed(w, p->ref.worker,
		(struct event){ .kind = EVENT_CLIENT_WANTS,
			.client = p->ref,
			.pool = p->pool,
			.server = wanted,
			.since = since,
			.origin = p->origin,
			.group = p->group,
			/* Weights change with the configuration, also of who holds and waits. */
			.weight = rng_chance(&w->rng, 20) ? (uint32_t)rng_below(&w->rng, WEIGHT_MOST + 1)
							  : weights[p->origin % (sizeof weights / sizeof *weights)] });
}

/* Say Terminate; whoever holds it goes. */
static inline void terminate(struct world *w, struct world_server *s)
{
	struct person *holder = s->state == S_LENT ? &w->people[s->holder] : NULL;

	s->state = S_CLOSING;
	feed(w, s->worker, (struct event){ .kind = EVENT_SERVER_CLOSING, .server = s->id });
	if (holder) {
		holder->state = P_PARKED;
		leave(w, holder);
	}
}

static inline void ready(struct world *w, struct world_server *s)
{
	if (s->state == S_LENT)
		w->people[s->holder].state = P_PARKED;
	s->state = S_FREE;
	feed(w, s->worker, (struct event){ .kind = EVENT_SERVER_READY, .server = s->id });
}

static inline void fail_dial(struct world *w, struct world_server *s)
{
	static const char *const states[] = { "53300", "57P03", "28P01" };
	uint64_t failure = rng_below(&w->rng, 3);
	struct event event = { .kind = EVENT_SERVER_FAILED,
		.server = s->id,
		.failure = (enum server_failure)failure,
		.sqlstate = states[failure],
		.text = "no" };

	/* Not in every world: what was found in others stays as it was. */
	event.stays = w->seed % 4 == 1 && w->steps % 2 == 0;
	s->state = event.stays ? S_CLOSING : S_NONE;
	feed(w, s->worker, event);
}

/* ---- effects ---- */

static inline void perform_lend(struct world *w, const struct effect *e)
{
	struct world_server *s = server_find(w, e->server);
	struct person *p = person_find(w, e->client);
	bool wants = p && p->state == P_WAITS && p->pool == e->pool;

	if (!s || s->state != S_FREE) {
		/* It ended before it was lent. */
		if (wants)
			want(w, p, p->since);
		return;
	}
	check(s->worker == e->worker && s->pool == e->pool);
	if (!wants) {
		ready(w, s);
		return;
	}
	check(p->ref.worker == e->worker);
	s->state = S_LENT;
	s->holder = e->client.client.slot;
	p->state = P_HOLDS;
	w->lends++;
}

static inline void perform_move(struct world *w, const struct effect *e)
{
	struct world_server *s = server_find(w, e->server);
	struct mailbox *box = &w->mail[e->to];

	if (!s || s->state != S_FREE)
		return; /* it died meanwhile */
	check(s->worker == e->worker);
	if (!w->calm && rng_chance(&w->rng, 100)) {
		ready(w, s); /* something is unread */
		return;
	}
	s->state = S_MAILED;
	check(box->count < MAIL_MAX);
	box->letters[(box->first + box->count++) % MAIL_MAX] = (struct letter){ .effect = *e, .arrives = true };
}

static inline void perform_close(struct world *w, const struct effect *e)
{
	struct world_server *s = server_find(w, e->server);

	if (!s || s->state == S_CLOSING || s->state == S_CUT)
		return;
	check(s->worker == e->worker && s->state != S_MAILED);
	if (s->state == S_DIALING && rng_chance(&w->rng, 500))
		fail_dial(w, s);
	else
		terminate(w, s);
}

static inline void perform_expel(struct world *w, const struct effect *e)
{
	struct pool_picture picture;

	check(handle_none(e->client.client));
	for (unsigned i = 0; i < SERVERS; i++) {
		struct world_server *s = &w->servers[i];

		if (s->state != S_LENT || s->worker != e->worker)
			continue;
		check(core_pool_picture(w->core, s->pool, &picture));
		if (e->database == NO_DATABASE || picture.database == e->database)
			terminate(w, s);
	}
	for (unsigned i = 0; i < PEOPLE; i++) {
		struct person *p = &w->people[i];

		if (p->state < P_LOGIN || p->ref.worker != e->worker || !p->named)
			continue;
		check(core_pool_picture(w->core, p->pool, &picture));
		if (e->database == NO_DATABASE || picture.database == e->database)
			leave(w, p);
	}
}

static inline void perform_dial(struct world *w, const struct effect *e)
{
	unsigned i = 0;

	while (i < SERVERS && w->servers[i].state != S_NONE)
		i++;
	check(i < SERVERS);
	w->servers[i] = (struct world_server){
		.state = S_DIALING, .id = e->server, .worker = e->worker, .pool = e->pool
	};
}

static inline void perform(struct world *w, const struct effect *e)
{
	struct person *p;

	switch (e->kind) {
	case EFFECT_ADMIT:
		p = person_find(w, e->client);
		if (!p)
			break;
		check(p->state == P_DOOR || p->state == P_LOGIN);
		p->named = p->state == P_LOGIN;
		p->state = p->named ? P_NAMED : P_LOGIN;
		break;
	case EFFECT_REFUSE:
		p = person_find(w, e->client);
		if (p && p->state == P_WAITS && (e->refusal != REFUSAL_FAILED || rng_chance(&w->rng, 500))) {
			p->state = P_PARKED;
			feed(w, p->ref.worker, (struct event){ .kind = EVENT_CLIENT_GIVES_UP, .client = p->ref });
		} else if (p && (p->state == P_WAITS || p->state == P_DOOR || p->state == P_LOGIN)) {
			leave(w, p);
		}
		break;
	case EFFECT_LEND:
		perform_lend(w, e);
		break;
	case EFFECT_DIAL:
		perform_dial(w, e);
		break;
	case EFFECT_MOVE:
		perform_move(w, e);
		break;
	case EFFECT_CLOSE:
		perform_close(w, e);
		break;
	case EFFECT_LEAVE: /* its client is slow to end its transaction */
		break;
	case EFFECT_FORGET:
		w->forgotten = true;
		break;
	case EFFECT_SUSPEND:
		feed(w, e->worker,
			(struct event){ .kind = EVENT_SUSPENDED, .worker = e->worker, .suspension = e->suspension });
		break;
	case EFFECT_RESUME:
		break;
	case EFFECT_EXPEL:
		perform_expel(w, e);
		break;
	case EFFECT_ANSWER:
		w->answered++;
		break;
	case EFFECT_QUIT:
		check(!"nobody said shutdown");
	}
}

static inline void read_mail(struct world *w, uint32_t worker)
{
	struct mailbox *box = &w->mail[worker];
	struct letter letter;
	struct world_server *s;

	if (box->count == 0)
		return;
	letter = box->letters[box->first];
	box->first = (box->first + 1) % MAIL_MAX;
	box->count--;
	if (!letter.arrives) {
		perform(w, &letter.effect);
		return;
	}
	s = server_find(w, letter.effect.server);
	check(s && s->state == S_MAILED);
	s->state = S_FREE;
	s->worker = worker;
	feed(w, worker, (struct event){ .kind = EVENT_SERVER_ARRIVED, .server = s->id, .worker = worker });
}

#endif
