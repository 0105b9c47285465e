#include <stdlib.h>

#include "base/check.h"
#include "base/redact.h"

/* Any bytes as SQL, into any room: the result stays within it and has its end, less room gives a beginning of what more room gives,
 * and outside of comments and quoted names no quote is left, so no literal can have stayed. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void holds_no_literal(const char *text)
{
	size_t depth = 0;

	for (; *text; text++) {
		if (text[0] == '/' && text[1] == '*') {
			depth++;
			text++;
		} else if (depth > 0) {
			if (text[0] == '*' && text[1] == '/') {
				depth--;
				text++;
			}
		} else if (text[0] == '-' && text[1] == '-') {
			text += strcspn(text, "\n");
			if (!*text)
				return;
		} else if (*text == '"') {
			text = strchr(text + 1, '"');
			if (!text)
				return;
		} else {
			check(*text != '\'');
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size > 0 ? data[0] : 0, length;
	struct span sql = size > 0 ? span_of(data + 1, size - 1) : (struct span){ 0 };
	char *cut = malloc(room + 1), *whole = malloc(size + 1);

	if (cut && whole) {
		length = redact_sql(cut, room, sql);
		check(room == 0 || (length < room && strlen(cut) == length));
		length = redact_sql(whole, size + 1, sql);
		check(length <= sql.length && strlen(whole) == length);
		holds_no_literal(whole);
		check(room == 0 || strncmp(whole, cut, strlen(cut)) == 0);
	}
	free(cut);
	free(whole);
	return 0;
}
