/* Who may see what.
 *
 *   /metrics, /healthz, /readyz     anybody on this machine; from elsewhere a user
 *   all else                        a user of admin_users or stats_users
 *   what changes something          the same, with the token of his visit in a header
 *
 * A user proves himself with a password, in clear, which is why a listener beyond loopback must have TLS: that of auth_file, or that which
 * auth_query finds for him, or one that PAM or a directory takes for his, where these judge him at the console. The password is always wanted:
 * auth_type = trust or any says something about clients, whom the network or a socket's file may have sorted out already; everybody's browser
 * can be made to ask us. Where there are rules (auth_hba_file), one that rejects him at the console does so here. A scraper may send it each
 * time (Basic, RFC 7617); a browser gets a visit and a cookie.
 *
 * Pages of strangers run in the browser of whoever may come here. They can send us requests but not read the answers, unless their name was
 * made to lead here, so at a loopback listener Host must be a name that no name server has. They can not send our cookie (SameSite), nor
 * know the token that a change must bring. */
#include "serve/web_access.h"

#include <stdlib.h>

#include "auth/basic.h"
#include "auth/hba.h"
#include "auth/login.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/interfaces.h"
#include "session/web.h"
#include "view/json.h"

#define COOKIE      "pgweir_visit"
#define CSRF_HEADER "X-CSRF-Token"

static struct span header(const struct http_request *request, const char *name)
{
	const char *value = http_header(request, name);

	return span_text(value ? value : "");
}

void web_say(struct http_reply *reply, unsigned status, const char *key, const char *text)
{
	reply->status = status;
	reply->type = "application/json";
	buf_clear(&reply->body);
	if (buf_add(&reply->body, "{", 1) && json_text(&reply->body, span_text(key)) && buf_add(&reply->body, ":", 1) &&
		json_text(&reply->body, span_text(text)))
		(void)buf_add(&reply->body, "}\n", 2);
}

static bool refuse(struct http_reply *reply, unsigned status, const char *text)
{
	web_say(reply, status, "error", text);
	return false;
}

bool access_fits(const struct access *access, const struct http_request *request, struct http_reply *reply)
{
	struct span host = header(request, "Host"), origin = header(request, "Origin");

	if (host.length == 0)
		return refuse(reply, 400, "one Host header is needed");
	if (access->loopback && !web_host_is_local(host))
		return refuse(reply, 421, "this server is for this machine: ask localhost or 127.0.0.1");
	if (strcmp(request->method, "POST") == 0 && origin.length > 0 && !web_origin_is(origin, host, access->secure))
		return refuse(reply, 403, "this came from another page");
	return true;
}

/* ---- who it is ---- */

/* How the console would let him in. */
struct ruling {
	bool allowed;
	bool elsewhere; /* PAM or a directory judges his password */
	struct vouching judge;
};

static struct ruling rule_on(const struct access *access, const struct config *config, const struct secrets *secrets,
	const struct address *peer, const char *user)
{
	const struct hba *hba = secrets ? secrets_hba(secrets) : NULL;
	struct hba_peer who = { .ip_length = peer->family == ADDRESS_IPV6 ? 16 : 4, .encrypted = access->secure };
	struct ruling ruling = { .judge = { .manner = config->manner, .peer = peer, .user = span_text(user) } };
	enum auth_method method = (enum auth_method)config->auth_type;
	unsigned rule = 0;

	ruling.allowed = method != AUTH_HBA;
	if (!ruling.allowed && hba) {
		memcpy(who.ip, peer->ip, who.ip_length);
		if (hba_wants_interfaces(hba))
			interfaces_compare(peer, &who.same_host, &who.same_net);
		ruling.allowed = hba_judge(hba, &who, span_text("pgweir"), span_text(user), &method, &rule) ==
			HBA_METHOD;
	}
	ruling.elsewhere = ruling.allowed && (method == AUTH_PAM || method == AUTH_LDAP);
	ruling.judge.method = method;
	ruling.judge.options = method == AUTH_LDAP ? config->auth_ldap_options : config->auth_pam_service;
	if (rule && hba_options(hba, rule))
		ruling.judge.options = hba_options(hba, rule);
	return ruling;
}

