/* Who hears what, in one worker:
 *
 *    board of an ear -> topic "jobs" -> seat -> seat -> seat      each seat is one client at one topic; a client knows its own
 *
 * A worker asks the ear for a topic when the first of its clients wants it, and drops it when the last one is gone. What the ear says
 * comes by mail, in order, and goes to each client at once if it is idle; in a transaction of its own, or while something is
 * being found out, it waits (session/hearing). A client that does not read has a ceiling; what is above it is counted, and told. */
#include "serve/hearers.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/table.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/channel.h"

struct topic_here {
	UT_hash_handle hh;
	struct seat *seats;
	char name[];
};

struct board {
	struct topic_here *topics;
};

struct seat {
	struct hearer *hearer;
	struct topic_here *topic;
	bool awake;
	struct seat *next, **link; /* of the topic */
	struct seat *next_of_client;
};

/* ---- asking the ear ---- */

static bool post(struct hearer *hearer, enum ear_wish wish, struct topics *topics)
{
	struct guest *guest = hearer->guest;
	struct letter_hear *letter = calloc(1, sizeof *letter);

	if (!letter) {
		if (topics)
			topics_fini(topics);
		return false;
	}
	letter->letter.kind = LETTER_HEAR;
	letter->wish = wish;
	letter->ear = hearer->ear;
	letter->asker = guest_ref(guest);
	letter->token = hearer->hearing->token;
	letter->missed = hearer->missed;
	letter->pool = guest->pool;
	text_copy(letter->encoding, sizeof letter->encoding, hearer->encoding);
	if (topics) {
		letter->topics = *topics;
		*topics = (struct topics){ 0 };
	}
	worker_post(guest->worker, 0, &letter->letter);
	return true;
}

bool hearer_ask(struct hearer *hearer, enum ear_wish wish, struct topics *topics)
{
	entropy_fill(&hearer->hearing->token, sizeof hearer->hearing->token);
	hearer->hearing->token |= 1; /* 0 is nobody */
	return post(hearer, wish, topics);
}

void hearer_seek(struct hearer *hearer, bool seeks)
{
	atomic_uint *seekers = &hearer->guest->worker->house->ear_seekers[hearer->ear];

	if (seeks && !hearer->seeks)
		atomic_fetch_add(seekers, 1);
	else if (!seeks && hearer->seeks)
		atomic_fetch_sub(seekers, 1);
	hearer->seeks = seeks;
}

/* ---- seats ---- */

static struct board *board_of(struct worker *worker, uint32_t ear)
{
	if (!worker->boards)
		worker->boards = calloc(EARS_MAX, sizeof *worker->boards);
	check(ear < EARS_MAX);
	return worker->boards ? &worker->boards[ear] : NULL;
}

static struct topic_here *find(const struct board *board, struct span name)
{
	struct topic_here *topic;

	HASH_FIND(hh, board->topics, name.at, (unsigned)name.length, topic);
	return topic;
}

static bool sit(struct hearer *hearer, const char *name)
{
	struct board *board = board_of(hearer->guest->worker, hearer->ear);
	struct topic_here *topic = board ? find(board, span_text(name)) : NULL;
	struct seat *seat = board ? calloc(1, sizeof *seat) : NULL;
	size_t length = strlen(name);
	bool refused = false;

	if (!seat)
		return false;
	if (!topic) {
		topic = calloc(1, sizeof *topic + length + 1);
		if (!topic) {
			free(seat);
			return false;
		}
		memcpy(topic->name, name, length);
		HASH_ADD_KEYPTR(hh, board->topics, topic->name, (unsigned)length, topic);
		if (refused) {
			free(topic);
			free(seat);
			return false;
		}
	}
	seat->hearer = hearer;
	seat->topic = topic;
	seat->next = topic->seats;
	seat->link = &topic->seats;
	if (topic->seats)
		topic->seats->link = &seat->next;
	topic->seats = seat;
	seat->next_of_client = hearer->seats;
	hearer->seats = seat;
	return true;
}

