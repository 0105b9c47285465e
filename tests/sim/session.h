#ifndef SIM_SESSION_H
#define SIM_SESSION_H

#include "bodies.h"
#include "world.h"

/* What one backend of PostgreSQL does with the messages of its client, as a pure conversation: bytes in, bytes out. The simulated
 * PostgreSQL runs one per connection. Each simulated client runs one too, fed with what it sends: so it knows, byte for byte, what a
 * direct connection would have answered.
 *
 * The language is small: see the table in session.c. Statements of clients carry a tag, 'c<client>.<number>', somewhere in their text. */

#define SETTINGS       14
#define SETTING_BYTES  72
#define STATEMENTS_MAX 64
#define PORTALS_MAX    16
#define TEXT_BYTES     1600 /* all settings at once */

struct setting_fact {
	const char *name, *standard;
	bool reported;
};
extern struct setting_fact setting_facts[SETTINGS];

/* Which version of PostgreSQL it is. Since 18 it reports search_path, and takes the second statement of a batch for one in a transaction block. */
void setting_version(const char *version);
bool setting_is_18(void);
int setting_find(struct span name); /* -1: there is none */

/* A login trigger of that version sets this for each session that begins (PostgreSQL manual, "Event Trigger on Login"). -1: there is none. */
void setting_trigger(int setting, const char *value);
int setting_triggered(void);

/* How PostgreSQL writes a value that somebody asked for. */
void setting_normal(int setting, struct span value, char out[SETTING_BYTES]);

struct prepared {
	bool used;
	char name[64], text[TEXT_BYTES];
	struct plan plan; /* of one that names tenant() */
};

struct portal {
	bool used;
	char name[64], text[TEXT_BYTES];
	char parameter[128], worth[WORTH_BYTES];
	unsigned at; /* rows already sent */
};

typedef void statement_runs(void *who, const char *text);
typedef void transaction_commits(void *who);
typedef void session_readies(void *who, struct bytes *out);
typedef void plan_runs(void *who, const struct plan *, const char *now, int tag);

/* What is LISTENed to: t0 and so on, and behind them the one other name that there is. */
#define TOPIC_MARK 8
#define SAID_MAX   16
const char *topic_name(unsigned topic);

struct session {
	char now[SETTINGS][SETTING_BYTES];     /* in force */
	char lasting[SETTINGS][SETTING_BYTES]; /* after a commit */
	char saved[SETTINGS][SETTING_BYTES];   /* after a rollback */
	char standard[SETTINGS][SETTING_BYTES];
	uint32_t set, set_lasting, set_saved; /* those whose value was SET, be it the standard one: bits, likewise */
	char told[SETTINGS][SETTING_BYTES];
	char mine[80], mine_saved[80]; /* the temporary table of this session; empty: there is none */
	/* Of a client's own: the most bytes that its names may take, 0: any; and whether it was just told that they do. */
	unsigned names_max;
	bool refused;
	char status;     /* I T E */
	bool implicit;   /* in an implicit transaction */
	bool executed;   /* by an Execute of it: what follows is in a block (since 18) */
	bool skipping;   /* until Sync */
	bool untouched;  /* a plain BEGIN, and nothing since: the pooler may know more of it than PostgreSQL */
	uint8_t copying; /* 1: asked for by Query, 2: by Execute */
	unsigned copy_rows, copy_fails_at;
	bool copy_is_hit; /* it ends with the next data */
	char copier[100];
	uint64_t copy_sum;
	struct prepared statements[STATEMENTS_MAX];
	struct portal portals[PORTALS_MAX];
	/* The rest of a Query that sleeps or copies. */
	char query[16384];
	size_t query_at, query_length;
	time_us sleeps; /* > 0: it waits for session_wake */
	bool sleeps_in_execute, sleep_writes;
	char sleeper[700];
	/* Topics that are heard, and that will be after a commit; and what a commit will say to everybody. */
	uint32_t listens, coming;
	struct {
		unsigned topic;
		char payload[40];
	} said[SAID_MAX];
	unsigned said_count;
	bool over; /* Terminate, or a fatal error */
	statement_runs *runs;
	transaction_commits *commits;
	session_readies *readies; /* not in a block */
	plan_runs *plans;
	struct plan bodies[BODIES];
	const char *bound;           /* what was planned of the portal that runs; NULL: nothing */
	uint64_t worths[WORTHS_MAX]; /* prints of what bodies could have come to: see bodies.h */
	unsigned worths_count;
	void *who;
};

struct session *session_new(void);
void session_free(struct session *);

/* What the pooler says in PostgreSQL's place when a client's names take more than names_max. */
#define TOO_MANY_CODE "53400"
#define TOO_MANY_TEXT "too many prepared statements"

/* A setting of the startup packet. */
void session_start_with(struct session *, struct span name, struct span value);

/* It has what it was started with: now the trigger. */
void session_logs_in(struct session *);

/* ParameterStatus of everything that is reported. */
void session_report_all(struct session *, struct bytes *out);

/* One whole message; not while it sleeps. */
void session_take(struct session *, char type, struct span body, struct bytes *out);
bool session_sleeps(const struct session *);
void session_wake(struct session *, bool cancelled, struct bytes *out);

/* ---- cancels: interrupted.c ---- */

/* In the midst of a COPY IN, between two messages. False: there is none. */
bool session_copy_is_hit(struct session *);

/* As session_take, but what it begins is cancelled before it does anything; `late`: when it has given its rows, if it is a Query for such. */
void session_is_hit(struct session *, char type, struct span body, bool late, struct bytes *out);

/* Whether it would come so far; `text` is then what runs. */
bool session_can_be_hit(struct session *, char type, struct span body, char text[TEXT_BYTES]);

/* ---- messages: messages.c ---- */

void say_empty(struct bytes *, char type);
void say_text(struct bytes *, char type, const char *text); /* with its zero */
void say_body(struct bytes *, char type, const void *, size_t);
void say_ready(struct bytes *, char status);
void say_error(struct bytes *, char type, const char *severity, const char *sqlstate, const char *message);
void say_setting(struct bytes *, const char *name, const char *value);
void say_row_description(struct bytes *);                     /* of one column, a text */
void say_row(struct bytes *, const char *text, size_t width); /* the text again and again, if it is narrower */
void say_fields(struct bytes *, const char *const fields[3]); /* a row of three; NULL is NULL */
void say_tag(struct bytes *, const char *tag, unsigned n, bool counted);

/* The next whole message at the front; false: not there yet. */
bool message_next(struct span bytes, char *type, struct span *body, size_t *total);

/* A field of an error or notice; "" when missing. */
const char *error_field(struct span body, char field, char out[300]);

/* The client whose tag is in a statement; -1: none. */
int tag_of(const char *text);

#endif
