"""Streams of messages, made from a seed: what a client may say to PostgreSQL, sensible or not, in any order.

A stream is a login and a list of messages with WAIT between some of them: there the client reads what was answered so far. A
statement is chosen first, then how it travels (simple, extended in one of its many forms, within a string of several), then whether the
client waits for the answer before it says the next thing. Names come from a few, so that what was made is found, or found missing, later.

Everything lies in the schema of a lane, which one stream has for itself at a time; {lane} stands for it. No statement asks for what
PostgreSQL itself answers differently each time: the time, a process id, an oid, a transaction id, or the order of rows of a table.
"""
import random

import wire

WAIT = None                     # in a stream's messages: read what is answered

STATEMENTS = ("", "", "s1", "s2", "S 3")
PORTALS = ("", "", "p1", "p 2")
CURSORS = ("c1", "c2")
SAVEPOINTS = ("a", "b")
TEMPORARY = ("tmp1", "tmp2")
PREPARED = ("q1", "q2")
SETTINGS = {
    "work_mem": ("'1MB'", "'7MB'", "12345", "'a lot'"),
    "search_path": ("{lane}", "{lane}, public", "'$user', public", "nowhere", "pg_temp, {lane}"),
    "statement_timeout": ("0", "'1h'", "'59min'"),
    "lock_timeout": ("0", "'2h'"),
    "timezone": ("'UTC'", "'Asia/Tokyo'", "'+3'", "'Nowhere/City'"),
    "datestyle": ("'ISO, MDY'", "'German'", "'SQL, DMY'"),
    "intervalstyle": ("'postgres'", "'iso_8601'"),
    "application_name": ("'one'", "'it''s two'", "''"),
    "app.tenant": ("'t1'", "'t2'", "''"),
    "app.person": ("'u1'", "'Ünicode'"),
    "extra_float_digits": ("0", "3", "-2"),
    "bytea_output": ("'hex'", "'escape'"),
    "client_encoding": ("'UTF8'", "'LATIN1'"),
    "client_min_messages": ("notice", "debug1", "warning", "error"),
    "default_transaction_read_only": ("on", "off"),
    "default_transaction_isolation": ("'serializable'", "'read committed'", "'no such'"),
    "enable_seqscan": ("on", "off"),
    "standard_conforming_strings": ("on", "off"),
    "row_security": ("on", "off"),
    "plan_cache_mode": ("force_generic_plan", "auto"),
    "xmloption": ("document", "content"),
    "log_min_messages": ("info",),                      # not allowed to app
    "max_connections": ("7",),                          # to nobody
    "no_such_setting": ("1",),
}
LOGINS = (
    {}, {}, {}, {},
    {"application_name": "me"},
    {"options": "-c work_mem=9MB -c app.tenant=first"},
    {"options": "-c search_path={lane} --statement_timeout=30min"},
    {"client_encoding": "LATIN1", "DateStyle": "SQL, DMY"},
    {"TimeZone": "America/New_York", "extra_float_digits": "2", "application_name": "Me Too"},
    {"options": "-c default_transaction_isolation=serializable -c intervalstyle=iso_8601"},
)

SCHEMA = """
CREATE SCHEMA {lane} AUTHORIZATION app;
GRANT ALL ON SCHEMA {lane} TO other, third;
SET ROLE app;
CREATE TABLE {lane}.t (id int PRIMARY KEY, v text DEFAULT 'none', CHECK (id < 1000));
CREATE TABLE {lane}.numbered (n serial, v text);
CREATE TABLE {lane}.audited (id int);
CREATE TABLE {lane}.deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE {lane}.counter;
CREATE VIEW {lane}.v AS SELECT id, v FROM {lane}.t WHERE id < 4 ORDER BY id;
CREATE FUNCTION {lane}.remember() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM set_config('app.last', NEW.id::text, false); RETURN NEW; END$$;
CREATE TRIGGER remember BEFORE INSERT ON {lane}.audited FOR EACH ROW EXECUTE FUNCTION {lane}.remember();
CREATE FUNCTION {lane}.noisy(int) RETURNS int LANGUAGE plpgsql AS
    $$BEGIN RAISE NOTICE 'heard %', $1; RAISE WARNING 'warned'; RETURN $1; END$$;
CREATE FUNCTION {lane}.fails(text) RETURNS int LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'failed %', $1 USING DETAIL = 'in detail', HINT = 'none', ERRCODE = 'P0123'; END$$;
CREATE FUNCTION {lane}.tenant(text) RETURNS text LANGUAGE sql AS $$SELECT set_config('app.tenant', $1, false)$$;
CREATE FUNCTION {lane}.quietly(int) RETURNS int LANGUAGE sql SET work_mem = '3MB' AS $$SELECT $1 + 1$$;
CREATE PROCEDURE {lane}.stepwise() LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO {lane}.numbered (v) VALUES ('first'); COMMIT; INSERT INTO {lane}.numbered (v) VALUES ('second'); ROLLBACK; END$$;
GRANT ALL ON ALL SEQUENCES IN SCHEMA {lane} TO other, third;
GRANT ALL ON ALL TABLES IN SCHEMA {lane} TO other, third;
RESET ROLE;
"""

