"""What runbooks, log watchers and scripts of PgBouncer's users do and read, played against pgweir called pgbouncer and against PgBouncer."""
import os
import re
import signal
import subprocess

from harness import Pooler, Story, live, on, user_options, wait_until
from wire import Client, query, startup


class Log(Story):
    """The forms that pgBadger, fail2ban and people's own patterns look for."""
    kinds = ("pgweir", "pgbouncer")

    HEAD = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \w+ \[\d+\] "

    def _says(self, pooler, level, pattern):
        whole = re.compile(self.HEAD + level + " " + pattern + "$", re.M)
        wait_until(f"the log has a line like {level} {pattern}", lambda: whole.search(pooler.log()))

    def connections_are_told_of_as_pgbouncer_tells_of_them(self):
        pooler = self.pooler(called="pgbouncer", settings={"server_idle_timeout": 1})
        with pooler.client() as client:
            client.value("SELECT 1")
            port = client.socket.getsockname()[1]
        peer = rf"app/app@127\.0\.0\.1:{port}"
        self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: {peer} login attempt: db=app user=app tls=no( replication=no)?")
        self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: {peer} closing because: client close request \(age=\d+s\)")
        server = rf"S-0x[0-9a-f]+: app/app@127\.0\.0\.1:{self.pg.port}"
        self._says(pooler, "LOG", rf"{server} new connection to server \(from 127\.0\.0\.1:\d+\)")
        self._says(pooler, "LOG", rf"{server} closing because: server idle timeout \(age=\d+s\)")

    def a_client_of_the_unix_socket_is_known_by_its_process(self):
        pooler = self.pooler(called="pgbouncer")
        with Client(pooler.socket_path) as client:
            client.value("SELECT 1")
        self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: app/app@unix\({os.getpid()}\):{pooler.port} login attempt: db=app user=app .*")

    def who_is_refused_is_told_of_with_address_and_reason(self):
        pooler = self.pooler(called="pgbouncer", settings={"auth_type": "md5"}, userlist={"app": "right"})
        self.refused(pooler.client, password="wrong")
        self.refused(pooler.client, password="right", database="nosuch")
        for reason in ("password authentication failed", "no such database: nosuch"):
            self._says(pooler, "WARNING", rf"C-0x[0-9a-f]+: \S+/app@127\.0\.0\.1:\d+ pooler error: {reason}")
            self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: \S+/app@127\.0\.0\.1:\d+ closing because: {reason} \(age=\d+s\)")

    def who_tries_is_told_of_before_it_is_known_whether_he_may(self):
        """What those who count attempts look for: the line with what was asked for stands before the refusal, whatever it is for."""
        pooler = self.pooler(called="pgbouncer", settings={"auth_type": "md5"}, userlist={"app": "right", "barred": "right"},
                             databases={"app": "dbname=app", "missing": "dbname=missing_there"})
        for user, database, password in (("app", "app", "wrong"), ("app", "nosuch", "right"), ("app", "nosuch", "wrong"),
                                         ("nobody", "app", "wrong"), ("barred", "pgbouncer", "wrong"), ("app", "missing", "right")):
            self.refused(pooler.client, user=user, database=database, password=password)
            said = rf"({database}|\(nodb\))" if database != "nosuch" else r"\(nodb\)"    # PgBouncer's, for who is nobody
            self._says(pooler, "LOG", rf"C-0x[0-9a-f]+: {said}/{user}@127\.0\.0\.1:\d+ login attempt: db={database} user={user} tls=no( replication=no)?")
        self._says(pooler, "WARNING", r"C-0x[0-9a-f]+: app/app@127\.0\.0\.1:\d+ pooler error: password authentication failed")
        self._says(pooler, "LOG", r"C-0x[0-9a-f]+: \(nodb\)/app@127\.0\.0\.1:\d+ login failed: db=nosuch user=app")
        self._says(pooler, "LOG", r"C-0x[0-9a-f]+: \S+@127\.0\.0\.1:\d+ no such user: nobody")
        self._says(pooler, "WARNING", r'server login failed: FATAL database "missing_there" does not exist')

    def what_is_asked_of_the_console_is_told(self):
        pooler = self.pooler(called="pgbouncer")
        console = pooler.console()
        for command in ("RELOAD", "PAUSE", "RESUME", "PAUSE app", "RESUME app", "DISABLE app", "ENABLE app", "RECONNECT", "KILL app", "RESUME app",
                        "SUSPEND", "RESUME"):
            console.query(command)
        self.refused(console.query, "SHOW TIDES", says="invalid command 'SHOW TIDES', use SHOW HELP;")
        for words in ("RELOAD", "PAUSE", "RESUME", "PAUSE 'app'", "RESUME 'app'", "DISABLE 'app'", "ENABLE 'app'", "RECONNECT", "KILL 'app'", "SUSPEND"):
            self._says(pooler, "LOG", words + " command issued")
        self._says(pooler, "WARNING", r"C-0x[0-9a-f]+: pgbouncer/admin@127\.0\.0\.1:\d+ pooler error: invalid command 'SHOW TIDES', use SHOW HELP;")

    def the_start_is_told_of(self):
        pooler = self.pooler(called="pgbouncer")
        self._says(pooler, "LOG", rf"listening on 127\.0\.0\.1:{pooler.port}")
        self._says(pooler, "LOG", rf"listening on unix:{pooler.folder}/\.s\.PGSQL\.{pooler.port}")
        self._says(pooler, "LOG", r"kernel file descriptor limit: \d+ \(hard: \d+\); max_client_conn: 1000, max expected fd use: \d+")
        self._says(pooler, "LOG", r"process up: PgBouncer 1\.\d+\.\d+, .*")

    def the_end_is_told_of(self):
        pooler = self.pooler(called="pgbouncer", settings={"default_pool_size": 1})
        with pooler.client() as client:
            client.begin()
            pooler.process.send_signal(signal.SIGINT)
            self._says(pooler, "LOG", "got SIGINT, shutting down(, waiting for all servers connections to be released)?")
            client.query("COMMIT")
            self._says(pooler, "LOG", rf"S-0x[0-9a-f]+: app/app@127\.0\.0\.1:{self.pg.port} closing because: pause mode \(age=\d+s\)")
            self._says(pooler, "LOG", "server connections dropped, exiting")
            self.assertEqual(0, pooler.wait())

    @on("pgweir", why="SIGTERM waits since 1.23")
    def the_end_that_waits_for_clients_is_told_of(self):
        for again in (False, True):
            pooler = self.pooler(called="pgbouncer")
            client = pooler.client()
            pooler.process.send_signal(signal.SIGTERM)
            self._says(pooler, "LOG", "got SIGTERM, shutting down, waiting for all clients disconnect")
            if again:
                pooler.process.send_signal(signal.SIGTERM)
                self._says(pooler, "LOG", "got SIGTERM while shutting down, fast exit")
            else:
                client.close()
                self._says(pooler, "LOG", "client connections dropped, exiting")
            self.assertEqual(0, pooler.wait())

    @on("pgweir")
    def the_number_of_a_line_is_that_of_show(self):
        pooler = self.pooler(called="pgbouncer")
        client = pooler.client()
        client.value("SELECT 1")
        number = next(row["ptr"] for row in pooler.show("CLIENTS") if row["database"] == "app")
        self._says(pooler, "LOG", rf"C-{number}: app/app@\S+ login attempt: .*")

    @on("pgweir")
    def as_pgweir_the_log_says_who_asked_and_no_value(self):
        pooler = self.pooler()
        console = pooler.console()
        console.query("SET auth_ldap_options = 'ldapbindpasswd=secret'")
        console.query("PAUSE app")
        self._says(pooler, "LOG", r"C-\d+\.\d+\.\d+: pgbouncer/admin@127\.0\.0\.1:\d+ PAUSE 'app' command issued")
        self._says(pooler, "LOG", r"C-\d+\.\d+\.\d+: pgbouncer/admin@127\.0\.0\.1:\d+ SET 'auth_ldap_options' command issued")
        self.assertNotIn("secret", pooler.log())


