"""Several hosts of one database: which is tried, which one suits, and what clients see when PostgreSQL moves from one to another."""
import itertools
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import wire
from harness import Postgres, Story, free_port, give_away, takes, wait_until
from names import NameServer

ROUND = {"server_login_retry": 1, "default_pool_size": 6}


def hosts(*servers, more=""):
    """A database's line with these clusters (or ports) in it."""
    ports = [str(each if isinstance(each, int) else each.port) for each in servers]
    return f"host={','.join(['127.0.0.1'] * len(ports))} port={','.join(ports)} dbname=app {more}"


def where(client):
    """The port of the cluster that answers."""
    return int(client.value("SELECT current_setting('port')"))


def spread(pooler, count, database="app"):
    """Where the servers of so many clients are that hold one at a time."""
    clients = [pooler.client(database=database) for _ in range(count)]
    for client in clients:
        client.begin()
    found = [where(client) for client in clients]
    for client in clients:
        client.query("ROLLBACK")
        client.close()
    return found


REPLICATES = {"wal_level": "replica", "max_wal_senders": 8, "hot_standby": "on"}


def primary(story):
    """A cluster that others may copy."""
    pg = Postgres(**REPLICATES)
    story.addCleanup(pg.__exit__)
    pg.create()
    with open(pg.data / "pg_hba.conf", "a") as rules:
        rules.write("local replication postgres trust\n")
    pg.start()
    return pg


class Standby(Postgres):
    """A hot standby of `primary`."""

    def __init__(self, primary):
        super().__init__(**REPLICATES)
        self.primary = primary

    def create(self):
        """As pg_basebackup does, which refuses servers newer than itself."""
        of = self.primary
        begin, end = (("pg_backup_start('standby', true)", "pg_backup_stop(false)") if of.major >= 15 else
                      ("pg_start_backup('standby', true, false)", "pg_stop_backup(false, false)"))
        with of.admin(timeout=60) as admin:
            admin.query(f"SELECT {begin}")
            # Files may go while they are copied: that is status 1, and recovery does not miss them.
            subprocess.run(["cp", "-a", str(of.data), str(self.data)], stderr=subprocess.DEVNULL, timeout=60, check=False)
            label = admin.value(f"SELECT labelfile FROM {end}")
        (self.data / "postmaster.pid").unlink()
        (self.data / "backup_label").write_text(label)
        (self.data / "standby.signal").touch()
        (self.data / "postgresql.auto.conf").write_text(f"primary_conninfo = 'host={of.folder} port={of.port} user=postgres'\n")
        for name in ("backup_label", "standby.signal", "postgresql.auto.conf"):
            give_away(self.data / name)

    def promote(self):
        self._run("pg_ctl", "promote", "-w", "-D", self.data)


def standby(story, of):
    pg = Standby(of)
    story.addCleanup(pg.__exit__)
    return pg.__enter__()


class Old:
    """A PostgreSQL that does not report what it is, as before version 14: a relay that leaves out two of its ParameterStatus messages."""

    HIDDEN = (b"in_hot_standby\0", b"default_transaction_read_only\0")

    def __init__(self, story, pg):
        self.to, self.ends = pg.address, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        story.addCleanup(self.stop)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        for each in (self.listener, *self.ends):
            with_shutdown(each)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.to, timeout=10)
            except OSError:
                return
            self.ends += [client, server]
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client, server):
        held = b""
        plain = True        # PostgreSQL answers an SSLRequest with one byte
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    data = client.recv(65536)
                    if not data:
                        break
                    if plain and data[4:8] == struct.pack("!i", wire.SSL_CODE):
                        client.sendall(b"N")
                        data = data[8:]
                    plain = False
                    server.sendall(data)
                if server in ready:
                    data = server.recv(65536)
                    if not data:
                        break
                    held += data
                    while len(held) >= 5 and len(held) > (size := struct.unpack("!i", held[1:5])[0]):
                        message, held = held[:size + 1], held[size + 1:]
                        if not (message[:1] == b"S" and message[5:].startswith(self.HIDDEN)):
                            client.sendall(message)
        except (OSError, ValueError):
            pass        # one of both, or the test, has ended
        with_shutdown(client)
        with_shutdown(server)


