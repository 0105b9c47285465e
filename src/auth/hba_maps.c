#include "auth/hba_parts.h"

#include <stdlib.h>

#include "base/text.h"

/* Name maps: MAP SYSTEM-USER DATABASE-USER. The system user may be a regular expression, whose first (group) goes where the database
 * user has \1. What comes in that way is a name letter by letter: whoever may choose his certificate's name can make no keyword of it. */

void mapping_free(struct mapping *mapping)
{
	free(mapping->map);
	free(mapping->system_user);
	pattern_free(mapping->pattern);
	name_free(&mapping->user);
}

static bool has_group(const struct mapping *mapping)
{
	return mapping->user.kind == NAME_IS && strstr(mapping->user.text, "\\1") != NULL;
}

static bool fill(struct reading *r, struct mapping *mapping, const struct word *map, const struct word *system_user,
	const struct word *user)
{
	char error[100];

	mapping->map = strdup(map->text);
	mapping->system_user = strdup(system_user->text);
	if (!mapping->map || !mapping->system_user)
		return hba_no_memory(r);
	if (system_user->text[0] == '/') {
		mapping->pattern = pattern_new(system_user->text + 1, error, sizeof error);
		if (!mapping->pattern)
			return hba_fail(r, "\"%.80s\": %s", system_user->text, error);
	}
	if (!name_of_word(r, user, NAMES_OF_USERS, &mapping->user))
		return false;
	if (mapping->pattern && has_group(mapping) && pattern_groups(mapping->pattern) == 0)
		return hba_fail(r, "\"%.60s\" wants a (group), and \"%.60s\" has none", user->text, system_user->text);
	return true;
}

bool mapping_take(struct reading *r, struct span line)
{
	struct word map, system_user, user, rest;
	struct mapping *list, mapping = { 0 };
	struct hba *hba = r->hba;

	if (!word_take_single(r, &line, &map))
		return !r->problem[0];
	if (lines_is_include(&map))
		return lines_include(r, &map, &line, mapping_take);
	if (!word_take_single(r, &line, &system_user) || !word_take_single(r, &line, &user))
		return r->problem[0] ? false : hba_fail(r, "a map has three words: MAP SYSTEM-USER DATABASE-USER");
	if (word_take_single(r, &line, &rest))
		return hba_fail(r, "\"%.60s\" is one word too many", rest.text);
	if (r->problem[0])
		return false;
	if (!fill(r, &mapping, &map, &system_user, &user)) {
		mapping_free(&mapping);
		return false;
	}
	list = hba_grown(hba->mappings, hba->mapping_count, &hba->mapping_capacity, sizeof *list);
	if (!list) {
		mapping_free(&mapping);
		return hba_no_memory(r);
	}
	hba->mappings = list;
	list[hba->mapping_count++] = mapping;
	return true;
}

/* ---- judging ---- */

/* `user` is `text` with the group where \1 stands the first time. */
static bool is_with_group(struct span user, const char *text, struct span group)
{
	const char *at = strstr(text, "\\1");
	size_t before = (size_t)(at - text), after = strlen(at + 2);

	return user.length == before + group.length + after && memcmp(user.at, text, before) == 0 &&
		span_equal(span_of(user.at + before, group.length), group) &&
		memcmp(user.at + before + group.length, at + 2, after) == 0;
}

static enum fit one_fits(const struct mapping *m, const struct hba_peer *peer, struct span outside, struct span user)
{
	struct names only = { .list = (struct name *)&m->user, .count = 1 };
	struct span group = span_of("", 0);

	if (m->pattern ? !pattern_fits(m->pattern, outside, &group) : !span_is(outside, m->system_user))
		return FIT_NO;
	if (m->pattern && has_group(m))
		return is_with_group(user, m->user.text, group) ? FIT_YES : FIT_NO;
	return names_fit(&only, peer, user, user, user);
}

enum fit mapping_fits(
	const struct hba *hba, const char *map, const struct hba_peer *peer, struct span outside, struct span user)
{
	enum fit all = FIT_NO;

	if (!map)
		return span_equal(user, outside) ? FIT_YES : FIT_NO;
	for (size_t i = 0; i < hba->mapping_count; i++) {
		enum fit fit = strcmp(hba->mappings[i].map, map) == 0 ? one_fits(&hba->mappings[i], peer, outside, user)
								      : FIT_NO;

		if (fit == FIT_YES)
			return FIT_YES;
		if (fit == FIT_UNKNOWN)
			all = FIT_UNKNOWN;
	}
	return all;
}
