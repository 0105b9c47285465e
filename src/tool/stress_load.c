#include "tool/stress_load.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "tool/memory.h"

/*           due              opened            due             answered
 *   AWAY ---------> OPENING --------> RESTING ------> ASKING -----------> RESTING        (HTTP: AWAY, one connection each)
 *    ^                 | failed          | dropped       | dropped, too late
 *    |                 v                 v               v
 *    +--- drained --- FAILED <-----------+---------------+
 *
 * Visitor k is wanted while the step wants more than k, so a ramp brings them in their order and a drain sends the last ones away first.
 * A wait counts from when the step wanted it, not from when we came to it: a load that is late itself must not make its target look
 * quick. Who was refused does not knock again in the same wave, as it would be the load that never ends; who cut itself off does. */

#define VALUES_MAX (64 << 20)
#define TURN_US    (10 * MILLISECOND_US)
#define GRACE_US   (2 * SECOND_US)
#define BACK_US    (100 * MILLISECOND_US) /* who comes and goes; sooner, and this machine would soon have no ports left */

static bool way_open(struct visitor *v)
{
	return v->load->plan->target == TARGET_POSTGRES ? postgres_open(v) : web_open(v);
}

static bool way_ask(struct visitor *v)
{
	return v->load->plan->target == TARGET_POSTGRES ? postgres_ask(v) : web_ask(v);
}

static void way_close(struct visitor *v, enum goodbye goodbye)
{
	if (v->load->plan->target == TARGET_POSTGRES)
		postgres_close(v, goodbye);
	else
		web_close(v, goodbye);
}

static void way_turn(struct load *l, time_us most)
{
	if (l->plan->target == TARGET_POSTGRES)
		postgres_turn(l, most);
	else
		web_turn(l, most);
}

static struct stress_tally_phase *tally_of(struct load *l)
{
	return &l->tally->phases[l->phase];
}

static bool is_open(const struct visitor *v)
{
	return v->state == VISITOR_RESTING || v->state == VISITOR_ASKING;
}

static void enter(struct visitor *v, enum visitor_state state, time_us due)
{
	v->load->open -= is_open(v);
	v->state = state;
	v->due = due;
	v->load->open += is_open(v);
}

static bool read_values(struct load *l, char *error, size_t error_size)
{
	char *text, words[300];
	size_t length;

	if (!l->plan->values)
		return true;
	if (!file_read(l->plan->values, VALUES_MAX, &text, &length, error, error_size))
		return false;
	l->values = values_read(span_of(text, length), words, sizeof words);
	free(text);
	if (!l->values)
		text_format(error, error_size, "%s, %s", l->plan->values, words);
	return l->values != NULL;
}

struct load *load_new(
	const struct stress_plan *plan, struct stress_tally *tally, time_us zero, char *error, size_t error_size)
{
	struct load *l = memory_new(1, sizeof *l);
	unsigned most = plan->sockets + plan->burst;

	l->plan = plan;
	l->tally = tally;
	l->zero = zero;
	l->count = plan->warm_up > most ? plan->warm_up : most;
	l->visitors = memory_new(l->count, sizeof *l->visitors);
	for (unsigned i = 0; i < l->count; i++)
		l->visitors[i].load = l;
	rng_seed(&l->rng, plan->seed);
	if (plan->expect) {
		l->expect_length = strlen(plan->expect);
		l->failures = memory_new(l->expect_length + 1, sizeof *l->failures);
		for (size_t i = 1, k = 0; i < l->expect_length; i++) {
			while (k > 0 && plan->expect[i] != plan->expect[k])
				k = l->failures[k - 1];
			k += plan->expect[i] == plan->expect[k];
			l->failures[i] = (uint16_t)k;
		}
	}
	l->expectation = expectation_new(plan, error, error_size);
	if (!l->expectation || !read_values(l, error, error_size)) {
		load_free(l);
		return NULL;
	}
	if (plan->target == TARGET_POSTGRES ? postgres_start(l, error, error_size) : web_start(l, error, error_size))
		return l;
	load_free(l);
	return NULL;
}

