"""Programs that hang, each by another knot, recorded as they are: what explains the knot comes first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import ipctrace
from tests.target import clean_environment

# name → verdict, first finding, program
HANGS = {
    "half a connection is never shut down": ("deadlock", "IPC105", """
        import os, socket
        a, b = socket.socketpair()
        if os.fork() == 0:
            a.close()
            data = b""
            while chunk := b.recv(1000):
                data += chunk
            b.sendall(data.upper())
            os._exit(0)
        b.close()
        a.sendall(b"hello")
        a.recv(100)
        """),
    "the child of a shell reads what its program holds open": ("deadlock", "IPC105", """
        import os
        reader, writer = os.pipe()
        os.dup2(reader, 0)
        os.system("cat > /dev/null")
        """),
    "two tasks each wait for the other's item": ("deadlock", "IPC119", """
        import asyncio
        async def node(mine, other):
            await other.put(await mine.get())
        async def main():
            one, two = asyncio.Queue(), asyncio.Queue()
            await asyncio.gather(node(one, two), node(two, one))
        asyncio.run(main())
        """),
    "no task of a server sends a whole line": ("stalled", "IPC108", """
        import asyncio
        async def serve(reader, writer):
            writer.write(await reader.readline())
        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            await reader.readline()
        asyncio.run(main())
        """),
    "a pool is too small for its barrier": ("deadlock", "IPC121", """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        barrier = Barrier(3)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: barrier.wait(), range(3)))
        """),
    "what would open the gate lies behind it": ("deadlock", "IPC121", """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Event
        gate = Event()
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(gate.wait)
            second = pool.submit(gate.set)
            first.result()
        """),
    "nobody ever opens the gate": ("deadlock", "IPC119", """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Event
        gate = Event()
        with ThreadPoolExecutor(1) as pool:
            for work in [pool.submit(gate.wait) for _ in range(3)]:
                work.result()
        """),
    "the only client ended before it connected": ("deadlock", "IPC118", """
        import os, socket, tempfile
        server = socket.socket(socket.AF_UNIX)
        server.bind(tempfile.mkdtemp() + "/socket")
        server.listen()
        if os.fork() == 0:
            os._exit(1)
        server.accept()
        """),
    "nobody marks the last item done": ("deadlock", "IPC119", """
        import multiprocessing, os
        def work(queue):
            queue.get()
            os._exit(1)
        context = multiprocessing.get_context("fork")
        queue = context.JoinableQueue()
        queue.put(1)
        context.Process(target=work, args=(queue,), daemon=True).start()
        queue.join()
        """),
}  # fmt: skip


@pytest.mark.chapter
@pytest.mark.parametrize("name", HANGS)
@pytest.mark.sample(4)
def test_what_explains_the_knot_comes_first(name: str, tmp_path: Path) -> None:
    verdict, code, source = HANGS[name]
    program, trace = tmp_path / "program.py", tmp_path / "run.ipctrace"
    program.write_text(dedent(source))
    limit = "30" if verdict == "deadlock" else "5"
    command = [sys.executable, "-m", "ipctrace", "record", "--no-report", "--duration", limit, "--out", str(trace)]
    subprocess.run([*command, str(program)], stdin=subprocess.DEVNULL, capture_output=True, env=clean_environment(),
                   timeout=100, check=False)  # fmt: skip
    run = ipctrace.load(trace)
    assert (run.verdict.name, run.findings[0].rule) == (verdict, code)
