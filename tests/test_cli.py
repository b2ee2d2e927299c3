"""The command line: what each command prints where, and what it ends with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ipctrace.tracer import store
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.supervisor import Progress

import ipctrace
from ipctrace import chapter, cli, recording
from ipctrace.live import Live, words
from tests import builders

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Calls a command in a folder of its own; returns its status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = cli.run(arguments)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """The chapter's deadlock, recorded."""
    store.save(builders.deadlock_trace(), tmp_path / "deadlock.ipctrace")
    return "deadlock.ipctrace"


def start(*arguments: str, folder: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """`ipctrace …` as a process of its own, as in a folder by hand."""
    hidden = ("PYTHONUNBUFFERED", "CHAPTER_SLEEP", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "-m", "ipctrace", *arguments],
        cwd=folder,
        env=environment | {"CHAPTER_SLEEP": "0.02"} | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )


# ---- calling it wrongly


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recrod"], "ipctrace: no such command 'recrod'\n  did you mean 'record'?\n  ipctrace --help\n"),
        (["record", "--bufering=line"], "ipctrace: no such option: --bufering"),
        (["record", "--buffering=lines", "pipes.py"], "ipctrace: invalid value for '--buffering'"),
        (["record"], "ipctrace: there is no program to record\n"),
        (["record", "deadlok.py"], "no program deadlok.py here\n  did you mean deadlock.py (bundled chapter)?\n"),
        (["record", "no-such-thing"], "it is no file, no program of the bundled chapter, and no command in PATH\n"),
        (["record", "--python", "python9", "pipes.py"], "ipctrace: there is no interpreter python9\n"),
        (["analyze", "nothing.ipctrace"], "ipctrace: there is no trace nothing.ipctrace\n"),
        (["show", "nothing.ipctrace", "mesages"], "there is no table mesages\n  did you mean messages?\n"),
        (["rules", "mising-eof"], "there is no rule mising-eof\n  did you mean IPC105?\n  ipctrace rules IPC105\n"),
        (["chapter", "cpoy"], "ipctrace: no such command 'cpoy'"),
    ],
)
def test_a_mistake_says_what_why_and_what_to_do_and_ends_with_2(arguments: list[str], said: str, call: Call) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert re.search(r"^  (ipctrace|chmod) ", err, re.MULTILINE)
    assert "Traceback" not in err


def test_another_trace_that_may_be_meant_is_named(call: Call, trace: str) -> None:
    _, _, err = call("show", "deadlok.ipctrace")
    assert err.endswith("  did you mean deadlock.ipctrace?\n  ipctrace analyze deadlock.ipctrace\n")


def test_a_torn_trace_and_what_is_no_trace_are_mistakes(call: Call, trace: str, tmp_path: Path) -> None:
    (tmp_path / trace / "events.parquet").write_bytes(b"PAR1 torn")
    (tmp_path / "file").write_text("")
    for path in (trace, "file"):
        status, out, err = call("analyze", path)
        assert (status, out) == (2, "")
        assert path in err


def test_a_report_that_cannot_be_written_is_a_mistake(call: Call, trace: str) -> None:
    status, _, err = call("report", trace, "-o", "no/such/folder.html")
    assert status == 2
    assert "no/such/folder.html can't be written" in err


# ---- what to record


def program(call: Call, *words: str, **more: str) -> recording.Program:
    return recording.find(list(words), **more)


def test_a_python_file_is_run_by_this_interpreter(call: Call) -> None:
    Path("mine.py").write_text("")
    assert program(call, "mine.py", "-x") == ([sys.executable, "mine.py", "-x"], "mine", False)


def test_a_file_here_goes_before_the_chapter(call: Call) -> None:
    assert program(call, "pipes.py") == ([sys.executable, str(chapter.FOLDER / "pipes.py")], "pipes", True)
    Path("pipes.py").write_text("")
    assert program(call, "pipes.py") == ([sys.executable, "pipes.py"], "pipes", False)


def test_a_command_is_run_as_it_stands(call: Call) -> None:
    assert program(call, "bash", "-c", "true") == (["bash", "-c", "true"], "bash", False)


