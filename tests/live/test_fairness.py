"""A greedy or leaking origin does not starve the others. Told by order and counts, never by the clock."""
import selectors
import statistics
import threading

import wire
from harness import Story, takes, wait_until
from wire import Client, query

GREEDY = {"application_name": "greedy"}
SMALL = {"application_name": "small"}


class Crowd:
    """Clients of one application in a closed loop: each asks again as soon as it is answered. Each lease takes a number
    from a sequence of the database, so that leases can be counted from outside."""

    def __init__(self, pooler, count, source=None, name="greedy", seconds=0.01, **options):
        self.asks = query(f"SELECT nextval('turns'), pg_sleep({seconds})")
        self.selector = selectors.DefaultSelector()
        self.clients = []
        for _ in range(count):
            client = pooler.client(parameters={"application_name": name}, source=source, **options)
            self.clients.append(client)
            self.selector.register(client.socket, selectors.EVENT_READ, client)
        self.answers = 0
        self.ending = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        for client in self.clients:
            client.send(self.asks)
        self.thread.start()
        wait_until("the crowd is under way", lambda: self.answers > len(self.clients) // 4)
        return self

    def run(self):
        while not self.ending:
            for key, _ in self.selector.select(0.1):
                client = key.data
                client.reply()
                self.answers += 1
                client.send(self.asks)

    def __exit__(self, *_):
        self.ending = True
        self.thread.join(20)
        assert not self.thread.is_alive()
        for client in self.clients:
            client.reply()


class Fairness(Story):
    kinds = ("pgweir",)
    measures = True

    def setUp(self):
        super().setUp()
        with self.pg.admin("app") as admin:
            admin.query("DROP SEQUENCE IF EXISTS turns; CREATE SEQUENCE turns; GRANT ALL ON SEQUENCE turns TO PUBLIC")

    def _passed(self, pooler, count, rounds=11, source=None, small_source=None, small_user="app"):
        """How many leases began between the request of a small application's only client and its own: the median."""
        seen = []
        with Crowd(pooler, count, source=source), self.pg.admin("app") as admin:
            small = pooler.client(parameters=SMALL, source=small_source, user=small_user)
            for _ in range(rounds):
                before = int(admin.value("SELECT last_value FROM turns"))
                seen.append(int(small.value("SELECT nextval('turns')")) - before - 1)
        return statistics.median(seen)

    @takes(60)
    def a_small_origin_does_not_wait_for_the_clients_of_a_greedy_one(self):
        pooler = self.pooler(settings={"default_pool_size": 4})
        # What runs, a turn of the other, and what began while the question itself was on its way.
        for count in (40, 200):
            with self.subTest(greedy=count):
                self.assertLessEqual(self._passed(pooler, count), 20)

    @takes(60)
    def without_fairness_it_waits_for_all_of_them(self):
        pooler = self.pooler(settings={"default_pool_size": 4, "origin_fairness": "off"})
        self.assertGreaterEqual(self._passed(pooler, 200), 150)

    @takes(60)
    def a_user_at_an_address_has_the_turns_of_one(self):
        """The greedy ones are many applications at one address; the small one is at another, or another user of the pool."""
        pooler = self.pooler(settings={"default_pool_size": 4, "listen_addr": "*"},
                             databases={"app": "dbname=app user=app"})
        self.assertLessEqual(self._passed(pooler, 100, small_source=("127.0.0.2", 0)), 20)
        self.assertLessEqual(self._passed(pooler, 100, small_user="other"), 20)

    def _shares(self, pooler, source=None):
        """How many leases web got for each of report while both wanted all they could get, once their shares had settled.
        Leases last so long that this process can ask again for all of them: else web's clients wait for us, and not for servers."""
        with Crowd(pooler, 60, name="web", seconds=0.04) as web, Crowd(pooler, 60, name="report", source=source, seconds=0.04) as report:
            wait_until("the shares have settled", lambda: web.answers + report.answers > 500)
            before = web.answers, report.answers
            wait_until("a thousand leases more", lambda: web.answers + report.answers > sum(before) + 1000)
            return (web.answers - before[0]) / (report.answers - before[1])

    @takes(90)
    def an_origin_of_weight_four_gets_four_times_the_share(self):
        pooler = self.pooler(settings={"default_pool_size": 20, "listen_addr": "*", "origin_weights": "web=4, report=1"})
        for source in (None, ("127.0.0.2", 0)):     # in one group, and in two
            with self.subTest(source=source):
                share = self._shares(pooler, source)
                self.assertTrue(2.5 < share < 5.5, f"{share:.2f} leases of web for each of report")
        with pooler.console() as console:
            rows = {(row["application_name"], row["weight"]) for row in pooler.show("ORIGINS") if row["application_name"]}
            self.assertLessEqual({("web", "4"), ("report", "1")}, rows)
            # By RELOAD or SET they hold at once, for clients that are there as well.
            console.query("SET origin_weights = ''")
        share = self._shares(pooler)
        self.assertTrue(0.7 < share < 1.4, f"{share:.2f} leases of web for each of report")

    @takes(60)
    def a_heavy_origin_does_not_keep_a_light_one_waiting(self):
        pooler = self.pooler(settings={"default_pool_size": 4, "origin_weights": "greedy=100"})
        self.assertLessEqual(self._passed(pooler, 200), 20)

    @takes(60)
    def fairness_holds_across_workers(self):
        pooler = self.pooler(settings={"default_pool_size": 4, "workers": 4})
        self.assertLessEqual(self._passed(pooler, 200), 30)


class Limits(Story):
    kinds = ("pgweir",)

    def _reload(self, pooler, **settings):
        pooler.settings.update(settings)
        pooler.write_files()
        with pooler.console() as console:
            console.query("RELOAD")

    def max_origin_servers_keeps_the_others_served(self):
        pooler = self.pooler(settings={"default_pool_size": 4, "max_origin_servers": 2})
        holders = [pooler.client(parameters=GREEDY) for _ in range(2)]
        for holder in holders:
            holder.begin()
        waits = [pooler.client(parameters=GREEDY) for _ in range(2)]
        for client in waits:
            client.send(query("SELECT 'served'"))
        wait_until("two wait", lambda: pooler.pool()["cl_waiting"] == 2)
        small = pooler.client(parameters=SMALL)
        for _ in range(20):
            self.assertEqual("1", small.value("SELECT 1"))
        self.assertEqual(2, pooler.pool()["cl_waiting"])
        # First come, first served, when their own origin gives one back.
        holders[0].query("ROLLBACK")
        self.assertEqual("served", waits[0].reply().value)
        self.assertEqual("served", waits[1].reply().value)
        # A new limit by RELOAD.
        holders[0].begin()
        waits[0].send(query("SELECT 'served'"))
        wait_until("one waits", lambda: pooler.pool()["cl_waiting"] == 1)
        self._reload(pooler, max_origin_servers=3)
        self.assertEqual("served", waits[0].reply().value)

    def max_origin_servers_of_a_database_beats_the_setting(self):
        pooler = self.pooler(settings={"default_pool_size": 3, "max_origin_servers": 1},
                             databases={"app": "dbname=app max_origin_servers=2", "app2": "dbname=app2"})
        holders = [pooler.client(parameters=GREEDY) for _ in range(2)]
        for holder in holders:
            holder.begin()
        others = [pooler.client(parameters=GREEDY, database="app2") for _ in range(2)]
        others[0].begin()
        others[1].send(query("SELECT 'served'"))
        wait_until("one waits", lambda: pooler.pool(database="app2")["cl_waiting"] == 1)
        others[0].query("ROLLBACK")
        self.assertEqual("served", others[1].reply().value)

    def a_client_beyond_max_origin_servers_is_told_why_it_waits(self):
        pooler = self.pooler(settings={"default_pool_size": 2, "max_origin_servers": 1})
        holder, waits, small = pooler.client(parameters=GREEDY), pooler.client(parameters=GREEDY), None
        holder.begin()
        for beside in (False, True):                            # be there a server that rests, or none
            if beside:
                waits, small = pooler.client(parameters=GREEDY), pooler.client(parameters=SMALL)
                pooler.console().query("SET query_wait_timeout = 30")
                small.value("SELECT 1")
            pooler.console().query("SET query_wait_timeout = 2")
            waits.send(query("SELECT 1"))
            error, = waits.expect_closed()
            self.assertEqual(("53300", "query_wait_timeout"), (error.sqlstate, error.message))
            self.assertIn("max_origin_servers", error.fields["D"])

    def max_origin_clients_makes_the_next_login_wait_at_the_door(self):
        pooler = self.pooler(settings={"max_origin_clients": 2, "leak_interval": 0.2})
        inside = [pooler.client(parameters=GREEDY) for _ in range(2)]
        results = []
        waits = threading.Thread(target=lambda: results.append(pooler.client(parameters=GREEDY)), daemon=True)
        waits.start()
        # Others log in meanwhile, also from the same address.
        for number in range(3):
            other = pooler.client(parameters={"application_name": f"other {number}"})
            self.assertEqual("1", other.value("SELECT 1"))
        self.assertEqual([], results)

        def origin(at_door):
            return [row for row in pooler.show("ORIGINS") if (row["clients"], row["at_door"]) == ("2", at_door)]
        self.assertEqual(GREEDY["application_name"], wait_until("it is seen at the door", lambda: origin("1"))[0]["application_name"])
        inside[0].close()
        waits.join(15)
        wait_until("nobody is there any more", lambda: origin("0"))
        self.assertEqual("1", results[0].value("SELECT 1"))

    def a_login_that_waits_for_max_origin_clients_ends_with_client_login_timeout(self):
        pooler = self.pooler(settings={"max_origin_clients": 1})
        kept = pooler.client(parameters=GREEDY)
        pooler.console().query("SET client_login_timeout = 2")
        error = self.refused(pooler.client, parameters=GREEDY, says="client_login_timeout", sqlstate="57P03")
        self.assertIn("max_origin_clients", error.fields["D"])
        self.assertNotIn("max_client_conn", error.fields["D"])
        self.assertEqual("1", kept.value("SELECT 1"))

    def where_all_clients_count_one_too_many_of_an_origin_is_refused(self):
        pooler = self.pooler(settings={"max_origin_clients": 1, "client_limit_counts": "all"})
        kept = pooler.client(parameters=GREEDY)
        self.refused(pooler.client, parameters=GREEDY, says="max_origin_clients", sqlstate="53300")
        self.assertEqual("1", kept.value("SELECT 1"))
        self.assertEqual("1", pooler.client(parameters=SMALL).value("SELECT 1"))

    def logins_of_one_address_keep_its_pace_whoever_they_say_they_are(self):
        """Each says another name, as one who guesses passwords may: to this address they are all the same."""
        pooler = self.pooler(settings={"address_login_rate": 1, "client_login_timeout": 8})
        guesses = []
        for number in range(20):
            guess = Client(pooler.address, login=False, timeout=30)
            self.addCleanup(guess.close)
            guess.send(wire.startup({"user": f"user{number}", "database": "pgbouncer" if number % 3 == 0 else "app", "application_name": f"{number}"}))
            guesses.append(guess)
        pooler.await_log("logins from 127.0.0.1 come faster than address_login_rate: they wait")
        for other in ({"source": ("127.0.0.2", 0)}, {"address": pooler.socket_path}):
            with Client(other.pop("address", pooler.address), timeout=30, **other) as client:
                self.assertEqual("1", client.value("SELECT 1"))
        answers = [guess.read() for guess in guesses]
        late = [wire.fields_of(body) for kind, body in answers if kind == b"E" and b"client_login_timeout" in body]
        self.assertGreater(len(late), 0)
        self.assertEqual({"Logins from this client's address come faster than they may (address_login_rate)."}, {fields["D"] for fields in late})
        self.assertGreater(len(answers) - len(late), 1)     # some were let in to their proof: refused, or asked for it
        with Client(pooler.address, timeout=30) as client:
            self.assertEqual("1", client.value("SELECT 1"))

    def logins_beyond_origin_login_rate_wait_and_those_of_others_do_not(self):
        pooler = self.pooler(settings={"origin_login_rate": 1})
        order = []

        def come(parameters):
            pooler.client(parameters=parameters)
            order.append(parameters["application_name"])
        threads = [threading.Thread(target=come, args=(GREEDY,), daemon=True) for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_until("the first is in", lambda: order)
        come(SMALL)
        for thread in threads:
            thread.join(20)
        # The last of five would be in after four seconds; the other does not stand behind it.
        self.assertEqual(6, len(order))
        self.assertEqual("greedy", order[-1])
        self.assertLess(order.index("small"), 4)
