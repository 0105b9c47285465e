"""SUSPEND: what was read is sent, and nothing more is read until RESUME. Nobody is ended, but who does not take what waits for him."""
import signal
import threading
import time

import wire
from harness import Gate, Story, full_only, live, on, wait_until
from wire import Client, query


class Suspend(Story):
    kinds = ("pgweir", "pgbouncer")

    def _suspended(self, **options):
        """A pooler, its client that has a server, and the console that has said SUSPEND."""
        pooler = self.pooler(**options)
        client = pooler.client()
        client.value("SELECT 1")
        console = pooler.console()
        self.assertEqual(["SUSPEND"], console.query("SUSPEND", timeout=30).tags)
        return pooler, client, console

    def _is_silent(self, client):
        with self.assertRaises(wire.Late):
            client.read(timeout=0.5)

    def who_is_there_waits_and_goes_on(self):
        pooler, client, console = self._suspended()
        client.send(query("SELECT 'after'"))
        self._is_silent(client)
        self.assertEqual(["RESUME"], console.query("RESUME").tags)
        self.assertEqual("after", client.reply().value)
        self.assertEqual("1", client.value("SELECT 1"))

    def who_is_in_a_transaction_goes_on_in_it(self):
        pooler = self.pooler()
        client, console = pooler.client(), pooler.console()
        client.begin()
        backend = client.value("SELECT pg_backend_pid()")
        console.query("SUSPEND")
        client.send(query("SELECT pg_backend_pid()"))
        self._is_silent(client)
        console.query("RESUME")
        self.assertEqual(backend, client.reply().value)
        client.query("COMMIT")

    def _await_done(self):
        wait_until("PostgreSQL is done with them", lambda: self.pg.value(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'") == "0")

    def what_runs_at_postgresql_runs_on_and_its_answer_waits(self):
        pooler = self.pooler()
        client, console = pooler.client(), pooler.console()
        with Gate(self.pg) as gate:
            client.send(query(f"SELECT {gate.passing}"))
            gate.await_waiting(1)
            console.query("SUSPEND")
        self._await_done()
        self._is_silent(client)
        console.query("RESUME")
        self.assertEqual(["SELECT 1"], client.reply().tags)

    def new_connections_wait_by_both_roads(self):
        pooler, _, console = self._suspended()
        came = []
        threads = [threading.Thread(target=lambda where=where: came.append(Client(where, timeout=30).value("SELECT 1")), daemon=True)
                   for where in (pooler.address, pooler.socket_path)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        self.assertEqual([], came)
        console.query("RESUME")
        for thread in threads:
            thread.join(30)
        self.assertEqual(["1", "1"], came)

    def the_console_that_said_it_is_still_served(self):
        _, _, console = self._suspended()
        if live.kind == "pgweir":
            state = {row["key"]: row["value"] for row in console.query("SHOW STATE").dicts()}
            self.assertEqual(("no", "no", "yes"), (state["active"], state["paused"], state["suspended"]))
        self.assertEqual(1, len([row for row in console.query("SHOW CLIENTS").dicts() if row["database"] == "app"]))
        self.assertTrue(console.simple("SUSPEND").errors)
        self.assertTrue(console.simple("PAUSE").errors)
        self.assertEqual(["RESUME"], console.query("RESUME").tags)
        self.assertTrue(console.simple("RESUME").errors)

    def it_ends_with_the_last_console(self):
        _, client, console = self._suspended()
        client.send(query("SELECT 'after'"))
        self._is_silent(client)
        console.close()
        self.assertEqual("after", client.reply().value)

    @on("pgweir")
    @full_only
    def another_console_may_end_it(self):
        pooler = self.pooler()
        client, first, second = pooler.client(), pooler.console(), pooler.console()
        first.query("SUSPEND")
        first.close()
        client.send(query("SELECT 'after'"))
        self._is_silent(client)
        second.query("RESUME")
        self.assertEqual("after", client.reply().value)

    @on("pgweir")
    def usr2_ends_it(self):
        pooler, client, _ = self._suspended()
        client.send(query("SELECT 'after'"))
        self._is_silent(client)
        pooler.process.send_signal(signal.SIGUSR2)
        self.assertEqual("after", client.reply().value)
        pooler.await_log("got SIGUSR2, continuing from SUSPEND")

    def sigterm_does_not_wait_for_who_is_not_read(self):
        pooler, _, _ = self._suspended()
        pooler.process.send_signal(signal.SIGTERM)
        self.assertIn(pooler.wait(20), (0, 1) if live.kind == "pgbouncer" else (0,))

    def what_is_paused_is_not_suspended(self):
        console = self.pooler().console()
        console.query("PAUSE app")
        self.assertIn("cannot suspend with paused databases", console.simple("SUSPEND").error.message)
        console.query("RESUME app")
        self.assertEqual(["SUSPEND"], console.query("SUSPEND").tags)

    def _slow_reader(self, pooler):
        """A client that does not take its answer, and that we wait for: the pooler's queue for it has not grown less for a while."""
        slow = pooler.client(parameters={"application_name": "slow"})
        slow.send(query("SELECT repeat('x', 1000000) FROM generate_series(1, 200)"))
        wait_until("its answer is stuck", lambda: any(
            each["application_name"] == "slow" and each["state"] == "sending" and float(each["sending_time"]) > 1
            for each in pooler.show("LEDGER")))
        return slow

    @on("pgweir", why="what is stuck there is kept in the kernel's buffers alone")
    def suspend_timeout_ends_who_does_not_take_his_answer(self):
        pooler = self.pooler(settings={"suspend_timeout": 1})
        slow, client, console = self._slow_reader(pooler), pooler.client(), pooler.console()
        self.assertEqual(["SUSPEND"], console.query("SUSPEND", timeout=30).tags)
        pooler.await_log("closing because: suspend_timeout")
        console.query("RESUME")
        self.assertEqual("1", client.value("SELECT 1"))
        slow.expect_closed(timeout=30)

    @on("pgweir", why="as above")
    @full_only
    def suspend_timeout_of_zero_waits_until_it_is_taken_or_the_console_gives_up(self):
        pooler = self.pooler(settings={"suspend_timeout": 0})
        slow, client, console = self._slow_reader(pooler), pooler.client(), pooler.console()
        console.send(query("SUSPEND"))
        self._is_silent(console)
        # Nobody new is let in, so the cancel comes from a console that is in: its end.
        console.close()
        self.assertEqual("1", client.value("SELECT 1", timeout=30))
        self.assertEqual(200, len(slow.reply(timeout=60).rows))

    @on("pgweir")
    @full_only
    def no_limit_passes_for_what_had_come_in_time(self):
        pooler = self.pooler(settings={"query_timeout": 10, "workers": 2})
        clients, console = [pooler.client() for _ in range(3)], pooler.console()
        with Gate(self.pg) as gate:
            for client in clients:
                client.send(query(f"SELECT {gate.passing}"))
            gate.await_waiting(3)
            console.query("SUSPEND")
        self._await_done()
        time.sleep(10)
        console.query("RESUME")
        for client in clients:
            self.assertEqual(["SELECT 1"], client.reply().tags)

    @on("pgweir")
    def notifications_come_afterwards(self):
        pooler = self.pooler()
        hears, console = pooler.client(), pooler.console()
        hears.query("LISTEN news")
        console.query("SUSPEND")
        self.pg.value("NOTIFY news, 'meanwhile'", database="app")
        self._is_silent(hears)
        console.query("RESUME")
        hears.read(timeout=20)
        self.assertEqual([("news", "meanwhile")], [seen[1:] for seen in hears.notifications])

    @on("pgweir")
    def a_load_goes_on_where_it_stood(self):
        pooler = self.pooler(settings={"default_pool_size": 3, "workers": 2})
        console, ending, errors, done = pooler.console(), threading.Event(), [], [0] * 6

        def works(number):
            try:
                with pooler.client(timeout=60) as client:
                    while not ending.is_set():
                        assert client.value(f"SELECT {number} + {done[number]}") == str(number + done[number])
                        done[number] += 1
            except BaseException as error:
                errors.append(repr(error))
        threads = [threading.Thread(target=works, args=(number,)) for number in range(len(done))]
        for thread in threads:
            thread.start()
        wait_until("they work", lambda: all(done), timeout=60)
        for _ in range(10):
            console.query("SUSPEND", timeout=30)
            before = list(done)
            console.query("RESUME")
            wait_until("they go on", lambda before=before: errors or all(now > then for now, then in zip(done, before)), timeout=60)
        ending.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual([], errors)
