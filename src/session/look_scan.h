#ifndef PGWEIR_SESSION_LOOK_SCAN_H
#define PGWEIR_SESSION_LOOK_SCAN_H

#include "session/look.h"
#include "session/tokens.h"

/* What look.c and look_settings.c share, and nobody else sees: a text that is read. */

struct scan {
	struct tokens in;
	struct look *look;
	uint32_t *marks; /* of the statement at hand: the look's, or those of what it prepares */
	size_t ahead; /* bytes that may still be read once more, to see where arguments end: so that any text has its time bounded */
	bool inserts; /* the word before was INSERT or MERGE */
	bool asks; /* the statement is SELECT and the like: only INTO makes anything there, and a column may have any name */
	enum {
		NO_INDEX,
		INDEX_TABLE,
		INDEX_REST
	} index;        /* CREATE INDEX, up to its first parenthesis, ON t (a), and behind it */
	bool strict;    /* it is that, perhaps in parentheses: INSERT is a verb only where a statement may begin */
	look_word each; /* NULL: nobody asks for the words */
	const struct token_sets *sets; /* NULL: he asks for all of them */
	void *context;
};

static inline void next_token(struct scan *s)
{
	const struct token *token;

	tokens_next(&s->in);
	token = s->in.token;
	if (s->each && (token->kind == TOKEN_WORD || token->kind == TOKEN_NAME) &&
		(!s->sets ||
			(token->length > 0 &&
				word_set_may_have(&s->sets->told, (uint8_t)token->text[0],
					(uint8_t)token->text[token->length - 1], token->length))))
		s->each(s->context, span_of(token->text, token->length));
}

static inline bool is_sign(const struct scan *s, uint8_t sign)
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

/* ---- settings (look_settings.c) ---- */

/* A setting, or a function, that must be asked for by name. */
void look_add_name(struct scan *, const char *name, enum look_name_kind);

/* It sets something that its transaction does not take back. */
void look_sets(struct scan *);

/* Behind SET, behind RESET, and behind "set_config(". */
void look_set(struct scan *);
void look_reset(struct scan *);
void look_config(struct scan *);

#endif
