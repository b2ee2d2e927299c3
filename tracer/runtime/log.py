"""The log of one process image: a shared map of fixed records, claimed by one counter. See table.py for its laws.

Nothing here may raise into the program: what can't be recorded is counted as lost. No lock is taken: a lock of ours
could be held by a thread that a fork doesn't copy, or by the very frame that a signal handler interrupted.
"""

from __future__ import annotations

import _signal
import os
import sys
from _struct import Struct
from _thread import _local, get_ident, get_native_id
from itertools import count
from mmap import mmap
from time import monotonic_ns, time_ns
from time import sleep as _sleep

from . import table

_ENTER = Struct(table.ENTER)
_EXIT = Struct(table.EXIT)
_WHOLE = Struct(table.ENTER + table.EXIT[1:])
_NUMBER = Struct("<Q")
_CHANNEL = Struct("<I")
_OPEN, _DONE, _FAILED = table.OPEN, table.DONE, table.FAILED
_EXIT_AT, _STATE_AT, _PAYLOAD_AT, _NONE = table.EXIT_AT, table.STATE_AT, table.PAYLOAD_AT, table.NONE
_HERE = os.path.dirname(__file__) + os.sep
# Code of ours in which nothing can raise but what it calls, a handler of the program that is written in C.
PROGRAMS: list = []
_EMPTY_EXIT = "%dx" % (table.STATE_AT - table.EXIT_AT)
_LARGEST = 64  # blocks in a segment
# The program may replace what it finds in os; our own calls must not pass through its wrappers, nor through ours.
_open, _close, _dup, _fstat, _getpid, _getppid = os.open, os.close, os.dup, os.fstat, os.getpid, os.getppid
_XFSZ, _EFBIG = getattr(_signal, "SIGXFSZ", 0), 27  # as on every system that has that signal
_getsignal, _read = _signal.getsignal, os.read
_fallocate = getattr(os, "posix_fallocate", None)
_ftruncate = os.ftruncate
_UNTRACKED = {"trackfd": False} if sys.version_info >= (3, 13) and sys.implementation.name == "cpython" else {}


def ours_raised(error):
    """Whether an exception arose in our own code, and not in a signal's handler that ran in the middle of it.

    What a handler raises is meant for the program. KeyboardInterrupt comes from C, without a frame of its own.
    """
    entry = error.__traceback__
    while entry.tb_next is not None:
        entry = entry.tb_next
    code = entry.tb_frame.f_code
    return isinstance(error, Exception) and code.co_filename.startswith(_HERE) and code not in PROGRAMS


class Segment:
    """A mapped run of slots [base, limit); behind `safe` it is time for the next one.

    A fork's child gives it another buffer: the map is its parent's.
    """

    __slots__ = ("base", "buffer", "limit", "mapped", "safe")

    def __init__(self, buffer, base, limit):
        self.buffer = self.mapped = buffer  # `mapped` keeps the map alive for good: see _map
        self.base, self.limit, self.safe = base, limit, limit - (limit - base) // 4


def _map(path, offset, length):
    """Map `length` bytes of the file at `offset` and leave no descriptor behind, nor the program's next one changed.

    mmap duplicates the descriptor, to the lowest free number, and keeps it: the program's own first pipe would no
    longer be 3 and 4. So that number is learned first and closed behind mmap's back; the map lives on without it. The
    price: the map object must never be freed, for it would close the number again, whosever it is by then.
    The space is reserved before, since a mapped write to a full disk kills by SIGBUS.
    Nor may the program die of SIGXFSZ because our file grew: Python ignores that signal, but a program may have other
    plans for it.
    """
    if _XFSZ and _getsignal(_XFSZ) is not _signal.SIG_IGN and offset + length > _largest_file():
        raise OSError(_EFBIG, "our file may not grow")
    descriptor = _open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if _fallocate is not None:
            _fallocate(descriptor, offset, length)
        else:
            _ftruncate(descriptor, offset + length)
        if _UNTRACKED:
            return mmap(descriptor, length, offset=offset, **_UNTRACKED)
        number = _dup(descriptor)
        _close(number)
        buffer = mmap(descriptor, length, offset=offset)
        taken = _duplicate_of(descriptor, number)
        if taken is not None:
            _close(taken)
        return buffer
    finally:
        _close(descriptor)


