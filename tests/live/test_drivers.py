"""What applications really use. Each driver does its everyday work in transaction mode, while others keep
taking and giving back servers, so that hardly two of its statements run on the same one."""
import asyncio
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import wire
from harness import HERE, JDBC, Story, full_only, live, node_folder, on, takes, wait_until
from wire import Client, query


class Churn:
    """Others at work: more clients than servers, that hold them for a few milliseconds at a time, in no order."""

    def __init__(self, pooler, count=6):
        self.pooler, self.count = pooler, count
        self.ending = threading.Event()
        self.failures = []

    def __enter__(self):
        self.threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def _work(self, number):
        dice = random.Random(live.seed + number)
        try:
            with Client(self.pooler.address) as client:
                while not self.ending.is_set():
                    client.begin()
                    time.sleep(dice.uniform(0, 0.012))
                    client.query("COMMIT")
                    time.sleep(dice.uniform(0, 0.006))
        except Exception as failure:        # noqa: reported by __exit__
            self.failures.append(failure)

    def __exit__(self, kind, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(10)
        if kind is None and self.failures:
            raise AssertionError(f"somebody else's work failed: {self.failures[0]}")


class Driver_story(Story):
    """A pooler with a database in transaction mode (app) and one in session mode (whole)."""

    servers = 4

    def setUp(self):
        super().setUp()
        settings = {"default_pool_size": self.servers}
        if live.kind == "pgweir":
            settings["sequence_hold"] = 60      # however slow the machine is
        self.proxy = self.pooler(settings=settings,
                                 databases={"app": "dbname=app", "whole": "dbname=app pool_mode=session pool_size=10"})
        self.session_database = "app" if live.kind == "direct" else "whole"
        host, port = self.proxy.address
        self.dsn = f"host={host} port={port} user=app dbname=app connect_timeout=60 sslmode=disable"
        self.session_dsn = self.dsn.replace("dbname=app", f"dbname={self.session_database}")
        self.environment = {**os.environ, "PGHOST": host, "PGPORT": str(port), "PGUSER": "app", "PGDATABASE": "app",
                            "PGSSLMODE": "disable", "PGCONNECT_TIMEOUT": "10", "SESSION_DATABASE": self.session_database}

    def _run(self, *command, timeout=60, input=None, ok=True, **options):
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              input=input, env=self.environment, stdin=None if input is not None else subprocess.DEVNULL, **options)
        said = done.stdout.decode(errors="replace")
        if ok:
            self.assertEqual(0, done.returncode, said)
        return said

    def _told(self, said, without=(), servers=True):
        """Read `ok` and `not ok` lines of a program of stories."""
        good = re.findall(r"^ok (\S+)", said, re.M)
        bad = [line for line in re.findall(r"^not ok (.*)", said, re.M) if line.split(":")[0] not in without]
        self.assertEqual([], bad, said)
        self.assertGreater(len(good), 5, said)
        if servers and live.kind != "direct" and not without:
            self.assertGreater(int(re.search(r"^servers (\d+)", said, re.M).group(1)), 1, "the server never changed")


# Debian's PgBouncer 1.18 knows no prepared statements in transaction mode.
PREPARED = ("pgweir", "direct")


