/* A reading of a PostgreSQL server:
 *
 *   Q settings  Q roles  Q databases  Q backends   -->
 *                                                  <--  T D C Z   T D* C Z   E Z   T D* C Z
 *
 * Whoever answers may be hostile or broken, and may have millions of rows: no message is kept, each is bounded, and so is their
 * number. Of backends only one at a time is held; the caller counts them as they come.
 *
 * The texts name everything by its schema and ask for nothing that PostgreSQL 10 does not have. A user without pg_read_all_stats
 * sees that a backend is there, whose it is and its application_name, but not what kind of backend it is or since when: then all are
 * counted that have a user and a database, parallel workers too, which is too many rather than too few. */
#include "session/monitor.h"

#include "base/check.h"
#include "base/reader.h"
#include "base/text.h"
#include "wire/frame.h"
#include "wire/message.h"

#define MESSAGE_MAX      8192
#define BACKENDS_MAX     262144 /* MAX_BACKENDS of PostgreSQL is one less */
#define CONNECTIONS_MAX  262143

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

static const char *const queries[MONITOR_PARTS] = {
	[MONITOR_SETTINGS] = "SELECT pg_catalog.current_setting('max_connections'), "
			     "pg_catalog.current_setting('superuser_reserved_connections'), "
			     "coalesce(pg_catalog.current_setting('reserved_connections', true), '0')",
	[MONITOR_ROLES] = "SELECT rolname, rolconnlimit FROM pg_catalog.pg_roles WHERE rolconnlimit >= 0 "
			  "AND rolcanlogin AND NOT rolsuper ORDER BY rolconnlimit, rolname LIMIT " TEXT_OF(
				  MONITOR_LIMITS),
	[MONITOR_DATABASES] = "SELECT datname, datconnlimit FROM pg_catalog.pg_database WHERE datconnlimit >= 0 "
			      "ORDER BY datconnlimit, datname LIMIT " TEXT_OF(MONITOR_LIMITS),
	[MONITOR_BACKENDS] =
		"SELECT pid, coalesce(usename, ''), coalesce(datname, ''), coalesce(application_name, ''), "
		"(extract(epoch FROM backend_start) * 1000000)::pg_catalog.int8, "
		"(extract(epoch FROM pg_catalog.clock_timestamp() - backend_start) * 1000000)::pg_catalog.int8 "
		"FROM pg_catalog.pg_stat_activity WHERE usesysid IS NOT NULL AND datid IS NOT NULL "
		"AND coalesce(backend_type, 'client backend') = 'client backend'",
};

static const unsigned columns[MONITOR_PARTS] = {
	[MONITOR_SETTINGS] = 3, [MONITOR_ROLES] = 2, [MONITOR_DATABASES] = 2, [MONITOR_BACKENDS] = 6
};
#define COLUMNS_MAX 6

void monitor_ask(struct writer *w, struct reading *reading)
{
	*reading = (struct reading){ 0 };
	for (unsigned part = 0; part < MONITOR_PARTS; part++)
		message_query(w, span_text(queries[part]));
}

bool monitor_knows(const struct reading *reading, enum monitor_part part)
{
	return (reading->known & 1u << (unsigned)part) != 0;
}

static enum monitor_edge broken(struct reading *reading, const char *problem)
{
	text_copy(reading->sqlstate, sizeof reading->sqlstate, SQLSTATE_PROTOCOL_VIOLATION);
	text_copy(reading->problem, sizeof reading->problem, problem);
	return MONITOR_BROKEN;
}

/* ---- values ---- */

/* How long the letter at the front is; 0: it is none. (RFC 3629, section 4.) */
static size_t letter_length(struct span text)
{
	uint8_t first = text.at[0], low = 0x80, high = 0xbf;
	size_t n = 0;

	if (first < 0x80)
		n = 1;
	else if (first >= 0xc2 && first < 0xe0)
		n = 2;
	else if (first >= 0xe0 && first < 0xf0)
		n = 3;
	else if (first >= 0xf0 && first < 0xf5)
		n = 4;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (n > text.length)
		return 0;
	for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
		if (text.at[i] < low || text.at[i] > high)
			return 0;
	return n;
}

/* A name as it may be shown: cut between letters, and everything that is no letter a question mark. */
static void take_name(char out[MONITOR_NAME], struct span text)
{
	size_t length = 0, n;

	for (; text.length > 0; text = span_skip(text, n ? n : 1)) {
		n = letter_length(text);
		if (length + (n ? n : 1) >= MONITOR_NAME)
			break;
		if (n == 0 || text.at[0] < ' ' || text.at[0] == 0x7f)
			out[length++] = '?';
		else
			for (size_t i = 0; i < n; i++)
				out[length++] = (char)text.at[i];
	}
	out[length] = '\0';
}

static bool take_number(struct span text, int64_t least, int64_t most, int64_t *out)
{
	return text_to_i64(text, out) && *out >= least && *out <= most;
}

/* ---- rows ---- */

/* A value that is NULL has no `at`. False: the row is broken, or has not as many columns as were asked for. */
static bool read_row(struct span body, unsigned count, struct span values[COLUMNS_MAX])
{
	struct reader r = reader_of(body);

	check(count <= COLUMNS_MAX);
	if (read_u16(&r) != count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		int32_t length = read_i32(&r);

		if (length < -1)
			return false;
		values[i] = length < 0 ? span_of(NULL, 0) : read_bytes(&r, (size_t)length);
	}
	return reader_done(&r);
}

