#ifndef PGWEIR_CORE_STATE_H
#define PGWEIR_CORE_STATE_H

#include "base/check.h"
#include "base/list.h"
#include "core/core.h"

/* What the core is made of. Only core/ includes this.
 *
 *   core --- scope (all servers) ---+
 *    |                              |
 *    +-- database --- scope ------- pool --- at[worker]: waiters, idle servers
 *    |                              |  |
 *    +-- user ------- scope --------+  +---- by_state[...]: servers
 *    +-- instance --- scope --------+
 *    |
 *    +-- clients (hash): only those at the door, logging in, waiting, or holding a server
 *    +-- porches (hash): origins that have clients
 *
 *   pool --- groups (hash), turns --- lines (one for each origin that waits here or holds servers) --- at[worker]: waiters
 *
 * A scope is a limit and what is counted against it; a pool is in five of them, one of which it shares only with its twin for
 * replication. */

#define uthash_fatal(text)              check(!text)
#define uthash_malloc(size)             core_memory(size)
#define HASH_FUNCTION(key, length, out) ((out) = core_hash((key), (length)))

/* Zeroed memory. What the core holds is bounded by servers and busy clients; without it no promise can be kept, so a
 * refusal ends the process with a report. */
void *core_memory(size_t size);
unsigned core_hash(const void *key, size_t length);

#include <uthash.h>

#define SERVER_STATES ((unsigned)SERVER_ORPHANED + 1)
#define DIALS_AT_ONCE 8 /* of one pool */

/* SCOPE_PAIR: the two pools of one database and user, where there is one for replication; else a pool has it alone. */
enum scope_kind { SCOPE_ALL, SCOPE_DATABASE, SCOPE_USER, SCOPE_PAIR, SCOPE_INSTANCE };
#define SCOPES ((unsigned)SCOPE_INSTANCE + 1)

struct scope {
	uint32_t max;      /* 0: no limit */
	uint32_t servers;  /* counted now, in every state */
	uint32_t aside;    /* more of ours that are in no pool: they count against `max` too */
	uint32_t visitors; /* SCOPE_INSTANCE: and those of pools that have several hosts: see core_visit */
	uint32_t room; /* SCOPE_INSTANCE, with a `max`: what was read, where `max` may be more for the sake of what is there */
	uint32_t leaving;     /* of `servers`: closing or orphaned */
	uint32_t idle;        /* of them */
	struct link pools;    /* pool.scope_links[kind] */
	time_us vacate_until; /* SCOPE_INSTANCE: see vacate.c */
};

struct database {
	database_id id;
	struct span name;
	struct database_rules rules;
	struct scope scope;
	uint32_t clients;
	bool paused, disabled, kill_paused;
	uint32_t pools_in_use; /* see forget.c */
	time_us unused_since;  /* the last of its pools was left then */
	UT_hash_handle hh;
	char name_bytes[];
};

struct user {
	struct span name;
	struct scope scope;
	uint32_t clients, clients_max;
	UT_hash_handle hh;
	char name_bytes[];
};

/* A PostgreSQL server. */
struct instance {
	instance_id id;
	struct span name;
	struct scope scope;
	UT_hash_handle hh;
	char name_bytes[];
};

/* A client's record lives while it is at the door, logs in, waits or holds a server; a parked client has none. */
enum stage { STAGE_PORCH, STAGE_DOOR, STAGE_LOGIN, STAGE_REFUSED, STAGE_SETTLED };
enum want { WANT_NOTHING, WANT_KEPT, WANT_WAITS, WANT_HEIR, WANT_LENT };

struct client {
	struct client_ref ref;
	struct client *spare; /* in core.spare: nobody's, to be used again */
	enum stage stage;
	enum want want;
	pool_id named;         /* logging in: as whom; NO_POOL: not yet */
	struct porch *porch;   /* until it is SETTLED: where it waits or is counted; NULL: nowhere */
	struct pool *pool;     /* wants or holds a server of it */
	struct line *line;     /* with `pool`: its origin there */
	struct server *server; /* WANT_LENT */
	struct server *awaits; /* WANT_HEIR: of which; NULL: it is loose */
	time_us since;         /* WANT_WAITS, WANT_KEPT, WANT_HEIR */
	time_us awaits_until;  /* WANT_HEIR */
	struct link
		link; /* STAGE_PORCH: porch.waiters; STAGE_DOOR: core.door; WANT_WAITS: pool.at[worker].waiters; WANT_HEIR: pool.heirs */
	struct link in_line; /* WANT_WAITS: line.at[worker].waiters; WANT_KEPT: line.kept */
	UT_hash_handle hh;
};

