"""Programs that really ran, compared by the command line and from Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ipctrace
from ipctrace import cli

from .recorded import CHAPTER, Recorded, record
from .sampled import sampled

QUICK = {"CHAPTER_SLEEP": "0.02"}

TALK = """
import subprocess, sys
ECHO = '''
import sys
for line in sys.stdin:
    print("echo", line.strip())
    sys.stdout.flush()
'''
child = subprocess.Popen([sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
for k in range(5):
    child.stdin.write(f"line {k}\\n")
    child.stdin.flush()
    answer = child.stdout.readline()
child.stdin.close()
child.wait()
"""
WORKERS = """
import multiprocessing, os
def work(out, name):
    with os.fdopen(out, "w") as stream:
        for k in range(3):
            stream.write(f"{name} {k}\\n")
            stream.flush()
            stream.write("tail\\n")
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    reader, writer = os.pipe()
    one = context.Process(target=work, args=(writer, "one"))
    one.start()
    os.close(writer)
    with os.fdopen(reader) as lines:
        for line in lines:
            print(line, end="")
    one.join()
    with context.Pool(2) as pool:
        print(pool.map(abs, range(8)))
"""


def recorded(folder: Path, text: str) -> Recorded:
    folder.mkdir()
    (folder / "program.py").write_text(text, encoding="utf-8")
    return record(folder, folder / "program.py", **QUICK)


def chapter(folder: Path, program: str, *options: str, **environment: str) -> Recorded:
    folder.mkdir()
    return record(folder, CHAPTER / program, options=options, **{**QUICK, **environment})


def first_difference(one: Recorded, other: Recorded) -> tuple[str, str] | None:
    """The lines that are named first: of the one, and of the other."""
    made = ipctrace.compare([one.run, other.run], ["one", "other"])
    told = made.result.pairs[0].first_difference
    return None if told is None else (told.first.text.strip(), told.second.text.strip())


@pytest.mark.chapter
@pytest.mark.parametrize(
    "program",
    sampled(
        ["pipes.py", "subprocesses.py", "process_pool.py", "process_queue.py", "async_server.py"],
        ["pipes.py", "process_pool.py"],
    ),
)
def test_of_two_runs_of_one_program_nothing_differs_but_time(tmp_path: Path, program: str) -> None:
    runs = [chapter(tmp_path / str(k), program).run for k in range(2)]
    made = ipctrace.compare(runs, ["one", "other"])
    assert made.headline.startswith("Nothing differs but time"), made.differences
    assert not any(claim.holds for claim in made.result.pairs[0].claims)


@pytest.mark.chapter
def test_under_another_interpreter_nothing_differs_but_that(tmp_path: Path) -> None:
    """As far as an interpreter is another one at all: the same program under Python's other names."""
    runs = [chapter(tmp_path / str(k), "pipes.py", "--python", sys.executable).run for k in range(2)]
    made = ipctrace.compare(runs, ["one", "other"])
    assert made.headline.startswith("Nothing differs but time")
    assert all(difference.chance for difference in made.differences)  # a busy machine lets a message lie


@pytest.mark.chapter
@pytest.mark.parametrize(
    ("text", "line", "moved"),
    [
        (
            TALK,
            "    child.stdin.flush()\n    answer = child.stdout.readline()\n",
            "    answer = child.stdout.readline() if k else child.stdin.flush()\n    child.stdin.flush()\n",
        ),
        (
            WORKERS,
            '            stream.flush()\n            stream.write("tail\\n")\n',
            '            stream.write("tail\\n")\n            stream.flush()\n',
        ),
    ],
    ids=["subprocess", "multiprocessing"],
)
@pytest.mark.sample(1)
def test_a_flush_that_moved_is_named_first(tmp_path: Path, text: str, line: str, moved: str) -> None:
    assert line in text
    one, other = recorded(tmp_path / "one", text), recorded(tmp_path / "other", text.replace(line, moved))
    assert one.status == other.status == 0
    told = first_difference(one, other)
    assert told is not None and "flush()" in told[0]


@pytest.mark.chapter
def test_pipes_without_one_of_its_flushes_names_that_line(tmp_path: Path) -> None:
    text = (CHAPTER / "pipes.py").read_text(encoding="utf-8")
    before = '    sys.stdout.flush()\n    answer = sys.stdin.readline().rstrip("\\n")\n'
    after = '    answer = sys.stdin.readline().rstrip("\\n")\n    sys.stdout.flush()\n'
    assert before in text
    for name, changed in (("one", text), ("other", text.replace(before, after))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pipes.py").write_text(changed, encoding="utf-8")
        child = (CHAPTER / "pipes_test_child.py").read_text(encoding="utf-8")
        (tmp_path / name / "pipes_test_child.py").write_text(child, encoding="utf-8")
    one, other = (record(tmp_path / name, tmp_path / name / "pipes.py", **QUICK) for name in ("one", "other"))
    made = ipctrace.compare([one.run, other.run], ["flushed", "moved"])
    assert made.headline == "flushed completes, moved hangs."
    told = made.result.pairs[0].first_difference
    assert told is not None and told.decides
    assert told.first.text.strip() == "sys.stdout.flush()"
    assert told.first.line == text[: text.index(before)].count("\n") + 1


@pytest.mark.chapter
def test_the_command_line_writes_the_table_the_page_and_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs, completes = (
        chapter(tmp_path / "a", "deadlock.py"),
        chapter(tmp_path / "b", "deadlock.py", "--buffering", "none"),
    )
    monkeypatch.chdir(tmp_path)
    traces = [f"default={hangs.trace}", f"none={completes.trace}"]
    assert cli.run(["compare", *traces, "--fail-on", "verdict,findings"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("default hangs, none completes.") and "the one that decides" in told.out
    assert told.out.rstrip().endswith("compare.html") and (tmp_path / "compare.html").is_file()
    assert told.err == "ipctrace: the verdict is completed in none, deadlock in default\n"
    assert cli.run(["compare", *traces, "--fail-on", "findings", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"][0]["headline"] == "default hangs, none completes."
    assert cli.run(["compare", traces[1], f"again={completes.trace}", "--fail-on", "slowdown:1.5", "-o", "x.html"]) == 2
    assert "can't be judged from so few runs" in capsys.readouterr().err
    for arguments in (
        traces[:1],
        [*traces, "--fail-on", "speed"],
        [*traces, "--fail-on", "slowdown:x"],
        [traces[0], "b=none.ipctrace"],
    ):
        assert cli.run(["compare", *arguments]) == 2
        assert capsys.readouterr().err.startswith("ipctrace: ")
    assert "default hangs" in ipctrace.compare([hangs.trace, completes.trace], ["default", "none"])._repr_html_()


@pytest.mark.slow
def test_pairs_of_one_setting_make_no_claim() -> None:
    """Takes half an hour on two busy cores: twenty pairs of settings that are one, seven runs a side."""
    bench = Path(__file__).parent / "bench" / "compare.py"
    done = subprocess.run([sys.executable, str(bench)], capture_output=True, text=True, timeout=5400)
    assert done.returncode == 0, done.stdout + done.stderr
