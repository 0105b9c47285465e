#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "core/leak_state.h"

/* What the signs mean, for each thing that can go wrong with an origin: would this look begin a leak, would it keep one, how bad is
 * it, how sure are we, and the sentence that says why. Beginning asks for more than keeping, so that nothing flaps. */

static bool pool_is_full(const struct leak_facts *facts)
{
	return facts->servers_limit > 0 && facts->servers_lent >= facts->servers_limit;
}

/* When `used` reaches `limit` at this slope; 0: not foreseeable. */
static time_us time_to(uint32_t used, uint32_t limit, const struct trend *trend)
{
	double seconds;

	if (limit == 0 || !trend->robust)
		return 0;
	seconds = used >= limit ? 0 : (double)(limit - used) / trend->slope;
	/* "0" means unknown; and nobody believes a forecast for the next decade. */
	if (seconds > 10.0 * 365 * 86400)
		return 0;
	return seconds < 1 ? SECOND_US : (time_us)(seconds * (double)SECOND_US);
}

/* Ten minutes, at a period of 5 s; and what is urgent stays it until there are twenty. */
static bool is_soon(time_us exhausted_in, const struct leak_rules *rules, const struct course *course)
{
	bool urgent = course->leak && course->leak->severity == SEVERITY_URGENT;

	return exhausted_in > 0 && exhausted_in <= (urgent ? 240 : 120) * rules->period;
}

static unsigned at_most(unsigned value, unsigned most)
{
	return value < most ? value : most;
}

static bool is_plateau(const struct leak_pattern *pattern)
{
	return pattern && strcmp(pattern->number, "L3") == 0;
}

static void clients_evidence(
	const struct signs *signs, const struct leak_rules *rules, const struct leak_facts *facts, struct verdict *v)
{
	char oldest[32], window[32], silent[48] = "", listen[48] = "", clumps[48] = "", threads[64] = "",
				     starve[80] = "";

	text_duration(oldest, sizeof oldest, facts->oldest_quiet);
	text_duration(window, sizeof window, signs->window);
	if (facts->silent)
		text_format(silent, sizeof silent, " (%u of them not even once)", facts->silent);
	if (facts->listeners)
		text_format(listen, sizeof listen, ", %u after a LISTEN", facts->listeners);
	if (signs->even)
		text_format(clumps, sizeof clumps, " in clumps of %u", signs->clump);
	if (facts->process_clients)
		text_format(threads, sizeof threads, "; connections of its process: %u, threads: %u",
			facts->process_clients, facts->process_threads);
	if (facts_starve(facts))
		text_format(starve, sizeof starve, "; others of this origin that wait for the servers these hold: %u",
			facts->waiting + facts->entering);
	/* Between two windows that show it, the last one's sentence stands. */
	if (signs->sprouts)
		text_format(v->evidence, sizeof v->evidence,
			"%u of %u quiet clients asked at most once since their login%s%s; within %s %u logins came%s while at least %u were quiet, and "
			"%u came back; the oldest has been quiet for %s%s%s",
			facts->silent + facts->once, facts->quiet, silent, listen, window, signs->births, clumps,
			rules->siblings, signs->revived, oldest, threads, starve);
	else if (signs->teeth)
		text_format(v->evidence, sizeof v->evidence,
			"within %s %u logins came, %u of them came back, and again and again many of the others were ended at once, long after their only "
			"work, the last time when their process had %u connections and threads: %u",
			window, signs->births, signs->revived, signs->tooth_clients, signs->tooth_threads);
	else if (signs->tied)
		text_format(v->evidence, sizeof v->evidence,
			"clients that are each used by one thread of their process only: %u; %u times one was found with the thread that it had before, where "
			"a pool would have changed them, and %u changed theirs; %u are quiet, the oldest for %s",
			facts->tied, facts->tie_proofs, facts->loose, facts->quiet, oldest);
	else if (signs->paused)
		text_format(v->evidence, sizeof v->evidence,
			"%u of %u quiet clients asked at most once since their login%s%s%s; the oldest has been quiet for %s%s",
			facts->silent + facts->once, facts->quiet, silent, listen,
			*starve ? "" : "; no more are being added", oldest, starve);
}

