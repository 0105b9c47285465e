/* Tokens are read one after the other (session/tokens.c). The first word of a
 * statement says what kind it is; of the rest only three things matter: a few words (TEMP, HOLD, EXECUTE), a name in front of
 * a parenthesis (a call), and where the statement ends.
 *
 *    text -> token token token ; token ...       each a word, "name", 'string', number or sign
 *             |                                  first word: its row in `kinds`
 *             +-- SET, RESET: what is set; everything else: take_rest
 *
 * Where the quotes of a text can be read in two ways (a backslash before a quote means one thing or the other, by
 * standard_conforming_strings), it is read in both, and suspected of what either says, and of anything else: LOOK_UNKNOWN. */
#include "session/look.h"

#include "base/text.h"
#include "session/reading.h"
#include "session/tokens.h"

_Static_assert(LOOK_NAME_BYTES == TOKEN_BYTES, "a name is kept as it is read");

struct scan {
	struct tokens in;
	struct look *look;
	uint32_t *marks; /* of the statement at hand: the look's, or those of what it prepares */
	size_t ahead; /* bytes that may still be read once more, to see where arguments end: so that any text has its time bounded */
	bool inserts; /* the word before was INSERT or MERGE */
	bool asks; /* the statement is SELECT and the like: only INTO makes anything there, and a column may have any name */
	bool strict;    /* it is that, perhaps in parentheses: INSERT is a verb only where a statement may begin */
	look_word each; /* NULL: nobody asks for the words */
	void *context;
};

static inline void next_token(struct scan *s)
{
	const struct token *token;

	tokens_next(&s->in);
	token = s->in.token;
	if (s->each && (token->kind == TOKEN_WORD || token->kind == TOKEN_NAME))
		s->each(s->context, span_of(token->text, token->length));
}

static bool is_sign(const struct scan *s, uint8_t sign)
{
	return tokens_at_sign(&s->in, sign);
}

static inline bool is(const struct scan *s, const char *word)
{
	return tokens_at_word(&s->in, word);
}

/* If this is the word at hand, go on to the next token. */
static inline bool take(struct scan *s, const char *word)
{
	if (!is(s, word))
		return false;
	next_token(s);
	return true;
}

/* ---- names of settings ---- */

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
	/* What is sent later has no names of its own by then. */
	if (kind == LOOK_NAME_SET && marks == &look->prepared)
		*marks |= LOOK_UNNAMED;
	look->count++;
	to->kind = kind;
	for (i = 0; name[i]; i++)
		to->name[i] = (char)(kind != LOOK_NAME_CALL && name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32
												: name[i]);
	to->name[i] = 0;
}

static void add_name(struct scan *s, const char *name, enum look_name_kind kind)
{
	add_name_to(s->look, s->marks, name, kind);
}

void look_add_setting(struct look *look, const char *name)
{
	add_name_to(look, &look->marks, name, LOOK_NAME_SET);
}

/* A setting that its transaction does not take back. */
static void add_settings(struct scan *s)
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
	add_settings(s);
	note_reading(s, name);
	if (strchr(name, '.'))
		add_name(s, name, LOOK_NAME_SET);
}

