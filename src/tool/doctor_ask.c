#include "tool/doctor_ask.h"

#include <stdlib.h>

#include "base/text.h"
#include "tool/doctor_url.h"

bool url_is_console(const char *url)
{
	struct app_database parts = { 0 };
	char error[128];

	return url_read(span_text(url), &parts, error, sizeof error) &&
		(strcmp(parts.name, "pgbouncer") == 0 || strcmp(parts.name, "pgweir") == 0);
}

void first_line(char *out, size_t size, const char *text)
{
	const char *end = strchr(text, '\n');

	text_copy_span(out, size, text_trim(span_of(text, end ? (size_t)(end - text) : strlen(text))));
}

PGresult *ask(PGconn *connection, const char *sql, char *problem, size_t problem_size)
{
	char words[1000];
	PGresult *result = connect_ask(connection, sql, 0, NULL, NULL, words, sizeof words);

	if (!result)
		first_line(problem, problem_size, words);
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