/* Of a hundred visitors as many as were asked for behave in each of the ways. */
static enum stress_abuse choose_abuse(struct load *l)
{
	unsigned die = (unsigned)rng_below(&l->rng, 100);

	for (unsigned i = 1; i < ABUSE_KINDS; i++) {
		if (die < l->plan->abuse[i])
			return (enum stress_abuse)i;
		die -= l->plan->abuse[i];
	}
	return ABUSE_NONE;
}

static void visitor_open(struct visitor *v, time_us due)
{
	struct load *l = v->load;

	v->abuse = l->phase == PHASE_WARM_UP ? ABUSE_NONE : choose_abuse(l);
	v->serial = ++l->serial;
	v->cut_at = 0;
	v->deadline = l->now + l->plan->timeout;
	enter(v, VISITOR_OPENING, due);
	way_open(v);
}

static bool cuts_itself_off(const struct visitor *v)
{
	return v->abuse == ABUSE_RESET || v->abuse == ABUSE_LEAVE || v->abuse == ABUSE_COPY;
}

/* Those say something else than --message. */
static bool has_own_words(const struct visitor *v)
{
	return v->abuse == ABUSE_TRANSACTION || v->abuse == ABUSE_STATE || v->abuse == ABUSE_COPY;
}

static void plan_cut(struct visitor *v)
{
	if ((cuts_itself_off(v) || v->abuse == ABUSE_CANCEL) && v->cut_at == 0)
		v->cut_at = v->load->now + (time_us)(10 + rng_below(&v->load->rng, 90)) * MILLISECOND_US;
}

void visitor_opened(struct visitor *v)
{
	struct load *l = v->load;

	check(v->state == VISITOR_OPENING);
	l->now = clock_now() - l->zero;
	histogram_add(&tally_of(l)->connect, l->now > v->due ? l->now - v->due : 0);
	tally_of(l)->opened++;
	enter(v, VISITOR_RESTING, l->now);
	if (!l->plan->message)
		plan_cut(v);
}

void visitor_asked(struct visitor *v)
{
	struct load *l = v->load;

	check(is_open(v));
	v->matched = 0;
	v->expected = false;
	v->refusal[0] = 0;
	buf_clear(&v->answer);
	v->deadline = l->now + l->plan->timeout;
	tally_of(l)->asked++;
	enter(v, VISITOR_ASKING, v->due);
	plan_cut(v);
}

void visitor_heard(struct visitor *v, struct span bytes)
{
	const struct load *l = v->load;

	if (expectation_wants(l->expectation) && v->answer.length + bytes.length <= EXPECT_KEPT)
		memory_got(buf_add_span(&v->answer, bytes) ? v : NULL);
	if (l->expect_length == 0)
		return;
	for (size_t i = 0; i < bytes.length && !v->expected; i++) {
		while (v->matched > 0 && bytes.at[i] != (uint8_t)l->plan->expect[v->matched])
			v->matched = l->failures[v->matched - 1];
		v->matched = (uint16_t)(v->matched + (bytes.at[i] == (uint8_t)l->plan->expect[v->matched]));
		v->expected = v->matched == l->expect_length;
	}
}

void visitor_parted(struct visitor *v)
{
	if (v->answer.length > 0 && v->answer.length < EXPECT_KEPT)
		memory_got(buf_add(&v->answer, "\n", 1) ? v : NULL);
}

/* What --expect and its like say of the answer that is there. False: `why`. */
static bool is_expected(const struct visitor *v, char *why, size_t why_size)
{
	const struct load *l = v->load;

	if (has_own_words(v) || v->abuse == ABUSE_CANCEL)
		return true;
	if (l->expect_length > 0 && !v->expected) {
		text_copy(why, why_size, "an answer without the expected text");
		return false;
	}
	return expectation_met(l->expectation, buf_span(&v->answer), why, why_size);
}

