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

    def _have_their_tests(self, page, row, count):
        """The last column of these rows names tests that there are."""
        rows = re.findall(row, (DOC / page).read_text(), re.MULTILINE)
        self.assertEqual(count, len(rows))
        self.assertTrue(rows)
        tests = "".join(path.read_text() for folder, names in ((HERE, "test_*.py"), (HERE.parent.parent / "src", "*/*_test.c"))
                        for path in folder.glob(names))
        for what, names in rows:
            for name in re.findall("`([a-z_0-9]+)`", names) or [""]:
                with self.subTest(what):
                    self.assertRegex(tests, rf"(def {name}\(self|static void {name}\(void)")

    def each_weakness_of_others_has_its_test(self):
        self._have_their_tests("security.md", r"^\| (CVE-[0-9-]+) \|.*\| ([^|]*) \|$", 7)

    def each_rule_of_ending_connections_has_its_test(self):
        page = (DOC / "leak-guard.md").read_text()
        count = page.split("| rule | what holds | the tests |")[1].split("\n\n")[0].count("\n|") - 1
        self._have_their_tests("leak-guard.md", r"^\| ([a-z][^|]*) \|[^|]*\| ((?:`[a-z_0-9]+`(?:, )?)+) \|$", count)

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
                // What rests in the pool is ended; the next is as good as the first.
                const admin = new Pool({ connectionString: process.env.CONSOLE_URL, max: 1 });
                await admin.query("KILL app");
                await admin.query("RESUME app");
                await admin.end();
                while (pool.totalCount > 0)
                    await new Promise((resolve) => setTimeout(resolve, 20));
                console.log(await order(7));
                await pool.end();
            })();
        """)
        self.assertEqual("1 1\n7\n", self._run("node", program, pooler=pooler, NODE_PATH=str(folder / "node_modules"),
                                               CONSOLE_URL=f"postgresql://admin:captain@127.0.0.1:{pooler.port}/pgweir"))

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

    @takes(40)
    def celerys_worker_answers_and_keeps_no_connection(self):
        pooler = self._pooler()
        folder = self.own_folder()
        shop = folder / "shop"
        for each in (shop, folder / "queue", folder / "results"):
            each.mkdir()
        (shop / "__init__.py").write_text("")
        (shop / "celery.py").write_text(block("celery.md", "python"))
        (shop / "tasks.py").write_text("""
import os
from celery import shared_task
from django.db import connection


@shared_task
def work(number):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s + 0, current_setting('application_name')", [number])
        return [os.getpid(), *cursor.fetchone()]
""")
        (shop / "settings.py").write_text(f"""
SECRET_KEY = "x"
INSTALLED_APPS = ["shop"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": "{pooler.port}", "NAME": "app",
                          "USER": "by_scram", "PASSWORD": "sea-salt", "CONN_MAX_AGE": 0,
                          "OPTIONS": {{"application_name": "shop-jobs"}}}}}}
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {{"data_folder_in": "{folder}/queue", "data_folder_out": "{folder}/queue"}}
CELERY_RESULT_BACKEND = "file://{folder}/results"
""")
        environment = {**os.environ, "PYTHONPATH": str(folder), "C_FORCE_ROOT": "1"}
        with open(folder / "log", "wb") as log:
            worker = subprocess.Popen(["/usr/bin/python3", "-m", "celery", "-A", "shop.celery", "worker", "--pool", "prefork", "--concurrency", "2",
                                       "--without-gossip", "--without-mingle", "--without-heartbeat"], cwd=folder, env=environment,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            asked = subprocess.run(["/usr/bin/python3", "-c", """
from shop.celery import app
from shop.tasks import work
results = [work.delay(number) for number in range(20)]
answers = [result.get(timeout=60) for result in results]
print(sorted(answer[1] for answer in answers) == list(range(20)), {answer[2] for answer in answers})
"""], cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
            said = (folder / "log").read_text()
            self.assertEqual("True {'shop-jobs'}\n", asked.stdout, asked.stderr[-2000:] + said[-2000:])
            with pooler.client(user="admin", password="captain", database="pgweir") as console:
                # The worker lives on, and has closed what its tasks used.
                wait_until("no connection is left", lambda: "shop-jobs" not in str(console.query("SHOW CLIENTS").dicts()))
            self.assertIsNone(worker.poll(), said[-2000:])
        finally:
            worker.terminate()
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait(10)

    def a_child_that_closes_its_parents_connection_ends_it(self):
        """Why celery.md says that a child must not."""
        pooler = self._pooler()
        program = self.own_folder() / "program.py"
        program.write_text("""
import os
import psycopg2
connection = psycopg2.connect(os.environ["DATABASE_URL"])
child = os.fork()
if child == 0:
    connection.close()
    os._exit(0)
os.waitpid(child, 0)
try:
    connection.cursor().execute("SELECT 1")
    print("lives")
except psycopg2.OperationalError:
    print("ended")
""")
        self.assertEqual("ended\n", self._run("/usr/bin/python3", program, pooler=pooler))

    def rails_settings_hold_with_active_record_itself(self):
        pooler = self._pooler(default_pool_size=1)
        folder = self.own_folder()
        (folder / "database.yml").write_text(block("rails.md", "yaml").replace("6432", str(pooler.port)).replace(
            "username: app", "username: by_scram").replace("password: secret", "password: sea-salt"))
        (folder / "program.rb").write_text("""
require "yaml"
require "active_record"
ActiveRecord::Base.establish_connection(YAML.load_file(ARGV[0])["production"])
class Word < ActiveRecord::Base; end
base = ActiveRecord::Base
base.connection.execute("DROP TABLE IF EXISTS words")
ActiveRecord::Migration.suppress_messages do
  ActiveRecord::Migration[6.1].create_table(:words) { |table| table.string :text }
end
# Four threads on the one server of the pool, with prepared statements and transactions.
said = 4.times.map { |i| Thread.new { base.connection_pool.with_connection {
  10.times { |k| Word.transaction { Word.create!(text: "#{i} #{k}"); Word.find_by(text: "#{i} #{k}") or raise "lost" } }
  [base.connection.select_value("SHOW statement_timeout"), base.connection.select_value("SHOW application_name"),
   base.connection.prepared_statements] } } }.map(&:value)
puts Word.count, said.uniq.inspect
connection = base.connection
puts connection.get_advisory_lock(4711), connection.release_advisory_lock(4711)
connection.execute("DROP TABLE words")
""")
        self.assertEqual("40\n" + '[["30s", "shop-web", true]]' + "\ntrue\ntrue\n",
                         self._run("ruby", folder / "program.rb", folder / "database.yml", pooler=pooler))

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
