"""What puts data at risk by the system's rules, what is left behind, what wastes time: each with its near misses."""

from __future__ import annotations

import signal
from errno import EADDRINUSE, ECHILD, ENOENT
from pathlib import Path

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.catalogue import CATALOGUE
from ipctrace.analysis.results import Finding
from ipctrace.analysis.rules import streams

from .builders import MS, TraceBuilder, big_trace, completed_trace
from .recorded import record

HAZARDS = Path(__file__).parent / "programs" / "hazards"


def found(build: TraceBuilder, rule: str, **facts: object) -> list[Finding]:
    return [each for each in analyze(build.trace(**facts)).findings if each.rule == rule]  # type: ignore[arg-type]


# Real programs: each has what its rule looks for, and hasn't once it is mended

RECORDED = {
    "fifo_between_writers": "IPC210", "terminal_line": "IPC211", "print_in_handler": "IPC212",
    "children_ignored": "IPC213", "handler_reaps": "IPC213", "record_lock_dropped": "IPC214",
    "character_cut": "IPC215", "read_ahead_of_child": "IPC217", "zombies": "IPC302", "orphan": "IPC303",
    "memory_removed": "IPC304", "memory_never_unlinked": "IPC304", "socket_left": "IPC305",
    "written_one_by_one": "IPC401", "one_by_one": "IPC405", "polled": "IPC406",
}  # fmt: skip


@pytest.mark.chapter
@pytest.mark.parametrize("mended", [False, True], ids=["as it is", "mended"])
@pytest.mark.parametrize("program", RECORDED)
@pytest.mark.sample(12)
def test_a_recorded_program_has_it_and_mended_it_has_not(program: str, mended: bool, tmp_path: Path) -> None:
    made = record(tmp_path, HAZARDS / f"{program}.py", *["--fixed"] * mended)
    rules = [each.rule for each in made.run.findings]
    assert made.run.verdict.name == "completed", made.errors.decode()
    assert (RECORDED[program] in rules) == (not mended), rules
    assert not [rule for rule in rules if rule < "IPC2"]


@pytest.mark.chapter
def test_an_interpreter_that_aborts_at_its_end_names_the_thread_and_the_stream(tmp_path: Path) -> None:
    (tmp_path / "mended").mkdir()
    made = record(tmp_path, HAZARDS / "daemon_in_stdin.py")
    rules = [each.rule for each in made.run.findings]
    assert ("IPC216" in rules) == (b"-6" in made.output), "later versions of Python may end without it"
    mended = record(tmp_path / "mended", HAZARDS / "daemon_in_stdin.py", "--fixed")
    assert "IPC216" not in [each.rule for each in mended.run.findings]


def test_sound_runs_have_none_of_it() -> None:
    rules = {*RECORDED.values(), "IPC216"}
    for trace in (completed_trace(), big_trace(4000)):
        assert not rules & {each.rule for each in analyze(trace).findings} - {"IPC401"}


# IPC210


def two_writers(build: TraceBuilder) -> tuple[int, int, int, int]:
    """A reader that has read what the first writer wrote, and a FIFO: reader, second writer, channel, descriptor."""
    reader = build.process("reader.py")
    first, second = build.fork(reader), build.fork(reader)
    fifo = build.channel("fifo", path="/tmp/f")
    own = build.hold(reader, fifo, "r", flags=0)
    theirs = build.hold(first, fifo, "w", flags=1)
    build.write(first, theirs, b"one\n")
    build.close(first, theirs)
    build.read(reader, own, b"one\n")
    return reader, second, fifo, own


def test_end_of_file_between_two_writers_of_a_fifo() -> None:
    build = TraceBuilder()
    reader, second, fifo, own = two_writers(build)
    build.end(build.begin(reader, "os.read", fd=own, size=10), b"")
    build.hold(second, fifo, "w", flags=1)
    [finding] = found(build, "IPC210")
    assert (
        "got end of file on fifo f, when reader 2 had closed it and reader 3 had not opened it yet" in finding.message
    )


