"""What a statement leaves in its session without a word of it: by a trigger, a view, an operator, a policy, a domain, a cascade. Clients keep
what is theirs and see nothing of others', exactly as in test_transparency, whose noise goes on here too."""
import time

import wire
from harness import Story, helper, live, on, wait_until
from test_transparency import Transparent
from wire import SYNC, bind, close, execute, parse

SETS = "CREATE FUNCTION sets(t text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN " \
       "PERFORM set_config('app.tenant', t, false); RETURN true; END$$"
TRIGGER = "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN " \
          "PERFORM set_config('app.tenant', coalesce(new.t, old.t), false); RETURN coalesce(new, old); END$$"


class Hidden(Transparent):
    """Each story has a PostgreSQL of its own: an operator makes every statement of its database a suspect."""

    schema = ()

    def setUp(self):
        self.database = self.postgres(max_connections=40)
        with self.database.admin("app") as admin:
            for statement in self.schema:
                admin.query(statement)
            admin.query("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
        super().setUp()

    @helper
    def pooler(self, **options):
        return super().pooler(pg=self.database, **options)

    @helper
    def mine(self, value, times=12):
        """It holds on whichever server; the noise sees to it that nobody else has it."""
        self.often("SELECT current_setting('app.tenant', true)", value, times)

    @helper
    def questions(self):
        return int(self.proxy.pool()["total_questions"])

    @staticmethod
    def asked_for(proxy, client, *statements, times=1):
        """How many questions PostgreSQL was asked for these."""
        before = int(proxy.pool()["total_questions"])
        for statement in statements * times:
            client.query(statement)
        return int(proxy.pool()["total_questions"]) - before


class Ways(Hidden):
    """Each by which a plain statement comes to run somebody's function."""

    schema = (
        SETS, TRIGGER,
        "CREATE TABLE noted (t text)",
        "CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON noted FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE VIEW setting AS SELECT sets('view')",
        "CREATE VIEW over_noted AS SELECT * FROM noted",
        "CREATE TABLE defaulted (a int, b bool DEFAULT sets('default'))",
        "CREATE TABLE checked (a int CHECK (sets('check')))",
        "CREATE DOMAIN watched AS int CHECK (sets('domain'))",
        "CREATE TABLE domained (a watched)",
        "CREATE TABLE secured (a int)",
        "INSERT INTO secured VALUES (1)",
        "ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY seen ON secured USING (sets('policy'))",
        "CREATE TABLE parent (a int PRIMARY KEY)",
        "CREATE TABLE child (a int REFERENCES parent ON DELETE CASCADE, t text DEFAULT 'cascade')",
        "CREATE TRIGGER noted AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION noted()",
        "INSERT INTO parent VALUES (1)", "INSERT INTO child VALUES (1)",
        "CREATE TABLE whole (a int, t text) PARTITION BY LIST (a)",
        "CREATE TABLE part PARTITION OF whole FOR VALUES IN (1)",
        "CREATE TRIGGER noted AFTER INSERT ON part FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE TABLE ruled (a int)",
        "CREATE RULE ruled AS ON INSERT TO ruled DO ALSO SELECT sets('rule')",
        "CREATE FUNCTION through() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM setting'",
        "CREATE FUNCTION stored() RETURNS bool LANGUAGE sql BEGIN ATOMIC SELECT set_config('app.tenant', 'atomic', false) IS NULL; END",
        "CREATE FUNCTION lower(text, int) RETURNS text LANGUAGE sql AS 'SELECT lower($1) WHERE sets(''namesake'')'",
        "CREATE VIEW casting AS SELECT 1::watched",
        "CREATE FUNCTION of_domain() RETURNS watched LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION updates() RETURNS void LANGUAGE plpgsql AS $$BEGIN UPDATE noted SET t = 'updated'; END$$",
    )

    def a_setting_follows_its_client_by_whatever_way_it_came(self):
        for statement, value in (
                ("INSERT INTO noted VALUES ('trigger')", "trigger"),
                ("INSERT INTO over_noted VALUES ('through a view')", "through a view"),
                ("SELECT updates()", "updated"),
                ("WITH gone AS (DELETE FROM noted RETURNING 1) SELECT count(*) FROM gone", None),
                ("SELECT * FROM setting", "view"),
                ("INSERT INTO defaulted (a) VALUES (1)", "default"),
                ("INSERT INTO checked VALUES (1)", "check"),
                ("SELECT 1::watched", "domain"),
                ("INSERT INTO domained VALUES (1)", "domain"),
                ("SELECT * FROM secured", "policy"),
                ("DELETE FROM parent", "cascade"),
                ("INSERT INTO whole VALUES (1, 'partition')", "partition"),
                ("INSERT INTO ruled VALUES (1)", "rule"),
                ("SELECT through()", "view"),
                ("SELECT stored()", "atomic"),
                ("SELECT lower('X', 1)", "namesake"),
                ("SELECT * FROM casting", "domain"),
                ("SELECT of_domain()", "domain")):
            with self.subTest(statement):
                self.client.query("SET app.tenant = 'none yet'")
                self.client.query(statement)
                if value is None:
                    value = self.client.value("SELECT current_setting('app.tenant')")
                    self.assertNotEqual("none yet", value)
                self.mine(value)
                if live.kind != "direct":
                    self.assertEqual([], self.pins())

    def a_prepared_statement_is_looked_beneath_each_time_it_is_bound(self):
        self.client.ask(parse("hidden", "INSERT INTO noted VALUES ($1)", (25,)), SYNC)
        for value in ("one", "two", "three"):
            self.client.ask(bind("", "hidden", (value,)), execute(), SYNC)
            self.mine(value, 6)

    @on("pgweir", why="PostgreSQL is not asked when there is no pooler")
    def what_leaves_nothing_is_not_asked_about(self):
        with self.database.admin("app") as admin:
            admin.query("CREATE TABLE plain (a int, at timestamptz);"
                        "CREATE FUNCTION stamped() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE plain SET a = 2 "
                        "WHERE a = 1; PERFORM set_config('app.tenant', 'x', true); new.at = now(); RETURN new; END$$;"
                        "CREATE TRIGGER stamped BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION stamped();"
                        "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';"
                        "GRANT ALL ON plain TO PUBLIC")
        proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2})
        with proxy.client() as client:
            client.query("SELECT 1")
            self.assertEqual(0, self.asked_for(proxy, client, "INSERT INTO plain VALUES (1)", "SELECT twice(a) FROM plain LIMIT 1",
                                               "SELECT t FROM noted", times=20))
            self.assertLess(0, self.asked_for(proxy, client, "SELECT 1 FROM setting"))


