"""Settings with letters beyond ASCII. A client's settings are told to a server that still speaks as the one spoke who had it before, in LATIN1 here; what
PostgreSQL makes of them must be what it makes of them directly.

There is one server, so that it changes hands whenever somebody else says something."""
import wire
from harness import Story, helper, live, wait_until

PATH = "日本"
SCHEMA = f'CREATE SCHEMA "{PATH}"; CREATE TABLE "{PATH}".t (a text); INSERT INTO "{PATH}".t VALUES (\'of its own\'); GRANT ALL ON SCHEMA "{PATH}" TO PUBLIC; GRANT ALL ON "{PATH}".t TO PUBLIC'


class Letters(Story):
    kinds = ("pgweir", "direct")
    database, settings = "dbname=app", {}

    def setUp(self):
        super().setUp()
        with self.pg.admin("app") as admin:
            admin.query(SCHEMA)
        self.addCleanup(self.tidy)
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1, **self.settings}, databases={"app": self.database})
        self.other = self.proxy.client(parameters={"client_encoding": "LATIN1", "search_path": "public", "application_name": "other"})

    @helper
    def tidy(self):
        with self.pg.admin("app") as admin:
            admin.query(f'DROP SCHEMA "{PATH}" CASCADE')

    @helper
    def between(self):
        """Somebody else has the server."""
        self.assertEqual("LATIN1", self.other.value("SHOW client_encoding"))

    @helper
    def told(self, client, setting):
        """A setting as it is, whatever the client's encoding."""
        return bytes.fromhex(client.value(f"SELECT encode(convert_to(current_setting('{setting}'), 'UTF8'), 'hex')")).decode()

    @helper
    def sees_its_own(self, client, path=PATH):
        for _ in range(3):
            self.between()
            self.assertEqual("of its own", client.value("SELECT a FROM t"))
        self.between()
        self.assertEqual(path, self.told(client, "search_path"))

    @helper
    def encodings_that_can_tell(self, *encodings):
        """PostgreSQL 18 tells a search_path, and refuses a login where it has no letters for that."""
        if self.pg.major < 18:
            return encodings
        for parameters in ({"search_path": PATH}, {"options": f"-c search_path={PATH}"}):
            self.refused(self.proxy.client, parameters={"client_encoding": "LATIN1", **parameters}, sqlstate="22P05")
        return [encoding for encoding in encodings if encoding != "LATIN1"]

    def what_a_client_says_at_its_login_is_in_the_databases_letters(self):
        for encoding in self.encodings_that_can_tell("UTF8", "LATIN1", "EUC_JP"):
            for parameters in ({"search_path": PATH}, {"options": f"-c search_path={PATH}"}):
                with self.subTest(encoding, parameters=parameters):
                    with self.proxy.client(parameters={"client_encoding": encoding, **parameters}) as client:
                        self.sees_its_own(client)

    def what_it_said_at_its_login_comes_back_by_reset(self):
        for encoding in self.encodings_that_can_tell("LATIN1", "UTF8"):
            for reset in ("RESET search_path", "SET search_path TO DEFAULT", "RESET ALL", "DISCARD ALL", "RESET search_path; SET work_mem = '5MB'"):
                with self.subTest(reset, encoding=encoding):
                    with self.proxy.client(parameters={"search_path": PATH, "client_encoding": encoding}) as client:
                        client.query("SET search_path = public")
                        client.query(reset)
                        self.assertEqual(PATH, self.told(client, "search_path"))
                        self.sees_its_own(client)

    def a_role_that_it_asks_for_is_that_role(self):
        with self.pg.admin("app") as admin:
            admin.query('CREATE ROLE "größer"; GRANT "größer" TO app')
            self.addCleanup(self.pg.value, 'DROP ROLE "größer"')
        with self.proxy.client(parameters={"options": "-c role=größer"}) as client:
            for _ in range(2):
                self.between()
                self.assertEqual("größer", client.value("SELECT current_user"))

    def its_name_is_what_postgresql_makes_of_it(self):
        """Whatever its bytes are: they may be no letters of the database."""
        for name in ("größer", "größer".encode("latin1"), b"\xff'\x80\\"):
            with self.subTest(name):
                with wire.Client(self.pg.socket_path, parameters={"application_name": name}) as client:
                    directly = client.value("SHOW application_name")
                for _ in range(2):
                    with self.proxy.client(parameters={"application_name": name}) as client:
                        self.assertEqual(directly, client.parameters["application_name"])
                        self.between()
                        self.assertEqual(directly, client.value("SHOW application_name"))
                        client.query("SET application_name = 'another'")
                        client.query("RESET application_name")
                        self.assertEqual((directly, directly), (client.value("SHOW application_name"), client.parameters["application_name"]))

    def what_it_sets_is_in_the_letters_of_its_moment(self):
        """They change in the middle of its life."""
        with self.proxy.client(parameters={"client_encoding": "UTF8"}) as client:
            client.query(f"SET app.tenant = 'größer'")
            client.query(f"SELECT set_config('search_path', '{PATH}', false)")
            self.sees_its_own(client)
            client.query("SET client_encoding = 'LATIN1'")
            self.between()
            self.assertEqual("größer", self.told(client, "app.tenant"))
            client.ask(wire.query("SET app.tenant = 'kürzer'".encode("latin1")))
            client.query("SET client_encoding = 'SQL_ASCII'")
            self.sees_its_own(client)
            self.assertEqual("kürzer", self.told(client, "app.tenant"))

    def a_name_in_other_letters_is_undone(self):
        """When the server is asked for it, it would read that name in letters that are not those of its SET."""
        with self.proxy.client(parameters={"client_encoding": "UTF8"}) as client:
            client.query("BEGIN")
            client.query("SET app.größe = 'its own'")
            client.query("SET client_encoding = 'LATIN1'")
            client.query("COMMIT")
            if live.kind == "pgweir":
                wait_until("it keeps its server, or not", lambda: self.proxy.show("PINS") or int(self.proxy.pool()["sv_idle"]) == 1)
        with self.proxy.client(parameters={"client_encoding": "UTF8"}) as another:
            self.assertIn(another.value("SELECT current_setting('app.größe', true)"), (None, ""))


