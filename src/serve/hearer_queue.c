/* What waits for clients that LISTEN, over all of them: notifications held for the end of a transaction, and those that a client has
 * not read. Each client has a ceiling of its own (HEARING_BYTES_MAX) and all together one more, listen_queue_max: the house counts. A
 * client for whom nothing waits is told what comes all the same, since its socket takes that nearly always; so the ceiling may be passed by one
 * notification for each client. */
#include "serve/channel.h"
#include "serve/hearers.h"

uint64_t hearer_queue_left(const struct worker *worker)
{
	uint64_t most = (uint64_t)worker->config->listen_queue_max, used = atomic_load(&worker->house->listen_queued);

	return used < most ? most - used : 0;
}

void hearer_bound(struct hearer *hearer)
{
	struct hearing *h = hearer->hearing;
	uint64_t left = hearer_queue_left(hearer->guest->worker);

	h->bytes_max = left < HEARING_BYTES_MAX - h->bytes ? h->bytes + (size_t)left : HEARING_BYTES_MAX;
	hearer->dropped_before = h->dropped;
}

void hearer_count(struct hearer *hearer)
{
	struct guest *guest = hearer->guest;
	struct house *house = guest->worker->house;
	size_t queued = guest->stream ? stream_queued(guest->stream) : 0, now;

	if (hearer->hearing->dropped > hearer->dropped_before && hearer->hearing->bytes_max < HEARING_BYTES_MAX)
		hearer->crowded = true;
	hearer->dropped_before = hearer->hearing->dropped;
	/* What lies in the outbox is in no stream yet. */
	if (hearer->unread > queued && !outbox_is_for(&guest->worker->to_client, guest->stream))
		hearer->unread = queued;
	now = hearer->hearing->bytes + hearer->unread;
	if (now >= hearer->counted)
		atomic_fetch_add(&house->listen_queued, now - hearer->counted);
	else
		atomic_fetch_sub(&house->listen_queued, hearer->counted - now);
	hearer->counted = now;
}

void hearer_uncount(struct hearer *hearer)
{
	atomic_fetch_sub(&hearer->guest->worker->house->listen_queued, hearer->counted);
	hearer->counted = 0;
}
