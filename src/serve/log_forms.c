/* The forms of the log's lines that differ with the name we were called by. */
#include "serve/log_forms.h"

#include <signal.h>
#include <string.h>

#include "auth/login.h"
#include "base/text.h"
#include "wire/sqlstate.h"

/* A client of the unix socket is known by its process. */
static void where(const struct config *config, const struct address *peer, char out[ADDRESS_TEXT])
{
	out[0] = '\0';
	if (!peer)
		return;
	if (config->manner == MANNER_PGBOUNCER && peer->family == ADDRESS_UNIX && !peer->path[0])
		text_format(out, ADDRESS_TEXT, "unix(%u):%u", peer->process, peer->port);
	else
		address_text(peer, out);
}

void log_about(const struct config *config, const struct log_subject *subject, enum log_level level, const char *words)
{
	char address[ADDRESS_TEXT], number[16];

	where(config, subject->peer, address);
	text_format(number, sizeof number, "0x%x", subject->number);
	log_line(level, "%c-%s: %s/%s@%s %s", subject->kind,
		config->manner == MANNER_PGBOUNCER ? number : subject->handle, subject->database, subject->user,
		address, words);
}

char *log_age(const struct config *config, time_us age, char out[AGE_TEXT])
{
	if (config->manner == MANNER_PGBOUNCER)
		text_format(out, AGE_TEXT, "%llds", (long long)(age / SECOND_US));
	else
		text_duration(out, AGE_TEXT, age);
	return out;
}

