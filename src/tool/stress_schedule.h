#ifndef PGWEIR_TOOL_STRESS_SCHEDULE_H
#define PGWEIR_TOOL_STRESS_SCHEDULE_H

#include "tool/stress.h"

/* When a run does what: pure, made once from the plan. Times count from the run's start. */
struct stress_step {
	enum stress_phase phase;
	unsigned wave;        /* 0: before the first */
	time_us begins, ends; /* the next one begins where this one ends */
	unsigned from, to;    /* sockets wanted: they change evenly over the step, or stay */
};

#define RAMP_STEPS_MAX   20
#define STRESS_STEPS_MAX (3 + (4 + RAMP_STEPS_MAX) * STRESS_WAVES_MAX)

struct stress_schedule {
	struct stress_step steps[STRESS_STEPS_MAX];
	size_t count;
	time_us ends;
};

/* How a wave's sockets come: "2s" evenly in that time, "50/s" so many a second, "10s/5" in five steps over that time. False: it is none. */
bool ramp_read(const char *text, struct stress_plan *);

/* All of it; where the load is to be raised until it breaks, what comes before the first wave. */
void schedule_make(struct stress_schedule *, const struct stress_plan *);

/* One more wave at the end; at most STRESS_WAVES_MAX. */
void schedule_add_wave(
	struct stress_schedule *, const struct stress_plan *, unsigned wave, unsigned sockets, unsigned burst);

/* The step at this time; NULL: the run is over. */
const struct stress_step *schedule_at(const struct stress_schedule *, time_us at);

/* How many sockets are wanted then. */
unsigned step_wanted(const struct stress_step *, time_us at);

/* When this step wanted its socket number `number` (from 1): what its wait counts from, however late we come to it. */
time_us step_due(const struct stress_step *, unsigned number);

#endif
