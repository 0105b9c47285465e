"""Session mode cannot be told from PostgreSQL: the server is the client's from its login to its end, and nobody else's.

Each story runs directly too, where it says what PostgreSQL does. Under the name pgbouncer a client takes its server at its first query, as
PgBouncer's do, and its process id is invented."""
import threading

import wire
from harness import Story, on, wait_until


class Indistinguishable(Story):
    kinds = ("pgweir", "direct")

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "session", "default_pool_size": 3})

    def the_process_id_is_the_servers(self):
        clients = [self.proxy.client() for _ in range(3)]
        for client in clients:
            self.assertEqual(str(client.pid), client.value("SELECT pg_backend_pid()"))
        self.assertEqual(3, len({client.pid for client in clients}))

    def a_client_has_its_server_before_it_asks_anything(self):
        client = self.proxy.client(parameters={"options": "-c work_mem=3MB"})
        self.assertEqual("idle", self.pg.value(f"SELECT state FROM pg_stat_activity WHERE pid = {client.pid}"))
        self.assertEqual("3MB", client.value("SHOW work_mem"))

    def a_cancel_with_that_id_ends_the_clients_own_query(self):
        sleeper, other = self.proxy.client(), self.proxy.client()
        other.send(wire.query("SELECT pg_sleep(60)"))
        sleeper.send(wire.query("SELECT pg_sleep(60)"))
        for client in (sleeper, other):
            wait_until("it sleeps", lambda pid=client.pid: self.pg.value(
                f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") == "PgSleep")
        sleeper.cancel(pid=other.pid)                       # its secret is another's: nobody is harmed
        sleeper.cancel()
        self.assertEqual("57014", sleeper.reply().error.sqlstate)
        self.assertEqual("1", sleeper.value("SELECT 1"))
        self.assertEqual("active", self.pg.value(f"SELECT state FROM pg_stat_activity WHERE pid = {other.pid}"))
        other.cancel()
        self.assertEqual("57014", other.reply().error.sqlstate)

    @on("pgweir")
    def the_secret_is_new_for_each_client_of_one_server(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 1})
        with wire.Client(pooler.address) as first:
            pass
        second = pooler.client()
        self.assertEqual(first.pid, second.pid)
        self.assertNotEqual(first.secret, second.secret)
        second.send(wire.query("SELECT pg_sleep(60)"))
        wait_until("it sleeps", lambda: self.pg.value(
            f"SELECT wait_event FROM pg_stat_activity WHERE pid = {second.pid}") == "PgSleep")
        second.cancel(secret=first.secret)
        self.assertEqual("active", self.pg.value(f"SELECT state FROM pg_stat_activity WHERE pid = {second.pid}"))
        second.cancel()
        self.assertEqual("57014", second.reply().error.sqlstate)

    @on("pgweir")
    def a_login_waits_for_a_server(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 1})
        first, arrived = pooler.client(), []
        thread = threading.Thread(target=lambda: arrived.append(pooler.client()), daemon=True)
        thread.start()
        wait_until("it waits", lambda: pooler.pool()["cl_waiting"] == 1)
        self.assertEqual([], arrived)
        first.close()
        thread.join(20)
        self.assertEqual(first.pid, arrived[0].pid)

    @on("pgweir")
    def a_login_that_waits_too_long_is_told_who_holds_the_servers(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 1})
        pooler.client()
        pooler.console().query("SET query_wait_timeout = 1")
        error = self.refused(wire.Client, pooler.address, says="query_wait_timeout", sqlstate="53300")
        self.assertIn("The only server of pool ", error.detail)
        self.assertIn("pool_mode=session", error.hint)
        # Who looks at the log afterwards is told the same.
        pooler.await_log("pooler error: query_wait_timeout (The only server of pool ")

    def a_used_server_shows_no_trace_of_its_last_client(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 1})
        with wire.Client(pooler.address, parameters={"options": "-c work_mem=3MB", "application_name": "first"}) as first:
            first.query("SET search_path = nowhere; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET ROLE app")
            first.query("BEGIN READ WRITE; CREATE TEMP TABLE mine (n serial); INSERT INTO mine DEFAULT VALUES; COMMIT; LISTEN mine; "
                        "SELECT pg_advisory_lock(5); PREPARE p AS SELECT 1; DECLARE c CURSOR WITH HOLD FOR SELECT 1")
            first.prepare("p2", "SELECT 1")
        second = pooler.client()
        for sql, expected in (("SHOW work_mem", "4MB"), ("SHOW search_path", '"$user", public'), ("SHOW application_name", ""),
                              ("SHOW default_transaction_read_only", "off"), ("SHOW role", "none"),
                              ("SELECT count(*) FROM pg_prepared_statements", "0"), ("SELECT count(*) FROM pg_cursors WHERE is_holdable", "0"),
                              ("SELECT count(*) FROM pg_listening_channels()", "0"), ("SELECT to_regclass('mine')", None),
                              ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0")):
            self.assertEqual(expected, second.value(sql), sql)
        self.assertEqual("55000", second.simple("SELECT lastval()").error.sqlstate)

    def reset_leads_back_to_what_the_login_asked_for(self):
        asked = {"options": "-c work_mem=3MB", "DateStyle": "Postgres, MDY", "application_name": "mine"}
        client = self.proxy.client(parameters=asked)
        for reset in ("RESET work_mem", "RESET ALL", "DISCARD ALL", "SET work_mem TO DEFAULT"):
            client.query("SET work_mem = '5MB'; SET maintenance_work_mem = '6MB'")
            client.query(reset)
            self.assertEqual("3MB", client.value("SHOW work_mem"), reset)
            self.assertEqual("64MB" if "ALL" in reset else "6MB", client.value("SHOW maintenance_work_mem"), reset)
        client.query("SET datestyle = 'ISO'; SET application_name = 'other'")
        client.query("RESET ALL")
        told = client.parameters
        self.assertEqual(("Postgres, MDY", "mine"), (told.get("DateStyle"), told.get("application_name")))
        self.assertEqual("Postgres, MDY", client.value("SHOW datestyle"))

    def reset_in_a_transaction_that_rolls_back_was_none(self):
        client = self.proxy.client(parameters={"options": "-c work_mem=3MB"})
        client.query("SET work_mem = '5MB'")
        client.query("BEGIN")
        client.query("RESET work_mem")
        self.assertEqual("3MB", client.value("SHOW work_mem"))
        client.query("ROLLBACK")
        self.assertEqual("5MB", client.value("SHOW work_mem"))
        self.refused(client.query, "RESET nosuch_setting")
        self.assertEqual("5MB", client.value("SHOW work_mem"))

    def reset_by_the_extended_protocol_leads_back_too(self):
        client = self.proxy.client(parameters={"options": "-c work_mem=3MB"})
        client.query("SET work_mem = '5MB'")
        client.extended("RESET work_mem")
        self.assertEqual("3MB", client.value("SHOW work_mem"))

    def fatal_errors_are_the_servers_own(self):
        client = self.proxy.client()
        self.pg.value(f"SELECT pg_terminate_backend({client.pid})")
        error, = client.expect_closed()
        self.assertEqual(("FATAL", "57P01", "terminating connection due to administrator command", "postgres.c"),
                         (error.severity, error.sqlstate, error.message, error.fields.get("F")))


class AsPgBouncer(Story):
    kinds = ("pgweir",)

    def the_server_is_taken_at_the_first_query(self):
        pooler = self.pooler(settings={"pool_mode": "session", "default_pool_size": 1}, called="pgbouncer")
        first, second = pooler.client(), pooler.client()
        self.assertNotEqual(first.pid, second.pid)
        self.assertEqual(0, pooler.pool()["sv_active"])
        self.assertNotEqual(str(first.pid), first.value("SELECT pg_backend_pid()"))


class FastClose(Story):
    """server_fast_close: a server that must close does not wait for the end of a session."""
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.proxy = self.pooler(settings={"pool_mode": "session", "default_pool_size": 3, "server_fast_close": 1})

    def _ends(self, client, message="terminating connection due to administrator command", sqlstate="57P01"):
        error, = client.expect_closed()
        self.assertEqual(("FATAL", sqlstate, message), (error.severity, error.sqlstate, error.message))

    def who_rests_is_ended_at_once_and_comes_back_to_a_new_server(self):
        client = self.proxy.client()
        before = client.value("SELECT pg_backend_pid()")
        self.proxy.console().query("RECONNECT app")
        self._ends(client)
        self.assertNotEqual(before, self.proxy.client().value("SELECT pg_backend_pid()"))
        self.assertEqual(["WAIT_CLOSE"], self.proxy.console().query("WAIT_CLOSE app").tags)

    def who_has_said_nothing_yet_is_ended_too(self):
        client = self.proxy.client()
        self.proxy.console().query("RECONNECT app")
        self._ends(client)

    def a_transaction_is_brought_to_its_end_first(self):
        client = self.proxy.client()
        client.query("BEGIN")
        self.proxy.console().query("RECONNECT app")
        self.assertEqual("2", client.value("SELECT 2"))
        client.send(wire.query("COMMIT"))
        self.assertEqual(["COMMIT"], client.reply().tags)
        self._ends(client)

    def a_reload_that_changes_the_entry_does_the_same(self):
        changed, other = self.proxy.client(), self.proxy.client(database="app2")
        self.proxy.databases["app"] = "dbname=app application_name=new"
        self.proxy.write_files()
        self.proxy.console().query("RELOAD")
        self._ends(changed)
        self.assertEqual("1", other.value("SELECT 1"))

    def it_can_be_switched_on_for_those_who_wait_already(self):
        pooler = self.pooler(settings={"pool_mode": "session"})
        client, console = pooler.client(), pooler.console()
        console.query("RECONNECT app")
        self.assertEqual("1", client.value("SELECT 1"))     # as ever: when it leaves
        console.query("SET server_fast_close = 1")
        self._ends(client)

    def transaction_mode_needs_no_such_thing(self):
        pooler = self.pooler(settings={"server_fast_close": 1})
        client = pooler.client()
        client.query("BEGIN")
        pooler.console().query("RECONNECT app")
        client.query("COMMIT")
        self.assertEqual("1", client.value("SELECT 1"))

    def under_the_name_pgbouncer_the_text_is_its_own(self):
        pooler = self.pooler(settings={"pool_mode": "session", "server_fast_close": 1}, called="pgbouncer")
        client = pooler.client()
        client.query("SELECT 1")
        pooler.console().query("RECONNECT app")
        self._ends(client, "database configuration changed", "08P01")
