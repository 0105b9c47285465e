"""pgweir stress without an application: PostgreSQL itself, the pooler, targets that refuse and targets that are hostile.

What must be found is planted here: a server-side leak is a session that a story opens and forgets when a wave passes.
"""
import base64
import csv
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import xml.etree.ElementTree

import wire
from harness import free_port, full_only, takes, wait_until
from stress import SHORT, STATUS, Hostile, Stressing


class EndOfFile(OSError):
    """The client is gone, without a word."""


def read_request(peer):
    """The head of an HTTP request."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = peer.recv(4096)
        if not piece:
            raise ConnectionError
        head += piece
    return head


def accept_websocket(peer):
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", read_request(peer)).group(1)
    proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")


def read_exactly(peer, count):
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            raise EndOfFile
        data += piece
    return data


def read_frame(peer):
    """(opcode, payload) of one frame of a client, which must be masked (RFC 6455, 5.1)."""
    first, second = read_exactly(peer, 2)
    assert second & 0x80, "not masked"
    length = second & 0x7f
    if length == 126:
        length = struct.unpack(">H", read_exactly(peer, 2))[0]
    mask = read_exactly(peer, 4)
    return first & 0x0f, bytes(byte ^ mask[i % 4] for i, byte in enumerate(read_exactly(peer, length)))


def frame(opcode, payload, final=True):
    length = bytes([len(payload)]) if len(payload) < 126 else struct.pack(">BH", 126, len(payload))
    return bytes([(0x80 if final else 0) | opcode]) + length + payload


def echo(peer, answer=None):
    """A well-behaved websocket server; returns how its client left."""
    accept_websocket(peer)
    asked = 0
    try:
        while True:
            opcode, payload = read_frame(peer)
            if opcode == 8:
                peer.sendall(frame(8, payload))
                return "goodbye"
            if opcode == 1:
                asked += 1
                for piece in (answer or (lambda text: [frame(1, text)]))(payload):
                    peer.sendall(piece)
    except EndOfFile:
        return "end of file" if asked else "silent"
    except ConnectionResetError:
        return "reset"


class Plain(Stressing):
    """PostgreSQL is the target: sockets are its sessions."""

    def postgresql_itself_leaks_nothing(self):
        seen = self._measured(self._url(), "--sockets", 15, "--postgres", self._url("postgres", "postgres"), "--role", "app")
        self.assertEqual("none", seen["verdict"]["kind"])
        self.assertEqual([0, 0, 0, 0], seen["verdict"]["at_rest"])
        self.assertEqual(0, seen["metrics"]["errors"])
        self.assertEqual(1 + 3 * 18, seen["metrics"]["opened"])
        self.assertGreaterEqual(seen["metrics"]["answered"], 3 * 15)
        # One timeline: while the sockets are held, PostgreSQL has as many sessions.
        held = [sample for sample in seen["timeline"] if sample["phase"] == "hold" and sample["sockets"] == 15]
        self.assertTrue(any(sample["sessions"] == 15 for sample in held), held)
        self.assertIn({"stress": 15}, [sample["by_application_name"] for sample in held])

    def an_application_that_is_a_superuser_does_not_pass_for_one_without_a_leak(self):
        pg = self.postgres(max_connections=40)
        url = self._url("postgres", "postgres", port=pg.port)
        seen = self._measured(url, "--sockets", 9, "--postgres", url, status="failed")
        self.assertEqual("unknown", seen["verdict"]["kind"])
        self.assertIn("only superusers' sessions came during the run", seen["verdict"]["words"])
        self._measured(url, "--sockets", 9, "--postgres", url, "--assert", "leaked==0", status="not_so")
        seen = self._measured(url, "--sockets", 9, "--postgres", url, "--role", "postgres")
        self.assertEqual("none", seen["verdict"]["kind"])
        self.assertTrue(any(sample["sessions"] >= 9 for sample in seen["timeline"]))

    def who_may_not_look_into_the_sessions_of_others_counts_them_all_the_same(self):
        pg = self.postgres(max_connections=40)
        with pg.admin() as admin:
            admin.query("REVOKE pg_read_all_stats FROM other")
        seen = self._measured(self._url(port=pg.port), "--sockets", 9, "--postgres", self._url("other", port=pg.port))
        self.assertTrue(any(sample["sessions"] == 9 for sample in seen["timeline"] if sample["phase"] == "hold"))
        # And of whom nothing is seen, that is said.
        ran = self._stress(*SHORT, self._url(port=pg.port), "--sockets", 5, "--postgres", self._url("postgres", port=pg.port), "--role", "third")
        self.assertIn("not one session of --role was seen at PostgreSQL", " ".join(ran.out.split()))

    def what_a_wave_leaves_behind_is_counted_and_named(self):
        """Somebody forgets four sessions in each wave, in a transaction."""
        kept, ending = [], threading.Event()
        self.addCleanup(lambda: [client.drop() for client in kept])

        def forget():
            waves = 0
            while not ending.wait(0.05):
                busy = self.pg.backends(user="app", extra="AND application_name = 'stress'")
                if busy > 6 and len(kept) == 4 * waves and waves < 3:
                    waves += 1
                    for _ in range(4):
                        kept.append(wire.Client(self.pg.address, user="app", database="app"))
                        kept[-1].begin()
                        kept[-1].query("SELECT 4711")
                    wait_until("the wave is over", lambda: ending.is_set() or self.pg.backends(
                        user="app", extra="AND application_name = 'stress'") == 0, timeout=20)
        thread = threading.Thread(target=forget, daemon=True)
        thread.start()
        try:
            seen = self._measured(self._url(), "--sockets", 10, "--warm-up", 1, "--hold", "3s", "--postgres",
                                  self._url("postgres", "postgres"), "--role", "app", status="leak")
        finally:
            ending.set()
            thread.join(20)
        verdict = seen["verdict"]
        self.assertEqual([0, 4, 8, 12], verdict["at_rest"])
        self.assertEqual("growing", verdict["kind"])
        self.assertEqual(12, verdict["leaked"])
        self.assertEqual("L13", verdict["pattern"])
        self.assertAlmostEqual(4 / 12 * 100, verdict["leaked_per_100"], delta=1)
        self.assertLessEqual(verdict["leaked_per_100_low"], verdict["leaked_per_100"])
        self.assertEqual("SELECT ?", verdict["last_statement"], "values must not be kept")
        self.assertEqual({"(no name)": 12}, seen["timeline"][-1]["by_application_name"])

    def a_statement_that_fails_is_an_error_with_its_words(self):
        seen = self._measured(self._url(), "--sockets", 4, "--waves", 1, "--message", "SELECT {{i}}/0", "--postgres",
                              self._url("postgres", "postgres"), "--assert", "wrong_percent == 100 && failed == 0")
        self.assertIn("division by zero", json.dumps(seen["errors"]))

    def an_expected_text_is_looked_for_in_the_answer(self):
        seen = self._measured(self._url(), "--sockets", 4, "--waves", 1, "--message", "SELECT 'aab' || 'aabaac'", "--expect", "aabaac")
        self.assertEqual(0, seen["metrics"]["wrong"])
        seen = self._measured(self._url(), "--sockets", 4, "--waves", 1, "--message", "SELECT 1, 'x' UNION ALL SELECT 2, 'y'", "--expect-match",
                              "1\nx\n[0-9]")
        self.assertEqual(0, seen["metrics"]["wrong"], seen["errors"])
        seen = self._measured(self._url(), "--sockets", 4, "--waves", 1, "--expect", "2")
        self.assertEqual(seen["metrics"]["answered"], seen["metrics"]["wrong"])

    def a_full_postgresql_is_told_in_its_own_words(self):
        pg = self.postgres(max_connections=12, superuser_reserved_connections=3)
        self.pg = pg
        seen = self._measured(self._url(port=pg.port), "--sockets", 20, "--waves", 1, "--postgres",
                              self._url("postgres", "postgres", port=pg.port), "--assert", "failed > 0")
        self.assertRegex(json.dumps(seen["errors"]), "too many clients already|remaining connection slots")
        self.assertGreater(seen["metrics"]["opened"], 0)

    def abuse_leaves_nothing_at_postgresql_and_is_counted(self):
        seen = self._measured(self._url(), "--sockets", 12, "--abuse", "reset=30", "--abuse", "leave=20", "--abuse", "transaction=20",
                              "--abuse", "no-goodbye=20", "--storm", "--seed", 7, "--postgres", self._url("postgres", "postgres"),
                              "--role", "app", "--assert", "abused > 5 && leaked == 0 && waves == 3")
        self.assertGreater(max(sample["in_transaction"] for sample in seen["timeline"]), 0)

    def cancels_reach_those_who_asked_for_them_and_nobody_else(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 3})
        # PostgreSQL itself says how many of them it has heard; the polite ones see it as wrong answers if one reaches them.
        seen = self._measured(self._url(port=pooler.port), "--sockets", 12, "--hold", "2s", "--think", "50ms", "--abuse", "cancel=50", "--seed", 5,
                              "--message", "SELECT pg_sleep(0.05)", "--postgres", self._url("postgres", "postgres"), "--role", "app",
                              "--assert", "abused > 10 && errors == 0")
        self.assertGreater(seen["metrics"]["answered"], 20)
        log = self.pg.log_path.read_text(errors="replace")
        self.assertIn("canceling statement due to user request", log)

    def a_copy_that_is_left_in_the_middle_holds_nobody(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 3})
        self._measured(self._url(port=pooler.port), "--sockets", 9, "--hold", "1s", "--think", "50ms", "--abuse", "copy=60", "--seed", 5,
                       "--postgres", self._url("postgres", "postgres"), "--role", "app", "--assert", "abused > 5 && errors == 0")
        wait_until("no COPY goes on", lambda: self.pg.backends(user="app", extra="AND (state <> 'idle' OR query LIKE 'COPY (%' "
                                                                                     "AND state = 'active')") == 0)

    def what_a_session_leaves_behind_is_seen_by_nobody_behind_pgweir(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 3})
        seen = self._measured(self._url(port=pooler.port), "--sockets", 12, "--hold", "1s", "--think", "20ms", "--abuse", "state=40", "--seed", 5,
                              "--message", "SHOW statement_timeout", "--expect", "0", "--assert", "wrong == 0 && abused > 3")
        self.assertGreater(seen["metrics"]["answered"], 20)

    def who_comes_and_goes_is_let_in_each_time(self):
        seen = self._measured(self._url(), "--sockets", 4, "--waves", 1, "--hold", "2s", "--abuse", "come-and-go=100", "--postgres",
                              self._url("postgres", "postgres"), "--assert", "errors == 0 && opened > 10 && leaked == 0")
        self.assertGreater(seen["metrics"]["abused"], 10)

    def a_message_can_be_prepared_and_can_be_a_copy(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2})
        for more in (("--message", "SELECT 'x{{i}}'", "--expect", "x", "--prepared"),
                     ("--message", "COPY (SELECT 'line ' || generate_series(1, 5000)) TO STDOUT", "--expect", "line 4999")):
            seen = self._measured(self._url(port=pooler.port), "--sockets", 6, "--waves", 1, "--think", "50ms", *more, "--assert", "errors == 0")
            self.assertGreater(seen["metrics"]["answered"], 12)
        seen = self._measured(self._url(), "--sockets", 2, "--waves", 1, "--message", "SELECT nothing", "--prepared")
        self.assertIn("does not exist", json.dumps(seen["errors"]))
        self.assertEqual(seen["metrics"]["wrong"], seen["metrics"]["answered"])

    def a_pooler_is_on_the_timeline(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 3})
        console = f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer"
        seen = self._measured(self._url(port=pooler.port), "--sockets", 15, "--postgres", self._url("postgres", "postgres"),
                              "--console", console, "--role", "app", "--assert", "leaked == 0 && errors == 0")
        held = [sample for sample in seen["timeline"] if sample["phase"] == "hold" and sample["sockets"] == 15]
        self.assertTrue(any(sample["pooler_clients"] == 15 for sample in held), held)
        self.assertLessEqual(max(sample["sessions"] for sample in seen["timeline"]), 3)

    def ctrl_c_ends_politely_with_a_report_of_what_was_seen(self):
        page = self.folder / "seen.html"
        child = self._start(self._url(), "--sockets", 8, *SHORT, "--hold", "60s", "--postgres", self._url("postgres", "postgres"),
                            "--html", page, "--json", "-")
        ran = self._interrupt(child, lambda: self.pg.backends(user="app") >= 8)
        self.assertEqual(STATUS["interrupted"], ran.status, ran)
        self.assertTrue(ran.json["interrupted"])
        self.assertEqual("unknown", ran.json["verdict"]["kind"])
        self.assertGreater(len(ran.json["timeline"]), 5)
        self.assertIn("interrupted", page.read_text())
        wait_until("nobody is left", lambda: self.pg.backends(user="app") == 0)

    def a_watched_postgresql_that_goes_away_leaves_a_hole_and_a_note(self):
        pg = self.postgres(max_connections=30)
        child = self._start(self._url(), "--sockets", 4, "--waves", 1, *SHORT, "--hold", "3s", "--postgres",
                            self._url("postgres", "postgres", port=pg.port), "--json", "-")
        wait_until("the load runs", lambda: self.pg.backends(user="app") >= 4)
        pg.stop()
        ran = self._finish(child)
        self.assertEqual(STATUS["fine"], ran.status, ran)
        self.assertIsNone(ran.json["timeline"][-1]["sessions"])
        self.assertIn("Note:", ran.err)


    def a_run_is_a_table_and_metrics_as_well(self):
        self._measured(self._url(), "--sockets", 5, "--waves", 2, "--postgres", self._url("postgres", "postgres"), "--role", "app", "--csv",
                       "timeline.csv", "--metrics", "run.prom", "--assert", "pattern == none && leaked == 0")
        with open(self.folder / "timeline.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertTrue(any(row["phase"] == "hold" and row["sockets"] == row["sessions"] == row["application_name stress"] == "5" for row in rows),
                        rows)
        self.assertEqual({""}, {row["pooler_clients"] for row in rows})
        metrics = (self.folder / "run.prom").read_text()
        self.assertIn("\npgweir_stress_leaked 0\n", metrics)
        self.assertIn('\npgweir_stress_verdict{kind="none"} 1\n', metrics)
        if shutil.which("promtool"):
            checked = subprocess.run(["promtool", "check", "metrics"], input=metrics.encode(), capture_output=True, timeout=30)
            self.assertEqual((0, b""), (checked.returncode, checked.stderr))


class Knee(Stressing):
    """The largest load that is still served: limits are set here, and must be found where they are."""

    def _knee(self, *arguments, status="fine"):
        """--knee counts errors alone here: a test machine's times are nobody's business."""
        seen = self._measured(*arguments, "--warm-up", 1, "--knee", "errors==0", status=status, timeout=170)
        knee = seen["knee"]
        self.assertTrue(knee["found"], knee)
        self.assertEqual(knee["sockets"], seen["metrics"]["knee"])
        return knee

    @takes(180)
    def the_places_of_postgresql_are_the_knee(self):
        pg = self.postgres(max_connections=10, superuser_reserved_connections=3)
        knee = self._knee(self._url(port=pg.port), "--sockets", 32, "--assert", "knee <= 7 && knee >= 6")
        self.assertIn("max_connections", knee["limit"])
        self.assertLessEqual(knee["broken_at"], 8)
        # A level that broke was tried twice.
        broken = [level["sockets"] for level in knee["levels"] if not level["served"]]
        self.assertEqual(2 * len(set(broken)), len(broken), knee)

    @takes(120)
    def a_load_that_is_borne_has_no_knee(self):
        ran = self._stress(*SHORT, self._url(), "--sockets", 16, "--knee", "errors==0", "--html", "page.html", "--assert", "knee==16",
                           "--postgres", self._url("postgres", "postgres"))
        self.assertEqual(STATUS["fine"], ran.status, ran)
        self.assertIn("No knee up to 16 sockets", ran.out)
        self.assertNotIn("Leak", ran.out)
        self.assertIn("Level by level", (self.folder / "page.html").read_text())

    @full_only
    @takes(180)
    def a_pool_that_is_too_small_is_the_knee_of_a_pooler(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2, "query_wait_timeout": 1})
        knee = self._knee(self._url(port=pooler.port), "--message", "SELECT pg_sleep(0.5)", "--think", "1ms", "--sockets", 32, "--hold",
                          "3s", "--drain", "1s", "--console", f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer")
        self.assertLess(knee["sockets"], 16)
        self.assertIn("query_wait_timeout", knee["limit"])


class Web(Stressing):
    """Websockets and HTTP, against servers of this file."""

    def _ws(self, server, path="/ws/"):
        return f"ws://127.0.0.1:{server.port}{path}"

    def a_websocket_is_asked_and_says_goodbye(self):
        # More than the library hands out at a time, so that what is expected is found across two pieces.
        more = b"needle" * 99 + b"." * 4000
        with Hostile(lambda peer: echo(peer, lambda text: [frame(9, b"ping"), frame(1, text[:3], False), frame(0, text[3:] + more)])) as server:
            seen = self._measured(self._ws(server), "--sockets", 10, "--waves", 2, "--message", '{"type": "test", "i": {{i}}}',
                                  "--expect", "needle" * 99, "--header", "Cookie: a=b", "--think", "200ms")
        self.assertEqual(0, seen["metrics"]["errors"], seen["errors"])
        self.assertGreaterEqual(seen["metrics"]["answered"], 20)
        wait_until("all have been seen off", lambda: len(server.seen) == seen["metrics"]["opened"])
        # Whoever is still there when the drain's time is over is cut off, which a machine that is slow brings about now and then.
        self.assertGreater(server.seen.count("goodbye"), 0.8 * len(server.seen), server.seen)

    def values_of_a_table_and_a_first_message_reach_the_server(self):
        heard = []

        def asked(peer):
            accept_websocket(peer)
            try:
                while True:
                    opcode, payload = read_frame(peer)
                    if opcode == 8:
                        peer.sendall(frame(8, payload))
                        return "goodbye"
                    heard.append(payload.decode())
                    if not payload.startswith(b"hello"):
                        peer.sendall(frame(1, b'{"user": {"name": "%s"}}' % payload))
            except EndOfFile:
                return "end of file"
        (self.folder / "people.csv").write_text('name,token\nada,"1,2"\nbob,3\n')
        with Hostile(asked) as server:
            seen = self._measured(self._ws(server, "/ws/?n={{name}}"), "--sockets", 4, "--waves", 1, "--first", "hello {{token}}", "--message",
                                  "{{name}}", "--values", "people.csv", "--expect-json", "user.name=ada", "--think", "100ms")
        self.assertEqual({"hello 1,2", "hello 3", "ada", "bob"}, set(heard))
        self.assertEqual(0, seen["metrics"]["failed"] + seen["metrics"]["dropped"], seen["errors"])
        self.assertTrue(0 < seen["metrics"]["wrong"] < seen["metrics"]["answered"], seen["metrics"])
        self.assertIn("bob", seen["errors"][0]["text"])

    def each_abuse_reaches_the_server_as_what_it_is(self):
        for abuse, seen_as in (("reset", "reset"), ("leave", "end of file"), ("no-goodbye", "end of file"), ("silent", "goodbye")):
            with Hostile(echo) as server:
                seen = self._measured(self._ws(server), "--sockets", 5, "--waves", 1, "--warm-up", 0, "--message", "x", "--think",
                                      "100ms", "--abuse", f"{abuse}=100")
                self.assertGreater(seen["metrics"]["opened"], 0)
                wait_until("all have ended", lambda: len(server.seen) >= seen["metrics"]["opened"])
                self.assertIn(seen_as, server.seen, abuse)
                # The drain comes to some before they have asked, and to some before they are in.
                self.assertLessEqual(set(server.seen), {seen_as, "silent", "ConnectionResetError"}, abuse)

    def a_reader_that_stops_or_is_slow_breaks_nothing(self):
        def much(text):
            return [frame(1, b"y" * 9000)] * 6
        with Hostile(lambda peer: echo(peer, much)) as server:
            seen = self._measured(self._ws(server), "--sockets", 6, "--waves", 1, "--message", "x", "--abuse", "stop-reading=50",
                                  "--abuse", "slow=50", "--seed", 3)
        self.assertEqual(0, seen["metrics"]["failed"])
        self.assertGreater(seen["metrics"]["opened"], 5)

    def a_target_that_refuses_ends_the_run_with_its_reason(self):
        port = free_port()
        for url in (f"ws://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/", self._url(port=port)):
            ran = self._stress(url, *SHORT, "--sockets", 50)
            self.assertEqual(STATUS["failed"], ran.status, ran)
            self.assertIn("the target:", ran.err)
            self.assertIn("refused", ran.err.lower(), url)

    def what_caps_a_run_is_said_before_it(self):
        pg = self.postgres(max_connections=20, superuser_reserved_connections=3)
        url, watched = self._url(port=pg.port), ("--postgres", self._url("postgres", "postgres", port=pg.port))
        ran = self._stress(url, *watched, "--sockets", 30, "--burst", 0, "--preflight")
        self.assertEqual(STATUS["fine"], ran.status, ran)
        self.assertRegex(ran.out, r"(?s)target +lets us log in.*20 places \(max_connections\), 3 reserved, 0 taken: 16 left\n"
                                  r" +CAPS the run: at most 16 of 30 sockets")
        ran = self._stress(url, *watched, "--sockets", 10, "--burst", 0, "--preflight")
        self.assertNotIn("CAPS", ran.out)
        self.assertEqual(0, pg.backends(user="app"))
        pooler = self.pooler(pg=pg, settings={"pool_mode": "transaction", "max_client_conn": 25})
        ran = self._stress(self._url(port=pooler.port), "--console", f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer",
                           "--sockets", 30, "--burst", 0, "--preflight")
        self.assertRegex(ran.out, r"25 clients \(max_client_conn\).*\n +CAPS the run: at most 25 of 30 sockets")
        self.assertRegex(ran.out, r" ports +\d+ for one target")
        # By a unix socket nobody needs a port.
        ran = self._stress(f"postgresql://app@/app?host={pooler.folder}&port={pooler.port}", "--preflight")
        self.assertRegex(ran.out, "target +lets us log in")
        self.assertNotIn(" ports ", ran.out)
        ran = self._stress(url, *watched, *SHORT, "--sockets", 20, "--waves", 1, "--json", "-")
        self.assertIn("PostgreSQL", [check["what"] for check in ran.json["preflight"] if (check["caps_at"] or 20) <= 16])

    def a_hostile_server_is_told_of_and_survived(self):
        def status(line, more=b""):
            def answer(peer):
                read_request(peer)
                peer.sendall(b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n" + more + b"\r\n")
                return "said"
            return answer

        def flood(peer):
            read_request(peer)
            while True:
                peer.sendall(b"x" * 65536)

        def mute(peer):
            read_request(peer)
            return peer.recv(1)

        def garbage(peer):
            accept_websocket(peer)
            peer.sendall(os.urandom(5000))
            time.sleep(0.2)

        def huge(peer):
            accept_websocket(peer)
            peer.sendall(b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" + b"z" * 100000)
            time.sleep(1)

        def closes(peer):
            accept_websocket(peer)
            read_frame(peer)
            peer.sendall(frame(8, struct.pack(">H", 1011) + b"<b>\x1b[2J"))
            time.sleep(0.2)
        cases = [(status(b"403 Forbidden"), "failed"), (status(b"302 Found", b"Location: http://192.0.2.1/\r\n"), "failed"),
                 (flood, "failed"), (mute, "failed"), (lambda peer: peer.sendall(b"\0" * 100), "failed"), (garbage, None), (huge, None),
                 (closes, None)]
        for answer, expected in cases:
            with Hostile(answer) as server:
                ran = self._stress(self._ws(server), *SHORT, "--timeout", "500ms", "--sockets", 6, "--waves", 1, "--message", "x",
                                   "--html", "page.html", "--json", "-")
                if expected:
                    self.assertEqual(STATUS[expected], ran.status, ran)
                self.assertIn(ran.status, (0, 1), ran)
                self.assertNotIn("\x1b", ran.err.replace("\x1b[K", ""))
                self.assertGreater(ran.json["metrics"]["errors"], 0, ran)
                self.assertNotIn("<b>", (self.folder / "page.html").read_text().split("</style>")[1].replace("<b>all</b>", "").replace(
                    "<div><b>", "").replace("<p><b>", ""))

    def tls_wants_a_certificate_that_somebody_vouches_for(self):
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
                        "-subj", "/CN=localhost"], check=True, timeout=30, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        def secret(peer):
            with context.wrap_socket(peer, server_side=True) as wrapped:
                return echo(wrapped)
        with Hostile(secret) as server:
            url = f"wss://127.0.0.1:{server.port}/"
            ran = self._stress(url, *SHORT, "--sockets", 5, "--message", "x")
            self.assertEqual(STATUS["failed"], ran.status, ran)
            self.assertIn("a certificate nobody vouches for", ran.out)
            seen = self._measured(url, "--sockets", 5, "--waves", 1, "--message", "x", "--expect", "x", "--insecure")
        self.assertEqual(0, seen["metrics"]["errors"], seen["errors"])
        self.assertGreater(seen["metrics"]["answered"], 4)

    def http_is_asked_again_and_again_with_connections_of_its_own(self):
        paths = []

        def page(peer):
            paths.append(read_request(peer).split(b" ")[1])
            peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            return "served"
        with Hostile(page) as server:
            seen = self._measured(f"http://127.0.0.1:{server.port}/x?n={{{{i}}}}", "--sockets", 5, "--waves", 1, "--think", "100ms",
                                  "--expect", "hell")
        self.assertEqual(0, seen["metrics"]["errors"], seen["errors"])
        self.assertGreater(seen["metrics"]["opened"], 12)
        self.assertEqual(len(paths), len(set(paths)))

    def an_http_target_is_sent_a_method_and_a_body(self):
        seen = []

        def take(peer):
            head = read_request(peer)
            length = int((re.search(rb"(?i)\r\ncontent-length: *(\d+)", head) or [0, 0])[1])
            head, _, body = head.partition(b"\r\n\r\n")
            body += read_exactly(peer, length - len(body))
            kind = re.search(rb"(?i)\r\ncontent-type: *([^\r]+)", head)
            seen.append((head.split(b" ")[0].decode(), kind and kind[1].decode(), body.decode()))
            if seen[-1][0] in ("DELETE", "HEAD"):
                peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n" if seen[-1][0] == "DELETE" else
                             b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                return peer.recv(1)
            peer.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return "served"
        for more, method, kind, body in ((("--data", '{"n": {{i}}}', "--expect-match", '^."n": [0-9]+.$'), "POST", "application/json", '{"n": 1}'),
                                         (("--method", "DELETE"), "DELETE", None, ""), (("--method", "head"), "HEAD", None, "")):
            seen.clear()
            with Hostile(take) as server:
                ran = self._measured(f"http://127.0.0.1:{server.port}/", "--sockets", 3, "--waves", 1, "--warm-up", 0, "--burst", 0, "--think",
                                     "100ms", *more, "--assert", "errors == 0 && answered > 0")
            self.assertEqual((method, kind), seen[0][:2], ran["errors"])
            self.assertEqual(body, seen[0][2])

    def sockets_leave_from_several_addresses(self):
        came_from = []

        def page(peer):
            came_from.append(peer.getpeername()[0])
            read_request(peer)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        with Hostile(page) as server:
            ran = self._stress(f"http://127.0.0.1:{server.port}/", *SHORT, "--sockets", 6, "--waves", 1, "--warm-up", 0, "--burst", 0,
                               "--hold", "1500ms", "--source", "127.0.0.2,127.0.0.3", "--source", "127.0.0.7", "--assert", "errors == 0")
        self.assertEqual(STATUS["fine"], ran.status, ran)
        self.assertEqual({"127.0.0.2", "127.0.0.3", "127.0.0.7"}, set(came_from))
        self.assertIn("from these addresses", ran.out + ran.err)
        ran = self._stress("http://127.0.0.1:9/", "--source", "192.0.2.1")
        self.assertEqual(STATUS["failed"], ran.status, ran)
        self.assertIn("must be an address of this machine", ran.err)

    def an_http_error_is_a_wrong_answer(self):
        def page(peer):
            read_request(peer)
            peer.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno")
        with Hostile(page) as server:
            seen = self._measured(f"http://127.0.0.1:{server.port}/", "--sockets", 3, "--waves", 1, "--assert", "wrong_percent == 100")
        self.assertEqual("HTTP status 500", seen["errors"][0]["text"])


class Usage(Stressing):
    """The command line, the results' files, the exit status."""

    def help_fits_a_screen_and_ends_with_an_example(self):
        ran = self._stress("--help")
        self.assertEqual(0, ran.status)
        self.assertLessEqual(len(ran.out.splitlines()), 40)
        self.assertLessEqual(max(map(len, ran.out.splitlines())), 130)
        self.assertIn("Example:", ran.out.splitlines()[-1])

    def mistakes_say_what_and_what_was_perhaps_meant(self):
        ws = "ws://127.0.0.1:9/"
        for arguments, says in (((), "which target?"), ((ws, ws), "one URL only"), (("ftp://x/",), "ws://, wss://"),
                                (("--sockets",), "--sockets wants a value"), (("--hodl", "3s"), "perhaps --hold?"),
                                ((ws, "--sockets", "0"), "from 1 to 100000"), ((ws, "--hold", "5"), "with its unit"), ((ws, "--ramp", "5"), "a rate (50/s)"),
                                ((ws, "--abuse", "rest"), "perhaps reset?"), ((ws, "--abuse", "reset=101"), "1 to 100"),
                                ((ws, "--abuse", "reset=60", "--abuse", "slow=50"), "more than 100 percent"),
                                ((ws, "--abuse", "transaction"), "postgresql:// targets"),
                                (("http://127.0.0.1/", "--abuse", "come-and-go"), "ws:// and postgresql://"),
                                ((ws, "--prepared"), "postgresql:// targets"),
                                ((self._url(), "--first", "x"), "is for ws://"), ((ws, "--expect", "x"), "wants --message"),
                                ((ws, "--source", "eth0"), "numeric addresses"), ((self._url(), "--source", "127.0.0.2"), "unix socket"),
                                ((ws, "--header", "no colon"), "Name: value"), ((ws, "--header", "A: b\r\nC: d"), "Name: value"),
                                (("http://127.0.0.1/", "--message", "x"), "is --data"), ((ws, "--data", "x"), "is --message"),
                                (("http://127.0.0.1/", "--method", "PSOT"), "perhaps POST?"), ((ws, "--method", "GET"), "is for http://"),
                                (("http://127.0.0.1/", "--method", "HEAD", "--data", "x"), "HEAD has no --data"), ((ws, "--role", "x"), "--postgres or --console"),
                                ((ws, "--assert", "leakd==0"), "perhaps 'leaked'?"), ((ws, "--assert", "p99_connect<200"), "write its unit"),
                                ((ws, "--json", "-", "--html", "-"), "only one of"), ((ws, "--assert", "pattern<L3"), "== and !="),
                                ((ws, "--knee", "leaked==0"), "is not known while"), ((ws, "--knee", "errors=0"), "to compare, write =="),
                                ((ws, "--knee", "errors==0", "--storm"), "level by level"), (("postgresql://[",), "a URL is")):
            ran = self._stress(*arguments)
            self.assertEqual(STATUS["usage"], ran.status, ran)
            self.assertIn(says, ran.err, arguments)

    def only_this_machine_is_a_target(self):
        for url in ("ws://192.0.2.1/", "http://example.com/", "wss://127.0.0.1.example.com/", "postgresql://192.0.2.1/x",
                    "postgresql://127.0.0.1,192.0.2.1/x", "postgresql://localhost/x?hostaddr=192.0.2.1", "postgresql:///x?service=prod"):
            ran = self._stress(url)
            self.assertEqual(STATUS["usage"], ran.status, ran)
            self.assertIn("--i-own-this-target", ran.err, url)

    def what_cannot_be_written_is_said_before_the_run(self):
        ran = self._stress("ws://127.0.0.1:9/", "--html", "/nowhere/x.html")
        self.assertEqual(STATUS["failed"], ran.status)
        self.assertIn("/nowhere/x.html can not be written", ran.err)

    def too_many_sockets_for_this_machine_are_refused_with_the_reason(self):
        ran = self._stress("ws://127.0.0.1:9/", "--sockets", 100000, "--burst", 0)
        self.assertEqual(STATUS["failed"], ran.status)
        self.assertRegex(ran.err, "ulimit -Hn|ip_local_port_range")

    def a_pooler_is_not_taken_for_postgresql(self):
        pooler = self.pooler(settings={"pool_mode": "transaction"})
        ran = self._stress(self._url(), "--postgres", self._url(port=pooler.port))
        self.assertEqual(STATUS["usage"], ran.status, ran)
        self.assertIn("this leads to a pooler", ran.err)
        ran = self._stress(self._url(), "--console", self._url(port=pooler.port))
        self.assertEqual(STATUS["usage"], ran.status, ran)
        self.assertIn("SHOW POOLS is refused", ran.err)

    def an_assertion_decides_the_status_and_is_in_every_report(self):
        postgres = ("--postgres", self._url("postgres", "postgres"), "--role", "app")
        for text, status in (("leaked==0 && p99_connect<5s", "fine"), ("opened==1", "not_so"), ("p99_reply<5s || leaked==7", "fine")):
            ran = self._stress(self._url(), *SHORT, "--sockets", 3, "--waves", 1, *postgres, "--assert", text, "--junit", "junit.xml",
                               "--html", "page.html")
            self.assertEqual(STATUS[status], ran.status, ran)
            suite = xml.etree.ElementTree.parse(self.folder / "junit.xml").getroot()
            self.assertEqual(status != "fine" or "||" in text, len(suite.findall("testcase/failure")) > 0)
            self.assertEqual(int(suite.get("tests")), len(suite.findall("testcase")))
            self.assertEqual(int(suite.get("failures")), len(suite.findall("testcase/failure")))
            self.assertIn("Asserted", (self.folder / "page.html").read_text())
        ran = self._stress(self._url(), *SHORT, "--sockets", 3, "--waves", 1, "--assert", "leaked==0")
        self.assertEqual(STATUS["not_so"], ran.status, "what was not looked at is not asserted")
        self.assertIn("NOT KNOWN", ran.out)
