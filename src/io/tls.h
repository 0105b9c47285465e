#ifndef PGWEIR_IO_TLS_H
#define PGWEIR_IO_TLS_H

#include "io/loop.h"

/* TLS for streams, by OpenSSL. A stream with TLS looks to its owner like any other: plain bytes in, plain bytes out. */

/* What one side of the pooler needs, made from its files: an SSL_CTX. Immutable and counted; every connection keeps the one that it
 * began with. Threads may share it. */
struct tls_context;

enum tls_side {
	TLS_ACCEPTS, /* towards clients: we have the certificate */
	TLS_DIALS    /* towards servers: they have it */
};

enum tls_check {
	TLS_CHECK_NOTHING,
	TLS_CHECK_WHEN_GIVEN, /* ACCEPTS: a client's certificate is asked for and looked at, but not needed: see tls_facts.verified */
	TLS_CHECK_CHAIN, /* the peer's certificate must lead to an authority of ca_file */
	TLS_CHECK_NAME   /* DIALS: and be for the host that was dialed */
};

struct tls_setup {
	enum tls_side side;
	enum tls_check check;
	const char *prefix; /* of the settings' names, for errors: "client_tls" */
	/* Paths; "": none. DIALS without ca_file takes the system's authorities. */
	const char *key_file, *cert_file, *ca_file;
	const char *crl_file;  /* certificates that were revoked; only where the peer's is looked at. May be NULL */
	const char *protocols; /* "secure", "all", "legacy" or a list as "tlsv1.2,tlsv1.3" */
	const char *ciphers; /* of TLS 1.2 and older: "default", "secure", "fast", "normal", "all" or as OpenSSL has it */
	const char *suites;    /* of TLS 1.3; "": OpenSSL's own */
	const char *curve;     /* "auto", "none" or OpenSSL's name; ACCEPTS only, "" is auto */
	const char *dheparams; /* "auto", "none" or "legacy"; ACCEPTS only, "" is auto */
};

/* NULL: `error` names the setting, the file and what is wrong with it. */
struct tls_context *tls_context_new(const struct tls_setup *, char *error, size_t error_size);
struct tls_context *tls_context_keep(struct tls_context *); /* NULL stays NULL, as below */
void tls_context_drop(struct tls_context *);

/* NULL, or that the own certificate is out of its time and since when. Both then show the same one: `same`. */
const char *tls_context_doubt(const struct tls_context *);
bool tls_context_same_certificate(const struct tls_context *, const struct tls_context *);

/* ---- streams ---- */

/* A dial that is not done until TLS is spoken. */
struct tls_dial {
	struct tls_context *context;
	const char *host; /* for the certificate's name and SNI; numeric addresses too. Copied */
	struct span
		request; /* sent first, in plain text, and answered by one byte: 'S' begins TLS, 'N' says no. Borrowed while the stream
			      * lives. Empty: TLS at once, and ALPN */
	bool optional; /* 'N': CONNECTED comes, and the stream stays plain */
};

/* As stream_dial; CONNECTED follows when TLS stands, or ENDED. */
struct stream *stream_dial_tls(
	struct loop *, const struct address *, const struct stream_options *, const struct tls_dial *, void *owner);

/* An accepted stream, open and plain, begins TLS. What is unread is already the handshake's. CONNECTED follows, or ENDED. `direct`: the
 * client asked by no word of the protocol's, so it must name it by ALPN. Nothing may be written until CONNECTED. False: memory
 * refused, nothing has changed. */
bool stream_secure(struct stream *, struct tls_context *, bool direct);

/* The stream speaks TLS, and CONNECTED was said. */
bool stream_is_secure(const struct stream *);

/* After ENDED with EPROTO: what was wrong, in words for the log. Otherwise NULL. Borrowed until the stream is closed. */
const char *stream_trouble(const struct stream *);

#define TLS_TEXT 96
struct tls_facts {
	char text[TLS_TEXT]; /* "TLSv1.3/TLS_AES_256_GCM_SHA384/ECDH=X25519", as PgBouncer shows it */
	bool certificate;    /* the peer gave one */
	bool verified;       /* and it leads to an authority of ca_file, now and for its purpose */
	bool resumed;        /* by a ticket of an earlier connection */
};
void stream_tls_facts(const struct stream *, struct tls_facts *);

/* Add the names in the peer's certificate, common names first, then DNS names, each with a zero byte at its end. False: memory refused. */
struct buf;
bool stream_tls_names(const struct stream *, struct buf *);

/* What ties a login to this connection: tls-server-end-point (RFC 5929, section 4), a hash of the server's certificate. Returns its
 * length; 0: none can be had (a signature without a hash, a plain stream). */
#define TLS_BINDING 64
size_t stream_tls_binding(const struct stream *, uint8_t out[TLS_BINDING]);

#endif
