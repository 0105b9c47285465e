/* Numbers of sequences. Every INSERT may take one, and hardly anybody asks for it again in a later transaction; so clients do not keep
 * their servers for it, until their application does ask.
 *
 *   its application has never asked    who takes numbers leaves them on its server, and is lent that one again when it asks, if nobody
 *                                      else took any there since; who asks has those of others discarded in front of that
 *   it has                             who takes numbers keeps its server (a pin); others' are discarded when a lease begins. While
 *                                      clients wait, it keeps it for sequence_hold of rest, and then it is as if it had never asked
 *
 * What always holds: a message that may ask is sent to a server only when no stranger's number is there, or behind a DISCARD SEQUENCES.
 * That stands in front of a Query, as a Query of its own; in front of a Bind, within its batch, so that an error before it makes the server
 * skip both. It counts when the server has said so.
 * Who has taken one itself in this lease, before it was known that anybody asks, would lose that too. So PostgreSQL is asked first what this
 * transaction has taken (TAG_PROOF), while the message waits: where it asks for nothing else, it is sent as it is. */
#include "serve/numbers.h"

#include "base/reader.h"
#include "base/text.h"
#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/relay.h"
#include "serve/remains_parts.h"
#include "session/asked.h"
#include "session/tokens.h"

#define TAKING (LOOK_SEQUENCE | LOOK_INSERT | LOOK_UNKNOWN)

/* What may take numbers besides: a column that is added takes one for each row. */
#define UNSEEN (LOOK_CALLS | LOOK_DEFINES | LOOK_COMMAND | LOOK_EXECUTE)

/* What may have the lock of a sequence without a number of it: what failed in there, ALTER SEQUENCE. */
#define TOUCHING (LOOK_TOUCHES | LOOK_DEFINES | LOOK_COMMAND | LOOK_UNKNOWN)

static const char discard[] = "DISCARD SEQUENCES";

/* nextval locks its sequence up to the end of the transaction, in a way of its own (commands/sequence.c, lock_and_open_sequence). */
static const char question[] =
	"SELECT n.nspname,c.relname,pg_catalog.pg_table_is_visible(c.oid) FROM pg_catalog.pg_locks AS l "
	"JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.relation "
	"JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
	"WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.granted AND "
	"l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock' AND c.relkind OPERATOR(pg_catalog.=) 'S'";

/* Whether this client's own are there, and nobody else's. */
static bool are_own(const struct channel *channel)
{
	const struct numbers *n = &channel->remains.numbers;

	return n->whose == NUMBERS_ONES && channel->guest && n->taker.worker == channel->worker->index &&
		handle_equal(n->taker.client, channel->guest->handle);
}

void numbers_mix(struct channel *channel)
{
	struct numbers *n = &channel->remains.numbers;

	n->ran = true;
	if (n->whose == NUMBERS_NOBODYS) {
		n->whose = NUMBERS_ONES;
		n->taker = guest_ref(channel->guest);
	} else if (!are_own(channel)) {
		n->whose = NUMBERS_OF_MANY;
	}
}

bool numbers_mark(struct channel *channel, uint32_t marks)
{
	struct numbers *n = &channel->remains.numbers;

	if (marks & LOOK_CURRVAL)
		catalogs_tell_numbers(channel->guest);
	n->touched = n->touched || (marks & TOUCHING);
	if (marks & (TAKING | UNSEEN))
		numbers_mix(channel);
	if (marks & TAKING) {
		n->took = true;
		channel->guest->numbers_at = channel->id;
	}
	/* Numbers of sequences are everybody's habit; asking for them again is not. */
	return ((marks & TAKING) || ((marks & LOOK_CURRVAL) && are_own(channel))) &&
		catalogs_asks_numbers(channel->guest);
}

/* Whether the letters of currval or lastval are there, in whatever place. */
static bool mentions(struct span text)
{
	for (size_t i = 0; i + 7 <= text.length; i++) {
		struct span word = span_of(text.at + i, 7);

		if ((text.at[i + 4] | 32) == 'v' &&
			(text_equal_nocase(word, span_text("currval")) || text_equal_nocase(word, span_text("lastval"))))
			return true;
	}
	return false;
}

static bool text_asks(struct span text)
{
	struct look look;

	if (!mentions(text))
		return false;
	look_at(text, &look);
	return look.marks & LOOK_CURRVAL;
}

/* What runs unseen asks if its text has the word, as that of DO has; of a function that is called the catalogue says so. */
static bool may_ask(uint32_t marks, struct span text)
{
	return (marks & LOOK_CURRVAL) || ((marks & LOOK_UNKNOWN) && ((marks & LOOK_UNNAMED) || mentions(text)));
}

