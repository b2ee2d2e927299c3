"""Long runs: memory and disk stay bounded, the newest is kept, and what is left still adds up."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from ipctrace.tracer import proc
from ipctrace.tracer.watch import LiveLogs

import ipctrace

from .recorded import SHORT, record
from .target import clean_environment

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")

PUMP = """
import os, sys
chunks, size = int(sys.argv[1]), int(sys.argv[2])
r, w = os.pipe()
if os.fork() == 0:
    os.close(w)
    got = 0
    while data := os.read(r, size):
        got += len(data)
    print(got, flush=True)
    os._exit(0)
os.close(r)
for number in range(chunks):
    os.write(w, b"%09d " % number * (size // 10))
os.close(w)
os.wait()
"""
LINES = """
import sys
for number in range(int(sys.argv[1])):
    print(number)
"""
STORM = """
import os, sys
for _ in range(int(sys.argv[1]) // 10):
    children = []
    for _ in range(10):
        r, w = os.pipe()
        if (child := os.fork()) == 0:
            os.write(w, b"hello")
            os._exit(0)
        os.close(w)
        os.read(r, 5)
        os.close(r)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
"""
THREADS = """
import os, sys, threading
r, w = os.pipe()
ready = threading.Semaphore(0)
def work():
    ready.release()
    os.read(r, 1)
threads = [threading.Thread(target=work) for _ in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
for thread in threads:
    ready.acquire()
os.write(w, b"x" * len(threads))
for thread in threads:
    thread.join()
"""


class Measured(NamedTuple):
    """A recording, and the largest resident set of the process that recorded it, in bytes."""

    status: int
    output: bytes
    errors: bytes
    peak: int
    trace: Path

    @property
    def run(self) -> ipctrace.Run:
        return ipctrace.load(self.trace)


def measure(folder: Path, program: str, *arguments: object, options: tuple[str, ...] = ()) -> Measured:
    """Record a program's text by the command line, in a process that says in the end how large it became."""
    path, trace = folder / "program.py", folder / "recorded.ipctrace"
    path.write_text(program)
    said = folder / "peak"
    code = (
        "import resource, sys; from pathlib import Path; from ipctrace.cli import run; status = run(sys.argv[2:]); "
        "Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, str(said), "record", "--no-report", "--out", str(trace), *options, "--", str(path)]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, env=clean_environment(**SHORT), cwd=folder, timeout=3000
    )
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(done.returncode, done.stdout, done.stderr, int(said.read_text()) * unit, trace)


def adds_up(run: ipctrace.Run) -> None:
    """What must be true of a trace whose beginning was dropped."""
    facts, events = run.facts, run.events
    assert facts["dropped"] > 0
    assert facts["events"] == len(events)
    assert any("were dropped" in note for note in facts["notes"])
    before = facts["dropped_before"]
    data = events[events["kind"].isin(["read", "write", "accept"])]
    assert (data["exit"].isna() | (data["exit"] >= before)).all()
    assert {"make", "fork", "close", "wait"} <= set(events["kind"]) or not events["kind"].isin(["fork"]).any()
    rows = run.trace.channels[run.trace.channels["dropped_written"].notna()].fillna({"dropped_read": 0})
    written_to = set(run.trace.users.loc[run.trace.users["access"] == "w", "channel"])
    assert set(rows.loc[rows["dropped_written"] > 0, "channel"]) <= written_to, "who wrote is known all the same"
    for channel in rows.itertuples():
        of = events[(events["channel"] == channel.channel) & (events["result"] > 0)]
        written = int(of.loc[of["kind"] == "write", "result"].sum()) + channel.dropped_written
        read = int(of.loc[of["kind"] == "read", "result"].sum()) + channel.dropped_read
        assert written == read or channel.outside


def test_what_is_left_of_a_long_run_is_its_end_and_is_matched_rightly(tmp_path: Path) -> None:
    measured = measure(tmp_path, PUMP, 30_000, 100, options=("--max-size", "4MB", "--payload-bytes", "10"))
    assert (measured.status, measured.output) == (0, b"3000000\n")
    assert b"were dropped to keep the trace small" in measured.errors
    run = measured.run
    adds_up(run)
    assert 5_000 < len(run.events) < 60_000
    payloads = dict(zip(run.payloads["event"], run.payloads["data"], strict=True))
    # every piece is numbered: what a read got is what the write that it is matched with wrote
    got = run.analysis.messages.dropna(subset=["write_event", "read_event"])
    assert len(got) > 2_000
    alone = got[~got["merged"]]
    assert all(payloads[one.write_event] == payloads[one.read_event] for one in alone.itertuples())
    last = run.messages.dropna(subset=["write_event"]).iloc[-1]
    assert payloads[last["write_event"]].startswith(b"000029999")
    assert int(last["first"]) == 2_999_900
    assert run.verdict.name == "completed"


def test_a_stream_whose_writes_were_dropped_still_knows_its_counts(tmp_path: Path) -> None:
    measured = measure(tmp_path, LINES, 60_000, options=("--max-size", "2MB"))
    assert measured.status == 0
    run = measured.run
    assert run.facts["dropped"] > 30_000
    stdout = run.streams[run.streams["name"] == "sys.stdout"].iloc[0]
    size = len("".join(f"{number}\n" for number in range(60_000)))
    accepts = run.events[(run.events["kind"] == "accept") & (run.events["stream"] == stdout["stream"])]
    assert int((accepts["offset"] + accepts["size"]).max()) == size
    assert (stdout["held"], stdout["lost"]) == (0, 0)


def test_a_short_run_is_not_converted_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipctrace.tracer import parts

    def unexpected(*_: object) -> bool:
        raise AssertionError("a short run was converted")

    monkeypatch.setattr(parts.Parts, "convert", unexpected)
    (tmp_path / "program.py").write_text(PUMP)
    run = ipctrace.record([str(tmp_path / "program.py"), "100", "100"], out=tmp_path / "run.ipctrace")
    assert run.facts["dropped"] == 0
    assert run.facts["dropped_before"] is None
    assert not any("dropped" in note for note in run.facts["notes"])


def test_converting_and_not_converting_give_the_same_trace(tmp_path: Path) -> None:
    """Of one and the same logs: with parts of 1,000 records, and with none."""
    from ipctrace.tracer.assemble import Observations, assemble

    from .target import run

    live = tmp_path / "run" / "live"
    run(PUMP, "3000", "100", live=live)
    whole, parted = LiveLogs(live), LiveLogs(live, limit=10**9)
    whole.poll(set())
    expected = assemble(whole.decode(), Observations(0))
    parted._limit = 1  # so that parts are small
    parted.poll(set())
    parted._limit = 10**9
    for name in parted._readers:
        parted._grown.add(name)
    while parted._grown:
        parted.shrink()
    parted.finish()
    assert len(list((live / "parts").glob("*.kept.parquet"))) >= 4
    made = assemble(parted.decode(), Observations(0))
    for name, frame in expected.tables.items():
        assert frame.equals(made.tables[name]), name


def test_a_deadlock_at_the_end_of_a_long_run_is_found(tmp_path: Path) -> None:
    program = PUMP + "r, w = os.pipe()\nos.read(r, 1)\n"
    measured = measure(tmp_path, program, 20_000, 100, options=("--max-size", "2MB"))
    assert measured.status == 86, measured.errors.decode()
    adds_up(measured.run)


def test_fifty_megabytes_need_as_much_memory_as_little_does(tmp_path: Path) -> None:
    small, large = (tmp_path / "small", tmp_path / "large")
    peaks = []
    for folder, chunks in ((small, 10), (large, 12_500)):
        folder.mkdir()
        measured = measure(folder, PUMP, chunks, 4_000, options=("--max-size", "2MB"))
        assert measured.output == b"%d\n" % (chunks * 4_000)
        peaks.append(measured.peak)
    print(f"50 MB: {peaks[1] / peaks[0]:.2f} × the memory of a small run ({peaks[0] >> 20} MiB)")
    assert peaks[1] < 2 * peaks[0]


def test_many_short_processes(tmp_path: Path) -> None:
    recorded = record(tmp_path, _file(tmp_path, STORM), "150")
    assert recorded.status == 0, recorded.errors.decode()
    run = recorded.run
    assert len(run.processes) == 151
    assert run.processes["traced"].all()
    assert len(run.messages) == 150
    # a child is not told of the pipes that were closed before it was born
    assert len(run.trace.descriptors) < 20


def test_many_threads_that_wait_at_once(tmp_path: Path) -> None:
    recorded = record(tmp_path, _file(tmp_path, THREADS), "200")
    assert recorded.status == 0, recorded.errors.decode()
    assert len(recorded.run.threads) == 201


def test_more_logs_than_descriptors(tmp_path: Path) -> None:
    """200 processes that live at once, recorded with 256 descriptors."""
    program = """
import os
r, w = os.pipe()
children = []
for _ in range(200):
    if (child := os.fork()) == 0:
        os.close(w)
        os.read(r, 1)
        os._exit(0)
    children.append(child)
os.write(w, b"x" * 200)
for child in children:
    os.waitpid(child, 0)
"""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        recorded = record(tmp_path, _file(tmp_path, program), fresh=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert recorded.status == 0, recorded.errors.decode()
    run = recorded.run
    assert len(run.processes) == 201
    assert not run.facts["notes"]


def _file(folder: Path, program: str) -> Path:
    path = folder / "program.py"
    path.write_text(program)
    return path


@pytest.mark.parametrize("size", ["0", "ten", "10", "5KB", "1TB", "-1GB"])
def test_what_is_no_size_says_so(tmp_path: Path, size: str) -> None:
    recorded = record(tmp_path, _file(tmp_path, LINES), "1", options=("--max-size", size))
    assert recorded.status == 2
    assert b"--max-size 500MB" in recorded.errors


def test_a_size_is_written_as_people_do() -> None:
    from ipctrace.recording import size

    assert [size(each) for each in ("1000000", "500MB", "2 GB", "1.5gb", "64MiB")] == [
        10**6, 500 * 10**6, 2 * 10**9, 15 * 10**8, 64 << 20,
    ]  # fmt: skip


# ---- slow


@pytest.mark.slow
@pytest.mark.parametrize("payload", ["prefix", "full"])
def test_two_gigabytes_through_a_pipe(tmp_path: Path, payload: str) -> None:
    small, large = (tmp_path / "small", tmp_path / "large")
    peaks = []
    for folder, chunks in ((small, 10), (large, 500_000)):
        folder.mkdir()
        measured = measure(folder, PUMP, chunks, 4_000, options=("--max-size", "50MB", "--payload", payload))
        assert measured.output == b"%d\n" % (chunks * 4_000)
        peaks.append(measured.peak)
    adds_up(measured.run)
    size = sum(file.stat().st_size for file in measured.trace.iterdir())
    print(f"2 GB ({payload}): {peaks[1] / peaks[0]:.2f} × the memory of a small run, {size >> 20} MiB on disk")
    assert peaks[1] < 6 * peaks[0]


@pytest.mark.slow
def test_twenty_million_lines(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    small = measure(tmp_path / "small", LINES, 10)
    measured = measure(tmp_path, LINES, 20_000_000, options=("--max-size", "100MB"))
    assert measured.status == 0
    assert measured.output.count(b"\n") == 20_000_000
    adds_up(measured.run)
    print(f"20 million lines: {measured.peak / small.peak:.2f} × the memory of a small run")
    assert measured.peak < 10 * small.peak


@pytest.mark.slow
def test_two_thousand_short_processes(tmp_path: Path) -> None:
    recorded = record(tmp_path, _file(tmp_path, STORM), "2000")
    assert recorded.status == 0, recorded.errors.decode()
    run = recorded.run
    assert len(run.processes) == 2001
    assert len(run.messages) == 2000
    assert json.loads((recorded.trace / "run.json").read_text())["lost"] == 0
