"""`ipctrace …` and `python -m ipctrace …`."""

from __future__ import annotations

import sys

from ipctrace.cli import run


def main() -> None:
    """Run the command line of this process and end with its status."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
