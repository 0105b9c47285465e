"""Not a leak: a person with five tabs of a database tool (L26). Each tab is a session that sits while its person reads another."""
import random
import threading
import time

import psycopg

from asked import asked

options = asked(__doc__)
QUESTIONS = ("SELECT nspname FROM pg_namespace", "SELECT relname FROM pg_class LIMIT 50", "SELECT name FROM product LIMIT 100")
dice = random.Random(5)


def tab():
    connection = psycopg.connect(options.dsn, autocommit=True)
    connection.execute("SET datestyle TO ISO")
    for question in QUESTIONS[:dice.randrange(1, 4)]:
        connection.execute(question)
    return connection


tabs = []
for _ in range(5):
    tabs.append(tab())
    time.sleep(3)
while True:
    time.sleep(dice.uniform(3, 7))
    tabs[dice.randrange(2)].execute(dice.choice(QUESTIONS))
