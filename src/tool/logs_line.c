#include "tool/logs_line.h"

#include <jansson.h>

#include "base/text.h"
#include "tool/logs_errors.h"

/* Whose line it is, is told by what stands where, in this order:
 *
 *     {"timestamp": ..., "error_severity": ...}         PostgreSQL's jsonlog
 *     TIME,"user","db",...                              PostgreSQL's csvlog
 *     TIME [pid] WARNING C-0x5f: db/user@addr:port ...  PgBouncer; pgweir has C-0.1.2
 *     ANYTHING FATAL:  ...                              PostgreSQL's stderr, with any log_line_prefix
 *     ... psycopg2.OperationalError: ...                Django and psycopg
 *     ... error: ..., ... failed: ...                   another application, where the table knows the words
 *
 * A quoted STATEMENT or DETAIL is never looked at, or a query that mentions an error would be one. */

const char *const logs_source_names[LOGS_SOURCES] = { "PostgreSQL", "PgBouncer", "pgweir", "Django/psycopg",
	"application" };

static struct span find(struct span text, const char *word)
{
	const uint8_t *at = memmem(text.at, text.length, word, strlen(word));

	return at ? span_skip(text, (size_t)(at - text.at)) : span_of(text.at, 0);
}

/* Up to one of these letters. */
static struct span until(struct span text, const char *letters)
{
	size_t n = 0;

	while (n < text.length && (text.at[n] == 0 || !strchr(letters, text.at[n])))
		n++;
	return span_of(text.at, n);
}

static struct span named(struct span value)
{
	return span_is(value, "[unknown]") || span_is(value, "(nodb)") || span_is(value, "(nouser)")
		? span_of(value.at, 0)
		: value;
}

/* What stands in quotes behind this word: user "app". */
static void take_quoted(struct span text, const char *word, struct span *out)
{
	struct span found = find(text, word);

	if (out->length == 0 && found.length > 0)
		*out = until(span_skip(found, strlen(word)), "\"");
}

/* An address without its port: 10.0.0.7(5123), 10.0.0.7:5123, [::1]:5123, unix(77):5432. */
static struct span without_port(struct span address)
{
	if (span_begins(address, "["))
		return until(span_skip(address, 1), "]");
	address = until(address, "(");
	for (size_t i = address.length; i > 0; i--) {
		if (address.at[i - 1] == ':') {
			/* Two colons: an IPv6 address as PostgreSQL writes it, which has no port. */
			return memchr(address.at, ':', i - 1) ? address : span_of(address.at, i - 1);
		}
	}
	return address;
}

/* ------------------------------------------------------------------------------- the message */

/* Look the message up, and again behind each thing that may stand before it; the innermost that is known is what happened. */
static void classify(struct logs_line *line)
{
	static const char *const before[] = { "pooler error: ", "closing because: ",
		"server login has been failing, cached error: ", "server login failed: ", "login failed: ",
		"connection failed: ", "connection is bad: ", "could not connect to server: ", "FATAL:", "ERROR:",
		"PANIC:", "FATAL ", "ERROR ", "error: " };
	struct span text = text_trim(line->text);
	bool more = true;

	line->error = -1;
	while (more) {
		int row = logs_error_find(text);

		if (row >= 0)
			line->error = row;
		more = false;
		if (span_begins(text, "connection to server ")) {
			struct span failed = find(text, " failed: ");

			if (failed.length > 0) {
				text = text_trim(span_skip(failed, 9));
				more = true;
			}
		}
		for (size_t i = 0; !more && i < sizeof before / sizeof before[0]; i++) {
			if (span_begins(text, before[i])) {
				text = text_trim(span_skip(text, strlen(before[i])));
				more = true;
			}
		}
	}
	line->text = text;
	take_quoted(text, "user \"", &line->user);
	take_quoted(text, "role \"", &line->user);
	take_quoted(text, "database \"", &line->database);
	take_quoted(text, "host \"", &line->address);
}

enum severity { SEVERITY_NONE, SEVERITY_DETAIL, SEVERITY_PLAIN, SEVERITY_SEVERE };

