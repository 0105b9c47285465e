#ifndef PGWEIR_SERVE_REAPER_H
#define PGWEIR_SERVE_REAPER_H

#include <stdatomic.h>

#include "core/reap.h"
#include "serve/mail.h"
#include "serve/survey.h"
#include "session/console.h"
#include "view/snapshot.h"

/* Ending clients that leak; see the essay in reaper.c. */
struct house;
struct worker;
struct guest;

#define REAP_TARGETS 64
#define REAP_ROWS    1000

/* Whom a target named: nobody; somebody who is no client of a pool (a console, or who logs in or ends just now); somebody. */
enum reap_found { REAP_NOBODY, REAP_NO_CLIENT, REAP_PRESENT };

/* A list of clients to be looked at, and what became of each. Goes from worker to worker, then to the keeper, and to the console that
 * asked, if one did. */
struct letter_reap {
	struct letter letter;
	struct client_ref asker; /* client.generation 0: nobody */
	uint32_t worker;         /* the next to visit */
	bool dry_run, notice;    /* notice: tell them, end nobody */
	struct reap_order order;
	struct reap_target {
		uint32_t origin;     /* its number; or */
		uint32_t client;     /* SHOW CLIENTS' id */
		uint32_t most, gone; /* how many may go, and went */
		enum leak_family family;
		enum reap_found found;
		char pattern[8];
		const char *cure; /* of the pattern, whole; NULL: none is known */
	} targets[REAP_TARGETS];
	uint32_t target_count;
	uint32_t most, gone;   /* of all targets together */
	struct reap_row *rows; /* REAP_ROWS of them; when an administrator asked also those that stay */
	uint32_t row_count;
	uint32_t stayed;                /* beyond what the rows tell */
	uint32_t judged[REAP_VERDICTS]; /* how often each was the verdict */
};

struct letter_reap *reaper_letter(void); /* NULL: memory refused */
void reaper_letter_free(struct letter_reap *);
void reaper_send(struct house *, struct letter_reap *);
void reaper_visit(struct worker *, struct letter *);

/* ---- the console: reap_console.c ---- */

/* REAP. False: memory refused. */
bool reaper_ask(struct guest *, const struct console_command *);

/* What became of it: a row for each client that was looked at, and notices of what the rows do not tell. False: memory refused. */
bool reaper_answer(const struct letter_reap *, struct buf *);

/* The same in one line, for the log. */
#define REAP_SUMMARY 1200
char *reaper_summary(const struct letter_reap *, char out[REAP_SUMMARY]);

/* ---- the keeper: reap_account.c ---- */

struct reaper; /* budgets, and who was ended lately */
/* Who was ended or told, the latest first, and how many since the start: as of the last letter that came home. Immutable and counted. */
struct reap_account {
	atomic_uint references;
	uint64_t ended, told, in_vain;
	size_t count;
	struct reap_row rows[];
};
struct reap_account *reap_account_keep(struct house *); /* counted for the caller; NULL: nothing has happened yet */
void reap_account_drop(struct reap_account *);          /* NULL is fine */

struct reaper *reaper_new(void); /* NULL: memory refused */
void reaper_free(struct reaper *);

/* What is done about a leak that lasts, as the configuration says. Called for each after every look. */
void reaper_consider(struct reaper *, struct house *, const struct config *, const struct leak *,
	const struct leak_row *, const struct survey_row *, time_us now);

/* A letter has come home: account for it, log it, pass it on to who asked. Takes it. */
void reaper_home(struct reaper *, struct house *, struct letter *);

#endif
