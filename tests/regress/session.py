"""Session mode: the files of each line of the parallel schedule at the same time in one database, as PostgreSQL's own driver runs
them; once directly and once through the pooler, each in a cluster of its own.
"""
import concurrent.futures

import harness
import source
from suite import Suite, groups_of
from verdicts import TEMPORARY, Verdicts

# What DISCARD ALL leaves. With server_lifetime = 0 (--fresh) no server is used twice, and nothing is left to be known.
KNOWN = {"guc": ("a server that was used may have loaded plpgsql, which PostgreSQL forgets only with the session", ()),
         "temp": ("a server that was used may have a schema of temporary objects; it is empty", TEMPORARY),
         "stats": ("a login is no session at PostgreSQL: pg_stat_database.sessions counts servers", ())}


def by_schedule(folder, asked, pooled):
    """What each file says, by name."""
    said = {}
    with harness.Postgres(max_connections=60, shared_buffers="64MB", max_prepared_transactions=2, wal_level="replica") as pg:
        suite = Suite(pg, folder)
        suite.begin()
        suite.take_copy()
        settings = {"pool_mode": "session", "default_pool_size": 40, "query_wait_timeout": 120,
                    "server_round_robin": int(asked.round_robin)}
        if asked.fresh:
            settings["server_lifetime"] = 0
        with harness.Pooler(pg, settings=settings, databases={"regression": "dbname=regression"},
                            userlist={"postgres": "", "admin": ""}) as pooler:
            port = pooler.port if pooled else pg.port
            with concurrent.futures.ThreadPoolExecutor(20) as together:
                for group in groups_of(folder):
                    said.update(zip(group, together.map(lambda name: suite.psql(name, "127.0.0.1", port), group)))
    return said


def run(asked):
    folder = source.suite_folder("regress")
    wanted = asked.chosen([name for group in groups_of(folder) for name in group])
    verdicts = Verdicts("session", asked.kept("session"), {} if asked.fresh else KNOWN)
    pooled = by_schedule(folder, asked, True)
    direct = by_schedule(folder, asked, False)
    for name in direct:
        if name in wanted:
            verdicts.add(name, direct[name], pooled[name])
    return verdicts
