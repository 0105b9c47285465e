"""Not a leak: three long reports, each one statement, whose clients are silent for as long as it runs."""
import threading

import psycopg2

from asked import asked

options = asked(__doc__)


def report():
    connection = psycopg2.connect(options.dsn)
    cursor = connection.cursor()
    while True:
        cursor.execute("SELECT count(*) FROM product AS a, product AS b, pg_sleep(18)")
        connection.commit()


for _ in range(3):
    threading.Thread(target=report).start()
