"""What a leak is played on: the programs of an application, a network that can be cut, and what is seen once a second.

    Workshop    the applications, copied and compiled where an unprivileged user can run them
    Crew        the processes of one story, each ended by its process id
    Network     a network namespace, from which a client can vanish without a word
    Sample      the pooler's clients and PostgreSQL's backends at one moment, told apart by what they do

Everything an application needs is given to it as arguments or in its environment.
"""
import contextlib
import datetime
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import harness
from harness import give_away, live, unprivileged, user_options, wait_until

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
JARS = ":".join(f"/usr/share/java/{name}.jar" for name in ("postgresql", "HikariCP", "slf4j-api", "slf4j-nop"))

# The table that the applications read and write, and one that is only written.
FIXTURE = ("CREATE TABLE IF NOT EXISTS product(id int PRIMARY KEY, name text, stock int)",
           "INSERT INTO product SELECT n, 'product ' || n, n % 17 FROM generate_series(1, 1000) AS n ON CONFLICT DO NOTHING",
           "GRANT ALL ON product TO PUBLIC",
           "CREATE TABLE IF NOT EXISTS summary(products bigint, slept text)", "GRANT ALL ON summary TO PUBLIC")


class Unable(Exception):
    """This machine cannot play the story; says why."""


# Programs --------------------------------------------------------------------------------

class Workshop:
    """A folder with the applications, ready to run. `needs` says what has to be compiled or fetched: go, java, node."""

    def __init__(self, needs):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-leaks-"))
        self.needs = set(needs)

    def __enter__(self):
        self.folder.chmod(0o755)
        shutil.copytree(HERE / "apps", self.folder / "apps", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE / "visitors.py", self.folder)
        shutil.copytree(TOP / "examples" / "chat", self.folder / "chat", ignore=shutil.ignore_patterns("__pycache__"))
        for need in sorted(self.needs):
            getattr(self, f"make_{need}")()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command, **options):
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180,
                              stdin=subprocess.DEVNULL, **options)
        if done.returncode:
            raise SystemExit(f"{command[0]} failed:\n{done.stdout.decode(errors='replace')}")

    def make_node(self):
        """node-postgres, in the version that the live tests pin and fetch."""
        source = TOP / "tests" / "live" / "node"
        installed = source / "node_modules" / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < (source / "package-lock.json").stat().st_mtime:
            self._run("npm", "ci", "--no-audit", "--no-fund", cwd=source)
        shutil.copytree(source / "node_modules", self.folder / "apps" / "node_modules", symlinks=True)

    def make_go(self):
        environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": "/usr/share/gocode",
                       "GOCACHE": str(self.folder / "gocache")}
        for program, source in (("rows", HERE / "apps" / "rows.go"), ("go-stories", TOP / "tests" / "live" / "go" / "stories.go")):
            self._run("go", "build", "-o", self.folder / "apps" / program, source, env=environment)

    def make_java(self):
        self._run("javac", "-cp", JARS, "-d", self.folder / "apps" / "classes", HERE / "apps" / "Orders.java")


class Program:
    """One process: `argv` and what is added to its environment.

    port        it is up when it listens there
    ends        it may end by itself; any other that does is a failure of the story
    network     the Network that it lives in
    before      it is run to its end before the rest is started
    """

    def __init__(self, *argv, port=None, ends=False, network=None, before=False, folder="apps", **environment):
        self.argv = [str(word) for word in argv]
        self.port, self.ends, self.network, self.before = port, ends, network, before
        self.folder, self.environment = folder, environment
        self.process = None


