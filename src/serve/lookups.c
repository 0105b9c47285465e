/* Questions about users. A client whose name is not in auth_file, or whose roles a rule must know, waits for an answer, and the first of them asks:
 *
 *   proof needs a secret --> kept and fresh? --yes----------------------------------------> go on with the proof
 *                                 | no
 *                                 v
 *                      does somebody ask? --yes--> wait ------------ letter ---------------> go on (or: ask again)
 *                                 | no                                  ^
 *                                 v                                     |
 *                    want a server of (auth_dbname, auth_user) --> ask --> answer: keep it, tell all
 *
 * Who asks is a client of the core like any other that wants a server: it waits in that pool's line under its own origin, so the
 * limits hold, those who flood us with names take turns with everybody else (an address is one origin here, whatever it calls itself), and
 * it leaves nothing behind when it goes (then one of those who wait asks anew). The lease is one as for learning: no byte of it reaches the client, and none of the client's parameters reach the
 * server; the session is reset first, so that nothing that was set there before can decide what the query finds (CVE-2025-12819).
 *
 * An entry of the table:  ASKED --answer--> KNOWN (a secret, or nobody) --too old, or doubted, or RELOAD--> ASKED by the next login
 *                           +----failure---> gone
 * There are at most ENTRIES_MOST of them, those answered longest ago go first; and at most ASKED_MOST are asked for at once. */
#include "serve/lookups.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/text.h"
#include "io/thread.h"
#include "serve/channel.h"
#include "serve/extras.h"
#include "serve/guest.h"
#include "session/lookup.h"

#define BUCKETS       1024
#define ENTRIES_MOST  8192
#define ASKED_MOST    512
#define WAITING_MOST  16384 /* for one answer */
#define USERS_COUNTED (1u << 20)
#define DOUBT_AFTER   SECOND_US /* younger answers are not asked for again because of a wrong password */

struct entry {
	struct link bucket, age; /* age: only when it is known */
	uint64_t scope;          /* where and what is asked, as a hash */
	char *user;
	bool asked, doubted;
	unsigned generation; /* of the configuration that was in force when it was asked */
	time_us answered;
	struct secrets *found; /* NULL: nobody */
	struct roles *roles;   /* LOOKUP_ROLES */
	struct client_ref *waiting;
	size_t waiting_count, waiting_capacity;
};

struct lookups {
	struct lock *lock;                  /* first: see locked_new */
	struct link buckets[BUCKETS], ages; /* oldest answer first */
	uint32_t count, asked;
	uint32_t scram_found, other_found; /* users, by the kind of their secret */
	struct secret_mock like;           /* the last SCRAM secret that was found */
	struct secrets **pools;            /* by pool id: what its last login proved */
	uint32_t pool_capacity;
};

/* The one who asks. */
struct asking {
	struct entry *entry;
	const char *problem; /* with a row */
	bool row, secret;
	struct buf text;
	struct roles *roles;
};

enum outcome { OUTCOME_ANSWER, OUTCOME_AGAIN, OUTCOME_FAILED };

struct letter_lookup {
	struct letter letter;
	struct client_ref to;
	enum outcome outcome;
	struct secrets *found; /* counted */
	struct roles *roles;   /* so are they */
};

struct lookups *lookups_new(void)
{
	struct lookups *made = locked_new(sizeof *made);

	if (!made)
		return NULL;
	for (size_t i = 0; i < BUCKETS; i++)
		link_init(&made->buckets[i]);
	link_init(&made->ages);
	return made;
}

/* ---- the table, under its lock ---- */

static void entry_free(struct lookups *lookups, struct entry *entry)
{
	link_remove(&entry->bucket);
	link_remove(&entry->age);
	lookups->count--;
	secrets_drop(entry->found);
	roles_drop(entry->roles);
	free(entry->waiting);
	free(entry->user);
	free(entry);
}

void lookups_free(struct lookups *lookups)
{
	if (!lookups)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (!link_empty(&lookups->buckets[i]))
			entry_free(lookups, link_owner(lookups->buckets[i].next, struct entry, bucket));
	for (uint32_t i = 0; i < lookups->pool_capacity; i++)
		secrets_drop(lookups->pools[i]);
	free(lookups->pools);
	lock_free(lookups->lock);
	free(lookups);
}

static struct link *bucket_of(struct lookups *lookups, uint64_t scope, struct span user)
{
	return &lookups->buckets[(scope * 3 + hash_bytes(user)) % BUCKETS];
}

