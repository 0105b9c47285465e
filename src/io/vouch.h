#ifndef PGWEIR_IO_VOUCH_H
#define PGWEIR_IO_VOUCH_H

#include "base/directory.h"
#include "io/loop.h"

/* Ask somebody else whether a password is a user's: PAM or an LDAP directory. Both block, so threads of their own ask, VOUCH_THREADS for each
 * of the two, which begin when they are first needed; the answer comes back by mail. At most VOUCH_QUEUE questions wait for one of them, and
 * each for at most VOUCH_PATIENCE_US; then they are answered with a refusal. */
enum voucher { VOUCHER_PAM, VOUCHER_LDAP };

#define VOUCH_THREADS     4
#define VOUCH_QUEUE       100
#define VOUCH_PATIENCE_US (10 * SECOND_US)

struct vouch_letter {
	struct letter letter; /* first; `kind` is the asker's own word */
	struct mailbox *to;
	enum voucher voucher;
	uint32_t asker[4]; /* the asker's own words too */
	char user[256], password[1024];
	char service[64];           /* PAM's */
	char host[64];              /* where the client is, for PAM's log; may be empty */
	struct directory directory; /* LDAP's */
	bool yes;
	bool unheard; /* not yes, and nobody has said no: who is asked could not be reached, or did not answer in time */
	char problem[256]; /* not yes: why, for the log */
};

/* The letter belongs to the threads until it comes back, also when its asker is long gone. Allocated with calloc. */
void vouch(struct vouch_letter **);
void vouch_letter_free(struct vouch_letter **); /* wipes */

/* At the end: what waits is answered with a refusal. A thread that somebody holds up is waited for until VOUCH_PATIENCE_US are over, then
 * left to itself: it frees its letter and posts nothing. */
void vouch_stop(void);

/* One question, asked by this thread, which blocks (io/vouch_pam.c, io/vouch_ldap.c). */
void vouch_ask_pam(struct vouch_letter *);
void vouch_ask_ldap(struct vouch_letter *);

#endif
