#ifndef PGWEIR_SESSION_ASKED_H
#define PGWEIR_SESSION_ASKED_H

#include "base/span.h"

/* Which numbers of sequences a text asks for by its own words, currval('a') or currval($1) or lastval(), where that can be told with certainty. */

#define ASKED_NAME_MAX 280 /* "schema"."name", each of 63 bytes that may all be quotes */

/* Calls `each` with the sequence of every currval, its parts in quotes, and with NULL for a lastval, until it says false. `values`: what a
 * Bind says behind its names, or nothing. False: that, or the text asks for none, or in another way. */
bool asked_each(struct span text, struct span values, bool (*each)(void *context, const char *name), void *context);

/* A name of the catalogue as asked_each would say it, behind what `out` has already; `out` has room for ASKED_NAME_MAX, and what has none
 * there is cut. */
void asked_quote(char *out, struct span name);

#endif