struct server {
	server_id id;
	struct pool *pool;
	uint32_t worker, to; /* whose it is; while MOVING also whose it will be */
	enum server_state state;
	uint32_t process_id; /* PostgreSQL's; 0: not known */
	time_us born, since;
	struct client *holder; /* LENT */
	struct client *heir;   /* who is lent it next, or NULL: see heir.c */
	struct line *line;     /* LENT and then CLEANING: of whom; MOVING: for whom. Or NULL */
	struct pool *room_for; /* CLOSING: the pool for which it makes room, or NULL */
	bool close_needed;
	bool unfit;      /* ... because it is not what its pool wants */
	bool close_told; /* EFFECT_CLOSE was said */
	bool leave_told; /* EFFECT_LEAVE was */
	bool used;       /* it has served a lease */
	bool rested;     /* it lay idle since it was last proven */
	time_us rested_since;
	struct link link;  /* pool.by_state[state]; IDLE: last used first; LENT and ORPHANED: longest first */
	struct link local; /* IDLE: pool.at[worker].idle, last used first */
};

/* What one server counts for an origin of weight 1. One of weight 4 counts a quarter of it for its origin. */
#define LOAD_SERVER (UINT64_C(1) << 20)

/* A place in an order of turns: a group's in its pool, a line's in its group. See turns.c. */
struct turn {
	uint64_t last;  /* the round of its last turn, or in which it began to stand */
	uint64_t next;  /* the round of its next; only while it stands */
	uint64_t order; /* among those of the same round */
	uint64_t mark; /* it stands: turns.served when it was served; it does not: turns.served + 1 when it gave up; or 0 */
	uint64_t load;     /* what it holds, each server by the weight of its line; in parts of LOAD_SERVER */
	uint32_t held;     /* servers lent to it or on their way */
	uint32_t standing; /* waiters for whom none is on its way; 0: it is not in the order */
	uint32_t place;    /* in the heap, while it stands */
};

struct turns {
	uint64_t round, count_taken, served;
	struct turn **heap; /* the next first */
	uint32_t count, capacity;
};

/* Who has user and address in common; made with its first line, gone with its last. */
struct group {
	uint64_t key;
	struct pool *pool;
	struct turn turn;   /* in pool.turns */
	struct turns turns; /* of its lines */
	uint32_t lines;
	UT_hash_handle hh;
};

struct line_worker {
	struct link waiters; /* by `since` */
	uint32_t waiting, incoming;
};

/* One origin in one pool, while it waits there or holds servers; a few that do neither rest, to be found again. */
struct line {
	uint64_t key;
	struct pool *pool;
	struct group *group;
	struct turn turn; /* in group.turns */
	uint32_t weight;
	uint32_t lent; /* to it; or cleaned after it */
	uint32_t promised, waiting, kept_count, heirs;
	struct link kept;    /* by `since`: who waits until the origin holds fewer servers */
	struct link roomy;   /* core.roomy: somebody kept may wait with the others now */
	struct link resting; /* pool.resting */
	UT_hash_handle hh;
	struct line_worker at[];
};

/* The logins of one origin: counted while it has clients, and for as long as its rate remembers them. */
struct porch {
	uint64_t key;
	uint32_t clients, waiting;
	time_us next_login;  /* see porch.c */
	struct link waiters; /* clients, first come first */
	struct link crowded; /* core.crowded: somebody waits */
	struct link lingers; /* core.lingering: nobody is here, but its rate remembers */
	UT_hash_handle hh;
};

struct pool_worker {
	struct link waiters; /* by `since` */
	struct link idle;
	uint32_t waiting, incoming, dialing; /* incoming: servers MOVING here */
};

struct pool {
	pool_id id;
	struct database *database;
	struct user *user;
	struct core_pool_rules rules;
	struct scope pair;            /* of the first of the two */
	struct scope *scopes[SCOPES]; /* that of a pool without an instance is core.nowhere */
	struct link scope_links[SCOPES];
	struct link hungry; /* core.hungry: needs a server and only a shared limit forbids it */
	struct link keeper; /* core.keepers: min_size > 0 */
	bool is_hungry, is_keeper;

