"""auth_query: users who are not in auth_file, whose secrets PostgreSQL is asked for."""
import base64
import http.client
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.parse

import papers
import wire
from harness import Gate, Peak, Story, free_port, full_only, helper, on, wait_until
from wire import Client, Refused, md5_secret, startup

BOTH = ("pgweir", "pgbouncer")


class Asking(Story):
    """Every test has a PostgreSQL of its own, where everybody must prove who he is, and a user `lookup` who may read secrets."""

    kinds = BOTH

    def setUp(self):
        super().setUp()
        self.pg = self.postgres(log_statement="all")
        (self.pg.data / "pg_hba.conf").write_text("local all all trust\nhost all all samehost md5\n")
        self.sql("CREATE ROLE lookup LOGIN PASSWORD 'look'",
                 "SET password_encryption = 'scram-sha-256'; CREATE ROLE sara LOGIN PASSWORD 'sesame'",
                 "SET password_encryption = 'md5'; CREATE ROLE mads LOGIN PASSWORD 'sesame'",
                 "SELECT pg_reload_conf()")
        self.sql("GRANT SELECT ON pg_authid TO lookup", "CREATE TABLE people (name text, secret text)",
                 "GRANT SELECT ON people TO lookup", database="app")
        self.sql("GRANT SELECT ON pg_authid TO lookup", database="app2")

    @helper
    def sql(self, *statements, database="postgres"):
        with self.pg.admin(database) as admin:
            for statement in statements:
                admin.query(statement)

    @helper
    def asking(self, called="pgweir", settings=None, userlist=None, **options):
        return self.pooler(pg=self.pg, called=called,
                           settings={"auth_type": "md5", "auth_user": "lookup", **(settings or {})},
                           userlist={"lookup": "look", "admin": "admin", "stats": "stats", **(userlist or {})}, **options)

    @helper
    def login(self, pooler, user="sara", password="sesame", **options):
        return pooler.client(user=user, password=password, **options)

    @helper
    def asked(self, words="FROM pg_authid"):
        """How often PostgreSQL ran the query."""
        return sum(1 for line in self.pg.log_path.read_text().splitlines() if "execute <unnamed>" in line and words in line)


