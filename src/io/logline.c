#include "io/logline.h"

#include <string.h>

#include "base/text.h"

/* As JSON and Go's strings both read it. What is no UTF-8 becomes U+FFFD. Stops before it would not fit. */
static size_t quote(char *out, size_t size, const char *words)
{
	struct span rest = span_text(words);
	size_t length = 0;
	char one[8];

	while (rest.length > 0) {
		size_t taken = text_utf8(rest), n;
		uint8_t c = rest.at[0];

		if (taken == 0) {
			taken = 1;
			n = text_format(one, sizeof one, "\\ufffd");
		} else if (c == '"' || c == '\\') {
			n = text_format(one, sizeof one, "\\%c", c);
		} else if (c == '\n' || c == '\t') {
			n = text_format(one, sizeof one, "\\%c", c == '\n' ? 'n' : 't');
		} else if (c < 32 || c == 127) {
			n = text_format(one, sizeof one, "\\u%04x", c);
		} else {
			n = taken;
			memcpy(one, rest.at, n);
		}
		if (length + n >= size)
			break;
		memcpy(out + length, one, n);
		length += n;
		rest = span_skip(rest, taken);
	}
	out[length] = 0;
	return length;
}

size_t logline_write(char *out, size_t size, enum log_format format, enum log_level level, const char *when,
	uint32_t process, const char *words)
{
	const char *name = log_level_name(level), *end = format == LOG_FORMAT_JSON ? "\"}" : "\"";
	size_t length;

	if (format == LOG_FORMAT_PGBOUNCER)
		return text_format(out, size, "%s [%u] %s %s", when, process, name, words);
	if (format == LOG_FORMAT_JSON)
		length = text_format(out, size,
			"{\"timestamp\":\"%s\",\"pid\":%u,\"error_severity\":\"%s\",\"message\":\"", when, process,
			name);
	else
		length = text_format(out, size, "time=\"%s\" level=%s pid=%u msg=\"", when, name, process);
	length += quote(out + length, size - length - 2, words);
	return length + text_format(out + length, size - length, "%s", end);
}
