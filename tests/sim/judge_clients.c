/* The judge, at the clients: which last words they hear, when they may be hung up on, and whom the leak guard must let alone. */
#include <string.h>

#include "base/check.h"
#include "changes.h"
#include "fakeio.h"
#include "judge_parts.h"
#include "serve/worker.h"

/* By an origin's number, of those that operators name. */
struct protection {
	bool sure;
	time_us since, released;
	unsigned releasing; /* commands under way that may end it */
};
static struct protection protections[16];

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
		const struct origin *origin = judge.house->origins.table[i];
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

/* A RELOAD that changes the entry of a client for replication ends it. */
static bool may_be_reconnected(const struct person *p)
{
	return p->replicates && p->came <= judge.limits_since && judge.limits_since > judge.began_at;
}

/* The only last words that anybody may hear, and when. */
void judge_fatal(struct person *p, const char *sqlstate, const char *message)
{
	bool admin = world.commands > 0 || judge.removes, server = world.server_faults > 0 || admin || world.stalls > 0;

	if (world.memory && world.refused > 0)
		return;
	if (strcmp(message, "query_wait_timeout") == 0 && judge.limits.query_wait_timeout > 0)
		return;
	if (strncmp(message, "client_login_timeout", 20) == 0 && world.now - p->came >= judge.limits.login_timeout)
		return;
	if (strcmp(message, "client_idle_timeout") == 0 && judge.limits.client_idle_timeout > 0)
		return;
	if (strcmp(message, "query timeout") == 0 && judge.limits.query_timeout > 0 && !p->replicates)
		return;
	if (contains(message, "the leak guard ended")) {
		judge_reaped(p, sqlstate);
		return;
	}
	/* What goes over a connection for replication has no end that a limit could be for. */
	if (strcmp(message, "idle transaction timeout") == 0 && judge.limits.idle_transaction_timeout > 0 &&
		!p->replicates)
		return;
	if (strcmp(message, "transaction timeout") == 0 && judge.limits.transaction_timeout > 0 && !p->replicates)
		return;
	/* Or its server was still on the way, and the host that it was dialed at refused it. */
	if ((strcmp(sqlstate, "57P01") == 0 || strcmp(sqlstate, "08001") == 0) && may_be_reconnected(p))
		return;
	/* What its own server says is its own. */
	if (p->replicates && p->state == PERSON_GREETED && (server || strcmp(sqlstate, "53300") == 0))
		return;
	/* Of which three in a row were ended before they were ready is told. */
	if (p->state == PERSON_GREETED && strcmp(sqlstate, "08006") == 0 && world.now < p->came + 3 * SECOND_US &&
		!(server && strncmp(message, "connect_query ended", 19) == 0))
		broken("a login outlives the server that it learned from", "c%u (%s/%s) is told %s", p->id, p->database,
			p->user, message);
	if (server &&
		(strcmp(sqlstate, "08006") == 0 || strcmp(sqlstate, "57P01") == 0 || strcmp(sqlstate, "57P02") == 0 ||
			strcmp(sqlstate, "08001") == 0 || strcmp(sqlstate, "57P03") == 0))
		return;
	/* What the pooler says in front of a statement is hit by a cancel of which nothing tells that it is still to come. */
	if (world.strays > 0 && strcmp(sqlstate, "57014") == 0)
		return;
	if (admin && (contains(message, "disabled") || contains(message, "shutting down")))
		return;
	if ((strcmp(sqlstate, "28P01") == 0 || strcmp(sqlstate, "28000") == 0) && changes_may_refuse(p))
		return;
	if (judge.removes && strcmp(sqlstate, "3D000") == 0)
		return;
	if (strcmp(p->database, judge.greets) == 0 && contains(message, "connect_query"))
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
	if (in_mid_message &&
		(world.server_faults > 0 || world.stalls > 0 || world.commands > 0 || judge.removes ||
			may_be_reconnected(p)))
		return;
	/* Nor does a query that took too long while its rows went to a slow client. */
	if (in_mid_message && (judge.limits.query_timeout > 0 || judge.limits.transaction_timeout > 0))
		return;
	if (!p->fatal || in_mid_message)
		broken("nobody is hung up on without a word", "c%u (%s/%s)%s", p->id, p->database, p->user,
			in_mid_message ? " in the middle of a message" : "");
}
