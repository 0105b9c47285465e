"""What PostgreSQL 16, 17 and 18 and their libpq brought. `tests/versions/postgres 18` plays it: for a server of Debian's most of it is skipped."""
import time

import libpq
import papers
import wire
from harness import Story, helper, live, wait_until


class Newer(Story):
    since = 16

    def setUp(self):
        if live.pg.major < self.since:
            self.skipTest(f"PostgreSQL {self.since} brought it")
        super().setUp()


class Logins(Newer):
    """Event triggers of a login: a server's, which happens once for many clients. Directly what one sets is its session's; here it is each client's."""
    kinds = ("pgweir",)
    since = 17

    @helper
    def at_login(self, body, more=""):
        with self.pg.admin("app") as admin:
            admin.query("DROP FUNCTION IF EXISTS comes() CASCADE")
            admin.query(f"CREATE FUNCTION comes() RETURNS event_trigger LANGUAGE plpgsql {more} AS $$BEGIN IF session_user <> 'postgres' THEN {body} END IF; END$$")
            admin.query("CREATE EVENT TRIGGER comes ON login EXECUTE FUNCTION comes()")
        self.addCleanup(self.pg.value, "DROP FUNCTION IF EXISTS comes() CASCADE", "app")

    @helper
    def seen(self, client):
        return tuple(client.query("SELECT current_setting('work_mem'), current_setting('search_path'), current_setting('app.tenant', true)").rows[0])

    @helper
    def on_both(self, client, holder):
        """What it sees on each of two servers."""
        first = self.seen(client)
        with holder.client() as other:
            other.query("BEGIN; SELECT 1")
            second = self.seen(client)
            other.query("COMMIT")
        return {first, second}

    def what_one_sets_is_there_whatever_others_did_to_the_server(self):
        self.at_login("SET work_mem = '7MB'; SET search_path = from_login; PERFORM set_config('app.tenant', 'ten', false);")
        expected = ("7MB", "from_login", "ten")
        for settings in ({"pool_mode": "transaction", "default_pool_size": 1}, {"pool_mode": "transaction", "default_pool_size": 1, "transparency": "protocol"},
                         {"pool_mode": "session", "default_pool_size": 1}):
            with self.subTest(settings):
                pooler = self.pooler(settings=settings)
                for does in ("SELECT 1", "DISCARD ALL", "RESET ALL", "SET work_mem = '3MB'", "RESET search_path", "CREATE TEMP TABLE t (a int)"):
                    with pooler.client() as client:
                        self.assertEqual(expected, self.seen(client))
                        client.query(does)
                with pooler.client() as client:
                    self.assertEqual(expected, self.seen(client))
                    if self.pg.major >= 18:
                        self.assertEqual("from_login", client.parameters["search_path"])

    def what_a_client_undoes_stays_undone_for_it_alone(self):
        self.at_login("SET work_mem = '7MB'; SET search_path = from_login; PERFORM set_config('app.tenant', 'ten', false);")
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2})
        with pooler.client() as client, pooler.client() as other:
            for does, expected in (("RESET work_mem", ("4MB", "from_login", "ten")), ("SET search_path = public", ("4MB", "public", "ten")),
                                   ("RESET search_path", ("4MB", '"$user", public', "ten")), ("RESET ALL", ("4MB", '"$user", public', "")),
                                   ("SET app.tenant = 'eleven'", ("4MB", '"$user", public', "eleven")), ("DISCARD ALL", ("4MB", '"$user", public', ""))):
                client.query(does)
                self.assertEqual({expected}, self.on_both(client, pooler))
                self.assertEqual({("7MB", "from_login", "ten")}, self.on_both(other, pooler))

    def what_only_a_superuser_may_set_is_kept_or_the_server_is_not(self):
        self.at_login("SET log_min_duration_statement = '1h'; SET work_mem = '7MB';", "SECURITY DEFINER")
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2})

        def given(client):
            return client.value("SELECT current_setting('log_min_duration_statement') || current_setting('work_mem')")
        with pooler.client() as client:
            self.assertEqual("1h7MB", given(client))
            client.query("SET work_mem = '3MB'")
            self.assertEqual("1h3MB", given(client))
            self.assertEqual("1h7MB", given(pooler.client()))
            client.query("RESET ALL")
            self.assertEqual("-14MB", given(client))
            wait_until("its server is its own", lambda: [row["reason"] for row in pooler.show("PINS")] == ["a setting that can not be given to another server"])
            with pooler.client() as other:
                self.assertEqual("1h7MB", given(other))
        for _ in range(3):
            with pooler.client() as client:
                self.assertEqual("1h7MB", given(client))
                client.query("DISCARD ALL")

    def one_that_raises_is_told_and_one_that_takes_its_time_is_waited_for(self):
        self.at_login("RAISE EXCEPTION 'not on a Sunday' USING ERRCODE = '28000';")
        error = self.refused(self.pooler().client, sqlstate="28000")
        self.assertEqual("not on a Sunday", error.message)
        self.at_login("PERFORM pg_sleep(1.5);")
        pooler = self.pooler(settings={"default_pool_size": 2})
        self.assertEqual(["1"] * 4, self.together(*[lambda: pooler.client().value("SELECT 1")] * 4))


