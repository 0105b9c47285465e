#ifndef PGWEIR_TOOL_DOCTOR_DJANGO_H
#define PGWEIR_TOOL_DOCTOR_DJANGO_H

#include "tool/doctor_facts.h"

/* Add what a Python file says of databases to the facts: each PostgreSQL entry of DATABASES, and SQLAlchemy's or others' URLs are left to
 * the scan. Nothing of the file is run. Returns how many entries were found (0: this is no settings module), and tells in `said` what
 * was made of it, for people. */
size_t django_read(struct doctor_facts *, const char *path, struct span text, char *said, size_t said_size);

#endif
