/* The judge. It sees both sides: what PostgreSQL gets, what clients get, and, between turns, the books of workers and core, which
 * must tell the same story. */
#include "judge.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "fakeio.h"
#include "serve/extras.h"
#include "serve/hearers.h"
#include "serve/worker.h"

/* For so long after a reload a server may still arrive that was dialed before it. */
#define LIMITS_GRACE (20 * SECOND_US)

static struct house *house;
static struct limits limits, old_limits; /* in force; and the largest of a short time before */
static time_us limits_since, began_at;

/* The last look at everybody who waits: whom was he behind? */
struct waiter {
	struct client_ref who;
	pool_id pool;
	time_us since,
		seen; /* seen: since when it is known to wait; later than `since` where a server was lent to it in vain */
	uint64_t origin, group;
};
static struct waiter waiters[2048];
static size_t waiter_count;

/* Of each worker that is suspended, and has sent all: what had passed then. */
struct still {
	uint32_t number;
	uint64_t bytes;
};
static struct still stills[16];

/* Of a group that waits and holds nothing: how often each other one was served meanwhile. */
struct passed {
	pool_id pool;
	uint64_t waits, served;
	unsigned count;
};
static struct passed passed[512];

/* By an origin's number, of those that operators name. */
struct protection {
	bool sure;
	time_us since, released;
	unsigned releasing; /* commands under way that may end it */
};
static struct protection protections[16];
static size_t passed_count;
/* Whose leases of this moment are counted: several turns may fall into one. */
static struct client_ref begun[256];
static size_t begun_count;
static time_us begun_at;
static bool
	was_moving[256]; /* by pool: a server was in the mail after the last turn: its waiter is not counted as waiting */

void judge_begin(struct house *h, const struct limits *l)
{
	house = h;
	limits = old_limits = *l;
	limits_since = began_at = world.now;
	waiter_count = passed_count = begun_count = 0;
	memset(stills, 0, sizeof stills);
	memset(protections, 0, sizeof protections);
}

void judge_limits(const struct limits *l)
{
	struct limits before = old_limits;
	bool soon = world.now < limits_since + LIMITS_GRACE;

	old_limits = limits;
#define LARGER(field) \
	(limits.field == 0 || before.field == 0 ? 0 : limits.field > before.field ? limits.field : before.field)
	if (soon) {
		old_limits.pool_size = LARGER(pool_size);
		old_limits.database_max = LARGER(database_max);
		old_limits.user_max = LARGER(user_max);
		old_limits.origin_servers_max = LARGER(origin_servers_max);
		old_limits.reserve = limits.reserve > before.reserve ? limits.reserve : before.reserve;
	}
	limits = *l;
	/* What ends somebody may have been set when his time began. */
#define EVER(field) limits.field = limits.field > old_limits.field ? limits.field : old_limits.field
	EVER(query_wait_timeout);
	EVER(query_timeout);
	EVER(idle_transaction_timeout);
	EVER(transaction_timeout);
	EVER(client_idle_timeout);
	if (old_limits.login_timeout < limits.login_timeout)
		limits.login_timeout = old_limits.login_timeout;
	limits_since = world.now;
}

/* ---- at PostgreSQL ---- */

/* Each backend serves one client at a time, with that client's settings. */
void judge_statement(struct backend *b, const char *text)
{
	int tag = tag_of(text);
	struct person *p = person_of(tag);

	if (!*text)
		b->owner = -1;
	if (!p)
		return;
	if (strcmp(p->database, b->database) != 0 || strcmp(p->user, b->user) != 0)
		broken("a client's statements run in its own pool", "c%d of %s/%s runs on %s/%s: %s", tag, p->database,
			p->user, b->database, b->user, text);
	if (b->owner >= 0 && b->owner != tag && (b->session->status != 'I' || b->session->implicit))
		if (b->session->status != 'I')
			broken("a server is lent to at most one client",
				"backend %u is in a transaction of c%d, and c%d says: %s", b->process, b->owner, tag,
				text);
	b->owner = tag;
	if (b->replicates != p->replicates)
		broken("a connection for replication is lent to nobody",
			"c%d, which %s for replication, runs on backend %u, which %s", tag,
			p->replicates ? "came" : "did not come", b->process, b->replicates ? "is" : "is not");
	if (b->replicates && b->only >= 0 && b->only != tag)
		broken("a connection for replication is lent to nobody", "backend %u was c%d's, and c%d says: %s",
			b->process, b->only, tag, text);
	b->only = tag;
	if (limits.transparent && b->session->mine[0]) {
		char quoted[100];

		snprintf(quoted, sizeof quoted, "'%.80s", b->session->mine);
		if (tag_of(quoted) != tag)
			broken("nobody sees what another left in a session",
				"backend %u has the temporary table of c%d, and c%d says: %s", b->process,
				tag_of(quoted), tag, text);
	}
	for (int i = 0; i < SETTINGS; i++) {
		char wanted[SETTING_BYTES];

		if (p->touched[i])
			continue;
		setting_normal(i, span_text(p->has[i] ? p->wanted[i] : setting_facts[i].standard), wanted);
		if (strcmp(b->session->now[i], wanted) != 0)
			broken("a client's startup settings hold in every query",
				"c%d runs with %s = \"%s\" instead of \"%s\" on backend %u: %s", tag,
				setting_facts[i].name, b->session->now[i], wanted, b->process, text);
	}
}

