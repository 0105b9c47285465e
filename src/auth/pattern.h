#ifndef PGWEIR_AUTH_PATTERN_H
#define PGWEIR_AUTH_PATTERN_H

#include "base/span.h"

/* A regular expression of auth_hba_file or auth_ident_file: the part of PostgreSQL's advanced regular expressions (PostgreSQL's
 * documentation, "Regular Expression Details") that POSIX's extended ones have as well, and \d \D \s \S \w \W. It fits anywhere in a name
 * unless ^ and $ tie it down. What would mean something else here than at PostgreSQL is an error, never a guess. */
struct pattern;

#define PATTERN_REPEAT_MOST 1000 /* the product of all {m,n} in one pattern: what it may cost */

/* NULL: `error` says why. */
struct pattern *pattern_new(const char *text, char *error, size_t error_size);
void pattern_free(struct pattern *);

/* How many (groups) it has. */
size_t pattern_groups(const struct pattern *);

/* `group`: what the first (group) fitted, a part of `name`; empty if it did not take part. May be NULL. */
bool pattern_fits(const struct pattern *, struct span name, struct span *group);

#endif