class Expressions(Hidden):
    """No body of a function says what is set: a view, a rule, a default or a check calls set_config itself."""

    schema = (
        "CREATE VIEW setting AS SELECT set_config('app.tenant', 'view', false)",
        "CREATE VIEW größe AS SELECT set_config('app.tenant', 'size', false)",
        "CREATE VIEW local AS SELECT set_config('app.tenant', 'nobody''s', true) AS t",
        "CREATE TABLE defaulted (a int, b text DEFAULT set_config('app.tenant', 'default', false))",
        "CREATE TABLE checked (a int CHECK (set_config('app.tenant', 'check', false) = 'check'))",
        "CREATE TABLE ruled (a int)",
        "CREATE RULE ruled AS ON UPDATE TO ruled DO ALSO SELECT set_config('app.tenant', 'rule', false)",
        "CREATE TABLE secured (a int)", "INSERT INTO secured VALUES (1)", "ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY seen ON secured USING (set_config('app.tenant', 'policy', false) = 'policy')",
        "CREATE DOMAIN given AS text DEFAULT set_config('app.tenant', 'domain''s default', false)",
        "CREATE TABLE with_given (a int, b given)",
        "CREATE DOMAIN watched AS int CHECK (set_config('app.tenant', 'domain', false) = 'domain')",
        "CREATE DOMAIN over_watched AS watched", "CREATE TYPE row_of_it AS (a watched)",
        "CREATE TABLE arrays (a watched[])", "CREATE TABLE rows (a row_of_it)", "CREATE TABLE domains (a over_watched)",
        "CREATE TABLE parent (a int PRIMARY KEY)", "CREATE TABLE child (a int REFERENCES parent)",
        "CREATE FUNCTION emptied() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM count(*) FROM setting; RETURN NULL; END$$",
        "CREATE TRIGGER emptied AFTER TRUNCATE ON child FOR EACH STATEMENT EXECUTE FUNCTION emptied()",
    )

    def a_setting_follows_its_client_though_no_function_names_it(self):
        self.client.query("SET standard_conforming_strings = off")
        for statement, value in (
                ("TABLE setting", "view"), ("EXPLAIN ANALYZE SELECT * FROM setting", "view"), ("SELECT * FROM local", "none yet"),
                ("INSERT INTO defaulted VALUES (1)", "default"), ("INSERT INTO checked VALUES (1)", "check"),
                ("UPDATE ruled SET a = 1", "rule"), ("SELECT * FROM secured", "policy"),
                ("INSERT INTO with_given VALUES (1)", "domain's default"), ("INSERT INTO arrays VALUES ('{1}')", "domain"),
                ("INSERT INTO rows VALUES ('(1)')", "domain"), ("INSERT INTO domains VALUES (1)", "domain"),
                ("TRUNCATE parent CASCADE", "view"),
                ("SELECT 'it\\'s', (SELECT count(*) FROM setting), 'its'", "view")):
            with self.subTest(statement):
                self.client.query("SET app.tenant = 'none yet'")
                self.client.query(statement)
                self.mine(value, 6)
                if live.kind != "direct":
                    self.assertEqual([], self.pins())

    def a_name_in_other_letters_is_a_name(self):
        self.client.query("SET app.tenant = 'none yet'")
        self.client.query('TABLE U&"sett\\0069ng"')
        self.mine("view", 6)

    def a_name_in_another_encoding_is_a_name(self):
        self.client.query("SET app.tenant = 'none yet'; SET client_encoding = latin1")
        self.client.ask(wire.message(b"Q", "TABLE größe".encode("latin1") + b"\0"))
        self.mine("size", 6)


