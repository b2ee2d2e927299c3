"""What `ipctrace fix` prints: each remedy with what became of it, then the change to make."""

from __future__ import annotations

from dataclasses import replace

from ipctrace.analysis.remedies import Change, Fixes, Outcome
from ipctrace.reports import fixes as report
from ipctrace.reports.ink import Ink

DIFF = '--- a/talk.py\n+++ b/talk.py\n@@ -1 +1 @@\n-print("a")\n+print("a", flush=True)\n'
FOUND = Fixes(
    "talk.py",
    "deadlock",
    "IPC101",
    "Parent and child each wait. The 2 bytes are stuck.",
    945_000_000,
    10,
    outcomes=(
        Outcome("flush", "cured", "", Change("flush after the write at talk.py:1", {"talk.py": ""}), 1_270_000_000, 14, 3, 3),
        Outcome("-u", "cured", "", Change("the program started with python -u", interpreter=("-u",)), 1_280_000_000, 9, 3, 3),
        Outcome("open mode", "inapplicable", "nothing in the source opens that stream"),
        Outcome("socket pair", "hangs", "Parent and child each wait.", Change("sockets"), held=0, tries=1),
    ),
    diffs={"flush": DIFF},
)  # fmt: skip


def said(found: Fixes, **ink: bool) -> str:
    return "\n".join(report.lines(found, Ink(**ink), [("apply", "ipctrace fix --diff talk.py | patch -p1")]))


def test_the_whole_of_it() -> None:
    assert (
        said(FOUND)
        == """\
deadlock[IPC101]: parent and child each wait; the 2 bytes are stuck
  hung after 945 ms, and 10 calls that read or wrote

  flush                   cured             1.27 s      14 calls (+4)  held 3 of 3
      flush after the write at talk.py:1
  -u                      cured             1.28 s       9 calls (-1)  held 3 of 3
      the program started with python -u
  open mode               not applicable
      nothing in the source opens that stream
  socket pair             still hangs
      Parent and child each wait.

  remedy: flush after the write at talk.py:1
  --- a/talk.py
  +++ b/talk.py
  @@ -1 +1 @@
  -print("a")
  +print("a", flush=True)
  tried: completed in 1.27 s, 3 of 3 times

  apply     ipctrace fix --diff talk.py | patch -p1"""
    )


def test_where_nothing_cures_it_says_why() -> None:
    found = replace(FOUND, outcomes=FOUND.outcomes[2:], diffs={}, unlisted="only its author knows")
    assert "no listed remedy cures it: only its author knows" in said(found)
    assert "no listed remedy fits: only its author knows" in said(replace(found, outcomes=()))


def test_a_program_that_hangs_now_and_then_is_called_that() -> None:
    assert "it hangs only sometimes: 2 of 3 runs without a change" in said(replace(FOUND, hangs=2, runs=3))
    assert "sometimes" not in said(FOUND)


def test_what_a_program_wrote_cannot_paint_the_terminal() -> None:
    evil = Outcome("flush", "damaged", "it no longer prints '\x1b[2J'", Change("x"))
    text = said(replace(FOUND, outcomes=(evil,), diffs={}, unlisted="no"), colour=True)
    assert "\x1b[2J" not in text and "\\x1b[2J" in text
    assert "\x1b[33mno cure" in text


def test_json_has_all_of_it() -> None:
    found = report.to_json(FOUND)
    assert (found["version"], found["cured"], found["hung"]) == (report.VERSION, True, 945_000_000)
    flush, unbuffered, mode, sockets = found["remedies"]
    assert (flush["diff"], flush["status"], flush["held"]) == (DIFF, "cured", 3)
    assert unbuffered["interpreter"] == ["-u"] and unbuffered["diff"] is None
    assert (mode["what"], mode["why"]) == (None, "nothing in the source opens that stream")
    assert sockets["status"] == "hangs"
