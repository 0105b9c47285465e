"""The founding incident and its relatives: too many clients, few backends, nobody refused."""
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import wire
from harness import Gate, Peak, Pooler, Story, full_only, live, on, takes, wait_until
from wire import Client, query

# The settings of the write-up, as written; only paths and ports are ours.
WRITE_UP = {"pool_mode": "transaction", "max_client_conn": 100, "default_pool_size": 20, "reserve_pool_size": 5,
            "reserve_pool_timeout": 3, "query_wait_timeout": None, "server_login_retry": None, "log_stats": None,
            "ignore_startup_parameters": None}


class T1_startup_options(Story):
    """`'options': '-c statement_timeout=30000'`, the write-up's own Django setting."""
    kinds = ("pgweir", "direct")

    def the_login_is_accepted_and_the_limit_holds_for_that_client_alone(self):
        pooler = self.pooler(settings={**WRITE_UP, "default_pool_size": 2})
        django = [pooler.client(parameters={"options": "-c statement_timeout=30000"}) for _ in range(4)]
        others = [pooler.client() for _ in range(4)]
        # Servers change hands many times, in both directions.
        for round in range(5):
            for careful, plain in zip(django, others):
                self.assertEqual("30s", careful.value("SHOW statement_timeout"))
                self.assertEqual("0", plain.value("SHOW statement_timeout"))

    def the_limit_really_ends_a_statement_and_only_its_own(self):
        pooler = self.pooler(settings={**WRITE_UP, "default_pool_size": 2})
        hasty = pooler.client(parameters={"options": "-c statement_timeout=300"})
        patient = pooler.client()
        patient.send(query("SELECT pg_sleep(1), 'patient'"))
        self.assertEqual("57014", hasty.simple("SELECT pg_sleep(10)").error.sqlstate)
        reply = patient.reply()
        self.assertEqual([], reply.errors)
        # And after the change of hands.
        self.assertEqual([], patient.simple("SELECT pg_sleep(0.5)").errors)
        self.assertEqual([], pooler.client().simple("SELECT pg_sleep(0.5)").errors)

    def other_values_do_not_mix_when_few_servers_serve_many(self):
        pooler = self.pooler(settings={**WRITE_UP, "default_pool_size": 3, "max_client_conn": 500})
        clients = [pooler.client(parameters={"options": f"-c statement_timeout={n * 1000}", "application_name": f"a{n}"})
                   for n in range(1, 16)]

        def ask(n, client):
            def work():
                for _ in range(10):
                    row = client.query("SELECT current_setting('statement_timeout'), current_setting('application_name')").rows[0]
                    if row != (f"{n}s", f"a{n}"):
                        raise AssertionError(f"client {n} sees {row}")
            return work
        self.together(*[ask(n, client) for n, client in enumerate(clients, 1)])


