"""Who takes part in a benchmark, and how each is started and ended.

Everything is started in a working folder on free loopback ports and ended by
its process id. A contestant has `port`, `pid` (whose CPU time is counted) and
`name`; a backend has `port` and `pid`.
"""
import base64
import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "tests/live"))

from ports import free_port  # noqa: E402

NOBODY = "nobody"


class Missing(Exception):
    """A program that is not there, or cannot do what is asked: skipped with a line."""


def working_folder():
    """One that whoever PgBouncer and PostgreSQL run as may write to."""
    folder = tempfile.mkdtemp(prefix="pgweir-bench-")
    os.chmod(folder, 0o777)
    return folder


def scram_secret(password):
    """What PostgreSQL would store for this password (RFC 5803's form)."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    keys = [hmac.new(salted, name, "sha256").digest() for name in (b"Client Key", b"Server Key")]
    words = [base64.b64encode(b).decode() for b in (salt, hashlib.sha256(keys[0]).digest(), keys[1])]
    return "SCRAM-SHA-256$4096:%s$%s:%s" % tuple(words)


def wait_for_port(port, process, log, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as s:
            s.settimeout(1)
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    end_process(process)
    tail = open(log, errors="replace").read()[-600:] if os.path.exists(log) else ""
    raise Missing("does not listen on port %d: %s" % (port, tail.strip()))


def end_process(process, number=signal.SIGTERM):
    """End exactly this process; insist after five seconds."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def as_nobody():
    """A command prefix: PostgreSQL and PgBouncer refuse to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=" + NOBODY, "--regid=nogroup", "--clear-groups"]


def pinned(core):
    return [] if core is None else ["taskset", "-c", str(core)]


def memory_kb(pid):
    """The proportional set size."""
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])


def cpu_us(pid):
    """User and system time of all threads that live."""
    folder = "/proc/%d/task" % pid
    return sum(int(open("%s/%s/schedstat" % (folder, t)).read().split()[0]) for t in os.listdir(folder)) / 1e3


# ---- a client ----

def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def until_ready(talk):
    """Read until ReadyForQuery; an error is one for the benchmark too."""
    seen = b""
    while True:
        while len(seen) >= 5:
            end = struct.unpack("!I", seen[1:5])[0] + 1
            if len(seen) < end:
                break
            if seen[:1] == b"E":
                raise Missing("a client was refused: %r" % seen[5:end])
            if seen[:1] == b"Z":
                return
            seen = seen[end:]
        part = talk.recv(65536)
        if not part:
            raise Missing("the pooler hung up: %r" % seen[-200:])
        seen += part


def log_in(port, context=None, application=None):
    """A client that is in; with TLS where there is a `context`."""
    talk = socket.create_connection(("127.0.0.1", port), 20)
    if context:
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk.sendall(message(b"", struct.pack("!I", 80877103)))
        if talk.recv(1) != b"S":
            raise Missing("it does not speak TLS")
        talk = context.wrap_socket(talk)
    settings = b"user\0postgres\0database\0postgres\0"
    if application:
        settings += b"application_name\0%s\0" % application.encode()
    talk.sendall(message(b"", struct.pack("!I", 196608) + settings + b"\0"))
    until_ready(talk)
    return talk


class Party:
    """Anything that is started with a command and listens on a port."""

    def __init__(self, name):
        self.name, self.process, self.port = name, None, None

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def spawn(self, command, folder, core):
        log = os.path.join(folder, self.name.replace(" ", "-").replace("/", "-") + ".log")
        with open(log, "w") as out:
            # setpriv and taskset execute their command in place: the pid stays.
            self.process = subprocess.Popen(pinned(core) + command, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, cwd=folder)
        wait_for_port(self.port, self.process, log)

    def stop(self):
        end_process(self.process)
        self.process = None


class NullServer(Party):
    def __init__(self, programs):
        super().__init__("nullpg")
        self.programs = programs

    def start(self, folder, core=None):
        self.port = free_port()
        self.spawn([self.programs + "/nullpg", "--lax", "--listen", "127.0.0.1:%d" % self.port], folder, core)


class RealServer(Party):
    """A private PostgreSQL 15 with trust, no fsync and 400 connections."""

    def __init__(self):
        super().__init__("postgres")

    def start(self, folder, core=None):
        programs = "/usr/lib/postgresql/15/bin"
        if not os.path.exists(programs + "/postgres"):
            raise Missing("PostgreSQL 15 is not installed")
        data = os.path.join(folder, "data")
        os.mkdir(data)
        if os.geteuid() == 0:
            shutil.chown(data, NOBODY, "nogroup")
        subprocess.run(as_nobody() + [programs + "/initdb", "-D", data, "-U", "postgres", "--no-sync", "-A", "trust",
                                      "-E", "UTF8", "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=data)
        self.port = free_port()
        self.spawn(as_nobody() + [programs + "/postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
                                  "-c", "fsync=off", "-c", "max_connections=600", "-c", "shared_buffers=64MB",
                                  "-c", "autovacuum=off"], folder, core)
        self.sql("CREATE TABLE bench_copy (line text)")

    def sql(self, text):
        for _ in range(50):
            done = subprocess.run(["psql", "-qXAt", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                                   "-c", text, "postgres"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if done.returncode == 0:
                return done.stdout.strip()
            time.sleep(0.1)
        raise Missing("psql: " + done.stderr.strip())

    def stop(self):
        end_process(self.process, signal.SIGINT)
        self.process = None


class Direct(Party):
    """No pooler at all; the backend's own CPU time is shown."""

    def __init__(self):
        super().__init__("direct")
        self.version, self.follows_names, self.scram = "", True, False

    def start(self, backend, folder, core=None, **_):
        self.process, self.port = backend.process, backend.port

    def stop(self):
        self.process = None