@pytest.mark.parametrize("what", ["nobody comes", "opened again", "read on", "opened before"])
def test_end_of_file_of_a_fifo_that_costs_nothing(what: str) -> None:
    build = TraceBuilder()
    reader, second, fifo, own = two_writers(build)
    if what == "opened before":
        theirs = build.hold(second, fifo, "w", flags=1)
        build.close(second, theirs)
    build.end(build.begin(reader, "os.read", fd=own, size=10), b"")
    if what == "opened again":
        build.hold(reader, fifo, "r", flags=0)
    if what in ("opened again", "read on"):
        theirs = build.hold(second, fifo, "w", flags=1)
        build.write(second, theirs, b"two\n")
    if what == "read on":
        build.read(reader, own, b"two\n")
    assert found(build, "IPC210") == []


# IPC211


def terminal(build: TraceBuilder, form: str = "pty") -> tuple[int, int]:
    """A program with a pseudo-terminal's leader: its thread, and the descriptor."""
    parent = build.process("types.py")
    leader = build.channel("tty", path="/dev/ptmx")
    build.rows["channels"][leader] |= {"form": form, "remote": "/dev/pts/7"}
    return parent, build.hold(parent, leader, "rw")


def test_a_line_too_long_for_a_terminal() -> None:
    build = TraceBuilder()
    parent, leader = terminal(build)
    for length in (None, 5000, 5000):
        build.write(parent, leader, b"x" * 2500, extra=length)
    [finding] = found(build, "IPC211")
    assert "a line of 5,000 bytes to /dev/pts/7" in finding.message
    assert "905 bytes of it are lost" in finding.message


def test_a_line_that_a_terminal_keeps_or_a_file_has() -> None:
    build = TraceBuilder()
    parent, leader = terminal(build)
    build.write(parent, leader, b"x" * 4095)
    file = build.hold(parent, build.channel("file", path="/tmp/x"), "w")
    build.write(parent, file, b"x" * 6000, extra=6000)
    assert found(build, "IPC211") == []


# IPC212


def interrupted(build: TraceBuilder, same: bool = True, waits: bool = True, error: int | None = None) -> None:
    """A print to a full pipe, and a handler that prints while it waits."""
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    out, other = build.stream(0, "out", pipe.writer), build.stream(0, "sys.stderr", 2)
    with build.inside(parent, "stream.write", stream=out, size=9):
        inner = build.begin(parent, "raw.write", stream=out, size=9) if waits else None
        with build.inside(parent, "signal handler", size=signal.SIGALRM):
            build.call(parent, "print", stream=out if same else other, size=4, error=error)
        if inner is not None:
            build.end(inner, result=9)


@pytest.mark.parametrize(("error", "severity"), [(None, "warning"), (-1, "error")])
def test_a_handler_prints_in_the_middle_of_a_print(error: int | None, severity: str) -> None:
    build = TraceBuilder()
    interrupted(build, error=error)
    [finding] = found(build, "IPC212")
    assert finding.severity == severity
    assert finding.message.startswith("The handler of SIGALRM used a's out in the middle of the stream.write")


def test_a_handler_that_prints_elsewhere_or_where_nothing_waits() -> None:
    for same, waits in ((False, True), (True, False)):
        build = TraceBuilder()
        interrupted(build, same, waits)
        assert found(build, "IPC212") == []


def test_a_handler_that_prints_between_two_calls() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    out = build.stream(0, "sys.stdout", 1)
    build.print(parent, out, "before")
    with build.inside(parent, "signal handler", size=signal.SIGALRM):
        build.print(parent, out, "tick")
    assert found(build, "IPC212") == []


# IPC213

CHILD = 47111


def one_child(build: TraceBuilder, status: int = 3) -> int:
    parent = build.process("a.py")
    child = build.fork(parent, "sh", traced=False, op="fork_exec")
    build.exit(child, status)
    return parent


def test_a_status_that_nothing_kept_as_sigchld_is_ignored() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    site = build.site("a.py", 3, "signal(SIGCHLD, SIG_IGN)")
    build.call(parent, "signal.signal", size=signal.SIGCHLD, result=1, extra=0, site=site)
    build.exit(build.fork(parent, "sh", traced=False, op="fork_exec"), 3)
    build.call(parent, "os.waitpid", size=CHILD, error=ECHILD)
    [finding] = found(build, "IPC213")
    assert (
        "process 47111, which ended with status 3, and found none: SIGCHLD is ignored since a.py:3" in finding.message
    )


