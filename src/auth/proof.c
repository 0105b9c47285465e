#include "auth/proof.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/digest.h"
#include "auth/exchange.h"
#include "auth/scram.h"
#include "base/check.h"
#include "base/reader.h"
#include "base/text.h"

/* What a server may ask of us, and what we answer with:
 *
 *   asked for \ we have    nothing   plain   md5   SCRAM verifier + client key
 *   (nothing: AuthOk)      yes       yes     yes   yes
 *   cleartext              -         yes     -     -
 *   md5                    -         yes     yes   -
 *   SCRAM-SHA-256(-PLUS)   -         yes     -     yes: pass-through
 *
 *   START --R10--> FIRST_SENT --R11--> FINAL_SENT --R12 and its signature fits--> PROVEN --R0--> done
 *     | R3, R5                                                                      ^
 *     +-----------------------------------------------------------------------------+
 *
 * Once SCRAM has begun, AuthenticationOk counts only from a server that has shown, by its signature, that it knows the
 * password too; and each request counts only once and in its place. A server can not make us compute without bound, nor
 * keep more than a few kilobytes. */

enum proof_state { STATE_START, STATE_FIRST_SENT, STATE_FINAL_SENT, STATE_PROVEN, STATE_DONE };

struct proof {
	enum proof_state state;
	enum secret_kind kind;
	struct buf text; /* SECRET_PLAIN: the password. SECRET_MD5: as in the file */
	bool has_key;    /* SCRAM by pass-through: verifier and client_key are set */
	struct scram_verifier verifier;
	uint8_t client_key[SCRAM_KEY_LENGTH];
	uint8_t server_key[SCRAM_KEY_LENGTH]; /* once known: the server's signature is checked with it */
	uint8_t random[32];
	uint8_t binding[SCRAM_BINDING_MAX];
	size_t binding_length; /* 0: there is no TLS to bind to */
	char flag;             /* n, y or p: see scram_header */
	char nonce[BASE64_LENGTH(SCRAM_NONCE_BYTES) + 1];
	struct buf messages; /* as AuthMessage wants them */
	char problem[256];
	size_t user_length;
	char user[];
};

struct proof *proof_new(const struct proof_setup *setup)
{
	struct proof *p = calloc(1, sizeof *p + setup->user.length + 1);
	const struct scram_verifier *verifier;

	if (!p)
		return NULL;
	p->user_length = setup->user.length;
	text_copy_span(p->user, setup->user.length + 1, setup->user);
	memcpy(p->random, setup->random, sizeof p->random);
	if (setup->binding.length > 0 && setup->binding.length <= sizeof p->binding) {
		p->binding_length = setup->binding.length;
		memcpy(p->binding, setup->binding.at, setup->binding.length);
	}
	p->kind = setup->secret ? setup->secret->kind : SECRET_NONE;
	if ((p->kind == SECRET_PLAIN || p->kind == SECRET_MD5) &&
		!buf_add_span(&p->text, span_text(setup->secret->text))) {
		proof_free(p);
		return NULL;
	}
	verifier = p->kind == SECRET_SCRAM ? atomic_load(&setup->secret->verifier) : NULL;
	if (verifier && setup->client_key) {
		p->has_key = true;
		p->verifier = *verifier;
		memcpy(p->client_key, setup->client_key, SCRAM_KEY_LENGTH);
	}
	return p;
}

