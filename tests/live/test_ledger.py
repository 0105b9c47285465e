"""What pgweir keeps account of: who its clients are, what they do, and what they hold."""
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import time

import papers
import wire
from harness import Story, full_only, takes, user_options, wait_until
from wire import Client, query

QUICK = {"leak_interval": 0.2, "leak_quiet": 0.5, "leak_hold": 0.8}


class The_ledger(Story):
    kinds = ("pgweir",)

    def _origin(self, pooler, name, **wanted):
        """The row of this application, once it says what is wanted."""
        def row():
            rows = [each for each in pooler.show("ORIGINS") if each["application_name"] == name]
            self.assertLessEqual(len(rows), 1)
            return rows[0] if rows and all(rows[0][key] == str(value) for key, value in wanted.items()) else None
        try:
            return wait_until(f"{name} is seen with {wanted}", row)
        except AssertionError:
            print([each for each in pooler.show("ORIGINS") if each["application_name"] == name])
            raise

    def origins_tell_who_came_and_what_became_of_them(self):
        pooler = self.pooler(settings=QUICK)
        names = {"application_name": "shop"}
        silent = [pooler.client(parameters=names) for _ in range(2)]
        once = [pooler.client(parameters=names) for _ in range(3)]
        for client in once:
            client.value("SELECT 42")
            client.value("SELECT 42")
        other = pooler.client(parameters={"application_name": "other"})
        other.value("SELECT 1")
        row = self._origin(pooler, "shop", clients=5, parked=5, quiet=5, silent=2, once=3, logins=5, logouts=0, transactions=6,
                           reused=0)
        self.assertEqual(("app", "app", "127.0.0.1"), (row["user"], row["database"], row["address"]))
        self.assertEqual("SELECT ?", row["statement"])
        self._origin(pooler, "other", clients=1, transactions=1)
        once[0].value("SELECT 43")
        silent[0].close()
        row = self._origin(pooler, "shop", clients=4, quiet=4, once=2, silent=1, reused=1, logouts=1)
        self.assertGreater(float(row["oldest_quiet"]), 0.5)

    def each_client_has_its_account(self):
        pooler = self.pooler(settings={**QUICK, "default_pool_size": 1})
        names = {"application_name": "accounts"}
        worker = pooler.client(parameters={**names, "options": "-c pgweir.no_reap=on"})
        waiter = pooler.client(parameters=names)
        silent = pooler.client(parameters=names)

        def ledger():
            return {row["port"]: row for row in pooler.show("LEDGER") if row["application_name"] == "accounts"}

        def row_of(client):
            return ledger()[str(client.socket.getsockname()[1])]
        worker.begin()
        worker.query("SELECT 'secret', repeat('x', 5000)")
        waiter.send(query("SELECT pg_sleep(0.1), 17"))
        wait_until("one waits", lambda: row_of(waiter)["state"] == "waiting")
        row = row_of(worker)
        self.assertEqual(("idle in transaction", None), (row["state"], row["rest"]))
        worker.query("COMMIT")
        waiter.reply()
        wait_until("both rest", lambda: all(row["state"] == "parked" for row in ledger().values()))
        worker.value("SELECT 2")
        row = wait_until("it rests again", lambda: (lambda row: row if row["state"] == "parked" and row["transactions"] == "2" else None)(
            row_of(worker)))
        self.assertEqual(("SELECT ?, repeat(?, ?)", "SELECT ?", "2", "yes"),
                         (row["first_statement"], row["last_statement"], row["transactions"], row["no_reap"]))
        self.assertGreater(int(row["sent"]), 5000)
        self.assertGreater(int(row["received"]), 50)
        self.assertGreater(float(row["in_transaction_time"]), 0)
        row = row_of(waiter)
        self.assertEqual(("1", "1", "no"), (row["bursts"], row["transactions"], row["no_reap"]))
        self.assertGreater(float(row["waiting_time"]), 0)
        self.assertGreaterEqual(float(row["executing_time"]), 0.1)
        row = row_of(silent)
        self.assertEqual(("0", "0", "0", None), (row["bursts"], row["transactions"], row["received"], row["first_statement"]))
        self.assertEqual("0.000", row["waiting_time"])
        self.assertGreater(float(row["rest"]), 0)
        self.assertEqual(float(row["rest"]), float(row["parked_time"]))
        row = row_of(worker)
        self.assertGreater(float(row["parked_time"]), float(row["rest"]))

    def an_origins_account_is_that_of_all_its_clients(self):
        pooler = self.pooler(settings={**QUICK, "default_pool_size": 1, "workers": 2})
        names = {"application_name": "sums"}
        sums = ("parked_time", "waiting_time", "executing_time", "in_transaction_time", "sending_time", "received", "sent")
        clients = [pooler.client(parameters=names) for _ in range(4)]
        clients[0].begin()
        for client in clients[1:]:
            client.send(query("SELECT repeat('x', 3000)"))
        wait_until("they wait", lambda: pooler.pool()["cl_waiting"] == 3)
        clients[0].query("COMMIT")
        for client in clients[1:]:
            client.reply()
        wait_until("all rest", lambda: all(row["state"] == "parked" for row in pooler.show("LEDGER")))
        account = [row for row in pooler.show("LEDGER") if row["application_name"] == "sums"]
        wanted = {key: sum(float(row[key]) for row in account) for key in sums}
        self.assertGreater(wanted["sent"], 9000)
        row = self._origin(pooler, "sums", quiet=4, received=int(wanted["received"]), sent=int(wanted["sent"]))
        for key in ("waiting_time", "executing_time", "in_transaction_time"):
            self.assertAlmostEqual(wanted[key], float(row[key]), delta=0.01)
        self.assertGreater(float(row["parked_time"]), wanted["parked_time"])
        # What they did stays when they are gone, once.
        for client in clients[:3]:
            client.close()
        after = self._origin(pooler, "sums", clients=1, received=row["received"], sent=row["sent"], waiting_time=row["waiting_time"])
        self.assertGreaterEqual(float(after["parked_time"]), float(row["parked_time"]))

    def logins_while_siblings_are_quiet_are_counted(self):
        pooler = self.pooler(settings={**QUICK, "leak_quiet": 1000, "leak_siblings": 3})
        names = {"application_name": "leaky"}
        clients = [pooler.client(parameters=names) for _ in range(4)]       # nobody is quiet before all are in
        pooler.console().query("SET leak_quiet = '0.5'")
        self._origin(pooler, "leaky", quiet=4, logins=4, logins_while_quiet=0)
        clients += [pooler.client(parameters=names) for _ in range(2)]
        self._origin(pooler, "leaky", quiet=6, logins=6, logins_while_quiet=2)
        for client in clients[:4]:
            client.close()
        self._origin(pooler, "leaky", quiet=2)
        pooler.client(parameters=names)
        self._origin(pooler, "leaky", logins=7, logins_while_quiet=2)

    def a_hold_is_told_with_what_it_does(self):
        pooler = self.pooler(settings={**QUICK, "default_pool_size": 2})
        holder = pooler.client(parameters={"application_name": "billing"})
        holder.begin()
        holder.query("SELECT 'secret', 17 /*route='%2Finvoice',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/")
        holder.query("SELECT 2")
        row = self._origin(pooler, "billing", lent=1, in_transaction=1, holding=1)
        self.assertGreater(float(row["oldest_hold"]), 0.8)
        self.assertEqual("/invoice", row["route"])
        def rests():
            """Its lease, which is older than the state that it is in."""
            lease, = pooler.show("LEASES")
            return lease if float(lease["in_state"]) > 0.5 else None
        lease = wait_until("it has rested in its transaction", rests)
        self.assertEqual("idle in transaction", lease["state"])
        self.assertEqual("billing", lease["application_name"])
        self.assertEqual(row["id"], lease["origin"])
        self.assertNotIn("secret", lease["first_statement"])
        self.assertIn("SELECT ?, ?", lease["first_statement"])
        self.assertEqual("SELECT ?", lease["statement"])
        self.assertGreaterEqual(float(lease["transaction_age"]), float(lease["in_state"]))
        self.assertEqual(holder.value("SELECT pg_backend_pid()"), lease["remote_pid"])
        holder.query("COMMIT")
        row = self._origin(pooler, "billing", in_transaction=0, holding=0, transactions=1)
        self.assertGreater(float(row["in_transaction_time"]), 0.8)
        wait_until("its server is back", lambda: not pooler.show("LEASES"))

    def the_tags_of_a_statement_that_is_too_long_to_be_kept_are(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "wide"})
        columns = ", ".join(f"{number} AS column_{number}" for number in range(60))
        tags = "/*controller='orders',route='%2Forders'*/"
        self.assertGreater(len(columns), 800)
        client.begin()
        client.query(f"SELECT 'secret', {columns} {tags};\n")
        lease, = pooler.show("LEASES")
        self.assertEqual("/orders", lease["route"])
        self.assertRegex(lease["statement"], r"^/\*controller='orders',route='%2Forders'\*/ SELECT \?, \? AS column_0, ")
        self.assertEqual("/orders", self._origin(pooler, "wide", holding=1)["route"])
        client.query("COMMIT")
        for ending in ("/* 'secret' */", "--*/", "", "/*route='" + "x" * 300 + "'*/"):      # no tags, or no room for them
            client.query(f"SELECT 'secret', {columns} {ending}")
            account, = [each for each in pooler.show("LEDGER") if each["application_name"] == "wide"]
            self.assertRegex(account["last_statement"], r"^SELECT \?, \? AS column_0, ")
        client.send(wire.parse("", f"SELECT {columns} {tags}"), wire.bind("", "", []), wire.execute(), wire.SYNC)
        client.reply()
        account, = [each for each in pooler.show("LEDGER") if each["application_name"] == "wide"]
        self.assertTrue(account["last_statement"].startswith(tags), account["last_statement"])

    def a_prepared_statement_is_told_as_well(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "prepared"})
        client.send(wire.parse("s", "SELECT 1 + $1::int, 'literal'"), wire.SYNC)
        client.reply()
        client.send(wire.bind("", "s", ["1"]), wire.execute(), wire.SYNC)
        client.reply()
        self.assertEqual("SELECT ? + $1::int, ?", self._origin(pooler, "prepared", quiet=1, transactions=2)["statement"])

    def the_statement_told_is_no_setting_that_a_driver_begins_with(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "django"})
        client.query("SET TIME ZONE 'UTC'")
        client.query("SELECT 1 AS one")
        client.query("SELECT 2")
        self.assertEqual("SELECT ? AS one", self._origin(pooler, "django", quiet=1, transactions=3)["statement"])

    def a_client_that_reads_nothing_is_told(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "deaf"})
        client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"))
        self._origin(pooler, "deaf", lent=1, unread=1)
        self.assertEqual(["sending"], [each["state"] for each in pooler.show("LEASES")])
        account, = [each for each in pooler.show("LEDGER") if each["application_name"] == "deaf"]
        self.assertEqual("sending", account["state"])
        self.assertGreater(float(account["sending_time"]), 0.5)

    def each_leak_of_an_origin_has_its_own_statement(self):
        pooler = self.pooler(settings=QUICK)
        deaf, holder = [pooler.client(parameters={"application_name": "both"}) for _ in range(2)]
        deaf.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"))
        holder.begin()
        holder.query("SELECT 'held'")
        leaks = wait_until("both are named", lambda: len(pooler.show("LEAKS")) == 2 and pooler.show("LEAKS"))
        said = {row["pattern"]: row["statement"] for row in leaks}
        self.assertEqual("SELECT repeat(?, ?) FROM generate_series(?, ?)", said.pop("L17"))
        self.assertEqual(["SELECT ?"], list(said.values()))
        pooler.await_log(pattern=r'leak began: .*pattern=L17 .* statement="SELECT repeat\(')
        # What goes on is counted while it does.
        account, = [each for each in pooler.show("LEDGER") if each["state"] == "idle in transaction"]
        self.assertGreater(float(account["in_transaction_time"]), 0.8)
        def sends():
            account, = [each for each in pooler.show("LEDGER") if each["state"] == "sending"]
            return float(account["executing_time"]) > 0.8
        wait_until("the other has run for as long", sends)
        holder.close()
        deaf.close()
        row = self._origin(pooler, "both", clients=0)
        self.assertGreater(float(row["in_transaction_time"]), 0.8)
        wait_until("they end", lambda: len(re.findall(r"leak ended: .* lasted_s=\d+ name=", pooler.log())) == 2)

    def what_goes_on_without_its_client_is_told(self):
        pooler = self.pooler(settings={**QUICK, "default_pool_size": 4, "query_wait_notify": 0})
        waiter = pooler.client(parameters={"application_name": "waiter"})
        waiter.value("SELECT 1")
        self._origin(pooler, "waiter", transactions=1)          # what was there before anybody looked is not news
        locker = pooler.client(parameters={"application_name": "locker"})
        locker.value("SELECT pg_advisory_lock(7)")
        for number in range(3):
            rude = pooler.client(parameters={"application_name": "rude"})
            rude.send(query("DO $$BEGIN PERFORM pg_sleep(60); END$$"))
            # The locker may still be asked for what it holds: only this one's own lease tells that it runs.
            wait_until("it runs", lambda: ("rude", "executing") in
                       [(row["application_name"], row["state"]) for row in pooler.show("LEASES")])
            rude.drop()
            wait_until("it runs alone", lambda number=number: int(pooler.pool()["sv_tested"]) == number + 1)
        pooler.console().query("SET query_wait_timeout = 2")
        waiter.send(query("SELECT 1"))
        error, = waiter.expect_closed()
        self.assertIn("1 of 4 servers of pool app/app are lent", error.detail)
        self.assertIn("At work for clients that have left, or cleaned after them: 3.", error.detail)
        leaks = wait_until("both are named", lambda: len(pooler.show("LEAKS")) == 2 and pooler.show("LEAKS"))
        said = {row["pattern"]: row for row in leaks}
        self.assertRegex(said["L24"]["statement"], r"^DO ")
        self.assertRegex(said["L25"]["evidence"], "each keeps a server from everybody else until it is unlocked$")

    def a_lock_that_was_taken_before_anybody_looked_is_named(self):
        """After a restart all come at once and take theirs."""
        pooler = self.pooler(settings={**QUICK, "leak_interval": 2})
        pooler.client(parameters={"application_name": "leader"}).value("SELECT pg_advisory_lock(7)")
        leak, = wait_until("it is named", lambda: pooler.show("LEAKS"))
        self.assertEqual(("L25", "leader"), (leak["pattern"], leak["application_name"]))

    def whoever_waits_behind_a_lease_is_named(self):
        pooler = self.pooler(settings={**QUICK, "default_pool_size": 1, "workers": 2})
        names = ["first", "\x1b[2J\"; client 99", "third", "fourth", "fifth"]
        waiters = [pooler.client(parameters={"application_name": name}) for name in names]
        holder = pooler.client(parameters={"application_name": "holder"})
        holder.begin()
        lease, = pooler.show("LEASES")
        self.assertEqual(("0", None), (lease["waiting"], lease["waiters"]))
        for number, client in enumerate(waiters, 1):
            client.send(query("SELECT 1"))
            wait_until("it waits", lambda: int(pooler.pool()["cl_waiting"]) == number)
        lease, = pooler.show("LEASES")
        self.assertEqual("5", lease["waiting"])
        rows = {row["port"]: row for row in pooler.show("LEDGER")}
        said = [(rows[str(client.socket.getsockname()[1])], shown) for client, shown in
                zip(waiters, ("first", r'\x1b[2J"; client 99', "third"))]
        wanted = "; ".join(rf'client {row["client"]} of origin {row["origin"]}, "{re.escape(shown)}" at 127\.0\.0\.1:{row["port"]}, '
                           r"for [0-9.]+ (ms|s|us)" for row, shown in said)
        self.assertRegex(lease["waiters"], rf"^{wanted}; and 2 more$")
        # Who waits no more is named no more, and the next one is.
        for client in waiters[:2]:
            client.close()
        lease = wait_until("two have gone", lambda: next((row for row in pooler.show("LEASES") if row["waiting"] == "3"), None))
        self.assertRegex(lease["waiters"], r'^client \d+ .*"third".*; client \d+ .*"fourth".*; client \d+ .*"fifth"[^;]*$')
        holder.query("COMMIT")
        for client in waiters[2:]:
            client.reply()
        wait_until("the server is back", lambda: not pooler.show("LEASES"))

    def sessions_that_keep_a_pool_from_their_own_application_are_named(self):
        """In session mode a pool is full long before as many are forgotten as elsewhere prove something."""
        pooler = self.pooler(settings={**QUICK, "leak_interval": 0.1, "leak_quiet": 0.1, "pool_mode": "session", "default_pool_size": 12,
                                         "query_wait_timeout": 0})
        names = {"user": "app", "database": "app", "application_name": "tabs"}
        for number in range(12):
            pooler.client(parameters=names).value("SELECT 1")
            self._origin(pooler, "tabs", clients=number + 1, quiet=number + 1)
        self.assertEqual([], pooler.show("LEAKS"))
        waiting = []

        def told():
            waiting.append(pooler.client(login=False))
            waiting[-1].send(wire.startup(names))
            self._origin(pooler, "tabs", clients=12, waiting=len(waiting))
            return pooler.show("LEAKS")
        leak, = wait_until("it is named", told, timeout=40)
        self.assertEqual(("server", "urgent", "tabs", "12", "12"), tuple(leak[key] for key in ("family", "severity", "application_name", "clients", "servers")))
        self.assertRegex(leak["evidence"], "others of this origin that wait for the servers these hold: [1-9]")

    def a_session_is_a_pin(self):
        pooler = self.pooler(settings={**QUICK, "pool_mode": "session"})
        client = pooler.client(parameters={"application_name": "session"})
        client.value("SELECT 1")
        self._origin(pooler, "session", clients=1, lent=1, parked=1, quiet=1, once=1)
        pin, = pooler.show("PINS")
        self.assertIn("session", pin["reason"])
        client.value("SELECT 1")
        self._origin(pooler, "session", reused=1)
        client.close()
        wait_until("the pin is gone", lambda: not pooler.show("PINS"))

    def what_strangers_call_themselves_is_shown_escaped(self):
        pooler = self.pooler(settings=QUICK)
        name = "\x1b[2J<script>alert(1)</script>\t\x07\u202e\x9b"
        client = pooler.client(parameters={"application_name": name})
        client.query("SELECT 1 /* \x1b]0;owned\x07 */")
        client.begin()
        client.query("SELECT 2 /* \x1b]0;owned\x07\u2067 */")
        wait_until("it is seen", lambda: any("<script>" in row["application_name"] and row["statement"]
                                             for row in pooler.show("ORIGINS")))
        for row in pooler.show("ORIGINS") + pooler.show("LEASES") + pooler.show("CLIENTS") + pooler.show("SERVERS"):
            for value in row.values():
                self.assertFalse(value and any(ord(c) < 32 or c in "\x9b\u202e\u2067" for c in value), value)
        self.refused(pooler.client, user="\x1b[2Jnobody\x07\x9b31m\u202e", database="app", says="")
        pooler.await_log("?[2Jnobody??31m?")
        self.assertFalse([letter for letter in "\x1b\x9b\u202e\u2067" if letter in pooler.log()])

    def whatever_is_said_is_kept_bounded_and_shown_as_text(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "x" * 5000 + "\x1b[2J"})
        bad = b"\xff\xfe\xc3\x28\x1b[2J<img src=x onerror=alert(1)>\x00"[:-1]
        for statement in (b"SELECT 1 /*" + b"a" * 3_000_000 + b"*/", b"SELECT '" + b"b" * 3_000_000 + b"' /*route='" + bad + b"'*/",
                          b"SELECT 2 /*route='" + bad * 20 + b"'*/", b"SELECT 3, " + b"4, " * 100 + b"5 /*job='" + bad + b"'*/"):
            client.simple(statement)                                # PostgreSQL refuses most of them; they are remembered all the same
            wait_until("it rests", lambda: [row["rest"] for row in pooler.show("LEDGER")] != [None])
            for what in ("LEDGER", "ORIGINS", "LEASES", "PINS"):
                for row in pooler.show(what):
                    for key, value in row.items():
                        self.assertLess(len(value or ""), 260, key)
                        self.assertFalse(any(ord(c) < 32 or ord(c) == 127 for c in value or ""), (key, value))
        job, = wait_until("its tag is told", lambda: [row for row in pooler.show("BREAKDOWNS") if row["by"] == "job"])
        self.assertRegex(job["value"], r"^[ -~]+$")
        self.assertIn("<img src=x", job["value"])                   # text; the page that shows it makes no markup of it
        self.assertEqual("6", client.value("SELECT 6"))

    @takes(90)
    def however_many_names_come_the_table_is_bounded(self):
        pooler = self.pooler(settings={**QUICK, "max_client_conn": 5000})
        held = [pooler.client(parameters={"application_name": f"name {n}"}) for n in range(1300)]
        row = wait_until("those without a place are counted together",
                         lambda: next((row for row in pooler.show("ORIGINS") if row["id"] == "0" and row["clients"] != "0"), None))
        rows = pooler.show("ORIGINS")
        self.assertLessEqual(len(rows), 1025)
        self.assertEqual("(other)", row["user"])
        wait_until("all are counted once", lambda: sum(int(row["clients"]) for row in pooler.show("ORIGINS")) == 1300)
        for client in held:
            client.close()
        # Places of those that are gone serve newcomers.
        for n in range(300):
            pooler.client(parameters={"application_name": f"later {n}"}).close()
        self._origin(pooler, "later 299", logins=1)

    def the_drivers_are_told_by_what_they_ask_for(self):
        pooler = self.pooler(settings=QUICK)
        asked = {
            "jdbc": {"application_name": "PostgreSQL JDBC Driver", "client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "UTC",
                     "extra_float_digits": "2"},
            "go": {"client_encoding": "UTF8", "datestyle": "ISO, MDY", "extra_float_digits": "2"},
            "asyncpg": {"client_encoding": "'utf-8'"},
            "node": {"client_encoding": "UTF8"},
        }
        for parameters in asked.values():
            pooler.client(parameters=parameters)
        wait_until("all are seen", lambda: {row["driver"] for row in pooler.show("ORIGINS")} >= set(asked))

    def who_asks_for_what_another_driver_asks_for_is_not_taken_for_it(self):
        """Django since 4.2, which is told by what it says first, and drivers that say it in front of the database."""
        pooler = self.pooler(settings=QUICK)
        for name, first in (("django", "SELECT set_config('TimeZone', 'UTC', false)"), ("express", "SELECT 1"), ("knex", "SELECT 2")):
            client = pooler.client(parameters={"application_name": name, "client_encoding": "UTF8"})
            client.query(first)
            client.query("SELECT set_config('TimeZone', 'UTC', false)" if name == "knex" else "SELECT 3")
        # As Rust's tokio-postgres and Npgsql have it.
        for name, keys in (("rust", ("client_encoding", "user", "database")), ("npgsql", ("user", "client_encoding", "database"))):
            client = Client(pooler.address, login=False)
            self.addCleanup(client.close)
            said = {"client_encoding": "UTF8", "user": "app", "database": "app"}
            client.send(wire.startup({**{key: said[key] for key in keys}, "application_name": name}))
            client.read_to(b"Z")
        # As Rust's sqlx and Vert.x have it, who ask for what Go's lib/pq and libpq ask for.
        for name, asked in (("sqlx", {"DateStyle": "ISO, MDY", "client_encoding": "UTF8", "TimeZone": "UTC", "extra_float_digits": "2"}),
                            ("sqlx without digits", {"DateStyle": "ISO, MDY", "client_encoding": "UTF8", "TimeZone": "UTC"}),
                            ("vertx", {"client_encoding": "utf8", "DateStyle": "ISO", "extra_float_digits": "2"}),
                            ("lib/pq", {"extra_float_digits": "2", "datestyle": "ISO, MDY", "client_encoding": "UTF8", "timezone": "UTC"})):
            pooler.client(parameters={**asked, "application_name": name})
        told = {"django": "libpq", "express": "node", "knex": "node", "rust": "", "npgsql": "", "sqlx": "", "sqlx without digits": "", "vertx": "",
                "lib/pq": "go"}
        wait_until("they are told apart", lambda: {row["application_name"]: row["driver"] for row in pooler.show("ORIGINS") if row["application_name"] in told} == told)

    def a_process_of_this_machine_is_named(self):
        pooler = self.pooler(settings=QUICK)
        for name, address in (("tcp", pooler.address), ("unix", pooler.socket_path)):
            client = Client(address, user="app", database="app", parameters={"application_name": name})
            self._origin(pooler, name, clients=1)
            row = wait_until("its process is known", lambda: next(
                (row for row in pooler.show("ORIGINS") if row["application_name"] == name and row["process"]), None))
            self.assertRegex(row["process"], r"python|\(user \d+\)")
            client.close()

    def a_client_that_comes_by_an_address_of_this_machine_is_of_this_machine(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            try:
                asked.connect(("192.0.2.1", 9))                     # says which address one would have; nothing is sent
                own = asked.getsockname()[0]
            except OSError:
                own = "127.0.0.1"
        if own.startswith("127."):
            self.skipTest("this machine has no address but loopback")
        pooler = self.pooler(settings={**QUICK, "listen_addr": f"127.0.0.1,{own}"})
        client = Client((own, pooler.port), user="app", database="app", parameters={"application_name": "by its address"})
        self.addCleanup(client.close)
        row = wait_until("its process is known", lambda: next(
            (row for row in pooler.show("ORIGINS") if row["application_name"] == "by its address" and row["process"]), None))
        self.assertEqual(own, row["address"])
        self.assertRegex(row["process"], r"python|\(user \d+\)")
        part = wait_until("its part is known", lambda: next(
            (row for row in pooler.show("BREAKDOWNS") if row["application_name"] == "by its address"), None))
        self.assertEqual(("process", "1"), (part["by"], part["clients"]))
        # One look-up for both: they say the same.
        if row["process_id"] != "0":
            self.assertTrue(part["value"].startswith(row["process_id"] + " "), part["value"])
        else:
            self.assertEqual(row["process"], part["value"])

    def leak_settings_are_taken_by_reload(self):
        pooler = self.pooler(settings={**QUICK, "leak_interval": 0})
        pooler.client(parameters={"application_name": "unseen"})
        time.sleep(0.6)
        self.assertEqual([], pooler.show("ORIGINS"))
        pooler.console().query("SET leak_interval = '0.2'")
        self._origin(pooler, "unseen", clients=1)


# A process with so many clients, which stays until its standard input ends: address, port (0: the address is a path), how many.
SOMEBODY = """
import sys, wire
address, port, many, name = sys.argv[1:]
to = (address, int(port)) if int(port) else address
held = [wire.Client(to, user="app", database="app", parameters={"application_name": name}) for _ in range(int(many))]
for client in held:
    client.value("SELECT 1")
print("there", flush=True)
sys.stdin.read()
"""


class Inside_an_origin(Story):
    kinds = ("pgweir",)

    def _somebody(self, to, many, name):
        address, port = (to, 0) if isinstance(to, str) else to
        process = subprocess.Popen([sys.executable, "-c", SOMEBODY, address, str(port), str(many), name], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent)})
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.assertEqual(b"there\n", process.stdout.readline())
        return process.pid

    def _rows(self, pooler, name, by):
        return {row["value"]: row for row in pooler.show("BREAKDOWNS") if (row["application_name"], row["by"]) == (name, by)}

    def _await(self, pooler, name, by, wanted, column="clients"):
        """Until the values and this figure of theirs are what is wanted; the rows."""
        def rows():
            found = self._rows(pooler, name, by)
            return (found,) if {value: row[column] for value, row in found.items()} == wanted else None
        try:
            return wait_until(f"{name} by {by} is {wanted}", rows)[0]
        except AssertionError:
            print(self._rows(pooler, name, by))
            raise

    def processes_of_this_machine_are_told_apart(self):
        pooler = self.pooler(settings=QUICK)
        for name, to in (("unix", pooler.socket_path), ("tcp", pooler.address)):
            here = [pooler.client(parameters={"application_name": name}) if name == "tcp" else
                    Client(to, user="app", database="app", parameters={"application_name": name}) for _ in range(2)]
            there = self._somebody(to, 3, name)

            def counted():
                rows = self._rows(pooler, name, "process")
                sums = [sum(int(row[key]) for row in rows.values()) for key in ("clients", "transactions")]
                return rows if sums == [5, 3] else None     # they may have been looked at before they had asked
            rows = wait_until("all five are counted, and what three of them asked", counted)
            if name == "tcp" and user_options():        # the pooler is another user, who may not read /proc of ours
                self.assertEqual({f"(user {os.getuid()})": "5"}, {value: row["clients"] for value, row in rows.items()})
            else:
                numbers = {value.split()[0]: row for value, row in rows.items()}
                self.assertEqual({str(os.getpid()): "2", str(there): "3"}, {pid: row["clients"] for pid, row in numbers.items()})
                self.assertEqual("3", numbers[str(there)]["transactions"])
                self.assertRegex(min(rows), r"^\d+ .*python")
            for client in here:
                client.close()

    def tags_tell_which_part_of_the_code_it_is(self):
        pooler = self.pooler(settings=QUICK)
        names = {"application_name": "shop"}
        said = ("/*controller='cart',action='show',route='%2Fcart'*/", "/*controller='cart',action='show',route='%2Fcart'*/",
                "/*controller:cart,action:pay*/", "/*job:Mailer*/", "")
        clients = [pooler.client(parameters=names) for _ in said]
        for client, tags in zip(clients, said):
            client.value("SELECT 1 /*route='%2Fbefore'*/")
            client.value(f"SELECT 2 {tags}")
        self._await(pooler, "shop", "route", {"/cart": "2"}, "quiet")
        self._await(pooler, "shop", "controller", {"cart": "3"}, "quiet")
        self._await(pooler, "shop", "action", {"cart#show": "2", "cart#pay": "1"})
        rows = self._await(pooler, "shop", "job", {"Mailer": "2"}, "transactions")
        self.assertEqual(("1", "0", None, None), tuple(rows["Mailer"][key] for key in
                                                      ("clients", "holding", "oldest_hold", "trace_id")))
        self.assertGreater(float(self._rows(pooler, "shop", "route")["/cart"]["oldest_quiet"]), 0.5)
        # A block counts for the statement that opened it, and its trace leads to the request.
        holder = clients[4]
        holder.begin()
        holder.query("SELECT 3 /*route='%2Finvoice',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/")
        holder.query("SELECT 4 /*route='%2Fother'*/")
        rows = self._await(pooler, "shop", "route", {"/cart": "0", "/invoice": "1"}, "holding")
        row = rows["/invoice"]
        self.assertEqual(("1", "0", "0af7651916cd43dd8448eb211c80319c"), (row["in_transaction"], row["quiet"], row["trace_id"]))
        origin, = [each for each in pooler.show("ORIGINS") if each["application_name"] == "shop"]
        self.assertEqual((origin["id"], "app", "app", "127.0.0.1"),
                         (row["origin"], row["user"], row["database"], row["address"]))
        holder.query("COMMIT")
        clients[3].close()
        self._await(pooler, "shop", "job", {})

    def values_that_clients_choose_are_bounded_and_harmless(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "hostile"})
        client.query(b"SELECT 1 /*route='\x1b[2J<script>%07%1b%ff" + b"x" * 90 + b"'*/")
        row, = wait_until("it is shown", lambda: list(self._rows(pooler, "hostile", "route").values()))
        self.assertRegex(row["value"], r"^\?\[2J<script>\?\?\?x+$")
        self.assertEqual(63, len(row["value"]))
        crowd = [pooler.client(parameters={"application_name": "crowd"}) for _ in range(40)]
        for number, each in enumerate(crowd):
            each.value(f"SELECT 1 /*route='%2F{number}'*/")
        rows = wait_until("all are counted", lambda: (lambda found: found if sum(int(row["clients"]) for row in found.values()) == 40
                                                      else None)(self._rows(pooler, "crowd", "route")))
        self.assertEqual((33, "8"), (len(rows), rows["(other)"]["clients"]))

    def the_name_in_a_certificate_is_one_of_them(self):
        folder = self.own_folder()
        authority = papers.Authority(folder)
        certificate, key = authority.sign("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        pooler = self.pooler(settings={**QUICK, "client_tls_sslmode": "allow", "client_tls_cert_file": certificate,
                                       "client_tls_key_file": key, "client_tls_ca_file": authority.certificate})
        names = {"application_name": "shop"}
        for who, many in (("billing.example", 2), ("\x1b[2Jweb", 1), (None, 1)):
            context = ssl.create_default_context(cafile=authority.certificate)
            if who:
                context.load_cert_chain(*authority.sign(f"paper{many}", who))
            for _ in range(many):
                pooler.client(parameters=names, tls=context)
        pooler.client(parameters=names)
        rows = wait_until("both are counted", lambda: (lambda found: found if len(found) == 2 else None)(
            self._rows(pooler, "shop", "tls_name")))
        self.assertEqual("2", rows.pop("billing.example")["clients"])
        value, = rows
        self.assertRegex(value, r"^[ -~]*web$")
        wait_until("all five are one origin", lambda: any(row["application_name"] == "shop" and row["clients"] == "5"
                                                          for row in pooler.show("ORIGINS")))
