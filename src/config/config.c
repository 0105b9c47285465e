#include "config/config.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/directory.h"
#include "base/text.h"
#include "config/build.h"
#include "config/ini.h"
#include "config/value.h"

/* The verbs of a configuration. Reading fills the journal (build.h), which then becomes the value; nothing of a
 * configuration is seen by anybody before all of it is right, so there is nothing to undo when it is not. */

#define INCLUDE_DEPTH_MAX 10

/* ---- reading */

struct reading {
	struct config *config;
	const struct config_source *source;
	enum section section; /* an included file begins in its includer's, and leaves it its own, as in PgBouncer */
};

static const char *const section_names[] = { "databases", "pgbouncer", "pgweir", "users", "peers", NULL };
static const enum section sections[] = { SECTION_DATABASES, SECTION_SETTINGS, SECTION_SETTINGS, SECTION_USERS,
	SECTION_PEERS };

static bool enter_section(struct reading *r, const struct assignment *at, struct span name)
{
	char text[128];
	const char *nearest;

	for (size_t i = 0; section_names[i]; i++) {
		if (span_is(name, section_names[i])) {
			r->section = sections[i];
			return true;
		}
	}
	text_copy_span(text, sizeof text, name);
	nearest = text_nearest(text, section_names);
	if (nearest)
		return build_fail(r->config, at, "unknown section [%s]; did you mean [%s]?", text, nearest);
	return build_fail(
		r->config, at, "unknown section [%s]; there are [databases], [pgbouncer], [users] and [peers]", text);
}

static bool read_text(struct reading *r, const char *file, struct span text, unsigned depth);

static bool include_file(struct reading *r, const struct assignment *at, struct span name, unsigned depth)
{
	char *path, *text = NULL, error[256] = "this cannot read files";
	size_t length = 0;
	bool done;

	if (depth >= INCLUDE_DEPTH_MAX)
		return build_fail(r->config, at, "%%include is nested more than %d deep", INCLUDE_DEPTH_MAX);
	path = arena_text(&r->config->private->arena, name);
	if (!path)
		return build_fail(r->config, NULL, "memory is refused");
	if (!r->source->read_file ||
		!r->source->read_file(r->source->context, path, &text, &length, error, sizeof error))
		return build_fail(r->config, at, "%%include %s: %s", path, error);
	done = read_text(r, path, span_of(text, length), depth + 1);
	secret_wipe(text, length);
	free(text);
	return done;
}

static bool take_pair(struct reading *r, const struct assignment *at, const struct ini *ini)
{
	struct assignment a = *at;

	if (r->section == SECTION_NONE)
		return build_fail(r->config, at, "\"%.*s\" stands before the first [section]", (int)ini->key.length,
			(const char *)ini->key.at);
	if (memchr(ini->key.at, 0, ini->key.length))
		return build_fail(r->config, at, "a zero byte: this is not a text file");
	a.section = r->section;
	return build_note(r->config, &a, ini->key, ini->value);
}

static bool read_text(struct reading *r, const char *file, struct span text, unsigned depth)
{
	struct ini ini;
	bool good = true;

	ini_init(&ini, text);
	while (good) {
		enum ini_kind kind = ini_next(&ini);
		struct assignment at = { .origin = FROM_FILE, .file = file, .line = ini.line };

		if (kind == INI_END)
			break;
		if (kind == INI_BAD)
			good = build_fail(r->config, &at, "%s", ini.problem);
		else if (kind == INI_SECTION)
			good = enter_section(r, &at, ini.key);
		else if (kind == INI_INCLUDE)
			good = include_file(r, &at, ini.value, depth);
		else
			good = take_pair(r, &at, &ini);
	}
	ini_fini(&ini);
	return good;
}

/* "databases.NAME", "users.NAME" and "peers.ID" say their section; everything else is a setting, with or without "pgbouncer.". */
static bool read_override(struct reading *r, const struct config_override *o)
{
	struct assignment a = { .section = SECTION_SETTINGS, .origin = FROM_OPTION };
	const char *key = o->key;

	if (strncmp(key, "databases.", 10) == 0) {
		a.section = SECTION_DATABASES;
		key += 10;
	} else if (strncmp(key, "users.", 6) == 0) {
		a.section = SECTION_USERS;
		key += 6;
	} else if (strncmp(key, "peers.", 6) == 0) {
		a.section = SECTION_PEERS;
		key += 6;
	} else if (strncmp(key, "pgbouncer.", 10) == 0) {
		key += 10;
	} else if (strncmp(key, "pgweir.", 7) == 0) {
		key += 7;
	}
	if (!*key)
		return build_fail(r->config, NULL, "-o %s=...: the name is missing", o->key);
	return build_note(r->config, &a, span_text(key), text_trim(span_text(o->value)));
}

/* The journal is complete: make the value, and forget whom to tell. */
static struct config *finish(struct config *c)
{
	if (!build_finish(c)) {
		config_drop(c);
		return NULL;
	}
	c->private->error = NULL;
	c->private->error_size = 0;
	c->private->warn = NULL;
	return c;
}

struct config *config_parse(const struct config_source *source, char *error, size_t error_size)
{
	struct config *c = build_new(source->manner, error, error_size);
	struct reading r = { .config = c, .source = source, .section = SECTION_NONE };

