"""Runs of one program compared with each other: nothing may differ but time, and of time nothing may be claimed.

    python tests/bench/compare.py [--pairs 20] [--repeats 7] [--level 0.01] [--traces DIR]

Records `pairs` times two settings that are one and the same, `repeats` runs each, in turns (so that a machine that gets
slower in between makes both slower), of several of the chapter's programs, and compares each pair as a whole, and run by
run; and, what costs no recording, the same runs dealt anew to the two settings, `--deals` times, each run against its
neighbour in time. Then one setting that really takes longer, which must be seen. Prints what was claimed, and how many claims the level
allows. Ends with status 1 where more were made, a difference was told that isn't one, or the longer run wasn't seen.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ipctrace.analysis.comparison import Comparison, compare
from ipctrace.analysis.comparison import numbers as measured
from ipctrace.analysis.results import Analysis

import ipctrace

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.recorded import record  # noqa: E402

PROGRAMS = ("pipes.py", "process_queue.py", "subprocesses.py", "sockets.py", "process_pool.py")
QUICK, SLOW = "0.02", "0.03"  # CHAPTER_SLEEP: pipes.py takes 12 of it


def recorded(folder: Path, program: str, sleep: str = QUICK) -> Analysis:
    """One run; where it was recorded before, that."""
    if (folder / "recorded.ipctrace" / "run.json").exists():
        return ipctrace.load(folder / "recorded.ipctrace").analysis
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(ipctrace.__file__).parent / "chapter" / program
    return record(folder, path, CHAPTER_SLEEP=sleep).run.analysis


def deal(made: Comparison, chance: random.Random, level: float) -> bool:
    """Whether anything is claimed once who of two neighbours is of which setting is a matter of chance."""
    numbers = made.numbers.copy()
    for first in range(0, len(numbers), 2):
        numbers.loc[first : first + 1, "setting"] = chance.sample([0, 1], 2)
    (told,) = measured.claims(numbers, made.settings, [(0, 1)], level)
    return any(claim.holds for claim in told)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--deals", type=int, default=50)
    parser.add_argument("--level", type=float, default=0.01)
    parser.add_argument("--traces", type=Path, help="record here, and use what lies here from before")
    wanted = parser.parse_args(arguments)
    claims = differences = tests = dealt = unlucky = 0
    chance = random.Random(0)
    with contextlib.ExitStack() as stack:
        name = wanted.traces or stack.enter_context(tempfile.TemporaryDirectory())
        for pair in range(wanted.pairs):
            program = PROGRAMS[pair % len(PROGRAMS)]
            runs, labels = [], []
            for repeat in range(wanted.repeats):
                for label in ("one", "other"):
                    runs.append(recorded(Path(name) / f"{pair}-{repeat}-{label}", program))
                    labels.append(label)
            made = [compare(runs, labels, wanted.level)]
            made += [compare(runs[k : k + 2], ["one", "other"], wanted.level) for k in range(0, len(runs), 2)]
            told = [claim for each in made for claim in each.pairs[0].claims]
            sure = [claim for claim in told if claim.holds]
            real = [one for each in made for one in each.pairs[0].differences if not one.chance]
            for _ in range(wanted.deals):
                dealt += 1
                unlucky += deal(made[0], chance, wanted.level)
            tests += len(told)
            claims += len(sure)
            differences += len(real)
            print(f"{pair + 1:>3}  {program:<18} {len(told):>3} measures, {len(sure)} claims, {len(real)} differences")
            for claim in sure:
                print(f"       claimed: {claim.measure}: {claim.words}")
            for one in real[:3]:
                print(f"       told: {one.kind}: {one.who}: {one.words}: {one.first} {one.second}")
        runs = [
            recorded(Path(name) / f"slow-{repeat}-{sleep}", "pipes.py", sleep)
            for repeat in range(wanted.repeats) for sleep in (QUICK, SLOW)
        ]  # fmt: skip
        slow = compare(runs, [QUICK, SLOW] * wanted.repeats, wanted.level).pairs[0]
    allowed = wanted.level * wanted.pairs
    seen = any(claim.holds and claim.measure == "duration" for claim in slow.claims)
    print(
        f"{wanted.pairs} pairs of one setting, {wanted.repeats} runs a side: {claims} false claims of {tests} measures"
    )
    print(
        f"  (at level {wanted.level:g} a comparison, {allowed:.2g} are to be expected), {differences} false differences"
    )
    print(f"the same runs dealt anew {dealt} times: a false claim in {unlucky} ({wanted.level * dealt:.2g} expected)")
    print(f"a run that takes longer is {'seen' if seen else 'not seen'}: {slow.headline}")
    for claim in slow.claims:
        if claim.holds:
            print(f"  {claim.measure}: {claim.words}")
    return int(claims > allowed or unlucky > 2 * wanted.level * dealt + 2 or bool(differences) or not seen)


if __name__ == "__main__":
    raise SystemExit(main())
