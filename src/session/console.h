#ifndef PGWEIR_SESSION_CONSOLE_H
#define PGWEIR_SESSION_CONSOLE_H

#include "base/span.h"

/* The console's language: one command per message, CMD [argument] [;], words or "quoted" arguments, SET key = value | 'value' (also TO).
 * SELECT x is a synonym of SHOW x. Pure: text in, one value out; who may do what and what happens is decided in serve/desk.c. */

enum console_verb {
	VERB_EMPTY,
	VERB_UNKNOWN, /* no such command */
	VERB_BAD,     /* a command with arguments that it does not take */
	VERB_SHOW,
	VERB_FAKE_SHOW, /* SHOW of a parameter that drivers ask for: `value` is the answer */
	VERB_FAKE_SET,  /* SET of such a parameter: ignored with a NOTICE */
	VERB_SET,
	VERB_RELOAD,
	VERB_PAUSE,
	VERB_SUSPEND,
	VERB_RESUME,
	VERB_RECONNECT,
	VERB_KILL,
	VERB_KILL_CLIENT,
	VERB_DISABLE,
	VERB_ENABLE,
	VERB_WAIT_CLOSE,
	VERB_SHUTDOWN,
	VERB_REAP,
	VERB_PROTECT,
	VERB_UNPROTECT
};

/* Whom REAP means. */
enum console_reap { CONSOLE_REAP_LEAKED, CONSOLE_REAP_ORIGIN, CONSOLE_REAP_CLIENTS };
#define CONSOLE_REAP_MAX 64

enum console_shutdown {
	CONSOLE_SHUTDOWN_NOW,
	CONSOLE_SHUTDOWN_SERVERS,
	CONSOLE_SHUTDOWN_CLIENTS,
	CONSOLE_SHUTDOWN_TAKEN_OVER /* by the process numbers[0], which listens in our place */
};

struct console_command {
	enum console_verb verb;
	const char *tag; /* the command's word in capitals, for CommandComplete */
	bool admin_only;
	char argument[64]; /* a database, a client's id, or what to SHOW (in small letters; empty: SHOW alone) */
	char key[64], value[256];
	enum console_shutdown shutdown;
	/* REAP, PROTECT and UNPROTECT */
	enum console_reap reap;
	bool dry_run;
	uint32_t limit;                     /* 0: none was given */
	uint32_t numbers[CONSOLE_REAP_MAX]; /* an origin, or clients */
	uint32_t number_count;
	/* As written, for "invalid command": the first word, and all of it. */
	char word[64], text[128];
};

void console_parse(struct span text, struct console_command *out);

/* The text of SHOW HELP. */
const char *console_help(void);

#endif
