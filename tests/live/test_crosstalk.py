"""No byte of one client's answer reaches another. The one bug that cannot be forgiven."""
import json
import random
import subprocess
import sys
import threading
import time

import wire
from harness import HERE, Peak, Story, alone, full_only, live, on, takes

EVERYWHERE = ("simple several parameter pipelined one_sync_for_all transaction failing copy_out copy_in portal cancel"
              " cancel_of_nobody nothing_is_left").split()
REMEMBERED = ["prepared", "prepared", "prepared", "unnamed_in_two_steps"]


class Crosstalk:
    """Runs processes of crosstalk.py against a pooler, kills backends meanwhile, and sums up."""

    def __init__(self, pooler, seconds, clients=0, processes=2, tasks=40, kinds=None, kills_each=0.25):
        self.pooler, self.seconds, self.clients, self.processes, self.tasks = pooler, seconds, clients, processes, tasks
        self.kinds = kinds or EVERYWHERE + (REMEMBERED if live.kind != "pgbouncer" else [])
        self.kills_each = kills_each
        self.kills = 0

    def run(self, story):
        with self.pooler.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS crosstalk; CREATE UNLOGGED TABLE crosstalk(owner text, n int);"
                        " CREATE INDEX ON crosstalk(owner); GRANT ALL ON crosstalk TO PUBLIC")
        ending = threading.Event()
        killer = threading.Thread(target=self._kill, args=(ending,), daemon=True)
        host, port = self.pooler.address
        started = [subprocess.Popen([sys.executable, str(HERE / "crosstalk.py"), host, str(port), str(live.seed * 10 + number),
                                     str(self.seconds), str(self.clients // self.processes), str(self.tasks), *self.kinds],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
                   for number in range(self.processes)]
        told = {"clients": 0, "exchanges": 0, "wrong": [], "disturbed": [], "refused": []}
        try:
            if self.kills_each:
                killer.start()
            deadline = time.monotonic() + 3 * self.seconds + 60
            for process in started:
                out, err = process.communicate(timeout=max(1, deadline - time.monotonic()))
                story.assertEqual(0, process.returncode, err.decode()[-3000:])
                for key, value in json.loads(out).items():
                    told[key] += value
        finally:
            ending.set()
            for process in started:
                process.kill()
                process.wait(10)
            if self.kills_each:
                killer.join(10)
        print(f"# seed {live.seed}: {told['clients']} clients, {told['exchanges']} exchanges, {self.kills} kills,"
              f" {len(told['disturbed'])} disturbed, {len(told['refused'])} refused", flush=True)
        story.assertEqual([], told["wrong"][:5], f"seed {live.seed}: {len(told['wrong'])} wrong answers")
        if live.kind != "pgbouncer":
            story.assertEqual([], told["refused"][:5], f"seed {live.seed}: {len(told['refused'])} logins were refused")
            if live.kind == "pgweir":
                story.assertLessEqual(len(told["disturbed"]), self.kills,
                                      f"more clients were disturbed than backends killed: {told['disturbed'][:5]}")
        return told

    def _kill(self, ending):
        dice = random.Random(live.seed)
        with self.pooler.pg.admin() as admin:
            while not ending.wait(self.kills_each * dice.uniform(0.5, 1.5)):
                self.kills += int(admin.value(
                    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
                    " WHERE usename = 'app' AND backend_type = 'client backend' ORDER BY random() LIMIT 1) one"))


class No_crosstalk(Story):
    kinds = ("pgweir", "direct")      # PgBouncer 1.18 gives a server away between a Parse and its Bind: these stories catch it


    @alone
    @takes(240)
    def every_client_gets_its_own_answers_and_nobody_elses(self):
        pooler = self.pooler(settings={"default_pool_size": 6, "max_client_conn": 2000})
        seconds = 12 if live.quick else 40
        with Peak(self.pg, "app", every=0.02) as peak:
            told = Crosstalk(pooler, seconds, clients=500 if live.quick else 2000).run(self)
        self.assertGreater(told["clients"], 100)
        if live.kind == "pgweir":
            self.assertLessEqual(peak.value, 6)

    @full_only
    def nor_when_a_session_is_a_lease(self):
        pooler = self.pooler(settings={"default_pool_size": 10, "pool_mode": "session", "max_client_conn": 2000})
        Crosstalk(pooler, 8, kinds=EVERYWHERE + REMEMBERED).run(self)

    @on("pgweir")
    def nor_with_a_single_server(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "max_client_conn": 2000})
        kinds = ["simple", "parameter", "pipelined", "one_sync_for_all", "failing", "portal", "copy_out"] \
            + (REMEMBERED if live.kind != "pgbouncer" else [])
        Crosstalk(pooler, 3 if live.quick else 8, tasks=20, kinds=kinds, kills_each=0).run(self)
