/* The clients. See people.h.
 *
 *   script --messages--> out -----> pgweir -----> in --messages--> compare
 *                  \---> asked ---> shadow ----> expected -----------^
 *
 * The shadow is asked only as far as answers arrive, so that what only time can tell (was the sleeping statement cancelled?) is told
 * to it by the answer itself, after it was judged whether that answer is allowed. */
#include "people.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/text.h"
#include "cancels.h"
#include "judge.h"
#include "notes.h"

struct person *people;
unsigned people_left;
static unsigned person_count;
static struct people_ways ways;
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

static void flush(struct person *p)
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

/* ---- saying something ---- */

static void say_message(struct person *p, char type, const void *body, size_t n)
{
	struct bytes message = { 0 };

	p->asked_at = world.now;
	say_body(&message, type, body, n);
	bytes_add(&p->out, message.at, message.length);
	if (p->kind == PERSON_GOOD)
		bytes_add(&p->asked, message.at, message.length);
	bytes_free(&message);
	if (p->kind == PERSON_OPERATOR)
		p->awaiting += type == 'Q';
}

static void ask(struct person *p, const char *text)
{
	story("c%u: %s", p->id, text);
	say_message(p, 'Q', text, strlen(text) + 1);
}

static void nonce(struct person *p, char out[80])
{
	snprintf(out, 80, "c%u.%u.%08x", p->id, ++p->queries, (unsigned)pick(UINT32_MAX));
}

/* One statement whose answer only this client can get. */
static void compose(struct person *p, char *out, size_t size, bool extended)
{
	char mine[80];
	unsigned i;

	nonce(p, mine);
	if (chance(p->fails)) {
		snprintf(out, size, "FAIL '%s'", mine);
	} else if (chance(p->sleeps)) {
		snprintf(out, size, chance(600) ? "SELECT pg_sleep(%u,'%s')" : "UPDATE pg_sleep(%u,'%s')",
			(unsigned)pick(chance(900) ? 50 : 3000), mine);
	} else if (chance(p->copies) && !extended) {
		snprintf(out, size, "COPY OUT %u '%s'", (unsigned)pick(20), mine);
	} else if (chance(p->big)) {
		snprintf(out, size, "SELECT rows(%u,%u,'%s')", 1 + (unsigned)pick(8),
			(unsigned)pick(chance(800) ? 300 : 9000), mine);
	} else if (chance(100)) {
		snprintf(out, size, "WARN '%s'", mine);
	} else if (chance(200)) {
		snprintf(out, size, "INSERT '%s'", mine);
	} else if (chance(250)) {
		i = (unsigned)pick(SETTINGS);
		/* What it SET itself and nobody reports holds to the end of the transaction; a prepared SHOW may run later. */
		if (!ways.transparent && (p->touched[i] || extended) && !setting_facts[i].reported)
			i = 0;
		snprintf(out, size, "SHOW %s /*%s*/", setting_facts[i].name, mine);
	} else {
		snprintf(out, size, "SELECT '%s'", mine);
	}
}

static const char *some_value(unsigned setting)
{
	static const char *const values[SETTINGS][4] = {
		{ "web", "job 'x'", "back\\slash", "billing" },
		{ "UTF8", "LATIN1", "SQL_ASCII", "UTF8" },
		{ "german", "iso", "SQL, DMY", "ISO, DMY" },
		{ "Europe/Berlin", "Asia/Tokyo", "Etc/UTC", "America/Lima" },
		{ "postgres", "iso_8601", "sql_standard", "postgres" },
		{ "on", "off", "on", "off" },
		{ 0 },
		{ 0 },
		{ 0 },
		{ "tenant_a", "tenant_b", "\"a b\", public", "public" },
		{ "30000", "5000", "1", "0" },
		{ "64MB", "1GB", "4MB", "8MB" },
		{ "t1", "t2", "t3", "t'4" },
		{ "on", "off", "yes", "1" },
	};

	return values[setting][pick(4)];
}

static unsigned some_setting(bool reported)
{
	unsigned i;

	do
		i = (unsigned)pick(SETTINGS);
	while ((i >= 6 && i <= 8) || (reported && !setting_facts[i].reported));
	return i;
}

