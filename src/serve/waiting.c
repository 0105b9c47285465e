/* What a client that waits is told: that it does, and at the end why it waited in vain. Holders are named by origin where they are its own
 * user's, and counted where they are not. */
#include "base/text.h"
#include "serve/guest.h"
#include "serve/report.h"

/* How long the detail may be, and how many holders are named in it. */
#define WAIT_DETAIL   1000
#define HOLDERS_NAMED 3

struct state {
	uint32_t many;
	const char *words;
};

/* " (2 idle in transaction, the longest for 8 s; 1 at work)" */
static size_t describe_states(const struct origin_row *origin, char *out, size_t size)
{
	uint32_t still = origin->in_block + origin->rests_lent;
	struct state states[] = { { origin->in_block, "idle in transaction" }, { origin->rests_lent, "idle, but kept" },
		{ origin->lent > still ? origin->lent - still : 0, "at work" } };
	size_t length = 0;
	char age[40];

	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		if (states[i].many == 0)
			continue;
		length += text_format(
			out + length, size - length, "%s%u %s", length ? "; " : " (", states[i].many, states[i].words);
		if (i == 0 && origin->oldest_hold > 0)
			length += text_format(out + length, size - length, ", the longest for %s",
				text_duration(age, sizeof age, origin->oldest_hold));
	}
	return length + (length ? text_format(out + length, size - length, ")") : 0);
}

/* Does this origin hold what a guest of `user` and `database` waits for, where `bound` is what its pool is short of? */
static bool holds_a_part(const struct origin_row *origin, const char *database, const char *user, enum pool_bound bound)
{
	if (origin->lent == 0)
		return false;
	return strcmp(origin->database, database) == 0 || (bound == BOUND_USER && strcmp(origin->user, user) == 0);
}

/* Which origins hold servers of the guest's pool, or its part of a limit, as it was when all were last looked at; those of other users only as
 * a count. */
static void describe_holders(const struct guest *guest, enum pool_bound bound, char *out, size_t size)
{
	struct report *report = report_keep(guest->worker->house);
	const struct pool_view *view = guest->worker->views[guest->pool];
	const char *user = guest_user(guest), *database = view->database_name;
	size_t length = 0;
	uint32_t others = 0, named = 0;

	out[0] = 0;
	/* A user that the database's entry names is limited with others than this client's. */
	if (strcmp(user, view->user) != 0)
		bound = BOUND_SIZE;
	for (size_t i = 0; report && i < report->origin_count; i++) {
		const struct origin_row *origin = &report->origins[i];
		bool elsewhere = strcmp(origin->database, database) != 0;

		if (!holds_a_part(origin, database, user, bound))
			continue;
		if (strcmp(origin->user, user) != 0) {
			others += origin->lent;
			continue;
		}
		if (++named > HOLDERS_NAMED)
			continue;
		length += text_format(out + length, size - length, " \"%s\" at %s holds %u%s%s",
			origin->application_name, origin->address, origin->lent, elsewhere ? " of database " : "",
			elsewhere ? origin->database : "");
		length += describe_states(origin, out + length, size - length);
		length += text_format(out + length, size - length, ".");
	}
	if (named > HOLDERS_NAMED)
		length += text_format(
			out + length, size - length, " %u more origins hold the rest.", named - HOLDERS_NAMED);
	if (others > 0)
		text_format(out + length, size - length, " Clients of other users hold %u of this database.", others);
	report_drop(report);
}

struct wait {
	struct pool_picture pool;
	struct pool_reach reach;
	enum client_waits client;
	const char *database, *user;
	bool suspended, paused;
};

/* False: the pool is gone. */
static bool look(const struct guest *guest, struct wait *wait)
{
	const struct pool_view *view = guest->worker->views[guest->pool];
	struct house *house = guest->worker->house;
	struct database_picture database = { 0 };
	struct totals_picture totals;
	bool known;

	*wait = (struct wait){ .database = view->database_name, .user = view->user };
	lock_take(house->lock);
	known = core_pool_picture(house->core, guest->pool, &wait->pool) &&
		core_pool_reach(house->core, guest->pool, &wait->reach) &&
		core_database_picture(house->core, wait->pool.database, &database);
	core_totals(house->core, &totals);
	wait->client = core_client_waits(house->core, guest_ref(guest));
	lock_drop(house->lock);
	wait->suspended = totals.suspended;
	wait->paused = totals.paused || database.paused || database.kill_paused;
	return known;
}

