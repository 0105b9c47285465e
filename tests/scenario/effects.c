/* What the core asks for, in words. */
#include "story.h"

#include "base/check.h"
#include "base/text.h"

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

void say(struct story *t, const char *text)
{
	check(buf_format(&t->said, "%s%s", t->said.length ? ", " : "", text));
}

void say_effects(struct story *t)
{
	char text[400];

	for (size_t i = 0; i < t->effects.count; i++) {
		effect_says(t, &t->effects.list[i], text, sizeof(text));
		say(t, text);
	}
	t->effects.count = 0;
}

/* For many at once: how often each kind, in order of first appearance. */
void say_counted(struct story *t, uint32_t waits)
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
