"""A client that sends far too much of something: memory and time have a bound, the error is clear and that client's alone, and whoever else is
there is served meanwhile. Plain ./test sends a little of it; `./test floods` a gigabyte of text and a million names."""
import os
import threading

import wire
from harness import Story, helper, takes, wait_until
from wire import SYNC, bind, close, execute, parse, query

BIG = bool(os.environ.get("LIVE_BIG"))
NAMES = 1000000 if BIG else 20000
CEILING = 64 << 20 if BIG else 1 << 20
PATIENCE = 1800 if BIG else 120


class Flood(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 2, "workers": 1, "query_wait_timeout": 60, "client_statements_max": CEILING})
        self.other = self.client()
        self.other.query("SELECT 1")
        self.before = self.proxy.memory_kb()

    @helper
    def client(self, **options):
        client = wire.Client(self.proxy.address, timeout=PATIENCE, **options)
        self.addCleanup(client.close)
        return client

    @helper
    def meanwhile(self, flood, *arguments):
        """Another client asks all the time, and is answered; its answers are its own."""
        trouble, served, stop = [], 0, threading.Event()

        def run():
            try:
                flood(*arguments)
            except BaseException as why:  # told below
                trouble.append(why)
            stop.set()
        thread = threading.Thread(target=run)
        thread.start()
        while not stop.wait(0.01) or not served:
            self.assertEqual(str(served), self.other.value(f"SELECT {served}", timeout=PATIENCE))
            served += 1
        thread.join()
        if trouble:
            raise trouble[0]

    @helper
    def memory_is_bounded(self, bound):
        self.assertLess(self.proxy.memory_kb() - self.before, bound >> 10, "KB more")


