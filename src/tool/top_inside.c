#include <string.h>

#include "base/text.h"
#include "tool/top_lay.h"

/* What an origin consists of, above the list of its leases: a few values of each kind, those with most quiet and holding clients first, as
 * the server sent them. The list below is what the screen is for, so they have a third of its height at most. */

#define LINES_LEAST 3
#define TOP_KINDS   8

/* Consecutive rows of one kind. */
struct kind {
	const struct top_part *rows;
	size_t count;
};

static size_t kinds_of(const struct top_view *view, int64_t origin, struct kind kinds[TOP_KINDS])
{
	size_t count = 0;

	for (size_t i = 0; i < view->part_count; i++) {
		const struct top_part *part = &view->parts[i];

		if (part->origin != origin)
			continue;
		if (count == 0 || strcmp(kinds[count - 1].rows->by, part->by) != 0) {
			if (count == TOP_KINDS)
				break;
			kinds[count++] = (struct kind){ .rows = part };
		}
		kinds[count - 1].count++;
	}
	return count;
}

static void lay_part(struct top_page *page, const struct top_screen *screen, const struct top_part *part, bool first)
{
	char by[600], value[600], quiet[40] = "", holding[80] = "", age[40];

	if (part->quiet > 0)
		text_format(quiet, sizeof quiet, ", %d quiet", part->quiet);
	if (part->holding > 0)
		text_format(holding, sizeof holding, ", %d idle in transaction, the longest for %s", part->holding,
			lay_age(age, part->oldest_hold));
	lay_say(page, screen, part->holding > 0 ? STYLE_WAIT : STYLE_PLAIN, "%s %s  %d client%s%s%s",
		lay_cell(by, screen, first ? part->by : "", 10),
		lay_cell(value, screen, part->value, screen->width > 100 ? 48 : screen->width / 3 + 4), part->clients,
		text_plural(part->clients), quiet, holding);
}

void lay_inside(struct top_page *page, const struct top_view *view, const struct top_screen *screen)
{
	struct kind kinds[TOP_KINDS];
	size_t count = kinds_of(view, screen->of.id, kinds), most = screen->height > 0 ? (size_t)screen->height / 3 : 0;
	size_t each, more = 0;

	if (count == 0)
		return;
	each = (most > LINES_LEAST ? most : LINES_LEAST) / count;
	for (size_t k = 0; k < count; k++) {
		size_t shown = kinds[k].count < (each ? each : 1) ? kinds[k].count : each ? each : 1;

		for (size_t i = 0; i < shown; i++)
			lay_part(page, screen, &kinds[k].rows[i], i == 0);
		more += kinds[k].count - shown;
	}
	if (more > 0)
		lay_say(page, screen, STYLE_FAINT, "and %zu more: SHOW BREAKDOWNS", more);
}
