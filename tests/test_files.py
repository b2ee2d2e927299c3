"""Plain files, and every call of os that moves bytes: recorded, and to the program as if nobody looked."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH
from tests.recorded import CHAPTER, record
from tests.test_fidelity import outcome

each_interpreter = pytest.mark.parametrize("python", EACH)

# Each prints, traced, what it prints alone; `p` is the name of a file in an empty folder.
PROGRAMS = {
    "open makes what it always makes, in every mode": """
        import io
        for mode, buffering in (('w', -1), ('r', -1), ('a', 1), ('r+', 30), ('w+', -1), ('wb', -1), ('rb', -1), ('ab', 7),
                                ('rb+', -1), ('wb', 0), ('rb', 0), ('r+b', 0), ('rt', 100), ('x', -1), ('xb', -1)):
            try:
                f = open(p, mode, buffering)
            except Exception as error:
                print(mode, type(error), error); continue
            print(f, f.mode, f.name, f.closed, type(f).__name__, type(f).__module__, isinstance(f, io.IOBase), f.fileno())
            raw = f
            if isinstance(f, io.TextIOWrapper):
                print(f.buffer, f.line_buffering, f.encoding, f.errors, f.newlines)
                raw = f.buffer.raw
            elif not isinstance(f, io.FileIO):
                raw = f.raw
            print(raw, type(raw), type(raw).__doc__ == io.FileIO.__doc__, isinstance(raw, io.FileIO), raw.closefd, raw.mode)
            print(f.seekable(), f.readable(), f.writable(), f.isatty(), os.get_inheritable(f.fileno()), vars(raw))
            print(f.tell(), f.close(), f.closed, f)
    """,
    "files carry what is put in": """
        for encoding, newline, text in (('utf-8', None, 'a\\nb é'), ('utf-16', '\\r\\n', 'a\\nb'), ('latin-1', '', 'é\\r\\n')):
            with open(p, 'w', encoding=encoding, newline=newline) as f:
                print(f.write(text), f.writelines(['1\\n', '2\\n']), f.flush(), f.tell())
            print(open(p, 'rb').read(), open(p, encoding=encoding).readlines())
        with open(p, 'r+b') as f:
            print(f.seek(2), f.write(memoryview(b'XY')), f.seek(0), f.read(), f.truncate(3), f.peek())
        with open(p, 'rb', 0) as f:
            print(f.read(1), f.readall(), f.read(), f.readinto(bytearray(3)), f.seek(1), f.readlines(), f.read(None))
        print(list(open(p, 'rb')))
    """,
    "open refuses what it always refuses": """
        open(p, 'w').close()
        for arguments in ((p, 'q'), (p, 'rw'), (p, 'r', 0), (p, 'rb', -1, 'utf-8'), (p, 'r', -1, None, None, 'x'), (p + 'x',),
                          (p, 'x'), ('',), (None,), (1.5,), (99,), ([],), (p, 'r', None), (p, 'r', -1, 'no-such-encoding'),
                          (p, 'r', -1, 3), (p, 'r', -1, None, 3), (p, b'r'), ('a\\0b',), (os.path.dirname(p),), (p + '/x',),
                          (p, 'r', -1, None, None, None, False), (p, 'wb', -1, None, None, None, True, lambda *_: -1),
                          (p, 'r', -1, None, None, None, True, lambda *_: 'x'), (), (p, 'r', -5), (p, 'r', True)):
            try:
                print(open(*arguments))
            except Exception as error:
                print(type(error), error, getattr(error, 'filename', None))
        f = open(p, 'rb', 0)
        for call in (lambda: f.write(b'x'), lambda: f.write('x'), lambda: f.readinto('x'), lambda: f.readinto(b'x'),
                     lambda: f.read('x'), lambda: open(p, 'wb', 0).readall(), lambda: open(p, 'wb', 0).read(),
                     lambda: pickle.dumps(f), lambda: copy.copy(f), f.close, f.read, f.readall, lambda: f.write(b''), f.fileno):
            try:
                print(call())
            except Exception as error:
                print(type(error), error)
    """,
    "wrong arguments of the calls that move bytes are refused as always": """
        for name in ('pread', 'pwrite', 'readv', 'writev', 'preadv', 'pwritev', 'sendfile', 'splice', 'copy_file_range', 'openpty',
                     'mkfifo', 'unlink', 'remove', 'set_blocking', 'set_inheritable', 'lockf', 'posix_openpt', 'login_tty', 'open'):
            call = getattr(os, name, None)
            for arguments in ((), ('x',), (99, 'x'), (99, 1, 'x'), (99, [b'x'], 0), (99, 5, 5), (99, 98, 0, 5), (99, b'x', 0), (None, 1)):
                try:
                    print(name, call and call(*arguments))
                except Exception as error:
                    print(name, arguments, type(error), error)
            try:
                print(call and call(nonsense=1))
            except Exception as error:
                print(name, type(error), error)
    """,
    "a file that nobody closed is warned of, in the program's own line": """
        warnings.simplefilter('always')
        open(p, 'w'); open(p); open(p, 'rb'); open(p, 'rb', 0)
        def inner():
            f = open(p, 'wb', 0)
            f.write(b'x')
        inner()
        r, w = os.pipe(); open(r); open(w, 'wb', 0)
    """,
    "warnings of open itself are placed in the program's line": """
        warnings.simplefilter('always')
        open(p, 'w').close()
        open(p, 'rb', 1).close()
        r, w = os.pipe(); open(w, 'wb', 1).close(); open(r, 'rb', 1).close()
        try: open(p, 'U').close()
        except ValueError as error: print(error)
        print(__warningregistry__.keys() - {'version'})
    """,
    "modules that open files work as always": """
        import codecs, gzip, io, pathlib, shelve, shutil, tempfile, tokenize, zipfile
        import gc; gc.collect(); print(io.open is open, pathlib.Path(p).write_text('text'), pathlib.Path(p).read_text(), pathlib.Path(p).read_bytes())
        with pathlib.Path(p).open() as f: print(f)
        with codecs.open(p, 'w', 'utf-16') as f: print(f.write('x'))
        with tempfile.NamedTemporaryFile('w+') as f: print(f.write('x'), f.seek(0), f.read(), os.path.exists(f.name))
        print(os.path.exists(f.name))
        with tempfile.TemporaryFile() as f: print(f.write(b'x'), f.seek(0), f.read(), type(f))
        with tempfile.SpooledTemporaryFile(1) as f: print(f.write(b'xxx'), f.seek(0), f.read())
        with gzip.open(p, 'wt') as f: f.write('zipped')
        with gzip.open(p, 'rt') as f: print(f.read())
        with zipfile.ZipFile(p, 'w') as f: f.writestr('name', 'content')
        with zipfile.ZipFile(p) as f: print(f.read('name'))
        with shelve.open(p + '.shelf') as f: f['key'] = 'value'
        with shelve.open(p + '.shelf') as f: print(dict(f))
        print(shutil.copy(p, p + '2') == p + '2', os.path.getsize(p) == os.path.getsize(p + '2'))
        with open(p, 'rb', opener=lambda name, flags: os.open(name, flags)) as f: print(f.read(2))
        fd = os.open(p, os.O_RDWR); f = os.fdopen(fd, 'r+b'); print(f, f.raw, f.close())
        f = open(p, 'rb', closefd=True); g = open(f.fileno(), 'rb', closefd=False); print(g.raw, g.close(), f.read(2))
    """,
    "few descriptors are enough, and their numbers are what they are": """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
        held = []
        try:
            while True: held.append(open(p, 'a'))
        except OSError as error: print(error, len(held), held[-1].fileno())
        try: print(os.openpty())
        except OSError as error: print(error)
        del held[-4:]
        print(os.pipe(), open(p).fileno(), os.openpty())
        held.clear(); os.closerange(3, 1024)
        print(os.pipe(), os.open(p, os.O_RDONLY), open(p).fileno(), os.openpty())
        os.dup2(os.open(p, os.O_WRONLY | os.O_TRUNC), 1); print('into the file'); sys.stdout.flush(); os.dup2(2, 1)
        print(open(p).read())
    """,
    "audit hooks and profilers see the calls of the program alone": """
        seen = []
        sys.addaudithook(lambda event, arguments: event in ('open', 'os.remove') and seen.append((event, arguments)))
        open(p, 'w').close(); os.close(os.open(p, os.O_RDONLY)); os.remove(p); os.mkfifo(p); os.unlink(p)
        print(seen)
    """,
}  # fmt: skip
BEGIN = """
        import copy, os, pickle, sys, tempfile, warnings
        p = os.path.join(sys.argv[1], 'file')