	if (!c)
		return NULL;
	c->private->warn = source->warn;
	c->private->warn_context = source->context;
	if (source->file) {
		c->file = arena_text(&c->private->arena, span_text(source->file));
		if (!c->file) {
			build_fail(c, NULL, "memory is refused");
			goto fail;
		}
	}
	if (!read_text(&r, source->file ? source->file : "(no file)", source->text, 0))
		goto fail;
	for (size_t i = 0; i < source->override_count; i++) {
		if (!read_override(&r, &source->overrides[i]))
			goto fail;
	}
	return finish(c);
fail:
	config_drop(c);
	return NULL;
}

/* ---- holding */

struct config *config_keep(struct config *c)
{
	check(atomic_fetch_add_explicit(&c->private->references, 1, memory_order_relaxed) > 0);
	return c;
}

void config_drop(struct config *c)
{
	unsigned before;

	if (!c)
		return;
	before = atomic_fetch_sub_explicit(&c->private->references, 1, memory_order_acq_rel);
	check(before > 0);
	if (before > 1)
		return;
	arena_fini(&c->private->arena);
	free(c->private->journal);
	free(c->private);
	free(c);
}

/* ---- SET and SHOW */

/* NULL: this setting may be SET; else why not. */
static const char *refusal(const struct setting *row)
{
	if (row->built != BUILT)
		return "is known, but not needed here";
	return row->reloadable ? NULL : "can only be changed by a restart";
}

/* A new one with the file's name and the journal of `from`, less what an earlier SET said of `key` (NULL: nothing less). */
static struct config *copy_of(const struct config *from, const char *key, char *error, size_t error_size)
{
	struct config *c = build_new(from->manner, error, error_size);
	const struct config_private *p = from->private;

	if (!c)
		return NULL;
	if (from->file) {
		c->file = arena_text(&c->private->arena, span_text(from->file));
		if (!c->file) {
			build_fail(c, NULL, "memory is refused");
			goto fail;
		}
	}
	for (size_t i = 0; i < p->journal_count; i++) {
		const struct assignment *a = &p->journal[i];

		if (key && a->origin == FROM_SET && strcmp(a->key, key) == 0)
			continue;
		if (!build_note(c, a, span_text(a->key), span_text(a->value)))
			goto fail;
	}
	return c;
fail:
	config_drop(c);
	return NULL;
}

struct config *config_with(const struct config *old, const char *key, const char *value, char *error, size_t error_size)
{
	const struct setting *row = schema_find(schema_settings, schema_settings_count, span_text(key));
	struct config *c;
	struct assignment set = { .section = SECTION_SETTINGS, .origin = FROM_SET };

	if (row && refusal(row)) {
		text_format(error, error_size, "%s %s", key, refusal(row));
		return NULL;
	}
	/* A SET replaces the one before it: an hour of SETs leaves one line. */
	c = copy_of(old, key, error, error_size);
	if (c && !build_note(c, &set, span_text(key), span_text(value))) {
		config_drop(c);
		return NULL;
	}
	return c ? finish(c) : NULL;
}

struct config *config_hold(struct config **fresh, const struct config *old,
	void (*warn)(void *context, const char *line), void *context, char *error, size_t error_size)
{
	struct config *taken = *fresh, *c = copy_of(taken, NULL, error, error_size);
	struct assignment held = { .section = SECTION_SETTINGS, .origin = FROM_SET };
	bool good = c != NULL, differs = false;

	*fresh = NULL;
	for (size_t i = 0; good && i < schema_settings_count; i++) {
		const struct setting *row = &schema_settings[i];
		const char *was = old->private->texts[i], *wished = taken->private->texts[i];
		char line[400];

		if (row->reloadable || row->built != BUILT || strcmp(was, wished) == 0)
			continue;
		text_format(line, sizeof line, "%s: \"%.120s\" needs a restart; \"%.120s\" stays in force", row->key,
			wished, was);
		warn(context, line);
		differs = true;
		good = build_note(c, &held, span_text(row->key), span_text(was));
	}
	if (good && !differs) {
		config_drop(c);
		return taken;
	}
	config_drop(taken);
	if (!good) {
		config_drop(c);
		return NULL;
	}
	return finish(c);
}

bool config_view(const struct config *c, size_t i, struct setting_view *out)
{
	const struct setting *row;
	size_t at = 0;

	while (at < schema_settings_count && (schema_settings[at].hidden || i-- > 0))
		at++;
	if (at == schema_settings_count)
		return false;
	row = &schema_settings[at];
	*out = (struct setting_view){ .key = row->key,
		.standard = schema_standard(row, c->manner),
		.reloadable = row->reloadable && row->built == BUILT };
	if (strcmp(row->key, "auth_ldap_options") == 0)
		directory_mask(span_text(c->auth_ldap_options), out->value, sizeof out->value);
	else if (row->size > 0)
		value_write(row, c, out->value, sizeof out->value);
	else
		text_copy(out->value, sizeof out->value, c->private->texts[at]);
	if (strcmp(row->key, "conffile") == 0 && !c->conffile[0] && c->file)
		text_copy(out->value, sizeof out->value, c->file);
	return true;
}
