"""Numbers of sequences: currval and lastval tell a client what it took itself, or that it took none; never what somebody else did.

Each story has a pool of its own, of one server, in which nobody has asked for a number yet."""
from harness import Story, helper, live, on, wait_until
from wire import SYNC, bind, execute, function_call, parse, query


class Numbers(Story):
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.pg.admin("app").query("DROP SEQUENCE IF EXISTS a, b CASCADE; CREATE SEQUENCE a; CREATE SEQUENCE b; GRANT ALL ON a, b TO PUBLIC; "
                                   "DROP TABLE IF EXISTS taken; CREATE TABLE taken (id serial); GRANT ALL ON taken, taken_id_seq TO PUBLIC")
        self.begin()

    @helper
    def begin(self):
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1, "workers": 1, "sequence_hold": 0})
        self.client, self.other = self.proxy.client(), self.proxy.client()

    @helper
    def refused(self, *replies):
        for reply in replies:
            self.assertEqual("55000", reply.error and reply.error.sqlstate, reply.rows)

    def a_statement_that_was_prepared_before_is_not_told_a_strangers_number(self):
        self.client.ask(parse("c", "SELECT currval('a')"), SYNC)
        self.other.query("SELECT nextval('a')")
        self.refused(self.client.ask(bind("", "c"), execute(), SYNC))

    def an_unnamed_statement_is_not_either(self):
        self.client.ask(parse("", "SELECT lastval()"), SYNC)
        self.other.query("SELECT nextval('a')")
        self.refused(self.client.ask(bind("", ""), execute(), SYNC))

    def one_that_is_sent_behind_others_is_not_either(self):
        self.other.query("SELECT nextval('a')")
        self.client.send(query("SELECT 1"), query("SELECT currval('a')"))
        self.assertEqual("1", self.client.reply().value)
        self.refused(self.client.reply())

    def one_in_a_transaction_of_one_send_is_not_either(self):
        self.other.query("SELECT nextval('a')")
        self.client.send(query("BEGIN"), query("SELECT 1"), query("SELECT currval('a')"), query("ROLLBACK"))
        self.client.reply()
        self.assertEqual("1", self.client.reply().value)
        self.refused(self.client.reply())
        self.client.reply()

    def one_in_a_batch_is_not_either(self):
        self.other.query("SELECT nextval('a')")
        self.refused(self.client.ask(parse("", "SELECT 1"), bind("", ""), execute(), parse("", "SELECT currval('a')"), bind("", ""), execute(), SYNC))

    def one_in_a_query_of_several_is_not_either(self):
        self.other.query("SELECT nextval('a')")
        self.refused(self.client.simple("SELECT 1; SELECT currval('a')"))

    def one_that_is_hidden_is_not_either(self):
        """In the body of a DO; in a function; as a FunctionCall."""
        admin = self.pg.admin("app")
        admin.query("CREATE OR REPLACE FUNCTION tell() RETURNS bigint LANGUAGE sql AS $$SELECT currval('a')$$")
        admin.query("CREATE OR REPLACE PROCEDURE say() LANGUAGE plpgsql AS $$BEGIN PERFORM currval('a'); END$$")
        oid, a = (int(admin.value(f"SELECT {what}::oid")) for what in ("'currval'::regproc", "'a'::regclass"))
        for asked in (query("DO $$BEGIN PERFORM currval('a'); END$$"), query("SELECT tell()"), query("CALL say()"),
                      function_call(oid, [str(a)])):
            with self.subTest(asked=asked):
                self.begin()
                self.other.query("SELECT nextval('a')")
                self.refused(self.client.ask(asked))

    def one_behind_an_error_is_not_either(self):
        self.other.query("SELECT nextval('a')")
        asked = [parse("", "SELECT currval('a')"), bind("", ""), execute()]
        self.assertEqual("22012", self.client.ask(parse("", "SELECT 1/0"), bind("", ""), execute(), *asked, SYNC).error.sqlstate)
        self.client.query("BEGIN")
        self.assertEqual("22012", self.client.simple("SELECT 1/0").error.sqlstate)
        self.assertEqual("25P02", self.client.ask(*asked, SYNC).error.sqlstate)
        self.assertEqual("25P02", self.client.simple("SELECT currval('a')").error.sqlstate)
        self.client.query("ROLLBACK")
        self.refused(self.client.ask(*asked, SYNC), self.client.simple("COPY (SELECT currval('a')) TO STDOUT"))

    def a_failed_transaction_goes_on_where_several_that_do_not_end_it_ask(self):
        self.other.query("SELECT nextval('a')")
        self.client.query("BEGIN")
        self.assertEqual("22012", self.client.simple("SELECT 1/0").error.sqlstate)
        self.assertEqual("25P02", self.client.simple("SELECT 1; SELECT currval('a')").error.sqlstate)
        self.client.query("ROLLBACK")
        self.refused(self.client.simple("SELECT currval('a')"))

    def one_in_the_message_that_ends_a_failed_transaction_is_not_either(self):
        """It is not even asked for."""
        self.other.query("SELECT nextval('a')")
        self.client.query("BEGIN")
        self.client.simple("SELECT 1/0")
        self.client.send(query("ROLLBACK; SELECT currval('a')"))
        self.assertEqual("55000" if live.kind == "direct" else "25P02", self.client.read_to(b"E").error.sqlstate)

    @helper
    def others_number(self):
        """A stranger has taken one of `b`, and the client holds the server where it did, and has taken one of `a` there."""
        self.begin()
        self.other.query("SELECT setval('a', 40); SELECT nextval('b')")
        self.client.query("BEGIN")
        self.client.query("SELECT nextval('a')")

    def who_took_one_of_another_sequence_is_not_told_a_strangers_number(self):
        admin = self.pg.admin("app")
        admin.query("CREATE OR REPLACE FUNCTION tell_b() RETURNS bigint LANGUAGE sql AS $$SELECT currval('b')$$")
        for asked in ([query("SELECT currval('b')")], [query("SELECT currval('a'), currval('b')")], [query("SELECT currval('b' || '')")], [query("SELECT tell_b()")],
                      [query("DO $$BEGIN PERFORM currval('b'); END$$")], [query("SELECT tell_b(), currval('a')")],
                      [parse("", "SELECT currval('b')"), bind("", ""), execute(), SYNC], [parse("c", "SELECT currval($1)"), bind("", "c", ["public.b"]), execute(), SYNC],
                      [query("PREPARE p AS SELECT currval('b'); EXECUTE p")]):
            with self.subTest(asked=asked):
                self.others_number()
                self.refused(self.client.ask(*asked))

    def who_made_a_row_without_a_number_is_not_told_a_strangers_either(self):
        self.pg.admin("app").query("DROP TABLE IF EXISTS numbered; CREATE TABLE numbered (id int DEFAULT nextval('a')); GRANT ALL ON numbered TO PUBLIC")
        for asked in ("SELECT lastval()", "SELECT currval('a')"):
            for how in (lambda text: query(text), lambda text: parse("", text) + bind("", "") + execute() + SYNC):
                with self.subTest(asked=asked, how=how("")):
                    self.begin()
                    self.other.query("SELECT nextval('a')")
                    self.client.query("BEGIN")
                    self.client.query("INSERT INTO numbered VALUES (7)")
                    self.refused(self.client.ask(how(asked)))

    def who_set_one_back_or_looked_at_all_is_not_told_a_strangers_either(self):
        for touches in ("SELECT setval('b', 3, false)", "SELECT count(*) FROM pg_sequences", "SELECT pg_sequence_last_value('b')"):
            with self.subTest(touches=touches):
                self.others_number()
                self.client.query(touches)
                self.refused(self.client.simple("SELECT currval('b')"))

    def who_failed_to_take_one_is_not_told_a_strangers_either(self):
        """Its nextval has the lock of the sequence, and no number."""
        self.pg.admin("app").query("ALTER SEQUENCE b MAXVALUE 2 RESTART 2")
        self.others_number()
        self.client.query("SAVEPOINT s")
        self.assertEqual("2200H", self.client.simple("SELECT nextval('b')").error.sqlstate)
        self.client.query("ROLLBACK TO s")
        self.refused(self.client.simple("SELECT currval('b')"))

    def who_gives_the_name_another_meaning_is_not_told_a_strangers_either(self):
        """The name that it asks for was its own until then."""
        self.pg.admin("app").query("DROP SCHEMA IF EXISTS elsewhere CASCADE; CREATE SCHEMA elsewhere; CREATE SEQUENCE elsewhere.a; "
                                   "GRANT ALL ON SCHEMA elsewhere TO PUBLIC; GRANT ALL ON elsewhere.a TO PUBLIC")
        for means in ("SET search_path = elsewhere", "SET LOCAL search_path = elsewhere", "SELECT set_config('search_path', 'elsewhere', true)",
                      "SET SCHEMA 'elsewhere'", "PREPARE p AS SELECT currval('elsewhere.a'); EXECUTE p"):
            with self.subTest(means=means):
                self.begin()
                self.other.query("SELECT setval('a', 40); SELECT nextval('elsewhere.a')")
                self.client.query("BEGIN")
                self.client.query("SELECT nextval('a')")
                self.refused(self.client.simple(f"{means}; SELECT currval('a')"))

    def who_asks_is_not_told_what_others_took_beneath_their_words(self):
        """On the server where it took one of the same sequence, by statements that say nothing of it."""
        self.pg.admin("app").query(
            "DROP TABLE IF EXISTS kept, numbered, grows CASCADE; CREATE TABLE kept (x int); INSERT INTO kept VALUES (1); CREATE TABLE numbered (id int DEFAULT nextval('a')); "
            "INSERT INTO numbered VALUES (1); CREATE OR REPLACE FUNCTION takes() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('a'); RETURN new; END$$; "
            "CREATE TRIGGER takes BEFORE UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION takes(); CREATE OR REPLACE VIEW taking AS SELECT nextval('a') AS n; "
            "CREATE TABLE ruled (x int); CREATE RULE ruled AS ON DELETE TO ruled DO INSTEAD INSERT INTO numbered DEFAULT VALUES; GRANT ALL ON kept, numbered, taking, ruled TO PUBLIC; "
            "CREATE TABLE grows AS SELECT 1 AS x; ALTER TABLE grows OWNER TO app")
        self.addCleanup(self.pg.admin("app").query, "DROP TABLE kept, numbered, grows, ruled CASCADE; DROP VIEW taking")
        for takes in ("UPDATE kept SET x = x + 1", "WITH x AS (UPDATE kept SET x = 3 RETURNING 1) SELECT * FROM x", "SELECT * FROM taking", "EXPLAIN ANALYZE SELECT * FROM taking",
                      "PREPARE p AS TABLE taking; EXECUTE p; DEALLOCATE p", "BEGIN; DECLARE c CURSOR FOR TABLE taking; FETCH c; COMMIT",
                      "UPDATE numbered SET id = DEFAULT",
                      "DELETE FROM ruled", "ALTER TABLE grows ADD COLUMN n int DEFAULT nextval('a')"):
            with self.subTest(takes=takes):
                self.begin()
                self.client.query("SELECT setval('a', 40)")
                self.assertEqual("41", self.client.value("SELECT nextval('a')"))
                self.other.query(takes)
                reply = self.client.simple("SELECT currval('a')")
                self.assertIn("41" if live.kind == "direct" else "55000", (reply.value, reply.error and reply.error.sqlstate))

    def who_took_one_beneath_its_words_keeps_its_server(self):
        self.pg.admin("app").query(
            "DROP TABLE IF EXISTS kept CASCADE; CREATE TABLE kept (x int); INSERT INTO kept VALUES (1); CREATE OR REPLACE FUNCTION takes() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM nextval('a'); RETURN new; END$$; CREATE TRIGGER takes BEFORE UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION takes(); GRANT ALL ON kept TO PUBLIC")
        self.addCleanup(self.pg.admin("app").query, "DROP TABLE kept CASCADE")
        self.begin()
        self.refused(self.client.simple("SELECT lastval()"))     # from now on who takes a number keeps its server
        self.client.query("UPDATE kept SET x = 2")
        self.other.send(query("SELECT nextval('a')"))
        self.assertEqual("1", self.client.value("SELECT lastval()"))
        self.client.query("DISCARD ALL")
        self.other.reply()

    def who_has_the_lock_of_a_sequence_without_a_number_is_not_told_a_strangers(self):
        self.pg.admin("app").query(
            "ALTER SEQUENCE a OWNER TO app; DROP TABLE IF EXISTS numbered CASCADE; CREATE TABLE numbered (id int DEFAULT nextval('b')); ALTER TABLE numbered OWNER TO app; "
            "ALTER SEQUENCE b OWNER TO app; ALTER SEQUENCE b OWNED BY numbered.id; CREATE OR REPLACE FUNCTION sets_back() RETURNS bigint LANGUAGE sql AS $$SELECT setval('b', 3, false)$$; "
            "CREATE OR REPLACE FUNCTION fails() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('b') / 0; EXCEPTION WHEN division_by_zero THEN NULL; END$$; "
            "CREATE OR REPLACE FUNCTION fails_first() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM setval('b', 0); EXCEPTION WHEN OTHERS THEN NULL; END$$; "
            "CREATE OR REPLACE VIEW shown AS SELECT count(last_value) FROM pg_sequences; CREATE OR REPLACE VIEW all_shown AS SELECT * FROM shown; GRANT ALL ON shown, all_shown TO PUBLIC")
        self.addCleanup(self.pg.admin("app").query, "DROP VIEW shown CASCADE; DROP TABLE numbered CASCADE; DROP FUNCTION sets_back, fails_first, fails")
        for touches in ("SELECT sets_back()", "SELECT fails_first()", "SELECT * FROM shown", "SELECT * FROM all_shown", "ALTER SEQUENCE b INCREMENT 1", "TRUNCATE numbered RESTART IDENTITY",
                        "DO $$BEGIN PERFORM setval('b', 0); EXCEPTION WHEN OTHERS THEN NULL; END$$"):
            with self.subTest(touches=touches):
                self.others_number()
                self.client.query(touches)
                self.refused(self.client.simple("SELECT currval('b')"))

    @on("pgweir", why="it is a setting of ours")
    def what_was_taken_while_nobody_looked_is_nobodys(self):
        self.begin()
        console = self.proxy.console()
        console.query("SET transparency = protocol")
        self.other.query("SELECT nextval('b')")
        console.query("SET transparency = full")
        self.client.query("SELECT nextval('a')")
        self.refused(self.client.simple("SELECT currval('b')"))

    def a_sequence_with_a_cache_tells_everybody_its_own(self):
        """Numbers come in reserves of ten, which is each server's."""
        self.pg.admin("app").query("ALTER SEQUENCE a CACHE 10; DROP TABLE IF EXISTS numbered; CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY (CACHE 10), who text); "
                                   "GRANT ALL ON numbered, numbered_id_seq TO PUBLIC")
        self.addCleanup(self.pg.admin("app").query, "DROP TABLE numbered")
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2, "workers": 1, "sequence_hold": 0})
        clients, taken = [self.proxy.client() for _ in range(2)], []
        for turn in range(12):
            for who, client in enumerate(clients):
                client.query("BEGIN")
                own = client.value("SELECT nextval('a')")
                self.assertEqual(own, client.value("SELECT currval('a')"))
                row = client.value(f"INSERT INTO numbered (who) VALUES ('{who}') RETURNING id")
                self.assertEqual((row, own), tuple(client.query("SELECT lastval(), currval('a')").rows[0]))
                client.query("COMMIT" if turn % 3 else "ROLLBACK")
                self.assertEqual((row, own), tuple(client.query("SELECT currval('numbered_id_seq'), currval('a')").rows[0]))
                taken.append(own)
        self.assertEqual(len(taken), len(set(taken)))
        for client in clients:
            client.query("DISCARD ALL")
            self.refused(client.simple("SELECT lastval()"))

    def the_first_who_asks_in_its_transaction_is_told_its_own(self):
        """In front of others' numbers, and whichever way it says what it wants."""
        for asked in (query("SELECT currval('a')"), query("SELECT lastval()"), query("SELECT pg_catalog.currval('\"public\".A'::regclass)"), query("SELECT currval('a'), lastval()"),
                      parse("", "SELECT currval('a')") + bind("", "") + execute() + SYNC, parse("c", "SELECT currval($1)") + bind("", "c", ["public.a"]) + execute() + SYNC,
                      parse("", "SELECT lastval()") + bind("", "") + execute() + SYNC):
            with self.subTest(asked=asked):
                self.others_number()
                for _ in range(2):
                    self.assertEqual("41", self.client.ask(asked).value)
                    asked = asked if asked[:1] == b"Q" else asked[asked.index(b"B"):]

    def the_first_who_asks_in_its_batch_is_told_its_own(self):
        self.other.query("SELECT setval('a', 40); SELECT nextval('b')")
        reply = self.client.ask(parse("", "SELECT nextval('a')"), bind("", ""), execute(), parse("", "SELECT currval('a')"), bind("", ""), execute(), SYNC)
        self.assertEqual(["41", "41"], [row[0] for row in reply.rows])

    def the_first_who_asks_behind_an_error_of_its_batch_is_told_that(self):
        self.other.query("SELECT setval('a', 40); SELECT nextval('b')")
        asks = [parse("", "SELECT currval('a')"), bind("", ""), execute()]
        reply = self.client.ask(parse("", "SELECT nextval('a')"), bind("", ""), execute(), parse("", "SELECT 1/0"), bind("", ""), execute(), *asks, SYNC)
        self.assertEqual("22012", reply.error.sqlstate)
        self.assertEqual("1", self.client.value("SELECT 1"))

    def who_keeps_its_server_for_something_else_is_told_its_own(self):
        """Taken in a transaction before, where it is not known any more what it took."""
        self.other.query("SELECT setval('a', 40); SELECT nextval('b')")
        self.client.query("SELECT pg_advisory_lock(1)")
        if live.kind != "direct":
            wait_until("it keeps its server", lambda: self.proxy.show("PINS"))
        self.client.query("SELECT nextval('a')")
        self.assertEqual("41", self.client.value("SELECT currval('a')"))
        self.refused(self.client.simple("SELECT currval('b')"))

    def who_asks_where_it_took_one_is_told(self):
        self.other.query("SELECT nextval('a')")
        self.client.query("BEGIN")
        self.client.query("SELECT nextval('a')")
        self.assertEqual("2", self.client.value("SELECT currval('a')"))
        self.client.query("COMMIT; DISCARD SEQUENCES")

    def the_first_who_asks_is_told(self):
        self.client.query("SELECT nextval('a')")
        self.other.query("SELECT 1")
        for _ in range(2):
            self.assertEqual("1", self.client.value("SELECT currval('a')"))
        self.client.query("DISCARD ALL")
        self.refused(self.other.simple("SELECT currval('a')"), self.client.simple("SELECT lastval()"))

    def one_taken_behind_a_discard_stays(self):
        """The answer to DISCARD ALL comes when the number is taken already."""
        self.refused(self.client.simple("SELECT lastval()"))     # from now on who takes a number keeps its server
        self.client.ask(parse("", "DISCARD ALL"), bind("", ""), execute(), parse("", "SELECT nextval('a')"), bind("", ""), execute(), SYNC)
        if live.kind != "direct":
            console = self.proxy.console()
            wait_until("it keeps its server", lambda: console.query("SHOW PINS").rows)
        self.other.send(query("SELECT nextval('a')"))
        self.assertEqual("1", self.client.value("SELECT lastval()"))
        self.client.query("DISCARD ALL")
        self.assertEqual("2", self.other.reply().value)

    def who_asks_waits_for_the_server_where_it_took_one(self):
        """Though another is free."""
        proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2, "workers": 1, "sequence_hold": 0})
        client, other, third = (proxy.client() for _ in range(3))
        for each in (other, third):                     # both servers are there
            each.query("BEGIN")
            each.query("SELECT 1")
        for each in (other, third):
            each.query("COMMIT")
        taken_at = client.query("SELECT pg_backend_pid(), nextval('a')").rows[0][0]
        for each in (other, third):
            each.query("BEGIN")
            each.pid = each.value("SELECT pg_backend_pid()")
        if live.kind != "direct" and taken_at in (other.pid, third.pid):
            there, elsewhere = (other, third) if other.pid == taken_at else (third, other)
            elsewhere.query("COMMIT")
            client.send(query("SELECT pg_backend_pid(), currval('a')"))
            wait_until("it waits", lambda: proxy.pool()["cl_waiting"] == 1)
            there.query("COMMIT")
            self.assertEqual((taken_at, "1"), tuple(client.reply().rows[0]))

    def who_keeps_a_server_for_its_numbers_alone_gives_it_to_those_who_wait(self):
        proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1, "workers": 1, "sequence_hold": 0.2})
        clients = [proxy.client() for _ in range(3)]
        self.refused(clients[0].simple("SELECT lastval()"))      # from now on who takes a number keeps its server
        for turn in range(2):
            for each in clients:
                each.query("INSERT INTO taken DEFAULT VALUES")
        self.assertEqual("6", clients[2].value("SELECT count(*) FROM taken"))
        # Another has taken one there since.
        if live.kind != "direct":
            self.refused(clients[0].simple("SELECT lastval()"))
        # What it keeps for something else as well, nobody gets.
        clients[0].query("SELECT nextval('a'), pg_advisory_lock(1)")
        clients[1].send(query("INSERT INTO taken DEFAULT VALUES"))
        if live.kind != "direct":
            wait_until("one waits", lambda: proxy.pool()["cl_waiting"] == 1 and proxy.pool()["maxwait"] >= 1)
        clients[0].query("SELECT pg_advisory_unlock(1)")
        self.assertEqual("1", clients[0].value("SELECT currval('a')"))
        clients[1].reply()

    @on("pgweir", why="it is about pins")
    def only_applications_that_ask_for_numbers_keep_their_servers(self):
        proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 3, "workers": 1, "sequence_hold": 0})
        asks, again, never = (proxy.client(parameters={"application_name": name}) for name in ("asks", "asks", "never"))
        self.refused(asks.simple("SELECT lastval()"))
        for each in (never, again):
            each.query("SELECT nextval('a')")
        self.assertEqual(1, len(proxy.show("PINS")))
        self.assertEqual("2", again.value("SELECT lastval()"))
        # It begins to.
        never.query("BEGIN")
        never.query("SELECT nextval('a')")
        self.assertEqual("3", never.value("SELECT lastval()"))
        never.query("COMMIT")
        never.query("SELECT nextval('a')")
        wait_until("both keep theirs", lambda: len(proxy.show("PINS")) == 2)
