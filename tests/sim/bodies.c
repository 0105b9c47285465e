/* Plans of bodies and of prepared statements, as a backend keeps them. See bodies.h. What they say is in the rows; and the judge is told of each
 * run, who had it planned, and what it would come to now.
 *
 * A direct connection says for ever what it has planned first. Behind the pooler a client has several servers, each of which may have planned that for it at
 * another time, or plans it anew: so whatever it could have come to when this client ran it is its own. */
#include "bodies.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/text.h"
#include "session.h"

static const char *value_of(const struct session *s, const char *name)
{
	return s->now[setting_find(span_text(name))];
}

static void worth_of(const struct session *s, bool literal, char out[WORTH_BYTES])
{
	if (literal)
		text_format(out, WORTH_BYTES, "%s, %s, %s", value_of(s, "TimeZone"), value_of(s, "DateStyle"),
			value_of(s, "IntervalStyle"));
	else
		text_copy(out, WORTH_BYTES, value_of(s, "app.tenant"));
}

bool bodies_is_own(const struct session *s, const char *worth)
{
	uint64_t print = hash_bytes(span_text(worth));

	for (unsigned i = 0; i < s->worths_count; i++)
		if (s->worths[i] == print)
			return true;
	return false;
}

void bodies_note(struct session *s)
{
	char now[WORTH_BYTES];

	for (unsigned literal = 0; literal < 2; literal++) {
		worth_of(s, literal, now);
		if (bodies_is_own(s, now) || s->worths_count == WORTHS_MAX)
			continue;
		s->worths[s->worths_count++] = hash_bytes(span_text(now));
	}
}

void plan_run(struct session *s, struct plan *plan, bool literal, int tag)
{
	char now[WORTH_BYTES];

	bodies_note(s);
	worth_of(s, literal, now);
	if (!plan->made) {
		plan->made = true;
		plan->by = tag;
		text_copy(plan->worth, sizeof plan->worth, now);
	}
	if (s->plans)
		s->plans(s->who, plan, now, tag);
}

void bodies_run(struct session *s, enum body body, int tag)
{
	plan_run(s, &s->bodies[body], body != BODY_RENT, tag);
}

void plans_forget(struct session *s)
{
	for (int i = 0; i < BODIES; i++)
		s->bodies[i].made = false;
	for (int i = 0; i < STATEMENTS_MAX; i++)
		s->statements[i].plan.made = false;
}
