#ifndef PGWEIR_TOOL_STRESS_CLIMB_H
#define PGWEIR_TOOL_STRESS_CLIMB_H

#include "tool/stress_load.h"
#include "tool/stress_report.h"

/* The search for the knee while it happens: level after level becomes a wave of the run's schedule. */
struct climb;

/* `load` and the result are borrowed. What is wanted was looked at already (knee_can_be). */
struct climb *climb_new(struct stress_result *, struct load *);

/* What the level under way has counted so far, which is not in result->tally yet. */
struct stress_tally_phase climb_total(const struct climb *);

void climb_saw(struct climb *, const struct stress_reading *);

/* The schedule has come to its end: judge the level that has just been, and add the next. False: the knee is found. */
bool climb_next(struct climb *);

/* What was counted belongs to the result from here on, and so does the load's counting. */
void climb_end(struct climb **);

#endif
