/* The bytes of a lease, from the client to the server.
 *
 *   client bytes -> [guest: frames, names -> statements] -> pieces -> server      each message sent is pushed on channel->track
 *   server bytes -> [channel: frames, track] -> pieces -> client                  each message received is matched against it
 *
 * Bytes are not copied: what goes on unchanged is a piece of the read buffer, neighbours are one piece, and everything that one
 * read brought leaves in one send. Only what is rewritten (a statement's name) lies in the outbox's scratch.
 *
 * A message whose words matter (Parse, Bind, Describe, Close) is waited for in the read buffer while it is short; a long one is
 * collected apart, up to statement_text_max. Everything else streams through in whatever portions it comes. */
#include <stdlib.h>

#include "base/check.h"
#include "base/reader.h"
#include "serve/extras.h"
#include "serve/guest.h"
#include "serve/hearers.h"

/* PostgreSQL ends a session that sends a longer CopyFail. */
#define FAIL_BYTES_MAX 9996

struct collect {
	struct buf buf;
	size_t want;
};

static uint8_t *put(uint8_t *at, struct span bytes)
{
	if (bytes.length > 0)
		memcpy(at, bytes.at, bytes.length);
	return at + bytes.length;
}

/* DEALLOCATE of a shared statement: the client's name goes; the server is told its own name for it. */
static enum step take_deallocate(
	struct guest *guest, struct statement *statement, struct span name, const struct relay_around *around)
{
	char text[80];
	size_t length;
	uint8_t *at;

	relay_deallocate_text(guest, statement, text);
	length = around->before.length + strlen(text) + around->behind.length + 1;
	relay_note_request(guest);
	guest_view(guest)->stats.queries++;
	guest->channel->reads_only = false;
	guest->channel->batch++;
	if (!relay_owe_query(guest, QUERY_ENDS_ONE, name))
		return STEP_STOP;
	at = relay_header(outbox_room(&guest->worker->to_server, FRAME_HEADER + length), 'Q', length);
	at = put(at, around->before);
	at = put(at, span_text(text));
	*put(at, around->behind) = 0;
	return STEP_TAKEN;
}

enum step relay_step(enum ahead step)
{
	return step == AHEAD_GO ? STEP_FORWARD : step == AHEAD_WAIT ? STEP_WAIT : STEP_STOP;
}

static enum step take_query(struct guest *guest, struct span in, struct frame frame)
{
	struct channel *channel = guest->channel;
	size_t here = in.length - FRAME_HEADER < frame.body ? in.length - FRAME_HEADER : frame.body;
	enum step step;
	bool ends;

	if (guest->worker->config->disable_pqexec) {
		guest_refuse(guest, SQLSTATE_INSUFFICIENT_PRIVILEGE, "PQexec disallowed", NULL, NULL);
		return STEP_STOP;
	}
	/* All of its words are looked at, unless there are too many. */
	if (here < frame.body && frame.body <= guest->worker->config->statement_text_max && remains_matter(guest))
		return FRAME_HEADER + (size_t)frame.body <= WHOLE_MAX ? STEP_WAIT : STEP_COLLECT;
	/* One that may be a DEALLOCATE, too, whatever else is looked at. */
	if (here < frame.body && frame.body <= RELAY_DEALLOCATE_MAX && relay_shares_statements(guest))
		return STEP_WAIT;
	if (relay_shares_statements(guest) && here == frame.body && here > 0) {
		struct relay_around around;
		struct span name;

		if (relay_query_deallocates(guest, span_of(in.at + FRAME_HEADER, here - 1), &name, &around)) {
			struct statement *ended = pending_get(guest, name);

			if (pending_unsure(guest, name))
				return pending_hold(guest);
			if (ended)
				return take_deallocate(guest, ended, name, &around);
		}
	}
	step = relay_step(remains_look(guest,
		span_of(in.at + FRAME_HEADER, here > 0 && here == frame.body ? here - 1 : here), here == frame.body));
	if (step != STEP_FORWARD)
		return step;
	relay_note_request(guest);
	relay_note_statement(channel, span_of(in.at + FRAME_HEADER, here));
	guest_view(guest)->stats.queries++;
	ends = relay_shares_statements(guest) &&
		(here < frame.body || relay_may_end_all(span_of(in.at + FRAME_HEADER, here > 0 ? here - 1 : 0)));
	channel->batch++;
	return relay_owe_query(guest, ends ? QUERY_ENDS_ALL : QUERY_ENDS_NONE, span_of("", 0)) ? STEP_FORWARD
											       : STEP_STOP;
}

