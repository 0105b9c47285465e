/* The house under test, and its keeper. The configuration is made as text from the seed and read by the real reader. */
#include "house.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "cancels.h"
#include "changes.h"
#include "fakeio.h"
#include "notes.h"
#include "serve/worker.h"
#include "serve/reaper.h"
#include "serve/survey.h"

#define WORKERS_MAX 4

const char *const database_names[] = { "app", "named", "sess", "stat" };
const size_t database_count = sizeof database_names / sizeof *database_names;

static struct house *house;
static struct loop *keeper_loop;
static struct mailbox *keeper_mailbox;
static time_us due[WORKERS_MAX];
static time_us slowness; /* how late a worker may be */
static bool passwords, keeper_due, between_due;
static struct limits limits;

/* What stays the same over reloads. */
static struct {
	unsigned workers, prepared, clients, origin_clients, origin_login_rate, origin_servers;
	bool fair;
	bool transparent;          /* else only what the protocol tells */
	unsigned monitor_interval; /* 0: there is no monitor */
	bool two_names; /* the one PostgreSQL is known by its name too: each monitor takes the servers of the other's pools for others */
	bool prepares;
	unsigned names_max; /* client_statements_max */
	bool removes;       /* a RELOAD may take an entry of [databases] away, and bring it back */
	int greets;         /* whose connect_query may make its servers useless; 0: nobody's */
} fixed;

/* Of databases that come and go and of connect_query, so that all else is drawn as without. */
static struct rng dice;
static int missing; /* which has no entry; -1: none */

/* ---- turns ---- */

static void turn(void *who, uint64_t i);

static void schedule(uint64_t i, time_us when)
{
	if (due[i] != 0 && due[i] <= when)
		return;
	due[i] = when;
	world_at(when, turn, NULL, i);
}

/* Threads have their turns at the same time. Here it is so where it matters most: a RELOAD that leads elsewhere, and what the first worker does
 * about it, fall into the turn of another, which goes by the old configuration to its end. */
static void reload_between(struct loop *loop)
{
	if (!between_due || !world.in_house || loop == house->workers[0]->loop || house->workers[0]->stop ||
		!chance(500))
		return;
	between_due = false;
	world.in_house = false;
	house_reload();
	world.in_house = true;
	due[0] = 0;
	worker_turn(house->workers[0]);
	schedule(0, world.now + 1);
}

static void turn(void *who, uint64_t i)
{
	struct worker *w;
	time_us deadline;

	(void)who;
	if (!house || due[i] == 0 || world.now < due[i])
		return;
	due[i] = 0;
	w = house->workers[i];
	if (w->stop)
		return;
	world.in_house = true;
	worker_turn(w);
	world.in_house = false;
	if (w->stop)
		return;
	judge_step();
	if (loop_has_more(w->loop))
		schedule(i, world.now + between(1, 10));
	deadline = worker_deadline(w);
	if (deadline)
		schedule(i, deadline > world.now ? deadline : world.now + 1);
}

static void keeper_reads(void *who, uint64_t what)
{
	struct letter *letter;

	(void)who;
	(void)what;
	keeper_due = false;
	while (house && (letter = mailbox_take(keeper_mailbox))) {
		struct letter_command *command = (struct letter_command *)(void *)letter;
		struct letter_reply *reply;

		if (letter->kind == LETTER_SURVEY || letter->kind == LETTER_REAP) {
			if (letter->kind == LETTER_SURVEY)
				survey_judge(house, letter, world.now);
			else
				survey_reaped(house, letter);
			continue;
		}
		if (letter->kind != LETTER_COMMAND) {
			free(letter);
			continue;
		}
		reply = command->reply;
		if (command->command == COMMAND_RELOAD) {
			if (chance(200)) {
				reply->ok = false;
				text_copy(reply->problem, sizeof reply->problem, "the file is broken");
			} else {
				house_reload();
			}
		} else if (command->command == COMMAND_SET) {
			struct secrets *secrets;
			struct config *old = house_config(house, &secrets), *config;

			config = config_with(old, command->key, command->value, reply->problem, sizeof reply->problem);
			config_drop(old);
			reply->ok = config != NULL;
			if (config)
				house_configure(house, config, secrets, (struct tls_pair){ 0 });
			else
				secrets_drop(secrets);
		}
		mailbox_post(house->workers[command->asker.worker]->mailbox, &reply->letter);
		free(letter);
	}
}

static void loop_woken(struct loop *loop)
{
	if (loop == keeper_loop) {
		if (!keeper_due)
			world_after(between(1, 5000), keeper_reads, NULL, 0);
		keeper_due = true;
		return;
	}
	for (uint32_t i = 0; house && i < house->worker_count; i++)
		if (house->workers[i]->loop == loop)
			schedule(i, world.now + between(0, chance(50) ? slowness : 5));
}

