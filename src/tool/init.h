#ifndef PGWEIR_TOOL_INIT_H
#define PGWEIR_TOOL_INIT_H

#include <stdio.h>

#include "base/buf.h"
#include "tool/init_plan.h"

/* How the server was reached, and so how pgweir will reach it: what libpq made of the URL, its environment and its password file. */
struct init_access {
	char host[256], port[16], user[128], database[64], password[1024];
	char sslmode[16]; /* as asked for; "" nothing */
	bool superuser;
	struct buf others; /* lines of other roles for auth_file; they are secrets */
	unsigned other_count;
};

struct init_wish {
	const struct server_facts *server;
	const struct init_plan *plan;
	const struct init_access *access;
	const char *listen_address, *listen_port, *users_path;
	int cores;
};

/* The ini, with the reason for each size; and the list of users that goes with it. */
void init_write_ini(const struct init_wish *, struct buf *);
void init_write_users(const struct init_wish *, struct buf *);

/* Sizes, figures and places as one JSON document; `output`: NULL where no file was written. */
void init_show_json(const struct init_wish *, const char *output, struct span ini, FILE *);

#endif
