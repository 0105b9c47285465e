#include "tool/stress_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/terminal.h"
#include "tool/stress_climb.h"
#include "tool/stress_watch.h"

/* The run itself: turn the load, take what the watch has seen, say where we are; over and over until the schedule ends. */

#define LINE_EVERY (200 * MILLISECOND_US)

/* ---- saying where we are ---- */

struct progress {
	unsigned columns;
	time_us said;
	const struct stress_step *step;
};

/* All that was counted so far. */
static struct stress_tally_phase counted(const struct stress_result *r, const struct climb *climb)
{
	struct stress_tally_phase all = tally_total(&r->tally), level;

	if (climb) {
		level = climb_total(climb);
		tally_add(&all, &level);
	}
	return all;
}

static void progress_words(const struct stress_result *r, const struct climb *climb, const struct stress_step *step,
	unsigned open, char *out, size_t size)
{
	struct stress_tally_phase all = counted(r, climb);
	const struct stress_reading *seen = r->timeline.count ? &r->timeline.samples[r->timeline.count - 1].reading
							      : &stress_reading_unknown;
	char wave[40] = "", time[40];
	size_t n;

	if (step->wave > 0 && climb)
		text_format(wave, sizeof wave, "%u sockets%s ", r->knee.next, r->knee.again ? " again" : "");
	else if (step->wave > 0)
		text_format(wave, sizeof wave, "wave %u/%u ", step->wave, r->plan->waves);
	n = text_format(out, size, "%s%-8s  %u open", wave, stress_phase_names[step->phase], open);
	if (seen->sessions != UNKNOWN)
		n += text_format(out + n, size - n, "  PostgreSQL %d (%d idle, %d in transaction)", seen->sessions,
			seen->idle, seen->in_transaction);
	if (seen->clients != UNKNOWN)
		n += text_format(out + n, size - n, "  pooler %d clients, %d wait", seen->clients, seen->waiting);
	if (all.reply.count > 0)
		n += text_format(out + n, size - n, "  p99 reply %s",
			text_duration(time, sizeof time, histogram_quantile(&all.reply, 990)));
	if (all.failed + all.dropped + all.wrong > 0)
		text_format(
			out + n, size - n, "  %llu errors", (unsigned long long)(all.failed + all.dropped + all.wrong));
}

/* One line that changes, where somebody watches; else a line for each step. */
static void progress(struct progress *p, const struct stress_result *r, const struct climb *climb,
	const struct stress_step *step, unsigned open, time_us now)
{
	char line[300];
	bool stepped = p->step != step;

	if (r->plan->quiet || (p->columns == 0 ? !stepped : now < p->said + LINE_EVERY))
		return;
	p->step = step;
	p->said = now;
	progress_words(r, climb, step, open, line, sizeof line);
	if (p->columns > 0)
		fprintf(stderr, "\r\033[K%.*s", (int)p->columns - 1, line);
	else
		fprintf(stderr, "%5.1f s  %s\n", (double)now / (double)SECOND_US, line);
	fflush(stderr);
}

static void progress_end(const struct progress *p, const struct stress_result *r)
{
	if (!r->plan->quiet && p->columns > 0)
		fputs("\r\033[K", stderr);
}

/* ---- the run ---- */

static void take_sample(struct stress_result *r, struct climb *climb, const struct stress_step *step, unsigned open,
	time_us now, struct watch *watch)
{
	struct stress_sample sample = { .at = now, .phase = step->phase, .wave = step->wave, .sockets = open };
	struct stress_tally_phase all;

	if (!watch_take(watch, &sample.reading))
		return;
	if (climb)
		climb_saw(climb, &sample.reading);
	all = counted(r, climb);
	sample.failed = all.failed + all.dropped + all.wrong;
	sample.answered = all.answered;
	timeline_add(&r->timeline, &sample);
}

/* Nobody was let in by the first visitors: more of them would only be told the same. */
static bool hopeless(struct stress_result *r, const struct stress_step *before, const struct stress_step *step)
{
	struct stress_tally_phase all;

	if (r->plan->knee && r->knee.count > 0)
		return false; /* to be refused is what is looked for */
	if (!before || before == step || (before->phase != PHASE_WARM_UP && before->phase != PHASE_HOLD))
		return false;
	all = tally_total(&r->tally);
	if (all.opened > 0 || all.failed == 0)
		return false;
	text_format(r->stopped, sizeof r->stopped, "none of the first %llu sockets could be opened: %s",
		(unsigned long long)all.failed, r->tally.trouble_count ? r->tally.troubles[0].text : "not known why");
	return true;
}

