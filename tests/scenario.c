#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"
#include "core/core.h"

/* Tells the core a story and compares what it asks for, line by line.
 *
 *   client 1 wants a server        -> dial server 1          what happens -> every effect, in order, with ", " between
 *   server 1 ready                 -> lend server 1 to client 1
 *   2s pass                                                  no arrow: nothing may be asked for
 *                                  -> close server 1 (idle)  a line that begins with the arrow goes on with the line before
 *
 * A story is a file; its first comment is its name. The words:
 *
 *   machine workers 2 servers 100                      before all others; one worker and 1000 servers without it
 *   rules limit busy|all clients N idle_timeout 10m login_retry 15s check_delay 30s check on reserve_timeout 5s
 *         orphan_timeout 60s round_robin on origin_clients N origin_login_rate N pool_idle_timeout 0 autodb_idle_timeout 0
 *                                                      what is not named goes back to its default: see rules_default
 *   database app servers N clients N automatic
 *   pool app/web size N min N reserve N lifetime 1h user_servers N user_clients N forced fast_close fair origin_servers N at db1
 *   instance db1 visit | left                           a server of a pool with several hosts asks for a place there; gives it back
 *   instance db1 budget N|unknown aside N              what was read of that PostgreSQL server; without a word: what is so there
 *   client 1 enters [on worker 1] · named [app/web] · settled · logs in [app/web] [on worker 1] (all three)
 *          · wants a server [of app/web] [since 3s] [rather server 1] · gives up · drops a database · leaves
 *          · enters, logs in: also [of origin billing [at 10.0.0.7] [weighs N]]
 *   clients 1..100 ...                                 each of them the same; effects are counted: "admit x200"
 *   server 1 ready · cleaning · arrives · closing · unfit · lost · cut (lost, not proven) · full [for its role|for its database]
 *          · starting · refused CODE TEXT
 *   operator 1 pauses · suspends · resumes · kills · reconnects · waits · disables · enables [app] · hangs up
 *   worker 0 sent all [of suspension 1] · consoles leave
 *   shutdown servers|clients|now
 *   30s pass                                           with a TICK whenever one is due
 *   audit · picture app/web · totals                   told after the arrow
 *
 * A client keeps its worker and pool; the pool named last is meant where none is named. After each line the core is
 * audited. */

#define NUMBERS_MAX 20000
#define WORDS_MAX   32
#define LINE_MAX_   8192

struct person {
	struct client_ref ref;
	pool_id pool;
	bool named;
	uint64_t origin, group;
	uint32_t weight;
};

struct story {
	const char *path, *line_text;
	unsigned line, first_line;
	char name[200];

	struct core_setup setup;
	struct core *core;
	time_us now;
	struct effects effects;
	struct person people[NUMBERS_MAX];
	server_id servers[NUMBERS_MAX];
	uint32_t servers_count;
	pool_id pool; /* named last */
	uint32_t pools;
	uint32_t suspension; /* the last */

	char *words[WORDS_MAX + 1]; /* of the line; NULL at the end */
	unsigned at;
	struct buf said; /* what came of it */
	struct buf expected;
	bool wrong;
};

static char trouble[300];

static bool wrong(struct story *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(struct story *t, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trouble, sizeof(trouble), format, arguments);
	va_end(arguments);
	t->wrong = true;
	return false;
}

/* ---- words ---- */

static const char *word(struct story *t)
{
	return t->words[t->at] ? t->words[t->at++] : "";
}

static bool take(struct story *t, const char *expected)
{
	if (!t->words[t->at] || strcmp(t->words[t->at], expected) != 0)
		return false;
	t->at++;
	return true;
}

static uint32_t number(struct story *t)
{
	const char *text = word(t);
	int64_t value;

	if (!text_to_i64(span_text(text), &value) || value < 0 || value >= INT32_MAX)
		wrong(t, "'%s' is not a number", text);
	return t->wrong ? 0 : (uint32_t)value;
}

/* 5us 20ms 3s 2m 1h */
static bool parse_time(const char *text, time_us *out)
{
	static const struct {
		const char *unit;
		time_us length;
	} units[] = { { "us", 1 }, { "ms", MILLISECOND_US }, { "s", SECOND_US }, { "m", 60 * SECOND_US },
		{ "h", 3600 * SECOND_US } };
	char *unit;
	long long value = strtoll(text, &unit, 10);

	if (unit == text || value < 0)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].unit) == 0) {
			*out = value * units[i].length;
			return true;
		}
	}
	return value == 0 && *unit == 0 && (*out = 0, true);
}

