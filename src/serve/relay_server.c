/* The bytes of a lease, from the server to the client: the other half of the drawing in relay_client.c.
 *
 * Every message is matched against what is owed before any byte of it goes on. An answer to something of ours is kept; an answer to
 * nothing ends the server. */
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/extras.h"
#include "serve/hearers.h"
#include "serve/lookups.h"
#include "serve/suits.h"

static bool speaks_as_its_database(const struct channel *channel)
{
	const char *spoken = params_get(channel->reported, span_text("client_encoding")),
		   *own = params_get(channel->reported, span_text("server_encoding"));

	return spoken && own && strcmp(spoken, own) == 0;
}

/* Messages that a server may send at any time, and that say something about itself. */
static enum step take_parameter(struct channel *channel, struct span body, bool ours)
{
	static const char told_only[] = "is_superuser,session_authorization,in_hot_standby,server_version,server_encoding,"
					"integer_datetimes,role";
	struct guest *guest = channel->guest;
	bool standby = reports_standby(channel->reported);
	struct span name, value;

	if (!message_read_parameter_status(body, &name, &value))
		return STEP_STOP;
	if (!params_put(&channel->reported, name, value))
		return STEP_STOP;
	if (reports_standby(channel->reported) != standby)
		pool_turned(channel->worker, channel->pool);
	suits_parameter(channel, name, value);
	if (!guest || ours || channel->learning || remains_quiet(channel))
		return STEP_DISCARD; /* relay_report tells the client what differs */
	remains_mark(channel, LOOK_SETTINGS);
	if (!params_put(&guest->reported, name, value))
		return STEP_STOP;
	if (config_list_has(told_only, name, true))
		return STEP_FORWARD;
	/* The letters it is told in are not those of the database: a question will tell, or it is undone like what nobody is told of. */
	if (!span_is_ascii(value) && !speaks_as_its_database(channel)) {
		channel->applied_doubtful = true;
		return STEP_FORWARD;
	}
	/* The client changed it: it keeps the value wherever it goes next. */
	if (!params_put(&guest->wanted, name, value) || !params_put(&channel->applied, name, value))
		return STEP_STOP;
	return STEP_FORWARD;
}

void relay_report(struct guest *guest, struct channel *channel, struct outbox *o)
{
	struct buf text = { 0 };
	struct writer w = writer_to(&text);
	size_t i;

	if (guest->reported == channel->reported)
		return;
	for (i = 0; i < params_count(channel->reported); i++) {
		const char *name, *value, *known;

		params_at(channel->reported, i, &name, &value);
		known = guest->reported ? params_get(guest->reported, span_text(name)) : NULL;
		if (!known || strcmp(known, value) != 0)
			message_parameter_status(&w, name, value);
	}
	/* A client that is not told one of them would go by another's: it is ended instead. */
	if (!writer_ok(&w))
		o->failed = true;
	outbox_copy(o, text.at + text.start, text.length);
	buf_fini(&text);
	params_drop(guest->reported);
	guest->reported = params_keep(channel->reported);
}

static void add_text(struct outbox *o, char type, const char *text)
{
	size_t length = strlen(text) + 1;

	memcpy(relay_header(outbox_room(o, FRAME_HEADER + length), type, length), text, length);
}

/* CommandComplete: a few tags say that the session was changed as a whole. */
static void take_tag(struct channel *channel, struct span body, bool ours)
{
	bool all = body.length == 12 && memcmp(body.at, "DISCARD ALL", 12) == 0;
	bool reset = body.length == 6 && memcmp(body.at, "RESET", 6) == 0;
	bool set = body.length == 4 && memcmp(body.at, "SET", 4) == 0;
	bool followed = channel->guest && !ours && remains_matter(channel->guest);
	bool corrected = channel->guest && !ours && remains_corrects(channel->guest);
	/* Else a SET stays on the server, as with PgBouncer. */
	bool undone = channel_view(channel)->rules.transparency != TRANSPARENCY_OFF;

	if (all || (body.length == 15 && memcmp(body.at, "DEALLOCATE ALL", 15) == 0)) {
		prepared_forget(channel->prepared);
		if (channel->guest && !ours)
			pending_forget_names(channel->guest);
	}
	if (corrected && (all || set || reset))
		remains_tag(channel, all, reset);
	if (!followed && (all || (((set && undone) || reset) && !channel->setting)))
		channel->applied_doubtful = true;
}

static bool tag_may_matter(const struct frame *frame)
{
	return frame->body == 4 || frame->body == 6 || frame->body == 9 || frame->body == 12 || frame->body == 15;
}

