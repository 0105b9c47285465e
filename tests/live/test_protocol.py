"""The wire protocol, byte by byte, where drivers never go."""
import os
import random
import socket
import struct
import threading
import time

import wire
from harness import Gate, Story, Holders, full_only, live, on, takes, wait_until
from wire import (COPY_DONE, FLUSH, SYNC, Client, batch, bind, close, copy_data, copy_fail, describe, execute,
                  function_call, message, parse, query)


class Startup(Story):

    def a_login_tells_what_the_server_would_tell(self):
        client = self.pooler().client()
        for name in ("server_version", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings",
                     "integer_datetimes", "server_encoding", "IntervalStyle"):
            self.assertIn(name, client.parameters)
        self.assertIsNotNone(client.pid)
        self.assertEqual(4, len(client.secret))

    def a_request_for_encryption_is_declined_and_the_login_goes_on(self):
        pooler = self.pooler()
        if live.kind == "direct":
            self.skipTest("PostgreSQL may say yes")
        for code in (wire.SSL_CODE, wire.GSSENC_CODE):
            with Client(pooler.address, login=False) as client:
                client.send(wire.special(code))
                self.assertEqual(b"N", client.read_bytes(1))
                client.login("app", "app")
                self.assertEqual("1", client.value("SELECT 1"))
        with Client(pooler.address, login=False) as client:
            client.send(wire.special(wire.GSSENC_CODE))
            self.assertEqual(b"N", client.read_bytes(1))
            client.send(wire.special(wire.SSL_CODE))
            self.assertEqual(b"N", client.read_bytes(1))
            client.login("app", "app")
            self.assertEqual("2", client.value("SELECT 2"))

    @on("pgweir")
    def bytes_sent_along_with_a_request_for_encryption_are_refused(self):
        pooler = self.pooler()
        with Client(pooler.address, login=False) as client:
            client.send(wire.special(wire.SSL_CODE) + wire.startup({"user": "app", "database": "app"}))
            try:
                self.assertIn(client.read_bytes(1), (b"N", b"E"))
                client.finish_login("app")
            except (wire.Refused, wire.Closed, struct.error):
                pass
        # Whichever way that one went, nobody else is disturbed.
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir", "direct")
    def protocol_3_2_is_answered_with_what_we_speak(self):
        client = self.pooler().client(version=wire.PROTOCOL_3_2)
        if client.negotiated:
            newest, unknown = client.negotiated
            self.assertIn(newest, (0, 3 << 16, 3 << 16 | 2) if live.kind == "direct" else (3 << 16, 3 << 16 | 2))
            self.assertEqual([], unknown)
        self.assertEqual("1", client.value("SELECT 1"))

    @on("pgweir", "direct")
    def protocol_3_9_with_unknown_options_is_negotiated_down(self):
        client = self.pooler().client(version=3 << 16 | 9, parameters={"_pq_.moon_phase": "full", "_pq_.tide": "low"})
        self.assertIsNotNone(client.negotiated, "no NegotiateProtocolVersion")
        newest, unknown = client.negotiated
        self.assertLess(newest & 0xFFFF, 9)
        self.assertEqual(["_pq_.moon_phase", "_pq_.tide"], sorted(unknown))
        self.assertEqual("v", [kind for kind, _ in client.seen if kind == b"v"][0].decode())
        self.assertEqual("1", client.value("SELECT 1"))

    def old_and_future_protocols_are_refused(self):
        pooler = self.pooler()
        for version in (2 << 16, 4 << 16):
            with Client(pooler.address, login=False) as client:
                client.send(wire.startup({"user": "app", "database": "app"}, version))
                try:
                    errors = client.expect_closed()
                except wire.Late:
                    self.fail(f"a login with protocol {version >> 16} is left hanging")
                if live.kind == "pgweir":       # PostgreSQL answers a client of protocol 2 in protocol 2
                    self.assertEqual(1, len(errors))
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def a_login_without_a_user_is_refused(self):
        pooler = self.pooler()
        with Client(pooler.address, login=False) as client:
            client.send(wire.startup({"database": "app"}))
            errors = client.expect_closed()
            self.assertEqual(1, len(errors))

    @on("pgweir", "direct")
    def startup_options_reach_the_server_and_stay_with_their_client(self):
        pooler = self.pooler(settings={"default_pool_size": 1}) if live.kind != "direct" else self.pooler()
        careful = pooler.client(parameters={"options": "-c statement_timeout=30000 -c search_path=pg_catalog"})
        plain = pooler.client()
        for _ in range(3):
            self.assertEqual("30s", careful.value("SHOW statement_timeout"))
            self.assertEqual("pg_catalog", careful.value("SHOW search_path"))
            self.assertEqual("0", plain.value("SHOW statement_timeout"))
            self.assertEqual('"$user", public', plain.value("SHOW search_path"))

    @on("pgweir", "direct")
    def options_in_every_spelling_are_understood(self):
        pooler = self.pooler()
        for spelling, name, value in (("-c work_mem=5MB", "work_mem", "5MB"),
                                      ("-cwork_mem=6MB", "work_mem", "6MB"),
                                      ("--work_mem=7MB", "work_mem", "7MB"),
                                      ("--work-mem=8MB", "work_mem", "8MB"),
                                      ("-c application_name=two\\ words", "application_name", "two words"),
                                      ("  -c  work_mem=9MB  -c lock_timeout=4s", "lock_timeout", "4s")):
            with self.subTest(spelling):
                client = pooler.client(parameters={"options": spelling})
                self.assertEqual(value, client.value(f"SHOW {name}"))

    @on("pgweir", "direct")
    def parameters_that_are_settings_are_carried_to_every_server(self):
        pooler = self.pooler()
        client = pooler.client(parameters={"TimeZone": "Asia/Tokyo", "application_name": "tide table",
                                           "extra_float_digits": "3", "search_path": "pg_temp", "work_mem": "3MB"})
        holders = Holders(pooler, 3)
        for _ in range(3):
            self.assertEqual("Asia/Tokyo", client.value("SHOW timezone"))
            self.assertEqual("tide table", client.value("SHOW application_name"))
            self.assertEqual("3", client.value("SHOW extra_float_digits"))
            self.assertEqual("pg_temp", client.value("SHOW search_path"))
            self.assertEqual("3MB", client.value("SHOW work_mem"))
            holders.take_one()
        other = pooler.client()
        holders.release()
        for _ in range(6):
            self.assertNotEqual("Asia/Tokyo", other.value("SHOW timezone"))
            self.assertEqual("4MB", other.value("SHOW work_mem"))
            self.assertEqual("", other.value("SHOW application_name"))

    def an_unknown_startup_parameter_is_an_error_that_names_it_and_hurts_nobody_else(self):
        pooler = self.pooler()
        bystander = pooler.client()
        for parameters in ({"no_such_parameter": "1"}, {"options": "-c no_such_parameter=1"}):
            if live.kind == "pgbouncer" and "options" in parameters:
                continue
            try:
                client = pooler.client(parameters=parameters)
                reply = client.simple("SELECT 1")
                self.assertTrue(reply.errors, "an unknown parameter was silently dropped")
                error = reply.error
            except wire.Refused as refused:
                error = refused
            self.assertIn("no_such_parameter", error.message + error.detail)
        self.assertEqual("1", bystander.value("SELECT 1"))
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir")
    def a_refused_startup_parameter_reads_as_from_postgresql(self):
        pooler = self.pooler()
        for parameters in ({"DateStyle": "no such style"}, {"options": "-c work_mem=7parsecs"}, {"client_min_messages": "loud"},
                           {"options": "-c no.such.name=1 -c work_mem=1kB"}, {"options": "-c search_path=,"}):
            with self.subTest(parameters):
                said = [self.refused(Client, address, parameters=parameters).fields
                        for address in (self.pg.address, pooler.address)]
                for field in "SVCMDH":
                    self.assertEqual(said[0].get(field), said[1].get(field), field)

    def a_bad_value_of_a_known_parameter_hurts_only_its_client(self):
        pooler = self.pooler()
        try:
            client = pooler.client(parameters={"DateStyle": "no such style"})
            reply = client.simple("SELECT 1")
            self.assertTrue(reply.errors)
        except (wire.Refused, wire.Closed):
            pass
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir", "direct", why="PgBouncer 1.18 cannot")
    def a_startup_packet_may_arrive_byte_by_byte(self):
        pooler = self.pooler()
        with Client(pooler.address, login=False) as client:
            for byte in wire.startup({"user": "app", "database": "app", "application_name": "slow typist"}):
                client.send(bytes([byte]))
                time.sleep(0.001)
            client.finish_login("app")
            for byte in query("SELECT 'slow'"):
                client.send(bytes([byte]))
                time.sleep(0.001)
            self.assertEqual("slow", client.reply().value)
            for byte in batch("SELECT $1::int + 1", [41]):
                client.send(bytes([byte]))
            self.assertEqual("42", client.reply().value)

    def login_and_first_queries_may_arrive_in_one_packet(self):
        pooler = self.pooler()
        with Client(pooler.address, login=False) as client:
            client.send(wire.startup({"user": "app", "database": "app"}) + query("SELECT 7") + batch("SELECT $1::text", ["x"]))
            client.finish_login("app")
            self.assertEqual("7", client.reply().value)
            self.assertEqual("x", client.reply().value)

    def the_database_defaults_to_the_user(self):
        pooler = self.pooler()
        with Client(pooler.address, user="app", database=None) as client:
            self.assertEqual("app", client.value("SELECT current_database()"))

    def the_unix_socket_serves_as_well(self):
        pooler = self.pooler()
        with Client(pooler.socket_path, user="app") as client:
            self.assertEqual("1", client.value("SELECT 1"))
            self.assertEqual("x", client.extended("SELECT $1::text", ["x"]).value)


