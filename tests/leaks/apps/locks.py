"""L25: jobs that are locked with session advisory locks, and never unlocked. psycopg 3.

Through a pooler in transaction mode the lock stays with the server, whoever is lent it next; without one, it stays with the
pooled connection. Either way nobody can ever take this job again."""
import time

import psycopg_pool

from asked import asked

options = asked(__doc__)
pool = psycopg_pool.ConnectionPool(options.dsn, min_size=3, max_size=3, kwargs={"autocommit": True})
# The mistake: a lock of the session, without pg_advisory_unlock. The cure: one that ends with the transaction.
lock = "SELECT pg_try_advisory_xact_lock(%s)" if options.cured else "SELECT pg_try_advisory_lock(%s)"

number = 0
while True:
    number += 1
    with pool.connection() as connection:
        with connection.transaction():
            connection.execute(lock, (number,))
            connection.execute("UPDATE product SET stock = stock - 1 WHERE id = %s", (number,))
    time.sleep(options.every)
