"""Conversations that are told the same way: what a client hears through the pool, message by message, is what PostgreSQL says directly.

Each is written down as its turns: what is sent at once, up to where the client reads its answers. It is played to PostgreSQL and then through a pool of
three servers that are lent in turn, so that no two transactions in a row run on the same one; and before each turn a stranger of the same user has
been on all that are free, left its own settings and statements there, and looked whether it finds its own. What may differ is listed in tests/diff/play.py,
which plays and compares; tests/diff finds conversations that nobody thought of."""
import contextlib
import os
import pathlib
import signal
import sys
import threading
import time

import wire
from harness import HERE, Story, helper, takes, wait_until
from wire import COPY_DONE, FLUSH, SYNC, bind, close, copy_data, copy_fail, describe, execute, parse, query

sys.path.append(str(pathlib.Path(HERE).parent / "diff"))
import play  # noqa: E402
import streams  # noqa: E402

SERVERS = 3
STRANGERS_SETTINGS = {"work_mem": "17MB", "search_path": "strange, public", "app.tenant": "stranger", "statement_timeout": "17min",
                      "timezone": "Asia/Tokyo", "role": "other", "DateStyle": "SQL, DMY", "standard_conforming_strings": "off", "escape_string_warning": "off",
                      "transform_null_equals": "on", "array_nulls": "off", "client_encoding": "LATIN1"}


def run(sql, *values, name="", portal="", rows=0):
    """Parse, Bind and Execute, and no Sync."""
    return parse(name, sql) + bind(portal, name, values) + execute(portal, rows)


def synced(*parts):
    return b"".join(parts) + SYNC


class Others:
    """A turn in which somebody else says something to PostgreSQL itself."""

    def __init__(self, sql):
        self.sql = sql


class Stranger:
    """Has been everywhere, and is itself."""

    def __init__(self, pooler, texts):
        self.texts, self.arrives = texts, True
        self.client = pooler.client(timeout=60)
        for name, value in STRANGERS_SETTINGS.items():
            self.client.query(f"SET {name} = {wire_literal(value)}" if name != "search_path" else f"SET search_path = {value}")
        self.client.ask(parse("s1", "SELECT 'a stranger''s'"), parse("s2", "SELECT 'another of a stranger''s'"), SYNC)
        for number, text in enumerate(texts):
            self.client.prepare(f"text {number}", text)

    def passes(self):
        for _ in range(SERVERS):
            told = self.client.extended("SELECT " + ", ".join(f"current_setting('{name}')" for name in STRANGERS_SETTINGS)).rows[0]
            if told != tuple(STRANGERS_SETTINGS.values()):
                raise AssertionError(f"the stranger sees {told}")
            self.client.ask(parse("", "SELECT 'the stranger''s unnamed one'"), SYNC)
            told = self.client.run_prepared("s1").value
            if told != "a stranger's":
                raise AssertionError(f"the stranger's statement says {told}")
        # Each on all servers, one after the other: how many come between two of the same text may be a multiple of theirs.
        for number in range(len(self.texts) if self.arrives else 0):
            for _ in range(SERVERS):
                self.client.run_prepared(f"text {number}")
        self.arrives = False


def wire_literal(value):
    return "'" + value.replace("'", "''") + "'"


