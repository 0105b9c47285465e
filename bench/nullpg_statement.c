/* Statements: what each is, and what a connection calls it. */
#include <stdlib.h>
#include <strings.h>

#include "nullpg.h"

static bool keyword(const char *text, const char *word)
{
	size_t length = strlen(word);

	return strncasecmp(text, word, length) == 0 && strchr(" ;\t\n", text[length]) != NULL;
}

enum statement_kind kind_of(const char *text)
{
	static const struct {
		const char *word;
		enum statement_kind kind;
	} words[] = {
		{ "begin", BEGIN },
		{ "start", BEGIN },
		{ "commit", COMMIT },
		{ "end", COMMIT },
		{ "rollback", ROLLBACK },
		{ "abort", ROLLBACK },
		{ "set", SET },
		{ "reset", RESET },
		{ "discard", DISCARD },
		{ "deallocate", DEALLOCATE },
		{ "table", BULK },
		{ "copy", COPY_IN },
		{ "with", INQUIRY },
	};

	text += strspn(text, " \t\n;");
	if (*text == '\0')
		return NOTHING;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (keyword(text, words[i].word))
			return words[i].kind == BULK && !strstr(text, "bulk_") ? ROW : words[i].kind;
	if (strstr(text, "set_config('") != NULL)
		return SET_CONFIG;
	return strstr(text, "pg_catalog.") != NULL ? INQUIRY : ROW;
}

static uint64_t hash_of(const char *name)
{
	uint64_t hash = 14695981039346656037u;

	while (*name != '\0')
		hash = (hash ^ (uint8_t)*name++) * 1099511628211u;
	return hash | 1;
}

/* The slot of this name, or the empty one where it would go. */
static struct statement *statement_slot(struct conn *c, uint64_t hash)
{
	uint32_t at = (uint32_t)(hash >> 7) & (c->named_size - 1);

	while (c->named[at].name_hash != 0 && c->named[at].name_hash != hash)
		at = (at + 1) & (c->named_size - 1);
	return &c->named[at];
}

bool statement_find(struct conn *c, const char *name, enum statement_kind *kind)
{
	const struct statement *slot;

	if (*name == '\0') {
		*kind = c->unnamed;
		return true;
	}
	slot = c->named_size == 0 ? NULL : statement_slot(c, hash_of(name));
	*kind = ROW;
	if (slot == NULL || slot->name_hash == 0 || slot->kind == NOTHING)
		return lax;
	*kind = slot->kind;
	return true;
}

void statement_keep(struct conn *c, const char *name, enum statement_kind kind)
{
	uint64_t hash = hash_of(name);
	struct statement *slot;

	if (c->named_used * 2 >= c->named_size) {
		struct statement *old = c->named;
		uint32_t old_size = c->named_size;

		c->named_size = old_size == 0 ? 8 : old_size * 2;
		c->named = must_have(calloc(c->named_size, sizeof(*c->named)));
		for (uint32_t i = 0; i < old_size; i++)
			if (old[i].name_hash != 0)
				*statement_slot(c, old[i].name_hash) = old[i];
		free(old);
	}
	slot = statement_slot(c, hash);
	if (slot->name_hash == 0)
		c->named_used++;
	*slot = (struct statement){ .name_hash = hash, .kind = kind };
}

/* A closed name keeps its slot, so that what was put behind it stays found. */
void statement_forget(struct conn *c, const char *name)
{
	if (*name == '\0')
		c->unnamed = NOTHING;
	else if (c->named_size != 0)
		statement_slot(c, hash_of(name))->kind = NOTHING;
}