static void compose_set(struct person *p, char *out, size_t size, bool local)
{
	char mine[80], value[100], quoted[200];
	unsigned i = some_setting(false), n = 0;

	nonce(p, mine);
	p->touched[i] = true;
	snprintf(value, sizeof value, "%s", some_value(i));
	for (const char *at = value; *at; at++) {
		if (*at == '\'' || *at == '\\')
			quoted[n++] = *at == '\'' ? '\'' : '\\';
		quoted[n++] = *at;
	}
	quoted[n] = 0;
	snprintf(out, size, "SET %s%s TO E'%s' /*%s*/", local ? "LOCAL " : "", setting_facts[i].name, quoted, mine);
}

static bool may_reset(const struct person *p)
{
	return !p->has_any || (ways.transparent && strncmp(p->database, "sess", 4) != 0);
}

/* What lives in its session, and the way back to what it asked for when it came. */
static void compose_own(struct person *p, char *out, size_t size)
{
	char mine[80];
	unsigned i = some_setting(false);

	nonce(p, mine);
	/* In session mode RESET leads back to what the pooler asked for. */
	if (may_reset(p) && chance(250)) {
		snprintf(out, size, "RESET %s /*%s*/", chance(800) ? setting_facts[i].name : "ALL", mine);
		return;
	}
	switch (pick(5)) {
	case 0:
		snprintf(out, size, "CREATE TEMP TABLE mine '%s'", mine);
		break;
	case 1:
		snprintf(out, size, "DROP TABLE mine /*%s*/", mine);
		break;
	case 2:
		p->touched[setting_find(span_text("app.tenant"))] = true;
		snprintf(out, size, "INSERT trapped 't%u' /*%s*/", (unsigned)pick(4), mine);
		break;
	default:
		snprintf(out, size, "TABLE mine /*%s*/", mine);
		break;
	}
}

static void say_parse(struct person *p, const char *name, const char *text)
{
	char body[900];
	size_t n = 0;

	story("c%u: Parse %s: %s", p->id, *name ? name : "(unnamed)", text);
	n += (size_t)snprintf(body + n, sizeof body - n, "%s", name) + 1;
	n += (size_t)snprintf(body + n, sizeof body - n, "%s", text) + 1;
	body[n++] = 0;
	body[n++] = 0;
	say_message(p, 'P', body, n);
}

static void say_bind(struct person *p, const char *portal, const char *name, const char *parameter)
{
	uint8_t body[400];
	size_t n = 0, length = parameter ? strlen(parameter) : 0;

	story("c%u: Bind %s to %s", p->id, *name ? name : "(unnamed)", *portal ? portal : "(unnamed)");
	n += (size_t)snprintf((char *)body + n, sizeof body - n, "%s", portal) + 1;
	n += (size_t)snprintf((char *)body + n, sizeof body - n, "%s", name) + 1;
	memcpy(body + n, "\0\0\0", 3);
	n += 3;
	body[n++] = parameter ? 1 : 0;
	if (parameter) {
		memcpy(body + n, "\0\0\0", 3);
		n += 3;
		body[n++] = (uint8_t)length;
		memcpy(body + n, parameter, length);
		n += length;
	}
	memcpy(body + n, "\0\0", 2);
	n += 2;
	say_message(p, 'B', body, n);
}

static void say_target(struct person *p, char type, char kind, const char *name)
{
	char body[100];

	story("c%u: %s %c %s", p->id, type == 'D' ? "Describe" : "Close", kind, *name ? name : "(unnamed)");
	body[0] = kind;
	snprintf(body + 1, sizeof body - 1, "%s", name);
	say_message(p, type, body, strlen(name) + 2);
}

static void say_execute(struct person *p, const char *portal, unsigned most)
{
	char body[100];
	size_t n = (size_t)snprintf(body, sizeof body - 4, "%s", portal) + 1;

	story("c%u: Execute %s", p->id, *portal ? portal : "(unnamed)");
	memcpy(body + n, "\0\0\0", 3);
	body[n + 3] = (char)most;
	say_message(p, 'E', body, n + 4);
}

