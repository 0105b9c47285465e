"""Nothing of one client reaches another, whatever the first one sends.

Each story has a stranger who misbehaves and a neighbour who does not. They share one server,
so whatever the stranger leaves on it (an answer that comes too late, a statement, a setting)
lies where the neighbour works next.

    stranger   --- something wrong --->  +-----+
                                         | one |  ---> server
    neighbour  --- SELECT 'mine' ----->  +-----+
               <-- 'mine', and only that

Every one of them went wrong once.
"""
import time

import wire
from harness import Story, live, on
from wire import FLUSH, SYNC, bind, execute, message, parse, query

LONG = "/*" + "x" * 70000 + "*/ "           # more than the statement_text_max below
SECRET = LONG + "SELECT 'secret'"


class Strangers(Story):
    kinds = ("pgweir", "direct")

    def _shared(self, **settings):
        """A pooler with one server for everybody."""
        return self.pooler(settings={"default_pool_size": 1, "workers": 1, "statement_text_max": 65536, **settings})

    def _two(self, **settings):
        """A stranger and a neighbour, both served once."""
        pooler = self._shared(**settings)
        stranger, neighbour = pooler.client(), pooler.client()
        for client in (stranger, neighbour):
            client.query("SELECT 1")
        return stranger, neighbour

    def _is_its_own(self, reply, kinds="TDCZ"):
        self.assertEqual([], reply.errors)
        self.assertEqual((kinds, [("mine",)]), (reply.kinds, reply.rows))

    def _error(self, client):
        """The next error the client gets, whatever comes before and after it."""
        while True:
            kind, body = client.read()
            if kind == b"E":
                return wire.Refused(wire.fields_of(body))

    def a_message_that_must_be_empty_and_is_not_hurts_its_sender_alone(self):
        pooler = self._shared()
        neighbour = pooler.client()
        for kind in (b"H", b"S") * 12:
            stranger = pooler.client()
            stranger.send(query("SELECT pg_sleep(0.01)"), message(kind, b"x"))
            self._is_its_own(neighbour.simple("SELECT 'mine'"))
            self.assertEqual("08P01", self._error(stranger).sqlstate)
            stranger.close()

    def a_copy_message_out_of_place_hurts_its_sender_alone(self):
        pooler = self._shared()
        neighbour = pooler.client()
        for misplaced in (message(b"c", b"x"), message(b"c", b"x" * 20000), message(b"f", b"x" * 20000)):
            stranger = pooler.client()
            stranger.send(query("SELECT pg_sleep(0.1)"), misplaced)
            self._is_its_own(neighbour.simple("SELECT 'mine'"))
            stranger.close()

    def a_name_without_an_end_hurts_its_sender_alone(self):
        pooler = self._shared()
        neighbour = pooler.client()
        for _ in range(4):
            stranger = pooler.client()
            stranger.send(query("SELECT pg_sleep(0.3)"), parse("n" * 70000, "secret of a stranger"))
            time.sleep(0.1)             # the neighbour is the next to be served
            neighbour.send(query("SELECT 'mine'"))
            self.assertEqual("42601", self._error(stranger).sqlstate)
            stranger.send(SYNC)
            self._is_its_own(neighbour.reply())
            stranger.close()

    def a_parse_that_is_skipped_takes_nobodys_statement_away(self):
        stranger, neighbour = self._two()
        neighbour.prepare("kept", "SELECT 'mine'")
        stranger.send(parse("", "SELECT 1/0"), bind("", ""), execute(), FLUSH)
        while stranger.read()[0] != b"E":
            pass
        reply = stranger.ask(parse("skipped", "SELECT 'mine'"), SYNC)
        self.assertEqual("Z", reply.kinds)
        self.assertEqual("42601", neighbour.simple("selekt").error.sqlstate)
        for _ in range(2):
            self._is_its_own(neighbour.run_prepared("kept"), "2DCZ")
        self.refused(stranger.run_prepared, "skipped", sqlstate="26000")

    def an_unnamed_statement_is_never_the_strangers(self):
        """The neighbour's own Parse is skipped, as an error came before it: whatever answers its Bind is not the stranger's."""
        stranger, neighbour = self._two()
        for before in ("", "SELECT 'mine'"):
            for together in (True, False):
                with self.subTest(before=before, together=together):
                    if before:
                        neighbour.prepare("", before)
                    stranger.prepare("", "SELECT 'secret'")
                    skipped = execute("nowhere") + parse("", "SELECT 'mine'") + SYNC
                    used = bind("", "") + execute() + SYNC
                    if together:
                        neighbour.send(skipped, used)
                    else:
                        neighbour.send(skipped)
                    first = neighbour.reply()
                    self.assertEqual(("EZ", "34000"), (first.kinds, first.error.sqlstate))
                    if not together:
                        neighbour.send(used)
                    second = neighbour.reply()
                    if second.errors:
                        self.assertEqual(("EZ", "26000"), (second.kinds, second.error.sqlstate))
                    else:
                        self._is_its_own(second, "2DCZ")
                    self.assertEqual("I", neighbour.simple("SELECT 1").status)

    def a_long_statement_goes_with_its_client(self):
        pooler = self._shared()
        for leave in ("close", "drop", "vanish"):
            stranger = pooler.client()
            stranger.prepare("S_1", SECRET)
            getattr(stranger, leave)()
            neighbour = pooler.client()
            self.refused(neighbour.run_prepared, "S_1", sqlstate="26000")
            neighbour.prepare("S_1", LONG + "SELECT 'mine'")
            self._is_its_own(neighbour.run_prepared("S_1"), "2DCZ")
            neighbour.close()

    def a_long_statement_whose_close_is_skipped_goes_with_its_client(self):
        pooler = self._shared()
        stranger = pooler.client()
        stranger.prepare("S_1", SECRET)
        reply = stranger.ask(execute("nowhere"), wire.close("S", "S_1"), SYNC)
        self.assertEqual("34000", reply.error.sqlstate)
        stranger.close()
        neighbour = pooler.client()
        self.refused(neighbour.run_prepared, "S_1", sqlstate="26000")
        neighbour.prepare("S_1", LONG + "SELECT 'mine'")
        self._is_its_own(neighbour.run_prepared("S_1"), "2DCZ")

    @on("pgweir", why="PostgreSQL itself takes a gigabyte for them")
    def very_many_names_take_no_more_time_each_than_a_few(self):
        """With a search through all of them for each Parse this would take minutes."""
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2, "workers": 1})
        count, before = 10000 if live.sanitized else 100000, pooler.memory_kb()
        client = pooler.client(timeout=50)
        for first in range(0, count, 500):
            reply = client.ask(*(wire.parse(f"n{n}", f"SELECT {n}") for n in range(first, first + 500)), wire.SYNC)
            self.assertEqual("1" * 500 + "Z", reply.kinds)
        for n in (0, count // 2, count - 1):
            self.assertEqual(str(n), client.run_prepared(f"n{n}").value)
        self.assertEqual("26000", client.simple(f"DEALLOCATE n{count}").error.sqlstate)
        with pooler.client() as other:
            self.assertEqual("1", other.value("SELECT 1"))
        self.assertLess(pooler.memory_kb("VmHWM") - before, 300 * count // 1024 + 8192)

    def a_setting_made_by_a_prepared_statement_stays_with_its_client(self):
        """The statement is prepared anew on a server that has forgotten everything, and is still seen to be a SET."""
        pooler = self._shared()
        stranger = pooler.client(parameters={"application_name": "stranger"})
        other = pooler.client(parameters={"application_name": "other"})
        stranger.prepare("set", "SET work_mem = '77MB'")
        other.query("DISCARD ALL")
        other.query("SELECT 1")
        stranger.run_prepared("set")
        neighbour = pooler.client(parameters={"application_name": "stranger"})
        self.assertEqual("4MB", neighbour.value("SHOW work_mem"))

    @on("pgweir")
    def what_a_session_left_is_gone_though_its_pool_has_other_rules_by_now(self):
        pooler = self._shared(pool_mode="session")
        stranger = pooler.client()
        stranger.query("CREATE TEMP TABLE secret AS SELECT 42 AS n; SET search_path = 'nowhere'")
        pid = stranger.value("SELECT pg_backend_pid()")
        with pooler.console() as console:
            console.query("SET pool_mode = 'transaction'")
        stranger.query("SELECT 1")
        stranger.close()
        neighbour = pooler.client()
        self.assertNotEqual(pid, neighbour.value("SELECT pg_backend_pid()"))    # the change has replaced it
        self.assertIsNone(neighbour.value("SELECT to_regclass('pg_temp.secret')"))
        self.assertEqual('"$user", public', neighbour.value("SHOW search_path"))

    def a_message_that_has_only_begun_takes_no_server(self):
        pooler = self._shared()
        neighbour = pooler.client()
        for kind in (b"P", b"B", b"D", b"C"):
            stranger = pooler.client()
            stranger.query("SELECT 1")
            stranger.send(kind + b"\0\0\0\x40")
            time.sleep(0.1)             # it arrives first
            self._is_its_own(neighbour.simple("SELECT 'mine'"))
            stranger.drop()
        with pooler.client() as late:
            whole = parse("", "SELECT 'mine'") + bind("", "") + execute() + SYNC
            for at in range(len(whole)):
                late.send(whole[at:at + 1])
            self._is_its_own(late.reply(), "12DCZ")