def test_a_status_that_another_thread_collected() -> None:
    build = TraceBuilder()
    parent = one_child(build)
    other = build.thread(0, "reaper")
    build.call(other, "os.wait", size=-1, result=CHILD, extra=768)
    build.call(parent, "os.waitpid", size=CHILD, error=ECHILD)
    [finding] = found(build, "IPC213")
    assert "the os.wait in a/reaper had collected its status" in finding.message


def test_a_status_that_a_handler_collected() -> None:
    build = TraceBuilder()
    parent = one_child(build)
    waiting = build.begin(parent, "os.waitpid", size=CHILD)
    with build.inside(parent, "signal handler", size=signal.SIGCHLD):
        build.call(parent, "os.waitpid", size=-1, result=CHILD, extra=768)
    build.end(waiting, error=ECHILD)
    [finding] = found(build, "IPC213")
    assert "the os.waitpid in a signal's handler had collected its status" in finding.message


@pytest.mark.parametrize("what", ["in time", "asked twice", "any child", "never a child", "default"])
def test_a_wait_that_loses_nothing(what: str) -> None:
    build = TraceBuilder()
    parent = one_child(build)
    if what in ("in time", "asked twice"):
        build.call(parent, "os.waitpid", size=CHILD, result=CHILD, extra=768)
    if what == "asked twice":
        build.call(parent, "os.waitpid", size=CHILD, error=ECHILD)
    if what == "any child":
        build.call(parent, "os.wait", size=-1, result=CHILD, extra=768)
        build.call(parent, "os.wait", size=-1, error=ECHILD)
    if what == "never a child":
        build.call(parent, "os.waitpid", size=1, error=ECHILD)
    if what == "default":
        build.call(parent, "signal.signal", size=signal.SIGCHLD, result=0, extra=0)
        build.call(parent, "os.waitpid", size=CHILD, result=CHILD)
    assert found(build, "IPC213") == []


# IPC214


def locked(build: TraceBuilder, op: str = "fcntl.lockf") -> tuple[int, int, int]:
    """A process with a file open twice and locked by the first: thread, both descriptors."""
    parent = build.process("a.py")
    file = build.channel("file", path="/tmp/data")
    one, two = build.hold(parent, file, "rw"), build.hold(parent, file, "r")
    build.call(parent, op, fd=one, channel=file, size=2)
    return parent, one, two


def test_closing_another_descriptor_drops_a_record_lock() -> None:
    build = TraceBuilder()
    parent, one, two = locked(build)
    build.close(parent, two)
    build.call(parent, "fcntl.lockf unlock", fd=one, channel=3, size=8)
    [finding] = found(build, "IPC214")
    assert finding.severity == "warning"
    assert "lost its record lock on file data" in finding.message and f"closing fd {two}" in finding.message


def test_a_dropped_lock_that_another_process_then_got_is_an_error() -> None:
    build = TraceBuilder()
    parent, _, two = locked(build)
    child = build.fork(parent)
    build.close(parent, two)
    build.call(child, "fcntl.lockf", fd=two, channel=3, size=2)
    [finding] = found(build, "IPC214")
    assert finding.severity == "error"
    assert "the child got it" in finding.message


@pytest.mark.parametrize("what", ["flock", "unlocked before", "its own", "at the end", "another file"])
def test_a_close_that_drops_no_lock(what: str) -> None:
    build = TraceBuilder()
    parent, one, two = locked(build, "fcntl.flock" if what == "flock" else "fcntl.lockf")
    if what == "unlocked before":
        build.call(parent, "fcntl.lockf unlock", fd=one, channel=3, size=8)
    if what == "another file":
        build.close(parent, build.hold(parent, build.channel("file", path="/tmp/other"), "r"))
    else:
        build.close(parent, one if what == "its own" else two)
    if what not in ("its own", "at the end", "unlocked before"):
        build.call(parent, "fcntl.lockf unlock", fd=one, channel=3, size=8)
    assert found(build, "IPC214") == []


# IPC215


def cut(build: TraceBuilder) -> tuple[int, int]:
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.write(parent, pipe.writer, "xé".encode() * 2)
    build.read(parent, pipe.reader, b"x\xc3")
    return parent, pipe.reader


