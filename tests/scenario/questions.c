/* What is told of the core when a story asks. */
#include "story.h"

#include "base/check.h"
#include "base/text.h"

static void say_count(struct story *t, unsigned count, const char *what)
{
	char text[80];

	text_format(text, sizeof(text), "%u %s", count, what);
	if (count)
		say(t, text);
}

void tell_picture(struct story *t)
{
	struct pool_picture picture;
	char text[300], length[40];

	check(core_pool_picture(t->core, pool_named(t, word(t)), &picture));
	say_count(t, picture.clients, "clients");
	say_count(t, picture.waiting, "waiting");
	say_count(t, picture.lent, "lent");
	say_count(t, picture.idle, "idle");
	say_count(t, picture.dialing, "dialing");
	say_count(t, picture.cleaning, "cleaning");
	say_count(t, picture.moving, "moving");
	say_count(t, picture.closing, "closing");
	say_count(t, picture.orphaned, "orphaned");
	if (picture.oldest_wait_since) {
		text_format(text, sizeof(text), "oldest waits %s",
			text_duration(length, sizeof(length), t->now - picture.oldest_wait_since));
		say(t, text);
	}
	if (picture.oldest_lease_since) {
		text_format(text, sizeof(text), "oldest lease %s",
			text_duration(length, sizeof(length), t->now - picture.oldest_lease_since));
		say(t, text);
	}
	if (picture.full_since) {
		text_format(text, sizeof(text), "full at %u", picture.full_target);
		say(t, text);
	}
	if (picture.failing) {
		text_format(text, sizeof(text), "failing (%s %s)", picture.sqlstate, picture.failure);
		say(t, text);
	}
	if (t->said.length == 0)
		say(t, "nothing");
}

void tell_totals(struct story *t)
{
	struct totals_picture totals;

	core_totals(t->core, &totals);
	say_count(t, totals.clients, "clients");
	say_count(t, totals.at_door, "at the door");
	say_count(t, totals.logging_in, "logging in");
	say_count(t, totals.waiting, "waiting");
	say_count(t, totals.lent, "lent");
	say_count(t, totals.servers, "servers");
	if (totals.suspended)
		say(t, "suspended");
	if (t->said.length == 0)
		say(t, "nothing");
}

static void say_instance(struct story *t, instance_id id)
{
	struct instance_picture picture;
	char text[60];

	check(core_instance_picture(t->core, id, &picture));
	say_count(t, picture.waiting, "waiting");
	say_count(t, picture.servers, "servers");
	say_count(t, picture.idle, "idle");
	say_count(t, picture.aside, "aside");
	say_count(t, picture.visitors, "visitors");
	text_format(text, sizeof(text), picture.target ? "at most %u" : "no limit", picture.target);
	say(t, text);
}

void tell_instance(struct story *t)
{
	struct event event = { .kind = EVENT_BUDGET, .budget = BUDGET_UNKNOWN };

	event.instance = core_instance(t->core, span_text(word(t)));
	if (!t->words[t->at]) {
		say_instance(t, event.instance);
		return;
	}
	while (t->words[t->at] && !t->wrong) {
		if (take(t, "visit")) {
			say(t, core_visit(t->core, event.instance) ? "there is room" : "there is no room");
			return;
		}
		if (take(t, "left"))
			event.kind = EVENT_VISITOR_LEFT;
		else if (take(t, "budget"))
			event.budget = take(t, "unknown") ? BUDGET_UNKNOWN : (int64_t)number(t);
		else if (take(t, "aside"))
			event.aside = number(t);
		else
			wrong(t, "an instance has no '%s'", word(t));
	}
	feed(t, event);
	say_effects(t);
}

void tell_audit(struct story *t)
{
	struct totals_picture totals;
	char text[120];

	core_audit(t->core);
	core_totals(t->core, &totals);
	text_format(text, sizeof(text), "ok: %u server%s, %u lease%s, %u waiting", totals.servers,
		totals.servers == 1 ? "" : "s", totals.lent, totals.lent == 1 ? "" : "s", totals.waiting);
	say(t, text);
}
