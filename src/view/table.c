/* The values of SHOW's tables: one function for each kind of member. */
#include "view/table.h"

#include <inttypes.h>
#include <time.h>

#include "base/text.h"
#include "view/snapshot.h"

void put_bytes(struct writer *w, const char *text)
{
	size_t length = strlen(text);

	write_u32(w, (uint32_t)length);
	write_bytes(w, text, length);
}

/* By hand: a house of a million clients has twelve million numbers to show, and printf takes its time for each. */
static void put_digits(struct writer *w, bool negative, uint64_t number)
{
	char text[24], *at = text + sizeof text;

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	if (negative)
		*--at = '-';
	write_u32(w, (uint32_t)(text + sizeof text - at));
	write_bytes(w, at, (size_t)(text + sizeof text - at));
}

void put_number(struct writer *w, int64_t number)
{
	put_digits(w, number < 0, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

void put_unsigned(struct writer *w, uint64_t number)
{
	put_digits(w, false, number);
}

void put_null(struct writer *w)
{
	write_u32(w, UINT32_MAX);
}

void put_text(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_bytes(w, member(row, offset));
}

void put_text_or_null(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	const char *text = member(row, offset);

	(void)show;
	if (*text)
		put_bytes(w, text);
	else
		put_null(w);
}

void put_int(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_number(w, *(const int *)member(row, offset));
}

void put_u32(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_number(w, *(const uint32_t *)member(row, offset));
}

void put_u64(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_unsigned(w, *(const uint64_t *)member(row, offset));
}

void put_pointer(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	uint64_t id = *(const uint64_t *)member(row, offset);
	char text[32] = "";

	(void)show;
	if (id)
		text_format(text, sizeof text, "0x%" PRIx64, id);
	put_bytes(w, text);
}

void put_time(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_number(w, *(const time_us *)member(row, offset));
}

void put_seconds(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_number(w, *(const time_us *)member(row, offset) / SECOND_US);
}

void put_microseconds(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_number(w, *(const time_us *)member(row, offset) % SECOND_US);
}

/* Below zero: not known. */
void put_known(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	int number = *(const int *)member(row, offset);

	(void)show;
	if (number >= 0)
		put_number(w, number);
	else
		put_null(w);
}

void put_known_time(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	time_us time = *(const time_us *)member(row, offset);

	(void)show;
	if (time >= 0)
		put_number(w, time);
	else
		put_null(w);
}

void put_wall(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	time_t seconds = (time_t)(*(const time_us *)member(row, offset) / SECOND_US);
	char text[64] = "";
	struct tm tm;

	(void)show;
	if (seconds > 0 && gmtime_r(&seconds, &tm))
		text_format(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
			tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	put_bytes(w, text);
}

void put_bit(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_bytes(w, *(const bool *)member(row, offset) ? "1" : "0");
}

void put_yes_no(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_bytes(w, *(const bool *)member(row, offset) ? "yes" : "no");
}

void put_zero(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)row;
	(void)offset;
	(void)show;
	put_bytes(w, "0");
}

void put_empty(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)row;
	(void)offset;
	(void)show;
	put_bytes(w, "");
}

void put_replication(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	static const char *const kinds[] = { "none", "logical", "physical" };

	(void)show;
	put_bytes(w, kinds[*(const int *)member(row, offset)]);
}

void put_mode(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	static const char *const modes[] = { "session", "transaction", "statement" };
	int mode = *(const int *)member(row, offset);

	(void)show;
	if (mode >= 0 && (size_t)mode < sizeof modes / sizeof *modes)
		put_bytes(w, modes[mode]);
	else
		put_null(w);
}

void put_hosts(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	enum balance balance = *(const enum balance *)member(row, offset);

	(void)show;
	if (balance == BALANCE_NONE)
		put_null(w);
	else
		put_bytes(w, balance == BALANCE_DISABLE ? "disable" : "round-robin");
}

void pair_number(struct pair *pair, const char *name, uint64_t number)
{
	text_copy(pair->name, sizeof pair->name, name);
	text_format(pair->value, sizeof pair->value, "%" PRIu64, number);
}

const struct field pair_fields[2] = {
	{ put_text, offsetof(struct pair, name) },
	{ put_text, offsetof(struct pair, value) },
};

size_t columns_shown(const struct show *show)
{
	size_t count = 0;

	if (!show->without_ours)
		return show->column_count;
	for (size_t i = 0; i < show->column_count; i++)
		count += column_shown(show, i);
	return count;
}

void put_row(struct writer *w, const struct show *show, const struct field *fields, const void *row)
{
	size_t mark = message_begin(w, 'D');

	write_u16(w, (uint16_t)columns_shown(show));
	for (size_t i = 0; i < show->column_count; i++)
		if (column_shown(show, i))
			fields[i].put(w, row, fields[i].offset, show);
	message_end(w, mark);
}
