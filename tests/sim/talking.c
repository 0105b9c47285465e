/* What a client says: statements, and the conversations that they make. See people.c. */
#include "people_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "changes.h"
#include "judge.h"
#include "notes.h"

void person_says(struct person *p, char type, const void *body, size_t n)
{
	struct bytes message = { 0 };

	p->asked_at = world.now;
	if (p->kind == PERSON_GOOD && person_is_quiet(p))
		p->turn_at = world.now;
	say_body(&message, type, body, n);
	bytes_add(&p->out, message.at, message.length);
	if (p->kind == PERSON_GOOD)
		bytes_add(&p->asked, message.at, message.length);
	bytes_free(&message);
	if (p->kind == PERSON_OPERATOR)
		p->awaiting += type == 'Q';
}

void person_asks(struct person *p, const char *text)
{
	story("c%u: %s", p->id, text);
	person_says(p, 'Q', text, strlen(text) + 1);
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
	if (chance(p->bodies)) {
		i = (unsigned)pick(4);
		snprintf(out, size,
			i == 0           ? "SELECT noon('%s')"
				: i == 1 ? "SELECT rent('%s')"
				: i == 2 ? "SELECT tenant('%s')"
					 : "INSERT dated '%s'",
			mine);
	} else if (chance(p->fails)) {
		snprintf(out, size, "FAIL '%s'", mine);
	} else if (chance(p->sleeps) || (p->cancels_sent > 0 && p->cancels_open == 0 && chance(300))) {
		/* Whose cancel is over is the one to be hit by a late one. */
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
		/* What it SET itself and nobody reports holds to the end of the transaction, as does that it gave up what a login set; a prepared SHOW may run
		 * later. */
		if (!people_ways.transparent && !setting_facts[i].reported &&
			(p->touched[i] || extended || (p->resets && (int)i == setting_triggered())))
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
		{ "tenant_a", "\346\227\245\346\234\254", "\"a b\", public", "public" },
		{ "30000", "700", "1", "0" },
		{ "64MB", "1GB", "4MB", "8MB" },
		{ "t1", "t2", "t3", "t'4" },
		{ "on", "off", "yes", "1" },
	};

	return values[setting][pick(4)];
}

/* Since 18 PostgreSQL tells search_path, and in the letters of the client's encoding: half of the clients keep that of the database, the others have none beyond ASCII. */
const char *person_value(const struct person *p, unsigned setting)
{
	const char *value = some_value(setting);
	bool letters = p->id % 2 == 0;

	if (!setting_is_18())
		return value;
	if (letters && (int)setting == setting_find(span_text("client_encoding")))
		return "UTF8";
	return letters || span_is_ascii(span_text(value)) ? value : "public";
}

unsigned some_setting(bool reported)
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

	if (p->bodies > 0 && chance(700))
		i = (unsigned)setting_find(span_text(chance(500) ? "app.tenant" : "TimeZone"));

	nonce(p, mine);
	p->touched[i] = true;
	snprintf(value, sizeof value, "%s", person_value(p, i));
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
	return !p->has_any || (people_ways.transparent && strncmp(p->database, "sess", 4) != 0 && !changes_modes());
}