def with_shutdown(each):
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    each.close()


class Which_host_is_tried(Story):
    kinds = ("pgweir",)

    def hosts_take_turns_and_each_may_have_a_port_of_its_own(self):
        one, two = self.postgres(), self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "workers": 1}, databases={"app": hosts(one, two)})
        self.assertEqual({one.port: 2, two.port: 2}, {each: spread(pooler, 4).count(each) for each in (one.port, two.port)})
        row = next(row for row in pooler.show("DATABASES") if row["name"] == "app")
        self.assertEqual(("127.0.0.1,127.0.0.1", str(one.port), "round-robin"),
                         (row["host"], row["port"], row["load_balance_hosts"]))

    def a_host_that_is_down_costs_nobody_an_error(self):
        one, gone = self.postgres(), free_port()
        pooler = self.pooler(pg=one, settings=ROUND, databases={"app": hosts(gone, one)})
        self.assertEqual([one.port] * 6, spread(pooler, 6))
        pooler.await_log(f"connection to server at 127.0.0.1:{gone} failed: Connection refused; on to the next")

    def a_host_that_does_not_answer_leaves_time_for_the_next(self):
        one = self.postgres()
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(5)
            pooler = self.pooler(pg=one, settings={**ROUND, "server_connect_timeout": 1},
                                 databases={"app": hosts(deaf.getsockname()[1], one)})
            self.assertEqual([one.port] * 3, spread(pooler, 3))

    def who_stays_with_one_host_leaves_it_only_when_it_fails_and_so_do_all_workers(self):
        one, two = self.postgres(), self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "workers": 2},
                             databases={"app": hosts(one, two, more="load_balance_hosts=disable")})
        self.assertEqual([one.port] * 5, spread(pooler, 5))
        client = pooler.client()
        client.value("SELECT 1")
        one.stop(immediately=False)
        # Until its end is seen a server may still be lent, and costs whoever has it an error.
        wait_until("the end of each server is seen", lambda: not any(row["port"] == str(one.port) for row in pooler.show("SERVERS")))
        self.assertEqual([two.port] * 5, spread(pooler, 5))
        one.start()
        pooler.console().query("RECONNECT app")
        self.assertEqual([two.port] * 5, spread(pooler, 5), "it went back to the first")
        self.assertEqual(two.port, where(client))

    def a_refusal_that_is_the_same_everywhere_is_told_once(self):
        one, two = self.postgres(), self.postgres()
        pooler = self.pooler(pg=one, settings=ROUND, databases={"none": hosts(one, two).replace("dbname=app", "dbname=none")})
        with self.assertRaises(wire.Refused) as caught:
            pooler.client(database="none").query("SELECT 1")
        self.assertEqual("3D000", caught.exception.sqlstate)
        self.assertEqual(1, sum(each.log_path.read_text().count('database "none" does not exist') for each in (one, two)))

    def when_none_is_there_each_has_its_say(self):
        one, two = free_port(), free_port()
        pooler = self.pooler(settings=ROUND, databases={"app": hosts(one, two)})
        with self.assertRaises(wire.Refused) as caught:
            pooler.client().query("SELECT 1")
        self.assertEqual("08001", caught.exception.sqlstate)
        for port in (one, two):
            self.assertIn(f"127.0.0.1:{port}", str(caught.exception))

    def a_host_that_is_full_leaves_its_turn_to_the_other(self):
        one, two = self.postgres(max_connections=5), self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "monitor_interval": 0}, databases={"app": hosts(one, two)})
        found = spread(pooler, 6)
        self.assertEqual(6, len(found))
        self.assertGreaterEqual(found.count(two.port), 4, "five places, three of them reserved: two were to be had")


