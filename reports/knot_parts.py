"""The parts of the picture of a knot: a member, its buffer, and those who are not part of it."""

from __future__ import annotations

from ipctrace.analysis.results import Stuck, Waiter

from .knot import Card, Knot, poured, tank_words
from .markup import shorten
from .run import Run
from .shapes import BOLD, SMALL, box, head, tank, words, wrap

BYSTANDERS = 6  # drawn; the rest is counted in words


def titled(card: Card, x: float, y: float, room: float) -> list[str]:
    """A process's name, and behind it program and pid as far as there is room: the pid sooner than the program."""
    name = shorten(card.who, int(room * 0.7 / BOLD))
    left = room - BOLD * len(name) - 8
    detail = card.program if SMALL * len(card.program) <= left else card.pid
    return [words(name, x, y, "b"), words(detail, x + room, y, "t2", "end", room=left)]


def ending(place: str, room: float) -> str:
    """A line of source, without its beginning where it is too long for its room: the number is what one needs."""
    most = int(room / SMALL)
    return place if len(place) <= most else f"…{place[1 - most :]}"


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
        words(ending(card.place, width - 24), x + 14, y + 68, "t2") if tall else "",
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


def aside(knot: Knot, waiter: Waiter, x: float, y: float, width: float, height: float) -> list[str]:
    """One that is not part of the knot, dashed: its name and why it is not."""
    card, said = knot.card(waiter), knot.outside(waiter)
    in_core = {one.process for one in knot.core}
    if waiter.process in in_core and waiter.thread is not None:
        name, note = card.thread, f"in {card.who}"
    else:
        name, note = card.who, card.program
    text = wrap(" ".join(said), int((width - 20) / SMALL))
    height = min(height, 46 + 17 * len(text))
    return [
        box(x, y, width, height, "off"), words(name, x + 14, y + 24, "b", room=width * 0.55),
        words(note, x + width - 12, y + 24, "t2", "end", width * 0.4),
        *(words(line, x + 14, y + 45 + 17 * row, "t2") for row, line in enumerate(text[: int((height - 36) / 17)])),
    ]  # fmt: skip


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
        words(card.program, x + width - 12, y + 26, "t2", "end", max(0, width - 40 - BOLD * len(name)) or 1),
        words(card.call or ("not traced" if card.thread == "not traced" else ""), x + 14, y + 48, "m", room=width - 24),
        words(ending(card.place, width - 24), x + 14, y + 67, "t2"),
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
