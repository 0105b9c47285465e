#ifndef PGWEIR_SERVE_WEB_JUDGES_H
#define PGWEIR_SERVE_WEB_JUDGES_H

#include "io/http.h"
#include "io/vouch.h"
#include "serve/vouching.h"

/* What PAM or a directory says of those who log in at the HTTP server. The threads of io/vouch ask, as for a client's login; the letter comes
 * home by the keeper, and the request is put off meanwhile. At most JUDGED_AT_ONCE are asked about at a time, so that whoever guesses here
 * leaves half of those threads to clients. */
#define JUDGED_AT_ONCE (VOUCH_THREADS / 2)

enum judgement { JUDGEMENT_LATER, JUDGEMENT_YES, JUDGEMENT_NO, JUDGEMENT_NONE };

struct judges {
	struct judged {
		uint64_t request, judge; /* request 0: free. `judge`: a hash of whom and how was asked */
		bool asked;              /* a letter is under way */
		enum judgement said;
		time_us at;
	} list[HTTP_CONNECTIONS +
		JUDGED_AT_ONCE]; /* each that waits has one request; more are under way of some that left */
	unsigned under_way;
};

/* Ask, or what was said. LATER: an answer is under way, or no place is free yet. NONE: nobody could be asked. */
enum judgement judges_ask(struct judges *, struct mailbox *home, const struct http_request *, const struct vouching *);
void judges_take(struct judges *, struct vouch_letter *, time_us now); /* takes the letter */

/* Of whom is asked and how; another configuration is another judge. */
uint64_t judge_of(const struct vouching *);

#endif
