"""What a session holds follows its client from server to server, or the client keeps its server; and nobody else sees any of it.

Others take and give back servers all the while (Churn), and leave settings of their own behind, so that hardly two transactions of a
client run on the same server. The same stories run directly, where they say what PostgreSQL does."""
import time

import wire
from harness import Story, helper, live, on, wait_until
from test_drivers import Churn
from wire import SYNC, bind, close, execute, parse, query


class Noise(Churn):
    """Churn whose clients have settings of their own, and look whether they still have them."""

    def _work(self, number):
        try:
            with wire.Client(self.pooler.address) as client:
                client.query(f"SET search_path = noise{number}, public; SET work_mem = '{number + 1}MB'")
                client.query(f"SELECT set_config('noise.number', '{number}', false)")
                while not self.ending.is_set():
                    client.query("BEGIN")
                    time.sleep(0.003)
                    told = client.query("SELECT current_setting('search_path'), current_setting('work_mem'), "
                                        "current_setting('noise.number'), current_user, to_regclass('mine'), "
                                        "current_setting('app.tenant', true)").rows[0]
                    wanted = [f"noise{number}, public", f"{number + 1}MB", str(number), "app", None]
                    if list(told[:5]) != wanted or told[5]:
                        raise AssertionError(f"{told} instead of {wanted}")
                    client.query("COMMIT")
                    time.sleep(0.002)
        except Exception as failure:        # noqa: reported by __exit__
            self.failures.append(failure)


class Transparent(Story):
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 4, "server_round_robin": 1})
        self.noise = Noise(self.proxy, 3)
        self.noise.__enter__()
        self.addCleanup(self.noise.__exit__, None)
        self.client = self.proxy.client()

    def tearDown(self):
        self.noise.ending.set()
        for thread in self.noise.threads:
            thread.join(10)
        self.assertEqual([], self.noise.failures)
        super().tearDown()

    @helper
    def pins(self):
        return [row["reason"] for row in self.proxy.show("PINS")] if live.kind != "direct" else None

    @helper
    def holds(self, reason):
        if live.kind != "direct":
            wait_until(f"a pin: {reason}", lambda: any(reason in told for told in self.pins()))
            time.sleep(0.01)

    @helper
    def holds_nothing(self):
        if live.kind != "direct":
            wait_until("no pin", lambda: not self.pins())

    @helper
    def often(self, sql, expected, times=12):
        for _ in range(times):
            self.assertEqual(expected, self.client.value(sql))
            time.sleep(0.004)


