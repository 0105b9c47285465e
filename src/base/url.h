#ifndef PGWEIR_BASE_URL_H
#define PGWEIR_BASE_URL_H

#include <stdbool.h>

#include "base/span.h"

/* The parts of scheme://user:password@host:port/name?query, borrowed from its text and still encoded. The last @ before the first /
 * ends the user's part. */
struct url {
	struct span scheme, user, password, host, port, name, query;
	bool has_password;
};

/* False: it has no "scheme://". */
bool url_split(struct span text, struct url *);

/* The next key=value of a query, still encoded. False: there is none left. */
bool url_parameter(struct span *query, struct span *key, struct span *value);

/* The byte that the %20 at the front stands for; -1: there is none. */
int url_byte(struct span);

/* Undo the %20s, into a terminated text that is cut at `size`; zero bytes are left out. */
void url_decode(struct span from, char *out, size_t size, bool plus_is_space);

/* Take what stands before `end` off the front of `rest`, and `end` with it; all of it where there is no `end`. */
struct span span_upto(struct span *rest, char end);

#endif
