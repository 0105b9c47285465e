#include <stdlib.h>

#include "auth/basic.h"
#include "base/check.h"
#include "base/text.h"
#include "session/web.h"
#include "view/json.h"
#include "view/metrics.h"

/* What a browser sends, any bytes of it: every reader stays inside, and what it takes is what it says. And names of any bytes come out as
 * one string of JSON and as one line of metrics. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_headers(struct span text)
{
	struct span value = { 0 };
	struct basic basic;

	if (web_host_is_local(text))
		for (size_t i = 0; i < text.length; i++)
			check(text.at[i] > ' ' && text.at[i] < 0x7f && !strchr("@/,;", text.at[i]));
	(void)web_wants_openmetrics(text);
	(void)web_type_is(text, "text/plain");
	(void)web_origin_is(text, text, true);
	if (web_cookie(text, "a", &value))
		check(value.length < text.length && value.at > text.at &&
			value.at + value.length <= text.at + text.length);
	if (basic_read(&basic, text))
		check(basic.user[0] && memchr(basic.user, 0, sizeof basic.user) &&
			memchr(basic.password, 0, sizeof basic.password));
	basic_wipe(&basic);
}

static void read_form(struct span text)
{
	char out[16];

	memset(out, 'x', sizeof out);
	if (web_field(text, "a", out, sizeof out))
		check(memchr(out, 0, sizeof out) && strlen(out) <= text.length);
	else
		check(out[0] == 0);
}

/* Quotes at both ends and none between that is not escaped; only UTF-8, and no control characters. */
static void is_string(struct span text)
{
	check(text.length >= 2 && text.at[0] == '"' && text.at[text.length - 1] == '"');
	text = span_of(text.at + 1, text.length - 2);
	while (text.length > 0) {
		size_t n = text_utf8(text);

		check(n > 0 && text.at[0] >= ' ' && text.at[0] != '"');
		if (text.at[0] == '\\') {
			check(text.length > 1);
			n = 2;
		}
		text = span_skip(text, n);
	}
}

/* Every line is a comment or one of ours with a number behind it. */
static void are_lines(struct span text)
{
	while (text.length > 0) {
		const uint8_t *end = memchr(text.at, '\n', text.length), *space;
		struct span line;
		size_t length;

		check(end);
		length = (size_t)(end - text.at);
		space = memrchr(text.at, ' ', length);
		line = span_of(text.at, length);
		check(space && (line.at[0] == '#' || span_begins(line, "pg") || span_begins(line, "process_")));
		check(text.at[0] == '#' || (space[1] >= '0' && space[1] <= '9'));
		text = span_skip(text, length + 1);
	}
}

static void write_names(struct span text)
{
	struct snapshot *snapshot = snapshot_new(METRICS_PARTS);
	struct pool_row *pool = snapshot ? snapshot_pool(snapshot) : NULL;
	struct leak_row leak = { .clients = 1 };
	struct buf out = { 0 };

	check(pool && json_text(&out, text));
	is_string(buf_span(&out));
	buf_clear(&out);
	text_copy_span(pool->database, sizeof pool->database, text);
	text_copy_span(leak.application_name, sizeof leak.application_name, text);
	snapshot_leaks(snapshot, NULL, 0, &leak, 1);
	check(metrics_write(&out, snapshot, METRICS_TEXT));
	are_lines(buf_span(&out));
	buf_fini(&out);
	snapshot_free(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);

	read_headers(text);
	read_form(text);
	write_names(text);
	return 0;
}
