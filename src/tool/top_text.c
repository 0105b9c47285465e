#include <string.h>
#include <wchar.h>

#include "base/text.h"
#include "tool/table.h"
#include "tool/top_lay.h"

/* How wide a text is, and how much of it fits. A terminal gives some letters two columns (Chinese, emoji) and some none (accents that
 * stand alone), as wcwidth says, which is also what ncurses goes by. Texts here are safe already: UTF-8 with no control character in it.
 * Where the locale has no UTF-8, the screen is ASCII. */

/* The columns of the letter at `text`, and its bytes. */
static int width_of(const char *text, size_t *bytes)
{
	mbstate_t state = { 0 };
	wchar_t letter = 0;
	size_t length = 1;
	int width;

	while (((uint8_t)text[length] & 0xc0) == 0x80)
		length++;
	*bytes = length;
	if (length == 1 || mbrtowc(&letter, text, length, &state) != length)
		return 1;
	width = wcwidth(letter);
	return width < 0 ? 1 : width;
}

int lay_columns(const char *text)
{
	int columns = 0;
	size_t bytes;

	for (; *text; text += bytes)
		columns += width_of(text, &bytes);
	return columns;
}

/* The bytes that go into so many columns. */
static size_t within(const char *text, int width)
{
	size_t at = 0, bytes;

	for (int columns = 0; text[at]; at += bytes) {
		columns += width_of(text + at, &bytes);
		if (columns > width)
			break;
	}
	return at;
}

void lay_cut(char *text, int width)
{
	text[within(text, width)] = 0;
}

size_t lay_fit(const char *words, int width)
{
	size_t n = within(words, width), space = n;

	if (!words[n])
		return n;
	while (space > n / 2 && words[space] != ' ')
		space--;
	return space > n / 2 ? space : n > 0 ? n : strlen(words);
}

const char *lay_cell(char out[600], const struct top_screen *screen, const char *text, int width)
{
	size_t length = show_sql(out, 600 - 200, (size_t)width, span_text(text));

	if (screen->ascii) {
		size_t to = 0;

		for (size_t i = 0; i < length; i++) {
			if (((uint8_t)out[i] & 0xc0) != 0x80)
				out[to++] = (uint8_t)out[i] < 0x80 ? out[i] : '?';
		}
		out[to] = 0;
	}
	lay_cut(out, width);
	length = strlen(out);
	for (int used = lay_columns(out); used < width && length + 1 < 600; used++)
		out[length++] = ' ';
	out[length] = 0;
	return out;
}

const char *lay_word(char out[600], const struct top_screen *screen, const char *text)
{
	size_t length = strlen(lay_cell(out, screen, text, 120));

	while (length > 0 && out[length - 1] == ' ')
		out[--length] = 0;
	return out;
}
