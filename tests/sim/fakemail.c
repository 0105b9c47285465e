/* Mail between the threads of the simulated world, and the resolver, which is asked and answers by letter. See fakeio.c. */
#include "fakeio_parts.h"

#include "base/check.h"
#include "base/text.h"

struct mailbox *mailbox_new(struct loop *loop)
{
	struct mailbox *box = mine_new(sizeof *box);

	box->loop = loop;
	box->last = &box->first;
	loop->mailbox = box;
	fakeio_objects++;
	return box;
}

void mailbox_free(struct mailbox *box)
{
	if (!box)
		return;
	check(!box->first);
	fakeio_objects--;
	mine_free(box);
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
	letter->next = NULL;
	*box->last = letter;
	box->last = &letter->next;
	box->length++;
	fakeio_wakes(box->loop);
}

struct letter *mailbox_take(struct mailbox *box)
{
	struct letter *letter = box->first;

	if (!letter)
		return NULL;
	box->first = letter->next;
	if (!box->first)
		box->last = &box->first;
	box->length--;
	return letter;
}

size_t mailbox_length(const struct mailbox *box)
{
	return box->length;
}

/* ---- names ---- */

static struct resolve_letter *asked[256];
static size_t asked_count;
static unsigned resolver_failures;

void fakeio_names_begin(void)
{
	asked_count = 0;
	resolver_failures = 0;
}

void fakeio_set_resolver(unsigned failures)
{
	resolver_failures = failures;
}

size_t fakeio_unanswered(void)
{
	return asked_count;
}

static void answer(struct resolve_letter *letter, bool found)
{
	letter->count = 0;
	if (found) {
		/* The first of several addresses is dead now and then: the next must be tried. */
		if (chance(300))
			address_of_number(0x0a0000fe, letter->port, &letter->addresses[letter->count++]);
		address_of_number(0x0a000001, letter->port, &letter->addresses[letter->count++]);
	} else {
		text_copy(letter->problem, sizeof letter->problem, "Name or service not known");
	}
	mailbox_post(letter->to, &letter->letter);
}

static void answer_arrives(void *who, uint64_t what)
{
	size_t i;

	for (i = 0; i < asked_count; i++) {
		if (asked[i] != who)
			continue;
		asked[i] = asked[--asked_count];
		answer(who, what != 0);
		return;
	}
}

void resolve(struct resolve_letter *letter)
{
	bool fails = chance(resolver_failures);

	check(asked_count < sizeof asked / sizeof *asked);
	asked[asked_count++] = letter;
	world.server_faults += fails;
	world_after(between(100, 200 * MILLISECOND_US), answer_arrives, letter, !fails);
}

void resolver_configure(const struct resolver_setup *setup)
{
	(void)setup;
}

void resolver_tell(struct resolver_facts *out)
{
	*out = (struct resolver_facts){ .pending = (uint32_t)asked_count };
}

void resolver_stop(void)
{
	while (asked_count > 0)
		answer(asked[--asked_count], false);
}
