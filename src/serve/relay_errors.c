/* An ErrorResponse in a lease: what it says in the client's words, and what it means for everything that was sent and never took place. */
#include <string.h>

#include "base/text.h"
#include "serve/catalogs.h"
#include "serve/extras.h"
#include "serve/relay.h"
#include "serve/suits.h"

/* An error that speaks of a statement by the name it has on servers: say the client's. */
static void add_renamed(struct outbox *o, struct span whole, struct span from, struct span to)
{
	struct buf text = { 0 };
	struct span rest = whole;
	bool ok = true;
	uint32_t length;

	while (ok && rest.length > 0) {
		const uint8_t *hit = memmem(rest.at, rest.length, from.at, from.length);
		size_t n = hit ? (size_t)(hit - rest.at) : rest.length;

		ok = buf_add(&text, rest.at, n) && (!hit || buf_add_span(&text, to));
		rest = span_skip(rest, hit ? n + from.length : n);
	}
	if (!ok) {
		o->failed = true; /* our own name must not get out */
	} else {
		length = (uint32_t)text.length - 1;
		text.at[text.start + 1] = (uint8_t)(length >> 24);
		text.at[text.start + 2] = (uint8_t)(length >> 16);
		text.at[text.start + 3] = (uint8_t)(length >> 8);
		text.at[text.start + 4] = (uint8_t)length;
		outbox_copy(o, text.at + text.start, text.length);
	}
	buf_fini(&text);
}

static void keep_field(char *out, size_t size, struct span from)
{
	text_copy_span(out, size, span_of(from.at, text_fits(from, size - 1)));
}

static void keep_complaint(struct channel *channel, const struct complaint_fields *fields)
{
	text_copy_span(channel->sqlstate, sizeof channel->sqlstate,
		fields->sqlstate.length > 0 ? fields->sqlstate : span_text(SQLSTATE_INTERNAL_ERROR));
	keep_field(channel->problem, sizeof channel->problem, fields->message);
	keep_field(channel->detail, sizeof channel->detail, fields->detail);
	keep_field(channel->hint, sizeof channel->hint, fields->hint);
}

/* A Parse that failed made no statement. Of the unnamed one it left nothing, so the server has what its client believes. */
static void undo_failed(struct channel *channel, const struct track_entry *entry)
{
	struct guest *guest = channel->guest;

	if (entry->kind == TRACK_QUERY || entry->kind == TRACK_FUNCTION || entry->kind == TRACK_SYNC)
		return; /* its ReadyForQuery follows */
	relay_undo(channel, entry);
	if (entry->tag != TAG_UNNAMED || entry->kind != TRACK_PARSE || (entry->flags & TRACK_OURS))
		return;
	channel->unnamed = PREPARED_READY;
	if (guest) {
		statement_drop(guest->unnamed);
		guest->unnamed = NULL;
	}
}

/* What an error made the server skip never was. */
void relay_undo(struct channel *channel, const struct track_entry *entry)
{
	struct guest *guest = channel->guest;
	bool ours = entry->flags & TRACK_OURS;

	if ((entry->flags & TRACK_NAMES) && guest)
		pending_done(guest, false);
	if (entry->kind == TRACK_DESCRIBE_STATEMENT && ours)
		relay_shape_undone(channel, entry->tag);
	if (entry->tag == TAG_UNNAMED) {
		relay_unnamed_done(channel, false);
		return;
	}
	/* A Close that was skipped: what is prepared there is not what was noted. */
	if (entry->kind == TRACK_CLOSE &&
		(entry->tag == TAG_LONG || (entry->tag != 0 && ours && !prepared_doubt(channel->prepared, entry->tag))))
		channel->broken = true;
	if (entry->kind == TRACK_PARSE && (entry->flags & TRACK_AGAIN) && guest)
		relay_again_over(guest, entry->tag);
	if (entry->kind != TRACK_PARSE || entry->tag == 0 || (entry->flags & TRACK_AGAIN))
		return;
	if (entry->tag == TAG_LONG)
		return; /* the name stays: using it is the error that it would be anyway */
	if (!(entry->flags & TRACK_FAKE))
		prepared_failed(channel->prepared, entry->tag);
}