void judge_cancelled(struct backend *b)
{
	int tag = tag_of(b->session->sleeper);
	struct person *p;
	char quoted[800];

	snprintf(quoted, sizeof quoted, "'%.700s", b->session->sleeper);
	tag = tag_of(quoted[1] == '*' ? quoted + 1 : quoted);
	p = person_of(tag);
	if (!p)
		return;
	/* The pooler has its own reasons, and the client may not have heard of them yet. */
	if (world.commands > 0 || limits.query_timeout > 0 || limits.transaction_timeout > 0 ||
		limits.idle_transaction_timeout > 0)
		return;
	/* Nor of its own end, where memory was refused even to that word. */
	if (person_present(p) && p->cancels_sent == 0 && !p->fatal && !(world.memory && world.refused > 0))
		broken("a query is cancelled only by its own client", "c%d did not ask for it, and is still there",
			tag);
	if (p->cancels_sent == 0 && b->session->sleep_writes && b->session->status == 'I' && !p->fatal)
		broken("a statement that may write outside a block runs to its end",
			"c%d left, and its update was cancelled", tag);
}

static bool counts(const struct backend *b)
{
	/* The way to it was cut or stalled: the orphan window of design.md. */
	return backend_lives(b) && !b->end->wire->faulty && !b->end->error && !b->end->wire->pipes[b->end->side].fin;
}

void judge_backend(struct backend *fresh)
{
	unsigned pool = 1, database = 1, user = 1;
	bool grace = world.now < limits_since + LIMITS_GRACE;
	struct limits l = limits;

	/* A login that broke off for want of memory is forgotten a moment before its backend is gone. */
	if (world.memory && world.refused > 0)
		return;
	if (fresh->monitor || fresh->aside)
		return;
	if (grace) {
		const struct limits before = old_limits;

		l.pool_size = LARGER(pool_size);
		l.database_max = LARGER(database_max);
		l.user_max = LARGER(user_max);
		l.reserve = l.reserve > old_limits.reserve ? l.reserve : old_limits.reserve;
	}
	for (struct backend *b = cluster.backends; b; b = b->next) {
		bool same_database = strcmp(b->database, fresh->database) == 0,
		     same_user = strcmp(b->user, fresh->user) == 0;

		if (b == fresh || b->monitor || b->aside || !counts(b))
			continue;
		pool += same_database && same_user;
		database += same_database;
		user += same_user;
	}
	if (l.pool_size && pool > l.pool_size + l.reserve)
		broken("limits are true at PostgreSQL", "pool %s/%s has %u backends of %u + %u", fresh->database,
			fresh->user, pool, l.pool_size, l.reserve);
	if (l.database_max && database > l.database_max)
		broken("limits are true at PostgreSQL", "database %s has %u backends of %u", fresh->database, database,
			l.database_max);
	if (l.user_max && user > l.user_max)
		broken("limits are true at PostgreSQL", "user %s has %u backends of %u", fresh->user, user, l.user_max);
}

/* The budget: PostgreSQL never has to say 53300 to a pool when
 *   - others and max_connections stood still while the monitor was answered twice, the second time longer ago than an answer
 *     takes to arrive and to be acted upon (so one interval is what it may be late),
 *   - every backend of ours is one that the core can know of: no link to one was cut or stalled,
 *   - and some pool has one there: where none has, one may always ask, whoever monitors or listens there. */
