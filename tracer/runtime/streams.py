"""Which streams are rebuilt on counting layers, and how each is buffered and why.

The standard streams, and what open() and os.fdopen() return over a pipe, FIFO, socket or terminal, get the same layers
and settings as the interpreter gives them, on the classes of layers.py. Plain files stay as they are.
"""

from __future__ import annotations

import io
import os
import sys

from .layers import LAYERS, Account, Layers


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
        self.layers = Layers(self.runtime)
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
        if writes and mode != "default" and (name == "stdout" or mode == "none"):
            unbuffered = through = mode == "none"
            line = mode == "line"
            why = "ipctrace --buffering " + mode
        kind = "w" if writes else "r"
        lower, account = self._lower(
            "sys." + name, kind, raw.mode, raw.fileno(), raw.name, False, unbuffered, True, -1, line, through, why
        )
        return self._text(account, lower, old.encoding, old.errors, "\n", line, through)

    def _lower(
        self, name, mode, raw_mode, file, raw_name, closefd, unbuffered, text, size, line, through, why, opener=None
    ):
        """Everything below the text layer, and its account. `file` is a descriptor or a path to open."""
        layers = self.layers
        raw = layers.FileIO(file, raw_mode, closefd=closefd, opener=opener)
        raw.name = raw_name
        block = size if size > 1 else _block_size(raw)
        buffering = "none" if through or (unbuffered and not text) else "line" if line else "block"
        layer = "text" if text else "raw" if unbuffered else "binary"
        fd = raw.fileno()
        account = raw._ipctrace = self.account(
            fd, name.format(fd=fd), mode, layer, buffering, 0 if unbuffered else block, why, closefd
        )
        if unbuffered:
            return raw, account
        counting = {"r": layers.BufferedReader, "w": layers.BufferedWriter, "rw": layers.BufferedRandom}[mode]
        buffer = counting(raw, block)
        buffer._ipctrace = account
        return buffer, account

    def _text(self, account, lower, encoding, errors, newline, line, through):
        text = self.layers.TextIOWrapper(lower, encoding, errors, newline, line, through)
        text._ipctrace = account
        written = os.linesep if newline is None else newline
        text._ipctrace_newline = written if written in ("\r", "\r\n") else ""
        account.encoding = text.encoding
        account.define()
        return text

    def open(self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
        """io.open over something that isn't a plain file, on counting layers. The arguments have been found valid."""
        text, updating = "b" not in mode, "+" in mode
        kind = "w" if "w" in mode or "a" in mode or "x" in mode else "r"
        raw_mode = "".join(letter for letter in mode if letter in "rwax+")
        line = buffering == 1 and text
        why = "open()'s default" if buffering < 0 else "asked for by open()"
        lower, account = self._lower(
            "open(fd {fd})", "rw" if updating else kind, raw_mode, file, file, closefd, buffering == 0, text, buffering,
            line, False, why, opener,
        )  # fmt: skip
        self.runtime.descriptors.gone(account.fd)
        if not text:
            account.define()
            return lower
        try:
            wrapped = self._text(account, lower, encoding, errors, newline, line, False)
        except BaseException:  # an encoding that isn't there
            lower.close()
            raise
        wrapped.mode = mode
        return wrapped

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
    if name == "stderr" and sys.version_info >= (3, 9):
        return "stderr always is"
    return "a terminal when Python started" if raw.isatty() else "not a terminal when Python started"


def unbuffered():
    """Whether Python was told (-u, PYTHONUNBUFFERED) not to buffer; asked before the streams are rebuilt."""
    return getattr(sys.__stdout__, "write_through", False)