static time_us duration(struct story *t)
{
	const char *text = word(t);
	time_us value = 0;

	if (!parse_time(text, &value))
		wrong(t, "'%s' is not a time", text);
	return value;
}

static struct person *person(struct story *t, uint32_t n)
{
	if (n == 0 || n >= NUMBERS_MAX) {
		wrong(t, "no such number: %u", n);
		n = 0;
	}
	return &t->people[n];
}

/* app/web -> its pool. */
/* "app/web", or "app/web+replication" for its twin. */
static pool_id pool_named(struct story *t, const char *text)
{
	struct pool_picture picture;
	const char *slash = strchr(text, '/'), *twin = strstr(text, "+replication");
	size_t length = twin ? (size_t)(twin - text) : strlen(text);

	for (pool_id id = 0; slash && id < core_pools(t->core); id++) {
		check(core_pool_picture(t->core, id, &picture));
		if (span_equal(picture.database_name, span_of(text, (size_t)(slash - text))) &&
			span_equal(picture.user, span_of(slash + 1, length - (size_t)(slash + 1 - text))) &&
			picture.rules.replication == (twin != NULL))
			return id;
	}
	wrong(t, "no such pool: %s", text);
	return 0;
}

static void pool_name(struct story *t, pool_id id, char *out, size_t size)
{
	struct pool_picture picture;

	check(core_pool_picture(t->core, id, &picture));
	text_format(out, size, "%.*s/%.*s", (int)picture.database_name.length, picture.database_name.at,
		(int)picture.user.length, picture.user.at);
}

/* ---- effects in words ---- */

static uint32_t server_number(struct story *t, server_id id)
{
	for (uint32_t n = 1; n <= t->servers_count; n++) {
		if (handle_equal(t->servers[n], id))
			return n;
	}
	check(t->servers_count + 1 < NUMBERS_MAX);
	t->servers[++t->servers_count] = id;
	return t->servers_count;
}

static const char *const refusals[] = {
	[REFUSAL_NONE] = "none",
	[REFUSAL_MAX_CLIENTS] = "max_client_conn",
	[REFUSAL_MAX_DATABASE_CLIENTS] = "max_db_client_connections",
	[REFUSAL_MAX_USER_CLIENTS] = "max_user_client_connections",
	[REFUSAL_MAX_ORIGIN_CLIENTS] = "max_origin_clients",
	[REFUSAL_FAILED] = "failed",
	[REFUSAL_KILLED] = "killed",
	[REFUSAL_DISABLED] = "disabled",
	[REFUSAL_SHUTDOWN] = "shutdown",
};

static const char *const reasons[] = {
	[CLOSE_NONE] = "none",
	[CLOSE_IDLE] = "idle",
	[CLOSE_LIFETIME] = "lifetime",
	[CLOSE_MAKE_ROOM] = "make room",
	[CLOSE_PAUSE] = "pause",
	[CLOSE_KILL] = "kill",
	[CLOSE_RECONNECT] = "reconnect",
	[CLOSE_VACATED] = "vacated",
	[CLOSE_UNFIT] = "unfit",
	[CLOSE_SHRINK] = "shrink",
	[CLOSE_SHUTDOWN] = "shutdown",
};

static const char *const kinds[] = { "admit", "refuse", "lend", "dial", "move", "close", "leave", "forget", "expel",
	"suspend", "resume", "answer", "quit" };

