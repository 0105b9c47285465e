"""Who gets which server, when, and what happens to those who wait or stay too long."""
import pathlib
import re
import signal
import socket
import threading
import time

import wire
from harness import Gate, Holders, Peak, Pooler, Story, free_port, full_only, live, on, takes, wait_until
from wire import Client, SYNC, batch, bind, execute, parse, query

BOTH = ("pgweir", "pgbouncer")


class Modes(Story):
    kinds = BOTH

    def a_session_keeps_its_server(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 2})
        first, second = pooler.client(), pooler.client()
        pids = {first.value("SELECT pg_backend_pid()") for _ in range(3)}
        self.assertEqual(1, len(pids))
        self.assertNotIn(second.value("SELECT pg_backend_pid()"), pids)
        first.query("CREATE TEMP TABLE mine(n int)")
        self.assertEqual("0", first.value("SELECT count(*) FROM mine"))

    def a_session_is_cleaned_before_its_server_is_lent_again(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 1})
        first = pooler.client()
        pid = first.value("SELECT pg_backend_pid()")
        first.query("SET work_mem = '9MB'; CREATE TEMP TABLE mine(n int); PREPARE mine AS SELECT 1")
        first.query("SELECT pg_advisory_lock(77)")
        first.close()
        second = pooler.client()
        self.assertEqual(pid, second.value("SELECT pg_backend_pid()"))
        self.assertEqual("4MB", second.value("SHOW work_mem"))
        self.assertIsNone(second.value("SELECT to_regclass('mine')"))
        self.assertEqual("0", second.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))

    def transactions_share_servers(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        clients = [pooler.client() for _ in range(20)]
        pids = {client.value("SELECT pg_backend_pid()") for client in clients}
        self.assertLessEqual(len(pids), 2)
        self.assertLessEqual(self.pg.backends("app"), 2)

    def a_transaction_keeps_its_server_to_its_end(self):
        pooler = self.pooler(settings={"default_pool_size": 3})
        client, others = pooler.client(), [pooler.client() for _ in range(5)]
        client.begin()
        pid = client.value("SELECT pg_backend_pid()")
        for other in others:
            self.assertNotEqual(pid, other.value("SELECT pg_backend_pid()"))
            self.assertEqual(pid, client.value("SELECT pg_backend_pid()"))
        client.query("COMMIT")

    def a_failed_transaction_keeps_its_server_until_it_is_rolled_back(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        client, other = pooler.client(), pooler.client()
        client.begin()
        pid = client.value("SELECT pg_backend_pid()")
        self.assertEqual("E", client.simple("SELECT 1/0").status)
        self.assertNotEqual(pid, other.value("SELECT pg_backend_pid()"))
        self.assertEqual("25P02", client.simple("SELECT 1").error.sqlstate)
        client.query("ROLLBACK")

    def a_transaction_that_is_left_open_is_rolled_back(self):
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS left_open; CREATE TABLE left_open(n int); GRANT ALL ON left_open TO PUBLIC")
        pooler = self.pooler(settings={"default_pool_size": 1})
        for leave in ("close", "vanish", "drop"):
            client = pooler.client()
            client.query("BEGIN; INSERT INTO left_open VALUES (1)")
            server = client.value("SELECT pg_backend_pid()")
            getattr(client, leave)()
            next = pooler.client()
            self.assertEqual("0", next.value("SELECT count(*) FROM left_open"))
            if live.kind == "pgweir":       # it is clean, and kept
                self.assertEqual(server, next.value("SELECT pg_backend_pid()"))
            self.assertEqual("I", next.simple("SELECT 1").status)

    def statement_mode_refuses_a_transaction_block(self):
        pooler = self.pooler(settings={"pool_mode": "statement"})
        client = pooler.client()
        self.assertEqual("1", client.value("SELECT 1"))
        client.send(query("BEGIN"))
        says = "transaction blocks not allowed in statement pooling mode"
        errors = []
        try:
            while True:
                kind, body = client.read()
                if kind == b"E":
                    errors.append(wire.Refused(wire.fields_of(body)))
                if kind == b"Z":
                    break
        except wire.Closed:
            pass
        self.assertIn(says, [error.message for error in errors])
        fresh = pooler.client()
        self.assertEqual("I", fresh.simple("SELECT 1").status)

    def the_mode_of_a_database_beats_the_global_one(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1},
                             databases={"app": "dbname=app", "whole": "dbname=app pool_mode=session pool_size=3"})
        first, second = pooler.client(database="whole"), pooler.client(database="whole")
        first.query("SET application_name = 'stays'")
        one, two = first.value("SELECT pg_backend_pid()"), second.value("SELECT pg_backend_pid()")
        self.assertNotEqual(one, two)
        self.assertEqual("stays", first.value("SHOW application_name"))

    def the_mode_of_a_user_beats_the_database(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 4}, users={"other": "pool_mode=session"})
        first, second = pooler.client(user="other"), pooler.client(user="other")
        self.assertNotEqual(first.value("SELECT pg_backend_pid()"), second.value("SELECT pg_backend_pid()"))
        self.assertEqual("session", pooler.pool("other")["pool_mode"])

    @on("pgweir")
    def who_is_there_keeps_what_he_has_when_the_mode_becomes_session(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        client = pooler.client()
        client.extended("SELECT 'mine' || $1", ("1",), name="s")
        pooler.console().query("SET pool_mode = session")
        self.assertEqual("mine2", client.run_prepared("s", ("2",)).value)
        # It goes on as it came: in between its server is free, also for one who comes in session mode and keeps it.
        with pooler.client() as other:
            self.assertEqual(str(other.pid), other.value("SELECT pg_backend_pid()"))
        self.assertEqual("mine3", client.run_prepared("s", ("3",)).value)

    @on("pgweir")
    def neither_a_session_nor_who_shares_finds_what_the_other_left_when_the_mode_changes(self):
        """What a function was planned as by whoever called it first on that server."""
        with self.pg.admin("app") as admin:
            admin.query("CREATE FUNCTION hour() RETURNS text LANGUAGE plpgsql AS "
                        "$$BEGIN RETURN to_char('2020-01-02 12:00'::timestamptz AT TIME ZONE 'UTC', 'HH24'); END$$")
        self.addCleanup(self.pg.value, "DROP FUNCTION hour()", "app")
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1, "server_reset_query": ""})

        def hours(*clients):
            return [client.value("SELECT hour()") for client in clients]

        shares, lima = pooler.client(parameters={"TimeZone": "Asia/Tokyo"}), {"TimeZone": "America/Lima"}
        self.assertEqual(["03"], hours(shares))
        pooler.console().query("SET pool_mode = session")
        with pooler.client(parameters={"TimeZone": "Etc/UTC"}) as session:
            self.assertEqual(["12"], hours(session))
        self.assertEqual(["03"], hours(shares))
        with pooler.client(parameters=lima) as session:
            self.assertEqual(["17"], hours(session))
        with pooler.client(parameters={"TimeZone": "Etc/UTC"}) as session:
            hours(session)
        pooler.console().query("SET pool_mode = transaction")
        self.assertEqual(["17", "03"], hours(pooler.client(parameters=lima), shares))

    @on("pgweir")
    def who_is_there_in_session_mode_stays_so_when_the_mode_becomes_another(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 1})
        client = pooler.client()
        client.query("SET work_mem = '7MB'")
        pooler.console().query("SET pool_mode = statement")
        client.query("BEGIN")
        self.assertEqual("7MB", client.value("SHOW work_mem"))
        client.query("COMMIT")
        self.assertEqual(str(client.pid), client.value("SELECT pg_backend_pid()"))


