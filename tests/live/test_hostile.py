"""A PostgreSQL that is none: what it says ends its own connection, is told with its address, and disturbs nobody else."""
import base64
import contextlib
import re
import socket
import struct
import threading

import wire
from harness import Story, wait_until
from wire import Client, message, query

OK = message(b"R", struct.pack("!i", 0))
READY = message(b"Z", b"I")
WELCOME = OK + b"".join(message(b"S", pair) for pair in (
    b"server_version\x0015.4\0", b"client_encoding\0UTF8\0", b"in_hot_standby\0off\0", b"default_transaction_read_only\0off\0",
)) + message(b"K", struct.pack("!ii", 7, 7)) + READY


def flood(count):
    return b"".join(message(b"S", b"parameter_%d\0%s\0" % (number, b"v" * 200)) for number in range(count))


class Liar:
    """Says `login` to each startup packet, `more` to whatever comes next (or what more(bytes) gives), and hangs up."""

    def __init__(self, login, more=b""):
        self.login, self.more, self.met = login, more, 0
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.door.accept()
                self.met += 1
                threading.Thread(target=self._lie, args=(peer,), daemon=True).start()

    def _lie(self, peer):
        with contextlib.suppress(OSError), peer:
            peer.settimeout(30)
            said = peer.recv(4096)
            if said[4:8] == struct.pack("!i", 80877103):    # it asks for TLS
                peer.sendall(b"N")
                peer.recv(4096)
            peer.sendall(self.login)
            self._talk(peer)

    def _talk(self, peer):
        said = peer.recv(4096)
        if said:
            peer.sendall(self.more(said) if callable(self.more) else self.more)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536):
            pass

    def stop(self):
        self.door.close()


class Halfway(Liar):
    """Answers each query. Behind the first answer it begins a warning, which it ends when `rest` is set."""
    warning = message(b"N", b"SWARNING\0C01000\0M" + b"w" * 300 + b"\0\0")
    answer = message(b"C", b"SELECT 0\0") + READY

    def __init__(self):
        super().__init__(WELCOME)
        self.rest = threading.Event()

    def _talk(self, peer):
        if peer.recv(4096):
            peer.sendall(self.answer + self.warning[:100])
        if self.rest.wait(30):
            peer.sendall(self.warning[100:])
        while peer.recv(4096) not in (b"", wire.TERMINATE):
            peer.sendall(self.answer)


def challenge(salt=base64.b64encode(b"salt" * 4).decode(), count="4096", longer=""):
    """An answer to client-first-message."""
    def answer(said):
        nonce = re.search(rb"r=([!-+\--~]+)", said)[1].decode()
        return message(b"R", struct.pack("!i", 11) + f"r={nonce}{longer or 'x' * 24},s={salt},i={count}".encode())
    return answer


SASL = message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")

LOGINS = {      # what it says to the startup packet, and to what comes next
    "iterations that would take hours": (SASL, challenge(count="2000000000")),
    "iterations that overflow": (SASL, challenge(count="99999999999999999999")),
    "no iterations": (SASL, challenge(count="0")),
    "a nonce of 60 kB": (SASL, challenge(longer="n" * 60000)),
    "a salt that is none": (SASL, challenge(salt="*")),
    "a nonce that is not ours": (SASL, lambda said: message(b"R", struct.pack("!i", 11) + b"r=theirs,s=c2FsdA==,i=4096")),
    "a final message without a proof": (SASL, lambda said: message(b"R", struct.pack("!i", 12) + b"e=no-proof") + WELCOME),
    "a welcome in place of its proof": (SASL, lambda said: WELCOME),
    "a length of two gigabytes": (b"S\x7f\xff\xff\xff", b""),
    "a length below zero": (b"S\xff\xff\xff\xff", b""),
    "a way to authenticate that nobody knows": (message(b"R", struct.pack("!i", 99)), b""),
    "parameters without end": (OK + flood(4000), b""),
    "an error without a word": (message(b"E", b"\0"), b""),
    "a question after it has let us in": (OK + SASL + WELCOME, b""),
    "rows before anybody asked": (OK + message(b"D", struct.pack("!h", 0)) + WELCOME, b""),
}


