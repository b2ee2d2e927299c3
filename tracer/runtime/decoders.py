"""Bytes that end within a character, decoded by themselves.

A program may handle the error and go on without a word, so it is recorded where it arises: a strict decoder asks the
registry of codecs for what to do with bytes that it can't decode, and does so then only. What comes after that is as
it would have been, and so is everything else that the handler of errors is asked.
"""

from __future__ import annotations

import _codecs
import sys

from . import table
from .calls import Call

_CUT = "unexpected end of data"  # what C's decoder of UTF-8 says of them


class Strict(Call):
    """The handler of errors that raises them: size = length of what was decoded, payload = the beginning of a character
    at its end."""

    def __call__(self, *args, **kwargs):
        error = args[0] if args else None
        if type(error) is UnicodeDecodeError and error.reason == _CUT and type(error.object) is bytes:
            data = error.object
            self.leave(self.enter(self.op, -1, 0, 0, 0, len(data), self.here(), data[error.start :], 0, True))
        return self.original(*args, **kwargs)


def wrap(runtime):
    """Put ours in the place of the handler `strict`. PyPy's decoders don't ask for it."""
    if sys.implementation.name == "cpython":
        _codecs.register_error("strict", Strict(_codecs.lookup_error("strict"), table.CODE["decode"], runtime))
