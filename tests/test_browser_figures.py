# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The figures in a real browser: nothing overlaps, nothing is cut, at every width, in light and dark."""

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.page import render

from .browser import browser, show  # noqa: F401
from .sampled import sampled
from .test_figures import TRACES

pytestmark = pytest.mark.browser

# Of each picture the texts that overlap one another, or that lie outside the page or, sideways, outside their picture
FAULTS = """() => [...document.querySelectorAll('.figures svg[role=img]')].flatMap(picture => {
  const frame = picture.getBoundingClientRect();
  const seen = [...picture.querySelectorAll('text')].filter(text => getComputedStyle(text).display !== 'none');
  const texts = seen.map(text => [text.textContent, text.getBoundingClientRect()]);
  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 3 || b.bottom <= a.top + 3;
  return texts.flatMap(([words, box], k) => [
    ...texts.slice(k + 1).filter(([, other]) => !apart(box, other)).map(([other]) => `${words} over ${other}`),
    ...(box.left < frame.left - 3 || box.right > frame.right + 3 || box.top < frame.top - 3 ? [`${words} is cut`] : []),
  ]);
})"""


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", sampled(TRACES, ["hundred", "completed"]))
@pytest.mark.sample(2)
def test_no_text_of_a_figure_overlaps_or_is_cut(show, name, width):
    opened = show(render(analyze(TRACES[name]())), width, "dark" if width == 400 else "light")
    assert opened.complaints == []
    assert opened.page.evaluate(FAULTS) == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.sample(1)
def test_names_stay_beside_their_rows_and_keep_their_ends(show, width):
    page = show(render(analyze(TRACES["hundred"]())), width).page
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.names span')].filter(name => {
            const frame = name.getBoundingClientRect(), range = document.createRange();
            range.selectNode(name.lastChild);
            const ending = range.getBoundingClientRect();
            return ending.right > frame.right + 1 || ending.left < frame.left - 1;
        }).map(name => name.title)"""
    )
    assert cut == []


def test_the_causal_order_begins_at_its_end_on_a_phone_and_can_be_moved_with_the_keyboard(show):
    page = show(render(analyze(TRACES["twelve"]())), 400).page
    box = page.locator(".sideways")
    assert page.evaluate(
        "document.querySelector('.sideways').scrollWidth > document.querySelector('.sideways').clientWidth"
    )
    assert page.evaluate("document.querySelector('.sideways').scrollLeft") == 0  # in a box from right to left: its end
    box.focus()
    assert page.evaluate("document.activeElement.className") == "sideways"


def test_the_figures_need_no_script(show):
    page = show(render(analyze(TRACES["deadlock"]())), script=False).page
    assert page.locator(".figures svg[role=img]").count() == 6
