"""pgweir stress against the application of the founding incident, and against the same application mended.

Not among the live tests of every run: the group `stress` of tests/groups asks for it.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from harness import free_port, full_only, live, takes, wait_until
from stress import STATUS, Stressing

TOP = pathlib.Path(__file__).resolve().parents[2]
THREADS = 24
TALK = '{"type": "message", "conversation": "{{i}}", "text": "hello"}'
# A rest must be longer than an answer takes.
TIMES = ("--baseline", "1s", "--warm-for", "1s", "--ramp", "1s", "--hold", "2s", "--burst-for", "1s", "--drain", "1500ms", "--settle", "2s",
         "--sample", "200ms", "--think", "500ms")


class Chat(Stressing):
    """One daphne process with THREADS threads, as in the incident."""

    def setUp(self):
        super().setUp()
        self.pg = self.postgres(max_connections=100)
        self.site = self.folder / "site"
        shutil.copytree(TOP / "examples" / "chat", self.site, ignore=shutil.ignore_patterns("__pycache__"))

    def _environment(self, port, mended):
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore", "PGSSLMODE": "disable",
                "DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(port), "DATABASE_NAME": "app", "DATABASE_USER": "app",
                "ASGI_THREADS": str(THREADS), "CHAT_THINK_SECONDS": "0.3", "CHAT_MENDED": "1" if mended else "0"}

    def _daphne(self, port, mended=False):
        environment = self._environment(self.pg.port, mended)
        subprocess.run(["/usr/bin/python3", "manage.py", "migrate", "--verbosity", "0"], cwd=self.site, env=environment, timeout=60,
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        web = free_port()
        with open(self.folder / "daphne.log", "ab") as log:
            child = subprocess.Popen(["/usr/bin/daphne", "-b", "127.0.0.1", "-p", str(web), "lfg.asgi:application"], cwd=self.site,
                                     env=self._environment(port, mended), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True)

        def end():
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(5)
                    return
        self.addCleanup(end)

        def up():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", web), timeout=1).close()
                return True
            self.assertIsNone(child.poll(), (self.folder / "daphne.log").read_text()[-2000:])
            return False
        wait_until("daphne listens", up, timeout=30)
        return web

    def _talk(self, web, *arguments, status):
        ran = self._stress(f"ws://127.0.0.1:{web}/ws/chat/", *TIMES, "--sockets", 30, "--message", TALK, "--expect", '"reply"',
                           "--postgres", self._url("postgres", "postgres"), "--role", "app", "--json", "-", *arguments, timeout=150)
        self.assertEqual(STATUS[status], ran.status, ran)
        return ran.json

    @takes(150)
    def the_founding_application_keeps_what_its_threads_opened_and_is_called_l3(self):
        seen = self._talk(self._daphne(self.pg.port), status="leak")
        verdict = seen["verdict"]
        self.assertEqual("L3", verdict["pattern"], verdict)
        self.assertEqual(3, verdict["waves"])
        self.assertGreaterEqual(verdict["leaked"], THREADS / 2)
        self.assertLessEqual(verdict["at_rest"][3], THREADS + 1)
        self.assertGreaterEqual(verdict["confidence_percent"], 90)
        self.assertEqual(0, seen["metrics"]["failed"])

    @takes(150)
    def the_same_application_mended_leaks_nothing(self):
        seen = self._talk(self._daphne(self.pg.port, mended=True), "--assert", "leaked==0 && errors==0 && waves==3 && answered>60",
                          status="fine")
        self.assertEqual("none", seen["verdict"]["kind"])
        self.assertLessEqual(max(seen["verdict"]["at_rest"]), 1)

    @full_only
    @takes(200)
    def mended_it_leaks_nothing_under_abuse_either(self):
        self._talk(self._daphne(self.pg.port, mended=True), "--abuse", "chaos=60", "--storm", "--waves", 4, "--assert",
                   "leaked==0 && abused>10", status="fine")

    @full_only
    @takes(200)
    def behind_pgweir_the_leak_is_seen_among_its_clients(self):
        pooler = self.pooler(pg=self.pg, settings={"pool_mode": "transaction", "default_pool_size": 5})
        seen = self._talk(self._daphne(pooler.port), "--console", f"postgresql://admin@127.0.0.1:{pooler.port}/pgbouncer", status="leak")
        self.assertGreaterEqual(seen["verdict"]["leaked"], THREADS / 2)
        self.assertLessEqual(max(sample["sessions"] for sample in seen["timeline"]), 6)