static void add_reset(struct scan *s, const char *name, bool local)
{
	*s->marks |= LOOK_SETTINGS | LOOK_RESET;
	note_reading(s, name);
	add_name(s, name, local ? LOOK_NAME_RESET_LOCAL : LOOK_NAME_RESET);
	if (strchr(name, '.'))
		add_name(s, name, LOOK_NAME_SET);
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
	size_t left = (size_t)(outer->in.end - outer->in.at);
	struct tokens in;
	unsigned depth = 0;

	tokens_begin(&in, span_of(outer->in.at, left < outer->ahead ? left : outer->ahead));
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

static void look_config(struct scan *s)
{
	struct config_call call;

	read_config(s, &call);
	note_reading(s, call.name);
	if (call.local)
		return; /* it ends with the transaction */
	add_settings(s);
	if (!call.named)
		*s->marks |= LOOK_UNNAMED | LOOK_READING;
	else if (strchr(call.name, '.'))
		add_name(s, call.name, LOOK_NAME_SET);
}

/* ---- what may stand anywhere in a statement ---- */

static void judge_call(struct scan *s, const struct token *name, bool foreign, bool target)
{
	uint32_t marks = name->whole ? look_call(name->text) : 0;

	if (marks == LOOK_SETTINGS)
		look_config(s);
	else
		*s->marks |= marks;
	if (marks || target || (!foreign && name->kind == TOKEN_WORD && name->whole && look_knows(name->text)))
		return;
	if (name->whole && s->marks == &s->look->marks) {
		*s->marks |= LOOK_CALLS;
		add_name(s, name->text, LOOK_NAME_CALL);
	} else {
		*s->marks |= LOOK_UNKNOWN | (name->whole ? 0 : LOOK_UNNAMED);
		if (name->whole)
			add_name(s, name->text, LOOK_NAME_CALL);
	}
}

/* Behind these a name with a parenthesis is no call: INSERT INTO t (a), AS t (a), COPY t (a), EXECUTE p (a), TABLE t (a),
 * TABLE IF NOT EXISTS t (a), REFERENCES t (a), ::t(a). */
static bool leads_to_target(const struct token *token)
{
	if (token->kind == TOKEN_SIGN)
		return token->sign == ':';
	if (token->kind != TOKEN_WORD)
		return false;
	switch (token->text[0]) {
	case 'i':
		return token_says(token, "into");
	case 'a':
		return token_says(token, "as");
	case 'c':
		return token_says(token, "copy");
	case 'e':
		return token_says(token, "execute") || token_says(token, "exists");
	case 'r':
		return token_says(token, "references");
	case 't':
		return token_says(token, "table");
	default:
		return false;
	}
}

/* By the first letter: every word comes by here. */
static void judge_word(struct scan *s, const struct token *token, bool update)
{
	switch (token->text[0]) {
	case 't':
		if (!s->asks && (token_says(token, "temp") || token_says(token, "temporary")))
			*s->marks |= LOOK_TEMPORARY | LOOK_IN_FRONT;
		break;
	case 'p':
		if (strncmp(token->text, "pg_temp", 7) == 0)
			*s->marks |= LOOK_TEMPORARY | LOOK_IN_FRONT;
		else if (update && token_says(token, "pg_settings")) {
			add_settings(s); /* its rule calls set_config */
			*s->marks |= LOOK_READING;
		} else if (token_says(token, "pg_sequences")) {
			*s->marks |= LOOK_TOUCHES;
		}
		break;
	case 'h':
		if (token_says(token, "hold"))
			*s->marks |= LOOK_CURSOR;
		break;
	case 'e':
		if (token_says(token, "execute"))
			*s->marks |= LOOK_EXECUTE;
		break;
	case 'i':
		/* SELECT ... INTO makes a table, and the search_path may say that it is a temporary one. */
		if (token_says(token, "insert"))
			*s->marks |= LOOK_INSERT;
		else if (token_says(token, "into") && !s->inserts)
			*s->marks |= LOOK_TEMPORARY | LOOK_IN_FRONT;
		break;
	case 'c':
		if (token_says(token, "copy"))
			*s->marks |= LOOK_INSERT;
		break;
	case 'd':
		/* UPDATE ... SET id = DEFAULT */
		if (update && token_says(token, "default"))
			*s->marks |= LOOK_SEQUENCE;
		break;
	default:
		break;
	}
}

static bool inserts(const struct token *token)
{
	return token->kind == TOKEN_WORD && (token_says(token, "insert") || token_says(token, "merge"));
}

static bool may_be_of_the_clock(const struct token *token)
{
	/* What would be a date in escapes is short. */
	return reading_is_of_the_clock(token->text) || (token->escaped && token->length < 24);
}

/* Where one is in a statement, by what stood before. */
struct place {
	bool target, foreign, dotted, catalog, begins, continued;
};

static void pass_sign(struct place *p, const struct token *token)
{
	p->continued = false;
	p->dotted = token->sign == '.';
	p->begins = token->sign == '(' || token->sign == ')';
	if (p->dotted)
		return;
	p->foreign = false;
	p->target = leads_to_target(token);
}

static void pass_literal(struct scan *s, struct place *p, const struct token *token)
{
	bool is_string = token->kind == TOKEN_STRING;

	if (is_string && (p->continued || may_be_of_the_clock(token)))
		*s->marks |= LOOK_CLOCK;
	*p = (struct place){ .continued = is_string }; /* 'to' and, in the next line, 'day' */
}

/* Up to the end of the statement. `update`: it may update something. */
static void take_rest(struct scan *s, bool update)
{
	struct place p = { .begins = true };
	const struct token *token;

	for (token = s->in.token; token->kind != TOKEN_END; token = s->in.token) {
		if (token->kind == TOKEN_SIGN) {
			if (token->sign == ';')
				return;
			pass_sign(&p, token);
			next_token(s);
			continue;
		}
		if (token->kind != TOKEN_WORD && token->kind != TOKEN_NAME) {
			pass_literal(s, &p, token);
			next_token(s);
			continue;
		}
		judge_word(s, token, update);
		s->inserts = inserts(token) && (p.begins || !s->strict);
		p.foreign = p.dotted && !p.catalog;
		p.catalog = !p.dotted && token_says(token, "pg_catalog");
		p.begins = p.continued = p.dotted = false;
		/* Columns, mostly: as pass_sign would have it, and nothing was called. */
		if (tokens_pass(&s->in, '.')) {
			p.dotted = true;
			next_token(s);
			continue;
		}
		if (tokens_pass(&s->in, ',')) {
			p.foreign = p.target = false;
			next_token(s);
			continue;
		}
		next_token(s);
		if (is_sign(s, '('))
			judge_call(s, token, p.foreign, p.target);
		if (!is_sign(s, '.'))
			p.target = leads_to_target(token);
	}
}

/* ---- the kinds of statements ---- */

/* SET [SESSION | LOCAL] ... */
static void take_set(struct scan *s)
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

static void take_reset(struct scan *s)
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

#define ASK_ALL (LOOK_SETTINGS | LOOK_TEMPORARY | LOOK_CURSOR | LOOK_LOCK | LOOK_PREPARE | LOOK_LISTEN)

/* The everyday ones first. */
static const struct kind {
	const char *word;
	uint32_t marks;
	enum { DOES_NOTHING, DOES_SET, DOES_RESET, DOES_DISCARD, DOES_PREPARE, DOES_DEFINE, DOES_DROP, DOES_DO } does;
} kinds[] = {
	{ "select", 0, DOES_NOTHING },
	{ "insert", 0, DOES_NOTHING },
	{ "update", 0, DOES_NOTHING },
	{ "delete", 0, DOES_NOTHING },
	{ "begin", 0, DOES_NOTHING },
	{ "commit", 0, DOES_NOTHING },
	{ "rollback", 0, DOES_NOTHING },
	{ "with", 0, DOES_NOTHING },
	{ "set", 0, DOES_SET },
	{ "abort", 0, DOES_NOTHING },
	{ "alter", LOOK_TEMPORARY | LOOK_COMMAND, DOES_DEFINE },
	{ "analyze", 0, DOES_NOTHING },
	{ "call", LOOK_UNKNOWN, DOES_NOTHING },
	{ "checkpoint", 0, DOES_NOTHING },
	{ "close", LOOK_CURSOR, DOES_NOTHING },
	{ "cluster", 0, DOES_NOTHING },
	{ "comment", LOOK_COMMAND, DOES_NOTHING },
	{ "copy", 0, DOES_NOTHING },
	{ "create", LOOK_TEMPORARY | LOOK_COMMAND, DOES_DEFINE },
	{ "deallocate", LOOK_PREPARE, DOES_NOTHING },
	{ "declare", 0, DOES_NOTHING },
	{ "discard", ASK_ALL, DOES_DISCARD },
	{ "do", LOOK_UNKNOWN | LOOK_UNNAMED, DOES_DO },
	{ "drop", LOOK_TEMPORARY | LOOK_COMMAND, DOES_DROP },
	{ "end", 0, DOES_NOTHING },
	{ "execute", LOOK_EXECUTE, DOES_NOTHING },
	{ "explain", 0, DOES_NOTHING },
	{ "fetch", 0, DOES_NOTHING },
	{ "grant", LOOK_COMMAND, DOES_NOTHING },
	{ "listen", LOOK_LISTEN | LOOK_HEAR, DOES_NOTHING },
	{ "load", LOOK_FOR_GOOD, DOES_NOTHING },
	{ "lock", 0, DOES_NOTHING },
	{ "merge", 0, DOES_NOTHING },
	{ "move", 0, DOES_NOTHING },
	{ "notify", 0, DOES_NOTHING },
	{ "prepare", LOOK_PREPARE, DOES_PREPARE },
	{ "refresh", LOOK_COMMAND, DOES_NOTHING },
	{ "reindex", LOOK_COMMAND, DOES_NOTHING },
	{ "release", 0, DOES_NOTHING },
	{ "reset", 0, DOES_RESET },
	{ "revoke", LOOK_COMMAND, DOES_NOTHING },
	{ "savepoint", 0, DOES_NOTHING },
	{ "show", 0, DOES_NOTHING },
	{ "start", 0, DOES_NOTHING },
	{ "table", 0, DOES_NOTHING },
	{ "truncate", LOOK_TOUCHES, DOES_NOTHING }, /* RESTART IDENTITY */
	{ "unlisten", LOOK_LISTEN, DOES_NOTHING },
	{ "vacuum", 0, DOES_NOTHING },
	{ "values", 0, DOES_NOTHING },
};

static const struct kind *kind_of(const char *word)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].word[0] == word[0] && strcmp(kinds[i].word, word) == 0)
			return &kinds[i];
	return NULL;
}

