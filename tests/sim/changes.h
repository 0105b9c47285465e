#ifndef SIM_CHANGES_H
#define SIM_CHANGES_H

#include "people.h"

/* What RELOAD changes in some runs besides limits: who the users are and which passwords they have, in which mode a database is pooled, how large the
 * pool of one is, and how its servers are reset. All is drawn by dice of its own, so that runs without it are as they were. */

struct secrets;

void changes_begin(bool passwords);
bool changes_newest(void); /* PostgreSQL is of the newest version */
void changes_trigger(
	bool newer); /* whether there is a login trigger, and what it sets, where PostgreSQL is new enough to have one */
void changes_draw(void);   /* what is in force from now on */
void changes_settle(void); /* for good: everybody is a user, and nothing changes any more */

/* ---- the configuration ---- */

bool changes_any(void);
bool changes_modes(void);                  /* a database may be of another mode than its name says */
const char *changes_mode(size_t database); /* of "app" it is that of all that say nothing */
unsigned changes_size(void);               /* pool_size of "named"; 0: as the others */
const char *changes_reset(void);           /* lines */
struct secrets *changes_users(void);

/* ---- who proves what ---- */

/* The password that this client shows, which is not always its present one; it is noted in it. */
void changes_shows(struct person *, char out[40]);

/* It is let in, or refused for its password (or for want of one at PostgreSQL): may that be? */
bool changes_may_enter(const struct person *);
bool changes_may_refuse(const struct person *);

/* PostgreSQL is shown a password: is it this user's? One of before is no wonder for a while. */
enum proof { PROOF_RIGHT, PROOF_OLD, PROOF_WRONG };
enum proof changes_prove(const char *user, struct span password);

#endif
