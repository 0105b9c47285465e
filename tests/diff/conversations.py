"""What a stream says in one piece: conversations whose statements belong together, so that each kind of state meets what ends it, takes it back or
stands in front of it. Single statements in any order (statements.py) come to such a meeting once in ten thousand.

Each gives its steps, one after the other; who writes the stream chooses how each travels, leaves one out now and then, and puts others between. A step is
a text, (text, values), (text, values, "copying"), or what is called: messages of the protocol that only make sense as they are.
"""
from statements import SAVEPOINTS, SETTINGS, Statements

SHOW = ("SELECT current_setting('work_mem'), current_setting('app.tenant', true), current_setting('search_path'), current_user, session_user, "
        "current_setting('DateStyle'), current_setting('statement_timeout')")
CARRIED = ("work_mem", "app.tenant", "app.person", "search_path", "datestyle", "timezone", "statement_timeout", "client_encoding", "bytea_output", "role")
ENDS = ("COMMIT", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "END")
ERRORS = ("SELECT 1/0", "SELEC", "SELECT * FROM nowhere", "SELECT 'x'::int", "SET work_mem = 'much'", "EXECUTE nothing", "FETCH FROM nothing", "ROLLBACK TO nothing")
# pg_proc.oid of functions that PostgreSQL brings along.
SET_CONFIG, ADVISORY_LOCK, ADVISORY_UNLOCK, LO_CREATE, LO_UNLINK = 2078, 2880, 2884, 715, 964


