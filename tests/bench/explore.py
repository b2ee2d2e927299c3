"""How soon `ipctrace explore` finds a race, how surely an enforced replay shows it again, and what plain repetition does.

    python tests/bench/explore.py [--plain 1000] [--replays 50] [--runs 100] [--jobs 4] [PROGRAM …]

For each program of tests/programs/races: it is run by itself `--plain` times; explored, in up to `--runs` runs, with
three seeds; and the failing trace of the first is replayed with `--enforce` `--replays` times. Prints a line each, and
ends with 1 where something isn't as it should be: a race that plain repetition finds too, that exploring doesn't, or
that fewer than 49 of 50 enforced replays show. With `--runs 0` nothing is explored and replayed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ipctrace
from ipctrace.enforcing import enforce
from ipctrace.replaying import checked

RACES = Path(__file__).parent.parent / "programs" / "races"
SEEDS = (0, 1, 2)
PATIENCE = 15  # seconds after which a program that is run by itself counts as hung


def fails(program: Path) -> bool:
    """Whether one run by itself fails."""
    running = subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        return running.wait(PATIENCE) != 0
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return True


def bench(program: Path, options: argparse.Namespace) -> bool:
    """One program; whether all is as it should be."""
    print(f"{program.stem}:", flush=True)
    begun = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        plain = sum(pool.map(fails, [program] * options.plain))
    print(f"  by itself   {plain:>4} of {options.plain:,} runs failed  ({time.monotonic() - begun:.0f} s)", flush=True)
    good = plain == 0
    if not options.runs:
        return good
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for seed in SEEDS:
            begun = time.monotonic()
            made = ipctrace.explore([str(program)], runs=options.runs, seed=seed, out=Path(folder) / f"{seed}.ipctrace")
            what = f"found in run {made.found.number + 1}: {made.found.failure}" if made.found else "not found"
            print(f"  explored    seed {seed}: {what}  ({time.monotonic() - begun:.0f} s)", flush=True)
            good &= made.found is not None
            first = first or made.trace
        if first is None:
            return False
        recorded, shown = ipctrace.load(first), 0
        begun = time.monotonic()
        for _ in range(options.replays):
            replayed = enforce(
                recorded, checked(recorded), Path(folder) / "enforced.ipctrace", output=Path(folder) / "out"
            )
            shown += not (replayed.verdict or replayed.output)
        took = (time.monotonic() - begun) / max(1, options.replays)
        print(f"  enforced    {shown:>4} of {options.replays} replays failed alike  ({took:.1f} s each)", flush=True)
    return good and shown * 50 >= options.replays * 49


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", type=Path)
    parser.add_argument("--plain", type=int, default=1000)
    parser.add_argument("--replays", type=int, default=50)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=4, help="runs by itself at a time")
    options = parser.parse_args()
    results = [bench(program, options) for program in options.programs or sorted(RACES.glob("*.py"))]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