#define ANSWER_ARRIVES (2 * SECOND_US)

void judge_full(struct backend *fresh)
{
	unsigned ours = 0;

	if (!limits.budget || fresh->monitor || fresh->aside || world.memory)
		return;
	if (cluster.steady_at == 0 || world.now < cluster.steady_at + ANSWER_ARRIVES)
		return;
	for (struct backend *b = cluster.backends; b; b = b->next) {
		if (backend_lives(b) && !counts(b))
			return;
		ours += backend_lives(b) && !b->monitor && !b->aside;
	}
	if (ours > 0)
		broken("nobody is asked for more than there is room for",
			"%s/%s is refused: %u of ours, %u of others, max_connections %u since %.3f s", fresh->database,
			fresh->user, ours, cluster.others, cluster.max_connections,
			(double)(world.now - cluster.changed_at) / 1e6);
}

/* ---- at the clients ---- */

static bool contains(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

#define LAST_WORDS 700 /* bytes: a FATAL with all its fields */

static time_us last_words_take(const struct wire *w)
{
	uint64_t window = w->pipes[0].window < w->pipes[1].window ? w->pipes[0].window : w->pipes[1].window;

	return (3 + 2 * (time_us)(LAST_WORDS / (window ? window : 1))) * w->latency;
}

/* What it hears now was said after this: longer ago than a way there and back (more of them where the last words do not go through at
 * once), and a slow worker in between; and it heard what it was told when it was told. */
static bool was_said_after(const struct person *p, time_us then)
{
	return !p->slow && !p->stopped && p->out.length == 0 && world.stalls == 0 && !p->end->wire->faulty &&
		world.now > then + last_words_take(p->end->wire) + 100 * MILLISECOND_US;
}

void judge_protected(unsigned origin, time_us asked_at)
{
	struct protection *at = &protections[origin];

	check(origin < sizeof protections / sizeof *protections);
	if (at->releasing || at->released >= asked_at)
		return;
	if (!at->sure)
		at->since = world.now;
	at->sure = true;
}

void judge_release_asked(unsigned origin)
{
	check(origin < sizeof protections / sizeof *protections);
	protections[origin].sure = false;
	protections[origin].releasing++;
}

void judge_released(unsigned origin)
{
	check(protections[origin].releasing > 0);
	protections[origin].releasing--;
	protections[origin].released = world.now;
}

/* Since when its origin has been protected; 0: it is not, or not for sure. Drivers part origins too, by what they say at login: of several
 * under these names any may be its own. */
static time_us protected_since(const struct person *p)
{
	time_us since = 0;
	const char *name = p->has[0] ? p->wanted[0] : "";
	char host[ADDRESS_TEXT];
	struct address address;

	fakeio_address(p->end->wire, &address);
	address_host_text(&address, host);
	for (size_t i = 0; i < ORIGINS_MAX; i++) {
		const struct origin *origin = house->origins.table[i];
		const struct protection *at;

		if (!origin || strcmp(origin->user, p->user) != 0 || strcmp(origin->database, p->database) != 0 ||
			strcmp(origin->application_name, name) != 0 || strcmp(origin->address, host) != 0)
			continue;
		if (origin->number >= sizeof protections / sizeof *protections)
			return 0;
		at = &protections[origin->number];
		if (!at->sure)
			return 0;
		since = at->since > since ? at->since : since;
	}
	return since;
}

/* Whatever else holds of them. */
static void judge_spared(const struct person *p)
{
	int no_reap = setting_find(span_text("pgweir.no_reap"));
	time_us since = protected_since(p);

	if (p->has[no_reap] && strcmp(p->wanted[no_reap], "off") != 0)
		broken("the leak guard lets alone who asked for it", "c%u, with pgweir.no_reap=%s", p->id,
			p->wanted[no_reap]);
	if (since && was_said_after(p, since))
		broken("the leak guard lets alone what is protected", "c%u, since %.3f s", p->id,
			(double)(world.now - since) / 1e6);
}

void judge_told(struct person *p)
{
	judge_spared(p);
}

/* Whoever is ended by the leak guard rests, or pauses in a block; what it asked for may only have crossed the last words on their way. */
static void judge_reaped(struct person *p, const char *sqlstate)
{
	world.reaped++;
	if (p->kind != PERSON_GOOD)
		broken("the leak guard ends no operator", "c%u", p->id);
	if (p->replicates)
		broken("the leak guard ends no replication", "c%u", p->id);
	if (strcmp(sqlstate, "57P05") != 0 && strcmp(sqlstate, "25P03") != 0)
		broken("who is ended is told why", "c%u: %s", p->id, sqlstate);
	judge_spared(p);
	if (!person_is_quiet(p) && was_said_after(p, p->asked_at))
		broken("the leak guard ends nobody who waits for an answer", "c%u waits since %lld us", p->id,
			(long long)(world.now - p->asked_at));
	if (person_is_quiet(p) && p->shadow->listens)
		broken("the leak guard ends nobody who listens", "c%u", p->id);
	if (person_is_quiet(p) && p->shadow->status != 'I' && strcmp(sqlstate, "57P05") == 0)
		broken("a block is not ended as a rest", "c%u", p->id);
}

/* The only last words that anybody may hear, and when. */
void judge_fatal(struct person *p, const char *sqlstate, const char *message)
{
	bool admin = world.commands > 0, server = world.server_faults > 0 || admin || world.stalls > 0;

	if (world.memory && world.refused > 0)
		return;
	if (strcmp(message, "query_wait_timeout") == 0 && limits.query_wait_timeout > 0)
		return;
	if (strncmp(message, "client_login_timeout", 20) == 0 && world.now - p->came >= limits.login_timeout)
		return;
	if (strcmp(message, "client_idle_timeout") == 0 && limits.client_idle_timeout > 0)
		return;
	if (strcmp(message, "query timeout") == 0 && limits.query_timeout > 0 && !p->replicates)
		return;
	if (contains(message, "the leak guard ended")) {
		judge_reaped(p, sqlstate);
		return;
	}
	/* What goes over a connection for replication has no end that a limit could be for. */
	if (strcmp(message, "idle transaction timeout") == 0 && limits.idle_transaction_timeout > 0 && !p->replicates)
		return;
	if (strcmp(message, "transaction timeout") == 0 && limits.transaction_timeout > 0 && !p->replicates)
		return;
	/* A RELOAD that changes its entry ends it. */
	if (p->replicates && strcmp(sqlstate, "57P01") == 0 && p->came <= limits_since && limits_since > began_at)
		return;
	/* What its own server says is its own. */
	if (p->replicates && p->state == PERSON_GREETED && (server || strcmp(sqlstate, "53300") == 0))
		return;
	if (p->state == PERSON_GREETED && strcmp(sqlstate, "08006") == 0 && world.now < p->came + 3 * SECOND_US)
		broken("a login outlives the server that it learned from", "c%u (%s/%s) is told %s", p->id, p->database,
			p->user, message);
	if (server &&
		(strcmp(sqlstate, "08006") == 0 || strcmp(sqlstate, "57P01") == 0 || strcmp(sqlstate, "57P02") == 0 ||
			strcmp(sqlstate, "08001") == 0 || strcmp(sqlstate, "57P03") == 0))
		return;
	if (admin && (contains(message, "disabled") || contains(message, "shutting down")))
		return;
	if (strcmp(sqlstate, "54000") == 0 && contains(message, "too many requests"))
		return;
	broken("nobody is refused without a reason", "c%u (%s/%s) is told %s %s", p->id, p->database, p->user, sqlstate,
		message);
}

void judge_hung_up_on(struct person *p, bool in_mid_message)
{
	if (p->end->wire->faulty || p->end->wire->cut || p->stopped)
		return; /* last words are kept for a while only */
	if (world.memory && world.refused > 0)
		return;
	/* A server that died in the middle of a message leaves nothing that could be said. */
	if (in_mid_message && (world.server_faults > 0 || world.stalls > 0 || world.commands > 0))
		return;
	/* Nor does a query that took too long while its rows went to a slow client. */
	if (in_mid_message && (limits.query_timeout > 0 || limits.transaction_timeout > 0))
		return;
	if (!p->fatal || in_mid_message)
		broken("nobody is hung up on without a word", "c%u (%s/%s)%s", p->id, p->database, p->user,
			in_mid_message ? " in the middle of a message" : "");
}

/* ---- between turns: the books ---- */

static bool mail_is_read(void)
{
	for (uint32_t i = 0; i < house->worker_count; i++)
		if (mailbox_length(house->workers[i]->mailbox) > 0)
			return false;
	return true;
}

struct tally {
	unsigned waiting, lent, guests, channels;
	unsigned with_origin;
};

/* Who hears what is being found out, between its transactions. */
static bool waits_for_ear(const struct guest *g)
{
	const struct hearing *h = g->hearer ? g->hearer->hearing : NULL;

	return h &&
		(g->hearer->opening ||
			(g->channel->remains.held &&
				(h->ready_owed || (h->state != HEARING_SHARED && h->state != HEARING_DIRECT))));
}

/* What we asked ourselves, which may be several questions, is no matter of the client's. */
static bool owes_client(const struct track *track)
{
	for (uint32_t i = 0; i < track->count; i++)
		if (!(track->ring[(track->head + i) & (track->capacity - 1)].flags & TRACK_OURS))
			return true;
	return track->count == 0 && !track_quiet(track);
}

static void look_at_guest(struct worker *w, struct guest *g, struct tally *t)
{
	t->guests++;
	switch ((enum guest_state)g->state) {
	case GUEST_LENT:
		if (!g->channel || g->channel->guest != g)
			broken("a server is lent to at most one client", "guest %u.%u", w->index, g->handle.slot);
		t->lent++;
		break;
	case GUEST_ASKING:
		/* Who waits for another's answer is no client that wants a server. */
		if (!g->extras->asking) {
			if (g->channel)
				broken("who holds nothing holds nothing", "guest %u.%u waits for auth_query", w->index,
					g->handle.slot);
			break;
		}
		__attribute__((fallthrough));
	case GUEST_WAITING:
	case GUEST_LEARNING:
		if (g->channel && g->channel->guest != g)
			broken("a server is lent to at most one client", "guest %u.%u waits", w->index, g->handle.slot);
		if (g->channel)
			t->lent++;
		else
			t->waiting++;
		break;
	case GUEST_ENDING:
		broken("what ended is buried at the end of the turn", "guest %u.%u", w->index, g->handle.slot);
	case GUEST_LOGIN:
	case GUEST_AT_DOOR:
	case GUEST_PARKED:
	case GUEST_CONSOLE:
		if (g->channel)
			broken("who holds nothing holds nothing", "guest %u.%u in state %u", w->index, g->handle.slot,
				g->state);
		break;
	}
	t->with_origin += g->origin != NULL;
	if (g->state == GUEST_PARKED && !g->habits.rest_since)
		broken("who is parked rests", "guest %u.%u", w->index, g->handle.slot);
	if (g->state == GUEST_LENT && g->habits.rest_since && g->channel && !g->channel->unprepared &&
		!g->channel->checking && owes_client(&g->channel->track))
		broken("who is owed an answer does not rest", "guest %u.%u", w->index, g->handle.slot);
	if (w->suspension.number)
		return; /* then nobody is heard: see look_at_suspension */
	if (g->state == GUEST_PARKED && g->stream && stream_is_paused(g->stream))
		broken("who is parked is heard", "guest %u.%u is paused", w->index, g->handle.slot);
	if (g->state == GUEST_LENT && g->stream && stream_is_paused(g->stream) && g->channel->stream &&
		!((g->channel->remains.held || g->names_held) && !track_quiet(&g->channel->track)) &&
		!waits_for_ear(g) && stream_queued(g->channel->stream) == 0 && !stream_is_broken(g->channel->stream))
		broken("who is lent a server is heard", "guest %u.%u is paused, and nothing is queued for its server",
			w->index, g->handle.slot);
}

static void look_at_channel(struct worker *w, struct channel *c, struct tally *t)
{
	struct server_picture picture;

	t->channels++;
	if (c->guest && (c->guest->channel != c || c->guest->worker != w))
		broken("a server is lent to at most one client", "channel %u", c->id.slot);
	if (c->state == CHANNEL_LENT && !c->guest)
		broken("every lease that opens closes", "channel %u is lent to nobody", c->id.slot);
	if (c->state == CHANNEL_IDLE && (!track_idle(&c->track) || c->track.suspect || c->broken))
		broken("a server is free only when it is proven free", "channel %u", c->id.slot);
	if (c->state != CHANNEL_CLOSING && c->stream && stream_is_paused(c->stream) && !w->suspension.number &&
		!(c->guest && c->guest->hearer && c->guest->hearer->hearing->state == HEARING_WAITS) &&
		(!c->guest || (stream_queued(c->guest->stream) == 0 && !stream_is_broken(c->guest->stream))))
		broken("a server is read from unless its client is slow, or waits for the ear",
			"channel %u in state %u", c->id.slot, c->state);
	if (!core_server_picture(house->core, c->id, &picture)) {
		broken("the core knows every server", "channel %u.%u in state %u", c->id.slot, c->id.generation,
			c->state);
	}
	if (!mail_is_read())
		return;
	if (c->state == CHANNEL_LENT && picture.state != SERVER_LENT)
		broken("the books of worker and core agree", "channel %u is lent, for the core it is in state %d",
			c->id.slot, picture.state);
	if (c->state == CHANNEL_IDLE && picture.state != SERVER_IDLE)
		broken("the books of worker and core agree", "channel %u is idle, for the core it is in state %d",
			c->id.slot, picture.state);
	if (c->state == CHANNEL_CLEANING && picture.state != SERVER_CLEANING)
		broken("the books of worker and core agree", "channel %u is cleaned, for the core it is in state %d",
			c->id.slot, picture.state);
}

static uint64_t bytes_passed(const struct worker *w)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->view_capacity; i++)
		if (w->views[i])
			sum += w->views[i]->stats.received + w->views[i]->stats.sent;
	return sum;
}

