#include "auth/saslprep.h"

#include <stringprep.h>

#include "base/text.h"

/* The tables (what to map, what to forbid, NFKC) are libidn's. What is ours is PostgreSQL's rule around
 * them: a password that can not be prepared is used as it stands, so that a database in LATIN1 works too.
 *
 * libidn works on a terminated text in the caller's buffer and says when the buffer is too small; one letter
 * can become eighteen (U+FDFA), so the room grows until it suffices. */

static bool is_ascii(struct span text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.at[i] >= 0x80)
			return false;
	}
	return true;
}

bool saslprep(struct buf *out, struct span password)
{
	int result = STRINGPREP_TOO_SMALL_BUFFER;
	size_t room = password.length * 2 + 16;

	if (is_ascii(password) || memchr(password.at, 0, password.length))
		return buf_add_span(out, password);
	for (; result == STRINGPREP_TOO_SMALL_BUFFER && room < password.length * 32 + 64; room *= 2) {
		char *text;

		if (!buf_reserve(out, room))
			return false;
		text = (char *)buf_end(out);
		memcpy(text, password.at, password.length);
		text[password.length] = 0;
		result = stringprep(text, room, STRINGPREP_NO_UNASSIGNED, stringprep_saslprep);
		if (result == STRINGPREP_OK && *text) {
			buf_grew(out, strlen(text));
			return true;
		}
		secret_wipe(text, room);
	}
	return buf_add_span(out, password);
}
