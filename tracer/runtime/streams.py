"""Which streams are rebuilt on counting layers, and how each is buffered and why.

The standard streams, and what open() and os.fdopen() return over a pipe, FIFO, socket or terminal, get the same layers
and settings as the interpreter gives them, on the classes of layers.py. Of a plain file only the raw layer is ours.
"""

from __future__ import annotations

import io
import os
import stat
import sys

from .calls import direct
from .files import raw_file
from .layers import LAYERS, Account, Layers

_TERMINALS = {4, 5, *range(136, 144)}  # major numbers: consoles, /dev/tty, pseudo-terminals
_MODES: dict = {}  # mode of open → Mode
_PYPY = sys.implementation.name == "pypy"  # there -u sets line_buffering, too
_LINES = sys.version_info >= (3, 9) and not _PYPY  # standard error is line-buffered, whatever it leads to
_ACCESS = {"r": 0, "w": os.O_CREAT | os.O_TRUNC, "x": os.O_CREAT | os.O_EXCL, "a": os.O_CREAT | os.O_APPEND}


class Mode:
    """What the mode of open says: ValueError for one that isn't valid (or is to be warned of)."""

    __slots__ = ("flags", "kind", "layer", "raw", "text", "updating")

    def __init__(self, mode):
        letters = set(mode)
        access = letters & set(_ACCESS)
        if letters - set("rwaxbt+") or len(mode) != len(letters) or len(access) != 1 or {"b", "t"} <= letters:
            raise ValueError(mode)
        self.text, self.updating = "b" not in letters, "+" in letters
        self.raw = "".join(letter for letter in mode if letter in "rwax+")
        kind = "r" if "r" in letters else "w"
        self.kind = "rw" if self.updating else kind
        self.layer = {"r": io.BufferedReader, "w": io.BufferedWriter, "rw": io.BufferedRandom}[self.kind]
        # as FileIO hands them to open(2)
        self.flags = _ACCESS[access.pop()] | getattr(os, "O_CLOEXEC", 0)
        self.flags |= {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}[self.kind]


def mode_of(mode):
    """The Mode of a mode."""
    found = _MODES.get(mode)
    if found is None:
        found = _MODES[mode] = Mode(mode)
    return found