class Psql(Driver_story):

    def psql_runs_a_script(self):
        script = r"""
\set ON_ERROR_STOP on
SELECT 1 AS one;
BEGIN;
CREATE TEMP TABLE t(n int, v text) ON COMMIT DROP;
\copy t from pstdin
1	eins
2	zwei
\.
SELECT 'rows ' || count(*) FROM t;
\copy t to pstdout
PREPARE p AS SELECT $1::int * 2;
EXECUTE p(21);
DECLARE c CURSOR FOR SELECT generate_series(1, 10);
FETCH 3 FROM c;
SAVEPOINT s;
\set ON_ERROR_STOP off
SELECT 1/0;
\set ON_ERROR_STOP on
ROLLBACK TO s;
DEALLOCATE p;
COMMIT;
DO $$ BEGIN RAISE NOTICE 'from psql'; END $$;
"""
        said = self._run("psql", "-XAt", "-f", "-", input=script.encode())
        for words in ("rows 2", "1\teins", "2\tzwei", "42", "division by zero", "from psql"):
            self.assertIn(words, said)

    def psql_cancels_with_control_c(self):
        process = subprocess.Popen(["psql", "-XAt", "-c", "SELECT pg_sleep(30)"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=self.environment, stdin=subprocess.DEVNULL)
        try:
            wait_until("it runs", lambda: self.pg.backends("app", extra="AND query LIKE 'SELECT pg_sleep(30)%' AND state = 'active'") == 1)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait(5)
        self.assertIn("canceling statement due to user request", said.decode())

    def psql_tells_what_it_is_connected_to(self):
        self.assertIn('as user "app"', self._run("psql", "-X", "-c", r"\conninfo"))
        self.assertIn("pg_class", self._run("psql", "-XAt", "-c", r"\dS pg_class") + self._run("psql", "-XAt", "-c", r"\dtS"))


class Pgbench(Driver_story):

    def setUp(self):
        super().setUp()
        if self.pg.value("SELECT to_regclass('pgbench_accounts')", "app") is None:
            self._bench("-i", "-s", "1", "-q")

    def _bench(self, *options):
        return self._run(self.pg.programs / "pgbench", *options)

    def _all_done(self, said, count):
        self.assertIn(f"actually processed: {count}/{count}", said)
        self.assertIn("number of failed transactions: 0", said)

    def _modes(self):
        return ("simple", "extended") if live.kind == "pgbouncer" else ("simple", "extended", "prepared")

    def reading_in_every_mode_with_more_clients_than_servers(self):
        for mode in self._modes():
            with self.subTest(mode):
                each = 50 if live.quick else 200
                self._all_done(self._bench("-n", "-S", "-M", mode, "-c", "40", "-j", "2", "-t", str(each)), 40 * each)

    def writing_in_every_mode_adds_up(self):
        total = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(delta) FROM pgbench_history)," \
                " (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers)"
        for mode in self._modes():
            with self.subTest(mode):
                each = 20 if live.quick else 60
                # One thread for each client: pgbench prepares synchronously, and a thread that waits for a server
                # must not be the one whose other clients hold them.
                said = self._bench("-n", "-M", mode, "-c", "20", "-j", "20", "-t", str(each))
                self._all_done(said, 20 * each)
        with self.pg.admin("app") as admin:
            sums = [value or "0" for value in admin.query(total).rows[0]]
        self.assertEqual(1, len(set(sums)), f"money was made or lost: {sums}")

    def connecting_anew_for_each_transaction(self):
        each = 10 if live.quick else 25
        self._all_done(self._bench("-n", "-S", "-C", "-c", "10", "-j", "2", "-t", str(each)), 10 * each)

    @on(*PREPARED)
    def a_pipeline_of_its_own(self):
        script = self.proxy.folder / "pipeline.sql"
        script.write_text(r"""
\set n random(1, 100000)
\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :n;
SELECT :n + 1;
SELECT abalance FROM pgbench_accounts WHERE aid = :n;
\endpipeline
""")
        each = 40 if live.quick else 100
        for mode in ("extended", "prepared"):
            self._all_done(self._bench("-n", "-M", mode, "-c", "20", "-j", "2", "-t", str(each), "-f", script), 20 * each)


