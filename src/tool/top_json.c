#include "tool/json.h"
#include "tool/top_model.h"

static void put(json_t *object, const char *key, const char *text)
{
	object_set(object, key, text_json(span_text(text)));
}

/* null: the server does not tell. */
static void put_known(json_t *object, const char *key, const char *text)
{
	object_set(object, key, text[0] ? text_json(span_text(text)) : json_null());
}

static void put_number(json_t *object, const char *key, int64_t number)
{
	object_set(object, key, json_integer(number));
}

static json_t *who(const char *database, const char *user, const char *application, const char *address)
{
	json_t *object = memory_got(json_object());

	put(object, "database", database);
	put(object, "user", user);
	if (application)
		put(object, "application_name", application);
	if (address)
		put(object, "address", address);
	return object;
}

static json_t *pools(const struct top_view *view)
{
	json_t *rows = memory_got(json_array());

	for (size_t i = 0; i < view->pool_count; i++) {
		const struct top_pool *p = &view->pools[i];
		json_t *row = who(p->database, p->user, NULL, NULL);

		put_number(row, "lent", p->lent);
		put_number(row, "idle", p->idle);
		put_number(row, "waiting", p->waiting);
		object_set(row, "limit", p->limit > 0 ? json_integer(p->limit) : json_null());
		object_set(row, "longest_wait", json_real(p->longest_wait));
		put_known(row, "failing", p->failing);
		array_append(rows, row);
	}
	return rows;
}

static json_t *origins(const struct top_view *view)
{
	json_t *rows = memory_got(json_array());

	for (size_t i = 0; i < view->origin_count; i++) {
		const struct top_origin *o = &view->origins[i];
		json_t *row = who(o->database, o->user, o->application, o->address);

		put_number(row, "origin", o->id);
		put_number(row, "clients", o->clients);
		put_number(row, "lent", o->lent);
		put_number(row, "waiting", o->waiting);
		array_append(rows, row);
	}
	return rows;
}

static json_t *breakdowns(const struct top_view *view)
{
	json_t *rows = memory_got(json_array());

	for (size_t i = 0; i < view->part_count; i++) {
		const struct top_part *part = &view->parts[i];
		json_t *row = memory_got(json_object());

		put_number(row, "origin", part->origin);
		put(row, "by", part->by);
		put(row, "value", part->value);
		put_number(row, "clients", part->clients);
		put_number(row, "quiet", part->quiet);
		put_number(row, "holding", part->holding);
		object_set(row, "oldest_quiet", part->oldest_quiet > 0 ? json_real(part->oldest_quiet) : json_null());
		object_set(row, "oldest_hold", part->oldest_hold > 0 ? json_real(part->oldest_hold) : json_null());
		array_append(rows, row);
	}
	return rows;
}

static json_t *leases(const struct top_view *view)
{
	json_t *rows = memory_got(json_array());

	for (size_t i = 0; i < view->lease_count; i++) {
		const struct top_lease *l = &view->leases[i];
		json_t *row = who(l->database, l->user, l->application, l->address);

		put_number(row, "client", l->client);
		put_number(row, "origin", l->origin);
		put_number(row, "process", l->process);
		put(row, "state", l->state);
		put(row, "statement", l->statement);
		put_known(row, "first_statement", l->first);
		put_known(row, "pin", l->pin);
		object_set(row, "age", l->age >= 0 ? json_real(l->age) : json_null());
		object_set(row, "in_state", l->in_state >= 0 ? json_real(l->in_state) : json_null());
		put_number(row, "waiting", l->waiting);
		put_known(row, "waiters", l->waiters);
		object_set(row, "behind", l->behind ? json_integer(l->behind) : json_null());
		array_append(rows, row);
	}
	return rows;
}

static json_t *leaks(const struct top_view *view)
{
	json_t *rows = memory_got(json_array());

	for (size_t i = 0; i < view->leak_count; i++) {
		const struct top_leak *leak = &view->leaks[i];
		json_t *row = memory_got(json_object());

		put(row, "title", leak->title);
		put(row, "who", leak->who);
		put(row, "evidence", leak->evidence);
		put(row, "cure", leak->cure);
		put(row, "name", leak->name);
		put(row, "since", leak->since);
		put_known(row, "route", leak->route);
		put_known(row, "statement", leak->statement);
		array_append(rows, row);
	}
	return rows;
}

void top_print_json(const struct top_view *view, FILE *to)
{
	static const char *const kinds[] = { "pgweir", "pgbouncer", "postgresql" };
	json_t *document = memory_got(json_object());

	put(document, "server", kinds[view->kind]);
	if (view->kind == TOP_POSTGRESQL) {
		object_set(document, "connections", json_integer(view->used));
		object_set(document, "max_connections", json_integer(view->most));
		object_set(document, "hidden", json_integer(view->hidden));
		object_set(document, "reserved", json_integer(view->kept));
	}
	object_set(document, "no_room", *view->no_room ? text_json(span_text(view->no_room)) : json_null());
	object_set(document, "unreached", *view->unreached ? text_json(span_text(view->unreached)) : json_null());
	object_set(document, "leaks", leaks(view));
	object_set(document, "pools", pools(view));
	object_set(document, "origins", origins(view));
	object_set(document, "breakdowns", breakdowns(view));
	object_set(document, "leases", leases(view));
	json_dumpf(document, to, JSON_INDENT(2));
	fputc('\n', to);
	json_decref(document);
}