static void clients_verdict(const struct signs *signs, const struct leak_rules *rules, const struct leak_facts *facts,
	const struct course *course, struct verdict *v)
{
	uint32_t unused = facts->silent + facts->once;
	const struct leak_pattern *present = course->leak ? course->leak->pattern : NULL;
	/* A plateau's threads are asked again, now and then; they are no fewer for it. */
	uint32_t left = is_plateau(present) || (signs->tied && !signs->sprouts) ? facts->quiet : unused;
	uint32_t limit = facts->next_limit ? facts->next_limit : facts->clients_limit;
	uint32_t total = facts->next_limit ? facts->next_total : facts->clients_total;
	/* In session mode whoever has asked has a server as well (and who has not, but under PgBouncer's name); elsewhere those who are pinned to one. */
	uint32_t keep = facts->rests_lent < left ? facts->rests_lent : left;
	bool grows, at_limit, costs_servers = facts->session_mode || (keep > 0 && keep * 2 >= left);

	v->begins = signs->sprouts || signs->teeth || (signs->tied && left > rules->siblings);
	v->lasts = course->leak && left > rules->siblings && left > course->peak / 4;
	if (!v->begins && !v->lasts)
		return;
	v->pattern = pattern_of_clients(signs, facts, present);
	v->family = costs_servers ? FAMILY_SERVER : FAMILY_CLIENT;
	v->clients = left;
	v->servers = keep;
	v->oldest = facts->oldest_quiet;
	grows = signs->sprouts || (signs->unused_trend.robust && course->leak && !signs->paused);
	v->pace = signs->sprouts && signs->births ? signs->window / signs->births : 0;
	v->growth = grows ? 60 * signs->unused_trend.slope : 0;
	if (grows)
		v->exhausted_in = costs_servers
			? time_to(facts->servers_lent, facts->servers_limit, &signs->unused_trend)
			: time_to(total, limit, &signs->unused_trend);
	/* What is full of sessions stays full; that nobody waits at this moment is no relief. */
	at_limit = costs_servers
		? pool_is_full(facts) &&
			(facts->pool_waiting ||
				(facts->session_mode && course->leak && course->leak->severity == SEVERITY_URGENT))
		: limit && (uint64_t)total * 20 >= (uint64_t)limit * 19 && (uint64_t)left * 10 >= limit;
	v->severity = at_limit || is_soon(v->exhausted_in, rules, course) ? SEVERITY_URGENT
		: grows                                                   ? SEVERITY_GROWING
									  : SEVERITY_LOW;
	/* Many, for long, with next to none coming back, and nobody who could still be expected back. */
	v->confidence = 60 + at_most(left / 8, 15) + at_most((unsigned)(signs->window / (12 * rules->period)), 10);
	v->confidence += course->leak
		? at_most((unsigned)((signs->now - course->leak->since) / (12 * rules->period)), 10)
		: 0;
	v->confidence += facts->runtime != RUNTIME_UNKNOWN ? 10 : 0;
	if (signs->sprouts && signs->births)
		v->confidence -= at_most(signs->revived * 100 / signs->births, 25);
	if (signs->rhythm > facts->oldest_quiet)
		v->confidence -= 10;
	/* A pool that happened to keep its pairs is not impossible. */
	v->confidence = at_most(v->confidence, signs->tied && !signs->sprouts ? 85 : 97);
	clients_evidence(signs, rules, facts, v);
}