static struct entry *find(struct lookups *lookups, uint64_t scope, struct span user)
{
	struct link *head = bucket_of(lookups, scope, user), *at;

	for (at = head->next; at != head; at = at->next) {
		struct entry *entry = link_owner(at, struct entry, bucket);

		if (entry->scope == scope && span_equal(span_text(entry->user), user))
			return entry;
	}
	return NULL;
}

static struct entry *make(struct lookups *lookups, uint64_t scope, struct span user)
{
	struct entry *entry = calloc(1, sizeof *entry);

	if (entry)
		entry->user = strndup((const char *)user.at, user.length);
	if (!entry || !entry->user) {
		free(entry);
		return NULL;
	}
	if (lookups->count >= ENTRIES_MOST && !link_empty(&lookups->ages))
		entry_free(lookups, link_owner(lookups->ages.next, struct entry, age));
	entry->scope = scope;
	link_init(&entry->age);
	link_last(bucket_of(lookups, scope, user), &entry->bucket);
	lookups->count++;
	return entry;
}

static bool is_fresh(const struct entry *entry, const struct worker *worker)
{
	time_us keep = entry->found || entry->roles ? worker->config->auth_query_keep
						    : worker->config->auth_query_keep_none;

	return !entry->asked && !entry->doubted && entry->generation == worker->generation &&
		worker->now < entry->answered + keep;
}

static bool add_waiting(struct entry *entry, struct client_ref who)
{
	size_t capacity = entry->waiting_capacity ? entry->waiting_capacity * 2 : 8;
	struct client_ref *grown;

	if (entry->waiting_count == WAITING_MOST)
		return false;
	if (entry->waiting_count == entry->waiting_capacity) {
		grown = realloc(entry->waiting, capacity * sizeof *grown);
		if (!grown)
			return false;
		entry->waiting = grown;
		entry->waiting_capacity = capacity;
	}
	entry->waiting[entry->waiting_count++] = who;
	return true;
}

/* ---- where ---- */

static bool where_of(const struct guest *guest, struct auth_lookup *where, uint64_t *scope)
{
	struct span database = client_facts(guest->login)->database;
	uint64_t parts[3];

	if (!config_auth_lookup(guest->worker->config, database, where))
		return false;
	if (guest->looking_for == LOOKUP_ROLES) {
		where->query = lookup_roles_query;
		where->search_path = "pg_catalog, pg_temp";
	}
	parts[0] = where->database ? hash_bytes(span_text(where->database)) : hash_bytes(database);
	parts[1] = hash_bytes(span_text(where->user));
	parts[2] = hash_bytes(span_text(where->query));
	*scope = hash_bytes(span_of(parts, sizeof parts));
	return true;
}

/* ---- those who wait ---- */

/* Everybody in the list hears of it, and the list is freed. */
static void tell(struct worker *worker, struct client_ref *waiting, size_t count, enum outcome outcome,
	struct secrets *found, struct roles *roles)
{
	for (size_t i = 0; i < count; i++) {
		struct letter_lookup *letter = calloc(1, sizeof *letter);

		check(letter); /* who is not told would wait until client_login_timeout */
		letter->letter.kind = LETTER_LOOKUP;
		letter->to = waiting[i];
		letter->outcome = outcome;
		letter->found = found ? secrets_keep(found) : NULL;
		letter->roles = roles ? roles_keep(roles) : NULL;
		worker_post(worker, waiting[i].worker, &letter->letter);
	}
	free(waiting);
}

static void say_failed(struct guest *guest)
{
	guest_refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW,
		guest_is_bouncers(guest) ? "bouncer config error"
			: guest->looking_for == LOOKUP_ROLES
			? "the pooler could not ask PostgreSQL for this user's roles"
			: "the pooler could not ask PostgreSQL for this user's password",
		NULL, guest_is_bouncers(guest) ? NULL : "Its log says why (auth_query).");
}

static const char *what_of(const struct guest *guest)
{
	return guest->looking_for == LOOKUP_ROLES ? "asking for the roles of" : "auth_query for";
}

void lookup_letter_free(struct letter *mail)
{
	struct letter_lookup *letter = (struct letter_lookup *)(void *)mail;

	secrets_drop(letter->found);
	roles_drop(letter->roles);
	free(letter);
}

/* What somebody of this name would have who is not there: SCRAM, or not, with the share of those who were found, and always the same but for
 * the few names at the border when that share changes. Where nobody was found yet, it is SCRAM. */
