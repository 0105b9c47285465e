"""TLS, towards clients and towards PostgreSQL, with real certificates and real drivers."""
import asyncio
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import papers
import wire
from harness import JDBC, Pooler, Story, node_folder, takes, wait_until
from wire import Client

SIZE = 50 << 20     # of a COPY that is to be the same at the other end


class Encrypted(Story):
    """What the stories share: papers, a pooler with TLS, a PostgreSQL with TLS, psql."""

    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.folder = self.own_folder()
        self.authority = papers.Authority(self.folder)
        self.server = self.authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1")

    def _towards_clients(self, sslmode="require", paper=None, **settings):
        certificate, key = paper or self.server
        return {"client_tls_sslmode": sslmode, "client_tls_cert_file": certificate, "client_tls_key_file": key, **settings}

    def _encrypted_postgres(self, paper=None, **settings):
        certificate, key = paper or self.server
        return self.postgres(ssl="on", ssl_cert_file=certificate, ssl_key_file=key, **settings)

    def _context(self, check=True, paper=None, alpn=None):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if not check:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if paper:
            context.load_cert_chain(*paper)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def _psql(self, pooler, *words, sql="SELECT 7 * 6", host="localhost", user="app", database="app", stdin=None, **environment):
        """(exit status, what it printed, what it complained)."""
        conninfo = " ".join((f"host={host} hostaddr=127.0.0.1 port={pooler.port} user={user} dbname={database}",
                             "connect_timeout=20", *words))
        home = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["psql", "-XAtqc", sql, conninfo], stdout=subprocess.PIPE, stderr=subprocess.PIPE, input=stdin,
                              timeout=60 * wire.PATIENCE, env={**home, **environment})
        return done.returncode, done.stdout.decode().strip(), done.stderr.decode().strip()

    def _works(self, pooler, *words, **options):
        status, said, complained = self._psql(pooler, *words, **options)
        self.assertEqual((0, "42"), (status, said), complained)

    def _fails(self, pooler, *words, says, **options):
        status, _, complained = self._psql(pooler, *words, **options)
        self.assertEqual(2, status)
        self.assertRegex(complained, says)

    def _tls_of(self, pooler, what="CLIENTS", **where):
        rows = [row for row in pooler.show(what) if all(row[key] == value for key, value in where.items())]
        return [row["tls"] for row in rows]


class Listener:
    """Stands between the pooler and PostgreSQL, passes everything on, and keeps what the pooler said on each connection."""

    def __init__(self, to):
        self.to, self.heard = to, []

    def __enter__(self):
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.door.close()

    def _accept(self):
        while True:
            try:
                one, _ = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._sit_between, args=(one,), daemon=True).start()

    def _sit_between(self, one):
        other = socket.create_connection(self.to, timeout=60)
        self.heard.append(bytearray())
        threading.Thread(target=self._pass_on, args=(other, one, None), daemon=True).start()
        self._pass_on(one, other, self.heard[-1])

    def _pass_on(self, source, sink, kept):
        try:
            while data := source.recv(1 << 16):
                if kept is not None:
                    kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Eavesdropper(Listener):
    """Speaks TLS with both sides. Without `plus`, he takes SCRAM-SHA-256-PLUS off the list on its way."""

    def __init__(self, to, paper, plus):
        super().__init__(to)
        self.plus = plus
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*paper)

    def _sit_between(self, one):
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        try:
            one.recv(8)
            one.sendall(b"S")
            one = self.context.wrap_socket(one, server_side=True)
            other = Client(self.to, login=False, tls=blind).socket
            other.sendall(one.recv(1 << 16))        # the startup packet
            offer = other.recv(1 << 16)
            if not self.plus:
                self_made = offer[9:].replace(b"SCRAM-SHA-256-PLUS\0", b"")
                offer = wire.message(b"R", offer[5:9] + self_made)
            one.sendall(offer)
            while True:
                said = one.recv(1 << 16)
                other.sendall(said)
                answer = other.recv(1 << 16)
                if not said or not answer:
                    break
                one.sendall(answer)
            one.close()
        except OSError:
            pass


