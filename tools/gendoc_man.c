#include "tools/gendoc.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/schema.h"
#include "tool/manual.h"

/* Pages of the manual from the tables of src/tool/manual_pages.c and src/config/schema.c, in mdoc (man 7 mdoc).
 *
 * In mdoc a line that begins with a dot or an apostrophe is a macro, and a backslash begins an escape; everything else is text. A new sentence
 * begins a new line, so that the formatter knows where it ends. */

#define PAGE_DATE "November 26, 2026"

#define LINE_MOST 78

/* One letter of a page; returns how much room it took. */
static size_t letter(const char *words, const char *c, bool at_start)
{
	size_t before = 0;

	if (at_start && (*c == '.' || *c == '\''))
		before = (size_t)printf("\\&");
	if (*c == '\\')
		return before + (size_t)printf("\\e");
	if (*c == '-' && (c == words || strchr(" -|[", c[-1])))
		return before + (size_t)printf("\\-");
	putchar(*c);
	return before + 1;
}

/* Text of a page, in lines. */
static void text(const char *words)
{
	size_t column = 0;

	for (const char *c = words; *c; c++) {
		if (*c == '\n' && c[1] == '\n') {
			fputs("\n.Pp\n", stdout);
			c++;
			column = 0;
		} else if (*c == ' ' && c > words &&
			((strchr(".?!", c[-1]) && isupper((unsigned char)c[1])) ||
				column + strcspn(c + 1, " \n") >= LINE_MOST)) {
			putchar('\n');
			column = 0;
		} else {
			column += letter(words, c, column == 0);
		}
	}
	putchar('\n');
}

/* What the tables have for doc/: `code` and [words](page.md) lose their marks. */
static void plain(const char *words)
{
	char out[2000];
	size_t n = 0;

	for (const char *c = words; *c && n + 1 < sizeof out; c++) {
		const char *end = *c == ']' && c[1] == '(' ? strchr(c, ')') : NULL;

		if (end)
			c = end;
		else if (*c != '`' && *c != '[')
			out[n++] = *c;
	}
	out[n] = 0;
	text(out);
}

static void head(const char *name, char section, const char *brief)
{
	printf(".\\\" Made by tools/gendoc; edit the tables that it reads.\n.Dd " PAGE_DATE "\n.Dt ");
	for (const char *c = name; *c; c++)
		putchar(toupper((unsigned char)*c));
	printf(" %c\n.Os\n.Sh NAME\n.Nm %s\n.Nd ", section, name);
	text(brief);
}

/* "-o, --output FILE" as macros. */
static void item(const char *names)
{
	fputs(".It", stdout);
	while (*names) {
		size_t length = strcspn(names, " ,");

		if (*names == '-')
			printf(" Fl %.*s", (int)length - 1, names + 1);
		else
			printf(" Ar %.*s", (int)length, names);
		names += length;
		if (*names == ',') {
			fputs(" ,", stdout);
			names++;
		}
		names += strspn(names, " ");
	}
	putchar('\n');
}

static void statuses(const char *list)
{
	puts(".Sh EXIT STATUS\n.Bl -tag -width Ds");
	while (*list) {
		size_t number = strcspn(list, " "), length = strcspn(list, ";");
		char what[300];

		printf(".It %.*s\n", (int)number, list);
		snprintf(what, sizeof what, "%.*s.", (int)(length - number - 1), list + number + 1);
		text(what);
		list += length;
		list += strspn(list, "; ");
	}
	puts(".El");
}

static void literal(const char *line)
{
	fputs(".Dl ", stdout);
	for (const char *c = line; *c; c++) {
		if (*c == '\\')
			fputs("\\e", stdout);
		else if (*c == '-')
			fputs("\\-", stdout);
		else
			putchar(*c);
	}
	putchar('\n');
}