static struct secret_mock pretend(const struct lookups *lookups, struct span user)
{
	uint64_t place = hash_bytes(user) >> 32, all = (uint64_t)lookups->scram_found + lookups->other_found;
	struct secret_mock mock = lookups->like;

	mock.scram = all == 0 || place * all < (uint64_t)lookups->scram_found << 32;
	return mock;
}

static void go_on(struct guest *guest, struct secrets *found, struct roles *roles)
{
	struct lookups *lookups = guest->worker->house->lookups;
	struct secret_mock mock;

	if (guest->looking_for == LOOKUP_ROLES) {
		guest_told_roles(guest, roles);
		return;
	}
	lock_take(lookups->lock);
	mock = pretend(lookups, client_facts(guest->login)->user);
	lock_drop(lookups->lock);
	guest_found(guest, found, mock);
}

void lookup_letter(struct worker *worker, struct letter *mail)
{
	struct letter_lookup *letter = (struct letter_lookup *)(void *)mail;
	struct guest *guest = slots_get(&worker->guests, letter->to.client);

	if (guest && guest->state == GUEST_ASKING && !guest->extras->asking) {
		if (letter->outcome == OUTCOME_AGAIN)
			lookup_ask(guest, guest->looking_for);
		else if (letter->outcome == OUTCOME_FAILED)
			say_failed(guest);
		else
			go_on(guest, letter->found, letter->roles);
	}
	lookup_letter_free(mail);
}

/* ---- the one who asks ---- */

static void asking_free(struct guest *guest)
{
	struct extras *extras = extras_of(guest);

	buf_wipe(&extras->asking->text);
	roles_drop(extras->asking->roles);
	free(extras->asking);
	extras->asking = NULL;
	params_drop(guest->wanted);
	guest->wanted = NULL;
}

/* Its question is over. `found` and `roles` are taken. */
static void finish(struct guest *guest, enum outcome outcome, struct secrets *found, struct roles *roles)
{
	struct worker *worker = guest->worker;
	struct lookups *lookups = worker->house->lookups;
	struct entry *entry = guest->extras->asking->entry;
	struct secrets *old = NULL;
	struct roles *old_roles = NULL;
	struct client_ref *waiting;
	bool first = entry->answered == 0;
	size_t count;

	lock_take(lookups->lock);
	check(entry->asked);
	lookups->asked--;
	waiting = entry->waiting;
	count = entry->waiting_count;
	entry->waiting = NULL;
	entry->waiting_count = entry->waiting_capacity = 0;
	entry->asked = false;
	if (outcome == OUTCOME_ANSWER) {
		old = entry->found;
		entry->found = found ? secrets_keep(found) : NULL;
		old_roles = entry->roles;
		entry->roles = roles ? roles_keep(roles) : NULL;
		entry->answered = worker->now;
		entry->doubted = false;
		link_last(&lookups->ages, &entry->age);
		if (found) {
			struct secret_mock like = secret_mock_like(secrets_find(found, span_text(entry->user)));

			if (first && lookups->scram_found + lookups->other_found < USERS_COUNTED)
				(*(like.scram ? &lookups->scram_found : &lookups->other_found))++;
			if (like.scram)
				lookups->like = like;
		}
	} else {
		entry_free(lookups, entry);
	}
	lock_drop(lookups->lock);
	secrets_drop(old);
	roles_drop(old_roles);
	asking_free(guest);
	tell(worker, waiting, count, outcome, found, roles);
	secrets_drop(found);
	roles_drop(roles);
}

void lookup_failed(struct guest *guest, const char *problem)
{
	check(guest->state == GUEST_ASKING);
	if (guest->extras->asking) {
		guest_log(guest, LOG_WARNING, "%s user \"%s\" failed: %s", what_of(guest), guest_user(guest), problem);
		finish(guest, OUTCOME_FAILED, NULL, NULL);
	}
	say_failed(guest);
}

void lookup_leave(struct guest *guest)
{
	if (guest->extras->asking)
		finish(guest, OUTCOME_AGAIN, NULL, NULL);
}

static void begin(struct guest *guest, struct entry *entry, const struct auth_lookup *where)
{
	struct worker *worker = guest->worker;
	struct span database = where->database ? span_text(where->database) : client_facts(guest->login)->database;
	struct pool_view *view;
	bool unknown = false;

	guest->extras->asking->entry = entry;
	guest->wanted = params_empty(worker->house->params);
	if (where->search_path && !params_put(&guest->wanted, span_text("search_path"), span_text(where->search_path))) {
		lookup_failed(guest, "out of memory");
		return;
	}
	view = pool_view_as(worker, database, span_text(where->user), &unknown);
	if (!view) {
		lookup_failed(guest, unknown ? "its database has no entry in [databases]" : "out of memory");
		return;
	}
	guest->pool = view->id;
	guest->wants_since = worker->now;
	guest_step(guest, EVENT_CLIENT_WANTS);
}

