#!/usr/bin/env python3
"""Try `ipctrace fix` on programs that hang, and print what cured each: how, how often it held, at what cost.

    python -m tests.bench.fix [--dir DIR] [--tries N] [--duration S] [--json FILE] [ID ...]

DIR holds a manifest.json, a list of objects with `id`, `program` and `kind` ("hang" is what is tried), and the programs
in a folder `programs`. Without --dir it is the bundled chapter's deadlock. Each program runs as it stands; beside what
cured it stands what its own docstring calls the fix, if it has such a line, for a person to compare. The change is
then applied to a copy by patch(1), and that copy is recorded: `diff` says whether it completes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ipctrace
from ipctrace import chapter, fixing


def applied(program: Path, diff: str, duration: float) -> str:
    """What becomes of a copy of the program with the diff applied."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, program.name)
        for beside in program.parent.glob("*.py"):
            Path(folder, beside.name).write_bytes(beside.read_bytes())
        name = re.search(r"^\+\+\+ b/(.*)$", diff, re.MULTILINE)
        depth = 1 + (name[1].count("/") if name else 0)
        done = subprocess.run(["patch", f"-p{depth}", "-s"], input=diff, text=True, cwd=folder, capture_output=True)
        if done.returncode:
            return f"does not apply: {done.stdout.strip()}"
        command = [sys.executable, "-m", "ipctrace", "record", "--no-report", "-q", "--out", f"{folder}/a.ipctrace",
                   "--duration", str(duration), "--", sys.executable, str(copy)]  # fmt: skip
        with Path(folder, "out").open("wb") as out:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=600)
        run = ipctrace.load(f"{folder}/a.ipctrace")
        return run.verdict.name if run.facts["status"] == 0 else f"{run.verdict.name}, status {run.facts['status']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--duration", type=float, default=8.0, help="seconds a program may take to hang")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ.pop("PYTHONUNBUFFERED", None)
    os.environ.setdefault("CHAPTER_SLEEP", "0.1")
    if options.dir:
        cases = json.loads((options.dir / "manifest.json").read_text())
        programs = [
            (each["id"], options.dir.resolve() / "programs" / each["program"])
            for each in cases
            if each["kind"] == "hang"
        ]
    else:
        programs = [("", chapter.FOLDER / "deadlock.py")]
    results, cured, none, broken = [], 0, 0, 0
    for number, program in programs:
        if options.ids and number not in options.ids:
            continue
        began = time.monotonic()
        found = fixing.fix([str(program)], tries=options.tries, duration=options.duration)
        wanted = re.search(r"^fix: (.*)$", program.read_text(), re.MULTILINE)
        print(f"{program.name}  {found.verdict}[{found.rule}]  ({time.monotonic() - began:.0f} s)", flush=True)
        for each in found.outcomes:
            took = f"{each.duration / 1e9:.2f} s {each.calls} calls" if each.duration else ""
            what = each.change.what if each.change and each.status == "cured" else each.why
            became = ""
            if each.status == "cured" and each.remedy in found.diffs:
                became = applied(program, found.diffs[each.remedy], recording_limit(options.duration))
                broken += became != "completed"
                became = f"[diff: {became}] "
            print(
                f"    {each.remedy:22} {each.status:12} {each.held}/{each.tries} {took:18} {became}{what}", flush=True
            )
        if not found.cures:
            print(f"    none: {found.unlisted or 'what fits does not cure it'}", flush=True)
        if wanted:
            print(f"    its own fix: {wanted[1]}", flush=True)
        cured, none = cured + bool(found.cures), none + (not found.cures)
        results.append(
            {"program": program.name, "cures": [each.remedy for each in found.cures], "unlisted": found.unlisted}
        )
    print(f"cured {cured}, none {none}, diffs that do not cure when applied {broken}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return int(broken > 0)


def recording_limit(duration: float) -> float:
    """What a mended program may take."""
    return max(duration, fixing.SHORTEST)


if __name__ == "__main__":
    sys.exit(main())
