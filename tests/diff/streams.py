"""Streams of messages, made from a seed: what a client may say to PostgreSQL, sensible or not, in any order.

A stream is a login and a list of messages with WAIT between some of them: there the client reads what was answered so far. A
statement is chosen first (statements.py), or several that belong together (conversations.py), then how it travels (simple, extended in
one of its many forms, within a string of several), then whether the client waits for the answer before it says the next thing, and whether others say something meanwhile.
"""
import wire
from conversations import Conversations
from statements import IS_FETCH, IS_RESET, PORTALS, PREPARED, RESET, SCHEMA, STATEMENTS  # noqa: F401: RESET and SCHEMA for who plays

WAIT = None                     # in a stream's messages: read what is answered
OTHERS = b"others"              # the kind of what somebody else says past the pooler


USERS = ("app", "app", "app", "app", "app", "other", "third")
LOGINS = (
    {}, {}, {}, {},
    {"application_name": "me"},
    {"options": "-c work_mem=9MB -c app.tenant=first"},
    {"options": "-c search_path={lane} --statement_timeout=30min"},
    {"client_encoding": "LATIN1", "DateStyle": "SQL, DMY"},
    {"TimeZone": "America/New_York", "extra_float_digits": "2", "application_name": "Me Too"},
    {"options": "-c default_transaction_isolation=serializable -c intervalstyle=iso_8601"},
)


class Message:
    """One message: its bytes, and how a person would write it."""

    def __init__(self, said, data):
        self.said, self.data = said, data

    @property
    def kind(self):
        return self.data[:1]


class Others:
    """What somebody else says, directly to PostgreSQL, while the client has all its answers."""
    kind = OTHERS

    def __init__(self, sql):
        self.said, self.data = f"    others: {sql}", sql


class Stream:
    def __init__(self, seed, user, login, messages):
        self.seed, self.user, self.login, self.messages = seed, user, login, messages

    def with_messages(self, messages):
        return Stream(self.seed, self.user, self.login, messages)

    def story(self):
        lines = [f"login as {self.user} {self.login}"]
        for each in self.messages:
            lines.append("    ..." if each is WAIT else each.said)
        return lines


def make(seed, lane, number):
    """The stream of this seed, in that lane."""
    return Writer(seed, lane, number).stream()


