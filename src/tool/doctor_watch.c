#include "tool/doctor_watch.h"

#include <stdlib.h>

#include "base/text.h"
#include "tool/doctor_origins.h"

/* PostgreSQL shows what each session does now and since when. From one picture to the next that gives most of what the ledger of a
 * pooler would know:
 *
 *   a session that was not there           a login; beside quiet siblings, if so many of them were idle at that moment
 *   one that is gone                       a logout, and its lifetime
 *   state_change moved                     at least one statement; after a rest of `quiet`, a second burst
 *   idle in transaction, then not          a block that ended, and how long its last stay was
 *
 * What happens between two pictures is missed: statements are undercounted, and of blocks only those that a picture caught. Sessions that
 * were there before the first picture are taken as they look: one whose state has not changed since its first moments had one burst.
 *
 * There is no pooler here, so each session is a client with its server, and what can be exhausted is max_connections. */

#define ORIGINS_MAX 1024

struct known {
	int pid;
	time_us birth, last_change; /* by the server's clock */
	uint32_t origin;            /* index into origins */
	bool block, quiet;
	unsigned bursts;
	time_us block_age;
};

struct origin {
	char name[320];
	struct leak_facts facts;
	uint32_t present; /* sessions in this picture */
};

struct watch {
	struct leak_rules rules;
	struct leak_book *book;
	struct origin *origins; /* ORIGINS_MAX; each stays */
	size_t origin_count;
	struct known *known; /* by pid and birth */
	size_t known_count;
	struct leak_facts *rows;
	time_us last_picture, last_step;
	bool began;
};

struct watch *watch_new(const struct leak_rules *rules)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return NULL;
	watch->rules = *rules;
	watch->book = leak_book_new();
	watch->origins = calloc(ORIGINS_MAX, sizeof *watch->origins);
	watch->rows = calloc(ORIGINS_MAX, sizeof *watch->rows);
	if (!watch->book || !watch->origins || !watch->rows) {
		watch_free(watch);
		return NULL;
	}
	return watch;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	leak_book_free(watch->book);
	free(watch->origins);
	free(watch->known);
	free(watch->rows);
	free(watch);
}

/* What a session's name tells of its program. */
static enum leak_runtime runtime_of(const char *application)
{
	static const struct {
		const char *word;
		enum leak_runtime runtime;
	} words[] = { { "daphne", RUNTIME_ASGI }, { "uvicorn", RUNTIME_ASGI }, { "hypercorn", RUNTIME_ASGI },
		{ "asgi", RUNTIME_ASGI }, { "gevent", RUNTIME_GEVENT }, { "celery", RUNTIME_CELERY },
		{ "qcluster", RUNTIME_DJANGO_Q }, { "DBeaver", RUNTIME_GUI }, { "pgAdmin", RUNTIME_GUI },
		{ "psql", RUNTIME_GUI } };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strstr(application, words[i].word))
			return words[i].runtime;
	}
	return RUNTIME_UNKNOWN;
}

static enum leak_driver driver_of(const char *application)
{
	if (strstr(application, "JDBC"))
		return DRIVER_JDBC;
	return strstr(application, "node") ? DRIVER_NODE : DRIVER_UNKNOWN;
}

/* ORIGINS_MAX: there are too many, and this one is not followed. */
static size_t origin_of(struct watch *watch, const struct session *s)
{
	char name[320];
	struct origin *origin;

	origin_name(s, name, sizeof name);
	for (size_t i = 0; i < watch->origin_count; i++) {
		if (strcmp(watch->origins[i].name, name) == 0)
			return i;
	}
	if (watch->origin_count == ORIGINS_MAX)
		return ORIGINS_MAX;
	origin = &watch->origins[watch->origin_count];
	text_copy(origin->name, sizeof origin->name, name);
	origin->facts = (struct leak_facts){ .origin = (uint32_t)watch->origin_count + 1,
		.session_mode = true,
		.driver = driver_of(s->application),
		.runtime = runtime_of(s->application) };
	return watch->origin_count++;
}