static bool is_listed(const struct config *config, const char *user, bool *admin)
{
	*admin = config_list_has(config->admin_users, span_text(user), false);
	return *admin || config_list_has(config->stats_users, span_text(user), false);
}

static uint64_t hash_of(const struct secret *secret)
{
	return secret && secret->text ? hash_bytes(span_text(secret->text)) : 0;
}

static const struct secret *secret_of(const struct secrets *secrets, const struct secrets *found, const char *user)
{
	const struct secret *secret = secrets ? secrets_find(secrets, span_text(user)) : NULL;

	return secret || !found ? secret : secrets_find(found, span_text(user));
}

/* `secrets`: of auth_file. `found`: what PostgreSQL has said, where it was asked. */
static bool password_fits(struct house *house, const struct config *config, const struct secrets *secrets,
	const struct secrets *found, const char *user, const char *password)
{
	uint8_t random[64];
	struct login_setup setup = {
		.method = AUTH_PLAIN,
		.user = span_text(user),
		.secret = secret_of(secrets, found, user),
		.mock = secrets ? secrets_mock(secrets, span_text(user), house->process_random)
				: (struct secret_mock){ 0 },
		.scram_iterations = (uint32_t)config->scram_iterations,
		.random = random,
		.process = house->process_random,
	};
	struct buf request = { 0 };
	struct writer w = writer_to(&request);
	enum login_result result = LOGIN_FAILED;
	struct login *login;

	entropy_fill(random, sizeof random);
	login = login_new(&setup, &w, &result);
	if (login && result == LOGIN_MORE)
		result = login_take(login, span_of(password, strlen(password) + 1), &w);
	login_free(login);
	secret_wipe(random, sizeof random);
	buf_fini(&request);
	return login && result == LOGIN_OK;
}

enum proof { PROOF_FAILS, PROOF_HOLDS, PROOF_LATER, PROOF_UNKNOWN };

/* Only PostgreSQL can tell who he is: it knows those who are not in auth_file, if it is to be asked about users of the console. */
static bool is_elsewhere(const struct config *config, const struct secrets *secrets, const char *user)
{
	struct auth_lookup where;

	return (!secrets || !secrets_find(secrets, span_text(user))) &&
		config_auth_lookup(config, span_text("pgweir"), &where);
}

/* Where nobody else judges him. `secret`: by which it was, for as long as the visit lasts. */
static enum proof prove_here(struct access *access, const struct http_request *request, const struct config *config,
	const struct secrets *secrets, const char *user, const char *password, time_us now, uint64_t *secret)
{
	const struct web_answer *answer = NULL;

	if (is_elsewhere(config, secrets, user)) {
		answer = answers_since(&access->answers, access->house, user, request->since, now);
		if (!answer && now < request->since + ACCESS_PATIENCE)
			return PROOF_LATER;
		if (!answer || answer->failed)
			return PROOF_UNKNOWN;
	}
	*secret = hash_of(secret_of(secrets, answer ? answer->found : NULL, user));
	return password_fits(access->house, config, secrets, answer ? answer->found : NULL, user, password)
		? PROOF_HOLDS
		: PROOF_FAILS;
}

static enum proof prove_elsewhere(struct access *access, const struct http_request *request, struct ruling *ruling,
	const char *password, time_us now, uint64_t *secret)
{
	/* PAM and directories take a name without a password for another question. */
	if (!password[0])
		return PROOF_FAILS;
	ruling->judge.password = span_text(password);
	*secret = judge_of(&ruling->judge);
	switch (judges_ask(&access->judges, access->house->keeper_mailbox, request, &ruling->judge)) {
	case JUDGEMENT_YES:
		return PROOF_HOLDS;
	case JUDGEMENT_NO:
		return PROOF_FAILS;
	case JUDGEMENT_LATER:
		return now < request->since + ACCESS_PATIENCE ? PROOF_LATER : PROOF_UNKNOWN;
	case JUDGEMENT_NONE:
		break;
	}
	return PROOF_UNKNOWN;
}