class Console(Story):
    kinds = ("pgweir", "pgbouncer")

    def a_pooler_that_nobody_has_used_shows_its_console(self):
        """What a probe or an exporter finds at once after a start: rows, not nothing."""
        pooler = self.pooler(called="pgbouncer")
        for what, name in (("POOLS", "database"), ("STATS", "database"), ("STATS_TOTALS", "database"), ("STATS_AVERAGES", "database"),
                           ("DATABASES", "name"), ("USERS", "name")):
            self.assertIn("pgbouncer", [row[name] for row in pooler.show(what)], what)
        # The console before this one may still be on its way out.
        wait_until("one console is there", lambda: [("pgbouncer", "1", "statement")] == [
            (row["user"], row["cl_active"], row["pool_mode"]) for row in pooler.show("POOLS") if row["database"] == "pgbouncer"])
        lists = {row["list"]: int(row["items"]) for row in pooler.show("LISTS")}
        self.assertEqual((3, len(pooler.userlist) + 1, 1), (lists["databases"], lists["users"], lists["pools"]))

    @on("pgweir")
    def as_pgweir_a_pool_is_one_of_postgresql_s(self):
        self.assertEqual([], self.pooler().show("POOLS"))

    def what_is_no_command_is_told_whole(self):
        console = self.pooler(called="pgbouncer").console()
        for words in ("show nothing", "RELOAD now", "SHUTDOWN later", "SELECT 1", "SHOW STATS extra", "SET pool_mode", "show version; show version"):
            error = self.refused(console.query, words, says=f"invalid command '{words}', use SHOW HELP;", sqlstate="08P01")
            self.assertEqual("ERROR", error.severity)
        self.refused(console.query, "RESUME pgbouncer", says="database pgbouncer is not paused")
        console = self.pooler().console()
        for words, says, hint in (("shwo pools", "'shwo'", "Perhaps you meant SHOW."), ("Reload_", "'Reload_'", "Perhaps you meant RELOAD."),
                                  ("show poolz", "'show poolz'", "Perhaps you meant SHOW pools."), ("select 1", "'select 1'", ""),
                                  ("begin", "'begin'", "SHOW HELP tells what there is.")):
            self.assertEqual(hint, self.refused(console.query, words, says=f"invalid command {says}, use SHOW HELP;", sqlstate="42601").hint)

    def pause_of_a_database_may_be_said_twice_and_of_none_while_all_are_paused(self):
        pooler = self.pooler(called="pgbouncer")
        busy, first, second = pooler.client(), pooler.console(), pooler.console()
        busy.begin()
        first.send(query("PAUSE app"))
        second.send(query("PAUSE app"))
        self.assertEqual("1", busy.value("SELECT 1"))
        self.assertFalse(first.readable() or second.readable(), "PAUSE was answered while a transaction was open")
        busy.query("COMMIT")
        self.assertEqual((["PAUSE"], ["PAUSE"]), (first.reply().tags, second.reply().tags))
        self.assertEqual(["PAUSE"], first.query("PAUSE app").tags)
        self.assertEqual(["RESUME"], first.query("RESUME app").tags)
        first.query("PAUSE")
        self.refused(first.query, "PAUSE app", says="already suspended/paused")
        first.query("RESUME")
        self.assertEqual("2", busy.value("SELECT 2"))

    def what_needs_a_restart_is_shown_as_it_holds(self):
        pooler = self.pooler(called="pgbouncer")
        shown = lambda: {row["key"]: row["value"] for row in pooler.show("CONFIG")}
        before = shown()
        pooler.settings.update(listen_backlog=77, unix_socket_dir="/nowhere", default_pool_size=6)
        pooler.write_files()
        console = pooler.console()
        self.assertEqual(["RELOAD"], console.query("RELOAD").tags)
        after = shown()
        self.assertEqual("6", after.pop("default_pool_size"))
        before.pop("default_pool_size")
        self.assertEqual(before, after)
        if live.kind == "pgweir":
            held = 'listen_backlog: "77" needs a restart; "128" stays in force'
            pooler.await_log(held)
            notice = console.notices[-1]
            self.assertEqual("what needs a restart stays as it is", notice["M"])
            self.assertEqual(2, len(notice["D"].split("\n")), notice)
            self.assertIn(held, notice["D"].split("\n"))
            pooler.settings.update(listen_backlog=128, unix_socket_dir=pooler.folder)
            pooler.write_files()
            told = len(console.notices)
            console.query("RELOAD")
            self.assertEqual(told, len(console.notices))

    def an_error_has_pgbouncers_sqlstate(self):
        pooler = self.pooler(called="pgbouncer", settings={"disable_pqexec": 1})
        client = pooler.client()
        client.send(query("SELECT 1"))
        self.assertEqual([("08P01", "PQexec disallowed")], [(each.sqlstate, each.message) for each in client.expect_closed()])
        client = pooler.client()
        client.send(b"y\0\0\0\4")
        self.assertEqual([("08P01", "unknown pkt")], [(each.sqlstate, each.message) for each in client.expect_closed()])