static const struct {
	const char *word;
	enum severity severity;
} severities[] = { { "FATAL", SEVERITY_SEVERE }, { "PANIC", SEVERITY_SEVERE }, { "ERROR", SEVERITY_PLAIN },
	{ "LOG", SEVERITY_PLAIN }, { "WARNING", SEVERITY_PLAIN }, { "NOTICE", SEVERITY_DETAIL },
	{ "INFO", SEVERITY_DETAIL }, { "DETAIL", SEVERITY_DETAIL }, { "HINT", SEVERITY_DETAIL },
	{ "STATEMENT", SEVERITY_DETAIL }, { "CONTEXT", SEVERITY_DETAIL }, { "QUERY", SEVERITY_DETAIL },
	{ "LOCATION", SEVERITY_DETAIL }, { "DEBUG", SEVERITY_DETAIL } };

static enum severity severity_of(struct span word)
{
	for (size_t i = 0; i < sizeof severities / sizeof severities[0]; i++) {
		if (span_is(word, severities[i].word))
			return severities[i].severity;
	}
	return SEVERITY_NONE;
}

/* A message of PostgreSQL's. With log_statement every statement is one, and none of those is looked at. */
static void take_postgres(struct logs_line *line, enum severity severity, struct span message)
{
	line->source = LOGS_POSTGRESQL;
	line->severe = severity == SEVERITY_SEVERE;
	line->address = without_port(line->address);
	if (severity < SEVERITY_PLAIN || span_begins(message, "duration: ") || span_begins(message, "statement: ") ||
		span_begins(message, "execute "))
		return;
	line->text = message;
	classify(line);
}

/* ------------------------------------------------------------------------ jsonlog and csvlog */

static struct span json_word(const json_t *object, const char *key, char **room)
{
	const json_t *value = json_object_get(object, key);
	size_t length = value && json_is_string(value) ? json_string_length(value) : 0;
	struct span out = span_of(*room, length);

	/* What an escape stands for is never longer than the escape: the line has room. */
	if (length > 0)
		memcpy(*room, json_string_value(value), length);
	*room += length;
	return out;
}

static bool read_json(char *text, size_t length, struct logs_line *line)
{
	json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	enum severity severity;
	struct span time, message;

	if (!json_is_object(object) || !json_is_string(json_object_get(object, "error_severity"))) {
		json_decref(object);
		return false;
	}
	time = json_word(object, "timestamp", &text);
	severity = severity_of(json_word(object, "error_severity", &text));
	line->timed = logs_time_find(time, 0, &line->when);
	line->user = json_word(object, "user", &text);
	line->database = json_word(object, "dbname", &text);
	line->address = named(json_word(object, "remote_host", &text));
	line->application = named(json_word(object, "application_name", &text));
	message = json_word(object, "message", &text);
	json_decref(object);
	take_postgres(line, severity, message);
	return true;
}

/* Nothing but a time stands before the first comma: a message may have commas too. */
bool logs_line_is_csv(struct span line)
{
	struct span first = until(line, ",");
	size_t spaces = 0;
	time_us when;

	for (size_t i = 0; i < first.length && first.length < 40; i++)
		spaces += first.at[i] == ' ';
	return line.length > 24 && line.at[4] == '-' && line.at[10] == ' ' && first.length < 40 &&
		first.length < line.length && spaces == 2 && logs_time_find(first, 0, &when);
}

bool logs_line_is_open(struct span line)
{
	bool open = false;

	for (size_t i = 0; i < line.length; i++)
		open ^= line.at[i] == '"';
	return open;
}

/* The next field, its quotes resolved in place. False: there is none. */
static bool csv_field(char **at, const char *end, struct span *field)
{
	char *out = *at, *from = *at;

	if (from >= end)
		return false;
	if (*from != '"') {
		char *comma = memchr(from, ',', (size_t)(end - from));

		*field = span_of(from, (size_t)((comma ? comma : end) - from));
		*at = comma ? comma + 1 : (char *)end;
		return true;
	}
	*field = span_of(out, 0);
	for (from++; from < end; from++) {
		if (*from == '"' && (from + 1 >= end || from[1] != '"'))
			break;
		if (*from == '"')
			from++;
		*out++ = *from;
	}
	field->length = (size_t)((const uint8_t *)out - field->at);
	*at = from + 2 < end ? from + 2 : (char *)end; /* the quote and the comma */
	return true;
}