class Settings(Transparent):
    def what_was_set_holds_on_every_server(self):
        self.client.query("SET search_path = a, \"B c\"; SET statement_timeout = '17s'")
        self.client.query("SET SESSION app.tenant = 'it''s'")
        self.often("SHOW search_path", 'a, "B c"')
        self.often("SHOW statement_timeout", "17s")
        self.often("SELECT current_setting('app.tenant')", "it's")
        self.client.query("RESET app.tenant")
        self.often("SELECT current_setting('app.tenant', true)", "")
        self.holds_nothing()

    @on("pgweir", why="it has servers of its own")
    def a_limit_of_its_idling_ends_the_client_and_no_server(self):
        proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        client, other = proxy.client(), proxy.client()
        server = other.value("SELECT pg_backend_pid()")
        asking = proxy.client(parameters={"options": "-c idle_session_timeout=90s"})
        for patient, says in ((client, "SET idle_session_timeout = '90s'"), (asking, "SELECT 1")):
            other.query("SELECT 'before'")
            patient.query(says)
            wait_until("its server rests without it", lambda: self.pg.value(f"SELECT query FROM pg_stat_activity WHERE pid = {server}") == "DISCARD ALL")
            self.assertEqual("90000", patient.value("SELECT setting FROM pg_settings WHERE name = 'idle_session_timeout'"))
        client.query("SET idle_session_timeout = '300ms'")
        error = client.read_to(b"E").error
        self.assertEqual(("FATAL", "57P05"), (error.severity, error.sqlstate))
        client.expect_closed()

    def set_config_is_a_set(self):
        self.client.extended("SELECT set_config('app.tenant', $1, false)", ["one"])
        self.client.extended("SELECT set_config('work_mem', $1, false)", ["3MB"])
        self.client.extended("SELECT set_config('app.tenant', $1, true)", ["gone"])
        self.often("SELECT current_setting('app.tenant') || current_setting('work_mem')", "one3MB")

    def a_set_that_was_rolled_back_never_was(self):
        self.client.query("SET work_mem = '2MB'")
        for end in ("ROLLBACK", "COMMIT"):
            self.client.query("BEGIN")
            self.client.query("SET work_mem = '5MB'")
            self.client.query("SAVEPOINT a")
            self.client.query("SET work_mem = '6MB'")
            self.client.query("ROLLBACK TO a")
            self.assertEqual("5MB", self.client.value("SHOW work_mem"))
            self.client.query("SET LOCAL work_mem = '7MB'")
            self.client.query(end)
            self.often("SHOW work_mem", "2MB" if end == "ROLLBACK" else "5MB")
        reply = self.client.simple("SET work_mem = '8MB'; SELECT 1/0")
        self.assertEqual("22012", reply.error.sqlstate)
        self.often("SHOW work_mem", "5MB")

    def a_role_is_the_clients_alone(self):
        self.pg.admin("app").query("GRANT other TO app")
        self.client.query("SET ROLE other")
        self.client.query("SET work_mem = '3MB'")
        self.often("SELECT current_user || current_setting('work_mem')", "other3MB")
        self.client.query("RESET ROLE")
        self.often("SELECT current_user", "app")

    def reset_leads_back_to_what_was_asked_for_at_the_login(self):
        client = self.client = self.proxy.client(parameters={"options": "-c work_mem=9MB -c app.tenant=first",
                                                             "application_name": "me"})
        self.often("SHOW work_mem", "9MB")
        for undo in ("RESET work_mem", "SET work_mem TO DEFAULT", "RESET ALL", "DISCARD ALL", "SET work_mem = DEFAULT"):
            client.query("SET work_mem = '5MB'")
            client.query("SET application_name = 'other'")
            client.query("SET app.tenant = 'second'")
            self.often("SHOW work_mem", "5MB", 3)
            client.query(undo)
            all_of_it = undo.endswith("ALL")
            self.often("SHOW work_mem", "9MB", 6)
            self.often("SHOW application_name", "me" if all_of_it else "other", 3)
            self.often("SHOW app.tenant", "first" if all_of_it else "second", 3)
            self.assertEqual("me" if all_of_it else "other", client.parameters["application_name"])
        # What is set behind it is not undone.
        client.query("RESET ALL; SET work_mem = '5MB'; SET application_name = 'other'")
        self.often("SHOW work_mem", "5MB", 3)
        self.often("SHOW app.tenant", "first", 3)
        self.assertEqual("other", client.parameters["application_name"])
        client.ask(parse("", "RESET ALL"), bind("", ""), execute(), parse("", "SELECT set_config('work_mem', '6MB', false)"),
                   bind("", ""), execute(), SYNC)
        self.often("SHOW work_mem", "6MB", 3)
        self.often("SHOW application_name", "me", 3)
        client.query("RESET work_mem")
        client.query("BEGIN")
        client.query("RESET work_mem")
        self.assertEqual("9MB", client.value("SHOW work_mem"))
        client.query("SET work_mem = '1MB'")
        client.query("ROLLBACK")
        self.often("SHOW work_mem", "9MB", 6)

    def a_reset_and_what_is_sent_right_behind_it(self):
        client = self.proxy.client(parameters={"options": "-c work_mem=9MB"})
        client.query("SET work_mem = '5MB'")
        # DISCARD ALL commits at once, a RESET is rolled back with what fails behind it.
        for reset in ("DISCARD ALL", "RESET ALL"):
            client.send(parse("", reset), bind("", ""), execute(), execute("nowhere"), SYNC)
            self.assertEqual("12CEZ", client.reply().kinds)
            self.assertEqual("9MB", client.value("SHOW work_mem"))
        for behind, kinds in ((close("S", "none") + SYNC, "3Z"), (parse("known", "SELECT 1") + SYNC, "1Z"), (close("S", "known") + SYNC, "3Z")):
            client.send(query("RESET work_mem"), behind)
            self.assertEqual(["CZ", kinds], [client.reply().kinds, client.reply().kinds])
        client.send(query("RESET work_mem"), query("SHOW work_mem"))
        client.reply()
        self.assertEqual("9MB", client.reply().value)
        client.query("SET work_mem = '5MB'")
        client.send(parse("", "RESET work_mem"), bind("", ""), execute(), SYNC, query("SHOW work_mem"))
        client.reply()
        self.assertEqual("9MB", client.reply().value)

    def parameters_that_are_reported_are_the_clients_own(self):
        self.client.query("SET TimeZone = 'Asia/Tokyo'; SET application_name = 'mine'")
        self.often("SHOW timezone", "Asia/Tokyo")
        self.assertEqual("Asia/Tokyo", self.client.parameters["TimeZone"])
        self.client.query("BEGIN")
        self.client.query("SET TimeZone = 'UTC'")
        self.assertEqual("UTC", self.client.parameters["TimeZone"])
        self.client.query("ROLLBACK")
        self.assertEqual("Asia/Tokyo", self.client.parameters["TimeZone"])
        self.often("SHOW timezone", "Asia/Tokyo")

    def what_a_function_sets_holds(self):
        self.pg.admin("app").query(
            "CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM set_config('work_mem', '6MB', false); PERFORM set_config('app.tenant', 'hid', false); END$$")
        self.client.query("SELECT hidden()")
        self.often("SHOW work_mem", "6MB")
        self.often("SELECT current_setting('app.tenant', true)", "hid")
        self.client.query("DISCARD ALL")
        self.often("SHOW work_mem", "4MB")
        self.client.query("DO $$BEGIN PERFORM set_config('app.tenant', 'done', false); END$$")
        self.often("SELECT current_setting('app.tenant', true)", "done")

    def an_error_in_a_setting_is_the_clients_own(self):
        self.assertEqual("42704", self.client.simple("SET nothing_like_it = 1").error.sqlstate)
        self.assertEqual("22023", self.client.simple("SET work_mem = 'much'").error.sqlstate)
        self.often("SHOW work_mem", "4MB")


