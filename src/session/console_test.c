/* The console's language: what a message says, and that what is not understood does nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"
#include "session/console.h"

/* The command in memory of just its size, so that a read past it is caught by the sanitizer. */
static struct console_command parse_span(struct span text)
{
	struct console_command command;
	uint8_t *copy = malloc(text.length ? text.length : 1);

	assert_non_null(copy);
	memcpy(copy, text.at, text.length);
	memset(&command, 0xa5, sizeof command);
	console_parse(span_of(copy, text.length), &command);
	free(copy);
	return command;
}

static struct console_command parse(const char *text)
{
	return parse_span(span_text(text));
}

static void is(const char *text, enum console_verb verb)
{
	struct console_command command = parse(text);

	if (command.verb != verb)
		fail_msg("<%s> is %d, not %d", text, (int)command.verb, (int)verb);
}

static void nothing_is_empty(void **state)
{
	(void)state;
	is("", VERB_EMPTY);
	is(" \t\r\n\v\f", VERB_EMPTY);
	is(";", VERB_EMPTY);
	is(" ; ;; ", VERB_EMPTY);
	is("-- ping", VERB_EMPTY);
	is("/* hello */ ; -- bye", VERB_EMPTY);
	is("/* without end", VERB_EMPTY);
	is("/*", VERB_EMPTY);
	is("/*/", VERB_EMPTY);
	assert_string_equal(parse("").tag, "");
	assert_false(parse("").admin_only);
}

static void words_know_no_case_and_may_end_in_semicolons(void **state)
{
	static const char *const ways[] = { "SHOW POOLS", "show pools", "Show Pools;", " \n\tshow\t\n POOLS ; ; ",
		"SELECT pools", "select \"Pools\"", "; show pools", "/* who */ show -- what\npools;-- done",
		"show pools;/* x */;" };

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct console_command command = parse(ways[i]);

		assert_int_equal(command.verb, VERB_SHOW);
		assert_string_equal(command.argument, "pools");
		assert_string_equal(command.tag, "SHOW");
		assert_false(command.admin_only);
	}
}

static void show_alone_shows_nothing(void **state)
{
	(void)state;
	assert_int_equal(parse("SHOW;").verb, VERB_SHOW);
	assert_string_equal(parse("SHOW;").argument, "");
	assert_string_equal(parse("show help").argument, "help");
}

static void a_show_that_there_is_not_is_the_desks_business(void **state)
{
	(void)state;
	assert_int_equal(parse("SHOW Nonsense").verb, VERB_SHOW);
	assert_string_equal(parse("SHOW Nonsense").argument, "nonsense");
	assert_string_equal(parse("SELECT 1").argument, "1");
}

static const struct targeted {
	const char *word;
	enum console_verb verb;
} targeted[] = {
	{ "PAUSE", VERB_PAUSE },
	{ "RESUME", VERB_RESUME },
	{ "RECONNECT", VERB_RECONNECT },
	{ "KILL", VERB_KILL },
	{ "KILL_CLIENT", VERB_KILL_CLIENT },
	{ "DISABLE", VERB_DISABLE },
	{ "ENABLE", VERB_ENABLE },
	{ "WAIT_CLOSE", VERB_WAIT_CLOSE },
};
#define TARGETED (sizeof targeted / sizeof *targeted)

static void commands_take_a_database_or_none(void **state)
{
	char text[200];

	(void)state;
	for (size_t i = 0; i < TARGETED; i++) {
		struct console_command command = parse(targeted[i].word);

		assert_int_equal(command.verb, targeted[i].verb);
		assert_string_equal(command.argument, "");
		assert_string_equal(command.tag, targeted[i].word);
		assert_string_equal(command.word, targeted[i].word);
		assert_true(command.admin_only);

		text_format(text, sizeof text, "%s ;", targeted[i].word);
		is(text, targeted[i].verb);
		text_format(text, sizeof text, "%s Shop-1.eu_2;", targeted[i].word);
		command = parse(text);
		assert_int_equal(command.verb, targeted[i].verb);
		assert_string_equal(command.argument, "Shop-1.eu_2");
		text_format(text, sizeof text, "%s \"My \"\"Shop\"\"; x\"", targeted[i].word);
		command = parse(text);
		assert_int_equal(command.verb, targeted[i].verb);
		assert_string_equal(command.argument, "My \"Shop\"; x");
		text_format(text, sizeof text, "%s a b", targeted[i].word);
		is(text, VERB_BAD);
	}
}

