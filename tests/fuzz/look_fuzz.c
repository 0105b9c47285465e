/* Any text ends, and what is found does not depend on what follows its terminator; so do the comments in it that tell of the code that sent it,
 * and the numbers of sequences that it asks for. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "session/asked.h"
#include "session/look.h"
#include "session/tags.h"
#include "session/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tags(struct span text)
{
	char said[40], trace[TRACE_ID], *copy = malloc(text.length ? text.length : 1);
	struct tags tags;
	size_t left;

	check(copy);
	tags_read(text, &tags);
	for (enum tag tag = 0; tag < TAGS; tag++) {
		check(tags_value(&tags, tag, said, sizeof said) == strlen(said));
		check(tags.values[tag].length == 0 ||
			(tags.values[tag].at >= text.at &&
				tags.values[tag].at + tags.values[tag].length <= text.at + text.length));
	}
	check(tags_route(&tags, said, sizeof said) == strlen(said));
	tags_trace(&tags, trace);
	check(strlen(trace) == 0 || strlen(trace) == TRACE_ID - 1);
	if (text.length > 0)
		memcpy(copy, text.at, text.length);
	left = tags_drop_trace(copy, text.length);
	check(left <= text.length);
	free(copy);
}

static bool is_bounded(void *context, const char *name)
{
	check(!name || strlen(name) < ASKED_NAME_MAX);
	return ++*(unsigned *)context < 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t half = size > 0 && data[0] < size ? data[0] : size;
	unsigned count = 0;

	struct token_sets sets;
	struct look look, again;
	unsigned i;

	look_at(span_of(data, size), &look);
	check(look.count <= LOOK_NAMES);
	/* What is passed by where nobody asks for it says nothing. */
	look_sets_begin(&sets);
	look_for_words(span_of(data, size), &again, &sets, NULL, NULL);
	check(again.marks == look.marks && again.prepared == look.prepared && again.count == look.count);
	for (i = 0; i < look.count; i++) {
		check(memchr(look.names[i].name, 0, LOOK_NAME_BYTES));
		/* A name that was read stands in the text and may be read again. */
		look_at(span_text(look.names[i].name), &again);
	}
	read_tags(span_of(data, size));
	asked_each(span_of(data, half), span_of(data + half, size - half), is_bounded, &count);
	asked_each(span_of(data, size), span_of(NULL, 0), is_bounded, &count);
	return 0;
}
