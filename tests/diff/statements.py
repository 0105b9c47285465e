"""What a stream says: statements of every kind of state that a session may have, right and wrong. Names come from a few, so that
what was made is found, or found missing, later.

Everything lies in the schema of a lane, which one stream has for itself at a time; {lane} stands for it. No statement asks for what
PostgreSQL itself answers differently each time: the time, a process id, an oid, a transaction id, or the order of rows of a table.
"""
import random
import re

IS_FETCH = re.compile(rb"(?i)\bfetch\b")
IS_RESET = re.compile("RESET|DISCARD ALL|SET .* TO DEFAULT$")
BEFORE_ANY_QUERY = re.compile("(SET|RESET) (LOCAL )?transaction[ _]", re.IGNORECASE)
STATEMENTS = ("", "", "s1", "s2", "S 3")
PORTALS = ("", "", "p1", "p 2")
CURSORS = ("c1", "c2")
SAVEPOINTS = ("a", "b")
TOPICS = ("{lane}_a", "\"{lane} B\"")
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
SCHEMA = """
CREATE SCHEMA {lane} AUTHORIZATION app;
GRANT ALL ON SCHEMA {lane} TO other, third;
SET ROLE app;
CREATE TABLE {lane}.t (id int PRIMARY KEY, v text DEFAULT 'none', CHECK (id < 1000));
CREATE TABLE {lane}.numbered (n serial, v text);
CREATE TABLE {lane}.audited (id int);
CREATE TABLE {lane}.deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE {lane}.announced (id int);
CREATE SEQUENCE {lane}.counter;
CREATE VIEW {lane}.v AS SELECT id, v FROM {lane}.t WHERE id < 4 ORDER BY id;
CREATE FUNCTION {lane}.remember() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM set_config('app.last', NEW.id::text, false); RETURN NEW; END$$;
CREATE TRIGGER remember BEFORE INSERT ON {lane}.audited FOR EACH ROW EXECUTE FUNCTION {lane}.remember();
CREATE FUNCTION {lane}.announce() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_notify('{lane}_a', 'announced ' || NEW.id); RETURN NULL; END$$;
CREATE TRIGGER announce AFTER INSERT ON {lane}.announced FOR EACH ROW EXECUTE FUNCTION {lane}.announce();
CREATE FUNCTION {lane}.opens(refcursor) RETURNS refcursor LANGUAGE plpgsql AS
    $$BEGIN OPEN $1 FOR SELECT id FROM {lane}.t ORDER BY id; RETURN $1; END$$;
CREATE FUNCTION {lane}.noisy(int) RETURNS int LANGUAGE plpgsql AS
    $$BEGIN RAISE NOTICE 'heard %', $1; RAISE WARNING 'warned'; RETURN $1; END$$;
CREATE FUNCTION {lane}.fails(text) RETURNS int LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'failed %', $1 USING DETAIL = 'in detail', HINT = 'none', ERRCODE = 'P0123'; END$$;
CREATE FUNCTION {lane}.tenant(text) RETURNS text LANGUAGE sql AS $$SELECT set_config('app.tenant', $1, false)$$;
CREATE FUNCTION {lane}.inner(text) RETURNS text LANGUAGE plpgsql SET work_mem = '1MB' AS
    $$BEGIN PERFORM set_config('work_mem', '2MB', false); PERFORM set_config('app.tenant', $1, false); RETURN current_setting('work_mem'); END$$;
CREATE FUNCTION {lane}.quietly(int) RETURNS int LANGUAGE sql SET work_mem = '3MB' AS $$SELECT $1 + 1$$;
CREATE FUNCTION {lane}.sees() RETURNS text LANGUAGE plpgsql AS
    $$BEGIN RETURN (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM audited) || ' ' || (SELECT count(*) FROM numbered); END$$;
CREATE PROCEDURE {lane}.stepwise() LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO {lane}.numbered (v) VALUES ('first'); COMMIT; INSERT INTO {lane}.numbered (v) VALUES ('second'); ROLLBACK; END$$;
CREATE VIEW {lane}.known AS SELECT name, setting FROM pg_settings;
CREATE PROCEDURE {lane}.sets(text) LANGUAGE plpgsql AS
    $$BEGIN PERFORM set_config('app.tenant', $1, false); SET LOCAL work_mem = '3MB'; COMMIT; PERFORM set_config('app.person', $1, false); ROLLBACK; SET work_mem = '4MB'; END$$;
GRANT ALL ON ALL SEQUENCES IN SCHEMA {lane} TO other, third;
GRANT ALL ON ALL TABLES IN SCHEMA {lane} TO other, third;
RESET ROLE;
"""