"""


@each_interpreter
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.sample(12)
def test_a_program_prints_traced_what_it_prints_alone(name: str, python: str, tmp_path: Path) -> None:
    outcomes = []
    for live in (None, tmp_path / "live"):
        folder = tmp_path / "files"
        folder.mkdir()
        outcomes.append(outcome(BEGIN.rstrip() + PROGRAMS[name], live, python=python, arguments=(str(folder),)))
        shutil.rmtree(folder)
    assert outcomes[1] == outcomes[0]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


def channels(live: Path) -> dict[int, dict[str, str]]:
    return {d.channel: d.text for log in read_logs(live)[0] for d in log.definitions if d.code == table.CHANNEL}


@each_interpreter
def test_a_files_opening_closing_and_raw_calls_are_recorded(python: str, live: Path, tmp_path: Path) -> None:
    name = tmp_path / "file"
    text = (
        f"p = {str(name)!r}\n"
        "with open(p, 'w') as f: f.write('one\\n'); f.flush(); f.write('two\\n')\n"
        "with open(p) as f:\n    f.readline(); f.read()\n"
        "with open(p, 'rb', 0) as f: f.read(2)\n"
    )
    target.run(text, live=live, python=python)
    (events,) = target.calls(live)
    mine = [e for e in events if e.op in ("open", "raw.read", "raw.write", "stream.close") and e.stream == 0]
    # what closes a `with` is in another line before 3.10
    lines = [(e.op, e.line if e.op != "stream.close" else 0, e.data, e.extra) for e in mine if e.op != "raw.read" or e.data]
    assert lines == [
        ("open", 2, os.fsencode(name), 1), ("raw.write", 2, b"one\n", 4), ("raw.write", 2, b"two\n", 8),
        ("stream.close", 0, b"", None),
        ("open", 3, os.fsencode(name), None), ("raw.read", 4, b"one\ntwo\n", 8), ("stream.close", 0, b"", None),
        ("open", 5, os.fsencode(name), None), ("raw.read", 5, b"on", 2), ("stream.close", 0, b"", None),
    ]  # fmt: skip
    assert {e.channel for e in mine} == {mine[0].channel}
    known = channels(live)[mine[0].channel]
    assert (known["kind"], known["path"], known["inode"]) == ("file", str(name), str(name.stat().st_ino))
    assert mine[0].size & os.O_ACCMODE == os.O_WRONLY and mine[0].size & os.O_TRUNC
    assert all(e.flags == table.NONBLOCKING for e in mine if e.op != "stream.close"), "nobody waits for a file"


def test_a_file_that_the_garbage_collector_closes_is_closed_in_the_log(live: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = f"import gc, os\ndef f():\n    open({str(tmp_path / 'file')!r})\nf()\nr, w = os.pipe()\nf = open(r); del f\n"
    target.run(text, live=live, options=("-W", "ignore"))
    (events,) = target.calls(live)
    assert [(e.line, e.fd) for e in events if e.op == "stream.close" and e.fd > 2] == [(3, 3), (6, 3)]


def test_a_stream_that_is_collected_inside_our_own_frames_is_closed_in_the_log(live: Path) -> None:
    """It is in a cycle, and the collector comes when it likes: here, in the middle of a wrapped write."""
    text = (
        "import gc, os\nr, w = os.pipe()\nclass Late:\n    def __str__(self): gc.collect(); return 'x'\n"
        "class Bytes(bytes):\n    def __len__(self): gc.collect(); return 1\n"
        "gc.disable()\nf = os.fdopen(r)\nf.me = f\ng = os.fdopen(w, 'wb')\ndel f\ng.write(Bytes(b'x'))\n"
    )
    target.run(text, live=live, options=("-W", "ignore"))
    (events,) = target.calls(live)
    assert [e.fd for e in events if e.op == "stream.close" and e.fd == 3] == [3]


def test_source_files_that_python_reads_for_itself_are_not_recorded(live: Path, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("def fail(): raise ValueError\n")
    text = (
        f"import sys, traceback\nsys.path.insert(0, {str(tmp_path)!r})\nimport module\n"
        "try: module.fail()\nexcept ValueError: traceback.format_exc()\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    assert not [e for e in events if e.op in ("open", "os.open", "raw.read")]


def test_the_childs_of_a_fork_and_thousands_of_files_keep_their_channels_apart(live: Path, tmp_path: Path) -> None:
    text = (
        f"import os\nfolder = {str(tmp_path)!r}\nf = open(folder + '/kept', 'w')\n"
        "for k in range(5000):\n    with open(folder + '/one', 'w') as g: pass\n    os.unlink(folder + '/one')\n"
        "f.write('parent '); f.flush()\n"
        "if os.fork() == 0:\n    f.write('child'); f.flush(); os._exit(0)\nos.wait()\n"
    )
    target.run(text, live=live)
    paths = []
    for log, events in zip(read_logs(live)[0], target.calls(live), strict=True):
        known = {d.channel: d.text["path"] for d in log.definitions if d.code == table.CHANNEL}
        paths += [(e.data, Path(known[e.channel]).name) for e in events if e.op == "raw.write" and e.channel in known]
    assert (b"parent ", "kept") in paths
    assert (b"child", "kept") in paths


MOVES = """
import os
r, w = os.pipe()
f = os.open(name, os.O_RDWR | os.O_CREAT)
os.writev(w, [b'ab', bytearray(b'cd')])
os.readv(r, [bytearray(3), bytearray(9)])
os.pwrite(f, b'pwrite', 4)
os.pread(f, 3, 5)
os.pwritev(f, [b'v1', b'v2'], 0)
os.preadv(f, [bytearray(2)], 1)
os.sendfile(w, f, 0, 3)
os.read(r, 9)
os.read(f, 2); os.write(f, b'!')
os.set_blocking(r, False)
try: os.read(r, 9)
except BlockingIOError: pass
os.set_inheritable(r, True)
os.dup2(r, 20)
try: os.readv(20, [bytearray(1)])
except BlockingIOError: pass
"""


@pytest.mark.parametrize("python", [each for each in EACH if each.id != "PyPy"])  # which lacks some of them
def test_every_call_that_moves_bytes_says_what_it_moved(python: str, live: Path, tmp_path: Path) -> None:
    target.run(f"name = {str(tmp_path / 'file')!r}" + MOVES, live=live, python=python)
    (events,) = target.calls(live)
    seen = [(e.op, e.fd, e.size, e.result, e.extra, e.data) for e in events if e.fd > 2 and "flush" not in e.op]
    assert seen == [
        ("os.pipe", 3, None, 4, None, b""), ("os.writev", 4, 4, 4, None, b"abcd"),
        ("os.readv", 3, 12, 4, None, b"abcd"), ("os.pwrite", 5, 6, 6, 10, b"pwrite"), ("os.pread", 5, 3, 3, 8, b"wri"),
        ("os.pwritev", 5, 4, 4, 4, b"v1v2"), ("os.preadv", 5, 2, 2, 3, b"1v"), ("os.sendfile", 4, 3, 3, 5, b""),
        ("os.read", 3, 9, 3, None, b"v1v"), ("os.read", 5, 2, 2, 2, b"v1"), ("os.write", 5, 1, 1, 3, b"!"),
        ("os.set_blocking", 3, 0, None, None, b""),
        ("os.read", 3, 9, None, None, b""), ("os.set_inheritable", 3, 1, None, None, b""),
        ("os.dup2", 3, 1, 20, None, b""), ("os.readv", 20, 1, None, None, b""),
    ]  # fmt: skip
    waits = [(e.op, e.fd) for e in events if e.fd in (3, 4, 20) and not e.flags and e.op.startswith(("os.read", "os.write"))]
    assert waits == [("os.writev", 4), ("os.readv", 3), ("os.read", 3)], "the rest was told not to wait, or is a file"


@pytest.mark.skipif(not hasattr(os, "splice"), reason="this Python has no os.splice")
def test_what_is_spliced_out_of_a_pipe_is_read_there(live: Path, tmp_path: Path) -> None:
    text = (
        "import os\nr, w = os.pipe()\nos.write(w, b'spliced')\n"
        f"f = os.open({str(tmp_path / 'file')!r}, os.O_RDWR | os.O_CREAT)\nos.splice(r, f, 99)\n"
        f"g = os.open({str(tmp_path / 'copy')!r}, os.O_RDWR | os.O_CREAT)\nos.copy_file_range(f, g, 99, 0)\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    assert [(e.op, e.fd, e.result, e.extra) for e in events if "splice" in e.op or "copy" in e.op] == [
        ("os.splice", 5, 7, 3), ("os.splice source", 3, 7, None), ("os.copy_file_range", 6, 7, 5),
    ]  # fmt: skip


def test_a_name_that_is_not_utf_8_is_kept_apart_from_others(tmp_path: Path) -> None:
    text = (
        "import os\nfor name in (b'a\\xff', b'a\\xfe'):\n"
        "    with open(name, 'w') as f: f.write('x')\n"
    )  # fmt: skip
    (tmp_path / "program.py").write_text(text)
    made = record(tmp_path, "program.py")
    names = {Path(path).name for path in made.run.trace.channels["path"].dropna()}
    assert {"a\\xff", "a\\xfe"} <= names


def test_a_program_with_a_name_and_arguments_that_are_not_utf_8_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "p\udcff.py").write_text("import threading\nthreading.Thread(target=print, name='n\\udcff').start()\n")
    recorded = record(tmp_path, "p\udcff.py", "a\udcff")
    run = recorded.run
    assert (recorded.status, run.verdict.name) == (0, "completed"), recorded.errors.decode()
    assert run.trace.facts["command"][-2:] == ["p\\xff.py", "a\\xff"]
    assert run.trace.processes.program.tolist() == ["p\\xff.py"]
    assert "n\\xff" in run.trace.threads.name.tolist()


def test_the_program_that_writes_a_file_and_the_one_that_reads_it_share_a_channel(tmp_path: Path) -> None:
    made = record(tmp_path, CHAPTER / "plain_file.py")
    assert made.status == 0, made
    trace, analysis = made.run.trace, made.run.analysis
    assert analysis.verdict.name == "completed"
    moved = trace.events[trace.events.op.isin(["raw.read", "raw.write"]) & (trace.events.result > 0)]
    files = moved[moved.channel.isin(trace.channels.loc[trace.channels.kind == "file", "channel"])]
    assert files[["process", "op", "result", "extra"]].to_numpy().tolist() == [[1, "raw.write", 21, 21], [0, "raw.read", 21, 21]]
    assert files.channel.nunique() == 1
    assert trace.events[trace.events.op == "open"].wait.isna().all()
    lines = trace.sites.loc[files.site, "function"].tolist()
    assert lines == ["writer", "reader"]
    assert trace.payloads[trace.payloads.event.isin(files.event)].data.tolist() == [b"Spam 0\nSpam 1\nSpam 2\n"] * 2


def test_a_file_made_with_the_numbers_of_one_that_is_gone_is_another_one(tmp_path: Path) -> None:
    """File systems give out the inode's number again at once. Each of these was made by another process."""
    (tmp_path / "program.py").write_text(
        "import os\nfor k in range(3):\n    if os.fork() == 0:\n"
        "        with open(f'file {k}', 'w') as f: f.write('x')\n        os._exit(0)\n"
        "    os.wait()\n    os.unlink(f'file {k}')\n"
    )
    trace = record(tmp_path, "program.py").run.trace
    files = trace.channels[trace.channels.path.fillna("").str.contains("/file ")]
    assert [Path(path).name for path in files.path] == ["file 0", "file 1", "file 2"]
    assert not files.duplicated(["device", "inode", "generation"]).any()


