"""The same for everything else that is wrapped: types, names, errors, warnings, limits; under each interpreter here."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests import target
from tests.interpreters import EACH

PROGRAMS = {
    "synchronisation has its types, names and errors": """
        import copy, pickle, queue, threading, weakref
        lock, rlock = threading.Lock(), threading.RLock()
        def plain(thing): return re.sub('0x[0-9a-f]+', '0x', repr(thing))
        import re
        for thing in (lock, rlock, threading.Condition(), threading.Event(), threading.Semaphore(2),
                      queue.SimpleQueue(), queue.Queue()):
            print(type(thing).__name__, type(thing).__module__, plain(thing) if 'unhashed' not in repr(thing) else '')
        with lock:
            print(plain(lock), lock.locked(), lock.acquire(False), lock.acquire(timeout=0.01))
        with rlock:
            print(rlock.acquire(), rlock.release())
        for thing in (lock, rlock, queue.SimpleQueue()):
            for call in (pickle.dumps, copy.copy, copy.deepcopy):
                try:
                    call(thing)
                except TypeError as error:
                    print(error)
        for call in (lock.release, rlock.release, lambda: lock.acquire(False, 3), lambda: lock.acquire(timeout=-2),
                     lambda: lock.acquire(1, 2, 3), lambda: threading.Semaphore(-1), lambda: threading.Condition().wait(),
                     lambda: threading.Condition().notify(), lambda: queue.Queue().get(False), lambda: queue.Queue().task_done()):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        print(weakref.ref(lock)() is lock, threading.active_count(), threading.current_thread().name)
    """,
    "sockets have theirs": """
        import pickle, re, socket
        def plain(thing): return re.sub("fd=[0-9]+|laddr=[^>]*|0x[0-9a-f]+", '', repr(thing))
        one, other = socket.socketpair()
        print(type(one), plain(one), one.fileno(), other.fileno(), one.gettimeout(), isinstance(one, socket.SocketType))
        print(one.send(b'hello'), other.recv(3), other.recv(9, socket.MSG_PEEK), other.recv_into(bytearray(9)))
        file = one.makefile('rw', encoding='utf-8', newline='')
        print(plain(file), plain(file.buffer), file.buffer.raw.mode if hasattr(file.buffer, 'raw') else '')
        print(file.write('a line\\n'), file.flush(), other.recv(99))
        other.sendall(b'one\\ntwo'); other.shutdown(socket.SHUT_WR)
        print(list(file), file.close(), one.fileno() >= 0, one.close(), plain(one))
        for kind in ('r', 'rb', 'w', 'wb', 'rwb'):
            one, other = socket.socketpair()
            with one, other, one.makefile(kind) as file:
                print(type(file).__module__, type(file).__name__, plain(file))
        with socket.socket() as unconnected:
            for call in (lambda: unconnected.recv(1), lambda: unconnected.send(b'x'), lambda: unconnected.send('x'),
                         lambda: unconnected.recv(-1), lambda: unconnected.connect('nowhere'), lambda: unconnected.accept(),
                         lambda: unconnected.recv(), lambda: pickle.dumps(unconnected), lambda: unconnected.sendall(3),
                         lambda: socket.create_connection(('127.0.0.1', 1), 1)):
                try:
                    print(call())
                except Exception as error:
                    print(type(error).__name__, re.sub('0x[0-9a-f]+', '', str(error)))
    """,
    "waiting for several has its own": """
        import os, pickle, re, select, selectors
        r, w = os.pipe()
        print(select.select([r], [w], [], 0), select.select([], [], [], 0))
        poll = select.poll(); print(type(poll).__name__, type(poll).__module__, poll.register(r), poll.poll(0), poll.unregister(r))
        if hasattr(select, 'epoll'):
            with select.epoll() as e:
                print(type(e) is select.epoll, type(e).__name__, type(e).__module__, e.fileno(), e.closed, e.register(r, select.EPOLLIN))
                os.write(w, b'x')
                print(e.poll(1), e.poll(0, 5), e.modify(r, 0), e.poll(0), e.unregister(r))
                for call in (lambda: e.unregister(r), lambda: e.register(99), lambda: e.poll('x'), lambda: e.poll(0, 0)):
                    try:
                        print(call())
                    except Exception as error:
                        print(type(error).__name__, error)
            print(e.closed)
        for call in (lambda: select.select([50], [], []), lambda: select.select([-1], [], []), lambda: select.select(1, 2, 3),
                     lambda: select.select([], [], [], -1), lambda: select.select(['x'], [], []), lambda: poll.poll('x'),
                     lambda: poll.modify(99, 1), lambda: poll.unregister(99)):
            try:
                print(call())
            except Exception as error:
                print(type(error).__name__, error)
        with selectors.DefaultSelector() as selector:
            selector.register(w, selectors.EVENT_WRITE, 'data')
            print(type(selector).__name__, [(key.fd, key.data, mask) for key, mask in selector.select(1)])
        print(os.pipe())
    """,
    "memory maps have theirs": """
        import mmap, os, pickle, tempfile
        with mmap.mmap(-1, 100) as area:
            print(type(area), len(area), area.write(b'hello'), area[:5], area.tell(), area.seek(0), area.read(3), area.find(b'l'))
            area[0:2] = b'HE'; area[2] = 65; print(area[:5], area[0], bytes(memoryview(area)[:3]), area.readline()[:4])
            for call in (lambda: area.write('x'), lambda: area[200], lambda: pickle.dumps(area), lambda: area.__setitem__(0, 999),
                         lambda: mmap.mmap(99, 10), lambda: mmap.mmap(-1, 0), lambda: area.write(b'x' * 200)):
                try:
                    print(call())
                except Exception as error:
                    print(type(error).__name__, error)
        print(area.closed)
        with tempfile.TemporaryFile() as file:
            file.write(b'x' * 4096); file.flush()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as area:
                print(area[:4], area.size(), isinstance(area, mmap.mmap), os.pipe())
    """,
    "signals keep their handlers and dispositions": """
        import signal, os, time
        def handler(number, frame):
            print('handled', number, frame.f_code.co_name, frame.f_lineno)
        print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGUSR1)])
        print(signal.signal(signal.SIGUSR1, handler), signal.getsignal(signal.SIGUSR1) is handler)
        os.kill(os.getpid(), signal.SIGUSR1)
        print(signal.signal(signal.SIGUSR1, signal.SIG_IGN) is handler, signal.getsignal(signal.SIGUSR1))
        print(signal.alarm(100), signal.alarm(0) > 90, signal.signal(signal.SIGALRM, handler))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        print(signal.setitimer(signal.ITIMER_REAL, 0.01), signal.sigwait([signal.SIGALRM]))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.kill(os.getpid(), signal.SIGUSR2)
        print(signal.sigwait([signal.SIGUSR2]), signal.sigtimedwait([signal.SIGUSR2], 0.01), signal.sigpending())
        for call in (lambda: signal.signal(999, handler), lambda: signal.signal(signal.SIGKILL, handler), lambda: signal.signal(10, 'x')):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        with open('/proc/self/status') as status:
            print([line for line in status if line.startswith('Sig') and 'SigQ' not in line])
        def raising(number, frame): raise ValueError(number)
        signal.signal(signal.SIGUSR1, raising)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(1)
    """,
    "plain files stay what they are": """
        import io, os, tempfile, pathlib, warnings
        folder = pathlib.Path(tempfile.mkdtemp()); path = folder / 'file'
        for mode, buffering in (('w', -1), ('a', 1), ('r', -1), ('rb', -1), ('rb', 0), ('r+b', -1), ('w+', 100)):
            with open(path, mode, buffering) as file:
                print(type(file), type(getattr(file, 'buffer', file)), file.mode, file.fileno(), file.seekable(), file.tell())
                if file.writable(): print(file.write('text' if 'b' not in mode else b'text'))
                else: print(file.read())
        print(path.read_text(), path.read_bytes(), os.stat(path).st_size, [line for line in open(path)])
        for arguments in ((folder / 'none',), (path, 'q'), (path, 'x'), (folder,), (path, 'r', 0), ('',), (3.5,)):
            try:
                open(*arguments)
            except Exception as error:
                print(type(error).__name__, str(error).replace(str(folder), ''))
        print(io.open is open, os.pipe())
        os.unlink(path); os.rmdir(folder)
    """,
    "redirected, copied and logged output": """
        import contextlib, copy, io, logging, os, pickle, sys, tempfile
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            print('caught')
        print(repr(text.getvalue()))
        logging.basicConfig(stream=sys.stdout, format='%(lineno)d %(funcName)s %(message)s', level='INFO')
        logging.info('a line')
        for call in (lambda: pickle.dumps(sys.stdout), lambda: copy.copy(sys.stdin), lambda: copy.deepcopy(sys.stderr.buffer)):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        with tempfile.TemporaryFile('w+') as file:
            sys.stdout.flush(); saved = os.dup(1); os.dup2(file.fileno(), 1)
            print('into the file'); os.system('echo from the shell'); sys.stdout.flush(); os.dup2(saved, 1); os.close(saved)
            file.seek(0); print(file.read())
    """,
    "thirty-two descriptors are enough": """
        import os, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
        held = []
        try:
            while True: held.append(os.dup(1))
        except OSError as error:
            print(error, held)
        for fd in held: os.close(fd)
        r, w = os.pipe()
        for _ in range(3000): os.write(w, b'x'), os.read(r, 1)
        os.closerange(3, 1024); print(os.pipe(), os.open('/dev/null', 0))
    """,
    "warnings name the program's own lines": """
        import os, socket, sys, tempfile, threading, warnings
        warnings.simplefilter('always')
        def leak_socket(): socket.socket()
        def leak_file(): open('/dev/null')
        def leak_plain(): open(__file__ if '__file__' in globals() else sys.executable, 'rb')
        leak_socket(); leak_file(); leak_plain()
        warnings.warn('mine')
        ready, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: (ready.set(), done.wait())); thread.start(); ready.wait()
        if not os.fork(): os._exit(0)
        os.wait(); done.set(); thread.join()
    """,
    "asyncio": """
        import asyncio, inspect
        async def worker(queue, lock):
            async with lock:
                await asyncio.sleep(0)
            return await queue.get()
        async def fails(): raise ValueError('inside')
        async def main():
            queue, lock = asyncio.Queue(), asyncio.Lock()
            tasks = [asyncio.ensure_future(worker(queue, lock)) for _ in range(3)]
            for number in range(3): await queue.put(number)
            print(await asyncio.gather(*tasks), [task.done() for task in tasks], len(asyncio.all_tasks()))
            print(await asyncio.gather(fails(), return_exceptions=True))
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
            except asyncio.TimeoutError as error:
                print('too late', type(error).__name__)
            child = await asyncio.create_subprocess_exec('cat', stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
            print(await child.communicate(b'through cat'), child.returncode)
        asyncio.run(main())
        print(inspect.iscoroutinefunction(asyncio.sleep), inspect.iscoroutinefunction(asyncio.StreamReader.read),
              inspect.signature(asyncio.sleep))
        asyncio.run(fails())
    """,
    "multiprocessing": """
        import multiprocessing, pickle, sys
        def child(connection, lock, queue):
            with lock:
                connection.send(connection.recv() * 2)
            queue.put('queued')
        if __name__ == '__main__':
            context = multiprocessing.get_context('fork')
            ours, theirs = context.Pipe()
            lock, queue = context.Lock(), context.Queue()
            print(type(lock).__name__, lock, context.RLock(), context.Semaphore(2), type(ours))
            process = context.Process(target=child, args=(theirs, lock, queue), name='the child'); process.start()
            ours.send(21); print(ours.recv(), queue.get(), process.join(), process.exitcode, process.name)
            for call in (lambda: pickle.dumps(lock), lambda: pickle.dumps(queue), lock.release, lambda: ours.recv_bytes(-1)):
                try:
                    print(call())
                except Exception as error:
                    print(type(error).__name__, error)
            with context.Pool(2) as pool:
                print(pool.map(abs, [-1, -2, 3]))
    """,
    "executors": """
        import concurrent.futures, threading
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(pow, 2, k) for k in range(4)]
            print([f.result() for f in concurrent.futures.as_completed(futures)] != [], sorted(f.result() for f in futures))
            print(list(pool.map(str, range(3))), pool.submit(int, 'x').exception())
            try:
                pool.submit(int, 'x').result()
            except ValueError as error:
                import traceback; print(traceback.format_exc().count('concurrent'))
    """,
}


def outcome(python: str, text: str, live: Path | None, folder: Path) -> tuple[int, str, str]:
    """What a program leaves: exit status, output and errors, without what differs from run to run."""
    program = folder / "program.py"
    program.write_text("\n".join(line[8:] for line in text.splitlines()) + "\n")
    done = target.run(program, live=live, python=python)
    return done.returncode, settled(done.stdout), settled(done.stderr)


def settled(output: bytes) -> str:
    text = re.sub(r"pid=\d+|0x[0-9a-f]+|/tmp/tmp\w+|object at \w+|-\d+'", "…", output.decode("utf-8", "replace"))
    return re.sub(r"process \d+|Task-\d+|SigQ:[^']*", "…", text)  # SigQ: of all that the user's processes have


@pytest.mark.parametrize("python", EACH)
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.sample(20)
def test_a_program_prints_traced_what_it_prints_alone(name: str, python: str, tmp_path: Path) -> None:
    alone = outcome(python, PROGRAMS[name], None, tmp_path)
    assert outcome(python, PROGRAMS[name], tmp_path / "live", tmp_path) == alone
    assert list((tmp_path / "live").glob("*.log")), "nothing was recorded"


SESSIONS = {
    "input with readline": ("import readline\nprint(repr(input('say: ')))", b"say: ", b"typed\n"),
    "the debugger": ("x = 1\nbreakpoint()\nprint(x)", b"(Pdb) ", b"p x + 41;;c\n"),
    "an interactive console": ("import code; code.interact(banner='', exitmsg='bye')", b">>> ", b"print(6 * 7); raise SystemExit\n"),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_person_at_a_terminal_sees_the_same(name: str, tmp_path: Path) -> None:
    text, prompt, typed = SESSIONS[name]
    given = target.clean_environment(TERM="dumb")
    seen = [
        target.on_terminal([sys.executable, "-c", text], environment, prompt=prompt, typed=typed)
        for environment in (given, target.traced_environment(tmp_path / "live", given))
    ]
    assert seen[0] == seen[1]
