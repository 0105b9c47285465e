#ifndef PGWEIR_SESSION_TOKENS_H
#define PGWEIR_SESSION_TOKENS_H

#include <string.h>

#include "session/word_set.h"

/* The words, names, strings, numbers and signs of an SQL text, in turn; comments and blanks are passed by. Linear, and nothing is allocated.
 * (PostgreSQL manual: "Lexical Structure".) */

#define TOKEN_BYTES 64 /* as long as PostgreSQL's own names */

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_STRING, TOKEN_NUMBER, TOKEN_SIGN };

struct token {
	enum token_kind kind;
	uint8_t sign;
	uint8_t length; /* of the text */
	bool whole;     /* WORD, NAME, STRING: `text` is all of it, as it is meant */
	bool escaped;   /* STRING: escapes in it are not read */
	char text[TOKEN_BYTES];
};

struct tokens {
	const uint8_t *at, *end; /* what comes behind the one that is looked at */
	struct token *token;     /* that one; the one before it stays in the other place */
	struct token two[2];
	bool doubt;   /* quotes were met that can be read in two ways */
	bool unread;  /* there is a name that is not read */
	bool escapes; /* the second reading: a backslash escapes in every string. The caller's to set */
};

/* Nothing is looked at yet. The text is borrowed; it ends at its first zero byte, as PostgreSQL reads it. */
void tokens_begin(struct tokens *, struct span text);
/* What comes behind the token at hand of another, and no more of it than that. */
void tokens_begin_behind(struct tokens *, const struct tokens *other, size_t most);
void tokens_next(struct tokens *);

static inline bool tokens_at_sign(const struct tokens *t, uint8_t sign)
{
	return t->token->kind == TOKEN_SIGN && t->token->sign == sign;
}

/* If this sign follows at once, pass it by: it is no token then. */
static inline bool tokens_pass(struct tokens *t, uint8_t sign)
{
	if (t->at == t->end || *t->at != sign)
		return false;
	t->at++;
	return true;
}

/* Two kinds of words that matter: those that are `met` are to be tokens, as all that begin with "pg_" are; those that are `told` may be passed by
 * in quotes, and are to be told. */
struct token_sets {
	struct word_set met, told;
};

/* What was passed by: the sign behind the last name, and whether dots were all that stood behind names. */
struct passed {
	struct span told; /* the last name is to be told, and there may be more to pass; else empty */
	uint8_t sign;     /* '.' or ','; ' ': anything but what makes more of a name; 0: no name was passed */
	bool only_dots;
};

/* Words and quoted names that follow, perhaps behind blanks, with a dot or a comma at once behind each, and that do not matter; up to a quoted one
 * that has neither and is called by nothing. */
struct passed tokens_pass_names(struct tokens *, const struct token_sets *);

static inline bool tokens_at_quote(const struct tokens *t)
{
	return t->at < t->end && *t->at == '"';
}

/* Whether its text is this one. For a literal the compiler knows the length, and compares a few bytes. */
static inline bool token_says(const struct token *token, const char *text)
{
	size_t n = strlen(text);

	return token->length == n && memcmp(token->text, text, n) == 0;
}

/* In small letters, as words are. */
static inline bool tokens_at_word(const struct tokens *t, const char *word)
{
	return t->token->kind == TOKEN_WORD && token_says(t->token, word);
}

static inline bool tokens_at_one_of(const struct tokens *t, const char *const *words, size_t count)
{
	size_t i = 0;

	while (i < count && !tokens_at_word(t, words[i]))
		i++;
	return i < count;
}

/* Whether this word stands anywhere in the text, as a part of another too and in letters of any size. */
bool tokens_contain(struct span text, const char *word);

#endif
