/* The judge, at PostgreSQL: on whose backend a statement runs and in which session, who is cancelled, how many backends there are. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "judge_parts.h"
#include "serve/worker.h"

/* The channel of this backend, in whose hands it is. NULL: in nobody's, as in the mail. */
static const struct channel *channel_of(const struct backend *b)
{
	for (uint32_t i = 0; i < judge.house->worker_count; i++) {
		const struct worker *w = judge.house->workers[i];

		for (uint32_t slot = 0; slot < w->channel_capacity; slot++)
			if (w->channels[slot] && w->channels[slot]->process_id == b->process)
				return w->channels[slot];
	}
	return NULL;
}

/* It is there, and in the database, that this entry means. */
static bool is_of(const struct database_settings *entry, const struct backend *b, const struct channel *channel)
{
	bool there = false;

	for (size_t i = 0; i < entry->host_count; i++)
		there = there || strcmp(entry->hosts[i].name, channel->host) == 0;
	return there && b->beyond == (entry->dbname != NULL);
}

/* For so long a worker may not have heard of a RELOAD, or a statement be on its way. */
#define REMOVED_GRACE (15 * SECOND_US)

/* A RELOAD, of which every worker has heard, has led its database elsewhere, and it is not to close. */
static bool is_left_behind(const struct backend *b)
{
	const struct house *house = judge.house;
	const struct channel *channel = channel_of(b);
	struct server_picture picture;

	for (uint32_t i = 0; i < house->worker_count; i++)
		if (house->workers[i]->config != house->config)
			return false;
	if (judge.removed && strcmp(judge.removed, b->database) == 0)
		return !b->end->wire->faulty && world.now > judge.limits_since + REMOVED_GRACE;
	return channel && channel->state != CHANNEL_CLOSING &&
		!is_of(config_database(house->config, span_text(b->database)), b, channel) &&
		core_server_picture(house->core, channel->id, &picture) && picture.state != SERVER_CLOSING &&
		!picture.close_needed;
}

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
	if (is_left_behind(b))
		broken("of a database that leads elsewhere only what is lent stays, and closes then",
			"c%d of %s/%s runs on backend %u: %s", tag, p->database, p->user, b->process, text);
	if (b->replicates != p->replicates)
		broken("a connection for replication is lent to nobody",
			"c%d, which %s for replication, runs on backend %u, which %s", tag,
			p->replicates ? "came" : "did not come", b->process, b->replicates ? "is" : "is not");
	if (b->replicates && b->only >= 0 && b->only != tag)
		broken("a connection for replication is lent to nobody", "backend %u was c%d's, and c%d says: %s",
			b->process, b->only, tag, text);
	b->only = tag;
	if (judge.limits.transparent && b->session->mine[0]) {
		char quoted[100];

		snprintf(quoted, sizeof quoted, "'%.80s", b->session->mine);
		if (tag_of(quoted) != tag)
			broken("nobody sees what another left in a session",
				"backend %u has the temporary table of c%d, and c%d says: %s", b->process,
				tag_of(quoted), tag, text);
	}
	for (int i = 0; i < SETTINGS; i++) {
		char wanted[SETTING_BYTES];

		if (p->touched[i] || (i == setting_triggered() && (p->resets || p->replicates)))
			continue;
		if (i == setting_triggered() && !p->has[i])
			text_copy(wanted, SETTING_BYTES, p->begun);
		else
			setting_normal(i, span_text(p->has[i] ? p->wanted[i] : setting_facts[i].standard), wanted);
		if (strcmp(b->session->now[i], wanted) != 0)
			broken("a client's startup settings hold in every query",
				"c%d runs with %s = \"%s\" instead of \"%s\" on backend %u: %s", tag,
				setting_facts[i].name, b->session->now[i], wanted, b->process, text);
	}
}

void judge_plan(struct backend *b, const struct plan *plan, const char *now, int tag)
{
	if (judge.limits.transparent && plan->by != tag && strcmp(plan->worth, now) != 0)
		broken("nobody is told what a function's body meant to others",
			"c%d is told (%s) instead of (%s), as it was planned for c%d on backend %u", tag, plan->worth,
			now, plan->by, b->process);
}

