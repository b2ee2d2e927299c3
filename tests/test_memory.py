"""Memory that several processes see, as it is recorded: mmap and multiprocessing.shared_memory."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
from ipctrace.tracer.runtime import table

from tests import recorded, target
from tests.interpreters import EACH, FOUND
from tests.test_multiprocess import METHODS, Trace, line_of

each_interpreter = pytest.mark.parametrize("python", EACH)


def payloads(trace: Trace, op: str) -> list[bytes]:
    data = trace.tables.payloads.set_index("event").data
    return [data.get(event, b"") for event in trace.of(op).event]


def test_a_childs_stores_are_its_parents_loads(tmp_path: Path) -> None:
    made = recorded.record(tmp_path, "memory_map.py")
    assert (made.status, made.run.verdict.name) == (0, "completed"), made.errors.decode()
    trace = Trace(made.run)
    maps, stores, loads = trace.of("mmap"), trace.of("mmap.write"), trace.of("mmap.read")
    assert list(maps.kind_of) == ["memory", "file"]
    assert list(maps["size"]) == [64, 64]
    assert set(stores.process) == {1}
    assert set(loads.process) == {0}
    assert list(stores.channel) == list(loads.channel) == list(maps.channel), "one channel in parent and child"
    assert list(stores.offset) == list(loads.offset) == [0, 8]
    assert payloads(trace, "mmap.write") == payloads(trace, "mmap.read") == [b"spam", b"eggs"]
    assert list(stores.line) == [line_of("memory_map.py", "[:4] ="), line_of("memory_map.py", "mapped.write")]
    assert sorted(trace.of("mmap.close").kind_of) == ["file", "memory"]
    assert trace.channels.set_index("kind").capacity["memory"] == 64
    assert (trace.events[trace.events.op.str.startswith("mmap")].wait.isna()).all()


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.sample(1)
def test_a_named_block_is_one_channel_for_whoever_attaches_to_it(how: str, tmp_path: Path) -> None:
    made = recorded.record(tmp_path, "shared_memory.py", how)
    assert (made.status, made.run.verdict.name) == (0, "completed"), made.errors.decode()
    trace = Trace(made.run)
    attached = trace.of("SharedMemory")
    assert attached.channel.nunique() == 2
    assert list(attached.groupby("channel").process.nunique()) == [2, 2]
    paths = trace.channels.set_index("channel").path[attached.channel.unique()]
    assert all(path.startswith("/dev/shm/psm_") for path in paths)
    assert (trace.of("SharedMemory").kind == "map").all()
    assert (trace.of("SharedMemory.close").kind == "unmap").all()
    assert len(trace.of("SharedMemory.close")) == 4
    assert len(trace.of("SharedMemory.unlink")) == 2
    assert {name.decode() for name in payloads(trace, "SharedMemory.unlink")} == {
        "/" + Path(path).name for path in paths
    }
    assert trace.of("mmap").empty, "the map inside of it is not told again"
    (store,) = trace.of("ShareableList.set").itertuples()
    assert store.line == line_of("shared_memory.py", "shared[0] =")
    assert [int.from_bytes(data, "little") for data in payloads(trace, "ShareableList.set")] == [42]
    assert [int.from_bytes(data, "little") for data in payloads(trace, "ShareableList.get")] == [40, 2, 42, 2]
    assert set(trace.of("ShareableList.get").channel) == {store.channel}


TALK = """
    import mmap
    shared, private, other = mmap.mmap(-1, 32), mmap.mmap(-1, 32, flags=mmap.MAP_PRIVATE), mmap.mmap(-1, 32, access=mmap.ACCESS_COPY)
    for map in (shared, private, other):
        map.write(b'one\\ntwo'); map.write_byte(33); map[10] = 65; map[-1] = 66; map[12:14] = b'xy'; map[20:24:2] = b'pq'
        map.seek(0); map.readline(); map.read(2); map.read_byte(); map[0]; map[10:14]; map[::8]; map.find(b'x'); len(map); map.flush()
    with shared: pass
    shared.close(); private.close()
