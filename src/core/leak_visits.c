#include <string.h>

#include "base/text.h"
#include "core/leak_state.h"

/* Whether the application waits for its own pool (L7). On the wire a drained pool is a quiet minute: clients that are connected and have
 * no question. What tells them apart is whether there is work: a process that is a server itself has visitors, and those can be seen to
 * wait. So the sign asks for all of:
 *
 *   visitors    several came after the process's last query and have had no answer for long, several beyond twice as many as ever waited so while
 *               it had nothing to ask, or asked and was answered; and it has taken in what most of them said, so it lives
 *   at once     it asked in most of the looks before, never rested for a third as long, and visitors began to wait when it fell silent:
 *               a shop that closes has a last customer, and the people who wait for tomorrow's news come another time
 *   no work     it does not compute, nor would it if it were given a processor
 *   no partner  it does not wait for anybody else, that could be seen, whom it does not always wait for
 *   no blame    all its connections rest, nobody waits for this pool here, and servers are free
 *
 * It is told soon or not at all: in hours of silence chance makes a crowd of any few.
 *
 * What was habit is learnt of each process anew, and only added to. A silence that ended by itself was none of this, and counts as habit. */

#define LOOKS_KEPT   24 /* whether it was in use at each of them */
#define LOOKS_IN_USE 12 /* of them, so that a silence is remarkable */
#define RESTS_KEPT   60 /* looks, before those are forgotten that came before the last so many */
#define WAITING      5  /* visitors, beyond twice the habit */
#define WAITING_READ 3
#define LOOKS_SURE   2  /* in a row */
#define LOOKS_BLIND  24 /* periods after which nothing is believed of what was seen last */

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static time_us longer(time_us a, time_us b)
{
	return a > b ? a : b;
}

static unsigned looks_in_use(const struct visits_memory *m)
{
	return (unsigned)__builtin_popcount(m->in_use);
}

/* It has asked since the last look: whatever was seen up to then is how it lives. */
static void note_use(struct visits_memory *m, const struct leak_visits *v)
{
	m->most_waiting = larger(larger(m->most_waiting, m->silent_waiting), v->waiting);
	m->most_partners = larger(larger(m->most_partners, m->silent_partners), v->partners);
	m->newer_rest = longer(longer(m->newer_rest, m->silent_for), v->idle_for);
	m->silent_waiting = m->silent_partners = 0;
	m->silent_for = 0;
	m->at_once = false;
	if (++m->rests >= RESTS_KEPT) {
		m->older_rest = m->newer_rest;
		m->newer_rest = 0;
		m->rests = 0;
	}
}

static void note_silence(struct visits_memory *m, const struct leak_rules *rules, const struct leak_visits *v)
{
	m->silent_for = v->idle_for;
	m->silent_waiting = larger(m->silent_waiting, v->waiting);
	m->silent_partners = larger(m->silent_partners, v->partners);
	m->at_once |= v->since > 0 && v->longest + LEAK_PATIENCE * rules->period >= v->idle_for;
}

static bool is_drained(
	const struct visits_memory *m, const struct leak_rules *rules, const struct leak_facts *facts, bool works)
{
	const struct leak_visits *v = &facts->visits;

	if (!m->at_once || works || looks_in_use(m) < LOOKS_IN_USE ||
		v->idle_for < 3 * longer(m->newer_rest, m->older_rest) || v->idle_for > LOOKS_KEPT * rules->period)
		return false;
	if (v->since < WAITING || v->read < WAITING_READ || v->since < WAITING + 2 * m->most_waiting ||
		v->partners > m->most_partners)
		return false;
	return facts->pool_waiting == 0 && (facts->servers_limit == 0 || facts->servers_lent < facts->servers_limit);
}

void visits_remember(
	struct visits_memory *m, const struct leak_rules *rules, time_us now, const struct leak_facts *facts)
{
	const struct leak_visits *v = &facts->visits;
	bool silent = v->idle_for >= LEAK_PATIENCE * rules->period, works;

	if (m->process && now - m->at > LOOKS_BLIND * rules->period)
		*m = (struct visits_memory){ 0 };
	if (!v->process)
		return;
	if (m->process != v->process)
		*m = (struct visits_memory){ .process = v->process };
	/* Threads that ended take their time with them: then nothing can be said. */
	works = m->at == 0 || v->worked < m->last.worked || 2 * (v->worked - m->last.worked) > now - m->at;
	if (v->idle_for < rules->period)
		note_use(m, v);
	else
		note_silence(m, rules, v);
	if (!silent)
		m->in_use = (m->in_use << 1 | (v->idle_for < rules->period)) & ((1U << LOOKS_KEPT) - 1);
	m->sure = silent && is_drained(m, rules, facts, works) ? m->sure + 1 : 0;
	m->begins = m->sure >= LOOKS_SURE;
	m->lasts = silent && v->waiting > 0;
	m->last = *v;
	m->at = now;
}

void visits_verdict(const struct visits_memory *m, const struct leak_rules *rules, const struct leak_facts *facts,
	struct verdict *v)
{
	char silent[32], longest[32];
	time_us looks = m->last.idle_for / rules->period;

	v->pattern = leak_pattern_of("L7");
	v->family = FAMILY_NOT_US;
	v->severity = SEVERITY_URGENT;
	v->confidence = 55 + (m->last.since < 15 ? m->last.since : 15) + (looks < 15 ? (unsigned)looks : 15);
	v->clients = facts->clients;
	v->oldest = facts->oldest_quiet;
	if (m->begins)
		text_format(v->evidence, sizeof v->evidence,
			"process %u has asked nothing for %s, where it asked at %u of %u looks before; since then %u have come to it and wait for an answer, "
			"the longest for %s, where never more than %u did; it computes nothing and waits for nobody else, nobody waits here and servers are free",
			m->process, text_duration(silent, sizeof silent, m->last.idle_for), looks_in_use(m), LOOKS_KEPT,
			m->last.since, text_duration(longest, sizeof longest, m->last.longest), m->most_waiting);
}
