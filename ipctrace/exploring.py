"""`ipctrace explore`: runs a program under many schedules until it fails, and keeps the trace of that.

The first run is recorded as it comes, with every operation on what is shared. What each later run tries is drawn from
the seed and the run's number alone:

* a contest: two operations of the first run that could have come the other way round come that way (analysis/contests);
* chance (tracer/runtime/gate_chance.py): random priorities with few change points, after PCT (Burckhardt, Kothari,
  Musuvathi and Nagarakatte, ASPLOS 2010); or operations delayed;
* with either, now and then, small pipes, and reads that get less than they asked for.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .analysis.contests import Contest, contests
from .analysis.outcome import Outcome, difference, outcome
from .analysis.relaxed import quiet
from .analysis.run import Run as Analysed
from .analysis.waiting import is_deadlock
from .recording import Program, find
from .run import Run
from .scheduling import turned
from .tracer import launch, supervisor
from .tracer.errors import IpctraceError
from .tracer.replay.schedule import Chance, Schedule

Comparison = Literal["same", "any"]
Step = Callable[[int, int], None]

_PIPES = (0, 0, 0, 4096)  # bytes; 0: as they are
_SHORTEST, _LATE = 10.0, 20  # seconds that a run may take at least; times as long as the first one


class Tried(NamedTuple):
    """One run: its number, what it tried in words, what it came to, and why that is a failure ("": it isn't)."""

    number: int
    tried: str
    outcome: Outcome
    failure: str


@dataclass(slots=True)
class Exploration:
    """What came of it: `runs` made of `planned`, the failing one if there is one, with its trace, and how many runs
    came to which verdict."""

    program: str
    command: list[str]
    seed: int
    planned: int
    runs: int = 0
    found: Tried | None = None
    trace: Path | None = None
    verdicts: Counter[str] = field(default_factory=Counter)
    first: Tried | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found = self.found
        return {
            "program": self.program, "command": self.command, "seed": self.seed, "planned": self.planned,
            "runs": self.runs, "verdicts": dict(self.verdicts), "trace": self.trace and str(self.trace),
            "found": found and {
                "run": found.number, "tried": found.tried, "failure": found.failure, "verdict": found.outcome.verdict,
                "rule": found.outcome.rule, "status": found.outcome.status,
            },
        }  # fmt: skip


class Plan(NamedTuple):
    """What a worker is told of a run."""

    number: int
    command: list[str]
    name: str
    out: Path
    limit: float
    schedule: Schedule
    tried: str
    first: Outcome | None
    compare: Comparison


def explore(
    program: Sequence[str], *, module: str | None = None, runs: int = 100, seed: int = 0, jobs: int = 1,
    limit: float | None = None, out: str | Path | None = None, python: str | None = None,
    compare: Comparison = "same", progress: Step | None = None,
) -> Exploration:  # fmt: skip
    """Run a program under up to `runs` schedules, `jobs` at a time, until one makes it fail.

    A failure is a deadlock, a crash, a status other than 0, a run that takes longer than `limit` seconds (by default
    ten, or twenty times what the first took), or, unless `compare` is any, an output other than the first run's. Its
    trace goes to `out`, by default the program's name with `-found.ipctrace`. The program's output is kept from ours,
    and it has nothing to read. Nothing else is left behind. Raises IpctraceError where it can't be started.
    """
    found = find(list(program), module, python)
    target = Path(out) if out else Path(f"{found.name}-found.ipctrace")
    if target.exists() and not launch.is_trace(target):
        raise IpctraceError(f"{target} is already there", "it is no trace, so it isn't overwritten", "--out OTHER")
    made = Exploration(found.name, found.command, seed, runs)
    try:
        folder = tempfile.mkdtemp(prefix=".explore-", dir=target.absolute().parent)
    except OSError as error:
        raise IpctraceError(f"{target} can't be made", error.strerror or str(error), "--out FOLDER") from error
    try:
        _Search(made, found, Path(folder), limit, compare, progress).run(jobs)
        if made.found is not None:
            shutil.rmtree(target, ignore_errors=True)
            shutil.move(_trace(Path(folder), made.found.number), target)
            made.trace = target
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return made


class _Search:
    """Makes the runs."""

    def __init__(
        self, made: Exploration, program: Program, folder: Path, limit: float | None, compare: Comparison,
        progress: Step | None,
    ) -> None:  # fmt: skip
        self.made, self.program, self.folder = made, program, folder
        self.limit, self.compare, self.progress = limit, compare, progress
        self.quiet = 0

    def run(self, jobs: int) -> None:
        first = self._plan(0, Schedule(), "nothing")
        self._count(perform(first))
        if self.made.found is not None or self.made.planned <= 1:
            return
        run = Analysed(_load(first.out).trace)
        self.limit = self.limit or max(_SHORTEST, _LATE * (run.trace.facts["duration"] or 0) / 1e9)
        self.quiet = quiet(run)
        plans = self._plans(contests(run))
        if jobs > 1:
            self._side_by_side(plans, jobs)
            return
        for plan in plans:
            self._count(perform(plan))
            if self.made.found is not None:
                return

    def _side_by_side(self, plans: Iterator[Plan], jobs: int) -> None:
        """The first failure is the one of the lowest number, as it is without jobs."""
        with _pool(jobs) as pool:
            running: set[Future[Tried]] = set()
            while self.made.found is None:
                while len(running) < jobs and (plan := next(plans, None)) is not None:
                    running.add(pool.submit(perform, plan))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for tried in sorted((each.result() for each in done), key=lambda each: each.number):
                    self._count(tried)
            for each in running:
                each.cancel()
            for tried in (each.result() for each in running if not each.cancelled()):
                self._count(tried)

    def _plans(self, pairs: list[Contest]) -> Iterator[Plan]:
        """What each run tries."""
        order = random.Random(f"{self.made.seed}")
        order.shuffle(pairs)
        for number in range(1, self.made.planned):
            dice = random.Random(f"{self.made.seed}/{number}")
            seed = dice.getrandbits(31)
            pipe, split = dice.choice(_PIPES), dice.random() < 0.25
            more = [f"pipes of {pipe:,} bytes"] * bool(pipe) + ["split reads"] * split
            if pairs and number % 3:
                contest = pairs[(number - number // 3 - 1) % len(pairs)]
                schedule = turned([contest], self.quiet, Chance(seed, pipe=pipe, split=split))
                tried = f"{_words(contest.second)} before {_words(contest.first)}"
            elif dice.random() < 0.5:
                schedule = Schedule(
                    "explored", chance=Chance(seed, True, dice.choice((5, 20, 100)), pipe=pipe, split=split)
                )
                tried = "random priorities"
            else:
                delay = dice.choice((2, 5, 20))
                chance = Chance(seed, delay=delay, longest=dice.choice((0.02, 0.2)), pipe=pipe, split=split)
                schedule, tried = Schedule("explored", chance=chance), f"one operation in {delay} delayed"
            yield self._plan(number, schedule, ", ".join([tried, *more]))

    def _plan(self, number: int, schedule: Schedule, tried: str) -> Plan:
        first = self.made.first and self.made.first.outcome
        return Plan(
            number, self.program.command, self.program.name, _trace(self.folder, number), self.limit or 60.0, schedule,
            tried, first, self.compare,
        )  # fmt: skip

    def _count(self, tried: Tried) -> None:
        made = self.made
        if tried.outcome.ended == "interrupted":
            raise KeyboardInterrupt
        made.runs += 1
        made.verdicts[tried.outcome.verdict] += 1
        made.first = made.first or tried
        if tried.failure and (made.found is None or tried.number < made.found.number):
            made.found = tried
        if self.progress:
            self.progress(made.runs, made.planned)


def perform(plan: Plan) -> Tried:
    """Make one run. Its trace stays only if it failed, or is the first."""
    output = plan.out.with_suffix(".out")
    try:
        with launch.written_to(output) as streams:
            options = supervisor.Options(
                command=plan.command, out=plan.out, program=plan.name, duration=plan.limit, schedule=plan.schedule,
                streams=streams, payload_bytes=200,
            )  # fmt: skip
            run = Run(supervisor.record(options, is_deadlock))
    finally:
        output.unlink(missing_ok=True)
    result = outcome(Analysed(run.trace), run.verdict)
    failure = failed(result, plan.first, plan.compare)
    if not failure and plan.first is not None:
        shutil.rmtree(plan.out, ignore_errors=True)
    return Tried(plan.number, plan.tried, result, failure)


def failed(made: Outcome, first: Outcome | None, compare: Comparison) -> str:
    """Why a run is a failure, in words; "": it isn't."""
    if made.verdict == "deadlock":
        return f"deadlock ({made.rule})" if made.rule else "deadlock"
    if made.ended == "duration":
        return "it didn't end within the time limit"
    if made.status is not None and made.status < 0:
        return f"it was ended by signal {-made.status}"
    if made.status:
        return f"status {made.status}"
    if made.verdict == "crashed" and (first is None or first.verdict != "crashed"):
        return "a process of it crashed"
    changed = difference(first.output, made.output) if first is not None and compare == "same" else None
    if changed is not None:
        mine, theirs = (line[:60].decode("utf-8", "replace") for line in changed)
        return f"another output: “{theirs}” where the first run had “{mine}”"
    return ""


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that make runs, each in its main thread, as the recorder needs it."""
    pool = ProcessPoolExecutor(jobs, get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _trace(folder: Path, number: int) -> Path:
    return folder / f"{number}.ipctrace"


def _load(path: Path) -> Run:
    from . import load

    return load(path)


def _words(place: Any) -> str:
    return f"{place.op} at {Path(place.file).name}:{place.line}" if place.file else str(place.op)
