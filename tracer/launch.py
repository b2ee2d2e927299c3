"""Where a run is recorded to, and the environment that takes the runtime along into the program and its children."""

from __future__ import annotations

import json
import marshal
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import runtime
from .errors import IpctraceError
from .replay.schedule import Schedule
from .runtime import inject

_RUNTIME = Path(runtime.__file__).parent
_INJECTED = "inject.py"  # the one file of the runtime that becomes sitecustomize.py
FACTS_FILE = "run.json"


def prepare_output(out: Path) -> None:
    """Make the trace's folder, for its owner only; an earlier trace there is replaced, nothing else ever is.

    Raises IpctraceError where that isn't possible.
    """
    if out.exists() or out.is_symlink():
        if not is_trace(out):
            what = "a folder, and not a trace" if out.is_dir() else "a file"
            why = f"it is {what}, so it isn't overwritten"
            raise IpctraceError(f"{out} is already there", why, "ipctrace record --out OTHER …")
        shutil.rmtree(out, ignore_errors=True)
    try:
        out.mkdir(mode=0o700)
    except FileNotFoundError as error:
        if out.parent.is_dir():  # /proc says so where nothing can be made
            what, hint = "folders can't be made there", "ipctrace record --out FOLDER …, where you may write"
        else:
            what, hint = f"there is no folder {out.parent}", f"mkdir -p {out.parent}"
        raise IpctraceError(f"{out} can't be made", what, hint) from error
    except OSError as error:
        why = f"{out.parent}: {error.strerror}"
        raise IpctraceError(f"{out} can't be made", why, "ipctrace record --out FOLDER …") from error


def is_trace(folder: Path) -> bool:
    """Whether a folder is a trace of ours: run.json says so."""
    try:
        facts = json.loads((folder / FACTS_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and "schema" in facts and "clock" in facts


def prepare_live(
    out: Path, schedule: Schedule | None = None, substitutes: Mapping[str, str] | None = None,
) -> Path:
    """Make the folder that the traced processes write to, with the runtime in it; returns its absolute path.

    With a `schedule` it lies there too, and what loads the runtime is held by it. `substitutes`: texts that are to run
    in the place of files, by path (runtime/remedies.py).

    The runtime is copied so that any interpreter in any environment can load it; this interpreter's bytecode comes
    with it, others compile their own there. Raises IpctraceError for a path that PYTHONPATH can't hold.
    """
    live = out.absolute() / "live"
    if os.pathsep in str(live):
        raise IpctraceError(
            f"{out} can't be recorded to", f"its path has a {os.pathsep!r}, which PYTHONPATH can't hold",
            "ipctrace record --out FOLDER …",
        )  # fmt: skip
    package = live / "inject" / "_ipctrace"
    try:
        live.mkdir(mode=0o700)
        live.chmod(0o1700)  # sticky: who is let in later (runtime/processes.py) can't replace the runtime
        package.mkdir(parents=True)
        for source in sorted(_RUNTIME.glob("*.py")):
            target = package.parent / "sitecustomize.py" if source.name == _INJECTED else package / source.name
            shutil.copyfile(source, target)
        inject.bundle(str(package.parent))
        if schedule is not None:
            schedule.write(live)
        if substitutes:
            texts = {os.path.realpath(path): _bytes(text) for path, text in substitutes.items()}
            (package / runtime.SUBSTITUTES).write_bytes(marshal.dumps(texts, 2))  # a form that every version reads
        for path in [package.parent, *package.parent.rglob("*")]:  # whatever the umask is
            path.chmod(0o755 if path.is_dir() else 0o644)
    except OSError as error:
        shutil.rmtree(live, ignore_errors=True)
        with suppress(OSError):
            out.rmdir()  # nothing has been recorded
        why = error.strerror or str(error)
        raise IpctraceError(f"{out} can't be recorded to", why, "ipctrace record --out FOLDER …") from error
    return live


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def remove_live(live: Path) -> None:
    """Remove the folder that the traced processes wrote to: what they wrote is in the trace, the owner's alone."""
    shutil.rmtree(live, ignore_errors=True)
    with suppress(OSError, AttributeError):  # nobody was let in; no access lists on this system
        os.removexattr(live.parent, "system.posix_acl_access")
        live.parent.chmod(0o700)


def environment(
    live: Path, payload: str, buffering: str, before: Mapping[str, str] | None = None, **settings: Any
) -> dict[str, str]:
    """The environment of a traced program: that of `before` (None: ours), with the runtime first on PYTHONPATH and the
    run's variable.

    `payload` is the number of payload bytes to keep in a record, or "full". Streams on pseudo-terminals are buffered as
    Python itself does that, as are those of `default`. `settings` are the runtime's (runtime/options.py); what is None
    or False isn't set.
    """
    given = dict(os.environ if before is None else before)
    inject, path = str(live / "inject"), given.get("PYTHONPATH")
    words = ["default" if buffering == "tty" else buffering]
    words += [f"{name}={int(value) if value is True else value}" for name, value in settings.items() if value]
    return given | {
        "PYTHONPATH": inject + os.pathsep + path if path else inject,
        "IPCTRACE_RUN": f"{payload}:{','.join(words)}:{live}",
    }


@contextmanager
def written_to(output: Path | None) -> Iterator[tuple[int, int, int] | None]:
    """Standard streams for a program that has nothing to read, and whose output and error output go to the end of a
    file; None: it has our own. Raises OSError."""
    if output is None:
        yield None
        return
    with Path(os.devnull).open("rb") as nothing, output.open("ab") as file:
        yield nothing.fileno(), file.fileno(), file.fileno()


@contextmanager
def surroundings(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Our environment, which a recorded program is given, with these variables set (None: not there), for a while."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        _set(variables)
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
