/* The tables that only we have: who leaks, who our clients are, and what is lent. Times are in seconds with a fraction where they are
 * durations; NULL is what does not apply. */
#include "base/check.h"
#include "base/text.h"
#include "view/table.h"

static void put_decimal(struct writer *w, double value)
{
	char text[40];

	text_format(text, sizeof text, "%.3f", value);
	put_bytes(w, text);
}

static void put_duration(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_decimal(w, (double)*(const time_us *)member(row, offset) / (double)SECOND_US);
}

static void put_duration_or_null(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	if (*(const time_us *)member(row, offset) > 0)
		put_duration(w, row, offset, show);
	else
		put_null(w);
}

static void put_wall_or_null(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	if (*(const time_us *)member(row, offset) > 0)
		put_wall(w, row, offset, show);
	else
		put_null(w);
}

static void put_double(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)show;
	put_decimal(w, *(const double *)member(row, offset));
}

/* clang-format off */
static const struct column leak_columns[] = {
	{ "id", INT4 }, { "pattern", TEXT }, { "name", TEXT }, { "family", TEXT }, { "confidence", INT4 },
	{ "severity", TEXT }, { "user", TEXT }, { "database", TEXT }, { "application_name", TEXT }, { "address", TEXT },
	{ "origin", INT4 }, { "evidence", TEXT }, { "clients", INT4 }, { "servers", INT4 }, { "oldest", NUMERIC },
	{ "growth_per_minute", NUMERIC }, { "exhausted_in", NUMERIC }, { "since", TEXT }, { "ended", TEXT },
	{ "route", TEXT }, { "statement", TEXT }, { "cure", TEXT },
};
#define L(put, member) { put, offsetof(struct leak_row, member) }
static const struct field leak_fields[] = {
	L(put_u32, id), L(put_text, pattern), L(put_text, name), L(put_text, family), L(put_u32, confidence),
	L(put_text, severity), L(put_text, user), L(put_text, database), L(put_text, application_name), L(put_text, address),
	L(put_u32, origin), L(put_text, evidence), L(put_u32, clients), L(put_u32, servers), L(put_duration, oldest),
	L(put_double, growth), L(put_duration_or_null, exhausted_in), L(put_wall, since_wall), L(put_wall_or_null, ended_wall),
	L(put_text_or_null, route), L(put_text_or_null, statement), L(put_text, cure),
};

static const struct column origin_columns[] = {
	{ "id", INT4 }, { "user", TEXT }, { "database", TEXT }, { "application_name", TEXT }, { "address", TEXT },
	{ "driver", TEXT }, { "process", TEXT }, { "process_id", INT4 }, { "clients", INT4 }, { "parked", INT4 },
	{ "waiting", INT4 }, { "lent", INT4 }, { "quiet", INT4 }, { "silent", INT4 }, { "once", INT4 },
	{ "in_transaction", INT4 }, { "holding", INT4 }, { "unread", INT4 }, { "logins", INT8 }, { "logouts", INT8 },
	{ "logins_while_quiet", INT8 }, { "reused", INT8 }, { "transactions", INT8 }, { "cancels", INT8 },
	{ "abandoned", INT8 }, { "dead_peers", INT8 }, { "executing_time", NUMERIC }, { "in_transaction_time", NUMERIC },
	{ "oldest_quiet", NUMERIC }, { "oldest_hold", NUMERIC }, { "median_rest", NUMERIC }, { "median_life", NUMERIC },
	{ "route", TEXT }, { "statement", TEXT }, { "protected", TEXT }, { "weight", INT4 },
	{ "parked_time", NUMERIC }, { "waiting_time", NUMERIC }, { "sending_time", NUMERIC }, { "received", INT8 }, { "sent", INT8 },
	{ "at_door", INT4 },
};
#define O(put, member) { put, offsetof(struct origin_row, member) }
static const struct field origin_fields[] = {
	O(put_u32, id), O(put_text, user), O(put_text, database), O(put_text, application_name), O(put_text, address),
	O(put_text, driver), O(put_text_or_null, process), O(put_u32, process_id), O(put_u32, clients), O(put_u32, parked),
	O(put_u32, waiting), O(put_u32, lent), O(put_u32, quiet), O(put_u32, silent), O(put_u32, once),
	O(put_u32, in_block), O(put_u32, holding), O(put_u32, unread), O(put_u64, logins), O(put_u64, logouts),
	O(put_u64, logins_while_quiet), O(put_u64, reused), O(put_u64, transactions), O(put_u64, cancels),
	O(put_u64, abandoned), O(put_u64, dead_peers), O(put_duration, executing_time), O(put_duration, in_block_time),
	O(put_duration, oldest_quiet), O(put_duration, oldest_hold), O(put_duration_or_null, median_rest), O(put_duration_or_null, median_life),
	O(put_text_or_null, route), O(put_text_or_null, statement), O(put_yes_no, is_protected), O(put_u32, weight),
	O(put_duration, parked_time), O(put_duration, waiting_time), O(put_duration, sending_time), O(put_u64, received), O(put_u64, sent),
	O(put_u32, at_door),
};

