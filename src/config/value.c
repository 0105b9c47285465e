#include "config/value.h"

#include "base/check.h"
#include "base/text.h"
#include "config/build.h"

/* Two switches over the types of schema.h, one in each direction. Fields are reached by offset, which the compiler
 * can not check; every store therefore checks the field's size. */

static void store(const struct setting *row, void *base, const void *value, size_t size)
{
	if (row->size == 0)
		return;
	check(row->size == size);
	memcpy((char *)base + row->offset, value, size);
}

static enum value_result bad(char *why, size_t why_size, const char *allowed)
{
	text_copy(why, why_size, allowed);
	return VALUE_BAD;
}

static enum value_result read_number(
	const struct setting *row, struct span text, void *base, char *why, size_t why_size)
{
	int64_t least = row->least, most = row->most ? row->most : INT32_MAX, value;
	int narrow;

	if (!text_to_i64(text, &value) || value < least || value > most) {
		text_format(why, why_size, "a whole number from %lld to %lld", (long long)least, (long long)most);
		return VALUE_BAD;
	}
	if (row->type == TYPE_BYTES) {
		store(row, base, &value, sizeof value);
	} else {
		narrow = (int)value;
		store(row, base, &narrow, sizeof narrow);
	}
	return VALUE_TAKEN;
}

static enum value_result read_bool(const struct setting *row, struct span text, void *base, char *why, size_t why_size)
{
	int value = span_is(text, "1");

	if (!value && !span_is(text, "0"))
		return bad(why, why_size, "0 or 1");
	store(row, base, &value, sizeof value);
	return VALUE_TAKEN;
}

/* Octal with or without a leading zero: nobody means 777 in decimal. */
static enum value_result read_mode(const struct setting *row, struct span text, void *base, char *why, size_t why_size)
{
	int value = 0;

	for (size_t i = 0; i < text.length; i++) {
		value = value * 8 + (text.at[i] - '0');
		if (text.at[i] < '0' || text.at[i] > '7' || value > row->most)
			return bad(why, why_size, "octal digits from 0000 to 0777");
	}
	if (text.length == 0)
		return bad(why, why_size, "octal digits from 0000 to 0777");
	store(row, base, &value, sizeof value);
	return VALUE_TAKEN;
}

static enum value_result read_time(const struct setting *row, struct span text, void *base, char *why, size_t why_size)
{
	time_us value;
	int64_t whole;

	if (row->type == TYPE_TIME) {
		if (!text_to_time(text, &value))
			return bad(why, why_size, "seconds without a unit, up to ten years; decimals are allowed");
	} else {
		if (!text_to_i64(text, &whole) || whole < row->least || whole > (row->most ? row->most : INT32_MAX)) {
			text_format(why, why_size, "whole seconds without a unit, from %lld to %lld",
				(long long)row->least, (long long)(row->most ? row->most : INT32_MAX));
			return VALUE_BAD;
		}
		value = whole < 0 || (row->type == TYPE_SECONDS_WIDER && whole == 0) ? UNSET : whole * SECOND_US;
	}
	store(row, base, &value, sizeof value);
	return VALUE_TAKEN;
}

/* "a, b or c" of the words that are built. */
static void list_words(const struct setting_word *words, char *out, size_t size)
{
	const struct setting_word *last = NULL;
	size_t n = 0;

	for (const struct setting_word *w = words; w->text; w++) {
		if (w->value >= 0)
			last = w;
	}
	for (const struct setting_word *w = words; w->text; w++) {
		if (w->value >= 0)
			n += text_format(out + n, size - n, "%s%s", n == 0 ? "" : w == last ? " or " : ", ", w->text);
	}
}

static enum value_result read_word(const struct setting *row, struct span text, void *base, char *why, size_t why_size)
{
	const struct setting_word *w = row->words;

	while (w->text && !text_equal_nocase(text, span_text(w->text)))
		w++;
	if (!w->text || w->value < 0) {
		list_words(row->words, why, why_size);
		return w->text ? VALUE_LATER : VALUE_BAD;
	}
	if (row->size == sizeof(bool)) {
		bool flag = w->value != 0;

		store(row, base, &flag, sizeof flag);
	} else {
		store(row, base, &w->value, sizeof w->value);
	}
	return VALUE_TAKEN;
}

