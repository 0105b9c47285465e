#ifndef PGWEIR_TOOL_DOCTOR_ASK_H
#define PGWEIR_TOOL_DOCTOR_ASK_H

#include "tool/connect.h"

/* What the readers of live things share: questions without parameters, and cells by the name of their column, so that any version of
 * PostgreSQL, PgBouncer or pgweir will do. */

#define DOCTOR_LOGIN_US (5 * SECOND_US)

/* Whether the URL names a pooler's console (database pgbouncer or pgweir). */
bool url_is_console(const char *url);

/* NULL: refused, and `problem` says why in one line. Free with PQclear. */
PGresult *ask(PGconn *, const char *sql, char *problem, size_t problem_size);

/* The same to PostgreSQL, as a read-only transaction of its own with settings that end with it: names mean pg_catalog's, bytes come as they
 * are. Nothing is set for the session, which may belong to others as well: the URL may lead through a pooler. */
PGresult *ask_server(PGconn *, const char *sql, char *problem, size_t problem_size);

/* The first line of what went wrong; and the same with the DETAIL that came with it, still one line. */
void first_line(char *out, size_t size, const char *text);
void one_line(char *out, size_t size, const char *text);

/* "" and 0 where there is no such row or column, or it is null. */
const char *cell(const PGresult *, int row, const char *column);
int64_t cell_number(const PGresult *, int row, const char *column);
double cell_real(const PGresult *, int row, const char *column);

#endif
