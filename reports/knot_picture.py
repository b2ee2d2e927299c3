"""The knot as a picture: who waits for whom, the bytes that are stuck, who waits behind, who runs and cannot help.

Two drawings of the same facts: `wide` for a page, `upright` for a phone; the style sheet shows one of them. A knot of
two stands face to face, each wait running in its (empty) pipe against the flow; a larger one goes round as a loop.
Positions are arithmetic over the number of members, never over a program.
"""

from __future__ import annotations

from .knot import Knot, Line, caption
from .knot_parts import aside, card_box, card_height, empty, filled, node, outside_row, titled
from .markup import escape
from .run import Run, members
from .shapes import box, head, svg, tube, valve, words, wrap

SHOWN = 6  # members drawn; the rest is counted in words


def figure(run: Run) -> str:
    """Both drawings with a caption that says them in sentences; nothing where there is no knot."""
    if not members(run, "core"):
        return ""
    knot = Knot(run)
    return (
        f'<figure class="knot"><figcaption class="sr">{escape(caption(knot))}</figcaption>'
        f'<div class="wide-knot">{wide(knot)}</div><div class="upright-knot">{upright(knot)}</div></figure>'
    )


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
                f'<path class="wait pulse" d="M{x + width:g} {y + 30:g}H{x + width + 60:g}V{y + height + 30:g}'
                f'H{x + width / 2:g}V{y + height + 9:g}"/>', head(x + width / 2, y + height, 0, -1, "head"),
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
        middle, room = (x1 + x2) / 2, abs(x2 - x1)
        above, below = wrap(line.what, int(room / 6.5)), wrap(line.level_text, int(room / 6.2))
        return [
            tube(x1, y, x2, y, line.level),
            *(words(said, middle, y - 1 - 17 * (len(above) - row), "red", "middle") for row, said in enumerate(above)),
            *(words(said, middle, y + 26 + 16 * row, "t2", "middle") for row, said in enumerate(below)),
        ]  # fmt: skip
    y1, y2 = (ay + a_height, by) if by > ay else (ay, by + b_height)
    if ax == bx:
        x, side = ax + width / 2, -1 if ax > 394 else 1  # the words on the side where there is room
        anchor = "start" if side > 0 else "end"
        return [
            tube(x, y1, x, y2, line.level),
            words(line.what, x + 18 * side, (y1 + y2) / 2 - 2, "red", anchor),
            words(line.level_text, x + 18 * side, (y1 + y2) / 2 + 16, "t2", anchor),
        ]
    x1, x2 = ax + width / 2, bx + width / 2
    side = 1 if x1 > x2 else -1
    x2 += 40 * side
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    outward = 1 if (x1 + x2) / 2 > 394 else -1
    anchor = "start" if outward > 0 else "end"
    return [
        f'<path class="wait pulse" d="M{x1:g} {y1:g}L{x2 - 9 * ux:g} {y2 - 9 * uy:g}"/>', head(x2, y2, ux, uy, "head"),
        words(line.what, (x1 + x2) / 2 + 50 * outward, (y1 + y2) / 2 + 2, "red", anchor),
        words(line.level_text, (x1 + x2) / 2 + 50 * outward, (y1 + y2) / 2 + 19, "t2", anchor),
    ]  # fmt: skip


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
                *label(line, 54, bottom + 40, 20 if total == 2 else 34),
            ]
            if total == 2 and whole:
                other = knot.line(cards[1].waiter)
                parts += [tube(222, bottom + 96, 222, bottom, other.level), *label(other, 240, bottom + 40, 15)]
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
