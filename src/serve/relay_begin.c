/* BEGIN takes no server. It is answered here and goes with the client's first statement, in the same send; a transaction in which nothing
 * is said never needs one. Between BEGIN and the first statement applications think, and meanwhile others are served.
 *
 *   parked --BEGIN--> begun --any statement--> lent: BEGIN of ours, then the statement
 *                     begun --COMMIT, ROLLBACK--> parked
 *                     begun, waiting --cancel--> failed --any statement--> lent: a transaction that has failed, then the statement
 *
 * Only the plain words, alone in a Query or in a whole batch of the extended protocol (Parse, Bind, Describe, Execute, Sync), as drivers
 * send them. With options, with something else in the same message, or towards a standby it goes at once.
 *
 * A BEGIN of ours may fail (a statement_timeout of the client's, somebody's pg_cancel_backend), and what was sent behind it must not run by itself
 * then, and commit. So it is sent by the extended protocol, with no Sync: after an error PostgreSQL reads nothing more up to the next Sync, no
 * Query either, and what the client sends behind its first Sync or Query waits for BEGIN's answer (remains_hold). A Flush brings that, since a
 * cancel waits for it too. */
#include <stdlib.h>

#include "base/text.h"
#include "serve/channel.h"
#include "serve/guest.h"
#include "serve/relay.h"

enum word { WORD_NONE, WORD_BEGIN, WORD_START, WORD_COMMIT, WORD_ROLLBACK };

/* More than these words need. */
#define TEXT_MOST 64

/* By its first two letters: nearly every statement is a SELECT, an INSERT or an UPDATE. */
static bool may_be_word(struct span text)
{
	if (text.length < 2)
		return false;
	switch (text.at[0] | 32) {
	case 'b':
	case 'c':
	case 'e':
	case 'r':
	case 'a':
		return true;
	case 's':
		return (text.at[1] | 32) == 't';
	default:
		return text.at[0] < 'A'; /* a space, perhaps */
	}
}

/* BEGIN [WORK | TRANSACTION], START TRANSACTION, and what ends them. */
static enum word word_of(struct span text)
{
	static const struct {
		const char *text;
		enum word word;
	} words[] = {
		{ "begin", WORD_BEGIN },
		{ "start", WORD_START },
		{ "commit", WORD_COMMIT },
		{ "end", WORD_COMMIT },
		{ "rollback", WORD_ROLLBACK },
		{ "abort", WORD_ROLLBACK },
	};
	struct span first, second;
	bool transaction;

	if (!may_be_word(text))
		return WORD_NONE;
	first = relay_take_word(&text);
	second = relay_take_word(&text);
	transaction = text_equal_nocase(second, span_text("transaction"));
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (!text_equal_nocase(first, span_text(words[i].text)))
			continue;
		if (second.length > 0 && !transaction &&
			(words[i].word == WORD_START || !text_equal_nocase(second, span_text("work"))))
			return WORD_NONE;
		if (words[i].word == WORD_START && !transaction)
			return WORD_NONE;
		return relay_is_over(text) ? words[i].word : WORD_NONE;
	}
	return WORD_NONE;
}

/* One message of a batch. False: it is not wholly here. */
static bool take_frame(struct span *in, struct frame *frame, struct span *body)
{
	if (frame_peek(*in, frame) != FRAME_HERE || in->length < FRAME_HEADER + (size_t)frame->body)
		return false;
	*body = span_of(in->at + FRAME_HEADER, frame->body);
	*in = span_skip(*in, FRAME_HEADER + (size_t)frame->body);
	return true;
}

struct batch {
	enum word word;
	struct span tail; /* of its Parse; empty: it was a Query */
	bool described;
	size_t length; /* of all its messages */
};

static bool is_unnamed_bind(struct span body)
{
	struct span portal, name, rest;

	/* No formats of parameters, and no parameters. */
	return message_read_bind(body, &portal, &name, &rest) && portal.length == 0 && name.length == 0 &&
		rest.length >= 4 && memcmp(rest.at, "\0\0\0\0", 4) == 0;
}

/* Parse, Bind, perhaps Describe, Execute and Sync, all without names. */
static bool read_extended(struct span in, struct batch *out)
{
	struct span from = in, body, name;
	struct frame frame;
	char kind;

	/* Most are turned away by how their text begins. */
	if (!take_frame(&in, &frame, &body) || frame.type != 'P' || body.length > TEXT_MOST || body.length == 0 ||
		body.at[0] != 0 || !may_be_word(span_skip(body, 1)))
		return false;
	if (!message_read_parse(body, &name, &out->tail) || name.length > 0)
		return false;
	/* Query, its zero, and no types. */
	out->word = word_of(span_of(out->tail.at, strlen((const char *)out->tail.at)));
	if (out->word == WORD_NONE || memcmp(out->tail.at + out->tail.length - 2, "\0\0", 2) != 0)
		return false;
	if (!take_frame(&in, &frame, &body) || frame.type != 'B' || !is_unnamed_bind(body) ||
		!take_frame(&in, &frame, &body))
		return false;
	out->described = frame.type == 'D';
	if (out->described &&
		(!message_read_target(body, &kind, &name) || kind != 'P' || name.length > 0 ||
			!take_frame(&in, &frame, &body)))
		return false;
	if (frame.type != 'E' || body.length != 5 || body.at[0] != 0)
		return false;
	if (!take_frame(&in, &frame, &body) || frame.type != 'S' || body.length > 0)
		return false;
	out->length = (size_t)(in.at - from.at);
	return true;
}

