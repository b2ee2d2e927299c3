"""The traced program behaves as the untraced one: each program here prints, under the runtime, what it prints alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import target

PROGRAMS = {
    "its first pipe is 3 and 4, and so is a forked child's next": """
        import os
        print(os.pipe())
        if not os.fork():
            print(os.pipe()); os.sys.stdout.flush(); os._exit(0)
        os.wait()
        print(os.pipe(), sorted(int(name) for name in os.listdir('/proc/self/fd'))[:9])
    """,
    "numbers stay what they are when the log grows": """
        import os
        r, w = os.pipe()
        for _ in range(3000):
            os.write(w, b'x'); os.read(r, 1)
        print(os.pipe())
        os.closerange(3, 64)
        os.dup2(1, 40)
        print(os.pipe()); os.write(40, b'end')
    """,
    "standard streams keep their structure and settings": """
        import sys
        for name in ('stdin', 'stdout', 'stderr'):
            stream = getattr(sys, name)
            print(stream, stream is getattr(sys, '__%s__' % name), stream.encoding, stream.errors, stream.newlines,
                  stream.line_buffering, stream.write_through, stream.mode, stream.name, stream.fileno(), stream.isatty(),
                  stream.readable(), stream.writable(), stream.seekable())
            print(stream.buffer, type(stream.buffer).__name__, stream.buffer.mode, getattr(stream.buffer, 'raw', None))
    """,
    "open over a pipe makes what it always makes": """
        import io, os
        for mode, buffering in (('r', -1), ('w', -1), ('rb', -1), ('wb', -1), ('rb', 0), ('wb', 0), ('w', 1), ('rt', 100)):
            r, w = os.pipe()
            f = os.fdopen(r if 'r' in mode else w, mode, buffering)
            print(f, f.mode, f.name, f.closed, type(f).__name__, type(f).__module__, isinstance(f, io.IOBase), f.fileno())
            if isinstance(f, io.TextIOWrapper):
                print(f.buffer, f.buffer.raw, f.line_buffering, f.encoding, f.errors)
            f.close()
            print(f.closed)
    """,
    "open refuses what it always refuses": """
        import os
        r, w = os.pipe()
        for arguments in ((r, 'q'), (r, 'rw'), (r, 'r', 0), (r, 'rb', -1, 'utf-8'), (r, 'r', -1, None, None, 'x'), (r, 'r+'),
                          (r, 'w'), (99, 'r'), (r, 'rb', None), (r,'r',-1,'no-such-encoding')):
            try:
                print(open(*arguments))
            except Exception as error:
                print(type(error), error)
    """,
    "wrapped calls refuse what the originals refuse": """
        import os, time
        for call in (lambda: os.read(1), lambda: os.read('x', 1), lambda: os.write(1, 'text'), lambda: os.read(99, 1),
                     lambda: os.close(99), lambda: os.dup2(99, 98), lambda: time.sleep(-1), lambda: time.sleep('x'),
                     lambda: os.waitpid(1, 0), lambda: os.execv('/no/such', ['x']), lambda: os.open('/no/such', 0),
                     lambda: print(sep=3), lambda: print(nonsense=1), lambda: os.read(fd=0, length=1), lambda: os.write(1, b'', 3)):
            try:
                print(call())
            except Exception as error:
                print(type(error), error)
    """,
    "an uncaught exception's traceback has no frame of ours": """
        import os
        def inner():
            os.read(99, 1)
        try:
            inner()
        except OSError:
            open('/no/such/file')
    """,
    "nor has what the program prints of one itself": """
        import os, sys, traceback, logging
        try:
            os.waitpid(1, 0)
        except OSError as error:
            print(traceback.format_exc(), traceback.extract_tb(error.__traceback__))
            logging.exception('seen')
    """,
    "nor has a thread's": """
        import os, threading
        t = threading.Thread(target=lambda: os.read(99, 1), name='reader')
        t.start(); t.join()
    """,
    "the environment, sys.path and modules show nothing of us": """
        import os, sys
        print(sorted(name for name in os.environ if 'IPCTRACE' in name or name == 'PYTHONPATH'))
        print([entry for entry in sys.path if 'inject' in entry], sorted(n for n in sys.modules if 'ipctrace' in n))
        print('sitecustomize' in sys.modules, sys.dont_write_bytecode, sys.excepthook is sys.__excepthook__)
    """,
    "wrapped calls aren't methods, pickle as themselves, and are known to os": """
        import os, pickle, shutil, time, inspect
        class Connection:
            read, write, sleep = os.read, os.write, time.sleep
        r, w = os.pipe()
        print(Connection().write(w, b'hello'), Connection().read(r, 9))
        print(pickle.loads(pickle.dumps(time.sleep)) is time.sleep, pickle.loads(pickle.dumps(os.read)) is os.read)
        print(os.open in os.supports_dir_fd, shutil.rmtree.avoids_symlink_attacks, os.read.__name__, os.read.__doc__)
        print(repr(os.read), repr(print), inspect.signature(os.dup2), callable(os.fork))
        print(pickle.dumps(time.sleep))
    """,
    "output is flushed at exit and the status is the program's": """
        import sys
        print('to stdout'); print('to stderr', file=sys.stderr); sys.stdout.buffer.write(b'raw')
        sys.exit(7)
    """,
    "a failing flush at exit still exits with 120": """
        import os, sys
        r, w = os.pipe(); os.close(r)
        os.dup2(w, 1)
        print('nobody reads this')
    """,
    "os._exit loses what is in the buffer": """
        import os
        print('lost'); os._exit(5)
    """,
    "a fork copies the buffer": """
        import os
        print('twice')
        if os.fork(): os.wait()
    """,
    "a signal handler may run inside a read, which goes on": """
        import os, signal, threading, time
        r, w = os.pipe()
        signal.signal(signal.SIGALRM, lambda *_: (os.write(1, b'handler\\n'), os.write(w, b'data')))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        print(os.read(r, 9))
        def fail(*_): raise InterruptedError('from the handler')
        signal.signal(signal.SIGALRM, fail); signal.setitimer(signal.ITIMER_REAL, 0.05)
        try: os.read(r, 9)
        except InterruptedError as error: print(error)
    """,
    "what a signal handler raises reaches the program, wherever it strikes": """
        import os, signal
        class Struck(Exception): pass
        def strike(*_): raise Struck
        signal.signal(signal.SIGALRM, strike)
        r, w = os.pipe()
        out, inp = os.fdopen(w, 'w'), os.fdopen(r)
        struck = 0
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + _ * 1e-6)
                while True:
                    out.write('x\\n'); out.flush(); inp.readline()
            except Struck:
                struck += 1
        print(struck)
    """,
    "descriptors that don't block raise": """
        import os
        r, w = os.pipe(); os.set_blocking(r, False); os.set_blocking(w, False)
        for call in (lambda: os.read(r, 1), lambda: os.fdopen(r, 'rb', closefd=False).read(5), lambda: os.fdopen(r, 'rb', 0, closefd=False).read(5)):
            try: print(call())
            except Exception as error: print(type(error), error)
        f = os.fdopen(w, 'wb')
        try:
            for _ in range(100): f.write(b'x' * 5000)
        except BlockingIOError as error: print(error.characters_written > 0)
        os.read(r, 1 << 20); f.flush(); print(len(os.read(r, 1 << 20)) > 0)
    """,
    "streams of every kind carry what is put in": """
        import os, io
        for encoding, newline, text in (('utf-8', None, 'a\\nb é €'), ('utf-16', '\\r\\n', 'a\\nb'), ('latin-1', '', 'é\\r\\n'), ('ascii', '\\n', 'x')):
            r, w = os.pipe()
            with os.fdopen(w, 'w', encoding=encoding, newline=newline) as f:
                print(f.write(text), f.writelines(['1\\n', '2\\n']), f.flush())
            data = os.fdopen(r, 'rb'); got = data.read(); print(got); data.close()
        r, w = os.pipe(); f = os.fdopen(w, 'wb'); f.write(bytearray(b'ab')); f.write(memoryview(b'cd')); f.close()
        g = os.fdopen(r, 'rb'); print(g.read1(1), g.readline(), g.readinto(bytearray(3)), g.read(), list(g))
        r, w = os.pipe(); os.write(w, b'one\\ntwo\\nthree'); os.close(w)
        g = os.fdopen(r); print(next(g), g.readline(), g.readlines())
        try: g.write('x')
        except Exception as error: print(type(error), error)
        try: g.detach(); g.read()
        except Exception as error: print(type(error), error)
    """,
    "subprocess in all its forms": """
        import subprocess, sys, os
        print(subprocess.run(['cat'], input='text', text=True, capture_output=True).stdout)
        p = subprocess.Popen([sys.executable, '-c', 'print(input())'], stdin=-1, stdout=-1, text=True, bufsize=1)
        print(p.stdin.line_buffering, p.stdin, p.stdout, p.communicate('line\\n'), p.returncode)
        p = subprocess.Popen(['cat'], stdin=-1, stdout=-1, universal_newlines=True)
        p.stdin.write('x\\n'); p.stdin.flush(); print(p.stdout.readline()); p.stdin.close(); p.stdout.close(); print(p.wait())
        print(subprocess.check_output([sys.executable, '-c', 'import os; print(sorted(os.environ))'], env={'LC_CTYPE': 'C.UTF-8'}))
        try: subprocess.Popen(['/no/such'])
        except OSError as error: print(error)
    """,
    "threads start, join and end in order": """
        import threading, os
        r, w = os.pipe()
        t = threading.Thread(target=lambda: os.write(w, threading.current_thread().name.encode()), name='writer')
        t.start(); print(os.read(r, 99)); t.join(); print(t.is_alive(), threading.active_count())
        threading.Thread(target=lambda: print('after main')).start()
    """,
}


def outcome(text: str, live: Path | None, **settings: object) -> tuple[int, str, str]:
    arguments = settings.pop("arguments", ())
    done = target.run(dedent_eight(text), *arguments, live=live, **settings)  # type: ignore[arg-type, misc]
    return done.returncode, without_pids(done.stdout), without_pids(done.stderr)


def dedent_eight(text: str) -> str:
    lines = text.strip("\n").split("\n")
    return "\n".join(line[8:] for line in lines)


def without_pids(output: bytes) -> str:
    return re.sub(r"0x[0-9a-f]+|Thread-\d+", "*", output.decode("utf-8", "backslashreplace"))


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.sample(10)
def test_a_program_prints_traced_what_it_prints_alone(name: str, tmp_path: Path) -> None:
    assert outcome(PROGRAMS[name], tmp_path / "live") == outcome(PROGRAMS[name], None)
    assert list((tmp_path / "live").glob("*.log")), "nothing was recorded"


@pytest.mark.parametrize("options", [("-u",), ("-X", "dev"), ("-W", "error"), ("-X", "utf8")])
def test_interpreter_options_give_the_same_streams(options: tuple[str, ...], tmp_path: Path) -> None:
    text = PROGRAMS["standard streams keep their structure and settings"]
    assert outcome(text, tmp_path / "live", options=options) == outcome(text, None, options=options)


@pytest.mark.parametrize("variable", ["PYTHONUNBUFFERED=1", "PYTHONIOENCODING=latin-1:replace", "PYTHONUTF8=0"])
def test_the_environment_gives_the_same_streams(variable: str, tmp_path: Path) -> None:
    name, _, value = variable.partition("=")
    text = PROGRAMS["standard streams keep their structure and settings"]
    environment = target.clean_environment(**{name: value})
    assert outcome(text, tmp_path / "live", environment=environment) == outcome(text, None, environment=environment)


def on_terminal(text: str, live: Path | None) -> tuple[int, bytes]:
    given = target.clean_environment()
    environment = given if live is None else target.traced_environment(live, given)
    return target.on_terminal([sys.executable, "-c", text], environment, prompt=b"say: ", typed=b"typed\n")


def test_a_terminal_gets_what_it_gets_untraced(tmp_path: Path) -> None:
    text = dedent_eight(PROGRAMS["standard streams keep their structure and settings"]) + "\nprint(input('say: '))"
    assert on_terminal(text, tmp_path / "live") == on_terminal(text, None)


def test_closed_standard_streams_are_borne(tmp_path: Path) -> None:
    for live in (None, tmp_path / "live"):
        environment = (
            target.clean_environment() if live is None else target.traced_environment(live, target.clean_environment())
        )
        command = f'"{sys.executable}" -c "import sys, os; os.write(2, repr((sys.stdin, sys.stdout)).encode())" <&- >&-'
        done = subprocess.run(["sh", "-c", command], env=environment, stderr=subprocess.PIPE, check=True)
        assert done.stderr == b"(None, None)"


def test_the_programs_own_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("print('own sitecustomize')\n")
    environment = target.clean_environment(PYTHONPATH=str(tmp_path / "own"))
    text = "import sys; print(sys.modules['sitecustomize'].__file__)"
    alone = target.run(text, live=None, environment=environment)
    assert alone.stdout.startswith(b"own sitecustomize")
    assert target.run(text, live=tmp_path / "live", environment=environment).stdout == alone.stdout


def test_a_run_whose_folder_is_gone_leaves_the_program_alone(tmp_path: Path) -> None:
    environment = target.traced_environment(tmp_path / "live", target.clean_environment())
    environment["IPCTRACE_RUN"] = environment["IPCTRACE_RUN"].replace(str(tmp_path / "live"), str(tmp_path / "gone"))
    done = target.run("import os; print(os.pipe())", live=None, environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"(3, 4)\n", b"")


def test_a_full_disk_stops_the_recording_and_not_the_program(tmp_path: Path) -> None:
    """The limit on file sizes stands for the full disk: the log's space can't be reserved beyond it."""
    text = (
        "import os, resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "r, w = os.pipe()\n"
        "for _ in range(5000): os.write(w, b'x'); os.read(r, 1)\n"
        "print(os.pipe())\n"
    )
    done = target.run(text, live=tmp_path / "live")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"(5, 6)\n", b"")
