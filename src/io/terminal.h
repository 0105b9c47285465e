#ifndef PGWEIR_IO_TERMINAL_H
#define PGWEIR_IO_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/* What a command that a person has started wants to know of that person. */

/* How many letters a line of this terminal has; 0: it is none, and nobody watches. */
unsigned terminal_columns(FILE *);

/* From here on Ctrl-C (INT), TERM and HUP are counted; the second one ends the process as it would have without us. Call it before any
 * thread is started. */
void terminal_catch_interrupts(void);

/* Whether one of them came. */
bool terminal_interrupted(void);

/* End somebody else's connection (a library's, which still closes the descriptor) as a vanished peer would: without a goodbye of the
 * protocol above, by an end of file, or with `reset` by a TCP reset. */
void socket_cut(int descriptor, bool reset);

#endif
