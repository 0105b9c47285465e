/* The forms of the log's lines that differ with the name we were called by. */
#include "serve/log_forms.h"

#include "base/text.h"

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

/* The words that watchers wait for are "process up: PgBouncer". */
void log_start(const struct config *config, uint32_t workers, uint64_t descriptors)
{
	bool bouncer = config->manner == MANNER_PGBOUNCER;

	if (bouncer)
		log_line(LOG_LOG, "kernel file descriptor limit: %llu; max_client_conn: %d",
			(unsigned long long)descriptors, config->max_client_conn);
	log_line(LOG_LOG, "process up: %spgweir %s, workers: %u, descriptors: %llu, max_client_conn: %d (%s)",
		bouncer ? "PgBouncer 1.25.2, " : "", PGWEIR_VERSION, workers, (unsigned long long)descriptors,
		config->max_client_conn, config->client_limit_counts == LIMIT_ALL ? "all clients" : "busy clients");
}

char *log_command(const char *command, const char *argument, char out[COMMAND_TEXT])
{
	text_format(
		out, COMMAND_TEXT, argument[0] ? "%s '%s' command issued" : "%s%s command issued", command, argument);
	return out;
}
