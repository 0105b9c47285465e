"""Not a leak: a rolling deploy (L28). Three pods; each in turn is replaced by a new one, which logs in before the old one leaves."""
import pathlib
import signal
import subprocess
import sys
import time

STEADY = str(pathlib.Path(__file__).resolve().parent / "steady.py")


def pod():
    return subprocess.Popen([sys.executable, STEADY, "--uses", "pod", *sys.argv[1:]])


pods = [pod() for _ in range(3)]
time.sleep(6)
for _ in range(3):
    pods.append(pod())
    time.sleep(3)
    oldest = pods.pop(0)
    oldest.send_signal(signal.SIGTERM)
    oldest.wait(10)
    time.sleep(1)
for each in pods:
    each.wait(120)
