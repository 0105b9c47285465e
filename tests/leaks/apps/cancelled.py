"""L11: requests that are cancelled while they clean up. SQLAlchemy with asyncpg, cancelled by anyio.

A cancelled scope of anyio interrupts every await within it, also those of `finally`: the rollback never reaches PostgreSQL, the
session is forgotten, and its connection stays open in the middle of a transaction."""
import asyncio
import contextlib
import logging

import anyio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from asked import asked

options = asked(__doc__)
engine = create_async_engine(options.sqlalchemy, pool_size=5, max_overflow=60,
                             connect_args={"ssl": False, "server_settings": {"application_name": options.name}})
logging.getLogger("sqlalchemy").setLevel(logging.CRITICAL)


async def answer():
    session = AsyncSession(engine)
    try:
        await session.execute(text("SELECT name FROM product WHERE id = 1"))
        await asyncio.sleep(2)          # the answer is being written
    finally:
        # The mistake: close() has to await, and is cancelled as well. The cure: with anyio.CancelScope(shield=True).
        with anyio.CancelScope(shield=True) if options.cured else contextlib.nullcontext():
            await session.close()


async def request(gives_up):
    # The visitor goes away before the answer is there; the framework cancels what was at work for it.
    with anyio.move_on_after(0.3 if gives_up else 10):
        await answer()


async def main():
    async with anyio.create_task_group() as requests:
        number = 0
        while True:
            requests.start_soon(request, number % 3 != 0)
            number += 1
            await asyncio.sleep(options.every)

asyncio.run(main())
