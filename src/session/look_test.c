/* What the look sees in a statement: never less than there is, and nothing in what applications send all day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"
#include "session/look.h"

struct row {
	const char *text;
	uint32_t marks;
};

static void holds(const struct row *rows, size_t count)
{
	struct look look;

	for (size_t i = 0; i < count; i++) {
		look_at(span_text(rows[i].text), &look);
		look.marks &= ~(uint32_t)(LOOK_COMMAND | LOOK_DEFINES | LOOK_REDEFINES | LOOK_INDEXES | LOOK_READING |
			LOOK_CLOCK | LOOK_IN_FRONT);
		if (look.marks != rows[i].marks)
			fail_msg("%s: marks %x instead of %x", rows[i].text, look.marks, rows[i].marks);
	}
}

#define HOLDS(...) \
	do { \
		static const struct row rows[] = { __VA_ARGS__ }; \
		holds(rows, sizeof rows / sizeof rows[0]); \
	} while (0)

static void everyday_statements_leave_nothing(void **state)
{
	(void)state;
	HOLDS({ "", 0 }, { "  -- nothing", 0 }, { "SELECT 1", 0 }, { "BEGIN; SELECT 1; COMMIT", 0 },
		{ "SELECT count(*), max(t.a) FROM \"t\" INNER JOIN u ON (t.id = u.id) WHERE (a IN (1, 2)) AND lower(b) = $1 LIMIT (5)",
			0 },
		{ "INSERT INTO \"app_user\" (\"a\", \"b\") VALUES ($1, $2) RETURNING \"id\"", LOOK_INSERT },
		{ "INSERT INTO public.t AS x (a) SELECT coalesce(b, 'set_config(') FROM u ON CONFLICT (a) DO UPDATE SET a = excluded.a",
			LOOK_INSERT },
		{ "UPDATE t SET a = pg_catalog.now(), b = 'SET x = 1; LISTEN y' WHERE c::numeric(10, 2) > 0", 0 },
		{ "SELECT temp, \"temporary\" FROM weather AS temp; UPDATE weather SET temp = 1", 0 },
		{ "INSERT INTO weather (temp) SELECT temp FROM temporary", LOOK_INSERT },
		{ "DELETE FROM t WHERE id = ANY ($1)", 0 }, { "COPY t (a, b) FROM STDIN", LOOK_INSERT },
		{ "COPY (SELECT 1) TO STDOUT", LOOK_INSERT },
		{ "WITH x AS (SELECT 1) SELECT row_number() OVER (PARTITION BY a) FROM x", 0 },
		{ "SAVEPOINT a; RELEASE a", 0 }, { "DECLARE c CURSOR FOR SELECT 1", 0 }, { "FETCH 10 FROM c", 0 },
		{ "SET LOCAL work_mem = '1GB'", 0 }, { "set transaction isolation level serializable", 0 },
		{ "SELECT set_config('app.tenant', $1, true)", 0 }, { "SELECT pg_advisory_xact_lock(1)", 0 },
		{ "PREPARE TRANSACTION 'x'", LOOK_PREPARE }, { "SELECT temperature, held FROM t", 0 },
		{ "NOTIFY a, 'b'", 0 }, { "(SELECT 1) UNION (SELECT 2)", 0 }, { "EXPLAIN (ANALYZE) SELECT 1", 0 },
		{ "SELECT $tag$ SET x = 1 $tag$, $1, $$LISTEN a$$", 0 }, { "SHOW search_path", 0 });
}

static void what_changes_settings_is_seen(void **state)
{
	(void)state;
	HOLDS({ "SET search_path = a, b", LOOK_SETTINGS },
		{ "/* x */ set -- y\n session work_mem to '1MB'", LOOK_SETTINGS },
		{ "SELECT 1; ;SET TIME ZONE 'UTC'", LOOK_SETTINGS }, { "SET SESSION AUTHORIZATION joe", LOOK_SETTINGS },
		{ "SET ROLE joe", LOOK_SETTINGS }, { "SET NAMES 'utf8'", LOOK_SETTINGS },
		{ "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", LOOK_SETTINGS },
		{ "SELECT set_config('work_mem', '1MB', false)", LOOK_SETTINGS },
		{ "SELECT pg_catalog.set_config('a', lower('b, c'), $1)", LOOK_SETTINGS },
		{ "select \"set_config\"($1, $2, true)", LOOK_SETTINGS | LOOK_UNNAMED },
		{ "SELECT set_config('a' || 'b', 'x', false)", LOOK_SETTINGS | LOOK_UNNAMED },
		{ "SET app.gr\xc3\xb6\xc3\x9f = 'x'", LOOK_SETTINGS | LOOK_UNNAMED },
		{ "UPDATE pg_settings SET setting = 'x' WHERE name = 'work_mem'", LOOK_SETTINGS },
		{ "RESET ALL", LOOK_SETTINGS | LOOK_RESET_ALL }, { "RESET x", LOOK_SETTINGS | LOOK_RESET },
		{ "SET x TO DEFAULT", LOOK_SETTINGS | LOOK_RESET },
		{ "RESET x; SET y = 1", LOOK_SETTINGS | LOOK_RESET | LOOK_SET_BEHIND },
		{ "RESET ALL; SELECT set_config('x', 'y', false)", LOOK_SETTINGS | LOOK_RESET_ALL | LOOK_SET_BEHIND },
		{ "SET y = 1; RESET ALL; SELECT 1", LOOK_SETTINGS | LOOK_RESET_ALL },
		{ "SET TIME ZONE LOCAL", LOOK_SETTINGS | LOOK_RESET },
		{ "SET SEED TO 0.5", LOOK_SETTINGS | LOOK_FOR_GOOD },
		{ "DISCARD ALL",
			LOOK_SETTINGS | LOOK_TEMPORARY | LOOK_CURSOR | LOOK_LOCK | LOOK_PREPARE | LOOK_LISTEN |
				LOOK_RESET_ALL });
}

