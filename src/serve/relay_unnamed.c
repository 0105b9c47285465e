/* A client's unnamed statement.
 *
 * It lives until the next unnamed Parse or simple Query, also across Sync: a client may Parse, Sync, and Bind later (Go's lib/pq does
 * so for every query with arguments). By then it may hold another server, where the unnamed statement is somebody else's. So its text
 * is kept, and sent again when it is used on a server that had it from nobody or from another. Once the server has read any change to
 * it in this lease (channel->unnamed is READY), it has what the client believes, whatever follows. */
#include <string.h>

#include "serve/relay.h"

/* The server will have what the guest believes, if it reads the message that is sent now. */
static void unnamed_sent(struct channel *channel)
{
	if (channel->track.skipping)
		return;
	channel->unnamed_batch = channel->batch;
	channel->unnamed_owed++;
}

void relay_unnamed_done(struct channel *channel, bool read)
{
	if (channel->unnamed_owed > 0)
		channel->unnamed_owed--;
	if (read)
		channel->unnamed = PREPARED_READY;
	if (channel->guest && channel->guest->names_held)
		pending_resume(channel->guest);
}

bool unnamed_is_unsure(const struct guest *guest)
{
	const struct channel *channel = guest->channel;

	if (!relay_moves(guest) || guest->unnamed_long || channel->unnamed == PREPARED_READY)
		return false;
	return channel->unnamed_owed > 0 ? channel->unnamed_batch != channel->batch
					 : pending_unsure(guest, span_of("", 0));
}

static void end_long(struct guest *guest)
{
	guest->unnamed_long = false;
	guest->channel->pinned = guest->long_names;
}

/* The unnamed statement becomes `after`, once the server has read the message that is owed next. At the front of a batch nothing can skip
 * that, and a failure leaves none: see relay_undo. */
static bool change_unnamed(struct guest *guest, struct statement *after, unsigned *flags)
{
	end_long(guest);
	*flags = 0;
	if (track_quiet(&guest->channel->track) && pending_is_none(guest)) {
		statement_drop(guest->unnamed);
		guest->unnamed = after ? statement_keep(after) : NULL;
		return true;
	}
	*flags = TRACK_NAMES;
	return pending_add(guest, span_of("", 0), after);
}

bool relay_owe_query(struct guest *guest, enum query_ends ends, struct span ended)
{
	unsigned flags = 0;

	if (ends != QUERY_ENDS_NONE) {
		end_long(guest);
		flags = TRACK_NAMES;
		if (!pending_add_end(guest, ends == QUERY_ENDS_ALL ? PENDING_QUERY_ALL : PENDING_QUERY, ended))
			return false;
	} else if (relay_moves(guest) && (guest->unnamed || !pending_is_none(guest))) {
		if (!change_unnamed(guest, NULL, &flags))
			return false;
	} else if (relay_moves(guest)) {
		end_long(guest);
	}
	if (!relay_owe(guest, TRACK_QUERY, flags, ends == QUERY_ENDS_ONE ? TAG_DEALLOCATE : 0))
		return false;
	/* It is a batch of its own: what follows may not count on it. */
	guest->channel->batch++;
	return true;
}

/* A Parse of what ends this statement here: see relay_deallocate.c. */
static void send_deallocate(struct guest *guest, struct statement *ended)
{
	char text[80];
	size_t length;
	uint8_t *at;

	relay_deallocate_text(guest, ended, text);
	length = strlen(text) + 1;
	at = relay_header(outbox_room(&guest->worker->to_server, FRAME_HEADER + 1 + length + 2), 'P', 1 + length + 2);
	*at++ = 0;
	memcpy(at, text, length);
	memset(at + length, 0, 2);
}

