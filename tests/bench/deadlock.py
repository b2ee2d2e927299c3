"""How soon a deadlock is declared: from the moment when it closed to the moment when the program was frozen.

    python tests/bench/deadlock.py [REPEATS]

As a share of a second, which is what the project promises; in the trace's own clock.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, from a checkout

from tests import recorded


def main() -> None:
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        with tempfile.TemporaryDirectory() as folder:
            run = recorded.record(Path(folder), "deadlock.py").run
            assert run.analysis.graph is not None
            formed, stopped = run.analysis.graph.formed, run.facts["stopped"]
            print(f"{(stopped - formed) / 1e9:5.2f} of a second")


if __name__ == "__main__":
    main()
