#ifndef PGWEIR_TOOL_LOGS_COUNT_H
#define PGWEIR_TOOL_LOGS_COUNT_H

#include "tool/logs_line.h"

/* What is kept of a log while it is read: for each error how often, when, and of whom. Its size has a bound that no log moves. */

#define TALLY_MAX  48
#define TALLY_TEXT 96

/* Who is counted. Beyond TALLY_MAX names the least frequent give way ("space saving", Metwally and others 2005): a name that makes up more
 * than one in TALLY_MAX of all is certainly kept, and counts are too high by the smallest of them at most; `rough` says that it happened. */
struct tally {
	struct tally_row {
		char text[TALLY_TEXT]; /* the log's own bytes, never to be shown as they are */
		uint64_t count;
	} rows[TALLY_MAX];
	uint32_t used;
	bool rough;
};

enum logs_who { WHO_DATABASE, WHO_USER, WHO_ADDRESS, WHO_APPLICATION };
#define LOGS_WHO 4

/* How many in each minute; when a log is longer than these are many, the quietest half is forgotten. */
#define MINUTES_MAX 4096

struct logs_group {
	int error; /* a row of logs_errors, or -1: unknown, and `words` has the message with ? for numbers and names */
	char words[200], sample[300];
	uint64_t count, timed; /* of them: with a time */
	uint64_t sources[LOGS_SOURCES];
	time_us first, last; /* since 1970, where timed > 0 */
	struct logs_minute {
		int64_t minute;
		uint32_t count;
	} * minutes;
	uint32_t minutes_used;
	struct tally who[LOGS_WHO];
};

#define UNKNOWN_MAX 40 /* kinds of unknown errors; the rest is counted in `unknown_more` */

struct logs_count;

/* `latest`: see logs_time_find. `since`: what is older does not count; 0: everything does. Without memory the program ends. */
struct logs_count *logs_count_new(time_us since, time_us latest);
void logs_count_free(struct logs_count *);

/* The next file: no line of it belongs to the one before. */
void logs_count_begin(struct logs_count *);

/* One line as it was read; it is changed. */
void logs_count_line(struct logs_count *, char *line, size_t length);

/* The groups, most frequent first, borrowed. */
size_t logs_count_groups(struct logs_count *, const struct logs_group *const **groups);

/* The busiest minute of a group: how many, and when it began. 0: no line had a time. */
uint32_t logs_group_peak(const struct logs_group *, time_us *when);

/* The rows of a tally, most frequent first. */
void tally_sort(struct tally *);

struct logs_totals {
	uint64_t lines, errors, older, undated,
		unknown_more; /* undated: left out since --since can not be asked of them */
};
struct logs_totals logs_count_totals(const struct logs_count *);

#endif
