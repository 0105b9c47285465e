/* Where a cancel request goes.
 *
 *   a client's cancel -> any worker of any peer --- its key names us ------> the worker that has the client (LETTER_CANCEL)
 *                               |
 *                               +-- it names a peer --> the first worker (LETTER_FORWARD) -> courier -> that peer
 *
 * A courier is a connection to a peer that carries one request; its end says that the peer has done what there was to do, and then the
 * connection that brought the request ends too, here as there. No more than the peer's pool_size are under way at once; who comes then
 * waits for one of them. It speaks no TLS, as PgBouncer's do not: a peer takes a cancel request from anybody.
 *
 *   WAITS -- there is room --> DIALS -- connected --> SAID -- the peer closed --> gone
 *
 * Each of these ends after cancel_wait_timeout at the latest. */
#include "serve/peering.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/line.h"
#include "serve/seats.h"

/* Lookups of couriers are told from those of monitors and ears by their number: see struct line. */
#define NUMBERS_FROM (1u << 30)

/* Strangers may send requests for any peer: each costs what its connection costs, and this. */
#define WAITING_MAX 1024

enum courier_state { COURIER_WAITS, COURIER_DIALS, COURIER_SAID };

struct courier {
	struct line line;
	enum courier_state state;
	struct courier *next;
	struct peer_pool *pool;
	struct timer timer;
	struct client_ref asker;
	char host[256];
	uint32_t process_id;
	uint8_t secret[256];
	size_t secret_length;
};

struct peer_pool {
	struct peer_pool *next;
	uint32_t id;
	uint32_t waiting, dialing, said;
	time_us complained;               /* when a failure was last logged */
	struct courier *couriers, **last; /* oldest first */
};

struct peering {
	struct peer_pool *pools;
	uint32_t number;
};

/* ---- in any worker ---- */

uint32_t peering_name(struct guest *guest)
{
	uint16_t random;

	entropy_fill(&random, sizeof random);
	cancel_hops_fill(guest->secret);
	return cancel_peer_process((uint32_t)guest->worker->config->peer_id, random);
}

static bool pass_on(struct guest *asker, uint32_t process_id, struct span secret)
{
	struct letter_forward *letter = calloc(1, sizeof *letter);

	if (!letter)
		return false;
	letter->letter.kind = LETTER_FORWARD;
	letter->asker = guest_ref(asker);
	letter->peer = cancel_peer(process_id);
	letter->process_id = process_id;
	letter->secret_length = secret.length;
	memcpy(letter->secret, secret.at, secret.length);
	worker_post(asker->worker, 0, &letter->letter);
	return true;
}

static bool post(struct guest *asker, uint32_t worker, uint32_t slot, uint32_t process_id, struct span secret)
{
	struct letter_cancel *letter = calloc(1, sizeof *letter);

	if (!letter)
		return false;
	letter->letter.kind = LETTER_CANCEL;
	letter->slot = slot;
	letter->process_id = process_id;
	letter->secret_length = secret.length;
	memcpy(letter->secret, secret.at, secret.length);
	letter->asker = guest_ref(asker);
	worker_post(asker->worker, worker, &letter->letter);
	return true;
}

const char *cancel_route(struct guest *asker)
{
	static const char no_memory[] = "cancel request: out of memory";
	const struct client_facts *facts = client_facts(asker->login);
	struct house *house = asker->worker->house;
	const struct config *config = asker->worker->config;
	uint32_t process = facts->cancel_process, peer = cancel_peer(process), worker, slot;
	uint8_t secret[256];
	struct span own = span_of(secret, facts->cancel_secret.length);
	struct client_ref seated;
	const char *problem = NULL;

	check(own.length >= 4 && own.length <= sizeof secret);
	memcpy(secret, facts->cancel_secret.at, own.length);
	/* Peers may have taken hops away; a key of ours that knows of none is looked for as it is. */
	if (!seats_find(house->seats, process, own, &seated)) {
		cancel_hops_fill(secret);
		if (!seats_find(house->seats, process, own, &seated))
			seated.worker = UINT32_MAX;
	}
	if (seated.worker != UINT32_MAX) {
		if (!post(asker, seated.worker, seated.client.slot, process, own))
			problem = no_memory;
	} else if (config->peer_id > 0 && peer != (uint32_t)config->peer_id && config_peer(config, peer)) {
		memcpy(secret, facts->cancel_secret.at, own.length);
		if (!cancel_hop(secret))
			problem = "cancel request for a peer, which was passed on too often";
		else if (!pass_on(asker, process, own))
			problem = no_memory;
	} else if (cancel_locate(process, &worker, &slot) && worker < house->worker_count) {
		if (!post(asker, worker, slot, process, facts->cancel_secret))
			problem = no_memory;
	} else {
		problem = "cancel request for nobody who is here";
	}
	secret_wipe(secret, sizeof secret);
	return problem;
}