class Who_comes_in(Asking):
    def by_scram_and_by_md5_as_far_as_the_server(self):
        for called in BOTH:
            pooler = self.asking(called=called)
            for user, auth in (("sara", [10, 11, 12, 0]), ("mads", [5, 0])):
                with self.subTest(called=called, user=user):
                    client = self.login(pooler, user)
                    self.assertEqual(auth, client.auth)
                    self.assertEqual(user, client.value("SELECT current_user"))
                    self.refused(self.login, pooler, user, "wrong", says="authentication failed")

    def by_a_plain_secret_from_a_table(self):
        self.sql("INSERT INTO people VALUES ('sara', 'sesame')", database="app")
        pooler = self.asking(settings={"auth_query": "SELECT name, secret FROM people WHERE name = $1"})
        client = self.login(pooler)
        self.assertEqual([5, 0], client.auth)
        self.assertEqual("sara", client.value("SELECT current_user"))
        self.refused(self.login, pooler, password="wrong")
        pooler.await_log('password authentication failed for user "sara" (auth_query: wrong password)')
        self.refused(self.login, pooler, "nobody", "wrong", says='password authentication failed for user "nobody"')
        pooler.await_log('password authentication failed for user "nobody" (auth_query: no such user)')
        for auth_type in ("plain", "scram-sha-256"):
            pooler = self.asking(settings={"auth_query": "SELECT name, secret FROM people WHERE name = $1", "auth_type": auth_type})
            self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))

    def a_name_is_a_parameter_and_no_part_of_the_query(self):
        self.sql("CREATE ROLE \"o'hara'; --\" LOGIN PASSWORD 'sesame'")
        pooler = self.asking()
        self.assertEqual("o'hara'; --", self.login(pooler, "o'hara'; --").value("SELECT current_user"))

    def nobody_whose_password_is_missing_or_over_and_none_can_be_told_from_a_wrong_one(self):
        self.sql("CREATE ROLE nopass LOGIN", "CREATE ROLE late LOGIN PASSWORD 'sesame' VALID UNTIL '2001-01-01'",
                 "CREATE ROLE shut NOLOGIN PASSWORD 'sesame'", "CREATE ROLE next LOGIN PASSWORD 'sesame' VALID UNTIL '2999-01-01'")
        for called in BOTH:
            pooler = self.asking(called=called)
            self.login(pooler, "next")
            seen = {}
            for user, password in (("sara", "wrong"), ("nopass", "sesame"), ("nopass", ""), ("late", "sesame"),
                                   ("shut", "sesame"), ("unknown", "sesame")):
                client = Client(pooler.address, login=False)
                self.addCleanup(client.close)
                error = self.refused(client.login, user, "app", password)
                client_kinds = [kind for kind, _ in client.seen]
                seen[user, password] = (error.sqlstate, error.message.replace(user, "*"), client_kinds)
            self.assertEqual(1, len(set(map(str, seen.values()))), seen)

    def nobody_is_asked_for_what_some_have_and_others_have_not(self):
        """Where some have md5 secrets and some SCRAM ones, both are pretended, each name always the same."""
        pooler = self.asking()
        self.login(pooler, "sara")
        self.login(pooler, "mads")

        def told(user):
            client = Client(pooler.address, login=False)
            self.addCleanup(client.close)
            error = self.refused(client.login, user, "app", "wrong")
            return [kind for kind, _ in client.seen], client.auth[0], error.message.replace(user, "*")
        shapes = {"sara": told("sara"), "mads": told("mads")}
        self.assertEqual((10, 5), (shapes["sara"][1], shapes["mads"][1]))
        strangers = {f"stranger{i}": told(f"stranger{i}") for i in range(40)}
        self.assertEqual(set(map(str, shapes.values())), set(map(str, strangers.values())))
        self.assertEqual({user: told(user) for user in strangers}, strangers)

    def users_of_the_file_are_not_asked_for(self):
        pooler = self.asking(userlist={"sara": "sesame", "mads": ""})
        self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))
        self.refused(self.login, pooler, "mads")
        self.assertEqual(0, self.asked())

    def trust_still_wants_a_user_who_is_known(self):
        pooler = self.asking(settings={"auth_type": "trust"})
        self.assertEqual("mads", self.login(pooler, "mads").value("SELECT current_user"))
        self.refused(self.login, pooler, "unknown")

    def a_rule_of_the_hba_file_decides_before_anybody_is_asked(self):
        pooler = self.asking(settings={"auth_type": "hba", "auth_hba_file": "hba"},
                             files={"hba": "host all mads all reject\nhost all all all scram-sha-256\n"})
        self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))
        before = self.asked()
        self.refused(self.login, pooler, "mads")
        self.assertEqual(before, self.asked())

    def the_console_only_where_auth_dbname_says_where(self):
        pooler = self.asking(settings={"admin_users": "sara"})
        self.refused(self.login, pooler, database="pgbouncer")
        pooler = self.asking(settings={"admin_users": "sara", "auth_dbname": "app"})
        self.assertTrue(self.login(pooler, database="pgbouncer").query("SHOW POOLS").dicts())

    def who_goes_while_the_console_looks_for_him_leaves_nothing_behind(self):
        pooler = self.asking(settings={"admin_users": "admin, sara", "auth_dbname": "app"})
        console = pooler.console(password="admin")
        console.query("PAUSE app")

        def waiting():
            return [row["cl_waiting"] for row in console.query("SHOW POOLS").dicts() if row["user"] == "lookup"]
        sara = wire.Client(pooler.address, login=False)
        sara.send(startup({"user": "sara", "database": "pgbouncer"}))
        wait_until("PostgreSQL is to be asked", lambda: waiting() == ["1"])
        sara.close()
        wait_until("nobody waits", lambda: waiting() == ["0"])
        console.query("RESUME app")
        self.assertTrue(self.login(pooler, database="pgbouncer").query("SHOW POOLS").dicts())

    def the_entry_of_a_database_beats_the_settings(self):
        self.sql("CREATE ROLE deputy LOGIN PASSWORD 'look'")
        self.sql("INSERT INTO people VALUES ('sara', 'sesame')", "GRANT SELECT ON people TO deputy", database="app")
        pooler = self.asking(
            settings={"auth_user": "nobody_such", "auth_dbname": "app"}, userlist={"deputy": "look"},
            databases={"app": "dbname=app auth_user=deputy auth_query='SELECT name, secret FROM people WHERE name = $1'",
                       "app2": "dbname=app2 auth_user=deputy auth_dbname=app auth_query='SELECT name, secret FROM people WHERE name = $1'",
                       "wrong": "dbname=app"})
        self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))
        self.assertEqual("app2", self.login(pooler, database="app2").value("SELECT current_database()"))
        self.assertEqual(1, self.asked("FROM people"))
        self.refused(self.login, pooler, database="wrong")

    def where_only_the_entry_for_all_databases_is(self):
        pooler = self.asking(settings={"auth_dbname": "app"}, databases={"*": ""})
        self.assertEqual("app2", self.login(pooler, database="app2").value("SELECT current_database()"))
        self.assertEqual(0, self.pg.backends("lookup", "app2", extra="AND application_name <> 'pgweir monitor'"))
        self.assertEqual(1, self.asked())
        # Nobody learns which databases there are before he has proven who he is.
        self.refused(self.login, pooler, database="no_such", password="wrong", says="authentication failed")

    def a_forced_user_is_not_the_one_who_asks(self):
        pooler = self.asking(databases={"app": "dbname=app user=mads password=sesame"})
        self.assertEqual("mads", self.login(pooler).value("SELECT current_user"))
        self.assertIn(("app", "lookup"), [(row["database"], row["user"])
                                          for row in pooler.console(password="admin").query("SHOW POOLS").dicts()])


