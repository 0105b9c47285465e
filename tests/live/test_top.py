"""`pgweir top` in a real terminal (tmux), its keys pressed and its screen read; and what it prints for scripts."""
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios

import wire
from harness import Story, free_port, live, user_options, wait_until
from terminal import Terminal
from wire import Client, query

PGBOUNCER = "/usr/sbin/pgbouncer"
NASTY = "web\x1b[31m\u202e"


def top(*arguments, timeout=30):
    return subprocess.run([str(live.bin), "top", *map(str, arguments)], capture_output=True, timeout=timeout * wire.PATIENCE,
                          stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})


class Top(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.folder = self.own_folder()

    def _terminal(self, url, *arguments, **options):
        terminal = Terminal(self.folder, live.bin, "top", url, "--interval", "300ms", *arguments, **options)
        self.addCleanup(terminal.close)
        return terminal

    def _json(self, url):
        done = top("--json", url)
        self.assertEqual((0, b""), (done.returncode, done.stderr))
        return json.loads(done.stdout)

    def _busy(self, **settings):
        """A pool of two: one idle in a transaction, one that sleeps, and one client that waits."""
        pooler = self.pooler(settings={"default_pool_size": 2, **settings})
        holder = pooler.client(parameters={"application_name": NASTY})
        holder.begin()
        holder.query("SELECT 1 AS held_by_me")
        sleeper = pooler.client(parameters={"application_name": "sleeper"})
        sleeper.send(query("SELECT pg_sleep(60) /*route='%2Fnap%1b[2J\u202e<b>'*/"))
        wait_until("both are lent", lambda: int(pooler.pool()["sv_active"]) == 2)
        waiter = pooler.client(parameters={"application_name": "waiter"})
        waiter.send(query("SELECT 1"))
        wait_until("one waits", lambda: int(pooler.pool()["cl_waiting"]) == 1)
        return pooler, holder, sleeper, waiter

    def _console(self, pooler):
        return f"postgresql://admin@127.0.0.1:{pooler.port}/pgweir"

    def pgweir_s_pools_origins_and_leases_are_shown_and_keys_lead_through_them(self):
        pooler, *_ = self._busy(leak_interval=0.2)
        terminal = self._terminal(self._console(pooler))
        screen = terminal.shows("2 lent, 0 idle, 1 waiting", "pgweir", "app/app", "2 lent, 0 idle of 2, 1 waiting", "3 origins", "\u2588")
        self.assertNotIn("\u202e", screen)
        self.assertIn(r"\\x1b[31m\\u{202e}", screen)         # written out by the console, and its backslashes by top
        terminal.keys("Tab")
        terminal.shows("2 leases", "pg_sleep(?)", "held_by_me")
        terminal.keys("/", "held", "Enter")
        self.assertNotIn("pg_sleep", terminal.shows("1 lease by", 'with "held"', "held_by_me"))
        terminal.keys("/", "Escape")
        terminal.shows("2 leases")
        terminal.keys("Tab", "s", "s")
        terminal.shows("3 origins by name")
        terminal.keys("/", "sleeper", "Enter", "Enter")
        terminal.shows("1 lease of one origin", "pg_sleep(?)", "route      /nap?[2J???<b> ", "1 client")
        found = self._json(self._console(pooler))
        part, = [each for each in found["breakdowns"] if each["by"] == "route"]
        of, = [each["origin"] for each in found["origins"] if each["application_name"] == "sleeper"]
        self.assertEqual((of, "/nap?[2J???<b>", 1, 0), (part["origin"], part["value"], part["clients"], part["holding"]))
        terminal.keys("Enter")
        screen = terminal.shows("lease of process", "application  sleeper", "executing for", "pg_sleep(?)", "1 waits for a server of its pool")
        self.assertRegex(screen, r"1 waiter +app/app at 127\.0\.0\.1")
        self.assertRegex(screen, r'client \d+ of origin \d+, "waiter" at 127\.0\.0\.1:\d+, for \d')
        terminal.keys("Escape")
        terminal.shows("1 lease of one origin")
        terminal.keys("Escape", "/", "Escape", "w")
        terminal.shows("leases by who waits behind them")
        terminal.keys("q")
        wait_until("it has ended", lambda: self._ended(terminal))

    def _ended(self, terminal):
        try:
            terminal.screen()
            return False
        except subprocess.CalledProcessError:
            return True

    def a_client_is_reaped_after_a_dry_run_and_a_yes_and_not_without(self):
        pooler, *_ = self._busy(leak_interval=0.2, leak_quiet=0.5, leak_hold=0.8, reap_grace=0.6)
        terminal = self._terminal(self._console(pooler))
        terminal.shows("3 origins")
        # Who works stays, and nobody is asked about it.
        terminal.keys("Tab", "/", "sleep", "Enter")
        terminal.shows("1 lease by", "pg_sleep(?)")
        terminal.keys("r")
        self.assertNotIn("y end it", terminal.shows("REAP DRY RUN CLIENT", "stays"))
        terminal.keys("/", "Escape", "/", "held", "Enter")
        terminal.shows("1 lease by", "held_by_me", "LEAK", ", since 20")
        terminal.keys("r")
        terminal.shows("REAP DRY RUN CLIENT", "would go", "y end it")
        terminal.keys("n")
        terminal.shows("nobody was ended")
        self.assertIn("held_by_me", str(pooler.show("LEASES")))
        self.assertEqual([], pooler.show("REAPS"))
        terminal.keys("r")
        terminal.shows("would go", "y end it")
        terminal.keys("y")
        terminal.shows("REAP CLIENT", "ended: idle in transaction")
        wait_until("its lease is over", lambda: "held_by_me" not in str(pooler.show("LEASES")))

    def small_terminals_get_words_and_a_resize_is_followed(self):
        pooler, *_ = self._busy()
        terminal = self._terminal(self._console(pooler), width=20, height=12)
        screen = terminal.shows("2 lent, 1 waiting", "2 of 2, 1 wait: app/")
        self.assertTrue(all(len(line) <= 20 for line in screen.splitlines()), screen)
        terminal.keys("Tab", "Enter")
        screen = terminal.shows("lease of process", "app/app", "address: 127.0.0.1")
        terminal.keys("Escape")
        terminal.resize(80, 24)
        terminal.shows("\u2588", "q end  Tab list", "p pause", "executing", "SELECT ? AS held_by_me")
        terminal.resize(20, 5)
        terminal.shows("2 lent, 1 waiting", "2 leases by age", "q end")
        terminal.resize(20, 3)
        terminal.shows("q end")

    def no_color_and_ascii_are_obeyed(self):
        pooler, *_ = self._busy()
        coloured = self._terminal(self._console(pooler), width=121)
        coloured.shows("2 lent")
        self.assertIn("\x1b[33m", coloured.screen("-e"))
        plain = self._terminal(self._console(pooler), "--ascii", width=122, environment={"NO_COLOR": "1"}.items())
        screen = plain.shows("2 lent", "####")
        self.assertTrue(screen.isascii(), screen)
        self.assertNotIn("\x1b[33m", plain.screen("-e"))

    def a_server_that_goes_away_is_said_and_one_that_is_back_is_found(self):
        pooler = self.pooler()
        pooler.client().query("SELECT 1")
        terminal = self._terminal(self._console(pooler))
        terminal.shows("1 origin by")
        pooler.stop()
        terminal.shows("the server went away", "trying again")
        pooler.start()
        wait_until("it is back", lambda: "trying again" not in terminal.screen())
        terminal.shows("0 lent")

    def that_postgresql_is_gone_is_said_though_nobody_has_asked_for_it(self):
        pooler = self.pooler(databases={"app": f"host=127.0.0.1 port={free_port()}"}, settings={"monitor_user": "third", "monitor_interval": 0.2})
        said = wait_until("the monitor has tried", lambda: self._json(self._console(pooler))["unreached"])
        self.assertIn("refused", said)
        done = top("--once", self._console(pooler)).stdout.decode()
        self.assertIn("PostgreSQL can not be reached: connection to server at 127.0.0.1", done)

    def that_others_have_postgresql_is_said_where_clients_wait_for_it(self):
        pg = self.postgres(max_connections=12)
        pooler = self.pooler(pg=pg, settings={"monitor_user": "third", "monitor_interval": 0.2, "default_pool_size": 20})
        holder = pooler.client()
        holder.begin()
        cron = [Client(pg.address, user="other", database="app", parameters={"application_name": "cron\x1b"}) for _ in range(6)]
        wait_until("they are seen", lambda: pooler.show("BUDGET")[0]["others"] == "6")
        waiter = pooler.client()
        waiter.send(query("SELECT 1"))
        said = wait_until("its reason is told", lambda: self._json(self._console(pooler))["no_room"])
        self.assertRegex(said, rf"No room for more servers at PostgreSQL 127\.0\.0\.1:{pg.port}: others have 6 of its 9 usable connections \(other/cron")
        self.assertIn("No room for more servers at PostgreSQL 127.0.0.1", top("--once", self._console(pooler)).stdout.decode())
        for client in cron:
            client.close()
        wait_until("there is room again", lambda: self._json(self._console(pooler))["no_room"] is None)

    def a_pool_s_limit_is_its_user_s_where_he_has_one(self):
        # Under PgBouncer's name pools do not tell it, and SHOW USERS does.
        for name in ("pgweir", "pgbouncer"):
            pooler = self.pooler(called=name, users={"app": "pool_size=3"})
            client = pooler.client()
            client.begin()
            console = f"postgresql://admin@127.0.0.1:{pooler.port}/{name}"
            pool, = self._json(console)["pools"]
            self.assertEqual(3, pool["limit"])
            holders, waiter = [client, pooler.client(), pooler.client()], pooler.client()
            for each in holders[1:]:
                each.begin()
            waiter.send(query("SELECT 1"))
            wait_until("it waits", lambda pooler=pooler: pooler.pool()["cl_waiting"] == 1)
            done = subprocess.run([str(live.bin), "doctor", console], capture_output=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
            self.assertIn(b"the pool's size is 3", b" ".join(done.stdout.split()))

    def a_full_postgresql_says_so_and_who_may_not_look_is_told(self):
        pg = self.postgres(max_connections=9)
        url = f"postgresql://%s@127.0.0.1:{pg.port}/app"
        there = [Client(pg.address, user="other", database="app", parameters={"application_name": "web"}) for _ in range(4)]
        found = self._json(url % "postgres")
        self.assertEqual((5, 9, 3, 0, None), tuple(found[each] for each in ("connections", "max_connections", "reserved", "hidden", "no_room")))
        # Who may not read the statistics of others is told that they are there.
        with pg.admin() as admin:
            admin.query("REVOKE pg_read_all_stats FROM app")
        poor = self._json(url % "app")
        self.assertEqual((5, 4, 4), (poor["connections"], poor["hidden"], sum(each["clients"] for each in poor["origins"])))
        self.assertIn("4 sessions are hidden from this user", top("--once", url % "app").stdout.decode())
        there.append(Client(pg.address, user="other", database="app"))
        self.assertIn("Full: 6 of the 9 connections of PostgreSQL are taken, with this one", self._json(url % "postgres")["no_room"])
        for client in there:
            client.close()

    def a_bare_postgresql_says_who_waits_for_whom(self):
        pg = self.postgres(max_connections=20)
        with pg.admin("app") as admin:
            admin.query("CREATE TABLE locked (a int)")
        holder = Client(pg.address, user="app", database="app", parameters={"application_name": "holder"})
        waiter = Client(pg.address, user="app", database="app", parameters={"application_name": "waiter"})
        self.addCleanup(holder.drop)
        self.addCleanup(waiter.drop)
        with pg.admin("app") as admin:
            admin.query("ALTER TABLE locked OWNER TO app")
        for statement in ("BEGIN", "LOCK locked"):
            holder.query(statement)
        waiter.send(query("SELECT * FROM locked"))
        url = f"postgresql://postgres@127.0.0.1:{pg.port}/postgres"

        def waits():
            found = self._json(url)
            leases = {each["application_name"]: each for each in found["leases"]}
            return "waiter" in leases and leases["waiter"]["behind"] and (found, leases)
        found, leases = wait_until("one waits for the other", waits)
        self.assertEqual("postgresql", found["server"])
        self.assertEqual(holder.pid, leases["waiter"]["behind"])
        self.assertEqual(1, leases["holder"]["waiting"])
        terminal = self._terminal(url)
        terminal.keys("w")
        terminal.shows("idle in transaction", f"waits for {holder.pid}: SELECT * FROM locked", "LOCK locked")
        terminal.keys("/", "LOCK", "Enter", "Enter")
        self.assertRegex(terminal.shows("lease of process", "1 waits for its locks"), r" waiter: SELECT \* FROM locked")
        terminal.keys("Escape", "/", "Escape", "/", "waiter", "Enter", "Enter")
        terminal.shows(f"it waits for a lock of process {holder.pid}", "0 wait for its locks")

    def a_session_of_a_bare_postgresql_is_ended_by_the_guards_of_reap(self):
        pg = self.postgres(max_connections=20)
        url = f"postgresql://postgres@127.0.0.1:{pg.port}/postgres"

        def holder(name, user):
            client = Client(pg.address, user=user, database="app", parameters={"application_name": name})
            self.addCleanup(client.drop)
            client.begin()
            client.query(f"SELECT 'secret' AS held_by_{name}")
            return client
        boss, guest = holder("boss", "postgres"), holder("guest", "app")
        busy = Client(pg.address, user="app", database="app", parameters={"application_name": "busy"})
        self.addCleanup(busy.drop)
        busy.send(query("SELECT pg_sleep(100)"))

        def old(client):
            with pg.admin() as admin:
                wait_until("it is old enough", lambda: admin.value(
                    f"SELECT clock_timestamp() - state_change > '1s' FROM pg_stat_activity WHERE pid = {client.pid}") == "t")

        def choose(name):
            terminal.keys("/", "Escape", "/", name, "Enter")
            terminal.shows("1 lease by", f'with "{name}"')
            terminal.keys("r")
        # What it says when it has ended stands below the audit, which standard error got meanwhile.
        terminal = Terminal(self.folder, "sh", "-c", f'"$0" top "$1" --interval 300ms --idle-in-transaction 1s; sleep 100', live.bin, url)
        self.addCleanup(terminal.close)
        terminal.shows("3 origins")
        terminal.keys("r")
        terminal.shows("choose a lease first")
        terminal.keys("Tab")
        old(boss)
        choose("boss")
        self.assertNotIn("y end it", terminal.shows(f"process {boss.pid} stays: a superuser's"))
        choose("busy")
        self.assertNotIn("y end it", terminal.shows(f"process {busy.pid} stays: it runs a statement (pgweir top --active AGE)"))
        old(guest)
        choose("guest")
        self.assertIn("SELECT ? AS held_by_guest", terminal.shows("guest"))
        terminal.shows(f"process {guest.pid} would be ended: idle in a transaction that only reads for", 'app/app "guest" at 127.0.0.1', "y end it")
        terminal.keys("n")
        terminal.shows("nobody was ended")
        terminal.keys("r")
        terminal.shows("would be ended", "y end it")
        guest.query("SELECT 1 AS held_by_guest")
        terminal.keys("y")
        terminal.shows(f"process {guest.pid}: spared: it did something after it was listed")
        old(guest)
        terminal.keys("r")
        terminal.shows("would be ended", "y end it")
        terminal.keys("y")
        terminal.shows(f"process {guest.pid}: ended, gone after", "0 leases by")
        with pg.admin() as admin:
            self.assertEqual("2", admin.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid IN ({boss.pid}, {guest.pid}, {busy.pid})"))
        terminal.keys("q")
        said = terminal.shows('"outcome":"ended"', '"outcome":"spared"')
        self.assertNotIn("secret", said)

    def debian_s_pgbouncer_shows_pools_and_who_has_a_server(self):
        port = free_port()
        os.chmod(self.folder, 0o755)
        ini = self.folder / "pgbouncer.ini"
        (self.folder / "users").write_text('"app" ""\n"admin" ""\n')
        ini.write_text(f"[databases]\napp = host=127.0.0.1 port={self.pg.port} pool_size=3\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                       f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {self.folder}/users\n"
                       "admin_users = admin\npool_mode = transaction\n")
        log = self.folder / "log"
        with open(log, "wb") as out:
            process = subprocess.Popen([PGBOUNCER, str(ini)], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd="/",
                                       start_new_session=True, **user_options())
        try:
            wait_until("PgBouncer is up", lambda: b"process up" in log.read_bytes())
            with Client(("127.0.0.1", port), user="app", database="app", parameters={"application_name": "holder"}) as client:
                client.begin()
                found = self._json(f"postgresql://admin@127.0.0.1:{port}/pgbouncer")
                once = top("--once", f"postgresql://admin@127.0.0.1:{port}/pgbouncer").stdout.decode()
                terminal = self._terminal(f"postgresql://admin@127.0.0.1:{port}/pgbouncer")
                terminal.shows("PgBouncer", "1 lent")
                client.query("ROLLBACK")
                terminal.shows("0 lent, 1 idle")
                # What it does not know it is asked once by each connection, for it logs every refusal.
                self.assertEqual(3, log.read_bytes().count(b"pooler error: invalid command 'SHOW LEASES"), log.read_text())
        finally:
            process.terminate()
            process.wait(10)
        self.assertEqual("pgbouncer", found["server"])
        self.assertEqual([("app", 1, 3)], [(each["database"], each["lent"], each["limit"]) for each in found["pools"]])
        self.assertEqual(["holder"], [each["application_name"] for each in found["leases"]])
        self.assertIn("PgBouncer", once)
        self.assertIn("1 lease by", once)

    def what_can_not_be_drawn_on_is_not_drawn_on(self):
        url = f"postgresql://app@127.0.0.1:{free_port()}/app"
        done = top(url)
        self.assertEqual((2, b""), (done.returncode, done.stdout))
        self.assertIn(b"--once", done.stderr)
        ours, theirs = pty.openpty()
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            done = subprocess.run([str(live.bin), "top", url], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
                                  timeout=30 * wire.PATIENCE, env={"PATH": "/usr/bin:/bin", "TERM": "dumb"})
        finally:
            os.close(theirs)
            os.close(ours)
        self.assertEqual(2, done.returncode)
        self.assertIn(b"--once or --json. TERM is dumb", done.stderr)

    def bad_usage_and_a_refusing_url_have_clear_words(self):
        for arguments, status, words in ((("--once", f"postgresql://app@127.0.0.1:{free_port()}/app"), 1, "refused"),
                                         (("--interval", "1", "x"), 2, "--interval wants"), (("--active", "0s", "x"), 2, "--active wants"), (("mysql://x",), 2, "A URL is postgresql://"), (("a", "b"), 2, "one URL"),
                                         (("--nonsense",), 2, "--help")):
            done = top(*arguments)
            self.assertEqual(status, done.returncode, done.stderr)
            self.assertIn(words, done.stderr.decode())
        self.assertIn(b"Example:", top("--help").stdout)
        self.assertLess(len(top("--help").stdout.splitlines()), 25)