/* ---- couriers, in the first worker ---- */

static struct peer_pool *pool_of(struct worker *worker, uint32_t id)
{
	struct peer_pool *pool;

	if (!worker->peering)
		worker->peering = calloc(1, sizeof *worker->peering);
	if (!worker->peering)
		return NULL;
	for (pool = worker->peering->pools; pool; pool = pool->next)
		if (pool->id == id)
			return pool;
	pool = calloc(1, sizeof *pool);
	if (!pool)
		return NULL;
	pool->id = id;
	pool->last = &pool->couriers;
	pool->next = worker->peering->pools;
	worker->peering->pools = pool;
	return pool;
}

static uint32_t *count_of(struct courier *courier)
{
	switch (courier->state) {
	case COURIER_WAITS:
		break;
	case COURIER_DIALS:
		return &courier->pool->dialing;
	case COURIER_SAID:
		return &courier->pool->said;
	}
	return &courier->pool->waiting;
}

static void change(struct courier *courier, enum courier_state state)
{
	check(*count_of(courier) > 0 && state == courier->state + 1);
	(*count_of(courier))--;
	courier->state = state;
	(*count_of(courier))++;
}

/* Whoever brought the request need not wait any more. */
static void end(struct courier *courier)
{
	struct peer_pool *pool = courier->pool;
	struct worker *worker = courier->line.worker;
	struct courier **at = &pool->couriers;

	while (*at != courier)
		at = &(*at)->next;
	*at = courier->next;
	if (!courier->next)
		pool->last = at;
	(*count_of(courier))--;
	timer_clear(&worker->timers, &courier->timer);
	line_close(&courier->line);
	guest_cancelled(worker, courier->asker);
	secret_wipe(courier->secret, sizeof courier->secret);
	free(courier);
}

/* Strangers can make it fail as often as they like: one line a second. */
static void complain(struct courier *courier, const char *problem)
{
	struct peer_pool *pool = courier->pool;
	struct worker *worker = courier->line.worker;

	if (pool->complained && worker->now < pool->complained + SECOND_US)
		return;
	pool->complained = worker->now;
	log_line(LOG_WARNING, "a cancel request could not be passed on to peer %u: %s", pool->id, problem);
}

/* Those who wait begin, as far as there is room; one that fails at once makes room for the next. */
static void dispatch(struct worker *worker, struct peer_pool *pool)
{
	const struct peer_settings *peer = config_peer(worker->config, pool->id);
	int size = peer ? config_peer_size(worker->config, peer) : 0;
	struct courier *courier;

	while (peer && pool->waiting > 0 && (size <= 0 || pool->dialing + pool->said < (uint32_t)size)) {
		courier = pool->couriers;
		while (courier->state != COURIER_WAITS)
			courier = courier->next;
		change(courier, COURIER_DIALS);
		text_copy(courier->host, sizeof courier->host, peer->host);
		courier->line.port = (uint16_t)peer->port;
		if (line_dial(&courier->line, courier->host) == LINE_FAILED) {
			complain(courier, courier->line.problem);
			end(courier);
		}
	}
}

static void fail(struct courier *courier, const char *problem)
{
	struct worker *worker = courier->line.worker;
	struct peer_pool *pool = courier->pool;

	if (problem)
		complain(courier, problem);
	end(courier);
	dispatch(worker, pool);
}

void peering_take(struct worker *worker, struct letter_forward *letter)
{
	struct peer_pool *pool = config_peer(worker->config, letter->peer) ? pool_of(worker, letter->peer) : NULL;
	struct courier *courier = pool && pool->waiting < WAITING_MAX ? calloc(1, sizeof *courier) : NULL;

	if (!courier) {
		guest_cancelled(worker, letter->asker);
		goto done;
	}
	courier->line.party = PARTY_COURIER;
	courier->line.worker = worker;
	courier->line.plain = true;
	courier->line.number = NUMBERS_FROM + worker->peering->number++ % NUMBERS_FROM;
	courier->pool = pool;
	courier->asker = letter->asker;
	courier->process_id = letter->process_id;
	courier->secret_length = letter->secret_length;
	memcpy(courier->secret, letter->secret, letter->secret_length);
	timer_init(&courier->timer, PARTY_COURIER);
	if (worker->config->cancel_wait_timeout > 0)
		timer_set(&worker->timers, &courier->timer, worker->now + worker->config->cancel_wait_timeout);
	*pool->last = courier;
	pool->last = &courier->next;
	pool->waiting++;
	dispatch(worker, pool);
done:
	secret_wipe(letter, sizeof *letter);
	free(letter);
}

