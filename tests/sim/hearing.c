/* What a client hears, and whether a direct connection would have answered so. See people.c. */
#include "people_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "cancels.h"
#include "changes.h"
#include "judge.h"
#include "notes.h"

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

/* As often as it asked for it; and once more where PostgreSQL signalled twice. */
static bool asked_to_cancel(struct person *p)
{
	if (p->cancels_seen < p->cancels_sent) {
		p->cancels_seen++;
		return true;
	}
	if (cluster.again == 0)
		return false;
	cluster.again--;
	return true;
}

/* Before it did anything: while the client waited for a server, or at PostgreSQL. */
static bool may_be_hit(struct person *p)
{
	bool waited = !p->shadow->copying && (p->shadow->status == 'I' || p->shadow->untouched),
	     hit = p->hits > 0 || cluster.hits > 0;

	if ((!waited && !hit) || !asked_to_cancel(p))
		return false;
	if (!waited && p->hits > 0)
		p->hits--;
	else if (!waited)
		cluster.hits--;
	return true;
}

/* Let the shadow say something, if it has anything to say. `type` and `body` are what was heard. */
static bool shadow_goes_on(struct person *p, char type, struct span body)
{
	char next;
	struct span asked;
	size_t total;

	if (session_sleeps(p->shadow)) {
		bool cancelled = is_cancellation(type, body);

		if (cancelled && !asked_to_cancel(p))
			wrong(p, "it asked for no cancel", type, body);
		if (cancelled && p->hits > 0)
			p->hits--;
		session_wake(p->shadow, cancelled, &p->expected);
		return true;
	}
	if (!message_next(bytes_span(&p->asked), &next, &asked, &total))
		return false;
	if (is_cancellation(type, body) && !p->shadow->skipping && strchr(p->shadow->copying ? "d" : "QPBDEF", next) &&
		may_be_hit(p)) {
		session_is_hit(p->shadow, next, asked, false, &p->expected);
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

/* The same row, but for what a function made of it: that is what it made, or makes, of it for this client. */
static bool is_own_worth(const struct person *p, struct span heard, struct span expected)
{
	char own[1200], theirs[1200], *worth, *other;
	size_t skip = 5 + 2 + 4;

	if (heard.length <= skip || expected.length <= skip || heard.at[0] != 'D' || expected.at[0] != 'D')
		return false;
	text_format(own, sizeof own, "%.*s", (int)(heard.length - skip), (const char *)heard.at + skip);
	text_format(theirs, sizeof theirs, "%.*s", (int)(expected.length - skip), (const char *)expected.at + skip);
	worth = strstr(own, WORTH_MARK);
	other = strstr(theirs, WORTH_MARK);
	return worth && other && worth - own == other - theirs && strncmp(own, theirs, (size_t)(worth - own)) == 0 &&
		bodies_is_own(p->shadow, worth + strlen(WORTH_MARK));
}

static void copies(void *who, uint64_t what)
{
	struct person *p = who;

	(void)what;
	if (!p->copy_waits || p->state != PERSON_TALKING || p->fatal || p->left)
		return;
	p->copy_waits = false;
	person_says_data(p);
	person_flush(p);
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
		!is_own_worth(p, whole, span_of(p->expected.at + p->expected.start, total)) &&
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
	/* A cancel finds it in the midst of it. */
	if (type == 'G' && p->copy_waits && p->cancels > 0) {
		cancel_for(p);
		world_after(between(1, 100 * MILLISECOND_US), copies, p, 0);
	} else if (type == 'G') {
		copies(p, 0);
	}
	if (type == 'Z') {
		compare_settings(p);
		settle_shadow(p);
		if (p->shadow->status == 'I')
			notes_ready(p);
		if (person_is_quiet(p)) {
			p->copy_waits = false;
			p->in_block = p->shadow->status != 'I';
			person_talks_later(p);
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
			person_talks_later(p);
	}
}

static void begin_talking(struct person *p)
{
	struct bytes nowhere = { 0 };

	story("c%u: is welcome (%s/%s)", p->id, p->database, p->user);
	if (!changes_may_enter(p))
		broken("who shows the wrong password stays out", "c%u shows password %u of %s", p->id, p->password,
			p->user);
	p->state = PERSON_TALKING;
	if (p->kind == PERSON_GOOD) {
		session_report_all(p->shadow, &nowhere);
		bytes_free(&nowhere);
		compare_settings(p);
		cancels_look_at_key(p);
	}
	person_talks_later(p);
}

static void hear_login(struct person *p, char type, struct span body)
{
	char code[300], message[300];

	switch (type) {
	case 'R':
		if (body.length == 4 && body.at[3] == 3) {
			changes_shows(p, code);
			say_body(&p->out, 'p', code, strlen(code) + 1);
			person_flush(p);
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

void person_hears(struct person *p)
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