/* ---- the configuration ---- */

static unsigned of(unsigned a, unsigned b, unsigned c, unsigned d)
{
	const unsigned list[] = { a, b, c, d };

	return list[pick(4)];
}

/* A comment in its place. */
static const char *without(int database)
{
	return database == missing ? "; " : "";
}

/* What the entry of this database has besides. */
static const char *greeting(int database, bool any)
{
	static const char *const useless[] = { " connect_query='FAIL \"greets\"'", " connect_query='BEGIN'",
		" connect_query='DIE'", " connect_query='SELECT pg_sleep(20000,\"greets\")'" };

	if (fixed.greets == database && rng_chance(&dice, 500))
		return useless[rng_below(&dice, sizeof useless / sizeof *useless)];
	return any ? " connect_query='select 1'" : "";
}

/* As the others': "". */
static const char *size_of_named(void)
{
	static char text[40];

	text[0] = 0;
	if (limits.named_size)
		snprintf(text, sizeof text, " pool_size=%u", limits.named_size);
	return text;
}

static struct config *configure(void)
{
	char text[4000], error[500];
	struct config_source source = { .manner = MANNER_PGWEIR };
	struct config *config;
	size_t n = 0;

	limits = (struct limits){
		.pool_size = fixed.monitor_interval ? of(1, 3, 6, 10) : of(1, 2, 3, 6),
		.reserve = of(0, 0, 1, 2),
		.database_max = of(0, 0, 3, 6),
		.user_max = of(0, 0, 0, 5),
		/* Where nothing depends on origins, who waits is of none: a limit that comes then does not bind it. */
		.origin_servers_max = fixed.fair ? of(0, 0, 1, 2) : fixed.origin_servers,
		.origin_clients_max = fixed.origin_clients,
		.fair = fixed.fair,
		.transparent = fixed.transparent,
		.query_wait_timeout = (time_us)of(0, 120, 120, 20) * SECOND_US,
		.login_timeout = (time_us)of(60, 60, 120, 300) * SECOND_US,
		.query_timeout = (time_us)of(0, 0, 0, world.plain ? 0 : 2) * SECOND_US,
		.idle_transaction_timeout = (time_us)of(0, 0, 0, world.plain ? 0 : 3) * SECOND_US,
		.transaction_timeout = (time_us)of(0, 0, 0, world.plain ? 0 : 5) * SECOND_US,
		.client_idle_timeout = (time_us)of(0, 0, 0, world.plain ? 0 : 4) * SECOND_US,
	};
	if (world.plain)
		limits.query_wait_timeout = 0, limits.login_timeout = 3000 * SECOND_US;
	if (house)
		changes_draw();
	limits.named_size = changes_size();
	missing = house && fixed.removes && rng_chance(&dice, 400) ? (int)rng_below(&dice, database_count) : -1;
#define LINE(...) n += (size_t)snprintf(text + n, sizeof text - n, __VA_ARGS__)
	/* At 10.0.0.254 nobody is. What is at several hosts is bounded by no budget. */
	LINE("[databases]\n%sapp = %s\n", without(0), notes_place());
	LINE("%snamed = host=%s pool_mode=%s%s%s\n", without(1),
		!fixed.two_names      ? "10.0.0.1"
			: world.plain ? "db.sim"
			: chance(500) ? "db.sim"
			: chance(500) ? "10.0.0.254,db.sim,10.0.0.1 port=,5432,5432"
				      : "10.0.0.1,10.0.0.254 load_balance_hosts=disable",
		changes_mode(1), size_of_named(), greeting(1, false));
	LINE("%ssess = host=10.0.0.1 port=5432 pool_mode=%s%s\n", without(2), changes_mode(2), greeting(2, false));
	LINE("%sstat = host=10.0.0.1 port=5432 pool_mode=%s%s\n", without(3), changes_mode(3),
		greeting(3, chance(300)));
	LINE("[pgbouncer]\nlisten_port=6432\nunix_socket_dir=\npool_mode=%s\n%s", changes_mode(0), changes_reset());
	LINE("auth_type=%s\nadmin_users=admin\n", passwords ? "plain" : "any");
	LINE("default_pool_size=%u\nreserve_pool_size=%u\nreserve_pool_timeout=%u\nmin_pool_size=%u\n",
		limits.pool_size, limits.reserve, of(0, 1, 1, 3), of(0, 0, 0, 1));
	LINE("max_db_connections=%u\nmax_user_connections=%u\nmax_client_conn=%u\n", limits.database_max,
		limits.user_max, fixed.clients);
	LINE("query_wait_timeout=%lld\nclient_login_timeout=%lld\nquery_timeout=%lld\nidle_transaction_timeout=%lld\n",
		(long long)(limits.query_wait_timeout / SECOND_US), (long long)(limits.login_timeout / SECOND_US),
		(long long)(limits.query_timeout / SECOND_US),
		(long long)(limits.idle_transaction_timeout / SECOND_US));
	LINE("transaction_timeout=%lld\nclient_idle_timeout=%lld\nquery_wait_notify=%u\n",
		(long long)(limits.transaction_timeout / SECOND_US),
		(long long)(limits.client_idle_timeout / SECOND_US), of(0, 1, 5, 5));
	LINE("server_idle_timeout=%u\nserver_lifetime=%u\nserver_check_delay=%u\nserver_connect_timeout=%u\nserver_login_retry=%u\n",
		of(0, 1, 5, 600), of(0, 2, 3600, 3600), of(0, 1, 30, 30), of(5, 15, 15, 15), of(0, 1, 2, 15));
	LINE("transparency=%s\n", fixed.transparent ? "full" : "protocol");
	LINE("max_prepared_statements=%u\nserver_orphan_timeout=%u\nserver_round_robin=%u\nworkers=%u\n",
		fixed.prepared, of(1, 10, 60, 60), of(0, 0, 0, 1), fixed.workers);
	LINE("leak_interval=%s\nleak_quiet=%s\nleak_hold=%s\nleak_action=%s\n", chance(500) ? "1" : "0.2",
		chance(500) ? "5" : "0.02", chance(500) ? "30" : "0.05",
		chance(500)           ? "observe"
			: chance(700) ? "reclaim"
				      : "notice");
	LINE("reap_pressure=%u\nreap_relief=%u\nreap_grace=%u\n", of(0, 0, 1, 80), of(0, 0, 0, 60), of(0, 0, 1, 30));
	/* What is longer than statement_text_max counts for less. */
	LINE("cancel_wait_timeout=%u\nstatement_text_max=%u\nclient_statements_max=%u\nlog_connections=0\n",
		of(0, 5, 10, 10), fixed.names_max ? 1048576 : of(100, 1048576, 1048576, 1048576), fixed.names_max);
	LINE("origin_fairness=%s\nmax_origin_servers=%u\nmax_origin_clients=%u\norigin_login_rate=%u\n",
		fixed.fair ? "on" : "off", limits.origin_servers_max, fixed.origin_clients, fixed.origin_login_rate);
	LINE("origin_weights=%s\n", limits.origin_servers_max ? "" : "*=3");
	LINE("monitor_interval=%u\nmonitor_user=%s\n", fixed.monitor_interval, passwords ? "" : "anna");
	limits.budget = fixed.monitor_interval > 0 && chance(800);
	LINE("server_budget=%s\n", limits.budget ? "auto" : "off");
	limits.budget = limits.budget && !cluster.forbids && !fixed.two_names;
	n += cancels_peers_lines(text + n, sizeof text - n);
	check(n < sizeof text);
	source.text = span_of(text, n);
	config = config_parse(&source, error, sizeof error);
	if (!config)
		broken("the simulator's configuration is right", "%s", error);
	return config;
}

