"""What of a message's content may differ between two runs of one program: process ids, times, addresses in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A number with its signs, points and exponent; an address or digest in hexadecimal digits; the random part that
# tempfile gives a name. Longest first.
_VARIES = re.compile(
    rb"0[xX][0-9a-fA-F]+|\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4,})*\b|\btmp[a-z0-9_]{8}\b"
    rb"|\d+(?:[.,:]\d+)*(?:[eE][+-]?\d+)?"
)


def masked(payload: bytes, pids: Iterable[int] = ()) -> bytes:
    """The payload with every number, address and temporary name as `#`; the run's own pids as `#pid`."""
    own = {str(pid).encode() for pid in pids}
    return _VARIES.sub(lambda found: b"#pid" if found[0] in own else b"#", payload)


def is_text(payload: bytes) -> bool:
    """Whether a payload, as far as it was kept, is text. A pickle or a struct isn't: its numbers can't be masked."""
    if b"\0" in payload:
        return False
    try:
        payload.decode()
    except UnicodeDecodeError as problem:
        return problem.end == len(payload) and problem.start >= len(payload) - 3 > 0  # cut within a character
    return True
