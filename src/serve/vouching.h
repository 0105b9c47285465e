#ifndef PGWEIR_SERVE_VOUCHING_H
#define PGWEIR_SERVE_VOUCHING_H

#include "serve/guest.h"

/* Logins that PAM or an LDAP directory decides: io/vouch asks, the client waits in its login (guest->vouching), its worker goes on. */
void vouching_ask(struct guest *);
void vouching_letter(struct worker *, struct letter *);
void vouching_letter_free(struct letter *);

#endif
