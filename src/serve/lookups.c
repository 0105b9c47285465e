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
 * At most ASKED_MOST are asked for at once. What was answered, and who waits for it, is kept in lookup_book.c. */
#include "serve/lookups.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"
#include "io/thread.h"
#include "serve/channel.h"
#include "serve/extras.h"
#include "serve/guest.h"
#include "serve/lookup_book.h"
#include "session/lookup.h"

#define ASKED_MOST    512
#define USERS_COUNTED (1u << 20)
#define DOUBT_AFTER   SECOND_US /* younger answers are not asked for again because of a wrong password */

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

/* ---- where ---- */

static bool where_for(const struct worker *worker, struct span database, enum lookup_kind kind,
	struct auth_lookup *where, uint64_t *scope)
{
	uint64_t parts[3];

	if (!config_auth_lookup(worker->config, database, where))
		return false;
	if (kind == LOOKUP_ROLES) {
		where->query = lookup_roles_query;
		where->search_path = "pg_catalog, pg_temp";
	}
	parts[0] = where->database ? hash_bytes(span_text(where->database)) : hash_bytes(database);
	parts[1] = hash_bytes(span_text(where->user));
	parts[2] = hash_bytes(span_text(where->query));
	*scope = hash_bytes(span_of(parts, sizeof parts));
	return true;
}

static bool where_of(const struct guest *guest, struct auth_lookup *where, uint64_t *scope)
{
	return where_for(guest->worker, client_facts(guest->login)->database, (enum lookup_kind)guest->looking_for,
		where, scope);
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

static void go_on(struct guest *guest, struct secrets *found, struct roles *roles)
{
	struct lookups *lookups = guest->worker->house->lookups;
	struct secret_mock mock;

	if (guest->looking_for == LOOKUP_ROLES) {
		guest_told_roles(guest, roles);
		return;
	}
	lock_take(lookups->lock);
	mock = lookups_pretend(lookups, client_facts(guest->login)->user);
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
	entry = entry_find(lookups, scope, user);
	if (entry && entry_is_fresh(entry, worker)) {
		known = true;
		found = entry->found ? secrets_keep(entry->found) : NULL;
		roles = entry->roles ? roles_keep(entry->roles) : NULL;
	} else if (entry && entry->asked) {
		waits = entry_add_waiting(entry, guest_ref(guest));
	} else if (asking && extras && lookups->asked < ASKED_MOST &&
		(entry || (entry = entry_make(lookups, scope, user)))) {
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

static void doubt(struct worker *worker, struct span database, struct span user)
{
	struct lookups *lookups = worker->house->lookups;
	struct auth_lookup where;
	struct entry *entry;
	uint64_t scope;

	if (!where_for(worker, database, LOOKUP_SECRET, &where, &scope))
		return;
	lock_take(lookups->lock);
	entry = entry_find(lookups, scope, user);
	if (entry && !entry->asked && worker->now >= entry->answered + DOUBT_AFTER)
		entry->doubted = true;
	lock_drop(lookups->lock);
}

void lookup_doubt(struct guest *guest)
{
	doubt(guest->worker, client_facts(guest->login)->database, client_facts(guest->login)->user);
}

void lookup_doubt_pool(const struct channel *channel)
{
	const struct pool_view *view = channel_view(channel);
	struct secrets *found = lookup_secrets(channel->worker, channel->pool);

	if (found)
		doubt(channel->worker, span_text(view->database_name), span_text(view->user));
	secrets_drop(found);
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
	(void)errand_send(channel);
	lookup_failed(channel->guest, "no answer within auth_query_timeout");
}
