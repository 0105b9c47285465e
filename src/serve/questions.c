/* The HTTP thread has no servers and must not wait, but people log in there whom only PostgreSQL knows (auth_query).
 *
 *   web --question--> worker 0: a guest without anybody behind it, in ASKING ---> serve/lookups (as for a login to the console)
 *    ^                                        |
 *    +------- keeper <--------question--------+   found: a secret, or nobody; or it could not be found out
 *
 * Everything that holds for a login holds for it, then: one question for each user at a time, what was found is believed for a while, limits
 * of servers, turns, client_login_timeout. Its stream is one end of a pair, and the letter has the other: nothing is ever said over it. */
#include "serve/questions.h"

#include <stdlib.h>

#include "base/text.h"
#include "serve/extras.h"
#include "serve/lookups.h"
#include "serve/worker.h"

bool question_ask(struct house *house, const char *user)
{
	struct letter_question *letter = calloc(1, sizeof *letter);

	if (!letter)
		return false;
	letter->letter.kind = LETTER_QUESTION;
	text_copy(letter->user, sizeof letter->user, user);
	mailbox_post(house->workers[0]->mailbox, &letter->letter);
	return true;
}

void question_letter_free(struct letter_question *letter)
{
	parcel_free(&letter->other);
	secrets_drop(letter->found);
	free(letter);
}

static void send_home(struct house *house, struct letter_question *letter)
{
	parcel_free(&letter->other);
	mailbox_post(house->keeper_mailbox, &letter->letter);
}

void question_take(struct worker *worker, struct letter_question *letter)
{
	struct parcel *pair[2];
	struct extras *extras;
	struct guest *guest;

	if (!parcel_pair(pair)) {
		send_home(worker->house, letter);
		return;
	}
	letter->other = pair[1];
	atomic_fetch_add(&worker->client_count, 1);
	guest = guest_arrive(worker, pair[0]);
	if (!guest) {
		send_home(worker->house, letter);
		return;
	}
	extras = extras_of(guest);
	if (!extras) {
		guest_end(guest, NULL, "out of memory");
		send_home(worker->house, letter);
		return;
	}
	extras->question = letter;
	guest->user = texts_user(&worker->texts, span_text(letter->user));
	if (guest->user && client_about(guest->login, span_text(letter->user)))
		lookup_ask(guest, LOOKUP_SECRET);
	else
		guest_end(guest, NULL, "out of memory");
}

void question_answered(struct guest *guest, struct secrets *found)
{
	guest->extras->question->known = true;
	guest->extras->question->found = found ? secrets_keep(found) : NULL;
	guest_end(guest, NULL, "its question is answered");
}

void question_leave(struct guest *guest)
{
	struct extras *extras;

	if (!guest->extras->question)
		return;
	extras = extras_of(guest);
	send_home(guest->worker->house, extras->question);
	extras->question = NULL;
}