class What_a_list_may_say(Story):
    kinds = ("pgweir",)

    def ports_and_hosts_that_do_not_match_are_refused_at_reload(self):
        pooler = self.pooler()
        pooler.ini.write_text(pooler.ini_text().replace("[pgbouncer]", "odd = host=a,b,c port=1,2\n[pgbouncer]"))
        pooler.reload()
        pooler.await_log("a list of 2, but there are 3 hosts")
        self.assertEqual("1", pooler.client().value("SELECT 1"))


class Which_server_suits(Story):
    kinds = ("pgweir",)

    def each_target_takes_what_libpq_would_take(self):
        one = primary(self)
        two = standby(self, one)
        suits = {"any": {one.port, two.port}, "read-write": {one.port}, "primary": {one.port}, "read-only": {two.port},
                 "standby": {two.port}, "prefer-standby": {two.port}}
        old = [Old(self, one), Old(self, two)]
        for name, servers in (("new", (one, two)), ("old", (old[0].port, old[1].port))):
            pooler = self.pooler(pg=one, settings={**ROUND, "workers": 1}, databases={
                target: hosts(*servers, more=f"target_session_attrs={target}") for target in suits})
            for target, ports in suits.items():
                self.assertEqual(ports, set(spread(pooler, 4, database=target)), f"{name} servers, {target}")
            pooler.stop()

    def prefer_standby_takes_the_primary_where_there_is_no_standby(self):
        one, gone = self.postgres(), free_port()
        pooler = self.pooler(pg=one, settings=ROUND, databases={
            "app": hosts(gone, one, more="target_session_attrs=prefer-standby"),
            "strict": hosts(gone, one, more="target_session_attrs=standby")})
        self.assertEqual([one.port] * 3, spread(pooler, 3))
        self.refused(lambda: pooler.client(database="strict").query("SELECT 1"), sqlstate="08001",
                     says=f"server at 127.0.0.1:{one.port} is not in hot standby")

    def a_primary_that_became_read_only_is_left_when_a_client_meets_that(self):
        one, two = self.postgres(), self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "workers": 2}, databases={
            "app": hosts(one, two, more="load_balance_hosts=disable target_session_attrs=read-write")})
        clients = [pooler.client() for _ in range(4)]
        for pg in (one, two):
            with pg.admin("app") as admin:
                admin.query("CREATE TABLE t (a int); GRANT ALL ON t TO app")
        for client in clients:
            client.begin()
        self.assertEqual({one.port}, {where(client) for client in clients})
        for client in clients:
            client.query("ROLLBACK")
        with one.admin() as admin:
            admin.query("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.query("SELECT pg_reload_conf()")
        wait_until("it is read-only", lambda: one.value("SHOW default_transaction_read_only") == "on")

        def moved():
            try:
                clients[0].query("INSERT INTO t VALUES (1)")
            except wire.Refused as refusal:
                self.assertEqual("25006", refusal.sqlstate)
            return where(clients[0]) == two.port
        wait_until("writing has gone to the other", moved)
        wait_until("nobody is connected there any more", lambda: one.backends(user="app") == 0)
        for client in clients:
            self.assertEqual(two.port, where(client))
            client.query("INSERT INTO t VALUES (2)")
        pooler.await_log("is read-only now")

    def a_client_that_writes_in_a_read_only_transaction_moves_nobody(self):
        one = self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "default_pool_size": 1},
                             databases={"app": hosts(one, more="target_session_attrs=primary")})
        client = pooler.client()
        client.query("CREATE TABLE t (a int)")
        backend = client.value("SELECT pg_backend_pid()")
        for _ in range(3):
            client.query("BEGIN READ ONLY")
            self.refused(client.query, "INSERT INTO t VALUES (1)", sqlstate="25006")
            client.query("ROLLBACK")
            self.refused(client.query, "BEGIN READ ONLY; INSERT INTO t VALUES (1)", sqlstate="25006")
            client.query("ROLLBACK")
        self.assertEqual(backend, client.value("SELECT pg_backend_pid()"))

    def a_standby_that_is_promoted_is_left_by_who_wants_a_standby_and_told_to_who_logs_in(self):
        """Told also where nobody asks the server anything: a client that looks for a primary (target_session_attrs of libpq) leaves a standby at once."""
        if self.pg.major < 14:
            self.skipTest("a server does not report what it is before PostgreSQL 14")
        one = primary(self)
        two, three = standby(self, one), standby(self, one)
        pooler = self.pooler(pg=one, settings=ROUND, databases={
            "app": hosts(two, three, more="load_balance_hosts=disable target_session_attrs=standby")})
        either = [self.pooler(pg=two, called=called, settings=ROUND) for called in ("pgweir", "pgbouncer")]

        def told(pooler):
            with wire.Client(pooler.address) as client:
                return client.parameters["in_hot_standby"]
        client = pooler.client()
        self.assertEqual(two.port, where(client))
        self.assertEqual(["on"] * 4, [told(pooler) for pooler in either * 2])
        # Nobody waits for a server to be asked anew, however long ago it was.
        with either[0].console() as console:
            console.query("PAUSE")
            ends = time.monotonic() + 3
            while time.monotonic() < ends:
                self.assertEqual("on", told(either[0]))
            console.query("RESUME")
        two.promote()
        wait_until("the other standby serves", lambda: where(client) == three.port)
        for pooler in either:
            wait_until("it is told", lambda pooler=pooler: told(pooler) == "off")
            self.assertEqual("off", told(pooler))


