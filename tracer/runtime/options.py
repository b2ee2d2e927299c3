"""What record's options change in the program: the capacity of its pipes, multiprocessing's default start method.

Nothing is changed that the program asks for itself: a capacity that it sets, a start method that it names.
"""

from __future__ import annotations

import sys

from . import table

_SET_CAPACITY = 1031  # F_SETPIPE_SZ of Linux' fcntl(2); 3.10 was the first to have its name


def parsed(text):
    """The options in the run's variable: `line,pipe_size=4096,start_method=spawn,time=1` → a dictionary."""
    buffering, *others = text.split(",")
    options = dict(item.partition("=")[::2] for item in others)
    options["buffering"] = buffering
    return options


def resizer(size):
    """What gives the pipe behind a descriptor its capacity, `size` bytes, and returns what the system made of it."""
    known = "fcntl" in sys.modules
    try:
        from fcntl import fcntl
    except ImportError:
        return None
    if not known:
        sys.modules.pop("fcntl", None)  # the program, which hasn't imported it, imports one of its own

    def resize(fd):
        try:
            return fcntl(fd, _SET_CAPACITY, size)
        except (OSError, ValueError):  # more than this user may have; a system whose pipes are as they are
            return table.NONE

    return resize


def wrap_context(runtime, module):
    """Say which start method is this interpreter's own default, and put the one that was asked for in its place."""
    default = module._default_context
    runtime.log.define(table.INTERPRETER, "start_method", default._default_context._name)
    wanted = module._concrete_contexts.get(runtime.options.get("start_method"))
    if wanted is not None:
        default._default_context = wanted


PATCHES = {"multiprocessing.context": wrap_context}
