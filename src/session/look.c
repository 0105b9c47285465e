/* Tokens are read one after the other (session/tokens.c). The first word of a
 * statement says what kind it is; of the rest only three things matter: a few words (TEMP, HOLD, EXECUTE), a name in front of
 * a parenthesis (a call), and where the statement ends.
 *
 *    text -> token token token ; token ...       each a word, "name", 'string', number or sign
 *             |                                  first word: its row in `kinds`
 *             +-- SET, RESET: what is set (look_settings.c); everything else: take_rest
 *
 * Where the quotes of a text can be read in two ways (a backslash before a quote means one thing or the other, by
 * standard_conforming_strings), it is read in both, and suspected of what either says, and of anything else: LOOK_UNKNOWN. */
#include "session/look_scan.h"

#include "session/reading.h"

_Static_assert(LOOK_NAME_BYTES == TOKEN_BYTES, "a name is kept as it is read");

/* ---- what may stand anywhere in a statement ---- */

static void judge_call(struct scan *s, const struct token *name, bool foreign, bool target)
{
	uint32_t marks;

	if (s->index == INDEX_TABLE || (s->index == INDEX_REST && token_says(name, "include"))) {
		s->index = INDEX_REST;
		return;
	}
	if (!foreign && name->kind == TOKEN_WORD && look_is_everyday(name->text))
		return;
	marks = name->whole ? look_call(name->text) : 0;
	if (marks == LOOK_SETTINGS)
		look_config(s);
	else
		*s->marks |= marks;
	if (marks || target || (!foreign && name->kind == TOKEN_WORD && name->whole && look_knows(name->text)))
		return;
	if (name->whole && s->marks == &s->look->marks) {
		*s->marks |= LOOK_CALLS;
		look_add_name(s, name->text, LOOK_NAME_CALL);
	} else {
		*s->marks |= LOOK_UNKNOWN | (name->whole ? 0 : LOOK_UNNAMED);
		if (name->whole)
			look_add_name(s, name->text, LOOK_NAME_CALL);
	}
}

/* Behind these a name with a parenthesis is no call: INSERT INTO t (a), AS t (a), COPY t (a), EXECUTE p (a), TABLE t (a),
 * TABLE IF NOT EXISTS t (a), REFERENCES t (a), PRIMARY KEY (a), FOREIGN KEY (a), ::t(a). */
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
	case 'f':
		return token_says(token, "foreign");
	case 'p':
		return token_says(token, "primary");
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
			look_sets(s); /* its rule calls set_config */
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

/* What judge_word, inserts and take_rest know a word by. */
void look_sets_begin(struct token_sets *sets)
{
	static const char *const words[] = { "temp", "temporary", "pg_settings", "pg_sequences", "hold", "execute",
		"insert", "into", "copy", "default", "merge", "pg_catalog" };

	*sets = (struct token_sets){ 0 };
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		word_set_add(&sets->met, span_text(words[i]));
}

/* Names that mean nothing to a look: the columns of an ORM's statement, mostly, with a dot or comma behind each. One is where one would be if
 * take_rest had passed them. */
static void pass_names(struct scan *s, struct place *p)
{
	struct passed passed;

	if (!s->sets)
		return;
	do {
		passed = tokens_pass_names(&s->in, s->sets);
		if (passed.sign == 0)
			return;
		if (passed.told.length > 0 && s->each)
			s->each(s->context, passed.told);
		s->inserts = false;
		*p = (struct place){ .target = p->target && passed.only_dots, .dotted = passed.sign == '.' };
	} while (passed.told.length > 0 && passed.sign != ' ');
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
			if (tokens_at_quote(&s->in))
				pass_names(s, &p);
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
			pass_names(s, &p);
			next_token(s);
			continue;
		}
		if (tokens_pass(&s->in, ',')) {
			p.foreign = p.target = false;
			pass_names(s, &p);
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
	{ "do", LOOK_UNKNOWN, DOES_DO },
	{ "drop", LOOK_TEMPORARY | LOOK_COMMAND, DOES_DROP },
	{ "end", 0, DOES_NOTHING },
	{ "execute", LOOK_EXECUTE, DOES_NOTHING },
	{ "explain", 0, DOES_NOTHING },
	{ "fetch", 0, DOES_NOTHING },
	{ "grant", LOOK_COMMAND, DOES_NOTHING },
	{ "import", LOOK_UNKNOWN | LOOK_COMMAND, DOES_DEFINE },
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

static bool is_one_of(const struct scan *s, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is(s, words[i]))
			return true;
	return false;
}

/* CREATE and ALTER of what no other statement means or can be led astray by. */
static bool is_harmless_kind(const struct scan *s)
{
	static const char *const harmless[] = { "collation", "conversion", "database", "default", "global", "group",
		"index", "large", "local", "publication", "role", "sequence", "statistics", "subscription", "system",
		"tablespace", "temp", "temporary", "unique", "user" };

	return is_one_of(s, harmless, sizeof harmless / sizeof harmless[0]);
}

/* CREATE and ALTER of what does only what its own words say, by the names of others that are among them. Not so a function, whose body is a
 * literal here; a rule, which takes numbers where it says INSERT; an operator, a cast, an event trigger, which work where they are not named. */
static bool is_plain_kind(const struct scan *s)
{
	static const char *const plain[] = { "domain", "policy", "schema", "table", "trigger", "type", "view" };

	return is_one_of(s, plain, sizeof plain / sizeof plain[0]);
}

