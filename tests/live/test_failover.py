"""Several hosts of one database: which is tried, which one suits, and what clients see when PostgreSQL moves from one to another."""
import socket

import wire
from harness import Story, free_port, wait_until

ROUND = {"server_login_retry": 1, "default_pool_size": 6}


def hosts(*servers, more=""):
    """A database's line with these clusters (or ports) in it."""
    ports = [str(each if isinstance(each, int) else each.port) for each in servers]
    return f"host={','.join(['127.0.0.1'] * len(ports))} port={','.join(ports)} dbname=app {more}"


def where(client):
    """The port of the cluster that answers."""
    return int(client.value("SELECT current_setting('port')"))


def spread(pooler, count, database="app"):
    """Where the servers of so many clients are that hold one at a time."""
    clients = [pooler.client(database=database) for _ in range(count)]
    for client in clients:
        client.begin()
    found = [where(client) for client in clients]
    for client in clients:
        client.query("ROLLBACK")
        client.close()
    return found


class Which_host_is_tried(Story):
    kinds = ("pgweir",)

    def hosts_take_turns_and_each_may_have_a_port_of_its_own(self):
        one, two = self.postgres(), self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "workers": 1}, databases={"app": hosts(one, two)})
        self.assertEqual({one.port: 2, two.port: 2}, {each: spread(pooler, 4).count(each) for each in (one.port, two.port)})
        row = next(row for row in pooler.show("DATABASES") if row["name"] == "app")
        self.assertEqual(("127.0.0.1,127.0.0.1", str(one.port), "round-robin"),
                         (row["host"], row["port"], row["load_balance_hosts"]))

    def a_host_that_is_down_costs_nobody_an_error(self):
        one, gone = self.postgres(), free_port()
        pooler = self.pooler(pg=one, settings=ROUND, databases={"app": hosts(gone, one)})
        self.assertEqual([one.port] * 6, spread(pooler, 6))
        self.assertIn(f"127.0.0.1:{gone}", pooler.log(), "the log does not tell which host failed")

    def a_host_that_does_not_answer_leaves_time_for_the_next(self):
        one = self.postgres()
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(5)
            pooler = self.pooler(pg=one, settings={**ROUND, "server_connect_timeout": 1},
                                 databases={"app": hosts(deaf.getsockname()[1], one)})
            self.assertEqual([one.port] * 3, spread(pooler, 3))

    def who_stays_with_one_host_leaves_it_only_when_it_fails_and_so_do_all_workers(self):
        one, two = self.postgres(), self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "workers": 2},
                             databases={"app": hosts(one, two, more="load_balance_hosts=disable")})
        self.assertEqual([one.port] * 5, spread(pooler, 5))
        client = pooler.client()
        client.value("SELECT 1")
        one.stop(immediately=False)
        self.assertEqual([two.port] * 5, spread(pooler, 5))
        one.start()
        pooler.console().query("RECONNECT app")
        self.assertEqual([two.port] * 5, spread(pooler, 5), "it went back to the first")
        self.assertEqual(two.port, where(client))

    def a_refusal_that_is_the_same_everywhere_is_told_once(self):
        one, two = self.postgres(), self.postgres()
        pooler = self.pooler(pg=one, settings=ROUND, databases={"none": hosts(one, two).replace("dbname=app", "dbname=none")})
        with self.assertRaises(wire.Refused) as caught:
            pooler.client(database="none").query("SELECT 1")
        self.assertEqual("3D000", caught.exception.sqlstate)
        self.assertEqual(1, sum(each.log_path.read_text().count('database "none" does not exist') for each in (one, two)))

    def when_none_is_there_each_has_its_say(self):
        one, two = free_port(), free_port()
        pooler = self.pooler(settings=ROUND, databases={"app": hosts(one, two)})
        with self.assertRaises(wire.Refused) as caught:
            pooler.client().query("SELECT 1")
        self.assertEqual("08001", caught.exception.sqlstate)
        for port in (one, two):
            self.assertIn(f"127.0.0.1:{port}", str(caught.exception))

    def a_host_that_is_full_leaves_its_turn_to_the_other(self):
        one, two = self.postgres(max_connections=5), self.postgres()
        pooler = self.pooler(pg=one, settings={**ROUND, "monitor_interval": 0}, databases={"app": hosts(one, two)})
        found = spread(pooler, 6)
        self.assertEqual(6, len(found))
        self.assertGreaterEqual(found.count(two.port), 4, "five places, three of them reserved: two were to be had")


class What_a_list_may_say(Story):
    kinds = ("pgweir",)

    def ports_and_hosts_that_do_not_match_are_refused_at_reload(self):
        pooler = self.pooler()
        pooler.ini.write_text(pooler.ini_text().replace("[pgbouncer]", "odd = host=a,b,c port=1,2\n[pgbouncer]"))
        pooler.reload()
        wait_until("the log says why", lambda: "a list of 2, but there are 3 hosts" in pooler.log())
        self.assertEqual("1", pooler.client().value("SELECT 1"))
