"""L11: requests that are cancelled while they clean up. asyncpg and its pool, cancelled by anyio.

A cancelled scope of anyio interrupts every await within it, also those of `finally`. The statement is being cancelled at
PostgreSQL when the rollback is asked for, so that one waits, and is interrupted before it was sent; the release after it
is never reached. The connection stays checked out and open, in the middle of a transaction."""
import asyncio
import contextlib

import anyio
import asyncpg

from asked import asked

options = asked(__doc__)


async def answer(pool):
    connection = await pool.acquire()
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.fetchval("SELECT name FROM product WHERE id = 1")
        await connection.fetchval("SELECT pg_sleep(1)")         # the slow part
    finally:
        # The mistake: to await here without a shield. The cure: with anyio.CancelScope(shield=True).
        with anyio.CancelScope(shield=True) if options.cured else contextlib.nullcontext():
            await transaction.rollback()
            await pool.release(connection)


async def request(pool, gives_up):
    # The visitor goes away before the answer is there; the framework cancels what was at work for it.
    with anyio.move_on_after(0.4 if gives_up else 10):
        await answer(pool)


async def main():
    pool = await asyncpg.create_pool(host=options.host, port=options.port, database=options.database, user=options.user, ssl=False,
                                     min_size=2, max_size=60, server_settings={"application_name": options.name})
    async with anyio.create_task_group() as requests:
        number = 0
        while True:
            requests.start_soon(request, pool, number % 3 != 0)
            number += 1
            await asyncio.sleep(options.every)

asyncio.run(main())
