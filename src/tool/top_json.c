#include <jansson.h>

#include "tool/memory.h"
#include "tool/table.h"
#include "tool/top_model.h"

static void put(json_t *object, const char *key, const char *text)
{
	char valid[1300];

	show_utf8(valid, sizeof valid, span_text(text));
	json_object_set_new(object, key, memory_got(json_string(valid)));
}

static void put_number(json_t *object, const char *key, int64_t number)
{
	json_object_set_new(object, key, json_integer(number));
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

void top_print_json(const struct top_view *view, FILE *to)
{
	static const char *const kinds[] = { "pgweir", "pgbouncer", "postgresql" };
	json_t *document = memory_got(json_object()), *pools = memory_got(json_array()),
	       *origins = memory_got(json_array());
	json_t *leases = memory_got(json_array()), *leaks = memory_got(json_array());

	for (size_t i = 0; i < view->pool_count; i++) {
		const struct top_pool *p = &view->pools[i];
		json_t *row = who(p->database, p->user, NULL, NULL);

		put_number(row, "lent", p->lent);
		put_number(row, "idle", p->idle);
		put_number(row, "waiting", p->waiting);
		json_object_set_new(row, "limit", p->limit > 0 ? json_integer(p->limit) : json_null());
		json_object_set_new(row, "longest_wait", json_real(p->longest_wait));
		json_array_append_new(pools, row);
	}
	for (size_t i = 0; i < view->origin_count; i++) {
		const struct top_origin *o = &view->origins[i];
		json_t *row = who(o->database, o->user, o->application, o->address);

		put_number(row, "origin", o->id);
		put_number(row, "clients", o->clients);
		put_number(row, "lent", o->lent);
		put_number(row, "waiting", o->waiting);
		json_array_append_new(origins, row);
	}
	for (size_t i = 0; i < view->lease_count; i++) {
		const struct top_lease *l = &view->leases[i];
		json_t *row = who(l->database, l->user, l->application, l->address);

		put_number(row, "client", l->client);
		put_number(row, "origin", l->origin);
		put_number(row, "process", l->process);
		put(row, "state", l->state);
		put(row, "statement", l->statement);
		json_object_set_new(row, "age", l->age >= 0 ? json_real(l->age) : json_null());
		put_number(row, "waiting", l->waiting);
		json_object_set_new(row, "behind", l->behind ? json_integer(l->behind) : json_null());
		json_array_append_new(leases, row);
	}
	for (size_t i = 0; i < view->leak_count; i++) {
		json_t *row = memory_got(json_object());

		put(row, "title", view->leaks[i].title);
		put(row, "who", view->leaks[i].who);
		put(row, "evidence", view->leaks[i].evidence);
		put(row, "cure", view->leaks[i].cure);
		json_array_append_new(leaks, row);
	}
	put(document, "server", kinds[view->kind]);
	json_object_set_new(document, "leaks", leaks);
	json_object_set_new(document, "pools", pools);
	json_object_set_new(document, "origins", origins);
	json_object_set_new(document, "leases", leases);
	json_dumpf(document, to, JSON_INDENT(2));
	fputc('\n', to);
	json_decref(document);
}
