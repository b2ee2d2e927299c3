"""concurrent.futures: what is handed to a pool, who works on it, who waits for it.

A future is a channel. In a pool of threads a worker's work is recorded with it. In a pool of processes the work is
another process', which knows the number of the item and not the future: there the worker's queues and pipes tell.
"""

from __future__ import annotations

from . import table
from .calls import first
from .conditions import limit, replace
from .log import ours_raised

_CODE, _NONE = table.CODE, table.NONE


def wrap_base(runtime, module):
    """Wrap what a future can be asked and told."""
    enter, here = runtime.log.enter, runtime.sites.here

    def await_result(self, args, kwargs, frame):
        if self._state not in ("PENDING", "RUNNING"):
            return None  # it is done, and known
        size, flags = limit(first(args, kwargs, "timeout"))
        return enter(_CODE["Future.result"], -1, channel(runtime, self), 0, 0, size, here(), flags=flags)

    def set_result(self, args, kwargs, frame):
        return enter(_CODE["Future.set"], -1, channel(runtime, self), 0, 0, _NONE, here())

    def cancel(self, args, kwargs, frame):
        if self._state != "PENDING":
            return None
        return enter(_CODE["Future.set"], -1, channel(runtime, self), 0, 0, _NONE, here())

    future = module.Future
    for name, begin in (
        ("result", await_result), ("exception", await_result), ("set_result", set_result),
        ("set_exception", set_result), ("cancel", cancel),
    ):  # fmt: skip
        replace(runtime, future, name, begin)


def channel(runtime, future):
    """The number of a future."""
    return runtime.ledger.number_of(future, future._condition._lock, "future")


def _submits(runtime, owner):
    """Wrap submit. The future is known only when it returns: the record has its channel then."""
    enter, here, leave = runtime.log.enter, runtime.sites.here, runtime.log.leave

    def submit(self, args, kwargs, frame):
        return enter(_CODE["Executor.submit"], -1, 0, 0, 0, _NONE, here())

    def submitted(ticket, self, future, args, kwargs):
        try:
            runtime.log.about(ticket, channel(runtime, future))
        except BaseException as error:
            if not ours_raised(error):
                raise
        leave(ticket)

    replace(runtime, owner, "submit", submit, submitted)


def wrap_thread(runtime, module):
    """Wrap a pool of threads: submit, and a worker's run of an item."""
    _submits(runtime, module.ThreadPoolExecutor)

    def work(self, args, kwargs, frame):
        number = channel(runtime, self.future)
        return runtime.log.enter(_CODE["work"], -1, number, 0, 0, _NONE, 0)

    replace(runtime, module._WorkItem, "run", work)


def wrap_process(runtime, module):
    """Wrap a pool of processes: submit."""
    _submits(runtime, module.ProcessPoolExecutor)


PATCHES = {
    "concurrent.futures._base": wrap_base,
    "concurrent.futures.thread": wrap_thread,
    "concurrent.futures.process": wrap_process,
}