class What_changes_meanwhile(Asking):
    def a_user_is_made_changed_and_dropped(self):
        for called in BOTH:
            with self.subTest(called):
                self.sql("DROP ROLE IF EXISTS nina")
                pooler = self.asking(called=called, settings={"auth_query_keep_none": 0})
                self.refused(self.login, pooler, "nina")
                self.sql("CREATE ROLE nina LOGIN PASSWORD 'sesame'")
                self.login(pooler, "nina").close()
                self.sql("ALTER ROLE nina PASSWORD 'other'")

                def in_by_the_new_one():
                    try:
                        self.login(pooler, "nina", "other").close()
                        return True
                    except Refused:
                        return False
                wait_until("the new password is known", in_by_the_new_one, every=0.3)
                self.refused(self.login, pooler, "nina", "sesame")
                self.sql("DROP ROLE nina")
                pooler.reload()
                wait_until("the dropped user is refused", lambda: self.is_refused(pooler, "nina", "other"), every=0.2)

    @helper
    def is_refused(self, pooler, user, password):
        try:
            self.login(pooler, user, password).close()
            return False
        except Refused:
            return True

    @on("pgweir")
    def what_was_found_is_kept_until_a_reload(self):
        pooler = self.asking(settings={"auth_query_keep": 1000, "auth_query_keep_none": 1000})
        for _ in range(5):
            self.login(pooler).close()
            self.refused(self.login, pooler, "unknown")
        self.assertEqual(2, self.asked())
        pooler.reload()
        wait_until("it is asked for anew", lambda: self.login(pooler).close() or self.asked() >= 3)
        self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))

    @on("pgweir")
    def what_postgresql_refuses_to_a_server_is_asked_anew(self):
        pooler = self.asking(settings={"auth_query_keep": 1000, "server_login_retry": 0})
        for user, encryption in (("sara", "scram-sha-256"), ("mads", "md5")):
            with self.subTest(user):
                client = self.login(pooler, user)
                client.value("SELECT 1")
                time.sleep(1.1)     # younger answers are not doubted
                self.sql(f"SET password_encryption = '{encryption}'; ALTER ROLE {user} PASSWORD 'other'",
                         f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'")
                wait_until("its server is gone", lambda: self.pg.backends(user) == 0)
                client.send(wire.query("SELECT 1"))
                self.assertRegex(client.expect_closed()[0].sqlstate, "28...")
                self.assertEqual(user, self.login(pooler, user, "other").value("SELECT current_user"))

    @on("pgweir")
    def under_the_name_of_pgbouncer_each_login_asks(self):
        pooler = self.asking(called="pgbouncer")
        for _ in range(3):
            self.login(pooler).close()
        self.assertEqual(3, self.asked())

    @on("pgweir")
    def a_client_that_is_in_gets_servers_after_a_reload_too(self):
        pooler = self.asking()
        client = self.login(pooler)
        client.value("SELECT 1")
        pooler.reload()
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sara'")
        wait_until("its server is gone", lambda: self.pg.backends("sara") == 0)
        self.assertEqual("sara", client.value("SELECT current_user"))


class Who_means_harm(Asking):
    def _hostile(self):
        """mallory owns things that would make her know everybody's secret, were they ever looked into."""
        self.sql("CREATE ROLE mallory LOGIN PASSWORD 'evil'", "GRANT CREATE ON DATABASE app TO mallory")
        secret = md5_secret("sara", "mine")
        self.sql(
            "CREATE SCHEMA evil AUTHORIZATION mallory",
            f"CREATE TABLE evil.pg_authid AS SELECT 'sara'::name AS rolname, '{secret}'::text AS rolpassword, true AS rolcanlogin,"
            " NULL::timestamptz AS rolvaliduntil",
            "CREATE FUNCTION public.secret_of(text) RETURNS TABLE (n text, s text) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog"
            " AS 'SELECT rolname::text, rolpassword::text FROM pg_authid WHERE rolname = $1'",
            f"CREATE FUNCTION evil.secret_of(text) RETURNS TABLE (n text, s text) LANGUAGE sql AS 'SELECT ''sara'', ''{secret}'''",
            "GRANT USAGE ON SCHEMA evil TO PUBLIC", "GRANT SELECT ON evil.pg_authid TO PUBLIC", database="app")

    def no_search_path_of_a_client_decides_what_is_found(self):
        self._hostile()
        hostile = ({"search_path": "evil, pg_catalog"}, {"options": "-c search_path=evil,pg_catalog"})
        for called in BOTH:
            for query in (None, "SELECT n, s FROM secret_of($1)"):
                settings = {"track_extra_parameters": "search_path", "ignore_startup_parameters": "", "auth_query": query}
                pooler = self.asking(called=called, settings=settings)
                for parameters in hostile:
                    with self.subTest(called=called, query=query, parameters=parameters):
                        self.refused(self.login, pooler, password="mine", parameters=parameters, says="authentication failed")
                        client = self.login(pooler, parameters=parameters)
                        # For its own work it has what it asked for.
                        self.assertIn("evil", client.value("SHOW search_path"))

    def nor_one_that_was_left_in_the_session(self):
        self._hostile()
        for mode in ("transaction", "session"):
            for query in (None, "SELECT n, s FROM secret_of($1)"):
                with self.subTest(mode=mode, query=query):
                    pooler = self.asking(settings={"pool_mode": mode, "auth_query": query, "server_reset_query": "", "transparency": "off",
                                                   "default_pool_size": 1})
                    with Client(pooler.address, user="lookup", password="look") as client:
                        client.query("SET search_path = evil, pg_catalog")
                        client.query("CREATE TEMP TABLE IF NOT EXISTS pg_authid AS SELECT * FROM evil.pg_authid")
                    self.refused(self.login, pooler, password="mine", says="authentication failed")
                    self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))

    @on("pgweir")
    def answers_that_are_none_are_refused_and_told_in_the_log(self):
        cases = {"SELECT 'sara'": "two columns", "SELECT $1, 'a', 'b'": "two columns", "SELECT NULL, $1": "no name",
                 "SELECT 'mads' || left($1, 0), 'a'": "another user", "SELECT $1, 'a' FROM generate_series(1,2)": "more than one row",
                 "SELECT $1, repeat('x', 70000)": "failed", "SELECT nonsense": "failed", "BEGIN; SELECT 1": "failed",
                 "SELECT 1/0 FROM pg_class WHERE relname <> $1": "division by zero", "COPY people FROM STDIN": "failed",
                 "SELECT $1, ''; SELECT 1": "failed"}
        for query, words in cases.items():
            with self.subTest(query):
                pooler = self.asking(settings={"auth_query": query})
                error = self.refused(self.login, pooler)
                self.assertNotIn("nonsense", str(error.message))
                self.assertIn("could not ask", error.message)
                wait_until("the log says why", lambda: "auth_query for user \"sara\" failed" in pooler.log() and words in pooler.log())


