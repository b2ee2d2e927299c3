"""`ipctrace compare`: runs side by side."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import browse, ink, load, say
from ..tracer.errors import IpctraceError

if TYPE_CHECKING:
    from ..analysis.comparison import Comparison

FAILED = 1
PAGE = Path("compare.html")
USAGE = "ipctrace compare A.ipctrace B.ipctrace --fail-on verdict,findings,slowdown:1.5"


def compare(
    traces: Annotated[
        list[str],
        typer.Argument(metavar="TRACE…", help="Folders that `record` made; as LABEL=TRACE, one label for all repeats."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, and write no report.")] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where the report goes. [default: compare.html]")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="End with status 1 where, against the first, a verdict differs (verdict), a finding came (findings), "
            "or a run takes over so many times as long (slowdown:1.5).",
        ),
    ] = None,
    level: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="How probable any false claim about time may be.")
    ] = 0.01,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> int:
    """Lay runs side by side: where they part, at which line, and whether one takes longer.

    The first is what the others are compared with. They are aligned by role and message, so it doesn't matter when,
    where, and under which interpreter they were recorded. Several traces of one label are repeats, which tell a
    difference in time from noise: `ipctrace compare old=a1.ipctrace old=a2.ipctrace new=b1.ipctrace new=b2.ipctrace`.
    """
    wanted = _conditions(fail_on)
    labels, paths = _labelled(traces)
    from .. import comparison

    made = comparison.compare([load(path) for path in paths], labels, level)
    if as_json:
        print(json.dumps(made.to_json(), indent=2, allow_nan=False))
    page = made.report(out or PAGE) if out or not as_json else None
    if not as_json:
        from ..reports.comparison import terminal

        say(terminal.lines(made.result, ink(sys.stdout), [("look", str(page))]))
    if page and open_:
        browse(page)
    failed = [words for name, bound in wanted.items() for words in _fails(made.result, name, bound)]
    say((f"ipctrace: {words}" for words in failed), sys.stderr)
    return FAILED if failed else 0


def _labelled(traces: list[str]) -> tuple[list[str], list[Path]]:
    """The label and the path of each; without a label it is called as its folder, with as much of the path before it
    as tells it from the others."""
    told = [("", each) if "=" not in each or Path(each).exists() else each.split("=", 1) for each in traces]
    paths = [Path(path) for _, path in told]
    names = [path.name.removesuffix(".ipctrace") for path in paths]
    labels = [
        label or (name if names.count(name) == 1 else str(path))
        for (label, _), name, path in zip(told, names, paths, strict=True)
    ]
    if len(set(labels)) < 2:
        raise IpctraceError(
            "there are no two settings to compare",
            "two traces at least are laid side by side"
            if len(traces) < 2
            else "all traces have one label: they are repeats of one setting",
            "ipctrace compare before=A.ipctrace after=B.ipctrace",
        )
    return labels, paths


def _conditions(text: str | None) -> dict[str, float]:
    """What `--fail-on` names: verdict, findings, slowdown and its bound."""
    found: dict[str, float] = {}
    for part in (text or "").split(",") if text is not None else ():
        name, _, bound = part.strip().partition(":")
        try:
            found[name] = float(bound) if name == "slowdown" else 0
        except ValueError:
            name = ""
        if (
            name not in ("verdict", "findings", "slowdown")
            or (bound and name != "slowdown")
            or (name == "slowdown" and not found[name] > 0)
        ):
            raise IpctraceError(f"--fail-on doesn't know {part!r}", "it takes verdict, findings, slowdown:1.5", USAGE)
    return found


def _fails(result: Comparison, name: str, bound: float) -> list[str]:
    """Why the comparison fails on a condition: a sentence for each setting that does."""
    from ..analysis.comparison import gates

    if name != "slowdown":
        return gates.verdicts(result) if name == "verdict" else gates.findings(result)
    if needed := gates.repeats_missing(result):
        raise IpctraceError(
            f"a slowdown over {bound:g} can't be judged from so few runs",
            f"it takes {needed} runs of each setting to tell it from noise at this level",
            "ipctrace compare old=a1.ipctrace old=a2.ipctrace … new=b1.ipctrace new=b2.ipctrace …",
        )
    return gates.slowdowns(result, bound)
