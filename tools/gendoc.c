#include <stdio.h>

#include "base/text.h"
#include "config/schema.h"

/* Prints doc/settings.md from the tables of src/config/schema.c, the same ones that files are read with. Called by
 * tools/gendoc, which compiles it. */

static const char head[] =
	"# Settings\n"
	"\n"
	"<!-- Made by tools/gendoc from src/config/schema.c; edit there. -->\n"
	"\n"
	"The file has PgBouncer's form:\n"
	"\n"
	"```ini\n"
	"; a comment, as is a line that begins with #\n"
	"[databases]\n"
	"app = host=127.0.0.1 port=5432 dbname=app password='two words'\n"
	"* = host=127.0.0.1\n"
	"\n"
	"[users]\n"
	"reports = pool_size=3 query_timeout=600\n"
	"\n"
	"[pgbouncer]\n"
	"listen_addr = 127.0.0.1\n"
	"auth_file = userlist.txt\n"
	"%include more.ini\n"
	"```\n"
	"\n"
	"- A value is the rest of its line without the spaces at its ends; there are no quotes and no comments behind it.\n"
	"- A name with other letters than `A-Z a-z 0-9 _ . - *` stands in single quotes, in which `''` is one quote.\n"
	"- In `[databases]` and `[users]` the value is a list of `key=value`; single quotes are needed around spaces.\n"
	"- `%include` names a file, relative to the current directory; it may be nested ten deep.\n"
	"- The last value of a setting holds, and so does the last line about a database or user. Several sections of one name "
	"continue one another; `[pgweir]` means the same as `[pgbouncer]`.\n"
	"- Times are seconds without a unit, and decimals are allowed where nothing else is said. Switches are `0` or `1`.\n"
	"- `-o KEY=VALUE` on the command line beats the file; `-o databases.NAME=...` and `-o users.NAME=...` are lines of those "
	"sections.\n"
	"\n"
	"An unknown setting or a bad value is an error that says file, line, what was found and what is allowed; nothing of such a "
	"file takes effect, on RELOAD neither. **live** means that RELOAD and `SET` on the console change the setting; the others "
	"need a restart. **since** is the version of PgBouncer that brought it.\n";

/* Text in a cell of a table: '|' would end it, '<' begin a tag. */
static void print_cell(const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputs("\\|", stdout);
		else if (*text == '<')
			fputs("&lt;", stdout);
		else
			putchar(*text);
	}
}

static void print_words(const struct setting_word *words)
{
	const char *between = " One of ";

	for (; words && words->text; words++) {
		if (words->value < 0)
			continue;
		printf("%s`%s`", between, words->text);
		between = ", ";
	}
	if (*between == ',')
		putchar('.');
}

static void print_row(const struct setting *row, bool entry)
{
	printf("| `%s` | ", row->key);
	if (entry)
		print_cell(row->standard);
	else if (*row->standard)
		printf("`%s`", row->standard);
	printf(" | %s | ", row->unit);
	if (!entry)
		printf("%s | ", row->reloadable ? "live" : "");
	printf("%s | ", row->since);
	print_cell(row->what);
	print_words(row->words);
	if (row->alias)
		printf(" Also `%s`.", row->alias);
	if (row->standard_pgbouncer)
		printf(" Called as `pgbouncer`: `%s`.", row->standard_pgbouncer);
	puts(" |");
}

static void print_settings(const char *title, bool ours)
{
	printf("\n## %s\n\n| setting | default | unit | | since | what |\n|---|---|---|---|---|---|\n", title);
	for (size_t i = 0; i < schema_settings_count; i++) {
		const struct setting *row = &schema_settings[i];

		if (row->built == BUILT && ours == (strcmp(row->since, "pgweir") == 0))
			print_row(row, false);
	}
}

static void print_entries(const char *title, const char *text, const struct setting *rows, size_t count)
{
	printf("\n## %s\n\n%s\n\n| key | default | unit | since | what |\n|---|---|---|---|---|\n", title, text);
	for (size_t i = 0; i < count; i++) {
		if (rows[i].built == BUILT)
			print_row(&rows[i], true);
	}
}

static void print_unbuilt_rows(const char *section, const struct setting *rows, size_t count, enum built built)
{
	for (size_t i = 0; i < count; i++) {
		const struct setting *row = &rows[i];

		if (row->built != built)
			continue;
		printf("| `%s` | %s | ", row->key, section);
		print_cell(row->what);
		printf(" | ");
		print_cell(row->lacking);
		puts(" |");
	}
}

static void print_unbuilt(const char *title, const char *text, enum built built)
{
	printf("\n## %s\n\n%s\n\n| key | section | what it is in PgBouncer | here |\n|---|---|---|---|\n", title, text);
	print_unbuilt_rows("[pgbouncer]", schema_settings, schema_settings_count, built);
	print_unbuilt_rows("[databases]", schema_database_keys, schema_database_keys_count, built);
	print_unbuilt_rows("[users]", schema_user_keys, schema_user_keys_count, built);
	print_unbuilt_rows("[peers]", schema_peer_keys, schema_peer_keys_count, built);
}

int main(void)
{
	fputs(head, stdout);
	print_settings("[pgbouncer], as PgBouncer has them", false);
	print_settings("[pgbouncer], ours", true);
	print_entries("[databases]",
		"The entry `*` serves every name that has none of its own. `pgbouncer` and `pgweir` are the console.",
		schema_database_keys, schema_database_keys_count);
	print_entries("[users]",
		"A user's key beats the database's, which beats the setting. The user is the one who logs in to the server: with "
		"`user=` in `[databases]` that one, whoever the client is.",
		schema_user_keys, schema_user_keys_count);
	print_unbuilt("Known, but not built yet",
		"A file that sets one of these to something else than its default is read with a warning. `auth_type` may not be "
		"`cert`, `hba`, `ldap` or `pam` yet: that is an error.",
		NOT_YET);
	print_unbuilt("Known, but not needed here", "Likewise; these will stay without effect.", NOT_NEEDED);
	return ferror(stdout) != 0;
}
