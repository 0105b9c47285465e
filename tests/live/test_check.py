"""`pgweir init` and `pgweir check`: a file that fits its PostgreSQL, and what a file means."""
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

from harness import HERE, Ran, Story, free_port, live, takes
from test_failover import hosts, primary, standby

INCIDENT = HERE.parent.parent / "examples/incident/pgbouncer.ini"


def run(*arguments, password="", cwd=None):
    environment = {**os.environ, "PGPASSFILE": "/nonexistent"}
    environment.pop("PGPASSWORD", None)
    if password:
        environment["PGPASSWORD"] = password
    return Ran(subprocess.run([live.bin, *map(str, arguments)], capture_output=True, timeout=50, env=environment, cwd=cwd))


def value(ini, key):
    return re.search(rf"^{key} = (.*)$", ini, re.MULTILINE).group(1)


class Init(Story):
    kinds = ("pgweir",)

    def _url(self, user="by_scram:sea-salt", database="app", pg=None):
        return f"postgresql://{user}@127.0.0.1:{(pg or self.pg).port}/{database}"

    def _init(self, folder, *arguments, **options):
        ran = run("init", self._url(**options), "-o", folder / "shop.ini", "--sample", "0.1", *arguments)
        self.assertEqual(0, ran.status, ran)
        return ran, (folder / "shop.ini").read_text()

    def what_it_writes_is_checked_served_and_logged_in_to(self):
        folder = self.own_folder()
        ran, ini = self._init(folder)
        self.assertIn("pgweir check", ran.out)
        ran = run("check", folder / "shop.ini")
        self.assertEqual(0, ran.status, ran)
        self.assertIn("max_connections 120", ran.out)
        pooler = self.pooler(databases={"app": "dbname=app"})      # its port and its end; the file is ours
        pooler.stop()
        pooler.command = lambda: [str(live.bin), "serve", str(folder / "shop.ini"), "-o", f"listen_port={pooler.port}"]
        for path in (folder, *folder.iterdir()):
            os.chown(path, os.stat(pooler.folder).st_uid, os.stat(pooler.folder).st_gid)
        pooler.start()
        client = pooler.client(user="by_scram", password="sea-salt")
        self.assertEqual("by_scram", client.value("SELECT current_user"))

    def the_list_of_users_is_readable_by_nobody_else(self):
        folder = self.own_folder()
        _, ini = self._init(folder)
        self.assertNotIn("sea-salt", ini)
        users = folder / "shop-users.txt"
        self.assertEqual(str(users), value(ini, "auth_file"))
        self.assertEqual(0o600, stat.S_IMODE(users.stat().st_mode))
        self.assertIn('"by_scram" "sea-salt"', users.read_text())

    def sizes_leave_room_for_those_who_do_not_come_through_it(self):
        folder = self.own_folder()
        pg = self.postgres(max_connections=40)
        others = [pg.admin("app2") for _ in range(12)]
        _, ini = self._init(folder, "--cores", "16", pg=pg)
        # 40 - 3 reserved - 5 of head-room - 12
        self.assertEqual("20", value(ini, "max_db_connections"))
        self.assertEqual("20", value(ini, "default_pool_size"))
        self.assertEqual("0", value(ini, "reserve_pool_size"))
        self.assertRegex(ini, r";;\s+12  postgres@app2")
        for other in others:
            other.close()

    def the_limit_of_a_role_is_the_size(self):
        folder = self.own_folder()
        with self.pg.admin() as admin:
            admin.query("ALTER ROLE by_scram CONNECTION LIMIT 7")
        try:
            _, ini = self._init(folder, "--cores", "16")
        finally:
            with self.pg.admin() as admin:
                admin.query("ALTER ROLE by_scram CONNECTION LIMIT -1")
        self.assertEqual(["6", "6", "6"],
                         [value(ini, key) for key in ("default_pool_size", "max_db_connections", "max_user_connections")])
        self.assertIn("the role may have 7", ini)

    def a_superuser_copies_the_secrets_of_all_roles(self):
        folder = self.own_folder()
        pg = self.postgres()
        with pg.admin() as admin:
            admin.query("CREATE ROLE chief SUPERUSER LOGIN PASSWORD 'of all'")
        hba = pg.data / "pg_hba.conf"
        hba.write_text("host all chief samehost scram-sha-256\n" + hba.read_text())
        with pg.admin() as admin:
            admin.query("SELECT pg_reload_conf()")
        ran, ini = self._init(folder, user="chief:of%20all", pg=pg)
        users = (folder / "shop-users.txt").read_text()
        self.assertIn('"chief" "of all"', users)
        self.assertRegex(users, r'"by_scram" "SCRAM-SHA-256\$4096:')
        self.assertRegex(users, r'"by_md5" "md5[0-9a-f]{32}"')
        self.assertIn("is a superuser", ini)

    def what_is_there_is_not_written_over_unless_forced(self):
        folder = self.own_folder()
        (folder / "shop.ini").write_text("mine")
        ran = run("init", self._url(), "-o", folder / "shop.ini", "--sample", "0.1")
        self.assertEqual(1, ran.status, ran)
        self.assertEqual("mine", (folder / "shop.ini").read_text())
        self.assertIn("it is there already (--force", ran.err)
        self.assertFalse((folder / "shop-users.txt").exists())
        self._init(folder, "--force")

    def where_it_can_not_write_no_secret_is_left_behind(self):
        folder = self.own_folder()
        (folder / "shop.ini").mkdir()
        for path, why in (("shop.ini", "it is a folder"), ("nowhere/shop.ini", "No such file")):
            ran = run("init", self._url(), "-o", folder / path, "--sample", "0.1", cwd=folder)
            self.assertEqual(1, ran.status, ran)
            self.assertIn(f'could not write "{folder / path}": {why}', ran.err)
            self.assertNotIn("--force", ran.err)
            self.assertEqual(["shop.ini"], [each.name for each in folder.iterdir()])

    def without_a_file_it_is_printed(self):
        ran = run("init", self._url(), "--sample", "0.1")
        self.assertEqual(0, ran.status, ran)
        self.assertIn("[databases]\napp = host=127.0.0.1", ran.out)
        self.assertIn("auth_file = users.txt is for you to write", ran.err)
        self.assertNotIn("sea-salt", ran.out + ran.err)

    def as_a_document_it_has_the_sizes_of_the_file_and_no_secret(self):
        folder = self.own_folder()
        ran, ini = self._init(folder, "--cores", "4", "--json")
        told = json.loads(ran.out)
        self.assertEqual((str(folder / "shop.ini"), str(folder / "shop-users.txt"), 1), (told["file"], told["auth_file"], told["users"]))
        self.assertEqual(ini, told["ini"])
        for key, size in told["sizes"].items():
            self.assertEqual(value(ini, key), str(size), key)
        self.assertEqual((120, 3, 4, None), tuple(told["server"][key] for key in ("max_connections", "reserved", "cores", "role_limit")))
        printed = json.loads(run("init", self._url(), "--sample", "0.1", "--json").out)
        self.assertEqual((None, None), (printed["file"], printed["auth_file"]))
        self.assertIn("[pgbouncer]\n", printed["ini"])
        self.assertNotIn("sea-salt", ran.out + json.dumps(printed))

    def without_a_password_it_says_that_the_door_is_open(self):
        _, ini = self._init(self.own_folder(), user="app")
        self.assertEqual("trust", value(ini, "auth_type"))
        self.assertIn("whoever reaches listen_addr is let in", ini)

    def what_can_not_be_has_its_exit_status(self):
        for arguments, status, says in (((), 2, "which PostgreSQL"), (("shop.ini",), 2, "no postgresql:// URL"),
                                        ((self._url(), "--listen", "x"), 2, "ADDRESS:PORT"),
                                        ((self._url(), "--ouptut", "x"), 2, "Did you mean --output?"),
                                        ((self._url(database="pgweir"),), 2, "a pooler's console"),
                                        (("postgresql://app@127.0.0.1:1/x",), 1, "127.0.0.1"),
                                        ((self._url(user="by_scram:wrong"),), 1, "password")):
            ran = run("init", *arguments)
            self.assertEqual(status, ran.status, ran)
            self.assertIn(says, ran.err)

    def through_a_pooler_it_does_not_measure(self):
        pooler = self.pooler()
        ran = run("init", f"postgresql://app@127.0.0.1:{pooler.port}/app")
        self.assertEqual(1, ran.status, ran)
        self.assertIn("pooler", ran.err)


