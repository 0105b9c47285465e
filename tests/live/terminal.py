"""A real terminal (tmux): keys are pressed, and its screen is read."""
import contextlib
import subprocess

import wire
from harness import wait_until


class Terminal:
    """A tmux server of its own, with one window."""

    def __init__(self, folder, *command, width=120, height=30, environment=()):
        self.base = ["tmux", "-S", str(folder / f"tmux-{width}"), "-f", "/dev/null"]
        self.environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TERM": "screen-256color", **dict(environment)}
        self._run("new-session", "-d", "-x", str(width), "-y", str(height), *map(str, command))

    def _run(self, *arguments):
        return subprocess.run([*self.base, *arguments], capture_output=True, timeout=20 * wire.PATIENCE, env=self.environment,
                              check=True).stdout.decode()

    def keys(self, *keys):
        self._run("send-keys", *keys)

    def resize(self, width, height):
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *options):
        return self._run("capture-pane", "-p", *options)

    def shows(self, *words):
        """Wait until the screen has all of these; the screen."""
        seen = [""]

        def all_there():
            seen[0] = self.screen()
            return all(word in seen[0] for word in words)
        try:
            wait_until(f"the screen shows {words}", all_there)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{seen[0]}") from None
        return seen[0]

    def close(self):
        with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            self._run("kill-server")
