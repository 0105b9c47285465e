#ifndef PGWEIR_SERVE_REMAINS_H
#define PGWEIR_SERVE_REMAINS_H

#include "base/time.h"
#include "session/question.h"
#include "serve/numbers.h"
#include "serve/plans.h"
#include "serve/texts.h"
#include "wire/track.h"

/* What a client leaves in the session of its server, with transparency = full and where servers change hands. A look at each statement
 * suspects, the server is asked, and then the client's settings go with it or the lease is pinned: see the drawing in remains.c. */

struct guest;
struct channel;
struct statement;
struct frame;
struct catalog;

/* Tags of our own queries in wire/track, so that their answers are told apart. */
#define TAG_QUESTION   1
#define TAG_CORRECTION 2
#define TAG_NUMBERS    3
#define TAG_CATALOG    4
#define TAG_BEGIN      5
#define TAG_LISTEN     6
#define TAG_MARK       7
#define TAG_FAILS      8
#define TAG_LOOKUP     9
#define TAG_PLANS      10
#define TAG_PROOF      11
#define TAG_SET        13
#define TAG_PART       14 /* what stands before the one of TAG_SET */
#define TAG_LIFT       15

/* The catalogue is being read: see catalogs.c. */
struct catalog_reading {
	struct catalog *catalog; /* owned; NULL: it is not */
	unsigned version;        /* it counts only if that is the one still */
	unsigned meaning;
	time_us since;
	bool failed;
};

/* A channel's; all zero is: nothing. */
struct remains {
	uint32_t touched;  /* marks of looks since the server was last asked */
	uint32_t prepared; /* what EXECUTE of its PREPAREs would do */
	uint32_t made;     /* what any statement may do while there are temporary objects */
	uint32_t pins;     /* 1 << enum pin */
	uint32_t asking;   /* marks of the question that is under way */
	bool asked;        /* ... and it is */
	bool failed;       /* the last one failed: not again before the client did something, or `again` */
	unsigned failures; /* ... and so did so many in a row */
	time_us again;
	bool held;     /* the client's next message waits until it is known what a RESET did */
	time_us until; /* ... or what the catalogue says, but no longer than this; 0: not for that */
	bool reset_all, reset_seen, correcting;
	bool correction_waits; /* correcting, but nothing is sent before a cancel has arrived */
	bool discarded;        /* DISCARD ALL was seen: it has committed, whatever fails behind it */
	bool set_behind;       /* something may have been set behind a RESET, before what that led to is set again */
	uint32_t before;       /* ReadyForQuery that come before a RESET's own answer */
	bool ends_unseen; /* a RESET ALL that nothing can take back is under way, and nothing behind it that sets what can not be seen */
	bool ended;        /* ... and it has succeeded */
	bool refused;      /* memory was: what was left is not known */
	bool blind;        /* a statement was sent without knowledge of the catalogue, or with one that is outdated */
	bool unsure;       /* ... and so the server is cleaned, whatever it says */
	bool own_settings; /* those that decide how a text is read may not be what they are known to be */
	bool own_names;    /* a name may mean something that is not there for others */
	bool in_front;     /* ... since a temporary object may be in front of that */
	uint32_t hides;    /* the newest statement's id when it came */
	bool used;         /* somebody had the server before this lease */
	bool temporary;    /* it may have had temporary objects, this lease's too */
	enum {
		DEFINES_NOTHING,
		DEFINES_AS_SAID,
		DEFINES_ANYTHING
	} defines;      /* what a statement of this lease may have changed: see catalogs.c */
	bool drops;     /* ... or has dropped */
	unsigned round; /* ... as said in this one */
	unsigned seen_version; /* of what the catalogue says, when a statement of this lease was first looked at; 0: none was */
	struct catalog_reading reading;
	struct numbers numbers;
	struct plans plans;
	struct buf taken; /* names of sequences, each behind the other with its zero: what TAG_PROOF has asked for */
	struct params *set, *called, *resets;
	struct params *buffers; /* what was applied when its first lease with temporary objects ended; NULL: none has */
	struct answer answer;
	char statement[TEXT_BYTES_MAX]; /* that which was first suspected */
	size_t statement_length;
};