class Clients(Encrypted):
    def each_sslmode_meets_each_client_tls_sslmode(self):
        root = f"sslrootcert={self.authority.certificate}"
        for sslmode in ("disable", "allow", "prefer", "require"):
            pooler = self.pooler(settings=self._towards_clients(sslmode))
            for asked in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
                if asked == "disable" and sslmode == "require":
                    self._fails(pooler, f"sslmode={asked}", says="SSL required")
                elif asked in ("require", "verify-ca", "verify-full") and sslmode == "disable":
                    self._fails(pooler, f"sslmode={asked}", root, says="server does not support SSL, but SSL was required")
                else:
                    self._works(pooler, f"sslmode={asked}", root)
            pooler.stop()

    def show_and_the_log_tell_how_a_client_is_encrypted(self):
        pooler = self.pooler(settings=self._towards_clients("prefer"))
        with Client(pooler.address, tls=self._context()) as client, Client(pooler.address) as plain:
            self.assertEqual("1", client.value("SELECT 1"))
            self.assertEqual("1", plain.value("SELECT 1"))
            said = sorted(self._tls_of(pooler, user="app"))
            self.assertEqual("", said[0])
            self.assertRegex(said[1], r"^TLSv1\.3/TLS_AES_256_GCM_SHA384/(ECDH|KEM)=\w+$")
        pooler.await_log(pattern=r"login attempt: db=app user=app tls=TLSv1\.3/TLS_AES_256_GCM_SHA384")
        pooler.await_log("login attempt: db=app user=app tls=no")

    def a_certificate_that_is_not_good_is_noticed_by_psql(self):
        root = f"sslrootcert={self.authority.certificate}"
        stranger = papers.Authority(self.folder, "stranger")
        pooler = self.pooler(settings=self._towards_clients())
        self._works(pooler, "sslmode=verify-full", root)
        self._works(pooler, "sslmode=verify-ca", root, host="elsewhere.example")
        self._fails(pooler, "sslmode=verify-full", root, host="elsewhere.example", says="does not match host name")
        self._fails(pooler, "sslmode=verify-ca", f"sslrootcert={stranger.certificate}", says="certificate verify failed")
        pooler.await_log("TLS handshake failed: tlsv1 alert unknown ca")
        for paper in (stranger.sign("foreign", "localhost"), (stranger.certificate, self.folder / "stranger.key"),
                      self.authority.sign("past", "localhost", time=papers.LONG_AGO)):
            other = self.pooler(settings=self._towards_clients(paper=paper))
            self._fails(other, "sslmode=verify-full", root, says="certificate verify failed")
            self._works(other, "sslmode=require")
            other.stop()

    def a_certificate_of_the_client_is_wanted_by_verify_ca_and_verify_full(self):
        good = self.authority.sign("app")
        bad = papers.Authority(self.folder, "stranger").sign("impostor", "app")
        past = self.authority.sign("former", "app", time=papers.LONG_AGO)
        for sslmode in ("verify-ca", "verify-full"):
            pooler = self.pooler(settings=self._towards_clients(sslmode, client_tls_ca_file=self.authority.certificate))
            self._works(pooler, "sslmode=require", f"sslcert={good[0]} sslkey={good[1]}")
            self._fails(pooler, "sslmode=require", says="certificate required")
            self._fails(pooler, "sslmode=require", f"sslcert={bad[0]} sslkey={bad[1]}", says="unknown ca")
            self._fails(pooler, "sslmode=require", f"sslcert={past[0]} sslkey={past[1]}", says="certificate expired")
            pooler.await_log(pattern="TLS failed|TLS handshake failed: .*certificate")
            pooler.stop()
        pooler = self.pooler(settings=self._towards_clients("require", client_tls_ca_file=self.authority.certificate))
        for paper in (good, bad, past):     # it is looked at, but not needed
            self._works(pooler, "sslmode=require", f"sslcert={paper[0]} sslkey={paper[1]}")
        self._works(pooler, "sslmode=require")

    def plain_text_behind_the_request_is_refused(self):
        pooler = self.pooler(settings=self._towards_clients())
        with Client(pooler.address, login=False) as client:
            client.send(wire.special(wire.SSL_CODE) + wire.startup({"user": "app", "database": "app"}))
            error, = client.expect_closed()
            self.assertEqual("received unencrypted data after SSL request", error.message)
        with Client(pooler.address, login=False) as client:     # and what comes a moment later is no handshake
            client.send(wire.special(wire.SSL_CODE))
            self.assertEqual(b"S", client.read_bytes(1))
            client.send(wire.startup({"user": "app", "database": "app"}))
            client.expect_closed()
        pooler.await_log("TLS handshake failed")
        with Client(pooler.address, login=False, tls=self._context()) as client:     # a second one, inside
            client.send(wire.special(wire.SSL_CODE))
            error, = client.expect_closed()
            self.assertIn("inside an encrypted connection", error.message)

    def direct_tls_names_its_protocol(self):
        pooler = self.pooler(settings=self._towards_clients())
        with Client(pooler.address, tls=self._context(alpn=["other", "postgresql"]), direct=True) as client:
            self.assertEqual("postgresql", client.socket.selected_alpn_protocol())
            self.assertEqual("1", client.value("SELECT 1"))
        with self.assertRaises((wire.Closed, OSError)):
            Client(pooler.address, tls=self._context(), direct=True)
        pooler.await_log("direct TLS without the protocol's name")
        for direct in (True, False):
            with self.assertRaisesRegex(OSError, "(?i)no application protocol"):
                Client(pooler.address, tls=self._context(alpn=["http/1.1"]), direct=direct)

    def a_handshake_that_stops_is_closed_in_time_and_holds_up_nobody(self):
        pooler = self.pooler(settings=self._towards_clients(workers=1, client_login_timeout=2))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        half = self._context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            half.do_handshake()
        hello = outgoing.read()
        stopped = []
        for sent in (b"", hello[:3], hello[:40], hello):
            client = Client(pooler.address, login=False)
            self.addCleanup(client.close)
            client.send(wire.special(wire.SSL_CODE))
            self.assertEqual(b"S", client.read_bytes(1))
            client.send(sent)
            stopped.append(client)
        for _ in range(5):
            with Client(pooler.address, tls=self._context()) as client:
                self.assertEqual("1", client.value("SELECT 1"))
        for client in stopped:
            with self.assertRaises(wire.Closed):
                while True:
                    client.read_bytes(1)
        pooler.await_log("client_login_timeout")

    def a_cancel_comes_encrypted_or_not(self):
        pooler = self.pooler(settings=self._towards_clients())
        for tls in (self._context(), None):
            with Client(pooler.address, tls=self._context()) as client:
                client.tls = tls
                client.send(wire.query("SELECT pg_sleep(60)"))
                wait_until("it runs", lambda: self.pg.backends(extra="AND query LIKE '%pg_sleep(60)%' AND state = 'active'"))
                client.cancel()
                self.assertEqual("57014", client.reply().error.sqlstate)
                self.assertEqual("1", client.value("SELECT 1"))

    def a_session_can_be_resumed(self):
        pooler = self.pooler(settings=self._towards_clients(workers=2))
        context = self._context()
        with Client(pooler.address, tls=context) as client:
            self.assertEqual("1", client.value("SELECT 1"))
            session = client.socket.session
        for resumed in (True, False):
            again = socket.create_connection(pooler.address, timeout=10)
            again.sendall(wire.special(wire.SSL_CODE))
            self.assertEqual(b"S", again.recv(1))
            with context.wrap_socket(again, server_hostname="localhost", session=session) as secure:
                self.assertEqual(resumed, secure.session_reused)
            with Client(pooler.address, user="admin", database="pgbouncer", tls=context) as console:
                console.query("RELOAD")     # a ticket of before it is as good as none