static bool read_batch(struct span in, struct batch *out)
{
	struct span from = in, body;
	struct frame frame;

	*out = (struct batch){ 0 };
	if (in.length > 0 && in.at[0] == 'P')
		return read_extended(in, out);
	if (in.length == 0 || in.at[0] != 'Q' || !take_frame(&in, &frame, &body) || body.length == 0 ||
		body.length > TEXT_MOST || memchr(body.at, 0, body.length) != body.at + body.length - 1)
		return false;
	out->word = word_of(span_of(body.at, body.length - 1));
	out->length = (size_t)(in.at - from.at);
	return out->word != WORD_NONE;
}

/* A transaction of a standby takes part in its conflicts from its BEGIN on. */
static bool is_standby(const struct guest *guest)
{
	const char *said = guest->reported ? params_get(guest->reported, span_text("in_hot_standby")) : NULL;

	return said && strcmp(said, "on") == 0;
}

static bool may_put_off(const struct guest *guest)
{
	const struct pool_rules *rules = &guest_view(guest)->rules;

	return rules->mode == POOL_TRANSACTION && rules->transparency == TRANSPARENCY_FULL && !is_standby(guest);
}

static void answer(struct guest *guest, const struct batch *batch, const char *tag)
{
	struct outbox *o = &guest->worker->to_client;
	size_t length = strlen(tag) + 1;
	uint8_t *at;

	if (batch->tail.length > 0) {
		relay_empty(o, '1');
		relay_empty(o, '2');
	}
	if (batch->described)
		relay_empty(o, 'n');
	at = relay_header(outbox_room(o, FRAME_HEADER + length), 'C', length);
	memcpy(at, tag, length);
	relay_header(outbox_room(o, FRAME_HEADER), 'Z', 1);
	*outbox_room(o, 1) = (uint8_t)guest_status(guest);
}

/* As the server would have taken it: a Query drops the unnamed statement, a Parse without a name is it. */
static bool keep_unnamed(struct guest *guest, const struct batch *batch)
{
	statement_drop(guest->unnamed);
	guest->unnamed = NULL;
	if (batch->tail.length > 0)
		guest->unnamed = statement_take_unnamed(guest->worker->house->statements, batch->tail);
	return batch->tail.length == 0 || guest->unnamed;
}

size_t relay_put_off(struct guest *guest, struct span in)
{
	bool begins, failed = guest->begun == BEGUN_FAILED;
	struct batch batch;

	if (guest->skipping || guest->fatal_seen || guest->unnamed_long || guest->worker->config->disable_pqexec ||
		!read_batch(in, &batch))
		return 0;
	begins = batch.word == WORD_BEGIN || batch.word == WORD_START;
	/* Who listens hears what was sent before its BEGIN, and nothing more until its end: see handover.c. */
	if (begins ? guest->begun != BEGUN_NOT || guest->hearer || !may_put_off(guest) : guest->begun == BEGUN_NOT)
		return 0;
	if (!keep_unnamed(guest, &batch))
		return 0;
	guest->requested = guest->worker->now;
	habits_ask(guest);
	guest_view(guest)->stats.queries++;
	guest->begun = begins ? BEGUN_WELL : BEGUN_NOT;
	if (begins)
		answer(guest, &batch, batch.word == WORD_BEGIN ? "BEGIN" : "START TRANSACTION");
	else
		answer(guest, &batch, batch.word == WORD_COMMIT && !failed ? "COMMIT" : "ROLLBACK");
	guest_park(guest);
	return batch.length;
}

/* Unnamed, and its portal goes again: nothing of it is left to be seen. */
static const char begin_messages[] = "P\0\0\0\15"
				     "\0"
				     "BEGIN\0"
				     "\0\0"
				     "B\0\0\0\14"
				     "\0\0"
				     "\0\0"
				     "\0\0"
				     "\0\0"
				     "E\0\0\0\11"
				     "\0"
				     "\0\0\0\0"
				     "C\0\0\0\6"
				     "P\0"
				     "H\0\0\0\4";

bool relay_begin(struct channel *channel)
{
	enum begun begun = channel->guest->begun;

	channel->guest->begun = BEGUN_NOT;
	channel->failing = begun == BEGUN_FAILED;
	if (begun == BEGUN_NOT)
		return true;
	if (!track_push(&channel->track, TRACK_BEGIN, TRACK_OURS, TAG_BEGIN))
		return false;
	outbox_copy(&channel->worker->to_server, begin_messages, sizeof begin_messages - 1);
	channel->batch++;
	channel->unnamed = PREPARED_NONE;
	/* There is no such savepoint; so it has failed, as it had for the client. */
	return begun == BEGUN_WELL || channel_ask(channel, span_text("ROLLBACK TO SAVEPOINT pgweir"), TAG_BEGIN);
}
