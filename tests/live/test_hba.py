"""auth_type=hba: who may come in from where, and proven how."""
import os
import pwd

from harness import Story, helper, on, wait_until
from names import NameServer
from wire import Client, startup

BOTH = ("pgweir", "pgbouncer")
ME = pwd.getpwuid(os.geteuid()).pw_name

RULES = """# TYPE DATABASE USER ADDRESS METHOD
local all           admin               trust
local app,app2      @friends            peer map=staff
host  pgbouncer     admin 127.0.0.1/32  trust
host  all           other all           reject
host  app           app   127.0.0.1/32  scram-sha-256
host  app           third 127.0.0.0 255.0.0.0 md5
hostssl all         all   all           trust
"""


class Rules(Story):
    kinds = BOTH

    def _pooler(self, rules=RULES, maps=None, settings=None):
        files = {"hba.conf": rules, "ident.conf": maps or f'staff "{ME}" app\n', "friends": "app, third\n"}
        pooler = self.pooler(userlist={"app": "one", "other": "two", "third": "three", "admin": "four"}, files=files,
                             settings={"auth_type": "trust"} | (settings or {}))
        return pooler

    def _guarded(self, **options):
        """A pooler whose files stand in its own folder, which is known only once it is there."""
        pooler = self._pooler(**options)
        pooler.settings |= {"auth_type": "hba", "auth_hba_file": pooler.folder / "hba.conf",
                            "auth_ident_file": pooler.folder / "ident.conf"}
        pooler.write_files()
        with Client(pooler.address, user="admin", database="pgbouncer") as console:
            console.query("RELOAD")
        return pooler

    def each_comes_in_by_the_rule_that_fits(self):
        pooler = self._guarded()
        client = pooler.client(password="one")
        self.assertEqual([10, 11, 12, 0], client.auth)
        self.assertEqual("app", client.value("SELECT current_user"))
        self.assertEqual([5, 0], pooler.client(user="third", password="three").auth)
        self.assertEqual([0], pooler.console().auth)
        self.refused(pooler.client, password="wrong", sqlstate="28P01")

    def whom_a_rule_rejects_is_told_so(self):
        pooler = self._guarded()
        error = self.refused(pooler.client, user="other", password="two")
        self.assertEqual("28000", error.sqlstate)
        self.assertEqual('auth_hba_file rejects host "127.0.0.1", user "other", database "app"', error.message)
        pooler.await_log("line 5 of auth_hba_file")

    def whom_no_rule_fits_stays_outside(self):
        pooler = self._guarded()
        error = self.refused(pooler.client, user="app", database="app2", password="one")
        self.assertEqual("28000", error.sqlstate)
        self.assertIn("no entry of auth_hba_file fits", error.message)
        # Nothing is encrypted here, so the rule for encrypted connections lets nobody in.
        self.refused(pooler.client, user="admin", database="app", sqlstate="28000")

    def a_unix_socket_tells_who_is_there(self):
        pooler = self._guarded()
        with Client(pooler.socket_path, user="app", database="app") as client:
            self.assertEqual([0], client.auth)
            self.assertEqual("app", client.value("SELECT current_user"))
        error = self.refused(Client, pooler.socket_path, user="third", database="app")
        self.assertEqual(("28000", 'peer authentication failed for user "third"'), (error.sqlstate, error.message))

    @on("pgweir")
    def a_reload_with_a_broken_file_changes_nothing(self):
        pooler = self._guarded()
        console = pooler.console()
        for text, says in (("host all all 10.0.0.0/8 trust\nhost all all\n", "hba.conf:2: the address is missing"),
                           ("local all +staff trust\n", "hba.conf:1: +staff asks PostgreSQL for roles, which needs auth_user"),
                           ("include inner.conf\n", "inner.conf\": No such file"),
                           (None, "auth_hba_file: could not")):
            path = pooler.folder / "hba.conf"
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
            error = self.refused(console.query, "RELOAD")
            self.assertIn(says, error.message + (error.hint or "") + (error.detail or ""))
            self.assertEqual([10, 11, 12, 0], pooler.client(password="one").auth)
        (pooler.folder / "hba.conf").write_text("host all all all trust\n")
        console.query("RELOAD")
        self.assertEqual([0], pooler.client(user="other").auth)

    @on("pgweir")
    def hba_without_its_file_is_not_begun(self):
        pooler = self._pooler()
        console = pooler.console()
        error = self.refused(console.query, "SET auth_type = 'hba'")
        self.assertIn("auth_hba_file", error.message + (error.hint or "") + (error.detail or ""))
        pooler.settings["auth_type"] = "hba"
        pooler.write_files()
        error = self.refused(console.query, "RELOAD")
        self.assertIn("auth_hba_file is not set", error.message + (error.hint or "") + (error.detail or ""))
        self.assertEqual([0], pooler.client().auth)


