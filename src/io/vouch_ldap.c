#include <lber.h>
#include <ldap.h>
#include <pthread.h>
#include <sys/time.h>

#include "base/text.h"
#include "io/vouch.h"

/* LDAP. The directory may be hostile, or a stranger in its place: each step has a time limit, an answer has a size limit, no referral is
 * followed (it could lead anywhere, with the password), and a search must find one entry, no more. */

#define STEP_SECONDS 5
#define ANSWER_MOST  (1 << 20)

static void explain(struct vouch_letter *letter, LDAP *ldap, const char *step, int result)
{
	char *diagnosis = NULL, shown[120] = "";

	/* Below zero: libldap itself, and not the directory. */
	letter->unheard = result < 0 || result == LDAP_BUSY || result == LDAP_UNAVAILABLE;

	if (ldap)
		ldap_get_option(ldap, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diagnosis);
	if (diagnosis && *diagnosis)
		text_escape(shown, sizeof shown, span_text(diagnosis));
	text_format(letter->problem, sizeof letter->problem, "LDAP %.80s: %s: %s%s%s", letter->directory.uri, step,
		ldap_err2string(result), shown[0] ? ": " : "", shown);
	ldap_memfree(diagnosis);
}

/* libldap reads its defaults when it is first asked anything, which is not for two threads at once. */
static void prepare(void)
{
	int version = 0;

	ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

static LDAP *begin(struct vouch_letter *letter)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct timeval limit = { .tv_sec = STEP_SECONDS };
	int version = LDAP_VERSION3, seconds = STEP_SECONDS, result;
	ber_len_t most = ANSWER_MOST;
	Sockbuf *socket = NULL;
	LDAP *ldap = NULL;

	pthread_once(&once, prepare);
	result = ldap_initialize(&ldap, letter->directory.uri);
	if (result != LDAP_SUCCESS) {
		explain(letter, NULL, "could not be begun", result);
		return NULL;
	}
	ldap_set_option(ldap, LDAP_OPT_PROTOCOL_VERSION, &version);
	ldap_set_option(ldap, LDAP_OPT_NETWORK_TIMEOUT, &limit);
	ldap_set_option(ldap, LDAP_OPT_TIMEOUT, &limit);
	ldap_set_option(ldap, LDAP_OPT_TIMELIMIT, &seconds);
	ldap_set_option(ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	ldap_set_option(ldap, LDAP_OPT_RESTART, LDAP_OPT_ON);
	if (ldap_get_option(ldap, LDAP_OPT_SOCKBUF, &socket) == LDAP_SUCCESS && socket)
		ber_sockbuf_ctrl(socket, LBER_SB_OPT_SET_MAX_INCOMING, &most);
	if (letter->directory.start_tls) {
		result = ldap_start_tls_s(ldap, NULL, NULL);
		if (result != LDAP_SUCCESS) {
			explain(letter, ldap, "StartTLS", result);
			ldap_unbind_ext_s(ldap, NULL, NULL);
			return NULL;
		}
	}
	return ldap;
}

static bool bind_as(struct vouch_letter *letter, LDAP *ldap, const char *name, const char *password, const char *step)
{
	struct berval secret = { .bv_len = strlen(password), .bv_val = (char *)(uintptr_t)password };
	int result = ldap_sasl_bind_s(ldap, name, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);

	if (result == LDAP_SUCCESS)
		return true;
	explain(letter, ldap, step, result);
	return false;
}

/* The DN of the one entry that is the user's. */
static bool find(struct vouch_letter *letter, LDAP *ldap, char *name, size_t size)
{
	struct directory *d = &letter->directory;
	char filter[1024], *none[] = { (char *)(uintptr_t)LDAP_NO_ATTRS, NULL }, *found;
	struct timeval limit = { .tv_sec = STEP_SECONDS };
	LDAPMessage *answer = NULL;
	int result, count;
	bool ok = false;

	if (!directory_filter(d, letter->user, filter, sizeof filter)) {
		text_format(letter->problem, sizeof letter->problem,
			"LDAP: the user's name has letters that mean something in a filter");
		return false;
	}
	if (!bind_as(letter, ldap, d->bind_dn, d->bind_password, "bind before the search"))
		return false;
	result = ldap_search_ext_s(ldap, d->base, d->scope, filter, none, 0, NULL, NULL, &limit, 2, &answer);
	count = answer ? ldap_count_entries(ldap, answer) : 0;
	/* It has more than it may tell. */
	if (result == LDAP_SIZELIMIT_EXCEEDED)
		count = 2;
	if (result != LDAP_SUCCESS && result != LDAP_SIZELIMIT_EXCEEDED) {
		explain(letter, ldap, "search", result);
	} else if (count != 1) {
		text_format(letter->problem, sizeof letter->problem,
			"LDAP %.80s: the search found %s entry of the user", d->uri, count ? "more than one" : "no");
	} else {
		found = ldap_get_dn(ldap, ldap_first_entry(ldap, answer));
		ok = found && *found && text_copy(name, size, found) == strlen(found);
		if (!ok)
			text_format(letter->problem, sizeof letter->problem,
				"LDAP %.80s: the entry's name is empty or too long", d->uri);
		ldap_memfree(found);
	}
	ldap_msgfree(answer);
	return ok;
}

void vouch_ask_ldap(struct vouch_letter *letter)
{
	char name[1024];
	bool known = true;
	LDAP *ldap;

	/* A name without a password is an anonymous bind, which succeeds (RFC 4513, section 5.1.2). */
	if (!letter->password[0]) {
		text_copy(letter->problem, sizeof letter->problem, "LDAP: the password is empty");
		return;
	}
	if (!letter->directory.search && !directory_name(&letter->directory, letter->user, name, sizeof name)) {
		text_copy(letter->problem, sizeof letter->problem,
			"LDAP: the user's name has letters that mean something in a DN");
		return;
	}
	ldap = begin(letter);
	if (!ldap)
		return;
	if (letter->directory.search)
		known = find(letter, ldap, name, sizeof name);
	letter->yes = known && bind_as(letter, ldap, name, letter->password, "bind as the user");
	ldap_unbind_ext_s(ldap, NULL, NULL);
}
