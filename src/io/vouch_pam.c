#include <security/pam_appl.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/vouch.h"

/* PAM: the modules that the service's file names say whether the password is right, and whether the account may be used now. They ask by
 * a conversation, whose every hidden question has one answer: the password. A question whose answer would be shown is none for us. */

#define QUESTIONS_MOST 32

static void forget(struct pam_response *answers, int count)
{
	for (int i = 0; i < count; i++) {
		if (answers[i].resp)
			secret_wipe(answers[i].resp, strlen(answers[i].resp));
		free(answers[i].resp);
	}
	free(answers);
}

static int converse(int count, const struct pam_message **questions, struct pam_response **out, void *context)
{
	const struct vouch_letter *letter = context;
	struct pam_response *answers;
	bool ok = true;

	if (count <= 0 || count > QUESTIONS_MOST)
		return PAM_CONV_ERR;
	answers = calloc((size_t)count, sizeof *answers);
	if (!answers)
		return PAM_BUF_ERR;
	for (int i = 0; i < count && ok; i++) {
		switch (questions[i]->msg_style) {
		case PAM_PROMPT_ECHO_OFF:
			answers[i].resp = strdup(letter->password);
			ok = answers[i].resp != NULL;
			break;
		case PAM_TEXT_INFO:
		case PAM_ERROR_MSG: /* as others do: what a module tells is for its own log */
			break;
		default:
			ok = false;
			break;
		}
	}
	if (!ok) {
		forget(answers, count);
		return PAM_CONV_ERR;
	}
	*out = answers;
	return PAM_SUCCESS;
}

static void explain(struct vouch_letter *letter, pam_handle_t *pam, const char *step, int result)
{
	letter->unheard = result == PAM_AUTHINFO_UNAVAIL;
	text_format(letter->problem, sizeof letter->problem, "PAM service \"%s\": %s: %s", letter->service, step,
		pam_strerror(pam, result));
}

void vouch_ask_pam(struct vouch_letter *letter)
{
	const struct pam_conv conversation = { converse, letter };
	pam_handle_t *pam = NULL;
	int result = pam_start(letter->service, letter->user, &conversation, &pam);

	if (result != PAM_SUCCESS) {
		letter->unheard = true;
		text_format(letter->problem, sizeof letter->problem, "PAM service \"%s\" could not be begun (%d)",
			letter->service, result);
		return;
	}
	if (letter->host[0])
		result = pam_set_item(pam, PAM_RHOST, letter->host);
	if (result != PAM_SUCCESS) {
		explain(letter, pam, "the client's address", result);
	} else if ((result = pam_authenticate(pam, PAM_SILENT)) != PAM_SUCCESS) {
		explain(letter, pam, "password", result);
	} else if ((result = pam_acct_mgmt(pam, PAM_SILENT)) != PAM_SUCCESS) {
		explain(letter, pam, "account", result);
	} else {
		letter->yes = true;
	}
	pam_end(pam, result);
}
