#ifndef PGWEIR_SERVE_LISTENING_H
#define PGWEIR_SERVE_LISTENING_H

#include "serve/takeover.h"

/* Where clients arrive. False: the house cannot do without what failed, and `error` says what it was. */

struct listen_setup listening_setup(const struct config *);

/* Everywhere where the configuration says. What the forerunner listens on is taken over, if there is one. */
bool listening_begin(struct house *, struct takeover *, const struct config *, char *error, size_t error_size);

/* So many sockets that were handed over stand for listen_addr and unix_socket_dir. */
bool listening_inherit(struct house *, unsigned count, const struct config *, char *error, size_t error_size);

#endif
