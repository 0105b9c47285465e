#ifndef PGWEIR_CONFIG_VALUE_H
#define PGWEIR_CONFIG_VALUE_H

#include "config/arena.h"
#include "config/schema.h"

/* One value between its text and its field. Private to config/. */

enum value_result {
	VALUE_TAKEN,
	VALUE_BAD,    /* `why` says what is allowed: "a whole number from 1 to 65535" */
	VALUE_LATER,  /* a word that is known but not built yet; `why` says what is */
	VALUE_REFUSED /* memory */
};

/* Read `text` as the row says, into its field of the struct at `base`; a row without a field is only checked. */
enum value_result value_read(
	const struct setting *, struct span text, void *base, struct arena *, char *why, size_t why_size);

/* The field of the struct at `base` as text; the row must have one. */
void value_write(const struct setting *, const void *base, char *out, size_t size);

#endif
