"""What passed on each channel, message by message: what only one run has, what was merged here and split there."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ..events import NONE, Ints, number, pick, whole
from ..naming import plural, the
from .divergence import Found
from .masks import is_text, masked
from .results import Difference, Kind, Side
from .scene import Scene, View
from .sequences import LIKE, Pairs, align, alike

QUOTED = 40  # characters of a payload in a sentence


def exchange(scene: Scene) -> list[Found]:
    """The differences on the channels that both runs have, in order of time (of the first run)."""
    ones, others = _by_channel(scene.first), _by_channel(scene.second)
    found: list[Found] = []
    for other, one in scene.roles.channels.items():
        mine, theirs = ones.get(one, []), others.get(other, [])
        if mine or theirs:
            found += _channel(scene, mine, theirs)
    return sorted(found, key=lambda one: one.when)


def _by_channel(view: View) -> dict[int, list[int]]:
    """Channel → its messages, in order."""
    found: dict[int, list[int]] = {}
    for message, channel in enumerate(view.analysis.messages["channel"].tolist()):
        found.setdefault(channel, []).append(message)
    return found


class Contents:
    """What the messages of a channel hold, without what varies. A key is the text, or None for what isn't text."""

    def __init__(self, view: View, messages: list[int]) -> None:
        self.view, self.messages = view, messages
        table = view.analysis.messages.iloc[messages]
        self.payload: list[bytes] = [payload or b"" for payload in table["payload"].tolist()]
        self.size: list[int] = table["size"].tolist()
        pids = view.trace.processes["pid"].tolist()
        # items of a queue between threads, and what was recorded without payloads, are known by their size
        self.keys: list[Hashable] = [
            masked(payload, pids) if payload and is_text(payload) else ("bytes", size if not payload else None)
            for payload, size in zip(self.payload, self.size, strict=True)
        ]

    @cached_property
    def foreign(self) -> bool:
        """Whether nobody who is traced wrote any of them."""
        return bool(self.view.analysis.messages["writer"].iloc[self.messages].isna().all())

    @cached_property
    def from_one_line(self) -> bool:
        """Whether one line wrote all of them, by itself and not through a stream."""
        events = pick(self.view.events.outermost, self.view.handed[self.messages])
        direct = not self.view.analysis.messages["accept_event"].iloc[self.messages].notna().any()
        sites = pick(self.view.events.site, events)
        known = bool((sites >= 0).all())
        return direct and known and len(set(pick(self.view.line_of, sites).tolist())) == 1

    @property
    def total(self) -> str:
        """`100,000 bytes in 4 portions`."""
        return f"{plural(sum(self.size), 'byte')} in {plural(len(self.size), 'portion')}"

    def whole(self, places: list[int]) -> bytes | None:
        """The masked bytes of messages in a row, if all of them were kept."""
        if any(len(self.payload[place]) != self.size[place] for place in places):
            return None
        return masked(b"".join(self.payload[place] for place in places), self.view.trace.processes["pid"].tolist())


def _channel(scene: Scene, mine: list[int], theirs: list[int]) -> Iterator[Found]:
    one, other = Contents(scene.first, mine), Contents(scene.second, theirs)
    if one.keys != other.keys and (portions := _portions(scene, one, other)) is not None:
        yield from portions
        return
    pairs = align(one.keys, other.keys, _like)
    yield from _only(scene, one, other, pairs)
    yield from _otherwise(scene, one, other, pairs)
    yield from _together(scene, one, other, pairs)
    yield from _in_pieces(scene, one, other, pairs)


def _portions(scene: Scene, one: Contents, other: Contents) -> list[Found] | None:
    """Bytes in portions that nobody chose: read as they came from somebody who isn't traced, or handed over by one line
    as far as there was room for them. They are compared as a whole. None: the messages are the program's own."""
    foreign = one.foreign and other.foreign
    if not foreign and not (one.from_one_line and other.from_one_line and sum(one.size) == sum(other.size)):
        return None
    if not one.messages or not other.messages:
        return None if not foreign or scene.first.stopped or scene.second.stopped else [
            _found(scene, "messages", one, other, 0 if one.messages else None, 0 if other.messages else None,
                   "bytes come in one alone", (one.total, other.total))
        ]  # fmt: skip
    same = sum(one.size) == sum(other.size)
    words = one.total, other.total
    if same:
        return [_found(scene, "boundaries", one, other, 0, 0, "the same bytes in other portions", words, True)]
    numbers = any(
        b"#" in masked(payload) for payload in (*one.payload, *other.payload)
    )  # they may be longer or shorter
    chance = numbers or scene.first.stopped or scene.second.stopped
    return [_found(scene, "messages", one, other, 0, 0, "not as many bytes", words, chance)]


def _like(one: Any, other: Any) -> int:
    if isinstance(one, tuple) or isinstance(other, tuple):
        return LIKE if isinstance(one, tuple) and isinstance(other, tuple) else 0
    return LIKE if alike(one.decode("latin-1"), other.decode("latin-1")) else 0


