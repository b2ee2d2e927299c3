"""The built-ins that communicate: print, input, open."""

from __future__ import annotations

import builtins
import io
import os
import stat
import sys
from _thread import get_ident
from sys import _getframe

from . import table
from .calls import WRONG, Call, direct, install, located
from .descriptors import Opening, silent
from .streams import mode_of

_fstat = os.fstat
_TEXT = (str, type(None))


class Print(Call):
    """print: marks what it hands to a counting stream as printed; the stream records it."""

    def __call__(self, *args, **kwargs):
        file = kwargs.get("file")
        if file is None:
            file = getattr(sys, "stdout", None)
        if type(file) is not self.runtime.streams.layers.TextIOWrapper:
            return self.original(*args, **kwargs)
        account = file._ipctrace
        outer, account.printing = account.printing, get_ident()
        try:
            return self.original(*args, **kwargs)
        finally:
            account.printing = outer

    def __rshift__(self, file):
        return self.original >> file  # `print >> sys.stderr, ...` is answered by what to write in its place


class Input(Call):
    """input: around the flush and the read that it makes; on a terminal it reads in C, past every stream."""

    def begin(self, args, kwargs):
        return self.enter(self.op, 0, self.channel_of(0), 0, 0, table.NONE, self.here())

    def end(self, ticket, result, args):
        self.got(ticket, result.encode("utf-8", "surrogateescape"), len(result))


class Open(Call):
    """open and io.open: over a pipe, FIFO, socket or terminal the stream counts; of a plain file the raw layer does."""

    def __init__(self, original, op, runtime):
        super().__init__(original, op, runtime)
        # who is told the line that opened a file: EncodingWarning, and tracemalloc (a module only where it is asked)
        self.placed = (
            getattr(sys.flags, "warn_default_encoding", 0)
            or "tracemalloc" in sys._xoptions
            or bool(os.environ.get("PYTHONTRACEMALLOC"))
        )

    def __call__(self, *args, **kwargs):
        frame = _getframe().f_back
        if silent(frame):
            return self.original(*args, **kwargs)
        plan = self.plan(args, kwargs)
        if plan is None:  # open itself says what is wrong with its arguments; or it is nobody's business
            return located(frame)(self.original, args, kwargs)
        make, arguments, opening = plan
        call = located(frame) if self.placed or "_tracemalloc" in sys.modules else direct
        if opening is None:
            return make(call, *arguments)
        flags = mode_of(arguments[1]).flags
        ticket = self.enter(
            self.op, -1, opening.channel, 0, 0, flags, self.here(), os.fsencode(arguments[0]), opening.flags, True
        )
        try:
            stream = make(call, *arguments)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        fd = stream.fileno()
        self.leave(ticket, fd, self.runtime.descriptors.opened(ticket, opening, fd, flags, stays=True))
        return stream

    def plan(self, args, kwargs):
        """Who opens it, with which arguments, and what the opening is about to do (None: it is open); None: not us."""
        streams = self.runtime.streams
        try:
            arguments = _bind(*args, **kwargs)
            file, mode, buffering, opener = arguments[0], mode_of(arguments[1]), arguments[2], arguments[7]
            if type(file) is int:
                opening, status, fd = None, _fstat(file), file
            else:
                file = os.fspath(file)
                opening = Opening(self.runtime.descriptors, None if opener else file, mode.flags)
                status, fd = opening.status, None
        except (*WRONG, OSError):
            return None
        if status is None or stat.S_ISREG(status.st_mode):
            make = streams.plain
        elif streams.talks(status, fd) and (buffering == 0 or not mode.updating):  # else it must be seekable
            make = streams.open
        else:
            return None
        return make, (file, *arguments[1:]), opening


def _bind(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    """The arguments of open in order, if they are such that open would accept them; else TypeError or ValueError."""
    text = mode_of(mode).text
    if not text and (encoding, errors, newline) != (None, None, None):
        raise ValueError(mode)
    if type(buffering) is not int or buffering < -1 or (buffering == 0 and text) or (buffering == 1 and not text):
        raise ValueError(buffering)
    if newline not in (None, "", "\n", "\r", "\r\n"):
        raise ValueError(newline)
    if not isinstance(encoding, _TEXT) or not isinstance(errors, _TEXT) or type(closefd) is not bool:
        raise TypeError(encoding, errors, closefd)
    return file, mode, buffering, encoding, errors, newline, closefd, opener


def wrap(runtime):
    """Wrap the built-ins of this module."""
    install(Print(builtins.print, 0, runtime), "print", builtins)
    install(Input(builtins.input, table.CODE["input"], runtime), "input", builtins)
    install(Open(builtins.open, table.CODE["open"], runtime), "open", builtins, io)
