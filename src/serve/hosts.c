/* Which of its database's hosts a dial tries, in which order, and what it amounts to when all fail.
 *
 *   hosts in turn --> addresses of its name --> connect, log in --> good: this host is remembered as well
 *        ^                  ^                        |
 *        |                  +--- the next address <--+ it failed; and it is remembered which host did
 *        +----- none is left: the next host <--------+
 *                  none is left: the dial has failed
 *
 * A host that failed within server_login_retry is tried after those that did not, but it is tried: nobody waits for a time to be
 * over because of a host that is there again. With load_balance_hosts = disable a dial begins with the host that was good last, for all
 * workers alike. A refusal that would be the same everywhere (a password, a database that does not exist) ends the dial at once. */
#include "serve/hosts.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "base/text.h"
#include "serve/channel.h"
#include "serve/monitor.h"

/* What all workers know of the hosts of one pool. */
struct hosts {
	uint32_t next; /* with which the next dial begins */
	size_t count;
	time_us failed[HOSTS_MAX]; /* when it last did; 0: it was good since then */
};

struct tries {
	uint8_t order[HOSTS_MAX];
	size_t count, at;    /* order[at] is tried now */
	unsigned generation; /* of the configuration they are from */
	/* What the dial amounts to, if the rest fails as well. */
	bool unsuited; /* a host was there and did not suit */
	bool take_any; /* prefer-standby: there is none, so the second time around any will do */
	enum server_failure failure;
	enum full_of full;
	char sqlstate[6], text[160];
};

/* Under the house's lock. NULL: memory refused. */
static struct hosts *hosts_of(struct house *house, pool_id id, size_t count)
{
	struct hosts **list = array_reach(house->hosts, &house->hosts_capacity, id, sizeof(struct hosts *));

	if (!list)
		return NULL;
	house->hosts = list;
	if (!list[id])
		list[id] = calloc(1, sizeof *list[id]);
	if (list[id] && list[id]->count != count)
		*list[id] = (struct hosts){ .count = count };
	return list[id];
}

/* Those that did not fail lately come first, each kind beginning with the one whose turn it is. */
static void put_in_order(const struct hosts *hosts, struct tries *tries, time_us now, time_us retry)
{
	for (unsigned late = 0; late < 2; late++)
		for (size_t i = 0; i < hosts->count; i++) {
			size_t n = (hosts->next + i) % hosts->count;
			bool failed = hosts->failed[n] && now < hosts->failed[n] + retry;

			if (failed == (late == 1))
				tries->order[tries->count++] = (uint8_t)n;
		}
	check(tries->count == hosts->count);
}

bool tries_begin(struct channel *channel, const struct database_settings *database)
{
	struct worker *worker = channel->worker;
	struct tries *tries = calloc(1, sizeof *tries);
	struct hosts *hosts;

	if (!tries)
		return false;
	lock_take(worker->house->lock);
	hosts = hosts_of(worker->house, channel->pool, database->host_count);
	if (hosts) {
		put_in_order(hosts, tries, worker->now, worker->config->server_login_retry);
		if (!database->hosts_stay)
			hosts->next = (hosts->next + 1) % (uint32_t)hosts->count;
	}
	lock_drop(worker->house->lock);
	if (!hosts) {
		free(tries);
		return false;
	}
	tries->generation = worker->generation;
	channel->tries = tries;
	return true;
}

const struct host *tries_host(const struct channel *channel, const struct database_settings *database)
{
	const struct tries *tries = channel->tries;

	/* A new configuration may have other hosts; then this dial was for nothing. */
	if (!database || database->host_count != tries->count || tries->at >= tries->count)
		return NULL;
	return &database->hosts[tries->order[tries->at]];
}

bool tries_hold(const struct channel *channel, const struct database_settings *database)
{
	const struct host *host = tries_host(channel, database);

	if (channel->tries->generation == channel->worker->generation)
		return true;
	return host && host->port == channel->address.port && strcmp(host->name, channel->host) == 0;
}

bool host_visit(struct channel *channel, const struct database_settings *database, const struct host *host)
{
	struct house *house = channel->worker->house;
	char name[INSTANCE_NAME];
	bool room;

	host_leave(channel);
	if (database->host_count == 1)
		return true;
	host_instance_name(host, name);
	lock_take(house->lock);
	channel->visits = core_instance(house->core, span_text(name));
	room = core_visit(house->core, channel->visits);
	lock_drop(house->lock);
	if (!room)
		channel->visits = NO_INSTANCE;
	return room;
}

