/* A cancel hits a message that was just read: what it asks for ends before it did anything, or in the midst of its rows. Whether it comes so far as to be
 * hit is as in PostgreSQL, which looks for signals (CHECK_FOR_INTERRUPTS in tcop/postgres.c) behind most of what it refuses. */
#include <string.h>

#include "base/text.h"
#include "language.h"
#include "statement.h"

static const char hit[] = "canceling statement due to user request";

/* The first statement of a Query. */
static bool first_of_query(struct session *s, struct span body, char *out, size_t size)
{
	static char text[sizeof s->query];
	size_t n = body.length > 0 ? body.length - 1 : 0;
	bool any;

	n = n < sizeof s->query - 1 ? n : sizeof s->query - 1;
	memcpy(s->query, body.at, n);
	s->query[n] = 0;
	s->query_length = strlen(s->query);
	s->query_at = 0;
	any = session_next(s, text, sizeof text);
	s->query_at = s->query_length = 0;
	text_copy(out, size, any ? text : "");
	return any;
}

/* What would run, at whichever message of it the signal comes. */
static bool text_of(struct session *s, char type, struct span body, char *out, size_t size)
{
	const char *name, *text;
	struct prepared *from;
	struct portal *portal;

	if (type == 'Q')
		return first_of_query(s, body, out, size);
	name = session_string_at(&body);
	switch (type) {
	case 'P':
		text = name ? session_string_at(&body) : NULL;
		text_copy(out, size, text ? text : "");
		return text && !(*name && session_statement(s, name));
	case 'B':
		portal = name && *name ? session_portal(s, name) : NULL;
		text = name ? session_string_at(&body) : NULL;
		from = text ? session_statement(s, text) : NULL;
		text_copy(out, size, from ? from->text : "");
		return from && !portal;
	case 'E':
		portal = name ? session_portal(s, name) : NULL;
		text_copy(out, size, portal && portal->parameter[0] ? portal->parameter : portal ? portal->text : "");
		return portal && (s->status != 'E' || session_ends_block(portal->text));
	default:
		return false;
	}
}

bool session_can_be_hit(struct session *s, char type, struct span body, char text[TEXT_BYTES])
{
	struct parsed p;

	if (s->copying) {
		text_copy(text, TEXT_BYTES, s->copier);
		return type == 'd';
	}
	if (s->over || s->skipping || !text_of(s, type, body, text, TEXT_BYTES))
		return false;
	if (type == 'E')
		return true; /* it was seen at its Parse what it is */
	language_parse(text, &p);
	return p.verb != VERB_BAD && p.verb != VERB_EMPTY && (s->status != 'E' || session_ends_block(text));
}

bool session_copy_is_hit(struct session *s)
{
	if (!s->copying)
		return false;
	s->copy_is_hit = true;
	return true;
}

/* The last message of what was said, CommandComplete, is not said. */
static void unsay_tag(struct bytes *out, size_t from)
{
	struct span rest = span_skip(bytes_span(out), from), body;
	size_t total, last = 0;
	char type;

	while (message_next(rest, &type, &body, &total)) {
		last = total;
		rest = span_skip(rest, total);
	}
	out->length -= last;
}

void session_is_hit(struct session *s, char type, struct span body, bool late, struct bytes *out)
{
	bool simple = type == 'Q' || type == 'F';
	char text[TEXT_BYTES];
	struct parsed p;
	size_t before = out->length;

	if (s->copying) {
		session_copy_fails(s, out, "57014", hit);
		return;
	}
	if (type == 'Q' || (type == 'P' && body.length > 0 && body.at[0] == 0))
		session_drop_unnamed(s);
	s->untouched = false;
	bodies_note(s);
	if (late && type == 'Q' && first_of_query(s, body, text, sizeof text)) {
		language_parse(text, &p);
		session_begins(s);
		if (language_returns_rows(&p) && p.verb != VERB_SLEEP &&
			session_run(s, text, out, true, NULL, 0, NULL) == DONE)
			unsay_tag(out, before);
	}
	session_fails(s, out, "57014", hit);
	if (simple)
		session_end_query(s, out);
	else
		s->skipping = true;
}
