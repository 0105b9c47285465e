#ifndef PGWEIR_AUTH_HBA_H
#define PGWEIR_AUTH_HBA_H

#include <stdint.h>

#include "auth/login.h"
#include "auth/roles.h"
#include "base/span.h"

/* The rules of auth_hba_file and the name maps of auth_ident_file, as one immutable value. The form is that of PostgreSQL's pg_hba.conf
 * (PostgreSQL's documentation, "The pg_hba.conf File", "User Name Maps"):
 *
 *   TYPE  DATABASE  USER  [ADDRESS]  METHOD  [map=NAME] [clientcert=verify-ca|verify-full] [pamservice=NAME] [ldap...]
 *   include FILE | include_if_exists FILE | include_dir FOLDER
 *
 * TYPE is local, host, hostssl, hostnossl, hostgssenc or hostnogssenc. DATABASE and USER are names, all, @FILE (names), /REGEX (pattern.h);
 * for databases sameuser, samerole (or samegroup) and replication, for users +ROLE; several are parted by commas, and a name in quotes is
 * only a name. ADDRESS is all, ADDRESS/BITS, ADDRESS and MASK, samehost, samenet, a host name, or .SUFFIX of one. METHOD is trust, reject,
 * md5, password, scram-sha-256, peer, cert, pam or ldap. The first rule that fits decides. */
struct hba;
struct buf;

enum hba_file_read { HBA_FILE_READ, HBA_FILE_MISSING, HBA_FILE_BAD };

struct hba_source {
	struct span text;
	const char *name; /* of the file, for errors; files that it names lie beside it */
	struct span ident_text;
	const char *ident_name; /* NULL: there is none */
	bool roles;             /* PostgreSQL can be asked for roles; without it, what needs them is "not built" */

	/* A line that says what we can not do is passed over, with a warning, as PgBouncer does. Without it, it is an error. */
	void (*warn)(const char *line);

	/* The text of another file, malloc'ed. May be NULL: @FILE and include are errors. */
	enum hba_file_read (*read_file)(
		void *context, const char *path, char **text, size_t *length, char *error, size_t error_size);

	/* Names of the files in a folder that end in .conf, in order, each with a zero byte at its end. May be NULL. */
	bool (*list_folder)(void *context, const char *path, struct buf *names, char *error, size_t error_size);
	void *context;

	/* An address without brackets or port. `length` is 4 or 16. */
	bool (*parse_ip)(struct span, uint8_t ip[16], unsigned *length);
};

/* NULL: `error` says file, line and what is wrong. */
struct hba *hba_parse(const struct hba_source *, char *error, size_t error_size);
void hba_free(struct hba *);

/* The addresses of this machine must be looked at (same_host, same_net). */
bool hba_wants_interfaces(const struct hba *);

enum hba_known { HBA_UNASKED, HBA_KNOWN, HBA_UNKNOWABLE };

/* Who is at the other end. */
struct hba_peer {
	unsigned ip_length; /* 0: a unix socket */
	bool encrypted;     /* TLS stands */
	bool replication; /* it asks for physical replication: only the word replication means it, whatever its database is called */
	uint8_t ip[16];
	bool same_host, same_net; /* it is this machine; it is in a network of this machine's (hba_wants_interfaces) */
	const char *system_user;  /* of a unix socket's peer; NULL: not known */
	bool certificate;         /* it has shown one that is good */
	struct span names;        /* in that certificate: each has a zero byte at its end */
	enum hba_known host_known, roles_known;
	const char *host; /* KNOWN: the name of its address that has this address in turn; "": there is none */
	const struct roles *
		roles; /* KNOWN: those that the user is a member of, the user itself among them; none if there is no such role */
};

/* `user` is one of these names, letter by letter. */
bool hba_is_named(struct span names, struct span user);

enum hba_verdict {
	HBA_NONE, /* no rule fits */
	HBA_REJECT,
	HBA_PEER_FAILED,         /* the rule says peer, and this is somebody else */
	HBA_CERTIFICATE_MISSING, /* the rule wants a good one */
	HBA_CERTIFICATE_FAILED,  /* it is somebody else's */
	HBA_ASK_HOST,            /* whether the rule fits depends on peer.host: find it out, and judge again */
	HBA_ASK_ROLES,           /* ... on peer.roles */
	HBA_HOST_UNKNOWN,        /* the rule rejects hosts by name, and nobody can tell this one's: the login ends */
	HBA_ROLES_UNKNOWN,       /* nobody can tell them: the login ends, since the next rule may ask for less */
	HBA_METHOD               /* prove it by this method */
};

/* `rule`: the number of the one that decided, 0: none did. */
enum hba_verdict hba_judge(const struct hba *, const struct hba_peer *, struct span database, struct span user,
	enum auth_method *method, unsigned *rule);

/* Of this rule: for ldap as base/directory.h reads them, for pam the name of the service. NULL: it has none. */
const char *hba_options(const struct hba *, unsigned rule);

/* Where it is written. The file is NULL for auth_hba_file itself, else borrowed. */
unsigned hba_line(const struct hba *, unsigned rule);
const char *hba_file(const struct hba *, unsigned rule);

#endif
