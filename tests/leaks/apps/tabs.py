"""L22: a LISTEN for each browser tab, in a session of its own. asyncpg.

Tabs open, watch for a while and close. Their sessions stay, each with a server that it listens on."""
import asyncio

import asyncpg

from asked import asked

options = asked(__doc__)
kept = []


async def tab(number):
    subscription = await asyncpg.connect(host=options.host, port=options.port, database=options.database, user=options.user,
                                         ssl=False, server_settings={"application_name": options.name})
    kept.append(subscription)
    await subscription.add_listener(f"room_{number % 3}", lambda *_: None)
    try:
        await asyncio.sleep(3)          # until the tab is closed
    finally:
        # The mistake: nothing here. The cure, at the least: close it; better: one LISTEN for all tabs.
        if options.cured:
            await subscription.close()
            kept.remove(subscription)


async def main():
    tabs = set()
    number = 0
    while True:
        number += 1
        tabs.add(asyncio.create_task(tab(number)))
        await asyncio.sleep(options.every)

asyncio.run(main())