def test_a_character_that_is_cut_and_decoded() -> None:
    build = TraceBuilder()
    parent, reader = cut(build)
    build.call(parent, "decode", b"\xc3", size=2)
    build.read(parent, reader, b"\xa9x\xc3\xa9")
    [finding] = found(build, "IPC215")
    assert "ended within a character (b'\\xc3')" in finding.message and "raised UnicodeDecodeError" in finding.message


def test_a_character_that_is_cut_and_replaced() -> None:
    build = TraceBuilder()
    parent, reader = cut(build)
    build.read(parent, reader, b"\xa9x\xc3\xa9")
    build.print(parent, build.stream(0, "sys.stdout", 1), "x\ufffd\ufffdxé")
    [finding] = found(build, "IPC215")
    assert "put replacement characters in its place" in finding.message


@pytest.mark.parametrize("what", ["joined", "joined too early", "replaced by whoever wrote", "another error"])
def test_a_cut_that_does_no_harm(what: str) -> None:
    build = TraceBuilder()
    parent, reader = cut(build)
    if what == "joined too early":
        build.call(parent, "decode", b"\xc3", size=20)
    if what == "another error":
        build.call(parent, "uncaught", b"ValueError: no")
    rest = "\ufffd".encode() if what == "replaced by whoever wrote" else b""
    build.read(parent, reader, b"\xa9x\xc3\xa9" + rest)
    words = "xéxé" + ("\ufffd" if rest else "")
    build.print(parent, build.stream(0, "sys.stdout", 1), words)
    assert found(build, "IPC215") == []


# IPC216


def ends_with_a_reader(build: TraceBuilder, status: int, **reads: object) -> None:
    parent = build.process("a.py")
    source = build.stream(0, "sys.stdin", 0, "r")
    daemon = build.thread(0, "asks")
    if reads.pop("stream", True):
        build.begin(daemon, "stream.readline", stream=source)
        build.begin(daemon, "raw.read", stream=source, size=8192)
    else:
        build.begin(daemon, "os.read", fd=0, size=1)
    if reads.pop("shutdown", True):
        build.call(parent, "threading.shutdown", size=0)
    build.exit(parent, status)


def test_an_interpreter_that_gave_up_on_a_streams_lock() -> None:
    build = TraceBuilder()
    ends_with_a_reader(build, -signal.SIGABRT)
    [finding] = found(build, "IPC216")
    assert "its thread asks was in stream.readline and held the lock of a's sys.stdin" in finding.message


def test_other_ends_with_a_daemon_thread() -> None:
    for status, reads in ((0, {}), (-signal.SIGABRT, {"stream": False}), (-signal.SIGABRT, {"shutdown": False})):
        build = TraceBuilder()
        ends_with_a_reader(build, status, **reads)
        assert found(build, "IPC216") == []


# IPC217


def reads_ahead(build: TraceBuilder, taken: int, got: bytes = b"", later: bool = False) -> None:
    """A parent that has 12 bytes in its buffer, of which it takes some; its child reads the same pipe."""
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.write(parent, pipe.writer, b"head\none\ntwo\n")
    build.close(parent, pipe.writer)
    source = build.stream(0, "open(fd 3)", pipe.reader, "r")
    with build.inside(parent, "stream.readline", stream=source, result=taken):
        build.end(build.begin(parent, "raw.read", stream=source, size=8192), b"head\none\ntwo\n")
    child = build.fork(parent, "b.py", op="fork_exec")
    build.end(build.begin(child, "os.read", fd=pipe.reader, size=10), got)
    if later:
        build.call(parent, "stream.read", stream=source, result=13 - taken)


def test_what_a_child_was_to_read_lies_in_its_parents_buffer() -> None:
    build = TraceBuilder()
    reads_ahead(build, 5)
    [finding] = found(build, "IPC217")
    assert finding.message.startswith("8 bytes that the child was to read lie in the parent's open(fd 3)")


def test_a_buffer_that_takes_nothing_from_the_child() -> None:
    for taken, got, later in ((13, b"", False), (5, b"more", False), (5, b"", True)):
        build = TraceBuilder()
        reads_ahead(build, taken, got, later)
        assert found(build, "IPC217") == []


# IPC302, IPC303


def forgotten(build: TraceBuilder, lives_on: int = 1000 * MS, **fork: object) -> int:
    parent = build.process("a.py")
    for _ in range(2):
        build.exit(build.fork(parent, **fork))  # type: ignore[arg-type]
    build.after(lives_on)
    return parent


