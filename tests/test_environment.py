"""The environment: what each image was given is in the trace, and nothing of ours is in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH
from tests.recorded import record


def environment(folder: Path, text: str, *options: str, **given: str) -> pd.DataFrame:
    """The table of the trace of a program."""
    program = folder / "program.py"
    program.write_text(text)
    return record(folder, program, options=options, **given).run.trace.tables["environment"]


def test_each_image_has_its_own_environment(tmp_path: Path) -> None:
    text = (
        "import os, subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', '0'], env={'ONLY': 'this', 'EMPTY': ''})\n"
        "if os.fork() == 0: os._exit(0)\n"
        "os.wait()\n"
        "os.execve(sys.executable, [sys.executable, '-c', '0'], {'LAST': 'a=b'})\n"
    )
    found = environment(tmp_path, text, SPAM="eggs", LONG="x" * 100)
    images = found.groupby(["process", "time"], sort=False)
    values = [dict(zip(rows["name"], rows["value"], strict=True)) for _, rows in images]
    assert values[0].items() >= {"SPAM": "eggs", "LONG": "x" * 72}.items()
    assert {"ONLY": "this", "EMPTY": ""}.items() <= values[1].items()
    assert values[2].items() >= {"LAST": "a=b"}.items()
    assert len(values) == 3, "a fork is given nothing"
    assert not {"IPCTRACE_RUN", "PYTHONPATH"} & set(found["name"]), "ours don't appear"


def test_the_programs_own_pythonpath_stays(tmp_path: Path) -> None:
    found = environment(tmp_path, "0", PYTHONPATH="/mine")
    assert list(found[found["name"] == "PYTHONPATH"]["value"]) == ["/mine"]


@pytest.mark.parametrize(("payload", "value"), [("none", None), ("full", "x" * 5000)])
def test_values_are_kept_as_payloads_are(payload: str, value: str | None, tmp_path: Path) -> None:
    found = environment(tmp_path, "0", "--payload", payload, LONG="x" * 5000)
    (kept,) = found[found["name"] == "LONG"]["value"]
    assert kept == value or (value is None and pd.isna(kept))


@pytest.mark.parametrize("python", EACH)
def test_a_variable_that_is_set_or_unset_is_an_event_with_its_name_only(python: str, tmp_path: Path) -> None:
    text = (
        "import os\n"
        "os.environ['SPAM'] = 'secret'\n"
        "del os.environ['SPAM']\n"
        "os.environb[b'EGGS'] = b'secret'\n"
        "os.putenv('HAM', 'secret')\n"
        "os.environ['PYTHONPATH'] = 'secret'\n"
        "os.environ.pop('PYTHONPATH')\n"
    )
    target.run(text, live=tmp_path / "live", python=python)
    events = [e for e in target.calls(tmp_path / "live")[0] if e.op in ("os.putenv", "os.unsetenv")]
    assert [(e.op[3:], e.line, e.data, e.state) for e in events] == [
        ("putenv", 2, b"SPAM", table.DONE), ("unsetenv", 3, b"SPAM", table.DONE), ("putenv", 4, b"EGGS", table.DONE),
        ("putenv", 5, b"HAM", table.DONE), ("putenv", 6, b"PYTHONPATH", table.DONE),
        ("unsetenv", 7, b"PYTHONPATH", table.DONE),
    ]  # fmt: skip


def test_wrong_names_and_values_are_refused_in_the_same_words(tmp_path: Path) -> None:
    text = (
        "import os, pathlib\n"
        "for call, arguments in ((os.putenv, ()), (os.putenv, ('PYTHONPATH', 5)), (os.putenv, (5, 'x')), (os.putenv, ('A=', 'x')),\n"
        "                        (os.putenv, ('A', 'x\\0')), (os.unsetenv, ()), (os.unsetenv, (5,)), (os.unsetenv, ('A=',)), (os.system, ()), (os.system, (5,)),\n"
        "                        (os.waitpid, (1,)), (os.waitpid, ('x', 1)), (os._exit, ('x',)), (os.posix_spawn, ('x',)), (os.execv, ('x',))):\n"
        "    try: call(*arguments)\n"
        "    except Exception as error: print(type(error), error)\n"
        "os.putenv('PYTHONPATH', pathlib.Path('/p'))\n"
    )
    alone, traced = (target.run(text, live=live) for live in (None, tmp_path / "live"))
    assert (traced.returncode, traced.stdout, traced.stderr) == (alone.returncode, alone.stdout, alone.stderr)


def test_a_program_lists_only_its_own_variables(tmp_path: Path) -> None:
    text = (
        "import os, posix; print(sorted(os.environ), sorted(posix.environ), os.getenv('IPCTRACE_RUN'), len(os.environ))"
    )
    alone, traced = (target.run(text, live=live, python=sys.executable) for live in (None, tmp_path / "live"))
    assert traced.stdout == alone.stdout
