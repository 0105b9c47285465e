"""What a pooler has after a thousand clients it still has after a hundred thousand: memory, descriptors and threads come back.

Only by name: `./test soak [MINUTES]`. A round is a third of a minute in which everybody comes and goes who can. Names, values, statements,
channels and addresses are new ones each time, so what is kept by any of them and never given back grows with each round. Behind a
round nobody is there, and what the process has is noted.
"""
import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import random
import socket
import time

import wire
from harness import Pooler, Story, alone, free_port, live, takes, wait_until
from test_crosstalk import Crosstalk

MINUTES = float(os.environ.get("LIVE_SOAK", 15))
ROUND_SECONDS = 14
ROUNDS_LEAST = 12
LEAK_BYTES = 8                  # for each client that came: a quarter of the least that malloc takes for anything
HEAP_NOISE = 64 << 10           # what threads keep ready
STRANGERS, RUDE = 150, 60       # in each round
SHOWS = ("CLIENTS SERVERS POOLS STATS LISTS USERS DATABASES MEM DNS_HOSTS CONFIG SOCKETS ORIGINS LEAKS LEDGER LEASES PINS BUDGET REAPS"
         " BREAKDOWNS TOTALS PEERS STATE").split()
PAGES = ("/metrics", "/healthz", "/readyz")


class Has:
    """What a process has when nobody is there: by malloc's account, by its own and by the kernel's. Resident memory is no figure: the heap
    gives back megabytes at a time, which hides what a few clients leave."""

    def __init__(self, pooler, port):
        wait_until("nobody is there", lambda: len(pooler.show("CLIENTS")) == 1)
        with pooler.console() as console:
            console.query("RECONNECT")
        wait_until("no server is there", lambda: not pooler.show("SERVERS"))
        proc = pathlib.Path(f"/proc/{pooler.pid}")
        told = page(port, "/metrics").splitlines()
        self.heap = sum(int(line.split()[-1]) for line in told if line.startswith("pgweir_heap_bytes "))
        self.clients = sum(int(line.split()[-1]) for line in told if line.startswith("pgweir_pool_logins_total{"))
        self.own = {row["name"]: int(row["memtotal"]) >> 10 for row in pooler.show("MEM")}
        self.descriptors = len(list((proc / "fd").iterdir()))
        self.threads = len(list((proc / "task").iterdir()))

    def __repr__(self):
        own = ", ".join(f"{name} {kb}" for name, kb in self.own.items())
        return f"{self.heap} bytes ({own} kB), {self.descriptors} descriptors, {self.threads} threads, {self.clients} clients came"


