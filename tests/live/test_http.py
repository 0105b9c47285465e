"""The HTTP server: who may see what, JSON that agrees with the console, and readers that are rude, slow or many."""
import base64
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import time
import urllib.parse

from prometheus_client.openmetrics.parser import text_string_to_metric_families

import wire
from harness import Pooler, Story, free_port, give_away, takes, wait_until
from wire import query

ADMIN = ("admin", "let me, in & more")
STATS = ("stats", "only looking")
USERS = {"app": "", "other": "", ADMIN[0]: ADMIN[1], STATS[0]: STATS[1], "nobody": "no body"}


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class _Halted:
    """One thread of a process stands still while the block runs, if the kernel lets us (ptrace); `held` says so."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        self.held = False
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                self.thread = int(task.name)
        self.ptrace = ctypes.CDLL(None).ptrace
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.ptrace.restype = ctypes.c_long

    def __enter__(self):
        if self.ptrace(self.SEIZE, self.thread, None, None) == 0:
            self.held = self.ptrace(self.INTERRUPT, self.thread, None, None) == 0
            os.waitpid(self.thread, self.WALL)
        return self

    def __exit__(self, *_):
        if self.held:
            self.ptrace(self.DETACH, self.thread, None, None)


class Http(Story):
    kinds = ("pgweir",)

    def _pooler(self, **settings):
        self.port = settings.pop("port", None) or free_port()
        pooler = Pooler(settings={"http_listen": f"127.0.0.1:{self.port}", "auth_type": "any", **settings}, userlist=USERS)
        self.keep(pooler)
        pooler.start()
        return pooler

    def _ask(self, path, method="GET", body=None, port=None, connection=None, **headers):
        own = connection or http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20 * wire.PATIENCE)
        own.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = Answer(own.getresponse())
        if not connection:
            own.close()
        return answer

    def _login(self, user, password, **headers):
        return self._ask("/login", "POST", urllib.parse.urlencode({"user": user, "password": password}),
                         **{"Content_Type": "application/x-www-form-urlencoded", **headers})

    def _cookie(self, who=ADMIN):
        """A visit: its cookie and its token."""
        answer = self._login(*who)
        self.assertEqual(200, answer.status, answer.text)
        return answer.headers["set-cookie"].split(";")[0], answer.json["csrf"]

    def _raw(self, data, wait=5):
        """What is answered to these bytes until the end or for a while."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait * wire.PATIENCE) as peer:
            peer.sendall(data)
            got = b""
            with contextlib.suppress(OSError):
                while piece := peer.recv(65536):
                    got += piece
            return got

    # Health and readiness

    def it_is_alive_and_ready_until_it_is_paused_or_drains(self):
        pooler = self._pooler()
        client = pooler.client()
        client.query("SELECT 1")
        self.assertEqual((200, "alive\n"), (self._ask("/healthz").status, self._ask("/healthz").text))
        self.assertEqual((200, "ready\n"), (self._ask("/readyz").status, self._ask("/readyz").text))
        console = pooler.console()
        console.query("PAUSE")
        self.assertEqual((503, "paused\n"), (self._ask("/readyz").status, self._ask("/readyz").text))
        console.query("RESUME")
        self.assertEqual(200, self._ask("/readyz").status)
        cookie, _ = self._cookie()
        console.query("SHUTDOWN WAIT_FOR_CLIENTS")
        wait_until("it drains", lambda: self._ask("/readyz").status == 503)
        self.assertEqual("draining\n", self._ask("/readyz").text)
        self.assertIn("\npgweir_draining 1\n", self._ask("/metrics").text)
        self.assertEqual(200, self._ask("/healthz").status)
        self.assertTrue(self._ask("/api/snapshot.json", Cookie=cookie).json["draining"])
        console.close()
        client.close()
        self.assertEqual(0, pooler.wait())

    # The snapshot

    def the_snapshot_tells_what_the_console_tells(self):
        pooler = self._pooler(default_pool_size=2, leak_interval=0.2)
        holder = pooler.client(parameters={"application_name": 'quo"te\\ \x1b[31m'})
        holder.begin()
        holder.query("SELECT 1 AS held")
        waiters = []
        for _ in range(2):
            waiters.append(pooler.client())
            waiters[-1].send(query("SELECT pg_sleep(60)"))
        wait_until("one waits", lambda: pooler.pool()["cl_waiting"] == 1)
        wait_until("origins are known", lambda: len(pooler.show("ORIGINS")) == 2)
        cookie, _ = self._cookie(STATS)

        def there():
            got = self._ask("/api/snapshot.json", Cookie=cookie)
            self.assertEqual("application/json", got.headers["content-type"])
            # The consoles that were asked before may still be on their way out.
            told = got.json
            return told if (len(told["origins"]), told["pools"][0]["cl_waiting"], told["clients"]) == (2, 1, 3) else None
        got = wait_until("the snapshot is of now", there)
        for table in ("pools", "stats", "budget", "origins", "leases", "pins", "leaks", "reaps", "mem", "breakdowns"):
            def alike(table=table):
                """Whose process a client is may be found between the two."""
                shown, told = pooler.show(table), self._ask("/api/snapshot.json", Cookie=cookie).json[table]
                return [(shown, told)] if len(shown) == len(told) else None
            (shown, told), = wait_until(f"both have as many {table}", alike)
            self.assertEqual([list(row) for row in shown], [list(row) for row in told])
        pool, shown = got["pools"][0], pooler.pool()
        for key in ("database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "cl_total", "pool_mode"):
            self.assertEqual(shown[key], pool[key], key)
        lease = next(each for each in got["leases"] if each["state"] == "idle in transaction")
        self.assertEqual('quo"te\\\\ \\x1b[31m', lease["application_name"])
        self.assertIn("held", lease["statement"])
        self.assertIsInstance(lease["age"], float)
        self.assertIsNone(lease["pin"])
        self.assertRegex(lease["waiters"], r'^client \d+ of origin \d+, "app" at 127\.0\.0\.1:\d+, for ')
        self.assertEqual(pooler.show("VERSION")[0]["version"], got["version"])
        self.assertEqual((False, False, {}), (got["draining"], got["paused"], got["left_out"]))
        self.assertGreater(got["time"], got["started"])
        # What was told once is not told for ever.
        late = pooler.client()
        wait_until("it tells of who came since", lambda: self._ask("/api/snapshot.json", Cookie=cookie).json["clients"] == 4)
        late.close()

    @takes(90)
    def the_history_grows_and_tells_rates(self):
        pooler = self._pooler()
        client = pooler.client()
        client.query("SELECT 1")
        cookie, _ = self._cookie(STATS)
        self.assertEqual(401, self._ask("/api/history.json").status)

        def samples(least):
            told = self._ask("/api/history.json", Cookie=cookie).json
            return told if len(told["times"]) >= least else None
        first = wait_until("a sample", lambda: samples(1))
        self.assertEqual((10, [None]), (first["interval"], first["process"]["queries_per_second"]))
        for _ in range(100):
            client.query("SELECT 1")
        told = wait_until("another", lambda: samples(2), timeout=30)
        lengths = {len(values) for series in (told["process"], *told["pools"]) for values in series.values() if isinstance(values, list)}
        self.assertEqual({len(told["times"])}, lengths)
        self.assertEqual(sorted(told["times"]), told["times"])
        self.assertEqual((1, 1), (told["process"]["clients"][1], told["process"]["idle"][1]))
        self.assertGreater(told["process"]["queries_per_second"][1], 0)
        self.assertGreater(told["process"]["wait_p99"][1], 0)
        self.assertEqual([("app", "app")], [(pool["database"], pool["user"]) for pool in told["pools"]])

    def the_history_begins_before_anybody_looks(self):
        pooler = self._pooler()
        pooler.client().query("SELECT 1")
        time.sleep(1)
        looked = time.time()
        cookie, _ = self._cookie(STATS)
        told = wait_until("a sample", lambda: self._ask("/api/history.json", Cookie=cookie).json["times"])
        self.assertLess(told[0], looked - 0.01)

    # Metrics

    def _metrics(self, **headers):
        answer = self._ask("/metrics", **headers)
        self.assertEqual(200, answer.status, answer.text)
        return answer

    def _values(self):
        """{series: value} of the text format."""
        lines = self._metrics().text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        values = {series: float(value) for series, value in pairs}
        self.assertEqual(len(pairs), len(values))
        return values

    def that_postgresql_is_gone_is_told_before_anybody_asks_for_it_and_until_it_is_back(self):
        pg = self.postgres(max_connections=20)
        self.port = free_port()
        pooler = Pooler(pg=pg, userlist=USERS, settings={"http_listen": f"127.0.0.1:{self.port}", "auth_type": "any", "monitor_user": "app",
                                                         "monitor_interval": 0.2})
        self.keep(pooler)
        pooler.start()
        series = f'pgweir_budget_failing{{host="127.0.0.1",port="{pg.port}"}}'
        age = series.replace("failing", "reading_age_seconds")
        self._fresh(lambda values: age in values and values[series] == 0)
        pg.stop()
        self._fresh(lambda values: values[series] == 1)
        # It is tried again and again meanwhile; an attempt is no answer.
        until = time.monotonic() + 2
        while time.monotonic() < until:
            self.assertEqual(1, self._values()[series])
        pg.start()
        self._fresh(lambda values: values[series] == 0)

    def _fresh(self, true):
        """Metrics of which this holds; a picture serves for half a second."""
        return wait_until("the metrics are of now", lambda: (values := self._values()) and true(values) and values)

    def metrics_tell_what_the_console_tells(self):
        pooler = self._pooler(default_pool_size=2, stats_period=1)
        labels = '{database="app",user="app"}'
        before = self._values()
        self.assertEqual(0, before["pgweir_pools"])
        self.assertNotIn(f"pgweir_pool_queries_total{labels}", before)
        holder = pooler.client()
        for _ in range(7):
            holder.query("SELECT 1")
        holder.begin()
        waiters = [pooler.client() for _ in range(3)]
        for each in waiters:
            each.send(query("SELECT pg_sleep(60)"))
        wait_until("two wait", lambda: pooler.pool()["cl_waiting"] == 2)
        during = self._fresh(lambda values: values.get(f"pgweir_pool_clients_waiting{labels}") == 2 and values["pgweir_clients"] == 4)
        row, stats = pooler.pool(), next(each for each in pooler.show("STATS") if each["database"] == "app")
        for metric, told in ((f"pgweir_pool_clients{labels}", row["cl_total"]),
                             (f"pgbouncer_active_clients{labels}", row["cl_active"]),
                             (f"pgbouncer_waiting_clients{labels}", row["cl_waiting"]),
                             ('pgweir_pool_servers{database="app",user="app",state="lent"}', row["sv_active"]),
                             ('pgweir_pool_servers{database="app",user="app",state="idle"}', row["sv_idle"]),
                             (f"pgweir_pool_queries_total{labels}", stats["total_query_count"]),
                             (f"pgweir_pool_transactions_total{labels}", stats["total_xact_count"]),
                             (f"pgweir_pool_leases_total{labels}", stats["total_server_assignment_count"]),
                             (f"pgweir_pool_wait_seconds_count{labels}", stats["total_server_assignment_count"]),
                             (f"pgweir_pool_logins_total{labels}", stats["total_client_login_count"]),
                             (f"pgweir_pool_login_seconds_count{labels}", stats["total_client_login_count"]),
                             (f"pgweir_pool_received_bytes_total{labels}", stats["total_received"]),
                             ('pgbouncer_requests_total{database="app"}', stats["total_query_count"]),
                             ('pgbouncer_sent_bytes_total{database="app"}', stats["total_sent"]),
                             ('pgbouncer_pool_size{database="app"}', 2), ("pgbouncer_databases", 2), ("pgbouncer_pools", 1),
                             ("pgweir_draining", 0), ("pgweir_paused", 0)):
            self.assertEqual(float(told), during[metric], metric)
        self.assertEqual(float(stats["total_wait_time"]) / 1e6, during[f"pgweir_pool_wait_seconds_sum{labels}"])
        self.assertEqual(float(stats["total_query_time"]) / 1e6, during[f"pgweir_pool_query_seconds_sum{labels}"])
        self.assertGreater(during[f"pgweir_pool_oldest_wait_seconds{labels}"], 0)
        self.assertGreaterEqual(during[f"pgweir_pool_lease_seconds_count{labels}"], 7)
        # Who waits is counted when it waits no more, and in the buckets where it belongs.
        holder.query("ROLLBACK")
        after = self._fresh(lambda values: values[f"pgweir_pool_clients_waiting{labels}"] == 1)
        counts = [value for series, value in after.items() if series.startswith("pgweir_pool_wait_seconds_bucket")]
        self.assertEqual(sorted(counts), counts)
        self.assertEqual(after[f"pgweir_pool_wait_seconds_count{labels}"], counts[-1])
        self.assertEqual(during[f"pgweir_pool_wait_seconds_count{labels}"] + 1, counts[-1])

    def metrics_tell_what_the_process_takes(self):
        pooler = self._pooler()
        proc = pathlib.Path(f"/proc/{pooler.pid}")
        before = self._fresh(lambda values: values["pgweir_clients"] == 0)
        crowd = [pooler.client() for _ in range(20)]
        during = self._fresh(lambda values: values["pgweir_clients"] == 20)
        # Who asks has a connection too, and the one before it may not be closed yet.
        self.assertAlmostEqual(before["process_open_fds"] + 20, during["process_open_fds"], delta=2)
        self.assertAlmostEqual(len(list((proc / "fd").iterdir())), during["process_open_fds"], delta=3)
        limits = dict(re.findall(r"^(.+?)  +(\d+)", (proc / "limits").read_text(), re.M))
        self.assertEqual(float(limits["Max open files"]), during["process_max_fds"])
        pages = [int(each) * os.sysconf("SC_PAGESIZE") for each in (proc / "statm").read_text().split()]
        self.assertAlmostEqual(pages[0], during["process_virtual_memory_bytes"], delta=pages[0] / 10)
        self.assertAlmostEqual(pages[1], during["process_resident_memory_bytes"], delta=pages[1] / 10)
        self.assertAlmostEqual(time.time(), during["process_start_time_seconds"], delta=30 * wire.PATIENCE)
        self.assertGreater(during["process_cpu_seconds_total"], before["process_cpu_seconds_total"])
        if "pgweir_heap_bytes" in before:       # a sanitizer's malloc does not count
            self.assertGreater(during["pgweir_heap_bytes"], before["pgweir_heap_bytes"] + 20 * 256)
            self.assertLess(during["pgweir_heap_bytes"], during["process_virtual_memory_bytes"])
        for each in crowd:
            each.close()
        self._fresh(lambda values: values["process_open_fds"] <= before["process_open_fds"] + 2)

    def promtool_and_openmetrics_find_nothing_to_complain_of(self):
        pooler = self._pooler(leak_interval=0.2, leak_quiet=0.5, leak_hold=0.8)
        nasty = 'quo"te\\ \x1b[31m \n \u202e {}=,'
        for parameters in ({"application_name": nasty}, {"application_name": ""}):
            client = pooler.client(parameters=parameters)
            client.begin()
            client.query("CREATE TEMPORARY TABLE mine (i int)")
        pinned = pooler.client()
        pinned.query("CREATE TEMPORARY TABLE kept (i int)")
        values = self._fresh(lambda values: values["pgweir_leaks"] == 2 and values.get('pgweir_pins{reason="temporary"}'))
        self.assertEqual(2, sum(1 for series in values if series.startswith("pgweir_leak_confidence_ratio")))
        answer = self._metrics()
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8", answer.headers["content-type"])
        checked = subprocess.run(["promtool", "check", "metrics"], input=answer.body, capture_output=True, timeout=20 * wire.PATIENCE)
        self.assertEqual((0, b"", b""), (checked.returncode, checked.stdout, checked.stderr))
        answer = self._metrics(Accept="application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        self.assertEqual("application/openmetrics-text; version=1.0.0; charset=utf-8", answer.headers["content-type"])
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        self.assertEqual("counter", families["pgweir_pool_queries"].type)
        self.assertEqual("histogram", families["pgweir_pool_wait_seconds"].type)
        told = {sample.labels["application_name"] for sample in families["pgweir_leak_clients"].samples}
        self.assertEqual({each["application_name"] for each in pooler.show("LEAKS")}, told)
        for family in families.values():
            self.assertTrue(family.documentation, family.name)

    def every_metric_stands_in_the_manual(self):
        pooler = self._pooler(port=(port := free_port()), http_listen=f"localhost:{port}")
        pooler.client().query("SELECT 1")
        pages = pathlib.Path(__file__).resolve().parents[2] / "doc" / "metrics.md"
        written = set(re.findall(r"^\| `(\w+)` \|", pages.read_text(), re.M))
        told = set(re.findall(r"^# TYPE (\w+) ", self._metrics().text, re.M))
        self.assertEqual(written, told | {"pgbouncer_query_microseconds_total"})

    # Who may see what

    def only_a_user_sees_names_and_statements(self):
        self._pooler()
        for path in ("/api/snapshot.json", "/api/session.json"):
            answer = self._ask(path)
            self.assertEqual(401, answer.status)
            self.assertNotIn("Basic", answer.headers["www-authenticate"])
            self.assertEqual(401, self._ask(path, Cookie="pgweir_visit=" + 32 * "0").status)
            self.assertEqual(401, self._ask(path, Cookie="pgweir_visit=").status)
        for who in ((ADMIN[0], "wrong"), (ADMIN[0], ""), ("nobody", USERS["nobody"]), ("app", ""), ("nil", "x")):
            self.assertEqual(403, self._login(*who).status, who)
        basic = base64.b64encode(":".join(STATS).encode()).decode()
        self.assertEqual(200, self._ask("/api/snapshot.json", Authorization=f"Basic {basic}").status)
        self.assertEqual(401, self._ask("/api/snapshot.json", Authorization="Basic " + basic[:-4]).status)

    def a_visit_has_a_cookie_and_a_token_and_ends(self):
        pooler = self._pooler()
        answer = self._login(*ADMIN)
        self.assertEqual({"user": "admin", "admin": True}, {key: answer.json[key] for key in ("user", "admin")})
        for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="):
            self.assertIn(word, answer.headers["set-cookie"])
        cookie, csrf = answer.headers["set-cookie"].split(";")[0], answer.json["csrf"]
        self.assertNotIn(csrf, cookie)
        other, other_csrf = self._cookie(STATS)
        self.assertNotEqual(cookie, other)
        self.assertEqual(answer.json, self._ask("/api/session.json", Cookie=f"a=b; {cookie}").json)
        self.assertFalse(self._ask("/api/session.json", Cookie=other).json["admin"])
        # Nobody is logged out but by his own page.
        self.assertEqual(401, self._ask("/logout", "POST", X_CSRF_Token=csrf).status)
        self.assertEqual(403, self._ask("/logout", "POST", Cookie=cookie).status)
        self.assertEqual(403, self._ask("/logout", "POST", Cookie=cookie, X_CSRF_Token=other_csrf).status)
        self.assertEqual(405, self._ask("/logout", Cookie=cookie, X_CSRF_Token=csrf).status)
        self.assertEqual(200, self._ask("/api/session.json", Cookie=cookie).status)
        self.assertEqual(200, self._ask("/logout", "POST", Cookie=cookie, X_CSRF_Token=csrf).status)
        self.assertEqual(401, self._ask("/api/session.json", Cookie=cookie).status)
        # A new password, or a place on no list any more, ends a visit.
        pooler.userlist = {**USERS, STATS[0]: "another"}
        pooler.write_files()
        pooler.reload()
        wait_until("the old password holds no more", lambda: self._ask("/api/session.json", Cookie=other).status == 401)
        cookie, _ = self._cookie(ADMIN)
        pooler.settings["admin_users"] = "app"
        pooler.write_files()
        pooler.reload()
        wait_until("he is no admin any more", lambda: self._ask("/api/session.json", Cookie=cookie).status == 401)

    def secrets_of_every_kind_are_checked(self):
        self._pooler(auth_type="trust")
        pooler = self.poolers[-1]
        with self.pg.admin() as admin:
            verifier = admin.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'by_scram'")
            md5 = "md5" + admin.value("SELECT md5('five' || 'by_md5')")
        pooler.userlist = {**USERS, "by_scram": verifier, "by_md5": md5, "empty": ""}
        pooler.settings["stats_users"] = "by_scram, by_md5, empty, absent"
        pooler.write_files()
        pooler.reload()
        wait_until("md5", lambda: self._login("by_md5", "five").status == 200)
        self.assertEqual(200, self._login("by_scram", "sea-salt").status)
        # Whatever auth_type says: without a password nobody is let in here.
        for who in (("by_md5", md5), ("by_scram", verifier), ("by_scram", "x"), ("empty", ""), ("empty", "x"), ("absent", "x")):
            self.assertEqual(403, self._login(*who).status, who)

    def guessing_ends_after_a_few_tries(self):
        self._pooler()
        said = [self._login(ADMIN[0], f"guess {i}").status for i in range(12)]
        self.assertEqual([403] * 10 + [429] * 2, said)
        self.assertEqual(429, self._login(*ADMIN).status)
        # A scraper that says the right password hears that it is not looked at, and whoever says none that he must log in.
        basic = base64.b64encode(":".join(ADMIN).encode()).decode()
        answer = self._ask("/api/session.json", Authorization=f"Basic {basic}")
        self.assertEqual((429, "60"), (answer.status, answer.headers["retry-after"]))
        self.assertEqual(401, self._ask("/api/session.json").status)

    def a_rule_that_rejects_at_the_console_does_so_here(self):
        pooler = self._pooler()
        (pooler.folder / "hba").write_text("host all stats 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n")
        give_away(pooler.folder / "hba")
        pooler.settings.update(auth_type="hba", auth_hba_file=pooler.folder / "hba")
        pooler.write_files()
        pooler.reload()
        wait_until("the rules hold", lambda: self._login(*STATS).status == 403)
        self.assertEqual(200, self._login(*ADMIN).status)
        (pooler.folder / "hba").write_text("host all stats samehost reject\nhost all all all scram-sha-256\n")
        pooler.reload()
        wait_until("other rules hold", lambda: pooler.log().count("configuration reloaded") == 2)
        self.assertEqual((200, 403), (self._login(*ADMIN).status, self._login(*STATS).status))

    def another_s_page_can_neither_ask_nor_change(self):
        self._pooler()
        for host in (f"evil.example:{self.port}", "10.0.0.1", "localhost.evil.example", "a, b"):
            for path in ("/metrics", "/healthz", "/api/snapshot.json"):
                self.assertEqual(421, self._ask(path, Host=host).status, host)
            self.assertEqual(421, self._login(*ADMIN, Host=host).status)
        self.assertEqual(200, self._ask("/healthz", Host="localhost").status)
        self.assertEqual(200, self._ask("/healthz", Host=f"[::1]:{self.port}").status)
        self.assertEqual(403, self._login(*ADMIN, Origin="http://evil.example").status)
        self.assertEqual(403, self._login(*ADMIN, Origin="null").status)
        self.assertEqual(200, self._login(*ADMIN, Origin=f"http://127.0.0.1:{self.port}").status)
        self.assertEqual(415, self._login(*ADMIN, Content_Type="text/plain").status)
        self.assertIn(b" 400 ", self._raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 400 ", self._raw(b"GET /healthz HTTP/1.0\r\n\r\n"))

    def every_answer_forbids_what_pages_need_not(self):
        self._pooler()
        for path in ("/healthz", "/api/snapshot.json", "/nothing"):
            headers = self._ask(path).headers
            self.assertIn("default-src 'self'", headers["content-security-policy"])
            self.assertIn("frame-ancestors 'none'", headers["content-security-policy"])
            self.assertEqual(("nosniff", "no-store"), (headers["x-content-type-options"], headers["cache-control"]))
            self.assertNotIn("access-control-allow-origin", headers)

    # Rude ones

    def garbage_is_answered_or_closed_and_harms_nobody(self):
        pooler = self._pooler()
        self.assertEqual(404, self._ask("/nothing").status)
        self.assertEqual(404, self._ask("/../etc/passwd").status)
        self.assertEqual(405, self._ask("/healthz", "DELETE").status)
        self.assertEqual(405, self._ask("/login").status)
        self.assertEqual(405, self._ask("/api/snapshot.json", "POST", "x").status)
        self.assertEqual((200, b""), (self._ask("/healthz", "HEAD").status, self._ask("/healthz", "HEAD").body))
        self.assertEqual(413, self._ask("/login", "POST", 5000 * "x", Content_Type="application/x-www-form-urlencoded").status)
        for form in ("", "user=admin", "user=%zz&password=x", "user=a%00b&password=x", "password=x&user=" + 200 * "u", "&&==&&"):
            self.assertEqual(400, self._ask("/login", "POST", form, Content_Type="application/x-www-form-urlencoded").status, form)
        host = f"Host: 127.0.0.1:{self.port}\r\n".encode()
        for data in (b"\0" * 1000, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"GET / HTTP/9.9\r\n\r\n",
                     b"GET /" + 40000 * b"a" + b" HTTP/1.1\r\n" + host + b"\r\n",
                     b"GET / HTTP/1.1\r\n" + host + b"A: " + 40000 * b"b" + b"\r\n\r\n",
                     b"POST /login HTTP/1.1\r\n" + host + b"Content-Length: -5\r\n\r\n",
                     b"POST /login HTTP/1.1\r\n" + host + b"Content-Length: 99999999999999999999999\r\n\r\n",
                     b"POST /login HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
            self._raw(data, wait=1)
        self.assertEqual(200, self._ask("/healthz").status)
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def who_never_reads_holds_little_and_others_are_answered(self):
        pooler = self._pooler()
        cookie, _ = self._cookie()
        clients = [pooler.client(parameters={"application_name": f"{i} " + 50 * "x"}) for i in range(60)]
        for client in clients:
            client.query("SELECT 1")
        before = pooler.memory_kb()
        request = f"GET /api/snapshot.json HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
        peers = []
        try:
            for _ in range(40):
                peer = socket.socket()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                peer.connect(("127.0.0.1", self.port))
                peer.settimeout(0.2)
                with contextlib.suppress(OSError):
                    peer.sendall(200 * request)         # pipelined, and nothing is read
                peers.append(peer)
            self.assertEqual(200, self._ask("/healthz").status)
            self.assertEqual(200, self._ask("/api/snapshot.json", Cookie=cookie).status)
            self.assertEqual("1", clients[0].value("SELECT 1"))
            self.assertLess(pooler.memory_kb() - before, 64 * 1024)
        finally:
            for peer in peers:
                peer.close()
        wait_until("all is well", lambda: self._ask("/readyz").status == 200)

    def too_many_connections_are_closed_and_those_who_stay_are_answered(self):
        self._pooler()
        kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20 * wire.PATIENCE)
        self.addCleanup(kept.close)
        self.assertEqual(200, self._ask("/healthz", connection=kept).status)
        peers = [socket.create_connection(("127.0.0.1", self.port), timeout=10) for _ in range(150)]
        try:
            self.assertEqual(200, self._ask("/healthz", connection=kept).status)
        finally:
            for peer in peers:
                peer.close()

        def answered():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._ask("/healthz").status == 200
        wait_until("newcomers are answered again", answered)

    def fifty_readers_at_once_are_answered_while_clients_work(self):
        pooler = self._pooler()
        cookie, _ = self._cookie()
        with self.pg.admin("app") as admin:
            pgbench = [str(self.pg.programs / "pgbench"), "-h", "127.0.0.1", "-U", "app"]
            subprocess.run([*pgbench, "-p", str(self.pg.port), "-i", "-q", "app"], check=True, capture_output=True,
                           timeout=60 * wire.PATIENCE)
            load = subprocess.Popen([*pgbench, "-p", str(pooler.port), "-n", "-S", "-c", "8", "-t", "1000", "app"],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                def read():
                    own = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * wire.PATIENCE)
                    said = {self._ask("/api/snapshot.json", connection=own, Cookie=cookie).status for _ in range(5)}
                    own.close()
                    return said
                self.assertEqual([{200}] * 50, self.together(*[read] * 50, timeout=50))
                output = load.communicate(timeout=60 * wire.PATIENCE)[0].decode()
            finally:
                if load.poll() is None:
                    load.kill()
                    load.wait(10)
            self.assertEqual(0, load.returncode, output)
            self.assertIn("8000/8000", output)
            admin.query("DROP TABLE pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")

    def a_worker_that_hangs_delays_nobody_for_ever(self):
        pooler = self._pooler(workers=1)
        pooler.client().query("SELECT 1")
        with _Halted(pooler.pid, "worker 0") as halted:
            if not halted.held:
                self.skipTest("threads of others may not be halted here")
            self.assertEqual(200, self._ask("/healthz").status)
            answers = self.together(*[lambda: self._ask("/metrics")] * 3)
            self.assertEqual([503] * 3, [answer.status for answer in answers])
            self.assertIn("did not answer in time", answers[0].text)
            self.assertEqual(200, self._ask("/healthz").status)
        wait_until("it goes on", lambda: self._ask("/metrics").status == 200)
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    # What it refuses to begin with

    def _refused_at_start(self, says, **settings):
        pooler = Pooler(settings=settings, userlist=USERS)
        pooler.expect_crash = True
        self.keep(pooler)
        pooler.launch()
        self.assertEqual(1, pooler.wait())
        pooler.await_log(says)

    def it_is_not_opened_to_others_without_tls_nor_half_configured(self):
        port = free_port()
        self._refused_at_start("can be reached from other machines", http_listen=f"0.0.0.0:{port}")
        self._refused_at_start("can be reached from other machines", http_listen=f"*:{port}")
        self._refused_at_start('found "nonsense"', http_listen="nonsense")
        self._refused_at_start("http_tls_key_file is not set", http_listen=f"127.0.0.1:{port}", http_tls_cert_file="cert")
        self._refused_at_start("http_tls_cert_file: ", http_listen=f"127.0.0.1:{port}", http_tls_cert_file="absent",
                               http_tls_key_file="absent")
        folder = self.own_folder()
        for name in ("one", "two"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                            f"{name}.key", "-out", f"{name}.pem", "-subj", "/CN=pgweir"], cwd=folder, capture_output=True, check=True,
                           timeout=60 * wire.PATIENCE)
        for path in (folder, *folder.iterdir()):
            give_away(path)
        self._refused_at_start(f'http_tls_key_file "{folder}/two.key": the key does not match the certificate in "{folder}/one.pem"',
                               http_listen=f"127.0.0.1:{port}", http_tls_cert_file=folder / "one.pem", http_tls_key_file=folder / "two.key")
        self._refused_at_start(f'http_tls_cert_file "{folder}/two.key": there is no certificate in it',
                               http_listen=f"127.0.0.1:{port}", http_tls_cert_file=folder / "two.key", http_tls_key_file=folder / "two.key")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self._refused_at_start("address in use", http_listen=f"127.0.0.1:{taken.getsockname()[1]}")

    def it_listens_on_ipv6_too(self):
        port = free_port()
        self._pooler(port=port, http_listen=f"[::1]:{port}")
        with contextlib.closing(http.client.HTTPConnection("::1", port, timeout=20 * wire.PATIENCE)) as connection:
            self.assertEqual(200, self._ask("/metrics", connection=connection).status)
            self.assertEqual(421, self._ask("/metrics", connection=connection, Host="[2001:db8::1]").status)

    def a_reload_that_asks_for_such_a_thing_changes_nothing(self):
        pooler = self._pooler()
        pooler.settings["http_listen"] = f"0.0.0.0:{self.port}"
        pooler.write_files()
        error = self.refused(pooler.console().query, "RELOAD")
        self.assertIn("can be reached from other machines", str(error.fields))
        self.assertEqual(200, self._ask("/healthz").status)
        pooler.settings["http_listen"] = f"127.0.0.1:{free_port()}"
        pooler.write_files()
        pooler.console().query("RELOAD")
        pooler.await_log(pattern=r"http_listen: .* needs a restart")
        self.assertEqual(200, self._ask("/healthz").status)
        self.refused(pooler.console().query, "SET http_listen = '127.0.0.1:1'", says="SET failed")

    def with_tls_others_may_come_and_must_be_somebody(self):
        folder = self.own_folder()
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
                               "-subj", "/CN=pgweir", "-addext", "subjectAltName=IP:127.0.0.1"], cwd=folder, capture_output=True,
                              timeout=60 * wire.PATIENCE)
        self.assertEqual(0, made.returncode, made.stderr)
        for path in (folder, folder / "key.pem", folder / "cert.pem"):
            give_away(path)
        pooler = self._pooler(port=(port := free_port()), http_listen=f"0.0.0.0:{port}", http_tls_cert_file=folder / "cert.pem",
                              http_tls_key_file=folder / "key.pem")
        context = ssl.create_default_context(cafile=folder / "cert.pem")

        def ask(path, **headers):
            with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=20 * wire.PATIENCE,
                                                                context=context)) as connection:
                return self._ask(path, connection=connection, **headers)
        self.assertEqual(200, ask("/healthz", Host="db.example").status)
        self.assertEqual(401, ask("/api/snapshot.json").status)
        answer = ask("/login", method="POST", body=urllib.parse.urlencode({"user": STATS[0], "password": STATS[1]}),
                     Content_Type="application/x-www-form-urlencoded")
        self.assertEqual(200, answer.status)
        self.assertIn("Secure", answer.headers["set-cookie"])
        self.assertEqual(200, ask("/api/snapshot.json", Cookie=answer.headers["set-cookie"].split(";")[0]).status)
        # Rules see that it is encrypted.
        (pooler.folder / "hba").write_text("hostnossl all all all reject\nhostssl all all all scram-sha-256\n")
        give_away(pooler.folder / "hba")
        console = pooler.console()
        pooler.settings.update(auth_type="hba", auth_hba_file=pooler.folder / "hba")
        pooler.write_files()
        console.query("RELOAD")
        basic = base64.b64encode(":".join(STATS).encode()).decode()
        self.assertEqual(200, ask("/api/session.json", Authorization=f"Basic {basic}").status)
        # Without TLS nothing is said.
        self.assertNotIn(b"alive", self._raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", wait=1))


class Alerts(Story):
    """What lies ready for Prometheus and Grafana: it is well formed, knows our metrics, and says what it should at the figures of
    alerts.yml."""

    kinds = ("pgweir",)
    ROOT = pathlib.Path(__file__).resolve().parents[2]
    RULES = ROOT / "etc" / "pgweir-alerts.yml"
    DASHBOARD = ROOT / "etc" / "grafana-dashboard.json"

    def _promtool(self, *arguments):
        done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60 * wire.PATIENCE)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def _expressions(self):
        """Of every panel, with what Grafana puts in for its variables."""
        for panel in json.loads(self.DASHBOARD.read_text())["panels"]:
            for target in panel["targets"]:
                yield re.sub(r"\$(instance|database|user)", ".*", target["expr"]).replace("$__rate_interval", "5m")

    def the_rules_are_well_formed_and_each_says_what_to_do(self):
        self.assertIn("SUCCESS: 14 rules found", self._promtool("check", "rules", self.RULES))
        text = self.RULES.read_text()
        for word in ("severity:", "summary:", "runbook: |"):
            self.assertEqual(14, text.count(word), word)

    def alerts_come_when_they_should_and_not_before(self):
        rules = self.RULES.read_text()
        runbooks = {name: text for name, text in re.findall(r"- alert: (\w+)\n.*?runbook: \|\n((?: {12}[^\n]*\n)+)", rules, re.S)}
        story = (pathlib.Path(__file__).parent / "alerts.yml").read_text().replace("RULES]", f"{self.RULES}]")
        story = re.sub(r"RUNBOOK (\w+)", lambda found: json.dumps(re.sub("^ {12}", "", runbooks[found[1]], flags=re.M)), story)
        path = self.own_folder() / "alerts.yml"
        path.write_text(story)
        self.assertIn("SUCCESS", self._promtool("test", "rules", path))

    def the_dashboard_s_questions_are_ones_that_prometheus_understands(self):
        lines = ["groups:", "  - name: dashboard", "    rules:"]
        for number, expression in enumerate(self._expressions()):
            lines += [f"      - record: panel:{number}", f"        expr: {json.dumps(expression)}"]
        path = self.own_folder() / "panels.yml"
        path.write_text("\n".join(lines) + "\n")
        self.assertIn("rules found", self._promtool("check", "rules", path))
        panels = json.loads(self.DASHBOARD.read_text())["panels"]
        self.assertEqual(len(panels), len({panel["id"] for panel in panels}))

    def neither_asks_for_a_metric_that_there_is_not(self):
        known = set(re.findall(r"^\| `(\w+)` \|", (self.ROOT / "doc" / "metrics.md").read_text(), re.M))
        for text in (self.RULES.read_text(), self.DASHBOARD.read_text()):
            asked = set(re.findall(r"\b(?:pgweir|process)_\w+", text))
            self.assertGreater(len(asked), 8)
            for name in asked:
                self.assertIn(re.sub("_(bucket|sum|count)$", "", name), known)
