"""Locks that processes share, as a replay plays them: whoever else takes or releases one isn't there.

What a recorded call tells is what it told; everything else is free. Calls of multiprocessing's that rest on several
locks (a Condition's wait, task_done) are answered as a whole: who counts, wakes and is woken isn't there.
"""

from __future__ import annotations

from _thread import get_ident

from .calls import like


def answer_wholes(player, owner, *names):
    """Answer these methods of a class as they were answered."""
    for name in names:
        original = vars(owner).get(name)
        if original is not None:
            setattr(owner, name, like(original, _whole(player, original)))


def _whole(player, original):
    def call(self, *args, **kwargs):
        event, _ = player.answer()
        if event is None:
            return original(self, *args, **kwargs)
        return event.result if original.__name__ == "wait" and "Barrier" in original.__qualname__ else _truth(event)

    return call


def _truth(event):
    return None if event.result is None else bool(event.result)


def lock_of(player, original):
    """The class in the place of _multiprocessing.SemLock."""

    class SemLock:
        SEM_VALUE_MAX = original.SEM_VALUE_MAX

        def __init__(self, kind, value, maxvalue, name, unlink=False):
            self.kind, self.maxvalue, self.handle = kind, maxvalue, id(self)
            self.name = None if unlink else name
            self.value, self.count, self.owner = value, 0, None

        @classmethod
        def _rebuild(cls, handle, kind, maxvalue, name):
            # free, as far as anybody knows; a semaphore without a limit counts what is there: nothing is known of that
            return cls(kind, maxvalue if maxvalue < cls.SEM_VALUE_MAX else 0, maxvalue, name)

        def acquire(self, block=True, timeout=None):
            if self.kind == 0 and self._is_mine():
                self.count += 1
                return True
            got = self._got(block, timeout)
            if got:
                self.value = max(0, self.value - 1)
                self.owner, self.count = get_ident(), self.count + 1
            return got

        def _got(self, block, timeout):
            event, _ = player.answer()
            if event is not None:
                return bool(event.result)
            if not block:
                # a lock that is free is recorded after it was taken
                event = player.peek("multiprocessing.Lock.acquire")
                if event is not None:
                    free = bool(event.result) and event.exit == event.enter
                    if free:
                        player.took(event)
                    return free
            inside = player.inside()
            if inside is not None and (not block or timeout is not None):
                return inside
            return bool(block or self.value > 0)

        def release(self):
            if self.kind == 0 and self.count > 1 and self._is_mine():
                self.count -= 1
                return
            self.value = min(self.maxvalue, self.value + 1)
            self.count = max(0, self.count - 1)

        def _count(self):
            return self.count

        def _is_mine(self):
            return self.count > 0 and self.owner == get_ident()

        def _get_value(self):
            return self.value

        def _is_zero(self):
            """Whether a queue is full, mostly: it isn't, where the next thing was a put."""
            return self.value == 0 and not player.comes("multiprocessing.Queue.put")

        def _after_fork(self):
            self.count = 0

        def __enter__(self):
            return self.acquire()

        def __exit__(self, *args):
            self.release()

    SemLock.__module__, SemLock.__qualname__ = original.__module__, original.__qualname__
    return SemLock
