/* See web_judges.h. A letter has the number of its request and nothing else of it: who hung up meanwhile is not found any more, and what was
 * said serves the one request that asked, never another with the same name. */
#include "serve/web_judges.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"

uint64_t judge_of(const struct vouching *about)
{
	return hash_bytes(span_text(about->options)) + (uint64_t)about->method;
}

static struct judged *find(struct judges *judges, uint64_t request)
{
	for (size_t i = 0; i < sizeof judges->list / sizeof *judges->list; i++)
		if (judges->list[i].request == request)
			return &judges->list[i];
	return NULL;
}

/* A free place, or the one that was answered longest ago: that request has read it. */
static struct judged *place_for(struct judges *judges, uint64_t request)
{
	struct judged *place = NULL;

	for (size_t i = 0; i < sizeof judges->list / sizeof *judges->list; i++) {
		struct judged *other = &judges->list[i];

		if (!other->asked && (!place || other->at < place->at))
			place = other;
	}
	*place = (struct judged){ .request = request };
	return place;
}

enum judgement judges_ask(
	struct judges *judges, struct mailbox *home, const struct http_request *request, const struct vouching *about)
{
	struct judged *judged = find(judges, request->number);
	struct vouch_letter *letter;
	uint64_t judge = judge_of(about);

	if (judged && (judged->asked || judged->judge == judge))
		return judged->asked ? JUDGEMENT_LATER : judged->said;
	if (judges->under_way >= JUDGED_AT_ONCE)
		return JUDGEMENT_LATER;
	letter = calloc(1, sizeof *letter);
	if (!letter)
		return JUDGEMENT_NONE;
	if (!vouching_fill(letter, about)) {
		log_line(LOG_WARNING, "http: %s", letter->problem);
		vouch_letter_free(&letter);
		return JUDGEMENT_NO;
	}
	if (!judged)
		judged = place_for(judges, request->number);
	judged->judge = judge;
	judged->asked = true;
	judges->under_way++;
	letter->to = home;
	memcpy(letter->asker, &request->number, sizeof request->number);
	vouch(&letter);
	return JUDGEMENT_LATER;
}

void judges_take(struct judges *judges, struct vouch_letter *letter, time_us now)
{
	struct judged *judged;
	char name[2 * sizeof letter->user], shown[2 * sizeof letter->problem];
	uint64_t request;

	memcpy(&request, letter->asker, sizeof request);
	judged = find(judges, request);
	judges->under_way--;
	judged->asked = false;
	judged->at = now;
	judged->said = letter->yes ? JUDGEMENT_YES : letter->unheard ? JUDGEMENT_NONE : JUDGEMENT_NO;
	if (!letter->yes) {
		text_escape(name, sizeof name, span_text(letter->user));
		text_escape(shown, sizeof shown, span_text(letter->problem));
		log_line(LOG_WARNING, "http: login of \"%s\" failed: %s", name, shown);
	}
	vouch_letter_free(&letter);
}
