#include "auth/login.h"

#include <stdlib.h>

#include "auth/digest.h"
#include "auth/exchange.h"
#include "auth/scram.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/reader.h"
#include "base/text.h"

/* One login as a small machine. What we ask for depends on the method and on the secret:
 *
 *   method \ secret    none, unknown     plain        md5          scram
 *   ANY                OK                OK           OK           OK
 *   TRUST              unknown: fails    OK           OK           OK
 *   PLAIN              cleartext, fails  cleartext    cleartext    cleartext
 *   MD5                md5, fails (*)    md5          md5          SCRAM
 *   SCRAM              SCRAM, fails      SCRAM        SCRAM, fails SCRAM
 *   PAM, LDAP          cleartext, judged elsewhere, whatever the secret
 *
 *   (*) SCRAM where setup says so: a stranger must look like somebody.
 *
 *              ANSWER ------------------------> DONE      cleartext, md5: one answer decides
 *              FIRST -- client-first --> FINAL -- client-final --> DONE
 *
 * "Fails" means at the end: until then each message has the shape, and the salt the constancy, that a known user's would
 * have. A mock exchange computes all that a real one computes, over keys that nobody's proof fits. What it can not
 * imitate is the one PBKDF2 that the first login of a plain secret costs. */

enum login_state { STATE_ANSWER, STATE_FIRST, STATE_FINAL, STATE_DONE };

struct login {
	enum auth_method method; /* as it is held: MD5 becomes SCRAM at the start */
	enum login_state state;
	bool mock; /* can not succeed */
	struct secret_mock like;
	const struct secret *secret;
	uint32_t iterations;
	uint8_t random[64], salt[SCRAM_SALT_LENGTH];
	const char *problem;

	/* SCRAM: which verifier, the messages so far as AuthMessage wants them, and our whole nonce. */
	const struct scram_verifier *verifier;
	struct scram_verifier mock_verifier;
	struct buf messages, nonce;
	uint8_t binding[SCRAM_BINDING_MAX];
	size_t binding_length; /* 0: channel binding is not offered */
	bool plus;             /* the client chose it */
	char flag;             /* of channel binding: n, y or p */

	bool has_key;
	uint8_t client_key[SCRAM_KEY_LENGTH];
	struct buf password;
	size_t user_length;
	char user[];
};

static struct span user_of(const struct login *l)
{
	return span_of(l->user, l->user_length);
}

/* The salt of this user for as long as the process lives, unless the file gives one. */
static void choose_salt(struct login *l, const uint8_t process[32])
{
	uint8_t sum[SHA256_LENGTH];

	size_t length = l->like.salt_length > 0 ? l->like.salt_length : sizeof l->salt, part;

	sha256(sum, user_of(l), span_of(process, 32));
	memcpy(l->salt, sum, sizeof l->salt);
	l->mock_verifier = (struct scram_verifier){
		.iterations = l->like.iterations ? l->like.iterations : l->iterations, .salt_length = length
	};
	for (size_t at = 0; at < length; at += part) {
		part = length - at < sizeof sum ? length - at : sizeof sum;
		memcpy(l->mock_verifier.salt + at, sum, part);
		sha256(sum, span_of(sum, sizeof sum), span_of(process, 32));
	}
	memcpy(l->mock_verifier.stored_key, l->random + 32, SCRAM_KEY_LENGTH);
}

