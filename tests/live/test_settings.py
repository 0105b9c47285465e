"""Settings that have a small meaning of their own, each seen to have it."""
import os
import pathlib
import re
import signal
import socket
import stat
import time

import wire
from harness import Holders, Peak, Pooler, Story, free_port, live, on, wait_until
from test_pooling import Relay
from wire import Client, query


class Clients(Story):
    kinds = ("pgweir", "pgbouncer")

    @on("pgweir")
    def client_limit_counts_all_refuses_as_pgbouncer_does(self):
        pooler = self.pooler(settings={"max_client_conn": 5, "client_limit_counts": "all"})
        clients = [pooler.client() for _ in range(5)]
        self.refused(pooler.client, says="no more connections allowed (max_client_conn)")
        self.assertEqual("1", clients[0].value("SELECT 1"))

    @on("pgweir")
    def client_limit_counts_busy_holds_under_the_name_pgbouncer_too_when_asked_for(self):
        pooler = self.pooler(settings={"max_client_conn": 5, "client_limit_counts": "busy"}, called="pgbouncer")
        clients = [pooler.client() for _ in range(30)]
        self.assertEqual("1", clients[-1].value("SELECT 1"))

    @on("pgweir", why="since 1.24")
    def max_db_client_connections_counts_one_database(self):
        pooler = self.pooler(databases={"app": "dbname=app max_db_client_connections=2", "app2": "dbname=app2"})
        kept = [pooler.client() for _ in range(2)]
        self.refused(pooler.client, says="client connections exceeded")
        pooler.client(database="app2").value("SELECT 1")
        self.assertEqual("1", kept[0].value("SELECT 1"))

    @on("pgweir", why="since 1.24")
    def max_user_client_connections_counts_one_user(self):
        pooler = self.pooler(users={"other": "max_user_client_connections=2"})
        kept = [pooler.client(user="other") for _ in range(2)]
        self.refused(pooler.client, user="other", says="client connections exceeded")
        pooler.client().value("SELECT 1")
        self.assertEqual("1", kept[0].value("SELECT 1"))

    def application_name_add_host_tells_where_a_client_comes_from(self):
        pooler = self.pooler(settings={"application_name_add_host": 1})
        client = pooler.client(parameters={"application_name": "harbour"})
        port = client.socket.getsockname()[1]
        self.assertEqual(f"harbour - 127.0.0.1:{port}", client.value("SHOW application_name"))

    def ignore_startup_parameters_drops_in_silence(self):
        pooler = self.pooler(settings={"ignore_startup_parameters": "moon_phase, extra_float_digits"})
        client = pooler.client(parameters={"moon_phase": "full", "extra_float_digits": "3"})
        self.assertEqual("1", client.value("SHOW extra_float_digits"))

    def disable_pqexec_refuses_the_simple_protocol(self):
        pooler = self.pooler(settings={"disable_pqexec": 1})
        client = pooler.client()
        self.assertEqual("1", client.extended("SELECT $1::int", [1]).value)
        client.send(query("SELECT 1"))
        self.assertIn("PQexec disallowed", client.expect_closed()[0].message)

    def max_packet_size_bounds_what_a_client_may_send(self):
        pooler = self.pooler(settings={"max_packet_size": 100000})
        client, other = pooler.client(), pooler.client()
        self.assertEqual("90000", client.value("SELECT length('" + "x" * 90000 + "')"))
        client.send(query("SELECT length('" + "x" * 200000 + "')"))
        client.expect_closed()
        self.assertEqual("1", other.value("SELECT 1"))

    @on("pgweir")
    def statement_text_max_decides_what_is_kept_for_other_servers(self):
        pooler = self.pooler(settings={"statement_text_max": 200, "default_pool_size": 3})
        client = pooler.client()
        client.prepare("long", "SELECT pg_backend_pid(), $1::int /* " + "x" * 300 + " */")
        client.prepare("short", "SELECT $1::int")
        holders = Holders(pooler, 2)
        seen = set()
        for number in range(3):
            pid, got = client.run_prepared("long", [number]).rows[0]
            self.assertEqual(str(number), got)
            seen.add(pid)
            if holders.held < 2:
                holders.take_one()
        self.assertEqual(1, len(seen), "a statement too long to be kept was run elsewhere")
        client.ask(wire.close("S", "long"), wire.SYNC)
        self.assertEqual("7", client.run_prepared("short", [7]).value)

    @on("pgweir")
    def max_prepared_statements_of_zero_leaves_statements_alone(self):
        pooler = self.pooler(settings={"max_prepared_statements": 0, "pool_mode": "session"})
        client = pooler.client()
        client.prepare("mine", "SELECT 1")
        self.assertEqual("1", client.value("SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'"))
        self.assertEqual("1", client.run_prepared("mine").value)


