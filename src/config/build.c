#include "config/build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "config/ini.h"
#include "config/value.h"

/* From the journal to the value:
 *
 *   file, %included files, -o options, SET  -->  journal  -->  defaults, then every assignment in order
 *                                                         -->  databases and users sorted, hosts completed
 *
 * The last assignment of a key holds, and so does the last line about a database or user; two sections of one name
 * simply continue one another. SET on the console replays the same journal with one more assignment, so that there is
 * one way only by which a configuration comes to be. */

/* ---- complaints */

static bool begins_with_key(const char *what, const char *key)
{
	size_t length = strlen(key);

	return strncmp(what, key, length) == 0 && (what[length] == ':' || what[length] == ' ');
}

/* Where what is said of it belongs. Of an option that is its key: once. */
static void place(const struct assignment *at, const char *what, char *out, size_t size)
{
	*out = 0;
	if (at && at->origin == FROM_FILE)
		text_format(out, size, "%s:%u: ", at->file, at->line);
	else if (at && at->origin == FROM_OPTION && at->section == SECTION_SETTINGS && begins_with_key(what, at->key))
		text_copy(out, size, "-o ");
	else if (at && at->origin == FROM_OPTION)
		text_format(out, size, "-o %s%s: ",
			at->section == SECTION_DATABASES       ? "databases."
				: at->section == SECTION_USERS ? "users."
				: at->section == SECTION_PEERS ? "peers."
							       : "",
			at->key);
}

bool build_fail(struct config *c, const struct assignment *at, const char *format, ...)
{
	char where[512], what[768];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	place(at, what, where, sizeof where);
	text_format(c->private->error, c->private->error_size, "%s%s", where, what);
	return false;
}

static bool refused(struct config *c)
{
	return build_fail(c, NULL, "memory is refused");
}

