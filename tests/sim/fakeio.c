/* The functions of src/io/{clock,loop,thread,file}.h over the simulated world. Linked in place of src/io, so that what is tested is
 * the real worker, with nothing in it that knows.
 *
 * What the kernel and src/io/stream.c leave open is drawn from the seed: the order of streams in a turn, how much one read finds, how
 * much one write takes. Bytes are handed out in a block of exactly their size that is freed at the next loop_next, so that the address
 * sanitizer sees who looks too far or too long.
 *
 * There are no threads: one turn of one worker is one happening, and a lock is a check that nobody holds it. */
#include "fakeio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "io/interfaces.h"
#include "io/vouch.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/thread.h"
#include "io/visitors.h"

enum stream_state { DIALING, OPEN, ENDED, DEAD };

struct stream {
	struct loop *loop;
	struct stream *next;
	struct end *end;
	void *owner;
	struct address peer;
	enum stream_state state;
	struct bytes unread, unsent;
	bool paused, again, room_said_due, hangup_said, shut_asked;
	uint64_t served; /* the turn in which it had bytes */
};

struct parcel {
	struct end *end;
	struct address peer;
	struct bytes unread, unsent;
	bool room_said_due, hangup_said, shut_asked;
	struct listener *listener;
	struct parcel *next;
};

struct loop {
	struct stream *streams, *grave;
	struct parcel *accepted, **accepted_last;
	struct mailbox *mailbox;
	uint64_t turn;
	uint8_t *lent;
	struct stream **order; /* of this turn */
	size_t order_count, order_at, order_capacity;
};

struct mailbox {
	struct loop *loop;
	struct letter *first, **last;
	size_t length;
};

struct listener {
	struct address address;
	struct loop *watchers[16];
	size_t watcher_count;
	struct parcel *backlog, **backlog_last; /* those that nobody accepts: they wait with the kernel */
};

static loop_wakes *wakes;
static size_t objects; /* loops, streams, parcels, mailboxes, listeners, locks that exist */
static unsigned resolver_failures;

/* ---- clock and chance ---- */

time_us clock_now(void)
{
	return world.now;
}

time_us clock_worked(void)
{
	return 0;
}

time_us clock_wall(void)
{
	return world.now + 1700000000 * SECOND_US;
}

char *clock_text(time_us wall, bool milliseconds, char out[40])
{
	snprintf(out, 40, milliseconds ? "%lld.%03lld sim" : "%lld sim", (long long)(wall / SECOND_US),
		(long long)(wall / 1000 % 1000));
	return out;
}

void entropy_fill(void *at, size_t n)
{
	rng_fill(&world.rng, at, n);
}

/* ---- locks ---- */

struct lock {
	bool held;
};

struct lock *lock_new(void)
{
	objects++;
	return mine_new(sizeof(struct lock));
}

void lock_free(struct lock *lock)
{
	if (!lock)
		return;
	check(!lock->held);
	objects--;
	mine_free(lock);
}

void lock_take(struct lock *lock)
{
	check(!lock->held);
	lock->held = true;
}

void lock_drop(struct lock *lock)
{
	check(lock->held);
	lock->held = false;
}

/* ---- files ---- */

bool user_name(uint32_t user, char *out, size_t size)
{
	(void)user;
	text_copy(out, size, "somebody");
	return true;
}

uint32_t process_user(void)
{
	return 1000;
}

uint32_t process_id(void)
{
	return 4711;
}

/* ---- addresses ---- */

uint32_t address_number(const struct address *a)
{
	return (uint32_t)a->ip[0] << 24 | (uint32_t)a->ip[1] << 16 | (uint32_t)a->ip[2] << 8 | a->ip[3];
}

void address_of_number(uint32_t host, uint16_t port, struct address *out)
{
	*out = (struct address){ .family = ADDRESS_IPV4, .port = port };
	out->ip[0] = (uint8_t)(host >> 24);
	out->ip[1] = (uint8_t)(host >> 16);
	out->ip[2] = (uint8_t)(host >> 8);
	out->ip[3] = (uint8_t)host;
}

/* ---- loops ---- */

enum loop_engine loop_engine(const struct loop *loop)
{
	return ENGINE_EPOLL;
}

struct loop *loop_new(enum loop_engine engine)
{
	struct loop *loop = mine_new(sizeof *loop);

	loop->accepted_last = &loop->accepted;
	objects++;
	return loop;
}