static void holds_evidence(const struct signs *signs, const struct leak_facts *facts, struct verdict *v)
{
	char oldest[32], habit[40], beat[32];

	text_duration(oldest, sizeof oldest, facts->oldest_hold);
	text_duration(habit, sizeof habit, signs->habit);
	text_duration(beat, sizeof beat, signs->beat ? signs->beat : signs->slow_median);
	if (signs->beat)
		text_format(v->evidence, sizeof v->evidence,
			"clients idle in a transaction: %u, the oldest for %s; %u more begin every %s", facts->holding,
			oldest, signs->beat_size, beat);
	else if (signs->slow && !signs->outlier)
		text_format(v->evidence, sizeof v->evidence,
			"pauses of seconds in transactions that ended lately: %u, half of them up to %s; %u percent of the time for which servers "
			"were leased they did nothing",
			signs->slow_blocks, beat, signs->hold_percent);
	else
		text_format(v->evidence, sizeof v->evidence,
			"clients idle in a transaction: %u, the oldest for %s; %s%s", facts->holding, oldest,
			facts->transactions == 0    ? "no transaction of this origin has ended yet"
				: signs->habit == 0 ? "no other pause in a transaction of this origin is known"
				: spread_count(&facts->blocks) < 100
				? "no pause in a transaction of this origin that ended was longer than "
				: "99 of 100 pauses in transactions of this origin were shorter than ",
			facts->transactions > 0 && signs->habit > 0 ? habit : "");
}

static void holds_verdict(const struct signs *signs, const struct leak_rules *rules, const struct leak_facts *facts,
	const struct course *course, struct verdict *v)
{
	const struct leak_pattern *present = course->leak ? course->leak->pattern : NULL;
	bool calls, grows = signs->holding_trend.robust;

	v->begins = signs->outlier || signs->slow;
	v->pattern = pattern_of_holds(signs, facts, present);
	calls = strcmp(v->pattern->number, "L10") == 0;
	v->lasts = course->leak &&
		(v->begins || (calls ? signs->slow_blocks >= 2 && signs->hold_percent >= 60 : facts->holding > 0));
	if (!v->begins && !v->lasts)
		return;
	v->family = FAMILY_SERVER;
	v->clients = v->servers = facts->holding ? facts->holding : facts->in_block;
	v->oldest = facts->oldest_hold;
	/* Holds that end fill and empty the pool; their slope foretells nothing. */
	grows = grows && !calls;
	v->growth = grows ? 60 * signs->holding_trend.slope : 0;
	v->exhausted_in = grows ? time_to(facts->servers_lent, facts->servers_limit, &signs->holding_trend) : 0;
	v->severity = (facts->pool_waiting && pool_is_full(facts)) || is_soon(v->exhausted_in, rules, course)
		? SEVERITY_URGENT
		: grows ? SEVERITY_GROWING
			: SEVERITY_LOW;
	v->confidence = 60 + at_most(facts->holding * 3, 12) + (signs->beat ? 10 : 0);
	v->confidence += calls ? at_most(signs->slow_blocks, 20)
			       : at_most((unsigned)(4 * facts->oldest_hold / rules->hold), 20);
	v->confidence = at_most(v->confidence, 97);
	holds_evidence(signs, facts, v);
}

static void unread_verdict(const struct signs *signs, const struct leak_rules *rules, const struct leak_facts *facts,
	const struct course *course, struct verdict *v)
{
	char oldest[32];
	bool grows = signs->unread_trend.robust;

	/* A slow reader that gets on is no reader that stopped: each byte it takes makes its oldest_unread begin again. */
	v->begins = facts->unread > 0 && facts->oldest_unread >= rules->hold + rules->hold / 4;
	v->lasts = course->leak && facts->unread > 0;
	if (!v->begins && !v->lasts)
		return;
	v->pattern = leak_pattern_of("L17");
	v->family = FAMILY_SERVER;
	v->clients = v->servers = facts->unread;
	v->oldest = facts->oldest_unread;
	v->growth = grows ? 60 * signs->unread_trend.slope : 0;
	v->exhausted_in = grows ? time_to(facts->servers_lent, facts->servers_limit, &signs->unread_trend) : 0;
	v->severity = (facts->pool_waiting && pool_is_full(facts)) || is_soon(v->exhausted_in, rules, course)
		? SEVERITY_URGENT
		: grows ? SEVERITY_GROWING
			: SEVERITY_LOW;
	v->confidence = at_most(
		65 + at_most(facts->unread * 3, 12) + at_most((unsigned)(4 * facts->oldest_unread / rules->hold), 20),
		97);
	text_format(v->evidence, sizeof v->evidence,
		"results left unread: %u, the oldest for %s; their servers can not go on", facts->unread,
		text_duration(oldest, sizeof oldest, facts->oldest_unread));
}