/* Its first four bytes say which function it is. PostgreSQL has the words for one that is shorter. */
static enum step take_function(struct guest *guest, struct span in, struct frame frame)
{
	struct reader r = reader_of(span_skip(in, FRAME_HEADER));
	uint32_t oid = read_u32(&r);
	enum step step;

	if (!reader_ok(&r) && frame.body >= sizeof oid)
		return STEP_WAIT;
	step = relay_step(remains_look_function(guest, oid));
	if (step != STEP_FORWARD)
		return step;
	relay_note_request(guest);
	guest->channel->reads_only = false;
	guest->channel->batch++;
	return relay_owe(guest, TRACK_FUNCTION, 0, 0) ? STEP_FORWARD : STEP_STOP;
}

static enum step take_execute(struct guest *guest, struct span in, struct frame frame)
{
	size_t total = FRAME_HEADER + (size_t)frame.body;
	struct span portal;
	struct reader r;

	if (in.length < total && total <= WHOLE_MAX)
		return STEP_WAIT;
	r = reader_of(span_skip(in, FRAME_HEADER));
	portal = read_string(&r);
	if (!reader_ok(&r))
		portal = span_skip(in, FRAME_HEADER); /* longer than is waited for, but not without a name */
	relay_note_request(guest);
	return relay_owe_execute(guest, portal) ? STEP_FORWARD : STEP_STOP;
}

/* A message of a client that holds a server. */
static enum step take_lent(struct guest *guest, struct span in, struct frame frame)
{
	struct channel *channel = guest->channel;
	enum ahead step;

	switch (frame.type) {
	case 'Q':
		return take_query(guest, in, frame);
	case 'P':
	case 'B':
		step = relay_close_excess(guest, in, frame);
		if (step != AHEAD_GO)
			return relay_step(step);
		return frame.type == 'P' ? relay_parse(guest, in, frame) : relay_bind(guest, in, frame);
	case 'D':
	case 'C':
		return relay_target(guest, in, frame);
	case 'E':
		return take_execute(guest, in, frame);
	case 'S':
		relay_note_request(guest);
		guest_view(guest)->stats.queries++;
		channel->batch++;
		return relay_owe(guest, TRACK_SYNC, 0, 0) ? STEP_FORWARD : STEP_STOP;
	case 'H':
	case 'd':
		return STEP_FORWARD;
	case 'c':
	case 'f':
		return relay_owe(guest, TRACK_COPY_END, 0, 0) ? STEP_FORWARD : STEP_STOP;
	case 'F':
		return take_function(guest, in, frame);
	default:
		break;
	}
	guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION,
		guest_is_bouncers(guest) ? "unknown pkt" : "unknown message type", NULL, NULL);
	return STEP_STOP;
}

/* Perhaps the first message of a lease, or of a transaction. */
static enum step take_next(struct guest *guest, struct span in, struct frame frame)
{
	if (guest->hearer && hearer_opens(guest))
		return guest->state == GUEST_LENT ? STEP_WAIT : STEP_STOP;
	if (guest->channel->unprepared && !channel_prepare(guest->channel))
		return STEP_STOP;
	return take_lent(guest, in, frame);
}

/* A message of a client that holds nothing: some are answered here, most need a server. */
static enum step take_parked(struct guest *guest, struct span in, struct frame frame)
{
	struct outbox *o = &guest->worker->to_client;
	size_t total = FRAME_HEADER + (size_t)frame.body;
	struct span name;
	char kind;