/* What lives in its session, and the way back to what it asked for when it came. */
static void compose_own(struct person *p, char *out, size_t size)
{
	char mine[80];
	unsigned i = some_setting(false);

	nonce(p, mine);
	/* In session mode RESET leads back to what the pooler asked for. */
	if (may_reset(p) && chance(250)) {
		p->resets = true;
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
	person_says(p, 'P', body, n);
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
	person_says(p, 'B', body, n);
}

static void say_target(struct person *p, char type, char kind, const char *name)
{
	char body[100];

	story("c%u: %s %c %s", p->id, type == 'D' ? "Describe" : "Close", kind, *name ? name : "(unnamed)");
	body[0] = kind;
	snprintf(body + 1, sizeof body - 1, "%s", name);
	person_says(p, type, body, strlen(name) + 2);
}

static void say_execute(struct person *p, const char *portal, unsigned most)
{
	char body[100];
	size_t n = (size_t)snprintf(body, sizeof body - 4, "%s", portal) + 1;

	story("c%u: Execute %s", p->id, *portal ? portal : "(unnamed)");
	memcpy(body + n, "\0\0\0", 3);
	body[n + 3] = (char)most;
	person_says(p, 'E', body, n + 4);
}

void person_says_data(struct person *p)
{
	char line[200];
	unsigned rows = (unsigned)pick(8);

	for (unsigned i = 0; i < rows; i++) {
		snprintf(line, sizeof line, "c%u row %u %.*s\n", p->id, i, (int)pick(100),
			"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
		person_says(p, 'd', line, strlen(line));
	}
	if (chance(800))
		person_says(p, 'c', NULL, 0);
	else
		person_says(p, 'f', "no more", 8);
	story("c%u: %u rows of copy data", p->id, rows);
}

/* ---- conversations ---- */

static void simple(struct person *p)
{
	char text[3000] = "", one[700];
	size_t used = 0;
	unsigned i, n = chance(800) ? 1 : 1 + (unsigned)pick(4);

	for (i = 0; i < n; i++) {
		if (p->bodies > 0 && n > 1 && people_ways.transparent && chance(300))
			compose_set(p, one, sizeof one, p->in_block && chance(500));
		else
			compose(p, one, sizeof one, false);
		used += text_format(text + used, sizeof text - used, "%s%s", i > 0 ? "; " : "", one);
	}
	if (chance(30))
		text[0] = 0;
	person_asks(p, text);
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
			person_says(p, 'S', NULL, 0);
		person_says_data(p);
		person_says(p, 'S', NULL, 0);
		return;
	}
	person_asks(p, text);
	if (waits)
		p->copy_waits = true;
	else
		person_says_data(p);
}

static void extended_one(struct person *p, bool names_too)
{
	static const char *const names[] = { "s1", "s2", "s3", "s4", "s5", "s6" };
	static const char *const portals[] = { "", "", "", "p1" };
	static const char *const shared[] = { "SELECT noon($1)", "SELECT rent($1)", "SELECT tenant($1)" };
	char text[700], mine[80], parameter[100];
	const char *name = names_too && chance(p->named) ? names[pick(6)] : "", *portal = portals[pick(4)];
	bool with_parameter = chance(500);

	nonce(p, mine);
	snprintf(parameter, sizeof parameter, "*%s", mine);
	/* The unnamed statement outlives a Sync. Whether one that was skipped after an error left the old one is not asked. */
	if (*name ? chance(400) : !names_too || !p->unnamed_sure || chance(700)) {
		p->unnamed_sure = p->unnamed_sure || !*name;
		if (with_parameter)
			snprintf(text, sizeof text, "%s", chance(p->bodies) ? shared[pick(3)] : "SELECT $1");
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
		person_says(p, 'H', NULL, 0);
}

/* What a skipped Parse or Close of a name means for the batches behind it is known only when they are answered; here such batches are
 * sent one at a time, and a Close alone. */
static void extended(struct person *p)
{
	unsigned n = 1 + (chance(p->pipelined) || (p->bodies > 0 && chance(400)) ? (unsigned)pick(6) : 0);
	bool names_too = people_ways.prepared && person_is_quiet(p);
	char name[] = "s1", text[100], mine[80];

	if (names_too && chance(p->named / 8)) {
		name[1] = (char)('1' + pick(6));
		say_target(p, 'C', 'S', name);
		person_says(p, 'S', NULL, 0);
		return;
	}
	/* What is behind an error is skipped, and what the pooler puts in front of it. */
	if (n > 1 && p->bodies > 0 && chance(150)) {
		nonce(p, mine);
		snprintf(text, sizeof text, "FAIL '%s'", mine);
		p->unnamed_sure = false;
		say_parse(p, "", text);
		say_bind(p, "", "", NULL);
		say_execute(p, "", 0);
	}
	while (n-- > 0) {
		extended_one(p, names_too);
		if (n > 0 && !p->in_block && !names_too && chance(300))
			person_says(p, 'S', NULL, 0);
	}
	person_says(p, 'S', NULL, 0);
}

static void by_either(struct person *p, const char *text)
{
	if (chance(p->extended)) {
		p->unnamed_sure = false; /* not to be run a second time */
		say_parse(p, "", text);
		say_bind(p, "", "", NULL);
		say_execute(p, "", 0);
		person_says(p, 'S', NULL, 0);
	} else {
		person_asks(p, text);
	}
}

/* Without its comment, as drivers say it: then the pooler puts a BEGIN off. */
static void be_plain(char *text)
{
	if (chance(600))
		*strchr(text, ' ') = 0;
}

void person_converses(struct person *p)
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
	if (p->bodies > 0 && !p->in_block && people_ways.calls && person_is_quiet(p) && chance(250)) {
		nonce(p, mine);
		snprintf(text, sizeof text, "CALL pay('%s')", mine);
		by_either(p, text);
		return;
	}
	if (p->bodies > 0 && p->in_block && chance(200)) {
		compose_set(p, text, sizeof text, chance(800));
		by_either(p, text);
		return;
	}
	/* What makes the pooler say something of its own, best while a cancel is on its way. */
	if (chance(p->sets) || (p->cancels_open > 0 && people_ways.transparent && chance(600))) {
		if (!p->in_block && may_reset(p) && chance(150)) {
			nonce(p, mine);
			p->resets = true;
			snprintf(text, sizeof text, chance(500) ? "DISCARD ALL /*%s*/" : "DEALLOCATE ALL /*%s*/", mine);
			notes_discards(p);
			person_asks(p, text);
			return;
		}
		if (people_ways.transparent && chance(p->cancels_open > 0 ? 900 : 400))
			compose_own(p, text, sizeof text);
		else
			compose_set(p, text, sizeof text, p->in_block && chance(500));
		by_either(p, text);
		return;
	}
	if (people_ways.prepared && chance(p->named / 12)) {
		snprintf(text, sizeof text, chance(700) ? "DEALLOCATE s%u" : "DEALLOCATE PREPARE \"s%u\"",
			1 + (unsigned)pick(6));
		by_either(p, text);
		return;
	}
	if (chance(p->copies)) {
		copy_in(p);
		return;
	}
	if (chance(20) && !p->replicates) {
		story("c%u: FunctionCall", p->id);
		person_says(p, 'F', "\0\0\0\1\0\0\0\0\0\0", 10);
		return;
	}
	if (chance(p->extended))
		extended(p);
	else
		simple(p);
}
