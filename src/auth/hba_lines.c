#include "auth/hba_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

/* Files, lines and words. A line of a file may be several of its text's, and a line "include FILE" stands for all lines of that file, which
 * lies beside the one that names it. The number of files, their depth and the length of lines are bounded: a circle of includes is an error. */

#define LINE_MOST  65536
#define FILES_MOST 1000

bool hba_fail(struct reading *r, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(r->problem, sizeof r->problem, format, list);
	va_end(list);
	return false;
}

bool hba_no_memory(struct reading *r)
{
	return hba_fail(r, "memory is refused");
}

void *hba_grown(void *list, size_t count, size_t *capacity, size_t size)
{
	size_t more = *capacity ? *capacity * 2 : 8;

	if (count < *capacity)
		return list;
	list = realloc(list, more * size);
	if (list)
		*capacity = more;
	return list;
}

/* ---- words ---- */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static void skip_blanks(struct span *line)
{
	while (line->length > 0 && is_blank(line->at[0]))
		*line = span_skip(*line, 1);
}

bool word_take(struct reading *r, struct span *line, struct word *word)
{
	size_t length = 0;
	bool inside = false, began = false;

	*word = (struct word){ .more = false };
	skip_blanks(line);
	while (line->length > 0) {
		uint8_t c = line->at[0];

		if (!inside && (is_blank(c) || c == '#' || c == ','))
			break;
		*line = span_skip(*line, 1);
		if (c == '"') {
			if (inside && line->length > 0 && line->at[0] == '"') { /* two of them are one */
				*line = span_skip(*line, 1);
			} else {
				inside = !inside;
				word->quoted = began = true;
				continue;
			}
		}
		if (c == 0)
			return hba_fail(r, "a zero byte");
		if (length + 1 == sizeof word->text)
			return hba_fail(r, "a word is longer than %zu bytes", sizeof word->text - 1);
		word->text[length++] = (char)c;
		began = true;
	}
	word->text[length] = 0;
	if (inside)
		return hba_fail(r, "quotes are not closed");
	skip_blanks(line);
	if (line->length > 0 && line->at[0] == ',') {
		*line = span_skip(*line, 1);
		word->more = true;
		if (!began)
			return hba_fail(r, "a comma without a word before it");
	}
	return began;
}

bool word_take_single(struct reading *r, struct span *line, struct word *word)
{
	if (!word_take(r, line, word))
		return false;
	return word->more ? hba_fail(r, "a comma behind \"%.60s\" means nothing", word->text) : true;
}

bool word_is(const struct word *word, const char *text)
{
	return !word->quoted && strcmp(word->text, text) == 0;
}

/* ---- lines ---- */

/* One line of a file is several of the text's where each but the last ends in a backslash. */
static bool take_logical(struct reading *r, struct span *text, struct buf *line, unsigned *lines)
{
	buf_clear(line);
	*lines = 0;
	while (text->length > 0) {
		const uint8_t *end = memchr(text->at, '\n', text->length);
		size_t n = end ? (size_t)(end - text->at) : text->length;
		struct span part = span_of(text->at, n);
		bool goes_on;

		*text = span_skip(*text, end ? n + 1 : n);
		++*lines;
		if (part.length > 0 && part.at[part.length - 1] == '\r')
			part.length--;
		goes_on = part.length > 0 && part.at[part.length - 1] == '\\';
		if (goes_on)
			part.length--;
		if (line->length + part.length > LINE_MOST)
			return hba_fail(r, "a line is longer than %d bytes", LINE_MOST);
		if (!buf_add_span(line, part))
			return hba_no_memory(r);
		if (!goes_on)
			break;
	}
	return true;
}

static void pass_over(struct reading *r)
{
	char words[512];

	text_format(words, sizeof words, "%s:%u: %s; this line is passed over", r->name, r->line, r->problem);
	r->source->warn(words);
	r->problem[0] = 0;
	r->unsupported = false;
}

bool lines_read(struct reading *r, struct span text, const char *name, line_taker *take)
{
	struct buf line = { 0 };
	unsigned lines = 0;
	bool ok = true;

	r->name = name;
	r->line = 1;
	if (span_begins(text, "\xef\xbb\xbf"))
		text = span_skip(text, 3);
	while (ok && text.length > 0) {
		ok = take_logical(r, &text, &line, &lines) && take(r, buf_span(&line));
		if (!ok && r->unsupported && r->source->warn) {
			pass_over(r);
			ok = true;
		}
		if (ok)
			r->line += lines;
	}
	buf_fini(&line);
	return ok;
}