static void say_copy_data(struct person *p)
{
	char line[200];
	unsigned rows = (unsigned)pick(8);

	for (unsigned i = 0; i < rows; i++) {
		snprintf(line, sizeof line, "c%u row %u %.*s\n", p->id, i, (int)pick(100),
			"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
		say_message(p, 'd', line, strlen(line));
	}
	if (chance(800))
		say_message(p, 'c', NULL, 0);
	else
		say_message(p, 'f', "no more", 8);
	story("c%u: %u rows of copy data", p->id, rows);
}

/* ---- conversations ---- */

static void simple(struct person *p)
{
	char text[3000] = "", one[700];
	size_t used = 0;
	unsigned i, n = chance(800) ? 1 : 1 + (unsigned)pick(4);

	for (i = 0; i < n; i++) {
		compose(p, one, sizeof one, false);
		used += text_format(text + used, sizeof text - used, "%s%s", i > 0 ? "; " : "", one);
	}
	if (chance(30))
		text[0] = 0;
	ask(p, text);
}

static void copy_in(struct person *p)
{
	char text[200], mine[80];
	bool by_execute = chance(p->extended), waits = chance(500);

	nonce(p, mine);
	snprintf(text, sizeof text, "COPY IN %u '%s'", chance(700) ? 0 : 1 + (unsigned)pick(6), mine);
	if (by_execute) {
		p->unnamed_sure = false; /* not to be run a second time */
		say_parse(p, "", text);
		say_bind(p, "", "", NULL);
		say_execute(p, "", 0);
		/* As libpq does: a Sync at once, which the server ignores while it copies. */
		if (chance(500))
			say_message(p, 'S', NULL, 0);
		say_copy_data(p);
		say_message(p, 'S', NULL, 0);
		return;
	}
	ask(p, text);
	if (waits)
		p->copy_waits = true;
	else
		say_copy_data(p);
}

static void extended_one(struct person *p, bool names_too)
{
	static const char *const names[] = { "s1", "s2", "s3", "s4", "s5", "s6" };
	static const char *const portals[] = { "", "", "", "p1" };
	char text[700], mine[80], parameter[100];
	const char *name = names_too && chance(p->named) ? names[pick(6)] : "", *portal = portals[pick(4)];
	bool with_parameter = chance(500);

	nonce(p, mine);
	snprintf(parameter, sizeof parameter, "*%s", mine);
	/* The unnamed statement outlives a Sync. Whether one that was skipped after an error left the old one is not asked. */
	if (*name ? chance(400) : !names_too || !p->unnamed_sure || chance(700)) {
		p->unnamed_sure = p->unnamed_sure || !*name;
		if (with_parameter)
			snprintf(text, sizeof text, "SELECT $1");
		else
			compose(p, text, sizeof text, true);
		/* In an aborted block which error is said first depends on whether the server has the statement. */
		if (p->shadow->status != 'E' && chance(30))
			snprintf(text, sizeof text, "nonsense '%s'", mine);
		say_parse(p, name, text);
	}
	/* In an aborted block nothing can be prepared on a server that does not have it yet, so its description can not be had. */
	if (p->shadow->status != 'E' && chance(250))
		say_target(p, 'D', 'S', name);
	if (chance(900)) {
		say_bind(p, portal, name, parameter);
		if (chance(400))
			say_target(p, 'D', 'P', portal);
		if (chance(950))
			say_execute(p, portal, chance(150) ? 1 + (unsigned)pick(3) : 0);
		if (chance(150))
			say_execute(p, portal, 0);
	}
	if (chance(100) && !*name)
		say_target(p, 'C', 'S', chance(900) ? "" : "nobody");
	if (*portal && chance(700))
		say_target(p, 'C', 'P', portal);
	if (chance(80))
		say_message(p, 'H', NULL, 0);
}

/* What a skipped Parse or Close of a name means for the batches behind it is known only when they are answered; here such batches are
 * sent one at a time, and a Close alone. */
static void extended(struct person *p)
{
	unsigned n = 1 + (chance(p->pipelined) ? (unsigned)pick(6) : 0);
	bool names_too = ways.prepared && person_is_quiet(p);
	char name[] = "s1";

	if (names_too && chance(p->named / 8)) {
		name[1] = (char)('1' + pick(6));
		say_target(p, 'C', 'S', name);
		say_message(p, 'S', NULL, 0);
		return;
	}
	while (n-- > 0) {
		extended_one(p, names_too);
		if (n > 0 && !p->in_block && !names_too && chance(300))
			say_message(p, 'S', NULL, 0);
	}
	say_message(p, 'S', NULL, 0);
}

static void by_either(struct person *p, const char *text)
{
	if (chance(p->extended)) {
		p->unnamed_sure = false; /* not to be run a second time */
		say_parse(p, "", text);
		say_bind(p, "", "", NULL);
		say_execute(p, "", 0);
		say_message(p, 'S', NULL, 0);
	} else {
		ask(p, text);
	}
}

/* Without its comment, as drivers say it: then the pooler puts a BEGIN off. */
static void be_plain(char *text)
{
	if (chance(600))
		*strchr(text, ' ') = 0;
}

static void converse(struct person *p)
{
	char text[700], mine[80];
	bool statement_mode = strncmp(p->database, "stat", 4) == 0;

	if (p->in_block && p->block == 0) {
		nonce(p, mine);
		snprintf(text, sizeof text, chance(700) ? "COMMIT /*%s*/" : "ROLLBACK /*%s*/", mine);
		be_plain(text);
		by_either(p, text);
		p->in_block = false;
		return;
	}
	if (p->in_block)
		p->block--;
	else if (!statement_mode && chance(p->blocks)) {
		nonce(p, mine);
		snprintf(text, sizeof text, "BEGIN /*%s*/", mine);
		be_plain(text);
		by_either(p, text);
		p->in_block = true;
		p->block = (unsigned)pick(5);
		return;
	}
	if (p->listens && chance(p->listens)) {
		nonce(p, mine);
		if (notes_compose(p, mine, text, sizeof text)) {
			by_either(p, text);
			return;
		}
	}
	if (chance(p->sets)) {
		if (!p->in_block && may_reset(p) && chance(150)) {
			nonce(p, mine);
			snprintf(text, sizeof text, chance(500) ? "DISCARD ALL /*%s*/" : "DEALLOCATE ALL /*%s*/", mine);
			notes_discards(p);
			ask(p, text);
			return;
		}
		if (ways.transparent && chance(400))
			compose_own(p, text, sizeof text);
		else
			compose_set(p, text, sizeof text, p->in_block && chance(500));
		by_either(p, text);
		return;
	}
	if (chance(p->copies)) {
		copy_in(p);
		return;
	}
	if (chance(20) && !p->replicates) {
		story("c%u: FunctionCall", p->id);
		say_message(p, 'F', "\0\0\0\1\0\0\0\0\0\0", 10);
		return;
	}
	if (chance(p->extended))
		extended(p);
	else
		simple(p);
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
	say_message(p, 'X', NULL, 0);
	flush(p);
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

	if ((chance(ways.commands) || (reaping && chance(700))) && !hurry) {
		const char *act = reaping && chance(800) ? "REAP ORIGIN #" : acts[pick(sizeof acts / sizeof *acts)];
		size_t n = strcspn(act, "@#");

		if (act[n] == '#')
			snprintf(text, sizeof text, "%.*s%u%s", (int)n, act, 1 + (unsigned)pick(12), act + n + 1);
		else
			snprintf(text, sizeof text, "%.*s%s", (int)n, act,
				act[n] ? ways.databases[pick(ways.database_count)] : "");
		world.commands++;
	} else {
		snprintf(text, sizeof text, "%s", looks[pick(sizeof looks / sizeof *looks)]);
	}
	note_protection(p, text);
	ask(p, text);
}

/* ---- the clock of a conversation ---- */

static void talk_later(struct person *p)
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
		converse(p);
	flush(p);
	p->since = world.now;
	if (chance(p->cancels))
		world_after(between(1, 80 * MILLISECOND_US), cancel, p, 0);
	if (chance(p->pipelined))
		talk_later(p);
}