/* Whether a RESET is to lead this client back to what it asked for at its login: in session mode too, where all else stays on its server. */
bool remains_corrects(const struct guest *);

/* PostgreSQL would refuse a setting of the client's on this server: temp_buffers can not be changed in a session that had temporary tables. */
bool remains_refuse(const struct channel *, const struct guest *);

/* SQL's PREPARE may have made a statement on this server. */
bool remains_may_prepare(const struct channel *);
/* There may be a cursor WITH HOLD. */
bool remains_may_hold(const struct channel *);

/* When a question that failed is due again, or it is to be looked whether the catalogue is known by now; 0: neither is. Do so then: ask, if its client
 * rests. */
time_us remains_due(const struct channel *);
void remains_ask_again(struct channel *);

/* Settings to be asked for by name, and whether there are more. */
void remains_name(struct channel *, const struct look *);

/* A statement is about to be sent, unless it waits for the numbers of others to be gone. `whole`: the text is all of it. */
enum ahead remains_look(struct guest *, struct span text, bool whole);
/* A batch may begin that prepares or binds this text: for what can not be said any more within that. */
enum ahead remains_look_batch(struct guest *, struct span text);
/* In session mode, where all else stays with its client: for a RESET, and for what a server that was used before does not notice by itself. */
enum ahead remains_look_session(struct guest *, struct span text, bool extended);
enum ahead remains_look_statement(struct guest *, struct statement *,
	struct span values); /* in a Bind; `values`: what it says behind its names, or nothing */
enum ahead remains_look_function(struct guest *, uint32_t oid);
void remains_mark(struct channel *, uint32_t marks);                   /* that can not be looked at */
enum ahead remains_run(struct guest *, uint32_t marks, bool extended); /* likewise; it runs what may ask for numbers */

/* The client's next message must wait (its stream is paused). */
bool remains_hold(struct guest *, char type);

/* What the server says: a tag that means SET, RESET or DISCARD; rows and the end of the answer to a question; and a ReadyForQuery to
 * the client's own. */
void remains_tag(struct channel *, bool all, bool reset);
void remains_failed(struct channel *); /* an error takes back what its message, or batch, did before it */
bool remains_wants(const struct channel *, const struct frame *); /* a row of an answer is looked at whole */
bool remains_row(struct channel *, struct span body);             /* False: the server can not be trusted */
void remains_answered(struct channel *);
void remains_corrected(struct channel *);
bool remains_ready(struct channel *); /* False: memory refused */

/* No cancel is on its way to the server any more: what of ours has waited for that is said, and what of the client's for ours. */
void remains_arrived(struct channel *);

/* ParameterStatus waits until a RESET was corrected. */
bool remains_quiet(const struct channel *);

/* At the end of a transaction: may the lease end now? */
bool remains_settle(struct channel *);

/* The lease ends. True: what is left there is to be cleaned. */
bool remains_part(struct channel *);
void remains_fini(struct remains *);

/* What it LISTENs to is not shared: it keeps its server; or now it is (see serve/handover.c). */
void remains_pin_listen(struct channel *);
void remains_unpin_listen(struct channel *);
void remains_let_go(struct channel *); /* what remains_hold made wait may come now */

/* The reasons of its pins, for people. */
void remains_describe(const struct remains *, char *out, size_t size);

/* A new server is ready: what did its connect_query set? False: it is asked (or ends), and says so when it is done. */
bool remains_learn_base(struct channel *);

/* A new server is ready otherwise. False: it reads the catalogue first, and says so when it is done. */
bool remains_learn_catalog(struct channel *);

/* Whether a text that is prepared now is read with the settings that the client is known to have; and whether its names mean what they mean to
 * everybody else, no temporary object or change of the catalogue's own being in front of that. */
bool remains_settings_known(const struct guest *);
bool remains_names_known(const struct guest *);

/* A temporary object may have come in front of what a name of this statement meant when it was read. */
bool remains_may_hide(const struct guest *, const struct statement *);

/* Before the first statement of a lease. False: memory refused. */
bool remains_begin(struct channel *);

#endif
