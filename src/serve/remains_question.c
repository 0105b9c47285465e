/* The server is asked what is left in its session, at the end of a transaction in which something was suspected, and what it answers is drawn
 * from: settings become the client's, all else pins the lease. The drawing is in remains.c. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/hearers.h"
#include "serve/remains_parts.h"

#define ASK_AGAIN   (100 * MILLISECOND_US)
#define ASK_DOUBLED 7 /* times: 13 seconds then */
#define LOOK_AGAIN  (5 * MILLISECOND_US)

bool remains_learn_base(struct channel *channel)
{
	const struct pool_view *view = channel_view(channel);
	struct question question = { .marks = LOOK_SETTINGS, .user = view->user, .login = true };
	struct params *empty;
	struct buf text = { 0 };
	bool ok, triggers;

	/* Its clients would begin without a part of it. */
	if (channel->remains.refused) {
		channel_break(channel, "out of memory");
		return false;
	}
	if (channel->base || !view->database)
		return true;
	/* New in 17. Under "off" what they set is anybody's to undo for others, as with PgBouncer. */
	triggers = view->rules.transparency != TRANSPARENCY_OFF && params_server_version(channel->reported) >= 17;
	question.greeting = view->database->connect_query;
	if (!question.greeting && !triggers)
		return true;
	empty = params_empty(channel->worker->house->params);
	ok = question_write(&question, &text);
	if (ok)
		answer_begin(&channel->remains.answer, &question, empty);
	ok = ok && channel_ask(channel, buf_span(&text), TAG_QUESTION);
	channel->remains.asked = ok;
	buf_fini(&text);
	params_drop(empty);
	if (!ok)
		channel_break(channel, "out of memory");
	return false;
}

bool remains_learn_catalog(struct channel *channel)
{
	const struct pool_view *view = channel_view(channel);

	if (view->rules.transparency != TRANSPARENCY_FULL || view->rules.mode == POOL_SESSION)
		return true;
	if (!catalogs_read(channel, CATALOG_FIRST))
		return true;
	/* It is logged in, and PostgreSQL bounds the rest. */
	timer_clear(&channel->worker->timers, &channel->timer);
	return false;
}

static bool ask(struct channel *channel)
{
	struct remains *r = &channel->remains;
	struct question question = { .marks = r->touched, .called = r->called, .user = channel_view(channel)->user };
	struct params *names = params_keep(channel->applied), *empty = params_empty(channel->worker->house->params);
	struct buf text = { 0 };
	const char *name, *value;
	bool ok = true;
	size_t i;

	for (i = 0; ok && r->set && i < params_count(r->set); i++) {
		params_at(r->set, i, &name, &value);
		ok = params_put(&names, span_text(name), span_text(""));
	}
	question.set = names;
	question.version = params_server_version(channel->reported);
	ok = ok && question_write(&question, &text);
	if (ok)
		answer_begin(&r->answer, &question, empty);
	ok = ok && channel_ask(channel, buf_span(&text), TAG_QUESTION);
	buf_fini(&text);
	params_drop(names);
	params_drop(empty);
	if (!ok)
		return false;
	params_drop(r->called);
	params_drop(r->set);
	r->called = r->set = NULL;
	channel_view(channel)->stats.questions++;
	r->asking = r->touched;
	r->touched = 0;
	r->asked = true;
	return true;
}

bool remains_settle(struct channel *channel)
{
	struct remains *r = &channel->remains;

	if (r->refused) {
		channel_break(channel, "out of memory");
		return false;
	}
	/* A question would take the unnamed statement with it, and this one is nowhere else. */
	if (r->asked || r->correcting || r->reading.catalog || channel->guest->unnamed_long)
		return false;
	if (!catalogs_held(channel)) {
		numbers_mix(channel);
		r->touched |= LOOK_UNKNOWN;
		r->blind = true;
	}
	/* A cancel on its way would hit what is asked here: remains_arrived. */
	if (channel->errands > 0 && (r->blind || r->touched || channel->guest->hearer))
		return false;
	if (r->blind && catalogs_read(channel, CATALOG_BLIND))
		return false;
	if (r->blind) {
		r->unsure = !catalogs_name(channel) || r->unsure;
		r->blind = false;
	}
	r->own_settings = r->own_settings && r->touched;
	r->own_names = r->own_names && r->touched;
	if (r->touched && (!r->failed || channel->worker->now >= r->again)) {
		if (!ask(channel))
			channel_break(channel, "out of memory");
		return false;
	}
	if (!hearer_settle(channel))
		return false;
	if (remains_matter(channel->guest) && channel->errands == 0 && catalogs_read(channel, CATALOG_REFRESH)) {
		/* Its client may know already that it is ready, and ask meanwhile what it listens to. */
		if (!hearer_unmark(channel))
			channel_break(channel, "out of memory");
		return false;
	}
	return !r->touched && !r->pins;
}

/* Its client rests, and the last question failed. */
static bool is_to_ask_again(const struct channel *channel)
{
	const struct remains *r = &channel->remains;

	return r->failed && r->touched && !r->asked && track_idle(&channel->track);
}

time_us remains_due(const struct channel *channel)
{
	time_us now = channel->worker->now;

	if (channel->remains.until > 0)
		return now + LOOK_AGAIN;
	if (!channel->remains.failed)
		return 0;
	/* Whatever keeps it from being asked then is over some time. */
	return channel->remains.again > now ? channel->remains.again : now + ASK_AGAIN;
}

