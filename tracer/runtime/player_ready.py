"""Readiness as a replay plays it: select, poll and epoll wait for nothing, and say what they said."""

from __future__ import annotations

from .calls import like

_IN, _OUT = 1, 4


def ready_ends(system, wanted, timeout):
    """[(descriptor, events)] that are ready, of a mapping descriptor → events: as recorded; or, where nobody wrote down
    that it was looked, what this thread reads or writes next. `timeout`: seconds, None for no limit."""
    player = system.player
    event, _ = system.answer()
    stands = {player.alias.get(fd, fd): fd for fd in wanted}
    if event is not None:
        found = [
            (stands[fd], _IN if "r" in access and wanted[stands[fd]] & ~_OUT else _OUT)
            for fd, access in event.ready if fd in stands
        ]  # fmt: skip
        if not found and timeout and player.clock() < event.exit + timeout * 1e9:
            player.wait(timeout)  # its time is over: an event loop asks the clock
        return found
    event = player.infer(stands, timeout)
    if event is None:
        return []
    return [(stands[event.fd], _OUT if event.call == "write" else _IN)]


def replace_select(system, module):
    """select, poll and epoll."""
    original = module.select

    def select(reading, writing, exceptional, timeout=None, /):
        wanted = dict.fromkeys(reading, _IN)
        for fd in writing:
            wanted[fd] = wanted.get(fd, 0) | _OUT
        found = ready_ends(system, wanted, timeout)
        return (
            [fd for fd in reading if (fd, _IN) in found],
            [fd for fd in writing if (fd, _OUT) in found],
            [],
        )

    module.select = like(original, select)
    if hasattr(module, "poll"):
        make = module.poll
        kind = _poller(system, type(make()), make, 1000)

        def poll():
            return kind()

        module.poll = like(make, poll)
    if hasattr(module, "epoll"):
        module.epoll = _poller(system, module.epoll, module.epoll, 1)


def _poller(system, original, make, unit):
    """A class in the place of C's: it registers there, so that its errors are theirs, and doesn't wait."""

    class Poller:
        def __init__(self, *args, **kwargs):
            self._own, self._wanted = make(*args, **kwargs), {}

        @classmethod
        def fromfd(cls, *args):
            self = object.__new__(cls)
            self._own, self._wanted = original.fromfd(*args), {}
            return self

        def register(self, fd, eventmask=_IN | 2 | _OUT):
            number = fd if isinstance(fd, int) else fd.fileno()
            result = self._own.register(number, eventmask)
            self._wanted[number] = eventmask
            return result

        def modify(self, fd, eventmask):
            number = fd if isinstance(fd, int) else fd.fileno()
            result = self._own.modify(number, eventmask)
            self._wanted[number] = eventmask
            return result

        def unregister(self, fd):
            number = fd if isinstance(fd, int) else fd.fileno()
            self._wanted.pop(number, None)
            return self._own.unregister(number)

        def poll(self, timeout=None, maxevents=-1):
            return ready_ends(system, self._wanted, None if timeout is None or timeout < 0 else timeout / unit)

        def close(self):
            return self._own.close()

        def fileno(self):
            return self._own.fileno()

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.close()

        @property
        def closed(self):
            """True if the epoll handler is closed"""
            return self._own.closed

    Poller.__name__, Poller.__qualname__ = original.__name__, original.__qualname__
    Poller.__module__, Poller.__doc__ = original.__module__, original.__doc__
    return Poller