class Connected(Letters):
    """What connect_query sets is everybody's who sets nothing else."""
    kinds = ("pgweir",)
    database = f"dbname=app connect_query='SET search_path = \"{PATH}\"; SET client_encoding = LATIN1'"

    def setUp(self):
        if live.pg.major >= 18:
            self.skipTest("PostgreSQL 18 can not tell what this connect_query sets, and tries for ever")
        super().setUp()

    def what_connect_query_says_comes_back(self):
        with self.proxy.client() as client:
            self.sees_its_own(client, f'"{PATH}"')


class Authorized(Letters):
    """A role's name is told by every version. Who is not told one after the other what the two are has a server that tries to for ever."""
    database = "dbname=app user=postgres"

    def who_it_is_and_letters_without_that_name_come_one_after_the_other(self):
        with self.pg.admin("app") as admin:
            admin.query(f'CREATE ROLE "{PATH}"')
            self.addCleanup(self.pg.value, f'DROP ROLE "{PATH}"')
        with self.proxy.client(user="postgres" if live.kind == "direct" else "app") as client:
            client.query(f'SET SESSION AUTHORIZATION "{PATH}"')
            client.query("SET client_encoding = 'LATIN1'")
            for _ in range(3):
                self.between()
                self.assertEqual(PATH, self.told(client, "session_authorization"))
                self.assertEqual("LATIN1", client.value("SHOW client_encoding"))


class Reported(Letters):
    """Where no server is asked what is set there, all that is known is what PostgreSQL reports, in the letters of that moment."""
    kinds = ("pgweir",)
    settings = {"transparency": "protocol"}

    def what_is_told_in_the_databases_letters_follows_and_else_it_is_undone(self):
        for encoding, expected in (("UTF8", "üüü-1"), ("LATIN1", None)):
            with self.subTest(encoding), self.proxy.client(parameters={"client_encoding": encoding}) as client:
                before = client.value("SHOW timezone")
                client.ask(wire.query("SET timezone = 'üüü-1'".encode(encoding)))
                self.between()
                self.assertEqual(before, self.other.value("SHOW timezone"))
                self.assertEqual(expected or before, self.told(client, "timezone"))
                self.assertEqual(expected or before, client.parameters["TimeZone"])
