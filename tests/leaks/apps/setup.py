"""L21: a connection whose set-up fails is dropped, and nobody closes it. psycopg 3.

Every job logs in for one customer and reads his settings from a file before it asks anything. Of every second customer there is no
such file; the error goes to a tracker, which keeps the last ones with all that they refer to."""
import pathlib
import time

import psycopg

from asked import asked

options = asked(__doc__)
SETTINGS = pathlib.Path(__file__).parent
tracker = []


def connect(customer):
    connection = psycopg.connect(options.dsn, autocommit=True)
    try:
        (SETTINGS / ("asked.py" if customer % 2 else "missing.ini")).read_text()
    except OSError:
        # The mistake: nothing here; the traceback refers to the connection for as long as the tracker has it. The cure:
        if options.cured:
            connection.close()
        raise
    return connection


def job(customer):
    with connect(customer) as connection:
        connection.execute("SELECT name FROM product WHERE id = %s", (customer,))


customer = 0
while True:
    customer += 1
    try:
        job(customer)
    except OSError as error:
        tracker.append(error)
    time.sleep(options.every)