/* There is nobody to ask, or no more: it was taken out of the configuration meanwhile. */
static void go_without(struct guest *guest)
{
	if (guest->looking_for == LOOKUP_ROLES)
		guest_log(guest, LOG_WARNING,
			"the roles of user \"%s\" can not be asked for: no auth_user holds for the database that it wants",
			guest_user(guest));
	go_on(guest, NULL, NULL);
}

void lookup_ask(struct guest *guest, enum lookup_kind kind)
{
	struct worker *worker = guest->worker;
	struct lookups *lookups = worker->house->lookups;
	struct span user = client_facts(guest->login)->user;
	struct secrets *found = NULL;
	struct roles *roles = NULL;
	struct asking *asking = calloc(1, sizeof *asking);
	struct extras *extras = extras_of(guest);
	struct auth_lookup where;
	struct entry *entry = NULL;
	bool known = false, waits = false;
	uint64_t scope;

	stream_pause(guest->stream);
	guest->state = GUEST_ASKING;
	guest->looking_for = kind;
	if (!where_of(guest, &where, &scope)) {
		free(asking);
		go_without(guest);
		return;
	}
	lock_take(lookups->lock);
	entry = find(lookups, scope, user);
	if (entry && is_fresh(entry, worker)) {
		known = true;
		found = entry->found ? secrets_keep(entry->found) : NULL;
		roles = entry->roles ? roles_keep(entry->roles) : NULL;
	} else if (entry && entry->asked) {
		waits = add_waiting(entry, guest_ref(guest));
	} else if (asking && extras && lookups->asked < ASKED_MOST && (entry || (entry = make(lookups, scope, user)))) {
		link_remove(&entry->age);
		entry->asked = true;
		entry->generation = worker->generation;
		lookups->asked++;
		extras->asking = asking;
		asking = NULL;
	}
	lock_drop(lookups->lock);
	free(asking);
	if (guest->extras->asking) {
		begin(guest, entry, &where);
	} else if (known) {
		go_on(guest, found, roles);
		secrets_drop(found);
		roles_drop(roles);
	} else if (!waits) {
		guest_log(guest, LOG_WARNING, "%s user \"%s\" failed: too many logins wait for an answer",
			what_of(guest), guest_user(guest));
		say_failed(guest);
	}
}

void lookup_doubt(struct guest *guest)
{
	struct worker *worker = guest->worker;
	struct lookups *lookups = worker->house->lookups;
	struct auth_lookup where;
	struct entry *entry;
	uint64_t scope;

	guest->looking_for = LOOKUP_SECRET;
	if (!where_of(guest, &where, &scope))
		return;
	lock_take(lookups->lock);
	entry = find(lookups, scope, client_facts(guest->login)->user);
	if (entry && !entry->asked && worker->now >= entry->answered + DOUBT_AFTER)
		entry->doubted = true;
	lock_drop(lookups->lock);
}

/* ---- its server ---- */

void lookup_lent(struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct worker *worker = channel->worker;
	struct auth_lookup where;
	struct buf text = { 0 };
	struct writer w = writer_to(&text);
	struct asking *asking;
	struct piece piece;
	uint64_t scope;
	bool ok;

	if (!where_of(guest, &where, &scope)) {
		lookup_failed(guest, "it was taken out of the configuration");
		return;
	}
	/* A server that was lost may have said something already. */
	asking = guest->extras->asking;
	asking->row = asking->secret = false;
	asking->problem = NULL;
	buf_wipe(&asking->text);
	roles_drop(asking->roles);
	asking->roles = NULL;
	lookup_write(&w, where.query, client_facts(guest->login)->user);
	ok = writer_ok(&w) && track_push(&channel->track, TRACK_PARSE, TRACK_OURS, 0) &&
		track_push(&channel->track, TRACK_BIND, TRACK_OURS, 0) &&
		track_push(&channel->track, TRACK_EXECUTE, TRACK_OURS, TAG_LOOKUP) &&
		track_push(&channel->track, TRACK_SYNC, TRACK_OURS, TAG_LOOKUP);
	piece = (struct piece){ text.at + text.start, text.length };
	ok = ok && stream_write(channel->stream, &piece, 1);
	channel->batch++;
	channel->unnamed = PREPARED_NONE;
	channel->setup_failed = false;
	buf_fini(&text);
	if (!ok)
		channel_break(channel, "out of memory");
	else if (worker->config->auth_query_timeout > 0)
		timer_set(&worker->timers, &channel->timer, worker->now + worker->config->auth_query_timeout);
}