class Procedures(Newer):
    """What ends its transaction itself may do so as the first statement of a batch, and not behind another: since 18, DISCARD PLANS too is another."""
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        with self.pg.admin("app") as admin:
            admin.query("CREATE TABLE noons (moment timestamptz)")
            admin.query("GRANT ALL ON noons TO PUBLIC")
            admin.query("CREATE FUNCTION tenant() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN current_setting('app.tenant', true); END$$")
            admin.query("CREATE PROCEDURE noon() LANGUAGE plpgsql AS $$BEGIN INSERT INTO noons VALUES ('2020-01-02 12:00'); COMMIT; PERFORM tenant(); COMMIT; END$$")
            admin.query("CREATE PROCEDURE told(INOUT at text) LANGUAGE plpgsql AS $$BEGIN COMMIT; at = '2020-01-02 12:00'::timestamptz AT TIME ZONE 'UTC'; COMMIT; END$$")
            admin.query("CREATE SEQUENCE receipts")
            admin.query("GRANT ALL ON SEQUENCE receipts TO PUBLIC")
            admin.query("CREATE PROCEDURE asks(INOUT n bigint) LANGUAGE plpgsql AS $$BEGIN n = nextval('receipts'); COMMIT; n = n - currval('receipts'); COMMIT; END$$")
            admin.query("CREATE PROCEDURE only_asks(INOUT n bigint) LANGUAGE plpgsql AS $$BEGIN COMMIT; n = currval('receipts'); END$$")
        self.addCleanup(self.pg.value, "DROP PROCEDURE asks(bigint); DROP PROCEDURE only_asks(bigint); DROP SEQUENCE receipts", "app")
        self.addCleanup(self.pg.value, "DROP TABLE noons; DROP PROCEDURE noon(); DROP PROCEDURE told(text); DROP FUNCTION tenant()", "app")
        self.proxy = pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        self.clients = [pooler.client(parameters={"TimeZone": zone}) for zone in ("Etc/UTC", "Asia/Tokyo", "America/Lima")]

    @helper
    def each(self, *batches):
        """What each of them is told, in turn, and what it wrote."""
        for client, hour in zip(self.clients * 2, (12, 3, 17) * 2):
            for batch in batches:
                reply = client.ask(batch)
                self.assertEqual([], reply.errors)
                self.assertEqual("I", reply.status)
            wrote = client.query("DELETE FROM noons RETURNING moment AT TIME ZONE 'UTC'").rows
            self.assertEqual([f"2020-01-02 {hour:02}:00:00"], [row[0] for row in wrote + reply.rows])

    def they_commit_in_a_batch(self):
        self.each(wire.batch("CALL noon()"))
        self.each(wire.batch("/* one */ call noon()"))
        self.each(wire.batch("DO $$BEGIN CALL noon(); COMMIT; END$$"))

    def they_commit_where_one_batch_prepares_and_another_binds(self):
        self.each(wire.parse("", "CALL noon()") + wire.SYNC, wire.bind("", "") + wire.describe("P") + wire.execute() + wire.SYNC)
        for client in self.clients:
            client.ask(wire.parse("one", "CALL noon()") + wire.describe("S", "one") + wire.SYNC)
        self.each(wire.bind("", "one") + wire.execute() + wire.SYNC)

    def they_commit_and_answer(self):
        self.each(wire.batch("CALL told('')"))
        for client in self.clients:
            client.ask(wire.parse("two", "CALL told($1)", (25,)) + wire.describe("S", "two") + wire.SYNC)
        self.each(wire.bind("", "two", ("",)) + wire.execute() + wire.SYNC)

    def they_commit_where_they_ask_for_numbers(self):
        """Those of others are discarded in front of the batch."""
        other, *clients = self.clients
        for client in clients:
            other.query("SELECT nextval('receipts')")
            reply = client.ask(wire.batch("CALL asks(0)"))
            self.assertEqual(([], ("0",)), (reply.errors, reply.rows[0]))
            other.query("SELECT nextval('receipts')")
            client.ask(wire.parse("one", "CALL asks(0)") + wire.SYNC)
            reply = client.ask(wire.bind("", "one") + wire.execute() + wire.SYNC)
            self.assertEqual(([], ("0",)), (reply.errors, reply.rows[0]))
        with self.proxy.client() as fresh:
            other.query("SELECT nextval('receipts')")
            self.assertEqual(["55000"], [error.sqlstate for error in fresh.ask(wire.batch("CALL only_asks(0)")).errors])

    def they_commit_where_they_make_temporary_tables(self):
        """Plans are given up for whatever may come in front of what they mean, and that before the batch."""
        for client in self.clients * 2:
            reply = client.ask(wire.batch("DO $$BEGIN CREATE TEMP TABLE note AS SELECT 'mine' AS text; COMMIT; END$$"))
            self.assertEqual(([], "I"), (reply.errors, reply.status))
            self.assertEqual("mine", client.value("SELECT text FROM note"))
            client.query("DROP TABLE note")

    def they_commit_where_the_server_has_more_statements_than_it_is_to_keep(self):
        """Those are closed at the front of a batch, behind what stands before that."""
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1, "max_prepared_statements": 2})
        self.clients = [pooler.client(parameters={"TimeZone": zone}) for zone in ("Etc/UTC", "Asia/Tokyo", "America/Lima")]
        for client in self.clients:
            client.ask(wire.parse("named", "CALL noon()") + wire.SYNC)
        many = b"".join(wire.parse(f"s{number}", f"SELECT {number}") + wire.bind("", f"s{number}") + wire.execute() for number in range(4)) + wire.SYNC
        closed = b"".join(wire.close("S", f"s{number}") for number in range(4)) + wire.SYNC
        for client, hour in zip(self.clients * 3, (12, 3, 17) * 3):
            for batch in (wire.batch("CALL noon()"), wire.bind("", "named") + wire.execute() + wire.SYNC):
                self.assertEqual([], client.ask(many).errors)
                reply = client.ask(batch)
                self.assertEqual(([], "I"), (reply.errors, reply.status))
                wrote = client.query("DELETE FROM noons RETURNING moment AT TIME ZONE 'UTC'").rows
                self.assertEqual([(f"2020-01-02 {hour:02}:00:00",)], [tuple(row) for row in wrote])
                client.ask(closed)

    def behind_another_statement_of_their_batch_they_may_not(self):
        both = wire.batch("SELECT 1")[:-len(wire.SYNC)] + wire.batch("CALL noon()")
        for client in self.clients:
            reply = client.ask(both)
            self.assertEqual(["2D000"] if self.pg.major >= 18 else [], [error.sqlstate for error in reply.errors])
            self.assertEqual("1", client.value("SELECT 1"))


