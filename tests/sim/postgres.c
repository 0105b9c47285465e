/* The simulated PostgreSQL: connections, logins, cancel requests, limits, and its ways to die. What a session answers is in session.c.
 *
 * As in PostgreSQL, a backend that runs a statement does not notice that its client is gone until it wants to read or write, and its
 * place among max_connections is free before its socket is closed. */
#include "postgres.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "changes.h"
#include "judge.h"
#include "notes.h"

struct cluster cluster;

bool backend_lives(const struct backend *b)
{
	return b->state == BACKEND_PROVING || b->state == BACKEND_READY || b->state == BACKEND_ENDING;
}

static void backend_runs(void *who, uint64_t what);

static void soon(struct backend *b, time_us delay)
{
	if (b->due || b->state == BACKEND_GONE)
		return;
	b->due = true;
	world_after(delay, backend_runs, b, 0);
}

void backend_soon(struct backend *b)
{
	soon(b, 1);
}

static void backend_wakes(struct end *e)
{
	soon(e->owner, between(cluster.think_least, cluster.think_most));
}

/* Last words at the startup are heard to their end, however little the wire takes at a time: nobody ends a backend that writes them. */
static void socket_closes(void *who, uint64_t what)
{
	struct backend *b = who;

	(void)what;
	if (b->end->closed)
		return;
	if (b->out.length > 0 && !b->end->error && !b->end->wire->cut) {
		bytes_take(&b->out, end_write(b->end, b->out.at + b->out.start, b->out.length));
		if (b->out.length > 0) {
			world_after(MILLISECOND_US, socket_closes, b, 0);
			return;
		}
	}
	bytes_free(&b->out);
	end_close(b->end);
}

/* Its slot is free now, its socket a moment later. */
static void gone(struct backend *b)
{
	bool starting = b->state == BACKEND_STARTING || b->state == BACKEND_CANCELLING;

	if (b->state == BACKEND_GONE)
		return;
	if (!starting)
		story("pg: backend %u (%s/%s) ends", b->process, b->database, b->user);
	b->state = BACKEND_GONE;
	if (b->aside)
		cluster.ear_ended_at = world.now;
	if (b->counted)
		cluster.counted--;
	b->counted = false;
	session_free(b->session);
	b->session = NULL;
	bytes_free(&b->in);
	if (b->out.length > 0 && !b->end->error && !b->end->closed)
		bytes_take(&b->out, end_write(b->end, b->out.at + b->out.start, b->out.length));
	if (!starting)
		bytes_free(&b->out);
	world_after(between(1, 500), socket_closes, b, 0);
}

static void last_words(struct backend *b, const char *sqlstate, const char *message)
{
	if (b->state == BACKEND_GONE)
		return;
	if (b->out.length == 0 && !b->end->closed && !b->end->error)
		say_error(&b->out, 'E', "FATAL", sqlstate, message);
	gone(b);
}

static void flush_out(struct backend *b)
{
	size_t n;

	if (b->out.length == 0)
		return;
	if (b->end->error) {
		bytes_take(&b->out, b->out.length);
		return;
	}
	n = end_write(b->end, b->out.at + b->out.start, b->out.length);
	bytes_take(&b->out, n);
}

static void statement_begins(void *who, const char *text)
{
	judge_statement(who, text);
}

static void commits(void *who)
{
	notes_committed(who);
}

static void readies(void *who, struct bytes *out)
{
	notes_tell(who, out);
}

static void plans(void *who, const struct plan *plan, const char *now, int tag)
{
	judge_plan(who, plan, now, tag);
}

/* ---- login ---- */

static void welcome(struct backend *b)
{
	uint8_t key[8] = { (uint8_t)(b->process >> 24), (uint8_t)(b->process >> 16), (uint8_t)(b->process >> 8),
		(uint8_t)b->process, (uint8_t)(b->secret >> 24), (uint8_t)(b->secret >> 16), (uint8_t)(b->secret >> 8),
		(uint8_t)b->secret };

	say_body(&b->out, 'R', "\0\0\0\0", 4);
	session_report_all(b->session, &b->out);
	say_body(&b->out, 'K', key, 8);
	say_ready(&b->out, 'I');
	b->state = BACKEND_READY;
	b->owner = -1;
	story("pg: backend %u serves %s/%s", b->process, b->database, b->user);
}

/* ---- cancels ----
 *
 * A cancel request is served by a process of its own, whenever that gets its turn; it signals the backend and ends, and its connection with it. It
 * does so twice (postmaster.c, signal_child: the process, and its group), mostly in one moment; but it may be made to wait in between. What
 * the backend is at in that moment is hit, whoever said it: a statement that sleeps, or the message that was just read; a COPY IN with the next
 * data, for nobody looks for signals while he waits for more. What is read behind that is not, for a signal that comes before a message was read means
 * nothing (tcop/postgres.c, DoingCommandRead). So who has seen that connection end may say something new. */

