#include "tool/doctor_scan.h"

#include <stdlib.h>

#include "base/text.h"

/* A plain search, line by line, for words that are rarely anything else. It understands no language; so it counts and shows, and the
 * rules speak of "12 lines such as ..." and never of a proof.
 *
 * Two signs need more than a line: a statement with pg_terminate_backend is looked at whole (up to its semicolon or forty lines) for
 * the guards that make it safe, and a stress test is a whole file that opens sockets and nowhere asks the database. */

struct sign_word {
	enum code_sign sign;
	const char *word;
};

static const struct sign_word words[] = {
	{ CODE_CLOSE_OLD, "close_old_connections" },
	{ CODE_THREAD, "thread_sensitive=False" },
	{ CODE_THREAD, "asyncio.to_thread(" },
	{ CODE_THREAD, "run_in_executor(None" },
	{ CODE_SYNC_TO_ASYNC, "database_sync_to_async" },
	{ CODE_HEALTH_CHECKS, "CONN_HEALTH_CHECKS" },
};

const char *scan_sign_name(enum code_sign sign)
{
	static const char *const names[CODE_SIGNS] = {
		[CODE_KILL_IDLE] = "pg_terminate_backend without guards",
		[CODE_CLOSE_OLD] = "uses of close_old_connections",
		[CODE_THREAD] = "calls into the default executor's threads",
		[CODE_SYNC_TO_ASYNC] = "uses of database_sync_to_async",
		[CODE_RAISE_MAX] = "advice to raise max_connections",
		[CODE_BLIND_STRESS] = "stress tests that never look at the database",
		[CODE_PERSISTENT] = "places that set CONN_MAX_AGE",
		[CODE_HEALTH_CHECKS] = "places that set CONN_HEALTH_CHECKS",
	};

	return names[sign];
}

static void note(
	struct code_facts *code, enum code_sign sign, const char *path, unsigned line, struct span text, bool *in_file)
{
	unsigned n = code->counts[sign]++;
	struct code_example *example;

	if (!in_file[sign]) {
		in_file[sign] = true;
		code->files_with[sign]++;
	}
	if (n >= DOCTOR_EXAMPLES_MAX)
		return;
	example = &code->examples[sign][n];
	text_copy(example->file, sizeof example->file, path);
	text_copy_span(example->text, sizeof example->text, text_trim(text));
	example->line = line;
}

static bool has(struct span text, const char *word)
{
	return text.length && memmem(text.at, text.length, word, strlen(word));
}

static bool has_nocase(struct span text, const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; i + length <= text.length; i++) {
		if (text_equal_nocase(span_of(text.at + i, length), span_text(word)))
			return true;
	}
	return false;
}

static struct span take_line(struct span *rest)
{
	const uint8_t *end = rest->length ? memchr(rest->at, '\n', rest->length) : NULL;
	struct span line = end ? span_of(rest->at, (size_t)(end - rest->at)) : *rest;

	*rest = end ? span_skip(*rest, line.length + 1) : span_of(rest->at + rest->length, 0);
	return line;
}

/* The statement around a place: back to the last semicolon or blank line, on to the next; at most some kilobytes each way. */
static struct span statement_around(struct span text, const uint8_t *at)
{
	const uint8_t *from = at, *to = at, *end = text.at + text.length;

	while (from > text.at && at - from < 2000 && from[-1] != ';' &&
		!(from[-1] == '\n' && from - text.at >= 2 && from[-2] == '\n'))
		from--;
	while (to < end && to - at < 4000 && *to != ';' && !(*to == '\n' && to + 1 < end && to[1] == '\n'))
		to++;
	return span_of(from, (size_t)(to - from));
}

/* A mass termination is guarded when it says what kind of backend it means, spares itself, and names whom. */
static bool is_unguarded_kill(struct span statement)
{
	unsigned guards = 0;

	if (!has_nocase(statement, "pg_stat_activity"))
		return false;
	guards += has_nocase(statement, "backend_type");
	guards += has_nocase(statement, "pg_backend_pid");
	guards += has_nocase(statement, "application_name") || has_nocase(statement, "usename");
	return guards < 3;
}

static bool read_number_after(struct span line, const char *word, double *out)
{
	const uint8_t *at = line.length ? memmem(line.at, line.length, word, strlen(word)) : NULL;
	struct span rest;
	char number[24], *end;

	if (!at)
		return false;
	rest = span_skip(line, (size_t)(at - line.at) + strlen(word));
	while (rest.length && (memchr("'\" \t", rest.at[0], 4)))
		rest = span_skip(rest, 1);
	if (rest.length == 0 || (rest.at[0] != '=' && rest.at[0] != ':'))
		return false;
	rest = text_trim(span_skip(rest, 1));
	while (rest.length && (memchr("'\" \t", rest.at[0], 4)))
		rest = span_skip(rest, 1);
	if (rest.length >= 4 && memcmp(rest.at, "None", 4) == 0) {
		*out = MAX_AGE_FOREVER;
		return true;
	}
	text_copy_span(number, sizeof number, rest);
	*out = strtod(number, &end);
	return end != number;
}

