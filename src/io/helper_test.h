#ifndef PGWEIR_IO_HELPER_TEST_H
#define PGWEIR_IO_HELPER_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/private.h"

/* What the tests of this folder share: an owner of streams that writes down what it is told, a door (listener) in the same
 * loop, and raw sockets of the kernel's for the other side, so that a test can be slow, rude or gone. */

/* Each test program of loops and streams is built for each engine. */
#ifndef TEST_ENGINE
#define TEST_ENGINE ENGINE_EPOLL
#endif

static inline struct loop *test_loop(void)
{
	struct loop *loop = loop_new(TEST_ENGINE);

	if (!loop && TEST_ENGINE == ENGINE_IO_URING && (errno == ENOSYS || errno == EPERM || errno == EINVAL))
		skip(); /* forbidden here, or too old a kernel */
	assert_non_null(loop);
	return loop;
}

struct owner {
	struct stream *stream;
	struct buf got;
	unsigned connected, deliveries, rooms, hangups, ended;
	int error;
	size_t appetite;    /* consume at most so many of each delivery */
	size_t last_length; /* of the last delivery, before consuming */
	bool pause_on_bytes, close_on_bytes;
};

struct world {
	struct loop *loop;
	struct listener *door;
	struct owner *newcomers[256]; /* whom the next accepted connections belong to, in order */
	unsigned expected, arrived;
	unsigned long turns;
};

static inline void owner_init(struct owner *o)
{
	*o = (struct owner){ .appetite = SIZE_MAX };
}

static inline void owner_fini(struct owner *o)
{
	stream_close(&o->stream);
	buf_fini(&o->got);
}

static inline void owner_take(struct owner *o, const struct completion *done)
{
	assert_ptr_equal(done->stream, o->stream);
	assert_int_equal(o->ended, 0);
	switch (done->kind) {
	case DONE_CONNECTED:
		o->connected++;
		break;
	case DONE_BYTES: {
		size_t eaten = done->bytes.length < o->appetite ? done->bytes.length : o->appetite;

		assert_false(stream_is_paused(o->stream));
		assert_true(done->bytes.length > 0);
		assert_int_equal(stream_unread(o->stream), done->bytes.length);
		o->deliveries++;
		o->last_length = done->bytes.length;
		assert_true(buf_add(&o->got, done->bytes.at, eaten));
		stream_consume(o->stream, eaten);
		if (o->pause_on_bytes)
			stream_pause(o->stream);
		if (o->close_on_bytes)
			stream_close(&o->stream);
		break;
	}
	case DONE_ROOM:
		o->rooms++;
		assert_int_equal(stream_queued(o->stream), 0);
		break;
	case DONE_HANGUP:
		assert_true(stream_is_paused(o->stream));
		o->hangups++;
		break;
	case DONE_ENDED:
		o->ended++;
		o->error = done->error;
		break;
	default:
		fail();
	}
}

static inline void world_take(struct world *w, struct completion *done)
{
	if (done->kind == DONE_ACCEPTED) {
		struct owner *o;

		assert_true(w->arrived < w->expected);
		o = w->newcomers[w->arrived++];
		o->stream = stream_attach(w->loop, &done->parcel, NULL, o);
		assert_non_null(o->stream);
		return;
	}
	owner_take(done->owner, done);
}

static inline void world_turn(struct world *w)
{
	struct completion done;

	w->turns++;
	loop_wait(w->loop, clock_now() + 3 * MILLISECOND_US);
	while (loop_next(w->loop, &done))
		world_take(w, &done);
}