bool house_is_transparent(void)
{
	return fixed.transparent;
}

bool house_prepares(void)
{
	return fixed.prepares;
}

unsigned house_names_max(void)
{
	return fixed.names_max;
}

bool house_is_monitored(void)
{
	return fixed.monitor_interval > 0;
}

bool house_wants_passwords(void)
{
	return passwords;
}

void house_reload(void)
{
	struct config *config = configure();

	story("keeper: reloads: pool_size %u + %u, per database %u, per user %u", limits.pool_size, limits.reserve,
		limits.database_max, limits.user_max);
	judge_limits(&limits);
	judge_removed(missing < 0 ? NULL : database_names[missing]);
	if (missing >= 0)
		story("keeper: there is no database %s", database_names[missing]);
	cluster.readings = 0;
	cluster.steady_at = 0;
	house_configure(house, config, passwords ? changes_users() : NULL, (struct tls_pair){ 0 });
}

void house_reload_between(void)
{
	between_due = house->worker_count > 1;
	if (!between_due)
		house_reload();
}

static void log_to_story(enum log_level level, const char *line)
{
	(void)level;
	story("log: %s", line);
}

void house_begin(void)
{
	struct house_setup setup = { .descriptor_limit = 20000 };
	struct address address;
	char error[200];
	bool newer;

	hash_set_key(rng_next(&world.rng), rng_next(&world.rng));
	log_set_sink(log_to_story);
	log_set_level(LOG_LOG);
	fakeio_begin(loop_woken, reload_between);
	memset(due, 0, sizeof due);
	keeper_due = between_due = false;
	house = NULL;
	passwords = chance(200);
	slowness = chance(300) ? 20 * MILLISECOND_US : 500;
	fixed.workers = 1 + (unsigned)pick(3);
	fixed.prepared = of(2, 4, 20, 200);
	fixed.prepares = true;
	fixed.names_max = of(0, 0, 600, 1100);
	fixed.monitor_interval = chance(500) ? of(1, 1, 1, 5) : 0;
	fixed.two_names = !house_is_monitored() || chance(300) || notes_move();
	if (house_is_monitored()) {
		/* Under two names one pool may wait for what idles under the other: there must be room for both. */
		cluster.usual = !fixed.two_names && chance(700) ? (unsigned)between(6, 16) : 100;
		cluster_room(cluster.usual);
		cluster_others((unsigned)pick(4));
		cluster.hides = chance(200);
		cluster.forbids = chance(100);
	}
	fixed.clients = of(0, 100, 10, 20);
	fixed.origin_clients = of(0, 0, 0, 6);
	fixed.origin_login_rate = of(0, 0, 0, 10);
	fixed.fair = chance(700);
	fixed.transparent = chance(700) || notes_move();
	fixed.origin_servers = of(0, 0, 1, 2);
	rng_seed(&dice, world.seed ^ UINT64_C(0x52454d4f5645));
	missing = -1;
	changes_begin(passwords);
	/* In session mode names are the server's. */
	if (changes_modes())
		fixed.names_max = 0;
	fixed.removes = !world.plain && rng_chance(&dice, 300);
	fixed.greets = !world.plain && rng_chance(&dice, 300) ? 1 + (int)rng_below(&dice, database_count - 1) : 0;
	/* Since 17 each login is asked what its event triggers have set. */
	newer = rng_chance(&dice, 500);
	setting_version(!newer ? "15.8" : changes_newest() ? "18.1" : "17.6");
	changes_trigger(newer);
	judge_greets(database_names[fixed.greets]);
	keeper_loop = loop_new(ENGINE_EPOLL);
	keeper_mailbox = mailbox_new(keeper_loop);
	setup.config = configure();
	setup.secrets = passwords ? changes_users() : NULL;
	setup.workers = fixed.workers;
	if (passwords)
		cluster.cleartext = chance(700);
	story("configured: %u workers, pool_size %u + %u, per database %u, per user %u, clients %u, prepared %u%s%s%s",
		fixed.workers, limits.pool_size, limits.reserve, limits.database_max, limits.user_max, fixed.clients,
		fixed.prepared, passwords ? ", passwords" : "", fixed.fair ? ", fair" : "",
		limits.budget ? ", a budget" : "");
	house = house_new(&setup);
	check(house);
	house->keeper_mailbox = keeper_mailbox;
	address_of_number(0x0a000009, 6432, &address);
	check(house_listen(house, &address, &(struct listen_setup){ .backlog = 128 }, error, sizeof error));
	house_open_doors(house, true, true);
	judge_begin(house, &limits);
	for (uint64_t i = 0; i < house->worker_count; i++)
		schedule(i, world.now + 1);
}

