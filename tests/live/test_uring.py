"""Bytes by io_uring, where the kernel allows it (io_engine; doc/decisions/0008-io-uring.md)."""
import contextlib
import ctypes
import os
import sys
import threading

from harness import Pooler, Story, live, takes
from test_crosstalk import Crosstalk

# Refuses io_uring_setup (425 everywhere) to a program and whoever it starts, as the profiles of containers do, then executes it.
REFUSE = """
import ctypes, errno, os, struct, sys
load, jump_if_equal, leave = 0x20, 0x15, 0x06
rules = [(load, 0, 0, 0), (jump_if_equal, 0, 1, 425), (leave, 0, 0, 0x00050000 | errno.EPERM), (leave, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, header, 0, 0):
    sys.exit("no filter could be set: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


class Refused(Pooler):
    """A pooler to which the kernel refuses io_uring."""

    def command(self):
        return [sys.executable, "-c", REFUSE, *super().command()]


def why_refused():
    """What the kernel says to whoever asks for a ring of eight; None: nothing, it gives one."""
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(425, 8, ctypes.create_string_buffer(120))
    if ring < 0:
        return os.strerror(ctypes.get_errno())
    os.close(ring)
    return None


def rings(pooler):
    count = 0
    for fd in os.listdir(f"/proc/{pooler.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):        # closed meanwhile
            count += "io_uring" in os.readlink(f"/proc/{pooler.pid}/fd/{fd}")
    return count


class Uring(Story):
    kinds = ("pgweir",)

    def _pooler(self, **settings):
        why = why_refused()
        if why:
            self.skipTest(f"the kernel refuses io_uring: {why}")
        return self.pooler(settings={"io_engine": "io_uring", "workers": 2, **settings})

    def each_worker_has_a_ring(self):
        pooler = self._pooler()
        self.assertEqual(2, rings(pooler))
        self.assertNotIn("io_uring", pooler.log())

    def the_unchanged_engine_is_epoll(self):
        if live.options:
            self.skipTest("it is changed for all stories")
        pooler = self.pooler(settings={"workers": 2})
        self.assertEqual(0, rings(pooler))
        self.assertIn(("io_engine", "epoll", "epoll"), [(row["key"], row["value"], row["default"]) for row in pooler.show("CONFIG")])

    def a_kernel_that_refuses_it_is_served_by_epoll_and_the_log_says_so_once(self):
        pooler = Refused(settings={"io_engine": "io_uring", "workers": 3})
        self.keep(pooler)
        pooler.start()
        self.assertEqual(0, rings(pooler))
        self.assertEqual("1", pooler.client().value("SELECT 1"))
        said = [line for line in pooler.log().splitlines() if "io_uring" in line]
        self.assertEqual(1, len(said), said)
        self.assertIn("WARNING io_engine = io_uring, but the kernel refuses it (Operation not permitted): using epoll", said[0])

    @takes(180)
    def answers_stay_right_while_servers_change_workers_and_are_closed(self):
        pooler = self._pooler(default_pool_size=5, server_lifetime=1)
        console, over = pooler.console(), threading.Event()

        def close_servers():
            while not over.wait(0.2):
                console.query("RECONNECT")
        closing = threading.Thread(target=close_servers, daemon=True)
        closing.start()
        try:
            Crosstalk(pooler, seconds=4).run(self)
        finally:
            over.set()
            closing.join(20)
