/* Names that are noted for the texts of errors, until what was sent for them is answered. A client may send many of them while the server is busy with
 * something else, so nothing here walks along those that are not answered yet: answers come in the order in which they were noted. */
#include <stdlib.h>

#include "base/text.h"
#include "serve/extras.h"
#include "serve/relay.h"

/* In a ring: the list is its newest, and that one's next is the oldest. */
struct again {
	struct again *next;
	uint32_t tag;
	char name[];
};

bool relay_note_name(struct again **list, uint32_t tag, struct span name)
{
	struct again *newest = *list, *again = malloc(sizeof *again + name.length + 1);

	if (!again)
		return false;
	again->tag = tag;
	text_copy_span(again->name, name.length + 1, name);
	again->next = newest ? newest->next : again;
	if (newest)
		newest->next = again;
	*list = again;
	return true;
}

/* The one before the oldest with this tag; NULL: there is none. */
static struct again *before_oldest(struct again *newest, uint32_t tag)
{
	struct again *before = newest;

	if (!newest || tag > STATEMENT_ID_LAST)
		return NULL; /* no statement's */
	while (before->next->tag != tag && tag != 0) {
		before = before->next;
		if (before == newest)
			return NULL;
	}
	return before;
}

const char *relay_noted_name(struct again *list, uint32_t tag)
{
	struct again *before = before_oldest(list, tag);

	return before ? before->next->name : NULL;
}

void relay_name_over(struct again **list, uint32_t tag)
{
	struct again *before = before_oldest(*list, tag), *over;

	if (!before)
		return;
	over = before->next;
	before->next = over->next;
	if (over == *list)
		*list = over == before ? NULL : before;
	free(over);
}

void relay_again_over(struct guest *guest, uint32_t tag)
{
	if (guest->extras->again)
		relay_name_over(&extras_of(guest)->again, tag);
}