static uint32_t marks_of(const char *text)
{
	struct look look;

	look_at(span_text(text), &look);
	return look.marks;
}

static void what_makes_texts_mean_something_else_is_seen(void **state)
{
	static const char *const reading[] = { "SET LOCAL search_path = a", "set local time zone 'UTC'",
		"SET datestyle = 'German'", "SELECT set_config('TimeZone', 'UTC', true)",
		"SELECT set_config($1, 'x', false)", "SET LOCAL ROLE joe", "SET SESSION AUTHORIZATION joe",
		"RESET search_path", "RESET ALL", "DISCARD ALL", "SET NAMES 'LATIN1'",
		"UPDATE pg_settings SET setting = 'x'", "SELECT set_config($1, 'x', true)",
		"BEGIN; SET LOCAL standard_conforming_strings TO off", "SET SCHEMA 'a'", "SET LOCAL SCHEMA 'a'",
		"SET LOCAL XML OPTION DOCUMENT" };
	static const char *const alike[] = { "SET LOCAL work_mem = '1GB'", "SET app.tenant = 'x'",
		"SELECT set_config('app.tenant', $1, true)", "SET LOCAL app.tenant = 'x'", "RESET work_mem",
		"SET TRANSACTION READ ONLY", "SHOW search_path", "SET schema.tenant = 'x'" };
	static const char *const clock[] = { "SELECT 'now'::timestamptz", "SELECT * FROM t WHERE d > ' Today 12:00'",
		"SELECT date 'yesterday'", "INSERT INTO t VALUES (E'tomorrow')", "SELECT $$now$$::date",
		"SELECT $x$ today$x$::date", "SELECT E'n\\x6fw'::date", "SELECT U&'n\\006fw'::date",
		"SELECT 'no'\n'w'::date", "SELECT '10:00 Tomorrow'::timestamp", "SELECT '{now}'::timestamptz[]",
		"SELECT '[2020-01-01,today)'::daterange" };
	static const char *const no_clock[] = { "SELECT now()", "SELECT 'it is unknown, nowhere, snow'", "SELECT 'no'",
		"SELECT 'no', 'w'", "SELECT $$a$$, E'a'", "SELECT E'C:\\\\a long way to go and back again'",
		"SELECT today FROM t", "SELECT ''" };
	(void)state;
	for (size_t i = 0; i < sizeof reading / sizeof reading[0]; i++)
		assert_true(marks_of(reading[i]) & LOOK_READING);
	for (size_t i = 0; i < sizeof alike / sizeof alike[0]; i++)
		assert_false(marks_of(alike[i]) & LOOK_READING);
	for (size_t i = 0; i < sizeof clock / sizeof clock[0]; i++)
		assert_true(marks_of(clock[i]) & LOOK_CLOCK);
	for (size_t i = 0; i < sizeof no_clock / sizeof no_clock[0]; i++)
		assert_false(marks_of(no_clock[i]) & LOOK_CLOCK);
}