static void effect_says(struct story *t, const struct effect *e, char *out, size_t size)
{
	uint32_t client = e->client.client.slot;
	uint32_t server = handle_none(e->server) ? 0 : server_number(t, e->server);
	struct database_picture database;
	char pool[100] = "", worker[40] = "";

	switch (e->kind) {
	case EFFECT_ADMIT:
		text_format(out, size, "admit client %u", client);
		break;
	case EFFECT_REFUSE:
		if (e->refusal == REFUSAL_FAILED)
			text_format(out, size, "refuse client %u (%s %s)", client, e->sqlstate, e->text);
		else
			text_format(out, size, "refuse client %u (%s)", client, refusals[e->refusal]);
		break;
	case EFFECT_LEND:
		check(e->worker == e->client.worker);
		text_format(out, size, "lend server %u to client %u%s", server, client, e->check ? " (check)" : "");
		break;
	case EFFECT_DIAL:
		if (t->pools > 1)
			pool_name(t, e->pool, pool, sizeof(pool));
		if (t->setup.workers > 1)
			text_format(worker, sizeof(worker), " on worker %u", e->worker);
		text_format(out, size, "dial server %u%s%s%s", server, *pool ? " for " : "", pool, worker);
		break;
	case EFFECT_MOVE:
		text_format(out, size, "move server %u to worker %u", server, e->to);
		break;
	case EFFECT_CLOSE:
		text_format(out, size, "close server %u (%s)", server, reasons[e->reason]);
		break;
	case EFFECT_LEAVE:
		text_format(out, size, "end the session of server %u (%s)", server, reasons[e->reason]);
		break;
	case EFFECT_FORGET:
		pool_name(t, e->pool, pool, sizeof(pool));
		text_format(out, size, "forget %s%s", pool, t->setup.workers > 1 ? " on each worker" : "");
		break;
	case EFFECT_EXPEL:
		check(handle_none(e->client.client));
		if (core_database_picture(t->core, e->database, &database))
			text_format(pool, sizeof(pool), "%.*s", (int)database.name.length, database.name.at);
		text_format(out, size, "expel all of %s on worker %u (%s)", *pool ? pool : "everything", e->worker,
			refusals[e->refusal]);
		break;
	case EFFECT_SUSPEND:
	case EFFECT_RESUME:
		t->suspension = e->suspension;
		text_format(out, size, "%s worker %u", e->kind == EFFECT_SUSPEND ? "suspend" : "resume", e->worker);
		break;
	case EFFECT_ANSWER:
		text_format(out, size, "answer operator %u%s%s", client - NUMBERS_MAX, e->problem ? ": " : "",
			e->problem ? e->problem : "");
		break;
	case EFFECT_QUIT:
		text_format(out, size, "quit");
		break;
	}
}

static void say(struct story *t, const char *text)
{
	check(buf_format(&t->said, "%s%s", t->said.length ? ", " : "", text));
}

static void say_effects(struct story *t)
{
	char text[400];

	for (size_t i = 0; i < t->effects.count; i++) {
		effect_says(t, &t->effects.list[i], text, sizeof(text));
		say(t, text);
	}
	t->effects.count = 0;
}

/* For many at once: how often each kind, in order of first appearance. */
static void say_counted(struct story *t, uint32_t waits)
{
	char text[60];

	for (size_t i = 0; i < t->effects.count; i++) {
		enum effect_kind kind = t->effects.list[i].kind;
		unsigned count = 0, before = 0;

		if (!handle_none(t->effects.list[i].server))
			server_number(t, t->effects.list[i].server);
		for (size_t j = 0; j < t->effects.count; j++) {
			count += t->effects.list[j].kind == kind;
			before += j < i && t->effects.list[j].kind == kind;
		}
		text_format(text, sizeof(text), "%s x%u", kinds[kind], count);
		if (before == 0)
			say(t, text);
	}
	text_format(text, sizeof(text), "wait x%u", waits);
	if (waits)
		say(t, text);
	t->effects.count = 0;
}

/* ---- what happens ---- */

static void feed(struct story *t, struct event event)
{
	event.now = t->now;
	core_step(t->core, &event, &t->effects);
	core_audit(t->core);
}

static uint32_t waiting(struct story *t)
{
	struct totals_picture totals;

	core_totals(t->core, &totals);
	return totals.waiting;
}

static void client_logs_in(struct story *t, struct person *p)
{
	feed(t, (struct event){ .kind = EVENT_CLIENT_ENTERS, .client = p->ref, .origin = p->origin });
	feed(t, (struct event){ .kind = EVENT_CLIENT_NAMED, .client = p->ref, .pool = p->pool });
	feed(t, (struct event){ .kind = EVENT_CLIENT_SETTLED, .client = p->ref });
	p->named = true;
}