static void take_edge(struct courier *courier, enum line_edge edge)
{
	if (edge == LINE_FAILED)
		fail(courier, courier->line.problem);
}

void peering_resolved(struct worker *worker, const struct resolve_letter *letter)
{
	uint32_t number = (uint32_t)(uintptr_t)letter->context;
	struct peer_pool *pool = worker->peering ? worker->peering->pools : NULL;
	struct courier *courier;

	for (; pool; pool = pool->next)
		for (courier = pool->couriers; courier; courier = courier->next)
			if (courier->state == COURIER_DIALS && courier->line.number == number) {
				take_edge(courier, line_resolved(&courier->line, letter));
				return;
			}
}

static void say(struct courier *courier)
{
	struct buf message = { 0 };
	struct writer w = writer_to(&message);
	struct piece piece;
	bool ok;

	message_cancel(&w, courier->process_id, span_of(courier->secret, courier->secret_length));
	piece = (struct piece){ message.at + message.start, message.length };
	ok = writer_ok(&w) && stream_write(courier->line.stream, &piece, 1);
	buf_wipe(&message);
	if (ok)
		change(courier, COURIER_SAID);
	else
		fail(courier, "out of memory");
}

void courier_take(struct courier *courier, const struct completion *done)
{
	if (done->kind == DONE_CONNECTED)
		say(courier);
	else if (done->kind == DONE_BYTES)
		stream_consume(done->stream, done->bytes.length);
	else if (done->kind == DONE_ENDED && courier->state == COURIER_DIALS)
		take_edge(courier, line_ended(&courier->line, done->error));
	else if (done->kind == DONE_ENDED)
		fail(courier, NULL);
}

void courier_rings(struct timer *timer)
{
	fail(link_owner(timer, struct courier, timer), "cancel_wait_timeout is over");
}

/* ---- the rest ---- */

/* Requests to a peer that is gone from the file end; so does its pool. */
void peering_configure(struct worker *worker)
{
	struct peer_pool **at = worker->peering ? &worker->peering->pools : NULL, *pool;

	while (at && (pool = *at)) {
		dispatch(worker, pool);
		if (config_peer(worker->config, pool->id)) {
			at = &pool->next;
			continue;
		}
		while (pool->couriers)
			end(pool->couriers);
		*at = pool->next;
		free(pool);
	}
}

void peering_visit(struct worker *worker, struct snapshot *snapshot)
{
	const struct config *config = worker->config;
	const struct peer_pool *pool;
	size_t count = 0;

	snapshot->peers = calloc(config->peer_count + 1, sizeof *snapshot->peers);
	for (size_t i = 0; snapshot->peers && i < config->peer_count; i++) {
		struct peer_row *row = &snapshot->peers[snapshot->peer_count++];

		row->id = config->peers[i].id;
		text_copy(row->host, sizeof row->host, config->peers[i].host);
		row->port = config->peers[i].port;
		row->pool_size = config_peer_size(config, &config->peers[i]);
	}
	for (pool = worker->peering ? worker->peering->pools : NULL; pool; pool = pool->next)
		count++;
	snapshot->peer_pools = calloc(count + 1, sizeof *snapshot->peer_pools);
	for (pool = count && snapshot->peer_pools ? worker->peering->pools : NULL; pool; pool = pool->next)
		snapshot->peer_pools[snapshot->peer_pool_count++] = (struct peer_pool_row){
			.id = (int)pool->id,
			.cancels_active = pool->said,
			.cancels_waiting = pool->waiting + pool->dialing,
			.connections_active = pool->said,
			.connections_login = pool->dialing,
		};
}

void peering_fini(struct worker *worker)
{
	struct peer_pool *pool;

	while (worker->peering && (pool = worker->peering->pools)) {
		while (pool->couriers)
			end(pool->couriers);
		worker->peering->pools = pool->next;
		free(pool);
	}
	free(worker->peering);
	worker->peering = NULL;
}
