"""What every live test stands on: a private PostgreSQL, a pooler in front of it, and stories.

    Postgres     one cluster in a temporary folder, run by an unprivileged user
    Pooler       one pgweir (or PgBouncer, or nothing at all) with an ini made for the test
    Story        a class of tests; every public method is one test and its name is a claim
    run_all      runs them, several at a time, and prints TAP

The same stories run against three things, so that a wrong test is found without pgweir:

    pgweir       the real subject
    pgbouncer    Debian's, where its behaviour is the same (a story says `@on("pgweir", "pgbouncer")`)
    direct       PostgreSQL itself, where a pooler must not be noticed

Every wait is bounded. Every process started here is ended by its own process id.
"""
import contextlib
import fcntl
import inspect
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import wire
from ports import free_port
from restoring import restore

HERE = pathlib.Path(__file__).resolve().parent
SANITIZER_WORDS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer", "runtime error:")
ROOT = os.geteuid() == 0

ROLES = {                       # name: (password, how PostgreSQL stores it)
    "app": (None, "trust"),
    "other": (None, "trust"),
    "third": (None, "trust"),
    "by_password": ("clear text, spaced", "password"),
    "by_md5": ("five", "md5"),
    "by_scram": ("sea-salt", "scram-sha-256"),
}
DATABASES = ("app", "app2")


class Live:
    """What the runner was asked for; filled in before the first story runs."""
    bin = None
    options = ()                # KEY=VALUE, for every pooler
    postgres = os.environ.get("LIVE_POSTGRES")  # programs of the PostgreSQL whose servers are started; None: what is installed
    kind = "direct"             # pgweir, pgbouncer or direct
    quick = False
    sanitized = False           # built with a sanitizer: slower, and its memory is not the program's own
    seed = 1
    folder = None
    shared = None               # a folder for what one of several processes makes for all
    pg = None
    verbose = False


live = Live()


def unprivileged():
    """The user PostgreSQL (and PgBouncer) run as when we are root, else None."""
    if not ROOT:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SystemExit("no unprivileged user (postgres or nobody) to run PostgreSQL as")


def user_options():
    user = unprivileged()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def give_away(path):
    user = unprivileged()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


@contextlib.contextmanager
def off_the_clock():
    """What is done within, and has a bound of its own, is no part of the time that a story may take."""
    left = signal.alarm(0)
    try:
        yield
    finally:
        signal.alarm(left)


