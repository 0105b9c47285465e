#ifndef PGWEIR_SERVE_LETTERS_H
#define PGWEIR_SERVE_LETTERS_H

/* The letters of mail.h, as a worker takes them. */

struct worker;

void letters_read(struct worker *); /* all that are there, unless one of them is the word to stop */

/* After that word: servers and clients on their way are ended, the rest is freed. */
void letters_sweep(struct worker *);

#endif
