#include <stdarg.h>
#include <stdlib.h>

#include "base/text.h"
#include "tool/memory.h"
#include "tool/table.h"
#include "tool/top_lay.h"

/* From top to bottom: the title, leaks in words, pools as bars, the list with its chosen row, and the keys. Everything a stranger chose
 * goes through `cell`, which makes it safe and cuts it to its width. Below NARROW letters there are no bars and no columns, only words. */

#define NARROW 50

/* Below so many lines only the first leak is named, pools are left to the sums, and the list has the rest. */
#define LOW 12

static struct top_line *new_line(struct top_page *page, enum top_style style)
{
	if (page->count == page->room) {
		page->room = page->room ? page->room * 2 : 64;
		page->lines = memory_got(reallocarray(page->lines, page->room, sizeof page->lines[0]));
	}
	page->lines[page->count].text[0] = 0;
	page->lines[page->count].style = style;
	return &page->lines[page->count++];
}

void lay_say(struct top_page *page, const struct top_screen *screen, enum top_style style, const char *format, ...)
{
	struct top_line *line = new_line(page, style);
	va_list list;

	va_start(list, format);
	vsnprintf(line->text, sizeof line->text, format, list);
	va_end(list);
	lay_cut(line->text, screen->width);
}

const char *lay_age(char out[40], double seconds)
{
	if (seconds < 0)
		text_copy(out, 40, "-");
	else
		text_duration(out, 40, (int64_t)(seconds * 1e6));
	return out;
}

/* ------------------------------------------------------------------------- the past */

void top_past_add(struct top_past *past, const struct top_view *view)
{
	for (size_t i = 0; i < view->pool_count; i++) {
		const struct top_pool *pool = &view->pools[i];
		struct top_track *track = NULL;

		for (size_t t = 0; t < past->count && !track; t++) {
			if (strcmp(past->tracks[t].database, pool->database) == 0 &&
				strcmp(past->tracks[t].user, pool->user) == 0)
				track = &past->tracks[t];
		}
		if (!track && past->count < TOP_PAST) {
			track = &past->tracks[past->count++];
			text_copy(track->database, TOP_NAME, pool->database);
			text_copy(track->user, TOP_NAME, pool->user);
		}
		if (!track)
			continue;
		if (track->used == TOP_SAMPLES)
			memmove(track->samples, track->samples + 1, sizeof track->samples - sizeof track->samples[0]);
		else
			track->used++;
		track->samples[track->used - 1] = pool->lent + pool->waiting;
	}
}

/* The most in this one of so many columns, which share the samples among them. */
static int peak(const struct top_track *track, int column, int columns)
{
	int most = 0;

	for (int i = column * track->used / columns; i < (column + 1) * track->used / columns; i++) {
		if (track->samples[i] > most)
			most = track->samples[i];
	}
	return most;
}

static const char *spark(char out[TOP_SAMPLES * 4], const struct top_past *past, const struct top_pool *pool,
	const struct top_screen *screen, int width)
{
	static const char *const fine[] = { "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587",
		"\u2588" },
				 *const rough[] = { "_", "_", ".", ".", "-", "=", "*", "#" };
	size_t length = 0;

	out[0] = 0;
	for (size_t t = 0; t < past->count; t++) {
		const struct top_track *track = &past->tracks[t];
		int most = pool->limit > 1 ? pool->limit : 1, columns = track->used < width ? track->used : width;

		if (strcmp(track->database, pool->database) != 0 || strcmp(track->user, pool->user) != 0)
			continue;
		for (int i = 0; i < track->used; i++) {
			if (track->samples[i] > most)
				most = track->samples[i];
		}
		for (int i = 0; i < columns; i++)
			length += text_copy(out + length, (size_t)TOP_SAMPLES * 4 - length,
				(screen->ascii ? rough : fine)[peak(track, i, columns) * 7 / most]);
	}
	return out;
}

void lay_wrapped(
	struct top_page *page, const struct top_screen *screen, enum top_style style, const char *text, int most)
{
	char words[1000];
	size_t length = show_sql(words, sizeof words, 0, span_text(text)), at = 0;
	int width = screen->width > 8 ? screen->width - 2 : 8;

