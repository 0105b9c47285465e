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

enum ahead numbers_before(struct guest *guest, uint32_t marks, bool extended, struct span text)
{
	struct channel *channel = guest->channel;
	const struct numbers *n = &channel->remains.numbers;

	if (!n->strange || n->took || !may_ask(marks, text) || are_own(channel))
		return AHEAD_GO;
	/* What stands behind the ROLLBACK, in one message, would be told. */
	if (!extended && ahead_in_vain(channel) && (marks & LOOK_CURRVAL) && memchr(text.at, ';', text.length)) {
		guest_complain(guest, SQLSTATE_IN_FAILED_TRANSACTION,
			"numbers of sequences can not be asked for in the message that ends a failed transaction", NULL,
			"Send ROLLBACK by itself.");
		return AHEAD_STOP;
	}
	return ahead_send(guest, span_text(discard), TAG_NUMBERS, extended);
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