static void what_a_session_holds_is_seen(void **state)
{
	(void)state;
	HOLDS({ "CREATE TEMP TABLE t AS SELECT 1", LOOK_TEMPORARY }, { "SELECT 1 INTO temporary t", LOOK_TEMPORARY },
		/* Before PostgreSQL 15. */
		{ "SELECT 1INTO TEMP t", LOOK_TEMPORARY },
		{ "SELECT 1a$x$; CREATE TEMP TABLE t (); SELECT 1a$x$", LOOK_TEMPORARY },
		/* A column may have that name. */
		{ "SELECT u.insert INTO TEMP t FROM u", LOOK_TEMPORARY | LOOK_INSERT },
		{ "SELECT a AS merge INTO TEMP t FROM u", LOOK_TEMPORARY },
		{ "(SELECT \"insert\" INTO TEMP t FROM u)", LOOK_TEMPORARY | LOOK_INSERT },
		{ "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", LOOK_INSERT },
		{ "EXPLAIN ANALYZE INSERT INTO t VALUES (1)", LOOK_INSERT },
		{ "CREATE TABLE pg_temp.t AS SELECT 1", LOOK_TEMPORARY }, { "DROP TABLE t", LOOK_TEMPORARY },
		{ "SELECT 1 AS n INTO t", LOOK_TEMPORARY },
		{ "EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", LOOK_TEMPORARY },
		{ "WITH x AS (SELECT 1) SELECT * INTO TEMP t FROM x", LOOK_TEMPORARY },
		{ "MERGE INTO t USING u ON (t.a = u.a) WHEN MATCHED THEN DELETE", 0 },
		{ "WITH x AS (INSERT INTO t VALUES (1)) SELECT 1", LOOK_INSERT },
		{ "CREATE VIEW \"pg_temp\".v AS SELECT 1", LOOK_TEMPORARY },
		{ "DECLARE c CURSOR WITH HOLD FOR SELECT 1", LOOK_CURSOR }, { "CLOSE c", LOOK_CURSOR },
		{ "SELECT pg_advisory_lock(1)", LOOK_LOCK }, { "SELECT pg_advisory_unlock_all()", LOOK_LOCK },
		{ "SELECT pg_try_advisory_lock_shared(1, 2)", LOOK_LOCK }, { "LISTEN a", LOOK_LISTEN | LOOK_HEAR },
		{ "UNLISTEN *", LOOK_LISTEN }, { "PREPARE a AS SELECT 1", LOOK_PREPARE },
		{ "EXECUTE a (1)", LOOK_EXECUTE }, { "EXECUTE a(mine('X'))", LOOK_EXECUTE | LOOK_CALLS },
		{ "EXECUTE a", LOOK_EXECUTE }, { "EXPLAIN ANALYZE EXECUTE a", LOOK_EXECUTE },
		{ "CREATE TABLE t AS EXECUTE a", LOOK_TEMPORARY | LOOK_EXECUTE }, { "DEALLOCATE ALL", LOOK_PREPARE },
		{ "SELECT nextval('s')", LOOK_SEQUENCE }, { "SELECT currval('s')", LOOK_CURRVAL },
		{ "UPDATE t SET a = DEFAULT", LOOK_SEQUENCE }, { "SELECT a FROM t AS \"default\"", 0 },
		{ "TRUNCATE t RESTART IDENTITY", LOOK_TOUCHES }, { "LOAD 'x'", LOOK_FOR_GOOD },
		{ "SELECT setseed(0)", LOOK_FOR_GOOD });
}

