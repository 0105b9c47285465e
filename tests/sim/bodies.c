/* Plans of bodies and of prepared statements, as a backend keeps them. See bodies.h. What they say is not in the rows, which are those of a direct
 * connection: the judge is told of each run, who had it planned, and what it would come to now. */
#include "bodies.h"

#include <stdio.h>

#include "base/text.h"
#include "session.h"

static const char *value_of(const struct session *s, const char *name)
{
	return s->now[setting_find(span_text(name))];
}

void plan_run(struct session *s, struct plan *plan, bool literal, int tag)
{
	char now[WORTH_BYTES];

	if (literal)
		text_format(now, sizeof now, "%s, %s, %s", value_of(s, "TimeZone"), value_of(s, "DateStyle"),
			value_of(s, "IntervalStyle"));
	else
		text_copy(now, sizeof now, value_of(s, "app.tenant"));
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
