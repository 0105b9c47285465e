"""The isolation suite: several sessions whose steps are interleaved, and which of them waits for whom, by their process ids.

Debian's postgresql-client-15 has its driver, isolationtester. What a file says is right when it is one of the expected outputs, or what it says
directly: some permutations end in more than one way, and minor versions differ.
"""
import os
import pathlib
import shutil
import subprocess

import harness
import source
from verdicts import Verdicts

FILE_SECONDS = 400
# In transaction mode nobody is seen to wait, since process ids are ours: the driver gives up after twice as long.
STEP_SECONDS = {"session": 300, "transaction": 4}
# Those that block, deadlock, notify or prepare, are over within seconds, and measure no time.
SMALL = ["read-only-anomaly", "simple-write-skew", "deadlock-simple", "deadlock-hard", "fk-contention", "lock-update-delete",
         "tuplelock-update", "skip-locked", "async-notify", "temp-schema-cleanup", "nowait", "insert-conflict-do-nothing",
         "plpgsql-toast", "alter-table-1"]


def tester():
    for folder in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/lib/pgxs/src/test/isolation"), reverse=True):
        if (folder / "isolationtester").exists():
            return folder / "isolationtester"
    raise SystemExit("isolationtester was not found: install postgresql-client-15")


def names_of(folder):
    lines = (folder / "isolation_schedule").read_text().splitlines()
    return [name for line in lines if line.startswith("test:") for name in line.split()[1:]]


def play(folder, name, port, mode="session"):
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PGTZ": "PST8PDT", "PGDATESTYLE": "Postgres, MDY",
                   "PGOPTIONS": "-c intervalstyle=postgres_verbose", "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres",
                   "PGAPPNAME": f"isolation/{name}", "HOME": "/nonexistent",
                   "PGISOLATIONTIMEOUT": str(STEP_SECONDS[mode])}
    with open(folder / "specs" / f"{name}.spec", "rb") as steps:
        try:
            done = subprocess.run([tester(), "dbname=isolation_regression"], stdin=steps, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=environment, cwd="/", timeout=FILE_SECONDS)
        except subprocess.TimeoutExpired as late:
            return (late.stdout or b"") + b"\n*** still running, ended\n"
    return done.stdout


class World:
    """A database in a cluster, and a pooler in front of it."""

    def __init__(self, asked, mode):
        self.pg = harness.Postgres(max_connections=60, max_prepared_transactions=5, wal_level="logical", max_replication_slots=5,
                                   max_wal_senders=5, shared_buffers="64MB")
        self.settings = {"pool_mode": mode, "default_pool_size": 20, "query_wait_timeout": 120,
                         "server_round_robin": int(asked.round_robin)}

    def __enter__(self):
        self.pg.__enter__()
        with self.pg.admin() as admin:
            admin.query("CREATE DATABASE isolation_regression TEMPLATE template0")
            for name, value in {"lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C", "bytea_output": "hex",
                                "timezone_abbreviations": "Default"}.items():
                admin.query(f"ALTER DATABASE isolation_regression SET {name} TO '{value}'")
        self.pooler = harness.Pooler(self.pg, settings=self.settings, databases={"isolation_regression": "dbname=isolation_regression"},
                                     userlist={"postgres": "", "admin": ""})
        self.pooler.start()
        return self

    def __exit__(self, *_):
        try:
            self.pooler.stop()
        finally:
            self.pg.__exit__()


def run(asked, mode="session"):
    folder = source.suite_folder("isolation")
    names = names_of(folder)
    if asked.small:
        names = [name for name in names if name in SMALL]
    wanted = asked.chosen(names)
    verdicts = Verdicts(f"isolation, {mode} mode", asked.kept(f"isolation-{mode}"))
    with World(asked, mode) as pooled, World(asked, mode) as direct:
        for name in names:
            if name not in wanted:
                continue
            said = play(folder, name, pooled.pooler.port, mode)
            expected = [path.read_bytes() for path in sorted((folder / "expected").glob(f"{name}*.out"))
                        if path.stem == name or path.stem[len(name):].lstrip("_").isdigit()]
            verdicts.add(name, said if said in expected else play(folder, name, direct.pg.port), said)
    return verdicts
