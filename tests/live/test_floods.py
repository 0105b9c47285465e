"""A client that sends far too much of something: memory and time have a bound, the error is clear and that client's alone, and whoever else is
there is served meanwhile. Plain ./test sends a little of it; `./test floods` a gigabyte of text and a million names."""
import os
import threading

import wire
from harness import Story, helper, takes
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
