#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/ring.h"
#include "io/tls_private.h"

/* One stream's TLS, between the stream's owner, who knows plain bytes, and its socket.
 *
 *    dialed:    ASKS -- connected: the request is sent --> ASKED -- 'S' --> SHAKES -- done: CONNECTED --> OPEN
 *                                                            | 'N': CONNECTED, plain (optional), or ENDED
 *    accepted:  stream_secure ----------------------------------------------> SHAKES
 *                          any trouble, from anywhere but ASKS --> BROKEN: ENDED with EPROTO
 *
 *    socket -- recv --> bench->received -- SSL_read --> the loop's buffer, where a plain stream's bytes would be
 *    owner -- pieces gathered to records -- SSL_write --> bench->out -- send --> socket, or s->unsent when it takes no more
 *
 * Reading.  What came is decrypted at once and to its end, so that nothing ever waits inside OpenSSL but the beginning of a record: the
 *           kernel's "readable" is enough to go on by, and there is no SSL_pending to forget. A bench of received bytes makes
 *           fewer plain bytes than a read buffer has room for, with the record that had waited.
 * Writing.  OpenSSL writes into the bench, which never says "later"; so no operation of its own is ever half done, and none has to be
 *           repeated. What the kernel does not take is queued as on a plain stream, as sealed records.
 * Memory.   The bench belongs to the loop. An idle stream has its SSL and nothing else: OpenSSL gives its buffers back when they are
 *           empty (SSL_MODE_RELEASE_BUFFERS).
 * Errors.   See tls_bench.c.
 *
 * Only the bytes are looked after here. Pausing, resuming, taking turns, finishing and lingering are stream.c's, as for everybody. */

/* ---- birth and death ---- */

void tls_free(struct tls **at)
{
	struct tls *tls = *at;

	*at = NULL;
	if (!tls)
		return;
	if (tls->ssl) {
		/* OpenSSL makes a session useless whose connection was not ended in good order; ours mostly end otherwise. */
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(tls->ssl);
	}
	tls_context_drop(tls->context);
	block_free(&tls->unread);
	free(tls->trouble);
	free(tls);
}

static struct tls *tls_new(struct tls_context *context, const char *server)
{
	size_t length = strlen(server) + 1;
	struct tls *tls = calloc(1, sizeof *tls + length);
	BIO_METHOD *method = tls_bench_method();
	BIO *bio = NULL;

	if (!tls || !method)
		goto refused;
	memcpy(tls->server, server, length);
	tls->context = tls_context_keep(context);
	tls->phase = TLS_SHAKES;
	tls->ssl = SSL_new(context->ssl);
	bio = BIO_new(method);
	if (!tls->ssl || !bio)
		goto refused;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	bio = NULL;
	SSL_set_app_data(tls->ssl, tls);
	return tls;

refused:
	BIO_free(bio);
	tls_free(&tls);
	ERR_clear_error();
	return NULL;
}

