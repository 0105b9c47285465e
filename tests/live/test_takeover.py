"""-R: a process takes the place of another, and nobody notices."""
import contextlib
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import threading

import psycopg

import papers
import wire
from harness import Pooler, Story, live, unprivileged, user_options, wait_until
from wire import Client, query

FDS = ("fd task user database addr port cancel link client_encoding std_strings datestyle timezone password"
       " scram_client_key scram_server_key").split()

# A console over the socket sys.argv[1] as the user sys.argv[2], that keeps the descriptors that come with an answer in `fds`.
BY_HAND = """
import array, socket, struct, sys
s, fds = socket.socket(socket.AF_UNIX), array.array('i')
s.settimeout(60)
s.connect(sys.argv[1])
def ask(message):
    s.sendall(message)
    got = b''
    while not got.endswith(b'Z\\0\\0\\0\\5I'):
        more, control, *_ = s.recvmsg(4096, 1024)
        if not more: sys.exit('it hung up')
        got += more
        for level, kind, data in control: fds.frombytes(data)
def command(words):
    ask(b'Q' + struct.pack('!i', len(words) + 5) + words.encode() + b'\\0')
body = struct.pack('!i', 3 << 16) + b'user\\0%s\\0database\\0pgbouncer\\0\\0' % sys.argv[2].encode()
ask(struct.pack('!i', len(body) + 4) + body)
command('SHOW FDS')
"""


class Successor:
    """A process that takes the place of `pooler`'s, with the same files; `stop` ends what is left of both."""

    def __init__(self, pooler, *options):
        self.pooler = pooler
        log = open(pooler.log_path, "ab")
        command = pooler.command()
        # `pgweir serve -R FILE.ini`, `pgbouncer -R FILE.ini`
        command[-1 if pooler.called == "pgbouncer" else 2:0] = ["-R", *options]
        environment = {**os.environ, **pooler.environment}
        self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=pooler.folder,
                                        start_new_session=True, env=environment, **user_options())
        log.close()


class Story_of_two(Story):
    def _taken_over(self, pooler):
        """The pooler's process becomes the successor; the forerunner's process is returned."""
        forerunner, successor = pooler.process, Successor(pooler).process
        self.addCleanup(self._end, forerunner)
        pooler.process = successor
        says = f"process {successor.pid} has taken over"
        wait_until("it takes over", lambda: says in pooler.log() or successor.poll() is not None, timeout=20)
        self.assertIsNone(successor.poll(), pooler.log()[-2000:])
        wait_until("it has all that it takes", lambda: f"[{successor.pid}] LOG took over" in pooler.log(), timeout=20)
        return forerunner

    def _end(self, process):
        if process.poll() is None:
            process.kill()
            process.wait(10)

    def _ends(self, process):
        self.assertEqual(0, process.wait(20 * wire.PATIENCE))


