"""Not a leak: a fleet that grows behind one address. asyncpg.

Each process that joins it opens a pool of its own, and a pool of asyncpg's lends what came back last: of each one or two connections are
used, and the others wait for a rush. One program stands for all of the processes."""
import asyncio

import asyncpg

from asked import asked

options = asked(__doc__)
PROCESSES, SIZE = 20, 8


async def process():
    pool = await asyncpg.create_pool(host=options.host, port=options.port, database=options.database, user=options.user, ssl=False,
                                     server_settings={"application_name": options.name}, min_size=SIZE, max_size=SIZE)
    while True:
        await pool.fetchval("SELECT count(*) FROM product")
        await asyncio.sleep(0.5)


async def main():
    fleet = []
    for _ in range(PROCESSES):
        fleet.append(asyncio.create_task(process()))
        await asyncio.wait(fleet, timeout=options.every, return_when=asyncio.FIRST_EXCEPTION)
    await asyncio.gather(*fleet)

asyncio.run(main())
