#ifndef PGWEIR_SERVE_RELAY_H
#define PGWEIR_SERVE_RELAY_H

#include "serve/worker.h"
#include "wire/frame.h"

/* What the parts of the relay share: relay_client.c (bytes of clients), relay_names.c and relay_unnamed.c (their prepared statements),
 * relay_owed.c (what servers owe), relay_server.c (bytes of servers), relay_errors.c (their errors). The relay's own promise to the rest is in worker.h. */

/* Messages up to this length are waited for in the read buffer. */
#define WHOLE_MAX (LOOP_READ / 2)

/* A longer Query is no DEALLOCATE of one name. Bytes, less than WHOLE_MAX. */
#define RELAY_DEALLOCATE_MAX 1024u

/* Tags of a Parse that are no statement's id: too long to keep; unnamed. */
#define TAG_LONG    UINT32_MAX
#define TAG_UNNAMED (UINT32_MAX - 1)

/* The number of a statement that is there for the sake of an error, and that nobody is given. */
#define RELAY_ID_IN_USE 0u

/* Of a Query or Execute that may run the UNLISTEN we made of a DEALLOCATE: the client is told that it was one. */
#define TAG_DEALLOCATE (UINT32_MAX - 2)

/* Of a Parse, sent for the sake of an error, of a client that has as many statements as it may: it is told that, in the error's place. */
#define TAG_TOO_MANY (UINT32_MAX - 3)

/* The same in the place of a Bind or Describe, for one who was told of other columns than its statement has on this server. */
#define TAG_CHANGED (UINT32_MAX - 4)

enum step {
	STEP_FORWARD, /* the whole message goes on as it is, in whatever portions it comes */
	STEP_DISCARD, /* the whole message goes nowhere */
	STEP_TAKEN,   /* it was handled; what is still to come of it goes on as it is */
	STEP_COLLECT, /* collect it apart */
	STEP_WAIT,    /* more bytes, or a server, must come first */
	STEP_STOP     /* the client is being ended, or was handed over to somebody else */
};

/* What becomes of a message, by what is said in front of it. */
enum step relay_step(enum ahead);

/* Write a message's header at `at`; returns what is behind it. */
uint8_t *relay_header(uint8_t *at, char type, size_t body);

/* A message that is only its type. */
void relay_empty(struct outbox *, char type);

/* Named statements are shared when servers change hands; in session mode a client's names are its own on its own server. */
bool relay_shares_statements(const struct guest *);

/* What the server owes grew; fakes whose turn has come are answered at once. False: the client was ended. */
bool relay_owe(struct guest *, enum track_kind, unsigned flags, uint32_t tag);

/* What goes with the unnamed statement, which every Query drops, if it succeeds: nothing; the statement `ended`; all of them, perhaps. */
enum query_ends { QUERY_ENDS_NONE, QUERY_ENDS_ONE, QUERY_ENDS_ALL };

/* The same for a Query. */
bool relay_owe_query(struct guest *, enum query_ends, struct span ended);

/* Say what is ours to say now, unless the server is in the middle of a message. Mostly nothing is. */
void relay_answer_them(struct channel *);
static inline void relay_answer_fakes(struct channel *channel)
{
	if (track_fakes(&channel->track))
		relay_answer_them(channel);
}

void relay_note_request(struct guest *);
void relay_note_statement(struct channel *, struct span text);

/* A portal that may DEALLOCATE, one name or all, is bound, or executed. False: the client was ended. */
void relay_note_bound(struct guest *, struct span portal, struct statement *);
bool relay_owe_execute(struct guest *, struct span portal);

/* Before a Parse or Bind: if it begins a batch, close what the server has too many of. */
enum ahead relay_close_excess(struct guest *, struct span in, struct frame);

/* Whether this text, of so many bytes at most, is DEALLOCATE of one name, which a statement of the client's may have. */
bool relay_deallocates(const struct guest *, struct span text, struct span *name);

/* What stands around it. */
struct relay_around {
	struct span before, behind;
};

/* The same of a Query, which may have a savepoint around it. */
bool relay_query_deallocates(const struct guest *, struct span text, struct span *name, struct relay_around *);

/* The same of what is to be the unnamed statement. Which one the name has; NULL: it is none. */
struct statement *relay_ended_by(const struct guest *, const struct statement *unnamed, struct span *name);

/* It is bound to this portal, or another one is. False: the client was ended. */
bool relay_note_ending(struct guest *, struct span portal, const struct statement *ended, struct span name);
void relay_no_ending(struct guest *, struct span portal);

/* All portals are gone. */
struct extras;
void relay_no_endings(struct extras *);

/* This portal is executed: whether that ends a name, which is under way from now on. False: the client was ended. */
bool relay_take_ending(struct guest *, struct span portal, bool *ends);
void relay_deallocate_text(struct guest *, struct statement *, char out[80]);

/* Whether one of the statements of this text may be DEALLOCATE ALL or DISCARD ALL. */
bool relay_may_end_all(struct span text);

/* The word in front of `text`, or nothing; then whether nothing but a semicolon is left. */
struct span relay_take_word(struct span *text);
bool relay_is_over(struct span text);

/* The bytes of a BEGIN that is put off, or of the end of a transaction in which nothing was said: answered here. 0: it is something else. */
size_t relay_put_off(struct guest *, struct span in);