/* Who must be at the other end. */
static bool expect(struct tls *tls, const char *host)
{
	X509_VERIFY_PARAM *asked = SSL_get0_param(tls->ssl);
	struct address numeric;
	bool is_name = !address_parse(host, 0, &numeric) && host[0] != '/' && host[0] != '@';

	if (is_name && SSL_set_tlsext_host_name(tls->ssl, host) != 1)
		return false;
	if (tls->context->check != TLS_CHECK_NAME)
		return true;
	if (!is_name)
		return X509_VERIFY_PARAM_set1_ip_asc(asked, host) == 1;
	X509_VERIFY_PARAM_set_hostflags(asked, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(asked, host, 0) == 1;
}

struct stream *stream_dial_tls(struct loop *loop, const struct address *to, const struct stream_options *options,
	const struct tls_dial *dial, void *owner)
{
	static const unsigned char protocol[] = "\12postgresql";
	struct stream *s;
	struct tls *tls;
	char server[400], where[ADDRESS_TEXT];

	check(to->family != ADDRESS_UNIX);
	text_format(server, sizeof server, "%s %s", dial->host, address_text(to, where));
	tls = tls_has_bench(loop) ? tls_new(dial->context, server) : NULL;
	if (!tls)
		goto refused;
	tls->phase = TLS_ASKS;
	tls->request = dial->request;
	tls->optional = dial->optional;
	tls->direct = dial->request.length == 0;
	SSL_set_connect_state(tls->ssl);
	if (!expect(tls, dial->host) ||
		(tls->direct && SSL_set_alpn_protos(tls->ssl, protocol, sizeof protocol - 1) != 0))
		goto refused;
	tls_sessions_offer(tls->context, tls->ssl, tls->server);
	s = stream_dial(loop, to, options, owner);
	if (!s) {
		tls_free(&tls);
		return NULL; /* errno says why */
	}
	s->tls = tls;
	s->secure = true;
	return s;

refused:
	ERR_clear_error();
	tls_free(&tls);
	errno = ENOMEM;
	return NULL;
}

bool stream_secure(struct stream *s, struct tls_context *context, bool direct)
{
	struct tls *tls;

	stream_push(s);
	check(s->state == STREAM_OPEN && !s->secure && s->family != ADDRESS_UNIX && !s->unsent);
	tls = tls_has_bench(s->loop) ? tls_new(context, "") : NULL;
	if (!tls)
		return false;
	tls->direct = direct;
	SSL_set_accept_state(tls->ssl);
	tls->unread = s->unread; /* what of it is lent just now is added when that look is over */
	s->tls = tls;
	s->secure = true;
	tls_guard(s);
	loop_queue(s->loop, s);
	return true;
}

/* ---- reading ---- */

#define CHATTER_MOST 65536

/* Decrypt what lies on the bench, to its end. Returns how much there is; an end was noted. */
static size_t decrypt(struct stream *s, uint8_t *into, size_t room)
{
	struct tls *tls = s->tls;
	size_t total = 0, got;
	int result;

	do {
		check(room > total);
		got = 0;
		result = SSL_read_ex(tls->ssl, into + total, room - total, &got);
		total += got;
	} while (result == 1);
	(void)tls_work_went_on(s, result, "TLS failed");
	tls_send_out(tls->bench);
	check(tls->bench->in_left == 0 || has_flag(s, FLAG_OVER));
	return total;
}

/* OpenSSL answers some records by itself (a renegotiation is declined, new keys are confirmed). A peer that sends nothing else and reads no
 * answer would have us queue them without end. */
static void note_chatter(struct stream *s, size_t queued_before)
{
	size_t queued = block_length(s->unsent);

	if (queued <= queued_before)
		return;
	s->tls->chatter = (queued_before > 0 ? s->tls->chatter : 0) + (uint32_t)(queued - queued_before);
	if (s->tls->chatter > CHATTER_MOST)
		tls_break_off(s, EPROTO, "the peer does not read what it is answered");
}

ssize_t tls_receive(struct stream *s, uint8_t *into, size_t room)
{
	struct tls_bench *bench = s->loop->bench;
	size_t queued = block_length(s->unsent), plain;
	ssize_t got = stream_receive(s, bench->received, BENCH_IN);

	if (got <= 0)
		return got;
	tls_begin_work(s, span_of(bench->received, (size_t)got));
	plain = decrypt(s, into, room);
	note_chatter(s, queued);
	return (ssize_t)plain;
}

/* ---- writing ---- */

/* False: it is broken off. */
static bool encrypt(struct stream *s, const void *bytes, size_t length)
{
	size_t taken;
	int result = length > 0 ? SSL_write_ex(s->tls->ssl, bytes, length, &taken) : 1;

	if (result == 1)
		return true;
	/* A peer that has sent half a message of a handshake keeps OpenSSL from writing; ours never are in pieces, nor are honest ones. */
	if (tls_work_went_on(s, result, "TLS failed"))
		tls_break_off(s, EPROTO, "the peer sends a message of a handshake in pieces");
	return false;
}

/* Small pieces share a record, each of which costs 22 bytes and a turn of the cipher; of a long one each record is cut from where it lies. */
bool tls_write(struct stream *s, const struct piece *pieces, size_t count)
{
	struct tls_bench *bench = s->loop->bench;
	size_t gathered = 0;
	bool ok = true;

	if (s->tls->phase != TLS_OPEN || has_flag(s, FLAG_FAILED))
		return true;
	tls_begin_work(s, span_of(NULL, 0));
	for (size_t i = 0; ok && i < count; i++) {
		struct span rest = span_of(pieces[i].at, pieces[i].length);

		while (ok && rest.length > 0) {
			size_t room = sizeof bench->gather - gathered, n = rest.length < room ? rest.length : room;

			if (gathered == 0 && n == sizeof bench->gather) {
				ok = encrypt(s, rest.at, n);
			} else {
				memcpy(bench->gather + gathered, rest.at, n);
				gathered += n;
				if (gathered == sizeof bench->gather) {
					ok = encrypt(s, bench->gather, gathered);
					gathered = 0;
				}
			}
			rest = span_skip(rest, n);
		}
	}
	if (ok)
		(void)encrypt(s, bench->gather, gathered);
	tls_send_out(bench);
	return !bench->refused;
}

/* ---- until it stands ---- */

/* What OpenSSL has left when the handshake is done is the owner's first bytes. */
static bool stand(struct stream *s, struct completion *out)
{
	struct tls *tls = s->tls;
	const unsigned char *protocol;
	unsigned protocol_length = 0;
	size_t n;

	SSL_get0_alpn_selected(tls->ssl, &protocol, &protocol_length);
	if (tls->direct && protocol_length == 0) {
		tls_break_off(s, EPROTO, "direct TLS without the protocol's name (ALPN \"postgresql\")");
		return false;
	}
	tls->phase = TLS_OPEN;
	n = decrypt(s, s->loop->buffer, LOOP_READ);
	if (n > 0 && !stream_keep(s, &tls->unread, span_of(s->loop->buffer, n)))
		tls_break_off(s, ENOMEM, "out of memory");
	if (tls->phase != TLS_OPEN)
		return false;
	tls->stood = true;
	if (n > 0)
		set_flag(s, FLAG_AGAIN);
	return stream_say(s, out, DONE_CONNECTED);
}

/* One step of the handshake, with these bytes. True: it stands, and that is said. */
static bool shake(struct stream *s, struct span received, struct completion *out)
{
	struct tls *tls = tls_begin_work(s, received);
	int result = SSL_do_handshake(tls->ssl);
	bool goes_on = tls_work_went_on(s, result, "TLS handshake failed");
	bool stands = goes_on && result == 1 && stand(s, out);

	tls_send_out(tls->bench);
	return stands;
}

static bool step_shaking(struct stream *s, struct completion *out)
{
	struct tls *tls = s->tls;
	struct block *early = tls->unread;

	/* The first step needs nothing from the kernel: we are who speaks first, or have heard already. */
	if (early || SSL_in_before(tls->ssl)) {
		struct span heard = early ? span_of(early->at + early->start, early->length) : span_of(NULL, 0);
		bool stands;

		tls->unread = NULL;
		clear_flag(s, FLAG_AGAIN);
		stands = shake(s, heard, out);
		block_free(&early);
		if (stands)
			return true;
	}
	while (has_flag(s, FLAG_READABLE) && !has_flag(s, FLAG_OVER)) {
		struct tls_bench *bench = s->loop->bench;
		ssize_t got = stream_receive(s, bench->received, BENCH_IN);

		if (got > 0 && shake(s, span_of(bench->received, (size_t)got), out))
			return true;
		if (has_flag(s, FLAG_FULL)) {
			clear_flag(s, FLAG_FULL);
			loop_queue_later(s->loop, s);
			return false;
		}
	}
	return false;
}

static void take_answer(struct stream *s, const uint8_t *bytes, ssize_t n)
{
	struct tls *tls = s->tls;

	/* Its words follow, in plain text, so that anybody could have put them there. */
	if (bytes[0] == 'E')
		tls_break_off(s, EPROTO, "the server answered the SSL request with an error");
	/* Bytes behind the answer were sent by somebody who did not wait for our handshake (CVE-2021-23222). */
	else if (n > 1)
		tls_break_off(s, EPROTO, "the server sent bytes in plain text behind its answer to the SSL request");
	else if (bytes[0] == 'S')
		tls->phase = TLS_SHAKES;
	else if (bytes[0] != 'N')
		tls_break_off(s, EPROTO, "the server answered the SSL request with something that is no answer");
	else if (!tls->optional)
		tls_break_off(s, EPROTO, "the server does not support SSL, but SSL was required");
}

/* The request is sent and one byte is to come. True: no, and it may stay plain. */
static bool step_asked(struct stream *s, struct completion *out)
{
	uint8_t *bytes = s->loop->bench->received;

	while (has_flag(s, FLAG_READABLE) && !has_flag(s, FLAG_OVER)) {
		ssize_t got = stream_receive(s, bytes, 16);

		clear_flag(s, FLAG_FULL);
		if (got <= 0)
			continue;
		take_answer(s, bytes, got);
		if (s->tls->phase == TLS_ASKED) {
			tls_leave(s);
			return stream_say(s, out, DONE_CONNECTED);
		}
		break;
	}
	return false;
}

struct block **tls_unread(struct tls *tls)
{
	return &tls->unread;
}

/* OpenSSL decrypts in buffers of its own; told so, it wipes there what it has handed out. */
void tls_guard(struct stream *s)
{
	if (s->secret)
		SSL_set_options(s->tls->ssl, SSL_OP_CLEANSE_PLAINTEXT);
	else
		SSL_clear_options(s->tls->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

bool tls_stood(const struct stream *s)
{
	return s->tls->stood;
}

bool tls_connected(struct stream *s)
{
	struct tls *tls = s->tls;
	struct piece piece = { tls->request.at, tls->request.length };

	check(tls->phase == TLS_ASKS);
	tls->phase = TLS_SHAKES;
	if (piece.length == 0)
		return true;
	tls->phase = TLS_ASKED;
	return stream_write_plain(s, &piece, 1);
}

bool tls_step(struct stream *s, struct completion *out)
{
	struct tls *tls = s->tls;

	clear_flag(s, FLAG_ROOM); /* what was queued until now was not the owner's */
	if (tls->phase == TLS_ASKED && step_asked(s, out))
		return true;
	if (tls->phase == TLS_SHAKES && step_shaking(s, out))
		return true;
	if (!has_flag(s, FLAG_OVER) || tls->phase == TLS_OPEN)
		return false;
	if (!tls->trouble && s->error == 0) {
		s->error = EPROTO;
		tls->trouble = strdup(tls->phase == TLS_ASKED
				? "the server closed the connection instead of answering the SSL request"
				: "the peer closed the connection in the middle of the TLS handshake");
	}
	return stream_say_ended(s, out);
}

void tls_arrive(struct stream *s, struct tls **at)
{
	s->tls = *at;
	s->secure = true;
	*at = NULL;
}

/* ---- the end ---- */

void tls_goodbye(struct stream *s)
{
	struct tls *tls = s->tls;

	if (tls->phase != TLS_OPEN || tls->said_goodbye || has_flag(s, FLAG_FAILED))
		return;
	tls->said_goodbye = true;
	tls_begin_work(s, span_of(NULL, 0));
	(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
	tls_send_out(tls->bench);
}

/* Plain from now on; what was not read is lost. */
void tls_leave(struct stream *s)
{
	/* The peer of a broken one has more to say, which is thrown away so that our alert reaches it. */
	if (s->tls->phase == TLS_BROKEN && s->error == EPROTO)
		clear_flag(s, FLAG_OVER);
	tls_free(&s->tls);
	s->secure = false;
	s->unread = NULL;
}
