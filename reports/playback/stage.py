"""A run that was analysed, ready to be played: the scene of every instant, and the ways from one to another."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ipctrace.analysis.events import NEVER, NONE, Flags, Ints, number
from ipctrace.analysis.results import Analysis, Finding

from ..markup import moment
from ..run import OUTWARD, Run
from .happenings import GOT, PUT, SENT, Told, amount, happenings, waited_for
from .instants import Fill, Instants, Wait
from .preview import PICTURES
from .scene import Channel, Lane, Room, Scene

BLOCK = 64  # happenings: who talks most is asked of so many before and after, so that columns don't come and go


HOLDING = ("pipe", "fifo", "socket", "queue")  # channels in which something may lie; in a lock or an event nothing does
# What a thread does, in the fifteen columns that there are
_BRIEFLY = {
    "child": "waits for exit", "peer": "waits for peer", "lock": "waits for lock", "ready": "waits for any",
    "notice": "is to be told", "signal": "waits: signal",
}  # fmt: skip
_STYLES = {"deadlock": "danger", "crashed": "danger", "stalled": "held"}


class Analysed:
    """The stage of an analysis. Every answer is a function of what it is asked: nothing is remembered in between."""

    def __init__(self, analysis: Analysis) -> None:
        self.run = Run(analysis)
        self.instants = Instants(self.run)
        self.end = self.instants.end
        self.names = [self.run.thread_name(lane.thread, lane.process) for lane in self.run.lanes]
        self.told = Told(self.instants, self.names)
        self.table = happenings(self.instants)

    # ---- the scene

    def scene(self, t: int, room: Room, message: int | None = None) -> Scene:
        """Everything at `t`, for so much room; `message`: the open one."""
        waits = self.instants.waits_at(t)
        fills = self.instants.fills(t)
        seen = self.instants.last_seen(t)
        behind = int(np.searchsorted(self.table.time, t, "right"))
        rows = tuple(self.told.exchange(self.table, place, t) for place in range(max(0, behind - room.rows), behind))
        verdict, formed = self.run.analysis.verdict, self.instants.formed
        shown, resting = self._channels(t, waits, fills, room.channels, message)
        return Scene(
            time=t, end=self.end, title=str(self.run.facts.get("program") or "a run"),
            verdict=f"{verdict.name}[{verdict.rule}]" if verdict.rule else verdict.name,
            style=_STYLES.get(verdict.name, "good"),
            knot=formed, place=self._place(t), lanes=tuple(self._lane(lane, t, waits.get(lane), int(seen[lane]))
                                                           for lane in range(len(self.names))),
            columns=self._columns(t, room, behind), rows=rows, channels=shown, resting=resting,
            opened=() if message is None else self._opened(message, t),
        )  # fmt: skip

    def _place(self, t: int) -> str:
        moments = self.instants.moments
        return f"event {int(np.searchsorted(moments, t, 'right')):,} of {len(moments):,}"

    def _columns(self, t: int, room: Room, behind: int) -> tuple[str, ...]:
        """The lanes that have a column, in display order: those that talk most about now, the knot's before others."""
        if len(self.names) <= room.columns:
            return tuple(self.names)
        if room.shift is not None:
            first = min(room.shift, len(self.names) - room.columns)
            return tuple(self.names[first : first + room.columns])
        block = behind // BLOCK
        near = slice(max(0, (block - 1) * BLOCK), (block + 1) * BLOCK)
        sides = np.append(self.table.lane[near], self.table.other[near])
        score = np.bincount(sides[sides >= 0], minlength=len(self.names)).astype("int64")
        if self.instants.formed is not None and t >= self.instants.formed:
            score[list(self.instants.core)] += 4 * BLOCK
        chosen = np.sort(np.argsort(-score, kind="stable")[: room.columns])
        return tuple(self.names[lane] for lane in chosen.tolist())

    def _lane(self, lane: int, t: int, wait: Wait | None, site: int) -> Lane:
        name, instants = self.names[lane], self.instants
        if t < instants.born[lane]:
            return Lane(name, "not begun", style="dim")
        if t > instants.ended[lane]:
            return Lane(name, "has ended", style="dim")
        traced = bool(self.run.processes[self.run.lanes[lane].process]["traced"])
        if wait is None:
            place = self.run.place(None if site == NONE else site) if traced else ""
            return Lane(name, "runs" if traced else "not traced", place=place)
        dead = wait.open and lane in instants.core and instants.formed is not None and t >= instants.formed
        channel = (
            "" if wait.channel is None or wait.reason in ("child", "sleep") else self.run.channel_name(wait.channel)
        )
        return Lane(
            name, _BRIEFLY.get(wait.reason, waited_for(wait.reason, None)), channel, t - wait.since,
            self._awaited(wait), self.run.place(wait.site),
            "danger" if dead else "" if wait.reason == "sleep" else "strong", wait.reason != "sleep",
        )  # fmt: skip

    def _awaited(self, wait: Wait) -> str:
        """Whom a wait is for: `a`, `a and b`, `a and 3 more`. That one could also end it oneself says little."""
        lanes = [lane for lane, _, _ in wait.to if lane != wait.lane] or [lane for lane, _, _ in wait.to]
        if len(lanes) > 2:
            return f"{self.names[lanes[0]]} and {len(lanes) - 1} more"
        return " and ".join(self.names[lane] for lane in lanes)

    # ---- channels

    @property
    def channels(self) -> int:
        """How many channels there are to show."""
        return len(self._used)

    @cached_property
    def _used(self) -> list[int]:
        """Channels that may be shown: that something went through, or that somebody waited on."""
        waited = set(self.instants.waits["channel"].dropna().tolist())
        return [
            row["channel"] for row in self.run.channels
            if (row["messages"] and row["kind"] not in OUTWARD)
            or (row["channel"] in waited and row["kind"] in HOLDING)
        ]  # fmt: skip

    def _channels(
        self, t: int, waits: dict[int, Wait], fills: list[Fill], most: int, message: int | None
    ) -> tuple[tuple[Channel, ...], int]:
        """The channels that matter most at `t`, in the order of the table, and how many more there are."""
        on: dict[int, list[Wait]] = {}
        for wait in waits.values():
            if wait.channel is not None:
                on.setdefault(wait.channel, []).append(wait)
        opened = None if message is None else int(self.instants.channel[message])
        ranked = self._used
        if len(ranked) > most:
            before, after = self.instants.used_near(t)
            near: Flags = np.minimum(t - before, after - t) <= self.end // 100

            def worth(channel: int) -> int:
                dead = any(wait.open and wait.lane in self.instants.core for wait in on.get(channel, ()))
                return (
                    4 * (channel in on)
                    + 4 * dead
                    + 3 * any(fills[channel])
                    + 2 * (channel == opened)
                    + bool(near[channel])
                )

            ranked = sorted(ranked, key=lambda channel: (-worth(channel), -sum(fills[channel]), channel))
        shown = sorted(ranked[:most])
        return tuple(self._channel(each, t, on.get(each, []), fills[each]) for each in shown), len(ranked) - len(shown)

    def _channel(self, channel: int, t: int, waits: list[Wait], fill: Fill) -> Channel:
        row, formed = self.run.channels[channel], self.instants.formed
        first = ""
        if any(fill):
            lying = self.instants.contents(channel, t)
            one = next((int(rows[0]) for rows in lying.values() if len(rows)), None)
            first = "" if one is None else f"{self.told.message(one)}: {self.told.payload(one)}"
        dead = formed is not None and t >= formed and any(one.open and one.lane in self.instants.core for one in waits)
        awaited = ", ".join(dict.fromkeys(self.names[one.lane] for one in waits))
        return Channel(
            self.run.channel_name(channel), self._ends(channel, "w"), self._ends(channel, "r"),
            held=fill.writer, kernel=fill.kernel, unread=fill.reader, capacity=row["capacity"],
            unit="items" if self.instants.items[channel] else "B", first=first, awaited=awaited,
            style="danger" if dead else "held" if fill.writer else "",
        )  # fmt: skip

    def _ends(self, channel: int, access: str) -> str:
        """Who is at an end of a channel: who used it, or holds it."""
        row = self.run.channels[channel]
        unseen = self.run.unseen(channel, access)[0]
        used = row["writers" if access == "w" else "readers"]
        holders = (self.run.process_name(process) for process in self.run.holders.get((channel, access), [])[:3])
        return unseen or used or ", ".join(holders) or "nobody"

    # ---- the open message

    def _opened(self, message: int, t: int) -> tuple[str, ...]:
        """What is known of the open message: its way, and what it says."""
        instants, steps = self.instants, []
        row = instants.messages.iloc[message]
        times = {
            "put": instants.begin,
            "written": instants.written,
            "read": instants.read,
            "received": instants.received,
        }
        for word, of in times.items():
            steps.append(f"{word} {moment(of[message], 6)[:-2]}" if of[message] != NEVER else f"{word} never")
        writer, reader = (
            self.names[int(lane)] if lane >= 0 else "?" for lane in (instants.writer[message], instants.reader[message])
        )
        sites = " -> ".join(filter(None, (self.run.place(number(row[name])) for name in ("accept_site", "read_site"))))
        what = f"message {self.told.number(message)}: {amount(int(instants.size[message]), 'B')} {writer} → {reader}"
        where = self.run.channel_name(int(instants.channel[message]))
        return f"{what}, {where}; {', '.join(steps)}", f"{sites}{': ' * bool(sites)}{self.told.payload(message)}"

    # ---- from one instant to another

    def neighbour(self, t: int, way: int) -> int:
        """The next or previous moment."""
        return self.instants.neighbour(t, way)

    def leap(self, t: int, moments: int) -> int:
        """The moment so many moments on."""
        all_ = self.instants.moments
        place = int(np.searchsorted(all_, t, "right")) - 1 + moments
        return int(all_[place]) if 0 <= place < len(all_) else self.end if moments > 0 else 0

    def pace(self) -> int:
        """Moments from one picture to the next."""
        return max(1, len(self.instants.moments) // PICTURES)

    def message_beside(self, t: int, message: int | None, way: int) -> int | None:
        """The next or previous message: from the open one, or from the instant."""
        begin = self.instants.begin
        if not len(begin):
            return None
        place = (
            message + way
            if message is not None
            else int(np.searchsorted(begin, t, "right" if way > 0 else "left")) - (way < 0)
        )
        return min(max(place, 0), len(begin) - 1)

    def message_of(self, number: int) -> int | None:
        """The row of the message that sentences call by this number."""
        rows = self.run.message_rows
        return int(rows[number - 1]) if 1 <= number <= len(rows) else None

    def message_time(self, message: int) -> int:
        """When a message was handed over."""
        return int(self.instants.begin[message])

    def along(self, message: int, t: int, way: int) -> int:
        """The next or previous step of a message."""
        return self.instants.along(message, t, way)

    def wait_beside(self, t: int, way: int) -> int | None:
        """When the next or previous wait begins."""
        begin = self.instants.wait_begin
        place = int(np.searchsorted(begin, t, "right" if way > 0 else "left")) - (way < 0)
        return int(begin[place]) if 0 <= place < len(begin) else None

    @property
    def findings(self) -> list[Finding]:
        """What was found, most important first."""
        return self.run.analysis.findings

    def finding_time(self, finding: Finding) -> int:
        """When what a finding tells of came about: the knot's closing, or the first of its events."""
        if finding.rule == self.run.analysis.verdict.rule and self.instants.formed is not None:
            return self.instants.formed
        enter = self.run.trace.events["enter"]
        return int(enter.iloc[finding.events[0]]) if finding.events else 0

    def search(self, text: str, t: int, way: int) -> tuple[int, int | None] | None:
        """The next or previous instant at which something is told of in which `text` stands: (time, message); None.

        Looked for are payloads, and the names of threads, channels and places that take part; upper and lower case are
        alike. The search goes on at the other end.
        """
        found = self._matches(text)
        if not len(found):
            return None
        times = self.table.time[found]
        place = int(np.searchsorted(times, t, "right" if way > 0 else "left")) - (way < 0)
        one = int(found[place % len(found)])
        message = int(self.table.row[one]) if self.table.kind[one] in (PUT, SENT, GOT) else None
        return int(self.table.time[one]), message

    def _matches(self, text: str) -> Ints:
        wanted = text.casefold()
        names = np.array([wanted in name.casefold() for name in self.names] + [False], dtype=bool)
        channels = np.array(
            [wanted in self.run.channel_name(row["channel"]).casefold() for row in self.run.channels], dtype=bool
        )
        messages = self.instants.matching(wanted.encode())
        messages |= channels[self.instants.channel] if len(channels) else False
        table = self.table
        hit = names[table.lane] | names[table.other]
        of_message = table.kind <= GOT
        hit[of_message] |= messages[table.row[of_message]]
        return np.flatnonzero(hit)
