/* Listeners of the simulated world: clients arrive at their doors, or wait with the kernel. See fakeio.c. */
#include "fakeio_parts.h"

#include "base/check.h"

static void hand_out(struct parcel *parcel, struct loop *loop)
{
	*loop->accepted_last = parcel;
	loop->accepted_last = &parcel->next;
	fakeio_wakes(loop);
}

/* Most clients are of one host, few of two others. The port tells the wire. */
void fakeio_address(const struct wire *wire, struct address *out)
{
	address_of_number(0x0a010000 + (wire->number % 8 < 6 ? 1 : wire->number % 8),
		(uint16_t)(1024 + wire->number % 60000), out);
}

static bool client_arrives(void *who, struct end *e)
{
	struct listener *listener = who;
	struct parcel *parcel = mine_new(sizeof *parcel);

	fakeio_objects++;
	parcel->end = e;
	parcel->listener = listener;
	fakeio_address(e->wire, &parcel->peer);
	if (listener->watcher_count > 0) {
		hand_out(parcel, listener->watchers[pick(listener->watcher_count)]);
		return true;
	}
	*listener->backlog_last = parcel;
	listener->backlog_last = &parcel->next;
	return true;
}

/* Nobody hands over sockets here. */
struct listener *listener_inherit(int fd, uint16_t port, const struct listen_setup *setup, char *error, size_t size)
{
	(void)fd;
	(void)port;
	(void)setup;
	(void)error;
	(void)size;
	return NULL;
}

bool listener_send(const struct listener *listener, struct stream *stream, struct span bytes)
{
	(void)listener;
	(void)stream;
	(void)bytes;
	return false;
}

int listener_descriptor(const struct listener *listener)
{
	(void)listener;
	return -1;
}

void listener_own_file(struct listener *listener, bool ours)
{
	(void)listener;
	(void)ours;
}

struct listener *listener_open(const struct address *at, const struct listen_setup *setup, char *error, size_t size)
{
	struct listener *listener = mine_new(sizeof *listener);

	(void)setup;
	(void)error;
	(void)size;
	fakeio_objects++;
	listener->address = *at;
	listener->backlog_last = &listener->backlog;
	world_listen(address_number(at), at->port, client_arrives, listener);
	return listener;
}

const struct address *listener_address(const struct listener *listener)
{
	return &listener->address;
}

void listener_defer(struct listener *listener, bool defer)
{
	(void)listener;
	(void)defer;
}

static struct parcel *take_waiting(struct listener *listener)
{
	struct parcel *parcel = listener->backlog;

	if (!parcel)
		return NULL;
	listener->backlog = parcel->next;
	if (!listener->backlog)
		listener->backlog_last = &listener->backlog;
	parcel->next = NULL;
	return parcel;
}

bool listener_watch(struct listener *listener, struct loop *loop)
{
	check(listener->watcher_count < sizeof listener->watchers / sizeof *listener->watchers);
	listener_unwatch(listener, loop);
	listener->watchers[listener->watcher_count++] = loop;
	for (struct parcel *parcel; (parcel = take_waiting(listener));)
		hand_out(parcel, loop);
	return true;
}

void listener_unwatch(struct listener *listener, struct loop *loop)
{
	size_t i, to = 0;

	for (i = 0; i < listener->watcher_count; i++)
		if (listener->watchers[i] != loop)
			listener->watchers[to++] = listener->watchers[i];
	listener->watcher_count = to;
}

void listener_close(struct listener **at)
{
	if (!*at)
		return;
	world_unlisten(*at);
	for (struct parcel *parcel; (parcel = take_waiting(*at));)
		parcel_free(&parcel);
	fakeio_objects--;
	mine_free(*at);
	*at = NULL;
}
