#ifndef PGWEIR_SERVE_WEB_ACCESS_H
#define PGWEIR_SERVE_WEB_ACCESS_H

#include "io/http.h"
#include "serve/house.h"
#include "serve/web_answers.h"
#include "serve/web_judges.h"
#include "session/visits.h"

/* Who may see what at the HTTP server, and how he proves who he is. */
struct access {
	struct house *house;
	bool secure;   /* by TLS */
	bool loopback; /* nobody but this machine can reach it */
	struct visits visits;
	struct answers answers;
	struct judges judges;
};

struct caller {
	bool near;  /* comes from this machine; the others are filled in by access_who */
	bool known; /* is a user of admin_users or stats_users, and has proved it */
	bool admin;
	bool barred; /* said a password, which was not looked at: too many wrong ones came from his address */
	char user[VISIT_USER_MAX], csrf[VISIT_TOKEN + 1]; /* csrf: empty without a visit */
};

/* A JSON object with one text in it. */
void web_say(struct http_reply *, unsigned status, const char *key, const char *text);

/* Whether this request may be looked at: it names this server, and a change comes from our own page. False: the reply says why not. */
bool access_fits(const struct access *, const struct http_request *, struct http_reply *);

/* Who asks. LATER: PostgreSQL, PAM or a directory is asked about him first, for a few seconds at most. */
enum http_verdict access_who(struct access *, const struct http_request *, time_us now, struct caller *);
#define ACCESS_PATIENCE (10 * SECOND_US)
void access_refuse(
	const struct caller *, struct http_reply *); /* he must log in first, or wait before he tries again */

/* What they said (LETTER_QUESTION, LETTER_VOUCH). Takes the letter. */
void access_told(struct access *, struct letter *, time_us now);

/* Who changes something must say the token that no other page can know. False: the reply says so. */
bool access_change_fits(const struct caller *, const struct http_request *, struct http_reply *);

/* POST of a form with `user` and `password`: a visit begins. And it ends. */
enum http_verdict access_login(struct access *, const struct http_request *, time_us now, struct http_reply *);
void access_logout(struct access *, const struct http_request *, struct http_reply *);

/* {"user","admin","csrf"} */
bool access_write(struct buf *, const struct caller *);

#endif
