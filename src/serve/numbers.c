/* Numbers of sequences. Every INSERT may take one, and hardly anybody asks for it again in a later transaction; so clients do not keep
 * their servers for it, until the first in the database does ask.
 *
 *   nobody has asked yet    who takes numbers leaves them on its server, and is lent that one again when it asks, if nobody else took any
 *                           there since; who asks has those of others discarded in front of that
 *   somebody has            who takes numbers keeps its server (a pin); others' are discarded when a lease begins
 *
 * What always holds: a message that may ask is sent to a server only when no stranger's number is there, or behind a DISCARD SEQUENCES.
 * That stands in front of a Query, as a Query of its own; in front of a Bind, within its batch, so that an error before it makes the server
 * skip both. It counts when the server has said so. The exception: a client that has taken a number in the same lease, before it was
 * known that anybody asks, since its own would go as well. */
#include "serve/numbers.h"

#include "base/text.h"
#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/relay.h"

#define TAKING (LOOK_SEQUENCE | LOOK_INSERT | LOOK_UNKNOWN)

static const char discard[] = "DISCARD SEQUENCES";

/* Whether this client's own are there, and nobody else's. */
static bool are_own(const struct channel *channel)
{
	const struct numbers *n = &channel->remains.numbers;

	return n->whose == NUMBERS_ONES && channel->guest && n->taker.worker == channel->worker->index &&
		handle_equal(n->taker.client, channel->guest->handle);
}

static void mix(struct channel *channel)
{
	struct numbers *n = &channel->remains.numbers;

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
		catalogs_tell_numbers(channel);
	if (marks & (TAKING | LOOK_CALLS)) {
		mix(channel);
		n->ran = true;
	}
	if (marks & TAKING) {
		n->took = true;
		channel->guest->numbers_at = channel->id;
	}
	/* Numbers of sequences are everybody's habit; asking for them again is not. */
	return ((marks & TAKING) || ((marks & LOOK_CURRVAL) && are_own(channel))) &&
		catalogs_numbers_told(channel_view(channel));
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

/* In front of a Bind: Close, Parse, Bind, Execute, and Close of both. All may be skipped, and then what they were for is skipped too. */
static bool discard_in_batch(struct guest *guest)
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

	text_format(name, sizeof name, "%snumbers", statement_prefix(guest->worker->house->statements));
	length = strlen(name) + 1;
	for (i = 0; i < sizeof messages / sizeof messages[0]; i++) {
		struct buf body = { 0 };
		bool ok = !messages[i].before || buf_add(&body, &messages[i].before, 1);

		ok = ok && buf_add(&body, name, length);
		if (messages[i].type == 'P') /* no types */
			ok = ok && buf_add(&body, discard, sizeof discard) && buf_add(&body, "\0", 2);
		else if (messages[i].type == 'B') /* no formats, no values */
			ok = ok && buf_add(&body, name, length) && buf_add(&body, "\0\0\0\0\0", 6);
		else if (messages[i].type == 'E') /* all rows */
			ok = ok && buf_add(&body, "\0\0\0", 4);
		if (!ok)
			guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		ok = ok && relay_owe(guest, messages[i].kind, TRACK_OURS, messages[i].type == 'E' ? TAG_NUMBERS : 0);
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

enum numbers_step numbers_before(struct guest *guest, uint32_t marks, bool extended, struct span text)
{
	struct channel *channel = guest->channel;
	const struct numbers *n = &channel->remains.numbers;
	const struct track *track = &channel->track;

	if (!n->strange || n->took || !may_ask(marks, text) || are_own(channel))
		return NUMBERS_GO;
	if (extended || track->open)
		return discard_in_batch(guest) ? NUMBERS_GO : NUMBERS_STOP;
	if (track_copies(track))
		return NUMBERS_GO; /* it ends the COPY with an error, and is no more than that */
	if (track_readies(track) > 0) {
		channel->remains.held = true;
		stream_pause(guest->stream);
		return NUMBERS_WAIT;
	}
	if (track->status == 'E' || channel->failing) {
		/* Nothing is done there but a ROLLBACK; and what stands behind that, in one message, would be told. */
		if (!(marks & LOOK_CURRVAL) || !memchr(text.at, ';', text.length))
			return NUMBERS_GO;
		guest_complain(guest, SQLSTATE_IN_FAILED_TRANSACTION,
			"numbers of sequences can not be asked for in the message that ends a failed transaction", NULL,
			"Send ROLLBACK by itself.");
		return NUMBERS_STOP;
	}
	if (channel_ask(channel, span_text(discard), TAG_NUMBERS))
		return NUMBERS_GO;
	guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
	return NUMBERS_STOP;
}

bool numbers_begin(struct channel *channel)
{
	if (!channel->remains.numbers.strange || !catalogs_numbers_told(channel_view(channel)) || are_own(channel))
		return true;
	return channel_ask(channel, span_text(discard), TAG_NUMBERS);
}

void numbers_discarded(struct channel *channel)
{
	struct numbers *n = &channel->remains.numbers;

	if (!channel->guest)
		return; /* it may have taken some since */
	n->strange = false;
	/* What it took, it took behind that. */
	n->whose = n->ran ? NUMBERS_ONES : NUMBERS_NOBODYS;
	n->taker = guest_ref(channel->guest);
}

void numbers_part(struct channel *channel)
{
	channel->remains.numbers.strange = true;
	channel->remains.numbers.took = channel->remains.numbers.ran = false;
}
