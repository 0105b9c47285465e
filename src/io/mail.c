#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/private.h"

/* Letters between threads.
 *
 *    senders, any thread                          receiver, the loop's own thread
 *
 *    post: letter -> posted (newest first)        take: opened empty? swap posted out, turn it round
 *          sleeping? -> wake it (one write)              hand out opened, oldest first
 *
 * `posted` is a stack that is only pushed to and only taken whole, so it needs neither a lock nor a guard against reuse.
 * Turning it round gives every sender's letters back in the order in which they were posted.
 *
 * Waking costs a system call on both sides, so it is done only for a loop that sleeps or is about to. Both sides use the
 * same order of two steps, and sequential consistency makes sure that at least one sees the other:
 *
 *    sender:    push the letter,      then look whether the loop sleeps
 *    receiver:  say that it sleeps,   then look whether a letter is there
 *
 * The one sender that finds `sleeping` set clears it and writes; the others know that somebody did. The eventfd is watched
 * by its edges and its counter never read: each write is an event, and 2^64 of them do not come.
 *
 * A letter's arrival does not end the box's use by its sender (it looks at `sleeping` afterwards), so a box outlives every
 * thread that posts to it. */

struct mailbox *mailbox_new(struct loop *loop)
{
	struct mailbox *box = calloc(1, sizeof *box);

	if (!box)
		return NULL;
	box->loop = loop;
	link_last(&loop->mailboxes, &box->place);
	return box;
}

void mailbox_free(struct mailbox *box)
{
	if (!box)
		return;
	check(!box->opened && !atomic_load(&box->posted));
	link_remove(&box->place);
	free(box);
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
	struct loop *loop = box->loop;
	struct letter *newest = atomic_load_explicit(&box->posted, memory_order_relaxed);
	uint64_t one = 1;

	do {
		letter->next = newest;
	} while (!atomic_compare_exchange_weak(&box->posted, &newest, letter));

	if (!atomic_load(&loop->sleeping) || !atomic_exchange(&loop->sleeping, false))
		return;
	while (write(loop->wake, &one, sizeof one) < 0)
		check(errno == EINTR);
}

struct letter *mailbox_take(struct mailbox *box)
{
	struct letter *letter = box->opened;

	if (!letter) {
		struct letter *next;

		if (!atomic_load_explicit(&box->posted, memory_order_relaxed))
			return NULL;
		for (struct letter *l = atomic_exchange(&box->posted, NULL); l; l = next) {
			next = l->next;
			l->next = letter;
			letter = l;
		}
	}
	box->opened = letter->next;
	letter->next = NULL;
	return letter;
}

bool mail_waits(struct loop *loop)
{
	for (struct link *l = loop->mailboxes.next; l != &loop->mailboxes; l = l->next) {
		struct mailbox *box = link_owner(l, struct mailbox, place);

		if (box->opened || atomic_load(&box->posted))
			return true;
	}
	return false;
}