class T2_leaked_idle_clients(Story):
    """Clients that log in, perhaps ask once, and are forgotten. Each costs a socket, none a slot."""
    kinds = ("pgweir",)

    @takes(120)
    def far_more_idle_clients_than_max_client_conn_and_others_are_still_served(self):
        pooler = self.pooler(settings=WRITE_UP)
        count = 500 if live.quick else 3000
        leaked = []
        with Peak(self.pg, "app", every=0.05) as peak:
            for number in range(count):
                client = pooler.client(timeout=20)
                if number % 3 == 0:
                    client.value("SELECT 1")
                leaked.append(client)
                if number % 100 == 99:
                    self.assertEqual("1", pooler.client().value("SELECT 1"))
            for number in range(20):
                self.assertEqual(str(number), pooler.client().value(f"SELECT {number}"))
        self.assertLessEqual(peak.value, 25)
        rows = pooler.show("CLIENTS")
        self.assertGreaterEqual(len([row for row in rows if row["user"] == "app"]), count)
        # They are alive, each of them.
        for client in leaked[:: max(1, count // 50)]:
            self.assertEqual("2", client.value("SELECT 2"))

    @takes(90)
    def the_leak_is_named_before_a_hundred(self):
        """Half a minute and one client in 0.4 s, ten times as fast."""
        pooler = self.pooler(settings={**WRITE_UP, "leak_interval": 0.2, "leak_quiet": 0.5, "leak_hold": 3})
        neighbour = pooler.client(parameters={"application_name": "neighbour"})
        leaked, rows = [], []
        while not rows and len(leaked) < 100:
            leaked.append(pooler.client(parameters={"application_name": "leaky"}))
            leaked[-1].value("SELECT 1")
            neighbour.value("SELECT 1")
            time.sleep(0.1)
            rows = pooler.show("LEAKS")
        self.assertEqual([("client", "leaky", "app")], [(row["family"], row["application_name"], row["user"]) for row in rows])
        self.assertIn(rows[0]["pattern"], ("L1", "L5"))

    @takes(90)
    def more_busy_clients_than_max_client_conn_wait_at_the_door(self):
        pooler = self.pooler(settings={**WRITE_UP, "max_client_conn": 10, "default_pool_size": 2, "query_wait_timeout": 60})

        def one(number):
            def run():
                with Client(pooler.address, timeout=40) as client:
                    for _ in range(2):
                        if client.value(f"SELECT {number} FROM pg_sleep(0.02)", timeout=40) != str(number):
                            raise AssertionError("a wrong answer")
            return run
        with Peak(self.pg, "app") as peak:
            self.together(*[one(number) for number in range(100)], timeout=60)
        self.assertLessEqual(peak.value, 7)

    def a_login_waits_at_the_door_and_is_let_in_when_somebody_rests(self):
        pooler = self.pooler(settings={**WRITE_UP, "max_client_conn": 2, "default_pool_size": 2, "client_login_timeout": 20})
        busy = [pooler.client(), pooler.client()]
        for client in busy:
            client.begin()
        outside = Client(pooler.address, login=False, timeout=20)
        outside.send(wire.startup({"user": "app", "database": "app"}))
        with self.assertRaises(wire.Late):
            outside.read(timeout=0.5)
        # The door is for logins only: who is inside goes on.
        self.assertEqual("T", busy[0].simple("SELECT 1").status)
        self.assertEqual(["SHOW"], pooler.console().query("SHOW POOLS").tags)
        busy[0].query("COMMIT")
        outside.finish_login("app")
        self.assertEqual("1", outside.value("SELECT 1"))
        outside.close()

    def who_waits_too_long_at_the_door_is_told_what_for(self):
        pooler = self.pooler(settings={**WRITE_UP, "max_client_conn": 1, "default_pool_size": 2})
        busy = pooler.client()
        busy.begin()
        pooler.console().query("SET client_login_timeout = 1")
        with self.assertRaises((wire.Refused, wire.Closed)) as caught:
            Client(pooler.address)
        self.assertIsInstance(caught.exception, wire.Refused, "closed without a word")
        self.assertEqual("T", busy.simple("SELECT 1").status)

    @on("pgweir")
    @takes(90)
    def near_the_descriptor_limit_the_door_closes_and_the_console_does_not(self):
        pooler = self.pooler(settings={**WRITE_UP, "max_client_conn": 5000, "client_login_timeout": 3}, nofile=(256, 256))
        inside = []
        try:
            for _ in range(400):
                inside.append(Client(pooler.address, timeout=6))
        except (wire.Refused, wire.Closed, wire.Late, OSError):
            pass
        try:
            self.assertGreater(len(inside), 60)
            self.assertLess(len(inside), 256)
            self.assertEqual("1", inside[0].value("SELECT 1"), "a server could not be had")
            self.assertEqual("1", inside[-1].value("SELECT 1"))
            self.assertEqual(["SHOW"], pooler.console().query("SHOW POOLS").tags)
            # All of these come from one place; who comes from another is let in while they wait.
            stranger = Client(pooler.address, timeout=6, parameters={"application_name": "another"})
            inside.append(stranger)
            self.assertEqual("1", stranger.value("SELECT 1"), "another origin was kept out")
            with Gate(self.pg) as gate:
                inside[0].send(query(f"SELECT {gate.passing}"))
                gate.await_waiting(1)
                inside[0].cancel()
                self.assertEqual("57014", inside[0].reply().error.sqlstate, "a cancel found no descriptor")
            pooler.await_log(pattern=r"near the limit of open files .* wait at the door")
        finally:
            for client in inside:
                client.close()

        def let_in():
            try:
                return Client(pooler.address).value("SELECT 1") == "1"
            except wire.Refused:        # it has waited at the door for client_login_timeout
                return False
        wait_until("the door opens again", let_in)


class T3_who_holds(Story):
    """25 clients idle in transaction; the next one is told what it waited for."""
    kinds = ("pgweir",)

    def the_waiting_client_is_told_how_many_hold_and_how_long(self):
        pooler = self.pooler(settings=WRITE_UP)
        holders = [pooler.client() for _ in range(25)]

        def take(client):
            return lambda: client.query("BEGIN; SELECT 1")
        self.together(*[take(client) for client in holders])
        waiter = pooler.client()
        pooler.console().query("SET query_wait_timeout = 5")
        waiter.send(query("SELECT 1"))
        error = waiter.expect_closed()[0]
        self.assertEqual("query_wait_timeout", error.message)
        self.assertIn("25", error.detail)
        self.assertRegex(error.detail, r"\d+(\.\d+)? ?(s|seconds|min)\b")

    def the_notice_and_the_error_name_the_origins_that_hold(self):
        pooler = self.pooler(settings={"default_pool_size": 3, "query_wait_notify": 1, "leak_interval": 0.2},
                             users={}, databases={"app": "dbname=app user=app"})
        holders = [pooler.client(user=user, parameters={"application_name": name})
                   for user, name in (("app", "billing"), ("app", "billing"), ("other", "somebody else's"))]
        for client in holders:
            client.begin()
        waiter = pooler.client()
        pooler.console().query("SET query_wait_timeout = 3")
        waiter.send(query("SELECT 1"))
        error = waiter.expect_closed()[0]
        self.assertEqual("query_wait_timeout", error.message)
        for text in [error.detail] + [each["D"] for each in waiter.notices]:
            self.assertIn('"billing" at 127.0.0.1 holds 2 (2 idle in transaction, the longest for', text)
            self.assertIn("Clients of other users hold 1 of this database", text)
            self.assertNotIn("somebody else", text)
        self.assertEqual(1, len(waiter.notices))

    def each_state_of_a_holder_is_told(self):
        pooler = self.pooler(settings={"default_pool_size": 3, "leak_interval": 0.2})
        names = {"application_name": "billing"}
        waiter, forgot, works, keeps = [pooler.client(parameters=names) for _ in range(4)]
        forgot.begin()
        works.send(query("SELECT pg_sleep(60)"))
        keeps.query("CREATE TEMP TABLE kept (a int)")
        wait_until("all three are lent", lambda: int(pooler.pool()["sv_active"]) == 3)
        pooler.console().query("SET query_wait_timeout = 4")
        waiter.send(query("SELECT 1"))
        error = waiter.expect_closed(timeout=30)[0]
        self.assertRegex(error.detail, r'"billing" at 127\.0\.0\.1 holds 3 \(1 idle in transaction, the longest for [^;]*; '
                                       r"1 idle, but kept; 1 at work\)\.")
        self.assertIn("SHOW LEASES", error.hint)
        self.assertIn("It may have 3 (pool_size).", error.detail)

    def the_limit_that_is_reached_is_named_wherever_it_is(self):
        quick = {"query_wait_notify": 0, "leak_interval": 0.2}
        for limit, who in (("max_db_connections", {"user": "other"}), ("max_user_connections", {"database": "app2"})):
            pooler = self.pooler(settings={**quick, "default_pool_size": 20, limit: 2})
            waiter = pooler.client(**who)
            waiter.value("SELECT 1")
            holders = [pooler.client(parameters={"application_name": "billing"}) for _ in range(2)]
            for client in holders:
                client.begin()
            pooler.console().query("SET query_wait_timeout = 2")
            waiter.send(query("SELECT 1"))
            error = waiter.expect_closed(timeout=30)[0]
            self.assertIn(f"has no server to lend; clients that wait: 1. It may have no more: its "
                          f"{'database' if limit == 'max_db_connections' else 'user'} has as many as {limit} allows.", error.detail)
            self.assertRegex(error.detail, "Clients of other users hold 2 of this database" if "user" in who else
                             r'"billing" at 127\.0\.0\.1 holds 2 of database app \(2 idle in transaction')
        # Who has not logged in yet is told as much.
        pooler = self.pooler(settings={**quick, "default_pool_size": 1})
        holder = pooler.client(parameters={"application_name": "billing"})
        holder.begin()
        for limit in ("query_wait_timeout = 2", "client_login_timeout = 3"):
            pooler.console().query(f"SET {limit}")
        error = self.refused(pooler.client, parameters={"TimeZone": "Asia/Tokyo"}, sqlstate="57P03")
        self.assertEqual("client_login_timeout", error.message)     # and not that the server is down
        self.assertRegex(error.detail, r'The only server of pool app/app is lent, for .*"billing" at 127\.0\.0\.1 holds 1')
        holder.query("ROLLBACK")
        pooler.console().query("PAUSE")
        holder.send(query("SELECT 1"))
        error = holder.expect_closed(timeout=30)[0]
        self.assertEqual(("Pool app/app is paused (PAUSE on the console); clients that wait: 1.", "RESUME on the console lets them go on."),
                         (error.detail, error.hint))


class T4_abandoned_queries(Story):
    """60 clients start a long query and go away."""
    kinds = ("pgweir",)

    @takes(90)
    def backends_never_exceed_the_pool_and_the_next_client_is_served(self):
        pg = self.postgres(max_connections=40)
        pooler = self.pooler(pg=pg, settings=WRITE_UP)
        with Peak(pg) as peak:
            for number in range(60):
                client = Client(pooler.address)
                client.send(query("SELECT pg_sleep(6)"))
                time.sleep(0.01)
                (client.drop, client.vanish)[number % 2]()
            self.assertEqual("1", pooler.client(timeout=30).value("SELECT 1", timeout=30))
            time.sleep(1)
        self.assertLessEqual(peak.value, 25)
        self.assertNotIn("too many clients", pooler.log())

    def a_reading_query_of_a_client_that_left_is_cancelled(self):
        for leave in ("vanish", "drop"):
            with self.subTest(leave):
                pooler = self.pooler(settings={"default_pool_size": 1})
                client = pooler.client()
                client.send(query("SELECT pg_sleep(50)"))
                active = lambda: self.pg.backends("app", extra="AND state = 'active' AND query LIKE 'SELECT pg_sleep(50)%'")
                wait_until("it runs", lambda: active() == 1)
                getattr(client, leave)()
                wait_until("it is cancelled", lambda: active() == 0)
                self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_writing_query_outside_a_block_runs_to_its_end(self):
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS written; CREATE TABLE written(n int); GRANT ALL ON written TO PUBLIC")
        pooler = self.pooler(settings={"default_pool_size": 1})
        client = pooler.client()
        client.send(query("INSERT INTO written SELECT 1 FROM pg_sleep(1.5)"))
        wait_until("it runs", lambda: self.pg.backends("app", extra="AND state = 'active' AND query LIKE 'INSERT INTO written%'") == 1)
        client.vanish()
        with Peak(self.pg, "app") as peak:
            wait_until("it is written", lambda: self.pg.value("SELECT count(*) FROM written", "app") == "1")
            self.assertEqual("1", pooler.client().value("SELECT 1"))
        self.assertEqual(1, peak.value, "an abandoned query was not counted")

    def a_query_in_a_block_that_is_left_is_rolled_back_at_once(self):
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS written; CREATE TABLE written(n int); GRANT ALL ON written TO PUBLIC")
        for leave in ("vanish", "drop"):
            with self.subTest(leave):
                pooler = self.pooler(settings={"default_pool_size": 1})
                client = pooler.client()
                client.begin()
                client.send(query("INSERT INTO written SELECT 1 FROM pg_sleep(400)"))
                wait_until("it runs",
                           lambda: self.pg.backends("app", extra="AND state = 'active' AND query LIKE 'INSERT INTO written%'") == 1)
                getattr(client, leave)()
                self.assertEqual("0", pooler.client().value("SELECT count(*) FROM written"))


class Back_pressure(Story):
    """PostgreSQL has fewer slots than the pool would like. 53300 is ours to bear."""
    kinds = ("pgweir",)

    @takes(90)
    def too_many_clients_never_reaches_an_application(self):
        pg = self.postgres(max_connections=10, superuser_reserved_connections=3)
        pooler = self.pooler(pg=pg, settings={"default_pool_size": 20, "max_client_conn": 500, "query_wait_timeout": 60})

        def one(number):
            def run():
                with Client(pooler.address, timeout=50) as client:
                    for _ in range(3):
                        if client.value(f"SELECT {number} FROM pg_sleep(0.02)", timeout=50) != str(number):
                            raise AssertionError("a wrong answer")
            return run
        self.together(*[one(number) for number in range(40)], timeout=70)
        # Its superusers can still come in: the last slots are not fought over.
        self.assertEqual("1", pg.value("SELECT 1"))

    @takes(60)
    def strangers_may_take_the_slots_and_give_them_back(self):
        pg = self.postgres(max_connections=10, superuser_reserved_connections=3)
        pooler = self.pooler(pg=pg, settings={"default_pool_size": 5, "query_wait_timeout": 40, "server_login_retry": 1})
        strangers = [Client(pg.address, user="other") for _ in range(7)]
        waiting = Client(pooler.address, login=False, timeout=40)
        waiting.send(wire.startup({"user": "app", "database": "app"}) + query("SELECT 'patience'"))
        with self.assertRaises(wire.Late):
            while True:
                kind, body = waiting.read(timeout=2)
                self.assertNotEqual(b"E", kind, wire.fields_of(body) if kind == b"E" else "")
                self.assertNotEqual(b"D", kind)
        for stranger in strangers:
            stranger.close()
        reply = waiting.reply(timeout=30)
        while not reply.rows:
            reply = waiting.reply(timeout=30)
        self.assertEqual("patience", reply.value)
        waiting.close()


class Servers_that_end(Story):
    kinds = ("pgweir", "pgbouncer")

    @staticmethod
    def _servers(pooler):
        """How many the pooler believes that it has; the end of one is seen after PostgreSQL has none of it any more."""
        return sum(row["user"] == "app" for row in pooler.show("SERVERS"))

    def a_killed_backend_costs_its_own_client_only(self):
        pooler = self.pooler(settings={"default_pool_size": 3})
        victim, other, idle = pooler.client(), pooler.client(), pooler.client()
        victim.begin()
        other.begin()
        pid = victim.value("SELECT pg_backend_pid()")
        self.pg.value(f"SELECT pg_terminate_backend({pid})")
        errors = []
        try:
            victim.send(query("SELECT 1"))
            errors = victim.reply().errors
        except wire.Closed:
            pass
        self.assertEqual("T", other.simple("SELECT 1").status)
        self.assertEqual("1", idle.value("SELECT 1"))
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_killed_backend_is_told_with_its_own_words(self):
        pooler = self.pooler()
        victim = pooler.client()
        victim.send(query("SELECT pg_sleep(20)"))
        wait_until("it runs", lambda: self.pg.backends("app", extra="AND query LIKE 'SELECT pg_sleep(20)%' AND state = 'active'") == 1)
        self.pg.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'")
        errors = victim.expect_closed()
        self.assertTrue(errors, "closed without a word")
        if live.kind == "pgweir":
            self.assertEqual("57P01", errors[0].sqlstate)

    def an_idle_server_that_ended_is_not_lent(self):
        pooler = self.pooler(settings={"default_pool_size": 3})
        client = pooler.client()
        for _ in range(10):
            client.value("SELECT 1")
            self.pg.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'")
            wait_until("its end is seen", lambda: self._servers(pooler) == 0)
            self.assertEqual("2", client.value("SELECT 2"))

    @takes(90)
    def clients_outlive_a_restart_of_postgresql(self):
        pg = self.postgres(max_connections=30)
        pooler = self.pooler(pg=pg, settings={"server_login_retry": 1, "query_wait_timeout": 30})
        clients = [pooler.client() for _ in range(10)]
        for client in clients:
            client.value("SELECT 1")
        pg.stop()
        wait_until("the end of each server is seen", lambda: self._servers(pooler) == 0)
        pg.start()
        for client in clients:
            self.assertEqual("2", client.value("SELECT 2", timeout=20))

    @on("pgweir", why="it asks each new login's settings of a server")
    def a_login_outlives_the_server_that_it_learned_from(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        pid = int(pooler.client().value("SELECT pg_backend_pid()"))
        os.kill(pid, signal.SIGSTOP)
        try:
            newcomer = Client(pooler.address, login=False, timeout=20)
            newcomer.send(wire.startup({"user": "app", "database": "app", "options": "-c statement_timeout=12345"}))
            wait_until("the newcomer has the server", lambda: pooler.pool()["sv_active"] == 1)
            os.kill(pid, signal.SIGTERM)
        finally:
            os.kill(pid, signal.SIGCONT)
        newcomer.finish_login("app")
        self.assertEqual("12345ms", newcomer.value("SHOW statement_timeout"))
        self.assertNotEqual(pid, int(newcomer.value("SELECT pg_backend_pid()")))
        newcomer.close()

    @on("pgweir", why="PgBouncer fails them with a cached error")
    @takes(90)
    def who_asks_while_postgresql_is_away_is_answered_or_told_why(self):
        pg = self.postgres(max_connections=30)
        pooler = self.pooler(pg=pg, settings={"server_login_retry": 1, "query_wait_timeout": 30})
        client = pooler.client()
        client.value("SELECT 1")
        pg.stop()
        client.send(query("SELECT 'came back'"))
        time.sleep(1.5)
        pg.start()
        reply = client.read_to(b"ZE", timeout=25)
        if reply.errors:
            self.assertRegex(str(reply.error), r"(?i)refused|shutting down|terminat|closed")
        else:
            self.assertEqual("came back", reply.value)
        self.assertEqual("1", pooler.client().value("SELECT 1", timeout=20))

    @takes(60)
    def a_crash_of_postgresql_ends_no_client_that_held_nothing(self):
        pg = self.postgres(max_connections=30)
        pooler = self.pooler(pg=pg, settings={"server_login_retry": 1, "query_wait_timeout": 30})
        idle, busy = pooler.client(), pooler.client()
        idle.value("SELECT 1")
        busy.begin()
        pid = busy.value("SELECT pg_backend_pid()")
        os.kill(int(pid), signal.SIGKILL)           # the postmaster ends every backend and recovers

        def back():
            try:
                pg.admin(timeout=3).close()
                return True
            except (wire.Refused, wire.Closed, wire.Late, OSError):
                return False
        # Before the postmaster knows of it, it lets somebody in as ever.
        wait_until("the end of each server is seen", lambda: self._servers(pooler) == 0, timeout=30)
        wait_until("PostgreSQL recovered", back, timeout=30, every=0.1)
        self.assertEqual("2", idle.value("SELECT 2", timeout=20))
        with self.assertRaises((wire.Refused, wire.Closed)):
            busy.query("SELECT 1")
