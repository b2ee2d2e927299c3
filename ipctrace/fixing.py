"""Which change cures a hang: each remedy that fits is tried by running the program with it.

The person's files stay as they are: a change of the source runs from the trial's folder (tracer/runtime/remedies.py).
A cure is claimed only of a run that completed with status 0, in which nothing waits for ever, no more bytes were lost,
torn or doubled than before, and that printed every line that the hanging run had printed; and only if that holds each
time that it is tried.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import stat
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from .analysis import remedies
from .analysis.remedies import Change, Fixes, Hang, Outcome, Remedy, Status
from .analysis.waiting import is_deadlock
from .recording import find
from .run import Run
from .tracer import launch, supervisor
from .tracer.errors import IpctraceError

TRIES = 3
CONTROLS = 2  # runs more without any change
SOMETIMES = 10  # tries of a cure where a program hangs only now and then: it may complete by luck
HANGS = 30.0  # seconds that the first run may take to hang
SHORTEST, TIMES = 10.0, 5  # a trial may take so many seconds, or so many times what it took to hang
ROUNDS = 5  # changes of one kind that may be needed together: a flush here, then another there
_SETTINGS = ("buffering", "pipe_size", "start_method")  # of a recording, that change how a program behaves
RUNS = 12  # of one remedy, before it has cured anything
_LIBRARY = re.compile(r"/(?:lib|lib64)/(?:python|pypy)[\d.]+/")
_RANK: dict[Status, int] = {"damaged": 0, "unfinished": 1, "hangs": 2, "inapplicable": 3, "cured": 4}

Told = Callable[[str], None]  # what is being done just now


@dataclass
class Trial:
    """One run with a change, judged."""

    run: Run
    status: Status
    why: str = ""

    @property
    def calls(self) -> int:
        return calls(self.run)


def fix(
    program: list[str],
    *,
    module: str | None = None,
    python: str | None = None,
    trace: Run | None = None,
    tries: int = TRIES,
    duration: float = HANGS,
    limit: float | None = None,
    progress: Told | None = None,
) -> Fixes:
    """Record `program` until it hangs (or take `trace`, a run that did), and try what fits.

    The program's output goes to files in a scratch folder, so it is buffered as in a pipe or file; its input is
    ours where that is a file, else empty. `limit`: seconds that a trial may take, by default from the hang's own time.
    Raises IpctraceError where there is no program, or the trace's can't be run from here.
    """
    command = _command(trace) if trace else find(program, module, python).command
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ipctrace-fix-")))
        settings = {name: trace.facts["options"].get(name) for name in _SETTINGS} if trace else {}
        bench = Bench(
            command, scratch, duration, {name: value for name, value in settings.items() if value is not None}
        )
        if trace is None:
            if progress:
                progress("recording it until it hangs")
            trace = bench.record(Change("")).run
        return Search(bench, trace, tries, limit, progress or (lambda what: None)).fixes()


def _command(trace: Run) -> list[str]:
    """How the run of a trace was started. It has to be started again where it was."""
    command, folder = trace.facts["command"], trace.facts["cwd"]
    if not Path(folder).is_dir() or not Path.cwd().samefile(folder):
        raise IpctraceError(
            "the trace's program was started in another folder", f"that was {folder}", f"cd {folder}, and call it there"
        )
    if shutil.which(command[0]) is None:
        raise IpctraceError(
            f"the trace's program can't be started here: there is no {command[0]}", "it isn't there or isn't executable"
        )
    return list(command)


def calls(run: Run) -> int:
    """Reads and writes of a run that reached the system."""
    return int(run.events["kind"].isin(["read", "write"]).sum())


def hangs(run: Run) -> bool:
    """Whether a run came to a stand, or went round in circles to its end (workers that die as they start)."""
    found = any(each.rule < "IPC2" and each.certainty != "latent" for each in run.findings)
    return run.verdict.name in ("deadlock", "stalled") or (run.verdict.name == "interrupted" and found)


# ---- running


class Bench:
    """Where runs are made: each in a folder of its own, with the same input, its output in files."""

    def __init__(self, command: list[str], scratch: Path, limit: float, settings: Mapping[str, Any]) -> None:
        self.command, self.scratch, self.limit, self.count = command, scratch, limit, 0
        self.settings = settings  # of the recording, as of the run that hung
        self.printed: Counter[str] = Counter()  # by the run that hung

    def record(self, change: Change) -> Trial:
        """Run the program with a change. The trial isn't judged yet."""
        self.count += 1
        folder = self.scratch / str(self.count)
        folder.mkdir()
        first, *rest = self.command
        with ExitStack() as stack:
            streams = [
                stack.enter_context(_input()),
                *(stack.enter_context((folder / name).open("wb")) for name in ("out", "err")),
            ]
            stack.enter_context(launch.surroundings(change.environment))
            trace = supervisor.record(
                supervisor.Options(
                    command=[first, *change.interpreter, *rest],
                    out=folder / "trial.ipctrace",
                    duration=self.limit,
                    streams=tuple(stream.fileno() for stream in streams),  # type: ignore[arg-type]
                    substitutes=change.texts,
                    **{**self.settings, **change.options},
                ),
                is_deadlock,
            )
        run = Run(trace)
        if run.facts["ended"] == "interrupted":
            raise KeyboardInterrupt
        if self.count == 1:
            self.printed = _lines(folder)
        return Trial(run, "hangs", "" if self.count == 1 else self._missing(folder))

    def _missing(self, folder: Path) -> str:
        missing = self.printed - _lines(folder)
        return f"it no longer prints {next(iter(missing))!r}" if missing else ""