bool hearer_hears(const struct guest *guest)
{
	const struct hearer *hearer = guest->hearer;

	return hearer && (hearer->seats || hearer_is_stranded(hearer));
}

bool hearer_sit(struct hearer *hearer, const struct topics *topics)
{
	bool ok = true;

	for (size_t i = 0; ok && i < topics->count; i++)
		ok = sit(hearer, topics->names[i]);
	return ok;
}

void hearer_wake(struct hearer *hearer, const struct topics *topics)
{
	for (struct seat *seat = hearer->seats; seat; seat = seat->next_of_client)
		seat->awake = seat->awake || !topics || topics_has(topics, span_text(seat->topic->name));
}

void hearer_rise(struct hearer *hearer, const struct topics *kept)
{
	struct seat **at = &hearer->seats, *seat;
	struct topics gone = { 0 };

	while ((seat = *at)) {
		struct topic_here *topic = seat->topic;

		if (kept && topics_has(kept, span_text(topic->name))) {
			at = &seat->next_of_client;
			continue;
		}
		*at = seat->next_of_client;
		*seat->link = seat->next;
		if (seat->next)
			seat->next->link = seat->link;
		free(seat);
		if (topic->seats)
			continue;
		/* Should memory be refused, the ear hears what nobody wants. */
		(void)topics_add(&gone, span_text(topic->name));
		HASH_DEL(board_of(hearer->guest->worker, hearer->ear)->topics, topic);
		free(topic);
	}
	if (gone.count > 0)
		(void)post(hearer, EAR_DROP, &gone);
}

void hearer_leave(struct guest *guest)
{
	struct hearer *hearer = guest->hearer;

	if (!hearer)
		return;
	hearer_rise(hearer, NULL);
	hearer_seek(hearer, false);
	hearer_uncount(hearer);
	hearing_free(hearer->hearing);
	free(hearer);
	guest->hearer = NULL;
}

/* ---- speaking ---- */

bool hearer_may_speak(const struct guest *guest)
{
	const struct channel *channel = guest->channel;

	if (guest->hearer->hearing->ready_owed)
		return false;
	switch ((enum guest_state)guest->state) {
	case GUEST_PARKED:
		return true;
	case GUEST_WAITING:
		return !channel;
	case GUEST_LENT:
		/* Not in a transaction, nor in the middle of a message. */
		return channel && track_quiet(&channel->track) && channel->track.status == 'I' &&
			!(channel->body_left > 0 && channel->forward);
	case GUEST_LOGIN:
	case GUEST_AT_DOOR:
	case GUEST_LEARNING:
	case GUEST_CONSOLE:
	case GUEST_ENDING:
	default:
		return false;
	}
}

/* False: the client was ended, and its hearer with it. */
static bool send(struct guest *guest, struct span bytes)
{
	struct outbox *o = &guest->worker->to_client;
	struct piece piece = { bytes.at, bytes.length };

	if (bytes.length == 0 || !guest->stream)
		return true;
	if (outbox_is_for(o, guest->stream))
		outbox_copy(o, bytes.at, bytes.length);
	else if (!stream_write(guest->stream, &piece, 1))
		guest_end(guest, NULL, "out of memory");
	return guest->state != GUEST_ENDING;
}

