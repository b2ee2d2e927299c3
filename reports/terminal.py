"""The verdict as lines of a terminal: what became of the run, why, where, what to change, what to call next.

The form is that of a compiler's message: `verdict[CODE]: sentence`, then each member of the knot with the source lines
where it waits (`^`) and where it left bytes behind (`~`), then the last exchanges as a diagram, then the remedy as a
diff that applies, then commands.
At most 80 columns; the first sentence is wrapped and never cut. Everything that a program wrote is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, NamedTuple

import pandas as pd

from ..analysis.naming import waits_on
from ..analysis.results import Analysis, Edit, Finding, Stuck, Waiter
from ..analysis.waits.processes import ASYNCIO_WAIT
from ..tracer.schema import REASONS
from .exchanges import exchanges
from .ink import Ink, columns, cut, escape, wrap
from .markup import count, moment, span
from .tables import unseen

MEMBERS = 3  # of a knot that are shown whole
OTHERS = 2  # further findings beside a knot
FINDINGS = 8  # of a run without a knot
EXCHANGES = 6  # of the last, beside a verdict
BESIDE = 36  # columns that a note needs beside its mark, if it is longer than that
WIDTH = 80


class Mark(NamedTuple):
    """A place in the source that a member's lines point at."""

    site: int
    sign: str  # "~" left bytes behind, "^" waits
    note: str


def verdict(
    analysis: Analysis, ink: Ink, steps: Sequence[tuple[str, str]] = (), more: str = "", most: int = EXCHANGES
) -> Iterator[str]:
    """The lines that end `ipctrace record`, with the last `most` exchanges as a diagram.

    `steps` are (word, command or path) pairs, printed last and one a line, so that they can be copied; `more` is the
    command that shows the findings that have no room here. Without it all of them are shown, each with its remedy.
    """
    yield from _single(Terminal(analysis, ink).verdict(steps, more, most))