	for (int lines = 0; at < length && lines < most; lines++) {
		size_t n = lay_fit(words + at, width);
		bool cut = words[at + n] && lines + 1 == most;

		if (cut)
			n = lay_fit(words + at, width - 4);
		if (screen->ascii) {
			for (size_t i = at; i < at + n; i++)
				words[i] = (uint8_t)words[i] < 0x80 ? words[i] : '?';
		}
		lay_say(page, screen, style, "  %.*s%s", (int)n, words + at, cut ? " ..." : "");
		at += n + (words[at + n] == ' ');
	}
}

/* ------------------------------------------------------------------------- leaks and pools */

/* What it is called, what is seen of it, and what its clients ask. */
static const char *whole_evidence(char *out, size_t size, const struct top_leak *leak)
{
	const char *const parts[][2] = { { "", leak->name }, { ": ", leak->evidence }, { "; route ", leak->route },
		{ "; statement ", leak->statement } };
	size_t length = text_copy(out, size, "");

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (parts[i][1][0])
			length += text_format(
				out + length, size - length, "%s%s", length > 0 ? parts[i][0] : "", parts[i][1]);
	return out;
}

static void lay_leaks(struct top_page *page, const struct top_view *view, const struct top_screen *screen)
{
	char who[600], since[600], evidence[1100];
	bool low = screen->height > 0 && screen->height < LOW, roomy = screen->height == 0 || screen->height >= 40;
	bool tight = !roomy && (screen->height < 20 || screen->width < NARROW);
	int lines = low ? 0 : screen->height == 0 ? 8 : tight ? 1 : 2;
	/* Whoever walks through leases has read the cure among the origins. */
	int cures = screen->list == TOP_LEASES && !roomy ? 0 : lines;
	size_t most = low ? 1 : 3;

	for (size_t i = 0; i < view->leak_count && i < most; i++) {
		const struct top_leak *leak = &view->leaks[i];

		/* To the minute: 2026-11-27 19:03. */
		lay_say(page, screen, STYLE_LEAK, "%s %s%s%.16s", leak->title, lay_word(who, screen, leak->who),
			leak->since[0] ? ", since " : "", lay_word(since, screen, leak->since));
		lay_wrapped(page, screen, STYLE_LEAK, whole_evidence(evidence, sizeof evidence, leak),
			cures == lines ? lines : 1);
		lay_wrapped(page, screen, STYLE_PLAIN, leak->cure, cures);
	}
	if (view->leak_count > most && !low)
		lay_say(page, screen, STYLE_LEAK, "and %zu more", view->leak_count - most);
}

static const char *bar(char out[400], const struct top_pool *pool, const struct top_screen *screen, int width)
{
	int all = pool->limit > pool->lent + pool->idle ? pool->limit : pool->lent + pool->idle;
	int lent = all > 0 ? (int)((int64_t)pool->lent * width / all) : 0;
	int idle = all > 0 ? (int)((int64_t)pool->idle * width / all) : 0;
	size_t length = 0;

	/* What is there is seen. */
	lent += lent == 0 && pool->lent > 0;
	idle += idle == 0 && pool->idle > 0 && lent < width;
	for (int i = 0; i < width; i++) {
		const char *fine = i < lent ? "\u2588" : i < lent + idle ? "\u2592" : "\u00b7";
		const char *rough = i < lent ? "#" : i < lent + idle ? "=" : ".";

		length += text_copy(out + length, 400 - length, screen->ascii ? rough : fine);
	}
	return out;
}

static int pool_order(const void *a, const void *b)
{
	const struct top_pool *left = a, *right = b;
	int l = left->waiting * 1000 + left->lent, r = right->waiting * 1000 + right->lent;

	return l != r ? (l < r ? 1 : -1) : strcmp(left->database, right->database);
}

/* Why no server of this pool can be opened. On a screen that is told of one pool: there is more to see, and it is mostly the same for all. */
static void lay_failing(
	struct top_page *page, const struct top_screen *screen, const struct top_pool *pool, unsigned *told)
{
	char words[300];