class Pins(Transparent):
    def a_cursor_is_gone_when_the_protocol_closes_it(self):
        close = wire.close("P", "c") + wire.SYNC
        self.client.query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 30); COMMIT")
        self.holds("cursor")
        self.assertEqual("3Z", self.client.ask(wire.close("P", "another") + wire.SYNC).kinds)
        self.holds("cursor")
        self.assertEqual("3Z", self.client.ask(close).kinds)
        self.holds_nothing()
        self.client.send(wire.query("DECLARE c CURSOR WITH HOLD FOR SELECT 1"), close)      # before anybody asked what is left
        self.assertEqual("CZ3Z", self.client.reply().kinds + self.client.reply().kinds)
        self.holds_nothing()

    def a_temporary_table_lives_as_long_as_its_session(self):
        self.client.query("CREATE TEMP TABLE mine (n int); INSERT INTO mine VALUES (1), (2)")
        self.holds("temporary")
        self.often("SELECT count(*) FROM mine", "2")
        self.client.query("DROP TABLE mine")
        self.holds_nothing()
        self.client.query("BEGIN")
        self.client.query("CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1 AS n")
        self.client.query("COMMIT")
        self.holds_nothing()
        self.client.query("SELECT 1 AS n INTO TEMP mine")
        self.holds("temporary")
        self.client.query("DISCARD ALL")
        self.holds_nothing()

    def a_cursor_with_hold_is_read_to_its_end(self):
        self.client.query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 30); COMMIT")
        self.holds("cursor")
        self.assertEqual([str(n) for n in range(1, 31)], [self.client.value("FETCH 1 FROM c") for _ in range(30)])
        self.client.query("CLOSE c")
        self.holds_nothing()

    def an_advisory_lock_is_held_and_given_back(self):
        self.client.query("SELECT pg_advisory_lock(4711), pg_advisory_lock(4712)")
        self.holds("advisory")
        other = self.proxy.client()
        for _ in range(5):
            self.assertEqual("f", other.value("SELECT pg_try_advisory_lock(4711)"))
        self.assertEqual("t", self.client.value("SELECT pg_advisory_unlock(4711)"))
        self.holds("advisory")
        self.assertEqual("t", self.client.value("SELECT pg_advisory_unlock(4712)"))
        self.holds_nothing()
        self.assertEqual("t", other.value("SELECT pg_try_advisory_lock(4711)"))

    def a_lock_goes_with_its_client(self):
        """T6: the client disconnects, and the lock is gone."""
        for leave in ("close", "drop", "vanish"):
            client = self.proxy.client()
            client.query("SELECT pg_advisory_lock(4711)")
            client.query("SET search_path = gone; CREATE TEMP TABLE mine()")
            getattr(client, leave)()
            wait_until("the lock is free", lambda: self.pg.value(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0")
        self.holds_nothing()

    def a_statement_of_sqls_prepare_is_there_until_it_is_deallocated(self):
        self.client.query("PREPARE p (int) AS SELECT $1 + 1")
        self.holds("PREPARE")
        self.often("EXECUTE p (1)", "2")
        self.client.query("DEALLOCATE p")
        self.holds_nothing()
        self.assertEqual("26000", self.client.simple("EXECUTE p (1)").error.sqlstate)
        self.client.query("PREPARE p AS SELECT set_config('work_mem', '3MB', false)")
        self.client.query("EXECUTE p")
        self.client.query("DEALLOCATE ALL")
        self.often("SHOW work_mem", "3MB")
        self.holds_nothing()

    def notifications_are_heard_while_listening(self):
        self.client.query("LISTEN a")           # test_listen has the rest of it
        self.holds_nothing()
        self.pg.admin("app").query("NOTIFY a, 'heard'")
        kind, body = self.client.read()
        self.assertEqual(b"A", kind if isinstance(kind, bytes) else kind.encode())
        self.assertIn(b"heard", body)
        self.client.query("UNLISTEN *")
        self.holds_nothing()

    def numbers_of_sequences_are_the_clients_own(self):
        self.pg.admin("app").query("CREATE SEQUENCE s; GRANT ALL ON s TO PUBLIC")
        self.assertEqual("55000", self.client.simple("SELECT lastval()").error.sqlstate)
        self.assertEqual("1", self.client.value("SELECT nextval('s')"))
        other = self.proxy.client()
        for _ in range(6):
            self.assertEqual("55000", other.simple("SELECT currval('s')").error.sqlstate)
            self.assertEqual("1", self.client.value("SELECT currval('s')"))

    def nobody_keeps_a_server_for_numbers_because_the_catalogue_is_not_known(self):
        self.client.query("CREATE SEQUENCE nobody_took")
        for _ in range(12):             # whichever workers there are learn that somebody asks for numbers
            with self.proxy.client() as other:
                other.simple("SELECT currval('nobody_took')")
        self.client.query("BEGIN; CREATE TABLE nobody_made (id int)")
        self.client.query("SELECT 1")
        self.client.extended("SELECT 2")
        self.client.query("ROLLBACK; DROP SEQUENCE nobody_took")
        time.sleep(0.05)
        self.holds_nothing()

    def a_pin_says_why_and_since_which_statement(self):
        if live.kind == "direct":
            return
        self.client.query("SELECT 'first'")
        self.client.query("CREATE TEMP TABLE mine AS SELECT 42 AS secret")
        self.client.query("SELECT 'later'")
        self.holds("temporary")
        row, = self.proxy.show("PINS")
        self.assertIn("CREATE TEMP TABLE mine", row["statement"])
        self.assertEqual(1, self.proxy.pool()["total_pins"])
        self.assertGreaterEqual(self.proxy.pool()["total_questions"], 1)
        self.assertNotIn("42", row["statement"])

    def two_that_pin_are_two_servers(self):
        other = self.proxy.client()
        for client in (self.client, other):
            client.query("CREATE TEMP TABLE mine AS SELECT pg_backend_pid() AS pid")
        first, second = self.client.value("SELECT pid FROM mine"), other.value("SELECT pid FROM mine")
        self.assertNotEqual(first, second)
        self.client.query("DROP TABLE mine")
        other.close()
        self.holds_nothing()


class Each_pin(Story):
    """With one server for all: a pin has its reason and its statement, nobody else is served while it lasts, and somebody is when it is gone."""
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1, "statement_text_max": 8192, "workers": 1})
        self.client = self.proxy.client()

    @helper
    def pinned(self, made, reason, statement):
        """`made` pins for this reason; the statement that did it is told, and the counter goes on."""
        before = int(self.proxy.pool()["total_pins"])
        made()
        row, = wait_until(f"a pin: {reason}", lambda: self.proxy.show("PINS"))
        self.assertIn(reason, row["reason"])
        self.assertIn(statement, row["statement"] or "")
        self.assertEqual(before + 1, int(self.proxy.pool()["total_pins"]))
        self.assertEqual(1, int(self.proxy.pool()["sv_active"]))

    @helper
    def free(self):
        wait_until("no pin", lambda: not self.proxy.show("PINS"))
        with self.proxy.client() as other:
            self.assertEqual("1", other.value("SELECT 1"))

    @helper
    def each(self, make, reason, ends, statement=None):
        """Made by a Query and by the extended protocol, it ends in each of these ways (several statements to one; `None`: it is still there after it)."""
        for extended in (False, True):
            for end in ends:
                with self.subTest(make=make, end=end, extended=extended):
                    run = self.client.extended if extended and ";" not in make else self.client.query
                    self.pinned(lambda: run(make), reason, statement or make.split(" ")[0])
                    *before, last = end if isinstance(end, tuple) else (end,)
                    for sql in before:
                        self.client.query(sql)
                        time.sleep(0.01)
                        self.assertEqual(1, len(self.proxy.show("PINS")), sql)
                    (self.client.extended if extended else self.client.query)(last)
                    self.free()

    def a_temporary_object(self):
        self.each("CREATE TEMP TABLE mine (n int)", "temporary", ["DROP TABLE mine", "DISCARD TEMP", "DISCARD ALL", ("SELECT 1", "ALTER TABLE mine ADD a int", "DROP TABLE mine")])
        self.each("CREATE TEMP VIEW mine AS SELECT 1", "temporary", ["DROP VIEW mine"])
        self.each("CREATE TEMP SEQUENCE mine", "temporary", ["DROP SEQUENCE mine"])
        self.each("CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "temporary", ["DROP FUNCTION pg_temp.mine()"])
        self.each("BEGIN; CREATE TEMP TABLE mine (n int) ON COMMIT DELETE ROWS; COMMIT", "temporary", ["DROP TABLE mine"])
        for make in ("CREATE TEMP TABLE mine (n int) ON COMMIT DROP", "CREATE TEMP TABLE mine (n int)"):
            self.client.query("BEGIN")
            self.client.query(make)
            self.client.query("COMMIT" if "DROP" in make else "ROLLBACK")
            self.free()

    def a_cursor_with_hold(self):
        self.each("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "cursor", ["CLOSE c", "CLOSE ALL", "DISCARD ALL", ("FETCH c", "FETCH c", "CLOSE c")])
        self.each("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "cursor", ["CLOSE c"])

    def an_advisory_lock(self):
        self.each("SELECT pg_advisory_lock(1)", "advisory", ["SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock_all()", "DISCARD ALL",
                                                             ("SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock(1)")])
        self.each("SELECT pg_try_advisory_lock_shared(1, 2)", "advisory", ["SELECT pg_advisory_unlock_shared(1, 2)"])
        self.client.query("SELECT pg_advisory_xact_lock(1)")
        self.free()

    def a_statement_of_sqls_prepare(self):
        self.each("PREPARE p AS SELECT 1", "PREPARE", ["DEALLOCATE p", "DEALLOCATE ALL", "DISCARD ALL", ("EXECUTE p", "DEALLOCATE PREPARE p")])
        self.pinned(lambda: self.client.query("PREPARE p AS SELECT 1"), "PREPARE", "PREPARE p")
        self.client.ask(close("S", "p"), SYNC)
        self.free()

    def a_setting_that_is_not_carried(self):
        self.each("SELECT set_config('app.tenant', repeat('long', 4097), false)", "can not be given", ["RESET app.tenant", "SET app.tenant = 'plain'", "RESET ALL", "DISCARD ALL"])
        self.each("DO $$BEGIN EXECUTE 'SELECT 1'; END$$", "can not be seen", ["RESET ALL", "DISCARD ALL"])
        self.each("DO $$BEGIN SET app.tenant = 'x'; END$$", "can not be seen", ["RESET ALL", "DISCARD ALL"])
        self.pinned(lambda: self.client.extended("SELECT set_config($1, 'x', false)", ("app.tenant",)), "can not be seen", "set_config")
        self.client.query("DISCARD ALL")
        self.free()

    def what_an_application_says_when_it_starts_keeps_no_server(self):
        """Drizzle's migrations say such blocks, and pg-boss makes functions that put their statements together, and calls them at once."""
        for what in ("TABLE IF EXISTS mooring", "FUNCTION IF EXISTS moor()", "FUNCTION IF EXISTS moored()"):
            self.addCleanup(self.pg.admin("app").query, f"DROP {what}")
        for run in (self.client.query, self.client.extended):
            run("DO $$BEGIN CREATE TABLE mooring(n int PRIMARY KEY, o int); EXCEPTION WHEN duplicate_table THEN NULL; END$$")
            run("DO $$BEGIN ALTER TABLE mooring ADD CONSTRAINT more FOREIGN KEY (o) REFERENCES \"mooring\"(\"n\") ON DELETE set null;"
                " EXCEPTION WHEN duplicate_object THEN NULL; END$$;")
            self.free()
            run("CREATE OR REPLACE FUNCTION moor() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE format('TABLE %I', 'mooring'); END$$")
            run("SELECT moor()")
            self.free()
            self.client.query("DROP FUNCTION moor()")
        # But a function that is called there is asked about, whoever made it.
        self.pg.admin("app").query("CREATE FUNCTION moored() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('app.' || 'berth', '1', false); END$$")
        self.pinned(lambda: self.client.query("DO $$BEGIN PERFORM moored(); END$$"), "can not be seen", "DO")
        self.client.query("RESET ALL")
        self.free()

    def numbers_of_sequences(self):
        self.client.query("CREATE SEQUENCE pinning")
        self.addCleanup(self.pg.admin("app").query, "DROP SEQUENCE pinning")
        self.free()
        self.client.query("SELECT nextval('pinning')")      # nobody has asked for currval yet
        self.free()
        with self.proxy.client() as other:
            self.assertEqual("55000", other.simple("SELECT lastval()").error.sqlstate)
        self.each("SELECT nextval('pinning')", "currval", ["DISCARD ALL", ("SELECT currval('pinning')", "DISCARD ALL")])

    def what_can_not_be_undone_ends_with_its_client_and_server(self):
        pid = self.client.value("SELECT pg_backend_pid()")
        self.pinned(lambda: self.client.query("SELECT setseed(0.5)"), "can not undo", "setseed")
        self.client.query("DISCARD ALL")
        self.assertEqual(1, len(self.proxy.show("PINS")))
        self.client.close()
        self.free()
        self.assertNotEqual(pid, self.proxy.client().value("SELECT pg_backend_pid()"))

    def a_prepared_statement_that_is_too_long_to_keep(self):
        text = "SELECT 1 -- " + "x" * 9000
        for middle, end in (([], []), ([bind("", "long"), execute()], [wire.query("RESET ALL")])):     # what was executed nobody looked at
            self.client.ask(parse("long", text), *middle, SYNC)
            with self.proxy.client() as other:
                other.send(wire.query("SELECT 1"))
                wait_until("it waits", lambda: self.proxy.pool()["cl_waiting"] == 1)
                self.client.ask(close("S", "long"), SYNC)
                for message in end:
                    self.client.ask(message)
                self.assertEqual("1", other.reply().value)
            self.free()

    def what_can_not_be_seen_stays_where_a_reset_was_taken_back(self):
        """Whoever has the server next must not find it."""
        setting = wire.batch("SELECT set_config($1, 'mine', false)", ("app.tenant",))
        for messages in ([wire.query("BEGIN; RESET ALL; ROLLBACK")], [wire.query("RESET ALL; SELECT 1/0")], [wire.query("BEGIN"), wire.query("RESET ALL"), wire.query("ROLLBACK")],
                         [wire.query("RESET ALL"), setting], [wire.query("RESET ALL; SELECT 1/0"), wire.query("SET work_mem = '5MB'")],
                         [parse("", "RESET ALL"), bind("", ""), SYNC, wire.query("RESET work_mem")], [wire.query("SAVEPOINT a"), wire.query("RESET work_mem")],
                         [parse("", "RESET ALL"), bind("p", ""), parse("", "RESET work_mem"), bind("", ""), execute(), SYNC],
                         [parse("", "RESET ALL"), bind("", ""), execute(), parse("", "SELECT 1/0"), bind("", ""), execute(), SYNC]):
            with self.subTest(messages=messages):
                self.client.ask(setting)
                self.client.send(*messages)
                for _ in range(sum(each[:1] in (b"Q",) or each.endswith(SYNC) for each in messages)):
                    self.client.reply()
                self.assertEqual("mine", self.client.value("SELECT current_setting('app.tenant')"))
                self.assertIn("can not be seen", self.proxy.show("PINS")[0]["reason"])
                self.client.query("DISCARD ALL")
                self.free()
                with self.proxy.client() as other:
                    self.assertFalse(other.value("SELECT current_setting('app.tenant', true)"))


class Degrees(Story):
    kinds = ("pgweir",)

    def transparency_is_said_for_database_and_user(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1, "transparency": "off"},
                             databases={"app": "dbname=app", "full": "dbname=app transparency=full",
                                        "proto": "dbname=app transparency=protocol"},
                             users={"other": "transparency=full"})
        for database, user, own, others in (("app", "app", "3MB", "3MB"), ("full", "app", "3MB", "4MB"),
                                            ("proto", "app", "4MB", "4MB"), ("app", "other", "3MB", "4MB")):
            with self.subTest(database=database, user=user):
                first, second = (pooler.client(database=database, user=user) for _ in range(2))
                first.query("SET work_mem = '3MB'")
                self.assertEqual(others, second.value("SHOW work_mem"))
                self.assertEqual(own, first.value("SHOW work_mem"))

    def under_pgbouncers_name_a_set_stays_on_the_server(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1}, called="pgbouncer")
        first, second = pooler.client(), pooler.client()
        first.query("SET work_mem = '3MB'")
        self.assertEqual("3MB", second.value("SHOW work_mem"))

    def what_one_client_set_another_never_sees(self):
        """T5: with one server for both."""
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        first, second = pooler.client(), pooler.client()
        first.query("SET statement_timeout = '1s'; SET search_path = secret")
        for _ in range(3):
            self.assertEqual("0", second.value("SHOW statement_timeout"))
            self.assertEqual('"$user", public', second.value("SHOW search_path"))
            self.assertEqual("1s", first.value("SHOW statement_timeout"))
            self.assertEqual("secret", first.value("SHOW search_path"))

    def what_connect_query_set_is_there_for_everybody(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1},
                             databases={"app": "dbname=app connect_query='SET work_mem = ''11MB'''"})
        first, second = pooler.client(), pooler.client()
        for _ in range(2):
            first.query("SET work_mem = '3MB'")
            self.assertEqual("11MB", second.value("SHOW work_mem"))
            self.assertEqual("3MB", first.value("SHOW work_mem"))
            second.query("CREATE TEMP TABLE mine()")
            second.close()
            second = pooler.client()
            self.assertEqual("11MB", second.value("SHOW work_mem"))

    def what_connect_query_set_stays_undone_for_who_undid_it_and_for_nobody_else(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2},
                             databases={"app": "dbname=app connect_query='SET work_mem = ''11MB''; SET app.tenant = ''ten'''"})
        client, other = pooler.client(), pooler.client()

        def seen(by, beside):
            told = set()
            for _ in range(2):
                told.add((by.value("SHOW work_mem"), by.value("SHOW app.tenant")))
                beside.query("BEGIN; SELECT 1")
                told.add((by.value("SHOW work_mem"), by.value("SHOW app.tenant")))
                beside.query("COMMIT")
            return told
        for does, expected in (("RESET work_mem", ("4MB", "ten")), ("SET work_mem = '3MB'", ("3MB", "ten")), ("RESET ALL", ("4MB", "")),
                               ("SET app.tenant = 'eleven'", ("4MB", "eleven")), ("DISCARD ALL", ("4MB", ""))):
            client.query(does)
            self.assertEqual({expected}, seen(client, other))
            self.assertEqual({("11MB", "ten")}, seen(other, client))
            self.assertEqual({("11MB", "ten")}, seen(pooler.client(), other))


