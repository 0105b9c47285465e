#include <stdlib.h>

#include "base/check.h"
#include "session/monitor.h"

/* Answers to the monitor's questions of any bytes: read whole, or in two portions, they mean the same; what is counted is bounded,
 * and names have their ends and nothing in them that a terminal would obey. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_plain(const char name[MONITOR_NAME])
{
	check(memchr(name, 0, MONITOR_NAME) != NULL);
	for (; *name; name++)
		check((unsigned char)*name >= ' ' && *name != 0x7f);
}

struct outcome {
	enum monitor_edge edge;
	uint64_t ids;
	size_t used;
};

/* Up to `size`, but not more than a part of it at first. */
static struct outcome read_all(struct reading *reading, const uint8_t *data, size_t first, size_t size)
{
	struct outcome outcome = { MONITOR_MORE, 0, 0 };
	size_t limit = first, n;

	for (;;) {
		/* In memory of just its size. */
		uint8_t *copy = malloc(limit - outcome.used + 1);

		check(copy != NULL);
		memcpy(copy, data + outcome.used, limit - outcome.used);
		outcome.edge = monitor_take(reading, span_of(copy, limit - outcome.used), &n);
		free(copy);
		check(n <= limit - outcome.used);
		outcome.used += n;
		if (outcome.edge == MONITOR_BACKEND) {
			is_plain(reading->backend.user);
			is_plain(reading->backend.database);
			is_plain(reading->backend.application);
			check(reading->backend.process_id > 0 && reading->backend.age >= -1);
			outcome.ids = outcome.ids * 31 + reading->backend.process_id;
		} else if (outcome.edge == MONITOR_MORE && limit < size) {
			limit = size;
		} else {
			break;
		}
	}
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading whole, halves;
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	struct outcome a, b;

	if (size > 65536)
		return 0;
	monitor_ask(&w, &whole);
	monitor_ask(&w, &halves);
	check(writer_ok(&w));
	buf_fini(&out);
	a = read_all(&whole, data, size, size);
	b = read_all(&halves, data, size / 2, size);
	check(a.edge == b.edge && a.ids == b.ids && a.used == b.used);
	check(whole.known == halves.known && whole.backends == halves.backends);
	check(whole.limit_count <= sizeof whole.limits / sizeof whole.limits[0]);
	for (size_t i = 0; i < whole.limit_count; i++) {
		is_plain(whole.limits[i].name);
		check(whole.limits[i].used <= whole.backends);
	}
	if (a.edge == MONITOR_READ && monitor_knows(&whole, MONITOR_SETTINGS))
		check(whole.connections_max > 0);
	return 0;
}
