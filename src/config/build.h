#ifndef PGWEIR_CONFIG_BUILD_H
#define PGWEIR_CONFIG_BUILD_H

#include <stdatomic.h>

#include "config/arena.h"
#include "config/config.h"
#include "config/schema.h"

/* A configuration while it is made: first a journal of all assignments in their order, then the value that they
 * amount to. Private to config/. */

enum section { SECTION_NONE, SECTION_SETTINGS, SECTION_DATABASES, SECTION_USERS, SECTION_PEERS };
enum origin { FROM_FILE, FROM_OPTION, FROM_SET };

struct assignment {
	enum section section;
	enum origin origin;
	const char *file; /* FROM_FILE; with `line` */
	unsigned line;
	char *key, *value;
};

#define SETTINGS_MAX 160

struct config_private {
	atomic_uint references;
	struct arena arena; /* everything below, and every text of the configuration */
	struct assignment *journal;
	size_t journal_count, journal_capacity;
	const char *texts[SETTINGS_MAX];               /* each setting as it was written, or its default */
	void (*warn)(void *context, const char *line); /* while it is made */
	void *warn_context;
	char *error;
	size_t error_size;
};

/* A user of whom nothing is said. */
extern const struct user_settings user_unset;

/* Read "L1=reclaim, L9=notice". False: it is not of that form. What stands for `pattern` (may be NULL) is put into `out`. */
bool config_read_actions(struct span text, const char *pattern, enum leak_action *out);

/* Read "web=4, my report=1, *=2": by commas, each a name and behind its last "=" a weight from 1 to ORIGIN_WEIGHT_MOST. False: it is not of
 * that form. What stands for `name` is put into `out`, else what stands for "*"; where neither does, `out` stays as it is. */
bool config_read_weights(struct span text, struct span name, unsigned *out);

/* An empty one that reports to nobody yet; NULL: memory refused. config_drop frees it. */
struct config *build_new(enum manner, char *error, size_t error_size);

/* Note an assignment; nothing is looked at yet. False: memory refused, and the error says so. */
bool build_note(struct config *, const struct assignment *, struct span key, struct span value);

/* Make the value out of the journal. False: the error says where and what. */
bool build_finish(struct config *);

/* Put "FILE:LINE: " or "-o KEY: " ("-o ", where the text begins with the key) and the text into the error; at NULL for errors of no place. Returns false. */
bool build_fail(struct config *, const struct assignment *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
