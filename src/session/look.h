#ifndef PGWEIR_SESSION_LOOK_H
#define PGWEIR_SESSION_LOOK_H

#include "base/span.h"

/* A look at the words of a statement, before it is sent: may it leave something behind in the session that outlives its transaction?
 * It is a suspicion, never a proof: what really is there is asked of the server (session/question.h). So it may say yes where
 * nothing happens, which costs a question, and must not say no where something does. Pure and linear; a text may hold several
 * statements, comments, and all of PostgreSQL's quotes. (PostgreSQL manual: "Lexical Structure"; what runs unseen, in triggers, views,
 * operators and the bodies of functions, has no words here: see doc/transparency.md.) */

enum look_mark {
	LOOK_SETTINGS = 1 << 0,  /* SET, RESET, set_config and what amounts to it; not what ends with the transaction */
	LOOK_TEMPORARY = 1 << 1, /* temporary objects come or go */
	LOOK_CURSOR = 1 << 2,    /* a cursor WITH HOLD comes, or one goes */
	LOOK_LOCK = 1 << 3,      /* advisory locks of the session */
	LOOK_PREPARE = 1 << 4,   /* SQL's PREPARE and DEALLOCATE */
	LOOK_LISTEN = 1 << 5,    /* LISTEN and UNLISTEN */
	LOOK_SEQUENCE = 1 << 6,  /* nextval, setval: what currval says from now on */
	LOOK_CURRVAL = 1 << 7,   /* asks what that is */
	LOOK_FOR_GOOD = 1 << 8,  /* what a session can not undo: LOAD, setseed, a temporary replication slot */
	LOOK_RESET = 1 << 9,     /* `names` says which settings go back to what they were at the start of the session */
	LOOK_RESET_ALL = 1 << 10,
	LOOK_UNNAMED = 1 << 11, /* it sets something and the text does not say what */
	LOOK_EXECUTE = 1 << 12, /* EXECUTE: it does what a PREPARE before it said */
	LOOK_UNKNOWN = 1 << 13, /* it runs what can not be seen: DO, CALL */
	LOOK_INSERT = 1 << 14,  /* it makes rows, whose defaults may take numbers from sequences */
	LOOK_CALLS = 1
		<< 15, /* `names` says which functions it calls that are not PostgreSQL's own: as LOOK_UNKNOWN, unless it is
				 * known what they do */
	LOOK_DEFINES = 1
		<< 16, /* it may change what the names of other statements mean: functions, triggers, views, tables; LOOK_REDEFINES
				  * is not set where all that comes of it is said by its own words and known of the names in it */
	LOOK_COMMAND = 1 << 17,    /* event triggers may follow it */
	LOOK_HEAR = 1 << 18,       /* LISTEN itself: more may be heard from now on */
	LOOK_DATABASE = 1 << 19,   /* it makes, alters or drops a database, in which nobody else may be */
	LOOK_SET_BEHIND = 1 << 20, /* it sets something behind a RESET of the same text */
	LOOK_READING = 1
		<< 21, /* texts that are prepared behind it may be read in another way (session/reading.h), perhaps only up to the
				    * end of its transaction */
	LOOK_CLOCK = 1 << 22, /* it has a literal that means another time whenever it is read: 'now', 'today' */
	LOOK_IN_FRONT = 1
		<< 23, /* it says that a temporary object comes, perhaps in front of what others mean by its name */
	LOOK_TOUCHES = 1 << 24,      /* it may lock sequences as nextval does, and take no number of them */
	LOOK_ASKS_BENEATH = 1 << 25, /* LOOK_CURRVAL, and not by its own words */
	LOOK_UNREAD = 1 << 26,       /* it has a name that is not read here, as U&"\0061" is: it may be any */
	LOOK_REDEFINES = 1
		<< 27, /* it may change what other statements leave, and its words do not tell how: the body of a function */
	LOOK_INDEXES = 1 << 28, /* it makes an index, whose expressions run when others write its table */
	LOOK_READS_ONCE = 1
		<< 29, /* beneath it, a body has a literal that settings decide, and a server keeps what it has read */
	LOOK_FREEZES = 1
		<< 30 /* beneath it, a function that is called immutable asks for a setting, and plans keep its answer */
};

#define LOOK_NAMES      16
#define LOOK_NAME_BYTES 64 /* as long as PostgreSQL's own names */

struct look {
	uint32_t marks;
	uint32_t own;      /* catalog_look: those of its words alone, as statement_marks has them */
	uint32_t prepared; /* what EXECUTE of a statement that this text PREPAREs would do */
	uint32_t made; /* what others may do on whose behalf a temporary object runs that this text makes; see catalog_look */
	/* Settings that must be asked for by name, since no view shows them (those with a dot), those that are reset, and functions that
	 * are not known. When there are more than fit, or one is too long, LOOK_UNNAMED is set. */
	unsigned count;
	struct look_name {
		char name[LOOK_NAME_BYTES]; /* of settings in small letters; of functions as the catalogue has it */
		enum look_name_kind { LOOK_NAME_SET, LOOK_NAME_RESET, LOOK_NAME_RESET_LOCAL, LOOK_NAME_CALL } kind;
	} names[LOOK_NAMES];
};

/* `text` without the zero at its end. */
void look_at(struct span text, struct look *);

/* A word or name of a text, as PostgreSQL's catalogue would have it and no longer than it would. */
typedef void (*look_word)(void *context, struct span name);

/* The same, and every word and name of the text is told in turn; where it can be read in two ways, as either has them. */
void look_with_words(struct span text, struct look *, look_word each, void *context);

/* Whether what begins with this word may end a transaction, or a part of it: one that has failed goes on behind it, or is over. */
bool look_is_end(struct span word);

/* The same, but told is (if anything: `each` may be NULL) what the sets say is to be, and perhaps more. They were begun with the words that a look
 * itself goes by, and have nothing to tell then. */
struct token_sets;
void look_sets_begin(struct token_sets *);
void look_for_words(struct span text, struct look *, const struct token_sets *, look_word each, void *context);

/* A setting with a dot that must be asked for by name. */
void look_add_setting(struct look *, const char *name);

/* A word in front of a parenthesis that is no function, or one of PostgreSQL's own that leaves nothing behind; small letters. */
bool look_knows(const char *word);

/* Some of these, which stand in most statements; the others are found by a search. */
bool look_is_everyday(const char *word);

/* What a call of this function does to the session: 0 if it is not one of those that matter. */
uint32_t look_call(const char *word);

/* What a FunctionCall of this pg_proc.oid does to it. Nothing says which setting it is that set_config or somebody's function sets. */
uint32_t look_function(uint32_t oid);

#endif
