#include "session/driver.h"

#include <string.h>

static bool asked_for(const struct params *asked, const char *name, const char *value)
{
	const char *said = params_get(asked, span_text(name));

	return said && strcmp(said, value) == 0;
}

/* Drivers that have no kind of their own, and ask for what one that has asks for: Rust's sqlx for what Go's lib/pq does, whose key is in
 * lower case; vertx-pg-client for a date style, which libpq never does by itself. */
static bool is_other(const struct params *asked, const char *encoding, struct driver_manner manner)
{
	if (!manner.style_capital || !encoding)
		return false;
	return (strcmp(encoding, "UTF8") == 0 && asked_for(asked, "DateStyle", "ISO, MDY")) ||
		(strcmp(encoding, "utf8") == 0 && asked_for(asked, "DateStyle", "ISO"));
}

enum driver driver_guess(const struct params *asked, struct driver_manner manner)
{
	const char *encoding;

	if (params_count(asked) == 0)
		return SPOKEN_UNKNOWN;
	encoding = params_get(asked, span_text("client_encoding"));
	/* The JDBC driver sends its time zone and a date style, and names itself unless told otherwise. */
	if (asked_for(asked, "application_name", "PostgreSQL JDBC Driver") ||
		(asked_for(asked, "DateStyle", "ISO") && params_get(asked, span_text("TimeZone"))))
		return SPOKEN_JDBC;
	if (is_other(asked, encoding, manner))
		return SPOKEN_UNKNOWN;
	if (asked_for(asked, "extra_float_digits", "2") && asked_for(asked, "DateStyle", "ISO, MDY"))
		return SPOKEN_GO;
	/* asyncpg quotes the encoding. */
	if (encoding && strcmp(encoding, "'utf-8'") == 0)
		return SPOKEN_ASYNCPG;
	/* tokio-postgres and Npgsql say it in front of the database, node-postgres behind it. */
	if (encoding && strcmp(encoding, "UTF8") == 0)
		return manner.encoding_early ? SPOKEN_UNKNOWN : SPOKEN_NODE;
	return SPOKEN_LIBPQ;
}