static struct backend *backend_of(uint32_t process)
{
	struct backend *b = cluster.backends;

	while (b && (b->process != process || b->state != BACKEND_READY))
		b = b->next;
	return b;
}

static void signalled(struct backend *request)
{
	request->signal = 0;
	cluster.signals--;
	gone(request);
}

static void signal_is_due(void *who, uint64_t what);

/* It has hit something: sometimes what comes next is hit as well. */
static void has_hit(struct backend *request)
{
	if (request->hit_at == 0 && !world.plain && chance(500)) {
		request->hit_at = world.now;
		world_after(between(1, 20 * MILLISECOND_US), signal_is_due, request, 0);
		return;
	}
	signalled(request);
}

static void signal_is_due(void *who, uint64_t what)
{
	struct backend *request = who, *b;

	(void)what;
	if (!request->signal)
		return;
	b = backend_of(request->signal);
	if (b && session_sleeps(b->session)) {
		story("pg: backend %u is cancelled", b->process);
		judge_cancelled(b, b->session->sleeper, b->session->sleep_writes, request->hit_at);
		b->sleep++;
		session_wake(b->session, true, &b->out);
		soon(b, 1);
		has_hit(request);
		return;
	}
	if (b && session_copy_is_hit(b->session)) {
		story("pg: backend %u is cancelled in the midst of a COPY", b->process);
		judge_cancelled(b, b->session->copier, false, request->hit_at);
		has_hit(request);
		return;
	}
	story("pg: cancel of backend %u comes too late", request->signal);
	signalled(request);
}

/* The message that was just read is hit. */
static bool is_hit(struct backend *b, char type, struct span body)
{
	struct backend *request = cluster.signals > 0 ? cluster.backends : NULL;
	char text[TEXT_BYTES];

	if (b->session->copying && b->session->copy_is_hit && type == 'd') {
		session_is_hit(b->session, type, body, false, &b->out);
		return true;
	}
	while (request && request->signal != b->process)
		request = request->next;
	if (!request || !session_can_be_hit(b->session, type, body, text) || !chance(tag_of(text) < 0 ? 800 : 300))
		return false;
	story("pg: backend %u is cancelled at %c %s", b->process, type, text);
	judge_cancelled(b, text, false, request->hit_at);
	session_is_hit(b->session, type, body, tag_of(text) < 0 && chance(500), &b->out);
	has_hit(request);
	return true;
}

static void take_cancel(struct backend *request, uint32_t process, uint32_t secret)
{
	struct backend *b = backend_of(process);

	if (b && b->secret != secret)
		broken("a cancel names the server's own secret", "wrong secret for backend %u", process);
	request->state = BACKEND_CANCELLING;
	request->signal = process;
	cluster.signals++;
	/* In some runs what lies between may end the connection before, and the signal comes all the same. */
	if (!cluster.cancelled && !world.plain)
		cluster.strays = chance(120) ? 500 : 0;
	cluster.cancelled = true;
	if (cluster.strays && chance(cluster.strays)) {
		story("fault: wire %u is reset", request->end->wire->number);
		world.strays++;
		end_reset(request->end);
	}
	world_after(between(1, (chance(200) ? 3 : 100) * MILLISECOND_US), signal_is_due, request, 0);
}

