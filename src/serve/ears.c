/* One connection that hears for all clients of a database that LISTEN:
 *
 *   RESTING --> login --> SETUP (LISTEN to all that is wanted) --> hears
 *      ^          |          |                                       |
 *      +----------+----------+---------------------------------------+     (refused, lost, or no answer in time)
 *
 * It is there while somebody listens, and a minute longer. It logs in as whichever user last listened there: LISTEN needs no privilege,
 * and that user was lent a server of the very database a moment ago. What is asked of it goes out at once and is answered in
 * order, so that a list of what was sent says what each answer means.
 *
 * What always holds:
 *   - a topic is in the table if and only if some worker wants it, with a bit for each such worker;
 *   - a letter EAR_HEAR has exactly one answer, EAR_MARKED or EAR_FAILED; EAR_WAIT has EAR_DONE;
 *   - what is told to one worker is in the order in which PostgreSQL said it. */
#include "serve/ears.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/ear_parts.h"

struct ears {
	struct ear *list[EARS_MAX]; /* by number */
};

/* ---- which there are ---- */

void ears_mark_init(struct house *house)
{
	uint64_t number;

	entropy_fill(&number, sizeof number);
	text_format(house->ear_mark, sizeof house->ear_mark, "_pgweir_%016llx", (unsigned long long)number);
}

static struct ear *ear_new(struct worker *worker, uint32_t number)
{
	struct ear *ear = calloc(1, sizeof *ear);

	if (!ear)
		return NULL;
	ear->place = place_numbered(worker->house, number);
	ear->line.party = PARTY_EAR;
	ear->line.worker = worker;
	ear->line.number = EAR_NUMBERS_FROM + number;
	ear->line.port = ear->place.port;
	ear->number = number;
	ear->sent_last = &ear->sent;
	ear->waiting_last = &ear->waiting;
	timer_init(&ear->timer, PARTY_EAR);
	return ear;
}

static struct ear *ear_of(struct worker *worker, const struct letter_hear *letter)
{
	if (!worker->ears)
		worker->ears = calloc(1, sizeof *worker->ears);
	if (!worker->ears)
		return NULL;
	if (!worker->ears->list[letter->ear] && (letter->wish == EAR_HEAR || letter->wish == EAR_MOVE))
		worker->ears->list[letter->ear] = ear_new(worker, letter->ear);
	return worker->ears->list[letter->ear];
}

/* ---- letters ---- */

/* The one who came last is the first to try. */
static void add_pool(struct ear *ear, pool_id pool)
{
	size_t at = 0;

	while (at < ear->pool_count && ear->pools[at] != pool)
		at++;
	if (at == ear->pool_count && ear->pool_count < EAR_POOLS)
		ear->pool_count++;
	if (at == EAR_POOLS)
		at--;
	memmove(ear->pools + 1, ear->pools, at * sizeof *ear->pools);
	ear->pools[0] = pool;
}

static bool knows_pool(const struct ear *ear, pool_id pool)
{
	for (size_t i = 0; i < ear->pool_count; i++)
		if (ear->pools[i] == pool)
			return true;
	return false;
}

/* What it hears is in one encoding; without anybody it is free to choose another. */
static void choose_encoding(struct ear *ear, const struct letter_hear *letter)
{
	if (ear->line.state == LINE_OPEN && HASH_COUNT(ear->topics) == 0 &&
		strcmp(ear->encoding, letter->encoding) != 0) {
		/* What is not answered yet concerns nobody any more. */
		line_close(&ear->line);
		ear->talk = (struct ear_talk){ 0 };
		ear->heard_at = 0;
		ear_give_up_all(ear);
	}
	if (ear->line.state == LINE_CLOSED && HASH_COUNT(ear->topics) == 0)
		text_copy(ear->encoding, sizeof ear->encoding, letter->encoding);
}

static void take_hear(struct ear *ear, struct letter_hear *letter)
{
	/* Another user may be let in where those who were tried were not. */
	bool rests = ear->line.state == LINE_CLOSED && ear->retry_at > ear->line.worker->now &&
		knows_pool(ear, letter->pool),
	     ok;

	choose_encoding(ear, letter);
	/* It tries again for whoever seeks it, also when that is nobody's now who did when it failed. */
	if (rests)
		ear_arm(ear);
	ok = !rests && strcmp(ear->encoding, letter->encoding) == 0;
	for (size_t i = 0; ok && i < letter->topics.count; i++)
		ok = ear_topic_want(ear, letter->topics.names[i], letter->asker.worker);
	if (!ok) {
		ear_give_up(ear, letter);
		return;
	}
	add_pool(ear, letter->pool);
	if (ear->line.state == LINE_OPEN && ear->heard_at) {
		ear_send_hear(ear, letter);
		return;
	}
	ear_letter_put(&ear->waiting_last, letter);
	if (ear->line.state == LINE_CLOSED) {
		ear->candidate = 0;
		ear_connect(ear);
	}
}