class Writer(Conversations):
    def __init__(self, seed, lane, number):
        super().__init__(seed, lane, number)
        self.seed, self.messages = seed, []
        self.bound = False      # the unnamed portal, in this batch: see is_well_formed
        self.resets = set()     # names of statements that are a RESET, as far as is known
        self.fetches = set()    # ... that may be a FETCH: see is_well_formed

    def stream(self):
        self.user = self.one(*USERS)
        self.login = {key: value.replace("{lane}", self.lane) for key, value in self.one(*LOGINS).items()}
        # Some statements are rare in all streams; here each stream has its own taste, so that they meet.
        self.tastes = [(kind, self.one(0, 1, 1, 4) * weight) for kind, weight in self.KINDS]
        if not any(weight for _, weight in self.tastes):
            self.tastes = list(self.KINDS)
        self.patience = self.one(1, 1, 0.6, 0.2)
        for _ in range(self.dice.randint(2, 14)):
            self.turn()
        return Stream(self.seed, self.user, self.login, self.messages)

    def say(self, said, data):
        self.messages.append(Message(said, data))
        self.bound = _binds(self.messages[-1], self.bound)
        _note_fetch(self.messages[-1], self.fetches)
        if self.messages[-1].kind in (b"Q", b"F", b"S"):
            self.was_reset = False

    def wait(self):
        if self.messages and self.messages[-1] is not WAIT:
            self.messages.append(WAIT)

    # How they travel.

    def turn(self):
        self.dice.choices((self.simple, self.several, self.extended, self.pipeline, self.named, self.portal, self.function, self.odd, self.conversation),
                          (30, 8, 20, 12, 10, 5, 2, 4, 12))[0]()
        self.pause()

    def pause(self):
        if self.chance(self.patience):
            self.wait()
            if dict(self.tastes)["listening"] and self.chance(0.2):
                self.say_others(self.others())

    def say_others(self, sql):
        self.messages.append(Others(sql))

    def conversation(self):
        """One of those that belong together, with something left out or said between now and then."""
        names, weights = zip(*self.CONVERSATIONS)
        name = self.dice.choices(names, weights)[0]
        loose = name not in self.CLOSED
        batched = self.one(0, 0, 0.3) if loose else 0
        for step in getattr(self, name)():
            if loose and self.chance(0.06):
                continue
            self.tell(step, loose, batched)
            if loose and self.chance(0.08):
                self.one(self.simple, self.extended, self.odd)()
        if batched:
            self.sync()

    def tell(self, step, loose, batched):
        """A step of a conversation, in one of the ways to say it; `batched`: how often it is a part of what comes next."""
        if callable(step):
            step()
            self.pause()
            return
        sql, values, kind = self.allowed(*((step, (), "") if isinstance(step, str) else (*step, "")[:3]))
        if self.chance(batched):
            self.run(self.one("", "", "", "s2"), said=(sql, values, kind))
            return
        if self.chance(0.5):
            self.query(self.filled(sql, values))
            if kind == "copying":
                self.copy_data()
        else:
            # A name that is in use would be an error too often for the conversation to go on.
            self.run(self.one("", "", "", "s2") if loose else "", self.one("", "", "", *PORTALS), said=(sql, values, kind))
            self.sync()
        self.pause()

    def simple(self):
        sql, values, kind = self.statement()
        if kind == "prepared" and self.chance(0.2):
            sql = self.one("DEALLOCATE s1", 'DEALLOCATE "S 3"')     # alone: see doc/transparency.md
        self.query(self.filled(sql, values))
        if kind == "copying":
            self.copy_data()

    def query(self, sql):
        self.say(f"Query {short(sql)}", wire.query(sql))

    def several(self):
        parts = []
        copies = 0
        for _ in range(self.dice.randint(2, 4)):
            sql, values, kind = self.statement()
            copies += kind == "copying"
            parts.append(self.filled(sql, values).split("--")[0])
        self.query("; ".join(parts))
        for _ in range(copies):
            self.copy_data()

    @staticmethod
    def filled(sql, values):
        """The values where the parameters are, except where the mistake is that there are none."""
        for number, value in enumerate(values, 1):
            quoted = "'" + str(value).replace("'", "''") + "'"
            sql = sql.replace(f"${number}", quoted)
        return sql

    def copy_data(self, extended=False):
        """What a client sends for COPY FROM STDIN: rows, or a mistake, and one of the ends. libpq says Sync before them."""
        if extended and self.chance(0.1):
            self.sync()
        if self.chance(0.5):
            self.wait()
        for _ in range(self.small(3)):
            row = self.one(f"{self.dice.randint(31, 60)}\tcopied\n", f"{self.dice.randint(61, 90)}\n", "1\tduplicate\n", "not a number\n", "7", "\\.\n")
            self.say(f"CopyData {row!r}", wire.copy_data(row.encode()))
        if self.chance(0.1):
            self.flush()
        if self.chance(0.75):
            self.say("CopyDone", wire.COPY_DONE)
        else:
            self.say("CopyFail", wire.copy_fail("changed my mind"))

    def sync(self):
        self.say("Sync", wire.SYNC)

    def flush(self):
        self.say("Flush", wire.FLUSH)

    def parse(self, name, sql):
        self.say(f"Parse {name!r} {short(sql)}", wire.parse(name, sql))
        (self.resets.add if IS_RESET.match(sql) else self.resets.discard)(name)

    def bind(self, portal, name, values, binary=False):
        self.was_reset = self.was_reset or bool(self.login and name in self.resets)
        self.led_back = self.led_back or self.was_reset
        self.say(f"Bind {portal!r} of {name!r} with {values!r}{' binary' if binary else ''}", wire.bind(portal, name, values, binary))

    def describe(self, kind, name):
        if kind == "P" and not name and not self.bound:
            name = "p1"
        if not _ends_postgresql(wire.describe(kind, name), self.messages, self.fetches):
            self.say(f"Describe {kind} {name!r}", wire.describe(kind, name))

    def execute(self, portal, most=0):
        if not portal and not self.bound:
            portal = "p1"
        self.say(f"Execute {portal!r} {most or ''}".rstrip(), wire.execute(portal, most))

    def close(self, kind, name):
        self.say(f"Close {kind} {name!r}", wire.close(kind, name))

    def in_batch(self, sql, name, close=False, sync=True):
        """A statement and no surprises."""
        if close:
            self.close("S", name)
        self.parse(name, sql)
        self.bind("", name, ())
        self.execute("")
        if sync:
            self.sync()

    def again(self, name, values=()):
        self.bind("", name, values)
        self.execute("")
        self.sync()

    def run(self, name="", portal="", said=None):
        """A whole statement up to its Execute, with what some drivers put between."""
        sql, values, kind = said or self.statement()
        self.parse(name, sql)
        if self.chance(0.3):
            self.describe("S", name)
        if self.chance(0.1):
            self.sync()
            if self.chance(0.5):
                self.wait()
        elif self.chance(0.1):
            self.flush()
            self.wait()
        if self.chance(0.02 if said else 0.05):
            values = (*values, "one too many")
        self.bind(portal, name, values, self.chance(0.1))
        if self.chance(0.5):
            self.describe("P", portal)
        self.execute(portal, self.one(0, 0, 0, 1, 2))
        if kind == "copying":
            self.copy_data(extended=True)
        if self.chance(0.1):
            self.close(self.one("S", "P"), self.one(name, portal))

    def extended(self):
        self.run(self.one("", "", "", *STATEMENTS), self.one("", "", "", *PORTALS))
        self.sync()

    def pipeline(self):
        """Several before a Sync, and sometimes none at all."""
        for _ in range(self.dice.randint(2, 4)):
            self.run(self.one(*STATEMENTS), self.one(*PORTALS))
            if self.chance(0.15):
                self.flush()
                if self.chance(0.5):
                    self.wait()
        if self.chance(0.85):
            self.sync()
        elif self.chance(0.3):
            self.flush()

    def named(self):
        """What was prepared before, perhaps."""
        name = self.one(*STATEMENTS, *PREPARED)
        if self.chance(0.3):
            sql, values, _ = self.one(*([self.read()] * 3 + [self.write()])) + ("",)
            # A name of SQL's PREPARE that a Parse has taken is told by the error of PREPARE: see doc/transparency.md.
            self.parse("s1" if name in PREPARED else name, sql)
            if self.chance(0.5):
                self.sync()
        values = self.one((), (), (1,), ("left", "right"))
        if self.chance(0.3):
            self.describe("S", name)
        self.bind(self.one(*PORTALS), name, values)
        self.execute("", self.small(2))
        if self.chance(0.2):
            self.close("S", name)
        self.sync()

    def portal(self):
        """A portal read in parts."""
        portal = self.one("p1", "p 2") if self.chance(0.7) else ""
        rows = self.dice.randint(1, 8)
        block = self.chance(0.5)            # it lives until the transaction ends
        if block:
            self.query("BEGIN")
        self.parse("", f"SELECT g, 10/(5-g) FROM generate_series(1, {rows}) g")
        self.bind(portal, "", ())
        for _ in range(self.dice.randint(1, 4)):
            self.execute(portal, self.dice.randint(1, 3))
            if self.chance(0.3):
                self.flush()
                self.wait()
            if self.chance(0.5 if block else 0.2):
                self.sync()
                if block and self.chance(0.3):
                    self.simple()
        self.sync()
        if block:
            self.query(self.one("COMMIT", "ROLLBACK"))

    def function(self):
        self.function_call(*self.one((871, ["lower"]), (154, [7, 2]), (154, [7, 0]), (177, [1, 2]), (999999, []), (177, [1]), (177, ["x", 1])))

    def function_call(self, oid, arguments):
        self.say(f"FunctionCall {oid} {arguments}", wire.function_call(oid, arguments))

    def odd(self):
        """Messages where nobody expects them."""
        for _ in range(self.dice.randint(1, 3)):
            self.one(self.sync, self.flush, self.copy_data, lambda: self.close("S", self.one(*STATEMENTS)),
                     lambda: self.close("P", self.one(*PORTALS)), lambda: self.describe("P", self.one(*PORTALS)),
                     lambda: self.describe("S", self.one(*STATEMENTS)), lambda: self.execute(self.one(*PORTALS)),
                     lambda: self.bind("", "unknown", ()), lambda: self.query(""))()
        if self.chance(0.7):
            self.sync()


