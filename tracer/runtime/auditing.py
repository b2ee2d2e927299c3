"""sys.addaudithook: a hook is told what the program does, and not what we do to record it.

A hook that prints would never end: its print is recorded, for that a frame is looked at, and of that it is told.
"""

from __future__ import annotations

import sys
from _thread import _local
from sys import _getframe

from . import log
from .calls import Call, install, ours

_LOOKING = ("sys._getframe", "object.__getattr__")  # at frames, and at their code
_MAPPING = ("open", "os.posix_fallocate", "os.truncate", "mmap.__new__")  # the log grows
_LOG = log.Log.begin.__code__.co_filename


class Hook:
    """What the interpreter calls in place of the program's hook."""

    __slots__ = ("busy", "hook")

    def __init__(self, hook):
        self.hook, self.busy = hook, _local()

    def __call__(self, event, args):
        if event in _LOOKING or event in _MAPPING:
            busy = self.busy
            if getattr(busy, "looking", False):
                return  # it is this very look
            busy.looking = True
            try:
                frame = _getframe(1)
                mine = ours(frame) if event in _LOOKING else frame.f_code.co_filename == _LOG
            finally:
                busy.looking = False
            if mine:
                return
        self.hook(event, args)

    def __getattr__(self, name):
        return getattr(self.hook, name)  # __cantrace__


class AddHook(Call):
    """sys.addaudithook. It isn't recorded."""

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and not kwargs:
            args = (Hook(args[0]),)
        elif not args and list(kwargs) == ["hook"]:
            kwargs = {"hook": Hook(kwargs["hook"])}
        return self.original(*args, **kwargs)


def wrap(runtime):
    """Wrap it."""
    if hasattr(sys, "addaudithook"):  # not PyPy's
        install(AddHook(sys.addaudithook, 0, runtime), "addaudithook", sys)