	switch (frame.type) {
	case 'S':
		/* What was sent to a listener before comes before its ReadyForQuery, and that is found out with a server. */
		if (!guest->skipping && hearer_shares(guest))
			break;
		guest->skipping = guest->skip_query = false;
		relay_header(outbox_room(o, FRAME_HEADER), 'Z', 1);
		*outbox_room(o, 1) = (uint8_t)guest_status(guest);
		return STEP_DISCARD;
	case 'H': /* nothing waits to be flushed */
	case 'd': /* what is left of a COPY that ended in an error: PostgreSQL ignores it too */
	case 'c':
	case 'f':
		return STEP_DISCARD;
	case 'C':
		if (guest->skipping)
			return STEP_DISCARD;
		if (total > WHOLE_MAX)
			break;
		if (in.length < total)
			return STEP_WAIT;
		if (!message_read_target(span_of(in.at + FRAME_HEADER, frame.body), &kind, &name))
			break;
		if (kind == 'S' && name.length > 0) {
			names_remove(&guest->names, name);
		} else if (kind == 'S') {
			statement_drop(guest->unnamed);
			guest->unnamed = NULL;
		}
		relay_empty(o, '3');
		return STEP_DISCARD;
	case 'Q':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'F':
		if (guest->skip_query && (frame.type == 'Q' || frame.type == 'F')) {
			/* The very request that was cancelled while it waited; the error is said already. */
			guest->skipping = guest->skip_query = false;
			relay_header(outbox_room(o, FRAME_HEADER), 'Z', 1);
			*outbox_room(o, 1) = (uint8_t)guest_status(guest);
			return STEP_DISCARD;
		}
		guest->skip_query = false;
		if (guest->skipping)
			return STEP_DISCARD;
		break;
	default:
		guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION,
			guest_is_bouncers(guest) ? "unknown pkt" : "unknown message type", NULL, NULL);
		return STEP_STOP;
	}
	/* No server is taken by a message that may never come. */
	if (in.length < (total < WHOLE_MAX ? total : WHOLE_MAX))
		return STEP_WAIT;
	guest->only_syncs = frame.type == 'S';
	guest->wants_numbers = numbers_wanted(guest, in, frame);
	if (!guest_want(guest))
		return guest->state == GUEST_WAITING ? STEP_WAIT : STEP_STOP;
	guest->worker->to_server.stream = guest->channel->stream;
	return take_next(guest, in, frame);
}

static enum step take_message(struct guest *guest, struct span in, struct frame frame)
{
	if (frame.body + (uint64_t)FRAME_HEADER > (uint64_t)guest->worker->config->max_packet_size) {
		guest_complain(
			guest, SQLSTATE_PROTOCOL_VIOLATION, "a message is longer than max_packet_size", NULL, NULL);
		return STEP_STOP;
	}
	/* These have no body. One that has is answered by an error that nothing here would wait for, so it goes no further. */
	if ((frame.body > 0 && (frame.type == 'S' || frame.type == 'H' || frame.type == 'c')) ||
		(frame.body > FAIL_BYTES_MAX && frame.type == 'f')) {
		guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, "invalid message format", NULL, NULL);
		return STEP_STOP;
	}
	if (frame.type == 'X') {
		guest_goodbye(guest);
		return STEP_STOP;
	}
	if (guest->fatal_seen)
		return STEP_DISCARD; /* its server said the last word; the end follows */
	if (!guest->channel)
		return take_parked(guest, in, frame);
	if (remains_hold(guest, frame.type))
		return STEP_WAIT;
	return take_next(guest, in, frame);
}

static enum step begin_collect(struct guest *guest, struct frame frame)
{
	struct extras *extras = extras_of(guest);

	if (extras)
		extras->collect = calloc(1, sizeof *extras->collect);
	if (!extras || !extras->collect || !buf_reserve(&extras->collect->buf, FRAME_HEADER + (size_t)frame.body)) {
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return STEP_STOP;
	}
	extras->collect->want = FRAME_HEADER + (size_t)frame.body;
	return STEP_COLLECT;
}

static void end_collect(struct guest *guest)
{
	struct extras *extras;

	if (!guest->extras->collect)
		return;
	extras = extras_of(guest);
	buf_fini(&extras->collect->buf);
	free(extras->collect);
	extras->collect = NULL;
}

/* Add bytes to the message that is collected; when it is whole, handle it. */
static enum step feed_collect(struct guest *guest, struct span *in)
{
	struct collect *collect = guest->extras->collect;
	size_t n = collect->want - collect->buf.length;
	struct frame frame;
	enum step step;