/* The request for SCRAM: a list of one mechanism, or of two, the better one first. False: memory is refused. */
static bool begin_scram(struct login *l, struct writer *w)
{
	static const char list[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
	size_t skip = l->binding_length > 0 ? 0 : sizeof SCRAM_MECHANISM_PLUS;

	if (!l->mock) {
		l->verifier = secret_verifier(l->secret, l->salt, l->iterations);
		if (!l->verifier)
			return false;
	} else {
		l->verifier = &l->mock_verifier;
	}
	l->state = STATE_FIRST;
	write_request(w, REQUEST_SASL, span_of(list + skip, sizeof list - skip));
	return true;
}

static enum login_result finish(struct login *l, enum login_result result)
{
	l->state = STATE_DONE;
	return result;
}

static enum login_result broken(struct login *l, const char *problem)
{
	l->problem = problem;
	return finish(l, LOGIN_BROKEN);
}

static enum login_result begin(struct login *l, enum secret_kind kind, struct writer *w)
{
	bool known = l->secret != NULL;

	switch (l->method) {
	case AUTH_ANY:
		return finish(l, LOGIN_OK);
	case AUTH_TRUST:
		return finish(l, known ? LOGIN_OK : LOGIN_FAILED);
	case AUTH_PLAIN:
		l->mock = kind == SECRET_NONE;
		l->state = STATE_ANSWER;
		write_request(w, REQUEST_CLEARTEXT, span_of("", 0));
		return LOGIN_MORE;
	case AUTH_MD5:
		if (kind != SECRET_SCRAM && (known || !l->like.scram)) {
			l->mock = kind == SECRET_NONE;
			l->state = STATE_ANSWER;
			write_request(w, REQUEST_MD5, span_of(l->random, MD5_SALT_LENGTH));
			return LOGIN_MORE;
		}
		l->method = AUTH_SCRAM;
		break;
	case AUTH_PAM:
	case AUTH_LDAP:
		l->state = STATE_ANSWER;
		write_request(w, REQUEST_CLEARTEXT, span_of("", 0));
		return LOGIN_MORE;
	case AUTH_SCRAM:
	case AUTH_HBA: /* refused by login_new */
	case AUTH_CERT:
		break;
	}
	l->mock = kind != SECRET_PLAIN && kind != SECRET_SCRAM;
	return begin_scram(l, w) ? LOGIN_MORE : broken(l, "out of memory");
}

bool login_draws(enum auth_method method)
{
	return method != AUTH_ANY && method != AUTH_TRUST && method != AUTH_CERT;
}

struct login *login_new(const struct login_setup *setup, struct writer *w, enum login_result *result)
{
	struct login *l = memory_zeroed(sizeof *l + setup->user.length + 1);

	if (!l)
		return NULL;
	check(setup->method != AUTH_HBA && setup->method != AUTH_CERT);
	check(setup->random || !login_draws(setup->method));
	l->method = setup->method;
	l->secret = setup->secret;
	l->like = setup->mock;
	l->iterations = setup->scram_iterations ? setup->scram_iterations : 4096;
	l->user_length = setup->user.length;
	text_copy_span(l->user, setup->user.length + 1, setup->user);
	if (setup->random)
		memcpy(l->random, setup->random, sizeof l->random);
	if (setup->binding.length > 0 && setup->binding.length <= sizeof l->binding) {
		l->binding_length = setup->binding.length;
		memcpy(l->binding, setup->binding.at, setup->binding.length);
	}
	if (l->method != AUTH_ANY && l->method != AUTH_TRUST)
		choose_salt(l, setup->process);
	*result = begin(l, l->secret ? l->secret->kind : SECRET_NONE, w);
	return l;
}

/* ---- one answer: cleartext and md5 */

static bool md5_fits(struct login *l, struct span given)
{
	char inner[MD5_HEX_LENGTH + 1], outer[MD5_HEX_LENGTH + 1];
	const char *kept = l->secret && l->secret->text ? l->secret->text : "";
	bool done = true, fits;

	if (!l->mock && l->secret->kind == SECRET_MD5)
		text_copy(inner, sizeof inner, kept + 3);
	else
		done = md5_hex(inner, span_text(kept), user_of(l));
	done = md5_hex(outer, span_text(inner), span_of(l->random, MD5_SALT_LENGTH)) && done;
	fits = given.length == 3 + MD5_HEX_LENGTH && memcmp(given.at, "md5", 3) == 0 &&
		secret_equal(given.at + 3, outer, MD5_HEX_LENGTH);
	secret_wipe(inner, sizeof inner);
	secret_wipe(outer, sizeof outer);
	return done && fits && !l->mock;
}

/* A cleartext password against a verifier. */
static bool scram_fits(const struct scram_verifier *v, struct span given)
{
	struct scram_keys keys;
	bool fits;

	fits = scram_keys_make(&keys, given, span_of(v->salt, v->salt_length), v->iterations) &&
		secret_equal(keys.stored_key, v->stored_key, SCRAM_KEY_LENGTH);
	secret_wipe(&keys, sizeof keys);
	return fits;
}

static bool cleartext_fits(struct login *l, struct span given)
{
	enum secret_kind kind = l->mock ? SECRET_NONE : l->secret->kind;
	char sum[MD5_HEX_LENGTH + 1];
	bool fits = false;

	switch (kind) {
	case SECRET_NONE:
		/* For the time that it takes. */
		if (!l->secret && l->like.scram)
			scram_fits(&l->mock_verifier, given);
		else
			md5_hex(sum, given, user_of(l));
		secret_wipe(sum, sizeof sum);
		break;
	case SECRET_PLAIN:
		fits = given.length == strlen(l->secret->text) && secret_equal(given.at, l->secret->text, given.length);
		break;
	case SECRET_MD5:
		fits = md5_hex(sum, given, user_of(l)) && secret_equal(sum, l->secret->text + 3, MD5_HEX_LENGTH);
		secret_wipe(sum, sizeof sum);
		break;
	case SECRET_SCRAM:
		fits = scram_fits(secret_verifier(l->secret, l->salt, l->iterations), given);
		break;
	}
	return fits;
}

static bool is_elsewhere(const struct login *l)
{
	return l->method == AUTH_PAM || l->method == AUTH_LDAP;
}

static enum login_result take_answer(struct login *l, struct span body)
{
	struct reader r = reader_of(body);
	struct span given = read_string(&r);

	if (!reader_done(&r))
		return broken(l, "invalid password packet");
	if (given.length == 0)
		return broken(l, "empty password returned by client");
	if (given.length > SECRET_MAX)
		return broken(l, "password too long");
	if (l->method == AUTH_MD5)
		return finish(l, md5_fits(l, given) ? LOGIN_OK : LOGIN_FAILED);
	if (!is_elsewhere(l) && !cleartext_fits(l, given))
		return finish(l, LOGIN_FAILED);
	if (!buf_add_span(&l->password, given))
		return broken(l, "out of memory");
	return finish(l, is_elsewhere(l) ? LOGIN_ELSEWHERE : LOGIN_OK);
}

/* ---- SCRAM */

#define MALFORMED "malformed SCRAM message"

/* SASLInitialResponse: the mechanism, and the client's first message with its length or -1. */
static bool open_envelope(struct span body, struct span *mechanism, bool *empty, struct span *message)
{
	struct reader r = reader_of(body);
	int32_t length;

	*mechanism = read_string(&r);
	length = read_i32(&r);
	*empty = length == -1;
	*message = *empty ? span_of("", 0) : read_bytes(&r, length < 0 ? SIZE_MAX : (size_t)length);
	return reader_done(&r);
}

/* server-first: the client's nonce with ours behind it, salt and iterations. Kept as our nonce and for AuthMessage. */
static bool write_server_first(struct login *l, struct span client_nonce, struct span bare, struct writer *w)
{
	const struct scram_verifier *v = l->verifier;
	char ours[BASE64_LENGTH(SCRAM_NONCE_BYTES) + 1], salt[BASE64_LENGTH(SCRAM_SALT_MAX) + 1];
	size_t begin;

	base64_write(ours, l->random, SCRAM_NONCE_BYTES);
	base64_write(salt, v->salt, v->salt_length);
	if (!buf_add_span(&l->nonce, client_nonce) || !buf_add(&l->nonce, ours, strlen(ours)) ||
		!buf_add_span(&l->messages, bare) || !buf_add(&l->messages, ",", 1))
		return false;
	begin = l->messages.length;
	if (!buf_format(&l->messages, "r=%.*s,s=%s,i=%u", (int)l->nonce.length, (const char *)buf_span(&l->nonce).at,
		    salt, v->iterations))
		return false;
	write_request(w, REQUEST_SASL_CONTINUE, span_skip(buf_span(&l->messages), begin));
	return true;
}

/* The header of client-first: what the client thinks of channel binding. NULL: *rest is what follows it; else what is wrong.
 *
 * "y" says that we seem not to offer it. When we do, somebody has taken it off our list, and sits in between (RFC 5802, section 6). */
static const char *take_header(struct login *l, struct span message, struct span *rest)
{
	struct span kind;

	if (message.length < 2)
		return MALFORMED;
	l->flag = (char)message.at[0];
	if (l->flag == 'p' && scram_take(&message, 'p', &kind)) {
		if (l->binding_length == 0)
			return "client requires SCRAM channel binding, but it is not supported";
		if (!l->plus)
			return "client chose SCRAM-SHA-256 without channel binding, but binds its message to the channel";
		if (!span_is(kind, SCRAM_BINDING))
			return "client requires an unsupported kind of SCRAM channel binding";
	} else if ((l->flag == 'n' || l->flag == 'y') && message.at[1] == ',') {
		if (l->flag == 'y' && l->binding_length > 0)
			return "client supports SCRAM channel binding, but believes that it is not offered here: it is";
		if (l->plus)
			return "client chose SCRAM-SHA-256-PLUS, but does not bind its message to the channel";
		message = span_skip(message, 2);
	} else {
		return MALFORMED;
	}
	if (message.length > 0 && message.at[0] == 'a')
		return "client uses authorization identity, but it is not supported";
	if (message.length == 0 || message.at[0] != ',')
		return MALFORMED;
	*rest = span_skip(message, 1);
	return NULL;
}

/* client-first (RFC 5802, section 7): the header, then n=user (which is ignored: the startup packet said who), r=nonce. */
static enum login_result take_first_message(struct login *l, struct span message, struct writer *w)
{
	struct span bare, rest, name, nonce;
	const char *problem;

	if (message.length > SCRAM_MESSAGE_MAX || memchr(message.at, 0, message.length))
		return broken(l, MALFORMED);
	problem = take_header(l, message, &bare);
	if (problem)
		return broken(l, problem);
	rest = bare;
	if (rest.length > 0 && rest.at[0] == 'm')
		return broken(l, "client requires an unsupported SCRAM extension");
	if (!scram_take(&rest, 'n', &name) || !scram_take(&rest, 'r', &nonce))
		return broken(l, MALFORMED);
	if (!scram_nonce_ok(nonce))
		return broken(l, "non-printable characters in SCRAM nonce, or too many");
	/* Extensions may follow; RFC 5802 wants unknown optional ones ignored. */
	if (!write_server_first(l, nonce, bare, w))
		return broken(l, "out of memory");
	l->state = STATE_FINAL;
	return LOGIN_MORE;
}

static enum login_result take_first(struct login *l, struct span body, struct writer *w)
{
	struct span mechanism, message;
	bool empty;

	/* A client may send its first message only after an empty challenge; then it comes bare. */
	if (l->flag == '-')
		return take_first_message(l, body, w);
	if (!open_envelope(body, &mechanism, &empty, &message))
		return broken(l, "invalid SASL initial response");
	l->plus = l->binding_length > 0 && span_is(mechanism, SCRAM_MECHANISM_PLUS);
	if (!l->plus && !span_is(mechanism, SCRAM_MECHANISM))
		return broken(l, "client selected an invalid SASL authentication mechanism");
	if (!empty)
		return take_first_message(l, message, w);
	l->flag = '-';
	write_request(w, REQUEST_SASL_CONTINUE, span_of("", 0));
	return LOGIN_MORE;
}

/* Split client-final at its last attribute, the proof. */
static bool split_proof(struct span message, struct span *before, uint8_t proof[SCRAM_KEY_LENGTH])
{
	size_t at = message.length;

	while (at > 0 && message.at[at - 1] != ',')
		at--;
	if (at == 0)
		return false;
	*before = span_of(message.at, at - 1);
	message = span_skip(message, at);
	return message.length > 2 && memcmp(message.at, "p=", 2) == 0 &&
		base64_read(proof, SCRAM_KEY_LENGTH, span_skip(message, 2)) == SCRAM_KEY_LENGTH;
}

/* Proof and answer; the messages are all there. */
static enum login_result judge(struct login *l, const uint8_t proof[SCRAM_KEY_LENGTH], struct writer *w)
{
	uint8_t key[SCRAM_KEY_LENGTH], signature[SCRAM_KEY_LENGTH];
	char final[2 + BASE64_LENGTH(SCRAM_KEY_LENGTH) + 1] = "v=";
	bool fits = scram_proof_fits(proof, l->verifier->stored_key, buf_span(&l->messages), key);

	hmac_sha256(signature, span_of(l->verifier->server_key, SCRAM_KEY_LENGTH), buf_span(&l->messages));
	base64_write(final + 2, signature, sizeof signature);
	if (fits && !l->mock) {
		memcpy(l->client_key, key, sizeof key);
		l->has_key = true;
		write_request(w, REQUEST_SASL_FINAL, span_text(final));
	}
	secret_wipe(key, sizeof key);
	return finish(l, l->has_key ? LOGIN_OK : LOGIN_FAILED);
}

static enum login_result take_final(struct login *l, struct span message, struct writer *w)
{
	struct span rest, channel, nonce;
	uint8_t proof[SCRAM_KEY_LENGTH];
	char expected[SCRAM_CHANNEL_LENGTH + 1];

	if (message.length > SCRAM_MESSAGE_MAX || memchr(message.at, 0, message.length) ||
		!split_proof(message, &rest, proof))
		return broken(l, MALFORMED);
	if (!buf_add(&l->messages, ",", 1) || !buf_add_span(&l->messages, rest))
		return broken(l, "out of memory");
	if (!scram_take(&rest, 'c', &channel) || !scram_take(&rest, 'r', &nonce))
		return broken(l, MALFORMED);
	/* Bound to another certificate: somebody in between has one of his own. */
	scram_channel_write(expected, l->flag, span_of(l->binding, l->binding_length));
	if (!span_is(channel, expected))
		return broken(l,
			l->plus ? "SCRAM channel binding check failed"
				: "unexpected SCRAM channel-binding attribute in client-final-message");
	if (!span_equal(nonce, buf_span(&l->nonce)))
		return broken(l, "invalid SCRAM response: nonce does not match");
	return judge(l, proof, w);
}

enum login_result login_take(struct login *l, struct span body, struct writer *w)
{
	switch (l->state) {
	case STATE_ANSWER:
		return take_answer(l, body);
	case STATE_FIRST:
		return take_first(l, body, w);
	case STATE_FINAL:
		return take_final(l, body, w);
	case STATE_DONE:
		break;
	}
	check(!"a login that has ended takes no more messages");
	return LOGIN_BROKEN;
}

void login_free(struct login *l)
{
	if (!l)
		return;
	buf_wipe(&l->messages);
	buf_wipe(&l->nonce);
	buf_wipe(&l->password);
	secret_wipe(l, sizeof *l + l->user_length);
	free(l);
}

const char *login_problem(const struct login *l)
{
	return l->problem ? l->problem : "";
}

const char *login_refusal(const struct login *l)
{
	switch (l->method) {
	case AUTH_TRUST:
		return "\"trust\" authentication failed";
	case AUTH_SCRAM:
		return "SASL authentication failed";
	case AUTH_PAM:
		return "PAM authentication failed";
	case AUTH_LDAP:
		return "LDAP authentication failed";
	case AUTH_ANY:
	case AUTH_PLAIN:
	case AUTH_MD5:
	case AUTH_HBA:
	case AUTH_CERT:
		break;
	}
	return "password authentication failed";
}

const char *login_reason(const struct login *l)
{
	if (is_elsewhere(l))
		return NULL;
	if (!l->secret)
		return "no such user";
	if (l->secret->kind == SECRET_NONE)
		return "no password for this user";
	if (l->mock)
		return "an md5 secret, which does not do for scram-sha-256";
	return "wrong password";
}

bool login_client_key(const struct login *l, uint8_t key[SCRAM_KEY_LENGTH])
{
	if (l->has_key)
		memcpy(key, l->client_key, SCRAM_KEY_LENGTH);
	return l->has_key;
}

struct span login_password(const struct login *l)
{
	return buf_span(&l->password);
}