/* Turns until it holds; the test fails after ten seconds (thirty under a sanitizer's slowness). */
#define until(w, condition) \
	do { \
		time_us give_up_ = clock_now() + 30 * SECOND_US; \
		while (!(condition)) { \
			if (clock_now() > give_up_) \
				fail_msg("never came: %s", #condition); \
			world_turn(w); \
		} \
	} while (0)

static inline void some_turns(struct world *w)
{
	for (int i = 0; i < 4; i++)
		world_turn(w);
}

enum road { ROAD_IPV4, ROAD_IPV6, ROAD_UNIX, ROAD_ABSTRACT };

static inline void road_address(enum road road, struct address *out)
{
	static unsigned serial;
	char folder[80];

	switch (road) {
	case ROAD_IPV4:
		assert_true(address_parse("127.0.0.1", 0, out));
		break;
	case ROAD_IPV6:
		assert_true(address_parse("::1", 0, out));
		break;
	case ROAD_UNIX:
		text_format(folder, sizeof folder, "/tmp/pgweir-io-%u-%u", (unsigned)getpid(), serial++);
		assert_true(mkdir(folder, 0700) == 0);
		assert_true(address_unix(folder, 5432, out));
		break;
	case ROAD_ABSTRACT:
		text_format(folder, sizeof folder, "@pgweir-io-%u-%u", (unsigned)getpid(), serial++);
		assert_true(address_unix(folder, 5432, out));
		break;
	}
}

static inline void world_init(struct world *w, enum road road)
{
	struct listen_setup setup = { .backlog = 256 };
	struct address at;
	char error[256] = "";

	*w = (struct world){ .loop = test_loop() };
	assert_non_null(w->loop);
	road_address(road, &at);
	w->door = listener_open(&at, &setup, error, sizeof error);
	assert_string_equal(error, "");
	assert_non_null(w->door);
	assert_true(listener_watch(w->door, w->loop));
}

static inline void remove_folder_of(const struct address *a)
{
	char folder[sizeof a->path];
	char *slash;

	if (a->family != ADDRESS_UNIX || a->path[0] == '@')
		return;
	text_copy(folder, sizeof folder, a->path);
	slash = strrchr(folder, '/');
	*slash = 0;
	rmdir(folder);
}

static inline void world_fini(struct world *w)
{
	struct address at = *listener_address(w->door);

	listener_unwatch(w->door, w->loop);
	listener_close(&w->door);
	remove_folder_of(&at);
	loop_free(w->loop);
}

static inline void expect_newcomer(struct world *w, struct owner *o)
{
	w->newcomers[w->expected++] = o;
}

/* Two owners, joined through the door. */
static inline void join(struct world *w, struct owner *dialer, struct owner *other)
{
	owner_init(dialer);
	owner_init(other);
	expect_newcomer(w, other);
	dialer->stream = stream_dial(w->loop, listener_address(w->door), NULL, dialer);
	assert_non_null(dialer->stream);
	until(w, dialer->connected && other->stream);
}

/* A socket of the kernel's, connected to the door. */
static inline int raw_dial(const struct address *to)
{
	struct sockaddr_storage at;
	socklen_t length = address_to_kernel(to, &at);
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	int receive_buffer =
		200000; /* so that a few megabytes are more than the kernel holds for us, whatever its tuning */

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, length), 0);
	return fd;
}

static inline int raw_join(struct world *w, struct owner *o)
{
	int fd;

	owner_init(o);
	expect_newcomer(w, o);
	fd = raw_dial(listener_address(w->door));
	until(w, o->stream);
	return fd;
}

static inline void say_text(struct owner *o, const char *text)
{
	assert_true(stream_write(o->stream, &(struct piece){ text, strlen(text) }, 1));
}

static inline void assert_got(const struct owner *o, const char *text)
{
	assert_int_equal(o->got.length, strlen(text));
	assert_memory_equal(buf_span(&o->got).at, text, strlen(text));
}

/* The n-th byte of an endless story in which a lost, doubled or swapped part shows. */
static inline uint8_t story_byte(uint64_t n)
{
	return (uint8_t)((n * 2654435761u) >> 13 ^ n);
}

static inline void tell_story(uint8_t *out, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = story_byte(from + i);
}

static inline void assert_story(const uint8_t *at, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] != story_byte(from + i))
			fail_msg("byte %llu of the story is wrong", (unsigned long long)(from + i));
}

#endif