void visitor_answered(struct visitor *v, bool right, const char *wrong)
{
	struct load *l = v->load;
	char why[STRESS_TEXT] = "";

	if (v->state != VISITOR_ASKING)
		return; /* what nobody asked for */
	l->now = clock_now() - l->zero;
	histogram_add(&tally_of(l)->reply, l->now > v->due ? l->now - v->due : 0);
	tally_of(l)->answered++;
	v->cut_at = cuts_itself_off(v) ? v->cut_at : 0; /* what would be cancelled is done */
	if (!right || !is_expected(v, why, sizeof why)) {
		tally_of(l)->wrong++;
		tally_trouble(l->tally, wrong && *wrong ? wrong : why);
	}
	/* An HTTP visitor comes again with a connection of its own, the others keep theirs. */
	enter(v, l->plan->target == TARGET_HTTP ? VISITOR_AWAY : VISITOR_RESTING, l->now + l->plan->think);
}

void visitor_failed(struct visitor *v, const char *why)
{
	tally_of(v->load)->failed++;
	tally_trouble(v->load->tally, why);
	enter(v, VISITOR_FAILED, 0);
}

void visitor_dropped(struct visitor *v, const char *why)
{
	tally_of(v->load)->dropped++;
	tally_trouble(v->load->tally, why);
	enter(v, VISITOR_FAILED, 0);
}

/* Cut off by itself; it comes back as people do who press reload. */
static void cut(struct visitor *v, enum goodbye goodbye, time_us pause)
{
	way_close(v, goodbye);
	tally_of(v->load)->abused++;
	enter(v, VISITOR_AWAY, v->load->now + pause);
}

/* What it does in the middle of things. */
static void misbehave(struct visitor *v)
{
	if (v->abuse != ABUSE_CANCEL) {
		cut(v, v->abuse == ABUSE_RESET ? GOODBYE_RESET : GOODBYE_NONE, v->load->plan->think);
	} else if (v->state == VISITOR_ASKING && postgres_cancel(v)) {
		tally_of(v->load)->abused++;
		v->cut_at = 0;
	}
}

static void leave(struct visitor *v)
{
	bool rude = v->abuse == ABUSE_NO_GOODBYE || v->abuse == ABUSE_STOP_READING || cuts_itself_off(v);
	bool abused = rude || (v->abuse == ABUSE_STATE && v->started);

	/* An answer that had not come by then took at least so long. */
	if (v->state == VISITOR_ASKING && v->abuse == ABUSE_NONE)
		histogram_add(&tally_of(v->load)->reply, v->load->now > v->due ? v->load->now - v->due : 0);
	if (v->state == VISITOR_OPENING || is_open(v)) {
		way_close(v, v->abuse == ABUSE_RESET ? GOODBYE_RESET : rude ? GOODBYE_NONE : GOODBYE);
		tally_of(v->load)->abused += abused;
	}
	enter(v, VISITOR_AWAY, 0);
}

static void give_up(struct visitor *v)
{
	char words[80], duration[40];

	text_duration(duration, sizeof duration, v->load->plan->timeout);
	way_close(v, GOODBYE_NONE);
	if (v->state == VISITOR_OPENING) {
		text_format(words, sizeof words, "not open within %s", duration);
		visitor_failed(v, words);
	} else {
		text_format(words, sizeof words, "no answer within %s", duration);
		visitor_dropped(v, words);
	}
}

static void visit(struct visitor *v, const struct stress_step *step, unsigned number)
{
	struct load *l = v->load;
	time_us due;

	switch (v->state) {
	case VISITOR_AWAY:
		due = step_due(step, number);
		if (v->due > due)
			due = v->due;
		if (due <= l->now)
			visitor_open(v, due);
		break;
	case VISITOR_OPENING:
		if (l->now >= v->deadline)
			give_up(v);
		break;
	case VISITOR_RESTING:
		if (v->cut_at && l->now >= v->cut_at)
			misbehave(v);
		else if (v->abuse == ABUSE_COME_AND_GO)
			cut(v, GOODBYE, BACK_US);
		else if (l->plan->message && v->abuse != ABUSE_SILENT && l->now >= v->due)
			way_ask(v);
		break;
	case VISITOR_ASKING:
		if (v->cut_at && l->now >= v->cut_at)
			misbehave(v);
		else if (l->now >= v->deadline && v->abuse != ABUSE_STOP_READING)
			give_up(v);
		break;
	case VISITOR_FAILED:
		break;
	}
}