static struct known *find_known(const struct watch *watch, const struct session *s)
{
	size_t low = 0, high = watch->known_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		struct known *known = &watch->known[middle];

		if (known->pid == s->pid && known->birth == s->birth)
			return known;
		if (known->birth < s->birth || (known->birth == s->birth && known->pid < s->pid))
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool in_block(const struct session *s)
{
	return strncmp(s->state, "idle in transaction", 19) == 0;
}

static bool is_idle(const struct session *s)
{
	return strcmp(s->state, "idle") == 0;
}

static void at_least(time_us *oldest, time_us age)
{
	if (age > *oldest)
		*oldest = age;
}

/* ---- the present ---- */

/* What grows is kept; what holds for this moment is counted anew. */
static void clear_present(struct origin *origin)
{
	struct leak_facts *f = &origin->facts;

	origin->present = 0;
	f->clients = f->parked = f->waiting = f->lent = f->quiet = f->silent = f->once = f->listeners = 0;
	f->in_block = f->holding = f->unread = 0;
	f->oldest_quiet = f->oldest_hold = f->oldest_unread = 0;
}

static void count_present(struct watch *watch, struct leak_facts *f, const struct session *s, const struct known *known)
{
	f->clients++;
	f->parked += is_idle(s);
	f->lent += !is_idle(s);
	f->in_block += in_block(s);
	if (known->quiet) {
		f->quiet++;
		f->silent += known->bursts == 0;
		f->once += known->bursts == 1;
		f->listeners += text_equal_nocase(span_of(s->query, strnlen(s->query, 7)), span_text("listen "));
		at_least(&f->oldest_quiet, s->state_age);
	}
	if (in_block(s) && s->state_age >= watch->rules.hold) {
		f->holding++;
		at_least(&f->oldest_hold, s->state_age);
	}
	if (strcmp(s->wait_event, "ClientWrite") == 0 && s->state_age >= watch->rules.hold) {
		f->unread++;
		at_least(&f->oldest_unread, s->state_age);
	}
}

/* ---- from one picture to the next ---- */

/* How many siblings were quiet when this session was born, and are still. */
static uint32_t quiet_siblings(
	const struct watch *watch, const struct server_facts *server, size_t origin, time_us birth)
{
	uint32_t count = 0;

	for (size_t i = 0; i < server->session_count; i++) {
		const struct session *s = &server->sessions[i];
		const struct known *known = find_known(watch, s);

		count += known && known->origin == origin && is_idle(s) && s->last_change + watch->rules.quiet <= birth;
	}
	return count;
}

static void begin_session(struct watch *watch, const struct server_facts *server, const struct session *s,
	struct known *next, struct leak_facts *f)
{
	f->logins++;
	/* Those of the first picture have a past that nobody saw; their siblings' pasts neither. */
	if (watch->began && quiet_siblings(watch, server, next->origin, s->birth) >= watch->rules.siblings)
		f->logins_while_quiet++;
	next->bursts = s->query_age < 0 && is_idle(s) ? 0 : s->last_change - s->birth > watch->rules.quiet ? 2 : 1;
	f->reused += next->bursts > 1;
	f->transactions += next->bursts > 0;
}

static void go_on(struct watch *watch, const struct session *s, const struct known *before, struct known *next,
	struct leak_facts *f)
{
	time_us rest = s->last_change - before->last_change;

