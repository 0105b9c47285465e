#include "serve/extras.h"

#include <stdlib.h>

#include "serve/relay.h"

const struct extras extras_none;

struct extras *extras_of(struct guest *guest)
{
	struct extras *made;

	if (guest->extras != &extras_none)
		return (struct extras *)guest->extras;
	made = calloc(1, sizeof *made);
	if (made)
		guest->extras = made;
	return made;
}

void extras_leave(struct guest *guest)
{
	const struct extras *extras = guest->extras;

	if (extras == &extras_none || extras->question || extras->asking || extras->collect || extras->again ||
		extras->former)
		return;
	guest->extras = &extras_none;
	relay_no_endings((struct extras *)extras);
	free((struct extras *)extras);
}
