#ifndef SCENARIO_STORY_H
#define SCENARIO_STORY_H

#include "base/buf.h"
#include "core/core.h"

/* A story while it is told. Its language is in main.c. */

#define NUMBERS_MAX 20000
#define WORDS_MAX   32
#define LINE_MAX_   8192

struct person {
	struct client_ref ref;
	pool_id pool;
	bool named;
	uint64_t origin, group;
	uint32_t weight;
};

struct story {
	const char *path, *line_text;
	unsigned line, first_line;
	char name[200];

	struct core_setup setup;
	struct core *core;
	time_us now;
	struct effects effects;
	struct person people[NUMBERS_MAX];
	server_id servers[NUMBERS_MAX];
	uint32_t servers_count;
	pool_id pool; /* named last */
	uint32_t pools;
	uint32_t suspension; /* the last */

	char *words[WORDS_MAX + 1]; /* of the line; NULL at the end */
	unsigned at;
	struct buf said; /* what came of it */
	struct buf expected;
	bool wrong;
};

/* ---- words.c: the next word of the line, as what it is expected to be ---- */

/* The line can not be told: story->wrong is set, and `trouble` says why. Returns false. */
extern char trouble[300];
bool wrong(struct story *, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *word(struct story *); /* "": there is none */
bool take(struct story *, const char *expected);
uint32_t number(struct story *);
time_us duration(struct story *);
bool parse_time(const char *text, time_us *out); /* 5us 20ms 3s 2m 1h */
struct person *person(struct story *, uint32_t n);
pool_id pool_named(struct story *, const char *text); /* "app/web", or "app/web+replication" for its twin */
void pool_name(struct story *, pool_id id, char *out, size_t size);

/* ---- effects.c: what came of it, as the line says it behind its arrow ---- */

void say(struct story *, const char *text);
void say_effects(struct story *);                 /* all that the core asks for, which is forgotten then */
void say_counted(struct story *, uint32_t waits); /* how many of each kind */

/* ---- events.c: what happens ---- */

void feed(struct story *, struct event event);
void tell_client(struct story *);
void tell_clients(struct story *);
void tell_server(struct story *);
void tell_operator(struct story *);
void tell_worker(struct story *);
void tell_consoles(struct story *);
void tell_shutdown(struct story *);
void time_passes(struct story *, time_us length);

/* ---- rules.c: the machine, limits, databases and pools ---- */

struct core_rules rules_default(void);
void tell_machine(struct story *);
void tell_rules(struct story *);
void tell_database(struct story *);
void tell_pool(struct story *);

/* ---- questions.c: what is so ---- */

void tell_picture(struct story *);
void tell_totals(struct story *);
void tell_instance(struct story *);
void tell_audit(struct story *);

#endif
