/* What every part of the relay stands on: what the server owes, whose turn it is to be answered here, and headers of messages. */
#include "serve/relay.h"

uint8_t *relay_header(uint8_t *at, char type, size_t body)
{
	uint32_t length = (uint32_t)body + 4;

	*at++ = (uint8_t)type;
	*at++ = (uint8_t)(length >> 24);
	*at++ = (uint8_t)(length >> 16);
	*at++ = (uint8_t)(length >> 8);
	*at++ = (uint8_t)length;
	return at;
}

void relay_empty(struct outbox *o, char type)
{
	relay_header(outbox_room(o, FRAME_HEADER), type, 0);
}

bool relay_shares_statements(const struct guest *guest)
{
	return relay_moves(guest) && guest->worker->config->max_prepared_statements > 0;
}

/* Rare, and it needs room that relay_owe does not: apart. */
__attribute__((noinline)) static void undo_dropped(struct channel *channel)
{
	struct track_entry dropped;

	while (track_dropped(&channel->track, &dropped))
		relay_undo(channel, &dropped);
}

bool relay_owe(struct guest *guest, enum track_kind kind, unsigned flags, uint32_t tag)
{
	struct channel *channel = guest->channel;

	if (!track_push(&channel->track, kind, flags, tag)) {
		guest_complain(guest, SQLSTATE_PROGRAM_LIMIT, "too many requests are waiting for their answers",
			"More messages were sent than this pooler keeps account of.",
			"Read the results of a pipeline before sending more.");
		return false;
	}
	/* While the server skips to the next Sync nothing of it is read. */
	if (track_drops(&channel->track))
		undo_dropped(channel);
	relay_answer_fakes(channel);
	return true;
}

void relay_answer_them(struct channel *channel)
{
	struct track_entry fake;

	/* Not in the middle of a message. */
	while (channel->body_left == 0 && track_fake(&channel->track, &fake)) {
		if (!channel->guest)
			continue;
		relay_empty(&channel->worker->to_client, fake.kind == TRACK_PARSE ? '1' : '3');
		if (fake.flags & TRACK_NAMES)
			pending_done(channel->guest, true);
	}
}

/* The replies to requests sent from here on belong to the answer of this request. */
void relay_note_request(struct guest *guest)
{
	struct channel *channel = guest->channel;

	guest->requested = guest->worker->now;
	habits_ask(guest);
	if (channel->query_since == 0)
		channel->query_since = guest->worker->now;
	if (channel->transaction_since == 0)
		channel->transaction_since = guest->worker->now;
}

void relay_note_bound(struct guest *guest, struct span portal, struct statement *statement)
{
	struct channel *channel = guest->channel;
	bool ends = guest->unnamed_long || (statement && (statement_marks(statement) & LOOK_PREPARE));

	if (!relay_shares_statements(guest))
		return;
	relay_no_ending(guest, portal);
	if (guest->unnamed_long || (statement && (statement_marks(statement) & LOOK_INSERT)))
		channel->may_copy = true;
	if (portal.length == 0)
		channel->unnamed_portal_ends = ends;
	else if (ends)
		channel->portals_end = true;
}

bool relay_owe_execute(struct guest *guest, struct span portal)
{
	struct channel *channel = guest->channel;
	bool ends = portal.length == 0 ? channel->unnamed_portal_ends : channel->portals_end, ends_one;

	if (!relay_take_ending(guest, portal, &ends_one))
		return false;
	if (ends_one)
		return relay_owe(guest, TRACK_EXECUTE, TRACK_NAMES, TAG_DEALLOCATE);
	if (ends && !pending_add_end(guest, PENDING_ALL, span_of("", 0)))
		return false;
	return relay_owe(guest, TRACK_EXECUTE, ends ? TRACK_NAMES : 0, 0);
}