/* Behind CREATE or ALTER. */
static void take_definition(struct scan *s, bool creates)
{
	static const char *const before[] = { "or", "replace", "constraint", "materialized", "recursive", "unlogged" };

	if (is(s, "database"))
		*s->marks |= LOOK_DATABASE;
	/* It runs a script. */
	if (is(s, "extension"))
		*s->marks |= LOOK_UNKNOWN;
	if (creates && (is(s, "index") || is(s, "unique")))
		s->index = INDEX_TABLE;
	if (is_harmless_kind(s))
		return;
	while (is_one_of(s, before, sizeof before / sizeof before[0]))
		next_token(s);
	*s->marks |= is_plain_kind(s) ? LOOK_DEFINES : LOOK_DEFINES | LOOK_REDEFINES;
}

/* An index of columns runs nothing of anybody's. */
static bool has_expressions(const struct scan *s, struct span text)
{
	return (*s->marks & (LOOK_CALLS | LOOK_UNKNOWN)) || s->in.unread || memchr(text.at, ':', text.length) ||
		tokens_contain(text, "cast");
}

/* ---- DO ---- */

/* What stands between the dollars, where that is all that DO says. False: it says it in another way, or in another language than PL/pgSQL. */
static bool find_block(struct scan *s, const uint8_t *behind, struct span *out)
{
	struct span all;
	const uint8_t *end;
	size_t tag;

	while (behind < s->in.at && (*behind == ' ' || *behind == '\t' || *behind == '\n' || *behind == '\r'))
		behind++;
	all = span_of(behind, (size_t)(s->in.at - behind));
	if (s->in.token->kind != TOKEN_STRING || all.length < 4 || *all.at != '$')
		return false;
	end = memchr(all.at + 1, '$', all.length - 1);
	tag = end ? (size_t)(end + 1 - all.at) : 0;
	if (tag == 0 || all.length < 2 * tag || memcmp(all.at, all.at + all.length - tag, tag) != 0)
		return false;
	*out = span_of(all.at + tag, all.length - 2 * tag);
	next_token(s);
	if (take(s, "language") && !take(s, "plpgsql"))
		return false;
	return s->in.token->kind == TOKEN_END || is_sign(s, ';');
}

/* Behind SET. SET app.tenant, SET SESSION app.tenant; of a name without a dot the server tells. */
static bool sets_hidden(struct tokens *in)
{
	tokens_next(in);
	if (tokens_at_word(in, "session") || tokens_at_word(in, "local"))
		tokens_next(in);
	if ((in->token->kind != TOKEN_WORD && in->token->kind != TOKEN_NAME) || !in->token->whole ||
		strchr(in->token->text, '.'))
		return true;
	tokens_next(in);
	return tokens_at_sign(in, '.');
}

/* Whether a block may set what the server tells only if it is asked by name: by words of its own, or by a text that it puts together. What it calls is
 * another matter. */
static bool block_hides(struct span block)
{
	static const char *const hiding[] = { "execute", "reset", "discard", "set_config", "pg_settings" };
	struct tokens in;

	tokens_begin(&in, block);
	tokens_next(&in);
	while (in.token->kind != TOKEN_END) {
		const struct token *token = in.token;
		bool named = token->kind == TOKEN_WORD || token->kind == TOKEN_NAME;

		for (size_t i = 0; named && i < sizeof hiding / sizeof hiding[0]; i++)
			if (token_says(token, hiding[i]))
				return true;
		if (!tokens_at_word(&in, "set"))
			tokens_next(&in);
		else if (sets_hidden(&in))
			return true;
	}
	return in.doubt || in.unread;
}

/* DO: the server is asked about all that it can tell. Its block is read as if it stood in the statement itself, for what is known of the names in it; what it
 * calls is asked about. A variable that a query is put INTO makes no table, and no literal is kept. */
static void take_block(struct scan *s, const uint8_t *behind)
{
	const uint32_t not_meant = LOOK_TEMPORARY | LOOK_IN_FRONT | LOOK_CLOCK;
	struct scan inner = *s;
	uint32_t marks = 0;
	struct span block;

	if (!find_block(s, behind, &block) || block_hides(block)) {
		*s->marks |= LOOK_UNNAMED;
		return;
	}
	inner.marks = &marks;
	inner.asks = inner.strict = inner.inserts = false;
	tokens_begin(&inner.in, block);
	next_token(&inner);
	while (inner.in.token->kind != TOKEN_END) {
		take_rest(&inner, true);
		if (is_sign(&inner, ';'))
			next_token(&inner);
	}
	s->ahead = inner.ahead;
	*s->marks |= marks & ~not_meant;
}

/* Behind the first word. */
static void take_special(struct scan *s, const struct kind *kind, const uint8_t *behind)
{
	switch (kind->does) {
	case DOES_SET:
		look_set(s);
		break;
	case DOES_RESET:
		look_reset(s);
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
		take_definition(s, kind->word[0] == 'c');
		break;
	case DOES_DO:
		take_block(s, behind);
		break;
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
	s->index = NO_INDEX;
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
		take_special(s, kind, behind);
	}
	take_rest(s, update);
	if (s->index && has_expressions(s, span_of(behind, (size_t)(s->in.at - behind))))
		*s->marks |= LOOK_INDEXES;
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

void look_for_words(struct span text, struct look *look, const struct token_sets *sets, look_word each, void *context)
{
	struct scan s = { .look = look, .ahead = 4 * text.length, .sets = sets, .each = each, .context = context };

	look->marks = look->prepared = look->made = 0;
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

void look_with_words(struct span text, struct look *look, look_word each, void *context)
{
	look_for_words(text, look, NULL, each, context);
}

void look_at(struct span text, struct look *look)
{
	look_with_words(text, look, NULL, NULL);
}

bool look_is_end(struct span word)
{
	static const char *const words[] = { "rollback", "abort", "commit", "end", "prepare" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (span_is(word, words[i]))
			return true;
	return false;
}