static const struct column breakdown_columns[] = {
	{ "origin", INT4 }, { "user", TEXT }, { "database", TEXT }, { "application_name", TEXT }, { "address", TEXT },
	{ "by", TEXT }, { "value", TEXT }, { "clients", INT4 }, { "quiet", INT4 }, { "in_transaction", INT4 }, { "holding", INT4 },
	{ "transactions", INT8 }, { "executing_time", NUMERIC }, { "in_transaction_time", NUMERIC },
	{ "oldest_quiet", NUMERIC }, { "oldest_hold", NUMERIC }, { "trace_id", TEXT },
};
#define B(put, member) { put, offsetof(struct breakdown_row, member) }
static const struct field breakdown_fields[] = {
	B(put_u32, origin), B(put_text, user), B(put_text, database), B(put_text, application_name), B(put_text, address),
	B(put_text, by), B(put_text, value), B(put_u32, clients), B(put_u32, quiet), B(put_u32, in_block), B(put_u32, holding),
	B(put_u64, transactions), B(put_duration, executing_time), B(put_duration, in_block_time),
	B(put_duration_or_null, oldest_quiet), B(put_duration_or_null, oldest_hold), B(put_text_or_null, trace),
};

static const struct column lease_columns[] = {
	{ "client", INT4 }, { "server", INT4 }, { "user", TEXT }, { "database", TEXT }, { "application_name", TEXT },
	{ "addr", TEXT }, { "port", INT4 }, { "origin", INT4 }, { "remote_pid", INT4 }, { "state", TEXT },
	{ "age", NUMERIC }, { "in_state", NUMERIC }, { "transaction_age", NUMERIC }, { "waiting", INT4 },
	{ "first_statement", TEXT }, { "statement", TEXT }, { "route", TEXT }, { "trace_id", TEXT }, { "pin", TEXT },
	{ "waiters", TEXT },
};
#define E(put, member) { put, offsetof(struct lease_row, member) }
static const struct field lease_fields[] = {
	E(put_u64, client), E(put_u64, server), E(put_text, who.user), E(put_text, who.database), E(put_text, who.application_name),
	E(put_text, who.address), E(put_int, who.port), E(put_u32, who.origin), E(put_u32, server_process_id), E(put_text, state),
	E(put_duration, age), E(put_duration, in_state), E(put_duration_or_null, transaction_age), E(put_u32, waiting),
	E(put_text_or_null, first), E(put_text_or_null, statement), E(put_text_or_null, route), E(put_text_or_null, trace), E(put_text_or_null, pin),
	E(put_text_or_null, waiters),
};

static const struct column pin_columns[] = {
	{ "client", INT4 }, { "server", INT4 }, { "user", TEXT }, { "database", TEXT }, { "application_name", TEXT },
	{ "origin", INT4 }, { "reason", TEXT }, { "age", NUMERIC }, { "statement", TEXT },
};
static const struct field pin_fields[] = {
	E(put_u64, client), E(put_u64, server), E(put_text, who.user), E(put_text, who.database), E(put_text, who.application_name),
	E(put_u32, who.origin), E(put_text, pin), E(put_duration, age), E(put_text_or_null, pin_statement),
};

