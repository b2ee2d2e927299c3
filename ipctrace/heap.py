"""The heap of the command line's own process.

Analysis makes and drops arrays of the size of the trace, hundreds of them. glibc maps each large one anew and unmaps it
again, so that the system clears its pages every time: of ten million events that is a quarter of all the work. Kept in
the heap, the next array takes the place of the last (mallopt(3)).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt(3), from malloc.h
_MOST = 2**31 - 1


def keep_what_is_freed() -> None:
    """From now on memory that is freed stays with this process. Where the C library isn't glibc, nothing is done."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library of the process itself
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _MOST)
