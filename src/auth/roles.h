#ifndef PGWEIR_AUTH_ROLES_H
#define PGWEIR_AUTH_ROLES_H

#include "base/span.h"

/* The roles that a user is a member of, as PostgreSQL said: an immutable, counted set of names once roles_add was called for the last time. */
struct roles;

#define ROLES_MOST 10000

struct roles *roles_new(void); /* empty, counted once; NULL: memory refused */
struct roles *roles_keep(struct roles *);
void roles_drop(struct roles *); /* NULL is fine */

/* False: memory is refused, or there are more than ROLES_MOST. */
bool roles_add(struct roles *, struct span name);
bool roles_has(const struct roles *, struct span name);

#endif