	uint32_t servers, waiting, clients; /* waiting: not those who are kept */
	uint32_t kept, heirs_count;
	struct link heirs; /* clients, the longest waiting first */
	uint32_t rooms;    /* servers of others that are closing for us */
	uint32_t count[SERVER_STATES];
	struct link by_state[SERVER_STATES];
	uint32_t workers, next_worker; /* how many `at`; who dials for min_size next */

	time_us last_lifetime_close;
	time_us median_lease;
	uint64_t leases, failures;
	struct lengths {
		struct histogram waits, leases;
	} * lengths;            /* NULL: nothing was lent yet */
	bool in_use, forgotten; /* see forget.c */
	time_us unused_since;

	bool failed; /* the last dial failed */
	enum server_failure failure;
	unsigned greetings_failed; /* in a row */
	enum full_of full;
	time_us retry_at, pause; /* no dial before; how long the last pause was, 0: none since a success */
	time_us keep_at;         /* no dial for min_size before */
	char failure_text[160], sqlstate[6];
	time_us full_since;
	uint32_t full_target;
	time_us room_at; /* refused: no other's server is closed for it before */

	struct turns turns; /* of its groups */
	struct group *groups;
	struct line *lines, *line_last; /* line_last: asked for last, or NULL */
	struct link resting;            /* lines, longest first */
	uint32_t resting_count;

	struct pool_worker at[];
};

/* A console that waits for its answer. */
struct asker {
	struct client_ref client;
	enum event_kind command; /* PAUSE or WAIT_CLOSE */
	database_id database;
	struct link link;
};

struct core {
	struct core_setup setup;
	struct core_rules rules;
	time_us now, deadline;
	struct effects *out; /* while a step runs */

	struct scope scope;
	struct slots servers;
	struct database *databases_by_name, **databases;
	struct user *users_by_name;
	struct instance *instances_by_name, **instances;
	struct scope nowhere;
	struct pool **pools;
	uint32_t databases_count, instances_count, pools_count;

	struct client *clients, *spare; /* behind `nobody`: see door.c */
	struct client nobody;
	struct porch *porches;
	struct link door, hungry, keepers, askers, roomy, crowded, lingering;
	uint32_t spare_count;
	uint32_t clients_count;                                         /* entered and not refused there, not left */
	uint32_t full_pools;                                            /* whose full_since is set */
	uint32_t at_porch, at_door, logging_in, refused, waiting, lent; /* waiting: also who is kept */
	uint32_t loose_heirs;                                           /* within a step: see heir.c */
	uint64_t door_waits;

	bool paused, shutting_down, quit_said;
	uint32_t suspension, suspensions; /* 0: not suspended; how many there have been */
	uint32_t suspending;              /* workers that have still to say that all is sent */
	enum shutdown_mode shutdown;
};

/* effect.c: the next effect of this step, all zero but for what is given. */
struct effect *effect_add(struct core *, enum effect_kind, uint32_t worker);
struct effect *effect_for(struct core *, enum effect_kind, struct client_ref);

/* ledger.c: the states of servers, and every count that follows from them. */
struct server *server_new(struct core *, struct pool *, uint32_t worker);
void server_enter(struct core *, struct server *, enum server_state);
void server_lend(struct core *, struct server *, struct line *);              /* enter LENT */
void server_mail(struct core *, struct server *, uint32_t to, struct line *); /* enter MOVING */
void server_unlend(struct core *, struct server *); /* its line holds it no more, whatever state follows */
void server_gone(struct core *, struct server **);
struct server *server_of(const struct core *, server_id); /* NULL: forgotten */
uint32_t pool_live(const struct pool *);                  /* logged in and not leaving */
uint32_t pool_staying(const struct pool *);               /* all but closing and orphaned */

/* lease.c: lending and its end. */
void lease_open(struct core *, struct server *, struct client *);
void lease_close(struct core *, struct server *);

/* waiters.c: who waits, in order. */
void waiters_add(struct core *, struct client *, struct line *, time_us since);
void waiters_remove(struct core *, struct client *); /* likewise */
struct client *waiters_any(const struct pool *);     /* also one that is kept, or an heir; NULL: nobody */
struct client *waiters_oldest(const struct pool *);
uint32_t waiters_uncovered(const struct pool *); /* for whom no server is on its way by mail */
/* Whom a server free at `worker` serves, that was mailed there for `promised` (or NULL): see the essay. NULL: nobody. */
struct client *waiters_next(const struct pool *, uint32_t worker, const struct line *promised);
/* For whom the next dial is: the longest waiting that no mail and no dial is under way for. NULL: nobody. */
struct client *waiters_next_dial(const struct pool *);

