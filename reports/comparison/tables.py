"""The comparison page's tables: differences of each pair, measures, findings, environment."""

from __future__ import annotations

from collections.abc import Hashable

from ipctrace.analysis.comparison import Comparison, Difference, Pair, Side
from ipctrace.analysis.comparison.numbers import MEASURES, time_in_words
from ipctrace.analysis.naming import plural

from ..markup import capital, escape, source
from .words import KINDS, grouped, letter, shown_measures, spreads, told

ROWS, FOLDED = 12, 200  # differences shown open, and in all
WIDE = 5  # settings that have a column each in the table of the environment


def differences(comparison: Comparison) -> str:
    """For each pair what differs, in the order in which it came about; the script shows the pair that is chosen."""
    return "".join(_pair(comparison, pair) for pair in comparison.pairs)


def _pair(comparison: Comparison, pair: Pair) -> str:
    names = letter(pair.first), letter(pair.second)
    real = [(row, one) for row, one in enumerate(pair.differences) if not one.chance]
    chance = [(row, one) for row, one in enumerate(pair.differences) if one.chance]
    first = pair.first_difference
    agreed = plural(pair.agreed, "step")
    said = f"they take {agreed} alike" + ("" if first is None else "; then they part")
    heading = f"{names[0]} and {names[1]}: {escape(pair.headline)}"
    parts = [f'<div class="head"><h3>{heading}</h3><span class="dim">{said}</span></div>']
    if real:
        parts.append(_folded(real, names, first, ROWS))
    if chance:
        words = "further difference" if real else "difference"
        parts.append(
            f"<details><summary>{plural(len(chance), words)} that {'depends' if len(chance) == 1 else 'depend'} on who "
            f"is faster</summary>{_table(chance[:FOLDED], names, first)}</details>"
        )
    if words := time_in_words(pair):
        parts.append(f'<p class="time"><b>Time</b> {escape(capital(words))}</p>')
    hidden = "" if pair is comparison.telling else " later"
    return f'<div class="difference{hidden}" data-pair="{pair.first}-{pair.second}">{"".join(parts)}</div>'


def _folded(rows: list[tuple[int, Difference]], names: tuple[str, str], first: Difference | None, most: int) -> str:
    if len(rows) <= most + 2:
        return _table(rows, names, first)
    rest = _table(rows[most:FOLDED], names, first)
    more = plural(len(rows) - most, "more difference")
    return f"{_table(rows[:most], names, first)}<details><summary>{more}</summary>{rest}</details>"


def _scroll(style: str, head: str, body: str) -> str:
    """A table that scrolls in its own box."""
    return (
        f'<div class="scroll"><table class="data {style}"><thead><tr>{head}</thead><tbody>{body}</tbody></table></div>'
    )


def _table(rows: list[tuple[int, Difference]], names: tuple[str, str], first: Difference | None) -> str:
    body = "".join(_row(row, one, names, one is first) for row, one in rows)
    head = f"<th>thread<th>{names[0]}<th>{names[1]}<th>difference"
    return _scroll("pairs", head, body)


def _row(row: int, one: Difference, names: tuple[str, str], first: bool) -> str:
    marks = ["first difference"] if first else []
    marks += ["this one decides"] if one.decides else []
    said = " · ".join(marks)
    times = f", {one.count:,} times" if one.count > 1 else ""
    words = f"{KINDS[one.kind]}: {one.words}" if one.kind == "finding" else one.words
    mark = f"<b>{said}</b><br>" if said else ""
    style = "decides" if one.decides else "first" if first else ""
    return (
        f'<tr class="{style}" data-row="{row}"><td>{escape(one.who or "the run")}<td class="wrap side" '
        f'data-letter="{names[0]}">{_side(one.first)}<td class="wrap side" data-letter="{names[1]}">{_side(one.second)}'
        f'<td class="wrap">{mark}{escape(words + times)}'
    )


def _side(side: Side) -> str:
    line = (
        f'<div class="src"><i>{escape(side.place)}</i><code>{source(side.text) if side.text else ""}</code></div>'
        if side.file
        else ""
    )
    return f"{line}{escape(side.words)}"


