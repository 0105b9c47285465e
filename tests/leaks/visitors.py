#!/usr/bin/python3
"""The people in front of a web application.

    visitors.py get URL         ask for a page, again and again
    visitors.py leave URL       ask for a page, and leave before it is there; every fifth waits for it
    visitors.py stay URL        open an event stream and keep it open, one person after another
    visitors.py waves URL       ask many times at once, in waves that rise, and one by one between them; ever after a few at once, and one by one
    visitors.py crowd URL       ask thirty times at once, again and again
    visitors.py burst URL       sixty websockets at once, each with three questions; then all leave
    visitors.py evening URL     of /order, /about and /news: order for half a minute, then no more; read, and wait for news, all the time
    visitors.py chat URL        people of examples/chat: in waves, each writes once and waits for the answer
"""
import argparse
import asyncio
import itertools
import json
import urllib.parse

CONNECTION_LIMIT = 30


async def fetch(url):
    """One GET with a connection of its own; the answer's bytes."""
    at = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.wait_for(asyncio.open_connection(at.hostname, at.port), CONNECTION_LIMIT)
    try:
        writer.write(f"GET {at.path} HTTP/1.1\r\nHost: {at.hostname}\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(-1), CONNECTION_LIMIT)
        if b" 200 " not in answer[:20]:
            print(answer[:300].decode(errors="replace"), flush=True)
        return answer
    finally:
        writer.close()


async def stay(url):
    at = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(f"GET {at.path} HTTP/1.1\r\nHost: {at.hostname}\r\n\r\n".encode())
    while await reader.read(65536):
        pass


async def leave(url):
    """Ask, and close the connection at once."""
    at = urllib.parse.urlsplit(url)
    _, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(f"GET {at.path} HTTP/1.1\r\nHost: {at.hostname}\r\n\r\n".encode())
    await asyncio.sleep(0.1)
    writer.close()


async def websocket(url, questions, think):
    import websockets
    async with websockets.connect(url, open_timeout=CONNECTION_LIMIT) as socket:
        for question in questions:
            await socket.send(question)
            await asyncio.wait_for(socket.recv(), CONNECTION_LIMIT)
            await asyncio.sleep(think)


async def one_after_another(person, every):
    people = set()
    while True:
        someone = asyncio.create_task(person())
        people.add(someone)
        someone.add_done_callback(people.discard)
        await asyncio.sleep(every)


async def waves(person, every):
    """More and more at once, as a day has it, and one by one between the waves; then it is evening."""
    for size in itertools.chain((2, 4, 7, 10, 13, 16, 20), itertools.repeat(10)):
        await asyncio.gather(*[person() for _ in range(size)])
        for _ in range(3):
            await asyncio.sleep(every)
            await person()


async def evening(url, every):
    """Orders end, all at once; the others stay, and some more come to wait for news."""
    async def read(path, pause):
        while True:
            await fetch(url + path)
            await asyncio.sleep(pause)

    readers = [asyncio.create_task(read("about", 0.2)), *[asyncio.create_task(read("news", 0.1)) for _ in range(8)]]
    for _ in range(int(22 / every)):
        await fetch(url + "order")
        await asyncio.sleep(every)
    readers += [asyncio.create_task(read("news", 0.1)) for _ in range(6)]
    await asyncio.gather(*readers)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("get", "leave", "stay", "waves", "crowd", "burst", "evening", "chat"))
    parser.add_argument("url")
    parser.add_argument("--every", type=float, default=1)
    asked = parser.parse_args()
    line = json.dumps({"type": "message", "conversation": "leaks", "text": "hello"})
    if asked.what == "get":
        await one_after_another(lambda: fetch(asked.url), asked.every)
    elif asked.what == "leave":
        turns = itertools.count()
        await one_after_another(lambda: (leave if next(turns) % 5 else fetch)(asked.url), asked.every)
    elif asked.what == "stay":
        await one_after_another(lambda: stay(asked.url), asked.every)
    elif asked.what == "crowd":
        async def crowd():
            await asyncio.gather(*[fetch(asked.url) for _ in range(30)])
        await one_after_another(crowd, asked.every)
    elif asked.what == "waves":
        await waves(lambda: fetch(asked.url), asked.every)
    elif asked.what == "evening":
        await evening(asked.url, asked.every)
    elif asked.what == "chat":
        await waves(lambda: websocket(asked.url, [line], 0), asked.every)
    else:
        async def late(number):
            await asyncio.sleep(number / 10)
            await websocket(asked.url, ["?"] * 3, 3)
        await asyncio.gather(*[late(number) for number in range(60)])

asyncio.run(main())