class Played(Story):
    """What plays them."""
    kinds = ("pgweir",)

    def who_plays_directly_waits_for_a_backend_that_sleeps_on(self):
        admin, threads = self.pg.admin("app"), []
        self.addCleanup(admin.close)

        def stop(_):
            pid = int(admin.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'sleeper'"))
            os.kill(pid, signal.SIGSTOP)
            threads.append(threading.Timer(1, os.kill, (pid, signal.SIGCONT)))
            threads[0].start()

        def waits(pid):
            return admin.value(f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") == "ClientRead"
        select = streams.Message("Query SELECT 1", query("SELECT 1"))
        stream = streams.Stream(None, "app", {"application_name": "sleeper"}, [select, streams.WAIT, streams.Others(None), select])
        heard = play.play(self.pg.socket_path, stream, "app", stop, waits=waits)
        threads[0].join()
        self.assertEqual([4, 8], heard.at[:2])


class Alike(Story):
    kinds = ("pgweir",)

    schema = ()
    settings = {}
    strangers_texts = ()        # what it has prepared, in its own settings

    def setUp(self):
        super().setUp()
        with self.pg.admin() as admin:
            admin.query("DROP DATABASE IF EXISTS alike WITH (FORCE)")
            admin.query("CREATE DATABASE alike OWNER app")
            # PostgreSQL never forgets the name of such a setting, whoever it was that said it.
            admin.query("ALTER DATABASE alike SET app.tenant = 'nobody'")
            admin.query("GRANT other TO app")
        self.addCleanup(self.clear)
        self.admin = self.pg.admin("alike")
        self.addCleanup(self.admin.close)
        self.proxy = self.pooler(databases={"alike": "dbname=alike"}, settings={
            "pool_mode": "transaction", "default_pool_size": SERVERS, "min_pool_size": SERVERS, "server_round_robin": 1,
            "query_wait_timeout": 60, "query_wait_notify": 0, **self.settings})
        self.proxy.client = lambda database="alike", **options: self.keep_client(wire.Client(self.proxy.address, database=database, **options))
        for statement in ("CREATE SCHEMA strange", "GRANT ALL ON SCHEMA strange TO PUBLIC", "GRANT ALL ON SCHEMA public TO PUBLIC", *self.schema):
            self.admin.query(statement)
        self.stranger = Stranger(self.proxy, self.strangers_texts)
        self.stranger.passes()

    @helper
    def keep_client(self, client):
        self.addCleanup(client.close)
        return client

    @helper
    def clear(self):
        with self.pg.admin(timeout=60) as admin:
            admin.query("DROP DATABASE IF EXISTS alike WITH (FORCE)")

    @helper
    def waits(self, pid):
        return self.admin.query(f"SELECT wait_event = 'ClientRead' FROM pg_stat_activity WHERE pid = {pid}").value == "t"

    @helper
    def alike(self, *turns, login=None, user="app", before=()):
        """Played both ways, with `before` said by the superuser each time, it is the same."""
        messages = []
        for turn in turns:
            messages += [streams.WAIT, streams.Others(None)]
            if isinstance(turn, Others):
                messages.append(streams.Others(turn.sql))
                continue
            for each in turn if isinstance(turn, (list, tuple)) else [turn]:
                for one in split(each):
                    messages.append(streams.Message(str(one[:60]), one))
        stream = streams.Stream(None, user, login or {}, [*messages, streams.WAIT])

        def say(sql, pooled):
            if sql:
                self.admin.query(sql)
            elif pooled:
                self.stranger.passes()
        for sql in before:
            self.admin.query(sql)
        direct = play.play(self.pg.socket_path, stream, "alike", lambda sql: say(sql, False), waits=self.waits)
        for sql in before:
            self.admin.query(sql)
        pooled = play.play(self.proxy.address, stream, "alike", lambda sql: say(sql, True), after=direct)
        found = play.difference(direct, pooled)
        self.assertIsNone(found, "\n".join([repr(turns), *(found or [])]))
        return direct


def split(what):
    """Messages of a string of them, a text being a Query."""
    if isinstance(what, str):
        return [query(what)]
    found = []
    while what:
        length = int.from_bytes(what[1:5], "big") + 1
        found.append(what[:length])
        what = what[length:]
    return found


SHOW = "SELECT current_setting('work_mem'), current_setting('app.tenant', true), current_setting('search_path'), current_user, session_user"


class Settings(Alike):
    def set_local_ends_with_its_transaction(self):
        self.alike("SET work_mem = '5MB'", "BEGIN", "SET LOCAL work_mem = '6MB'", SHOW, "SET LOCAL app.tenant = 'local'", SHOW, "COMMIT", SHOW)
        self.alike("SET LOCAL work_mem = '6MB'", SHOW, "SET LOCAL work_mem = 'much'", "SET LOCAL app.tenant = 'a'; SHOW app.tenant", SHOW)
        self.alike("BEGIN", "SET LOCAL work_mem = '6MB'", "SET work_mem = '7MB'", "SAVEPOINT a", "SET LOCAL work_mem = '8MB'", "RELEASE a", SHOW, "COMMIT", SHOW)
        self.alike("BEGIN", "SET work_mem = '7MB'", "SET LOCAL work_mem = '6MB'", SHOW, "COMMIT", SHOW)
        self.alike("BEGIN", "SET LOCAL role = other", SHOW, "COMMIT", SHOW, "BEGIN", "SET LOCAL SESSION AUTHORIZATION app", SHOW, "COMMIT", SHOW)
        self.alike("BEGIN", "SELECT set_config('work_mem', '9MB', true)", "SELECT set_config('app.tenant', 'x', true)", SHOW, "COMMIT", SHOW)

    def each_that_a_user_may_set_is_its_clients(self):
        """Of whatever version PostgreSQL is, each gets another value, and its neighbour on the only server has its own as before."""
        one = self.pooler(databases={"alike": "dbname=alike"}, settings={"pool_mode": "transaction", "default_pool_size": 1})
        client, other = one.client(database="alike"), one.client(database="alike")
        words = {"bool": "CASE setting WHEN 'on' THEN 'off' ELSE 'on' END", "enum": "(SELECT v FROM unnest(enumvals) v WHERE v <> setting AND v <> 'fatal' ORDER BY v DESC LIMIT 1)",
                 "integer": "(SELECT v::text FROM unnest(ARRAY[0, setting::numeric + 600000, setting::numeric + 1, setting::numeric - 1]) v WHERE v BETWEEN min_val::numeric AND max_val::numeric AND v <> setting::numeric "
                            "ORDER BY abs(v - 600000) LIMIT 1)",
                 "real": "(SELECT v::text FROM unnest(ARRAY[setting::numeric * 2 + 0.125, setting::numeric - 0.125]) v WHERE v BETWEEN min_val::numeric AND max_val::numeric LIMIT 1)",
                 "string": "CASE name WHEN 'DateStyle' THEN 'German' WHEN 'TimeZone' THEN 'Asia/Tokyo' WHEN 'search_path' THEN 'a, b' WHEN 'client_encoding' THEN 'LATIN1' WHEN 'application_name' THEN 'me' END"}
        # Three are of a transaction, and end with it; what TCP has is the kernel's to say.
        rows = self.admin.query("SELECT name, CASE vartype " + " ".join(f"WHEN '{kind}' THEN {value}" for kind, value in words.items()) + " END FROM pg_settings "
                                "WHERE context = 'user' AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable', 'seed', 'exit_on_error') AND name NOT LIKE 'tcp\\_%' ORDER BY 1").rows
        tried = 0
        for name, value in rows:
            shows = f"SELECT current_setting('{name}')"
            usual = other.value(shows)
            if value is None or client.simple(f"SET {name} = {wire_literal(value)}").error:
                continue
            own = client.value(shows)
            self.assertNotEqual(usual, own, name)
            self.assertEqual([usual, own, usual], [other.value(shows), client.value(shows), other.value(shows)], name)
            client.query(f"RESET {name}")
            self.assertEqual([usual, usual], [client.value(shows), other.value(shows)], name)
            tried += 1
        self.assertGreater(tried, 100)

    def what_a_savepoint_takes_back_was_never_set(self):
        self.alike("BEGIN", "SET work_mem = '5MB'", "SAVEPOINT a", "SET work_mem = '6MB'", "SET app.tenant = 'inner'", "SAVEPOINT b", "SET work_mem = '7MB'",
                   "ROLLBACK TO b", SHOW, "ROLLBACK TO a", SHOW, "COMMIT", SHOW)
        self.alike("BEGIN", "SAVEPOINT a", "SET work_mem = '6MB'", "SELECT 1/0", "ROLLBACK TO a", SHOW, "SET app.tenant = 'kept'", "RELEASE a", "COMMIT", SHOW)
        self.alike("BEGIN", "SET timezone = 'Asia/Tokyo'", "SAVEPOINT a", "SET timezone = 'UTC'", "ROLLBACK TO a", "SHOW timezone", "ROLLBACK", "SHOW timezone")
        self.alike("BEGIN; SET work_mem = '5MB'; SAVEPOINT a; SET work_mem = '6MB'; ROLLBACK TO a; COMMIT", SHOW)
        self.alike("SET work_mem = '5MB'; SELECT 1/0", SHOW, "BEGIN; SET work_mem = '6MB'; COMMIT; SELECT 1/0", SHOW)
        self.alike("BEGIN", "SET ROLE other", "SAVEPOINT a", "RESET ROLE", "ROLLBACK TO a", SHOW, "ROLLBACK", SHOW)

    def names_of_settings_may_be_parameters(self):
        config = "SELECT set_config($1, $2, $3::bool)"
        self.alike(synced(run(config, "work_mem", "5MB", "f")), SHOW, synced(run(config, "app.tenant", "mine", "f")), SHOW, synced(run(config, "app.tenant", "gone", "t")), SHOW,
                   "SELECT current_setting('app.tenant')", "RESET app.tenant", SHOW)
        self.alike(synced(parse("c", config)), synced(bind("", "c", ("app.tenant", "one", "f")), execute()), SHOW,
                   "BEGIN", synced(bind("", "c", ("app.tenant", "two", "f")), execute()), SHOW, "ROLLBACK", SHOW, "RESET ALL", SHOW)
        self.alike("SELECT set_config('app.' || 'tenant', 'put together', false)", SHOW, "SELECT set_config(n, 'by row', false) FROM (VALUES ('app.tenant'), ('work_mems')) v(n)", SHOW)
        self.alike("PREPARE c (text, text) AS SELECT set_config($1, $2, false)", "EXECUTE c ('app.tenant', 'executed')", SHOW, "EXECUTE c ('work_mem', '5MB')", SHOW, "DEALLOCATE c", SHOW)

    def a_session_authorization_is_given_back(self):
        self.alike("SET SESSION AUTHORIZATION other", SHOW, "SET SESSION AUTHORIZATION app", SHOW, "RESET SESSION AUTHORIZATION", SHOW,
                   "SET SESSION AUTHORIZATION DEFAULT", SHOW, "SET ROLE other", SHOW, "RESET SESSION AUTHORIZATION", SHOW, "RESET ROLE", SHOW)
        self.alike("SET SESSION AUTHORIZATION other", SHOW, "SET SESSION AUTHORIZATION app", SHOW, "SET ROLE app", SHOW, "BEGIN",
                   "SET SESSION AUTHORIZATION third", SHOW, "ROLLBACK", SHOW, "RESET ALL", SHOW, "DISCARD ALL", SHOW)

    @takes(180)
    def options_of_the_login_in_every_spelling(self):
        show = "SELECT current_setting('work_mem'), current_setting('app.tenant'), current_setting('search_path'), current_setting('geqo'), current_setting('DateStyle')"
        for options in ("-c work_mem=5MB -c app.tenant=one", "-cwork_mem=5MB  -capp.tenant=two", "--work_mem=5MB --app.tenant=th\\ ree --search-path=a,b",
                        "-c search_path=a,\\ \"B\\ c\" -c geqo=off", "-c app.tenant=it's\\\\back", "-c DateStyle=German -c work_mem=6MB -c work_mem=7MB",
                        "-c app.tenant='quoted'", "-c app.tenant="):
            with self.subTest(options=options):
                self.alike(show, "SET work_mem = '1MB'; SET app.tenant = 'changed'; SET DateStyle = 'ISO'", show, "RESET work_mem", show, "RESET ALL", show, "SET work_mem = '2MB'", "BEGIN", "RESET work_mem", "ROLLBACK", show,
                           "DISCARD ALL", show, login={"options": options})

    def what_is_set_behind_a_reset_in_one_message_stays(self):
        """PostgreSQL shows nobody that a setting with a dot was set, or a role."""
        shown = "SELECT current_setting('app.tenant'), current_setting('work_mem'), current_user"
        self.alike(shown, "RESET ALL; SET app.tenant = 'x'", shown, "RESET app.tenant; SET app.tenant = 'y'", shown, "SET app.tenant = 'z'; RESET app.tenant; SET work_mem = '9MB'", shown,
                   "SET app.tenant = 'ü'; RESET ALL; SET work_mem = '9MB'", shown, "RESET ALL; SELECT set_config('app.tenant', 'ü', false)", shown, "RESET app.tenant", shown, "RESET ROLE; SET ROLE app", shown,
                   "SET work_mem = '9MB'; RESET ROLE", shown, "BEGIN", "RESET app.tenant; SET app.tenant = 'x'", shown, "ROLLBACK", shown, "BEGIN", "SET LOCAL app.tenant TO DEFAULT; SET work_mem = '8MB'", shown, "COMMIT", shown,
                   login={"options": "-c app.tenant=own -c work_mem=5MB -c role=other"})

    def a_reset_takes_no_snapshot(self):
        """What must come before the first query of its transaction may stand behind it."""
        login = {"options": "-c work_mem=7MB -c search_path=mine,\\ public -c app.tenant=o\'clock -c statement_timeout=1h", "DateStyle": "SQL, DMY", "application_name": ""}
        isolation = "SELECT current_setting('work_mem'), current_setting('search_path'), current_setting('app.tenant'), current_setting('statement_timeout'), current_setting('datestyle'), current_setting('transaction_isolation')"
        for does in ("RESET work_mem", "RESET ALL", synced(run("RESET ALL")), "RESET search_path", "SET app.tenant TO DEFAULT", synced(run("SET LOCAL DateStyle TO DEFAULT")), "SET LOCAL work_mem = '1MB'; RESET work_mem"):
            self.alike("BEGIN", does, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", isolation, "COMMIT", isolation, login=login)
        for path in ('"$user", public', '"Mixed", a_1, "9"', "user, public", "a,b", ""):
            self.alike("BEGIN", "RESET ALL", "SHOW search_path", "SELECT current_schemas(true)", "COMMIT", "SHOW search_path", "RESET search_path", "SHOW search_path", login={"search_path": path})

    def a_reset_that_nobody_saw_leads_to_the_login_soon(self):
        """Neither the words of a statement nor a function's name tell of it; so it is so when the server was asked, which nobody waits for."""
        self.admin.query("CREATE OR REPLACE FUNCTION resets() RETURNS void LANGUAGE plpgsql AS $$BEGIN RESET work_mem; RESET geqo; RESET DateStyle; END$$")
        shown = "SELECT current_setting('work_mem'), current_setting('geqo'), current_setting('DateStyle')"
        client = self.proxy.client(parameters={"options": "-c work_mem=5MB -c geqo=off", "DateStyle": "German"})
        for first in ("SELECT 1", "SET work_mem = '6MB'"):
            for words in ("SELECT resets()", "BEGIN; SELECT resets(); COMMIT", "SELECT set_config('work_mem', NULL, false), set_config('geqo', NULL, false)"):
                client.query(first)
                client.query(words)
                wait_until("it is led back", lambda: client.query(shown).rows[0] == ("5MB", "off", "German, DMY"))
                client.query("SET work_mem = '7MB'")
                self.assertEqual(("7MB", "off", "German, DMY"), client.query(shown).rows[0])
                client.query("RESET work_mem")
                self.assertEqual("5MB", client.value("SHOW work_mem"))

    def no_reset_all_touches_a_role(self):
        who = "SELECT current_user"
        for role in ("app", "NONE", "other"):
            self.alike(who, f"SET ROLE {role}", who, "RESET ALL", who, "RESET ALL; SET work_mem = '9MB'", who, "SET work_mem = '8MB'; RESET ROLE; RESET ALL", who, f"SET ROLE {role}", "DISCARD ALL", who, login={"options": "-c role=other"})
        # Nothing led back, nothing said; and none of these stories says that by itself.
        self.assertNotIn("SET TRANSACTION can only", self.pg.log_path.read_text(errors="replace"))

    def what_the_server_reports_is_told_as_it_changes(self):
        login = {"TimeZone": "Europe/Rome", "application_name": "me", "DateStyle": "SQL, DMY"}
        self.alike("SET TimeZone = 'UTC'", "RESET TimeZone", "SET application_name = 'it''s'", "RESET ALL", "BEGIN", "SET DateStyle = 'German'", "SAVEPOINT a",
                   "SET DateStyle = 'ISO'", "ROLLBACK TO a", "ROLLBACK", "BEGIN", "RESET DateStyle", "SET intervalstyle = iso_8601", "COMMIT", "SET TIME ZONE LOCAL", "SHOW timezone", "DISCARD ALL",
                   "SET NAMES 'LATIN1'", "SHOW client_encoding", "RESET client_encoding", "SET standard_conforming_strings = off", "SELECT 1", "RESET ALL", "SET SESSION AUTHORIZATION app",
                   login=login)
        self.alike(["SET TimeZone = 'UTC'", "SELECT 1/0", "RESET TimeZone", "SHOW TimeZone"], ["BEGIN", "SET TimeZone = 'UTC'", "SELECT 1/0", "ROLLBACK", "SHOW TimeZone"], "SHOW TimeZone", login=login)


class Prepared(Alike):
    schema = ("CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "ALTER TABLE t OWNER TO app")
    again = ("DROP TABLE IF EXISTS t, u", "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "ALTER TABLE t OWNER TO app")

    @takes(180)
    def a_statement_that_ddl_made_invalid_is_prepared_anew(self):
        reads = synced(bind("", "s"), execute())
        for change in ("ALTER TABLE t ADD b int DEFAULT 7", "ALTER TABLE t ALTER a TYPE text"):
            for text in ("SELECT a FROM t", "INSERT INTO t VALUES (3) RETURNING *"):
                text += f" -- {change}"         # no text is known from before the table was made anew
                again = synced(close("S", "s"), parse("s", text))
                with self.subTest(change=change, text=text):
                    self.alike(synced(parse("s", text)), reads, reads, reads, change, again, reads, synced(describe("S", "s")), reads, reads, reads, before=self.again)
                    again = synced(close("S", "s"), parse("s", text + ", once more"))
                    self.alike(synced(parse("s", text + ", once more")), "BEGIN", reads, change, reads, "ROLLBACK", reads, "BEGIN", change, again, reads, "ROLLBACK", again, reads, reads, reads, before=self.again)
        self.alike("PREPARE s AS SELECT * FROM t", "EXECUTE s", Others("ALTER TABLE t ADD b int"), "EXECUTE s", "EXECUTE s", "DEALLOCATE s", "EXECUTE s", before=self.again)
        self.alike(synced(parse("s", "SELECT * FROM t")), ["DEALLOCATE ALL", "ALTER TABLE t ADD b int", synced(parse("s", "SELECT * FROM t")), reads], reads, reads, before=self.again)

    def a_statement_that_ddl_past_the_pool_made_invalid_is_an_error_once(self):
        text = "SELECT * FROM t"
        first = self.keep_client(wire.Client(self.proxy.address, database="alike"))
        first.prepare("s", text)
        for _ in range(SERVERS):
            self.assertEqual([("1",)], first.run_prepared("s").rows)
        self.admin.query("ALTER TABLE t ADD b int DEFAULT 7")
        self.refused(first.run_prepared, "s", says="cached plan must not change result type", sqlstate="0A000")
        for client in (first, *(self.keep_client(wire.Client(self.proxy.address, database="alike")) for _ in range(2))):
            client.ask(close("S", "s"), parse("s", text), SYNC)
            for _ in range(SERVERS + 1):
                self.assertEqual([("1", "7")], client.run_prepared("s").rows)

    def one_that_is_bound_with_a_format_for_each_column_is_told_that_it_has_others(self):
        """As drivers do that have its columns from a Describe; by this error, and no other, they know that they must prepare it anew."""
        client = self.keep_client(wire.Client(self.proxy.address, database="alike"))

        def told(formats):
            error = client.ask(bind("", "s", formats=formats), execute(), SYNC).error
            return error and (error.sqlstate, error.message, error.fields["R"])
        client.prepare("s", "SELECT a AS one, t.* FROM t")
        self.assertIsNone(told((0, 1)))
        client.query("ALTER TABLE t ADD b int")
        for _ in range(2 * SERVERS):            # one of them had it, the others did not
            self.assertEqual(("0A000", "cached plan must not change result type", "RevalidateCachedQuery"), told((0, 1)))
        client.ask(close("S", "s"), parse("s", "SELECT a AS one, t.* FROM t"), SYNC)
        for _ in range(SERVERS):
            self.assertIsNone(told((0, 1, 0)))

    @takes(180)
    def who_reads_by_an_earlier_describe_is_told_of_other_columns(self):
        """Of the same number, so that nothing in a Bind tells: the eight bytes would be read as four."""
        reads, count = synced(bind("", "s", formats=(1,)), execute()), "SELECT count(*) FROM t"
        change = "ALTER TABLE t ALTER a TYPE bigint"
        for text in ("SELECT a FROM t", "INSERT INTO t VALUES (3) RETURNING a"):
            for how in (change, Others(change)):
                text += " -- again"             # no text is known from before the table was made anew
                again = synced(close("S", "s"), parse("s", text), describe("S", "s"))
                with self.subTest(text=text, how=how):
                    self.alike(synced(parse("s", text), describe("S", "s")), how, reads, reads, count, "BEGIN", reads, "SELECT 1", "ROLLBACK", "BEGIN", "SELECT 1", reads, "COMMIT",
                               [reads + reads, count], again, reads, reads, reads, count, before=self.again)
        text = ";" + text + " -- or not"
        self.alike(synced(parse("s", text), describe("S", "s")), "BEGIN", change, reads, "ROLLBACK", reads, reads, reads,
                   synced(parse("", change), bind("", ""), execute(), bind("", "s", formats=(1,)), execute()), reads, reads, reads,
                   ["SELECT 1", synced(parse("", "BEGIN"), bind("", ""), execute(), parse("", change), bind("", ""), execute(), bind("", "s", formats=(1,)), execute())], "ROLLBACK", reads, reads, reads,
                   Others(change), Others("ALTER TABLE t ALTER a TYPE int"), reads, reads, reads, "BEGIN", change, "COMMIT", reads, reads, reads, before=self.again)

    def nobodys_values_are_read_as_those_of_another_type(self):
        """PostgreSQL keeps the types that it has told; a server that did not know the statement finds others, of as many bytes."""
        client = self.keep_client(wire.Client(self.proxy.address, database="alike"))
        binds = wire.message(b"B", wire.text("") + wire.text("s") + b"\0\1\0\1\0\1" + b"\0\0\0\x08" + b"\0\1\0\0\0\0\0\0" + b"\0\0")
        self.admin.query("CREATE TABLE moments (a timestamp); INSERT INTO moments VALUES ('2000-01-01'); GRANT ALL ON moments TO PUBLIC")
        client.ask(parse("s", "UPDATE moments SET a = $1"), describe("S", "s"), SYNC)
        self.admin.query("ALTER TABLE moments ALTER a TYPE double precision USING 0")
        for _ in range(2 * SERVERS):            # those that had it say that no cast leads there
            self.assertIn(client.ask(binds, execute(), SYNC).error.sqlstate, ("0A000", "42804"))
        self.assertEqual([("0",)], self.admin.query("SELECT * FROM moments").rows)
        # Nor where a Bind is cut behind its names: nobody knows yet what its values are.
        other = self.proxy.client()
        client.ask(close("S", "s"), parse("s", "UPDATE moments SET a = $1 -- in two"), describe("S", "s"), SYNC)
        self.admin.query("ALTER TABLE moments ALTER a TYPE timestamp USING '2000-01-01'")
        client.query("BEGIN")
        client.query("SELECT 1")
        client.send(binds[:8])
        other.query("SELECT 1")                 # the first part is read then
        client.send(binds[8:], execute(), SYNC)
        self.assertIn(client.reply().error.sqlstate, ("0A000", "42804"))
        client.query("ROLLBACK")
        self.admin.query("ALTER TABLE moments ALTER a TYPE double precision USING 0")
        # As texts they are read by either type, and nobody need be told.
        client.ask(close("S", "s"), parse("s", "UPDATE moments SET a = $1 -- again"), describe("S", "s"), SYNC)
        self.admin.query("ALTER TABLE moments ALTER a TYPE numeric")
        for _ in range(2 * SERVERS):
            self.assertEqual(["UPDATE 1"], client.ask(bind("", "s", (7,)), execute(), SYNC).tags)

    def a_bind_that_is_held_while_its_statement_waits_for_a_lock_is_cancelled(self):
        client, admin = self.proxy.client(timeout=30), self.keep_client(self.pg.admin("alike"))
        client.ask(parse("s", "SELECT a FROM t -- locked"), describe("S", "s"), SYNC)
        for begins in (False, True):            # one server has the statement, the next has it not
            admin.query("BEGIN")
            admin.query("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            if begins:
                client.query("BEGIN")
            client.send(bind("", "s"), execute(), SYNC)
            wait_until("its server waits for the lock", lambda: self.admin.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'alike'").rows)
            client.cancel()
            self.assertEqual("57014", client.reply().error.sqlstate)
            admin.query("ROLLBACK")
            if begins:
                client.query("ROLLBACK")
            self.assertEqual("1", client.value("SELECT 1"))

    def the_unnamed_statement_is_what_it_would_be(self):
        reads = synced(bind(""  , ""), execute())
        self.alike(synced(parse("", "SELECT 1")), reads, synced(describe("S")), reads, "SELECT 2", reads, synced(parse("", "SELEC")), reads, synced(describe("S")))
        self.alike(synced(parse("", "SELECT $1::int + 1")), synced(describe("S")), synced(bind("", "", (4,)), execute()), synced(bind("", "", ("x",)), execute()), synced(bind("", "", (5,)), execute()),
                   synced(close("S")), synced(bind("", "", (5,)), execute()))
        self.alike([synced(parse("", "SELECT 1")), "SELECT 1/0", synced(bind("", ""), execute())], [synced(parse("", "SELECT 3")), synced(bind("", "nothing")), reads], reads)
        self.alike("BEGIN", synced(parse("", "SELECT 1")), "COMMIT", reads, "BEGIN", synced(parse("", "SELECT 4")), reads, synced(bind("", "none")), reads, "ROLLBACK", reads)
        self.alike(synced(parse("", "BEGIN")), reads, reads, "COMMIT", reads)
        self.alike(synced(parse("", "DEALLOCATE ALL")), synced(parse("s", "SELECT 1")), reads, synced(bind("", "s"), execute()))

    @takes(120)
    def a_text_too_long_to_keep_takes_no_name_that_is_in_use(self):
        """Longer than statement_text_max: nobody looks at it, and the server is sent it as it comes."""
        long = "SELECT 'long' /*" + "x" * 1100000 + "*/"
        reads, again = synced(bind("", "s"), execute()), synced(parse("s", long), bind("", "s"), execute())
        self.alike(synced(parse("s", "SELECT 'short'")), again, reads, "BEGIN", again, "SELECT 1", "ROLLBACK", [again, reads], "BEGIN", "SELECT 1/0", again, "ROLLBACK", reads,
                   synced(parse("t", "SELECT 'short'"), parse("t", long)), synced(bind("", "t"), execute()), synced(close("S", "s")), again, reads, synced(parse("s", "SELECT 'short'")), again, reads,
                   synced(close("S", "s")), synced(parse("s", "SELECT 'short'")), reads)

    def unknown_names_are_postgresqls_errors(self):
        self.alike(synced(describe("S", "none")), synced(describe("P", "none")), synced(describe("S")), synced(describe("P")), synced(bind("", "none")), synced(execute("none")), synced(close("S", "none")),
                   synced(close("P", "none")), "EXECUTE none", "DEALLOCATE none", "DEALLOCATE PREPARE none", "CLOSE none", "FETCH none", "SELECT 1")
        self.alike("BEGIN", synced(describe("S", "none")), synced(describe("S", "none")), "ROLLBACK", "BEGIN", synced(bind("", "none")), "COMMIT", "SELECT 1")
        self.alike(synced(parse("s", "SELECT 1")), synced(parse("s", "SELECT 2")), synced(parse("s", "SELECT 1")), synced(bind("", "s"), execute()), synced(close("S", "s")), synced(parse("s", "SELECT 2")), synced(bind("", "s"), execute()))
        self.alike([parse("s", "SELECT 1") + bind("", "s") + execute() + parse("s", "SELECT 2") + bind("", "s") + execute() + SYNC, synced(bind("", "s"), execute())])
        self.alike(synced(describe("S", "s2")), synced(bind("", "s1"), execute()), "DEALLOCATE s1", "DEALLOCATE s2", "DEALLOCATE \"s1\"", synced(parse("s1", "SELECT 'mine'")), synced(bind("", "s1"), execute()))

    def a_name_goes_when_its_deallocate_is_executed(self):
        """And not when the server has read it: something may fail in between, or nobody executes it."""
        reads, ends = synced(bind("", "s"), execute()), parse("", "DEALLOCATE s")
        made = synced(parse("s", "SELECT 'kept'"), parse("t", "SELECT 'kept'"), parse("u", "SELECT 3"))
        self.alike(made, synced(ends), reads, synced(ends, describe("S")), reads, made)
        self.alike(made, synced(ends, bind("", "", (1,)), execute()), reads, synced(ends, bind("", ""), describe("P", "none"), execute()), reads, [synced(ends, execute("none")), reads])
        self.alike(made, synced(ends), synced(describe("S")), synced(bind("", ""), execute()), reads, made, synced(bind("", "t"), execute()), reads)
        self.alike(made, "BEGIN", synced(ends), synced(bind("", ""), execute()), reads, "ROLLBACK", reads, made, reads)
        self.alike(made, "BEGIN", "SELECT 1/0", synced(ends, bind("", ""), execute()), "ROLLBACK", reads)
        self.alike(made, synced(ends, bind("p", ""), bind("", "t"), execute(), bind("q", "u"), execute("q"), bind("", "s"), execute(), execute("p"), bind("", "t"), execute(), bind("", "s"), execute()), reads, made, reads)
        self.alike(made, synced(ends, bind("", ""), bind("", "t"), execute()), reads, synced(ends, bind("", "t"), execute(), bind("", ""), execute(), bind("", "t"), execute()), reads, synced(bind("", "t"), execute()))
        self.alike(made, [synced(ends, bind("", ""), execute()), made, reads, synced(parse("", "DEALLOCATE t"), bind("", "", (1,)), execute()), synced(bind("", "t"), execute())])

    def one_that_is_deallocated_in_the_batch_of_its_parse_is_not_there_any_more(self):
        for text in ("SELECT 'made and gone'", "SELECT 'made and gone too'"):
            self.alike("BEGIN", synced(parse("a", text), parse("", "DEALLOCATE a"), bind("", ""), execute()), synced(parse("a", text)), synced(bind("", "a"), execute()), "ROLLBACK", synced(bind("", "a"), execute()))
            self.alike([synced(parse("b", text), bind("", "b"), parse("", "DEALLOCATE b"), bind("p", ""), execute("p"), parse("b", text), bind("", "b"), execute()), "DEALLOCATE b"], synced(parse("b", text)),
                       synced(bind("", "b"), execute()))

    def each_portal_of_a_deallocate_ends_its_name(self):
        """Several are bound before one is executed."""
        two = bind("p1", "") + parse("", "DEALLOCATE b") + bind("p2", "")
        for executed in ((execute("p1"), execute("p2")), (execute("p2"), execute("p1")), (execute("p1"),), (execute("p2"),), (close("P", "p1"), execute("p2"), execute("p1")), (execute("p1"), execute("p1"), execute("p2"))):
            self.alike(synced(parse("a", "SELECT 1"), parse("b", "SELECT 2"), parse("c", "SELECT 3")), synced(parse("", "DEALLOCATE a"), two, *executed),
                       *[synced(bind("", name), execute()) for name in "abc"], *[synced(parse(name, "SELECT 4"), bind("", name), execute()) for name in "abc"])
            self.alike(synced(parse("a", "SELECT 1"), parse("b", "SELECT 2")), "BEGIN", synced(parse("", "DEALLOCATE a"), two), *[synced(each) for each in executed], "ROLLBACK",
                       *[synced(bind("", name), execute()) for name in "ab"], *[synced(parse(name, "SELECT 4"), bind("", name), execute()) for name in "ab"])
        same = parse("", "DEALLOCATE a") + bind("p1", "")
        for executed in ((execute("p1"), execute("p2")), (execute("p2"), execute("p1"))):
            for two in (same + bind("p2", ""), same + parse("", "DEALLOCATE PREPARE a") + bind("p2", "")):
                self.alike(synced(parse("a", "SELECT 1"), two, *executed), synced(bind("", "a"), execute()))
                self.alike("BEGIN", synced(parse("a", "SELECT 1")), synced(two), *[synced(each) for each in executed], "ROLLBACK", synced(bind("", "a"), execute()))
        self.alike(synced(parse("a", "SELECT 1")), "BEGIN", synced(parse("", "DEALLOCATE a"), bind("p", "")), "SAVEPOINT x", synced(bind("", "unknown"), execute("p")), "ROLLBACK TO x", synced(bind("", "a"), execute()),
                   synced(execute("p")), synced(bind("", "a"), execute()), "ROLLBACK", synced(bind("", "a"), execute()))

    def a_text_whose_table_a_commit_dropped_is_refused_when_it_is_prepared(self):
        """In a batch that failed behind the COMMIT, too."""
        text = "INSERT INTO made VALUES (9)"
        for drops in (synced(run("COMMIT")), synced(run("COMMIT"), bind("", "unknown")), synced(run("COMMIT"), bind("", "s"), execute()), "COMMIT; SELECT 1/0", "COMMIT AND CHAIN; SELECT 1/0"):
            for dropping in ("BEGIN", synced(run("BEGIN"))):
                self.alike("CREATE TABLE made (id int)", synced(parse("s", text), bind("", "s"), execute()), synced(bind("", "s"), execute()), dropping, synced(run("DROP TABLE made")), drops,
                           synced(close("S", "s"), parse("s", text), bind("", "s"), execute()), synced(parse("t", text)), "ROLLBACK", synced(bind("", "s"), execute()))

    def a_fetch_tells_of_its_own_cursor_and_an_execute_of_its_own_statement(self):
        """Others have prepared the same texts everywhere, beside a cursor and a statement with other columns."""
        fetch, execution = parse("s", "FETCH c"), parse("s", "EXECUTE q")
        others = [self.keep_client(wire.Client(self.proxy.address, database="alike")) for _ in range(SERVERS)]
        for other in others:
            other.query("BEGIN; DECLARE c CURSOR FOR SELECT 1 AS a, 2 AS b; PREPARE q AS SELECT 1 AS a, 2 AS b")
        for other in others:
            for prepared in (fetch, execution):
                self.assertIsNone(other.ask(prepared, describe("S", "s"), bind("", "s"), execute(), close("S", "s"), SYNC).error)
        for other in others:
            other.query("DEALLOCATE q")
            other.query("COMMIT")
        for prepared, makes in ((fetch, "DECLARE c CURSOR FOR SELECT 'mine' AS mine, 1, 2"), (execution, "PREPARE q AS SELECT 'mine' AS mine, 1, 2")):
            self.alike("BEGIN", makes, synced(prepared), synced(describe("S", "s")), synced(bind("", "s"), describe("P"), execute()), "ROLLBACK")
            self.alike("BEGIN", makes, synced(prepared, describe("S", "s"), bind("", "s"), describe("P"), execute()), "ROLLBACK")
            self.alike("BEGIN", synced(prepared), synced(describe("S", "s")), synced(bind("", "s"), describe("P"), execute()), "ROLLBACK")
            self.alike(synced(prepared), synced(describe("S", "s")), synced(describe("S", "s")))

    def nobody_deallocates_anothers(self):
        reads = synced(bind("", "s1"), execute())
        self.alike(synced(parse("s1", "SELECT 'a stranger''s'")), reads, "DEALLOCATE s1", reads, "DEALLOCATE s1", synced(parse("s1", "SELECT 'a stranger''s'")), reads, "DEALLOCATE ALL", reads,
                   synced(parse("s1", "SELECT 'a stranger''s'")), "DISCARD ALL", reads, synced(run("DEALLOCATE s1")))
        self.alike("SELECT name, statement, from_sql FROM pg_prepared_statements WHERE from_sql", "PREPARE q AS SELECT 1", "SELECT name, statement FROM pg_prepared_statements WHERE from_sql", "PREPARE q AS SELECT 2",
                   "EXECUTE q", "BEGIN", "DEALLOCATE q", "ROLLBACK", "EXECUTE q", "BEGIN", "PREPARE r AS SELECT 3", "ROLLBACK", "EXECUTE r", "DEALLOCATE ALL", "EXECUTE r", "EXECUTE q")
        self.alike("PREPARE q (int) AS SELECT $1", synced(bind("", "q", (1,)), execute()), synced(describe("S", "q")), synced(close("S", "q")), "EXECUTE q(1)", synced(bind("", "q", (1,)), execute()))
        self.alike("PREPARE q (int) AS SELECT $1", [synced(close("S", "q"), bind("", "q", (1,)))], "EXECUTE q(2)")


class Reading(Alike):
    """A text is read with the settings of whoever prepares it, and a stranger with others has prepared the very same one on all servers."""

    schema = ("CREATE TABLE t (x int)", "INSERT INTO t VALUES (1)", "CREATE TABLE strange.t (x text, y int)", "INSERT INTO strange.t VALUES ('strange', 2)",
              "GRANT ALL ON t, strange.t TO PUBLIC")
    strangers_texts = TEXTS = (
        "SELECT '2020-01-01 12:00'::timestamptz AT TIME ZONE 'UTC'", "SELECT '01/02/2020'::date - '2020-01-01'::date", "SELECT 'a\\nb'", "SELECT octet_length('\u00e9')",
        "SELECT * FROM t", "SELECT x = NULL FROM (SELECT 1 AS x) q", "SELECT '{NULL}'::text[]", "SELECT 't'::regclass::oid = 'public.t'::regclass", "SELECT count(*) FROM t WHERE x IS NOT NULL")

    @helper
    def each(self, *before, after=(), login=None):
        for text in self.TEXTS:
            reads = synced(describe("S", "s"), bind("", "s"), execute())
            with self.subTest(text=text, before=before, login=login):
                self.alike(*before, synced(parse("s", text)), reads, reads, *after, reads, synced(close("S", "s"), parse("s", text)), reads, login=login)

    @takes(180)
    def a_text_means_what_its_client_means(self):
        self.each()
        self.each("SET TimeZone = 'America/New_York'; SET search_path = strange; SET standard_conforming_strings = off; SET escape_string_warning = off")

    def what_its_login_asked_for(self):
        self.each(login={"DateStyle": "SQL, DMY", "TimeZone": "Asia/Kolkata", "options": "-c search_path=strange,public -c transform_null_equals=on"})

    @takes(180)
    def within_a_transaction_what_was_set_there(self):
        self.each("BEGIN", "SET LOCAL TimeZone = 'America/New_York'; SET LOCAL search_path = strange; SET LOCAL DateStyle = 'SQL, DMY'")
        for text in self.TEXTS:
            reads = synced(bind("", "s"), execute())
            with self.subTest(text=text):
                self.alike("BEGIN", "SET LOCAL standard_conforming_strings = off; SET LOCAL escape_string_warning = off", "SET LOCAL array_nulls = off", [synced(parse("s", text)), reads], "ROLLBACK",
                           synced(close("S", "s")), [synced(parse("s", text)), reads])
        # What they left there is not a stranger's or a later client's.
        self.each()

    def a_temporary_table_stands_in_front(self):
        text, reads = "SELECT * FROM t", synced(bind("", "s"), execute())
        self.alike("CREATE TEMP TABLE t (x text, z text)", "INSERT INTO t VALUES ('my', 'own')", synced(parse("s", text)), reads, reads, "DROP TABLE t", synced(close("S", "s"), parse("s", text)), reads, reads)
        self.alike("BEGIN", "CREATE TEMP TABLE t (x text, z text) ON COMMIT DROP", [synced(parse("s", text)), reads], "COMMIT", synced(close("S", "s"), parse("s", text)), reads)
        self.alike(synced(parse("s", text)), reads, "CREATE TEMP TABLE t (x text, z text)", synced(parse("other", text)), synced(bind("", "other"), execute()))
        # Whoever has been on a server made its schema of temporary objects.
        with wire.Client(self.proxy.address, database="alike") as before:
            for _ in range(SERVERS):
                before.query("BEGIN; CREATE TEMP TABLE t (x int) ON COMMIT DROP; COMMIT")
        self.alike(synced(parse("s", text)), reads, reads, reads, "CREATE TEMP TABLE t (x int)", "INSERT INTO t VALUES (77)", reads, "DROP TABLE t", reads, reads)
        self.alike(synced(parse("s", text)), reads, reads, reads, ["BEGIN", "CREATE TEMP TABLE t (x int) ON COMMIT DROP", reads, synced(describe("S", "s"), bind("", "s"), execute()), "COMMIT", reads], reads)
        self.alike([*[synced(run("SET escape_string_warning = off")), synced(parse("s", text)), reads], "CREATE TEMP TABLE t (x int)", reads, synced(parse("", "SELECT 2")), reads])
        self.alike(synced(parse("s", text)), reads, reads, ["SELECT 78 AS x INTO TEMP t", reads], "BEGIN", "DROP TABLE t", reads, "ROLLBACK", reads)
        self.each()

    def a_table_that_was_made_in_front_of_anothers_is_meant_from_then_on(self):
        text, reads = "SELECT * FROM u", synced(bind("", "s"), execute())
        before = ("DROP SCHEMA IF EXISTS front CASCADE", "CREATE SCHEMA front", "GRANT ALL ON SCHEMA front TO PUBLIC", "DROP TABLE IF EXISTS u", "CREATE TABLE u AS SELECT 1 AS behind", "GRANT ALL ON u TO PUBLIC")
        self.alike("SET search_path = front, public", synced(parse("s", text)), reads, reads, reads, reads, "CREATE TABLE u AS SELECT 'in front' AS front", synced(close("S", "s"), parse("s", text)), reads, reads, reads, reads,
                   before=before)

    def the_clock_is_read_when_a_text_is_prepared(self):
        for clock in ("'now'", "$$now$$", "E'n\\x6fw'", "U&'n\\006fw'", "'no'\n'w'", "'{now}'"):
            kind = "timestamptz[]" if "{" in clock else "timestamptz"
            with self.subTest(clock):
                with wire.Client(self.proxy.address, database="alike") as first:
                    first.prepare("s", f"SELECT {clock}::{kind}")
                    for _ in range(SERVERS):
                        earlier = first.run_prepared("s").value
                with wire.Client(self.proxy.address, database="alike") as second:
                    second.prepare("s", f"SELECT {clock}::{kind}")
                    self.assertEqual("t", second.value(f"SELECT '{second.run_prepared('s').value}' > '{earlier}'::{kind}"))

    def they_are_shared_among_those_who_agree(self):
        clients = [self.keep_client(wire.Client(self.proxy.address, database="alike", parameters={"TimeZone": "Europe/Rome"})) for _ in range(4)]
        for client in clients:
            client.prepare("s", "SELECT '2020-01-01 12:00'::timestamptz")
            for _ in range(2 * SERVERS):
                self.assertEqual("2020-01-01 12:00:00+01", client.run_prepared("s").value)
        told = {row["database"]: row for row in self.proxy.show("STATS")}["alike"]
        self.assertGreaterEqual(int(told["total_bind_count"]), 8 * SERVERS)
        self.assertLessEqual(int(told["total_server_parse_count"]), 2 * SERVERS * (len(self.TEXTS) + 4))


class Bodies(Alike):
    """A server plans the statements of a function when they first run there, and a stranger with other settings has run them on all."""

    # With another one PostgreSQL would plan them anew.
    PATH = {"search_path": STRANGERS_SETTINGS["search_path"]}
    LITERALS = "SELECT noon(), day(), nothing(), through()"
    MINE = "SELECT mine(), seen.v FROM seen ORDER BY 1, 2"
    schema = (
        "CREATE FUNCTION noon() RETURNS text LANGUAGE plpgsql AS $$DECLARE v text; BEGIN SELECT to_char('2020-01-02 12:00'::timestamptz AT TIME ZONE 'UTC', 'HH24') INTO v; "
        "RETURN v; END$$",
        "CREATE FUNCTION day() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN to_char('01/02/2020'::date, 'MM'); END$$",
        "CREATE FUNCTION nothing() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN ('{NULL}'::text[])[1] || (1 = NULL)::text; END$$",
        "CREATE FUNCTION literal() RETURNS timestamptz LANGUAGE sql STABLE AS $$SELECT '2020-01-02 12:00'::timestamptz$$",
        "CREATE FUNCTION through() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN extract(epoch FROM literal()); END$$",
        "CREATE TABLE dated (a int, at timestamptz)", "GRANT ALL ON dated TO PUBLIC",
        "CREATE FUNCTION dates() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.at := (SELECT '2020-01-02 12:00'::timestamptz); RETURN NEW; END$$",
        "CREATE TRIGGER dates BEFORE INSERT ON dated FOR EACH ROW EXECUTE FUNCTION dates()",
        "CREATE TABLE plain (a int)", "ALTER TABLE plain OWNER TO app", "CREATE TABLE guarded (a int)", "ALTER TABLE guarded OWNER TO app", "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY", "CREATE POLICY noon ON guarded USING (noon() <> '')",
        "CREATE FUNCTION tenant() RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT current_setting('app.tenant')$$",
        "CREATE TABLE owned (tenant text, v text)", "INSERT INTO owned VALUES ('nobody', 'of nobody'), ('stranger', 'of a stranger'), ('me', 'mine')", "GRANT ALL ON owned TO PUBLIC",
        "CREATE FUNCTION mine() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT v FROM owned WHERE owned.tenant = tenant()); END$$",
        "CREATE VIEW seen AS SELECT v FROM owned WHERE owned.tenant = tenant()", "GRANT ALL ON seen TO PUBLIC")
    strangers_texts = (LITERALS, MINE, "INSERT INTO dated VALUES (0)")
    AGAIN = "SELECT extract(epoch FROM at) FROM dated WHERE a = 1"

    def a_literal_of_a_function_means_what_its_client_means(self):
        for login in (self.PATH, {**self.PATH, "TimeZone": "Europe/Berlin", "DateStyle": "German"}):
            self.alike(self.LITERALS, self.LITERALS, "INSERT INTO dated VALUES (1)", self.AGAIN, login=login, before=("TRUNCATE dated",))
            self.alike(synced(run(self.LITERALS)), synced(parse("s", self.LITERALS)), synced(bind("", "s"), execute()), synced(bind("", "s"), execute()), login=login)
            self.alike("BEGIN", self.LITERALS, "INSERT INTO dated VALUES (1)", "COMMIT", self.AGAIN, "DO $$BEGIN PERFORM noon(); END$$", self.LITERALS, login=login, before=("TRUNCATE dated",))
            self.alike(wire.function_call(int(self.admin.value("SELECT 'noon'::regproc::oid::int")), ()), login=login)
            self.alike("PREPARE p AS " + self.LITERALS, "EXECUTE p", "EXECUTE p", "DEALLOCATE p", self.LITERALS, login=login)

    def a_function_reads_what_was_set_in_its_transaction(self):
        self.alike("BEGIN", "SET LOCAL timezone = 'Asia/Tokyo'", self.LITERALS, self.LITERALS, "COMMIT", login=self.PATH)
        self.alike("SET timezone = 'Asia/Tokyo'", self.LITERALS, self.LITERALS, login=self.PATH)
        # Nor does what was read there stay for others.
        self.alike(self.LITERALS, login=self.PATH)

    def an_error_in_front_of_a_function_changes_nothing(self):
        self.alike(synced(run("SELECT 1/0"), run(self.LITERALS)), self.LITERALS, synced(run(self.LITERALS)), login=self.PATH)
        self.alike("BEGIN", "SELECT 1/0", self.LITERALS, synced(run(self.LITERALS)), "ROLLBACK", self.LITERALS, login=self.PATH)
        self.alike(synced(run("SELECT 1")) + synced(run("SELECT 1/0"), run(self.LITERALS)) + synced(run(self.LITERALS)) + query(self.LITERALS), login=self.PATH)

    @contextlib.contextmanager
    def catalogue_read_anew(self):
        """Meanwhile any statement may run a body."""
        self.admin.query("BEGIN")
        self.admin.query("LOCK TABLE pg_policy")
        with self.proxy.client() as other:
            other.query("CREATE OR REPLACE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        yield
        self.admin.query("ROLLBACK")

    def a_rollback_in_a_pipeline_is_not_skipped(self):
        """Behind an error that nobody has told yet."""
        client = self.proxy.client()
        for rollback in ("ROLLBACK TO a", "ROLLBACK", "ABORT", "COMMIT"):
            self.stranger.arrives = True
            self.stranger.passes()
            client.query("BEGIN")
            client.query("SAVEPOINT a")
            with self.catalogue_read_anew():
                client.send(synced(bind("", "unknown")) + synced(run(rollback)))
                self.assertEqual("26000", client.reply().error.sqlstate)
                self.assertEqual(["ROLLBACK"], client.reply().tags)
            client.query("ROLLBACK")

    def what_must_be_first_in_its_transaction_is(self):
        client = self.proxy.client()
        for first in ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET transaction_isolation = 'serializable'", "SET \"transaction_isolation\" TO serializable",
                      "BEGIN ISOLATION LEVEL SERIALIZABLE"):
            for begin, words in (("BEGIN", query(first)), ("BEGIN", synced(run(first))), ("BEGIN; SET LOCAL jit = off", query(first)), ("BEGIN; SET LOCAL jit = off", synced(run(first)))):
                self.stranger.arrives = True
                self.stranger.passes()
                client.query(begin)
                with self.catalogue_read_anew():
                    client.send(words)
                    self.assertIsNone(client.reply().error, first)
                self.assertEqual("serializable", client.value("SHOW transaction_isolation"))
                client.query("ROLLBACK")

    def what_takes_no_snapshot_leaves_the_level_to_be_set(self):
        client = self.proxy.client()
        for first in ("SET LOCAL jit = off", "SET TIME ZONE 'Europe/Rome'", "SHOW jit", "RESET jit", "NOTIFY a", "BEGIN", "", "/* nothing */", "SAVEPOINT a; RELEASE a", "SHOW jit;; SET LOCAL jit = off;"):
            for words in (query(first), *([] if ";" in first else [synced(run(first))])):
                self.stranger.arrives = True
                self.stranger.passes()
                client.query("BEGIN")
                with self.subTest(first), self.catalogue_read_anew():
                    client.send(words)
                    self.assertIsNone(client.reply().error)
                    client.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                client.query("ROLLBACK")

    def a_cursor_outside_of_a_block_is_refused(self):
        client = self.proxy.client()
        self.stranger.arrives = True
        self.stranger.passes()
        with self.catalogue_read_anew():
            client.send(synced(run("DECLARE c CURSOR FOR SELECT noon()")))
            self.assertEqual("25P01", client.reply().error.sqlstate)
        self.alike(synced(run("BEGIN"), run("DECLARE c CURSOR FOR SELECT noon()"), run("FETCH ALL FROM c"), run("COMMIT")), login=self.PATH)

    def a_level_with_more_behind_it_in_its_query_waits_for_the_catalogue(self):
        client = self.proxy.client()
        for level in ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET LOCAL jit = off; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"):
            self.stranger.arrives = True
            self.stranger.passes()
            client.query("BEGIN")
            with self.catalogue_read_anew():
                client.send(query(level + "; SELECT noon()"))
                time.sleep(0.1)
            self.assertIsNone(client.reply().error)
            self.assertEqual("serializable", client.value("SHOW transaction_isolation"))
            client.query("ROLLBACK")
        # No longer than five seconds.
        client.query("BEGIN")
        with self.catalogue_read_anew():
            client.send(query("SHOW transaction_isolation; LOCK TABLE plain; SELECT noon()"))
            self.assertIsNone(client.reply().error)
        client.query("ROLLBACK")

    def a_query_behind_an_open_batch_is_not_passed_by(self):
        """Where the transaction has failed, and nobody has told yet."""
        client = self.proxy.client()
        for text in ("SELECT noon()", "SELECT lastval()", "CREATE TEMP TABLE unmade (a int)"):
            self.stranger.arrives = True
            self.stranger.passes()
            client.query("BEGIN")
            with self.subTest(text), self.catalogue_read_anew():
                client.send(synced(bind("", "unknown")) + parse("", "ROLLBACK") + bind("", "") + query(text))
                self.assertEqual("26000", client.reply().error.sqlstate)
                self.assertEqual("25P02", client.reply().error.sqlstate)
            client.query("ROLLBACK")

    def what_stands_in_no_block_does_so_behind_a_commit_in_its_batch(self):
        client = self.proxy.client()
        for commits in (run("COMMIT"), run("COMMIT AND CHAIN") + run("ROLLBACK"), run("END") + run("BEGIN") + run("COMMIT")):
            for alone in ("DISCARD ALL", "VACUUM plain", "/* */ VACUUM plain", "DROP INDEX CONCURRENTLY IF EXISTS missing", "ALTER SYSTEM RESET jit", "CREATE DATABASE unmade"):
                for words in (synced(commits, run(alone)), commits + query(alone)):
                    self.stranger.arrives = True
                    self.stranger.passes()
                    client.query("BEGIN")
                    with self.catalogue_read_anew():
                        client.send(words)
                        error = client.reply().error
                    # Whose it is to say is the server's; but not for what stands in front.
                    self.assertNotIn(error and error.sqlstate, ("25001", "25P01"), alone)
                    client.query("ROLLBACK")

    def nothing_is_put_in_front_of_what_must_be_first(self):
        self.alike(synced(run("VACUUM guarded")), synced(run("REINDEX TABLE CONCURRENTLY guarded")), synced(run("SELECT noon()")), synced(run("VACUUM guarded")), login=self.PATH)
        for lock in ("LOCK TABLE guarded IN ACCESS SHARE MODE", synced(run("LOCK TABLE guarded IN ACCESS SHARE MODE"))):
            self.alike("BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", lock, Others("INSERT INTO guarded VALUES (1)"), "SELECT count(*), noon() FROM guarded", "COMMIT",
                       login=self.PATH, before=("TRUNCATE guarded",))

    def an_immutable_function_says_what_is_set_for_its_client(self):
        """It should not be called immutable; but in a session of its own that is never noticed."""
        for login in (self.PATH, {**self.PATH, "options": "-c app.tenant=me"}):
            self.alike(self.MINE, self.MINE, synced(parse("s", self.MINE)), synced(bind("", "s"), execute()), synced(bind("", "s"), execute()), self.MINE, login=login)
        self.alike("BEGIN", "SET LOCAL app.tenant = 'me'", self.MINE, self.MINE, "COMMIT", login=self.PATH)
        self.alike(self.MINE, login=self.PATH)

    def a_tenant_of_one_transaction_is_told_to_no_other(self):
        """Both ask for nothing at login, so that only what SET LOCAL says parts them."""
        for set_local in ("SET LOCAL app.tenant = '%s'", "SELECT set_config('app.tenant', '%s', true)"):
            for tenant, value in (("nobody", "of nobody"), ("me", "mine"), ("nobody", "of nobody")):
                client = self.proxy.client(timeout=60)
                for _ in range(SERVERS + 1):
                    client.query("BEGIN")
                    client.query(set_local % tenant)
                    self.assertEqual(value, client.query("SELECT mine()").value)
                    client.query("COMMIT")
                    self.assertEqual(value, client.query(set_local % tenant + "; SELECT mine()").rows[-1][0])
                client.close()

    def a_literal_behind_something_else_in_its_query_means_what_its_client_means(self):
        for first in ("SET work_mem = '5MB'", "SHOW work_mem", "SET LOCAL timezone = 'Asia/Tokyo'", "SET timezone = 'America/Lima'"):
            self.alike("BEGIN", first + "; " + self.LITERALS, "COMMIT", login=self.PATH)
            self.alike(first + "; " + self.LITERALS, login=self.PATH)
        # Nor does what was read there stay for others.
        self.alike(self.LITERALS, login=self.PATH)


class Pipelines(Alike):
    schema = ("CREATE TABLE t (a int PRIMARY KEY)", "ALTER TABLE t OWNER TO app")

    def of_settings_and_everything_else(self):
        self.alike(["SET work_mem = '5MB'", "SHOW work_mem", "BEGIN", "SET work_mem = '6MB'", "SHOW work_mem", "ROLLBACK", "SHOW work_mem", SHOW])
        self.alike([synced(run("SET work_mem = '5MB'"), run("SHOW work_mem")), synced(run("SET work_mem = '6MB'"), run("SELECT 1/0")), synced(run("SHOW work_mem"))], "SHOW work_mem")
        self.alike([synced(run("BEGIN"), run("SET LOCAL work_mem = '5MB'"), run("SHOW work_mem"), run("COMMIT"), run("SHOW work_mem")), "SHOW work_mem"], "SHOW work_mem")
        self.alike(["BEGIN", synced(run("SET work_mem = '5MB'")), synced(run("SELECT 1/0")), synced(run("SHOW work_mem")), "COMMIT", "SHOW work_mem"])
        self.alike([synced(parse("p", "SET work_mem = '5MB'"), bind("", "p"), execute()), "DISCARD ALL", synced(bind("", "p"), execute()), SHOW])
        self.alike(["CREATE TEMP TABLE x (a int)", "INSERT INTO x VALUES (1)", "SELECT * FROM x", "DROP TABLE x", "SELECT * FROM x", SHOW])
        self.alike(["SELECT pg_advisory_lock(1)", "BEGIN", "SELECT pg_advisory_unlock(1)", "ROLLBACK", "SELECT pg_advisory_unlock(1)"])
        self.alike(["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)", "COMMIT", "FETCH 2 FROM c", synced(run("FETCH 1 FROM c")), "CLOSE c", "FETCH c"])
        self.alike([query("BEGIN") + query("SET LOCAL search_path = pg_catalog") + synced(run("SHOW search_path")) + query("ROLLBACK"), FLUSH, "SHOW search_path"])
        self.alike([parse("", "BEGIN"), bind("", ""), execute(), SYNC, parse("", "INSERT INTO t VALUES (1)"), bind("", ""), execute(), SYNC, parse("", "INSERT INTO t VALUES (1)"), bind("", ""), execute(), SYNC,
                    parse("", "COMMIT"), bind("", ""), execute(), SYNC], "SELECT * FROM t", before=("TRUNCATE t",))
        self.alike([query("COPY t FROM STDIN"), copy_data(b"1\n"), copy_data(b"2\n"), COPY_DONE, query("SET work_mem = '5MB'"), query("COPY t FROM STDIN"), copy_data(b"1\n"), COPY_DONE, query("SHOW work_mem"),
                    query("COPY t FROM STDIN"), copy_data(b"1\n"), copy_fail("no"), query("SELECT * FROM t ORDER BY 1")], "SHOW work_mem", before=("TRUNCATE t",))

    def of_what_stands_behind_a_copy(self):
        """The server must see it, since it ends the COPY with an error, though the answer to it is known without a server."""
        copies = parse("s", "COPY t FROM STDIN")
        for behind in (close("S", "s"), close("S", "unknown"), parse("other", "SELECT 1"), close("S", "other")):
            with self.subTest(behind=behind):
                self.alike(synced(copies, parse("other", "SELECT 1")), synced(close("S", "other")) if behind[:1] == b"P" else SYNC,
                           [bind("", "s"), execute(), behind, SYNC], COPY_DONE + SYNC, "SELECT count(*) FROM t", synced(bind("", "other"), execute()), before=("TRUNCATE t",))
                self.alike("BEGIN", synced(copies, bind("p", "s")), [execute("p"), behind, SYNC], COPY_DONE + SYNC, "ROLLBACK", SYNC, before=("TRUNCATE t",))

    def of_a_discard_all_behind_a_temporary_table(self):
        """Whatever the table may do: nothing is put in front of what must stand alone in its batch."""
        for column in ("a int", "a serial", "a timestamptz DEFAULT '2020-01-02 12:00'", "a text DEFAULT current_setting('app.tenant')"):
            self.alike(f"CREATE TEMP TABLE x ({column}, b int)", "INSERT INTO x (b) VALUES (1)", [synced(run("SELECT 1")), synced(run("DISCARD ALL")), synced(run("SELECT 1"))], "TABLE x")
            self.alike("CREATE FUNCTION never_seen() RETURNS int LANGUAGE sql AS 'SELECT 1'", [synced(run(f"CREATE TEMP TABLE x ({column}, b int)")), synced(run("INSERT INTO x (b) VALUES (1)")), synced(run("DISCARD ALL"))],
                       "TABLE x", "DROP FUNCTION never_seen")

    def of_begins(self):
        self.alike(["BEGIN", "BEGIN", "SELECT 1", "COMMIT", "COMMIT"], ["BEGIN", "COMMIT", "ROLLBACK"], "ROLLBACK")
        self.alike(["BEGIN", "SELECT 1/0", "SELECT 1", "COMMIT"], ["BEGIN", "SELECT 1/0"], "BEGIN", "COMMIT", "BEGIN", "COMMIT")
        self.alike("BEGIN", "SELEC", "BEGIN", "ROLLBACK", "BEGIN", synced(bind("", "nowhere")), "END", "BEGIN", SYNC, FLUSH, "ABORT", "BEGIN", synced(close("S", "x")), "COMMIT")
        self.alike("BEGIN ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "COMMIT", "BEGIN READ ONLY", "CREATE TABLE no (a int)", "ROLLBACK", "START TRANSACTION READ WRITE, ISOLATION LEVEL REPEATABLE READ",
                   "SHOW transaction_isolation", "END", "BEGIN TRANSACTION DEFERRABLE", "SHOW transaction_deferrable", "COMMIT", "BEGIN NOT DEFERRABLE", "COMMIT", "BEGIN;;", "COMMIT", "/* x */ BEGIN", "COMMIT")
        self.alike("BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "SELECT 1", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "ROLLBACK")
        self.alike("BEGIN", "SAVEPOINT a", "COMMIT", "BEGIN", "ROLLBACK TO a", "COMMIT", "BEGIN", "RELEASE a", "COMMIT", "BEGIN", "COMMIT PREPARED 'x'", "ROLLBACK", "BEGIN", "PREPARE TRANSACTION 'x'", "ROLLBACK PREPARED 'x'")
        self.alike("BEGIN", "COMMIT AND CHAIN", "COMMIT", "BEGIN", "ROLLBACK AND CHAIN", "SELECT 1", "COMMIT AND NO CHAIN", "COMMIT AND CHAIN")
        self.alike(parse("b", "BEGIN") + parse("c", "COMMIT") + SYNC, *[synced(bind("", "b"), execute()), "SELECT 1", synced(bind("", "c"), execute())] * 2, [synced(bind("", "b"), execute()), synced(bind("", "c"), execute())])
        self.alike("BEGIN", query("") + query(";"), "COMMIT", "BEGIN", synced(run("")), "COMMIT", "BEGIN; COMMIT", "BEGIN", "BEGIN; COMMIT", "SELECT 1")
        self.alike("BEGIN", synced(run("BEGIN")), synced(run("COMMIT")), synced(run("COMMIT")), synced(run("BEGIN"), run("BEGIN")), synced(run("ROLLBACK"), run("ROLLBACK")))
        self.alike("SET default_transaction_isolation = 'serializable'", "BEGIN", "SHOW transaction_isolation", "COMMIT", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "BEGIN", "CREATE TABLE no (a int)", "COMMIT",
                   "BEGIN", "SET LOCAL transaction_read_only = off", "COMMIT", "CREATE TABLE no (a int)")


class Discarding(Alike):
    schema = ("CREATE SEQUENCE taken", "GRANT ALL ON SEQUENCE taken TO PUBLIC")
    strangers_texts = ("SELECT nextval('taken')",)

    def nothing_stands_in_front_of_a_discard_all(self):
        """Whatever a temporary table may do that was made while the catalogue was not known, and whoever has taken numbers there."""
        for discard in ("DISCARD ALL", "/* all */ discard all"):
            self.stranger.arrives = True
            self.alike([query("CREATE FUNCTION never_seen() RETURNS int LANGUAGE sql AS 'SELECT 1'"), query("CREATE TEMP TABLE x (a int)"), synced(run(discard)), synced(run("SELECT 1"))], "TABLE x", "DROP FUNCTION never_seen()")


class Listening(Alike):
    CHANNELS = "SELECT pg_listening_channels() ORDER BY 1"

    def a_savepoint_takes_a_listen_back(self):
        self.alike("BEGIN", "LISTEN a", "SAVEPOINT x", "LISTEN b", "ROLLBACK TO x", "LISTEN c", self.CHANNELS, "COMMIT", self.CHANNELS, "NOTIFY a; NOTIFY b; NOTIFY c, 'x'", Others("NOTIFY b; NOTIFY a, 'others'"), "SELECT 1",
                   "BEGIN", "UNLISTEN a", "SAVEPOINT x", "UNLISTEN *", "ROLLBACK TO x", "COMMIT", self.CHANNELS, "BEGIN", "UNLISTEN *", "ROLLBACK", self.CHANNELS, "UNLISTEN *", self.CHANNELS, "NOTIFY c")
        self.alike("LISTEN a; LISTEN b; SELECT 1/0", self.CHANNELS, "LISTEN a; UNLISTEN a; LISTEN b", self.CHANNELS, "BEGIN; LISTEN c; COMMIT; SELECT 1/0", self.CHANNELS, "DISCARD ALL", self.CHANNELS)
        self.alike(synced(run("LISTEN a"), run("SELECT 1/0")), self.CHANNELS, synced(run("LISTEN a"), run(self.CHANNELS)), self.CHANNELS, synced(run("UNLISTEN *")), self.CHANNELS)

    def its_own_are_there_before_each_ready_for_query_of_a_pipeline(self):
        self.alike("LISTEN a", ["NOTIFY a, '1'", "NOTIFY a, '2'", "SELECT 1", "NOTIFY a, '3'"], ["BEGIN", "NOTIFY a, '4'", "SELECT 1", "NOTIFY a, '5'", "COMMIT", "SELECT 1"], synced(run("NOTIFY a, '6'"), run("NOTIFY a, '6'")),
                   [synced(run("SELECT pg_notify('a', '7')")), synced(run("NOTIFY a, '8'"), run("SELECT 1/0")), "NOTIFY a, '9'"], "UNLISTEN a", "NOTIFY a, '10'")
        self.alike(["LISTEN a", "NOTIFY a, '1'", "UNLISTEN a", "NOTIFY a, '2'", "LISTEN a; NOTIFY a, '3'", "SET work_mem = '5MB'", "NOTIFY a, '4'", "SHOW work_mem"], SHOW)
        self.alike("LISTEN a", ["CREATE TEMP TABLE x (a int)", "NOTIFY a, '1'", "DROP TABLE x", "NOTIFY a, '2'"], Others("NOTIFY a, '3'"), "SELECT 1", synced(run("SELECT 1")), Others("NOTIFY a, '4'"), SYNC)
