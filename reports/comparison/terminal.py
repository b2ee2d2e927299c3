"""The comparison for a terminal: the settings, where they part, the one difference that decides, the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ipctrace.analysis.comparison import Comparison, Difference, Pair, Side
from ipctrace.analysis.naming import plural

from ..ink import Ink, columns, cut, escape, wrap
from .words import KINDS, MEASURES, grouped, interpreter, letter, outcome, shown_measures, since, spreads, told

MORE, COLUMNS = 8, 5  # further differences that are listed; settings that have a column each
STYLES = {"deadlock": "danger", "crashed": "danger", "stalled": "held", "completed": "good"}


def lines(comparison: Comparison, ink: Ink | None = None, steps: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
    """The whole, line by line; `steps` (word, command or path) come last."""
    yield from _Terminal(comparison, ink or Ink()).lines(steps)


class _Terminal:
    def __init__(self, comparison: Comparison, ink: Ink) -> None:
        self.comparison, self.ink = comparison, ink
        self.width = min(ink.width, 80)

    def clean(self, text: str) -> str:
        return self.ink.plain(escape(text))

    def lines(self, steps: Sequence[tuple[str, str]]) -> Iterator[str]:
        yield from wrap(self.clean(self.comparison.headline), self.width)
        yield ""
        yield from self.settings()
        pairs = [pair for pair in self.comparison.pairs if pair.first == 0]
        at_length = self.comparison.telling
        yield from self.pair(at_length)
        if len(pairs) > 1:
            yield ""
        for pair in pairs:
            if pair is not at_length:
                yield from self.briefly(pair)
        yield from self.numbers()
        yield from self.findings()
        yield from self.environment()
        for note in self.comparison.notes:
            yield from wrap(self.clean(note), self.width, "  note  ")
        if steps:
            yield ""
        for word, what in steps:
            yield f"  {word:<9} {self.clean(what)}"

    def settings(self) -> Iterator[str]:
        """A line a setting."""
        rows = [
            (letter(place), setting.label, interpreter(self.comparison, place), outcome(self.comparison, place),
             since(self.comparison, place) + (f", {len(setting.runs)} runs" if len(setting.runs) > 1 else ""))
            for place, setting in enumerate(self.comparison.settings)
        ]  # fmt: skip
        styles = [STYLES.get(setting.verdict, "strong") for setting in self.comparison.settings]
        yield from self.table(rows, left=(0, 1, 2, 3, 4), painted=(3, styles), most=(2, 28, 18, 24, 40))

    def briefly(self, pair: Pair) -> Iterator[str]:
        """A pair in a few lines: the sentence, and where the two part."""
        names = letter(pair.first), letter(pair.second)
        first = pair.first_difference
        said = pair.headline
        told_ = [one for one in pair.differences if one is first or (one.decides and not one.chance)]
        for one in told_[:2]:
            place = one.first.place or one.second.place or "the run"
            word = "first" if one is first else "decides"
            said += f" {word.capitalize()}: {place}: {names[0]} {one.first.words}; {names[1]} {one.second.words}."
        said += "".join(f" {MEASURES[one.measure][0]}: {one.words}." for one in pair.claims if one.holds)
        yield from wrap(self.clean(said), self.width, f"  {names[0]}, {names[1]}  ", " " * 8)

    def pair(self, pair: Pair) -> Iterator[str]:
        names = letter(pair.first), letter(pair.second)
        real = [one for one in pair.differences if not one.chance]
        yield ""
        if len(self.comparison.settings) > 2:
            yield self.ink.paint(f"{names[0]} and {names[1]}: {self.clean(pair.headline)}", "strong")
        first = pair.first_difference
        if first is None:
            yield from wrap(f"the same {plural(pair.agreed, 'step')}; what differs is time", self.width, "  ")
        else:
            yield from self.difference(first, names, f"first difference, after {plural(pair.agreed, 'step')} alike")
            decides = next((one for one in real if one.decides and one is not first), None)
            if decides:
                yield ""
                yield from self.difference(decides, names, "the one that decides")
            rest = [one for one in real if one not in (first, decides) and one.kind not in ("verdict", "finding")]
            yield from self.others(rest)
        yield from self.times(pair)

    def difference(self, one: Difference, names: tuple[str, str], title: str) -> Iterator[str]:
        """Where, the source of both sides, and what is so in each."""
        place = one.first.place or one.second.place
        who = f"{one.who}, " if one.who else ""
        yield from wrap(self.clean(f"{title}: {who}{place}" if place else f"{title}: {one.words}"), self.width)
        sides = list(zip(names, (one.first, one.second), strict=True))
        same = one.first.place == one.second.place and one.first.text == one.second.text
        gutter = max(len(str(side.line or "")) for _, side in sides)
        if same and one.first.line:
            yield self.source(one.first, gutter, "")
        for name, side in sides:
            if not same and side.line:
                yield self.source(side, gutter, name)
            bar = f"   {'' if same else '  '}{' ' * gutter} {self.ink.paint('|', 'dim')} "
            lead = f"{name}: " if same else "~ "
            yield from self.painted(wrap(self.clean(side.words), self.width - gutter - 8, lead, " " * len(lead)), bar)

    def painted(self, words: Iterator[str], bar: str) -> Iterator[str]:
        yield from (bar + self.ink.paint(line, "held") for line in words)

    def source(self, side: Side, gutter: int, name: str) -> str:
        text = cut(self.clean(side.text), self.width - gutter - 8, self.ink.ellipsis)
        head = f"{name} " if name else ""
        return f"   {head}{self.ink.paint(f'{side.line:>{gutter}} |', 'dim')} {text}".rstrip()

    def others(self, rest: Sequence[Difference]) -> Iterator[str]:
        if not rest:
            return
        yield ""
        for one in rest[:MORE]:
            place = one.first.place or one.second.place
            times = f", {one.count:,} times" if one.count > 1 else ""
            yield from wrap(
                self.clean(f"{place or KINDS[one.kind]}: {one.words}{times}"), self.width, "  also ", " " * 7
            )
        if len(rest) > MORE:
            yield f"  and {len(rest) - MORE} more differences: --json, or the report"

    def times(self, pair: Pair) -> Iterator[str]:
        """What can be said of time."""
        if not pair.claims:
            return
        sure = [one for one in pair.claims if one.holds]
        yield ""
        for one in sure:
            yield from wrap(self.clean(f"{MEASURES[one.measure][0]}: {one.words}"), self.width, "  time ", " " * 7)
        if not sure:
            yield from wrap(self.clean(pair.claims[0].words), self.width, "  time ", " " * 7)

    def numbers(self) -> Iterator[str]:
        """The measures: a column a setting, of many settings a row each."""
        names = [letter(place) for place in range(len(self.comparison.settings))]
        measures = shown_measures(self.comparison)
        values = {name: [told(one.median, name) for one in spreads(self.comparison, name)] for name in measures}
        yield ""
        if len(names) <= COLUMNS:
            rows = [("", *names), *((MEASURES[name][0], *values[name]) for name in measures)]
            yield from self.table(rows, left=(0,), most=(44,))
            return
        few = [name for name in ("duration", "latency", "held", "messages", "calls", "flushes") if name in values]
        rows = [("", *few), *((name, *(values[each][place] for each in few)) for place, name in enumerate(names))]
        yield from self.table(rows, left=(0,))

    def findings(self) -> Iterator[str]:
        """The findings that not all settings have."""
        table, columns_ = self.comparison.findings, self.comparison.columns
        rows = [row for row in table.to_dict("records") if not row["chance"]]
        rows = [row for row in rows if len({bool(row[column]) for column in columns_}) > 1]
        if rows:
            yield ""
        for row in rows:
            there = ", ".join(letter(place) for place, column in enumerate(columns_) if row[column])
            place = f" at {row['place']}" if row["place"] else ""
            yield from wrap(
                self.clean(f"{row['rule']} {row['name']}{place}: in {there} only"), self.width, "  ", "    "
            )

    def environment(self) -> Iterator[str]:
        """What the settings were recorded under, as far as it differs."""
        table = self.comparison.environment
        rows = table[table["differs"]].to_dict("records")
        if rows:
            yield ""
        for row in rows:
            said = "; ".join(f"{names} {value}" for names, value in grouped(self.comparison, row))
            yield from wrap(self.clean(f"{row['fact']}: {said}"), self.width, "  ", "    ")

    def table(
        self, rows: Sequence[Sequence[str]], left: Sequence[int] = (), painted: tuple[int, Sequence[str]] | None = None,
        most: Sequence[int] = (),
    ) -> Iterator[str]:  # fmt: skip
        """Columns as wide as they must be, at most `most`; `left`: those that are not numbers."""
        cells = [[self.clean(cell) for cell in row] for row in rows]
        cells = [
            [cut(cell, most[k], self.ink.ellipsis) if k < len(most) else cell for k, cell in enumerate(row)]
            for row in cells
        ]
        widths = [max(columns(row[k]) for row in cells) for k in range(len(cells[0]))]
        for place, row in enumerate(cells):
            made = []
            for k, (cell, width) in enumerate(zip(row, widths, strict=True)):
                pad = " " * (width - columns(cell))
                shown = self.ink.paint(cell, painted[1][place]) if painted and painted[0] == k else cell
                made.append(shown + pad if k in left else pad + shown)
            yield "  " + "  ".join(made).rstrip()
