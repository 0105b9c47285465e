"""The edge of a connection: what is asked before a login, what a startup packet may say, limits of time that meet what is ours, an end
of one direction alone. What PostgreSQL does is asked of it too."""
import socket
import struct

import wire
from harness import Story, live, on, wait_until
from wire import Client, query


class Limits_of_time(Story):
    """Those that a client has set are in force when its server is asked what is left, and until the next one's are set. A lock makes that slow."""

    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.pg = self.postgres()
        self.admin = self.pg.admin("app")
        self.addCleanup(self.admin.close)

    def _hold_functions(self):
        """No set_config before the end of this transaction."""
        self.admin.query("ALTER FUNCTION pg_catalog.set_config(text, text, boolean) COST 1")
        self.admin.query("BEGIN; LOCK pg_proc IN ACCESS EXCLUSIVE MODE")

    def _await_rest(self, pooler):
        wait_until("its server is free", lambda: pooler.pool()["sv_idle"] == 1)

    def a_short_one_ends_nobody_but_who_has_set_it(self):
        for limit in ("statement_timeout", "lock_timeout"):
            with self.subTest(limit):
                pooler = self.pooler(pg=self.pg, settings={"default_pool_size": 1, "workers": 1})
                hasty, other = pooler.client(), pooler.client(parameters={"work_mem": "5MB"})
                self.assertEqual("5MB", other.value("SHOW work_mem"))
                hasty.query(f"SET {limit} = '50ms'")
                self._await_rest(pooler)
                self._hold_functions()
                other.send(query("SHOW work_mem"))
                pooler.await_log("a short limit of its last client's could not be lifted")
                self.admin.query("COMMIT")
                self.assertEqual("5MB", other.reply().value)
                self.assertEqual("0", other.value(f"SHOW {limit}"))
                self.assertEqual("50ms", hasty.value(f"SHOW {limit}"))
                pooler.stop()

    def a_short_one_of_anothers_refuses_no_login(self):
        pooler = self.pooler(pg=self.pg, settings={"default_pool_size": 1, "workers": 1})
        hasty = pooler.client(parameters={"statement_timeout": "50ms"})
        hasty.query("SELECT 1")
        self._await_rest(pooler)
        self._hold_functions()
        with Client(pooler.address, login=False) as newcomer:
            newcomer.send(wire.startup({"user": "app", "database": "app", "work_mem": "7MB"}))
            pooler.await_log("a short limit of its last client's could not be lifted")
            self.admin.query("COMMIT")
            newcomer.finish_login("app")
            self.assertEqual("7MB", newcomer.value("SHOW work_mem"))

    def it_is_lifted_and_set_again_as_clients_change(self):
        pooler = self.pooler(pg=self.pg, settings={"default_pool_size": 1, "workers": 1})
        clients = [pooler.client(parameters=parameters) for parameters in (
            {"statement_timeout": "300ms"}, {}, {"lock_timeout": "1s", "application_name": "two"}, {"statement_timeout": "300ms", "lock_timeout": "9s"})]
        for _ in range(3):
            self.assertEqual([("300ms", "0"), ("0", "0"), ("0", "1s"), ("300ms", "9s")], [
                client.query("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')").rows[0] for client in clients])
        self.assertEqual("1", str(self.pg.backends()))
        self.assertNotIn("WARNING S-", pooler.log())

    def a_question_that_failed_is_asked_again_while_its_client_rests(self):
        for limit in ("statement_timeout", "lock_timeout"):
            with self.subTest(limit):
                pooler = self.pooler(pg=self.pg, settings={"default_pool_size": 1, "workers": 1})
                hasty, other = pooler.client(parameters={limit: "50ms"}), pooler.client()
                self.admin.query("BEGIN; LOCK pg_settings IN ACCESS EXCLUSIVE MODE")
                hasty.query("SET work_mem = '6MB'")
                wait_until("it is kept", lambda: [row["reason"] for row in pooler.show("PINS")] == ["the server could not be asked what is left"])
                self.admin.query("COMMIT")
                self.assertEqual("4MB", other.value("SHOW work_mem"))
                self.assertEqual([], pooler.show("PINS"))
                self.assertEqual("6MB", hasty.value("SHOW work_mem"))
                pooler.stop()


class Requests_for_encryption(Story):
    kinds = ("pgweir", "direct")

    def each_kind_is_declined_once(self):
        """In either order; PostgreSQL without TLS, and by its unix socket, which no kind can encrypt."""
        address = self.pooler().socket_path
        ssl, gss = wire.special(wire.SSL_CODE), wire.special(wire.GSSENC_CODE)
        for requests in ((ssl,), (gss,), (ssl, gss), (gss, ssl)):
            with Client(address, login=False) as client:
                for request in requests:
                    client.send(request)
                    self.assertEqual(b"N", client.read_bytes(1))
                client.login("app", "app")
                self.assertEqual("1", client.value("SELECT 1"))
            with Client(address, login=False) as client:
                for request in requests:
                    client.send(request)
                    self.assertEqual(b"N", client.read_bytes(1))
                client.send(requests[0])
                error, = client.expect_closed()
                self.assertEqual("0A000", error.sqlstate)
                self.assertIn("unsupported frontend protocol 1234.56", error.message)