class Malformed(Story):
    """What no driver sends. Whoever sends it is told or cut off; whoever does not is not disturbed."""

    def _after(self, pooler, *parts):
        """Log in, send, and wait for the end; errors told on the way."""
        with Client(pooler.address) as client:
            client.send(*parts)
            return client.expect_closed()

    def garbage_before_login_disturbs_nobody(self):
        pooler = self.pooler(settings={"client_login_timeout": 3})
        bystander = pooler.client()
        dice = random.Random(live.seed)
        samples = [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
                   b"\0\0\0\0\0\0\0\0", b"\xff" * 64, struct.pack("!ii", 7, 196608), struct.pack("!ii", -1, 196608),
                   struct.pack("!ii", 8, 196608), struct.pack("!ii", 9, 196608) + b"x", struct.pack("!ii", 0x7FFFFFFF, 196608)]
        samples += [dice.randbytes(dice.randrange(1, 200)) for _ in range(20)]
        started = []
        for sample in samples:
            client = Client(pooler.address, login=False)
            client.send(sample)
            started.append(client)
        for client in started:
            client.vanish()
        self.assertEqual("1", bystander.value("SELECT 1"))
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir", "direct")
    def an_oversized_startup_packet_is_refused_without_being_stored(self):
        pooler = self.pooler(settings={"client_login_timeout": 5})
        with Client(pooler.address, login=False) as client:
            client.send(struct.pack("!ii", 1 << 30, 196608))
            before = pooler.memory_kb() if live.kind == "pgweir" else 0
            try:
                for _ in range(64):
                    client.send(b"x" * 65536)
                    time.sleep(0.001)
            except wire.Closed:
                pass
            if live.kind == "pgweir":
                stock = 10240 if "io_engine=io_uring" in live.options else 0     # all workers' connections share it, whatever comes
                self.assertLess(pooler.memory_kb() - before, 2048 + stock, "kilobytes of an unauthenticated startup packet are kept")
            try:
                client.expect_closed()
            except wire.Late:
                self.fail("a startup packet of 1 GB is still waited for")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    @on("pgweir", "direct")
    def a_startup_packet_without_its_terminator_is_refused(self):
        pooler = self.pooler()
        body = struct.pack("!i", 196608) + b"user\0app\0database\0app"
        with Client(pooler.address, login=False) as client:
            client.send(struct.pack("!i", len(body) + 4) + body)
            errors = client.expect_closed()
        self.assertEqual(1, len(errors))
        self.assertIn(errors[0].sqlstate, ("08P01", "22023"))

    def a_wrong_length_after_login_is_a_protocol_error(self):
        pooler = self.pooler()
        bystander = pooler.client()
        for sample in (b"Q" + struct.pack("!i", 3), b"Q" + struct.pack("!i", 0), b"Q" + struct.pack("!i", -5),
                       b"S" + struct.pack("!i", -2147483648)):
            try:
                errors = self._after(pooler, sample)
            except wire.Late:
                self.fail(f"{sample} is left hanging")
            if live.kind == "pgweir":
                self.assertEqual("08P01", errors[-1].sqlstate)
            self.assertEqual("1", bystander.value("SELECT 1"))

    @on("pgweir", "direct")
    def a_message_of_two_gigabytes_is_not_collected(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        bystander = pooler.client()
        before = pooler.memory_kb() if live.kind == "pgweir" else 0
        for kind in (b"Q", b"B", b"P", b"d"):
            client = Client(pooler.address)
            try:
                client.send(kind + struct.pack("!i", 0x7FFFFFFF) + b"s\0")
                for _ in range(64):
                    client.send(b"x" * 65536)
                if live.kind == "pgweir":
                    self.assertLess(pooler.memory_kb() - before, 8 << 10, "KB of one message are kept")
                client.expect_closed(timeout=2)
            except (wire.Closed, wire.Late):
                pass
            client.vanish()
            self.assertEqual("1", bystander.value("SELECT 1"))

    def an_unknown_message_is_a_protocol_error(self):
        pooler = self.pooler()
        bystander = pooler.client()
        errors = self._after(pooler, message(b"!", b"what is this"))
        self.assertTrue(errors)
        if live.kind != "pgbouncer":
            self.assertEqual("08P01", errors[-1].sqlstate)
        self.assertEqual("1", bystander.value("SELECT 1"))

    @on("pgweir")
    def short_bodies_are_protocol_errors_and_cost_nobody_a_server(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        bystander = pooler.client()
        samples = [message(b"P", b"no terminator"), message(b"P", b"name\0no terminator"), message(b"P", b"a\0SELECT 1\0\0\x05"),
                   message(b"B", b"p\0s"), message(b"B", b"\0\0\0\x01"), message(b"B", b"\0\0\0\0\0\x01\0\0\0\x64ab\0\0"),
                   message(b"D", b""), message(b"D", b"Xname\0"), message(b"E", b"portal"), message(b"C", b""), message(b"C", b"Sname"),
                   message(b"F", b"\0"), message(b"S", b"extra"), message(b"H", b"extra"), message(b"Q", b""),
                   message(b"Q", b"no terminator")]
        for sample in samples:
            with self.subTest(sample):
                with Client(pooler.address) as client:
                    client.send(sample + SYNC)
                    try:
                        while True:
                            kind, body = client.read()
                            if kind == b"E":
                                # Ours or PostgreSQL's own word; what matters is that there is one.
                                self.assertIn(wire.fields_of(body)["C"], ("08P01", "26000", "34000", "22P03"))
                            if kind == b"Z":
                                break
                    except wire.Closed:
                        pass
                self.assertEqual("1", bystander.value("SELECT 1"))

    def unfinished_messages_cost_nobody_anything_when_their_sender_leaves(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        bystander = pooler.client()
        whole = [query("SELECT 1"), batch("SELECT $1::int", [1], name="half"), parse("", "SELECT 1") + bind("", "")]
        for each in whole:
            for cut in sorted({1, 4, 5, 6, len(each) // 2, len(each) - 1}):
                client = Client(pooler.address)
                client.send(each[:cut])
                client.vanish()
        for _ in range(5):
            self.assertEqual("1", bystander.value("SELECT 1"))

    @on("pgweir")
    def random_bytes_after_login_never_reach_another_client(self):
        pooler = self.pooler(settings={"default_pool_size": 2})
        bystander = pooler.client()
        dice = random.Random(live.seed)
        for round in range(40 if not live.quick else 15):
            client = Client(pooler.address)
            junk = b"".join(message(bytes([dice.choice(b"QPBDECSHFdcfpX")]), dice.randbytes(dice.randrange(0, 40)))
                            for _ in range(dice.randrange(1, 6)))
            try:
                client.send(junk)
                if dice.random() < 0.5:
                    client.read(timeout=0.05)
            except (wire.Closed, wire.Late):
                pass
            client.vanish()
            self.assertEqual(str(round), bystander.value(f"SELECT {round}"))


class Pipelines(Story):

    def batches_sent_together_are_answered_in_order(self):
        client = self.pooler().client()
        count = 200
        client.send(b"".join(batch("SELECT $1::int", [number]) for number in range(count)))
        for number in range(count):
            self.assertEqual(str(number), client.reply().value)

    def simple_and_extended_queries_mix_in_one_pipeline(self):
        client = self.pooler().client()
        client.send(query("SELECT 'a'"), batch("SELECT $1::text", ["b"]), query("SELECT 'c'; SELECT 'd'"),
                    batch("SELECT $1::text", ["e"], name="named"), query(""), bind("", "named", ["f"]) + execute() + SYNC)
        self.assertEqual([("a",)], client.reply().rows)
        self.assertEqual([("b",)], client.reply().rows)
        self.assertEqual([("c",), ("d",)], client.reply().rows)
        self.assertEqual([("e",)], client.reply().rows)
        self.assertEqual("IZ", client.reply().kinds)
        self.assertEqual([("f",)], client.reply().rows)

    def an_error_skips_to_its_sync_and_no_further(self):
        client = self.pooler().client()
        statement = lambda sql: parse("", sql) + bind("", "") + execute()
        client.send(statement("SELECT 1"), statement("SELECT 1/0"), statement("SELECT 'skipped'"), SYNC,
                    statement("SELECT 2"), SYNC)
        first = client.reply()
        self.assertEqual([("1",)], first.rows)
        self.assertEqual(["22012"], [error.sqlstate for error in first.errors])
        self.assertEqual("I", first.status)
        self.assertEqual([("2",)], client.reply().rows)

    @on("pgweir", "direct", why="PgBouncer 1.18 cannot")
    def an_error_in_a_prepared_pipeline_does_not_confuse_what_is_prepared(self):
        pooler = self.pooler()
        client = pooler.client()
        client.send(parse("good", "SELECT 'good'"), parse("bad", "SELECT no_such_column"), parse("late", "SELECT 'late'"), SYNC)
        first = client.reply()
        self.assertEqual("1EZ", first.kinds)
        holders = Holders(pooler, 2)
        for _ in range(2):
            self.assertEqual("good", client.run_prepared("good").value)
            for name in ("bad", "late"):
                self.refused(client.run_prepared, name, sqlstate="26000")
            holders.take_one()
        # Both names are free and may be used again.
        client.prepare("bad", "SELECT 'better'")
        self.assertEqual("better", client.run_prepared("bad").value)

    def a_batch_without_sync_is_answered_after_flush(self):
        client = self.pooler().client()
        client.send(parse("", "SELECT $1::int * 2"), bind("", "", [21]), describe("P"), execute(), FLUSH)
        reply = client.read_to(b"C")
        self.assertEqual("12TDC", reply.kinds)
        self.assertEqual([("42",)], reply.rows)
        self.assertEqual("Z", client.ask(SYNC).kinds)

    def a_lone_sync_is_answered(self):
        client = self.pooler().client()
        for _ in range(3):
            self.assertEqual("Z", client.ask(SYNC).kinds)
        client.send(SYNC + SYNC + SYNC)
        for _ in range(3):
            self.assertEqual("I", client.reply().status)

    def a_lone_flush_changes_nothing(self):
        client = self.pooler().client()
        client.send(FLUSH)
        self.assertEqual("1", client.value("SELECT 1"))

    def a_portal_is_suspended_and_goes_on(self):
        client = self.pooler().client()
        client.send(parse("", "SELECT generate_series(1, 5)"), bind("p", ""), describe("P", "p"), execute("p", 2), FLUSH)
        reply = client.read_to(b"s")
        self.assertEqual([("1",), ("2",)], reply.rows)
        client.send(execute("p", 2), FLUSH)
        self.assertEqual([("3",), ("4",)], client.read_to(b"s").rows)
        client.send(execute("p", 2), SYNC)
        last = client.reply()
        self.assertEqual([("5",)], last.rows)
        self.assertEqual(["SELECT 1"], last.tags)

    def a_portal_of_a_transaction_lives_across_syncs(self):
        pooler = self.pooler()
        client = pooler.client()
        client.begin()
        first = client.ask(parse("", "SELECT generate_series(1, 4)"), bind("p", ""), execute("p", 2), SYNC)
        self.assertEqual([("1",), ("2",)], first.rows)
        self.assertEqual("T", first.status)
        pooler.client().value("SELECT 1")
        second = client.ask(execute("p", 0), close("P", "p"), SYNC)
        self.assertEqual([("3",), ("4",)], second.rows)
        self.assertEqual("COMMIT", client.query("COMMIT").tags[0])

    def a_function_call_is_answered(self):
        client = self.pooler().client()
        oid = int(client.value("SELECT 'pg_catalog.int4pl(int4,int4)'::regprocedure::oid"))
        reply = client.ask(function_call(oid, [40, 2]))
        self.assertEqual("VZ", reply.kinds)
        self.assertEqual("42", reply.value)
        reply = client.ask(function_call(4294967, [1]))
        self.assertEqual("EZ", reply.kinds)
        self.assertEqual("1", client.value("SELECT 1"))

    def a_thousand_messages_in_one_write_are_all_answered(self):
        client = self.pooler().client()
        count = 1000
        writer = threading.Thread(target=client.send, args=(b"".join(query(f"SELECT {n}") for n in range(count)),))
        writer.start()
        for number in range(count):
            self.assertEqual(str(number), client.reply().value)
        writer.join(10)

    def a_pipeline_may_be_cut_at_every_byte(self):
        client = self.pooler().client()
        whole = batch("SELECT $1::text", ["cut"], name="c") + query("SELECT 2") + close("S", "c") + SYNC
        for cut in range(1, len(whole)):
            client.send(whole[:cut])
            time.sleep(0.0005)
            client.send(whole[cut:])
            self.assertEqual("cut", client.reply().value)
            self.assertEqual("2", client.reply().value)
            self.assertEqual("3Z", client.reply().kinds)

    def several_statements_in_one_query_are_one_implicit_transaction(self):
        client = self.pooler().client()
        reply = client.simple("SELECT 1; SELECT 1/0; SELECT 3")
        self.assertEqual([("1",)], reply.rows)
        self.assertEqual("22012", reply.error.sqlstate)
        self.assertEqual("I", reply.status)

    def the_transaction_status_is_the_servers(self):
        client = self.pooler().client()
        self.assertEqual("T", client.simple("BEGIN").status)
        self.assertEqual("E", client.simple("SELECT 1/0").status)
        reply = client.simple("SELECT 1")
        self.assertEqual("25P02", reply.error.sqlstate)
        self.assertEqual("I", client.simple("ROLLBACK").status)


class Prepared(Story):
    """Named statements in transaction mode: they belong to the client, whatever server it is lent."""
    kinds = ("pgweir", "direct")

    def a_statement_prepared_once_runs_on_every_server(self):
        pooler = self.pooler(settings={"default_pool_size": 5})
        client = pooler.client()
        client.prepare("who", "SELECT pg_backend_pid(), $1::text")
        holders = Holders(pooler, 4)
        seen = set()
        for round in range(4):
            row = client.run_prepared("who", [f"round {round}"]).rows[0]
            self.assertEqual(f"round {round}", row[1])
            seen.add(row[0])
            holders.take_one()
        if live.kind != "direct":
            self.assertGreater(len(seen), 1, "the server never changed, so nothing was tested")

    def the_same_name_means_each_clients_own_statement(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        clients = [pooler.client() for _ in range(8)]
        for number, client in enumerate(clients):
            client.prepare("mine", f"SELECT {number}, $1::int")
        for round in range(3):
            for number, client in enumerate(clients):
                self.assertEqual((str(number), str(round)), client.run_prepared("mine", [round]).rows[0])

    def the_same_text_under_two_names_is_two_statements(self):
        client = self.pooler().client()
        client.prepare("one", "SELECT 'same'")
        client.prepare("two", "SELECT 'same'")
        self.assertEqual("3Z", client.ask(close("S", "one"), SYNC).kinds)
        self.refused(client.run_prepared, "one", sqlstate="26000")
        self.assertEqual("same", client.run_prepared("two").value)

    def the_same_text_with_other_types_is_another_statement(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        first, second = pooler.client(), pooler.client()
        first.ask(parse("s", "SELECT pg_typeof($1)::text", [23]), SYNC)
        second.ask(parse("s", "SELECT pg_typeof($1)::text", [25]), SYNC)
        for _ in range(2):
            self.assertEqual("integer", first.run_prepared("s", ["1"]).value)
            self.assertEqual("text", second.run_prepared("s", ["1"]).value)

    def a_name_in_use_is_refused_as_the_server_refuses_it(self):
        client = self.pooler().client()
        client.prepare("twice", "SELECT 1")
        self.refused(client.prepare, "twice", "SELECT 2", sqlstate="42P05")
        self.assertEqual("1", client.run_prepared("twice").value)

    def an_unknown_name_is_refused_as_the_server_refuses_it(self):
        client = self.pooler().client()
        self.refused(client.run_prepared, "never", sqlstate="26000")
        reply = client.ask(describe("S", "never"), SYNC)
        self.assertEqual("26000", reply.error.sqlstate)
        self.assertEqual("3Z", client.ask(close("S", "never"), SYNC).kinds)
        self.assertEqual("1", client.value("SELECT 1"))

    def describe_tells_parameters_and_columns_on_any_server(self):
        pooler = self.pooler()
        client = pooler.client()
        client.ask(parse("d", "SELECT $1::int AS a, $2::text AS b"), SYNC)
        holders = Holders(pooler, 2)
        for _ in range(3):
            reply = client.ask(describe("S", "d"), SYNC)
            self.assertEqual("tTZ", reply.kinds)
            self.assertEqual([("a", 23), ("b", 25)], reply.columns)
            if holders.held < 2:
                holders.take_one()

    def parse_close_and_parse_again_in_one_pipeline(self):
        client = self.pooler().client()
        for round in range(5):
            client.send(parse("n", f"SELECT {round}"), bind("", "n"), execute(), close("S", "n"),
                        parse("n", f"SELECT {round} + 100"), bind("", "n"), execute(), close("S", "n"), SYNC)
            reply = client.reply()
            self.assertEqual("12DC312DC3Z", reply.kinds)
            self.assertEqual([(str(round),), (str(round + 100),)], reply.rows)

    def deallocate_all_and_discard_all_forget_what_was_prepared(self):
        client = self.pooler().client()
        for forget in ("DEALLOCATE ALL", "DISCARD ALL"):
            client.prepare("gone", "SELECT 1")
            client.query(forget)
            self.refused(client.run_prepared, "gone", sqlstate="26000")
            client.prepare("gone", "SELECT 2")
            self.assertEqual("2", client.run_prepared("gone").value)
            client.ask(close("S", "gone"), SYNC)

    @on("pgweir", "direct")
    def what_an_error_made_the_server_skip_never_was(self):
        client = self.pooler().client()
        client.prepare("kept", "SELECT 1")
        client.send(execute("nowhere"), close("S", "kept"), parse("", "SELECT 7"), SYNC, bind("", "kept"), execute(), SYNC,
                    bind("", ""), execute(), SYNC)
        self.assertEqual("34000", client.reply().error.sqlstate)
        self.assertEqual([("1",)], client.reply().rows)
        self.assertEqual("26000", client.reply().error.sqlstate)

    @on("pgweir", "direct")
    def what_failed_in_the_batch_before_is_not_there(self):
        client = self.pooler().client()
        client.send(parse("never", "SELECT nothing"), SYNC, bind("", "never"), execute(), SYNC, query("BEGIN"), query("SELECT 1/0"),
                    parse("", "SELECT 1"), SYNC, bind("", ""), execute(), SYNC, query("ROLLBACK"))
        codes = [client.reply() for _ in range(7)]
        client.send(parse("", "SELECT 1"), SYNC)
        client.reply()
        client.send(query("SELECT 2"), describe("S", ""))
        self.assertEqual("TDCZ", client.reply().kinds)
        self.assertEqual("26000", client.read_to(b"E").error.sqlstate)
        client.ask(SYNC)
        self.assertEqual(["42703", "26000", None, "22012", "25P02", "26000", None],
                         [reply.error and reply.error.sqlstate for reply in codes])

    @on("pgweir", "direct")
    def errors_and_tags_speak_of_the_clients_own_names(self):
        client = self.pooler().client()
        client.prepare("mine", "SELECT 1")
        reply = client.ask(bind("", "mine", ["too many"]), close("S", "mine"), SYNC)
        self.assertIn('prepared statement "mine" requires 0', reply.error.message)
        client.send(parse("other", "SELECT 2"), SYNC, query("DEALLOCATE other"), parse("", "DEALLOCATE mine"), bind("", ""), execute(), SYNC)
        self.assertEqual("1Z", client.reply().kinds)
        self.assertEqual(["DEALLOCATE"], client.reply().tags)
        self.assertEqual(["DEALLOCATE"], client.reply().tags)

    @on("pgweir", "direct")
    def a_deallocate_may_have_a_savepoint_around_it(self):
        """As psqlODBC says it in a transaction, in one Query."""
        pooler = self.pooler(settings={"default_pool_size": 2})
        client = pooler.client()

        def ends(name, text='SAVEPOINT _svp_;DEALLOCATE "{}";RELEASE _svp_'):
            return client.simple(text.format(name))
        for number in range(6):
            client.prepare("Mine", f"SELECT {number}")
            client.query("BEGIN")
            if number % 2 == 0:
                client.send(bind("", "Mine"), execute(), SYNC)
                self.assertEqual(str(number), client.reply().value)
            if number == 5:         # another server has not seen it
                client.query("COMMIT")
                with pooler.client() as other:
                    other.query("DEALLOCATE ALL")
                    other.begin()
                    client.query("BEGIN")
                    self.assertEqual(["SAVEPOINT", "DEALLOCATE", "RELEASE"], ends("Mine").tags)
                    other.query("COMMIT")
            else:
                self.assertEqual(["SAVEPOINT", "DEALLOCATE", "RELEASE"], ends("Mine", "savepoint S ; deallocate prepare \"{}\" ; release savepoint s ;" if number == 3 else
                                                                              'SAVEPOINT _svp_;DEALLOCATE "{}";RELEASE _svp_').tags)
            self.assertEqual("26000", client.ask(bind("", "Mine"), execute(), SYNC).error.sqlstate)
            client.query("ROLLBACK")
        client.prepare("Mine", "SELECT 'kept'")
        self.assertEqual("25P01", ends("Mine").error.sqlstate)      # in no transaction: nothing ran
        client.query("BEGIN")
        self.assertEqual("26000", ends("nobody's").error.sqlstate)
        self.assertEqual("25P02", ends("Mine").error.sqlstate)
        client.query("ROLLBACK")
        client.send(bind("", "Mine"), execute(), SYNC)
        self.assertEqual("kept", client.reply().value)
        client.query("BEGIN")       # what fails behind it does not bring it back
        self.assertEqual("3B001", ends("Mine", 'SAVEPOINT a;DEALLOCATE "{}";RELEASE b').error.sqlstate)
        client.query("ROLLBACK")
        self.assertEqual("26000", client.ask(bind("", "Mine"), execute(), SYNC).error.sqlstate)

    @on("pgweir")
    def who_leaves_behind_a_deallocate_takes_nobody_along(self):
        """The server has forgotten the statement, so another text was sent for the client's, and its answer comes when the client is gone."""
        pooler = self.pooler(settings={"default_pool_size": 1})
        gone, other = pooler.client(), pooler.client()
        gone.prepare("mine", "SELECT 1")
        other.query("DEALLOCATE ALL")
        with Gate(self.pg) as gate:
            gone.send(query(f"SELECT {gate.passing}"), query("DEALLOCATE mine"))
            gate.await_waiting(1)
            gone.drop()
            wait_until("it is known to be gone", lambda: len([row for row in pooler.show("CLIENTS") if row["user"] == "app"]) == 1)
        self.assertEqual("1", other.value("SELECT 1"))

    @on("pgweir", "direct")
    def what_uses_a_name_behind_deallocate_all_finds_it_gone(self):
        """All in one send: nothing is known of the answer yet when the name is used again."""
        client = self.pooler().client()
        for forget in ("DEALLOCATE ALL", "DISCARD ALL", "SELECT 'first'; DEALLOCATE ALL", "/* all */ deallocate all"):
            with self.subTest(forget=forget):
                client.prepare("mine", "SELECT 1")
                client.send(query(forget), parse("mine", "SELECT 2"), bind("", "mine"), execute(), SYNC,
                            query(forget), bind("", "mine"), execute(), SYNC, close("S", "mine"), SYNC)
                self.assertIsNone(client.reply().error)
                self.assertEqual("12DCZ", client.reply().kinds)
                self.assertIsNone(client.reply().error)
                self.assertEqual("26000", client.reply().error.sqlstate)
                self.assertEqual("3Z", client.reply().kinds)

    @on("pgweir", "direct")
    def a_batch_that_deallocates_all_knows_no_name_from_before(self):
        client = self.pooler().client()
        for portal in ("", "p"):
            client.prepare("mine", "SELECT 1")
            client.prepare("all", "DEALLOCATE ALL")
            client.send(bind(portal, "all"), execute(portal), parse("mine", "SELECT 2"), bind("", "mine"), execute(), SYNC,
                        bind(portal, "mine"), execute(portal), SYNC, parse("", "DEALLOCATE ALL"), bind(portal, ""), execute(portal),
                        SYNC, parse("mine", "SELECT 3"), describe("S", "mine"), SYNC, close("S", "mine"), SYNC)
            self.assertEqual("2C12DCZ", client.reply().kinds)
            self.assertEqual("2", client.reply().value)
            self.assertEqual("12CZ", client.reply().kinds)
            self.assertEqual("1tTZ", client.reply().kinds)
            self.assertEqual("3Z", client.reply().kinds)

    @on("pgweir", "direct")
    def a_deallocate_that_fails_or_is_skipped_leaves_the_name(self):
        client = self.pooler().client()
        client.prepare("mine", "SELECT 1")
        client.query("BEGIN")
        self.assertEqual("22012", client.simple("SELECT 1/0").error.sqlstate)
        self.assertEqual("25P02", client.simple("DEALLOCATE mine").error.sqlstate)
        self.assertEqual("25P02", client.simple("DEALLOCATE ALL").error.sqlstate)
        client.query("ROLLBACK")
        client.send(bind("", "never"), query("DEALLOCATE mine"), query("DEALLOCATE ALL"), SYNC, bind("", "mine"), execute(), SYNC)
        self.assertEqual("26000", client.reply().error.sqlstate)
        self.assertEqual("1", client.reply().value)
        deallocate = parse("", "DEALLOCATE mine"), bind("", ""), execute(), SYNC
        client.query("BEGIN")
        self.assertEqual("22012", client.simple("SELECT 1/0").error.sqlstate)
        client.send(*deallocate, query("ROLLBACK"), bind("", "never"), *deallocate, bind("", "mine"), execute(), SYNC)
        self.assertEqual("25P02", client.reply().error.sqlstate)
        self.assertEqual(["ROLLBACK"], client.reply().tags)
        self.assertEqual("26000", client.reply().error.sqlstate)
        self.assertEqual("1", client.reply().value)
        client.send(*deallocate, parse("mine", "SELECT 3"), *deallocate, parse("mine", "SELECT 1"), bind("", "mine"), execute(), SYNC)
        self.assertEqual("12CZ", client.reply().kinds)
        self.assertEqual("112CZ", client.reply().kinds)
        self.assertEqual("1", client.reply().value)
        client.send(query("DEALLOCATE mine"), query("DEALLOCATE mine"), parse("mine", "SELECT 2"), bind("", "mine"), execute(), SYNC)
        self.assertEqual(["DEALLOCATE"], client.reply().tags)
        self.assertEqual("26000", client.reply().error.sqlstate)
        self.assertEqual("2", client.reply().value)

    @on("pgweir")
    def a_deallocate_that_comes_in_two_pieces_is_understood(self):
        for transparency in ("protocol", "full"):
            with self.subTest(transparency=transparency):
                pooler = self.pooler(settings={"transparency": transparency, "workers": 1})
                client = pooler.client()
                client.prepare("mine", "SELECT 1")
                client.query("BEGIN; SELECT 1")         # it holds a server
                whole = query("DEALLOCATE mine")
                for cut in (3, 5, 9, len(whole) - 1):
                    client.send(whole[:cut])
                    pooler.show("SERVERS")          # by the only worker, which has read what was there
                    client.send(whole[cut:])
                    self.assertEqual(["DEALLOCATE"], client.reply().tags)
                    client.prepare("mine", "SELECT 1")
                    self.assertEqual("1", client.ask(bind("", "mine"), execute(), SYNC).value)

    @on("pgweir", "direct")
    def what_waits_for_a_reset_that_is_skipped_or_copies_goes_on(self):
        client = self.pooler().client(parameters={"options": "-c work_mem=9MB"})
        for reset in ("DISCARD ALL", "RESET ALL", "RESET work_mem"):
            with self.subTest(reset=reset):
                client.send(bind("", "never"), execute(), query(reset), SYNC)
                self.assertEqual("26000", client.reply().error.sqlstate)
                self.assertEqual("9MB", client.value("SHOW work_mem"))
        client.query("CREATE TEMP TABLE copied (n int)")
        client.send(query("RESET work_mem; COPY copied FROM STDIN"), SYNC, copy_data(b"1\n"), COPY_DONE, query("SELECT count(*) FROM copied"))
        self.assertEqual("CGCZ", client.reply().kinds)
        self.assertEqual("1", client.reply().value)
        client.query("DROP TABLE copied")
        self.assertEqual("9MB", client.value("SHOW work_mem"))

    @on("pgweir")
    def what_a_function_deallocated_is_missed_once(self):
        with self.pg.admin("app") as admin:
            admin.query("CREATE OR REPLACE FUNCTION deallocates() RETURNS int LANGUAGE plpgsql AS $$BEGIN DEALLOCATE ALL; RETURN 1; END$$")
            self.addCleanup(self.pg.value, "DROP FUNCTION IF EXISTS deallocates()", "app")
        pooler = self.pooler(settings={"default_pool_size": 1})
        one, other = pooler.client(), pooler.client()
        one.prepare("mine", "SELECT 1")
        self.assertEqual("1", other.value("SELECT deallocates()"))
        one.send(bind("", "mine"), execute(), SYNC)
        self.assertEqual("26000", one.reply().error.sqlstate)
        for _ in range(2):
            one.send(bind("", "mine"), execute(), SYNC)
            self.assertEqual("1", one.reply().value)

    def more_statements_than_a_server_keeps_still_all_run(self):
        pooler = self.pooler(settings={"default_pool_size": 2, "max_prepared_statements": 10})
        clients = [pooler.client() for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(b"".join(parse(f"s{n}", f"SELECT {number} * 1000 + {n}") for n in range(60)) + SYNC)
            self.assertEqual("1" * 60 + "Z", client.reply().kinds)
        for n in random.Random(live.seed).sample(range(60), 60):
            for number, client in enumerate(clients):
                self.assertEqual(str(number * 1000 + n), client.run_prepared(f"s{n}").value)

    def a_statement_longer_than_what_is_kept_streams_through(self):
        pooler = self.pooler()
        client, other = pooler.client(), pooler.client()
        long = "SELECT $1::int /* " + "x" * (3 << 20) + " */"
        client.prepare("long", long)
        for number in range(3):
            self.assertEqual(str(number), client.run_prepared("long", [number]).value)
            self.assertEqual("1", other.value("SELECT 1"))
        self.assertEqual("3Z", client.ask(close("S", "long"), SYNC).kinds)
        self.refused(client.run_prepared, "long", sqlstate="26000")
        self.assertEqual("5", client.value("SELECT 5"))

    def an_unnamed_statement_prepared_before_a_sync_runs_after_it_or_is_refused(self):
        pooler = self.pooler()
        client = pooler.client()
        for round in range(3):
            client.ask(parse("", f"SELECT {round} * 10"), SYNC)
            # Somebody else uses the same server in between, with an unnamed statement of his own.
            pooler.client().extended("SELECT 'not yours'")
            reply = client.ask(bind("", ""), execute(), SYNC)
            if reply.errors:
                self.assertEqual("26000", reply.error.sqlstate)
            else:
                self.assertEqual(str(round * 10), reply.value)

    def a_server_that_restarts_does_not_lose_what_is_prepared(self):
        pooler = self.pooler()
        if live.kind == "direct":
            self.skipTest("PostgreSQL forgets with the session")
        client = pooler.client()
        client.prepare("kept", "SELECT 'kept', pg_backend_pid()")
        pid = client.run_prepared("kept").rows[0][1]
        self.pg.value(f"SELECT pg_terminate_backend({pid})")
        wait_until("the backend is gone", lambda: self.pg.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == "0")
        time.sleep(0.1)
        row = client.run_prepared("kept").rows[0]
        self.assertEqual("kept", row[0])
        self.assertNotEqual(pid, row[1])


class Copy(Story):

    def setUp(self):
        super().setUp()
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS copied; CREATE TABLE copied(n int, t text); GRANT ALL ON copied TO PUBLIC")

    def rows_go_in_and_come_out(self):
        client = self.pooler().client()
        client.send(query("COPY copied FROM STDIN"))
        client.read_to(b"G")
        client.send(b"".join(copy_data(b"%d\trow %d\n" % (n, n)) for n in range(10000)), COPY_DONE)
        self.assertEqual(["COPY 10000"], client.reply().tags)
        reply = client.query("COPY (SELECT * FROM copied ORDER BY n) TO STDOUT")
        self.assertEqual(10000, len(reply.copied))
        self.assertEqual(b"9999\trow 9999\n", reply.copied[-1])

    def copy_in_the_extended_protocol(self):
        client = self.pooler().client()
        client.send(parse("", "COPY copied FROM STDIN"), bind("", ""), execute(), SYNC)
        client.read_to(b"G")
        client.send(copy_data(b"1\tone\n"), COPY_DONE, SYNC)
        reply = client.reply()
        self.assertEqual(["COPY 1"], reply.tags)
        self.assertEqual("1", client.value("SELECT count(*) FROM copied"))

    @on("pgweir", "direct", why="PgBouncer 1.18 cannot")
    def a_copy_that_the_client_fails_is_followed_by_more_work(self):
        pooler = self.pooler()
        client = pooler.client()
        client.send(query("COPY copied FROM STDIN"))
        client.read_to(b"G")
        client.send(copy_data(b"1\tone\n"), copy_fail("changed my mind"), query("SELECT count(*) FROM copied"),
                    batch("SELECT $1::text", ["after"]))
        failed = client.reply()
        self.assertEqual("57014", failed.error.sqlstate)
        self.assertIn("changed my mind", failed.error.message)
        self.assertEqual("0", client.reply().value)
        self.assertEqual("after", client.reply().value)

    def a_copy_that_the_server_fails_is_followed_by_more_work(self):
        pooler = self.pooler()
        client = pooler.client()
        client.send(query("COPY copied FROM STDIN"))
        client.read_to(b"G")
        # The error comes while we still send; what is left of the copy must not be taken for anything else.
        client.send(copy_data(b"not a number\tx\n"), copy_data(b"2\ttwo\n"))
        time.sleep(0.1)
        client.send(copy_data(b"3\tthree\n"), COPY_DONE)
        failed = client.reply()
        self.assertEqual("22P02", failed.error.sqlstate)
        for n in range(5):
            self.assertEqual(str(n), client.value(f"SELECT {n}"))
        self.assertEqual("0", pooler.client().value("SELECT count(*) FROM copied"))

    @on("pgweir", "direct", why="PgBouncer 1.18 cannot")
    def a_failing_copy_inside_a_pipeline_skips_to_its_sync(self):
        client = self.pooler().client()
        client.send(parse("", "COPY copied FROM STDIN"), bind("", ""), execute())
        client.send(FLUSH)
        client.read_to(b"G")
        client.send(copy_data(b"bad\tbad\n"), COPY_DONE, SYNC, batch("SELECT $1::int", [5]), query("SELECT 6"))
        failed = client.reply()
        self.assertEqual("22P02", failed.error.sqlstate)
        self.assertEqual("5", client.reply().value)
        self.assertEqual("6", client.reply().value)

    def a_copy_out_that_is_cut_off_frees_its_server(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        for _ in range(3):
            client = pooler.client()
            client.send(query("COPY (SELECT n, repeat('x', 1000) FROM generate_series(1, 300000) n) TO STDOUT"))
            client.read_to(b"d")
            client.vanish()
            self.assertEqual("1", pooler.client().value("SELECT 1", timeout=20))

    def a_copy_in_that_is_cut_off_leaves_no_row_and_frees_its_server(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        for _ in range(3):
            client = pooler.client()
            client.send(query("COPY copied FROM STDIN"))
            client.read_to(b"G")
            client.send(b"".join(copy_data(b"%d\trow\n" % n) for n in range(1000)))
            client.vanish()
            self.assertEqual("0", pooler.client().value("SELECT count(*) FROM copied", timeout=20))

    def other_clients_go_on_while_one_copies_slowly(self):
        pooler = self.pooler()
        slow, quick = pooler.client(), pooler.client()
        slow.send(query("COPY copied FROM STDIN"))
        slow.read_to(b"G")
        for n in range(20):
            slow.send(copy_data(b"%d\tslow\n" % n))
            self.assertEqual(str(n), quick.value(f"SELECT {n}"))
        slow.send(COPY_DONE)
        self.assertEqual(["COPY 20"], slow.reply().tags)


class Cancel(Story):

    def a_cancel_ends_its_own_query_and_no_other(self):
        pooler = self.pooler()
        mine, yours = pooler.client(), pooler.client()
        with Gate(self.pg) as gate:
            mine.send(query(f"SELECT {gate.passing}, 'mine'"))
            yours.send(query(f"SELECT {gate.passing}, 'yours'"))
            gate.await_waiting(2)
            mine.cancel()
            self.assertEqual("57014", mine.reply().error.sqlstate)
        reply = yours.reply()
        self.assertEqual([], reply.errors)
        self.assertEqual("yours", reply.rows[0][1])
        self.assertEqual("1", mine.value("SELECT 1"))

    @on("pgweir", "direct")
    def a_cancel_ends_a_statement_that_was_prepared_anew(self):
        """The server has forgotten everything, so parameters and a Parse of ours go before what the client sent."""
        pooler = self.pooler(settings={"default_pool_size": 1})
        mine = pooler.client(parameters={"application_name": "mine"})
        other = pooler.client(parameters={"application_name": "other"})
        mine.prepare("sleep", "SELECT pg_sleep(10)")
        if live.kind != "direct":
            other.query("DISCARD ALL")
        other.query("SELECT 1")
        mine.send(bind("", "sleep"), execute(), SYNC)
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'app'"
        wait_until("it sleeps", lambda: self.pg.value(asleep) == "1")
        mine.cancel()
        self.assertEqual("57014", mine.reply().error.sqlstate)
        self.assertEqual("1", other.value("SELECT 1"))

    @on("pgweir")
    def a_cancel_is_heard_while_the_server_is_checked(self):
        """The client's own query is not sent yet, and never is."""
        pooler = self.pooler(settings={"default_pool_size": 1, "server_check_delay": 0, "server_check_query": f"SELECT {Gate.passing}"})
        mine, yours = pooler.client(), pooler.client()
        with Gate(self.pg) as gate:
            mine.send(query("CREATE TABLE never ()"))
            gate.await_waiting(1)
            mine.cancel()
            self.assertEqual("57014", mine.reply().error.sqlstate)
        self.assertEqual("f", yours.value("SELECT to_regclass('never') IS NOT NULL"))
        self.assertEqual("1", mine.value("SELECT 1"))

    def a_cancel_with_a_wrong_secret_does_nothing(self):
        pooler = self.pooler()
        client = pooler.client()
        with Gate(self.pg) as gate:
            client.send(query(f"SELECT {gate.passing}, 'unharmed'"))
            gate.await_waiting(1)
            flipped = bytes([client.secret[0] ^ 1]) + client.secret[1:]
            client.cancel(secret=flipped)
            client.cancel(pid=client.pid ^ 1)
        reply = client.reply()
        self.assertEqual([], reply.errors)
        self.assertEqual("unharmed", reply.rows[0][1])

    def a_cancel_of_an_idle_client_hits_nobody(self):
        pooler = self.pooler(settings={"default_pool_size": 1})
        idle, busy = pooler.client(), pooler.client()
        idle.value("SELECT 1")
        with Gate(self.pg) as gate:
            busy.send(query(f"SELECT {gate.passing}, 'unharmed'"))      # on the server that `idle` just gave back
            gate.await_waiting(1)
            idle.cancel()
        reply = busy.reply()
        self.assertEqual([], reply.errors)
        self.assertEqual("unharmed", reply.rows[0][1])

    def a_late_cancel_never_hits_the_next_client(self):
        pooler = self.pooler(settings={"default_pool_size": 1}) if live.kind != "direct" else self.pooler()
        first, second = pooler.client(), pooler.client()
        for round in range(30 if live.quick else 80):
            first.send(query("SELECT 1"))
            with Client(pooler.address, login=False) as knock:
                knock.send(wire.cancel_request(first.pid, first.secret))
                second.send(query(f"SELECT {round}"))
                first.reply()
                reply = second.reply()
                self.assertEqual([], reply.errors)
                self.assertEqual(str(round), reply.value)
                knock.expect_closed()

    def a_cancel_of_a_waiting_client_ends_its_waiting(self):
        if live.kind == "direct":
            self.skipTest("nobody waits there")
        pooler = self.pooler(settings={"default_pool_size": 1})
        holder, waiter = pooler.client(), pooler.client()
        holder.begin()
        waiter.send(query("SELECT 1"))
        wait_until("it waits", lambda: pooler.pool()["cl_waiting"] == 1)
        waiter.cancel()
        if live.kind == "pgweir":
            try:
                reply = waiter.reply()
                self.assertEqual("57014", reply.error.sqlstate)
                holder.query("ROLLBACK")
                self.assertEqual("2", waiter.value("SELECT 2"))
            except wire.Closed:
                holder.query("ROLLBACK")
        else:
            holder.query("ROLLBACK")
        self.assertEqual("1", pooler.client().value("SELECT 1"))

    def cancel_requests_cut_short_or_garbled_do_nothing(self):
        pooler = self.pooler()
        client = pooler.client()
        client.send(query("SELECT pg_sleep(1), 'unharmed'"))
        whole = wire.cancel_request(client.pid, client.secret)
        for sample in (whole[:8], whole[:12], whole[:15], wire.special(wire.CANCEL_CODE, b""),
                       wire.special(wire.CANCEL_CODE, struct.pack("!I", client.pid)),
                       wire.special(wire.CANCEL_CODE, struct.pack("!I", client.pid) + b"\0" * 300)):
            with Client(pooler.address, login=False) as other:
                other.send(sample)
        reply = client.reply()
        self.assertEqual([], reply.errors)
        self.assertEqual("unharmed", reply.rows[0][1])

    @on("pgweir", "direct")
    def nothing_behind_a_cancel_request_is_read(self):
        pooler = self.pooler()
        client = pooler.client()
        for behind in (wire.startup({"user": "app", "database": "app"}) + query("SELECT 1"), wire.special(wire.SSL_CODE),
                       wire.cancel_request(client.pid, client.secret)):
            client.send(query("SELECT pg_sleep(60)"))
            wait_until("it runs", lambda: self.pg.backends(extra="AND query LIKE '%pg_sleep(60)%' AND state = 'active'"))
            with Client(pooler.address, login=False) as other:
                other.send(wire.cancel_request(client.pid, client.secret) + behind)
                with self.assertRaises(wire.Closed):
                    other.read_bytes(1)
            self.assertEqual("57014", client.reply().error.sqlstate)
            self.assertEqual("1", client.value("SELECT 1"))

    def keys_are_not_handed_out_twice(self):
        pooler = self.pooler()
        if live.kind == "direct":
            self.skipTest("PostgreSQL chooses them")
        clients = [pooler.client() for _ in range(50)]
        self.assertEqual(50, len({(client.pid, client.secret) for client in clients}))
        self.assertGreater(len({client.secret for client in clients}), 45)


class Passing(Story):

    def a_notice_reaches_the_client_that_caused_it(self):
        pooler = self.pooler()
        client, other = pooler.client(), pooler.client()
        reply = client.query("DO $$ BEGIN RAISE NOTICE 'the tide turns'; END $$")
        self.assertEqual(["DO"], reply.tags)
        self.assertIn("the tide turns", [notice["M"] for notice in client.notices])
        other.query("SELECT 1")
        self.assertEqual([], [notice["M"] for notice in other.notices])

    def errors_pass_with_their_fields(self):
        client = self.pooler().client()
        client.query("SELECT 1")
        reply = client.simple("DO $$ BEGIN RAISE EXCEPTION 'sunk' USING ERRCODE = 'P7777', DETAIL = 'deep', HINT = 'swim'; END $$")
        error = reply.error
        self.assertEqual(("P7777", "sunk", "deep", "swim"), (error.sqlstate, error.message, error.detail, error.hint))

    def a_changed_parameter_is_told(self):
        client = self.pooler(settings={"pool_mode": "session"}).client()
        client.query("SET application_name = 'renamed'")
        self.assertEqual("renamed", client.parameters["application_name"])

    def listen_and_notify_work_in_session_mode(self):
        pooler = self.pooler(settings={"pool_mode": "session"})
        listener, speaker = pooler.client(), pooler.client()
        listener.query("LISTEN tide")
        speaker.query("NOTIFY tide, 'high'")
        deadline = time.monotonic() + 10
        while not listener.notifications and time.monotonic() < deadline:
            listener.read()
        self.assertEqual([("tide", "high")], [each[1:] for each in listener.notifications])

    def a_client_notified_of_its_own_hears_it_in_transaction_mode(self):
        client = self.pooler().client()
        client.begin()
        client.query("LISTEN own")
        client.query("NOTIFY own, 'echo'")
        client.query("COMMIT")
        self.assertEqual(("own", "echo"), client.notifications[0][1:])


class Size(Story):

    def _measured(self, pooler, work):
        """Run `work`, watching the pooler's resident memory; by how many KB it rose at most."""
        if live.kind != "pgweir":
            work()
            return 0
        before = pooler.memory_kb()
        peak = [before]
        done = threading.Event()

        def watch():
            while not done.wait(0.01):
                peak[0] = max(peak[0], pooler.memory_kb())
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            work()
        finally:
            done.set()
            watcher.join(5)
        return peak[0] - before

    size_mb = property(lambda self: 16 if live.quick else 100)

    def a_huge_parameter_streams_through_bounded_memory(self):
        pooler = self.pooler()
        client = pooler.client(timeout=60)
        value = b"w" * (self.size_mb << 20)

        def work():
            self.assertEqual(str(len(value)), client.extended("SELECT length($1::text)", [value], timeout=60).value)
        self.assertLess(self._measured(pooler, work), 12 << 10, "KB more than at rest")

    def a_huge_query_streams_through_bounded_memory(self):
        pooler = self.pooler()
        client = pooler.client(timeout=60)
        sql = "SELECT length('" + "q" * (self.size_mb << 20) + "')"

        def work():
            self.assertEqual(str(self.size_mb << 20), client.query(sql, timeout=60).value)
        self.assertLess(self._measured(pooler, work), 12 << 10, "KB more than at rest")

    def a_huge_value_comes_back_through_bounded_memory(self):
        pooler = self.pooler()
        client = pooler.client(timeout=60)
        size = self.size_mb << 20

        def work():
            client.send(query(f"SELECT repeat('r', {size})"))
            seen, kind = 0, b""
            while kind != b"Z":
                kind = client.read_bytes(1, timeout=60)
                length = struct.unpack("!i", client.read_bytes(4))[0] - 4
                if kind == b"D":
                    seen = length - 6
                client.skip_bytes(length, timeout=60)
            self.assertEqual(size, seen)
        self.assertLess(self._measured(pooler, work), 12 << 10, "KB more than at rest")

    def a_huge_copy_row_streams_through_bounded_memory(self):
        with self.pg.admin("app") as admin:
            admin.query("DROP TABLE IF EXISTS wide; CREATE UNLOGGED TABLE wide(t text); GRANT ALL ON wide TO PUBLIC")
        pooler = self.pooler()
        client = pooler.client(timeout=60)
        size = self.size_mb << 20

        def work():
            client.send(query("COPY wide FROM STDIN"))
            client.read_to(b"G")
            client.send(copy_data(b"c" * size + b"\n"), COPY_DONE)
            self.assertEqual(["COPY 1"], client.reply(timeout=60).tags)
        self.assertLess(self._measured(pooler, work), 12 << 10, "KB more than at rest")

    def many_wide_rows_pass_unchanged(self):
        client = self.pooler().client(timeout=30)
        reply = client.query("SELECT n, repeat(chr(97 + n % 26), 5000) FROM generate_series(1, 2000) n", timeout=30)
        self.assertEqual(2000, len(reply.rows))
        for number, wide in reply.rows:
            self.assertEqual(chr(97 + int(number) % 26) * 5000, wide)
