"""What stands in the place of a wrapped function.

Not a function: the standard library puts os.read and os.write in class bodies and default arguments
(multiprocessing.connection), where a function would gain a `self`. An instance with __call__ has no __get__.
It pickles as the function it stands for (pool.map(time.sleep, ...)), looks like it, and is in the same sets of os.
"""

from __future__ import annotations

import os
import sys
from sys import _getframe

from .sites import MARK, is_ours


def ours(frame):
    """Whether a frame is the recorder's and not the program's."""
    return is_ours(frame.f_code)


def program_frame(frame):
    """The first frame from `frame` outwards that isn't ours: the program's, or the library's. None if there is none:
    the interpreter itself called, at its end."""
    while frame is not None and ours(frame):
        frame = frame.f_back
    return frame


# What `located` returns, without a place of its own; on one line, since the place is the first line of its code
direct = lambda function, args, kwargs: function(*args, **kwargs)  # noqa: E731


def located(frame):
    """What calls a function (function, args, kwargs) as the line that `frame` is at would call it; None: no line does.

    C places its warnings in the innermost frame of Python code, where their filters and registries are looked up too
    (os.fork() in a process with threads warns in __main__ and nowhere else), and tracemalloc places there what is
    allocated: without this, in ours.
    """
    file, line, names = (
        ("sys", 1, sys.__dict__) if frame is None else (frame.f_code.co_filename, frame.f_lineno or 1, frame.f_globals)
    )
    code = direct.__code__.replace(co_filename=file, co_firstlineno=line, co_name=MARK)
    return type(direct)(code, names)


def as_caller(function, args, kwargs):
    """Call a function that may warn, as the line that called the wrapper would call it."""
    return located(program_frame(_getframe(1)))(function, args, kwargs)


_BUILTIN = type(len)


class Call:
    """A wrapped call: `begin` records its enter and `end` its exit, around the original.

    Its class is named as theirs is that most originals have: messages say the name, as in print[1], os.read + 1.
    """

    def __init_subclass__(cls):
        cls.__name__ = cls.__qualname__ = _BUILTIN.__name__
        cls.__module__ = _BUILTIN.__module__

    def __init__(self, original, op, runtime):
        self.original, self.op, self.runtime = original, op, runtime
        self.enter, self.leave, self.got, self.fail = (
            runtime.log.enter, runtime.log.leave, runtime.log.got, runtime.log.fail,
        )  # fmt: skip
        self.here = runtime.sites.here
        self.known, self.channel_of = runtime.descriptors.known, runtime.descriptors.channel_of
        self.__wrapped__ = original
        for name in ("__name__", "__qualname__", "__module__", "__doc__", "__text_signature__", "__self__"):
            try:
                setattr(self, name, getattr(original, name))
            except AttributeError:
                pass

    def __call__(self, *args, **kwargs):
        ticket = self.begin(args, kwargs)
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.end(ticket, result, args)
        return result

    def begin(self, args, kwargs):
        """Record the enter; returns the ticket."""
        return self.enter(self.op, -1, 0, 0, 0, 0, self.here())

    def end(self, ticket, result, args):
        """Record the exit."""
        self.leave(ticket)

    def __repr__(self):
        return repr(self.original)

    def __reduce__(self):
        return self.__name__


Call.__init_subclass__()


def install(wrapper, name, *modules):
    """Put `wrapper` wherever `modules` hold the original under `name`, and into the sets of os that hold it."""
    for module in modules:
        if getattr(module, name, None) is wrapper.original:
            setattr(module, name, wrapper)
    for known in ("supports_fd", "supports_dir_fd", "supports_effective_ids", "supports_follow_symlinks"):
        # shutil.rmtree asks `{os.open, ...} <= os.supports_dir_fd` before it dares the safe way
        members = getattr(os, known, ())
        if wrapper.original in members:
            members.add(wrapper)


def like(original, function):
    """`function`, named as the function or method that it replaces."""
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(function, name, getattr(original, name, None))
    function.__wrapped__ = original
    return function


def disguise(function, original):
    """Let the frames of `function` lie in the original's file, for a warning that looks for the first frame outside of
    it; tracebacks.py takes them out by their name. The original is written in Python."""
    function.__code__ = function.__code__.replace(co_filename=original.__code__.co_filename, co_name=MARK)
    return function


def method(runtime, owner, name, begin, end=None):
    """Put in the place of a method of a Python class a function that records it.

    `begin(self, args, kwargs)` records the enter and returns the ticket; None: this call isn't worth a record.
    `end(ticket, self, result, args, kwargs)` records the exit; without it the exit has no result.
    """
    original = getattr(owner, name)
    fail, leave = runtime.log.fail, runtime.log.leave

    def recorded(self, /, *args, **kwargs):  # the program may have a keyword `self`: submit(f, self=1)
        ticket = begin(self, args, kwargs)
        if ticket is None:
            return original(self, *args, **kwargs)
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            fail(ticket, error)
            raise
        if end is None:
            leave(ticket)
        else:
            end(ticket, self, result, args, kwargs)
        return result

    setattr(owner, name, like(original, recorded))


def first(args, kwargs, name, default=None):
    """The first argument, given by position or as `name`."""
    return args[0] if args else kwargs.get(name, default)


# What arises while we look at arguments that are wrong: then the call itself says so. Not every exception: what a
# signal's handler raises just then is meant for the program.
WRONG = (TypeError, ValueError, LookupError, AttributeError, OverflowError, NotImplementedError)


def named(names, args, kwargs):
    """Arguments by name."""
    given = dict(zip(names, args))  # noqa: B905  (`strict` came with 3.10)
    given.update(kwargs)
    return given


POSIX = sys.modules.get("posix") or sys.modules.get("nt")
