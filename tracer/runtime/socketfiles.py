"""The streams that socket.makefile makes, on counting layers: bytes that their buffers hold back are counted.

At the bottom is Python's own SocketIO over the socket, on top the layers of layers.py. The bytes that pass below are
recorded by the socket's methods, to which a stream lends its account meanwhile. Where the socket sends in its own way
(ssl), its bytes on the wire aren't these; so that the account is right they are recorded here, without a channel.
"""

from __future__ import annotations

from _thread import get_ident

from . import table
from .calls import like
from .layers import called_by_layer

_WRITE = table.CODE["raw.write"]


class Files:
    """Replaces makefile, and the methods of SocketIO."""

    def __init__(self, runtime, module):
        self.runtime, self.module = runtime, module
        self.log, self.here, self.streams = runtime.log, runtime.sites.here, runtime.streams
        self.layers, self.pair = runtime.streams.layers, None

    def wrap(self):
        """Replace them."""
        owner, raw = self.module.socket, self.module.SocketIO
        owner.makefile = like(owner.makefile, self.makefile(owner.makefile))
        raw.readinto = like(raw.readinto, self.readinto(raw.readinto))
        raw.write = like(raw.write, self.write(raw.write, owner.send))
        raw.close = like(raw.close, self.close(raw.close))

    def makefile(self, original):
        """makefile, as the original has it but for the classes of the layers."""
        module, io = self.module, self.module.io

        def makefile(self_, mode="r", buffering=None, *, encoding=None, errors=None, newline=None):
            writing = "w" in mode if type(mode) is str else False
            reading = not writing or "r" in mode
            size = -1 if buffering is None else buffering
            if type(mode) is not str or not set(mode) <= {"r", "w", "b"} or type(size) is not int or size == 0:
                return original(self_, mode, buffering, encoding=encoding, errors=errors, newline=newline)
            binary = "b" in mode
            kind = "rw" if reading and writing else "w" if writing else "r"
            raw = module.SocketIO(self_, kind)
            self_._io_refs += 1
            why = "makefile()'s default" if size < 0 else "asked for by makefile()"
            size = io.DEFAULT_BUFFER_SIZE if size < 0 else size
            fd = raw.fileno()
            account = raw._ipctrace = self.streams.account(
                fd, "makefile(fd %d)" % fd, kind, "binary" if binary else "text", "block", size, why, False
            )
            if kind == "rw":
                self.pair = self.pair or self.layers.pair()
                buffer = self.pair(raw, raw, size)
            else:
                buffer = (self.layers.BufferedReader if reading else self.layers.BufferedWriter)(raw, size)
            buffer._ipctrace = account
            if binary:
                account.define()
                return buffer
            if hasattr(io, "text_encoding"):
                encoding = io.text_encoding(encoding)
            text = self.streams._text(account, buffer, encoding, errors, newline, False, False)
            text.mode = mode
            return text

        return makefile

    def readinto(self, original):
        """SocketIO.readinto: the socket's own record bears the stream's number."""
        lent, here = self.streams.lent, self.here

        def readinto(self_, b):
            account = self_.__dict__.get("_ipctrace")
            if account is None or account.closed:
                return original(self_, b)
            if not called_by_layer():
                account.site = here()
            thread = get_ident()
            lent[thread] = account
            try:
                return original(self_, b)
            finally:
                lent.pop(thread, None)

        return readinto

    def write(self, original, send):
        """SocketIO.write: what of the stream's bytes reaches the socket."""
        lent, here, log = self.streams.lent, self.here, self.log

        def write(self_, b):
            account = self_.__dict__.get("_ipctrace")
            if account is None or account.closed:
                return original(self_, b)
            size = 0
            if not called_by_layer():  # by the program, past the buffer
                account.site = here()
                size = memoryview(b).nbytes
                account.accepted += size
            if type(self_._sock).send is send:
                thread = get_ident()
                lent[thread] = account
                try:
                    return original(self_, b)
                finally:
                    lent.pop(thread, None)
            ticket = log.enter(_WRITE, -1, 0, account.number, account.reached, memoryview(b).nbytes, account.site, b)
            try:
                written = original(self_, b)
            except BaseException as error:
                log.fail(ticket, error, account.accepted - account.reached)
                raise
            account.reached += written or 0
            log.leave(ticket, written or 0, table.NONE, account.accepted - account.reached)
            return written

        return write

    def close(self, original):
        """SocketIO.close: the stream is gone, the socket perhaps not."""

        def close(self_):
            account = self_.__dict__.get("_ipctrace")
            if account is not None and not account.closed:
                self.streams.forget(account)
            return original(self_)

        return close
