/* Settings in a statement: which are set, which are reset, and which only up to the end of the transaction. */
#include "base/text.h"
#include "session/look_scan.h"
#include "session/reading.h"

static void add_name_to(struct look *look, uint32_t *marks, const char *name, enum look_name_kind kind)
{
	struct look_name *to = &look->names[look->count];
	size_t i;

	for (i = 0; i < look->count; i++)
		if (look->names[i].kind == kind && strcmp(look->names[i].name, name) == 0)
			return;
	if (look->count == LOOK_NAMES || strlen(name) >= sizeof to->name) {
		*marks |= LOOK_UNNAMED;
		return;
	}
	/* What is sent later has no names of its own by then; and when it is asked for, the client may write its letters in another way. */
	if (kind == LOOK_NAME_SET && (marks == &look->prepared || !span_is_ascii(span_text(name))))
		*marks |= LOOK_UNNAMED;
	look->count++;
	to->kind = kind;
	for (i = 0; name[i]; i++)
		to->name[i] = (char)(kind != LOOK_NAME_CALL && name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32
												: name[i]);
	to->name[i] = 0;
}

void look_add_name(struct scan *s, const char *name, enum look_name_kind kind)
{
	add_name_to(s->look, s->marks, name, kind);
}

void look_add_setting(struct look *look, const char *name)
{
	add_name_to(look, &look->marks, name, LOOK_NAME_SET);
}

/* A setting that its transaction does not take back. */
void look_sets(struct scan *s)
{
	if (*s->marks & (LOOK_RESET | LOOK_RESET_ALL))
		*s->marks |= LOOK_SET_BEHIND;
	*s->marks |= LOOK_SETTINGS;
}

static void note_reading(struct scan *s, const char *name)
{
	if (reading_depends(span_text(name)))
		*s->marks |= LOOK_READING;
}

static void add_set(struct scan *s, const char *name)
{
	look_sets(s);
	note_reading(s, name);
	if (strchr(name, '.'))
		look_add_name(s, name, LOOK_NAME_SET);
}

static void add_reset(struct scan *s, const char *name, bool local)
{
	*s->marks |= LOOK_SETTINGS | LOOK_RESET;
	note_reading(s, name);
	look_add_name(s, name, local ? LOOK_NAME_RESET_LOCAL : LOOK_NAME_RESET);
	if (strchr(name, '.'))
		look_add_name(s, name, LOOK_NAME_SET);
}

/* name, or name.name...; false: there is none, or it is too long. */
static bool take_setting(struct scan *s, char out[LOOK_NAME_BYTES])
{
	size_t length = 0;

	for (;;) {
		if ((s->in.token->kind != TOKEN_WORD && s->in.token->kind != TOKEN_NAME) || !s->in.token->whole)
			return false;
		if (length + strlen(s->in.token->text) + 1 >= LOOK_NAME_BYTES)
			return false;
		length += text_format(out + length, LOOK_NAME_BYTES - length, "%s", s->in.token->text);
		next_token(s);
		if (!is_sign(s, '.'))
			return true;
		length += text_format(out + length, LOOK_NAME_BYTES - length, ".");
		next_token(s);
	}
}

/* The arguments of a set_config. */
struct config_call {
	char name[LOOK_NAME_BYTES];
	bool named, local; /* what can not be read with certainty is neither */
};

/* Behind "set_config(". No further than `ahead`: a call that is an argument of another is read with that one too. */
static void read_config(struct scan *outer, struct config_call *call)
{
	struct tokens in;
	unsigned depth = 0;

	tokens_begin_behind(&in, &outer->in, outer->ahead);
	tokens_next(&in);
	call->named = in.token->kind == TOKEN_STRING && in.token->whole;
	text_copy(call->name, sizeof call->name, in.token->text);
	tokens_next(&in);
	call->named = call->named && tokens_at_sign(&in, ',');
	while (call->named && in.token->kind != TOKEN_END) {
		tokens_next(&in);
		if (tokens_at_sign(&in, '('))
			depth++;
		else if (tokens_at_sign(&in, ')') && depth-- == 0)
			break;
		else if (tokens_at_sign(&in, ',') && depth == 0)
			break;
	}
	call->local = false;
	if (call->named && tokens_at_sign(&in, ',')) {
		tokens_next(&in);
		if (tokens_at_word(&in, "true")) {
			tokens_next(&in);
			call->local = tokens_at_sign(&in, ')');
		}
	}
	outer->ahead -= (size_t)(in.at - outer->in.at);
}

void look_config(struct scan *s)
{
	struct config_call call;

	read_config(s, &call);
	note_reading(s, call.name);
	if (call.local)
		return; /* it ends with the transaction */
	look_sets(s);
	if (!call.named)
		*s->marks |= LOOK_UNNAMED | LOOK_READING;
	else if (strchr(call.name, '.'))
		look_add_name(s, call.name, LOOK_NAME_SET);
}

/* SET [SESSION | LOCAL] ... */
void look_set(struct scan *s)
{
	char name[LOOK_NAME_BYTES];
	bool local = take(s, "local");
	bool zone;

	if (!local && take(s, "session")) {
		if (take(s, "characteristics")) {
			add_set(s, "");
			return;
		}
	} else if (local) {
		(void)take(s, "session"); /* AUTHORIZATION */
	}
	if (is(s, "transaction") || is(s, "constraints"))
		return;
	zone = take(s, "time") && take(s, "zone");
	if (zone) {
		text_copy(name, sizeof name, "timezone");
	} else if (take(s, "names")) {
		text_copy(name, sizeof name, "client_encoding");
	} else if (take(s, "authorization")) {
		text_copy(name, sizeof name, "session_authorization");
	} else if (take(s, "role")) {
		text_copy(name, sizeof name, "role");
	} else if (!take_setting(s, name)) {
		*s->marks |= LOOK_SETTINGS | LOOK_UNNAMED | LOOK_READING;
		return;
	}
	/* SET SCHEMA 'a', SET XML OPTION DOCUMENT */
	if (strcmp(name, "schema") == 0)
		text_copy(name, sizeof name, "search_path");
	else if (strcmp(name, "xml") == 0 && take(s, "option"))
		text_copy(name, sizeof name, "xmloption");
	if (strcmp(name, "seed") == 0)
		*s->marks |= LOOK_FOR_GOOD;
	if (is_sign(s, '=') || is(s, "to"))
		next_token(s);
	if (is(s, "default") || (zone && is(s, "local")))
		add_reset(s, name, local);
	else if (!local)
		add_set(s, name);
	else
		note_reading(s, name);
}

void look_reset(struct scan *s)
{
	char name[LOOK_NAME_BYTES];

	if (take(s, "all")) {
		*s->marks |= LOOK_SETTINGS | LOOK_RESET_ALL | LOOK_READING;
		return;
	}
	if (take(s, "time") && take(s, "zone"))
		add_reset(s, "timezone", false);
	else if (take(s, "session") && take(s, "authorization"))
		add_reset(s, "session_authorization", false);
	else if (is(s, "transaction"))
		return;
	else if (take_setting(s, name))
		add_reset(s, name, false);
	else
		*s->marks |= LOOK_SETTINGS | LOOK_UNNAMED | LOOK_READING;
}