class Under_the_name_pgbouncer(Rules):
    """What PgBouncer says, and what it passes over."""
    kinds = ("pgweir",)

    def _pooler(self, rules=RULES, maps=None, settings=None):
        files = {"hba.conf": rules, "ident.conf": maps or f'staff "{ME}" app\n', "friends": "app, third\n"}
        return self.pooler(called="pgbouncer", userlist={"app": "one", "other": "two", "third": "three", "admin": "four"},
                           files=files, settings={"auth_type": "trust"} | (settings or {}))

    def whom_a_rule_rejects_is_told_so(self):
        self.refused(self._guarded().client, user="other", password="two", says="login rejected", sqlstate="08P01")

    def whom_no_rule_fits_stays_outside(self):
        self.refused(self._guarded().client, user="app", database="app2", password="one",
                     says="no authentication method is found", sqlstate="08P01")

    def a_unix_socket_tells_who_is_there(self):
        self.refused(Client, self._guarded().socket_path, user="third", database="app", says="unix socket login rejected")

    def a_reload_with_a_broken_file_changes_nothing(self):
        pooler = self._guarded()
        (pooler.folder / "hba.conf").write_text("local all +staff trust\nhost all all all trust\n")
        pooler.console().query("RELOAD")
        pooler.await_log("this line is passed over")
        self.assertEqual([0], pooler.client(user="other").auth)

    def hba_without_its_file_is_not_begun(self):
        pooler = self._pooler()
        self.refused(pooler.console().query, "SET auth_type = 'hba'")