static uint32_t servers_of(const struct pool_picture *pool)
{
	return pool->lent + pool->idle + pool->dialing + pool->cleaning + pool->moving + pool->closing + pool->orphaned;
}

/* What becomes of servers that are lent to nobody. */
static size_t describe_others(const struct wait *wait, char *out, size_t size)
{
	size_t length = 0;

	out[0] = 0;
	if (wait->pool.cleaning > 0)
		length = text_format(out, size, " At work for clients that have left, or cleaned after them: %u.",
			wait->pool.cleaning);
	if (wait->pool.dialing > 0)
		length += text_format(out + length, size - length, " Being connected: %u.", wait->pool.dialing);
	return length;
}

/* Why the pool has no more of them. */
static size_t describe_bound(const struct wait *wait, char *out, size_t size)
{
	const struct core_pool_rules *rules = &wait->pool.rules;
	uint32_t servers = servers_of(&wait->pool);

	out[0] = 0;
	if (wait->pool.dialing > 0)
		return 0;
	if (wait->pool.failing)
		return text_format(out, size, " The last attempt to connect failed: %s.", wait->pool.failure);
	if (servers < wait->reach.servers_most && !(servers == 0 && wait->reach.servers_most == 1))
		return 0;
	switch (wait->reach.bound) {
	case BOUND_SIZE:
		return text_format(out, size,
			rules->reserve ? " It may have %u, and %u in reserve (pool_size, reserve_pool_size)."
				       : " It may have %u (pool_size).",
			rules->size, rules->reserve);
	case BOUND_DATABASE:
		return text_format(
			out, size, " It may have no more: its database has as many as max_db_connections allows.");
	case BOUND_USER:
		return text_format(
			out, size, " It may have no more: its user has as many as max_user_connections allows.");
	case BOUND_INSTANCE:
		return text_format(out, size, " It may have no more: PostgreSQL has no room for another.");
	case BOUND_FULL:
		/* Its own words: it may be full, or a role's or database's own limit is reached. */
		return text_format(out, size, " It may have no more: PostgreSQL refuses another (%s: %s).",
			wait->pool.sqlstate, wait->pool.failure);
	case BOUND_TOTAL:
		return text_format(
			out, size, " It may have no more: the pooler has as many files open as it may (ulimit -n).");
	case BOUND_NONE:
		break;
	}
	return 0;
}

/* What is short, by whom it is held, and in `hint` what to do. */
static void describe_wait(struct guest *guest, char *detail, size_t size, const char **hint)
{
	struct wait wait;
	char longest[40] = "0 ms", many[40];
	uint32_t servers;
	size_t length;

	*hint = NULL;
	if (!look(guest, &wait)) {
		text_copy(detail, size, "The pool is gone.");
		return;
	}
	if (wait.pool.oldest_lease_since)
		text_duration(longest, sizeof longest, guest->worker->now - wait.pool.oldest_lease_since);
	if (wait.suspended || wait.paused) {
		*hint = "RESUME on the console lets them go on.";
		text_format(detail, size, "Pool %s/%s is %s (%s on the console); clients that wait: %u.", wait.database,
			wait.user, wait.suspended ? "suspended" : "paused", wait.suspended ? "SUSPEND" : "PAUSE",
			wait.pool.waiting);
		return;
	}
	*hint = "Clients that hold a transaction open keep its server; SHOW LEASES on the console tells which, and what they do.";
	if (guest->worker->views[guest->pool]->rules.mode == POOL_SESSION)
		*hint = "With pool_mode=session a client keeps its server until it leaves; SHOW LEASES on the console tells which do, and what they do.";
	if (wait.client == WAITS_KEPT) {
		length = text_format(detail, size,
			"This client's origin is lent as many servers of pool %s/%s as it may have (max_origin_servers); clients that wait: %u.",
			wait.database, wait.user, wait.pool.waiting);
		describe_holders(guest, BOUND_SIZE, detail + length, size - length);
		return;
	}
	if (wait.pool.lent > 0) {
		servers = servers_of(&wait.pool);
		if (wait.pool.lent < servers)
			text_format(many, sizeof many, "%u of %u servers", wait.pool.lent, servers);
		else if (servers > 1)
			text_format(many, sizeof many, "All %u servers", servers);
		else
			text_copy(many, sizeof many, "The only server");
		length = text_format(detail, size, "%s of pool %s/%s %s lent, %sfor %s; clients that wait: %u.", many,
			wait.database, wait.user, servers > 1 ? "are" : "is", servers > 1 ? "the longest " : "",
			longest, wait.pool.waiting);
	} else {
		length = text_format(detail, size, "Pool %s/%s has no server to lend; clients that wait: %u.",
			wait.database, wait.user, wait.pool.waiting);
		*hint = "SHOW POOLS on the console tells what there is; SHOW LEASES, who has it, and what they do.";
	}
	if (wait.reach.bound == BOUND_INSTANCE || wait.reach.bound == BOUND_FULL)
		*hint = "SHOW BUDGET on the console tells who has PostgreSQL's connections; SHOW LEASES, what ours do.";
	length += describe_others(&wait, detail + length, size - length);
	length += describe_bound(&wait, detail + length, size - length);
	describe_holders(guest, wait.reach.bound, detail + length, size - length);
}