/* ---- other files ---- */

/* The path as seen from the file that is read, kept by the hba. NULL: r->problem. */
static const char *whole_path(struct reading *r, const char *path)
{
	struct hba *hba = r->hba;
	const char *slash = strrchr(r->name, '/');
	char whole[4096], **list;

	if (path[0] == '/' || !slash)
		text_copy(whole, sizeof whole, path);
	else if (text_format(whole, sizeof whole, "%.*s/%s", (int)(slash - r->name), r->name, path) ==
		sizeof whole - 1) {
		hba_fail(r, "\"%.100s\": the path is too long", path);
		return NULL;
	}
	if (hba->file_count == FILES_MOST) {
		hba_fail(r, "more than %d other files are named", FILES_MOST);
		return NULL;
	}
	list = hba_grown(hba->files, hba->file_count, &hba->file_capacity, sizeof *list);
	if (list)
		hba->files = list;
	if (!list || !(list[hba->file_count] = strdup(whole))) {
		hba_no_memory(r);
		return NULL;
	}
	return list[hba->file_count++];
}

bool lines_other(struct reading *r, const char *said, const char *path, bool may_be_missing, char **text,
	size_t *length, const char **whole)
{
	char error[160] = "";

	*text = NULL;
	if (!r->source->read_file)
		return hba_fail(r, "%.100s: other files can not be read here", said);
	if (r->deep == HBA_DEEP)
		return hba_fail(r, "%.100s: files are nested deeper than %d", said, HBA_DEEP);
	*whole = whole_path(r, path);
	if (!*whole)
		return false;
	switch (r->source->read_file(r->source->context, *whole, text, length, error, sizeof error)) {
	case HBA_FILE_READ:
		return true;
	case HBA_FILE_MISSING:
		if (may_be_missing)
			return false;
		break;
	case HBA_FILE_BAD:
		break;
	}
	return hba_fail(r, "%.100s: %s", said, error);
}

static bool include_file(struct reading *r, const char *said, const char *path, bool may_be_missing, line_taker *take)
{
	const char *outer = r->name, *whole;
	unsigned line = r->line;
	bool inner = r->inner, ok;
	size_t length = 0;
	char *text;

	if (!lines_other(r, said, path, may_be_missing, &text, &length, &whole))
		return !r->problem[0];
	r->inner = true;
	r->deep++;
	ok = lines_read(r, span_of(text, length), whole, take);
	r->deep--;
	free(text);
	if (ok) { /* else the problem is told of that file and its line */
		r->name = outer;
		r->line = line;
		r->inner = inner;
	}
	return ok;
}

static bool include_folder(struct reading *r, const char *path, line_taker *take)
{
	struct buf names = { 0 };
	struct span rest;
	char error[160] = "", inside[4096];
	const char *whole = whole_path(r, path);
	bool ok = whole != NULL;

	if (ok &&
		(!r->source->list_folder ||
			!r->source->list_folder(r->source->context, whole, &names, error, sizeof error)))
		ok = hba_fail(r, "%.100s: %s", path, error[0] ? error : "folders can not be read here");
	for (rest = buf_span(&names); ok && rest.length > 0;) {
		const char *name = (const char *)rest.at;

		rest = span_skip(rest, strlen(name) + 1);
		text_format(inside, sizeof inside, "%s/%s", path, name);
		ok = include_file(r, inside, inside, false, take);
	}
	buf_fini(&names);
	return ok;
}

bool lines_is_include(const struct word *word)
{
	return word_is(word, "include") || word_is(word, "include_if_exists") || word_is(word, "include_dir");
}

bool lines_include(struct reading *r, const struct word *word, struct span *line, line_taker *take)
{
	struct word path, rest;

	if (!word_take_single(r, line, &path))
		return r->problem[0] ? false : hba_fail(r, "behind %s its file is missing", word->text);
	if (word_take(r, line, &rest))
		return hba_fail(r, "\"%.60s\" is one word too many", rest.text);
	if (r->problem[0])
		return false;
	if (word_is(word, "include_dir"))
		return include_folder(r, path.text, take);
	return include_file(r, path.text, path.text, word_is(word, "include_if_exists"), take);
}
