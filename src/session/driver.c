#include "session/driver.h"

#include <string.h>

static bool asked_for(const struct params *asked, const char *name, const char *value)
{
	const char *said = params_get(asked, span_text(name));

	return said && strcmp(said, value) == 0;
}

enum driver driver_guess(const struct params *asked, bool encoding_early)
{
	const char *encoding;

	if (params_count(asked) == 0)
		return SPOKEN_UNKNOWN;
	encoding = params_get(asked, span_text("client_encoding"));
	/* The JDBC driver sends its time zone and a date style, and names itself unless told otherwise. */
	if (asked_for(asked, "application_name", "PostgreSQL JDBC Driver") ||
		(asked_for(asked, "DateStyle", "ISO") && params_get(asked, span_text("TimeZone"))))
		return SPOKEN_JDBC;
	if (asked_for(asked, "extra_float_digits", "2") && asked_for(asked, "DateStyle", "ISO, MDY"))
		return SPOKEN_GO;
	/* asyncpg quotes the encoding. */
	if (encoding && strcmp(encoding, "'utf-8'") == 0)
		return SPOKEN_ASYNCPG;
	/* tokio-postgres and Npgsql say it in front of the database, node-postgres behind it. */
	if (encoding && strcmp(encoding, "UTF8") == 0)
		return encoding_early ? SPOKEN_UNKNOWN : SPOKEN_NODE;
	return SPOKEN_LIBPQ;
}
