#ifndef PGWEIR_TOOL_DOCTOR_PYTHON_STATE_H
#define PGWEIR_TOOL_DOCTOR_PYTHON_STATE_H

#include "base/buf.h"
#include "tool/doctor_python.h"

/* What the three files of the reader of Python literals share. Private to doctor_python*. */

#define ROOTS_MAX 512

struct root {
	char name[64];
	struct python_value *value;
	bool conditional;
};

struct python_file {
	const uint8_t *at, *end;
	unsigned line, depth, brackets, values, conditional;
	bool refused;
	struct python_value *all_values;
	struct python_item *all_items;
	struct root roots[ROOTS_MAX];
	size_t root_count;
};


/* ---- doctor_python_value.c ---- */

/* What is left where memory or the bound ends: unknown, and not to be written to. */
extern struct python_value python_unknown;

/* Never NULL. */
struct python_value *python_value_new(struct python_file *, enum python_kind);
struct python_value *python_text_new(struct python_file *, enum python_kind, struct span text);
struct python_value *python_number_new(struct python_file *, double);
struct python_value *python_bool_new(struct python_file *, bool);
void python_set_text(struct python_file *, struct python_value *, struct span text);

/* Put an item at the end, or in the place of the one with its key; all items of another. */
void python_put(struct python_file *, struct python_value *into, struct python_value *key, struct python_value *value);
void python_put_all(struct python_file *, struct python_value *into, const struct python_value *from);

/* A copy that holds unless the environment says otherwise. */
struct python_value *python_as_fallback(struct python_file *, const struct python_value *);

/* int(value), str(value), float(value), bool(value); and value what value, for * + - / |. Unknown where that is beyond us. */
struct python_value *python_convert(struct python_file *, const char *to, const struct python_value *);
struct python_value *python_compute(
	struct python_file *, const struct python_value *, char what, const struct python_value *);

/* ---- doctor_python_word.c ---- */

static inline bool python_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline bool python_is_name_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || python_is_digit(c) || c == '_' || c >= 0x80;
}

/* The letter so far ahead; 0 behind the end. */
static inline uint8_t python_letter(const struct python_file *f, size_t ahead)
{
	return (size_t)(f->end - f->at) > ahead ? f->at[ahead] : 0;
}

/* White space and comments; within brackets lines go on. */
void python_skip_space(struct python_file *);

/* Each skips white space first, and takes what it is asked for if it is there. */
bool python_take(struct python_file *, char);
bool python_at_word(struct python_file *, const char *word); /* does not take it */
bool python_take_word(struct python_file *, const char *word);
struct span python_take_name(struct python_file *); /* empty: there is none */

/* How long the prefix of a text is (r, b, u, f and pairs of them), with the quote behind it; -1: no text begins here. */
int python_prefix(const struct python_file *, bool *raw, bool *formatted);

/* One literal without its prefix; its bytes are added to `text`. One that its line does not close ends with the line. */
void python_take_literal(struct python_file *, struct buf *text, bool raw);

/* Literals that stand beside each other are one. */
struct python_value *python_read_text(struct python_file *);
struct python_value *python_read_number(struct python_file *);

#endif