class Relay(Party):
    def __init__(self, programs, name, engine="epoll", servers=0, threads=1, extra=()):
        super().__init__(name)
        self.command = [programs + "/relay", "--engine", engine, "--servers", str(servers),
                        "--threads", str(threads)] + list(extra)
        self.version, self.follows_names, self.scram = "", servers == 0, False

    def start(self, backend, folder, core=None, **_):
        self.port = free_port()
        self.spawn(self.command + ["--listen", "127.0.0.1:%d" % self.port,
                                   "--server", "127.0.0.1:%d" % backend.port], folder, core)


class Pooler(Party):
    """PgBouncer, or what takes its command line and its ini."""

    def __init__(self, name, path, command=None, extra=(), drop=True):
        super().__init__(name)
        if not os.path.exists(path):
            raise Missing("%s is not there" % path)
        self.path, self.extra = os.path.abspath(path), list(extra)
        self.words = command or []
        self.prefix = as_nobody() if drop else []
        self.version = self.find_version()
        # PgBouncer follows prepared statements' names since 1.21.
        number = re.search(r"PgBouncer (\d+)\.(\d+)", self.version)
        self.follows_names = number is None or (int(number[1]), int(number[2])) >= (1, 21)
        self.scram = True

    def find_version(self):
        for flag in ("--version", "version"):
            try:
                said = subprocess.run(self.prefix + [self.path, flag], stdout=subprocess.PIPE, timeout=5,
                                      stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
            except (subprocess.TimeoutExpired, OSError):
                continue
            if said.returncode == 0 and said.stdout.strip():
                return said.stdout.strip().splitlines()[0]
        return "unknown version"

    def start(self, backend, folder, core=None, pool_size=20, auth="trust", secret="secret", lines="", database=""):
        self.port = free_port()
        stem = os.path.join(folder, self.name.replace(" ", "-").replace("/", "-"))
        with open(stem + ".users", "w") as f:
            f.write('"postgres" "%s"\n' % secret)
        with open(stem + ".ini", "w") as f:
            f.write("[databases]\n"
                    "postgres = host=127.0.0.1 port=%d dbname=postgres %s\n"
                    "[pgbouncer]\n"
                    "listen_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"
                    "auth_type = %s\nauth_file = %s.users\npool_mode = transaction\n"
                    "default_pool_size = %d\nmin_pool_size = %d\nmax_client_conn = 1100000\n"
                    "server_idle_timeout = 0\nserver_lifetime = 86400\nlisten_backlog = 4096\n"
                    "log_connections = 0\nlog_disconnections = 0\nlog_stats = 0\n"
                    "ignore_startup_parameters = extra_float_digits\n%s"
                    % (backend.port, database, self.port, auth, stem, pool_size, pool_size, lines))
        for file in (stem + ".users", stem + ".ini"):
            os.chmod(file, 0o644)
        self.spawn(self.prefix + [self.path] + self.words + [stem + ".ini"] + self.extra, folder, core)


def pgweir(path, workers, engine="epoll"):
    name = "pgweir" if workers == 1 else "pgweir %d workers" % workers
    if engine != "epoll":
        name += " " + engine
    # It runs as whoever runs this, who alone may be able to reach a build folder.
    return Pooler(name, path, ["serve"], ["-o", "workers=%d" % workers, "-o", "io_engine=" + engine], drop=False)