/* "cached plan must not change result type": who prepares the text from now on must find it as it is now. */
static void note_outdated(struct channel *channel, struct span name)
{
	const struct guest *guest = channel->guest;
	const struct statement *statement = names_get(&guest->names, name);

	if (statement && statement_is_current(statement, catalogs_meaning(guest)))
		catalogs_outdated(channel);
}

/* The client's name for the statement that this was sent for. */
static bool find_name(const struct guest *guest, const struct track_entry *entry, struct span *name)
{
	const char *noted = relay_noted_name(
		entry->flags & TRACK_AGAIN ? guest->extras->again : guest->extras->former, entry->tag);

	if (entry->tag == 0 || entry->tag > STATEMENT_ID_LAST)
		return false;
	if (noted && ((entry->flags & TRACK_AGAIN) || !names_find(&guest->names, entry->tag, name)))
		*name = span_text(noted);
	return noted || names_find(&guest->names, entry->tag, name);
}

static void tell(struct channel *channel, const struct complaint *complaint)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);

	message_complaint(&w, complaint);
	if (channel->forward && writer_ok(&w))
		outbox_copy(&channel->worker->to_client, out.at + out.start, out.length);
	else if (channel->forward)
		channel->worker->to_client.failed = true;
	buf_fini(&out);
}

/* In words (and by a routine) that drivers know, and prepare it anew. */
static const struct complaint changed = {
	.severity = SEVERITY_ERROR,
	.sqlstate = SQLSTATE_FEATURE_NOT_SUPPORTED,
	.message = "cached plan must not change result type",
	.routine = "RevalidateCachedQuery",
};

/* In the place of the error about a name that is none of the client's. False: it is another error. */
static bool tell_refused(struct channel *channel, const struct track_reply *reply)
{
	const struct complaint complaint = {
		.severity = SEVERITY_ERROR,
		.sqlstate = SQLSTATE_CONFIGURATION_LIMIT,
		.message = "too many prepared statements",
		.detail = "The pooler keeps no more of them for one client than client_statements_max has bytes.",
		.hint = "Close those that are not used any more (Close, DEALLOCATE).",
	};

	if (!reply->owed || (reply->entry.tag != TAG_TOO_MANY && reply->entry.tag != TAG_CHANGED) ||
		strcmp(channel->sqlstate, SQLSTATE_DUPLICATE_STATEMENT) != 0)
		return false;
	tell(channel, reply->entry.tag == TAG_CHANGED ? &changed : &complaint);
	return true;
}

/* A Bind says a format for each column, and the statement has others since some DDL: where it was prepared before, PostgreSQL says so, in
 * words (and by a routine) that drivers know, and prepare it anew; here it was prepared behind that. False: it is another error. */
static bool tell_changed(
	struct channel *channel, const struct track_reply *reply, struct span routine, struct span name)
{
	const struct guest *guest = channel->guest;
	const struct statement *statement;

	if (reply->entry.kind != TRACK_BIND || !span_is(routine, "PortalSetResultFormat"))
		return false;
	statement = names_get(&guest->names, name);
	if (!statement || statement_is_current(statement, catalogs_meaning(guest)))
		return false; /* it has the columns that it had, and the mistake is the client's */
	tell(channel, &changed);
	return true;
}