bool lookup_wants(const struct channel *channel, const struct frame *frame)
{
	const struct track *track = &channel->track;

	return frame->type == 'D' && channel->guest && channel->guest->extras->asking && track->count > 0 &&
		(track->ring[track->head].flags & TRACK_OURS) && track->ring[track->head].kind == TRACK_EXECUTE;
}

static void take_role(struct asking *asking, struct span body)
{
	struct span name;
	const char *problem = lookup_read_role(body, &name);

	if (!asking->roles)
		asking->roles = roles_new();
	if (!problem && (!asking->roles || !roles_add(asking->roles, name)))
		problem = "there is no memory for so many";
	if (!asking->problem)
		asking->problem = problem;
}

void lookup_row(struct channel *channel, struct span body)
{
	struct guest *guest = channel->guest;
	struct asking *asking = guest ? guest->extras->asking : NULL;
	struct span secret;
	const char *problem;

	if (!asking)
		return;
	if (guest->looking_for == LOOKUP_ROLES) {
		take_role(asking, body);
		return;
	}
	problem = lookup_read(body, client_facts(guest->login)->user, &secret);
	if (asking->row)
		problem = "it gave more than one row";
	if (!problem && secret.at && !buf_add_span(&asking->text, secret))
		problem = "out of memory";
	asking->row = true;
	asking->secret = secret.at != NULL;
	if (!asking->problem)
		asking->problem = problem;
}

void lookup_answered(struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct asking *asking = guest ? guest->extras->asking : NULL;
	struct secrets *found = NULL;
	struct roles *roles;
	char problem[200];

	if (!asking)
		return;
	if (channel->setup_failed || asking->problem || channel->track.status != 'I') {
		if (channel->setup_failed)
			text_format(problem, sizeof problem, "%s (%s)", channel->problem, channel->sqlstate);
		else
			text_copy(problem, sizeof problem,
				asking->problem ? asking->problem : "it left a transaction open");
		channel->setup_failed = false;
		lookup_failed(guest, problem);
		return;
	}
	if (asking->row && asking->secret) {
		found = secrets_one(client_facts(guest->login)->user, buf_span(&asking->text));
		if (!found) {
			lookup_failed(guest, "out of memory");
			return;
		}
		secrets_keep(found); /* it is finish's, and ours until the client has it */
	}
	roles = guest->looking_for == LOOKUP_ROLES && !asking->roles ? roles_new() : asking->roles;
	asking->roles = NULL;
	if (guest->looking_for == LOOKUP_ROLES && !roles) {
		lookup_failed(guest, "out of memory");
		return;
	}
	if (roles)
		roles_keep(roles);
	finish(guest, OUTCOME_ANSWER, found, roles);
	channel_return(channel);
	go_on(guest, found, roles);
	secrets_drop(found);
	roles_drop(roles);
}

void lookup_late(struct channel *channel)
{
	(void)errand_send(channel, (struct client_ref){ 0 });
	lookup_failed(channel->guest, "no answer within auth_query_timeout");
}

/* ---- pools ---- */

void lookup_keep(struct worker *worker, pool_id pool, struct secrets *found)
{
	struct lookups *lookups = worker->house->lookups;
	struct secrets *old = NULL, **pools;

	lock_take(lookups->lock);
	pools = array_reach(lookups->pools, &lookups->pool_capacity, pool, sizeof(struct secrets *));
	if (pools) {
		lookups->pools = pools;
		old = lookups->pools[pool];
		lookups->pools[pool] = secrets_keep(found);
	}
	lock_drop(lookups->lock);
	secrets_drop(old);
}

struct secrets *lookup_secrets(struct worker *worker, pool_id pool)
{
	struct lookups *lookups = worker->house->lookups;
	struct secrets *found = NULL;

	lock_take(lookups->lock);
	if (pool < lookups->pool_capacity && lookups->pools[pool])
		found = secrets_keep(lookups->pools[pool]);
	lock_drop(lookups->lock);
	return found;
}
