#!/usr/bin/python3
"""Work that lives in one session, done by the application of the founding incident with its own settings, models and connections.

    founding.py      the database is where DATABASE_* say; to be started in a copy of examples/chat

Each thread has Django's connection of its own, kept for CONN_MAX_AGE, and does between other people's transactions what transaction pooling is
said to break: it reads through a server-side cursor while it writes, counts under an advisory lock that spans its transactions, and tells a
listener. Prints nothing when all was as on PostgreSQL.
"""
import os
import select
import threading
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lfg.settings")

import django  # noqa: E402

django.setup()

from chat.models import Message  # noqa: E402
from django.db import close_old_connections, connection, transaction  # noqa: E402

THREADS, ROUNDS, LINES = 4, 5, 40
LOCK = 4711
PATIENCE_SECONDS = 60


def ask(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


def the_limit_is_kept():
    limit = ask("SELECT current_setting('statement_timeout')")
    assert limit == "30s", f"statement_timeout is {limit}"


def read_while_writing(name, round):
    """Outside of a transaction, so the cursor is WITH HOLD; another statement between every few rows."""
    conversation = f"{name}.{round}"
    Message.objects.bulk_create(Message(conversation=conversation, author=Message.PERSON, text=str(n)) for n in range(LINES))
    read = []
    for message in Message.objects.filter(conversation=conversation).iterator(chunk_size=3):
        read.append(int(message.text))
        if message.id % 4 == 0:
            Message.objects.filter(id=message.id).update(author=Message.AI)
            the_limit_is_kept()
    assert read == list(range(LINES)), f"{conversation} was read as {read}"


def count_under_a_lock():
    """Reads, does something else and writes, each in a transaction of its own: nothing but the lock keeps others out."""
    ask("SELECT pg_advisory_lock(%s) IS NOT NULL", LOCK)
    try:
        counter = Message.objects.get(conversation="counter")
        the_limit_is_kept()
        Message.objects.filter(id=counter.id).update(text=str(int(counter.text) + 1))
    finally:
        assert ask("SELECT pg_advisory_unlock(%s)", LOCK), "the lock was lost"


def tell(name, round):
    with transaction.atomic():
        Message.objects.create(conversation="told", author=Message.AI, text=name)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify('chat', %s)", [f"{name} {round}"])


def work(name):
    the_limit_is_kept()
    kept = connection.connection
    for round in range(ROUNDS):
        close_old_connections()             # what Django does around each request
        read_while_writing(name, round)
        count_under_a_lock()
        tell(name, round)
    assert connection.connection is kept, "the connection was not kept"


def notifications(seconds):
    """What is told within this time, by whichever of its two drivers Django has found."""
    driver = connection.connection
    select.select([driver], [], [], seconds)
    if hasattr(driver, "poll"):             # psycopg2
        driver.poll()
        told = [notification.payload for notification in driver.notifies]
        del driver.notifies[:]
        return told
    driver.pgconn.consume_input()           # psycopg 3, whose own notifies() ends only from 3.2 on
    return [notification.extra.decode() for notification in iter(driver.pgconn.notifies, None)]


def listen(heard, listening):
    with connection.cursor() as cursor:
        cursor.execute("LISTEN chat")
    listening.set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(heard) < THREADS * ROUNDS and time.monotonic() < deadline:
        heard += notifications(1)


def main():
    Message.objects.create(conversation="counter", author=Message.AI, text="0")
    failures, heard, listening = [], [], threading.Event()

    def guarded(call, *arguments):
        try:
            call(*arguments)
        except BaseException as failure:        # noqa: told below
            failures.append(repr(failure))
        finally:
            connection.close()
    listener = threading.Thread(target=guarded, args=(listen, heard, listening), daemon=True)
    listener.start()
    assert listening.wait(PATIENCE_SECONDS), f"LISTEN was not answered: {failures}"
    threads = [threading.Thread(target=guarded, args=(work, f"t{n}"), daemon=True) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads + [listener]:
        thread.join()
    assert not failures, failures
    counted = Message.objects.get(conversation="counter").text
    assert counted == str(THREADS * ROUNDS), f"{counted} were counted: two were in at once"
    for n in range(THREADS):
        told = [payload for payload in heard if payload.startswith(f"t{n} ")]
        assert told == [f"t{n} {round}" for round in range(ROUNDS)], f"of thread {n} was heard: {told}"


if __name__ == "__main__":
    main()