static bool client_does(struct story *t, uint32_t n)
{
	struct person *p = person(t, n);
	struct event event = {
		.client = p->ref, .since = t->now, .origin = p->origin, .group = p->group, .weight = p->weight
	};
	bool enters = take(t, "enters"), logs_in = !enters && take(t, "logs");

	if (!enters && !logs_in)
		logs_in = take(t, "log"); /* clients log in */
	if (enters || logs_in) {
		*p = (struct person){ .ref.client = { n, p->ref.client.generation + 1 }, .pool = t->pool };
		take(t, "in");
	}
	if (enters || logs_in) {
		if (t->words[t->at] && strchr(t->words[t->at], '/'))
			p->pool = pool_named(t, word(t));
		if (take(t, "on") && take(t, "worker"))
			p->ref.worker = number(t);
		if (take(t, "of") && take(t, "origin")) {
			const char *name = word(t), *address = take(t, "at") ? word(t) : "here";
			uint64_t parts[2] = { hash_bytes(span_text(name)), hash_bytes(span_text(address)) };

			p->group = parts[1];
			p->origin = hash_bytes(span_of(parts, sizeof(parts)));
			if (take(t, "weighs"))
				p->weight = number(t);
		}
		if (t->wrong)
			return false;
		if (enters)
			feed(t, (struct event){ .kind = EVENT_CLIENT_ENTERS, .client = p->ref, .origin = p->origin });
		else
			client_logs_in(t, p);
	} else if (take(t, "named")) {
		if (t->words[t->at])
			p->pool = pool_named(t, word(t));
		event.kind = EVENT_CLIENT_NAMED;
		event.pool = p->pool;
		feed(t, event);
		p->named = t->effects.count && t->effects.list[t->effects.count - 1].kind == EFFECT_ADMIT;
	} else if (take(t, "settled")) {
		event.kind = EVENT_CLIENT_SETTLED;
		feed(t, event);
	} else if (take(t, "wants") || take(t, "want")) {
		take(t, "a");
		take(t, "server");
		event.kind = EVENT_CLIENT_WANTS;
		event.pool = take(t, "of") ? pool_named(t, word(t)) : p->pool;
		if (take(t, "since"))
			event.since = duration(t);
		if (take(t, "rather") && take(t, "server")) {
			uint32_t rather = number(t);

			if (rather == 0 || rather > t->servers_count)
				wrong(t, "no server %u was dialed", rather);
			else
				event.server = t->servers[rather];
		}
		if (!t->wrong)
			feed(t, event);
	} else if (take(t, "gives") || take(t, "give")) {
		take(t, "up");
		event.kind = EVENT_CLIENT_GIVES_UP;
		feed(t, event);
	} else if (take(t, "drops")) {
		take(t, "a");
		take(t, "database");
		event.kind = EVENT_VACATE;
		event.pool = p->pool;
		feed(t, event);
	} else if (take(t, "leaves") || take(t, "leave")) {
		event.kind = EVENT_CLIENT_LEFT;
		event.named = p->named;
		event.pool = p->pool;
		feed(t, event);
	} else {
		return wrong(t, "a client does not '%s'", word(t));
	}
	return true;
}

static void tell_client(struct story *t)
{
	uint32_t before = waiting(t), n = number(t);
	struct pool_picture picture;
	char text[60];

	if (!client_does(t, n))
		return;
	say_effects(t);
	if (t->said.length == 0 && waiting(t) > before) {
		check(core_pool_picture(t->core, t->people[n].pool, &picture));
		text_format(text, sizeof(text), "wait (position %u)", picture.waiting);
		say(t, text);
	}
}

static void tell_clients(struct story *t)
{
	uint32_t waits = 0;
	unsigned rest;
	char *dots, *end;
	unsigned long first = strtoul(word(t), &dots, 10), last;

	if (strncmp(dots, "..", 2) == 0)
		dots += 2;
	last = strtoul(dots, &end, 10);
	if (first == 0 || last < first || end == dots || *end) {
		wrong(t, "clients FIRST..LAST");
		return;
	}
	rest = t->at;
	for (uint32_t n = (uint32_t)first; n <= last && !t->wrong; n++) {
		uint32_t before = waiting(t);

		t->at = rest;
		client_does(t, n);
		waits += waiting(t) > before ? 1 : 0;
	}
	say_counted(t, waits);
}

