"""The layers of a buffered stream, with an account: bytes accepted − bytes that reached the descriptor = bytes stuck.

A FileIO at the bottom, through which C's buffers do every read and write, and a TextIOWrapper or Buffered* at the top,
through which the program hands over its bytes. An `Account` belongs to one stack of layers. What an upper layer asks of
a lower one is not asked by the program, and isn't counted twice: it is told by the calling frame, which is then one of
this file (C has none between), and not by a mark that a signal's handler could see or leave behind.
"""

from __future__ import annotations

import io
import sys
from _thread import get_ident
from sys import _getframe

from . import table
from .calls import as_caller

# Encodings without a state, in which the bytes of a text can be counted as it is handed over
_EXACT = ("", "utf-8", "UTF-8", "ascii", "ANSI_X3.4-1968", "US-ASCII", "iso8859-1", "ISO-8859-1", "latin-1")
_WRITE, _FLUSH, _CLOSE = table.CODE["stream.write"], table.CODE["stream.flush"], table.CODE["stream.close"]
_READLINE, _READ = table.CODE["stream.readline"], table.CODE["stream.read"]
_READ1, _READINTO = table.CODE["stream.read1"], table.CODE["stream.readinto"]
_RAW_READ, _RAW_WRITE, _PRINT = table.CODE["raw.read"], table.CODE["raw.write"], table.CODE["print"]
LAYERS = (io.FileIO, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)
_NONE, _NONBLOCKING = table.NONE, table.NONBLOCKING
_GLOBALS = globals()


class Account:
    """What one stack of layers has taken in and let out, in bytes since it was made."""

    def __init__(self, runtime, number, fd, name, mode, layer, encoding, buffering, buffer_size, why, owns=True):
        self.runtime, self.number, self.fd = runtime, number, fd
        self.name, self.mode, self.layer, self.encoding = name, mode, layer, encoding
        self.buffering, self.buffer_size, self.why = buffering, buffer_size, why
        self.accepted = self.reached = 0
        self.site = 0  # where the program last came in
        self.doubtful = False  # a call was broken off: how much of it was taken shows at the next flush
        self.printing = 0  # the thread that is in print
        self.closed = self.closing = False
        self.owns = owns  # closing the stream closes the descriptor, too

    def define(self):
        """Say in the log what this stream is and where it stands."""
        self.runtime.log.define(
            table.STREAM, self.name, self.mode, self.layer, self.encoding, self.buffering, self.buffer_size, self.why,
            stream=self.number, fd=self.fd, channel=self.runtime.descriptors.channel_of(self.fd),
            offset=self.accepted, size=self.reached,
        )  # fmt: skip


