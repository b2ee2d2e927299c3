"""asyncio waits for a child that isn't Python and takes its time."""

import asyncio


async def main():
    child = await asyncio.create_subprocess_exec("sleep", "1.5", stdout=asyncio.subprocess.PIPE)
    print(await child.stdout.read(), await child.wait())


asyncio.run(main())
