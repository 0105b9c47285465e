"""L7: the application's own pool is drained. FastAPI under uvicorn, psycopg 3 with its pool, which may have four connections.

    uvicorn orders:app       /order    what may be refused
                             /about    asks nothing of the database
                             /news     is answered when there is news, or after a while: a long poll; nor does it ask anything

Every sixteenth order is refused. The error goes to a tracker, which keeps the last ones with all that they refer to, and nobody gives back
the connection. After four of them whoever orders waits for the pool, half a minute each, while the pooler and PostgreSQL have nothing
to do: neither is to blame, and neither can help.

PG* variables say where the database is, APP_NAME what it is called there, CURED=1 that the mistake is not made. PARTNER=1: whoever may pay
is asked of somebody else before each order is looked at, and after the sixtieth there is no answer any more. That is another mistake."""
import asyncio
import collections
import itertools
import os
import socket
import threading

import psycopg_pool
from fastapi import FastAPI
from starlette.responses import JSONResponse

CURED = os.environ.get("CURED") == "1"

pool = psycopg_pool.ConnectionPool(
    " ".join(f"{key}={os.environ[name]}" for key, name in (("host", "PGHOST"), ("port", "PGPORT"), ("dbname", "PGDATABASE"), ("user", "PGUSER"),
                                                         ("application_name", "APP_NAME"))) + " sslmode=disable",
    min_size=4, max_size=4, kwargs={"autocommit": True})
app = FastAPI()
orders = itertools.count(1)
tracker = collections.deque(maxlen=100)


class Refused(Exception):
    pass


@app.exception_handler(Refused)
async def track(_, error):
    tracker.append(error)
    return JSONResponse({"refused": str(error)}, status_code=409)


partner = socket.create_server(("127.0.0.1", 0), backlog=100)


def answer():
    """The partner: sixty may pay, whoever asks later is left standing."""
    for number in itertools.count(1):
        asks, _ = partner.accept()
        tracker.append(asks)
        asks.recv(1)
        if number <= 60:
            asks.sendall(b"y")


def may_pay():
    with socket.create_connection(partner.getsockname(), timeout=30) as asking:
        asking.sendall(b"?")
        return asking.recv(1) == b"y"


if os.environ.get("PARTNER") == "1":
    threading.Thread(target=answer, daemon=True).start()


def check(connection, number):
    connection.execute("SELECT name FROM product WHERE id = %s", (number,))
    if number % 16 == 0:
        raise Refused(number)


@app.get("/order")
def order():
    number = next(orders)
    if os.environ.get("PARTNER") == "1" and not may_pay():
        raise Refused(number)
    if CURED:
        with pool.connection() as connection:       # the cure
            check(connection, number)
    else:
        connection = pool.getconn()
        check(connection, number)
        # The mistake: this is not in a finally.
        pool.putconn(connection)
    return {"accepted": number}


@app.get("/about")
def about():
    return {"shop": "ours"}


@app.get("/news")
async def news():
    await asyncio.sleep(6)
    return {"news": None}
