"""An asyncio consumer waits for what a thread of a pool hands over after a while; another task only beats time."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor


async def beat():
    while True:
        await asyncio.sleep(0.05)


async def main():
    loop, queue, inner = asyncio.get_running_loop(), asyncio.Queue(), ThreadPoolExecutor(2)

    def outer():
        item = inner.submit(slow).result()
        asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def slow():
        time.sleep(1.5)
        return 1

    beating = loop.create_task(beat())
    handing_over = loop.run_in_executor(inner, outer)
    print(await queue.get())
    await handing_over
    beating.cancel()
    blocking = loop.create_task(asyncio.sleep(0))
    inner.submit(slow).result()  # the loop stands still, but the pool works
    await blocking


asyncio.run(main())