static void empty_grave(struct loop *loop)
{
	while (loop->grave) {
		struct stream *s = loop->grave;

		loop->grave = s->next;
		mine_free(s);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->streams) {
		struct stream *s = loop->streams;

		if (s->state == DEAD)
			loop->streams = s->next, mine_free(s);
		else
			stream_close(&s);
	}
	empty_grave(loop);
	while (loop->accepted) {
		struct parcel *parcel = loop->accepted;

		loop->accepted = parcel->next;
		parcel_free(&parcel);
	}
	mine_free(loop->lent);
	mine_free(loop->order);
	objects--;
	mine_free(loop);
}

/* What `s` has to say now; nothing else may change. */
enum pending { NOTHING, SAYS_CONNECTED, SAYS_BYTES, SAYS_ROOM, SAYS_HANGUP, SAYS_ENDED };

static bool is_broken(const struct end *e)
{
	return e->error != 0 || e->wire->pipes[e->side].fin_arrived;
}

static enum pending pending(const struct stream *s)
{
	if (s->state == DIALING)
		return s->end->error ? SAYS_ENDED : s->end->open ? SAYS_CONNECTED : NOTHING;
	if (s->state != OPEN)
		return NOTHING;
	if (!s->paused && (end_readable(s->end) > 0 || s->again))
		return SAYS_BYTES;
	if (s->room_said_due || (s->unsent.length > 0 && (end_room(s->end) > 0 || s->end->error)))
		return SAYS_ROOM;
	if (s->paused)
		return is_broken(s->end) && !s->hangup_said ? SAYS_HANGUP : NOTHING;
	return end_is_over(s->end) ? SAYS_ENDED : NOTHING;
}

bool loop_has_more(const struct loop *loop)
{
	if (loop->accepted || (loop->mailbox && loop->mailbox->first))
		return true;
	for (const struct stream *s = loop->streams; s; s = s->next)
		if (pending(s) != NOTHING)
			return true;
	return false;
}

bool stream_is_broken(const struct stream *s)
{
	return s->state == ENDED || (s->end && s->end->error != 0);
}

static void stream_wakes(struct end *e)
{
	struct stream *s = e->owner;

	if (pending(s) != NOTHING)
		wakes(s->loop);
}

void loop_wait(struct loop *loop, time_us deadline)
{
	struct stream **at, *s;
	size_t i, j;

	(void)deadline; /* the simulator gives a turn when it is due */
	loop->turn++;
	loop->order_count = loop->order_at = 0;
	empty_grave(loop);
	for (at = &loop->streams; (s = *at);) {
		if (s->state == DEAD) {
			*at = s->next;
			mine_free(s);
			continue;
		}
		if (loop->order_count == loop->order_capacity) {
			loop->order_capacity = loop->order_capacity ? loop->order_capacity * 2 : 16;
			loop->order = mine_grow(loop->order, loop->order_capacity * sizeof *loop->order);
		}
		if (pending(s) != NOTHING)
			loop->order[loop->order_count++] = s;
		at = &s->next;
	}
	for (i = loop->order_count; i > 1; i--) {
		j = pick(i);
		s = loop->order[i - 1];
		loop->order[i - 1] = loop->order[j];
		loop->order[j] = s;
	}
}

static void push_unsent(struct stream *s)
{
	size_t n;

	if (s->unsent.length == 0)
		return;
	if (s->end->error) {
		bytes_take(&s->unsent, s->unsent.length); /* swallowed; its end is told when it is not paused */
		s->room_said_due = true;
		return;
	}
	n = end_write(s->end, s->unsent.at + s->unsent.start, s->unsent.length);
	bytes_take(&s->unsent, n);
	if (s->unsent.length == 0) {
		s->room_said_due = true;
		if (s->shut_asked)
			end_shut(s->end);
	}
}

static void hand_out_bytes(struct stream *s, struct completion *out)
{
	struct loop *loop = s->loop;
	size_t ready = end_readable(s->end), n = ready < LOOP_READ ? ready : LOOP_READ;

	if (n > 1 && chance(world.trouble.short_read))
		n = 1 + pick(n - 1);
	end_read(s->end, &s->unread, n);
	s->again = false;
	s->served = loop->turn;
	loop->lent = mine_grow(NULL, s->unread.length ? s->unread.length : 1);
	memcpy(loop->lent, s->unread.at + s->unread.start, s->unread.length);
	out->bytes = span_of(loop->lent, s->unread.length);
}

