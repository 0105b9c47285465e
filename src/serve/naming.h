#ifndef PGWEIR_SERVE_NAMING_H
#define PGWEIR_SERVE_NAMING_H

#include "serve/guest.h"

/* A rule of auth_hba_file depends on the name of the client's host: the resolver looks it up, the client waits in its login (guest->naming),
 * its worker goes on. */
void naming_ask(struct guest *);
void naming_letter(struct worker *, struct letter *);
void naming_letter_free(struct letter *);

#endif