/* How many waves have settled; -1: not even what was before them. */
static int settled_by(const struct stress_schedule *s, time_us at)
{
	int settled = -1;

	for (size_t i = 0; i < s->count; i++) {
		bool rest = s->steps[i].phase == PHASE_SETTLE ||
			(s->steps[i].phase == PHASE_BASELINE && i + 1 < s->count && s->steps[i + 1].wave == 1);

		if (rest && s->steps[i].ends <= at)
			settled = (int)s->steps[i].wave;
	}
	return settled;
}

static uint64_t opened_in_waves(const struct stress_tally *t)
{
	return tally_total(t).opened - t->phases[PHASE_WARM_UP].opened;
}

static void judge(struct stress_result *r, const struct watch *watch)
{
	size_t count;
	const struct stress_session *sessions = watch_sessions(watch, &count);
	int settled = settled_by(&r->schedule, r->lasted);
	struct stress_evidence evidence = { .plan = r->plan,
		.timeline = &r->timeline,
		.opened = opened_in_waves(&r->tally),
		.settled = settled > 0 ? (unsigned)settled : 0,
		.pooler_pattern = watch_pattern(watch),
		.blind = !r->plan->console && watch_saw_superusers_alone(watch) };

	r->names = *watch_names(watch);
	r->left = sessions_left(sessions, count, &r->schedule);
	if (r->plan->postgres && !r->plan->console)
		evidence.left = &r->left;
	if (!r->plan->knee) /* whose waves differ in size, so that what they leave behind can not be compared */
		verdict_reach(&r->verdict, &evidence);
	metrics_take(&r->metrics, &r->tally, &r->timeline, &r->verdict);
	if (r->plan->knee && r->knee.found)
		metrics_take_knee(&r->metrics, r->knee.good);
}

/* Where we are; while the knee is looked for, the end of what is planned is the begin of the next level. */
static const struct stress_step *step_at(const struct stress_result *r, struct climb *climb, time_us now)
{
	const struct stress_step *step = schedule_at(&r->schedule, now);

	if (!step && climb && climb_next(climb))
		step = schedule_at(&r->schedule, now);
	return step;
}

static void run_loop(struct stress_result *r, struct load *load, struct watch *watch, time_us zero)
{
	struct progress said = { .columns = terminal_columns(stderr) };
	struct climb *climb = r->plan->knee ? climb_new(r, load) : NULL;
	const struct stress_step *before = NULL, *step;
	time_us now = 0;

	while (!terminal_interrupted() && (step = step_at(r, climb, now)) != NULL && !hopeless(r, before, step)) {
		unsigned open;

		before = step;
		load_turn(load, step);
		open = load_open_count(load);
		if (open > r->sockets_peak)
			r->sockets_peak = open;
		take_sample(r, climb, step, open, now, watch);
		progress(&said, r, climb, step, open, now);
		now = clock_now() - zero;
	}
	climb_end(&climb);
	r->lasted = now;
	r->interrupted = terminal_interrupted();
	if (r->interrupted)
		text_copy(r->stopped, sizeof r->stopped, "interrupted; what follows was seen until then");
	progress_end(&said, r);
}

bool run_plan(struct stress_result *r, bool *usage, char *error, size_t error_size)
{
	time_us zero;
	struct watch *watch;
	struct load *load;

	terminal_catch_interrupts();
	clock_text(clock_wall(), false, r->began);
	schedule_make(&r->schedule, r->plan);
	zero = clock_now();
	watch = watch_start(r->plan, zero, usage, error, error_size);
	if (!watch)
		return false;
	r->max_connections = watch_max_connections(watch);
	load = load_new(r->plan, &r->tally, zero, error, error_size);
	if (!load) {
		watch_free(watch);
		return false;
	}
	run_loop(r, load, watch, zero);
	load_end(load);
	watch_stop(watch);
	if (watch_trouble(watch)[0])
		result_note(r, watch_trouble(watch));
	if (watch_saw_superusers_alone(watch) && r->plan->console)
		result_note(r,
			"at PostgreSQL only superusers' sessions came during the run, and those are not counted unless --role names whose they are");
	if (watch_saw_nobody(watch))
		result_note(r,
			r->plan->role
				? "not one session of --role was seen at PostgreSQL: is it the application's, and is that its PostgreSQL?"
				: "not one session was seen at PostgreSQL: is it the one that the target uses?");
	judge(r, watch);
	load_free(load);
	watch_free(watch);
	return true;
}