/* ---- hearing the answer ---- */

static void wrong(struct person *p, const char *what, char type, struct span body) __attribute__((noreturn));

static void wrong(struct person *p, const char *what, char type, struct span body)
{
	char line[300], text[300];
	size_t n = 0;

	if (type == 'E' || type == 'N')
		snprintf(line, sizeof line, "%.200s", error_field(body, 'M', text));
	else
		for (size_t i = 0; i < body.length && n < sizeof line - 1; i++)
			line[n++] = isprint(body.at[i]) ? (char)body.at[i] : '.';
	if (type != 'E' && type != 'N')
		line[n] = 0;
	broken("every client gets exactly what it asked for", "c%u (%s/%s) got '%c' \"%s\": %s", p->id, p->database,
		p->user, type, line, what);
}

static void absorb_settings(struct person *p)
{
	char type;
	struct span body;
	size_t total;

	/* What the direct connection reports is compared at ReadyForQuery, as a whole. */
	while (message_next(bytes_span(&p->expected), &type, &body, &total) && type == 'S')
		bytes_take(&p->expected, total);
}

static bool is_error(char type, struct span body, const char *sqlstate, const char *message)
{
	char field[300];

	return type == 'E' && strcmp(error_field(body, 'C', field), sqlstate) == 0 &&
		strcmp(error_field(body, 'M', field), message) == 0;
}