/* Seen in the log of PgBouncer 1.18, and told of 1.25: what people's patterns look for. What has no row here has no counterpart there. */
static const struct {
	const char *ours, *theirs;
} reasons[] = {
	{ "database killed", "database removed" },
	{ "reconnect", "obsolete connection" },
	{ "the process ends when its servers are free", "pause mode" },
	{ "nobody is in its database, which may be dropped", "obsolete connection" },
	{ "more servers than the limits allow", "too many servers in the pool" },
	{ "evicted for another pool", "evicted" },
	{ "the server is being ended from the other side", "server conn crashed?" },
	{ "the reset query failed", "reset query failed" },
	{ "the check query failed", "test query failed" },
	{ "the server did not answer the check query in time", "test query failed" },
	{ "its client went away in the middle of a message",
		"client disconnect before everything was sent to the server" },
	{ "its client went away in the middle of a batch", "client disconnect while server was not ready" },
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

const char *log_reason(const struct config *config, const char *reason)
{
	if (config->manner != MANNER_PGBOUNCER)
		return reason;
	if (begins(reason, "server closed the connection"))
		return "server conn crashed?";
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (strcmp(reasons[i].ours, reason) == 0)
			return reasons[i].theirs;
	return reason;
}

const char *log_dial_reason(const struct config *config, const char *sqlstate, const char *problem)
{
	if (config->manner != MANNER_PGBOUNCER)
		return NULL;
	if (strcmp(sqlstate, SQLSTATE_CANNOT_CONNECT) != 0)
		return "login failed";
	if (strstr(problem, "(server_connect_timeout)"))
		return "connect timeout";
	return begins(problem, "could not translate host name") ? "server DNS lookup failed" : "connect failed";
}

#define DESCRIPTORS_BESIDE 10 /* files, listeners and the like, as PgBouncer reckons */

/* Descriptors if every client came that may, and every user filled a pool of every database. */
static uint64_t most_descriptors(const struct config *config, const struct secrets *secrets)
{
	uint64_t most = (uint64_t)config->max_client_conn + DESCRIPTORS_BESIDE, users = 0;

	while (secrets && secrets_name(secrets, users))
		users++;
	for (size_t i = 0; i < config->database_count; i++) {
		const struct database_settings *database = &config->databases[i];
		struct pool_rules rules;

		config_pool_rules(
			config, database, database->user ? span_text(database->user) : span_of("", 0), &rules);
		most += (uint64_t)(rules.size > 0 ? rules.size : 0) * (database->user ? 1 : users);
	}
	return most;
}

/* The words that watchers wait for are "process up: PgBouncer". Our limit is raised to the hard one. */
void log_start(const struct config *config, const struct secrets *secrets, uint32_t workers, uint64_t descriptors)
{
	bool bouncer = config->manner == MANNER_PGBOUNCER;

	if (bouncer)
		log_line(LOG_LOG,
			"kernel file descriptor limit: %llu (hard: %llu); max_client_conn: %d, max expected fd use: %llu",
			(unsigned long long)descriptors, (unsigned long long)descriptors, config->max_client_conn,
			(unsigned long long)most_descriptors(config, secrets));
	log_line(LOG_LOG, "process up: %spgweir %s, workers: %u, descriptors: %llu, max_client_conn: %d (%s)",
		bouncer ? "PgBouncer 1.25.2, " : "", PGWEIR_VERSION, workers, (unsigned long long)descriptors,
		config->max_client_conn, config->client_limit_counts == LIMIT_ALL ? "all clients" : "busy clients");
}

static bool asks_for_users(const struct config *config)
{
	bool asks = config->auth_user && config->auth_user[0];

	for (size_t i = 0; i < config->database_count; i++)
		asks = asks || (config->databases[i].auth_user && config->databases[i].auth_user[0]);
	return asks;
}

void log_doubts(const struct config *config, const struct secrets *secrets, uint32_t room)
{
	enum auth_method method = (enum auth_method)config->auth_type;
	bool from_file = method == AUTH_TRUST || method == AUTH_PLAIN || method == AUTH_MD5 || method == AUTH_SCRAM ||
		method == AUTH_CERT;

	if (config->database_count == 0)
		log_line(LOG_WARNING, "[databases] has no entry: nobody can connect to anything but the console");
	if (from_file && !(secrets && secrets_name(secrets, 0)) && !asks_for_users(config))
		log_line(LOG_WARNING, "nobody can log in: %s, and auth_user is not set",
			config->auth_file[0] ? "auth_file has no users" : "auth_file is not set");
	if (config->manner != MANNER_PGBOUNCER && room < (uint32_t)config->max_client_conn)
		log_line(LOG_WARNING,
			"descriptors: there is room for %u clients, and max_client_conn is %d: more would wait at the door. "
			"Raise the limit of open files (LimitNOFILE= of the unit, ulimit -n)",
			room, config->max_client_conn);
}

void log_crowd(uint32_t workers, uint32_t cores)
{
	if (workers > cores)
		log_line(LOG_WARNING,
			"workers: %u threads serve clients, and this process may use %u core%s: each finds less to do when it wakes, so "
			"a transaction costs more CPU. workers = 0 is one for each core",
			workers, cores, cores == 1 ? "" : "s");
}

void log_ending(const struct config *config, int number, bool again)
{
	bool bouncer = config->manner == MANNER_PGBOUNCER;
	const char *name = number == SIGTERM ? "SIGTERM" : number == SIGINT ? "SIGINT" : "SIGQUIT";

	if (number == SIGQUIT)
		log_line(LOG_LOG, "got SIGQUIT, fast exit");
	else if (again)
		log_line(LOG_LOG, "got %s while shutting down, fast exit", name);
	else if (number == SIGTERM)
		log_line(LOG_LOG, "got SIGTERM, shutting down, waiting for all clients %s",
			bouncer ? "disconnect" : "to disconnect");
	else
		log_line(LOG_LOG, "got SIGINT, shutting down, waiting for all %s connections to be released",
			bouncer ? "servers" : "server");
}

void log_nobody_left(const struct config *config, bool clients)
{
	if (config->manner == MANNER_PGBOUNCER)
		log_line(LOG_LOG, "%s connections dropped, exiting", clients ? "client" : "server");
	else
		log_line(LOG_LOG, "nobody is waited for any more: ending");
}

char *log_command(const char *command, const char *argument, char out[COMMAND_TEXT])
{
	text_format(
		out, COMMAND_TEXT, argument[0] ? "%s '%s' command issued" : "%s%s command issued", command, argument);
	return out;
}