/* From SUSPEND's answer to RESUME not a byte goes from a client to a server, or back. */
static void look_at_suspension(const struct worker *w)
{
	struct still *still = &stills[w->index], now = { .number = w->suspension.number };

	check(w->index < sizeof stills / sizeof *stills);
	if (!w->suspension.sent)
		return;
	now.bytes = bytes_passed(w);
	if (still->number == now.number && still->bytes != now.bytes)
		broken("nothing passes while everything is suspended", "worker %u", w->index);
	*still = now;
}

/* Nobody waits while a server of his pool rests. */
static void look_at_pools(void)
{
	struct pool_picture pool;
	struct totals_picture totals;

	core_totals(house->core, &totals);
	for (uint32_t i = 0; i < core_pools(house->core); i++) {
		struct database_picture database;

		if (!core_pool_picture(house->core, i, &pool) ||
			!core_database_picture(house->core, pool.database, &database))
			continue;
		if (pool.waiting - pool.kept > pool.moving && pool.idle > 0 && !totals.paused && !database.paused &&
			!database.kill_paused && mail_is_read())
			broken("nobody who can be served waits", "pool %u: %u wait, %u servers rest", i, pool.waiting,
				pool.idle);
	}
}

static time_us median_of(pool_id id, bool *moving)
{
	struct pool_picture pool;

	*moving = !core_pool_picture(house->core, id, &pool) || pool.moving > 0 || id >= 256 || was_moving[id];
	return pool.median_lease;
}

