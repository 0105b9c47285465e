#include "tool/stress_names.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "tool/stress_report.h"
#include "tool/table.h"

/* Names are strangers' texts: cut to what a table shows, and made safe there once, for all reports. A program that puts a number into its
 * name would fill any table, so the first few have a place and the rest share one. */

unsigned names_place(struct stress_names *names, const char *name)
{
	char shown[STRESS_NAME_TEXT];

	if (name[0])
		show_text(shown, sizeof shown, 0, span_text(name));
	else
		text_copy(shown, sizeof shown, "(no name)");
	for (unsigned i = 0; i < names->count; i++) {
		if (strcmp(names->at[i], shown) == 0)
			return i;
	}
	if (names->count == STRESS_NAMES)
		return STRESS_NAMES - 1;
	text_copy(names->at[names->count], STRESS_NAME_TEXT, names->count == STRESS_NAMES - 1 ? "(others)" : shown);
	return names->count++;
}

struct names_extent names_extent(const struct timeline *t, unsigned place)
{
	struct names_extent extent = { 0 };

	for (size_t i = 0; i < t->count; i++) {
		const struct stress_reading *r = &t->samples[i].reading;

		if (r->sessions == UNKNOWN)
			continue;
		extent.last = r->of_name[place];
		if (extent.last > extent.most)
			extent.most = extent.last;
	}
	return extent;
}

/* Whoever holds most at the end comes first, then who ever held most. */
static void names_order(const struct stress_result *r, unsigned order[STRESS_NAMES])
{
	for (unsigned i = 0; i < r->names.count; i++) {
		struct names_extent extent = names_extent(&r->timeline, i), other;
		unsigned to = i;

		for (; to > 0; to--) {
			other = names_extent(&r->timeline, order[to - 1]);
			if (other.last > extent.last || (other.last == extent.last && other.most >= extent.most))
				break;
			order[to] = order[to - 1];
		}
		order[to] = i;
	}
}

void names_text(const struct stress_result *r, FILE *to)
{
	static const struct table_column columns[] = { { .title = "AT POSTGRESQL, BY APPLICATION_NAME" },
		{ .title = "MOST", .right = true }, { .title = "AT THE END", .right = true } };
	struct table *table;
	unsigned order[STRESS_NAMES];

	if (r->names.count == 0)
		return;
	names_order(r, order);
	table = table_new(columns, sizeof columns / sizeof columns[0]);
	for (unsigned i = 0; i < r->names.count; i++) {
		struct names_extent extent = names_extent(&r->timeline, order[i]);
		char most[20], last[20];

		text_format(most, sizeof most, "%d", extent.most);
		text_format(last, sizeof last, "%d", extent.last);
		table_add(table, (const char *[]){ r->names.at[order[i]], most, last });
	}
	fputc('\n', to);
	table_print(table, to);
	table_free(table);
}

/* ---- the page ---- */

#define WIDTH  1000.0
#define HEIGHT 160.0
#define LEFT   46.0
#define POINTS 900

static void draw(const struct stress_result *r, struct buf *out, unsigned place, double most)
{
	const struct timeline *t = &r->timeline;
	double seconds = fmax(1, (double)r->lasted / (double)SECOND_US);
	size_t each = t->count / POINTS + 1;
	bool pen = false;

	report_add(out, "<path class=\"line name%u\" d=\"", place);
	for (size_t i = 0; i < t->count; i += each) {
		const struct stress_sample *s = &t->samples[i];
		double x = LEFT + (WIDTH - LEFT - 14) * ((double)s->at / (double)SECOND_US) / seconds;

		if (s->reading.sessions == UNKNOWN) { /* a hole stays one */
			pen = false;
			continue;
		}
		report_add(out, "%c%.1f %.1f", pen ? 'L' : 'M', x, 8 + HEIGHT * (1 - s->reading.of_name[place] / most));
		pen = true;
	}
	report_raw(out, "\"/>\n");
}

/* One name alone is the line of all sessions once more. */
static void chart(const struct stress_result *r, struct buf *out)
{
	double most = 1;

	if (r->names.count < 2)
		return;
	for (unsigned i = 0; i < r->names.count; i++)
		most = fmax(most, names_extent(&r->timeline, i).most);
	report_add(out,
		"<div class=\"scroll\" tabindex=\"0\"><svg class=\"wide\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"sessions by application_name over time\">\n"
		"<line class=\"axis\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\"/><text class=\"left\" x=\"%.0f\" y=\"12\">%.0f</text>\n",
		WIDTH, HEIGHT + 16, LEFT, WIDTH - 14, HEIGHT + 8, HEIGHT + 8, LEFT - 6, most);
	for (unsigned i = 0; i < r->names.count; i++)
		draw(r, out, i, most);
	report_raw(out, "</svg></div>\n");
}

void names_html(const struct stress_result *r, struct buf *out)
{
	unsigned order[STRESS_NAMES];

	if (r->names.count == 0)
		return;
	names_order(r, order);
	report_raw(out, "<section><h2>At PostgreSQL, by application_name</h2>\n");
	chart(r, out);
	report_raw(out, "<table><tr><th>application_name</th><th>most</th><th>at the end</th></tr>\n");
	for (unsigned i = 0; i < r->names.count; i++) {
		struct names_extent extent = names_extent(&r->timeline, order[i]);

		report_add(out, "<tr><td class=\"text legend\"><i class=\"name%u\"></i>", order[i]);
		report_escape(out, r->names.at[order[i]]);
		report_add(out, "</td><td>%d</td><td>%d</td></tr>\n", extent.most, extent.last);
	}
	report_raw(out, "</table></section>\n");
}