class Many_at_once(Asking):
    SLOW = "SELECT rolname, rolpassword FROM pg_authid, pg_sleep(0.7) WHERE rolname = $1"
    GATED = f"SELECT rolname, rolpassword FROM pg_authid, {Gate.passing} WHERE rolname = $1"

    def two_hundred_logins_of_many_names(self):
        names = [f"user{number}" for number in range(40)]
        self.sql(*(f"CREATE ROLE {name} LOGIN PASSWORD 'sesame'" for name in names))
        pooler = self.asking(settings={"auth_dbname": "app", "monitor_interval": 0}, databases={"app": "dbname=app pool_size=2 max_db_connections=20"})
        with Peak(self.pg, database="app") as peak:
            values = self.together(*(lambda name=name: self.login(pooler, name, timeout=60).value("SELECT current_user")
                                     for name in names * 5), timeout=100)
        self.assertEqual(names * 5, values)
        self.assertLessEqual(peak.value, 20)

    @on("pgweir")
    def a_hundred_logins_of_one_name_ask_once(self):
        for called in BOTH:
            before = self.asked(Gate.passing)
            pooler = self.asking(called=called, settings={"auth_query": self.GATED, "auth_query_timeout": 120, "workers": 2})
            with Gate(self.pg) as gate:
                self.together(*([lambda: self.login(pooler, timeout=60)] * 100), lambda: (self._await_logins(pooler, 100), gate.open()), timeout=60)
            self.assertEqual(1, self.asked(Gate.passing) - before)

    def _await_logins(self, pooler, count):
        """Wait until so many have begun their login and are not in."""
        with pooler.console(password="admin") as console:
            wait_until(f"{count} log in", lambda: {row["list"]: row["items"] for row in console.query("SHOW LISTS").dicts()}["login_clients"]
                       == str(count), timeout=60)

    @on("pgweir")
    def who_asks_for_others_may_go_away(self):
        pooler = self.asking(settings={"auth_query": self.GATED, "auth_query_timeout": 120})
        first = Client(pooler.address, login=False)
        self.addCleanup(first.close)

        def leave():
            self._await_logins(pooler, 6)
            first.drop()
            self._await_logins(pooler, 5)
            gate.open()
        with Gate(self.pg) as gate:
            first.send(startup({"user": "sara", "database": "app"}))
            gate.await_waiting(1)
            *values, _ = self.together(*([lambda: self.login(pooler, timeout=60).value("SELECT 1")] * 5), leave, timeout=60)
        self.assertEqual(["1"] * 5, values)

    @on("pgweir")
    def a_query_that_hangs_is_over_in_time_and_holds_up_nobody_else(self):
        self.sql("INSERT INTO people VALUES ('sara', 'sesame')", database="app")
        pooler = self.asking(settings={"auth_query": "SELECT name, secret FROM people WHERE name = $1", "auth_query_timeout": 3,
                                       "max_db_connections": 6},
                             userlist={"mads": "sesame"})
        with self.pg.admin("app") as admin:
            admin.query("BEGIN; LOCK TABLE people")
            results = []

            def fails():
                try:
                    self.login(pooler, timeout=30)
                except Refused as error:
                    results.append(error.message)
            threads = [threading.Thread(target=fails) for _ in range(10)]
            for thread in threads:
                thread.start()
            for _ in range(5):
                self.assertEqual("mads", self.login(pooler, "mads").value("SELECT current_user"))
            for thread in threads:
                thread.join(30)
            self.assertEqual(10, len(results))
            self.assertEqual({"the pooler could not ask PostgreSQL for this user's password"}, set(results))
            wait_until("PostgreSQL does not run it any more",
                       lambda: self.pg.backends("lookup", extra="AND state = 'active'") == 0)
            admin.query("ROLLBACK")
        self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))

    @on("pgweir")
    def when_the_asking_user_may_not_log_in_only_those_who_need_him_are_refused(self):
        for called, words in (("pgweir", "could not ask PostgreSQL"), ("pgbouncer", "bouncer config error")):
            pooler = self.asking(called=called, userlist={"lookup": "wrong", "mads": "sesame"})
            for _ in range(3):
                error = self.refused(self.login, pooler, says=words)
                self.assertNotIn("lookup", f"{error.message}{error.fields}")
            self.assertEqual("mads", self.login(pooler, "mads").value("SELECT current_user"))
            pooler.await_log("auth_query for user \"sara\" failed")

    @on("pgweir")
    def it_counts_as_any_server_does(self):
        pooler = self.asking(settings={"auth_query": self.SLOW, "monitor_interval": 0}, databases={"app": "dbname=app max_db_connections=1"},
                             userlist={"mads": "sesame"})
        with Peak(self.pg, database="app") as peak:
            self.together(lambda: self.login(pooler, timeout=30).value("SELECT 1"),
                          lambda: self.login(pooler, "mads", timeout=30).value("SELECT 1"), timeout=40)
        self.assertLessEqual(peak.value, 1)