def test_a_script_that_can_be_run_is_run_from_its_folder(call: Call, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(IpctraceError, match="tool can't be run"):
        program(call, "tool")
    (tmp_path / "tool").chmod(0o755)
    assert program(call, "tool") == ([str(tmp_path / "tool")], "tool", False)


def test_a_module_and_all_behind_it(call: Call) -> None:
    assert program(call, "--port", "1", module="a.b") == ([sys.executable, "-m", "a.b", "--port", "1"], "a.b", False)


@pytest.mark.parametrize(
    ("arguments", "program", "module"),
    [
        (["a.py", "--out", "b"], ["a.py", "--out", "b"], None),
        (["--quiet", "--", "a.py", "--", "-m"], ["a.py", "--", "-m"], None),
        (["-q", "-m", "a.b", "--quiet", "-m"], ["--quiet", "-m"], "a.b"),
        (["--duration", "1", "-m", "a"], [], "a"),
    ],
)
def test_what_stands_behind_the_program_is_the_programs(
    arguments: list[str], program: list[str], module: str | None, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def find(*words: object) -> None:
        asked.extend(words[:2])
        raise IpctraceError("far enough")

    monkeypatch.setattr(recording, "find", find)
    call("record", *arguments)
    assert asked == [program, module]


# ---- the commands that read


def test_analyze_prints_the_verdict(call: Call, trace: str) -> None:
    status, out, err = call("analyze", trace)
    assert (status, err) == (0, "")
    assert out.startswith("deadlock[IPC101]: ")
    assert "26 bytes still in sys.stdout" in out
    assert out.endswith("  explain   ipctrace rules IPC101\n")


def test_analyze_prints_json(call: Call, trace: str) -> None:
    document = json.loads(call("analyze", trace, "--json")[1])
    assert (document["verdict"], document["findings"][0]["rule"]) == ("deadlock", "IPC101")


@pytest.mark.parametrize("table", ["processes", "channels", "messages", "blocking", "streams", "events", "findings"])
@pytest.mark.sample(3)
def test_show_prints_each_table(table: str, call: Call, trace: str) -> None:
    status, out, err = call("show", trace, table)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) > 1
    assert table in call("show", trace)[1]


def test_show_says_how_many_rows_it_left_out(call: Call, tmp_path: Path) -> None:
    store.save(builders.big_trace(500), tmp_path / "big.ipctrace")
    _, out, err = call("show", "big.ipctrace", "events")
    assert len(out.splitlines()) == 201
    said = re.fullmatch(r"200 of ([\d,]+); all of them: ipctrace show big.ipctrace events --all\n", err)
    assert said
    everything = call("show", "big.ipctrace", "events", "--all")[1].splitlines()
    assert len(everything) == int(said[1].replace(",", "")) + 1


def test_report_writes_the_page_beside_the_trace(call: Call, trace: str) -> None:
    assert call("report", trace) == (0, "deadlock.html\n", "")
    assert Path("deadlock.html").read_text("utf-8").lstrip().lower().startswith("<!doctype html>")


def test_chapter_lists_and_copies(call: Call) -> None:
    assert all(name in call("chapter")[1] for name in chapter.programs())
    assert call("chapter", "copy", "here/there")[0] == 0
    assert {path.name for path in Path("here/there").iterdir()} == set(chapter.programs())
    assert call("chapter", "copy", "here/there")[0] == 0
    Path("here/there/pipes.py").write_text("mine")
    status, _, err = call("chapter", "copy", "here/there")
    assert status == 2
    assert "here/there/pipes.py is already there" in err
    assert Path("here/there/pipes.py").read_text() == "mine"


def test_rules_are_found_by_code_and_by_name(call: Call) -> None:
    assert call("rules", "ipc105") == call("rules", "missing-eof")


def test_help_and_version(call: Call) -> None:
    assert call("--version") == (0, f"ipctrace {ipctrace.__version__}\n", "")
    assert call() == call("--help")
    assert call("--help")[1].startswith("Usage: ipctrace ")


def test_help_loads_none_of_the_heavy_libraries() -> None:
    code = "import sys; from ipctrace.cli import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert not {"pandas", "pyarrow", "plotly", "numpy"} & set(loaded)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_nothing_to_speak_of(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "ipctrace", "rules"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


# ---- the live line


class Terminal:
    """What a terminal was sent."""

    def __init__(self) -> None:
        self.sent = ""

    def write(self, text: str) -> int:
        self.sent += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def test_the_live_line_leaves_the_cursor_where_it_was_and_goes_before_anything_else_is_said() -> None:
    terminal = Terminal()
    live = Live(terminal, 80)  # type: ignore[arg-type]
    still = Progress(1.25, 61, 3, ["parent (waits for data)", "child (waits for data)"])
    live(still)
    assert terminal.sent == f"\x1bD\x1b7\r{words(still)}"[: 4 + 80] + "\x1b8\x1bM"
    terminal.sent = ""
    live.clear()
    live.clear()
    assert terminal.sent == "\x1b[J"


def test_the_live_line_says_who_is_blocked() -> None:
    assert words(Progress(1.2, 61, 3, ["parent (pipe B)", "child (pipe A)"])) == (
        "  1.2 s  61 events  3 processes  2 blocked: parent (pipe B), child (pipe A)"
    )


# ---- record


def test_standard_output_belongs_to_the_program(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text("import sys; print('out'); print(*sys.argv[1:], file=sys.stderr); sys.exit(3)")
    done = start("record", "talk.py", "--out", "-m", folder=tmp_path)
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert done.stderr.startswith(b"--out -m\ncompleted in ")
    assert done.stderr.endswith(b"  look      talk.html\n")
    assert (tmp_path / "talk.ipctrace" / "run.json").is_file()
    assert (tmp_path / "talk.html").is_file()


def test_a_bundled_program_is_named_before_it_starts(tmp_path: Path) -> None:
    done = start("record", "--no-report", "pipes.py", folder=tmp_path)
    assert done.returncode == 0
    said = done.stderr.decode().splitlines()
    assert said[0] == "ipctrace: pipes.py is no file here; recording the bundled chapter's"
    assert said[-1] == "  report    ipctrace report pipes.ipctrace"
    assert [path.name for path in tmp_path.iterdir()] == ["pipes.ipctrace"]


def test_a_deadlock_ends_with_86(tmp_path: Path) -> None:
    done = start("record", "--out", "hang", "deadlock.py", folder=tmp_path)
    assert (done.returncode, done.stdout) == (86, b"")
    assert b"deadlock[IPC101]: " in done.stderr
    assert b"print(f\"Hello 2 from parent {me}\", flush=True)" in done.stderr
    assert (tmp_path / "hang.html").is_file()


def test_a_signal_is_128_and_its_number(tmp_path: Path) -> None:
    done = start("record", "--quiet", "--no-report", "--", "bash", "-c", "kill -TERM $$", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (143, b"", b"")


def test_a_run_that_is_ended_in_time_is_healthy(tmp_path: Path) -> None:
    done = start("record", "--duration", "0.5", "pipe_1.py", folder=tmp_path)
    assert done.returncode == 0
    assert b"interrupted" in done.stderr


def test_a_report_that_cannot_be_written_does_not_hide_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("print()")
    done = start("record", "--report", "no/such.html", "one.py", folder=tmp_path)
    assert done.returncode == 2
    assert b"completed in " in done.stderr
    assert b"ipctrace: the file no/such.html can't be written\n" in done.stderr


def test_a_module_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import sys; print(sys.argv[1:])")
    done = start("record", "-q", "-m", "mine", "--quiet", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"['--quiet']\n", b"")
    assert (tmp_path / "mine.html").is_file()


def test_a_folder_that_cannot_be_made_is_a_mistake(tmp_path: Path) -> None:
    done = start("record", "--out", "no/such/trace", "pipes.py", folder=tmp_path)
    assert done.returncode == 2
    assert b"no/such" in done.stderr and b"Traceback" not in done.stderr


def test_a_recorded_run_is_an_object(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import os; r, w = os.pipe(); os.write(w, b'x'); os.read(r, 1)")
    run = ipctrace.record([str(tmp_path / "one.py")], out=tmp_path / "one.ipctrace")
    again = ipctrace.load(tmp_path / "one.ipctrace")
    assert run.verdict.name == again.verdict.name == "completed"
    assert {"os.pipe", "os.write", "os.read"} <= set(again.events["op"])
    assert len(again.messages) == 1
    assert again.verdict.headline in again._repr_html_()
    assert again.report(tmp_path / "one.html").is_file()
    with pytest.raises(AttributeError):
        again.no_such_table  # noqa: B018