static void warn(struct config *c, const struct assignment *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void warn(struct config *c, const struct assignment *at, const char *format, ...)
{
	char where[512], what[768], line[1280];
	va_list arguments;

	if (!c->private->warn)
		return;
	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	place(at, what, where, sizeof where);
	text_format(line, sizeof line, "%s%s", where, what);
	c->private->warn(c->private->warn_context, line);
}

static void warn_unbuilt(struct config *c, const struct assignment *at, const struct setting *row)
{
	warn(c, at, "%s is known, but not needed here; ignored: %s", row->key, row->lacking);
}

static bool fail_unknown(struct config *c, const struct assignment *at, const char *kind, const char *key,
	const struct setting *rows, size_t count)
{
	const char *nearest = schema_nearest(rows, count, key);

	if (!nearest)
		return build_fail(c, at, "unknown %s \"%.100s\"", kind, key);
	return build_fail(c, at, "unknown %s \"%.100s\"; did you mean \"%s\"?", kind, key, nearest);
}

/* ---- the journal */

struct config *build_new(enum manner manner, char *error, size_t error_size)
{
	struct config *c = calloc(1, sizeof *c);

	if (c)
		c->private = calloc(1, sizeof *c->private);
	if (!c || !c->private) {
		free(c);
		text_copy(error, error_size, "memory is refused");
		return NULL;
	}
	c->manner = manner;
	atomic_init(&c->private->references, 1);
	c->private->error = error;
	c->private->error_size = error_size;
	return c;
}

bool build_note(struct config *c, const struct assignment *like, struct span key, struct span value)
{
	struct config_private *p = c->private;
	struct assignment *a;

	if (p->journal_count == p->journal_capacity) {
		size_t capacity = p->journal_capacity ? p->journal_capacity * 2 : 64;
		struct assignment *journal = realloc(p->journal, capacity * sizeof *journal);

		if (!journal)
			return refused(c);
		p->journal = journal;
		p->journal_capacity = capacity;
	}
	a = &p->journal[p->journal_count];
	*a = *like;
	if (like->file)
		a->file = arena_text(&p->arena, span_text(like->file));
	a->key = arena_text(&p->arena, key);
	a->value = arena_text(&p->arena, value);
	if (!a->key || !a->value || (like->file && !a->file))
		return refused(c);
	p->journal_count++;
	return true;
}

/* ---- values */

/* `inside` is NULL for settings, else the entry that the key stands in. */
static bool read_value(struct config *c, const struct assignment *at, const char *inside, const struct setting *row,
	const char *text, void *base)
{
	char why[256] = "";

	switch (value_read(row, span_text(text), base, &c->private->arena, why, sizeof why)) {
	case VALUE_TAKEN:
		if (strcmp(row->key, "auth_dbname") != 0 || !config_is_console(text))
			return true;
		return build_fail(c, at, "%s%s%s: found \"%s\", the console, where nothing can be asked",
			inside ? inside : "", inside ? ": " : "", row->key, text);
	case VALUE_REFUSED:
		return refused(c);
	case VALUE_LATER:
		return build_fail(c, at, "%s%s%s: \"%.100s\" is known, but not built yet; use %s", inside ? inside : "",
			inside ? ": " : "", row->key, text, why);
	case VALUE_BAD:
		break;
	}
	return build_fail(c, at, "%s%s%s: found \"%.100s\", allowed: %s", inside ? inside : "", inside ? ": " : "",
		row->key, text, why);
}

static bool set_defaults(struct config *c)
{
	check(schema_settings_count <= SETTINGS_MAX);
	for (size_t i = 0; i < schema_settings_count; i++) {
		const struct setting *row = &schema_settings[i];
		const char *text = schema_standard(row, c->manner);

		if (!read_value(c, NULL, NULL, row, text, c))
			return false;
		c->private->texts[i] = text;
	}
	return true;
}

static bool set_setting(struct config *c, const struct assignment *a)
{
	const struct setting *row = schema_find(schema_settings, schema_settings_count, span_text(a->key));

	if (!row)
		return fail_unknown(c, a, "setting", a->key, schema_settings, schema_settings_count);
	if (!read_value(c, a, NULL, row, a->value, c))
		return false;
	c->private->texts[row - schema_settings] = a->value;
	if (row->built != BUILT && strcmp(a->value, schema_standard(row, c->manner)) != 0)
		warn_unbuilt(c, a, row);
	return true;
}

/* ---- databases */

static struct database_settings unset_database(char *name, unsigned line)
{
	return (struct database_settings){ .name = name,
		.pool_size = UNSET,
		.min_pool_size = UNSET,
		.reserve_pool_size = UNSET,
		.max_connections = UNSET,
		.max_client_connections = UNSET,
		.max_origin_servers = UNSET,
		.pool_mode = POOL_UNSET,
		.transparency = TRANSPARENCY_UNSET,
		.server_lifetime = UNSET,
		.query_wait_timeout = UNSET,
		.leak_action = ACTION_UNSET,
		.line = line };
}

#define PORT_STANDARD 5432
#define PEER_PORT     6432

struct ports {
	uint16_t list[HOSTS_MAX];
	size_t count;
};

static bool read_hosts(
	struct config *c, const struct assignment *a, struct database_settings *d, struct span text, const char *inside)
{
	struct span rest = text;
	size_t count = 1, n = 0;

	for (size_t i = 0; i < text.length; i++)
		count += text.at[i] == ',';
	if (count > HOSTS_MAX)
		return build_fail(c, a, "%s: host: more than %u in a list", inside, HOSTS_MAX);
	d->hosts = arena_take(&c->private->arena, count * sizeof *d->hosts);
	if (!d->hosts)
		return refused(c);
	for (; n < count; n++) {
		const uint8_t *comma = rest.length ? memchr(rest.at, ',', rest.length) : NULL;
		struct span host = text_trim(span_of(rest.at, comma ? (size_t)(comma - rest.at) : rest.length));

		if (host.length == 0)
			return build_fail(c, a, "%s: host: found an empty name in \"%.*s\"", inside, (int)text.length,
				(const char *)text.at);
		d->hosts[n].name = arena_text(&c->private->arena, host);
		if (!d->hosts[n].name)
			return refused(c);
		if (comma)
			rest = span_skip(rest, (size_t)(comma - rest.at) + 1);
	}
	d->host_count = count;
	return true;
}

/* One port for all hosts, or one for each, in their order; as in libpq, one that is left out is the standard one. */
static bool read_ports(struct config *c, const struct assignment *a, const struct setting *row, const char *text,
	const char *inside, struct ports *ports)
{
	struct span rest = span_text(text);
	bool last;

	ports->count = 0;
	do {
		const uint8_t *comma = rest.length ? memchr(rest.at, ',', rest.length) : NULL;
		struct span word = text_trim(span_of(rest.at, comma ? (size_t)(comma - rest.at) : rest.length));
		int64_t value = PORT_STANDARD;

		last = !comma;
		if (ports->count == HOSTS_MAX)
			return build_fail(c, a, "%s: port: more than %u in a list", inside, HOSTS_MAX);
		if ((word.length > 0 || (last && ports->count == 0)) &&
			(!text_to_i64(word, &value) || value < row->least || value > row->most))
			return build_fail(c, a,
				"%s: port: found \"%.100s\", allowed: a whole number from 1 to 65535, or a list of as many as there are hosts",
				inside, text);
		ports->list[ports->count++] = (uint16_t)value;
		if (comma)
			rest = span_skip(rest, (size_t)(comma - rest.at) + 1);
	} while (!last);
	return true;
}

static bool give_ports(struct config *c, const struct assignment *a, struct database_settings *d, const char *inside,
	const struct ports *ports)
{
	if (ports->count != 1 && ports->count != d->host_count)
		return build_fail(
			c, a, "%s: port: a list of %zu, but there are %zu hosts", inside, ports->count, d->host_count);
	for (size_t i = 0; i < d->host_count; i++)
		d->hosts[i].port = ports->list[ports->count == 1 ? 0 : i];
	return true;
}

/* One key of a database's line. */
static bool set_database_key(struct config *c, const struct assignment *a, struct database_settings *d, struct span key,
	const char *value, const char *inside, struct ports *ports)
{
	const struct setting *row = schema_find(schema_database_keys, schema_database_keys_count, key);
	char name[128];

	if (!row) {
		text_copy_span(name, sizeof name, key);
		return fail_unknown(c, a, "key of a database", name, schema_database_keys, schema_database_keys_count);
	}
	if (row->type == TYPE_HOSTS)
		return read_hosts(c, a, d, span_text(value), inside);
	if (row->type == TYPE_PORT)
		return read_ports(c, a, row, value, inside, ports);
	if (row->built != BUILT)
		warn_unbuilt(c, a, row);
	return read_value(c, a, inside, row, value, d);
}

static bool read_database(struct config *c, const struct assignment *a, struct database_settings *d)
{
	struct span list = span_text(a->value), key;
	char *value = arena_take(&c->private->arena, list.length + 1), inside[160];
	struct ports ports = { .list = { PORT_STANDARD }, .count = 1 };
	enum pair_result result;
	const char *problem;

	if (!value)
		return refused(c);
	text_format(inside, sizeof inside, "database \"%.63s\"", a->key);
	if (strlen(a->key) > 63)
		return build_fail(c, a, "database \"%.63s...\": names have at most 63 bytes", a->key);
	if (config_is_console(a->key))
		return build_fail(c, a, "database \"%s\": this name is reserved for the console", a->key);
	*d = unset_database(a->key, a->line);
	while ((result = pair_take(&list, &key, value, &problem)) == PAIR_TAKEN) {
		if (!set_database_key(c, a, d, key, value, inside, &ports))
			return false;
	}
	if (result == PAIR_BAD)
		return build_fail(c, a, "%s: %s at \"%.*s\"", inside, problem, key.length > 40 ? 40 : (int)key.length,
			(const char *)key.at);
	if (d->host_count == 0) {
		/* Its name is filled in when unix_socket_dir is known. */
		d->hosts = arena_take(&c->private->arena, sizeof *d->hosts);
		if (!d->hosts)
			return refused(c);
		d->host_count = 1;
	}
	if (!give_ports(c, a, d, inside, &ports))
		return false;
	if (d->password && !d->user)
		warn(c, a, "%s: password= without user= is not used", inside);
	return true;
}

static void complete_hosts(struct config *c)
{
	static char standard[] = "/tmp";
	char *directory = *c->unix_socket_dir ? c->unix_socket_dir : standard;

	for (size_t i = 0; i < c->database_count; i++) {
		struct database_settings *d = &c->databases[i];

		for (size_t j = 0; j < d->host_count; j++) {
			if (!d->hosts[j].name)
				d->hosts[j].name = directory;
		}
	}
}

/* ---- users and peers */

const struct user_settings user_unset = {
	.pool_size = UNSET,
	.reserve_pool_size = UNSET,
	.max_connections = UNSET,
	.max_client_connections = UNSET,
	.pool_mode = POOL_UNSET,
	.transparency = TRANSPARENCY_UNSET,
	.query_timeout = UNSET,
	.idle_transaction_timeout = UNSET,
	.transaction_timeout = UNSET,
	.client_idle_timeout = UNSET,
	.query_wait_timeout = UNSET,
	.leak_action = ACTION_UNSET,
};

static bool read_user(struct config *c, const struct assignment *a, struct user_settings *u)
{
	struct span list = span_text(a->value), key;
	char *value = arena_take(&c->private->arena, list.length + 1), inside[160], name[128];
	enum pair_result result;
	const char *problem;

	if (!value)
		return refused(c);
	text_format(inside, sizeof inside, "user \"%.127s\"", a->key);
	if (strlen(a->key) > 127)
		return build_fail(c, a, "user \"%.63s...\": names have at most 127 bytes", a->key);
	*u = user_unset;
	u->name = a->key;
	u->line = a->line;
	while ((result = pair_take(&list, &key, value, &problem)) == PAIR_TAKEN) {
		const struct setting *row = schema_find(schema_user_keys, schema_user_keys_count, key);

		text_copy_span(name, sizeof name, key);
		if (!row)
			return fail_unknown(c, a, "key of a user", name, schema_user_keys, schema_user_keys_count);
		if (!read_value(c, a, inside, row, value, u))
			return false;
	}
	if (result == PAIR_BAD)
		return build_fail(c, a, "%s: %s at \"%.*s\"", inside, problem, key.length > 40 ? 40 : (int)key.length,
			(const char *)key.at);
	return true;
}

static bool read_peer(struct config *c, const struct assignment *a, struct peer_settings *peer)
{
	struct span list = span_text(a->value), key;
	char *value = arena_take(&c->private->arena, list.length + 1), inside[40], name[128];
	enum pair_result result;
	const char *problem;
	int64_t id;

	if (!value)
		return refused(c);
	if (!text_to_i64(span_text(a->key), &id) || id < 1 || id > PEER_ID_MAX)
		return build_fail(c, a, "peer \"%.100s\": allowed: a whole number from 1 to %d", a->key, PEER_ID_MAX);
	text_format(inside, sizeof inside, "peer %d", (int)id);
	*peer = (struct peer_settings){ .id = (int)id, .port = PEER_PORT, .pool_size = UNSET, .line = a->line };
	while ((result = pair_take(&list, &key, value, &problem)) == PAIR_TAKEN) {
		const struct setting *row = schema_find(schema_peer_keys, schema_peer_keys_count, key);

		text_copy_span(name, sizeof name, key);
		if (!row)
			return fail_unknown(c, a, "key of a peer", name, schema_peer_keys, schema_peer_keys_count);
		if (!read_value(c, a, inside, row, value, peer))
			return false;
	}
	if (result == PAIR_BAD)
		return build_fail(c, a, "%s: %s at \"%.*s\"", inside, problem, key.length > 40 ? 40 : (int)key.length,
			(const char *)key.at);
	if (!peer->host || !*peer->host)
		return build_fail(c, a, "%s: host is missing: it says where the peer is", inside);
	return true;
}

/* ---- all of it */

/* By name, then in the order of the journal, which is one array. */
static int compare_assignments(const void *a, const void *b)
{
	const struct assignment *const *x = a, *const *y = b;
	int order = strcmp((*x)->key, (*y)->key);

	return order ? order : (*x > *y) - (*x < *y);
}

/* The assignments of a section, sorted. False: memory refused. */
static bool sort_entries(struct config *c, enum section section, const struct assignment ***out, size_t *out_count)
{
	struct config_private *p = c->private;
	const struct assignment **at;
	size_t count = 0;

	at = arena_take(&p->arena, (p->journal_count + 1) * sizeof *at);
	if (!at)
		return refused(c);
	for (size_t i = 0; i < p->journal_count; i++) {
		if (p->journal[i].section == section)
			at[count++] = &p->journal[i];
	}
	qsort(at, count, sizeof *at, compare_assignments);
	*out = at;
	*out_count = count;
	return true;
}

/* Whether a later line is about the same entry; then this one was only read for its errors. */
static bool superseded(struct config *c, const struct assignment **at, size_t count, size_t i)
{
	if (i + 1 == count || strcmp(at[i]->key, at[i + 1]->key) != 0)
		return false;
	if (at[i]->origin == FROM_FILE && at[i + 1]->origin == FROM_FILE)
		warn(c, at[i + 1], "\"%.100s\" stood before in line %u; this line holds", at[i]->key, at[i]->line);
	return true;
}

static bool build_databases(struct config *c)
{
	const struct assignment **at;
	size_t count;

	if (!sort_entries(c, SECTION_DATABASES, &at, &count))
		return false;
	c->databases = arena_take(&c->private->arena, (count + 1) * sizeof *c->databases);
	if (!c->databases)
		return refused(c);
	for (size_t i = 0; i < count; i++) {
		if (!read_database(c, at[i], &c->databases[c->database_count]))
			return false;
		if (!superseded(c, at, count, i))
			c->database_count++;
	}
	return true;
}

static bool build_users(struct config *c)
{
	const struct assignment **at;
	size_t count;

	if (!sort_entries(c, SECTION_USERS, &at, &count))
		return false;
	c->users = arena_take(&c->private->arena, (count + 1) * sizeof *c->users);
	if (!c->users)
		return refused(c);
	for (size_t i = 0; i < count; i++) {
		if (!read_user(c, at[i], &c->users[c->user_count]))
			return false;
		if (!superseded(c, at, count, i))
			c->user_count++;
	}
	return true;
}

static int compare_peers(const void *a, const void *b)
{
	const struct peer_settings *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* In the journal's order, and by number, since "01" is "1". */
static bool build_peers(struct config *c)
{
	struct config_private *p = c->private;
	struct peer_settings peer, *old;

	c->peers = arena_take(&p->arena, (p->journal_count + 1) * sizeof *c->peers);
	if (!c->peers)
		return refused(c);
	for (size_t i = 0; i < p->journal_count; i++) {
		const struct assignment *a = &p->journal[i];

		if (a->section != SECTION_PEERS)
			continue;
		if (!read_peer(c, a, &peer))
			return false;
		if (c->peer_count == 0 && c->peer_id == 0)
			warn(c, a, "[peers] is not used: peer_id is not set");
		old = c->peers;
		while (old < c->peers + c->peer_count && old->id != peer.id)
			old++;
		if (old == c->peers + c->peer_count)
			c->peer_count++;
		else if (a->origin == FROM_FILE)
			warn(c, a, "peer %d stood before in line %u; this line holds", peer.id, old->line);
		*old = peer;
	}
	qsort(c->peers, c->peer_count, sizeof *c->peers, compare_peers);
	return true;
}

/* A file that was copied with its conffile would be read once. */
static void warn_elsewhere(struct config *c)
{
	if (c->conffile[0] && c->file && strcmp(c->conffile, c->file) != 0)
		warn(c, NULL, "conffile: RELOAD will read \"%s\", not \"%s\" again", c->conffile, c->file);
}

bool build_finish(struct config *c)
{
	struct config_private *p = c->private;

	if (!set_defaults(c))
		return false;
	for (size_t i = 0; i < p->journal_count; i++) {
		const struct assignment *a = &p->journal[i];

		if (a->section == SECTION_SETTINGS && !set_setting(c, a))
			return false;
	}
	c->auth_type_text = (char *)(uintptr_t)p
				    ->texts[schema_find(schema_settings, schema_settings_count, span_text("auth_type")) -
					    schema_settings];
	if (!build_databases(c) || !build_users(c) || !build_peers(c))
		return false;
	complete_hosts(c);
	warn_elsewhere(c);
	return true;
}