class In_company(Asking):
    """Users that PostgreSQL was asked for, and what else a login may be made of."""

    kinds = ("pgweir",)

    @helper
    def encrypting(self, **settings):
        self.authority = papers.Authority(self.own_folder())
        certificate, key = self.authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        return self.asking(settings={"client_tls_cert_file": certificate, "client_tls_key_file": key,
                                     "client_tls_ca_file": self.authority.certificate, **settings})

    @helper
    def by_certificate(self, pooler, name, user):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.load_cert_chain(*self.authority.sign(name))
        context.check_hostname = False
        return pooler.client(user=user, tls=context)

    def a_certificate_names_who_is_then_asked_for(self):
        pooler = self.encrypting(client_tls_sslmode="verify-full", auth_type="cert")
        client = self.by_certificate(pooler, "mads", "mads")
        self.assertEqual([0], client.auth)
        self.assertEqual("mads", client.value("SELECT current_user"))   # the md5 secret that was found is enough there
        self.assertEqual(1, self.asked())
        self.refused(self.by_certificate, pooler, "nobody", "nobody", sqlstate="28P01")
        asked = self.asked()
        self.refused(self.by_certificate, pooler, "other", "mads", sqlstate="28000", says="certificate authentication failed")
        self.assertEqual(asked, self.asked(), "PostgreSQL was asked for somebody whom the certificate does not name")

    def a_rule_may_want_a_certificate_beside_the_password_that_is_asked_for(self):
        pooler = self.encrypting(client_tls_sslmode="require")
        (pooler.folder / "hba").write_text("local all all trust\nhostssl all all all scram-sha-256 clientcert=verify-full\n")
        pooler.settings |= {"auth_type": "hba", "auth_hba_file": pooler.folder / "hba"}
        pooler.write_files()
        with Client(pooler.socket_path, user="admin", database="pgbouncer", password="admin") as console:
            console.query("RELOAD")
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.check_hostname = False
        self.refused(pooler.client, user="sara", password="sesame", tls=context, sqlstate="28000")
        context.load_cert_chain(*self.authority.sign("sara"))
        client = pooler.client(user="sara", password="sesame", tls=context)
        self.assertEqual([10, 11, 12, 0], client.auth)
        self.assertEqual("sara", client.value("SELECT current_user"))
        self.refused(pooler.client, user="sara", password="wrong", tls=context, sqlstate="28P01")

    def who_is_bound_to_the_channel_is_passed_through(self):
        pooler = self.encrypting(client_tls_sslmode="require", auth_type="scram-sha-256")
        for password, status in (("sesame", 0), ("wrong", 2)):
            done = subprocess.run(
                ["psql", "-XAtqc", "SELECT current_user", f"host=127.0.0.1 port={pooler.port} user=sara dbname=app "
                 f"sslmode=require channel_binding=require password={password} connect_timeout=20"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env={"HOME": "/nowhere", "PATH": os.environ["PATH"]})
            self.assertEqual((status, b"sara\n" if status == 0 else b""), (done.returncode, done.stdout), done.stderr)
        self.assertIn(b"password authentication failed", done.stderr)

    def those_who_listen_share_a_connection(self):
        pooler = self.asking(settings={"pool_mode": "transaction", "transparency": "full", "default_pool_size": 1})
        sara, mads = self.login(pooler), self.login(pooler, "mads")
        for client in (sara, mads):
            client.query('LISTEN "news"')
        # Their pools have one server each, which nobody keeps.
        self.assertEqual("sara", self.login(pooler).value("SELECT current_user"))
        self.assertEqual("mads", self.login(pooler, "mads").value("SELECT current_user"))
        self.sql("NOTIFY news, 'one'", database="app")
        for client in (sara, mads):
            wait_until("it is told", lambda client=client: client.query("SELECT 1") and client.notifications)
            self.assertEqual(["one"], [payload for _, _, payload in client.notifications])
        # A third user hears as well, who was asked for only now, and one who leaves takes nothing along.
        sara.close()
        third = self.login(pooler)
        third.query('LISTEN "news"')
        self.sql("NOTIFY news, 'two'", database="app")
        for client in (mads, third):
            wait_until("it is told", lambda client=client: client.query("SELECT 1") and "two" in str(client.notifications))


class At_the_dashboard(Asking):
    """Who is in admin_users or stats_users and in no auth_file logs in there too, where auth_dbname says whom to ask."""

    def _watched(self, **settings):
        self.port = free_port()
        return self.asking(settings={"http_listen": f"127.0.0.1:{self.port}", "auth_dbname": "app", "admin_users": "admin, sara",
                                     "stats_users": "stats, mads", **settings})

    def _ask(self, path, body=None, **headers):
        own = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20 * wire.PATIENCE)
        try:
            own.request("POST" if body else "GET", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = own.getresponse()
            return response.status, response.read().decode(), response.getheader("set-cookie") or ""
        finally:
            own.close()

    def _login(self, user, password="sesame"):
        return self._ask("/login", urllib.parse.urlencode({"user": user, "password": password}),
                         Content_Type="application/x-www-form-urlencoded")

    def _cookie(self, user):
        status, said, cookie = self._login(user)
        self.assertEqual(200, status, said)
        return cookie.split(";")[0], json.loads(said)

    def _sees(self, cookie):
        return self._ask("/api/snapshot.json", Cookie=cookie)[0]

    def who_is_listed_gets_in_with_the_password_that_postgresql_knows(self):
        pooler = self._watched()
        for user, admin in (("sara", True), ("mads", False)):
            cookie, said = self._cookie(user)
            self.assertEqual((user, admin), (said["user"], said["admin"]))
            self.assertEqual(200, self._sees(cookie))
            basic = base64.b64encode(f"{user}:sesame".encode()).decode()
            self.assertEqual(200, self._ask("/api/snapshot.json", Authorization=f"Basic {basic}")[0])
            self.assertEqual(403, self._login(user, "wrong")[0])
        # Those of auth_file are looked for there, as ever.
        self.assertEqual(200, self._login("admin", "admin")[0])
        self.assertEqual(200, self._login("stats", "stats")[0])
        # A question leaves no client behind, and no line about one.
        self.assertEqual([], [row for row in pooler.console(password="admin").query("SHOW CLIENTS").dicts() if row["user"] != "admin"])
        self.assertNotIn("closing because: its question", pooler.log())

    @full_only
    def who_is_not_listed_or_does_not_exist_is_refused_alike(self):
        self._watched(stats_users="stats")
        seen = {self._login(user, password)[:2] for user, password in (
            ("mads", "sesame"), ("mads", "wrong"), ("nosuchuser", "sesame"), ("sara", "wrong"), ("admin", "wrong"))}
        self.assertEqual(1, len(seen), seen)
        self.assertEqual(403, seen.pop()[0])
        # Without auth_dbname nobody is asked.
        before = self.asked()
        self._watched(auth_dbname="")
        self.assertEqual(403, self._login("sara")[0])
        self.assertEqual(before, self.asked())

    @full_only
    def one_question_serves_many_who_come_at_once(self):
        self._watched()
        before, seen = self.asked(), []
        self.together(*[lambda: seen.append(self._login("sara")[0])] * 10)
        self.assertEqual([200] * 10, seen)
        self.assertLessEqual(self.asked() - before, 2)

    def a_visit_ends_when_the_password_is_another(self):
        pooler = self._watched(auth_query_keep=0)
        cookie, _ = self._cookie("sara")
        self.assertEqual(200, self._sees(cookie))
        self.pg.value("ALTER ROLE sara PASSWORD 'other'")
        try:
            # The next question brings the new secret: that of somebody else who tries, or our own after half a minute.
            self.assertEqual(403, self._login("sara")[0])
            self.assertEqual(401, self._sees(cookie))
            self.assertEqual(200, self._login("sara", "other")[0])
        finally:
            self.pg.value("ALTER ROLE sara PASSWORD 'sesame'")
        self.assertIsNone(pooler.process.poll())

    def while_postgresql_can_not_be_asked_nobody_new_gets_in_and_who_is_in_stays(self):
        pooler = self._watched(auth_query="SELECT name, secret FROM nowhere WHERE name = $1", auth_query_keep=0)
        status, said, _ = self._login("sara")
        self.assertEqual(503, status, said)
        self.assertIn("could not be asked", said)
        pooler.await_log('auth_query for user "sara" failed')
        self.assertEqual(200, self._login("admin", "admin")[0])
        console = pooler.console(password="admin")
        standard = next(row["default"] for row in console.query("SHOW CONFIG").dicts() if row["key"] == "auth_query")
        broken = pooler.settings["auth_query"]

        def reload(sql):
            pooler.settings["auth_query"] = sql
            pooler.write_files()
            self.assertEqual(["RELOAD"], console.query("RELOAD").tags)
        reload(standard)
        cookie, _ = self._cookie("sara")
        reload(broken)
        self.assertEqual(503, self._login("sara")[0])
        self.assertEqual(200, self._sees(cookie))
        reload(standard)
        self.assertEqual(200, self._login("sara")[0])
