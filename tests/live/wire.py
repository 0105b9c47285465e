"""A small PostgreSQL wire client that hides nothing.

Drivers are polite: they never send half a message, never pipeline past an error,
never lie about a length. This client builds messages as plain bytes, so that a test
can send any of them, whole, in part, or wrong, and it shows every byte that comes back.

    message builders (bytes out)      startup query parse bind describe execute close ...
    Client                            one blocking connection; every wait has a deadline
    Reply                             what came back up to ReadyForQuery, in order
"""
import base64
import hashlib
import hmac
import os
import secrets
import select
import socket
import struct
import time

PATIENCE = 1        # the harness makes it larger for slow builds

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
CANCEL_CODE = 1234 << 16 | 5678
SSL_CODE = 1234 << 16 | 5679
GSSENC_CODE = 1234 << 16 | 5680


class Closed(Exception):
    """The other side closed the connection."""


class Late(Exception):
    """Nothing came before the deadline."""


class Refused(Exception):
    """An ErrorResponse, with its fields by letter."""

    def __init__(self, fields):
        self.fields = fields
        self.severity = fields.get("S", "")
        self.sqlstate = fields.get("C", "")
        self.message = fields.get("M", "")
        self.detail = fields.get("D", "")
        self.hint = fields.get("H", "")
        super().__init__(f"{self.severity} {self.sqlstate} {self.message}"
                         + (f" ({self.detail})" if self.detail else "")
                         + (f" [{self.hint}]" if self.hint else ""))


# Messages to the server ---------------------------------------------------------------

def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0" if isinstance(value, str) else value + b"\0"


def startup(parameters, version=PROTOCOL_3_0):
    body = struct.pack("!i", version)
    for key, value in parameters.items():
        body += text(key) + text(value)
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def special(code, body=b""):
    return struct.pack("!ii", len(body) + 8, code) + body


def cancel_request(pid, secret):
    return special(CANCEL_CODE, struct.pack("!I", pid & 0xFFFFFFFF) + secret)


def query(sql):
    return message(b"Q", text(sql))


def parse(name, sql, types=()):
    return message(b"P", text(name) + text(sql) + struct.pack("!h", len(types))
                   + b"".join(struct.pack("!I", oid) for oid in types))