static void take_startup(struct backend *b, struct span packet)
{
	const char *at = (const char *)packet.at + 8, *end = (const char *)packet.at + packet.length;

	/* Settings come after user and database; a session has them all from its first moment. */
	b->session = session_new();
	b->session->runs = statement_begins;
	b->session->commits = commits;
	b->session->readies = readies;
	b->session->plans = plans;
	b->session->who = b;
	while (at < end && *at) {
		const char *key = at, *value = key + strlen(key) + 1;

		if (value >= end)
			break;
		at = value + strlen(value) + 1;
		if (strcmp(key, "application_name") == 0 && strcmp(value, "pgweir monitor") == 0) {
			b->monitor = true;
			/* What the one before it was told may be too old to be believed by now. */
			cluster.readings = 0;
			cluster.steady_at = 0;
		}
		if (strcmp(key, "application_name") == 0 && strcmp(value, "pgweir listener") == 0)
			b->aside = true;
		b->replicates = b->replicates || strcmp(key, "replication") == 0;
		if (strcmp(key, "user") == 0)
			snprintf(b->user, sizeof b->user, "%s", value);
		else if (strcmp(key, "database") == 0)
			snprintf(b->database, sizeof b->database, "%s", value);
		else
			session_start_with(b->session, span_text(key), span_text(value));
	}
	session_logs_in(b->session);
	/* For all but notifications it is the same. */
	b->beyond = strcmp(b->database, "beyond") == 0;
	if (b->beyond)
		snprintf(b->database, sizeof b->database, "app");
	if (cluster.starting) {
		last_words(b, "57P03", "the database system is starting up");
		return;
	}
	if (cluster.counted + cluster.others >= cluster.max_connections) {
		story("pg: refuses %s/%s: 53300", b->database, b->user);
		judge_full(b);
		last_words(b, "53300", "sorry, too many clients already");
		return;
	}
	b->counted = true;
	b->born = world.now;
	cluster.counted++;
	b->process = ++cluster.next_process;
	b->secret = (uint32_t)rng_next(&world.rng);
	judge_backend(b);
	if (cluster.cleartext) {
		say_body(&b->out, 'R', "\0\0\0\3", 4);
		b->state = BACKEND_PROVING;
	} else {
		welcome(b);
	}
}

static bool read_hello(struct backend *b)
{
	struct span in = bytes_span(&b->in);
	uint32_t length, code, process, secret;

	if (in.length < 8)
		return false;
	length = (uint32_t)in.at[0] << 24 | (uint32_t)in.at[1] << 16 | (uint32_t)in.at[2] << 8 | in.at[3];
	code = (uint32_t)in.at[4] << 24 | (uint32_t)in.at[5] << 16 | (uint32_t)in.at[6] << 8 | in.at[7];
	if (length < 8 || length > 10000)
		broken("PostgreSQL gets a startup packet", "its length is %u", length);
	if (in.length < length)
		return false;
	if (code == 80877102) {
		check(length >= 16);
		process = (uint32_t)in.at[8] << 24 | (uint32_t)in.at[9] << 16 | (uint32_t)in.at[10] << 8 | in.at[11];
		secret = (uint32_t)in.at[12] << 24 | (uint32_t)in.at[13] << 16 | (uint32_t)in.at[14] << 8 | in.at[15];
		bytes_take(&b->in, length);
		take_cancel(b, process, secret);
		return false;
	}
	if (code >> 16 != 3)
		broken("PostgreSQL gets a startup packet", "its code is %u", code);
	take_startup(b, span_of(in.at, length));
	if (b->state == BACKEND_GONE)
		return false;
	bytes_take(&b->in, length);
	return true;
}

static bool read_password(struct backend *b)
{
	char type;
	struct span body;
	size_t total;
	enum proof proof;

	if (!message_next(bytes_span(&b->in), &type, &body, &total))
		return false;
	proof = type == 'p' ? changes_prove(b->user, body) : PROOF_WRONG;
	bytes_take(&b->in, total);
	if (proof == PROOF_WRONG)
		broken("the server gets the user's own password", "user %s", b->user);
	if (proof == PROOF_OLD) {
		last_words(b, "28P01", "password authentication failed");
		return false;
	}
	welcome(b);
	return true;
}

/* ---- work ---- */

static void arm_sleep(struct backend *);

static void sleep_is_over(void *who, uint64_t what)
{
	struct backend *b = who;

	if (b->state != BACKEND_READY || b->sleep != what || !session_sleeps(b->session))
		return;
	session_wake(b->session, false, &b->out);
	arm_sleep(b);
	soon(b, 1);
}

/* The next statement of the same query may sleep too. */
static void arm_sleep(struct backend *b)
{
	if (session_sleeps(b->session))
		world_after(b->session->sleeps, sleep_is_over, b, ++b->sleep);
}

static bool read_message(struct backend *b)
{
	char type;
	struct span body;
	size_t total;

	if (!message_next(bytes_span(&b->in), &type, &body, &total))
		return false;
	if (type == 'Q' && body.length > 1 && body.at[body.length - 1] == 0 && tag_of((const char *)body.at) < 0)
		story("pg: backend %u: %s", b->process, (const char *)body.at);
	if (b->monitor && type == 'Q' && body.length > 0 && body.at[body.length - 1] == 0)
		monitor_answers(b, (const char *)body.at);
	else if (!is_hit(b, type, body))
		session_take(b->session, type, body, &b->out);
	bytes_take(&b->in, total);
	arm_sleep(b);
	return true;
}