/* A password and a place on one of the lists. All is looked at whatever the first of it says, so that the answer takes the same time. */
static enum proof judge(struct access *access, const struct http_request *request, const struct config *config,
	const struct secrets *secrets, const char *user, const char *password, time_us now, bool *admin,
	uint64_t *secret)
{
	char host[ADDRESS_TEXT], name[2 * VISIT_USER_MAX];
	struct span address = span_text(address_host_text(&request->peer, host));
	struct ruling ruling = rule_on(access, config, secrets, &request->peer, user);
	bool listed = is_listed(config, user, admin);
	enum proof proof;

	if (!visits_may_try(&access->visits, address, now))
		return PROOF_FAILS;
	proof = ruling.elsewhere ? prove_elsewhere(access, request, &ruling, password, now, secret)
				 : prove_here(access, request, config, secrets, user, password, now, secret);
	if (proof == PROOF_LATER || proof == PROOF_UNKNOWN)
		return proof;
	if (proof == PROOF_HOLDS && listed && ruling.allowed)
		return PROOF_HOLDS;
	visits_failed(&access->visits, address, now);
	text_escape(name, sizeof name, span_text(user));
	log_line(LOG_WARNING, "http: user \"%s\" at %s was refused", name, host);
	return PROOF_FAILS;
}

static enum proof proves(struct access *access, const struct http_request *request, const char *user,
	const char *password, time_us now, bool *admin, uint64_t *secret)
{
	struct secrets *secrets;
	struct config *config = house_config(access->house, &secrets);
	enum proof proof = judge(access, request, config, secrets, user, password, now, admin, secret);

	config_drop(config);
	secrets_drop(secrets);
	return proof;
}

/* How old what PostgreSQL said may be while a visit lasts. */
#define ANSWER_AGE (30 * SECOND_US)

/* He was let in; is he still somebody? */
static bool still_holds(
	struct access *access, const struct http_request *request, const struct visit *visit, time_us now, bool *admin)
{
	struct secrets *secrets;
	struct config *config = house_config(access->house, &secrets);
	struct ruling ruling = rule_on(access, config, secrets, &request->peer, visit->user);
	const struct web_answer *answer = !ruling.elsewhere && is_elsewhere(config, secrets, visit->user)
		? answers_last(&access->answers, access->house, visit->user, ANSWER_AGE, now)
		: NULL;
	const struct secret *secret = secret_of(secrets, answer ? answer->found : NULL, visit->user);
	bool same = ruling.elsewhere ? judge_of(&ruling.judge) == visit->secret
				     : secret && hash_of(secret) == visit->secret;
	bool holds = same && is_listed(config, visit->user, admin) && ruling.allowed;

	config_drop(config);
	secrets_drop(secrets);
	return holds;
}

enum http_verdict access_who(
	struct access *access, const struct http_request *request, time_us now, struct caller *caller)
{
	struct span token, cookies = header(request, "Cookie"), authorization = header(request, "Authorization");
	const struct visit *visit = NULL;
	char host[ADDRESS_TEXT];
	struct basic basic;
	enum proof proof;
	uint64_t secret;

	if (web_cookie(cookies, COOKIE, &token))
		visit = visits_find(&access->visits, token, now);
	if (visit && !still_holds(access, request, visit, now, &caller->admin)) {
		visits_leave(&access->visits, token);
		visit = NULL;
	}
	if (visit) {
		caller->known = true;
		text_copy(caller->user, sizeof caller->user, visit->user);
		text_copy(caller->csrf, sizeof caller->csrf, visit->csrf);
		return HTTP_ANSWERED;
	}
	if (!basic_read(&basic, authorization))
		return HTTP_ANSWERED;
	caller->barred = !visits_may_try(&access->visits, span_text(address_host_text(&request->peer, host)), now);
	proof = proves(access, request, basic.user, basic.password, now, &caller->admin, &secret);
	caller->known = proof == PROOF_HOLDS;
	text_copy(caller->user, sizeof caller->user, basic.user);
	basic_wipe(&basic);
	return proof == PROOF_LATER ? HTTP_LATER : HTTP_ANSWERED;
}

void access_told(struct access *access, struct letter *letter, time_us now)
{
	if (letter->kind == LETTER_VOUCH)
		judges_take(&access->judges, (struct vouch_letter *)(void *)letter, now);
	else
		answers_take(&access->answers, (struct letter_question *)(void *)letter, now);
}