/* What was lost is told, never passed over in silence. False: memory refused. */
static bool warn(struct hearer *hearer, struct buf *out)
{
	struct writer w = writer_to(out);
	char message[160], when[40];
	struct complaint complaint = { .severity = SEVERITY_WARNING, .sqlstate = SQLSTATE_WARNING, .message = message };

	if (hearer->hearing->dropped > 0) {
		text_format(message, sizeof message, "%llu notifications were dropped",
			(unsigned long long)hearer->hearing->dropped);
		complaint.detail = hearer->crowded
			? "They came while this client did not read, or in a transaction of its own, "
			  "and more waited for all clients than the pooler keeps (listen_queue_max)."
			: "They came while this client did not read, or in a transaction of its own, "
			  "and more waited for it than the pooler keeps.";
		message_complaint(&w, &complaint);
		hearer->hearing->dropped = hearer->dropped_before = 0;
		hearer->crowded = false;
	}
	if (hearer->missed) {
		text_format(message, sizeof message, "notifications may have been missed since %s",
			clock_text(hearer->missed, true, when));
		complaint.detail = hearer->moved
			? "The pooler's configuration has led this database to another place meanwhile."
			: "The pooler's listening connection to PostgreSQL was lost.";
		complaint.hint = hearer_is_stranded(hearer)
			? "No connection is shared there: the next statement goes on listening."
			: NULL;
		message_complaint(&w, &complaint);
		hearer->missed = 0;
		hearer->moved = false;
	}
	return writer_ok(&w);
}

static void flush(struct hearer *hearer, bool ready)
{
	struct guest *guest = hearer->guest;
	struct buf out = { 0 };
	bool ok = hearing_write(
		hearer->hearing, guest->channel ? guest->channel->process_id : 0, guest_process_id(guest), &out);
	struct writer w;

	ok = warn(hearer, &out) && ok;
	w = writer_to(&out);
	if (ready)
		message_ready(&w, 'I');
	if (!ok || !writer_ok(&w)) {
		guest_end(guest, NULL, "out of memory");
	} else if (send(guest, buf_span(&out))) {
		hearer->unread += out.length;
		hearer_count(hearer);
	}
	buf_fini(&out);
}

void hearer_say(struct hearer *hearer)
{
	struct guest *guest = hearer->guest;
	bool ready = hearer->hearing->ready_owed;

	hearer->hearing->ready_owed = false;
	flush(hearer, ready);
	if (guest->channel)
		remains_let_go(guest->channel);
}

/* What waits goes out, if it may. */
static void speak(struct guest *guest)
{
	struct hearer *hearer = guest->hearer;

	if (hearer && hearer_may_speak(guest) &&
		(!hearing_is_empty(hearer->hearing) || hearer->hearing->dropped || hearer->missed))
		flush(hearer, false);
}

void hearer_warn(struct hearer *hearer, time_us since, bool moved)
{
	if (!hearer->missed)
		hearer->missed = since;
	hearer->moved = hearer->moved || moved;
	speak(hearer->guest);
}

void hearer_returned(struct guest *guest)
{
	if (guest->hearer)
		hearer_follow(guest);
	speak(guest);
}

void hearer_room(struct guest *guest)
{
	if (!guest->hearer)
		return;
	hearer_count(guest->hearer);
	if (guest->hearer->hearing->dropped > 0)
		speak(guest);
}

/* Its bytes mean one thing in one encoding and another in the next. */
static bool can_read(const struct hearer *hearer, struct span message)
{
	const char *encoding = params_get(hearer->guest->reported, span_text("client_encoding"));

	/* Behind the header and the process id. */
	return !encoding || strcmp(encoding, hearer->encoding) == 0 || span_is_ascii(span_skip(message, 9));
}

static void deliver(struct hearer *hearer, struct span message)
{
	struct guest *guest = hearer->guest;
	struct hearing *h = hearer->hearing;
	size_t queued = guest->stream ? stream_queued(guest->stream) : 0;

	if (!can_read(hearer, message)) {
		h->dropped++;
		return;
	}
	if (h->state != HEARING_SHARED || !hearing_is_empty(h) || !hearer_may_speak(guest)) {
		hearer_bound(hearer);
		hearing_hold(h, message, guest->channel ? guest->channel->process_id : 0);
		hearer_count(hearer);
		return;
	}
	if (queued + message.length > HEARING_BYTES_MAX || (queued > 0 && h->dropped > 0)) {
		h->dropped++;
		return;
	}
	if (queued > 0 && message.length > hearer_queue_left(guest->worker)) {
		h->dropped++;
		hearer->crowded = true;
		return;
	}
	if (h->dropped > 0 || hearer->missed)
		flush(hearer, false);
	if (guest->state == GUEST_ENDING)
		return;
	if (!send(guest, message))
		return;
	hearer->unread += message.length;
	hearer_count(hearer);
}