/* The columns are those of "Using CSV-Format Log Output" in PostgreSQL's manual. */
static void read_csv(char *text, size_t length, struct logs_line *line)
{
	enum {
		TIME = 0,
		USER = 1,
		DATABASE = 2,
		FROM = 4,
		SEVERITY = 11,
		MESSAGE = 13,
		APPLICATION = 22,
		COLUMNS = 23
	};
	struct span fields[COLUMNS] = { 0 };
	char *at = text;

	for (int i = 0; i < COLUMNS && csv_field(&at, text + length, &fields[i]); i++)
		;
	line->timed = logs_time_find(fields[TIME], 0, &line->when);
	line->user = fields[USER];
	line->database = fields[DATABASE];
	line->address = named(fields[FROM]);
	line->application = named(fields[APPLICATION]);
	take_postgres(line, severity_of(fields[SEVERITY]), fields[MESSAGE]);
}

/* -------------------------------------------------------------------------- stderr of PostgreSQL */

/* key=value of a prefix: user=app,db=shop,app=web,client=10.0.0.7 */
static bool take_pair(struct span word, struct logs_line *line)
{
	struct span key = until(word, "="), value;

	if (key.length == word.length)
		return false;
	value = named(span_skip(word, key.length + 1));
	if (span_is(key, "user") || span_is(key, "usr") || span_is(key, "u"))
		line->user = value;
	else if (span_is(key, "db") || span_is(key, "database") || span_is(key, "d"))
		line->database = value;
	else if (span_is(key, "app") || span_is(key, "application_name") || span_is(key, "application") ||
		span_is(key, "a"))
		line->application = value;
	else if (span_is(key, "client") || span_is(key, "host") || span_is(key, "remote") || span_is(key, "h"))
		line->address = value;
	return true;
}

/* What a log_line_prefix tells beside the time: pairs, or user@database. */
static void take_prefix(struct span prefix, struct logs_line *line)
{
	while (prefix.length > 0) {
		struct span word = until(prefix, " ,");

		if (word.length > 0 && !take_pair(word, line)) {
			struct span user = until(word, "@");

			if (user.length > 0 && user.length < word.length && line->user.length == 0) {
				line->user = named(user);
				line->database = named(until(span_skip(word, user.length + 1), "@:/"));
			}
		}
		prefix = span_skip(prefix, word.length < prefix.length ? word.length + 1 : word.length);
	}
}

/* The first "SEVERITY:  " and what stands before it. */
static enum severity find_severity(struct span text, struct span *prefix, struct span *message)
{
	struct span rest = text;

	while ((rest = find(rest, ":  ")).length > 0) {
		size_t end = (size_t)(rest.at - text.at), begin = end;
		enum severity severity;

		while (begin > 0 && text.at[begin - 1] >= 'A' && text.at[begin - 1] <= 'Z')
			begin--;
		severity = severity_of(span_of(text.at + begin, end - begin));
		if (severity != SEVERITY_NONE) {
			*prefix = span_of(text.at, begin);
			*message = span_skip(rest, 3);
			return severity;
		}
		rest = span_skip(rest, 3);
	}
	return SEVERITY_NONE;
}

/* ---------------------------------------------------------------------------------- poolers */

/* TIME ZONE [pid] LEVEL text. False: it is none. */
static bool read_pooler(struct span text, struct logs_line *line)
{
	struct span rest, who, database;
	uint8_t side;

	if (!line->timed || text.length < 24 || text.at[4] != '-' || (rest = find(text, " [")).length == 0 ||
		rest.at - text.at > 40 || (rest = find(rest, "] ")).length == 0)
		return false;
	rest = span_skip(rest, 2);
	who = until(rest, " :");
	if (who.length == rest.length || rest.at[who.length] != ' ' ||
		(severity_of(who) == SEVERITY_NONE && !span_is(who, "NOISE")))
		return false;
	rest = span_skip(rest, who.length + 1);
	line->source = span_begins(rest, "C-0x") || span_begins(rest, "S-0x") ? LOGS_PGBOUNCER : LOGS_PGWEIR;
	if (!span_begins(rest, "C-") && !span_begins(rest, "S-")) {
		/* Nothing of one connection; the two write alike. */
		line->source = LOGS_PGBOUNCER;
		line->text = rest;
		classify(line);
		return true;
	}
	side = rest.at[0];
	line->connection = until(rest, " ");
	rest = span_skip(rest, line->connection.length);
	who = until(text_trim(rest), " ");
	database = until(who, "/");
	line->database = named(database);
	if (database.length < who.length) {
		struct span login = span_skip(who, database.length + 1), user = until(login, "@");
		struct span address = span_skip(login, user.length);

		line->user = named(user);
		address = address.length > 0 ? span_skip(address, 1) : address;
		/* Of a server it is PostgreSQL's address, of which there is one. */
		line->address = side == 'C' ? without_port(address) : span_of(address.at, 0);
	}
	line->text = text_trim(span_skip(rest, (size_t)(who.at - rest.at) + who.length));
	line->severe = span_begins(line->text, "pooler error: ");
	if (span_begins(line->text, "login attempt: "))
		line->text = span_of(line->text.at, 0);
	classify(line);
	return true;
}