static void finish_entry(struct channel *channel, const struct track_reply *reply)
{
	if (!reply->finished)
		return;
	if (!reply->failed && (reply->entry.flags & TRACK_AGAIN) && channel->guest)
		relay_again_over(channel->guest, reply->entry.tag);
	if (!reply->failed && (reply->entry.flags & TRACK_NAMES) && channel->guest)
		pending_done(channel->guest, true);
	if (!reply->failed && reply->entry.tag == TAG_UNNAMED)
		relay_unnamed_done(channel, true);
	else if (reply->entry.kind == TRACK_QUERY && !(reply->entry.flags & TRACK_OURS))
		channel->unnamed = PREPARED_READY; /* it has none, and neither has its client */
	if (reply->entry.kind == TRACK_PARSE && !(reply->entry.flags & TRACK_AGAIN) && !reply->failed &&
		reply->entry.tag != 0 && reply->entry.tag < TAG_UNNAMED)
		prepared_done(channel->prepared, reply->entry.tag);
}

/* How long it took, and what is over with it. */
static void note_ready(struct channel *channel, const struct track_reply *reply)
{
	struct worker *worker = channel->worker;
	struct pool_view *view = worker->views[channel->pool];
	time_us executing = 0;

	channel->quiet_since = worker->now;
	channel->commits = channel->commits && !track_quiet(&channel->track);
	if (channel->query_since != 0 && !(reply->entry.flags & TRACK_OURS)) {
		executing = worker->now - channel->query_since;
		view->stats.query_time += (uint64_t)executing;
		meter_add(&view->times.query, executing);
		channel->query_since = track_quiet(&channel->track) ? 0 : worker->now;
	}
	if (channel->guest && !channel->learning && !channel->checking && !(reply->entry.flags & TRACK_OURS))
		habits_ready(channel, executing, channel->transaction_since != 0);
	if (channel->track.status == 'I') {
		if (channel->transaction_since != 0) {
			view->stats.transactions++;
			view->stats.transaction_time += (uint64_t)(worker->now - channel->transaction_since);
		}
		channel->transaction_since = track_quiet(&channel->track) ? 0 : worker->now;
		/* Its portals are gone. */
		if (track_quiet(&channel->track)) {
			channel->unnamed_portal_ends = channel->portals_end = channel->may_copy = false;
			if (channel->guest && channel->guest->extras->ending)
				relay_no_endings(extras_of(channel->guest));
		}
	}
}

/* Statement mode has no room for a transaction that goes on; its client is told before it sees that one began. */
static bool refuses_block(const struct channel *channel)
{
	return channel->guest && channel->state == CHANNEL_LENT && !channel->checking && !channel->session &&
		channel->worker->views[channel->pool]->rules.mode == POOL_STATEMENT && track_quiet(&channel->track) &&
		channel->track.status != 'I';
}

/* Which messages are looked at whole. */
static bool wants_whole(const struct channel *channel, const struct frame *frame)
{
	switch (frame->type) {
	case 'Z':
	case 'S':
	case 'A':
		return true;
	case 'E':
		return FRAME_HEADER + frame->body <= WHOLE_MAX;
	case 'C':
		return tag_may_matter(frame);
	case 'D':
		return remains_wants(channel, frame) || lookup_wants(channel, frame) ||
			(channel->asking_nature && channel->track.count == 1);
	default:
		return false;
	}
}

static enum step breach(struct channel *channel, const char *problem)
{
	channel_break(channel, problem);
	return STEP_STOP;
}

/* What ends the server now is no matter of its client, which is about to be parked. */
static bool is_only_ours(const struct channel *channel)
{
	return channel->guest && relay_moves(channel->guest) && !channel->pinned && !channel->remains.pins &&
		!channel->remains.touched && !channel->unprepared && track_idle(&channel->track);
}

/* What was sent behind it runs all the same, and what it answers is perhaps not for this client. */
static void end_if_failed(struct channel *channel)
{
	bool failed = channel->setup_failed;

	channel->setup_failed = false;
	if (failed && channel->guest)
		guest_complain(channel->guest, channel->sqlstate, channel->problem, NULL, NULL);
}

