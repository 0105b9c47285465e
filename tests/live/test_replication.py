"""Connections for replication: PostgreSQL's own programs, a standby and a subscription, through the pooler."""
import os
import pathlib
import re
import signal
import socket
import subprocess

import wire
from harness import Postgres, Story, full_only, give_away, takes, wait_until
from wire import Client, query

SETTINGS = {"wal_level": "logical", "max_wal_senders": 8, "max_replication_slots": 8, "hot_standby": "on"}


class Replicating(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.primary = self._cluster()
        self.primary.create()
        with open(self.primary.data / "pg_hba.conf", "a") as rules:
            rules.write("host replication,all replicator samehost scram-sha-256\nhost replication app samehost trust\n")
        self.primary.start()
        with self.primary.admin() as admin:
            admin.query("CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'sesame'")

    def _cluster(self, **settings):
        pg = Postgres(**{**SETTINGS, **settings})
        self.addCleanup(pg.__exit__)
        return pg

    def _pooler(self, **options):
        options.setdefault("databases", {"app": "dbname=app", "replication": "", "*": ""})
        options.setdefault("userlist", {"app": "", "replicator": "sesame", "admin": ""})
        return self.pooler(pg=self.primary, **options)

    def _replicates(self, pooler, kind="database", user="replicator", **options):
        parameters = {"replication": kind, **options.pop("parameters", {})}
        return pooler.client(user=user, parameters=parameters, **options)

    def _begins(self, pooler, kind="database", user="replicator"):
        """One that has only said what it wants."""
        client = Client(pooler.address, login=False, timeout=30)
        self.addCleanup(client.close)
        client.send(wire.startup({"user": user, "database": "app", **({"replication": kind} if kind else {})}))
        return client

    def _programs_fit(self):
        """pg_basebackup and pg_receivewal refuse servers that are newer than they are, and pg_verifybackup what an older one wrote."""
        said = subprocess.run([str(self.primary.programs / "pg_basebackup"), "--version"], stdout=subprocess.PIPE, timeout=20, check=True)
        major = int(re.search(rb"(\d+)\.", said.stdout)[1])
        if self.primary.major != major:
            self.skipTest(f"the programs are PostgreSQL {major}'s, and the server is another's")

    def _run(self, program, pooler, *arguments, database=None, timeout=60):
        where = f"host=127.0.0.1 port={pooler.port} user=replicator" + (f" dbname={database}" if database else "")
        done = subprocess.run([str(self.primary.programs / program), "-d", where, *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=timeout * wire.PATIENCE, cwd="/")
        self.assertEqual(0, done.returncode, done.stdout.decode())
        return done.stdout.decode()

    def _walsenders(self):
        """By what PostgreSQL's processes call themselves. In pg_stat_activity is none that was refused at its login, and one that ends has left it before
        its place of max_wal_senders is free."""
        postmaster = (self.primary.data / "postmaster.pid").read_text().split()[0]
        count = 0
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (process / "stat").read_text().rpartition(")")[2].split()[1] == postmaster:
                    count += b": walsender " in (process / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                pass            # it has ended meanwhile
        return count


class Programs(Replicating):
    def _drop(self, program, pooler, slot, **options):
        """Whose connection is over is not yet who has let go of the slot."""
        wait_until("nobody uses the slot", lambda: self.primary.value(
            f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == "f")
        self._run(program, pooler, "--drop-slot", "-S", slot, **options)

    def _back_up(self, pooler, *more):
        folder = self.own_folder() / "copy"
        self._run("pg_basebackup", pooler, "-D", folder, "-c", "fast", *more)
        return folder

    @takes(120)
    def pg_basebackup_copies_a_cluster(self):
        self._programs_fit()
        for called in ("pgweir", "pgbouncer"):
            with self.subTest(called):
                pooler = self._pooler(called=called)
                with Client(pooler.address) as client:
                    client.query("DROP TABLE IF EXISTS copied; CREATE TABLE copied AS SELECT generate_series(1, 20000) AS n")
                folder = self._back_up(pooler, "-X", "stream")     # the log comes by a second connection, at the same time
                subprocess.run([str(self.primary.programs / "pg_verifybackup"), str(folder)], check=True, timeout=60 * wire.PATIENCE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                wait_until("its servers are closed", lambda: self._walsenders() == 0)
                pooler.stop()

    @takes(120)
    def pg_receivewal_streams_to_a_slot_of_its_own(self):
        self._programs_fit()
        pooler = self._pooler()
        self._run("pg_receivewal", pooler, "--create-slot", "-S", "kept")
        folder = self.own_folder()
        process = subprocess.Popen([str(self.primary.programs / "pg_receivewal"), "-D", str(folder), "-S", "kept", "--synchronous", "-d",
                                    f"host=127.0.0.1 port={pooler.port} user=replicator application_name=keeper"],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/")
        try:
            wait_until("it streams", lambda: self.primary.value(
                "SELECT state FROM pg_stat_replication WHERE application_name = 'keeper'") == "streaming", timeout=30)
            with self.primary.admin("app") as admin:
                admin.query("CREATE TABLE logged AS SELECT generate_series(1, 1000) AS n")
                file = admin.value("SELECT pg_walfile_name(pg_switch_wal())")
            wait_until("a whole file has come", lambda: file in os.listdir(folder), timeout=30)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=20 * wire.PATIENCE)
            self.assertEqual(0, process.returncode, said.decode())
        finally:
            process.kill()
            process.wait(5)
        with open(folder / file, "rb") as copy:
            kept = copy.read()
        with open(self.primary.data / "pg_wal" / file, "rb") as original:
            self.assertEqual(original.read(), kept)
        self._drop("pg_receivewal", pooler, "kept")
        self.assertEqual("0", self.primary.value("SELECT count(*) FROM pg_replication_slots"))
        wait_until("its servers are closed", lambda: self._walsenders() == 0)

    @takes(120)
    def pg_recvlogical_decodes_what_was_written(self):
        pooler = self._pooler()
        self._run("pg_recvlogical", pooler, "--create-slot", "-S", "decoded", "-P", "test_decoding", database="app")
        with Client(pooler.address) as client:
            client.query("CREATE TABLE told(n int, word text)")
            client.query("INSERT INTO told SELECT n, 'word ' || n FROM generate_series(1, 500) n")
        end = self.primary.value("SELECT pg_current_wal_insert_lsn()")
        said = self._run("pg_recvlogical", pooler, "--start", "-S", "decoded", "-f", "-", "-E", end, "--no-loop", database="app")
        self.assertEqual(500, said.count("INSERT"))
        self.assertIn("word[text]:'word 500'", said)
        self._drop("pg_recvlogical", pooler, "decoded", database="app")

    @full_only
    @takes(180)
    def a_standby_follows_through_the_pooler(self):
        self._programs_fit()
        pooler = self._pooler(settings={"server_lifetime": 1, "server_idle_timeout": 1},
                              users={"replicator": "query_timeout=1 idle_transaction_timeout=1 transaction_timeout=1"})
        standby = self._cluster(wal_retrieve_retry_interval="200ms")
        folder = self._back_up(pooler, "-R")
        os.rename(folder, standby.data)
        os.chmod(standby.data, 0o700)
        for path in [standby.data, *standby.data.rglob("*")]:
            give_away(path)
        with open(standby.data / "postgresql.auto.conf", "a") as settings:
            settings.write(f"primary_conninfo = 'host=127.0.0.1 port={pooler.port} user=replicator application_name=second'\n")
        standby.start()
        with self.primary.admin() as admin:
            # Goes by application_name, which only the startup packet can say.
            admin.query("ALTER SYSTEM SET synchronous_standby_names = 'second'")
            admin.query("SELECT pg_reload_conf()")
        wait_until("it is in step", lambda: self.primary.value(
            "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'second'") == "sync", timeout=30)
        with Client(pooler.address, timeout=30) as client:
            client.query("SET synchronous_commit = remote_apply")
            client.query("CREATE TABLE followed(n int)")
            client.query("INSERT INTO followed VALUES (1)")
        self.assertEqual("1", standby.value("SELECT count(*) FROM followed", "app"))
        row, = [row for row in pooler.show("SERVERS") if row["replication"] != "none"]
        self.assertEqual(("physical", "active", "second"), (row["replication"], row["state"], row["application_name"]))
        # Whoever ends its connection sees it come back.
        first = row["id"]
        pid = [each["id"] for each in pooler.show("CLIENTS") if each["replication"] == "physical"]
        with pooler.console() as console:
            console.query(f"KILL_CLIENT {pid[0]}")
        again = lambda: [each["id"] for each in pooler.show("SERVERS") if each["replication"] == "physical"
                         and each["state"] == "active" and each["id"] != first]
        wait_until("it has come back", again, timeout=40)
        with Client(pooler.address, timeout=40) as client:
            client.query("SET synchronous_commit = remote_apply")
            client.query("INSERT INTO followed VALUES (2)")
        self.assertEqual("2", standby.value("SELECT count(*) FROM followed", "app"))
        standby.stop()

    @full_only
    @takes(120)
    def a_subscription_follows_through_the_pooler(self):
        pooler = self._pooler()
        with self.primary.admin("app") as admin:
            admin.query("CREATE TABLE news(n int PRIMARY KEY, word text); INSERT INTO news VALUES (1, 'first')")
            admin.query("GRANT SELECT ON news TO replicator")
            admin.query("CREATE PUBLICATION everything FOR ALL TABLES")
        reader = self.postgres(**SETTINGS)
        with reader.admin("app") as admin:
            admin.query("CREATE TABLE news(n int PRIMARY KEY, word text)")
            admin.query("CREATE SUBSCRIPTION here CONNECTION"
                        f" 'host=127.0.0.1 port={pooler.port} user=replicator dbname=app' PUBLICATION everything")
        wait_until("what was there is copied", lambda: reader.value("SELECT count(*) FROM news", "app") == "1", timeout=30)
        with self.primary.admin("app") as admin:
            admin.query("INSERT INTO news VALUES (2, 'second')")
        wait_until("what is new has come", lambda: reader.value("SELECT count(*) FROM news", "app") == "2", timeout=30)
        self.assertIn("logical", [row["replication"] for row in pooler.show("CLIENTS")])
        with reader.admin("app") as admin:
            admin.query("DROP SUBSCRIPTION here")
        self.assertEqual("0", self.primary.value("SELECT count(*) FROM pg_replication_slots"))


class Connections(Replicating):
    def each_has_its_own_server_which_ends_with_it(self):
        pooler = self._pooler(settings={"workers": 4, "default_pool_size": 10})
        clients = {}
        for number in range(6):
            client = self._replicates(pooler, parameters={"application_name": f"copier {number}"})
            clients[client] = client.query("IDENTIFY_SYSTEM").rows[0]
        for number, client in enumerate(clients):
            self.assertEqual(f"copier {number}", client.value("SHOW application_name"))
            self.assertEqual(str(client.pid), client.value("SELECT pg_backend_pid()"))
        self.assertEqual(1, len({row[0] for row in clients.values()}))
        self.assertEqual(6, self._walsenders())
        rows = [row for row in pooler.show("CLIENTS") if row["user"] == "replicator"]
        self.assertEqual([("logical", "active")] * 6, [(row["replication"], row["state"]) for row in rows])
        for client in list(clients)[:3]:
            client.close()
        for client in list(clients)[3:]:
            client.vanish()
        wait_until("all are closed", lambda: self._walsenders() == 0)
        wait_until("none is counted", lambda: (pooler.pool("replicator")["sv_active"], pooler.pool("replicator")["sv_closing"],
                                               pooler.pool("replicator")["cl_total"]) == (0, 0, 0))
        self.assertEqual(1, len([row for row in pooler.show("POOLS") if row["user"] == "replicator"]))

    def many_at_once_get_what_each_asked_for(self):
        pooler = self._pooler(settings={"workers": 4, "default_pool_size": 4})

        def one(number):
            def run():
                kind = ("database", "true")[number % 2]
                with Client(pooler.address, user="replicator", timeout=40, parameters={
                        "replication": kind, "application_name": f"copier {number}", "options": f"-c lock_timeout={number + 1}s"}) as client:
                    self.assertEqual(f"copier {number}", client.value("SHOW application_name"))
                    self.assertEqual(f"{number + 1}s", client.value("SHOW lock_timeout"))
                    error = client.simple("SELECT 1").error
                    self.assertEqual(kind == "true", error is not None and "physical replication" in error.message)
            return run
        self.together(*[one(number) for number in range(24)], timeout=60)
        wait_until("all are closed", lambda: self._walsenders() == 0)

    def limits_count_them_as_they_count_others(self):
        pooler = self._pooler(settings={"max_db_connections": 2, "pool_mode": "session"})
        with Client(pooler.address) as client:
            client.query("SELECT 1")
        self.assertEqual(1, self.primary.backends("app"))            # it rests now
        first, second = self._replicates(pooler), self._replicates(pooler)
        self.assertEqual("1", first.value("SELECT 1"))
        wait_until("the one that rested made room", lambda: self.primary.backends("app") == 0)
        third = self._begins(pooler)
        wait_until("it waits", lambda: pooler.pool("replicator")["cl_waiting"] == 1)
        fourth = self._begins(pooler, user="app", kind=None)
        wait_until("so does who replicates nothing", lambda: pooler.pool("app")["cl_waiting"] == 1)
        self.assertFalse(third.readable() or fourth.readable())
        first.close()
        third.finish_login("replicator")
        self.assertEqual("1", third.value("SELECT 1"))
        self.assertFalse(fourth.readable())
        second.close()
        fourth.finish_login("app")
        self.assertEqual("1", fourth.value("SELECT 1"))

    def pool_size_bounds_them(self):
        pooler = self._pooler(settings={"default_pool_size": 2})
        with Client(pooler.address, user="replicator") as client:
            self.assertEqual("1", client.value("SELECT 1"))
        kept = [self._replicates(pooler, "true") for _ in range(2)]   # what rests makes room
        row = pooler.pool("replicator")
        self.assertEqual((2, 0), (row["sv_active"], row["sv_idle"]))
        third = self._begins(pooler)
        wait_until("it waits", lambda: pooler.pool("replicator")["cl_waiting"] == 1)
        with Client(pooler.address, user="replicator", timeout=30) as ordinary:
            ordinary.send(query("SELECT 1"))
            wait_until("so does who replicates nothing", lambda: pooler.pool("replicator")["cl_waiting"] == 2)
            kept.pop().close()
            third.finish_login("replicator")
            kept.pop().close()
            self.assertEqual("1", ordinary.reply().value)

    def what_postgresql_says_is_told_to_that_client_alone(self):
        self.primary.stop(immediately=False)
        self.primary.settings["max_wal_senders"] = 1
        self.primary.start()
        for called in ("pgweir", "pgbouncer"):
            pooler = self._pooler(called=called)
            one = self._replicates(pooler)
            self.refused(self._replicates, pooler, "true", sqlstate="53300", says="max_wal_senders")
            with Client(pooler.address) as client:
                self.assertEqual("1", client.value("SELECT 1"))
            with Client(pooler.address, user="replicator") as client:
                self.assertEqual("1", client.value("SELECT 1"))
            self.assertEqual("1", one.value("SELECT 1"))
            one.close()
            wait_until("there is room", lambda: self._walsenders() == 0)
            self.refused(self._replicates, pooler, "true", user="app", sqlstate="42501")
            wait_until("there is room again", lambda: self._walsenders() == 0)
            self._replicates(pooler, "true").close()
            wait_until("there is room for the next", lambda: self._walsenders() == 0)
            pooler.stop()

    def a_server_that_is_not_there_is_told_of(self):
        pooler = self._pooler(databases={"app": "host=127.0.0.1 port=1 dbname=app"})
        self.refused(self._replicates, pooler, sqlstate="08001", says="connection to server at 127.0.0.1:1 failed")

    def of_several_hosts_it_goes_to_one_that_suits(self):
        nobody = f"127.0.0.1,127.0.0.1 port=1,{self.primary.port}"
        pooler = self._pooler(databases={
            "app": f"host={nobody} dbname=app target_session_attrs=primary",
            "reader": f"host={nobody} dbname=app target_session_attrs=standby"})
        for kind in ("database", "true"):
            client = self._replicates(pooler, kind)
            self.assertEqual(1, len(client.query("IDENTIFY_SYSTEM").rows))
        self.refused(self._replicates, pooler, database="reader", sqlstate="08001")
        with Client(pooler.address) as client:
            self.assertEqual("1", client.value("SELECT 1"))

    def a_cancel_ends_what_it_runs(self):
        pooler = self._pooler()
        client = self._replicates(pooler)
        client.send(query("SELECT pg_sleep(40)"))
        wait_until("it sleeps", lambda: self.primary.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'") == "1")
        client.cancel()
        self.assertEqual("57014", client.reply().error.sqlstate)
        self.assertEqual("1", client.value("SELECT 1"))

    def clients_that_leave_while_it_connects_leave_nothing_behind(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        pooler = self._pooler(settings={"monitor_interval": 0, "server_tls_sslmode": "disable"},
                              databases={"app": f"host=127.0.0.1 port={listener.getsockname()[1]} dbname=app"})
        listener.settimeout(15 * wire.PATIENCE)
        for _ in range(3):
            client = self._begins(pooler, "true")
            peer, _ = listener.accept()
            peer.settimeout(15 * wire.PATIENCE)
            self.assertIn(b"replication\0true\0", peer.recv(1000))
            client.vanish()
            self.assertEqual(b"", peer.recv(1000))
            peer.close()
        wait_until("no client is counted", lambda: pooler.pool("replicator")["cl_total"] == 0)
        # Whether PostgreSQL has noticed is not known here: the places are counted as orphans for a while.
        self.assertEqual(0, pooler.pool("replicator")["sv_active"])

    def physical_replication_takes_its_own_rule(self):
        rules = "host app replicator 127.0.0.1/32 trust\nhost all app 127.0.0.1/32 trust\nhost replication admin 127.0.0.1/32 trust\n"
        settings = {"auth_type": "hba", "auth_hba_file": "hba.conf"}
        pooler = self._pooler(settings=settings, files={"hba.conf": rules + "host all admin 127.0.0.1/32 trust\n"})
        self._replicates(pooler, "database")
        self.refused(self._replicates, pooler, "true", says="no entry of auth_hba_file fits")
        (pooler.folder / "hba.conf").write_text(
            "host replication replicator 127.0.0.1/32 trust\nhost all admin 127.0.0.1/32 trust\n")
        with pooler.console() as console:
            console.query("RELOAD")
        self._replicates(pooler, "true")
        self.refused(self._replicates, pooler, "database", says="no entry of auth_hba_file fits")

    def who_is_not_in_auth_file_is_asked_for_and_proven_by_scram_alone(self):
        """Nobody here knows the password: what its client proved with opens the server, too."""
        with self.primary.admin("app") as admin:
            admin.query("CREATE FUNCTION known(asked text) RETURNS TABLE(who name, secret text) LANGUAGE sql SECURITY DEFINER AS"
                        " 'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1'")
        pooler = self._pooler(userlist={"app": "x"}, settings={
            "auth_type": "scram-sha-256", "auth_user": "app", "auth_dbname": "app", "auth_query": "SELECT who, secret FROM known($1)"})
        self.refused(self._replicates, pooler, password="wrong", sqlstate="28P01")
        client = self._replicates(pooler, password="sesame")
        self.assertEqual("replicator", client.value("SELECT current_user"))
        client = self._replicates(pooler, "true", password="sesame", database="replication")
        self.assertEqual(1, len(client.query("IDENTIFY_SYSTEM").rows))

    def the_reaper_never_ends_them(self):
        pooler = self._pooler(settings={"leak_interval": 0.2, "leak_quiet": 0.4, "leak_hold": 0.4})
        client = self._replicates(pooler, parameters={"application_name": "copier"})
        client.query("IDENTIFY_SYSTEM")
        number, = [row["client"] for row in pooler.show("LEASES") if row["application_name"] == "copier"]
        wait_until("it has rested for long", lambda: any(row["client"] == number and float(row["in_state"]) > 1
                                                         for row in pooler.show("LEASES")))
        row, = pooler.console().query(f"REAP CLIENT {number}").dicts()
        self.assertEqual(("stays", "a COPY goes on"), (row["outcome"], row["reason"]))
        self.assertTrue(client.query("IDENTIFY_SYSTEM").rows)

    def reconnect_and_a_changed_entry_end_them(self):
        for called in ("pgweir", "pgbouncer"):
            pooler = self._pooler(called=called)
            with pooler.console() as console:
                client = self._replicates(pooler)
                console.query("RECONNECT app")
                error, = client.expect_closed()
                self.assertEqual("57P01" if called == "pgweir" else "08P01", error.sqlstate)
                client = self._replicates(pooler)
                pooler.databases["app"] = "dbname=app connect_query='SELECT 1'"
                pooler.write_files()
                console.query("RELOAD")
                self.assertEqual(1, len(client.expect_closed()))
                wait_until("their servers are gone", lambda: self._walsenders() == 0)
                self.assertEqual("1", self._replicates(pooler).value("SELECT 1"))
            pooler.stop()

    def kill_and_shutdown_end_them(self):
        pooler = self._pooler()
        client = self._replicates(pooler)
        with pooler.console() as console:
            console.query("KILL app")
            self.assertEqual(1, len(client.expect_closed()))
            wait_until("its server is gone", lambda: self._walsenders() == 0)
            console.query("RESUME app")
        client = self._replicates(pooler, "true")
        pooler.process.send_signal(signal.SIGQUIT)
        self.assertTrue(client.expect_closed())
        self.assertEqual(0, pooler.wait())
        wait_until("its server is gone", lambda: self._walsenders() == 0)
