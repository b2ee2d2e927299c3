"""How it came to this: the last few steps before a knot closed, in sentences.

Told from the messages on the knot's own channels (put into a buffer, flushed, read) and the waits that closed it.
"""

from __future__ import annotations

from typing import NamedTuple

from .knot import Knot
from .markup import count, escape, moment, payload_text, shorten
from .run import Run, members, rows

STEPS = 7


class Step(NamedTuple):
    time: int
    who: str
    html: str


def story(run: Run) -> str:
    """The steps as a list; timeline.js sets the cursor to the one that is clicked. Empty where there is no knot."""
    steps = told(run)
    if not steps:
        return ""
    items = "".join(
        f'<li tabindex="0" data-t="{step.time}"><span class="t">{moment(step.time)}</span>'
        f"<b>{escape(step.who)}</b> {step.html}</li>"
        for step in steps
    )
    return f'<ol id="story" aria-label="How it came to this">{items}</ol>'


def told(run: Run) -> list[Step]:
    """The last steps up to the one that closed the knot, oldest first."""
    core = members(run, "core")
    if not core or run.graph is None:
        return []
    steps = [*exchanges(run, {one.channel for one in core} - {None}), *closing(run)]
    found: list[Step] = []
    for step in sorted(steps, key=lambda step: step.time):
        if found and step[1:] == found[-1][1:]:  # a loop that does the same: told once, as it was the last time
            found.pop()
        found.append(step)
    return found[-STEPS:]


def exchanges(run: Run, channels: set[int | None]) -> list[Step]:
    """What happened to the last messages on these channels."""
    table = run.analysis.messages
    kinds, calls = (run.trace.events[name].to_numpy() for name in ("kind", "op"))
    steps = []
    for row in rows(table[table["channel"].isin(channels)].tail(STEPS)):
        amount, channel = count(row["size"], "byte"), escape(run.channel_name(row["channel"]))
        writer = run.thread_name(row["writer"], run.threads[row["writer"]]["process"])
        quoted = (
            f"<q>{escape(shorten(payload_text(row['payload'] or b'').rstrip(), 28))}</q>" if row["payload"] else "bytes"
        )
        accepted, written, read = row["accepted"], row["written"], row["read"]
        outer = None if row["accept_event"] is None else int(run.outermost[int(row["accept_event"])])
        by = None if row["write_event"] is None else int(run.outermost[int(row["write_event"])])
        verb = "prints" if outer is not None and calls[outer] == "print" else "writes"
        if accepted is not None and written is None and by is not None:  # its write has not returned
            said = f"{verb} {quoted}: {amount}, more than there is room for in {channel}."
            steps.append(Step(accepted, writer, said))
        elif accepted is not None and (written is None or outer != by):
            steps.append(
                Step(accepted, writer, f"{verb} {quoted}: {amount} go into its <b>own buffer</b>, none into {channel}.")
            )
        if written is not None and by is not None:
            call = f"<code>{escape(run.call(by))}</code>"
            said = (
                f"{verb} {quoted}: {amount} are in {channel}."
                if outer in (None, by)
                else f"calls {call}, which <b>flushes first</b>: the {amount} are in {channel}."
                if kinds[by] in ("input", "print", "accept")
                else f"calls {call}: the {amount} are in {channel}."
            )
            steps.append(Step(written, writer, said))
        if read is not None and row["reader"] is not None:
            reader = run.thread_name(row["reader"], run.threads[row["reader"]]["process"])
            by = None if row["read_event"] is None else int(run.outermost[int(row["read_event"])])
            into = "" if by is None else f" in <code>{escape(run.call(by))}</code>"
            steps.append(Step(read, reader, f"gets {quoted}{into} from {channel}."))
    return steps


def closing(run: Run) -> list[Step]:
    """The waits that closed the knot; the last one ends the story."""
    knot = Knot(run)
    core = sorted(knot.core, key=lambda one: one.since)
    steps = []
    for one in core:
        call = run.call(one.outer if one.outer is not None else one.event)
        held = one.reason != "noroom" and any(stuck.process == one.process for stuck in knot.graph.stuck)
        flush = ", which <b>flushes nothing</b>," if held else ""
        calls = f"calls <code>{escape(call)}</code>{flush} and " if call else ""
        end = " <em>Nothing moves again.</em>" if one is core[-1] else ""
        said = f"{calls}{escape(knot.line(one).what)}.{end}"
        steps.append(Step(one.since, run.thread_name(one.thread, one.process), said))
    return steps