static void tell_server(struct story *t)
{
	uint32_t n = number(t);
	struct event event = { .worker = 0 };
	static char failure[200];

	if (n == 0 || n > t->servers_count) {
		wrong(t, "no server %u was dialed", n);
		return;
	}
	event.server = t->servers[n];
	if (take(t, "ready")) {
		event.kind = EVENT_SERVER_READY;
	} else if (take(t, "cleaning")) {
		event.kind = EVENT_SERVER_CLEANING;
	} else if (take(t, "arrives")) {
		event.kind = EVENT_SERVER_ARRIVED;
		if (take(t, "at") && take(t, "worker"))
			event.worker = number(t);
	} else if (take(t, "closing")) {
		event.kind = EVENT_SERVER_CLOSING;
	} else if (take(t, "unfit")) {
		event.kind = EVENT_SERVER_UNFIT;
	} else if (take(t, "lost")) {
		event.kind = EVENT_SERVER_LOST;
		event.proven = true;
	} else if (take(t, "cut")) {
		event.kind = EVENT_SERVER_LOST;
	} else if (take(t, "full")) {
		event = (struct event){ .kind = EVENT_SERVER_FAILED,
			.server = event.server,
			.failure = FAILURE_FULL,
			.sqlstate = "53300",
			.text = "sorry, too many clients already" };
		if (take(t, "for") && take(t, "its"))
			event.full = take(t, "role") ? FULL_ROLE : take(t, "database") ? FULL_DATABASE : FULL_SERVER;
	} else if (take(t, "starting")) {
		event = (struct event){ .kind = EVENT_SERVER_FAILED,
			.server = event.server,
			.failure = FAILURE_TEMPORARY,
			.sqlstate = "57P03",
			.text = "the database system is starting up" };
	} else if (take(t, "refused")) {
		event.kind = EVENT_SERVER_FAILED;
		event.failure = FAILURE_REFUSED;
		event.sqlstate = word(t);
		failure[0] = 0;
		while (t->words[t->at]) {
			size_t length = strlen(failure);

			text_format(failure + length, sizeof(failure) - length, "%s%s", length ? " " : "", word(t));
		}
		event.text = failure;
	} else {
		wrong(t, "a server does not '%s'", word(t));
	}
	if (t->wrong)
		return;
	feed(t, event);
	say_effects(t);
}

static void tell_operator(struct story *t)
{
	static const struct {
		const char *word;
		enum event_kind kind;
	} commands[] = { { "pauses", EVENT_PAUSE }, { "suspends", EVENT_SUSPEND }, { "resumes", EVENT_RESUME },
		{ "kills", EVENT_KILL }, { "reconnects", EVENT_RECONNECT }, { "waits", EVENT_WAIT_CLOSE },
		{ "disables", EVENT_DISABLE }, { "enables", EVENT_ENABLE }, { "hangs", EVENT_ASKER_LEFT } };
	struct event event = { .client.client = { NUMBERS_MAX + number(t), 1 }, .database = NO_DATABASE };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!take(t, commands[i].word))
			continue;
		event.kind = commands[i].kind;
		take(t, "up");
		if (t->words[t->at]) {
			const char *name = word(t);

			event.database = core_database_find(t->core, span_text(name));
			if (event.database == NO_DATABASE)
				event.database = 1000;
		}
		feed(t, event);
		say_effects(t);
		return;
	}
	wrong(t, "an operator does not '%s'", word(t));
}

static void tell_worker(struct story *t)
{
	struct event event = { .kind = EVENT_SUSPENDED, .worker = number(t), .suspension = t->suspension };

	if (!take(t, "sent") || !take(t, "all"))
		wrong(t, "worker N sent all");
	if (take(t, "of") && take(t, "suspension"))
		event.suspension = number(t);
	feed(t, event);
	say_effects(t);
}

static void tell_consoles(struct story *t)
{
	if (!take(t, "leave"))
		wrong(t, "consoles leave");
	feed(t, (struct event){ .kind = EVENT_CONSOLES_LEFT });
	say_effects(t);
}

static void tell_shutdown(struct story *t)
{
	struct event event = { .kind = EVENT_SHUTDOWN, .mode = SHUTDOWN_NOW };

	if (take(t, "servers"))
		event.mode = SHUTDOWN_SERVERS;
	else if (take(t, "clients"))
		event.mode = SHUTDOWN_CLIENTS;
	else if (!take(t, "now"))
		wrong(t, "shutdown servers, clients or now");
	feed(t, event);
	say_effects(t);
}

static void time_passes(struct story *t, time_us length)
{
	time_us end = t->now + length, due;
	unsigned idle_ticks = 0;

	while ((due = core_deadline(t->core)) != 0 && due <= end && !t->wrong) {
		if (due > t->now)
			t->now = due;
		feed(t, (struct event){ .kind = EVENT_TICK });
		idle_ticks = t->effects.count ? 0 : idle_ticks + 1;
		say_effects(t);
		if (idle_ticks > 1000)
			wrong(t, "a thousand ticks and nothing done: the deadline stands still");
	}
	t->now = end;
}

/* ---- rules ---- */

static struct core_rules rules_default(void)
{
	return (struct core_rules){
		.limit_counts = COUNT_BUSY,
		.server_idle_timeout = 600 * SECOND_US,
		.login_retry = 15 * SECOND_US,
		.reserve_timeout = 5 * SECOND_US,
		.orphan_timeout = 60 * SECOND_US,
		.check_delay = 30 * SECOND_US,
	};
}