	if (!pool->failing[0] || (screen->height > 0 && *told > 0))
		return;
	++*told;
	text_format(words, sizeof words, "no server can be opened: %s", pool->failing);
	lay_wrapped(page, screen, STYLE_LEAK, words, screen->height == 0 ? 4 : 1);
}

/* The columns that this text takes, where they are more than so many; `most` at most. */
static int wider(int width, const struct top_screen *screen, const char *text, int most)
{
	char word[600];
	int columns = lay_columns(lay_word(word, screen, text));

	return columns <= width ? width < most ? width : most : columns < most ? columns : most;
}

/* Whether clients wait for a pool that could have more servers. */
static bool wants_more(const struct top_view *view)
{
	for (size_t i = 0; i < view->pool_count; i++) {
		const struct top_pool *pool = &view->pools[i];

		if (pool->waiting > 0 && (pool->limit == 0 || pool->lent + pool->idle < pool->limit))
			return true;
	}
	return false;
}

/* The figures are told whole; the bar has what room they leave. */
static void lay_pool(struct top_page *page, const struct top_screen *screen, const struct top_past *past,
	const struct top_pool *pool, int name_width)
{
	char name[600], bars[400], sparks[TOP_SAMPLES * 4], whole[TOP_NAME * 2 + 2], limit[20] = "", wait[80] = "",
										     figures[200];
	int room;

	text_format(whole, sizeof whole, "%s/%s", pool->database, pool->user);
	if (pool->limit > 0)
		text_format(limit, sizeof limit, " of %d", pool->limit);
	if (pool->waiting > 0)
		text_format(wait, sizeof wait, ", %d waiting (%.1f s)", pool->waiting, pool->longest_wait);
	text_format(figures, sizeof figures, "%d lent, %d idle%s%s", pool->lent, pool->idle, limit, wait);
	spark(sparks, past, pool, screen, screen->width >= 100 ? 20 : 8);
	room = screen->width - name_width - lay_columns(sparks) - (int)strlen(figures) - 5;
	room = room < 4 ? 4 : room > screen->width / 5 ? screen->width / 5 : room;
	lay_say(page, screen, pool->waiting > 0 ? STYLE_WAIT : STYLE_PLAIN, "%s [%s] %s %s",
		lay_cell(name, screen, whole, name_width), bar(bars, pool, screen, room > 20 ? 20 : room), sparks,
		figures);
}

static void lay_pools(
	struct top_page *page, struct top_view *view, const struct top_past *past, const struct top_screen *screen)
{
	char name[600], whole[TOP_NAME * 2 + 2];
	int name_width = 12;
	size_t most = screen->height == 0 ? view->pool_count
		: screen->height < LOW    ? (size_t)screen->height / 8
					  : (size_t)screen->height / 4;
	unsigned told = 0;

	for (size_t i = 0; i < view->pool_count; i++)
		told += view->pools[i].failing[0] != 0;
	if (view->unreached[0] && told == 0) {
		text_format(name, sizeof name, "PostgreSQL can not be reached: %s", view->unreached);
		lay_wrapped(page, screen, STYLE_LEAK, name, screen->height == 0 ? 4 : 1);
	}
	if (view->no_room[0] && (view->kind == TOP_POSTGRESQL || wants_more(view)))
		lay_wrapped(page, screen, STYLE_LEAK, view->no_room,
			screen->height == 0            ? 4
				: screen->height < LOW ? 1
						       : 2);
	if (view->hidden > 0) {
		text_format(name, sizeof name,
			"%d session%s hidden from this user, who may not look into them: GRANT pg_read_all_stats, or ask as a superuser",
			view->hidden, view->hidden == 1 ? " is" : "s are");
		lay_wrapped(page, screen, STYLE_LEAK, name, screen->height == 0 ? 4 : screen->height < LOW ? 1 : 2);
	}
	told = 0;
	if (view->pool_count > 1)
		qsort(view->pools, view->pool_count, sizeof view->pools[0], pool_order);
	for (size_t i = 0; i < view->pool_count && i < most; i++) {
		text_format(whole, sizeof whole, "%s/%s", view->pools[i].database, view->pools[i].user);
		name_width = wider(name_width, screen, whole, screen->width / 4);
	}
	for (size_t i = 0; i < view->pool_count && i < most; i++) {
		const struct top_pool *pool = &view->pools[i];

		if (screen->width < NARROW) {
			text_format(whole, sizeof whole, "%s/%s", pool->database, pool->user);
			lay_say(page, screen, pool->waiting > 0 ? STYLE_WAIT : STYLE_PLAIN, "%d of %d, %d wait: %s",
				pool->lent, pool->limit, pool->waiting, lay_word(name, screen, whole));
			lay_failing(page, screen, pool, &told);
			continue;
		}
		lay_pool(page, screen, past, pool, name_width);
		lay_failing(page, screen, pool, &told);
	}
	if (view->pool_count > most && most > 0)
		lay_say(page, screen, STYLE_FAINT, "and %zu more pool%s", view->pool_count - most,
			text_plural(view->pool_count - most));
}

