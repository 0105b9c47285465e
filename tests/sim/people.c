/* The clients. See people.h.
 *
 *   script --messages--> out -----> pgweir -----> in --messages--> compare
 *                  \---> asked ---> shadow ----> expected -----------^
 *
 * The shadow is asked only as far as answers arrive, so that what only time can tell (was the sleeping statement cancelled?) is told
 * to it by the answer itself, after it was judged whether that answer is allowed.
 *
 * Here is a client's life, from coming to leaving. What it says is in talking.c, what it hears in hearing.c. */
#include "people_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "cancels.h"
#include "judge.h"
#include "notes.h"
#include "session/cancel.h"

struct person *people;
unsigned people_left;
static unsigned person_count;
struct people_ways people_ways;
static bool hurry, reaping; /* reaping: its operators do little else */
static struct person *by_id[2048];

static const char *const users[] = { "anna", "bert", "carl" };

struct person *person_of(int id)
{
	return id >= 0 && (unsigned)id < person_count ? by_id[id] : NULL;
}

bool person_present(const struct person *p)
{
	return p->state != PERSON_GONE && !p->left && p->end && !p->end->wire->cut;
}

static void person_wakes(struct end *);
static void talk(void *who, uint64_t what);

void person_flush(struct person *p)
{
	if (p->out.length == 0 || !p->end->open || p->end->closed || p->end->shut)
		return;
	if (p->end->error) {
		bytes_take(&p->out, p->out.length);
		return;
	}
	bytes_take(&p->out, end_write(p->end, p->out.at + p->out.start, p->out.length));
}

static void gone(struct person *p)
{
	if (p->state == PERSON_GONE)
		return;
	p->state = PERSON_GONE;
	people_left--;
	if (!p->end->closed)
		end_close(p->end);
	bytes_free(&p->out);
	bytes_free(&p->in);
	bytes_free(&p->asked);
	bytes_free(&p->expected);
	session_free(p->shadow);
	p->shadow = NULL;
}

/* Everything it asked for is answered. */
bool person_is_quiet(const struct person *p)
{
	if (p->kind == PERSON_OPERATOR)
		return p->awaiting == 0;
	return p->asked.length == 0 && p->expected.length == 0 && !session_sleeps(p->shadow) && !p->shadow->copying;
}

/* ---- cancelling ---- */

static void cancel(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	if (p->state == PERSON_TALKING && !person_is_quiet(p))
		cancel_for(p);
}

/* ---- leaving ---- */

static void leave_politely(struct person *p)
{
	story("c%u: Terminate", p->id);
	person_says(p, 'X', NULL, 0);
	person_flush(p);
	p->left = true;
	if (p->out.length == 0) {
		gone(p);
		return;
	}
}

static void leave_rudely(struct person *p)
{
	world.client_faults++;
	p->left = true;
	if (p->out.length > 0 && p->end->open && !p->end->error && !p->end->closed)
		end_write(p->end, p->out.at + p->out.start, pick(p->out.length + 1));
	switch (pick(3)) {
	case 0:
		story("c%u: hangs up", p->id);
		end_close(p->end);
		break;
	case 1:
		story("c%u: resets", p->id);
		end_reset(p->end);
		break;
	default:
		story("c%u: is cut off", p->id);
		wire_cut(p->end->wire, 1, between(1, 20 * SECOND_US), ETIMEDOUT);
		p->end->closed = true;
		p->end->wakes = NULL;
		break;
	}
	gone(p);
}

static void leave_at_any_moment(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	if (p->state != PERSON_GONE && !hurry)
		leave_rudely(p);
}

/* ---- operators ---- */

static void note_protection(struct person *p, const char *text)
{
	static const char protect[] = "PROTECT ORIGIN ", release[] = "UNPROTECT ORIGIN ";

	p->protects = p->releases = 0;
	if (strncmp(text, protect, sizeof protect - 1) == 0)
		p->protects = (unsigned)strtoul(text + sizeof protect - 1, NULL, 10);
	if (strncmp(text, release, sizeof release - 1) == 0)
		p->releases = (unsigned)strtoul(text + sizeof release - 1, NULL, 10);
	if (p->releases)
		judge_release_asked(p->releases);
}

