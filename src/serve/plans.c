/* A literal in the body of a function is read when the server plans the statement that has it: '2020-01-02 12:00'::timestamptz is a moment of the time zone
 * of whoever came first, and stays so for all who call that function on this server. So does what an immutable function says of a setting, which
 * it should not ask for. The catalogue tells which statements lead to such bodies (LOOK_READS_ONCE, LOOK_FREEZES); all others pass by here.
 *
 *            the first              other settings: DISCARD PLANS, and
 *   NONE ------------> KNOWN, OWN <---------------------------------- MIXED
 *                           OWN ----- the lease ends ----------------> MIXED
 *
 *   KNOWN: bodies with literals were read with `reading` alone, and those that call such functions with `settings` alone.
 *   OWN:   all were read in this lease, after something was set whose end is not known. That they stay so until it ends is as in a session of
 *          PostgreSQL's.
 *
 * An error before it in its batch makes the server skip DISCARD PLANS, and with it the statement that it was for; so what it leads to is true when it is
 * answered. */
#include "serve/plans.h"

#include "serve/channel.h"
#include "serve/relay.h"
#include "session/look.h"
#include "session/params.h"
#include "session/tokens.h"

static const char discard[] = "DISCARD PLANS";

static void put(struct plans_read *to, struct plans_read from)
{
	params_drop(to->reading);
	params_drop(to->settings);
	*to = from;
}

/* Nothing of the client's is in its transaction yet that may have said SET LOCAL, of which nobody takes note, or SET, of which it is not known yet what
 * it came to. */
static bool begins_transaction(const struct channel *channel)
{
	const struct track *track = &channel->track;
	const uint32_t sets = LOOK_SETTINGS | LOOK_RESET | LOOK_RESET_ALL | LOOK_UNKNOWN;

	if (track->status != 'I' || track->executes || ((channel->remains.touched | channel->remains.asking) & sets))
		return false;
	for (uint32_t i = 0; i < track->count; i++) {
		const struct track_entry *entry = &track->ring[(track->head + i) % track->capacity];

		if ((entry->flags & TRACK_OURS) && entry->tag == TAG_PLANS)
			continue;
		if (entry->kind == TRACK_BEGIN || entry->kind == TRACK_QUERY || entry->kind == TRACK_EXECUTE)
			return false;
	}
	return true;
}

static bool any_token(struct span text, bool (*fits)(const struct tokens *))
{
	struct tokens t;

	tokens_begin(&t, text);
	do {
		tokens_next(&t);
		if (fits(&t))
			return true;
	} while (t.token->kind != TOKEN_END);
	return false;
}

/* Words of a statement that may set something before it comes to such a function. */
static bool may_set(const struct tokens *t)
{
	return tokens_at_word(t, "set") || tokens_at_word(t, "set_config");
}

/* Borrowed: as whom the client reads while this runs. */
static struct plans_read now_of(struct guest *guest, const struct numbers_asked *asked)
{
	const uint32_t unseen = LOOK_READING | LOOK_UNKNOWN | LOOK_UNNAMED;
	struct plans_read now = { .state = PLANS_KNOWN };

	now.reading = relay_literals(guest, &now.settings);
	if (!now.reading || (asked->marks & unseen) ||
		((asked->marks & LOOK_FREEZES) &&
			(asked->text.length == 0 || !begins_transaction(guest->channel) ||
				any_token(asked->text, may_set))))
		now = (struct plans_read){ .state = PLANS_OWN };
	return now;
}

static bool are_alike(const struct plans_read *a, const struct plans_read *b, uint32_t marks)
{
	if (a->state == PLANS_OWN)
		return true;
	return a->state == PLANS_KNOWN && b->state == PLANS_KNOWN && a->reading == b->reading &&
		(!(marks & LOOK_FREEZES) || a->settings == b->settings);
}

static void note(struct plans_read *to, const struct plans_read *now)
{
	struct plans_read kept = *now;

	if (kept.state == PLANS_KNOWN) {
		params_keep(kept.reading);
		params_keep(kept.settings);
	}
	put(to, kept);
}

static void mix(struct plans_read *read)
{
	put(read, (struct plans_read){ .state = PLANS_MIXED });
}

/* BEGIN may be under way: it goes with the first statement (relay_begin.c). */
static bool is_in_block(const struct track *track)
{
	for (uint32_t i = 0; i < track->count; i++)
		if (track->ring[(track->head + i) % track->capacity].kind == TRACK_BEGIN)
			return true;
	return track->status == 'T';
}

/* Words of what is to have no snapshot before it. Where the text has more than that, what stands first tells nothing of the rest. */
static bool comes_before_snapshots(const struct tokens *t)
{
	static const char *const words[] = { "lock", "transaction", "begin" };

	return tokens_at_one_of(t, words, sizeof words / sizeof words[0]) ||
		((t->token->kind == TOKEN_WORD || t->token->kind == TOKEN_NAME) &&
			strncmp(t->token->text, "transaction_", 12) == 0);
}

/* From 18 on, within a batch, it would be taken for a part of a block behind anything, and not be refused outside of one. Behind another statement of
 * its client's it is so anyway. */
static bool is_let_in(const struct channel *channel, const struct numbers_asked *asked, const struct tokens *t)
{
	return asked->extended && !channel->track.executes && tokens_at_word(t, "declare") &&
		params_server_version(channel->reported) >= 18;
}

