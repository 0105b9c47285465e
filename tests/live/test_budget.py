"""What PostgreSQL has room for: who else is there, how much is left for us, and that nobody hears 53300 while a server of his pool lives."""
import os
import re
import socket
import subprocess
import sys
import threading
import time

import wire
from harness import Peak, Story, full_only, live, on, takes, wait_until
from wire import Client

RESERVED = 3            # superuser_reserved_connections of every PostgreSQL here
MONITORED = {"monitor_user": "third", "monitor_interval": "0.3", "query_wait_timeout": 30, "default_pool_size": 20}


def numbers(row):
    return {key: int(value) if value and value.lstrip("-").isdigit() else value for key, value in row.items()}


def budget(pooler, pg=None):
    for row in map(numbers, pooler.show("BUDGET")):
        if pg is None or row["port"] == pg.port:
            return row
    raise AssertionError("no such PostgreSQL in SHOW BUDGET")


def read(pooler, pg=None):
    """The row of SHOW BUDGET once a reading is in it."""
    wait_until("the monitor has read", lambda: budget(pooler, pg)["age_us"] is not None)
    return budget(pooler, pg)


def read_anew(pooler, pg=None, true=lambda row: True):
    """The row of a reading that began after now."""
    began = time.monotonic()

    def fresh():
        asked = time.monotonic()    # the age is that of a moment after it; how long the answer takes to get here is no part of it
        row = budget(pooler, pg)
        young = row["age_us"] is not None and row["age_us"] < (asked - began) * 1e6
        return row if young and true(row) else None
    return wait_until("a new reading shows it", fresh)


def direct(pg, name="console", user="other"):
    return Client(pg.address, user=user, database="app", parameters={"application_name": name})


def refusals(pg):
    """How often PostgreSQL had no slot for anybody."""
    return len(re.findall(r"too many clients already|remaining connection slots", pg.log_path.read_text(errors="replace")))


def refused(pg, what):
    return len(re.findall(f"too many connections for {what}", pg.log_path.read_text(errors="replace")))


