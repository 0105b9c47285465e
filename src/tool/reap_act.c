#include "base/text.h"
#include "io/clock.h"
#include "tool/connect.h"
#include "tool/reap.h"

/* Acting, one session after another.
 *
 *     idle, idle in transaction      terminate -> gone?  yes: ENDED    no, after --wait: STAYED
 *     active                         cancel -> another state?  yes: CANCELLED    no, after --wait: terminate, as above
 *
 * A cancel means nothing to a session that waits for its client: PostgreSQL drops it (ProcessInterrupts, while DoingCommandRead), so for
 * those it would be a step that cannot work. And "true" from pg_terminate_backend says that a signal was sent, no more: a backend in
 * an uninterruptible wait stays. What became of it is looked up until it is gone or --wait is over. */

#define LOOK_EVERY_US (20 * MILLISECOND_US)

/* Wait until it is gone, or `also` until it does something else. The last trace tells which. False: the connection is lost. */
static bool wait_for_end(PGconn *connection, const struct reap_options *o, const struct reap_session *s, bool also,
	struct reap_trace *trace, char *error, size_t error_size)
{
	time_us deadline = clock_now() + o->wait;

	for (;;) {
		if (!reap_trace(connection, s, trace, error, error_size))
			return false;
		if (!trace->exists || (also && !trace->same) || clock_now() >= deadline)
			return true;
		connect_rest(LOOK_EVERY_US);
	}
}

static bool act_on(
	PGconn *connection, const struct reap_options *o, struct reap_session *s, char *error, size_t error_size)
{
	struct reap_trace trace;
	char waited[40];

	if (s->rule == RULE_ACTIVE) {
		if (!reap_signal(connection, o, s, true, error, error_size))
			return false;
		if (s->outcome != OUTCOME_NONE)
			return true;
		if (!wait_for_end(connection, o, s, true, &trace, error, error_size))
			return false;
		if (!trace.exists || !trace.same) {
			s->outcome = trace.exists ? OUTCOME_CANCELLED : OUTCOME_ENDED;
			return true;
		}
	}
	if (!reap_signal(connection, o, s, false, error, error_size))
		return false;
	if (s->outcome != OUTCOME_NONE)
		return true;
	if (!wait_for_end(connection, o, s, false, &trace, error, error_size))
		return false;
	s->outcome = trace.exists ? OUTCOME_STAYED : OUTCOME_ENDED;
	if (trace.exists)
		text_format(s->note, sizeof s->note, "still there %s after the signal (%s)",
			text_duration(waited, sizeof waited, o->wait), trace.doing);
	return true;
}

bool reap_act(PGconn *connection, const struct reap_options *o, struct reap_view *view, char *error, size_t error_size)
{
	for (size_t i = 0; i < view->goes; i++) {
		struct reap_session *s = &view->sessions[i];
		time_us began = clock_now();
		bool fine;

		if (i > 0)
			connect_rest(o->pause);
		began = clock_now();
		fine = act_on(connection, o, s, error, error_size);
		s->took = clock_now() - began;
		if (!fine) {
			/* The signal may have been sent; nobody knows. */
			s->outcome = OUTCOME_REFUSED;
			text_copy(s->note, sizeof s->note, "the connection was lost: look whether it is still there");
		}
		reap_audit(o, view, s);
		if (!fine)
			return false;
	}
	return true;
}