/* DISCARD PLANS takes a snapshot, and is a statement of its batch: in front of SET TRANSACTION or LOCK, or of VACUUM, that would not be as if it had
 * not been said. What runs bodies takes one itself. DDL may be what no transaction block may have in it. Nor may it fail in front of a Query that stands
 * in a batch: that one would be passed by up to the next Sync, and not answered. Nor in front of what ends a transaction, or a part of it: where that
 * has failed by then, which earlier batches that are not answered yet may tell, DISCARD PLANS is refused and the ROLLBACK skipped.
 * `in_front`: what makes a temporary object, or may, is DDL that a block may have. */
static bool may_stand_behind(const struct channel *channel, const struct numbers_asked *asked, bool in_front)
{
	static const char *const queries[] = { "select", "with", "values", "table", "insert", "update", "delete",
		"merge", "copy", "execute", "explain", "declare", "call", "do" };
	bool in_block = is_in_block(&channel->track);
	struct tokens t;

	if (!asked->extended && channel->track.open && (channel->track.status == 'E' || channel->failing))
		return false;
	/* What waits for answers is looked at again. */
	if (asked->text.length == 0 ||
		(!asked->extended && !channel->track.open &&
			((channel->track.status == 'I' && !in_block) || track_readies(&channel->track) > 0)))
		return true;
	tokens_begin(&t, asked->text);
	tokens_next(&t);
	while (tokens_at_sign(&t, '('))
		tokens_next(&t);
	if (asked->extended && t.token->kind == TOKEN_WORD && look_is_end(span_of(t.token->text, t.token->length)))
		return false;
	if (tokens_at_one_of(&t, queries, sizeof queries / sizeof queries[0]))
		return in_block || !is_let_in(channel, asked, &t);
	return !ahead_must_not(channel, asked) &&
		(in_front || (in_block && !any_token(asked->text, comes_before_snapshots)));
}

/* Whether the server's plans are to be given up for this statement, which leads to such bodies. */
static bool are_others(struct channel *channel, const struct numbers_asked *asked, const struct plans_read *now)
{
	struct plans *plans = &channel->remains.plans;
	uint32_t marks = asked->marks;

	if (!may_stand_behind(channel, asked, false)) {
		/* What it reads stays: whoever comes next gives up all. */
		if (!are_alike(&plans->read, now, marks))
			mix(&plans->read);
		if (plans->asked.state != PLANS_NONE && !are_alike(&plans->asked, now, marks))
			mix(&plans->asked);
		return false;
	}
	if (plans->read.state == PLANS_NONE) {
		note(&plans->read, now);
		return false;
	}
	/* What is under way in this batch is skipped together with what stands behind it. */
	if (plans->asked.state != PLANS_NONE &&
		(plans->apart || (channel->track.open && plans->batch == channel->batch)))
		return !are_alike(&plans->asked, now, marks);
	return !are_alike(&plans->read, now, marks);
}

/* Words of what is to have no statement before it in its batch: it ends transactions itself, or is refused where none is open. */
static bool stands_first(struct span text)
{
	static const char *const words[] = { "call", "do", "declare" };
	struct tokens t;

	tokens_begin(&t, text);
	tokens_next(&t);
	return tokens_at_one_of(&t, words, sizeof words / sizeof words[0]);
}

/* It was said in front of this batch, of which nothing has run yet. */
static bool is_said_in_front(const struct channel *channel, const struct numbers_asked *asked)
{
	const struct plans *plans = &channel->remains.plans;

	return plans->apart && plans->batch + 1 == channel->batch && !channel->track.executes &&
		stands_first(asked->text);
}

enum ahead plans_before(struct guest *guest, const struct numbers_asked *asked, bool in_front)
{
	struct channel *channel = guest->channel;
	struct plans_read now;
	unsigned batch = channel->batch;
	bool sent, open = channel->track.open, leads = asked->marks & (LOOK_READS_ONCE | LOOK_FREEZES);
	enum ahead step;

	in_front = in_front && !is_said_in_front(channel, asked);
	if ((!in_front && !leads) || ahead_idles(asked))
		return AHEAD_GO;
	now = now_of(guest, asked);
	if (!(leads && are_others(channel, asked, &now)) && !(in_front && may_stand_behind(channel, asked, true)))
		return AHEAD_GO;
	step = ahead_send(guest, span_text(discard), TAG_PLANS, asked->extended, &sent);
	if (sent) {
		note(&channel->remains.plans.asked, &now);
		channel->remains.plans.batch = batch;
		channel->remains.plans.apart = !asked->extended && !open;
	}
	return step;
}

bool plans_would_hinder(const struct channel *channel, const struct numbers_asked *asked)
{
	return !asked->extended && is_in_block(&channel->track) && ahead_begins_idly(asked) && !ahead_idles(asked) &&
		any_token(asked->text, comes_before_snapshots);
}

bool plans_come_apart(const struct channel *channel, struct span text)
{
	/* Nearly everything is turned away by its first letter; a comment or a space has none. */
	if (text.length == 0 || (text.at[0] >= 'A' && (text.at[0] | 32) != 'c' && (text.at[0] | 32) != 'd'))
		return false;
	return !channel->track.open && channel->track.status == 'I' && params_server_version(channel->reported) >= 18 &&
		stands_first(text);
}

void plans_discarded(struct channel *channel)
{
	struct plans *plans = &channel->remains.plans;

	if (plans->asked.state == PLANS_NONE)
		return;
	put(&plans->read, plans->asked);
	plans->asked = (struct plans_read){ 0 };
}

void plans_part(struct channel *channel)
{
	struct plans *plans = &channel->remains.plans;

	put(&plans->asked, (struct plans_read){ 0 });
	if (plans->read.state == PLANS_OWN)
		plans->read.state = PLANS_MIXED;
}

void plans_fini(struct plans *plans)
{
	put(&plans->read, (struct plans_read){ 0 });
	put(&plans->asked, (struct plans_read){ 0 });
}
