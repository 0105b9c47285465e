"""Not a leak: exports over a slow line. Their readers take a little at a time, without a pause, and do get on."""
import subprocess
import threading
import time

from asked import asked

options = asked(__doc__)
EXPORT = "COPY (SELECT n, repeat('x', 1000) FROM generate_series(1, 100000) AS n) TO STDOUT"


def export():
    psql = subprocess.Popen(["psql", "-XAtq", options.dsn, "-c", EXPORT], stdout=subprocess.PIPE)
    while psql.stdout.read(64 * 1024):
        time.sleep(0.1)
    psql.wait(10)


for _ in range(3):
    threading.Thread(target=export).start()
