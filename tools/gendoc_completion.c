#include "tools/gendoc.h"

#include <stdio.h>
#include <string.h>

#include "config/schema.h"
#include "tool/manual.h"

/* Completions for three shells, from the tables of the commands and of the settings: commands, then the options of the command, then what an
 * option or the command takes. */

/* The short name of an option, or 0. */
static char short_name(const struct manual_option *o)
{
	return o->names[0] == '-' && o->names[1] != '-' ? o->names[1] : 0;
}

static void long_name(const struct manual_option *o, char *name, size_t size)
{
	const char *at = o->names;

	if (!manual_long_name(&at, name, size))
		*name = 0;
}

/* In single quotes of a shell; `also` are letters that its completion gives a meaning to, escaped by backslashes. */
static void quoted(const char *text, const char *also)
{
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr(also, *text))
			printf("\\%c", *text);
		else
			putchar(*text);
	}
	putchar('\'');
}

static void print_settings(const char *between, const char *behind)
{
	bool first = true;

	for (size_t i = 0; i < schema_settings_count; i++) {
		if (schema_settings[i].built != BUILT || schema_settings[i].hidden)
			continue;
		printf("%s%s%s", first ? "" : between, schema_settings[i].key, behind);
		first = false;
	}
}

/* ---- bash */

static void bash_values(enum manual_value value)
{
	switch (value) {
	case VALUE_FILE:
		puts("\t\t\tCOMPREPLY=($(compgen -f -- \"$word\"))");
		break;
	case VALUE_FOLDER:
		puts("\t\t\tCOMPREPLY=($(compgen -d -- \"$word\"))");
		break;
	case VALUE_SETTING:
		puts("\t\t\tcompopt -o nospace\n\t\t\tCOMPREPLY=($(compgen -W \"$settings\" -- \"$word\"))");
		break;
	case VALUE_URL:
		puts("\t\t\tcompopt -o nospace\n\t\t\tCOMPREPLY=($(compgen -W postgresql:// -- \"$word\"))");
		break;
	default:
		puts("\t\t\tCOMPREPLY=()");
	}
}

static void bash_options(const struct manual *m)
{
	for (int value = VALUE_TEXT; value <= VALUE_COMMAND; value++) {
		bool any = false;

		for (size_t i = 0; i < m->option_count; i++) {
			const struct manual_option *o = &m->options[i];
			char name[40];

			if ((int)o->value != value)
				continue;
			long_name(o, name, sizeof name);
			printf("%s", any ? " | " : "\t\t");
			if (short_name(o))
				printf("-%c%s", short_name(o), *name ? " | " : "");
			if (*name)
				printf("--%s", name);
			any = true;
		}
		if (any) {
			puts(")");
			bash_values((enum manual_value)value);
			puts("\t\t\treturn\n\t\t\t;;");
		}
	}
}

static void print_bash(void)
{
	fputs("# bash completion for pgweir. Made by tools/gendoc from src/tool/manual_pages.c; edit there.\n"
	      "_pgweir() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options=--help\n"
	      "\tlocal settings=\"",
		stdout);
	print_settings(" ", "=");
	fputs("\"\n\tlocal commands=\"", stdout);
	for (size_t i = 0; i < manual_count; i++)
		printf("%s ", manuals[i].name);
	fputs("help version\"\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$word\"))\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tcase ${COMP_WORDS[1]} in\n"
	      "\thelp)\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$commands\" -- \"$word\"))\n"
	      "\t\treturn\n"
	      "\t\t;;\n",
		stdout);
	for (size_t i = 0; i < manual_count; i++) {
		const struct manual *m = &manuals[i];

		printf("\t%s)\n\t\tcase $before in\n", m->name);
		bash_options(m);
		fputs("\t\tesac\n\t\toptions=\"", stdout);
		for (size_t o = 0; o < m->option_count; o++) {
			char name[40];

			long_name(&m->options[o], name, sizeof name);
			if (*name)
				printf("--%s ", name);
		}
		puts("--help\"\n\t\t;;");
	}
	fputs("\tesac\n"
	      "\tcase $word in\n"
	      "\t-*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
	      "\t*) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
	      "\tesac\n"
	      "}\n"
	      "complete -o filenames -F _pgweir pgweir\n",
		stdout);
}

/* ---- zsh */

static const char *zsh_value(enum manual_value value)
{
	switch (value) {
	case VALUE_NONE:
		return "";
	case VALUE_FILE:
		return ":file:_files";
	case VALUE_FOLDER:
		return ":folder:_files -/";
	case VALUE_SETTING:
		return ":setting:_pgweir_settings";
	case VALUE_URL:
		return ":URL: ";
	default:
		return ":value: ";
	}
}

