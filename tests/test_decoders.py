"""Bytes that end within a character, decoded by themselves, as they are recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import target
from tests.interpreters import EACH

each_interpreter = pytest.mark.parametrize("python", EACH)
CUT = "data = 'xyé'.encode()[:3]\n"


def decoded(text: str, python: str, live: Path) -> tuple[list[tuple[int, bytes, int]], bytes, bytes]:
    """(size, payload, line) of each such event, and what the program printed."""
    done = target.run(text, live=live, python=python)
    (events,) = target.calls(live)
    return [(e.size, e.data, e.line) for e in events if e.op == "decode"], done.stdout, done.stderr


@each_interpreter
def test_it_is_told_also_where_the_error_is_handled(python: str, tmp_path: Path) -> None:
    text = CUT + "try: data.decode()\nexcept UnicodeDecodeError as error: print(error.reason, error.start)\n"
    events, output, _ = decoded(text, python, tmp_path / "live")
    assert output == b"unexpected end of data 2\n"
    assert events in ([(3, b"\xc3", 2)], []), "PyPy's decoders don't tell"


@each_interpreter
def test_the_traceback_is_what_it_is_untraced(python: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CUT + "data.decode()\n", "utf-8")
    plain, traced = (target.run(program, live=live, python=python) for live in (None, tmp_path / "live"))
    assert (plain.returncode, plain.stderr) == (traced.returncode, traced.stderr)


@each_interpreter
def test_other_errors_and_other_handlers_are_nobodys_business(python: str, tmp_path: Path) -> None:
    text = CUT + (
        "import codecs\n"
        "print(ascii(data.decode(errors='replace')), codecs.getincrementaldecoder('utf-8')().decode(data))\n"
        "for bad, codec in ((b'\\xff', 'utf-8'), (b'\\xff', 'ascii')):\n"
        "    try: bad.decode(codec)\n"
        "    except UnicodeDecodeError as error: print(error.reason)\n"
        "try: 'é'.encode('ascii')\n"
        "except UnicodeEncodeError as error: print(error.reason)\n"
        "try: codecs.lookup_error('strict')(1)\n"
        "except TypeError as error: print(error)\n"
    )
    plain = target.run(text, live=None, python=python)
    events, output, errors = decoded(text, python, tmp_path / "live")
    assert (output, errors) == (plain.stdout, plain.stderr)
    assert events == []
