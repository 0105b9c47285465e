/* Reads the language of the simulated PostgreSQL: see the table in session.c. */
#include "language.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "session.h"

const char *take_blank(const char *at)
{
	for (;;) {
		while (*at == ' ' || *at == '\n' || *at == '\t')
			at++;
		if (at[0] == '/' && at[1] == '*') {
			const char *end = strstr(at, "*/");

			at = end ? end + 2 : at + strlen(at);
			continue;
		}
		return at;
	}
}

bool take_word(const char **at, const char *expected)
{
	size_t n = strlen(expected);

	*at = take_blank(*at);
	if (strncasecmp(*at, expected, n) != 0 || isalnum((unsigned char)(*at)[n]) || (*at)[n] == '_')
		return false;
	*at += n;
	*at = take_blank(*at);
	return true;
}

bool take_sign(const char **at, char expected)
{
	*at = take_blank(*at);
	if (**at != expected)
		return false;
	++*at;
	*at = take_blank(*at);
	return true;
}

/* 'x', E'x' or "x"; or a bare word. */
bool take_literal(const char **at, char *out, size_t size)
{
	const char *p = take_blank(*at);
	bool escapes = false;
	size_t n = 0;
	char quote;

	if ((p[0] == 'E' || p[0] == 'e') && p[1] == '\'') {
		escapes = true;
		p++;
	}
	quote = *p;
	if (quote != '\'' && quote != '"') {
		while (isalnum((unsigned char)*p) || *p == '_' || *p == '.' || *p == '/') {
			if (n + 1 < size)
				out[n++] = *p;
			p++;
		}
		out[n] = 0;
		*at = take_blank(p);
		return n > 0;
	}
	for (p++; *p; p++) {
		if (*p == quote) {
			if (p[1] != quote)
				break;
			p++;
		} else if (escapes && *p == '\\' && p[1]) {
			p++;
		}
		if (n + 1 < size)
			out[n++] = *p;
	}
	out[n] = 0;
	if (*p != quote)
		return false;
	*at = take_blank(p + 1);
	return true;
}

/* Names in a list, each of which is a literal; the text that SET makes of them. */
static bool take_list(const char **at, char *out, size_t size)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
	char item[100];
	size_t n = 0;

	do {
		bool plain;

		if (!take_literal(at, item, sizeof item) || n + strlen(item) + 5 > size)
			return false;
		plain = item[0] && !isdigit((unsigned char)item[0]) && item[strspn(item, safe)] == 0;
		n += text_format(out + n, size - n, plain ? "%s%s" : "%s\"%s\"", n > 0 ? ", " : "", item);
	} while (take_sign(at, ','));
	return true;
}

/* A name, maybe quoted and dotted. */
static bool name_of(const char **at, char *out, size_t size)
{
	char part[100];

	if (!take_literal(at, out, size))
		return false;
	while (**at == '.') {
		++*at;
		if (!take_literal(at, part, sizeof part) || strlen(out) + strlen(part) + 2 > size)
			return false;
		text_copy(out + strlen(out), size - strlen(out), ".");
		text_copy(out + strlen(out), size - strlen(out), part);
	}
	return true;
}

static bool number(const char **at, unsigned *out)
{
	char *end;

	*at = take_blank(*at);
	*out = (unsigned)strtoul(*at, &end, 10);
	if (end == *at)
		return false;
	*at = take_blank(end);
	return true;
}

static bool sleep_call(const char **at, struct parsed *p)
{
	return take_word(at, "pg_sleep") && take_sign(at, '(') && number(at, &p->n) && take_sign(at, ',') &&
		take_literal(at, p->text, sizeof p->text) && take_sign(at, ')');
}

/* noon('x'), or with $1. */
static bool call(const char **at, const char *name, struct parsed *p)
{
	if (!take_word(at, name) || !take_sign(at, '('))
		return false;
	p->asks = strncmp(*at, "$1", 2) == 0;
	if (p->asks)
		*at += 2;
	return (p->asks || take_literal(at, p->text, sizeof p->text)) && take_sign(at, ')');
}

