"""The knot as a picture: who waits for whom, the bytes that are stuck, who waits behind, who runs and cannot help.

Two drawings of the same facts: `wide` for a page, `upright` for a phone; the style sheet shows one of them. A knot of two
stands face to face, each wait running in its (empty) pipe against the flow; a larger one goes round as a loop. Positions
are arithmetic over the number of members, never over a program. Text is measured by a rule of thumb, since Python has
no fonts: a sans character is half its size wide, a mono one 0.6.
"""

from __future__ import annotations

from dataclasses import dataclass

from ipctrace.analysis.results import Edge, Stuck, Waiter
from ipctrace.tracer.schema import REASONS

from .markup import count, escape, shorten
from .model import Run, members

SHOWN = 6  # members drawn; the rest is counted in words
BYSTANDERS = 6


def words(text: str, x: float, y: float, style: str = "", anchor: str = "start", room: float = 0) -> str:
    """A line of text; `room` is the width that it may take before it is shortened."""
    if room:
        size = 7.25 if "m" in style.split() else 7.4 if "b" in style.split() else 6.0 if "t2" in style.split() else 6.6
        text = shorten(text, int(room / size))
    return f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def box(x: float, y: float, width: float, height: float, style: str, radius: float = 8) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="{style}"/>'


def head(x: float, y: float, ux: float, uy: float, style: str) -> str:
    """An arrow head with its tip at (x, y), pointing along (ux, uy)."""
    ax, ay, bx, by = -11 * ux - 5 * uy, -11 * uy + 5 * ux, 10 * uy, -10 * ux
    return f'<path class="{style}" d="M{x:g} {y:g}l{ax:g} {ay:g}l{bx:g} {by:g}z"/>'


def tube(x1: float, y1: float, x2: float, y2: float, level: float = 0) -> str:
    """A channel between two sides, filled to `level` (0 to 1); the wait runs in it from the waiter to the holder."""
    across = y1 == y2
    x, y = min(x1, x2) - (0 if across else 8), min(y1, y2) - (8 if across else 0)
    width, height = (abs(x2 - x1), 16) if across else (16, abs(y2 - y1))
    ux, uy = (1 if x2 > x1 else -1, 0) if across else (0, 1 if y2 > y1 else -1)
    full = box(x, y, width, height, "full", 0) if level > 0.95 else ""
    return (
        f'{box(x, y, width, height, "proc", 0)}{full}<path class="wait pulse" d="M{x1:g} {y1:g}L{x2 - 9 * ux:g} '
        f'{y2 - 9 * uy:g}"/>{head(x2, y2, ux, uy, "head")}'
    )


def tank(x: float, y: float, width: float, height: float, level: float) -> str:
    """A stream's own buffer, wet up to `level` pixels."""
    top, wave = y + height - level, (width - 4) / 4
    return box(x, y, width, height, "glass", 6) + (
        f'<path class="wet-fill" d="M{x + 2:g} {top:g}q{wave / 2:g} -6 {wave:g} 0t{wave:g} 0t{wave:g} 0t{wave:g} 0'
        f'V{y + height - 6:g}q0 4 -4 4H{x + 6:g}q-4 0 -4 -4z"/>'
    )


@dataclass(frozen=True, slots=True)
class Card:
    """What the picture says of one waiter."""

    who: str
    program: str
    pid: str
    thread: str
    call: str
    place: str
    stuck: tuple[Stuck, ...]
    waiter: Waiter


@dataclass(frozen=True, slots=True)
class Line:
    """What the picture says of one wait: above the edge, below it, and how full the channel is."""

    what: str
    level_text: str
    level: float


