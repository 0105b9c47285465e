#ifndef PGWEIR_SESSION_CATALOG_H
#define PGWEIR_SESSION_CATALOG_H

#include "base/buf.h"
#include "session/look.h"

/* What the catalogue of one database says of things that leave something in a session though the statement has no word of it: a table whose
 * trigger sets a value, a view whose function takes a lock, an operator. Names only, whatever their schema: a suspicion, as a
 * look is (session/look.h). Asked for by one query, then never changed; counted. */
struct catalog;

/* Append the query, for a server of this version (the first number). False: memory refused. Whatever search_path is in force. */
bool catalog_write(int version, struct buf *out);

/* For the rows of its answer. NULL: memory refused. */
struct catalog *catalog_new(void);

/* The body of a DataRow. False: it is not what was asked for, or memory was refused. */
bool catalog_row(struct catalog *, struct span body);
bool catalog_refused(const struct catalog *); /* memory was: something is missing */

/* It could not be read: any statement may do what this can not tell, as far as nothing but numbers of sequences depends on it. */
void catalog_doubt(struct catalog *);

struct catalog *catalog_keep(struct catalog *);
void catalog_drop(struct catalog *);                                /* NULL is fine */
bool catalog_equal(const struct catalog *, const struct catalog *); /* both say the same */
uint32_t catalog_id(const struct catalog *);                        /* never 0, of no other one */
bool catalog_empty(const struct catalog *);                         /* there is nothing hidden */
bool catalog_tells(const struct catalog *, uint32_t marks);         /* something in it leaves one of these */

/* Add the settings with a dot that its bodies of functions set to a look, to be asked for by name. */
void catalog_names(const struct catalog *, struct look *);

/* Look at this text, and add what lies beneath its words, and that it calls functions which are not known, if it does; and what is left by whatever uses
 * the temporary objects that it makes. True: something was added. */
bool catalog_look(const struct catalog *, struct span text, struct look *);

#endif
