/* What must be true of a server before the client's message runs there is made true in front of it: no round trip more, and no other client can
 * come between the two. It may not go out while answers to earlier batches are owed, since a transaction that has failed by then would make it fail:
 * what is sent behind it may succeed, or have another error. Nor while a cancel is on its way to the server, which may hit it (remains_hold). */
#include "serve/ahead.h"

#include <string.h>

#include "base/text.h"
#include "serve/channel.h"
#include "serve/numbers.h"
#include "serve/relay.h"
#include "session/tokens.h"

/* In front of a Bind: Close, Parse, Bind, Execute, and Close of both. All may be skipped, and then what they were for is skipped too. */
static bool add_to_batch(struct guest *guest, struct span text, uint32_t tag)
{
	static const struct {
		char type;
		enum track_kind kind;
		char before; /* of the name: what is closed; 0: nothing */
	} messages[] = { { 'C', TRACK_CLOSE, 'S' }, { 'P', TRACK_PARSE, 0 }, { 'B', TRACK_BIND, 0 },
		{ 'E', TRACK_EXECUTE, 0 }, { 'C', TRACK_CLOSE, 'P' }, { 'C', TRACK_CLOSE, 'S' } };
	struct outbox *o = &guest->worker->to_server;
	char name[64];
	size_t length, i;

	text_format(name, sizeof name, "%sahead", statement_prefix(guest->worker->house->statements));
	length = strlen(name) + 1;
	for (i = 0; i < sizeof messages / sizeof messages[0]; i++) {
		struct buf body = { 0 };
		bool ok = !messages[i].before || buf_add(&body, &messages[i].before, 1);

		ok = ok && buf_add(&body, name, length);
		if (messages[i].type == 'P') /* no types */
			ok = ok && buf_add_span(&body, text) && buf_add(&body, "\0\0", 3);
		else if (messages[i].type == 'B') /* no formats, no values */
			ok = ok && buf_add(&body, name, length) && buf_add(&body, "\0\0\0\0\0", 6);
		else if (messages[i].type == 'E') /* all rows */
			ok = ok && buf_add(&body, "\0\0\0", 4);
		if (!ok)
			guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		ok = ok && relay_owe(guest, messages[i].kind, TRACK_OURS, messages[i].type == 'E' ? tag : 0);
		if (ok) {
			relay_header(outbox_room(o, FRAME_HEADER), messages[i].type, body.length);
			outbox_copy(o, body.at + body.start, body.length);
		}
		buf_fini(&body);
		if (!ok)
			return false;
	}
	return true;
}

/* Nothing but a ROLLBACK does anything there. */
static bool is_aborted(const struct channel *channel)
{
	return channel->track.status == 'E' || channel->failing;
}

bool ahead_in_vain(const struct channel *channel)
{
	const struct track *track = &channel->track;

	return !track->open && !track_copies(track) && track_readies(track) == 0 && is_aborted(channel);
}

/* Whether something under way may end the failed transaction. */
static bool may_recover(const struct track *track)
{
	for (uint32_t i = 0; i < track->count; i++) {
		const struct track_entry *entry = &track->ring[(track->head + i) % track->capacity];

		if (!(entry->flags & TRACK_OURS) && (entry->kind == TRACK_QUERY || entry->kind == TRACK_EXECUTE))
			return true;
	}
	return false;
}

static bool is_over(const struct tokens *t)
{
	return t->token->kind == TOKEN_END || tokens_at_sign(t, ';');
}

static bool statement_idles(struct tokens *t)
{
	static const char *const words[] = { "begin", "start", "savepoint", "release", "rollback", "abort", "set",
		"show", "reset", "lock", "listen", "unlisten", "notify", "checkpoint", "deallocate", "discard" };
	bool sets = tokens_at_word(t, "set");

	if (!tokens_at_one_of(t, words, sizeof words / sizeof words[0]))
		return false;
	tokens_next(t);
	if (sets && tokens_at_word(t, "constraints")) /* triggers run */
		return false;
	while (!is_over(t))
		tokens_next(t);
	return true;
}

bool ahead_idles(const struct numbers_asked *asked)
{
	struct tokens t;

	/* There is no text; or this is not all of it (remains_look). */
	if (!asked->text.at || (asked->marks & LOOK_UNNAMED))
		return false;
	tokens_begin(&t, asked->text);
	do {
		tokens_next(&t);
		if (!is_over(&t) && !statement_idles(&t))
			return false;
	} while (t.token->kind != TOKEN_END);
	return !t.doubt;
}

bool ahead_begins_idly(const struct numbers_asked *asked)
{
	struct tokens t;

	tokens_begin(&t, asked->text);
	tokens_next(&t);
	return statement_idles(&t);
}

bool ahead_must_not(const struct channel *channel, const struct numbers_asked *asked)
{
	static const char *const first[] = { "discard", "vacuum", "cluster", "reindex" };
	static const char *const second[] = { "database", "tablespace", "subscription", "system" };
	static const char *const relations[] = { "index", "unique", "table" };
	struct tokens t;

	if (!asked->extended && !channel->track.open)
		return false;
	tokens_begin(&t, asked->text);
	tokens_next(&t);
	if (tokens_at_one_of(&t, first, sizeof first / sizeof first[0]))
		return true;
	if (!tokens_at_word(&t, "create") && !tokens_at_word(&t, "drop") && !tokens_at_word(&t, "alter"))
		return false;
	tokens_next(&t);
	return tokens_at_one_of(&t, second, sizeof second / sizeof second[0]) ||
		(tokens_at_one_of(&t, relations, sizeof relations / sizeof relations[0]) &&
			tokens_contain(asked->text, "concurrently"));
}

enum ahead ahead_wait(struct guest *guest)
{
	guest->channel->remains.held = true;
	stream_pause(guest->stream);
	return AHEAD_WAIT;
}

static enum ahead send(struct guest *guest, struct span text, uint32_t tag, bool extended, bool *sent)
{
	struct channel *channel = guest->channel;
	const struct track *track = &channel->track;
	bool in_batch = extended || track->open;

	*sent = false;
	if (is_aborted(channel) && !may_recover(track))
		return AHEAD_GO;
	if (!in_batch && track_copies(track))
		return AHEAD_GO; /* it ends the COPY with an error, and is no more than that */
	/* Within a batch it may fail, as what stands behind it would; but a Query is not to be skipped with it. */
	if (!(extended && track->open) && !track_copies(track) && track_readies(track) > 0)
		return ahead_wait(guest);
	if (in_batch) {
		*sent = add_to_batch(guest, text, tag);
		return *sent ? AHEAD_GO : AHEAD_STOP;
	}
	*sent = channel_ask(channel, text, tag);
	if (*sent)
		return AHEAD_GO;
	guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
	return AHEAD_STOP;
}

enum ahead ahead_send(struct guest *guest, struct span text, uint32_t tag, bool extended, bool *sent)
{
	return send(guest, text, tag, extended, sent);
}

enum ahead ahead_ask(struct guest *guest, struct span text, uint32_t tag, bool extended, bool *asked)
{
	bool in_batch = extended || guest->channel->track.open;
	enum ahead step = AHEAD_GO;

	/* What the server skips it does not answer, and what follows is skipped with it. */
	*asked = false;
	if (!guest->channel->track.skipping)
		step = send(guest, text, tag, extended, asked);
	if (!*asked)
		return step;
	if (in_batch)
		relay_empty(&guest->worker->to_server, 'H');
	return ahead_wait(guest);
}