def test_children_that_nobody_waited_for() -> None:
    build = TraceBuilder()
    parent = forgotten(build, site=build.site("a.py", 9, "pid = os.fork()", "os.fork()"))
    build.call(parent, "os.waitpid", size=CHILD, result=CHILD)
    build.exit(parent)
    [finding] = found(build, "IPC302")
    assert "never waited for a child (a 3) that it started at a.py:9: it ended and stayed a zombie" in finding.message


@pytest.mark.parametrize("what", ["waited for", "ends with it", "ignored", "hangs", "killed"])
def test_children_that_are_no_zombies(what: str) -> None:
    build = TraceBuilder()
    parent = forgotten(build, 10 * MS if what == "ends with it" else 1000 * MS)
    if what == "ignored":
        build = TraceBuilder()
        parent = build.process("a.py")
        build.call(parent, "signal.signal", size=signal.SIGCHLD, result=1, extra=0)
        build.exit(build.fork(parent))
        build.after(1000 * MS)
    if what == "waited for":
        for pid in (CHILD, CHILD + 1):
            build.call(parent, "os.waitpid", size=pid, result=pid)
    if what != "hangs":
        build.exit(parent, -9 if what == "killed" else 0)
    assert found(build, "IPC302", ended="duration" if what == "hangs" else "exit") == []


@pytest.mark.parametrize(("calls", "zombies"), [(True, 1), (False, 0)])
def test_an_end_that_takes_its_time_is_not_living_on(calls: bool, zombies: int) -> None:
    """On a busy machine an interpreter takes hundreds of milliseconds to end: but it calls nothing then."""
    build = TraceBuilder()
    parent = forgotten(build, 500 * MS)
    if calls:
        build.call(parent, "os.write", fd=1, size=1, result=1)
    build.exit(parent)
    assert len(found(build, "IPC302")) == zombies


def test_what_the_interpreter_asks_as_it_frees_a_popen_is_no_wait() -> None:
    build = TraceBuilder()
    parent = forgotten(build)
    build.call(parent, "threading.shutdown", size=0)
    for pid in (CHILD, CHILD + 1):
        build.call(parent, "os.waitpid", size=pid, result=pid)
        build.rows["events"][-1]["wait"] = None
    build.exit(parent)
    [finding] = found(build, "IPC302")
    assert "never waited for 2 children" in finding.message


def test_a_process_that_outlives_the_program() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    build.fork(parent, "sleep", traced=False, op="fork_exec")
    build.exit(parent)
    [finding] = found(build, "IPC303", left=[CHILD])
    assert "(process 47111) was still there when the parent had ended" in finding.message or "sleep" in finding.message


def test_a_servant_of_multiprocessing_is_no_orphan() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    build.fork(parent, "python -c", op="fork_exec")
    build.rows["processes"][1]["name"] = "resource_tracker"
    build.exit(parent)
    assert found(build, "IPC303", left=[CHILD]) == []
    assert found(build, "IPC302", left=[CHILD]) == []


# IPC304

NAME = b"/psm_1"


def tracked(build: TraceBuilder, thread: int, attacher: int) -> tuple[int, int]:
    """A resource tracker that `attacher` has told of the memory: its thread, and the pipe's descriptor in `attacher`."""
    pipe = build.pipe(attacher)
    tracker = build.fork(attacher, "python -c", op="fork_exec", keep=(pipe.reader,))
    build.rows["processes"][build.process_of(tracker)]["name"] = "resource_tracker"
    build.close(attacher, pipe.reader)
    build.write(attacher, pipe.writer, b"REGISTER:" + NAME + b":shared_memory\n")
    source = build.stream(build.process_of(tracker), "open(fd 3)", pipe.reader, "r", layer="binary")
    build.call(tracker, "raw.read", b"REGISTER:" + NAME + b":shared_memory\n", stream=source, result=30)
    return tracker, source


def memory(build: TraceBuilder) -> tuple[int, int, int]:
    """A maker and one that attaches: their threads, and the channel."""
    maker = build.process("maker.py")
    segment = build.channel("file", path="/dev/shm/psm_1")
    build.call(maker, "SharedMemory", NAME, channel=segment, size=10, extra=1)
    attacher = build.fork(maker, "user.py", op="fork_exec")
    build.call(attacher, "SharedMemory", NAME, channel=segment, size=10)
    return maker, attacher, segment


