"""The console: every SHOW, every command, who may say what, and that it answers when nothing else does."""
import os
import re
import signal
import threading
import time

import wire
from harness import Pooler, Story, free_port, live, on, wait_until
from wire import Client, SYNC, batch, parse, query

BOTH = ("pgweir", "pgbouncer")

TEXT, INT4, INT8, NUMERIC = 25, 23, 20, 1700

# What PgBouncer 1.25 sends, in its order. New columns may only follow.
CLIENTS = ("type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed"
           " ptr link remote_pid tls application_name prepared_statements id").split()
COLUMNS = {
    "CLIENTS": CLIENTS,
    "SERVERS": CLIENTS,
    "POOLS": ("database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel"
              " sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts").split(),
    "DATABASES": ("name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode"
                  " load_balance_hosts max_connections current_connections max_client_connections"
                  " current_client_connections paused disabled").split(),
    "PEERS": "peer_id host port pool_size".split(),
    "PEER_POOLS": "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login".split(),
    "USERS": ("name pool_size reserve_pool_size pool_mode max_user_connections current_connections"
              " max_user_client_connections current_client_connections").split(),
    "STATS": ("database total_server_assignment_count total_xact_count total_query_count total_received total_sent total_xact_time"
              " total_query_time total_wait_time total_client_parse_count total_server_parse_count total_bind_count"
              " total_client_login_count avg_server_assignment_count avg_xact_count avg_query_count avg_recv avg_sent"
              " avg_xact_time avg_query_time avg_wait_time avg_client_parse_count avg_server_parse_count avg_bind_count"
              " avg_client_login_count").split(),
    "TOTALS": "name value".split(),
    "CONFIG": "key value default changeable".split(),
    "LISTS": "list items".split(),
    "STATE": "key value".split(),
    "MEM": "name size used free memtotal".split(),
    "VERSION": "version".split(),
}
NUMBERS = {name for name in COLUMNS["POOLS"] if name.startswith(("cl_", "sv_", "maxwait"))} \
    | {"peer_id", "port", "local_port", "wait", "wait_us", "close_needed", "remote_pid", "prepared_statements", "id", "items", "size", "used",
       "free", "memtotal", "paused", "disabled", "current_connections", "max_connections"}