static void operate(struct person *p)
{
	static const char *const looks[] = { "SHOW POOLS", "SHOW CLIENTS", "SHOW SERVERS", "SHOW STATS",
		"SHOW DATABASES", "SHOW USERS", "SHOW TOTALS", "SHOW CONFIG", "SHOW LISTS", "SHOW STATE", "SHOW MEM",
		"SHOW VERSION", "SHOW HELP", "SHOW LEAKS", "SHOW ORIGINS", "SHOW BREAKDOWNS", "SHOW LEDGER",
		"SHOW LEASES", "SHOW PINS", "SHOW REAPS", "REAP", "REAP DRY RUN ORIGIN 2", "nonsense", "" };
	static const char *const acts[] = { "RELOAD", "RELOAD", "RELOAD", "RECONNECT", "PAUSE", "RESUME", "RESUME",
		"SUSPEND", "RESUME", "PAUSE @", "RESUME @", "RECONNECT @", "KILL @", "RESUME @", "DISABLE @",
		"ENABLE @", "ENABLE @", "WAIT_CLOSE @", "SET server_idle_timeout = 3", "REAP LEAKED", "REAP ORIGIN #",
		"REAP ORIGIN #", "REAP ORIGIN #", "REAP ORIGIN #", "REAP ORIGIN # LIMIT 1", "REAP CLIENT #",
		"PROTECT ORIGIN #", "UNPROTECT ORIGIN #" };
	char text[200];

	if ((chance(people_ways.commands) || (reaping && chance(700))) && !hurry) {
		const char *act = reaping && chance(800) ? "REAP ORIGIN #" : acts[pick(sizeof acts / sizeof *acts)];
		bool kills = strcmp(act, "REAP CLIENT #") == 0 && world.seed % 2 == 0;
		size_t n = strcspn(act, "@#");

		if (kills)
			snprintf(text, sizeof text, "KILL_CLIENT %u", 3 * (1 + (unsigned)pick(12)));
		else if (act[n] == '#')
			snprintf(text, sizeof text, "%.*s%u%s", (int)n, act, 1 + (unsigned)pick(12), act + n + 1);
		else
			snprintf(text, sizeof text, "%.*s%s", (int)n, act,
				act[n] ? people_ways.databases[pick(people_ways.database_count)] : "");
		world.commands++;
	} else {
		snprintf(text, sizeof text, "%s", looks[pick(sizeof looks / sizeof *looks)]);
	}
	note_protection(p, text);
	person_asks(p, text);
}

/* ---- the clock of a conversation ---- */

void person_talks_later(struct person *p)
{
	if (p->talk_due || p->state == PERSON_GONE)
		return;
	p->talk_due = true;
	world_after(chance(500)       ? between(1, 1000)
			: chance(950) ? between(1, 50 * MILLISECOND_US)
				      : between(1, 3 * SECOND_US),
		talk, p, 0);
}

static void talk(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	p->talk_due = false;
	if (p->state != PERSON_TALKING || p->fatal || p->left)
		return;
	if (!person_is_quiet(p) && (hurry || !chance(p->pipelined) || p->copy_waits || p->asked.length > 4000))
		return;
	if (!p->in_block && (p->talks == 0 || hurry)) {
		if (person_is_quiet(p))
			leave_politely(p);
		return;
	}
	if (p->talks > 0)
		p->talks--;
	if (hurry)
		p->block = 0;
	if (p->kind == PERSON_OPERATOR)
		operate(p);
	else
		person_converses(p);
	person_flush(p);
	p->since = world.now;
	if (chance(p->cancels)) {
		time_us after = between(1, 80 * MILLISECOND_US);

		/* Most answers do not take long. */
		world_after(1 + after * after / (80 * MILLISECOND_US), cancel, p, 0);
	}
	if (chance(p->pipelined))
		person_talks_later(p);
}

