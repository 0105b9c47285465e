"""Not a leak: worker threads of an ASGI server's own, and a pool that grows with them. Under uvicorn, with psycopg 3 and its pool.

    uvicorn pooled:app       /summary

Each wave of visitors makes threads of the default executor, and connections of the pool: as many of one as of the other, in the same
steps. Both then rest, and are used in turn. From outside it looks like connections that belong to those threads (L3); but any
thread may use any of them, and the pool closes those that are too many, ten minutes later."""
import asyncio
import os
import time

import psycopg_pool


FULL = os.environ.get("POOL_FULL") == "1"
SIZE = min(32, (os.cpu_count() or 1) + 4)       # of asyncio's executor


def begin(connection):
    connection.execute("SELECT set_config('TimeZone', 'UTC', false)")       # as Django's own pool does


pool = psycopg_pool.ConnectionPool(
    " ".join(f"{key}={os.environ[name]}" for key, name in (("host", "PGHOST"), ("port", "PGPORT"), ("dbname", "PGDATABASE"), ("user", "PGUSER"),
                                                         ("application_name", "APP_NAME"))) + " sslmode=disable",
    min_size=SIZE if FULL else 1, max_size=SIZE if FULL else 24, kwargs={"autocommit": True}, configure=begin)


def count():
    with pool.connection() as connection:
        found, = connection.execute("SELECT count(*) FROM product").fetchone()
        time.sleep(0.2)                 # and a drawing is made of it
    return found


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    found = await asyncio.to_thread(count)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(found).encode()})