class Settings(Hidden):
    """The rule of pg_settings sets what an UPDATE of it names; so does one of a view over it, and a function that says either."""

    schema = (
        "CREATE VIEW known AS SELECT name, setting FROM pg_settings WHERE vartype = 'integer'", "CREATE VIEW over_known AS SELECT * FROM known",
        "CREATE FUNCTION plainly(text) RETURNS void LANGUAGE sql AS $$UPDATE pg_settings SET setting = $1 WHERE name = 'work_mem'$$",
        "CREATE FUNCTION with_schema(text) RETURNS void LANGUAGE plpgsql AS $$BEGIN UPDATE \"pg_catalog\".pg_settings s SET setting = $1 WHERE s.name = 'work_mem'; END$$",
        "CREATE FUNCTION by_view(text) RETURNS void LANGUAGE plpgsql AS $$BEGIN UPDATE over_known SET setting = $1 WHERE name = 'work_mem'; END$$")

    def an_update_of_a_view_over_pg_settings_is_its_clients(self):
        for number, (statement, value) in enumerate([(f"UPDATE {view} SET setting = '{{}}' WHERE name = 'work_mem'", 101) for view in ("known", "over_known")]
                                                    + [(f"SELECT {name}('{{}}')", 201) for name in ("plainly", "with_schema", "by_view")]):
            with self.subTest(statement):
                self.client.query(statement.format(value + number))
                self.often("SHOW work_mem", f"{value + number}kB", 6)
                if live.kind != "direct":
                    self.assertEqual([], self.pins())

    @on("pgweir", why="PostgreSQL is not asked when there is no pooler")
    def to_read_such_a_view_asks_nothing(self):
        proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2})
        with proxy.client() as client:
            client.query("SELECT 1")
            self.assertEqual(0, self.asked_for(proxy, client, "SELECT count(*) FROM over_known", times=4))


class Spelled(Hidden):
    """A body that says what it sets in no way that is read: the client keeps its server."""

    ways = (
        "SET /* it */ app.tenant = x", "SET -- it\n app.tenant = x", 'SET app."tenant" = x', "SET app . tenant = x", "SET app. tenant TO x", "SET SESSION app .tenant = x",
        "PERFORM set_config /* it */ ('app.tenant', 'x', false)", "PERFORM \"set_config\"('app.tenant', 'x', false)",
        "PERFORM U&\"set\\005fconfig\"('app.tenant', 'x', false)", "PERFORM set_config('app.' || 'tenant', 'x', false)",
        "PERFORM set_config('app'\n'.tenant', 'x', false)", "PERFORM set_config(E'app.t\\145nant', 'x', false)", "PERFORM set_config($a$app.tenant$a$, 'x', false)")
    schema = tuple(f"CREATE FUNCTION way_{number}() RETURNS void LANGUAGE plpgsql AS $body$BEGIN {way}; END$body$" for number, way in enumerate(ways))

    def a_setting_is_its_clients_however_it_is_spelled(self):
        for number, way in enumerate(self.ways):
            with self.subTest(way):
                self.client.query(f"SELECT way_{number}()")
                self.mine("x", 4)
                self.holds("a setting that can not be seen")
                self.client.query("RESET ALL")
                self.holds_nothing()