static void a_quoted_word_may_stand_close(void **state)
{
	struct console_command command = parse("PAUSE\"shop\";");

	(void)state;
	assert_int_equal(command.verb, VERB_PAUSE);
	assert_string_equal(command.argument, "shop");
}

/* What an argument is lost to must not be obeyed for all databases. */
static void a_bad_argument_is_never_no_argument(void **state)
{
	static const char *const bad[] = { "KILL \"\"", "KILL \"shop", "KILL \"", "KILL 'shop'",
		"KILL =", "KILL (shop)", "KILL shop, other", "KILL \"a\" \"b\"", "KILL \"a\"b", "KILL shop; PAUSE",
		"KILL; KILL shop", "KILL ;;x", "KILL \x01", "SHOW 'x'", "SHOW pools users", "SHOW pools; SHOW users",
		"SHOW ;x", "SHUTDOWN; WAIT_FOR_CLIENTS", "KILL; shop", "SHOW; timezone", "SHOW ,", "SELECT version()",
		"SELECT pools FROM x", "RELOAD now", "RELOAD \"\"", "SHUTDOWN now",
		"SHUTDOWN WAIT_FOR_SERVERS WAIT_FOR_CLIENTS", "SHUTDOWN =", "SHUTDOWN \"\"" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct console_command command = parse(bad[i]);

		is(bad[i], VERB_BAD);
		assert_string_equal(command.argument, "");
		assert_string_equal(command.key, "");
		assert_string_equal(command.value, "");
		assert_string_equal(command.tag, "");
		assert_true(command.word[0] != '\0');
		assert_false(command.admin_only);
	}
}

static void a_zero_byte_ends_no_argument(void **state)
{
	(void)state;
	assert_int_equal(parse_span(span_of("KILL a\0b", 8)).verb, VERB_BAD);
	assert_int_equal(parse_span(span_of("KILL \"a\0b\"", 10)).verb, VERB_BAD);
	assert_int_equal(parse_span(span_of("KILL\0", 5)).verb, VERB_BAD);
	assert_int_equal(parse_span(span_of("SET a = 'b\0c'", 13)).verb, VERB_BAD);
	assert_int_equal(parse_span(span_of("\0", 1)).verb, VERB_UNKNOWN);
	assert_string_equal(parse_span(span_of("\0", 1)).word, "?");
}

static void an_argument_has_at_most_63_bytes(void **state)
{
	char text[200];
	int length, quote;

	(void)state;
	for (quote = 0; quote < 2; quote++) {
		for (length = 62; length <= 65; length++) {
			struct console_command command;

			text_format(
				text, sizeof text, "PAUSE %s%0*d%s", quote ? "\"" : "", length, 7, quote ? "\"" : "");
			command = parse(text);
			assert_int_equal(command.verb, length <= 63 ? VERB_PAUSE : VERB_BAD);
			assert_int_equal(strlen(command.argument), length <= 63 ? length : 0);
		}
	}
}

static void a_name_may_have_any_letters(void **state)
{
	(void)state;
	assert_string_equal(parse("PAUSE b\xc3\xbc"
				  "cher")
				    .argument,
		"b\xc3\xbc"
		"cher");
	assert_string_equal(parse("PAUSE a/b:c@d").argument, "a/b:c@d");
}

/* ---- SET ---- */

static void setting(const char *text, const char *key, const char *value)
{
	struct console_command command = parse(text);

	is(text, VERB_SET);
	assert_string_equal(command.key, key);
	assert_string_equal(command.value, value);
	assert_string_equal(command.tag, "SET");
	assert_true(command.admin_only);
}