/* ------------------------------------------------------------------------- the list */

static bool has(const struct top_screen *screen, const char *text)
{
	return strcasestr(text, screen->filter) != NULL;
}

static bool origin_shown(const struct top_screen *s, const struct top_origin *o)
{
	return has(s, o->database) || has(s, o->user) || has(s, o->application) || has(s, o->address);
}

static bool lease_shown(const struct top_screen *s, const struct top_lease *l)
{
	if (s->drilled &&
		(strcmp(s->of.database, l->database) != 0 || strcmp(s->of.user, l->user) != 0 ||
			strcmp(s->of.application, l->application) != 0 || strcmp(s->of.address, l->address) != 0))
		return false;
	return has(s, l->database) || has(s, l->user) || has(s, l->application) || has(s, l->address) ||
		has(s, l->statement) || has(s, l->state);
}

static int by_name(const char *a1, const char *b1, const char *a2, const char *b2)
{
	int first = strcmp(a1, b1);

	return first != 0 ? first : strcmp(a2, b2);
}

static int origin_order(const void *a, const void *b, void *context)
{
	const struct top_origin *l = a, *r = b;
	enum top_sort sort = ((const struct top_screen *)context)->sort;

	if (sort == SORT_WAITING && l->waiting != r->waiting)
		return l->waiting < r->waiting ? 1 : -1;
	if (sort != SORT_NAME && l->lent != r->lent)
		return l->lent < r->lent ? 1 : -1;
	if (sort != SORT_NAME && l->waiting != r->waiting) /* most hold nothing; who waits stands above who rests */
		return l->waiting < r->waiting ? 1 : -1;
	if (sort != SORT_NAME && l->clients != r->clients)
		return l->clients < r->clients ? 1 : -1;
	return by_name(l->application, r->application, l->address, r->address);
}

static int lease_order(const void *a, const void *b, void *context)
{
	const struct top_lease *l = a, *r = b;
	enum top_sort sort = ((const struct top_screen *)context)->sort;

	if (sort == SORT_WAITING && l->waiting != r->waiting)
		return l->waiting < r->waiting ? 1 : -1;
	if (sort == SORT_NAME && by_name(l->application, r->application, l->user, r->user) != 0)
		return by_name(l->application, r->application, l->user, r->user);
	return l->age < r->age ? 1 : l->age > r->age ? -1 : l->process < r->process ? -1 : l->process > r->process;
}

/* How wide the columns of the list are: as its rows ask for, within their share of the screen. */
struct columns {
	int application, where;
};

static void lay_origin(struct top_page *page, const struct top_screen *screen, const struct columns *columns,
	const struct top_origin *o, enum top_style style)
{
	char a[600], b[600], c[600], where[TOP_NAME * 2 + 2];

	text_format(where, sizeof where, "%s/%s", o->database, o->user);
	if (screen->width < NARROW)
		lay_say(page, screen, style, "%4d %s", o->lent,
			lay_cell(a, screen, o->application[0] ? o->application : where, screen->width - 5));
	else
		lay_say(page, screen, style, "%6d %6d %7d  %s %s %s", o->lent, o->waiting, o->clients,
			lay_cell(a, screen, o->application[0] ? o->application : "-", columns->application),
			lay_cell(b, screen, where, columns->where), lay_word(c, screen, o->address));
}