/* heir.c: clients that want one server. */
/* It is lent that one, or waits for it; false: it can not have it. */
bool heir_wants(struct core *, struct client *, struct line *, time_us since, server_id wanted);
struct client *heir_take(struct core *, struct server *); /* it is lent it now */
void heir_remove(struct core *, struct client *);
void heir_lost(struct core *, struct server *); /* it serves nobody any more */
void heirs_join(struct core *);                 /* those who are loose wait with the others */
void heirs_limit(struct core *, struct pool *); /* origin_servers_max has changed */
time_us heirs_due(const struct pool *);
void heirs_tick(struct core *, struct pool *);

/* turns.c: whose turn it is. */
uint64_t turn_wait(const struct turn *);         /* for how many rounds it stands back, holding what it holds */
void turn_held(struct turns *, struct turn *);   /* `load` has changed */
void turn_stands(struct turns *, struct turn *); /* `standing` was 0, and is not any more */
void turn_leaves(struct turns *, struct turn *); /* `standing` has become 0 */
void turn_take(struct turns *, struct turn *);   /* it is served now */
void turns_fini(struct turns *);

/* line.c: the origins of a pool. */
/* `weight` is what it weighs from now on, whatever it weighed before. */
struct line *line_of(struct pool *, uint64_t origin, uint64_t group, uint32_t weight);
uint64_t line_load(const struct line *); /* of what it holds */
void line_lent(struct core *, struct line *, int change);
void line_promised(struct core *, struct line *, uint32_t worker, int change);
void line_waits(struct core *, struct line *, uint32_t worker, int change);
void line_heirs(struct line *, int change);
void line_takes_turn(struct line *);
bool line_has_room(const struct line *); /* for one more that waits or is lent a server */
/* Is there room for one that wants since then, if a younger one that waits is kept instead? */
bool line_makes_room(struct core *, struct line *, time_us since);
void line_keep(struct core *, struct client *, struct line *, time_us since);
void line_unkeep(struct core *, struct client *);
bool line_admit(
	struct core *, struct line *); /* who was kept waits with the others, as far as there is room; false: nobody */
void lines_admit(struct core *);       /* of every line that has become roomy; servers are found for them */
void lines_limit(struct core *, struct pool *); /* origin_servers_max has changed */
void lines_free(struct pool *);
void lines_forget(struct pool *); /* those that rest */
void link_by_since(struct link *list, struct link *, time_us since, size_t offset);

/* lend.c: what becomes of a server nobody holds, and of a client that wants one. */
void server_offer(struct core *, struct server *);
void server_tell_close(struct core *, struct server *, enum close_reason);
void server_close(struct core *, struct server *, enum close_reason);
void server_end_stream(struct core *, struct server *, enum close_reason); /* if it is lent for replication */
void server_hurry(struct core *, struct server *); /* it must close: and soon, if it is lent and its pool wants that */
void server_move(struct core *, struct server *, struct client *to);
void lend_rescue(struct core *, struct pool *);
void lend_wants(struct core *, const struct event *);
void lend_gives_up(struct core *, const struct event *);
void lend_take_back(struct core *, struct client *);
void lend_ready(struct core *, const struct event *);
void lend_cleaning(struct core *, const struct event *);
void lend_arrived(struct core *, const struct event *);
void lend_closing(struct core *, const struct event *);
void lend_unfit(struct core *, const struct event *);
void lend_lost(struct core *, const struct event *);

/* dial.c: opening servers, failing to, and keeping the least. */
enum dial_answer { DIAL_NOW, DIAL_NOT_NOW, DIAL_SHARED }; /* SHARED: only a limit shared with other pools forbids it */
bool dial_wanted(const struct pool *);                    /* somebody waits for whom nothing is under way */
enum dial_answer dial_allowed(const struct core *, const struct pool *);
void dial_one(struct core *, struct pool *, uint32_t worker);
void dial_more(struct core *, struct pool *);
void dial_keep_min(struct core *, struct pool *);
struct pool *dial_succeeded(struct core *, struct server *);
void dial_next(struct core *, struct pool *); /* one has succeeded and found its use: are more wanted? */
void dial_failed(struct core *, const struct event *);
void dial_greeting_failed(struct core *, struct pool *);     /* it had logged in, and ends before it was ready */
bool dial_refuses(const struct core *, const struct pool *); /* clients are told at once */
void dial_again(struct core *, struct pool *);               /* what it was refused for may be mended */
void dial_refuse(struct core *, struct client *, bool known);
uint32_t pool_least(const struct pool *); /* min_size as it holds now */
time_us dial_due(const struct core *, const struct pool *);
time_us dial_min_due(const struct core *, const struct pool *);
time_us dial_full_due(const struct core *, const struct pool *); /* when it need not be taken for full any more */
void dial_full_over(struct core *, struct pool *);