static bool say(struct stream *s, struct completion *out)
{
	enum pending what = pending(s);

	/* It had its bytes: what else comes of that waits for the next turn. */
	if (what == SAYS_BYTES && s->served == s->loop->turn)
		return false;
	*out = (struct completion){ .stream = s, .owner = s->owner };
	switch (what) {
	case NOTHING:
		return false;
	case SAYS_CONNECTED:
		s->state = OPEN;
		out->kind = DONE_CONNECTED;
		return true;
	case SAYS_BYTES:
		out->kind = DONE_BYTES;
		hand_out_bytes(s, out);
		return true;
	case SAYS_ROOM:
		push_unsent(s);
		if (!s->room_said_due)
			return false;
		s->room_said_due = false;
		out->kind = DONE_ROOM;
		return true;
	case SAYS_HANGUP:
		s->hangup_said = true;
		out->kind = DONE_HANGUP;
		return true;
	case SAYS_ENDED:
		s->state = ENDED;
		out->kind = DONE_ENDED;
		out->error = s->end->error;
		return true;
	}
	return false;
}

bool loop_next(struct loop *loop, struct completion *out)
{
	mine_free(loop->lent);
	loop->lent = NULL;
	if (loop->accepted) {
		struct parcel *parcel = loop->accepted;

		loop->accepted = parcel->next;
		if (!loop->accepted)
			loop->accepted_last = &loop->accepted;
		parcel->next = NULL;
		*out = (struct completion){ .kind = DONE_ACCEPTED, .parcel = parcel, .listener = parcel->listener };
		return true;
	}
	while (loop->order_at < loop->order_count) {
		struct stream *s = loop->order[loop->order_at];

		if (s->state != DEAD && say(s, out))
			return true;
		loop->order_at++;
	}
	return false;
}

bool loop_signals(struct loop *loop)
{
	(void)loop;
	return true;
}

/* ---- streams ---- */

static struct stream *stream_new(struct loop *loop, void *owner)
{
	struct stream *s = mine_new(sizeof *s);

	s->loop = loop;
	s->owner = owner;
	s->next = loop->streams;
	loop->streams = s;
	objects++;
	return s;
}

static bool memory_refused(void)
{
	if (!world.in_house || !world.memory || pick(1000000) >= world.trouble.refuse_memory)
		return false;
	world.refused++;
	errno = ENOMEM;
	return true;
}

struct stream *stream_dial(struct loop *loop, const struct address *to, const struct stream_options *o, void *owner)
{
	struct stream *s;

	(void)o;
	if (memory_refused())
		return NULL;
	check(to->family == ADDRESS_IPV4);
	s = stream_new(loop, owner);
	s->peer = *to;
	s->end = wire_dial(address_number(to), to->port, stream_wakes, s);
	s->end->wire->to_postgres = true;
	return s;
}

void parcel_free(struct parcel **at)
{
	struct parcel *parcel = *at;

	*at = NULL;
	if (!parcel)
		return;
	if (parcel->unread.length > 0)
		end_reset(parcel->end);
	else
		end_close(parcel->end);
	bytes_free(&parcel->unread);
	bytes_free(&parcel->unsent);
	objects--;
	mine_free(parcel);
}

/* Nobody asks by HTTP here. */
bool parcel_pair(struct parcel *pair[2])
{
	pair[0] = pair[1] = NULL;
	return false;
}

const struct address *parcel_peer(const struct parcel *parcel)
{
	return &parcel->peer;
}

struct stream *stream_attach(struct loop *loop, struct parcel **at, const struct stream_options *o, void *owner)
{
	struct parcel *parcel = *at;
	struct stream *s;

	(void)o;
	if (memory_refused()) {
		parcel_free(at);
		return NULL;
	}
	*at = NULL;
	s = stream_new(loop, owner);
	s->state = OPEN;
	s->end = parcel->end;
	s->peer = parcel->peer;
	s->unread = parcel->unread;
	s->unsent = parcel->unsent;
	s->again = s->unread.length > 0;
	s->room_said_due = parcel->room_said_due;
	s->shut_asked = parcel->shut_asked;
	s->end->wakes = stream_wakes;
	s->end->owner = s;
	objects--;
	mine_free(parcel);
	if (pending(s) != NOTHING)
		wakes(loop);
	return s;
}

/* Freed when the loop sleeps: it may stand in this turn's order. */
static void forget(struct stream *s)
{
	s->state = DEAD;
	s->end = NULL;
	objects--;
}

struct parcel *stream_detach(struct stream **at)
{
	struct stream *s = *at;
	struct parcel *parcel;

