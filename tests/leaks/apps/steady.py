"""Not a leak: a pool of psycopg 3 that keeps its connections, as pools do.

    --uses all     every connection is used at the start, then the pool rests, but for a health check
    --uses some    twelve connections, of which now and then one is used
    --uses pod     a pod: works until it is told to end, then closes its pool"""
import signal
import sys
import threading
import time

import psycopg_pool

from asked import asked

USES = {"all": 20, "some": 12, "pod": 5}
uses = sys.argv.pop(sys.argv.index("--uses") + 1)
sys.argv.remove("--uses")
options = asked(__doc__)
size = USES[uses]
pool = psycopg_pool.ConnectionPool(options.dsn, min_size=size, max_size=size)
pool.wait()
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())


def work(seconds=0.0):
    with pool.connection() as connection:
        connection.execute("SELECT count(*), pg_sleep(%s) FROM product WHERE id = 7", (seconds,))


if uses == "all":
    burst = [threading.Thread(target=work, args=(0.3,)) for _ in range(size)]
    for each in burst:
        each.start()
while not ending.wait(options.every):
    work()
pool.close()
