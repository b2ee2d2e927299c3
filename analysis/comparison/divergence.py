"""Where threads part: what one does and the other doesn't, and the same call whose bytes go on here and stay there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..naming import plural
from .results import Difference, Kind, Side
from .roles import Line
from .scene import Scene, View
from .sequences import LIKE, SAME, Pairs, align, alike
from .steps import NOTHING

ELSEWHERE = SAME - 4  # of a line that stands in another function
FLUSH = SAME - 3  # of a flush and what it passed, the flush is what moved
WITHOUT = "goes on here without it"
MOST = 500  # differences of one thread, of different lines


@dataclass(frozen=True, slots=True)
class Found:
    """A difference, when it came about (ns of the first run), and what makes it the same as another: kind and lines."""

    difference: Difference
    when: int
    same: tuple[object, ...]


def divergence(scene: Scene) -> list[Found]:
    """What the threads do otherwise, in order of time (of the first run)."""
    found: list[Found] = []
    for first, second in scene.thread_pairs:
        ones, others = scene.first.steps.of(first).tolist(), scene.second.steps.of(second).tolist()
        if ones or others:
            pairs = _aligned(scene, ones, others)
            found += _moved(_gathered(_thread(scene, first, second, pairs)))
            scene.alike += [(a, b) for a, b in pairs if a is not None and b is not None]
    return sorted(found, key=lambda one: one.when)


def _aligned(scene: Scene, ones: Sequence[int], others: Sequence[int]) -> Pairs:
    """The steps of two threads laid beside each other: pairs of steps."""
    keys = _keys(scene.first, ones, None), _keys(scene.second, others, scene.roles.files)
    pairs = align(*keys, _like, lambda key: FLUSH if key[2] else SAME)  # type: ignore[index]
    return [(None if a is None else ones[a], None if b is None else others[b]) for a, b in pairs]


def _keys(view: View, places: Sequence[int], files: dict[str, str] | None) -> list[tuple[Line | None, str, bool]]:
    """A step's line, or, where no line made the call, the call; and whether it is nothing but a flush."""
    known: dict[tuple[int, bool], tuple[Line | None, str, bool]] = {}
    made = []
    for place in places:
        code = int(view.steps.line[place])
        first = int(view.steps.first[place])
        flush = view.events.kind(first) == "flush"
        if (code, flush) not in known:
            line = view.line(code, files) if code >= 0 else None
            known[code, flush] = (line, "" if line else view.events.op(first), flush)
        made.append(known[code, flush])
    return made


def _like(one: Any, other: Any) -> int:
    """The same line in another function or file; or one that was changed a little, in the same function."""
    if one[0] is None or other[0] is None or one[2] != other[2]:
        return 0
    (file, function, text), (file_, function_, text_) = one[0], other[0]
    if text == text_:
        return ELSEWHERE
    return LIKE if (file, function) == (file_, function_) and alike(text, text_, 0.6) else 0


def _thread(scene: Scene, first: int, second: int, pairs: Pairs) -> Iterator[Found]:
    """The differences of one thread, in its order."""
    one, other = scene.first, scene.second
    who = scene.who(first, second)
    last = max((place for place, (a, b) in enumerate(pairs) if a is not None and b is not None), default=-1)
    place, when = 0, 0
    while place < len(pairs):
        a, b = pairs[place]
        if a is not None and b is not None:
            when = int(one.steps.begin[a])
            yield from _same_line(scene, who, a, b)
            place += 1
            continue
        end = place
        while end < len(pairs) and None in pairs[end]:
            end += 1
        mine = [a for a, _ in pairs[place:end] if a is not None]
        theirs = [b for _, b in pairs[place:end] if b is not None]
        tail = place > last  # who was stopped might have come to it
        cut_short = tail and ((not mine and one.cut_short(first)) or (not theirs and other.cut_short(second)))
        if not cut_short and not (_own(one, mine) and _own(other, theirs)):
            after = pairs[end] if end < len(pairs) else (None, None)
            looped = _goes_round(scene, first, second, mine, theirs)
            yield _hunk(scene, who, mine, theirs, after, when, looped)
        place = end


def _own(view: View, steps: list[int]) -> bool:
    """Whether no line of the program made these calls, but its interpreter, and they hand nothing over."""
    return all(view.steps.line[step] < 0 and view.steps.flow[step] == NOTHING for step in steps)