static void what_can_not_be_seen_is_unknown(void **state)
{
	(void)state;
	HOLDS({ "SELECT mine(1)", LOOK_CALLS }, { "SELECT app.now()", LOOK_CALLS },
		{ "SELECT a[1:mine(2)]", LOOK_CALLS }, { "SELECT \"Lower\"('x')", LOOK_CALLS },
		{ "DO $$ BEGIN PERFORM set_config('a', 'b', false); END $$", LOOK_UNKNOWN | LOOK_UNNAMED },
		{ "DO $$ BEGIN EXECUTE 'lLisTEN a'; END $$", LOOK_UNKNOWN | LOOK_UNNAMED | LOOK_LISTEN | LOOK_HEAR },
		{ "CALL p()", LOOK_UNKNOWN | LOOK_CALLS }, { "FROBNICATE", LOOK_UNKNOWN },
		{ "SELECT query_to_xml('SELECT 1', true, true, '')", LOOK_UNKNOWN | LOOK_UNNAMED },
		{ "CREATE EXTENSION x", LOOK_TEMPORARY | LOOK_UNKNOWN });
	/* A table that gets columns is no function that is called. */
	HOLDS({ "CREATE TABLE t (id int)", LOOK_TEMPORARY },
		{ "CREATE TABLE IF NOT EXISTS t (id int REFERENCES u (id))", LOOK_TEMPORARY },
		{ "CREATE TABLE t (id int DEFAULT mine(1))", LOOK_TEMPORARY | LOOK_CALLS });
}

static void a_block_that_says_nothing_of_the_kind_hides_no_setting(void **state)
{
	static const char *const hides[] = { "DO $$BEGIN SET app.tenant = 'x'; END$$",
		"DO $a$BEGIN SET SESSION app . tenant TO 1; END$a$", "DO $$BEGIN SET \"app.tenant\" = 'x'; END$$",
		"DO $$BEGIN SET \"app\".tenant = 'x'; END$$", "DO $$BEGIN SET /* $ */ app.tenant = 'x'; END$$",
		"DO $$BEGIN PERFORM \"set_config\"('app.tenant', 'x', false); END$$", "DO $$BEGIN EXECUTE said; END$$",
		"DO $$BEGIN RESET app.tenant; END$$", "DO $$BEGIN DISCARD ALL; END$$",
		"DO $$BEGIN UPDATE pg_settings SET setting = 'x'; END$$",
		"DO $$BEGIN PERFORM U&\"s\\0065t_config\"('a.b', 'x', false); END$$", "DO 'BEGIN PERFORM 1; END'",
		"DO E'BEGIN PERFORM 1; END'", "DO LANGUAGE plperl $$1$$", "DO $$1$$ LANGUAGE plperl",
		"DO LANGUAGE plpgsql $$BEGIN END$$", "DO -- $\n$$BEGIN END$$", "DO", "DO $", "DO $$", "DO $$ BEGIN",
		"DO $$BEGIN PERFORM query_to_xml('SELECT 1', true, true, ''); END$$",
		"DO $$BEGIN PERFORM 'a\\' || 'b'; END$$",
		"DO $$BEGIN PERFORM a(), b(), c(), d(), e(), f(), g(), h(), i(), j(), k(), l(), m(), n(), o(), p(), q(); END$$",
		"SELECT 1; DO $$BEGIN SET app.tenant = 'x'; END$$" };
	static const char *const hides_nothing[] = { "DO $$BEGIN PERFORM 1; END$$",
		"do $a$ BEGIN RAISE NOTICE 'x'; END $a$;",
		"DO $$ BEGIN CREATE TYPE \"mood\" AS ENUM('sad'); EXCEPTION WHEN duplicate_object THEN null; END $$; SELECT 1",
		"DO $$ BEGIN ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES \"public\".\"u\"(\"b\") ON DELETE set null; END $$",
		"DO $$BEGIN SET work_mem = '5MB'; SET LOCAL TIME ZONE 'UTC'; UPDATE t SET a = 1; END$$ LANGUAGE plpgsql",
		"DO $$DECLARE n int; BEGIN SELECT count(*) INTO n FROM t; PERFORM mine(n); END$$" };
	struct look look;

	(void)state;
	for (size_t i = 0; i < sizeof hides / sizeof hides[0]; i++) {
		look_at(span_text(hides[i]), &look);
		assert_int_equal(look.marks & (LOOK_UNKNOWN | LOOK_UNNAMED), LOOK_UNKNOWN | LOOK_UNNAMED);
	}
	for (size_t i = 0; i < sizeof hides_nothing / sizeof hides_nothing[0]; i++) {
		look_at(span_text(hides_nothing[i]), &look);
		assert_int_equal(
			look.marks & (LOOK_UNKNOWN | LOOK_UNNAMED | LOOK_TEMPORARY | LOOK_IN_FRONT), LOOK_UNKNOWN);
	}
	/* The last of them calls something: the server is asked what that may set. */
	assert_int_equal(look.count, 1);
	assert_string_equal(look.names[0].name, "mine");
	assert_int_equal(look.names[0].kind, LOOK_NAME_CALL);
	look_at(span_text("DO $$BEGIN PERFORM currval('s'); END$$"), &look);
	assert_true(look.marks & LOOK_CURRVAL);
}

