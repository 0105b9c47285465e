/* The console as a conversation. What a command does, and what it is answered, is in desk_commands.c.
 *
 * A desk handles one command at a time. While a command waits for its answer (PAUSE for the last transaction, SHOW for the census,
 * RELOAD for the keeper) the stream is paused; what was typed meanwhile lies unread. So it is while an answer is not taken: no more than one is
 * ever held for a console that does not read. */
#include "serve/desk.h"

#include <stdlib.h>

#include "serve/guest.h"
#include "wire/frame.h"

/* No command is longer; PgBouncer's are cut at less. */
#define COMMAND_MAX 8192

bool desk_open(struct guest *guest)
{
	guest->desk = calloc(1, sizeof *guest->desk);
	if (!guest->desk)
		return false;
	/* By our own name for the console, somebody asks who knows what more there is. */
	guest->desk->without_ours = guest_is_bouncers(guest) &&
		span_is(client_facts(guest->login)->database, "pgbouncer");
	atomic_fetch_add(&guest->worker->house->desks, 1);
	suspend_console_comes(guest);
	return true;
}

void desk_begin_waiting(struct guest *guest)
{
	guest->desk->busy = true;
	stream_pause(guest->stream);
}

static void send_text(struct guest *guest, const struct buf *text)
{
	struct piece piece = { buf_span(text).at, text->length };

	if (guest->stream && text->length > 0 && !stream_write(guest->stream, &piece, 1))
		guest_end(guest, NULL, "out of memory");
}

static bool is_read(const struct guest *guest)
{
	return stream_queued(guest->stream) == 0;
}

void desk_finish(struct guest *guest, struct buf *text)
{
	struct writer w = writer_to(text);

	message_ready(&w, 'I');
	/* Without its ReadyForQuery it would wait for ever. */
	if (writer_ok(&w))
		send_text(guest, text);
	else
		guest_end(guest, NULL, "out of memory");
	buf_fini(text);
	if (guest->state == GUEST_ENDING)
		return;
	guest->desk->busy = guest->desk->with_core = false;
	guest->requested = guest->worker->now;
	if (is_read(guest))
		stream_resume(guest->stream);
	else
		stream_pause(guest->stream);
}

void desk_room(struct guest *guest)
{
	if (!guest->desk->busy)
		stream_resume(guest->stream);
}

void desk_complain(struct guest *guest, const char *sqlstate, const char *message, const char *hint)
{
	struct complaint complaint = {
		.severity = SEVERITY_ERROR,
		.sqlstate = guest->worker->config->manner == MANNER_PGBOUNCER && sqlstate[0] != 'F'
			? SQLSTATE_PROTOCOL_VIOLATION
			: sqlstate,
		.message = message,
		.hint = hint,
	};
	struct buf text = { 0 };
	struct writer w = writer_to(&text);

	if (guest->worker->config->log_pooler_errors)
		guest_log(guest, LOG_WARNING, "pooler error: %s", message);
	message_complaint(&w, &complaint);
	desk_finish(guest, &text);
}

void desk_done(struct guest *guest, const char *tag)
{
	struct buf text = { 0 };
	struct writer w = writer_to(&text);

	message_command_complete(&w, tag);
	desk_finish(guest, &text);
}

static void take_frame(struct guest *guest, struct frame frame, struct span body)
{
	struct desk *desk = guest->desk;
	struct buf text = { 0 };
	struct complaint complaint = {
		.severity = SEVERITY_ERROR,
		.sqlstate = SQLSTATE_PROTOCOL_VIOLATION,
		.message = "extended query protocol not supported by admin console",
		.hint = "Use the simple protocol (psql does; drivers have a setting for it).",
	};
	struct writer w = writer_to(&text);

	switch (frame.type) {
	case 'Q':
		if (desk->skipping)
			break; /* as PostgreSQL */
		guest->requested = guest->worker->now;
		desk_obey(guest, body.length > 0 ? span_of(body.at, body.length - 1) : body);
		break;
	case 'X':
		guest_goodbye(guest);
		break;
	case 'S':
		desk->skipping = false;
		desk_finish(guest, &text);
		break;
	case 'H':
		break;
	default:
		if (desk->skipping)
			break;
		desk->skipping = true;
		message_complaint(&w, &complaint);
		send_text(guest, &text);
		buf_fini(&text);
		if (guest->state == GUEST_CONSOLE && !is_read(guest))
			stream_pause(guest->stream);
		break;
	}
}

size_t desk_bytes(struct guest *guest, struct span bytes)
{
	size_t used = 0, whole;
	struct frame frame;

	while (guest->state == GUEST_CONSOLE && !guest->desk->busy && is_read(guest)) {
		struct span rest = span_skip(bytes, used);

		switch (frame_peek(rest, &frame)) {
		case FRAME_MORE:
			return used;
		case FRAME_BAD:
			guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, "invalid message length", NULL, NULL);
			return used;
		case FRAME_HERE:
			break;
		}
		if (frame.body > COMMAND_MAX) {
			guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, "a console command is too long", NULL, NULL);
			return used;
		}
		whole = FRAME_HEADER + (size_t)frame.body;
		if (rest.length < whole)
			return used;
		used += whole;
		take_frame(guest, frame, span_of(rest.at + FRAME_HEADER, frame.body));
	}
	return used;
}

static void tell_successor_left(const struct guest *guest)
{
	struct letter_command *letter = guest->desk->left;

	letter->letter.kind = LETTER_COMMAND;
	letter->command = COMMAND_SUCCESSOR_LEFT;
	letter->asker = guest_ref(guest);
	mailbox_post(guest->worker->house->keeper_mailbox, &letter->letter);
}

static void take_back(struct guest *guest, enum event_kind kind)
{
	struct event event = {
		.kind = kind,
		.now = guest->worker->now,
		.client = guest_ref(guest),
		.worker = guest->worker->index,
	};

	if (guest->desk->with_core)
		worker_step(guest->worker, &event);
}

/* Only what waits for others can be cancelled: a PAUSE, which is undone, or a WAIT_CLOSE. The core says so, for it may have said
 * otherwise: an answer that is under way from another worker would be taken for that of the next command. */
void desk_cancel(struct guest *guest)
{
	take_back(guest, EVENT_ASKER_CANCELS);
}

void desk_left(struct guest *guest)
{
	take_back(guest, EVENT_ASKER_LEFT);
	if (guest->desk->left)
		tell_successor_left(guest);
	free(guest->desk);
	guest->desk = NULL;
	atomic_fetch_sub(&guest->worker->house->desks, 1);
	suspend_console_goes(guest);
}
