"""auth_type=hba: who may come in from where, and proven how."""
import os
import pwd

import wire
from harness import Story, on
from wire import Client

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
        self.assertIn("line 5 of auth_hba_file", pooler.log())

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
                           ("local all +staff trust\n", "hba.conf:1: +ROLE is not built"), (None, "auth_hba_file: could not")):
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
        self.assertIn("this line is passed over", pooler.log())
        self.assertEqual([0], pooler.client(user="other").auth)

    def hba_without_its_file_is_not_begun(self):
        pooler = self._pooler()
        self.refused(pooler.console().query, "SET auth_type = 'hba'")