void house_unblock(void)
{
	struct event event = { .now = world.now, .database = NO_DATABASE };

	changes_settle();
	if (missing >= 0 || fixed.greets || changes_any()) {
		fixed.removes = false;
		fixed.greets = 0;
		house_reload();
	}
	event.kind = EVENT_RESUME;
	house_step(house, &event);
	for (database_id i = 0; i < core_databases(house->core); i++) {
		event.database = i;
		event.kind = EVENT_RESUME;
		house_step(house, &event);
		event.kind = EVENT_ENABLE;
		house_step(house, &event);
	}
}

void house_end(void)
{
	struct letter *letter;
	bool busy = true;

	story("the house stops");
	house_stop(house);
	while (busy) {
		busy = false;
		for (uint32_t i = 0; i < house->worker_count; i++) {
			if (worker_is_done(house->workers[i]))
				continue;
			worker_turn(house->workers[i]);
			busy = true;
		}
	}
	resolver_stop();
	house_sweep(house);
	while ((letter = mailbox_take(keeper_mailbox))) {
		if (letter->kind == LETTER_SURVEY)
			survey_letter_free(letter);
		else if (letter->kind == LETTER_REAP)
			reaper_letter_free((struct letter_reap *)(void *)letter);
		else {
			if (letter->kind == LETTER_COMMAND)
				free(((struct letter_command *)(void *)letter)->reply);
			free(letter);
		}
	}
	house_free(house);
	house = NULL;
	mailbox_free(keeper_mailbox);
	loop_free(keeper_loop);
	if (world.live != 0)
		broken("everything is freed at the end", "%llu allocations are left", (unsigned long long)world.live);
}
