#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tool/top_lay.h"

/* One lease, whole: who has it, since when and in which state, what it runs, why it is pinned; then who waits behind it. Of a pooler that is
 * who waits for a server of its pool; of PostgreSQL itself, who waits for its locks. */

static const struct top_lease *find_lease(const struct top_view *view, const struct top_screen *screen)
{
	for (size_t i = 0; i < view->lease_count; i++) {
		const struct top_lease *lease = &view->leases[i];

		if (lease->client == screen->lease.client && lease->process == screen->lease.process)
			return lease;
	}
	return NULL;
}

static void lay_fact(
	struct top_page *page, const struct top_screen *screen, const char *name, const char *text, const char *more)
{
	char a[600], line[TOP_NAME * 3];

	if (text[0] && screen->width < 32) {
		text_format(line, sizeof line, "%s: %s%s", name, text, more);
		lay_wrapped(page, screen, STYLE_PLAIN, line, 3);
	} else if (text[0]) {
		lay_say(page, screen, STYLE_PLAIN, "%-12s %s%s", name, lay_word(a, screen, text), more);
	}
}

static void lay_statement(
	struct top_page *page, const struct top_screen *screen, const char *title, const char *statement)
{
	if (!statement[0])
		return;
	lay_say(page, screen, STYLE_FAINT, "%s", title);
	lay_wrapped(page, screen, STYLE_PLAIN, statement, screen->height > 20 ? 6 : 2);
}

static void lay_waiting_origin(struct top_page *page, const struct top_screen *screen, const struct top_origin *origin)
{
	char a[600], b[600], c[600], where[TOP_NAME * 2 + 2];

	text_format(where, sizeof where, "%s/%s", origin->database, origin->user);
	lay_say(page, screen, STYLE_WAIT, "%6d %s  %s at %s", origin->waiting,
		lay_word(a, screen, origin->application[0] ? origin->application : "-"), lay_word(b, screen, where),
		lay_word(c, screen, origin->address));
}

static void lay_waiting_session(struct top_page *page, const struct top_screen *screen, const struct top_lease *lease)
{
	char a[600], b[600], age[40];

	lay_say(page, screen, STYLE_WAIT, "%7lld %12s  %s: %s", (long long)lease->process, lay_age(age, lease->age),
		lay_word(a, screen, lease->application[0] ? lease->application : lease->user),
		lay_word(b, screen, lease->statement));
}

static int by_waiting(const void *a, const void *b)
{
	return ((const struct top_origin *)b)->waiting - ((const struct top_origin *)a)->waiting;
}

/* Those who wait longest by number, as it is at this moment, and all by origin, as it was when origins were last looked at. */
static void lay_behind(
	struct top_page *page, struct top_view *view, const struct top_screen *screen, const struct top_lease *lease)
{
	bool direct = view->kind == TOP_POSTGRESQL;

	lay_say(page, screen, lease->waiting ? STYLE_WAIT : STYLE_FAINT,
		direct ? "%d wait%s for its locks" : "%d wait%s for a server of its pool", lease->waiting,
		lease->waiting == 1 ? "s" : "");
	if (lease->waiters[0])
		lay_wrapped(page, screen, STYLE_WAIT, lease->waiters, screen->height > 20 ? 6 : 2);
	for (size_t i = 0; direct && i < view->lease_count; i++) {
		if (view->leases[i].behind == lease->process)
			lay_waiting_session(page, screen, &view->leases[i]);
	}
	if (!direct && view->origin_count > 1)
		qsort(view->origins, view->origin_count, sizeof view->origins[0], by_waiting);
	for (size_t i = 0; !direct && i < view->origin_count; i++) {
		const struct top_origin *origin = &view->origins[i];

		if (origin->waiting > 0 && strcmp(origin->database, lease->database) == 0 &&
			strcmp(origin->user, lease->user) == 0)
			lay_waiting_origin(page, screen, origin);
	}
}

/* PostgreSQL: whose lock it waits for. */
static void lay_before(struct top_page *page, const struct top_view *view, const struct top_screen *screen,
	const struct top_lease *lease)
{
	lay_say(page, screen, STYLE_LEAK, "it waits for a lock of process %lld", (long long)lease->behind);
	for (size_t i = 0; i < view->lease_count; i++) {
		if (view->leases[i].process == lease->behind)
			lay_waiting_session(page, screen, &view->leases[i]);
	}
}

void lay_one_lease(struct top_page *page, struct top_view *view, const struct top_screen *screen)
{
	const struct top_lease *lease = find_lease(view, screen);
	char age[40], more[100] = "", number[40], pool[TOP_NAME * 2 + 2];

	if (!lease) {
		lay_say(page, screen, STYLE_TITLE, "this lease is over (process %lld)",
			(long long)screen->lease.process);
		return;
	}
	page->rows = 1;
	page->chosen_client = lease->client;
	page->chosen_process = lease->process;
	lay_say(page, screen, STYLE_TITLE, "lease of process %lld", (long long)lease->process);
	text_format(pool, sizeof pool, "%s/%s", lease->database, lease->user);
	lay_fact(page, screen, "pool", pool, "");
	lay_fact(page, screen, "application", lease->application, "");
	lay_fact(page, screen, "address", lease->address, "");
	if (lease->client) {
		text_format(number, sizeof number, "%lld", (long long)lease->client);
		lay_fact(page, screen, "client", number, "");
	}
	if (lease->in_state >= 0)
		text_format(more, sizeof more, " for %s", lay_age(age, lease->in_state));
	lay_fact(page, screen, "state", lease->state, more);
	if (lease->age >= 0)
		lay_fact(page, screen, view->kind == TOP_POSTGRESQL ? "transaction" : "lent", lay_age(age, lease->age),
			"");
	lay_fact(page, screen, "pinned by", lease->pin, "");
	if (strcmp(lease->first, lease->statement) != 0)
		lay_statement(page, screen, "its first statement", lease->first);
	lay_statement(page, screen, "its last statement", lease->statement);
	if (lease->behind)
		lay_before(page, view, screen, lease);
	lay_behind(page, view, screen, lease);
}
