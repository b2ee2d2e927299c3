"""asyncio waits without any time-out for what a thread tells it."""

import asyncio
import time


async def main():
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def work():
        time.sleep(1.5)
        loop.call_soon_threadsafe(event.set)

    running = loop.run_in_executor(None, work)
    await event.wait()
    await running


asyncio.run(main())