static void parse_select(const char *at, struct parsed *p)
{
	const char *from = at;

	if (*at == '\'' && take_literal(&at, p->text, sizeof p->text)) {
		p->verb = VERB_ROW;
	} else if (take_word(&at, "rows") && take_sign(&at, '(') && number(&at, &p->n) && take_sign(&at, ',') &&
		number(&at, &p->width) && take_sign(&at, ',') && take_literal(&at, p->text, sizeof p->text) &&
		take_sign(&at, ')')) {
		p->verb = VERB_ROWS;
	} else if (at = from, sleep_call(&at, p)) {
		p->verb = VERB_SLEEP;
	} else if (at = from, at[0] == '$' && at[1] == '1') {
		p->verb = VERB_PARAMETER;
		p->asks = true;
		at += 2;
	} else if (at = from, call(&at, "noon", p)) {
		p->verb = VERB_CALL;
		p->body = BODY_NOON;
	} else if (at = from, call(&at, "rent", p)) {
		p->verb = VERB_CALL;
		p->body = BODY_RENT;
	} else if (at = from, call(&at, "tenant", p)) {
		p->verb = VERB_TENANT;
	} else if (at[0] == '1') {
		p->verb = VERB_ROW;
		text_copy(p->text, sizeof p->text, "1");
		at++;
	} else if (strncmp(at, "CASE WHEN pg_catalog.octet_length(v)", 36) == 0) {
		p->verb = VERB_QUESTION;
		p->configs = at;
		return;
	} else if (strncmp(at, "pg_catalog.convert_to(pg_catalog.current_setting('search_path'),", 64) == 0) {
		/* Whether an encoding has letters for it. */
		p->verb = VERB_ROW;
		text_copy(p->text, sizeof p->text, "f");
		return;
	} else if (strncmp(at, "pg_catalog.pg_notify(", 21) == 0) {
		at += 21;
		if (take_literal(&at, p->topic, sizeof p->topic) && take_sign(&at, ',') &&
			take_literal(&at, p->text, sizeof p->text) && take_sign(&at, ')'))
			p->verb = VERB_TELL;
	} else if (strncmp(at, "pg_catalog.set_config(", 22) == 0) {
		p->verb = VERB_CONFIG;
		p->configs = at;
		return;
	}
	if (p->verb != VERB_BAD && *take_blank(at))
		p->verb = VERB_BAD;
}

