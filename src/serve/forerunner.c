/* What a process does for the one that takes its place; the whole is drawn in takeover.h.
 *
 * It goes on as it is, but for its doors: clients that are in, or at the door, or accepted a moment ago, notice nothing, and when the last
 * one is gone it ends. Until the successor serves, the doors are shut but not given away, and open again should it be gone. Consoles are ended, so that who watches us with one comes to the successor. Cancel requests for our clients
 * are brought by the successor, to a socket of our own beside the old one: the back door. */
#include "serve/takeover.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/file.h"
#include "serve/worker.h"
#include "wire/message.h"

/* ---- SHOW FDS ---- */

static const struct column columns[] = { { "fd", COLUMN_INT4 }, { "task", COLUMN_TEXT }, { "user", COLUMN_TEXT },
	{ "database", COLUMN_TEXT }, { "addr", COLUMN_TEXT }, { "port", COLUMN_INT4 }, { "cancel", COLUMN_INT8 },
	{ "link", COLUMN_INT4 }, { "client_encoding", COLUMN_TEXT }, { "std_strings", COLUMN_TEXT },
	{ "datestyle", COLUMN_TEXT }, { "timezone", COLUMN_TEXT }, { "password", COLUMN_TEXT },
	{ "scram_client_key", COLUMN_BYTEA }, { "scram_server_key", COLUMN_BYTEA } };
#define COLUMNS (sizeof columns / sizeof columns[0])

static void put_row(struct writer *w, const struct listener *listener)
{
	const struct address *at = listener_address(listener);
	char host[ADDRESS_TEXT];
	size_t mark = message_row_begin(w, COLUMNS), i;

	message_row_int(w, listener_descriptor(listener));
	message_row_text(w, "pooler");
	message_row_text(w, NULL);
	message_row_text(w, NULL);
	message_row_text(w, address_host_text(at, host));
	message_row_int(w, at->port);
	message_row_int(w, 0);
	message_row_int(w, 0);
	for (i = 8; i < COLUMNS; i++)
		message_row_text(w, NULL);
	message_row_end(w, mark);
}

bool forerunner_show(struct guest *guest, struct buf *text)
{
	struct house *house = guest->worker->house;
	bool own = house_is_own_user(stream_peer(guest->stream));
	struct writer w = writer_to(text);
	struct piece piece;
	uint32_t i;

	message_row_description(&w, columns, COLUMNS);
	/* While this worker watches them, nobody closes them. */
	for (i = 0; i < house->listener_count && !guest->worker->doors_shut; i++) {
		if (own) {
			piece = (struct piece){ buf_span(text).at, text->length };
			if (!writer_ok(&w) || !stream_write(guest->stream, &piece, 1) ||
				stream_queued(guest->stream) > 0)
				return false;
			buf_clear(text);
			w = writer_to(text);
		}
		put_row(&w, house->listeners[i]);
		if (own && (!writer_ok(&w) || !listener_send(house->listeners[i], guest->stream, buf_span(text))))
			return false;
		if (own)
			buf_clear(text);
	}
	return writer_ok(&w);
}

/* ---- the end ---- */

/* Beside the socket that the successor has now, with the same rights. Without it cancel requests of our clients are lost, which is no
 * reason to stay. */
static void open_back_door(struct house *house)
{
	const struct config *config = house->config; /* the keeper alone changes it */
	struct listen_setup setup = { .unix_mode = config->unix_socket_mode, .unix_group = config->unix_socket_group };
	struct address at;
	char error[256];
	size_t length, more;

	if (!address_unix(config->unix_socket_dir, (uint16_t)config->listen_port, &at))
		return;
	length = strlen(at.path);
	more = text_format(at.path + length, sizeof at.path - length, ".%u", process_id());
	if (length + more + 1 >= sizeof at.path)
		return;
	house->back_door = listener_open(&at, &setup, error, sizeof error);
	if (!house->back_door)
		log_line(LOG_WARNING, "%s; cancel requests of clients that are here will not arrive", error);
}

bool forerunner_begin(struct house *house, const struct letter_command *command, char *problem, size_t size)
{
	uint32_t i;

	if (command->successor == process_id()) {
		text_copy(problem, size, "this process can not take over from itself");
		return false;
	}
	/* One that was opened for a successor which never served is as good. */
	if (!house->back_door)
		open_back_door(house);
	for (i = 0; i < house->listener_count; i++)
		listener_own_file(house->listeners[i], false);
	for (i = 0; i < house->worker_count; i++) {
		struct letter_listeners *letter = calloc(1, sizeof *letter);

		check(letter);
		letter->letter.kind = LETTER_LISTENERS;
		letter->all = letter->leaving = true;
		letter->asker = command->asker;
		mailbox_post(house->workers[i]->mailbox, &letter->letter);
	}
	return true;
}

void forerunner_yield(struct house *house)
{
	for (uint32_t i = 0; i < house->listener_count; i++)
		listener_close(&house->listeners[i]);
	atomic_store(&house->taken_over, true);
}

void forerunner_stay(struct house *house)
{
	for (uint32_t i = 0; i < house->listener_count; i++)
		listener_own_file(house->listeners[i], true);
	atomic_store(&house->workers_shut, 0);
	house_open_doors(house, true, true);
}

static void end_console(struct guest *guest)
{
	guest_complain(
		guest, SQLSTATE_ADMIN_SHUTDOWN, "another process has taken over", NULL, "Connect again to reach it.");
}

static void end_consoles(struct worker *worker, const struct client_ref *asker)
{
	struct guest *guest;
	uint32_t slot = 0;

	while ((guest = slots_next(&worker->guests, &slot)))
		if (guest->state == GUEST_CONSOLE &&
			(worker->index != asker->worker || !handle_equal(guest->handle, asker->client)))
			end_console(guest);
}

bool forerunner_refuses(struct guest *guest)
{
	if (atomic_load(&guest->worker->house->workers_shut) == 0)
		return false;
	end_console(guest);
	return true;
}

static void tell_keeper(struct house *house)
{
	struct letter *letter = calloc(1, sizeof *letter);

	check(letter);
	letter->kind = LETTER_LEAVING;
	mailbox_post(house->keeper_mailbox, letter);
}

void forerunner_visit(struct worker *worker, const struct letter_listeners *letter)
{
	struct house *house = worker->house;

	end_consoles(worker, &letter->asker);
	if (house->back_door && !worker->at_back_door) {
		worker->at_back_door = listener_watch(house->back_door, worker->loop);
		if (!worker->at_back_door)
			log_line(LOG_WARNING, "out of memory: this worker takes no cancel requests from its successor");
	}
	if (atomic_fetch_add(&house->workers_shut, 1) + 1 == house->worker_count)
		tell_keeper(house);
}

bool forerunner_is_shut(const struct house *house)
{
	return atomic_load(&house->workers_shut) == house->worker_count;
}

bool forerunner_is_left(const struct house *house)
{
	uint32_t i;

	for (i = 0; i < house->worker_count; i++)
		if (atomic_load(&house->workers[i]->client_count) > 0)
			return false;
	return true;
}

void forerunner_look(struct worker *worker)
{
	if (atomic_load(&worker->house->taken_over) && atomic_load(&worker->client_count) == 0 &&
		forerunner_is_left(worker->house))
		tell_keeper(worker->house);
}