/* What others hear already, or heard until now: it is wanted, come what may. */
static void take_move(struct ear *ear, struct letter_hear *letter)
{
	bool ok;

	choose_encoding(ear, letter);
	ok = strcmp(ear->encoding, letter->encoding) == 0;
	for (size_t i = 0; ok && i < letter->topics.count; i++)
		ok = ear_topic_want(ear, letter->topics.names[i], letter->asker.worker);
	if (!ok) {
		ear_answer(ear, letter, EAR_REFUSED);
		ears_letter_free(letter);
		return;
	}
	add_pool(ear, letter->pool);
	if (ear->line.state == LINE_OPEN && ear->heard_at) {
		ear_send_move(ear, letter);
		return;
	}
	ear_letter_put(&ear->waiting_last, letter);
	if (ear->line.state == LINE_CLOSED)
		ear_arm(ear);
}

static void take_drop(struct ear *ear, struct letter_hear *letter)
{
	struct topics gone = { 0 };
	struct writer w;
	bool ok = true;

	for (size_t i = 0; i < letter->topics.count; i++)
		if (ear_topic_drop(ear, letter->topics.names[i], letter->asker.worker))
			ok = topics_add(&gone, span_text(letter->topics.names[i])) && ok;
	ear->idle_since = ear->line.worker->now;
	/* Without anybody left nothing was missed. */
	if (HASH_COUNT(ear->topics) == 0)
		ear->lost_wall = 0;
	topics_fini(&letter->topics);
	letter->topics = gone;
	if (ear->line.state != LINE_OPEN || gone.count == 0) {
		ears_letter_free(letter);
		return;
	}
	ear_query_begin(ear, &w);
	ear_unlisten(&w, &letter->topics);
	w.bad = w.bad || !ok;
	ear_query_send(ear, &w, letter);
	/* It is free for another encoding. */
	if (ear->line.state == LINE_OPEN && ear->heard_at && HASH_COUNT(ear->topics) == 0 && ear_is_sought(ear))
		ear_tell_back(ear);
}

void ears_take(struct worker *worker, struct letter_hear *letter)
{
	struct ear *ear = worker->stop ? NULL : ear_of(worker, letter);
	struct ear nowhere = { .line.worker = worker, .number = letter->ear };

	if (!ear) {
		if (letter->wish == EAR_MOVE)
			ear_answer(&nowhere, letter, EAR_REFUSED);
		ear_give_up(&nowhere, letter);
		return;
	}
	switch (letter->wish) {
	case EAR_HEAR:
		take_hear(ear, letter);
		break;
	case EAR_MOVE:
		take_move(ear, letter);
		break;
	case EAR_WAIT:
		/* Also behind its first LISTEN, which may have been carried out already. */
		if (ear->line.state == LINE_OPEN)
			ear_send_wait(ear, letter);
		else
			ear_give_up(ear, letter);
		break;
	case EAR_DROP:
		take_drop(ear, letter);
		break;
	}
}

void ears_resolved(struct worker *worker, struct resolve_letter *letter)
{
	uint32_t number = (uint32_t)(uintptr_t)letter->context - EAR_NUMBERS_FROM;
	struct ear *ear = number < EARS_MAX && worker->ears ? worker->ears->list[number] : NULL;

	if (ear)
		ear_edge(ear, line_resolved(&ear->line, letter));
}

void ears_configure(struct worker *worker)
{
	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		struct ear *ear = worker->ears->list[i];

		if (ear && !ear->sent && ear_is_left(ear))
			ear_arm(ear);
	}
}

uint32_t ears_at(const struct worker *worker, const char *host, uint16_t port)
{
	uint32_t count = 0;

	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		const struct ear *ear = worker->ears->list[i];

		count += ear && ear->line.stream && ear->line.port == port && strcmp(ear->place.host, host) == 0;
	}
	return count;
}

bool ears_has(const struct worker *worker, const char *host, uint16_t port, uint32_t process_id)
{
	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		const struct ear *ear = worker->ears->list[i];

		if (ear && ear->line.process_id == process_id && ear->line.port == port &&
			strcmp(ear->place.host, host) == 0)
			return true;
	}
	return false;
}

void ears_go_on(struct worker *worker)
{
	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++)
		if (worker->ears->list[i] && worker->ears->list[i]->line.stream)
			stream_resume(worker->ears->list[i]->line.stream);
}

void ears_fini(struct worker *worker)
{
	for (uint32_t i = 0; worker->ears && i < EARS_MAX; i++) {
		struct ear *ear = worker->ears->list[i];
		struct ear_topic *topic, *next;
		struct letter_hear *letter;

		if (!ear)
			continue;
		timer_clear(&worker->timers, &ear->timer);
		line_close(&ear->line);
		while ((letter = ear_letter_take(&ear->sent, &ear->sent_last)))
			ears_letter_free(letter);
		while ((letter = ear_letter_take(&ear->waiting, &ear->waiting_last)))
			ears_letter_free(letter);
		HASH_ITER(hh, ear->topics, topic, next) {
			HASH_DEL(ear->topics, topic);
			free(topic);
		}
		free(ear);
	}
	free(worker->ears);
	worker->ears = NULL;
}
