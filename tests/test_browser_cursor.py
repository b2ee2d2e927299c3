# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The cursor of a run that is played in the terminal is the page's: at every moment both say the same."""

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.page import render
from ipctrace.reports.playback.instants import Instants
from ipctrace.reports.run import Run

from .bench.analysis import make
from .browser import browser, show  # noqa: F401
from .builders import completed_trace, deadlock_trace
from .test_browser_moment import buffered_trace
from .test_instants import split

pytestmark = pytest.mark.browser

ASKED = """times => times.map(t => ({
  waits: waitsAt(t).map(w => [w.lane, w.reason, has(w.channel) ? w.channel : null, w.since, w.open, w.to.map(one => one.lane)]),
  fills: CHANNELS.map((_, c) => { const f = fillAt(c, t); return [f.user, f.kernel, f.reader]; }),
  next: neighbour(t, 1), before: neighbour(t, -1),
}))"""


@pytest.mark.parametrize("build", [deadlock_trace, completed_trace, buffered_trace, split, lambda: make(800)],
                         ids=["deadlock", "completed", "buffered", "split", "of all kinds"])  # fmt: skip
@pytest.mark.sample(2)
def test_the_page_and_the_terminal_say_the_same_of_every_moment(build, show):
    analysis = analyze(build())
    instants = Instants(Run(analysis))
    page = show(render(analysis))
    times = [*instants.moments[:: max(1, len(instants.moments) // 100)].tolist(), 0, instants.end]
    for t, told in zip(times, page.page.evaluate(ASKED, times), strict=True):
        waits = [
            [lane, wait.reason, wait.channel, wait.since, wait.open, [other for other, _, _ in wait.to]]
            for lane, wait in sorted(instants.waits_at(t).items())
        ]
        assert sorted(told["waits"]) == waits, t
        assert told["fills"] == [list(fill) for fill in instants.fills(t)], t
        assert (told["next"], told["before"]) == (instants.neighbour(t, 1), instants.neighbour(t, -1)), t