void host_leave(struct channel *channel)
{
	struct event event = { .kind = EVENT_VISITOR_LEFT,
		.now = channel->worker->now,
		.worker = channel->worker->index,
		.instance = channel->visits };

	if (channel->visits == NO_INSTANCE)
		return;
	channel->visits = NO_INSTANCE;
	worker_step(channel->worker, &event);
}

/* How much a failure says about when it is worth to try again: that it is full beats that it will be there soon, that beats the rest. */
static unsigned weight_of(enum server_failure failure)
{
	switch (failure) {
	case FAILURE_FULL:
		return 3;
	case FAILURE_TEMPORARY:
	case FAILURE_GREETING:
		return 2;
	case FAILURE_REFUSED:
		break;
	}
	return 1;
}

/* Nothing that another host could do better. */
static bool is_final(const struct database_settings *database, enum server_failure failure, const char *sqlstate)
{
	if (failure == FAILURE_TEMPORARY)
		return false;
	/* Who stays with one host does not leave it because it is busy. */
	if (failure == FAILURE_FULL)
		return database->hosts_stay;
	return strncmp(sqlstate, "08", 2) != 0 && strncmp(sqlstate, "57P", 3) != 0;
}

bool tries_failed(struct channel *channel, const struct database_settings *database, const struct event *failed)
{
	struct tries *tries = channel->tries;
	size_t length = strlen(tries->text);

	if (length == 0 || weight_of(failed->failure) > weight_of(tries->failure)) {
		tries->failure = failed->failure;
		tries->full = failed->full;
		text_copy(tries->sqlstate, sizeof tries->sqlstate, failed->sqlstate);
	}
	/* Every one of them has its say, as long as there is room. */
	text_format(tries->text + length, sizeof tries->text - length, "%s%s", length ? "; " : "", failed->text);
	/* What failed is not what a new configuration asks for: that is tried next. */
	if (database && tries->generation != channel->worker->generation)
		tries->failure = FAILURE_TEMPORARY;
	if (!database || database->host_count != tries->count)
		return false;
	if (!is_final(database, failed->failure, failed->sqlstate))
		return true;
	/* What nobody can help is what the dial amounts to. */
	tries->failure = failed->failure;
	tries->full = failed->full;
	text_copy(tries->sqlstate, sizeof tries->sqlstate, failed->sqlstate);
	text_copy(tries->text, sizeof tries->text, failed->text);
	return false;
}

static void remember(struct channel *channel, const struct database_settings *database, bool failed)
{
	struct worker *worker = channel->worker;
	struct tries *tries = channel->tries;
	struct hosts *hosts;

	if (!tries || tries->at >= tries->count || !database || database->host_count != tries->count)
		return;
	lock_take(worker->house->lock);
	hosts = hosts_of(worker->house, channel->pool, tries->count);
	if (hosts) {
		hosts->failed[tries->order[tries->at]] = failed ? worker->now : 0;
		if (!failed && database->hosts_stay)
			hosts->next = tries->order[tries->at];
	}
	lock_drop(worker->house->lock);
}

bool tries_next(struct channel *channel, const struct database_settings *database)
{
	struct tries *tries = channel->tries;

	remember(channel, database, true);
	tries->at++;
	if (tries->at == tries->count && tries->unsuited && !tries->take_any &&
		database->target == TARGET_PREFER_STANDBY) {
		tries->take_any = true;
		tries->at = 0;
	}
	return tries->at < tries->count;
}

void tries_unsuited(struct channel *channel)
{
	channel->tries->unsuited = true;
}

bool tries_take_any(const struct channel *channel)
{
	return channel->tries->take_any;
}

void tries_amount(const struct channel *channel, struct event *event)
{
	const struct tries *tries = channel->tries;

	event->failure = tries->failure;
	event->full = tries->full;
	event->sqlstate = tries->sqlstate;
	event->text = tries->text;
}

void tries_end(struct channel *channel, const struct database_settings *database)
{
	remember(channel, database, false);
	channel->host_at = channel->tries->order[channel->tries->at];
	free(channel->tries);
	channel->tries = NULL;
}

void hosts_note_failed(struct channel *channel)
{
	struct house *house = channel->worker->house;
	struct hosts *hosts;

	lock_take(house->lock);
	hosts = channel->pool < house->hosts_capacity ? house->hosts[channel->pool] : NULL;
	if (hosts && channel->host_at < hosts->count)
		hosts->failed[channel->host_at] = channel->worker->now;
	lock_drop(house->lock);
}

void house_hosts_fini(struct house *house)
{
	for (uint32_t i = 0; i < house->hosts_capacity; i++)
		free(house->hosts[i]);
	free(house->hosts);
	house->hosts = NULL;
	house->hosts_capacity = 0;
}