static void what_gives_names_another_meaning_is_seen(void **state)
{
	static const char *const defining[] = { "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"create trigger t before insert on u execute function f()", "CREATE TABLE t (a int)",
		"ALTER TABLE t ENABLE TRIGGER u", "CREATE UNLOGGED TABLE t ()", "SELECT 1; CREATE VIEW v AS SELECT 1",
		"CREATE POLICY p ON t" };
	static const char *const by_words[] = { "CREATE TABLE t (a int, CHECK (a > 0), PRIMARY KEY (a))",
		"create or replace view v as select 1", "CREATE MATERIALIZED VIEW v AS SELECT 1",
		"ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (b)", "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON u",
		"CREATE UNLOGGED TABLE t ()", "CREATE SCHEMA s CREATE TABLE t ()", "ALTER TYPE t ADD VALUE 'x'",
		"CREATE POLICY p ON t", "ALTER DOMAIN d DROP NOT NULL" };
	static const char *const by_more[] = { "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE TABLE t (); ALTER FUNCTION f() VOLATILE", "CREATE RULE r AS ON INSERT TO t DO NOTHING",
		"CREATE OPERATOR + (FUNCTION = f)", "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()",
		"CREATE EXTENSION e", "CREATE FOREIGN TABLE t () SERVER s", "ALTER PROCEDURE p() RENAME TO q",
		"IMPORT FOREIGN SCHEMA s FROM SERVER t INTO u", "CREATE OR REPLACE AGGREGATE a (int) (SFUNC = f)" };
	static const char *const indexing[] = { "CREATE INDEX i ON t USING btree (f(a))",
		"CREATE UNIQUE INDEX CONCURRENTLY ON t ((a::b))", "create index on t ((Cast(a AS b)))",
		"CREATE INDEX ON U&\"t\" UESCAPE '!' (f(a))" };
	static const char *const not_defining[] = { "CREATE TEMP TABLE t ()", "CREATE UNIQUE INDEX i ON t (a)",
		"CREATE INDEX CONCURRENTLY i ON s.\"T\" USING gin (a) INCLUDE (b) WITH (fillfactor = 70)",
		"ALTER ROLE joe SET x = 1", "DROP TABLE t", "SELECT 'CREATE TABLE'", "INSERT INTO t VALUES (1)",
		"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO joe" };
	struct look look;

	(void)state;
	for (size_t i = 0; i < sizeof defining / sizeof defining[0]; i++) {
		look_at(span_text(defining[i]), &look);
		assert_int_equal(look.marks & (LOOK_DEFINES | LOOK_COMMAND), LOOK_DEFINES | LOOK_COMMAND);
	}
	for (size_t i = 0; i < sizeof not_defining / sizeof not_defining[0]; i++) {
		look_at(span_text(not_defining[i]), &look);
		assert_int_equal(look.marks & (LOOK_DEFINES | LOOK_REDEFINES | LOOK_INDEXES), 0);
	}
	for (size_t i = 0; i < sizeof by_words / sizeof by_words[0]; i++) {
		look_at(span_text(by_words[i]), &look);
		assert_int_equal(look.marks & (LOOK_DEFINES | LOOK_REDEFINES | LOOK_CALLS), LOOK_DEFINES);
	}
	for (size_t i = 0; i < sizeof by_more / sizeof by_more[0]; i++) {
		look_at(span_text(by_more[i]), &look);
		assert_int_equal(look.marks & (LOOK_DEFINES | LOOK_REDEFINES), LOOK_DEFINES | LOOK_REDEFINES);
	}
	for (size_t i = 0; i < sizeof indexing / sizeof indexing[0]; i++) {
		look_at(span_text(indexing[i]), &look);
		assert_int_equal(look.marks & (LOOK_INDEXES | LOOK_DEFINES), LOOK_INDEXES);
	}
}

static void what_needs_a_database_for_itself_is_seen(void **state)
{
	struct look look;

	(void)state;
	look_at(span_text("SELECT 1; Drop /* it */ DATABASE IF EXISTS test_app"), &look);
	assert_true(look.marks & LOOK_DATABASE);
	look_at(span_text("CREATE DATABASE a TEMPLATE b"), &look);
	assert_true(look.marks & LOOK_DATABASE);
	look_at(span_text("ALTER DATABASE a RENAME TO b"), &look);
	assert_true(look.marks & LOOK_DATABASE);
	look_at(span_text("DROP TABLE database; SELECT 'DROP DATABASE a'"), &look);
	assert_false(look.marks & LOOK_DATABASE);
}