class Crew:
    """The processes of a story. All run as the user that the pooler runs as, which may therefore see whose sockets they hold."""

    TIME_LIMIT = 150

    def __init__(self, workshop, programs):
        self.workshop, self.programs = workshop, programs
        self.log_path = pathlib.Path(tempfile.mkstemp(prefix="crew-", dir=live.folder)[1])
        give_away(self.log_path)

    def __enter__(self):
        try:
            for program in self.programs:
                self.start(program)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, program):
        # Were the runner killed outright, they would still end in time.
        argv = ["timeout", "-k", "5", str(self.TIME_LIMIT), *program.argv]
        options = user_options()
        if program.network:
            user = unprivileged()
            argv = ["ip", "netns", "exec", program.network.name, "setpriv", "--reuid", user.pw_name, "--regid", str(user.pw_gid),
                    "--clear-groups", *argv]
            options = {}
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin", "LC_ALL": "C.UTF-8", "HOME": str(live.folder), "PYTHONDONTWRITEBYTECODE": "1",
                       "PYTHONPATH": str(self.workshop.folder / program.folder), "PYTHONUNBUFFERED": "1", **program.environment}
        with open(self.log_path, "ab") as log:
            program.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                               cwd=self.workshop.folder / program.folder, env=environment, **options)
        if program.before:
            if program.process.wait(60) != 0:
                raise AssertionError(f"{program.argv[0]} failed:\n{self.log()[-2000:]}")
        elif program.port:
            wait_until(f"{program.argv[0]} listens", lambda: self._listens(program), timeout=30, every=0.1)

    def _listens(self, program):
        if program.process.poll() is not None:
            raise AssertionError(f"{program.argv[0]} ended at its start:\n{self.log()[-2000:]}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", program.port), timeout=1).close()
            return True
        return False

    def kill(self, program):
        """End one without giving it time for a word."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.process.pid, signal.SIGKILL)
        program.process.wait(10)

    def fallen(self):
        """The programs that ended and should not have."""
        return [f"{each.argv[0]} {each.argv[1:2]} ended with {each.process.returncode}" for each in self.programs
                if not (each.ends or each.before) and each.process.poll() is not None]

    def log(self):
        return self.log_path.read_text(errors="replace")

    def __exit__(self, *_):
        """End all, the last first. Each leads a group, in which its own children are."""
        for program in reversed(self.programs):
            if program.process is None:
                continue
            for number, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.process.wait(patience)
                    if number == signal.SIGTERM:
                        # What is left of the group, such as a helper that outlived its worker.
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(program.process.pid, signal.SIGKILL)
                    break


# A network that can be cut -------------------------------------------------------------------

class Network:
    """A network namespace, joined to ours by a pair of virtual interfaces. `cut` takes the client's end down: nothing that
    is sent arrives any more, in either direction, and nobody is told."""

    def __init__(self):
        number = os.getpid() % 60000
        self.name, self.ours, self.theirs = f"weir{number}", f"weir{number}a", f"weir{number}b"
        first = f"10.213.{number // 64 % 250}.{number % 64 * 4}"
        base = int(first.rsplit(".", 1)[1])
        stem = first.rsplit(".", 1)[0]
        self.address, self.client_address = f"{stem}.{base + 1}", f"{stem}.{base + 2}"

    def __enter__(self):
        if not harness.ROOT:
            raise Unable("a network namespace needs root")
        if not shutil.which("ip"):
            raise Unable("a network namespace needs ip, of Debian's iproute2")
        try:
            self._ip("netns", "add", self.name)
            self._ip("link", "add", self.ours, "type", "veth", "peer", "name", self.theirs, "netns", self.name)
            self._ip("addr", "add", f"{self.address}/30", "dev", self.ours)
            self._ip("link", "set", self.ours, "up")
            for words in (("addr", "add", f"{self.client_address}/30", "dev", self.theirs), ("link", "set", self.theirs, "up"),
                          ("link", "set", "lo", "up")):
                self._ip("-n", self.name, *words)
        except subprocess.CalledProcessError as failure:
            self.__exit__()
            raise Unable(f"no network namespace can be made here: {failure.stderr.decode().strip()}") from None
        return self

    def _ip(self, *words):
        subprocess.run(["ip", *words], check=True, timeout=20, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def cut(self):
        self._ip("-n", self.name, "link", "set", self.theirs, "down")

    def __exit__(self, *_):
        for words in (("link", "del", self.ours), ("netns", "del", self.name)):
            with contextlib.suppress(subprocess.SubprocessError):
                self._ip(*words)


# What is seen ------------------------------------------------------------------------------

def moment(text):
    """A time of SHOW CLIENTS, in seconds."""
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S UTC").timestamp()


class Sample:
    """One moment: every client of the application's user, and every backend that works for it."""

    BACKENDS = ("SELECT pid, state, coalesce(wait_event, ''), extract(epoch FROM clock_timestamp() - state_change),"
                " (SELECT count(*) FROM pg_locks AS l WHERE l.pid = a.pid AND locktype = 'advisory' AND granted)"
                " FROM pg_stat_activity AS a WHERE usename = '{}' AND backend_type = 'client backend'")

    def __init__(self, pooler, user, began):
        self.at = time.monotonic() - began
        rows = pooler.show("CLIENTS")
        # The pooler's own idea of now: the console that asks is among them.
        now = max(moment(row["request_time"]) for row in rows)
        self.clients = [row for row in rows if row["user"] == user]
        for row in self.clients:
            row["rests"] = now - moment(row["request_time"])
        with pooler.pg.admin() as admin:
            rows = admin.query(self.BACKENDS.format(user)).rows
        self.backends = [(state, event, float(age), int(locks)) for _, state, event, age, locks in rows]

    def silent(self, seconds):
        """Clients that are logged in and have asked nothing for so long."""
        return sum(row["state"] == "idle" and row["rests"] >= seconds for row in self.clients)

    def held(self, seconds):
        """Backends that are idle in a transaction for so long."""
        return sum(state.startswith("idle in transaction") and age >= seconds for state, _, age, _ in self.backends)

    def unread(self, seconds):
        """Backends that want to send, and nobody reads."""
        return sum(state == "active" and event == "ClientWrite" and age >= seconds for state, event, age, _ in self.backends)

    def abandoned(self, seconds):
        """Backends at work for longer, beyond the clients that there are."""
        return max(0, sum(state == "active" and age >= seconds for state, _, age, _ in self.backends) - len(self.clients))

    def locked(self, seconds):
        """Advisory locks of backends that are idle: of nobody who works."""
        return sum(locks for state, _, age, locks in self.backends if state == "idle" and age >= seconds)

    def line(self):
        """The figures in one line."""
        states = {}
        for row in self.clients:
            states[row["state"]] = states.get(row["state"], 0) + 1
        clients = " ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
        return (f"{self.at:5.1f} s  clients: {clients} ({self.silent(5)} silent 5 s)   backends: {len(self.backends)}"
                f" ({self.held(3)} held 3 s, {self.unread(3)} unread, {self.locked(2)} locks left)")