class Startup_packets(Story):
    kinds = ("pgweir", "direct")

    def of_several_options_the_last_counts(self):
        address = self.pooler().address
        packet = wire.startup({"user": "app", "database": "app", "options": "-c work_mem=3MB"})
        packet = packet[:-1] + wire.text("options") + wire.text("-c search_path=elsewhere") + b"\0"
        with Client(address, login=False) as client:
            client.send(struct.pack("!i", len(packet)) + packet[4:])
            client.finish_login("app")
            self.assertEqual(("4MB", "elsewhere"), (client.value("SHOW work_mem"), client.value("SHOW search_path")))

    def every_option_of_the_protocol_that_is_not_known_is_named(self):
        """A client would take the others for granted."""
        names = [f"_pq_.option_{number}_{'x' * 60}" for number in range(90)]
        with self.pooler().client(parameters={name: "1" for name in names}) as client:
            self.assertEqual(names, client.negotiated[1])
            self.assertEqual("1", client.value("SELECT 1"))

    def replication_wants_a_value(self):
        pooler = self.pooler()
        for value in ("", "o", "Database", " on"):
            error = self.refused(Client, pooler.address, parameters={"replication": value}, sqlstate="22023",
                                 says=f'invalid value for parameter "replication": "{value}"')
            self.assertEqual('Valid values are: "false", 0, "true", 1, "database".', error.hint)

    def the_longest_packet_has_ten_thousand_bytes_behind_its_length(self):
        address = self.pooler().address
        parameters = {"user": "app", "database": "app", "work_mem": "0" * 400 + "3MB", "search_path": ""}
        parameters["search_path"] = "s" * (10004 - len(wire.startup(parameters)))
        with Client(address, login=False) as client:
            packet = wire.startup(parameters)
            self.assertEqual(10004, len(packet))
            client.send(packet)
            client.finish_login("app")
            self.assertEqual("3MB", client.value("SHOW work_mem"))
        with Client(address, login=False) as client:
            parameters["search_path"] += "s"
            client.send(wire.startup(parameters))
            self.assertRaises((wire.Closed, wire.Refused), client.finish_login, "app")


class Half_closed(Story):
    """A client that ends its own direction and reads on. PostgreSQL answers what it was sent before; to a pooler it has left, since whoever dies in
    a query looks the same, and his query is to be ended."""

    kinds = ("pgweir", "pgbouncer")

    def _shut(self, pooler, *said, login=True):
        with Client(pooler.address, login=login) as client:
            for part in said:
                client.send(part)
                if part[:1] == b"Q" and len(said) > 1 and part is not said[-1]:
                    client.read_to("ZGH".encode())
            client.socket.shutdown(socket.SHUT_WR)
            client.expect_closed()

    def it_has_left_in_whatever_state_and_its_server_is_free(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "workers": 1} if live.kind == "pgweir" else {"default_pool_size": 1})
        with self.pg.admin("app") as admin:
            admin.query("CREATE TABLE IF NOT EXISTS half (a text); GRANT ALL ON half TO app")
        self.addCleanup(self.pg.value, "DROP TABLE half", "app")
        packet = wire.startup({"user": "app", "database": "app"})
        for login, said in ((False, ()), (False, (packet[:9],)), (False, (wire.special(wire.SSL_CODE),)), (False, (packet,)), (True, ()),
                            (True, (query("SELECT 1")[:7],)), (True, (query("SELECT pg_sleep(60)"),)), (True, (query("BEGIN"), query("SELECT 1"))),
                            (True, (query("BEGIN; SELECT 1/0"), query("SELECT 1"))), (True, (wire.parse("", "SELECT 1"),)),
                            (True, (query("COPY half FROM STDIN"), wire.copy_data(b"left behind\n"))),
                            (True, (query("COPY half FROM STDIN"), wire.copy_data(b"cut off\n" * 9)[:30])),
                            (True, (query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 30000)) TO STDOUT"), wire.SYNC))):
            with self.subTest(said):
                self._shut(pooler, *said, login=login)
                with Client(pooler.address) as other:
                    self.assertEqual("0", other.value("SELECT count(*) FROM half"))

    @on("pgweir")
    def it_waits_for_nothing(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        holder = pooler.client()
        holder.begin()
        self._shut(pooler, query("INSERT INTO no_such_table VALUES (1)"))
        holder.query("COMMIT")
        with Client(pooler.address) as other:
            self.assertEqual("1", other.value("SELECT 1"))
