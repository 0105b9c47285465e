"""Clients that LISTEN share one connection to PostgreSQL for each database, and hear what they would hear from PostgreSQL: each
notification once, in order, while idle too, their own before the next ReadyForQuery and under their own process id.

What is PostgreSQL's own behaviour is also asked of it directly."""
import os
import signal
import threading
import time

import wire
from harness import Story, helper, live, on, wait_until
from wire import COPY_DONE, FLUSH, Client, SYNC, bind, copy_data, copy_fail, execute, parse, query


class Heard(Exception):
    pass


class Listening(Story):
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 4, "server_round_robin": 1,
                                           **self.more()})
        self.admin = self.pg.admin("app")

    @helper
    def more(self):
        return {}

    @helper
    def client(self, **options):
        client = self.proxy.client(**options)
        self.addCleanup(client.close)
        return client

    @helper
    def listener(self, *topics, **options):
        client = self.client(**options)
        for topic in topics:
            client.query(f'LISTEN "{topic}"')
        return client

    @helper
    def say(self, topic, payload=""):
        self.admin.query(f"SELECT pg_notify('{topic}', '{payload}')")

    @helper
    def hears(self, client, *expected, timeout=None):
        """The next notifications are these payloads, and nothing else."""
        told = []
        while len(told) < len(expected):
            kind, body = client.read(timeout)
            if kind == b"A":
                told.append(client.notifications[-1][2])
            elif kind != b"N":
                raise Heard(f"{kind} {body}")
        self.assertEqual(list(expected), told)
        del client.notifications[:]

    @helper
    def hears_nothing(self, *clients):
        """What was sent until now would be here when an answer is."""
        self.say("fence", "fence")
        for client in clients:
            client.query("SELECT 1")
            self.assertEqual([], client.notifications)

    @helper
    def until_ready(self, client, *parts):
        """All messages up to ReadyForQuery, notifications among them, as their kinds."""
        if parts:
            client.send(*parts)
        kinds = ""
        while not kinds.endswith("Z"):
            kind, _ = client.read()
            if kind not in b"NS":
                kinds += kind.decode()
        return kinds

    @helper
    def listeners(self):
        return int(self.admin.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgweir listener'"))

    @helper
    def shares(self):
        """Nobody is pinned, and all of it is one connection."""
        if live.kind != "direct":
            wait_until("no pin", lambda: not self.proxy.show("PINS"))
            wait_until("one that listens for all", lambda: self.listeners() == 1)      # one that was left may still be about to go


class WhatIsHeard(Listening):
    def a_listener_hears_while_it_is_idle(self):
        client = self.listener("a")
        self.shares()
        for number in range(3):
            self.say("a", f"heard {number}")
        self.hears(client, "heard 0", "heard 1", "heard 2")
        client.query("UNLISTEN *")
        self.say("a", "not heard")
        self.hears_nothing(client)

    def a_listen_that_was_rolled_back_never_was(self):
        client = self.listener("kept")
        for end in ("ROLLBACK", "ROLLBACK TO s; COMMIT", "SELECT 1/0"):
            client.query("BEGIN; SAVEPOINT s; LISTEN gone; UNLISTEN kept")
            client.simple(end)
            client.simple("ROLLBACK")
            self.say("gone", "not heard")
            self.say("kept", end[:3])
            self.hears(client, end[:3])
        self.assertEqual("kept", client.value("SELECT string_agg(c, ',') FROM pg_listening_channels() AS c"))

    def savepoints_keep_what_they_keep(self):
        client = self.client()
        client.query("BEGIN")
        client.query("LISTEN a")
        client.query("SAVEPOINT s")
        client.query("LISTEN b")
        client.query("ROLLBACK TO s")
        client.query("LISTEN c")
        client.query("COMMIT")
        self.assertEqual("a,c", client.value("SELECT string_agg(c, ',' ORDER BY c) FROM pg_listening_channels() AS c"))
        for topic in "bca":
            self.say(topic, topic)
        self.hears(client, "c", "a")
        self.shares()

    def what_came_before_the_commit_is_not_heard_and_what_came_after_is(self):
        client = self.client()
        client.query("BEGIN")
        client.query("LISTEN a")
        self.say("a", "too early")
        client.query("COMMIT")
        self.say("a", "in time")
        self.hears(client, "in time")

    def its_own_come_before_ready_for_query_and_under_its_own_process_id(self):
        client = self.listener("a")
        for sql, kinds in (("NOTIFY a, 'one'", "CAZ"), ("BEGIN; NOTIFY a, 'one'; NOTIFY a, 'two'; COMMIT", "CCCCAAZ"),
                           ("SELECT pg_notify('a', 'one')", "TDCAZ")):
            self.assertEqual(kinds, self.until_ready(client, query(sql)))
            self.assertTrue(all(note[0] == client.pid for note in client.notifications), client.notifications)
            self.assertEqual("one", client.notifications[0][2])
            del client.notifications[:]
        self.assertEqual("12CAZ", self.until_ready(client, parse("", "NOTIFY a, 'x'"), bind("", ""), execute(), SYNC))
        self.admin.query("""CREATE TABLE IF NOT EXISTS noted (); GRANT ALL ON noted TO PUBLIC;
            CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_notify('a', 'from the trigger'); RETURN NEW; END$$;
            CREATE OR REPLACE TRIGGER note BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION note()""")
        del client.notifications[:]
        self.assertEqual("CAZ", self.until_ready(client, query("INSERT INTO noted DEFAULT VALUES")))
        self.assertEqual([(client.pid, "a", "from the trigger")], client.notifications)

    def its_own_are_heard_when_it_listens_in_the_same_transaction(self):
        client = self.client()
        self.assertEqual("CCAZ", self.until_ready(client, query("LISTEN a; NOTIFY a, 'own'")))
        self.assertEqual([(client.pid, "a", "own")], client.notifications)
        client.query("BEGIN")
        client.query("NOTIFY b, 'own'")
        client.query("LISTEN b")
        self.assertEqual("CAZ", self.until_ready(client, query("COMMIT")))
        self.assertEqual((client.pid, "b", "own"), client.notifications[-1])
        self.shares()

    def its_own_are_heard_though_a_copy_runs_and_more_was_sent(self):
        """What is sent behind the end of a COPY waits, as ever, for what the server says of the Query."""
        client = self.client()
        for end, kinds in ((COPY_DONE, "CCGCCAZ"), (copy_fail("no"), "CCGEZ")):
            client.send(query("CREATE TEMP TABLE c (n int) ON COMMIT DROP; LISTEN a; COPY c FROM STDIN; NOTIFY a, 'own'"), SYNC,
                        copy_data(b"1\n"), end, parse("", "SELECT 1"), SYNC)
            self.assertEqual(kinds, self.until_ready(client))
            self.assertEqual("1Z", self.until_ready(client))
            client.query("UNLISTEN *")

    def what_was_sent_while_a_batch_was_open_comes_before_its_end(self):
        client = self.listener("a")
        client.send(parse("", "SELECT 1"), bind("", ""), execute(), FLUSH)
        self.assertEqual("12DC", client.read_to(b"C").kinds)
        for number in range(50):
            self.say("a", f"{number}")
        client.ask(SYNC)
        self.assertEqual([f"{number}" for number in range(50)], [told[2] for told in client.notifications])

    def a_listen_within_do_or_a_function_is_heard_before_the_next_answer(self):
        self.admin.query("CREATE OR REPLACE FUNCTION hear() RETURNS void LANGUAGE plpgsql AS 'BEGIN LISTEN a; END'")
        for hidden in ("DO $$BEGIN EXECUTE 'LISTEN a'; END$$", "SELECT hear()"):
            client = self.client()
            client.send(query(hidden), query("NOTIFY a, 'own'"))
            client.reply()
            self.assertEqual("CAZ", self.until_ready(client))

    def a_sync_alone_brings_what_was_sent_before_it(self):
        client = self.listener("a")
        for number in range(20):
            self.say("a", f"{number}")
            client.ask(SYNC)
            self.assertEqual(number + 1, len(client.notifications))

    def those_of_others_bear_another_process_id(self):
        """Also those of a client that had the same server before."""
        client, others = self.listener("a"), [self.client() for _ in range(3)]
        for round in range(20):
            for other in others:
                other.query(f"NOTIFY a, '{round}'")
                client.query("SELECT 1")
        wait_until("all are heard", lambda: client.query("SELECT 1") and len(client.notifications) == 60)
        self.assertNotIn(client.pid, [note[0] for note in client.notifications])
        self.assertEqual([str(number // 3) for number in range(60)], [note[2] for note in client.notifications])

    def notifications_wait_for_the_end_of_a_transaction(self):
        client = self.listener("a")
        client.query("BEGIN")
        self.say("a", "one")
        self.say("a", "two")
        time.sleep(0.05)
        self.assertEqual("TDCZ", self.until_ready(client, query("SELECT 1")))
        self.assertEqual("CAAZ", self.until_ready(client, query("COMMIT")))
        self.assertEqual(["one", "two"], [note[2] for note in client.notifications])

    def nobody_sees_our_mark_while_the_catalogue_is_read(self):
        """Which goes on behind the ReadyForQuery of a LISTEN, on its server."""
        client = self.client()
        client.query("SELECT 1")
        time.sleep(10.2)                        # by then it is to be read again, behind the next lease
        client.query("BEGIN")
        client.query("LISTEN topic")
        client.query("COMMIT")
        self.assertEqual([("topic",)], client.query("SELECT pg_listening_channels()").rows)

    def pg_listening_channels_answers_for_the_client(self):
        ask = "SELECT string_agg(c, ',' ORDER BY lower(c)) FROM pg_listening_channels() AS c"
        one, two = self.listener("a", "B c"), self.listener("d")
        for _ in range(6):
            self.assertEqual("a,B c", one.value(ask))
            self.assertEqual("d", two.value(ask))
            self.assertIsNone(self.client().value(ask))
        one.query("UNLISTEN a")
        self.assertEqual("B c", one.value(ask))
        one.query("DISCARD ALL")
        self.assertIsNone(one.value(ask))
        self.say("B c", "not heard")
        self.hears_nothing(one)
        self.shares()

    def a_listen_that_nobody_sees_is_heard_all_the_same(self):
        client = self.listener("old")
        self.admin.query("CREATE OR REPLACE FUNCTION hear() RETURNS void LANGUAGE plpgsql AS 'BEGIN LISTEN hidden; END'")
        client.query("SELECT hear()")
        self.say("hidden", "one")
        self.hears(client, "one")
        self.shares()
        self.say("old", "two")
        self.say("hidden", "three")
        self.hears(client, "two", "three")

    def prepare_transaction_is_refused_after_listen(self):
        client = self.client()
        client.query("BEGIN; LISTEN a")
        self.assertIn(client.simple("PREPARE TRANSACTION 'x'").error.sqlstate, ("0A000", "55000"))
        self.say("a", "not heard")
        self.hears_nothing(client)

    def a_name_is_heard_as_it_is_written(self):
        client = self.client()
        client.query('LISTEN "It\'s ""quoted"""; LISTEN Folded')
        self.say("Folded", "not heard")
        self.admin.query("NOTIFY folded, 'one'")
        self.admin.query("NOTIFY \"It's \"\"quoted\"\"\", 'two'")
        self.hears(client, "one", "two")

    def a_batch_hears_at_each_of_its_ends(self):
        client = self.listener("a")
        one = parse("", "SELECT pg_notify('a', 'x')") + bind("", "") + execute() + SYNC
        client.send(one * 3)
        self.assertEqual(["12DCAZ"] * 3, [self.until_ready(client) for _ in range(3)])

    def nobody_hears_what_it_did_not_ask_for(self):
        clients = [self.listener(f"topic{number % 4}") for number in range(12)]
        quiet = [self.client() for _ in range(4)]
        for number in range(8):
            self.say(f"topic{number % 4}", f"{number}")
        for number, client in enumerate(clients):
            self.hears(client, f"{number % 4}", f"{number % 4 + 4}")
        self.hears_nothing(*clients, *quiet)

    @helper
    def where(self):
        host, port = self.proxy.address
        return {"host": host, "port": port, "user": "app", "dbname": "app"}

    def a_copy_whose_data_was_sent_along_comes_to_its_end(self):
        """A Sync behind Execute is ignored while the server copies, so that nothing answers it."""
        client = self.listener("a")
        client.query("CREATE TABLE sent_along (x text)")
        self.addCleanup(self.admin.query, "DROP TABLE sent_along")
        for number in range(20):
            client.send(parse("", "COPY sent_along FROM STDIN"), bind("", ""), execute(), SYNC, copy_data(b"row\n"), COPY_DONE, SYNC)
            self.assertEqual("12GCZ", self.until_ready(client))
        self.assertEqual("20", client.value("SELECT count(*) FROM sent_along"))

    def drivers_hear(self):
        self.together(self.psycopg, self.asyncpg)

    @helper
    def psycopg(self):
        import psycopg
        with psycopg.connect(**self.where(), autocommit=True, prepare_threshold=None) as connection:
            connection.execute("LISTEN driver")
            told = []
            connection.add_notify_handler(told.append)
            for number in range(20):
                connection.execute("SELECT pg_notify('driver', %s)", (str(number),))
                self.assertEqual(number + 1, len(told))
            self.assertEqual([str(number) for number in range(20)], [note.payload for note in told])
            self.assertEqual({connection.info.backend_pid}, {note.pid for note in told})
            self.say("driver", "while idle")
            self.assertEqual("while idle", next(connection.notifies()).payload)

    @helper
    def asyncpg(self):
        import asyncio

        import asyncpg
        where = self.where()

        async def run():
            told, all_told = [], asyncio.Event()

            def take(_connection, pid, topic, payload):
                told.append((pid, topic, payload))
                if len(told) == 20:
                    all_told.set()
            connection = await asyncpg.connect(host=where["host"], port=where["port"], user="app", database="app", ssl=False)
            await connection.add_listener("async", take)
            for number in range(20):
                await connection.execute(f"NOTIFY async, '{number}'")
            await asyncio.wait_for(all_told.wait(), 60)
            self.assertEqual([(connection.get_server_pid(), "async", str(number)) for number in range(20)], told)
            await connection.close()
        asyncio.run(run())


class Everything(Listening):
    """A speaker says numbers to topics, one after the other; clients come and go among the topics, within transactions and without, notify
    themselves, roll back. What a client hears must be, of what was said while it certainly listened, each number once, in order; and
    nothing that it did not listen to at any moment while that was said."""
    TOPICS = ("red", "green", "blue", "white")
    lossy, lost = False, ()     # the listening connection is ended again and again; when it was away

    @helper
    def more(self):
        return {"workers": 2}

    @helper
    def speak(self):
        with self.proxy.client() as speaker:
            while not self.ending.is_set():
                topic = self.dice[0].choice(self.TOPICS)
                number = len(self.said)
                began = time.monotonic()
                speaker.query(f"SELECT pg_notify('{topic}', '{number}')")
                self.said.append((topic, began, time.monotonic()))
                time.sleep(0.001)

    @helper
    def live_a_life(self, dice):
        """[topic, may hear from, certainly from, certainly to, may hear to] for each time that it listened, and what it heard."""
        spans, open_spans, own = [], {}, 0
        client = self.proxy.client(timeout=30)
        self.addCleanup(client.close)
        if dice in self.dice[1:3]:
            client.query("CREATE TEMP TABLE kept ()")       # and so it keeps its server

        def close(topic, began):
            span = open_spans.pop(topic, None)
            if span:
                span[3:] = began, time.monotonic()

        def change(statements, wanted, commit):
            began = time.monotonic()
            for statement in statements:
                client.query(statement)
            if not commit:
                return
            now = time.monotonic()
            for topic in list(open_spans):
                if topic not in wanted:
                    close(topic, began)
            for topic in wanted - set(open_spans):
                span = [topic, began, now, None, None]
                open_spans[topic] = span
                spans.append(span)

        while not self.ending.is_set():
            deed = dice.randrange(9)
            topic = dice.choice(self.TOPICS)
            listens = set(open_spans)
            if deed < 2:
                change([f"LISTEN {topic}"], listens | {topic}, True)
            elif deed == 2:
                change([f"UNLISTEN {topic}"], listens - {topic}, True)
            elif deed == 3:
                end = dice.choice(("COMMIT", "ROLLBACK"))
                change(["BEGIN", f"LISTEN {topic}", "SELECT 1", end], listens | {topic}, end == "COMMIT")
            elif deed == 4:
                change(["BEGIN", f"UNLISTEN {topic}", "SAVEPOINT s", "UNLISTEN *", "ROLLBACK TO s", "COMMIT"], listens - {topic}, True)
            elif deed == 5 and listens:
                own += 1
                topic = dice.choice(sorted(listens))
                client.query(f"NOTIFY {topic}, 'own {own}'")
                if not self.lossy:
                    self.assertIn((client.pid, topic, f"own {own}"), client.notifications[-200:])
            elif deed == 6:
                change([f"UNLISTEN *; LISTEN {topic}"], {topic}, True)
            elif deed == 7:
                client.send(query("SELECT pg_sleep(0.002)"), wire.batch("SELECT 1") * 2, query("BEGIN; SELECT 1; ROLLBACK"))
                for _ in range(4):
                    self.assertEqual([], client.reply().errors)
            else:
                time.sleep(0.003)
        wait = self.proxy.client()
        for topic in self.TOPICS:
            wait.query(f"NOTIFY {topic}, 'end'")
        wait.close()
        began = time.monotonic()
        for topic in sorted(open_spans):
            while not any(note[1:] == (topic, "end") for note in client.notifications):
                client.read(10)
        for topic in list(open_spans):
            close(topic, began)
        return client, spans, own

    @helper
    def judge(self, client, spans, own):
        heard = [(topic, payload) for _, topic, payload in client.notifications if payload != "end"]
        mine = [payload for pid, _, payload in client.notifications if pid == client.pid]
        if not self.lossy:
            self.assertEqual([f"own {number + 1}" for number in range(own)], mine)
        numbers = [int(payload) for _, payload in heard if payload.isdigit()]
        for before, after in zip(numbers, numbers[1:]):
            if before >= after:
                told = [(number, *self.said[number]) for number in range(after - 1, before + 2)]
                listened = [span for span in spans if span[1] - 0.02 < told[0][2] < span[4] + 0.02]
                at = numbers.index(before)
                self.fail(f"twice, or out of order: {numbers[at - 3:at + 4]} of {told}; it listened {listened}; lost {self.lost}; pid {client.pid}: "
                          f"{[note for note in client.notifications if note[2] in map(str, range(after - 3, before + 4))]}")
        told = {int(payload): topic for topic, payload in heard if payload.isdigit()}
        for number, (topic, began, ended) in enumerate(self.said):
            if number % 50 == 0:
                spans = [span for span in spans if span[4] >= began]
            may = any(span[0] == topic and ended >= span[1] and began <= span[4] for span in spans)
            must = any(span[0] == topic and began > span[2] and ended < span[3] for span in spans)
            if number in told:
                self.assertEqual((topic, True), (told[number], may), number)
            elif must and not (client.notices and any(ended > span[0] - 0.1 and began < span[1] + 0.8 for span in self.lost)):
                around = [(near, self.said[near][0], near in told) for near in range(max(0, number - 4), min(len(self.said), number + 5))]
                listened = [span for span in spans if span[1] - 0.02 < began < span[4] + 0.02]
                self.fail(f"{number} on {topic}, {began} to {ended}, was not heard; around {around}; it listened {listened}")
        return len(told)

    @helper
    def end_when_enough_was_said(self):
        """After six seconds; a loaded machine gets more of them."""
        began = time.monotonic()
        while time.monotonic() < began + 6 or (time.monotonic() < began + 40 and (
                len(self.said) < 200 or (self.lossy and len(self.lost) < 5))):
            time.sleep(0.1)
        self.ending.set()

    def live_all(self, *others):
        import random
        self.said, self.ending = [], threading.Event()
        self.dice = [random.Random(f"{live.seed} {number}") for number in range(9)]
        threading.Thread(target=self.end_when_enough_was_said, daemon=True).start()
        lives = self.together(*others, self.speak, *[lambda dice=dice: self.live_a_life(dice) for dice in self.dice[1:]], timeout=60)
        heard = [self.judge(*life) for life in lives[len(others) + 1:]]
        self.assertGreater(len(self.said), 100)
        self.assertGreater(sum(heard), 100)

    def is_heard_once_in_order_and_by_whom_it_concerns(self):
        self.live_all()

    @on("pgweir")
    def is_missed_only_where_that_is_told(self):
        self.lossy, self.lost = True, []

        def lose():
            with self.pg.admin("app") as admin:
                while not self.ending.wait(1.2):
                    began = time.monotonic()
                    admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgweir listener'")
                    wait_until("it hears again", lambda: self.ending.is_set() or admin.value(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgweir listener' AND query ~ 'LISTEN' AND state = 'idle'") == "1")
                    self.lost.append((began, time.monotonic()))
        self.live_all(lose)
        self.assertGreater(len(self.lost), 3)


class Sharing(Listening):
    kinds = ("pgweir",)

    def many_listeners_are_one_connection(self):
        clients = [self.listener("a", f"own{number}") for number in range(40)]
        self.shares()
        self.say("a", "all")
        self.say("own7", "one")
        for number, client in enumerate(clients):
            self.hears(client, *(["all", "one"] if number == 7 else ["all"]))
        budget = self.proxy.show("BUDGET")[0]
        self.assertEqual(int(budget["ours"]), int(budget["monitor"]) + int(budget["listeners"]) + sum(
            int(budget[word]) for word in ("lent", "idle", "dialing", "cleaning", "moving", "closing", "orphaned")))
        self.assertEqual(1, int(budget["listeners"]))
        servers = int(self.admin.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"))
        self.assertLessEqual(servers, 5 + 1)

    def two_workers_share_it_too(self):
        self.proxy.stop()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 4, "workers": 2})
        clients = [self.listener("a") for _ in range(24)]
        workers = {(client.pid - 1) >> 23 for client in clients}
        self.assertEqual({0, 1}, workers)
        self.shares()
        for number in range(50):
            self.say("a", f"{number}")
        for client in clients:
            self.hears(client, *[f"{number}" for number in range(50)])
        for number, client in enumerate(clients):
            client.query(f"LISTEN own{number}")
            self.assertEqual("CAZ", self.until_ready(client, query(f"NOTIFY own{number}, 'own'")))
            self.assertEqual((client.pid, f"own{number}", "own"), client.notifications[-1])

    def five_hundred_listeners_hear_all_of_it_in_order(self):
        clients = [self.client(timeout=60) for _ in range(500)]
        for number, client in enumerate(clients):
            client.send(query(f"LISTEN a; LISTEN group{number % 10}"))
        for client in clients:
            client.reply()
        self.shares()
        said = []
        for number in range(60):
            topic = "a" if number % 3 == 0 else f"group{number % 10}"
            said.append((topic, f"{number}"))
            self.say(topic, f"{number}")
        for number, client in enumerate(clients):
            self.hears(client, *[payload for topic, payload in said if topic in ("a", f"group{number % 10}")], timeout=60)

    def a_listener_that_is_lost_is_told_and_hears_again(self):
        clients = [self.listener("a") for _ in range(3)]
        busy = self.listener("a")
        busy.query("BEGIN")
        for _ in range(3):
            self.admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgweir listener'")
            for client in clients:
                self.told(client, "notifications may have been missed since 20")
            self.say("a", "again")
            for client in clients:
                self.hears(client, "again")
        self.assertEqual([], busy.notices)
        busy.query("COMMIT")
        self.assertIn("missed since", busy.notices[-1]["M"])
        self.shares()

    def a_limit_for_idle_sessions_that_its_role_has_does_not_end_it(self):
        pg = self.postgres()
        proxy = self.pooler(pg=pg, settings={"pool_mode": "transaction", "default_pool_size": 1})
        client, admin = proxy.client(), pg.admin("app")
        self.addCleanup(admin.close)
        client.query("BEGIN")
        client.query("LISTEN a")        # its server has logged in before the role is given the limit, the one that listens for all does so behind it
        admin.query("ALTER ROLE app SET idle_session_timeout = '300ms'")
        client.query("COMMIT")
        wait_until("it has rested for longer than that", lambda: admin.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgweir listener' AND state = 'idle' AND clock_timestamp() - state_change > '1s'") == "1")
        admin.query("NOTIFY a, 'heard'")
        self.hears(client, "heard")
        self.assertEqual([], client.notices)
        self.assertEqual([], proxy.show("PINS"))

    @helper
    def told(self, client, words):
        kind, _ = client.read()
        self.assertEqual(b"N", kind)
        notice = client.notices.pop()
        self.assertEqual(("WARNING", "01000"), (notice["S"], notice["C"]))
        self.assertIn(words, notice["M"])

    def whoever_does_not_read_is_told_how_many_were_dropped(self):
        deaf, other = self.listener("a"), self.listener("a")
        payload, count = "x" * 7000, 1500
        heard = threading.Thread(target=lambda: [other.read(60) for _ in range(count)])
        heard.start()
        for number in range(count):
            self.say("a", f"{number:5}{payload}")
        heard.join(60)
        self.assertEqual(count, len(other.notifications))
        deaf.socket.settimeout(30)
        while not deaf.notices:
            deaf.read(30)
        dropped = int(deaf.notices[0]["M"].split()[0])
        self.assertEqual(f"{dropped} notifications were dropped", deaf.notices[0]["M"])
        self.assertEqual([f"{number:5}" for number in range(count - dropped)], [note[2][:5] for note in deaf.notifications])
        self.assertGreater(dropped, 0)
        del deaf.notifications[:]
        self.say("a", "once more")
        self.hears(deaf, "once more")

    def what_is_too_much_for_a_transaction_is_counted(self):
        client, witness = self.listener("a"), self.listener("a")
        client.query("BEGIN")
        for number in range(60):
            payload = f"{number:3}" + "x" * 7000
            self.say("a", payload)
            self.hears(witness, payload, timeout=30)        # so the shared connection has read it
        client.query("COMMIT")
        self.say("a", "end")
        while not client.notifications or client.notifications[-1][2] != "end":
            client.read()
        dropped = sum(int(notice["M"].split()[0]) for notice in client.notices if "dropped" in notice["M"])
        heard = [note[2][:3] for note in client.notifications[:-1]]
        self.assertEqual(60, dropped + len(heard))
        self.assertEqual(sorted(heard), heard)
        self.assertGreater(dropped, 0)

    def all_clients_together_have_a_ceiling(self):
        self.proxy.console().query("SET listen_queue_max = 100000")
        self.proxy.console().query("SET default_pool_size = 10")
        clients, witness = [self.listener("a") for _ in range(6)], self.listener("a")
        for client in clients:
            client.query("BEGIN")
        for number in range(20):
            payload = f"{number:3}" + "x" * 7000
            self.say("a", payload)
            self.hears(witness, payload, timeout=30)
        for client in clients:
            client.query("COMMIT")
        self.say("a", "end")
        kept = 0
        for client in clients:
            while not client.notifications or client.notifications[-1][2] != "end":
                client.read(30)
            notices = [notice for notice in client.notices if "dropped" in notice["M"]]
            self.assertIn("listen_queue_max", notices[0]["D"])
            heard = [note[2][:3] for note in client.notifications[:-1]]
            self.assertEqual(20, len(heard) + sum(int(notice["M"].split()[0]) for notice in notices))
            self.assertEqual([f"{number:3}" for number in range(len(heard))], heard)
            kept += len(heard)
        # Fourteen, and it may be passed by one for each client: two workers may find the same room at once.
        self.assertTrue(6 <= kept <= 14 + len(clients), f"{kept} of 7 kB in 100 kB")
        self.hears(witness, "end")
        # It is given back: with clients who heard it all, and with those who left.
        for way in ("COMMIT", "close"):
            for client in clients:
                del client.notifications[:], client.notices[:]
            for client in clients[:3]:
                client.query("BEGIN")
            for number in range(3):
                payload = f"{way}{number}" + "x" * 7000
                self.say("a", payload)
                self.hears(witness, payload, timeout=30)
            for client in clients[:3]:
                if way == "close":
                    client.close()
                    continue
                client.query("COMMIT")
                while len(client.notifications) < 3:
                    client.read(30)
                self.assertEqual([], client.notices)
        last = clients[3]
        while len(last.notifications) < 6:
            last.read(30)
        del last.notifications[:]
        last.query("BEGIN")
        for number in range(12):
            payload = f"{number}" + "x" * 7000
            self.say("a", payload)
            self.hears(witness, payload, timeout=30)
        last.query("COMMIT")
        while len(last.notifications) < 12:
            last.read(30)
        self.assertEqual([], last.notices)

    def a_server_that_is_given_back_listens_to_nothing(self):
        client = self.listener("a")
        client.query("SELECT 1")
        for end in ("close", "drop", "vanish"):
            gone = self.listener("a", "b")
            gone.query("BEGIN; LISTEN c")
            getattr(gone, end)()
        others = [self.client() for _ in range(4)]
        for other in others:
            other.query("BEGIN")
            self.assertEqual([], other.query("SELECT pg_listening_channels()").rows)
        self.say("a", "heard")
        self.say("b", "not heard")
        for other in others:
            other.query("COMMIT")
        self.hears(client, "heard")
        self.hears_nothing(client, *others)

    def without_an_ear_the_client_keeps_its_server(self):
        self.proxy.console().query("SET shared_listen = 0")
        client = self.client()
        self.assertEqual("CCAZ", self.until_ready(client, query("LISTEN a; NOTIFY a, 'own'")))
        self.assertEqual((client.pid, "a", "own"), client.notifications.pop())
        wait_until("a pin", lambda: [row["reason"] for row in self.proxy.show("PINS")] == ["LISTEN"])
        self.assertEqual([("a",)], client.query("SELECT pg_listening_channels()").rows)
        self.assertEqual(0, self.listeners())
        self.say("a", "heard")
        self.hears(client, "heard")
        self.proxy.console().query("SET shared_listen = 1")
        client.query("LISTEN b")
        self.shares()
        self.say("b", "one")
        self.say("a", "two")
        self.hears(client, "one", "two")

    def a_client_that_keeps_its_server_for_another_reason_shares_too(self):
        client = self.client()
        client.query("CREATE TEMP TABLE mine ()")
        client.query("LISTEN a")
        self.assertEqual([("a",)], client.query("SELECT pg_listening_channels()").rows)
        self.assertEqual(["a temporary table or other temporary object"], [row["reason"] for row in self.proxy.show("PINS")])
        self.say("a", "one")
        self.hears(client, "one")
        self.assertEqual("CAZ", self.until_ready(client, query("NOTIFY a, 'own'")))
        client.query("LISTEN b; UNLISTEN a")
        self.say("a", "not heard")
        self.say("b", "two")
        del client.notifications[:]
        self.hears(client, "two")
        client.query("DROP TABLE mine")
        self.shares()
        self.say("b", "three")
        self.hears(client, "three")

    def more_topics_than_are_shared_keep_the_server(self):
        client = self.client()
        client.query(";".join(f"LISTEN t{number}" for number in range(257)))
        self.say("t256", "heard")
        self.hears(client, "heard")
        self.assertEqual(["LISTEN"], [row["reason"] for row in self.proxy.show("PINS")])
        client.query("UNLISTEN t0")
        self.shares()
        self.say("t256", "again")
        self.hears(client, "again")

    def what_is_in_another_encoding_is_not_shared(self):
        first = self.listener("a", parameters={"client_encoding": "LATIN1"})
        self.shares()
        other = self.listener("a", parameters={"client_encoding": "UTF8"})
        self.assertEqual(["LISTEN"], [row["reason"] for row in self.proxy.show("PINS")])
        self.say("a", "heard")
        self.hears(first, "heard")
        self.hears(other, "heard")
        first.query("UNLISTEN a")
        self.shares()
        self.say("a", "again")
        self.hears(other, "again")

    def another_encoding_waits_for_no_answer_to_those_who_left(self):
        first = self.listener("a", parameters={"client_encoding": "LATIN1"})
        self.shares()
        slow = int(self.admin.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir listener'"))
        os.kill(slow, signal.SIGSTOP)
        try:
            first.close()
            wait_until("it is gone", lambda: not any(row["database"] == "app" for row in self.proxy.show("CLIENTS")))
            other = self.listener("b", parameters={"client_encoding": "UTF8"})
        finally:
            os.kill(slow, signal.SIGCONT)
        wait_until("the one before is gone", lambda: self.listeners() == 1)
        self.shares()
        self.say("b", "heard")
        self.hears(other, "heard")

    def one_that_can_not_log_in_leaves_clients_with_their_servers(self):
        self.admin.query("ALTER ROLE third CONNECTION LIMIT 1")
        self.addCleanup(self.admin.query, "ALTER ROLE third CONNECTION LIMIT -1")
        client = self.client(user="third")
        client.query("LISTEN a")
        self.assertEqual(["LISTEN"], [row["reason"] for row in self.proxy.show("PINS")])
        self.say("a", "heard")
        self.hears(client, "heard")
        other = self.listener("a")
        client.query("LISTEN a")
        self.shares()
        self.say("a", "again")
        self.hears(client, "again")
        self.hears(other, "again")

    def one_that_could_not_log_in_tries_again_by_itself(self):
        """Nobody says anything more: the client is idle, and nobody else listens."""
        self.admin.query("ALTER ROLE third CONNECTION LIMIT 1")
        self.addCleanup(self.admin.query, "ALTER ROLE third CONNECTION LIMIT -1")
        def refused():
            return self.pg.log_path.read_text(errors="replace").count('too many connections for role "third"')

        before, client = refused(), self.client(user="third")
        client.query("LISTEN a")
        self.assertEqual(["LISTEN"], [row["reason"] for row in self.proxy.show("PINS")])
        wait_until("it was refused again", lambda: refused() >= before + 3)
        self.admin.query("ALTER ROLE third CONNECTION LIMIT -1")
        self.shares()
        self.say("a", "heard")
        self.hears(client, "heard")

    def the_connection_goes_a_while_after_the_last_listener(self):
        client = self.listener("a")
        self.assertEqual(1, self.listeners())
        query_of = "SELECT query FROM pg_stat_activity WHERE application_name = 'pgweir listener'"
        client.close()
        wait_until("nobody is heard for", lambda: "UNLISTEN \"a\"" in self.admin.value(query_of))


class Moving(Listening):
    """A RELOAD leads a database elsewhere: those who LISTEN there go along."""
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.there = self.pg.admin("app2")

    @helper
    def move(self, name="app", to="dbname=app2"):
        self.proxy.databases[name] = to
        self.proxy.write_files()
        self.proxy.console().query("RELOAD")

    @helper
    def say_there(self, topic, payload=""):
        self.there.query(f"SELECT pg_notify('{topic}', '{payload}')")

    @helper
    def warned(self, client):
        """Its next message is the WARNING about what it may have missed."""
        kind, _ = client.read(30)
        self.assertEqual(b"N", kind)
        notice = client.notices.pop()
        self.assertEqual(("WARNING", "01000"), (notice["S"], notice["C"]))
        self.assertIn("notifications may have been missed since 20", notice["M"])
        self.assertIn("another", notice["D"])

    @helper
    def listeners_of(self, database):
        return int(self.admin.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgweir listener' "
                                    f"AND datname = '{database}'"))

    def whoever_is_idle_hears_there_after_a_warning(self):
        clients = [self.listener("a") for _ in range(3)]
        self.move()
        for client in clients:
            self.warned(client)
        self.say("a", "not heard")
        self.say_there("a", "heard")
        for client in clients:
            self.hears(client, "heard")
        wait_until("the old connection is closed", lambda: self.listeners_of("app") == 0, timeout=90)
        self.assertEqual(1, self.listeners_of("app2"))

    def one_topic_more_does_not_wait_for_ever(self):
        client = self.listener("a")
        self.move()
        client.query("LISTEN b", timeout=30)
        wait_until("it is there", lambda: client.value("SELECT current_database()") == "app2")
        wait_until("the warning", lambda: client.query("SELECT 1") and client.notices)
        client.query("LISTEN c", timeout=30)
        self.say_there("b", "one")
        self.say_there("a", "two")
        self.hears(client, "one", "two")
        self.assertEqual("CAZ", self.until_ready(client, query("NOTIFY a, 'own'")))
        self.assertEqual((client.pid, "a", "own"), client.notifications[-1])
        self.shares()

    def a_transaction_is_first_brought_to_its_end(self):
        client = self.listener("a")
        client.query("BEGIN")
        client.query("LISTEN b")
        self.move()
        self.say("a", "still there")
        self.assertEqual("app", client.value("SELECT current_database()"))
        client.query("COMMIT")
        self.assertEqual(["still there"], [note[2] for note in client.notifications])
        del client.notifications[:]
        self.warned(client)
        self.say_there("b", "heard")
        self.hears(client, "heard")
        self.shares()

    def what_is_not_moved_hears_on_without_a_word(self):
        self.proxy.databases["stays"] = "dbname=app"
        self.move("app", "dbname=app")
        stays, moves = self.listener("a", database="stays"), self.listener("a")
        self.shares()
        self.move()
        self.warned(moves)
        self.say("a", "here")
        self.say_there("a", "there")
        self.hears(stays, "here")
        self.hears(moves, "there")
        self.assertEqual([], stays.notices)

    def one_database_under_two_names_tells_nothing_twice(self):
        """The connection to which it is moved has still to say what the other has said already."""
        other = f"host=localhost port={self.pg.port} dbname=app"
        self.move("stays", other)
        stays = self.listener("a", database="stays")
        slow = int(self.admin.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir listener'"))
        moves = self.listener("a")
        self.assertEqual(2, self.listeners())
        os.kill(slow, signal.SIGSTOP)
        try:
            self.say("a", "once")
            self.hears(moves, "once")
            self.move("app", other)
            wait_until("the connection that it leaves is closed", lambda: self.listeners() == 1)
        finally:
            os.kill(slow, signal.SIGCONT)
        self.warned(moves)
        self.say("a", "then")
        self.hears(moves, "then")
        self.hears(stays, "once", "then")

    def there_and_back_is_two_warnings(self):
        client = self.listener("a")
        for there, say in (("app2", self.say_there), ("app", self.say), ("app2", self.say_there)):
            self.move(to=f"dbname={there}")
            self.warned(client)
            say("a", there)
            self.hears(client, there)

    def with_two_workers_too(self):
        self.proxy.stop()
        self.proxy = self.pooler(settings={"pool_mode": "transaction", "default_pool_size": 4, "workers": 2})
        clients = [self.listener("a") for _ in range(16)]
        self.assertEqual({0, 1}, {(client.pid - 1) >> 23 for client in clients})
        self.move()
        for client in clients:
            self.warned(client)
            client.query("LISTEN b", timeout=30)
        self.say_there("b", "heard")
        for client in clients:
            self.hears(client, "heard")

    def whoever_is_led_to_several_hosts_hears_its_own_from_the_first_statement_on(self):
        old, new = self.listener("a"), self.listener("a")
        self.move(to=f"host=127.0.0.1,127.0.0.1 port={self.pg.port},{self.pg.port} dbname=app2")
        for client in (old, new):
            self.warned(client)
        self.assertEqual("CAZ", self.until_ready(old, query("NOTIFY a, 'own'")))
        self.assertEqual((old.pid, "a", "own"), old.notifications.pop())
        self.assertEqual("CZ", self.until_ready(new, query("LISTEN b")))
        self.assertEqual("CAZ", self.until_ready(new, query("NOTIFY b, 'own'")))
        self.assertEqual((new.pid, "b", "own"), new.notifications.pop())
        self.say_there("a", "heard")
        for client in (old, new):
            self.hears(client, "heard")

    def who_is_led_to_several_hosts_keeps_its_server_from_the_next_statement_on(self):
        client = self.listener("a")
        self.move(to=f"host=127.0.0.1,127.0.0.1 port={self.pg.port},{self.pg.port} dbname=app2")
        self.warned(client)
        client.query("SELECT 1", timeout=30)
        wait_until("a pin", lambda: [row["reason"] for row in self.proxy.show("PINS")] == ["LISTEN"])
        del client.notices[:]
        self.say_there("a", "heard")
        self.hears(client, "heard")
        client.query("UNLISTEN a")
        wait_until("no pin", lambda: not self.proxy.show("PINS"))