/* ----------------------------------------------------------------------------- applications */

/* Where a driver's message may begin. `quoted`: the words themselves belong to it. */
static const struct {
	const char *word;
	bool quoted, python;
} markers[] = { { "OperationalError: ", false, true }, { "InterfaceError: ", false, true },
	{ "PoolTimeout: ", false, true }, { "Error: ", false, false }, { "Exception: ", false, false },
	{ "error: ", false, false }, { "TimeoutError: ", false, false }, { "Error (", false, false },
	{ "PG::ConnectionBad: ", false, false }, { "PG::UnableToSend: ", false, false },
	{ "invocation: ", false, false }, { "pq: ", false, false }, { "driver: ", false, false },
	{ "connect: ", false, false }, { "connection to server ", true, true }, { "connection failed: ", true, true },
	{ "FATAL: ", true, false } };

static bool next_marker(struct span text, struct span *message, bool *python, size_t *at)
{
	size_t best = text.length + 1; /* a marker may be the last thing there is */

	for (size_t i = 0; i < sizeof markers / sizeof markers[0]; i++) {
		struct span found = find(text, markers[i].word);
		size_t position = (size_t)(found.at - text.at);

		/* The longer word stands above the shorter one that ends it. */
		if (found.length == 0 || position + (markers[i].quoted ? 0 : strlen(markers[i].word)) >= best)
			continue;
		best = position + (markers[i].quoted ? 0 : strlen(markers[i].word));
		*message = span_skip(text, best);
		*python = markers[i].python;
		*at = position + strlen(markers[i].word);
	}
	return best <= text.length;
}

static bool is_python(struct span text)
{
	return find(text, "psycopg").length > 0 || find(text, "django").length > 0 ||
		find(text, "asyncpg").length > 0 || find(text, "sqlalchemy").length > 0;
}

static void read_application(struct span text, struct logs_line *line)
{
	bool python = false, any = false, is_django = is_python(text);
	struct span rest = text, message;
	size_t at;

	for (int i = 0; i < 4 && next_marker(rest, &message, &python, &at); i++) {
		struct logs_line tried = *line;

		any |= python;
		tried.text = message;
		classify(&tried);
		if (tried.error >= 0 || (i == 0 && python)) {
			*line = tried;
			line->severe = python;
			line->source = is_django || any ? LOGS_DJANGO : LOGS_APPLICATION;
			if (tried.error >= 0)
				return;
		}
		rest = span_skip(rest, at);
	}
}

void logs_line_read(char *line, size_t length, time_us latest, struct logs_line *out)
{
	struct span text = span_of(line, length), prefix, message, ignored;
	enum severity severity;
	bool python;
	size_t at;

	*out = (struct logs_line){ .source = LOGS_APPLICATION, .error = -1 };
	if (length == 0 || line[0] == '\t')
		return;
	if (line[0] == '{' && read_json(line, length, out))
		return;
	if (logs_line_is_csv(text)) {
		read_csv(line, length, out);
		return;
	}
	out->timed = logs_time_find(text, latest, &out->when);
	if (read_pooler(text, out))
		return;
	severity = find_severity(text, &prefix, &message);
	if (severity != SEVERITY_NONE && !(prefix.length > 0 && next_marker(prefix, &ignored, &python, &at)) &&
		find(prefix, " failed: ").length == 0) {
		take_prefix(prefix, out);
		take_postgres(out, severity, message);
		return;
	}
	read_application(text, out);
}
