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

/* The most servers that a row of SHOW POOLS may have: its own word for it, else its user's in SHOW USERS, else its database's in SHOW
 * DATABASES. Each of those two may be NULL. 0: none is known. */
int console_pool_size(const PGresult *pools, int row, const PGresult *users, const PGresult *databases);

/* Whether clients wait for a row of pgweir's SHOW BUDGET since PostgreSQL has no room for more servers; who has it, as a stranger's text. */
bool console_has_no_room(const PGresult *budget, int row, char *out, size_t size);

/* "" and 0 where there is no such row or column, or it is null. */
const char *cell(const PGresult *, int row, const char *column);
const char *cell_of(const PGresult *, const char *name,
	const char *column); /* of the row whose column "name" has it; no rows: "" */
int64_t cell_number(const PGresult *, int row, const char *column);
double cell_real(const PGresult *, int row, const char *column);

#endif