def bind(portal, name, values=(), results_binary=False, formats=()):
    body = text(portal) + text(name) + struct.pack("!hh", 0, len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            data = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!i", len(data)) + data
    formats = (1,) if results_binary else formats
    body += struct.pack(f"!{1 + len(formats)}h", len(formats), *formats)
    return message(b"B", body)


def describe(kind, name=""):
    return message(b"D", kind.encode() + text(name))


def execute(portal="", rows_max=0):
    return message(b"E", text(portal) + struct.pack("!i", rows_max))


def close(kind, name=""):
    return message(b"C", kind.encode() + text(name))


def function_call(oid, arguments):
    body = struct.pack("!Ihh", oid, 0, len(arguments))
    for value in arguments:
        data = str(value).encode()
        body += struct.pack("!i", len(data)) + data
    return message(b"F", body + struct.pack("!h", 0))


def copy_data(data):
    return message(b"d", data)


def copy_fail(reason):
    return message(b"f", text(reason))


SYNC = message(b"S")
FLUSH = message(b"H")
COPY_DONE = message(b"c")
TERMINATE = message(b"X")


def batch(sql, values=(), name=""):
    """Parse, Bind, Describe, Execute, Sync: what a driver sends for one statement."""
    return (parse(name, sql) + bind("", name, values) + describe("P") + execute() + SYNC)


# Messages from the server -------------------------------------------------------------

def fields_of(body):
    fields = {}
    for part in body.split(b"\0"):
        if part:
            fields[part[:1].decode()] = part[1:].decode("utf-8", "replace")
    return fields


def row_of(body):
    count, = struct.unpack_from("!h", body)
    at, row = 2, []
    for _ in range(count):
        length, = struct.unpack_from("!i", body, at)
        at += 4
        if length < 0:
            row.append(None)
        else:
            row.append(body[at:at + length].decode("utf-8", "replace"))
            at += length
    return tuple(row)


def columns_of(body):
    """(name, type oid) of each column of a RowDescription."""
    count, = struct.unpack_from("!h", body)
    at, columns = 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        name = body[at:end].decode()
        oid, = struct.unpack_from("!I", body, end + 7)
        at = end + 19
        columns.append((name, oid))
    return columns


class Reply:
    """Everything between a request and its ReadyForQuery."""

    def __init__(self):
        self.kinds = ""         # one letter for each message, in order; notices and parameters left out
        self.rows = []
        self.columns = []
        self.tags = []
        self.errors = []
        self.copied = []        # bodies of CopyData
        self.status = None      # I, T or E

    def take(self, kind, body):
        if kind not in b"NSA":
            self.kinds += kind.decode("latin-1")
        if kind == b"T":
            self.columns = columns_of(body)
        elif kind == b"D":
            self.rows.append(row_of(body))
        elif kind == b"C":
            self.tags.append(body[:-1].decode())
        elif kind == b"E":
            self.errors.append(Refused(fields_of(body)))
        elif kind == b"d":
            self.copied.append(body)
        elif kind == b"V":
            length, = struct.unpack_from("!i", body)
            self.rows.append((None if length < 0 else body[4:4 + length].decode(),))
        elif kind == b"Z":
            self.status = body.decode()

    @property
    def names(self):
        return [name for name, _ in self.columns]

    @property
    def value(self):
        return self.rows[0][0] if self.rows else None

    @property
    def error(self):
        return self.errors[0] if self.errors else None

    def dicts(self):
        return [dict(zip(self.names, row)) for row in self.rows]

    def __repr__(self):
        return f"Reply({self.kinds} rows={self.rows[:3]} tags={self.tags} errors={self.errors} {self.status})"


class Scram:
    """The client's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding."""

    def __init__(self, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        self.bare = f"n=,r={self.nonce}"

    def first(self):
        return ("n,," + self.bare).encode()

    def final(self, challenge):
        self.challenge = challenge.decode()
        parts = dict(part.split("=", 1) for part in self.challenge.split(","))
        if not parts["r"].startswith(self.nonce):
            raise AssertionError("the server's nonce does not begin with ours")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(parts["s"]), int(parts["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={parts['r']}"
        said = f"{self.bare},{self.challenge},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), said, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, last):
        if base64.b64decode(last.decode().split("v=", 1)[1].split(",")[0]) != self.expected:
            raise AssertionError("the server's signature is wrong")


def scram_secret(password, salt=None, iterations=4096):
    """A secret as PostgreSQL stores it."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encode = lambda data: base64.b64encode(data).decode()
    return f"SCRAM-SHA-256${iterations}:{encode(salt)}${encode(stored)}:{encode(server)}"


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


class Client:
    """One connection. `address` is (host, port) or the path of a unix socket.

    tls     an ssl.SSLContext: ask for TLS, and speak it before anything else; with `direct`, do not ask
    """

    def __init__(self, address, user="app", database="app", password=None, parameters=None,
                 version=PROTOCOL_3_0, login=True, timeout=15, source=None, tls=None, direct=False):
        self.address = address
        self.timeout = timeout = timeout * PATIENCE
        self.pid = self.secret = None
        self.parameters = {}
        self.negotiated = None
        self.auth = []              # authentication codes seen, in order
        self.seen = []              # (kind, body) during login
        self.notices = []
        self.notifications = []
        self.inbox = bytearray()
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=timeout, source_address=source)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = tls
        try:
            if tls:
                self.begin_tls(tls, direct)
            if login:
                self.login(user, database, password, parameters, version)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def begin_tls(self, context, direct=False):
        if not direct:
            self.send(special(SSL_CODE))
            answer = self.read_bytes(1)
            if answer != b"S":
                raise Closed(f"TLS was answered by {answer}")
        self.socket.settimeout(self.timeout)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost" if context.check_hostname else None)

    # Bytes

    def send(self, *parts):
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(b"".join(parts))
        except socket.timeout as late:
            raise Late("sending") from late
        except OSError as error:
            raise Closed(str(error)) from error

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise Late("reading")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 16)
        except socket.timeout as late:
            raise Late("reading") from late
        except OSError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of file")
        self.inbox += data

    def read_bytes(self, count, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self.inbox) < count:
            self._fill(deadline)
        data = bytes(self.inbox[:count])
        del self.inbox[:count]
        return data

    def skip_bytes(self, count, timeout=None):
        """Read `count` bytes and keep none of them."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while count:
            if not self.inbox:
                self._fill(deadline)
            gone = min(count, len(self.inbox))
            del self.inbox[:gone]
            count -= gone

    def read(self, timeout=None):
        """The next message, whatever it is."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            if len(self.inbox) >= 5:
                length, = struct.unpack_from("!i", self.inbox, 1)
                if len(self.inbox) >= length + 1:
                    break
            self._fill(deadline)
        kind, body = bytes(self.inbox[:1]), bytes(self.inbox[5:length + 1])
        del self.inbox[:length + 1]
        if kind == b"N":
            self.notices.append(fields_of(body))
        elif kind == b"S":
            key, value, _ = body.split(b"\0")
            self.parameters[key.decode()] = value.decode("utf-8", "replace")
        elif kind == b"A":
            pid, = struct.unpack_from("!i", body)
            channel, payload, _ = body[4:].split(b"\0")
            self.notifications.append((pid, channel.decode(), payload.decode()))
        return kind, body

    def read_to(self, kinds, timeout=None):
        """A Reply that ends with the first message whose kind is in `kinds`."""
        deadline = time.monotonic() + (timeout or self.timeout)
        reply = Reply()
        while True:
            kind, body = self.read(max(0.001, deadline - time.monotonic()))
            reply.take(kind, body)
            if kind in kinds:
                return reply

    def reply(self, timeout=None):
        return self.read_to(b"Z", timeout)

    def readable(self):
        """Something has arrived, or the end."""
        return bool(self.inbox) or bool(select.select([self.socket], [], [], 0)[0])

    def expect_closed(self, timeout=None):
        """Read on until end of file; the errors that came before it."""
        errors = []
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            try:
                kind, body = self.read(max(0.001, deadline - time.monotonic()))
            except Closed:
                return errors
            if kind == b"E":
                errors.append(Refused(fields_of(body)))

    # Conversations

    def login(self, user, database, password=None, parameters=None, version=PROTOCOL_3_0):
        asked = {"user": user}
        if database is not None:
            asked["database"] = database
        asked.update(parameters or {})
        self.send(startup(asked, version))
        self.finish_login(user, password)

    def finish_login(self, user, password=None):
        password = password if password is not None else ""
        while True:
            kind, body = self.read()
            self.seen.append((kind, body))
            if kind == b"R":
                code, = struct.unpack_from("!i", body)
                self.auth.append(code)
                if code == 3:
                    self.send(message(b"p", text(password)))
                elif code == 5:
                    inner = hashlib.md5((password + user).encode()).hexdigest()
                    outer = "md5" + hashlib.md5(inner.encode() + body[4:8]).hexdigest()
                    self.send(message(b"p", text(outer)))
                elif code == 10:
                    self.mechanisms = [name.decode() for name in body[4:].split(b"\0") if name]
                    scram = Scram(password)
                    first = scram.first()
                    self.send(message(b"p", text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
                elif code == 11:
                    self.send(message(b"p", scram.final(body[4:])))
                elif code == 12:
                    scram.verify(body[4:])
            elif kind == b"v":
                newest, count = struct.unpack_from("!ii", body)
                self.negotiated = (newest, [name.decode() for name in body[8:].split(b"\0") if name])
            elif kind == b"K":
                self.pid, = struct.unpack_from("!I", body)
                self.secret = body[4:]
            elif kind == b"E":
                raise Refused(fields_of(body))
            elif kind == b"Z":
                return

    def ask(self, *parts, timeout=None):
        """Send, and give the Reply up to ReadyForQuery, errors within it."""
        self.send(*parts)
        return self.reply(timeout)

    def simple(self, sql, timeout=None):
        return self.ask(query(sql), timeout=timeout)

    def query(self, sql, timeout=None):
        """As `simple`, but an error is raised."""
        reply = self.simple(sql, timeout)
        if reply.errors:
            raise reply.error
        return reply

    def begin(self):
        """A transaction that has begun at the server too: BEGIN alone takes none."""
        return self.query("BEGIN; SELECT 1")

    def value(self, sql, timeout=None):
        return self.query(sql, timeout).value

    def extended(self, sql, values=(), name="", timeout=None):
        reply = self.ask(batch(sql, values, name), timeout=timeout)
        if reply.errors:
            raise reply.error
        return reply

    def run_prepared(self, name, values=(), timeout=None):
        reply = self.ask(bind("", name, values), execute(), SYNC, timeout=timeout)
        if reply.errors:
            raise reply.error
        return reply

    def prepare(self, name, sql):
        reply = self.ask(parse(name, sql), SYNC)
        if reply.errors:
            raise reply.error
        return reply

    def cancel(self, pid=None, secret=None):
        """Send a CancelRequest on a connection of its own and wait until that is closed."""
        pid = self.pid if pid is None else pid
        secret = self.secret if secret is None else secret
        with Client(self.address, login=False, timeout=self.timeout, tls=self.tls) as other:
            other.send(cancel_request(pid, secret))
            return other.expect_closed()

    def close(self):
        try:
            self.socket.settimeout(1)
            self.socket.sendall(TERMINATE)
        except OSError:
            pass
        self.socket.close()

    def drop(self):
        """Go away as a process that is killed does: the kernel says goodbye (FIN), nobody else does."""
        self.socket.close()

    def vanish(self):
        """Go away without a word, with a reset where the transport knows one."""
        if not isinstance(self.address, str):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
