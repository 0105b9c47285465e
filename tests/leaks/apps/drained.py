"""L7: the application's own pool is drained. psycopg 3 with its pool, which may have four connections.

A failing task never gives its connection back. After four of them the application waits for itself, while the pooler
and PostgreSQL have nothing to do: neither is to blame, and neither can help."""
import threading
import time

import psycopg_pool

from asked import asked

options = asked(__doc__)
pool = psycopg_pool.ConnectionPool(options.dsn, min_size=4, max_size=4, timeout=2, kwargs={"autocommit": True})
pool.wait()
holders = {}


def task(number):
    connection = holders[number] = pool.getconn()       # the task's record, as long as the task is not done
    try:
        connection.execute("SELECT name FROM product WHERE id = %s", (number,))
        if number % 8 == 0:
            raise ValueError("somebody sent us this")
        pool.putconn(holders.pop(number))
    except ValueError:
        # The mistake: nothing here. The cure: `with pool.connection() as connection`.
        if options.cured:
            pool.putconn(holders.pop(number))


def attempt(number):
    try:
        task(number)
    except psycopg_pool.PoolTimeout as late:
        print(late, flush=True)


number = 0
while True:
    number += 1
    threading.Thread(target=attempt, args=(number,), daemon=True).start()
    time.sleep(options.every)
