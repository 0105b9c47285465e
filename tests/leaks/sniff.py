"""What each driver says at its login, seen by a relay that stands between it and PostgreSQL and reads along.

A pooler may guess from it what it speaks with: the order and the values of the startup parameters, whether TLS is asked for, what is
sent before anybody asked anything, and the names that statements get. Prints a table for doc/decisions.
"""
import contextlib
import selectors
import socket
import struct
import sys
import threading
import time

import harness
import stories
from harness import live, postgres_programs
from judge import table
from stage import FIXTURE, Crew, Program, Workshop

SPECIAL = {80877103: "SSLRequest", 80877104: "GSSENCRequest", 80877102: "CancelRequest"}
NAMES_SHOWN = 4
TEXTS_SHOWN, TEXT_SHOWN = 3, 44
HIDDEN = ("user", "database", "application_name")


class Conversation:
    """What one client said."""

    def __init__(self):
        self.before, self.parameters, self.version, self.messages = [], None, None, []
        self.pending = b""

    def take(self, data):
        self.pending += data
        while True:
            if self.parameters is None:
                if len(self.pending) < 8:
                    return
                length, code = struct.unpack_from("!ii", self.pending)
                if len(self.pending) < length:
                    return
                body, self.pending = self.pending[8:length], self.pending[length:]
                if code in SPECIAL:
                    self.before.append(SPECIAL[code])
                else:
                    self.version = f"{code >> 16}.{code & 0xFFFF}"
                    words = body.rstrip(b"\0").split(b"\0")
                    self.parameters = list(zip(map(bytes.decode, words[::2]), map(bytes.decode, words[1::2])))
                continue
            if len(self.pending) < 5:
                return
            kind, length = self.pending[:1].decode("latin-1"), struct.unpack_from("!i", self.pending, 1)[0]
            if len(self.pending) < length + 1:
                return
            self.messages.append((kind, self.pending[5:length + 1]))
            self.pending = self.pending[length + 1:]

    def login(self):
        """The startup packet in one cell. What the application chose is named, and not shown."""
        shown = [key if key in HIDDEN else f"{key}={value}" for key, value in self.parameters or ()]
        return " ".join([*self.before, self.version or "?", *shown])

    def texts(self):
        """The first texts after the login."""
        texts = [body.split(b"\0")[0 if kind == "Q" else 1].decode(errors="replace") for kind, body in self.messages if kind in "QP"]
        return [" ".join(text.split())[:TEXT_SHOWN].replace("|", "/") for text in texts[:TEXTS_SHOWN]]

    def order(self):
        """The kinds of the first messages, up to the second batch."""
        return "".join(kind for kind, _ in self.messages if kind != "p")[:12]

    def names(self):
        """The statement names it gave, in the order of their first use."""
        names = [body.split(b"\0")[0].decode() for kind, body in self.messages if kind == "P"]
        return [name or '""' for name in dict.fromkeys(names)]


class Sniffer:
    """A relay on a port of its own; `conversations` has what each client said."""

    def __init__(self, target):
        self.target = target
        self.conversations = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ending = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def _accept(self):
        self.listener.settimeout(0.2)
        while not self.ending.is_set():
            with contextlib.suppress(OSError):
                client, _ = self.listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        heard = Conversation()
        self.conversations.append(heard)
        with contextlib.suppress(OSError), client, socket.create_connection(self.target, timeout=10) as server, \
                selectors.DefaultSelector() as both:
            client.settimeout(10)
            both.register(client, selectors.EVENT_READ, server)
            both.register(server, selectors.EVENT_READ, client)
            while not self.ending.is_set():
                for key, _ in both.select(0.2):
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    if key.fileobj is client:
                        heard.take(data)
                    key.data.sendall(data)

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(5)
        self.listener.close()


