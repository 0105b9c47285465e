#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/tls_private.h"

/* Where OpenSSL works for a stream: what was received lies before it, what it makes is laid aside and sent when it is done. It never
 * touches a socket, and is never told that there is no room.
 *
 *    tls_begin_work -- SSL_read, SSL_write, SSL_do_handshake, SSL_shutdown -- tls_work_went_on? -- tls_send_out
 *
 * OpenSSL's queue of errors is one for each thread: it is emptied before each operation, and read only after one that failed. So no stream
 * hears of another's. */

_Static_assert(BENCH_IN + SSL3_RT_MAX_ENCRYPTED_LENGTH <= LOOP_READ, "what is received at once fits when decrypted");

/* ---- between OpenSSL and the bench ---- */

void tls_send_out(struct tls_bench *bench)
{
	struct stream *s = bench->stream;
	struct piece piece = { bench->out, bench->out_length };

	bench->out_length = 0;
	if (piece.length > 0 && !stream_write_plain(s, &piece, 1))
		bench->refused = true;
}

static int bench_write(BIO *bio, const char *bytes, size_t n, size_t *taken)
{
	struct tls_bench *bench = ((struct tls *)BIO_get_data(bio))->bench;

	BIO_clear_retry_flags(bio);
	*taken = n;
	while (n > 0) {
		size_t room = BENCH_OUT - bench->out_length, part = n < room ? n : room;

		memcpy(bench->out + bench->out_length, bytes, part);
		bench->out_length += part;
		bytes += part;
		n -= part;
		if (bench->out_length == BENCH_OUT)
			tls_send_out(bench);
	}
	return bench->refused ? -1 : 1;
}

static int bench_read(BIO *bio, char *into, size_t room, size_t *got)
{
	struct tls_bench *bench = ((struct tls *)BIO_get_data(bio))->bench;

	BIO_clear_retry_flags(bio);
	*got = room < bench->in_left ? room : bench->in_left;
	if (*got == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(into, bench->in, *got);
	bench->in += *got;
	bench->in_left -= *got;
	return 1;
}

static long bench_control(BIO *bio, int command, long number, void *at)
{
	(void)bio;
	(void)number;
	(void)at;
	return command == BIO_CTRL_FLUSH; /* the bench is sent at the end of each step */
}

BIO_METHOD *tls_bench_method(void)
{
	static _Atomic(BIO_METHOD *) made;
	BIO_METHOD *method = atomic_load(&made), *before = NULL;

	if (method)
		return method;
	method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "bench");
	if (!method || BIO_meth_set_write_ex(method, bench_write) != 1 ||
		BIO_meth_set_read_ex(method, bench_read) != 1 || BIO_meth_set_ctrl(method, bench_control) != 1) {
		BIO_meth_free(method);
		return NULL;
	}
	if (atomic_compare_exchange_strong(&made, &before, method))
		return method;
	BIO_meth_free(method); /* another thread was faster */
	return before;
}

bool tls_has_bench(struct loop *loop)
{
	if (!loop->bench)
		loop->bench = calloc(1, sizeof *loop->bench);
	return loop->bench != NULL;
}

struct tls *tls_begin_work(struct stream *s, struct span received)
{
	struct tls_bench *bench = s->loop->bench;

	bench->stream = s;
	bench->in = received.at;
	bench->in_left = received.length;
	bench->out_length = 0;
	bench->refused = false;
	s->tls->bench = bench;
	ERR_clear_error();
	return s->tls;
}

void tls_break_off(struct stream *s, int error, const char *trouble)
{
	struct tls *tls = s->tls;

	free(tls->trouble);
	tls->trouble = strdup(trouble);
	tls->phase = TLS_BROKEN;
	if (!has_flag(s, FLAG_FAILED | FLAG_OVER))
		s->error = (uint16_t)error;
	set_flag(s, FLAG_OVER | FLAG_HANGUP);
	loop_queue(s->loop, s);
}

bool tls_work_went_on(struct stream *s, int result, const char *what)
{
	struct tls *tls = s->tls;
	struct tls_bench *bench = tls->bench;
	char text[300], reason[200];
	int error = SSL_get_error(tls->ssl, result);

	if (result > 0)
		return true;
	if (bench->refused) {
		ERR_clear_error();
		tls_break_off(s, ENOMEM, "out of memory");
		return false;
	}
	switch (error) {
	case SSL_ERROR_WANT_READ:
		return true;
	case SSL_ERROR_ZERO_RETURN: /* the peer said that it sends no more: as good as the socket's end */
		if (!has_flag(s, FLAG_FAILED | FLAG_OVER))
			s->error = 0;
		set_flag(s, FLAG_OVER | FLAG_HANGUP);
		return false;
	default:
		tls_reason(reason, sizeof reason, "the peer broke off", tls->problem);
		text_format(text, sizeof text, "%s: %s", what, reason);
		tls_break_off(s, EPROTO, text);
		return false;
	}
}
