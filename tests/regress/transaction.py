"""Transaction mode: each file alone on a copy of the right state, so that no failure has another one for its cause, while others make
servers change hands. First through the pooler, then directly, with the same database before it; what the direct run left is the
state for the next.
"""
import harness
import source
from noise import Noise
from suite import Suite, groups_of
from verdicts import TEMPORARY, Verdicts

# Each makes a state of the session that follows its client or pins it; beside test_setup they need no other file's tables.
SMALL = ["temp", "guc", "prepare", "advisory_lock", "async", "combocid", "prepared_xacts", "psql", "plancache", "rangefuncs", "namespace",
         "polymorphism"]
KNOWN = {"triggers": ("refint's triggers, in C, keep plans for each session: it depends on which servers its statements came to", ()),
         "temp": ("a server that was used may have a schema of temporary objects; it is empty", TEMPORARY),
         "stats": ("each server flushes its own statistics, and pg_stat_database.sessions counts servers, not logins", ())}


def through_pooler(suite, name, asked):
    roles, spaces = suite.roles(), suite.tablespaces()
    suite.take_copy()
    settings = {"default_pool_size": 4, "query_wait_timeout": 60, "max_prepared_statements": 200, "sequence_hold": 60,
                "server_round_robin": int(asked.round_robin)}
    with harness.Pooler(suite.pg, settings=settings, databases={"regression": "dbname=regression"},
                        userlist={"postgres": "", "admin": ""}) as pooler:
        with Noise(pooler.address, asked.rate, asked.seed, "regression") as noise:
            text = suite.psql(name, "127.0.0.1", pooler.port)
        if noise.failures:
            text += b"*** noise: " + noise.failures[0].encode() + b"\n"
    suite.forget_copy(roles, spaces)
    return text


def directly(suite, name):
    suite.take_copy()
    text = suite.psql(name, "127.0.0.1", suite.pg.port)
    with suite.pg.admin() as admin:
        admin.query("DROP DATABASE state")
        harness.wait_until("nobody is there", lambda: admin.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'regression'") == "0")
        admin.query("ALTER DATABASE regression RENAME TO state")
    return text


def run(asked):
    folder = source.suite_folder("regress")
    names = [name for group in groups_of(folder) for name in group]
    if asked.small:
        names = ["test_setup"] + [name for name in names if name in SMALL]
    wanted = asked.chosen(names)
    verdicts = Verdicts("transaction, round robin" if asked.round_robin else "transaction", asked.kept("transaction"), KNOWN)
    with harness.Postgres(max_connections=60, shared_buffers="64MB", max_prepared_transactions=2, wal_level="replica") as pg:
        suite = Suite(pg, folder)
        suite.begin()
        for name in names:
            if verdicts.count == len(wanted):
                break
            pooled = through_pooler(suite, name, asked) if name in wanted else None
            direct = directly(suite, name)
            if pooled is not None:
                verdicts.add(name, direct, pooled)
    return verdicts
