/* The places where ears listen, and their numbers. Few, and asked for rarely: a list under the house's lock. */
#include "serve/places.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

bool place_of(const struct database_settings *database, const char *name, struct place *out)
{
	if (!database || database->host_count != 1)
		return false;
	*out = (struct place){ .port = database->hosts[0].port };
	text_copy(out->host, sizeof out->host, database->hosts[0].name);
	text_copy(out->database, sizeof out->database, database->dbname ? database->dbname : name);
	return true;
}

uint64_t place_key(const struct place *place)
{
	char text[sizeof *place + 16];

	text_format(text, sizeof text, "%s:%u/%s", place->host, place->port, place->database);
	return hash_bytes(span_text(text)) | 1;
}

/* Under the lock. Its number, or that of the first which is free. */
static uint32_t find(const struct house *house, uint64_t key)
{
	uint32_t i = 0;

	while (i < house->place_count && place_key(house->places[i]) != key)
		i++;
	return i;
}

/* Under the lock. */
static bool number(struct house *house, const struct place *place, uint32_t *out)
{
	uint32_t i = find(house, place_key(place));

	if (i == house->place_count && i < PLACES_MAX) {
		house->places[i] = malloc(sizeof *place);
		if (house->places[i])
			*house->places[house->place_count++] = *place;
	}
	*out = i;
	return i < house->place_count;
}

bool place_number(struct house *house, const struct pool_view *view, uint32_t *out)
{
	struct place place;
	bool ok;

	if (!place_of(view->database, view->database_name, &place))
		return false;
	lock_take(house->lock);
	ok = number(house, &place, out);
	lock_drop(house->lock);
	return ok;
}

bool place_number_of_server(const struct channel *channel, uint32_t *out)
{
	struct house *house = channel->worker->house;
	const struct pool_view *view = pool_view(channel->worker, channel->pool);
	struct place place;
	bool ok;

	if (!channel->place || !view)
		return false;
	if (place_of(view->database, view->database_name, &place) && place_key(&place) == channel->place)
		return place_number(house, view, out);
	/* The worker who made it knows a newer configuration than this one, or an older one. */
	lock_take(house->lock);
	*out = find(house, channel->place);
	ok = *out < house->place_count;
	if (!ok &&
		place_of(config_database(house->config, span_text(view->database_name)), view->database_name, &place) &&
		place_key(&place) == channel->place)
		ok = number(house, &place, out);
	lock_drop(house->lock);
	return ok;
}

struct place place_numbered(struct house *house, uint32_t number)
{
	struct place place;

	lock_take(house->lock);
	check(number < house->place_count);
	place = *house->places[number];
	lock_drop(house->lock);
	return place;
}

void places_fini(struct house *house)
{
	while (house->place_count > 0)
		free(house->places[--house->place_count]);
}