/* CREATE and ALTER of what no other statement means or can be led astray by. */
static bool is_harmless_kind(const struct scan *s)
{
	static const char *const kinds_harmless[] = { "collation", "conversion", "database", "global", "group", "index",
		"local", "publication", "role", "sequence", "statistics", "subscription", "system", "tablespace",
		"temp", "temporary", "unique", "user" };

	for (size_t i = 0; i < sizeof kinds_harmless / sizeof kinds_harmless[0]; i++)
		if (is(s, kinds_harmless[i]))
			return true;
	return false;
}

/* Behind the first word. */
static void take_special(struct scan *s, const struct kind *kind)
{
	switch (kind->does) {
	case DOES_SET:
		take_set(s);
		break;
	case DOES_RESET:
		take_reset(s);
		break;
	case DOES_DISCARD:
		if (is(s, "all"))
			*s->marks |= LOOK_RESET_ALL | LOOK_READING;
		break;
	case DOES_PREPARE:
		if (!is(s, "transaction"))
			s->marks = &s->look->prepared;
		break;
	case DOES_DROP:
		if (is(s, "database"))
			*s->marks |= LOOK_DATABASE;
		break;
	case DOES_DEFINE:
		if (is(s, "database"))
			*s->marks |= LOOK_DATABASE;
		if (!is_harmless_kind(s))
			*s->marks |= LOOK_DEFINES;
		/* It runs a script. */
		if (is(s, "extension"))
			*s->marks |= LOOK_UNKNOWN;
		break;
	case DOES_DO:
	case DOES_NOTHING:
		break;
	}
}

