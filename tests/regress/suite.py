"""The regression suite: its files in their order, the databases they run in, and psql as PostgreSQL's own driver would run it.

Functions of the suite's library in C are not there, directly and through the pooler alike.
"""
import os
import shutil
import subprocess

import wire

FILE_SECONDS = 300


def groups_of(suite):
    """The lines of the parallel schedule, each a list of files that run at the same time."""
    groups = []
    for line in (suite / "parallel_schedule").read_text().splitlines():
        if line.startswith("test:"):
            groups.append([name for name in line.split()[1:] if (suite / "sql" / f"{name}.sql").exists()])
    return groups


class Suite:
    """The regression suite's files at one PostgreSQL: a database `state`, and copies of it named `regression`."""

    def __init__(self, pg, suite):
        self.pg, self.suite = pg, suite
        shutil.copytree(suite, pg.folder / "suite")
        subprocess.run(["chmod", "-R", "a+rwX", str(pg.folder / "suite")], check=True, timeout=60)
        (pg.folder / "suite" / "results").mkdir(exist_ok=True)
        (pg.folder / "suite" / "results").chmod(0o777)

    def psql(self, name, host, port):
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PGTZ": "PST8PDT", "PGDATESTYLE": "Postgres, MDY",
                       "PGOPTIONS": "-c intervalstyle=postgres_verbose", "PGHOST": host, "PGPORT": str(port), "PGUSER": "postgres",
                       "PG_ABS_SRCDIR": str(self.pg.folder / "suite"), "PG_ABS_BUILDDIR": str(self.pg.folder / "suite"),
                       "PG_LIBDIR": "/usr/lib/postgresql/15/lib", "PG_DLSUFFIX": ".so", "HOME": "/nonexistent"}
        with open(self.pg.folder / "suite" / "sql" / f"{name}.sql", "rb") as script:
            try:
                done = subprocess.run(["psql", "-X", "-a", "-q", "-d", "regression", "-v", "HIDE_TABLEAM=on",
                                       "-v", "HIDE_TOAST_COMPRESSION=on"], stdin=script, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=environment, cwd=self.pg.folder / "suite",
                                      timeout=FILE_SECONDS)
            except subprocess.TimeoutExpired as late:
                return (late.stdout or b"") + b"\n*** still running, ended\n"
        return done.stdout

    def admin(self, *statements, database="postgres"):
        with self.pg.admin(database, timeout=120) as admin:
            for sql in statements:
                admin.query(sql)

    def roles(self):
        with self.pg.admin() as admin:
            return {row[0] for row in admin.query("SELECT rolname FROM pg_roles").rows}

    def tablespaces(self):
        with self.pg.admin() as admin:
            return {row[0] for row in admin.query("SELECT spcname FROM pg_tablespace").rows}

    def begin(self):
        self.admin("CREATE DATABASE state TEMPLATE template0")

    def take_copy(self):
        settings = [f"ALTER DATABASE regression SET {name} TO 'C'" for name in ("lc_messages", "lc_monetary", "lc_numeric", "lc_time")]
        self.admin("CREATE DATABASE regression TEMPLATE state", *settings, "ALTER DATABASE regression SET bytea_output TO 'hex'",
                   "ALTER DATABASE regression SET timezone_abbreviations TO 'Default'")

    def forget_copy(self, roles, spaces):
        with self.pg.admin() as admin:
            left = [row[0] for row in admin.query("SELECT gid FROM pg_prepared_xacts WHERE database = 'regression'").rows]
        for gid in left:
            self.admin(f"ROLLBACK PREPARED '{gid}'", database="regression")
        self.admin("DROP DATABASE regression WITH (FORCE)")
        for space in self.tablespaces() - spaces:
            self.admin(f'DROP TABLESPACE "{space}"')
        for role in self.roles() - roles:
            try:
                self.admin(f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')
            except wire.Refused as why:
                print(f"# role {role} stays: {why}")