static const struct column ledger_columns[] = {
	{ "client", INT4 }, { "user", TEXT }, { "database", TEXT }, { "application_name", TEXT }, { "addr", TEXT },
	{ "port", INT4 }, { "origin", INT4 }, { "state", TEXT }, { "connect_time", TEXT }, { "age", NUMERIC },
	{ "rest", NUMERIC }, { "bursts", INT4 }, { "transactions", INT4 }, { "waiting_time", NUMERIC },
	{ "executing_time", NUMERIC }, { "in_transaction_time", NUMERIC }, { "sending_time", NUMERIC },
	{ "received", INT8 }, { "sent", INT8 }, { "first_statement", TEXT }, { "last_statement", TEXT }, { "no_reap", TEXT },
	{ "parked_time", NUMERIC },
};
#define G(put, member) { put, offsetof(struct ledger_row, member) }
static const struct field ledger_fields[] = {
	G(put_u64, client), G(put_text, who.user), G(put_text, who.database), G(put_text, who.application_name), G(put_text, who.address),
	G(put_int, who.port), G(put_u32, who.origin), G(put_text, state), G(put_wall, connected_wall), G(put_duration, age),
	G(put_duration_or_null, rest), G(put_u32, bursts), G(put_u32, transactions), G(put_duration, waited),
	G(put_duration, executing), G(put_duration, in_block), G(put_duration, sending),
	G(put_u64, received), G(put_u64, sent), G(put_text_or_null, first), G(put_text_or_null, last), G(put_yes_no, no_reap),
	G(put_duration, parked),
};

static const struct column reap_columns[] = {
	{ "at", TEXT }, { "client", INT4 }, { "origin", INT4 }, { "pattern", TEXT }, { "user", TEXT }, { "database", TEXT },
	{ "application_name", TEXT }, { "addr", TEXT }, { "port", INT4 }, { "idle", NUMERIC }, { "outcome", TEXT },
	{ "reason", TEXT }, { "by_hand", TEXT }, { "statement", TEXT },
};
#define R(put, member) { put, offsetof(struct reap_row, member) }
static const struct field reap_fields[] = {
	R(put_wall, wall), R(put_u32, client), R(put_u32, who.origin), R(put_text_or_null, pattern), R(put_text, who.user), R(put_text, who.database),
	R(put_text, who.application_name), R(put_text, who.address), R(put_int, who.port), R(put_duration, idle), R(put_text, outcome),
	R(put_text, reason), R(put_yes_no, by_hand), R(put_text_or_null, statement),
};
/* clang-format on */

static bool lease_is_pinned(const void *row)
{
	return ((const struct lease_row *)row)->pin[0] != 0;
}

static const struct source leaks = { LIST(leaks, leak_count), .fields = leak_fields };
static const struct source origins = { LIST(origins, origin_count), .fields = origin_fields };
static const struct source breakdowns = { LIST(breakdowns, breakdown_count), .fields = breakdown_fields };
static const struct source leases = { LIST(leases, lease_count), .fields = lease_fields };
static const struct source pins = { LIST(leases, lease_count), .fields = pin_fields, .shown = lease_is_pinned };

static const struct source ledger = { LIST(ledger, ledger_count), .fields = ledger_fields };
static const struct source reaps = { LIST(reaps, reap_count), .fields = reap_fields };

static const struct show shows[] = {
	{ "breakdowns", PART_LEAKS, COLUMNS(breakdown_columns), .sources = { &breakdowns } },
	{ "leaks", PART_LEAKS, COLUMNS(leak_columns), .sources = { &leaks } },
	{ "leases", PART_LEASES | PART_POOLS, COLUMNS(lease_columns), .sources = { &leases } },
	{ "ledger", PART_LEDGER, COLUMNS(ledger_columns), .sources = { &ledger } },
	{ "origins", PART_LEAKS, COLUMNS(origin_columns), .sources = { &origins } },
	{ "pins", PART_LEASES | PART_POOLS, COLUMNS(pin_columns), .sources = { &pins } },
	{ "reaps", PART_LEAKS, COLUMNS(reap_columns), .sources = { &reaps } },
};
const struct show_list leak_shows = SHOWS(shows);

FILLS(leak_fields, leak_columns);
FILLS(origin_fields, origin_columns);
FILLS(breakdown_fields, breakdown_columns);
FILLS(lease_fields, lease_columns);
FILLS(pin_fields, pin_columns);
FILLS(ledger_fields, ledger_columns);
FILLS(reap_fields, reap_columns);
