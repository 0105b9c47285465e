#include "tool/stress_expect.h"

#include <regex.h>

#include "base/text.h"
#include "tool/json.h"

struct expectation {
	bool matches; /* `pattern` is set */
	regex_t pattern;
	const char *path, *value; /* NULL; "user.0.name", parted at the first '=' */
	char path_bytes[200];
};

struct expectation *expectation_new(const struct stress_plan *plan, char *error, size_t error_size)
{
	struct expectation *e = memory_new(1, sizeof *e);
	char words[200];
	int trouble;

	if (plan->expect_match) {
		trouble = regcomp(&e->pattern, plan->expect_match, REG_EXTENDED | REG_NOSUB);
		if (trouble != 0) {
			regerror(trouble, &e->pattern, words, sizeof words);
			text_format(error, error_size, "--expect-match is no regular expression: %s", words);
			free(e);
			return NULL;
		}
		e->matches = true;
	}
	if (plan->expect_json) {
		size_t length = strcspn(plan->expect_json, "=");

		if (length == 0 || !plan->expect_json[length] || length >= sizeof e->path_bytes) {
			text_copy(error, error_size,
				"--expect-json wants PATH=VALUE, such as user.name=ada or items.0.id=7");
			expectation_free(e);
			return NULL;
		}
		text_copy_span(e->path_bytes, sizeof e->path_bytes, span_of(plan->expect_json, length));
		e->path = e->path_bytes;
		e->value = plan->expect_json + length + 1;
	}
	return e;
}

void expectation_free(struct expectation *e)
{
	if (!e)
		return;
	if (e->matches)
		regfree(&e->pattern);
	free(e);
}

bool expectation_wants(const struct expectation *e)
{
	return e->matches || e->path;
}

/* A key of an object, or a place in an array. */
static const json_t *at_path(const json_t *json, const char *path)
{
	char key[200];
	int64_t place;

	while (*path && json) {
		size_t length = strcspn(path, ".");

		text_copy_span(key, sizeof key, span_of(path, length));
		path += length + (path[length] == '.');
		if (!json_is_array(json))
			json = json_object_get(json, key);
		else if (text_to_i64(span_text(key), &place) && place >= 0)
			json = json_array_get(json, (size_t)place);
		else
			json = NULL;
	}
	return json;
}

/* As it is written: a text without its quotes, everything else as JSON has it. */
static bool is_value(const json_t *json, const char *value)
{
	char *text;
	bool same;

	if (json_is_string(json))
		return strcmp(json_string_value(json), value) == 0;
	text = memory_got(json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT));
	same = strcmp(text, value) == 0;
	free(text);
	return same;
}

static bool field_met(const struct expectation *e, struct span answer, char *why, size_t why_size)
{
	json_t *json = json_loadb((const char *)answer.at, answer.length, JSON_DECODE_ANY, NULL);
	const json_t *found;
	bool met;

	if (!json) {
		text_copy(why, why_size, "an answer that is no JSON");
		return false;
	}
	found = at_path(json, e->path);
	met = found && is_value(found, e->value);
	if (!met)
		text_format(
			why, why_size, "an answer in which %s is %s", e->path, found ? "something else" : "missing");
	json_decref(json);
	return met;
}

bool expectation_met(const struct expectation *e, struct span answer, char *why, size_t why_size)
{
	if (e->matches) {
		/* A pattern stops at a zero byte; there is none in a text, and behind one nothing is looked for. */
		char *text = memory_new(answer.length + 1, 1);
		bool met;

		if (answer.length > 0)
			memcpy(text, answer.at, answer.length);
		met = regexec(&e->pattern, text, 0, NULL, 0) == 0;
		free(text);
		if (!met) {
			text_copy(why, why_size, "an answer that --expect-match does not fit");
			return false;
		}
	}
	return !e->path || field_met(e, answer, why, why_size);
}
