/* One number for each source says all (the generic cell rate algorithm, ITU-T I.371): when the next one would be due if they came evenly.
 * Each moves it on by one interval, and may come before it by as much as makes a second's worth at once. So whoever waits has its turn already,
 * and no queue is needed; whoever was told 0 has moved nothing, so that nobody can push the turns of a source beyond the patience of those who wait.
 *
 * The table is made of sets; a source has one place of its set's. */
#include "base/pace.h"

#include <stdlib.h>

#define SETS   1024 /* as many as set_of makes */
#define PLACES 4

struct pace {
	uint64_t source;
	time_us next; /* 0: nobody's */
};

struct paces {
	struct pace sets[SETS][PLACES];
};

struct paces *paces_new(void)
{
	return calloc(1, sizeof(struct paces));
}

void paces_free(struct paces *paces)
{
	free(paces);
}

static struct pace *set_of(struct paces *paces, uint64_t source)
{
	return paces->sets[(source * 0x9e3779b97f4a7c15) >> 54];
}

static struct pace *pace_of(struct paces *paces, uint64_t source)
{
	struct pace *set = set_of(paces, source), *least = set;

	for (unsigned i = 0; i < PLACES; i++) {
		if (set[i].next && set[i].source == source)
			return &set[i];
		if (set[i].next < least->next)
			least = &set[i];
	}
	*least = (struct pace){ .source = source };
	return least;
}

time_us paces_take(struct paces *paces, uint64_t source, uint32_t rate, time_us now, time_us latest)
{
	struct pace *pace = pace_of(paces, source);
	time_us interval = SECOND_US / rate, next = pace->next > now ? pace->next : now,
		due = next - (SECOND_US - interval);

	if (due < now)
		due = now;
	if (due > latest)
		return 0;
	pace->next = next + interval;
	return due;
}
