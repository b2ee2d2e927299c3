"""Two runs laid beside each other: who is who, and what each thread did, step by step."""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from ..events import NONE, Ints, number, pick, whole
from ..naming import plural, the
from ..results import Analysis, Finding
from . import steps as stepping
from .results import Side
from .roles import Cast, Roles, cast, unnumbered
from .steps import AT_ONCE, HELD, Steps

TIES = 300
_LIBRARY = re.compile(r"[/\\]lib(?:64)?[/\\](?:python|pypy)[\d.]+[/\\]|[/\\]site-packages[/\\]", re.IGNORECASE)


class View(Cast):
    """One run, its steps, and the words for what it does at a step."""

    @cached_property
    def steps(self) -> Steps:
        """What each thread did."""
        return stepping.steps(self)

    @cached_property
    def stopped(self) -> bool:
        """ipctrace (or a person) ended it: what is missing at its end says nothing."""
        return self.trace.facts.get("ended") in ("deadlock", "duration", "interrupted")

    @cached_property
    def cut(self) -> set[int]:
        """Processes that were ended by a signal, or still lived at the end: they too might have gone on."""
        table = self.trace.processes
        ended = table["status"].notna() & (table["status"].fillna(0) >= 0)
        return set(table.loc[~ended, "process"].tolist())

    def cut_short(self, thread: int) -> bool:
        """Whether what is missing at a thread's end says nothing."""
        own = thread if thread >= 0 else -1 - thread
        return self.stopped or int(self.trace.threads["process"].iloc[own]) in self.cut

    @cached_property
    def handed(self) -> Ints:
        """Message → the call that handed it over."""
        return stepping.handed(self)

    @cached_property
    def messages_of_step(self) -> dict[int, list[int]]:
        """Step → the messages that it handed over."""
        step = pick(self.steps.of_event, pick(self.events.outermost, self.handed))
        found: dict[int, list[int]] = {}
        for message, place in enumerate(step.tolist()):
            if place != NONE:
                found.setdefault(place, []).append(message)
        return found

    @cached_property
    def pieces(self) -> dict[str, dict[int, int]]:
        """`write_event` and `read_event` → message → how many of them moved bytes of it."""
        table = self.analysis.pieces
        moved = {column: table.dropna(subset=[column]) for column in ("write_event", "read_event")}
        counts = {column: rows.groupby("message")[column].nunique() for column, rows in moved.items()}
        return {
            column: dict(zip(series.index.tolist(), series.tolist(), strict=True)) for column, series in counts.items()
        }

    @cached_property
    def write_of(self) -> Ints:
        """Message → the call that carried it; NONE: it never left."""
        return whole(self.analysis.messages["write_event"])

    @cached_property
    def explaining(self) -> Finding | None:
        """The finding that the verdict rests on."""
        verdict = self.analysis.verdict
        return next((one for one in self.analysis.findings if one.rule == verdict.rule), None)

    @cached_property
    def accused(self) -> set[int]:
        """Sites (the first of their line) that this finding names, whose bytes are stuck, or where the knot waits."""
        graph = self.analysis.graph
        found = [site for one in (graph.stuck if graph else ()) for site, _ in one.pieces]
        found += [one.site for one in (graph.waiters if graph else ()) if one.role == "core"]
        found += self.explaining.sites if self.explaining and self.analysis.verdict.name != "completed" else ()
        return {int(self.line_of[site]) for site in found if site is not None}

    @cached_property
    def line_of(self) -> Ints:
        """Site → the first site of its line."""
        return stepping.lines(self)

    @cached_property
    def sharers(self) -> set[int]:
        """Threads whose work is as it comes: they take messages from a channel that others take from too, wait for
        several channels at once, or are one of several that have nothing but a number for a name."""
        table = self.analysis.messages[["channel", "reader"]].dropna().drop_duplicates()
        many = table.groupby("channel")["reader"].transform("size") > 1
        found = {int(thread) for thread in table.loc[many, "reader"]}
        waits = self.trace.members["event"].value_counts()
        several = waits.index[waits > 1].to_numpy(dtype="int64")
        found |= set(self.events.thread[several].tolist())
        threads = self.trace.threads
        numbered = threads[~threads["main"] & threads["loop"].isna() & threads["name"].str.contains(r"\d")]
        names = numbered["name"].map(unnumbered)
        return found | set(numbered.loc[names.groupby([numbered["process"], names]).transform("size") > 1, "thread"])

    def who(self, thread: int) -> str:
        """The role of a thread; of a signal's handler, whose."""
        return self.analysis.names[thread] if thread >= 0 else f"{self.analysis.names[-1 - thread]}'s signal handler"

    def library(self, thread: int) -> bool:
        """Whether everything that a thread does is done by a library's lines, or by none."""
        codes = np.unique(self.steps.line[self.steps.of(thread)])
        return all(_LIBRARY.search(self.sites[int(code)].file) for code in codes[codes >= 0])

    def text_of(self, step: int) -> str:
        """A step's line of source; where no line made the call, the call."""
        code = int(self.steps.line[step])
        return self.line(code).text if code >= 0 else self.events.op(int(self.steps.first[step]))

    @cached_property
    def texts(self) -> set[str]:
        """Everything that the run does, as lines of source."""
        codes, first = np.unique(self.steps.line, return_index=True)
        return {self.text_of(int(step)) for step in first} if len(codes) else set()

    def call(self, event: int) -> str:
        """A call as a person writes it: `sys.stdout.flush()`, `os.pipe()`."""
        op, stream = self.events.op(event), number(self.events.stream[event])
        if op.startswith("stream.") and stream is not None:
            return f"{self.trace.streams['name'].iloc[stream]}{op.removeprefix('stream')}()"
        return f"{op}()"

    def side(self, words: str, step: int | None) -> Side:
        """What is so at a step."""
        if step is None:
            return Side(words)
        return self.side_at(words, int(self.steps.first[step]))

    def side_at(self, words: str, event: int | None, site: int | None = None) -> Side:
        """What is so at a call; `site`: of another line than the call's own."""
        if event is None:
            return Side(words)
        site = number(self.events.site[event]) if site is None else site
        time = int(self.events.enter[event])
        if site is None:
            return Side(words, time, event)
        row = self.sites[site]
        return Side(words, time, event, row.file, int(row.line), self.text.get((row.file, row.line), ""))

    def does(self, step: int) -> str:
        """What a step does: `calls sys.stdout.flush()`, and what becomes of its bytes."""
        said = f"calls {self.call(int(self.steps.first[step]))}"
        return f"{said}: {self.becomes(step)}" if self.steps.flow[step] else said

    def becomes(self, step: int) -> str:
        """What becomes of the bytes that a step hands over: `26 bytes stay in sys.stdout until …`."""
        table, mine = self.analysis.messages, self.messages_of_step.get(step, [])
        size = int(table["size"].iloc[mine].sum())
        channel = self.analysis.channel_names.get(int(table["channel"].iloc[mine[0]]), "its channel")
        stay, go = ("stays", "goes") if size == 1 else ("stay", "go")
        flow = self.steps.flow[step]
        if flow == AT_ONCE:
            return f"{plural(size, 'byte')} {go} into {channel} at once"
        if flow != HELD:
            return "nothing is handed over"
        stream = number(table["stream"].iloc[mine[0]])
        buffer = "a buffer" if stream is None else str(self.trace.streams["name"].iloc[stream])
        return f"{plural(size, 'byte')} {stay} in {buffer}{self._until(mine)}"

    def _until(self, messages: list[int]) -> str:
        """When they left: until when they stayed."""
        writes = [int(self.write_of[message]) for message in messages]
        if any(write == NONE for write in writes):
            return ", for ever" if self.stopped else " and are lost"
        top = int(self.events.outermost[writes[-1]])
        site, kind = number(self.events.site[top]), self.events.kind(top)
        if site is None:
            return " until the interpreter ends"
        if kind == "accept":
            return " until the buffer is full"
        row = self.sites[site]
        return f" until {self.call(top)} at {row.file.rsplit('/', 1)[-1]}:{row.line}"