/* It waits as it did at the last look. */
static bool still_waits(const struct waiter *w)
{
	const struct guest *g = slots_get(&house->workers[w->who.worker]->guests, w->who.client);

	return g && !g->channel && g->wants_since == w->since &&
		(g->state == GUEST_WAITING || g->state == GUEST_LEARNING);
}

/* When the core lent it its server: before a query that checks it was answered. */
static time_us decided_at(const struct guest *g)
{
	struct server_picture picture;

	return core_server_picture(house->core, g->channel->id, &picture) && picture.state == SERVER_LENT
		? picture.since
		: 0;
}

/* Somebody who began to want at `since` is lent a server: nobody of his pool who still waits came much earlier. */
static void look_at_lease(const struct guest *g)
{
	bool moving;
	time_us bound = median_of(g->pool, &moving), decided = decided_at(g);

	for (size_t i = 0; i < waiter_count; i++) {
		const struct waiter *w = &waiters[i];

		if (w->pool != g->pool || (w->who.worker == g->worker->index && handle_equal(w->who.client, g->handle)))
			continue;
		if (w->seen > decided || !still_waits(w))
			continue;
		/* Where origins take turns, or one of them has as many servers as it may, only its own come in order. */
		if ((limits.fair || limits.origin_servers_max || old_limits.origin_servers_max) &&
			w->origin != g->origin_key)
			continue;
		/* Within a worker strictly in order; the moment of a turn is one moment. */
		if (w->who.worker == g->worker->index
				? w->since < g->wants_since
				: !moving && w->since + bound + 20 * MILLISECOND_US < g->wants_since)
			broken("no one is overtaken beyond the bound",
				"worker %u, a client that began to want at %lld got a server before worker %u's that wants since %lld; median "
				"lease %lld",
				g->worker->index, (long long)g->wants_since, w->who.worker, (long long)w->since,
				(long long)bound);
	}
}

