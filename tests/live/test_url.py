"""`pgweir serve URL`: a pool without a file, made from nothing but PostgreSQL's URL."""
import os
import pathlib
import subprocess

from harness import Pooler, Story, live


class FromUrl(Pooler):
    """A pooler that is given a URL instead of a file."""

    def __init__(self, url, arguments=(), **options):
        super().__init__(**options)
        self.url, self.arguments = url, list(arguments)

    def command(self):
        return [str(live.bin), "serve", self.url, "--listen", f"127.0.0.1:{self.port}", *self.arguments]


class Url(Story):
    kinds = ("pgweir",)

    def _serve(self, user="by_scram:sea-salt", database="app", arguments=(), **options):
        pooler = FromUrl(f"postgresql://{user}@127.0.0.1:{self.pg.port}/{database}", arguments, **options)
        self.keep(pooler)
        pooler.start()
        return pooler

    def the_urls_password_opens_both_doors(self):
        pooler = self._serve()
        client = pooler.client(user="by_scram", password="sea-salt")
        self.assertEqual("by_scram app", client.value("SELECT current_user || ' ' || current_database()"))
        self.refused(pooler.client, user="by_scram", password="sea-sand", sqlstate="28P01")
        self.refused(pooler.client, user="other", password="sea-salt")

    def md5_and_clear_text_servers_are_reached_as_well(self):
        for user, quoted in (("by_md5", "five"), ("by_password", "clear%20text,%20spaced")):
            pooler = self._serve(user=f"{user}:{quoted}")
            client = pooler.client(user=user, password=quoted.replace("%20", " "))
            self.assertEqual(user, client.value("SELECT current_user"))

    def the_first_lines_say_what_it_does_and_how_to_connect(self):
        pooler = self._serve()
        said = pooler.log().splitlines()
        self.assertIn(f"in front of PostgreSQL at 127.0.0.1 port {self.pg.port}; this database of it", said[0])
        self.assertIn("lent for one transaction at a time, 20 at most", said[1])
        self.assertIn(f"psql 'postgresql://by_scram@127.0.0.1:{pooler.port}/app'", said[2])
        self.assertNotIn("sea-salt", pooler.log())

    def what_it_says_to_type_works(self):
        pooler = self._serve()
        for line, answer in ((2, "1"), (3, None)):
            url = pooler.log().splitlines()[line].split("'")[1]
            done = subprocess.run(["psql", "-XAtc", "SELECT 1" if answer else "SHOW VERSION", url], capture_output=True,
                                  text=True, timeout=60, env={**os.environ, "PGPASSWORD": "sea-salt"})
            self.assertEqual(0, done.returncode, done.stderr)
            if answer:
                self.assertEqual(answer, done.stdout.strip())

    def the_password_does_not_stay_in_the_list_of_processes(self):
        pooler = self._serve()
        words = pathlib.Path(f"/proc/{pooler.pid}/cmdline").read_bytes()
        self.assertIn(b"by_scram:********@", words)
        self.assertNotIn(b"sea-salt", words)

    def a_password_of_the_environment_will_do(self):
        pooler = self._serve(user="by_scram", environment={"PGPASSWORD": "sea-salt"})
        client = pooler.client(user="by_scram", password="sea-salt")
        self.assertEqual("by_scram", client.value("SELECT current_user"))

    def a_named_database_is_the_only_one_and_none_means_any(self):
        self.refused(self._serve().client, user="by_scram", password="sea-salt", database="app2")
        pooler = self._serve(database="")
        for name in ("app", "app2"):
            client = pooler.client(user="by_scram", password="sea-salt", database=name)
            self.assertEqual(name, client.value("SELECT current_database()"))
        pooler.await_log("every database of it")

    def without_a_password_the_door_is_open_on_this_machine_and_said_to_be(self):
        pooler = self._serve(user="app")
        self.assertEqual("app", pooler.client().value("SELECT current_user"))
        pooler.await_log("There is no password: whoever has an account on this machine can connect")

    def its_options_win_over_the_url(self):
        pooler = self._serve(arguments=["-o", "default_pool_size=3"])
        pooler.await_log("3 at most")
        console = pooler.client(user="by_scram", password="sea-salt", database="pgweir")
        rows = {row["key"]: row["value"] for row in console.query("SHOW CONFIG").dicts()}
        self.assertEqual("3", rows["default_pool_size"])

    def reload_keeps_what_the_url_said(self):
        pooler = self._serve()
        console = pooler.client(user="by_scram", password="sea-salt", database="pgweir")
        console.query("RELOAD")
        client = pooler.client(user="by_scram", password="sea-salt")
        self.assertEqual("1", client.value("SELECT 1"))

    def what_can_not_be_is_said_without_the_password(self):
        for arguments, says in ((["postgresql://app:se/cret@h:5432/d"], "%2F"),
                                (["postgresql://app@h/d", "--listen", "0.0.0.0:6432"], "without a password"),
                                (["postgresql://app:secret@h/d?sslmod=require"], 'did you mean "sslmode"?'),
                                (["postgresql://app:secret@h/d", "--listen", "here:there"], "is no port"),
                                (["pgweir.ini", "--listen", "6432"], "--listen goes with a URL")):
            done = subprocess.run([live.bin, "serve", *arguments], capture_output=True, text=True, timeout=60)
            self.assertEqual(1, done.returncode, done)
            self.assertIn(says, done.stderr)
            self.assertNotIn("cret@", done.stderr)
