#ifndef PGWEIR_SERVE_LOOKUPS_H
#define PGWEIR_SERVE_LOOKUPS_H

#include "serve/worker.h"
#include "wire/frame.h"

/* What PostgreSQL is asked about users who log in: the secrets of those who are not in auth_file (auth_query), and roles, when a rule of
 * auth_hba_file depends on them. One question for each user at a time, whoever else logs in as that user meanwhile; what was found is
 * believed for a while. See the drawing in lookups.c. */

struct lookups *lookups_new(void);
void lookups_free(struct lookups *);

enum lookup_kind { LOOKUP_SECRET, LOOKUP_ROLES };

/* The client's proof needs its secret, or a rule its roles: it waits (GUEST_ASKING), or goes on at once. */
void lookup_ask(struct guest *, enum lookup_kind);

/* Its password did not fit what was found: the next login asks again. */
void lookup_doubt(struct guest *);
/* Nor did PostgreSQL take it from a server of its pool. */
void lookup_doubt_pool(const struct channel *);

/* It ends. */
void lookup_leave(struct guest *);

/* Asking failed, for everybody who waits for this answer; `problem` is for the log. It may be the end of the guest. */
void lookup_failed(struct guest *, const char *problem);

/* A server is lent to ask with, and its search_path is in force. */
void lookup_lent(struct channel *);
bool lookup_wants(const struct channel *, const struct frame *); /* a row of the answer is looked at whole */
void lookup_row(struct channel *, struct span body);
void lookup_answered(struct channel *);
void lookup_late(struct channel *);

/* The letter that brings an answer to those who waited for it. */
void lookup_letter(struct worker *, struct letter *);
void lookup_letter_free(struct letter *);

/* What this login proved is what servers of its pool log in with. */
void lookup_keep(struct worker *, pool_id, struct secrets *);
struct secrets *lookup_secrets(struct worker *, pool_id); /* counted; NULL: none */

#endif