/* ---- origins ---- */

static unsigned servers_of(pool_id pool, uint64_t group, uint64_t origin)
{
	unsigned held = 0;
	uint32_t slot;
	struct guest *g;

	for (uint32_t i = 0; i < house->worker_count; i++) {
		slot = 0;
		while ((g = slots_next(&house->workers[i]->guests, &slot)))
			held += g->channel && g->pool == pool && g->group == group &&
				(origin == 0 || g->origin_key == origin);
	}
	return held;
}

static bool waits(pool_id pool, uint64_t group)
{
	for (size_t i = 0; i < waiter_count; i++)
		if (waiters[i].pool == pool && waiters[i].group == group)
			return true;
	return false;
}

static void count_passed(pool_id pool, uint64_t waits, uint64_t served)
{
	/* A turn more where a server was dead, and what was in the mail for others. */
	unsigned most = 3 + (house->worker_count > 1 ? 8 : 0);
	size_t i = 0;

	while (i < passed_count && (passed[i].pool != pool || passed[i].waits != waits || passed[i].served != served))
		i++;
	if (i == passed_count && i == sizeof passed / sizeof *passed)
		return;
	if (i == passed_count)
		passed[passed_count++] = (struct passed){ pool, waits, served, 0 };
	if (++passed[i].count > most)
		broken("no origin starves",
			"pool %u: a user at an address waits and holds nothing, and another was served %u times meanwhile",
			pool, passed[i].count);
}

