#ifndef PGWEIR_IO_PASSAGE_H
#define PGWEIR_IO_PASSAGE_H

#include "base/span.h"
#include "base/time.h"
#include "io/address.h"

/* A connection to another process of this machine over which descriptors may come with the bytes (unix(7), SCM_RIGHTS). It blocks,
 * each wait bounded by the patience that it was opened with: for the start of the process, where nothing else runs yet. */
struct passage;

/* NULL: `error`, and *nobody tells whether there is nobody behind that name (no such file, or one that nobody listens on). */
struct passage *passage_open(const struct address *, time_us patience, bool *nobody, char *error, size_t error_size);
void passage_close(struct passage **); /* descriptors that nobody took are closed. NULL inside is fine */

bool passage_send(struct passage *, struct span, char *error, size_t error_size);

/* Wait for more bytes. What is here and not consumed yet is borrowed until the next call of either. False: `error`; the end of the other
 * side is one. */
bool passage_receive(struct passage *, struct span *all, char *error, size_t error_size);
void passage_consume(struct passage *, size_t n);

/* The oldest descriptor that came and was not taken; the caller's from now on. -1: there is none. */
int passage_descriptor(struct passage *);

#endif
