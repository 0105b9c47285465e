"""What the stories of pgweir stress share: running it, and reading what it says."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading

from harness import Ran, Story, Vain, free_port, live, wait_until

STATUS = {"fine": 0, "failed": 1, "usage": 2, "not_so": 3, "leak": 4, "interrupted": 130}
# Rests are short here, and what is opened is few: what leaks does so at once.
SHORT = ("--baseline", "1s", "--warm-for", "300ms", "--ramp", "300ms", "--hold", "500ms", "--burst-for", "300ms", "--drain", "300ms",
         "--settle", "1s", "--sample", "100ms", "--timeout", "5s")


class Stressing(Story):
    """Runs pgweir stress; everything it writes goes to a folder that ends with the story."""

    kinds = ("pgweir",)
    measures = True

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(live.folder) / f"stress-{os.getpid()}-{threading.get_ident()}"
        self.folder.mkdir()
        self.addCleanup(shutil.rmtree, self.folder, True)

    def _url(self, user="app", database="app", port=None):
        return f"postgresql://{user}@127.0.0.1:{port or self.pg.port}/{database}"

    def _start(self, *arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return subprocess.Popen([live.bin, "stress", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=environment, cwd=self.folder)

    def _finish(self, child, timeout=100):
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise Vain(f"pgweir stress did not end: {out.decode()[-2000:]} {err.decode()[-2000:]}") from None
        return Ran(subprocess.CompletedProcess(child.args, child.returncode, out, err))

    def _stress(self, *arguments, timeout=100):
        return self._finish(self._start(*arguments), timeout)

    def _measured(self, *arguments, status="fine", timeout=100):
        """One run with the short times, its JSON."""
        ran = self._stress(*SHORT, *arguments, "--json", "-", timeout=timeout)
        self.assertEqual(STATUS[status], ran.status, ran)
        return ran.json

    def _interrupt(self, child, when):
        wait_until("the run is under way", when, timeout=20)
        child.send_signal(signal.SIGINT)
        return self._finish(child, 20)


class Hostile:
    """A server that answers every connection with what it was told to, and remembers how each ended."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", free_port()), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer):
        peer.settimeout(20)
        try:
            if peer.recv(1, socket.MSG_PEEK) == b"":
                return  # the look whether anybody is there, before the run
            self.seen.append(self.answer(peer))
        except OSError as failure:
            self.seen.append(type(failure).__name__)
        finally:
            peer.close()
