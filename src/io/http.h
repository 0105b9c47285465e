#ifndef PGWEIR_IO_HTTP_H
#define PGWEIR_IO_HTTP_H

#include "base/buf.h"
#include "base/time.h"
#include "io/address.h"

/* An HTTP server (RFC 9112) of one thread, by libmicrohttpd. What any number of strangers may cost is bounded: how many connections, also
 * from one address; how large a request; how many bytes of answers wait to be read; and how long a connection may go without having taken
 * an answer whole. */
struct http;

#define HTTP_CONNECTIONS            96
#define HTTP_CONNECTIONS_OF_ADDRESS 64
#define HTTP_HEAD_BYTES             16384      /* of a request line with its headers */
#define HTTP_BODY_BYTES             4096       /* of a request's body */
#define HTTP_BYTES_WAITING          (48 << 20) /* of all answers that are not read yet; beyond it 503 is answered */
#define HTTP_PATIENCE               (30 * SECOND_US)

/* Borrowed while it is being answered. */
struct http_request {
	const char *method, *path; /* as sent; the path without its query, decoded */
	struct span body;
	struct address peer;
	time_us since;    /* when it was there as a whole */
	uint64_t number;  /* no other request has it */
	void *connection; /* for http_header */
};

/* The value of a header, borrowed. NULL: it was not sent, or more than once. */
const char *http_header(const struct http_request *, const char *name);

struct http_reply {
	unsigned status;
	const char *type; /* Content-Type; a literal */
	struct buf body;  /* taken */
	struct http_line {
		const char *name; /* a literal */
		char value[320];
	} lines[8]; /* more headers */
	size_t line_count;
};
void http_reply_line(struct http_reply *, const char *name, const char *value);

enum http_verdict {
	HTTP_ANSWERED, /* the reply is filled in */
	HTTP_LATER     /* ask again at http_resume */
};

struct http_setup {
	struct address address;
	const char *certificate, *key; /* PEM, for TLS; NULL: none */
	time_us patience; /* how long a connection may go without having taken an answer whole; 0: HTTP_PATIENCE */
	enum http_verdict (*answer)(void *context, const struct http_request *, struct http_reply *);
	void *context;
};

/* Bind and listen. NULL: `error`. */
struct http *http_open(const struct http_setup *, char *error, size_t error_size);
const struct address *http_address(const struct http *); /* with the port that the kernel chose */

/* Sleep until somebody asks something, http_wake was called or `deadline` has come (0: none), and see to all who ask. */
void http_turn(struct http *, time_us deadline);
void http_wake(struct http *); /* from any thread */

/* Requests that were put off are asked about again, in the next turn. By the thread that turns. */
void http_resume(struct http *);

void http_close(struct http **); /* NULL inside is fine */

#endif
