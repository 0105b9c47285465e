"""L13: a worker whose partner sometimes never answers, asked in the middle of a transaction. SQLAlchemy with asyncpg.

Most jobs take a moment. Two of them hang for ever, with the transaction open; no setting of the pool recycles a
connection that is checked out."""
import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from asked import asked

options = asked(__doc__)
engine = create_async_engine(options.sqlalchemy, pool_size=8, pool_recycle=60, pool_pre_ping=True,
                             connect_args={"ssl": False, "server_settings": {"application_name": options.name}})
HANG = (6, 14)
HUNG_FOR_EVER = 3600


async def partner(reader, writer):
    number = int(await reader.readline())
    await asyncio.sleep(HUNG_FOR_EVER if number in HANG else 0.05)
    writer.write(b"yes\n")
    writer.close()


async def ask(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"%d\n" % number)
        return await reader.readline()
    finally:
        writer.close()


async def job(port, number):
    async with AsyncSession(engine) as session:
        await session.execute(text("SELECT name FROM product WHERE id = :id FOR UPDATE"), {"id": number})
        # The mistake: no limit for the partner. The cure: asyncio.wait_for.
        with_limit = asyncio.wait_for(ask(port, number), 1) if options.cured else ask(port, number)
        await with_limit
        await session.execute(text("UPDATE product SET stock = stock - 1 WHERE id = :id"), {"id": number})
        await session.commit()


async def main():
    server = await asyncio.start_server(partner, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    jobs, number = set(), 0
    while True:
        number += 1
        jobs.add(asyncio.create_task(job(port, number)))
        await asyncio.sleep(options.every)

asyncio.run(main())
