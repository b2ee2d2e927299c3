"""Runs side by side: aligned by role and message, and what differs between them.

    comparison = compare([one, other], ["default", "-u"])

A role is who started whom, with which program, and which child in order; a channel is known by the line that made it, a
message by its place and content on its channel. Clocks and process ids play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pandas as pd
from ipctrace.tracer.schema import printable

from ..results import Analysis
from . import conclusions, found, numbers
from .divergence import Found, divergence
from .exchange import exchange
from .results import Claim, Comparison, Difference, Pair, Setting, Side, Spread
from .roles import Roles
from .scene import Scene, View
from .surroundings import environment

__all__ = ["LEVEL", "PAIRS", "Claim", "Comparison", "Difference", "Pair", "Setting", "Side", "Spread", "compare"]

LEVEL = 0.01
PAIRS = 8  # settings of which each is compared with each; of more, each with the first


def compare(runs: Sequence[Analysis], labels: Sequence[str], level: float = LEVEL) -> Comparison:
    """Compare runs, each under its label; runs of one label are repeats of one setting. The first label is what the
    others are compared with. `level`: how probable any false claim about time may be, in the whole comparison.

    Raises ValueError where there are fewer than two labels, or not one for each run.
    """
    if len(set(labels)) < 2 or len(labels) != len(runs):
        raise ValueError("two settings or more are compared: a label for each run, and two different ones")
    labels = [printable(label) for label in labels]
    settings, columns = _settings(runs, labels), _columns(labels)
    views = [View(one) for one in runs]
    shown = [views[setting.shown] for setting in settings]
    scenes: dict[tuple[int, int], Scene] = {}
    for pair in _pairs(len(settings)):
        scenes[pair] = Scene(shown[pair[0]], shown[pair[1]])
    unstable = [_unstable(views, setting) for setting in settings]
    measured, findings = numbers.table(runs, settings), found.findings(runs, views, settings, columns)
    with_first = [pair for pair in scenes if pair[0] == 0]
    claimed = dict(zip(with_first, numbers.claims(measured, settings, with_first, level), strict=True))
    pairs = []
    for (first, second), scene in scenes.items():
        ends = settings[first], settings[second]
        told, agreed = _told(scene, unstable[first] | unstable[second])
        counts = len(ends[0].runs), len(ends[1].runs)
        rules = found.came_and_went(findings, (columns[first], columns[second]), counts)
        differences = (*told, *_verdicts(scene, *ends), *rules)
        line = conclusions.of_pair(*ends, differences, agreed)
        pairs.append(Pair(first, second, line, differences, claimed.get((first, second), ()), agreed, scene.ties()))
    roles = [None, *(scenes[0, place].roles for place in range(1, len(settings)))]
    surroundings = environment([one.analysis for one in shown], roles, columns)
    made = Comparison(
        tuple(runs), settings, tuple(pairs), "", "", measured, surroundings, findings,
        _roles(shown, roles, columns), _notes(runs), level, columns,
    )  # fmt: skip
    said, because = conclusions.headline(made)
    return replace(made, headline=said, because=because)


def _pairs(count: int) -> list[tuple[int, int]]:
    return list(combinations(range(count), 2)) if count <= PAIRS else [(0, other) for other in range(1, count)]


def _told(scene: Scene, unstable: set[tuple[object, ...]]) -> tuple[list[Difference], int]:
    """What two runs do otherwise, in order of time; and how many steps they took alike before."""
    every = sorted([*divergence(scene), *exchange(scene)], key=lambda one: one.when)
    told = [replace(one.difference, chance=True) if one.same in unstable else one.difference for one in every]
    real = [one.when for one, difference in zip(every, told, strict=True) if not difference.chance]
    return told, scene.agreed(real[0] if real else None)


def _unstable(views: Sequence[View], setting: Setting) -> set[tuple[object, ...]]:
    """What differs among repeats of one setting: it is chance wherever it differs."""
    scenes = [Scene(views[setting.shown], views[run]) for run in setting.runs if run != setting.shown]
    every: list[Found] = [one for scene in scenes for one in (*divergence(scene), *exchange(scene))]
    return {one.same for one in every}


def _verdicts(scene: Scene, first: Setting, second: Setting) -> list[Difference]:
    """That the two end otherwise; it came about when the first of them came to its end."""
    if first.verdict == second.verdict and first.rule == second.rule:
        return []
    sides = [
        Side(f"{conclusions.ENDS[setting.verdict][0]}{f' ({setting.rule})' if setting.rule else ''}", _end(view))
        for setting, view in ((first, scene.first), (second, scene.second))
    ]
    mixed = any(len(setting.verdicts) > 1 for setting in (first, second))
    words = "they end otherwise" + (", and not all repeats alike" if mixed else "")
    return [Difference("verdict", "", words, sides[0], sides[1])]


def _end(view: View) -> int:
    graph = view.analysis.graph
    return graph.formed if graph else int(view.trace.facts.get("duration") or 0)


def _settings(runs: Sequence[Analysis], labels: Sequence[str]) -> tuple[Setting, ...]:
    """The labels in order of their first run. What most of a setting's runs came to stands for it; the first such run
    is shown."""
    made = []
    for label in dict.fromkeys(labels):
        own = [place for place, one in enumerate(labels) if one == label]
        outcomes = [(runs[place].verdict.name, runs[place].verdict.rule) for place in own]
        most = max(outcomes, key=outcomes.count)
        names = [name for name, _ in outcomes]
        counts = {name: names.count(name) for name in dict.fromkeys(names)}
        made.append(Setting(label, tuple(own), own[outcomes.index(most)], *most, counts))
    return tuple(made)


def _columns(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels as columns of tables that have others, too."""
    taken = {"fact", "differs", "role", *found.COLUMNS}
    return tuple(f"{label} (setting)" if label in taken else label for label in dict.fromkeys(labels))


def _roles(shown: Sequence[View], roles: Sequence[Roles | None], columns: Sequence[str]) -> pd.DataFrame:
    """`Comparison.roles`: the first setting's threads in its display order, then what only others have."""
    rows: list[dict[str, object]] = []
    places: dict[int, dict[str, object]] = {}
    for thread in shown[0].analysis.lanes:
        places[thread] = {"role": shown[0].analysis.names[thread], columns[0]: thread}
        rows.append(places[thread])
    for view, who, column in zip(shown[1:], roles[1:], columns[1:], strict=True):
        for thread in view.analysis.lanes:
            same = who.threads.get(thread) if who else None
            if same in places:
                places[same][column] = thread
            else:
                rows.append({"role": view.analysis.names[thread], column: thread})
    table = pd.DataFrame(rows, columns=["role", *columns])
    return table.astype(dict.fromkeys(columns, "Int64"))


def _notes(runs: Sequence[Analysis]) -> tuple[str, ...]:
    """What the recordings leave open."""
    said = []
    if any((one.trace.facts.get("options") or {}).get("payload") == "none" for one in runs):
        said.append("Some runs were recorded without payloads: their messages are compared by size and place.")
    if any(one.trace.facts.get("dropped") for one in runs):
        said.append("Of some runs the oldest events were dropped: they are compared by what is left.")
    return tuple(said)
