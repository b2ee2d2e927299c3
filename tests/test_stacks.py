"""Stacks: py-spy's answer becomes frames, and its failure a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.stacks import find_py_spy, parse, read_stacks


def frame(name: str, file: str, line: int) -> dict[str, object]:
    return {"name": name, "filename": file, "line": line, "short_filename": file, "module": None, "locals": None}


def test_frames_of_our_runtime_are_left_out() -> None:
    ours = "/tmp/pipes.ipctrace/live/inject/_ipctrace/streams.py"
    frames = [frame("readinto", ours, 3), frame("talk", "a.py", 2), frame("<module>", "a.py", 9)]
    found = parse(5, json.dumps([{"os_thread_id": 7, "frames": frames}]))
    assert [(each.depth, each.function, each.line) for each in found] == [(0, "talk", 2), (1, "<module>", 9)]
    assert {each.tid for each in found} == {7}


def test_without_py_spy_there_are_no_stacks_and_a_note(tmp_path: Path) -> None:
    assert read_stacks([1], None) == ([], ["py-spy is not installed: no Python stacks"])
    frames, notes = read_stacks([1], str(tmp_path / "py-spy"))
    assert frames == []
    assert "can't be started" in notes[0]


@pytest.mark.skipif(find_py_spy() is None, reason="py-spy is not installed")
def test_a_blocked_program_shows_its_stack() -> None:
    code = "import sys\ndef wait():\n    sys.stdout.write('x'); sys.stdout.flush()\n    sys.stdin.read()\nwait()\n"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        frames, notes = [], ["not yet"]
        while notes or frames[0].line != 4:
            frames, notes = read_stacks([process.pid], find_py_spy())
            if any("ermission" in note for note in notes):
                pytest.skip("py-spy may not look at other processes here")
        process.kill()
    assert [(each.function, each.line) for each in frames] == [("wait", 4), ("<module>", 5)]


def test_a_process_that_is_gone_is_noted() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    frames, notes = read_stacks([process.pid], find_py_spy())
    assert frames == []
    assert len(notes) == 1