static void set_takes_a_key_and_a_value(void **state)
{
	(void)state;
	setting("SET server_lifetime = 3600", "server_lifetime", "3600");
	setting("set Server_Lifetime=3600;", "server_lifetime", "3600");
	setting("SET server_lifetime TO 1.5", "server_lifetime", "1.5");
	setting("SET server_lifetime to'1.5'", "server_lifetime", "1.5");
	setting("SET \"verbose\" = 1", "verbose", "1");
	setting("SET x = -1", "x", "-1");
	setting("SET logfile = /var/log/pg-weir.log", "logfile", "/var/log/pg-weir.log");
	setting("SET auth_query = 'SELECT ''a'', \"b\"; -- c'", "auth_query", "SELECT 'a', \"b\"; -- c");
	setting("SET admin_users = ''", "admin_users", "");
	setting("SET admin_users = anna, bert ,carl;", "admin_users", "anna,bert,carl");
	setting("SET to = to", "to", "to");
	setting("SET session = 1", "session", "1");
	setting("SET transaction_timeout = 3", "transaction_timeout", "3");
	setting("SET idle_transaction_timeout = 3", "idle_transaction_timeout", "3");
	setting("SET query_timeout = 3", "query_timeout", "3");
}

static void half_a_set_is_bad(void **state)
{
	static const char *const bad[] = { "SET", "SET;", "SET a", "SET a =", "SET a = ;", "SET a TO", "SET a 3",
		"SET = 3", "SET a == 3", "SET a = 'x", "SET a = 'x''", "SET a = \"x\"", "SET a = x y", "SET a = x,",
		"SET a = ,x", "SET a = 'x' 'y'", "SET a = 'x', y", "SET a = x; SHOW pools", "SET \"\" = 3",
		"SET a = -- 3" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		is(bad[i], VERB_BAD);
}

static void a_value_has_at_most_255_bytes(void **state)
{
	char text[400];
	int length, quote;

	(void)state;
	for (quote = 0; quote < 2; quote++) {
		for (length = 250; length <= 260; length++) {
			struct console_command command;

			text_format(
				text, sizeof text, "SET a = %s%0*d%s", quote ? "'" : "", length, 7, quote ? "'" : "");
			command = parse(text);
			assert_int_equal(command.verb, length <= 255 ? VERB_SET : VERB_BAD);
			assert_int_equal(strlen(command.value), length <= 255 ? length : 0);
		}
	}
}

/* ---- drivers ---- */

static void drivers_may_set_their_parameters(void **state)
{
	static const char *const greetings[] = { "SET extra_float_digits = 3", "set client_encoding to 'UTF8';",
		"SET DateStyle = ISO, MDY", "SET TIME ZONE 'Europe/Berlin'", "SET TimeZone='UTC'",
		"SET application_name = 'PostgreSQL JDBC Driver'", "SET standard_conforming_strings = on",
		"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"SET default_transaction_isolation TO 'read committed'", "SET NAMES 'utf8'",
		"SET SESSION statement_timeout = 0", "SET LOCAL lock_timeout = '5s'",
		"SET search_path TO \"$user\", public", "SET bytea_output = 'hex' ; ",
		"SET client_min_messages TO WARNING", "SET timezone = 'a;b'",
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE" };

	(void)state;
	for (size_t i = 0; i < sizeof greetings / sizeof *greetings; i++) {
		is(greetings[i], VERB_FAKE_SET);
		assert_false(parse(greetings[i]).admin_only);
		assert_string_equal(parse(greetings[i]).tag, "SET");
	}
	is("SET timezone = 'UTC'; KILL", VERB_BAD);
	is("SET timezone = 'UTC'; SET timezone = 'UTC'", VERB_BAD);
}

static void drivers_are_told_their_parameters(void **state)
{
	static const struct asked {
		const char *text, *key, *value;
	} asked[] = {
		{ "SHOW TRANSACTION ISOLATION LEVEL", "transaction_isolation", "read committed" },
		{ "show transaction  isolation\nlevel;", "transaction_isolation", "read committed" },
		{ "SHOW transaction_isolation", "transaction_isolation", "read committed" },
		{ "SHOW default_transaction_isolation", "default_transaction_isolation", "read committed" },
		{ "SHOW client_encoding", "client_encoding", "UTF8" },
		{ "SHOW standard_conforming_strings", "standard_conforming_strings", "on" },
		{ "SHOW DateStyle;", "datestyle", "ISO" },
		{ "SHOW TIMEZONE", "timezone", "GMT" },
		{ "SHOW TIME ZONE", "timezone", "GMT" },
		{ "SELECT timezone", "timezone", "GMT" },
		{ "SHOW transaction_read_only", "transaction_read_only", "off" },
		{ "SHOW search_path", "search_path", "\"$user\", public" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		struct console_command command = parse(asked[i].text);

		is(asked[i].text, VERB_FAKE_SHOW);
		assert_string_equal(command.key, asked[i].key);
		assert_string_equal(command.value, asked[i].value);
		assert_string_equal(command.tag, "SHOW");
		assert_false(command.admin_only);
	}
	is("SHOW transaction isolation", VERB_BAD);
	is("SHOW TIME", VERB_SHOW);
	is("SHOW timezone x", VERB_BAD);
}

/* ---- the rest ---- */

static void shutdown_waits_for_whom_it_is_told(void **state)
{
	(void)state;
	assert_int_equal(parse("SHUTDOWN").verb, VERB_SHUTDOWN);
	assert_int_equal(parse("SHUTDOWN;").shutdown, CONSOLE_SHUTDOWN_NOW);
	assert_int_equal(parse("SHUTDOWN wait_for_servers;").shutdown, CONSOLE_SHUTDOWN_SERVERS);
	assert_int_equal(parse("shutdown WAIT_FOR_CLIENTS").shutdown, CONSOLE_SHUTDOWN_CLIENTS);
	assert_int_equal(parse("shutdown WAIT_FOR_CLIENTS").verb, VERB_SHUTDOWN);
	assert_int_equal(parse("SHUTDOWN TAKEN_OVER 4711;").shutdown, CONSOLE_SHUTDOWN_TAKEN_OVER);
	assert_int_equal(parse("SHUTDOWN TAKEN_OVER 4711;").numbers[0], 4711);
	assert_int_equal(parse("SHUTDOWN TAKEN_OVER").verb, VERB_BAD);
	assert_int_equal(parse("SHUTDOWN TAKEN_OVER 0").verb, VERB_BAD);
	assert_true(parse("SHUTDOWN").admin_only);
	is("SHUTDOWN WAIT_FOR_CLIENT", VERB_BAD);
}

static void reload_stands_alone(void **state)
{
	(void)state;
	is("reload;", VERB_RELOAD);
	assert_true(parse("RELOAD").admin_only);
	is("Suspend;", VERB_SUSPEND);
	is("SUSPEND shop", VERB_BAD);
	assert_true(parse("SUSPEND").admin_only);
	assert_string_equal(parse("reload").tag, "RELOAD");
}

static void an_unknown_command_is_named_as_it_was_written(void **state)
{
	static const struct unknown {
		const char *text, *word;
	} unknown[] = {
		{ "Begin;", "Begin" },
		{ "SHOWPOOLS", "SHOWPOOLS" },
		{ "kil shop", "kil" },
		{ "(SELECT 1)", "(SELECT" },
		{ "'x'", "'x'" },
		{ "\"SHOW\" pools", "\"SHOW\"" },
		{ "a\x01\x7f"
		  "b",
			"a??b" },
		{ "= 3", "=" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		is(unknown[i].text, VERB_UNKNOWN);
		assert_string_equal(parse(unknown[i].text).word, unknown[i].word);
		assert_false(parse(unknown[i].text).admin_only);
	}
	assert_string_equal(parse("Kill shop").word, "Kill");
}

static void a_long_word_is_not_cut_inside_a_letter(void **state)
{
	char text[200];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(strlen(parse(text).word), 63);
	memcpy(text + 61, "\xe2\x82\xac", 3); /* one letter at 61 to 63 */
	assert_int_equal(strlen(parse(text).word), 61);
	memcpy(text + 60, "\xe2\x82\xacx", 4);
	assert_int_equal(strlen(parse(text).word), 63);
}

static void the_help_names_every_command(void **state)
{
	(void)state;
	for (size_t i = 0; i < TARGETED; i++)
		assert_non_null(strstr(console_help(), targeted[i].word));
	assert_non_null(strstr(console_help(), "SHOW HELP"));
	assert_non_null(strstr(console_help(), "SET key = value"));
	assert_non_null(strstr(console_help(), "RELOAD"));
	assert_non_null(strstr(console_help(), "SHUTDOWN"));
	assert_non_null(strstr(console_help(), "\tREAP "));
	assert_non_null(strstr(console_help(), "\tPROTECT ORIGIN <id>\n"));
	assert_non_null(strstr(console_help(), "\tUNPROTECT ORIGIN <id>\n"));
}

/* Commands put together by chance from the language's own pieces: nothing is obeyed but one statement of one or two words. */
static void no_heap_of_words_does_more_than_it_says(void **state)
{
	static const char *const pieces[] = { "KILL", "shop", "\"my shop\"", ";", "PAUSE", "-- x\n" };
	struct rng rng;
	int kills = 0;

	(void)state;
	rng_seed(&rng, 4);
	for (int round = 0; round < 20000; round++) {
		size_t pieces_count = rng_below(&rng, 6), length = 0, words = 0, statements = 1;
		bool ended = false, kill = false;
		char text[400] = "";
		struct console_command command;

		while (pieces_count-- > 0) {
			size_t piece = rng_below(&rng, 6);

			length += text_format(text + length, sizeof text - length, "%s ", pieces[piece]);
			if (piece == 3) {
				ended = words > 0;
			} else if (piece != 5) {
				statements += ended;
				ended = false;
				kill |= words == 0 && piece == 0;
				words++;
			}
		}
		command = parse(text);
		assert_int_equal(command.verb == VERB_EMPTY, words == 0);
		assert_int_equal(command.verb == VERB_KILL, kill && statements == 1 && words <= 2);
		if (command.verb == VERB_KILL) {
			assert_int_equal(command.argument[0] != '\0', words == 2);
			kills++;
		}
	}
	assert_true(kills > 1000);
}

int main(void)
{
	const struct CMUnitTest stories[] = {
		cmocka_unit_test(nothing_is_empty),
		cmocka_unit_test(words_know_no_case_and_may_end_in_semicolons),
		cmocka_unit_test(show_alone_shows_nothing),
		cmocka_unit_test(a_show_that_there_is_not_is_the_desks_business),
		cmocka_unit_test(commands_take_a_database_or_none),
		cmocka_unit_test(a_quoted_word_may_stand_close),
		cmocka_unit_test(a_bad_argument_is_never_no_argument),
		cmocka_unit_test(a_zero_byte_ends_no_argument),
		cmocka_unit_test(an_argument_has_at_most_63_bytes),
		cmocka_unit_test(a_name_may_have_any_letters),
		cmocka_unit_test(set_takes_a_key_and_a_value),
		cmocka_unit_test(half_a_set_is_bad),
		cmocka_unit_test(a_value_has_at_most_255_bytes),
		cmocka_unit_test(drivers_may_set_their_parameters),
		cmocka_unit_test(drivers_are_told_their_parameters),
		cmocka_unit_test(shutdown_waits_for_whom_it_is_told),
		cmocka_unit_test(reload_stands_alone),
		cmocka_unit_test(an_unknown_command_is_named_as_it_was_written),
		cmocka_unit_test(a_long_word_is_not_cut_inside_a_letter),
		cmocka_unit_test(the_help_names_every_command),
		cmocka_unit_test(no_heap_of_words_does_more_than_it_says),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