class Asked(Story):
    """Rules that depend on what somebody must be asked for: PostgreSQL for roles, name servers for hosts."""
    kinds = ("pgweir",)

    @helper
    def ruled(self, rules, settings=None, files=None, userlist=None, **options):
        """A pooler with these rules, at a PostgreSQL of its own when `pg` is given."""
        pooler = self.pooler(userlist={"app": "one", "other": "two", "admin": "four", **(userlist or {})},
                             files={"hba.conf": rules, **(files or {})},
                             settings={"auth_type": "trust", "auth_user": "admin", **(settings or {})}, **options)
        pooler.settings |= {"auth_type": "hba", "auth_hba_file": pooler.folder / "hba.conf",
                            "auth_ident_file": pooler.folder / "ident.conf" if "ident.conf" in (files or {}) else ""}
        pooler.write_files()
        with Client(pooler.address, user="admin", database="pgbouncer") as console:
            console.query("RELOAD")
        return pooler

    @helper
    def all_let_in(self, **options):
        """A PostgreSQL of this test's own, which believes everybody."""
        pg = self.postgres(**options)
        (pg.data / "pg_hba.conf").write_text("local all all trust\nhost all all samehost trust\n")
        self.sql(pg, "CREATE ROLE admin LOGIN SUPERUSER", "SELECT pg_reload_conf()")
        wait_until("PostgreSQL has read its rules", lambda: self._let_in(pg))
        return pg

    @staticmethod
    def _let_in(pg):
        with pg.admin() as admin:
            return admin.value("SELECT bool_or(user_name = '{all}' AND type = 'host') FROM pg_hba_file_rules") == "t"

    @helper
    def sql(self, pg, *statements):
        with pg.admin() as admin:
            for statement in statements:
                admin.query(statement)

    def members_of_a_role_come_in_and_others_do_not(self):
        pg = self.all_let_in(log_statement="all")
        self.sql(pg, "CREATE ROLE staff", "CREATE ROLE people", "GRANT staff TO people", "GRANT people TO app", "CREATE ROLE banned",
                 "CREATE ROLE app2", "GRANT app2 TO other")
        pooler = self.ruled("host pgbouncer admin all trust\nhost all +banned all reject\nhost all +staff all trust\n"
                            "host samerole all all trust\n", pg=pg, settings={"auth_query_keep": "3600"})
        for _ in range(3):  # through another role; the second time nobody is asked
            self.assertEqual("app", pooler.client().value("SELECT current_user"))
        self.assertEqual(1, pg.log_path.read_text().count("execute <unnamed>: WITH RECURSIVE found"))
        self.refused(pooler.client, user="other", sqlstate="28000", says="no entry of auth_hba_file fits")
        self.assertEqual("other", pooler.client(user="other", database="app2").value("SELECT current_user"))
        # A superuser is a member of what it was made a member of, and of nothing else.
        self.refused(pooler.client, user="admin", sqlstate="28000", says="no entry of auth_hba_file fits")
        self.sql(pg, "GRANT banned TO app")
        self.assertEqual("app", pooler.client().value("SELECT current_user"), "what was told holds for auth_query_keep")
        pooler.console().query("RELOAD")
        self.refused(pooler.client, sqlstate="28000", says="auth_hba_file rejects")

    def a_user_found_by_auth_query_may_come_in_by_its_role(self):
        pg = self.all_let_in()
        self.sql(pg, "CREATE ROLE staff", "CREATE ROLE sara LOGIN PASSWORD 'sesame' IN ROLE staff",
                 "CREATE ROLE mads LOGIN PASSWORD 'sesame'")
        pooler = self.ruled("host pgbouncer admin all trust\nhost all +staff all scram-sha-256\n", pg=pg)
        self.assertEqual("sara", pooler.client(user="sara", password="sesame").value("SELECT current_user"))
        self.refused(pooler.client, user="sara", password="wrong", sqlstate="28P01")
        self.refused(pooler.client, user="mads", password="sesame", sqlstate="28000")
        self.refused(pooler.client, user="nobody", password="sesame", sqlstate="28000")

    def who_can_not_be_asked_about_stays_outside(self):
        pg = self.all_let_in()
        pooler = self.ruled("host pgbouncer admin all trust\nhost app2 +banned all reject\nhost all all all trust\n", pg=pg,
                            settings={"auth_user": "nosuch"}, userlist={"nosuch": "x"})
        self.assertEqual([0], pooler.client().auth)
        error = self.refused(pooler.client, database="app2", sqlstate="57P03")
        self.assertEqual("the pooler could not ask PostgreSQL for this user's roles", error.message)
        pooler.await_log('asking for the roles of user "app" failed')
        # The console has no database to ask.
        (pooler.folder / "hba.conf").write_text("host pgbouncer +banned all reject\nhost all all all trust\n")
        console = Client(pooler.address, user="admin", database="pgbouncer")
        console.query("RELOAD")
        self.refused(Client, pooler.address, user="admin", database="pgbouncer", sqlstate="57P03",
                     says="could not find out this user's roles")
        pooler.await_log('the roles of user "admin" can not be asked for')
        pooler.await_log("line 1 of auth_hba_file")

    def a_host_comes_in_by_the_name_that_leads_back_to_it(self):
        server = NameServer({"db.weir.test": ["127.0.0.2"], "liar.weir.test": ["127.0.0.9"]},
                            pointers={"127.0.0.2": "db.weir.test", "127.0.0.3": "liar.weir.test"})
        self.addCleanup(server.stop)
        pooler = self.ruled("host pgbouncer admin all trust\nhost app app db.weir.test trust\nhost app2 app .Weir.Test trust\n"
                            "host all other liar.weir.test reject\nhost all other all trust\n",
                            settings={"resolv_conf": "resolv.conf", "listen_addr": "0.0.0.0"},
                            files={"resolv.conf": server.resolv_conf()})

        def login(source, **options):
            return pooler.client(source=(source, 0), **options)
        self.assertEqual("app", login("127.0.0.2").value("SELECT current_user"))
        self.assertEqual("app", login("127.0.0.2", database="app2").value("SELECT current_user"))
        # It says that it is liar.weir.test, which knows nothing of it; and one without a name.
        self.refused(login, "127.0.0.3", database="app2", sqlstate="28000", says="no entry of auth_hba_file fits")
        pooler.await_log("it is called liar.weir.test, which does not have its address")
        self.refused(login, "127.0.0.4", sqlstate="28000", says="no entry of auth_hba_file fits")
        self.assertEqual([0], login("127.0.0.4", user="other").auth)
        # Nobody can tell: it is let in by no name, and may be the one that is rejected.
        server.spoil = lambda answer: [answer[:3] + bytes([answer[3] & 0xf0 | 2]) + answer[4:]]  # SERVFAIL
        self.refused(login, "127.0.0.2", sqlstate="28000", says="no entry of auth_hba_file fits")
        self.refused(login, "127.0.0.2", user="other", sqlstate="57P03", says="could not find out the name of this client's host")
        pooler.await_log("the name of its host can not be told")
        # A RELOAD meanwhile, which makes the resolver anew, refuses nobody: the name is asked for again.
        server.spoil = lambda answer: []
        pointer = "2.0.0.127.in-addr.arpa"
        before = server.times_asked(pointer)
        waits = Client(pooler.address, login=False, source=("127.0.0.2", 0))
        self.addCleanup(waits.close)
        waits.send(startup({"user": "app", "database": "app"}))
        wait_until("its name is asked for", lambda: server.times_asked(pointer) > before)
        pooler.console().query("RELOAD")
        server.spoil = None
        self.assertEqual(b"R", waits.read()[0])

    def nobody_waits_for_a_name_server_that_is_silent(self):
        server = NameServer()
        self.addCleanup(server.stop)
        server.spoil = lambda answer: []
        pooler = self.ruled("host pgbouncer admin all trust\nhost all app db.weir.test trust\nhost all other all trust\n",
                            settings={"resolv_conf": "resolv.conf", "workers": "1"}, files={"resolv.conf": server.resolv_conf()})
        waits = Client(pooler.address, login=False, source=("127.0.0.5", 0))
        waits.send(startup({"user": "app", "database": "app"}))
        wait_until("the name is asked for", lambda: server.asked)
        self.assertEqual("other", pooler.client(user="other").value("SELECT current_user"))
        waits.close()
        self.assertEqual("other", pooler.client(user="other").value("SELECT current_user"))

    def this_host_is_known_and_regular_expressions_and_other_files(self):
        pooler = self.ruled("include_if_exists none.conf\ninclude_dir rules\ninclude last.conf\n",
                            files={"last.conf": "host pgbouncer admin samehost trust\nlocal all all peer map=m\n",
                                   "ident.conf": f"m /^({ME[0]})({ME[1:]}) nobody\ninclude maps\n", "maps": f'm "/^{ME}$" app\n',
                                   "rules/2.conf": "host all /^ap+$ samenet trust\n",
                                   "rules/1.conf": "host /2$ all all reject\n", "rules/3.off": "host all all all trust\n"})
        self.assertEqual("app", pooler.client().value("SELECT current_user"))
        self.refused(pooler.client, database="app2", sqlstate="28000", says="auth_hba_file rejects")
        pooler.await_log(f"line 1 of {pooler.folder}/rules/1.conf")
        self.refused(pooler.client, user="other", sqlstate="28000", says="no entry")
        self.assertEqual([0], Client(pooler.socket_path, user="app", database="app").auth)
        self.refused(Client, pooler.socket_path, user="other", database="app", sqlstate="28000", says="peer authentication failed")
