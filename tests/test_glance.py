"""A first look at a large trace: the same calls as the whole of it has, and nothing of pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ipctrace.reports.ink import Ink, columns
from ipctrace.reports.playback.player import Player
from ipctrace.reports.playback.preview import Preview
from ipctrace.reports.playback.scene import Room
from ipctrace.tracer import store
from ipctrace.tracer.glance import NEVER, Glance, glance
from ipctrace.tracer.schema import Trace

from tests.bench.analysis import make
from tests.builders import deadlock_trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make(3000)


@pytest.fixture(scope="module")
def seen(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Glance:
    folder = tmp_path_factory.mktemp("traces") / "some.ipctrace"
    store.save(trace, folder)
    found = glance(folder, 1000)
    assert found
    return found


def test_it_sees_the_same_calls(trace: Trace, seen: Glance) -> None:
    events = trace.events
    for name, missing in (("thread", 0), ("enter", 0), ("exit", NEVER), ("parent", -1)):
        assert np.array_equal(getattr(seen, name), events[name].to_numpy("int64", na_value=missing))
    assert [seen.ops[code] for code in seen.op] == events["op"].tolist()
    assert [seen.kinds[code] for code in seen.kind] == events["kind"].tolist()
    assert len(set(seen.threads)) == len(seen.threads) == len(trace.threads)
    assert seen.end >= int(events["enter"].max())


def test_what_is_small_torn_or_missing_is_left_to_the_loading(trace: Trace, tmp_path: Path) -> None:
    store.save(trace, tmp_path / "a.ipctrace")
    assert glance(tmp_path / "a.ipctrace", len(trace.events) + 1) is None
    assert glance(tmp_path / "nothing.ipctrace", 1) is None
    (tmp_path / "a.ipctrace" / "events.parquet").write_bytes(b"PAR1 torn")
    assert glance(tmp_path / "a.ipctrace", 1) is None
    store.save(deadlock_trace(), tmp_path / "b.ipctrace")
    store.save_facts({"state": "recording"}, tmp_path / "b.ipctrace")
    assert glance(tmp_path / "b.ipctrace", 1) is None


def test_the_first_picture_needs_no_pandas() -> None:
    code = "import sys, ipctrace.playing, ipctrace.cli; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_innermost_call_of_everybody_at_any_time(trace: Trace, seen: Glance) -> None:
    stage, lives = Preview(seen), ("thread", "task", "work", "signal")
    events = trace.events
    for t in events["enter"].iloc[::251].tolist():
        scene = stage.scene(t, Room(4, 10, 0))
        open_ = events[(events["enter"] <= t) & ~(events["exit"] <= t).fillna(False).astype(bool)]
        calls = open_[~open_["kind"].isin(lives)]
        expected = calls.groupby("thread")["op"].last().to_dict()
        found = {thread: lane.on for thread, lane in enumerate(scene.lanes) if lane.state == "calls"}
        assert found == {thread: op for thread, op in expected.items() if t <= seen.ended[thread]}


def test_it_is_played_like_any_other(seen: Glance) -> None:
    player = Player(Preview(seen))
    player.view.playing = False
    for key in ("right", "right", "page down", "left", "m", "f", "d", "end", "left", "<", "a", "home"):
        assert player.press(key)
        shown = player.lines(Ink(), 24)
        assert len(shown) == 24
        assert max(map(columns, shown)) <= 80
    assert player.press("m")
    assert player.view.note.startswith("not yet")
    there = player.now
    player.press("right")
    player.press("left")
    assert player.now == there
