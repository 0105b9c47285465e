#ifndef PGWEIR_TOOL_DOCTOR_WATCH_H
#define PGWEIR_TOOL_DOCTOR_WATCH_H

#include "core/leak.h"
#include "tool/doctor_facts.h"

/* Turns pictures of pg_stat_activity, taken every second or two, into what the leak detector wants to know, for people who have no
 * pooler of ours in front yet. It knows no clock: the caller says when each picture was taken. */

struct watch;

struct watch *watch_new(const struct leak_rules *); /* NULL: memory refused */
void watch_free(struct watch *);

/* One picture: `server->sessions` as they are at `now`. Once in rules->period the detector is asked. Up to `capacity` changes are
 * written; returns how many. */
size_t watch_picture(
	struct watch *, const struct server_facts *server, time_us now, struct leak_change *changes, size_t capacity);

/* The leaks, as leak_at tells them, and the name of an origin for people. */
const struct leak *watch_leak(const struct watch *, size_t i);
const char *watch_origin(const struct watch *, uint32_t origin);

/* For tests and for people: what is known of the origin of that name; NULL: none. Borrowed until the next picture. */
const struct leak_facts *watch_facts(const struct watch *, const char *origin);

#endif