ASYNCPG = """
import asyncio, asyncpg, sys
async def main():
    c = await asyncpg.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", database="app",
                              server_settings={"application_name": "sniffed"})
    for n in range(3):
        await c.fetch("SELECT $1::int + %d" % n, n)
    await c.execute("SELECT 1")
    await c.close()
asyncio.run(main())
"""
SQLALCHEMY = """
import asyncio, sys
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
async def main():
    e = create_async_engine("postgresql+asyncpg://app@127.0.0.1:%s/app" % sys.argv[1],
                            connect_args={"server_settings": {"application_name": "sniffed"}})
    async with e.connect() as c:
        await c.execute(text("SELECT name FROM product WHERE id = :n"), {"n": 1})
    await e.dispose()
asyncio.run(main())
"""
PSYCOPG2 = """
import psycopg2, sys
c = psycopg2.connect("host=127.0.0.1 port=%s user=app dbname=app application_name=sniffed" % sys.argv[1])
c.cursor().execute("SELECT name FROM product WHERE id = %s", (1,))
"""
PSYCOPG3 = """
import psycopg, sys
c = psycopg.connect("host=127.0.0.1 port=%s user=app dbname=app application_name=sniffed" % sys.argv[1])
for n in range(8):
    c.execute("SELECT name FROM product WHERE id = %s", (n,))
c.commit()
"""
NODE = """
const { Client } = require('pg');
const c = new Client({ host: '127.0.0.1', port: Number(process.argv[1]), user: 'app', database: 'app', application_name: 'sniffed' });
c.connect().then(() => c.query('SELECT $1::int', [1])).then(() => c.query({ name: 'mine', text: 'SELECT 2' }))
  .then(() => c.query('SELECT 3')).then(() => c.end());
"""


def python(code):
    return lambda port: [Program(sys.executable, "-c", code, port, ends=True)]


def application(name):
    """A story's own application, for what is not worth a second program."""
    load = next(load for load in stories.LEAKS if load.name == name)
    return lambda port: load.crew(stories.Place("127.0.0.1", port, "app", "app", "sniffed", True, live.pg.port))


DRIVERS = [
    ("psql (libpq 15)", lambda port: [Program("psql", "-XAtq", f"host=127.0.0.1 port={port} user=app dbname=app", "-c",
                                              "SELECT 1", ends=True)]),
    ("pgbench -M prepared", lambda port: [Program(postgres_programs() / "pgbench", "-n", "-M", "prepared", "-t", 2, "-f", "one.sql",
                                                  "-h", "127.0.0.1", "-p", port, "-U", "app", "app", ends=True)]),
    ("psycopg 2.9", python(PSYCOPG2)),
    ("psycopg 3.1", python(PSYCOPG3)),
    ("Django 3.2 (psycopg 2)", application("uvicorn-page")),
    ("asyncpg 0.27", python(ASYNCPG)),
    ("SQLAlchemy 1.4 with asyncpg", python(SQLALCHEMY)),
    ("node-postgres 8.13", lambda port: [Program("node", "-e", NODE, port, ends=True)]),
    ("JDBC 42.5 (HikariCP)", application("hikari-orders")),
    ("Go lib/pq", lambda port: [Program("./go-stories", PGHOST="127.0.0.1", PGPORT=str(port), PGUSER="app", PGDATABASE="app",
                                        PGAPPNAME="sniffed", PGSSLMODE="disable", SESSION_DATABASE="app", ends=True)]),
]


def main(options):
    """Let every driver log in and ask something, and print what it said."""
    rows = []
    with Workshop(("go", "java", "node")) as workshop, harness.stage(**options):
        with live.pg.admin("app") as admin:
            for sql in FIXTURE:
                admin.query(sql)
        for name, crew in DRIVERS:
            with Sniffer(live.pg.address) as sniffer:
                with Crew(workshop, crew(sniffer.port)) as running:
                    deadline = time.monotonic() + 15
                    while time.monotonic() < deadline and not any(len(each.names()) > 2 or each.messages and each.messages[-1][0] == "X"
                                                                  for each in sniffer.conversations):
                        time.sleep(0.1)
                    said = running.log()
            heard = max(sniffer.conversations, key=lambda each: (sum(name != '""' for name in each.names()), len(each.messages)),
                        default=None)
            if heard is None or heard.parameters is None:
                print(f"{name} did not log in:\n{said}", file=sys.stderr)
                return 1
            rows.append([name, f"`{heard.login()}`", ", ".join(f"`{each}`" for each in heard.texts()), f"`{heard.order()}`",
                         " ".join(f"`{each}`" for each in heard.names()[:NAMES_SHOWN])])
    print("\n".join(table(["driver", "startup", "first texts", "messages", "statement names"], rows, markdown=True)))
    return 0