class Shows(Story):
    kinds = BOTH

    @on("pgweir", why="columns of 1.25")
    def every_show_has_pgbouncers_columns_in_its_order(self):
        pooler = self.pooler()
        client = pooler.client()
        client.value("SELECT 1")
        console = pooler.console()
        for what, columns in COLUMNS.items():
            with self.subTest(what):
                reply = console.query(f"SHOW {what}")
                self.assertEqual(columns, reply.names[:len(columns)])
                self.assertEqual(["SHOW"], reply.tags)
                for name, oid in reply.columns:
                    if what == "STATS" and name != "database":
                        self.assertEqual(NUMERIC, oid, name)
                    elif what in ("CLIENTS", "SERVERS", "POOLS", "DATABASES", "PEERS", "PEER_POOLS", "LISTS", "MEM") and name in NUMBERS:
                        self.assertEqual(INT4, oid, name)

    @on("pgweir")
    def the_second_name_of_the_console_is_pgweir(self):
        pooler = self.pooler()
        self.assertIn("pgweir", pooler.console(database="pgweir").value("SHOW VERSION").lower())

    def clients_and_servers_are_listed_as_they_are(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        idle, busy, waiting = (pooler.client(parameters={"application_name": name}) for name in ("resting", "working", "queueing"))
        idle.value("SELECT 1")
        busy.begin()
        pid = busy.value("SELECT pg_backend_pid()")
        waiting.send(query("SELECT 1"))

        def state(name):
            for row in pooler.show("CLIENTS"):
                if row["application_name"] == name:
                    return row
        wait_until("it waits", lambda: state("queueing")["state"] == "waiting")
        self.assertEqual("active", state("working")["state"])
        if live.kind == "pgweir":
            self.assertEqual("idle", state("resting")["state"])
        row = state("working")
        self.assertEqual(("app", "app", "127.0.0.1"), (row["user"], row["database"], row["addr"]))
        self.assertEqual(busy.socket.getsockname()[1], int(row["port"]))
        self.assertRegex(row["connect_time"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
        servers = [each for each in pooler.show("SERVERS") if each["user"] == "app"]
        self.assertEqual(1, len(servers))
        self.assertEqual(pid, servers[0]["remote_pid"])
        self.assertEqual("active", servers[0]["state"])
        self.assertEqual(row["ptr"], servers[0]["link"])
        self.assertEqual(row["link"], servers[0]["ptr"])
        pool = pooler.pool()
        self.assertEqual((1, 1, 0), (pool["sv_active"], pool["cl_waiting"], pool["sv_idle"]))
        self.assertEqual("transaction", pool["pool_mode"])
        busy.query("COMMIT")
        waiting.reply()
        wait_until("the server is back", lambda: (0, 0, 1) == tuple(pooler.pool()[key] for key in ("sv_active", "cl_waiting", "sv_idle")))

    def what_was_done_is_counted(self):
        pooler = self.pooler()
        client = pooler.client()
        row = lambda: next(row for row in pooler.show("STATS") if row["database"] == "app")
        before = row()
        for _ in range(3):
            client.query("SELECT 1")
        client.begin()
        client.query("SELECT 1")
        client.query("COMMIT")
        grew = lambda name: int(row()[name]) - int(before[name])
        wait_until("all is counted", lambda: grew("total_query_count") >= 6 and grew("total_xact_count") >= 4)
        self.assertEqual(4, grew("total_xact_count"))
        self.assertEqual(6, grew("total_query_count"))
        self.assertGreater(grew("total_received"), 30)
        self.assertGreater(grew("total_sent"), 30)

    @on("pgweir", why="since 1.24")
    def parses_and_binds_are_counted(self):
        pooler = self.pooler()
        client = pooler.client()
        client.prepare("counted", "SELECT 1")
        for _ in range(5):
            client.run_prepared("counted")
        row = lambda: next(row for row in pooler.show("STATS") if row["database"] == "app")
        wait_until("all is counted", lambda: int(row()["total_bind_count"]) >= 5)
        row = row()
        self.assertEqual("5", row["total_bind_count"])
        self.assertEqual("1", row["total_client_parse_count"])

    def config_tells_every_setting_and_its_default(self):
        pooler = self.pooler(settings={"query_wait_timeout": 77})
        config = {row["key"]: row for row in pooler.show("CONFIG")}
        for key in ("listen_port", "pool_mode", "max_client_conn", "default_pool_size", "auth_type", "server_lifetime"):
            self.assertIn(key, config)
        self.assertEqual(str(pooler.port), config["listen_port"]["value"])
        self.assertEqual("77", config["query_wait_timeout"]["value"].rstrip("0").rstrip(".") if "." in config["query_wait_timeout"]["value"]
                         else config["query_wait_timeout"]["value"])
        self.assertEqual(("yes", "no"), (config["query_wait_timeout"]["changeable"], config["listen_port"]["changeable"]))

    def lists_counts_what_there_is(self):
        pooler = self.pooler()
        clients = [pooler.client() for _ in range(3)]
        clients[0].value("SELECT 1")
        lists = {row["list"]: int(row["items"]) for row in pooler.show("LISTS")}
        for name in ("databases", "users", "pools", "free_clients", "used_clients", "login_clients", "free_servers", "used_servers"):
            self.assertIn(name, lists)
        self.assertGreaterEqual(lists["used_clients"], 3)
        # `free` is PgBouncer's word for structures without a connection: idle servers are `used`.
        self.assertGreaterEqual(lists["used_servers"], 1)

    def databases_and_users_are_listed(self):
        pooler = self.pooler(settings={"default_pool_size": 7}, databases={"app": "dbname=app", "named": "dbname=app2 user=third pool_size=3"})
        pooler.client().value("SELECT 1")
        rows = {row["name"]: row for row in pooler.show("DATABASES")}
        self.assertEqual(("app2", "third", "3"), (rows["named"]["database"], rows["named"]["force_user"], rows["named"]["pool_size"]))
        self.assertEqual(("7", "1", str(self.pg.port)), (rows["app"]["pool_size"], rows["app"]["current_connections"], rows["app"]["port"]))
        self.assertIn("app", [row["name"] for row in pooler.show("USERS")])

    @on("pgweir")
    def memory_is_counted_by_what_it_is_for(self):
        pooler = self.pooler()
        clients = [pooler.client() for _ in range(3)]
        clients[0].value("SELECT 1")
        clients[0].prepare("kept", "SELECT 2")
        rows = {row["name"]: {key: int(value) for key, value in row.items() if key != "name"} for row in pooler.show("MEM")}
        self.assertEqual(4, rows["client"]["used"])
        self.assertEqual(1, rows["server"]["used"])
        self.assertEqual(1, rows["statement"]["used"])
        self.assertGreaterEqual(rows["params"]["used"], 1)
        for name, row in rows.items():
            self.assertEqual(row["size"] * (row["used"] + row["free"]), row["memtotal"], name)
            self.assertGreater(row["size"], 0, name)

    @on("pgweir")
    def state_tells_whether_it_is_paused(self):
        pooler = self.pooler()
        state = lambda: {row["key"]: row["value"] for row in pooler.show("STATE")}
        self.assertEqual("no", state()["paused"])
        pooler.console().query("PAUSE")
        self.assertEqual("yes", state()["paused"])
        pooler.console().query("RESUME")
        self.assertEqual("no", state()["paused"])

    def help_is_a_notice(self):
        console = self.pooler().console()
        reply = console.query("SHOW HELP")
        self.assertEqual(["SHOW"], reply.tags)
        self.assertTrue(any("SHOW" in notice.get("D", "") + notice.get("M", "") for notice in console.notices))

    def case_semicolons_and_spaces_do_not_matter(self):
        console = self.pooler().console()
        for spelling in ("show pools", "SHOW POOLS;", "  Show   Pools  ;  ", "SELECT pools" if live.kind == "pgbouncer" else "SHOW pools;"):
            self.assertEqual(["SHOW"], console.query(spelling).tags)

    def nonsense_is_an_error_and_the_console_goes_on(self):
        console = self.pooler().console()
        for words in ("FLY", "SHOW", "SHOW;", "SHOW NOTHING_LIKE_IT", "SELECT 1 + 1", "PAUSE no_such_database", "SET no_such_setting = 1",
                      "SET max_client_conn = 'lots'", "RESUME no_such_database", "KILL_CLIENT nobody", "SHUTDOWN SOMETIME",
                      "SHOW POOLS; SHOW POOLS", "'", '"unclosed', "x" * 1000):
            reply = console.simple(words)
            self.assertTrue(reply.errors, f"{words[:40]} was no error")
            self.assertEqual("ERROR", reply.errors[0].severity, words[:40])
        self.assertEqual(["SHOW"], console.query("SHOW VERSION").tags)

    def drivers_survive_their_first_questions(self):
        console = self.pooler().console()
        for words in ("SET client_encoding TO 'UTF8'", "SET DateStyle TO 'ISO'", "SHOW standard_conforming_strings",
                      "SET TimeZone = 'UTC'"):
            self.assertEqual([], console.simple(words).errors, words)

    def the_extended_protocol_is_declined_without_harm(self):
        pooler = self.pooler()
        console = pooler.console()
        try:
            reply = console.ask(batch("SHOW POOLS"))
            if live.kind == "pgweir" and not reply.errors:
                self.assertTrue(reply.rows)
        except wire.Closed:
            pass
        self.assertEqual(["SHOW"], pooler.console().query("SHOW VERSION").tags)

    @on("pgweir")
    def what_follows_an_extended_message_is_discarded_up_to_its_sync_as_by_postgresql(self):
        console = self.pooler().console()
        console.send(wire.parse("", "SHOW POOLS") + query("DISABLE app") + wire.SYNC + query("SHOW DATABASES"))
        reply = console.reply()
        self.assertEqual((["08P01"], []), ([error.sqlstate for error in reply.errors], reply.tags))
        self.assertEqual(["0"], [row["disabled"] for row in console.reply().dicts() if row["name"] == "app"])

    def the_console_speaks_over_the_unix_socket(self):
        pooler = self.pooler()
        with Client(pooler.socket_path, user="admin", database="pgbouncer") as console:
            self.assertEqual(["SHOW"], console.query("SHOW VERSION").tags)

    @on("pgweir")
    def the_owner_of_the_process_is_an_administrator_without_a_password(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist={"app": "x", "admin": "y"})
        import subprocess
        import harness
        done = subprocess.run(["psql", "-XAt", "-h", pooler.socket_folder, "-p", str(pooler.port), "-U", "pgbouncer", "-d", "pgbouncer",
                               "-c", "SHOW VERSION"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              env={**os.environ, "PGPASSWORD": "none"}, cwd="/", **harness.user_options())
        self.assertEqual(0, done.returncode, done.stdout.decode())


class Rights(Story):
    kinds = BOTH

    def a_stranger_is_not_let_in(self):
        pooler = self.pooler()
        self.refused(pooler.console, user="app")

    def a_stats_user_may_look_and_not_touch(self):
        pooler = self.pooler()
        client = pooler.client()
        client.value("SELECT 1")
        console = pooler.console(user="stats")
        for what in ("POOLS", "CLIENTS", "SERVERS", "DATABASES", "STATS", "CONFIG", "LISTS", "VERSION"):
            self.assertEqual(["SHOW"], console.query(f"SHOW {what}").tags)
        for words in ("PAUSE", "RESUME", "RELOAD", "RECONNECT", "KILL app", "KILL_CLIENT 1", "DISABLE app", "ENABLE app", "SHUTDOWN",
                      "SET query_wait_timeout = 1", "WAIT_CLOSE", "SUSPEND"):
            if live.kind == "pgbouncer" and words.split()[0] in ("KILL_CLIENT",):
                continue
            reply = console.simple(words)
            self.assertTrue(reply.errors, f"{words} was allowed")
        self.assertEqual("1", client.value("SELECT 1"))

    def the_console_asks_for_the_password_too(self):
        pooler = self.pooler(settings={"auth_type": "md5"}, userlist={"app": "x", "admin": "right", "stats": "too"})
        self.refused(pooler.console, password="wrong")
        self.assertEqual(["SHOW"], pooler.console(password="right").query("SHOW POOLS").tags)

    def a_setting_made_by_set_takes_effect(self):
        pooler = self.pooler(settings={"default_pool_size": 1, "query_wait_timeout": 60})
        holder, waiter = pooler.client(), pooler.client()
        self.assertEqual(1, len(pooler.console().query("SET query_wait_timeout = '1'").tags))
        holder.begin()
        waiter.send(query("SELECT 1"))
        self.assertEqual("query_wait_timeout", waiter.expect_closed()[0].message)


class Commands(Story):
    kinds = BOTH

    def pause_waits_for_the_busy_and_keeps_the_rest_waiting(self):
        pooler = self.pooler()
        busy, other = pooler.client(), pooler.client()
        other.value("SELECT 1")
        busy.begin()
        console = pooler.console()
        console.send(query("PAUSE"))
        with self.assertRaises(wire.Late):
            console.read(timeout=0.5)
        other.send(query("SELECT 'after'"))
        with self.assertRaises(wire.Late):
            other.read(timeout=0.3)
        busy.query("COMMIT")
        self.assertEqual(["PAUSE"], console.reply().tags)
        wait_until("PostgreSQL is left alone", lambda: self.pg.backends("app") == 0)
        self.assertEqual(["RESUME"], pooler.console().query("RESUME").tags)
        self.assertEqual("after", other.reply().value)

    def pause_of_one_database_leaves_the_others_alone(self):
        pooler = self.pooler()
        one, two = pooler.client(database="app"), pooler.client(database="app2")
        one.value("SELECT 1")
        pooler.console().query("PAUSE app")
        self.assertEqual("1", two.value("SELECT 1"))
        one.send(query("SELECT 'later'"))
        with self.assertRaises(wire.Late):
            one.read(timeout=0.3)
        self.assertEqual("1", next(row for row in pooler.show("DATABASES") if row["name"] == "app")["paused"])
        pooler.console().query("RESUME app")
        self.assertEqual("later", one.reply().value)

    def postgresql_may_restart_behind_a_pause(self):
        pg = self.postgres(max_connections=20)
        pooler = self.pooler(pg=pg)
        client = pooler.client()
        client.value("SELECT 1")
        pooler.console().query("PAUSE")
        pg.stop()
        pg.start()
        client.send(query("SELECT 'restarted'"))
        pooler.console().query("RESUME")
        self.assertEqual("restarted", client.reply().value)

    def resume_without_a_pause_is_an_error(self):
        self.assertTrue(self.pooler().console().simple("RESUME").errors)

    def reconnect_changes_servers_without_losing_anybody(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        held, free = pooler.client(), pooler.client()
        held.begin()
        pid = held.value("SELECT pg_backend_pid()")
        free_pid = free.value("SELECT pg_backend_pid()")
        self.assertEqual(["RECONNECT"], pooler.console().query("RECONNECT").tags)
        self.assertEqual(pid, held.value("SELECT pg_backend_pid()"), "a transaction lost its server")
        self.assertNotEqual(free_pid, free.value("SELECT pg_backend_pid()"))
        console = pooler.console()
        console.send(query("WAIT_CLOSE app"))
        with self.assertRaises(wire.Late):
            console.read(timeout=0.7)
        held.query("COMMIT")
        self.assertEqual(["WAIT_CLOSE"], console.reply().tags)
        self.assertNotEqual(pid, held.value("SELECT pg_backend_pid()"))

    def disable_refuses_newcomers_and_enable_lets_them_in(self):
        pooler = self.pooler()
        inside = pooler.client()
        inside.value("SELECT 1")
        self.assertEqual(["DISABLE"], pooler.console().query("DISABLE app").tags)
        error = self.refused(pooler.client)
        self.assertIn("disabled", error.message)
        self.assertEqual("1", inside.value("SELECT 1"))
        self.assertEqual(["ENABLE"], pooler.console().query("ENABLE app").tags)
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def kill_drops_clients_and_servers_of_one_database(self):
        pooler = self.pooler()
        victim, bystander = pooler.client(), pooler.client(database="app2")
        victim.begin()
        bystander.begin()
        self.assertEqual(["KILL"], pooler.console().query("KILL app").tags)
        victim.expect_closed()
        wait_until("its server is gone", lambda: self.pg.backends("app", "app") == 0)
        self.assertEqual("T", bystander.simple("SELECT 1").status)
        pooler.console().query("RESUME app")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir", why="since 1.24")
    def kill_client_closes_that_client_only(self):
        pooler = self.pooler()
        victim = pooler.client(parameters={"application_name": "victim"})
        bystander = pooler.client(parameters={"application_name": "bystander"})
        victim.begin()
        bystander.begin()
        for key in ("id", "ptr"):
            row = next(row for row in pooler.show("CLIENTS") if row["application_name"] == "victim")
            self.assertIn(key, row)
        self.assertEqual(["KILL_CLIENT"], pooler.console().query(f"KILL_CLIENT {row['id']}").tags)
        errors = victim.expect_closed()
        self.assertTrue(errors, "closed without a word")
        self.assertEqual("T", bystander.simple("SELECT 1").status)
        self.assertTrue(pooler.console().simple(f"KILL_CLIENT {row['id']}").errors)

    @on("pgweir")
    def a_pause_whose_console_cancels_or_hangs_up_leaves_nothing_paused(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        console = pooler.console()
        for words in ("PAUSE", "PAUSE app"):
            for gives_up in (console, pooler.console()):
                with pooler.client() as busy, pooler.client() as other:
                    busy.begin()
                    other.value("SELECT 1")
                    gives_up.send(query(words))
                    wait_until("it is being paused", lambda: self.pg.backends("app") == 1)
                    if gives_up is console:
                        console.cancel()
                        self.assertEqual("57014", console.reply().error.sqlstate)
                    else:
                        gives_up.close()
                    self.assertEqual("served", other.value("SELECT 'served'"))
                    self.assertEqual(["COMMIT"], busy.query("COMMIT").tags)
        for _ in range(2):
            self.assertEqual(["RECONNECT"], console.query("RECONNECT").tags)
            self.assertIn("databases", [row["list"] for row in console.query("SHOW LISTS").dicts()])

    @on("pgweir")
    def a_console_that_does_not_read_is_not_answered_any_further(self):
        """Else anybody who may look could have us hold as many answers as he asks for."""
        pooler = self.pooler(called="pgbouncer", databases={f"app{number}": "dbname=app" for number in range(400)})
        asked, deaf, other = 3000, pooler.console(), pooler.console()
        size = sum(len(value or "") for row in other.query("SHOW DATABASES").rows for value in row)     # bytes, at the least

        def commands():
            row, = [row for row in other.query("SHOW STATS").dicts() if row["database"] == "pgbouncer"]
            return int(row["total_query_count"])
        before = commands()
        deaf.send(query("SHOW DATABASES") * asked)
        counts = [before]

        def stands():
            counts.append(commands())
            return counts[-1] > before + 10 and counts[-1] == counts[-2] + 1        # the one that asks
        wait_until("nothing more is answered", stands)
        answered = counts[-1] - before - len(counts)
        self.assertGreater(asked * size, 32 << 20)
        self.assertLess(answered * size, 16 << 20, f"{answered} answers were made for nobody")
        for _ in range(100):
            deaf.reply()
        wait_until("it goes on", lambda: commands() - before > answered + 100)

    @on("pgweir")
    def a_command_about_a_database_nobody_used_leaves_its_limits_alone(self):
        """Else the command makes the database known without its limits, and the first client finds none."""
        for command, after in (("RECONNECT app", None), ("PAUSE app", "RESUME app"), ("DISABLE app", "ENABLE app")):
            with self.subTest(command):
                pooler = self.pooler(databases={"app": "dbname=app pool_size=5 max_db_connections=2"})
                console = pooler.console()
                for each in (command, after):
                    if each:
                        console.query(each)
                clients = [pooler.client() for _ in range(3)]
                clients[0].begin()
                clients[1].begin()
                clients[2].send(query("BEGIN; SELECT 1"))
                wait_until("the third waits", lambda: pooler.pool()["cl_waiting"] == 1)
                self.assertEqual(2, self.pg.backends("app"))
                clients[0].query("COMMIT")
                self.assertEqual(["BEGIN", "SELECT 1"], clients[2].reply().tags)
                pooler.stop()

    def set_of_what_cannot_change_changes_nothing(self):
        pooler = self.pooler()
        pooler.console().simple("SET listen_port = 1")
        self.assertEqual(str(pooler.port), next(row for row in pooler.show("CONFIG") if row["key"] == "listen_port")["value"])


class Ending(Story):
    kinds = BOTH

    def shutdown_ends_at_once(self):
        pooler = self.pooler()
        client = pooler.client()
        client.begin()
        console = pooler.console()
        console.send(query("SHUTDOWN"))
        self.assertIn(pooler.wait(), (0, 1) if live.kind == "pgbouncer" else (0,))
        wait_until("PostgreSQL is left alone", lambda: self.pg.backends("app") == 0)

    @on("pgweir", why="since 1.23")
    def shutdown_wait_for_servers_lets_transactions_end(self):
        pooler = self.pooler()
        busy, idle = pooler.client(), pooler.client()
        idle.value("SELECT 1")
        busy.begin()
        self.assertEqual(["SHUTDOWN"], pooler.console().query("SHUTDOWN WAIT_FOR_SERVERS").tags)
        time.sleep(0.5)
        self.assertIsNone(pooler.process.poll(), "it did not wait")
        self.assertEqual(["COMMIT"], busy.query("COMMIT").tags)
        self.assertEqual(0, pooler.wait())

    @on("pgweir", why="since 1.23")
    def shutdown_wait_for_clients_lets_clients_end(self):
        pooler = self.pooler()
        client = pooler.client()
        client.value("SELECT 1")
        self.assertEqual(["SHUTDOWN"], pooler.console().query("SHUTDOWN WAIT_FOR_CLIENTS").tags)
        time.sleep(0.5)
        self.assertIsNone(pooler.process.poll(), "it did not wait")
        self.assertEqual("1", client.value("SELECT 1"))

        def refused():
            try:
                Client(pooler.address).close()
            except (wire.Refused, wire.Closed, OSError):
                return True
        wait_until("nobody is let in any more", refused)
        self.assertEqual("2", client.value("SELECT 2"))
        client.close()
        self.assertEqual(0, pooler.wait())

    @on("pgweir", why="since 1.23")
    def sigterm_waits_for_clients_and_a_second_one_does_not(self):
        pooler = self.pooler()
        client = pooler.client()
        client.value("SELECT 1")
        pooler.process.send_signal(signal.SIGTERM)
        pooler.await_log("got SIGTERM, ")           # two that come before the first is taken are one
        time.sleep(0.5)
        self.assertIsNone(pooler.process.poll(), "it did not wait")
        self.assertEqual("1", client.value("SELECT 1"))
        pooler.process.send_signal(signal.SIGTERM)
        self.assertEqual(0, pooler.wait())

    def sigint_waits_for_transactions(self):
        pooler = self.pooler()
        busy = pooler.client()
        busy.begin()
        pooler.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        self.assertIsNone(pooler.process.poll(), "it did not wait")
        self.assertEqual(["COMMIT"], busy.query("COMMIT").tags)
        self.assertIn(pooler.wait(), (0, 1) if live.kind == "pgbouncer" else (0,))

    @on("pgweir")
    def sigquit_ends_at_once_with_zero(self):
        """Whatever else is asked for just then: each command of these comes when the one before it is done."""
        pooler = self.pooler(settings={"http_listen": f"127.0.0.1:{free_port()}", "workers": 2})
        pooler.client().begin()
        consoles = [pooler.console() for _ in range(4)]
        for console in consoles:
            console.send(*[query("SET default_pool_size = 5")] * 1000)
        for console in consoles:
            console.reply()
        pooler.process.send_signal(signal.SIGQUIT)
        self.assertEqual(0, pooler.wait(), pooler.log()[-2000:])

    def usr1_pauses_and_usr2_resumes(self):
        pooler = self.pooler()
        client = pooler.client()
        client.value("SELECT 1")
        pooler.process.send_signal(signal.SIGUSR1)
        wait_until("it is paused", lambda: self.pg.backends("app") == 0)
        client.send(query("SELECT 'resumed'"))
        with self.assertRaises(wire.Late):
            client.read(timeout=0.3)
        pooler.process.send_signal(signal.SIGUSR2)
        self.assertEqual("resumed", client.reply().value)


    @on("pgweir")
    def an_end_closes_servers_and_opens_none_for_those_it_closed(self):
        databases = {f"app{number}": "dbname=app user=app min_pool_size=4 pool_size=6" for number in range(8)}
        for _ in range(3 if live.quick else 10):
            pooler = self.pooler(settings={"workers": 2}, databases=databases)
            wait_until("all are ready", lambda: pooler.log().count("new connection to server") == 32)
            pooler.process.send_signal(signal.SIGQUIT)
            self.assertEqual(0, pooler.wait(), pooler.log()[-2000:])


class Crowded(Story):
    kinds = BOTH

    def the_console_answers_when_every_slot_is_taken(self):
        pooler = self.pooler(settings={"max_client_conn": 10, "default_pool_size": 2, "query_wait_timeout": 60})
        clients = [pooler.client() for _ in range(10)]
        for client in clients:
            client.send(query("BEGIN; SELECT 1"))
        wait_until("all slots are taken", lambda: pooler.pool()["cl_waiting"] == 8)
        console = pooler.console()
        for what in ("POOLS", "CLIENTS", "SERVERS"):
            self.assertEqual(["SHOW"], console.query(f"SHOW {what}").tags)
        self.assertEqual(["RELOAD"], console.query("RELOAD").tags)

    @on("pgbouncer", "pgweir")
    def under_the_name_pgbouncer_the_client_limit_refuses(self):
        pooler = self.pooler(settings={"max_client_conn": 10}, called="pgbouncer")
        clients = [pooler.client() for _ in range(10)]
        error = self.refused(pooler.client, says="no more connections allowed")
        self.assertEqual("08P01", error.sqlstate)
        clients[0].close()

        def let_in():
            try:
                return pooler.client().value("SELECT 1") == "1"
            except wire.Refused:
                return False
        wait_until("a freed place is given away", let_in)
