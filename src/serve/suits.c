/* Is a server what its database wants (target_session_attrs)?
 *
 *   login --> reported --------------------------> suits --> connect_query, and on
 *                |  before PostgreSQL 14: asked ----^  |
 *                +-------------------------------------+--> does not: Terminate, and the next address or host
 *
 *   later --> in_hot_standby is reported anew: what it says counts
 *        +--> 25006 where writing is wanted: asked once its lease is over     does not suit: everybody leaves this address
 *
 * 25006 alone proves nothing: any client may begin a READ ONLY transaction and write. So it costs one question, and only the answer costs
 * connections. To leave an address is to close what is connected there for this database, each server when it comes free; the next dial begins
 * with another host. So it is with an address that a host's name has lost. A server in the mail was connected before the address was left, which is remembered for as long as mail may take. */
#include "serve/suits.h"

#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/channel.h"
#include "serve/hosts.h"
#include "session/suit.h"

static enum target target_of(const struct channel *channel)
{
	const struct database_settings *database = channel_view(channel)->database;

	return database ? database->target : TARGET_ANY;
}

static bool ask(struct channel *channel)
{
	channel->asking_nature = true;
	channel->nature = (struct nature){ 0 };
	return channel_ask(channel, span_text(nature_question), TAG_NATURE);
}

/* ---- at the login ---- */

static bool judge(struct channel *channel)
{
	const char *lacks = NULL;
	char text[160], where[ADDRESS_TEXT];

	if (!channel->nature.known)
		lacks = "did not say what it is";
	else if (target_of(channel) != TARGET_PREFER_STANDBY || !tries_take_any(channel))
		lacks = nature_lacks(channel->nature, target_of(channel));
	if (!lacks)
		return true;
	text_format(text, sizeof text, "server at %s %s", address_text(&channel->address, where), lacks);
	tries_unsuited(channel);
	channel_host_failed(channel, FAILURE_REFUSED, SQLSTATE_CANNOT_CONNECT, text);
	return false;
}

bool suits_at_login(struct channel *channel)
{
	if (target_of(channel) == TARGET_ANY)
		return true;
	channel->nature = nature_reported(channel->reported);
	if (channel->nature.known)
		return judge(channel);
	if (channel->replication)
		return true; /* where it is for physical replication it answers no SQL */
	if (!ask(channel))
		channel_break(channel, "out of memory");
	return false;
}

bool suits_settle(struct channel *channel)
{
	if (!channel->asking_nature)
		return true;
	channel->asking_nature = channel->setup_failed = false;
	if (target_of(channel) == TARGET_ANY || judge(channel))
		channel_greet(channel);
	return false;
}

void suits_row(struct channel *channel, struct span row)
{
	channel->nature = nature_read(row);
}

/* ---- later ---- */

static void leave(struct channel *channel, const char *lacks)
{
	struct leave left = { .database = channel_view(channel)->database_id, .address = channel->address };

	channel_log(channel, LOG_WARNING,
		"the server %s now: connections to it are closed when they are free, other hosts are tried", lacks);
	hosts_note_failed(channel);
	leave_address(channel->worker, &left);
}

bool suits_clean(struct channel *channel)
{
	const char *lacks;

	if (channel->asking_nature) {
		channel->asking_nature = false;
		if (!channel->nature.known) {
			channel_close(channel, "it did not say what it is");
			return false;
		}
		lacks = nature_lacks(channel->nature, target_of(channel));
		if (lacks)
			leave(channel, lacks);
		return true;
	}
	if (!channel->doubtful)
		return true;
	channel->doubtful = false;
	channel->state = CHANNEL_CLEANING;
	channel_step(channel, EVENT_SERVER_CLEANING);
	if (!ask(channel))
		channel_close(channel, "out of memory");
	return false;
}

void suits_error(struct channel *channel, struct span sqlstate)
{
	enum target target = target_of(channel);

	if ((target == TARGET_READ_WRITE || target == TARGET_PRIMARY) && span_is(sqlstate, "25006"))
		channel->doubtful = true;
}

