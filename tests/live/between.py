"""Somebody between the pooler and PostgreSQL who garbles what the pooler says there, or holds back what either says."""
import threading

from harness import wait_until
from test_pooling import Relay


def behind_error(said, sqlstate):
    """Where the ErrorResponse with this SQLSTATE ends; 0: there is none. `said` begins with a message."""
    at = 0
    while at + 5 <= len(said):
        end = at + 1 + int.from_bytes(said[at + 1:at + 5], "big")
        if said[at:at + 1] == b"E" and b"\0C" + sqlstate + b"\0" in said[at:end]:
            return end
        at = end
    return 0


class Between(Relay):
    def __init__(self, target):
        self._gone = threading.Event()
        self.let_all_through()
        super().__init__(0, target)

    def let_all_through(self):
        self._garbled = self._words = self._sqlstate = None
        self._gone.set()
        self._held, self._gone = threading.Event(), threading.Event()

    def garble(self, words, others):
        """The pooler says others, as many."""
        assert len(words) == len(others)
        self._garbled = words, others

    def hold_from(self, words):
        """What the pooler sends with these words in it does not arrive."""
        self._words = words

    def hold_behind_error(self, sqlstate):
        """What PostgreSQL sends behind this error does not arrive."""
        self._sqlstate = sqlstate

    def await_held(self):
        wait_until("it is held back", self._held.is_set)

    def _copy(self, source, sink, kept):
        try:
            while said := source.recv(65536):
                said = self._pass(said, sink) if kept is None else self._pass_on(said)
                sink.sendall(said)
        except OSError:
            pass
        self.part(source, sink)

    def _hold(self):
        gone = self._gone
        self._held.set()
        gone.wait(60)

    def _pass_on(self, said):
        if self._garbled:
            said = said.replace(*self._garbled)
        if self._words and self._words in said:
            self._hold()
        return said

    def _pass(self, said, sink):
        end = behind_error(said, self._sqlstate) if self._sqlstate else 0
        if end:
            sink.sendall(said[:end])
            self._hold()
        return said[end:]