class Defaults(Story):
    """What ALTER ROLE and ALTER DATABASE say holds for sessions that begin afterwards: for servers, then, not for clients."""
    kinds = ("pgweir",)

    def a_new_default_of_a_role_holds_for_servers_that_are_opened_behind_it(self):
        pg = self.postgres()
        pooler = self.pooler(pg=pg, settings={"default_pool_size": 1})
        own, plain = pooler.client(), pooler.client()
        own.query("SET work_mem = '9MB'")
        before = plain.value("SHOW work_mem")
        with pg.admin() as admin:
            admin.query("ALTER ROLE app SET work_mem = '7MB'")
        self.assertEqual(before, plain.value("SHOW work_mem"))
        self.assertEqual(before, pooler.client().value("SHOW work_mem"))     # PostgreSQL alone would say 7MB
        pooler.console().query("RECONNECT app")
        self.assertEqual("7MB", pooler.client().value("SHOW work_mem"))
        self.assertEqual("7MB", plain.value("SHOW work_mem"))                # and here what it was before
        self.assertEqual("9MB", own.value("SHOW work_mem"))
        # So does what is told at a login, whatever the new server comes from.
        with pg.admin() as admin:
            admin.query("ALTER ROLE app SET TimeZone = 'Asia/Tokyo'")
            self.assertNotEqual("Asia/Tokyo", pooler.client().parameters["TimeZone"])
            admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        wait_until("the server is known to be gone", lambda: pooler.pool()["sv_idle"] == 0)
        self.assertEqual("Asia/Tokyo", plain.value("SHOW TimeZone"))
        self.assertEqual("Asia/Tokyo", pooler.client().parameters["TimeZone"])


