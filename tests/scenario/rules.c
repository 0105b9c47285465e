/* The machine, its rules, and the databases and pools that they are about. */
#include "story.h"

#include <string.h>

#include "base/text.h"

struct core_rules rules_default(void)
{
	return (struct core_rules){
		.limit_counts = COUNT_BUSY,
		.server_idle_timeout = 600 * SECOND_US,
		.login_retry = 15 * SECOND_US,
		.reserve_timeout = 5 * SECOND_US,
		.orphan_timeout = 60 * SECOND_US,
		.check_delay = 30 * SECOND_US,
	};
}

void tell_machine(struct story *t)
{
	if (t->core) {
		wrong(t, "the machine comes first");
		return;
	}
	while (t->words[t->at] && !t->wrong) {
		if (take(t, "workers"))
			t->setup.workers = number(t);
		else if (take(t, "servers"))
			t->setup.servers_max = number(t);
		else
			wrong(t, "a machine has no '%s'", word(t));
	}
}

void tell_rules(struct story *t)
{
	struct core_rules rules = rules_default();

	while (t->words[t->at] && !t->wrong) {
		if (take(t, "limit"))
			rules.limit_counts = strcmp(word(t), "all") == 0 ? COUNT_ALL : COUNT_BUSY;
		else if (take(t, "clients"))
			rules.clients_max = number(t);
		else if (take(t, "idle_timeout"))
			rules.server_idle_timeout = duration(t);
		else if (take(t, "login_retry"))
			rules.login_retry = duration(t);
		else if (take(t, "reserve_timeout"))
			rules.reserve_timeout = duration(t);
		else if (take(t, "orphan_timeout"))
			rules.orphan_timeout = duration(t);
		else if (take(t, "check_delay"))
			rules.check_delay = duration(t);
		else if (take(t, "check"))
			rules.check_on = strcmp(word(t), "on") == 0;
		else if (take(t, "round_robin"))
			rules.round_robin = strcmp(word(t), "on") == 0;
		else if (take(t, "pool_idle_timeout"))
			rules.pool_idle_timeout = duration(t);
		else if (take(t, "autodb_idle_timeout"))
			rules.autodb_idle_timeout = duration(t);
		else if (take(t, "origin_clients"))
			rules.origin_clients_max = number(t);
		else if (take(t, "origin_login_rate"))
			rules.origin_login_rate = number(t);
		else
			wrong(t, "no such rule: %s", word(t));
	}
	core_set_rules(t->core, &rules, t->now, &t->effects);
	core_audit(t->core);
	say_effects(t);
}

void tell_database(struct story *t)
{
	struct span name = span_text(word(t));
	struct database_rules rules = { 0 };

	while (t->words[t->at] && !t->wrong) {
		if (take(t, "servers"))
			rules.servers_max = number(t);
		else if (take(t, "clients"))
			rules.clients_max = number(t);
		else if (take(t, "automatic"))
			rules.automatic = true;
		else
			wrong(t, "no such rule of a database: %s", word(t));
	}
	core_set_database_rules(t->core, core_database(t->core, name, &rules), &rules, t->now, &t->effects);
	core_audit(t->core);
	say_effects(t);
}

void tell_pool(struct story *t)
{
	const char *name = word(t), *slash = strchr(name, '/');
	struct core_pool_rules rules = { .size = 20, .lifetime = 3600 * SECOND_US, .instance = NO_INSTANCE };
	database_id database;

	if (!slash) {
		wrong(t, "pool DATABASE/USER");
		return;
	}
	while (t->words[t->at] && !t->wrong) {
		if (take(t, "size"))
			rules.size = number(t);
		else if (take(t, "min"))
			rules.min_size = number(t);
		else if (take(t, "reserve"))
			rules.reserve = number(t);
		else if (take(t, "lifetime"))
			rules.lifetime = duration(t);
		else if (take(t, "user_servers"))
			rules.user_servers_max = number(t);
		else if (take(t, "user_clients"))
			rules.user_clients_max = number(t);
		else if (take(t, "forced"))
			rules.keep_min = true;
		else if (take(t, "fast_close"))
			rules.fast_close = true;
		else if (take(t, "fair"))
			rules.fair = true;
		else if (take(t, "replication"))
			rules.replication = true;
		else if (take(t, "origin_servers"))
			rules.origin_servers_max = number(t);
		else if (take(t, "at"))
			rules.instance = core_instance(t->core, span_text(word(t)));
		else
			wrong(t, "no such rule of a pool: %s", word(t));
	}
	database = core_database(t->core, span_of(name, (size_t)(slash - name)), &(struct database_rules){ 0 });
	t->pool = core_pool(t->core, database, span_text(slash + 1), &rules);
	t->pools = core_pools(t->core);
	core_set_pool_rules(t->core, t->pool, &rules, t->now, &t->effects);
	core_audit(t->core);
	say_effects(t);
}
