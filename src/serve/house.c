/* What all threads share, and how it comes and goes. */
#include "serve/ears.h"
#include "serve/house.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/pace.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/http.h"
#include "serve/catalogs.h"
#include "serve/lookups.h"
#include "serve/mail.h"
#include "serve/places.h"
#include "serve/seats.h"
#include "serve/survey.h"
#include "serve/worker.h"

/* Descriptors that no client may take: console, listeners, loops, log, cancels. */
#define DESCRIPTORS_ASIDE 128
#define SERVERS_MOST      8192

static void core_rules_of(const struct config *config, struct core_rules *rules)
{
	*rules = (struct core_rules){
		.limit_counts = config->client_limit_counts == LIMIT_ALL ? COUNT_ALL : COUNT_BUSY,
		.clients_max = (uint32_t)config->max_client_conn,
		.round_robin = config->server_round_robin,
		.server_idle_timeout = config->server_idle_timeout,
		.login_retry = config->server_login_retry,
		.check_delay = config->server_check_delay,
		.reserve_timeout = config->reserve_pool_timeout,
		.orphan_timeout = config->server_orphan_timeout,
		.check_on = config->server_check_on,
		.pool_idle_timeout = config->pool_idle_timeout,
		.autodb_idle_timeout = config->autodb_idle_timeout,
		.origin_clients_max = (uint32_t)config->max_origin_clients,
		.origin_login_rate = (uint32_t)config->origin_login_rate,
	};
}

struct house *house_new(const struct house_setup *setup)
{
	struct house *house = calloc(1, sizeof *house);
	struct core_setup core = { .workers = setup->workers };
	struct effects none = { 0 };
	struct core_rules rules;
	uint64_t aside;
	uint32_t i;

	if (!house)
		return NULL;
	entropy_fill(house->process_random, sizeof house->process_random);
	house->config = setup->config;
	house->secrets = setup->secrets;
	house->tls = setup->tls;
	house->started_wall = clock_wall();
	house->descriptor_limit = setup->descriptor_limit;
	core.servers_max = (uint32_t)(setup->descriptor_limit / 4 < SERVERS_MOST ? setup->descriptor_limit / 4
										 : SERVERS_MOST);
	aside = DESCRIPTORS_ASIDE + (setup->config->http_listen[0] ? HTTP_CONNECTIONS : 0);
	if (setup->descriptor_limit <= 4 * aside)
		aside = setup->descriptor_limit / 4;
	house->clients_aside = (uint32_t)(aside / 2);
	house->clients_max = (uint32_t)(setup->descriptor_limit - aside - house->clients_aside);
	atomic_init(&house->generation, 1);
	ears_mark_init(house);
	origins_init(&house->origins, setup->workers);
	house->lock = lock_new();
	house->core = core_new(&core);
	house->params = params_book_new();
	house->statements = statement_book_new(setup->config->manner == MANNER_PGBOUNCER ? "PGBOUNCER_" : "PGWEIR_");
	house->catalogs = catalogs_new();
	house->seats = seats_new();
	house->paces = paces_new();
	house->lookups = lookups_new();
	house->workers = calloc(setup->workers, sizeof *house->workers);
	if (!house->lock || !house->core || !house->params || !house->statements || !house->catalogs || !house->seats ||
		!house->paces || !house->lookups || !house->workers)
		goto refused;
	core_rules_of(setup->config, &rules);
	core_set_rules(house->core, &rules, clock_now(), &none);
	effects_fini(&none);
	for (i = 0; i < setup->workers; i++) {
		house->workers[i] = worker_new(house, i);
		if (!house->workers[i])
			goto refused;
		house->worker_count++;
	}
	for (i = 0; i < setup->workers; i++)
		worker_start(house->workers[i]);
	return house;
refused:
	house_free(house);
	return NULL;
}

void house_free(struct house *house)
{
	uint32_t i;

	if (!house)
		return;
	for (i = 0; i < house->worker_count; i++)
		worker_free(house->workers[i]);
	free(house->workers);
	for (i = 0; i < house->listener_count; i++)
		listener_close(&house->listeners[i]);
	listener_close(&house->back_door);
	core_free(house->core);
	survey_fini(house);
	origins_fini(&house->origins);
	house_welcomes_fini(house);
	house_hosts_fini(house);
	catalogs_free(house->catalogs);
	places_fini(house);
	seats_free(house->seats);
	paces_free(house->paces);
	lookups_free(house->lookups);
	statement_book_free(house->statements);
	params_book_free(house->params);
	config_drop(house->config);
	secrets_drop(house->secrets);
	tls_pair_drop(&house->tls);
	lock_free(house->lock);
	free(house);
}

struct config *house_config(struct house *house, struct secrets **secrets)
{
	struct config *config;

	lock_take(house->lock);
	config = config_keep(house->config);
	if (secrets)
		*secrets = house->secrets ? secrets_keep(house->secrets) : NULL;
	lock_drop(house->lock);
	return config;
}

struct tls_pair house_tls(struct house *house)
{
	struct tls_pair tls;

	lock_take(house->lock);
	tls = tls_pair_keep(&house->tls);
	lock_drop(house->lock);
	return tls;
}

/* The first one last: what it does about a new configuration holds for all, and so each of them has the word of it when that is done. */
static void tell_workers(struct house *house, enum letter_kind kind)
{
	for (uint32_t i = house->worker_count; i-- > 0;) {
		struct letter *letter = calloc(1, sizeof *letter);

		check(letter);
		letter->kind = kind;
		mailbox_post(house->workers[i]->mailbox, letter);
	}
}