class Psycopg2(Driver_story):

    def _connect(self, dsn=None):
        import psycopg2
        connection = psycopg2.connect(dsn or self.dsn)
        self.addCleanup(connection.close)
        return connection

    def queries_and_parameters(self):
        with Churn(self.proxy):
            connection = self._connect()
            connection.autocommit = True
            cursor = connection.cursor()
            for number in range(50):
                cursor.execute("SELECT %s::int, %s::text, %s", (number, "grün 'quoted'", None))
                self.assertEqual((number, "grün 'quoted'", None), cursor.fetchone())

    def transactions_and_errors_in_them(self):
        import psycopg2
        connection = self._connect()
        cursor = connection.cursor()
        cursor.execute("CREATE TEMP TABLE t(n int) ON COMMIT DROP")
        cursor.execute("INSERT INTO t SELECT generate_series(1, 10)")
        cursor.execute("SELECT sum(n) FROM t")
        self.assertEqual(55, cursor.fetchone()[0])
        with self.assertRaises(psycopg2.errors.DivisionByZero):
            cursor.execute("SELECT 1/0")
        with self.assertRaises(psycopg2.errors.InFailedSqlTransaction):
            cursor.execute("SELECT 1")
        connection.rollback()
        cursor.execute("SELECT 1")
        connection.commit()

    def a_named_cursor_in_a_transaction(self):
        with Churn(self.proxy):
            connection = self._connect()
            cursor = connection.cursor("named")
            cursor.itersize = 100
            cursor.execute("SELECT n FROM generate_series(1, 1000) n")
            self.assertEqual(list(range(1, 1001)), [row[0] for row in cursor])
            connection.commit()

    def copy_both_ways(self):
        import io
        connection = self._connect()
        cursor = connection.cursor()
        cursor.execute("CREATE TEMP TABLE t(n int, v text) ON COMMIT DROP")
        data = "".join(f"{n}\tv{n}\n" for n in range(5000))
        cursor.copy_expert("COPY t FROM STDIN", io.StringIO(data))
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM t ORDER BY n) TO STDOUT", out)
        self.assertEqual(data, out.getvalue())
        connection.commit()

    def cancel_from_another_thread(self):
        import psycopg2
        connection = self._connect()
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        with self.assertRaises(psycopg2.errors.QueryCanceled):
            connection.cursor().execute("SELECT pg_sleep(20)")
        timer.join(5)
        connection.rollback()
        connection.cursor().execute("SELECT 1")

    def notices_and_notifications(self):
        connection = self._connect()
        connection.cursor().execute("DO $$ BEGIN RAISE NOTICE 'from psycopg2'; END $$")
        self.assertTrue(any("from psycopg2" in notice for notice in connection.notices))
        listener, speaker = self._connect(self.session_dsn), self._connect(self.session_dsn)
        listener.autocommit = speaker.autocommit = True
        listener.cursor().execute("LISTEN two_tide")
        speaker.cursor().execute("NOTIFY two_tide, 'high'")

        def heard():
            listener.poll()
            return listener.notifies
        self.assertEqual("high", wait_until("the notification", heard)[0].payload)

    def startup_options_are_kept(self):
        if live.kind == "pgbouncer":
            self.skipTest("refused or dropped by PgBouncer")
        connection = self._connect(self.dsn + " options='-c statement_timeout=30000' application_name=django")
        cursor = connection.cursor()
        cursor.execute("SHOW statement_timeout")
        self.assertEqual("30s", cursor.fetchone()[0])