# Run by the superuser before each stream: the lane as it was. Whoever had the lane before is waited for, by its locks.
RESET = """
SELECT pg_advisory_xact_lock({number}, 1), pg_advisory_xact_lock({number}, 2);
DROP TABLE IF EXISTS {lane}.made, {lane}.made2 CASCADE;
TRUNCATE {lane}.t, {lane}.numbered, {lane}.audited, {lane}.deferred RESTART IDENTITY;
ALTER SEQUENCE {lane}.counter RESTART;
INSERT INTO {lane}.t SELECT n, 'row ' || n FROM generate_series(1, 5) n;
"""


class Message:
    """One message: its bytes, and how a person would write it."""

    def __init__(self, said, data):
        self.said, self.data = said, data

    @property
    def kind(self):
        return self.data[:1]


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


class Writer:
    def __init__(self, seed, lane, number):
        self.dice, self.seed, self.lane, self.number = random.Random(seed), seed, lane, number
        self.messages = []
        self.user = ""

    # Choosing

    def one(self, *of):
        return self.dice.choice(of)

    def chance(self, probability):
        return self.dice.random() < probability

    def small(self, most=9):
        return self.dice.randint(0, most)

    def stream(self):
        self.user = self.one("app", "app", "app", "app", "app", "other", "third")
        login = {key: value.replace("{lane}", self.lane) for key, value in self.one(*LOGINS).items()}
        # Some statements are rare in all streams; here each stream has its own taste, so that they meet.
        self.tastes = [(kind, self.one(0, 1, 1, 4) * weight) for kind, weight in self.KINDS]
        if not any(weight for _, weight in self.tastes):
            self.tastes = list(self.KINDS)
        self.patience = 1
        for _ in range(self.dice.randint(2, 14)):
            self.turn()
        return Stream(self.seed, self.user, login, self.messages)

    def say(self, said, data):
        self.messages.append(Message(said, data))

    def wait(self):
        if self.messages and self.messages[-1] is not WAIT:
            self.messages.append(WAIT)

    # Statements. Each gives (sql, values of its parameters).

    def read(self):
        return self.one(
            ("SELECT 1", ()), ("SELECT 'a' AS x, NULL::int AS y", ()), (f"SELECT v FROM {self.lane}.t ORDER BY id", ()),
            (f"SELECT id, v FROM {self.lane}.t WHERE id = $1", (self.small(),)), (f"TABLE {self.lane}.v", ()),
            (f"SELECT count(*), max(n) FROM {self.lane}.numbered", ()), ("SELECT repeat('x', 20000)", ()),
            ("SELECT $1::text || $2", ("left", "right")), ("SELECT generate_series(1, $1::int)", (self.small(),)),
            ("VALUES (1, 'one'), (2, 'two'), (3, NULL)", ()), ("SELECT", ()), ("SELECT 1.5::float8/3, '\\x00ff'::bytea", ()),
            (f"SELECT v FROM {self.lane}.t ORDER BY id FOR UPDATE", ()), ("EXPLAIN (COSTS OFF) SELECT 1", ()),
            ("SELECT '1 day 2 hours'::interval, '2020-02-01'::date, '2020-02-01 12:00+00'::timestamptz", ()),
            (f"SELECT {self.lane}.quietly($1)", (1,)), ("/* a comment */ SELECT 2 -- and one more", ()),
            (f"SELECT {self.lane}.noisy({self.small()})", ()), ("SELECT $1::int[]", ("{1,2}",)))

    def wrong(self):
        return self.one(
            ("SELECT 1/0", ()), ("SELEC 1", ()), ("SELECT nothing", ()), ("SELECT * FROM nowhere", ()), ("SELECT 'a'::int", ()),
            ("SELECT $1::int", ("abc",)), (f"SELECT {self.lane}.fails('here')", ()), ("SELECT 1 +", ()), ("SELECT 'open", ()),
            (f"INSERT INTO {self.lane}.t VALUES (1)", ()), (f"INSERT INTO {self.lane}.t VALUES (1000)", ()),
            ("SELECT 1/(g-2) FROM generate_series(1, 4) g", ()), ("SELECT $3::int", ()), ("DROP TABLE nowhere", ()),
            ("VACUUM nowhere", ()), ("SELECT $1", ("untyped",)), ("ALTER TABLE pg_class ADD x int", ()))

    def write(self):
        lane, number = self.lane, self.dice.randint(6, 30)
        return self.one(
            (f"INSERT INTO {lane}.t VALUES ({number}) ON CONFLICT (id) DO NOTHING", ()),
            (f"INSERT INTO {lane}.t VALUES ($1, $2) RETURNING id, v", (number, "new")),
            (f"UPDATE {lane}.t SET v = v || '!' WHERE id = {self.small()}", ()), (f"DELETE FROM {lane}.t WHERE id = {self.small()} RETURNING v", ()),
            (f"INSERT INTO {lane}.numbered (v) VALUES ('x'), ('y') RETURNING n", ()), (f"INSERT INTO {lane}.audited VALUES ({number})", ()),
            (f"INSERT INTO {lane}.deferred VALUES ({self.small(2)})", ()), ("SET CONSTRAINTS ALL IMMEDIATE", ()),
            (f"SELECT nextval('{lane}.counter')", ()), self.number_again(),
            (f"CREATE TABLE {lane}.made (id int)", ()), (f"DROP TABLE {lane}.made", ()), (f"SELECT 1 AS one INTO {lane}.made2", ()),
            (f"CALL {lane}.stepwise()", ()), (f"TRUNCATE {lane}.audited", ()), (f"ANALYZE {lane}.t", ()), (f"VACUUM {lane}.audited", ()),
            (f"DO $$BEGIN INSERT INTO {lane}.numbered (v) VALUES ('do'); RAISE NOTICE 'done'; END$$", ()))

    def number_again(self):
        """currval, but only in one pool: where somebody asks for it, whoever takes a number keeps the server, and nothing changes hands."""
        if self.user != "third":
            return "SELECT 1 WHERE false", ()
        return self.one((f"SELECT currval('{self.lane}.counter')", ()), ("SELECT lastval()", ()))

    def block(self):
        return (self.one(
            "BEGIN", "BEGIN", "BEGIN", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN READ ONLY", "COMMIT", "COMMIT", "END",
            "ROLLBACK", "ROLLBACK", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", f"SAVEPOINT {self.one(*SAVEPOINTS)}",
            f"SAVEPOINT {self.one(*SAVEPOINTS)}", f"ROLLBACK TO {self.one(*SAVEPOINTS)}", f"RELEASE {self.one(*SAVEPOINTS)}",
            "SET TRANSACTION READ ONLY", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "PREPARE TRANSACTION 'x'",
            "ROLLBACK PREPARED 'x'", "SHOW transaction_isolation"), ())

    def setting(self):
        name = self.dice.choice(list(SETTINGS))
        value = self.dice.choice(SETTINGS[name]).replace("{lane}", self.lane)
        plain = value.strip("'").replace("''", "'")
        quoted = plain.replace("'", "''")
        return self.one(
            (f"SET {name} = {value}", ()), (f"SET {name} TO {value}", ()), (f"SET SESSION {name} = {value}", ()),
            (f"SET LOCAL {name} = {value}", ()), (f"SET LOCAL {name} TO {value}", ()), (f"RESET {name}", ()), (f"SET {name} TO DEFAULT", ()),
            (f"SELECT set_config('{name}', '{quoted}', false)", ()), (f"SELECT set_config('{name}', '{quoted}', true)", ()),
            ("SELECT set_config($1, $2, $3)", (name, plain, self.one("t", "f"))), (f"SHOW {name}", ()), (f"SHOW {name}", ()),
            (f"SELECT current_setting('{name}', true)", ()), ("RESET ALL", ()), ("SET TIME ZONE 'Europe/Rome'", ()),
            ("SET NAMES 'UTF8'", ()), ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ", ()),
            (f"SELECT {self.lane}.tenant('{self.one('f1', 'f2')}')", ()), (f"DO $$BEGIN SET app.person = 'by do'; END$$", ()))

    def role(self):
        return (self.one("SET ROLE other", "SET ROLE app", "SET ROLE NONE", "RESET ROLE", "SET LOCAL ROLE other", "SET ROLE postgres",
                         "SET SESSION AUTHORIZATION other", "SET SESSION AUTHORIZATION app", "SET SESSION AUTHORIZATION DEFAULT",
                         "SELECT current_user, session_user", "SHOW role", f"SELECT count(*) FROM {self.lane}.t"), ())

    def temporary(self):
        name = self.one(*TEMPORARY)
        return (self.one(
            f"CREATE TEMP TABLE {name} (id int, v text)", f"CREATE TEMP TABLE {name} AS SELECT 1 AS id, 'x' AS v",
            f"CREATE TEMP TABLE {name} (id int) ON COMMIT DROP", f"CREATE TEMP TABLE IF NOT EXISTS {name} (id serial) ON COMMIT DELETE ROWS",
            f"CREATE TEMP VIEW {name} AS SELECT 7 AS id", f"SELECT 3 AS id INTO TEMP {name}", f"SELECT 4 AS id INTO pg_temp.{name}",
            f"INSERT INTO {name} (id) VALUES ({self.small()})", f"SELECT * FROM {name} ORDER BY 1", f"SELECT * FROM {name} ORDER BY 1",
            f"DROP TABLE {name}", f"DROP VIEW IF EXISTS {name}", f"SELECT * FROM pg_temp.{name} ORDER BY 1", "DISCARD TEMP",
            f"CREATE TABLE pg_temp.{name} (id int)", f"ALTER TABLE {name} RENAME TO {self.one(*TEMPORARY)}",
            f"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT {self.small()}'"), ())

    def cursor(self):
        name = self.one(*CURSORS, *CURSORS, "p1")
        return (self.one(
            f"DECLARE {name} CURSOR FOR SELECT g FROM generate_series(1, 9) g", f"DECLARE {name} CURSOR WITH HOLD FOR SELECT id, v FROM {self.lane}.t ORDER BY id",
            f"DECLARE {name} CURSOR WITH HOLD FOR SELECT 1/(g-3) FROM generate_series(1, 4) g", f"FETCH {self.small(3)} FROM {name}",
            f"FETCH 2 FROM {name}", f"FETCH ALL FROM {name}", f"MOVE 1 FROM {name}", f"FETCH BACKWARD 1 FROM {name}", f"CLOSE {name}", "CLOSE ALL",
            "SELECT name, statement, is_holdable FROM pg_cursors WHERE name LIKE 'c%' ORDER BY 1"), ())

    def prepared(self):
        name = self.one(*PREPARED)
        return (self.one(
            f"PREPARE {name} AS SELECT {self.small()}", f"PREPARE {name} (int) AS SELECT $1 + 1", f"PREPARE {name} AS SELECT v FROM {self.lane}.t ORDER BY id",
            f"EXECUTE {name}", f"EXECUTE {name}", f"EXECUTE {name}({self.small()})", f"DEALLOCATE {name}", f"DEALLOCATE PREPARE {name}", "DEALLOCATE ALL",
            f"EXPLAIN (COSTS OFF) EXECUTE {name}", f"CREATE TEMP TABLE tmp1 AS EXECUTE {name}",
            "SELECT name, statement, parameter_types FROM pg_prepared_statements WHERE from_sql ORDER BY 1"), ())

    def lock(self):
        key = f"{self.number}, {self.one(1, 2)}"
        return (self.one(
            f"SELECT pg_advisory_lock({key})", f"SELECT pg_try_advisory_lock({key})", f"SELECT pg_advisory_unlock({key})",
            f"SELECT pg_advisory_xact_lock({key})", f"SELECT pg_advisory_lock_shared({key})", f"SELECT pg_advisory_unlock_shared({key})",
            "SELECT pg_advisory_unlock_all()",
            "SELECT objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1, 2"), ())

    def discard(self):
        return (self.one("DISCARD ALL", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP", "CLOSE ALL", "RESET ALL", "UNLISTEN *", "DEALLOCATE ALL",
                         "RESET SESSION AUTHORIZATION"), ())

    def copying(self):
        """COPY as a statement; what belongs to it is said by whoever sends it."""
        return (self.one(
            f"COPY {self.lane}.t FROM STDIN", f"COPY {self.lane}.t (id) FROM STDIN", f"COPY {self.lane}.numbered (v) FROM STDIN (FORMAT csv)",
            f"COPY (SELECT id, v FROM {self.lane}.t ORDER BY id) TO STDOUT", f"COPY (SELECT 1/(g-3) FROM generate_series(1, 4) g) TO STDOUT",
            "COPY nowhere FROM STDIN", f"COPY (SELECT repeat('c', 9000)) TO STDOUT", f"COPY {self.lane}.t FROM '/etc/passwd'"), ())

    def empty(self):
        return (self.one("", ";", "  ", "-- nothing", ";;", "/* */"), ())

    KINDS = (("read", 12), ("wrong", 4), ("write", 8), ("block", 12), ("setting", 10), ("role", 2), ("temporary", 3), ("cursor", 3), ("prepared", 3),
             ("lock", 2), ("discard", 1), ("copying", 3), ("empty", 1))

    def statement(self):
        kinds, weights = zip(*self.tastes)
        kind = self.dice.choices(kinds, weights)[0] if any(weights) else "read"
        return (*getattr(self, kind)(), kind)

    # How they travel.

    def turn(self):
        self.dice.choices((self.simple, self.several, self.extended, self.pipeline, self.named, self.portal, self.function, self.odd),
                          (30, 8, 20, 12, 10, 5, 2, 4))[0]()
        if self.chance(self.patience):
            self.wait()

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

    def bind(self, portal, name, values, binary=False):
        self.say(f"Bind {portal!r} of {name!r} with {values!r}{' binary' if binary else ''}", wire.bind(portal, name, values, binary))

    def describe(self, kind, name):
        self.say(f"Describe {kind} {name!r}", wire.describe(kind, name))

    def execute(self, portal, most=0):
        self.say(f"Execute {portal!r} {most or ''}".rstrip(), wire.execute(portal, most))

    def close(self, kind, name):
        self.say(f"Close {kind} {name!r}", wire.close(kind, name))

    def run(self, name="", portal=""):
        """A whole statement up to its Execute, with what some drivers put between."""
        sql, values, kind = self.statement()
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
        if self.chance(0.05):
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
        portal = self.one(*PORTALS)
        rows = self.dice.randint(1, 8)
        self.parse("", f"SELECT g, 10/(5-g) FROM generate_series(1, {rows}) g")
        self.bind(portal, "", ())
        for _ in range(self.dice.randint(1, 4)):
            self.execute(portal, self.dice.randint(1, 3))
            if self.chance(0.3):
                self.flush()
                self.wait()
            if self.chance(0.2):
                self.sync()
        self.sync()

    def function(self):
        oid, arguments = self.one((871, ["lower"]), (154, [7, 2]), (154, [7, 0]), (177, [1, 2]), (999999, []), (177, [1]), (177, ["x", 1]))
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


def is_well_formed(messages):
    """Whether all data of a COPY is followed by an end: see doc/transparency.md for what becomes of it otherwise."""
    open_copy = False
    for message in messages:
        if message is WAIT or message.kind == b"H":
            continue
        if open_copy and message.kind not in b"dcf":
            return False
        open_copy = message.kind == b"d"
    return not open_copy


def short(sql):
    return sql if len(sql) < 160 else sql[:150] + "..."