static bool asks(const struct guest *guest, struct span body, char type)
{
	struct statement *statement;
	struct span name, portal, rest;

	switch (type) {
	case 'Q':
		return body.length > 0 && text_asks(span_of(body.at, body.length - 1));
	case 'P':
		return message_read_parse(body, &name, &rest) &&
			text_asks(span_of(rest.at, strlen((const char *)rest.at)));
	case 'B':
		if (!message_read_bind(body, &portal, &name, &rest))
			return false;
		statement = name.length > 0 ? names_get(&guest->names, name) : guest->unnamed;
		return statement && (statement_marks(statement) & LOOK_CURRVAL);
	default:
		return false;
	}
}

bool numbers_wanted(const struct guest *guest, struct span in, struct frame frame)
{
	bool whole = in.length >= FRAME_HEADER + (size_t)frame.body;

	return guest->numbers_at.generation != 0 && whole &&
		asks(guest, span_of(in.at + FRAME_HEADER, frame.body), frame.type);
}

/* ---- what a client has taken itself, in this transaction ---- */

static bool every(void *context, const char *name)
{
	return true;
}

/* `context`: the channel. */
static bool is_taken(void *context, const char *name)
{
	struct span rest = buf_span(&((struct channel *)context)->remains.taken);

	if (!name)
		return rest.length > 0;
	while (rest.length > 0) {
		size_t length = strlen((const char *)rest.at);

		if (span_is(span_of(rest.at, length), name))
			return true;
		rest = span_skip(rest, length + 1);
	}
	return false;
}

/* What runs unseen may ask for anything; sequences may be locked by other means than nextval; and what comes in front of the question in
 * its own message may give the name another meaning. */
static bool can_be_proven(const struct numbers *n, const struct numbers_asked *asked)
{
	const uint32_t unseen = LOOK_ASKS_BENEATH | LOOK_UNKNOWN | LOOK_UNNAMED | LOOK_EXECUTE | LOOK_CALLS;
	const uint32_t meaning = LOOK_SETTINGS | LOOK_RESET | LOOK_RESET_ALL | LOOK_READING | LOOK_DEFINES |
		LOOK_COMMAND | LOOK_TEMPORARY;

	return !n->touched && !(asked->marks & (unseen | meaning | LOOK_TOUCHES)) &&
		asked_each(asked->text, asked->values, every, NULL);
}

/* True: all that it asks for is its own. Else the step that comes before it is known, or AHEAD_GO: it may not be. */
static bool is_proven(struct guest *guest, const struct numbers_asked *asked, enum ahead *step)
{
	struct channel *channel = guest->channel;
	struct numbers *n = &channel->remains.numbers;
	bool sent;

	*step = AHEAD_GO;
	if (n->proof == PROOF_ASKED && !channel->track.skipping) {
		*step = ahead_wait(guest);
		return false;
	}
	if (n->proof == PROOF_HERE) {
		n->proof = PROOF_NONE;
		return asked_each(asked->text, asked->values, is_taken, channel);
	}
	if (!can_be_proven(n, asked))
		return false;
	buf_clear(&channel->remains.taken);
	*step = ahead_ask(guest, span_text(question), TAG_PROOF, asked->extended, &sent);
	n->proof = sent ? PROOF_ASKED : PROOF_NONE;
	return false;
}

static void see_end(void *ends, struct span word)
{
	*(bool *)ends = *(bool *)ends || look_is_end(word);
}

/* Whether a transaction that has failed may be over behind one of the statements of this text. */
static bool may_end_failed(struct span text)
{
	struct look look;
	bool ends = false;

	look_with_words(text, &look, see_end, &ends);
	return ends;
}

static enum ahead send_discard(struct guest *guest, bool extended)
{
	struct channel *channel = guest->channel;
	bool sent, apart = !extended && !channel->track.open;
	enum ahead step = ahead_send(guest, span_text(discard), TAG_NUMBERS, extended, &sent);

	channel->remains.numbers.apart = sent && apart;
	return step;
}

enum ahead numbers_before(struct guest *guest, const struct numbers_asked *asked)
{
	struct channel *channel = guest->channel;
	const struct numbers *n = &channel->remains.numbers;
	enum ahead step;

