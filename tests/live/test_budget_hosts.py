"""A database with several hosts has its places at each of them, under the limit that all share there: two real PostgreSQLs."""
import wire
from harness import Story, takes, wait_until
from test_budget import MONITORED, RESERVED, budget, direct, read, refusals

MOST = 12
ROOM = MOST - RESERVED - 1      # and the twentieth that is left to others, one at least


class Several_hosts(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.pgs = [self.postgres(max_connections=MOST, superuser_reserved_connections=RESERVED) for _ in range(2)]

    def _pooler(self, more=None, **settings):
        ports = ",".join(str(pg.port) for pg in self.pgs)
        databases = {"app": f"host=127.0.0.1,127.0.0.1 port={ports} dbname=app", **(more or {})}
        pooler = self.pooler(pg=self.pgs[0], databases=databases, settings={**MONITORED, "default_pool_size": 40, **settings})
        for pg in self.pgs:
            read(pooler, pg)
        return pooler

    def _ask(self, pooler, count, database="app"):
        """So many clients, each of which asks for a server and means to keep it."""
        clients = [pooler.client(database=database) for _ in range(count)]
        for client in clients:
            client.send(wire.query("BEGIN; SELECT 1"))
        return clients

    def _serve_all(self, clients):
        """Each is served in its turn, and makes room for the next."""
        waiting = list(clients)
        while waiting:
            wait_until("somebody is served", lambda: any(client.readable() for client in waiting))
            for client in [each for each in waiting if each.readable()]:
                client.reply()
                client.query("ROLLBACK")
                waiting.remove(client)

    @takes(90)
    def no_host_is_asked_for_more_than_it_has_room_for(self):
        pooler = self._pooler()
        clients = self._ask(pooler, 2 * ROOM + 4)
        wait_until("both are full", lambda: [budget(pooler, pg)["visitors"] for pg in self.pgs] == [ROOM - 1, ROOM - 1])
        for pg in self.pgs:
            row = budget(pooler, pg)
            self.assertEqual((ROOM, 1), (row["ours"], row["monitor"]), row)
            # A visitor counts from its dial, a backend has its user's name when it is logged in.
            wait_until("all have come in", lambda: pg.backends(user="app") == ROOM - 1)
        self._serve_all(clients)
        self.assertEqual([0, 0], [refusals(pg) for pg in self.pgs], "PostgreSQL was asked for more")

    @takes(90)
    def what_others_take_at_one_host_is_not_had_there(self):
        others = [direct(self.pgs[0], "cron") for _ in range(4)]
        pooler = self._pooler()
        clients = self._ask(pooler, 2 * ROOM)
        wait_until("both are full", lambda: [budget(pooler, pg)["visitors"] for pg in self.pgs] == [ROOM - 1 - 4, ROOM - 1])
        for other in others:
            other.close()
        # They have gone, and what they had is had by who waits.
        wait_until("the room is used", lambda: budget(pooler, self.pgs[0])["visitors"] == ROOM - 1, timeout=30)
        self._serve_all(clients)
        self.assertEqual([0, 0], [refusals(pg) for pg in self.pgs])

    @takes(90)
    def databases_with_one_host_share_its_room_with_them(self):
        pooler = self._pooler({"alone": f"host=127.0.0.1 port={self.pgs[0].port} dbname=app"})
        alone = self._ask(pooler, 3, "alone")
        wait_until("they are served", lambda: budget(pooler, self.pgs[0])["lent"] == 3)
        clients = self._ask(pooler, 2 * ROOM)
        wait_until("both are full", lambda: [budget(pooler, pg)["ours"] for pg in self.pgs] == [ROOM, ROOM])
        wait_until("the others have the rest", lambda: budget(pooler, self.pgs[0])["visitors"] == ROOM - 1 - 3)
        self._serve_all(alone + clients)
        self.assertEqual([0, 0], [refusals(pg) for pg in self.pgs])

    @takes(90)
    def what_is_closed_gives_its_place_back(self):
        pooler = self._pooler()
        self._serve_all(self._ask(pooler, 2 * ROOM))
        for _ in range(3):
            with pooler.console() as console:
                console.query("RECONNECT app")
            wait_until("they are closed", lambda: [budget(pooler, pg)["visitors"] for pg in self.pgs] == [0, 0])
            self._serve_all(self._ask(pooler, 2 * ROOM))
        self.assertEqual([0, 0], [refusals(pg) for pg in self.pgs])
