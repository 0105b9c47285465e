#ifndef PGWEIR_SERVE_CATALOGS_H
#define PGWEIR_SERVE_CATALOGS_H

#include "session/catalog.h"
#include "serve/worker.h"

/* What each database's catalogue says of what statements leave unseen (session/catalog.h): one for all workers, read by a server that has
 * just logged in or has just ended a lease, again after a statement that may have changed it, and once in a while for what others
 * changed. While it is not known, every statement is suspected. */

struct house;
struct guest;
struct channel;

struct catalogs *catalogs_new(void);
void catalogs_free(struct catalogs *);                /* after every worker */
void catalogs_forget(struct catalogs *, database_id); /* it is another one now */

/* A view's share of it. */
void catalogs_part(struct pool_view *);

/* For this statement of its client; NULL: not known. */
const struct catalog *catalogs_see(struct guest *);

/* The client sends a statement that may change it; or one that changes what names mean and, by what catalogs_see has told, nothing that it tells. */
void catalogs_change(struct channel *);
void catalogs_draft(struct channel *);

/* It drops something: texts that name it are to be read anew, now and when its transaction is over. */
void catalogs_lose(struct channel *);

/* It grows whenever what names mean may have changed, as far as it is known. */
unsigned catalogs_meaning(const struct guest *);

/* The server says that they mean something else. */
void catalogs_outdated(struct channel *);

/* A lease's client sent nothing more and its transaction is over: whether what it was told was true all the while. */
bool catalogs_held(struct channel *);

/* Read it if it is time to. True: what is read must come before anything else. */
enum catalog_need {
	CATALOG_REFRESH, /* it may have been changed by others */
	CATALOG_FIRST,   /* a server that has just logged in: nothing was ever known? */
	CATALOG_BLIND    /* a lease is about to end, and what its statements left is not known without it */
};
bool catalogs_read(struct channel *, enum catalog_need);

/* Ask for the settings with a dot that bodies of functions set, by name. False: which there are is not known for certain. */
bool catalogs_name(struct channel *);

/* What a reading says. */
void catalogs_row(struct channel *, struct span body);
void catalogs_answered(struct channel *);

/* Whether this client's application (its user, and the name that it logged in with) asks for currval or lastval in this database; and that it
 * does. While it has a server. */
bool catalogs_asks_numbers(const struct guest *);
void catalogs_tell_numbers(const struct guest *);

/* The lease ends. */
void catalogs_leave(struct channel *);
void catalogs_fini(struct channel *);

#endif
