"""Settings whose effect is seen outside: at the sockets, in other logs, at PostgreSQL, by whoever counts attempts."""
import ctypes
import grp
import os
import re
import socket
import struct
import time

import wire
from harness import ROOT, Gate, Pooler, Story, free_port, live, on, unprivileged, wait_until
from names import NameServer
from test_pooling import Relay
from wire import Client, query

PIDFD_GETFD = 438
TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_DEFER_ACCEPT, TCP_INFO, TCP_USER_TIMEOUT = 4, 5, 6, 9, 11, 18


def sockets_of(process):
    """Copies of a process's own TCP sockets; None where this machine does not let us."""
    library, found = ctypes.CDLL(None, use_errno=True), []
    whole = os.pidfd_open(process)
    try:
        for number in sorted(map(int, os.listdir(f"/proc/{process}/fd"))):
            copy = library.syscall(PIDFD_GETFD, whole, number, 0)
            if copy < 0 and ctypes.get_errno() in (1, 38):      # EPERM, ENOSYS
                return None
            if copy < 0:
                continue
            try:
                one = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)
                continue
            if one.family in (socket.AF_INET, socket.AF_INET6):
                found.append(one)
            else:
                one.close()
    finally:
        os.close(whole)
    return found


class Sockets(Story):
    kinds = ("pgweir", "pgbouncer")

    def _look(self, pooler, what):
        """`what` of each socket: of the one that listens, of clients, of servers; sorted by these words."""
        found = sockets_of(pooler.pid)
        if found is None:
            self.skipTest("this machine does not let us see another process's sockets")
        seen = {"listens": [], "client": [], "server": []}
        for one in found:
            with one:
                try:
                    one.getpeername()
                except OSError:
                    if one.getsockname()[1] == pooler.port:
                        seen["listens"].append(what(one))
                else:
                    seen["client" if one.getsockname()[1] == pooler.port else "server"].append(what(one))
        return seen

    def tcp_settings_reach_every_socket(self):
        pooler = self.pooler(settings={"tcp_keepidle": 77, "tcp_keepintvl": 13, "tcp_keepcnt": 4, "tcp_user_timeout": 45000,
                                       "tcp_socket_buffer": 65536, "listen_backlog": 17})
        what = lambda one: (one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                            *(one.getsockopt(socket.IPPROTO_TCP, name) for name in (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT)),
                            *(one.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_SNDBUF, socket.SO_RCVBUF)))
        pooler.client().value("SELECT 1")
        # Linux counts its own part of a buffer, and says twice what it was told.
        self.assertEqual({(1, 77, 13, 4, 45000, 131072, 131072)}, {each for some in self._look(pooler, what).values() for each in some})
        self.assertEqual([1, 1, 1], sorted(map(len, self._look(pooler, what).values())))
        # How many may wait to be accepted: tcpi_sacked, for a socket that listens.
        backlog = lambda one: struct.unpack_from("I", one.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104), 28)[0]
        self.assertEqual([17], self._look(pooler, backlog)["listens"])

        pooler.console().query("SET tcp_keepalive = 0")

        def silenced():
            pooler.client(user="other").value("SELECT 1")
            seen = self._look(pooler, lambda one: one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            return 0 in seen["client"] and 0 in seen["server"]
        wait_until("new connections are without keepalive", silenced)

    def tcp_defer_accept_decides_whether_who_says_nothing_is_let_in(self):
        pooler = self.pooler(settings={"tcp_defer_accept": 0})
        defers = lambda: self._look(pooler, lambda one: one.getsockopt(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT))["listens"]
        logins = lambda: [row["items"] for row in pooler.show("LISTS") if row["list"] == "login_clients"]
        with socket.create_connection(pooler.address):
            wait_until("it is counted among those who log in", lambda: logins() == ["1"])
        self.assertEqual([0], defers())
        for wanted in (1, 0):
            pooler.console().query(f"SET tcp_defer_accept = {wanted}")
            wait_until("the socket that listens has it", lambda: defers() == [wanted])

    def unix_socket_group_may_use_the_socket(self):
        if not ROOT:
            self.skipTest("only root can put a process into a group")
        group = grp.getgrnam("daemon").gr_gid
        for said in ("daemon", group):
            pooler = self.keep(Pooler(settings={"unix_socket_group": said, "unix_socket_mode": "0770"}))
            pooler.groups = [group]
            pooler.start()
            wait_until("the socket has its group", lambda: os.stat(pooler.socket_path).st_gid == group)

    def user_has_made_what_it_must_open_anew(self):
        if not ROOT:
            self.skipTest("only root can become another user")
        user = unprivileged()
        pooler = self.keep(Pooler(settings={"user": user.pw_name}))
        pooler.as_root = True
        log, pid = pooler.folder / "own.log", pooler.folder / "pid"
        pooler.settings.update(logfile=log, pidfile=pid)
        pooler.start()
        wait_until("its socket is there", lambda: os.path.exists(pooler.socket_path))
        self.assertEqual({user.pw_uid}, {os.stat(path).st_uid for path in (log, pid, pooler.socket_path, f"/proc/{pooler.pid}")})
        log.rename(pooler.folder / "old.log")
        self.assertEqual(["RELOAD"], pooler.console().query("RELOAD").tags)
        pooler.client().value("SELECT 1")
        wait_until("it is written anew", lambda: log.exists() and log.stat().st_size > 0)

    def what_that_user_can_not_read_is_said_at_the_start_and_not_by_the_first_reload(self):
        if not ROOT:
            self.skipTest("only root can become another user")
        user = unprivileged()
        pooler = self.keep(Pooler(settings={"user": user.pw_name}))
        pooler.as_root = True
        users = self.own_folder() / "closed.txt"      # in its own folder all is that user's
        users.write_text('"app" ""\n"admin" ""\n')
        pooler.settings["auth_file"] = users
        users.chmod(0o600)
        pooler.start()
        pooler.client().value("SELECT 1")
        said = f'auth_file "{users}" can not be read by {user.pw_name}, as whom this process goes on: RELOAD will fail until it can'
        pooler.await_log(said)
        self.assertEqual(1, pooler.log().count("can not be read by"))

    def an_abstract_unix_socket_has_no_file(self):
        pooler = self.keep(Pooler())
        pooler.settings["unix_socket_dir"] = "@" + str(pooler.folder)
        pooler.start()
        with Client("\0" + pooler.socket_path) as client:
            self.assertEqual("1", client.value("SELECT 1"))
        self.assertEqual([], [each for each in os.listdir(pooler.folder) if each.startswith(".s.PGSQL")])


# A /dev of its own for one program, in which /dev/log is a socket of the test's.
OWN_DEV = """set -e
mkdir "$0/dev"
mount -n -t tmpfs none "$0/dev"
for one in null zero random urandom; do touch "$0/dev/$one"; mount -n --bind "/dev/$one" "$0/dev/$one"; done
ln -s "$0/syslog" "$0/dev/log"
mount -n --move "$0/dev" /dev
exec "$@"
"""


class WithSyslog(Pooler):
    def command(self):
        return ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c", OWN_DEV, str(self.folder), *super().command()]


class Logs(Story):
    kinds = ("pgweir", "pgbouncer")

    def _syslog(self, pooler):
        """The socket to which /dev/log leads."""
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(ear.close)
        ear.bind(str(pooler.folder / "syslog"))
        os.chmod(pooler.folder / "syslog", 0o777)
        ear.settimeout(10 * wire.PATIENCE)
        return ear

    def _heard(self, ear, pattern):
        heard = []
        try:
            while not (found := re.search(pattern, heard[-1] if heard else "")):
                heard.append(ear.recv(8192).decode())
        except TimeoutError:
            self.fail(f"syslog was not told {pattern}, but {heard}")
        return found

    def syslog_is_told_under_the_name_and_facility_that_are_set(self):
        pooler = self.keep(WithSyslog(settings={"syslog": 1, "syslog_ident": "harbour", "syslog_facility": "local3"}))
        ear = self._syslog(pooler)
        try:
            pooler.start()
        except AssertionError:
            if "unshare" in pooler.log() or "mount" in pooler.log():
                pooler.expect_crash = True
                self.skipTest("this machine gives no program a /dev of its own")
            raise
        self._heard(ear, r"^<158>\w{3} [ \d]\d \d\d:\d\d:\d\d harbour\[\d+\]: process up: ")        # 19 * 8 + 6: local3, informational
        self.refused(pooler.client, database="nowhere")
        self._heard(ear, r"^<156>.* harbour\[\d+\]: C-\S+ \S+/app@\S+ pooler error: ")      # a warning
        pooler.settings.update(syslog_ident="quay", syslog_facility="daemon")
        pooler.write_files()
        pooler.console().query("RELOAD")
        pooler.client(user="other").value("SELECT 1")
        self._heard(ear, r"^<30>.* quay\[\d+\]: C-\S+ app/other@\S+ login attempt: db=app user=other")
        pooler.settings["syslog"] = 0
        pooler.write_files()
        pooler.console().query("RELOAD")
        pooler.client(user="third").value("SELECT 1")
        pooler.await_log("user=third")
        ear.setblocking(False)
        heard = ""
        try:
            while True:
                heard += ear.recv(8192).decode()
        except BlockingIOError:
            self.assertNotIn("user=third", heard)

    def log_stats_tells_figures_every_stats_period(self):
        pooler = self.pooler(called="pgbouncer", settings={"log_stats": 1, "stats_period": 1})
        figures = re.compile(r" LOG stats: \d+ xacts/s, \d+ queries/s, .*in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us$", re.M)
        client = pooler.client()
        wait_until("two are told", lambda: client.value("SELECT 1") and len(figures.findall(pooler.log())) >= 2
                   and any(int(each) > 0 for each in re.findall(r"stats: (\d+) xacts/s", pooler.log())))
        wait_until("averages are of that time", lambda: client.value("SELECT 1") and next(
            int(row["avg_query_count"]) for row in pooler.show("STATS") if row["database"] == "app") > 0)
        pooler.console().query("SET log_stats = 0")
        self.assertNotIn("client logins/s", pooler.log())      # which 1.25 does not count
        told = len(figures.findall(pooler.log()))
        time.sleep(2.5)
        self.assertLessEqual(len(figures.findall(pooler.log())), told + 1, "more than the one that was under way")

    def log_stats_tells_an_average_over_all_databases_and_not_a_sum_of_theirs(self):
        one = {"workers": 1} if live.kind == "pgweir" else {}      # each has periods of its own
        pooler = self.pooler(called="pgbouncer", settings={"log_stats": 1, "stats_period": 1, **one})
        clients = [pooler.client(database=database) for database in ("app", "app2")]
        for client in clients:
            client.value("SELECT 1")
        counted = lambda column: [int(row[column]) for row in pooler.show("STATS") if row["database"] in ("app", "app2")]
        wait_until("both are counted", lambda: counted("total_xact_count") == [1, 1])
        times = lambda: [int(each) for each in re.findall(r"LOG stats: .* xact (\d+) us", pooler.log())]
        wait_until("both were told", lambda: sum(each > 0 for each in times()) and times()[-1] == 0)
        self.assertLessEqual(max(times()), max(counted("total_xact_time")))

    def log_pooler_errors_decides_whether_what_clients_are_told_is_logged(self):
        pooler = self.pooler(settings={"log_pooler_errors": 0, "log_disconnections": 0})
        self.refused(pooler.client, database="nowhere")
        pooler.console().query("SET log_pooler_errors = 1")
        self.refused(pooler.client, database="nowhere2")
        pooler.await_log(pattern='pooler error: .*nowhere2')
        self.assertNotRegex(pooler.log(), r"(pooler error|closing because): .*nowhere\b")

    def a_connection_that_is_only_tried_is_told_of_when_verbose(self):
        """Health checks come every second: their ends are nothing to keep."""
        pooler = self.pooler(settings={"tcp_defer_accept": 0, "log_connections": 1})
        for wanted in (0, 1):
            pooler.console().query(f"SET verbose = {wanted}")
            socket.create_connection(pooler.address).close()
            pooler.client(user=("other", "third")[wanted]).value("SELECT 1")
        pooler.await_log(pattern=r" DEBUG C-\S+: \(nodb\)/\(nouser\)@127\.0\.0\.1:\d+ ")
        self.assertNotRegex(pooler.log(), r" LOG C-\S+: \(nodb\)/\(nouser\)")
        self.assertNotIn(" DEBUG ", pooler.log().split("user=other")[0])

    def what_flags_say_of_the_log_holds(self):
        """-q: standard error stays empty; -v: as verbose = 1."""
        for flag in ("-q", "-v"):
            pooler = self.keep(Pooler(called="pgbouncer"))
            pooler.settings["logfile"] = pooler.folder / "own.log"
            whole = pooler.command
            pooler.command = lambda: [whole()[0], flag, *whole()[1:]]
            pooler.launch()
            log = lambda: (pooler.folder / "own.log").read_text() if (pooler.folder / "own.log").exists() else ""
            wait_until("it is up", lambda: "process up" in log())
            socket.create_connection(pooler.address).close()
            if flag == "-v":
                wait_until("its own log has more", lambda: " DEBUG " in log())
                self.assertIn("process up", pooler.log())
            pooler.stop()
            if flag == "-q":
                self.assertEqual("", pooler.log())

    def why_connections_end_is_told_in_pgbouncers_words(self):
        """What log watchers count and people look for."""
        gone = free_port()
        pooler = self.pooler(called="pgbouncer", settings={"default_pool_size": 2, "max_db_connections": 2},
                             databases={"app": "dbname=app", "gone": f"host=127.0.0.1 port={gone} dbname=app", "missing": "dbname=missing",
                                        "unknown": "host=no-such-name.invalid dbname=app", "removed": "dbname=app"})
        console = pooler.console()
        said = lambda kind, reason, who="app/app": pooler.await_log(
            pattern=rf"LOG {kind}-0x[0-9a-f]+: {who}@\S+ closing because: {re.escape(reason)} \(age=\d+s\)\n")

        client = pooler.client()
        client.begin()
        pid = client.value("SELECT pg_backend_pid()")
        self.pg.value(f"SELECT pg_terminate_backend({pid})")
        client.expect_closed()
        said("S", "server conn crashed?")
        said("C", "server conn crashed?")

        client = pooler.client()
        client.value("SELECT 1")
        console.query("RECONNECT app")
        client.value("SELECT 1")
        said("S", "obsolete connection")
        console.query("KILL app")
        said("C", "database removed")
        said("S", "database removed")
        console.query("RESUME app")

        clients = [pooler.client() for _ in range(2)]
        for each in clients:
            each.begin()
        for each in clients:
            each.query("COMMIT")
        pooler.client(user="other").value("SELECT 1")
        said("S", "evicted")

        for limit in ("query_wait_timeout = 2", "client_login_timeout = 3"):
            console.query(f"SET {limit}")
        for database, reason in (("gone", "connect failed"), ("missing", "login failed"), ("unknown", "server DNS lookup failed")):
            with self.assertRaises((wire.Refused, wire.Closed)):
                pooler.client(database=database).query("SELECT 1")
            said("S", reason, f"{database}/app")
        pooler.await_log(pattern=r"WARNING .*server login failed: .*missing")
        for limit in ("query_wait_timeout = 120", "client_login_timeout = 60"):
            console.query(f"SET {limit}")

        client = pooler.client(database="removed")
        client.value("SELECT 1")
        del pooler.databases["removed"]
        pooler.write_files()
        console.query("RELOAD")
        client.expect_closed()
        said("C", "database removed", "removed/app")
        said("S", "database removed", "removed/app")


class Servers(Story):
    kinds = ("pgweir", "pgbouncer")

    def _relayed(self, settings=None, **options):
        relay = Relay(free_port(), self.pg.port)
        self.addCleanup(relay.stop)
        return relay, self.pooler(databases={"app": f"host=127.0.0.1 port={relay.port} dbname=app"},
                                  settings={"default_pool_size": 1, **(settings or {})}, **options)

    EMPTY = wire.query("")

    def server_check_query_is_what_is_said_to_a_server_that_rested(self):
        relay, pooler = self._relayed({"server_check_delay": 0, "server_check_query": "SELECT 'tide'"})
        client = pooler.client()
        for _ in range(3):
            client.value("SELECT 1")
        self.assertGreater(bytes(relay.said).count(b"SELECT 'tide'"), 0)
        console = pooler.console()
        console.query("SET server_check_query = ''")
        client.value("SELECT 1")
        told = bytes(relay.said).count(b"SELECT 'tide'")
        for _ in range(3):
            client.value("SELECT 2")
        self.assertEqual(told, bytes(relay.said).count(b"SELECT 'tide'"), "an empty setting is no check")
        if live.kind == "pgweir":       # since 1.25
            console.query("SET server_check_query = '<empty>'")
            wait_until("an empty query is said", lambda: client.value("SELECT 1") and bytes(relay.said).count(self.EMPTY) > 0)
        console.query("SET server_check_delay = 3600")
        client.value("SELECT 1")
        time.sleep(0.3)
        client.value("SELECT 1")
        told = len(relay.said)
        client.value("SELECT 1")
        self.assertEqual(len(query("SELECT 1")), len(relay.said) - told, "a server that has not rested was asked something")

    def server_login_retry_bounds_how_often_a_login_that_fails_is_tried(self):
        relay = Relay(free_port(), self.pg.port)
        self.addCleanup(relay.stop)
        pooler = self.pooler(databases={"app": f"host=127.0.0.1 port={relay.port} dbname=missing"},
                             settings={"server_login_retry": 3600, "query_wait_timeout": 2, "client_login_timeout": 2})
        for _ in range(5):
            with self.assertRaises((wire.Refused, wire.Closed)):
                pooler.client(timeout=15).query("SELECT 1")
        self.assertEqual(1, relay.accepted, "it was tried again before server_login_retry")
        if live.kind == "pgweir":
            error = self.refused(pooler.client, sqlstate="3D000")
            self.assertIn('database "missing" does not exist', error.message)
            self.assertIn("dbname=", error.hint)

    @on("pgweir", why="PgBouncer tells the last failure up to server_login_retry")
    def what_was_mended_is_tried_at_reload_and_at_reconnect(self):
        for command in ("RELOAD", "RECONNECT app"):
            pooler = self.pooler(databases={"app": f"host=127.0.0.1 port={self.pg.port} dbname=mended"},
                                 settings={"server_login_retry": 3600, "query_wait_timeout": 5, "client_login_timeout": 5})
            self.refused(pooler.client, sqlstate="3D000")
            with self.pg.admin() as admin:
                admin.query("CREATE DATABASE mended")
                try:
                    self.refused(pooler.client, sqlstate="3D000")
                    with pooler.console() as console:
                        console.query(command)
                    # A worker that has not heard of it yet may be told once more what is over.
                    wait_until("it is tried again", lambda: self._enters(pooler))
                finally:
                    admin.query("DROP DATABASE mended WITH (FORCE)")

    @staticmethod
    def _enters(pooler):
        try:
            with pooler.client() as client:
                return client.value("SELECT current_database()") == "mended"
        except wire.Refused:
            return False

    def who_is_in_waits_for_a_server_that_is_gone_and_is_served_when_it_is_back(self):
        relay, pooler = self._relayed({"server_login_retry": 1, "query_wait_timeout": 40}, called="pgbouncer")
        client = pooler.client()
        client.value("SELECT 1")
        relay.stop()
        relay.cut()
        wait_until("its server is gone", lambda: pooler.pool()["sv_idle"] == 0)
        client.send(query("SELECT 5"))
        pooler.await_log("closing because: connect failed")
        again = Relay(relay.port, self.pg.port)
        self.addCleanup(again.stop)
        self.assertEqual("5", client.reply(timeout=20).value)

    @on("pgweir", why="since 1.20")
    def who_is_in_is_told_why_postgresql_does_not_let_us_in_any_more(self):
        pooler = self.pooler(called="pgbouncer", settings={"server_login_retry": 3600, "query_wait_timeout": 20})
        first, second = pooler.client(user="third"), pooler.client(user="third")
        with self.pg.admin() as admin:
            admin.query("ALTER ROLE third NOLOGIN")
            try:
                admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'third'")
                wait_until("its server is gone", lambda: pooler.pool("third")["sv_idle"] == 0)
                said = [self._last_words(each, query("SELECT 1")) for each in (first, second)]
            finally:
                admin.query("ALTER ROLE third LOGIN")
        self.assertEqual('role "third" is not permitted to log in', said[0])
        self.assertIn("server login has been failing, ", said[1])
        self.assertIn("(server_login_retry)", said[1])

    @on("pgweir", why="since 1.19")
    def cancel_wait_timeout_gives_up_a_cancel_that_postgresql_does_not_take(self):
        relay, pooler = self._relayed({"cancel_wait_timeout": 1})
        client = pooler.client()
        with socket.socket() as deaf, Client(pooler.address, login=False) as asker:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(5)
            with Gate(self.pg) as gate:
                client.send(query(f"SELECT {gate.passing}; SELECT 'whole'"))
                gate.await_waiting(1)
                relay.target = deaf.getsockname()[1]
                asker.send(wire.cancel_request(client.pid, client.secret))
                wait_until("it is under way", lambda: relay.accepted >= 2 and pooler.pool()["sv_active_cancel"] == 1)
                self.assertEqual([], asker.expect_closed())
                wait_until("nothing of it is left", lambda: (pooler.pool()["sv_active_cancel"], pooler.pool()["cl_active_cancel_req"]) == (0, 0))
            self.assertEqual("whole", client.reply().rows[-1][0])

    def server_connect_timeout_is_told_of(self):
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(5)
            pooler = self.pooler(called="pgbouncer", settings={"server_connect_timeout": 1, "query_wait_timeout": 4, "client_login_timeout": 6},
                                 databases={"app": f"host=127.0.0.1 port={deaf.getsockname()[1]} dbname=app"})
            with self.assertRaises((wire.Refused, wire.Closed)):
                pooler.client(timeout=15).query("SELECT 1")
            pooler.await_log(pattern=r"LOG S-0x\w+: app/app@\S+ closing because: connect timeout \(age=\d+s\)")

    @on("pgweir", why="[users] and most of these since 1.23 and 1.24")
    def sizes_of_a_user_beat_those_of_a_database_and_those_the_global_ones(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "reserve_pool_timeout": 0.1, "max_user_client_connections": 4},
                             databases={"app": "dbname=app reserve_pool_size=1", "kept": "dbname=app2 user=other min_pool_size=1"},
                             users={"other": "reserve_pool_size=2 max_user_client_connections=5"})
        wait_until("min_pool_size of the database is kept", lambda: self.pg.backends("other", "app2") == 1)
        for user, servers, most in (("app", 2, 4), ("other", 3, 5)):
            clients = [pooler.client(user=user) for _ in range(most)]
            for each in clients:
                each.send(query("BEGIN; SELECT 1"))
            wait_until(f"{servers} serve {user}, and the others wait", lambda: (servers, most - servers) == tuple(
                pooler.pool(user)[key] for key in ("sv_active", "cl_waiting")))
            self.assertEqual(servers, self.pg.backends(user, "app"))
            self.refused(pooler.client, user=user, says="client connections exceeded (max_user_client_connections)")

    @on("pgweir", why="since 1.24 and 1.25")
    def times_of_a_user_beat_those_of_a_database_and_those_the_global_ones(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "query_wait_timeout": 60, "query_timeout": 60, "transaction_timeout": 60},
                             databases={"app": "dbname=app", "forced": "dbname=app2 user=other application_name=quay client_encoding=LATIN1"},
                             users={"other": "query_timeout=1", "third": "query_wait_timeout=30 transaction_timeout=2"})
        holders = [pooler.client(user=user) for user in ("app", "third")]
        for each in holders:
            each.begin()
        waiters = [pooler.client(user=user) for user in ("app", "third")]
        # They are in, and their servers too: for that a loaded machine may want longer than this.
        pooler.databases["app"] += " query_wait_timeout=1"
        pooler.write_files()
        pooler.console().query("RELOAD")
        for each in waiters:
            each.send(query("SELECT 7"))
        self.assertEqual("query_wait_timeout", self._last_words(waiters[0]))
        self.assertEqual("transaction timeout", self._last_words(holders[1]))
        self.assertEqual("7", waiters[1].reply().value)
        self.assertEqual("1", holders[0].value("SELECT 1"))
        # Of the user that the pool logs in as, not of who comes; and what the entry sends.
        client = pooler.client(user="app", database="forced")
        self.assertEqual(("quay", "LATIN1"), (client.value("SHOW application_name"), client.value("SHOW client_encoding")))
        client.send(query("SELECT pg_sleep(20)"))
        self.assertEqual("query timeout", self._last_words(client))

    @staticmethod
    def _last_words(client, *sent):
        client.send(*sent)
        errors = client.expect_closed(timeout=15)
        return errors[0].message if errors else None

    @on("pgweir", why="since 1.24")
    def client_idle_timeout_of_a_user_is_its_own(self):
        pooler = self.pooler(users={"other": "client_idle_timeout=1"}, settings={"client_idle_timeout": 0})
        stays, goes = pooler.client(), pooler.client(user="other")
        self.assertEqual("client_idle_timeout", self._last_words(goes))
        self.assertEqual("1", stays.value("SELECT 1"))


