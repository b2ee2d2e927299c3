"""Threads and time: Thread.start, run and join, the wait for threads at the end, time.sleep."""

from __future__ import annotations

import time
from _thread import get_native_id

from . import table
from .calls import Call, install, like, method


class Sleep(Call):
    """time.sleep: size = nanoseconds."""

    def begin(self, args, kwargs):
        return self.enter(self.op, -1, 0, 0, 0, nanoseconds(args[0] if args else None), self.here())


def nanoseconds(seconds):
    """Seconds as the log has them; NONE for what isn't a time."""
    try:
        return int(seconds * 1_000_000_000)
    except (TypeError, ValueError, OverflowError):
        return table.NONE


def wrap(runtime):
    """Wrap time.sleep."""
    install(Sleep(time.sleep, table.CODE["time.sleep"], runtime), "sleep", time)


def wrap_threading(runtime, module):
    """Wrap the methods of threading.Thread: functions here, since methods must be descriptors."""
    log, here = runtime.log, runtime.sites.here
    thread = module.Thread

    def around(name, op, timed):
        def begin(self, args, kwargs):
            limit = args[0] if args else kwargs.get("timeout")
            code, tid = op if limit is None else timed, getattr(self, "_native_id", None) or 0
            return log.enter(code, -1, 0, 0, 0, tid, here())

        method(runtime, thread, name, begin)

    around("start", table.CODE["Thread.start"], 0)
    around("join", table.CODE["Thread.join"], table.CODE["Thread.join timed"])
    life = thread._bootstrap_inner

    def _bootstrap_inner(self):
        # the native id is set by what comes next; names are given before
        log.define(table.THREAD, self.name, 0, thread=get_native_id())
        ticket = log.enter(table.CODE["thread"], -1, 0, 0, 0, int(bool(self._daemonic)), 0)
        try:
            life(self)
        finally:
            log.leave(ticket)

    thread._bootstrap_inner = like(life, _bootstrap_inner)
    shutdown = getattr(module, "_shutdown", None)
    if shutdown is not None:

        def _shutdown():
            ticket = log.enter(table.CODE["threading.shutdown"], -1, 0, 0, 0, 0, 0)
            try:
                shutdown()
            finally:
                log.leave(ticket)

        module._shutdown = like(shutdown, _shutdown)


PATCHES = {"threading": wrap_threading}