class Writer(threading.Thread):
    """Writes rows one by one, each a transaction of its own; after an error it logs in again, as an application does."""

    def __init__(self, pooler, name, ending):
        super().__init__(daemon=True)
        self.pooler, self.number, self.ending = pooler, name, ending
        self.written, self.errors, self.login_errors, self.times = [], [], [], []
        self.client = pooler.client(timeout=60)

    def run(self):
        row = 0
        while not self.ending.is_set():
            try:
                if self.client is None:
                    self.client = wire.Client(self.pooler.address, timeout=60)
            except (wire.Refused, wire.Closed, wire.Late, OSError) as failure:
                self.login_errors.append(str(failure))
                return
            row += 1
            try:
                self.client.query(f"INSERT INTO written VALUES ({self.number}, {row})", timeout=60)
                self.written.append(row)
                self.times.append(time.monotonic())
            except (wire.Refused, wire.Closed, OSError) as failure:
                self.errors.append(getattr(failure, "sqlstate", "closed"))
                self.client.close()
                self.client = None


class Failover(Story):
    kinds = ("pgweir",)

    def _fail_over(self, how, attrs="target_session_attrs=primary"):
        one = primary(self)
        with one.admin("app") as admin:
            admin.query("CREATE TABLE written (writer int, row int); GRANT ALL ON written TO PUBLIC")
        two = standby(self, one)
        pooler = self.pooler(pg=one, settings={**ROUND, "query_wait_timeout": 60, "default_pool_size": 8, "workers": 2},
                             databases={"app": hosts(one, two, more=attrs)})
        ending = threading.Event()
        writers = [Writer(pooler, number, ending) for number in range(6)]
        quiet = [pooler.client(timeout=60) for _ in range(12)]
        for client in quiet:
            self.assertEqual(one.port, where(client))
        in_transaction = pooler.client(timeout=60)
        in_transaction.begin()
        in_transaction.query("INSERT INTO written VALUES (-1, 1)")
        for writer in writers:
            writer.start()
        wait_until("all of them write", lambda: all(len(writer.written) > 20 for writer in writers))
        wait_until("the standby has it all", lambda: two.value(
            "SELECT count(*) > 0 FROM written", "app") == "t")

        down = time.monotonic()
        one.process.send_signal(how)
        one.process.wait(60)
        # Nobody is primary now. Those who were not in a transaction ask, one after the other, and so does a newcomer.
        answers = []

        def ask(client, number, **as_whom):
            try:
                client = client or wire.Client(pooler.address, timeout=60, **as_whom)
                client.query(f"INSERT INTO written VALUES (100, {number})", timeout=60)
                answers.append(where(client))
            except (wire.Refused, wire.Closed, wire.Late) as failure:
                answers.append(str(failure))
        askers = [threading.Thread(target=ask, args=(client, number), daemon=True)
                  for number, client in enumerate([*quiet, None, None])]
        # One of them is a user who was never here before.
        askers.append(threading.Thread(target=lambda: ask(None, 100, user="other"), daemon=True))
        for asker in askers:
            asker.start()
        wait_until("they wait", lambda: (pooler.pool() or {}).get("cl_waiting", 0) >= len(askers) - 1)
        pooler.await_log("is in hot standby")
        self.assertEqual([], answers)
        promoted = time.monotonic()
        two.promote()
        for asker in askers:
            asker.join(60 * wire.PATIENCE)
        self.assertEqual([two.port] * len(askers), answers, "who was in no transaction noticed it")
        wait_until("all of them write again", lambda: all(
            writer.times and writer.times[-1] > promoted for writer in writers))
        first = min(at for writer in writers for at in writer.times if at > promoted)
        ending.set()
        for writer in writers:
            writer.join(60 * wire.PATIENCE)
        print(f"# failover ({how.name}): first write {first - promoted:.2f} s after the promotion began, {first - down:.2f} s after the"
              f" primary was told to end; {sum(len(writer.errors) for writer in writers)} statements of {len(writers)} busy writers were"
              " under way and failed", flush=True)
        # Who tries again at once may be lent one whose end is still to come: each that is lost costs one statement at most.
        self.assertLessEqual(sum(len(writer.errors) for writer in writers), 8, "more failed than was under way")
        for writer in writers:
            self.assertEqual([], writer.login_errors)
            self.assertLessEqual(set(writer.errors), {"57P01", "57P02", "08006", "closed"},
                                 "the errors are others than those of a lost connection")
        with self.assertRaises((wire.Refused, wire.Closed)):
            in_transaction.query("COMMIT")
        self.assertEqual("0", two.value("SELECT count(*) FROM written WHERE writer = -1", "app"))
        return two, writers

    @takes(150)
    def a_primary_that_is_shut_down_costs_only_what_was_under_way(self):
        two, writers = self._fail_over(signal.SIGINT)
        # A primary that shuts down sends everything to its standbys first.
        for writer in writers:
            with two.admin("app") as admin:
                kept = {int(row[0]) for row in admin.query(f"SELECT row FROM written WHERE writer = {writer.number}").rows}
            self.assertLessEqual(set(writer.written), kept, "an answered write is not there")

    @takes(150)
    def a_primary_that_crashes_costs_only_what_was_under_way(self):
        self._fail_over(signal.SIGQUIT)


