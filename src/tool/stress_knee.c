#include "tool/stress_knee.h"

#include <string.h>

#include "base/text.h"
#include "tool/memory.h"

/*   sockets                       x broken, twice
 *      |                 .  o  x  .
 *      |          o      .        .   between the largest that held and the smallest that did not, until they are a tenth apart
 *      |      o  doubled until it breaks
 *      |  o
 *      | o   a sixteenth of --sockets
 *
 * Each level is a wave of its own, from nobody to nobody: a level that inherits the sockets, the queues and the anger of the one before it
 * measures that one. A level that breaks is tried a second time before it is believed, since one stutter of a machine is no knee. */

void knee_begin(struct knee *k, unsigned most)
{
	*k = (struct knee){ .most = most, .next = most / 16 ? most / 16 : 1 };
}

/* The figures that did not hold, as they were. */
static void say_why(const struct assertion *a, const struct stress_metrics *m, char *out, size_t size)
{
	struct assertion_clause clauses[ASSERT_CLAUSES_MAX];
	size_t count = assertion_clauses(a, m, clauses), length = 0;

	out[0] = 0;
	for (size_t i = 0; i < count; i++) {
		if (clauses[i].answer != ASSERTION_HOLDS)
			length += text_format(out + length, size - length, "%s%s", length ? ", " : "", clauses[i].seen);
	}
}

/* ---- what stood in the way ---- */

/* What one of the errors says, by the words that are in it. */
static const struct {
	const char *said, *limit;
} words_of_limits[] = {
	{ "too many clients already", "PostgreSQL's places (max_connections)" },
	{ "remaining connection slots", "PostgreSQL's places (max_connections)" },
	{ "too many connections for", "a CONNECTION LIMIT of the role or the database" },
	{ "no more connections allowed", "the pooler's max_client_conn, or what it gives one user or database" },
	{ "query_wait_timeout", "the pool: its servers are not free within query_wait_timeout" },
	{ "Too many open files", "the limit of open files of this process" },
	{ "Cannot assign requested address", "the ports of this machine" },
};

static void name_limit(struct knee *k, const struct knee_seen *seen)
{
	const struct stress_tally *t = seen->tally;
	char *out = k->limit;
	const size_t size = sizeof k->limit;

	for (size_t i = 0; i < t->trouble_count; i++) {
		for (size_t w = 0; w < sizeof words_of_limits / sizeof words_of_limits[0]; w++) {
			if (strstr(t->troubles[i].text, words_of_limits[w].said)) {
				text_format(out, size, "%s: %llu times \"%s\"", words_of_limits[w].limit,
					(unsigned long long)t->troubles[i].count, t->troubles[i].text);
				return;
			}
		}
	}
	if (seen->load_busy >= 90)
		text_format(out, size,
			"this program itself: it used %u %% of the one core that it can use, so the target may bear more",
			seen->load_busy);
	else if (seen->waiting > 0)
		text_format(out, size, "the pool's size: up to %d clients waited at the pooler for one of %d servers",
			seen->waiting, seen->servers);
	else if (seen->machine_busy >= 90)
		text_format(out, size, "the processors of this machine: %u %% busy", seen->machine_busy);
	else if (seen->active > (int)(2 * seen->cores))
		text_format(out, size, "PostgreSQL's own work: up to %d statements ran at once, on %u cores",
			seen->active, seen->cores);
	else if (t->trouble_count > 0)
		text_format(out, size, "only the target knows; it said \"%s\"", t->troubles[0].text);
	else
		text_copy(out, size,
			"not among what can be seen from here: no error, nobody waits at the pooler, processors idle. So it is within the application: its threads, its own pool");
}

/* ---- the search ---- */

static bool near_enough(const struct knee *k)
{
	return k->bad - k->good <= 1 || k->bad - k->good <= k->good / 10;
}

static void choose_next(struct knee *k)
{
	if (k->bad == 0) {
		k->found = k->good == k->most;
		k->next = k->good > k->most / 2 ? k->most : 2 * k->good;
	} else {
		k->found = near_enough(k);
		k->next = k->good + (k->bad - k->good) / 2;
	}
}

bool knee_take(struct knee *k, const struct assertion *a, const struct knee_seen *seen)
{
	struct knee_level *level = &k->levels[k->count++];
	const struct timeline nothing = { 0 };
	const struct stress_verdict unknown = { 0 };
	struct stress_tally_phase all = tally_total(seen->tally);
	struct stress_metrics m;

	metrics_take(&m, seen->tally, &nothing, &unknown);
	*level = (struct knee_level){ .sockets = k->next,
		.held = assertion_judge(a, &m) == ASSERTION_HOLDS,
		.p99_connect = histogram_quantile(&all.connect, 990),
		.p99_reply = histogram_quantile(&all.reply, 990),
		.errors = all.failed + all.dropped + all.wrong };
	if (!level->held)
		say_why(a, &m, level->why, sizeof level->why);
	if (!level->held && !k->again && k->count < STRESS_WAVES_MAX) {
		k->again = true;
		return true;
	}
	k->again = false;
	if (level->held) {
		k->good = k->next;
	} else {
		k->bad = k->next;
		name_limit(k, seen);
	}
	choose_next(k);
	return !k->found && k->count < STRESS_WAVES_MAX;
}

bool knee_can_be(const struct assertion *a, char *error, size_t error_size)
{
	struct stress_tally *tally = memory_new(1, sizeof *tally);
	const struct timeline nothing = { 0 };
	const struct stress_verdict unknown = { 0 };
	struct stress_metrics m;
	struct assertion_clause clauses[ASSERT_CLAUSES_MAX];
	size_t count;

	tally->phases[PHASE_HOLD] = (struct stress_tally_phase){ .opened = 1, .asked = 1, .answered = 1 };
	histogram_add(&tally->phases[PHASE_HOLD].connect, 1);
	histogram_add(&tally->phases[PHASE_HOLD].reply, 1);
	metrics_take(&m, tally, &nothing, &unknown);
	free(tally);
	count = assertion_clauses(a, &m, clauses);
	for (size_t i = 0; i < count; i++) {
		if (clauses[i].answer != ASSERTION_UNKNOWN)
			continue;
		text_format(error, error_size,
			"'%s' is not known while the load is raised: a knee is made of times, of failed, dropped, wrong, errors and the like",
			clauses[i].text);
		return false;
	}
	return true;
}

void knee_words(const struct knee *k, const char *expression, char *out, size_t size)
{
	const struct knee_level *broken = NULL;

	for (unsigned i = 0; i < k->count; i++) {
		if (k->levels[i].sockets == k->bad && !k->levels[i].held)
			broken = &k->levels[i];
	}
	if (!k->found)
		text_format(out, size, "The knee was not found: the run ended before. %u sockets held.", k->good);
	else if (!broken)
		text_format(out, size, "No knee up to %u sockets: %s holds for all of them. Raise --sockets.", k->most,
			expression);
	else if (k->good == 0)
		text_format(out, size, "No load is served as wanted (%s): one socket already gives %s.", expression,
			broken->why);
	else
		text_format(out, size, "The knee: %u sockets at once are served as wanted (%s); %u give %s.", k->good,
			expression, k->bad, broken->why);
}