void remains_ask_again(struct channel *channel)
{
	if (channel->remains.until > 0)
		remains_let_go(channel);
	if (is_to_ask_again(channel) && channel->worker->now >= channel->remains.again)
		channel_settle(channel);
}

bool remains_wants(const struct channel *channel, const struct frame *frame)
{
	const struct track *track = &channel->track;

	if (frame->type == 'D' && track->count > 0 && (track->ring[track->head].flags & TRACK_OURS) &&
		track->ring[track->head].tag == TAG_PROOF)
		return true;
	return (channel->remains.asked || channel->remains.reading.catalog) && frame->type == 'D' && track->count > 0 &&
		(track->ring[track->head].flags & TRACK_OURS) &&
		(track->ring[track->head].tag == TAG_QUESTION || track->ring[track->head].tag == TAG_CATALOG) &&
		track->ring[track->head].kind == TRACK_QUERY;
}

bool remains_row(struct channel *channel, struct span body)
{
	return !channel->remains.asked || answer_row(&channel->remains.answer, body);
}

/* What its login set and its user may not is not there any more, or another value is: no other server can be made so, nor this one as it was. */
static bool is_given_up(const struct channel *channel, const struct params *settings)
{
	const char *name, *value, *now;
	size_t i;

	for (i = 0; channel->base_given && i < params_count(channel->base); i++) {
		params_at(channel->base, i, &name, &value);
		now = params_get(settings, span_text(name));
		if (!now || strcmp(now, value) != 0)
			return true;
	}
	return false;
}

/* A RESET that no look has seen (in a function, or set_config(name, NULL, ...)) made it the server's value, where it is to be what the client asked for at
 * its login. Nobody is shown whether a role, or a setting with a dot, was RESET. Counted. */
static struct params *with_startup(struct channel *channel, struct params *settings)
{
	struct params *all = params_keep(settings), *startup = channel->guest->startup;
	const char *name, *value;
	size_t i;

	for (i = 0; startup && i < params_count(startup); i++) {
		params_at(startup, i, &name, &value);
		if (!strchr(name, '.') && !params_is_role(name) && !params_get(settings, span_text(name)) &&
			!params_put(&all, span_text(name), span_text(value)))
			channel->remains.refused = true;
	}
	return all;
}

static void take_answer(struct channel *channel)
{
	struct remains *r = &channel->remains;
	struct answer *a = &r->answer;

	answer_end(a);
	if (a->settings_asked && is_given_up(channel, a->settings))
		a->pins |= 1u << PIN_SETTING;
	if ((a->asked & 1u << PIN_LISTEN) && hearer_answered(channel, &a->topics))
		a->pins &= ~(1u << PIN_LISTEN);
	remains_set_pins(channel, (r->pins & ~(a->asked | 1u << PIN_UNASKED)) | a->pins);
	/* One that was sent since the question is not in its answer. */
	if (!remains_is_pinned(r, PIN_PREPARE) && !(r->touched & (LOOK_PREPARE | LOOK_UNKNOWN)))
		r->prepared = 0;
	/* Words are not all that makes one: a function does, or a search_path that begins with pg_temp. */
	if (remains_is_pinned(r, PIN_TEMPORARY)) {
		remains_come_in_front(channel);
	} else if (!(r->touched & LOOK_TEMPORARY)) {
		r->in_front = false;
		r->made = 0;
	}
	if (a->settings_asked) {
		params_drop(channel->applied);
		channel->applied = params_keep(a->settings);
		channel->applied_doubtful = false;
		params_drop(channel->guest->wanted);
		channel->guest->wanted = with_startup(channel, a->settings);
		channel->guest->whole = true;
	}
	if (a->refused)
		r->refused = true;
}

static bool is_superuser(const struct channel *channel)
{
	const char *said = params_get(channel->reported, span_text("is_superuser"));

	return said && strcmp(said, "on") == 0;
}

void remains_answered(struct channel *channel)
{
	struct remains *r = &channel->remains;

	check(r->asked);
	r->asked = false;
	if (channel->state == CHANNEL_GREETING) {
		r->refused = r->answer.refused;
		channel->base = params_keep(r->answer.settings);
		channel->base_given = r->answer.privileged && !is_superuser(channel);
		params_drop(channel->applied);
		channel->applied = params_keep(channel->base);
	} else if (!channel->guest) {
		/* Its client left meanwhile: DISCARD ALL comes next, whatever there is. */
		channel->setup_failed = false;
	} else if (channel->setup_failed) {
		/* A statement_timeout of the client's, or a cancel: asked again when it did something more, or after a while. It may rest for an
		 * hour, and what made the question slow is over in a moment. */
		channel->setup_failed = false;
		remains_pin(channel, PIN_UNASKED);
		r->touched |= r->asking;
		r->failed = true;
		r->again = channel->worker->now +
			(ASK_AGAIN << (r->failures < ASK_DOUBLED ? r->failures : ASK_DOUBLED));
		r->failures++;
		channel_limits(channel);
	} else {
		r->failed = false;
		r->failures = 0;
		take_answer(channel);
	}
	answer_fini(&r->answer);
	r->asking = 0;
	if (!r->touched && !r->pins)
		r->statement_length = 0;
}