static bool is_cancellation(char type, struct span body)
{
	return is_error(type, body, "57014", "canceling statement due to user request");
}

static bool is_too_many(char type, struct span body)
{
	return is_error(type, body, TOO_MANY_CODE, TOO_MANY_TEXT);
}

/* Let the shadow say something, if it has anything to say. `type` and `body` are what was heard. */
static bool shadow_goes_on(struct person *p, char type, struct span body)
{
	char next;
	struct span asked;
	size_t total;

	if (session_sleeps(p->shadow)) {
		bool cancelled = is_cancellation(type, body);

		if (cancelled && p->cancels_seen++ >= p->cancels_sent)
			wrong(p, "it asked for no cancel", type, body);
		session_wake(p->shadow, cancelled, &p->expected);
		return true;
	}
	if (!message_next(bytes_span(&p->asked), &next, &asked, &total))
		return false;
	if (is_cancellation(type, body) && !p->shadow->skipping && !p->shadow->copying &&
		p->cancels_seen < p->cancels_sent && (p->shadow->status == 'I' || p->shadow->untouched) &&
		strchr("QPBDEF", next)) {
		p->cancels_seen++;
		session_take_cancelled(p->shadow, next, asked, &p->expected);
	} else {
		p->shadow->refused = is_too_many(type, body);
		session_take(p->shadow, next, asked, &p->expected);
	}
	bytes_take(&p->asked, total);
	return true;
}

/* What is never answered has had its turn. */
static void settle_shadow(struct person *p)
{
	char next;
	struct span asked;
	size_t total;

	while (p->expected.length == 0 && !session_sleeps(p->shadow) && !p->shadow->copying &&
		message_next(bytes_span(&p->asked), &next, &asked, &total) &&
		(strchr("dcfH", next) || (p->shadow->skipping && next != 'S'))) {
		session_take(p->shadow, next, asked, &p->expected);
		bytes_take(&p->asked, total);
	}
}

static void compare_settings(struct person *p)
{
	for (int i = 0; i < SETTINGS; i++)
		if (setting_facts[i].reported && strcmp(p->view[i], p->shadow->now[i]) != 0)
			broken("a client knows its settings", "c%u believes %s = \"%s\", but it is \"%s\"", p->id,
				setting_facts[i].name, p->view[i], p->shadow->now[i]);
}

static size_t first_difference(struct span a, struct span b)
{
	size_t i = 0;

	while (i < a.length && i < b.length && a.at[i] == b.at[i])
		i++;
	return i;
}