class Knot:
    """The waiters of a run, sorted for drawing."""

    def __init__(self, run: Run) -> None:
        assert run.graph is not None
        self.run, self.graph = run, run.graph
        place = {id(waiter): index for index, waiter in enumerate(self.graph.waiters)}
        self.core = self._around([place[id(waiter)] for waiter in members(run, "core")])
        self.victims, self.bystanders = members(run, "victim"), members(run, "bystander")

    def _around(self, core: list[int]) -> list[Waiter]:
        """The core's members, each followed by one that it waits for, as far as the edges allow."""
        order: list[int] = []
        following = {
            core_member: [edge.holder for edge in self.graph.edges if edge.waiter == core_member]
            for core_member in core
        }
        rest = list(core)
        while rest:
            onward = [holder for holder in following[order[-1]] if holder in rest] if order else []
            order.append(onward[0] if onward else rest[0])
            rest.remove(order[-1])
        return [self.graph.waiters[index] for index in order]

    def card(self, waiter: Waiter) -> Card:
        run, process = self.run, self.run.processes[waiter.process]
        thread = None if waiter.thread is None else run.threads[waiter.thread]
        call = run.call(waiter.outer if waiter.outer is not None else waiter.event)
        awaited = {one.channel for one in self.core if one is not waiter}
        stuck = tuple(
            one
            for one in self.graph.stuck
            if one.process == waiter.process and (one.channel in awaited or not self.core)
        )
        program = process["program"] if process["program"] != run.process_name(waiter.process) else ""
        return Card(
            run.process_name(waiter.process),
            " · ".join(part for part in (program, str(process["pid"])) if part),
            str(process["pid"]),
            "not traced" if not process["traced"] else thread["name"] if thread else "",
            f"in {call}" if call else "",
            run.place(waiter.site),
            stuck,
            waiter,
        )

    def edge(self, waiter: Waiter, holder: Waiter) -> Edge | None:
        """The edge between two waiters."""
        at = self.graph.waiters
        return next((one for one in self.graph.edges if at[one.waiter] is waiter and at[one.holder] is holder), None)

    def line(self, waiter: Waiter) -> Line:
        """The words on a wait."""
        if waiter.channel is None:
            return Line("waits for its end" if waiter.reason == "child" else REASONS.get(waiter.reason, "runs"), "", 0)
        channel = self.run.channels[waiter.channel]
        name, left, capacity = self.run.channel_name(waiter.channel), channel["left"], channel["capacity"]
        held = f"{left:,} of {capacity:,} bytes" if capacity else count(left or 0, "byte")
        between = "in" if waiter.reason == "noroom" else "on"
        level = 1.0 if waiter.reason == "noroom" else 0.0
        return Line(f"{REASONS[waiter.reason]} {between} {name}", "" if left is None else held, level)

    def outside(self, waiter: Waiter) -> list[str]:
        """What is said of one that is not part of the knot, in two short lines."""
        if waiter.role == "victim":
            return ["Behind it:", self.line(waiter).what]
        return ["Runs; cannot help:", waiter.evidence] if waiter.evidence else ["Runs; cannot help."]


def figure(run: Run) -> str:
    """Both drawings with a caption that says them in sentences; nothing where there is no knot."""
    if not members(run, "core"):
        return ""
    knot = Knot(run)
    return (
        f'<figure class="knot"><figcaption class="sr">{escape(caption(knot))}</figcaption>'
        f'<div class="wide-knot">{wide(knot)}</div><div class="upright-knot">{upright(knot)}</div></figure>'
    )


def caption(knot: Knot) -> str:
    """The figure in sentences, for who can't see it."""
    run = knot.run
    said = [f"{run.thread_name(one.thread, one.process)} {knot.line(one).what}: {one.evidence}." for one in knot.core]
    said += [
        f"{count(one.size, 'byte')} from {run.process_name(one.process)} lie in its own buffer, {run.streams[one.stream]['name']}."
        for one in knot.graph.stuck
    ]
    said += [
        f"{run.thread_name(one.thread, one.process)}: {' '.join(knot.outside(one))}."
        for one in (*knot.victims, *knot.bystanders)
    ]
    return " ".join(["Who waits for whom.", *said])