/* A query of ours is answered in full. */
static void take_own(struct channel *channel, uint32_t tag)
{
	switch (tag) {
	case TAG_QUESTION:
		remains_answered(channel);
		break;
	case TAG_CATALOG:
		catalogs_answered(channel);
		break;
	case TAG_CORRECTION:
		remains_corrected(channel);
		break;
	case TAG_BEGIN:
		/* What stands behind BEGIN, and was meant to fail. */
		channel->setup_failed = channel->failing = false;
		if (channel->guest && channel->track.status == 'I')
			channel_break(channel, "BEGIN began nothing");
		break;
	case TAG_LOOKUP:
		lookup_answered(channel);
		break;
	case TAG_NUMBERS:
		if (!channel->setup_failed)
			numbers_discarded(channel);
		end_if_failed(channel);
		break;
	case TAG_PLANS:
		if (!channel->setup_failed)
			plans_discarded(channel);
		end_if_failed(channel);
		break;
	case TAG_PROOF:
		channel->setup_failed = false;
		numbers_proven(channel);
		break;
	case TAG_NATURE:
	case TAG_PART:
		break;
	case TAG_LIFT:
		channel->lifting = channel->setup_failed;
		break;
	case TAG_LISTEN:
		hearer_begun(channel);
		break;
	case TAG_MARK:
		hearer_marked(channel);
		break;
	case TAG_FAILS:
		hearer_failed(channel);
		break;
	case TAG_SET:
		channel->setup_failed = false; /* it is set; only the empty Query has failed */
		channel_set(channel);
		break;
	default:
		if (channel->setting && channel->setup_failed)
			channel_set_failed(channel);
		else if (channel->setting)
			channel_set(channel);
		break;
	}
}

/* CommandComplete. */
static enum step take_complete(struct channel *channel, const struct frame *frame, struct span body,
	const struct track_entry *entry, bool ours)
{
	bool unlistens = entry->tag == TAG_DEALLOCATE && span_is(span_of(body.at, body.length - 1), "UNLISTEN");
	/* SAVEPOINT and RELEASE may stand around it, and are of another length; it need not be here whole. */
	bool ended = entry->tag == TAG_DEALLOCATE && (unlistens || frame->body == sizeof "DEALLOCATE");

	if (entry->kind == TRACK_QUERY && ended && channel->guest)
		pending_complete(channel->guest);
	if (unlistens) {
		if (channel->forward)
			add_text(&channel->worker->to_client, 'C', "DEALLOCATE");
		return STEP_DISCARD;
	}
	if (ours && entry->kind == TRACK_EXECUTE && entry->tag == TAG_NUMBERS)
		numbers_discarded(channel);
	if (ours && entry->kind == TRACK_EXECUTE && entry->tag == TAG_PLANS)
		plans_discarded(channel);
	if (ours && entry->kind == TRACK_EXECUTE && entry->tag == TAG_PROOF)
		numbers_proven(channel);
	/* What these SET ends with their transaction. */
	if (tag_may_matter(frame) &&
		!(ours &&
			(entry->tag == TAG_CATALOG || entry->tag == TAG_QUESTION || entry->tag == TAG_CORRECTION ||
				entry->tag == TAG_LIFT)))
		take_tag(channel, body, ours);
	return STEP_FORWARD;
}

/* A row of what answers a query of ours. False: it is no answer. */
static bool take_row(struct channel *channel, struct span body, uint32_t tag)
{
	switch (tag) {
	case TAG_CATALOG:
		catalogs_row(channel, body);
		return true;
	case TAG_LOOKUP:
		lookup_row(channel, body);
		return true;
	case TAG_NATURE:
		suits_row(channel, body);
		return true;
	case TAG_PROOF:
		return numbers_row(channel, body);
	case TAG_QUESTION:
		return !channel->remains.asked || remains_row(channel, body);
	default:
		return true;
	}
}

/* ReadyForQuery. STEP_TAKEN: its client is told that there are no blocks, and that is all. */
static enum step take_ready(struct channel *channel, struct span body, const struct track_reply *reply, bool ours)
{
	enum step step = STEP_FORWARD;

	if (body.length != 1)
		return breach(channel, "the server sent a broken ReadyForQuery");
	note_ready(channel, reply);
	if (!ours && !remains_ready(channel))
		return breach(channel, "out of memory");
	if (!ours && (channel->remains.correcting || hearer_keeps_ready(channel)))
		step = STEP_DISCARD; /* it follows the correction, or what is found out about LISTEN */
	if (!channel->guest)
		step = STEP_DISCARD;
	if (refuses_block(channel)) {
		guest_complain(channel->guest, SQLSTATE_FEATURE_NOT_SUPPORTED,
			"transaction blocks not allowed in statement pooling mode", NULL, NULL);
		return STEP_TAKEN;
	}
	return step;
}