/* What is counted when it happens, and lasts for as long as it has happened lately. */
static void counted_verdict(enum track track, const struct signs *signs, const struct leak_rules *rules,
	const struct leak_facts *facts, const struct course *course, struct verdict *v)
{
	char lately[32];
	uint32_t count = track == TRACK_DEAD ? signs->dead : track == TRACK_ABANDONED ? signs->abandoned : signs->locks;
	uint32_t needed = track == TRACK_LOCKS ? 1 : 3;

	/* People close their laptops. */
	v->begins = count >= needed && !(track == TRACK_DEAD && facts->runtime == RUNTIME_GUI);
	v->lasts = course->leak && count > 0;
	if (!v->begins && !v->lasts)
		return;
	text_duration(lately, sizeof lately, 120 * rules->period);
	v->confidence = at_most(70 + 3 * at_most(count, 9), 97);
	/* Each that is lost is noticed and given back; only where somebody waits meanwhile does it hurt. */
	v->severity = track == TRACK_ABANDONED && facts->pool_waiting && pool_is_full(facts) ? SEVERITY_URGENT
											     : SEVERITY_LOW;
	if (track == TRACK_DEAD) {
		v->pattern = leak_pattern_of("L23");
		text_format(v->evidence, sizeof v->evidence,
			"clients whose network went away without a word within the last %s: %u", lately, count);
	} else if (track == TRACK_ABANDONED) {
		v->pattern = leak_pattern_of("L24");
		text_format(v->evidence, sizeof v->evidence,
			"statements that went on at PostgreSQL after their client had gone within the last %s: %u; clients that left in the middle of "
			"something: %u",
			lately, count, signs->cancels);
	} else {
		v->pattern = leak_pattern_of("L25");
		text_format(v->evidence, sizeof v->evidence,
			"session advisory locks taken in transaction mode within the last %s: %u; %s", lately, count,
			facts->keeps_locks ? "each keeps a server from everybody else until it is unlocked"
					   : "whoever is lent that server next has them");
	}
	v->family = v->pattern->family;
}

/* A verdict where it is seen that work waits, else a hint. */
static void silence_verdict(const struct signs *signs, const struct leak_rules *rules, const struct leak_facts *facts,
	const struct course *course, struct verdict *v)
{
	bool seen = signs->visits->begins || (course->leak && signs->visits->lasts);
	char silent[32], longest[32];

	v->begins = signs->silence || signs->visits->begins;
	v->lasts = course->leak && (v->begins || seen);
	if (!v->begins && !v->lasts)
		return;
	if (seen) {
		visits_verdict(signs->visits, rules, facts, v);
		return;
	}
	v->pattern = leak_pattern_of("L7");
	v->family = FAMILY_NOT_US;
	v->severity = SEVERITY_LOW;
	v->confidence = 25;
	v->clients = facts->clients;
	v->oldest = facts->oldest_quiet;
	text_format(v->evidence, sizeof v->evidence,
		"all %u clients fell silent at once and have been so for %s, where no rest was ever longer than %s; nobody waits here and "
		"servers are free",
		facts->clients, text_duration(silent, sizeof silent, signs->silent_for),
		text_duration(longest, sizeof longest, spread_quantile(&facts->gaps, 1000)));
}

void verdict_of(enum track track, const struct signs *signs, const struct leak_rules *rules,
	const struct leak_facts *facts, const struct course *course, struct verdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	switch (track) {
	case TRACK_CLIENTS:
		clients_verdict(signs, rules, facts, course, verdict);
		return;
	case TRACK_HOLDS:
		holds_verdict(signs, rules, facts, course, verdict);
		return;
	case TRACK_UNREAD:
		unread_verdict(signs, rules, facts, course, verdict);
		return;
	case TRACK_DEAD:
	case TRACK_ABANDONED:
	case TRACK_LOCKS:
		counted_verdict(track, signs, rules, facts, course, verdict);
		return;
	case TRACK_SILENCE:
		silence_verdict(signs, rules, facts, course, verdict);
		return;
	case TRACKS:
		break;
	}
	check(!"a track");
}