@pytest.mark.parametrize("unregistered", [False, True])
def test_memory_that_an_attachers_tracker_removes(unregistered: bool) -> None:
    build = TraceBuilder()
    maker, attacher, segment = memory(build)
    tracker, source = tracked(build, maker, attacher)
    if unregistered:
        build.write(attacher, 4, b"UNREGISTER:" + NAME + b":shared_memory\n")
    build.exit(attacher)
    build.end(build.begin(tracker, "raw.read", stream=source, size=99), b"")
    build.after(1000 * MS)
    build.call(maker, "SharedMemory.unlink", NAME, channel=segment, error=None if unregistered else ENOENT)
    build.exit(maker)
    findings = found(build, "IPC304")
    assert len(findings) == (0 if unregistered else 1)
    if findings:
        assert "its resource tracker unlinks what it has seen" in findings[0].message


def test_memory_that_is_never_unlinked() -> None:
    build = TraceBuilder()
    maker, attacher, _ = memory(build)
    build.exit(attacher)
    build.exit(maker)
    [finding] = found(build, "IPC304")
    assert "was never unlinked" in finding.message


def test_memory_that_is_unlinked_before_it_is_attached_to() -> None:
    build = TraceBuilder()
    maker, attacher, segment = memory(build)
    build.call(maker, "SharedMemory.unlink", NAME, channel=segment)
    build.call(attacher, "SharedMemory", NAME, error=ENOENT)
    [finding] = found(build, "IPC304")
    assert "came for it only after that" in finding.message


def test_memory_that_lives_as_long_as_it_should() -> None:
    for ended in ("exit", "duration"):
        build = TraceBuilder()
        maker, attacher, segment = memory(build)
        build.exit(attacher)
        if ended == "exit":
            build.call(maker, "SharedMemory.unlink", NAME, channel=segment)
            build.call(maker, "SharedMemory", NAME, error=ENOENT)  # it makes sure
        assert found(build, "IPC304", ended=ended) == []


# IPC305


def bound(build: TraceBuilder) -> tuple[int, int]:
    parent = build.process("a.py")
    socket = build.channel("socket")
    build.rows["channels"][socket] |= {"form": "unix-stream", "local": "/tmp/s"}
    fd = build.hold(parent, socket, "rw")
    build.call(parent, "socket.bind", fd=fd, channel=socket, address="/tmp/s")
    return parent, fd


def test_a_sockets_file_that_is_left() -> None:
    build = TraceBuilder()
    bound(build)
    [finding] = found(build, "IPC305")
    assert "The socket's file /tmp/s" in finding.message and finding.severity == "warning"


def test_a_sockets_file_in_the_way_of_the_next() -> None:
    build = TraceBuilder()
    parent, fd = bound(build)
    build.close(parent, fd)
    build.call(parent, "socket.bind", address="/tmp/s", error=EADDRINUSE)
    [finding] = found(build, "IPC305")
    assert finding.severity == "error" and "was refused" in finding.message


def test_a_fifo_that_is_left_or_removed() -> None:
    for removed in (None, b"/tmp/f", b"f"):  # by rmtree: its name within the folder
        build = TraceBuilder()
        parent = build.process("a.py")
        fifo = build.channel("fifo", path="/tmp/f")
        build.call(parent, "os.mkfifo", b"/tmp/f", channel=fifo)
        if removed:
            build.call(parent, "os.unlink", removed, channel=fifo)
        assert len(found(build, "IPC305")) == (removed is None)


def test_names_that_leave_nothing_behind() -> None:
    for address, form in (("127.0.0.1:80", "tcp"), ("@abstract", "unix-stream")):
        build = TraceBuilder()
        parent, _ = bound(build)
        build.rows["events"][-1]["address"] = address
        build.rows["channels"][-1]["form"] = form
        assert found(build, "IPC305") == []
    build = TraceBuilder()
    parent, _ = bound(build)
    assert found(build, "IPC305", ended="duration") == []
    build.call(parent, "os.unlink", b"/tmp/s")
    assert found(build, "IPC305") == []


# IPC401, IPC405, IPC406


