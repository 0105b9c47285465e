#include "auth/hba_parts.h"

#include <stdlib.h>

#include "base/text.h"

/* The names in a field of a rule: what each word means, and whether it fits. A word in quotes loses its special meaning; only a regular
 * expression keeps it there, as at PostgreSQL, since a comma in it must be quoted. */

#define WORDS_MOST 100000 /* of all rules together */

void name_free(struct name *name)
{
	free(name->text);
	pattern_free(name->pattern);
	*name = (struct name){ 0 };
}

void name_list_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		name_free(&names->list[i]);
	free(names->list);
}

static bool asks_roles(struct reading *r, const char *what)
{
	if (r->source->roles)
		return true;
	r->unsupported = true;
	return hba_fail(r, "%.80s asks PostgreSQL for roles, which needs auth_user", what);
}

static bool put_text(struct reading *r, struct name *name, enum name_kind kind, const char *text)
{
	*name = (struct name){ .kind = kind, .text = strdup(text) };
	return name->text || hba_no_memory(r);
}

static bool put_pattern(struct reading *r, struct name *name, const char *text)
{
	char error[100];

	*name = (struct name){ .kind = NAME_PATTERN, .pattern = pattern_new(text + 1, error, sizeof error) };
	return name->pattern || hba_fail(r, "\"%.80s\": %s", text, error);
}

bool name_of_word(struct reading *r, const struct word *word, enum names_of of, struct name *name)
{
	if (word->text[0] == '/')
		return put_pattern(r, name, word->text);
	if (word->quoted)
		return put_text(r, name, NAME_IS, word->text);
	*name = (struct name){ .kind = NAME_ALL };
	if (strcmp(word->text, "all") == 0)
		return true;
	if (of == NAMES_OF_USERS)
		return word->text[0] != '+' || !word->text[1]
			? put_text(r, name, NAME_IS, word->text)
			: asks_roles(r, word->text) && put_text(r, name, NAME_MEMBER, word->text + 1);
	name->kind = NAME_SAMEUSER;
	if (strcmp(word->text, "sameuser") == 0)
		return true;
	name->kind = NAME_SAMEROLE;
	if (strcmp(word->text, "samerole") == 0 || strcmp(word->text, "samegroup") == 0)
		return asks_roles(r, word->text);
	name->kind = NAME_REPLICATION;
	return strcmp(word->text, "replication") == 0 || put_text(r, name, NAME_IS, word->text);
}

static bool add_name(struct reading *r, struct names *names, struct name *name)
{
	struct name *list;

	if (++r->hba->words > WORDS_MOST)
		return hba_fail(r, "more than %d names in all rules together", WORDS_MOST);
	list = hba_grown(names->list, names->count, &names->capacity, sizeof *list);
	if (!list)
		return hba_no_memory(r);
	names->list = list;
	list[names->count++] = *name;
	*name = (struct name){ 0 };
	return true;
}

static bool add_word(struct reading *, struct names *, const struct word *, enum names_of);

/* @FILE: the words in it, whichever lines they are on. */
static bool add_file(struct reading *r, struct names *names, const struct word *at, enum names_of of)
{
	char *text = NULL;
	const char *outer = r->name, *whole;
	size_t length = 0;
	struct span rest;
	struct word word;
	bool ok = true;

	if (!lines_other(r, at->text, at->text + 1, false, &text, &length, &whole))
		return false;
	r->name = whole; /* what it names lies beside it; what is wrong is said of the rule */
	r->deep++;
	for (rest = span_of(text, length); ok && rest.length > 0;) {
		const uint8_t *end = memchr(rest.at, '\n', rest.length);
		size_t n = end ? (size_t)(end - rest.at) : rest.length;
		struct span line = span_of(rest.at, n);

		rest = span_skip(rest, end ? n + 1 : n);
		while (ok && word_take(r, &line, &word))
			ok = add_word(r, names, &word, of);
		ok = ok && !r->problem[0];
	}
	r->deep--;
	r->name = outer;
	free(text);
	return ok;
}

static bool add_word(struct reading *r, struct names *names, const struct word *word, enum names_of of)
{
	struct name name = { 0 };
	bool ok;

	if (!word->quoted && word->text[0] == '@' && word->text[1])
		return add_file(r, names, word, of);
	ok = name_of_word(r, word, of, &name) && add_name(r, names, &name);
	name_free(&name);
	return ok;
}

bool names_take(struct reading *r, struct span *line, struct names *names, enum names_of of)
{
	struct word word;

	do {
		if (!word_take(r, line, &word))
			return r->problem[0]
				? false
				: hba_fail(r, "%s is missing", of == NAMES_OF_DATABASES ? "the database" : "the user");
		if (!add_word(r, names, &word, of))
			return false;
	} while (word.more);
	return true;
}

/* ---- judging ---- */

/* What PostgreSQL told has the user itself as well, where there is such a role: each is a member of itself. */
static enum fit is_member(const struct hba_peer *peer, struct span role)
{
	if (peer->roles_known != HBA_KNOWN)
		return FIT_UNKNOWN;
	return roles_has(peer->roles, role) ? FIT_YES : FIT_NO;
}

static enum fit name_fits(
	const struct name *one, const struct hba_peer *peer, struct span name, struct span database, struct span user)
{
	switch (one->kind) {
	case NAME_ALL:
		return FIT_YES;
	case NAME_SAMEUSER:
		return span_equal(database, user) ? FIT_YES : FIT_NO;
	case NAME_SAMEROLE:
		return is_member(peer, database);
	case NAME_MEMBER:
		return is_member(peer, span_text(one->text));
	case NAME_PATTERN:
		return pattern_fits(one->pattern, name, NULL) ? FIT_YES : FIT_NO;
	case NAME_IS:
		return span_is(name, one->text) ? FIT_YES : FIT_NO;
	case NAME_REPLICATION:
		break; /* see databases_fit */
	}
	return FIT_NO;
}

enum fit names_fit(const struct names *names, const struct hba_peer *peer, struct span name, struct span database,
	struct span user)
{
	enum fit all = FIT_NO;

	for (size_t i = 0; i < names->count; i++) {
		enum fit fit = name_fits(&names->list[i], peer, name, database, user);

		if (fit == FIT_YES)
			return FIT_YES;
		if (fit == FIT_UNKNOWN)
			all = FIT_UNKNOWN;
	}
	return all;
}