class Databases(Story):
    """DROP DATABASE, RENAME and TEMPLATE are refused while somebody is in the database: a client, and not a server of ours without one."""
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(databases={"*": ""}, userlist={"postgres": "", "admin": ""})
        self.client = self.proxy.client(user="postgres", database="postgres", timeout=60)
        self.addCleanup(self.clear)
        self.clear()
        self.client.query("CREATE DATABASE fresh")

    @helper
    def clear(self):
        with self.pg.admin(timeout=60) as admin:
            for name in ("fresh", "fresher", "copy"):
                admin.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @helper
    def visit(self, name):
        """A client that was there, and is not any more."""
        with wire.Client(self.proxy.address, user="postgres", database=name) as visitor:
            self.assertEqual("1", visitor.value("SELECT 1"))

    @helper
    def done(self, sql, before):
        """Within PostgreSQL's five seconds, or a few times that where the machine is slower."""
        for _ in range(6):
            self.client.send(query(sql))
            before()
            errors = self.client.reply().errors
            if not errors or errors[0].sqlstate != "55006":
                break
        self.assertEqual([], errors, sql)

    def one_whose_clients_have_left_is_dropped_renamed_and_copied(self):
        for name, sql in (("fresh", "CREATE DATABASE copy TEMPLATE fresh"), ("fresh", "ALTER DATABASE fresh RENAME TO fresher"),
                          ("fresher", "DROP DATABASE fresher"), ("copy", "DROP DATABASE copy")):
            self.visit(name)
            self.done(sql, before=lambda: None)
        self.assertEqual("0", self.client.value("SELECT count(*) FROM pg_database WHERE datname LIKE 'fresh%' OR datname = 'copy'"))

    def one_with_a_client_is_refused_as_by_postgresql(self):
        there = self.proxy.client(user="postgres", database="fresh")
        there.query("SELECT 1")
        self.refused(self.client.query, "DROP DATABASE fresh", sqlstate="55006", says="is being accessed by other users")
        self.assertEqual("1", there.value("SELECT 1"))

    def the_last_client_may_leave_while_postgresql_waits(self):
        there = self.proxy.client(user="postgres", database="fresh")
        there.query("SELECT 1")

        def leave():
            wait_until("the statement is there", lambda: self.pg.value(
                "SELECT count(*) FROM pg_stat_activity WHERE query = 'DROP DATABASE fresh'") == "1")
            there.close()
        self.done("DROP DATABASE fresh", before=leave)


