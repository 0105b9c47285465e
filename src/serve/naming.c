#include "serve/naming.h"

#include <stdlib.h>

#include "base/text.h"

/*   CLIENT_ASKS_HOST --> letter --> the resolver: address -> name -> its addresses, is this one of them? --> LETTER_HOST --> client_told_host
 *        stream paused                                                                                       stream resumed
 *
 * Nothing is kept: whoever names the addresses of a network chooses what is asked here, and must not choose what we remember. */

struct host_letter {
	struct resolve_letter resolve; /* first */
	struct client_ref asker;
};

void naming_ask(struct guest *guest)
{
	struct host_letter *letter = calloc(1, sizeof *letter);

	stream_pause(guest->stream);
	if (!letter) {
		guest_refuse(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return;
	}
	guest->naming = true;
	letter->resolve.letter.kind = LETTER_HOST;
	letter->resolve.to = guest->worker->mailbox;
	letter->resolve.backwards = true;
	letter->resolve.addresses[0] = *stream_peer(guest->stream);
	letter->asker = guest_ref(guest);
	resolve(&letter->resolve);
}

void naming_letter(struct worker *worker, struct letter *mail)
{
	struct host_letter *letter = (struct host_letter *)(void *)mail;
	struct guest *guest = slots_get(&worker->guests, letter->asker.client);
	bool known = letter->resolve.count > 0;
	char shown[256];

	if (guest && guest->state == GUEST_LOGIN && guest->naming) {
		guest->naming = false;
		if (letter->resolve.problem[0]) {
			text_escape(shown, sizeof shown, span_text(letter->resolve.problem));
			guest_log(guest, LOG_WARNING, "the name of its host%s: %s", known ? "" : " can not be told",
				shown);
		}
		guest_told_host(guest, known ? letter->resolve.name : NULL);
	}
	free(letter);
}

void naming_letter_free(struct letter *mail)
{
	free((struct host_letter *)(void *)mail);
}