def put(path, text):
    """Write a file so that nobody who reads it meanwhile finds a part of it: a process that was told to RELOAD may be about to."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    give_away(new)
    new.replace(path)


class Vain(AssertionError):
    """What was waited for did not come true."""


class Broken(AssertionError):
    """The pooler ended by itself, or badly, or a sanitizer spoke."""


def wait_until(what, true, timeout=20, every=0.02):
    """Wait until `true()`; its value. `what` names the wish when it does not come true."""
    timeout *= wire.PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Vain(f"waited {timeout} s in vain: {what}")
        time.sleep(every)


JDBC = "/usr/share/java/postgresql.jar"


def node_folder(part="."):
    """tests/live/node, or a part of it, with what its package-lock.json names."""
    folder = HERE / "node" / part
    installed, asked = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
    # What a package would fetch from elsewhere once it is installed is not to be had everywhere.
    own = ["--ignore-scripts"] if part != "." else []
    with open(asked) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)        # two stories may want it at once
        if not installed.exists() or installed.stat().st_mtime < asked.stat().st_mtime:
            done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", *own], cwd=folder, timeout=300 if own else 150, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                raise AssertionError(f"npm ci: {done.stdout.decode()}")
    return folder


def postgres_programs():
    """The newest that is installed: its server where no other is asked for, and psql, pgbench and the like."""
    for folder in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found:
        return pathlib.Path(found).resolve().parent
    raise SystemExit("PostgreSQL's initdb was not found: install postgresql-15")


# PostgreSQL ----------------------------------------------------------------------------

class Postgres:
    """One cluster. `with Postgres(max_connections=12) as pg:` for one of a test's own."""

    template = None
    used = []                   # data folders that the next ones get, restored: far less is written than for a new copy
    USED_MOST = 3

    def __init__(self, max_connections=120, **settings):
        self.programs = postgres_programs()
        self.server_programs = pathlib.Path(live.postgres or self.programs)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir=live.folder))
        self.data = self.folder / "data"
        give_away(self.folder)
        self.port = free_port()
        self.process = None
        self.ended_well = False     # nobody can still be writing
        self.settings = {"max_connections": max_connections, **settings}
        self.socket_path = str(self.folder / f".s.PGSQL.{self.port}")

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def __enter__(self):
        self.create()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        # A disk that others use as well takes its time for a whole cluster, here and in `create`.
        with off_the_clock():
            if self.ended_well and self.data.is_dir() and len(Postgres.used) < Postgres.USED_MOST:
                Postgres.used.append(self.data.rename(live.folder / f"used-{self.folder.name}"))
            subprocess.run(["rm", "-rf", str(self.folder)], check=False, timeout=300)

    def create(self):
        if Postgres.template is None:
            Postgres.template = self._shared_template() if live.shared else self._make_template()
        with off_the_clock():
            if Postgres.used:
                Postgres.used.pop().rename(self.data)
                restore(self.data, Postgres.template)
            else:
                subprocess.run(["cp", "-a", str(Postgres.template), str(self.data)], check=True, timeout=300)

    def _shared_template(self):
        """Whoever comes first makes it; the others wait, which is sooner than all of them at once."""
        kept = live.shared / "template"
        with open(live.shared / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                self._make_template().rename(kept)
        return kept

    def _make_template(self):
        """initdb, roles and databases once; every cluster starts as a copy."""
        self.data = self.folder / "template"
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "--wal-segsize=1")
        (self.data / "pg_hba.conf").write_text(
            "local all postgres trust\n"
            "host all postgres samehost trust\n"
            + "".join(f"local all {name} {how}\nhost all {name} samehost {how}\n"
                      for name, (_, how) in ROLES.items()))
        self.start()
        with self.admin() as admin:
            for name, (password, how) in ROLES.items():
                admin.query("SET password_encryption = '%s'" % ("md5" if how == "md5" else "scram-sha-256"))
                admin.query(f"CREATE ROLE {name} LOGIN"
                            + (f" PASSWORD '{password}'" if password else "")
                            + " IN ROLE pg_signal_backend, pg_read_all_stats")
            for name in DATABASES:
                admin.query(f"CREATE DATABASE {name} OWNER app")
        for name in DATABASES:
            with self.admin(name) as admin:
                admin.query("GRANT ALL ON SCHEMA public TO PUBLIC")
        # Ended at once, it would lose what it committed last: synchronous_commit is off.
        self.stop(immediately=False)
        template, self.data = self.data, self.folder / "data"
        kept = live.folder / "template"
        shutil.move(template, kept)
        return kept

    def _run(self, program, *arguments):
        done = subprocess.run([str(self.server_programs / program), *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=300, cwd="/", **user_options())
        if done.returncode:
            raise SystemExit(f"{program} failed:\n{done.stdout.decode()}")

    @property
    def major(self):
        return int((self.data / "PG_VERSION").read_text())

    def start(self):
        options = {"listen_addresses": "127.0.0.1,::1", "port": self.port, "unix_socket_directories": self.folder,
                   "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB",
                   "log_line_prefix": "%m [%p] %q%u@%d ", "max_wal_senders": 0, "wal_level": "minimal",
                   "autovacuum": "off", "jit": "off", "min_wal_size": "2MB", "password_encryption": "scram-sha-256", **self.settings}
        self.log_path = self.folder / "log"
        log = open(self.log_path, "ab")
        arguments = [str(self.server_programs / "postgres"), "-D", str(self.data)]
        for key, value in options.items():
            arguments += ["-c", f"{key}={value}"]
        self.ended_well = False
        self.process = subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                        cwd="/", start_new_session=True, **user_options())
        log.close()

        def ready():
            if self.process.poll() is not None:
                raise SystemExit("PostgreSQL ended at start:\n" + self.log_path.read_text()[-2000:])
            try:
                self.admin().close()
                return True
            except (OSError, wire.Refused, wire.Closed):
                return False
        wait_until("PostgreSQL is up", ready, timeout=120)

    def stop(self, immediately=True):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
            try:
                self.process.wait(20)
                self.ended_well = True
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.process = None

    def admin(self, database="postgres", timeout=15):
        """A superuser's connection, past any pooler."""
        return wire.Client(self.socket_path, user="postgres", database=database, timeout=timeout)

    def value(self, sql, database="postgres"):
        with self.admin(database) as admin:
            return admin.value(sql)

    def backends(self, user=None, database=None, extra=""):
        """How many client backends PostgreSQL holds for this user and database."""
        where = "backend_type = 'client backend' AND usename <> 'postgres'"
        if user:
            where += f" AND usename = '{user}'"
        if database:
            where += f" AND datname = '{database}'"
        return int(self.value(f"SELECT count(*) FROM pg_stat_activity WHERE {where} {extra}"))

    def clear(self):
        """End what an earlier test left behind, so that nobody's backends are counted twice."""
        with self.admin() as admin:
            def none():
                admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
                return admin.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == "1"
            wait_until("earlier backends are gone", none)


