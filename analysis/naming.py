"""Names for sentences: by role where a program has two processes, by program where it has more."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

import pandas as pd
from ipctrace.tracer.schema import OBJECTS, REASONS, Trace

from .events import Events, groups, number, rows_of
from .signals import Signal

MOST = 12  # names in one sentence


def numbered(names: list[str]) -> list[str]:
    """Equal names told apart: worker 1, worker 2, …"""
    total, seen = Counter(names), Counter[str]()
    told = []
    for name in names:
        seen[name] += 1
        told.append(f"{name} {seen[name]}" if total[name] > 1 else name)
    return told


def process_names(trace: Trace) -> dict[int, str]:
    """Process id → name: parent and child where one of two traced ones started the other, else the program's name."""
    programs = [str(name).removesuffix(".py") or "process" for name in trace.processes["program"]]
    names = dict(zip(trace.processes["process"].tolist(), programs, strict=True))
    traced = trace.processes[trace.processes["traced"]]
    if len(traced) == 2 and number(traced["parent"].iloc[1]) == traced["process"].iloc[0]:
        names |= {int(traced["process"].iloc[0]): "parent", int(traced["process"].iloc[1]): "child"}
    return dict(zip(names, numbered(list(names.values())), strict=True))


def thread_names(trace: Trace, processes: dict[int, str]) -> dict[int, str]:
    """Thread id → name: the main thread has its process's, the others parent/logger."""
    names = [
        processes[row.process] if row.main else f"{processes[row.process]}/{row.name}" for row in rows_of(trace.threads)
    ]
    return dict(zip(trace.threads["thread"].tolist(), numbered(names), strict=True))


def channel_names(trace: Trace, events: Events, messages: pd.DataFrame) -> dict[int, str]:
    """Channel id → name: pipe A, pipe B, … in order of making, those that carried nothing last; file NAME; terminal."""
    names: dict[int, str] = {}
    carried = set(messages["channel"].tolist())
    waited = set(events.channel[events.is_kind("read", "write")].tolist())
    pipes = trace.channels[trace.channels["kind"] == "pipe"]["channel"].tolist()
    order = sorted(pipes, key=lambda channel: (channel not in carried, channel not in waited, channel))
    for place, channel in enumerate(order):
        names[channel] = f"pipe {letters(place)}"
    names |= _connections(trace) | _objects(trace)
    looking = set(events.channel[events.is_kind("select")].tolist())  # an epoll object has a descriptor of its own
    others = trace.channels.loc[(trace.channels["kind"] == "other") & trace.channels["path"].isna(), "channel"]
    for place, channel in enumerate(others.tolist()):
        names[channel] = f"{'epoll' if channel in looking else 'descriptor'} {letters(place)}"
    for row in rows_of(trace.channels):
        if row.channel in names:
            continue
        path = row.path if isinstance(row.path, str) else ""
        if row.kind == "tty":
            names[row.channel] = "terminal"
        elif path.startswith("/dev/"):
            names[row.channel] = path
        else:
            names[row.channel] = f"{row.kind} {PurePath(path).name or row.inode}"
    return names


def _connections(trace: Trace) -> dict[int, str]:
    """The two ends of each socket pair or connection: socket A/1 and A/2, with an address where there is one."""
    sockets = trace.channels[trace.channels["kind"] == "socket"]
    names: dict[int, str] = {}
    place = 0
    for row in rows_of(sockets):
        if row.channel in names:
            continue
        address = next((text for text in (row.local, row.remote) if isinstance(text, str) and text), "")
        about, peer = f" at {address}" if address else "", number(row.peer)
        names[row.channel] = f"socket {letters(place)}{'/1' if peer is not None else ''}{about}"
        if peer is not None:
            names[peer] = f"socket {letters(place)}/2{about}"
        place += 1
    return names


def _objects(trace: Trace) -> dict[int, str]:
    """Locks, queues and other objects of Python's: lock A, queue B; in order of their first use."""
    names: dict[int, str] = {}
    for kind, rows in groups(trace.channels[trace.channels["kind"].isin(OBJECTS)], "kind"):
        for place, channel in enumerate(rows["channel"].tolist()):
            names[channel] = f"{kind} {letters(place)}"
    return names


def letters(place: int) -> str:
    """0 → A, 25 → Z, 26 → AA."""
    name = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def waits_on(reason: str, channel: str | None) -> str:
    """waits for data on pipe B; waits for room in pipe A; waits for lock A; for nothing known: runs."""
    words = REASONS.get(reason, "runs")
    if reason == "ready":  # the ends that it waits for are others than an epoll's own
        channel = None
    if channel is None or (reason == "lock" and channel.startswith("lock ")):
        return words if channel is None else f"waits for {channel}"
    return f"{words} {'in' if reason == 'noroom' else 'on'} {channel}"


def the(name: str) -> str:
    """A name within a sentence: the parent, the child; a program's name as it is."""
    return f"the {name}" if name in ("parent", "child") else name


def sentence(text: str) -> str:
    """With a capital where it begins with a word of ours."""
    return text[:1].upper() + text[1:] if text.startswith(("the ", "both ", "each ")) else text


def listing(words: list[str]) -> str:
    """a, b and c; of very many the first, and how many more: nobody reads sixty names."""
    if len(words) > MOST:
        words = [*words[: MOST - 2], f"{len(words) - MOST + 2} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def signal_name(number: int) -> str:
    """`SIGTERM`; `signal 40` for one that has no name."""
    try:
        return Signal(number).name
    except ValueError:
        return f"signal {number}"


def plural(count: int, word: str) -> str:
    """1 byte, 26 bytes, 65,536 bytes."""
    many = (
        word
        if count == 1
        else word[:-1] + "ies"
        if word.endswith("y")
        else word + ("es" if word.endswith("s") else "s")
    )
    return f"{count:,} {many}"


def span(nanoseconds: int) -> str:
    """A length of time in two or three digits: 45 µs, 3.2 ms, 324 ms, 1.27 s."""
    seconds = nanoseconds / 1e9
    for unit, factor in (("µs", 1e6), ("ms", 1e3)):
        value = seconds * factor
        if value < 999.5:
            return f"{value:.2g} {unit}" if value < 99.5 else f"{value:.0f} {unit}"
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
