/* What is wanted of an ear, and by whom: its topics, the letters that wait for it or for an answer, and what workers are told. */
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/ear_parts.h"

/* ---- telling workers ---- */

void ear_tell(struct ear *ear, uint32_t to, struct letter_heard heard, struct span bytes)
{
	struct letter_heard *letter = malloc(sizeof *letter + bytes.length);

	check(letter); /* one that is lost would be a notification that is lost in silence, or a client that waits for ever */
	*letter = heard;
	letter->letter.kind = LETTER_HEARD;
	letter->ear = ear->number;
	letter->length = bytes.length;
	if (bytes.length > 0)
		memcpy(letter->bytes, bytes.at, bytes.length);
	worker_post(ear->line.worker, to, &letter->letter);
}

void ear_answer(struct ear *ear, const struct letter_hear *asked, enum ear_word word)
{
	struct letter_heard heard = {
		.word = word,
		.asker = asked->asker,
		.token = asked->token,
		.missed = asked->wish == EAR_MOVE ? asked->missed : ear->lost_wall,
	};

	ear_tell(ear, asked->asker.worker, heard, span_of(NULL, 0));
}

void ear_tell_workers(
	struct ear *ear, const uint64_t workers[WORKER_WORDS], struct letter_heard heard, struct span bytes)
{
	for (uint32_t i = 0; i < ear->line.worker->house->worker_count; i++)
		if (workers[i / 64] >> (i % 64) & 1)
			ear_tell(ear, i, heard, bytes);
}

/* ---- what was asked of it ---- */

void ears_letter_free(struct letter_hear *letter)
{
	topics_fini(&letter->topics);
	free(letter);
}

void ear_letter_put(struct letter_hear ***last, struct letter_hear *letter)
{
	letter->next = NULL;
	**last = letter;
	*last = &letter->next;
}

struct letter_hear *ear_letter_take(struct letter_hear **first, struct letter_hear ***last)
{
	struct letter_hear *letter = *first;

	if (letter) {
		*first = letter->next;
		if (!*first)
			*last = first;
	}
	return letter;
}

/* It will not come to that. */
void ear_give_up(struct ear *ear, struct letter_hear *letter)
{
	if (letter->wish == EAR_HEAR && !letter->marked)
		ear_answer(ear, letter, EAR_FAILED);
	else if (letter->wish == EAR_WAIT && letter->token)
		ear_answer(ear, letter, EAR_DONE);
	ears_letter_free(letter);
}

bool ear_is_sought(const struct ear *ear)
{
	return atomic_load(&ear->line.worker->house->ear_seekers[ear->number]) > 0;
}

struct ear_topic *ear_topic_find(const struct ear *ear, struct span name)
{
	struct ear_topic *topic;

	HASH_FIND(hh, ear->topics, name.at, (unsigned)name.length, topic);
	return topic;
}

bool ear_topic_want(struct ear *ear, const char *name, uint32_t worker)
{
	struct ear_topic *topic = ear_topic_find(ear, span_text(name));
	size_t length = strlen(name);
	bool refused = false;

	if (!topic) {
		topic = HASH_COUNT(ear->topics) < EARS_TOPICS_MAX ? calloc(1, sizeof *topic + length + 1) : NULL;
		if (!topic)
			return false;
		memcpy(topic->name, name, length);
		HASH_ADD_KEYPTR(hh, ear->topics, topic->name, (unsigned)length, topic);
		if (refused) {
			free(topic);
			return false;
		}
	}
	topic->workers[worker / 64] |= UINT64_C(1) << (worker % 64);
	return true;
}

/* True: nobody wants it any more, and it is gone from the table. */
bool ear_topic_drop(struct ear *ear, const char *name, uint32_t worker)
{
	struct ear_topic *topic = ear_topic_find(ear, span_text(name));
	uint64_t left = 0;

	if (!topic)
		return false;
	topic->workers[worker / 64] &= ~(UINT64_C(1) << (worker % 64));
	for (size_t i = 0; i < WORKER_WORDS; i++)
		left |= topic->workers[i];
	if (left)
		return false;
	HASH_DEL(ear->topics, topic);
	free(topic);
	return true;
}

/* It was lost, or could not come to be. What was moved here waits for the next time: nobody else hears it. */
void ear_give_up_all(struct ear *ear)
{
	struct letter_hear *letter, *kept = NULL, **kept_last = &kept;

	while ((letter = ear_letter_take(&ear->sent, &ear->sent_last)) ||
		(letter = ear_letter_take(&ear->waiting, &ear->waiting_last)))
		if (letter->wish == EAR_MOVE)
			ear_letter_put(&kept_last, letter);
		else
			ear_give_up(ear, letter);
	while ((letter = ear_letter_take(&kept, &kept_last)))
		ear_letter_put(&ear->waiting_last, letter);
}