static void see_also(const char *but)
{
	char names[32][40];
	size_t count = 0;

	/* In the order of sections and names, as mdoc wants it. */
	snprintf(names[count++], sizeof names[0], "pgweir 1");
	for (size_t i = 0; i < manual_count && count < 31; i++)
		snprintf(names[count++], sizeof names[0], "pgweir-%s 1", manuals[i].name);
	for (size_t i = 1; i < count; i++) {
		for (size_t j = i; j > 1 && strcmp(names[j - 1], names[j]) > 0; j--) {
			char kept[40];

			memcpy(kept, names[j], sizeof kept);
			memcpy(names[j], names[j - 1], sizeof kept);
			memcpy(names[j - 1], kept, sizeof kept);
		}
	}
	snprintf(names[count++], sizeof names[0], "pgweir.ini 5");
	puts(".Sh SEE ALSO");
	for (size_t i = 0, left = count - 1; i < count; i++) {
		size_t length = strcspn(names[i], " ");

		if (strncmp(names[i], but, length) == 0 && !but[length])
			continue;
		printf(".Xr %s%s\n", names[i], --left ? " ," : "");
	}
}

static void ways(const struct manual *m)
{
	puts(".Sh SYNOPSIS");
	for (const char *at = m->arguments; at;) {
		const char *end = strchr(at, '\n');
		char way[300];

		snprintf(way, sizeof way, "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
		printf(".Nm pgweir\n.Cm %s\n", m->name);
		text(way);
		at = end ? end + 1 : NULL;
	}
}

static void print_command(const struct manual *m)
{
	char name[64], what[600];

	snprintf(name, sizeof name, "pgweir-%s", m->name);
	head(name, '1', m->brief);
	ways(m);
	puts(".Sh DESCRIPTION");
	text(m->about);
	if (m->words) {
		puts(".Bl -tag -width Ds");
		for (const char *const *word = m->words; *word; word += 2) {
			fputs(".It ", stdout);
			text(word[0]);
			text(word[1]);
		}
		puts(".El");
	}
	if (m->more) {
		puts(".Pp");
		text(m->more);
	}
	if (m->last && !(m->more && strstr(m->more, "Signals"))) {
		puts(".Pp");
		text(m->last);
	}
	puts(".Pp\nThe options:\n.Bl -tag -width Ds");
	for (size_t i = 0; i < m->option_count; i++) {
		item(m->options[i].names);
		snprintf(what, sizeof what, "%s%s%s", m->options[i].what, m->options[i].more ? ". " : "",
			m->options[i].more ? m->options[i].more : "");
		text(what);
	}
	puts(".It Fl h , Fl -help\nsay briefly how it is used\n.El");
	statuses(m->statuses);
	puts(".Sh EXAMPLES");
	literal(m->example);
	if (m->then)
		literal(m->then);
	see_also(name);
}

static void print_pgweir(void)
{
	head("pgweir", '1', "the guard in front of PostgreSQL's connections");
	puts(".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar argument ...\n.Nm pgbouncer\n.Op Fl dqvVh\n.Op Fl u Ar user\n.Ar file.ini\n"
	     ".Sh DESCRIPTION\n.Nm\nis a connection pooler.");
	text("It stands between applications with many connections and a PostgreSQL with few, and names whoever leaks connections. It "
	     "reads the configuration file of PgBouncer.");
	puts(".Pp\nThe commands:\n.Bl -tag -width doctor");
	for (size_t i = 0; i < manual_count; i++) {
		printf(".It Cm %s\n", manuals[i].name);
		text(manuals[i].brief);
	}
	puts(".It Cm help Op Ar command\nthis list, or how one command is used\n.It Cm version\nprint the version\n.El\n.Pp\n"
	     "Each has a page of its own, such as\n.Xr pgweir-serve 1 .\n.Pp\nCalled as\n.Nm pgbouncer ,");
	text("by that name or a link, it takes PgBouncer's command line, and its defaults and refusals are PgBouncer's.");
	puts(".Pp");
	text("Its console is the database pgweir (also pgbouncer) for the users in admin_users and stats_users; there SHOW HELP tells the "
	     "rest.");
	puts(".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/pgweir/pgweir.ini\nwhat the service of the Debian package reads\n"
	     ".It Pa /etc/pgweir/userlist.txt\nits list of users\n.El\n.Sh EXIT STATUS");
	text("0 if all is well; 1 for a command that is not known or that could not be started; else what the command says.");
	puts(".Sh EXAMPLES");
	literal("pgweir serve postgresql://app:secret@db.example/app");
	literal("psql postgresql://app:secret@127.0.0.1:6432/pgweir -c 'SHOW POOLS'");
	see_also("pgweir");
}

/* ---- pgweir.ini(5) */

static void setting(const struct setting *s)
{
	char line[600];

	printf(".It Ic %s\n", s->key);
	plain(s->what);
	snprintf(line, sizeof line, "(%s; default: %s%s%s%s)", s->unit, *s->standard ? s->standard : "empty",
		s->standard_pgbouncer ? "; under the name pgbouncer: " : "",
		!s->standard_pgbouncer           ? ""
			: *s->standard_pgbouncer ? s->standard_pgbouncer
						 : "empty",
		s->reloadable ? "" : "; needs a restart");
	text(line);
	if (s->words) {
		size_t n = (size_t)snprintf(line, sizeof line, "One of");

		for (size_t i = 0; s->words[i].text && n < sizeof line; i++) {
			if (s->words[i].value >= 0)
				n += (size_t)snprintf(
					line + n, sizeof line - n, "%s %s", i ? "," : "", s->words[i].text);
		}
		if (n < sizeof line)
			snprintf(line + n, sizeof line - n, ".");
		text(line);
	}
}

static void settings(const char *title, const struct setting *rows, size_t count, const char *about)
{
	printf(".Sh %s\n", title);
	text(about);
	puts(".Bl -tag -width Ds");
	for (size_t i = 0; i < count; i++) {
		if (rows[i].built == BUILT && !rows[i].hidden)
			setting(&rows[i]);
	}
	puts(".El");
}

static void unbuilt(void)
{
	puts(".Sh KNOWN, BUT WITHOUT EFFECT\nThese are PgBouncer's; a file that sets one is read with a warning.\n.Bl -tag -width Ds");
	for (size_t i = 0; i < schema_settings_count; i++) {
		if (schema_settings[i].built == BUILT)
			continue;
		printf(".It Ic %s\n", schema_settings[i].key);
		text(schema_settings[i].lacking);
	}
	puts(".El");
}

static void print_ini(void)
{
	static const char *const form[] = { "A line that begins with ; or # is a comment.",
		"A value is the rest of its line without the spaces at its ends; there are no quotes and no comments behind it (behind a section there may be one).",
		"A name with other letters than A-Z a-z 0-9 _ . - * stands in single quotes, in which two of them are one.",
		"In [databases] and [users] the value is a list of key=value; single quotes are needed around spaces.",
		"The last value of a setting holds. Several sections of one name continue one another; [pgweir] means the same as "
		"[pgbouncer].",
		"Times are seconds, and decimals are allowed where nothing else is said. Switches are 0 or 1.", NULL };

	head("pgweir.ini", '5', "settings of pgweir");
	puts(".Sh DESCRIPTION\nThe file has the form of PgBouncer's:\n.Bd -literal -offset indent\n[databases]\n"
	     "app = host=127.0.0.1 port=5432 dbname=app password='two words'\n* = host=127.0.0.1\n\n[users]\nreports = pool_size=3 "
	     "query_timeout=600\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_file = userlist.txt\n%include more.ini\n.Ed");
	puts(".Bl -bullet");
	for (size_t i = 0; form[i]; i++) {
		puts(".It");
		text(form[i]);
	}
	puts(".El\n.Pp");
	text("An unknown setting or a bad value is an error that says file, line, what was found and what is allowed; nothing of such a file "
	     "takes effect.");
	puts(".Xr pgweir-check 1\nsays what a file means.");
	settings("SETTINGS", schema_settings, schema_settings_count,
		"These stand in [pgbouncer]. RELOAD and SET on the console change them, but for those that need a restart.");
	settings("DATABASES", schema_database_keys, schema_database_keys_count,
		"The keys of a line in [databases]. The entry * serves every name that has none of its own; pgbouncer and pgweir are the "
		"console.");
	settings("USERS", schema_user_keys, schema_user_keys_count,
		"The keys of a line in [users]. A user's key beats the database's, which beats the setting.");
	unbuilt();
	see_also("pgweir.ini");
}

bool print_man(const char *page)
{
	if (strcmp(page, "pgweir.1") == 0) {
		print_pgweir();
		return true;
	}
	if (strcmp(page, "pgweir.ini.5") == 0) {
		print_ini();
		return true;
	}
	for (size_t i = 0; i < manual_count; i++) {
		char name[64];

		snprintf(name, sizeof name, "pgweir-%s.1", manuals[i].name);
		if (strcmp(page, name) == 0) {
			print_command(&manuals[i]);
			return true;
		}
	}
	return false;
}
