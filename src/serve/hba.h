#ifndef PGWEIR_SERVE_HBA_H
#define PGWEIR_SERVE_HBA_H

#include "auth/secrets.h"
#include "config/config.h"

/* Read auth_hba_file and auth_ident_file where auth_type asks for them, and give them to the users (made, if there are none). False:
 * `error`. */
bool hba_load(const struct config *, struct secrets **, char *error, size_t error_size);

/* auth_type=ldap: what auth_ldap_options says can be understood. */
bool directory_agrees(const struct config *, char *error, size_t error_size);

#endif
