"""Several processes behind one port: a cancel that comes in at one of them ends what runs at another."""
import os
import signal
import socket
import struct
import subprocess
import threading

import wire
from harness import Pooler, Story, free_port, wait_until
from wire import Client, cancel_request, query

SLEEP = "SELECT pg_sleep(50)"
HOPS = 3


def peer_of(client):
    """Which process a key names: its second and third byte, the lower one first."""
    return client.pid >> 16 & 0xFF | client.pid & 0xFF00


def with_hops(secret, hops):
    return secret[:3] + bytes([secret[3] & ~HOPS | hops]) + secret[4:]


def cancel_at(pooler, pid, secret):
    """Bring it to this process, and wait for the end that says that it was delivered."""
    with Client(pooler.socket_path, login=False) as carrier:
        carrier.send(cancel_request(pid, secret))
        return carrier.expect_closed()


class Peers(Story):
    kinds = ("pgweir",)

    def _group(self, count=3, start=True, databases=None, **settings):
        """Processes with the ids 1, 2, ... on one port, each with a unix socket of its own."""
        port = free_port()
        group = [self.keep(Pooler(port=port, databases=databases, settings={
            "peer_id": 1 + number, "so_reuseport": 1, "workers": 2, **settings})) for number in range(count)]
        for pooler in group:
            pooler.peers = {1 + number: f"host={other.folder} port={port}" for number, other in enumerate(group)}
            if start:
                pooler.start()
        return group

    def _sleeper(self, pooler, **options):
        client = Client(pooler.socket_path, **options)
        self.addCleanup(client.close)
        client.query("SELECT 1")
        mine = f"{SLEEP} -- of {client.pid}"        # others sleep too, and some whose pooler has ended
        client.send(query(mine))
        wait_until("it sleeps", lambda: self.pg.backends("app", extra=f"AND query = '{mine}' AND state = 'active'") == 1)
        return client

    def _asleep(self):
        return self.pg.backends("app", extra="AND query LIKE '%pg_sleep%' AND state = 'active'")

    def _is_cancelled(self, client):
        self.assertEqual("57014", client.reply().error.sqlstate)
        self.assertEqual("1", client.value("SELECT 1"))

    def _from_everywhere(self, group, **options):
        for owner in group:
            for carrier in group:
                client = self._sleeper(owner, **options)
                self.assertEqual(int(owner.settings["peer_id"]), peer_of(client))
                self.assertEqual([], cancel_at(carrier, client.pid, client.secret))
                self._is_cancelled(client)
                client.close()

    # Where it arrives

    def a_cancel_ends_its_query_wherever_it_comes_in(self):
        group = self._group()
        self._from_everywhere(group)
        for pooler in group:
            mine = int(pooler.settings["peer_id"])
            with Client(pooler.socket_path, user="admin", database="pgbouncer") as console:
                pools = console.query("SHOW PEER_POOLS")
                self.assertEqual(["peer_id", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_login"],
                                 pools.names)
                self.assertEqual({str(id) for id in (1, 2, 3) if id != mine}, {row["peer_id"] for row in pools.dicts()})
                self.assertEqual({"0"}, {value for row in pools.rows for value in row[1:]})
                lists = {row["list"]: row["items"] for row in console.query("SHOW LISTS").dicts()}
                self.assertEqual(("3", "2"), (lists["peers"], lists["peer_pools"]))

    def so_it_is_with_the_long_keys_of_protocol_3_2(self):
        group = self._group(2)
        client = self._sleeper(group[0], version=wire.PROTOCOL_3_2)
        self.assertEqual(16, len(client.secret))
        cancel_at(group[1], client.pid, client.secret[:-1] + bytes([client.secret[-1] ^ 1]))
        cancel_at(group[1], client.pid, client.secret[:4])
        self.assertEqual(1, self._asleep())
        cancel_at(group[1], client.pid, client.secret)
        self._is_cancelled(client)

    def so_it_is_in_session_mode(self):
        self._from_everywhere(self._group(2, pool_mode="session"))

    def whoever_waits_for_a_server_is_cancelled_too(self):
        group = self._group(2, default_pool_size=1)
        holder = self._sleeper(group[0])
        waiter = Client(group[0].socket_path)
        self.addCleanup(waiter.close)
        waiter.send(query("SELECT 'late'"))
        wait_until("it waits", lambda: self._clients(group[0]).get("waiting") == 1)
        cancel_at(group[1], waiter.pid, waiter.secret)
        self.assertEqual("57014", waiter.reply().error.sqlstate)
        cancel_at(group[1], holder.pid, holder.secret)
        self._is_cancelled(holder)

    def _clients(self, pooler):
        with Client(pooler.socket_path, user="admin", database="pgbouncer") as console:
            states = [row["state"] for row in console.query("SHOW CLIENTS").dicts() if row["user"] == "app"]
        return {state: states.count(state) for state in states}

    def a_wrong_key_does_nothing(self):
        group = self._group(2)
        client = self._sleeper(group[0])
        for pid, secret in ((client.pid, bytes([client.secret[0] ^ 1]) + client.secret[1:]),
                            (client.pid ^ 1, client.secret), (client.pid ^ 1 << 24, client.secret),
                            (client.pid, client.secret + b"\0" * 28), (1, client.secret),
                            (client.pid & 0xFF000000 | 0x3F3FFF, client.secret), (client.pid, b"\0\0\0\0")):
            for pooler in group:
                self.assertEqual([], cancel_at(pooler, pid, secret))
        self.assertEqual(1, self._asleep())
        # How often it may still be passed on proves nothing, and is not asked where it belongs.
        cancel_at(group[0], client.pid, with_hops(client.secret, 0))
        self._is_cancelled(client)

    def notifications_name_their_client_as_its_key_does(self):
        pooler, = self._group(1)
        client = Client(pooler.socket_path)
        self.addCleanup(client.close)
        client.query("LISTEN here")
        client.query("NOTIFY here, 'mine'")
        wait_until("it is heard", lambda: client.simple("SELECT 1") and client.notifications)
        self.assertIn(client.pid, [struct.unpack_from("!I", each)[0] if isinstance(each, bytes) else each[0]
                                   for each in client.notifications])

    # Real drivers, by the common port

    def _environment(self, pooler):
        return {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(pooler.port), "PGUSER": "app", "PGDATABASE": "app"}

    def psycopg_cancels_by_the_common_port(self):
        import psycopg2
        group = self._group()
        owners = set()
        for _ in range(30):
            connection = psycopg2.connect(host="127.0.0.1", port=group[0].port, user="app", dbname="app")
            owners.add(connection.get_backend_pid() >> 16 & 0xFF)
            connection.autocommit = True
            failed = []

            def run():
                try:
                    connection.cursor().execute(SLEEP)
                except psycopg2.errors.QueryCanceled:
                    failed.append(True)
            thread = threading.Thread(target=run)
            thread.start()
            try:
                wait_until("it sleeps", lambda: self._asleep() == 1)
                connection.cancel()
            finally:
                thread.join(30 * wire.PATIENCE)
            self.assertEqual([True], failed)
            connection.close()
        self.assertLessEqual(owners, {1, 2, 3})
        passed = [pooler for pooler in group if self._console(pooler, "PEER_POOLS")]
        self.assertTrue(passed, "all came in where they belong")
        self.assertGreater(len(owners), 1)

    def _console(self, pooler, what):
        with Client(pooler.socket_path, user="admin", database="pgbouncer") as console:
            return console.query(f"SHOW {what}").dicts()

    def psql_cancels_by_the_common_port(self):
        group = self._group(2)
        for _ in range(8):
            process = subprocess.Popen(["psql", "-XAt", "-c", SLEEP], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       env=self._environment(group[0]), stdin=subprocess.DEVNULL)
            try:
                wait_until("it sleeps", lambda: self._asleep() == 1)
                process.send_signal(signal.SIGINT)
                said, _ = process.communicate(timeout=20 * wire.PATIENCE)
            finally:
                process.kill()
                process.wait(5)
            self.assertIn("canceling statement due to user request", said.decode())

    # What is under way

    def _stand_in(self, pooler, id):
        """A peer that this test plays, by the unix socket of a folder of its own."""
        folder = self.own_folder()
        folder.chmod(0o755)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(f"{folder}/.s.PGSQL.6432")
        os.chmod(f"{folder}/.s.PGSQL.6432", 0o777)
        listener.listen(64)
        listener.settimeout(15 * wire.PATIENCE)
        pooler.peers[id] = f"host={folder}"
        return listener

    def what_is_sent_to_a_peer_is_the_key_with_one_hop_less(self):
        """As PgBouncer has it: a length of 16, the code, and the eight bytes of the key."""
        pooler, = self._group(1, start=False)
        listener = self._stand_in(pooler, 0x1234)
        pooler.start()
        for hops in (3, 2, 1):
            secret = b"\xaa\xbb\xcc" + bytes([0xdc | hops])
            carrier = Client(pooler.socket_path, login=False)
            carrier.send(cancel_request(0x77341288, secret))
            peer, _ = listener.accept()
            peer.settimeout(15 * wire.PATIENCE)
            self.assertEqual(struct.pack("!IIBBBB", 16, 80877102, 0x77, 0x34, 0x12, 0x88) + with_hops(secret, hops - 1),
                             peer.recv(100))
            self.assertFalse(carrier.readable(), "it was let go before its request was delivered")
            peer.close()
            self.assertEqual([], carrier.expect_closed())
            carrier.close()
        cancel_at(pooler, 0x77341288, b"\xaa\xbb\xcc\xdc")
        listener.setblocking(False)
        self.assertRaises(BlockingIOError, listener.accept)
        pooler.await_log("passed on too often")

    def one_connection_brings_one_request(self):
        """Else a stranger with one of them fills what a peer's requests may wait in."""
        pooler, = self._group(1, start=False)
        listener = self._stand_in(pooler, 9)
        pooler.start()
        with Client(pooler.socket_path, login=False) as carrier:
            carrier.send(b"".join(cancel_request(9 << 16, bytes([number, 0, 0, 3])) for number in range(50)))
            peer, _ = listener.accept()
            wait_until("it is said", lambda: [tuple(row.values()) for row in self._console(pooler, "PEER_POOLS")] == [("9", "1", "0", "1", "0")])
            peer.close()
            self.assertEqual([], carrier.expect_closed())
        listener.setblocking(False)
        self.assertRaises(BlockingIOError, listener.accept)

    def no_more_than_pool_size_are_under_way_and_the_others_wait(self):
        pooler, = self._group(1, start=False, cancel_wait_timeout=60)
        listener = self._stand_in(pooler, 9)
        pooler.peers[9] += " pool_size=2"
        pooler.start()
        carriers = []
        for number in range(5):
            carriers.append(Client(pooler.socket_path, login=False))
            self.addCleanup(carriers[-1].close)
            carriers[-1].send(cancel_request(9 << 16, bytes([number, 0, 0, 3])))
        pool = lambda: [tuple(row.values()) for row in self._console(pooler, "PEER_POOLS")]
        wait_until("two are said, three wait", lambda: pool() == [("9", "2", "3", "2", "0")])
        accepted = [listener.accept()[0] for _ in range(2)]
        listener.setblocking(False)
        self.assertRaises(BlockingIOError, listener.accept)
        listener.settimeout(15 * wire.PATIENCE)
        for _ in range(3):                                  # each that is done makes room for one
            accepted.pop(0).close()
            accepted.append(listener.accept()[0])
        for peer in accepted:
            peer.close()
        for carrier in carriers:
            self.assertEqual([], carrier.expect_closed())
        wait_until("nothing is left", lambda: pool() == [("9", "0", "0", "0", "0")])

    def a_peer_that_does_not_answer_is_waited_for_no_longer_than_cancel_wait_timeout(self):
        pooler, = self._group(1, start=False, cancel_wait_timeout=1)
        self._stand_in(pooler, 9)
        pooler.peers[9] += " pool_size=1"
        pooler.start()
        calls = [lambda: cancel_at(pooler, 9 << 16, b"\0\0\0\3") for _ in range(3)]
        self.assertEqual([[], [], []], self.together(*calls))
        pooler.await_log("peer 9: cancel_wait_timeout is over")

    # Peers that come and go

    def a_peer_that_is_down_holds_nobody_up(self):
        group = self._group(2)
        client = self._sleeper(group[0])
        far = self._sleeper(group[1])
        group[1].stop()
        self.assertEqual([], cancel_at(group[0], far.pid, far.secret))
        group[0].await_log("a cancel request could not be passed on to peer 2")
        cancel_at(group[0], client.pid, client.secret)
        self._is_cancelled(client)
        group[1].log_path.unlink()
        group[1].start()
        again = self._sleeper(group[1])
        cancel_at(group[0], again.pid, again.secret)
        self._is_cancelled(again)

    def a_peer_that_drains_still_gets_its_cancels(self):
        group = self._group(2)
        client = self._sleeper(group[0])
        group[0].process.send_signal(signal.SIGTERM)
        wait_until("the port is the other's alone", lambda: self._ports(group) == {"2"})
        with Client(group[1].address, login=False) as carrier:
            carrier.send(cancel_request(client.pid, client.secret))
            self.assertEqual([], carrier.expect_closed())
        self._is_cancelled(client)
        client.close()
        self.assertEqual(0, group[0].wait())

    def _ports(self, group):
        """Which of them are reached by the port, in a dozen tries. Who came just before one of them began to drain is
        refused by it.
        """
        found = set()
        for _ in range(12):
            try:
                with Client(group[0].address) as client:
                    found.add(str(peer_of(client)))
            except (wire.Closed, wire.Refused, OSError):
                found.add("none")
        return found

    def a_circle_of_peers_ends(self):
        """Both say that peer 7 is the other."""
        group = self._group(2, start=False)
        for pooler, other in zip(group, reversed(group)):
            pooler.peers[7] = pooler.peers[int(other.settings["peer_id"])]
            pooler.start()
        self.assertEqual([], cancel_at(group[0], 7 << 16, b"\1\2\3\3"))
        lines = lambda words: sum(pooler.log().count(words) for pooler in group)
        wait_until("its end is logged", lambda: lines("passed on too often") == 1)
        # It came in once, and was passed on three times.
        wait_until("all that carried it are closed", lambda: lines("closing because: cancel request") == 1 + HOPS)

    def reload_changes_the_peers(self):
        group = self._group(2)
        far = self._sleeper(group[1])
        peers, group[0].peers = group[0].peers, {}
        self._reload(group[0])
        self.assertEqual([], self._console(group[0], "PEERS"))
        self.assertEqual([], cancel_at(group[0], far.pid, far.secret))
        self.assertEqual(1, self._asleep())
        group[0].peers = {2: peers[2] + " pool_size=3", 5: "host=db.weir.test"}
        self._reload(group[0])
        self.assertEqual([("2", str(group[1].folder), str(group[1].port), "3"), ("5", "db.weir.test", "6432", "5")],
                         [tuple(row.values()) for row in self._console(group[0], "PEERS")])
        cancel_at(group[0], far.pid, far.secret)
        self._is_cancelled(far)

    def a_new_peer_id_is_for_new_clients(self):
        group = self._group(2)
        old = self._sleeper(group[0])
        group[0].settings["peer_id"] = 3
        group[1].peers[3] = group[1].peers[1]
        for pooler in group:
            self._reload(pooler)
        new = Client(group[0].socket_path)
        self.addCleanup(new.close)
        self.assertEqual((1, 3), (peer_of(old), peer_of(new)))
        cancel_at(group[1], old.pid, old.secret)          # peer 1 still leads there, and its seat is still taken
        self._is_cancelled(old)
        new.send(query(SLEEP))
        wait_until("it sleeps", lambda: self._asleep() == 1)
        cancel_at(group[1], new.pid, new.secret)
        self._is_cancelled(new)

    def _reload(self, pooler):
        pooler.write_files()
        with Client(pooler.socket_path, user="admin", database="pgbouncer") as console:
            console.query("RELOAD")

    # The port

    def without_so_reuseport_the_port_is_one_process_own(self):
        first, = self._group(1)
        second = self.keep(Pooler(port=first.port))
        second.launch()
        self.assertEqual(1, second.wait())
        second.await_log("address in use")