/* limits.c: limits that pools share, and giving way to each other. */
bool scope_full(const struct scope *);
bool pool_over(const struct pool *); /* more servers than the rules now allow */
void limits_hunger(struct core *, struct pool *);
bool limits_yield(struct core *, struct server *, const struct client *next);
bool limits_yield_refused(struct core *, struct server *, const struct client *next);
bool limits_make_room(struct core *, struct pool *);
/* PostgreSQL itself is full: a server that rests and counts against the same limit there is a slot. */
void limits_relieve(struct core *, struct pool *);
void limits_freed(
	struct core *, struct pool *); /* something of this pool may have come free, or has ceased to help it */
void limits_turns(struct core *);
void limits_shrink(struct core *);
void limits_budget(struct core *, const struct event *);
/* What was read holds for who is there now: fewer than were there then may take no more than that. */
void limits_fit(struct scope *);
void limits_visitor_left(struct core *, const struct event *);
uint32_t limits_most(const struct pool *, enum pool_bound *); /* servers that it could have now; 0: any number */
/* Clients that wait in other pools for what this one holds of a limit they share. */
uint32_t limits_beside(const struct core *, const struct pool *);

/* tick.c: what time brings. */
void tick(struct core *, const struct event *);
void tick_hurry(struct core *, time_us due);
time_us tick_pool_due(const struct core *, const struct pool *);
void tick_all_due(struct core *);
bool lifetime_over(const struct core *, const struct server *);
time_us lifetime_due(const struct server *); /* 0: never by time alone */

/* forget.c: pools that nobody uses. */
void pool_used(struct pool *);                /* it has a client, a server or somebody who waits */
void pool_left(struct core *, struct pool *); /* one of them is gone */
time_us forget_due(const struct core *, const struct pool *);
void forget_unused(struct core *, struct pool *); /* if that is due */

/* door.c: clients coming and going. */
struct client *client_find(const struct core *, struct client_ref);
struct client *client_make(struct core *, struct client_ref, enum stage);
void client_drop(struct core *, struct client *);
void clients_init(struct core *);
void clients_free(struct core *);
struct client *clients_first(const struct core *); /* and from there by hh.next; NULL: there is none */
void client_rest(struct core *, struct client *);  /* drops the record if nothing needs it any more */
uint32_t door_busy(const struct core *);
void door_enters(struct core *, const struct event *);
void door_named(struct core *, const struct event *);
void door_settled(struct core *, const struct event *);
void door_left(struct core *, const struct event *);
void door_open(struct core *);
void door_shut(struct core *);
void door_come(struct core *, struct client *); /* past its porch */

/* porch.c: what limits the logins of one origin. */
struct porch *porch_of(struct core *, uint64_t origin); /* NULL: the unknown one */
bool porch_passes(const struct core *, const struct porch *);
bool porch_full(const struct core *, const struct porch *);
void porch_enter(struct core *, struct porch *, struct client *); /* it passes, and is counted */
void porch_wait(struct core *, struct porch *, struct client *);
void porch_leave(struct core *, struct porch *); /* one that was counted */
void porch_stop(struct core *, struct client *); /* one that waits there does so no more */
void porches_open(struct core *);
time_us porches_due(const struct core *);
void porches_free(struct core *);

/* vacate.c: room for who drops a database. */
bool pool_vacated(const struct core *, const struct pool *); /* a server of it that nobody holds closes */
void vacate(struct core *, const struct event *);
void vacate_left(struct core *, struct pool *); /* a client of it has */

/* commands.c: what people ask for. */
void pool_close_idle(struct core *, struct pool *, enum close_reason);
bool pool_paused(const struct core *, const struct pool *);
void command(struct core *, const struct event *);
void command_suspended(struct core *, const struct event *);
void command_consoles_left(struct core *, const struct event *);
void command_shutdown(struct core *, const struct event *);
void command_asker_left(struct core *, const struct event *);
void commands_settle(struct core *);

#endif
