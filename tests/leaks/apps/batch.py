"""Not a leak: a nightly batch. One long transaction after another, with computing between its statements, and a COPY."""
import random
import time

import psycopg

from asked import asked

options = asked(__doc__)
dice = random.Random(7)
while True:
    with psycopg.connect(options.dsn) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE price(id int, price int) ON COMMIT DROP")
            with cursor.copy("COPY price FROM STDIN") as copy:
                for number in range(1, 1001):
                    copy.write_row((number, dice.randrange(100)))
                    if number % 100 == 0:
                        time.sleep(0.2)
            for number in range(1, 80):
                cursor.execute("UPDATE product SET stock = stock + 1 WHERE id = %s", (number,))
                time.sleep(dice.uniform(0.02, 0.2))         # what such a batch computes
            cursor.execute("SELECT count(*), pg_sleep(3) FROM product JOIN price USING (id)")
    time.sleep(options.every)
