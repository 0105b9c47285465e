/* Each text has one place, found by a glance at it; what else comes there takes its room. What a look says depends on nothing but the text and the
 * catalogue, whose id is remembered with it. Only what its marks say in full is kept: no names that are to be asked for, nothing that is prepared or
 * made. Nor is a command's text kept, which may have a password in it. */
#include "session/look_again.h"

#include <stdlib.h>

#include "base/hash.h"
#include "session/catalog.h"

#define PLACES     256
#define TEXT_BYTES 1000 /* a longer one is not remembered */

struct looked_text {
	uint32_t catalog; /* its id; 0: the place is empty */
	uint32_t marks;
	bool added;
	uint16_t length;
	uint8_t text[TEXT_BYTES];
};

void look_memory_init(struct look_memory *memory)
{
	*memory = (struct look_memory){ 0 };
}

void look_memory_fini(struct look_memory *memory)
{
	free(memory->places);
	look_memory_init(memory);
}

static bool may_be_kept(const struct look *look)
{
	return look->count == 0 && !look->prepared && !look->made && !(look->marks & LOOK_COMMAND);
}

bool look_again(struct look_memory *memory, const struct catalog *catalog, struct span text, struct look *look)
{
	struct looked_text *place;
	bool added;

	if (!memory->places)
		memory->places = calloc(PLACES, sizeof *memory->places);
	if (!memory->places || text.length == 0 || text.length > TEXT_BYTES)
		return catalog_look(catalog, text, look);
	place = &memory->places[hash_glance(text) % PLACES];
	if (place->length == text.length && place->catalog == catalog_id(catalog) &&
		memcmp(place->text, text.at, text.length) == 0) {
		look->marks = place->marks;
		look->prepared = look->made = look->count = 0;
		return place->added;
	}
	added = catalog_look(catalog, text, look);
	if (!may_be_kept(look))
		return added;
	place->catalog = catalog_id(catalog);
	place->marks = look->marks;
	place->added = added;
	place->length = (uint16_t)text.length;
	memcpy(place->text, text.at, text.length);
	return added;
}
