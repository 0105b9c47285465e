/* What the programs of the benchmark share: places to listen and connect,
 * the frames of PostgreSQL's protocol, a clock, and words for giving up.
 *
 * Nothing here is used by pgweir itself: what measures must not be what is
 * measured. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Print "program: text" (with strerror for die_errno) and exit with status 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Parse a whole number between `min` and `max`, or die naming the option. */
long number_of(const char *option, const char *text, long min, long max);

/* The same for a number of seconds or of transactions a second. */
double real_of(const char *option, const char *text);

/* Memory that is there, or no program. */
void *must_have(void *pointer);

uint64_t now_ns(void);

/* A place is "host:port" with a numeric host, or the path of a unix socket. */
struct place {
	struct sockaddr_storage address;
	socklen_t length;
};
struct place place_of(const char *text);

/* Listen there and print "listening on PLACE" with the real port, so that a
 * script can ask for port 0. Returns a blocking descriptor, or dies. */
int net_listen(const char *text);

/* A non-blocking socket on its way to `place`, from `source` unless it is
 * NULL. TCP may still be connecting; -1 and errno on failure. */
int net_connect(const struct place *place, const struct place *source);

/* No waiting, no Nagle. */
void net_tune(int descriptor);

/* Lift the limit of open descriptors to what the kernel allows us. */
void net_raise_limits(void);

static inline uint32_t be32_get(const void *from)
{
	uint32_t value;

	memcpy(&value, from, 4);
	return __builtin_bswap32(value);
}

static inline uint16_t be16_get(const void *from)
{
	uint16_t value;

	memcpy(&value, from, 2);
	return __builtin_bswap16(value);
}

static inline void be32_put(void *to, uint32_t value)
{
	value = __builtin_bswap32(value);
	memcpy(to, &value, 4);
}

static inline void be16_put(void *to, uint16_t value)
{
	value = __builtin_bswap16(value);
	memcpy(to, &value, 2);
}

/* Follows a stream of messages (a type byte, a length that counts itself, a
 * body) wherever the reads happen to cut it, keeping six bytes and a count. */
struct frames {
	uint8_t head[6];
	uint8_t have;
	uint32_t left;
};

struct frame {
	char type;
	uint8_t first;       /* first byte of the body, 0 if there is none */
	const uint8_t *body; /* NULL if the body began in an earlier read */
	uint32_t length;     /* of the body */
};

/* Advance *at to the end of the message it is in. True, and `frame` filled,
 * when that message is complete; false when the bytes ran out first. */
static inline bool frames_next(struct frames *f, const uint8_t **at, const uint8_t *end, struct frame *frame)
{
	const uint8_t *start = *at;
	uint32_t length;

	if (f->have == 0 && end - start >= 5) {
		length = be32_get(start + 1);
		if (length >= 4 && (size_t)(end - start) >= (size_t)length + 1) {
			*frame = (struct frame){ .type = (char)start[0],
				.body = start + 5,
				.length = length - 4,
				.first = length > 4 ? start[5] : 0 };
			*at = start + length + 1;
			return true;
		}
	}
	while (f->have < 5) {
		if (*at == end)
			return false;
		f->head[f->have++] = *(*at)++;
		if (f->have == 5) {
			length = be32_get(f->head + 1);
			if (length < 4)
				die("a message of %u bytes is no message", length);
			f->left = length - 4;
			f->head[5] = 0;
		}
	}
	if (f->left > 0) {
		size_t here = (size_t)(end - *at);

		if (here == 0)
			return false;
		if (f->left == be32_get(f->head + 1) - 4)
			f->head[5] = **at;
		if (here < f->left) {
			f->left -= (uint32_t)here;
			*at = end;
			return false;
		}
		*at += f->left;
		f->left = 0;
	}
	*frame = (struct frame){ .type = (char)f->head[0], .first = f->head[5], .length = be32_get(f->head + 1) - 4 };
	f->have = 0;
	return true;
}

#endif