static void bar(struct http_reply *reply)
{
	(void)refuse(reply, 429, "too many wrong passwords came from this address; wait a minute");
	http_reply_line(reply, "Retry-After", "60");
}

void access_refuse(const struct caller *caller, struct http_reply *reply)
{
	if (caller->barred) {
		bar(reply);
		return;
	}
	web_say(reply, 401, "error", "log in first: POST user and password to /login");
	/* No browser is to ask for a password in a box of its own, as it would for Basic. */
	http_reply_line(reply, "WWW-Authenticate", "Visit realm=\"pgweir\", login=\"/login\"");
}

bool access_change_fits(const struct caller *caller, const struct http_request *request, struct http_reply *reply)
{
	struct span token = header(request, CSRF_HEADER);

	if (token.length == VISIT_TOKEN && caller->csrf[0] && secret_equal(token.at, caller->csrf, VISIT_TOKEN))
		return true;
	return refuse(
		reply, 403, "the header " CSRF_HEADER " must have the token that /login and /api/session.json tell");
}

/* ---- coming and going ---- */

bool access_write(struct buf *out, const struct caller *caller)
{
	return buf_format(out, "{\"user\":") && json_text(out, span_text(caller->user)) &&
		buf_format(out, ",\"admin\":%s,\"csrf\":", caller->admin ? "true" : "false") &&
		json_text(out, span_text(caller->csrf)) && buf_format(out, "}\n");
}

static void set_cookie(const struct access *access, struct http_reply *reply, const char *token)
{
	char value[200];

	text_format(value, sizeof value, COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", token,
		*token ? (int)(VISIT_LONGEST / SECOND_US) : 0, access->secure ? "; Secure" : "");
	http_reply_line(reply, "Set-Cookie", value);
}

enum http_verdict access_login(
	struct access *access, const struct http_request *request, time_us now, struct http_reply *reply)
{
	struct caller caller = { 0 };
	const struct visit *visit;
	char password[1024], host[ADDRESS_TEXT];
	uint8_t random[VISIT_TOKEN];
	uint64_t secret = 0;
	enum proof proof;

	if (!web_type_is(header(request, "Content-Type"), "application/x-www-form-urlencoded")) {
		(void)refuse(
			reply, 415, "a form is expected: application/x-www-form-urlencoded with user and password");
		return HTTP_ANSWERED;
	}
	if (!visits_may_try(&access->visits, span_text(address_host_text(&request->peer, host)), now)) {
		bar(reply);
		return HTTP_ANSWERED;
	}
	if (!web_field(request->body, "user", caller.user, sizeof caller.user) ||
		!web_field(request->body, "password", password, sizeof password)) {
		(void)refuse(reply, 400, "a form with user and password is expected");
		return HTTP_ANSWERED;
	}
	proof = proves(access, request, caller.user, password, now, &caller.admin, &secret);
	secret_wipe(password, sizeof password);
	if (proof == PROOF_LATER)
		return HTTP_LATER;
	if (proof == PROOF_UNKNOWN) {
		(void)refuse(reply, 503,
			"who knows this user's password could not be asked (PostgreSQL, PAM or a directory); the log says why");
		return HTTP_ANSWERED;
	}
	if (proof != PROOF_HOLDS) {
		(void)refuse(reply, 403, "wrong password, or neither in admin_users nor in stats_users");
		return HTTP_ANSWERED;
	}
	entropy_fill(random, sizeof random);
	visit = visits_enter(&access->visits, caller.user, secret, random, now);
	secret_wipe(random, sizeof random);
	text_copy(caller.csrf, sizeof caller.csrf, visit->csrf);
	set_cookie(access, reply, visit->token);
	log_line(LOG_LOG, "http: user \"%s\" at %s logged in", visit->user, host);
	reply->type = "application/json";
	if (!access_write(&reply->body, &caller))
		(void)refuse(reply, 503, "out of memory");
	return HTTP_ANSWERED;
}

void access_logout(struct access *access, const struct http_request *request, struct http_reply *reply)
{
	struct span token;

	if (web_cookie(header(request, "Cookie"), COOKIE, &token))
		visits_leave(&access->visits, token);
	set_cookie(access, reply, "");
	web_say(reply, 200, "state", "logged out");
}
