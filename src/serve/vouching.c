#include "serve/vouching.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/vouch.h"

/*   CLIENT_VOUCHES --> letter --> io/vouch's thread --> LETTER_VOUCH --> client_vouched
 *        stream paused                                     stream resumed
 *
 * The letter has copies of all that is asked, so the client and the configuration may go while a thread works; it names the client by its
 * handle, which finds nobody then. */

_Static_assert(sizeof(struct client_ref) <= sizeof(((struct vouch_letter *)0)->asker), "a client's handle fits");

bool vouching_fill(struct vouch_letter *letter, const struct vouching *about)
{
	char address[ADDRESS_TEXT];

	letter->letter.kind = LETTER_VOUCH;
	letter->voucher = about->method == AUTH_PAM ? VOUCHER_PAM : VOUCHER_LDAP;
	if (about->peer->family != ADDRESS_UNIX)
		text_copy(letter->host, sizeof letter->host, address_host_text(about->peer, address));
	text_copy_span(letter->user, sizeof letter->user, about->user);
	text_copy_span(letter->password, sizeof letter->password, about->password);
	if (about->user.length >= sizeof letter->user || about->password.length >= sizeof letter->password) {
		text_copy(letter->problem, sizeof letter->problem, "the name or the password is too long");
		return false;
	}
	if (letter->voucher == VOUCHER_LDAP)
		return directory_parse(
			&letter->directory, span_text(about->options), letter->problem, sizeof letter->problem);
	text_copy(letter->service, sizeof letter->service,
		about->options[0]                           ? about->options
			: about->manner == MANNER_PGBOUNCER ? "pgbouncer"
							    : "pgweir");
	return true;
}

static void settle(struct guest *guest, const struct vouch_letter *letter)
{
	char shown[400];

	guest->vouching = false;
	if (!letter->yes) {
		text_escape(shown, sizeof shown, span_text(letter->problem));
		guest_log(guest, LOG_WARNING, "login of \"%s\" failed: %s", letter->user, shown);
	}
	guest_vouched(guest, letter->yes);
}

void vouching_ask(struct guest *guest)
{
	struct client_ref who = guest_ref(guest);
	struct client_question question;
	struct vouching about;
	struct vouch_letter *letter = calloc(1, sizeof *letter);

	stream_pause(guest->stream);
	if (!letter) {
		guest_refuse(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return;
	}
	guest->vouching = true;
	client_question(guest->login, &question);
	about = (struct vouching){
		.method = question.method,
		.options = question.options,
		.manner = guest->worker->config->manner,
		.peer = stream_peer(guest->stream),
		.user = client_facts(guest->login)->user,
		.password = question.password,
	};
	letter->to = guest->worker->mailbox;
	memcpy(letter->asker, &who, sizeof who);
	if (vouching_fill(letter, &about)) {
		vouch(&letter);
		return;
	}
	settle(guest, letter);
	vouch_letter_free(&letter);
}

void vouching_letter(struct worker *worker, struct letter *mail)
{
	struct vouch_letter *letter = (struct vouch_letter *)(void *)mail;
	struct client_ref who;
	struct guest *guest;

	memcpy(&who, letter->asker, sizeof who);
	guest = slots_get(&worker->guests, who.client);
	if (guest && guest->state == GUEST_LOGIN && guest->vouching)
		settle(guest, letter);
	vouch_letter_free(&letter);
}

void vouching_letter_free(struct letter *mail)
{
	struct vouch_letter *letter = (struct vouch_letter *)(void *)mail;

	vouch_letter_free(&letter);
}
