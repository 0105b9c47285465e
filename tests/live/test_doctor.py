"""`pgweir doctor`: the founding write-up's case row by row, a healthy set-up, live findings, watching, and bad input."""
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import wire
from harness import HERE, Pooler, Story, live, takes, wait_until
from test_pooling import Relay
from wire import Client, query

PGBOUNCER = "/usr/sbin/pgbouncer"
INI = HERE.parent.parent / "examples/incident/pgbouncer.ini"

# An application with the settings of the write-up, behind the pooler that it recommends.
SETTINGS = """
import os
INSTALLED_APPS = ["channels", "chat"]
ASGI_APPLICATION = "lfg.asgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("DATABASE_NAME", "lfg_prod"), "USER": "lfg", "HOST": "127.0.0.1", "PORT": "6432",
        "CONN_MAX_AGE": 300,
        "OPTIONS": {"connect_timeout": 10, "options": "-c statement_timeout=30000"},
        "CONN_HEALTH_CHECKS": False,
    }
}
"""
# Its consumers with the remedy, and the advice around it.
CONSUMERS = """
from channels.db import database_sync_to_async
from django.db import close_old_connections

class Chat:
    async def connect(self):
        await database_sync_to_async(close_old_connections)()

    @database_sync_to_async
    def save(self): ...

    async def export(self):
        await asyncio.to_thread(self.save)
"""
ADVICE = """
When it is full:

    psql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' AND datname = 'lfg_prod';"

In postgresql.conf:

    max_connections = 200
"""
STRESS = """
async def one(url):
    async with websockets.connect(url) as ws:
        await ws.send("{}")
        await asyncio.sleep(30)

async def all():
    await asyncio.gather(*[one("ws://localhost:8000/ws/") for _ in range(50)])
"""
GOOD_SETTINGS = """
ASGI_APPLICATION = "shop.asgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": "app", "USER": "app", "HOST": "127.0.0.1", "PORT": %d,
        "CONN_MAX_AGE": 0, "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {"connect_timeout": 3, "application_name": "shop"},
    }
}
"""


def doctor(*arguments, environment=None, timeout=60):
    """Run it; the finished process."""
    return subprocess.run([str(live.bin), "doctor", *map(str, arguments)], capture_output=True, timeout=timeout * wire.PATIENCE,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **(environment or {})})


