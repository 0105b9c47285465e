"""BEGIN takes no server: it goes with the first statement. What clients hear is what PostgreSQL says, and is compared with that."""
import threading
import time

import wire
from harness import Story, helper, live, on, wait_until
from wire import SYNC, batch, bind, describe, execute, parse, query


class Begin_story(Story):
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 1})
        self.client = self.proxy.client()

    @helper
    def lent(self):
        return int(self.proxy.pool()["sv_active"])

    @helper
    def warned(self):
        states, self.client.notices = [notice["C"] for notice in self.client.notices], []
        return states

    @helper
    def takes_nothing(self):
        if live.kind != "direct":
            self.assertEqual(0, self.lent())

    @helper
    def holds_one(self):
        if live.kind != "direct":
            wait_until("it holds the server", lambda: self.lent() == 1)


class Begin(Begin_story):
    def it_is_answered_and_takes_no_server(self):
        for begin, tag in (("BEGIN", "BEGIN"), ("begin;", "BEGIN"), (" Begin  Work ; ", "BEGIN"),
                           ("START TRANSACTION", "START TRANSACTION"), ("begin transaction", "BEGIN")):
            reply = self.client.simple(begin)
            self.assertEqual(([tag], "T"), (reply.tags, reply.status))
            self.takes_nothing()
            for end, said in (("COMMIT", "COMMIT"), ("end work", "COMMIT"), ("ROLLBACK;", "ROLLBACK"),
                              ("abort transaction", "ROLLBACK")):
                reply = self.client.simple(end)
                self.assertEqual(([said], "I"), (reply.tags, reply.status))
                self.takes_nothing()
                self.client.simple(begin)
            self.client.simple("COMMIT")

    def two_begin_where_one_server_is(self):
        with self.proxy.client() as other:
            self.client.query("BEGIN")
            other.query("BEGIN")
            self.assertEqual("1", self.client.value("SELECT 1"))
            self.holds_one()
            self.client.query("COMMIT")
            self.assertEqual("2", other.value("SELECT 2"))
            self.holds_one()
            other.query("COMMIT")
        self.takes_nothing()

    def the_transaction_is_one(self):
        self.client.query("CREATE TEMP TABLE begun (n int)")
        self.client.query("BEGIN")
        self.client.query("INSERT INTO begun VALUES (1)")
        self.client.query("ROLLBACK")
        self.assertEqual("0", self.client.value("SELECT count(*) FROM begun"))
        self.client.query("BEGIN")
        self.client.query("SET LOCAL work_mem = '7MB'")
        self.assertEqual("7MB", self.client.value("SHOW work_mem"))
        self.client.query("INSERT INTO begun VALUES (1)")
        self.client.query("COMMIT")
        self.assertEqual(("1", "4MB"), (self.client.value("SELECT count(*) FROM begun"), self.client.value("SHOW work_mem")))
        self.client.query("DROP TABLE begun")

    def what_fails_fails_as_it_would(self):
        self.client.query("BEGIN")
        reply = self.client.simple("SELECT 1/0")
        self.assertEqual(("22012", "E"), (reply.error.sqlstate, reply.status))
        self.assertEqual("25P02", self.client.simple("SELECT 1").error.sqlstate)
        reply = self.client.simple("COMMIT")
        self.assertEqual((["ROLLBACK"], "I"), (reply.tags, reply.status))
        self.client.query("BEGIN")
        self.assertEqual("25001", self.client.simple("VACUUM").error.sqlstate)
        self.assertEqual("E", self.client.simple("SELECT 1").status)
        self.client.query("ROLLBACK")
        self.client.query("BEGIN")
        reply = self.client.simple("BEGIN")
        self.assertEqual((["25001"], "T"), (self.warned(), reply.status))
        self.client.query("COMMIT")
        reply = self.client.simple("COMMIT")
        self.assertEqual((["25P01"], "I"), (self.warned(), reply.status))
        self.client.query("BEGIN")
        reply = self.client.simple("COMMIT AND CHAIN")
        self.assertEqual((["COMMIT"], "T"), (reply.tags, reply.status))
        self.client.query("ROLLBACK")

    def what_is_more_than_begin_goes_at_once(self):
        self.client.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
        self.holds_one()
        self.assertEqual("serializable", self.client.value("SHOW transaction_isolation"))
        self.client.query("COMMIT")
        reply = self.client.simple("BEGIN; SELECT 1")
        self.assertEqual((["BEGIN", "SELECT 1"], "T"), (reply.tags, reply.status))
        self.holds_one()
        self.client.query("COMMIT")
        self.assertEqual("42601", self.client.simple("BEGIN nonsense").error.sqlstate)
        self.assertEqual("42601", self.client.simple("START WORK").error.sqlstate)

    def several_messages_at_once_are_answered_in_their_order(self):
        self.client.send(query("BEGIN"), query("SELECT 1"), query("COMMIT"), query("BEGIN"), query("COMMIT"), query("SELECT 2"))
        told = [self.client.reply() for _ in range(6)]
        self.assertEqual(["T", "T", "I", "T", "I", "I"], [reply.status for reply in told])
        self.assertEqual([["BEGIN"], ["SELECT 1"], ["COMMIT"], ["BEGIN"], ["COMMIT"], ["SELECT 1"]],
                         [reply.tags for reply in told])

    def a_sync_or_nothing_in_between_changes_nothing(self):
        self.client.query("BEGIN")
        self.assertEqual("T", self.client.ask(SYNC).status)
        self.takes_nothing()
        self.assertEqual("T", self.client.simple("").status)
        self.client.query("COMMIT")

    def a_client_that_goes_leaves_nothing(self):
        self.client.query("BEGIN")
        self.client.close()
        with self.proxy.client() as other:
            self.assertEqual("I", other.simple("SELECT 1").status)


