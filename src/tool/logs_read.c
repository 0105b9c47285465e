#include "tool/logs_read.h"

#include <errno.h>
#include <zlib.h>

#include "base/text.h"
#include "tool/memory.h"

/* A log in pieces of 256 KB, whatever its size. Of a line longer than LOGS_LINE_MAX the beginning is looked at, where all that matters
 * stands; bytes that are no text are no trouble, since nothing here asks what they are. */

#define PIECE (256 * 1024)

struct gathering {
	struct logs_count *count;
	char *line; /* LOGS_LINE_MAX */
	size_t length;
	bool open; /* a record of csvlog that goes on in the next line */
};

static void hand_over(struct gathering *g)
{
	size_t length = g->length;

	if (length > 0 && g->line[length - 1] == '\r')
		length--;
	if (length > 0)
		logs_count_line(g->count, g->line, length);
	g->length = 0;
	g->open = false;
}

/* A line ended; `begin` is where it began within a record of several. */
static void end_line(struct gathering *g, size_t *begin)
{
	struct span whole = span_of(g->line, g->length), last = span_skip(whole, *begin);

	if (g->open && logs_line_is_csv(last)) {
		/* The record before was cut off: it ends where this one begins. */
		char *moved = g->line + *begin;
		size_t length = last.length;

		g->length = *begin;
		hand_over(g);
		memmove(g->line, moved, length);
		g->length = length;
		*begin = 0;
		whole = span_of(g->line, length);
	}
	g->open = g->length < LOGS_LINE_MAX && logs_line_is_csv(whole) && logs_line_is_open(whole);
	if (!g->open) {
		hand_over(g);
		*begin = 0;
		return;
	}
	g->line[g->length++] = '\n';
	*begin = g->length;
}

static void take_piece(struct gathering *g, const char *piece, size_t length, size_t *begin)
{
	while (length > 0) {
		const char *newline = memchr(piece, '\n', length);
		size_t n = newline ? (size_t)(newline - piece) : length, room = LOGS_LINE_MAX - g->length;

		memcpy(g->line + g->length, piece, n < room ? n : room);
		g->length += n < room ? n : room;
		if (newline)
			end_line(g, begin);
		piece += n + (newline != NULL);
		length -= n + (newline != NULL);
	}
}

bool logs_read(struct logs_count *count, const char *path, char *error, size_t error_size)
{
	bool standard = strcmp(path, "-") == 0;
	gzFile file = standard ? gzdopen(0, "rb") : gzopen(path, "rb");
	struct gathering g = { .count = count };
	char *piece;
	size_t begin = 0;
	int got, number = Z_OK;

	if (!file) {
		text_format(error, error_size,
			"%s: can not be opened: %s (PostgreSQL's own SHOW log_directory says where its logs are; - is standard input)",
			path, strerror(errno ? errno : ENOMEM));
		return false;
	}
	gzbuffer(file, PIECE);
	piece = memory_new(1, PIECE);
	g.line = memory_new(1, LOGS_LINE_MAX);
	logs_count_begin(count);
	errno = 0;
	while ((got = gzread(file, piece, PIECE)) > 0)
		take_piece(&g, piece, (size_t)got, &begin);
	if (g.length > 0)
		hand_over(&g);
	if (got < 0 && errno == EISDIR) {
		text_format(
			error, error_size, "%s: it is a folder; name the files in it, such as %s/*.log", path, path);
	} else if (got < 0 || !gzeof(file)) {
		const char *why = gzerror(file, &number);

		text_format(error, error_size, "%s: reading broke off: %s", path,
			number == Z_ERRNO ? strerror(errno) : why);
	} else {
		gzerror(file, &number);
		if (number == Z_BUF_ERROR)
			text_format(error, error_size,
				"%s: the compressed file ends in the middle; what came before was counted", path);
	}
	free(piece);
	free(g.line);
	return gzclose_r(file) == Z_OK && got == 0 && number != Z_BUF_ERROR;
}
