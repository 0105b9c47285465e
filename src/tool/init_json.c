#include <stdlib.h>

#include "tool/init.h"
#include "tool/json.h"

/* What `pgweir init --json` prints: the sizes, what they follow from, and where the files are. doc/sizing.md tells its keys. No secret is
 * in it: the list of users is told by its path and its length. */

static json_t *figures_json(const struct init_wish *wish)
{
	const struct server_facts *server = wish->server;
	const struct init_plan *plan = wish->plan;
	json_t *json = memory_got(json_object());

	object_set(json, "version", json_integer(server->version));
	object_set(json, "max_connections", json_integer(server->max_connections));
	object_set(json, "reserved", json_integer(server->superuser_reserved + server->reserved));
	object_set(json, "usable", json_integer(plan->usable));
	object_set(json, "direct", json_integer(plan->direct));
	object_set(json, "own", json_integer(plan->own));
	object_set(json, "cores", wish->cores > 0 ? json_integer(wish->cores) : json_null());
	object_set(json, "need", plan->need > 0 ? json_integer(plan->need) : json_null());
	object_set(
		json, "role_limit", plan->limit > 0 && plan->limit_is_role ? json_integer(plan->limit) : json_null());
	object_set(json, "database_limit",
		plan->limit > 0 && !plan->limit_is_role ? json_integer(plan->limit) : json_null());
	return json;
}

void init_show_json(const struct init_wish *wish, const char *output, struct span ini, FILE *to)
{
	json_t *document = memory_got(json_object()), *sizes = memory_got(json_object());
	char *text;

	object_set(sizes, "default_pool_size", json_integer(wish->plan->pool));
	object_set(sizes, "reserve_pool_size", json_integer(wish->plan->reserve));
	object_set(sizes, "max_db_connections", json_integer(wish->plan->most));
	object_set(sizes, "max_client_conn", json_integer(wish->plan->clients));
	object_set(document, "file", output ? text_json(span_text(output)) : json_null());
	object_set(document, "auth_file", output ? text_json(span_text(wish->users_path)) : json_null());
	object_set(document, "users", json_integer(wish->access->other_count + 1));
	object_set(document, "sizes", sizes);
	object_set(document, "server", figures_json(wish));
	object_set(document, "ini", text_json(ini));
	text = memory_got(json_dumps(document, JSON_INDENT(2) | JSON_ENSURE_ASCII));
	fprintf(to, "%s\n", text);
	free(text);
	json_decref(document);
}
