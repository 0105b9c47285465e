#ifndef PGWEIR_TOOL_TOP_MODEL_H
#define PGWEIR_TOOL_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What `pgweir top` knows at one moment, and how it is laid out. No terminal and no server here, so that tests have it alone. */

enum top_kind { TOP_PGWEIR, TOP_PGBOUNCER, TOP_POSTGRESQL };

#define TOP_NAME    64
#define TOP_SAMPLES 90 /* of each pool's past */
#define TOP_PAST    64 /* pools whose past is kept */

/* Texts are as the server sent them, never to be shown as they are. */
struct top_pool {
	char database[TOP_NAME], user[TOP_NAME];
	int lent, idle, waiting, limit; /* limit 0: none is known */
	double longest_wait;            /* seconds */
	char failing[200];              /* why no server can be opened, of pgweir; "" */
};

struct top_origin {
	int64_t id; /* pgweir's, or 0 */
	char database[TOP_NAME], user[TOP_NAME], application[TOP_NAME], address[TOP_NAME];
	int clients, lent, waiting;
};

struct top_lease {
	int64_t client, origin; /* pgweir's client; elsewhere 0 */
	int64_t process;        /* of PostgreSQL */
	char database[TOP_NAME], user[TOP_NAME], application[TOP_NAME], address[TOP_NAME];
	char state[32], statement[300], first[300], pin[TOP_NAME];
	double age, in_state; /* seconds; below 0: not told */
	int waiting;          /* how many wait behind it: for its pool, or for its locks */
	int64_t behind;       /* the process that it waits for, or 0 */
	char waiters[640];    /* pgweir: who they are, in words */
};

/* A part of an origin: its clients of one process, TLS name, route ... */
struct top_part {
	int64_t origin;
	char by[16], value[130];
	int clients, quiet, holding;
	double oldest_quiet, oldest_hold; /* seconds; 0: there is none */
};

struct top_leak {
	char title[TOP_NAME], who[200], evidence[400], cure[600];
	char name[100], since[32], route[200], statement[300]; /* "": not known */
};

struct top_view {
	enum top_kind kind;
	struct top_pool *pools;
	struct top_origin *origins;
	struct top_lease *leases;
	struct top_leak *leaks;
	struct top_part *parts; /* of an origin together, and of a kind together; only where they were asked for */
	char unreached[200]; /* pgweir: a PostgreSQL server that its monitor can not reach and where no server is open, and why; "" */
	char no_room[300]; /* pgweir: why no more servers are opened, though pools may have more; PostgreSQL itself: that it is full; "" */
	int used, most,
		kept; /* PostgreSQL itself: its connections with ours, its max_connections, how many of those are not for all */
	int hidden; /* PostgreSQL itself: sessions that the user may not look into */
	size_t pool_count, origin_count, lease_count, leak_count, part_count;
};

void top_view_fini(struct top_view *);

struct top_past {
	struct top_track {
		char database[TOP_NAME], user[TOP_NAME];
		int samples[TOP_SAMPLES]; /* lent and waiting together; the newest is the last */
		int used;
	} tracks[TOP_PAST];
	size_t count;
};

/* Take note of this moment. Beyond TOP_PAST pools the others have no past. */
void top_past_add(struct top_past *, const struct top_view *);

enum top_list { TOP_ORIGINS, TOP_LEASES };
enum top_sort { SORT_LENT, SORT_WAITING, SORT_NAME };
#define TOP_SORTS 3

struct top_screen {
	int width, height; /* letters; height 0: as many lines as it takes */
	bool ascii;
	enum top_list list;
	enum top_sort sort;
	char filter[TOP_NAME]; /* part of any name, statement or state; "" shows all */
	struct top_origin of;  /* leases of this origin alone, where `drilled` */
	bool drilled;
	struct top_lease lease; /* this one alone, where `in_lease`: told by client and process */
	bool in_lease;
	size_t chosen; /* row of the list */
	const char *from, *message, *keys;
};

enum top_style { STYLE_PLAIN, STYLE_TITLE, STYLE_LEAK, STYLE_CHOSEN, STYLE_FAINT, STYLE_WAIT };

struct top_page {
	struct top_line {
		char text[1200]; /* UTF-8 or ASCII, not wider than the screen, safe for a terminal */
		enum top_style style;
	} * lines;
	size_t count, room;
	size_t rows;           /* of the list, after the filter */
	int64_t chosen_client; /* pgweir's client of the chosen lease, or 0 */
	int64_t chosen_process;
	struct top_origin chosen_origin;
};

/* Lay it out. `chosen` is brought into range. The lists of `view` are sorted on the way. */
void top_lay(struct top_page *, struct top_view *, const struct top_past *, struct top_screen *);
void top_page_fini(struct top_page *);

/* One JSON document. */
void top_print_json(const struct top_view *, FILE *);

#endif
