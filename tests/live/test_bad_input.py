"""What goes wrong around a pooler, and whether it says what, where and what next, and disturbs nobody else."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import wire
from harness import Pooler, Story, give_away, live, on, takes, user_options, wait_until
from wire import Client, query


class Starting(Story):
    kinds = ("pgweir",)

    def _fails(self, pooler, *words, timeout=20):
        """It ends by itself, not with 0, and says these words."""
        self.keep(pooler)
        pooler.expect_crash = True
        pooler.launch()
        code = pooler.wait(timeout)
        self.assertGreater(code, 0, f"ended with {code}: {pooler.log()}")
        for word in words:
            pooler.await_log(str(word))
        return pooler.log()

    def a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            port = taken.getsockname()[1]
            pooler = Pooler(settings={"listen_port": port, "unix_socket_dir": ""})
            self.assertRegex(self._fails(pooler, port), r"(?i)in use")

    def a_missing_ini_is_named(self):
        pooler = Pooler()
        pooler.ini = pooler.folder / "nowhere.ini"
        pooler.write_files = lambda: None
        self.assertRegex(self._fails(pooler, "nowhere.ini"), r"(?i)no such file")

    def an_unknown_setting_is_named_with_file_line_and_the_nearest_name(self):
        pooler = Pooler(settings={"defaultpool_size": 3})
        line = next(number for number, text in enumerate(pooler.ini_text().splitlines(), 1) if text.startswith("defaultpool"))
        self._fails(pooler, "defaultpool_size", pooler.ini.name, f":{line}", "default_pool_size")

    def a_value_out_of_its_range_is_named_with_file_and_line(self):
        for key, value in (("listen_port", "seventy"), ("pool_mode", "chaos"), ("default_pool_size", "-3"), ("auth_type", "guess"),
                           ("server_lifetime", "1 hour or so")):
            with self.subTest(key):
                pooler = Pooler(settings={key: value})
                line = next(number for number, text in enumerate(pooler.ini_text().splitlines(), 1) if text.startswith(key + " ="))
                self._fails(pooler, key, pooler.ini.name, f":{line}")

    def an_unknown_key_of_a_database_is_named(self):
        pooler = Pooler(databases={"app": "dbname=app pol_size=3"})
        self._fails(pooler, "pol_size", pooler.ini.name, ":2", "pool_size")

    def an_unknown_section_is_named(self):
        pooler = Pooler()
        text = pooler.ini_text() + "\n[dolphins]\nflipper = 1\n"
        pooler.ini_text = lambda: text
        self._fails(pooler, "dolphins", pooler.ini.name)

    def a_line_that_is_nothing_is_named(self):
        pooler = Pooler()
        text = pooler.ini_text() + "\nnothing of the kind\n"
        pooler.ini_text = lambda: text
        self._fails(pooler, pooler.ini.name, f":{len(text.splitlines())}")

    def a_name_to_listen_on_that_nobody_knows_is_named(self):
        self._fails(Pooler(settings={"listen_addr": "no-such-host.invalid"}), "listen_addr", "no-such-host.invalid")

    def a_missing_user_list_is_named(self):
        pooler = Pooler(settings={"auth_file": "/no/such/userlist.txt"})
        self._fails(pooler, "/no/such/userlist.txt")

    def a_known_setting_that_has_no_meaning_here_is_a_warning_that_names_it(self):
        pooler = self.pooler(settings={"pkt_buf": 8192, "auth_hba_file": "", "peer_id": 0, "so_reuseport": 0})
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        pooler.await_log(pattern=r"(?i)warn.*pkt_buf|pkt_buf.*warn")

    def an_override_beats_the_file_and_a_bad_one_is_named(self):
        pooler = self.pooler(settings={"default_pool_size": 3}, overrides=("default_pool_size=7",))
        config = {row["key"]: row["value"] for row in pooler.show("CONFIG")}
        self.assertEqual("7", config["default_pool_size"])
        self._fails(Pooler(overrides=("default_pol_size=7",)), "default_pol_size", "default_pool_size")

    def two_of_a_kind_on_one_unix_socket_are_refused_and_the_first_lives_on(self):
        first = self.pooler()
        second = Pooler(settings={"listen_addr": "", "listen_port": first.port, "unix_socket_dir": first.folder})
        self._fails(second, ".s.PGSQL")
        with Client(first.socket_path) as client:
            self.assertEqual("1", client.value("SELECT 1"))

    def a_stale_unix_socket_is_replaced(self):
        pooler = self.keep(Pooler())
        path = f"{pooler.folder}/.s.PGSQL.{pooler.port}"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        give_away(path)
        pooler.start()
        with Client(path) as client:
            self.assertEqual("1", client.value("SELECT 1"))

    def the_unix_socket_is_gone_after_the_end(self):
        pooler = self.pooler()
        path = pathlib.Path(pooler.socket_path)
        self.assertTrue(path.exists())
        pooler.stop()
        self.assertFalse(path.exists())

    def a_missing_socket_folder_is_named(self):
        self._fails(Pooler(settings={"unix_socket_dir": "/no/such/folder"}), "/no/such/folder")

    def pgweir_alone_lists_its_commands(self):
        done = subprocess.run([live.bin], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, stdin=subprocess.DEVNULL)
        self.assertIn("serve", done.stdout.decode())

    def an_unknown_command_is_named(self):
        done = subprocess.run([live.bin, "swerve"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, stdin=subprocess.DEVNULL)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("swerve", done.stdout.decode())

    def under_the_name_pgbouncer_its_flags_are_taken(self):
        pooler = Pooler(called="pgbouncer")
        program = pooler.command()[0]
        for flag, words in (("-V", "PgBouncer"), ("--version", "PgBouncer"), ("-h", "config"), ("--help", "config")):
            done = subprocess.run([program, flag], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
            self.assertEqual(0, done.returncode)
            self.assertIn(words.lower(), done.stdout.decode().lower())
        for arguments in ([], ["--no-such-flag"]):
            done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, stdin=subprocess.DEVNULL)
            self.assertEqual(1, done.returncode)

    def a_daemon_of_that_name_writes_its_pid_and_goes_to_the_background(self):
        pooler = self.keep(Pooler(called="pgbouncer"))
        pooler.settings.update(pidfile=pooler.folder / "pid", logfile=pooler.folder / "pgbouncer.log")
        pooler.write_files()
        program = pooler.command()[0]
        done = subprocess.run([program, "-d", str(pooler.ini)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, cwd=pooler.folder,
                              stdin=subprocess.DEVNULL, **user_options())
        self.assertEqual(0, done.returncode, done.stdout.decode())
        pid = int(wait_until("the pid file", lambda: (pooler.folder / "pid").exists() and (pooler.folder / "pid").read_text().strip()))
        try:
            self.assertEqual("1", wait_until("it serves", lambda: self._asked(pooler)))
        finally:
            os.kill(pid, signal.SIGQUIT)
        wait_until("it ended", lambda: not os.path.exists(f"/proc/{pid}") or "\nState:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text())
        wait_until("its pid file is gone", lambda: not (pooler.folder / "pid").exists())

    def _asked(self, pooler):
        try:
            with Client(pooler.address) as client:
                return client.value("SELECT 1")
        except OSError:
            return None


class Running(Story):
    kinds = ("pgweir", "pgbouncer")

    def a_full_disk_for_the_log_stops_nobody(self):
        pooler = self.pooler(settings={"logfile": "/dev/full", "verbose": 1})
        for number in range(30):
            self.assertEqual(str(number), pooler.client().value(f"SELECT {number}"))
        self.refused(pooler.client, user="nobody")

    @takes(90)
    def a_client_that_stops_reading_stops_nobody_else_and_costs_no_memory(self):
        pooler = self.pooler(settings={"default_pool_size": 6})
        sleeper = Client(pooler.address, timeout=60)
        other = pooler.client()
        other.value("SELECT 1")
        before = pooler.memory_kb()
        size = 100 if not live.quick else 30
        sleeper.send(query(f"SELECT repeat('z', 100000) FROM generate_series(1, {size * 10})"))
        for number in range(200):
            self.assertEqual(str(number), other.value(f"SELECT {number}"))
            time.sleep(0.005)
        self.assertLess(pooler.memory_kb() - before, 8 << 10, "KB more while it does not read")
        # It wakes up and everything is there.
        rows = 0
        while True:
            kind = sleeper.read_bytes(1, timeout=60)
            length = int.from_bytes(sleeper.read_bytes(4), "big") - 4
            sleeper.skip_bytes(length, timeout=60)
            rows += kind == b"D"
            if kind == b"Z":
                break
        self.assertEqual(size * 10, rows)
        self.assertEqual([("1",)], sleeper.query("SELECT 1").rows)
        sleeper.close()

    def many_that_stop_reading_cost_their_own_servers_only(self):
        pooler = self.pooler(settings={"default_pool_size": 5})
        for _ in range(4):
            client = pooler.client()
            client.send(query("SELECT repeat('z', 10000) FROM generate_series(1, 20000)"))
        other = pooler.client()
        for number in range(50):
            self.assertEqual(str(number), other.value(f"SELECT {number}"))

    def a_client_that_writes_and_never_reads_is_held_back(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        writer = Client(pooler.address, timeout=3)
        before = pooler.memory_kb()
        flood = query("SELECT repeat('f', 10000)") * 500
        sent = 0
        try:
            for _ in range(400):
                writer.send(flood)
                sent += len(flood)
        except wire.Late:
            pass
        self.assertLess(pooler.memory_kb() - before, 16 << 10, f"KB more after {sent} bytes of questions")
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        writer.vanish()
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def logins_that_are_never_finished_bother_nobody(self):
        pooler = self.pooler()
        pooler.client().value("SELECT 1")           # there is a server: a login waits for none to be opened
        pooler.console().query("SET client_login_timeout = 2")
        silent = [Client(pooler.address, login=False) for _ in range(100)]
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        for client in silent:
            client.expect_closed()

    def a_storm_of_connections_that_go_at_once_leaves_nothing_behind(self):
        pooler = self.pooler()
        pooler.client().value("SELECT 1")
        count = lambda: len(os.listdir(f"/proc/{pooler.pid}/fd"))
        before = count()
        for _ in range(300):
            client = Client(pooler.address, login=False)
            client.send(wire.startup({"user": "app", "database": "app"}))
            client.vanish()
        wait_until("its descriptors are as before", lambda: count() <= before + 1)
        self.assertEqual("1", pooler.client().value("SELECT 1"))
