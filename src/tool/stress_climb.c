#include "tool/stress_climb.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/thread.h"

/* Each level counts for itself, and is added to the run when it is over. Beside it stands what this machine did meanwhile, so that a load
 * that has only met its own limit does not blame its target. */

struct climb {
	struct stress_result *result;
	struct load *load;
	struct assertion *wanted;
	struct stress_tally level;
	struct knee_seen seen;
	time_us began;
	clock_t used; /* processor time of this process */
	uint64_t busy, all;
	bool under_way;
};

/* The first line of /proc/stat: user nice system idle iowait irq softirq steal, in ticks (proc(5)). */
static void machine_ticks(uint64_t *busy, uint64_t *all)
{
	char *text, error[200], *at;
	size_t length;

	*busy = *all = 0;
	if (!file_read("/proc/stat", 1 << 20, &text, &length, error, sizeof error))
		return;
	at = text + strcspn(text, " ");
	for (int field = 0; field < 8 && *at; field++) {
		uint64_t ticks = strtoull(at, &at, 10);

		*all += ticks;
		*busy += field == 3 || field == 4 ? 0 : ticks;
	}
	free(text);
}

static unsigned percent(double part, double whole)
{
	return whole > 0 ? (unsigned)(100 * part / whole) : 0;
}

struct climb *climb_new(struct stress_result *r, struct load *load)
{
	struct climb *c = memory_new(1, sizeof *c);
	char error[3000];

	c->result = r;
	c->load = load;
	c->wanted = assertion_parse(span_text(r->plan->knee), error, sizeof error);
	check(c->wanted);
	knee_begin(&r->knee, r->plan->sockets);
	return c;
}

struct stress_tally_phase climb_total(const struct climb *c)
{
	return tally_total(&c->level);
}

void climb_saw(struct climb *c, const struct stress_reading *reading)
{
	if (reading->waiting > c->seen.waiting)
		c->seen.waiting = reading->waiting;
	if (reading->servers > c->seen.servers)
		c->seen.servers = reading->servers;
	if (reading->active > c->seen.active)
		c->seen.active = reading->active;
}

static void begin(struct climb *c)
{
	struct stress_result *r = c->result;

	c->level = (struct stress_tally){ 0 };
	c->seen = (struct knee_seen){
		.tally = &c->level, .waiting = UNKNOWN, .servers = UNKNOWN, .active = UNKNOWN, .cores = cores_count()
	};
	c->began = clock_now();
	c->used = clock();
	machine_ticks(&c->busy, &c->all);
	c->under_way = true;
	load_count_in(c->load, &c->level);
	schedule_add_wave(&r->schedule, r->plan, r->knee.count + 1, r->knee.next, 0);
}

static void measure(struct climb *c)
{
	uint64_t busy, all;
	/* Most of a level is rest: what counts is the part in which there is load. */
	double loaded = (double)(clock_now() - c->began - c->result->plan->settle) / (double)SECOND_US;

	machine_ticks(&busy, &all);
	c->seen.load_busy = percent((double)(clock() - c->used) / CLOCKS_PER_SEC, loaded);
	c->seen.machine_busy = percent((double)(busy - c->busy), (double)(all - c->all));
}

bool climb_next(struct climb *c)
{
	bool more = true;

	if (c->under_way) {
		measure(c);
		more = knee_take(&c->result->knee, c->wanted, &c->seen);
		tally_merge(&c->result->tally, &c->level);
		c->under_way = false;
	}
	if (more)
		begin(c);
	return more;
}

void climb_end(struct climb **climb)
{
	struct climb *c = *climb;

	*climb = NULL;
	if (!c)
		return;
	if (c->under_way)
		tally_merge(&c->result->tally, &c->level);
	load_count_in(c->load, &c->result->tally);
	assertion_free(c->wanted);
	free(c);
}