def _only(scene: Scene, one: Contents, other: Contents, pairs: Pairs) -> Iterator[Found]:
    """Messages that only one of the runs has: at another place (order), in other pieces (boundaries), or not at all."""
    hunks = list(_hunks(pairs))
    here = [a for mine, _, _ in hunks for a in mine]
    there = [b for _, theirs, _ in hunks for b in theirs]
    if (
        here
        and len(here) == len(there)
        and sorted(map(repr, _picked(one, here))) == sorted(map(repr, _picked(other, there)))
    ):
        chance = _writers(one) > 1 or _writers(other) > 1
        a, b = hunks[0][0] or here, hunks[0][1] or there
        yield _found(
            scene, "order", one, other, a[0], b[0], f"{plural(len(here), 'message')} come in another order",
            (f"here comes {_quote(one, a[0])}", f"here comes {_quote(other, b[0])}"), chance,
        )  # fmt: skip
        return
    last = max((place for place, pair in enumerate(pairs) if None not in pair), default=-1)
    missing: list[tuple[list[int], list[int], tuple[int | None, int | None]]] = []
    for mine, theirs, place in hunks:
        whole_one, whole_other = one.whole(mine), other.whole(theirs)
        if mine and theirs and whole_one is not None and whole_one == whole_other:
            words = (
                f"handed over as {plural(len(mine), 'message')}",
                f"handed over as {plural(len(theirs), 'message')}",
            )
            yield _found(scene, "boundaries", one, other, mine[0], theirs[0], "the same bytes in other pieces", words)
        elif not (place > last and (_cut(one) if not mine else _cut(other) if not theirs else False)):
            missing.append((mine, theirs, _near(pairs, place)))
    if missing:
        mine = [a for hunk, _, _ in missing for a in hunk]
        theirs = [b for _, hunk, _ in missing for b in hunk]
        words = (_counted(one, mine), _counted(other, theirs))
        near = missing[0][2]
        first, second = (mine[0] if mine else near[0]), (theirs[0] if theirs else near[1])
        yield _found(scene, "messages", one, other, first, second, "not the same messages", words)


def _hunks(pairs: Pairs) -> Iterator[tuple[list[int], list[int], int]]:
    """Stretches without counterpart: places in the first, in the second, and where in the pairs."""
    place = 0
    while place < len(pairs):
        end = place
        while end < len(pairs) and None in pairs[end]:
            end += 1
        if end > place:
            stretch = pairs[place:end]
            yield [a for a, _ in stretch if a is not None], [b for _, b in stretch if b is not None], place
        place = end + 1


def _near(pairs: Pairs, place: int) -> tuple[int | None, int | None]:
    """The last pair before a place, or the first behind it."""
    whole_pairs = [pair for pair in (*reversed(pairs[:place]), *pairs[place:]) if None not in pair]
    return whole_pairs[0] if whole_pairs else (None, None)


def _picked(one: Contents, places: list[int]) -> list[Hashable]:
    return [one.keys[place] for place in places]


def _writers(one: Contents) -> int:
    return int(one.view.analysis.messages["writer"].iloc[one.messages].nunique())


def _cut(one: Contents) -> bool:
    """Whether more might have come: the run was stopped, or whoever wrote was ended."""
    writers = one.view.analysis.messages["writer"].iloc[one.messages].dropna().unique().tolist()
    return one.view.stopped or any(one.view.cut_short(int(writer)) for writer in writers)


def _counted(one: Contents, places: list[int]) -> str:
    if not places:
        return "nothing in its place"
    more = f", and {len(places) - 1:,} more" if len(places) > 1 else ""
    return f"{plural(one.size[places[0]], 'byte')} on {_channel_name(one)}: {_quote(one, places[0])}{more}"


def _channel_name(one: Contents) -> str:
    channel = int(one.view.analysis.messages["channel"].iloc[one.messages[0]])
    return one.view.analysis.channel_names.get(channel, "its channel")


def _quote(one: Contents, place: int) -> str:
    payload = one.payload[place]
    text = payload.decode("utf-8", "backslashreplace").rstrip("\n")
    if not payload or not is_text(payload):
        return plural(one.size[place], "byte")
    return f"“{text[:QUOTED]}…”" if len(text) > QUOTED else f"“{text}”"


def _otherwise(scene: Scene, one: Contents, other: Contents, pairs: Pairs) -> Iterator[Found]:
    """Messages that stand in the same place and say something else; and those that were lost in one run alone."""
    for a, b in pairs:
        if a is None or b is None:
            continue
        if one.keys[a] != other.keys[b] and not isinstance(one.keys[a], tuple) and not isinstance(other.keys[b], tuple):
            words = (_quote(one, a), _quote(other, b))
            yield _found(scene, "messages", one, other, a, b, "a message says something else", words)
        elif not scene.first.stopped and not scene.second.stopped:
            fates = _fate(one, a), _fate(other, b)
            if fates[0] != fates[1]:
                words = (f"{_quote(one, a)} {fates[0]}", f"{_quote(other, b)} {fates[1]}")
                chance = bool(scene.first.cut or scene.second.cut)  # whoever was ended might have read it
                yield _found(scene, "messages", one, other, a, b, "a message gets there in one alone", words, chance)


