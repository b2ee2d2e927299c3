"""Survival: whatever becomes of the program, the recorder, the disk or a limit, what had happened is in the trace, and
the program does what it would have done."""

from __future__ import annotations

import os
import random
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ipctrace.tracer import launch, proc
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

import ipctrace

from .recorded import Recorded, record
from .target import clean_environment, run, traced_environment

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")

# Counts its calls where the test can read it: after each call, the number of those that have returned.
COUNTING = """
import os, sys
told = os.open(sys.argv[1], os.O_RDWR)
sink = os.open("/dev/null", os.O_WRONLY)
number = 0
while True:
    os.write(sink, b"x")
    number += 1
    os.pwrite(told, number.to_bytes(8, "little"), 0)
"""


def kill_somewhere(folder: Path, calls: int) -> None:
    """Kill a program when it has made so many calls, and look for them in its log."""
    told = folder / "told"
    told.write_bytes(bytes(8))
    environment = traced_environment(folder / "run" / "live", clean_environment())
    process = subprocess.Popen([sys.executable, "-c", COUNTING, str(told)], env=environment)
    try:
        while count(told) < calls:
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    (log,), notes = read_logs(folder / "run" / "live")
    assert (notes, log.damaged, log.dangling, log.header.lost) == ([], 0, 0, 0)
    writes = log.records[(log.records["op"] == table.CODE["os.write"]) & (log.records["state"] == table.DONE)]
    assert count(told) <= len(writes) <= count(told) + 1
    assert len(log.payloads) >= len(writes)


def count(told: Path) -> int:
    return int(struct.unpack("<Q", told.read_bytes())[0])


@pytest.mark.parametrize("number", range(10))
def test_a_killed_program_loses_nothing_that_had_returned(tmp_path: Path, number: int) -> None:
    kill_somewhere(tmp_path, random.Random(number).randrange(1, 20_000))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(200))
def test_two_hundred_killed_programs_lose_nothing_that_had_returned(tmp_path: Path, number: int) -> None:
    kill_somewhere(tmp_path, random.Random(1000 + number).randrange(1, 100_000))


# ---- limits of the program's, and a full disk

# Some 60,000 records, 10 MB, from a process and its child; says what it did.
BUSY = """
import os, sys
sink = os.open("/dev/null", os.O_WRONLY)
for number in range(30_000):
    os.write(sink, b"x")
child = os.fork()
for number in range(30_000):
    os.write(sink, b"x")
if child == 0:
    os._exit(7)
_, status = os.waitpid(child, 0)
print("did it all", os.waitstatus_to_exitcode(status) if hasattr(os, "waitstatus_to_exitcode") else status >> 8)
sys.exit(3)
"""
FILE_LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
"""
KILLED_BY_IT = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
"""
TOLD_OF_IT = """
import signal
signal.signal(signal.SIGXFSZ, lambda *_: print("too large"))
"""
# What is mapped already, and a little more: no further block of ours fits.
MEMORY_LIMIT = """
import resource
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 3_000_000, pages + 3_000_000))
"""


def file(folder: Path, program: str) -> Path:
    path = folder / "program.py"
    path.write_text(program)
    return path


def is_told(recorded: Recorded) -> None:
    """The trace says that something is missing, wherever it is asked."""
    trace = recorded.run.trace
    assert trace.facts["lost"] > 0
    assert trace.processes["lost"].sum() == trace.facts["lost"]
    assert any("could not be written" in note for note in trace.facts["notes"])
    assert b"could not be written" in recorded.errors


@pytest.mark.parametrize("limit", [FILE_LIMIT, FILE_LIMIT + KILLED_BY_IT, FILE_LIMIT + TOLD_OF_IT, MEMORY_LIMIT])
@pytest.mark.sample(2)
def test_a_limit_stops_the_recording_and_not_the_program(tmp_path: Path, limit: str) -> None:
    program = file(tmp_path, limit + BUSY)
    plain = run(program, live=None)
    recorded = record(tmp_path, program)
    assert (recorded.status, recorded.output) == (plain.returncode, plain.stdout) == (3, b"did it all 7\n")
    assert plain.stderr == b""
    assert b"Traceback" not in recorded.errors
    is_told(recorded)


def test_a_file_of_the_programs_own_that_grows_too_large_still_ends_it(tmp_path: Path) -> None:
    program = file(
        tmp_path,
        FILE_LIMIT + KILLED_BY_IT + "file = open('large', 'wb', 0)\nfor _ in range(3): file.write(bytes(1_000_000))\n",
    )
    plain = run(program, live=None, cwd=tmp_path)
    recorded = record(tmp_path, program)
    assert plain.returncode == -signal.SIGXFSZ
    assert recorded.status == 128 + signal.SIGXFSZ


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can't be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stops_the_recording_and_not_the_program(tmp_path: Path, small_disk: Path) -> None:
    program = file(tmp_path, BUSY)
    recorded = record(small_disk, program)
    assert recorded.output == b"did it all 7\n"
    assert b"Traceback" not in recorded.errors
    if recorded.status == 3:
        is_told(recorded)
    else:  # there was no room for the trace either: it says so, and what the processes wrote can still be read
        assert recorded.status == 2
        assert b"can't be written" in recorded.errors
        assert recorded.run.facts["lost"] > 0