def _same_line(scene: Scene, who: str, a: int, b: int) -> Iterator[Found]:
    """What the same line, or nearly the same, does otherwise."""
    one, other = scene.first.steps, scene.second.steps
    flow = one.flow[a] != other.flow[b] and NOTHING not in (one.flow[a], other.flow[b])
    flushes = one.flushes[a] != other.flushes[b]
    if flushes and not flow:
        words = "one flushes here and the other doesn't"
        sides = [view.side(_flushes(view, step), step) for view, step in ((scene.first, a), (scene.second, b))]
        yield _found(scene, "calls", who, words, sides[0], sides[1], (a, b))
    elif flow:
        words = "bytes go on at once in one, and stay in a buffer in the other"
        sides = [view.side(view.becomes(step), step) for view, step in ((scene.first, a), (scene.second, b))]
        yield _found(scene, "flow", who, words, sides[0], sides[1], (a, b))


def _flushes(view: View, step: int) -> str:
    said = view.becomes(step) if view.steps.flow[step] else ""
    return "; ".join(filter(None, ["flushes" if view.steps.flushes[step] else "doesn't flush", said]))


def _found(scene: Scene, kind: Kind, who: str, words: str, first: Side, second: Side, at: tuple[int, int]) -> Found:
    views = ((scene.first, at[0]), (scene.second, at[1]))
    decides = any(
        view.stopped and int(view.steps.line[step]) in view.accused
        and (view.steps.flow[step] == NOTHING or _stuck(view, step))
        for view, step in views
    )  # fmt: skip
    same = (kind, who, first.file, first.line, second.file, second.line)
    return Found(Difference(kind, who, words, first, second, decides=decides), first.time or 0, same)


def _stuck(view: View, step: int) -> bool:
    """Whether bytes that a step handed over never left."""
    return any(view.write_of[message] < 0 for message in view.messages_of_step.get(step, ()))


def _hunk(
    scene: Scene, who: str, mine: list[int], theirs: list[int], after: tuple[int | None, int | None], when: int,
    looped: bool,
) -> Found:  # fmt: skip
    """Steps that only one of the two takes, or each others."""
    sides = []
    views = ((scene.first, mine, after[0]), (scene.second, theirs, after[1]))
    for view, steps, following in views:
        sides.append(view.side(_does(view, steps), steps[0] if steps else following))
    missing = any(
        view.stopped and not steps and following is not None and int(view.steps.line[following]) in view.accused
        for view, steps, following in views
    )
    begins = [int(scene.first.steps.begin[step]) for step in mine[:1]]
    same = ("calls", who, *(tuple(int(view.steps.line[step]) for step in steps) for view, steps, _ in views))
    words = "they do different things" if mine and theirs else "only one of them does this"
    return Found(
        Difference("calls", who, words, sides[0], sides[1], chance=looped, decides=missing),
        min([*begins, *([when + 1] if not begins else [])]), same,
    )  # fmt: skip


def _does(view: View, steps: list[int]) -> str:
    if not steps:
        return WITHOUT
    said = view.does(steps[0])
    return said if len(steps) == 1 else f"{said}, and {plural(len(steps) - 1, 'step')} more"


def _goes_round(scene: Scene, first: int, second: int, mine: list[int], theirs: list[int]) -> bool:
    """Whether steps that only one takes are further rounds of what threads like it do in both runs, and who is faster
    decides who takes them; or of what a library does as it comes. Where nothing but a flush is missing, that isn't so.
    """
    if scene.library(first, second):
        return True
    if not scene.shares(first, second):
        return False
    steps = [(scene.first, step) for step in mine] + [(scene.second, step) for step in theirs]
    if all(view.events.is_kind("flush")[view.steps.first[step]] for view, step in steps):
        return False
    return {view.text_of(step) for view, step in steps} <= scene.first.texts & scene.second.texts


def _moved(found: list[Found]) -> list[Found]:
    """What the one does and the other doesn't, and the other does elsewhere, is told as that."""

    def elsewhere(one: Found, own: str, other: str) -> Found:
        side, there = getattr(one.difference, own), getattr(one.difference, other)
        if there.words != WITHOUT or not side.text:
            return one
        for each in found:
            place = getattr(each.difference, other)
            if place.text == side.text and getattr(each.difference, own).words == WITHOUT:
                said = f"{WITHOUT}, and does it at {place.place}"
                return replace(one, difference=replace(one.difference, **{other: replace(there, words=said)}))
        return one

    return [elsewhere(elsewhere(one, "first", "second"), "second", "first") for one in found]


def _gathered(found: Iterator[Found]) -> list[Found]:
    """Differences at the same lines as one, the first of them, with their number."""
    first: dict[tuple[object, ...], Found] = {}
    for one in found:
        if one.same in first:
            before = first[one.same].difference
            merged = replace(
                before, count=before.count + 1, decides=before.decides or one.difference.decides,
                chance=before.chance and one.difference.chance,
            )  # fmt: skip
            first[one.same] = replace(first[one.same], difference=merged)
        elif len(first) < MOST:
            first[one.same] = one
    return list(first.values())
