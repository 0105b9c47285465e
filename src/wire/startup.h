#ifndef PGWEIR_WIRE_STARTUP_H
#define PGWEIR_WIRE_STARTUP_H

#include "base/reader.h"

/* The packets a client may send before anything else. Nothing here allocates: keys and values are
 * borrowed from the packet. PostgreSQL's own bound on a startup packet is 10,000 bytes, and the four of its length. */
#define STARTUP_MAX                    10004
#define STARTUP_PROTOCOL(major, minor) ((uint32_t)(major) << 16 | (minor))

enum startup_kind {
	STARTUP_MORE,     /* the packet is not whole yet */
	STARTUP_LOGIN,    /* protocol 3.x: read the parameters with startup_next */
	STARTUP_SSL,      /* SSLRequest */
	STARTUP_GSSENC,   /* GSSENCRequest */
	STARTUP_CANCEL,   /* CancelRequest: process id and secret are set */
	STARTUP_OLD,      /* protocol 2 or older */
	STARTUP_NEWER,    /* protocol 4 or newer */
	STARTUP_TOO_LONG, /* the length is beyond STARTUP_MAX: refuse before reading it */
	STARTUP_BAD       /* the layout is broken */
};

/* What we ask a server with: SSLRequest, whole. */
#define STARTUP_SSL_REQUEST \
	{ \
		0, 0, 0, 8, 4, 210, 22, 47 \
	}

struct startup {
	enum startup_kind kind;
	size_t length;       /* of the whole packet, to consume */
	uint32_t protocol;   /* as asked */
	uint32_t process_id; /* STARTUP_CANCEL */
	struct span secret;  /* STARTUP_CANCEL: 4 to 256 bytes */
	struct reader parameters;
	bool has_options; /* STARTUP_LOGIN: `options` is among them */
};

/* Look at the front of `bytes`. For a LOGIN the whole layout is checked: pairs of terminated strings, a final zero, nothing after. */
void startup_parse(struct span bytes, struct startup *out);

/* The next parameter; false at the end. Keys that start with "_pq_." are protocol options. */
bool startup_next(struct startup *, struct span *key, struct span *value);

/* Reads the `options` parameter as PostgreSQL does: words split at white space, a backslash takes the next byte as it is;
 * "-c name=value", "-cname=value", "--name=value" (in names, '-' stands for '_'). The caller owns `scratch` (at least as long as the value + 1);
 * results point into it and are terminated. */
struct startup_options {
	struct span rest;
	char *scratch;
};
enum startup_option { OPTION_SETTING, OPTION_END, OPTION_OTHER /* anything else; `name` has the word */ };
enum startup_option startup_option_next(struct startup_options *, char **name, char **value);

#endif
