#include <string.h>

#include "core/leak_state.h"

/* The signs: what a look at an origin and its history say, as figures. What they mean is for leak_verdicts.c.
 *
 * Clients that nobody uses any more. A pool never logs in while one of its own connections is free; whoever does, and then leaves the new
 * client after one burst, has lost the old ones. The wire shows this to the end only in time, so the sign asks for all of:
 *
 *   births     logins beside quiet siblings, spread over the window: a fleet that starts, a deploy or a wave of websockets opens
 *              all it needs at once, and then it is over
 *   no return  next to none of the new clients comes back. A pool that fills as its threads are first asked returns to some of
 *              them long before the last is there (n of W threads filled: the next request meets a filled one with chance n/W)
 *   growth     more unused clients at the end, in the first half as well as in the last
 *   excess     more than Little's law explains: rate of logins times the lifetime of those that came and went within the window
 *   no fleet   those that go on being used do not become more in step with those that are not
 *
 * A deploy looks like that as well, in clumps or one by one, but at most doubles the origin. What is told within minutes must therefore
 * have more than doubled it; and clumps must go on for longer.
 *
 * In session mode each that is left keeps a server, and its pool is full before they are many. Then the next ones wait, which says that they are not
 * idle by intention: few are enough, and growth may have ended. A fleet that is larger than its pool waits as well; but it began at once.
 *
 * Holds: how long a client is idle in a transaction is compared with the origin's own habit, within bounds: nothing below one and a
 * quarter leak_hold is remarkable, and nothing above four times leak_hold is a habit to be respected. */

bool facts_starve(const struct leak_facts *facts)
{
	return facts->session_mode && facts->servers_limit && facts->servers_lent >= facts->servers_limit &&
		facts->kept * 2 >= facts->servers_limit && facts->kept * 4 >= (facts->silent + facts->once) * 3 &&
		facts->waiting + facts->entering > 0;
}

static uint32_t grown(uint32_t from, uint32_t to)
{
	return to - from < UINT32_MAX / 2 ? to - from : 0;
}

/* Clients of an unknown program that ask are perhaps those of its threads, made one by one. Who never asks, or only listens, is not. */
static bool may_be_threads(const struct leak_facts *facts)
{
	return facts->runtime == RUNTIME_UNKNOWN && facts->silent * 5 < facts->quiet * 4 &&
		facts->listeners * 5 < facts->quiet * 4;
}

/* How many clients must have been left: where more is known than that they rest, fewer will do, and where its own have to wait for what they hold
 * they are too many whoever they are. People are not counted on. */
static uint32_t clients_needed(const struct leak_rules *rules, const struct leak_facts *facts)
{
	uint32_t needed = facts->runtime == RUNTIME_GUI ? 40 : may_be_threads(facts) ? 32 : 12;

	if (facts_starve(facts) && facts->runtime != RUNTIME_GUI)
		return rules->siblings + 1;
	return needed > 2 * rules->siblings ? needed : 2 * rules->siblings;
}

/* Only what may have lasted between these two. */
static struct spread spread_between(const struct spread *spread, time_us least, time_us most)
{
	struct spread between = *spread;

	for (unsigned i = 0; i < SPREAD_BUCKETS; i++) {
		if ((i > 0 && (time_us)1 << (i - 1) > most) || (time_us)1 << i <= least)
			between.buckets[i] = 0;
	}
	return between;
}

/* Little's law: as many as these come in the window, for as long as those stayed that came and went within it. */
static uint32_t clients_expected(
	const struct origin_memory *memory, const struct leak_facts *facts, uint32_t logins, time_us window)
{
	struct spread lately = spread_since(&facts->lifetimes, &memory->lifetimes.older),
		      gone = spread_between(&lately, 0, window);
	time_us stay = spread_quantile(&gone, 900);

	if (spread_count(&gone) < 3)
		return 0;
	return (uint32_t)((double)logins * (double)stay / (double)window);
}

/* What one window says about births. */
struct births {
	unsigned steps, filled; /* steps with any */
	uint32_t all;
};

static struct births births_in(const struct sample *samples, unsigned count)
{
	struct births births = { .steps = count - 1 };

	for (unsigned i = 1; i < count; i++) {
		uint32_t born = grown(samples[i - 1].beside, samples[i].beside);

		births.all += born;
		births.filled += born > 0;
	}
	return births;
}