static void hear_answer(struct person *p, char type, struct span body, struct span whole)
{
	char line[300], expected_type;
	struct span expected;
	size_t total;

	if (type == 'E' && strcmp(error_field(body, 'S', line), "FATAL") == 0) {
		char code[300], message[300];

		error_field(body, 'C', code);
		error_field(body, 'M', message);
		story("c%u: is told %s %s", p->id, code, message);
		judge_fatal(p, code, message);
		p->fatal = true;
		return;
	}
	if (type == 'E')
		p->unnamed_sure = false;
	if (type == 'S') {
		const char *name = (const char *)body.at, *value = name + strlen(name) + 1;
		int i = setting_find(span_text(name));

		if (i >= 0)
			snprintf(p->view[i], SETTING_BYTES, "%s", value);
		return;
	}
	if (type == 'N' && strcmp(error_field(body, 'M', line), "this connection looks forgotten") == 0) {
		judge_told(p);
		return;
	}
	if (type == 'N' && (strncmp(line, "No server connection available", 30) == 0 || notes_warned(p, body)))
		return;
	if (type == 'A') {
		notes_heard(p, body);
		return;
	}
	absorb_settings(p);
	while (p->expected.length == 0) {
		if (!shadow_goes_on(p, type, body))
			wrong(p, "it asked for nothing", type, body);
		absorb_settings(p);
	}
	if (!message_next(bytes_span(&p->expected), &expected_type, &expected, &total))
		check(false);
	/* The pooler says a cancellation in the words of PostgreSQL, without the place in its source; and one error is its own. */
	if (!span_equal(whole, span_of(p->expected.at + p->expected.start, total)) &&
		!(is_cancellation(type, body) && is_cancellation(expected_type, expected)) &&
		!(is_too_many(type, body) && is_too_many(expected_type, expected))) {
		char text[300], why[400];

		if (expected_type == 'E' || expected_type == 'N')
			error_field(expected, 'M', text);
		else
			snprintf(text, sizeof text, "%.*s", (int)(expected.length < 200 ? expected.length : 200),
				(const char *)expected.at);
		for (char *at = text; *at; at++)
			*at = isprint((unsigned char)*at) ? *at : '.';
		snprintf(why, sizeof why, "PostgreSQL would have said '%c' \"%.200s\" (they part at byte %zu of %zu)",
			expected_type, text,
			first_difference(whole, span_of(p->expected.at + p->expected.start, total)), total);
		wrong(p, why, type, body);
	}
	bytes_take(&p->expected, total);
	if (type == 'G' && p->copy_waits) {
		p->copy_waits = false;
		say_copy_data(p);
		flush(p);
	}
	if (type == 'Z') {
		compare_settings(p);
		settle_shadow(p);
		if (p->shadow->status == 'I')
			notes_ready(p);
		if (person_is_quiet(p)) {
			p->copy_waits = false;
			p->in_block = p->shadow->status != 'I';
			talk_later(p);
		}
	}
}

static void hear_operator(struct person *p, char type, struct span body)
{
	char code[300], message[300];

	if (type == 'E' && strcmp(error_field(body, 'S', code), "FATAL") == 0) {
		p->fatal = true;
		judge_fatal(p, error_field(body, 'C', code), error_field(body, 'M', message));
	}
	if (type == 'E')
		story("c%u: is told %s", p->id, error_field(body, 'M', message));
	if (type == 'C' && p->protects)
		judge_protected(p->protects, p->asked_at);
	if (type == 'Z') {
		if (p->releases)
			judge_released(p->releases);
		p->protects = p->releases = 0;
		if (p->awaiting == 0)
			broken("the console answers once", "c%u", p->id);
		if (--p->awaiting == 0)
			talk_later(p);
	}
}

static void begin_talking(struct person *p)
{
	struct bytes nowhere = { 0 };

	story("c%u: is welcome (%s/%s)", p->id, p->database, p->user);
	p->state = PERSON_TALKING;
	if (p->kind == PERSON_GOOD) {
		session_report_all(p->shadow, &nowhere);
		bytes_free(&nowhere);
		compare_settings(p);
		cancels_look_at_key(p);
	}
	talk_later(p);
}

static void hear_login(struct person *p, char type, struct span body)
{
	char code[300], message[300];

	switch (type) {
	case 'R':
		if (body.length == 4 && body.at[3] == 3) {
			snprintf(code, sizeof code, "pw-%s", p->user);
			say_body(&p->out, 'p', code, strlen(code) + 1);
			flush(p);
		} else if (body.length != 4 || body.at[3] != 0) {
			broken("a login is as configured", "c%u", p->id);
		}
		break;
	case 'S': {
		const char *name = (const char *)body.at;
		int i = setting_find(span_text(name));

		if (i >= 0)
			snprintf(p->view[i], SETTING_BYTES, "%s", name + strlen(name) + 1);
		break;
	}
	case 'K':
		p->key_length = body.length < sizeof p->key ? body.length : sizeof p->key;
		memcpy(p->key, body.at, p->key_length);
		break;
	case 'N':
	case 'v':
		break;
	case 'Z':
		begin_talking(p);
		break;
	case 'E':
		error_field(body, 'C', code);
		error_field(body, 'M', message);
		story("c%u: is refused: %s %s", p->id, code, message);
		judge_fatal(p, code, message);
		p->fatal = true;
		break;
	default:
		wrong(p, "this is no part of a login", type, body);
	}
}

