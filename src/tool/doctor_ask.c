#include "tool/doctor_ask.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "config/config.h"
#include "tool/doctor_url.h"

bool url_is_console(const char *url)
{
	struct app_database parts = { 0 };
	char error[128];

	return url_read(span_text(url), &parts, error, sizeof error) && config_is_console(parts.name);
}

void first_line(char *out, size_t size, const char *text)
{
	const char *end = strchr(text, '\n');

	text_copy_span(out, size, text_trim(span_of(text, end ? (size_t)(end - text) : strlen(text))));
}

void one_line(char *out, size_t size, const char *text)
{
	static const char word[] = "\nDETAIL:";
	const char *detail = strstr(text, word);
	char first[400], second[1000];

	first_line(first, sizeof first, text);
	if (!detail) {
		text_copy(out, size, first);
		return;
	}
	first_line(second, sizeof second, detail + sizeof word - 1);
	text_format(out, size, "%s: %s", first, second);
}

PGresult *ask(PGconn *connection, const char *sql, char *problem, size_t problem_size)
{
	char words[1000];
	PGresult *result = connect_ask(connection, sql, 0, NULL, NULL, words, sizeof words);

	if (!result)
		one_line(problem, problem_size, words);
	return result;
}

PGresult *ask_server(PGconn *connection, const char *sql, char *problem, size_t problem_size)
{
	static const char begin[] =
		"BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL client_encoding = 'SQL_ASCII';"
		" SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '15s'; ";
	char whole[4096], unseen[1000];
	PGresult *result;

	/* The last answer is that to our own question; the transaction ends in a step of its own, since COMMIT would be the last one else. */
	check(sizeof begin + strlen(sql) < sizeof whole);
	text_format(whole, sizeof whole, "%s%s", begin, sql);
	result = ask(connection, whole, problem, problem_size);
	PQclear(connect_ask(connection, "ROLLBACK", 0, NULL, NULL, unseen, sizeof unseen));
	return result;
}

const char *cell(const PGresult *result, int row, const char *column)
{
	int number = PQfnumber(result, column);

	return number < 0 || row >= PQntuples(result) || PQgetisnull(result, row, number)
		? ""
		: PQgetvalue(result, row, number);
}

int64_t cell_number(const PGresult *result, int row, const char *column)
{
	return strtoll(cell(result, row, column), NULL, 10);
}

double cell_real(const PGresult *result, int row, const char *column)
{
	return strtod(cell(result, row, column), NULL);
}

const char *cell_of(const PGresult *rows, const char *name, const char *column)
{
	for (int i = 0; rows && i < PQntuples(rows); i++) {
		if (strcmp(cell(rows, i, "name"), name) == 0)
			return cell(rows, i, column);
	}
	return "";
}

int console_pool_size(const PGresult *pools, int row, const PGresult *users, const PGresult *databases)
{
	const char *size = cell(pools, row, "pool_size");

	if (!*size)
		size = cell_of(users, cell(pools, row, "user"), "pool_size");
	if (!*size)
		size = cell_of(databases, cell(pools, row, "database"), "pool_size");
	return (int)strtol(size, NULL, 10);
}

bool console_has_no_room(const PGresult *budget, int row, char *out, size_t size)
{
	bool read = *cell(budget, row, "target") != 0;
	size_t length;

	if (cell_number(budget, row, "cl_waiting") == 0 ||
		!(read ? cell_number(budget, row, "ours") >= cell_number(budget, row, "target")
		       : *cell(budget, row, "full_since") != 0))
		return false;
	length = text_format(out, size, "No room for more servers at PostgreSQL %.100s:%.10s",
		cell(budget, row, "host"), cell(budget, row, "port"));
	if (read)
		text_format(out + length, size - length, ": others have %lld of its %lld usable connections%s%s%s",
			(long long)cell_number(budget, row, "others"), (long long)cell_number(budget, row, "usable"),
			*cell(budget, row, "others_by") ? " (" : "", cell(budget, row, "others_by"),
			*cell(budget, row, "others_by") ? ")" : "");
	return true;
}