/* Clumps of one size, or of several at once, each within two looks. By chance eight are not alike, and neither are five. */
static void read_clumps(const struct rises *clumps, const struct leak_rules *rules, struct signs *signs)
{
	uint32_t sizes[RISES];
	unsigned alike = 0;

	if (clumps->count < 5)
		return;
	for (unsigned i = 0; i < clumps->count; i++) {
		unsigned place = i;

		for (; place > 0 && sizes[place - 1] > clumps->size[i]; place--)
			sizes[place] = sizes[place - 1];
		sizes[place] = clumps->size[i];
	}
	signs->clump = sizes[clumps->count / 2];
	for (unsigned i = 0; i < clumps->count; i++)
		alike += clumps->size[i] % signs->clump == 0 && clumps->until[i] - clumps->at[i] <= rules->period;
	signs->even = signs->clump >= 3 && alike * 8 >= clumps->count * 7;
}

/* If as many had come one by one at random, how many steps of 1000 would have seen any? e^-x by its fractions. */
static unsigned filled_at_random(const struct births *births)
{
	double x = (double)births->all / (double)births->steps;

	return (unsigned)(1000.0 - 1000.0 / (1 + x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4)))));
}

static bool both_halves_grew(uint32_t first, uint32_t middle, uint32_t last, uint32_t more)
{
	return grown(first, middle) * 5 >= more && grown(middle, last) * 5 >= more;
}

/* A pool of sessions that is full grows no more: instead those who come wait. Then the others must have filled it in the first half, step by step and
 * some of them beside quiet siblings, and logins go on in the last. */
static bool filled_and_went_on(const struct sample *samples, unsigned count, uint32_t more)
{
	const struct sample *first = &samples[0], *middle = &samples[count / 2], *last = &samples[count - 1],
			    *full = first;
	unsigned steps = 0;
	uint32_t most = first->unused;

	while (full < last && full->clients < last->clients)
		full++;
	for (unsigned i = 1; i < count; i++) {
		steps += samples[i].unused > most;
		most = samples[i].unused > most ? samples[i].unused : most;
	}
	return steps >= 4 && grown(first->unused, middle->unused) * 5 >= more &&
		grown(middle->beside, last->beside) * 5 >= more && grown(first->beside, full->beside) * 5 >= more;
}

/* Whether it may be a pool of many threads whose connections are made when each is first asked. Of 128 threads, n filled ones would have been
 * met again about n^2 / 256 times meanwhile; four times less than that happens to one in a hundred. */
static bool may_be_filling(uint32_t more, uint32_t revived)
{
	return (uint64_t)more * more < 256 * ((uint64_t)revived + 4);
}

/* Whether it is a fleet that grows: each process that joins brings a pool, of which some connections go on being used and the others wait for
 * a rush. Those of a leak that are used are as many as its work needs, however many are left. One in twenty is what the last looks show of
 * pools of ten, a connection of which is used. */
static bool fleet_grows(const struct sample *samples, unsigned count)
{
	const struct sample *first = &samples[0], *middle = &samples[count / 2], *last = &samples[count - 1];
	uint32_t all = grown(first->regulars, last->regulars), lately = grown(middle->regulars, last->regulars);

	return (lately >= 3 && lately * 20 >= grown(middle->unused, last->unused)) ||
		(lately >= 1 && all >= 3 && all * 20 >= grown(first->unused, last->unused));
}

/* Whether threads came with the clients, of a process that has one for each: then each client has its own, which lives. Connections that
 * requests left behind have none, and a program's other threads do not grow with them. */
static bool came_with_threads(const struct sample *samples, unsigned count)
{
	const struct sample *first = samples, *last = &samples[count - 1];
	uint32_t more;

	while (first < last && !first->process_clients)
		first++;
	more = grown(first->process_clients, last->process_clients);
	return more >= 5 && grown(first->process_threads, last->process_threads) * 4 >= more * 3 &&
		last->process_threads >= last->process_clients;
}

static bool window_sprouts(const struct origin_memory *memory, const struct leak_rules *rules,
	const struct leak_facts *facts, unsigned level, const struct sample *samples, unsigned count,
	struct signs *signs)
{
	const struct sample *first = &samples[0], *middle = &samples[count / 2], *last = &samples[count - 1];
	struct births births = births_in(samples, count);
	uint32_t needed = clients_needed(rules, facts), more = grown(first->unused, last->unused);
	uint32_t revived = grown(first->reused, last->reused), expected;
	bool hinted = facts->runtime != RUNTIME_UNKNOWN && facts->runtime != RUNTIME_GUI, clumped, returns, grows;
	bool starves = facts_starve(facts);