	check(s->state == OPEN);
	if (memory_refused())
		return NULL;
	*at = NULL;
	parcel = mine_new(sizeof *parcel);
	*parcel = (struct parcel){
		.end = s->end,
		.peer = s->peer,
		.unread = s->unread,
		.unsent = s->unsent,
		.room_said_due = s->room_said_due,
		.shut_asked = s->shut_asked,
	};
	parcel->end->wakes = NULL;
	objects++;
	forget(s);
	return parcel;
}

void stream_set_owner(struct stream *s, void *owner)
{
	s->owner = owner;
}

void *stream_owner(const struct stream *s)
{
	return s->owner;
}

/* This memory is nobody's to look at. */
void stream_guard(struct stream *s, bool on)
{
	(void)s;
	(void)on;
}

/* Links that are cut say so by themselves here. */
time_us stream_silence(struct stream *s)
{
	(void)s;
	return 0;
}

void loop_ask(struct loop *loop)
{
	(void)loop;
}

struct stream *loop_ask_next(struct loop *loop)
{
	(void)loop;
	return NULL;
}

size_t stream_size(const struct loop *loop)
{
	return sizeof(struct stream);
}

const struct address *stream_peer(const struct stream *s)
{
	return &s->peer;
}

const struct address *stream_local(const struct stream *s)
{
	static struct address local;

	(void)s;
	address_of_number(0x0a000009, 6432, &local);
	return &local;
}

void stream_consume(struct stream *s, size_t n)
{
	bytes_take(&s->unread, n);
}

size_t stream_unread(const struct stream *s)
{
	return s->unread.length + (s->state == OPEN ? end_readable(s->end) : 0);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
}

void stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	s->again = s->unread.length > 0;
	if (pending(s) != NOTHING) {
		struct loop *loop = s->loop;

		/* In this turn, unless it had bytes already. */
		if (s->served != loop->turn && world.in_house) {
			if (loop->order_count == loop->order_capacity) {
				loop->order_capacity = loop->order_capacity ? loop->order_capacity * 2 : 16;
				loop->order = mine_grow(loop->order, loop->order_capacity * sizeof *loop->order);
			}
			loop->order[loop->order_count++] = s;
		}
		wakes(loop);
	}
}

bool stream_is_paused(const struct stream *s)
{
	return s->paused;
}

bool stream_write(struct stream *s, const struct piece *pieces, size_t count)
{
	size_t i, n;

	check(s->state == OPEN || s->state == ENDED);
	for (i = 0; i < count; i++) {
		const uint8_t *at = pieces[i].at;
		size_t left = pieces[i].length;

		world.bytes_out += left;
		if (s->state == ENDED || s->end->error || s->shut_asked)
			continue;
		if (s->unsent.length == 0) {
			n = left;
			if (n > 1 && chance(world.trouble.short_write))
				n = 1 + pick(n - 1);
			n = end_write(s->end, at, n);
			at += n;
			left -= n;
		}
		if (left > 0 && memory_refused())
			return false;
		bytes_add(&s->unsent, at, left);
	}
	/* A short write that the window did not cause: there is room at once. */
	if (s->state == OPEN && pending(s) != NOTHING)
		wakes(s->loop);
	return true;
}

size_t stream_queued(const struct stream *s)
{
	return s->unsent.length;
}

void stream_close(struct stream **at)
{
	struct stream *s = *at;

	*at = NULL;
	if (!s)
		return;
	check(s->state != DEAD);
	if (s->unread.length > 0 && !s->end->error)
		end_reset(s->end);
	else
		end_close(s->end);
	bytes_free(&s->unread);
	bytes_free(&s->unsent);
	forget(s);
}

/* A stream that says its last words: nobody hears of it any more. */
struct farewell {
	struct end *end;
	struct bytes unsent;
	struct farewell *next;
	bool over;
};
static struct farewell *farewells;

static void farewell_over(struct farewell *f)
{
	if (f->over)
		return;
	f->over = true;
	end_close(f->end);
	bytes_free(&f->unsent);
}

static void farewell_wakes(struct end *e)
{
	struct farewell *f = e->owner;

	if (f->over)
		return;
	end_read(e, NULL, SIZE_MAX);
	if (e->error) {
		farewell_over(f);
		return;
	}
	if (f->unsent.length > 0)
		bytes_take(&f->unsent, end_write(e, f->unsent.at + f->unsent.start, f->unsent.length));
	if (f->unsent.length == 0 && !e->shut)
		end_shut(e);
	if (end_is_over(e))
		farewell_over(f);
}

