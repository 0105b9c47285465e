"""The same truths with one worker and with four: limits are exact across threads."""
import os
import threading
import time

import wire
from harness import Gate, Holders, Peak, Pooler, Story, full_only, live, on, takes, wait_until
from test_crosstalk import Crosstalk
from wire import Client, batch, query

WORKERS = (1, 4)


class Workers(Story):
    kinds = ("pgweir",)

    def _each(self, **options):
        """A pooler for each number of workers, one after the other."""
        for count in WORKERS:
            with self.subTest(workers=count):
                pooler = self.pooler(**{**options, "settings": {**options.get("settings", {}), "workers": count}})
                yield pooler
                pooler.stop()

    def _crowd(self, pooler, count, users=("app",), databases=("app",), rounds=5, sql="SELECT pg_sleep(0.01)"):
        def one(number):
            def run():
                with Client(pooler.address, user=users[number % len(users)], database=databases[number // len(users) % len(databases)],
                            timeout=30) as client:
                    for _ in range(rounds):
                        client.query(sql, timeout=30)
            return run
        self.together(*[one(number) for number in range(count)], timeout=50)

    def _fill(self, pooler, servers, count):
        """A crowd of which so many are at PostgreSQL at the same time: none of them goes on before."""
        with Gate(self.pg) as gate:
            self.together(lambda: self._crowd(pooler, count, sql=f"SELECT {gate.passing}"),
                          lambda: (gate.await_waiting(servers), gate.open()), timeout=60)

    def the_number_of_threads_is_what_was_asked_for(self):
        for pooler in self._each():
            threads = lambda: len(os.listdir(f"/proc/{pooler.pid}/task"))
            wanted = int(pooler.settings["workers"])
            wait_until("all threads run", lambda: threads() >= wanted)
            self.assertLessEqual(threads(), wanted + 4)

    def the_pool_size_is_exact(self):
        for pooler in self._each(settings={"default_pool_size": 3}):
            with Peak(self.pg, "app") as peak:
                self._fill(pooler, 3, 40)
            self.assertEqual(3, peak.value)
            self.pg.clear()

    def max_db_connections_is_exact_over_pools(self):
        for pooler in self._each(settings={"default_pool_size": 4, "max_db_connections": 5}):
            with Peak(self.pg, database="app") as peak:
                self._crowd(pooler, 45, users=("app", "other", "third"))
            self.assertLessEqual(peak.value, 5)
            self.pg.clear()

    def max_user_connections_is_exact_over_databases(self):
        for pooler in self._each(settings={"default_pool_size": 4, "max_user_connections": 5}):
            with Peak(self.pg, "app") as peak:
                self._crowd(pooler, 40, databases=("app", "app2"))
            self.assertLessEqual(peak.value, 5)
            self.pg.clear()

    def a_single_server_serves_clients_of_every_worker(self):
        for pooler in self._each(settings={"default_pool_size": 1}):
            clients = [pooler.client() for _ in range(24)]
            for round in range(5):
                for number, client in enumerate(clients):
                    self.assertEqual(f"{round}.{number}", client.value(f"SELECT '{round}.{number}'"))
            self.assertEqual(1, self.pg.backends("app"))
            self.pg.clear()

    def prepared_statements_follow_their_clients_across_workers(self):
        for pooler in self._each(settings={"default_pool_size": 2}):
            clients = [pooler.client() for _ in range(12)]
            for number, client in enumerate(clients):
                client.prepare("mine", f"SELECT {number}, $1::int")
            for round in range(10):
                for number, client in enumerate(clients):
                    self.assertEqual((str(number), str(round)), client.run_prepared("mine", [round]).rows[0])

    def no_one_waits_while_another_workers_server_rests(self):
        for pooler in self._each(settings={"default_pool_size": 2, "query_wait_timeout": 10}):
            clients = [pooler.client() for _ in range(16)]
            for holder in clients[:8]:
                holder.begin()
                for client in clients[8:]:
                    self.assertEqual("1", client.value("SELECT 1"))
                holder.query("COMMIT")

    def a_waiter_of_another_worker_is_not_forgotten(self):
        for pooler in self._each(settings={"default_pool_size": 1, "query_wait_timeout": 20}):
            ending = threading.Event()

            def busy():
                with Client(pooler.address, timeout=20) as client:
                    while not ending.is_set():
                        client.query("SELECT pg_sleep(0.002)", timeout=20)
            threads = [threading.Thread(target=busy, daemon=True) for _ in range(6)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(12):
                    with Client(pooler.address) as client:
                        self.assertEqual("1", client.value("SELECT 1"))
            finally:
                ending.set()
                for thread in threads:
                    thread.join(20)

    def a_cancel_finds_its_client_whichever_worker_it_arrives_at(self):
        for pooler in self._each(settings={"default_pool_size": 10}):
            clients = [pooler.client() for _ in range(8)]
            for client in clients:
                client.send(query("SELECT pg_sleep(600)"))
            wait_until("all run", lambda: self.pg.backends("app", extra="AND state = 'active' AND query LIKE '%pg_sleep(600)%'") == 8)
            for client in clients[::2]:
                client.cancel()
            for client in clients[::2]:
                self.assertEqual("57014", client.reply().error.sqlstate)
            self.assertEqual(4, self.pg.backends("app", extra="AND state = 'active' AND query LIKE '%pg_sleep(600)%'"))
            for client in clients[1::2]:
                client.cancel()
                self.assertEqual("57014", client.reply().error.sqlstate)

    def console_and_reload_speak_for_all_workers(self):
        for pooler in self._each(settings={"default_pool_size": 2}):
            clients = [pooler.client(parameters={"application_name": f"w{n}"}) for n in range(20)]
            for client in clients:
                client.value("SELECT 1")
            names = {row["application_name"] for row in pooler.show("CLIENTS")}
            self.assertLessEqual({f"w{n}" for n in range(20)}, names)
            self.assertEqual("20", next(row for row in pooler.show("STATS") if row["database"] == "app")["total_query_count"])
            console = pooler.console()
            console.query("PAUSE")
            wait_until("all servers are gone", lambda: self.pg.backends("app") == 0)
            for client in clients:
                client.send(query("SELECT 'on'"))
            console.query("RESUME")
            for client in clients:
                self.assertEqual("on", client.reply().value)
            pooler.settings["default_pool_size"] = 4
            pooler.write_files()
            console.query("RELOAD")
            with Peak(self.pg, "app") as peak:
                self._fill(pooler, 4, 20)
            self.assertEqual(4, peak.value)
            self.pg.clear()

    def abandoned_queries_are_counted_across_workers(self):
        for pooler in self._each(settings={"default_pool_size": 4}):
            with Peak(self.pg, "app") as peak:
                for _ in range(30):
                    client = Client(pooler.address)
                    client.send(query("SELECT pg_sleep(3)"))
                    time.sleep(0.005)
                    client.vanish()
                self.assertEqual("1", pooler.client(timeout=20).value("SELECT 1", timeout=20))
            self.assertLessEqual(peak.value, 4)
            self.pg.clear()

    @takes(150)
    def nobody_gets_anybody_elses_answers(self):
        for pooler in self._each(settings={"default_pool_size": 4, "max_client_conn": 2000}):
            with Peak(self.pg, "app", every=0.02) as peak:
                Crosstalk(pooler, 4 if live.quick else 12, tasks=30).run(self)
            self.assertLessEqual(peak.value, 4)
            self.pg.clear()
