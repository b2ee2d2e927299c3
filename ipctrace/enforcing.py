"""`ipctrace replay TRACE --enforce`: the whole program runs again, held to the order that the trace has.

Only what the trace orders between threads is held (analysis/relaxed.py), by a gate in each process of the run
(tracer/runtime/gate.py). The run is recorded as any other, and held against the first one: verdict, output, order.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .analysis import outcome, relaxed
from .analysis.run import Run as Analysed
from .analysis.waiting import is_deadlock
from .console import say
from .replaying import Program, announce, checked, own
from .reports.ink import escape
from .run import Run
from .scheduling import enforced
from .tracer import launch, schema, supervisor
from .tracer.errors import IpctraceError
from .tracer.replay.schedule import Departure
from .tracer.runtime import table

if TYPE_CHECKING:
    from collections.abc import Callable

_LATE = 10  # times as long as recorded, and never less than so many seconds, an enforced run may take
_SHORTEST = 30.0
_SEEN_BY_OTHERS = tuple(kind for kind, role in relaxed.ROLES.items() if role == relaxed.GIVES)  # kinds of operations


class Enforced(NamedTuple):
    """An enforced run: `run` and, in words, where it differs from its record (empty: nowhere) by what was compared."""

    run: Run
    verdict: list[str]
    output: list[str]
    order: list[str]

    @property
    def same(self) -> bool:
        """Whether it came to the same as the recorded run."""
        return not (self.verdict or self.output or self.order)


def replay(trace: str | Path, strict: bool = False, sleep: bool = True) -> int:
    """The command: run it, say what came of it. Returns its exit status: 0 where it came to the same, else 1."""
    recorded = own(trace)
    program = checked(recorded)
    announce(program)
    out = beside(Path(trace))
    result = enforce(recorded, program, out, strict=strict, sleep=sleep)
    say([escape(line) for line in told(recorded, result, out)], sys.stderr)
    return 0 if result.same else 1


def beside(trace: Path) -> Path:
    """Where the trace of an enforced run goes."""
    name = trace.resolve().name.removesuffix(".ipctrace").removesuffix("-enforced")
    return trace.resolve().with_name(f"{name}-enforced.ipctrace")


def enforce(
    recorded: Run, program: Program, out: Path, *, strict: bool = False, sleep: bool = True, output: Path | None = None,
    progress: Callable[[supervisor.Progress], None] | None = None,
) -> Enforced:  # fmt: skip
    """Run a recorded program again in its recorded order, record that into `out`, and compare.

    `output`: a file for what it prints, in place of our own standard output and error output. Raises IpctraceError
    where the trace has nothing to hold a run to, or the program can't be started.
    """
    facts = recorded.facts
    if facts.get("dropped"):
        raise IpctraceError(
            "the trace has no whole order",
            f"{facts['dropped']:,} events were dropped to keep it small",
            "ipctrace record --max-size 2GB …",
        )
    before = Analysed(recorded.trace)
    order = relaxed.relaxed(before)
    kept = facts["options"]
    lasted = (facts["duration"] or 0) / 1e9
    with launch.surroundings(facts["environment"] or {}), launch.written_to(output) as streams:
        options = supervisor.Options(
            command=program.command, out=out, program=facts["program"],
            duration=lasted if facts["ended"] in ("duration", "interrupted") else max(_SHORTEST, _LATE * lasted),
            payload=kept["payload"], payload_bytes=kept["payload_bytes"], buffering=kept["buffering"],
            pipe_size=kept.get("pipe_size"), start_method=kept.get("start_method"),
            schedule=enforced(order, facts, sleep, strict), streams=streams, cwd=program.cwd,
        )  # fmt: skip
        run = Run(supervisor.record(options, is_deadlock, progress))
    after = Analysed(run.trace)
    one, two = outcome.outcome(before, recorded.verdict), outcome.outcome(after, run.verdict)
    return Enforced(run, _verdicts(one, two), _outputs(one, two), _orders(before, order, run, after))


def told(recorded: Run, result: Enforced, out: Path) -> list[str]:
    """What came of an enforced run, in lines."""
    verdict = recorded.verdict
    same = {"verdict": f"{verdict.name}{f' ({verdict.rule})' if verdict.rule else ''}", "output": "", "order": ""}
    lines = [f"ipctrace: {result.run.verdict.headline}"]
    for name, word in same.items():
        found = getattr(result, name)
        if not found:
            lines.append(f"  the same {name} as recorded{f': {word}' if word else ''}")
        lines += [f"  {line}" for line in found]
    return [*lines, f"  its own trace: {out.name}"]


def _verdicts(one: outcome.Outcome, two: outcome.Outcome) -> list[str]:
    if (one.verdict, one.rule, one.status) == (two.verdict, two.rule, two.status):
        return []
    return [f"another verdict: {_ending(two)}, recorded was {_ending(one)}"]


def _ending(of: outcome.Outcome) -> str:
    rule = f" ({of.rule})" if of.rule else ""
    return f"{of.verdict}{rule}" + (f" with status {of.status}" if of.status else "")


def _outputs(one: outcome.Outcome, two: outcome.Outcome) -> list[str]:
    first = outcome.difference(one.output, two.output)
    if first is None:
        return []
    mine, theirs = (line[:60].decode("utf-8", "replace") for line in first)
    return [f"another output: “{theirs}” where “{mine}” was recorded"]


def _orders(before: Analysed, order: relaxed.Relaxed, run: Run, after: Analysed) -> list[str]:
    """Where the run departed, and what it didn't do of what the record has: of what others get or see. How often it
    looked and waited itself is nobody's business, nor what it was in as it was stopped."""
    lines = [_departure(before, order, Departure(*each)) for each in run.facts["order"]["departures"]]
    made = {step.place for step in relaxed.relaxed(after).steps}
    done = (step for step in order.steps if step.end and schema.WRAPPED[step.place.op][0] in _SEEN_BY_OTHERS)
    missing = [step for step in done if step.place not in made]
    if missing and not lines:
        step = missing[0]
        lines.append(f"departed: {_who(before, step)} never came to {_what(step.place)}")
    return lines


def _departure(before: Analysed, order: relaxed.Relaxed, departure: Departure) -> str:
    """`departed at race.py:12 (os.write): child 2's turn was after child 1's os.read at race.py:30, which …`."""
    op, file, _, line = departure.key
    name = next((name for name, code in table.CODE.items() if code == op), str(op))
    at = f"{Path(file).name}:{line}" if file else "its end"
    awaited = order.at(departure.slot, departure.position)
    what = "something" if awaited is None else f"{_who(before, awaited)}'s {_what(awaited.place)}"
    why = "ended without it" if departure.why == "ended" else "didn't come"
    who = next((_who(before, step) for step in order.steps if step.place.lineage == departure.lineage), "a thread")
    return f"departed: {who} at {at} ({name}) had to wait for {what}, which {why}"


def _who(run: Analysed, step: relaxed.Step) -> str:
    return run.names[int(run.events.thread[step.event])]


def _what(place: Any) -> str:
    at = f" at {Path(place.file).name}:{place.line}" if place.file else ""
    return f"{place.op}{at}"
