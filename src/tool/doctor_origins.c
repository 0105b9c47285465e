#include "tool/doctor_origins.h"

#include <stdlib.h>

#include "base/text.h"

struct origin_index {
	struct session **sorted;
	size_t count;
	size_t *starts; /* of each origin in `sorted`; one more at the end */
	size_t origins;
};

static int compare_origin(const struct session *a, const struct session *b)
{
	int order = strcmp(a->user, b->user);

	if (order == 0)
		order = strcmp(a->database, b->database);
	if (order == 0)
		order = strcmp(a->application, b->application);
	return order ? order : strcmp(a->address, b->address);
}

static int compare(const void *left, const void *right)
{
	const struct session *a = *(struct session *const *)left, *b = *(struct session *const *)right;
	int order = compare_origin(a, b);

	if (order)
		return order;
	return a->birth < b->birth ? -1 : a->birth > b->birth;
}

struct origin_index *origin_index_new(const struct server_facts *server)
{
	struct origin_index *index = calloc(1, sizeof *index);

	if (!index)
		return NULL;
	index->sorted = calloc(server->session_count + 1, sizeof(struct session *));
	index->starts = calloc(server->session_count + 2, sizeof *index->starts);
	if (!index->sorted || !index->starts) {
		origin_index_free(index);
		return NULL;
	}
	for (size_t i = 0; i < server->session_count; i++) {
		if (!server->sessions[i].ours)
			index->sorted[index->count++] = &server->sessions[i];
	}
	qsort(index->sorted, index->count, sizeof(struct session *), compare);
	for (size_t i = 0; i < index->count; i++) {
		if (i == 0 || compare_origin(index->sorted[i - 1], index->sorted[i]) != 0)
			index->starts[index->origins++] = i;
	}
	index->starts[index->origins] = index->count;
	return index;
}

void origin_index_free(struct origin_index *index)
{
	if (!index)
		return;
	free(index->sorted);
	free(index->starts);
	free(index);
}

bool origin_at(const struct origin_index *index, size_t i, struct origin_view *out)
{
	if (!index || i >= index->origins)
		return false;
	*out = (struct origin_view){ .sessions = index->sorted + index->starts[i],
		.count = index->starts[i + 1] - index->starts[i] };
	return true;
}

char *origin_name(const struct session *session, char *out, size_t size)
{
	text_format(out, size, "%s of %s@%s from %s",
		*session->application ? session->application : "(no application_name)",
		*session->user ? session->user : "?", *session->database ? session->database : "?",
		*session->address ? session->address : "?");
	return out;
}

static bool had_one_burst(const struct session *s)
{
	return strcmp(s->state, "idle") == 0 && s->last_change - s->birth <= ORIGIN_BURST;
}

void origin_leak_sign(const struct origin_view *origin, struct leak_sign *sign)
{
	time_us moment = 0;

	*sign = (struct leak_sign){ 0 };
	for (size_t i = 0; i < origin->count; i++) {
		const struct session *s = origin->sessions[i];
		size_t siblings = 0;

		if (had_one_burst(s)) {
			sign->idle++;
			if (s->state_age > sign->oldest_idle)
				sign->oldest_idle = s->state_age;
		}
		for (size_t j = 0; j < i && siblings < ORIGIN_SIBLINGS; j++) {
			const struct session *other = origin->sessions[j];

			siblings += had_one_burst(other) && other->last_change + ORIGIN_QUIET <= s->birth;
		}
		if (siblings < ORIGIN_SIBLINGS)
			continue;
		sign->born++;
		if (sign->moments == 0 || s->birth - moment >= ORIGIN_APART) {
			sign->moments++;
			moment = s->birth;
		}
	}
}