"""


@each_interpreter
def test_stores_and_loads_have_their_place_and_bytes(python: str, tmp_path: Path) -> None:
    done = target.run(dedent(TALK), live=tmp_path / "live", python=python)
    assert done.returncode == 0, done.stderr.decode()
    (calls,) = target.calls(tmp_path / "live")
    told = [e for e in calls if e.op.startswith("mmap")]
    assert [(e.op, e.offset, e.size, e.data) for e in told if e.op == "mmap.write"] == [
        ("mmap.write", 0, 7, b"one\ntwo"), ("mmap.write", 7, 1, b"!"), ("mmap.write", 10, 1, b"A"), ("mmap.write", 31, 1, b"B"),
        ("mmap.write", 12, 2, b"xy"), ("mmap.write", 20, 2, b"pq"),
    ]  # fmt: skip
    assert [(e.offset, e.result, e.data) for e in told if e.op == "mmap.read"] == [
        (0, 4, b"one\n"), (4, 2, b"tw"), (6, 1, b"o"), (0, 1, b"o"), (10, 4, b"A\0xy"), (0, 4, b"o\0\0\0"),
    ]  # fmt: skip
    assert len([e for e in told if e.op == "mmap"]) == 1, "private maps concern nobody else"
    assert [e.op for e in told][-1] == "mmap.close"
    assert len([e for e in told if e.op == "mmap.close"]) == 1
    assert all(e.state == table.DONE for e in told)


def test_what_values_and_arrays_lie_in_is_not_told(tmp_path: Path) -> None:
    text = "import multiprocessing as m\nv = m.Value('i'); v.value = 3; a = m.Array('d', 4); a[1] = 2.0; print(v.value, a[:])\n"
    done = target.run(text, live=tmp_path / "live")
    assert done.stdout == b"3 [0.0, 2.0, 0.0, 0.0]\n"
    (calls,) = target.calls(tmp_path / "live")
    assert not [e for e in calls if e.op.startswith("mmap")]


SAME = {
    "a map looks and fails as it does alone": """
        import copy, mmap, os, pickle, sys, tempfile, weakref
        file = tempfile.TemporaryFile(); file.write(b'0123456789' * 10); file.flush()
        def tried(*calls):
            for call in calls:
                try: print(repr(call()))
                except Exception as error: print(type(error), error)
        print(mmap.mmap, mmap.mmap.__name__, mmap.mmap.__module__, mmap.mmap.__qualname__, mmap.mmap.__doc__, mmap.mmap.write.__doc__)
        tried(lambda: mmap.mmap(), lambda: mmap.mmap('x', 3), lambda: mmap.mmap(-1, 0), lambda: mmap.mmap(-1, -1), lambda: mmap.mmap(99, 8),
              lambda: mmap.mmap(-1, 8, nonsense=1), lambda: mmap.mmap(file.fileno(), 1000), lambda: mmap.mmap(-1, 8, flags='x'))
        m = mmap.mmap(file.fileno(), 0)
        print(isinstance(m, mmap.mmap), type(m) is mmap.mmap, len(m), m.size(), m.tell(), m.closed, bool(m), weakref.ref(m)() is m)
        print(bytes(m[:5]), memoryview(m).nbytes, m.find(b'5'), m.rfind(b'5'), list(m)[:3], 48 in m, b'1' in m, list(reversed(m))[:3], m.move(0, 5, 3), m[:6])
        tried(lambda: m['x'], lambda: m[1000], lambda: m[-1000], lambda: m.__setitem__(0, 'x'), lambda: m.__setitem__(0, 256), lambda: m.__setitem__(slice(0, 3), b'x'),
              lambda: m.__setitem__(1000, 1), lambda: m.write('x'), lambda: m.write(), lambda: m.write(b'x' * 1000), lambda: m.write_byte(300), lambda: m.read('x'),
              lambda: m.read(1, 2), lambda: m.readline(1), lambda: m.seek(1000), lambda: m.seek(100), lambda: m.read_byte(), lambda: m.read(), lambda: m.readline(),
              lambda: m.seek(3), lambda: m.write(memoryview(b'ab')),
              lambda: m.flush(), lambda: m.resize(50), lambda: len(m), lambda: hash(m) == hash(m), lambda: m == m, lambda: m[m.tell() - 2:m.tell()],
              lambda: hasattr(m, '__dict__'), lambda: setattr(m, 'x', 1), lambda: mmap.mmap.__init__)
        if sys.implementation.name == 'cpython':  # elsewhere a map can be pickled, and what is in its slot goes along
            tried(lambda: pickle.dumps(m), lambda: copy.copy(m), lambda: m.__reduce_ex__(0), lambda: m.__delitem__(0))
        view = memoryview(m); tried(lambda: m.close(), lambda: m.resize(10), lambda: m[0]); view.release()
        with m as same: print(same is m)
        tried(lambda: m[0], lambda: m.read(1), lambda: m.write(b'x'), lambda: len(m), lambda: m.close(), lambda: m.__enter__(), lambda: m.closed, lambda: m)
        class Mine(mmap.mmap):
            def __new__(cls, size): return super().__new__(cls, -1, size)
            def close(self): print('closing'); return super().close()
        mine = Mine(20); mine.extra = 1; print(mine[:2], mine.extra, isinstance(mine, mmap.mmap), Mine)
        tried(lambda: pickle.dumps(mine))
        with mine: mine.write(b'x')
        read_only = mmap.mmap(file.fileno(), 10, access=mmap.ACCESS_READ)
        tried(lambda: read_only.write(b'x'), lambda: read_only.write_byte(1), lambda: read_only.__setitem__(0, 1), lambda: read_only[:3])
    """,
    "shared memory looks and fails as it does alone": """
        import pickle
        from multiprocessing.shared_memory import ShareableList, SharedMemory
        def tried(*calls):
            for call in calls:
                try: print(call())
                except Exception as error: print(type(error), error)
        tried(lambda: SharedMemory(), lambda: SharedMemory(create=True), lambda: SharedMemory('no_such_block'), lambda: SharedMemory(1, 2, 3, 4, 5), lambda: SharedMemory(create=True, size=-1))
        memory = SharedMemory(name='ipctrace_test_%d' % __import__('os').getpid(), create=True, size=100)
        print(memory.size >= 100, memory.buf[:3].tobytes(), pickle.loads(pickle.dumps(memory)).size >= 100, type(memory.buf))
        view = memory.buf[:4]
        try: memory.close()
        except BufferError as error: print(error)
        view.release()
        tried(lambda: memory.close(), lambda: memory.close(), lambda: memory.unlink(), lambda: memory.unlink())
        shared = ShareableList([1, 2.5, 'text', b'bytes', None, True])
        print(list(shared), shared[-1], len(shared), shared.count(1), shared.index('text'), shared.format)
        shared[2] = 'new'; shared[0] = 9
        tried(lambda: shared[6], lambda: shared[-7], lambda: shared['x'], lambda: shared.__setitem__(2, 'x' * 99), lambda: shared.__setitem__(9, 1), lambda: shared.__setitem__(0, []),
              lambda: list(pickle.loads(pickle.dumps(shared))), lambda: shared.index('nothing'), lambda: list(shared))
        shared.shm.close(); shared.shm.unlink()
    """,
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("version", FOUND)
@pytest.mark.sample(7)
def test_it_prints_traced_what_it_prints_alone(name: str, version: str, tmp_path: Path) -> None:
    python = FOUND[version]
    if python is None:
        pytest.skip(f"{version} is not on this machine")
    outcomes = []
    for live in (None, tmp_path / "live"):
        done = target.run(dedent(SAME[name]), live=live, python=python)
        # C's name for its type, with the module, is in some messages: a class of Python's can't have it
        text = (done.stdout + done.stderr).decode().replace("'mmap.mmap' object has no", "'mmap' object has no")
        outcomes.append(
            (done.returncode, re.sub(r"0x[0-9a-f]+|\b\d{4,}\b|psm_\w+|ipctrace_test_\d+", "*", text).split("\n"))
        )
    assert outcomes[1] == outcomes[0]
    assert outcomes[0][0] == 0 or version == "PyPy", outcomes[0][1]
    assert list((tmp_path / "live").glob("*.log")), "nothing was recorded"


def test_our_own_log_is_no_map_of_the_programs(tmp_path: Path) -> None:
    text = "import gc, mmap\nprint([m for m in gc.get_objects() if isinstance(m, mmap.mmap)])\n"
    assert target.run(text, live=tmp_path / "live").stdout == b"[]\n"
    (calls,) = target.calls(tmp_path / "live")
    assert not [e for e in calls if e.op == "mmap"]