class Reloads(Encrypted):
    def _reload(self, pooler):
        with Client(pooler.address, user="admin", database="pgbouncer", tls=self._context(check=False)) as console:
            return console.query("RELOAD")

    def a_new_certificate_is_shown_to_newcomers_and_nobody_else_is_disturbed(self):
        pooler = self.pooler(settings=self._towards_clients())
        with Client(pooler.address, tls=self._context()) as old:
            before = old.socket.getpeercert()["serialNumber"]
            pooler.settings |= self._towards_clients(paper=self.authority.sign("second", "localhost", "DNS:localhost"))
            pooler.write_files()
            self._reload(pooler)
            with Client(pooler.address, tls=self._context()) as new:
                self.assertNotEqual(before, new.socket.getpeercert()["serialNumber"])
                self.assertEqual("1", new.value("SELECT 1"))
            self.assertEqual("1", old.value("SELECT 1"))

    def what_is_wrong_is_named_and_changes_nothing(self):
        pooler = self.pooler(settings=self._towards_clients())
        with Client(pooler.address, tls=self._context()) as client:
            before = client.socket.getpeercert()["serialNumber"]
        scrap = self.folder / "scrap.pem"
        scrap.write_text("nothing of the kind\n")
        scrap.chmod(0o644)
        hidden = self.folder / "hidden.key"
        shutil.copy(self.server[1], hidden)     # ours, and for nobody else
        hidden.chmod(0)
        other = self.authority.sign("other", "localhost")
        past = self.authority.sign("past", "localhost", time=papers.LONG_AGO)
        wrongs = [
            ((self.server[0], other[1]), {}, ("client_tls_key_file", "other.key", "does not match", "server.crt")),
            (past, {}, ("client_tls_cert_file", "past.crt", "expired on Dec 31")),
            ((scrap, self.server[1]), {}, ("client_tls_cert_file", "scrap.pem", "no certificate")),
            ((self.server[0], scrap), {}, ("client_tls_key_file", "scrap.pem", "no private key")),
            ((self.server[0], self.folder / "none"), {}, ("client_tls_key_file", "none", "No such file")),
            ((self.server[0], hidden), {}, ("client_tls_key_file", "hidden.key", "ermission denied")),
            (None, {"client_tls_ca_file": scrap}, ("client_tls_ca_file", "scrap.pem")),
            (None, {"client_tls_protocols": "tlsv9"}, ("client_tls_protocols", "tlsv9")),
            (None, {"server_tls_ca_file": scrap, "server_tls_sslmode": "verify-ca"}, ("server_tls_ca_file", "scrap.pem")),
        ]
        good = dict(pooler.settings)
        for paper, more, words in wrongs:
            pooler.settings = good | self._towards_clients(paper=paper) | more
            pooler.write_files()
            before_it = len(pooler.log())
            self.refused(self._reload, pooler, says="RELOAD failed")
            wait_until(f"the log says {words}", lambda words=words, before_it=before_it: all(
                word in pooler.log()[before_it:] for word in words))
            with Client(pooler.address, tls=self._context()) as client:
                self.assertEqual(before, client.socket.getpeercert()["serialNumber"])
        pooler.settings = good
        pooler.write_files()
        self._reload(pooler)

    def a_start_with_wrong_papers_fails_and_one_with_old_papers_warns(self):
        past = self.authority.sign("past", "localhost", time=papers.LONG_AGO)
        pooler = self.pooler(settings=self._towards_clients(paper=past))
        pooler.await_log(pattern=r"WARNING.*client_tls_cert_file.*past\.crt.*expired on")
        self._reload(pooler)        # it was so before: no reason to refuse anything else
        pooler.stop()
        wrong = Pooler(settings=self._towards_clients(paper=(self.server[0], past[1])))
        wrong.launch()
        self.assertEqual(1, wrong.wait())
        wrong.await_log("does not match the certificate")

    def set_changes_tls_too(self):
        pooler = self.pooler(settings=self._towards_clients("allow"))
        console = pooler.console()
        console.query("SET client_tls_sslmode = 'require'")
        wait_until("it is in force", lambda: self._psql(pooler, "sslmode=disable")[0] == 2)
        self._works(pooler, "sslmode=require")
        self.refused(console.query, "SET client_tls_protocols = 'ssl3'")
        console.query("SET client_tls_sslmode = 'disable'")
        wait_until("it is in force", lambda: self._psql(pooler, "sslmode=require")[0] == 2)
        self._works(pooler, "sslmode=disable")


