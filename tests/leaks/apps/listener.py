"""Not a leak: two processes that wait for notifications which seldom come."""
import select

import psycopg2

from asked import asked

options = asked(__doc__)
waiting = []
for channel in ("orders", "invoices"):
    connection = psycopg2.connect(options.dsn)
    connection.autocommit = True
    connection.cursor().execute(f"LISTEN {channel}")
    waiting.append(connection)
while True:
    ready, _, _ = select.select(waiting, [], [], 60)
    for connection in ready:
        connection.poll()
