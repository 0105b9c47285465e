#ifndef PGWEIR_VIEW_METRICS_TABLE_H
#define PGWEIR_VIEW_METRICS_TABLE_H

#include "view/snapshot.h"

/* The metrics as data; see the drawing in metrics.c. Private to view/ and the generator of the page. */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* What stands at the offset. */
enum metric_value {
	VALUE_ONE, /* nothing: 1 for each row */
	VALUE_ZERO,
	VALUE_U32,
	VALUE_U64,
	VALUE_U64_IF, /* 0: not known, and no line */
	VALUE_SIZE,
	VALUE_INT, /* below zero: not known, and no line */
	VALUE_BOOL,
	VALUE_PERCENT, /* uint32_t, told as a ratio */
	VALUE_TIME,    /* time_us, told in seconds */
	VALUE_TIME_IF, /* 0: does not apply, and no line */
	VALUE_US,      /* uint64_t of microseconds, told in seconds */
	VALUE_MINUTES, /* double, by the minute, told by the second */
	VALUE_MEMORY,  /* a struct memory_row: how many bytes are used */
	VALUE_METER
};

/* How rows of one line become one value. */
enum metric_fold { FOLD_SUM, FOLD_MOST, FOLD_LEAST };

#define METRIC_LABELS 6

struct metric_scope {
	size_t list; /* offset into the snapshot: of the pointer to the rows, or of the rows themselves when `inside` */
	size_t count; /* of the number of rows; ignored when `one` */
	size_t size;
	bool inside, one;
	struct metric_label {
		const char *name;
		size_t offset;
		bool raw;    /* as its owner wrote it: its control characters must be written out here */
		bool number; /* an int */
	} labels[METRIC_LABELS];
	bool (*shown)(const void *row);
	uint32_t (*weight)(const void *row); /* who is named when not all can be; NULL: those that came first */
};

struct metric {
	const char *name;
	enum metric_type type;
	const struct metric_scope *scope;
	enum metric_value value;
	size_t offset;
	enum metric_fold fold;
	const char *more; /* another label of this row of the table, as key="value"; rows of one name follow one another */
	bool pgbouncer; /* only under that name */
	const char *help;
};

extern const struct metric metrics[];
extern const size_t metrics_count;

#endif
