#ifndef PGWEIR_TOOL_CHECK_H
#define PGWEIR_TOOL_CHECK_H

#include <stdio.h>

#include "tool/doctor_rules.h"

/* What `pgweir check` and `pgweir init` share: asking the PostgreSQL servers of a configuration, and saying what it means. */

/* One set of facts for each server that the entries lead to, named as the file names it; what it said is read as the doctor does. `url`: as
 * whom to ask, NULL: as the entry's forced user, or as the first user of auth_file whose password is known. */
void check_ask_servers(struct doctor_facts *, const struct pooler_file *, const char *url);

/* What is understood: where it listens, who may come in, each entry, each server as far as it answered. */
void check_show_meaning(const struct doctor_facts *, const struct pooler_file *, FILE *);

/* What would be other with PgBouncer: settings whose values differ between the two, `like` being the same file read as PgBouncer's
 * (NULL: it is none). */
void check_show_differences(const struct config *, const struct config *like, FILE *);

/* The same and more, as one JSON document. */
struct checked {
	const struct doctor_facts *facts;
	const struct pooler_file *file;
	const struct config *like;          /* as in check_show_differences */
	struct span ignored;                /* lines: what is in the file and does nothing here */
	const struct doctor_report *report; /* of the file alone */
	int exit_status;
};
void check_show_json(const struct checked *, FILE *);

const char *check_mode_name(enum pool_mode);
const char *check_sslmode_name(enum sslmode);

#endif