static bool take_settings(struct reading *reading, const struct span values[])
{
	int64_t most, superusers, others;

	if (!take_number(values[0], 1, CONNECTIONS_MAX, &most) ||
		!take_number(values[1], 0, CONNECTIONS_MAX, &superusers) ||
		!take_number(values[2], 0, CONNECTIONS_MAX, &others))
		return false;
	reading->connections_max = (uint32_t)most;
	reading->reserved = (uint32_t)(superusers + others);
	return true;
}

static bool take_limit(struct reading *reading, const struct span values[])
{
	bool is_role = reading->part == MONITOR_ROLES;
	struct monitor_limit *limit = &reading->limits[reading->limit_count];
	int64_t most;

	if (!values[0].at || !take_number(values[1], 0, INT32_MAX, &most) ||
		reading->limit_count >= (is_role ? 1u : 2u) * MONITOR_LIMITS)
		return false;
	*limit = (struct monitor_limit){ .is_role = is_role, .max = (uint32_t)most };
	take_name(limit->name, values[0]);
	reading->limit_count++;
	return true;
}

static bool take_backend(struct reading *reading, const struct span values[])
{
	struct monitor_backend *backend = &reading->backend;
	int64_t process;

	*backend = (struct monitor_backend){ .age = -1 };
	if (!take_number(values[0], 1, INT32_MAX, &process) || reading->backends >= BACKENDS_MAX)
		return false;
	backend->process_id = (uint32_t)process;
	take_name(backend->user, values[1]);
	take_name(backend->database, values[2]);
	take_name(backend->application, values[3]);
	if (values[4].at && values[5].at) {
		/* Its clock may have been set back meanwhile: then its age is negative there, and unknown here. */
		if (!text_to_i64(values[4], &backend->started) || !text_to_i64(values[5], &backend->age))
			return false;
		if (backend->age < 0)
			backend->age = -1;
	} else {
		reading->hidden = true;
	}
	reading->backends++;
	for (size_t i = 0; i < reading->limit_count; i++) {
		struct monitor_limit *limit = &reading->limits[i];

		limit->used += strcmp(limit->name, limit->is_role ? backend->user : backend->database) == 0;
	}
	return true;
}

static enum monitor_edge take_row(struct reading *reading, struct span body)
{
	struct span values[COLUMNS_MAX];
	bool good = read_row(body, columns[reading->part], values);

	switch ((enum monitor_part)reading->part) {
	case MONITOR_SETTINGS:
		good = good && reading->connections_max == 0 && take_settings(reading, values);
		break;
	case MONITOR_ROLES:
	case MONITOR_DATABASES:
		good = good && take_limit(reading, values);
		break;
	case MONITOR_BACKENDS:
		good = good && take_backend(reading, values);
		break;
	}
	if (!good)
		return broken(reading, "the server sent a row that was not asked for");
	return reading->part == MONITOR_BACKENDS ? MONITOR_BACKEND : MONITOR_MORE;
}

/* ---- messages ---- */

static void take_error(struct reading *reading, struct span body)
{
	struct complaint_fields fields;

	reading->refused = true;
	text_copy(reading->sqlstate, sizeof reading->sqlstate, SQLSTATE_INTERNAL_ERROR);
	text_copy(reading->problem, sizeof reading->problem, "the server refused without words");
	if (!message_read_complaint(body, &fields))
		return;
	if (fields.sqlstate.length > 0)
		text_copy_span(reading->sqlstate, sizeof reading->sqlstate, fields.sqlstate);
	if (fields.message.length > 0)
		text_copy_span(reading->problem, sizeof reading->problem, fields.message);
}

static enum monitor_edge part_ends(struct reading *reading)
{
	if (!reading->refused)
		reading->known |= 1u << reading->part;
	reading->refused = false;
	reading->part++;
	return reading->part == MONITOR_PARTS ? MONITOR_READ : MONITOR_MORE;
}

static enum monitor_edge take_message(struct reading *reading, char type, struct span body)
{
	switch (type) {
	case 'D':
		return reading->refused ? broken(reading, "the server sent a row after an error")
					: take_row(reading, body);
	case 'E':
		take_error(reading, body);
		return MONITOR_MORE;
	case 'Z':
		if (reading->part == MONITOR_SETTINGS && !reading->refused && reading->connections_max == 0)
			return broken(reading, "the server did not say how many connections it takes");
		return part_ends(reading);
	case 'T':
	case 'C':
	case 'N':
	case 'S':
	case 'A':
		return MONITOR_MORE;
	default:
		return broken(reading, "the server broke the protocol");
	}
}

enum monitor_edge monitor_take(struct reading *reading, struct span bytes, size_t *used)
{
	enum monitor_edge edge = MONITOR_MORE;
	enum frame_result found;
	const char *problem;
	struct frame frame;

	*used = 0;
	while (edge == MONITOR_MORE) {
		if (reading->part == MONITOR_PARTS)
			return broken(reading, "the server spoke without being asked");
		found = frame_whole(bytes, MESSAGE_MAX, &frame, &problem);
		if (found != FRAME_HERE)
			return found == FRAME_MORE ? MONITOR_MORE : broken(reading, problem);
		edge = take_message(reading, frame.type, span_of(bytes.at + FRAME_HEADER, frame.body));
		*used += FRAME_HEADER + frame.body;
		bytes = span_skip(bytes, FRAME_HEADER + frame.body);
	}
	return edge;
}