def test_a_disk_that_is_full_from_the_beginning_says_so(tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "full").write_bytes(bytes((6 << 20) - 40_000))
    recorded = record(small_disk, file(tmp_path, BUSY))
    assert recorded.status == 2
    assert b"Traceback" not in recorded.errors


# ---- the trace's folder


def test_a_folder_that_vanishes_does_not_harm_the_program(tmp_path: Path) -> None:
    program = file(tmp_path, "import shutil\nshutil.rmtree('recorded.ipctrace')\n" + BUSY)
    recorded = record(tmp_path, program)
    assert recorded.output == b"did it all 7\n"
    assert b"Traceback" not in recorded.errors
    assert recorded.status == 3, recorded.errors.decode()
    assert any("vanished" in note for note in recorded.run.facts["notes"])
    assert recorded.run.processes["program"].iloc[0] == "program.py"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cant_be_written_any_more_does_not_harm_the_program(tmp_path: Path) -> None:
    program = file(tmp_path, "import os\nos.chmod('recorded.ipctrace/live', 0o500)\n" + BUSY)
    recorded = record(tmp_path, program)
    assert recorded.output == b"did it all 7\n"
    assert recorded.status == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_where_no_folder_can_be_made_nothing_is_started(tmp_path: Path) -> None:
    program = file(tmp_path, "open('ran', 'w')")
    tmp_path.chmod(0o500)
    recorded = record(tmp_path, program)
    tmp_path.chmod(0o700)
    assert recorded.status == 2
    assert b"can't be made" in recorded.errors
    assert not (tmp_path / "ran").exists()


# ---- the recorder

# Goes on until it is told to end, then says how far it has come, in a file: its streams may be gone.
GOING_ON = """
import os, sys
sink = os.open("/dev/null", os.O_WRONLY)
number = 0
while not os.path.exists("end"):
    for _ in range(1000):
        os.write(sink, b"x")
    number += 1000
    os.replace(_write("count.new", str(number)), "count")
os.replace(_write("done.new", str(number)), "done")
"""
HELPER = """
def _write(name, text):
    with open(name, "w") as file:
        file.write(text)
    return name
"""


@pytest.mark.parametrize(("calls", "options"), [(5_000, ()), (60_000, ("--max-size", "2MB"))])
def test_a_killed_recorder_leaves_a_trace_and_a_program_that_goes_on(
    tmp_path: Path, calls: int, options: tuple[str, ...]
) -> None:
    program = file(tmp_path, HELPER + GOING_ON)
    command = [sys.executable, "-m", "ipctrace", "record", "-q", "--no-report", "--out", "run.ipctrace", *options]
    recorder = subprocess.Popen([*command, str(program)], cwd=tmp_path, env=clean_environment())
    try:
        until(lambda: read(tmp_path / "count") >= calls)
        if options:  # and parts have been made, and dropped
            until(lambda: len(list((tmp_path / "run.ipctrace" / "live" / "parts").glob("*.kept.parquet"))) > 20)
    finally:
        recorder.kill()
        recorder.wait()
    seen = read(tmp_path / "count")
    trace = ipctrace.load(tmp_path / "run.ipctrace")
    writes = int((trace.events["op"] == "os.write").sum()) + trace.facts["dropped"]
    assert writes >= seen
    assert trace.facts["ended"] == "interrupted"
    assert bool(trace.facts["dropped"]) == bool(options)
    assert trace.analysis.verdict.name
    (tmp_path / "end").touch()
    until(lambda: read(tmp_path / "done") > seen)
    whole = ipctrace.load(tmp_path / "run.ipctrace")
    assert int((whole.events["op"] == "os.write").sum()) + whole.facts["dropped"] >= read(tmp_path / "done")


def read(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def until(happened: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_recorders_own_limit_of_a_files_size_does_not_end_it(tmp_path: Path) -> None:
    """The program inherits the limit; the trace's tables are smaller than the logs."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        recorded = record(tmp_path, file(tmp_path, BUSY), fresh=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (recorded.status, recorded.output) == (3, b"did it all 7\n")
    is_told(recorded)


def test_a_trace_in_the_making_is_recognized_as_one(tmp_path: Path) -> None:
    """So a second recording replaces what a killed recorder left."""
    out = tmp_path / "recorded.ipctrace"
    launch.prepare_output(out)
    launch.prepare_live(out)
    (out / "run.json").write_text('{"schema": 2, "clock": 1, "state": "recording"}')
    assert record(tmp_path, file(tmp_path, "print(1)")).status == 0
