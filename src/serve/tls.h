#ifndef PGWEIR_SERVE_TLS_H
#define PGWEIR_SERVE_TLS_H

#include "config/config.h"
#include "io/tls.h"

/* The TLS of one configuration. Each of the two is counted and shared by all workers; NULL: that side is not encrypted. */
struct tls_pair {
	struct tls_context *clients, *servers;
};

/* The settings of TLS agree with one another and with the rest. False: `error`. Asked by tls_load too. */
bool tls_agrees(const struct config *, char *error, size_t error_size);

/* From the settings' files. `before`: what is in force, or NULL at the start. False: `error`; nothing was made. */
bool tls_load(
	const struct config *, const struct tls_pair *before, struct tls_pair *out, char *error, size_t error_size);

struct tls_pair tls_pair_keep(const struct tls_pair *);
void tls_pair_drop(struct tls_pair *);

/* Dial a server as the worker's configuration says: CONNECTED comes when TLS stands, where there is any. `host`: as the configuration
 * calls it. NULL: as for stream_dial. */
struct worker;
struct stream *tls_dial_server(struct worker *, const struct address *, const char *host, void *owner);

/* Why a stream ended, in words; `otherwise` where it ended well. */
const char *tls_why_ended(const struct stream *, int error, const char *otherwise);

#endif