static void take_statement(struct scan *s)
{
	const struct kind *kind = s->in.token->kind == TOKEN_WORD ? kind_of(s->in.token->text) : NULL;
	const char *word = kind ? kind->word : "";
	const uint8_t *behind = s->in.at;
	bool update = true;

	s->marks = &s->look->marks;
	s->asks = word[0] && strchr("siudw", word[0]) && kind->marks == 0 && kind->does == DOES_NOTHING;
	s->strict = s->asks || is_sign(s, '(');
	if (!kind && !is_sign(s, '('))
		*s->marks |= LOOK_UNKNOWN;
	if (kind) {
		*s->marks |= kind->marks;
		update = word[0] == 'u' || word[0] == 'w' || word[0] == 'e' || word[0] == 'm' || word[0] == 'p';
	}
	if (kind && kind->does != DOES_NOTHING) {
		next_token(s);
		take_special(s, kind);
	}
	take_rest(s, update);
	/* In time: what is heard is settled before its ReadyForQuery, and plans are gone before what comes in front of them. */
	if (kind && kind->does == DOES_DO && tokens_contain(span_of(behind, (size_t)(s->in.at - behind)), "listen"))
		*s->marks |= LOOK_LISTEN | LOOK_HEAR;
	if (kind && kind->does == DOES_DO && tokens_contain(span_of(behind, (size_t)(s->in.at - behind)), "temp"))
		*s->marks |= LOOK_TEMPORARY | LOOK_IN_FRONT;
}

static void read_statements(struct scan *s)
{
	next_token(s);
	while (s->in.token->kind != TOKEN_END) {
		if (is_sign(s, ';'))
			next_token(s);
		else
			take_statement(s);
	}
	if (s->in.unread)
		s->look->marks |= LOOK_UNREAD | LOOK_UNKNOWN;
}

void look_with_words(struct span text, struct look *look, look_word each, void *context)
{
	struct scan s = { .look = look, .ahead = 4 * text.length, .each = each, .context = context };

	look->marks = look->prepared = 0;
	look->count = 0;
	tokens_begin(&s.in, text);
	read_statements(&s);
	if (!s.in.doubt)
		return;
	tokens_begin(&s.in, text);
	s.in.escapes = true;
	s.ahead = 4 * text.length;
	s.inserts = false;
	read_statements(&s);
	look->marks |= LOOK_UNKNOWN;
}

void look_at(struct span text, struct look *look)
{
	look_with_words(text, look, NULL, NULL);
}
