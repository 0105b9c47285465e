"""L23: a pod with a pool of its own, which works until its network is gone and it is killed. psycopg 3.

There is no mistake in it: whoever runs it takes its network away, and then its life, so that no FIN ever arrives.
The cure is on the other side: keepalives and tcp_user_timeout."""
import threading
import time

import psycopg_pool

from asked import asked

options = asked(__doc__)
pool = psycopg_pool.ConnectionPool(options.dsn, min_size=6, max_size=6)
pool.wait()


def worker():
    while True:
        with pool.connection() as connection:
            connection.execute("SELECT count(*) FROM product WHERE stock > 1")
        time.sleep(options.every)


for _ in range(6):
    threading.Thread(target=worker).start()