class Layers:
    """The classes of the layers, for one runtime: what they need of it is at hand in closures, not looked up."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.FileIO = self._raw()
        self.BufferedReader, self.BufferedWriter, self.BufferedRandom, self.TextIOWrapper = map(
            self._counting, LAYERS[1:]
        )

    def _calls(self):
        """(accept, around, closing): how a layer records bytes handed over, anything else that is asked, its end."""
        enter, leave, fail = self.runtime.log.enter, self.runtime.log.leave, self.runtime.log.fail
        known, channel_of = self.runtime.descriptors.known, self.runtime.descriptors.channel_of

        def accept(account, site, size, data, call, *args):
            """Hand `size` bytes to the stream: they are accepted before any of them goes further."""
            fd = account.fd
            op = _PRINT if account.printing and account.printing == get_ident() else _WRITE
            ticket = enter(op, fd, known.get(fd) or channel_of(fd), account.number, account.accepted, size, site, data)
            account.accepted += size
            account.site = site
            try:
                result = call(*args)
            except BaseException as error:
                account.doubtful = True
                written = getattr(error, "characters_written", None)
                if isinstance(error, BlockingIOError) and isinstance(written, int):
                    account.accepted -= size - min(written, size)  # the rest was refused
                elif not isinstance(error, OSError):
                    account.accepted -= size  # not bytes, or a closed stream: nothing was taken
                fail(ticket, error, account.accepted - account.reached)
                raise
            leave(ticket, result if type(result) is int else size, _NONE, account.accepted - account.reached)
            return result

        def around(account, site, op, call, *args):
            """Record a flush, a read or a close."""
            fd = account.fd
            asked = args[1] if len(args) > 1 and type(args[1]) is int else _NONE
            ticket = enter(op, fd, known.get(fd) or channel_of(fd), account.number, 0, asked, site)
            account.site = site
            try:
                result = call(*args)
            except BaseException as error:
                fail(ticket, error, account.accepted - account.reached)
                raise
            if op == _FLUSH and (account.doubtful or account.encoding not in _EXACT):
                # an encoding with a state (utf-16's mark) was counted too high
                account.accepted, account.doubtful = account.reached, False
            moved = len(result) if isinstance(result, (str, bytes)) else result if type(result) is int else _NONE
            leave(ticket, moved, _NONE, account.accepted - account.reached)
            return result

        def closing(account, site, op, call, stream):
            """Record that the outermost layer is closed: by the program, or by the garbage collector, which may do so
            in the middle of any frame of ours. So it isn't told by the frame what is the outermost one."""
            account.closing = True
            try:
                if getattr(stream, "_finalizing", False):
                    # it will warn that nobody has closed it, in the innermost line of Python code: that of the program
                    return around(account, site, op, as_caller, call, (stream,), {})
                return around(account, site, op, call, stream)
            finally:
                account.closing = False

        return accept, around, closing

    def _raw(self):
        log, here, streams = self.runtime.log, self.runtime.sites.here, self.runtime.streams
        enter, leave, got, fail = log.enter, log.leave, log.got, log.fail
        descriptors = self.runtime.descriptors
        known, channel_of, unblocked = descriptors.known, descriptors.channel_of, descriptors.unblocked
        lines = descriptors.lines
        accept, _, closing = self._calls()
        write_raw, readinto_raw, read_raw, close_raw = (
            io.FileIO.write,
            io.FileIO.readinto,
            io.FileIO.read,
            io.FileIO.close,
        )

        def write_out(self, data, size):
            account = self._ipctrace
            fd = account.fd
            channel, site = known.get(fd) or channel_of(fd), account.site
            ticket = enter(
                _RAW_WRITE, fd, channel, account.number, account.reached, size, site, data,
                _NONBLOCKING if fd in unblocked else 0,
            )  # fmt: skip
            try:
                written = write_raw(self, data)
            except BaseException as error:
                fail(ticket, error, account.accepted - account.reached)
                raise
            account.reached += written or 0  # None: the descriptor doesn't block, and there is no room
            extra = lines.wrote(channel, fd, data, written or 0) if channel in lines.lengths else _NONE
            leave(ticket, written or 0, extra, account.accepted - account.reached)
            return written

        class FileIO(io.FileIO):
            """The raw layer: every byte between the stream and its descriptor passes here."""

            __repr__, __reduce_ex__ = named_like(io.FileIO), unpicklable(io.FileIO)

            def write(self, data, /):
                account = self._ipctrace
                try:
                    size = len(data) if type(data) is bytes else memoryview(data).nbytes
                except TypeError:
                    return write_raw(self, data)  # which says what is wrong with it
                if not _within():
                    account.site = here()
                    if not account.buffer_size:
                        # the program writes to an unbuffered stream, or past the text layer under -u: straight on
                        return accept(account, account.site, size, data, write_out, self, data, size)
                return write_out(self, data, size)

            def readinto(self, buffer, /):
                account = self._ipctrace
                fd = account.fd
                try:
                    view = memoryview(buffer).cast("B")
                except TypeError:
                    return readinto_raw(self, buffer)
                site = account.site if _within() else here()
                ticket = enter(
                    _RAW_READ, fd, known.get(fd) or channel_of(fd), account.number, 0, len(view), site, b"",
                    _NONBLOCKING if fd in unblocked else 0,
                )  # fmt: skip
                try:
                    count = readinto_raw(self, buffer)
                except BaseException as error:
                    fail(ticket, error)
                    raise
                got(ticket, bytes(view[: count or 0]), count or 0)
                return count

            def read(self, size=-1, /):
                account = self._ipctrace
                if size is None or size < 0:
                    if not _within():
                        account.site = here()
                    return self.readall()
                fd = account.fd
                site = account.site if _within() else here()
                ticket = enter(
                    _RAW_READ, fd, known.get(fd) or channel_of(fd), account.number, 0, size, site, b"",
                    _NONBLOCKING if fd in unblocked else 0,
                )  # fmt: skip
                try:
                    data = read_raw(self, size)
                except BaseException as error:
                    fail(ticket, error)
                    raise
                got(ticket, data or b"", len(data or b""))
                return data

            def readall(self):
                """Read to the end piece by piece, as C does, so that every piece is seen when it comes."""
                pieces, total = [], 0
                while True:
                    piece = self.read(max(io.DEFAULT_BUFFER_SIZE, total))
                    if not piece:
                        return b"".join(pieces) if pieces or piece is not None else None
                    pieces.append(piece)
                    total += len(piece)

            def close(self):
                account = self.__dict__.get("_ipctrace")
                if account is None or self.closed:
                    return close_raw(self)
                streams.forget(account)
                if not self.closefd:
                    return close_raw(self)
                descriptors.gone(account.fd)
                return close_raw(self) if account.closing else closing(account, here(), _CLOSE, close_raw, self)

        FileIO.__module__, FileIO.__qualname__ = io.FileIO.__module__, io.FileIO.__qualname__
        return FileIO

    def _counting(self, layer):
        """The subclass of a buffered layer that counts what the program asks of it."""
        here = self.runtime.sites.here
        accept, around, closing = self._calls()
        write_layer = getattr(layer, "write", None)

        class Counting(layer):
            __repr__ = layer.__repr__ if sys.version_info < (3, 13) and layer is io.TextIOWrapper else named_like(layer)

            __reduce_ex__ = unpicklable(layer)

            def flush(self):
                account = self._ipctrace
                if account.closed or account.mode == "r" or _within():
                    return layer.flush(self)
                site = here()
                if not site and account.accepted == account.reached:
                    return layer.flush(self)  # the interpreter's own flushes at its end count where bytes are held
                return around(account, site, _FLUSH, layer.flush, self)

            def close(self):
                account = self.__dict__.get("_ipctrace")
                if account is None or account.closed or account.closing:
                    return layer.close(self)
                if account.owns:
                    return closing(account, here(), _CLOSE, layer.close, self)
                # the descriptor stays open: all that closing does to it is a flush
                if account.mode == "r" or account.accepted == account.reached:
                    return layer.close(self)
                return closing(account, here(), _FLUSH, layer.close, self)

            if layer is io.TextIOWrapper:

                def write(self, text, /):
                    account = self._ipctrace
                    if type(text) is not str or _within():
                        return write_layer(self, text)
                    data = _encoded(self, account, text)
                    return accept(account, here(), len(data), data, write_layer, self, text)

            elif layer is not io.BufferedReader:

                def write(self, data, /):
                    account = self._ipctrace
                    if _within():
                        return write_layer(self, data)
                    try:
                        size = len(data) if type(data) is bytes else memoryview(data).nbytes
                    except TypeError:
                        return write_layer(self, data)
                    return accept(account, here(), size, data, write_layer, self, data)

            if layer is not io.BufferedWriter:

                def read(self, *args):
                    if _within():
                        return layer.read(self, *args)
                    return around(self._ipctrace, here(), _READ, layer.read, self, *args)

                def readline(self, *args):
                    if _within():
                        return layer.readline(self, *args)
                    return around(self._ipctrace, here(), _READLINE, layer.readline, self, *args)

                if layer is not io.TextIOWrapper:

                    def read1(self, *args):
                        account = self._ipctrace
                        if _within():  # the text layer's way to its bytes
                            return layer.read1(self, *args)
                        return around(account, here(), _READ1, layer.read1, self, *args)

                    def readinto(self, buffer, /):
                        return around(self._ipctrace, here(), _READINTO, layer.readinto, self, buffer)

                    def readinto1(self, buffer, /):
                        return around(self._ipctrace, here(), _READ1, layer.readinto1, self, buffer)

        Counting.__name__ = Counting.__qualname__ = layer.__name__
        Counting.__module__ = layer.__module__
        return Counting

    def pair(self):
        """The class of a stream that reads and writes a socket: two buffers in one object, for sockets' files only."""
        return self._counting(io.BufferedRWPair)