static bool is_counted(const struct guest *g)
{
	if (begun_at != world.now)
		begun_count = 0;
	begun_at = world.now;
	for (size_t i = 0; i < begun_count; i++)
		if (begun[i].worker == g->worker->index && handle_equal(begun[i].client, g->handle))
			return true;
	if (begun_count < sizeof begun / sizeof *begun)
		begun[begun_count++] = guest_ref(g);
	return false;
}

/* A lease has begun: who waits since before, of others, and holds nothing? */
static void look_at_turn(const struct guest *g)
{
	unsigned most = limits.origin_servers_max;
	time_us decided = decided_at(g);
	struct pool_picture pool;

	if (world.now < limits_since + LIMITS_GRACE && most)
		most = old_limits.origin_servers_max > most || !old_limits.origin_servers_max
			? old_limits.origin_servers_max
			: most;
	if (most && servers_of(g->pool, g->group, g->origin_key) > most)
		broken("an origin has no more servers than it may", "pool %u: %u of %u", g->pool,
			servers_of(g->pool, g->group, g->origin_key), most);
	/* Who is kept may be so for a server that is cleaned after another of its origin. */
	if (is_counted(g) || !core_pool_picture(house->core, g->pool, &pool) || pool.kept > 0)
		return;
	for (size_t i = 0; limits.fair && i < waiter_count; i++) {
		const struct waiter *w = &waiters[i];
		bool again = w->seen > decided;

		for (size_t j = 0; j < i && !again; j++)
			again = waiters[j].pool == w->pool && waiters[j].group == w->group;
		if (!again && w->pool == g->pool && w->group != g->group && servers_of(w->pool, w->group, 0) == 0)
			count_passed(w->pool, w->group, g->group);
	}
}

/* Who was served (a lease may be over within a turn), holds a server or waits no more begins anew. */
static void forget_passed(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < passed_count; i++) {
		bool same = waits(passed[i].pool, passed[i].waits) &&
			servers_of(passed[i].pool, passed[i].waits, 0) == 0;

		for (size_t j = 0; j < waiter_count && same; j++)
			same = waiters[j].pool != passed[i].pool || waiters[j].group != passed[i].waits ||
				still_waits(&waiters[j]);
		if (same)
			passed[kept++] = passed[i];
	}
	passed_count = kept;
}

static void look_at_arrival(const struct guest *g)
{
	unsigned clients = 0;
	uint32_t slot;
	const struct guest *other;

	if (!limits.origin_clients_max || !g->admitted || !g->origin_key || g->state == GUEST_CONSOLE)
		return;
	for (uint32_t i = 0; i < house->worker_count; i++) {
		slot = 0;
		while ((other = slots_next(&house->workers[i]->guests, &slot)))
			clients += other->admitted && other->origin_key == g->origin_key;
	}
	if (clients > limits.origin_clients_max)
		broken("an origin has no more clients than it may", "%u of %u", clients, limits.origin_clients_max);
}

