"""Who may come in, how it is proven, and what an outsider can learn."""
import socket
import ssl
import struct
import time

import papers
import wire
from harness import ROLES, Story, live, on, wait_until
from wire import Client, md5_secret, message, scram_secret, text

BOTH = ("pgweir", "pgbouncer")
PASSWORD = "open Sesame, 'quoted' \"twice\" ü"


class Towards_clients(Story):
    kinds = BOTH

    def _userlist(self, secret):
        return {"app": secret, "admin": "admin", "stats": "stats"}

    def trust_asks_for_nothing(self):
        client = self.pooler(settings={"auth_type": "trust"}).client()
        self.assertEqual([0], client.auth)
        self.assertEqual("app", client.value("SELECT current_user"))

    def plain_asks_for_a_clear_password(self):
        for secret in (PASSWORD, md5_secret("app", PASSWORD), scram_secret(PASSWORD)):
            with self.subTest(secret[:6]):
                pooler = self.pooler(settings={"auth_type": "plain"}, userlist=self._userlist(secret))
                client = pooler.client(password=PASSWORD)
                self.assertEqual([3, 0], client.auth)
                self.assertEqual("1", client.value("SELECT 1"))
                self.refused(pooler.client, password=PASSWORD + "x")
                self.refused(pooler.client, password="")

    def md5_from_a_plain_and_from_an_md5_secret(self):
        for secret in (PASSWORD, md5_secret("app", PASSWORD)):
            pooler = self.pooler(settings={"auth_type": "md5"}, userlist=self._userlist(secret))
            client = pooler.client(password=PASSWORD)
            self.assertEqual([5, 0], client.auth)
            self.assertEqual("1", client.value("SELECT 1"))
            self.refused(pooler.client, password="wrong")

    def md5_turns_to_scram_where_the_secret_is_scram(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist=self._userlist(scram_secret(PASSWORD)))
        client = pooler.client(password=PASSWORD)
        self.assertEqual([10, 11, 12, 0], client.auth)
        self.refused(pooler.client, password="wrong")

    def scram_from_a_plain_and_from_a_scram_secret(self):
        for secret in (PASSWORD, scram_secret(PASSWORD), scram_secret(PASSWORD, iterations=1000)):
            pooler = self.pooler(settings={"auth_type": "scram-sha-256"}, userlist=self._userlist(secret))
            client = pooler.client(password=PASSWORD)
            self.assertEqual([10, 11, 12, 0], client.auth)
            self.assertEqual(["SCRAM-SHA-256"], client.mechanisms)
            self.assertEqual("1", client.value("SELECT 1"))
            self.refused(pooler.client, password="wrong")

    def scram_never_accepts_an_md5_secret(self):
        pooler = self.pooler(settings={"auth_type": "scram-sha-256"}, userlist=self._userlist(md5_secret("app", PASSWORD)))
        self.refused(pooler.client, password=PASSWORD)

    def md5_salts_differ_from_login_to_login(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist=self._userlist(PASSWORD))
        salts = set()
        for _ in range(10):
            client = pooler.client(password=PASSWORD)
            salts.add(next(body[4:8] for kind, body in client.seen if kind == b"R" and body[:4] == b"\0\0\0\5"))
        self.assertGreater(len(salts), 8)

    def a_quote_in_name_and_secret_of_the_user_list(self):
        with self.pg.admin() as admin:
            admin.query('DROP ROLE IF EXISTS "od""d"; CREATE ROLE "od""d" LOGIN')
        self.addCleanup(self.pg.value, 'DROP ROLE IF EXISTS "od""d"')
        pooler = self.pooler(settings={"auth_type": "plain"}, userlist={'od"d': 'pa"ss', "admin": "admin"},
                             databases={"app": "dbname=app user=app"})
        with Client(pooler.address, user='od"d', password='pa"ss') as client:
            self.assertEqual("1", client.value("SELECT 1"))

    @on("pgweir")
    def an_empty_password_is_refused(self):
        for auth_type in ("plain", "md5", "scram-sha-256"):
            pooler = self.pooler(settings={"auth_type": auth_type}, userlist=self._userlist(""))
            self.refused(pooler.client, password="")

    def a_wrong_password_hurts_nobody_else(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist=self._userlist(PASSWORD))
        client = pooler.client(password=PASSWORD)
        client.begin()
        for _ in range(20):
            self.refused(pooler.client, password="wrong")
        self.assertEqual("T", client.simple("SELECT 1").status)

    @on("pgweir")
    def a_password_message_out_of_place_is_no_way_in(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist=self._userlist(PASSWORD))
        for sample in (message(b"Q", text("SELECT 1")), wire.SYNC, message(b"p", b""), message(b"p", text("md5")),
                       message(b"p", b"x" * 4000), message(b"p", text("SCRAM-SHA-256") + struct.pack("!i", -1)), b"p" + struct.pack("!i", 1 << 29)):
            with Client(pooler.address, login=False) as client:
                client.send(wire.startup({"user": "app", "database": "app"}))
                client.read()
                client.send(sample)
                try:
                    for error in client.expect_closed(timeout=3 if sample.startswith(b"p\x20") else None):
                        self.assertNotEqual("", error.message)
                except wire.Late:
                    self.assertTrue(sample.startswith(b"p\x20"), f"left hanging: {sample[:20]}")
        pooler.client(password=PASSWORD).value("SELECT 1")

    def garbled_scram_messages_are_refused(self):
        pooler = self.pooler(settings={"auth_type": "scram-sha-256"}, userlist=self._userlist(PASSWORD))
        firsts = (b"", b"n,,", b"n,,n=,r=", b"y,,n=,r=abc", b"p=tls-unique,,n=,r=abc", b"n,a=other,n=,r=abc", b"n,,n=,r=abc,x=1",
                  b"n,,m=ext,n=,r=abc", b"n,,r=abc,n=", b"x" * 3000, b"n,,n=,r=\xff\xfe", b"n,,n=,r=abc\0def")
        for first in firsts:
            with Client(pooler.address, login=False) as client:
                client.send(wire.startup({"user": "app", "database": "app"}))
                client.read()
                client.send(message(b"p", text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
                try:
                    kind, body = client.read()
                    if kind == b"R":        # it was a good enough beginning; end it badly
                        for final in (b"c=biws,r=abc,p=AAAA",):
                            client.send(message(b"p", final))
                            errors = client.expect_closed()
                            self.assertTrue(errors)
                    else:
                        self.assertEqual(b"E", kind)
                except wire.Closed:
                    pass
        pooler.client(password=PASSWORD).value("SELECT 1")

    @on("pgweir")
    def an_unknown_mechanism_is_refused(self):
        pooler = self.pooler(settings={"auth_type": "scram-sha-256"}, userlist=self._userlist(PASSWORD))
        for name in ("SCRAM-SHA-256-PLUS", "PLAIN", ""):
            with Client(pooler.address, login=False) as client:
                client.send(wire.startup({"user": "app", "database": "app"}))
                client.read()
                client.send(message(b"p", text(name) + struct.pack("!i", 3) + b"n,,"))
                self.assertTrue(client.expect_closed())


class Outsiders(Story):
    """What somebody without a password can tell apart."""
    kinds = BOTH

    def _told(self, pooler, user, password, auth_type):
        """Every byte of a failing login, salts and nonces taken out."""
        told = []
        with Client(pooler.address, login=False) as client:
            try:
                client.login(user, "app", password)
                self.fail(f"{user} came in")
            except wire.Refused as error:
                told.append(sorted(error.fields.items()))
            try:
                client.expect_closed()
                told.append("closed")
            except wire.Late:
                told.append("open")
            for kind, body in client.seen:
                if kind == b"R":
                    code, = struct.unpack_from("!i", body)
                    if code == 5:
                        body = body[:4] + b"salt"
                    elif code == 11:
                        parts = dict(part.split("=", 1) for part in body[4:].decode().split(","))
                        body = f"r={len(parts['r'])} s={len(parts['s'])} i={parts['i']}".encode()
                    told.append((kind, body))
        return told

    def an_unknown_user_cannot_be_told_from_a_wrong_password(self):
        for auth_type, secret in (("plain", PASSWORD), ("plain", scram_secret(PASSWORD)), ("md5", PASSWORD),
                                  ("md5", md5_secret("known", PASSWORD)), ("scram-sha-256", PASSWORD),
                                  ("scram-sha-256", scram_secret(PASSWORD))):
            with self.subTest(f"{auth_type} {secret[:5]}"):
                pooler = self.pooler(settings={"auth_type": auth_type}, userlist={"known": secret, "admin": "admin"})
                known = self._told(pooler, "known", "wrong", auth_type)
                unknown = self._told(pooler, "nobody", "wrong", auth_type)
                replaced = repr(unknown).replace("nobody", "known")
                self.assertEqual(repr(known), replaced)

    def the_mock_salt_of_an_unknown_user_stays_the_same(self):
        pooler = self.pooler(settings={"auth_type": "scram-sha-256"}, userlist={"known": scram_secret(PASSWORD), "admin": "admin"})

        def salt(user):
            with Client(pooler.address, login=False) as client:
                try:
                    client.login(user, "app", "wrong")
                except wire.Refused:
                    pass
                body = next(body for kind, body in client.seen if kind == b"R" and body[:4] == b"\0\0\0\x0b")
                return dict(part.split("=", 1) for part in body[4:].decode().split(","))["s"]
        self.assertEqual(salt("nobody"), salt("nobody"))
        self.assertNotEqual(salt("nobody"), salt("nobody else"))
        self.assertEqual(salt("known"), salt("known"))

    def an_unknown_database_is_an_error_for_those_who_proved_themselves(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist={"app": PASSWORD, "admin": "admin"})
        error = self.refused(pooler.client, database="no_such_database", password=PASSWORD)
        self.assertIn("no_such_database", error.message)
        if live.kind == "pgweir":
            self.assertEqual("3D000", error.sqlstate)
        # Without the password the answer is about the password.
        error = self.refused(pooler.client, database="no_such_database", password="wrong")
        self.assertNotIn("no_such_database", error.message)

    def a_database_that_only_the_server_does_not_know_is_its_error(self):
        pooler = self.pooler(settings={"query_wait_timeout": 3, "client_login_timeout": 5},
                             databases={"missing": "dbname=missing_there", "app": "dbname=app"})
        with self.assertRaises((wire.Refused, wire.Closed)) as caught:
            pooler.client(database="missing").query("SELECT 1")
        if live.kind == "pgweir":
            self.assertIn("missing_there", str(caught.exception))
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_very_long_name_is_refused_politely(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist={"app": PASSWORD, "admin": "admin"})
        for user, database in (("u" * 5000, "app"), ("app", "d" * 5000)):
            with self.assertRaises((wire.Refused, wire.Closed)):
                pooler.client(user=user, database=database, password=PASSWORD)
        pooler.client(password=PASSWORD).value("SELECT 1")

    def secrets_never_reach_the_log(self):
        secret = "tell-no-tale-4711"
        pooler = self.pooler(settings={"auth_type": "plain", "verbose": 2}, userlist={"app": secret, "admin": "admin"})
        pooler.client(password=secret).value("SELECT 1")
        self.refused(pooler.client, password=secret + "-wrong")
        self.assertNotIn("no-tale", pooler.log())

    def _memory(self, process):
        parts = []
        with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb", 0) as mem:
            for line in maps:
                first, last = (int(number, 16) for number in line.split()[0].split("-"))
                if line.split()[1].startswith("rw") and last - first < 64 << 20:
                    mem.seek(first)
                    parts.append(mem.read(last - first))
        return b"".join(parts)

    def _send_in_pieces(self, client, pieces):
        """Each is read before the next one leaves: nothing of it is in the kernel any more."""
        def hexadecimal(address):
            return f"{struct.unpack('<I', socket.inet_aton(address[0]))[0]:08X}:{address[1]:04X}"
        ours, theirs = hexadecimal(client.socket.getsockname()), hexadecimal(client.socket.getpeername())

        def is_read():
            with open("/proc/net/tcp") as lines:
                rows = [line.split() for line in lines]
            # Connections that come and go while it is read may let it tell a row twice, or leave one out.
            unread = {row[4].split(":")[1] for row in rows if row[1:3] == [theirs, ours]}
            unsent = {row[4].split(":")[0] for row in rows if row[1:3] == [ours, theirs]}
            return unread == unsent == {"00000000"}
        for piece in pieces:
            client.send(piece)
            wait_until("it is read", is_read, every=0.002)

    @on("pgweir")
    def a_password_that_was_tried_is_nowhere_in_the_process(self):
        """In one piece or in many, plain or by TLS; also one of which only half has come."""
        authority = papers.Authority(self.own_folder())
        certificate, key = authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        pooler = self.pooler(settings={"auth_type": "plain", "client_tls_sslmode": "allow", "client_tls_cert_file": certificate,
                                       "client_tls_key_file": key},
                             userlist={"app": PASSWORD, "admin": "kept-in-auth-file"})

        def is_nowhere(said):
            memory = self._memory(pooler.pid)
            self.assertTrue(b"kept-in-auth-file" in memory, "it is not looked where secrets are")
            return said[1:10] not in memory

        def assert_nowhere(said):
            """Soon: the answer may be here before the worker has cleared up behind it."""
            wait_until(f"{said[:10]} is nowhere", lambda: is_nowhere(said), timeout=10)
        self.refused(pooler.client, password="tried-4711-in-vain")
        self.refused(pooler.client, user="nobody", password="tried-4712-in-vain")
        assert_nowhere(b"tried-4711")
        assert_nowhere(b"tried-4712")
        long = b"-in-vain" * 1000
        halves = lambda said: (said[:len(said) - 9], said[len(said) - 9:])
        bytewise = lambda said: [said[i:i + 1] for i in range(len(said))]
        ways = [(b"tried-4713-in-vain", halves, False), (b"tried-4714-in-vain", bytewise, False), (b"tried-4715-in-vain", halves, True),
                (b"tried-4716-in-vain", bytewise, True), (b"tried-4717" + long, halves, False), (b"tried-4718" + long, halves, True)]
        for password, cut, tls in ways:
            context = ssl.create_default_context(cafile=authority.certificate) if tls else None
            with Client(pooler.address, login=False, tls=context) as client:
                client.send(wire.startup({"user": "app", "database": "app"}))
                self.assertEqual((b"R", struct.pack("!i", 3)), client.read())
                self._send_in_pieces(client, cut(message(b"p", password + b"\0")))
                self.assertEqual(b"E", client.read()[0])
            assert_nowhere(password)
        for tls, said in ((False, b"tried-4719-in-vain"), (True, b"tried-4720-in-vain")):
            context = ssl.create_default_context(cafile=authority.certificate) if tls else None
            with Client(pooler.address, login=False, tls=context) as client:
                client.send(wire.startup({"user": "app", "database": "app"}))
                client.read()
                self._send_in_pieces(client, [message(b"p", said + b"\0")[:-3]])
            with pooler.console(password="kept-in-auth-file") as console:
                wait_until("it is gone", lambda: ["pgbouncer"] == [row["database"] for row in console.query("SHOW CLIENTS").dicts()])
            assert_nowhere(said)
        with Client(pooler.address, login=False) as client:
            client.send(wire.startup({"user": "app", "database": "app"}))
            client.read()
            self._send_in_pieces(client, bytewise(message(b"p", text(PASSWORD))))
            client.finish_login("app")
            self.assertEqual("1", client.value("SELECT 1"))


class Towards_servers(Story):
    kinds = BOTH

    def _userlist(self, user, secret):
        return {user: secret, "admin": ""}

    def every_way_postgresql_asks_from_a_plain_secret(self):
        for user in ("by_password", "by_md5", "by_scram"):
            with self.subTest(user):
                password = ROLES[user][0]
                pooler = self.pooler(settings={"auth_type": "plain"}, userlist=self._userlist(user, password))
                client = pooler.client(user=user, password=password)
                self.assertEqual(user, client.value("SELECT current_user"))

    def md5_towards_the_server_from_an_md5_secret(self):
        password = ROLES["by_md5"][0]
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist=self._userlist("by_md5", md5_secret("by_md5", password)))
        client = pooler.client(user="by_md5", password=password)
        self.assertEqual("by_md5", client.value("SELECT current_user"))

    def scram_passes_through_with_the_servers_own_secret(self):
        password = ROLES["by_scram"][0]
        secret = self.pg.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'by_scram'")
        pooler = self.pooler(settings={"auth_type": "scram-sha-256", "default_pool_size": 3},
                             userlist=self._userlist("by_scram", secret))
        clients = [pooler.client(user="by_scram", password=password) for _ in range(3)]
        for client in clients:
            client.begin()
            self.assertEqual("by_scram", client.value("SELECT current_user"))
        self.refused(pooler.client, user="by_scram", password="wrong")

    def a_password_in_the_database_line_serves_a_forced_user(self):
        pooler = self.pooler(databases={"app": "dbname=app user=by_scram password=sea-salt"})
        self.assertEqual("by_scram", pooler.client().value("SELECT current_user"))
        pooler = self.pooler(databases={"app": "dbname=app user=by_password password='clear text, spaced'"})
        self.assertEqual("by_password", pooler.client().value("SELECT current_user"))

    def a_wrong_password_towards_the_server_is_told_with_its_sqlstate(self):
        pooler = self.pooler(settings={"auth_type": "trust", "query_wait_timeout": 3, "client_login_timeout": 5},
                             userlist={"by_scram": "not it", "app": "", "admin": ""})
        with self.assertRaises((wire.Refused, wire.Closed)) as caught:
            pooler.client(user="by_scram").query("SELECT 1")
        if live.kind == "pgweir" and isinstance(caught.exception, wire.Refused):
            self.assertRegex(str(caught.exception), r"28P01|password authentication failed")
            self.assertIn("PostgreSQL refused the password that the pooler has", caught.exception.hint)
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_secret_that_cannot_log_in_to_the_server_says_so(self):
        if live.kind != "pgweir":
            self.skipTest("PgBouncer says `wrong password type`")
        # Another salt than the server's: pass-through cannot work.
        pooler = self.pooler(settings={"auth_type": "scram-sha-256", "query_wait_timeout": 3, "client_login_timeout": 5},
                             userlist=self._userlist("by_scram", scram_secret(ROLES["by_scram"][0])))
        with self.assertRaises((wire.Refused, wire.Closed)) as caught:
            pooler.client(user="by_scram", password=ROLES["by_scram"][0]).query("SELECT 1")
        self.assertIsInstance(caught.exception, wire.Refused)