class Extended(Begin_story):
    def a_batch_that_is_begin_takes_no_server(self):
        for middle in ([], [describe("P", "")]):
            reply = self.client.ask(parse("", "BEGIN"), bind("", ""), *middle, execute(), SYNC)
            self.assertEqual((["BEGIN"], "T"), (reply.tags, reply.status))
            self.assertEqual("12" + "n" * len(middle) + "CZ", reply.kinds)
            self.takes_nothing()
            self.assertEqual("5", self.client.extended("SELECT $1::int", ("5",)).value)
            self.holds_one()
            reply = self.client.ask(parse("", "COMMIT"), bind("", ""), *middle, execute(), SYNC)
            self.assertEqual((["COMMIT"], "I"), (reply.tags, reply.status))
            self.client.ask(parse("", "BEGIN"), bind("", ""), execute(), SYNC)
            reply = self.client.ask(parse("", "ROLLBACK"), bind("", ""), *middle, execute(), SYNC)
            self.assertEqual((["ROLLBACK"], "I"), (reply.tags, reply.status))
            self.takes_nothing()

    def the_unnamed_statement_is_what_it_would_be(self):
        self.client.ask(parse("", "BEGIN"), bind("", ""), execute(), SYNC)
        reply = self.client.ask(bind("", ""), execute(), SYNC)
        self.assertEqual((["25001"], ["BEGIN"], "T"), (self.warned(), reply.tags, reply.status))
        self.client.query("COMMIT")
        self.client.ask(parse("", "SELECT 1"), SYNC)
        self.client.query("BEGIN")
        self.assertEqual("26000", self.client.ask(bind("", ""), execute(), SYNC).error.sqlstate)
        self.client.query("ROLLBACK")

    def a_batch_that_is_more_goes_at_once(self):
        reply = self.client.ask(parse("", "BEGIN"), bind("", ""), execute(), parse("", "SELECT 7"), bind("", ""), execute(), SYNC)
        self.assertEqual((["BEGIN", "SELECT 1"], "T"), (reply.tags, reply.status))
        self.holds_one()
        self.client.query("COMMIT")
        reply = self.client.ask(parse("named", "BEGIN"), bind("", "named"), execute(), SYNC)
        self.assertEqual("T", reply.status)
        self.holds_one()
        self.client.query("COMMIT")
        self.assertEqual("08P01", self.client.ask(parse("", "BEGIN"), bind("", "", ("1",)), execute(), SYNC).error.sqlstate)

    def a_batch_in_pieces_is_the_same(self):
        whole = parse("", "BEGIN") + bind("", "") + execute() + SYNC
        for cut in range(1, len(whole)):
            self.client.send(whole[:cut])
            time.sleep(0.001)
            self.client.send(whole[cut:])
            reply = self.client.reply()
            self.assertEqual((["BEGIN"], "T"), (reply.tags, reply.status))
            self.assertEqual("3", self.client.value("SELECT 3"))
            self.client.query("COMMIT")

    def drivers_need_not_know(self):
        import psycopg
        import psycopg2
        host, port = self.proxy.address
        with psycopg.connect(host=host, port=port, user="app", dbname="app") as connection:
            self.assertEqual((4,), connection.execute("SELECT 4").fetchone())
            connection.commit()
            with connection.transaction():
                connection.execute("CREATE TEMP TABLE begun (n int) ON COMMIT DROP")
                connection.execute("INSERT INTO begun VALUES (%s)", (1,))
            connection.rollback()
        connection = psycopg2.connect(host=host, port=port, user="app", dbname="app")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 5")
            self.assertEqual((5,), cursor.fetchone())
        connection.close()