class Logins(Story):
    kinds = ("pgweir",)

    def scram_iterations_are_those_of_secrets_made_here(self):
        pooler = self.pooler(settings={"auth_type": "scram-sha-256", "scram_iterations": 5000},
                             userlist={"by_password": "clear text, spaced", "other": wire.scram_secret("its own", iterations=4100)})
        for user, password, rounds in (("by_password", "clear text, spaced", b"5000"), ("other", "its own", b"4100")):
            client = pooler.client(user=user, password=password)
            self.assertEqual([rounds], [found for _, body in client.seen for found in re.findall(rb",i=(\d+)$", body)])

    def track_extra_parameters_are_each_clients_own(self):
        pooler = self.pooler(called="pgbouncer", settings={"default_pool_size": 1, "track_extra_parameters": "default_transaction_read_only"})
        one, two = pooler.client(parameters={"default_transaction_read_only": "on"}), pooler.client()
        for _ in range(2):
            self.assertEqual(("on", "off"), (one.value("SHOW default_transaction_read_only"), two.value("SHOW default_transaction_read_only")))
        two.query("SET default_transaction_read_only = on")
        self.assertEqual("off", pooler.client().value("SHOW default_transaction_read_only"))
        # The list is in place of the one that is the default.
        self.refused(pooler.client, parameters={"intervalstyle": "iso_8601"}, says="unsupported startup parameter: intervalstyle")