class Servers(Encrypted):
    def _pooler(self, pg, sslmode, host="localhost", **settings):
        database = f"host={host} port={pg.port} dbname=app"
        return self.pooler(pg=pg, databases={"app": database},
                           settings={"server_tls_sslmode": sslmode, "query_wait_timeout": 5, "monitor_interval": 0, **settings})

    def _encrypted(self, pooler):
        with Client(pooler.address) as client:
            return client.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    @takes(120)
    def each_sslmode_meets_a_postgresql_with_tls(self):
        pg = self._encrypted_postgres()
        stranger = papers.Authority(self.folder, "stranger")
        ours, theirs = {"server_tls_ca_file": self.authority.certificate}, {"server_tls_ca_file": stranger.certificate}
        for sslmode, host, settings, outcome in (
                ("disable", "localhost", {}, "f"), ("allow", "localhost", {}, "t"), ("prefer", "127.0.0.1", {}, "t"),
                ("require", "127.0.0.1", theirs, "t"), ("verify-ca", "127.0.0.1", ours, "t"),
                ("verify-ca", "127.0.0.1", theirs, "certificate verify failed: unable to get local issuer certificate"),
                ("verify-full", "localhost", ours, "t"), ("verify-full", "127.0.0.1", ours, "t"),
                ("verify-full", "localhost", theirs, "certificate verify failed")):
            pooler = self._pooler(pg, sslmode, host, **settings)
            if outcome in "tf":
                self.assertEqual(outcome, self._encrypted(pooler))
                self.assertEqual([outcome == "t"], [tls.startswith("TLSv1.3/") for tls in self._tls_of(pooler, "SERVERS")])
            else:
                self.refused(self._encrypted, pooler)
                pooler.await_log(outcome)
                self.assertNotIn("process down", pooler.log())
            pooler.stop()

    def a_change_of_how_to_encrypt_replaces_servers(self):
        pg = self._encrypted_postgres()
        pooler = self._pooler(pg, "disable")
        busy, idle = pooler.client(), pooler.client()
        busy.begin()
        before = busy.value("SELECT pg_backend_pid()")
        self.assertEqual("f", idle.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        pooler.settings["server_tls_sslmode"] = "require"
        pooler.write_files()
        pooler.reload()
        plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app' AND NOT ssl"
        wait_until("only the lent one is plain", lambda: pg.value(plain) == "1")
        self.assertEqual("t", self._encrypted(pooler))
        self.assertEqual(before, busy.value("SELECT pg_backend_pid()"))
        busy.query("COMMIT")
        wait_until("none is", lambda: pg.value(plain) == "0")
        self.assertEqual("t", busy.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        kept = busy.value("SELECT pg_backend_pid()")
        pooler.console().query("RELOAD")
        self.assertEqual("1", pg.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {kept}"))
        pooler.console().query("SET server_tls_protocols = 'tlsv1.2'")
        wait_until("none has the old version", lambda: pg.value(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app' AND version <> 'TLSv1.2'") == "0")
        self.assertEqual("TLSv1.2", busy.value("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))

    @takes(120)
    def a_certificate_for_another_host_is_good_for_verify_ca_only(self):
        pg = self._encrypted_postgres(self.authority.sign("elsewhere", "elsewhere.example"))
        ours = {"server_tls_ca_file": self.authority.certificate}
        self.assertEqual("t", self._encrypted(self._pooler(pg, "verify-ca", **ours)))
        for host, says in (("localhost", "hostname mismatch"), ("127.0.0.1", "IP address mismatch")):
            pooler = self._pooler(pg, "verify-full", host, **ours)
            self.refused(self._encrypted, pooler)
            pooler.await_log(f"certificate verify failed: {says}")

    def an_expired_or_self_signed_certificate_is_only_good_for_require(self):
        stranger = papers.Authority(self.folder, "stranger")
        for paper, says in ((self.authority.sign("past", "localhost", time=papers.LONG_AGO), "certificate has expired"),
                            ((stranger.certificate, self.folder / "stranger.key"), "self-signed certificate")):
            pg = self._encrypted_postgres(paper)
            pooler = self._pooler(pg, "verify-ca", server_tls_ca_file=self.authority.certificate)
            self.refused(self._encrypted, pooler)
            pooler.await_log(says)
            self.assertEqual("t", self._encrypted(self._pooler(pg, "require")))

    def a_postgresql_without_tls_is_good_for_prefer_only(self):
        for sslmode in ("allow", "prefer"):
            self.assertEqual("f", self._encrypted(self._pooler(self.pg, sslmode)))
        for sslmode in ("require", "verify-ca", "verify-full"):
            pooler = self._pooler(self.pg, sslmode, server_tls_ca_file=self.authority.certificate)
            self.refused(self._encrypted, pooler)
            pooler.await_log("does not support SSL, but SSL was required")

    def we_show_a_certificate_where_postgresql_wants_one(self):
        app = self.authority.sign("app")
        pg = self._encrypted_postgres(ssl_ca_file=self.authority.certificate)
        hba = pg.data / "pg_hba.conf"
        hba.write_text(hba.read_text().replace("host all app samehost trust", "hostssl all app samehost cert"))
        pg.value("SELECT pg_reload_conf()")
        pooler = self._pooler(pg, "require", server_tls_cert_file=app[0], server_tls_key_file=app[1])
        self.assertEqual("t", self._encrypted(pooler))
        self.refused(self._encrypted, self._pooler(pg, "require"))

    def a_cancel_goes_to_postgresql_encrypted(self):
        pg = self._encrypted_postgres()
        with Listener(pg.address) as between:
            pooler = self.pooler(pg=pg, databases={"app": f"host=localhost port={between.port} dbname=app"}, settings={
                "server_tls_sslmode": "verify-full", "server_tls_ca_file": self.authority.certificate, "monitor_interval": 0})
            with Client(pooler.address) as client:
                client.send(wire.query("SELECT pg_sleep(60)"))
                wait_until("it runs", lambda: pg.backends(extra="AND query LIKE '%pg_sleep(60)%' AND state = 'active'"))
                client.cancel()
                self.assertEqual("57014", client.reply().error.sqlstate)
                self.assertEqual("1", client.value("SELECT 1"))
            self.assertEqual(2, len(between.heard))     # the server, and the cancel
            for heard in between.heard:
                self.assertEqual(wire.special(wire.SSL_CODE), bytes(heard[:8]))
                self.assertEqual(b"\x16\x03", bytes(heard[8:10]))

    def a_server_that_says_more_than_yes_is_not_believed(self):
        with socket.create_server(("127.0.0.1", 0)) as door:
            door.settimeout(20)

            def lie():
                peer, _ = door.accept()
                with peer:
                    peer.settimeout(10)
                    peer.recv(8)
                    peer.sendall(b"S" + wire.message(b"E", b"SFATAL\0C53300\0Mtoo many lies\0\0"))
                    time.sleep(0.5)
            liar = threading.Thread(target=lie, daemon=True)
            liar.start()
            pooler = self.pooler(databases={"app": f"host=127.0.0.1 port={door.getsockname()[1]}"},
                                 settings={"server_tls_sslmode": "require", "query_wait_timeout": 2, "monitor_interval": 0})
            self.refused(pooler.client)
            pooler.await_log("in plain text behind its answer")
            self.assertNotIn("too many lies", pooler.log())
            liar.join(20)

    def the_monitor_speaks_tls_as_well(self):
        pg = self._encrypted_postgres()
        pooler = self._pooler(pg, "require", monitor_interval=1, monitor_user="app")
        self.assertEqual("t", self._encrypted(pooler))
        wait_until("the monitor is encrypted", lambda: int(pg.value(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name LIKE '%monitor%'")))


class Certified(Encrypted):
    """A client's certificate says who it is."""

    def setUp(self):
        super().setUp()
        self.app, self.boss = self.authority.sign("app"), self.authority.sign("boss", "Boss of it all", "DNS:other,DNS:third")
        self.foreign = papers.Authority(self.folder, "stranger").sign("foreign", "app")

    def _with(self, paper):
        return ("sslmode=require", f"sslcert={paper[0]} sslkey={paper[1]}") if paper else ("sslmode=require",)

    def auth_type_cert_lets_in_whom_the_certificate_names(self):
        pooler = self.pooler(settings=self._towards_clients("verify-full", client_tls_ca_file=self.authority.certificate,
                                                            auth_type="cert"))
        self._works(pooler, *self._with(self.app))
        self._works(pooler, *self._with(self.boss), user="other")
        self._fails(pooler, *self._with(self.app), user="other", says='certificate authentication failed for user "other"')
        self._fails(pooler, *self._with(self.foreign), says="unknown ca")
        self._fails(pooler, *self._with(None), says="certificate required")

    def auth_type_cert_needs_its_settings(self):
        for sslmode in ("disable", "require"):
            pooler = Pooler(settings=self._towards_clients(sslmode, auth_type="cert"))
            pooler.launch()
            self.assertEqual(1, pooler.wait())
            pooler.await_log("auth_type = cert: client_tls_sslmode must be verify-full")
        pooler = self.pooler(settings=self._towards_clients("allow"))
        self.refused(pooler.console().query, "SET auth_type = 'cert'")

    def rules_tell_encrypted_from_plain_and_want_certificates(self):
        rules = ("hostssl app  other all cert map=bosses\n"
                 "hostssl app  third all scram-sha-256 clientcert=verify-full\n"
                 "hostssl app  app   all trust clientcert=verify-ca\n"
                 "hostssl app2 app   all trust\n"
                 "hostnossl app2 other all trust\n"
                 "local   all  all       trust\n")
        maps = 'bosses "Boss of it all" other\n'
        pooler = self.pooler(userlist={"app": "", "other": "", "third": "3", "admin": ""},
                             files={"hba.conf": rules, "ident.conf": maps},
                             settings=self._towards_clients("allow", client_tls_ca_file=self.authority.certificate))
        pooler.settings |= {"auth_type": "hba", "auth_hba_file": pooler.folder / "hba.conf", "auth_ident_file": pooler.folder / "ident.conf"}
        pooler.write_files()
        pooler.console().query("RELOAD")
        self._works(pooler, *self._with(self.boss), user="other")
        self._fails(pooler, *self._with(self.app), user="other", says='certificate authentication failed for user "other"')
        self._fails(pooler, *self._with(None), user="other", says="connection requires a valid client certificate")
        self._works(pooler, *self._with(self.boss), "password=3", user="third")
        self._fails(pooler, *self._with(self.boss), "password=4", user="third", says="password authentication failed")
        self._fails(pooler, *self._with(self.app), "password=3", user="third", says="certificate authentication failed")
        self._works(pooler, *self._with(self.boss))
        self._fails(pooler, *self._with(self.foreign), says="connection requires a valid client certificate")
        self._works(pooler, "sslmode=require", database="app2")
        self._fails(pooler, "sslmode=disable", database="app2", says="no entry of auth_hba_file fits")
        self._works(pooler, "sslmode=disable", database="app2", user="other")
        self._fails(pooler, "sslmode=require", database="app2", user="other", says="no entry of auth_hba_file fits")


class Revoked(Encrypted):
    """Certificates that their authority has taken back."""

    def _with(self, paper):
        return ("sslmode=require", f"sslcert={paper[0]}", f"sslkey={paper[1]}")

    def _console(self, pooler):
        client = Client(pooler.socket_path, user="admin", database="pgbouncer")
        self.addCleanup(client.close)
        return client

    def a_revoked_certificate_of_a_client_is_refused(self):
        good, lost = self.authority.sign("app"), self.authority.sign("lost", common_name="app")
        pooler = self.pooler(settings=self._towards_clients(
            "verify-full", client_tls_ca_file=self.authority.certificate, client_tls_crl_file=self.authority.revoke()))
        self._works(pooler, *self._with(good))
        self._works(pooler, *self._with(lost))
        self.authority.revoke("lost")
        self._works(pooler, *self._with(lost))
        self._console(pooler).query("RELOAD")
        self._works(pooler, *self._with(good))
        self._fails(pooler, *self._with(lost), says="certificate revoked")
        pooler.await_log("certificate revoked")

    def a_rule_that_wants_a_certificate_wants_one_that_holds(self):
        good, lost = self.authority.sign("app"), self.authority.sign("lost", common_name="app")
        pooler = self.pooler(files={"hba.conf": "local all all trust\nhostssl app all all cert\nhost all all all trust\n"},
                             settings=self._towards_clients("require", client_tls_ca_file=self.authority.certificate,
                                                            client_tls_crl_file=self.authority.revoke("lost")))
        pooler.settings |= {"auth_type": "hba", "auth_hba_file": pooler.folder / "hba.conf"}
        pooler.write_files()
        self._console(pooler).query("RELOAD")
        self._works(pooler, *self._with(good))
        self._fails(pooler, *self._with(lost), says="connection requires a valid client certificate")

    def _ask(self, pooler):
        """The error is FATAL, at the login or behind it, as what servers say is known already or not."""
        client = pooler.client()
        client.send(wire.query("SELECT 7"))
        reply = client.read_to(b"EZ")
        if reply.errors:
            raise reply.error

    def a_revoked_certificate_of_a_server_is_refused(self):
        pg = self._encrypted_postgres(self.authority.sign("stolen", common_name="localhost"))

        def dialed(sslmode, **settings):
            return self.pooler(pg=pg, databases={"app": f"host=localhost port={pg.port} dbname=app"}, settings={
                "server_tls_sslmode": sslmode, "monitor_interval": 0, "server_tls_ca_file": self.authority.certificate, **settings})
        pooler = dialed("verify-full", server_tls_crl_file=self.authority.revoke())
        self.assertEqual("7", pooler.client().value("SELECT 7"))
        self.authority.revoke("stolen")
        console = self._console(pooler)
        console.query("RELOAD")
        console.query("RECONNECT")
        self.refused(lambda: self._ask(pooler))
        pooler.await_log("certificate revoked")
        pooler = dialed("verify-ca", server_tls_crl_file=self.authority.revoke())
        self.refused(lambda: self._ask(pooler))
        pooler.await_log("certificate revoked")

    def a_list_that_is_no_help_fails_the_reload(self):
        pooler = self.pooler(settings=self._towards_clients("require", client_tls_ca_file=self.authority.certificate))
        console = self._console(pooler)
        stranger = papers.Authority(self.own_folder(), "stranger")
        for settings, says in (({"client_tls_crl_file": "/nowhere.crl"}, "client_tls_crl_file: "),
                               ({"client_tls_crl_file": self.authority.certificate}, "no list of revoked certificates"),
                               ({"client_tls_ca_file": "", "client_tls_crl_file": self.authority.revoke()}, "client_tls_ca_file is not set"),
                               ({"server_tls_crl_file": self.authority.revoke()}, "must be verify-ca or verify-full")):
            before = dict(pooler.settings)
            pooler.settings |= settings
            pooler.write_files()
            error = self.refused(console.query, "RELOAD")
            self.assertIn(says, error.message + (error.hint or "") + (error.detail or ""))
            pooler.settings = before
        # Where the list of an authority is missing, none of its certificates is believed.
        pooler.settings |= {"client_tls_sslmode": "verify-ca", "client_tls_crl_file": stranger.revoke()}
        pooler.write_files()
        console.query("RELOAD")
        self._fails(pooler, *self._with(self.authority.sign("app")), says="alert")


class Bound(Encrypted):
    """SCRAM-SHA-256-PLUS: the login is tied to the TLS connection."""

    PASSWORD = "sea-salt"

    def _login(self, pooler, *words, password=PASSWORD):
        return self._psql(pooler, f"sslmode=require password={password}", *words, user="by_scram",
                          sql="SELECT current_user")

    def psql_insists_on_channel_binding_towards_us(self):
        for secret in (self.PASSWORD, None):
            with self.pg.admin() as admin:
                stored = secret or admin.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'by_scram'")
            pooler = self.pooler(settings=self._towards_clients("allow", auth_type="scram-sha-256"), userlist={"by_scram": stored, "admin": "x"})
            self.assertEqual((0, "by_scram", ""), self._login(pooler, "channel_binding=require"))
            self.assertEqual((0, "by_scram", ""), self._login(pooler, "channel_binding=disable"))
            status, _, complained = self._login(pooler, "channel_binding=require", password="wrong")
            self.assertEqual(2, status)
            self.assertIn("password authentication failed", complained)
            status, _, complained = self._psql(pooler, f"sslmode=disable channel_binding=require password={self.PASSWORD}", user="by_scram")
            self.assertIn("channel binding", complained)
            pooler.stop()

    def certificates_of_every_kind_bind(self):
        kinds = {"rsa384": ("-newkey", "rsa:2048", "-sha384"), "ec512": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha512")}
        for name, words in kinds.items():
            paper = self.folder / f"{name}.crt", self.folder / f"{name}.key"
            papers.openssl("req", "-x509", *words, "-nodes", "-subj", "/CN=localhost", "-days", 10, "-keyout", paper[1], "-out", paper[0])
            for path in paper:
                papers.give_away(path)
            pooler = self.pooler(settings=self._towards_clients("allow", paper=paper, auth_type="scram-sha-256"),
                                 userlist={"by_scram": self.PASSWORD})
            self.assertEqual((0, "by_scram", ""), self._login(pooler, "channel_binding=require"))
            pooler.stop()
        paper = self.folder / "ed.crt", self.folder / "ed.key"      # its signature has no hash of its own: nothing to bind by
        papers.openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=localhost", "-days", 10, "-keyout", paper[1], "-out", paper[0])
        for path in paper:
            papers.give_away(path)
        pooler = self.pooler(settings=self._towards_clients("allow", paper=paper, auth_type="scram-sha-256"), userlist={"by_scram": self.PASSWORD})
        self.assertEqual((0, "by_scram", ""), self._login(pooler, "channel_binding=prefer"))
        self.assertIn("channel binding", self._login(pooler, "channel_binding=require")[2])

    def we_are_bound_towards_postgresql_also_by_pass_through(self):
        pg = self._encrypted_postgres(log_min_messages="debug1")
        with pg.admin() as admin:
            stored = admin.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'by_scram'")
        for secret in (self.PASSWORD, stored):
            pooler = self.pooler(pg=pg, userlist={"by_scram": secret}, settings=self._towards_clients(
                "allow", auth_type="scram-sha-256", server_tls_sslmode="require", monitor_interval=0))
            self.assertEqual((0, "by_scram", ""), self._login(pooler, "channel_binding=require"))
            pooler.stop()
        paper = papers.Authority(self.folder, "stranger").sign("between", "localhost")
        for plus in (True, False):
            with Eavesdropper(pg.address, paper, plus) as between:
                pooler = self.pooler(pg=pg, userlist={"by_scram": self.PASSWORD}, settings={"server_tls_sslmode": "require",
                                     "monitor_interval": 0}, databases={"app": f"host=127.0.0.1 port={between.port} dbname=app"})
                error = self.refused(pooler.client, user="by_scram")
                self.assertIn("channel binding", error.message)
                pooler.stop()

    def somebody_in_between_is_found_out(self):
        """He has a certificate of his own, which nobody looked at, and passes everything on."""
        paper = papers.Authority(self.folder, "stranger").sign("between", "localhost")
        pooler = self.pooler(settings=self._towards_clients("allow", auth_type="scram-sha-256"), userlist={"by_scram": self.PASSWORD})
        for plus, says in ((True, "SCRAM channel binding check failed"), (False, "believes that it is not offered here: it is")):
            with Eavesdropper(pooler.address, paper, plus) as between:
                status, _, complained = self._login(between, "channel_binding=prefer")
                self.assertEqual(2, status)
                self.assertIn(says, complained)
        self.assertEqual((0, "by_scram", ""), self._login(pooler, "channel_binding=prefer"))


class Drivers(Encrypted):
    """Each looks at the certificate, works, is cancelled, and works on."""

    def setUp(self):
        super().setUp()
        pg = self._encrypted_postgres()
        self.proxy = self.pooler(pg=pg, settings=self._towards_clients("require", server_tls_sslmode="require", default_pool_size=2))
        self.root = str(self.authority.certificate)

    def python_speaks_with_us(self):
        import asyncpg
        import psycopg
        import psycopg2
        words = f"host=localhost port={self.proxy.port} user=app dbname=app sslmode=verify-full sslrootcert={self.root}"
        for driver, canceled in ((psycopg, psycopg.errors.QueryCanceled), (psycopg2, psycopg2.errors.QueryCanceled)):
            connection = driver.connect(words)
            try:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SELECT %s::int + 1", (41,))
                    self.assertEqual(42, cursor.fetchone()[0])
                    threading.Timer(0.5, connection.cancel).start()
                    with self.assertRaises(canceled):
                        cursor.execute("SELECT pg_sleep(60)")
                    cursor.execute("SELECT repeat('x', 1000000)")
                    self.assertEqual(1000000, len(cursor.fetchone()[0]))
            finally:
                connection.close()

        async def speak():
            connection = await asyncpg.connect(host="localhost", port=self.proxy.port, user="app", database="app",
                                               ssl=self._context(), timeout=20)
            try:
                self.assertEqual(42, await connection.fetchval("SELECT $1::int + 1", 41))
                with self.assertRaises(asyncio.TimeoutError):
                    await connection.execute("SELECT pg_sleep(60)", timeout=0.5)
                self.assertEqual(20000, len(await connection.fetch("SELECT n, md5(n::text) FROM generate_series(1, 20000) n")))
            finally:
                await connection.close()
        asyncio.run(speak())

    @takes(200)
    def node_postgres_speaks_with_us(self):
        script = f"""
const {{ Client }} = require('pg'), fs = require('fs');
(async () => {{
    const client = new Client({{ host: 'localhost', port: {self.proxy.port}, user: 'app', database: 'app',
                                 ssl: {{ ca: fs.readFileSync('{self.root}') }} }});
    await client.connect();
    const rows = await client.query('SELECT n, md5(n::text) FROM generate_series(1, $1::int) n', [20000]);
    const encrypted = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    console.log(rows.rows.length, client.connection.stream.getProtocol(), encrypted.rows[0].ssl);
    await client.end();
}})();
"""
        done = subprocess.run(["node", "-e", script], cwd=node_folder(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual("20000 TLSv1.3 true", done.stdout.decode().strip())

    @takes(120)
    def jdbc_speaks_with_us(self):
        program = self.folder / "Tls.java"
        program.write_text("""
import java.sql.*;
public class Tls {
    public static void main(String[] words) throws Exception {
        try (Connection c = DriverManager.getConnection(words[0]); Statement s = c.createStatement()) {
            s.setQueryTimeout(1);
            String state = "none";
            try { s.execute("SELECT pg_sleep(60)"); } catch (SQLException e) { state = e.getSQLState(); }
            s.setQueryTimeout(0);
            int rows = 0;
            for (ResultSet r = s.executeQuery("SELECT md5(n::text) FROM generate_series(1, 20000) n"); r.next();) rows++;
            System.out.println(state + " " + rows);
        }
    }
}
""")
        url = f"jdbc:postgresql://localhost:{self.proxy.port}/app?user=app&sslmode=verify-full&sslrootcert={self.root}"
        done = subprocess.run(["java", "-XX:TieredStopAtLevel=1", "-cp", JDBC, program, url], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=100)
        self.assertEqual("57014 20000", done.stdout.decode().strip())


class Chains(Encrypted):
    """A pooler behind a pooler: what PostgreSQL 15 itself can not do."""

    def _chain(self, **front):
        self.behind = self.pooler(settings=self._towards_clients("require", admin_users="app"))
        return self.pooler(databases={"app": f"host=localhost port={self.behind.port} dbname=app"}, settings={
            "server_tls_sslmode": "verify-full", "server_tls_ca_file": self.authority.certificate, "monitor_interval": 0, **front})

    def servers_are_dialed_directly(self):
        pooler = self._chain(server_tls_negotiation="direct")
        with pooler.client() as client:
            self.assertEqual("1", client.value("SELECT 1"))
            client.send(wire.query("SELECT pg_sleep(60)"))
            wait_until("it runs", lambda: self.pg.backends(extra="AND query LIKE '%pg_sleep(60)%' AND state = 'active'"))
            client.cancel()
            self.assertEqual("57014", client.reply().error.sqlstate)
        self.assertRegex(self._tls_of(pooler, "SERVERS")[0], "^TLSv1.3/")

    def a_direct_dial_wants_a_mode_that_does_not_ask(self):
        pooler = Pooler(settings={"server_tls_negotiation": "direct"})
        pooler.launch()
        self.assertEqual(1, pooler.wait())
        pooler.await_log("server_tls_negotiation = direct: server_tls_sslmode must be")

    def servers_that_gave_a_ticket_are_dialed_again(self):
        pooler = self._chain(workers=2)
        console = pooler.console()
        with pooler.client() as client:
            for _ in range(5):
                self.assertEqual("1", client.value("SELECT 1"))
                console.query("RECONNECT")
        self.assertEqual("1", pooler.client().value("SELECT 1"))


class Bytes(Encrypted):
    def _copied(self, pooler, tls):
        """50 MB in by COPY, compared by hash there, and out again, compared by hash here."""
        line = b"".join(b"%d\t%s\n" % (n, hashlib.sha256(b"%d" % n).hexdigest().encode() * 15) for n in range(1000))
        words = ("sslmode=require",) if tls else ("sslmode=disable",)
        table = f"bulk_{'tls' if tls else 'plain'}"
        rounds = SIZE // len(line) + 1
        with open(self.folder / "bulk", "wb") as file:
            for _ in range(rounds):
                file.write(line)
        expected = hashlib.sha256(line * rounds).hexdigest()
        status, _, complained = self._psql(pooler, *words, sql=f"CREATE TABLE {table} (n int, t text)")
        self.assertEqual(0, status, complained)
        status, _, complained = self._psql(pooler, *words, sql=f"\\copy {table} FROM '{self.folder}/bulk'")
        self.assertEqual(0, status, complained)
        self.assertEqual((0, str(rounds * 1000), ""), self._psql(pooler, *words, sql=f"SELECT count(*) FROM {table}"))
        status, _, complained = self._psql(pooler, *words, sql=f"\\copy {table} TO '{self.folder}/back'")
        self.assertEqual(0, status, complained)
        with open(self.folder / "back", "rb") as file:
            self.assertEqual(expected, hashlib.file_digest(file, "sha256").hexdigest())

    def fifty_megabytes_arrive_as_they_left(self):
        # Else a scan may begin where the last one was seen, in the middle of the table, and the rows come in another order.
        pg = self._encrypted_postgres(synchronize_seqscans="off")
        pooler = self.pooler(pg=pg, settings=self._towards_clients("allow", server_tls_sslmode="require"))
        for tls in (True, False):
            self._copied(pooler, tls)

    def servers_move_between_workers(self):
        pg = self._encrypted_postgres()
        pooler = self.pooler(pg=pg, settings=self._towards_clients("allow", server_tls_sslmode="require", workers=2, default_pool_size=1))
        clients = [Client(pooler.address, tls=self._context()) for _ in range(24)]   # more than one worker keeps to itself
        try:
            for round in range(30):
                for number, client in enumerate(clients):
                    self.assertEqual(f"{round} {number}", client.value(f"SELECT '{round} {number}'"))
            moved = {row["remote_pid"] for row in pooler.show("SERVERS")}
            self.assertEqual(1, len(moved))
            self.assertEqual(1, pg.backends(user="app", database="app"))
            big = clients[0].value("SELECT repeat('x', 3000000)")
            self.assertEqual(3000000, len(big))
        finally:
            for client in clients:
                client.close()

    def a_client_that_does_not_read_is_waited_for(self):
        pg = self._encrypted_postgres()
        pooler = self.pooler(pg=pg, settings=self._towards_clients(server_tls_sslmode="require", workers=1))
        with Client(pooler.address, tls=self._context(), timeout=60) as slow, Client(pooler.address, tls=self._context()) as other:
            slow.send(wire.query("SELECT n, repeat(md5(n::text), 50) FROM generate_series(1, 20000) n"))
            time.sleep(0.5)
            for _ in range(20):
                self.assertEqual("1", other.value("SELECT 1"))
            reply = slow.reply()
            self.assertEqual(20000, len(reply.rows))
            for number, (n, text) in enumerate(reply.rows, 1):
                self.assertEqual((str(number), hashlib.md5(b"%d" % number).hexdigest() * 50), (n, text))