static void zsh_option(const struct manual_option *o)
{
	char name[40], spec[400];

	long_name(o, name, sizeof name);
	if (*name) {
		snprintf(spec, sizeof spec, "*--%s%s[%s]%s", name, o->value == VALUE_NONE ? "" : "=", o->what,
			zsh_value(o->value));
		fputs(" \\\n\t\t\t", stdout);
		/* Brackets and colons inside the words would end them: none of them has any, and the test of the completions would tell. */
		quoted(spec, "");
	}
	if (short_name(o)) {
		snprintf(spec, sizeof spec, "*-%c[%s]%s", short_name(o), o->what, zsh_value(o->value));
		fputs(" \\\n\t\t\t", stdout);
		quoted(spec, "");
	}
}

static void print_zsh(void)
{
	fputs("#compdef pgweir\n"
	      "# zsh completion for pgweir. Made by tools/gendoc from src/tool/manual_pages.c; edit there.\n"
	      "\n"
	      "_pgweir_settings() {\n\tlocal -a settings=(",
		stdout);
	print_settings(" ", "");
	fputs(")\n\tcompadd -S = -- $settings\n}\n\n_pgweir_commands() {\n\tlocal -a commands=(\n", stdout);
	for (size_t i = 0; i < manual_count; i++) {
		char spec[300];

		snprintf(spec, sizeof spec, "%s:%s", manuals[i].name, manuals[i].brief);
		fputs("\t\t", stdout);
		quoted(spec, "");
		putchar('\n');
	}
	fputs("\t\t'help:this list, or how one command is used'\n\t\t'version:print the version'\n\t)\n"
	      "\t_describe command commands\n}\n\n"
	      "_pgweir() {\n\tif ((CURRENT == 2)); then\n\t\t_pgweir_commands\n\t\treturn\n\tfi\n"
	      "\tlocal command=$words[2]\n\tshift words\n\t((CURRENT--))\n\tcase $command in\n"
	      "\thelp) _pgweir_commands ;;\n",
		stdout);
	for (size_t i = 0; i < manual_count; i++) {
		printf("\t%s)\n\t\t_arguments -s \\\n\t\t\t'(- *)--help[say briefly how it is used]'", manuals[i].name);
		for (size_t o = 0; o < manuals[i].option_count; o++)
			zsh_option(&manuals[i].options[o]);
		printf(" \\\n\t\t\t'*:%s:_files'\n\t\t;;\n", manuals[i].operand == VALUE_URL ? "URL" : "file or URL");
	}
	puts("\tesac\n}\n\n_pgweir \"$@\"");
}

/* ---- fish */

static void print_fish(void)
{
	puts("# fish completion for pgweir. Made by tools/gendoc from src/tool/manual_pages.c; edit there.\n"
	     "complete -c pgweir -n __fish_use_subcommand -f");
	for (size_t i = 0; i < manual_count; i++) {
		printf("complete -c pgweir -n __fish_use_subcommand -a %s -d ", manuals[i].name);
		quoted(manuals[i].brief, "\\");
		putchar('\n');
	}
	puts("complete -c pgweir -n __fish_use_subcommand -a help -d 'this list, or how one command is used'\n"
	     "complete -c pgweir -n __fish_use_subcommand -a version -d 'print the version'");
	fputs("complete -c pgweir -n '__fish_seen_subcommand_from help' -f -a '", stdout);
	for (size_t i = 0; i < manual_count; i++)
		printf("%s%s", i ? " " : "", manuals[i].name);
	puts("'");
	for (size_t i = 0; i < manual_count; i++) {
		for (size_t o = 0; o < manuals[i].option_count; o++) {
			const struct manual_option *option = &manuals[i].options[o];
			char name[40];

			long_name(option, name, sizeof name);
			printf("complete -c pgweir -n '__fish_seen_subcommand_from %s'", manuals[i].name);
			if (short_name(option))
				printf(" -s %c", short_name(option));
			if (*name)
				printf(" -l %s", name);
			if (option->value == VALUE_FILE || option->value == VALUE_FOLDER)
				fputs(" -r -F", stdout);
			else if (option->value != VALUE_NONE)
				fputs(" -x", stdout);
			if (option->value == VALUE_SETTING) {
				fputs(" -a '", stdout);
				print_settings(" ", "=");
				putchar('\'');
			}
			fputs(" -d ", stdout);
			quoted(option->what, "\\");
			putchar('\n');
		}
	}
}

bool print_completion(const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else
		return false;
	return true;
}