def writes(build: TraceBuilder, size: int = 4, pause: int = 0, count: int = 1500) -> None:
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    site = build.site("a.py", 5, "os.write(w, b'spam')")
    for _ in range(count):
        build.write(parent, pipe.writer, b"x" * size, site)
        build.after(pause)


def test_a_system_call_for_every_few_bytes() -> None:
    build = TraceBuilder()
    writes(build)
    [finding] = found(build, "IPC401")
    assert "made 1,500 system calls at a.py:5 to write 6,000 bytes to pipe A, 4 at a time" in finding.message


def test_writes_that_are_large_or_few_or_far_between() -> None:
    for options in ({"size": 500}, {"count": 500}, {"pause": 5 * MS}):
        build = TraceBuilder()
        writes(build, **options)
        assert found(build, "IPC401") == []


def conversation(build: TraceBuilder, rounds: int = 500, work: int = 0, batch: int = 1) -> None:
    parent = build.process("a.py")
    down, up = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    for _ in range(rounds):
        waits = build.begin(child, "os.read", fd=down.reader, size=99)
        build.after(200_000)
        for _ in range(batch):
            build.write(parent, down.writer, b"question")
        build.end(waits, b"question")
        for _ in range(batch - 1):
            build.read(child, down.reader, b"question", 8)
        waits = build.begin(parent, "os.read", fd=up.reader, size=99)
        build.after(200_000 + work)
        build.write(child, up.writer, b"answer")
        build.end(waits, b"answer")


def test_questions_one_at_a_time() -> None:
    build = TraceBuilder()
    conversation(build)
    [finding] = found(build, "IPC405")
    assert "exchanged 500 questions and answers" in finding.message


def test_questions_that_are_few_or_take_work_or_come_in_batches() -> None:
    for options in ({"rounds": 50}, {"work": 10 * MS}, {"batch": 10, "rounds": 300}):
        build = TraceBuilder()
        conversation(build, **options)
        assert found(build, "IPC405") == []


def asks(build: TraceBuilder, times: int = 300, ready: int = 0, pause: int = 10 * MS, loop: bool = False) -> None:
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    site = build.site("a.py", 7, "select.select([r], [], [], 0.01)")
    if loop:
        task = build.thread(0, "Task-1")
        build.rows["threads"][task]["loop"] = parent
    for _ in range(times):
        call = build.select(parent, f"r{pipe.reader}", timed=True, size=min(pause, 10 * MS), site=site)
        build.after(pause)
        build.end(call, result=ready)


def test_asking_again_and_again() -> None:
    build = TraceBuilder()
    asks(build)
    [finding] = found(build, "IPC406")
    assert (
        "asked 300 times in 3.0" in finding.message and "by select.select at a.py:7, and got nothing" in finding.message
    )


def test_asking_that_is_no_polling() -> None:
    for options in ({"times": 20}, {"ready": 1}, {"pause": 500 * MS}, {"loop": True}):
        build = TraceBuilder()
        asks(build, **options)
        assert found(build, "IPC406") == []


# The catalogue's programs


EXAMPLES = ["210", "211", "212", "213", "214", "215", "217", "302", "303", "304", "305"]
EXAMPLES += ["401", "402", "403", "404", "405", "406"]


@pytest.mark.chapter
@pytest.mark.parametrize("code", [f"IPC{number}" for number in EXAMPLES])
@pytest.mark.sample(8)
def test_the_catalogues_program_shows_what_it_is_about(code: str, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(CATALOGUE[code].example, "utf-8")
    tries = (record(tmp_path, program).run.findings for _ in range(3))  # a busy machine hides time that is wasted
    assert any(code in [each.rule for each in findings] for findings in tries)


def test_only_children_that_read_on_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    for number in range(20):  # each child's output is read to its end, and then comes the next child
        pipe = build.pipe(parent)
        child = build.fork(parent, op="fork_exec")
        build.write(child, pipe.writer, b"said")
        source = build.stream(0, f"open(fd {number})", pipe.reader, "r")
        with build.inside(parent, "stream.read", stream=source, result=4):
            build.end(build.begin(parent, "raw.read", stream=source, size=8192), b"said")
    asked: list[int] = []
    monkeypatch.setattr(streams, "_read_ahead", lambda run, stream, own, fork: asked.append(fork) or 0)
    assert found(build, "IPC217") == []
    assert asked == []  # and not of every stream for every child after it