/* Of a DEALLOCATE that came too late: nothing has that name any more, so which it was is found by what the error says. False: it says none. */
static bool find_ended(const struct channel *channel, struct span body, char bare[STATEMENT_NAME], struct span *name)
{
	const char *prefix = statement_prefix(channel->worker->house->statements);
	const uint8_t *at = memmem(body.at, body.length, prefix, strlen(prefix));
	size_t n = strlen(prefix);

	if (!at || !pending_next(channel->guest, name))
		return false;
	while (at + n < body.at + body.length && at[n] >= '0' && at[n] <= '9' && n + 1 < STATEMENT_NAME)
		n++;
	text_copy_span(bare, STATEMENT_NAME, span_of(at, n));
	return true;
}

/* The error, in which the server's name of a statement becomes the client's. */
static void tell_renamed(struct channel *channel, struct span whole, const char *bare, struct span name)
{
	char server_name[STATEMENT_NAME + 2], quoted[256];

	if (!channel->forward)
		return;
	text_format(server_name, sizeof server_name, "\"%s\"", bare);
	text_format(
		quoted, sizeof quoted, "\"%.*s\"", (int)(name.length < 200 ? name.length : 200), (const char *)name.at);
	add_renamed(&channel->worker->to_client, whole, span_text(server_name), span_text(quoted));
}

/* False: it is not about a DEALLOCATE that came too late. */
static bool tell_ended(struct channel *channel, struct span whole, const struct track_entry *entry)
{
	char bare[STATEMENT_NAME];
	struct span name;

	if (entry->kind != TRACK_EXECUTE || entry->tag != TAG_DEALLOCATE ||
		!find_ended(channel, span_skip(whole, FRAME_HEADER), bare, &name))
		return false;
	tell_renamed(channel, whole, bare, name);
	return true;
}

/* False: it is about nothing that the client has a name for. */
static bool tell_named(struct channel *channel, struct span whole, const struct track_reply *reply,
	const struct complaint_fields *fields)
{
	const struct track_entry *entry = &reply->entry;
	char bare[STATEMENT_NAME];
	struct span name;

	if (!find_name(channel->guest, entry, &name))
		return false;
	if (!tell_changed(channel, reply, fields->routine, name)) {
		statement_name_of(channel->worker->house->statements,
			entry->flags & TRACK_AGAIN ? RELAY_ID_IN_USE : entry->tag, bare);
		tell_renamed(channel, whole, bare, name);
	}
	if (span_is(fields->routine, "RevalidateCachedQuery"))
		note_outdated(channel, name);
	/* A function's DEALLOCATE, of which nothing tells: it is to be sent again. */
	if (strcmp(channel->sqlstate, SQLSTATE_UNDEFINED_STATEMENT) == 0)
		(void)prepared_doubt(channel->prepared, entry->tag);
	return true;
}

enum step relay_error(struct channel *channel, struct span whole, bool is_whole, const struct track_reply *reply)
{
	struct guest *guest = channel->guest;
	struct complaint_fields fields;
	struct track_entry dropped;
	bool ours = reply->owed && (reply->entry.flags & TRACK_OURS), told = false;

	if (message_read_complaint(span_skip(whole, FRAME_HEADER), &fields)) {
		keep_complaint(channel, &fields);
		if (span_is(fields.severity, "FATAL") && guest && channel->forward)
			guest->fatal_seen = true;
	}
	if (reply->owed && !ours)
		suits_error(channel, span_text(channel->sqlstate));
	if (guest && reply->owed && is_whole)
		told = tell_ended(channel, whole, &reply->entry) || tell_named(channel, whole, reply, &fields);
	told = tell_refused(channel, reply) || told;
	if (reply->owed)
		undo_failed(channel, &reply->entry);
	while (track_dropped(&channel->track, &dropped))
		relay_undo(channel, &dropped);
	if (ours && (reply->entry.kind == TRACK_QUERY || channel->learning))
		channel->setup_failed = true;
	else if (reply->owed && !ours)
		remains_failed(channel);
	/* What it waits for may have been skipped. */
	if (channel->track.skipping)
		remains_let_go(channel);
	return told ? STEP_DISCARD : STEP_FORWARD;
}