static void tell_machine(struct story *t)
{
	if (t->core) {
		wrong(t, "the machine comes first");
		return;
	}
	while (t->words[t->at] && !t->wrong) {
		if (take(t, "workers"))
			t->setup.workers = number(t);
		else if (take(t, "servers"))
			t->setup.servers_max = number(t);
		else
			wrong(t, "a machine has no '%s'", word(t));
	}
}

static void tell_rules(struct story *t)
{
	struct core_rules rules = rules_default();

	while (t->words[t->at] && !t->wrong) {
		if (take(t, "limit"))
			rules.limit_counts = strcmp(word(t), "all") == 0 ? COUNT_ALL : COUNT_BUSY;
		else if (take(t, "clients"))
			rules.clients_max = number(t);
		else if (take(t, "idle_timeout"))
			rules.server_idle_timeout = duration(t);
		else if (take(t, "login_retry"))
			rules.login_retry = duration(t);
		else if (take(t, "reserve_timeout"))
			rules.reserve_timeout = duration(t);
		else if (take(t, "orphan_timeout"))
			rules.orphan_timeout = duration(t);
		else if (take(t, "check_delay"))
			rules.check_delay = duration(t);
		else if (take(t, "check"))
			rules.check_on = strcmp(word(t), "on") == 0;
		else if (take(t, "round_robin"))
			rules.round_robin = strcmp(word(t), "on") == 0;
		else if (take(t, "pool_idle_timeout"))
			rules.pool_idle_timeout = duration(t);
		else if (take(t, "autodb_idle_timeout"))
			rules.autodb_idle_timeout = duration(t);
		else if (take(t, "origin_clients"))
			rules.origin_clients_max = number(t);
		else if (take(t, "origin_login_rate"))
			rules.origin_login_rate = number(t);
		else
			wrong(t, "no such rule: %s", word(t));
	}
	core_set_rules(t->core, &rules, t->now, &t->effects);
	core_audit(t->core);
	say_effects(t);
}

static void tell_database(struct story *t)
{
	struct span name = span_text(word(t));
	struct database_rules rules = { 0 };

	while (t->words[t->at] && !t->wrong) {
		if (take(t, "servers"))
			rules.servers_max = number(t);
		else if (take(t, "clients"))
			rules.clients_max = number(t);
		else if (take(t, "automatic"))
			rules.automatic = true;
		else
			wrong(t, "no such rule of a database: %s", word(t));
	}
	core_set_database_rules(t->core, core_database(t->core, name, &rules), &rules, t->now, &t->effects);
	core_audit(t->core);
	say_effects(t);
}

static void tell_pool(struct story *t)
{
	const char *name = word(t), *slash = strchr(name, '/');
	struct core_pool_rules rules = { .size = 20, .lifetime = 3600 * SECOND_US, .instance = NO_INSTANCE };
	database_id database;

	if (!slash) {
		wrong(t, "pool DATABASE/USER");
		return;
	}
	while (t->words[t->at] && !t->wrong) {
		if (take(t, "size"))
			rules.size = number(t);
		else if (take(t, "min"))
			rules.min_size = number(t);
		else if (take(t, "reserve"))
			rules.reserve = number(t);
		else if (take(t, "lifetime"))
			rules.lifetime = duration(t);
		else if (take(t, "user_servers"))
			rules.user_servers_max = number(t);
		else if (take(t, "user_clients"))
			rules.user_clients_max = number(t);
		else if (take(t, "forced"))
			rules.keep_min = true;
		else if (take(t, "fast_close"))
			rules.fast_close = true;
		else if (take(t, "fair"))
			rules.fair = true;
		else if (take(t, "replication"))
			rules.replication = true;
		else if (take(t, "origin_servers"))
			rules.origin_servers_max = number(t);
		else if (take(t, "at"))
			rules.instance = core_instance(t->core, span_text(word(t)));
		else
			wrong(t, "no such rule of a pool: %s", word(t));
	}
	database = core_database(t->core, span_of(name, (size_t)(slash - name)), &(struct database_rules){ 0 });
	t->pool = core_pool(t->core, database, span_text(slash + 1), &rules);
	t->pools = core_pools(t->core);
	core_set_pool_rules(t->core, t->pool, &rules, t->now, &t->effects);
	core_audit(t->core);
	say_effects(t);
}

/* ---- questions ---- */

static void say_count(struct story *t, unsigned count, const char *what)
{
	char text[80];

	text_format(text, sizeof(text), "%u %s", count, what);
	if (count)
		say(t, text);
}

