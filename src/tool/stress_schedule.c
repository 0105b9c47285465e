#include "tool/stress_schedule.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"

/*   sockets
 *      |                            ______ burst
 *      |                    _______|      |
 *      |                   /  hold         \               the same again for each wave
 *      |    ___           / ramp            \ drain
 *      |___|   |_________/                   \___________
 *       base warm settle                        settle
 *
 * The last part of the settle steps is where the verdict looks: what is held there is held by nobody. */

static void add(
	struct stress_schedule *s, enum stress_phase phase, unsigned wave, time_us length, unsigned from, unsigned to)
{
	if (length <= 0)
		return;
	check(s->count < STRESS_STEPS_MAX);
	s->steps[s->count++] = (struct stress_step){
		.phase = phase, .wave = wave, .begins = s->ends, .ends = s->ends + length, .from = from, .to = to
	};
	s->ends += length;
}

bool ramp_read(const char *text, struct stress_plan *plan)
{
	size_t length = strcspn(text, "/");
	struct span front = span_of(text, length);
	int64_t number;

	plan->ramp_rate = plan->ramp_steps = 0;
	if (strcmp(text + length, "/s") == 0) {
		if (!text_to_i64(front, &number) || number < 1 || number > STRESS_SOCKETS_MAX)
			return false;
		plan->ramp_rate = (unsigned)number;
		return true;
	}
	if (text[length]) {
		if (!text_to_i64(span_text(text + length + 1), &number) || number < 2 || number > RAMP_STEPS_MAX)
			return false;
		plan->ramp_steps = (unsigned)number;
	}
	return text_to_duration(front, &plan->ramp) && plan->ramp >= 0 && plan->ramp <= 24 * 3600 * SECOND_US;
}

static void add_ramp(struct stress_schedule *s, const struct stress_plan *plan, unsigned wave, unsigned sockets)
{
	if (plan->ramp_rate > 0)
		add(s, PHASE_RAMP, wave, sockets * SECOND_US / plan->ramp_rate, 0, sockets);
	else if (plan->ramp_steps == 0)
		add(s, PHASE_RAMP, wave, plan->ramp, 0, sockets);
	for (unsigned k = 1; k <= plan->ramp_steps; k++) {
		unsigned level = (unsigned)((uint64_t)sockets * k / plan->ramp_steps);

		add(s, PHASE_RAMP, wave, plan->ramp / plan->ramp_steps, level, level);
	}
}

void schedule_add_wave(
	struct stress_schedule *s, const struct stress_plan *plan, unsigned wave, unsigned sockets, unsigned burst)
{
	unsigned all = sockets + burst;

	add_ramp(s, plan, wave, sockets);
	add(s, PHASE_HOLD, wave, plan->hold, sockets, sockets);
	if (burst > 0 || plan->storm)
		add(s, PHASE_BURST, wave, plan->burst_for, all, all);
	add(s, PHASE_DRAIN, wave, plan->drain, all, 0);
	add(s, PHASE_SETTLE, wave, plan->settle, 0, 0);
}

void schedule_make(struct stress_schedule *s, const struct stress_plan *plan)
{
	*s = (struct stress_schedule){ 0 };
	add(s, PHASE_BASELINE, 0, plan->baseline, 0, 0);
	if (plan->warm_up > 0) {
		add(s, PHASE_WARM_UP, 0, plan->warm_for, plan->warm_up, plan->warm_up);
		add(s, PHASE_SETTLE, 0, plan->settle, 0, 0);
	}
	for (unsigned wave = 1; wave <= plan->waves && !plan->knee; wave++)
		schedule_add_wave(s, plan, wave, plan->sockets, plan->burst);
}

const struct stress_step *schedule_at(const struct stress_schedule *s, time_us at)
{
	for (size_t i = 0; i < s->count; i++) {
		if (at < s->steps[i].ends)
			return &s->steps[i];
	}
	return NULL;
}

unsigned step_wanted(const struct stress_step *step, time_us at)
{
	int64_t change = (int64_t)step->to - (int64_t)step->from, length = step->ends - step->begins;

	if (at <= step->begins)
		return step->from;
	if (at >= step->ends)
		return step->to;
	return (unsigned)((int64_t)step->from + change * (at - step->begins) / length);
}

time_us step_due(const struct stress_step *step, unsigned number)
{
	if (step->to <= step->from || number <= step->from)
		return step->begins;
	if (number >= step->to)
		return step->ends;
	return step->begins + (step->ends - step->begins) * (number - step->from) / (step->to - step->from);
}
