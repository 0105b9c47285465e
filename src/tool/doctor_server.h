#ifndef PGWEIR_TOOL_DOCTOR_SERVER_H
#define PGWEIR_TOOL_DOCTOR_SERVER_H

#include "tool/doctor_ask.h"
#include "tool/doctor_facts.h"

/* Ask a live PostgreSQL for its limits, its guards and its sessions, and sample for `seconds` how many are busy. Changes nothing there.
 * What it may not see is left out, and `server->problem` says so. `url` has the password, `server->name` is the caller's. */
void server_read(struct server_facts *server, const char *url, double seconds);

/* Take a picture of all client sessions. False: the question failed, and `problem` says why. The old picture is freed. */
bool server_read_sessions(struct server_facts *server, PGconn *connection, char *problem, size_t problem_size);

#endif