class Psycopg3(Driver_story):

    def _connect(self, dsn=None, **options):
        import psycopg
        connection = psycopg.connect(dsn or self.dsn, **options)
        self.addCleanup(connection.close)
        return connection

    def queries_parameters_and_errors(self):
        import psycopg
        connection = self._connect(prepare_threshold=None)
        with connection.transaction():
            self.assertEqual((5, "x"), connection.execute("SELECT %s::int, %s::text", (5, "x")).fetchone())
        with self.assertRaises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        with self.assertRaises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        self.assertEqual(1, connection.execute("SELECT 1").fetchone()[0])
        connection.rollback()

    @on(*PREPARED)
    def statements_it_prepares_by_itself_run_on_every_server(self):
        with Churn(self.proxy):
            for threshold in (0, 1):
                connection = self._connect(autocommit=True, prepare_threshold=threshold)
                seen = set()
                for number in range(150):
                    pid, got = connection.execute("SELECT pg_backend_pid(), %s::int", (number,)).fetchone()
                    self.assertEqual(number, got)
                    seen.add(pid)
                    if number % 10 == 0:
                        time.sleep(0.002)
                if live.kind != "direct":
                    self.assertGreater(len(seen), 1, "the server never changed")

    @on(*PREPARED)
    def more_statements_than_it_keeps(self):
        connection = self._connect(autocommit=True, prepare_threshold=0)
        connection.prepared_max = 10
        with Churn(self.proxy):
            for number in range(200):
                self.assertEqual(number % 30 + number, connection.execute(f"SELECT {number % 30} + %s", (number,)).fetchone()[0])

    def pipeline_mode(self):
        import psycopg
        with Churn(self.proxy):
            connection = self._connect(autocommit=True, prepare_threshold=None)
            with connection.pipeline():
                cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(100)]
            self.assertEqual(list(range(100)), [cursor.fetchone()[0] for cursor in cursors])
            with self.assertRaises(psycopg.errors.DivisionByZero):
                with connection.pipeline():
                    connection.execute("SELECT 1")
                    connection.execute("SELECT 1/0")
                    connection.execute("SELECT 2")
            self.assertEqual(3, connection.execute("SELECT 3").fetchone()[0])

    @on(*PREPARED)
    def pipeline_mode_with_prepared_statements(self):
        with Churn(self.proxy):
            connection = self._connect(autocommit=True, prepare_threshold=0)
            for round in range(10):
                with connection.pipeline():
                    cursors = [connection.execute(f"SELECT %s::int + {n % 5}", (n,)) for n in range(50)]
                self.assertEqual([n + n % 5 for n in range(50)], [cursor.fetchone()[0] for cursor in cursors])

    def executemany_and_returning(self):
        connection = self._connect(prepare_threshold=None)
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE t(n int) ON COMMIT DROP")
            cursor.executemany("INSERT INTO t VALUES (%s) RETURNING n", [(n,) for n in range(200)], returning=True)
            cursor.execute("SELECT sum(n) FROM t")
            self.assertEqual(199 * 200 // 2, cursor.fetchone()[0])

    def copy_both_ways_in_text_and_binary(self):
        connection = self._connect(prepare_threshold=None)
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE t(n int4, v text) ON COMMIT DROP")
            for format in ("TEXT", "BINARY"):
                cursor.execute("TRUNCATE t")
                with cursor.copy(f"COPY t FROM STDIN (FORMAT {format})") as copy:
                    copy.set_types(["int4", "text"])
                    for n in range(1000):
                        copy.write_row((n, f"v{n}"))
                with cursor.copy(f"COPY (SELECT * FROM t ORDER BY n) TO STDOUT (FORMAT {format})") as copy:
                    copy.set_types(["int4", "text"])
                    self.assertEqual([(n, f"v{n}") for n in range(1000)], list(copy.rows()))

    def a_copy_that_fails_on_our_side(self):
        import psycopg
        connection = self._connect(autocommit=True, prepare_threshold=None)
        connection.execute("DROP TABLE IF EXISTS fails; CREATE TABLE fails(n int)")
        with self.assertRaises((ZeroDivisionError, psycopg.errors.QueryCanceled)):
            with connection.cursor().copy("COPY fails FROM STDIN") as copy:
                copy.write("1\n")
                1 / 0
        self.assertEqual(0, connection.execute("SELECT count(*) FROM fails").fetchone()[0])

    def cancel_and_notices(self):
        import psycopg
        connection = self._connect(autocommit=True, prepare_threshold=None)
        heard = []
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'from psycopg'; END $$")
        self.assertEqual(["from psycopg"], heard)
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        with self.assertRaises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        timer.join(5)
        self.assertEqual(1, connection.execute("SELECT 1").fetchone()[0])

    def notifications_in_session_mode(self):
        listener = self._connect(self.session_dsn, autocommit=True)
        speaker = self._connect(self.session_dsn, autocommit=True)
        listener.execute("LISTEN three_tide")
        heard = []

        def listen():
            for note in listener.notifies():
                heard.append(note.payload)
                return
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        speaker.execute("NOTIFY three_tide, 'high'")
        thread.join(60)
        self.assertEqual(["high"], heard)


class Asyncpg(Driver_story):

    def _async(self, work, **options):
        import asyncpg
        host, port = self.proxy.address
        options = {"host": host, "port": port, "user": "app", "database": "app", "ssl": False, "timeout": 60, "command_timeout": 60,
                   **options}

        async def whole():
            connection = await asyncpg.connect(**options)
            try:
                await work(connection, options)
            finally:
                await connection.close(timeout=60)
        asyncio.run(asyncio.wait_for(whole(), 50))

    @on(*PREPARED)
    def its_statement_cache_runs_on_every_server(self):
        async def work(connection, _):
            seen = set()
            for number in range(150):
                pid, got = await connection.fetchrow("SELECT pg_backend_pid(), $1::int", number)
                self.assertEqual(number, got)
                seen.add(pid)
                if number % 10 == 0:
                    await asyncio.sleep(0.002)
            if live.kind != "direct":
                self.assertGreater(len(seen), 1, "the server never changed")
        with Churn(self.proxy):
            self._async(work)

    @on(*PREPARED)
    def more_statements_than_its_cache_holds(self):
        async def work(connection, _):
            for number in range(200):
                self.assertEqual(number % 37 + number, await connection.fetchval(f"SELECT {number % 37} + $1::int", number))
        with Churn(self.proxy):
            self._async(work, statement_cache_size=10)

    def without_its_cache_it_works_anywhere(self):
        async def work(connection, _):
            async with connection.transaction():
                self.assertEqual(5, await connection.fetchval("SELECT $1::int", 5))
        self._async(work, statement_cache_size=0)

    @on(*PREPARED)
    def transactions_errors_and_cursors(self):
        import asyncpg

        async def work(connection, _):
            async with connection.transaction():
                await connection.execute("CREATE TEMP TABLE t(n int) ON COMMIT DROP")
                await connection.executemany("INSERT INTO t VALUES ($1)", [(n,) for n in range(500)])
                seen = [record["n"] async for record in connection.cursor("SELECT n FROM t ORDER BY n", prefetch=50)]
                self.assertEqual(list(range(500)), seen)
            with self.assertRaises(asyncpg.DivisionByZeroError):
                async with connection.transaction():
                    await connection.fetch("SELECT 1/0")
            self.assertEqual(1, await connection.fetchval("SELECT 1"))
        self._async(work)

    @on(*PREPARED)
    def copy_both_ways(self):
        async def work(connection, _):
            import io
            async with connection.transaction():
                await connection.execute("CREATE TEMP TABLE t(n int, v text) ON COMMIT DROP")
                await connection.copy_records_to_table("t", records=[(n, f"v{n}") for n in range(2000)])
                out = io.BytesIO()
                await connection.copy_from_query("SELECT * FROM t ORDER BY n", output=out)
                self.assertEqual(b"1999\tv1999", out.getvalue().splitlines()[-1])
        self._async(work)

    @on(*PREPARED)
    def a_timeout_cancels(self):
        async def work(connection, _):
            with self.assertRaises(asyncio.TimeoutError):
                await connection.execute("SELECT pg_sleep(20)", timeout=0.3)
            self.assertEqual(1, await connection.fetchval("SELECT 1"))
        self._async(work)

    def notices_and_notifications_in_session_mode(self):
        async def work(connection, options):
            import asyncpg
            heard, told = asyncio.get_running_loop().create_future(), []
            connection.add_log_listener(lambda _, message: told.append(message.message))
            await connection.execute("DO $$ BEGIN RAISE NOTICE 'from asyncpg'; END $$")
            await connection.add_listener("async_tide", lambda *note: heard.done() or heard.set_result(note[3]))
            speaker = await asyncpg.connect(**options)
            await speaker.execute("SELECT pg_notify('async_tide', 'high')")
            self.assertEqual("high", await asyncio.wait_for(heard, 60))
            await speaker.close(timeout=60)
            self.assertIn("from asyncpg", told)
        self._async(work, database=self.session_database)

    @on(*PREPARED)
    def a_pool_of_its_own_gets_along(self):
        import asyncpg

        async def work(_, options):
            async with asyncpg.create_pool(min_size=10, max_size=20, **options) as pool:
                answers = await asyncio.gather(*[pool.fetchval(f"SELECT $1::int + {n % 5}", n) for n in range(200)])
            self.assertEqual([n + n % 5 for n in range(200)], answers)
        self._async(work)


class Programs(Driver_story):
    """Drivers of other languages; their stories are programs that print what they found."""

    # What Debian's PgBouncer 1.18 cannot do.
    OLD = ("a_named_statement_survives_a_change_of_servers", "the_same_name_in_two_clients_means_two_statements",
           "a_pool_of_its_own_gets_along")

    def setUp(self):
        super().setUp()
        if live.kind != "pgbouncer":
            self.environment["TRANSPARENT"] = "1"       # what a session holds follows it in transaction mode

    @takes(200)
    def node_postgres(self):
        folder = node_folder()
        with Churn(self.proxy):
            self._told(self._run("node", folder / "stories.js"), self.OLD if live.kind == "pgbouncer" else ())

    @on(*PREPARED)
    @takes(120)
    def jdbc(self):
        self.assertTrue(os.path.exists(JDBC), f"no {JDBC}: install libpostgresql-jdbc-java")
        build = live.folder / "java"
        if not build.exists():
            self._run("javac", "-cp", JDBC, "-d", build, HERE / "java" / "Stories.java", timeout=100)
        with Churn(self.proxy):
            self._told(self._run("java", "-XX:TieredStopAtLevel=1", "-cp", f"{JDBC}:{build}", "Stories"))

    @on(*PREPARED)
    @takes(120)
    def go_lib_pq(self):
        self._go("stories.go")

    @on(*PREPARED)
    @takes(200)
    @full_only
    def go_pgx(self):
        self._go("pgx.go")

    def _go(self, source):
        program = live.folder / "go" / source.removesuffix(".go")
        if not program.exists():
            self.environment.update(GO111MODULE="off", GOFLAGS="", GOPATH="/usr/share/gocode", GOCACHE=str(live.folder / "gocache"))
            self._run("go", "build", "-o", program, HERE / "go" / source, timeout=150)
        self._plays(program)

    @on(*PREPARED)
    def php(self):
        self._plays("php", HERE / "php" / "stories.php")

    @on(*PREPARED)
    def perl_dbd_pg(self):
        self._plays("perl", HERE / "perl" / "stories.pl")

    @on(*PREPARED)
    def ruby_pg(self):
        self._plays("ruby", HERE / "ruby" / "stories.rb")

    def _plays(self, *program):
        with Churn(self.proxy):
            self._told(self._run(*program))