static void backend_runs(void *who, uint64_t what)
{
	struct backend *b = who;
	unsigned budget = 1 + (unsigned)pick(20);

	(void)what;
	b->due = false;
	if (b->state == BACKEND_GONE)
		return;
	/* It writes what it has to say before it reads on. */
	flush_out(b);
	if (b->out.length > 0)
		return;
	end_read(b->end, &b->in, SIZE_MAX);
	while (b->state != BACKEND_GONE && budget-- > 0 && b->out.length < 8192) {
		bool more = false;

		if (b->state == BACKEND_STARTING)
			more = read_hello(b);
		else if (b->state == BACKEND_PROVING)
			more = read_password(b);
		else if (b->state == BACKEND_READY && !session_sleeps(b->session))
			more = read_message(b);
		if (!more)
			break;
		if (b->session && b->session->over)
			break;
	}
	if (b->state == BACKEND_GONE)
		return;
	flush_out(b);
	if (b->session && b->session->over && b->out.length == 0) {
		gone(b);
		return;
	}
	if (b->session && session_sleeps(b->session))
		return;
	if (b->out.length > 0)
		return;
	/* End of file, or an error: seen when there is nothing else to do. */
	if (end_is_over(b->end)) {
		char type;
		struct span body;
		size_t total;

		if (b->end->error || !message_next(bytes_span(&b->in), &type, &body, &total) ||
			b->state != BACKEND_READY) {
			gone(b);
			return;
		}
	}
	if (budget + 1 == 0 || b->in.length > 0 || end_readable(b->end) > 0) {
		char type;
		struct span body;
		size_t total;

		if (end_readable(b->end) > 0 || message_next(bytes_span(&b->in), &type, &body, &total))
			soon(b, between(cluster.think_least, cluster.think_most));
	}
}

static bool backend_arrives(void *who, struct end *e)
{
	struct backend *b;

	(void)who;
	if (cluster.down)
		return false;
	b = mine_new(sizeof *b);
	b->end = e;
	b->owner = b->only = -1;
	b->next = cluster.backends;
	cluster.backends = b;
	e->owner = b;
	e->wakes = backend_wakes;
	return true;
}

/* ---- faults ---- */

static void is_up(void *who, uint64_t what)
{
	(void)who;
	(void)what;
	cluster.starting = false;
	story("pg: is up");
}

static void is_starting(void *who, uint64_t what)
{
	(void)who;
	cluster.down = false;
	cluster.starting = true;
	world_after((time_us)what, is_up, NULL, 0);
}

static void go_down(time_us down_for)
{
	cluster.down = true;
	world_after(down_for, is_starting, NULL, (uint64_t)(down_for / 2 + 1));
}

void backend_terminate(struct backend *b)
{
	world.server_faults++;
	story("pg: backend %u is terminated", b->process);
	last_words(b, "57P01", "terminating connection due to administrator command");
}

void backend_vanish(struct backend *b)
{
	world.server_faults++;
	story("pg: backend %u vanishes", b->process);
	bytes_free(&b->out);
	gone(b);
}

void cluster_restart(time_us down_for)
{
	world.server_faults++;
	story("pg: restarts");
	for (struct backend *b = cluster.backends; b; b = b->next)
		if (b->state != BACKEND_GONE)
			last_words(b, "57P01", "terminating connection due to administrator command");
	go_down(down_for);
}

void cluster_crash(time_us down_for)
{
	world.server_faults++;
	story("pg: crashes");
	for (struct backend *b = cluster.backends; b; b = b->next) {
		if (b->state == BACKEND_GONE)
			continue;
		if (chance(500))
			bytes_free(&b->out), gone(b);
		else
			last_words(b, "57P02", "terminating connection because of crash of another server process");
	}
	go_down(down_for);
}

static void changed(void)
{
	cluster.changed_at = world.now;
	cluster.steady_at = 0;
	cluster.readings = 0;
}

void cluster_room(unsigned max_connections)
{
	cluster.max_connections = max_connections;
	changed();
}

void cluster_others(unsigned count)
{
	unsigned held = cluster.counted + cluster.others,
		 room = cluster.max_connections > held ? cluster.max_connections - held : 0;

	cluster.others = count < cluster.others + room ? count : cluster.others + room;
	changed();
	story("pg: %u connections of others", cluster.others);
}

void cluster_begin(void)
{
	cluster = (struct cluster){ .usual = 100, .think_least = 1, .think_most = 200, .next_process = 1000 };
	cluster_room(cluster.usual);
	world_listen(0x0a000001, 5432, backend_arrives, NULL);
}

void cluster_end(void)
{
	while (cluster.backends) {
		struct backend *b = cluster.backends;

		cluster.backends = b->next;
		session_free(b->session);
		bytes_free(&b->in);
		bytes_free(&b->out);
		mine_free(b);
	}
}