class Limits(Begin_story):
    @on("pgweir", why="it waits for a server")
    def a_cancel_while_it_waits_fails_the_transaction(self):
        self.client.query("BEGIN")
        with self.proxy.client() as holder:
            holder.query("BEGIN")
            holder.query("SELECT 1")
            self.client.send(query("SELECT 2"))
            wait_until("it waits", lambda: int(self.proxy.pool()["cl_waiting"]) == 1)
            self.client.cancel()
            reply = self.client.reply()
            self.assertEqual(("57014", "E"), (reply.error.sqlstate, reply.status))
            holder.query("COMMIT")
        self.assertEqual(("25P02", "E"), (lambda reply: (reply.error.sqlstate, reply.status))(self.client.simple("SELECT 3")))
        reply = self.client.simple("COMMIT")
        self.assertEqual((["ROLLBACK"], "I"), (reply.tags, reply.status))
        self.assertEqual("4", self.client.value("SELECT 4"))

    def the_clients_own_limit_of_idling_is_kept(self):
        self.client.query("SET idle_in_transaction_session_timeout = '200ms'")
        self.client.query("BEGIN")
        self.assertEqual("25P03", self.client.read_to(b"E").error.sqlstate)
        with self.proxy.client(parameters={"options": "-c idle_in_transaction_session_timeout=200"}) as other:
            other.query("BEGIN")
            self.assertEqual("25P03", other.read_to(b"E").error.sqlstate)

    @on("pgweir", why="it is a setting of ours")
    def ours_is_kept_too(self):
        proxy = self.pooler(settings={"pool_mode": "transaction", "idle_transaction_timeout": "0.3"})
        client = proxy.client()
        client.query("BEGIN")
        self.assertEqual("25P03", client.read_to(b"E").error.sqlstate)
        client.expect_closed()

    @on("pgweir", why="they are settings of ours")
    def elsewhere_it_goes_at_once(self):
        proxy = self.pooler(settings={"pool_mode": "transaction"},
                            databases={"app": "dbname=app transparency=off", "app2": "dbname=app2 pool_mode=session"})
        for database in ("app", "app2"):
            with proxy.client(database=database) as client:
                client.query("BEGIN")
                self.assertEqual(1, int(proxy.pool(database=database)["sv_active"]))
                client.query("COMMIT")

    def many_at_once_share_one_server(self):
        def work(number):
            with self.proxy.client() as client:
                for _ in range(40):
                    client.query("BEGIN")
                    if client.value(f"SELECT {number}") != str(number):
                        failures.append(number)
                    client.query("COMMIT")
        failures = []
        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual([], failures)
