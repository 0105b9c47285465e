#include "tool/top_reap.h"

#include "base/text.h"
#include "tool/connect.h"

/* A person has looked at one session and wants it ended. That is what `pgweir reap` does with many, so the same look is taken, with the same
 * guards, at everybody; the one who is meant is picked out of it by his process id, and from then on he is known by that, by the start of his
 * session and by his last change of state: whoever does anything between the dry run and the `y` is spared. */

void top_reap_init(struct top_reap *reap)
{
	*reap = (struct top_reap){ 0 };
	reap_options_init(&reap->options);
	reap->options.in_transaction = REAP_IN_TRANSACTION;
	reap->options.everyone = true;
	reap->options.limit = INT64_MAX;
}

void top_reap_fini(struct top_reap *reap)
{
	reap_view_fini(&reap->view);
	reap_options_fini(&reap->options);
}

/* Of PostgreSQL itself only: behind a pooler another session would answer, and lend its settings to others. */
static bool is_ours(PGconn *connection, char *said, size_t size)
{
	if (connect_is_direct(connection, said, size))
		return connect_prepare(connection, said, size);
	if (!said[0])
		text_copy(
			said, size, "there is a pooler in between: give the URL of its PostgreSQL, or of its console");
	return false;
}

static struct reap_session *find(struct reap_view *view, int64_t process)
{
	for (size_t i = 0; i < view->count; i++) {
		if (view->sessions[i].pid == process)
			return &view->sessions[i];
	}
	return NULL;
}

/* Which option lets it go. */
static const char *way_out(const struct reap_session *s)
{
	if (strcmp(s->verdict, "busy") == 0 || (strcmp(s->verdict, "young") == 0 && s->rule == RULE_ACTIVE))
		return " (pgweir top --active AGE)";
	return strcmp(s->verdict, "young") == 0 ? " (pgweir top --idle-in-transaction AGE)" : "";
}

static void tell_plan(const struct reap_session *s, char *said, size_t size)
{
	bool goes = strcmp(s->verdict, REAP_GO) == 0;
	char why[400];

	if (goes)
		reap_evidence(s, why, sizeof why);
	else if (strcmp(s->verdict, "idle") == 0)
		text_copy(why, sizeof why, "it is idle now, and holds nothing");
	else
		reap_reason(s, why, sizeof why);
	text_format(said, size, "process %d%s: %s%s; it is %.*s/%.*s \"%.*s\" at %s", s->pid,
		goes ? " would be ended" : " stays", why, way_out(s), (int)s->database.length, s->database.at,
		(int)s->user.length, s->user.at, (int)s->application.length, s->application.at, s->address);
}

bool top_reap_plan(struct top_reap *reap, PGconn *connection, int64_t process, char *said, size_t size)
{
	struct reap_session *meant;
	bool usage;

	said[0] = 0;
	reap_view_fini(&reap->view);
	if (!is_ours(connection, said, size) ||
		!reap_look(connection, &reap->options, &reap->view, &usage, said, size)) {
		reap_view_fini(&reap->view);
		return false;
	}
	meant = find(&reap->view, process);
	if (!meant) {
		text_format(said, size, "process %lld is gone", (long long)process);
		return false;
	}
	tell_plan(meant, said, size);
	if (strcmp(meant->verdict, REAP_GO) != 0)
		return false;
	reap->view.sessions[0] = *meant;
	reap->view.goes = reap->view.count = 1;
	return true;
}

void top_reap_act(struct top_reap *reap, PGconn *connection, char *said, size_t size)
{
	char outcome[400], error[1000];
	int pid = reap->view.sessions[0].pid;

	if (reap_act(connection, &reap->options, &reap->view, error, sizeof error))
		text_format(said, size, "process %d: %s", pid,
			reap_outcome(&reap->view.sessions[0], outcome, sizeof outcome));
	else
		text_format(said, size, "process %d: nobody knows what came of it: %s", pid, error);
	reap_view_fini(&reap->view);
}
