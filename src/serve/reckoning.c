/* What a reading of a PostgreSQL server amounts to. A backend is ours when the core counts a server with its process id; everybody
 * else's are the others. What follows goes to the core as one number, the budget: how many of ours there may be, the monitoring
 * connection among them.
 *
 *   budget = max_connections - reserved - others - head-room (a twentieth of what is not reserved, one at least)
 *
 * Between two readings things happen that nobody sees. A server of ours that is born or dies meanwhile may be taken for another's,
 * which makes the budget too small for one interval, never too large. A reading that is older than three intervals is believed
 * no more: then there is no budget, as without a monitor.
 *
 * Backends that we own no more (L24): the core goes on counting a server whose link was cut. When its backend is still there, it is
 * an orphan; when it is not, the core is told that its end is proven, long before server_orphan_timeout. A backend that was ours in
 * an earlier reading, and now is neither counted nor gone for two readings, is an orphan too, and counts among the others.
 *
 * Where our process ids are not PostgreSQL's (another pooler stands between), none of this can be known: that is noticed, and
 * nothing is concluded. */
#include "serve/ears.h"
#include "serve/watch.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"

#define UNSEEN_PROVES  2
#define PAST_MAX       16384
#define BELIEVED_LEAST (15 * SECOND_US)

/* ---- what the core is told ---- */

time_us reckoning_stale_at(const struct watch *watch)
{
	time_us limit = 3 * watch->line.worker->config->monitor_interval;

	if (watch->read_at == 0)
		return 0;
	return watch->read_at + (limit > BELIEVED_LEAST ? limit : BELIEVED_LEAST);
}

int64_t reckoning_usable(const struct watch *watch)
{
	return (int64_t)watch->last.connections_max - watch->last.reserved;
}

/* Those of pools with several hosts that have a place here count as ours; those that have none, since their database had one host when they
 * were dialed, are as good as others. */
static int64_t without_place(const struct watch *watch)
{
	struct house *house = watch->line.worker->house;
	struct instance_picture picture = { 0 };

	lock_take(house->lock);
	check(core_instance_picture(house->core, watch->instance, &picture));
	lock_drop(house->lock);
	return watch->counted.elsewhere > picture.visitors ? watch->counted.elsewhere - picture.visitors : 0;
}

static int64_t budget(const struct watch *watch)
{
	int64_t room = reckoning_usable(watch), others = (int64_t)watch->counted.others + without_place(watch);
	int64_t head_room = room / 20 > 1 ? room / 20 : 1;

	if (!watch->line.worker->config->server_budget || !watch->on ||
		watch->line.worker->now >= reckoning_stale_at(watch) || watch->between ||
		!monitor_knows(&watch->last, MONITOR_SETTINGS))
		return BUDGET_UNKNOWN;
	room -= others + head_room;
	return room > 0 ? room : 0;
}

void reckoning_tell(struct watch *watch)
{
	struct event event = {
		.kind = EVENT_BUDGET,
		.now = watch->line.worker->now,
		.worker = watch->line.worker->index,
		.instance = watch->instance,
		.budget = budget(watch),
		.aside = (watch->line.stream != NULL) + ears_at(watch->line.worker, watch->host, watch->line.port),
	};

	worker_step(watch->line.worker, &event);
}

/* ---- whose backends they are ---- */

static int by_process(const void *a, const void *b)
{
	uint32_t x = ((const struct owned *)a)->process_id, y = ((const struct owned *)b)->process_id;

	return (x > y) - (x < y);
}

static int past_by_process(const void *a, const void *b)
{
	uint32_t x = ((const struct past *)a)->process_id, y = ((const struct past *)b)->process_id;

	return (x > y) - (x < y);
}

/* Which servers the core counts, taken when the first row is there: what ended before the question was read is not among them. */
bool reckoning_begin(struct watch *watch)
{
	struct house *house = watch->line.worker->house;
	struct totals_picture totals;
	struct server_picture picture;
	uint32_t slot = 0;
	server_id id;

	lock_take(house->lock);
	core_totals(house->core, &totals);
	watch->owned = calloc((size_t)totals.servers + 1, sizeof *watch->owned);
	while (watch->owned && watch->owned_count < totals.servers) {
		id = core_server_next(house->core, &slot);
		if (handle_none(id))
			break;
		if (!core_server_picture(house->core, id, &picture) || picture.process_id == 0 ||
			(picture.instance != watch->instance && picture.instance != NO_INSTANCE))
			continue;
		watch->owned[watch->owned_count++] = (struct owned){
			.process_id = picture.process_id,
			.id = id,
			.pool = picture.pool,
			.state = picture.state,
			.born = picture.born,
			.since = picture.since,
			.elsewhere = picture.instance == NO_INSTANCE,
		};
	}
	lock_drop(house->lock);
	if (!watch->owned)
		return false;
	qsort(watch->owned, watch->owned_count, sizeof *watch->owned, by_process);
	return true;
}

/* Process ids of several PostgreSQL servers may be the same; then the names tell. */
static bool is_of_pool(const struct watch *watch, const struct owned *owned, const struct monitor_backend *backend)
{
	const struct pool_view *view = pool_view(watch->line.worker, owned->pool);
	const char *database = view && view->database && view->database->dbname ? view->database->dbname
		: view                                                          ? view->database_name
										: "";

	return !owned->elsewhere ||
		(view && strncmp(view->user, backend->user, MONITOR_NAME - 1) == 0 &&
			strncmp(database, backend->database, MONITOR_NAME - 1) == 0);
}

static struct owned *owner_of(struct watch *watch, const struct monitor_backend *backend)
{
	struct owned key = { .process_id = backend->process_id };
	struct owned *found = bsearch(&key, watch->owned, watch->owned_count, sizeof key, by_process);

