"""What the pooler asks a server for itself: its answer comes in portions, it fails, or a cancel comes while it runs."""
from between import Between
from harness import Story, helper, wait_until
from wire import COPY_DONE, SYNC, Client, bind, cancel_request, copy_data, execute, parse, query

CANCEL = cancel_request(0, b"")[4:8]


class Between_story(Story):
    kinds = ("pgweir",)

    def setUp(self):
        super().setUp()
        self.between = Between(self.pg.port)
        self.addCleanup(self.between.stop)
        self.addCleanup(self.between.let_all_through)
        self.proxy = self.pooler(databases={"app": f"host=127.0.0.1 port={self.between.port} dbname=app"},
                                 settings={"default_pool_size": 1, "workers": 1, "monitor_interval": 0})
        self.client, self.other = self.proxy.client(), self.proxy.client()

    @helper
    def what_was_sent_is_read(self):
        """The only worker tells what it shows when it has read what was there."""
        for _ in range(2):
            self.proxy.show("SERVERS")

    @helper
    def fails_while_it_waits(self, client):
        """In a transaction that no server has seen."""
        self.other.query("BEGIN; SELECT 1")
        client.send(query("SELECT 1"))
        wait_until("it waits", lambda: int(self.proxy.pool()["cl_waiting"]) == 1)
        client.cancel()
        self.assertEqual("57014", client.reply().error.sqlstate)
        self.other.query("COMMIT")

    @helper
    def asker(self):
        """It has brought a cancel, and the pooler has read that."""
        asker = Client(self.proxy.address, login=False)
        self.addCleanup(asker.close)
        asker.send(cancel_request(self.client.pid, self.client.secret))
        self.what_was_sent_is_read()
        return asker

    @helper
    def it_sleeps(self, admin):
        wait_until("it sleeps", lambda: admin.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1")


class Between_us(Between_story):
    def a_question_that_failed_is_not_taken_for_answered_while_the_end_of_its_answer_is_on_its_way(self):
        self.assertEqual("1", self.other.value("SELECT 1"))
        usual = self.other.value("SHOW work_mem")
        self.between.garble(b"pg_settings WHERE source", b"pg_settingz WHERE source")
        self.between.hold_behind_error(b"42P01")
        self.client.query("SET work_mem = '77kB'")
        self.between.await_held()
        self.what_was_sent_is_read()
        self.client.send(query("SELECT lastval()"))         # behind a statement of ours
        self.what_was_sent_is_read()
        self.between.let_all_through()
        self.assertEqual("55000", self.client.reply().error.sqlstate)
        self.assertEqual("77kB", self.client.value("SHOW work_mem"))
        self.client.close()
        self.assertEqual(usual, self.other.value("SHOW work_mem"))

    def a_number_is_not_told_when_the_strangers_could_not_be_discarded(self):
        admin = self.pg.admin("app")
        admin.query("CREATE SEQUENCE between_us; GRANT ALL ON between_us TO PUBLIC")
        self.addCleanup(admin.query, "DROP SEQUENCE between_us")
        self.other.query("SELECT nextval('between_us')")
        self.between.garble(b"DISCARD SEQUENCES\0", b"DISCARD SEQUENCEZ\0")
        self.client.send(query("SELECT lastval()"))
        error = self.client.read_to(b"EZ").error
        self.assertTrue(error, "it was told a number")
        self.assertEqual(("FATAL", "42601"), (error.severity, error.sqlstate))
        self.client.expect_closed()

    def a_cancel_before_its_begin_is_answered_is_one_of_the_statement(self):
        self.client.query("BEGIN")
        self.between.hold_from(b"BEGIN\0")
        self.client.send(query("SELECT pg_sleep(120)"))
        self.between.await_held()
        asker = self.asker()
        self.between.let_all_through()
        reply = self.client.reply()
        asker.expect_closed()
        self.assertEqual(("57014", "E"), (reply.error.sqlstate, reply.status))
        self.client.query("ROLLBACK")
        self.assertEqual("1", self.other.value("SELECT 1"))

    @helper
    def table_behind(self, columns):
        """Who sees what was written there."""
        admin = self.pg.admin("app")
        admin.query(f"CREATE TABLE behind ({columns}); GRANT ALL ON behind TO PUBLIC")
        self.addCleanup(admin.query, "DROP TABLE behind")
        return admin

    def what_stands_behind_a_begin_that_fails_does_not_run(self):
        admin = self.table_behind("n int")
        writes, copies = "INSERT INTO behind VALUES (1)", "COPY behind FROM STDIN"
        written = parse("", writes) + bind("", "") + execute()
        for name, messages in {"a query": [query(writes)], "several": [query(f"{writes}; {writes}")], "one of them commits": [query(f"COMMIT; {writes}")],
                               "a pipeline of queries": [query(writes), query("COMMIT"), query(writes)], "a batch": [written, SYNC],
                               "batches": [written, SYNC, written, SYNC, query(writes)], "a batch and a query": [written, query(writes), SYNC, query(writes)],
                               "a query and a batch": [query("SELECT 1"), SYNC, written, SYNC], "a copy": [query(copies), copy_data(b"1\n"), COPY_DONE, query(writes)]}.items():
            for cancelled in (False, True):
                with self.subTest(name, cancelled=cancelled), self.proxy.client() as client:
                    self.between.let_all_through()
                    client.query("BEGIN")
                    if cancelled:
                        self.fails_while_it_waits(client)
                    self.between.garble(b"BEGIN", b"BEGIX")
                    client.send(*messages)
                    error = client.read_to(b"EZ").error
                    client.expect_closed()
                    self.between.let_all_through()
                    self.assertEqual("1", self.other.value("SELECT 1"))
                    self.assertEqual("0", admin.value("SELECT count(*) FROM behind"))
                    self.assertEqual(("FATAL", "42601"), (error.severity, error.sqlstate))

    def what_stands_behind_settings_that_fail_does_not_run(self):
        admin = self.table_behind("n int, zone text DEFAULT current_setting('TimeZone')")
        writes, copies = "INSERT INTO behind VALUES (1)", "COPY behind (n) FROM STDIN"
        written = parse("", writes) + bind("", "") + execute()
        for name, messages in {"a query": [query(writes)], "several": [query(f"{writes}; {writes}")], "a transaction": [query("BEGIN"), query(writes), query("COMMIT"), query(writes)],
                               "a pipeline of queries": [query(writes), query(writes)], "a batch": [written, SYNC], "batches": [written, SYNC, written, SYNC, query(writes)],
                               "a batch and a query": [written, query(writes), SYNC, query(writes)], "a copy": [query(copies), copy_data(b"1\n"), COPY_DONE, query(writes)]}.items():
            # Where it is read, in the middle of it, and when all is done but the commit.
            for garbled in ((b"pg_catalog.set_config(", b"pg_catalog.set_confix("), (b"Pacific/Niue", b"Pacific/Nixx"), (b"COMMIT\0\0\0B", b"COMMIX\0\0\0B")):
                with self.subTest(name, garbled=garbled[1]), self.proxy.client() as client:
                    self.between.let_all_through()
                    client.query("SET TimeZone = 'Pacific/Niue'")
                    self.assertEqual("1", self.other.value("SELECT 1"))     # the server changes hands
                    self.between.garble(*garbled)
                    client.send(*messages)
                    error = client.expect_closed()[-1]
                    self.between.let_all_through()
                    self.assertEqual("1", self.other.value("SELECT 1"))
                    self.assertEqual("", admin.value("SELECT string_agg(zone, ' ') FROM behind") or "")
                    self.assertEqual("FATAL", error.severity)

    def nothing_runs_as_somebody_else_where_a_role_is_refused(self):
        admin = self.pg.admin("app")
        admin.query("CREATE ROLE low; GRANT low TO app; CREATE TABLE behind (n int); GRANT ALL ON behind TO app")
        self.addCleanup(admin.query, "DROP TABLE behind; DROP ROLE low")
        writes = "INSERT INTO behind VALUES (1)"
        for name, messages in {"a query": [query(writes)], "a batch": [parse("", writes), bind("", ""), execute(), SYNC],
                               "a pipeline": [query("BEGIN"), query(writes), query("COMMIT")], "several": [query("SELECT 1"), query(writes)]}.items():
            with self.subTest(name), self.proxy.client() as client:
                admin.query("GRANT low TO app")
                client.query("SET ROLE low")
                self.assertEqual("app", self.other.value("SELECT current_user"))       # the server changes hands
                self.assertEqual("low", client.value("SELECT current_user"))
                self.assertEqual("app", self.other.value("SELECT current_user"))
                admin.query("REVOKE low FROM app")
                client.send(*messages)
                error = client.expect_closed()[-1]
                self.assertEqual(("FATAL", "42501"), (error.severity, error.sqlstate))
                self.assertEqual("0", admin.value("SELECT count(*) FROM behind"))

    def a_cancel_hits_nothing_that_is_asked_for_after_it_has_arrived(self):
        admin = self.pg.admin("app")
        for waits_for in ("a statement of ours", "another cancel"):
            with self.subTest(waits_for=waits_for):
                admin.query("SELECT pg_advisory_lock(61)")
                self.client.query("BEGIN")
                self.between.hold_from(b"BEGIN\0")
                self.client.send(query("SELECT pg_advisory_xact_lock(61)"))     # it runs until the cancel is on its way
                self.between.await_held()
                askers = [self.asker()]
                self.between.let_all_through(but=CANCEL)
                self.between.await_held()
                if waits_for == "another cancel":
                    askers.append(self.asker())
                admin.query("SELECT pg_advisory_unlock(61)")
                self.assertEqual("", self.client.reply().value)
                self.what_was_sent_is_read()
                self.assertEqual([], [asker for asker in askers[:1] if asker.readable()], "let go too early")
                self.between.let_all_through()
                for asker in askers:
                    asker.expect_closed()
                self.assertEqual("2", self.client.value("SELECT 2 FROM pg_sleep(0.2)"))
                self.client.query("COMMIT")

    def a_cancel_that_comes_before_the_end_of_another_is_not_lost(self):
        self.client.query("CREATE TEMP TABLE keeps_its_server (n int)")
        self.between.hold_end_after(CANCEL)
        self.client.send(query("SELECT pg_sleep(120)"))
        self.asker()
        self.between.await_held()
        self.assertEqual("57014", self.client.reply().error.sqlstate)
        self.client.send(query("SELECT pg_sleep(120)"))
        self.what_was_sent_is_read()
        self.asker()
        self.between.let_all_through()
        self.assertEqual("57014", self.client.reply().error.sqlstate)

    def a_cancel_of_what_waits_for_something_of_ours_comes_when_it_runs(self):
        admin = self.pg.admin("app")
        self.client = self.proxy.client(parameters={"work_mem": "77kB"})
        for kind, before, statement in (("for another cancel", None, "CREATE TEMP TABLE ours AS SELECT 1 AS n FROM pg_sleep(120)"),
                                        ("for a correction that waits itself", "RESET work_mem", "SELECT pg_sleep(120)")):
            with self.subTest(kind):
                admin.query("SELECT pg_advisory_lock(63)")
                self.client.query("BEGIN")
                self.between.hold_from(CANCEL)
                # It is over before the first cancel has arrived. What is sent after that waits.
                self.client.send(query("SELECT pg_advisory_xact_lock(63)"), *([query(before)] if before else []))
                askers = [self.asker()]
                self.between.await_held()
                admin.query("SELECT pg_advisory_unlock(63)")
                self.assertEqual("", self.client.reply().value)
                if before:
                    self.client.read_to(b"C")
                self.client.send(query(statement))
                self.what_was_sent_is_read()
                askers.append(self.asker())
                self.between.let_all_through(but=CANCEL)
                self.it_sleeps(admin)
                self.between.let_all_through()
                if before:
                    self.client.read_to(b"Z")
                reply = self.client.reply()
                self.assertEqual(("57014", "E"), (reply.error.sqlstate, reply.status))
                for asker in askers:
                    asker.expect_closed()
                self.client.query("ROLLBACK")
        self.assertEqual("1", self.other.value("SELECT 1"))

    def nothing_is_said_for_a_client_behind_its_answer_while_its_cancel_is_on_its_way(self):
        admin = self.pg.admin("app")
        for in_block in (True, False):
            with self.subTest(in_block=in_block):
                self.client.query("BEGIN" if in_block else "CREATE TEMP TABLE keeps_its_server (n int)")
                self.between.hold_end_after(CANCEL)
                self.client.send(query("SELECT pg_sleep(120)"))
                asker = self.asker()
                self.between.await_held()
                self.assertEqual("57014", self.client.reply().error.sqlstate)
                self.between.expect(b"said_behind_it")
                self.client.send(query("ROLLBACK; SELECT 'said_behind_it'"))
                self.what_was_sent_is_read()
                self.assertEqual((False, False), (self.between.heard, asker.readable()))
                self.between.let_all_through()
                asker.expect_closed()
                self.assertEqual("said_behind_it", self.client.reply().value)
                self.assertTrue(self.between.heard)

    def nothing_of_ours_is_said_while_a_cancel_is_on_its_way(self):
        admin, other = self.pg.admin("app"), self.other.value("SHOW work_mem")
        self.client = self.proxy.client(parameters={"work_mem": "77kB"})
        for kind, ours, statement in (("in front of a statement", "DISCARD PLANS", "CREATE TEMP TABLE ours (n int)"),
                                      ("behind one", "77kB", "RESET work_mem")):
            with self.subTest(kind):
                admin.query("SELECT pg_advisory_lock(62)")
                self.client.query("BEGIN")
                self.between.hold_from(CANCEL)
                # It is over before the cancel has arrived.
                self.client.send(query("SELECT pg_advisory_xact_lock(62)"), *([query(statement)] if kind == "behind one" else []))
                asker = self.asker()
                self.between.await_held()
                self.between.expect(ours.encode())
                admin.query("SELECT pg_advisory_unlock(62)")
                self.assertEqual("", self.client.reply().value)
                if kind == "behind one":
                    self.client.read_to(b"C")
                else:
                    self.client.send(query(statement))
                self.what_was_sent_is_read()
                self.assertEqual((False, False), (self.between.heard, asker.readable()))
                self.between.let_all_through()
                asker.expect_closed()
                self.assertEqual((None, "T"), (self.client.reply().error, self.client.query("SELECT 1").status))
                self.assertTrue(self.between.heard)
                self.assertEqual("77kB", self.client.value("SHOW work_mem"))
                self.client.query("ROLLBACK")
        self.client.close()
        self.assertEqual(other, self.other.value("SHOW work_mem"))