class Libraries(Newer):
    """libpq of 18, as drivers use it."""
    kinds = ("pgweir", "direct")
    since = 18

    @helper
    def talk(self, **settings):
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2, **settings})
        self.noise = [self.proxy.client(parameters={"DateStyle": "SQL"}) for _ in range(2)]
        connection = libpq.Connection(self.proxy.address, sslmode="disable")
        self.addCleanup(connection.close)
        return connection

    @helper
    def others(self, count=2):
        """So many others have a transaction each, at the same time: the servers that nobody keeps change hands."""
        for client in self.noise[:count]:
            client.query("BEGIN; SELECT 1")
        for client in self.noise[:count]:
            client.query("COMMIT")

    def rows_come_in_chunks(self):
        connection = self.talk()
        connection.send("SELECT i FROM generate_series(1, 10) AS i; SELECT 'x'")
        connection.in_chunks(4)
        self.assertEqual([(libpq.CHUNK, 4), (libpq.CHUNK, 4), (libpq.CHUNK, 2), (libpq.TUPLES, 0), (libpq.CHUNK, 1), (libpq.TUPLES, 0)],
                         [(told[0], len(told[1])) for told in connection.results()])
        connection.send_params("SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
        connection.in_chunks(999)
        self.assertEqual(20000, sum(len(told[1]) for told in connection.results()))
        connection.send("SELECT 10 / (i - 7) FROM generate_series(1, 10) AS i")
        connection.in_chunks(4)
        self.assertEqual([(libpq.CHUNK, None), (libpq.ERROR, "22012")], [(told[0], told[2]) for told in connection.results()])

    def a_prepared_statement_is_closed_by_the_protocol(self):
        connection = self.talk()
        for value in "12":
            connection.prepare("one", f"SELECT {value}")
            self.others()
            self.assertEqual([(value,)], connection.run("one"))
            self.others()
            connection.close_prepared("one")
            self.others()
            with self.assertRaisesRegex(libpq.Failed, '26000 .*"one" does not exist'):
                connection.run("one")
        connection.close_prepared("never there")

    def a_cursor_is_closed_by_the_protocol(self):
        connection = self.talk()
        connection.query("DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5)")
        self.assertEqual([("1",), ("2",)], connection.query("FETCH 2 FROM held"))
        self.others(1)
        self.assertEqual([("3",)], connection.query("FETCH held"))
        connection.close_portal("held")
        if live.kind == "pgweir":
            wait_until("its server is given back", lambda: not self.proxy.show("PINS"))
        self.others()
        with self.assertRaisesRegex(libpq.Failed, "34000 "):
            connection.query("FETCH held")

    def a_pipeline_with_syncs_that_nobody_flushes(self):
        connection = self.talk()
        connection.pipeline()
        for number in range(3):
            connection.send_params(f"SELECT {number}")
            connection.sync(flush=False)
        for sql in ("SELECT 1 / 0", "SELECT 'skipped'"):
            connection.send_params(sql)
        connection.sync(flush=False)
        connection.send_params("SELECT 'behind'")
        connection.sync()
        told = []
        while [each for each, _ in told].count(libpq.SYNCED) < 5:
            if (one := connection.next()) is not None:
                told.append((one[0], one[2] or one[1]))
        synced, row = (libpq.SYNCED, []), lambda value: (libpq.TUPLES, [(value,)])
        self.assertEqual([row("0"), synced, row("1"), synced, row("2"), synced, (libpq.ERROR, "22012"), (libpq.ABORTED, []), synced, row("behind"), synced], told)


class Encrypted(Newer):
    kinds = ("pgweir",)
    since = 18

    def each_way_of_tls_and_of_the_protocol_has_its_encrypted_cancels(self):
        folder = self.own_folder()
        authority = papers.Authority(folder)
        certificate, key = authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        pg = self.postgres(ssl="on", ssl_cert_file=certificate, ssl_key_file=key)
        pooler = self.pooler(pg=pg, databases={"app": f"host=localhost port={pg.port} dbname=app"}, userlist={"app": "sea-salt", "admin": "x"}, settings={
            "auth_type": "scram-sha-256", "client_tls_sslmode": "require", "client_tls_cert_file": certificate, "client_tls_key_file": key,
            "server_tls_sslmode": "verify-full", "server_tls_ca_file": authority.certificate, "server_tls_negotiation": "direct", "monitor_interval": 0})
        for negotiation in ("postgres", "direct"):
            for version, words in ((30000, {"max_protocol_version": "3.0"}), (30002, {"min_protocol_version": "3.2", "max_protocol_version": "latest"})):
                with self.subTest(negotiation, version=version):
                    with libpq.Connection(pooler.address, host="localhost", password="sea-salt", sslmode="verify-full", sslrootcert=authority.certificate,
                                          channel_binding="require", require_auth="scram-sha-256", sslnegotiation=negotiation, **words) as connection:
                        self.assertEqual((version, "postgresql"), (connection.protocol, connection.tls("alpn")))
                        self.assertEqual("t", connection.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
                        for blocking in (True, False):
                            connection.send("SELECT pg_sleep(60)")
                            wait_until("it runs", lambda: pg.backends(extra="AND query LIKE '%pg_sleep(60)%' AND state = 'active'"))
                            began = time.monotonic()
                            connection.cancel(blocking)
                            self.assertEqual("57014", connection.results()[0][2])
                            self.assertLess(time.monotonic() - began, 20 * wire.PATIENCE)

    def servers_are_dialed_directly(self):
        """tests/live/test_tls.py does so with a pooler in PostgreSQL's place."""
        folder = self.own_folder()
        authority = papers.Authority(folder)
        certificate, key = authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        pg = self.postgres(ssl="on", ssl_cert_file=certificate, ssl_key_file=key)
        pooler = self.pooler(pg=pg, databases={"app": f"host=localhost port={pg.port} dbname=app"}, settings={
            "server_tls_sslmode": "verify-full", "server_tls_ca_file": authority.certificate, "server_tls_negotiation": "direct",
            "monitor_interval": 1, "monitor_user": "app"})
        with pooler.client() as client:
            client.send(wire.query("SELECT pg_sleep(60)"))
            wait_until("it runs", lambda: pg.backends(extra="AND query LIKE '%pg_sleep(60)%' AND state = 'active'"))
            client.cancel()
            self.assertEqual("57014", client.reply().error.sqlstate)
            self.assertEqual("t", client.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        wait_until("so is the monitor", lambda: int(pg.value(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name LIKE '%monitor%'")))


class Reserved(Newer):
    kinds = ("pgweir",)

    def nobody_is_told_that_what_is_left_is_reserved(self):
        pg = self.postgres(max_connections=14, superuser_reserved_connections=2, reserved_connections=3)
        pg.value("GRANT pg_use_reserved_connections TO other")
        pooler = self.pooler(pg=pg, settings={"default_pool_size": 30, "monitor_interval": 1, "monitor_user": "app"})
        wait_until("the budget is known", lambda: [(row["reserved"], row["usable"]) for row in pooler.show("BUDGET")] == [("5", "9")])

        def works(user):
            with pooler.client(user=user) as client:
                for _ in range(20):
                    client.query("BEGIN")
                    client.query("SELECT pg_sleep(0.01)")
                    client.query("COMMIT")
                return client.value("SELECT 1")
        self.assertEqual(["1"] * 40, self.together(*[lambda user=user: works(user) for user in ("app", "other") * 20], timeout=100))
