#ifndef PGWEIR_SERVE_LOAD_H
#define PGWEIR_SERVE_LOAD_H

#include "serve/house.h"
#include "serve/serve.h"

/* Read `file` (NULL: there is none; the options alone hold), the user list, the rules, keys and certificates: all of it, or nothing and the
 * reason. The caller owns what comes back. `tls_before` (may be NULL): what is in force. */
bool load(const struct serve_setup *, const char *file, const struct tls_pair *tls_before, struct config **,
	struct secrets **, struct tls_pair *, char *error, size_t error_size);

/* Warn of a resolv_conf that can not be read: c-ares says nothing of it, and asks this machine. */
void load_look_at_names(const struct config *);

/* What is odd in a configuration and no error goes to the log. */
void load_warn(void *context, const char *line);

#endif