def page(port, path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as asked:
        asked.request("GET", path)
        return asked.getresponse().read().decode()


def growth(figures):
    """How much the least of the last third is above the least of the third before it: what is freed late, or in pieces, makes single rounds
    differ, and what is never freed lifts them all. The first third is for what grows up to a bound."""
    third = len(figures) // 3
    return min(figures[-third:]) - min(figures[-2 * third:-third])


class Soak(Story):
    kinds = ("pgweir",)

    @alone
    @takes(int(MINUTES * 90) + 900)
    def what_a_pooler_has_comes_back(self):
        port = free_port()
        pooler = self.keep(Pooler(
            files={"hba.conf": "host all other all scram-sha-256\nlocal all all trust\nhost all all all trust\n"},
            userlist={"app": "", "other": "secret", "third": "", "admin": "", "stats": ""},
            settings={"auth_type": "hba", "default_pool_size": 8, "max_client_conn": 2000, "workers": 2, "leak_interval": 1,
                      "http_listen": f"127.0.0.1:{port}", "monitor_user": "app", "log_connections": 0, "log_disconnections": 0}))
        pooler.settings["auth_hba_file"] = pooler.folder / "hba.conf"
        pooler.start()
        dice, seen, ending = random.Random(live.seed), [], time.monotonic() + MINUTES * 60
        while time.monotonic() < ending or len(seen) < ROUNDS_LEAST:
            self._round(pooler, port, len(seen), dice)
            if len(seen) % 5 == 4:
                pooler.pg.stop()
                pooler.pg.start()
            seen.append(Has(pooler, port))
            print(f"# round {len(seen)}: {seen[-1]}", flush=True)
        third, told = len(seen) // 3, "\n" + "\n".join(map(repr, seen))
        came = seen[-1].clients - seen[-third - 1].clients
        self.assertLessEqual(growth([has.heap for has in seen]), HEAP_NOISE + came * LEAK_BYTES, told)
        for name in seen[0].own:
            self.assertLessEqual(growth([has.own.get(name, 0) for has in seen]), 8, name + told)
        self.assertLessEqual(growth([has.descriptors for has in seen]), 0, told)
        self.assertLessEqual(growth([has.threads for has in seen]), 0, told)

    def _round(self, pooler, port, number, dice):
        with concurrent.futures.ThreadPoolExecutor(12) as crowd:
            going = [crowd.submit(self._stranger, pooler, f"{number}-{n}", dice.getrandbits(64)) for n in range(STRANGERS)]
            going += [crowd.submit(self._rude, pooler, dice.getrandbits(64)) for _ in range(RUDE)]
            going.append(crowd.submit(self._keeper, pooler, port))
            try:
                Crosstalk(pooler, ROUND_SECONDS, processes=1).run(self)
                for each in going:
                    each.result(60)
            finally:
                crowd.shutdown(cancel_futures=True)

    def _stranger(self, pooler, name, seed):
        """A client of a new name and address, with settings, statements and channels of its own."""
        dice = random.Random(seed)
        source = (f"127.{dice.randrange(1, 255)}.{dice.randrange(256)}.{dice.randrange(1, 255)}", 0)
        user = dice.choice(("app", "other", "third"))
        client = wire.Client(pooler.address, user=user, password="secret", source=source, timeout=60,
                             parameters={"application_name": name, "options": f"-c app.login={name}"})
        try:
            for words in dice.sample((f"SET app.tenant = '{name}'", f'SET search_path = "{name}", public', f'LISTEN "{name}"',
                                      f"PREPARE mine AS SELECT '{name}'", f"BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT '{name}'; COMMIT",
                                      f"CREATE TEMP TABLE \"{name}\" (n int)", f"SELECT pg_advisory_lock({dice.getrandbits(31)})",
                                      f"BEGIN; SET LOCAL app.local = '{name}'; COMMIT", f"SELECT '{name}' /* {name} */",
                                      f"SELECT no_such_column_{dice.getrandbits(20)}", f"NOTIFY \"{name}\", '{name}'",
                                      f"SET application_name = '{name} again'"), dice.randrange(1, 9)):
                client.simple(words)
            for n in range(dice.randrange(5)):
                client.ask(wire.parse(f"{name}-{n}", f"SELECT $1::text || '{name}'"), wire.bind("", f"{name}-{n}", [name]), wire.execute(),
                           wire.SYNC)
            if dice.random() < 0.2:
                time.sleep(dice.random())
            if dice.random() < 0.6:
                client.send(wire.TERMINATE)
            elif dice.random() < 0.5:
                client.send(wire.query(f"SELECT pg_sleep(0.02), '{name}'"))
        except wire.Closed:
            pass                # its backend was killed
        except wire.Refused as refused:
            if refused.sqlstate != "57P01":
                raise
        finally:
            client.close()

    def _rude(self, pooler, seed):
        """Who does not get in, or never tries."""
        dice = random.Random(seed)
        with contextlib.suppress(wire.Refused, wire.Closed, OSError):
            how = dice.randrange(6)
            if how == 0:
                wire.Client(pooler.address, user="other", password=f"wrong {seed}").close()
            elif how == 1:
                wire.Client(pooler.address, user=f"nobody {seed}", password="x").close()
            elif how == 2:
                wire.Client(pooler.address, database=f"none {seed}").close()
            else:
                with socket.create_connection(pooler.address, timeout=10) as rude:
                    rude.sendall((b"", wire.startup({"user": "app"})[:9], dice.randbytes(200), wire.cancel_request(dice.getrandbits(31),
                                  dice.randbytes(4)))[dice.randrange(4)])

    def _keeper(self, pooler, port):
        """Who looks after it: every SHOW, every page, RELOAD and the rest."""
        with wire.Client(pooler.address, user="admin", database="pgbouncer", timeout=60) as console:
            for show in SHOWS:
                console.query(f"SHOW {show}")
            for path in PAGES:
                page(port, path)
            for word in ("RELOAD", "PAUSE", "RESUME", "RECONNECT", "SET default_pool_size = 9", "SET default_pool_size = 8", "RELOAD"):
                console.query(word)
                time.sleep(0.3)