class Drivers(Transparent):
    """What drivers do with a session, unchanged, in transaction mode. (node-postgres and JDBC: test_drivers.)"""

    @helper
    def where(self):
        host, port = self.proxy.address
        return {"host": host, "port": port, "user": "app", "dbname": "app"}

    def psycopg_2(self):
        import psycopg2
        connection = psycopg2.connect(**self.where(), options="-c work_mem=9MB")
        connection.set_session(isolation_level="SERIALIZABLE", readonly=False)
        held = connection.cursor("held", withhold=True)
        held.itersize = 7
        held.execute("SELECT generate_series(1, 50)")
        connection.commit()
        self.assertEqual(list(range(1, 51)), [row[0] for row in held])
        held.close()
        connection.commit()
        cursor = connection.cursor()
        for _ in range(10):
            cursor.execute("SELECT current_setting('work_mem'), current_setting('transaction_isolation')")
            self.assertEqual(("9MB", "serializable"), cursor.fetchone())
            connection.commit()
            time.sleep(0.004)
        connection.close()
        self.holds_nothing()

    def psycopg_3(self):
        import psycopg
        with psycopg.connect(**self.where(), autocommit=True, prepare_threshold=1) as connection:
            connection.execute("SET search_path = mine, public")
            connection.execute("SELECT set_config('app.tenant', %s, false)", ("t",))
            connection.execute("CREATE TEMP TABLE kept AS SELECT 1 AS n")
            try:
                with connection.transaction():
                    connection.execute("SET work_mem = '7MB'")
                    raise KeyError
            except KeyError:
                pass
            for n in range(20):
                self.assertEqual(("mine, public", "t", "4MB", n), connection.execute(
                    "SELECT current_setting('search_path'), current_setting('app.tenant'), current_setting('work_mem'), %s::int",
                    (n,)).fetchone())
                self.assertEqual((1,), connection.execute("SELECT n FROM kept").fetchone())
                time.sleep(0.002)
        self.holds_nothing()

    def asyncpg(self):
        import asyncio

        import asyncpg
        where = self.where()
        where["database"] = where.pop("dbname")

        async def work():
            connection = await asyncpg.connect(**where, server_settings={"search_path": "first"})
            await connection.execute("SET search_path = second")
            await connection.execute("SELECT pg_advisory_lock(99)")
            statement = await connection.prepare("SELECT current_setting('search_path'), $1::int")
            for n in range(20):
                self.assertEqual(("second", n), tuple(await statement.fetchrow(n)))
                await asyncio.sleep(0.003)
            self.assertTrue(await connection.fetchval("SELECT pg_advisory_unlock(99)"))
            await connection.reset()            # RESET ALL, CLOSE ALL, UNLISTEN *, pg_advisory_unlock_all
            for _ in range(10):
                self.assertEqual("first", await connection.fetchval("SHOW search_path"))
                await asyncio.sleep(0.003)
            await connection.close(timeout=60)
        asyncio.run(asyncio.wait_for(work(), 60 * wire.PATIENCE))
        self.holds_nothing()

    def psql(self):
        import subprocess
        host, port = self.proxy.address
        done = subprocess.run(["psql", "-XAtq", "-h", host, "-p", str(port), "-U", "app", "app"], timeout=60, text=True, input="""
            SET search_path = psql, public;
            CREATE TEMP TABLE kept (n int);
            \\copy kept FROM PROGRAM 'seq 5'
            SELECT pg_sleep(0.02);
            SELECT sum(n) FROM kept;
            BEGIN; SET work_mem = '6MB'; SAVEPOINT s; SET work_mem = '5MB'; ROLLBACK TO s; COMMIT;
            DROP TABLE kept;
            SHOW work_mem;
            SHOW search_path;
            \\c
            SHOW search_path;
            """, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin"})
        self.assertEqual(["", "15", "6MB", "psql, public", '"$user", public'], done.stdout.splitlines())


class Behind(Story):
    """What a client sends while the question about its last transaction is not answered yet."""

    def what_an_execute_will_do_is_remembered_though_a_question_is_answered_meanwhile(self):
        pg = self.postgres(max_connections=20)
        proxy = self.pooler(pg=pg, settings={"pool_mode": "transaction", "default_pool_size": 1, "workers": 1})
        client, other, console = proxy.client(), proxy.client(), proxy.console()
        client.query("SELECT 1")
        with pg.admin("app") as holder:
            holder.query("BEGIN; LOCK TABLE pg_catalog.pg_settings")
            client.query("SET work_mem = '3MB'")
            wait_until("the question waits", lambda: pg.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1")
            before = self.received(console)
            client.send(query("PREPARE p AS SELECT set_config('app.tenant', 'its own', false)"))
            wait_until("the PREPARE is read", lambda: self.received(console) > before)
            holder.query("COMMIT")
        client.reply()
        client.query("EXECUTE p")
        client.query("DEALLOCATE p")
        wait_until("nothing but what it set", lambda: [row["reason"] for row in proxy.show("PINS")] == ["a setting that can not be seen"])
        other.send(query("SELECT current_setting('app.tenant', true)"))
        self.assertEqual("its own", client.value("SELECT current_setting('app.tenant')"))
        client.query("RESET ALL")
        self.assertIn(other.reply().value, (None, ""))

    @helper
    def received(self, console):
        return sum(int(row["total_received"]) for row in console.query("SHOW STATS").dicts() if row["database"] == "app")


class Buffers(Story):
    """temp_buffers can not be changed in a session that had temporary tables: whoever has its own is lent another server than such a one."""
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        self.other, self.client = self.proxy.client(), self.proxy.client()

    @helper
    def uses(self, client):
        client.query("CREATE TEMP TABLE mine AS SELECT 1 AS n")
        self.assertEqual("1", client.value("SELECT n FROM mine"))
        client.query("DROP TABLE mine")

    def who_has_its_own_is_served_behind_others_with_temporary_tables(self):
        self.client.query("SET temp_buffers = '2MB'")
        for _ in range(3):
            self.uses(self.other)
            self.assertEqual("2MB", self.client.value("SHOW temp_buffers"))
            self.uses(self.client)
            self.assertEqual("8MB", self.other.value("SHOW temp_buffers"))

    def who_asks_for_its_own_at_its_login_is_served_too(self):
        self.uses(self.other)
        client = self.proxy.client(parameters={"options": "-c temp_buffers=2MB"})
        self.assertEqual("2MB", client.value("SHOW temp_buffers"))
        self.uses(client)
        self.assertEqual("8MB", self.other.value("SHOW temp_buffers"))

    @on("pgweir")
    def a_server_is_changed_for_it_once(self):
        """Whose temporary tables had the same value, or who wants none of its own, is no reason."""
        self.uses(self.other)
        client = self.proxy.client(parameters={"options": "-c temp_buffers=2MB"})
        self.uses(client)
        server = client.value("SELECT pg_backend_pid()")
        for one in (self.other, client) * 3:
            self.assertEqual(server, one.value("SELECT pg_backend_pid()"))
            self.uses(client)


class InFront(Story):
    """A temporary table in front of another of its name, where the one server had temporary objects before, and plans that were made beside them."""
    kinds = ("pgweir", "direct")
    mode = "transaction"

    def setUp(self):
        super().setUp()
        admin = self.pg.admin("app")
        admin.query("DROP TABLE IF EXISTS hidden CASCADE; CREATE TABLE hidden AS SELECT 'for all' AS said; GRANT ALL ON hidden TO PUBLIC")
        admin.query("CREATE OR REPLACE FUNCTION tells() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT said FROM hidden); END$$")
        admin.query("CREATE OR REPLACE FUNCTION makes() RETURNS void LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE hidden AS SELECT 'for one' AS said; END$$")
        self.proxy = self.pooler(settings={"pool_mode": self.mode, "default_pool_size": 1, "workers": 1})
        with self.proxy.client() as other:
            other.query("CREATE TEMP TABLE another (a int)")
            self.assertEqual("for all", other.value("SELECT tells()"))
            other.query("DROP TABLE another")
            self.assertEqual("for all", other.value("SELECT tells()"))
        self.client = self.proxy.client()

    @helper
    def told(self, expected, *messages):
        """By the last of these."""
        for each in messages:
            reply = self.client.ask(each)
            self.assertIsNone(reply.error)
        self.assertEqual(expected, reply.rows[-1][0])

    def a_function_sees_it(self):
        self.told("for all", query("SELECT tells()"))
        self.told("for one", query("CREATE TEMP TABLE hidden AS SELECT 'for one' AS said"), query("SELECT tells()"))
        self.told("for all", query("DROP TABLE hidden"), query("SELECT tells()"))

    def a_function_sees_it_in_the_same_message(self):
        self.told("for one", query("CREATE TEMP TABLE hidden AS SELECT 'for one' AS said; SELECT tells()"))

    def a_function_sees_it_in_the_same_transaction(self):
        self.client.query("BEGIN")
        self.told("for all", query("SELECT tells()"))
        self.told("for one", query("CREATE TEMP TABLE hidden ON COMMIT DROP AS SELECT 'for one' AS said"), query("SELECT tells()"))
        self.told("for all", query("COMMIT"), query("SELECT tells()"))

    def a_function_sees_it_in_the_same_batch(self):
        self.told("for all", query("SELECT tells()"))
        self.told("for one", parse("", "CREATE TEMP TABLE hidden AS SELECT 'for one' AS said") + bind("", "") + execute() + parse("", "SELECT tells()") + bind("", "") + execute() + SYNC)

    def a_function_sees_it_in_a_pipeline(self):
        """What makes it is here before what was sent ahead of it is answered."""
        makes, asks = "CREATE TEMP TABLE hidden AS SELECT 'for one' AS said", "SELECT tells()"
        for one in (query, lambda sql: parse("", sql) + bind("", "") + execute() + SYNC):
            self.client.close()
            self.client = self.proxy.client()
            self.told("for all", query(asks))
            sent = ["SELECT pg_sleep(0.1)", "BEGIN", asks, makes, asks, "ROLLBACK", asks, makes, asks, "SELECT 1/0", "DROP TABLE hidden", asks]
            self.client.send(*map(one, sent))
            replies = [self.client.reply() for _ in sent]
            told = [reply.rows[-1][0] for sql, reply in zip(sent, replies) if sql == asks]
            self.assertEqual(["for all", "for one", "for all", "for one", "for all"], told)
            self.assertEqual(["22012"], [reply.error.sqlstate for reply in replies if reply.error])

    def a_function_sees_what_another_made(self):
        self.told("for one", query("SELECT makes()"), query("SELECT tells()"))

    def a_function_sees_what_a_do_made(self):
        self.told("for one", query("DO $$BEGIN CREATE TEMP TABLE hidden AS SELECT 'for one' AS said; END$$"), query("SELECT tells()"))

    def a_statement_of_sqls_prepare_sees_it(self):
        self.told("for all", query("PREPARE p AS SELECT said FROM hidden"), query("EXECUTE p"))
        self.told("for one", query("CREATE TEMP TABLE hidden AS SELECT 'for one' AS said"), query("EXECUTE p"))


class InFrontInSessionMode(InFront):
    mode = "session"
    a_function_sees_it_in_session_mode = InFront.a_function_sees_it
    a_function_sees_it_in_the_same_batch_in_session_mode = InFront.a_function_sees_it_in_the_same_batch
    a_statement_of_sqls_prepare_sees_it_in_session_mode = InFront.a_statement_of_sqls_prepare_sees_it
    a_function_sees_it_in_a_pipeline_in_session_mode = InFront.a_function_sees_it_in_a_pipeline