def svg(width: float, height: float, parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" aria-hidden="true">{"".join(parts)}</svg>'


def tank_words(run: Run, stuck: tuple[Stuck, ...]) -> tuple[str, str, str]:
    """The name on a tank, its size, and what lies in it."""
    stream, size = run.streams[stuck[0].stream], sum(one.size for one in stuck)
    return stream["name"], f"{stream['buffer_size'] / 1024:g} KiB buffer", f"{count(size, 'byte')}, not flushed"


def poured(run: Run, stuck: tuple[Stuck, ...]) -> str:
    """Which line filled a tank: `from line 41`."""
    site = stuck[0].pieces[-1][0] if stuck[0].pieces else None
    return "" if site is None else f"from line {run.sites[site]['line']}"


# ---- wide -------------------------------------------------------------------------------------------------------------


def wide(knot: Knot) -> str:
    """The drawing for a page: 788 units wide."""
    if len(knot.core) == 2:
        return pair(knot)
    return loop(knot)


def pair(knot: Knot) -> str:
    """Two members face to face. The left one is who holds bytes back, if one does."""
    left, right = (knot.card(one) for one in knot.core)
    if right.stuck and not left.stuck:
        left, right = right, left
    run, beside = (
        knot.run,
        [one for one in knot.bystanders if one.process in (left.waiter.process, right.waiter.process)],
    )
    elsewhere = [one for one in knot.bystanders if one not in beside]
    one_process = left.waiter.process == right.waiter.process
    behind = knot.victims[:2]
    x1, w1 = (160, 252) if behind else (1, 276)
    x2, w2 = (604, 180) if behind else (547, 240)
    bottom = 386 if beside else 276
    parts = [box(x1, 14, w1 if not one_process else x2 + w2 - x1, bottom - 14, "proc", 12)]
    if not one_process:
        parts.append(box(x2, 14, w2, bottom - 14, "proc", 12))
    for card, x, w in ((left, x1, w1), (right, x2, w2)):
        if card is left or not one_process:
            parts += titled(card, x + 16, 40, w - 30)
    a, b = x1 + w1 - 16, x2 + 16
    l_width, r_width = w1 - 32, w2 - 32
    # left: the node above, its buffer below, where the right one's wait arrives; right: mirrored
    parts += node(left, x1 + 16, 54, l_width, 66 if left.stuck else 206)
    parts += node(right, b, 194 if right.stuck else 54, r_width, 66 if right.stuck else 206)
    if left.stuck:
        parts += filled(run, left.stuck, x1 + 16, 168, l_width, 92, 122, 166)
    else:
        parts += empty(knot, left, x1 + 30, 170, l_width - 28)
    if right.stuck:
        parts += filled(run, right.stuck, b, 54, r_width, 92, 192, 148)
    else:
        parts += empty(knot, right, b + 14, 170, r_width - 28)
    # the waits: the left one's above, the right one's below
    middle = (a + b) / 2
    forth, back = knot.line(left.waiter), knot.line(right.waiter)
    parts += [tube(a, 87, b, 87, forth.level), valve(b + 2, 87, -1) if right.stuck else ""]
    parts += [
        words(forth.what, middle, 66, "red", "middle", b - a - 4),
        words(forth.level_text, middle, 114, "t2", "middle"),
    ]
    parts += [tube(b, 230, a + (16 if left.stuck else 0), 230, back.level), valve(a + 6, 230, 1) if left.stuck else ""]
    parts += [
        words(back.what, middle, 209, "red", "middle", b - a - 4),
        words(back.level_text, middle, 257, "t2", "middle"),
    ]
    for one in beside[:2]:
        own = right if one.process == right.waiter.process and not one_process else left
        x, w = (b, r_width) if own is right else (x1 + 16, l_width)
        parts += aside(knot, one, x, 296, w, 74)
    for place, one in enumerate(behind):
        y = 54 + 130 * place
        holder = next((edge.holder for edge in knot.graph.edges if knot.graph.waiters[edge.waiter] is one), None)
        reached = holder is not None and knot.graph.waiters[holder].process == left.waiter.process
        card = knot.card(one)
        parts += [box(1, y, 122, 66, "off"), words(card.who, 15, y + 28, "b", room=70)]
        parts += [words(card.program, 15, y + 48, "t2", room=100)]
        if reached and not place:
            parts += [f'<path class="behind" d="M123 {y + 33}H166"/>', head(175, y + 33, 1, 0, "headb")]
        elif reached:
            parts += [f'<path class="behind" d="M123 {y + 33}H149"/>', head(159, y + 33, 1, 0, "headb")]
        parts += [words("Behind the knot:", 1, y + 87)]
        parts += [
            words(text, 1, y + 105 + 17 * row, "t2") for row, text in enumerate(wrap(knot.line(one).what, 24)[:2])
        ]
    parts, height = outside_row(knot, [*knot.victims[2:], *beside[2:], *elsewhere], parts, bottom + 10, 788)
    return svg(788, height, parts)


def titled(card: Card, x: float, y: float, room: float) -> list[str]:
    """A process's name, and behind it program and pid as far as there is room: the pid sooner than the program."""
    name = shorten(card.who, int(room * 0.7 / 7.6))
    left = room - 7.6 * len(name) - 8
    detail = card.program if 6.0 * len(card.program) <= left else f"· {card.pid}"
    return [words(name, x, y, "b"), words(detail, x + 7.6 * len(name) + 8, y, "t2", room=left)]


def node(card: Card, x: float, y: float, width: float, height: float) -> list[str]:
    """A member: its thread, the call that it waits in, the line. In a tall node the line has a row of its own."""
    tall = height > 100
    line = card.place.rpartition(":")
    beside = f":{line[2]}" if line[2] and not tall else ""
    return [
        box(x, y, width, height, "node"),
        words(card.thread or card.who, x + 14, y + 28, "b", room=width - 28 - 8 * len(beside)),
        words(beside, x + width - 12, y + 28, "t2 m", "end") if beside else "",
        words(card.call, x + 14, y + 49, "m", room=width - 24),
        words(card.place, x + 14, y + 68, "t2", room=width - 24) if tall else "",
    ]


def filled(
    run: Run, stuck: tuple[Stuck, ...], x: float, y: float, width: float, height: float, begin: float, end: float
) -> list[str]:
    """A member's buffer with what is stuck in it, and the arrow from the member to it (from y `begin` to y `end`)."""
    name, size, text = tank_words(run, stuck)
    down, middle = (1 if end > begin else -1), x + width / 2
    return [
        f'<path class="pour" d="M{middle:g} {begin:g}V{end - 8 * down:g}"/>', head(middle, end, 0, down, "pour-head"),
        words(poured(run, stuck), middle + 12, (begin + end) / 2 + 4, "am", room=width / 2 - 10),
        tank(x, y, width, height, 46),
        words(name, x + 14, y + 24, "b", room=width - 110), words(size, x + width - 12, y + 24, "t2", "end"),
        words(text, middle, y + height - 14, "drowned", "middle"),
    ]  # fmt: skip


def empty(knot: Knot, card: Card, x: float, y: float, width: float) -> list[str]:
    """Says that a member's own output buffer is empty, where the other one waits for just that."""
    awaited = {one.channel for one in knot.core if one is not card.waiter}
    for stream in knot.run.streams:
        mine = stream["process"] == card.waiter.process and "w" in stream["mode"]
        if mine and stream["held"] == 0 and stream["channel"] in awaited:
            return [
                box(x, y, width, 34, "off", 6),
                words(f"{stream['name']}: empty", x + width / 2, y + 21, "t2", "middle", width - 8),
            ]
    return []


def valve(x: float, y: float, way: int) -> str:
    """What keeps a tank's bytes from its channel."""
    return f'<path class="valve" d="M{x:g} {y - 12:g}V{y + 12:g}M{x - 6 * way:g} {y:g}H{x:g}"/>'


def aside(knot: Knot, waiter: Waiter, x: float, y: float, width: float, height: float) -> list[str]:
    """One that is not part of the knot, dashed: its name and why it is not."""
    card, said = knot.card(waiter), knot.outside(waiter)
    in_core = {one.process for one in knot.core}
    if waiter.process in in_core and waiter.thread is not None:
        name, note = card.thread, f"in {card.who}"
    else:
        name, note = card.who, card.program
    text = wrap(" ".join(said), int((width - 20) / 6))
    height = min(height, 46 + 17 * len(text))
    return [
        box(x, y, width, height, "off"), words(name, x + 14, y + 24, "b", room=width * 0.55),
        words(note, x + width - 12, y + 24, "t2", "end", width * 0.4),
        *(words(line, x + 14, y + 45 + 17 * row, "t2") for row, line in enumerate(text[: int((height - 36) / 17)])),
    ]  # fmt: skip


def wrap(text: str, length: int) -> list[str]:
    """The words in lines of at most `length` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > length:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def outside_row(knot: Knot, rest: list[Waiter], parts: list[str], y: float, width: float) -> tuple[list[str], float]:
    """Everybody else, in dashed boxes below; returns the parts and the height that they end at."""
    if not rest:
        return parts, y
    columns = 3 if width > 500 else 1
    room = (width - 2 - 14 * (columns - 1)) / columns
    parts = [*parts, words("Not part of the knot", 1, y + 22)]
    for place, one in enumerate(rest[:BYSTANDERS]):
        parts += aside(knot, one, 1 + place % columns * (room + 14), y + 34 + place // columns * 92, room, 80)
    bottom = y + 34 + (min(len(rest), BYSTANDERS) + columns - 1) // columns * 92
    if len(rest) > BYSTANDERS:
        parts.append(words(f"and {len(rest) - BYSTANDERS} more: see the table of waits", 1, bottom + 8, "t2"))
        bottom += 16
    return parts, bottom


def card_box(run: Run, card: Card, x: float, y: float, width: float) -> list[str]:
    """A member as one card, for the loop and for the phone: 84 high, 116 with bytes in its buffer."""
    name = card.who if card.thread in ("", "MainThread", "not traced") else f"{card.who}/{card.thread}"
    parts = [
        box(x, y, width, card_height(card), "node"),
        words(name, x + 14, y + 26, "b", room=width - 26),
        words(card.program, x + width - 12, y + 26, "t2", "end", max(0, width - 40 - 7.6 * len(name)) or 1),
        words(card.call or ("not traced" if card.thread == "not traced" else ""), x + 14, y + 48, "m", room=width - 24),
        words(card.place, x + 14, y + 67, "t2", room=width - 24),
    ]
    if card.stuck:
        stream, _, text = tank_words(run, card.stuck)
        parts += [
            tank(x + 6, y + 80, width - 12, 30, 24),
            words(
                f"{stream}: {text.removesuffix(', not flushed')}",
                x + width / 2,
                y + 102,
                "drowned",
                "middle",
                width - 20,
            ),
        ]
    return parts


def card_height(card: Card) -> float:
    return 116 if card.stuck else 84


def loop(knot: Knot) -> str:
    """One member, or three and more: a loop in two rows, clockwise, each wait to the next."""
    cards = [knot.card(one) for one in knot.core[:SHOWN]]
    total = len(cards)
    columns = max(1, (total + 1) // 2)
    width = 184 if columns == 3 else 230
    gap = min(200.0, (786 - columns * width) / max(1, columns - 1)) if columns > 1 else 0
    left = (788 - columns * width - (columns - 1) * gap) / 2
    second = max(card_height(card) for card in cards[:columns]) + 90
    at = [
        (left + place * (width + gap), 8.0)
        if place < columns
        else (left + (2 * columns - 1 - place) * (width + gap), second)
        for place in range(total)
    ]
    if total == 1:
        at = [(150.0, 20.0)]
    elif total % 2:  # the lower row has one fewer: let it stand in the middle
        at = [(x - (width + gap) / 2 if y > 8 and columns == 2 else x, y) for x, y in at]
    parts: list[str] = []
    for place, card in enumerate(cards):
        onward = (place + 1) % total
        if total > 1 and len(knot.core) <= SHOWN:
            if knot.edge(card.waiter, cards[onward].waiter) is not None:
                parts += between(
                    knot.line(card.waiter), at[place], card_height(card), at[onward], card_height(cards[onward]), width
                )
        elif total == 1:
            x, y = at[0]
            line, height = knot.line(card.waiter), card_height(card)
            parts += [
                f'<path class="wait pulse" d="M{x + width:g} {y + 30:g}H{x + width + 60:g}V{y + height + 30:g}H{x + width / 2:g}'
                f'V{y + height + 9:g}"/>', head(x + width / 2, y + height, 0, -1, "head"),
                words(line.what, x + width + 76, y + height / 2 + 20, "red"),
                words(line.level_text, x + width + 76, y + height / 2 + 40, "t2"),
            ]  # fmt: skip
        elif place + 1 < total:
            parts += between(
                knot.line(card.waiter), at[place], card_height(card), at[onward], card_height(cards[onward]), width
            )
    for card, (x, y) in zip(cards, at, strict=True):
        parts += card_box(knot.run, card, x, y, width)
    bottom = max(y + card_height(card) for card, (_, y) in zip(cards, at, strict=True)) + (40 if total == 1 else 14)
    if len(knot.core) > SHOWN:
        parts.append(words(f"and {len(knot.core) - SHOWN} more in the same knot", 1, bottom + 10, "red"))
        bottom += 24
    parts, bottom = outside_row(knot, [*knot.victims, *knot.bystanders], parts, bottom, 788)
    return svg(788, bottom, parts)


def between(
    line: Line, a: tuple[float, float], a_height: float, b: tuple[float, float], b_height: float, width: float
) -> list[str]:
    """The wait from card `a` to card `b`: a tube where they face each other, else a line with its words beside it."""
    (ax, ay), (bx, by) = a, b
    if ay == by:
        y = ay + 42
        x1, x2 = (ax + width, bx) if bx > ax else (ax, bx + width)
        middle, above = (x1 + x2) / 2, wrap(line.what, int(abs(x2 - x1) / 6.5))
        return [
            tube(x1, y, x2, y, line.level),
            *(words(text, middle, y - 18 - 17 * (len(above) - 1 - row), "red", "middle") for row, text in enumerate(above)),
            *(words(text, middle, y + 26 + 16 * row, "t2", "middle") for row, text in enumerate(wrap(line.level_text, int(abs(x2 - x1) / 6.2)))),
        ]  # fmt: skip
    y1, y2 = (ay + a_height, by) if by > ay else (ay, by + b_height)
    if ax == bx:
        x = ax + width / 2
        return [
            tube(x, y1, x, y2, line.level), words(line.what, x + 18, (y1 + y2) / 2 - 2, "red"),
            words(line.level_text, x + 18, (y1 + y2) / 2 + 16, "t2"),
        ]  # fmt: skip
    x1, x2 = ax + width / 2, bx + width / 2
    side = 1 if x1 > x2 else -1
    x1, x2 = x1 + 30 * side * (1 if by > ay else -1) * 0, x2 + 40 * side
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    outward = 1 if (x1 + x2) / 2 > 394 else -1
    anchor = "start" if outward > 0 else "end"
    return [
        f'<path class="wait pulse" d="M{x1:g} {y1:g}L{x2 - 9 * ux:g} {y2 - 9 * uy:g}"/>', head(x2, y2, ux, uy, "head"),
        words(line.what, (x1 + x2) / 2 + 22 * outward, (y1 + y2) / 2 + 2, "red", anchor),
        words(line.level_text, (x1 + x2) / 2 + 22 * outward, (y1 + y2) / 2 + 19, "t2", anchor),
    ]  # fmt: skip


# ---- upright ----------------------------------------------------------------------------------------------------------


def upright(knot: Knot) -> str:
    """The drawing for a phone: 360 units wide, one card under the other, the waits between them."""
    cards = [knot.card(one) for one in knot.core[:SHOWN]]
    if len(cards) == 2 and cards[1].stuck and not cards[0].stuck:
        cards.reverse()
    whole, total = len(knot.core) <= SHOWN, len(cards)
    width = 358 if total == 2 else 322
    y, parts, tops = 1.0, list[str](), list[float]()
    for place, card in enumerate(cards):
        tops.append(y)
        bottom = y + card_height(card)
        line = knot.line(card.waiter)
        if place + 1 < total:
            parts += [
                tube(36, bottom, 36, bottom + 96, line.level),
                *label(line, 54, bottom + 40, 16 if total == 2 else 34),
            ]
            if total == 2 and whole:
                other = knot.line(cards[1].waiter)
                parts += [tube(222, bottom + 96, 222, bottom, other.level), *label(other, 240, bottom + 40, 18)]
                if card.stuck:
                    parts.append(f'<path class="valve" d="M210 {bottom + 8:g}H234"/>')
            y = bottom + 96
    last = tops[-1] + card_height(cards[-1])
    if total != 2 and whole:  # back to the first along the right edge
        line = knot.line(cards[-1].waiter)
        parts += [
            f'<path class="wait pulse" d="M60 {last:g}V{last + 24:g}H346V{tops[0] + 42:g}H{width + 11:g}"/>',
            head(width + 1, tops[0] + 42, -1, 0, "head"), words(line.what, 70, last + 42, "red"),
            words(line.level_text, 70, last + 59, "t2"),
        ]  # fmt: skip
        bottom = last + 72
    else:
        bottom = last + 12
    for card, top in zip(cards, tops, strict=True):
        parts += card_box(knot.run, card, 1, top, width)
    if not whole:
        parts.append(words(f"and {len(knot.core) - SHOWN} more in the same knot", 1, bottom + 8, "red"))
        bottom += 24
    parts, bottom = outside_row(knot, [*knot.victims, *knot.bystanders], parts, bottom, 360)
    return svg(360, bottom, parts)


def label(line: Line, x: float, y: float, length: int) -> list[str]:
    """The words beside an upright wait."""
    above = wrap(line.what, length)
    below = line.level_text.replace(" bytes", " B") if length < 30 else line.level_text
    return [
        *(words(text, x, y + 18 * row, "red") for row, text in enumerate(above)),
        words(below, x, y + 18 * len(above) + 2, "t2"),
    ]
