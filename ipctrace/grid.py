"""Programs recorded under every combination of settings: what `ipctrace matrix` does.

A folder `NAME.matrix/` holds a trace, a report and the output of each run, and `index.json`, which says what became of
each. It is written after every run, so a matrix that was interrupted goes on where it was.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from . import recording
from .analysis.comparison.grid import OWN, Cell, Combination, Outcome, outcome
from .analysis.comparison.grid import sentence as sentence_of
from .tracer import cells, interpreters
from .tracer.errors import IpctraceError
from .tracer.interpreters import Interpreter
from .tracer.signals import subreaper

INDEX, VERSION = "index.json", 1
BUFFERING: tuple[recording.Buffering, ...] = ("default", "block", "line", "none", "tty")
START_METHODS: tuple[recording.StartMethod, ...] = ("fork", "spawn", "forkserver")
LIMIT = 60.0  # seconds that a run may take unless said otherwise
_ANALYSIS = 300.0  # further seconds for a recorder to start, analyse and write its report


class Progress(NamedTuple):
    """How far a matrix is: runs that are over, all of them, and what the latest is and came to."""

    done: int
    total: int
    label: str
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Job:
    """One run: its combination, which repeat, its files' name in the folder, and the recorder's arguments."""

    combination: Combination
    repeat: int
    name: str
    arguments: tuple[str, ...]
    asked: dict[str, Any] = field(hash=False)  # what the index must say for the run to need no repetition

    @property
    def label(self) -> str:
        return self.combination.label()


class Matrix:
    """What became of each combination: `.cells` (analysis/comparison/grid.py), in `folder`."""

    def __init__(self, folder: Path, jobs: Sequence[Job], known: dict[str, dict[str, Any]]) -> None:
        self.folder, self.jobs = folder, list(jobs)
        self.known = known
        grouped: dict[Combination, list[dict[str, Any]]] = {}
        for job in jobs:
            grouped.setdefault(job.combination, []).append(known.get(job.name) or {"problem": "not run yet"})
        self.cells = [
            Cell(
                combination, tuple(_outcome(one["outcome"]) for one in runs if one.get("outcome")),
                next((one["problem"] for one in runs if one.get("problem")), ""),
            )
            for combination, runs in grouped.items()
        ]  # fmt: skip

    @property
    def sentences(self) -> list[str]:
        """Where each program hangs."""
        from .analysis.comparison.grid import programs

        return [sentence_of(own) for own in programs(self.cells).values()]

    def trace(self, job: Job) -> Path:
        """Where the trace of a run is."""
        return self.folder / f"{job.name}.ipctrace"

    def to_json(self) -> dict[str, Any]:
        """The grid as plain data (reports/comparison/matrix.py says what is in it)."""
        from .reports.comparison import matrix

        return matrix.to_json(self.cells)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML page, by default beside the folder, and return its path: the heat map with links to each run's
        own report, and the runs side by side. Raises IpctraceError where it can't be written, or nothing ran."""
        from . import load
        from .analysis.comparison import compare
        from .reports.comparison import heat
        from .run import write

        target = Path(path) if path else self.folder.with_name(self.folder.name + ".html")
        ran = [job for job in self.jobs if (self.known.get(job.name) or {}).get("outcome")]
        labels, runs, pages = [heat.label(job.combination, self.cells) for job in ran], [], {}
        for job in ran:
            run = load(self.trace(job))
            runs.append(run.analysis)
            if not (own := self.folder / f"{job.name}.html").exists():
                run.report(own)
        for job in reversed(ran):  # of repeats the first
            pages[job.combination] = os.path.relpath(self.folder / f"{job.name}.html", target.parent)
        compared = compare(runs, labels) if len(set(labels)) > 1 else None
        return write(target, heat.render(self.cells, pages, compared, " ".join(self.sentences)))

    def __repr__(self) -> str:
        return f"<ipctrace matrix: {'; '.join(self.sentences)}>"

    def _repr_html_(self) -> str:
        """The heat map, as a notebook shows it."""
        from .reports.comparison import heat

        return heat.fragment(self.cells, {})