	n = n < in->length ? n : in->length;
	if (!buf_add(&collect->buf, in->at, n)) {
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return STEP_STOP;
	}
	*in = span_skip(*in, n);
	if (collect->buf.length < collect->want)
		return STEP_TAKEN;
	check(frame_peek(buf_span(&collect->buf), &frame) == FRAME_HERE);
	step = take_message(guest, buf_span(&collect->buf), frame);
	if (step == STEP_FORWARD)
		outbox_add(&guest->worker->to_server, collect->buf.at + collect->buf.start, collect->buf.length);
	if (step == STEP_WAIT || step == STEP_STOP)
		return step;
	/* The pieces point into the collected bytes: send them before those go. */
	outbox_flush(&guest->worker->to_server);
	end_collect(guest);
	return STEP_TAKEN;
}

static enum step feed_message(struct guest *guest, struct span *in)
{
	struct frame frame;
	enum step step;
	size_t total, n;

	switch (frame_peek(*in, &frame)) {
	case FRAME_MORE:
		return STEP_WAIT;
	case FRAME_BAD:
		guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, "invalid message length", NULL, NULL);
		return STEP_STOP;
	case FRAME_HERE:
		break;
	}
	step = take_message(guest, *in, frame);
	total = FRAME_HEADER + (size_t)frame.body;
	n = total < in->length ? total : in->length;
	switch (step) {
	case STEP_FORWARD:
		outbox_add(&guest->worker->to_server, in->at, n);
		guest->discarding = false;
		break;
	case STEP_DISCARD:
		guest->discarding = true;
		break;
	case STEP_TAKEN:
		guest->discarding = false;
		break;
	case STEP_COLLECT:
		return begin_collect(guest, frame);
	case STEP_WAIT:
	case STEP_STOP:
		return step;
	}
	guest->body_left = (uint32_t)(total - n);
	*in = span_skip(*in, n);
	return STEP_TAKEN;
}

size_t relay_client(struct guest *guest, struct span in)
{
	struct worker *worker = guest->worker;
	struct outbox *to_server = &worker->to_server;
	size_t length = in.length, n;
	enum step step = STEP_TAKEN;
	struct channel *channel;

	outbox_begin(&worker->to_client, guest->stream);
	outbox_begin(to_server, guest->channel ? guest->channel->stream : NULL);
	while (step != STEP_WAIT && step != STEP_STOP &&
		(in.length > 0 || (guest->extras->collect && step != STEP_COLLECT))) {
		if (guest->body_left > 0) {
			n = guest->body_left < in.length ? guest->body_left : in.length;
			if (!guest->discarding)
				outbox_add(to_server, in.at, n);
			guest->body_left -= (uint32_t)n;
			in = span_skip(in, n);
			continue;
		}
		n = guest->channel || guest->extras->collect ? 0 : relay_put_off(guest, in);
		if (n > 0) {
			in = span_skip(in, n);
			continue;
		}
		if (guest->extras->collect) {
			if (in.length == 0 && guest->extras->collect->buf.length < guest->extras->collect->want)
				break;
			step = feed_collect(guest, &in);
		} else {
			step = feed_message(guest, &in);
		}
	}
	channel = guest->channel;
	check(to_server->sent == 0 || !channel || to_server->stream == channel->stream);
	if (guest->pool != NO_POOL) {
		guest_view(guest)->stats.received += length - in.length;
		guest_view(guest)->stats.sent += worker->to_client.sent;
		guest->habits.received += length - in.length;
		guest->habits.sent += worker->to_client.sent;
	}
	if (!outbox_end(&worker->to_client) && guest->state != GUEST_ENDING)
		guest_end(guest, NULL, "out of memory");
	if (!outbox_end(to_server) && channel)
		channel_break(channel, "out of memory");
	else if (channel && guest->channel == channel && channel->stream && stream_queued(channel->stream) > 0)
		stream_pause(guest->stream); /* until the server has taken it: see channel_room */
	if (channel && guest->channel == channel)
		channel_cancel_looked(channel);
	return length - in.length;
}

void guest_statements_fini(struct guest *guest)
{
	end_collect(guest);
	pending_clear(guest);
	names_fini(&guest->names);
	while (guest->extras->again)
		relay_name_over(&extras_of(guest)->again, 0);
	while (guest->extras->former)
		relay_name_over(&extras_of(guest)->former, 0);
	statement_drop(guest->unnamed);
	guest->unnamed = NULL;
}
