"""Names in the file system, of FIFOs and sockets: whoever knows one can come by it, from outside the run too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ..events import NONE, Events

if TYPE_CHECKING:
    from ..situation import Situation

# What open(2)'s flags ask for, on Linux: the analysis is the same wherever it runs.
ACCESS, READ_ONLY, WRITE_ONLY = 3, 0, 1
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
    if not written.any():
        return False
    if (situation.trace.facts.get("options") or {}).get("payload") == "none":
        return True  # who knows
    chosen = payloads["data"][written[payloads["event"].to_numpy()]]
    return any(name in data for data in chosen)


def _shared(situation: Situation, channel: int, process: int) -> bool:
    """Whether another process of the run has opened the side of a FIFO that `process`'s isn't, or tries to.

    One that opened both sides, as servers do to keep it from ending, waits for others; a copy that came along with a
    fork tells nothing.
    """
    events, spans = situation.events, situation.run.spans
    ours = spans[
        (spans["channel"] == channel) & ((spans["how"] == "opened") | spans["process"].isin(situation.run.unseen))
    ]
    sides = {
        way: set(ours.loc[ours["access"].str.contains(way), "process"].tolist()) | _opening(events, channel, flag)
        for way, flag in (("r", READ_ONLY), ("w", WRITE_ONLY))
    }
    one_sided = sides["r"] ^ sides["w"]
    side = "r" if process in sides["r"] or _holds(situation, channel, process) else "w"
    return bool((sides["w" if side == "r" else "r"] & one_sided) - {process})


def _opening(events: Events, channel: int, flag: int) -> set[int]:
    """Processes that ask to open a FIFO for one side."""
    asked = events.is_kind("open") & (events.channel == channel) & (events.size != NONE)
    chosen = np.flatnonzero(asked)
    return set(events.process[chosen[events.size[chosen] & ACCESS == flag]].tolist())


def _holds(situation: Situation, channel: int, process: int) -> bool:
    return process in situation.holders(channel, "r")
