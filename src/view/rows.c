#include "view/rows.h"

#include "base/check.h"
#include "base/text.h"
#include "view/table.h"

/* Tables over code. A SHOW is a list of columns over one kind of row:
 *
 *   struct show      word, parts, sources ----.
 *   struct source    where the rows lie, which of them are shown, how each column is filled
 *   struct column    name, type               '-> one field per column: a function and an offset into the row
 *
 * SOCKETS has two sources under one list of columns: clients, then servers. SHOWs whose rows are no list of the snapshot (LISTS,
 * STATE, TOTALS, VERSION) make a few pairs of texts first, and those are their rows. DATABASES and MEM have rows from elsewhere.
 *
 * A field's function appends one value of a DataRow: its length and its text, or -1 for NULL. All values go as text; the types
 * only tell a driver what to make of them.
 *
 * Here are the SHOWs about the process itself, how one is found, and how it is sent; the others lie by what they are about in
 * socket_rows.c, pool_rows.c, stats_rows.c and leak_rows.c. */

/* ---- settings and memory ---- */

/* clang-format off */
static const struct column config_columns[] = {
	{ "key", TEXT }, { "value", TEXT }, { "default", TEXT }, { "changeable", TEXT },
};
static const struct field config_fields[] = {
	{ put_text, offsetof(struct config_row, key) }, { put_text, offsetof(struct config_row, value) },
	{ put_text, offsetof(struct config_row, standard) }, { put_yes_no, offsetof(struct config_row, changeable) },
};

static const struct column memory_columns[] = {
	{ "name", TEXT }, { "size", INT4 }, { "used", INT4 }, { "free", INT4 }, { "memtotal", INT4 },
};

static put_fn put_memory_total;

static const struct field memory_fields[] = {
	{ put_text, offsetof(struct memory_row, name) }, { put_u32, offsetof(struct memory_row, size) },
	{ put_u32, offsetof(struct memory_row, used) }, { put_u32, offsetof(struct memory_row, free) },
	{ put_memory_total, 0 },
};
/* clang-format on */

/* An int4, since programs read by type: more than that is said to be the most that can be said. */
static void put_memory_total(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	const struct memory_row *memory = row;
	uint64_t total = (uint64_t)memory->size * ((uint64_t)memory->used + memory->free);

	(void)offset;
	(void)show;
	put_unsigned(w, total < INT32_MAX ? total : INT32_MAX);
}

static void more_memory(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	for (size_t i = 0; i < snapshot->memory_count; i++)
		put_row(w, show, memory_fields, &snapshot->memory[i]);
}

static const struct source settings = { LIST(settings, setting_count), .fields = config_fields };

/* ---- pairs ---- */

static const struct column version_columns[] = { { "version", TEXT } };
static const struct column list_columns[] = { { "list", TEXT }, { "items", INT4 } };
static const struct column state_columns[] = { { "key", TEXT }, { "value", TEXT } };

static void pair_yes_no(struct pair *pair, const char *name, bool yes)
{
	text_copy(pair->name, sizeof pair->name, name);
	text_copy(pair->value, sizeof pair->value, yes ? "yes" : "no");
}

static size_t make_version(const struct snapshot *snapshot, const struct show *show, struct pair *pairs)
{
	(void)show;
	/* Under its name we answer what its tools expect of it: some parse this text and refuse what they do not know. */
	text_copy(pairs->name, sizeof pairs->name, snapshot->pgbouncer ? "PgBouncer 1.25.2" : snapshot->version);
	return 1;
}

/* One more than are configured: the console is a database to PgBouncer's counting, and its user and pool are one too. */
static size_t make_lists(const struct snapshot *snapshot, const struct show *show, struct pair *pairs)
{
	size_t n = 0;

	(void)show;
	pair_number(&pairs[n++], "databases", snapshot->database_count + 1);
	pair_number(&pairs[n++], "users", snapshot->user_count + snapshot->pgbouncer);
	pair_number(&pairs[n++], "peers", snapshot->peer_count);
	pair_number(&pairs[n++], "pools", snapshot->pool_count + snapshot->pgbouncer);
	pair_number(&pairs[n++], "peer_pools", snapshot->peer_pool_count);
	pair_number(&pairs[n++], "free_clients", 0);
	pair_number(&pairs[n++], "used_clients", snapshot->clients_total);
	pair_number(&pairs[n++], "login_clients", snapshot->clients_login);
	pair_number(&pairs[n++], "free_servers", 0);
	pair_number(&pairs[n++], "used_servers", snapshot->servers_total);
	pair_number(&pairs[n++], "dns_names", snapshot->dns_host_count);
	pair_number(&pairs[n++], "dns_zones", snapshot->dns_zone_count);
	pair_number(&pairs[n++], "dns_queries", snapshot->names_pending);
	pair_number(&pairs[n++], "dns_pending", 0);
	check(n <= PAIRS_MAX);
	return n;
}

