#ifndef PGWEIR_SESSION_TAGS_H
#define PGWEIR_SESSION_TAGS_H

#include "base/span.h"

/* What a statement's comment tells of the code that sent it, in the two forms that tools write (without the signs of the comment):
 *
 *   sqlcommenter   route='%2Fchat',controller='index',traceparent='00-<32 hexadecimal digits>-<16>-01'
 *   marginalia     application:shop,controller:cart,action:show
 *
 * Statements come from strangers: nothing is believed about their length or bytes. Pure; nothing is kept. */

enum tag { TAG_ROUTE, TAG_CONTROLLER, TAG_ACTION, TAG_JOB, TAG_FRAMEWORK, TAG_APPLICATION, TAG_TRACEPARENT, TAGS };

struct tags {
	struct span values[TAGS]; /* as they stand in the text, still URL-encoded; length 0: not there */
};

/* Of all comments; the first of a name counts. */
void tags_read(struct span sql, struct tags *out);

/* For people: "/chat", "cart#show", "job Mailer"; decoded, control characters and broken UTF-8 as "?". Empty when there is nothing.
 * Returns the length. */
size_t tags_route(const struct tags *, char *out, size_t size);

/* One of them, likewise; an action with its controller, "cart#show". */
size_t tags_value(const struct tags *, enum tag, char *out, size_t size);

/* The trace id of a traceparent, 32 hexadecimal digits, or nothing. */
#define TRACE_ID 33
void tags_trace(const struct tags *, char out[TRACE_ID]);

/* Take traceparent and tracestate out of every comment, in place: they make each statement another. Returns the new length. */
size_t tags_drop_trace(char *sql, size_t length);

#endif
