"""asyncio tasks wait for one another, and one of them for a time."""

import asyncio


async def late(event):
    await asyncio.sleep(1.5)
    event.set()


async def main():
    event = asyncio.Event()
    await asyncio.gather(event.wait(), late(event))


asyncio.run(main())
