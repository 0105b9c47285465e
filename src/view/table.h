#ifndef PGWEIR_VIEW_TABLE_H
#define PGWEIR_VIEW_TABLE_H

#include <stdbool.h>

#include "base/time.h"
#include "base/writer.h"
#include "view/snapshot.h"

/* What the tables of SHOW are made of, see the drawing in rows.c. Private to view/. The tables lie in rows.c, socket_rows.c, pool_rows.c
 * and stats_rows.c, which are PgBouncer's but for BUDGET, and in leak_rows.c, which only we have. */

/* The types that a driver is told; all values go as text. */
enum type { TEXT = 25, INT4 = 23, INT8 = 20, NUMERIC = 1700 };

/* Beside a type: PgBouncer 1.25 does not have this column. */
#define OURS 0x10000u

struct column {
	const char *name;
	unsigned kind; /* enum type, perhaps with OURS */
};

static inline enum type column_type(const struct column *column)
{
	return (enum type)(column->kind & ~OURS);
}

/* A row of a SHOW that has no list. */
struct pair {
	char name[48], value[80];
};

#define PAIRS_MAX 32

void pair_number(struct pair *, const char *name, uint64_t);

struct snapshot;
struct show;
typedef void put_fn(struct writer *, const void *row, size_t offset, const struct show *);

struct field {
	put_fn *put;
	size_t offset;
};

extern const struct field pair_fields[2];

struct source {
	size_t list, count; /* offsets into the snapshot, of the pointer and of the number */
	size_t size;        /* of one row */
	const struct field *fields;
	bool (*shown)(const void *row);
};

struct show {
	const char *word;
	unsigned parts;
	const struct column *columns;
	size_t column_count;
	const struct source *sources[2];
	size_t (*make)(const struct snapshot *, const struct show *, struct pair *); /* instead of sources */
	void (*more)(struct writer *, const struct snapshot *, const struct show *); /* rows that no source has */
	bool sockets;      /* states are written cl_... and sv_... */
	bool without_ours; /* in an answer: those columns, and rows of that kind, are left out */
};

/* Is this column in the answer? */
static inline bool column_shown(const struct show *show, size_t i)
{
	return !(show->without_ours && (show->columns[i].kind & OURS));
}

size_t columns_shown(const struct show *);

/* ---- values: each appends one field of a DataRow ---- */

void put_bytes(struct writer *, const char *text);
void put_number(struct writer *, int64_t);
void put_unsigned(struct writer *, uint64_t);
void put_null(struct writer *);

/* The type of the member is in the name; every offset in the tables is made by a macro that names it. */
put_fn put_text, put_text_or_null, put_int, put_known, put_known_time, put_u32, put_u64, put_pointer, put_time,
	put_seconds, put_microseconds, put_wall, put_bit, put_yes_no, put_zero, put_empty, put_replication, put_mode,
	put_hosts;

static inline const void *member(const void *row, size_t offset)
{
	return (const char *)row + offset;
}

/* A DataRow with every column of the table. */
void put_row(struct writer *, const struct show *, const struct field *, const void *row);

const struct show *show_find(const char *word);                                /* NULL: there is no such SHOW */
void show_rows(struct writer *, const struct snapshot *, const struct show *); /* DataRows of all its rows */

#define LIST(pointer, number) \
	.list = offsetof(struct snapshot, pointer), .count = offsetof(struct snapshot, number), \
	.size = sizeof *((struct snapshot *)0)->pointer

#define COLUMNS(list) .columns = list, .column_count = sizeof list / sizeof *list

/* A field for every column, or a row would read past its table. */
#define FILLS(fields, columns) \
	_Static_assert(sizeof fields / sizeof *fields == sizeof columns / sizeof *columns, #fields)

/* The SHOWs of one file. */
struct show_list {
	const struct show *shows;
	size_t count;
};
#define SHOWS(list) \
	{ \
		.shows = list, .count = sizeof list / sizeof *list \
	}

extern const struct show_list socket_shows, pool_shows, stats_shows, leak_shows;

#endif
