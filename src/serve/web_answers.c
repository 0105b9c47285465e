/* See web_answers.h. A visit lives on when PostgreSQL can not be asked: who looks at us because it can not be reached must not be sent away
 * for that. A login does not begin then. */
#include "serve/web_answers.h"

#include "base/text.h"

static void forget(struct web_answer *answer)
{
	secrets_drop(answer->found);
	*answer = (struct web_answer){ 0 };
}

void answers_fini(struct answers *answers)
{
	for (unsigned i = 0; i < ANSWERS_MOST; i++)
		forget(&answers->list[i]);
}

static struct web_answer *find(struct answers *answers, const char *user)
{
	for (unsigned i = 0; i < ANSWERS_MOST; i++)
		if (answers->list[i].user[0] && strcmp(answers->list[i].user, user) == 0)
			return &answers->list[i];
	return NULL;
}

static bool gives_way(const struct web_answer *a, const struct web_answer *b)
{
	if ((a->found != NULL) != (b->found != NULL))
		return !a->found;
	return a->used < b->used;
}

static struct web_answer *place_for(struct answers *answers, const char *user)
{
	struct web_answer *answer = find(answers, user);

	if (answer)
		return answer;
	answer = &answers->list[0];
	for (unsigned i = 1; i < ANSWERS_MOST; i++)
		if (gives_way(&answers->list[i], answer))
			answer = &answers->list[i];
	forget(answer);
	text_copy(answer->user, sizeof answer->user, user);
	return answer;
}

static void ask(struct web_answer *answer, struct house *house)
{
	if (!answer->asked)
		answer->asked = question_ask(house, answer->user);
}

const struct web_answer *answers_since(
	struct answers *answers, struct house *house, const char *user, time_us since, time_us now)
{
	struct web_answer *answer = place_for(answers, user);

	answer->used = now;
	if (answer->at && answer->at >= since)
		return answer;
	ask(answer, house);
	return NULL;
}

const struct web_answer *answers_last(
	struct answers *answers, struct house *house, const char *user, time_us age, time_us now)
{
	struct web_answer *answer = find(answers, user);

	if (!answer || !answer->at)
		return NULL;
	answer->used = now;
	if (now >= answer->at + age)
		ask(answer, house);
	return answer;
}

void answers_take(struct answers *answers, struct letter_question *letter, time_us now)
{
	struct web_answer *answer = find(answers, letter->user);

	if (answer) {
		answer->asked = false;
		answer->at = now;
		answer->failed = !letter->known;
	}
	if (answer && letter->known) {
		secrets_drop(answer->found);
		answer->found = letter->found;
		letter->found = NULL;
	}
	question_letter_free(letter);
}