class What_is_shown(Story):
    kinds = ("pgweir",)

    def every_place_has_an_owner(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        others = [direct(pg, each) for each in ("console", "console", "console", "cron")]
        clients = [pooler.client() for _ in range(3)]
        for client in clients:
            client.begin()
        clients[0].query("ROLLBACK")
        row = read_anew(pooler, pg, lambda row: row["lent"] == 2)
        self.assertEqual((20, RESERVED, 17), (row["max_connections"], row["reserved"], row["usable"]))
        self.assertEqual((4, 2, 1, 1), (row["ours"], row["lent"], row["idle"], row["monitor"]))
        self.assertEqual(row["ours"], sum(row[each] for each in (
            "lent", "idle", "dialing", "cleaning", "moving", "closing", "orphaned", "monitor")))
        self.assertEqual((4, 17 - 4 - 4, 0), (row["others"], row["free"], row["orphans"]))
        self.assertEqual(17 - 4 - 1, row["target"])
        self.assertEqual(["other/console: 3", "other/cron: 1"], sorted(row["others_by"].split("; ")))
        self.assertEqual(("reads", ""), (row["state"], row["problem"]))
        self.assertEqual("1", pg.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgweir monitor'"))
        for client in others:
            client.close()
        read_anew(pooler, pg, lambda row: row["others"] == 0 and row["target"] == 16)

    def databases_at_one_server_share_one_monitor_and_two_servers_have_two(self):
        one, two = self.postgres(max_connections=20), self.postgres(max_connections=30)
        pooler = self.pooler(pg=one, settings=MONITORED, databases={
            "app": "dbname=app", "app2": "dbname=app2", "far": f"host=127.0.0.1 port={two.port} dbname=app"})
        self.assertEqual(17, read(pooler, one)["usable"])
        self.assertEqual(27, read(pooler, two)["usable"])
        for name in ("app", "app2", "far"):
            pooler.client(database=name).value("SELECT 1")
        for pg, ours in ((one, 3), (two, 2)):
            row = read_anew(pooler, pg, lambda row: row["ours"] == ours)
            self.assertEqual((1, 0), (row["monitor"], row["others"]))
        self.assertEqual(2, len(pooler.show("BUDGET")))

    def a_server_behind_a_unix_socket_is_one_too(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg, settings=MONITORED, databases={"app": f"host={pg.folder} port={pg.port} dbname=app"})
        pooler.client().value("SELECT 1")
        row = read_anew(pooler, pg, lambda row: row["ours"] == 2)
        self.assertEqual((str(pg.folder), 17, 0, 16), (row["host"], row["usable"], row["others"], row["target"]))

    def a_server_that_is_named_is_looked_up(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg, settings=MONITORED, databases={"app": f"host=localhost port={pg.port} dbname=app"})
        pooler.client().value("SELECT 1")
        row = read_anew(pooler, pg, lambda row: row["ours"] == 2)
        self.assertEqual((17, 0), (row["usable"], row["others"]))

    def without_a_user_that_is_known_it_says_once_what_to_do(self):
        pooler = self.pooler()
        row = wait_until("it is tried", lambda: budget(pooler) if budget(pooler)["state"] == "nobody" else None)
        self.assertEqual((None, None, 0), (row["max_connections"], row["target"], row["monitor"]))
        pooler.await_log("GRANT pg_read_all_stats")
        # Nor after a RELOAD, which makes it try at once, unless there is something new to say.
        console = pooler.console()
        for _ in range(3):
            console.query("RELOAD")
            wait_until("it is tried", lambda: budget(pooler)["problem"])
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        for user, count in (("not_there", 2), ("not_there", 2), ("nor_there", 3)):
            console.query(f"SET monitor_user = '{user}'")
            wait_until("it is tried", lambda user=user: user in budget(pooler)["problem"])
            pooler.await_log(f'"{user}"')
            self.assertEqual(count, pooler.log().count("GRANT pg_read_all_stats"), pooler.log())
        # What was said of before is said again where it is so again.
        console.query("SET monitor_user = 'third'")
        pooler.await_log('reads as user "third"')
        console.query("SET monitor_user = 'nor_there'")
        wait_until("it is said", lambda: pooler.log().count("GRANT pg_read_all_stats") == 4)
        console.query("SET monitor_user = 'e\x1b[2Jvil\u202e'")
        wait_until("it is shown as text", lambda: r"e\x1b[2Jvil\u{202e}" in budget(pooler)["problem"])

    def a_user_whose_password_is_known_is_found_by_itself(self):
        pooler = self.pooler(settings={"monitor_interval": "0.3", "auth_type": "trust"},
                             userlist={"app": "", "admin": "no such role", "by_scram": "sea-salt"})
        # The first that is known may not log in there, and is not held against the next.
        self.assertEqual("reads", read(pooler)["state"])
        self.assertEqual("by_scram", self.pg.value(
            "SELECT usename FROM pg_stat_activity WHERE application_name = 'pgweir monitor'"))

    def a_user_without_rights_still_tells_how_many_there_are(self):
        pg = self.postgres(max_connections=20)
        pg.value("CREATE ROLE poor LOGIN; SELECT 1")
        hba = pg.data / "pg_hba.conf"
        hba.write_text(hba.read_text() + "host all poor samehost trust\n")
        pg.value("SELECT pg_reload_conf()")
        pooler = self.pooler(pg=pg, settings={**MONITORED, "monitor_user": "poor"})
        with direct(pg):
            row = read_anew(pooler, pg, lambda row: row["others"] == 1)
        self.assertEqual((17, 17 - 1 - 1, "partial"), (row["usable"], row["target"], row["state"]))
        self.assertIn('GRANT pg_read_all_stats TO "poor"', row["problem"])
        time.sleep(1)
        self.assertEqual(1, pooler.log().count("GRANT pg_read_all_stats"))
        # What was missing is there: it goes on in full.
        pg.value("GRANT pg_read_all_stats TO poor")
        read_anew(pooler, pg, lambda row: row["state"] == "reads" and row["problem"] == "")

    def what_an_administrator_took_away_is_gone_without(self):
        pg = self.postgres(max_connections=20)
        with pg.admin("app") as admin:
            admin.query("REVOKE SELECT ON pg_catalog.pg_stat_activity FROM PUBLIC")
        pooler = self.pooler(pg=pg, settings=MONITORED)
        row = read(pooler, pg)
        self.assertEqual((17, None, 16, "partial"), (row["usable"], row["others"], row["target"], row["state"]))
        self.assertIn("pg_stat_activity: permission denied", row["problem"])

    @on("pgweir")
    def under_the_other_name_no_connection_is_opened(self):
        pooler = self.pooler(called="pgbouncer", userlist={"by_scram": "sea-salt", "admin": ""})
        row = budget(pooler)
        self.assertEqual(("off", 0, None), (row["state"], row["ours"], row["target"]))
        self.assertEqual(0, self.pg.backends())


class Within_what_is_free(Story):
    kinds = ("pgweir",)

    def _busy(self, pooler, count, seconds, user="app", database="app", sleep="0.02"):
        """`count` clients that ask again and again; whoever is refused fails the test."""
        until = time.monotonic() + seconds

        def work():
            served = 0
            with Client(pooler.address, user=user, database=database, timeout=30) as client:
                while served == 0 or time.monotonic() < until:
                    client.value(f"SELECT 1 FROM pg_sleep({sleep})")
                    served += 1
            return served
        return [work] * count

    def clients_beside_others_are_served_and_postgresql_refuses_nobody(self):
        pg = self.postgres(max_connections=12)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        others = [direct(pg) for _ in range(3)]
        read_anew(pooler, pg, lambda row: row["others"] == 3)
        served = self.together(*self._busy(pooler, 15, 3), *self._busy(pooler, 5, 3, user="other", database="app2"))
        self.assertTrue(all(served), served)
        # Nine usable, three others', one of head-room, the monitor: four are left for the pools.
        self.assertEqual(0, refusals(pg))
        row = read_anew(pooler, pg)
        self.assertEqual(5, row["target"])
        # One may have been closed for the other pool, whose last client was served by another meanwhile.
        self.assertIn(row["ours"], (4, 5))
        # There is room for one more of them at any time.
        others.append(direct(pg))
        for client in others:
            client.close()
        read_anew(pooler, pg, lambda row: row["target"] == 8)
        self.assertTrue(all(self.together(*self._busy(pooler, 15, 1.5))))
        self.assertEqual(0, refusals(pg))

    @takes(90)
    def others_that_come_and_go_at_the_same_time_harm_nobody(self):
        pg = self.postgres(max_connections=12)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        read(pooler, pg)
        ending = threading.Event()
        taken = []

        def others():
            while not ending.is_set():
                held = []
                for _ in range(6):
                    try:
                        held.append(direct(pg))
                    except (wire.Refused, wire.Closed):
                        pass            # they have nobody to queue for them
                taken.append(len(held))
                ending.wait(0.4)
                for client in held:
                    client.close()
                ending.wait(0.4)
        thread = threading.Thread(target=others, daemon=True)
        thread.start()
        try:
            served = self.together(*self._busy(pooler, 12, 5), *self._busy(pooler, 6, 5, user="other"))
        finally:
            ending.set()
            thread.join(20)
        self.assertTrue(all(served), served)
        self.assertGreater(max(taken), 0)

    @takes(90)
    def when_others_hold_every_place_clients_wait_and_are_served_when_they_leave(self):
        pg = self.postgres(max_connections=12)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        read(pooler, pg)
        others = [direct(pg) for _ in range(12 - RESERVED - 1)]
        read_anew(pooler, pg, lambda row: row["free"] == 0)
        results = []

        def ask():
            with Client(pooler.address, timeout=30) as client:
                results.append(client.value("SELECT 1"))
        threads = [threading.Thread(target=ask, daemon=True) for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_until("PostgreSQL refused one that asked", lambda: refusals(pg) >= 2)
        self.assertEqual([], results)
        row = budget(pooler, pg)
        self.assertNotEqual("", row["full_since"])
        asked = refusals(pg)
        for client in others:
            client.close()
        wait_until("everybody is served", lambda: len(results) == 5)
        self.assertEqual(["1"] * 5, results)
        # It asked gently: after 100, 200, 400 ms ..., not for each of the five.
        self.assertLess(asked, 12)

    def without_a_budget_the_same_is_learnt_by_being_refused(self):
        pg = self.postgres(max_connections=12)
        pooler = self.pooler(pg=pg, settings={**MONITORED, "server_budget": "off"})
        others = [direct(pg) for _ in range(3)]
        self.assertIsNone(read(pooler, pg)["target"])
        self.assertTrue(all(self.together(*self._busy(pooler, 15, 3, sleep="0.1"))))
        self.assertGreater(refusals(pg), 0)
        for client in others:
            client.close()

    def a_roles_limit_is_back_pressure_for_its_pools_alone(self):
        pg = self.postgres(max_connections=40)
        pg.value("ALTER ROLE other CONNECTION LIMIT 2")
        pooler = self.pooler(pg=pg, settings=MONITORED)
        served = self.together(*self._busy(pooler, 8, 3, user="other", sleep="0.1"), *self._busy(pooler, 6, 3, sleep="0.1"))
        self.assertTrue(all(served), served)
        self.assertGreater(refused(pg, "role"), 0)
        self.assertLess(refused(pg, "role"), 20)
        row = read_anew(pooler, pg, lambda row: row["limits"] != "")
        self.assertEqual("role other: 2 of 2", row["limits"])
        wait_until("those of another role are at rest", lambda: pooler.pool(user="app")["sv_idle"] >= 5)
        # The limit is raised, and the pool grows.
        pg.value("ALTER ROLE other CONNECTION LIMIT 5")
        wait_until("the pool has grown", timeout=30, true=lambda: self.together(
            *self._busy(pooler, 8, 1, user="other", sleep="0.1")) and pooler.pool(user="other")["sv_idle"] >= 4)

    def who_waits_for_what_a_role_may_have_is_told_so_in_postgresqls_words(self):
        pg = self.postgres(max_connections=40)
        pg.value("ALTER ROLE other CONNECTION LIMIT 1")
        pooler = self.pooler(pg=pg, settings={"default_pool_size": 5, "query_wait_timeout": 1})
        holder = pooler.client(user="other")
        holder.begin()
        holder.query("SELECT 1")

        def told():
            with Client(pooler.address, user="other", timeout=40) as waiter:
                waiter.send(wire.query("SELECT 1"))
                error = waiter.expect_closed()[0]
            self.assertEqual("query_wait_timeout", error.message)
            return 'PostgreSQL refuses another (53300: too many connections for role "other").' in error.detail and error
        # While it is being asked once more nothing is said of that.
        error = wait_until("it is told", told, timeout=40)
        self.assertIn("SHOW BUDGET", error.hint)

    def a_databases_limit_is_back_pressure_too(self):
        pg = self.postgres(max_connections=40)
        pg.value("ALTER DATABASE app2 CONNECTION LIMIT 2")
        pooler = self.pooler(pg=pg, settings={**MONITORED, "monitor_dbname": "app"})
        served = self.together(*self._busy(pooler, 4, 3, user="other", database="app2", sleep="0.1"),
                               *self._busy(pooler, 4, 3, database="app2", sleep="0.1"),
                               *self._busy(pooler, 4, 3, sleep="0.1"))
        self.assertTrue(all(served), served)
        self.assertGreater(refused(pg, "database"), 0)
        self.assertLess(refused(pg, "database"), 40)
        read_anew(pooler, pg, lambda row: "database app2: 2 of 2" in row["limits"])


class Its_life(Story):
    kinds = ("pgweir",)

    def _pid(self, pg):
        return pg.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir monitor'")

    def it_comes_back_when_it_was_ended_and_that_is_said_once(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        read(pooler, pg)
        first = self._pid(pg)
        pg.value(f"SELECT pg_terminate_backend({first})")
        wait_until("there is another", lambda: self._pid(pg) not in (None, "", first))
        read_anew(pooler, pg, lambda row: row["state"] == "reads")
        self.assertEqual(1, pooler.log().count("trying again"))
        self.assertEqual(1, pooler.log().count("reads as user"))

    def it_outlives_a_restart_of_postgresql_and_learns_what_is_new(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        self.assertEqual(17, read(pooler, pg)["usable"])
        pg.stop()
        pg.settings["max_connections"] = 25
        wait_until("it is noticed", lambda: budget(pooler, pg)["state"] in ("failed", "login"))
        pg.start()
        read_anew(pooler, pg, lambda row: row["usable"] == 22)

    def pause_completes_while_it_stays_and_shutdown_does_not_wait_for_it(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        pooler.client().value("SELECT 1")
        read(pooler, pg)
        with pooler.console() as console:
            console.query("PAUSE")
            # PAUSE has closed the others; each counts until PostgreSQL has ended it.
            wait_until("it alone is left", lambda: (1, 1) == tuple(budget(pooler, pg)[key] for key in ("ours", "monitor")))
            read_anew(pooler, pg, lambda row: row["state"] == "reads")
            console.query("RESUME")
            console.query("KILL app")
            console.query("RESUME app")
            read_anew(pooler, pg, lambda row: row["state"] == "reads")
            self.assertEqual("1", pooler.client().value("SELECT 1"))
            console.query("SHUTDOWN WAIT_FOR_SERVERS")
        self.assertEqual(0, pooler.wait())
        wait_until("PostgreSQL has ended it", lambda: pg.backends() == 0)

    def a_reload_may_change_as_whom_and_turn_it_off_and_on(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg, settings=MONITORED)
        read(pooler, pg)
        first = self._pid(pg)

        def as_whom():
            return pg.value("SELECT coalesce(string_agg(usename, ' '), '') FROM pg_stat_activity"
                            " WHERE application_name = 'pgweir monitor'")
        pooler.settings["default_pool_size"] = 3
        pooler.write_files()
        with pooler.console() as console:
            console.query("RELOAD")
            self.assertEqual(first, self._pid(pg))
            console.query("SET monitor_user = 'other'")
            wait_until("another logs in", lambda: as_whom() == "other")
            console.query("SET monitor_interval = 0")
            wait_until("it is gone", lambda: as_whom() == "")
            wait_until("it counts no more", lambda: ("off", 0, None) == tuple(budget(pooler, pg)[key] for key in ("state", "monitor", "target")))
            console.query("SET monitor_interval = '0.3'")
            wait_until("it is back", lambda: as_whom() == "other")

    def a_reload_that_leads_elsewhere_is_followed(self):
        one, two = self.postgres(max_connections=20), self.postgres(max_connections=30)
        pooler = self.pooler(pg=one, settings=MONITORED, databases={"app": "dbname=app"})
        read(pooler, one)
        pooler.client().value("SELECT 1")
        pooler.databases = {"app": f"host=127.0.0.1 port={two.port} dbname=app"}
        pooler.write_files()
        with pooler.console() as console:
            console.query("RELOAD")
        self.assertEqual(27, read(pooler, two)["usable"])
        wait_until("the old one is left alone", lambda: one.backends() == 0)
        wait_until("only the new one is told of", lambda: [str(two.port)] == [row["port"] for row in pooler.show("BUDGET")])
        self.assertEqual("1", pooler.client().value("SELECT 1"))


class Proxy:
    """Stands between the pooler and PostgreSQL, and can make a pooler lose a server whose backend lives on."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            pair = [near, far]
            self.pairs.append(pair)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(pair, source, sink), daemon=True).start()

    def _copy(self, pair, source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        if pair in self.pairs:          # not one whose ends were parted
            for each in pair:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def hush(self, pair):
        """PostgreSQL sees an end; the pooler sees nothing."""
        self.pairs.remove(pair)
        pair[1].shutdown(socket.SHUT_RDWR)

    def part(self, pair):
        """The pooler sees a reset; PostgreSQL sees nothing."""
        self.pairs.remove(pair)
        near = pair[0]
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        near.shutdown(socket.SHUT_RD)
        near.close()

    def close(self):
        self.listener.close()
        for pair in list(self.pairs):
            for each in pair:
                each.close()


class Orphans(Story):
    kinds = ("pgweir",)

    def _one_by_a_proxy(self, pg):
        """Proxy and pooler, and the pair behind the pooler's only server, which is among what the monitor has read."""
        proxy = Proxy(pg.address)
        self.addCleanup(proxy.close)
        pooler = self.pooler(pg=pg, settings=MONITORED, databases={"app": f"host=127.0.0.1 port={proxy.port} dbname=app"})
        read(pooler)
        monitors = list(proxy.pairs)
        pooler.client().value("SELECT 1")
        read_anew(pooler, true=lambda row: row["ours"] == 2)
        return proxy, pooler, next(pair for pair in proxy.pairs if pair not in monitors)

    def a_backend_that_we_own_no_more_is_named_and_takes_a_place(self):
        proxy, pooler, lost = self._one_by_a_proxy(self.postgres(max_connections=20))
        proxy.part(lost)
        row = read_anew(pooler, true=lambda row: row["orphans"] == 1)
        self.assertEqual((1, 1, 17 - 1 - 1), (row["ours"], row["others"], row["target"]))
        # It is gone at last, and its place is free again.
        lost[1].shutdown(socket.SHUT_RDWR)
        row = read_anew(pooler, true=lambda row: row["orphans"] == 0)
        self.assertEqual(0, row["others"])

    def a_backend_that_ended_without_a_word_is_no_sign_of_another_pooler(self):
        pg = self.postgres(max_connections=20)
        proxy, pooler, hushed = self._one_by_a_proxy(pg)
        proxy.hush(hushed)
        wait_until("it is gone at PostgreSQL", lambda: pg.backends() == 1)
        for _ in range(4):
            row = read_anew(pooler)
            self.assertNotEqual("partial", row["state"])
            self.assertEqual("17", str(row["usable"]))
        self.assertNotIn("another pooler", pooler.log())
        for end in hushed:
            end.close()

    def another_pooler_between_is_noticed_and_nothing_is_concluded(self):
        pg = self.postgres(max_connections=20)
        inner = self.pooler(pg=pg, settings={"monitor_interval": 0})
        outer = self.pooler(pg=pg, settings=MONITORED, databases={"app": f"host=127.0.0.1 port={inner.port} dbname=app"})
        client = outer.client()
        client.begin()
        row = read_anew(outer, true=lambda row: row["state"] == "partial")
        self.assertIn("another pooler", row["problem"])
        self.assertIsNone(row["target"])
        client.query("ROLLBACK")


NAMESPACE_CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
import wire
client = wire.Client((sys.argv[2], int(sys.argv[3])), user="app", database="app", timeout=120)
{talk}
print("there", flush=True)
{after}
import time
time.sleep(120)
"""


class Dead_peers(Story):
    """Clients in a network namespace of their own, whose answers stop without a word."""
    kinds = ("pgweir",)

    def _network(self):
        if os.geteuid() != 0 or subprocess.run(["ip", "netns", "list"], capture_output=True).returncode != 0:
            self.skipTest("network namespaces need root and iproute2")
        tag = f"{os.getpid() % 100000}"
        space, outer, inner = f"pgweir-{tag}", f"pgo{tag}", f"pgi{tag}"
        near, far = f"10.213.{os.getpid() % 250}.1", f"10.213.{os.getpid() % 250}.2"

        def ip(*words):
            subprocess.run(["ip", *words], check=True, timeout=60, capture_output=True)
        ip("netns", "add", space)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", space], timeout=60)
        ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
        ip("addr", "add", f"{near}/30", "dev", outer)
        ip("link", "set", outer, "up")
        ip("-n", space, "addr", "add", f"{far}/30", "dev", inner)
        ip("-n", space, "link", "set", inner, "up")
        return space, near

    def _visitor(self, pooler, space, near, talk, after=""):
        script = NAMESPACE_CLIENT.format(talk=talk, after=after)
        process = subprocess.Popen(["ip", "netns", "exec", space, sys.executable, "-c", script,
                                    os.path.dirname(os.path.abspath(wire.__file__)), near, str(pooler.port)],
                                   stdout=subprocess.PIPE, text=True)

        def end():
            process.kill()
            process.wait(10)
            process.stdout.close()
        self.addCleanup(end)
        return process

    @full_only
    @takes(120)
    def are_noticed_in_under_thirty_seconds_whether_parked_waiting_or_in_a_block(self):
        space, near = self._network()
        pooler = self.pooler(settings={"listen_addr": f"127.0.0.1,{near}", "default_pool_size": 2, "query_wait_timeout": 0,
                                       "client_idle_timeout": 0})
        holder = pooler.client()
        visitors = [self._visitor(pooler, space, near, "client.value('SELECT 1')"),
                    self._visitor(pooler, space, near, "client.begin()")]
        for visitor in visitors:
            self.assertEqual("there\n", visitor.stdout.readline())
        holder.begin()
        waiter = self._visitor(pooler, space, near, "", "client.send(wire.query('SELECT 1'))")
        self.assertEqual("there\n", waiter.stdout.readline())

        def strangers():
            return [row["state"] for row in pooler.show("CLIENTS") if row["addr"].startswith("10.213.")]
        wait_until("one is parked, one in a block, one waits", lambda: sorted(strangers()) == ["active", "idle", "waiting"])
        # From now on nothing that they send arrives, and nobody tells us.
        subprocess.run(["ip", "-n", space, "route", "add", "blackhole", f"{near}/32"], check=True, timeout=60)
        wait_until("all three are noticed", lambda: strangers() == [], timeout=30)
        self.assertEqual(0, pooler.pool()["sv_active"] - 1)
        holder.query("ROLLBACK")

    @full_only
    @takes(120)
    def somebody_who_lives_and_does_not_read_is_none(self):
        space, near = self._network()
        pooler = self.pooler(settings={"listen_addr": f"127.0.0.1,{near}"})
        reader = self._visitor(pooler, space, near,
                               "client.send(wire.query(\"SELECT repeat('x', 1000) FROM generate_series(1, 60000)\"))",
                               "import time\ntime.sleep(40)\nprint(len(client.reply().rows), flush=True)")
        self.assertEqual("there\n", reader.stdout.readline())
        # Forty seconds later it goes on, and nothing is missing.
        self.assertEqual("60000\n", reader.stdout.readline())