class Gate:
    """Who runs `passing` waits for it at PostgreSQL until the end of the block, or `open`: `with Gate(pg) as gate: ...; gate.await_waiting(2)`."""

    passing = "pg_advisory_xact_lock_shared(4711)"

    def __init__(self, pg, database="app"):
        self.pg, self.database = pg, database

    def __enter__(self):
        self.holder = self.pg.admin(self.database)
        self.holder.query("SELECT pg_advisory_lock(4711)")
        return self

    def __exit__(self, *_):
        self.open()

    def open(self):
        self.holder.close()

    def await_waiting(self, count):
        wait_until(f"{count} wait at the gate", lambda: self.pg.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == str(count))


class Peak:
    """Samples the number of backends while its block runs: `with Peak(pg, user="app") as peak: ... peak.value`."""

    def __init__(self, pg, user=None, database=None, every=0.004):
        self.pg, self.every = pg, every
        self.where = "backend_type = 'client backend' AND usename <> 'postgres'"
        if user:
            self.where += f" AND usename = '{user}'"
        if database:
            self.where += f" AND datname = '{database}'"
        self.value = self.samples = 0
        self.failure = None

    def __enter__(self):
        self.admin = self.pg.admin()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()
        return self

    def _sample(self):
        try:
            ended = False
            while not ended:
                ended = self.ending.is_set()        # once more then: a thread that got no turn has seen nothing of what is still there
                now = int(self.admin.value(f"SELECT count(*) FROM pg_stat_activity WHERE {self.where}"))
                self.value = max(self.value, now)
                self.samples += 1
                self.ending.wait(self.every)
        except Exception as failure:        # noqa: reported by __exit__
            self.failure = failure

    def __exit__(self, kind, *_):
        self.ending.set()
        self.thread.join(20)
        self.admin.close()
        if kind is None and (self.failure or self.samples == 0):
            raise AssertionError(f"the backends were not sampled: {self.failure}")


# The pooler ----------------------------------------------------------------------------

