"""pgweir reap against a real PostgreSQL: who goes, who stays, and that nothing else ever happens.

Every session here is old enough after a second. What must survive is held by the very conditions that end its
neighbour, so a guard that does not work shows at once.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import harness
import wire
from harness import Story, live, wait_until
from wire import query

OLD = ("--idle", "1s", "--idle-in-transaction", "1s", "--writing-times", "1")
STATUS = {"done": 0, "failed": 1, "usage": 2, "stayed": 3, "candidates": 4}
SCOPE = ("--everyone",)


class Ran(harness.Ran):
    @property
    def audit(self):
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]


class Reaping(Story):
    """A PostgreSQL of its own, where any role may log in."""

    kinds = ("pgweir",)
    settings = {}

    def setUp(self):
        super().setUp()
        self.pg = self.postgres(**{"max_connections": 60, **self.settings})
        hba = self.pg.data / "pg_hba.conf"
        hba.write_text("local all all trust\nhost all all all trust\nhost replication all all trust\n")
        self.admin = self.pg.admin()
        self.admin.query("SELECT pg_reload_conf()")
        wait_until("anybody may log in", lambda: self.admin.value(
            "SELECT count(*) FROM pg_hba_file_rules WHERE user_name = '{all}'") != "0")
        self.clients = {}
        self.addCleanup(self._close)

    def _close(self):
        for client in [*self.clients.values(), self.admin]:
            client.drop()

    def _sql(self, *statements, database="postgres"):
        with self.pg.admin(database) as admin:
            for statement in statements:
                reply = admin.query(statement)
                self.assertFalse(reply.errors, f"{statement}: {reply.errors}")

    def _url(self, user="postgres", database="postgres", port=None):
        return f"postgresql://{user}@127.0.0.1:{port or self.pg.port}/{database}"

    def _start(self, *arguments, user="postgres", url=None):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return subprocess.Popen([live.bin, "reap", url or self._url(user), *arguments], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)

    def _finish(self, process, timeout=40):
        try:
            out, err = process.communicate(timeout=timeout * wire.PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise harness.Vain(f"pgweir reap did not end within {timeout} s") from None
        return Ran(subprocess.CompletedProcess(process.args, process.returncode, out, err))

    def _reap(self, *arguments, **options):
        return self._finish(self._start(*arguments, **options))

    def _session(self, name, *statements, user="app", database="app", application=None, address=None, **parameters):
        """A session that ran these statements and then fell silent; known by `name`."""
        named = {"application_name": name if application is None else application, **parameters}
        client = wire.Client(address or self.pg.address, user=user, database=database, parameters=named)
        for statement in statements:
            reply = client.query(statement)
            self.assertFalse(reply.errors, f"{name}: {statement}: {reply.errors}")
        self.clients[name] = client
        return client

    def _lives(self, name):
        """Whether the session still exists, by PostgreSQL's word."""
        return self.admin.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {self.clients[name].pid}") == "1"

    def _age(self, seconds=1.1):
        """Let everybody be silent for long enough."""
        time.sleep(seconds)

    def _pids(self, *names):
        return [self.clients[name].pid for name in names]

    def _ended(self, ran, *names):
        """These and no others were ended, in this order."""
        by_pid = {client.pid: name for name, client in self.clients.items()}
        self.assertEqual(list(names), [by_pid.get(line["pid"], line["pid"]) for line in ran.audit if line["outcome"] == "ended"],
                         ran)
        for name in self.clients:
            self.assertEqual(name not in names, self._lives(name), f"{name}\n{ran}")