class Names(Story):
    """More of them in "failover"."""
    kinds = ("pgweir",)     # PgBouncer asks port 53 alone

    def what_a_name_server_said_is_believed_no_longer_than_is_set(self):
        """Whatever TTL it named."""
        server = NameServer({"db.weir.test": ["127.0.0.1"]}, ttl=3600)
        self.addCleanup(server.stop)
        pooler = self.keep(Pooler(databases={name: f"host={host}.weir.test port={self.pg.port} dbname=app" for name, host in (("app", "db"), ("late", "late"))},
                                  settings={"dns_max_ttl": 1, "dns_nxdomain_ttl": 1, "server_login_retry": 0.5, "query_wait_timeout": 3, "client_login_timeout": 3}))
        pooler.settings["resolv_conf"] = pooler.folder / "resolv.conf"
        pooler.files["resolv.conf"] = server.resolv_conf()
        pooler.start()
        client, console = pooler.client(), pooler.console()
        self.assertEqual("1", client.value("SELECT 1"))
        asked = server.times_asked("db.weir.test")

        def asked_again():
            console.query("RECONNECT app")
            return client.value("SELECT 1") == "1" and server.times_asked("db.weir.test") > asked
        wait_until("it is asked again", asked_again)

        def served():
            try:
                with Client(pooler.address, database="late") as one:
                    return one.value("SELECT 1") == "1"
            except (wire.Refused, wire.Closed):
                return False
        self.assertFalse(served())
        self.assertGreater(server.times_asked("late.weir.test"), 0)
        server.hosts["late.weir.test"] = ["127.0.0.1"]
        wait_until("a name that there was not is looked for again", served)
        console.query("SET resolv_conf = '/nonexistent/resolv.conf'")
        pooler.await_log('resolv_conf: could not read "/nonexistent/resolv.conf": No such file or directory; names are asked of 127.0.0.1')
