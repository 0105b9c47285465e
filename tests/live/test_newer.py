"""What PostgreSQL 16, 17 and 18 and their libpq brought. `tests/versions/postgres 18` plays it: for a server of Debian's most of it is skipped."""
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
        self.addCleanup(self.pg.value, "DROP TABLE noons; DROP PROCEDURE noon(); DROP PROCEDURE told(text); DROP FUNCTION tenant()", "app")
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
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

    def behind_another_statement_of_their_batch_they_may_not(self):
        both = wire.batch("SELECT 1")[:-len(wire.SYNC)] + wire.batch("CALL noon()")
        for client in self.clients:
            reply = client.ask(both)
            self.assertEqual(["2D000"] if self.pg.major >= 18 else [], [error.sqlstate for error in reply.errors])
            self.assertEqual("1", client.value("SELECT 1"))
