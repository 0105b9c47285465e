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


class HoldUp:
    def __init__(self):
        self.began, self.over = threading.Event(), threading.Event()


class Between(Relay):
    def __init__(self, target):
        self._hold_up = HoldUp()
        self._ends_held = []
        self.expect(None)
        self.let_all_through()
        super().__init__(0, target)

    def let_all_through(self, but=None):
        """From now on, except what the pooler sends with these words in it."""
        self._garbled = self._words = self._last_words = self._sqlstate = None
        before, self._hold_up = self._hold_up, HoldUp()
        self._words = but
        before.over.set()

    def expect(self, words):
        """Whether the pooler says these words from now on is to be seen in `heard`."""
        self._expected, self.heard = words, False

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

    def hold_end_after(self, words):
        """PostgreSQL's end of a connection on which the pooler sent these words does not arrive."""
        self._last_words = words

    def await_held(self):
        wait_until("it is held back", self._hold_up.began.is_set)

    def _copy(self, source, sink, kept):
        try:
            while said := source.recv(65536):
                said = self._pass(said, sink) if kept is None else self._pass_on(said, source)
                sink.sendall(said)
        except OSError:
            pass
        if sink in self._ends_held:
            self._hold()
        self.part(source, sink)

    def _hold(self):
        hold_up = self._hold_up
        hold_up.began.set()
        hold_up.over.wait(60)

    def _pass_on(self, said, pooler):
        if self._garbled:
            said = said.replace(*self._garbled)
        if self._words and self._words in said:
            self._hold()
        self.heard = self.heard or bool(self._expected and self._expected in said)
        if self._last_words and self._last_words in said:
            self._ends_held.append(pooler)
        return said

    def _pass(self, said, sink):
        end = behind_error(said, self._sqlstate) if self._sqlstate else 0
        if end:
            sink.sendall(said[:end])
            self._hold()
        return said[end:]