static void farewell_limit(void *who, uint64_t what)
{
	(void)what;
	farewell_over(who);
}

void stream_finish(struct stream **at, time_us limit)
{
	struct stream *s = *at;
	struct farewell *f;

	*at = NULL;
	if (!s)
		return;
	if (s->state == DIALING || s->state == ENDED) {
		stream_close(&s);
		return;
	}
	f = mine_new(sizeof *f);
	f->end = s->end;
	f->unsent = s->unsent;
	f->next = farewells;
	farewells = f;
	f->end->owner = f;
	f->end->wakes = farewell_wakes;
	world_after(limit, farewell_limit, f, 0);
	bytes_free(&s->unread);
	forget(s);
	farewell_wakes(f->end);
}

void stream_shut(struct stream *s)
{
	s->shut_asked = true;
	if (s->unsent.length == 0 && s->state == OPEN)
		end_shut(s->end);
}

/* ---- listeners ---- */

static void hand_out(struct parcel *parcel, struct loop *loop)
{
	*loop->accepted_last = parcel;
	loop->accepted_last = &parcel->next;
	wakes(loop);
}

/* Most clients are of one host, few of two others. The port tells the wire. */
void fakeio_address(const struct wire *wire, struct address *out)
{
	address_of_number(0x0a010000 + (wire->number % 8 < 6 ? 1 : wire->number % 8),
		(uint16_t)(1024 + wire->number % 60000), out);
}

static bool client_arrives(void *who, struct end *e)
{
	struct listener *listener = who;
	struct parcel *parcel = mine_new(sizeof *parcel);

	objects++;
	parcel->end = e;
	parcel->listener = listener;
	fakeio_address(e->wire, &parcel->peer);
	if (listener->watcher_count > 0) {
		hand_out(parcel, listener->watchers[pick(listener->watcher_count)]);
		return true;
	}
	*listener->backlog_last = parcel;
	listener->backlog_last = &parcel->next;
	return true;
}

/* Nobody hands over sockets here. */
struct listener *listener_inherit(int fd, uint16_t port, const struct listen_setup *setup, char *error, size_t size)
{
	(void)fd;
	(void)port;
	(void)setup;
	(void)error;
	(void)size;
	return NULL;
}

bool listener_send(const struct listener *listener, struct stream *stream, struct span bytes)
{
	(void)listener;
	(void)stream;
	(void)bytes;
	return false;
}

int listener_descriptor(const struct listener *listener)
{
	(void)listener;
	return -1;
}

void listener_own_file(struct listener *listener, bool ours)
{
	(void)listener;
	(void)ours;
}

struct listener *listener_open(const struct address *at, const struct listen_setup *setup, char *error, size_t size)
{
	struct listener *listener = mine_new(sizeof *listener);

	(void)setup;
	(void)error;
	(void)size;
	objects++;
	listener->address = *at;
	listener->backlog_last = &listener->backlog;
	world_listen(address_number(at), at->port, client_arrives, listener);
	return listener;
}

const struct address *listener_address(const struct listener *listener)
{
	return &listener->address;
}

void listener_defer(struct listener *listener, bool defer)
{
	(void)listener;
	(void)defer;
}

static struct parcel *take_waiting(struct listener *listener)
{
	struct parcel *parcel = listener->backlog;

	if (!parcel)
		return NULL;
	listener->backlog = parcel->next;
	if (!listener->backlog)
		listener->backlog_last = &listener->backlog;
	parcel->next = NULL;
	return parcel;
}

bool listener_watch(struct listener *listener, struct loop *loop)
{
	check(listener->watcher_count < sizeof listener->watchers / sizeof *listener->watchers);
	listener_unwatch(listener, loop);
	listener->watchers[listener->watcher_count++] = loop;
	for (struct parcel *parcel; (parcel = take_waiting(listener));)
		hand_out(parcel, loop);
	return true;
}

void listener_unwatch(struct listener *listener, struct loop *loop)
{
	size_t i, to = 0;

	for (i = 0; i < listener->watcher_count; i++)
		if (listener->watchers[i] != loop)
			listener->watchers[to++] = listener->watchers[i];
	listener->watcher_count = to;
}

void listener_close(struct listener **at)
{
	if (!*at)
		return;
	world_unlisten(*at);
	for (struct parcel *parcel; (parcel = take_waiting(*at));)
		parcel_free(&parcel);
	objects--;
	mine_free(*at);
	*at = NULL;
}