def numbers(comparison: Comparison) -> str:
    """A row a measure, a column a setting; what stands out from the noise is marked."""
    sure = {
        (pair.second, claim.measure): claim
        for pair in comparison.pairs
        if pair.first == 0
        for claim in pair.claims
        if claim.holds
    }
    heads = "".join(
        f'<th class="num" title="{escape(one.label)}">{letter(place)} <span>{escape(one.label)}</span>'
        for place, one in enumerate(comparison.settings)
    )
    style = "numbers" if len(comparison.settings) <= WIDE else "numbers many"
    rows = []
    for measure in shown_measures(comparison):
        cells = []
        for place, one in enumerate(spreads(comparison, measure)):
            claim = sure.get((place, measure))
            low, high = told(one.lowest, measure), told(one.highest, measure)
            range_ = f'<span class="range">{escape(low)} … {escape(high)}</span>' if low != high else ""
            note = (
                f'<span class="claim">{"▲" if claim.second.median > claim.first.median else "▼"} stands out</span>'
                if claim
                else ""
            )
            title = f' title="{escape(claim.words)}"' if claim else ""
            cells.append(
                f'<td class="num{" sure" if claim else ""}"{title}>{escape(told(one.median, measure))}{range_}{note}'
            )
        rows.append(f"<tr><th scope=row>{escape(MEASURES[measure][0])}{''.join(cells)}")
    return f'{_scroll(style, f"<td>{heads}", "".join(rows))}<p class="dim">{escape(_noise(comparison))}</p>'


def _noise(comparison: Comparison) -> str:
    """How the claims about time were made."""
    if all(len(one.runs) == 1 for one in comparison.settings):
        return "One run of each: its times are shown, and nothing is said of them."
    return (
        "Median of the repeats, with the lowest and the highest. A time stands out where the ranks of its repeats "
        "differ from the first setting's by more than chance does (Mann and Whitney's test, exact; Holm's correction "
        f"for all tests of this page; level {comparison.level:g})."
    )


def findings(comparison: Comparison) -> str:
    """A row a finding, a column a setting: in how many of its runs it is."""
    rows = comparison.findings.to_dict("records")
    if not rows:
        return '<p class="none">Nothing found in any of them.</p>'
    heads = "".join(f"<th class=num>{letter(place)}" for place in range(len(comparison.settings)))
    body = []
    for row in rows:
        counts = [int(row[column]) for column in comparison.columns]
        cells = "".join(
            f'<td class="num">{"·" if not one else "●" if len(setting.runs) == 1 else f"{one} of {len(setting.runs)}"}'
            for one, setting in zip(counts, comparison.settings, strict=True)
        )
        style = " differs" if len({bool(one) for one in counts}) > 1 else ""
        chance = ' <span class="dim">comes with timing</span>' if row["chance"] else ""
        rule = f"<b>{escape(row['rule'])}</b> {escape(row['name'])}"
        body.append(
            f'<tr class="is-{escape(row["severity"])}{style}"><td>{rule}{chance}'
            f'<td class="c">{escape(row["place"] or "·")}{cells}<td class="wrap">{escape(row["message"])}'
        )
    head = f"<th>finding<th>line{heads}<th>what is so, in the first that has it"
    return (
        f'<div class="scroll"><table class="data"><thead><tr>{head}</thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def environment(comparison: Comparison) -> str:
    """What the settings were recorded under: what differs, a column a setting, or of many settings each value once;
    then, folded, what doesn't differ."""
    rows = comparison.environment.to_dict("records")
    other, same = [row for row in rows if row["differs"]], [row for row in rows if not row["differs"]]
    few = len(comparison.settings) <= WIDE
    heads = "".join(f"<th>{letter(place)}" for place in range(len(comparison.settings))) if few else "<th>of which"
    parts = []
    if other:
        cells = [
            "".join(f'<td class="wrap">{_value(row[column])}' for column in comparison.columns)
            if few
            else f'<td class="wrap">{_groups(comparison, row)}'
            for row in other
        ]
        body = "".join(f"<tr><th scope=row>{escape(row['fact'])}{cell}" for row, cell in zip(other, cells, strict=True))
        parts.append(_scroll("environment", f"<td>{heads}", body))
    else:
        parts.append('<p class="none">They were recorded under the same conditions, as far as these are known.</p>')
    if same:
        pairs = "".join(f"<dt>{escape(row['fact'])}</dt><dd>{_groups(comparison, row, False)}</dd>" for row in same)
        heading = f"{plural(len(same), 'fact')} in which they don’t differ"
        parts.append(f"<details><summary>{heading}</summary><dl id=facts>{pairs}</dl></details>")
    return "".join(parts)


def _groups(comparison: Comparison, row: dict[Hashable, object], named: bool = True) -> str:
    """Each value once, and whose it is."""
    found = grouped(comparison, row)
    return "<br>".join(f"<b>{names}</b> {escape(value)}" if named else escape(value) for names, value in found) or "·"


def _value(value: object) -> str:
    return escape(value) if isinstance(value, str) and value else "·"


__all__ = ["differences", "environment", "findings", "numbers"]