class Names(Flood):
    @helper
    def prepare_all(self, client, text, first=0, count=NAMES, portion=1000):
        """In batches; the number of the first that was refused, and what that said."""
        for start in range(first, first + count, portion):
            client.send(*(parse(f"name {number}", text.format(number)) for number in range(start, min(start + portion, first + count))), SYNC)
            reply = client.reply(PATIENCE)
            if reply.errors:
                return start + reply.kinds.count("1"), reply.error
        return None, None

    @takes(PATIENCE)
    def a_million_names_are_an_error_to_that_client_alone(self):
        client = self.client()
        told = []
        self.meanwhile(lambda: told.append(self.prepare_all(client, "SELECT {}")))
        refused, error = told[0]
        self.assertIsNotNone(refused, "all of them were kept")
        self.assertEqual(("ERROR", "53400", "too many prepared statements"), (error.severity, error.sqlstate, error.message))
        self.memory_is_bounded(3 * CEILING)
        # What it has goes on, and it may have another instead.
        self.assertEqual("7", client.run_prepared("name 7").value)
        self.assertEqual(str(refused - 1), client.run_prepared(f"name {refused - 1}").value)
        self.refused(client.run_prepared, f"name {refused}", sqlstate="26000")
        client.ask(close("S", "name 7"), parse("again", "SELECT 8"), SYNC)
        self.assertEqual("8", client.run_prepared("again").value)
        # Anybody else may have as many.
        self.other.prepare("mine", "SELECT 'mine'")
        self.assertEqual("mine", self.other.run_prepared("mine").value)
        client.query("DEALLOCATE ALL")
        refused_then, _ = self.prepare_all(client, "SELECT {}", first=NAMES, count=refused // 2)
        self.assertIsNone(refused_then)

    @takes(PATIENCE)
    def it_is_an_error_of_the_transaction(self):
        client = self.client()
        refused, _ = self.prepare_all(client, "SELECT {}")
        client.query("BEGIN")
        client.query("CREATE TEMP TABLE gone ()")
        self.refused(client.prepare, "one more", "SELECT 'more'", sqlstate="53400")
        self.refused(client.query, "SELECT 1", sqlstate="25P02")
        self.refused(client.prepare, "one more", "SELECT 'more'", sqlstate="25P02")
        self.refused(client.prepare, "one more", "SELEC", sqlstate="42601")
        client.query("ROLLBACK")
        self.refused(client.prepare, "one more", "SELEC", sqlstate="42601")
        client.send(bind("", "name 1"), execute(), parse("one more", "SELECT 'more'"), bind("", "one more"), execute(), SYNC, query("SELECT 'behind'"))
        reply = client.reply()
        self.assertEqual(([("1",)], ["53400"]), (reply.rows, [error.sqlstate for error in reply.errors]))
        self.assertEqual("behind", client.reply().value)
        client.query("DEALLOCATE ALL")
        client.prepare("one more", "SELECT 'more'")
        self.assertEqual("more", client.run_prepared("one more").value)

    @takes(PATIENCE)
    def one_text_under_many_names_is_no_cheaper(self):
        client = self.client()
        told = []
        self.meanwhile(lambda: told.append(self.prepare_all(client, "SELECT 1")))
        self.assertEqual("53400", told[0][1].sqlstate)
        self.memory_is_bounded(3 * CEILING)

    @takes(PATIENCE)
    def a_batch_of_many_parses_holds_up_nobody(self):
        """Nothing ends the batch, so all of them are under way at once."""
        self.proxy.console().query("SET client_statements_max = 0")
        client = self.client()
        count = NAMES // 5
        whole = b"".join(parse(f"name {number}", f"SELECT {number}") for number in range(count)) + SYNC

        def flood():
            sender = threading.Thread(target=client.send, args=(whole,))
            sender.start()
            reply = client.reply(PATIENCE)
            sender.join()
            self.assertEqual((count, []), (reply.kinds.count("1"), reply.errors))
        self.meanwhile(flood)
        self.assertEqual(str(count - 1), client.run_prepared(f"name {count - 1}").value)


    @takes(PATIENCE)
    def a_name_that_is_in_use_sent_again_and_again_holds_up_nobody(self):
        """The server is busy with something else, so that none of them is answered for a while."""
        client = self.client()
        client.prepare("name", "SELECT 'prepared'")
        whole = query("SELECT pg_sleep(1)") + parse("name", "SELECT 'again'") * NAMES + SYNC

        def flood():
            sender = threading.Thread(target=client.send, args=(whole,))
            sender.start()
            self.assertEqual(1, len(client.reply(PATIENCE).rows))
            self.assertEqual(["42P05"], [error.sqlstate for error in client.reply(PATIENCE).errors])
            sender.join()
        self.meanwhile(flood)
        self.memory_is_bounded(32 << 20)
        self.assertEqual("prepared", client.run_prepared("name").value)


class Settings(Flood):
    LENGTH = 200 << 20 if BIG else 20 << 20

    @helper
    def reasons(self):
        return [row["reason"] for row in self.proxy.show("PINS")]

    @takes(PATIENCE)
    def a_long_value_stays_on_its_server_and_is_not_kept(self):
        client = self.client()
        self.meanwhile(client.query, f"SELECT set_config('app.tenant', repeat('x', {self.LENGTH}), false) IS NULL")
        self.memory_is_bounded(4 << 20)
        for _ in range(4):
            self.assertEqual(str(self.LENGTH), client.value("SELECT length(current_setting('app.tenant'))"))
        self.assertIn("a setting that can not be given to another server", self.reasons())
        client.query("SET app.tenant = 'short'")
        wait_until("it is carried again", lambda: not self.reasons())
        self.assertEqual("short", client.value("SHOW app.tenant"))

    @takes(PATIENCE)
    def many_settings_stay_on_their_server(self):
        client = self.client()
        count = 2000 if BIG else 250

        def flood():
            for number in range(0, count, 10):
                client.query("; ".join(f"SET flood.s{each} = 'value {each}'" for each in range(number, number + 10)))
        self.meanwhile(flood)
        self.memory_is_bounded(4 << 20)
        for number in range(0, count, 30):
            self.assertEqual(f"value {number}", client.value(f"SHOW flood.s{number}"))
        self.assertIn("a setting that can not be seen", self.reasons())
        client.close()
        for _ in range(4):
            self.assertIn(self.other.value("SELECT current_setting('flood.s1', true)"), (None, ""))


class Texts(Flood):
    BYTES = 1000 << 20 if BIG else 30 << 20     # PostgreSQL takes less than a gigabyte in one message
    LOOKED_AT = 1000000 if BIG else 100000      # nearly as much as statement_text_max

    @helper
    def send_long(self, client, kind, front, back):
        """A message that is made while it is sent: `front`, a comment, `back`."""
        fill = self.BYTES - len(front) - len(back)
        client.send(kind + (self.BYTES + 4).to_bytes(4, "big") + front)
        while fill > 0:
            client.send(b"x" * min(fill, 1 << 20))
            fill -= 1 << 20
        client.send(back)

    @takes(PATIENCE)
    def a_statement_of_a_gigabyte_is_passed_on_and_not_kept(self):
        client = self.client()

        def flood():
            self.send_long(client, b"Q", b"SELECT 1 /*", b"*/\0")
            self.assertEqual("1", client.reply(PATIENCE).value)
            for name in ("", "long"):
                self.send_long(client, b"P", name.encode() + b"\0SELECT 2 /*", b"*/\0\0\0")
                client.send(bind("", name), execute(), SYNC)
                self.assertEqual("2", client.reply(PATIENCE).value)
                client.ask(close("S", name), SYNC)
        self.meanwhile(flood)
        self.memory_is_bounded(24 << 20)
        self.assertEqual("3", client.value("SELECT 3"))

    @takes(PATIENCE)
    def more_than_postgresql_takes_is_the_end_of_that_client_alone(self):
        """PostgreSQL closes such a session without a word to it."""
        client = self.client()
        client.send(b"Q" + (1 << 30).to_bytes(4, "big") + b"SELECT 1 /*" + b"x" * (1 << 20))
        told = client.expect_closed(PATIENCE)
        self.assertEqual([("FATAL", "08006")], [(error.severity, error.sqlstate) for error in told])
        self.assertEqual("1", self.other.value("SELECT 1"))
        self.assertEqual("1", self.client().value("SELECT 1"))

    @takes(PATIENCE)
    def no_bomb_of_a_text_holds_up_the_look(self):
        """What makes a reader of SQL slow: nesting, ends that never come, words and quotes without number. (Comments that begin without a space between
        them take PostgreSQL itself the square of their number; those the unit test of the look has.)"""
        size = self.LOOKED_AT
        bombs = ["/* " * (size // 6) + "*/ " * (size // 6) + "SELECT 1", "/* " * (size // 3), "SELECT 1 --" + "-" * size, "--\n" * (size // 3), "'" * (size // 2), "SELECT " + "$a" * (size // 2), "SELECT " + "$a$ " * (size // 4),
                 "SELECT $" + "a" * size, "set " * (size // 4), "SELECT 1;" * (size // 4000), "SELECT 1 /*" + "*" * size + "/", "SELECT " + "(" * (size // 2), "\"" * (size // 2), "SELECT e'" + "\\'" * (size // 2), "U&" * (size // 2),
                 "SELECT pg_temp." + "a." * (size // 2), "set_config(" * (size // 12), "listen " * (size // 8), " " * size, ";" * size,
                 "SELECT " + "set_config('a.b', (" * (size // 19), "DO 'a'; " * (size // 8)]
        client = self.client()

        def flood():
            for bomb in bombs:
                client.simple(bomb, timeout=PATIENCE)
                client.send(parse("", bomb), bind("", ""), execute(), SYNC)
                client.reply(PATIENCE)
                client.send(parse("bomb", bomb), SYNC)
                client.reply(PATIENCE)
                client.send(close("S", "bomb"), SYNC)
                client.reply(PATIENCE)
            self.assertEqual("7", client.value("SELECT 7"))
        self.meanwhile(flood)
        self.memory_is_bounded(48 << 20)