class Guards(Reaping):
    settings = {"wal_level": "replica", "max_wal_senders": 4, "max_replication_slots": 4, "max_prepared_transactions": 4,
                "max_worker_processes": 8}

    def _keep(self, reasons):
        """Everybody matches; those named here stay, each for its reason, and the innocent neighbour goes."""
        self._session("victim", "SELECT 1")
        self._age()
        ran = self._reap(*OLD, "--active", "1s", *SCOPE, "--limit", "100", "--execute", "--json",
                         "--allow-application", "Billing*", "--pooler", "::1/128", "--pause", "0s")
        told = {row["pid"]: row["reason"] for row in ran.json["stays"]}
        for name, reason in reasons.items():
            with self.subTest(name):
                self.assertEqual(reason, told.get(self.clients[name].pid), ran)
                self.assertTrue(self._lives(name), f"{name} was ended")
        self._ended(ran, *[name for name in self.clients if name not in reasons])
        self.assertEqual(STATUS["done"], ran.status, ran)

    def privileged_roles_are_never_touched(self):
        self._sql("CREATE ROLE replicator LOGIN REPLICATION", "CREATE ROLE rdsadmin LOGIN", "CREATE ROLE cloudsqlagent LOGIN",
                  "CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        self._session("superuser", "SELECT 1", user="postgres")
        self._session("replicator", "SELECT 1", user="replicator")
        self._session("rdsadmin", "SELECT 1", user="rdsadmin")
        self._session("cloudsqlagent", "BEGIN", "SELECT 1", user="cloudsqlagent")
        self._session("monitor", "SELECT 1", user="monitor")
        self._keep({"superuser": "superuser", "replicator": "replication", "rdsadmin": "provider", "cloudsqlagent": "provider",
                    "monitor": "monitoring"})

    def who_may_use_the_reserved_slots_stays(self):
        """PostgreSQL 16 brings the role; before, one of that name stands in for it."""
        if self.admin.value("SELECT count(*) FROM pg_roles WHERE rolname = 'pg_use_reserved_connections'") == "0":
            self._sql("CREATE ROLE stand_in", "UPDATE pg_authid SET rolname = 'pg_use_reserved_connections' WHERE rolname = 'stand_in'")
        self._sql("CREATE ROLE fireman LOGIN", "GRANT pg_use_reserved_connections TO fireman")
        self._session("fireman", "SELECT 1", user="fireman")
        self._keep({"fireman": "reserved"})

    def whose_role_or_doing_cannot_be_seen_stays(self):
        self._sql("CREATE ROLE gone LOGIN", "CREATE ROLE silent LOGIN", "ALTER ROLE silent SET track_activities = off")
        self._session("of nobody", "SELECT 1", user="gone")
        self._session("untracked", "BEGIN", "SELECT 1", user="silent")
        self._sql("DROP ROLE gone")
        self._keep({"of nobody": "role", "untracked": "unknown"})

    def the_owner_of_a_database_is_no_monitor_there(self):
        self._sql("CREATE ROLE owner LOGIN IN ROLE pg_monitor", "CREATE DATABASE owned OWNER owner")
        self._session("stranger", "SELECT 1", user="owner", database="app")
        session = self._session("at home", "SELECT 1", user="owner", database="owned")
        self._age()
        ran = self._reap(*OLD, *SCOPE, "--json")
        self.assertEqual([session.pid], [row["pid"] for row in ran.json["goes"]])

    def applications_of_operators_and_of_the_allow_list_stay(self):
        names = ("pg_dump", "pg_basebackup", "Barman", "walreceiver", "Patroni heartbeat", "pg_cron scheduler", "repmgrd",
                 "pgAdmin 4 - DB:app", "psql", "alembic", "Flyway", "liquibase", "manage.py migrate", "billing nightly")
        for name in names:
            self._session(name, "SELECT 1")
        self._session("version table", "BEGIN", "SELECT 1 /* from public.alembic_version */")
        self._keep({**{name: "application" for name in names}, "version table": "migration"})

    def the_stars_of_a_pattern_are_its_only_special_letters(self):
        self._session("a%c", "SELECT 1")
        self._session("abc", "SELECT 1")
        self._session("a_c", "SELECT 1")
        self._session("xay", "SELECT 1")
        self._age()
        ran = self._reap("--idle", "1s", "--application", "a%c", "--application", "*ay", "--execute", "--pause", "0s")
        self._ended(ran, "a%c", "xay")

    def who_holds_what_others_rely_on_stays(self):
        self._sql("CREATE ROLE replicator REPLICATION", "GRANT replicator TO app", "CREATE ROLE manager LOGIN")
        self._session("slot", "SET ROLE replicator", "SELECT pg_create_physical_replication_slot('held', true, true)", "RESET ROLE")
        self._session("lock", "SELECT pg_advisory_lock(7)", "SELECT 1")
        self._session("lock in a transaction", "BEGIN", "SELECT pg_advisory_xact_lock(8)")
        preparing = self._session("preparing", "BEGIN", "CREATE TABLE made ()", "PREPARE TRANSACTION 'one'", user="manager",
                                  application="short")
        preparing.close()
        del self.clients["preparing"]
        self._session("coordinator", "SELECT 1", user="manager")
        self._session("listener", "LISTEN news")
        self._session("listener behind others", "SELECT 1; /* and now */ listen news")
        self._keep({"slot": "slot", "lock": "advisory", "lock in a transaction": "advisory", "coordinator": "prepared",
                    "listener": "listen", "listener behind others": "listen"})
        self._sql("ROLLBACK PREPARED 'one'", database="app")

    def who_only_speaks_of_listening_is_no_listener(self):
        self._session("talker", "SELECT 'unlisten', 1 AS listen_count")
        self._session("silent", "UNLISTEN *")
        self._keep({})

    def maintenance_is_never_touched(self):
        self._sql("CREATE TABLE big AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 20000) n",
                  "ALTER TABLE big OWNER TO app", "CREATE TABLE large AS TABLE big", "ALTER TABLE large OWNER TO app",
                  "CREATE TABLE copied (line text)", "ALTER TABLE copied OWNER TO app",
                  "CREATE TABLE few AS SELECT n FROM generate_series(1, 1000) n", "ALTER TABLE few OWNER TO app",
                  "CREATE TABLE clustered AS SELECT n FROM generate_series(1, 3) n",
                  "CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS"
                  " $$BEGIN PERFORM pg_sleep(coalesce(current_setting('slow.pause', true), '0.2')::float); RETURN n; END$$",
                  "SET slow.pause = '0'", "CREATE INDEX slowly ON clustered (slow(n))", "RESET slow.pause",
                  "ALTER TABLE clustered OWNER TO app", "ANALYZE few", database="app")
        slow = ("SET vacuum_cost_delay = '100ms'", "SET vacuum_cost_limit = 1")
        busy = {
            "vacuum": (slow, "VACUUM big"),
            "analyze": (slow, "ANALYZE large"),
            "maintenance": ((), "ANALYZE big"),             # waits for the vacuum
            "index": ((), "CREATE INDEX ON few (slow(n))"),
            "cluster": (("SET slow.pause = '60'",), "VACUUM FULL clustered"),
            "copy": ((), "COPY copied FROM STDIN"),
            "parallel": (("SET parallel_setup_cost = 0", "SET parallel_tuple_cost = 0", "SET min_parallel_table_scan_size = 0",
                          "SET max_parallel_workers_per_gather = 1"),
                         "SELECT count(*) FROM few WHERE slow(n) > 0"),
        }
        for name, (before, statement) in busy.items():
            self._session(name, *before).send(query(statement))
            if name == "vacuum":                            # or the ANALYZE comes first, and is done
                wait_until("it has its table", lambda: self.admin.value(
                    f"SELECT count(*) FROM pg_stat_progress_vacuum WHERE pid = {self.clients[name].pid}") == "1")
        self._session("a long query").send(query("SELECT pg_sleep(600)"))
        self._session("victim", "SELECT 1")
        self._age(1.3)
        ran = self._reap("--active", "1s", "--writing-times", "1", *SCOPE, "--execute", "--json", "--pause", "0s")
        told = {row["pid"]: row["reason"] for row in ran.json["stays"]}
        for name in busy:
            with self.subTest(name):
                self.assertEqual(name, told.get(self.clients[name].pid), ran)
                self.assertEqual("active", self.admin.value(
                    f"SELECT state FROM pg_stat_activity WHERE pid = {self.clients[name].pid}"))
        self.assertEqual([("a long query", "cancelled")],
                         [(line["application"], line["outcome"]) for line in ran.audit])
        self.assertEqual("57014", self.clients["a long query"].reply().error.sqlstate)

    def a_poolers_idle_connections_are_meant_to_be_idle(self):
        self._session("pgbouncer", "SELECT 1")
        self._session("behind one", "DISCARD ALL")
        self._session("by address", "SELECT 1", address=("::1", self.pg.port))
        self._session("held through one", "BEGIN", "SELECT 1", application="pgbouncer")
        self._keep({"pgbouncer": "pooler", "behind one": "pooler", "by address": "pooler"})

    def walsenders_are_no_sessions(self):
        self._sql("CREATE ROLE replicator LOGIN REPLICATION")
        self._session("standby", user="replicator", replication="true").send(
            query("START_REPLICATION PHYSICAL " + self.admin.value("SELECT pg_current_wal_flush_lsn()")))
        wait_until("it streams", lambda: self.admin.value("SELECT count(*) FROM pg_stat_replication") == "1")
        self._session("victim", "SELECT 1")
        self._age()
        ran = self._reap(*OLD, "--active", "1s", *SCOPE, "--execute", "--json", "--pause", "0s")
        self._ended(ran, "victim")
        self.assertNotIn(self.clients["standby"].pid, [row["pid"] for row in ran.json["stays"] + ran.json["goes"]])
        self.assertGreater(ran.json["background"], 1)

    def names_that_a_stranger_put_in_the_way_are_not_used(self):
        """Functions, views and operators in `public`, first in the database's own search_path."""
        trap = "CREATE FUNCTION public.{} RETURNS {} LANGUAGE plpgsql AS $$BEGIN RAISE 'a trap'; END$$"
        self._sql("CREATE VIEW public.pg_stat_activity AS SELECT * FROM pg_catalog.pg_stat_activity WHERE false",
                  "CREATE VIEW public.pg_locks AS SELECT * FROM pg_catalog.pg_locks WHERE false",
                  trap.format("pg_terminate_backend(int)", "boolean"), trap.format('"left"(text, int)', "text"),
                  trap.format("trap(name, text)", "boolean"),
                  "CREATE OPERATOR public.= (FUNCTION = public.trap, LEFTARG = name, RIGHTARG = text)",
                  "ALTER DATABASE app SET search_path = public, pg_catalog", database="app")
        self._session("lock", "SELECT pg_advisory_lock(7)")
        self._session("victim", "SELECT 1")
        self._age()
        ran = self._reap(*OLD, *SCOPE, "--execute", url=self._url(database="app"))
        self._ended(ran, "victim")


class Conditions(Reaping):
    def a_dry_run_changes_nothing(self):
        self._session("one", "SELECT 1")
        self._session("two", "BEGIN", "SELECT 1")
        self._age()
        before = self.admin.query("SELECT pid, state, state_change FROM pg_stat_activity WHERE usename = 'app' ORDER BY 1").rows
        ran = self._reap(*OLD)
        self.assertEqual(STATUS["candidates"], ran.status, ran)
        self.assertIn("Nothing was done", ran.out)
        self.assertEqual("", ran.err)
        self.assertEqual(before, self.admin.query(
            "SELECT pid, state, state_change FROM pg_stat_activity WHERE usename = 'app' ORDER BY 1").rows)
        self.assertEqual(sorted(self._pids("one", "two")), sorted(row["pid"] for row in self._reap(*OLD, "--json").json["goes"]))

    def without_an_age_a_dry_run_takes_the_usual_ones(self):
        self._session("young", "SELECT 1")
        ran = self._reap("--json")
        self.assertEqual(STATUS["done"], ran.status, ran)
        by_pid = {row["pid"]: row for row in ran.json["stays"]}
        row = by_pid[self.clients["young"].pid]
        self.assertEqual(("young", 600), (row["reason"], row["allowed_seconds"]))

    def to_act_an_age_and_a_scope_must_be_written_down(self):
        self._session("one", "SELECT 1")
        self._age()
        for arguments, says in (
                (("--execute",), "how old is too old?"),
                (("--execute", "--user", "app"), "how old is too old?"),
                (("--execute", "--idle", "1s"), "--everyone"),
                (("--execute", "--idle", "1s", "--everyone", "--user", "app"), "one or the other"),
                (("--idle", "0s"), "between 1 s and"),
                (("--idle", "10"), "unit"),
                (("--idle", "-5s"), "unit"),
                (("--limit", "0"), "from 1 to"),
                (("--limit", "many"), "from 1 to"),
                (("--address", "10.0.0.0/33"), "network"),
                (("--address", "nowhere"), "network"),
                (("--user", ""), "wants a name"),
                (("--user", b"\xff"), "UTF-8"),
                (("--kill-them-all",), "unrecognized"),
                (("another-url",), "one URL only")):
            with self.subTest(arguments):
                ran = self._reap(*arguments)
                self.assertEqual(STATUS["usage"], ran.status, ran)
                self.assertIn(says, ran.err)
                self.assertEqual("", ran.out)
        self.assertTrue(self._lives("one"))

    def each_filter_ends_its_own_alone(self):
        self._sql("CREATE ROLE guest LOGIN")
        for arguments, name in ((("--user", "guest"), "user"), (("--database", "app2"), "database"),
                                (("--application", "shop/*"), "application"), (("--address", "::1/128"), "address"),
                                (("--address", "local"), "socket")):
            with self.subTest(name):
                self.clients = {}
                self._session("user", "SELECT 1", user="guest", application="x")
                self._session("database", "SELECT 1", database="app2", application="x")
                self._session("application", "SELECT 1", application="shop/worker 3")
                self._session("address", "SELECT 1", application="x", address=("::1", self.pg.port))
                self._session("socket", "SELECT 1", application="x", address=self.pg.socket_path)
                self._age()
                ran = self._reap("--idle", "1s", *arguments, "--execute", "--json")
                self._ended(ran, name)
                for client in self.clients.values():
                    client.close()
                wait_until("they are gone", lambda: not any(self._lives(each) for each in self.clients))

    def only_the_states_that_are_named_are_meant(self):
        self._session("idle", "SELECT 1")
        self._session("holding", "BEGIN", "SELECT 1")
        self._session("running").send(query("SELECT pg_sleep(600)"))
        self._age()
        ran = self._reap("--idle", "1s", "--user", "app", "--execute", "--json")
        self._ended(ran, "idle")
        told = {row["application"]: row["reason"] for row in ran.json["stays"]}
        self.assertEqual(("transaction", "busy"), (told["holding"], told["running"]))
        self._reap("--idle-in-transaction", "1s", "--user", "app", "--execute")
        self.assertFalse(self._lives("holding"))
        self.assertTrue(self._lives("running"))

    def who_has_written_may_be_older(self):
        self._sql("CREATE TABLE notes (n int)", "ALTER TABLE notes OWNER TO app", database="app")
        self._session("reader", "BEGIN", "SELECT 1")
        self._session("writer", "BEGIN", "INSERT INTO notes VALUES (1)")
        self._age()
        ran = self._reap("--idle-in-transaction", "1s", "--writing-times", "60", "--user", "app", "--execute", "--json")
        self._ended(ran, "reader")
        writer, = [row for row in ran.json["stays"] if row["application"] == "writer"]
        self.assertEqual(("young", 60, True), (writer["reason"], writer["allowed_seconds"], writer["has_written"]))
        ran = self._reap("--idle-in-transaction", "1s", "--writing-times", "1", "--user", "app", "--execute")
        self.assertFalse(self._lives("writer"), ran)

    def those_that_block_come_first_then_the_oldest(self):
        self._sql("CREATE TABLE notes AS SELECT 1 AS n", "ALTER TABLE notes OWNER TO app", database="app")
        self._session("oldest", "SELECT 1")
        time.sleep(0.1)
        self._session("older", "BEGIN", "SELECT 1")
        time.sleep(0.1)
        self._session("blocks", "BEGIN", "UPDATE notes SET n = 2")
        for name in ("waits", "waits too"):
            self._session(name).send(query("UPDATE notes SET n = 3"))
        wait_until("two wait", lambda: self.admin.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "2")
        self._age()
        ran = self._reap(*OLD, "--user", "app", "--execute", "--limit", "2", "--json")
        self._ended(ran, "blocks", "oldest")
        self.assertEqual([1, 0], [min(row["blocks"], 1) for row in ran.json["goes"]])
        self.assertIn("wait for its locks", ran.json["goes"][0]["why"])
        self.assertEqual("limit", next(row["reason"] for row in ran.json["stays"] if row["application"] == "older"))
        self.assertFalse(self.clients["waits"].reply().errors)


class Acting(Reaping):
    def who_did_something_since_the_list_was_made_is_spared(self):
        """The equality of state and state_change, with a pause between the first and the second to do something in."""
        self._session("first", "SELECT 1")
        self._session("second", "SELECT 1")
        self._session("third", "SELECT 1")
        self._session("fourth", "SELECT 1")
        self._age()
        running = self._start(*OLD, "--user", "app", "--execute", "--pause", "4s", "--json")
        wait_until("the first is gone", lambda: not self._lives("first"))
        # Idle again, and still old enough when its turn comes four seconds later.
        self.clients["second"].query("SELECT 2")
        self.clients["third"].query("SELECT pg_advisory_lock(1)")
        self.clients["fourth"].close()
        ran = self._finish(running)
        self.assertEqual(["ended", "spared", "spared", "gone"], [row["outcome"] for row in ran.json["goes"]], ran)
        self.assertTrue(self._lives("second") and self._lives("third"))
        self.assertEqual(STATUS["done"], ran.status)

    def who_came_under_a_guard_since_the_list_was_made_is_spared(self):
        """Its own state is what it was; only the guards, asked again in the statement that signals, can tell."""
        self._sql("CREATE ROLE promoted LOGIN")
        self._session("first", "SELECT 1")
        self._session("second", "SELECT 1", user="promoted")
        self._age()
        running = self._start(*OLD, *SCOPE, "--execute", "--pause", "4s", "--json")
        wait_until("the first is gone", lambda: not self._lives("first"))
        self._sql("ALTER ROLE promoted REPLICATION")
        ran = self._finish(running)
        self.assertEqual(["ended", "spared"], [row["outcome"] for row in ran.json["goes"]], ran)
        self.assertEqual("spared: its role may replicate", ran.json["goes"][1]["outcome_text"])
        self.assertTrue(self._lives("second"))

    def true_from_pg_terminate_backend_is_no_proof(self):
        session = self._session("stopped", "SELECT 1")
        self._age()
        os.kill(session.pid, signal.SIGSTOP)
        try:
            ran = self._reap(*OLD, "--user", "app", "--execute", "--wait", "500ms", "--json")
            self.assertEqual(STATUS["stayed"], ran.status, ran)
            row, = ran.json["goes"]
            self.assertEqual("stayed", row["outcome"])
            self.assertIn("still there", row["outcome_text"])
            self.assertTrue(self._lives("stopped"))
        finally:
            os.kill(session.pid, signal.SIGCONT)
        wait_until("the signal arrives", lambda: not self._lives("stopped"))

    def a_statement_is_cancelled_before_its_session_is_ended(self):
        self._session("obeys").send(query("SELECT pg_sleep(600)"))
        self._session("ignores").send(query(
            "DO $$BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END$$"))
        self._age()
        ran = self._reap("--active", "1s", "--user", "app", "--execute", "--wait", "4s", "--json")
        self.assertEqual({"obeys": "cancelled", "ignores": "ended"},
                         {row["application"]: row["outcome"] for row in ran.json["goes"]}, ran)
        self.assertEqual("57014", self.clients["obeys"].reply().error.sqlstate)
        self.assertEqual("1", self.clients["obeys"].value("SELECT 1"))
        self.assertFalse(self._lives("ignores"))

    def a_leak_that_goes_on_is_said(self):
        self._session("leak 1", "SELECT 1", application="leaky")
        self._session("leak 2", "SELECT 1", application="leaky")
        self._age()
        running = self._start(*OLD, "--user", "app", "--execute", "--pause", "5s")
        wait_until("the first is gone", lambda: not self._lives("leak 1"))
        for name in ("new 1", "new 2", "new 3"):
            self._session(name, "SELECT 1", application="leaky")
        ran = self._finish(running)
        self.assertIn("2 ended, and 3 new sessions of the same user", ran.out)

    def every_kill_is_one_line_of_audit(self):
        session = self._session("billing", "SELECT 'secret', 42 /* route=/pay */")
        self._age()
        ran = self._reap("--idle", "1s", "--application", "billing", "--execute")
        line, = ran.audit
        self.assertEqual((session.pid, "app", "app", "billing", "idle", "ended", "postgres", os.geteuid()),
                         tuple(line[key] for key in ("pid", "user", "database", "application", "state", "outcome", "by",
                                                     "by_system_user")))
        self.assertEqual("SELECT ?, ? /* route=/pay */", line["statement"])
        self.assertGreaterEqual(line["age_seconds"], 1)
        self.assertRegex(line["why"], r"^idle for \d+(\.\d)? s, 1 s allowed; silent since its first seconds$")
        self.assertAlmostEqual(line["age_seconds"], float(line["why"].split()[2]), delta=0.11)      # of which it says the tenths
        self.assertIn("gone after", line["outcome_text"])

    def the_limit_bounds_one_run(self):
        for number in range(5):
            self._session(f"number {number}", "SELECT 1")
        self._age()
        ran = self._reap(*OLD, "--user", "app", "--execute", "--limit", "3", "--pause", "0s")
        self._ended(ran, "number 0", "number 1", "number 2")
        self.assertIn("beyond --limit", ran.out)


class Rights(Reaping):
    settings = {"max_connections": 8, "superuser_reserved_connections": 2}

    def without_rights_it_says_what_it_cannot_see_and_what_it_may_not_do(self):
        self._sql("CREATE ROLE keeper LOGIN")
        self._session("one", "SELECT 1")
        self._age()
        ran = self._reap(*OLD, user="keeper")
        self.assertEqual(STATUS["done"], ran.status, ran)
        self.assertIn('GRANT pg_read_all_stats TO "keeper"', ran.out)
        self.assertIn("what it does cannot be seen", ran.out)
        self._sql("GRANT pg_read_all_stats TO keeper")
        ran = self._reap(*OLD, *SCOPE, "--execute", "--json", user="keeper")
        self.assertEqual(["signal"], [row["reason"] for row in ran.json["stays"] if row["application"] == "one"], ran)
        self.assertTrue(self._lives("one"))
        self._sql("GRANT pg_signal_backend TO keeper")
        self._session("superuser", "SELECT 1", user="postgres")
        self._age()
        ran = self._reap(*OLD, *SCOPE, "--execute", user="keeper")
        self._ended(ran, "one")
        self.assertEqual("keeper", ran.audit[0]["by"])

    def a_role_may_end_its_own_sessions(self):
        self._sql("CREATE ROLE plain LOGIN")
        self._session("one", "SELECT 1", user="plain")
        self._age()
        self._ended(self._reap(*OLD, "--user", "plain", "--execute", user="plain"), "one")

    def it_works_when_postgresql_is_full(self):
        for number in range(5):
            self._session(f"leak {number}", "SELECT 1")
        with self.assertRaises(wire.Refused) as caught:
            for number in range(5, 8):
                self._session(f"leak {number}", "SELECT 1")
        self.assertEqual("53300", caught.exception.sqlstate)
        self._age()
        ran = self._reap(*OLD, user="other")
        self.assertEqual(STATUS["failed"], ran.status, ran)
        self.assertIn("53300", ran.err)
        self.assertIn("superuser_reserved_connections", ran.err)
        ran = self._reap(*OLD, "--user", "app", "--execute", "--limit", "2")
        self.assertEqual(STATUS["done"], ran.status, ran)
        self.assertIn("full for normal users", ran.out)
        self._session("served again", "SELECT 1")

    def a_pooler_in_between_is_noticed(self):
        pooler = self.pooler(pg=self.pg)
        ran = self._reap(*OLD, url=f"postgresql://app@127.0.0.1:{pooler.port}/app")
        self.assertEqual(STATUS["failed"], ran.status, ran)
        self.assertIn("leads to a pooler", ran.err)

    def a_pooler_in_between_keeps_nothing_of_ours(self):
        pooler = self.pooler(pg=self.pg, called="pgbouncer", settings={"default_pool_size": 1})
        client = pooler.client()
        path, zone = client.value("SHOW search_path"), client.value("SHOW timezone")
        ran = self._reap(*OLD, url=f"postgresql://app@127.0.0.1:{pooler.port}/app")
        self.assertEqual(STATUS["failed"], ran.status, ran)
        self.assertEqual((path, zone), (client.value("SHOW search_path"), client.value("SHOW timezone")))

    def a_login_that_fails_says_what_to_do(self):
        for url, status, says in (
                ("postgresql://x@127.0.0.1:1/x", "failed", "Is PostgreSQL there"),
                (self._url(user="nobody_here"), "failed", "no such role"),
                (self._url(database="nowhere"), "failed", "Any database will do"),
                ("words", "usage", "A URL is")):
            with self.subTest(url):
                ran = self._reap(url=url)
                self.assertEqual(STATUS[status], ran.status, ran)
                self.assertIn(says, ran.err)


    def a_server_that_only_pretends_cannot_command_the_terminal(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(20)
            running = self._start(url=f"postgresql://x@127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable&gssencmode=disable")
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(wire.message(b"E", b"SFATAL\0VFATAL\0C28000\0Mred \x1b[31m \xc2\x9b\0\0"))
                ran = self._finish(running)
        self.assertEqual(STATUS["failed"], ran.status, ran)
        self.assertIn("red ?[31m ??", ran.err)
        self.assertNotIn("\x1b", ran.err)


class Showing(Reaping):
    def hostile_names_and_statements_are_shown_escaped(self):
        self._sql("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
                  'CREATE ROLE "ev\x1b[31mil\u202e<b>" LOGIN')
        self._session("coloured", "SELECT 1 /* \x1b[2J <script>alert(1)</script> \u202e \r\n next */", user="ev\x1b[31mil\u202e<b>")
        self._session("bytes", "SELECT 1 AS a", database="bytes")
        raw = self.clients["bytes"]
        raw.send(wire.message(b"Q", b"SELECT 1 /* \xff\xfe\xc3( \xe9 */\0"))
        raw.reply()
        self._session("many", "SELECT 1 -- " + "\u20ac" * 3000)
        self._age()
        ran = self._reap(*OLD)
        self.assertEqual(STATUS["candidates"], ran.status, ran)
        for bad in ("\x1b", "\r", "\u202e", "\x00"):
            self.assertNotIn(bad, ran.out)
        self.assertIn("\\x1b", ran.out)
        self.assertIn("\\u{202e}", ran.out)
        self.assertIn('\\xff\\xfe\\xc3', ran.out)
        ran = self._reap(*OLD, "--json", "--execute", "--user", "ev\x1b[31mil\u202e<b>", "--database", "app")
        self.assertRegex(ran.bytes, rb"^[\n\x20-\x7e]*$")
        self.assertNotIn(b"<", ran.bytes)
        row, = ran.json["goes"]
        self.assertEqual("ev\x1b[31mil\u202e<b>", row["user"])
        self.assertIn("<script>", row["statement"])
        self.assertFalse(self._lives("coloured"))
        self.assertEqual(1, len(ran.err.splitlines()))
        self.assertNotIn("\x1b", ran.err)
        rows = self._reap(*OLD, "--json").json["goes"]
        self.assertIn("\ufffd", next(row["statement"] for row in rows if row["application"] == "bytes"))

    def literals_are_shown_only_when_asked_for(self):
        self._session("one", "SELECT 'secret', E'\\'secret', $$secret$$ /* kept */")
        self._age()
        ran = self._reap(*OLD)
        self.assertNotIn("secret", ran.out)
        self.assertIn("SELECT ?, ?, ? /* kept */", ran.out)
        self.assertNotIn("secret", self._reap(*OLD, "--json").out)
        self.assertIn("'secret'", self._reap(*OLD, "--show-literals").out)

    def the_json_has_its_shape(self):
        self._session("one", "SELECT 1")
        self._age()
        document = self._reap(*OLD, "--json").json
        number, whole, text, truth, nothing = (int, float), int, str, bool, type(None)
        session = {"pid": whole, "user": text, "database": text, "application": text, "address": text, "state": (text, nothing),
                   "age_seconds": (*number, nothing), "allowed_seconds": (*number, nothing),
                   "transaction_seconds": (*number, nothing), "has_written": truth, "never_reused": truth, "blocks": whole,
                   "xmin_age": (whole, nothing), "statement": text, "reason": text, "why": text}
        shapes = [
            ({"pgweir": text, "server": dict, "executed": truth, "goes": list, "stays": list, "hidden": whole, "outside": whole,
              "background": whole, "came_back": whole, "status": whole}, document),
            ({"version": text, "address": text, "user": text, "superuser": truth, "sees_all": truth, "standby": truth,
              "slots": whole, "slots_used": whole, "slots_kept_for_superusers": whole, "slots_kept_for_a_role": whole},
             document["server"]),
            ({**session, "outcome": text, "outcome_text": text}, document["goes"][0]),
            (session, document["stays"][0]),
        ]
        for shape, found in shapes:
            self.assertEqual(sorted(shape), sorted(found))
            for key, kind in shape.items():
                self.assertIsInstance(found[key], kind, key)
        self.assertEqual((60, STATUS["candidates"], False), (document["server"]["slots"], document["status"], document["executed"]))

    def the_help_fits_a_screen_and_ends_with_an_example(self):
        for command in (["reap", "--help"], ["help", "reap"]):
            said = subprocess.run([live.bin, *command], capture_output=True, text=True, timeout=60, check=True).stdout
            lines = said.splitlines()
            self.assertLessEqual(len(lines), 40)
            self.assertTrue(lines[-1].startswith("Example:"), lines[-1])
            self.assertLessEqual(max(map(len, lines)), 130)

    def without_its_tool_pgweir_says_so(self):
        alone = live.folder / "alone"
        alone.mkdir(exist_ok=True)
        program = shutil.copy(live.bin, alone / "pgweir")
        ran = subprocess.run([program, "reap", "--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual(STATUS["failed"], ran.returncode)
        self.assertIn(f'could not start "{alone}/pgweir-reap": No such file', ran.stderr)
        self.assertIn("in the same folder", ran.stderr)

    def the_process_that_strangers_reach_links_nothing_for_its_sake(self):
        linked = subprocess.run(["ldd", live.bin], capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertNotRegex(linked, "libpq|jansson")
        self.assertTrue(pathlib.Path(live.bin + "-reap").exists())
