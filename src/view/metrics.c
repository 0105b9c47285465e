#include "view/metrics.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "view/metrics_table.h"

/* Prometheus' text format 0.0.4 and OpenMetrics 1.0.0, which differ in little, from one table.
 *
 *   scope      which rows of the snapshot, and which members of a row tell whose it is     ->  the rows' labels
 *   labels     rows with the same labels share a line; beyond METRICS_NAMED all others do
 *   metric     which member of each row, and how those of one line become one value        ->  a line for each
 *
 * Names are a stranger's: what Prometheus reads them with must not be led astray, nor may two lines have the same labels, for then it
 * refuses all of them. So labels are compared as they will be written. */

#define OTHERS METRICS_NAMED

struct lines {
	const struct metric_scope *scope; /* NULL: not made yet */
	struct buf texts;                 /* the labels, as they are written */
	size_t begins[OTHERS + 1], lengths[OTHERS + 1];
	bool used[OTHERS + 1];
	size_t named;
	uint32_t *line_of; /* by row; UINT32_MAX: not shown */
	size_t rows;
};

const char *metrics_content_type(enum metrics_form form)
{
	return form == METRICS_OPEN ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				    : "text/plain; version=0.0.4; charset=utf-8";
}

static const void *member_at(const void *row, size_t offset)
{
	return (const char *)row + offset;
}

/* ---- labels ---- */

/* Backslashes, quotes and line ends as both formats want them, and only UTF-8. */
static bool add_value(struct buf *out, struct span text)
{
	bool ok = true;

	while (ok && text.length > 0) {
		size_t n = text_utf8(text);
		uint8_t c = text.at[0];

		if (c == '\\' || c == '"')
			ok = buf_format(out, "\\%c", c);
		else if (c == '\n')
			ok = buf_add(out, "\\n", 2);
		else
			ok = n ? buf_add(out, text.at, n) : buf_add(out, "\xef\xbf\xbd", 3);
		text = span_skip(text, n ? n : 1);
	}
	return ok;
}

static bool add_labels(struct buf *out, const struct metric_scope *scope, const void *row)
{
	char escaped[1100];
	bool ok = true;

	for (size_t i = 0; ok && i < METRIC_LABELS && scope->labels[i].name; i++) {
		const struct metric_label *label = &scope->labels[i];

		ok = buf_format(out, "%s%s=\"", i ? "," : "", label->name);
		if (!row)
			ok = ok && buf_format(out, "(others)");
		else if (label->number)
			ok = ok && buf_format(out, "%d", *(const int *)member_at(row, label->offset));
		else if (label->raw) {
			text_escape(escaped, sizeof escaped, span_text(member_at(row, label->offset)));
			ok = ok && add_value(out, span_text(escaped));
		} else
			ok = ok && add_value(out, span_text(member_at(row, label->offset)));
		ok = ok && buf_add(out, "\"", 1);
	}
	return ok;
}

static struct span labels_at(const struct lines *lines, size_t i)
{
	return span_of(buf_span(&lines->texts).at + lines->begins[i], lines->lengths[i]);
}

/* ---- which row belongs to which line ---- */

static const void *first_row(const struct metric_scope *scope, const struct snapshot *snapshot)
{
	const void *rows;

	if (scope->inside)
		return member_at(snapshot, scope->list);
	memcpy(&rows, member_at(snapshot, scope->list), sizeof rows);
	return rows;
}

static const void *row_at(const struct metric_scope *scope, const struct snapshot *snapshot, size_t i)
{
	return (const char *)first_row(scope, snapshot) + i * scope->size;
}

static void lines_fini(struct lines *lines)
{
	buf_fini(&lines->texts);
	free(lines->line_of);
	*lines = (struct lines){ .scope = NULL };
}

/* The line of the labels that were just written to the end of the texts; they stay there only if they are new. */
static size_t place(struct lines *lines, size_t begin)
{
	struct span labels = span_skip(buf_span(&lines->texts), begin);
	size_t line = OTHERS;

	if (!span_equal(labels, labels_at(lines, OTHERS)))
		for (line = 0; line < lines->named && !span_equal(labels, labels_at(lines, line));)
			line++;
	if (line == lines->named && line < OTHERS) {
		lines->begins[line] = begin;
		lines->lengths[line] = labels.length;
		lines->named++;
	} else {
		lines->texts.length = begin;
	}
	lines->used[line] = true;
	return line;
}

struct weighed {
	uint32_t weight, row;
};

