#ifndef PGWEIR_TOOL_STRESS_OPTIONS_H
#define PGWEIR_TOOL_STRESS_OPTIONS_H

#include "tool/stress.h"


/* The command line of `pgweir stress`; texts are borrowed from it. False: `error`. */
bool stress_options_read(int argc, char **argv, struct stress_plan *, char *error, size_t error_size);

/* Take a URL apart, into target, host, port, path and tls; false: `error`. postgresql:// stays as it is, for libpq. */
bool stress_url_read(const char *url, struct stress_plan *, char *error, size_t error_size);

/* Whether this leads to this machine and nowhere else: a numeric loopback address, localhost, or a unix socket's folder. */
bool stress_host_is_here(const char *host);

#endif
