#ifndef PGWEIR_CONFIG_FROM_URL_H
#define PGWEIR_CONFIG_FROM_URL_H

#include "config/arena.h"
#include "config/config.h"

/* What `pgweir serve postgresql://user:password@host/database` means: the same overrides that a user would give by -o, and a list of
 * one user. Texts belong to the arena, and are wiped with it. */

#define FROM_URL_OVERRIDES 24

struct from_url {
	const char *user, *password, *database; /* password NULL: there is none; database NULL: any, the entry is "*" */
	struct config_override overrides[FROM_URL_OVERRIDES];
	size_t override_count;
	const char *users;   /* the text of an auth_file */
	const char *ignored; /* parameters that mean something to a driver alone, in a list; "" */
	struct arena arena;
};

struct from_url_setup {
	const char *url, *listen; /* listen: ADDRESS:PORT, ADDRESS or PORT; NULL: 127.0.0.1:6432 */
	const char *user, *password, *host, *database,
		*port; /* where the URL does not say; as libpq: PGUSER and so on. NULL: none */
};

/* False: `error` says what is wrong with which part, and never repeats the URL, since it may hold a password. */
bool from_url_read(struct from_url *, const struct from_url_setup *, char *error, size_t error_size);
void from_url_fini(struct from_url *);

#endif
