"""How soon a deadlock is declared: from the moment when it closed to the moment when the program was frozen.

    python tests/bench/deadlock.py [REPEATS] [EVENTS]

As a share of a second, which is what the project promises; in the trace's own clock. First the chapter's deadlock, then
one that forms behind EVENTS calls (a million unless said otherwise) of two processes that work without pause.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, from a checkout

from tests import recorded

BUSY = """
import os, sys

there, here = os.pipe(), os.pipe()
child = os.fork() == 0
reader, writer = os.pipe()
for _ in range(int(sys.argv[1]) // 4):
    os.write(writer, b"x")
    os.read(reader, 1)
os.read((there if child else here)[0], 1)
"""


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    events = sys.argv[2] if len(sys.argv) > 2 else "1000000"
    with tempfile.TemporaryDirectory() as folder:
        busy = Path(folder, "busy.py")
        busy.write_text(BUSY)
        for program, *arguments in [("deadlock.py",)] * repeats + [(str(busy), events)] * repeats:
            run = recorded.record(Path(folder), program, *arguments).run
            assert run.analysis.graph is not None
            formed, stopped = run.analysis.graph.formed, run.facts["stopped"]
            late = (stopped - formed) / 1e9
            print(
                f"{late:5.2f} of a second, {formed / 1e9:5.1f} s into a run of {len(run.trace.events):,} events",
                flush=True,
            )


if __name__ == "__main__":
    main()
