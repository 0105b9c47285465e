#include "tool/stress_preflight.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"
#include "io/reach.h"
#include "tool/connect.h"
#include "tool/stress_source.h"

/* Before the first socket is opened: what caps the run, with its number, since a cap that is found afterwards in the errors of ten thousand
 * sockets was found too late. What makes the run impossible ends it here; what will only be met by a part of the sockets may be what one
 * came to see, and is told.
 *
 * This machine's files are read where Linux has them; a container may hide them, and then there is nothing to say. */

#define OTHER_DESCRIPTORS 64 /* files, the library's own, PostgreSQL, the console */

static unsigned most_sockets(const struct stress_plan *plan)
{
	unsigned sockets = plan->sockets + plan->burst;

	return plan->warm_up > sockets ? plan->warm_up : sockets;
}

__attribute__((format(printf, 4, 5))) static void found(
	struct stress_result *r, const char *what, unsigned cap, const char *format, ...)
{
	struct stress_check *check;
	va_list arguments;

	if (r->check_count == STRESS_CHECKS)
		return;
	check = &r->checks[r->check_count++];
	check->what = what;
	check->cap = cap;
	va_start(arguments, format);
	vsnprintf(check->found, sizeof check->found, format, arguments);
	va_end(arguments);
}

/* The first number of a file of the kernel's, and the second; -1: there is none. */
static void kernel_numbers(const char *path, long *first, long *second)
{
	char *text, error[200], *rest;
	size_t length;

	*first = *second = -1;
	if (!file_read(path, 100, &text, &length, error, sizeof error))
		return;
	*first = strtol(text, &rest, 10);
	if (rest == text)
		*first = -1;
	*second = *rest ? strtol(rest, NULL, 10) : -1;
	free(text);
}

/* ---- this machine ---- */

static bool look_at_descriptors(struct stress_result *r, char *error, size_t error_size)
{
	unsigned sockets = most_sockets(r->plan);
	uint64_t wanted = sockets + OTHER_DESCRIPTORS, allowed;

	/* Twice as many: the goodbyes of those who leave overlap with the arrival of the next. */
	allowed = descriptors_allow(2 * wanted);
	if (allowed < wanted) {
		text_format(error, error_size,
			"%u sockets at once need %llu open files, and this process may have %llu: ulimit -Hn, LimitNOFILE= of its service, or fewer --sockets",
			sockets, (unsigned long long)wanted, (unsigned long long)allowed);
		return false;
	}
	found(r, "open files", 0, "%llu are needed, and allowed", (unsigned long long)wanted);
	return true;
}

static bool look_at_ports(struct stress_result *r, char *error, size_t error_size)
{
	unsigned sockets = most_sockets(r->plan), sources = stress_source_count(r->plan), ports;
	long low, high;
	char words[200];

	for (unsigned i = 0; i < r->plan->source_count; i++) {
		if (!address_is_ours(r->plan->sources[i], words, sizeof words)) {
			text_format(error, error_size,
				"--source %s: %s. It must be an address of this machine: ip address shows them; all of 127.0.0.0/8 are",
				r->plan->sources[i], words);
			return false;
		}
	}
	kernel_numbers("/proc/sys/net/ipv4/ip_local_port_range", &low, &high);
	if (r->plan->portless || low <= 0 || high <= low || high > 65535)
		return true;
	ports = (unsigned)(high - low + 1) * sources;
	if (sockets > ports) {
		text_format(error, error_size,
			"%u sockets at once need as many ports, and this machine has %u for one target%s: %ssysctl net.ipv4.ip_local_port_range, or fewer --sockets",
			sockets, ports, sources > 1 ? " from these addresses" : "",
			r->plan->target == TARGET_POSTGRES ? "a unix socket (it needs none), "
							   : "--source with several addresses (127.0.0.1,127.0.0.2), ");
		return false;
	}
	if ((uint64_t)sockets * r->plan->waves > ports)
		found(r, "ports", ports,
			"%u for one target, fewer than all waves open; a port rests for a minute after its use, so later waves may be refused by this machine and not by the target",
			ports);
	else
		found(r, "ports", 0, "%u for one target%s", ports, sources > 1 ? " from these addresses" : "");
	return true;
}

static void look_at_kernel(struct stress_result *r)
{
	long most, count, unused;
	unsigned sockets = most_sockets(r->plan);

	kernel_numbers("/proc/sys/net/netfilter/nf_conntrack_max", &most, &unused);
	kernel_numbers("/proc/sys/net/netfilter/nf_conntrack_count", &count, &unused);
	if (most > 0 && count >= 0) {
		long left = most > count ? most - count : 0;

		found(r, "conntrack", (uint64_t)sockets * r->plan->waves > (uint64_t)left ? (unsigned)left : 0,
			"%ld connections can still be tracked (net.netfilter.nf_conntrack_max %ld)", left, most);
	}
	kernel_numbers("/proc/sys/net/core/somaxconn", &most, &unused);
	if (most > 0 && !r->plan->owned)
		found(r, "backlog", r->plan->storm && sockets > most ? (unsigned)most : 0,
			"at most %ld connections wait for the target to accept them (net.core.somaxconn), fewer if it asked for fewer",
			most);
}

/* ---- PostgreSQL and the pooler ---- */

static int64_t number_at(const PGresult *rows, int row, int column)
{
	int64_t number = 0;

	text_to_i64(span_text(PQgetvalue(rows, row, column)), &number);
	return number;
}