# Run by the superuser before each stream: the lane as it was. Whoever had the lane before is waited for, by its locks.
RESET = """
SELECT pg_advisory_xact_lock({number}, 1), pg_advisory_xact_lock({number}, 2), pg_advisory_xact_lock({number});
SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = 70000 + {number};
DROP TABLE IF EXISTS {lane}.made, {lane}.made2 CASCADE;
DROP FUNCTION IF EXISTS {lane}.later();
TRUNCATE {lane}.t, {lane}.numbered, {lane}.audited, {lane}.deferred, {lane}.announced RESTART IDENTITY;
ALTER SEQUENCE {lane}.counter RESTART;
INSERT INTO {lane}.t SELECT n, 'row ' || n FROM generate_series(1, 5) n;
"""


class Statements:
    """Each kind gives (sql, values of its parameters)."""

    def __init__(self, seed, lane, number):
        self.dice, self.lane, self.number = random.Random(seed), lane, number
        self.user, self.login, self.tastes, self.said_by_others = "", {}, [], 0
        self.was_reset = False      # in the message or batch that is being written
        self.led_back = False       # ... or in an earlier one

    def one(self, *of):
        return self.dice.choice(of)

    def chance(self, probability):
        return self.dice.random() < probability

    def small(self, most=9):
        return self.dice.randint(0, most)

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
            (f"SELECT {self.lane}.noisy({self.small()})", ()), ("SELECT $1::int[]", ("{1,2}",)),
            ("SELECT setseed(0.5); SELECT random()", ()), (f"SELECT {self.lane}.later()", ()))

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
            (f"INSERT INTO {lane}.announced VALUES ({number})", ()),
            (f"CREATE FUNCTION {lane}.later() RETURNS text LANGUAGE sql AS $$SELECT set_config('app.person', 'later', false)$$", ()),
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
            "SET TRANSACTION READ ONLY", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", f"PREPARE TRANSACTION '{'too long ' * 30}'",
            f"ROLLBACK PREPARED '{self.lane}'", "SHOW transaction_isolation"), ())

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
            (f"UPDATE pg_settings SET setting = '{quoted}' WHERE name = '{name}'", ()),
            (f"SELECT set_config(name, setting, false) FROM pg_settings WHERE name = '{name}'", ()),
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
            f"CREATE TABLE pg_temp.{name} (id int)", f"CREATE INDEX ON {name} (id)",
            f"TRUNCATE {name}", f"CREATE TEMP SEQUENCE {name}", f"COMMENT ON TABLE {name} IS 'temporary'", f"ALTER TABLE {name} RENAME TO {self.one(*TEMPORARY)}",
            f"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT {self.small()}'"), ())

    def cursor(self):
        name = self.one(*CURSORS, *CURSORS, "p1")
        return (self.one(
            f"DECLARE {name} CURSOR FOR SELECT g FROM generate_series(1, 9) g", f"DECLARE {name} CURSOR WITH HOLD FOR SELECT id, v FROM {self.lane}.t ORDER BY id",
            f"DECLARE {name} CURSOR WITH HOLD FOR SELECT 1/(g-3) FROM generate_series(1, 4) g", f"FETCH {self.small(3)} FROM {name}",
            f"FETCH 2 FROM {name}", f"FETCH ALL FROM {name}", f"MOVE 1 FROM {name}",
            f"DECLARE {name} SCROLL CURSOR WITH HOLD FOR VALUES (1), (2), (3)", f"DECLARE {name} BINARY CURSOR FOR SELECT 7", f"SELECT {self.lane}.opens('{name}')", f"FETCH BACKWARD 1 FROM {name}", f"CLOSE {name}", "CLOSE ALL",
            "SELECT name, statement, is_holdable FROM pg_cursors WHERE name LIKE 'c%' ORDER BY 1"), ())

    def prepared(self):
        name = self.one(*PREPARED)
        return (self.one(
            f"PREPARE {name} AS SELECT {self.small()}", f"PREPARE {name} (int) AS SELECT $1 + 1", f"PREPARE {name} AS SELECT v FROM {self.lane}.t ORDER BY id",
            f"PREPARE {name} AS INSERT INTO {self.lane}.audited VALUES (31)", f"PREPARE {name} (text) AS SELECT set_config('work_mem', $1, false)",
            f"EXECUTE {name}('3MB')", f"EXECUTE {name}", f"EXECUTE {name}", f"EXECUTE {name}({self.small()})", f"DEALLOCATE {name}", f"DEALLOCATE PREPARE {name}", "DEALLOCATE ALL",
            f"EXPLAIN (COSTS OFF) EXECUTE {name}", f"CREATE TEMP TABLE tmp1 AS EXECUTE {name}",
            "SELECT name, statement, parameter_types FROM pg_prepared_statements WHERE from_sql ORDER BY 1"), ())

    def lock(self):
        key = f"{self.number}, {self.one(1, 2)}"
        return (self.one(
            f"SELECT pg_advisory_lock({key})", f"SELECT pg_try_advisory_lock({key})", f"SELECT pg_advisory_unlock({key})",
            f"SELECT pg_advisory_xact_lock({key})", f"SELECT pg_advisory_lock_shared({key})", f"SELECT pg_advisory_unlock_shared({key})",
            f"SELECT pg_try_advisory_lock_shared({key})", f"SELECT pg_try_advisory_xact_lock({key})",
            f"DO $$BEGIN PERFORM pg_advisory_lock({key}); END$$", "SELECT pg_advisory_unlock_all()",
            "SELECT objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1, 2"), ())

    def discard(self):
        return (self.one("DISCARD ALL", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP", "CLOSE ALL", "RESET ALL", "UNLISTEN *", "DEALLOCATE ALL",
                         "RESET SESSION AUTHORIZATION"), ())

    def copying(self):
        """COPY as a statement; what belongs to it is said by whoever sends it."""
        return (self.one(
            f"COPY {self.lane}.t FROM STDIN", f"COPY {self.lane}.t (id) FROM STDIN", f"COPY {self.lane}.numbered (v) FROM STDIN (FORMAT csv)",
            f"COPY (SELECT id, v FROM {self.lane}.t ORDER BY id) TO STDOUT", f"COPY (SELECT 1/(g-3) FROM generate_series(1, 4) g) TO STDOUT",
            f"COPY {self.lane}.audited FROM STDIN", f"COPY {self.one(*TEMPORARY)} FROM STDIN", "COPY (SELECT 1, 'two') TO STDOUT (FORMAT binary)",
            f"COPY {self.lane}.t FROM STDIN (FORMAT binary)", f"COPY {self.one(*TEMPORARY)} TO STDOUT",
            "COPY nowhere FROM STDIN", f"COPY (SELECT repeat('c', 9000)) TO STDOUT", f"COPY {self.lane}.t FROM '/etc/passwd'"), ())

    def listening(self):
        topic = self.topic()
        said = self.one("one", "two", "")
        return self.one(
            (f"LISTEN {topic}", ()), (f"LISTEN {topic}", ()), (f"UNLISTEN {topic}", ()), ("UNLISTEN *", ()), (f"NOTIFY {topic}", ()),
            (f"NOTIFY {topic}, '{said}'", ()), ("SELECT pg_notify($1, $2)", (topic.strip('"'), said)), ("SELECT pg_listening_channels() ORDER BY 1", ()),
            ("SELECT pg_listening_channels() ORDER BY 1", ()), (f"INSERT INTO {self.lane}.announced VALUES ({self.small()})", ()),
            (f"DO $$BEGIN EXECUTE '{self.one('LISTEN', 'NOTIFY')} {topic}'; END$$", ()), ("NOTIFY", ()))

    def topic(self):
        return self.one(*TOPICS).replace("{lane}", self.lane)

    def others(self):
        """What somebody else does meanwhile."""
        self.said_by_others += 1
        return f"NOTIFY {self.topic()}, 'by others {self.said_by_others}'"

    def empty(self):
        return (self.one("", ";", "  ", "-- nothing", ";;", "/* */"), ())

    KINDS = (("read", 12), ("wrong", 4), ("write", 8), ("block", 12), ("setting", 10), ("role", 2), ("temporary", 3), ("cursor", 3), ("prepared", 3),
             ("lock", 2), ("discard", 1), ("copying", 3), ("listening", 3), ("empty", 1))

    def statement(self):
        kinds, weights = zip(*self.tastes)
        kind = self.dice.choices(kinds, weights)[0] if any(weights) else "read"
        return self.allowed(*getattr(self, kind)(), kind)

    def allowed(self, sql, values, kind):
        # What sees a RESET in its own message or batch is told the server's value: see doc/transparency.md. What sets something there is welcome.
        if self.was_reset:
            name = self.dice.choice(list(SETTINGS))
            sql, values, kind = f"SET {name} = {self.dice.choice(SETTINGS[name])}".replace("{lane}", self.lane), (), "setting"
        elif self.login and IS_RESET.match(sql):
            self.was_reset = self.led_back = True
        # What leads a RESET back is a query, and so comes before it: likewise.
        elif self.led_back and BEFORE_ANY_QUERY.match(sql):
            sql = "SELECT 1"
        return sql, values, kind
