"""What a program prints must be what it prints untraced, its tracebacks too.

An exception that passes through a wrapper gains an entry for the wrapper's frame. It can't be prevented from inside; it
is taken out where tracebacks become text: in the hooks for uncaught exceptions, and in the module traceback.
"""

from __future__ import annotations

import builtins
import sys

from . import table
from .calls import like, ours

_GROUP = getattr(builtins, "BaseExceptionGroup", ())  # from 3.11 on
_UNCAUGHT = table.CODE["uncaught"]


def clean(traceback):
    """A traceback without our frames."""
    while traceback is not None and ours(traceback.tb_frame):
        traceback = traceback.tb_next
    entry = traceback
    while entry is not None:
        following = entry.tb_next
        while following is not None and ours(following.tb_frame):
            following = following.tb_next
        if following is not entry.tb_next:
            entry.tb_next = following
        entry = following
    return traceback


def clean_exception(error):
    """Clean an exception, all that it was raised from or in, and what a group holds: a walk, for chains may be deep."""
    seen, left = set(), [error]
    while left:
        error = left.pop()
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        if error.__traceback__ is not None:
            error.__traceback__ = clean(error.__traceback__)
        left += [error.__cause__, error.__context__]
        if isinstance(error, _GROUP):
            left += error.exceptions


def _words(exctype, value):
    """An exception's type and message, for its event."""
    try:
        return ("%s: %s" % (exctype.__name__, value)).encode("utf-8", "replace")
    except Exception:  # its own __str__ failed
        return exctype.__name__.encode("utf-8", "replace")


def wrap(runtime):
    """Clean what the hooks of sys get: for uncaught exceptions, and for those in a destructor or a last flush."""
    enter, leave = runtime.log.enter, runtime.log.leave
    original, unraisable = sys.excepthook, sys.unraisablehook

    def excepthook(exctype, value, traceback, /):
        if not isinstance(value, BaseException):
            return original(exctype, value, traceback)  # which says what is wrong with it
        words = _words(exctype, value)
        leave(enter(_UNCAUGHT, -1, 0, 0, 0, len(words), 0, words))
        clean_exception(value)
        return original(exctype, value, clean(traceback))

    def unraisablehook(args, /):
        try:
            clean_exception(args.exc_value)
            cleaned = type(args)((args.exc_type, args.exc_value, clean(args.exc_traceback), args.err_msg, args.object))
            return unraisable(cleaned)
        except (AttributeError, TypeError):  # not what the interpreter hands over; or PyPy's, which wants a traceback
            return unraisable(args)

    sys.excepthook = sys.__excepthook__ = like(original, excepthook)
    sys.unraisablehook = sys.__unraisablehook__ = like(unraisable, unraisablehook)


def wrap_traceback(runtime, module):
    """Clean what the module traceback makes text of."""
    original, extract, walk = module.TracebackException.__init__, module.extract_tb, module.walk_tb
    frames = module.walk_stack

    def __init__(self, exc_type, exc_value, exc_traceback, *args, **kwargs):
        clean_exception(exc_value)
        original(self, exc_type, exc_value, clean(exc_traceback), *args, **kwargs)

    def extract_tb(tb, *args, **kwargs):
        return extract(clean(tb), *args, **kwargs)

    def walk_tb(tb):
        return walk(clean(tb))

    def walk_stack(f):
        # The stack of a thread's function, and of a signal's handler, has frames of ours further out. Without a frame
        # to begin with, the original counts the frames from its own caller on, which must stay who it is.
        return frames(f) if f is None else (pair for pair in frames(f) if not ours(pair[0]))

    module.TracebackException.__init__ = like(original, __init__)
    module.walk_stack = like(frames, walk_stack)
    module.extract_tb, module.walk_tb = like(extract, extract_tb), like(walk, walk_tb)


def wrap_threading(runtime, module):
    """Record an exception that ends a thread, and clean what threading prints of it."""
    enter, leave = runtime.log.enter, runtime.log.leave
    original = getattr(module, "excepthook", None)
    if original is None:
        return

    def excepthook(args, /):
        if args.exc_type is not SystemExit:  # which ends it quietly
            words = _words(args.exc_type, args.exc_value)
            leave(enter(_UNCAUGHT, -1, 0, 0, 0, len(words), 0, words))
        clean_exception(args.exc_value)
        if args.exc_traceback is not None:
            args = module.ExceptHookArgs((args.exc_type, args.exc_value, clean(args.exc_traceback), args.thread))
        original(args)

    module.excepthook = module.__excepthook__ = like(original, excepthook)


def wrap_tasks(runtime, module):
    """Clean what Task.get_stack and Task.print_stack tell of a task that has failed."""
    original = module._task_get_stack

    def _task_get_stack(task, *args, **kwargs):
        clean_exception(getattr(task, "_exception", None))
        return original(task, *args, **kwargs)

    module._task_get_stack = like(original, _task_get_stack)


PATCHES = {"traceback": wrap_traceback, "threading": wrap_threading, "asyncio.base_tasks": wrap_tasks}
