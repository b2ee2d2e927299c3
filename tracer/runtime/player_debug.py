"""The debugger of a replay: pdb on the terminal of the person who replays, since the program's streams are recorded."""

from __future__ import annotations

import os
import sys


def debugger(player):
    """A pdb.Pdb that talks to the tool's own streams; what is typed into it isn't compared with anything."""
    import pdb

    tool = player.script["tool"]
    ends = [_high(os.open("/proc/%d/fd/%d" % (tool, number), flags)) for number, flags in ((0, 0), (1, 1))]
    reading = open(ends[0], closefd=False)  # noqa: SIM115 (for as long as the process lives)
    writing = open(ends[1], "w", closefd=False)  # noqa: SIM115

    class Debugger(pdb.Pdb):
        def __init__(self):
            pdb.Pdb.__init__(self, stdin=reading, stdout=writing, nosigint=True)
            self.use_rawinput = False

        def stop_in(self, frame):
            """Stop at the next line of a frame."""
            self.reset()
            at = frame
            while at is not None:
                at.f_trace = self.trace_dispatch
                self.botframe = at
                at = at.f_back
            self.set_next(frame)
            sys.settrace(self.trace_dispatch)

        def interaction(self, *args, **kwargs):
            paused, player.paused = player.paused, True
            try:
                pdb.Pdb.interaction(self, *args, **kwargs)
            finally:
                player.paused = paused

        def do_quit(self, argument):
            player.tell("quit")
            player.end(0)

        do_q = do_exit = do_EOF = do_quit

    return Debugger()


def _high(fd):
    """The same descriptor with a number that the program won't notice."""
    import fcntl

    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(fd)
    return high


def at_start(player):
    """Into the debugger at the first line of the program."""

    def first(frame, event, argument):
        if frame.f_globals.get("__name__") == "__main__" and frame.f_code.co_name == "<module>":
            player.debug(frame)
            return frame.f_trace
        return None

    sys.settrace(first)
