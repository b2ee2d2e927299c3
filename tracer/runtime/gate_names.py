"""Names in the file system, looked at and changed: what a check and an act that do not belong together are made of.

Only at the gate, and only as the program itself asks: importlib has the functions of `posix` for its own, which stay.
"""

from __future__ import annotations

import os

from . import table
from .calls import WRONG, Call, install

_TWO = ("rename", "replace", "link", "symlink")
_NAMES = (
    "stat", "lstat", "access", "listdir", "scandir", "readlink", "remove", "mkdir", "rmdir", "truncate", *_TWO,
)  # fmt: skip


class Name(Call):
    """A call about a name, or two: the payload."""

    def __call__(self, *args, **kwargs):
        try:
            names = [os.fsencode(name) for name in args[: 2 if self.__name__ in _TWO else 1] if type(name) is not int]
        except WRONG:
            names = []
        if not names:  # a descriptor, the working directory, or wrong arguments
            return self.original(*args, **kwargs)
        ticket = self.enter(self.op, -1, 0, 0, 0, table.NONE, self.here(), b"\0".join(names), 0, True)
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.leave(ticket)
        return result


def wrap(runtime):
    """Wrap the calls of this module in os, and there alone."""
    for name in _NAMES:
        if hasattr(os, name):
            install(Name(getattr(os, name), table.CODE["os." + name], runtime), name, os)
    install(Name(os.unlink, table.CODE["os.remove"], runtime), "unlink", os)
