"""Running a program with the in-target runtime in it, without a supervisor: for tests of the runtime itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import ipctrace.tracer.runtime

BUFFERING_VARIABLES = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")


def clean_environment(**more: str) -> dict[str, str]:
    """This environment without what hides buffering bugs."""
    return {name: value for name, value in os.environ.items() if name not in BUFFERING_VARIABLES} | more


def inject(live: Path) -> Path:
    """Lay the runtime into the folder of a run, as the recorder does. Returns the folder for PYTHONPATH."""
    folder = live / "inject"
    package = folder / "_ipctrace"
    package.mkdir(parents=True)
    for source in Path(ipctrace.tracer.runtime.__file__).parent.glob("*.py"):
        shutil.copy(source, folder / "sitecustomize.py" if source.name == "inject.py" else package / source.name)
    return folder


def traced_environment(live: Path, environment: Mapping[str, str], payload: str = "72", buffering: str = "default") -> dict[str, str]:
    """An environment in which every Python records itself into `live`."""
    folder = live / "inject"
    if not folder.exists():
        inject(live)
    path = str(folder) + (os.pathsep + environment["PYTHONPATH"] if "PYTHONPATH" in environment else "")
    return {**environment, "IPCTRACE_RUN": f"{payload}:{buffering}:{live}", "PYTHONPATH": path}


def run(
    program: str | Path, *arguments: str, live: Path | None, python: str = sys.executable, options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None, payload: str = "72", buffering: str = "default", **more: object,
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    """Run a program's text (or file) to its end, recorded into `live` or, with None, untraced; output as bytes."""
    given = clean_environment() if environment is None else dict(environment)
    if live is not None:
        given = traced_environment(live, given, payload, buffering)
    command = [str(program)] if isinstance(program, Path) else ["-c", program]
    settings: dict[str, object] = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60, **more}
    return subprocess.run([python, *options, *command, *arguments], env=given, **settings)  # type: ignore[call-overload,no-any-return]