class Limits(Story):
    kinds = BOTH

    def _crowd(self, pooler, count, users=("app",), databases=("app",), rounds=3, sql="SELECT pg_sleep(0.02)"):
        """`count` clients, each running short queries; all must be served."""
        def one(number):
            def run():
                with Client(pooler.address, user=users[number % len(users)], database=databases[number // len(users) % len(databases)],
                            timeout=30) as client:
                    for _ in range(rounds):
                        client.query(sql)
            return run
        self.together(*[one(number) for number in range(count)])

    def _fill(self, pooler, servers, count, **options):
        """A crowd of which so many are at PostgreSQL at the same time: none of them goes on before."""
        with Gate(self.pg) as gate:
            self.together(lambda: self._crowd(pooler, count, sql=f"SELECT {gate.passing}", **options),
                          lambda: (gate.await_waiting(servers), gate.open()))

    def a_pool_never_grows_beyond_its_size(self):
        pooler = self.pooler(settings={"default_pool_size": 4})
        with Peak(self.pg, "app") as peak:
            self._fill(pooler, 4, 30)
        self.assertEqual(4, peak.value)

    def the_size_of_a_database_beats_the_default(self):
        pooler = self.pooler(settings={"default_pool_size": 8}, databases={"app": "dbname=app pool_size=2"})
        with Peak(self.pg, "app") as peak:
            self._fill(pooler, 2, 20)
        self.assertEqual(2, peak.value)

    @on("pgweir")
    def the_size_of_a_user_beats_the_database(self):
        pooler = self.pooler(databases={"app": "dbname=app pool_size=6"}, users={"other": "pool_size=2"})
        with Peak(self.pg, "other") as peak:
            self._fill(pooler, 2, 20, users=("other",))
        self.assertEqual(2, peak.value)

    def one_pool_for_each_user_and_database(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        with Peak(self.pg) as all, Peak(self.pg, "app", "app2") as one:
            self._crowd(pooler, 40, users=("app", "other"), databases=("app", "app2"))
        self.assertLessEqual(all.value, 8)
        self.assertLessEqual(one.value, 2)

    def a_forced_user_makes_one_pool_for_everybody(self):
        pooler = self.pooler(databases={"app": "dbname=app user=third pool_size=2"})
        with Peak(self.pg) as peak:
            self._fill(pooler, 2, 20, users=("app", "other"))
        self.assertEqual(2, peak.value)
        self.assertEqual("third", pooler.client().value("SELECT current_user"))

    def max_db_connections_holds_over_all_pools_of_a_database(self):
        pooler = self.pooler(settings={"default_pool_size": 5, "max_db_connections": 4})
        with Peak(self.pg, database="app") as peak:
            self._crowd(pooler, 40, users=("app", "other", "third"), rounds=2)
        self.assertLessEqual(peak.value, 4)

    def max_user_connections_holds_over_all_pools_of_a_user(self):
        pooler = self.pooler(settings={"default_pool_size": 5, "max_user_connections": 3})
        with Peak(self.pg, "app") as peak:
            self._crowd(pooler, 30, databases=("app", "app2"), rounds=2)
        self.assertLessEqual(peak.value, 3)

    def a_user_row_of_max_user_connections_beats_the_global_one(self):
        pooler = self.pooler(settings={"default_pool_size": 5, "max_user_connections": 5}, users={"other": "max_user_connections=2"})
        with Peak(self.pg, "other") as peak:
            self._crowd(pooler, 20, users=("other",), databases=("app", "app2"), rounds=2)
        self.assertLessEqual(peak.value, 2)

    @on("pgweir", why="PgBouncer leaves such a pool without servers")
    def a_limit_taken_by_idle_servers_of_one_pool_does_not_starve_another(self):
        pooler = self.pooler(settings={"default_pool_size": 4, "max_db_connections": 4})
        self._crowd(pooler, 12)
        self.assertEqual("other", pooler.client(user="other").value("SELECT current_user"))
        self.assertLessEqual(self.pg.backends(database="app"), 4)

    def the_reserve_opens_only_for_those_who_waited(self):
        pooler = self.pooler(settings={"default_pool_size": 2, "reserve_pool_size": 2, "reserve_pool_timeout": 1})
        holders = Holders(pooler, 2)
        holders.take_one()
        holders.take_one()
        client = pooler.client()
        began = time.monotonic()
        client.send(query("SELECT pg_backend_pid()"))
        time.sleep(0.3)
        servers = self.pg.backends("app")
        if time.monotonic() - began < 0.9:      # else it may have waited long enough
            self.assertEqual(2, servers, "the reserve opened at once")
        client.reply()
        self.assertEqual(3, self.pg.backends("app"))

    def the_reserve_has_an_end_too(self):
        pooler = self.pooler(settings={"default_pool_size": 2, "reserve_pool_size": 1, "reserve_pool_timeout": 0.5})
        with Peak(self.pg, "app") as peak:
            self._fill(pooler, 3, 10)
        self.assertEqual(3, peak.value)

    def min_pool_size_keeps_servers_ready(self):
        pooler = self.pooler(settings={"min_pool_size": 3, "default_pool_size": 5})
        pooler.client().value("SELECT 1")
        wait_until("three servers", lambda: self.pg.backends("app") >= 3)
        time.sleep(0.5)
        self.assertEqual(3, self.pg.backends("app"))

    @on("pgweir", why="since PgBouncer 1.21")
    def min_pool_size_needs_no_client_where_the_user_is_forced(self):
        self.pooler(databases={"app": "dbname=app user=third min_pool_size=2"})
        wait_until("two servers", lambda: self.pg.backends("third") == 2)

    def an_ended_server_is_replaced_up_to_min_pool_size(self):
        pooler = self.pooler(settings={"min_pool_size": 2})
        pooler.client().value("SELECT 1")
        wait_until("two servers", lambda: self.pg.backends("app") == 2)
        before = self.pg.value("SELECT max(backend_start) FROM pg_stat_activity WHERE usename = 'app'")
        self.pg.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'")
        wait_until("two new servers", lambda: self.pg.value(
            f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND backend_start > '{before}'") == "2")


class Waiting(Story):
    kinds = BOTH

    def those_who_wait_are_served_in_their_order(self):
        pooler = self.pooler(settings={"default_pool_size": 1, **({"workers": 1} if live.kind == "pgweir" else {})})
        holder = pooler.client()
        waiters = [pooler.client() for _ in range(8)]
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS served; CREATE TABLE served(n serial, who int);"
                        " GRANT ALL ON served TO PUBLIC; GRANT ALL ON SEQUENCE served_n_seq TO PUBLIC")
        holder.begin()
        for number, waiter in enumerate(waiters):
            waiter.send(query(f"INSERT INTO served(who) VALUES ({number})"))
            wait_until(f"{number + 1} wait", lambda: pooler.pool()["cl_waiting"] == number + 1)
        holder.query("COMMIT")
        for waiter in waiters:
            self.assertEqual([], waiter.reply().errors)
        with self.pg.admin("app") as admin:
            order = [int(row[0]) for row in admin.query("SELECT who FROM served ORDER BY n").rows]
        self.assertEqual(list(range(8)), order)

    def a_waiting_client_is_served_before_a_newcomer(self):
        pooler = self.pooler(settings={"default_pool_size": 1, **({"workers": 1} if live.kind == "pgweir" else {})})
        holder, waiter, newcomer = pooler.client(), pooler.client(), pooler.client()
        holder.begin()
        waiter.send(query("SELECT clock_timestamp()::text, pg_sleep(0.1)"))
        wait_until("it waits", lambda: pooler.pool()["cl_waiting"] == 1)
        # The holder ends and asks again at once: it is a newcomer now, though the server is its last one.
        newcomer.send(query("SELECT clock_timestamp()::text"))
        holder.query("COMMIT")
        holder.send(query("SELECT clock_timestamp()::text"))
        first = waiter.reply().rows[0][0]
        self.assertLess(first, holder.reply().value)
        self.assertLess(first, newcomer.reply().value)

    def a_greedy_client_does_not_starve_the_patient(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        ending = threading.Event()
        served = [0]

        def greedy():
            with Client(pooler.address) as client:
                while not ending.is_set():
                    client.send(batch("SELECT pg_sleep(0.001)") * 20)
                    for _ in range(20):
                        client.reply()
                    served[0] += 20
        thread = threading.Thread(target=greedy, daemon=True)
        thread.start()
        try:
            wait_until("the greedy one is served", lambda: served[0] > 0)
            patient = pooler.client()
            for number in range(10):
                self.assertEqual(str(number), patient.value(f"SELECT {number}"))
        finally:
            ending.set()
            thread.join(10)

    def who_waits_too_long_is_told_so(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        holders = Holders(pooler, 2)
        holders.take_one()
        holders.take_one()
        client = pooler.client()
        pooler.console().query("SET query_wait_timeout = '1.5'")
        client.send(query("SELECT 1"))
        errors = client.expect_closed()
        self.assertEqual("query_wait_timeout", errors[0].message)
        self.assertEqual("FATAL", errors[0].severity)
        if live.kind == "pgweir":
            detail = errors[0].detail
            numbers = [int(each) for each in re.findall(r"\d+", detail)]
            self.assertIn(2, numbers, f"how many servers are lent is not in DETAIL: {detail!r}")
            self.assertRegex(detail, r"(?i)lent")
            self.assertRegex(detail, r"\d+(\.\d+)? ?(s|ms|seconds?|min)\b", f"how long is not in DETAIL: {detail!r}")
        pooler.console().query("SET query_wait_timeout = 30")
        holders.release()
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir", why="PgBouncer 1.18 does not notice")
    def a_waiter_that_leaves_leaves_nothing_behind(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        holder = pooler.client()
        holder.begin()
        for number in range(10):
            leaver = pooler.client()
            leaver.send(query("SELECT 1"))
            (leaver.drop, leaver.vanish)[number % 2]()
        wait_until("nobody waits", lambda: pooler.pool()["cl_waiting"] == 0)
        holder.query("COMMIT")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_pipeline_sent_while_waiting_is_answered_whole(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        holder, waiter = pooler.client(), pooler.client()
        holder.begin()
        waiter.send(b"".join(batch("SELECT $1::int", [n]) for n in range(50)))
        wait_until("it waits", lambda: pooler.pool()["cl_waiting"] == 1)
        waiter.send(b"".join(query(f"SELECT {n}") for n in range(50)))
        holder.query("COMMIT")
        for _ in range(2):
            for number in range(50):
                self.assertEqual(str(number), waiter.reply().value)


class Timeouts(Story):
    kinds = BOTH

    def _closed_with(self, client, says):
        errors = client.expect_closed()
        self.assertTrue(errors, "closed without a word")
        self.assertIn(says, errors[-1].message)
        return errors[-1]

    def query_timeout_ends_a_long_query(self):
        pooler = self.pooler(settings={"query_timeout": 1})
        client, other = pooler.client(), pooler.client()
        client.send(query("SELECT pg_sleep(20)"))
        self._closed_with(client, "query timeout" if live.kind == "pgweir" else "query timeout")
        self.assertEqual("1", other.value("SELECT 1"))
        wait_until("the query is gone from PostgreSQL", lambda: self.pg.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND state = 'active' AND usename = 'app'") == "0"
            or live.kind == "pgbouncer")

    def query_timeout_does_not_count_time_between_queries(self):
        if live.kind == "pgbouncer":
            self.skipTest("PgBouncer 1.18 counts the whole transaction")
        pooler = self.pooler(settings={"query_timeout": 2})
        client = pooler.client()
        client.begin()
        for _ in range(5):
            client.query("SELECT pg_sleep(0.1)")
            time.sleep(0.5)
        self.assertEqual(["COMMIT"], client.query("COMMIT").tags)

    def idle_transaction_timeout_ends_a_sleeping_transaction(self):
        pooler = self.pooler(settings={"idle_transaction_timeout": 1, "default_pool_size": 1})
        client, other = pooler.client(), pooler.client()
        client.begin()
        self._closed_with(client, "idle transaction timeout")
        self.assertEqual("1", other.value("SELECT 1"))

    def idle_transaction_timeout_spares_the_busy(self):
        pooler = self.pooler(settings={"idle_transaction_timeout": 2})
        client = pooler.client()
        client.begin()
        client.query("SELECT pg_sleep(3)")
        self.assertEqual(["COMMIT"], client.query("COMMIT").tags)

    @on("pgweir")
    def idle_transaction_timeout_lets_a_session_sleep(self):
        """A session that rests outside a transaction is not ended, and nobody wakes up again and again to see whether it is time."""
        pooler = self.pooler(settings={"idle_transaction_timeout": 1, "pool_mode": "session", "workers": 1})
        client = pooler.client()
        pid = client.value("SELECT pg_backend_pid()")

        def wakeups():
            total = 0
            for task in pathlib.Path(f"/proc/{pooler.pid}/task").iterdir():
                total += sum(int(line.split()[1]) for line in (task / "status").read_text().splitlines() if "ctxt_switches" in line)
            return total
        time.sleep(1.3)
        before = wakeups()
        time.sleep(1)
        self.assertLess(wakeups() - before, 100)
        self.assertEqual(pid, client.value("SELECT pg_backend_pid()"))

    @on("pgweir", why="since PgBouncer 1.25")
    def transaction_timeout_ends_a_long_transaction_however_busy(self):
        pooler = self.pooler(settings={"transaction_timeout": 1, "default_pool_size": 1})
        client, other = pooler.client(), pooler.client()
        with self.assertRaises((wire.Closed, wire.Refused)) as caught:
            client.begin()
            for _ in range(60):
                client.query("SELECT pg_sleep(0.1)")
        if isinstance(caught.exception, wire.Refused):
            self.assertIn("transaction timeout", caught.exception.message)
        self.assertEqual("1", other.value("SELECT 1"))

    def client_idle_timeout_ends_the_idle_and_spares_the_busy(self):
        pooler = self.pooler(settings={"client_idle_timeout": 1.5})
        idle, busy = pooler.client(), pooler.client()
        busy.send(query("SELECT pg_sleep(2.5)"), query("SELECT 'busy'"))     # with no rest between the two
        self._closed_with(idle, "client_idle_timeout")
        self.assertEqual([], busy.reply().errors)
        self.assertEqual("busy", busy.reply().value)

    def client_login_timeout_ends_those_who_say_nothing(self):
        pooler = self.pooler(settings={"client_login_timeout": 1})
        silent = Client(pooler.address, login=False)
        half = Client(pooler.address, login=False)
        half.send(wire.startup({"user": "app", "database": "app"})[:10])
        for client in (silent, half):
            client.expect_closed()

    def the_timeouts_of_a_user_beat_the_global_ones(self):
        if live.kind == "pgbouncer":
            self.skipTest("since PgBouncer 1.24")
        pooler = self.pooler(settings={"idle_transaction_timeout": 0}, users={"other": "idle_transaction_timeout=1"})
        mine, other = pooler.client(), pooler.client(user="other")
        mine.begin()
        other.begin()
        self._closed_with(other, "idle transaction timeout")
        self.assertEqual(["COMMIT"], mine.query("COMMIT").tags)

    def server_idle_timeout_closes_the_idle(self):
        pooler = self.pooler()
        pooler.client().value("SELECT 1")
        self.assertEqual(1, self.pg.backends("app"))
        pooler.console().query("SET server_idle_timeout = 1")
        wait_until("no server is left", lambda: self.pg.backends("app") == 0)
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def server_lifetime_closes_the_old_but_not_in_use(self):
        pooler = self.pooler(settings={"server_lifetime": 1, "default_pool_size": 1})
        client = pooler.client()
        client.begin()
        pid = client.value("SELECT pg_backend_pid()")
        time.sleep(2)
        self.assertEqual(pid, client.value("SELECT pg_backend_pid()"))
        client.query("COMMIT")
        wait_until("the old server is closed", lambda: self.pg.value(
            f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == "0")
        self.assertNotEqual(pid, client.value("SELECT pg_backend_pid()"))

    def a_server_that_does_not_answer_is_given_up_after_server_connect_timeout(self):
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(5)
            port = deaf.getsockname()[1]
            pooler = self.pooler(settings={"server_connect_timeout": 1, "query_wait_timeout": 4, "client_login_timeout": 6},
                                 databases={"deaf": f"host=127.0.0.1 port={port} dbname=app", "app": "dbname=app"})
            began = time.monotonic()
            with self.assertRaises((wire.Refused, wire.Closed)):
                client = pooler.client(database="deaf")
                client.query("SELECT 1")
            self.assertLess(time.monotonic() - began, 14 * wire.PATIENCE)
            self.assertEqual("1", pooler.client().value("SELECT 1"), "another database is disturbed")

    def an_unreachable_server_is_an_error_and_recovers_by_itself(self):
        port = free_port()
        pooler = self.pooler(settings={"server_login_retry": 1, "query_wait_timeout": 3, "client_login_timeout": 8},
                             databases={"gone": f"host=127.0.0.1 port={port} dbname=app", "app": "dbname=app"})
        with self.assertRaises((wire.Refused, wire.Closed)) as caught:
            pooler.client(database="gone").query("SELECT 1")
        if live.kind == "pgweir" and isinstance(caught.exception, wire.Refused):
            self.assertRegex(str(caught.exception), r"(?i)connect|refused|query_wait_timeout")
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        # Something answers there now: a relay to PostgreSQL.
        relay = Relay(port, self.pg.port)
        self.addCleanup(relay.stop)

        def served():
            try:
                with Client(pooler.address, database="gone") as client:
                    return client.value("SELECT 1") == "1"
            except (wire.Refused, wire.Closed, wire.Late):
                return False
        wait_until("it recovers", served, timeout=30, every=0.2)

    def server_check_query_runs_before_a_server_that_rested_is_lent(self):
        with self.pg.admin("app") as admin:
            admin.query("DROP SEQUENCE IF EXISTS checks; CREATE SEQUENCE checks; GRANT ALL ON SEQUENCE checks TO PUBLIC")
        checks = lambda: int(self.pg.value("SELECT coalesce(pg_sequence_last_value('checks'), 0)", "app"))
        pooler = self.pooler(settings={"server_check_delay": 1, "server_check_query": "SELECT nextval('checks')",
                                       "default_pool_size": 1})
        client = pooler.client()
        for _ in range(5):
            client.value("SELECT 1")
        at_once = checks()
        time.sleep(2)
        self.assertEqual("1", client.value("SELECT 1"))
        self.assertGreater(checks(), at_once, "the server was not checked after its rest")

    @on("pgweir", why="since PgBouncer 1.25")
    def who_is_queued_gets_a_notice_after_query_wait_notify(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "query_wait_notify": 1})
        holder, waiter = pooler.client(), pooler.client()
        holder.begin()
        waiter.send(query("SELECT 1"))
        kind, _ = waiter.read()
        self.assertEqual(b"N", kind)
        self.assertIn("queued", waiter.notices[0]["M"])
        holder.query("COMMIT")
        self.assertEqual("1", waiter.reply().value)


class Relay:
    """Forwards one loopback port to another, for as long as a test wants."""

    def __init__(self, port, target):
        self.target = target
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(50)
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        self.accepted = 0
        self.said = bytearray()     # what was sent to the target; no more than the first megabyte
        self.running = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while self.running:
            try:
                one, _ = self.listener.accept()
                two = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                return
            two.settimeout(None)
            self.accepted += 1
            self.sockets += [one, two]
            for source, sink, kept in ((one, two, self.said), (two, one, None)):
                threading.Thread(target=self._copy, args=(source, sink, kept), daemon=True).start()

    def _copy(self, source, sink, kept):
        try:
            while data := source.recv(65536):
                if kept is not None and len(kept) < 1 << 20:
                    kept += data
                sink.sendall(data)
        except OSError:
            pass
        self.part(source, sink)

    @staticmethod
    def part(*ends):
        for each in ends:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Break every connection, and go on accepting."""
        self.part(*self.sockets)
        for each in self.sockets:
            each.close()
        self.sockets = []

    def stop(self):
        self.running = False
        try:
            self.listener.shutdown(socket.SHUT_RDWR)        # or the thread that accepts would take one more
        except OSError:
            pass
        self.listener.close()
        self.cut()


class Hosts(Story):
    kinds = BOTH

    def every_kind_of_host_leads_to_the_server(self):
        pg = self.pg
        pooler = self.pooler(databases={
            "v4": f"host=127.0.0.1 port={pg.port} dbname=app", "v6": f"host=::1 port={pg.port} dbname=app",
            "unix": f"host={pg.folder} port={pg.port} dbname=app", "name": f"host=localhost port={pg.port} dbname=app"})
        for database, family in (("v4", "127.0.0.1"), ("v6", "::1"), ("unix", None), ("name", "")):
            client = pooler.client(database=database)
            address = client.value("SELECT host(inet_client_addr())")
            if family == "":
                self.assertIn(address, ("127.0.0.1", "::1"))
            else:
                self.assertEqual(family, address)

    def a_name_that_is_nobodys_hurts_only_those_who_ask_for_it(self):
        pooler = self.pooler(settings={"query_wait_timeout": 4, "client_login_timeout": 6, "dns_nxdomain_ttl": 1},
                             databases={"lost": "host=no-such-host.invalid dbname=app", "app": "dbname=app"})
        bystander = pooler.client()

        def ask():
            with self.assertRaises((wire.Refused, wire.Closed)):
                Client(pooler.address, database="lost", timeout=20).query("SELECT 1", timeout=20)
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        began = time.monotonic()
        for number in range(50):
            self.assertEqual(str(number), bystander.value(f"SELECT {number}"))
        thread.join(25)
        self.assertFalse(thread.is_alive(), "the client of the lost host was never answered")

    def pgweir_listens_on_ipv6_and_on_every_address_named(self):
        pooler = self.pooler(settings={"listen_addr": "127.0.0.1,::1"})
        for host in ("127.0.0.1", "::1"):
            with Client((host, pooler.port)) as client:
                self.assertEqual("1", client.value("SELECT 1"))

    def one_database_may_be_called_by_another_name(self):
        pooler = self.pooler(databases={"alias": "dbname=app2", "*": ""})
        self.assertEqual("app2", pooler.client(database="alias").value("SELECT current_database()"))
        self.assertEqual("app", pooler.client(database="app").value("SELECT current_database()"))

    def connect_query_runs_on_each_new_server(self):
        pooler = self.pooler(databases={"app": "dbname=app connect_query='SET work_mem = ''11MB'''"})
        client = pooler.client()
        value = client.value("SHOW work_mem")
        if value != "11MB" and "connect_query" in pooler.log():
            self.skipTest("connect_query is known but not built, and the log says so")
        self.assertEqual("11MB", value)

    @on("pgweir")
    def who_waits_is_told_that_connect_query_fails(self):
        """Nobody could be served, and so it is as with a login that fails, not a matter of query_wait_timeout."""
        for name, pooled in (("left", {}), ("not counted", {"server_orphan_timeout": 0})):
            for query_, says, sqlstate in (
                    ("BEGIN", "connect_query left a transaction open", "25001"),
                    ("SELECT pg_terminate_backend(pg_backend_pid())", "connect_query ended its server: terminating connection", "57P01"),
                    ("SELECT pg_sleep(60)", "connect_query did not end in time", "08001")):
                with self.subTest(f"{query_}, {name}"):
                    pooler = self.pooler(databases={"app": f"dbname=app connect_query='{query_}'"},
                                         settings={"server_connect_timeout": 1, "query_wait_timeout": 20, **pooled})
                    started = time.monotonic()
                    self.refused(pooler.client, says=says, sqlstate=sqlstate)
                    self.assertLess(time.monotonic() - started, 8)
                    pooler.stop()
                    self.pg.clear()


class Reload(Story):
    kinds = BOTH

    def a_reload_changes_what_it_may_without_disturbing_anybody(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "query_wait_timeout": 30})
        client = pooler.client()
        client.begin()
        pooler.settings["default_pool_size"] = 3
        pooler.databases["later"] = "dbname=app2"
        pooler.write_files()
        pooler.reload()
        wait_until("the new database is known", lambda: any(row["name"] == "later" for row in pooler.show("DATABASES")))
        self.assertEqual("app2", pooler.client(database="later").value("SELECT current_database()"))
        self.assertEqual("1", pooler.client().value("SELECT 1"))        # needs the new pool size: one is held
        self.assertEqual("T", client.simple("SELECT 1").status)
        client.query("COMMIT")

    @on("pgweir")
    def a_login_after_a_reload_waits_for_no_server(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "workers": 1})
        busy = pooler.client()
        busy.begin()
        for command in ("RELOAD", "SET query_timeout = 77"):
            with pooler.console() as console:
                console.query(command)
            late = pooler.client()
            late.send(query("SELECT 'served'"))
        busy.query("COMMIT")
        self.assertEqual("served", late.reply().value)

    @on("pgweir")
    def an_entry_that_leads_elsewhere_after_a_reload_takes_its_clients_there(self):
        pooler = self.pooler(databases={"app": "dbname=app", "moving": "dbname=app"})
        stays, moves = pooler.client(), pooler.client(database="moving")
        server = stays.value("SELECT pg_backend_pid()")
        self.assertEqual("app", moves.value("SELECT current_database()"))
        pooler.databases["moving"] = "dbname=app2"
        pooler.write_files()
        self.assertEqual(["RELOAD"], pooler.console().query("RELOAD").tags)
        wait_until("its clients are there", lambda: moves.value("SELECT current_database()") == "app2")
        self.assertEqual(server, stays.value("SELECT pg_backend_pid()"), "a server was replaced for nothing")

    def reload_on_the_console_does_the_same(self):
        pooler = self.pooler()
        pooler.databases["later"] = "dbname=app2"
        pooler.write_files()
        self.assertEqual(["RELOAD"], pooler.console().query("RELOAD").tags)
        self.assertEqual("app2", pooler.client(database="later").value("SELECT current_database()"))

    @on("pgweir", why="PgBouncer's reload is not atomic")
    def a_bad_file_changes_nothing(self):
        pooler = self.pooler(settings={"max_client_conn": 321, "query_wait_timeout": 77})
        console = pooler.console()
        before = console.query("SHOW CONFIG").rows
        databases = [row["name"] for row in console.query("SHOW DATABASES").dicts()]
        good = pooler.ini_text()
        for bad in (good.replace("max_client_conn = 321", "max_client_conn = 500\nno_such_setting = 1"),
                    good.replace("max_client_conn = 321", "max_client_conn = many"),
                    good.replace("[pgbouncer]", "[pgbouncer"),
                    good.replace("[pgbouncer]", "stray = host=127.0.0.1 no_such_key=1\n[pgbouncer]"),
                    good.replace("query_wait_timeout = 77", "query_wait_timeout = 5\nthis line is nothing")):
            pooler.ini.write_text(bad.replace("[databases]", "[databases]\nsneaky = dbname=app2 host=127.0.0.1"))
            reply = console.simple("RELOAD")
            self.assertTrue(reply.errors, "a bad file was taken")
            self.assertEqual(before, console.query("SHOW CONFIG").rows)
            self.assertEqual(databases, [row["name"] for row in console.query("SHOW DATABASES").dicts()])
            length = len(pooler.log())
            pooler.reload()
            wait_until("the log tells", lambda: len(pooler.log()) > length)
            time.sleep(0.1)
            self.assertEqual(before, console.query("SHOW CONFIG").rows)
        pooler.ini.unlink()
        self.assertTrue(console.simple("RELOAD").errors, "a missing file was taken")
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        pooler.ini.write_text(good)
        self.assertEqual(["RELOAD"], console.query("RELOAD").tags)

    @on("pgweir")
    def a_broken_user_list_changes_nothing(self):
        pooler = self.pooler()
        console = pooler.console()
        (pooler.folder / "userlist.txt").unlink()
        self.assertTrue(console.simple("RELOAD").errors, "a missing user list was taken")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_new_user_list_is_taken(self):
        pooler = self.pooler(settings={"auth_type": "plain"}, userlist={"app": "old", "admin": "a", "stats": ""})
        pooler.client(password="old").value("SELECT 1")
        pooler.userlist["app"] = "newer"
        time.sleep(0.01)
        pooler.write_files()
        pooler.console(password="a").query("RELOAD")
        self.refused(pooler.client, password="old")
        pooler.client(password="newer").value("SELECT 1")

    @on("pgweir")
    def a_removed_database_ends_its_clients_and_refuses_newcomers(self):
        pooler = self.pooler()
        clients = [pooler.client(database="app2") for _ in range(3)]
        clients[0].value("SELECT 1")
        clients[1].begin()
        entry = pooler.databases.pop("app2")
        pooler.write_files()
        pooler.console().query("RELOAD")
        for each in clients:
            self.assertRegex(each.expect_closed()[0].message, "database removed|terminating connection due to administrator command")
        self.refused(pooler.client, database="app2")
        wait_until("its servers are gone", lambda: self.pg.backends(database="app2") == 0)
        pooler.databases["app2"] = entry
        pooler.write_files()
        pooler.console().query("RELOAD")
        self.assertEqual("1", pooler.client(database="app2").value("SELECT 1"))
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir")
    def a_database_is_removed_while_everything_stands_still(self):
        """As in a runbook: PAUSE, the file is edited, RELOAD, RESUME. Nothing that stands still is a reason to keep them."""
        for command in ("PAUSE", "SUSPEND"):
            with self.subTest(command):
                pooler = self.pooler()
                rests, stays = pooler.client(database="app2"), pooler.client()
                rests.value("SELECT 1")
                console = pooler.console()
                self.assertEqual([command], console.query(command).tags)
                pooler.databases.pop("app2")
                pooler.write_files()
                self.assertEqual(["RELOAD"], console.query("RELOAD").tags)
                self.assertEqual("57P01", rests.expect_closed()[0].sqlstate)
                self.assertEqual(["RESUME"], console.query("RESUME").tags)
                self.assertEqual("1", stays.value("SELECT 1"))
                wait_until("its servers are gone", lambda: self.pg.backends(database="app2") == 0)
                pooler.stop()

    def many_reloads_under_load_lose_nothing(self):
        pooler = self.pooler(settings={"default_pool_size": 3})
        ending = threading.Event()
        served = [0]

        def work():
            with Client(pooler.address) as client:
                while not ending.is_set():
                    number = served[0]
                    if client.value(f"SELECT {number}") != str(number):
                        raise AssertionError("a wrong answer")
                    served[0] += 1

        def reload():
            try:
                for number in range(15):
                    pooler.settings["default_pool_size"] = 2 + number % 3
                    pooler.write_files()
                    pooler.reload()
                    time.sleep(0.05)
                wait_until("it is served on", lambda: ending.is_set() or served[0] > 10)
            finally:
                ending.set()
        self.together(work, reload)
        self.assertGreater(served[0], 10)
