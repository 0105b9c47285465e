/* Any text ends, and what is found does not depend on what follows its terminator. */
#include <stdlib.h>

#include "base/check.h"
#include "session/look.h"
#include "session/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
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
	return 0;
}