static void lay_lease(struct top_page *page, const struct top_screen *screen, const struct columns *columns,
	const struct top_lease *l, enum top_style style)
{
	char a[600], b[600], c[600], age[40], behind[40] = "";
	int rest = screen->width - 30 - columns->application - 20;

	lay_age(age, l->age);
	if (l->behind)
		text_format(behind, sizeof behind, "waits for %lld: ", (long long)l->behind);
	if (screen->width < NARROW)
		lay_say(page, screen, style, "%s %s", age,
			lay_cell(a, screen, l->application[0] ? l->application : l->user, screen->width));
	else
		lay_say(page, screen, style, "%7lld %12s %5d  %s %s %s%s", (long long)l->process, age, l->waiting,
			lay_cell(a, screen, l->application[0] ? l->application : l->user, columns->application),
			lay_cell(b, screen, l->state, 19), behind,
			lay_cell(c, screen, l->statement,
				rest < 5             ? 5
					: rest > 300 ? 300
						     : rest));
}

/* What is chosen, on lines of its own: who it is, and the statement whole. */
static void lay_detail(struct top_page *page, const struct top_screen *screen, const struct top_lease *l)
{
	char a[600], b[600], c[600], d[600];

	lay_say(page, screen, STYLE_FAINT, "%s/%s \"%s\" at %s", lay_word(a, screen, l->database),
		lay_word(b, screen, l->user), lay_word(c, screen, l->application), lay_word(d, screen, l->address));
	lay_wrapped(page, screen, STYLE_FAINT, l->statement, 4);
}

static bool shown(const struct top_view *view, const struct top_screen *screen, size_t i)
{
	return screen->list == TOP_LEASES ? lease_shown(screen, &view->leases[i])
					  : origin_shown(screen, &view->origins[i]);
}

/* Take note of the chosen row, and lay what there is to say of it on a page of its own, since the list gets what room that leaves. */
static void choose(
	struct top_page *page, const struct top_view *view, const struct top_screen *screen, struct top_page *detail)
{
	size_t i = 0, at = 0;

	if (page->rows == 0)
		return;
	for (; !shown(view, screen, i) || at < screen->chosen; i++)
		at += shown(view, screen, i);
	if (screen->list == TOP_ORIGINS) {
		page->chosen_origin = view->origins[i];
		return;
	}
	page->chosen_client = view->leases[i].client;
	page->chosen_process = view->leases[i].process;
	if (screen->height >= LOW)
		lay_detail(detail, screen, &view->leases[i]);
}

static struct columns measure(const struct top_view *view, const struct top_screen *screen, size_t count)
{
	struct columns columns = { .application = 20, .where = 20 };
	char where[TOP_NAME * 2 + 2];

	for (size_t i = 0; i < count; i++) {
		const struct top_lease *l = screen->list == TOP_LEASES ? &view->leases[i] : NULL;
		const struct top_origin *o = l ? NULL : &view->origins[i];

		if (!shown(view, screen, i))
			continue;
		columns.application = wider(columns.application, screen,
			l ? l->application[0] ? l->application : l->user : o->application, screen->width / (l ? 5 : 4));
		if (l)
			continue;
		text_format(where, sizeof where, "%s/%s", o->database, o->user);
		columns.where = wider(columns.where, screen, where, screen->width / 4);
	}
	return columns;
}

static void lay_rows(
	struct top_page *page, const struct top_view *view, const struct top_screen *screen, size_t count, size_t room)
{
	size_t first = screen->chosen >= room ? screen->chosen - room + 1 : 0, at = 0;
	struct columns columns = measure(view, screen, count);

	for (size_t i = 0; i < count && at < first + room; i++) {
		enum top_style style = at == screen->chosen && screen->height > 0 ? STYLE_CHOSEN : STYLE_PLAIN;

		if (!shown(view, screen, i) || at++ < first)
			continue;
		if (screen->list == TOP_LEASES)
			lay_lease(page, screen, &columns, &view->leases[i], style);
		else
			lay_origin(page, screen, &columns, &view->origins[i], style);
	}
}