def _binds(message, bound):
    """Whether the unnamed portal is bound in this batch, behind this message."""
    return message.kind not in (b"Q", b"F", b"S") and (bound or message.data[:1] + message.data[5:6] == b"B\0")


def _note_fetch(message, fetches):
    """A Parse that fails leaves a name as it was."""
    if message is not WAIT and message.kind == b"P":
        name, sql = message.data[5:].split(b"\0")[:2]
        if IS_FETCH.search(sql):
            fetches.add(name)


def _ends_postgresql(data, before, fetches):
    """A Describe of a FETCH that does not stand right behind its Parse."""
    if data[:1] + data[5:6] != b"DS" or data[6:-1] not in fetches:
        return False
    last = before[-1] if before else WAIT
    return last is WAIT or last.kind != b"P" or last.data[5:].split(b"\0")[0] != data[6:-1]


def is_well_formed(messages):
    """Whether all data of a COPY is followed by an end: see doc/transparency.md for what becomes of it otherwise. And whether the unnamed
    portal is one of a Bind in the same batch: that of a Query which failed in a block can be executed too, and PostgreSQL 15.18 crashes. So it does, as 18
    does, where a FETCH is described whose cursor was there at its Parse, and is not any more."""
    open_copy = bound = False
    fetches = set()
    for number, message in enumerate(messages):
        if message is WAIT or message.kind in (b"H", OTHERS):
            continue
        if _ends_postgresql(message.data, messages[:number], fetches):
            return False
        _note_fetch(message, fetches)
        if not bound and (message.data[:1] + message.data[5:6] == b"E\0" or message.data[:1] + message.data[5:7] == b"DP\0"):
            return False
        bound = _binds(message, bound)
        if open_copy and message.kind not in (b"d", b"c", b"f"):
            return False
        open_copy = message.kind == b"d"
    return not open_copy


def short(sql):
    return sql if len(sql) < 160 else sql[:150] + "..."
