/* A table of chains by process id. It is as large as there are sessions, which PostgreSQL bounds; asked once for each login and cancel. */
#include "serve/seats.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "core/effect.h"
#include "io/thread.h"

#define CHAINS 1024 /* as many as chain_of makes */

struct seat {
	struct seat *next;
	uint32_t process_id;
	struct client_ref client;
	size_t secret_length;
	uint8_t secret[32];
};

struct seats {
	struct lock *lock; /* first: see locked_new */
	struct seat *chains[CHAINS];
};

/* Of a group of peers all have the same in the middle. */
static uint32_t chain_of(uint32_t process_id)
{
	return (process_id * 2654435761u) >> 22;
}

struct seats *seats_new(void)
{
	return locked_new(sizeof(struct seats));
}

static void remove_seat(struct seat **at)
{
	struct seat *seat = *at;

	*at = seat->next;
	secret_wipe(seat->secret, sizeof seat->secret);
	free(seat);
}

void seats_free(struct seats *seats)
{
	if (!seats)
		return;
	for (size_t i = 0; i < CHAINS; i++)
		while (seats->chains[i])
			remove_seat(&seats->chains[i]);
	lock_free(seats->lock);
	free(seats);
}

bool seats_enter(struct seats *seats, uint32_t process_id, struct client_ref client, struct span secret)
{
	struct seat *seat = calloc(1, sizeof *seat), **chain = &seats->chains[chain_of(process_id)];

	if (!seat)
		return false;
	check(secret.length <= sizeof seat->secret);
	seat->process_id = process_id;
	seat->client = client;
	seat->secret_length = secret.length;
	memcpy(seat->secret, secret.at, secret.length);
	lock_take(seats->lock);
	seat->next = *chain;
	*chain = seat;
	lock_drop(seats->lock);
	return true;
}

void seats_leave(struct seats *seats, uint32_t process_id, struct client_ref client)
{
	struct seat **at = &seats->chains[chain_of(process_id)];

	lock_take(seats->lock);
	while (*at &&
		((*at)->process_id != process_id || (*at)->client.worker != client.worker ||
			!handle_equal((*at)->client.client, client.client)))
		at = &(*at)->next;
	if (*at)
		remove_seat(at);
	lock_drop(seats->lock);
}

bool seats_find(struct seats *seats, uint32_t process_id, struct span secret, struct client_ref *client)
{
	const struct seat *seat;
	bool found = false;

	lock_take(seats->lock);
	for (seat = seats->chains[chain_of(process_id)]; seat && !found; seat = seat->next) {
		found = seat->process_id == process_id && seat->secret_length == secret.length &&
			secret_equal(seat->secret, secret.at, secret.length);
		if (found)
			*client = seat->client;
	}
	lock_drop(seats->lock);
	return found;
}
