"""Logins that somebody else decides: PAM, and an LDAP directory (Debian's slapd)."""
import base64
import contextlib
import http.client
import os
import pathlib
import socket
import subprocess
import threading
import unittest
import urllib.parse

import papers
import wire
from harness import Story, free_port, helper, wait_until
from wire import Client

PEOPLE = """dn: dc=test
objectClass: dcObject
objectClass: organization
o: test
dc: test

dn: cn=app,dc=test
objectClass: person
cn: app
sn: app
userPassword: one

dn: cn=namesake,dc=test
objectClass: person
cn: namesake
sn: app
userPassword: one
"""


class Page:
    """The dashboard of a pooler, for those who log in there; settings that open it are Page.settings()."""

    @staticmethod
    def settings(**more):
        return {"http_listen": f"127.0.0.1:{free_port()}", "admin_users": "admin", "stats_users": "app, nobody", **more}

    def __init__(self, pooler):
        self.place = pooler.settings["http_listen"]

    def ask(self, path, body=None, **headers):
        """Status, text and cookie."""
        with contextlib.closing(http.client.HTTPConnection(self.place, timeout=30 * wire.PATIENCE)) as connection:
            connection.request("POST" if body else "GET", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), (answer.getheader("set-cookie") or "").split(";")[0]

    def login(self, user, password):
        return self.ask("/login", urllib.parse.urlencode({"user": user, "password": password}),
                        Content_Type="application/x-www-form-urlencoded")

    def sees(self, cookie):
        return self.ask("/api/session.json", Cookie=cookie)[0]