/* Everything in the list goes to its worker by mail; the list is freed. */
static void mail_effects(struct house *house, struct effects *effects)
{
	size_t i;

	for (i = 0; i < effects->count; i++) {
		struct letter_effect *letter = malloc(sizeof *letter);

		check(letter);
		letter->letter.kind = LETTER_EFFECT;
		letter->effect = effects->list[i];
		mailbox_post(house->workers[effects->list[i].worker]->mailbox, &letter->letter);
	}
	effects_fini(effects);
}

void house_configure(struct house *house, struct config *config, struct secrets *secrets, struct tls_pair tls)
{
	struct effects effects = { 0 };
	struct core_rules rules;
	struct config *old;
	struct secrets *old_secrets;
	struct tls_pair old_tls;

	core_rules_of(config, &rules);
	lock_take(house->lock);
	old = house->config;
	old_secrets = house->secrets;
	old_tls = house->tls;
	house->config = config;
	house->secrets = secrets;
	house->tls = tls;
	atomic_fetch_add(&house->generation, 1);
	core_set_rules(house->core, &rules, clock_now(), &effects);
	origins_weigh(&house->origins, config);
	lock_drop(house->lock);
	config_drop(old);
	secrets_drop(old_secrets);
	tls_pair_drop(&old_tls);
	mail_effects(house, &effects);
	tell_workers(house, LETTER_CONFIG);
}

void house_step(struct house *house, const struct event *event)
{
	struct effects effects = { 0 };

	lock_take(house->lock);
	core_step(house->core, event, &effects);
	lock_drop(house->lock);
	mail_effects(house, &effects);
	tell_workers(house, LETTER_WAKE);
}

void house_sweep(struct house *house)
{
	uint32_t i;

	for (i = 0; i < house->worker_count; i++)
		worker_sweep(house->workers[i]);
}

void house_stop(struct house *house)
{
	if (!atomic_exchange(&house->stopping, true))
		tell_workers(house, LETTER_STOP);
}

uint32_t house_number(struct house *house)
{
	return (atomic_fetch_add(&house->numbers, 1) & 0x7fffffff) + 1;
}

bool house_is_own_user(const struct address *peer)
{
	return peer && peer->family == ADDRESS_UNIX && peer->process != 0 && peer->user == process_user();
}

struct stream_options house_stream_options(const struct config *config)
{
	return (struct stream_options){
		.keepalive = config->tcp_keepalive,
		.keepidle = config->tcp_keepidle,
		.keepintvl = config->tcp_keepintvl,
		.keepcnt = config->tcp_keepcnt,
		.user_timeout_ms = config->tcp_user_timeout,
		.socket_buffer = config->tcp_socket_buffer,
	};
}

/* ---- listeners ---- */

bool house_listen(struct house *house, const struct address *address, const struct listen_setup *setup, char *error,
	size_t error_size)
{
	struct listener *listener;

	if (house->listener_count == HOUSE_LISTENERS)
		return false;
	listener = listener_open(address, setup, error, error_size);
	if (!listener)
		return false;
	house->listeners[house->listener_count++] = listener;
	return true;
}

bool house_inherit(struct house *house, int fd, const struct listen_setup *setup, char *error, size_t error_size)
{
	struct listener *listener;

	if (house->listener_count == HOUSE_LISTENERS) {
		text_format(error, error_size, "more than %d sockets were handed over", HOUSE_LISTENERS);
		return false;
	}
	listener = listener_inherit(fd, (uint16_t)house->config->listen_port, setup, error, error_size);
	if (listener)
		house->listeners[house->listener_count++] = listener;
	return listener != NULL;
}

void house_take_listener(struct house *house, struct listener *listener)
{
	check(house->listener_count < HOUSE_LISTENERS);
	house->listeners[house->listener_count++] = listener;
}

void house_watch(struct house *house, struct loop *loop, uint64_t *watched, const struct letter_listeners *letter)
{
	uint32_t i;

	for (i = 0; i < house->listener_count; i++) {
		uint64_t bit = UINT64_C(1) << i;
		struct listener *listener;

		if (letter->watch) {
			listener = house->listeners[i];
			if (!(*watched & bit) && listener && listener_watch(listener, loop)) {
				*watched |= bit;
				atomic_fetch_add(&house->watchers[i], 1);
			}
			continue;
		}
		/* Without a watcher here it may be closed by another worker at this moment. */
		if (!(*watched & bit))
			continue;
		listener = house->listeners[i];
		if (!letter->all && listener_address(listener)->family == ADDRESS_UNIX)
			continue;
		listener_unwatch(listener, loop);
		*watched &= ~bit;
		/* The last one closes it, so that newcomers are refused by the kernel and not left waiting; but not before a successor serves. */
		if (atomic_fetch_sub(&house->watchers[i], 1) == 1 && !letter->leaving)
			listener_close(&house->listeners[i]);
	}
}

void house_defer(struct house *house, uint64_t watched, bool defer)
{
	for (uint32_t i = 0; i < house->listener_count; i++)
		if (watched & (UINT64_C(1) << i))
			listener_defer(house->listeners[i], defer);
}

void house_open_doors(struct house *house, bool watch, bool all)
{
	uint32_t i;

	for (i = 0; i < house->worker_count; i++) {
		struct letter_listeners *letter = calloc(1, sizeof *letter);

		check(letter);
		letter->letter.kind = LETTER_LISTENERS;
		letter->watch = watch;
		letter->all = all;
		mailbox_post(house->workers[i]->mailbox, &letter->letter);
	}
}