static void quotes_that_can_be_read_in_two_ways_are_not_believed(void **state)
{
	(void)state;
	/* With standard_conforming_strings off, the string of the first ends behind "SET x = 1; ", and that of the second before. */
	HOLDS({ "SELECT 'a\\'; SET x = 1; --'", LOOK_SETTINGS | LOOK_UNKNOWN },
		{ "SELECT 'a\\''; SET x = 1; --'", LOOK_SETTINGS | LOOK_UNKNOWN },
		{ "SELECT 'a\\'', set_config('x', 'y', false), 'b'", LOOK_SETTINGS | LOOK_UNKNOWN },
		{ "SELECT N'a\\'', nextval('x'), 'b'", LOOK_SEQUENCE | LOOK_UNKNOWN },
		{ "TABLE U&\"\\0061\"", LOOK_UNREAD | LOOK_UNKNOWN }, { "SELECT U&'\\0061', u & \"a\"", 0 },
		{ "SELECT E'a\\'; SET x = 1; --'", 0 }, { "SELECT 'a\\b', E'\\n'", 0 },
		{ "SELECT E'\x83\\'; SET x = 1; --'", LOOK_UNKNOWN });
}

static void what_is_prepared_counts_when_it_is_executed(void **state)
{
	struct look look;

	(void)state;
	look_at(span_text("PREPARE a AS SELECT pg_advisory_lock($1); PREPARE b AS SELECT set_config('a.b', $1, false)"),
		&look);
	assert_int_equal(look.marks, LOOK_PREPARE);
	assert_int_equal(look.prepared, LOOK_LOCK | LOOK_SETTINGS | LOOK_UNNAMED);
}

static void names_are_told_as_postgresql_folds_them(void **state)
{
	struct look look;

	(void)state;
	look_at(span_text(
			"SET App.\"Tenant\" = 'x'; SELECT set_config('App.User', 'y', false); RESET Work_Mem; SET LOCAL x.y TO DEFAULT"),
		&look);
	assert_int_equal(look.count, 5);
	assert_string_equal(look.names[0].name, "app.tenant");
	assert_int_equal(look.names[0].kind, LOOK_NAME_SET);
	assert_string_equal(look.names[1].name, "app.user");
	assert_string_equal(look.names[2].name, "work_mem");
	assert_int_equal(look.names[2].kind, LOOK_NAME_RESET);
	assert_string_equal(look.names[3].name, "x.y");
	assert_int_equal(look.names[3].kind, LOOK_NAME_RESET_LOCAL);
	look_at(span_text("SELECT set_config($a$App.Dollar$a$, 'y', false)"), &look);
	assert_int_equal(look.marks, LOOK_SETTINGS);
	assert_string_equal(look.names[0].name, "app.dollar");
	look_at(span_text("SET a.a=1;SET a.b=1;SET a.c=1;SET a.d=1;SET a.e=1;SET a.f=1;SET a.g=1;SET a.h=1;SET a.i=1;"
			  "SET b.a=1;SET b.b=1;SET b.c=1;SET b.d=1;SET b.e=1;SET b.f=1;SET b.g=1;SET b.h=1;SET b.i=1"),
		&look);
	assert_int_equal(look.count, LOOK_NAMES);
	assert_true(look.marks & LOOK_UNNAMED);
}

static void a_text_ends_at_its_first_zero(void **state)
{
	static const char text[] = "SELECT 'a', \"b\"\0; SET search_path = 'x'";
	struct look look;

	(void)state;
	look_at(span_of(text, sizeof text - 1), &look);
	assert_int_equal(look.marks, 0);
	look_at(span_of(NULL, 0), &look);
	assert_int_equal(look.marks, 0);
}