/* Who is no longer wanted goes; a polite one after its answer, for as long as the drain lasts. */
static void send_away(struct visitor *v, const struct stress_step *step)
{
	bool waits = v->state == VISITOR_ASKING && v->abuse == ABUSE_NONE && step->phase == PHASE_DRAIN &&
		v->load->now < v->deadline;

	if (!waits && (v->state != VISITOR_AWAY || v->due != 0))
		leave(v);
}

/* After a deploy everybody is thrown out, and everybody is back at once. */
static void storm(struct load *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		struct visitor *v = &l->visitors[i];

		if (v->state == VISITOR_OPENING || is_open(v))
			cut(v, GOODBYE_RESET, 0);
		enter(v, VISITOR_AWAY, 0);
	}
}

void load_turn(struct load *l, const struct stress_step *step)
{
	unsigned wanted;

	l->now = clock_now() - l->zero;
	if (l->plan->storm && step->phase == PHASE_BURST && (l->phase != PHASE_BURST || l->wave != step->wave)) {
		l->phase = step->phase;
		storm(l);
	}
	l->phase = step->phase;
	l->wave = step->wave;
	wanted = step_wanted(step, l->now);
	for (unsigned i = 0; i < l->count; i++) {
		if (i < wanted)
			visit(&l->visitors[i], step, i + 1);
		else
			send_away(&l->visitors[i], step);
	}
	way_turn(l, TURN_US);
}

void load_count_in(struct load *l, struct stress_tally *tally)
{
	l->tally = tally;
}

unsigned load_open_count(const struct load *l)
{
	return l->open;
}

void load_end(struct load *l)
{
	time_us until;

	for (unsigned i = 0; i < l->count; i++)
		leave(&l->visitors[i]);
	until = clock_now() + GRACE_US;
	for (int quiet = 0; clock_now() < until && quiet < 20; quiet++)
		way_turn(l, TURN_US);
}

void load_free(struct load *l)
{
	if (!l)
		return;
	if (l->way) {
		if (l->plan->target == TARGET_POSTGRES)
			postgres_end(l);
		else
			web_end(l);
	}
	for (unsigned i = 0; i < l->count; i++) {
		buf_fini(&l->visitors[i].answer);
		buf_fini(&l->visitors[i].body);
	}
	expectation_free(l->expectation);
	values_free(l->values);
	free(l->failures);
	free(l->visitors);
	free(l);
}

/* The value that {{name}} stands for at the front of a template, and how long the name with its braces is. NULL: it is none. */
static const char *value_of(const struct visitor *v, const char *template, size_t *skip)
{
	const char *end;

	if (!v->load->values || strncmp(template, "{{", 2) != 0 || !(end = strstr(template, "}}")))
		return NULL;
	*skip = (size_t)(end - template) + 2;
	return values_at(v->load->values, span_of(template + 2, *skip - 4), v->serial);
}

size_t visitor_fill(struct visitor *v, const char *template, char *out, size_t size)
{
	size_t length = 0;

	while (*template && length + 1 < size) {
		unsigned long long number;
		const char *value;
		size_t skip;

		if (strncmp(template, "{{i}}", 5) == 0) {
			number = v->serial;
			skip = 5;
		} else if (strncmp(template, "{{wave}}", 8) == 0) {
			number = v->load->wave;
			skip = 8;
		} else if (strncmp(template, "{{rand}}", 8) == 0) {
			number = rng_next(&v->load->rng) >> 32;
			skip = 8;
		} else if ((value = value_of(v, template, &skip)) != NULL) {
			length += text_copy(out + length, size - length, value);
			template += skip;
			continue;
		} else {
			out[length++] = *template ++;
			continue;
		}
		length += text_format(out + length, size - length, "%llu", number);
		template += skip;
	}
	out[length] = 0;
	return length;
}
