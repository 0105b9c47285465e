"""The application of the founding incident, not a line of it changed, in transaction mode while others make servers change hands."""
import os
import pathlib
import shutil
import subprocess

import wire
from harness import Story, live, takes, wait_until
from noise import Noise

HERE = pathlib.Path(__file__).resolve().parent


class Founding_application(Story):
    """Its own settings and models; with `transparency = off` the same work fails."""
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.site = self.own_folder() / "site"
        shutil.copytree(HERE.parents[1] / "examples" / "chat", self.site, ignore=shutil.ignore_patterns("__pycache__"))

    def _run(self, address, *arguments, seconds=150):
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore", "PGSSLMODE": "disable",
                       "PYTHONPATH": str(self.site), "DATABASE_HOST": address[0], "DATABASE_PORT": str(address[1]), "DATABASE_NAME": "app",
                       "DATABASE_USER": "app", "DATABASE_OPTIONS": "-c statement_timeout=30000"}
        done = subprocess.run(["/usr/bin/python3", *arguments], cwd=self.site, env=environment, timeout=seconds * wire.PATIENCE,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((0, ""), (done.returncode, done.stdout.decode()[-3000:]))

    @takes(200)
    def works_with_its_cursors_locks_and_listeners_unchanged(self):
        pooler = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 6, "server_round_robin": 1})
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS chat_message, django_migrations")
        with Noise(pooler.address, 100, live.seed, "app", user="app") as noise:
            self._run(pooler.address, "manage.py", "migrate", "--verbosity", "0")
            self._run(pooler.address, str(HERE / "founding.py"))
        self.assertEqual([], noise.failures)
        self.assertGreater(sum(noise.transactions), 0)
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE chat_message, django_migrations")
        if live.kind == "pgweir":
            wait_until("nobody keeps a server", lambda: not pooler.show("PINS"))
            self.assertLessEqual(self.pg.backends(user="app", extra="AND application_name <> 'pgweir listener'"), 6)