class Kinds(Hidden):
    """What is left is told from what the body says, and pins as if the client had said it."""

    schema = (
        "CREATE TABLE locked (a int)",
        "CREATE FUNCTION locks() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_lock(new.a); RETURN new; END$$",
        "CREATE TRIGGER locks BEFORE INSERT ON locked FOR EACH ROW EXECUTE FUNCTION locks()",
        "CREATE TABLE made (a int)",
        "CREATE FUNCTION makes() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE IF NOT EXISTS mine "
        "AS SELECT 7 AS a; RETURN new; END$$",
        "CREATE TRIGGER makes BEFORE INSERT ON made FOR EACH ROW EXECUTE FUNCTION makes()",
        "CREATE TABLE heard (a int)",
        "CREATE FUNCTION hears() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN LISTEN hidden; RETURN new; END$$",
        "CREATE TRIGGER hears BEFORE INSERT ON heard FOR EACH ROW EXECUTE FUNCTION hears()",
        "CREATE TABLE run (what text)",
        "CREATE FUNCTION runs() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE new.what; RETURN new; END$$",
        "CREATE TRIGGER runs BEFORE INSERT ON run FOR EACH ROW EXECUTE FUNCTION runs()",
    )

    def a_lock_of_a_trigger_is_held_until_it_is_unlocked(self):
        self.client.query("INSERT INTO locked VALUES (4711)")
        self.holds("an advisory lock")
        self.often("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "1")
        self.client.query("SELECT pg_advisory_unlock(4711)")
        self.holds_nothing()

    def a_temporary_table_of_a_trigger_stays_with_its_client(self):
        self.client.query("INSERT INTO made VALUES (1)")
        self.holds("a temporary table")
        self.often("SELECT a FROM mine", "7")
        self.client.query("DROP TABLE mine")
        self.holds_nothing()

    def a_table_of_a_function_may_be_temporary_by_the_search_path(self):
        with self.database.admin("app") as admin:
            admin.query("CREATE FUNCTION makes_one() RETURNS void LANGUAGE plpgsql AS $$BEGIN CREATE TABLE mine AS SELECT 7 AS a; END$$;"
                        "CREATE FUNCTION makes_into() RETURNS void LANGUAGE sql AS $$SELECT 8 AS a INTO mine$$")
        for makes, value in (("makes_one", "7"), ("makes_into", "8")):
            self.client.query("SET search_path = pg_temp, public")
            reply = self.client.simple(f"SELECT public.{makes}()")
            if reply.error:                   # as PostgreSQL 15 has it of SELECT INTO
                continue
            self.holds("a temporary table")
            self.often("SELECT a FROM mine", value, 6)
            self.client.query("DROP TABLE mine; RESET search_path")
            self.holds_nothing()

    def a_listen_of_a_trigger_is_heard(self):
        self.client.query("INSERT INTO heard VALUES (1)")
        self.holds_nothing()          # it shares the listener, as anybody who LISTENs
        self.often("SELECT count(*) FROM pg_listening_channels()", "1", 6)
        self.client.query("UNLISTEN *")
        self.holds_nothing()

    def what_runs_a_text_is_asked_about_everything(self):
        self.client.query("INSERT INTO run VALUES ('SET work_mem = ''7MB''')")
        self.often("SHOW work_mem", "7MB")
        self.client.query("INSERT INTO run VALUES ('CREATE TEMP TABLE mine AS SELECT 8 AS a')")
        self.holds("a temporary table")
        self.often("SELECT a FROM mine", "8", 6)


class Operators(Hidden):
    schema = (SETS,
              "CREATE FUNCTION sets_int(int) RETURNS bool LANGUAGE sql AS 'SELECT sets(''operator'')'",
              "CREATE OPERATOR === (FUNCTION = sets_int, RIGHTARG = int)",
              "CREATE TABLE logged (a int)",
              "CREATE FUNCTION commanded() RETURNS event_trigger LANGUAGE plpgsql AS "
              "$$BEGIN PERFORM set_config('app.tenant', 'command', false); END$$",
              "CREATE EVENT TRIGGER commanded ON ddl_command_end EXECUTE FUNCTION commanded()")

    def operators_and_event_triggers_are_known(self):
        self.client.query("SELECT === 1")
        self.mine("operator")
        self.client.query("CREATE TABLE made_by_me (a int)")
        self.mine("command")


class Classes(Hidden):
    """An operator class has functions that no operator has, and that no statement names."""

    schema = (
        "CREATE FUNCTION compares(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "$$BEGIN PERFORM set_config('app.tenant', 'index', false); RETURN btint4cmp($1, $2); END$$",
        "CREATE OPERATOR CLASS compared FOR TYPE int USING btree AS "
        "OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 compares(int, int)",
        "CREATE FUNCTION hashes(int, bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS "
        "$$BEGIN PERFORM set_config('app.tenant', 'partition', false); RETURN $1; END$$",
        "CREATE OPERATOR CLASS hashed FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 2 hashes(int, bigint)",
        "CREATE TABLE indexed (a int)", "CREATE INDEX ON indexed (a compared)", "INSERT INTO indexed VALUES (0)",
        "CREATE TABLE parted (a int) PARTITION BY HASH (a hashed)",
        "CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)")

    def what_a_support_function_sets_is_its_clients(self):
        for statement, value in (("INSERT INTO indexed VALUES (1)", "index"), ("INSERT INTO parted VALUES (1)", "partition")):
            with self.subTest(statement):
                self.client.query("SET app.tenant = 'none yet'")
                self.client.query(statement)
                self.mine(value)


class Changes(Hidden):
    schema = (SETS, TRIGGER, "CREATE TABLE later (t text)", "ALTER TABLE later OWNER TO app",
              "ALTER FUNCTION noted OWNER TO app")

    def a_trigger_is_known_as_soon_as_it_is_there(self):
        with self.proxy.client() as other:
            other.query("INSERT INTO later VALUES ('nobody notes it')")
            self.assertFalse(other.value("SELECT current_setting('app.tenant', true)"))
            self.client.query("CREATE TRIGGER noted AFTER INSERT ON later FOR EACH ROW EXECUTE FUNCTION noted()")
            for value in ("first", "second"):
                other.query(f"INSERT INTO later VALUES ('{value}')")
                self.assertEqual(value, other.value("SELECT current_setting('app.tenant', true)"))
                self.assertFalse(self.client.value("SELECT current_setting('app.tenant', true)"))

    def a_statement_that_waits_for_the_change_is_known_too(self):
        """It was looked at before the trigger was there, and runs when it is."""
        with self.proxy.client() as other:
            self.client.query("BEGIN")
            self.client.query("CREATE TRIGGER noted AFTER INSERT ON later FOR EACH ROW EXECUTE FUNCTION noted()")
            other.send(wire.query("INSERT INTO later VALUES ('it waited')"))
            wait_until("it waits for the lock", lambda: self.database.value(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1")
            self.client.query("COMMIT")
            other.reply()
            for _ in range(12):
                self.assertEqual("it waited", other.value("SELECT current_setting('app.tenant', true)"))
                time.sleep(0.004)

    def a_named_statement_is_looked_at_again(self):
        self.client.ask(parse("later", "INSERT INTO later VALUES ($1)", (25,)), SYNC)
        self.client.ask(bind("", "later", ("unnoted",)), execute(), SYNC)
        self.assertFalse(self.client.value("SELECT current_setting('app.tenant', true)"))
        with self.proxy.client() as other:
            other.query("CREATE TRIGGER noted AFTER INSERT ON later FOR EACH ROW EXECUTE FUNCTION noted()")
        self.client.ask(bind("", "later", ("noted",)), execute(), SYNC)
        self.mine("noted")


class Definitions(Hidden):
    """CREATE and ALTER through pgweir: at once it is known what they make, and nobody is suspected for those that make nothing of the kind."""

    schema = (
        SETS, TRIGGER, "GRANT CREATE ON SCHEMA public TO app", "GRANT CREATE ON DATABASE app TO app",
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
        "CREATE FUNCTION follows() RETURNS event_trigger LANGUAGE plpgsql AS $$DECLARE o record; BEGIN "
        "FOR o IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE 'public.followed%' AND command_tag = 'CREATE TABLE' LOOP "
        "EXECUTE 'CREATE TRIGGER noted AFTER INSERT ON ' || o.object_identity || ' FOR EACH ROW EXECUTE FUNCTION noted()'; END LOOP; END$$",
    )

    # What is there, by app itself; then what makes it leave something, what leaves it, and what that is.
    ways = (
        ((), "CREATE TABLE a1 (x int, b bool DEFAULT sets('default'))", "INSERT INTO a1 VALUES (1)", "default"),
        (("CREATE TABLE a2 (x int)",), "ALTER TABLE a2 ADD CHECK (sets('check'))", "INSERT INTO a2 VALUES (1)", "check"),
        (("CREATE TABLE a3 (x int)",), "CREATE INDEX a3_i ON a3 (fixed(x))", "INSERT INTO a3 VALUES (1)", "index"),
        (("CREATE TABLE a4 (x int, b bool DEFAULT sets('like'))",), "CREATE TABLE b4 (LIKE a4 INCLUDING ALL)", "INSERT INTO b4 VALUES (1)", "like"),
        (("CREATE TABLE a5 (x int, y int) PARTITION BY LIST (x)", "CREATE TABLE b5 PARTITION OF a5 FOR VALUES IN (1) PARTITION BY LIST (y)"),
         "CREATE TABLE c5 PARTITION OF b5 (CHECK (sets('leaf'))) FOR VALUES IN (1)", "INSERT INTO a5 VALUES (1, 1)", "leaf"),
        (("CREATE TABLE a6 (t text)", "CREATE TABLE b6 (t text)", "CREATE TRIGGER noted BEFORE INSERT ON b6 FOR EACH ROW EXECUTE FUNCTION noted()",
          "CREATE FUNCTION writes6() RETURNS void LANGUAGE plpgsql AS $$BEGIN INSERT INTO c6 VALUES ('renamed'); END$$"),
         "ALTER TABLE b6 RENAME TO c6", "SELECT writes6()", "renamed"),
        (("CREATE FUNCTION calm7() RETURNS bool LANGUAGE sql AS 'SELECT true'", "CREATE VIEW a7 AS SELECT calm7()"),
         "CREATE OR REPLACE FUNCTION calm7() RETURNS bool LANGUAGE sql AS 'SELECT sets(''replaced'')'", "SELECT * FROM a7", "replaced"),
        ((), "CREATE SCHEMA s8 CREATE TABLE a8 (t text) CREATE TRIGGER noted AFTER INSERT ON a8 FOR EACH ROW EXECUTE FUNCTION public.noted()",
         "INSERT INTO s8.a8 VALUES ('element')", "element"),
        (("CREATE DOMAIN d9 AS int CHECK (sets('domain'))", "CREATE FUNCTION f9() RETURNS d9 LANGUAGE sql AS 'SELECT 1'"),
         "CREATE TABLE a9 AS SELECT f9() AS x", "INSERT INTO a9 VALUES (1)", "domain"),
        (("CREATE DOMAIN d10 AS int", "CREATE TABLE a10 (x d10)"), "ALTER DOMAIN d10 ADD CHECK (sets('later'))", "INSERT INTO a10 VALUES (1)", "later"),
        (("CREATE DOMAIN d19 AS int CHECK (sets('prepared'))", "PREPARE p19 AS SELECT 1::d19 AS x"),
         "CREATE TABLE a19 AS EXECUTE p19", "INSERT INTO a19 VALUES (1)", "prepared"),
        ((), "CREATE TABLE followed11 (t text)", "INSERT INTO followed11 VALUES ('event')", "event"),
        (("CREATE TABLE a12 (x int PRIMARY KEY)", "INSERT INTO a12 VALUES (1)", "CREATE TABLE b12 (x int, t text)", "INSERT INTO b12 VALUES (1, 'cascade')",
          "CREATE TRIGGER noted AFTER DELETE ON b12 FOR EACH ROW EXECUTE FUNCTION noted()"),
         "ALTER TABLE b12 ADD FOREIGN KEY (x) REFERENCES a12 ON DELETE CASCADE", "DELETE FROM a12", "cascade"),
        ((), "CREATE VIEW a13 AS SELECT set_config('app.tenant', 'view', false)", "SELECT * FROM a13", "view"),
        (("CREATE TABLE a14 (x int)",), "CREATE RULE a14 AS ON INSERT TO a14 DO ALSO SELECT sets('rule')", "INSERT INTO a14 VALUES (1)", "rule"),
        (("CREATE TABLE a15 (x int)", "INSERT INTO a15 VALUES (1)", "CREATE POLICY p ON a15", "ALTER TABLE a15 ENABLE ROW LEVEL SECURITY",
          "ALTER TABLE a15 FORCE ROW LEVEL SECURITY"), "ALTER POLICY p ON a15 USING (sets('policy'))", "SELECT * FROM a15", "policy"),
        (("CREATE FUNCTION later16() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'", "CREATE TABLE a16 (t text)",
          "CREATE TRIGGER later BEFORE INSERT ON a16 FOR EACH ROW EXECUTE FUNCTION later16()"),
         "CREATE OR REPLACE FUNCTION later16() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM sets(new.t); RETURN new; END$$",
         "INSERT INTO a16 VALUES ('body')", "body"),
        (("CREATE TABLE a17 (t text)",), "ALTER TABLE a17 ADD COLUMN x int; CREATE TRIGGER noted AFTER INSERT ON a17 FOR EACH ROW EXECUTE FUNCTION noted()",
         "INSERT INTO a17 VALUES ('second')", "second"),
        (("CREATE TABLE a18 (t text)",), 'CREATE TRIGGER noted AFTER INSERT ON a18 FOR EACH ROW EXECUTE FUNCTION U&"n\\006fted"()',
         "INSERT INTO a18 VALUES ('other letters')", "other letters"),
    )

    plain = ("CREATE TABLE t (id serial PRIMARY KEY, a int NOT NULL REFERENCES t, at timestamptz DEFAULT now(), CHECK (a > 0))",
             "CREATE UNLOGGED TABLE u AS SELECT * FROM plain", "CREATE INDEX i ON plain USING btree (a, lower(b))",
             "ALTER TABLE plain ADD COLUMN c numeric(10, 2) DEFAULT 0", "CREATE OR REPLACE VIEW v AS SELECT count(*) FROM plain",
             "CREATE MATERIALIZED VIEW m AS SELECT a FROM plain", "CREATE SCHEMA s CREATE TABLE st (a int)",
             "CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION stamp()",
             "CREATE TYPE mood AS ENUM ('happy')", "ALTER TYPE mood ADD VALUE 'sad'", "CREATE TEMP TABLE mine (a int) ON COMMIT DROP",
             "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "comment ON TABLE plain IS 'plain'")

    def setUp(self):
        super().setUp()
        self.client.query("CREATE FUNCTION fixed(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM sets('index'); RETURN $1; END$$")
        self.other = self.proxy.client()
        self.addCleanup(self.other.close)

    @helper
    def known(self):
        def asked():
            before = self.questions()
            for _ in range(3):      # what is asked behind one has been asked when the next is answered
                self.other.query("SELECT 1")
            return self.questions() - before
        if live.kind != "direct":
            wait_until("the catalogue is known", lambda: asked() == 0)

    @helper
    def leaves(self, statement, value):
        self.other.query(statement)
        for _ in range(3):
            self.assertEqual(value, self.other.value("SELECT current_setting('app.tenant', true)"))
        self.assertFalse(self.client.value("SELECT current_setting('app.tenant', true)"))
        self.other.query("RESET ALL")

    def what_is_made_is_known_at_once(self):
        with self.database.admin("app") as admin:
            for number, (there, change, statement, value) in enumerate(self.ways):
                with self.subTest(change):
                    for text in there:
                        self.client.query(text)
                    if "followed" in change:
                        admin.query("CREATE EVENT TRIGGER follows ON ddl_command_end EXECUTE FUNCTION follows()")
                        self.client.query("CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'")  # so that it is known
                    self.client.query("RESET ALL")
                    self.known()
                    self.client.query(change)
                    if "followed" in change:
                        admin.query("DROP EVENT TRIGGER follows")
                    self.client.query("RESET ALL")
                    self.leaves(statement, value)
                    self.client.query("DEALLOCATE ALL")

    def a_temporary_thing_leaves_what_it_was_made_of(self):
        """The catalogue need not know of it: it is its client's, and so is what its defaults and triggers set."""
        for change, statement, value in (
                ("CREATE TEMP TABLE t (x int, b bool DEFAULT sets('default'))", "INSERT INTO t VALUES (1)", "default"),
                ("CREATE TEMP TABLE t (x int, b text DEFAULT set_config('app.tenant', 'own words', false))", "INSERT INTO t VALUES (1)", "own words"),
                ("CREATE TEMP VIEW t AS SELECT sets('view')", "SELECT * FROM t", "view"),
                ("CREATE TEMP TABLE t (LIKE a0 INCLUDING DEFAULTS)", "INSERT INTO t VALUES (1)", "like"),
                ("CREATE TEMP TABLE t (x int); CREATE INDEX ON t (fixed(x))", "INSERT INTO t VALUES (1)", "index"),
                ("SET search_path = pg_temp, public; CREATE TABLE t (x int, b bool DEFAULT sets('path'))", "INSERT INTO t VALUES (1)", "path")):
            with self.subTest(change):
                self.client.query("CREATE TABLE IF NOT EXISTS a0 (x int, b bool DEFAULT sets('like'))")
                self.client.query("RESET ALL")
                self.known()
                self.other.query(change)
                self.other.query(statement)
                self.other.query("DROP VIEW t" if "VIEW" in change else "DROP TABLE t")
                for _ in range(3):
                    self.assertEqual(value, self.other.value("SELECT current_setting('app.tenant', true)"))
                self.assertFalse(self.client.value("SELECT current_setting('app.tenant', true)"))
                self.other.query("RESET ALL")

    def what_leaves_nothing_may_be_changed_to_before_its_transaction_is_over(self):
        self.client.query("CREATE FUNCTION calm() RETURNS bool LANGUAGE sql AS 'SELECT true'")
        self.known()
        with self.proxy.client() as third:
            third.query("BEGIN")
            third.query("CREATE TABLE late (x int, b bool DEFAULT calm())")
            self.client.send(wire.query("CREATE OR REPLACE FUNCTION calm() RETURNS bool LANGUAGE sql AS 'SELECT sets(''late'')'"))
            with self.database.admin("app") as admin:   # newer releases (15.20) lock what a table calls
                wait_until("it is done, or waits for that transaction", lambda: self.client.readable() or
                           admin.value("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0")
            for _ in range(3):      # what is read behind one has been read when the next is answered
                self.other.query("SELECT 1")
            third.query("COMMIT")
            self.assertEqual(["CREATE FUNCTION"], self.client.reply().tags)
            self.leaves("INSERT INTO late VALUES (1)", "late")

    @on("pgweir", why="PostgreSQL is not asked when there is no pooler")
    def nobody_is_suspected_for_what_leaves_nothing(self):
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2})
        with self.proxy.client() as self.client, self.proxy.client() as self.other:
            self.client.query("CREATE TABLE plain (a int, b text)")
            self.known()
            for change in self.plain:
                with self.subTest(change):
                    before = self.questions()
                    self.client.query("BEGIN")
                    self.client.query(change)
                    for _ in range(3):
                        self.other.query("SELECT 1")
                    self.assertEqual(before, self.questions())
                    self.client.query("COMMIT")
                    self.client.query("BEGIN")     # behind the question of that transaction, which asks for temporary tables
                    self.client.query("SELECT 1")
                    self.other.query("SELECT a FROM plain")
                    self.client.query("COMMIT")
                    self.assertEqual(before + (change[0] not in "c"), self.questions())


@on("pgweir", why="there is nothing to read without a pooler")
class Unreadable(Hidden):
    schema = ("REVOKE SELECT ON pg_catalog.pg_trigger FROM PUBLIC",)

    def a_catalogue_that_can_not_be_read_is_said_once_and_harms_nobody(self):
        for _ in range(5):
            self.assertEqual("1", self.client.value("SELECT 1"))
        self.proxy.await_log("the catalogue could not be read")
        for _ in range(5):
            with self.proxy.client() as other:
                self.assertEqual("2", other.value("SELECT 2"))
        self.assertEqual(1, self.proxy.log().count("the catalogue could not be read"))
        self.proxy.await_log("permission denied for table pg_trigger")


class Interrupted(Story):
    kinds = ("pgweir",)

    def what_interrupts_who_reads_the_catalogue_hides_no_trigger(self):
        """That it could not be read says nothing about what is in it. Here it waits for a lock behind the answer to what changed it."""
        database = self.postgres(max_connections=40)
        admin = database.admin("app")
        self.addCleanup(admin.close)
        for statement in (TRIGGER, "ALTER FUNCTION noted OWNER TO app", "CREATE TABLE later (t text)", "ALTER TABLE later OWNER TO app"):
            admin.query(statement)
        proxy = self.pooler(pg=database, settings={"default_pool_size": 1})
        impatient, canceling = proxy.client(parameters={"options": "-c lock_timeout=300ms"}), proxy.client()
        other, third = proxy.client(), proxy.client()
        self.assertEqual("300ms", impatient.value("SHOW lock_timeout"))

        def lock():
            admin.query("BEGIN")
            admin.query("LOCK TABLE pg_policy IN ACCESS EXCLUSIVE MODE")

        def reads():
            return admin.value("SELECT count(*) FROM pg_locks WHERE relation = 'pg_policy'::regclass AND NOT granted") == "1"

        lock()
        impatient.query("CREATE TRIGGER noted AFTER INSERT ON later FOR EACH ROW EXECUTE FUNCTION noted()")
        impatient.close()
        self.assertEqual("1", other.value("SELECT 1"))      # on the only server, so that the reading is over
        admin.query("COMMIT")
        other.query("INSERT INTO later VALUES ('others')")
        self.assertFalse(third.value("SELECT current_setting('app.tenant', true)"))
        self.assertEqual("others", other.value("SELECT current_setting('app.tenant', true)"))

        lock()
        canceling.query("CREATE OR REPLACE TRIGGER noted AFTER INSERT ON later FOR EACH ROW EXECUTE FUNCTION noted()")
        wait_until("the catalogue is being read", reads)
        canceling.cancel()
        proxy.show("SERVERS")
        self.assertTrue(reads())
        admin.query("COMMIT")
        canceling.close()
        self.assertEqual("1", third.value("SELECT 1"))
