"""Descriptors of a replay, and the recorded ones that they stand for; names in the file system, and addresses."""

from __future__ import annotations

import os

from . import table
from .player_table import REAL

_NAMES = {code: name for code, name, _, _ in table.CALLS}


class Names:
    """The part of a player that knows what descriptors and names mean."""

    def stands(self, now, recorded):
        """A descriptor of now stands for a recorded one."""
        self.alias.pop(now, None)
        if recorded is not None and now != recorded:
            self.alias[now] = recorded

    def own(self, channel):
        """Whether a channel is a plain file that the program opened by itself."""
        known = self.kinds.get(channel)
        if known is None:
            known = False
            for identity, (number, kind, _) in list(self.runtime.descriptors.channels.items()):
                if number == channel:
                    known = kind in REAL and identity not in self.given
            self.kinds[channel] = known
        return known

    def find_opening(self, tape, op, data, take=True):
        """The recorded call that gave out what this one gives out: the next of its kind, of names the same name."""
        name, path = _NAMES[op], bytes(data)
        of_kind = [each for each in tape.openings if each.op == name]
        if path:
            of_kind = [each for each in of_kind if each.data == path] or [
                each for each in of_kind if os.path.basename(each.data) == os.path.basename(path)
            ]
        if not of_kind:
            return None
        if take:
            tape.openings.remove(of_kind[0])
        return of_kind[0]

    def opening_of(self, path):
        """The recorded opening of a name that this thread opens next."""
        tape = self.tape()
        if tape is None or self.paused:
            return None
        for op in ("open", "os.open"):
            found = self.find_opening(tape, table.CODE[op], os.fsencode(path), take=False)
            if found is not None:
                return found
        return None

    def opening_named(self, path):
        """A recorded call on a name in the file system that is made or removed."""
        try:
            path = os.path.basename(os.fsencode(path))
        except TypeError:
            return None
        for tape in self.tapes:
            for each in tape.named:
                if os.path.basename(each.data) == path:
                    return each
        return None

    def address(self, table_, fd):
        """A recorded address of the socket behind a recorded descriptor; None: none is known."""
        return table_.get(self.leads.get(fd))