class Terminal:
    """The lines of one analysis on one terminal; every method yields finished lines."""

    def __init__(self, analysis: Analysis, ink: Ink) -> None:
        self.analysis, self.ink = analysis, ink
        self.width = min(ink.width, WIDTH)
        sources = analysis.trace.sources
        self.lines = {
            (file, int(line)): text
            for file, line, text in zip(sources["file"], sources["line"], sources["text"], strict=True)
        }

    def clean(self, text: object) -> str:
        """Text for this terminal: escaped, in its characters."""
        return self.ink.plain(escape(str(text)))

    def verdict(self, steps: Sequence[tuple[str, str]], more: str, most: int) -> Iterator[str]:
        """The whole message."""
        explained = self.explained()
        yield from self.headline()
        yield ""
        knotted = [waiter for waiter in self.waiters() if waiter.role == "core"]
        if knotted:
            yield from self.knot(knotted, more)
        else:
            yield from self.paragraph(self.summary())
            yield from self.silence()
        yield ""
        yield from exchanges(self.analysis, replace(self.ink, width=self.width), most)
        yield ""
        if explained:
            if self.analysis.verdict.name == "stalled":  # whose headline says why it may go on, and not why it hangs
                yield from self.finding(explained)
            yield from self.remedy(explained)
        yield from self.others([finding for finding in self.analysis.findings if finding is not explained], more)
        yield from [""] if steps else []
        for word, step in steps:
            yield f"  {self.ink.paint(word.ljust(8), 'dim')}  {self.clean(step)}"

    # ---- the first sentence

    def headline(self) -> Iterator[str]:
        """`verdict[CODE]: sentence`, or `completed in 1.27 s, exit 0`."""
        verdict, facts = self.analysis.verdict, self.analysis.trace.facts
        if verdict.name == "completed":
            word = "completed"
            text = f"in {span(facts.get('duration') or 0)}{_status(facts.get('status'))}"
            style = "good" if facts.get("status") == 0 else "strong"
        else:
            rule = f"[{verdict.rule}]" if verdict.rule else ""
            word = f"{verdict.name}{rule}:"
            text = self.sentence(verdict.headline)
            style = "danger" if verdict.name in ("deadlock", "crashed") else "held"
        name = verdict.name
        for index, line in enumerate(wrap(f"{word} {self.clean(text)}", self.width)):
            yield self.ink.paint(name, style) + line.removeprefix(name) if index == 0 else line

    def sentence(self, text: str) -> str:
        """Sentences as one: `Both wait. The bytes are stuck.` becomes `both wait; the bytes are stuck`."""
        names = {*self.analysis.names.values(), *self.analysis.process_names.values()}

        def lower(part: str) -> str:
            first = part.split(" ", 1)[0]
            ordinary = first not in names and first.istitle() and first.isalpha()
            return part[:1].lower() + part[1:] if ordinary or first.lower() in names else part

        return "; ".join(lower(part) for part in text.rstrip(".").split(". "))

    def summary(self) -> str:
        """How much there was: `3 processes, 4 threads, 3 pipes, 6 messages, 232 bytes, none lost`."""
        trace, messages = self.analysis.trace, self.analysis.messages
        channels = trace.channels[~trace.channels["outside"] & trace.channels["kind"].isin(["pipe", "fifo", "socket"])]
        messages = messages[messages["channel"].isin(channels["channel"])]
        pipes = [count(len(rows), str(kind)) for kind, rows in channels.groupby("kind", sort=False)] or ["no pipes"]
        tasks = int(trace.threads["loop"].notna().sum())
        parts = [count(len(trace.processes), "process"), count(len(trace.threads) - tasks, "thread")]
        parts += [count(tasks, "task")] if tasks else []
        parts += pipes
        parts += [count(len(messages), "message"), count(int(messages["size"].sum()), "byte")] if len(messages) else []
        held = messages["written"].isna() & messages["writer"].notna()
        # what somebody who is not traced reads is not known
        blind = messages["channel"].map(lambda channel: unseen(self.analysis, channel)).astype(bool)
        unread = messages["read"].isna() & ~blind
        if len(messages):
            parts += [f"{int(held.sum())} never left its writer's buffer"] if held.any() else []
            parts += [f"{int((unread & ~held).sum())} never read"] if (unread & ~held).any() else []
            parts += [] if messages["read"].isna().any() or messages["written"].isna().any() else ["none lost"]
        return ", ".join(parts)

    def silence(self) -> Iterator[str]:
        """Why there are no messages, and what to do to see some."""
        trace, program = self.analysis.trace, self.analysis.trace.facts["program"]
        if not trace.processes["traced"].any():
            yield from self.paragraph(
                f"no process of it was a Python that could be recorded: {program} is known from outside only. Record a "
                "Python file, or a command that starts one; Python's options -I, -E and -S keep the recorder out."
            )
        elif trace.events["site"].isna().all():  # nothing but what the interpreter does as it ends
            yield from self.paragraph(
                f"{program} ended before it did anything that is recorded: it made no pipe, read and wrote nothing, "
                "started nobody. If that is a surprise, run it by itself and look at what it says."
            )
        elif self.analysis.messages.empty:
            yield from self.paragraph("no bytes passed between processes")

    def others(self, found: Sequence[Finding], more: str) -> Iterator[str]:
        """The findings beside the one that explains the verdict; where a line can be changed, how.

        A few beside a knot, several without one; without `more` all, each with its remedy.
        """
        knotted = any(waiter.role == "core" for waiter in self.waiters())
        if knotted and more:
            found = [finding for finding in found if finding.severity != "info"]
        room = (OTHERS if knotted else FINDINGS) if more else len(found)
        alike = Counter(finding.kind for finding in found)
        if more:  # one of each kind: nobody reads ninety that are alike
            found = list({finding.kind: finding for finding in reversed(found)}.values())[::-1]
        if knotted and found:
            yield ""
        for finding in found[:room]:
            yield from self.finding(finding, alike[finding.kind] if more else 1)
            if finding.edit or not more:
                yield from self.remedy(finding)
                yield ""
        hidden = sum(alike.values()) - sum(alike[finding.kind] for finding in found[:room]) if more else 0
        if hidden:
            yield f"  and {count(hidden, 'more finding')}: {self.clean(more)}"

    # ---- the knot

    def waiters(self) -> Sequence[Waiter]:
        """The nodes of the wait-for graph, where there is one."""
        return self.analysis.graph.waiters if self.analysis.graph else ()

    def knot(self, members: list[Waiter], more: str) -> Iterator[str]:
        """The members with their source, then why this is so, who waits behind them, and who runs."""
        shown = members[:MEMBERS] if more else members
        for waiter in shown:
            yield from self.member(waiter)
            yield ""
        if len(members) > len(shown):
            yield f"  and {len(members) - len(shown)} more in the same knot: {self.clean(more)}"
        verdict = self.analysis.verdict
        if verdict.certainty == "proven":
            why = ", and ".join(waiter.evidence for waiter in members if waiter.evidence)
        else:
            why = verdict.because
        if why:
            yield from self.paragraph(why, f"  {verdict.certainty}: ")
        told: dict[str, tuple[str, Callable[[Waiter], str]]] = {
            "victim": ("  behind: ", lambda waiter: f"{self.who(waiter)} {self.waits(waiter)}"),
            "bystander": ("  runs, cannot help: ", lambda waiter: self.who(waiter) + _bracket(waiter.evidence)),
        }
        for role, (first, words) in told.items():
            them = [waiter for waiter in self.waiters() if waiter.role == role]
            rest = f", and {len(them) - 2} more" if len(them) > 2 else ""
            if them:
                yield from self.paragraph("; ".join(map(words, them[:2])) + rest, first)

    def member(self, waiter: Waiter) -> Iterator[str]:
        """One line of who waits for what, where, since when; then the source."""
        left = self.clean(f"  {self.who(waiter)} {self.waits(waiter)}")
        right = self.clean(f"{self.place(waiter.site)}  since {moment(waiter.since, 3)}")
        room = self.width - columns(left) - columns(right)
        if room >= 2:
            yield left + " " * room + right
        else:
            yield from wrap(left.strip(), self.width, "  ")
            yield f"    {right.strip()}"
        yield from self.excerpt([*self.left_behind(waiter), *self.wait_mark(waiter)])

    def who(self, waiter: Waiter) -> str:
        """Role and pid: `parent 47110`."""
        names, key = (
            (self.analysis.process_names, waiter.process)
            if waiter.thread is None
            else (self.analysis.names, waiter.thread)
        )
        return f"{names.get(key, 'a process')} {self.analysis.trace.processes['pid'].iloc[waiter.process]}"

    def waits(self, waiter: Waiter) -> str:
        """What for: `waits for data on pipe B`, `waits for child to end`."""
        graph = self.analysis.graph
        position = self.waiters().index(waiter)
        holders = [self.waiters()[edge.holder] for edge in graph.edges if edge.waiter == position] if graph else []
        if waiter.event is not None and self.analysis.trace.events["op"].iloc[waiter.event] == ASYNCIO_WAIT:
            # of a process that has ended asyncio tells late: then the wait is for the own event loop
            holders = [holder for holder in holders if holder.process != waiter.process]
        if waiter.reason == "child" and holders:
            names = " and ".join(dict.fromkeys(self.who(holder).rsplit(" ", 1)[0] for holder in holders))
            return f"waits for {names} to end"
        channel = None if waiter.channel is None else self.analysis.channel_names[waiter.channel]
        return waits_on(waiter.reason, channel) if waiter.reason in REASONS else "runs"

    def place(self, site: int | None) -> str:
        """`deadlock.py:42`, or that there is no source to point at."""
        if site is None:
            return ""
        row = self.analysis.trace.sites.iloc[site]
        return f"{PurePath(row['file']).name}:{row['line']}"

    def left_behind(self, waiter: Waiter) -> Iterator[Mark]:
        """The lines whose bytes lie in this process's buffers, the largest first where there is room for two only."""
        for stuck in self.stuck(waiter):
            stream = self.analysis.trace.streams.iloc[stuck.stream]
            sizes: dict[int, int] = {}
            for site, size in stuck.pieces:
                if site is not None:
                    sizes[site] = sizes.get(site, 0) + size
            for site, size in sorted(sizes.items(), key=lambda piece: -piece[1])[:2]:
                kind = "unbuffered" if stream["buffering"] == "none" else f"{stream['buffering']}-buffered"
                yield Mark(site, "~", f"{count(size, 'byte')} still in {stream['name']} ({kind}, {stream['why']})")

    def stuck(self, waiter: Waiter) -> list[Stuck]:
        """The waiter's own buffers that hold bytes back."""
        graph = self.analysis.graph
        return [stuck for stuck in graph.stuck if stuck.process == waiter.process] if graph else []

    def wait_mark(self, waiter: Waiter) -> Iterator[Mark]:
        """Where it waits, and what of its own buffers."""
        if waiter.site is None:
            return
        streams = self.analysis.trace.streams
        writes = ((streams["process"] == waiter.process) & (streams["mode"] != "r")).any()
        own = "flushes nothing first" if self.stuck(waiter) else "its own buffer is empty" if writes else ""
        note = f"waits here; {own}" if own and waiter.reason == "nodata" else "waits here"
        yield Mark(waiter.site, "^", note)

    def excerpt(self, marks: Sequence[Mark]) -> Iterator[str]:
        """Source lines in their order, each with its marks under it."""
        sites = self.analysis.trace.sites
        placed = [(sites.iloc[mark.site], mark) for mark in marks]
        known = [(row, mark) for row, mark in placed if (row["file"], int(row["line"])) in self.lines]
        gutter = max((len(str(row["line"])) for row, _ in known), default=0)
        files = {row["file"] for row, _ in known}
        shown: set[tuple[str, int]] = set()
        for row, mark in sorted(known, key=lambda item: (item[0]["file"], item[0]["line"], item[1].sign != "~")):
            file, line = row["file"], int(row["line"])
            if len(files) > 1 and not any(file == other for other, _ in shown):
                yield f"   {self.clean(PurePath(file).name)}:"
            text = self.lines[file, line]
            if (file, line) not in shown:
                shown.add((file, line))
                number = self.ink.paint(f"{line:>{gutter}} |", "dim")
                yield f"   {number} {cut(self.clean(text), self.width - gutter - 6, self.ink.ellipsis)}".rstrip()
            yield from self.mark(mark, text, row, gutter)

    def mark(self, mark: Mark, text: str, row: pd.Series[Any], gutter: int) -> Iterator[str]:
        """The line of marks under a source line, with the note beside it, or under it where there is no room beside."""
        before, marked = _span(text, row)
        if mark.sign == "~":  # the call's name is enough, and leaves room for the note
            marked = marked.split("(", 1)[0] or marked
        bar = f"   {' ' * gutter} {self.ink.paint('|', 'dim')} "
        room = self.width - gutter - 6
        indent = min(columns(self.clean(before)), room - 1)
        signs = mark.sign * max(1, min(columns(self.clean(marked)), room - indent))
        style = {"~": "held", "^": "danger"}[mark.sign]
        note, shown = self.clean(mark.note), f"{bar}{' ' * indent}{self.ink.paint(signs, style)}"
        behind = indent + len(signs) + 1
        if room - behind >= min(columns(note), BESIDE):
            first, *rest = wrap(note, room - behind)
            yield f"{shown} {first}"
        else:
            behind = max(0, min(indent, room - columns(note)))
            yield shown
            rest = list(wrap(note, room - behind))
        yield from (f"{bar}{' ' * behind}{line}" for line in rest)

    # ---- findings and remedies

    def explained(self) -> Finding | None:
        """The finding that explains why the run did not complete."""
        verdict = self.analysis.verdict
        rule = None if verdict.name == "completed" else verdict.rule
        return next((finding for finding in self.analysis.findings if finding.rule == rule), None)

    def finding(self, finding: Finding, alike: int = 1) -> Iterator[str]:
        """`severity[CODE]: message`, its place where the message doesn't name it, and how many times it is so there."""
        word = f"{finding.severity}[{finding.rule}]: "
        place = self.place(finding.sites[0]) if finding.sites else ""
        text = finding.message if not place or place in finding.message else f"{finding.message} ({place})"
        yield from self.paragraph(f"{text} So {alike:,} times there." if alike > 1 else text, f"  {word}")

    def remedy(self, finding: Finding) -> Iterator[str]:
        """What to change, and as a diff where one line does it."""
        yield from self.paragraph(finding.remedy, "  remedy: ")
        if finding.edit:
            yield from self.diff(finding.edit)

    def diff(self, edit: Edit) -> Iterator[str]:
        """The line before, and the one or more after."""
        yield f" - {edit.line} | {self.clean(edit.before)}"
        for line, text in enumerate(edit.after.split("\n"), edit.line):
            yield self.ink.paint(f" + {line} | {self.clean(text)}", "good")

    def paragraph(self, text: str, first: str = "  ") -> Iterator[str]:
        """Words wrapped behind `first`; further lines begin below the words."""
        yield from wrap(self.clean(text), self.width, first, " " * min(columns(first), 20))


def _single(lines: Iterable[str]) -> Iterator[str]:
    """The lines with one blank line between blocks, and none at the end."""
    blank = False
    for line in lines:
        if line:
            yield from [""] if blank else []
            yield line
        blank = not line


def _status(status: int | None) -> str:
    """`, exit 0`, `, ended by signal 9`."""
    if status is None:
        return ""
    return f", exit {status}" if status >= 0 else f", ended by signal {-status}"


def _bracket(text: str) -> str:
    return f" ({text})" if text else ""


def _span(text: str, row: pd.Series[Any]) -> tuple[str, str]:
    """What stands before the call on its line, and the call; columns count UTF-8 bytes.

    An interpreter that doesn't know columns (CPython before 3.11, PyPy) gets the whole line marked.
    """
    if pd.isna(row["column"]) or pd.isna(row["end_column"]):
        return text[: len(text) - len(text.lstrip())], text.strip()
    encoded = text.encode()
    end = int(row["end_column"]) if row["end_line"] == row["line"] else len(encoded)
    before, marked = encoded[: int(row["column"])], encoded[int(row["column"]) : end]
    return before.decode(errors="replace"), marked.decode(errors="replace").rstrip()
