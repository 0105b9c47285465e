#include "session/topics.h"

#include <stdlib.h>

#include "base/text.h"

void topics_fini(struct topics *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->names[i]);
	free(t->names);
	*t = (struct topics){ 0 };
}

static int order(const char *have, struct span name)
{
	size_t length = strlen(have), both = length < name.length ? length : name.length;
	int difference = memcmp(have, name.at, both);

	return difference ? difference : (length > name.length) - (length < name.length);
}

/* Where it is, or where it would be. */
static size_t place_of(const struct topics *t, struct span name, bool *found)
{
	size_t low = 0, high = t->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int difference = order(t->names[middle], name);

		if (difference == 0) {
			*found = true;
			return middle;
		}
		if (difference < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool topics_add(struct topics *t, struct span name)
{
	bool found;
	size_t at = place_of(t, name, &found);
	char **grown, *copy;

	if (found)
		return true;
	copy = strndup((const char *)name.at, name.length);
	grown = copy ? realloc(t->names, (t->count + 1) * sizeof *grown) : NULL;
	if (!grown) {
		free(copy);
		return false;
	}
	t->names = grown;
	memmove(grown + at + 1, grown + at, (t->count - at) * sizeof *grown);
	grown[at] = copy;
	t->count++;
	return true;
}

bool topics_add_all(struct topics *t, const struct topics *from)
{
	bool ok = true;

	for (size_t i = 0; ok && i < from->count; i++)
		ok = topics_add(t, span_text(from->names[i]));
	return ok;
}

bool topics_has(const struct topics *t, struct span name)
{
	bool found;

	(void)place_of(t, name, &found);
	return found;
}

void topics_remove(struct topics *t, struct span name)
{
	bool found;
	size_t at = place_of(t, name, &found);

	if (!found)
		return;
	free(t->names[at]);
	t->count--;
	memmove(t->names + at, t->names + at + 1, (t->count - at) * sizeof *t->names);
}

bool topics_equal(const struct topics *a, const struct topics *b)
{
	bool equal = a->count == b->count;

	for (size_t i = 0; equal && i < a->count; i++)
		equal = strcmp(a->names[i], b->names[i]) == 0;
	return equal;
}

bool topics_write(const struct topics *t, const char *verb, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; ok && i < t->count; i++)
		ok = buf_format(out, "%s ", verb) && buf_add_identifier(out, span_text(t->names[i])) &&
			buf_format(out, ";");
	return ok;
}
