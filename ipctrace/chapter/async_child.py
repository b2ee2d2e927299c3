"""A talk with a child through its streams, in asyncio."""

import asyncio
import sys


def child() -> None:
    for line in sys.stdin:
        print("child got:", line.strip(), flush=True)


async def parent() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "child", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin and process.stdout
    for message in ("Hello 1", "Hello 2"):
        process.stdin.write(f"{message}\n".encode())
        await process.stdin.drain()
        answer = await process.stdout.readline()
        print(answer.decode().strip())
    process.stdin.close()  # the child's loop ends
    print("child ended with", await process.wait())


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        child()
    else:
        asyncio.run(parent())
