"""What doc/ prints for applications, done as it stands there: only host, port and password are those of the test."""
import os
import re
import subprocess

from harness import HERE, Story, live, takes, wait_until

DOC = HERE.parent.parent / "doc"


def block(page, kind, number=0):
    return re.findall(rf"^```{kind}\n(.*?)^```", (DOC / page).read_text(), re.MULTILINE | re.DOTALL)[number]


class Pages(Story):
    kinds = ("pgweir",)

    def _pooler(self, **settings):
        return self.pooler(settings={"auth_type": "scram-sha-256", "default_pool_size": 2, **settings},
                           userlist={"by_scram": "sea-salt", "admin": "captain"})

    def _run(self, *words, pooler, timeout=50, **environment):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, "DATABASE_URL": f"postgresql://by_scram:sea-salt@127.0.0.1:{pooler.port}/app",
                                   **environment})
        self.assertEqual(0, done.returncode, done.stdout[-2000:] + done.stderr[-3000:])
        return done.stdout

    def sqlalchemys_program_has_its_statement_timeout(self):
        pooler = self._pooler()
        folder = self.own_folder()
        (folder / "program.py").write_text(block("sqlalchemy.md", "python"))
        self.assertEqual("30s\n", self._run("/usr/bin/python3", folder / "program.py", pooler=pooler))

    @takes(200)
    def nodes_program_answers_and_releases(self):
        pooler = self._pooler()
        folder = HERE / "node"
        if not (folder / "node_modules" / ".package-lock.json").exists():
            self._run("npm", "ci", "--no-audit", "--no-fund", "--prefix", folder, pooler=pooler, timeout=150)
        program = self.own_folder() / "program.js"
        program.write_text(block("node.md", "js") + """
            (async () => {
                for (let i = 0; i < 30; i++)
                    if (await order(i) !== i) throw new Error("wrong answer");
                console.log(pool.totalCount, pool.idleCount);
                await pool.end();
            })();
        """)
        self.assertEqual("1 1\n", self._run("node", program, pooler=pooler, NODE_PATH=str(folder / "node_modules")))

    def djangos_settings_are_what_the_doctor_calls_healthy_and_keep_no_connection(self):
        pooler = self._pooler()
        folder = self.own_folder()
        settings = block("django.md", "python").replace('"6432"', f'"{pooler.port}"').replace('"USER": "app"', '"USER": "by_scram"')
        (folder / "settings.py").write_text("ASGI_APPLICATION = 'shop.asgi.application'\n"
                                            + settings.replace('"secret"', '"sea-salt"'))
        (folder / "program.py").write_text(block("django.md", "python", 1) + f"""
import sys
sys.path.insert(0, {str(folder)!r})
import settings
from django.conf import settings as configured
configured.configure(DATABASES=settings.DATABASES)
import django
django.setup()

def save(question):
    with connections["default"].cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0] + question

print(asyncio.run(reply(save, "!")))
""")
        self.assertEqual("30s!\n", self._run("/usr/bin/python3", folder / "program.py", pooler=pooler))
        with pooler.client(user="admin", password="captain", database="pgweir") as console:
            wait_until("no connection of the application is left", lambda: "by_scram" not in
                       [row["user"] for row in console.query("SHOW CLIENTS").dicts()])
        said = self._run(live.bin, "doctor", folder / "settings.py", pooler=pooler)
        self.assertIn("0 of danger", said)

    def what_rails_sends_holds_in_transaction_mode(self):
        pooler = self._pooler(default_pool_size=1, max_db_connections=1)
        first = pooler.client(user="by_scram", password="sea-salt")
        other = pooler.client(user="by_scram", password="sea-salt")
        first.query("SET SESSION statement_timeout TO '30s'")
        self.assertEqual("30s", first.value("SHOW statement_timeout"))
        self.assertEqual("0", other.value("SHOW statement_timeout"))
        self.assertEqual("t", first.value("SELECT pg_try_advisory_lock(4711)"))
        with pooler.client(user="admin", password="captain", database="pgweir") as console:
            wait_until("the lock pins", lambda: "advisory lock" in str(console.query("SHOW PINS").dicts()))
            self.assertEqual("t", first.value("SELECT pg_advisory_unlock(4711)"))
            wait_until("nothing pins any more", lambda: not console.query("SHOW PINS").dicts())
        self.assertEqual("1", other.value("SELECT 1"))

    def a_file_of_pgbouncer_is_tried_beside_it_and_included(self):
        folder = self.own_folder()
        old = folder / "pgbouncer.ini"
        (folder / "users.txt").write_text('"by_scram" "sea-salt"\n')
        old.write_text(f"[databases]\napp = host=127.0.0.1 port={self.pg.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                       f"auth_type = scram-sha-256\nauth_file = {folder}/users.txt\npool_mode = transaction\n"
                       f"logfile = {folder}/nowhere/log\npidfile = {folder}/nowhere/pid\nunix_socket_dir =\n")
        new = folder / "new.ini"
        new.write_text(f"%include {old}\n[pgweir]\nleak_action = notice\n")
        os.chmod(folder, 0o755)
        for path in (old, new):
            pooler = self.pooler()
            pooler.stop()
            pooler.command = lambda path=path, pooler=pooler: [
                str(live.bin), "serve", str(path), "-o", f"listen_port={pooler.port}", "-o", "pidfile=", "-o", "logfile="]
            pooler.start()
            self.assertEqual("1", pooler.client(user="by_scram", password="sea-salt").value("SELECT 1"))