	/* The search finds one of several; the first is at the front. */
	while (found && found > watch->owned && found[-1].process_id == backend->process_id)
		found--;
	for (; found && found < watch->owned + watch->owned_count && found->process_id == backend->process_id;
		found++) {
		/* A backend that is younger than the cut of its link only has the same number. */
		if (found->state == SERVER_ORPHANED && backend->age >= 0 &&
			backend->age < watch->asked_at - found->since)
			continue;
		if (is_of_pool(watch, found, backend))
			return found;
	}
	return NULL;
}

static void remember(struct watch *watch, const struct monitor_backend *backend, unsigned strange)
{
	struct pasts *next = &watch->next;
	size_t capacity = next->capacity ? next->capacity * 2 : 64;
	struct past *grown;

	if (next->count == PAST_MAX)
		return;
	if (next->count == next->capacity) {
		grown = realloc(next->list, capacity * sizeof *grown);
		if (!grown)
			return; /* then it is nobody's in the next reading */
		next->list = grown;
		next->capacity = capacity;
	}
	next->list[next->count++] = (struct past){ backend->process_id, strange, backend->started };
}

static void add_to_group(struct tally *tally, const struct monitor_backend *backend)
{
	struct group *group = tally->groups;

	while (group < tally->groups + tally->group_count &&
		(strcmp(group->user, backend->user) != 0 || strcmp(group->application, backend->application) != 0))
		group++;
	if (group == tally->groups + tally->group_count) {
		if (tally->group_count < GROUPS) {
			tally->group_count++;
			text_copy(group->user, sizeof group->user, backend->user);
			text_copy(group->application, sizeof group->application, backend->application);
		} else {
			group = &tally->groups[GROUPS];
		}
	}
	group->count++;
}

void reckoning_add(struct watch *watch)
{
	const struct monitor_backend *backend = &watch->reading.backend;
	struct past key = { .process_id = backend->process_id }, *past = NULL;
	struct owned *owned = owner_of(watch, backend);
	struct tally *tally = &watch->tally;

	if (backend->process_id == watch->line.process_id ||
		ears_has(watch->line.worker, watch->host, watch->line.port, backend->process_id)) {
		tally->self++;
		return;
	}
	if (owned) {
		owned->seen = true;
		tally->ours += !owned->elsewhere;
		tally->elsewhere += owned->elsewhere;
		tally->orphans += owned->state == SERVER_ORPHANED;
		remember(watch, backend, 0);
		return;
	}
	if (watch->past.count > 0)
		past = bsearch(&key, watch->past.list, watch->past.count, sizeof key, past_by_process);
	if (past && past->started == backend->started) {
		tally->orphans += past->strange > 0;
		remember(watch, backend, past->strange + 1);
	}
	tally->others++;
	add_to_group(tally, backend);
}

/* Servers of ours that should have been among the backends, those that were, and those of which no reading has shown that theirs is the process id
 * of a backend: one that was there once may have lost its machine without a word. */
static void count_live(const struct watch *watch, uint32_t *expected, uint32_t *seen, uint32_t *strange)
{
	*expected = *seen = *strange = 0;
	for (size_t i = 0; i < watch->owned_count; i++) {
		const struct owned *owned = &watch->owned[i];

		if (owned->elsewhere || owned->born >= watch->asked_at ||
			(owned->state != SERVER_IDLE && owned->state != SERVER_LENT && owned->state != SERVER_CLEANING))
			continue;
		*expected += 1;
		*seen += owned->seen;
		*strange += owned->born >= watch->all_seen_at;
	}
}

/* The backends behind links that were cut are not there any more: their places are free. */
static void prove_ends(struct watch *watch)
{
	for (size_t i = 0; i < watch->owned_count; i++) {
		const struct owned *owned = &watch->owned[i];
		struct event event = {
			.kind = EVENT_SERVER_LOST,
			.now = watch->line.worker->now,
			.worker = watch->line.worker->index,
			.server = owned->id,
			.proven = true,
		};

		if (owned->state != SERVER_ORPHANED || owned->seen || owned->elsewhere ||
			owned->since >= watch->asked_at)
			continue;
		log_line(LOG_DEBUG, "monitor of %s:%u: backend %u of a link that was cut is gone", watch->host,
			watch->line.port, owned->process_id);
		worker_step(watch->line.worker, &event);
	}
}

void reckoning_end(struct watch *watch)
{
	struct pasts swapped = watch->past;
	uint32_t expected, seen, strange;

	watch->last = watch->reading;
	watch->read_at = watch->asked_at;
	if (monitor_knows(&watch->last, MONITOR_BACKENDS)) {
		count_live(watch, &expected, &seen, &strange);
		/* Those that were expected may just have ended, all of them: where ours were seen before, one reading proves nothing. */
		watch->unseen = strange > 0 && seen == 0 ? watch->unseen + 1 : 0;
		watch->matched = seen > 0 || (watch->matched && watch->unseen < UNSEEN_PROVES);
		watch->between = watch->unseen > 0 && !watch->matched;
		watch->counted = watch->tally;
		watch->past = watch->next;
		watch->next = swapped;
		if (watch->past.count > 0)
			qsort(watch->past.list, watch->past.count, sizeof *watch->past.list, past_by_process);
		if (watch->matched && seen == expected)
			prove_ends(watch);
		if (seen > 0 && seen == expected)
			watch->all_seen_at = watch->asked_at;
	} else {
		watch->counted = (struct tally){ 0 };
	}
	reckoning_drop(watch);
}

void reckoning_drop(struct watch *watch)
{
	free(watch->owned);
	watch->owned = NULL;
	watch->owned_count = 0;
}