static enum proof_result fail(struct proof *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum proof_result fail(struct proof *p, const char *format, ...)
{
	char reason[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof reason, format, arguments);
	va_end(arguments);
	text_format(p->problem, sizeof p->problem, "server login failed: %s", reason);
	p->state = STATE_DONE;
	return PROOF_FAILED;
}

/* PgBouncer's words, and behind them what is missing. */
static enum proof_result wrong_type(struct proof *p, const char *asked)
{
	static const char *const have[] = {
		[SECRET_NONE] = "no password is known for this user",
		[SECRET_PLAIN] = "a plain password is known",
		[SECRET_MD5] = "only an MD5 secret is known for this user",
		[SECRET_SCRAM] = "only a SCRAM secret is known, and no client has logged in with the password yet",
	};

	return fail(p, "wrong password type (the server asks for %s; %s)", asked,
		p->kind == SECRET_SCRAM && p->has_key ? "only a SCRAM secret is known" : have[p->kind]);
}

/* ---- cleartext and md5 */

static enum proof_result answer_cleartext(struct proof *p, struct reader *r, struct writer *w)
{
	if (!reader_done(r))
		return fail(p, "malformed request for a password");
	if (p->kind != SECRET_PLAIN)
		return wrong_type(p, "a cleartext password");
	write_password(w, buf_span(&p->text));
	p->state = STATE_PROVEN;
	return PROOF_MORE;
}

static enum proof_result answer_md5(struct proof *p, struct reader *r, struct writer *w)
{
	struct span salt = read_bytes(r, MD5_SALT_LENGTH);
	char answer[3 + MD5_HEX_LENGTH + 1] = "md5", inner[MD5_HEX_LENGTH + 1];
	bool done = true;

	if (!reader_done(r))
		return fail(p, "malformed request for an MD5 password");
	if (p->kind == SECRET_PLAIN)
		done = md5_hex(inner, buf_span(&p->text), span_of(p->user, p->user_length));
	else if (p->kind == SECRET_MD5)
		text_copy_span(inner, sizeof inner, span_skip(buf_span(&p->text), 3));
	else
		return wrong_type(p, "an MD5 password");
	done = md5_hex(answer + 3, span_text(inner), salt) && done;
	secret_wipe(inner, sizeof inner);
	if (!done)
		return fail(p, "this machine's OpenSSL refuses MD5");
	write_password(w, span_text(answer));
	p->state = STATE_PROVEN;
	return PROOF_MORE;
}

/* ---- SCRAM */

/* SASLInitialResponse with client-first; its name is empty, as PostgreSQL takes it from the startup packet. */
static enum proof_result begin_scram(struct proof *p, struct reader *r, struct writer *w)
{
	bool offered = false, plus = false, ended = false;
	const char *header;
	size_t mark;

	while (!ended && reader_ok(r)) {
		struct span mechanism = read_string(r);

		ended = mechanism.length == 0;
		offered = offered || span_is(mechanism, SCRAM_MECHANISM);
		plus = plus || (p->binding_length > 0 && span_is(mechanism, SCRAM_MECHANISM_PLUS));
	}
	if (!reader_done(r))
		return fail(p, "malformed list of SASL mechanisms");
	if (!offered && !plus)
		return fail(p, "the server offers no SASL mechanism that is supported (%s is)", SCRAM_MECHANISM);
	if (p->kind != SECRET_PLAIN && !p->has_key)
		return wrong_type(p, "SCRAM-SHA-256");
	base64_write(p->nonce, p->random, SCRAM_NONCE_BYTES);
	if (!buf_format(&p->messages, "n=,r=%s", p->nonce))
		return fail(p, "out of memory");
	/* "y": a server that did offer more than we were shown will know that its list was changed on the way. */
	p->flag = plus ? 'p' : p->binding_length > 0 ? 'y' : 'n';
	header = scram_header(p->flag);
	mark = message_begin(w, 'p');
	write_string(w, plus ? SCRAM_MECHANISM_PLUS : SCRAM_MECHANISM);
	write_u32(w, (uint32_t)(strlen(header) + p->messages.length));
	write_bytes(w, header, strlen(header));
	write_span(w, buf_span(&p->messages));
	message_end(w, mark);
	p->state = STATE_FIRST_SENT;
	return PROOF_MORE;
}

struct server_first {
	struct span nonce;
	uint32_t iterations;
	size_t salt_length;
	uint8_t salt[SCRAM_SALT_MAX];
};

/* NULL: well-formed, else what is wrong. */
static const char *parse_server_first(const struct proof *p, struct span message, struct server_first *out)
{
	struct span salt, iterations;
	size_t ours = strlen(p->nonce);
	int length;

	if (message.length > SCRAM_MESSAGE_MAX)
		return "the server's SCRAM message is too long";
	if (message.length > 0 && message.at[0] == 'm')
		return "the server requires an unsupported SCRAM extension";
	if (!scram_take(&message, 'r', &out->nonce) || !scram_take(&message, 's', &salt) ||
		!scram_take(&message, 'i', &iterations))
		return "malformed SCRAM message from the server";
	if (!scram_nonce_ok(out->nonce))
		return "the server's SCRAM nonce is malformed or too long";
	if (out->nonce.length <= ours || memcmp(out->nonce.at, p->nonce, ours) != 0)
		return "the server's SCRAM nonce does not begin with ours";
	length = base64_read(out->salt, sizeof out->salt, salt);
	if (length <= 0)
		return "the server's SCRAM salt is malformed or too long";
	out->salt_length = (size_t)length;
	if (!scram_iterations_read(iterations, &out->iterations))
		return "the server's SCRAM iteration count is malformed or out of bounds";
	return NULL;
}

/* ClientKey and ServerKey for what the server sent: computed from the password, or those that a client left us. */
static const char *choose_keys(struct proof *p, const struct server_first *first, uint8_t client_key[SCRAM_KEY_LENGTH])
{
	struct scram_keys keys;

	if (p->kind == SECRET_PLAIN) {
		if (!scram_keys_make(
			    &keys, buf_span(&p->text), span_of(first->salt, first->salt_length), first->iterations))
			return "out of memory";
		memcpy(client_key, keys.client_key, SCRAM_KEY_LENGTH);
		memcpy(p->server_key, keys.server_key, SCRAM_KEY_LENGTH);
		secret_wipe(&keys, sizeof keys);
		return NULL;
	}
	if (first->iterations != p->verifier.iterations ||
		!span_equal(
			span_of(first->salt, first->salt_length), span_of(p->verifier.salt, p->verifier.salt_length)))
		return "the server's SCRAM secret for this user is not the one known here (salt or iterations differ)";
	memcpy(client_key, p->client_key, SCRAM_KEY_LENGTH);
	memcpy(p->server_key, p->verifier.server_key, SCRAM_KEY_LENGTH);
	return NULL;
}

static enum proof_result answer_challenge(struct proof *p, struct span message, struct writer *w)
{
	uint8_t client_key[SCRAM_KEY_LENGTH], sum[SCRAM_KEY_LENGTH];
	char proof[BASE64_LENGTH(SCRAM_KEY_LENGTH) + 1], channel[SCRAM_CHANNEL_LENGTH + 1];
	struct server_first first;
	const char *problem = parse_server_first(p, message, &first);
	size_t begin, mark;

	if (!problem)
		problem = choose_keys(p, &first, client_key);
	if (problem)
		return fail(p, "%s", problem);
	scram_channel_write(channel, p->flag, span_of(p->binding, p->binding_length));
	begin = p->messages.length + 1 + message.length + 1;
	if (!buf_add(&p->messages, ",", 1) || !buf_add_span(&p->messages, message) ||
		!buf_format(&p->messages, ",c=%s,r=", channel) || !buf_add_span(&p->messages, first.nonce)) {
		secret_wipe(client_key, sizeof client_key);
		return fail(p, "out of memory");
	}
	scram_proof(sum, client_key, buf_span(&p->messages));
	base64_write(proof, sum, sizeof sum);
	secret_wipe(client_key, sizeof client_key);
	mark = message_begin(w, 'p');
	write_span(w, span_skip(buf_span(&p->messages), begin));
	write_bytes(w, ",p=", 3);
	write_bytes(w, proof, strlen(proof));
	message_end(w, mark);
	p->state = STATE_FINAL_SENT;
	return PROOF_MORE;
}

/* For a log line: what a server said, without what would upset a terminal. */
static void copy_printable(char *out, size_t size, struct span text)
{
	size_t n = text_copy_span(out, size, text);

	for (size_t i = 0; i < n; i++) {
		if (out[i] < ' ' || out[i] > '~')
			out[i] = '?';
	}
}

static enum proof_result check_server(struct proof *p, struct span message)
{
	uint8_t given[SCRAM_KEY_LENGTH], expected[SCRAM_KEY_LENGTH];
	struct span value;
	char said[64];

	if (scram_take(&message, 'e', &value)) {
		copy_printable(said, sizeof said, value);
		return fail(p, "the server says: %s", said);
	}
	if (!scram_take(&message, 'v', &value) || base64_read(given, sizeof given, value) != SCRAM_KEY_LENGTH)
		return fail(p, "malformed SCRAM message from the server");
	hmac_sha256(expected, span_of(p->server_key, SCRAM_KEY_LENGTH), buf_span(&p->messages));
	if (!secret_equal(given, expected, sizeof expected))
		return fail(p, "invalid server signature");
	p->state = STATE_PROVEN;
	return PROOF_MORE;
}

/* ---- the door */

static enum proof_result unsupported(struct proof *p, uint32_t request)
{
	static const char *const names[] = {
		[2] = "Kerberos V5", [4] = "crypt", [6] = "SCM credentials", [7] = "GSSAPI", [8] = "GSSAPI", [9] = "SSPI"
	};
	const char *name = request < sizeof names / sizeof *names ? names[request] : NULL;

	if (name)
		return fail(p, "the server asks for %s authentication, which is not supported", name);
	return fail(p, "the server asks for authentication %u, which is not known", request);
}

static enum proof_result accepted(struct proof *p, struct reader *r)
{
	if (!reader_done(r))
		return fail(p, "malformed AuthenticationOk");
	if (p->state != STATE_START && p->state != STATE_PROVEN)
		return fail(p, "the server accepted us without proving that it knows the password");
	p->state = STATE_DONE;
	return PROOF_OK;
}

enum proof_result proof_take(struct proof *p, struct span body, struct writer *w)
{
	struct reader r = reader_of(body);
	uint32_t request = read_u32(&r);
	struct span rest = read_bytes(&r, reader_left(&r));

	check(p->state != STATE_DONE);
	if (!reader_ok(&r))
		return fail(p, "malformed authentication request");
	r = reader_of(rest);
	if (request == REQUEST_OK)
		return accepted(p, &r);
	if (request == REQUEST_SASL_CONTINUE && p->state == STATE_FIRST_SENT)
		return answer_challenge(p, rest, w);
	if (request == REQUEST_SASL_FINAL && p->state == STATE_FINAL_SENT)
		return check_server(p, rest);
	if (p->state != STATE_START || request == REQUEST_SASL_CONTINUE || request == REQUEST_SASL_FINAL)
		return fail(p, "authentication request %u is out of place", request);
	switch (request) {
	case REQUEST_CLEARTEXT:
		return answer_cleartext(p, &r, w);
	case REQUEST_MD5:
		return answer_md5(p, &r, w);
	case REQUEST_SASL:
		return begin_scram(p, &r, w);
	default:
		return unsupported(p, request);
	}
}

const char *proof_problem(const struct proof *p)
{
	return p->problem;
}

void proof_free(struct proof *p)
{
	if (!p)
		return;
	buf_wipe(&p->text);
	buf_wipe(&p->messages);
	secret_wipe(p, sizeof *p + p->user_length);
	free(p);
}
