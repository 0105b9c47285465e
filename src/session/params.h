#ifndef PGWEIR_SESSION_PARAMS_H
#define PGWEIR_SESSION_PARAMS_H

#include "base/buf.h"
#include "base/time.h"

/* Sets of run-time parameters, as values: what a client asked for, what a server was told, what a server reports. What is asked for or told is in the
 * letters of the database, as a start-up packet's values are to PostgreSQL; what is reported is in those of the client_encoding of that moment.
 * A set never changes; equal sets are one object, so "is this server already as that client wants it" is one comparison of
 * pointers, and a hundred thousand clients with the same settings share one set. Names compare without regard to case, as in
 * PostgreSQL, and are kept in the spelling first seen in that set. Thread-safe. */
struct params_book;
struct params;

struct params_book *params_book_new(void);
void params_book_free(struct params_book *); /* every set must have been dropped (checked) */
void params_book_counts(struct params_book *, uint64_t *sets, uint64_t *bytes);

/* The set without parameters. Never NULL. Counted like the others. */
struct params *params_empty(struct params_book *);
struct params *params_keep(struct params *);
void params_drop(struct params *); /* NULL is fine */

/* Replace *set by the set that has `name` = `value` too. False: memory refused, *set is as before. */
bool params_put(struct params **set, struct span name, struct span value);

/* Replace *set by the set without `name`. */
bool params_remove(struct params **set, struct span name);

/* The value, terminated and owned by the set; NULL: not in the set. */
const char *params_get(const struct params *, struct span name);

/* A limit of time, in PostgreSQL's way of saying it: milliseconds where no unit is. 0: none, or not to be understood. */
time_us params_limit(const struct params *, const char *name);

/* Of what a server reported: its major version, or 0. */
int params_server_version(const struct params *);

size_t params_count(const struct params *);
uint64_t params_hash(const struct params *);
void params_at(const struct params *, size_t i, const char **name, const char **value); /* sorted by name */

/* A ParameterStatus for each, in that order. Borrowed. */
struct span params_messages(const struct params *);

/* role or session_authorization: what PostgreSQL shows apart from all settings, and no RESET ALL touches. */
bool params_is_role(const char *name);

/* Append a name or value of what is asked for or told, as text of SQL that says the same in any client_encoding: that is one's who had the
 * server before. False: memory refused. */
bool params_write(struct buf *out, const char *text);

/* Likewise the value of `name`; none is what RESET does. An application_name may have bytes that are no letters of the database, and PostgreSQL itself puts
 * something else in the place of each beyond ASCII: ? before 16, then \x and its number. */
bool params_write_value(struct buf *out, const char *name, const char *value);

/* Append the statements that turn a session in which `have` was set into one in which `want` is set, everything else being at its
 * start-up default, each with its zero: RESETs of a role, and one SELECT of set_config calls (which take the text of a start-up packet as it is).
 * Appends nothing when the sets are equal. False: memory refused. */
bool params_difference(const struct params *have, const struct params *want, struct buf *out);

#endif