def test_standard_streams_that_lead_to_files_are_recorded_on_both_sides_of_exec(tmp_path: Path) -> None:
    made = record(tmp_path, CHAPTER / "redirected.py")
    assert made.status == 0, made
    trace, analysis = made.run.trace, made.run.analysis
    assert analysis.verdict.name == "completed"
    names = dict(zip(trace.channels.channel, trace.channels.path.fillna("").map(os.path.basename), strict=True))
    moved = trace.events[trace.events.op.isin(["raw.read", "raw.write"]) & (trace.events.result > 0)]
    seen = [(row.process, row.op, row.fd, names[row.channel], row.result) for row in moved.itertuples() if names[row.channel]]
    assert seen == [
        (0, "raw.write", 3, "in", 12), (1, "raw.read", 0, "in", 12), (1, "raw.write", 1, "out", 6), (1, "raw.write", 1, "out", 6),
        (0, "raw.read", 3, "out", 12), (0, "raw.write", 1, "aside", 9),
    ]  # fmt: skip
    assert made.output.endswith(b"is back\n")
    assert b"not seen" not in made.output


def test_arguments_and_exit_status_are_in_the_trace(tmp_path: Path) -> None:
    made = record(tmp_path, CHAPTER / "arguments.py")
    assert made.status == 0, made
    processes = made.run.trace.processes
    children = processes[processes.parent == 0]
    assert [list(argv[3:]) for argv in children.argv] == [["1", "2", "3"], ["200", "100"], ["spam"]]
    assert children.status.tolist() == [6, 44, 1]
    assert made.run.analysis.verdict.name == "completed"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="EncodingWarning came with 3.10")
@pytest.mark.parametrize("options", [("-X", "warn_default_encoding", "-X", "dev"), ("-W", "default", "-X", "tracemalloc=1")])
def test_warnings_and_allocations_have_the_line_that_they_have_untraced(options: tuple[str, ...], live: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, pathlib, sys\np = sys.argv[0]\nopen(p).close()\n"
        "def f():\n    r, w = os.pipe(); open(r).close(); os.fdopen(w, 'w').close()\nf()\npathlib.Path(p).read_text()\n"
        "x = open(p); del x\nx = open(p, 'rb', 0); x.read(3); del x\nr, w = os.pipe(); x = open(r); del x\nopen(p)\n"
        "last = open(p, 'rb', 0)\n"
    )
    outcomes = [target.run(program, live=each, options=options) for each in (None, live)]
    assert outcomes[1].stderr == outcomes[0].stderr
    assert b"program.py:10: ResourceWarning" in outcomes[0].stderr
