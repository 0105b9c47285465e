#ifndef PGWEIR_SERVE_RELOAD_H
#define PGWEIR_SERVE_RELOAD_H

#include "serve/house.h"
#include "serve/serve.h"

/* How the configuration changes while we serve. False: nothing was changed, and `error` says why. */
struct letter_command;

/* RELOAD: all files are read again. The supervisor hears of it, and the log. True: `error` has what needs a restart, lines of it. */
bool reload(const struct serve_setup *, struct house *, char *error, size_t error_size);

/* SET: as it is, but for one setting. */
bool reload_with(
	const struct serve_setup *, struct house *, const struct letter_command *, char *error, size_t error_size);

/* How the log speaks, and where else. */
void reload_log(const struct serve_setup *, const struct config *);

#endif