static void look_at_settings(
	struct code_facts *code, const char *path, unsigned number, struct span line, bool *in_file)
{
	double value;

	if (read_number_after(line, "max_connections", &value) && value > 100) {
		if (value > code->max_connections)
			code->max_connections = value;
		note(code, CODE_RAISE_MAX, path, number, line, in_file);
	}
	if (read_number_after(line, "CONN_MAX_AGE", &value) && value != 0) {
		if (value == MAX_AGE_FOREVER || (code->conn_max_age != MAX_AGE_FOREVER && value > code->conn_max_age))
			code->conn_max_age = value;
		note(code, CODE_PERSISTENT, path, number, line, in_file);
	}
}

/* Opens many sockets at once, and nowhere in the file looks at what that does to the database. */
static bool is_blind_stress(struct span text)
{
	bool sockets = has(text, "websockets.connect") || has(text, "websocket.create_connection") ||
		has(text, "new WebSocket(") || has(text, "ws_connect(");
	bool many = has(text, "gather(") || has(text, "TaskGroup") || has(text, "ThreadPool") ||
		has(text, "Promise.all") || has(text, "create_task");

	return sockets && many;
}

static bool looks_at_database(struct span text)
{
	return has(text, "SHOW POOLS") || has(text, "SHOW CLIENTS") || has(text, "SHOW LEAKS") ||
		has(text, "pgweir doctor") || has(text, "pg_stat_activity");
}

/* In prose, the stress test is the fenced block it stands in; elsewhere the whole file. */
static void look_for_stress(struct code_facts *code, const char *path, struct span text, bool *in_file)
{
	bool fenced = has(text, "\n```");
	const uint8_t *start = text.at, *end = text.at + text.length;
	unsigned line = 1;

	while (start < end) {
		struct span part = span_of(start, (size_t)(end - start));
		const uint8_t *fence = fenced ? memmem(part.at, part.length, "\n```", 4) : NULL;

		if (fence)
			part.length = (size_t)(fence - start);
		if (is_blind_stress(part) && !looks_at_database(part)) {
			struct span rest = part, first = take_line(&rest);

			while (rest.length && !is_blind_stress(first) && !has(first, "onnect"))
				first = take_line(&rest);
			for (const uint8_t *c = start; c < first.at; c++)
				line += *c == '\n';
			note(code, CODE_BLIND_STRESS, path, line, first, in_file);
			return;
		}
		for (size_t i = 0; i < part.length; i++)
			line += part.at[i] == '\n';
		start += part.length;
		if (fence) {
			start += 4;
			line++;
		}
	}
}

void scan_text(struct code_facts *code, const char *path, struct span text, enum scan_as as)
{
	bool in_file[CODE_SIGNS] = { 0 };
	struct span rest = text;
	const uint8_t *judged = NULL; /* the statement that was looked at last: each counts once */

	code->files++;
	for (unsigned number = 1; rest.length; number++) {
		struct span line = take_line(&rest), trimmed = text_trim(line);
		const uint8_t *kill;

		if (as != SCAN_PROSE && trimmed.length && trimmed.at[0] == '#')
			continue;
		for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
			/* An import is no use. */
			if (as == SCAN_SETTINGS && words[i].sign == CODE_HEALTH_CHECKS)
				continue;
			if (has(line, words[i].word) && !(trimmed.length > 5 && memcmp(trimmed.at, "from ", 5) == 0))
				note(code, words[i].sign, path, number, line, in_file);
		}
		if (as != SCAN_SETTINGS)
			look_at_settings(code, path, number, line, in_file);
		kill = line.length ? memmem(line.at, line.length, "pg_terminate_backend", 20) : NULL;
		if (kill) {
			struct span statement = statement_around(text, kill);

			if (statement.at != judged && is_unguarded_kill(statement))
				note(code, CODE_KILL_IDLE, path, number, line, in_file);
			judged = statement.at;
		}
	}
	look_for_stress(code, path, text, in_file);
}

bool scan_wants(const char *name)
{
	static const char *const endings[] = { ".py", ".sh", ".md", ".sql", ".txt", ".rst", ".js", ".ts", ".mjs", ".rb",
		".go", ".java", ".yml", ".yaml", ".conf", ".cron", NULL };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && endings[i]; i++) {
		if (strcmp(dot, endings[i]) == 0)
			return true;
	}
	return false;
}