class Streams:
    """The streams of this process that count."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.accounts = {}
        self.count = 0
        self.layers = None
        self.lent = {}  # thread → the account of the socket's file that reads or writes through the socket just now
        self.replaced = []  # what the standard streams were: never closed, never freed while the program runs

    def begin(self):
        """In the log of a fork's child: it has its parent's streams, with the bytes that are stuck in them."""
        self.lent.clear()
        for account in list(self.accounts.values()):
            account.printing = 0
            account.define()

    def account(self, fd, name, mode, layer, buffering, buffer_size, why, owns=True):
        """The account of a new stack of layers. `owns`: closing the stream closes the descriptor."""
        self.count += 1
        account = self.accounts[self.count] = Account(
            self.runtime, self.count, fd, name, mode, layer, "", buffering, buffer_size, why, owns
        )  # fmt: skip
        return account

    def forget(self, account):
        """A stream is closed."""
        account.closed = True
        self.accounts.pop(account.number, None)

    def wrap_standard(self, mode):
        """Rebuild sys.stdin, stdout and stderr; `mode` is record's --buffering."""
        self.layers, self.raw_file = Layers(self.runtime), raw_file(self.runtime)
        for name in ("stdin", "stdout", "stderr"):
            old = getattr(sys, name, None)
            if type(old) is not io.TextIOWrapper or getattr(sys, "__%s__" % name) is not old:
                continue
            buffer = old.buffer
            raw = buffer if type(buffer) is io.FileIO else getattr(buffer, "raw", None)
            if type(raw) is not io.FileIO or type(buffer) not in LAYERS:
                continue
            new = self._standard(name, old, buffer, raw, mode)
            if name != "stdin":
                old.flush()
            new.__dict__.update(old.__dict__)  # create_stdio sets `mode` there
            self.replaced.append(old)
            setattr(sys, name, new)
            setattr(sys, "__%s__" % name, new)

    def _standard(self, name, old, buffer, raw, mode):
        writes = name != "stdin"
        unbuffered, line, through = buffer is raw, old.line_buffering, old.write_through
        why = _why_standard(name, raw, unbuffered)
        if writes and mode != "default":
            always = name == "stderr" and _LINES
            unbuffered = through = mode == "none"
            line = mode == "line" or (_PYPY if unbuffered else always)
            why = "stderr always is" if always and mode == "block" else "ipctrace --buffering " + mode
        kind = "w" if writes else "r"
        own = self.layers.FileIO(raw.fileno(), raw.mode, closefd=False)
        own.name = raw.name
        lower, account = self._lower("sys." + name, kind, own, unbuffered, True, -1, line, through, why)
        return self._text(account, lower, old.encoding, old.errors, "\n", line, through)

    def _lower(self, name, mode, raw, unbuffered, text, size, line, through, why, call=direct):
        """Everything between the text layer and the raw one, and the account of them all."""
        layers = self.layers
        block = size if size > 1 else _block_size(raw)
        buffering = "none" if through or (unbuffered and not text) else "line" if line else "block"
        layer = "text" if text else "raw" if unbuffered else "binary"
        fd = raw.fileno()
        account = raw._ipctrace = self.account(
            fd, name.format(fd=fd), mode, layer, buffering, 0 if unbuffered else block, why, raw.closefd
        )
        if unbuffered:
            return raw, account
        counting = {"r": layers.BufferedReader, "w": layers.BufferedWriter, "rw": layers.BufferedRandom}[mode]
        buffer = call(counting, (raw, block), {})
        buffer._ipctrace = account
        return buffer, account

    def _text(self, account, lower, encoding, errors, newline, line, through, call=direct):
        text = call(self.layers.TextIOWrapper, (lower, encoding, errors, newline, line, through), {})
        text._ipctrace = account
        written = os.linesep if newline is None else newline
        text._ipctrace_newline = written if written in ("\r", "\r\n") else ""
        account.encoding = text.encoding
        account.define()
        return text

    def open(self, call, file, mode, buffering, encoding, errors, newline, closefd, opener):
        """io.open over what isn't a plain file, on counting layers. The arguments have been found valid; `call` calls
        what warns, or allocates what is given to the program."""
        facts = mode_of(mode)
        raw = call(self.layers.FileIO, (file, facts.raw, closefd, opener), {})
        return self._counting(call, raw, mode, buffering, encoding, errors, newline)

    def _counting(self, call, raw, mode, buffering, encoding, errors, newline):
        facts = mode_of(mode)
        line = facts.text and (buffering == 1 or (buffering < 0 and raw.isatty()))
        why = "asked for by open()" if buffering >= 0 else "a terminal" if line else "open()'s default"
        self.runtime.descriptors.known.pop(raw.fileno(), None)
        lower, account = self._lower(
            "open(fd {fd})", facts.kind, raw, buffering == 0, facts.text, buffering, line, False, why, call
        )
        if not facts.text:
            account.define()
            return lower
        try:
            wrapped = self._text(account, lower, encoding, errors, newline, line, False, call)
        except BaseException:  # an encoding that isn't there
            lower.close()
            raise
        wrapped.mode = mode
        return wrapped

    def plain(self, call, file, mode, buffering, encoding, errors, newline, closefd, opener):
        """io.open over a plain file: C's own layers over our raw one."""
        facts = mode_of(mode)
        raw = call(self.raw_file, (file, facts.raw, closefd, opener), {})
        if opener is not None and self.talks(os.fstat(raw.fileno()), raw.fileno()) and not facts.updating:
            raw.__class__ = self.layers.FileIO  # nobody knew what the opener would open
            return self._counting(call, raw, mode, buffering, encoding, errors, newline)
        if buffering == 0:
            return raw
        result = raw
        try:
            size = buffering if buffering > 1 else _block_size(raw)
            result = call(facts.layer, (raw, size), {})
            if facts.text:
                line = buffering == 1 or (buffering < 0 and opener is not None and raw.isatty())
                result = call(io.TextIOWrapper, (result, encoding, errors, newline, line), {})
                result.mode = mode
            return result
        except BaseException:  # an encoding that isn't there
            result.close()
            raise

    @staticmethod
    def talks(status, fd=None):
        """Whether somebody else is at the other end of what stat describes; of a name (no `fd`), once it is opened."""
        mode = status.st_mode
        if stat.S_ISCHR(mode):
            return os.major(status.st_rdev) in _TERMINALS if fd is None else os.isatty(fd)
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

    def adopt(self, stream):
        """A text layer that somebody (subprocess) put on a counting binary stream: rebuild it on the same account."""
        account = getattr(getattr(stream, "buffer", None), "_ipctrace", None)
        if type(stream) is not io.TextIOWrapper or account is None:
            return stream
        encoding, errors, line, through = stream.encoding, stream.errors, stream.line_buffering, stream.write_through
        account.layer, account.buffering = "text", "line" if line else account.buffering
        return self._text(account, stream.detach(), encoding, errors, None, line, through)


def _block_size(raw):
    """The size that io.open gives a buffer: the file system's block, from 3.14 on at least the default size."""
    block = getattr(raw, "_blksize", io.DEFAULT_BUFFER_SIZE)
    if sys.version_info >= (3, 14):
        return max(min(block, 8 << 20), io.DEFAULT_BUFFER_SIZE)
    return block if block > 1 else io.DEFAULT_BUFFER_SIZE


def _why_standard(name, raw, unbuffered):
    if name != "stdin" and unbuffered:
        return "PYTHONUNBUFFERED is set" if os.environ.get("PYTHONUNBUFFERED") else "-u"
    if name == "stderr" and _LINES:
        return "stderr always is"
    return "a terminal when Python started" if raw.isatty() else "not a terminal when Python started"


def unbuffered():
    """Whether Python was told (-u, PYTHONUNBUFFERED) not to buffer; asked before the streams are rebuilt."""
    return getattr(sys.__stdout__, "write_through", False)
