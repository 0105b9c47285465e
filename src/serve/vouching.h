#ifndef PGWEIR_SERVE_VOUCHING_H
#define PGWEIR_SERVE_VOUCHING_H

#include "serve/guest.h"

struct vouch_letter;

/* Logins that PAM or an LDAP directory decides: io/vouch asks, the client waits in its login (guest->vouching), its worker goes on. */
void vouching_ask(struct guest *);
void vouching_letter(struct worker *, struct letter *);
void vouching_letter_free(struct letter *);

/* Who is to be asked about whom: for clients here, for the HTTP server in web_judges.c. All is borrowed. */
struct vouching {
	enum auth_method method; /* AUTH_PAM, AUTH_LDAP */
	const char *options;     /* PAM: the service's name, or empty; LDAP: see base/directory.h */
	enum manner manner;      /* whose name the service has if it is not said */
	const struct address *peer;
	struct span user, password;
};

/* Write the question into the letter. False: its `problem` says why nobody can be asked. */
bool vouching_fill(struct vouch_letter *, const struct vouching *);

#endif