void suits_parameter(struct channel *channel, struct span name, struct span value)
{
	struct nature nature;
	const char *lacks;

	if (!span_is(name, "in_hot_standby") || target_of(channel) == TARGET_ANY)
		return;
	nature = (struct nature){ .known = true, .standby = span_is(value, "on") };
	nature.read_only = nature.standby || channel->nature.read_only;
	channel->nature = nature;
	lacks = nature_lacks(nature, target_of(channel));
	/* A standby that was promoted is still as good as the primary that would be taken instead. */
	if (lacks && target_of(channel) != TARGET_PREFER_STANDBY)
		leave(channel, lacks);
}

/* ---- leaving an address ---- */

struct letter_leave {
	struct letter letter;
	struct leave left;
};

static bool concerns(const struct leave *left, const struct channel *channel)
{
	struct address address = channel->address;

	/* Before the login there is no telling where it ends up. */
	if (channel->state <= CHANNEL_LOGIN || channel->state == CHANNEL_CLOSING)
		return false;
	if (left->database != NO_DATABASE)
		return channel_view(channel)->database_id == left->database && address_equal(&address, &left->address);
	address.port = 0; /* a name has addresses without one */
	return channel->host && strcasecmp(channel->host, left->host) == 0 && address_equal(&address, &left->address);
}

static void leave_here(struct worker *worker, const struct leave *left)
{
	struct left *place = &worker->left[worker->left_next++ % LEFT_KEPT];

	*place = (struct left){ .what = *left, .when = worker->now };
	for (uint32_t i = 0; i < worker->channel_capacity; i++)
		if (worker->channels[i] && concerns(left, worker->channels[i]))
			channel_step(worker->channels[i], EVENT_SERVER_UNFIT);
}

void leave_address(struct worker *worker, const struct leave *left)
{
	for (uint32_t i = 0; i < worker->house->worker_count; i++) {
		struct letter_leave *letter;

		if (i == worker->index) {
			leave_here(worker, left);
			continue;
		}
		letter = calloc(1, sizeof *letter);
		if (!letter) {
			log_line(LOG_WARNING,
				"out of memory: connections to a host that does not suit stay in worker %u", i);
			continue;
		}
		letter->letter.kind = LETTER_LEAVE;
		letter->left = *left;
		worker_post(worker, i, &letter->letter);
	}
}

void leave_letter(struct worker *worker, struct letter *mail)
{
	leave_here(worker, &((struct letter_leave *)(void *)mail)->left);
	free(mail);
}

void leave_configure(struct worker *worker)
{
	const struct config *config = worker->config;
	struct resolver_setup setup = {
		.max_ttl = config->dns_max_ttl,
		.nxdomain_ttl = config->dns_nxdomain_ttl,
		.zone_period = config->dns_zone_check_period,
		.to = worker->mailbox,
		.lost_kind = LETTER_LOST_ADDRESS,
	};

	text_copy(setup.resolv_conf, sizeof setup.resolv_conf, config->resolv_conf);
	resolver_configure(&setup);
}

void leave_lost(struct worker *worker, struct letter *mail)
{
	struct lost_letter *letter = (struct lost_letter *)(void *)mail;
	struct leave left = { .database = NO_DATABASE, .address = letter->address };
	char where[ADDRESS_TEXT];

	text_copy(left.host, sizeof left.host, letter->name);
	log_line(LOG_LOG,
		"host name \"%s\" has no longer the address %s: connections to it are closed when they are free",
		left.host, address_host_text(&left.address, where));
	leave_address(worker, &left);
	free(mail);
}

void leave_late(struct channel *channel)
{
	struct worker *worker = channel->worker;

	for (unsigned i = 0; i < LEFT_KEPT; i++) {
		const struct left *left = &worker->left[i];

		if (left->when && channel->connected <= left->when && concerns(&left->what, channel)) {
			channel_step(channel, EVENT_SERVER_UNFIT);
			return;
		}
	}
}
