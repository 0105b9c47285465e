#ifndef PGWEIR_SERVE_LOG_FORMS_H
#define PGWEIR_SERVE_LOG_FORMS_H

#include "auth/secrets.h"
#include "base/log.h"
#include "config/config.h"
#include "io/address.h"

/* How lines about connections and commands are worded. Under the name pgbouncer they have the forms that programs which read
 * PgBouncer's log (pgBadger, fail2ban) look for; their number is that of SHOW CLIENTS and SHOW SERVERS, `ptr` and `id`. */
struct log_subject {
	char kind;          /* C or S */
	const char *handle; /* what pgweir calls it */
	uint32_t number;    /* of SHOW */
	const char *database, *user;
	const struct address *peer; /* NULL: gone */
};

void log_about(const struct config *, const struct log_subject *, enum log_level, const char *words);

/* "3s" as PgBouncer, or "3.2 s". Returns out. */
#define AGE_TEXT 40
char *log_age(const struct config *, time_us age, char out[AGE_TEXT]);

/* Why a connection ends: as pgweir says it, or in PgBouncer's words where it has some. */
const char *log_reason(const struct config *, const char *reason);

/* The same of a server that never came to be; NULL: nothing more is said of it under this name. */
const char *log_dial_reason(const struct config *, const char *sqlstate, const char *problem);

/* A command of the console by its words: "PAUSE 'app' command issued". Never its values: some are secret. Returns out. */
#define COMMAND_TEXT 160
char *log_command(const char *command, const char *argument, char out[COMMAND_TEXT]);

/* A signal that ends the process; `again`: it had begun to end, and hurries now. */
void log_ending(const struct config *, int number, bool again);

/* Nobody for whom it waited is left: clients, or those who hold a server. */
void log_nobody_left(const struct config *, bool clients);

/* We are up; users are those of `secrets` (may be NULL). */
void log_start(const struct config *, const struct secrets *, uint32_t workers, uint64_t descriptors);

/* What no start and no RELOAD fails for, and is most likely not meant: warnings. `room`: so many clients the descriptors have room for. */
void log_doubts(const struct config *, const struct secrets *, uint32_t room);

/* The same of more threads than cores, which only a start can mend. */
void log_crowd(uint32_t workers, uint32_t cores);

#endif