class Errors(Story):
    """The words and SQLSTATEs that people's own patterns look for. `old`: Debian's 1.18 says so too."""
    kinds = ("pgweir", "pgbouncer")

    def _said(self, pooler, *sent):
        """What somebody is told who sends this before anything else, and that it is closed."""
        with Client(pooler.address, login=False) as client:
            client.send(*sent)
            return [(each.severity, each.sqlstate, each.message) for each in client.expect_closed()]

    def at_the_login(self):
        pooler = self.pooler(called="pgbouncer", settings={"ignore_startup_parameters": ""})
        hello = lambda **more: startup({"user": "app", "database": "app", **more})
        cases = [
            (startup({"database": "app"}), "no username supplied", True),
            (startup({"user": "app"}, version=2 << 16), "old V2 protocol not supported", True),
            (hello(database="nowhere"), "no such database: nowhere", True),
            (hello(moon="full"), "unsupported startup parameter: moon", True),
            (hello(options="-c moon=full"), "unsupported startup parameter in options: moon", False),
            (hello(options="-moon"), "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed", False),
            (startup({"user": "u" * 128, "database": "app"}), "username too long", False),
            (startup({"user": "nobody", "database": "app"}), '"trust" authentication failed', True),
            (startup({"user": "app", "database": "pgbouncer"}), "not allowed", True),
            (hello()[:-1] + b"x", "invalid startup packet layout: expected terminator as last byte", False),
        ]
        for sent, words, old in cases:
            if old or live.kind == "pgweir":
                with self.subTest(words):
                    self.assertEqual([("FATAL", "08P01", words)], self._said(pooler, sent))

    def on_the_console(self):
        pooler = self.pooler(called="pgbouncer")
        console = pooler.console()
        for words, says, old in (("DISABLE", "a database is required", True), ("ENABLE", "a database is required", True),
                                 ("PAUSE nowhere", "no such database: nowhere", True), ("RESUME", "pooler is not paused/suspended", True),
                                 ("RESUME app", "database app is not paused", True), ("KILL_CLIENT 4711", "client not found", False),
                                 ("KILL_CLIENT nobody", "invalid client pointer supplied", False), ("PAUSE pgbouncer", "cannot pause admin db: pgbouncer", True),
                                 ("KILL pgbouncer", "cannot kill admin db: pgbouncer", True), ("DISABLE pgbouncer", "cannot disable admin db: pgbouncer", True),
                                 ("ENABLE pgbouncer", "cannot enable admin db: pgbouncer", False),
                                 ("RECONNECT pgbouncer", "cannot reconnect admin db: pgbouncer", True),
                                 ("WAIT_CLOSE pgbouncer", "cannot wait in admin db: pgbouncer", True),
                                 ("SET moon = 1", "SET failed", True)):
            if old or live.kind == "pgweir":
                with self.subTest(words):
                    error = self.refused(console.query, words)
                    self.assertEqual(("ERROR", "08P01", says), (error.severity, error.sqlstate, error.message))
        self.refused(pooler.console(user="stats").query, "PAUSE", says="admin access needed", sqlstate="08P01")
        pooler.settings["pool_mode"] = "tidal"
        pooler.write_files()
        if live.kind == "pgweir":       # since 1.25
            error = self.refused(console.query, "RELOAD", says="RELOAD failed, see logs for additional details", sqlstate="F0000")
            self.assertEqual("ERROR", error.severity)

    def of_those_who_are_in(self):
        pooler = self.pooler(called="pgbouncer", settings={"default_pool_size": 1, "query_wait_timeout": 60})
        last = lambda client: [(each.severity, each.sqlstate, each.message) for each in client.expect_closed()]
        fatal = lambda words: [("FATAL", "08P01", words)]
        console = pooler.console()
        console.query("DISABLE app2")
        self.assertEqual(fatal('database "app2" is disabled'), self._said(pooler, startup({"user": "app", "database": "app2"})))
        client = pooler.client()
        if live.kind == "pgweir":       # since 1.24
            row = next(row for row in pooler.show("CLIENTS") if row["database"] == "app")
            console.query(f"KILL_CLIENT {row['id']}")
            self.assertEqual(fatal("admin forced disconnect"), last(client))
            client = pooler.client()
        console.query("KILL app")
        self.assertEqual(fatal("database removed"), last(client))
        console.query("RESUME app")
        if live.kind == "pgbouncer":    # since 1.23
            return
        holder, waiter = pooler.client(), pooler.client()
        holder.begin()
        waiter.send(query("SELECT 1"))
        wait_until("it waits", lambda: pooler.pool()["cl_waiting"] == 1)
        pooler.process.send_signal(signal.SIGINT)
        self.assertEqual(fatal("server shutting down"), last(waiter))
        holder.query("COMMIT")
        pooler.wait()