static void send_startup(struct person *p)
{
	char packet[2500], options[900] = "";
	size_t n = 8, o = 0;
	bool by_options = chance(400);
	uint32_t code = p->protocol_32 ? 0x30002 : 0x30000;

	for (unsigned i = 0; i < 4; i++)
		packet[4 + i] = (char)(code >> (24 - 8 * i));
	n += (size_t)snprintf(packet + n, sizeof packet - n, "user") + 1;
	n += (size_t)snprintf(packet + n, sizeof packet - n, "%s", p->user) + 1;
	n += (size_t)snprintf(packet + n, sizeof packet - n, "database") + 1;
	n += (size_t)snprintf(packet + n, sizeof packet - n, "%s", p->database) + 1;
	if (p->replicates) {
		n += (size_t)snprintf(packet + n, sizeof packet - n, "replication") + 1;
		n += (size_t)snprintf(packet + n, sizeof packet - n, "database") + 1;
	}
	for (int i = 0; i < SETTINGS; i++) {
		if (!p->has[i])
			continue;
		if (by_options && p->wanted[i][0]) {
			o += (size_t)snprintf(options + o, sizeof options - o, " -c %s=", setting_facts[i].name);
			for (const char *at = p->wanted[i]; *at; at++) {
				if (*at == ' ' || *at == '\\')
					options[o++] = '\\';
				options[o++] = *at;
			}
			options[o] = 0;
			continue;
		}
		n += (size_t)snprintf(packet + n, sizeof packet - n, "%s", setting_facts[i].name) + 1;
		n += (size_t)snprintf(packet + n, sizeof packet - n, "%s", p->wanted[i]) + 1;
	}
	if (o > 0) {
		n += (size_t)snprintf(packet + n, sizeof packet - n, "options") + 1;
		n += (size_t)snprintf(packet + n, sizeof packet - n, "%s", options) + 1;
	}
	packet[n++] = 0;
	for (unsigned i = 0; i < 4; i++)
		packet[i] = (char)((uint32_t)n >> (24 - 8 * i));
	bytes_add(&p->out, packet, n);
}

/* ---- the hostile ---- */

static void be_hostile(struct person *p)
{
	uint8_t junk[300];
	size_t n = 1 + pick(sizeof junk);

	rng_fill(&world.rng, junk, sizeof junk);
	switch (pick(6)) {
	case 0: /* noise */
		bytes_add(&p->out, junk, n);
		break;
	case 1: /* a startup packet that never ends */
		memcpy(junk, "\0\0\45\0\0\3\0\0user", 12);
		bytes_add(&p->out, junk, n);
		break;
	case 2: /* a giant */
		memcpy(junk, "\177\377\377\377\0\3\0\0", 8);
		bytes_add(&p->out, junk, n);
		break;
	case 3: /* someone who logs in, and then makes noise */
		send_startup(p);
		bytes_add(&p->out, junk, n);
		break;
	case 4: /* well formed, and meaningless */
		send_startup(p);
		if (people_ways.password)
			bytes_add(&p->out, "p\0\0\0\14pw-anna", 13);
		for (unsigned i = 0; i < 10; i++) {
			static const char types[] = "QPBDECSHFdcfX!";
			uint8_t body[40];
			char type = types[pick(sizeof types - 1)];

			if (type == 'X' && chance(700))
				continue;
			rng_fill(&world.rng, body, sizeof body);
			for (unsigned k = 0; k < sizeof body; k++)
				body[k] = chance(300) ? 0 : body[k];
			say_body(&p->out, type, body, pick(sizeof body));
		}
		break;
	default: /* a cancel request with a guessed key */
		bytes_add(&p->out, "\0\0\0\20\4\322\26\56", 8);
		/* Of a client in the first worker: see session/cancel.h. */
		junk[0] = junk[2] = 0;
		junk[1] = CANCEL_NO_PROCESS >> 16;
		junk[3] &= 15;
		bytes_add(&p->out, junk, 8);
		break;
	}
}

/* ---- what the wire brings ---- */

static void read_on(void *who, uint64_t what);