/* Before the first statement of a lease: BEGIN, if it was put off. False: memory refused. */
bool relay_begin(struct channel *);

/* The unnamed statement: whether what it is depends on the answer to an earlier batch; see to it that the server has it when the next message
 * arrives there (False: the client was ended); and a Parse or Close of it. */
bool unnamed_is_unsure(const struct guest *);
bool unnamed_ensure(struct guest *);
enum step unnamed_parse(struct guest *, struct span in, struct frame);
enum step unnamed_close(struct guest *);

/* Before a Bind of it to this portal: what is to be said first, noted or sent. STEP_FORWARD: all is. */
enum step unnamed_bind(struct guest *, struct span portal, struct span values);

/* A message that changes the unnamed statement (tag TAG_UNNAMED, or a Query) was read by the server, or it was not. */
void relay_unnamed_done(struct channel *, bool read);

/* What is under way to the client's names: see relay_pending.c. Each change goes with an entry on the track that has TRACK_NAMES, and is
 * done (or never was) when that is. `name` is empty for the unnamed statement. */
enum pending_kind {
	PENDING_NAME,
	PENDING_QUERY,     /* the unnamed statement goes; and `name`, if the Query's statement succeeds */
	PENDING_QUERY_ALL, /* the unnamed statement goes, and perhaps all others */
	PENDING_ALL        /* perhaps all but the unnamed one go */
};
/* Room for one name more than those under way, each of which has its place: its client may believe in it before it is there. */
bool pending_reserve(struct guest *);
bool pending_add(struct guest *, struct span name, struct statement *after); /* False: the client was ended */
bool pending_add_end(struct guest *, enum pending_kind, struct span name);   /* likewise */
bool pending_is_none(const struct guest *);                                  /* nothing is under way */
uint64_t pending_bytes(const struct guest *); /* that its names cost, with those under way */
void pending_complete(struct guest *);        /* if the oldest is a PENDING_QUERY, its statement has succeeded */
void pending_done(struct guest *, bool happened);
bool pending_next(const struct guest *,
	struct span *name); /* which name the answer that comes first is about; false: about none */
struct statement *pending_get(
	const struct guest *, struct span name); /* as what is sent now would find it; NULL: unknown */
struct statement *pending_look(const struct guest *, struct span name,
	struct shape **told); /* the same, and what was told of it; NULL: it is under way */
bool pending_changes(const struct guest *, struct span name); /* something is under way to it */
bool pending_has(const struct guest *, uint32_t id);          /* some name stands for it, or is about to */
bool pending_unsure(const struct guest *, struct span name);  /* that depends on the answer to an earlier batch */
void pending_forget_names(struct guest *);                    /* all that are there, none that is under way */
enum step pending_hold(struct guest *);                       /* the message at hand waits for the answer */
void pending_resume(struct guest *);

/* Names that are no more, or not yet, the client's for a statement, for the texts of errors: those of Parses of a name in use (extras.again), and those
 * that stand for another statement meanwhile (extras.former). The oldest for this one; NULL: there is none. With a tag of 0, any is over. */
bool relay_note_name(struct again **, uint32_t tag, struct span name); /* False: memory refused */
const char *relay_noted_name(struct again *, uint32_t tag);
void relay_name_over(struct again **, uint32_t tag);
void relay_again_over(struct guest *, uint32_t tag); /* of extras.again */

/* An ErrorResponse of the server's, matched already; `whole` is all of it, or what is here. */
enum step relay_error(struct channel *, struct span whole, bool is_whole, const struct track_reply *);

/* What an entry stood for does not exist: it failed, or the server skipped it. */
void relay_undo(struct channel *, const struct track_entry *);

/* What this client means by a text now, counted; and what a name of its means now, that stood for `statement`. NULL: the client was ended. */
struct statement *relay_take_statement(struct guest *, struct span tail);
struct statement *relay_read_again(struct guest *, struct span name, struct statement *, struct shape **told);

/* Borrowed until the next is asked for: which of its settings decide what a literal means, and all that it wants. NULL: they are not known, or memory
 * was refused. */
struct params *relay_literals(struct guest *, struct params **settings);

/* See to it that the server has the statement when the next message arrives there. False: the client was ended. */
bool relay_ensure_prepared(struct guest *, struct statement *);

/* A Parse that fails, with what that does to a transaction. */
bool relay_send_in_vain(struct guest *, struct span tail, uint32_t tag);

/* What the server says of a statement, and what its client was told: see relay_shapes.c. Asked behind each Parse (False: the client was ended); looked at
 * before a Bind with these values, or a Describe (NULL); FORWARD: it may go on, and if it is `ready` nothing is to be prepared. */
bool relay_ask_shape(struct guest *, struct statement *);
enum step relay_see_shape(
	struct guest *, struct statement *, struct shape *told, const struct span *values, bool *ready);
void relay_name_shape(struct guest *, struct span name, struct statement *); /* the name stands for it from now on */
void relay_shape_begins(struct channel *, char type, uint32_t id);
void relay_shape_goes_on(struct channel *, struct span here, bool last);
void relay_shape_undone(struct channel *, uint32_t id);

enum step relay_parse(struct guest *, struct span in, struct frame);
enum step relay_bind(struct guest *, struct span in, struct frame);
enum step relay_target(struct guest *, struct span in, struct frame); /* Describe and Close */

#endif
