"""Ports for those who are told theirs before they listen on it: all of the tests and benchmarks take them here."""
import collections
import random
import socket

_reserved = collections.deque(maxlen=200)  # the latest marks; one that falls out is closed
_chance = random.SystemRandom()  # a seed would give the same ports to all


def free_port():
    """A port of 127.0.0.1 that nobody has, and that no other story here or beside us is given meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as bounds:
        first_ephemeral = int(bounds.read().split()[0])
    while True:
        # Below those that the kernel gives to whoever connects, or one of them may be gone before it is used.
        port = _chance.randrange(10240, first_ephemeral if first_ephemeral > 12000 else 65536)
        mark = socket.socket(socket.AF_UNIX)
        try:
            # A name that ends with us, and of which there is one in this network.
            mark.bind(f"\0pgweir-tests-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        _reserved.append(mark)
        return port