void guest_notice_wait(struct guest *guest)
{
	char detail[WAIT_DETAIL];
	const char *hint;
	struct complaint complaint = {
		.severity = SEVERITY_NOTICE,
		.sqlstate = SQLSTATE_SUCCESS,
		.message = "No server connection available in postgres backend, client being queued",
	};
	struct writer w;

	if (!guest_is_bouncers(guest)) {
		describe_wait(guest, detail, sizeof detail, &hint);
		complaint.detail = detail;
		complaint.hint = hint;
	}
	guest->noticed = true;
	buf_clear(&guest->worker->out);
	w = writer_to(&guest->worker->out);
	message_complaint(&w, &complaint);
	guest_send(guest);
}

void guest_waited_too_long(struct guest *guest)
{
	char detail[WAIT_DETAIL];
	const char *hint;

	describe_wait(guest, detail, sizeof detail, &hint);
	if (guest_is_bouncers(guest))
		guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, "query_wait_timeout", NULL, NULL);
	else
		guest_complain(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "query_wait_timeout", detail, hint);
}

static enum client_waits waits_for(const struct guest *guest)
{
	struct house *house = guest->worker->house;
	enum client_waits waits;

	lock_take(house->lock);
	waits = core_client_waits(house->core, guest_ref(guest));
	lock_drop(house->lock);
	return waits;
}

/* Somebody has the servers, or a limit or the console keeps them from being had: the server is not down. */
static bool servers_are_held(const struct guest *guest)
{
	struct wait wait;

	if (!look(guest, &wait) || wait.pool.failing)
		return false;
	return wait.paused || wait.suspended || wait.client == WAITS_KEPT ||
		servers_of(&wait.pool) > wait.pool.dialing ||
		(wait.reach.servers_most <= 1 && wait.reach.bound != BOUND_NONE && wait.reach.bound != BOUND_SIZE);
}

void guest_learned_nothing(struct guest *guest)
{
	char detail[WAIT_DETAIL] = "No server connection could be made in time for the first login of its kind.";
	const char *message = "client_login_timeout (server down)", *hint = NULL;

	/* Else it was lent one, which does not answer. PgBouncer says of all of it that the server is down. */
	if (!guest_is_bouncers(guest) && waits_for(guest) != WAITS_NOT) {
		describe_wait(guest, detail, sizeof detail, &hint);
		if (servers_are_held(guest))
			message = "client_login_timeout";
	}
	guest_refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW, message, detail, hint);
}

/* Nothing is told of who holds the places: nobody knows yet who asks. */
void guest_not_let_in(struct guest *guest)
{
	const char *detail = NULL;

	if (guest->state == GUEST_AT_DOOR && guest->held_back)
		detail = "Logins from this client's address come faster than they may (address_login_rate).";
	else if (guest->state == GUEST_AT_DOOR && !guest->counted)
		detail = "The pooler has as many files open as it may (ulimit -n), and none was closed in time.";
	else if (guest->state == GUEST_AT_DOOR && waits_for(guest) == WAITS_AT_PORCH)
		detail = "Clients of the same user, database, application_name and address are as many as they may be (max_origin_clients), or come faster "
			 "than they may (origin_login_rate).";
	else if (guest->state == GUEST_AT_DOOR)
		detail = "The pooler serves as many clients as it may (max_client_conn), and none was done in time.";
	guest_refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW, "client_login_timeout", detail, NULL);
}
