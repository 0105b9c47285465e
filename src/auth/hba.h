#ifndef PGWEIR_AUTH_HBA_H
#define PGWEIR_AUTH_HBA_H

#include <stdint.h>

#include "auth/login.h"
#include "base/span.h"

/* The rules of auth_hba_file and the name maps of auth_ident_file, as one immutable value. The form is that of PostgreSQL's pg_hba.conf
 * (PostgreSQL's documentation, "The pg_hba.conf File", "User Name Maps"):
 *
 *   TYPE  DATABASE  USER  [ADDRESS]  METHOD  [map=NAME] [clientcert=verify-ca|verify-full] [pamservice=NAME] [ldap...]
 *
 * TYPE is local, host, hostssl, hostnossl, hostgssenc or hostnogssenc. DATABASE and USER are names, all, @FILE (names), and for databases
 * sameuser and replication; several are parted by commas, and a name in quotes is only a name. ADDRESS is all, ADDRESS/BITS, or
 * ADDRESS and MASK. METHOD is trust, reject, md5, password, scram-sha-256, peer, cert, pam or ldap. The first rule that fits decides. */
struct hba;

struct hba_source {
	struct span text;
	const char *name; /* of the file, for errors */
	struct span ident_text;
	const char *ident_name; /* NULL: there is none */

	/* A line that says what we can not do is passed over, with a warning, as PgBouncer does. Without it, it is an error. */
	void (*warn)(const char *line);

	/* The text of a file of names, malloc'ed; `path` is as written, relative to the file. May be NULL: @FILE is an error. */
	bool (*read_file)(void *context, const char *path, char **text, size_t *length, char *error, size_t error_size);
	void *context;

	/* An address without brackets or port. `length` is 4 or 16. */
	bool (*parse_ip)(struct span, uint8_t ip[16], unsigned *length);
};

/* NULL: `error` says file, line and what is wrong. */
struct hba *hba_parse(const struct hba_source *, char *error, size_t error_size);
void hba_free(struct hba *);

/* Who is at the other end. */
struct hba_peer {
	unsigned ip_length; /* 0: a unix socket */
	bool encrypted;     /* TLS stands */
	bool replication; /* it asks for physical replication: only the word replication means it, whatever its database is called */
	uint8_t ip[16];
	const char *system_user; /* of a unix socket's peer; NULL: not known */
	bool certificate;        /* it has shown one that is good */
	struct span names;       /* in that certificate: each has a zero byte at its end */
};

/* `user` is one of these names, letter by letter. */
bool hba_is_named(struct span names, struct span user);

enum hba_verdict {
	HBA_NONE, /* no rule fits */
	HBA_REJECT,
	HBA_PEER_FAILED,         /* the rule says peer, and this is somebody else */
	HBA_CERTIFICATE_MISSING, /* the rule wants a good one */
	HBA_CERTIFICATE_FAILED,  /* it is somebody else's */
	HBA_METHOD               /* prove it by this method */
};

/* Of the rule in this line: for ldap as base/directory.h reads them, for pam the name of the service. NULL: it has none. */
const char *hba_options(const struct hba *, unsigned line);

/* `line`: of the rule that decided, 0: none did. */
enum hba_verdict hba_judge(const struct hba *, const struct hba_peer *, struct span database, struct span user,
	enum auth_method *method, unsigned *line);

#endif
