"""More conversations that are told the same way, by combinations: see test_alike.py, which plays them."""
from test_alike import SERVERS, SHOW, Alike, Others, run, synced
from wire import COPY_DONE, FLUSH, SYNC, bind, close, copy_data, copy_fail, describe, execute, function_call, parse, query


class Combined(Alike):
    schema = ("CREATE TABLE t (a int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)", "ALTER TABLE t OWNER TO app", "CREATE SCHEMA app AUTHORIZATION app", "CREATE SCHEMA other AUTHORIZATION other",
              "CREATE TABLE app.who AS SELECT 'of app' AS who", "CREATE TABLE other.who AS SELECT 'of other' AS who", "GRANT USAGE ON SCHEMA app, other TO PUBLIC", "GRANT SELECT ON app.who, other.who TO PUBLIC")

    def a_name_of_a_prepare_that_was_rolled_back(self):
        reads = synced(bind("", "p"), execute())
        self.alike("BEGIN", "PREPARE p AS SELECT 'sql'", "ROLLBACK", "EXECUTE p", "DEALLOCATE p", synced(parse("p", "SELECT 'protocol'")), reads, "SELECT 1", reads)
        self.alike("BEGIN", synced(parse("p", "SELECT 'in a block'")), "ROLLBACK", reads, "BEGIN", "SELECT 1/0", synced(parse("q", "SELECT 1")), "ROLLBACK", synced(bind("", "q")), reads)
        self.alike(["BEGIN", synced(parse("p", "SELECT 'one'")), "SELECT 1/0", synced(close("S", "p")), "ROLLBACK", reads, synced(parse("p", "SELECT 'two'")), reads])
        self.alike([synced(parse("p", "SELECT 1")), "DEALLOCATE ALL", synced(parse("p", "SELECT 2")), reads, "DEALLOCATE ALL", reads])
        self.alike(synced(parse("p", "SELECT 1"), run("DEALLOCATE ALL"), parse("p", "SELECT 2"), bind("", "p"), execute()), reads, "DISCARD ALL", reads)

    def roles_within_savepoints(self):
        self.alike("BEGIN", "SET ROLE other", "SAVEPOINT a", "SET SESSION AUTHORIZATION third", SHOW, "SAVEPOINT b", "RESET SESSION AUTHORIZATION", SHOW, "ROLLBACK TO b", SHOW, "ROLLBACK TO a", SHOW, "COMMIT", SHOW, "RESET ROLE", SHOW)
        self.alike("BEGIN", "SAVEPOINT a", "SET ROLE other", "RELEASE a", "SAVEPOINT b", "SET LOCAL ROLE NONE", SHOW, "ROLLBACK TO b", SHOW, "COMMIT", SHOW, "SELECT 1/0", SHOW, "SET ROLE NONE", SHOW)
        self.alike("BEGIN", "SET LOCAL ROLE other", "CREATE TEMP TABLE x (a int)", "COMMIT", SHOW, "SELECT * FROM x", "DISCARD TEMP", SHOW)
        self.alike("SET ROLE other", "DISCARD ALL", SHOW, "SET ROLE other", "RESET ALL", SHOW, "RESET ROLE", SHOW)

    def a_schema_of_the_users_own_name(self):
        who = "SELECT who FROM who"
        reads = synced(bind("", "w"), execute())
        self.alike(who, synced(parse("w", who)), reads, "SET ROLE other", who, reads, "RESET ROLE", reads, who, "BEGIN", "SET LOCAL ROLE other", who, reads, "COMMIT", reads, who)
        self.alike("SET search_path = '$user'", "SET ROLE other", who, "BEGIN", "SET ROLE app", who, "ROLLBACK", who, "RESET ALL", who, "RESET ROLE", who)

    def settings_from_within_a_query(self):
        self.alike("WITH c AS MATERIALIZED (SELECT set_config('work_mem', '5MB', false) AS v) SELECT v FROM c", SHOW, "WITH c AS (SELECT set_config('app.tenant', a::text, false) FROM t ORDER BY a) SELECT count(*) FROM c", SHOW,
                   "INSERT INTO t SELECT 9 WHERE set_config('app.tenant', 'inserted', false) <> ''", SHOW, "DELETE FROM t WHERE a = 9 RETURNING set_config('work_mem', '6MB', false)", SHOW,
                   "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT set_config('work_mem', '7MB', false)", SHOW, "SELECT CASE WHEN false THEN set_config('work_mem', '8MB', false) END", SHOW,
                   "VALUES (set_config('work_mem', '9MB', false))", SHOW, "COPY (SELECT set_config('work_mem', '10MB', false)) TO STDOUT", SHOW, before=("DELETE FROM t WHERE a = 9",))
        self.alike("DO $$BEGIN EXECUTE 'SET work_mem = ''11MB'''; EXECUTE format('SET %I = %L', 'app.tenant', 'by do'); END$$", SHOW, "DO $$BEGIN PERFORM set_config('search_path', 'app', false); RAISE EXCEPTION 'no'; END$$", SHOW,
                   "DO $$BEGIN BEGIN PERFORM set_config('work_mem', '12MB', false); RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END$$", SHOW)

    def portals_that_are_read_in_parts(self):
        fetch = parse("", "SELECT a FROM t ORDER BY a") + bind("p", "")
        self.alike("BEGIN", synced(fetch, execute("p", 1)), synced(execute("p", 1)), "SELECT 'between'", synced(execute("p", 0)), synced(execute("p", 1)), "COMMIT", synced(execute("p", 1)))
        self.alike(synced(fetch, execute("p", 1)), synced(execute("p", 1)), synced(fetch, execute("p", 1), execute("p", 1)), SYNC)
        self.alike("BEGIN", synced(fetch, execute("p", 1)), "SAVEPOINT a", synced(execute("p", 1)), "ROLLBACK TO a", synced(execute("p", 1)), "SELECT 1/0", synced(execute("p", 1)), "ROLLBACK")
        self.alike(["BEGIN", synced(fetch, execute("p", 1)), synced(close("P", "p"), fetch, execute("p", 2)), synced(execute("p", 2)), "COMMIT"])
        self.alike("BEGIN", synced(fetch, describe("P", "p")), "FETCH 1 FROM p", "CLOSE p", synced(execute("p", 1)), "ROLLBACK", "BEGIN", "DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a", synced(execute("c", 1)), synced(describe("P", "c")), "CLOSE ALL", synced(execute("c", 1)), "COMMIT")

    def syncs_in_odd_places(self):
        self.alike([SYNC, SYNC, parse("", "SELECT 1"), SYNC, bind("", ""), SYNC, execute(), SYNC, "SELECT 2"], [FLUSH, SYNC, FLUSH])
        self.alike([parse("", "BEGIN"), bind("", ""), execute(), SYNC, parse("", "SELECT a FROM t ORDER BY a"), SYNC, bind("", ""), SYNC, execute("", 1), SYNC, execute("", 1), SYNC, "COMMIT"])
        self.alike([parse("x", "SELECT 1/0"), bind("", "x"), execute(), parse("y", "SELECT 2"), FLUSH, SYNC, bind("", "y"), execute(), SYNC, bind("", "x"), SYNC])
        self.alike([parse("x", "SET work_mem = '5MB'"), bind("", "x"), execute(), SYNC, parse("y", "SHOW work_mem"), bind("", "y"), execute(), bind("", "nothing"), SYNC], "SHOW work_mem")
        self.alike([parse("x", "SET work_mem = '5MB'"), bind("", "x"), execute(), bind("", "nothing"), SYNC], "SHOW work_mem", [query("SET work_mem = '6MB'; SELECT 1/0"), SYNC], "SHOW work_mem")

    def results_in_binary(self):
        each = ("SELECT a FROM t ORDER BY a", "SELECT '2020-01-02 03:04:05+00'::timestamptz", "SELECT '1 day'::interval", "SELECT 1.5::numeric, 2.5::float8", "SELECT '{1,2}'::int[]", "SELECT 'Ü'::text", "SELECT 12.34::money")
        self.alike("SET TimeZone = 'Asia/Tokyo'; SET client_encoding = 'LATIN1'; SET DateStyle = 'German'", *[synced(parse("", text), bind("", "", results_binary=True), execute()) for text in each], *[synced(run(text)) for text in each])

    def copies_that_fail_in_a_pipeline(self):
        copy = run("COPY t FROM STDIN")
        self.alike([copy, copy_data(b"7\n"), copy_data(b"x\n"), COPY_DONE, SYNC, "SELECT count(*) FROM t"], SHOW, before=("DELETE FROM t WHERE a > 3",))
        self.alike([copy, copy_data(b"7\n"), copy_fail("enough"), SYNC, synced(run("SELECT count(*) FROM t"))], ["BEGIN", copy, copy_data(b"8\n"), COPY_DONE, SYNC, query("COPY t FROM STDIN"), copy_data(b"8\n"), COPY_DONE, "ROLLBACK"], before=("DELETE FROM t WHERE a > 3",))
        self.alike([query("SET work_mem = '5MB'; COPY t FROM STDIN; SHOW work_mem"), copy_data(b"9\n"), COPY_DONE, SHOW], [query("SET work_mem = '6MB'; COPY t FROM STDIN; SHOW work_mem"), copy_data(b"9\n"), COPY_DONE], SHOW, before=("DELETE FROM t WHERE a > 3",))
        self.alike([copy_data(b"stray\n"), COPY_DONE, copy_fail("stray"), "SELECT 1"], "SELECT 2")

    def what_is_discarded(self):
        self.alike("CREATE TEMP SEQUENCE s", "SELECT nextval('s')", "SELECT currval('s')", "DISCARD SEQUENCES", "SELECT currval('s')", "SELECT lastval()", "DISCARD PLANS", "DISCARD TEMP", "SELECT nextval('s')", SHOW)
        self.alike("CREATE TEMP VIEW w AS SELECT 7 AS seven", "SELECT * FROM w", "SELECT * FROM pg_temp.w", "DROP VIEW w", "SELECT * FROM w", "CREATE TEMP TABLE w (a int)", "CREATE VIEW depends AS SELECT * FROM w", "SELECT * FROM depends", "DISCARD TEMP", "SELECT * FROM depends")
        self.alike("DECLARE h CURSOR WITH HOLD FOR SELECT a FROM t ORDER BY a", "FETCH 1 FROM h", "CLOSE ALL", "FETCH 1 FROM h", "BEGIN", "DISCARD ALL", "ROLLBACK", "DISCARD TEMP; SELECT 1", "DISCARD ALL; SELECT 1")
        self.alike("SET search_path = pg_temp, public", "CREATE TABLE mine (a int)", "SELECT count(*) FROM mine", "RESET search_path", "SELECT count(*) FROM mine", "SELECT count(*) FROM pg_temp.mine", "DROP TABLE pg_temp.mine", "SELECT count(*) FROM mine")

    def prepared_transactions_and_what_they_may_not(self):
        self.alike("LISTEN a", "BEGIN", "INSERT INTO t VALUES (8)", "PREPARE TRANSACTION 'x'", "ROLLBACK PREPARED 'x'", "BEGIN", "NOTIFY a", "PREPARE TRANSACTION 'y'", "SELECT 1", "UNLISTEN *")
        self.alike("BEGIN", "SELECT pg_advisory_lock(77)", "PREPARE TRANSACTION 'x'", "ROLLBACK PREPARED 'x'", "SELECT pg_advisory_unlock(77)", "BEGIN", "SELECT pg_advisory_xact_lock(78)", "LOCK TABLE t IN SHARE MODE", "COMMIT", "SELECT pg_advisory_unlock(78)")

    def function_calls_leave_what_statements_leave(self):
        def config(name, value, local="f"):
            return function_call(2078, [name, value, local])
        for begin, end in (("SELECT 1", "SELECT 2"), ("BEGIN", "COMMIT"), ("BEGIN", "ROLLBACK")):
            self.alike(begin, config("work_mem", "5MB"), SHOW, config("app.tenant", "called"), SHOW, config("app.tenant", "gone", "t"), SHOW, end, SHOW, "RESET ALL", SHOW)
        self.alike(config("DateStyle", "German"), "SELECT '2020-02-01'::date", config("app.tenant", "called"), "DISCARD ALL", SHOW)
        self.admin.query("CREATE FUNCTION app.tells(text) RETURNS text LANGUAGE sql AS $$SELECT set_config('app.tenant', $1, false)$$")
        tells = int(self.admin.query("SELECT 'app.tells'::regproc::oid").value)
        self.alike(function_call(tells, ["told"]), SHOW, "RESET ALL", SHOW, "BEGIN", function_call(tells, ["again"]), "COMMIT", SHOW, SHOW)
        self.alike(function_call(2880, [77]), "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", function_call(2884, [77]), function_call(2884, [77]))

    def large_objects(self):
        self.alike("SELECT lo_create(4711)", "BEGIN", "SELECT lo_open(4711, 131072)", "SELECT lowrite(0, 'written')", "COMMIT", "SELECT loread(0, 7)", "SELECT convert_from(lo_get(4711), 'UTF8')", "SELECT lo_unlink(4711)", "SELECT lo_get(4711)")

    def defaults_that_others_change(self):
        show = "SELECT current_setting('work_mem'), current_setting('app.tenant')"
        change = ("ALTER DATABASE alike SET work_mem = '3MB'", "ALTER ROLE app SET work_mem = '2MB'")
        undo = ("ALTER DATABASE alike RESET work_mem", "ALTER ROLE app RESET work_mem")
        self.alike(show, Others("SELECT 1"), "SET work_mem = '9MB'", show, before=undo)
        self.alike("SET work_mem = '9MB'", Others(change[0]), show, Others(undo[0]), show, before=undo)

    def an_altered_default_comes_with_new_servers(self):
        """See doc/transparency.md, "ALTER ROLE ... SET"; that of a database is nobody else's here."""
        client, own = self.proxy.client(), self.proxy.client(parameters={"options": "-c work_mem=8MB"})
        own.query("SET search_path = mine")
        told = "SELECT current_setting('work_mem'), current_setting('DateStyle'), current_setting('search_path')"
        standard, chosen = client.query(told).rows[0], own.query(told).rows[0]
        self.admin.query("ALTER DATABASE alike SET work_mem = '3MB'; ALTER DATABASE alike SET DateStyle = 'German'; ALTER DATABASE alike SET search_path = changed")

        def each(expected, *of):
            for _ in range(2 * SERVERS):
                for one in of:
                    self.assertEqual(expected, one.query(told).rows[0])
                    self.assertEqual(expected[1], one.parameters["DateStyle"])
        each(standard, client, self.proxy.client())
        self.proxy.console().query("RECONNECT alike")
        each(("3MB", "German, DMY", "changed"), client, self.proxy.client())
        each(("8MB", "German, DMY", "mine"), own)
        own.query("RESET ALL")
        each(("8MB", "German, DMY", "changed"), own)
        self.assertEqual(("8MB", standard[1], "mine"), chosen)

    def functions_with_settings_of_their_own(self):
        self.alike("CREATE OR REPLACE FUNCTION app.german() RETURNS text LANGUAGE sql SET DateStyle = 'German' SET client_min_messages = error AS $$SELECT '2020-01-02'::date::text$$", "SELECT app.german(), '2020-01-02'::date", "SHOW DateStyle",
                   "SET DateStyle = 'SQL, DMY'", "SELECT app.german(), '2020-01-02'::date", "SHOW DateStyle", "CREATE OR REPLACE FUNCTION app.sets() RETURNS text LANGUAGE plpgsql SET work_mem = '1MB' AS $$BEGIN PERFORM set_config('work_mem', '2MB', false); PERFORM set_config('app.tenant', 'inner', false); RETURN current_setting('work_mem'); END$$",
                   "SELECT app.sets()", SHOW, "SELECT app.sets()", SHOW)

    def timeouts_are_a_clients_own(self):
        self.alike("SET statement_timeout = '50ms'", "SELECT pg_sleep(20)", "SHOW statement_timeout", "BEGIN", "SET LOCAL statement_timeout = 0", "SELECT 1", "COMMIT", "SELECT pg_sleep(20)", "RESET statement_timeout", "SELECT pg_sleep(0.1)")

    def encodings_change(self):
        self.alike("SET client_encoding = 'LATIN1'", "SELECT 'Ü'", "SELECT chr(220)", synced(run("SELECT chr(220) || $1", "x")), "BEGIN", "SET LOCAL client_encoding = 'UTF8'", "SELECT chr(220)", "COMMIT", "SELECT chr(220)",
                   "SET NAMES 'UTF8'", "SELECT chr(220)", "SELECT chr(8364)", "SET client_encoding = 'LATIN1'", "SELECT chr(8364)", "RESET client_encoding", "SELECT chr(8364)")
