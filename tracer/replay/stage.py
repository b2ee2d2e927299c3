"""Becomes the process that is replayed: puts descriptors where they were, then executes the program.

Run as a file, by the tool's own interpreter, isolated: `stage.py FILE`, where FILE holds, marshalled, what to execute.
"""

import contextlib
import marshal
import os
import sys
from pathlib import Path


def main() -> None:
    """Read what to do, do it, and be somebody else."""
    plan = marshal.loads(Path(sys.argv[1]).read_bytes())
    os.chdir(plan["cwd"])
    # out of the way first: a number that is wanted may be one that is still needed
    high = 1 + max([number for pair in plan["descriptors"] for number in pair], default=2)
    moved: dict[int, int] = {}
    for source, _ in plan["descriptors"]:
        if source not in moved:
            moved[source] = high + len(moved)
            os.dup2(source, moved[source], inheritable=False)
    wanted = {target for _, target in plan["descriptors"]}
    for number in range(high):
        if number not in wanted:
            with contextlib.suppress(OSError):
                os.close(number)
    for source, target in plan["descriptors"]:
        os.dup2(moved[source], target, inheritable=True)
    os.execve(plan["path"], plan["argv"], plan["environment"])


if __name__ == "__main__":
    main()
