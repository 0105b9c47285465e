#ifndef SIM_PEOPLE_H
#define SIM_PEOPLE_H

#include "session.h"

/* The clients of the simulated world. Each has its own random script of conversations that PostgreSQL allows, and a session of its own
 * that knows what a direct connection would have answered. Some are hostile and know nothing. */

enum person_kind { PERSON_GOOD, PERSON_HOSTILE, PERSON_OPERATOR };
enum person_state { PERSON_COMING, PERSON_GREETED, PERSON_TALKING, PERSON_GONE };

/* What a client LISTENs to, and has heard: see notes.c. */
struct listener {
	uint32_t sure, before, unsure;
	size_t since[TOPIC_MARK], next, skipped, own_due, own_seen;
	int side;   /* where it heard something last: see notes_place; -1: it is not known */
	bool moved; /* a WARNING came since */
	bool deaf;  /* until its next statement it hears nothing, as a WARNING has said */
};

struct person {
	unsigned id;
	enum person_kind kind;
	enum person_state state;
	const char *user, *database;
	unsigned password; /* that it has shown: see changes.h */
	struct end *end;
	struct bytes out, in;               /* not sent yet; received, not understood yet */
	struct bytes asked, expected;       /* what the shadow has still to be asked, and what it said */
	struct session *shadow;             /* a direct connection */
	char view[SETTINGS][SETTING_BYTES]; /* what it was told of its settings */
	char wanted[SETTINGS][SETTING_BYTES];
	bool has[SETTINGS], touched[SETTINGS], resets; /* resets: it said RESET, or the like */
	char begun[SETTING_BYTES];                     /* what it began with of the setting that a login trigger sets */
	bool has_any, protocol_32, wants_ssl;
	bool replicates; /* a connection for replication: a server of its own, as long as it is there */
	uint8_t key[40];
	size_t key_length;
	unsigned cancels_sent, cancels_seen;
	unsigned hits;           /* PostgreSQL cancelled what it asked for before it did anything: may still be heard */
	unsigned cancels_open;   /* sent, and not known to have arrived */
	time_us cancel_arrived;  /* when one was last let go, its signal being sent */
	unsigned talks, queries; /* conversations still to come; statements so far */
	unsigned awaiting;       /* ReadyForQuery that are still to come */
	/* An operator's command that is not answered yet: of which origin it wants the clients spared, or spared no more; 0: of none. */
	unsigned protects, releases;
	unsigned block; /* statements of the open block still to come */
	bool in_block, copy_waits, unnamed_sure;
	bool fatal, left, saw_end;
	bool slow, still, stopped; /* stopped: it was still once */
	bool read_due, talk_due;
	time_us asked_at;    /* when it last asked for anything */
	time_us turn_at;     /* when it last did so with nothing unanswered */
	time_us came, since; /* since: when it last heard or said anything */
	uint64_t received;
	struct listener ear;
	/* Its ways: permille. */
	unsigned listens, extended, pipelined, named, blocks, copies, sleeps, cancels, leaves, fails, sets, big, bodies;
	struct person *next;
};

extern struct person *people;
extern unsigned people_left; /* that are not gone */

struct people_ways {
	unsigned count, operators, hostile;
	const char *const *databases;
	size_t database_count, user_count;
	bool prepared;      /* named statements are shared */
	unsigned names_max; /* bytes that those of one client may take; 0: any */
	bool transparent;   /* whatever a session holds is its own */
	bool bodies;        /* functions whose bodies are planned with settings are called */
	bool calls;         /* and procedures */
	bool listen;        /* some LISTEN */
	bool replicate;     /* some come for replication */
	bool password;
	time_us span; /* over which they come */
	unsigned leaves, cancels, slow;
	unsigned commands; /* permille of an operator's commands that change something */
};
void people_begin(const struct people_ways *);
void people_end(void);

struct person *person_of(int id);
bool person_is_quiet(const struct person *); /* it has had every answer that it asked for */
bool person_present(const struct person *);  /* connected, as far as it knows */

/* The end nears: nobody begins anything new. */
void people_hurry(void);

#endif