class Pooler:
    """One pooler with its own folder, ini, user list, port and unix socket.

    settings    [pgbouncer] keys; None leaves a default out
    databases   name -> connection string without host and port, or a whole string that has a host
    users       [users] section: name -> string
    peers       [peers] section: id -> string
    port        one that others listen on too
    userlist    name -> secret
    called      "pgweir" or "pgbouncer": the name it is started under
    """

    READY_SECONDS = 30

    def __init__(self, pg=None, settings=None, databases=None, users=None, userlist=None, called="pgweir",
                 files=None, overrides=(), nofile=None, environment=None, peers=None, port=None):
        self.pg = pg or live.pg
        self.called = called
        self.nofile = nofile
        self.environment = environment or {}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pooler-", dir=live.folder))
        give_away(self.folder)
        self.port = port or free_port()
        self.settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": self.folder,
            "auth_type": "trust", "auth_file": self.folder / "userlist.txt", "admin_users": "admin",
            "stats_users": "stats", "pool_mode": "transaction", "max_client_conn": 1000,
            "default_pool_size": 5, "query_wait_timeout": 30, "server_login_retry": 1, "log_stats": 0,
        }
        if live.kind == "pgbouncer":
            self.settings["ignore_startup_parameters"] = "extra_float_digits, options"
        self.settings.update(settings or {})
        self.databases = databases or {name: f"dbname={name}" for name in DATABASES}
        self.users = users or {}
        self.peers = peers or {}
        self.userlist = {"app": "", "other": "", "third": "", "admin": "", "stats": ""} if userlist is None else userlist
        self.overrides = list(overrides)
        self.log_path = self.folder / "log"
        self.ini = self.folder / "pgweir.ini"
        self.process = None
        self.clients = []
        self.groups = []            # further groups of its process
        self.as_root = False
        self.expect_crash = False
        self.files = files or {}

    # Life

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def database_line(self, name, string):
        return f"{name} = {string}" if "host=" in string else f"{name} = host=127.0.0.1 port={self.pg.port} {string}"

    def ini_text(self):
        lines = ["[databases]"]
        lines += [self.database_line(name, string) for name, string in self.databases.items()]
        lines += ["", "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in self.settings.items() if value is not None]
        if self.users:
            lines += ["", "[users]"] + [f"{name} = {string}" for name, string in self.users.items()]
        if self.peers:
            lines += ["", "[peers]"] + [f"{name} = {string}" for name, string in self.peers.items()]
        return "\n".join(lines) + "\n"

    def write_files(self):
        put(self.ini, self.ini_text())
        put(self.folder / "userlist.txt",
            "".join('"%s" "%s"\n' % (name.replace('"', '""'), secret.replace('"', '""'))
                    for name, secret in self.userlist.items()))
        for name, content in self.files.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(content)
        for path in self.folder.rglob("*"):
            if path.is_file() or path.is_dir():
                give_away(path)

    def command(self):
        if live.kind == "pgbouncer":
            return [live.bin, str(self.ini)]
        program = live.bin
        if self.called == "pgbouncer":
            program = self.folder / "pgbouncer"
            if not program.exists():
                program.symlink_to(live.bin)
            return [str(program), str(self.ini)]
        return [str(program), "serve", str(self.ini)] + [word for each in (*live.options, *self.overrides) for word in ("-o", each)]

    def launch(self):
        """Start the process and do not wait for anything."""
        self.write_files()
        log = open(self.log_path, "ab")
        nofile = self.nofile

        def limits():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, nofile)
        environment = {**os.environ, **self.environment}
        who = {} if self.as_root else user_options()
        if who:
            who["extra_groups"] = self.groups
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                                        start_new_session=True, env=environment, preexec_fn=limits, **who)
        log.close()

    def start(self):
        if live.kind == "direct":
            return
        self.launch()
        began = time.monotonic()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the pooler ended at start with {self.process.returncode}:\n{self.log()[-2000:]}")
            # Another's pooler may have taken the port a moment before: only our own says in our log that it is up.
            if "process up" not in self.log() and time.monotonic() - began < 3 * wire.PATIENCE:
                return False
            try:
                with socket.create_connection(self.address, timeout=1) as probe:
                    probe.shutdown(socket.SHUT_WR)
                    # Its end is seen from here: until then it is a client more to whoever counts them.
                    probe.settimeout(2 * wire.PATIENCE)
                    with contextlib.suppress(OSError):
                        probe.recv(1)
                return True
            except OSError:
                return False
        wait_until("the pooler listens", ready, timeout=self.READY_SECONDS)

    def wait(self, timeout=20):
        """Wait for the process to end by itself; its exit code."""
        timeout *= wire.PATIENCE
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Vain(f"the pooler was still running after {timeout} s") from None
        self.expect_crash = True
        return code

    def stop(self):
        """End it by its process id, and complain if it did not live and die well."""
        for client in self.clients:
            client.close()
        self.clients = []
        if self.process is None:
            return
        process, self.process = self.process, None
        trouble = None
        if process.poll() is None:
            # Debian's PgBouncer 1.18 ends at once on SIGTERM and knows no SIGQUIT; later ones wait on SIGTERM.
            process.send_signal(signal.SIGTERM if live.kind == "pgbouncer" else signal.SIGQUIT)
            try:
                process.wait(20 * wire.PATIENCE)
                if process.returncode not in ((0, 1) if live.kind == "pgbouncer" else (0,)) and not self.expect_crash:
                    trouble = f"the pooler was told to end and did so with {process.returncode}"
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                trouble = f"the pooler did not end within {20 * wire.PATIENCE} s of being told to"
        elif not self.expect_crash:
            trouble = f"the pooler ended by itself with {process.returncode}"
        output = self.log()
        for words in SANITIZER_WORDS:
            if words in output:
                trouble = f"a sanitizer spoke: {output[output.index(words):][:6000]}"
                break
        if trouble:
            raise Broken(trouble)

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def await_log(self, words=None, pattern=None):
        """Wait until the log has `words`, or something that `pattern` fits: a line may be written behind what a client saw."""
        wait_until(f"the log says {words or pattern!r}",
                   lambda: words in self.log() if pattern is None else re.search(pattern, self.log()))

    def reload(self):
        """SIGHUP, and wait until the log has grown by something."""
        self.process.send_signal(signal.SIGHUP)

    # Reaching it

    @property
    def pid(self):
        return self.process.pid

    @property
    def address(self):
        return self.pg.address if live.kind == "direct" else ("127.0.0.1", self.port)

    @property
    def socket_folder(self):
        return str(self.pg.folder if live.kind == "direct" else self.folder)

    @property
    def socket_path(self):
        return f"{self.socket_folder}/.s.PGSQL.{self.address[1]}"

    def client(self, user="app", database="app", **options):
        client = wire.Client(self.address, user=user, database=database, **options)
        self.clients.append(client)
        return client

    def console(self, user="admin", database="pgbouncer", **options):
        return self.client(user=user, database=database, **options)

    def show(self, what):
        """SHOW `what` as a list of dicts."""
        with wire.Client(self.address, user="admin", database="pgbouncer") as console:
            return console.query(f"SHOW {what}").dicts()

    def pool(self, user="app", database="app"):
        """This pool's row of SHOW POOLS, numbers as numbers."""
        for row in self.show("POOLS"):
            if (row["database"], row["user"]) == (database, user):
                return {key: int(value) if value and value.lstrip("-").isdigit() else value for key, value in row.items()}
        return None

    def memory_kb(self, what="VmRSS"):
        """What it occupies; nothing where a sanitizer's own memory would be counted too."""
        if live.sanitized:
            return 0
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {what} in /proc/{self.pid}/status")


