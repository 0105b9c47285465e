"""Ending clients that leak: whom it may end, whom never, and what they are told."""
import re
import time

import wire
from harness import Story, full_only, takes, wait_until
from wire import Client, copy_data, query

QUICK = {"leak_interval": 0.2, "leak_quiet": 0.5, "leak_hold": 0.8, "reap_grace": 0.6}


class The_reaper_by_hand(Story):
    kinds = ("pgweir",)

    def _origin(self, pooler, name):
        return wait_until(f"{name} is seen", lambda: next(
            (row["id"] for row in pooler.show("ORIGINS") if row["application_name"] == name), None))

    def _reap(self, console, what):
        return console.query(what).dicts()

    def _quiet(self, pooler, name, count):
        wait_until(f"{count} of {name} are quiet", lambda: any(
            row["application_name"] == name and int(row["quiet"]) == count for row in pooler.show("ORIGINS")))

    def an_origin_is_ended_and_told_why_and_others_are_not(self):
        pooler = self.pooler(settings=QUICK)
        leaky = [pooler.client(parameters={"application_name": "leaky"}) for _ in range(4)]
        other = pooler.client(parameters={"application_name": "other"})
        for client in leaky:
            client.value("SELECT 1")
        self._quiet(pooler, "leaky", 4)
        console = pooler.console()
        origin = self._origin(pooler, "leaky")
        rows = self._reap(console, f"REAP DRY RUN ORIGIN {origin}")
        self.assertEqual(["would go"] * 4, [row["outcome"] for row in rows])
        self.assertIn("dry run", console.notices[-1]["M"])
        self.assertEqual("1", leaky[0].value("SELECT 1"))       # nobody was ended, and this one is not quiet any more
        rows = self._reap(console, f"REAP ORIGIN {origin} LIMIT 2")
        ended = [row for row in rows if row["outcome"] == "ended"]
        self.assertEqual(2, len(ended))
        self.assertEqual(["it was used lately, or came back before"], [row["reason"] for row in rows if row["outcome"] == "stays"])
        # Which two of the three is a matter of how often and how long ago each was used, to the microsecond.
        gone = wait_until("two were told", lambda: [client for client in leaky[1:] if client.readable()] if sum(
            client.readable() for client in leaky[1:]) == 2 else None)
        for error, in [client.expect_closed() for client in gone]:
            self.assertEqual("57P05", error.sqlstate)
            self.assertIn("an administrator asked for it", error.detail)
        self.assertEqual(["2", "2"], [client.value("SELECT 2") for client in leaky if client not in gone])
        self.assertEqual("2", other.value("SELECT 2"))
        wait_until("they are listed", lambda: len(pooler.show("REAPS")) == 2)
        self.assertEqual({"yes"}, {row["by_hand"] for row in pooler.show("REAPS")})
        wait_until("both are in the log", lambda: pooler.log().count("by an administrator") == 2)

    def a_bare_reap_is_a_dry_run_and_half_a_command_is_none(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "one"})
        self._quiet(pooler, "one", 1)
        console = pooler.console()
        self.assertEqual([], self._reap(console, "REAP"))
        self.assertIn("dry run", console.notices[-1]["M"])
        for bad in ("REAP EVERYBODY", "REAP ORIGIN", "REAP CLIENT", "REAP CLIENT x", "REAP LEAKED LIMIT", "REAP LEAKED LIMIT 0",
                    "REAP DRY", "REAP ORIGIN 1 CLIENT 2", "PROTECT", "PROTECT ORIGIN", "PROTECT CLIENT 1"):
            self.assertTrue(console.simple(bad).errors, bad)
        self.assertTrue(console.simple("PROTECT ORIGIN 99999").errors)
        for what in ("REAP ORIGIN 99999", "REAP DRY RUN ORIGIN 99999 LIMIT 1"):
            error, = console.simple(what).errors
            self.assertEqual(("there is no origin 99999", "SHOW ORIGINS lists them."), (error.message, error.hint))
        self.assertEqual("1", client.value("SELECT 1"))

    def only_administrators_may(self):
        pooler = self.pooler(settings=QUICK)
        client = pooler.client(parameters={"application_name": "one"})
        self._quiet(pooler, "one", 1)
        stats = pooler.console(user="stats")
        for command in ("REAP", "REAP LEAKED", "REAP ORIGIN 1", "PROTECT ORIGIN 1", "UNPROTECT ORIGIN 1"):
            self.assertTrue(stats.simple(command).errors, command)
        stats.query("SHOW REAPS")
        self.assertEqual("1", client.value("SELECT 1"))

    def what_was_done_is_listed_at_once_also_where_nobody_looks_for_leaks(self):
        pooler = self.pooler(settings={**QUICK, "leak_interval": 0})
        client = pooler.client(parameters={"application_name": "one"})
        client.value("SELECT 1")
        console = pooler.console()
        number, = [row["client"] for row in pooler.show("LEDGER")]
        wait_until("it is quiet", lambda: float(pooler.show("LEDGER")[0]["rest"]) > 0.6)
        self.assertEqual([], console.query("SHOW REAPS").dicts())
        self.assertEqual(["ended"], [row["outcome"] for row in self._reap(console, f"REAP CLIENT {number}")])
        self.assertEqual([(number, "ended")], [(row["client"], row["outcome"]) for row in console.query("SHOW REAPS").dicts()])
        self.assertEqual("57P05", client.expect_closed(timeout=15)[0].sqlstate)

    def whoever_is_not_there_is_told_of_and_the_others_go(self):
        pooler = self.pooler(settings=QUICK)
        clients = [pooler.client(parameters={"application_name": "leaky"}) for _ in range(4)]
        for client in clients:
            client.value("SELECT 1")
        self._quiet(pooler, "leaky", 4)
        console, origin = pooler.console(), self._origin(pooler, "leaky")
        numbers = [row["client"] for row in pooler.show("LEDGER")]
        own = next(row["id"] for row in pooler.show("CLIENTS") if row["port"] == str(console.socket.getsockname()[1]))

        def reap(what):
            console.notices.clear()
            return [row["outcome"] for row in self._reap(console, what)], [each["M"] for each in console.notices]
        self.assertEqual(([], ["not connected (any more): 4711"]), reap("REAP CLIENT 4711"))
        self.assertEqual((["would go"], ["not connected (any more): 4711, 4712",
                                         "dry run: nobody was ended; REAP LEAKED, ORIGIN id or CLIENT id ends them"]),
                         reap(f"REAP DRY RUN CLIENT 4711, {numbers[0]} 4712"))
        self.assertEqual((["ended"], ["not connected (any more): 4711", f"on the console, or coming or going just now: {own}"]),
                         reap(f"REAP CLIENT 4711, {numbers[0]}, {own}"))
        self.assertEqual((["ended"], ["1 more are not listed"]), reap(f"REAP CLIENT {numbers[1]}, {numbers[2]} LIMIT 1"))
        many = ", ".join(str(number) for number in range(5001, 5064))
        self.assertEqual((["ended"], [f"not connected (any more): {', '.join(many.split(', ')[:30])} and 33 more"]),
                         reap(f"REAP CLIENT {many}, {numbers[3]}"))
        self.assertEqual(["ended"], reap(f"REAP ORIGIN {origin}")[0])
        wait_until("they are gone", lambda: all(client.readable() for client in clients))
        self.assertEqual(([], [f"no client is connected of origin {origin}"]), reap(f"REAP ORIGIN {origin}"))
        # Who asked is in the log, with what became of it.
        for line in ("REAP: 0 ended, 0 stay; not connected (any more): 4711\n", "REAP DRY RUN: 1 would go, 0 stay; not",
                     "REAP: 1 ended, 1 stays\n", " and 33 more\n", f"REAP: 0 ended, 0 stay; no client is connected of origin {origin}\n"):
            wait_until(line, lambda line=line: [said for said in pooler.log().splitlines(True) if line in said and "admin@" in said])

    def strangers_take_no_origins_place(self):
        pooler = self.pooler(settings={**QUICK, "workers": 2})
        with pooler.client(parameters={"application_name": "nightly"}):
            number = self._origin(pooler, "nightly")
        # Whoever knocks may call himself what he likes; there is room for 1,024 names.
        for group in range(15):
            strangers = [Client(pooler.address, login=False) for _ in range(100)]
            for place, stranger in enumerate(strangers):
                stranger.send(wire.startup({"user": "stranger", "database": "app", "application_name": f"{group} {place}"}))
            for stranger in strangers:
                stranger.expect_closed()
        with pooler.client(parameters={"application_name": "nightly"}):
            # A row is what was found when all were last looked at: its login may not be in it yet.
            wait_until("it is back, with its first login", lambda: [(number, "2", "1")] == [
                (row["id"], row["logins"], row["clients"]) for row in pooler.show("ORIGINS") if row["application_name"] == "nightly"])

    @full_only
    @takes(90)
    def an_origin_stays_protected_while_nobody_of_it_is_there(self):
        pooler = self.pooler(settings={**QUICK, "workers": 2})
        with pooler.client(parameters={"application_name": "nightly"}):
            number = self._origin(pooler, "nightly")
            pooler.console().query(f"PROTECT ORIGIN {number}")
        for other in range(1500):
            Client(pooler.address, parameters={"application_name": f"other {other}"}).close()
        with pooler.client(parameters={"application_name": "nightly"}):
            self.assertEqual(number, self._origin(pooler, "nightly"))
            self.assertEqual(["yes"], [row["protected"] for row in pooler.show("ORIGINS") if row["application_name"] == "nightly"])

    @full_only
    @takes(90)
    def however_many_may_not_go_the_others_are_found(self):
        pooler = self.pooler(settings={**QUICK, "workers": 1, "max_client_conn": 6000})
        for _ in range(4200):
            pooler.client(parameters={"application_name": "crowd", "options": "-c pgweir.no_reap=on"})
        plain = [pooler.client(parameters={"application_name": "crowd"}) for _ in range(3)]
        self._quiet(pooler, "crowd", 4203)
        rows = self._reap(pooler.console(), f"REAP ORIGIN {self._origin(pooler, 'crowd')}")
        self.assertEqual(3, sum(row["outcome"] == "ended" for row in rows))
        for client in plain:
            self.assertEqual("57P05", client.expect_closed()[0].sqlstate)
        self.assertEqual(3, len(pooler.show("REAPS")))          # and that is on record

    def it_works_when_every_server_is_taken(self):
        pooler = self.pooler(settings={**QUICK, "default_pool_size": 1, "max_client_conn": 2})
        holder = pooler.client(parameters={"application_name": "holder"})
        holder.begin()
        waiter = pooler.client(parameters={"application_name": "waiter"})
        waiter.send(query("SELECT 'served'"))
        wait_until("it holds for long", lambda: any(row["application_name"] == "holder" and row["holding"] == "1"
                                                    for row in pooler.show("ORIGINS")))
        number = next(row["client"] for row in pooler.show("LEASES"))
        row, = self._reap(pooler.console(), f"REAP CLIENT {number}")
        self.assertEqual(("ended", "idle in transaction"), (row["outcome"], row["reason"]))
        error, = holder.expect_closed()
        self.assertEqual("25P03", error.sqlstate)
        self.assertEqual("served", waiter.reply().value)

    def a_long_statement_protects_only_by_what_it_says(self):
        pooler = self.pooler(settings=QUICK)
        columns = ", ".join(f"{number} AS column_{number}" for number in range(100))
        said = {"wide": f"SELECT {columns}", "locker": f"SELECT {columns}, pg_advisory_xact_lock(7)"}
        held = {}
        for name, statement in said.items():
            held[name] = pooler.client(parameters={"application_name": name})
            held[name].begin()
            held[name].query(statement)
        wait_until("both hold", lambda: sum(int(row["holding"]) for row in pooler.show("ORIGINS")) == 2)
        got = {}
        for name in said:
            row, = self._reap(pooler.console(), f"REAP ORIGIN {self._origin(pooler, name)}")
            got[name] = (row["outcome"], row["reason"])
        self.assertEqual({"wide": ("ended", "idle in transaction"), "locker": ("stays", "it may hold an advisory lock")}, got)
        self.assertEqual("25P03", held["wide"].expect_closed()[0].sqlstate)

    def reaping_what_leaks_ends_the_verdict(self):
        pooler = self.pooler(settings={**QUICK, "default_pool_size": 10})
        holders = [pooler.client(parameters={"application_name": "holder"}) for _ in range(3)]
        other = pooler.client(parameters={"application_name": "other"})
        other.value("SELECT 1")
        for client in holders:
            client.begin()
            client.query("SELECT 1")

        def leak():
            rows = pooler.show("LEAKS")
            return rows[0] if rows and rows[0]["clients"] == "3" else None
        leak, console = wait_until("the leak is named", leak, timeout=60), pooler.console()
        self.assertEqual(("holder", None), (leak["application_name"], leak["ended"]))
        rows = self._reap(console, "REAP LEAKED LIMIT 2")
        self.assertEqual(["ended"] * 2, [row["outcome"] for row in rows])
        self.assertEqual({leak["pattern"]}, {row["pattern"] for row in rows})
        rows = self._reap(console, "REAP LEAKED")
        self.assertEqual(["ended"], [row["outcome"] for row in rows])
        for client in holders:
            error, = client.expect_closed()
            self.assertEqual(("25P03", leak["cure"]), (error.sqlstate, error.hint))
        wait_until("it has ended", lambda: [row for row in pooler.show("LEAKS") if row["id"] == leak["id"] and row["ended"]], timeout=60)
        pooler.await_log(f"LOG leak ended: id={leak['id']} pattern={leak['pattern']} ")
        self.assertEqual("2", other.value("SELECT 2"))
        self.assertEqual([], self._reap(console, "REAP LEAKED"))

    def consoles_are_no_clients_to_be_ended(self):
        pooler = self.pooler(settings=QUICK)
        console, other = pooler.console(), pooler.console()
        for row in pooler.show("CLIENTS"):
            self.assertEqual([], self._reap(console, f"REAP CLIENT {row['id']}"), row)
        self.assertTrue(other.query("SHOW VERSION").rows)

    def what_their_end_would_destroy_protects_them(self):
        pg = self.postgres(max_connections=40, max_prepared_transactions=5)
        pooler = self.pooler(pg=pg, settings={**QUICK, "pool_mode": "session", "default_pool_size": 20})
        with pg.admin("app") as admin:
            admin.query("CREATE TABLE copied(t text); GRANT ALL ON copied TO PUBLIC")

        names = {}

        def client(name, reason, **more):
            names[name] = reason
            return pooler.client(parameters={"application_name": name, **more})
        reasons = {
            "listener": "it listens", "locker": "it may hold an advisory lock", "cursor": "it may hold a cursor WITH HOLD",
            "prepared": "it prepared a transaction", "copy": "a COPY goes on", "busy": "it works, or waits for an answer",
            "long": "it sent a statement too long to be looked at", "protected": "its origin is protected"}
        held = {reason: client(name, reason) for name, reason in reasons.items()}
        held["it asked for pgweir.no_reap"] = client("exempt", "it asked for pgweir.no_reap", options="-c pgweir.no_reap=on")
        held["it listens"].query("LISTEN jobs")
        held["it may hold an advisory lock"].query("SELECT pg_advisory_lock(1)")
        held["it may hold a cursor WITH HOLD"].query("DECLARE c CURSOR WITH HOLD FOR SELECT 1")
        held["it prepared a transaction"].begin()
        held["it prepared a transaction"].query("PREPARE TRANSACTION 'x'")
        held["a COPY goes on"].send(query("COPY copied FROM STDIN"))
        held["a COPY goes on"].read_to(b"G")
        held["a COPY goes on"].send(copy_data(b"row\n"))
        held["it works, or waits for an answer"].send(query("SELECT pg_sleep(600)"))
        held["it sent a statement too long to be looked at"].query("SELECT 1 " + "/* long */" * 500)
        for name, reason, statement in (("second", "it listens", "LISTEN jobs"),
                                        ("third", "it may hold a cursor WITH HOLD", "DECLARE d CURSOR WITH HOLD FOR SELECT 1")):
            client(name, reason).query(f"SELECT 1; {statement}")
        half = pooler.client(parameters={"application_name": "half"})
        half.value("SELECT 1")
        half.send(query("SELECT 'the rest'")[:7])
        names["half"] = "it works, or waits for an answer"
        for reason in ("it asked for pgweir.no_reap", "its origin is protected"):
            held[reason].value("SELECT 1")
        plain = pooler.client(parameters={"application_name": "plain"})
        plain.value("SELECT 1")
        self._quiet(pooler, "plain", 1)
        console = pooler.console()
        console.query(f"PROTECT ORIGIN {self._origin(pooler, 'protected')}")
        got = {}
        for row in pooler.show("ORIGINS"):
            for each in self._reap(console, f"REAP ORIGIN {row['id']}"):
                got[each["application_name"]] = (each["outcome"], each["reason"])
        self.assertEqual({"plain": ("ended", "idle"), **{name: ("stays", reason) for name, reason in names.items()}}, got)
        self.assertEqual("57P05", plain.expect_closed()[0].sqlstate)
        half.send(query("SELECT 'the rest'")[7:])
        self.assertEqual("the rest", half.reply().value)
        console.query(f"UNPROTECT ORIGIN {self._origin(pooler, 'protected')}")
        row, = self._reap(console, f"REAP ORIGIN {self._origin(pooler, 'protected')}")
        self.assertEqual("ended", row["outcome"])

    def who_listens_stays_though_it_holds_nothing(self):
        pooler = self.pooler(settings={**QUICK, "pool_mode": "transaction"})
        listener, plain = (pooler.client(parameters={"application_name": "listener"}) for _ in range(2))
        plain.value("SELECT 1")
        listener.query("LISTEN jobs")
        self._quiet(pooler, "listener", 2)
        console, origin = pooler.console(), self._origin(pooler, "listener")
        self.assertEqual({("ended", "idle"), ("stays", "it listens")}, {
            (row["outcome"], row["reason"]) for row in self._reap(console, f"REAP ORIGIN {origin}")})
        with self.pg.admin("app") as admin:
            admin.query("NOTIFY jobs, 'one'")
        wait_until("it hears", lambda: listener.value("SELECT 1") and listener.notifications)
        listener.query("UNLISTEN jobs")
        # One quiet client is what SHOW ORIGINS may still tell of the time before that.
        wait_until("it is quiet, and ended", lambda: ["ended"] == [
            row["outcome"] for row in self._reap(console, f"REAP ORIGIN {origin}")])

    def what_is_pinned_stays_whatever_its_words_were(self):
        with self.pg.admin("app") as admin:
            admin.query("CREATE OR REPLACE FUNCTION quietly(what text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE what; END'")
        pooler = self.pooler(settings={**QUICK, "pool_mode": "transaction", "default_pool_size": 10})
        held = {"it may hold an advisory lock": "SELECT pg_advi'||'sory_lock(9)", "it may hold a cursor WITH HOLD": "DECLARE c CURSOR WITH HO'||'LD FOR SELECT 1",
                "it listens": "LIS'||'TEN quietly"}
        clients = {}
        for reason, statement in held.items():
            clients[reason] = pooler.client(parameters={"application_name": "quiet"})
            clients[reason].query(f"SELECT quietly('{statement}')")
        temporary, plain = (pooler.client(parameters={"application_name": "quiet"}) for _ in range(2))
        temporary.query("CREATE TEMPORARY TABLE kept (a int)")          # it goes with its client, whom nobody asks about it
        plain.value("SELECT 1")
        self._quiet(pooler, "quiet", 5)
        console, origin = pooler.console(), self._origin(pooler, "quiet")
        rows = self._reap(console, f"REAP ORIGIN {origin}")
        self.assertEqual({("ended", "idle"), *(("stays", reason) for reason in held)}, {(row["outcome"], row["reason"]) for row in rows}, pooler.show("PINS"))
        for client in clients.values():
            self.assertEqual("2", client.value("SELECT 2"))