def called_by_layer():
    """Whether the caller was called by a layer above it, and not by the program."""
    try:
        return _getframe(2).f_globals is _GLOBALS
    except ValueError:
        return False


def _within():
    """Whether the method that asks was called by a method of this file, through C: by the layer above it."""
    try:
        return _getframe(2).f_globals is _GLOBALS
    except ValueError:  # by the interpreter itself, at its end
        return False


def named_like(layer):
    """repr: C says the type's own name there, and a subclass' lacks the module."""

    def __repr__(self):
        text = layer.__repr__(self)
        return text if text.startswith("<_io.") else "<_io." + text[1:]

    return __repr__


def unpicklable(layer):
    """__reduce_ex__: C says the type's own name in the error, and a subclass' lacks the module (3.13 says none)."""

    def __reduce_ex__(self, protocol, /):
        try:
            return layer.__reduce_ex__(self, protocol)
        except TypeError as error:
            name = layer.__name__
            raise TypeError(str(error).replace("'%s' object" % name, "'_io.%s' object" % name)) from None

    return __reduce_ex__


def _encoded(stream, account, text):
    """The bytes that a text will become."""
    newline = stream._ipctrace_newline
    if newline and "\n" in text:
        text = text.replace("\n", newline)
    if text.isascii() and account.encoding in _EXACT:
        return text.encode()
    try:
        return text.encode(stream.encoding, stream.errors or "strict")
    except (UnicodeError, LookupError):
        return b""  # the write itself will raise
