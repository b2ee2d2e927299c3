"""sys.settrace: a debugger steps from the program's line into what it calls, and not into us.

What profiles or monitors (sys.setprofile, sys.monitoring, cProfile, a tracer written in C) sees our functions.
"""

from __future__ import annotations

import os
import sys

from .calls import Call, install, ours

_PATHS = os.path.abspath.__code__.co_filename  # what we call of the library for our own sake

_gettrace, _settrace = sys.gettrace, sys.settrace


def unseen(function, *args):
    """Call a function of ours that imports, so that no frame of importlib's is traced for it."""
    tracer = _gettrace()
    if tracer is None:
        return function(*args)
    _settrace(None)
    try:
        return function(*args)
    finally:
        _settrace(tracer)


class Tracer:
    """What the interpreter calls as a frame begins, in place of the program's trace function: what that returns is
    called for the frame's lines then, and is the program's own. The program never sees this one."""

    __slots__ = ("function",)

    def __init__(self, function):
        self.function = function

    def __call__(self, frame, event, argument):
        caller = frame
        while caller is not None and caller.f_code.co_filename == _PATHS:
            caller = caller.f_back
        return None if caller is not None and ours(caller) else self.function(frame, event, argument)


class SetTrace(Call):
    """sys.settrace, and the same for all threads. It isn't recorded."""

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and args[0] is not None and not kwargs:
            args = (Tracer(args[0]),)
        return self.original(*args, **kwargs)


class GetTrace(Call):
    """sys.gettrace."""

    def __call__(self, *args, **kwargs):
        function = self.original(*args, **kwargs)
        return function.function if type(function) is Tracer else function


def wrap(runtime):
    """Wrap them."""
    for call, name in ((SetTrace, "settrace"), (SetTrace, "_settraceallthreads"), (GetTrace, "gettrace")):
        if hasattr(sys, name):
            install(call(getattr(sys, name), 0, runtime), name, sys)
