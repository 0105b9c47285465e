/* What happens, and what time it is. */
#include "story.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

void feed(struct story *t, struct event event)
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

void tell_client(struct story *t)
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

void tell_clients(struct story *t)
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

void tell_server(struct story *t)
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
	} else if (take(t, "greeting")) {
		event = (struct event){ .kind = EVENT_SERVER_FAILED,
			.server = event.server,
			.failure = FAILURE_GREETING,
			.sqlstate = "57P01",
			.text = "connect_query ended its server" };
	} else if (take(t, "late")) {
		event = (struct event){ .kind = EVENT_SERVER_FAILED,
			.server = event.server,
			.failure = FAILURE_TEMPORARY,
			.stays = true,
			.sqlstate = "08001",
			.text = "timeout" };
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

void tell_operator(struct story *t)
{
	static const struct {
		const char *word;
		enum event_kind kind;
	} commands[] = { { "pauses", EVENT_PAUSE }, { "suspends", EVENT_SUSPEND }, { "resumes", EVENT_RESUME },
		{ "kills", EVENT_KILL }, { "reconnects", EVENT_RECONNECT }, { "waits", EVENT_WAIT_CLOSE },
		{ "disables", EVENT_DISABLE }, { "enables", EVENT_ENABLE }, { "hangs", EVENT_ASKER_LEFT },
		{ "cancels", EVENT_ASKER_CANCELS }, { "removes", EVENT_EXPEL } };
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

void tell_worker(struct story *t)
{
	struct event event = { .kind = EVENT_SUSPENDED, .worker = number(t), .suspension = t->suspension };

	if (!take(t, "sent") || !take(t, "all"))
		wrong(t, "worker N sent all");
	if (take(t, "of") && take(t, "suspension"))
		event.suspension = number(t);
	feed(t, event);
	say_effects(t);
}

void tell_consoles(struct story *t)
{
	if (!take(t, "leave"))
		wrong(t, "consoles leave");
	feed(t, (struct event){ .kind = EVENT_CONSOLES_LEFT });
	say_effects(t);
}

void tell_shutdown(struct story *t)
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

void time_passes(struct story *t, time_us length)
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