def _largest_file():
    """The limit of a file's size (setrlimit(2)), in bytes; nothing imports `resource` at start-up."""
    try:
        descriptor = _open("/proc/self/limits", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return sys.maxsize
    try:
        line = _read(descriptor, 4096).partition(b"Max file size")[2].split()
    finally:
        _close(descriptor)
    return int(line[0]) if line and line[0].isdigit() else sys.maxsize


def _duplicate_of(descriptor, expected):
    """The number that mmap took: `expected`, unless another thread opened something in between; None: it took none.

    Told by the file that it leads to: any other number may be the program's, and isn't ours to close.
    """
    file = _fstat(descriptor)
    for number in [expected, *range(expected + 1, expected + 4096)]:
        try:
            found = _fstat(number)
        except OSError:
            continue
        if number != descriptor and (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino):
            return number
    return None


class Log:
    """Writes the records of this process. `begin` opens a file for a process image, or for the child of a fork."""

    def __init__(self, folder, payload, full):
        self.folder, self.payload, self.full = folder, payload, full
        self.size = table.record_size(payload)
        self.area = self.size - _PAYLOAD_AT  # what a definition or a MORE record holds
        self.segments = []
        self.scratch = Segment(bytearray(self.size), 0, 0)  # where records go that can't be kept
        self.growing = 0  # the thread that maps the next segment; -1: there won't be one
        self.segment = self.scratch
        self.claim = count().__next__
        # A record and its payload in one call each; "s" cuts off what is too long. Measured: 0.25 µs and 0.17 µs,
        # half of what the parts cost apart.
        self.pack_enter = Struct("%s%sB%ds" % (table.ENTER, _EMPTY_EXIT, payload)).pack_into
        self.pack_exit = Struct("%s%ds" % (table.EXIT, payload)).pack_into

    def begin(self):
        """Start a new file. In the child of a fork, calls that the parent's thread had open end in scratch memory."""
        try:
            scratch = bytearray(max([0] + [(held.limit - held.base) * self.size for held in self.segments]))
        except MemoryError:  # RLIMIT_AS
            scratch = self.scratch.buffer
        for segment in self.segments:
            if segment.buffer is segment.mapped:
                segment.buffer = scratch
        self.path = os.path.join(self.folder, "%d-%d.log" % (_getpid(), monotonic_ns()))
        self.header = self.scratch
        self.lost = 0
        self.growing = 0
        self.local = _local()  # .tid; asking the system each time costs a quarter of a record
        self.blocks = 1
        self.claim = count().__next__
        self.segment = self.scratch
        length = table.HEADER_SIZE
        try:
            self.header = Segment(_map(self.path, 0, length), 0, 0)
            self.segments.append(self.header)
            Struct(table.HEADER).pack_into(
                self.header.buffer,
                0,
                table.MAGIC,
                table.VERSION,
                self.size,
                _getpid(),
                _getppid(),
                monotonic_ns(),
                time_ns(),
                0,
            )
            self._grow(0)
            self.segment = self.segments[-1]
        except (OSError, ValueError, MemoryError):  # no space, or no longer allowed: the program goes on unrecorded
            pass

    def _grow(self, base):
        limit = base + self.blocks * table.RECORDS_A_BLOCK
        buffer = _map(self.path, table.HEADER_SIZE + base * self.size, (limit - base) * self.size)
        self.segments.append(Segment(buffer, base, limit))
        self.blocks = min(self.blocks * 2, _LARGEST)

    def _place(self, slot):
        """The segment and offset of a slot that isn't comfortably inside the current segment."""
        thread = get_ident()
        while True:
            segment = self.segment
            if slot >= segment.safe and segment.limit and not self.growing:
                if segment.safe == segment.limit:
                    self.segment = self.segments[-1]
                else:
                    self.growing = thread  # others, and handlers of signals, use the headroom meanwhile
                    try:
                        self._grow(segment.limit)
                        segment.safe = segment.limit  # it has a successor: use it up
                        self.growing = 0
                    except (OSError, ValueError, MemoryError):
                        self.growing = -1  # the disk is full: not asked again
                    except BaseException:  # a signal's handler raises: others would wait for us for ever
                        self.growing = 0
                        raise
            for held in reversed(self.segments):
                if held.base <= slot < held.limit and held.buffer is held.mapped:
                    return held, (slot - held.base) * self.size
            if not segment.limit or self.growing in (-1, thread):
                break
            if not self.growing:
                continue  # the next segment is there, or to be mapped, by now
            _sleep(0.0005)  # threads have used up the headroom while another one maps: better late than lost
        self.lost += 1
        if self.header is not self.scratch:
            _NUMBER.pack_into(self.header.buffer, table.LOST_AT, self.lost)
        return self.scratch, 0

    def thread(self):
        """The system's id of the calling thread, remembered for it."""
        try:
            return self.local.tid
        except AttributeError:
            tid = self.local.tid = get_native_id()
            return tid

    def enter(self, op, fd, channel, stream, offset, size, site, data=b"", flags=0, whole=False, thread=0):
        """Record a call as it begins; `data` are the bytes it moves, where they are known. Returns its ticket.

        `whole`: the data isn't the program's payload but what the record means, and is kept entirely.
        `thread`: who calls, where that isn't the thread that runs: a task.
        """
        segment, at = self.scratch, 0
        try:
            slot = self.claim()
            segment = self.segment
            if segment.base <= slot < segment.safe:
                at = (slot - segment.base) * self.size
            else:
                segment, at = self._place(slot)
            if type(data) is not bytes:
                data = bytes(data)
            kept = len(data)
            if kept > self.payload:
                if self.full or whole:
                    self._more(slot, data, self.payload)
                kept = self.payload
            try:
                tid = thread or self.local.tid
            except AttributeError:
                tid = self.thread()
            now = monotonic_ns()
            self.pack_enter(
                segment.buffer, at, op, flags, kept, tid, now, fd, site, channel, stream, offset, size, _OPEN, data
            )  # fmt: skip
            return segment, at, slot
        except BaseException as error:
            if ours_raised(error):  # a size beyond 64 bits, no memory: the call matters, the record doesn't
                return self.scratch, 0, -1
            # a signal's handler has run just here and raises into the program: the call won't be made
            if segment.buffer[at + _STATE_AT] == _OPEN:
                self._finish(segment, at, _NONE, _NONE, _NONE, -1, _FAILED)
            raise

    def leave(self, ticket, result=_NONE, extra=_NONE, pending=_NONE):
        """Complete a record: the call has returned."""
        self._finish(ticket[0], ticket[1], result, extra, pending, 0, _DONE)

    def instant(self, op, channel, size, site, result=_NONE):
        """Record a call that takes no time, in one piece: two thirds of the cost. Returns its ticket, for `fail`."""
        segment, at = self.scratch, 0
        try:
            slot = self.claim()
            segment = self.segment
            if segment.base <= slot < segment.safe:
                at = (slot - segment.base) * self.size
            else:
                segment, at = self._place(slot)
            try:
                tid = self.local.tid
            except AttributeError:
                tid = self.thread()
            now = monotonic_ns()
            _WHOLE.pack_into(
                segment.buffer, at, op, 0, 0, tid, now, -1, site, channel, 0, 0, size, now, result, _NONE, _NONE, 0, 0,
                _DONE,
            )  # fmt: skip
            return segment, at, slot
        except BaseException as error:
            if ours_raised(error):
                return self.scratch, 0, -1
            raise

    def past(self, op, thread, time, channel=0, site=0, offset=0, size=_NONE, flags=0):
        """Record a call that is over: what `thread` did at `time` turns out to matter only now."""
        try:
            slot = self.claim()
            segment, at = self._place(slot)
            _ENTER.pack_into(
                segment.buffer, at, op, flags, 0, thread, time, table.NO_FD, site, channel, 0, offset, size
            )
            _EXIT.pack_into(segment.buffer, at + _EXIT_AT, time, _NONE, _NONE, _NONE, 0, 0, _DONE)
        except BaseException as error:
            if not ours_raised(error):
                raise

    def address(self, ticket, number):
        """Say which address a call turned out to be about; before it is completed."""
        segment, at, slot = ticket
        if slot >= 0 and number:
            segment.buffer[at + table.FLAGS_AT] |= table.ADDRESSED
            _NUMBER.pack_into(segment.buffer, at + table.OFFSET_AT, number)

    def about(self, ticket, channel):
        """Say which channel a call turned out to be about; before it is completed."""
        segment, at, slot = ticket
        if slot >= 0:
            _CHANNEL.pack_into(segment.buffer, at + table.CHANNEL_AT, channel)

    def got(self, ticket, data, result, pending=_NONE, extra=_NONE):
        """Complete the record of a read: it has returned `data`, `result` bytes."""
        segment, at, slot = ticket
        try:
            kept = len(data)
            if kept > self.payload:
                if self.full:
                    self._more(slot, data, self.payload)
                kept = self.payload
            self.pack_exit(
                segment.buffer, at + _EXIT_AT, monotonic_ns(), result, extra, pending, 0, kept, _DONE, data
            )  # fmt: skip
        except BaseException as error:
            if not ours_raised(error):
                self._finish(segment, at, result, extra, pending, 0, _DONE)
                raise

    def fail(self, ticket, error, pending=_NONE):
        """Complete a record: the call has raised `error`."""
        number = getattr(error, "errno", None)
        number = number if isinstance(number, int) else -1
        self._finish(ticket[0], ticket[1], _NONE, _NONE, pending, number, _FAILED)

    def _finish(self, segment, at, result, extra, pending, error, state):
        try:
            _EXIT.pack_into(
                segment.buffer, at + _EXIT_AT, monotonic_ns(), result, extra, pending, error, 0, state
            )  # fmt: skip
        except BaseException as problem:
            if not ours_raised(problem):  # a handler: its exception is the program's, and the record is completed
                self._finish(segment, at, result, extra, pending, error, state)
                raise

    def _more(self, slot, data, start):
        """What doesn't fit a record's own area, from `start` on, goes into records that follow."""
        for index, begin in enumerate(range(start, len(data), self.area)):
            self._piece(table.MORE, data[begin : begin + self.area], 0, -1, 0, 0, 0, slot, index)

    def _piece(self, op, data, thread, fd, site, channel, stream, offset, size):
        """A complete record that is nothing but bytes; returns its slot."""
        slot = self.claim()
        segment, at = self._place(slot)
        buffer = segment.buffer
        buffer[at + _PAYLOAD_AT : at + _PAYLOAD_AT + len(data)] = data
        _ENTER.pack_into(buffer, at, op, 0, len(data), thread, monotonic_ns(), fd, site, channel, stream, offset, size)
        buffer[at + _STATE_AT] = _DONE
        return slot

    def define(self, op, *fields, thread=0, fd=-1, site=0, channel=0, stream=0, offset=0, size=_NONE):
        """Write a definition: text fields in the order of table.DEFINITIONS."""
        try:
            text = table.SEPARATOR.join([str(field) for field in fields]).encode("utf-8", "surrogateescape")
            head = text[: self.area]
            slot = self._piece(op, head, thread or self.thread(), fd, site, channel, stream, offset, size)
            self._more(slot, text, self.area)
        except BaseException as error:
            if not ours_raised(error):
                raise
