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
def test_a_program_prints_traced_what_it_prints_alone(name: str, python: str, tmp_path: Path) -> None:
    outcomes = []
    for live in (None, tmp_path / "live"):
        folder = tmp_path / "files"
        folder.mkdir()
        outcomes.append(outcome(BEGIN.rstrip() + PROGRAMS[name], live, python=python, arguments=(str(folder),)))
        shutil.rmtree(folder)
    assert outcomes[1] == outcomes[0]