class Hostile(Story):
    kinds = ("pgweir",)

    def _pooler(self, liar, **settings):
        return self.pooler(databases={"app": "dbname=app", "bad": f"host=127.0.0.1 port={liar.port} dbname=bad user=app password=sesame"},
                           settings={"monitor_interval": 0, "server_connect_timeout": 20, "server_login_retry": 0, "query_wait_timeout": 5, "transparency": "off", "workers": 1, **settings})

    def what_it_says_at_the_login_ends_that_login_alone(self):
        liar = Liar(b"")
        self.addCleanup(liar.stop)
        pooler = self._pooler(liar)
        other = pooler.client()
        before = pooler.memory_kb()
        for what, (liar.login, liar.more) in LOGINS.items():
            with self.subTest(what):
                told = pooler.log().count("server login failed")
                error = self.refused(pooler.client, database="bad", user="app")
                self.assertEqual("FATAL", error.severity)
                self.assertEqual(what, other.value(f"SELECT '{what}'"))
                wait_until("it is told", lambda: pooler.log().count("server login failed") > told)
        self.assertRegex(pooler.log(), rf"S-\S+: bad/app@127\.0\.0\.1:{liar.port} server login failed: ")
        self.assertNotIn("sesame", pooler.log())
        self.assertLess(pooler.memory_kb() - before, 16 << 10, "KB more")

    def what_it_answers_ends_at_most_who_asked(self):
        liar = Liar(WELCOME)
        self.addCleanup(liar.stop)
        pooler = self._pooler(liar)
        other = pooler.client()
        before = pooler.memory_kb()
        for what, liar.more in {
            "a length of two gigabytes": b"D\x7f\xff\xff\xff",
            "a length below zero": b"C\xff\xff\xff\xff",
            "a message of no type": message(b"\1"),
            "a ready nobody knows": message(b"Z", b"X"),
            "ready twice": message(b"C", b"SELECT 0\0") + READY + READY,
            "a login in the middle": SASL + message(b"C", b"SELECT 0\0") + READY,
            "parameters without end": flood(20000) + message(b"C", b"SELECT 0\0") + READY,
        }.items():
            with self.subTest(what):
                with Client(pooler.address, user="app", database="bad", timeout=30) as client:
                    client.send(query("SELECT 1"))
                    with contextlib.suppress(wire.Closed, wire.Refused):
                        while client.read()[0] != b"Z":
                            pass
                self.assertEqual(what, other.value(f"SELECT '{what}'"))
        self.assertLess(pooler.memory_kb() - before, 32 << 10, "KB more")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def one_that_breaks_behind_its_login_is_not_dialed_without_a_pause(self):
        liar = Liar(WELCOME, b"D\x7f\xff\xff\xff")        # to the first question of transparency, before it was lent to anybody
        self.addCleanup(liar.stop)
        pooler = self._pooler(liar, transparency="full", client_login_timeout=3)
        error = self.refused(pooler.client, database="bad", user="app")
        self.assertEqual("client_login_timeout (server down)", error.message)
        self.assertGreater(liar.met, 1)
        self.assertLess(liar.met, 50)       # with pauses that begin at 100 ms and grow; it was a thousand in a second
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def what_it_begins_to_say_to_one_is_not_ended_to_another(self):
        for leaves in (False, True):
            with self.subTest(leaves=leaves):
                liar = Halfway()
                self.addCleanup(liar.stop)
                pooler = self._pooler(liar, default_pool_size=1)
                first, second = (Client(pooler.address, user="app", database="bad") for _ in range(2))
                first.send(query("SELECT 1"))
                first.read_to(b"Z")
                if leaves:
                    first.drop()
                    wait_until("it is known to be gone", lambda: len([row for row in pooler.show("CLIENTS") if row["database"] == "bad"]) == 1)
                second.send(query("SELECT 2"))
                port, state = str(second.socket.getsockname()[1]), "active" if leaves else "waiting"
                wait_until("the other has the server, or waits for it",
                           lambda: (port, state) in [(str(row["port"]), row["state"]) for row in pooler.show("CLIENTS")])
                liar.rest.set()
                self.assertEqual("CZ", second.reply().kinds)
                if not leaves:
                    self.assertEqual((b"N", Halfway.warning[5:]), first.read())
