#ifndef PGWEIR_TOOL_TOP_LAY_H
#define PGWEIR_TOOL_TOP_LAY_H

#include "tool/top_model.h"

/* What the parts of the page share: lines of it, cut to the screen's width. Nothing a stranger chose gets there but through these. */

/* One more line. What is in it must be safe already. */
void lay_say(struct top_page *, const struct top_screen *, enum top_style, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* How many columns of a terminal a text takes; the text cut to so many; and how many bytes of it go into them, at a word's end where there
 * is one. Of a text that is safe already. */
int lay_columns(const char *);
void lay_cut(char *, int width);
size_t lay_fit(const char *words, int width);

/* A stranger's text in `width` columns, filled with blanks. ASCII screens get ? for other letters. Returns out. */
const char *lay_cell(char out[600], const struct top_screen *, const char *text, int width);

/* The same without blanks behind it. */
const char *lay_word(char out[600], const struct top_screen *, const char *text);

/* A stranger's text on `most` lines at most, two blanks before each, broken between words where there are any. */
void lay_wrapped(struct top_page *, const struct top_screen *, enum top_style, const char *text, int most);

/* A duration in words; "-" where it is not told. Returns out. */
const char *lay_age(char out[40], double seconds);

/* What the origin `screen->of` consists of, as far as it is known. */
void lay_inside(struct top_page *, const struct top_view *, const struct top_screen *);

/* Everything about one lease, `screen->lease`, and who waits behind it. */
void lay_one_lease(struct top_page *, struct top_view *, const struct top_screen *);

#endif