class Servers(Story):
    kinds = ("pgweir", "pgbouncer")

    def _rested(self, pooler, count):
        """Take and give back `count` servers, oldest first; their pids in the order they came back."""
        clients = [pooler.client() for _ in range(count)]
        for client in clients:
            client.begin()
        pids = []
        for client in clients:
            pids.append(client.value("SELECT pg_backend_pid()"))
            client.query("COMMIT")
        return pids

    def the_last_server_to_come_back_is_lent_first(self):
        pooler = self.pooler(settings={"default_pool_size": 3, **({"workers": 1} if live.kind == "pgweir" else {})})
        pids = self._rested(pooler, 3)
        self.assertEqual(pids[-1], pooler.client().value("SELECT pg_backend_pid()"))

    def server_round_robin_lends_the_longest_rested_first(self):
        pooler = self.pooler(settings={"default_pool_size": 3, "server_round_robin": 1,
                                       **({"workers": 1} if live.kind == "pgweir" else {})})
        pids = self._rested(pooler, 3)
        self.assertEqual(pids[0], pooler.client().value("SELECT pg_backend_pid()"))

    def server_reset_query_always_cleans_in_transaction_mode_too(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "server_reset_query_always": 1, "server_reset_query": "RESET work_mem"})
        client = pooler.client()
        client.query("SET work_mem = '9MB'")
        self.assertEqual("4MB", pooler.client().value("SHOW work_mem"))

    @on("pgweir")
    def why_a_reset_query_failed_is_logged(self):
        """As people write it, and as PostgreSQL refuses it: DISCARD ALL beside another statement."""
        for called in ("pgweir", "pgbouncer"):
            with Pooler(called=called, settings={"default_pool_size": 1, "pool_mode": "session",
                                                 "server_reset_query": "DISCARD ALL; SET lock_timeout = '5s'"}) as pooler:
                with Client(pooler.address) as client:
                    backend = client.value("SELECT pg_backend_pid()")
                pooler.await_log("reset query failed: DISCARD ALL cannot run inside a transaction block")
                self.assertNotEqual(backend, pooler.client().value("SELECT pg_backend_pid()"))

    def the_parameters_of_a_database_are_sent_to_its_servers(self):
        pooler = self.pooler(databases={"app": "dbname=app timezone='Asia/Tokyo' datestyle='SQL, DMY'"})
        client = pooler.client()
        self.assertEqual("Asia/Tokyo", client.value("SHOW timezone"))
        self.assertEqual("SQL, DMY", client.value("SHOW datestyle"))

    @on("pgweir")
    def a_default_that_a_clients_encoding_has_no_letters_for_is_set_all_the_same(self):
        admin = self.pg.admin()
        self.addCleanup(admin.close)
        admin.query("ALTER ROLE other SET search_path = '\u65e5\u672c', public")
        self.addCleanup(admin.query, "ALTER ROLE other RESET search_path")
        pooler = self.pooler(settings={"default_pool_size": 1, "pool_mode": "transaction"})
        first = pooler.client(user="other")
        first.query("SET search_path = public")
        if self.pg.major >= 18:     # it would tell it, and refuses the login, as directly
            self.refused(pooler.client, user="other", parameters={"client_encoding": "LATIN1"}, sqlstate="22P05")
            self.assertEqual("public", first.value("SHOW search_path"))
            return
        second = pooler.client(user="other", parameters={"client_encoding": "LATIN1"})
        for _ in range(2):
            self.assertEqual("public", first.value("SHOW search_path"))
            self.assertEqual("1", second.value("SELECT 1"))

    @on("pgweir")
    def nobodys_login_waits_for_what_another_has_set_of_its_transactions(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "pool_mode": "transaction"})
        first, admin = pooler.client(), self.pg.admin("app")
        self.addCleanup(admin.close)
        first.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE")
        admin.query("CREATE TABLE serial (n int)")
        self.addCleanup(admin.query, "DROP TABLE serial")
        admin.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
        admin.query("INSERT INTO serial VALUES (1)")
        second = pooler.client(parameters={"DateStyle": "German"})      # nobody knows yet what a server reports of it
        self.assertEqual("German, DMY", second.value("SHOW DateStyle"))
        admin.query("ROLLBACK")

    @on("pgweir")
    def nobody_waits_for_what_another_has_set_of_its_transactions_when_its_server_is_asked(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "pool_mode": "transaction"})
        first, second, admin = pooler.client(parameters={"DateStyle": "German"}), pooler.client(), self.pg.admin("app")
        self.addCleanup(admin.close)
        admin.query("CREATE TABLE serial (n int)")
        self.addCleanup(admin.query, "ROLLBACK; DROP TABLE serial")
        admin.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
        admin.query("INSERT INTO serial VALUES (1)")        # READ ONLY DEFERRABLE waits for its end
        first.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE")
        self.assertEqual("1", second.value("SELECT 1"))
        first.query("SET app.tenant = 'x'")
        self.assertEqual("1", second.value("SELECT 1"))
        first.query("RESET DateStyle")
        self.assertEqual("1", second.value("SELECT 1"))
        admin.query("ROLLBACK")
        self.assertEqual("German, DMY", first.value("SHOW DateStyle"))

    def several_hosts_take_turns(self):
        pg = self.pg
        # One port serves both names, so turns are seen by the address family.
        pooler = self.pooler(databases={"app": f"host=127.0.0.1,::1 port={pg.port} dbname=app pool_size=4"})
        clients = [pooler.client() for _ in range(4)]
        families = set()
        for client in clients:
            client.begin()
            families.add(client.value("SELECT family(inet_client_addr())"))
        self.assertEqual({"4", "6"}, families)

    @on("pgweir")
    def abandoned_query_finish_lets_a_reading_query_run_to_its_end(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "abandoned_query": "finish"})
        client = pooler.client()
        client.send(query("SELECT pg_sleep(9)"))
        active = lambda: self.pg.backends("app", extra="AND state = 'active' AND query LIKE 'SELECT pg_sleep(9)%'")
        wait_until("it runs", lambda: active() == 1)
        client.vanish()
        time.sleep(1)
        self.assertEqual(1, active(), "it was cancelled")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir")
    def rows_that_nobody_reads_end_with_their_client(self):
        """As at PostgreSQL itself, which ends a statement when it can not send: no words tell that a COPY only reads."""
        pooler = self.pooler(settings={"default_pool_size": 1})
        for statement in ("COPY (SELECT generate_series(1, 2000000000)) TO STDOUT", "SELECT generate_series(1, 2000000000), random()",
                          "SELECT n FROM (SELECT generate_series(1, 2000000000) AS n) AS numbers"):
            client = pooler.client()
            client.send(query(statement))
            self.assertIn(client.read()[0], (b"T", b"H"))
            client.vanish()
            self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir")
    def a_commit_that_is_under_way_is_not_cancelled(self):
        """Its client has sent it and does not wait for the answer."""
        self.pg.admin("app").query(
            "DROP TABLE IF EXISTS committed; CREATE TABLE committed (n int); GRANT ALL ON committed TO PUBLIC; CREATE OR REPLACE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END$$; CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON committed DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()")
        self.addCleanup(self.pg.admin("app").query, "DROP TABLE committed; DROP FUNCTION slowly")
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        told = [pooler.client() for _ in range(3)]
        told[2].ask(wire.parse("c", "COMMIT"), wire.SYNC)
        for number, (client, said) in enumerate(zip(told, (query("COMMIT"), query("/* a; b */ SELECT 1; -- c\n commit"), wire.bind("", "c") + wire.execute() + wire.SYNC)), 1):
            with self.subTest(said=said):
                client.query("BEGIN")
                client.query(f"INSERT INTO committed VALUES ({number})")
                client.send(said)
                wait_until("it commits", lambda: self.pg.backends("app", extra="AND wait_event = 'PgSleep' AND query ILIKE '%commit'") == 1)
                client.vanish()
                self.assertEqual(str(number), pooler.client().value("SELECT count(*) FROM committed"))

    def a_batch_whose_client_leaves_before_its_sync_is_undone(self):
        """As at PostgreSQL itself: what was sent of it is one transaction with what was still to come."""
        self.pg.admin("app").query("DROP TABLE IF EXISTS batched; CREATE TABLE batched (n int); GRANT ALL ON batched TO PUBLIC")
        self.addCleanup(self.pg.admin("app").query, "DROP TABLE batched")
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        insert = wire.parse("", "INSERT INTO batched VALUES (1)") + wire.bind("", "") + wire.execute()
        for behind in (wire.FLUSH, b""):
            with self.subTest(behind=behind):
                client = pooler.client()
                client.send(insert, behind)
                if behind:
                    client.read_to(b"C")
                client.vanish()
                self.assertEqual("0", pooler.client().value("SELECT count(*) FROM batched"))

    @on("pgweir")
    def abandoned_query_cancel_ends_a_writing_query_too(self):
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS unwritten; CREATE TABLE unwritten(n int); GRANT ALL ON unwritten TO PUBLIC")
        pooler = self.pooler(settings={"default_pool_size": 1, "abandoned_query": "cancel"})
        client = pooler.client()
        client.send(query("INSERT INTO unwritten SELECT 1 FROM pg_sleep(30)"))
        active = lambda: self.pg.backends("app", extra="AND state = 'active' AND query LIKE 'INSERT INTO unwritten%'")
        wait_until("it runs", lambda: active() == 1)
        client.vanish()
        wait_until("it is cancelled", lambda: active() == 0)
        self.assertEqual("0", pooler.client().value("SELECT count(*) FROM unwritten"))

    def a_wildcard_entry_serves_databases_nobody_named(self):
        pooler = self.pooler(databases={"*": f"host=127.0.0.1 port={self.pg.port}"})
        for name in ("app", "app2"):
            self.assertEqual(name, pooler.client(database=name).value("SELECT current_database()"))

    @on("pgweir")
    def a_cut_link_gives_its_place_back(self):
        relay = Relay(free_port(), self.pg.port)
        self.addCleanup(relay.stop)
        pooler = self.pooler(databases={"app": f"host=127.0.0.1 port={relay.port} dbname=app pool_size=2"},
                             settings={"server_orphan_timeout": 3, "server_login_retry": 1})
        clients = [pooler.client() for _ in range(2)]
        for client in clients:
            client.begin()
        relay.cut()
        for client in clients:
            client.expect_closed()
        self.assertEqual("1", pooler.client(timeout=30).value("SELECT 1", timeout=30))

    @on("pgweir")
    def a_login_that_hangs_counts_until_postgresql_has_let_it_go(self):
        # As behind CREATE DATABASE ... TEMPLATE or ALTER DATABASE ... SET TABLESPACE: who logs in waits there, and does not hear that nobody waits for it.
        pg = self.postgres()
        pooler = self.pooler(pg=pg, settings={"default_pool_size": 2, "server_connect_timeout": 1, "server_login_retry": 1, "server_orphan_timeout": 3600,
                                              "monitor_interval": 0})
        first, second = pooler.client(), pooler.client()
        first.begin()
        with pg.admin("postgres") as admin:
            admin.query("BEGIN; LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
            second.send(query("SELECT 2"))
            wait_until("its login is given up, and counts", lambda: pooler.pool()["sv_closing"] == 1)
            self.assertEqual(1, pooler.pool()["cl_waiting"])
            self.assertEqual(["active", "closing"], sorted(row["state"] for row in pooler.show("SERVERS")))
            admin.query("ROLLBACK")
            self.assertEqual("2", second.reply().value)
            console = pooler.console()
            console.query("SET server_connect_timeout = 3600")
            console.query("RECONNECT app")
            wait_until("the one that rests is gone", lambda: len(pooler.show("SERVERS")) == 1)
            admin.query("BEGIN; LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
            second.send(query("SELECT 3"))
            wait_until("it logs in", lambda: admin.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1")
            console.query("KILL app")
            wait_until("its login is killed, and counts", lambda: [("closing", "0")] == [(row["state"], row["remote_pid"]) for row in pooler.show("SERVERS")])
            admin.query("ROLLBACK")
        wait_until("its end is seen", lambda: not pooler.show("SERVERS"))


class Surroundings(Story):
    kinds = ("pgweir", "pgbouncer")

    def listen_addr_takes_names(self):
        name = socket.gethostname()
        try:
            addresses = {found[4][0] for found in socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)}
        except OSError:
            self.skipTest("this machine does not know its own name")
        # By its address and by its name: once is enough.
        pooler = self.pooler(settings={"listen_addr": f"127.0.0.1, {name}"})
        for address in addresses | {"127.0.0.1"}:
            with Client((address, pooler.port)) as client:
                self.assertEqual("1", client.value("SELECT 1"))

    def an_address_that_listen_addr_names_twice_is_listened_on_once(self):
        for words, lines in (("127.0.0.1, localhost, 127.0.0.1", r"127\.0\.0\.1"), ("127.0.0.1, *, 0.0.0.0", r"0\.0\.0\.0")):
            for called in ("pgweir", "pgbouncer"):
                with Pooler(called=called, settings={"listen_addr": words}) as pooler:
                    self.assertEqual("1", pooler.client().value("SELECT 1"))
                    self.assertEqual([f"{pooler.port}"], re.findall(rf"listening on (?:{lines}):(\d+)", pooler.log()))
                    self.assertNotIn("could not listen on 127", pooler.log())

    def unix_socket_mode_is_set(self):
        pooler = self.pooler(settings={"unix_socket_mode": "0700"})
        # The TCP door opens a moment before the socket's file has its mode.
        wait_until("the socket has its mode", lambda: os.path.exists(pooler.socket_path) and stat.S_IMODE(os.stat(pooler.socket_path).st_mode) == 0o700)

    def login_notify_message_is_told_to_whoever_logs_in(self):
        said = "maintenance on Sunday, 'briefly'"
        pooler = self.pooler(settings={"login_notify_message": said})
        for client in (pooler.client(), pooler.console()):
            self.assertEqual([(said, "00000")], [(notice["M"], notice["C"]) for notice in client.notices])
        console = pooler.console()
        console.query("SET login_notify_message = ''")
        self.assertEqual([], pooler.client().notices)

    def the_log_file_is_opened_anew_on_reload(self):
        pooler = self.keep(Pooler())
        log = pooler.folder / "own.log"
        pooler.settings["logfile"] = log
        pooler.start()
        pooler.client().value("SELECT 1")
        wait_until("it is written", lambda: log.exists() and log.stat().st_size > 0)
        log.rename(pooler.folder / "old.log")
        pooler.console().query("RELOAD")
        pooler.client().value("SELECT 1")
        wait_until("it is written anew", lambda: log.exists() and log.stat().st_size > 0)

    @on("pgweir")
    def what_is_most_likely_not_meant_is_a_warning_at_the_start_and_at_reload(self):
        pooler = self.keep(Pooler(userlist={}, nofile=(300, 300)))
        whole, bare = pooler.ini_text(), re.sub(r"(?m)^app.* = .*\n", "", pooler.ini_text())
        pooler.ini_text = lambda: bare
        pooler.start()
        wait_until("all is said", lambda: len(self._doubts(pooler)) == 3)
        for begin, said in zip(("[databases] has no entry", "nobody can log in: auth_file has no users", "descriptors: there is room for "),
                               self._doubts(pooler)):
            self.assertEqual(begin, said[:len(begin)])
        pooler.ini.write_text(whole)
        (pooler.folder / "userlist.txt").write_text('"app" ""\n')
        pooler.process.send_signal(signal.SIGHUP)
        wait_until("it has read it", lambda: "configuration reloaded" in pooler.log() and len(self._doubts(pooler)) >= 4)
        self.assertEqual(4, len(self._doubts(pooler)), pooler.log())
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir")
    def more_workers_than_cores_are_a_warning_at_the_start(self):
        cores = len(os.sched_getaffinity(0))
        crowd = lambda pooler: re.findall(r"WARNING (workers: .*) serve clients, and this process may use (.*):", pooler.log())
        self.assertEqual([], crowd(self.pooler(settings={"workers": 1})))
        said = crowd(self.pooler(settings={"workers": cores + 1}))
        self.assertEqual([f"workers: {cores + 1} threads"], [threads for threads, _ in said])
        self.assertLessEqual(int(said[0][1].split()[0]), cores)

    def _doubts(self, pooler):
        return re.findall(r"WARNING ((?:\[databases\]|nobody can log in|descriptors:).*)", pooler.log())

    def conffile_is_the_file_that_reload_reads(self):
        pooler = self.pooler()
        console = pooler.console()
        shown = lambda *keys: tuple({row["key"]: row["value"] for row in pooler.show("CONFIG")}[key] for key in keys)
        other = pooler.folder / "other.ini"
        write = lambda size, more="": other.write_text(re.sub(r"(?m)^default_pool_size = .*", f"default_pool_size = {size}{more}", pooler.ini_text()))
        write(7)
        other.chmod(0o644)
        self.assertEqual((str(pooler.ini), "5"), shown("conffile", "default_pool_size"))
        self.assertEqual([f"SET conffile={other}"], console.query(f"SET conffile = '{other}'").tags)
        self.assertEqual((str(other), "5"), shown("conffile", "default_pool_size"))
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        for size in (7, 8):
            write(size)
            console.query("RELOAD")
            self.assertEqual((str(other), str(size)), shown("conffile", "default_pool_size"))
        if live.kind == "pgbouncer":
            return
        # What can not be served from is refused now, and nothing of what is in it is told.
        (pooler.folder / "secret").write_text("its only line, a secret\n")
        for wrong in (pooler.folder / "missing.ini", pooler.folder / "secret", pooler.folder):
            error = self.refused(console.query, f"SET conffile = '{wrong}'", says="SET failed")
            self.assertIn("the log says why", error.hint)
            self.assertNotIn("its only line", str(error))
        self.assertEqual((str(other), "8"), shown("conffile", "default_pool_size"))
        # A file may name the next one itself.
        write(9, f"\nconffile = {pooler.ini}")
        console.query("RELOAD")
        pooler.await_log(f'conffile: RELOAD will read "{pooler.ini}", not "{other}" again')
        self.assertEqual((str(pooler.ini), "9"), shown("conffile", "default_pool_size"))
        pooler.reload()
        wait_until("it is read by SIGHUP as well", lambda: shown("conffile", "default_pool_size") == (str(pooler.ini), "5"))

    @on("pgweir")
    def every_setting_may_be_set_to_what_it_is_or_needs_a_restart(self):
        for called in ("pgweir", "pgbouncer"):
            pooler = self.pooler(called=called)
            console = pooler.console()
            rows = console.query("SHOW CONFIG").dicts()
            self.assertGreater(len(rows), 100)
            for row in rows:
                words = "SET {} = '{}'".format(row["key"], row["value"].replace("'", "''"))
                if row["changeable"] == "yes":
                    self.assertEqual([f"SET {row['key']}={row['value']}"], console.query(words).tags)
                else:
                    self.refused(console.query, words, says="SET failed")
            self.assertEqual(rows, console.query("SHOW CONFIG").dicts())
            self.assertEqual("1", pooler.client().value("SELECT 1"))

    def the_pid_file_holds_the_pid_and_goes_with_it(self):
        pooler = self.keep(Pooler())
        path = pooler.folder / "pid"
        pooler.settings["pidfile"] = path
        pooler.start()
        self.assertEqual(pooler.pid, int(path.read_text()))
        pooler.stop()
        if live.kind == "pgweir":
            self.assertFalse(path.exists())

    def connections_are_logged_as_asked(self):
        for wanted in (1, 0):
            pooler = self.pooler(settings={"log_connections": wanted, "log_disconnections": wanted})
            pooler.client().value("SELECT 1")
            pooler.stop()
            self.assertEqual(bool(wanted), bool(re.search(r"\bapp/app\b|user=app\b", pooler.log())), pooler.log())

    def who_starts_it_may_give_the_file_through_a_link_and_include_others(self):
        pooler = self.keep(Pooler())
        pooler.write_files()
        more = pooler.folder / "more.ini"
        more.write_text("[pgbouncer]\nquery_wait_timeout = 55\n[databases]\nincluded = host=127.0.0.1 "
                        f"port={self.pg.port} dbname=app2\n")
        text = pooler.ini_text() + f"\n%include {more}\n" if live.kind == "pgweir" else \
            pooler.ini_text().replace("[databases]\n", f"[databases]\nincluded = host=127.0.0.1 port={self.pg.port} dbname=app2\n")
        pooler.ini_text = lambda: text
        more.chmod(0o644)
        pooler.start()
        self.assertEqual("app2", pooler.client(database="included").value("SELECT current_database()"))


class Unused(Story):
    """What nobody uses is forgotten, statistics and all."""
    kinds = ("pgweir", "pgbouncer")

    def _shown(self, pooler, name):
        """In how many rows of SHOW POOLS and SHOW STATS a database is."""
        return [sum(row["database"] == name for row in pooler.show(what)) for what in ("POOLS", "STATS")]

    def _databases(self, pooler):
        return {row["name"]: row["database"] for row in pooler.show("DATABASES")}

    @on("pgweir", why="after 1.25")
    def pool_idle_timeout_forgets_a_pool_when_its_last_server_is_gone_for_that_long(self):
        pooler = self.pooler(settings={"pool_idle_timeout": 1, "server_idle_timeout": 1})
        stays = pooler.client(database="app2")
        stays.value("SELECT 1")
        with pooler.client() as client:
            for _ in range(20):
                client.value("SELECT 1")
            self.assertEqual([1, 1], self._shown(pooler, "app"))
        wait_until("it is forgotten", lambda: self._shown(pooler, "app") == [0, 0], timeout=30)
        self.assertEqual([1, 1], self._shown(pooler, "app2"))
        client = pooler.client()
        self.assertEqual("1", client.value("SELECT 1"))
        row, = (row for row in pooler.show("STATS") if row["database"] == "app")
        self.assertLess(int(row["total_query_count"]), 20)  # it began anew
        self.assertEqual("1", stays.value("SELECT 1"))

    @on("pgweir", why="after 1.25")
    def pool_idle_timeout_is_off_unless_it_is_asked_for(self):
        pooler = self.pooler(settings={"server_idle_timeout": 1})
        with pooler.client() as client:
            client.value("SELECT 1")
        wait_until("its server is gone", lambda: pooler.pool()["sv_idle"] == 0, timeout=30)
        time.sleep(2)
        self.assertEqual([1, 1], self._shown(pooler, "app"))
        pooler.console().query("SET pool_idle_timeout = 1")
        wait_until("it is forgotten", lambda: self._shown(pooler, "app") == [0, 0], timeout=30)

    def autodb_idle_timeout_forgets_a_database_that_has_no_entry_of_its_own(self):
        pooler = self.pooler(settings={"autodb_idle_timeout": 1, "server_idle_timeout": 1},
                             databases={"app": "dbname=app", "*": ""})
        for database in ("app", "app2"):
            with pooler.client(database=database) as client:
                client.value("SELECT 1")
                self.assertEqual([1, 1], self._shown(pooler, database))
                self.assertEqual(database, self._databases(pooler)[database])
        self.assertNotIn("*", self._databases(pooler))
        wait_until("it is forgotten", lambda: self._shown(pooler, "app2") == [0, 0], timeout=30)
        self.assertEqual([1, 1], self._shown(pooler, "app"))
        self.assertEqual({"app", "pgbouncer"}, set(self._databases(pooler)))
        self.assertEqual("1", pooler.client(database="app2").value("SELECT 1"))
        self.assertEqual([1, 1], self._shown(pooler, "app2"))