static void what_may_come_in_front_of_a_name_is_seen(void **state)
{
	static const char *const comes[] = { "CREATE TEMP TABLE t (a int)", "SELECT 1 AS a INTO t",
		"CREATE VIEW pg_temp.v AS SELECT 1", "EXPLAIN ANALYZE CREATE TEMPORARY TABLE t AS SELECT 1",
		"DO $$BEGIN EXECUTE 'create Temp table t (a int)'; END$$" };
	static const char *const does_not[] = { "ALTER TABLE t ADD a int", "DROP TABLE t", "CREATE INDEX ON t (a)",
		"TRUNCATE t", "INSERT INTO t VALUES (1)", "SELECT temp FROM t", "DO $$BEGIN PERFORM 1; END$$" };
	struct look look;

	(void)state;
	for (size_t i = 0; i < sizeof comes / sizeof comes[0]; i++) {
		look_at(span_text(comes[i]), &look);
		assert_true(look.marks & LOOK_IN_FRONT);
	}
	for (size_t i = 0; i < sizeof does_not / sizeof does_not[0]; i++) {
		look_at(span_text(does_not[i]), &look);
		assert_false(look.marks & LOOK_IN_FRONT);
	}
}

/* However a SET is hidden among quotes and comments that end before it, it is found; and any text ends. */
static void a_set_behind_anything_that_ends_is_found(void **state)
{
	static const char *const pieces[] = { "SELECT 1", "'a''b'", "/* /* x */ ' */", "-- '\n", "$a$ ' $a$", "E'\\''",
		"\"a\"\"b\"", "(", ")", "$1", "1.5e3", "U&'x'", "::", "a.b", "U&\"x\"", "N'x'" };
	struct rng rng;
	struct look look;

	(void)state;
	rng_seed(&rng, 5);
	for (unsigned i = 0; i < 20000; i++) {
		char text[400];
		size_t length = 0;
		unsigned n = (unsigned)rng_below(&rng, 8);

		while (n-- > 0)
			length += text_format(text + length, sizeof text - length, "%s ",
				pieces[rng_below(&rng, sizeof pieces / sizeof pieces[0])]);
		text_format(text + length, sizeof text - length, "; SET work_mem = '1MB'");
		look_at(span_text(text), &look);
		if (!(look.marks & LOOK_SETTINGS))
			fail_msg("missed: %s", text);
		look_at(span_of(text, rng_below(&rng, strlen(text))), &look);
	}
}

/* What would take hours if any part of it were read again and again. */
static void no_bomb_takes_longer_than_any_text(void **state)
{
	static const char *const pieces[] = { "set_config('a.b',", "do 'a';", "do $$b$$;", "set_config('a',(",
		"set time zone ", "set_config('a', set_config(", "set_config(" };
	size_t n = 4 << 20, length;
	char *text = malloc(n);
	struct look look;

	(void)state;
	for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
		length = strlen(pieces[p]);
		for (size_t i = 0; i + length <= n; i += length)
			memcpy(text + i, pieces[p], length);
		look_at(span_of(text, n - n % length), &look);
		assert_true(look.marks & (LOOK_SETTINGS | LOOK_UNKNOWN));
	}
	for (size_t i = 0; i + 1 < n; i += 2)
		memcpy(text + i, "/*", 2);
	look_at(span_of(text, n), &look);
	assert_int_equal(look.marks, 0);
	memset(text, '$', n);
	look_at(span_of(text, n), &look);
	memset(text, '(', n);
	look_at(span_of(text, n), &look);
	for (size_t i = 0; i + 3 < n; i += 4)
		memcpy(text + i, "$a$b", 4);
	look_at(span_of(text, n), &look);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everyday_statements_leave_nothing),
		cmocka_unit_test(what_changes_settings_is_seen),
		cmocka_unit_test(what_makes_texts_mean_something_else_is_seen),
		cmocka_unit_test(what_a_session_holds_is_seen),
		cmocka_unit_test(what_can_not_be_seen_is_unknown),
		cmocka_unit_test(a_block_that_says_nothing_of_the_kind_hides_no_setting),
		cmocka_unit_test(what_gives_names_another_meaning_is_seen),
		cmocka_unit_test(what_needs_a_database_for_itself_is_seen),
		cmocka_unit_test(quotes_that_can_be_read_in_two_ways_are_not_believed),
		cmocka_unit_test(what_is_prepared_counts_when_it_is_executed),
		cmocka_unit_test(names_are_told_as_postgresql_folds_them),
		cmocka_unit_test(a_text_ends_at_its_first_zero),
		cmocka_unit_test(what_may_come_in_front_of_a_name_is_seen),
		cmocka_unit_test(a_set_behind_anything_that_ends_is_found),
		cmocka_unit_test(no_bomb_takes_longer_than_any_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
