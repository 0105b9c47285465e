"""Who plays the streams: lanes, each a thread with a schema of its own, in several processes, and noise beside them.

Every wait here has an end. A lane that is busy when all should be over is told, with its stream and with where it stands
(Work.run), and the processes are ended by their ids; they end by themselves when this one is gone."""
import ctypes
import faulthandler
import multiprocessing
import os
import pathlib
import queue
import random
import signal
import tempfile
import threading
import time
import traceback

import play
import streams
import wire

PROCESSES = 2
LANES = 8                       # of each process
NOISE_CLIENTS = 2               # of each process
POOL_SIZE = 8
ADMIN_SECONDS = 40              # for the longest that the superuser asks: whoever had a lane before has left it
SHRINK_TRIES = 400
SHRINK_PATIENCE = 3             # seconds for an answer, while a stream that is not answered is made shorter
ENDING_SECONDS = 150            # for what was begun before the time was over; making shorter counts apart
PR_SET_PDEATHSIG = 1


class Noise:
    """Clients of the same pool whose short transactions make servers change hands, and who look whether they are themselves: their
    settings, their prepared statement, and the notifications that they hear."""

    def __init__(self, address, dice):
        self.address, self.dice, self.ending, self.failures = address, dice, threading.Event(), []
        self.threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(NOISE_CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _work(self, number):
        name = f"noise {os.getpid()} {number}"
        topic = f"noise_{os.getpid()}_{number}" if number % 2 else ""
        heard = 0
        try:
            with wire.Client(self.address, parameters={"application_name": name}, timeout=60) as client:
                client.prepare("who", "SELECT current_setting('application_name'), current_user, current_setting('app.tenant', true)")
                if topic:
                    client.query(f"LISTEN {topic}")
                while not self.ending.wait(self.dice.uniform(0, 0.01)):
                    client.query("BEGIN")
                    told = client.run_prepared("who").rows[0]
                    if told != (name, "app", "nobody"):
                        raise AssertionError(f"the noise sees {told}")
                    if topic and self.dice.random() < 0.1:
                        client.query(f"NOTIFY {topic}, '{heard}'")
                        heard += 1
                    client.query("COMMIT")
                    if [(told[1], told[2]) for told in client.notifications] != [(topic, str(each)) for each in range(heard)]:
                        raise AssertionError(f"the noise hears {client.notifications}, of {heard} on {topic!r}")
        except Exception as failure:        # noqa: told as a difference
            if not self.ending.is_set():
                self.failures.append(failure)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(20)


class Lane:
    """A schema, and who plays one stream after the other in it."""

    def __init__(self, pg, address, number):
        self.pg, self.address, self.number, self.name = pg, address, number, f"lane{number}"
        self.admin = pg.admin("app", timeout=ADMIN_SECONDS)

    def close(self):
        self.admin.close()

    def prepare(self):
        for gid, in self.admin.query(f"SELECT gid FROM pg_prepared_xacts WHERE gid LIKE '{self.name} %'").rows:
            self.admin.query(f"ROLLBACK PREPARED '{gid}'")
        self.admin.query(streams.RESET.format(lane=self.name, number=self.number))

    def waits(self, pid):
        """Whether this backend waits for what its client says next."""
        return self.admin.query(f"SELECT wait_event = 'ClientRead' FROM pg_stat_activity WHERE pid = {pid}").value == "t"

    def differs(self, stream, patience=play.ANSWER_SECONDS):
        self.prepare()
        direct = play.play(self.pg.socket_path, stream, "app", self.admin.query, waits=self.waits)
        self.prepare()
        pooled = play.play(self.address, stream, "app", self.admin.query, after=direct, patience=patience)
        return play.difference(direct, pooled)

    def shrink(self, stream, found, seconds):
        """The shortest stream that still differs, of those found by leaving parts out. What does not differ each time may stay longer."""
        deadline = time.monotonic() + seconds
        whole, first = stream, found
        messages, tries, size = list(stream.messages), 0, max(1, len(stream.messages) // 2)
        again = True
        while (size or again) and tries < SHRINK_TRIES and time.monotonic() < deadline:
            at, again = 0, bool(size)
            size = size or 1
            while at < len(messages) and tries < SHRINK_TRIES and time.monotonic() < deadline:
                shorter = stream.with_messages(messages[:at] + messages[at + size:])
                tries += 1
                differs = streams.is_well_formed(shorter.messages) and self.differs(shorter, SHRINK_PATIENCE)
                if differs:
                    stream, messages, found = shorter, shorter.messages, differs
                else:
                    at += size
            size //= 2
        # Impatience may have taken what was slow for what differs.
        found = self.differs(stream) if stream is not whole else found
        return (stream, found) if found else (whole, first)


class Work:
    """What the processes share: which stream is next, where each lane is, and what was found."""

    def __init__(self, asked, pg, address):
        fork = multiprocessing.get_context("fork")
        self.asked, self.pg, self.address = asked, pg, address
        self.next, self.told, self.found = fork.Value("i", 0), fork.Value("i", 0), fork.Queue()
        self.at = fork.Array("i", PROCESSES * LANES, lock=False)       # the stream each lane plays; 0: none
        self.stacks = pathlib.Path(tempfile.mkdtemp(prefix="diff-stacks-"))
        self.deadline = time.monotonic() + asked.seconds
        self.processes = [fork.Process(target=self.process, args=(number, os.getpid()), daemon=True) for number in range(PROCESSES)]

    def process(self, number, parent):
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return
        with open(self.stacks / str(number), "w") as stack:
            faulthandler.register(signal.SIGUSR1, file=stack, all_threads=True)
            noise = Noise(self.address, random.Random(number))
            lanes = [threading.Thread(target=self.lane, args=(number * LANES + each,), daemon=True) for each in range(LANES)]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            noise.end()
            for failure in noise.failures:
                self.found.put(("the noise", [repr(failure)], []))
            faulthandler.unregister(signal.SIGUSR1)

    def take(self):
        with self.next.get_lock():
            if self.next.value >= self.asked.streams or self.told.value >= self.asked.most or time.monotonic() > self.deadline:
                return 0
            self.next.value += 1
            return self.next.value

    def lane(self, number):
        at = 0
        try:
            lane = Lane(self.pg, self.address, number)
            while True:
                at = self.take()
                if at and self.asked.stream and number % 3 == 0:
                    at = self.asked.stream
                self.at[number] = at
                if not at:
                    break
                stream = streams.make(f"{self.asked.seed}/{at}", lane.name, lane.number)
                found = lane.differs(stream)
                if found:
                    with self.told.get_lock():
                        self.told.value += 1
                    stream, found = lane.shrink(stream, found, self.asked.shrink)
                    self.found.put((f"stream {at} of seed {self.asked.seed}", found, stream.story()))
            lane.close()
        except Exception:               # noqa: told as a failure
            self.found.put((f"lane {number}, stream {at} of seed {self.asked.seed}", traceback.format_exc().splitlines(), []))
            self.at[number] = 0

    def run(self):
        """What differs, as it is found: (title, lines, story)."""
        end = self.deadline + self.asked.shrink + ENDING_SECONDS * wire.PATIENCE
        try:
            for process in self.processes:
                process.start()
            while any(process.is_alive() for process in self.processes) or not self.found.empty():
                try:
                    yield self.found.get(timeout=0.2)
                except queue.Empty:
                    pass
                if time.monotonic() > end:
                    yield self.busy()
                    break
        finally:
            self.end()

    def busy(self):
        """Who should have come to an end long ago, and where they stand."""
        for process in self.processes:
            if process.is_alive():
                os.kill(process.pid, signal.SIGUSR1)
        time.sleep(1)
        lines = [f"lane {number} plays stream {at} of seed {self.asked.seed}" for number, at in enumerate(self.at) if at]
        for number in range(PROCESSES):
            lines += (self.stacks / str(number)).read_text().splitlines()
        return "some lanes come to no end", lines, []

    def end(self):
        for process in self.processes:
            if process.pid and process.is_alive():
                process.terminate()
        for process in self.processes:
            if process.pid:
                process.join(5)
            if process.pid and process.is_alive():
                process.kill()
                process.join(5)
        for each in self.stacks.iterdir():
            each.unlink()
        self.stacks.rmdir()
