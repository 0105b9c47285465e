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
	void (*warn)(void *context, const char *line), char *error, size_t error_size)
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
		warn(NULL, line);
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

/* ---- finding */

/* As strcmp(text, name) for a name that is not terminated. */
static int compare_name(const char *text, struct span name)
{
	size_t length = strlen(text), shorter = length < name.length ? length : name.length;
	int order = shorter ? memcmp(text, name.at, shorter) : 0;

	return order ? order : (length > name.length) - (length < name.length);
}

static const struct database_settings *find_database(const struct config *c, struct span name)
{
	size_t low = 0, high = c->database_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_name(c->databases[middle].name, name);

		if (order == 0)
			return &c->databases[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct database_settings *config_database(const struct config *c, struct span name)
{
	const struct database_settings *found;

	if (span_is(name, "pgbouncer") || span_is(name, "pgweir"))
		return NULL;
	found = find_database(c, name);
	return found ? found : find_database(c, span_text("*"));
}

bool config_auth_lookup(const struct config *c, struct span database, struct auth_lookup *out)
{
	const struct setting *row = schema_find(schema_settings, schema_settings_count, span_text("auth_query"));
	const struct database_settings *entry = config_database(c, database);
	bool console = span_is(database, "pgbouncer") || span_is(database, "pgweir");

	*out = (struct auth_lookup){
		.database = entry && entry->auth_dbname ? entry->auth_dbname : c->auth_dbname,
		.user = entry && entry->auth_user ? entry->auth_user : c->auth_user,
		.query = entry && entry->auth_query ? entry->auth_query : c->auth_query,
		.search_path = c->auth_query_search_path,
	};
	if (!out->user[0] || !out->query[0] || (!entry && !console) || (console && !out->database[0]))
		return false;
	if (!out->database[0])
		out->database = NULL;
	if (!out->search_path[0])
		out->search_path = strcmp(out->query, schema_standard(row, c->manner)) == 0 ? "pg_catalog, pg_temp"
											    : NULL;
	return true;
}

const struct user_settings *config_user(const struct config *c, struct span name)
{
	size_t low = 0, high = c->user_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_name(c->users[middle].name, name);

		if (order == 0)
			return &c->users[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int compare_peer(const void *id, const void *peer)
{
	int is = ((const struct peer_settings *)peer)->id, wanted = (int)*(const uint32_t *)id;

	return (wanted > is) - (wanted < is);
}

const struct peer_settings *config_peer(const struct config *c, uint32_t id)
{
	return bsearch(&id, c->peers, c->peer_count, sizeof *c->peers, compare_peer);
}

int config_peer_size(const struct config *c, const struct peer_settings *peer)
{
	return peer->pool_size == UNSET ? c->default_pool_size : peer->pool_size;
}

/* The first of three that says something. */
static time_us first_time(time_us user, time_us database, time_us global)
{
	return user != UNSET ? user : database != UNSET ? database : global;
}

static int first_number(int user, int database, int global)
{
	return user != UNSET ? user : database != UNSET ? database : global;
}

void config_pool_rules(
	const struct config *c, const struct database_settings *d, struct span user, struct pool_rules *out)
{
	const struct user_settings *u = config_user(c, user);

	if (!u)
		u = &user_unset;
	*out = (struct pool_rules){
		.mode = u->pool_mode != POOL_UNSET   ? u->pool_mode
			: d->pool_mode != POOL_UNSET ? d->pool_mode
						     : c->pool_mode,
		.transparency = u->transparency != TRANSPARENCY_UNSET ? u->transparency
			: d->transparency != TRANSPARENCY_UNSET       ? d->transparency
								      : c->transparency,
		.size = first_number(u->pool_size, d->pool_size, c->default_pool_size),
		.min_size = first_number(UNSET, d->min_pool_size, c->min_pool_size),
		.reserve_size = first_number(u->reserve_pool_size, d->reserve_pool_size, c->reserve_pool_size),
		.database_connections_max = first_number(UNSET, d->max_connections, c->max_db_connections),
		.user_connections_max = first_number(u->max_connections, UNSET, c->max_user_connections),
		.origin_servers_max = first_number(UNSET, d->max_origin_servers, c->max_origin_servers),
		.server_lifetime = first_time(UNSET, d->server_lifetime, c->server_lifetime),
		.query_wait_timeout = first_time(u->query_wait_timeout, d->query_wait_timeout, c->query_wait_timeout),
		.query_timeout = first_time(u->query_timeout, UNSET, c->query_timeout),
		.idle_transaction_timeout = first_time(u->idle_transaction_timeout, UNSET, c->idle_transaction_timeout),
		.transaction_timeout = first_time(u->transaction_timeout, UNSET, c->transaction_timeout),
		.client_idle_timeout = first_time(u->client_idle_timeout, UNSET, c->client_idle_timeout),
	};
}

bool config_read_actions(struct span text, const char *pattern, enum leak_action *out)
{
	static const struct {
		const char *word;
		enum leak_action action;
	} words[] = { { "observe", ACTION_OBSERVE }, { "notice", ACTION_NOTICE }, { "reclaim", ACTION_RECLAIM } };
	const char *at = (const char *)text.at, *end = at + text.length;

	while (at < end) {
		struct span number, word;
		size_t i;

		while (at < end && (*at == ' ' || *at == '\t' || *at == ','))
			at++;
		if (at == end)
			break;
		number.at = (const uint8_t *)at;
		while (at < end && *at != '=' && *at != ' ' && *at != ',')
			at++;
		number.length = (size_t)(at - (const char *)number.at);
		if (at == end || *at++ != '=' || number.length < 2 || (number.at[0] | 32) != 'l')
			return false;
		for (i = 1; i < number.length; i++)
			if (number.at[i] < '0' || number.at[i] > '9')
				return false;
		word.at = (const uint8_t *)at;
		while (at < end && *at != ' ' && *at != '\t' && *at != ',')
			at++;
		word.length = (size_t)(at - (const char *)word.at);
		for (i = 0; i < sizeof words / sizeof words[0] && !span_is(word, words[i].word); i++)
			;
		if (i == sizeof words / sizeof words[0])
			return false;
		if (pattern && text_equal_nocase(number, span_text(pattern)))
			*out = words[i].action;
	}
	return true;
}

enum leak_action config_pattern_action(const struct config *c, const char *pattern, enum leak_action otherwise)
{
	enum leak_action action = otherwise;

	check(config_read_actions(span_text(c->leak_action_patterns), pattern, &action));
	return action;
}

enum leak_action config_leak_action(const struct config *c, struct span database, struct span user)
{
	const struct database_settings *d = config_database(c, database);
	const struct user_settings *u = config_user(c, user);
	enum leak_action action = u ? u->leak_action : ACTION_UNSET;

	if (action == ACTION_UNSET && d)
		action = d->leak_action;
	return action == ACTION_UNSET ? c->leak_action : action;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct span trimmed(struct span text)
{
	while (text.length > 0 && is_blank(text.at[0])) {
		text.at++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.at[text.length - 1]))
		text.length--;
	return text;
}

/* 0: it is none. */
static unsigned read_weight(struct span text)
{
	unsigned weight = 0;

	for (size_t i = 0; i < text.length && weight <= ORIGIN_WEIGHT_MOST; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return 0;
		weight = 10 * weight + (unsigned)(text.at[i] - '0');
	}
	return weight <= ORIGIN_WEIGHT_MOST ? weight : 0;
}

bool config_read_weights(struct span text, struct span name, unsigned *out)
{
	bool named = false;

	for (size_t at = 0, end; at < text.length; at = end + 1) {
		struct span entry, key;
		size_t equals;
		unsigned weight;

		for (end = at; end < text.length && text.at[end] != ','; end++)
			;
		entry = trimmed(span_of(text.at + at, end - at));
		if (entry.length == 0)
			continue;
		for (equals = entry.length; equals > 0 && entry.at[equals - 1] != '='; equals--)
			;
		if (equals == 0)
			return false;
		key = trimmed(span_of(entry.at, equals - 1));
		weight = read_weight(trimmed(span_of(entry.at + equals, entry.length - equals)));
		if (key.length == 0 || weight == 0)
			return false;
		/* A name that is said beats the star, wherever that stands. */
		if (span_equal(key, name) || (span_is(key, "*") && !named)) {
			named = span_equal(key, name);
			*out = weight;
		}
	}
	return true;
}

unsigned config_origin_weight(const struct config *c, struct span application_name)
{
	unsigned weight = 1;

	check(config_read_weights(span_text(c->origin_weights), application_name, &weight));
	return weight;
}

static bool is_separator(char c)
{
	return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool config_list_has(const char *list, struct span word, bool nocase)
{
	if (word.length == 0)
		return false;
	while (*list) {
		struct span item;
		size_t n = 0;

		while (list[n] && !is_separator(list[n]))
			n++;
		item = span_of(list, n);
		if (!span_is(item, "*") && (nocase ? text_equal_nocase(item, word) : span_equal(item, word)))
			return true;
		list += n;
		while (*list && is_separator(*list))
			list++;
	}
	return false;
}
