#ifndef PGWEIR_BASE_DIRECTORY_H
#define PGWEIR_BASE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* How an LDAP directory is asked whether a password is somebody's: the options of auth_ldap_options and of an hba rule with the method
 * ldap, by the names that PostgreSQL has ("LDAP Authentication" in its documentation). Two ways:
 *
 *   simple bind     as  ldapprefix USER ldapsuffix
 *   search + bind   look below ldapbasedn for the one entry that is USER's, then bind as that entry */
struct directory {
	char uri[1024]; /* one or several, parted by blanks: ldap://host:port */
	bool start_tls; /* ldaptls=1 */
	bool search;
	int scope; /* as LDAP counts (RFC 4511, section 4.5.1.2): 0 base, 1 one, 2 sub */
	char prefix[256], suffix[256];
	char base[256], bind_dn[256], bind_password[256];
	char attribute[64]; /* the search is for (attribute=USER), unless there is a filter */
	char filter[256];   /* $username stands for USER */
};

/* `text` is KEY=VALUE, parted by blanks; what is in double quotes may have blanks, and two of them there are one. False: `error`. */
bool directory_parse(struct directory *, struct span text, char *error, size_t error_size);

/* The same text with **** in place of the password, for everybody's eyes; cut if too long. What can not be read is left out to its end. */
void directory_mask(struct span text, char *out, size_t size);

/* The name that simple bind uses, and the filter of the search. False: this user's name has letters that mean something there, or it is
 * too long. */
bool directory_name(const struct directory *, const char *user, char *out, size_t size);
bool directory_filter(const struct directory *, const char *user, char *out, size_t size);

#endif