static void lay_list(struct top_page *page, struct top_view *view, struct top_screen *screen)
{
	static const char *const sorts[][TOP_SORTS] = { { "what they hold", "who waits for what they hold", "name" },
		{ "age", "who waits behind them", "name" } };
	bool leases = screen->list == TOP_LEASES;
	size_t count = leases ? view->lease_count : view->origin_count, used;
	struct top_page detail = { 0 };
	char filter[600] = "", with[600];

	if (leases && count > 1)
		qsort_r(view->leases, count, sizeof view->leases[0], lease_order, screen);
	else if (count > 1)
		qsort_r(view->origins, count, sizeof view->origins[0], origin_order, screen);
	for (size_t i = 0; i < count; i++)
		page->rows += shown(view, screen, i);
	if (screen->chosen >= page->rows)
		screen->chosen = page->rows ? page->rows - 1 : 0;
	if (screen->filter[0])
		text_format(filter, sizeof filter, ", with \"%s\"",
			lay_cell(with, screen, screen->filter, lay_columns(screen->filter)));
	lay_say(page, screen, STYLE_TITLE, "%zu %s%s%s by %s%s", page->rows, leases ? "lease" : "origin",
		text_plural(page->rows), screen->drilled ? " of one origin" : "", sorts[leases][screen->sort], filter);
	if (screen->width >= NARROW && (screen->height == 0 || screen->height >= LOW))
		lay_say(page, screen, STYLE_FAINT, "%s",
			leases ? "process          age  wait  application, state, statement"
			       : "  lent   wait clients  application, database/user, address");
	choose(page, view, screen, &detail);
	used = page->count + detail.count + 1; /* with the keys */
	lay_rows(page, view, screen, count,
		screen->height == 0                     ? page->rows
			: (size_t)screen->height > used ? (size_t)screen->height - used
							: 1);
	for (size_t i = 0; i < detail.count; i++)
		lay_say(page, screen, detail.lines[i].style, "%s", detail.lines[i].text);
	top_page_fini(&detail);
}

void top_lay(struct top_page *page, struct top_view *view, const struct top_past *past, struct top_screen *screen)
{
	static const char *const kinds[] = { "pgweir", "PgBouncer", "PostgreSQL" };
	char from[600], slots[60] = "";
	int lent = 0, idle = 0, waiting = 0;

	*page = (struct top_page){ 0 };
	for (size_t i = 0; i < view->pool_count; i++) {
		lent += view->pools[i].lent;
		idle += view->pools[i].idle;
		waiting += view->pools[i].waiting;
	}
	if (view->most > 0)
		text_format(slots, sizeof slots, "  %d of %d connections", view->used, view->most);
	if (screen->width < NARROW)
		lay_say(page, screen, STYLE_TITLE, "%d lent, %d waiting", lent, waiting);
	else
		lay_say(page, screen, STYLE_TITLE, "%d lent, %d idle, %d waiting  %s %s%s", lent, idle, waiting,
			kinds[view->kind], lay_word(from, screen, screen->from ? screen->from : ""), slots);
	if (screen->message && screen->message[0])
		lay_wrapped(page, screen, STYLE_LEAK, screen->message, screen->height > 10 ? 4 : 1);
	if (screen->in_lease) {
		lay_one_lease(page, view, screen);
	} else {
		lay_leaks(page, view, screen);
		lay_pools(page, view, past, screen);
		if (screen->drilled)
			lay_inside(page, view, screen);
		lay_list(page, view, screen);
	}
	if (!screen->keys)
		return;
	while (page->count + 1 < (size_t)screen->height)
		new_line(page, STYLE_PLAIN);
	if (screen->height > 0 && page->count >= (size_t)screen->height)
		page->count = (size_t)screen->height - 1;
	lay_say(page, screen, STYLE_TITLE, "%s", screen->keys);
}

void top_page_fini(struct top_page *page)
{
	free(page->lines);
	page->lines = NULL;
}

void top_view_fini(struct top_view *view)
{
	free(view->pools);
	free(view->origins);
	free(view->leases);
	free(view->leaks);
	free(view->parts);
	*view = (struct top_view){ .kind = view->kind };
}
