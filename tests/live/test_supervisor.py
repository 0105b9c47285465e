"""Started by systemd, or by who speaks as it does: sd_notify and sockets that are handed over."""
import json
import os
import re
import signal
import socket
import sys

import wire
from harness import Pooler, Story, wait_until
from wire import Client

# Become the program with listening sockets from descriptor 3 on, as systemd does.
HAND_OVER = """
import os, socket, sys
taken = []
for where in sys.argv[1].split(","):
    one = socket.socket(socket.AF_UNIX if where.startswith("/") else socket.AF_INET)
    one.bind(where if where.startswith("/") else ("127.0.0.1", int(where)))
    if where != sys.argv[2]:
        one.listen(64)
    taken.append(os.dup(one.fileno()))
high = [os.dup2(fd, 100 + number) for number, fd in enumerate(taken)]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


class Activated(Pooler):
    """A pooler that is handed its sockets: ports and paths in `sockets`; the one in `deaf` does not listen."""
    sockets, deaf = (), ""

    def command(self):
        where = ",".join(map(str, self.sockets))
        return [sys.executable, "-c", HAND_OVER, where, self.deaf, *super().command()]


class Told(Story):
    kinds = ("pgweir",)

    def _listen(self, abstract=False):
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(ear.close)
        path = str(self.own_folder() / "notify")
        os.chmod(os.path.dirname(path), 0o777)
        if abstract:
            ear.bind("\0" + path)
            return ear, "@" + path
        ear.bind(path)
        os.chmod(path, 0o777)
        return ear, path

    def _heard(self, ear):
        ear.settimeout(10 * wire.PATIENCE)
        return dict(line.split("=", 1) for line in ear.recv(4096).decode().splitlines())

    def it_says_when_it_is_ready_reloads_and_stops(self):
        for called in ("pgweir", "pgbouncer"):
            for abstract in (False, True):
                ear, path = self._listen(abstract)
                pooler = self.pooler(called=called, environment={"NOTIFY_SOCKET": path})
                said = self._heard(ear)
                self.assertEqual(("1", str(pooler.pid)), (said["READY"], said["MAINPID"]))
                client = pooler.client()
                client.value("SELECT 1")
                pooler.reload()
                said = self._heard(ear)
                self.assertEqual("1", said["RELOADING"])
                self.assertGreater(int(said["MONOTONIC_USEC"]), 0)
                self.assertEqual("1", self._heard(ear)["READY"])
                pooler.settings["no_such"] = 1
                pooler.write_files()
                pooler.reload()
                self.assertIn("RELOADING", self._heard(ear))
                said = self._heard(ear)
                self.assertIn("no_such", said["STATUS"])
                self.assertEqual("1", said["READY"])
                pooler.process.send_signal(signal.SIGTERM)
                said = self._heard(ear)
                self.assertEqual("1", said["STOPPING"])
                self.assertIn("waiting for clients", said["STATUS"])
                client.close()
                self.assertEqual(0, pooler.wait())

    def an_ear_that_nobody_has_does_no_harm(self):
        pooler = self.pooler(environment={"NOTIFY_SOCKET": "/no/such/socket"})
        self.assertEqual("1", pooler.client().value("SELECT 1"))


class Handed_over(Story):
    kinds = ("pgweir",)

    def _activated(self, *sockets, deaf="", **options):
        pooler = Activated(**options)
        pooler.sockets, pooler.deaf = sockets or (pooler.port,), deaf
        return self.keep(pooler)

    def sockets_stand_for_those_of_the_configuration(self):
        pooler = self._activated(settings={"listen_addr": "127.0.0.1"})
        path = f"{pooler.folder}/handed"
        pooler.sockets = (pooler.port, path)
        pooler.start()
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        with Client(path) as client:
            self.assertEqual("1", client.value("SELECT 1"))
        self.assertFalse(os.path.exists(pooler.socket_path))
        pooler.await_log("(handed over)")
        pooler.stop()
        self.assertTrue(os.path.exists(path), "the file is his who made the socket")

    def one_that_does_not_listen_ends_the_start(self):
        pooler = self._activated()
        pooler.deaf = str(pooler.port)
        pooler.launch()
        self.assertEqual(1, pooler.wait())
        pooler.await_log("no stream socket that listens")

    def those_for_another_process_are_left_alone(self):
        pooler = self.pooler(environment={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        self.assertNotIn("handed over", pooler.log())


class Log_lines(Story):
    kinds = ("pgweir",)

    def are_written_in_the_form_that_log_format_says_and_a_reload_changes_it(self):
        pooler = self.pooler(settings={"log_format": "json"})
        pooler.client(parameters={"application_name": 'a "name"'}).value("SELECT 1")
        pooler.await_log(pattern="login attempt: db=app user=app.*\n")
        lines = [json.loads(line) for line in pooler.log().splitlines()]
        self.assertTrue(any("login attempt: db=app user=app" in line["message"] and line["error_severity"] == "LOG" for line in lines))
        self.assertEqual({pooler.pid}, {line["pid"] for line in lines})
        pooler.settings["log_format"] = "logfmt"
        pooler.write_files()
        pooler.reload()
        wait_until("the form changes",
                   lambda: re.search(r'^time="[^"]+" level=LOG pid=\d+ msg="configuration reloaded"$', pooler.log(), re.M))
        pooler.console().query("SET log_format = 'pgbouncer'")
        pooler.client().close()
        wait_until("it is PgBouncer's form", lambda: re.search(r"^[0-9: .-]+ \S+ \[\d+\] LOG C-", pooler.log(), re.M))
