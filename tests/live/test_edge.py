"""The edge of a connection: what is asked before a login, what a startup packet may say, limits of time that meet what is ours, an end
of one direction alone. What PostgreSQL does is asked of it too."""
from harness import Story, wait_until


class Limits_of_time(Story):
    """Those that a client has set are in force when its server is asked what is left, and until the next one's are set. A lock makes that slow."""

    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.pg = self.postgres()
        self.admin = self.pg.admin("app")
        self.addCleanup(self.admin.close)

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