	if (more < needed || births.all * 4 < needed * 3 || births.filled < 5)
		return false;
	/* In the first half, in the last, and still; and it is not just others in the place of those that left. */
	grows = both_halves_grew(first->unused, middle->unused, last->unused, more) &&
		both_halves_grew(first->clients, middle->clients, last->clients, more) &&
		(last->unused > samples[count - 2].unused || last->unused > samples[count - 3].unused);
	if (!grows && !(starves && filled_and_went_on(samples, count, more)))
		return false;
	returns = revived * (hinted ? 6 : 12) >= births.all ||
		(may_be_threads(facts) && !starves && may_be_filling(more, revived));
	/* Where much more is lost than comes back, over minutes, and next to none comes back any more, it may be both: a pool, and something
	 * that loses. */
	if (returns &&
		!(level > 0 && more >= 5 * needed && revived * 3 <= births.all &&
			grown(middle->reused, last->reused) * 20 < grown(middle->beside, last->beside)))
		return false;
	if (fleet_grows(samples, count))
		return false;
	clumped = signs->even || births.filled * 2000 < births.steps * filled_at_random(&births);
	if (births.filled < (!clumped                                      ? 7
					    : facts->driver == DRIVER_NODE ? 5
									   : 8) ||
		(clumped && level == 0 && facts->driver != DRIVER_NODE))
		return false;
	/* A deploy at most doubles the origin, and is over within minutes. */
	if ((level < 2 || clumped) && more < first->clients + first->clients / 8 + needed / 2)
		return false;
	expected = clients_expected(memory, facts, grown(first->logins, last->logins), last->at - first->at);
	if (last->unused < expected + needed)
		return false;
	signs->sprouts = true;
	signs->births = births.all;
	signs->revived = revived;
	signs->grown = more;
	signs->expected = expected;
	signs->window = last->at - first->at;
	signs->threaded = came_with_threads(samples, count);
	return true;
}

/* Fast leaks are told by short windows, slow ones by long ones. */
static void read_births(const struct origin_memory *memory, const struct leak_rules *rules,
	const struct leak_facts *facts, struct signs *signs)
{
	static const unsigned lengths[] = { 9, 13, 17, HISTORY_LENGTH };
	struct sample samples[HISTORY_LENGTH];
	const struct sample *then = history_before(&memory->history, (time_us)1 << 60);

	/* Nearly always there is nothing to look for. */
	if (!then || (facts->silent + facts->once < 12 && !facts_starve(facts)) ||
		grown(then->beside, (uint32_t)facts->logins_while_quiet) == 0)
		return;
	for (unsigned level = 0; level < HISTORY_LEVELS; level++) {
		for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
			unsigned count = history_tail(&memory->history, level, lengths[i], samples);

			if (count == lengths[i] && window_sprouts(memory, rules, facts, level, samples, count, signs))
				return;
		}
	}
}

/* What garbage collection makes of connections that nobody finds again: they are opened one by one, none comes back, and many of them
 * end between two looks; three times at least. A pool that closes what it has too much of used it before; who closes one connection to open the
 * next never has fewer for it; a job with a connection for each of its threads ends so as well. So it is asked for only of Django
 * under an ASGI server, and only where its process has more connections than threads: there a thread opens each for itself
 * (Django's pool uses its again), so more of them have lost theirs than leak_siblings. */
static void read_teeth(const struct origin_memory *memory, const struct leak_rules *rules,
	const struct leak_facts *facts, struct signs *signs)
{
	struct sample samples[HISTORY_LENGTH];
	unsigned count = history_tail(&memory->history, 0, HISTORY_LENGTH, samples), teeth = 0, filled = 0;
	uint32_t births, revived, left;

	if (facts->runtime != RUNTIME_ASGI || facts->django * 10 < facts->quiet * 9 || count < 12)
		return;
	for (unsigned i = 1; i < count; i++) {
		const struct sample *before = &samples[i - 1], *after = &samples[i];

		filled += grown(before->logins, after->logins) > 0;
		if (before->clients < after->clients + rules->siblings ||
			before->process_clients < before->process_threads + rules->siblings ||
			grown(before->left_unused, after->left_unused) * 2 < rules->siblings)
			continue;
		teeth++;
		signs->tooth_clients = before->process_clients;
		signs->tooth_threads = before->process_threads;
	}
	births = grown(samples[0].logins, samples[count - 1].logins);
	revived = grown(samples[0].reused, samples[count - 1].reused);
	left = grown(samples[0].left_unused, samples[count - 1].left_unused);
	if (teeth < 3 || births < 24 || filled * 2 < count || revived * 12 > births || left * 3 < births)
		return;
	signs->teeth = true;
	signs->births = births;
	signs->revived = revived;
	signs->window = samples[count - 1].at - samples[0].at;
}

