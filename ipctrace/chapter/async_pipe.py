"""Both ends of a pipe in one event loop."""

import asyncio
import os


async def connect_reader(descriptor: int) -> asyncio.StreamReader:
    """A StreamReader over the reading end of a pipe."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb"))
    return reader


async def connect_writer(descriptor: int) -> asyncio.StreamWriter:
    """A StreamWriter over the writing end of a pipe."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), loop=loop), os.fdopen(descriptor, "wb")
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def produce(writer: asyncio.StreamWriter) -> None:
    for number in range(3):
        writer.write(b"%d" % number * 50_000)  # the transport keeps what the pipe has no room for
        await writer.drain()
    writer.close()


async def main() -> None:
    reading_end, writing_end = os.pipe()
    reader, writer = await connect_reader(reading_end), await connect_writer(writing_end)
    producer = asyncio.create_task(produce(writer), name="producer")
    for _ in range(3):
        data = await reader.readexactly(50_000)
        print(len(data), "bytes of", data[:1])
    await producer
    print("then", await reader.read())


if __name__ == "__main__":
    asyncio.run(main())