/* The places that are left for whoever is no superuser, and what else limits this role and database. */
static void count_places(struct stress_result *r, PGconn *connection, const char *role)
{
	static const char ask[] =
		"SELECT pg_catalog.current_setting('max_connections')::int,"
		" pg_catalog.current_setting('superuser_reserved_connections')::int"
		" + COALESCE(pg_catalog.current_setting('reserved_connections', true)::int, 0),"
		" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'"
		" AND pid <> pg_catalog.pg_backend_pid()),"
		" COALESCE((SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = $1 AND NOT rolsuper), -1)";
	const char *const values[] = { role };
	char error[600];
	PGresult *rows = connect_ask(connection, ask, 1, values, NULL, error, sizeof error);
	int64_t most, reserved, taken, limit, left;
	unsigned sockets = most_sockets(r->plan);
	bool counts;

	if (!rows)
		return; /* the watch will say what is wrong with asking there */
	most = number_at(rows, 0, 0);
	reserved = number_at(rows, 0, 1);
	taken = number_at(rows, 0, 2);
	limit = number_at(rows, 0, 3);
	PQclear(rows);
	left = most - reserved - taken - 1; /* and one for the watch */
	/* Behind a pooler or an application PostgreSQL's places are not the sockets' own. */
	counts = r->plan->target == TARGET_POSTGRES && !r->plan->console;
	found(r, "PostgreSQL", counts && left < sockets ? (unsigned)(left > 0 ? left : 0) : 0,
		"%lld places (max_connections), %lld reserved, %lld taken: %lld left", (long long)most,
		(long long)reserved, (long long)taken, (long long)(left > 0 ? left : 0));
	if (limit >= 0)
		found(r, "role", counts && limit < sockets ? (unsigned)limit : 0,
			"%lld connections for this role (CONNECTION LIMIT)", (long long)limit);
}

static void look_at_postgres(struct stress_result *r)
{
	struct connect_error trouble;
	PGconn *connection;

	if (!r->plan->postgres)
		return;
	connection = connect_open(r->plan->postgres, "pgweir stress", r->plan->timeout, &trouble);
	if (connection)
		count_places(r, connection, r->plan->role ? r->plan->role : "");
	PQfinish(connection);
}

/* A setting of SHOW CONFIG, which has key and value in front; -1: it has no such one. */
static int64_t setting(const PGresult *rows, const char *key)
{
	int64_t value = -1;

	for (int i = 0; rows && i < PQntuples(rows); i++) {
		if (strcmp(PQgetvalue(rows, i, 0), key) == 0)
			text_to_i64(span_text(PQgetvalue(rows, i, 1)), &value);
	}
	return value;
}

/* To see the settings one has to be an admin; a stats user is told nothing, and needs nothing of it. */
static void look_at_pooler(struct stress_result *r)
{
	struct connect_error trouble;
	char error[600];
	PGconn *connection;
	PGresult *rows;
	int64_t clients;
	unsigned sockets = most_sockets(r->plan);

	if (!r->plan->console)
		return;
	connection = connect_open(r->plan->console, "pgweir stress", r->plan->timeout, &trouble);
	if (!connection)
		return;
	rows = connect_ask(connection, "SHOW CONFIG", 0, NULL, NULL, error, sizeof error);
	clients = setting(rows, "max_client_conn");
	if (clients > 0)
		found(r, "pooler", r->plan->target == TARGET_POSTGRES && clients < sockets ? (unsigned)clients : 0,
			"%lld clients (max_client_conn), %lld servers in a pool unless it has a size of its own (default_pool_size)",
			(long long)clients, (long long)setting(rows, "default_pool_size"));
	PQclear(rows);
	PQfinish(connection);
}

/* ---- the target ---- */

static bool look_at_target(struct stress_result *r, bool *usage, char *error, size_t error_size)
{
	const struct stress_plan *plan = r->plan;
	char words[400];

	if (plan->target == TARGET_POSTGRES) {
		struct connect_error trouble;
		PGconn *connection = connect_open(plan->url, "stress", plan->timeout, &trouble);
		bool good = connection || trouble.trouble == CONNECT_FULL;

		*usage = !connection && trouble.trouble == CONNECT_BAD_URL;
		PQfinish(connection);
		if (!good)
			text_format(error, error_size, "the target: %s", trouble.text);
		else
			found(r, "target", 0, connection ? "lets us log in" : "is there, and full already");
		return good;
	}
	if (!host_reach(plan->host, plan->port, plan->timeout, words, sizeof words)) {
		text_format(error, error_size,
			"the target: nobody takes a connection at %s port %d: %s. Is the application running, and is this its port?",
			plan->host, plan->port, words);
		return false;
	}
	found(r, "target", 0, "takes connections%s",
		plan->owned ? "; it is said to be yours" : ", and is on this machine");
	return true;
}

bool preflight(struct stress_result *r, bool *usage, char *error, size_t error_size)
{
	*usage = false;
	if (!look_at_descriptors(r, error, error_size) || !look_at_ports(r, error, error_size))
		return false;
	look_at_kernel(r);
	if (!look_at_target(r, usage, error, error_size))
		return false;
	look_at_postgres(r);
	look_at_pooler(r);
	return true;
}

void preflight_print(const struct stress_result *r, FILE *to)
{
	fputs("Before the run\n", to);
	for (size_t i = 0; i < r->check_count; i++) {
		const struct stress_check *c = &r->checks[i];

		fprintf(to, "  %-10s  %s\n", c->what, c->found);
		if (c->cap > 0)
			fprintf(to, "  %-10s  CAPS the run: at most %u of %u sockets at once\n", "", c->cap,
				r->plan->sockets + r->plan->burst);
	}
}
