#ifndef PGWEIR_SERVE_WEB_H
#define PGWEIR_SERVE_WEB_H

#include "serve/questions.h"

/* The HTTP server: metrics, health, and what pages show; see the drawing in web.c. */
struct house;
struct web;

/* Whether http_listen and its certificate can be what is asked for; nothing is opened. False: `error`. */
bool web_settings_fit(const struct config *, char *error, size_t error_size);

/* Bind, and read the certificate: before the process leaves root. NULL: `error`. */
struct web *web_open(struct house *, const struct config *, char *error, size_t error_size);
bool web_start(struct web *); /* its thread; once the workers run. False: no thread could be made */

/* From the keeper: a census has come home. Takes it. `web` NULL: it is freed. */
void web_deliver(struct web *, struct letter_census *);

/* Likewise: what PostgreSQL said of a user (QUESTION), or PAM or a directory of a password (VOUCH). */
void web_tell(struct web *, struct letter *);

/* End the thread and close everything; before the workers stop. NULL inside is fine. */
void web_stop(struct web **);

#endif
