"""Remedies for processes, threads, pools and event loops: what a fork lost, who waits for itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..events import number
from .ends import branch_of
from .hang import Change, Hang, Place, called
from .source import importing
from .streams import maker

_METHODS = ("spawn", "forkserver", "fork")
_POOLS = frozenset(["ThreadPoolExecutor", "ProcessPoolExecutor", "Pool", "ThreadPool"])


def start_method(hang: Hang) -> Iterator[Change]:
    """Another start method for the processes of multiprocessing."""
    for file, source in hang.sources.items():
        for call in source.calls(source.tree):
            if (
                called(call) in ("get_context", "set_start_method")
                and call.args
                and isinstance(call.args[0], ast.Constant)
            ):
                for method in _METHODS:
                    if method != call.args[0].value:
                        text = source.replaced(call.args[0], f'"{method}"')
                        yield Change(f'{called(call)}("{method}") at line {call.lineno}', {file: text})
                return
    for method in _METHODS[:2]:
        what = f'multiprocessing.set_start_method("{method}") before the first process is started'
        yield Change(what, options={"start_method": method})


def anew(hang: Hang) -> Iterator[Change]:
    """The lock, pool or executor that the child of a fork got as a dead copy, made anew there."""
    trace = hang.analysis.trace
    for finding in hang.of("IPC115", "IPC116"):
        place = hang.place(finding.sites[0]) if finding.sites else None
        if place is None or not finding.threads:
            continue
        process, source = int(trace.threads["process"].iloc[finding.threads[0]]), place.source
        made = _made(hang, finding.channels[:1], place)
        names = source.targets(made) if made is not None else []
        if made is None or len(names) != 1:
            continue
        branch = branch_of(hang, process)
        statement = branch[1] if branch and branch[0].file == place.file else place.statement
        line = f"{names[0]} = {source.segment(made)}"
        scope, home = source.scope(statement), source.scope(made)
        lines = [line] if scope is home else [f"global {names[0]}", line] if home is None else []
        if lines and names[0].isidentifier():
            yield from place.change(
                f"{names[0]} made anew before line {statement.lineno}", source.before(statement, *lines)
            )


def _made(hang: Hang, channels: tuple[int, ...], place: Place) -> ast.Call | None:
    """What made the lock, or what the call at the place is made on."""
    table = hang.analysis.trace.channels
    for channel in channels:
        original = number(table["copy_of"].iloc[channel])
        found = hang.place(number(table["site"].iloc[channel if original is None else original]))
        if found and found.file == place.file and found.call and place.source.targets(found.call):
            return found.call
    for call in place.source.calls(place.statement):
        if isinstance(call.func, ast.Attribute) and (made := maker(place.source, call.func.value, call)):
            return made
    return None


def main_guard(hang: Hang) -> Iterator[Change]:
    """What starts processes, put under `if __name__ == "__main__"`: the main module is run anew in each of them."""
    for finding in hang.of("IPC118"):
        for place in hang.places(finding.sites):
            source = place.source
            top = next(each for each in source.above(place.node) if source.parents.get(each) is source.tree)
            if not isinstance(top, ast.stmt) or isinstance(top, ast.FunctionDef | ast.ClassDef):
                continue
            if isinstance(top, ast.If) and source.segment(top.test).startswith("__name__"):
                continue
            begin, end = source.starts[top.lineno - 1], source.span(source.tree.body[-1])[1]
            lines = source.data[begin:end].decode().split(source.newline)
            if any(
                isinstance(each, ast.Constant | ast.JoinedStr) and each.lineno != each.end_lineno
                for each in ast.walk(top)
            ):
                continue  # a string over several lines would be indented too
            new = source.newline.join(f"    {line}" if line.strip() else line for line in lines)
            text = source.spliced((begin, end, f'if __name__ == "__main__":{source.newline}{new}'))
            yield from place.change(f'line {top.lineno} and what follows under if __name__ == "__main__"', text)


def await_it(hang: Hang) -> Iterator[Change]:
    """What an event loop waits for synchronously, awaited."""
    for finding in hang.of("IPC120"):
        for place in hang.places(finding.sites[:1]):
            call, source = place.call, place.source
            if call is None or called(call) != "result" or not isinstance(call.func, ast.Attribute):
                continue
            if not isinstance(source.scope(call), ast.AsyncFunctionDef):
                continue
            future = call.func.value
            if isinstance(future, ast.Call) and called(future) == "run_coroutine_threadsafe" and future.args:
                text = source.replaced(call, f"(await {source.segment(future.args[0])})")
            else:
                text = importing(
                    source.replaced(call, f"(await asyncio.wrap_future({source.segment(future)}))"), "asyncio"
                )
            yield from place.change(f"await at {place.at()}", text)


def larger_pool(hang: Hang) -> Iterator[Change]:
    """One worker more. It moves the limit and doesn't take it away."""
    for finding in hang.of("IPC121"):
        for place in hang.places(finding.sites):
            for call in place.source.calls(place.source.tree):
                if called(call) not in _POOLS:
                    continue
                given = [each.value for each in call.keywords if each.arg in ("max_workers", "processes")] or call.args[
                    :1
                ]
                if given:
                    text = place.source.replaced(given[0], f"({place.source.segment(given[0])}) + 1")
                    yield from place.change(f"one worker more in the pool of line {call.lineno}", text)


def daemon(hang: Hang) -> Iterator[Change]:
    """A thread that the interpreter doesn't wait for at its end."""
    trace = hang.analysis.trace
    events = trace.events
    for finding in hang.of("IPC109"):
        if not any(events["op"].iloc[event] == "threading.shutdown" for event in finding.events):
            continue
        for thread in finding.threads:
            row = trace.threads.iloc[thread]
            begun = (events["enter"] <= row["started"]) & (events["exit"] >= row["started"])  # start() waits for that
            started = events[(events["op"] == "Thread.start") & (events["process"] == row["process"]) & begun]
            for event in started["event"].tolist():
                place = hang.event_place(event)
                call = place.call if place else None
                if place is None or call is None or not isinstance(call.func, ast.Attribute):
                    continue
                owner = call.func.value
                made = owner if isinstance(owner, ast.Call) else maker(place.source, owner, call)
                if made is not None:
                    yield from place.change(
                        f"daemon=True at line {made.lineno}", place.source.argument(made, "daemon", "True")
                    )