void language_parse(const char *text, struct parsed *p)
{
	const char *at = take_blank(text);
	char name[100];

	*p = (struct parsed){ .verb = VERB_BAD, .body = NO_BODY };
	if (!*at) {
		p->verb = VERB_EMPTY;
	} else if (strncmp(at, "SET LOCAL search_path=pg_catalog", 32) == 0 ||
		strncmp(at, "SET LOCAL statement_timeout='", 29) == 0 || strcmp(at, "SET LOCAL jit=off") == 0 ||
		strcmp(at, "SET statement_timeout=0") == 0 || strcmp(at, "SET lock_timeout=0") == 0 ||
		strcmp(at, "SET idle_session_timeout=0") == 0 || strcmp(at, "SET transaction_timeout=0") == 0 ||
		strcmp(at, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED") == 0) {
		p->verb = VERB_LIMITS;
		return;
	} else if (strncmp(at, "WITH RECURSIVE kinds(", 21) == 0) {
		p->verb = VERB_CATALOG;
		return;
	} else if (strncmp(at, "(SELECT '", 9) == 0) {
		p->verb = VERB_QUESTION;
		p->configs = at;
		return;
	} else if (take_word(&at, "select")) {
		parse_select(at, p);
		return;
	} else if (take_word(&at, "update")) {
		p->verb = sleep_call(&at, p) ? VERB_WRITE_SLEEP : VERB_BAD;
	} else if (take_word(&at, "insert")) {
		p->verb = take_word(&at, "trapped") ? VERB_TRAPPED : take_word(&at, "dated") ? VERB_DATED : VERB_INSERT;
		if (!take_literal(&at, p->text, sizeof p->text))
			p->verb = VERB_BAD;
	} else if (take_word(&at, "call")) {
		p->verb = call(&at, "pay", p) && !p->asks ? VERB_PAY : VERB_BAD;
	} else if (take_word(&at, "fail")) {
		p->verb = take_literal(&at, p->text, sizeof p->text) ? VERB_FAIL : VERB_BAD;
	} else if (take_word(&at, "die")) {
		p->verb = VERB_DIE;
	} else if (take_word(&at, "warn")) {
		p->verb = take_literal(&at, p->text, sizeof p->text) ? VERB_WARN : VERB_BAD;
	} else if (take_word(&at, "copy")) {
		bool out = take_word(&at, "out");

		if ((out || take_word(&at, "in")) && number(&at, &p->n) && take_literal(&at, p->text, sizeof p->text))
			p->verb = out ? VERB_COPY_OUT : VERB_COPY_IN;
	} else if (take_word(&at, "begin")) {
		p->verb = VERB_BEGIN;
		if (strcmp(at, "ISOLATION LEVEL READ COMMITTED") == 0) {
			p->verb = VERB_BEGIN_APART;
			return;
		}
	} else if (take_word(&at, "commit")) {
		p->verb = VERB_COMMIT;
	} else if (take_word(&at, "rollback")) {
		p->verb = VERB_ROLLBACK;
	} else if (take_word(&at, "show")) {
		if (name_of(&at, name, sizeof name) && (p->setting = setting_find(span_text(name))) >= 0)
			p->verb = VERB_SHOW;
	} else if (take_word(&at, "set")) {
		p->local = take_word(&at, "local");
		if (name_of(&at, name, sizeof name) && (p->setting = setting_find(span_text(name))) >= 0 &&
			(take_word(&at, "to") || take_sign(&at, '=')) &&
			(strcmp(name, "search_path") == 0 ? take_list : take_literal)(&at, p->text, sizeof p->text))
			p->verb = VERB_SET;
	} else if (take_word(&at, "reset")) {
		if (take_word(&at, "all"))
			p->verb = VERB_RESET_ALL;
		else if (take_word(&at, "role") || (take_word(&at, "session") && take_word(&at, "authorization")))
			p->verb = VERB_RESET_ROLE;
		else if (name_of(&at, name, sizeof name) && (p->setting = setting_find(span_text(name))) >= 0)
			p->verb = VERB_RESET;
	} else if (take_word(&at, "discard")) {
		p->verb = take_word(&at, "all")       ? VERB_DISCARD
			: take_word(&at, "sequences") ? VERB_SEQUENCES
			: take_word(&at, "plans")     ? VERB_PLANS
						      : VERB_BAD;
	} else if (take_word(&at, "create") && take_word(&at, "temp") && take_word(&at, "table") &&
		take_word(&at, "mine")) {
		p->verb = take_literal(&at, p->text, sizeof p->text) ? VERB_TEMP : VERB_BAD;
	} else if (take_word(&at, "table") && take_word(&at, "mine")) {
		p->verb = VERB_TABLE;
	} else if (take_word(&at, "drop") && take_word(&at, "table") && take_word(&at, "mine")) {
		p->verb = VERB_DROP;
	} else if (take_word(&at, "listen")) {
		p->verb = take_literal(&at, p->topic, sizeof p->topic) ? VERB_LISTEN : VERB_BAD;
	} else if (take_word(&at, "unlisten")) {
		p->verb = take_sign(&at, '*') || take_literal(&at, p->topic, sizeof p->topic) ? VERB_UNLISTEN
											      : VERB_BAD;
	} else if (take_word(&at, "notify")) {
		if (take_literal(&at, p->topic, sizeof p->topic) && take_sign(&at, ',') &&
			take_literal(&at, p->text, sizeof p->text))
			p->verb = VERB_NOTIFY;
	} else if (take_word(&at, "deallocate")) {
		(void)take_word(&at, "prepare");
		if (take_word(&at, "all") || take_literal(&at, p->topic, sizeof p->topic))
			p->verb = VERB_DEALLOCATE;
	}
	if (*take_blank(at))
		p->verb = VERB_BAD;
}

bool language_returns_rows(const struct parsed *p)
{
	return p->verb == VERB_ROW || p->verb == VERB_CALL || p->verb == VERB_TENANT || p->verb == VERB_ROWS ||
		p->verb == VERB_SLEEP || p->verb == VERB_PARAMETER || p->verb == VERB_SHOW || p->verb == VERB_CONFIG ||
		p->verb == VERB_TABLE || p->verb == VERB_QUESTION || p->verb == VERB_CATALOG || p->verb == VERB_TELL;
}