# Stories -------------------------------------------------------------------------------

class Late(Exception):
    """A story ran longer than it may."""


def on(*kinds, why=None):
    """This story is for these subjects only; the others skip it."""
    def mark(method):
        method.kinds = kinds
        method.why = why
        return method
    return mark


def full_only(method):
    """Left out by --quick."""
    method.full_only = True
    return method


def alone(method):
    """Run by itself, when nothing else does."""
    method.alone = True
    return method


def takes(seconds):
    """How long this story may run at most (120 s unless said)."""
    def mark(method):
        method.takes = seconds
        return method
    return mark


class Ran:
    """What one run of a command said."""

    def __init__(self, done):
        self.status = done.returncode
        self.bytes = done.stdout
        self.out = done.stdout.decode()         # an exception here: it printed what is no UTF-8
        self.err = done.stderr.decode()

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"status {self.status}\n{self.out[-3000:]}\n{self.err[-3000:]}"


class Story(unittest.TestCase):
    """Public methods written in the class body are tests. `kinds` limits a whole class."""

    kinds = ("pgweir", "pgbouncer", "direct")
    measures = False            # what it asserts are figures that a machine which stood still for a moment makes wrong
    maxDiff = None

    def setUp(self):
        self.poolers = []
        live.pg.clear()
        self.pg = live.pg

    def pooler(self, **options):
        """Start a pooler that ends with this test."""
        pooler = Pooler(**options)
        self.keep(pooler)
        pooler.start()
        return pooler

    def own_folder(self):
        """A folder for this test, gone at its end."""
        folder = tempfile.TemporaryDirectory(dir=live.folder)
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def keep(self, pooler):
        """Let the end of this test end `pooler`."""
        self.poolers.append(pooler)
        self.addCleanup(pooler.stop)
        return pooler

    def postgres(self, **options):
        """Start a PostgreSQL that ends with this test."""
        pg = Postgres(**options)
        self.addCleanup(pg.__exit__)
        return pg.__enter__()

    def refused(self, call, *arguments, says=None, sqlstate=None, **options):
        """The error `call` is answered with; fails when it is not answered with one."""
        with self.assertRaises(wire.Refused) as caught:
            call(*arguments, **options)
        error = caught.exception
        if says:
            self.assertIn(says, error.message)
        if sqlstate:
            self.assertEqual(sqlstate, error.sqlstate)
        return error

    @staticmethod
    def together(*calls, timeout=40):
        """Run calls in threads of their own; their results, or the first failure."""
        results, failures = [None] * len(calls), []

        def run(number, call):
            try:
                results[number] = call()
            except BaseException as failure:        # noqa: raised below
                failures.append(failure)
        threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(calls)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + timeout * wire.PATIENCE
        for thread in threads:
            thread.join(max(0.01, deadline - time.monotonic()))
        if failures:
            raise failures[0]
        if any(thread.is_alive() for thread in threads):
            raise Vain(f"still running after {timeout} s")
        return results