class Names(Story):
    """Host names and their addresses: whoever may be asked for them, and what he answers."""
    kinds = ("pgweir",)

    def _cluster(self, address, port=None):
        """One that listens at this address, so that two may have one port."""
        pg = Postgres(listen_addresses=address)
        if port:
            pg.port, pg.socket_path = port, str(pg.folder / f".s.PGSQL.{port}")
        self.addCleanup(pg.__exit__)
        return pg.__enter__()

    def _named(self, server, port, settings=None, name="db.weir.test"):
        self.addCleanup(server.stop)
        return self.pooler(settings={**ROUND, "resolv_conf": "resolv.conf", "monitor_interval": 0, **(settings or {})},
                           databases={"app": f"host={name} port={port} dbname=app"}, files={"resolv.conf": server.resolv_conf()})

    @staticmethod
    def _at(client):
        return client.value("SELECT host(inet_server_addr())")

    def a_name_that_moves_takes_its_connections_along(self):
        one = self._cluster("127.0.0.2")
        two = self._cluster("127.0.0.3", one.port)
        server = NameServer({"db.weir.test": ["127.0.0.2"]}, ttl=1)
        pooler = self._named(server, one.port)
        held, free = pooler.client(), pooler.client()
        held.begin()
        self.assertEqual(("127.0.0.2", "127.0.0.2"), (self._at(held), self._at(free)))
        row, = pooler.show("DNS_HOSTS")
        self.assertEqual(("db.weir.test", "127.0.0.2"), (row["hostname"], row["addrs"]))
        server.hosts["db.weir.test"] = ["127.0.0.3"]
        # Nobody asks for a connection meanwhile: it is noticed all the same.
        wait_until("what was free is closed", lambda: one.backends(user="app") == 1)
        self.assertEqual("127.0.0.3", self._at(free))
        self.assertEqual("127.0.0.2", self._at(held), "a transaction was cut off")
        held.query("COMMIT")
        wait_until("the other is closed too", lambda: one.backends(user="app") == 0)
        self.assertEqual("127.0.0.3", self._at(held))
        pooler.await_log('"db.weir.test" has no longer the address 127.0.0.2')
        self.assertEqual("127.0.0.3", pooler.show("DNS_HOSTS")[0]["addrs"])
        self.assertGreaterEqual(two.backends(user="app"), 1)

    def a_new_serial_number_of_a_zone_is_enough_to_look_again(self):
        one = self._cluster("127.0.0.2")
        self._cluster("127.0.0.3", one.port)
        server = NameServer({"db.weir.test": ["127.0.0.2"]}, ttl=3600, serials={"weir.test": 41})
        pooler = self._named(server, one.port, settings={"dns_max_ttl": 3600, "dns_zone_check_period": "0.2"})
        client = pooler.client()
        self.assertEqual("127.0.0.2", self._at(client))
        wait_until("the serial number is known", lambda: [
            ("weir.test", "41", "1")] == [(row["zonename"], row["serial"], row["count"]) for row in pooler.show("DNS_ZONES")])
        server.hosts["db.weir.test"] = ["127.0.0.3"]
        server.serials["weir.test"] = 42
        wait_until("it has moved", lambda: self._at(client) == "127.0.0.3")
        self.assertEqual("42", pooler.show("DNS_ZONES")[0]["serial"])

    def several_addresses_take_turns_and_one_that_is_dead_is_passed_over(self):
        one = self._cluster("127.0.0.2")
        self._cluster("127.0.0.3", one.port)
        server = NameServer({"db.weir.test": ["127.0.0.2", "127.0.0.3", "127.0.0.9"]}, ttl=60)
        pooler = self._named(server, one.port)
        clients = [pooler.client() for _ in range(6)]
        for client in clients:
            client.begin()
        found = [self._at(client) for client in clients]
        self.assertEqual({"127.0.0.2", "127.0.0.3"}, set(found))

    def an_answer_is_kept_and_so_is_that_there_is_none(self):
        one = self._cluster("127.0.0.2")
        server = NameServer({"db.weir.test": ["127.0.0.2"]}, ttl=3600)
        pooler = self._named(server, one.port, settings={"dns_max_ttl": 3600, "dns_nxdomain_ttl": 3600, "server_login_retry": 0})
        clients = [pooler.client() for _ in range(4)]
        for client in clients:
            client.begin()
            self._at(client)
        self.assertEqual(2, server.times_asked("db.weir.test"), "one question for each family")
        pooler.databases["none"] = f"host=none.weir.test port={one.port} dbname=app"
        pooler.write_files()
        pooler.reload()
        wait_until("the reload is over", lambda: any(row["name"] == "none" for row in pooler.show("DATABASES")))
        for _ in range(3):
            self.refused(lambda: pooler.client(database="none").query("SELECT 1"), sqlstate="08001", says="none.weir.test")
        self.assertLessEqual(server.times_asked("none.weir.test"), 2)

    def a_name_server_that_is_gone_takes_nobody_along(self):
        one = self._cluster("127.0.0.2")
        server = NameServer({"db.weir.test": ["127.0.0.2"]}, ttl=1)
        pooler = self._named(server, one.port, settings={"dns_max_ttl": 1})
        self.assertEqual("127.0.0.2", self._at(pooler.client()))
        server.spoil = lambda answer: []
        wait_until("what is known is old", lambda: pooler.show("DNS_HOSTS")[0]["ttl"] == "0")
        pooler.console().query("RECONNECT app")
        self.assertEqual("127.0.0.2", self._at(pooler.client()))

    def a_file_of_name_servers_that_changes_is_read_again(self):
        """As when a machine moves to another network, or starts before it has one; whoever writes it puts a new file in its place, or writes into the old one."""
        one = self._cluster("127.0.0.2")
        other = NameServer({"db.weir.test": ["127.0.0.2"]}, ttl=3600)
        self.addCleanup(other.stop)
        pooler = self._named(NameServer({}), one.port, settings={"dns_max_ttl": 3600, "dns_nxdomain_ttl": 3600, "server_login_retry": 0})
        file = pooler.folder / "resolv.conf"

        def served():
            try:
                with wire.Client(pooler.address) as client:
                    return self._at(client) == "127.0.0.2"
            except (wire.Refused, wire.Closed):
                return False
        self.assertFalse(served())
        new = pooler.folder / "new"
        new.write_text(other.resolv_conf())
        give_away(new)
        new.rename(file)
        wait_until("the other name server is asked", served)
        file.unlink()
        file.write_text("nameserver 127.0.0.1:1\n")
        file.write_text(other.resolv_conf())
        give_away(file)
        asked = other.times_asked("db.weir.test")
        pooler.console().query("RECONNECT app")
        wait_until("it is asked again", lambda: served() and other.times_asked("db.weir.test") > asked)

    @takes(120)
    def what_a_hostile_name_server_says_is_bounded(self):
        one = self._cluster("127.0.0.2")
        server = NameServer({"db.weir.test": ["127.0.0.2"] + [f"127.1.0.{n}" for n in range(1, 28)]}, ttl=2 ** 31 - 1)
        pooler = self._named(server, one.port, settings={"dns_max_ttl": 1, "server_connect_timeout": 2})
        spoils = (lambda answer: answer[:20], lambda answer: b"\xff" * 400, lambda answer: answer[:2] + b"\x85\x80\xff\xff\xff\xff" + answer[8:],
                  lambda answer: answer[:12] + b"\xc0\x0c" * 20, lambda answer: answer + b"\0" * 3000, lambda answer: b"",
                  lambda answer: bytes([answer[0] ^ 1]) + answer[1:])
        wait_until("somebody is served", lambda: self._at(pooler.client()) == "127.0.0.2", timeout=40)
        self.assertLessEqual(len(pooler.show("DNS_HOSTS")[0]["addrs"].split(",")), 16)
        # The same in another order: there are more than are known, but none was lost.
        server.hosts["db.weir.test"].reverse()
        asked = server.times_asked("db.weir.test")
        wait_until("what is known is old", lambda: pooler.show("DNS_HOSTS")[0]["ttl"] == "0")
        for command in ("RELOAD", "RECONNECT app"):
            pooler.console().query(command)
        self.assertEqual("127.0.0.2", self._at(pooler.client()))
        self.assertGreater(server.times_asked("db.weir.test"), asked)
        self.assertNotIn("has no longer the address", pooler.log())
        turn = itertools.count()

        def spoil(answer):
            first = next(turn) % len(spoils)
            return [each(answer) for each in spoils[first:] + spoils[:first]]
        server.spoil = spoil
        asked = server.times_asked("db.weir.test")
        wait_until("it was asked again and again", lambda: server.times_asked("db.weir.test") > asked + 3, timeout=50)
        server.spoil = None
        pooler.console().query("RECONNECT app")
        self.assertEqual("127.0.0.2", self._at(pooler.client()))

    def hosts_of_the_system_s_file_come_first(self):
        server = NameServer({}, ttl=1)
        pooler = self._named(server, self.pg.port, name="localhost")
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        self.assertEqual(0, server.times_asked("localhost"))
