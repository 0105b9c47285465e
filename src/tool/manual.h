#ifndef PGWEIR_TOOL_MANUAL_H
#define PGWEIR_TOOL_MANUAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The commands as data: what --help says, the pages of the manual and the completions of the shells are all made from these tables.
 * Nothing but text, so that the process that strangers can reach may link it. */

/* What stands behind an option or a command, for the completions. */
enum manual_value { VALUE_NONE, VALUE_TEXT, VALUE_FILE, VALUE_FOLDER, VALUE_URL, VALUE_SETTING, VALUE_COMMAND };

struct manual_option {
	const char *names; /* "--interval AGE", "-o, --output FILE" */
	const char *what;  /* one line of help; "" with `minor` where `more` says it all */
	const char *more;  /* for the page alone; NULL */
	enum manual_value value;
	bool minor; /* --help only names it */
};

struct manual {
	const char *name;         /* "top"; "" is pgweir itself */
	const char *arguments;    /* "[URL] [--once]"; several lines: several ways to write it */
	const char *brief;        /* for the list of commands, and the page's title: no capital, no full stop */
	const char *about;        /* a paragraph */
	const char *more;         /* for the page alone: paragraphs, parted by empty lines; NULL */
	const char *const *words; /* pairs "what stands on the command line", "what it is"; NULL */
	const struct manual_option *options;
	size_t option_count;
	const char *last;           /* a line before the exit status; NULL */
	const char *statuses;       /* "0 healthy; 1 danger", parted by semicolons */
	const char *example, *then; /* command lines; then: what to type next, or NULL */
	const char *see;            /* doc/NAME.md, or NULL */
	enum manual_value operand;
};

extern const struct manual manuals[];
extern const size_t manual_count;

/* The page of a command; NULL: there is none. */
const struct manual *manual_find(const char *name);

/* What --help says: no more than 24 lines of 80 letters. */
#define MANUAL_WIDTH 80
#define MANUAL_LINES 24
void manual_help(const char *name, FILE *);

/* The list of commands. */
void manual_commands(FILE *);

/* getopt has complained about an option: add which one was meant, where one is near, and where to read more. */
void manual_unknown_option(const char *name, char *const *argv, int next);

/* The long names of an option: the next one of "-o, --output FILE", without its dashes; false: there is none left. `at` begins as names. */
bool manual_long_name(const char **at, char *name, size_t size);

/* `text` from column `column` on, broken between words at MANUAL_WIDTH, further lines indented by `indent`. Ends the line. */
void manual_wrap(FILE *, const char *text, size_t column, size_t indent);

#endif