class Conversations(Statements):
    def set_one(self, how=("SET", "SET", "SET LOCAL", "SET SESSION")):
        name = self.one(*CARRIED)
        value = "other" if name == "role" else self.one(*SETTINGS[name][:2]).replace("{lane}", self.lane)
        return f"{self.one(*how)} {name} = {value}"

    def take_back(self):
        name = self.one(*CARRIED)
        return self.one(f"RESET {name}", f"SET {name} TO DEFAULT", f"SET LOCAL {name} TO DEFAULT", "RESET ALL")

    def savepoint(self):
        return f"{self.one('SAVEPOINT', 'ROLLBACK TO', 'RELEASE')} {self.one(*SAVEPOINTS)}"

    def shows(self):
        """What the client should see, by a look that leaves nothing; twice, on two servers."""
        return [SHOW] * self.one(1, 2)

    # Settings.

    def settings_in_savepoints(self):
        yield "BEGIN"
        yield self.set_one()
        for name in SAVEPOINTS:
            yield f"SAVEPOINT {name}"
            yield self.one(self.set_one, self.set_one, self.take_back)()
            if self.chance(0.3):
                yield self.one(*ERRORS)
        for name in reversed(SAVEPOINTS):
            yield f"{self.one('ROLLBACK TO', 'RELEASE')} {name}"
            yield SHOW
            if self.chance(0.3):
                yield self.set_one()
        yield self.one(*ENDS)
        yield from self.shows()
        yield "COMMIT"
        yield from self.shows()

    def settings_from_within(self):
        """A query, a function or a trigger sets them."""
        lane, value = self.lane, self.one("'w1'", "'w2'")
        block = self.chance(0.5)
        if block:
            yield "BEGIN"
            yield f"SAVEPOINT {SAVEPOINTS[0]}"
        for _ in range(self.dice.randint(1, 3)):
            yield self.one(
                f"WITH c AS MATERIALIZED (SELECT set_config('app.tenant', {value}, false) AS v) SELECT v FROM c",
                f"WITH c AS (SELECT set_config('app.person', id::text, false) FROM {lane}.t ORDER BY id) SELECT count(*) FROM c",
                f"INSERT INTO {lane}.numbered (v) SELECT 'set' WHERE set_config('app.tenant', {value}, false) <> ''",
                f"DELETE FROM {lane}.t WHERE id = {self.small()} RETURNING set_config('work_mem', '6MB', false)",
                "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT set_config('work_mem', '7MB', false)",
                "SELECT CASE WHEN false THEN set_config('work_mem', '8MB', false) END", "VALUES (set_config('work_mem', '9MB', false))",
                "COPY (SELECT set_config('work_mem', '10MB', false)) TO STDOUT", f"SELECT set_config('app.' || 'tenant', {value}, false)",
                "DO $$BEGIN EXECUTE 'SET work_mem = ''11MB'''; EXECUTE format('SET %I = %L', 'app.tenant', 'by do'); END$$",
                "DO $$BEGIN PERFORM set_config('app.person', 'gone', false); RAISE EXCEPTION 'no'; END$$",
                "DO $$BEGIN BEGIN PERFORM set_config('work_mem', '12MB', false); RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END$$",
                f"UPDATE {lane}.known SET setting = '13MB' WHERE name = 'work_mem'",
                f"INSERT INTO {lane}.audited VALUES ({self.small()})", f"SELECT {lane}.tenant({value})", f"SELECT {lane}.inner({value})",
                f"SELECT set_config('app.tenant', set_config('app.person', {value}, false) || '!', {self.one('false', 'true')})",
                (f"INSERT INTO {lane}.audited SELECT g FROM generate_series(1, $1::int) g", (self.small(3),)))
        if block:
            yield self.one(SHOW, self.one(*ERRORS))
            yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", f"RELEASE {SAVEPOINTS[0]}")
            yield self.one(*ENDS)
        yield from self.shows()
        yield "COMMIT"

    def settings_of_many_statements(self):
        """One Query with transactions of its own."""
        for _ in range(self.dice.randint(1, 2)):
            parts = [self.one(self.set_one(), self.set_one(), self.take_back(), "BEGIN", "COMMIT", "ROLLBACK", self.savepoint(), self.one(*ERRORS), SHOW,
                              f"INSERT INTO {self.lane}.numbered (v) VALUES ('several')", "SELECT 2", "CREATE TEMP TABLE tmp1 (id int)",
                              f"LISTEN {self.topic()}", f"NOTIFY {self.topic()}", "COMMIT AND CHAIN", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
                     for _ in range(self.dice.randint(2, 6))]
            resets = [at for at, part in enumerate(parts) if "RESET" in part or "DEFAULT" in part]
            if resets and self.login:
                del parts[resets[0] + 1:]       # what sees a RESET in its own message: see doc/transparency.md
            yield lambda parts=parts: self.query("; ".join(parts))
        yield from self.shows()
        yield "ROLLBACK"
        yield from self.shows()

    def settings_and_discard(self):
        for _ in range(self.dice.randint(1, 3)):
            yield self.set_one()
        yield self.one("DISCARD ALL", "RESET ALL", "DISCARD PLANS", "BEGIN")
        yield self.one(SHOW, "DISCARD ALL")
        yield self.one("ROLLBACK", "SELECT 1")
        yield from self.shows()

    def characteristics(self):
        yield f"SET SESSION CHARACTERISTICS AS TRANSACTION {self.one('READ ONLY', 'ISOLATION LEVEL SERIALIZABLE', 'READ WRITE', 'ISOLATION LEVEL REPEATABLE READ')}"
        yield self.one("BEGIN", "BEGIN", "BEGIN READ WRITE", "START TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield self.one("SHOW transaction_isolation", "SHOW transaction_read_only")
        yield self.one("SET TRANSACTION READ WRITE", "SET LOCAL transaction_read_only = off", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT 1")
        yield f"INSERT INTO {self.lane}.numbered (v) VALUES ('characteristic')"
        yield self.one(*ENDS)
        yield self.one("SHOW transaction_isolation", "SHOW default_transaction_read_only")
        yield "COMMIT"
        yield self.one("RESET ALL", "SELECT 1", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")

    def encodings_and_dates(self):
        yield self.one("SET client_encoding = 'LATIN1'", "SET NAMES 'LATIN1'", "BEGIN", "SELECT set_config('client_encoding', 'LATIN1', false)")
        yield self.one("SET datestyle = 'German'", "SET LOCAL datestyle = 'SQL, DMY'", "SET timezone = 'Asia/Tokyo'", "SET LOCAL client_encoding = 'UTF8'")
        # A literal that was read keeps its meaning directly, and is read again elsewhere: see doc/transparency.md. So these have no name.
        literals = ("SELECT '01/02/2020'::date", "SELECT octet_length('Ü')", "SELECT 'Ü'", f"SELECT v FROM {self.lane}.t WHERE v = 'Ü'")
        each = ("SELECT chr(220)", "SELECT chr(8364)", ("SELECT chr(228) || $1", ("x",)), "SELECT '2020-02-01 12:00+00'::timestamptz", "SELECT '1 day'::interval, 12.34::money",
                "SELECT '01/02/2020'::text::date", lambda: self.query(self.one(*literals)), lambda: self.query(self.one(*literals)))
        for _ in range(self.dice.randint(2, 4)):
            yield self.one(*each)
        yield self.one("COMMIT", "ROLLBACK", "RESET client_encoding", "RESET ALL")
        yield self.one(*each)

    def roles(self):
        yield self.one("BEGIN", "SELECT 1")
        yield self.one("SET ROLE other", "SET SESSION AUTHORIZATION app", "SET LOCAL ROLE other", "SELECT set_config('role', 'other', false)")
        yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", "SELECT current_user")
        yield self.one("RESET ROLE", "RESET SESSION AUTHORIZATION", "SET ROLE NONE", "SET ROLE third", "CREATE TEMP TABLE tmp1 (id int)", f"SELECT pg_advisory_lock({self.number}, 1)",
                       f"DECLARE c1 CURSOR WITH HOLD FOR SELECT id FROM {self.lane}.t ORDER BY id")
        yield SHOW
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", f"RELEASE {SAVEPOINTS[0]}", "SELECT 1/0", "SELECT 2")
        yield self.one(*ENDS)
        yield from self.shows()
        yield self.one("RESET ALL", "DISCARD ALL", "RESET ROLE", "DISCARD TEMP", "SELECT pg_advisory_unlock_all()")
        yield from self.shows()
        yield "COMMIT"
        yield self.one("DISCARD ALL", "DISCARD TEMP", "SELECT 3")

    # What a session holds.

    def temporary_tables(self):
        name = self.one("tmp1", "tmp2")
        ends = self.one(" ON COMMIT DROP", " ON COMMIT DELETE ROWS", " ON COMMIT PRESERVE ROWS", "")
        yield self.one("BEGIN", "BEGIN", "SELECT 1")
        yield self.one("SELECT 1", f"SAVEPOINT {SAVEPOINTS[0]}")
        yield f"CREATE TEMP TABLE {name} (id int, v text DEFAULT 'temporary'){ends}"
        yield self.one((f"INSERT INTO {name} (id) VALUES ($1)", (self.small(),)), (f"COPY {name} (id) FROM STDIN", (), "copying"),
                       f"INSERT INTO {name} SELECT id, v FROM {self.lane}.t RETURNING id")
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", "SELECT 2", f"CREATE INDEX ON {name} (id)", f"DROP TABLE {name}")
        yield f"SELECT * FROM {name} ORDER BY 1"
        yield self.one(*ENDS)
        yield f"SELECT * FROM {name} ORDER BY 1"
        yield self.one("COMMIT", "ROLLBACK", self.one(*ERRORS))
        yield self.one(f"INSERT INTO {name} (id) VALUES (77)", f"COPY {name} TO STDOUT", f"TRUNCATE {name}")
        yield self.one(f"DROP TABLE {name}", f"DROP TABLE IF EXISTS {name}", "DISCARD TEMP", "DISCARD ALL", f"SELECT count(*) FROM {name}")
        yield self.one(f"SELECT * FROM {name} ORDER BY 1", f"CREATE TEMP TABLE {name} AS SELECT 5 AS id")

    def temporary_in_front(self):
        """A temporary table that hides another, and statements and functions that were planned before it."""
        lane, reads = self.lane, f"SELECT count(*), min(id) FROM {self.one('t', 'audited', 'numbered')}"
        if "numbered" in reads:
            reads = reads.replace("id", "n")
        table = reads.split()[-1]
        # Only with its first temporary object does a session look again at what it has prepared.
        if any(b"temp" in message.data.lower() for message in self.messages if message and message.kind != b"others"):
            return
        yield f"SET search_path = {lane}"
        yield lambda: self.in_batch(reads, "s1")
        yield lambda: self.again("s1")
        yield self.one("BEGIN", "SELECT 1")
        yield self.one("SELECT sees()", f"PREPARE sees AS {reads}")
        yield f"CREATE TEMP TABLE {table} (id int, n int)"
        yield reads
        yield self.one("SELECT sees()", "EXECUTE sees")
        yield self.one("COMMIT", "ROLLBACK")
        yield lambda: self.again("s1") if self.chance(0.3) else self.in_batch(reads, "s2", close=True)
        yield self.one("DISCARD TEMP", "DISCARD ALL")
        yield lambda: self.again(self.one("s1", "s2"))
        yield "SELECT sees()"
        yield lambda: self.in_batch(reads, "s2", close=True)
        yield "DISCARD TEMP"
        yield "RESET search_path"

    def held_cursors(self):
        name = self.one("c1", "c2")
        yield self.one("BEGIN", "BEGIN", "SELECT 1")
        yield f"DECLARE {name} {self.one('', 'SCROLL', 'NO SCROLL', 'BINARY')} CURSOR {self.one('WITH HOLD', 'WITH HOLD', '')} FOR SELECT id, v FROM {self.lane}.t ORDER BY id"
        yield f"FETCH {self.small(3)} FROM {name}"
        yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", f"UPDATE {self.lane}.t SET v = 'behind' WHERE id = 2", "SELECT 2")
        yield self.one(f"FETCH 1 FROM {name}", lambda: self.cursor_as_portal(name), f"MOVE 1 FROM {name}", f"CLOSE {name}")
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", "SELECT 3", self.one(*ERRORS))
        yield self.one(*ENDS)
        yield self.one(f"FETCH ALL FROM {name}", lambda: self.cursor_as_portal(name), f"FETCH 1 FROM {name}")
        yield "COMMIT"
        yield self.one(f"CLOSE {name}", "CLOSE ALL", "DISCARD ALL", f"FETCH 1 FROM {name}", lambda: (self.close("P", name), self.sync()))
        yield f"FETCH 1 FROM {name}"

    def cursor_as_portal(self, name):
        """A cursor of SQL is a portal of the protocol."""
        if self.chance(0.3):
            self.describe("P", name)
        self.execute(name, self.dice.randint(0, 2))
        self.sync()

    def portals_across_batches(self):
        portal = self.one("p1", "p 2")

        def go_on():
            self.execute(portal, self.dice.randint(0, 2))
            if self.chance(0.3):
                self.flush()
                self.wait()
            self.sync()
        yield self.one("BEGIN", "BEGIN", "SELECT 1")
        yield lambda: (self.parse("", f"SELECT id, v FROM {self.lane}.t ORDER BY id"), self.bind(portal, "", (), self.chance(0.2)), self.execute(portal, 1), self.sync())
        yield go_on
        yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", "SELECT 'between'", f"FETCH 1 FROM \"{portal}\"", self.set_one(), f"DELETE FROM {self.lane}.t WHERE id = 3")
        yield go_on
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", lambda: (self.close("P", portal), self.sync()), f"CLOSE \"{portal}\"", self.one(*ERRORS), "SELECT 4")
        yield go_on
        yield self.one(*ENDS)
        yield go_on
        yield "COMMIT"

    def advisory_locks(self):
        key = f"{self.number}, {self.one(1, 2)}"
        held = "SELECT objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1, 2"
        yield self.one("BEGIN", "SELECT 1")
        for _ in range(self.dice.randint(1, 3)):
            yield self.one(f"SELECT pg_advisory_lock({key})", f"SELECT pg_advisory_xact_lock({key})", f"SELECT pg_try_advisory_lock_shared({key})", f"SAVEPOINT {SAVEPOINTS[0]}",
                           f"SELECT pg_advisory_lock({self.number}, g) FROM generate_series(1, 2) g", f"WITH l AS MATERIALIZED (SELECT pg_advisory_lock({key})) SELECT count(*) FROM l")
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", held, self.one(*ERRORS))
        yield self.one(*ENDS)
        yield held
        yield "COMMIT"
        yield self.one(f"SELECT pg_advisory_unlock({key})", "SELECT pg_advisory_unlock_all()", "DISCARD ALL", f"SELECT pg_advisory_unlock_shared({key})")
        yield held

    def listens(self):
        topics = [topic.replace("{lane}", self.lane) for topic in ("{lane}_a", "\"{lane} B\"")]
        channels = "SELECT pg_listening_channels() ORDER BY 1"
        yield self.one(f"LISTEN {topics[0]}", "BEGIN")
        yield f"LISTEN {self.one(*topics)}"
        yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", "SELECT 1")
        yield self.one(f"NOTIFY {self.one(*topics)}, 'mine'", f"UNLISTEN {self.one(*topics)}", f"LISTEN {self.one(*topics)}", "UNLISTEN *")
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", channels, f"NOTIFY {topics[0]}, 'again'", self.one(*ERRORS))
        yield self.one(*ENDS)
        yield lambda: self.others_notify()
        yield channels
        yield self.one(f"NOTIFY {self.one(*topics)}", f"SELECT pg_notify('{self.lane}_a', g::text) FROM generate_series(1, 3) g", f"INSERT INTO {self.lane}.announced VALUES (5)")
        yield "COMMIT"
        yield self.one(f"UNLISTEN {self.one(*topics)}", "UNLISTEN *", "DISCARD ALL", "SELECT 2")
        yield lambda: self.others_notify()
        yield f"NOTIFY {topics[0]}, 'the last'"
        yield channels

    def others_notify(self):
        """Said while the client has all its answers."""
        self.sync()
        self.wait()
        self.say_others(self.others())

    def prepared_both_ways(self):
        """A statement of SQL's PREPARE, used by the protocol, and the other way round as far as doc/transparency.md goes."""
        name = self.one("q1", "q2")
        yield self.one("BEGIN", "SELECT 1")
        yield self.one(f"PREPARE {name} (int) AS SELECT $1 + 1", f"PREPARE {name} AS SELECT id, v FROM {self.lane}.t ORDER BY id", f"PREPARE {name} (text) AS SELECT set_config('app.tenant', $1, false)",
                       f"PREPARE {name} AS SELECT 1; PREPARE {name} AS SELECT 2")
        yield self.one(f"EXECUTE {name}", f"EXECUTE {name}(5)", f"EXECUTE {name}('7')")
        yield lambda: self.again(name, self.one((), (3,)))
        yield self.one(*ENDS)
        yield lambda: (self.describe("S", name), self.sync())
        yield self.one(f"EXECUTE {name}(6)", f"EXECUTE {name}")
        yield "COMMIT"
        yield self.one(lambda: (self.close("S", name), self.sync()), f"DEALLOCATE {name}", "DEALLOCATE ALL", "DISCARD ALL", "DISCARD PLANS")
        yield self.one(lambda: self.again(name, (3,)), f"EXECUTE {name}(8)")
        yield SHOW

    # What is changed beneath.

    def definitions_change(self):
        """A plan that was made goes on with what the names mean now. Results keep their columns: see doc/transparency.md for those that do not."""
        lane, name = self.lane, self.one("s1", "S 3")
        yield f"CREATE TABLE {lane}.made (id int, v text DEFAULT 'made')"
        yield f"INSERT INTO {lane}.made SELECT g FROM generate_series(1, 3) g"
        reads = self.one(f"SELECT id, v FROM {lane}.made ORDER BY id", f"UPDATE {lane}.made SET v = v || '+' WHERE id = 2 RETURNING v", f"INSERT INTO {lane}.made (id) VALUES (9)",
                         f"SELECT count(*) FROM {lane}.made m JOIN {lane}.t USING (id)")
        yield lambda: self.in_batch(reads, name, close=True)
        yield lambda: self.again(name)
        yield self.one("BEGIN", "SELECT 1")
        yield self.one(f"ALTER TABLE {lane}.made ADD w int DEFAULT 4", f"CREATE INDEX made_id ON {lane}.made (id)", f"ALTER TABLE {lane}.made DROP v", f"ALTER TABLE {lane}.made RENAME v TO u",
                       f"DROP TABLE {lane}.made", f"ALTER TABLE {lane}.made ALTER v SET DEFAULT 'other'", f"ALTER TABLE {lane}.made RENAME TO made2", f"TRUNCATE {lane}.made",
                       f"CREATE OR REPLACE FUNCTION {lane}.later() RETURNS text LANGUAGE sql AS $$SELECT 'made'$$", f"ALTER TABLE {lane}.made ADD CHECK (id < 9)")
        yield lambda: self.again(name)
        yield self.one("COMMIT", "ROLLBACK", "COMMIT")
        yield lambda: self.again(name)
        yield self.one(f"CREATE TABLE {lane}.made (id int, v text DEFAULT 'anew')", f"DROP TABLE {lane}.made; CREATE TABLE {lane}.made (id int, v text DEFAULT 'both')", "SELECT 5")
        yield lambda: self.again(name)
        yield lambda: self.in_batch(reads, self.one(name, "s2"), close=True)
        yield f"DROP TABLE IF EXISTS {lane}.made, {lane}.made2"

    def functions_change(self):
        lane = self.lane
        bodies = ("SELECT set_config('app.person', 'later', false)", "SELECT 'plain'::text", "SELECT set_config('work_mem', '2MB', false)", f"SELECT {lane}.tenant('later')",
                  f"SELECT pg_advisory_xact_lock({self.number}, 1)::text", "SELECT set_config('app.tenant', 'ends', true)")
        for _ in range(2):
            yield self.one("BEGIN", "SELECT 1")
            yield f"CREATE OR REPLACE FUNCTION {lane}.later() RETURNS text LANGUAGE sql AS $${self.one(*bodies)}$$"
            yield f"SELECT {lane}.later()"
            yield self.one("COMMIT", "COMMIT", "ROLLBACK")
            yield self.one(f"SELECT {lane}.later()", f"INSERT INTO {lane}.numbered (v) VALUES ({lane}.later())", SHOW)
            yield from self.shows()
        yield f"DROP FUNCTION IF EXISTS {lane}.later()"

    # Errors, and where they stand.

    def error_at_every_place(self):
        """A pipeline of statements that each leave something, one of them wrong, with Syncs somewhere."""
        parts = [self.one(self.set_one(), "CREATE TEMP TABLE tmp1 (id int)", f"INSERT INTO {self.lane}.numbered (v) VALUES ('pipeline')", f"LISTEN {self.topic()}", SHOW,
                          f"NOTIFY {self.topic()}, 'pipeline'", f"SELECT pg_advisory_xact_lock({self.number}, 1)", "BEGIN", "COMMIT", "PREPARE q1 AS SELECT 1", f"SELECT id FROM {self.lane}.t ORDER BY id",
                          f"SAVEPOINT {SAVEPOINTS[0]}", f"ROLLBACK TO {SAVEPOINTS[0]}", "DECLARE c1 CURSOR WITH HOLD FOR SELECT 1") for _ in range(self.dice.randint(2, 5))]
        parts.insert(self.dice.randint(0, len(parts)), self.one(*ERRORS))

        def say():
            for number, text in enumerate(parts):
                self.in_batch(text, self.one("", "", "s1", "s2"), sync=False)
                if self.chance(0.15):
                    self.sync()
                if self.chance(0.1):
                    self.flush()
                if self.chance(0.1):
                    self.one(lambda: self.bind("", "unknown", ()), lambda: self.describe("S", "unknown"), lambda: self.close("S", "unknown"), lambda: self.close("P", "unknown"),
                             lambda: self.execute("unknown"))()
            self.sync()
        yield say
        yield from self.shows()
        yield "ROLLBACK"
        yield "DISCARD ALL"

    def flushes_without_sync(self):
        sql, values, _ = self.one(self.read, self.write)() + ("",)
        name, portal = self.one("", "s1"), self.one("", "p1")

        def step(*said):
            for each in said:
                each()
            if self.chance(0.8):
                self.flush()
                self.wait()
        yield lambda: (step(lambda: self.parse(name, sql), *[lambda: self.describe("S", name)] * self.one(0, 1)), step(lambda: self.bind(portal, name, values)),
                       step(lambda: self.execute(portal, self.one(0, 1))), step(lambda: self.execute(portal, 0)), step(lambda: self.close("P", portal)), self.sync())

    def copies_with_errors(self):
        lane = self.lane
        yield self.one("BEGIN", "SELECT 1")
        yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", self.set_one())
        for _ in range(self.dice.randint(1, 2)):
            yield self.one(f"COPY {lane}.t FROM STDIN", f"COPY {lane}.audited FROM STDIN", f"COPY {lane}.deferred FROM STDIN", f"COPY {lane}.t (id) FROM STDIN (FORMAT csv)"), (), "copying"
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", f"COPY (SELECT id FROM {lane}.t ORDER BY id) TO STDOUT", SHOW)
        yield self.one(*ENDS)
        yield f"COPY (SELECT id, v FROM {lane}.t ORDER BY id) TO STDOUT"
        yield "COMMIT"
        yield from self.shows()

    def copies_among_statements(self):
        def say():
            before, behind = self.one(self.set_one(), "SELECT 1", "BEGIN"), self.one(SHOW, "COMMIT", "SELECT 1/0")
            self.query(f"{before}; COPY {self.lane}.{self.one('t', 'audited')} FROM STDIN; {behind}")
            self.copy_data()
        yield say
        yield SHOW
        yield "ROLLBACK"
        yield from self.shows()

    def deferred_to_the_end(self):
        """COMMIT fails, and takes back all that was to follow it."""
        lane = self.lane
        yield "BEGIN"
        for _ in range(self.dice.randint(1, 3)):
            yield self.one(self.set_one(), "CREATE TEMP TABLE tmp1 (id int)", f"LISTEN {self.topic()}", f"NOTIFY {self.topic()}, 'never'", f"INSERT INTO {lane}.audited VALUES (4)",
                           f"SELECT pg_advisory_lock({self.number}, 2)", "PREPARE q1 AS SELECT 1", f"SAVEPOINT {SAVEPOINTS[0]}", f"DECLARE c1 CURSOR WITH HOLD FOR SELECT 1/(g-3) FROM generate_series(1, 4) g",
                           "DECLARE c2 CURSOR WITH HOLD FOR SELECT 5", "SET ROLE other")
        yield f"INSERT INTO {lane}.deferred VALUES (1), {self.one('(1)', '(1)', '(2)')}"
        yield self.one("SET CONSTRAINTS ALL IMMEDIATE", "SELECT 2", "SELECT 3", f"ROLLBACK TO {SAVEPOINTS[0]}")
        yield self.one("COMMIT", "COMMIT", "COMMIT AND CHAIN", f"PREPARE TRANSACTION '{lane} 1'", "END; SELECT 5")
        yield from self.shows()
        yield "ROLLBACK"
        yield self.one("FETCH FROM c2", "EXECUTE q1", "SELECT * FROM tmp1", "SELECT pg_listening_channels() ORDER BY 1")
        yield "DISCARD ALL"

    def aborted_block(self):
        yield "BEGIN"
        yield self.set_one()
        yield self.one(*ERRORS)
        for _ in range(self.dice.randint(1, 4)):
            yield self.one("SELECT 1", "BEGIN", self.set_one(), lambda: (self.parse("s1", "SELECT 1"), self.sync()), lambda: (self.close("S", "s1"), self.sync()), "", "SHOW work_mem",
                           f"SAVEPOINT {SAVEPOINTS[0]}", "LISTEN x", "DISCARD ALL", lambda: self.function())
        yield self.one("COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", f"PREPARE TRANSACTION '{self.lane} 1'")
        yield from self.shows()
        yield "ROLLBACK"

    def prepared_transactions(self):
        name = f"'{self.lane} {self.one(1, 2)}'"
        yield "BEGIN"
        for _ in range(self.dice.randint(1, 2)):
            yield self.one(f"INSERT INTO {self.lane}.t VALUES (40) ON CONFLICT DO NOTHING", "SET work_mem = '7MB'", "SET LOCAL app.tenant = 't2'", f"SELECT pg_advisory_xact_lock({self.number}, 2)", f"LISTEN {self.topic()}", f"NOTIFY {self.topic()}",
                           f"SELECT pg_advisory_lock({self.number}, 1)", "DECLARE c1 CURSOR WITH HOLD FOR SELECT 1", f"UPDATE {self.lane}.t SET v = 'prepared' WHERE id = 1")
        yield f"PREPARE TRANSACTION {name}"
        yield from self.shows()
        yield self.one("SELECT gid FROM pg_prepared_xacts WHERE gid LIKE '" + self.lane + " %' ORDER BY 1", "SELECT 1")
        yield f"{self.one('COMMIT', 'ROLLBACK')} PREPARED {name}"
        yield self.one(f"ROLLBACK PREPARED '{self.lane} 1'", f"COMMIT PREPARED '{self.lane} 2'", "SELECT 2")
        yield "ROLLBACK"
        yield f"ROLLBACK PREPARED {name}"
        yield self.one("SELECT pg_advisory_unlock_all()", "DISCARD ALL")

    # What is the same within a transaction, and other things that only look at it.

    def same_within_a_transaction(self):
        keep = "SELECT set_config('app.{0}', {1}::text, true) <> ''"
        look = "SELECT current_setting('app.{0}', true) = {1}::text"
        what = self.one(("person", "pg_backend_pid()"), ("last", "now()"), ("last", "transaction_timestamp()"), ("person", "pg_current_xact_id()"))
        yield self.one("BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION")
        yield keep.format(*what)
        yield self.one("SELECT 1", f"SELECT count(*) FROM {self.lane}.t", self.set_one(("SET LOCAL",)), f"SAVEPOINT {SAVEPOINTS[0]}", "")
        yield look.format(*what)
        yield "SELECT now() = statement_timestamp() OR now() < clock_timestamp()"
        yield look.format(*what)
        yield self.one(*ENDS)
        yield "COMMIT"

    def own_timeouts(self):
        yield "BEGIN"
        yield lambda: self.query("SET LOCAL statement_timeout = '100ms'; SELECT pg_sleep(20)")
        yield "ROLLBACK"
        yield from self.shows()

    def large_results(self):
        yield self.one("BEGIN", "SELECT 1")
        yield self.one(("SELECT repeat('x', 1000000)", ()), ("SELECT repeat('y', 300000) FROM generate_series(1, 4)", ()), ("SELECT g, repeat('z', g) FROM generate_series(1, 1500) g", ()),
                       ("SELECT length($1), $1", ("v" * 400000,)), ("SELECT repeat('x', 700000), 1/(g-2) FROM generate_series(1, 3) g", ()), ("COPY (SELECT repeat('c', 500000)) TO STDOUT", ()), ("SELECT 'long' /* " + "c" * 1100000 + " */", ()))
        yield self.one("COMMIT", "ROLLBACK")

    def large_objects(self):
        oid = 70000 + self.number
        yield "BEGIN"
        yield self.one(f"SELECT lo_create({oid})", lambda: self.function_call(LO_CREATE, [oid]))
        yield f"SELECT lo_open({oid}, 131072)"
        yield "SELECT lowrite(0, 'written')"
        yield self.one("COMMIT", "ROLLBACK", "SELECT lo_lseek(0, 0, 0)", "SELECT 1/0")
        yield "SELECT loread(0, 7)"
        yield "COMMIT"
        yield self.one(f"SELECT lo_unlink({oid})", lambda: self.function_call(LO_UNLINK, [oid]))

    def function_calls(self):
        """FunctionCall reaches what no statement says."""
        yield self.one("BEGIN", "SELECT 1", "SELECT 1/0", self.set_one())
        for _ in range(self.dice.randint(1, 3)):
            yield self.one(lambda: self.function_call(SET_CONFIG, ["work_mem", self.one("4MB", "6MB"), self.one("f", "t")]), lambda: self.function(),
                           lambda: self.function_call(SET_CONFIG, ["app.tenant", self.one("called", "again"), self.one("f", "f", "t")]),
                           lambda: self.function_call(ADVISORY_LOCK, [self.number]), lambda: self.function_call(ADVISORY_UNLOCK, [self.number]),
                           lambda: self.function_call(SET_CONFIG, ["DateStyle", "German", "f"]))
            yield SHOW
        yield self.one("COMMIT", "ROLLBACK", "DISCARD ALL")
        yield from self.shows()
        yield "COMMIT"
        yield self.one("DISCARD ALL", "SELECT pg_advisory_unlock_all()")

    def names_of_no_length(self):
        yield lambda: (self.parse("", self.one("", "SELECT 1", ";")), self.bind("", "", ()), self.describe("S", ""), self.describe("P", ""), self.execute(""), self.sync())
        yield self.one("", ";", "SELECT", lambda: self.parse("", ""))
        yield lambda: (self.describe("S", ""), self.sync())
        yield lambda: (self.bind("", "", ()), self.execute(""), self.sync())
        yield lambda: (self.close("S", ""), self.close("P", ""), self.sync())
        yield lambda: (self.describe("S", ""), self.bind("", "", ()), self.execute(""), self.sync())

    def seeds(self):
        yield self.one("SELECT setseed(0.25); SELECT random()", "SET seed = 0.5; SELECT random()")

    # What few applications do.

    def settings_in_odd_words(self):
        """Forms of SET that are their own in PostgreSQL's grammar, and values that are lists, units or nothing."""
        yield self.one("BEGIN", "SELECT 1", "SELECT 1")
        for _ in range(self.dice.randint(1, 3)):
            yield self.one(
                "SET TIME ZONE LOCAL", "SET TIME ZONE 3", "SET TIME ZONE INTERVAL '+02:30' HOUR TO MINUTE", "SET LOCAL TIME ZONE DEFAULT", "RESET TIME ZONE", f"SET SCHEMA '{self.lane}'",
                "SET NAMES DEFAULT", "SET XML OPTION CONTENT", "SET datestyle = SQL, DMY", "SET datestyle = dmy", f"SET search_path = \"{self.lane}\", \"B c\", pg_catalog", "SET search_path = ''",
                "SET SESSION SCHEMA 'public'", "SET work_mem = -1", "SET statement_timeout = '90s'", "SET work_mem TO '0.5GB'", "SET extra_float_digits TO '+2'", "SET enable_seqscan = 'of'",
                "SET temp_tablespaces = ''", "SET default_tablespace TO ''", "SET WORK_MEM = 5000", "SET \"work_mem\" = 5001", "SET \"Work_Mem\" = 5002", "SET \"app\".\"Tenant\" = 'mixed'", "SET APP.TENANT = upper",
                "SET app.tenant = 1.50", "SET app.tenant = a, 'b c', \"D\"", "SET app.tenant TO on", "SET application_name = one_word", "SET role = none", "SET role TO 'none'", "SET SESSION ROLE other",
                "SET work_mem FROM CURRENT", "SET cursor_tuple_fraction = .25", "SET geqo_seed = 1e-1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", "SET transaction_read_only = on",
                "SET transaction_isolation = 'repeatable read'", "SET LOCAL transaction_deferrable = on", "RESET transaction_isolation", "SET transaction_read_only TO DEFAULT", "SET server_version = '9'",
                "SET is_superuser = on", "SET session_authorization = other", "SELECT set_config('session_authorization', 'app', false)", "SELECT set_config('geqo_seed', NULL, false)",
                "SELECT set_config('app.person', NULL, false)", "SELECT set_config(NULL, 'x', false)", "SET lc_messages = 'C'", "SET lc_monetary TO 'C'", "SET default_transaction_deferrable = on", "SET jit = off",
                "SET vacuum_cost_delay = '1.5ms'", "SET geqo_threshold = 0x10", "SET u&\"work\\005fmem\" = 5003", "SET /* a */ LOCAL -- b\n work_mem = 5004", "SET local.x = 1", "SET session.y = 2")
        yield self.one("SHOW TIME ZONE", "SHOW search_path", "SHOW work_mem", "SHOW SESSION AUTHORIZATION", "SHOW app.tenant", "SHOW transaction_isolation", "SHOW datestyle", "SHOW role",
                       "SELECT current_setting('statement_timeout'), current_setting('extra_float_digits')", "SELECT current_schemas(false)", "SHOW enable_seqscan", "SHOW lc_monetary",
                       "EXPLAIN (SETTINGS, COSTS OFF) SELECT 1", "SELECT name, setting FROM pg_settings WHERE name IN ('work_mem', 'jit', 'geqo_seed') ORDER BY 1")
        yield self.one("COMMIT", "ROLLBACK")
        yield self.one("SHOW TIME ZONE", "SHOW search_path", "SHOW work_mem", "SHOW SESSION AUTHORIZATION", "SHOW app.tenant", "SHOW transaction_read_only", "SHOW datestyle", "SHOW role",
                       "EXPLAIN (SETTINGS, COSTS OFF) SELECT 1", "SELECT name, setting FROM pg_settings WHERE name IN ('work_mem', 'jit', 'geqo_seed') ORDER BY 1")
        yield from self.shows()

    def procedures_that_end_transactions(self):
        lane = self.lane
        yield self.one("SELECT 1", "SELECT 1", "BEGIN", self.set_one())
        for _ in range(self.dice.randint(1, 2)):
            end = self.one("COMMIT", "ROLLBACK", "COMMIT AND CHAIN")
            sets = self.one("PERFORM set_config('app.person', 'within', false)", "SET LOCAL work_mem = '3MB'", "SET work_mem = '4MB'", "SET app.tenant = 'within'", "SET ROLE other",
                            f"PERFORM pg_advisory_xact_lock({self.number}, 1)", "CREATE TEMP TABLE tmp1 (id int) ON COMMIT DROP", "CREATE TEMP TABLE tmp2 (id int)", f"NOTIFY {self.topic()}, 'within'",
                            f"EXECUTE 'SET work_mem = ' || quote_literal('5MB')", f"INSERT INTO {lane}.numbered (v) VALUES ('within')")
            more = self.one("", "", "PERFORM 1/0;", "PERFORM set_config('app.tenant', 'behind', false);", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;", "ROLLBACK; PERFORM set_config('work_mem', '6MB', true);")
            yield self.one(f"CALL {lane}.sets('{self.one('c1', 'c2')}')", ("CALL {0}.sets($1)".format(lane), ("c3",)), f"DO $$BEGIN {sets}; {end}; {more} END$$",
                           f"DO $$BEGIN FOR n IN 1..2 LOOP {sets}; {end}; END LOOP; {more} END$$", f"DO $$BEGIN {sets}; BEGIN {more} PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END; END$$",
                           f"SELECT 2; CALL {lane}.sets('c4')", f"DO $$DECLARE r record; BEGIN FOR r IN SELECT id FROM {lane}.t ORDER BY id LOOP {sets}; {end}; EXIT; END LOOP; END$$")
            yield SHOW
        yield self.one("COMMIT", "ROLLBACK")
        yield from self.shows()
        yield self.one("SELECT count(*) FROM tmp2", "SELECT objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1, 2", "SELECT 3")
        yield "DISCARD ALL"

    def roles_where_all_failed(self):
        """What is said of roles in a block that has failed, and what a rollback makes of those that were set before."""
        yield "BEGIN"
        yield self.one("SET ROLE other", "SET LOCAL ROLE other", "SET SESSION AUTHORIZATION app", "SELECT set_config('role', 'third', true)", "SELECT 1")
        yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", "SELECT 2")
        yield self.one("SET ROLE postgres", "SET SESSION AUTHORIZATION other", "SELECT 1/0", "SET ROLE nobody_at_all", "SELECT set_config('role', 'postgres', false)")
        for _ in range(self.dice.randint(1, 3)):
            yield self.one("SET ROLE other", "RESET ROLE", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT", "DISCARD SEQUENCES", "DISCARD ALL", "DISCARD TEMP", "DISCARD PLANS",
                           "SELECT current_user", "UNLISTEN *", "CLOSE ALL", "DEALLOCATE ALL", "RESET ALL")
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", "SELECT 3")
        yield SHOW
        yield self.one(*ENDS)
        yield from self.shows()
        yield "ROLLBACK"
        yield self.one("RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION", "RESET ALL", "DISCARD ALL")
        yield from self.shows()

    def constraints_and_savepoints(self):
        lane = self.lane
        yield "BEGIN"
        yield self.one("SET CONSTRAINTS ALL DEFERRED", f"SET CONSTRAINTS {lane}.deferred_id_key IMMEDIATE", "SET CONSTRAINTS nowhere IMMEDIATE", "SELECT 1")
        for _ in range(self.dice.randint(1, 3)):
            yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", f"INSERT INTO {lane}.deferred VALUES (1), (1)", f"INSERT INTO {lane}.deferred VALUES (2)", f"DELETE FROM {lane}.deferred",
                           f"SET CONSTRAINTS {lane}.deferred_id_key DEFERRED", "SET CONSTRAINTS ALL IMMEDIATE", f"ROLLBACK TO {SAVEPOINTS[0]}", self.set_one())
        yield self.one(*ENDS)
        yield self.one("SET CONSTRAINTS ALL IMMEDIATE", f"SELECT count(*) FROM {lane}.deferred", f"INSERT INTO {lane}.deferred VALUES (5), (5)")
        yield "COMMIT"
        yield from self.shows()

    def snapshots(self):
        yield self.one("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "START TRANSACTION READ ONLY, ISOLATION LEVEL READ UNCOMMITTED", "SELECT 1")
        for _ in range(self.dice.randint(1, 3)):
            yield self.one("SELECT pg_export_snapshot() <> ''", "SET TRANSACTION SNAPSHOT 'nothing'", "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'", "SELECT pg_current_xact_id_if_assigned() IS NULL",
                           "SELECT txid_current_if_assigned() IS NULL", "SET TRANSACTION READ WRITE", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION NOT DEFERRABLE",
                           f"LOCK TABLE {self.lane}.t IN SHARE MODE", f"LOCK TABLE {self.lane}.audited", f"SELECT id FROM {self.lane}.t ORDER BY id FOR SHARE NOWAIT", f"SAVEPOINT {SAVEPOINTS[0]}",
                           "SELECT pg_stat_clear_snapshot()", "SELECT pg_stat_get_snapshot_timestamp() IS NULL", "SET stats_fetch_consistency = snapshot", "SHOW transaction_deferrable",
                           "SET LOCAL stats_fetch_consistency = none", f"SELECT n_tup_ins >= 0 FROM pg_stat_xact_user_tables WHERE relname = 't' AND schemaname = '{self.lane}'",
                           f"INSERT INTO {self.lane}.numbered (v) VALUES ('snapshot')", f"SELECT n_tup_ins >= 0 FROM pg_stat_xact_user_tables WHERE relname = 'numbered' AND schemaname = '{self.lane}'")
        yield self.one(*ENDS)
        yield self.one("SHOW transaction_isolation", "SHOW transaction_deferrable", "SELECT pg_stat_get_snapshot_timestamp() IS NULL", "SELECT pg_current_xact_id_if_assigned() IS NULL", "SHOW stats_fetch_consistency")
        yield "ROLLBACK"
        yield "RESET stats_fetch_consistency"

    def itself(self):
        """What PostgreSQL tells of the session that asks."""
        who = "SELECT application_name, state, query, usename, backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        for _ in range(self.dice.randint(1, 3)):
            yield self.one("SET application_name = 'first'", "SET LOCAL application_name = 'second'", "SELECT set_config('application_name', repeat('n', 70), false)", "SET application_name = E'tab\\there'",
                           "SET application_name = 'Ünicode'", "RESET application_name", "BEGIN", "ROLLBACK", "SET track_activities = off", "SET client_encoding = 'LATIN1'", "SET client_encoding TO 'nothing'",
                           "SET client_encoding = 'SJIS'", "SET client_encoding TO SQL_ASCII", "RESET client_encoding", "SET log_statement = 'all'")
            yield self.one(who, "SHOW application_name", "SELECT current_user, session_user, current_database(), current_schema", "SELECT pg_is_in_recovery(), pg_backend_pid() > 0, coalesce(inet_client_port(), 1) > 0",
                           "SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND xact_start = now()", "SHOW client_encoding", "SELECT pg_client_encoding(), 'Ü'", "SELECT pg_my_temp_schema() >= 0",
                           "SELECT current_query()", "SELECT count(*) FROM pg_cursors", "SELECT count(*) FROM pg_prepared_statements WHERE from_sql", "SELECT pg_trigger_depth(), pg_jit_available() IS NULL")
        yield "COMMIT"
        yield who
        yield "RESET ALL"

    def functions_with_settings(self):
        """What a function sets for its own time, what it leaves, and what it runs that is put together."""
        lane, name = self.lane, self.one("work_mem", "app.tenant", "search_path", "datestyle", "timezone", "role")
        value = "other" if name == "role" else self.one(*SETTINGS[name][:2]).strip("'").replace("{lane}", lane)
        bodies = (f"PERFORM set_config('{name}', '{value}', false)", f"PERFORM set_config('{name}', '{value}', true)", f"SET LOCAL {name} = '{value}'", f"EXECUTE 'SET {name} = ' || quote_literal('{value}')",
                  f"EXECUTE 'SET LOCAL {name} = ''{value}'''", "EXECUTE 'CREATE TEMP TABLE tmp1 AS SELECT 1 AS id'", "EXECUTE 'PREPARE q1 AS SELECT 1'",
                  f"EXECUTE 'DECLARE c1 CURSOR WITH HOLD FOR SELECT 1'", f"EXECUTE 'LISTEN {lane}_a'", f"EXECUTE 'SELECT pg_advisory_lock({self.number}, 1)'", "EXECUTE 'DISCARD PLANS'")
        yield self.one("BEGIN", "SELECT 1")
        yield (f"CREATE OR REPLACE FUNCTION {lane}.later() RETURNS text LANGUAGE plpgsql {self.one('', '', 'SECURITY DEFINER', 'VOLATILE')} {self.one('', '', chr(83) + 'ET ' + name + ' FROM CURRENT', 'SET work_mem = ' + chr(39) + '3MB' + chr(39))}"
               f" AS $$BEGIN {self.one(*bodies)}; RETURN current_setting('{name}', true); END$$")
        yield self.one(f"SAVEPOINT {SAVEPOINTS[0]}", "SELECT 2", "COMMIT")
        yield self.one(f"SELECT {lane}.later()", f"SELECT {lane}.later() FROM generate_series(1, 2)", f"DO $$BEGIN PERFORM {lane}.later(); END$$", f"SELECT {lane}.later(); SELECT 1/0", f"EXPLAIN (COSTS OFF) SELECT {lane}.later()",
                       f"DO $$BEGIN PERFORM {lane}.later(); RAISE EXCEPTION 'x'; EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM; END$$")
        yield self.one(f"ROLLBACK TO {SAVEPOINTS[0]}", "SELECT 3", SHOW)
        yield self.one("COMMIT", "COMMIT", "ROLLBACK")
        yield from self.shows()
        yield self.one("FETCH FROM c1", "EXECUTE q1", "SELECT * FROM tmp1", "SHOW timezone", f"ALTER FUNCTION {lane}.later() SET {'app.person' if name == 'role' else name} = '{value}'", f"ALTER FUNCTION {lane}.later() RESET ALL")
        yield f"SELECT {lane}.later()"
        yield from self.shows()
        yield "DISCARD ALL"
        yield f"DROP FUNCTION IF EXISTS {lane}.later()"

    def cursors_in_functions(self):
        lane = self.lane
        yield self.one("BEGIN", "BEGIN", "SELECT 1")
        yield self.one(f"SELECT {lane}.opens('c1')", f"SELECT {lane}.opens('c1'), {lane}.opens('c2')", f"CALL {lane}.stepwise()", f"DO $$DECLARE c refcursor := 'c1'; BEGIN OPEN c FOR SELECT 1; END$$",
                       f"DO $$DECLARE c CURSOR FOR SELECT id FROM {lane}.t ORDER BY id; BEGIN FOR r IN c LOOP COMMIT; END LOOP; END$$")
        yield self.one("FETCH 2 FROM c1", "MOVE FORWARD ALL IN c1", "CLOSE c1", f"UPDATE {lane}.t SET v = 'current' WHERE CURRENT OF c1", lambda: self.cursor_as_portal("c1"))
        yield self.one(f"SAVEPOINT {SAVEPOINTS[1]}", "DECLARE c1 CURSOR FOR SELECT 2", f"DECLARE c2 INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT id FROM {lane}.t ORDER BY id")
        yield self.one("FETCH LAST FROM c2", "FETCH ABSOLUTE 2 FROM c2", "FETCH RELATIVE 0 FROM c2", "FETCH PRIOR FROM c2", f"ROLLBACK TO {SAVEPOINTS[1]}")
        yield self.one(*ENDS)
        yield self.one("FETCH 1 FROM c1", "FETCH FIRST FROM c2", "MOVE ALL FROM c2", "SELECT name, is_holdable, is_scrollable FROM pg_cursors WHERE name LIKE 'c%' ORDER BY 1")
        yield "COMMIT"
        yield self.one("CLOSE c2", "CLOSE ALL", "DISCARD ALL")
        yield from self.shows()

    def libraries(self):
        """What a session may load, and settings that nobody has reserved."""
        for _ in range(self.dice.randint(1, 3)):
            yield self.one("LOAD 'nowhere'", "LOAD 'plpgsql'", "LOAD '$libdir/plugins/nowhere'", "SET local_preload_libraries = 'nowhere'", "SET session_preload_libraries = 'nowhere'", "SET dynamic_library_path = 'x'",
                           "SET app.1st = 1", "SET \"app.odd name\" = 1", "SET app.tenant.more = 1", "SELECT set_config('app.', 'x', false)", "SELECT set_config('.app', 'x', false)", "SELECT set_config('', 'x', false)",
                           "SELECT set_config('app.tenant', repeat('v', 5000), false)", "SELECT set_config('app.tenant', E'two\nlines\\ and ''quotes''', false)", "SELECT set_config('app.tenant', ' spaces ', false)")
            yield "SELECT length(current_setting('app.tenant', true)), current_setting('app.tenant', true) = E'two\nlines\\ and ''quotes''' "
        yield "RESET app.tenant"
        yield from self.shows()

    CONVERSATIONS = (
        ("settings_in_savepoints", 6), ("settings_from_within", 6), ("settings_of_many_statements", 4), ("settings_and_discard", 2), ("characteristics", 2),
        ("encodings_and_dates", 3), ("roles", 3), ("temporary_tables", 4), ("temporary_in_front", 3), ("held_cursors", 4), ("portals_across_batches", 4), ("advisory_locks", 3),
        ("listens", 4), ("prepared_both_ways", 3), ("definitions_change", 4), ("functions_change", 3), ("error_at_every_place", 4), ("flushes_without_sync", 3), ("copies_with_errors", 3),
        ("copies_among_statements", 2), ("deferred_to_the_end", 4), ("aborted_block", 3), ("prepared_transactions", 3), ("same_within_a_transaction", 3), ("own_timeouts", 1),
        ("large_results", 1), ("large_objects", 1), ("function_calls", 3), ("names_of_no_length", 2), ("seeds", 0.3),
        ("settings_in_odd_words", 5), ("procedures_that_end_transactions", 4), ("roles_where_all_failed", 3), ("constraints_and_savepoints", 2), ("snapshots", 3), ("itself", 3), ("functions_with_settings", 4),
        ("cursors_in_functions", 3), ("libraries", 2))
    # Nothing is left out of these, or put between: what they leave would hold up whoever comes next.
    CLOSED = ("prepared_transactions", "own_timeouts", "seeds")