def _fate(one: Contents, place: int) -> str:
    """What becomes of a message."""
    row = one.messages[place]
    table = one.view.analysis.messages
    if one.view.write_of[row] == NONE and number(table["writer"].iloc[row]) is not None:
        return "never leaves its writer's buffer"
    return "is never read" if number(table["reader"].iloc[row]) is None else "is read"


def _together(scene: Scene, one: Contents, other: Contents, pairs: Pairs) -> Iterator[Found]:
    """Neighbours that one write carried, or one read got, here but not there. That one write carried them is the
    program's and its buffers' doing; that one read got what several writes carried, the reader's being late."""
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    for column, words, verb, chance in (
        ("write_event", "messages leave together in one, and one by one in the other", "carries", False),
        ("read_event", "messages are read together in one, and one by one in the other", "gets", True),
    ):
        apart: list[tuple[int, int, int, int]] = []
        joined = _joined(one, column), _joined(other, column)
        for (a, b), (a_, b_) in pairwise(both):
            if a_ == a + 1 and b_ == b + 1 and joined[0][a] != joined[1][b]:
                apart.append((a, b, int(joined[0][a]), int(joined[1][b])))
        if apart and column == "read_event" and _written_otherwise(one, other, both):
            continue  # how they were written says it already
        if apart:
            a, b, together, _ = apart[0]
            call = "write" if column == "write_event" else "read"
            said = (f"one {call} {verb} both", f"a {call} each")
            sides = said if together else said[::-1]
            yield _found(scene, "boundaries", one, other, a, b, words, sides, chance, len(apart))


def _in_pieces(scene: Scene, one: Contents, other: Contents, pairs: Pairs) -> Iterator[Found]:
    """Messages that left in another number of writes, or came in another number of reads."""
    for column, verb, chance in (("write_event", "leaves", False), ("read_event", "comes", True)):
        counts = _pieces(one, column), _pieces(other, column)
        apart = [
            (a, b) for a, b in pairs
            if a is not None and b is not None and counts[0][a] != counts[1][b] and counts[0][a] and counts[1][b]
        ]  # fmt: skip
        if apart:
            (a, b), call = apart[0], column.split("_")[0]
            said = (f"it {verb} in {plural(counts[0][a], call)}", f"it {verb} in {plural(counts[1][b], call)}")
            what = f"a message {verb} in more pieces in one of them"
            yield _found(scene, "boundaries", one, other, a, b, what, said, chance, len(apart))
            return  # in what pieces it came is what follows from it


def _pieces(one: Contents, column: str) -> list[int]:
    """By how many writes, or reads, each message was moved."""
    counts = one.view.pieces[column]
    return [counts.get(message, 0) for message in one.messages]


def _joined(one: Contents, column: str) -> Any:
    """Message → whether the same call carried (or got) it and the next one."""
    events = whole(one.view.analysis.messages[column])[one.messages]
    return np.append((events[1:] == events[:-1]) & (events[1:] != NONE), False)


def _written_otherwise(one: Contents, other: Contents, both: list[tuple[int, int]]) -> bool:
    joined = _joined(one, "write_event"), _joined(other, "write_event")
    return any(joined[0][a] != joined[1][b] for a, b in both[:-1])


def _found(
    scene: Scene, kind: Kind, one: Contents, other: Contents, a: int | None, b: int | None, what: str,
    words: tuple[str, str], chance: bool = False, count: int = 1,
) -> Found:  # fmt: skip
    """A difference about two messages (places in their channels), at the calls that handed them over."""
    sides = [_side(each, place, said) for each, place, said in ((one, a, words[0]), (other, b, words[1]))]
    who = next((_writer(each, place) for each, place in ((one, a), (other, b)) if place is not None), "")
    same = (kind, who, what, sides[0].file, sides[0].line, sides[1].file, sides[1].line)
    # when it left, which is when it may be told from the other: what made it leave comes before
    left = None if a is None else number(one.view.analysis.messages["written"].iloc[one.messages[a]])
    when = left or sides[0].time or sides[1].time or 0
    return Found(Difference(kind, who, what, sides[0], sides[1], chance, count=count), when, same)


def _side(one: Contents, place: int | None, words: str) -> Side:
    if place is None:
        return Side(words)
    message = one.messages[place]
    event = int(pick(one.view.events.outermost, _array(int(one.view.handed[message])))[0])
    if event == NONE:
        event = int(_array(number(one.view.analysis.messages["read_event"].iloc[message]))[0])
    return one.view.side_at(words, None if event == NONE else event)


def _array(value: int | None) -> Ints:
    return np.array([NONE if value is None else value], dtype="int64")


def _writer(one: Contents, place: int) -> str:
    writer = number(one.view.analysis.messages["writer"].iloc[one.messages[place]])
    return "" if writer is None else the(one.view.who(writer))
