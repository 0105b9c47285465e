#!/usr/bin/python3
"""One process of the no-cross-talk test: many short clients, each asking for answers only it can get.

A client draws a nonce and puts it into query texts, parameters, prepared statements, errors, notices and COPY
rows; whatever comes back must be exactly what it asked for. Meanwhile clients leave in the middle of an answer,
cancel, and lose their server. The dice are seeded, so the same seed asks the same questions.

    crosstalk.py HOST PORT SEED SECONDS CLIENTS TASKS KINDS...      prints one JSON object

It goes on for SECONDS, and on a slow machine longer, until there were CLIENTS of them.

What may happen to a client whose server was killed is an error of class 57P or a closed connection. Everything else
that is not the right answer is `wrong`, and so is a cancel that hits a client that did not ask for one.
"""
import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
import time

import wire
from wire import COPY_DONE, FLUSH, SYNC, batch, bind, close, copy_data, copy_fail, describe, execute, parse, query

EXCHANGE_SECONDS = 30
KILLED = ("57P01", "57P02", "57P03", "08006", "08003", "08000", "08P01", "XX000")


class Wrong(Exception):
    """The one thing that must never happen."""


class Disturbed(Exception):
    """Our server was taken away: allowed while backends are killed."""


class Client:
    def __init__(self, dice, name):
        self.dice, self.name = dice, name
        self.asked = 0
        self.told = []          # what it did so far, for whoever reads of a wrong answer
        self.statements = {}

    def nonce(self):
        self.asked += 1
        return f"{self.name}.{self.asked}.{self.dice.getrandbits(48):012x}"

    async def connect(self, host, port):
        self.host, self.port = host, port
        self.reader, self.writer = await asyncio.open_connection(host, port, limit=1 << 20)
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.writer.write(wire.startup({"user": "app", "database": "app", "application_name": self.name}))
        while True:
            kind, body = await self.message()
            if kind == b"K":
                self.pid, self.secret = struct.unpack_from("!I", body)[0], body[4:]
            elif kind == b"E":
                raise wire.Refused(wire.fields_of(body))
            elif kind == b"S":
                key, value, _ = body.split(b"\0")
                if key == b"application_name" and value.decode() != self.name:
                    raise Wrong(f"{self.name} was told the application_name {value}")
            elif kind == b"Z":
                return

    async def message(self):
        header = await self.reader.readexactly(5)
        length, = struct.unpack_from("!i", header, 1)
        return header[:1], await self.reader.readexactly(length - 4)

    async def send(self, *parts):
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def reply(self, until=b"Z"):
        reply = wire.Reply()
        reply.notices = []
        while True:
            kind, body = await self.message()
            if kind == b"N":
                reply.notices.append(wire.fields_of(body)["M"])
            elif kind == b"A":
                raise Wrong(f"{self.name} got a notification it never listened for")
            reply.take(kind, body)
            if kind == b"E" and reply.errors[-1].sqlstate in KILLED and reply.errors[-1].severity == "FATAL":
                raise Disturbed(str(reply.errors[-1]))
            if kind in (until, b"Z"):
                return reply

    def same(self, what, wanted, got):
        if wanted != got:
            raise Wrong(f"{self.name} {what}: wanted {wanted!r:.300} got {got!r:.300}")

    def sound(self, reply, errors=()):
        """No error but the ones we provoked."""
        for error in reply.errors:
            if error.sqlstate in errors:
                continue
            if error.sqlstate in KILLED:
                raise Disturbed(str(error))
            raise Wrong(f"{self.name} got an error it did not ask for: {error}")

    # The exchanges. Each leaves the connection ready for the next one.

    async def simple(self):
        nonce, times = self.nonce(), self.dice.choice((1, 1, 3, 200))
        await self.send(query(f"SELECT '{nonce}', repeat('{nonce}', {times})"))
        reply = await self.reply()
        self.sound(reply)
        self.same("simple", [(nonce, nonce * times)], reply.rows)

    async def several(self):
        nonces = [self.nonce() for _ in range(3)]
        await self.send(query("; ".join(f"SELECT '{nonce}'" for nonce in nonces)))
        reply = await self.reply()
        self.sound(reply)
        self.same("several", [(nonce,) for nonce in nonces], reply.rows)

    async def parameter(self):
        nonce = self.nonce()
        await self.send(batch("SELECT $1::text || 'x'", [nonce]))
        reply = await self.reply()
        self.sound(reply)
        self.same("parameter", [(nonce + "x",)], reply.rows)
        self.same("kinds", "12TDCZ", reply.kinds)

    async def unnamed_in_two_steps(self):
        """As Go's lib/pq: Parse and Sync, and only then Bind and Execute of the unnamed statement."""
        nonce, other = self.nonce(), self.nonce()
        await self.send(parse("", f"SELECT '{nonce}' || $1::text"), describe("S"), SYNC)
        self.sound(await self.reply())
        if self.dice.random() < 0.3:
            await asyncio.sleep(0.002)
        await self.send(bind("", "", [other]), execute(), SYNC)
        reply = await self.reply()
        self.sound(reply)
        self.same("unnamed", [(nonce + other,)], reply.rows)

    async def prepared(self):
        name = f"s{self.dice.randrange(4)}"
        if name not in self.statements:
            text = self.nonce() if self.dice.random() < 0.5 else "shared text"
            await self.send(parse(name, f"SELECT '{text}' || $1::text"), SYNC)
            reply = await self.reply()
            self.sound(reply)
            self.same("parse", "1Z", reply.kinds)
            self.statements[name] = text
        nonce = self.nonce()
        await self.send(bind("", name, [nonce]), execute(), SYNC)
        reply = await self.reply()
        self.sound(reply)
        self.same("prepared", [(self.statements[name] + nonce,)], reply.rows)
        if self.dice.random() < 0.2:
            await self.send(close("S", name), SYNC)
            self.same("close", "3Z", (await self.reply()).kinds)
            del self.statements[name]

    async def pipelined(self):
        nonces = [self.nonce() for _ in range(self.dice.randrange(2, 12))]
        broken = self.dice.randrange(len(nonces)) if self.dice.random() < 0.3 else None
        parts = []
        for number, nonce in enumerate(nonces):
            if number == broken:
                parts.append(batch(f"SELECT $1::text, 1 / 0 AS \"{nonce}\"", [nonce]))
            elif self.dice.random() < 0.3:
                parts.append(query(f"SELECT '{nonce}'"))
            else:
                parts.append(batch("SELECT $1::text", [nonce]))
        whole = b"".join(parts)
        cut = self.dice.randrange(len(whole)) if self.dice.random() < 0.3 else 0
        if cut:
            await self.send(whole[:cut])
            await asyncio.sleep(0)
        await self.send(whole[cut:])
        for number, nonce in enumerate(nonces):
            reply = await self.reply()
            if number == broken:
                self.sound(reply, ("22012",))
                self.same("errors", 1, len(reply.errors))
            else:
                self.sound(reply)
                self.same("pipelined", [(nonce,)], reply.rows)

    async def one_sync_for_all(self):
        """Several statements before one Sync; an error skips what is left."""
        nonces = [self.nonce() for _ in range(4)]
        broken = self.dice.choice((None, 1, 2))
        await self.send(b"".join(parse("", "SELECT 1/0" if number == broken else f"SELECT '{nonce}'") + bind("", "") + execute()
                                 for number, nonce in enumerate(nonces)), SYNC)
        reply = await self.reply()
        self.sound(reply, ("22012",))
        self.same("one sync", [(nonce,) for nonce in nonces[:broken]], reply.rows)

    async def transaction(self):
        nonce = self.nonce()
        await self.send(query("BEGIN"), query("SELECT pg_backend_pid()"))
        self.sound(await self.reply())
        first = await self.reply()
        self.sound(first)
        await self.send(query(f"SELECT set_config('weir.nonce', '{nonce}', true)"))
        self.sound(await self.reply())
        if self.dice.random() < 0.5:
            await asyncio.sleep(self.dice.uniform(0, 0.005))
        await self.send(query("SELECT current_setting('weir.nonce'), pg_backend_pid()"))
        reply = await self.reply()
        self.sound(reply)
        self.same("transaction", [(nonce, first.rows[0][0])], reply.rows)
        self.same("status", "T", reply.status)
        await self.send(query(self.dice.choice(("COMMIT", "ROLLBACK"))))
        reply = await self.reply()
        self.sound(reply)
        self.same("status", "I", reply.status)

    async def failing(self):
        nonce = self.nonce()
        await self.send(query(f"DO $$ BEGIN RAISE NOTICE '{nonce} n'; RAISE EXCEPTION '{nonce} e'; END $$"))
        reply = await self.reply()
        self.sound(reply, ("P0001",))
        self.same("error", [f"{nonce} e"], [error.message for error in reply.errors])
        self.same("notice", [f"{nonce} n"], reply.notices)

    async def copy_out(self):
        nonce, rows = self.nonce(), self.dice.choice((1, 50, 2000))
        await self.send(query(f"COPY (SELECT '{nonce}.' || n FROM generate_series(1, {rows}) n) TO STDOUT"))
        reply = await self.reply()
        self.sound(reply)
        self.same("copy out", "".join(f"{nonce}.{n}\n" for n in range(1, rows + 1)).encode(), b"".join(reply.copied))

    async def copy_in(self):
        nonce, rows = self.nonce(), self.dice.choice((1, 20, 500))
        how = self.dice.choice(("done", "done", "fail", "bad"))
        await self.send(query("COPY crosstalk FROM STDIN"))
        reply = await self.reply(b"G")
        self.sound(reply)
        self.same("copy in", "G", reply.kinds[-1:])
        data = b"".join(copy_data(f"{nonce}\t{n}\n".encode()) for n in range(rows))
        if how == "bad":
            data += copy_data(b"no number\tno number\n")
        await self.send(data, copy_fail(nonce) if how == "fail" else COPY_DONE)
        reply = await self.reply()
        self.sound(reply, ("57014", "22P02"))
        if how == "fail" and not (len(reply.errors) == 1 and nonce in reply.errors[0].message):
            raise Wrong(f"{self.name} copy fail: {reply}")
        if how == "done" and reply.errors:
            raise Wrong(f"{self.name} copy done: {reply.errors[0]}")
        await self.send(query(f"SELECT count(*) FROM crosstalk WHERE owner = '{nonce}'"))
        reply = await self.reply()
        self.sound(reply)
        self.same("rows copied in", [(str(rows if how == "done" else 0),)], reply.rows)

    async def portal(self):
        nonce = self.nonce()
        await self.send(parse("", f"SELECT '{nonce}' || n FROM generate_series(1, 5) n"), bind("", ""), execute("", 2), execute("", 2),
                        execute("", 0), SYNC)
        reply = await self.reply()
        self.sound(reply)
        self.same("portal", [(f"{nonce}{n}",) for n in range(1, 6)], reply.rows)

    async def cancel(self):
        nonce = self.nonce()
        await self.send(query(f"SELECT pg_sleep({self.dice.choice((0, 0.01, 5))}), '{nonce}'"))
        await asyncio.sleep(self.dice.uniform(0, 0.01))
        await self.knock(self.pid, self.secret)
        reply = await self.reply()
        self.sound(reply, ("57014",))
        if not reply.errors:
            self.same("not cancelled", [("", nonce)], reply.rows)

    async def cancel_of_nobody(self):
        await self.knock(self.dice.getrandbits(31), self.secret)
        await self.knock(self.pid, self.dice.randbytes(len(self.secret)))

    async def knock(self, pid, secret):
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(wire.cancel_request(pid, secret))
            await writer.drain()
            await reader.read(1)
        except OSError:
            pass
        finally:
            writer.close()

    async def nothing_is_left(self):
        """The connection owes us nothing: the answer to a lone Sync is the next thing that comes."""
        await self.send(SYNC)
        self.same("left over", "Z", (await self.reply()).kinds)

    # The ways to leave

    def vanish(self):
        """With a reset or with the kernel's goodbye, as the dice say."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None and self.dice.random() < 0.5:
            with contextlib.suppress(OSError):      # closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def leave(self):
        how = self.dice.random()
        nonce = self.nonce()
        if how < 0.5:
            await self.nothing_is_left()
            await self.send(wire.TERMINATE)
            self.writer.close()
            return
        if how < 0.6:           # in the middle of a long answer
            await self.send(query(f"SELECT '{nonce}' || n FROM generate_series(1, 20000) n"))
            await self.message()
        elif how < 0.7:         # before the answer
            await self.send(query(f"SELECT '{nonce}'"))
        elif how < 0.8:         # in a transaction
            await self.send(query("BEGIN"), query(f"SELECT '{nonce}'"))
            await self.message()
        elif how < 0.85:        # while a query runs
            await self.send(query(f"SELECT pg_sleep(0.05), '{nonce}'"))
        elif how < 0.9:         # in the middle of COPY
            await self.send(query("COPY crosstalk FROM STDIN"), copy_data(f"{nonce}\t1\n".encode()))
        elif how < 0.95:        # in the middle of a message
            whole = batch("SELECT $1::text", [nonce], name="half")
            await self.send(whole[:self.dice.randrange(1, len(whole))])
        else:                   # a batch without its Sync
            await self.send(parse("", f"SELECT '{nonce}'"), bind("", ""), execute(), FLUSH if self.dice.random() < 0.5 else b"")
        self.vanish()


async def one_life(dice, name, host, port, kinds, told):
    client = Client(dice, name)
    told["clients"] += 1
    try:
        await asyncio.wait_for(client.connect(host, port), EXCHANGE_SECONDS)
        for _ in range(dice.randrange(1, 16)):
            kind = dice.choice(kinds)
            client.told.append(kind)
            await asyncio.wait_for(getattr(client, kind)(), EXCHANGE_SECONDS)
            told["exchanges"] += 1
            if dice.random() < 0.1:
                await asyncio.sleep(dice.uniform(0, 0.01))
        await asyncio.wait_for(client.leave(), EXCHANGE_SECONDS)
    except Wrong as wrong:
        told["wrong"].append(f"{wrong}; it did {' '.join(client.told)}")
    except Disturbed as disturbed:
        told["disturbed"].append(str(disturbed))
        client.vanish()
    except wire.Refused as refused:
        told["refused"].append(str(refused))
    except asyncio.TimeoutError:                # before OSError, of which it is one
        told["wrong"].append(f"{name} waited {EXCHANGE_SECONDS} s in vain")
        client.vanish()
    except (asyncio.IncompleteReadError, OSError) as gone:
        told["disturbed"].append(f"{type(gone).__name__}: {gone}")
    finally:
        if hasattr(client, "writer"):
            client.writer.close()


async def main(host, port, seed, seconds, least, tasks, kinds):
    told = {"clients": 0, "exchanges": 0, "wrong": [], "disturbed": [], "refused": []}
    until = time.monotonic() + seconds
    at_last = until + 2 * seconds

    async def lives(number):
        dice = random.Random(f"{seed}/{number}")
        life = 0
        while not told["wrong"] and time.monotonic() < (until if told["clients"] >= least else at_last):
            life += 1
            await one_life(dice, f"c{seed}-{number}-{life}", host, port, kinds, told)
    await asyncio.gather(*[lives(number) for number in range(tasks)])
    print(json.dumps(told))

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]), sys.argv[7:]))
