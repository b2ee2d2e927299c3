"""Tasks of asyncio that share a queue, a lock and an event."""

from __future__ import annotations

import asyncio
import os

pause = float(os.environ.get("CHAPTER_SLEEP", "1")) / 100  # tests make the sleeps shorter


async def producer(orders: asyncio.Queue[str], opened: asyncio.Event) -> None:
    await opened.wait()
    for number in range(4):
        await orders.put(f"order {number}")  # the queue holds two: waits until there is room
    await orders.join()


async def consumer(name: str, orders: asyncio.Queue[str], till: asyncio.Lock) -> None:
    while True:
        order = await orders.get()
        async with till:  # one at a time
            await asyncio.sleep(pause)
            print(name, "served", order)
        orders.task_done()


async def main() -> None:
    orders: asyncio.Queue[str] = asyncio.Queue(maxsize=2)
    till, opened = asyncio.Lock(), asyncio.Event()
    consumers = [asyncio.create_task(consumer(name, orders, till), name=name) for name in ("Ann", "Bob")]
    work = asyncio.create_task(producer(orders, opened), name="producer")
    await asyncio.sleep(pause)
    opened.set()
    await work
    for task in consumers:
        task.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
