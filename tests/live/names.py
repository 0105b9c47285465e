"""A small name server for tests: it answers from a table, and may lie."""
import socket
import struct
import threading

A, SOA, PTR, AAAA = 1, 6, 12, 28


def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


class NameServer:
    """`hosts`: name -> addresses; `serials`: zone -> number; `pointers`: IPv4 address -> name. `asked` counts what was asked, by (name, type)."""

    def __init__(self, hosts=None, ttl=1, serials=None, pointers=None):
        self.hosts, self.ttl, self.serials = dict(hosts or {}), ttl, dict(serials or {})
        self.pointers = {".".join(reversed(address.split("."))) + ".in-addr.arpa": name for address, name in (pointers or {}).items()}
        self.asked = {}
        self.spoil = None       # bytes -> list of bytes: what is sent instead of an answer
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.ending = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def stop(self):
        self.ending = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()

    def resolv_conf(self):
        return f"nameserver 127.0.0.1:{self.port}\noptions ndots:0\n"

    def times_asked(self, name):
        return sum(count for (asked, _), count in self.asked.items() if asked == name)

    def _serve(self):
        while not self.ending:
            try:
                packet, sender = self.socket.recvfrom(4096)
            except OSError:
                return
            if len(packet) < 17:
                continue
            answers = [self._answer(packet)]
            if self.spoil:
                answers = self.spoil(answers[0])
            for answer in answers:
                try:
                    self.socket.sendto(answer, sender)
                except OSError:
                    pass

    def _answer(self, packet):
        at, parts = 12, []
        while packet[at]:
            parts.append(packet[at + 1:at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        name, (kind,) = ".".join(parts).lower(), struct.unpack("!H", packet[at + 1:at + 3])
        question = packet[12:at + 5]
        self.asked[name, kind] = self.asked.get((name, kind), 0) + 1
        records = []
        for address in self.hosts.get(name, ()):
            if kind == (AAAA if ":" in address else A):
                records.append((kind, socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)))
        if kind == SOA and name in self.serials:
            records.append((SOA, labels("ns." + name) + labels("root." + name)
                            + struct.pack("!5I", self.serials[name], 60, 60, 60, 60)))
        if kind == PTR and name in self.pointers:
            records.append((PTR, labels(self.pointers[name])))
        code = 0 if name in self.hosts or name in self.serials or name in self.pointers else 3
        return (packet[:2] + struct.pack("!5H", 0x8580 | code, 1, len(records), 0, 0) + question
                + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", type, 1, self.ttl, len(data)) + data for type, data in records))
