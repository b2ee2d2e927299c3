"""Names in the file system, of FIFOs and sockets: whoever knows one can come by it, from outside the run too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ..events import NONE

if TYPE_CHECKING:
    from ..situation import Situation

# What tempfile.mkdtemp and mktemp(1) make up: nobody guesses it. Of other names one is never sure.
_MADE_UP = re.compile(
    r"(?<=/)(?:tmp[a-z0-9_]{8}|tmp\.\w{10})(?=/|$)"
    r"|(?<=/tmp/)[^/]*(?=[a-z0-9_]{8}/)(?=[a-z0-9_]*[0-9_][a-z])[a-z0-9_]{8}(?=/)"
)


def within_the_run(situation: Situation, channel: int, process: int) -> bool:
    """Whether only the run is likely to come to a FIFO's other side than `process`'s: nobody else can know its name, or
    another process of the run has it open or wants it open."""
    return made_up(situation, channel) or _shared(situation, channel, process)


def made_up(situation: Situation, channel: int) -> bool:
    """Whether a channel's name was made up for this run, and nothing that went out of the run tells it."""
    path = situation.trace.channels["path"].iloc[channel]
    return isinstance(path, str) and made_up_name(situation, path)


def made_up_name(situation: Situation, path: str) -> bool:
    """The same of a path."""
    found = _MADE_UP.search(path)
    return found is not None and not told(situation, found.group().strip("/").encode())


def told(situation: Situation, name: bytes) -> bool:
    """Whether bytes that the run wrote to somewhere outside contain a name."""
    channels = situation.trace.channels
    away = channels["outside"] | channels["kind"].isin(["tty", "file"]) | (channels["form"] == "tcp")
    events = situation.events
    written = events.is_kind("write", "accept") & (events.channel != NONE)
    written[written] = away.to_numpy()[events.channel[written]]
    payloads = situation.trace.payloads
    if not written.any() or not len(payloads):
        return False
    chosen = payloads["data"][written[payloads["event"].to_numpy()]]
    return any(name in data for data in chosen)


def _shared(situation: Situation, channel: int, process: int) -> bool:
    """Whether another process of the run has to do with a named channel: opened it, tries to, or holds an end of it."""
    events = situation.events
    opens = events.is_kind("open") & (events.channel == channel)
    spans = situation.run.spans
    holders = spans.loc[(spans["channel"] == channel), "process"]
    others = set(np.unique(events.process[opens]).tolist()) | set(holders.tolist())
    return bool(others - {process})