static int compare(const void *a, const void *b)
{
	const struct weighed *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static bool lines_make(struct lines *lines, const struct metric_scope *scope, const struct snapshot *snapshot)
{
	struct weighed *order;
	bool ok;

	lines_fini(lines);
	lines->scope = scope;
	lines->rows = 1;
	if (!scope->one)
		memcpy(&lines->rows, member_at(snapshot, scope->count), sizeof lines->rows);
	lines->line_of = calloc(lines->rows + 1, sizeof *lines->line_of);
	order = calloc(lines->rows + 1, sizeof *order);
	ok = lines->line_of && order && (scope->one || add_labels(&lines->texts, scope, NULL));
	lines->lengths[OTHERS] = lines->texts.length; /* a scope of one row has no others, but maybe no labels either */
	for (size_t i = 0; ok && i < lines->rows; i++)
		order[i] = (struct weighed){ scope->weight ? scope->weight(row_at(scope, snapshot, i)) : 0,
			(uint32_t)i };
	if (ok && scope->weight)
		qsort(order, lines->rows, sizeof *order, compare);
	for (size_t i = 0; ok && i < lines->rows; i++) {
		const void *row = row_at(scope, snapshot, order[i].row);
		size_t begin = lines->texts.length;

		lines->line_of[order[i].row] = UINT32_MAX;
		if (scope->shown && !scope->shown(row))
			continue;
		ok = add_labels(&lines->texts, scope, row);
		if (ok)
			lines->line_of[order[i].row] = (uint32_t)place(lines, begin);
	}
	free(order);
	return ok;
}

/* ---- values ---- */

struct number {
	bool known;
	uint64_t whole; /* or microseconds */
	double part;    /* ratios and rates */
};

static bool is_seconds(enum metric_value value)
{
	return value == VALUE_TIME || value == VALUE_TIME_IF || value == VALUE_US;
}

static bool is_real(enum metric_value value)
{
	return value == VALUE_PERCENT || value == VALUE_MINUTES;
}

static uint64_t not_below_zero(time_us time)
{
	return time > 0 ? (uint64_t)time : 0;
}

static struct number read_number(const struct metric *metric, const void *row)
{
	const void *at = member_at(row, metric->offset);
	const struct memory_row *memory = row;
	struct number number = { .known = true };

	switch (metric->value) {
	case VALUE_ONE:
		number.whole = 1;
		break;
	case VALUE_ZERO:
		break;
	case VALUE_U32:
		number.whole = *(const uint32_t *)at;
		break;
	case VALUE_U64_IF:
		number.whole = *(const uint64_t *)at;
		number.known = number.whole > 0;
		break;
	case VALUE_U64:
	case VALUE_US:
		number.whole = *(const uint64_t *)at;
		break;
	case VALUE_SIZE:
		number.whole = *(const size_t *)at;
		break;
	case VALUE_INT:
		number.known = *(const int *)at >= 0;
		number.whole = number.known ? (uint64_t) * (const int *)at : 0;
		break;
	case VALUE_BOOL:
		number.whole = *(const bool *)at;
		break;
	case VALUE_PERCENT:
		number.part = *(const uint32_t *)at / 100.0;
		break;
	case VALUE_TIME:
		number.whole = not_below_zero(*(const time_us *)at);
		break;
	case VALUE_TIME_IF:
		number.whole = not_below_zero(*(const time_us *)at);
		number.known = number.whole > 0;
		break;
	case VALUE_MINUTES:
		number.part = *(const double *)at / 60;
		break;
	case VALUE_MEMORY:
		number.whole = (uint64_t)memory->size * memory->used;
		break;
	case VALUE_METER:
		check(!"a meter is no number");
	}
	return number;
}

static void fold(struct number *into, struct number from, enum metric_fold how)
{
	if (!from.known)
		return;
	if (!into->known) {
		*into = from;
		return;
	}
	if (how == FOLD_SUM) {
		into->whole += from.whole;
		into->part += from.part;
	} else if ((from.whole > into->whole || from.part > into->part) == (how == FOLD_MOST)) {
		*into = from;
	}
}

/* name{labels,more} and a space; `suffix` belongs to the name. */
static bool add_name(
	struct buf *out, const struct metric *metric, const char *suffix, struct span labels, const char *more)
{
	bool any = labels.length > 0 || more;

	return buf_format(out, "%s%s%s", metric->name, suffix, any ? "{" : "") && buf_add_span(out, labels) &&
		buf_format(out, "%s%s%s ", labels.length > 0 && more ? "," : "", more ? more : "", any ? "}" : "");
}

static bool add_number(struct buf *out, const struct metric *metric, const struct number *number)
{
	if (is_real(metric->value))
		return buf_format(out, "%.9g\n", number->part);
	if (is_seconds(metric->value))
		return buf_format(out, "%llu.%06llu\n", (unsigned long long)(number->whole / SECOND_US),
			(unsigned long long)(number->whole % SECOND_US));
	return buf_format(out, "%llu\n", (unsigned long long)number->whole);
}

static bool add_numbers(
	struct buf *out, const struct metric *metric, const struct lines *lines, const struct snapshot *snapshot)
{
	struct number numbers[OTHERS + 1] = { 0 };
	bool ok = true;

	for (size_t i = 0; i < lines->rows; i++)
		if (lines->line_of[i] != UINT32_MAX)
			fold(&numbers[lines->line_of[i]], read_number(metric, row_at(metric->scope, snapshot, i)),
				metric->fold);
	for (size_t i = 0; ok && i <= OTHERS; i++)
		if (numbers[i].known)
			ok = add_name(out, metric, "", labels_at(lines, i), metric->more) &&
				add_number(out, metric, &numbers[i]);
	return ok;
}

static bool add_meter(struct buf *out, const struct metric *metric, struct span labels, const struct meter *meter)
{
	uint64_t count = 0;
	char bound[40];
	bool ok = true;

	for (unsigned i = 0; ok && i < METER_BUCKETS; i++) {
		time_us most = meter_bound(i);

		count += meter->buckets[i];
		/* As OpenMetrics writes it, so that both formats tell of the same series. */
		if (most == 0)
			text_copy(bound, sizeof bound, "le=\"+Inf\"");
		else if (most % SECOND_US == 0)
			text_format(bound, sizeof bound, "le=\"%lld.0\"", (long long)(most / SECOND_US));
		else
			text_format(bound, sizeof bound, "le=\"%g\"", (double)most / SECOND_US);
		ok = add_name(out, metric, "_bucket", labels, bound) &&
			buf_format(out, "%llu\n", (unsigned long long)count);
	}
	return ok && add_name(out, metric, "_sum", labels, NULL) &&
		buf_format(out, "%llu.%06llu\n", (unsigned long long)(meter->sum / SECOND_US),
			(unsigned long long)(meter->sum % SECOND_US)) &&
		add_name(out, metric, "_count", labels, NULL) && buf_format(out, "%llu\n", (unsigned long long)count);
}

static bool add_meters(
	struct buf *out, const struct metric *metric, const struct lines *lines, const struct snapshot *snapshot)
{
	struct meter *meters = calloc(OTHERS + 1, sizeof *meters);
	bool ok = meters != NULL;

	for (size_t i = 0; ok && i < lines->rows; i++)
		if (lines->line_of[i] != UINT32_MAX)
			meter_merge(&meters[lines->line_of[i]],
				member_at(row_at(metric->scope, snapshot, i), metric->offset));
	for (size_t i = 0; ok && i <= OTHERS; i++)
		if (lines->used[i])
			ok = add_meter(out, metric, labels_at(lines, i), &meters[i]);
	free(meters);
	return ok;
}

/* ---- all of it ---- */

static bool add_head(struct buf *out, const struct metric *metric, enum metrics_form form)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"
	};
	int length = (int)strlen(metric->name);

	/* A counter of OpenMetrics is called so without the "_total" that its line has. */
	if (form == METRICS_OPEN && metric->type == METRIC_COUNTER)
		length -= (int)strlen("_total");
	return buf_format(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", length, metric->name, metric->help, length,
		metric->name, types[metric->type]);
}

bool metrics_write(struct buf *out, const struct snapshot *snapshot, enum metrics_form form)
{
	struct lines lines = { .scope = NULL };
	const char *name = "";
	bool ok = true;

	for (size_t i = 0; ok && i < metrics_count; i++) {
		const struct metric *metric = &metrics[i];

		if (metric->pgbouncer && !snapshot->pgbouncer)
			continue;
		if (lines.scope != metric->scope)
			ok = lines_make(&lines, metric->scope, snapshot);
		if (strcmp(name, metric->name) != 0)
			ok = ok && add_head(out, metric, form);
		name = metric->name;
		ok = ok &&
			(metric->type == METRIC_HISTOGRAM ? add_meters(out, metric, &lines, snapshot)
							  : add_numbers(out, metric, &lines, snapshot));
	}
	lines_fini(&lines);
	return ok && (form != METRICS_OPEN || buf_format(out, "# EOF\n"));
}