static void tell_picture(struct story *t)
{
	struct pool_picture picture;
	char text[300], length[40];

	check(core_pool_picture(t->core, pool_named(t, word(t)), &picture));
	say_count(t, picture.clients, "clients");
	say_count(t, picture.waiting, "waiting");
	say_count(t, picture.lent, "lent");
	say_count(t, picture.idle, "idle");
	say_count(t, picture.dialing, "dialing");
	say_count(t, picture.cleaning, "cleaning");
	say_count(t, picture.moving, "moving");
	say_count(t, picture.closing, "closing");
	say_count(t, picture.orphaned, "orphaned");
	if (picture.oldest_wait_since) {
		text_format(text, sizeof(text), "oldest waits %s",
			text_duration(length, sizeof(length), t->now - picture.oldest_wait_since));
		say(t, text);
	}
	if (picture.oldest_lease_since) {
		text_format(text, sizeof(text), "oldest lease %s",
			text_duration(length, sizeof(length), t->now - picture.oldest_lease_since));
		say(t, text);
	}
	if (picture.full_since) {
		text_format(text, sizeof(text), "full at %u", picture.full_target);
		say(t, text);
	}
	if (picture.failing) {
		text_format(text, sizeof(text), "failing (%s %s)", picture.sqlstate, picture.failure);
		say(t, text);
	}
	if (t->said.length == 0)
		say(t, "nothing");
}

static void tell_totals(struct story *t)
{
	struct totals_picture totals;

	core_totals(t->core, &totals);
	say_count(t, totals.clients, "clients");
	say_count(t, totals.at_door, "at the door");
	say_count(t, totals.logging_in, "logging in");
	say_count(t, totals.waiting, "waiting");
	say_count(t, totals.lent, "lent");
	say_count(t, totals.servers, "servers");
	if (totals.suspended)
		say(t, "suspended");
	if (t->said.length == 0)
		say(t, "nothing");
}

static void say_instance(struct story *t, instance_id id)
{
	struct instance_picture picture;
	char text[60];

	check(core_instance_picture(t->core, id, &picture));
	say_count(t, picture.waiting, "waiting");
	say_count(t, picture.servers, "servers");
	say_count(t, picture.idle, "idle");
	say_count(t, picture.aside, "aside");
	say_count(t, picture.visitors, "visitors");
	text_format(text, sizeof(text), picture.target ? "at most %u" : "no limit", picture.target);
	say(t, text);
}

static void tell_instance(struct story *t)
{
	struct event event = { .kind = EVENT_BUDGET, .budget = BUDGET_UNKNOWN };

	event.instance = core_instance(t->core, span_text(word(t)));
	if (!t->words[t->at]) {
		say_instance(t, event.instance);
		return;
	}
	while (t->words[t->at] && !t->wrong) {
		if (take(t, "visit")) {
			say(t, core_visit(t->core, event.instance) ? "there is room" : "there is no room");
			return;
		}
		if (take(t, "left"))
			event.kind = EVENT_VISITOR_LEFT;
		else if (take(t, "budget"))
			event.budget = take(t, "unknown") ? BUDGET_UNKNOWN : (int64_t)number(t);
		else if (take(t, "aside"))
			event.aside = number(t);
		else
			wrong(t, "an instance has no '%s'", word(t));
	}
	feed(t, event);
	say_effects(t);
}

static void tell_audit(struct story *t)
{
	struct totals_picture totals;
	char text[120];

	core_audit(t->core);
	core_totals(t->core, &totals);
	text_format(text, sizeof(text), "ok: %u server%s, %u lease%s, %u waiting", totals.servers,
		totals.servers == 1 ? "" : "s", totals.lent, totals.lent == 1 ? "" : "s", totals.waiting);
	say(t, text);
}

static const struct {
	const char *word;
	void (*tell)(struct story *);
} subjects[] = { { "machine", tell_machine }, { "rules", tell_rules }, { "database", tell_database },
	{ "pool", tell_pool }, { "instance", tell_instance }, { "client", tell_client }, { "clients", tell_clients },
	{ "server", tell_server }, { "operator", tell_operator }, { "shutdown", tell_shutdown },
	{ "worker", tell_worker }, { "consoles", tell_consoles }, { "picture", tell_picture },
	{ "totals", tell_totals }, { "audit", tell_audit } };

/* ---- a story ---- */

static void begin_core(struct story *t)
{
	struct core_rules rules = rules_default();

	t->core = core_new(&t->setup);
	core_set_rules(t->core, &rules, t->now, &t->effects);
}