/* Whether the clients are those of threads, one to each. A pool deals its connections to whichever thread asks: after a crowd fewer than one
 * in five are found with the thread that they had before. Under an ASGI server Django's are tied to a thread for no good reason: no
 * request ends there, so nobody closes them. What one crowd leaves as it was may be chance; see tests/sim/threads.c for how rare it is after four. */
#define TIED_LEAST  6
#define PROOF_LEAST 16
#define CROWD_LEAST 4

static bool are_tied(const struct leak_rules *rules, const struct leak_facts *facts)
{
	return facts->tied >= TIED_LEAST && facts->tied > rules->siblings && facts->tie_proofs >= PROOF_LEAST &&
		facts->tie_crowds >= CROWD_LEAST && facts->loose * 10 <= facts->tied &&
		facts->django * 10 >= facts->quiet * 9;
}

/* Of the last ten minutes when they say something, for that is what a forecast should rest on; else of less, else of more. */
static struct trend trend_of(const struct history *history, uint32_t (*value)(const struct sample *))
{
	static const unsigned order[] = { 1, 0, 2, 3 }, enough[] = { 12, 6, 6, 6 };
	struct sample samples[HISTORY_LENGTH];
	struct trend trend = { 0 };

	for (unsigned i = 0; i < HISTORY_LEVELS && !trend.robust; i++) {
		unsigned count = history_tail(history, order[i], HISTORY_LENGTH, samples);

		if (count >= enough[i])
			trend = history_trend(samples, count, value);
	}
	return trend;
}

/* Whether holds have begun in equal steps at equal distances: five in a row, and eight where they are so near to each other that the looks
 * blur their distance. Fewer do so by chance. */
static void read_beat(const struct rises *rises, const struct leak_rules *rules, struct signs *signs)
{
	for (unsigned needed = 5; needed <= rises->count; needed += RISES - 5) {
		unsigned first = rises->count - needed, alike = 0;
		time_us last = rises->at[rises->count - 1], mean = (last - rises->at[first]) / (needed - 1);
		time_us tolerance = mean / 12 > rules->period ? mean / 12 : rules->period;
		uint32_t least = UINT32_MAX, most = 0;

		for (unsigned i = first; i < rises->count; i++) {
			time_us apart = i > first ? rises->at[i] - rises->at[i - 1] : mean;

			alike += apart >= mean - tolerance && apart <= mean + tolerance;
			least = rises->size[i] < least ? rises->size[i] : least;
			most = rises->size[i] > most ? rises->size[i] : most;
		}
		if (alike < needed || most > least + least / 2 || signs->now - last > 3 * mean)
			continue;
		if (mean < (needed == RISES ? 5 : 12) * rules->period)
			continue;
		signs->beat = mean;
		signs->beat_size = least;
		return;
	}
}

/* So many that ended lately make a habit. */
#define SLOW_BLOCKS 4

static void read_holds(const struct origin_memory *memory, const struct leak_rules *rules,
	const struct leak_facts *facts, struct signs *signs)
{
	struct spread lately = spread_since(&facts->blocks, &memory->blocks.older);
	struct spread slow = spread_between(&lately, rules->hold / 6, (time_us)1 << 60);
	const struct sample *then = history_before(&memory->history, RECENT_STEPS * rules->period);
	time_us least = rules->hold + rules->hold / 4, most = 4 * rules->hold, limit;
	uint64_t executing, in_block;

	signs->slow_blocks = (uint32_t)spread_count(&slow);
	signs->slow_median = spread_quantile(&slow, 500);
	signs->habit = spread_quantile(&facts->blocks, 990);
	if (facts->runtime == RUNTIME_GUI) {
		/* A person thinks. Ten minutes at the default, unless somebody waits for it. */
		least = most = facts->pool_waiting && facts->servers_lent >= facts->servers_limit ? most
												  : 20 * rules->hold;
	}
	/* Where long ones come back, and lately, they are a habit, however many short ones there are. */
	limit = signs->habit < most / 4 && signs->slow_blocks < SLOW_BLOCKS ? 4 * signs->habit : most;
	limit = limit < least ? least : limit;
	signs->outlier = facts->holding > 0 && facts->oldest_hold >= limit;
	if (!then)
		return;
	executing = grown(then->executing_ms, (uint32_t)(facts->executing_time / MILLISECOND_US));
	in_block = grown(then->in_block_ms, (uint32_t)(facts->in_block_time / MILLISECOND_US));
	if (executing + in_block > 0)
		signs->hold_percent = (unsigned)(100 * in_block / (executing + in_block));
	/* Every block that ended so late kept a server from others: they must be several, and outweigh the work. */
	signs->slow = signs->slow_blocks >= SLOW_BLOCKS && signs->hold_percent >= 80 && facts->runtime != RUNTIME_GUI &&
		signs->slow_median <= 3 * rules->hold &&
		(double)in_block * (double)MILLISECOND_US >= 0.2 * (double)(signs->now - then->at);
	read_beat(&memory->rises, rules, signs);
}