/* ---- what the ear says ---- */

static void take_note(struct worker *worker, const struct letter_heard *letter)
{
	struct board *board = board_of(worker, letter->ear);
	struct span message = span_of(letter->bytes, letter->length), name, payload;
	struct topic_here *topic;
	struct seat *seat, *next;
	uint32_t process;

	check(message_read_notification(span_skip(message, FRAME_HEADER), &process, &name, &payload));
	topic = board ? find(board, name) : NULL;
	for (seat = topic ? topic->seats : NULL; seat; seat = next) {
		next = seat->next;
		if (seat->awake)
			deliver(seat->hearer, message);
	}
}

/* It hears. If it was away, whoever hears through it must know; and who could not share it may try again. */
static void take_back(struct worker *worker, const struct letter_heard *letter)
{
	struct guest *guest;
	uint32_t slot = 0;

	while ((guest = slots_next(&worker->guests, &slot))) {
		struct hearer *hearer = guest->hearer;

		if (!hearer || hearer->ear != letter->ear || !hearer->can_share)
			continue;
		if (hearer->moving)
			continue; /* it will be told itself */
		/* Behind its mark the ear alone hears for it, though its server has not said that one yet. */
		if (letter->missed && (hearer->hearing->shared.count > 0 || hearer->hearing->marked_by_ear)) {
			hearer_warn(hearer, letter->missed, false);
		} else if (hearer->hearing->state == HEARING_DIRECT && guest->channel) {
			hearer->hearing->changed = true;
			channel_settle(guest->channel);
		} else if (hearer->hearing->state == HEARING_FAILS) {
			/* It tries again when its server has said what the ear may have said before. */
			hearer->hearing->changed = true;
		}
	}
}

/* All that was sent before is here. */
static void take_done(struct hearer *hearer)
{
	struct channel *channel = hearer->guest->channel;

	hearer->hearing->state = HEARING_PASSED;
	if (hearer->opening) {
		hearer_opened(hearer);
		return;
	}
	/* The one or the other goes on now: a ReadyForQuery that was not taken, or what is found out about LISTEN. */
	stream_resume(channel->stream);
	channel_settle(channel);
}

void hearers_take(struct worker *worker, const struct letter_heard *letter)
{
	struct guest *guest = slots_get(&worker->guests, letter->asker.client);
	struct hearer *hearer = guest && letter->token ? guest->hearer : NULL;
	bool meant = hearer && hearer->hearing->token == letter->token && guest->channel;

	switch (letter->word) {
	case EAR_NOTE:
		take_note(worker, letter);
		break;
	case EAR_MARKED:
		if (!meant || hearer->hearing->state != HEARING_MOVES)
			break;
		hearer->hearing->marked_by_ear = true;
		hearer_wake(hearer, NULL);
		channel_settle(guest->channel);
		break;
	case EAR_DONE:
		if (meant && hearer->hearing->state == HEARING_WAITS)
			take_done(hearer);
		break;
	case EAR_FAILED:
		if (!meant || hearer->hearing->state != HEARING_MOVES)
			break;
		hearer_fail(hearer, letter->missed);
		if (guest->channel)
			channel_settle(guest->channel);
		break;
	case EAR_MOVED:
	case EAR_REFUSED:
		if (guest && guest->hearer && guest->hearer->ear == letter->ear)
			hearer_take_moved(guest->hearer, letter);
		break;
	case EAR_BACK:
		take_back(worker, letter);
		break;
	}
	if (meant)
		guest_go_on(guest);
}

void hearers_fini(struct worker *worker)
{
	free(worker->boards); /* every client has left its seats */
	worker->boards = NULL;
}