static void tell_line(struct story *t)
{
	const char *subject = t->words[0];
	time_us length;

	t->at = 1;
	if (!t->core && strcmp(subject, "machine") != 0)
		begin_core(t);
	if (t->words[1] && strcmp(t->words[1], "pass") == 0 && parse_time(subject, &length)) {
		t->at = 2;
		time_passes(t, length);
	} else {
		size_t i = 0, count = sizeof(subjects) / sizeof(subjects[0]);

		while (i < count && strcmp(subjects[i].word, subject) != 0)
			i++;
		if (i == count)
			wrong(t, "'%s' is not a word that begins a line", subject);
		else
			subjects[i].tell(t);
	}
	if (!t->wrong && t->words[t->at])
		wrong(t, "'%s' is not understood here", t->words[t->at]);
}

static bool differs(struct story *t)
{
	struct span said = buf_span(&t->said), expected = buf_span(&t->expected);

	if (span_equal(said, expected))
		return false;
	text_format(trouble, sizeof(trouble), "differs");
	printf("# %s:%u: %s\n", t->path, t->first_line, t->line_text);
	printf("#   expected  %.*s\n", (int)expected.length, expected.length ? (const char *)expected.at : "");
	printf("#   happened  %.*s\n", (int)said.length, said.length ? (const char *)said.at : "");
	return true;
}

static void expect(struct story *t, char *text)
{
	struct span trimmed = text_trim(span_text(text));

	if (span_is(trimmed, "nothing") && t->expected.length == 0 && strncmp(t->line_text, "picture", 7) != 0 &&
		strncmp(t->line_text, "totals", 6) != 0)
		return;
	check(buf_format(
		&t->expected, "%s%.*s", t->expected.length ? ", " : "", (int)trimmed.length, (const char *)trimmed.at));
}

/* Play the line whose arrow lines are all read by now. False: it differs or makes no sense. */
static bool play(struct story *t, char *line)
{
	static char copy[LINE_MAX_];
	unsigned count = 0;
	char *at = copy;

	if (!*line)
		return true;
	t->line_text = line;
	text_copy(copy, sizeof(copy), line);
	while (*at && count < WORDS_MAX) {
		t->words[count++] = at;
		at += strcspn(at, " \t");
		while (*at == ' ' || *at == '\t')
			*at++ = 0;
	}
	t->words[count] = NULL;
	buf_clear(&t->said);
	tell_line(t);
	if (t->wrong) {
		printf("# %s:%u: %s\n#   %s\n", t->path, t->first_line, line, trouble);
		return false;
	}
	if (differs(t))
		return false;
	buf_clear(&t->expected);
	*line = 0;
	return true;
}

static void story_fini(struct story *t)
{
	core_free(t->core);
	effects_fini(&t->effects);
	buf_fini(&t->said);
	buf_fini(&t->expected);
	free(t);
}

static bool story_told(const char *path, char *name, size_t name_size)
{
	struct story *t = calloc(1, sizeof(*t));
	FILE *file = fopen(path, "r");
	static char line[LINE_MAX_], pending[LINE_MAX_];
	bool good = true;

	check(t != NULL);
	text_copy(name, name_size, path);
	if (!file) {
		printf("# %s: can not be read\n", path);
		free(t);
		return false;
	}
	t->path = path;
	t->now = SECOND_US;
	t->setup = (struct core_setup){ .workers = 1, .servers_max = 1000 };
	pending[0] = 0;
	while (good && fgets(line, sizeof(line), file)) {
		char *arrow, *hash = strchr(line, '#');
		struct span left;

		t->line++;
		line[strcspn(line, "\n")] = 0;
		if (hash == line && !t->name[0]) {
			text_copy_span(t->name, sizeof(t->name), text_trim(span_text(line + 1)));
			text_format(name, name_size, "%s", t->name);
		}
		if (hash)
			*hash = 0;
		arrow = strstr(line, "->");
		if (arrow)
			*arrow = 0;
		left = text_trim(span_text(line));
		if (left.length) {
			good = play(t, pending);
			text_copy_span(pending, sizeof(pending), left);
			t->first_line = t->line;
			t->line_text = pending;
		}
		if (arrow && good)
			expect(t, arrow + 2);
	}
	good = good && play(t, pending);
	fclose(file);
	story_fini(t);
	return good;
}

int main(int argc, char **argv)
{
	char name[300];
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		bool good = story_told(argv[i], name, sizeof(name));

		printf("%s %d - %s\n", good ? "ok" : "not ok", i, name);
		failed += !good;
	}
	return failed ? 1 : 0;
}