/* ---- mail ---- */

struct mailbox *mailbox_new(struct loop *loop)
{
	struct mailbox *box = mine_new(sizeof *box);

	box->loop = loop;
	box->last = &box->first;
	loop->mailbox = box;
	objects++;
	return box;
}

void mailbox_free(struct mailbox *box)
{
	if (!box)
		return;
	check(!box->first);
	objects--;
	mine_free(box);
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
	letter->next = NULL;
	*box->last = letter;
	box->last = &letter->next;
	box->length++;
	wakes(box->loop);
}

struct letter *mailbox_take(struct mailbox *box)
{
	struct letter *letter = box->first;

	if (!letter)
		return NULL;
	box->first = letter->next;
	if (!box->first)
		box->last = &box->first;
	box->length--;
	return letter;
}

size_t mailbox_length(const struct mailbox *box)
{
	return box->length;
}

/* ---- names ---- */

static struct resolve_letter *asked[256];
static size_t asked_count;

void fakeio_set_resolver(unsigned failures)
{
	resolver_failures = failures;
}

size_t fakeio_unanswered(void)
{
	return asked_count;
}

static void answer(struct resolve_letter *letter, bool found)
{
	letter->count = 0;
	if (found) {
		/* The first of several addresses is dead now and then: the next must be tried. */
		if (chance(300))
			address_of_number(0x0a0000fe, letter->port, &letter->addresses[letter->count++]);
		address_of_number(0x0a000001, letter->port, &letter->addresses[letter->count++]);
	} else {
		text_copy(letter->problem, sizeof letter->problem, "Name or service not known");
	}
	mailbox_post(letter->to, &letter->letter);
}

static void answer_arrives(void *who, uint64_t what)
{
	size_t i;

	for (i = 0; i < asked_count; i++) {
		if (asked[i] != who)
			continue;
		asked[i] = asked[--asked_count];
		answer(who, what != 0);
		return;
	}
}

void resolve(struct resolve_letter *letter)
{
	bool fails = chance(resolver_failures);

	check(asked_count < sizeof asked / sizeof *asked);
	asked[asked_count++] = letter;
	world.server_faults += fails;
	world_after(between(100, 200 * MILLISECOND_US), answer_arrives, letter, !fails);
}

void resolver_configure(const struct resolver_setup *setup)
{
	(void)setup;
}

void resolver_tell(struct resolver_facts *out)
{
	*out = (struct resolver_facts){ .pending = (uint32_t)asked_count };
}

void resolver_stop(void)
{
	while (asked_count > 0)
		answer(asked[--asked_count], false);
}

/* The simulated machine has no interfaces. */
void interfaces_compare(const struct address *address, bool *host, bool *net)
{
	(void)address;
	*host = *net = false;
}

/* Nobody in the simulator asks PAM or a directory. */
void vouch(struct vouch_letter **letter)
{
	check(false);
	(void)letter;
}

void vouch_letter_free(struct vouch_letter **letter)
{
	free(*letter);
	*letter = NULL;
}

/* ---- beginning and end ---- */

void fakeio_begin(loop_wakes *how)
{
	wakes = how;
	objects = 0;
	asked_count = 0;
	resolver_failures = 0;
}

void fakeio_end(void)
{
	while (farewells) {
		struct farewell *f = farewells;

		farewells = f->next;
		bytes_free(&f->unsent);
		mine_free(f);
	}
	if (objects > 0)
		broken("everything is freed at the end", "%zu streams, parcels, mailboxes or locks are left", objects);
}

bool process_words(uint32_t process, char *out, size_t size)
{
	(void)process;
	(void)out;
	(void)size;
	return false;
}

void processes_of_peers(struct process_peer *peers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		peers[i].process = 0;
		peers[i].user = UINT32_MAX;
	}
}

bool process_look(uint32_t process, const uint8_t *ip, bool six, uint16_t port, struct process_look *out)
{
	(void)process;
	(void)ip;
	(void)six;
	(void)port;
	*out = (struct process_look){ 0 };
	return false;
}

void visitors_look(struct visited *visited, size_t count)
{
	for (size_t i = 0; i < count; i++)
		visited[i].known = false;
}

size_t process_threads(uint32_t process, struct process_thread *out, size_t capacity)
{
	(void)process;
	(void)out;
	(void)capacity;
	return 0;
}

uint32_t process_parent(uint32_t process)
{
	(void)process;
	return 0;
}