class Check(Story):
    kinds = ("pgweir",)

    def _file(self, settings="", databases=None, users='"by_password" "clear text, spaced"\n'):
        folder = self.own_folder()
        (folder / "users.txt").write_text(users)
        (folder / "shop.ini").write_text(
            "[databases]\n" + (databases or f"app = host=127.0.0.1 port={self.pg.port}\n")
            + f"[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = scram-sha-256\nauth_file = {folder}/users.txt\n"
            + "pool_mode = transaction\nquery_wait_timeout = 8\n" + settings)
        return folder / "shop.ini"

    def it_says_what_it_understood_and_asks_the_server_as_the_file_says(self):
        ran = run("check", self._file("default_pool_size = 7\n"))
        self.assertEqual(0, ran.status, ran)
        words = " ".join(ran.out.split())
        self.assertIn("transaction pooling, 7 servers for each user and 0 in reserve", words)
        self.assertIn("max_connections 120, 3 reserved", words)
        self.assertIn("client_limit_counts is busy here, as PgBouncer has it: all", words)

    def entries_that_say_the_same_are_one_line(self):
        tenants = "".join(f"tenant_{n} = host=10.0.0.1\n" for n in range(100, 200))
        ran = run("check", self._file("default_pool_size = 3\n", tenants + "other = host=10.0.0.2 dbname=shop user=by_password\n"
                                      "big = host=10.0.0.1 pool_size=0\nsame = host=10.0.0.1 dbname=same pool_size=9\n"), "--offline")
        words = " ".join(ran.out.split())
        for says in ("tenant_110, tenant_111 and 88 more at 10.0.0.1 port 5432 ", "other at 10.0.0.2 port 5432, there shop, always as user by_password",
                     "database big at 10.0.0.1 port 5432: transaction pooling, as many servers as clients ask for",
                     "database same at 10.0.0.1 port 5432: transaction pooling, 9 servers for each user and 0 in reserve",
                     "databases transaction pooling, 3 servers for each user and 0 in reserve: "):
            self.assertIn(says, words)
        self.assertIn("No limit says how many servers its pools may have", words)
        self.assertLess(ran.out.split("waiting  ")[0].count("\n"), 25, ran)

    def sizes_beyond_the_server_are_danger(self):
        ran = run("check", self._file("default_pool_size = 200\n"))
        self.assertEqual(1, ran.status, ran)
        self.assertIn("D11 pools-exceed-slots", ran.out)
        self.assertEqual(0, run("check", self._file("default_pool_size = 3\n")).status)

    def a_limit_of_a_database_is_held_against_the_pool(self):
        with self.pg.admin() as admin:
            admin.query("ALTER DATABASE app CONNECTION LIMIT 4")
        try:
            ran = run("check", self._file("default_pool_size = 7\n"))
            strict = run("check", self._file("default_pool_size = 7\n"), "--strict")
        finally:
            with self.pg.admin() as admin:
                admin.query("ALTER DATABASE app CONNECTION LIMIT -1")
        self.assertEqual((0, 1), (ran.status, strict.status), ran)
        self.assertIn("D43 limit-below-pool", ran.out)
        self.assertIn("max_db_connections = 3", ran.out)

    def an_open_door_is_danger(self):
        ran = run("check", self._file("auth_type = any\nlisten_addr = *\n"), "--offline")
        self.assertEqual(1, ran.status, ran)
        self.assertIn("D44 open-door", ran.out)

    def secrets_that_everybody_may_read_are_named(self):
        here = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-open-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, here)
        here.chmod(0o755)
        users, ini = here / "users.txt", here / "shop.ini"
        users.write_text('"app" "hush"\n')

        def told(mode, entry=""):
            ini.write_text(f"[databases]\napp = host=127.0.0.1 {entry}\n[pgbouncer]\nauth_file = {users}\nuser = daemon\n")
            for each in (users, ini):
                each.chmod(mode)
            ran = run("check", ini, "--offline", "--json")
            found = [each for each in json.loads(ran.out)["findings"] if each["number"] == "D50"]
            self.assertNotIn("hush", ran.out)
            return found[0]["evidence"] if found else None
        self.assertEqual(f"Every user of this machine may read: {users}.", told(0o644))
        self.assertEqual(f"Every user of this machine may read: {ini}, {users}.", told(0o644, "password=hush"))
        self.assertIsNone(told(0o640, "password=hush"))
        here.chmod(0o750)
        self.assertIsNone(told(0o644, "password=hush"))

    def a_file_that_can_not_be_used_says_where(self):
        folder = self.own_folder()
        (folder / "hba.conf").write_text("host all all all trust\nhost all all all gss\n")
        for settings, says in (("pool_mod = session\n", 'did you mean "pool_mode"?'), ("default_pool_size = many\n", "allowed:"),
                               ("auth_file = /nonexistent/users\n", "auth_file"),
                               # What only the start would find out.
                               (f"auth_type = hba\nauth_hba_file = {folder}/hba.conf\n", 'hba.conf:2: the method "gss"'),
                               ("auth_type = hba\nauth_hba_file = /nonexistent/hba\n", "auth_hba_file: could not"),
                               ("client_tls_sslmode = require\nclient_tls_cert_file = /nonexistent/crt\nclient_tls_key_file = /nonexistent/key\n",
                                "client_tls_cert_file: could not"),
                               ("auth_type = cert\n", "client_tls_sslmode must be verify-full")):
            ran = run("check", self._file(settings), "--offline")
            self.assertEqual(2, ran.status, ran)
            self.assertIn(says, ran.err)
        self.assertEqual(2, run("check", "/nonexistent.ini").status)
        self.assertEqual(2, run("check").status)

    def a_file_of_many_things_is_understood_as_the_start_understands_it(self):
        """As people have them: included entries, quotes, a tenant for each database, auth_query, peers, carriage returns."""
        folder = self.own_folder()
        (folder / "tenants.ini").write_bytes(b"".join(b"tenant_%d = host=10.0.0.%d dbname=t user=t%d pool_size=2 reserve_pool=1\r\n" % (n, n, n)
                                                      for n in range(1, 200)))
        (folder / "more.ini").write_text("[pgbouncer]\nstats_users = stats, root\n[databases]\nlast = host=127.0.0.1\n")
        path = self._file("auth_user = asker\nauth_dbname = app\npeer_id = 2\nconffile = /elsewhere.ini\nignore_startup_parameters = extra_float_digits,options\n"
                          f"%include {folder}/more.ini\n[peers]\n1 = host=/run/one\n2 = host=/run/two\n3 = host=10.0.0.3 port=6433\n"
                          "[users]\n'odd name' = pool_mode=session\napp = max_user_connections=9\n",
                          "; a comment\n# another\n'odd-one' = host='127.0.0.1' dbname='it''s' connect_query='SELECT ''a b'''\n"
                          f"%include {folder}/tenants.ini\nseveral = host=one,two port=1,2 load_balance_hosts=disable\n* = auth_user=other\n")
        ran = run("check", path, "--offline")
        self.assertEqual((0, ""), (ran.status, ran.err), ran)
        words = " ".join(ran.out.split())
        for says in ("who is not there is asked for by auth_query as asker in app", "it is number 2; cancel requests go on to 1 at /run/one port 6432, 3 at 10.0.0.3 port 6433",
                     "TLS with clients: disable; with servers: prefer", "odd-one at 127.0.0.1 port 5432, there it's", "tenant_199 at 10.0.0.199 port 5432, there t, always as user t199",
                     "several at one port 1, two port 2 (the one that was good last; any that lets us in)", "stats_users: stats, root", "last at 127.0.0.1",
                     'conffile: RELOAD will read "/elsewhere.ini"'):
            self.assertIn(says, words)
        told = json.loads(run("check", path, "--offline", "--json").out)["meaning"]
        self.assertEqual((203, "asker", 2, "prefer"), (len(told["databases"]), told["auth_user"], told["peer_id"], told["server_tls_sslmode"]))
        self.assertEqual(0, run("serve", "--try", path).status)

    def a_server_that_does_not_answer_is_said_and_the_rest_is_checked(self):
        ran = run("check", self._file(databases="app = host=127.0.0.1 port=1\n"))
        self.assertEqual(0, ran.status, ran)
        self.assertIn("NOT ASKED", ran.out)

    def a_url_says_as_whom_to_ask(self):
        path = self._file(users='"by_md5" "md5' + "0" * 32 + '"\n')
        self.assertIn("NOT ASKED", run("check", path).out)
        ran = run("check", path, f"postgresql://app@127.0.0.1:{self.pg.port}/app")
        self.assertIn("max_connections 120", " ".join(ran.out.split()))

    def entries_of_several_servers_count_at_their_own(self):
        second = self.postgres(max_connections=20)
        path = self._file("default_pool_size = 30\n", f"app = host=127.0.0.1 port={self.pg.port}\n"
                          f"app2 = host=127.0.0.1 port={second.port} pool_size=10\n")
        ran = run("check", path, "--cores", "64")
        self.assertEqual(0, ran.status, ran)
        self.assertIn("max_connections 20,", " ".join(ran.out.split()))

    def options_win_as_they_do_for_serve(self):
        ran = run("check", self._file(), "-o", "default_pool_size=9", "--offline")
        self.assertIn("9 servers for each user", " ".join(ran.out.split()))

    def what_does_nothing_is_named(self):
        ran = run("check", self._file("pkt_buf = 8192\n"), "--offline")
        self.assertEqual(0, ran.status, ran)
        self.assertIn("pkt_buf is known, but not needed here", " ".join(ran.out.split()))

    def as_a_document_it_says_the_same(self):
        path = self._file("default_pool_size = 200\npkt_buf = 8192\n", f"app = host=127.0.0.1 port={self.pg.port}\n"
                          "far = host=127.0.0.1 port=1 pool_mode=session max_db_connections=4 user=by_password\n")
        words, ran = run("check", path), run("check", path, "--json")
        self.assertEqual((1, 1, ""), (words.status, ran.status, ran.err), ran)
        told = json.loads(ran.out)
        self.assertEqual((str(path), 1, True), (told["file"], told["exit_status"], told["complete"]))
        self.assertEqual((8, 1, 0), tuple(told["meaning"][key] for key in ("query_wait_timeout", "users_plain", "users_md5")))
        near, far = told["meaning"]["databases"]
        self.assertEqual((200, "transaction", None), (near["pool_size"], near["pool_mode"], near["max_db_connections"]))
        self.assertEqual(("session", 4, "by_password"), (far["pool_mode"], far["max_db_connections"], far["user"]))
        asked, silent = told["servers"]
        self.assertEqual((True, 120, 3), (asked["reached"], asked["max_connections"], asked["reserved"]))
        self.assertFalse(silent["reached"])
        self.assertIn("busy", {each["key"]: each["pgweir"] for each in told["differences"]}["client_limit_counts"])
        self.assertRegex(told["ignored"][0], "pkt_buf is known, but not needed here")
        self.assertEqual(re.findall(r"^\w+ +(D\d+)", words.out, re.MULTILINE), [each["number"] for each in told["findings"]])
        self.assertIn("D11", [each["number"] for each in told["findings"]])
        number = lambda word: f"{told[word + 's']} {word}{'' if told[word + 's'] == 1 else 's'}"
        self.assertIn(f'{told["danger"]} of danger, {number("warning")}, {number("note")}\n', words.out)
        ran = run("check", self._file("pool_mod = session\n"), "--offline", "--json")
        self.assertEqual((2, ""), (ran.status, ran.out))
        self.assertIn("pool_mode", ran.err)

    @takes(120)
    def several_hosts_are_asked_what_they_are(self):
        one = primary(self)
        two = standby(self, one)

        def found(*servers, more=""):
            ran = run("check", self._file(databases=f"app = {hosts(*servers, more=more)}\n", settings="server_connect_timeout = 3\n"),
                      "--json")
            told = json.loads(ran.out)
            return told, {each["number"] for each in told["findings"]} & {"D45", "D46", "D47", "D48", "D49"}
        told, numbers = found(one, two)
        self.assertEqual([True, True], [each["reached"] for each in told["servers"]], told["servers"])
        self.assertEqual({"D45"}, numbers)
        self.assertEqual([False, True], [each["hot_standby"] for each in told["servers"]])
        self.assertEqual(([one.port, two.port], "round-robin", "any"), tuple(
            told["meaning"]["databases"][0][key] for key in ("ports", "load_balance_hosts", "target_session_attrs")))
        gone = free_port()
        for servers, more, numbers in (((one, two), "target_session_attrs=primary", set()),
                                       ((one, two), "target_session_attrs=prefer-standby", set()),
                                       ((one, self.pg), "target_session_attrs=standby", {"D46"}),
                                       ((two,), "target_session_attrs=read-write", {"D46"}),
                                       ((one, gone), "target_session_attrs=primary", {"D47"}),
                                       ((one, self.pg), "target_session_attrs=primary", {"D48"})):
            self.assertEqual(numbers, found(*servers, more=more)[1], (servers, more))
        words = run("check", self._file(databases=f"app = {hosts(one, two, more='target_session_attrs=primary')}\n")).out
        self.assertIn(f"127.0.0.1 port {one.port}, 127.0.0.1 port {two.port} (in turn; wants primary)", " ".join(words.split()))
        self.assertIn("a hot standby", words)
        self.assertIn("D49 slow-to-leave", words)

    def the_ini_of_the_incident_gets_its_two_warnings(self):
        ran = run("check", INCIDENT, "--offline", "-o", "auth_file=")
        self.assertEqual(0, ran.status, ran)
        self.assertIn("What differs from PgBouncer", ran.out)
        for finding in ("D12 auth-md5", "D27 timeout-ladder", "0 of danger, 2 warnings"):
            self.assertIn(finding, ran.out)
