#include "tool/manual.h"

#include <string.h>

#include "base/text.h"

/* How --help is laid out:
 *
 *   pgweir NAME ARGUMENTS
 *
 *   about
 *     --option VALUE   what
 *   Also: --minor --options; man pgweir-NAME
 *
 *   Exit status: ...
 *   Example:  pgweir NAME ...
 *
 * A unit test holds every command to a screen of 24 lines. */

#define WORDS_MOST 26 /* letters: longer words than this have a line of their own */

const struct manual *manual_find(const char *name)
{
	for (size_t i = 0; i < manual_count; i++) {
		if (strcmp(manuals[i].name, name) == 0)
			return &manuals[i];
	}
	return NULL;
}

void manual_wrap(FILE *to, const char *text, size_t column, size_t indent)
{
	bool first = true;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (!first && column + 1 + word > MANUAL_WIDTH) {
			fprintf(to, "\n%*s", (int)indent, "");
			column = indent;
			first = true;
		}
		fprintf(to, "%s%.*s", first ? "" : " ", (int)word, text);
		column += word + !first;
		first = false;
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', to);
}

/* Two columns: a word, and what it is. */
static void row(FILE *to, const char *word, const char *what, size_t width)
{
	fprintf(to, "  %-*s", (int)width, word);
	if (strlen(word) > width) {
		fprintf(to, "\n  %*s", (int)width, "");
	}
	fputs("  ", to);
	manual_wrap(to, what, width + 4, width + 4);
}

static size_t widest(const struct manual *m)
{
	size_t most = 0;

	for (const char *const *word = m->words; word && *word; word += 2) {
		if (strlen(*word) > most && strlen(*word) <= WORDS_MOST)
			most = strlen(*word);
	}
	for (size_t i = 0; i < m->option_count; i++) {
		size_t length = strlen(m->options[i].names);

		if (!m->options[i].minor && length > most && length <= WORDS_MOST)
			most = length;
	}
	return most;
}

static void print_minor(FILE *to, const struct manual *m)
{
	char line[2000];
	size_t n = 0;

	for (size_t i = 0; i < m->option_count; i++) {
		if (m->options[i].minor)
			n += text_format(line + n, sizeof line - n, "%s%s", n ? ", " : "Also ", m->options[i].names);
	}
	if (n == 0)
		return;
	text_format(line + n, sizeof line - n, ": see man pgweir-%s.", m->name);
	manual_wrap(to, line, 0, 2);
}

static void print_ways(FILE *to, const struct manual *m)
{
	for (const char *at = m->arguments; at;) {
		const char *end = strchr(at, '\n');
		char line[400];

		text_format(line, sizeof line, "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
		fprintf(to, "pgweir %s ", m->name);
		manual_wrap(to, line, strlen(m->name) + 8, 8);
		at = end ? end + 1 : NULL;
	}
}

void manual_help(const char *name, FILE *to)
{
	const struct manual *m = manual_find(name);
	size_t width = m ? widest(m) : 0;
	char line[600];

	if (!m)
		return;
	print_ways(to, m);
	fputc('\n', to);
	manual_wrap(to, m->about, 0, 0);
	for (const char *const *word = m->words; word && *word; word += 2)
		row(to, word[0], word[1], width);
	for (size_t i = 0; i < m->option_count; i++) {
		if (!m->options[i].minor)
			row(to, m->options[i].names, m->options[i].what, width);
	}
	print_minor(to, m);
	if (m->last)
		manual_wrap(to, m->last, 0, 0);
	text_format(
		line, sizeof line, "Exit status: %s.%s%s", m->statuses, m->see ? " More: " : "", m->see ? m->see : "");
	manual_wrap(to, line, 0, 0);
	fprintf(to, "\nExample:  %s\n", m->example);
	if (m->then)
		fprintf(to, "Then:     %s\n", m->then);
}

void manual_commands(FILE *to)
{
	fputs("pgweir: the guard in front of PostgreSQL's connections\n\n", to);
	for (size_t i = 0; i < manual_count; i++) {
		if (*manuals[i].name)
			row(to, manuals[i].name, manuals[i].brief, 8);
	}
	row(to, "help", "this list, or how one command is used", 8);
	row(to, "version", "print the version", 8);
	fputs("\nHow one is used: pgweir help COMMAND. Called as `pgbouncer` it takes PgBouncer's\ncommand line.\n"
	      "\nExample:  pgweir serve postgresql://app:secret@db.example/app\n",
		to);
}

bool manual_long_name(const char **at, char *name, size_t size)
{
	const char *dashes = strstr(*at, "--");
	size_t length;

	if (!dashes)
		return false;
	length = strcspn(dashes + 2, " ,=[");
	text_format(name, size, "%.*s", (int)length, dashes + 2);
	*at = dashes + 2 + length;
	return true;
}

#define NAMES_MOST 64

void manual_unknown_option(const char *name, char *const *argv, int next)
{
	const struct manual *m = manual_find(name);
	const char *candidates[NAMES_MOST + 1] = { 0 }, *given = next > 0 ? argv[next - 1] : "", *nearest;
	static char names[NAMES_MOST][32];
	size_t count = 0;
	char word[64];

	for (size_t i = 0; m && i < m->option_count; i++) {
		const char *at = m->options[i].names;

		while (count < NAMES_MOST && manual_long_name(&at, names[count], sizeof names[count])) {
			candidates[count] = names[count];
			count++;
		}
	}
	if (strncmp(given, "--", 2) == 0) {
		text_format(word, sizeof word, "%.*s", (int)strcspn(given + 2, "="), given + 2);
		nearest = text_nearest(word, candidates);
		if (nearest && strcmp(nearest, word) != 0)
			fprintf(stderr, "Did you mean --%s?\n", nearest);
	}
	fprintf(stderr, "Try: pgweir %s --help\n", name);
}