class Starting(Story):
    """Exit statuses that init scripts and units go by."""
    kinds = ("pgweir", "pgbouncer")

    def _ends(self, pooler, *arguments):
        """It ends at once and not well; what it said."""
        pooler.write_files()
        program, *rest = pooler.command()
        done = subprocess.run([program, *arguments, *rest], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True,
                              cwd=pooler.folder, stdin=subprocess.DEVNULL, **user_options())
        log = pooler.settings.get("logfile")
        self.told = done.stdout
        said = done.stdout + (log.read_text() if log and log.exists() else "")
        self.assertEqual(1, done.returncode, said)
        self.assertIn("FATAL", said)
        return said

    def a_daemon_that_runs_already_is_not_started_twice_and_the_status_says_so(self):
        pooler = self.keep(Pooler(called="pgbouncer"))
        pooler.settings["pidfile"] = pooler.folder / "pid"
        pooler.start()
        for arguments in (("-d",), ()):
            self._ends(pooler, *arguments)
        pooler.settings["logfile"] = pooler.folder / "its.log"
        self._ends(pooler, "-d")
        if live.kind == "pgweir":
            self.assertIn("which it names, is running", self.told)
            self._ends(pooler, "-d", "-q")
            self.assertEqual("", self.told)
        self.assertEqual(pooler.pid, int((pooler.folder / "pid").read_text()))
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_user_that_it_can_not_become_is_an_end_and_not_a_start_as_another(self):
        for name in ("nobody", "no-such-user"):
            self.assertIn(name, self._ends(self.keep(Pooler(called="pgbouncer")), "-u", name))
            self.assertIn(name, self._ends(self.keep(Pooler(called="pgbouncer", settings={"user": name}))))

    def an_address_that_is_elsewhere_now_does_not_keep_it_from_starting(self):
        """keepalived's: the machine that stands by has not got it yet."""
        pooler = self.pooler(called="pgbouncer", settings={"listen_addr": "127.0.0.1,192.0.2.77"})
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        pooler.await_log(pattern=r"WARNING .*192\.0\.2\.77")
        nowhere = self.keep(Pooler(called="pgbouncer", settings={"listen_addr": "192.0.2.77", "unix_socket_dir": ""}))
        self.assertIn("nowhere to listen on", self._ends(nowhere))

    def a_folder_for_the_socket_that_is_not_there_does_not_keep_it_from_starting(self):
        """A container's: nobody has made /var/run/postgresql in it."""
        pooler = self.pooler(called="pgbouncer", settings={"unix_socket_dir": "/no/such/folder"})
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        pooler.await_log(pattern=r"WARNING .*unix:/no/such/folder")
        nowhere = self.keep(Pooler(called="pgbouncer", settings={"listen_addr": "", "unix_socket_dir": "/no/such/folder"}))
        self.assertIn("nowhere to listen on", self._ends(nowhere))

    @on("pgweir")
    def a_daemon_that_can_not_listen_says_so_to_who_started_it(self):
        """PgBouncer's command is gone by then, with status 0."""
        nowhere = self.keep(Pooler(called="pgbouncer", settings={"listen_addr": "192.0.2.77", "unix_socket_dir": "", "pidfile": "pid"}))
        nowhere.settings["logfile"] = nowhere.folder / "its.log"
        self.assertIn("it did not start: nowhere to listen on", self._ends(nowhere, "-d"))
        self.assertNotIn("it did not start", self._ends(nowhere, "-d", "-q"))
        self.assertFalse((nowhere.folder / "pid").exists())

    @on("pgweir")
    def as_pgweir_an_address_that_is_not_there_is_a_mistake(self):
        for settings, where in (({"listen_addr": "127.0.0.1,192.0.2.77"}, r"192\.0\.2\.77"), ({"unix_socket_dir": "/no/such/folder"}, "unix:/no/such")):
            pooler = self.keep(Pooler(settings=settings))
            pooler.launch()
            self.assertEqual(1, pooler.wait(60))
            pooler.await_log(pattern=f"FATAL could not listen on {where}")
