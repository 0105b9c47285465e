#ifndef PGWEIR_AUTH_HBA_PARTS_H
#define PGWEIR_AUTH_HBA_PARTS_H

#include "auth/hba.h"
#include "auth/pattern.h"
#include "base/buf.h"

/* What the parts of auth/hba share among themselves:
 *
 *   text -> lines, and those of other files (hba_lines.c) -> words -> names (hba_names.c) -> rules (hba_rules.c), maps (hba_maps.c)
 *   rules and maps + a peer -> a verdict (hba.c) */

#define HBA_DEEP 10 /* files within files */

/* ---- names of databases and users ---- */

enum name_kind { NAME_IS, NAME_ALL, NAME_SAMEUSER, NAME_SAMEROLE, NAME_REPLICATION, NAME_MEMBER, NAME_PATTERN };
enum names_of { NAMES_OF_DATABASES, NAMES_OF_USERS };

struct name {
	enum name_kind kind;
	char *text;              /* NAME_IS, NAME_MEMBER (the role) */
	struct pattern *pattern; /* NAME_PATTERN */
};

struct names {
	struct name *list;
	size_t count, capacity;
};

/* Whether something fits, as far as is known. */
enum fit { FIT_NO, FIT_YES, FIT_UNKNOWN }; /* UNKNOWN: it depends on roles that nobody has told */

/* `name` is the one the list is of: the database, or the user. */
enum fit names_fit(
	const struct names *, const struct hba_peer *, struct span name, struct span database, struct span user);
void name_list_free(struct names *);
void name_free(struct name *);

/* ---- rules ---- */

enum rule_type { TYPE_LOCAL, TYPE_HOST, TYPE_TLS, TYPE_PLAIN, TYPE_GSS, TYPE_NO_GSS };
enum rule_where { WHERE_ALL, WHERE_NETWORK, WHERE_SAMEHOST, WHERE_SAMENET, WHERE_NAME };
enum rule_method { METHOD_REJECT, METHOD_PEER, METHOD_CERT, METHOD_LOGIN };
enum rule_certificate { CERTIFICATE_NONE, CERTIFICATE_ANY, CERTIFICATE_OWN }; /* which one of the client's is wanted */

struct rule {
	unsigned line;
	const char *file; /* the parser's; NULL: auth_hba_file itself */
	enum rule_type type;
	struct names databases, users;
	enum rule_where where;
	unsigned ip_length; /* WHERE_NETWORK */
	uint8_t ip[16], mask[16];
	char *host; /* WHERE_NAME: a name, or with a dot in front all names that end so */
	enum rule_method method;
	enum auth_method login;
	enum rule_certificate certificate;
	char *map;
	char *options; /* see hba_options */
};
void rule_free(struct rule *);

/* ---- maps ---- */

struct mapping {
	char *map, *system_user;
	struct pattern *pattern; /* in place of system_user */
	struct name user;        /* with \1 in it, NAME_IS: what the pattern's group fitted goes there */
};
void mapping_free(struct mapping *);

/* Whoever is called `outside` may be `user` here. */
enum fit mapping_fits(
	const struct hba *, const char *map, const struct hba_peer *, struct span outside, struct span user);

struct hba {
	struct rule *rules;
	size_t count, capacity;
	struct mapping *mappings;
	size_t mapping_count, mapping_capacity;
	char **files;
	size_t file_count, file_capacity;
	size_t words;
	bool wants_interfaces;
};

/* ---- reading ---- */

struct reading {
	const struct hba_source *source;
	struct hba *hba;
	const char *name; /* of the file that is read */
	bool inner;       /* not the one that the source began with */
	unsigned line, deep;
	char problem[256];
	bool unsupported; /* the problem is ours, not the file's: passed over where source.warn is given */
};

bool hba_fail(struct reading *, const char *format, ...) __attribute__((format(printf, 2, 3))); /* false */
bool hba_no_memory(struct reading *);                                                           /* false */
void *hba_grown(void *list, size_t count, size_t *capacity, size_t size);

struct word {
	char text[256];
	bool quoted;
	bool more; /* a comma follows: the next word belongs to the same field */
};

/* The next word. False: there is none, or r->problem says what is wrong. */
bool word_take(struct reading *, struct span *line, struct word *);
bool word_take_single(struct reading *, struct span *line, struct word *); /* where no list is meant */
bool word_is(const struct word *, const char *text);                       /* and not in quotes */

/* Each logical line of a file goes to `take`. */
typedef bool line_taker(struct reading *, struct span line);
bool lines_read(struct reading *, struct span text, const char *name, line_taker *);

/* The word is include, include_if_exists or include_dir: read what it names, beside the file that names it. */
bool lines_is_include(const struct word *);
bool lines_include(struct reading *, const struct word *, struct span *line, line_taker *);

/* Another file's text, malloc'ed; `path` as written in the file that is read. `said`: as whose error it goes. `whole` is its path,
 * owned by the hba. False also when it is missing and may be: then r->problem is empty. */
bool lines_other(struct reading *, const char *said, const char *path, bool may_be_missing, char **text, size_t *length,
	const char **whole);

/* A field: words parted by commas. */
bool names_take(struct reading *, struct span *line, struct names *, enum names_of);

/* One word that is a user, as it may stand in a name map. */
bool name_of_word(struct reading *, const struct word *, enum names_of, struct name *);

line_taker rule_take, mapping_take;

#endif