def _lines(folder: Path) -> Counter[str]:
    """The lines that a run printed, without what differs from run to run: numbers and addresses.

    What it complained of doesn't count where there is a traceback: a cure may well be that it isn't raised any more.
    """
    out, errors = ((folder / name).read_text("utf-8", "replace") for name in ("out", "err"))
    text = out if "Traceback (most recent call last)" in errors else f"{out}\n{errors}"
    return Counter(re.sub(r"0x[\da-f]+|\d+", "0", line).strip() for line in text.splitlines() if line.strip())


@contextmanager
def _input() -> Iterator[IO[bytes]]:
    """Our standard input from where it stands, opened anew, if it is a file: each run reads all of it. Else nothing: a
    terminal or a pipe can be read once."""
    path = "/dev/null"
    try:
        if stat.S_ISREG(os.fstat(0).st_mode) and Path("/proc/self/fd/0").exists():
            path = "/proc/self/fd/0"
    except OSError:  # closed
        pass
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
        if path != "/dev/null":
            stream.seek(os.lseek(0, 0, os.SEEK_CUR))
        yield stream


# ---- searching


@dataclass
class Search:
    """The remedies that fit a hang, tried one after the other."""

    bench: Bench
    hung: Run
    tries: int
    limit: float | None
    progress: Told
    seen: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.texts = texts(self.hung)
        self.hang = Hang(self.hung.analysis, self.texts)
        graph = self.hung.analysis.graph
        self.at = graph.formed if graph and graph.formed else self.hung.facts["stopped"] or self.hung.facts["duration"]
        self.bench.limit = self.limit or max(SHORTEST, TIMES * self.at / 1e9)
        self.before = {finding.rule for finding in self.hung.findings}

    def fixes(self) -> Fixes:
        """What became of it all."""
        verdict = self.hung.verdict
        made = Fixes(
            self.hung.facts["program"], verdict.name, verdict.rule, verdict.headline,
            self.at if hangs(self.hung) else None, calls(self.hung),
        )  # fmt: skip
        if not hangs(self.hung):
            if verdict.name == "interrupted":
                return replace(made, unlisted="it was still working when its time was over; --duration gives it more")
            latent = (each.message for each in self.hung.findings if each.certainty == "latent")
            return replace(made, rule=None, unlisted=next(latent, ""))
        fitting = remedies.fitting(self.hang)
        outcomes: list[Outcome] = []
        again = self.controls() if fitting else 0
        if again < CONTROLS:
            self.tries = max(self.tries, SOMETIMES)
        made = replace(made, hangs=1 + again, runs=1 + (CONTROLS if fitting else 0))
        for number, remedy in enumerate(fitting, 1):
            self.progress(f"trying {remedy.name} ({number} of {len(fitting)})")
            outcome = self.tried(remedy)
            if outcome.status != "inapplicable" or verdict.rule in remedy.rules:
                outcomes.append(outcome)
        cured = any(each.status == "cured" for each in outcomes)
        diffs = {
            each.remedy: diff(self.texts, each.change.texts, self.root())
            for each in outcomes
            if each.status == "cured" and each.change and each.change.texts
        }
        why = "" if cured else remedies.unlisted(self.hang)
        return replace(made, outcomes=tuple(outcomes), unlisted=why, diffs=diffs, root=str(self.root()))

    def controls(self) -> int:
        """How often the program hangs again as it is. What passes by luck without a change passes with any."""
        self.progress("recording it again as it is")
        return sum(self.judged(self.bench.record(Change(""))).status == "hangs" for _ in range(CONTROLS))

    def root(self) -> Path:
        """What paths of diffs begin at: the working directory, or the program's folder where that is elsewhere."""
        folder = Path(self.hung.facts["cwd"])
        files = [(folder / file).resolve() for file in self.texts]
        if all(file.is_relative_to(folder.resolve()) for file in files):
            return folder.resolve()
        # an installed program, or one called by its path
        return Path(os.path.commonpath([file.parent for file in files]))

    def tried(self, remedy: Remedy) -> Outcome:
        """One remedy: its proposals in turn, until one cures."""
        self.seen[remedy.name] = set()
        found = list(self.outcomes(remedy, self.hang, Change(""), 1))
        if not found:
            return Outcome(remedy.name, "inapplicable", remedy.otherwise)
        return next((each for each in found if each.status == "cured"), min(found, key=lambda each: _RANK[each.status]))

    def outcomes(self, remedy: Remedy, hang: Hang, before: Change, depth: int) -> Iterator[Outcome]:
        """Of each proposal for a hang, up to the first that cures it; and where none does, of those that hang again
        together with what is proposed for that. So what cures is no more than it takes."""
        further: list[tuple[Change, Trial]] = []
        for proposed in remedy.propose(hang):
            change = replace(
                proposed,
                what=f"{before.what}; {proposed.what}" if before.what else proposed.what,
                texts={**before.texts, **proposed.texts},
            )
            key = repr((sorted(change.texts.items()), change.interpreter, change.environment, change.options))
            if key in self.seen[remedy.name] or len(self.seen[remedy.name]) >= RUNS:
                continue
            self.seen[remedy.name].add(key)
            outcome, trial = self.proven(remedy, change)
            yield outcome
            if outcome.status == "cured":
                return
            if outcome.status == "hangs" and proposed.texts and depth < ROUNDS:
                further.append((change, trial))
        for change, trial in further:
            again = Hang(trial.run.analysis, {**hang.texts, **change.texts})
            for outcome in self.outcomes(remedy, again, change, depth + 1):
                yield outcome
                if outcome.status == "cured":
                    return

    def proven(self, remedy: Remedy, change: Change) -> tuple[Outcome, Trial]:
        """A change, tried until it fails or has held as often as is asked."""
        trials: list[Trial] = []
        for _ in range(self.tries):
            trials.append(self.judged(self.bench.record(change)))
            if trials[-1].status != "cured":
                break
        last = trials[-1]
        held = [each for each in trials if each.status == "cured"]
        why = f"it held {len(held)} times, then: {last.why}" if held and last.status != "cured" else last.why
        durations = [each.run.facts["duration"] for each in held]
        outcome = Outcome(
            remedy.name, last.status, why, change,
            int(statistics.median(durations)) if durations else None,
            int(statistics.median(each.calls for each in held)) if held else None,
            len(held), len(trials),
        )  # fmt: skip
        return outcome, last

    def judged(self, trial: Trial) -> Trial:
        """What became of a run: `trial.why` says so far what of its output is missing."""
        run, missing = trial.run, trial.why
        verdict, status = run.verdict, run.facts["status"]
        stuck = [each for each in run.findings if each.rule < "IPC2" and each.certainty != "latent"]
        lost = [
            each
            for each in run.findings
            if "IPC2" <= each.rule < "IPC3" and each.severity == "error" and each.rule not in self.before
        ]
        if hangs(run):
            return replace(trial, status="hangs", why=verdict.headline)
        if verdict.name == "interrupted":
            return replace(trial, status="unfinished", why=f"not over after {self.bench.limit:g} s")
        if verdict.name == "crashed" or status != 0:
            why = verdict.headline if verdict.name == "crashed" else f"it ends with status {status}"
            return replace(trial, status="damaged", why=why)
        if stuck or lost:
            return replace(trial, status="damaged", why=(stuck or lost)[0].message)
        left = run.processes[run.processes["traced"] & run.processes["ended"].isna()]
        if len(left):
            return replace(trial, status="damaged", why=f"{left['program'].iloc[0]} doesn't end with it")
        return replace(trial, status="damaged" if missing else "cured", why=missing)


def texts(run: Run) -> dict[str, str]:
    """The program's own source files, by their path in the trace: those that are UTF-8, and no library's."""
    found: dict[str, str] = {}
    folder = Path(run.facts["cwd"])
    main = next((Path(folder, word) for word in run.facts["command"][1:] if word.endswith((".py", ".pyw"))), folder)
    for file in run.sites["file"].unique().tolist():
        path = Path(folder, file)
        if not path.is_file() or (_LIBRARY.search(str(path)) and path.parent != main.parent):
            continue
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                found[file] = stream.read()
        except (OSError, UnicodeDecodeError):
            continue
    return found


def diff(before: Mapping[str, str], after: Mapping[str, str], root: Path) -> str:
    """The unified diff of changed files, which `patch -p1` or `git apply` applies in `root`."""
    parts = []
    for file, text in after.items():
        name = Path(os.path.relpath(Path(root, file).resolve(), root)).as_posix()
        lines = difflib.unified_diff(_split(before[file]), _split(text), f"a/{name}", f"b/{name}")
        parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
    return "".join(parts)


def _split(text: str) -> list[str]:
    """The lines with their ends: those of diff, and not every character that str.splitlines knows."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
