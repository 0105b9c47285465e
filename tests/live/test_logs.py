"""`pgweir logs` on logs that PostgreSQL, Debian's PgBouncer, pgweir and Django have just written, and on what is hardly a log."""
import contextlib
import gzip
import json
import os
import pathlib
import subprocess
import time

import wire
from harness import Story, free_port, live, user_options, wait_until
from wire import Client

PGBOUNCER = "/usr/sbin/pgbouncer"
DJANGO = """
import logging, sys, django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": sys.argv[1],
                                          "NAME": "app", "USER": "app"}})
django.setup()
from django.db import connection
logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
try:
    connection.ensure_connection()
except Exception:
    logging.exception("request failed")
"""


def logs(*arguments, data=None, timeout=60):
    return subprocess.run([str(live.bin), "logs", *map(str, arguments)], input=data, capture_output=True,
                          timeout=timeout * wire.PATIENCE, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"})


class Logs(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.folder = self.own_folder()

    def _groups(self, *arguments, **options):
        done = logs("--json", *arguments, **options)
        self.assertEqual(0, done.returncode, done.stderr)
        return {each["key"]: each for each in json.loads(done.stdout)["groups"]}

    def one_of_a_kind_is_said_in_the_singular(self):
        refused = b'2026-11-27 10:00:00.000 UTC [7] FATAL:  sorry, too many clients already\n'
        for lines, says in ((1, "1 line, 1 error of connections, 1 kind"), (2, "2 lines, 2 errors of connections, 1 kind")):
            self.assertEqual(says, logs("-", data=refused * lines).stdout.decode().splitlines()[0])

    def _fill(self, pg):
        """Take every place, and have two refused; then a database and a role that are not there."""
        with contextlib.ExitStack() as closing:
            refused = 0
            for _ in range(12):
                try:
                    client = Client(pg.address, user="app", database="app", parameters={"application_name": "web"})
                    closing.callback(client.close)
                except wire.Refused:
                    refused += 1
            self.assertGreater(refused, 0)
        wait_until("the places are free again", lambda: pg.backends() == 0)
        for user, database in (("app", "nowhere"), ("app", "nowhere")):
            with self.assertRaises(wire.Refused):
                Client(pg.address, user=user, database=database)
        return refused

    def _expect_full(self, groups, refused):
        full = groups["slots-reserved"]
        self.assertEqual(refused, full["count"])
        self.assertEqual({"PostgreSQL": refused}, full["sources"])
        self.assertEqual([{"name": "app", "count": refused}], full["database"])
        self.assertEqual([{"name": "app", "count": refused}], full["user"])
        self.assertTrue(full["first"] and full["busiest_minute_count"])
        self.assertEqual(2, groups["no-database"]["count"])
        self.assertIn("nowhere", [each["name"] for each in groups["no-database"]["database"]])

    def a_real_postgresql_s_stderr_is_understood_whatever_its_prefix(self):
        for prefix in ("%m [%p] %q%u@%d ", "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ", "%n %h %q%u@%d/%a "):
            pg = self.postgres(max_connections=8, log_line_prefix=prefix)
            refused = self._fill(pg)
            self._expect_full(self._groups(pg.log_path), refused)

    def csvlog_and_jsonlog_say_the_same(self):
        if self.pg.major < 15:
            self.skipTest("there is no jsonlog before PostgreSQL 15")
        pg = self.postgres(max_connections=8, logging_collector="on", log_destination="csvlog,jsonlog", log_directory="logs",
                           log_filename="postgresql")
        refused = self._fill(pg)
        # A statement with lines and quotes of its own is no record.
        with pg.admin() as admin:
            with self.assertRaises(wire.Refused):
                admin.query("SELECT '\n\",FATAL,\"', nonsense \n \"x")
        for ending in ("csv", "json"):
            path = pg.data / "logs" / f"postgresql.{ending}"
            wait_until("it is written", lambda: path.exists() and path.read_text().count("nowhere") >= 2)
            self._expect_full(self._groups(path), refused)

    def pgweir_s_own_log_is_understood(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        holder = pooler.client()
        holder.begin()
        waiting = pooler.client()
        pooler.console().query("SET query_wait_timeout = '0.3'")
        with contextlib.suppress(wire.Refused, wire.Closed, OSError):
            waiting.query("SELECT 1")
        with self.assertRaises(wire.Refused):
            pooler.client(database="nowhere")
        pooler.await_log(pattern="(?s)closing because: .*closing because: ")
        groups = self._groups(pooler.log_path)
        self.assertEqual({"pgweir": 1}, groups["query-wait-timeout"]["sources"])
        self.assertEqual("127.0.0.1", groups["query-wait-timeout"]["address"][0]["name"])
        self.assertEqual(1, groups["no-database"]["count"])

    def debian_s_pgbouncer_s_log_is_understood(self):
        port, log = free_port(), self.folder / "pgbouncer.log"
        os.chmod(self.folder, 0o755)
        ini = self.folder / "pgbouncer.ini"
        (self.folder / "users").write_text('"app" ""\n')
        ini.write_text(f"[databases]\napp = host=127.0.0.1 port={self.pg.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                       f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {self.folder}/users\n"
                       "pool_mode = transaction\nmax_client_conn = 1\n")
        with open(log, "wb") as out:
            process = subprocess.Popen([PGBOUNCER, str(ini)], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd="/",
                                       start_new_session=True, **user_options())
        try:
            wait_until("PgBouncer is up", lambda: b"process up" in log.read_bytes())
            with Client(("127.0.0.1", port), user="app", database="app"):
                for _ in range(2):
                    with self.assertRaises((wire.Refused, wire.Closed)):
                        Client(("127.0.0.1", port), user="app", database="app")
        finally:
            process.terminate()
            process.wait(10)
        groups = self._groups(log)
        self.assertEqual({"PgBouncer": 2}, groups["max-client-conn"]["sources"])

    def what_django_logs_is_counted_once_for_each_failure(self):
        log = b""
        for _ in range(2):
            log += subprocess.run(["/usr/bin/python3", "-c", DJANGO, str(free_port())], capture_output=True, timeout=60).stderr
        self.assertIn(b"django.db.utils.OperationalError", log)
        groups = self._groups("-", data=log)
        self.assertEqual({"Django/psycopg": 2}, groups["refused"]["sources"])
        self.assertTrue(groups["refused"]["first"])

    def journalctls_times_without_a_year_have_the_one_that_fits(self):
        now = time.time()
        line = "{} db postgres[7]: [3-1] FATAL:  sorry, too many clients already\n"
        data = "".join(line.format(time.strftime("%b %e %H:%M:%S", time.gmtime(at))) for at in (now - 5 * 86400, now - 60, now - 30))
        group = self._groups("--since", "1h", "-", data=data.encode())["too-many-clients"]
        self.assertEqual(2, group["count"])
        self.assertEqual(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60)), group["first"])

    def a_compressed_log_is_read_and_half_of_one_says_so(self):
        whole = gzip.compress(b"2026-11-25 10:00:00 UTC [1] a@b FATAL:  sorry, too many clients already\n" * 3000)
        path = self.folder / "log.gz"
        path.write_bytes(whole)
        self.assertEqual(3000, self._groups(path)["too-many-clients"]["count"])
        path.write_bytes(whole[:-20])
        done = logs(path)
        self.assertEqual(1, done.returncode)
        self.assertIn(b"log.gz", done.stderr)

    def rubbish_long_lines_and_hostile_names_leave_memory_and_terminal_alone(self):
        path = self.folder / "rubbish"
        with open(path, "wb") as out:
            out.write(b"2026-11-25 10:00:00 UTC [1] FATAL:  password authentication failed for user \"\x1b[31m\xffroot\"\n")
            piece = os.urandom(1 << 20)
            for _ in range(40):
                out.write(piece)
            out.write(b"\n" + b"x" * (30 << 20) + b"\n" + b"2026-11-25 10:00:00.0 UTC,\"a" * 100000)
            out.write(b"\n2026-11-25 10:00:00 UTC [1] FATAL:  sorry, too many clients already\n")
        program = pathlib.Path(live.bin).parent / "pgweir-logs"
        done = subprocess.run(["/bin/sh", "-c", f"ulimit -v {120_000}; exec {program} {path}"] if not live.sanitized
                              else [str(program), str(path)], capture_output=True, timeout=60 * wire.PATIENCE)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn(b"\x1b", done.stdout)
        self.assertIn(rb"\x1b[31m\xffroot", done.stdout)
        self.assertIn(b"PostgreSQL is full", done.stdout)

    def bad_usage_says_what_to_do(self):
        for arguments, status, words in (((), 2, "which FILE"), (("--since", "soon", "-"), 2, "--since wants"),
                                         ((self.folder / "none",), 1, "can not be opened"), ((self.folder,), 1, "it is a folder; name the files in it"),
                                         (("--nonsense",), 2, "--help")):
            done = logs(*arguments, data=b"")
            self.assertEqual(status, done.returncode, arguments)
            self.assertIn(words, done.stderr.decode(), arguments)
        self.assertIn(b"Example:", logs("--help").stdout)
        self.assertLess(len(logs("--help").stdout.splitlines()), 25)
