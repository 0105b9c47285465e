#ifndef PGWEIR_IO_TLS_PRIVATE_H
#define PGWEIR_IO_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "io/private.h"
#include "io/tls.h"

/* What tls_*.c share, and nobody else sees. */

struct tls_sessions; /* tls_sessions.c */

struct tls_context {
	SSL_CTX *ssl;
	atomic_uint references;
	enum tls_side side;
	enum tls_check check;
	struct tls_sessions *sessions; /* DIALS */
	char doubt[256];
};

/* OpenSSL's oldest error, with the certificate's error where that is the cause (0: none is known), in words; its queue is empty then. */
void tls_reason(char *out, size_t size, const char *otherwise, long certificate);

/* ---- keys and certificates in files (tls_files.c). False: `error`. ---- */

bool tls_load_files(struct tls_context *, const struct tls_setup *, char *error, size_t error_size);

/* ---- tickets that servers gave us (tls_sessions.c) ---- */

struct tls_sessions *tls_sessions_new(SSL_CTX *);
void tls_sessions_free(struct tls_sessions *);
void tls_sessions_offer(struct tls_context *, SSL *, const char *server); /* what was kept of this server */

/* ---- one stream's (tls_stream.c) ---- */

enum tls_phase {
	TLS_ASKS,   /* dialed: the request is to be sent */
	TLS_ASKED,  /* one byte will say yes or no */
	TLS_SHAKES, /* the handshake */
	TLS_OPEN,
	TLS_BROKEN /* nothing can be read or written any more */
};

/* With s->secure; it stands in the place of s->unread. */
struct tls {
	SSL *ssl;
	struct tls_context *context;
	struct tls_bench *bench; /* while OpenSSL works for it */
	struct block *unread;    /* plain bytes; before OPEN: bytes of the handshake that came early */
	char *trouble;
	struct span request;
	uint8_t phase; /* enum tls_phase */
	bool optional, direct;
	bool stood; /* CONNECTED was said */
	bool said_goodbye;
	uint32_t chatter; /* bytes queued that OpenSSL had to say by itself, while there was something queued */
	int problem;      /* X509_V_OK, or what is wrong with the peer's certificate */
	char server[];    /* dialed: host, a blank, address; the key of its tickets */
};

/* ---- where OpenSSL works (tls_bench.c) ---- */

/* One for each loop that has streams with TLS. Between two steps it is empty. A bench of received bytes and one record that had begun
 * before them fit into a read buffer when decrypted; what a read buffer becomes when encrypted is sent at once. */
#define BENCH_IN  (LOOP_READ - 20 * 1024)
#define BENCH_OUT (LOOP_READ + 20 * 1024)

struct tls_bench {
	struct stream *stream; /* at work */
	const uint8_t *in;
	size_t in_left, out_length;
	bool refused; /* memory for what is to be sent */
	uint8_t received[BENCH_IN], out[BENCH_OUT], gather[16384];
};

BIO_METHOD *tls_bench_method(void); /* NULL: memory refused */

/* OpenSSL is about to work for this stream, on these received bytes. */
struct tls *tls_begin_work(struct stream *, struct span received);

/* An operation returned `result`. True: it was done, or wants to read more. False: the end, noted; `what` was being done. */
bool tls_work_went_on(struct stream *, int result, const char *what);

/* Send what was made, or queue it. */
void tls_send_out(struct tls_bench *);

/* Nothing goes on. What OpenSSL has to say about it to the peer (an alert) is under way. */
void tls_break_off(struct stream *, int error, const char *trouble);

#endif