void judge_cancelled(struct backend *b, const char *text, bool writes, time_us hit_before)
{
	char quoted[800];
	int tag = tag_of(text);
	struct person *p;

	/* What sleeps says no more than its tag. */
	snprintf(quoted, sizeof quoted, "'%.700s", text);
	p = person_of(tag = tag < 0 ? tag_of(quoted) : tag);
	cluster.again += hit_before > 0;
	if (!p) {
		cluster.hits++;
		return;
	}
	p->hits++;
	/* The pooler has its own reasons, and the client may not have heard of them yet. */
	if (world.commands > 0 || judge.removes || judge.limits.query_timeout > 0 ||
		judge.limits.transaction_timeout > 0 || judge.limits.idle_transaction_timeout > 0)
		return;
	/* Nor of its own end, where memory was refused even to that word. */
	if (person_present(p) && p->cancels_sent == 0 && !p->fatal && !(world.memory && world.refused > 0))
		broken("a query is cancelled only by its own client", "c%d did not ask for it, and is still there",
			tag);
	/* As with PostgreSQL: the signal is sent when the connection that asked for it ends. */
	if (person_present(p) && p->cancels_sent > 0 && p->cancels_open == 0 && !p->fatal && world.strays == 0)
		broken("who brought a cancel is let go when it has arrived", "c%d was %lld us before", tag,
			(long long)(world.now - p->cancel_arrived));
	/* Better than PostgreSQL: a client need not wait for that, once it is told that its statement was cancelled. */
	if (person_present(p) && hit_before > 0 && hit_before < p->turn_at && !p->fatal && world.strays == 0)
		broken("a cancel hits nothing that its client asked for behind what it has hit",
			"c%d said this %lld us later", tag, (long long)(p->turn_at - hit_before));
	if (p->cancels_sent == 0 && writes && b->session->status == 'I' && !p->fatal)
		broken("a statement that may write outside a block runs to its end",
			"c%d left, and its update was cancelled", tag);
}

/* Else the way to it was cut or stalled, or the house has let it go: the orphan window of design.md. */
static bool is_reached(const struct backend *b)
{
	return !b->end->wire->faulty && !b->end->error && !b->end->wire->pipes[b->end->side].fin;
}

bool judge_counts(const struct backend *b)
{
	return backend_lives(b) && is_reached(b);
}

void judge_backend(struct backend *fresh)
{
	unsigned pool = 1, database = 1, user = 1;
	struct limits l = judge_bounds();

	if (l.named_size && strcmp(fresh->database, "named") == 0)
		l.pool_size = l.named_size;
	/* A login that broke off for want of memory is forgotten a moment before its backend is gone. */
	if (world.memory && world.refused > 0)
		return;
	/* One that was given up before its startup packet arrived is nobody's. */
	if (fresh->monitor || fresh->aside || !is_reached(fresh))
		return;
	for (struct backend *b = cluster.backends; b; b = b->next) {
		bool same_database = strcmp(b->database, fresh->database) == 0,
		     same_user = strcmp(b->user, fresh->user) == 0;

		if (b == fresh || b->monitor || b->aside || !judge_counts(b))
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
 *   - every backend of ours is one that the core can know of, and every end of one: no link to one was cut or stalled,
 *   - no connection that listens for all was just lost: its place is anybody's until it comes back,
 *   - and some pool has one there: where none has, one may always ask, whoever monitors or listens there. */
#define ANSWER_ARRIVES (2 * SECOND_US)
#define END_IS_KNOWN   (30 * SECOND_US) /* that of a backend behind a link that is cut */

void judge_full(struct backend *fresh)
{
	unsigned ours = 0;

	if (!judge.limits.budget || fresh->monitor || fresh->aside || world.memory)
		return;
	if (cluster.steady_at == 0 || world.now < cluster.steady_at + ANSWER_ARRIVES)
		return;
	if (world.server_cut_at && world.now < world.server_cut_at + END_IS_KNOWN)
		return;
	if (cluster.ear_ended_at && world.now < cluster.ear_ended_at + ANSWER_ARRIVES)
		return;
	for (struct backend *b = cluster.backends; b; b = b->next) {
		if (backend_lives(b) && !judge_counts(b))
			return;
		ours += backend_lives(b) && !b->monitor && !b->aside;
	}
	if (ours > 0)
		broken("nobody is asked for more than there is room for",
			"%s/%s is refused: %u of ours, %u of others, max_connections %u since %.3f s", fresh->database,
			fresh->user, ours, cluster.others, cluster.max_connections,
			(double)(world.now - cluster.changed_at) / 1e6);
}