class Scene:
    """Two runs and who is who in them."""

    def __init__(self, first: View, second: View) -> None:
        self.first, self.second = first, second
        self.roles: Roles = cast(first, second)
        self.alike: list[tuple[int, int]] = []  # steps that both take; filled by `divergence`

    def agreed(self, until: int | None) -> int:
        """How many steps both took before a moment of the first run."""
        begin = self.first.steps.begin
        return sum(until is None or int(begin[a]) < until for a, _ in self.alike)

    def ties(self) -> tuple[tuple[int, int, int, int], ...]:
        """`Pair.ties`."""
        one, other = self.first.steps, self.second.steps
        handing = sorted((a, b) for a, b in self.alike if one.flow[a] or other.flow[b])
        handing = [pair for pair in handing if one.thread[pair[0]] >= 0]
        handing.sort(key=lambda pair: int(one.begin[pair[0]]))
        kept = handing[:: max(1, -(-len(handing) // TIES))]
        return tuple(
            (int(one.thread[a]), int(one.begin[a]), int(other.thread[b]), int(other.begin[b])) for a, b in kept
        )

    @cached_property
    def thread_pairs(self) -> list[tuple[int, int]]:
        """Threads that are alike, (first, second); their signals' handlers as -1 - thread."""
        pairs = [(one, other) for other, one in self.roles.threads.items()]
        return sorted([*pairs, *((-1 - one, -1 - other) for one, other in pairs)])

    def shares(self, first: int, second: int) -> bool:
        """Whether what a thread does, and how much of it, is a matter of who is faster, in one run or the other."""
        return first in self.first.sharers or second in self.second.sharers

    def library(self, first: int, second: int) -> bool:
        """Whether no line of the program runs in a thread: it does a library's work, as it comes."""
        return self.first.library(first) and self.second.library(second)

    def who(self, first: int | None, second: int | None) -> str:
        """The role of a thread, by the first run's name where it is there."""
        name = self.first.who(first) if first is not None else self.second.who(second) if second is not None else ""
        return the(name)


def of(analysis: Analysis) -> View:
    """A run, ready to be compared with others."""
    return View(analysis)