static size_t make_state(const struct snapshot *snapshot, const struct show *show, struct pair *pairs)
{
	(void)show;
	pair_yes_no(&pairs[0], "active", !snapshot->paused && !snapshot->suspended);
	pair_yes_no(&pairs[1], "paused", snapshot->paused);
	pair_yes_no(&pairs[2], "suspended", snapshot->suspended);
	return 3;
}

static const struct show shows[] = {
	{ "config", 0, COLUMNS(config_columns), .sources = { &settings } },
	{ "lists", PART_POOLS, COLUMNS(list_columns), .make = make_lists },
	{ "mem", 0, COLUMNS(memory_columns), .more = more_memory },
	{ "state", 0, COLUMNS(state_columns), .make = make_state },
	{ "version", 0, COLUMNS(version_columns), .make = make_version },
};
static const struct show_list own_shows = SHOWS(shows);

FILLS(config_fields, config_columns);
FILLS(memory_fields, memory_columns);
FILLS(pair_fields, list_columns);
FILLS(pair_fields, state_columns);

/* ---- all of them ---- */

static const struct show_list *const lists[] = { &own_shows, &socket_shows, &pool_shows, &stats_shows, &leak_shows };

const struct show *show_find(const char *word)
{
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		for (size_t j = 0; j < lists[i]->count; j++)
			if (strcmp(lists[i]->shows[j].word, word) == 0)
				return &lists[i]->shows[j];
	return NULL;
}

bool rows_known(const char *what, unsigned *parts)
{
	const struct show *show = show_find(what);

	if (parts)
		*parts = show ? show->parts : 0;
	return show != NULL;
}

const char *const *rows_names(void)
{
	static const char *const names[] = { "active_sockets", "breakdowns", "budget", "clients", "config", "databases",
		"dns_hosts", "dns_zones", "help", "leaks", "leases", "ledger", "lists", "mem", "origins", "peer_pools",
		"peers", "pins", "pools", "reaps", "servers", "sockets", "state", "stats", "stats_averages",
		"stats_totals", "totals", "users", "version", NULL };

	return names;
}

/* ---- messages ---- */

static void describe(struct writer *w, const struct show *show)
{
	size_t mark = message_begin(w, 'T');

	write_u16(w, (uint16_t)columns_shown(show));
	for (size_t i = 0; i < show->column_count; i++) {
		enum type type = column_type(&show->columns[i]);

		if (!column_shown(show, i))
			continue;
		write_string(w, show->columns[i].name);
		write_u32(w, 0); /* of no table */
		write_u16(w, 0); /* and no column of it */
		write_u32(w, type);
		write_u16(w, type == INT4 ? 4 : type == INT8 ? 8 : UINT16_MAX);
		write_u32(w, UINT32_MAX); /* no modifier */
		write_u16(w, 0);          /* as text */
	}
	message_end(w, mark);
}

static void put_source(
	struct writer *w, const struct snapshot *snapshot, const struct show *show, const struct source *source)
{
	const char *rows;
	size_t count;

	memcpy(&rows, member(snapshot, source->list), sizeof rows);
	memcpy(&count, member(snapshot, source->count), sizeof count);
	for (size_t i = 0; i < count && writer_ok(w); i++) {
		const void *row = rows + i * source->size;

		if (!source->shown || source->shown(row))
			put_row(w, show, source->fields, row);
	}
}

static void answer(
	struct writer *w, const struct snapshot *snapshot, const char *what, bool without_ours, const char *tag)
{
	const struct show *found = show_find(what);
	struct show show;
	size_t mark;

	check(found != NULL);
	show = *found;
	show.without_ours = without_ours;
	describe(w, &show);
	show_rows(w, snapshot, &show);
	mark = message_begin(w, 'C');
	write_string(w, tag);
	message_end(w, mark);
}

void rows_show(struct writer *w, const struct snapshot *snapshot, const char *what)
{
	answer(w, snapshot, what, false, "SHOW");
}

void rows_show_bouncers(struct writer *w, const struct snapshot *snapshot, const char *what)
{
	answer(w, snapshot, what, true, "SHOW");
}

void rows_answer(struct writer *w, const struct snapshot *snapshot, const char *what, const char *tag)
{
	answer(w, snapshot, what, false, tag);
}

void show_rows(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	struct pair pairs[PAIRS_MAX];
	size_t count = show->make ? show->make(snapshot, show, pairs) : 0, i;

	for (i = 0; i < count; i++)
		put_row(w, show, pair_fields, &pairs[i]);
	for (i = 0; i < sizeof show->sources / sizeof *show->sources && show->sources[i]; i++)
		put_source(w, snapshot, show, show->sources[i]);
	if (show->more)
		show->more(w, snapshot, show);
}
