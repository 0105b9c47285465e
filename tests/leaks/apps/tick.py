"""L12: a scheduled task that only reads, and never ends its transaction. psycopg 3.

Every tick leaves a pair of sessions idle in transaction, one for alerts and one for rules."""
import time

import psycopg

from asked import asked

options = asked(__doc__)
latest = []


def read(connection, sql):
    """The rows, read when somebody wants them: the cursor keeps its connection alive."""
    cursor = connection.cursor()
    cursor.execute(sql)
    latest.append(cursor)


def tick():
    for sql in ("SELECT id, name FROM product WHERE stock < 3", "SELECT count(*) FROM product"):
        connection = psycopg.connect(options.dsn)
        read(connection, sql)
        # The mistake: reading opens a transaction as well. The cure: `with psycopg.connect(...) as connection`.
        if options.cured:
            connection.close()


while True:
    tick()
    time.sleep(options.every)
