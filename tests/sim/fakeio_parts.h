#ifndef SIM_FAKEIO_PARTS_H
#define SIM_FAKEIO_PARTS_H

#include "fakeio.h"

/* What the files of the simulated src/io share among themselves: fakeio.c has loops and streams, fakelisten.c listeners, fakemail.c mail and
 * the resolver, fakemachine.c the rest of a machine. */

struct parcel {
	struct end *end;
	struct address peer;
	struct bytes unread, unsent;
	bool room_said_due, hangup_said, shut_asked;
	struct listener *listener;
	struct parcel *next;
};

struct loop {
	struct stream *streams, *grave;
	struct parcel *accepted, **accepted_last;
	struct mailbox *mailbox;
	uint64_t turn;
	uint8_t *lent;
	struct stream **order; /* of this turn */
	size_t order_count, order_at, order_capacity;
};

struct mailbox {
	struct loop *loop;
	struct letter *first, **last;
	size_t length;
};

struct listener {
	struct address address;
	struct loop *watchers[16];
	size_t watcher_count;
	struct parcel *backlog, **backlog_last; /* those that nobody accepts: they wait with the kernel */
};

extern loop_wakes *fakeio_wakes;
extern size_t fakeio_objects; /* loops, streams, parcels, mailboxes, listeners, locks that exist */

void fakeio_names_begin(void); /* nobody has asked for any, and none fails */

#endif