static enum value_result read_text(const struct setting *row, struct span text, void *base, struct arena *arena)
{
	char *kept;

	if (row->size == 0)
		return VALUE_TAKEN;
	kept = arena_text(arena, text);
	if (!kept)
		return VALUE_REFUSED;
	store(row, base, &kept, sizeof kept);
	return VALUE_TAKEN;
}

enum value_result value_read(
	const struct setting *row, struct span text, void *base, struct arena *arena, char *why, size_t why_size)
{
	unsigned weight = 0;

	switch (row->type) {
	case TYPE_ACTIONS:
		if (!config_read_actions(text, NULL, NULL)) {
			text_format(why, why_size,
				"a list such as L1=reclaim, L9=notice is needed (observe, notice or reclaim)");
			return VALUE_BAD;
		}
		return read_text(row, text, base, arena);
	case TYPE_WEIGHTS:
		if (!config_read_weights(text, span_of("", 0), &weight)) {
			text_format(why, why_size,
				"a list such as web=4, my report=2, *=1: application_name and weight, from 1 to %d, * for all others",
				ORIGIN_WEIGHT_MOST);
			return VALUE_BAD;
		}
		return read_text(row, text, base, arena);
	case TYPE_TEXT:
		return read_text(row, text, base, arena);
	case TYPE_CHECK_QUERY:
		((struct config *)base)->server_check_on = text.length > 0;
		return read_text(row, span_is(text, "<empty>") ? span_of("", 0) : text, base, arena);
	case TYPE_BOOL:
		return read_bool(row, text, base, why, why_size);
	case TYPE_INT:
	case TYPE_BYTES:
		return read_number(row, text, base, why, why_size);
	case TYPE_TIME:
	case TYPE_SECONDS:
	case TYPE_SECONDS_WIDER:
		return read_time(row, text, base, why, why_size);
	case TYPE_MODE:
		return read_mode(row, text, base, why, why_size);
	case TYPE_WORD:
		return read_word(row, text, base, why, why_size);
	case TYPE_HOSTS:
	case TYPE_PORT:
		break;
	}
	check(!"hosts and ports are read by those who know the entry");
	return VALUE_BAD;
}

/* Seconds with as many decimals as are needed. */
static void write_time(time_us value, char *out, size_t size)
{
	size_t n = text_format(
		out, size, "%lld.%06lld", (long long)(value / SECOND_US), (long long)(value % SECOND_US));

	while (n > 0 && out[n - 1] == '0')
		n--;
	if (n > 0 && out[n - 1] == '.')
		n--;
	out[n] = 0;
}

void value_write(const struct setting *row, const void *base, char *out, size_t size)
{
	const char *field = (const char *)base + row->offset;
	const struct setting_word *w = row->words;
	const char *text;
	int64_t wide;
	int number;

	check(row->size > 0);
	switch (row->type) {
	case TYPE_ACTIONS:
	case TYPE_WEIGHTS:
	case TYPE_TEXT:
		memcpy(&text, field, sizeof text);
		text_copy(out, size, text);
		return;
	case TYPE_CHECK_QUERY:
		memcpy(&text, field, sizeof text);
		text_copy(out, size, ((const struct config *)base)->server_check_on && !*text ? "<empty>" : text);
		return;
	case TYPE_BYTES:
		memcpy(&wide, field, sizeof wide);
		text_format(out, size, "%lld", (long long)wide);
		return;
	case TYPE_TIME:
	case TYPE_SECONDS:
	case TYPE_SECONDS_WIDER:
		memcpy(&wide, field, sizeof wide);
		write_time(wide, out, size);
		return;
	case TYPE_BOOL:
	case TYPE_INT:
	case TYPE_MODE:
	case TYPE_WORD:
		memcpy(&number, field, sizeof number);
		while (w && w->text && w->value != number)
			w++;
		if (w && w->text)
			text_copy(out, size, w->text);
		else
			text_format(out, size, row->type == TYPE_MODE ? "%04o" : "%d", (unsigned)number);
		return;
	case TYPE_HOSTS:
	case TYPE_PORT:
		break;
	}
	check(!"only settings are shown by their row");
}