@unittest.skipUnless(pathlib.Path("/usr/sbin/slapd").exists(), "slapd is not installed")
class By_a_directory(Story):
    kinds = ("pgweir",)

    @helper
    def directory(self, encrypted=False, **options):
        """A slapd of our own; its port, or with a certificate (then nothing is answered in clear) its port and that for ldaps."""
        authority = papers.Authority(self.own_folder()) if encrypted else None
        more, urls = "", ""
        if encrypted:
            paper = authority.sign("directory", alternatives="IP:127.0.0.1")
            more = (f"TLSCACertificateFile {authority.certificate}\nTLSCertificateFile {paper[0]}\n"
                    f"TLSCertificateKeyFile {paper[1]}\nsecurity tls=128\n")
            options = {"environment": {"LDAPTLS_CACERT": str(authority.certificate)}} | options
            ldaps = free_port()
            urls = f" ldaps://127.0.0.1:{ldaps}"
        pooler = self.begun(**options)
        folder = pooler.folder / "slapd"
        folder.mkdir()
        (folder / "data").mkdir()
        (folder / "slapd.conf").write_text(
            "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
            f"pidfile {folder}/pid\nsizelimit 1\n{more}database mdb\nmaxsize 10485760\nsuffix dc=test\nrootdn cn=root,dc=test\nrootpw root\n"
            f"directory {folder}/data\naccess to attrs=userPassword by anonymous auth by * none\naccess to * by * read\n")
        (folder / "people").write_text(PEOPLE)
        subprocess.run(["/usr/sbin/slapadd", "-f", folder / "slapd.conf", "-l", folder / "people"], check=True,
                       capture_output=True, timeout=60)
        port = free_port()
        child = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-h", f"ldap://127.0.0.1:{port}{urls}", "-f", folder / "slapd.conf"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (child.kill(), child.wait()))

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_until("slapd listens", listens, timeout=60)
        return (pooler, port, ldaps) if encrypted else (pooler, port)

    @helper
    def use(self, pooler, settings, rules=None):
        pooler.settings |= settings
        if rules is not None:
            (pooler.folder / "hba.conf").write_text(rules)
            pooler.settings |= {"auth_type": "hba", "auth_hba_file": pooler.folder / "hba.conf"}
        pooler.write_files()
        pooler.desk.query("RELOAD")

    @helper
    def begun(self, environment=None, **settings):
        """A pooler with a console that stays, whatever is asked of newcomers."""
        pooler = self.pooler(userlist={"other": "two", "admin": "four"}, settings={"auth_type": "trust"} | settings,
                             environment=environment)
        pooler.desk = Client(pooler.address, user="admin", database="pgweir")
        self.addCleanup(pooler.desk.close)
        return pooler

    @helper
    def judge(self, pooler):
        client = pooler.client(password="one")
        self.assertEqual([3, 0], client.auth)
        self.assertEqual("app", client.value("SELECT current_user"))
        error = self.refused(pooler.client, password="two")
        self.assertEqual(("28P01", 'password authentication failed for user "app"'), (error.sqlstate, error.message))
        error = self.refused(pooler.client, user="nobody", password="two")
        self.assertEqual(("28P01", 'password authentication failed for user "nobody"'), (error.sqlstate, error.message))

    def by_the_name_by_a_search_and_by_a_rule(self):
        pooler, port = self.directory()
        at = f"ldapserver=127.0.0.1 ldapport={port} "
        self.use(pooler, {"auth_type": "ldap", "auth_ldap_options": at + 'ldapprefix="cn=" ldapsuffix=", dc=test"'})
        self.judge(pooler)
        self.refused(pooler.client, user="app,dc=x", password="one", sqlstate="28P01")
        pooler.await_log("letters that mean something in a DN")
        self.use(pooler, {"auth_ldap_options": at + "ldapbasedn=dc=test ldapsearchattribute=cn"})
        self.judge(pooler)
        pooler.await_log("the search found no entry of the user")
        # The directory tells of no more than one.
        self.use(pooler, {"auth_ldap_options": at + "ldapbasedn=dc=test ldapsearchattribute=sn"})
        self.refused(pooler.client, password="one", sqlstate="28P01")
        pooler.await_log("the search found more than one entry of the user")
        self.use(pooler, {}, f"host all all all ldap ldapurl=ldap://127.0.0.1:{port}/dc=test?cn?sub\n")
        self.judge(pooler)

    def encrypted_by_ldaps_and_by_starttls(self):
        pooler, port, ldaps = self.directory(encrypted=True)
        simple = 'ldapserver=127.0.0.1 ldapprefix="cn=" ldapsuffix=", dc=test"'
        self.use(pooler, {"auth_type": "ldap", "auth_ldap_options": f"{simple} ldapscheme=ldaps ldapport={ldaps}"})
        self.judge(pooler)
        self.use(pooler, {"auth_ldap_options": f"{simple} ldaptls=1 ldapport={port}"})
        self.judge(pooler)
        # In clear the directory judges nobody.
        self.use(pooler, {"auth_ldap_options": f"{simple} ldapport={port}"})
        self.refused(pooler.client, password="one", sqlstate="28P01")
        pooler.await_log("Confidentiality required")
        self.use(pooler, {}, f"host all all all ldap ldapurl=ldaps://127.0.0.1:{ldaps}/dc=test?cn?sub\n")
        self.judge(pooler)

    def a_directory_with_another_name_or_an_unknown_authority_is_not_asked(self):
        pooler, port, ldaps = self.directory(encrypted=True)
        simple = 'ldapprefix="cn=" ldapsuffix=", dc=test"'
        for options in (f"ldapscheme=ldaps ldapport={ldaps}", f"ldaptls=1 ldapport={port}"):
            self.use(pooler, {"auth_type": "ldap", "auth_ldap_options": f"ldapserver=localhost {simple} {options}"})
            self.refused(pooler.client, password="one", sqlstate="28P01")
        pooler, port, ldaps = self.directory(encrypted=True, environment={})
        for options in (f"ldapscheme=ldaps ldapport={ldaps}", f"ldaptls=1 ldapport={port}"):
            self.use(pooler, {"auth_type": "ldap", "auth_ldap_options": f"ldapserver=127.0.0.1 {simple} {options}"})
            self.refused(pooler.client, password="one", sqlstate="28P01")
        pooler.await_log("LDAP ldaps://127.0.0.1")
        pooler.await_log("StartTLS")

    def the_console_shows_no_password_of_the_directory(self):
        pooler = self.begun(auth_ldap_options='ldapserver=h ldapbasedn=dc=x ldapbindpasswd="ge heim"')
        shown = pooler.desk.query("SHOW CONFIG").dicts()
        self.assertEqual(["ldapserver=h ldapbasedn=dc=x ldapbindpasswd=****"],
                         [row["value"] for row in shown if row["key"] == "auth_ldap_options"])
        self.assertFalse([row for row in shown if "heim" in str(row.values())])

    def a_full_queue_refuses_at_once_and_a_shutdown_waits_for_nobody(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.addCleanup(listener.close)
        pooler = self.begun()
        self.use(pooler, {}, f"host all app all ldap ldapserver=127.0.0.1 ldapport={listener.getsockname()[1]} ldapprefix=cn=\n"
                             "host all other all scram-sha-256\n")
        waiting = []
        for _ in range(150):     # four are asked about, a hundred wait: whatever the order, some find no place
            client = Client(pooler.address, login=False)
            self.addCleanup(client.close)
            client.send(wire.startup({"user": "app", "database": "app"}))
            self.assertEqual(b"R", client.read()[0])
            client.send(wire.message(b"p", wire.text("one")))
            waiting.append(client)
        pooler.await_log("too many logins wait for an answer")
        self.assertEqual([10, 11, 12, 0], pooler.client(user="other", password="two").auth)
        pooler.desk.send(wire.query("SHUTDOWN"))
        self.assertEqual(0, pooler.wait(60))
        for client in waiting:
            kinds = []
            with contextlib.suppress(wire.Closed):
                while True:
                    kinds.append(client.read()[0])
            self.assertNotIn(b"Z", kinds)

    def what_is_wrong_with_the_options_fails_the_reload(self):
        pooler = self.begun()
        pooler.settings |= {"auth_type": "ldap", "auth_ldap_options": "ldapserver=h ldapcolour=red"}
        pooler.write_files()
        error = self.refused(pooler.desk.query, "RELOAD")
        self.assertIn('"ldapcolour" is no option', error.message + (error.hint or "") + (error.detail or ""))
        self.assertEqual([0], pooler.client(user="other").auth)

    def a_directory_that_says_nothing_holds_up_nobody_else(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        pooler = self.begun(workers=1)
        self.use(pooler, {}, f"host all app all ldap ldapserver=127.0.0.1 ldapport={port} ldapprefix=cn=\n"
                             "host all other all scram-sha-256\n")
        refusals = []
        asking = threading.Thread(target=lambda: refusals.append(self.refused(pooler.client, password="one")))
        asking.start()
        peer, _ = listener.accept()
        self.addCleanup(peer.close)
        self.assertTrue(peer.recv(1))
        # The directory has the question and says nothing; this worker serves somebody else meanwhile.
        self.assertEqual([10, 11, 12, 0], pooler.client(user="other", password="two").auth)
        self.assertEqual([], refusals)
        peer.sendall(b"\x30\x84\x7f\xff\xff\xff" + b"garbage" * 10)
        with contextlib.suppress(OSError):      # it may have been hung up on for that already
            peer.shutdown(socket.SHUT_WR)
        asking.join(60)
        self.assertEqual("28P01", refusals[0].sqlstate)
        pooler.await_log(f"LDAP ldap://127.0.0.1:{port}")

    # At the dashboard

    def the_dashboard_believes_the_directory_too(self):
        pooler, port = self.directory(**Page.settings())
        page = Page(pooler)
        at = f"ldapserver=127.0.0.1 ldapport={port} "
        self.assertEqual(403, page.login("app", "one")[0])      # in no auth_file, and no directory is asked yet
        self.use(pooler, {"auth_type": "ldap", "auth_ldap_options": at + "ldapbasedn=dc=test ldapsearchattribute=cn"})
        status, said, cookie = page.login("app", "one")
        self.assertEqual((200, True), (status, '"user":"app","admin":false' in said), said)
        self.assertEqual(200, page.sees(cookie))
        basic = base64.b64encode(b"app:one").decode()
        self.assertEqual(200, page.ask("/api/session.json", Authorization=f"Basic {basic}")[0])
        # Who can not come in is told one thing: a wrong password, nobody of that name, on no list, not in the directory but in auth_file.
        for who in (("app", "two"), ("app", ""), ("nobody", "one"), ("other", "two"), ("admin", "four"), ("app,dc=x", "one")):
            self.assertEqual((403, '{"error":"wrong password, or neither in admin_users nor in stats_users"}\n', ""), page.login(*who), who)
        pooler.await_log('http: login of "app" failed: LDAP')
        # By a rule, which is another judge: it has not seen who is in.
        self.use(pooler, {}, f"host all admin all scram-sha-256\nhost all all all ldap ldapurl=ldap://127.0.0.1:{port}/dc=test?cn?sub\n")
        self.assertEqual(401, page.sees(cookie))
        _, _, cookie = page.login("app", "one")
        self.assertEqual((200, 200), (page.sees(cookie), page.login("admin", "four")[0]))
        self.use(pooler, {"stats_users": "other"})
        self.assertEqual((401, 403), (page.sees(cookie), page.login("app", "one")[0]))

    def guessing_at_the_dashboard_ends_after_a_few_tries(self):
        pooler, port = self.directory(**Page.settings())
        self.use(pooler, {"auth_type": "ldap", "auth_ldap_options": f'ldapserver=127.0.0.1 ldapport={port} ldapprefix="cn=" ldapsuffix=",dc=test"'})
        page = Page(pooler)
        said = self.together(*[lambda: page.login("app", "two")[0]] * 14)
        self.assertEqual([403] * 10 + [429] * 4, sorted(said))
        self.assertEqual(429, page.login("app", "one")[0])

    def a_directory_that_says_nothing_holds_up_nobody_at_the_dashboard(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=20)
        self.addCleanup(listener.close)
        listener.settimeout(30 * wire.PATIENCE)
        pooler = self.begun(**Page.settings())
        page = Page(pooler)
        self.use(pooler, {}, f"host all app all ldap ldapserver=127.0.0.1 ldapport={listener.getsockname()[1]} ldapprefix=cn=\n"
                             "host all all all scram-sha-256\n")
        said, peers = [], []
        asking = [threading.Thread(target=lambda: said.append(page.login("app", "one")[0])) for _ in range(4)]
        for thread in asking:
            thread.start()
        for _ in range(2):
            peer, _ = listener.accept()
            peers.append(peer)
            self.assertIn(b"one", peer.recv(1000))
        # Two have the ear of the directory, two wait for that; the page answers others meanwhile, and a client's login is asked about.
        self.assertEqual((200, 200), (page.ask("/healthz")[0], page.login("admin", "four")[0]))
        client = threading.Thread(target=lambda: self.refused(pooler.client, password="three", sqlstate="28P01"))
        client.start()
        peer, _ = listener.accept()
        peers.append(peer)
        self.assertIn(b"three", peer.recv(1000))
        self.assertEqual([], said)
        listener.close()
        for peer in peers:
            peer.close()
        for thread in (*asking, client):
            thread.join(60)
        self.assertEqual([503] * 4, said)
        # Who could not be asked about has not guessed.
        self.assertEqual(200, page.login("admin", "four")[0])

    def a_client_that_leaves_meanwhile_leaves_nothing(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        pooler = self.begun()
        self.use(pooler, {}, f"host all app all ldap ldapserver=127.0.0.1 ldapport={listener.getsockname()[1]} ldapprefix=cn=\n"
                             "host all other all scram-sha-256\n")
        child = subprocess.Popen(["psql", "-h", "127.0.0.1", "-p", str(pooler.address[1]), "-U", "app", "-c", "SELECT 1", "app"],
                                 env=os.environ | {"PGPASSWORD": "one", "PGSSLMODE": "disable"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peer, _ = listener.accept()
        self.assertTrue(peer.recv(1))
        child.kill()
        child.wait()
        peer.close()
        self.assertEqual([10, 11, 12, 0], pooler.client(user="other", password="two").auth)


@unittest.skipUnless(os.geteuid() == 0, "only root may name a service of PAM")
class By_PAM(Story):
    kinds = ("pgweir",)

    @helper
    def service(self, text):
        path = pathlib.Path(f"/etc/pam.d/pgweir-test-{os.getpid()}-{threading.get_ident()}")
        path.write_text(text)
        self.addCleanup(path.unlink)
        return path.name

    def the_service_decides_by_password_and_account(self):
        judge = pathlib.Path("/tmp") / f"pgweir-judge-{os.getpid()}"
        judge.write_text('#!/bin/sh\ntest "$(cat | tr -d "\\000")" = one\n')
        judge.chmod(0o755)
        self.addCleanup(judge.unlink)
        name = self.service(f"auth required pam_exec.so quiet expose_authtok {judge}\naccount required pam_permit.so\n")
        pooler = self.pooler(settings={"auth_type": "pam", "auth_pam_service": name, **Page.settings()})
        client = pooler.client(password="one")
        self.assertEqual([3, 0], client.auth)
        self.assertEqual("app", client.value("SELECT current_user"))
        self.refused(pooler.client, password="two", sqlstate="28P01")
        self.refused(pooler.client, user="nobody", password="two", sqlstate="28P01")
        pooler.await_log(f'PAM service "{name}": password:')
        page = Page(pooler)
        _, _, cookie = page.login("app", "one")
        self.assertEqual([200, 403, 403], [page.sees(cookie), page.login("app", "two")[0], page.login("nobody", "two")[0]])
        pooler.await_log(f'http: login of "app" failed: PAM service "{name}": password:')
