"""The chapter's programs about processes and signals: what is recorded of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ipctrace import chapter
from tests.interpreters import EACH
from tests.recorded import CHAPTER, record
from tests.target import clean_environment

PROGRAMS = ("shell.py", "subprocesses.py", "environment.py", "signals.py", "spawned.py")


@pytest.fixture(scope="module", params=PROGRAMS)
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return request.param, record(tmp_path_factory.mktemp("recorded"), request.param)


@pytest.fixture
def traced(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The tables of a program's trace, and its events with the program, source line's text and payload of each."""
    tables = record(tmp_path, request.param).run.trace.tables
    events = tables["events"].merge(tables["sites"], on="site", how="left")
    events["program"] = tables["processes"]["program"][events["process"]].to_numpy()
    events = events.merge(tables["payloads"], on="event", how="left")
    lines = {name: (CHAPTER / name).read_text().splitlines() for name in PROGRAMS}
    events["text"] = [
        lines[Path(file).name][int(line) - 1].strip() if isinstance(file, str) and Path(file).name in lines else ""
        for file, line in zip(events["file"], events["line"], strict=True)
    ]
    return tables, events


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("traced", [name], indirect=True)


@pytest.mark.parametrize("python", EACH)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.sample(8)
def test_every_program_ends_by_itself_under_every_interpreter(program: str, python: str) -> None:
    done = subprocess.run(
        [python, str(chapter.FOLDER / program)], env=clean_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.sample(2)
def test_its_verdict_is_completed(recording: Any) -> None:
    name, done = recording
    assert done.status == 0, name
    assert b"\ncompleted in" in done.errors, name
    processes = done.run.trace.tables["processes"]
    assert processes["status"].notna().all(), "the end of each is known"
    assert processes["lost"].sum() == 0


@of("shell.py")
def test_shell(traced: tuple[dict[str, pd.DataFrame], pd.DataFrame]) -> None:
    tables, events = traced
    systems = events[events["op"] == "os.system"]
    assert list(zip(systems["data"], systems["extra"], strict=True)) == [
        (b"true", 0), (b"exit 3", 3 << 8), (b"kill -TERM $$", 15),
    ]  # fmt: skip
    assert set(systems["text"]) == {'print(f"{command}: {meaning(os.system(command))}")'}
    (read,) = events[(events["op"] == "raw.read") & (events["result"] > 0)].itertuples()
    assert (read.data, read.text) == (b"SPAM\n", 'print(f"read {output.read()!r}")')
    (wrote,) = events[(events["op"] == "stream.write") & (events["text"] == "words.write(DESCRIPTION)")].itertuples()
    assert (wrote.data, wrote.pending) == (b"three words only\n", 17)
    shells = tables["processes"][tables["processes"]["parent"] == 0]
    # os.system doesn't say which process it started: one that ends at once may never be seen
    assert 3 <= len(shells) <= 6
    assert not shells["traced"].any()


@of("subprocesses.py")
def test_subprocesses(traced: tuple[dict[str, pd.DataFrame], pd.DataFrame]) -> None:
    tables, events = traced
    asked = events[(events["kind"] == "write") & (events["text"] == "process.stdin.flush()")]
    answered = events[(events["op"] == "raw.read") & events["text"].str.startswith("return process.stdout")]
    assert (list(asked["data"]), list(answered["data"])) == ([b"spam\n", b"eggs\n"], [b"SPAM\n", b"EGGS\n"])
    (child,) = tables["processes"].query("traced and parent == 0").itertuples()
    read = events[(events["process"] == child.process) & (events["kind"] == "read") & (events["result"] > 0)]
    assert set(read["channel"]) == set(asked["channel"]), "the child's standard input is that pipe"
    moved = events[events["text"].str.startswith("print(talker.communicate")]
    assert moved[moved["kind"] == "write"]["result"].sum() == 100_000
    assert moved[moved["kind"] == "read"]["result"].sum() == 100_000 + len("complaint\n")


@of("environment.py")
def test_environment(traced: tuple[dict[str, pd.DataFrame], pd.DataFrame]) -> None:
    tables, events = traced
    given = tables["environment"].query("name in ('SPAM', 'EGGS') and process != 0")
    assert list(zip(given["process"], given["name"], given["value"], strict=True)) == [
        (1, "SPAM", "inherited"), (2, "EGGS", "the only one"), (3, "SPAM", "inherited"), (3, "EGGS", "one more"),
    ]  # fmt: skip
    changed = events[events["kind"] == "environment"]
    assert list(zip(changed["process"], changed["op"], changed["data"], strict=True)) == [
        (0, "os.putenv", b"SPAM"), (1, "os.putenv", b"SPAM"), (2, "os.putenv", b"SPAM"), (3, "os.putenv", b"SPAM"),
        (0, "os.unsetenv", b"SPAM"), (4, "os.putenv", b"SPAM"),
    ]  # fmt: skip


@of("signals.py")
def test_signals(traced: tuple[dict[str, pd.DataFrame], pd.DataFrame]) -> None:
    tables, events = traced
    child = tables["processes"].iloc[1]
    sent = events[events["kind"] == "kill"]
    assert [(e.process, e.size, e.extra) for e in sent.itertuples()] == [
        (0, child["pid"], 10), (1, tables["processes"].iloc[0]["pid"], 12), (0, child["pid"], 15),
    ]  # fmt: skip
    (waited,) = events[events["op"] == "signal.sigwait"].itertuples()
    assert (waited.process, waited.size, waited.result, waited.wait) == (1, 10, 10, "signal")
    (paused,) = events[events["op"] == "signal.pause"].itertuples()
    assert (paused.process, pd.isna(paused.exit)) == (1, True)
    handled = events[events["op"] == "signal handler"]
    assert list(handled["size"]) == [12, 14]
    (read,) = events[events["op"] == "os.read"].itertuples()
    assert (list(handled["text"])[1], handled["parent"].iloc[1]) == (read.text, read.event), "it struck in the read"
    assert read.error == -1
    assert child["status"] == -15


@of("spawned.py")
def test_spawned(traced: tuple[dict[str, pd.DataFrame], pd.DataFrame]) -> None:
    tables, events = traced
    spawned, forked, shell = tables["processes"].query("parent == 0").itertuples()
    assert (spawned.how, forked.how, shell.traced) == ("spawn", "exec", True)
    assert list(events[events["kind"] == "fork"]["result"]) == [spawned.pid, forked.pid, shell.pid]
    for child, data in ((spawned, b"spam"), (forked, b"eggs")):
        (read,) = events[(events["process"] == child.process) & (events["op"] == "os.read")].itertuples()
        (write,) = events[(events["process"] == 0) & (events["data"] == data)].itertuples()
        assert (read.data, read.fd, read.channel) == (data, 0, write.channel)
    images = tables["environment"].groupby("process")["time"].nunique()
    assert images[forked.process] == 1, "a fork is given nothing, the program in it is"
