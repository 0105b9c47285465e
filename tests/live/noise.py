"""Clients of a test's own user and database whose short transactions make servers change hands, and who look after their own.

A lone client passes by luck: the server that it is lent is the one that it had.
"""
import random
import threading

import wire

CLIENTS = 3


class Noise:
    """`rate` transactions a second of all of them together, for as long as the block lasts; 0: no noise. `failures` says who fell silent."""

    def __init__(self, address, rate, seed, database, user="postgres"):
        self.address, self.pause, self.seed = address, CLIENTS / rate if rate else 0, seed
        self.database, self.user = database, user
        self.ending, self.failures, self.threads, self.transactions = threading.Event(), [], [], [0] * CLIENTS

    def __enter__(self):
        if self.pause:
            self.threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()
        return self

    def _work(self, number):
        dice = random.Random(self.seed + number)
        try:
            with wire.Client(self.address, user=self.user, database=self.database, timeout=120) as client:
                while not self.ending.wait(dice.uniform(0, 2 * self.pause)):
                    client.query("BEGIN")
                    client.query("SELECT 1")
                    client.query("COMMIT")
                    self.transactions[number] += 1
        except Exception as failure:        # noqa: told with the outcome
            if not self.ending.is_set():
                self.failures.append(repr(failure))

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(130)
