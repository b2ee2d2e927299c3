"""A server and its clients in one event loop, over TCP."""

import asyncio


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send each line back in capitals."""
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def client(port: int, name: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(2):
        writer.write(f"{name} {number}\n".encode())
        await writer.drain()
        answer = await reader.readline()
        print(answer.decode().strip())
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)  # 0: any port that is free
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(client(port, "spam"), client(port, "eggs"))
    server.close()
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