static void hear(struct person *p)
{
	struct span body, in;
	size_t total;
	char type;

	if (p->wants_ssl && p->in.length > 0 && p->state == PERSON_GREETED && p->in.at[p->in.start] == 'N') {
		p->wants_ssl = false;
		bytes_take(&p->in, 1);
	}
	while (p->state != PERSON_GONE && message_next(in = bytes_span(&p->in), &type, &body, &total)) {
		p->since = world.now;
		if (p->fatal)
			wrong(p, "its connection is over already", type, body);
		if (p->state == PERSON_GREETED)
			hear_login(p, type, body);
		else if (p->kind == PERSON_OPERATOR)
			hear_operator(p, type, body);
		else
			hear_answer(p, type, body, span_of(in.at, total));
		if (p->state != PERSON_GONE)
			bytes_take(&p->in, total);
	}
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
		if (ways.password)
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
		junk[0] = junk[1] = junk[2] = 0;
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
	flush(p);
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

static void over(struct person *p)
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
		hear(p);
		if (p->state != PERSON_GONE && waited_ssl && !p->wants_ssl) {
			send_startup(p);
			flush(p);
		}
	}
	if (p->state == PERSON_GONE)
		return;
	if (end_is_over(p->end)) {
		over(p);
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
	else if (p->kind == PERSON_GOOD && chance(ways.leaves))
		world_after(chance(500) ? between(1, 100 * MILLISECOND_US) : between(1, 5 * SECOND_US),
			leave_at_any_moment, p, 0);
	if (p->kind == PERSON_GOOD && chance(ways.slow / 2))
		world_after(between(1, 2 * SECOND_US), stop_reading, p, 0);
}

/* It asks for this at login. */
static void wants(struct person *p, unsigned setting)
{
	p->has[setting] = p->has_any = true;
	snprintf(p->wanted[setting], SETTING_BYTES, "%s", some_value(setting));
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
	p->user = kind == PERSON_OPERATOR ? "admin" : users[pick(ways.user_count)];
	p->database = kind == PERSON_OPERATOR ? "pgbouncer" : ways.databases[pick(ways.database_count)];
	p->talks = 1 + (unsigned)pick(chance(800) ? 12 : 60);
	p->protocol_32 = chance(200);
	p->wants_ssl = chance(150);
	p->slow = chance(ways.slow);
	p->extended = (unsigned)pick(1000);
	p->pipelined = chance(400) ? (unsigned)pick(900) : 0;
	p->named = (unsigned)pick(1000);
	p->blocks = (unsigned)pick(500);
	p->copies = chance(300) ? (unsigned)pick(300) : 0;
	p->sleeps = chance(500) ? (unsigned)pick(300) : 20;
	p->fails = chance(500) ? (unsigned)pick(200) : 0;
	p->sets = chance(400) ? (unsigned)pick(300) : 0;
	p->big = chance(500) ? (unsigned)pick(400) : 0;
	p->cancels = kind == PERSON_GOOD && chance(ways.cancels) ? (unsigned)pick(400) : 0;
	if (ways.listen)
		p->listens = chance(notes_move() ? 950 : 800) ? 200 + (unsigned)pick(700) : 0;
	/* It may say simple queries alone (PostgreSQL's manual, "Streaming Replication Protocol"). */
	p->replicates = kind == PERSON_GOOD && ways.replicate && chance(200) && strcmp(p->database, "stat") != 0;
	if (p->replicates)
		p->extended = p->named = p->pipelined = p->listens = 0;
	if (kind == PERSON_OPERATOR) {
		p->pipelined = 0;
		p->talks *= reaping ? 8 : 1;
	}
	if (kind == PERSON_GOOD) {
		p->shadow = session_new();
		/* In session mode its names are the server's. */
		if (ways.prepared && strncmp(p->database, "sess", 4) != 0)
			p->shadow->names_max = ways.names_max;
		settings = chance(500) ? (unsigned)pick(4) : 0;
		while (settings-- > 0)
			wants(p, some_setting(false));
		if (chance(100))
			wants(p, (unsigned)setting_find(span_text("pgweir.no_reap")));
	}
	world_after(between(0, ways.span), come, p, 0);
}

void people_begin(const struct people_ways *given)
{
	ways = *given;
	hurry = false;
	reaping = ways.commands > 0 && chance(300);
	person_count = people_left = 0;
	for (unsigned i = 0; i < ways.count; i++)
		person_new(PERSON_GOOD);
	for (unsigned i = 0; i < ways.hostile; i++)
		person_new(PERSON_HOSTILE);
	for (unsigned i = 0; i < ways.operators + (reaping ? 3 : 0); i++)
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
			talk_later(p);
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
