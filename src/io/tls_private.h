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
	bool said_goodbye;
	int problem;   /* X509_V_OK, or what is wrong with the peer's certificate */
	char server[]; /* dialed: host, a blank, address; the key of its tickets */
};

/* One for each loop that has streams with TLS: where bytes are while OpenSSL works. Between two steps it is empty. */
#define BENCH_IN  32768 /* what is received at once: less than a LOOP_READ when decrypted, with a record that waited */
#define BENCH_OUT 65536

struct tls_bench {
	struct stream *stream; /* at work */
	const uint8_t *in;
	size_t in_left, out_length;
	bool refused; /* memory for what is to be sent */
	uint8_t received[BENCH_IN], out[BENCH_OUT], gather[16384];
};

#endif
