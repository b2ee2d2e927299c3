"""The built-ins that communicate: print, input, open."""

from __future__ import annotations

import builtins
import io
import os
import stat
import sys
from _thread import get_ident

from . import table
from .calls import Call, first, install

_stat, _fstat = os.stat, os.fstat


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


class Input(Call):
    """input: around the flush and the read that it makes; on a terminal it reads in C, past every stream."""

    def begin(self, args, kwargs):
        return self.enter(self.op, 0, self.channel_of(0), 0, 0, table.NONE, self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, len(result))


class Open(Call):
    """open and io.open: over a pipe, FIFO, socket or terminal the stream counts; a plain file is C's own."""

    def __call__(self, *args, **kwargs):
        file = first(args, kwargs, "file")
        if not self._talks(file):
            return self.original(*args, **kwargs)
        try:
            arguments = _bind(*args, **kwargs)
        except (TypeError, ValueError):
            return self.original(*args, **kwargs)  # which says what is wrong with them
        if isinstance(file, int):
            return self.runtime.streams.open(*arguments)
        ticket = self.enter(self.op, -1, 0, 0, 0, table.NONE, self.here())
        try:
            stream = self.runtime.streams.open(*arguments)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.leave(ticket, stream.fileno())
        self.runtime.descriptors.held(stream.fileno())
        return stream

    def _talks(self, file):
        try:
            mode = _fstat(file).st_mode if isinstance(file, int) else _stat(file).st_mode
            if stat.S_ISCHR(mode):
                return isinstance(file, int) and os.isatty(file)
            return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        except (OSError, TypeError, ValueError):
            return False


def _bind(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    """The arguments of open in order, if they are such that open would accept them; else TypeError or ValueError."""
    letters = set(mode)
    text, binary = "t" in letters or "b" not in letters, "b" in letters
    if (
        letters - set("rwaxbt+")
        or len(mode) != len(letters)
        or len(letters & set("rwax")) != 1
        or (binary and "t" in letters)
    ):
        raise ValueError(mode)
    if binary and (encoding, errors, newline) != (None, None, None):
        raise ValueError(mode)
    if type(buffering) is not int or buffering < -1 or (buffering == 0 and text) or (binary and buffering == 1):
        raise ValueError(buffering)
    if newline not in (None, "", "\n", "\r", "\r\n"):
        raise ValueError(newline)
    if text and "+" in letters:
        raise ValueError(mode)  # not seekable: open has its own words for it
    return file, mode, buffering, encoding, errors, newline, bool(closefd), opener


def wrap(runtime):
    """Wrap the built-ins of this module."""
    install(Print(builtins.print, 0, runtime), "print", builtins)
    install(Input(builtins.input, table.CODE["input"], runtime), "input", builtins)
    install(Open(builtins.open, table.CODE["open"], runtime), "open", builtins, io)
