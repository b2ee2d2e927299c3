"""`ipctrace …` and `python -m ipctrace …`."""

from __future__ import annotations

import sys

from ipctrace.cli import run
from ipctrace.heap import keep_what_is_freed


def main() -> None:
    """Run the command line of this process and end with its status."""
    keep_what_is_freed()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
