/* The functions of src/io/{clock,loop,thread,file}.h over the simulated world. Linked in place of src/io, so that what is tested is
 * the real worker, with nothing in it that knows.
 *
 * What the kernel and src/io/stream.c leave open is drawn from the seed: the order of streams in a turn, how much one read finds, how
 * much one write takes. Bytes are handed out in a block of exactly their size that is freed at the next loop_next, so that the address
 * sanitizer sees who looks too far or too long.
 *
 * Here are loops and streams; listeners are in fakelisten.c, mail and names in fakemail.c, the rest of a machine in fakemachine.c, TLS in
 * faketls.c.
 *
 * There are no threads: one turn of one worker is one happening, and a lock is a check that nobody holds it. */
#include "fakeio_parts.h"

#include <errno.h>

#include "base/check.h"

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

loop_wakes *fakeio_wakes;
static loop_wakes *fakeio_between;
size_t fakeio_objects;

/* ---- loops ---- */

enum loop_engine loop_engine(const struct loop *loop)
{
	return ENGINE_EPOLL;
}

struct loop *loop_new(enum loop_engine engine)
{
	struct loop *loop = mine_new(sizeof *loop);

	loop->accepted_last = &loop->accepted;
	fakeio_objects++;
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
	fakeio_objects--;
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
		fakeio_wakes(s->loop);
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
	if (loop->order_at < loop->order_count)
		fakeio_between(loop);
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
	fakeio_objects++;
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
	fakeio_objects--;
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
	fakeio_objects--;
	mine_free(parcel);
	if (pending(s) != NOTHING)
		fakeio_wakes(loop);
	return s;
}

/* Freed when the loop sleeps: it may stand in this turn's order. */
static void forget(struct stream *s)
{
	s->state = DEAD;
	s->end = NULL;
	fakeio_objects--;
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
	fakeio_objects++;
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
		fakeio_wakes(loop);
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
		fakeio_wakes(s->loop);
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

/* ---- beginning and end ---- */

void fakeio_begin(loop_wakes *how, loop_wakes *in_turn)
{
	fakeio_wakes = how;
	fakeio_between = in_turn;
	fakeio_objects = 0;
	fakeio_names_begin();
}

void fakeio_end(void)
{
	while (farewells) {
		struct farewell *f = farewells;

		farewells = f->next;
		bytes_free(&f->unsent);
		mine_free(f);
	}
	if (fakeio_objects > 0)
		broken("everything is freed at the end", "%zu streams, parcels, mailboxes or locks are left",
			fakeio_objects);
}