static time_us seen_before(const struct guest *g, const struct waiter *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].who.worker == g->worker->index && handle_equal(list[i].who.client, g->handle) &&
			list[i].since == g->wants_since)
			return list[i].seen;
	return world.now;
}

void judge_step(void)
{
	static struct waiter before[sizeof waiters / sizeof *waiters];
	size_t before_count;
	struct tally t = { 0 };
	struct totals_picture totals;
	struct guest *g;
	uint32_t i, slot, origins = 0;

	core_audit(house->core);
	for (i = 0; i < house->worker_count; i++) {
		struct worker *w = house->workers[i];

		if (w->stop)
			return;
		look_at_suspension(w);
		slot = 0;
		while ((g = slots_next(&w->guests, &slot))) {
			look_at_guest(w, g, &t);
			if (g->state == GUEST_LOGIN)
				look_at_arrival(g);
		}
		for (slot = 0; slot < w->channel_capacity; slot++)
			if (w->channels[slot])
				look_at_channel(w, w->channels[slot], &t);
	}
	if (mail_is_read()) {
		core_totals(house->core, &totals);
		if (totals.waiting != t.waiting)
			broken("the books of worker and core agree", "%u clients wait, the core knows of %u", t.waiting,
				totals.waiting);
		if (totals.lent != t.lent)
			broken("the books of worker and core agree", "%u clients hold a server, the core knows of %u",
				t.lent, totals.lent);
	}
	for (i = 0; i < ORIGINS_MAX; i++)
		origins += house->origins.table[i] ? house->origins.table[i]->clients : 0;
	if (origins + house->origins.others.clients != t.with_origin)
		broken("every client is counted under its origin", "%u clients, counted %u + %u", t.with_origin,
			origins, house->origins.others.clients);
	look_at_pools();
	for (i = 0; i < house->worker_count; i++) {
		slot = 0;
		while ((g = slots_next(&house->workers[i]->guests, &slot)))
			if (g->channel && !g->channel->checking && g->channel->lent_since == world.now &&
				g->wants_since > 0) {
				look_at_lease(g);
				look_at_turn(g);
			}
	}
	for (i = 0; i < core_pools(house->core) && i < 256; i++) {
		struct pool_picture pool;

		was_moving[i] = !core_pool_picture(house->core, i, &pool) || pool.moving > 0;
	}
	forget_passed();
	memcpy(before, waiters, waiter_count * sizeof *waiters);
	before_count = waiter_count;
	waiter_count = 0;
	for (i = 0; i < house->worker_count; i++) {
		slot = 0;
		while ((g = slots_next(&house->workers[i]->guests, &slot)))
			if ((g->state == GUEST_WAITING || g->state == GUEST_LEARNING) && !g->channel &&
				waiter_count < sizeof waiters / sizeof *waiters)
				waiters[waiter_count++] = (struct waiter){ guest_ref(g), g->pool, g->wants_since,
					seen_before(g, before, before_count), g->origin_key, g->group };
	}
}

void judge_rest(void)
{
	struct totals_picture totals;
	unsigned backends = 0;

	core_totals(house->core, &totals);
	for (struct backend *b = cluster.backends; b; b = b->next) {
		backends += counts(b) && !b->monitor && !b->aside;
		if (b->replicates && counts(b))
			broken("a connection for replication ends with its client", "backend %u of c%d is there",
				b->process, b->only);
	}
	if (totals.clients != 0 || totals.lent != 0 || totals.waiting != 0)
		broken("who leaves leaves nothing behind", "%u clients, %u leases, %u waiting", totals.clients,
			totals.lent, totals.waiting);
	for (uint32_t i = 0; i < house->worker_count; i++) {
		uint32_t slot = 0;
		struct guest *g = slots_next(&house->workers[i]->guests, &slot);

		if (g)
			broken("who leaves leaves nothing behind",
				"worker %u still has %u clients, one in state %u by wire %u", i,
				house->workers[i]->guests.used, g->state, stream_peer(g->stream)->port - 1024u);
	}
	if (backends > totals.servers)
		broken("PostgreSQL has no more backends than the pools' idle servers", "%u backends, %u servers",
			backends, totals.servers);
}