class Holders:
    """Idle-in-transaction clients that take the pool's servers one by one, so that the next
    statement of somebody else must run on a server it has not seen."""

    def __init__(self, pooler, count, **options):
        self.clients = [pooler.client(**options) for _ in range(count)]
        self.held = 0

    def take_one(self):
        self.clients[self.held].begin()
        self.held += 1

    def release(self):
        for client in self.clients[:self.held]:
            client.query("ROLLBACK")
        self.held = 0


def stories_of(module):
    """(class, method) of every test of a module, in the order they are written."""
    found = []
    for _, each in inspect.getmembers(module, inspect.isclass):
        if issubclass(each, Story) and each.__module__ == module.__name__:
            found.append(each)
    found.sort(key=lambda each: inspect.getsourcelines(each)[1])
    for each in found:
        for name, value in vars(each).items():
            if not name.startswith("_") and inspect.isfunction(value) and name not in ("setUp", "tearDown") \
                    and not getattr(value, "helper", False):
                yield each, name, value


def helper(method):
    """A public-looking method that is not a test."""
    method.helper = True
    return method


def indent(text, by="# "):
    return "\n".join(by + line for line in text.splitlines())


@contextlib.contextmanager
def shared_folder():
    """Fill in `live.shared` for the stages of all processes that are forked within."""
    live.shared = pathlib.Path(tempfile.mkdtemp(prefix="weir-shared-"))
    live.shared.chmod(0o755)
    try:
        yield
    finally:
        shutil.rmtree(live.shared, ignore_errors=True)
        live.shared = None


@contextlib.contextmanager
def stage(bin, kind, quick, seed, verbose=False, **settings):
    """Fill in `live` and run one PostgreSQL, with these settings of its own, for as long as the block lasts."""
    live.bin, live.kind, live.quick, live.seed, live.verbose = bin, kind, quick, seed, verbose
    live.sanitized = bool(bin) and kind == "pgweir" and is_sanitized(bin)
    wire.PATIENCE = 3 if live.sanitized else 1
    live.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-live-"))
    live.folder.chmod(0o755)
    give_away(live.folder)
    if bin and ROOT:
        # The pooler runs as the unprivileged user too, who may not be able to reach a build folder below /root.
        # Its tools (pgweir-NAME) are looked for beside it, so they go along.
        live.bin = str(shutil.copy(bin, live.folder / pathlib.Path(bin).name))
        for tool in pathlib.Path(bin).parent.glob(pathlib.Path(bin).name + "-*"):
            if tool.is_file() and os.access(tool, os.X_OK):
                shutil.copy(tool, live.folder / tool.name)
    if live.postgres and ROOT and not all(folder.stat().st_mode & stat.S_IXOTH for folder in pathlib.Path(live.postgres).parents):
        near = live.folder / "postgres"
        shutil.copytree(pathlib.Path(live.postgres).parent, near, symlinks=True)
        live.postgres = str(near / "bin")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    live.pg = Postgres(max_connections=120, **settings)
    try:
        with live.pg:
            yield live
    finally:
        shutil.rmtree(live.folder, ignore_errors=True)
        Postgres.template, Postgres.used = None, []


def is_sanitized(bin):
    content = pathlib.Path(bin).read_bytes()
    return b"__asan_init" in content or b"__tsan_init" in content


def subject_kind(bin):
    if bin is None:
        return "direct"
    said = subprocess.run([bin, "-V"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
                          stdin=subprocess.DEVNULL).stdout.decode(errors="replace")
    return "pgbouncer" if said.startswith("PgBouncer 1.") and "libevent" in said else "pgweir"
