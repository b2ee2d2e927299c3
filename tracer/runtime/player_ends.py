"""Where a replay departs from its recording, where the recording ends, and where the person wants to look."""

from __future__ import annotations

import marshal
import os
import sys
from sys import _getframe
from time import monotonic_ns, sleep

from . import player_debug, table
from .player_table import IN, OUT, READY, TEXT
from .sites import is_ours

STILL = 4_000_000_000  # ns without any progress: whoever waits for another thread goes on
DIVERGED, FAILED = 70, 71  # exit statuses that nobody sees but the tool
_open, _write, _close, _kill, _getpid, _exit, _waitpid = (
    os.open, os.write, os.close, os.kill, os.getpid, os._exit, os.waitpid,
)  # fmt: skip


class Ends:
    """The part of a player that speaks to the tool, and ends the process."""

    def tell(self, what, *fields):
        """Tell the tool; of the parts that only lead to the process, no more than where they depart. The file is opened
        for each message, since the program must not find a descriptor of ours."""
        if not self.last and what in ("in", "out", "did"):
            return
        message = marshal.dumps((what, *fields), 2)
        descriptor = _open(self.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write(descriptor, len(message).to_bytes(8, "little") + message)
        finally:
            _close(descriptor)

    def place(self):
        """(file, line, function, frame) of the program's innermost line; ("", 0, "", None) where no line is running."""
        sites, best = self.runtime.sites, None
        frame = _getframe(1)
        while frame is not None:
            owner = sites.whose(frame.f_code)
            if type(owner) is dict:
                return frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name, frame
            if best is None and not is_ours(frame.f_code):
                best = frame
            frame = frame.f_back
        if best is None:
            return "", 0, "", None
        return best.f_code.co_filename, best.f_lineno or 0, best.f_code.co_name, best

    def depart(self, tape, head, name, role, fd, data, size, begin=0):
        """The program does something else than it did then."""
        if head is None and self.cut():
            self.finish(tape, None)
        file, line, function, frame = self.place()
        self.tell(
            "departed", -1 if head is None else head.event, tape.used, name, fd, data, begin,
            file, line, function, size if size != table.NONE else -1,
        )  # fmt: skip
        if self.script["pdb"] and frame is not None:
            self.debug(frame)
            self.paused = True  # what comes from now on is seen in the debugger, and compared with nothing
            return
        self.end(DIVERGED)

    def cut(self):
        """Whether the recording has an end that the program didn't make: it was killed, or stopped."""
        return not self.last or self.script["cut"]

    def finish(self, tape, event):
        """The recording of this thread is over: the thread never came back from here."""
        tape.over = True
        self.moved = monotonic_ns()
        while monotonic_ns() - self.moved < STILL:
            if all(each.over or each is tape or each.head is None or each.head.exit is None for each in self.tapes):
                break
            sleep(0.001)
        if tape.main or all(each.over or each.head is None for each in self.tapes):
            self.tell("over", -1 if event is None else event.event)
            self.end(self.script["status"])
        while True:
            sleep(1)

    def end(self, status):
        """End this process as the recorded one ended: at once, as what it was stopped in can't go on."""
        if status is not None and status < 0:
            _signal = sys.modules.get("_signal") or __import__("_signal")
            if -status not in (_signal.SIGKILL, _signal.SIGSTOP):
                _signal.signal(-status, _signal.SIG_DFL)
                _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [-status])
            _kill(_getpid(), -status)
        _exit(0 if status is None else status & 0xFF)

    def split(self, fork):
        """The fork that leads to the process that is replayed: really made. The parent only waits for its child."""
        self.splitting = True
        child = fork()
        if child == 0:
            self.in_child()  # where there are no hooks
            self.threads.clear()  # whoever was forked is the main thread now
            return 0
        self.splitting = False
        self.tell("forked", child)
        while True:
            try:
                _, status = _waitpid(child, 0)
                break
            except InterruptedError:
                continue
        self.end(-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
        return child

    def fall(self, error):
        """The player itself is at fault."""
        trace = __import__("traceback").format_exc()
        self.tell("fell", "%s: %s" % (type(error).__name__, error), trace)
        _exit(FAILED)

    def surely(self, patch):
        """A patch that ends the process where it can't be applied."""

        def applied(runtime, module):
            try:
                patch(runtime, module)
            except Exception as error:
                self.fall(error)

        return applied

    def stop_at(self, event, role):
        """Into the debugger, where this message was asked for: as it is sent, or as soon as it has come."""
        if event is None or role not in (IN, OUT, TEXT, READY):
            return
        wanted = event.event in self.breaks or (self.break_text and self.break_text in event.data)
        if not wanted:
            return
        self.breaks.discard(event.event)
        self.break_text = b""
        frame = self.place()[3]
        if frame is not None:
            self.tell("stopped", event.event)
            self.debug(frame)

    def debug(self, frame):
        """Stop in the program's frame, at its next line."""
        if self.debugger is None:
            self.debugger = player_debug.debugger(self)
        self.debugger.stop_in(frame)