class The_reaper_by_itself(Story):
    kinds = ("pgweir",)

    def _leak(self, pooler, count, name="leaky"):
        clients = []
        for _ in range(count):
            client = pooler.client(parameters={"application_name": name})
            client.value("SELECT 1")
            clients.append(client)
            time.sleep(0.05)
        return clients

    def _closed(self, clients):
        """Those that were ended, and by which error."""
        errors = []
        for client in clients:
            try:
                while True:
                    kind, body = client.read(timeout=0.001)
                    if kind == b"E":
                        errors.append(wire.Refused(wire.fields_of(body)))
            except (wire.Late, wire.Closed):
                pass
        return errors

    @takes(90)
    def under_pressure_the_forgotten_are_ended_and_nobody_else(self):
        pooler = self.pooler(settings={**QUICK, "leak_action": "reclaim", "max_client_conn": 100, "client_limit_counts": "all",
                                       "reap_pressure": 50, "reap_relief": 30, "reap_batch": 5, "leak_siblings": 3})
        healthy = [pooler.client(parameters={"application_name": "healthy"}) for _ in range(5)]
        leaked = []

        def reaped():
            for client in healthy:
                client.value("SELECT 1")
            if len(leaked) < 75:
                leaked.extend(self._leak(pooler, 2))
            return [row for row in pooler.show("REAPS") if row["outcome"] == "ended"]
        rows = wait_until("somebody is ended", reaped, timeout=60, every=0.1)
        self.assertEqual({"leaky"}, {row["application_name"] for row in rows})
        self.assertEqual({"no"}, {row["by_hand"] for row in rows})
        errors = wait_until("it was told", lambda: self._closed(leaked))
        self.assertEqual("57P05", errors[0].sqlstate)
        self.assertRegex(errors[0].detail, "its origin leaks by pattern L")
        self.assertIn(errors[0].hint, {row["cure"] for row in pooler.show("LEAKS")})
        for client in healthy:
            self.assertEqual("2", client.value("SELECT 2"))

    @takes(90)
    def without_pressure_nobody_is_ended(self):
        pooler = self.pooler(settings={**QUICK, "leak_action": "reclaim", "max_client_conn": 1000, "client_limit_counts": "all",
                                       "leak_siblings": 3})
        leaked = []

        def named():
            leaked.extend(self._leak(pooler, 2))
            return [row for row in pooler.show("LEAKS") if not row["ended"]]
        wait_until("the leak is named", named, timeout=60, every=0.1)
        for _ in range(20):
            leaked.extend(self._leak(pooler, 1))
            time.sleep(0.1)
        self.assertEqual([], pooler.show("REAPS"))
        self.assertEqual([], self._closed(leaked))

    @takes(90)
    def a_hold_is_ended_when_somebody_waits_for_it(self):
        pooler = self.pooler(settings={**QUICK, "leak_action": "reclaim", "default_pool_size": 3, "query_wait_timeout": 60})
        holders = [pooler.client(parameters={"application_name": "holder"}) for _ in range(3)]
        for client in holders:
            client.begin()
            client.query("SELECT 1")
        waiter = pooler.client(parameters={"application_name": "waiter"}, timeout=60)
        waiter.send(query("SELECT 'served'"))
        self.assertEqual("served", waiter.reply(timeout=60).value)
        errors = wait_until("one was told", lambda: self._closed(holders))
        self.assertEqual("25P03", errors[0].sqlstate)
        wait_until("it is listed", lambda: pooler.show("REAPS"))
        self.assertEqual(["ended"], [row["outcome"] for row in pooler.show("REAPS")])

    @takes(90)
    def a_hold_is_ended_when_a_neighbour_waits_for_its_part_of_a_limit(self):
        pooler = self.pooler(settings={**QUICK, "leak_action": "reclaim", "default_pool_size": 20, "max_db_connections": 3,
                                       "query_wait_timeout": 60})
        holders = [pooler.client(parameters={"application_name": "holder"}) for _ in range(3)]
        for client in holders:
            client.begin()
            client.query("SELECT 1")
        waiter = pooler.client(user="other", parameters={"application_name": "neighbour"}, timeout=60)
        waiter.send(query("SELECT 'served'"))
        self.assertEqual("served", waiter.reply(timeout=60).value)
        row, = wait_until("it is listed", lambda: pooler.show("REAPS"))
        self.assertEqual(("ended", "holder"), (row["outcome"], row["application_name"]))
        pooler.await_log(pattern=r'leak (began|changed):.* severity=urgent .*application_name="holder"')

    @full_only
    @takes(90)
    def those_that_are_pinned_to_servers_are_ended_when_somebody_waits(self):
        pg = self.postgres(max_connections=220)
        pooler = self.pooler(pg=pg, settings={**QUICK, "leak_action": "reclaim", "default_pool_size": 200, "query_wait_timeout": 60, "leak_siblings": 3})
        leaked = []

        def named():
            client = pooler.client(parameters={"application_name": "pinned"})
            client.query("CREATE TEMP TABLE kept (a int)")
            leaked.append(client)
            return pooler.show("LEAKS")
        wait_until("the leak is named", named, timeout=60, every=0.1)
        pooler.console().query(f"SET default_pool_size = {len(leaked)}")
        waiter = pooler.client(parameters={"application_name": "waiter"}, timeout=60)
        waiter.send(query("SELECT 'served'"))
        self.assertEqual("served", waiter.reply(timeout=60).value)
        leak, = pooler.show("LEAKS")
        self.assertEqual(("server", "pinned"), (leak["family"], leak["application_name"]))
        self.assertEqual("57P05", wait_until("one was told", lambda: self._closed(leaked))[0].sqlstate)

    @takes(90)
    def who_logs_in_again_as_often_as_it_is_ended_is_let_alone(self):
        pooler = self.pooler(settings={**QUICK, "leak_action": "reclaim", "max_client_conn": 100, "client_limit_counts": "all",
                                       "reap_pressure": 30, "reap_relief": 20, "reap_batch": 2, "reap_share": 100, "reap_hourly": 1000,
                                       "leak_siblings": 3})
        clients = []

        def said():
            gone = [client for client in clients if client.readable()]
            for client in gone:
                clients.remove(client)
                client.close()
            clients.extend(self._leak(pooler, len(gone)))       # as often as it is ended, and it leaks on
            if len(clients) < 90:
                clients.extend(self._leak(pooler, 2))
            return "it is let alone for 600 s" in pooler.log()
        wait_until("it is let alone", said, timeout=70, every=0.05)
        self._settled(pooler)
        ended = len(pooler.show("REAPS"))
        clients.extend(self._leak(pooler, 10))
        self._settled(pooler)
        self.assertEqual(ended, len(pooler.show("REAPS")))

    def _settled(self, pooler, looks=3):
        """Wait until the guard has looked at all clients so many times more: what was under way before is done then."""
        for _ in range(looks):
            name = f"new at {time.monotonic()}"
            with pooler.client(user="other", parameters={"application_name": name}):
                wait_until("there was another look", lambda name=name: any(
                    row["application_name"] == name for row in pooler.show("ORIGINS")))

    def many_verdicts_at_once_are_ten_lines(self):
        pooler = self.pooler(settings={**QUICK, "leak_interval": 0, "default_pool_size": 35})
        holders = [pooler.client(parameters={"application_name": f"application {number}"}) for number in range(30)]
        for client in holders:
            client.begin()
            client.query("SELECT 1")
        time.sleep(1.5)                                         # longer than any look needs to name them; nobody has looked yet
        pooler.console().query("SET leak_interval = '1'")
        wait_until("all are named", lambda: len(pooler.show("LEAKS")) == 30, timeout=60)
        pooler.await_log("WARNING leak changes that are not logged: 20; see SHOW LEAKS")
        self.assertEqual(10, pooler.log().count("leak began"))

    @takes(90)
    def that_nobody_may_be_ended_is_said(self):
        pooler = self.pooler(settings={**QUICK, "leak_action": "reclaim", "default_pool_size": 2, "query_wait_timeout": 0})
        holders = [pooler.client(parameters={"application_name": "lockers"}) for _ in range(2)]
        for number, client in enumerate(holders):
            client.begin()
            client.query(f"SELECT pg_advisory_xact_lock({number})")
        waiter = pooler.client(parameters={"application_name": "waiter"})
        waiter.send(query("SELECT 'served'"))
        said = (r'WARNING reaper: origin \d+ \(app/app "lockers" at 127\.0\.0\.1\) leaks by pattern L\d+ and room is needed, '
                r"but nobody of it may be ended: it may hold an advisory lock: 2\n")
        wait_until("it is said", lambda: re.search(said, pooler.log()), timeout=60)
        self.assertEqual([], pooler.show("REAPS"))
        holders[0].query("COMMIT")
        self.assertEqual("served", waiter.reply(timeout=30).value)
        self.assertEqual(1, pooler.log().count("nobody of it may be ended"))

    @takes(90)
    def notice_tells_and_ends_nobody(self):
        pooler = self.pooler(settings={**QUICK, "leak_action_patterns": "L1=notice, L5=notice, L3=notice, L16=notice",
                                       "leak_siblings": 3})
        leaked = []

        def told():
            leaked.extend(self._leak(pooler, 2))
            return [row for row in pooler.show("REAPS") if row["outcome"] == "told"]
        wait_until("somebody is told", told, timeout=60, every=0.1)
        notices = []
        for client in leaked:
            self.assertEqual("3", client.value("SELECT 3"))
            notices += client.notices
        self.assertTrue(any(each["S"] == "WARNING" and each["M"] == "this connection looks forgotten" for each in notices), notices[:3])

    @takes(90)
    def a_user_and_a_database_are_found_by_their_names_and_not_by_what_is_shown_of_them(self):
        user, database, automatic = 'weir\\"odd', "rep\\orts".ljust(63, "x"), "auto\\matic".ljust(63, "y")
        pooler = self.pooler(settings={**QUICK, "leak_siblings": 3}, users={f"'{user}'": "leak_action=notice"},
                             databases={"app": "dbname=app user=app", f"'{database}'": "dbname=app leak_action=notice",
                                        "*": f"host=127.0.0.1 port={self.pg.port} dbname=app leak_action=observe"},
                             userlist={"app": "", "admin": "", user: ""})
        who = [{"user": user}, {"database": database}, {}, {"database": automatic}]

        def told():
            for names in who:
                pooler.client(parameters={"application_name": "leaky"}, **names).value("SELECT 1")
            names_of = lambda rows: len({(row["user"], row["database"]) for row in rows})
            leaks, rows = pooler.show("LEAKS"), [row for row in pooler.show("REAPS") if row["outcome"] == "told"]
            return (leaks, rows) if (names_of(leaks), names_of(rows)) == (4, 2) else None
        # Whoever does not log in any more is not said to leak: they all go on until all four are.
        leaks, rows = wait_until("all four leak, and two of them are told", told, timeout=60, every=0.1)
        shown = database.replace("\\", "\\\\")[:63]
        self.assertEqual({(user.replace("\\", "\\\\"), "app"), ("app", shown)}, {(row["user"], row["database"]) for row in rows}, leaks)
        row, = [row for row in pooler.show("DATABASES") if row["name"].startswith("auto")]
        self.assertGreater(int(row["current_client_connections"]), 1)

    def what_a_setting_does_not_mean_is_said(self):
        pooler = self.pooler(settings=QUICK)
        console = pooler.console()
        for bad in ("SET leak_action = 'kill'", "SET leak_action_patterns = 'L1=kill'", "SET leak_action_patterns = 'leak=notice'",
                    "SET leak_action_patterns = 'L1'", "SET reap_pressure = 101"):
            self.assertTrue(console.simple(bad).errors, bad)
        console.query("SET leak_action_patterns = 'L1=reclaim, L9=observe'")