/* The hint that the application's own pool has run dry: L7. On the wire this is a quiet night, so the night must have been seen: an
 * origin known for a day and a night, in all of which no client ever rested for long, that stopped between two looks, all of it,
 * with everybody still connected and servers free for whoever would ask. */
static void read_silence(const struct origin_memory *memory, const struct leak_rules *rules,
	const struct leak_facts *facts, struct signs *signs)
{
	time_us longest = spread_quantile(&facts->gaps, 1000), least = 120 * rules->period;

	if (signs->known < 17280 * rules->period || spread_count(&facts->gaps) < 1000 || facts->clients < 3 ||
		memory->active == 0)
		return;
	if (facts->parked != facts->clients || facts->waiting || facts->lent || facts->pool_waiting ||
		facts->runtime == RUNTIME_GUI)
		return;
	if (facts->servers_limit && facts->servers_lent >= facts->servers_limit)
		return;
	signs->silent_for = signs->now - memory->active;
	signs->silence = signs->silent_for >= 8 * longest && signs->silent_for >= least &&
		memory->active - memory->busy_since >= 720 * rules->period;
}

void signs_read(const struct origin_memory *memory, const struct leak_rules *rules, time_us now,
	const struct leak_facts *facts, struct signs *signs)
{
	const struct sample *then = history_before(&memory->history, 120 * rules->period);
	const struct course *course = &memory->courses[TRACK_CLIENTS];

	memset(signs, 0, sizeof(*signs));
	signs->now = now;
	signs->known = now - memory->known;
	signs->visits = &memory->visits;
	signs->rhythm = spread_count(&facts->gaps) >= 20 ? spread_quantile(&facts->gaps, 900) : 0;
	read_clumps(&memory->clumps, rules, signs);
	read_births(memory, rules, facts, signs);
	if (!signs->sprouts)
		read_teeth(memory, rules, facts, signs);
	signs->tied = are_tied(rules, facts);
	read_holds(memory, rules, facts, signs);
	read_silence(memory, rules, facts, signs);
	if (then) {
		signs->dead = grown(then->dead, (uint32_t)facts->dead_peers);
		signs->abandoned = grown(then->abandoned, (uint32_t)facts->abandoned);
		signs->locks = grown(then->locks, (uint32_t)facts->session_locks);
		signs->cancels = grown(then->cancels, (uint32_t)facts->cancels);
		signs->left_soon = grown(then->left_soon, (uint32_t)facts->left_soon);
		signs->left_alike = grown(then->left_alike, (uint32_t)facts->left_alike);
		signs->left_unused = grown(then->left_unused, (uint32_t)facts->left_unused);
	}
	if (course->leak || signs->sprouts)
		signs->unused_trend = trend_of(&memory->history, sample_unused);
	if (course->leak) {
		time_us pause = 6 * course->pace > 12 * rules->period ? 6 * course->pace : 12 * rules->period;
		const struct sample *before = history_before(&memory->history, pause);

		signs->paused = now - course->grown >= pause;
		/* In use, and nevertheless no more of them: a plateau. A leak whose application sleeps is no plateau. */
		signs->flat = signs->paused && before && grown(before->reused, (uint32_t)facts->reused) > 0;
	}
	if (facts->holding)
		signs->holding_trend = trend_of(&memory->history, sample_holding);
	if (facts->unread)
		signs->unread_trend = trend_of(&memory->history, sample_unread);
}