static void person_wakes(struct end *e)
{
	struct person *p = e->owner;

	if (p->state == PERSON_GONE)
		return;
	if (p->state == PERSON_COMING && e->open) {
		p->state = PERSON_GREETED;
		p->since = world.now;
		if (p->kind == PERSON_HOSTILE)
			be_hostile(p);
		else if (!p->wants_ssl || chance(500)) {
			p->wants_ssl = false;
			send_startup(p);
		} else {
			bytes_add(&p->out, "\0\0\0\10\4\322\26\57", 8);
		}
	}
	person_flush(p);
	if (p->left && p->out.length == 0) {
		gone(p);
		return;
	}
	if (p->still)
		return;
	if (!p->slow) {
		read_on(p, 1);
	} else if (!p->read_due) {
		p->read_due = true;
		world_after(between(1, 100 * MILLISECOND_US), read_on, p, 0);
	}
}

void person_is_over(struct person *p)
{
	if (p->kind != PERSON_HOSTILE && !p->left && !p->saw_end)
		judge_hung_up_on(p, p->in.length > 0);
	gone(p);
}

static void read_on(void *who, uint64_t what)
{
	struct person *p = who;
	bool waited_ssl = p->wants_ssl;

	p->read_due = p->read_due && what == 1;
	if (p->state == PERSON_GONE)
		return;
	p->received += end_read(p->end, &p->in, p->slow ? 1 + pick(200) : SIZE_MAX);
	if (p->kind == PERSON_HOSTILE) {
		bytes_take(&p->in, p->in.length);
	} else {
		person_hears(p);
		if (p->state != PERSON_GONE && waited_ssl && !p->wants_ssl) {
			send_startup(p);
			person_flush(p);
		}
	}
	if (p->state == PERSON_GONE)
		return;
	if (end_is_over(p->end)) {
		person_is_over(p);
		return;
	}
	if (p->slow && end_readable(p->end) > 0 && !p->read_due) {
		p->read_due = true;
		world_after(between(1, 30 * MILLISECOND_US), read_on, p, 0);
	}
}

static void look_again(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	if (p->state == PERSON_GONE)
		return;
	p->still = false;
	story("c%u: reads again", p->id);
	person_wakes(p->end);
}

static void stop_reading(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	if (p->state == PERSON_GONE || hurry)
		return;
	p->still = p->stopped = true;
	story("c%u: stops reading", p->id);
	world_after(between(SECOND_US, 10 * SECOND_US), look_again, p, 0);
}

static void hostile_leaves(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	if (p->state != PERSON_GONE) {
		p->left = true;
		end_close(p->end);
		gone(p);
	}
}

static void come(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	if (hurry) {
		p->end = NULL;
		p->state = PERSON_GONE;
		people_left--;
		session_free(p->shadow);
		p->shadow = NULL;
		return;
	}
	p->came = p->since = world.now;
	p->end = wire_dial(0x0a000009, 6432, person_wakes, p);
	story("c%u: comes (wire %u, %s/%s%s)", p->id, p->end->wire->number, p->database, p->user,
		p->replicates ? ", for replication" : "");
	if (p->kind == PERSON_HOSTILE)
		world_after(between(1, 5 * SECOND_US), hostile_leaves, p, 0);
	else if (p->kind == PERSON_GOOD && chance(people_ways.leaves))
		world_after(chance(500) ? between(1, 100 * MILLISECOND_US) : between(1, 5 * SECOND_US),
			leave_at_any_moment, p, 0);
	if (p->kind == PERSON_GOOD && chance(people_ways.slow / 2))
		world_after(between(1, 2 * SECOND_US), stop_reading, p, 0);
}

/* It asks for this at login. */
static void wants(struct person *p, unsigned setting)
{
	p->has[setting] = p->has_any = true;
	snprintf(p->wanted[setting], SETTING_BYTES, "%s", person_value(p, setting));
	session_start_with(p->shadow, span_text(setting_facts[setting].name), span_text(p->wanted[setting]));
}