class Taken_over(Story_of_two):
    kinds = ("pgweir",)

    def clients_go_on_where_they_are_and_new_ones_come_to_the_successor(self):
        for called in ("pgweir", "pgbouncer"):
            pooler = self.pooler(called=called, settings={"pidfile": "pid"})
            pid_file = pooler.folder / "pid"
            idle, busy, local = pooler.client(), pooler.client(), Client(pooler.socket_path)
            idle.prepare("kept", "SELECT 'prepared before'")
            busy.begin()
            backend = busy.value("SELECT pg_backend_pid()")
            self.assertEqual(str(pooler.pid), pid_file.read_text().strip())
            forerunner = self._taken_over(pooler)
            self.assertEqual(str(pooler.pid), pid_file.read_text().strip())
            # Each of the old ones goes on, in its transaction and with its statements; new ones come by both roads.
            self.assertEqual(backend, busy.value("SELECT pg_backend_pid()"))
            busy.query("COMMIT")
            self.assertEqual("prepared before", idle.run_prepared("kept").value)
            self.assertEqual("1", local.value("SELECT 1"))
            for where in (pooler.address, pooler.socket_path):
                with Client(where) as client:
                    self.assertEqual("2", client.value("SELECT 2"))
            wait_until("the successor has none of them", lambda: not [row for row in pooler.show("CLIENTS") if row["database"] == "app"])
            for client in (idle, busy):
                client.close()
            self.assertIsNone(forerunner.poll())
            local.close()
            self._ends(forerunner)
            # What the last one leaves is the successor's.
            self.assertTrue(os.path.exists(pooler.socket_path))
            self.assertEqual(str(pooler.pid), pid_file.read_text().strip())
            self.assertEqual([f".s.PGSQL.{pooler.port}"], [name for name in os.listdir(pooler.folder) if name.startswith(".s.")])
            with Client(pooler.socket_path) as client:
                self.assertEqual("3", client.value("SELECT 3"))
            pooler.stop()
            self.assertFalse(os.path.exists(pooler.socket_path) or pid_file.exists())

    def a_load_of_a_real_driver_sees_no_error(self):
        pooler = self.pooler(settings={"default_pool_size": 4})
        where = f"host=127.0.0.1 port={pooler.port} user=app dbname=app connect_timeout=30"
        done, ending, errors = [0] * 6, threading.Event(), []

        def stays(number):
            with psycopg.connect(where, autocommit=True) as connection:
                while not ending.is_set():
                    with connection.transaction():
                        connection.execute("SELECT set_config('work_mem', '5MB', true)")
                        assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
                    done[number] += 1

        def comes_and_goes(number):
            while not ending.is_set():
                with psycopg.connect(where, autocommit=True) as connection:
                    assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
                done[number] += 1

        def kept(work, number):
            try:
                work(number)
            except BaseException as error:
                errors.append(repr(error))
        threads = [threading.Thread(target=kept, args=(stays if number < 3 else comes_and_goes, number)) for number in range(6)]
        for thread in threads:
            thread.start()
        try:
            forerunners = []
            for _ in range(3):
                before = list(done)
                wait_until("all work", lambda: errors or all(now > then for now, then in zip(done, before)), timeout=20)
                forerunners.append(self._taken_over(pooler))
            before = list(done)
            wait_until("all still work", lambda: errors or all(now > then for now, then in zip(done, before)), timeout=20)
        finally:
            ending.set()
            for thread in threads:
                thread.join(40)
        self.assertEqual([], errors)
        for forerunner in forerunners:
            self._ends(forerunner)

    def who_has_tls_goes_on_and_who_is_new_has_it_too(self):
        folder = self.own_folder()
        authority = papers.Authority(folder)
        certificate, key = authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        pooler = self.pooler(settings={"client_tls_sslmode": "require", "client_tls_cert_file": certificate, "client_tls_key_file": key})

        def came_in():
            return Client(pooler.address, tls=ssl.create_default_context(cafile=authority.certificate))
        with came_in() as old:
            old.begin()
            backend = old.value("SELECT pg_backend_pid()")
            forerunner = self._taken_over(pooler)
            # What it says goes on in its session of TLS, and comes to where its transaction is.
            self.assertEqual((backend, str(3 << 20)), tuple(old.query(
                f"SELECT pg_backend_pid(), length('{'x' * (3 << 20)}')").rows[0]))
            old.query("COMMIT")
            with came_in() as new:
                self.assertEqual("1", new.value("SELECT 1"))
            self.refused(Client, pooler.address, says="SSL required")
            # A cancel comes by a connection of its own, with TLS, to the successor, and finds the client of the one before.
            old.send(query("SELECT pg_sleep(60)"))
            wait_until("it sleeps", lambda: self.pg.value(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'") == "1")
            old.cancel()
            self.assertEqual("57014", old.reply().error.sqlstate)
            self.assertIsNone(forerunner.poll())
        self._ends(forerunner)

    def who_listens_hears_at_both_processes(self):
        pooler = self.pooler()
        old, stays = pooler.client(), pooler.client()
        old.query("LISTEN news")
        forerunner = self._taken_over(pooler)
        new = pooler.client()
        new.query("LISTEN news")
        # Said by a client of each, and past both.
        for number, say in enumerate((stays.query, new.query, lambda sql: self.pg.value(sql, database="app"))):
            say(f"NOTIFY news, '{number}'")
        for client in (old, new):
            wait_until("it hears all", lambda client=client: len(self._heard(client)) >= 3, timeout=30)
            self.assertEqual([("news", str(number)) for number in range(3)], self._heard(client))
        old.query("UNLISTEN news")
        new.query("NOTIFY news, 'last'")
        wait_until("the new one hears it", lambda: self._heard(new)[-1] == ("news", "last"), timeout=30)
        self.assertEqual(3, len(self._heard(old)))
        old.close()
        stays.close()
        self._ends(forerunner)
        new.query("NOTIFY news, 'after'")
        wait_until("the new one hears on", lambda: self._heard(new)[-1] == ("news", "after"), timeout=30)

    def _heard(self, client):
        while client.readable():
            client.read()
        return [said[1:] for said in client.notifications]

    def a_session_goes_on_with_all_that_it_holds(self):
        for called in ("pgweir", "pgbouncer"):
            pooler = self.pooler(called=called, settings={"pool_mode": "session", "default_pool_size": 2})
            old, rests = pooler.client(), pooler.client()
            old.query("SET work_mem = '5MB'; CREATE TEMP TABLE mine AS SELECT 7 AS n; SELECT pg_advisory_lock(77); "
                      "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 3); FETCH c")
            old.prepare("kept", "SELECT n FROM mine")
            backend = old.value("SELECT pg_backend_pid()")
            forerunner = self._taken_over(pooler)
            new = pooler.client()
            self.assertEqual("f", new.value("SELECT pg_try_advisory_lock(77)"))
            self.assertEqual("4MB", new.value("SHOW work_mem"))
            for sql, expected in (("SELECT pg_backend_pid()", backend), ("SHOW work_mem", "5MB"), ("FETCH c", "2"),
                                  ("SELECT n FROM mine", "7")):
                self.assertEqual(expected, old.value(sql), sql)
            self.assertEqual("7", old.run_prepared("kept").value)
            # The end of the session is the end of what it held, though its process lives on for the other.
            old.close()
            wait_until("its lock is free", lambda new=new: new.value("SELECT pg_try_advisory_lock(77)") == "t", timeout=30)
            self.assertIsNone(forerunner.poll())
            self.assertEqual("1", rests.value("SELECT 1"))
            rests.close()
            self._ends(forerunner)
            self.assertEqual("2", new.value("SELECT 2"))
            new.close()                                     # the lock is wanted again

    def a_cancel_finds_clients_of_every_process_before(self):
        pooler = self.pooler()
        sleeping = [pooler.client()]
        forerunners = []
        for _ in range(2):
            forerunners.append(self._taken_over(pooler))
            sleeping.append(pooler.client())
        for client in sleeping:
            client.send(query("SELECT pg_sleep(600)"))
        wait_until("all three sleep", lambda: self.pg.value("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'") == "3")
        for client in sleeping:
            client.cancel()
            reply = client.reply()
            self.assertEqual("57014", reply.error.sqlstate)
            client.close()
        for forerunner in forerunners:
            self._ends(forerunner)

    def consoles_are_ended_so_that_who_watches_comes_to_the_successor(self):
        pooler = self.pooler()
        client, console = pooler.client(), pooler.console()
        console.query("SHOW POOLS")
        forerunner = self._taken_over(pooler)
        kind, body = console.read()
        self.assertEqual((b"E", "57P01"), (kind, wire.fields_of(body)["C"]))
        console.expect_closed()
        pooler.console().query("SHOW POOLS")
        client.close()
        self._ends(forerunner)

    def a_console_that_logs_in_afterwards_does_not_keep_the_forerunner(self):
        pooler = self.pooler()
        late = Client(pooler.address, login=False)
        late.send(wire.special(wire.SSL_CODE))
        self.assertEqual(b"N", late.read_bytes(1))      # so it was accepted, by this process
        forerunner = self._taken_over(pooler)
        self.refused(late.login, "admin", "pgbouncer", says="another process has taken over")
        self._ends(forerunner)

    def a_successor_that_can_not_start_changes_nothing(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            pooler = self.pooler(settings={"pidfile": "pid"})
            client = pooler.client()
            # Its file asks for what it can not have: it has the sockets by then.
            pooler.settings["listen_addr"] = "127.0.0.1, 192.0.2.1"
            pooler.write_files()
            for options in ((), ("-d",)):
                successor = Successor(pooler, *options).process
                self.addCleanup(self._end, successor)
                self.assertEqual(1, successor.wait(20 * wire.PATIENCE), options)
        pooler.await_log("it did not start: could not listen on 192.0.2.1")
        pooler.await_log("could not listen on 192.0.2.1")
        self.assertEqual(str(pooler.pid), (pooler.folder / "pid").read_text().strip())
        self.assertEqual("1", client.value("SELECT 1"))
        for where in (pooler.address, pooler.socket_path):
            with Client(where) as another:
                self.assertEqual("1", another.value("SELECT 1"))

    def a_successor_that_dies_before_it_serves_leaves_the_forerunner_in_its_place(self):
        """All that a successor does up to that moment, by hand: its doors are ours then, and it accepts nobody."""
        pooler = self.pooler(settings={"pidfile": "pid"})
        inside = pooler.client()
        for _ in range(2):
            successor = subprocess.Popen(
                ["python3", "-c", BY_HAND + "import os\ncommand(f'SHUTDOWN TAKEN_OVER {os.getpid()}')\nprint('shut', flush=True)\ninput()",
                 pooler.socket_path, "pgbouncer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **user_options())
            self.addCleanup(self._end, successor)
            self.assertEqual(b"shut\n", successor.stdout.readline())
            # Every worker has shut its doors, so these wait in the kernel's queue.
            newcomers = [Client(where, login=False) for where in (pooler.address, pooler.socket_path)]
            self.assertEqual("1", inside.value("SELECT 1"))
            successor.kill()
            for newcomer in newcomers:
                newcomer.login("app", "app")
                self.assertEqual("2", newcomer.value("SELECT 2"))
                newcomer.close()
            self._end(successor)
            successor.stdin.close()
            successor.stdout.close()
            self.assertIn("active", [row["key"] for row in pooler.show("STATE")])
            self.assertEqual(str(pooler.pid), (pooler.folder / "pid").read_text().strip())
        # And then one that lives.
        forerunner = self._taken_over(pooler)
        inside.send(query("SELECT pg_sleep(600)"))
        wait_until("it sleeps", lambda: self.pg.value("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'") == "1")
        inside.cancel()
        self.assertEqual("57014", inside.reply().error.sqlstate)
        inside.close()
        self._ends(forerunner)
        self.assertEqual([f".s.PGSQL.{pooler.port}"], [name for name in os.listdir(pooler.folder) if name.startswith(".s.")])

    def a_daemon_takes_over_and_the_command_comes_back(self):
        pooler = self.pooler(called="pgbouncer", settings={"pidfile": "pid", "logfile": "daemon.log"})
        client, pid_file = pooler.client(), pooler.folder / "pid"
        self.assertEqual(0, Successor(pooler, "-d").process.wait(20 * wire.PATIENCE))
        # The command's end says that it is done.
        daemon = int(pid_file.read_text())
        self.assertNotEqual(pooler.pid, daemon)
        self.addCleanup(self._gone, daemon, str(pooler.ini))
        with Client(pooler.socket_path) as another:
            self.assertEqual("1", another.value("SELECT 1"))
        self.assertEqual("1", client.value("SELECT 1"))
        client.close()
        self.assertEqual(0, pooler.wait())
        self.assertEqual(str(daemon), pid_file.read_text().strip())
        os.kill(daemon, signal.SIGQUIT)
        wait_until("the daemon has cleared up", lambda: not pid_file.exists() and not os.path.exists(pooler.socket_path), timeout=20)

    @staticmethod
    def _gone(process, ini):
        """End it, if it still is what was started with this file."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if ini in pathlib.Path(f"/proc/{process}/cmdline").read_text():
                os.kill(process, signal.SIGKILL)

    def where_nobody_runs_it_starts_as_always(self):
        pooler = self.keep(Pooler())
        pooler.write_files()
        pooler.process = Successor(pooler).process
        pooler.await_log("process up")
        pooler.await_log("old process not found")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_supervisor_is_told_who_the_main_process_is(self):
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(ear.close)
        folder = self.own_folder()
        os.chmod(folder, 0o777)
        ear.bind(str(folder / "notify"))
        os.chmod(folder / "notify", 0o777)
        ear.settimeout(10 * wire.PATIENCE)
        pooler = self.pooler(environment={"NOTIFY_SOCKET": str(folder / "notify")})
        self.assertIn(f"MAINPID={pooler.pid}", ear.recv(4096).decode())
        first = pooler.pid
        forerunner = self._taken_over(pooler)
        said = ear.recv(4096).decode() + ear.recv(4096).decode()
        self.assertIn(f"Taken over from process {first}", said)
        self.assertEqual(2, said.count(f"MAINPID={pooler.pid}"))
        self.assertNotIn("STOPPING", said)
        self._ends(forerunner)
        pooler.process.send_signal(signal.SIGTERM)
        self.assertIn("STOPPING=1", ear.recv(4096).decode())
        self.assertEqual(0, pooler.wait())

    def the_dashboard_is_the_successors(self):
        import urllib.request
        from harness import free_port
        http = free_port()
        pooler = self.pooler(settings={"http_listen": f"127.0.0.1:{http}"})
        forerunner = self._taken_over(pooler)
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=10 * wire.PATIENCE) as answer:
            self.assertIn("pgweir_", answer.read().decode())
        self._ends(forerunner)


class Descriptors(Story):
    kinds = ("pgweir",)

    def are_listed_with_pgbouncers_columns(self):
        pooler = self.pooler(settings={"listen_addr": "127.0.0.1"})
        reply = pooler.console().query("SHOW FDS")
        self.assertEqual(FDS, reply.names)
        self.assertEqual(["SHOW"], reply.tags)
        rows = reply.dicts()
        self.assertEqual({("pooler", "127.0.0.1", str(pooler.port)), ("pooler", "unix", str(pooler.port))},
                         {(row["task"], row["addr"], row["port"]) for row in rows})
        self.assertEqual({"fd": 23, "cancel": 20, "scram_client_key": 17},
                         {name: oid for name, oid in reply.columns if name in ("fd", "cancel", "scram_client_key")})
        self.refused(pooler.console(user="stats").query, "SHOW FDS", says="admin access needed")

    def come_with_the_rows_to_the_user_that_runs_us_and_to_nobody_else(self):
        pooler = self.pooler()
        ask = BY_HAND + "print(len([1 for fd in fds if socket.socket(fileno=fd).getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]))"

        def count(name, **who):
            done = subprocess.run(["python3", "-c", ask, pooler.socket_path, name], stdout=subprocess.PIPE, timeout=60, check=True, **who)
            return int(done.stdout)
        self.assertEqual(2, count("pgbouncer", **user_options()))
        if unprivileged():
            self.assertEqual(0, count("admin"))  # of another system user: the rows alone

    def taken_over_by_nobody_is_refused(self):
        console = self.pooler().console()
        for words in ("SHUTDOWN TAKEN_OVER", "SHUTDOWN TAKEN_OVER 0", "SHUTDOWN TAKEN_OVER soon"):
            self.refused(console.query, words, says="bad arguments")
        self.assertEqual(["SHOW"], console.query("SHOW STATE").tags)
