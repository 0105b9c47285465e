#include "base/check.h"
#include "core/leak_state.h"

/* What is remembered of an origin, and how it moves.
 *
 *   level 0   . . . . . . . . . . . . . . . . . . . . . . . .    24 looks: the last 2 minutes
 *   level 1   .           .           .           .          ..  every 6th: 12 minutes
 *   level 2   every 36th: over an hour       level 3   every 216th: over 7 hours       (at a period of 5 s)
 *
 * A leak of ten connections a second is told from level 0, one of two an hour from level 3, with the same rules and the
 * same few kilobytes. A sample holds counters rather than what happened since the last one, so that thinning loses nothing
 * but time: the difference of any two samples is exact.
 *
 * Growth is told by Theil's and Sen's method: of the slopes between all pairs of samples, the median. A third of the samples
 * may lie anywhere and it still holds, where a fitted line would follow one burst. At most 24 samples make 276 pairs. */

void history_add(struct history *history, const struct sample *sample)
{
	uint64_t every = 1;

	for (unsigned l = 0; l < HISTORY_LEVELS; l++, every *= HISTORY_STEP) {
		unsigned count = history->levels[l].count, first = history->levels[l].first;

		if (history->steps % every != 0)
			break;
		if (count < HISTORY_LENGTH) {
			history->levels[l].ring[count] = *sample;
			history->levels[l].count++;
		} else {
			history->levels[l].ring[first] = *sample;
			history->levels[l].first = (first + 1) % HISTORY_LENGTH;
		}
	}
	history->steps++;
}

static const struct sample *history_at(const struct history *history, unsigned level, unsigned i)
{
	check(i < history->levels[level].count);
	return &history->levels[level].ring[(history->levels[level].first + i) % HISTORY_LENGTH];
}

unsigned history_tail(const struct history *history, unsigned level, unsigned most, struct sample *out)
{
	unsigned count = history->levels[level].count, n, own;
	const struct sample *latest;

	check(level < HISTORY_LEVELS && most > 0 && most <= HISTORY_LENGTH);
	if (history->levels[0].count == 0)
		return 0;
	latest = history_at(history, 0, history->levels[0].count - 1);
	/* A coarse level's last sample is usually older than the latest of all, which then comes on top. */
	own = count > 0 && history_at(history, level, count - 1)->at == latest->at;
	n = count - own < most - 1 ? count - own : most - 1;
	for (unsigned i = 0; i < n; i++)
		out[i] = *history_at(history, level, count - own - n + i);
	out[n] = *latest;
	return n + 1;
}

const struct sample *history_before(const struct history *history, time_us age)
{
	const struct sample *oldest = NULL;
	time_us now;

	if (history->levels[0].count == 0)
		return NULL;
	now = history_at(history, 0, history->levels[0].count - 1)->at;
	for (unsigned l = 0; l < HISTORY_LEVELS; l++) {
		for (unsigned i = history->levels[l].count; i-- > 0;) {
			const struct sample *sample = history_at(history, l, i);

			if (!oldest || sample->at < oldest->at)
				oldest = sample;
			if (now - sample->at >= age)
				return sample;
		}
	}
	return oldest;
}

/* The value that would stand at `place` if they were sorted, by Hoare: sorting all of them took ten times as long. */
static double select_value(double *values, size_t count, size_t place)
{
	size_t low = 0, high = count - 1;

	while (low < high) {
		double pivot = values[low + (high - low) / 2];
		size_t i = low, j = high;

		for (;;) {
			double other;

			while (values[i] < pivot)
				i++;
			while (values[j] > pivot)
				j--;
			if (i >= j)
				break;
			other = values[i];
			values[i++] = values[j];
			values[j--] = other;
		}
		/* Up to j none is above the pivot, from j + 1 on none below it. */
		if (place <= j)
			high = j;
		else
			low = j + 1;
	}
	return values[place];
}

/* A single step, wherever in the window it is, is the same slope in most pairs; but only one half has seen any. */
static bool rises_in_both_halves(const struct sample *samples, unsigned count, uint32_t (*value)(const struct sample *))
{
	int balance[2] = { 0, 0 };

	for (unsigned i = 0; i < count; i++) {
		unsigned half = i >= count / 2, end = half ? count : count / 2;

		for (unsigned j = i + 1; j < end; j++)
			balance[half] += (value(&samples[j]) > value(&samples[i])) -
				(value(&samples[j]) < value(&samples[i]));
	}
	return balance[0] > 0 && balance[1] > 0;
}

struct trend history_trend(const struct sample *samples, unsigned count, uint32_t (*value)(const struct sample *))
{
	double slopes[HISTORY_LENGTH * (HISTORY_LENGTH - 1) / 2];
	size_t n = 0, up = 0, down = 0;
	struct trend trend = { 0 };

	check(count <= HISTORY_LENGTH);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = i + 1; j < count; j++) {
			double rise = (double)value(&samples[j]) - (double)value(&samples[i]);
			double run = (double)(samples[j].at - samples[i].at) / (double)SECOND_US;

			if (run <= 0)
				continue;
			up += rise > 0;
			down += rise < 0;
			slopes[n++] = rise / run;
		}
	}
	if (n == 0)
		return trend;
	trend.slope = select_value(slopes, n, n / 2);
	trend.robust = count >= 6 && trend.slope > 0 && up >= down + n * 6 / 10 &&
		rises_in_both_halves(samples, count, value);
	return trend;
}

uint32_t sample_unused(const struct sample *sample)
{
	return sample->unused;
}

uint32_t sample_holding(const struct sample *sample)
{
	return sample->holding;
}

uint32_t sample_unread(const struct sample *sample)
{
	return sample->unread;
}