/* A transaction could not be begun, and its client believes in it. The server reads nothing of what was sent behind that. */
static enum step begin_failed(struct channel *channel)
{
	channel->broken = true;
	guest_complain(channel->guest, channel->sqlstate, channel->problem,
		"It is BEGIN that failed, which went with the first statement of its transaction. Nothing of that has run.",
		NULL);
	return STEP_STOP;
}

/* One message of the server. `whole` is all of it when wants_whole said so, else what is here. */
static enum step take_reply(struct channel *channel, struct span whole, struct frame frame)
{
	struct span body = span_skip(whole, FRAME_HEADER);
	struct track_reply reply;
	enum step step = STEP_FORWARD;
	bool ours;

	if (frame.type == 'D' || frame.type == 'd')
		ours = channel->track.count > 0 && (channel->track.ring[channel->track.head].flags & TRACK_OURS);
	else
		ours = false;
	if (frame.type == 'Z' && body.length == 1 && hearer_waits(channel, (char)body.at[0]))
		return channel->guest ? STEP_WAIT : STEP_STOP;
	reply = track_take(&channel->track, frame.type, frame.type == 'Z' && body.length == 1 ? (char)body.at[0] : 0);
	if (reply.verdict == TRACK_BREACH)
		return breach(channel, "the server answered what nobody asked");
	if (frame.type == 'E' && !reply.owed && !channel->guest)
		return breach(channel, "the server is being ended from the other side");
	ours = ours || (reply.owed && (reply.entry.flags & TRACK_OURS));
	channel->forward = channel->guest && !ours && !channel->learning && reply.verdict == TRACK_FORWARD &&
		!(frame.type == 'E' && is_only_ours(channel));
	if ((frame.type == 'D' || frame.type == 'd') && !ours && !channel->guest && channel->state == CHANNEL_CLEANING)
		channel_unheard(channel, FRAME_HEADER + (size_t)frame.body);
	switch (frame.type) {
	case 'S':
		step = take_parameter(channel, body, ours);
		if (step == STEP_STOP)
			return breach(channel, "the server sent a broken ParameterStatus");
		/* Each new one makes a new set: a flood of them would hold up everybody else of this worker. */
		if (params_count(channel->reported) > SERVER_REPORTED_MAX)
			return breach(channel, "the server reports more parameters than a PostgreSQL has");
		break;
	case 'E':
		/* A statement of the client's that we sent again failed: what it asked for behind that is skipped, and the
		 * error is its answer. */
		if (ours && channel->guest && reply.entry.kind < TRACK_SET && reply.entry.kind != TRACK_QUERY &&
			!channel->learning)
			channel->forward = true;
		step = relay_error(channel, whole, whole.length == FRAME_HEADER + (size_t)frame.body, &reply);
		if (reply.owed && reply.entry.kind == TRACK_SET) {
			bool told = channel->guest;

			channel_set_failed(channel);
			if (told)
				return STEP_STOP;
		}
		if (channel->guest && reply.owed && reply.entry.kind == TRACK_BEGIN)
			return begin_failed(channel);
		break;
	case 't':
	case 'T':
	case 'n':
		if (ours && reply.entry.kind == TRACK_DESCRIBE_STATEMENT) {
			relay_shape_begins(channel, frame.type, reply.entry.tag);
			relay_shape_goes_on(channel, body, body.length == frame.body);
		}
		break;
	case '3':
		if (reply.entry.kind == TRACK_BEGIN)
			remains_let_go(channel);
		break;
	case 'C':
		step = take_complete(channel, &frame, body, &reply.entry, ours);
		break;
	case 'D':
		if (ours && !take_row(channel, body, reply.entry.tag))
			return breach(channel, "the server gave no answer to a question");
		break;
	case 'Z':
		step = take_ready(channel, body, &reply, ours);
		if (step == STEP_STOP || step == STEP_TAKEN)
			return step;
		break;
	case 'A':
		step = hearer_notification(channel, whole);
		if (step == STEP_STOP)
			return breach(channel, "the server sent a broken notification");
		break;
	case 'G':
		/* What waits for a RESET, or for what is heard, may be a part of the COPY. */
		if (track_copies(&channel->track))
			remains_let_go(channel);
		/* Its client went away before the server asked for the data: nobody will ever send any. */
		if (!channel->guest)
			return breach(channel, "its client went away before a COPY began");
		break;
	default:
		break;
	}
	finish_entry(channel, &reply);
	if (step == STEP_FORWARD && channel->forward)
		outbox_add(&channel->worker->to_client, whole.at, whole.length);
	else if (step == STEP_DISCARD)
		channel->forward = false;
	/* It may say the ReadyForQuery that waited for it, and what is answered here comes behind that. */
	if (frame.type == 'Z' && ours && (reply.entry.kind == TRACK_QUERY || reply.entry.tag == TAG_LOOKUP))
		take_own(channel, reply.entry.tag);
	if (whole.length == FRAME_HEADER + (size_t)frame.body)
		relay_answer_fakes(channel);
	return STEP_TAKEN;
}