def report(*arguments, **options):
    done = doctor("--json", "--sample", "0.3", *arguments, **options)
    if done.returncode not in (0, 1, 2) or not done.stdout:
        raise AssertionError(f"it ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    document = json.loads(done.stdout)
    if document["exit_status"] != done.returncode:
        raise AssertionError(f"it says {document['exit_status']} and ends with {done.returncode}")
    return document


def found(document, number):
    return [each for each in document["findings"] if each["number"] == number]


class DoctorStory(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.folder = self.own_folder()
        self.url = f"postgresql://postgres@127.0.0.1:{self.pg.port}/postgres"

    def _file(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def _app(self, pg=None, **parameters):
        client = Client((pg or self.pg).address, user="app", database="app", parameters=parameters)
        self.addCleanup(client.close)
        return client

    def _one(self, document, number, level=None):
        """The finding of this number, which must be there."""
        findings = found(document, number)
        self.assertTrue(findings, f"no {number} among {[each['number'] for each in document['findings']]}")
        if level:
            self.assertEqual(level, findings[0]["level"], findings[0])
        return findings[0]


class Incident:
    """The report about the write-up's own case: its settings, its ini, its advice, and a PostgreSQL in that state. Made once in each
    process of the harness, since the leak needs its time."""
    document = None

    @classmethod
    def get(cls, story):
        if cls.document is None:
            cls.document = cls._make(story)
        return cls.document

    @staticmethod
    def _make(story):
        files = [story._file("lfg/settings.py", SETTINGS), story._file("chat/consumers.py", CONSUMERS),
                 story._file("advice.md", ADVICE), story._file("stress.py", STRESS)]
        leaked = []
        with contextlib.ExitStack() as closing:
            def request():
                client = Client(story.pg.address, user="app", database="app")
                closing.callback(client.close)
                client.value("SELECT 1 FROM pg_class WHERE relname = 'secret'")
                leaked.append(client)
            # Four requests, whose threads end; then one more every two seconds, beside them.
            for _ in range(4):
                request()
            time.sleep(5.5)
            for _ in range(5):
                request()
                time.sleep(2.1)
            return report(story.url, INI, *files)


class The_write_up(DoctorStory):
    """Every row of the table at the head of the facts about the incident has its finding, with the edit that cures it."""

    @takes(120)
    def row_1_forty_sync_to_async_are_not_the_leak(self):
        self.assertIn("Unlikely", self._one(Incident.get(self), "D37", "note")["why"])

    @takes(120)
    def row_2_a_conn_max_age_above_0_under_asgi_is_the_leak_and_300_is_no_cure(self):
        finding = self._one(Incident.get(self), "D04", "danger")
        self.assertIn("CONN_MAX_AGE is 300", finding["evidence"])
        self.assertIn("ASGI_APPLICATION is set (line 4)", finding["evidence"])
        self.assertIn("settings.py:9", finding["subject"])
        self.assertIn("'CONN_MAX_AGE': 0", finding["edit"])

    @takes(120)
    def row_2_the_sessions_that_it_left_are_found_at_postgresql(self):
        finding = self._one(Incident.get(self), "D03")
        self.assertIn("9 of its 9 sessions were used for one moment", finding["evidence"])
        self.assertIn("app@app from 127.0.0.1", finding["subject"])
        self.assertIn("SELECT ? FROM pg_class WHERE relname = ?", finding["evidence"])
        self.assertNotIn("secret", finding["evidence"])

    @takes(120)
    def row_3_close_old_connections_does_not_cure_it(self):
        finding = self._one(Incident.get(self), "D35", "warning")
        self.assertIn("consumers.py:7", finding["evidence"])
        self.assertIn("Set CONN_MAX_AGE to 0 instead", finding["edit"])

    @takes(120)
    def row_3_threads_of_the_default_executor_are_named(self):
        self.assertIn("asyncio.to_thread", self._one(Incident.get(self), "D25", "warning")["evidence"])

    @takes(120)
    def row_4_health_checks_are_irrelevant(self):
        self.assertIn("False", self._one(Incident.get(self), "D38", "note")["evidence"])

    @takes(120)
    def row_5_max_client_conn_of_100_moves_the_outage(self):
        finding = self._one(Incident.get(self), "D09", "danger")
        self.assertIn("client 101 is refused", finding["evidence"])
        self.assertIn("max_client_conn = 10000", finding["edit"])

    @takes(120)
    def row_6_options_and_pgbouncer_exclude_each_other(self):
        finding = self._one(Incident.get(self), "D05", "danger")
        self.assertIn("statement_timeout=30000", finding["evidence"])
        self.assertIn("ALTER ROLE lfg SET statement_timeout = '30000';", finding["edit"])
        self.assertEqual([], found(Incident.get(self), "D06"))

    def row_6_the_usual_cure_drops_the_limit_in_silence(self):
        ini = self._file("pgbouncer.ini", INI.read_text() + "ignore_startup_parameters = extra_float_digits, options\n")
        document = report(ini, self._file("settings.py", SETTINGS))
        self.assertIn("throws it away", self._one(document, "D06", "danger")["evidence"])
        self.assertEqual([], found(document, "D05"))

    @takes(120)
    def row_7_md5_does_not_go_with_scram(self):
        self.assertIn("auth_type = scram-sha-256", self._one(Incident.get(self), "D12")["edit"])

    def row_7_md5_hashes_in_the_user_list_are_a_danger(self):
        users = self._file("userlist.txt", '"app" "md5%s"\n' % ("0" * 32))
        ini = self._file("pgbouncer.ini", INI.read_text().replace("/etc/pgbouncer/userlist.txt", str(users)))
        finding = self._one(report(ini, self.url), "D12", "danger")
        self.assertIn("1 of the secrets", finding["evidence"])
        self.assertIn("SCRAM", finding["evidence"])

    @takes(120)
    def row_8_server_side_cursors_break_on_transaction_pooling(self):
        self.assertIn("'DISABLE_SERVER_SIDE_CURSORS': True", self._one(Incident.get(self), "D13", "danger")["edit"])

    @takes(120)
    def row_9_kill_all_idle_has_no_guard(self):
        finding = self._one(Incident.get(self), "D14", "danger")
        self.assertIn("advice.md:4", finding["subject"])
        self.assertIn("pgweir reap", finding["edit"])

    @takes(120)
    def row_10_more_max_connections_buy_hours(self):
        self.assertIn("max_connections = 200", self._one(Incident.get(self), "D30", "warning")["evidence"])

    @takes(120)
    def row_11_the_stress_test_never_looks_at_the_database(self):
        self.assertIn("stress.py:3", self._one(Incident.get(self), "D36", "warning")["subject"])

    @takes(120)
    def the_worst_comes_first_and_the_exit_status_says_danger(self):
        document = Incident.get(self)
        order = {"danger": 0, "warning": 1, "note": 2}
        levels = [order[each["level"]] for each in document["findings"]]
        self.assertEqual(sorted(levels), levels)
        self.assertEqual(1, document["exit_status"])
        self.assertTrue(all(each["read"] for each in document["inputs"]), document["inputs"])

    def with_pgweir_in_pgbouncers_place_its_two_outages_are_gone(self):
        ini = self._file("pgweir.ini", INI.read_text())
        document = report(ini, self._file("settings.py", SETTINGS))
        for number in ("D05", "D06", "D09"):
            self.assertEqual([], found(document, number))
        self._one(document, "D04", "danger")        # the leak itself is still the application's


class A_healthy_set_up(DoctorStory):

    def has_no_danger_and_exit_status_0(self):
        guards = {"idle_in_transaction_session_timeout": "60s", "statement_timeout": "30s", "tcp_keepalives_idle": 30,
                  "client_connection_check_interval": "10s"}
        pg = self.postgres(max_connections=100, **guards)
        pooler = self.pooler(pg=pg, settings={"max_client_conn": 2000, "default_pool_size": 9, "query_wait_timeout": 8,
                                              "idle_transaction_timeout": 60, "stats_period": 1})
        clients = [pooler.client() for _ in range(20)]
        for client in clients:
            client.value("SELECT 1")
        settings = self._file("settings.py", GOOD_SETTINGS % pooler.port)
        document = report(f"postgresql://postgres@127.0.0.1:{pg.port}/postgres", pooler.ini, settings,
                          f"postgresql://admin@127.0.0.1:{pooler.port}/pgweir", "--cores", "4")
        self.assertEqual([], [each for each in document["findings"] if each["level"] != "note"])
        self.assertEqual((0, 0), (document["exit_status"], document["danger"]))
        self.assertEqual([True] * 4, [each["read"] for each in document["inputs"]])
        # And the figures are there.
        need = [each["evidence"] for each in found(document, "D23")]
        self.assertTrue(any("You use" in each and "You need" in each and "You would need" in each for each in need), need)
        self.assertIn("usable slots", self._one(document, "D11", "note")["evidence"])

    def a_full_pool_at_rest_is_no_leak(self):
        clients = [self._app(application_name="rest") for _ in range(25)]
        for client in clients:
            client.value("SELECT 1")
        time.sleep(6)
        self.assertEqual([], found(report(self.url), "D03"))

    def without_danger_warnings_count_only_when_asked(self):
        ini = self._file("pgbouncer.ini", "[databases]\na = host=h\n[pgbouncer]\nmax_client_conn = 2000\npool_mode = session\n"
                         "auth_type = scram-sha-256\n")
        self.assertEqual(0, doctor(ini).returncode)
        self.assertEqual(1, doctor("--strict", ini).returncode)


class What_is_alive(DoctorStory):

    def a_transaction_left_open_is_named_with_its_statement_and_without_its_values(self):
        holder = self._app(application_name="billing")
        holder.begin()
        holder.query("CREATE TABLE doctor_held (a text)")
        holder.query("INSERT INTO doctor_held VALUES ('hunter2')")
        time.sleep(10.5)
        document = report(self.url)
        finding = self._one(document, "D07")
        self.assertIn("billing of app@app", finding["subject"])
        self.assertIn("1 with changes that are not committed", finding["evidence"])
        self.assertIn("INSERT INTO doctor_held VALUES (?)", finding["evidence"])
        self.assertNotIn("hunter2", json.dumps(document))

    def a_server_that_is_nearly_full_says_what_fills_it(self):
        pg = self.postgres(max_connections=20)
        clients = [self._app(pg) for _ in range(16)]
        self.assertEqual(16, len(clients))
        finding = self._one(report(f"postgresql://postgres@127.0.0.1:{pg.port}/postgres"), "D08", "danger")
        self.assertIn("16 of 17 slots are taken (max_connections 20, 3 reserved): 16 idle", finding["evidence"])

    def a_server_that_refuses_us_because_it_is_full_is_a_finding(self):
        pg = self.postgres(max_connections=10)
        clients = [self._app(pg) for _ in range(7)]
        self.assertEqual(7, len(clients))
        document = report(f"postgresql://app@127.0.0.1:{pg.port}/app")
        self._one(document, "D01", "danger")
        self.assertEqual(1, document["exit_status"])
        self.assertEqual(1, len(document["inputs"]))
        # A superuser still gets in, and sees who it is.
        self._one(report(f"postgresql://postgres@127.0.0.1:{pg.port}/postgres"), "D08", "danger")

    def listeners_lock_holders_and_silent_sessions_are_told_apart(self):
        for number in range(5):
            self._app(application_name="tab").query(f"LISTEN channel_{number}")
        locker = self._app(application_name="cron")
        locker.value("SELECT pg_advisory_lock(4711)")
        time.sleep(10.5)
        document = report(self.url)
        self.assertIn("tab of", self._one(document, "D19")["subject"])
        self.assertIn("cron of", self._one(document, "D17", "warning")["subject"])
        self.assertEqual([], found(document, "D07"))

    def somebody_who_waits_for_the_lock_makes_it_a_danger(self):
        self._app(application_name="cron").value("SELECT pg_advisory_lock(4711)")
        waiter = self._app()
        waiter.send(query("SELECT pg_advisory_lock(4711)"))
        time.sleep(10.5)
        self.assertIn("others wait", self._one(report(self.url), "D17", "danger")["evidence"])

    def missing_guards_are_named_with_the_line_to_run(self):
        document = report(self.url)
        self.assertIn("ALTER SYSTEM SET idle_in_transaction_session_timeout", self._one(document, "D26", "warning")["edit"])
        self._one(document, "D34", "note")
        self._one(document, "D33", "note")
        self.assertEqual(0, document["exit_status"])

    def an_applications_connections_are_counted_by_process(self):
        kept = [self._app(application_name="shop") for _ in range(3)]
        # From ports that are used again below, as the kernel does by itself where a connection leads elsewhere.
        code = ("import socket, sys; sys.path[:0] = sys.argv[2:]\n"
                "from wire import startup\n"
                "kept = [socket.socket() for _ in range(2)]\n"
                "for one in kept:\n"
                "    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                "    one.bind(('127.0.0.1', 0))\n"
                "    one.connect(('127.0.0.1', int(sys.argv[1])))\n"
                "    one.sendall(startup({'user': 'app', 'database': 'app', 'application_name': 'shop'}))\n"
                "    heard = b''\n"
                "    while not heard.endswith(b'Z\\0\\0\\0\\5I'):\n"
                "        heard += one.recv(4096)\n"
                "print(*[one.getsockname()[1] for one in kept], flush=True); sys.stdin.read()")
        elsewhere = []
        with subprocess.Popen([sys.executable, "-c", code, str(self.pg.port), str(HERE)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as other:
            try:
                for port in map(int, other.stdout.readline().split()):
                    for _ in range(8):
                        elsewhere += [socket.create_server(("127.0.0.1", 0)), socket.socket()]
                        elsewhere[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        elsewhere[-1].bind(("127.0.0.1", port))
                        elsewhere[-1].connect(elsewhere[-2].getsockname())
                finding = self._one(report(self.url), "D42", "note")
            finally:
                other.stdin.close()
                for one in elsewhere:
                    one.close()
        self.assertEqual((3, 32), (len(kept), len(elsewhere)))
        self.assertEqual("shop of app@app", finding["subject"])
        self.assertIn("It has 5 connections, 0 of them at work: 5 from 127.0.0.1 (2 processes here, 3 of one at most).", finding["evidence"])
        self.assertIn("max_client_conn  of 12 at least", finding["edit"])

    def nothing_of_this_machine_is_said_of_a_server_behind_a_tunnel(self):
        kept = [self._app(application_name="shop") for _ in range(5)]
        tunnel = Relay(0, self.pg.port)
        self.addCleanup(tunnel.stop)
        document = report(f"postgresql://postgres@127.0.0.1:{tunnel.port}/postgres")
        self.assertEqual(5, len(kept))
        self.assertIn("It has 5 connections, 0 of them at work: 5 from 127.0.0.1.", self._one(document, "D42", "note")["evidence"])

    def a_guard_of_a_role_counts(self):
        with self.pg.admin() as admin:
            admin.query("ALTER ROLE app SET idle_in_transaction_session_timeout = '60s'")
            try:
                self.assertEqual([], found(report(self.url), "D26"))
            finally:
                admin.query("ALTER ROLE app RESET idle_in_transaction_session_timeout")

    def a_console_tells_of_waiting_clients_and_of_its_limit(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "max_client_conn": 12, "client_limit_counts": "all"})
        holder, waiter = pooler.client(), pooler.client()
        holder.begin()
        waiter.send(query("SELECT 1"))
        wait_until("a client waits", lambda: (pooler.pool() or {}).get("cl_waiting") == 1)
        time.sleep(1.2)
        document = report(f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer")
        self.assertIn("1 client waits", self._one(document, "D15", "danger")["evidence"])
        self.assertEqual([], found(document, "D10"))
        holder.query("COMMIT")
        waiter.reply()
        others = [pooler.client() for _ in range(8)]
        self.assertEqual(8, len(others))
        self.assertIn("of max_client_conn = 12", self._one(report(f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer"), "D10")["evidence"])

    @takes(60)
    def what_pgweir_names_is_a_finding_with_its_cure(self):
        pooler = self.pooler(settings={"leak_interval": 0.5, "leak_hold": 1})
        console = f"postgresql://admin@127.0.0.1:{pooler.port}/pgweir"
        self.assertEqual([], found(report(console), "D41"))
        holders = [pooler.client(parameters={"application_name": "tabs\x1b[31m"}) for _ in range(3)]
        for holder in holders:
            holder.query("BEGIN; SELECT 1")
        wait_until("it is named", lambda: pooler.show("LEAKS"), timeout=30)
        row, document = self._told_alike(pooler, console)
        finding = self._one(document, "D41", "danger" if row["severity"] != "low" else "warning")
        self.assertIn("of app@app from 127.0.0.1", finding["subject"])
        self.assertNotIn("\x1b", json.dumps(document, ensure_ascii=False))
        self.assertIn("L9", finding["evidence"])
        self.assertIn(row["cure"], finding["edit"])
        self.assertIn(f"REAP DRY RUN ORIGIN {row['origin']};", finding["edit"])
        for holder in holders:
            holder.query("ROLLBACK")
        wait_until("it has ended", lambda: pooler.show("LEAKS")[0]["ended"], timeout=30)
        self.assertIn("it has ended since", self._one(report(console), "D41", "note")["evidence"])

    def _told_alike(self, pooler, console):
        """The only leak, and a report made while it was as severe as that."""
        def told():
            before, = pooler.show("LEAKS")
            document = report(console)
            after, = pooler.show("LEAKS")
            return before["severity"] == after["severity"] and (after, document)
        return wait_until("it stays as severe for as long as a report takes", told, timeout=30)

    def a_console_and_its_postgresql_show_no_orphans_while_all_is_well(self):
        pooler = self.pooler()
        clients = [pooler.client() for _ in range(2)]
        for client in clients:
            client.send(query("SELECT pg_sleep(7)"))
        time.sleep(5.5)
        document = report(self.url, f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer")
        self.assertEqual([], found(document, "D16"))
        for client in clients:
            client.reply()

    def a_statement_in_a_session_that_the_pooler_does_not_know_is_an_orphan(self):
        pooler = self.pooler()
        pooler.client().value("SELECT 1")
        stranger = self._app()
        stranger.send(query("SELECT pg_sleep(300)"))
        time.sleep(5.5)
        document = report(self.url, f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer")
        self.assertIn("SELECT pg_sleep(?)", self._one(document, "D16", "danger")["evidence"])


class DebianPgBouncer(Pooler):
    """The real one, in front of the same PostgreSQL."""

    def command(self):
        return [PGBOUNCER, str(self.ini)]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()            # 1.18 knows no other way to end at once
            self.process.wait(10)
            self.expect_crash = True
        super().stop()


class Beside_a_real_pgbouncer(DoctorStory):

    def _pgbouncer(self, **settings):
        if not os.access(PGBOUNCER, os.X_OK):
            self.skipTest("there is no PgBouncer here")
        pooler = DebianPgBouncer(settings=settings)
        self.keep(pooler)
        pooler.start()
        return pooler, f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer"

    def its_console_is_read(self):
        pooler, console = self._pgbouncer()
        pooler.client().value("SELECT 1")
        document = report(console, self.url, pooler.ini)
        self.assertEqual([True, True, True], [each["read"] for each in document["inputs"]])
        self.assertIn("PgBouncer 1.", document["inputs"][0]["said"])
        self.assertEqual(0, document["danger"])

    def at_max_client_conn_it_refuses_the_doctor_and_that_is_the_finding(self):
        pooler, console = self._pgbouncer(max_client_conn=2)
        clients = [pooler.client(), pooler.client()]
        self.assertEqual(2, len(clients))
        document = report(f"postgresql://app@127.0.0.1:{pooler.port}/app")
        self.assertIn("max_client_conn", self._one(document, "D02", "danger")["evidence"])
        # Its console still answers, and has the figures.
        self.assertIn("of max_client_conn = 2", self._one(report(console), "D10", "danger")["evidence"])

    def a_url_through_it_is_read_and_leaves_nothing_behind_in_the_session(self):
        pooler, _ = self._pgbouncer(default_pool_size=1)
        client = pooler.client()
        before = client.query("SELECT current_setting('search_path'), current_setting('statement_timeout'), pg_backend_pid()").rows
        document = report(f"postgresql://app@127.0.0.1:{pooler.port}/app")
        self.assertTrue(document["inputs"][0]["read"], document["inputs"])
        self.assertIn("max_connections 120", document["inputs"][0]["said"])
        self.assertIn("a pooler stands between", document["inputs"][0]["said"])
        self.assertNotIn("a pooler stands between", report(self.url)["inputs"][0]["said"])
        after = client.query("SELECT current_setting('search_path'), current_setting('statement_timeout'), pg_backend_pid()").rows
        self.assertEqual(before, after)

    def what_its_clients_abandon_is_found(self):
        pooler, console = self._pgbouncer()
        kept, leaving = pooler.client(), pooler.client()
        kept.begin()
        leaving.send(query("SELECT pg_sleep(300)"))
        wait_until("it runs", lambda: self.pg.backends("app", extra="AND query LIKE '%pg_sleep(300)%' AND state = 'active'") == 1)
        leaving.close()
        time.sleep(5.5)
        self.assertIn("SELECT pg_sleep(?)", self._one(report(console, self.url), "D16", "danger")["evidence"])


class Watching(DoctorStory):

    def _requests(self, every, keep):
        """A program that opens a session for each request, and forgets it or closes it."""
        ending, sessions = threading.Event(), []

        def work():
            while not ending.wait(every):
                client = Client(self.pg.address, user="app", database="app", parameters={"application_name": "daphne"})
                client.value("SELECT 1")
                if keep:
                    sessions.append(client)
                else:
                    client.close()
        thread = threading.Thread(target=work, daemon=True)
        thread.start()

        def end():
            ending.set()
            thread.join(10)
            for client in sessions:
                client.close()
        self.addCleanup(end)

    @takes(120)
    def a_leak_is_named_while_it_happens(self):
        self._requests(0.2, keep=True)
        document = report("--watch", 14, "--pace", 10, self.url)
        finding = self._one(document, "D40", "danger")
        self.assertIn("L1", finding["evidence"])
        self.assertIn("daphne of app@app", finding["subject"])
        self.assertIn("CONN_MAX_AGE", finding["edit"])

    @takes(120)
    def sessions_that_are_closed_again_are_no_leak(self):
        self._requests(0.2, keep=False)
        document = report("--watch", 14, "--pace", 10, self.url)
        self.assertEqual([], found(document, "D40"))

    def it_wants_exactly_one_server(self):
        done = doctor("--watch", 1, self._file("settings.py", GOOD_SETTINGS % 1))
        self.assertEqual(2, done.returncode)
        self.assertIn(b"exactly one PostgreSQL", done.stderr)


class Other_sources(DoctorStory):

    def a_database_url_is_read_from_the_environment_and_never_shown_with_its_password(self):
        url = "postgres://lfg:hush@127.0.0.1:6432/lfg_prod?conn_max_age=600&options=-c%20statement_timeout%3D30000"
        document = report("DATABASE_URL", INI, environment={"DATABASE_URL": url})
        self.assertIn("CONN_MAX_AGE is 600", self._one(document, "D04", "warning")["evidence"])
        self._one(document, "D05", "danger")
        self.assertIn("conn_max_age=0", found(document, "D04")[0]["edit"])
        self.assertNotIn("hush", json.dumps(document))

    def an_environment_file_and_a_name_with_a_url_are_settings_too(self):
        line = "DATABASE_URL=postgres://u:hush@h:6432/d?conn_max_age=600"
        for argument in (self._file(".env", f"# mine\n{line}\n"), line):
            document = report(argument)
            self._one(document, "D04", "warning")
            self.assertNotIn("hush", json.dumps(document))

    def a_file_is_pgweir_s_when_it_says_so_or_sets_what_only_pgweir_has(self):
        begin = "[databases]\napp = host=127.0.0.1\n[pgbouncer]\nmax_client_conn = 1500\n"
        for more, whose in (("", "PgBouncer's"), ("; transparency = full\n", "PgBouncer's"), ("  transparency=full\n", "pgweir's"),
                            ("http_listen = 127.0.0.1:6433", "pgweir's"), (";; written by pgweir init.\n", "pgweir's")):
            document = report(self._file("pool.ini", begin + more))
            self.assertIn(f"read as {whose}", document["inputs"][0]["said"])
            self.assertEqual(whose == "PgBouncer's", bool(found(document, "D29")), "the limit of open files of another unit")

    def a_folder_is_searched_and_what_is_not_ours_is_left_alone(self):
        self._file("site/lfg/settings.py", SETTINGS)
        self._file("site/chat/consumers.py", CONSUMERS)
        self._file("site/node_modules/x/advice.md", ADVICE)
        document = report(self.folder / "site")
        for number in ("D04", "D35", "D25", "D37"):
            self._one(document, number)
        self.assertEqual([], found(document, "D14"))

    def settings_are_never_run(self):
        trap = self.folder / "trap"
        report(self._file("settings.py", SETTINGS + f"\nopen({str(trap)!r}, 'w')\n"))
        self.assertFalse(trap.exists())


    def under_wsgi_persistent_connections_are_fine(self):
        settings = self._file("settings.py", SETTINGS.replace('"channels", ', "").replace("ASGI_APP", "WSGI_APP"))
        self._one(report(settings), "D04", "warning")
        self.assertEqual([], found(report("--wsgi", settings), "D04"))
        self._one(report("--wsgi", self._file("other.py", SETTINGS)), "D04", "danger")


class Bad_input(DoctorStory):

    def without_arguments_or_with_wrong_ones_it_says_so_and_ends_with_2(self):
        for arguments in ((), ("--watch", "soon", self.url), ("--nonsense",), ("--watch", "-1", self.url)):
            done = doctor(*arguments)
            self.assertEqual(2, done.returncode, arguments)
            self.assertIn(b"pgweir doctor", done.stderr)

    def help_fits_a_screen_and_ends_with_an_example(self):
        for arguments in (("doctor", "--help"), ("help", "doctor")):
            done = subprocess.run([str(live.bin), *arguments], capture_output=True, timeout=60)
            lines = done.stdout.decode().splitlines()
            self.assertEqual(0, done.returncode)
            self.assertLess(len(lines), 40)
            self.assertTrue(lines[-1].startswith("Example:"))

    def what_a_tool_could_not_write_is_said_and_ends_with_1(self):
        log = self._file("app.log", "FATAL:  sorry, too many clients already\n")
        server = f"postgresql://postgres@127.0.0.1:{self.pg.port}/app"
        before = (self.pg.log_path.read_text(errors="replace").count("invalid frontend message"))
        for arguments in (("doctor", server, "--json"), ("top", server, "--once"), ("reap", server), ("init", server), ("logs", log),
                          ("check", self._file("shop.ini", "[databases]\n"), "--offline"), ("--version",), ("help", "serve")):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([str(live.bin), *map(str, arguments)], stdout=full, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(1, done.returncode, arguments)
            self.assertIn(b"its output could not be written", done.stderr, arguments)
            # Who closed standard output does not have it written into the connection that got its number.
            subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", str(live.bin), *map(str, arguments)], capture_output=True, timeout=60)
        self.assertEqual(before, self.pg.log_path.read_text(errors="replace").count("invalid frontend message"))

    def what_cannot_be_read_is_said_once_and_ends_with_2(self):
        with live_port() as port:
            for argument, words in ((self.folder / "missing", "no such file"), (f"postgresql://app@127.0.0.1:{port}/app", "refused"),
                                    (self._file("pgbouncer.ini", "[pgbouncer]\nmax_client_conn = many\n"), "max_client_conn"),
                                    ("mysql://u:hush@h/d", "postgresql:// URLs only"), ("DATABASE_URL", "not set"),
                                    (f"postgresql://nobody_at_all@127.0.0.1:{self.pg.port}/app", "")):
                document = report(argument)
                self.assertEqual(2, document["exit_status"], argument)
                self.assertEqual([False], [each["read"] for each in document["inputs"]])
                self.assertIn(words, document["inputs"][0]["said"])
                self.assertNotIn("hush", json.dumps(document))

    def a_pooler_with_no_server_to_lend_is_not_taken_for_a_server_without_settings(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "query_wait_timeout": 1})
        holder = pooler.client()
        holder.begin()
        url = f"postgresql://app@127.0.0.1:{pooler.port}/app"
        document = report(url)
        self.assertEqual((2, []), (document["exit_status"], document["findings"]))
        self.assertFalse(document["inputs"][0]["read"])
        for words in ("let us in, and then did not tell its settings", "query_wait_timeout: ", "pool app/app is lent", "its console tells who has them"):
            self.assertIn(words, document["inputs"][0]["said"])
        # The other tools say who has it, too.
        for tool in (("top", "--once", url), ("init", url), ("reap", url)):
            done = subprocess.run([str(live.bin), *tool], capture_output=True, timeout=60)
            self.assertEqual(1, done.returncode)
            self.assertIn(b"pool app/app is lent", done.stderr)
        holder.query("COMMIT")

    def danger_in_the_rest_wins_over_what_could_not_be_read(self):
        self.assertEqual(1, report(self.folder / "missing", self._file("advice.md", ADVICE))["exit_status"])

    def a_user_without_rights_sees_counts_and_is_told_what_to_grant(self):
        with self.pg.admin() as admin:
            admin.query("DROP ROLE IF EXISTS doctor_poor")
            admin.query("CREATE ROLE doctor_poor LOGIN")
        hba = self.pg.data / "pg_hba.conf"
        kept = hba.read_text()
        try:
            hba.write_text(kept + "host all doctor_poor samehost trust\n")
            with self.pg.admin() as admin:
                admin.query("SELECT pg_reload_conf()")
            self._app()
            document = wait_until("the new rule holds", lambda: self._readable("doctor_poor"))
            said = document["inputs"][0]["said"]
            self.assertIn("GRANT pg_read_all_stats", said)
            self.assertEqual(1, json.dumps(document).count("pg_read_all_stats"))
        finally:
            hba.write_text(kept)
            with self.pg.admin() as admin:
                admin.query("SELECT pg_reload_conf()")
                admin.query("DROP ROLE doctor_poor")

    def _readable(self, user):
        document = report(f"postgresql://{user}@127.0.0.1:{self.pg.port}/app")
        return document if document["inputs"][0]["read"] else None

    def hostile_names_and_statements_are_shown_and_not_obeyed(self):
        name = "\x1b[2J\u202eevil<script>"
        holder = self._app()
        holder.begin()
        holder.query("SET application_name = U&'\\001B[2Jx'")
        holder.query("SELECT 1 AS \"\x1b]0;owned\x07\u202e\"")
        self._file("a/settings.py", SETTINGS.replace('"lfg"', repr("a'; DROP ROLE \x1b[2J\"")))
        time.sleep(10.5)
        done = doctor(self.url, self.folder, self._file("x.md", ADVICE.replace("When", name)))
        text = done.stdout.decode()
        self.assertIn("idle-in-transaction", text)
        for letter in ("\x1b", "\x07", "\u202e", "\r"):
            self.assertNotIn(letter, text)
        self.assertIn('"a\'; DROP ROLE', text)
        document = report(self.url, self.folder)
        self.assertIn("\x1b]0;owned", self._one(document, "D07")["evidence"])

    def garbage_and_huge_files_do_no_harm(self):
        garbage = self.folder / "settings.py"
        garbage.write_bytes(bytes(range(256)) * 4000 + b"DATABASES = {" * 5000)
        self.assertIn(report(garbage)["exit_status"], (0, 2))
        huge = self.folder / "huge.md"
        huge.write_bytes(b"pg_terminate_backend " * 500000)
        self.assertEqual(2, report(huge)["exit_status"])


class Manual(DoctorStory):

    def every_finding_is_in_the_manual(self):
        manual = (HERE.parent.parent / "doc/doctor.md").read_text()
        source = (HERE.parent.parent / "src/tool/doctor_rules.c").read_text()
        rules = re.findall(r'^\t\{ "(D\d\d)", "([a-z0-9-]+)"', source, re.M)
        self.assertGreater(len(rules), 30)
        for number, name in rules:
            self.assertIn(f"| {number} | `{name}` |", manual)


@contextlib.contextmanager
def live_port():
    """A port on which nobody listens, kept from others meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
