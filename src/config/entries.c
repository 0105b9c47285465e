/* What holds for whom: how an entry of [databases], [users] and [peers] is found, which of several has the last word, and what lists that
 * are written in one value say of a name. */
#include "config/build.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"

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