/* Behind a row that went on to the client: so do the rows that follow it, as many as are here in whole. Nothing changes between two rows of one
 * answer, so only their headers are read. */
static struct span pass_rows(struct channel *channel, struct span in, char type)
{
	struct frame frame;
	size_t n = 0;

	while (frame_peek(span_skip(in, n), &frame) == FRAME_HERE && frame.type == type &&
		frame.body <= in.length - n - FRAME_HEADER)
		n += FRAME_HEADER + (size_t)frame.body;
	outbox_add(&channel->worker->to_client, in.at, n);
	return span_skip(in, n);
}

size_t relay_server(struct channel *channel, struct span in)
{
	struct worker *worker = channel->worker;
	struct outbox *o = &worker->to_client;
	struct guest *guest = channel->guest;
	size_t length = in.length, n;
	enum step step = STEP_TAKEN;
	bool ready = false;
	struct frame frame;

	outbox_begin(o, guest ? guest->stream : NULL);
	while (step == STEP_TAKEN && in.length > 0) {
		/* It may leave meanwhile; nobody comes in its place. */
		check(!channel->guest || channel->guest == guest);
		if (channel->body_left > 0) {
			n = channel->body_left < in.length ? channel->body_left : in.length;
			if (channel->forward && channel->guest)
				outbox_add(o, in.at, n);
			channel->body_left -= (uint32_t)n;
			if (channel->describing)
				relay_shape_goes_on(channel, span_of(in.at, n), channel->body_left == 0);
			in = span_skip(in, n);
			relay_answer_fakes(channel);
			/* A notice behind ReadyForQuery: the lease waited for its end. */
			ready = ready || (channel->body_left == 0 && track_idle(&channel->track));
			continue;
		}
		switch (frame_peek(in, &frame)) {
		case FRAME_MORE:
			step = STEP_WAIT;
			continue;
		case FRAME_BAD:
			step = breach(channel, "the server sent a message of impossible length");
			continue;
		case FRAME_HERE:
			break;
		}
		n = FRAME_HEADER + (size_t)frame.body;
		if ((n > in.length || n > WHOLE_MAX) && wants_whole(channel, &frame)) {
			step = n > WHOLE_MAX ? breach(channel, "the server sent a message of impossible length")
					     : STEP_WAIT;
			continue;
		}
		n = n < in.length ? n : in.length;
		if (channel->guest && !channel->learning &&
			(track_passes(&channel->track, frame.type) || track_take_plain(&channel->track, frame.type))) {
			channel->forward = true;
			outbox_add(o, in.at, n);
			if (n == FRAME_HEADER + (size_t)frame.body)
				relay_answer_fakes(channel);
		} else {
			step = take_reply(channel, span_of(in.at, n), frame);
			if (step != STEP_TAKEN)
				break;
			ready = ready || frame.type == 'Z' ||
				(frame.type == 'A' && channel->guest && channel->guest->hearer);
		}
		channel->body_left = (uint32_t)(FRAME_HEADER + (size_t)frame.body - n);
		in = span_skip(in, n);
		if ((frame.type == 'D' || frame.type == 'd') && channel->forward && channel->body_left == 0)
			in = pass_rows(channel, in, frame.type);
	}
	worker->views[channel->pool]->stats.sent += o->sent;
	if (guest)
		guest->habits.sent += o->sent;
	if (!outbox_end(o) && guest && guest->state != GUEST_ENDING)
		guest_end(guest, NULL, "out of memory");
	if (step == STEP_STOP)
		return length;
	if (channel->guest && channel->guest == guest && stream_queued(guest->stream) > 0) {
		stream_pause(channel->stream); /* until the client has taken it: see guest_room */
		habits_stuck(channel, true);
	}
	if (ready)
		channel_settle(channel);
	else if (channel->cancel_wanted)
		channel_cancel_due(channel); /* BEGIN is answered, and no ReadyForQuery tells of it */
	guest_go_on(channel->guest);
	return length - in.length;
}
