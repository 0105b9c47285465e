"""L24: requests whose worker is killed when they take too long, as gunicorn's `timeout` does. psycopg 2.

The query goes on at PostgreSQL, the client asks again, and each try leaves one more backend at work for nobody."""
import multiprocessing
import time

import psycopg2

from asked import asked

options = asked(__doc__)
LIMIT = 1
# The cure: a limit for the statement that lies below the worker's.
cure = " options='-c statement_timeout=700'" if options.cured else ""


def request():
    connection = psycopg2.connect(options.dsn + cure)
    connection.autocommit = True
    # A summary that is also written down, so that nobody may cut it short.
    connection.cursor().execute("INSERT INTO summary SELECT count(*) FROM product, pg_sleep(25)")


while True:
    worker = multiprocessing.get_context("fork").Process(target=request)
    worker.start()
    worker.join(LIMIT)
    if worker.is_alive():
        worker.kill()
    worker.join(5)
    time.sleep(options.every)