bool unnamed_ensure(struct guest *guest)
{
	struct channel *channel = guest->channel;
	struct outbox *o = &guest->worker->to_server;
	struct statement *statement = guest->unnamed, *ended;
	struct span name;
	uint8_t *at;

	if (!relay_moves(guest) || guest->unnamed_long || channel->unnamed == PREPARED_READY ||
		channel->unnamed_owed > 0)
		return true;
	ended = statement ? relay_ended_by(guest, statement, &name) : NULL;
	if (!relay_owe(guest, statement ? TRACK_PARSE : TRACK_CLOSE, TRACK_OURS, TAG_UNNAMED))
		return false;
	if (ended) {
		send_deallocate(guest, ended);
	} else if (statement) {
		at = relay_header(outbox_room(o, FRAME_HEADER + 1), 'P', 1 + statement->tail_length);
		*at = 0;
		/* Copied: the client may give it up before this is sent. */
		outbox_copy(o, statement->tail, statement->tail_length);
	} else {
		/* It has none: away with the stranger's, and PostgreSQL will say that there is none. */
		at = relay_header(outbox_room(o, FRAME_HEADER + 2), 'C', 2);
		at[0] = 'S';
		at[1] = 0;
	}
	unnamed_sent(channel);
	return true;
}

enum step unnamed_bind(struct guest *guest, struct span portal, struct span values)
{
	/* Not those before it: a RESET that is not run must not be made good. */
	struct statement *statement = pending_get(guest, span_of("", 0)), *ended = NULL;
	enum ahead step = AHEAD_GO;
	struct span name;

	if (statement && relay_shares_statements(guest))
		ended = relay_ended_by(guest, statement, &name);
	if (statement && !ended)
		step = remains_look_statement(guest, statement, values);
	if (step != AHEAD_GO)
		return relay_step(step);
	relay_note_bound(guest, portal, ended ? NULL : statement);
	if ((ended && !relay_note_ending(guest, portal, ended, name)) || !unnamed_ensure(guest))
		return STEP_STOP;
	return STEP_FORWARD;
}

/* A Parse of the client's own is sent as its unnamed statement. */
static bool owe_unnamed(struct guest *guest, unsigned flags)
{
	if (!relay_owe(guest, TRACK_PARSE, flags, TAG_UNNAMED))
		return false;
	unnamed_sent(guest->channel);
	return true;
}

/* It may be a DEALLOCATE of one of the client's own. */
static enum step parse_known(struct guest *guest, struct span tail)
{
	enum ahead step = remains_look_batch(guest, span_text((const char *)tail.at));
	struct statement *statement, *ended = NULL;
	unsigned flags = 0;
	struct span name;
	bool changed;

	if (step != AHEAD_GO)
		return relay_step(step);
	statement = statement_take_unnamed(guest->worker->house->statements, tail);
	if (!statement) {
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return STEP_STOP;
	}
	if (relay_shares_statements(guest) && relay_deallocates(guest, statement_text(statement), &name)) {
		if (pending_unsure(guest, name)) {
			statement_drop(statement);
			return pending_hold(guest);
		}
		ended = pending_get(guest, name);
	}
	if (!ended)
		habits_say_statement(guest->channel, statement);
	changed = change_unnamed(guest, statement, &flags);
	statement_drop(statement);
	if (!changed)
		return STEP_STOP;
	relay_note_request(guest);
	if (!owe_unnamed(guest, flags))
		return STEP_STOP;
	if (!ended)
		return STEP_FORWARD;
	send_deallocate(guest, ended);
	return STEP_TAKEN;
}

enum step unnamed_parse(struct guest *guest, struct span in, struct frame frame)
{
	size_t total = FRAME_HEADER + (size_t)frame.body;
	struct span name, tail;
	unsigned flags = 0;

	if (frame.body <= guest->worker->config->statement_text_max) {
		if (in.length < total)
			return total <= WHOLE_MAX ? STEP_WAIT : STEP_COLLECT;
		if (message_read_parse(span_of(in.at + FRAME_HEADER, frame.body), &name, &tail))
			return parse_known(guest, tail);
	}
	if (!change_unnamed(guest, NULL, &flags))
		return STEP_STOP;
	if (frame.body > guest->worker->config->statement_text_max) {
		guest->unnamed_long = true;
		guest->channel->pinned = true;
		remains_mark(guest->channel, LOOK_UNKNOWN | LOOK_UNNAMED);
	}
	relay_note_request(guest);
	return owe_unnamed(guest, flags) ? STEP_FORWARD : STEP_STOP;
}

enum step unnamed_close(struct guest *guest)
{
	unsigned flags;

	if (!change_unnamed(guest, NULL, &flags) || !relay_owe(guest, TRACK_CLOSE, flags, TAG_UNNAMED))
		return STEP_STOP;
	unnamed_sent(guest->channel);
	return STEP_FORWARD;
}
