"""The matrix as a page: a heat map of verdicts over settings, each cell with a link to its own report, and beneath it
the runs side by side (page.py).

Colour says the verdict and the bar in a cell the share of blocked time; both are also there in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template

from ipctrace.analysis.comparison import Comparison
from ipctrace.analysis.comparison.grid import Cell, Combination, programs, sentence, values

from ..markup import count, escape, sentences
from ..page import asset, policy
from . import matrix, page
from .words import letter

_HUES = {"danger": "danger", "held": "amber", "good": "ok", "dim": "plain"}


def render(cells: Sequence[Cell], pages: Mapping[Combination, str], comparison: Comparison | None, title: str) -> str:
    """The whole page. `pages`: the address of each combination's report, relative to this page; `comparison`: of the
    same runs, labelled by `label`, or None where there are too few to be compared."""
    body = fragment(cells, pages, comparison)
    if comparison is not None:
        by_label = {label(combination, cells): address for combination, address in pages.items()}
        own = [by_label.get(setting.label) for setting in comparison.settings]
        return page.render(comparison, title=title, lead=body, pages=own)
    return Template(asset("matrix.html")).substitute(
        policy=policy(), title=escape(f"{title} · ipctrace"), styles="\n".join(map(asset, page.STYLES)), body=body
    )


def label(combination: Combination, cells: Sequence[Cell]) -> str:
    """What a setting is called among these: its program is told only where there are several."""
    return combination.label(() if len(programs(cells)) > 1 else ("program",))


def fragment(cells: Sequence[Cell], pages: Mapping[Combination, str], comparison: Comparison | None = None) -> str:
    """The heat maps, one a program, and the table of figures; HTML without a page around it."""
    places = {setting.label: place for place, setting in enumerate(comparison.settings)} if comparison else {}
    hung = sum(cell.hangs for cell in cells)
    said = f"{hung} of {len(cells)} hang" if hung else f"none of {len(cells)} hangs"
    pill = "danger filled" if hung else "ok filled"
    parts = [f"<style>{asset('matrix.css')}</style>", f'<p class="kicker"><span class="pill {pill}">{said}</span></p>']
    for number, own in enumerate(programs(cells).values()):
        tag = 'h1 id="v"' if not number else "h1"
        parts.append(f"<{tag}>{sentences(sentence(own))}</h1>")
        parts.append(_map(own, pages, {cell.combination: places.get(label(cell.combination, cells)) for cell in own}))
        told = [f"<dt>{escape(word)}<dd>{sentences(text)}" for word, text in matrix.explained(own)]
        parts.append(f'<dl class="matrix-words">{"".join(told)}</dl>' if told else "")
    parts.append(f"<details><summary>{count(len(cells), 'setting')} in figures</summary>{_figures(cells)}</details>")
    return "".join(parts)


def _map(cells: Sequence[Cell], pages: Mapping[Combination, str], places: Mapping[Combination, int | None]) -> str:
    heads = values(cells, "buffering")
    head = "".join(f'<th scope="col">{escape(name)}' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}' + "".join(_cell(own.get(each), pages, places) for each in heads)
        for name, own in matrix.rows(cells).items()
    )
    corner = '<td class="corner">interpreter \\ buffering'
    return f'<div class="scroll"><table class="matrix"><thead><tr>{corner}{head}<tbody>{body}</table></div>'


def _cell(cell: Cell | None, pages: Mapping[Combination, str], places: Mapping[Combination, int | None]) -> str:
    if cell is None:
        return '<td class="heat plain">-'
    text, address = escape(matrix.word(cell)), pages.get(cell.combination)
    shown = f'<a href="{escape(address)}">{text}</a>' if address else text
    blocked = cell.typical("blocked") if cell.outcomes else 0.0
    told = f"{cell.combination.label()}: {matrix.word(cell)}, {blocked:.0%} of the time blocked"
    bar = f'<span class="blocked" style="width:{blocked:.0%}"></span>' if cell.outcomes else ""
    place = places.get(cell.combination)
    choose = "" if place is None else (
        f'<button class="choose needs-script" data-setting="{place}" aria-pressed="false" '
        f'title="lay it side by side">{letter(place)}</button>'
    )  # fmt: skip
    hue = _HUES[matrix.style(cell)]
    return f'<td class="heat {hue}" title="{escape(told)}">{shown}{choose}{bar}'


def _figures(cells: Sequence[Cell]) -> str:
    several = len(programs(cells)) > 1
    numbers = dict.fromkeys(matrix.NUMBERS, " class=num")
    head = "".join(f"<th{numbers.get(place, '')}>{name}" for place, name in enumerate(matrix.HEADS))
    rows = (matrix.figures(cell, several) for cell in cells)
    body = "".join(
        "<tr>" + "".join(f"<td{numbers.get(place, '')}>{escape(each)}" for place, each in enumerate(row))
        for row in rows
    )
    return f'<div class="scroll"><table class="data"><thead><tr>{head}<tbody>{body}</table></div>'
