"""What the runtime writes into the log: one test for each trap that recording from inside has to avoid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from tests import target


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


def definitions(live: Path, code: int) -> list[dict[str, str]]:
    return [d.text for log in read_logs(live)[0] for d in log.definitions if d.code == code]


def test_reads_and_writes_have_their_bytes_lines_and_channel(live: Path) -> None:
    target.run("import os\nr, w = os.pipe()\nos.write(w, b'Spam 1')\nos.read(r, 32)\n", live=live)
    (events,) = target.calls(live)
    pipe, write, read = (next(e for e in events if e.op == op) for op in ("os.pipe", "os.write", "os.read"))
    assert (pipe.fd, pipe.result, pipe.line) == (3, 4, 2)
    assert (write.fd, write.size, write.result, write.data, write.line) == (4, 6, 6, b"Spam 1", 3)
    assert (read.fd, read.size, read.result, read.data, read.line) == (3, 32, 6, b"Spam 1", 4)
    assert pipe.channel == write.channel == read.channel


@pytest.mark.skipif(sys.version_info < (3, 11), reason="columns are known from 3.11 on")
def test_a_site_marks_the_call_in_its_line(live: Path) -> None:
    target.run("import os\nr, w = os.pipe(); n = os.write(w, b'x')\n", live=live)
    text = "r, w = os.pipe(); n = os.write(w, b'x')"
    marked = {text[int(s["column"]) : int(s["end_column"])] for s in definitions(live, table.SITE) if s["line"] == "2"}
    assert marked == {"os.pipe()", "os.write(w, b'x')"}


def test_a_printed_line_is_stuck_until_it_is_flushed(live: Path) -> None:
    target.run("import sys\nprint('hello')\nsys.stdout.write('you')\nsys.stdout.flush()\nprint('end')\n", live=live)
    (events,) = target.calls(live)
    seen = [
        (e.op, e.line, e.offset, e.size, e.pending) for e in events if e.op in ("print", "stream.write", "stream.flush")
    ]
    assert seen == [
        ("print", 2, 0, 5, 5), ("print", 2, 5, 1, 6), ("stream.write", 3, 6, 3, 9), ("stream.flush", 4, 0, None, 0),
        ("print", 5, 9, 3, 3), ("print", 5, 12, 1, 4), ("stream.flush", None, 0, None, 0),
    ]  # fmt: skip
    assert [(e.op, e.result, e.data) for e in events if e.op == "raw.write"] == [
        ("raw.write", 9, b"hello\nyou"), ("raw.write", 4, b"end\n"),
    ]  # fmt: skip


def test_input_flushes_stdout_and_readline_does_not(live: Path) -> None:
    text = "import sys\nprint('a')\ninput()\nprint('b')\nsys.stdin.readline()\n"
    target.run(text, live=live, stdin=None, input=b"1\n2\n")
    (events,) = target.calls(live)
    assert [e.line for e in events if e.op == "stream.flush" and e.stream == 2] == [3, None]
    assert [e.data for e in events if e.op == "raw.write"] == [b"a\n", b"b\n"]


@pytest.mark.parametrize(
    ("options", "environment", "buffering", "expected"),
    [
        ((), {}, "default", ("block", "not a terminal when Python started")),
        (("-u",), {}, "default", ("none", "-u")),
        ((), {"PYTHONUNBUFFERED": "1"}, "default", ("none", "PYTHONUNBUFFERED is set")),
        ((), {"PYTHONUNBUFFERED": "1"}, "block", ("block", "ipctrace --buffering block")),
        ((), {}, "line", ("line", "ipctrace --buffering line")),
        ((), {}, "none", ("none", "ipctrace --buffering none")),
    ],
)
def test_the_log_says_how_stdout_is_buffered_and_why(
    options: tuple[str, ...], environment: dict[str, str], buffering: str, expected: tuple[str, str], live: Path
) -> None:
    done = target.run(
        "import os\nprint('x')\nos.write(1, b'raw')\n", live=live, options=options, buffering=buffering,
        environment=target.clean_environment(**environment),
    )  # fmt: skip
    stream = next(s for s in definitions(live, table.STREAM) if s["name"] == "sys.stdout")
    assert (stream["buffering"], stream["why"]) == expected
    assert done.stdout == (b"rawx\n" if expected[0] == "block" else b"x\nraw")


def test_bytes_written_past_the_text_layer_count_too(live: Path) -> None:
    for options in ((), ("-u",)):
        shutil.rmtree(live, ignore_errors=True)
        target.run("import sys\nsys.stdout.buffer.write(b'raw')\nprint('text')\n", live=live, options=options)
        (events,) = target.calls(live)
        accepted = [e for e in events if e.op in ("print", "stream.write")]
        assert [e.offset for e in accepted] == [0, 3, 7]
        assert sum(e.result for e in events if e.op == "raw.write") == 8
        assert all(e.pending >= 0 for e in accepted)


def test_popens_text_pipes_count(live: Path) -> None:
    text = (
        "import subprocess\np = subprocess.Popen(['cat'], stdin=-1, stdout=-1, text=True)\n"
        "p.stdin.write('asked\\n')\np.stdin.flush()\np.stdout.readline()\np.stdin.close()\np.wait()\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    assert [(e.line, e.pending) for e in events if e.op == "stream.write"] == [(3, 6)]
    assert [e.data for e in events if e.op == "raw.write"] == [b"asked\n"]
    assert [e.line for e in events if e.op == "stream.readline"] == [5]
    spawned = next(e for e in events if e.op == "fork_exec")
    assert spawned.line == 2
    assert spawned.result == next(e.size for e in events if e.op == "os.waitpid")


def test_the_child_of_a_fork_has_its_own_log_and_its_copy_of_the_buffer(live: Path) -> None:
    target.run("import os\nprint('both')\npid = os.fork()\nif pid: os.waitpid(pid, 0)\n", live=live)
    parent, child = target.calls(live)
    assert next(e for e in parent if e.op == "os.fork").result == child[0].pid
    logs, _ = read_logs(live)
    copied = next(d for d in logs[1].definitions if d.code == table.STREAM and d.text["name"] == "sys.stdout")
    assert (copied.offset, copied.size) == (5, 0), "5 bytes accepted before the fork, none of them written"
    assert [d["how"] for d in definitions(live, table.PROCESS)] == ["start", "fork"]


def test_a_call_that_was_open_in_the_parent_at_a_fork_is_not_touched_by_the_child(live: Path) -> None:
    """A handler forks inside a blocked read; the child's return through that read must not complete the parent's record."""
    text = (
        "import os, signal\nr, w = os.pipe()\n"
        "def handler(*_):\n    if os.fork() == 0: raise SystemExit(0)\n    os.wait(); os.kill(os.getpid(), 9)\n"
        "signal.signal(signal.SIGALRM, handler)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\nos.read(r, 1)\n"
    )
    target.run(text, live=live)
    parent, _ = target.calls(live)
    assert next(e for e in parent if e.op == "os.read").state == table.OPEN


def test_a_killed_process_loses_no_event_and_its_open_call_stays_open(live: Path) -> None:
    text = (
        "import os, sys\nr, w = os.pipe()\n"
        "for k in range(20000): os.write(w, b'%06d' % k); os.read(r, 6)\n"
        "os.write(1, b'now'); os.read(r, 1)\n"
    )
    environment = target.traced_environment(live, target.clean_environment())
    process = subprocess.Popen([sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(3) == b"now"
    while target.calls(live)[0][-1].op != "os.read":
        pass  # it has not entered its last read yet
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (events,) = target.calls(live)
    written = [e.data for e in events if e.op == "os.write" and e.fd != 1]
    assert written == [b"%06d" % k for k in range(20000)]
    assert (events[-1].op, events[-1].state) == ("os.read", table.OPEN)
    assert all(e.state == table.DONE for e in events[:-1])


def test_exec_and_exit_leave_open_records_and_the_new_image_begins_a_new_log(live: Path) -> None:
    text = "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import os; os._exit(3)'])\n"
    assert target.run(text, live=live).returncode == 3
    before, after = target.calls(live)
    assert before[-1].op == "os.execv" and before[-1].state == table.OPEN
    assert after[-1].op == "os._exit" and after[-1].state == table.OPEN and after[-1].size == 3
    assert before[0].pid == after[0].pid


@pytest.mark.parametrize("environment", ["{}", "{'PYTHONPATH': '/no/such'}", "dict(os.environ)", "None"])
def test_children_are_followed_whatever_environment_they_are_given(environment: str, live: Path) -> None:
    text = (
        "import os, subprocess, sys\nos.environ['PYTHONPATH'] = '/other'\n"
        f"subprocess.run([sys.executable, '-c', 'import os; os.pipe()'], env={environment})\n"
    )
    target.run(text, live=live)
    assert [[e.op for e in events if e.op == "os.pipe"] for events in target.calls(live)][-1] == ["os.pipe"]


def test_a_child_through_a_shell_and_exec_is_followed(live: Path) -> None:
    text = f'import os; os.system(\'exec "{sys.executable}" -c "import os; os.pipe()"\')'
    target.run(text, live=live)
    assert len(target.calls(live)) == 2


def test_threads_are_named_and_their_life_is_an_event(live: Path) -> None:
    text = (
        "import os, threading\nr, w = os.pipe()\nt = threading.Thread(target=os.write, args=(w, b'x'), name='writer')\n"
        "t.start()\nos.read(r, 1)\nt.join()\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    named = {d.text["name"]: d.thread for log in read_logs(live)[0] for d in log.definitions if d.code == table.THREAD}
    write = next(e for e in events if e.op == "os.write")
    assert write.thread == named["writer"] != named["MainThread"]
    assert [e.line for e in events if e.op in ("Thread.start", "Thread.join")] == [4, 6]
    assert next(e for e in events if e.op == "Thread.join").size == named["writer"]
    assert next(e for e in events if e.op == "thread").state == table.DONE


def test_many_threads_lose_nothing_while_the_log_grows(live: Path) -> None:
    text = (
        "import os, threading\n"
        "def work(k):\n"
        "    r, w = os.pipe()\n"
        "    for n in range(1500): os.write(w, b'%d:%d' % (k, n)); os.read(r, 32)\n"
        "threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    assert target.run(text, live=live).returncode == 0
    (log,) = read_logs(live)[0]
    assert log.header.lost == 0
    (events,) = target.calls(live)
    assert sorted(e.data for e in events if e.op == "os.write") == sorted(
        b"%d:%d" % (k, n) for k in range(6) for n in range(1500)
    )
    assert {e.data for e in events if e.op == "os.read"} == {e.data for e in events if e.op == "os.write"}


@pytest.mark.parametrize(("payload", "kept"), [("0", 0), ("8", 8), ("72", 72), ("full", 100_000)])
def test_as_much_payload_is_kept_as_was_asked(payload: str, kept: int, live: Path) -> None:
    text = "import os\nr, w = os.pipe()\nos.set_blocking(w, False)\nprint(os.write(w, bytes(range(250)) * 200))\nos.read(r, 65536)\n"
    target.run(text, live=live, payload=payload)
    (events,) = target.calls(live)
    whole = bytes(range(250)) * 200
    for op in ("os.write", "os.read"):
        assert next(e for e in events if e.op == op).data == whole[:kept]


def test_a_signal_handler_inside_a_wrapped_call_has_its_own_records(live: Path) -> None:
    text = (
        "import os, signal\nr, w = os.pipe()\n"
        "signal.signal(signal.SIGALRM, lambda *_: os.write(w, b'woken'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\nos.read(r, 9)\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    assert [(e.op, e.data) for e in events if e.op in ("os.read", "os.write")] == [
        ("os.read", b"woken"),
        ("os.write", b"woken"),
    ]


def test_a_descriptor_given_out_again_leads_to_its_new_channel(live: Path) -> None:
    text = (
        "import os\nr, w = os.pipe()\nos.close(r); os.close(w)\nr, w = os.pipe()\nos.write(w, b'x')\n"
        "os.dup2(w, 1)\nprint('y', flush=True)\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    first, second = (e.channel for e in events if e.op == "os.pipe")
    assert first != second
    assert {e.channel for e in events if e.op in ("os.write", "raw.write")} == {second}


def test_errors_are_recorded_with_their_number(live: Path) -> None:
    target.run("import os\ntry: os.read(99, 1)\nexcept OSError: pass\n", live=live)
    (events,) = target.calls(live)
    failed = next(e for e in events if e.op == "os.read")
    assert (failed.state, failed.error) == (table.FAILED, 9)


def test_opening_a_fifo_waits_and_then_counts(live: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    text = (
        f"import os\nname = {str(tmp_path / 'fifo')!r}\n"
        "if os.fork() == 0:\n    with open(name, 'w') as f: f.write('through')\n    os._exit(0)\n"
        "with open(name) as f: print(f.read())\nos.wait()\n"
    )
    assert target.run(text, live=live).stdout == b"through\n"
    parent, child = target.calls(live)
    assert [e.op for e in parent if e.op == "open"] == [e.op for e in child if e.op == "open"] == ["open"]
    assert b"through" in [e.data for e in parent if e.op == "raw.read"]
    assert b"through" in [e.data for e in child if e.op == "raw.write"]
    assert "fifo" in {c["kind"] for c in definitions(live, table.CHANNEL)}


def test_handlers_of_signals_are_events(live: Path) -> None:
    text = (
        "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    assert [(e.size, e.extra, e.line) for e in events if e.op == "signal.signal"] == [(10, 1, 2), (10, 0, 3)]


def test_armed_timers_and_uncaught_exceptions_are_events(live: Path) -> None:
    text = (
        "import signal\nsignal.alarm(3)\nsignal.alarm(0)\nsignal.setitimer(signal.ITIMER_REAL, 2.5, 0.5)\n"
        "raise ValueError('seen')\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    armed = [(e.op, e.size, e.extra) for e in events if e.op.startswith("signal.")]
    assert armed == [
        ("signal.alarm", 3 * 10**9, 0), ("signal.alarm", 0, 0), ("signal.setitimer", 2_500_000_000, 500_000_000),
    ]  # fmt: skip
    assert [e.data for e in events if e.op == "uncaught"] == [b"ValueError: seen"]


def test_a_join_with_a_time_out_is_told_from_one_without(live: Path) -> None:
    """One ends by itself: it is no part of any deadlock."""
    text = "import threading\nt = threading.Thread(target=int)\nt.start()\nt.join(5)\nt.join(timeout=5)\nt.join()\n"
    target.run(text, live=live)
    (events,) = target.calls(live)
    joins = [(e.op, e.line) for e in events if e.op.startswith("Thread.join")]
    assert joins == [("Thread.join timed", 4), ("Thread.join timed", 5), ("Thread.join", 6)]


def test_a_signal_is_recorded_as_it_is_sent(live: Path) -> None:
    target.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", live=live)
    (events,) = target.calls(live)
    assert [(e.size, e.extra, e.state) for e in events if e.op == "os.kill"] == [(events[0].pid, 9, table.DONE)]