def matrix(
    programs: Sequence[str | Sequence[str]],
    *,
    buffering: Sequence[str] = BUFFERING,
    python: Sequence[str] = (),
    start_method: Sequence[str] = (),
    pipe_size: Sequence[int | str] = (),
    repeat: int = 1,
    jobs: int = 1,
    duration: float = LIMIT,
    out: str | Path | None = None,
    fresh: bool = False,
    reports: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Matrix:
    """Record each program under every combination of settings; what was recorded before and is still asked for is kept.

    `programs`: a word each, with its arguments, quoted as for a shell (`"pipes.py"`, `"server.py --port 0"`,
    `"-m module x"`), or a list of words. `python`: interpreters by path, name or version, or `all`; none: the one that
    runs ipctrace. `jobs` runs go on at once. A run may take `duration` seconds. `fresh`: begin anew.
    `reports`: write each run's own as it ends, which else `Matrix.report` does.
    Raises IpctraceError for a program or an interpreter that isn't there; what goes wrong in one run is said of that
    one. KeyboardInterrupt ends what is running, and leaves a folder that the same call goes on with.
    """
    planned = plan(programs, buffering, python, start_method, pipe_size, repeat, duration)
    folder = Path(out) if out else Path(default_name(programs))
    known = _open(folder, fresh)
    kept = {job.name: known[job.name] for job in planned if _is_done(known.get(job.name), job, folder)}
    missing = [job for job in planned if job.name not in kept]
    stop, done = threading.Event(), len(kept)
    # what another call recorded, under settings that this one doesn't name, stays
    known = {name: one for name, one in known.items() if name not in {job.name for job in missing}}
    with subreaper(), cells.Interrupt(), ThreadPoolExecutor(max(1, jobs)) as pool:
        running: dict[Future[dict[str, Any]], Job] = {}
        try:
            for job in missing:
                running[pool.submit(_record, job, folder, duration, reports, stop)] = job
            if progress:
                progress(Progress(done, len(planned), "", None))
            for future in as_completed(running):
                job = running[future]
                known[job.name] = future.result()
                _save(folder, known)
                done += 1
                if progress:
                    what = known[job.name]["outcome"]
                    progress(Progress(done, len(planned), job.label, what and _outcome(what)))
        finally:
            stop.set()  # ends what is running, if we were interrupted
            for future in running:
                future.cancel()
    return Matrix(folder, planned, known)


def plan(
    programs: Sequence[str | Sequence[str]], buffering: Sequence[str], python: Sequence[str],
    start_method: Sequence[str], pipe_size: Sequence[int | str], repeat: int, duration: float,
) -> list[Job]:  # fmt: skip
    """Every run that is asked for, in order. Raises IpctraceError as `matrix` does."""
    if not programs:
        raise IpctraceError("there is no program to record", "each PROGRAM is one word", "ipctrace matrix deadlock.py")
    _known_values("--buffering", buffering, BUFFERING)
    _known_values("--start-method", start_method, (OWN, *START_METHODS))
    found, made = _interpreters(python), []
    names = _names(found)
    for position, program in enumerate(programs):
        what = _Program(program)
        own: list[Interpreter | None] = [each for each in found if what.is_run_by(each)]
        for each, mode, method, pipe, number in itertools.product(
            own or [None], dict.fromkeys(buffering), dict.fromkeys(start_method or [OWN]),
            dict.fromkeys(map(str, pipe_size or [OWN])), range(1, repeat + 1),
        ):  # fmt: skip
            combination = Combination(what.title, names[each] if each else "", mode, method, pipe)
            arguments = _arguments(what, each, mode, method, pipe, duration)
            asked = {"arguments": arguments, "program": what.digest(), "folder": str(Path.cwd())}
            name = _file_name(position if len(programs) > 1 else None, what.name, combination, number)
            made.append(Job(combination, number, name, tuple(arguments), asked))
    return made


class _Program:
    """What stands for one program: `words`, or `module` and its arguments."""

    def __init__(self, program: str | Sequence[str]) -> None:
        words = shlex.split(program) if isinstance(program, str) else list(program)
        self.module = words[1] if words[:1] == ["-m"] and len(words) > 1 else None
        self.words = words[2:] if self.module else words
        self.found = recording.find(self.words, self.module)
        self.name = self.found.name
        head = [f"-m {self.module}"] if self.module else [Path(self.words[0]).name]
        self.title = " ".join([*head, *map(shlex.quote, self.words if self.module else self.words[1:])])

    def is_run_by(self, python: Interpreter) -> bool:
        """Whether an interpreter of ours runs it, or it runs by itself."""
        return recording.find(self.words, self.module, python.path).command[0] == python.path

    def digest(self) -> str | None:
        """What tells a program that was changed since: its file's contents."""
        for word in self.found.command[:2]:
            path = Path(word)
            if path.suffix in recording.PYTHON and path.is_file():
                return hashlib.sha256(path.read_bytes()).hexdigest()
        return None


def _arguments(
    program: _Program, python: Interpreter | None, buffering: str, start_method: str, pipe_size: str, duration: float
) -> list[str]:
    """What the recorder of one run is called with, but for where its files go."""
    options = ["--quiet", "--duration", f"{duration:g}", "--buffering", buffering]
    options += ["--python", python.path] if python else []
    options += ["--start-method", start_method] if start_method != OWN else []
    options += ["--pipe-size", str(recording.pipe_size(pipe_size))] if pipe_size != OWN else []
    return [*options, *(["-m", program.module] if program.module else ["--"]), *program.words]


def _interpreters(words: Sequence[str]) -> list[Interpreter]:
    if "all" in words:
        return interpreters.every()
    return list(dict.fromkeys(interpreters.find(word) for word in words or [sys.executable]))


def _names(found: Sequence[Interpreter]) -> dict[Interpreter, str]:
    """What each interpreter is called; of two that would have one name each says where it is."""
    short = [each.name for each in found]
    return {each: each.name if short.count(each.name) == 1 else f"{each.name} ({each.path})" for each in found}


def _known_values(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for value in given:
        if value not in known:
            raise IpctraceError(f"{value!r} is no value for {option}", f"it takes {', '.join(known)}")


def _file_name(position: int | None, program: str, combination: Combination, repeat: int) -> str:
    parts = [program if position is None else f"{position + 1}-{program}", combination.python, combination.buffering]
    parts += [part for part in (combination.start_method, combination.pipe_size) if part != OWN]
    told = "-".join(part.replace(" ", "") for part in parts if part)
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in f"{told}-{repeat}")


def default_name(programs: Sequence[str | Sequence[str]]) -> str:
    """The folder of a matrix, by its programs: `deadlock.matrix`, `deadlock+pipes.matrix`."""
    names = [_Program(program).name for program in programs]
    return "+".join(dict.fromkeys(names[:4])) + ("+more" if len(names) > 4 else "") + ".matrix"


def _open(folder: Path, fresh: bool) -> dict[str, dict[str, Any]]:
    """What is known of the runs in a folder, which is made if it isn't there. Raises IpctraceError for any other."""
    index = folder / INDEX
    known: dict[str, dict[str, Any]] | None = None
    if index.is_file():
        try:
            told = json.loads(index.read_text("utf-8"))
            known = told["runs"] if told["version"] == VERSION else {}
        except (OSError, ValueError, KeyError, TypeError):
            known = None
    if folder.exists() and known is None and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise IpctraceError(f"{folder} is already there", "it is no matrix of ours, so nothing is written to it",
                            "ipctrace matrix --out OTHER …")  # fmt: skip
    if fresh and known is not None:
        shutil.rmtree(folder, ignore_errors=True)
        known = None
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise IpctraceError(
            f"{folder} can't be made", error.strerror or str(error), "ipctrace matrix --out FOLDER …"
        ) from error
    _save(folder, known or {})
    return known or {}


def _save(folder: Path, known: dict[str, dict[str, Any]]) -> None:
    """Write the index, whole or not at all."""
    unfinished = folder / f"{INDEX}.new"
    try:
        text = json.dumps({"version": VERSION, "runs": known}, indent=1, ensure_ascii=False)
        unfinished.write_text(text + "\n", "utf-8", errors="backslashreplace")
        unfinished.replace(folder / INDEX)
    except OSError as error:
        raise IpctraceError(f"{folder / INDEX} can't be written", error.strerror or str(error)) from error


def _is_done(known: dict[str, Any] | None, job: Job, folder: Path) -> bool:
    return bool(
        known and known["outcome"] and known["asked"] == job.asked and (folder / f"{job.name}.ipctrace").is_dir()
    )


def _record(job: Job, folder: Path, duration: float, report: bool, stop: threading.Event) -> dict[str, Any]:
    """Record one run: what the index says of it. Whatever goes wrong is said there, and never raised."""
    from . import load

    said: dict[str, Any] = {
        "combination": job.combination._asdict(),
        "asked": job.asked,
        "outcome": None,
        "problem": "",
    }
    trace = folder / f"{job.name}.ipctrace"
    if stop.is_set():
        return said | {"problem": "not run yet"}
    try:
        page = folder / f"{job.name}.html"
        page.unlink(missing_ok=True)  # an earlier run's
        files = ["--out", str(trace), *(["--report", str(page)] if report else ["--no-report"])]
        status = cells.run(["record", *files, *job.arguments], folder / job.name, duration + _ANALYSIS, stop)
        if stop.is_set():
            return said | {"problem": "interrupted"}
        if status is None:
            return said | {"problem": "the recorder did not come to an end"}
        told = (folder / f"{job.name}.err").read_text("utf-8", "backslashreplace").strip().splitlines()
        mistake = [line for line in told if line.startswith("ipctrace: ")]
        if status == 2 and mistake:
            return said | {"problem": mistake[-1].removeprefix("ipctrace: ")}
        return said | {"outcome": asdict(outcome(load(trace).analysis))}
    except IpctraceError as error:
        return said | {"problem": error.what}
    except Exception as error:  # one run that can't be understood must not stop the others
        return said | {"problem": f"{type(error).__name__}: {error}"}


def _outcome(known: dict[str, Any]) -> Outcome:
    return Outcome(**{**known, "findings": tuple(known["findings"])})