	next->bursts = before->bursts;
	if (rest <= 0)
		return;
	f->transactions++;
	if (before->block && !in_block(s))
		spread_add(&f->blocks, before->block_age);
	if (next->bursts == 0) {
		next->bursts = 1;
	} else if (before->quiet) {
		if (next->bursts == 1)
			f->reused++;
		next->bursts++;
	}
	if (before->quiet)
		spread_add(&f->gaps, rest);
}

static void end_sessions(struct watch *watch, const struct known *now, size_t now_count, time_us server_now)
{
	size_t n = 0;

	/* Both are sorted in the same way. */
	for (size_t i = 0; i < watch->known_count; i++) {
		const struct known *before = &watch->known[i];
		struct leak_facts *f = &watch->origins[before->origin].facts;

		while (n < now_count &&
			(now[n].birth < before->birth || (now[n].birth == before->birth && now[n].pid < before->pid)))
			n++;
		if (n < now_count && now[n].birth == before->birth && now[n].pid == before->pid)
			continue;
		f->logouts++;
		spread_add(&f->lifetimes, server_now - before->birth);
	}
}

static int compare(const void *left, const void *right)
{
	const struct known *a = left, *b = right;

	if (a->birth != b->birth)
		return a->birth < b->birth ? -1 : 1;
	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/* Limits, and the step of the detector. */
static size_t step(struct watch *watch, const struct server_facts *server, time_us now, uint32_t total,
	struct leak_change *changes, size_t capacity)
{
	uint32_t limit = (uint32_t)(server->max_connections - server->superuser_reserved - server->reserved);
	size_t rows = 0;

	for (size_t i = 0; i < watch->origin_count; i++) {
		struct leak_facts *f = &watch->origins[i].facts;

		if (f->clients == 0)
			continue;
		f->clients_limit = f->servers_limit = limit;
		f->clients_total = f->servers_lent = total;
		watch->rows[rows++] = *f;
	}
	watch->last_step = now;
	return leak_step(watch->book, &watch->rules, now, watch->rows, rows, changes, capacity);
}

size_t watch_picture(struct watch *watch, const struct server_facts *server, time_us now, struct leak_change *changes,
	size_t capacity)
{
	struct known *next = calloc(server->session_count + 1, sizeof *next);
	time_us passed = watch->began ? now - watch->last_picture : 0, server_now = 0;
	size_t count = 0;

	if (!next)
		return 0;
	for (size_t i = 0; i < watch->origin_count; i++)
		clear_present(&watch->origins[i]);
	for (size_t i = 0; i < server->session_count; i++) {
		const struct session *s = &server->sessions[i];
		const struct known *before = find_known(watch, s);
		size_t origin = s->ours ? ORIGINS_MAX : origin_of(watch, s);
		struct known *known = &next[count];
		struct leak_facts *f;

		if (s->birth + s->age > server_now)
			server_now = s->birth + s->age;
		if (origin == ORIGINS_MAX)
			continue;
		f = &watch->origins[origin].facts;
		*known = (struct known){ .pid = s->pid,
			.birth = s->birth,
			.last_change = s->last_change,
			.origin = (uint32_t)origin,
			.block = in_block(s),
			.block_age = s->state_age,
			.quiet = is_idle(s) && s->state_age >= watch->rules.quiet };
		if (before)
			go_on(watch, s, before, known, f);
		else
			begin_session(watch, server, s, known, f);
		if (known->block)
			f->in_block_time += passed;
		else if (strcmp(s->state, "active") == 0)
			f->executing_time += passed;
		count_present(watch, f, s, known);
		count++;
	}
	qsort(next, count, sizeof *next, compare);
	end_sessions(watch, next, count, server_now);
	free(watch->known);
	watch->known = next;
	watch->known_count = count;
	watch->last_picture = now;
	if (watch->began && now - watch->last_step < watch->rules.period)
		return 0;
	watch->began = true;
	return step(watch, server, now, (uint32_t)count, changes, capacity);
}

const struct leak *watch_leak(const struct watch *watch, size_t i)
{
	return leak_at(watch->book, i);
}

const char *watch_origin(const struct watch *watch, uint32_t origin)
{
	return origin >= 1 && origin <= watch->origin_count ? watch->origins[origin - 1].name : "?";
}

const struct leak_facts *watch_facts(const struct watch *watch, const char *origin)
{
	for (size_t i = 0; i < watch->origin_count; i++) {
		if (strcmp(watch->origins[i].name, origin) == 0)
			return &watch->origins[i].facts;
	}
	return NULL;
}
