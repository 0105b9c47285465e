#ifndef PGWEIR_BASE_REDACT_H
#define PGWEIR_BASE_REDACT_H

#include "base/span.h"

/* Copies SQL with its literals replaced by ?: '...', E'...', $tag$...$tag$, numbers; comments are kept; at most size-1 bytes,
 * never cut within a UTF-8 sequence. Returns the length.
 *
 * `out` is always terminated (unless size is 0); a zero byte inside becomes a space. A literal that does not end, because the text
 * was cut, is replaced too. Where a text cannot be read with certainty, everything after that place is left out. Bytes that are
 * no UTF-8 go through as they are: whoever shows them must escape them. */
size_t redact_sql(char *out, size_t size, struct span sql);

#endif