	/* What was sent in front of its batch is answered before anything of that runs, or the client ends. */
	if (!n->strange || n->apart || are_own(channel) || ahead_must_not(channel, asked) || ahead_idles(asked))
		return AHEAD_GO;
	if (!may_ask(asked->marks, asked->text)) {
		/* Who keeps the server may ask in a later transaction, when it can not be told any more what it took. */
		if (n->took || !(asked->marks & TAKING) || !channel->remains.pins)
			return AHEAD_GO;
		return send_discard(guest, asked->extended);
	}
	/* What stands behind the ROLLBACK, in one message, would be told. */
	if (!asked->extended && ahead_in_vain(channel) && (asked->marks & LOOK_CURRVAL) &&
		memchr(asked->text.at, ';', asked->text.length)) {
		if (!may_end_failed(asked->text))
			return AHEAD_GO; /* nothing of it runs */
		guest_complain(guest, SQLSTATE_IN_FAILED_TRANSACTION,
			"numbers of sequences can not be asked for in the message that ends a failed transaction", NULL,
			"Send ROLLBACK by itself.");
		return AHEAD_STOP;
	}
	if (n->took && (is_proven(guest, asked, &step) || step != AHEAD_GO))
		return step;
	return send_discard(guest, asked->extended);
}

bool numbers_row(struct channel *channel, struct span body)
{
	struct reader r = reader_of(body);
	struct buf *taken = &channel->remains.taken;
	char bare[ASKED_NAME_MAX] = "", whole[ASKED_NAME_MAX] = "";
	struct span schema, name, visible;
	uint16_t columns = read_u16(&r);

	schema = read_bytes(&r, read_u32(&r));
	name = read_bytes(&r, read_u32(&r));
	visible = read_bytes(&r, read_u32(&r));
	if (!reader_done(&r) || columns != 3)
		return false;
	asked_quote(bare, name);
	asked_quote(whole, schema);
	memcpy(whole + strlen(whole), ".", 2);
	asked_quote(whole, name);
	return buf_add(taken, whole, strlen(whole) + 1) &&
		(!span_is(visible, "t") || buf_add(taken, bare, strlen(bare) + 1));
}

void numbers_proven(struct channel *channel)
{
	struct numbers *n = &channel->remains.numbers;

	if (n->proof != PROOF_ASKED)
		return; /* who asked has left */
	n->proof = PROOF_HERE;
	remains_let_go(channel);
}

static bool is_resting(const struct channel *channel)
{
	return track_quiet(&channel->track) && channel->track.status == 'I';
}

time_us numbers_due(const struct channel *channel)
{
	time_us hold = channel->worker->config->sequence_hold, now = channel->worker->now;

	if (!remains_is_pinned(&channel->remains, PIN_SEQUENCE) || hold == 0)
		return 0;
	/* Looked at again and again, for as long as nobody else wants it or it is kept for something else as well. */
	return is_resting(channel) && channel->quiet_since + hold > now ? channel->quiet_since + hold : now + hold;
}

void numbers_yield(struct channel *channel)
{
	struct worker *worker = channel->worker;
	time_us hold = worker->config->sequence_hold;
	bool wanted;

	if (channel->remains.pins != 1u << PIN_SEQUENCE || hold == 0 || !is_resting(channel) ||
		worker->now < channel->quiet_since + hold)
		return;
	lock_take(worker->house->lock);
	wanted = core_pool_is_wanted(worker->house->core, channel->pool);
	lock_drop(worker->house->lock);
	if (!wanted)
		return;
	remains_unpin(&channel->remains, PIN_SEQUENCE);
	channel_settle(channel);
}

bool numbers_begin(struct channel *channel)
{
	if (!channel->remains.numbers.strange || are_own(channel) || !catalogs_asks_numbers(channel->guest))
		return true;
	return channel_ask(channel, span_text(discard), TAG_NUMBERS);
}

void numbers_discarded(struct channel *channel)
{
	struct numbers *n = &channel->remains.numbers;

	if (!channel->guest)
		return; /* it may have taken some since */
	n->strange = n->apart = false;
	/* What it took, it took behind that. */
	n->whose = n->ran ? NUMBERS_ONES : NUMBERS_NOBODYS;
	n->taker = guest_ref(channel->guest);
}

void numbers_unwatched(struct channel *channel)
{
	channel->remains.numbers.whose = NUMBERS_OF_MANY;
}

void numbers_part(struct channel *channel)
{
	if (channel_view(channel)->rules.transparency != TRANSPARENCY_FULL)
		numbers_unwatched(channel);
	channel->remains.numbers.strange = true;
	channel->remains.numbers.took = channel->remains.numbers.ran = channel->remains.numbers.touched =
		channel->remains.numbers.apart = false;
	channel->remains.numbers.proof = PROOF_NONE;
	buf_fini(&channel->remains.taken);
}