static void person_new(enum person_kind kind)
{
	struct person *p = mine_new(sizeof *p);
	unsigned settings;

	p->id = person_count;
	check(person_count < sizeof by_id / sizeof *by_id);
	by_id[person_count++] = p;
	p->kind = kind;
	p->next = people;
	people = p;
	people_left++;
	p->user = kind == PERSON_OPERATOR ? "admin" : users[pick(people_ways.user_count)];
	p->database = kind == PERSON_OPERATOR ? "pgbouncer" : people_ways.databases[pick(people_ways.database_count)];
	p->talks = 1 + (unsigned)pick(chance(800) ? 12 : 60);
	p->protocol_32 = chance(200);
	p->wants_ssl = chance(150);
	p->slow = chance(people_ways.slow);
	p->extended = (unsigned)pick(1000);
	p->pipelined = chance(400) ? (unsigned)pick(900) : 0;
	p->named = (unsigned)pick(1000);
	p->blocks = (unsigned)pick(500);
	p->copies = chance(300) ? (unsigned)pick(300) : 0;
	p->sleeps = chance(500) ? (unsigned)pick(300) : 20;
	p->fails = chance(500) ? (unsigned)pick(200) : 0;
	p->sets = chance(400) ? (unsigned)pick(300) : 0;
	p->big = chance(500) ? (unsigned)pick(400) : 0;
	p->bodies = people_ways.bodies ? 100 + (unsigned)pick(600) : 0;
	if (p->bodies) /* what is skipped with a body matters too */
		p->fails = chance(700) ? 50 + (unsigned)pick(250) : 0, p->sets = chance(500) ? (unsigned)pick(300) : 0;
	p->cancels = kind != PERSON_HOSTILE && chance(people_ways.cancels) ? (unsigned)pick(800) : 0;
	if (people_ways.listen)
		p->listens = chance(notes_move() ? 950 : 800) ? 200 + (unsigned)pick(700) : 0;
	/* It may say simple queries alone (PostgreSQL's manual, "Streaming Replication Protocol"). */
	p->replicates = kind == PERSON_GOOD && people_ways.replicate && chance(200) && strcmp(p->database, "stat") != 0;
	if (p->replicates)
		p->extended = p->named = p->pipelined = p->listens = 0;
	if (kind == PERSON_OPERATOR) {
		p->pipelined = 0;
		p->talks *= reaping ? 8 : 1;
	}
	if (kind == PERSON_GOOD) {
		p->shadow = session_new();
		/* In session mode its names are the server's. */
		if (people_ways.prepared && strncmp(p->database, "sess", 4) != 0)
			p->shadow->names_max = people_ways.names_max;
		settings = chance(500) ? (unsigned)pick(4) : 0;
		while (settings-- > 0)
			wants(p, some_setting(false));
		if (chance(100))
			wants(p, (unsigned)setting_find(span_text("pgweir.no_reap")));
		if (p->bodies && chance(600))
			wants(p, (unsigned)setting_find(span_text(chance(500) ? "TimeZone" : "app.tenant")));
		/* What it asks for is set behind the trigger, where PostgreSQL has that last. */
		if (setting_triggered() >= 0 && (p->replicates || !p->has[setting_triggered()]))
			session_logs_in(p->shadow);
		if (setting_triggered() >= 0)
			text_copy(p->begun, SETTING_BYTES, p->shadow->now[setting_triggered()]);
	}
	world_after(between(0, people_ways.span), come, p, 0);
}

void people_begin(const struct people_ways *given)
{
	people_ways = *given;
	hurry = false;
	reaping = people_ways.commands > 0 && chance(300);
	person_count = people_left = 0;
	for (unsigned i = 0; i < people_ways.count; i++)
		person_new(PERSON_GOOD);
	for (unsigned i = 0; i < people_ways.hostile; i++)
		person_new(PERSON_HOSTILE);
	for (unsigned i = 0; i < people_ways.operators + (reaping ? 3 : 0); i++)
		person_new(PERSON_OPERATOR);
}

void people_hurry(void)
{
	hurry = true;
	for (struct person *p = people; p; p = p->next) {
		if (p->state == PERSON_GONE || !p->end)
			continue;
		p->talks = 0;
		p->still = p->slow = false;
		if (p->state == PERSON_TALKING)
			person_talks_later(p);
		person_wakes(p->end);
	}
}

void people_end(void)
{
	while (people) {
		struct person *p = people;

		people = p->next;
		if (p->state != PERSON_GONE && p->end)
			gone(p);
		session_free(p->shadow);
		bytes_free(&p->out);
		bytes_free(&p->in);
		bytes_free(&p->asked);
		bytes_free(&p->expected);
		mine_free(p);
	}
}
