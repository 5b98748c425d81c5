import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from crosstower.evaluation.reports.blend_plots import (
    MOST_TYPES,
    front_plot,
    histogram_plot,
    point_key,
    share_plot,
    type_key,
)

pytestmark = pytest.mark.usefixtures("drawn_plots")

RANKS = np.arange(1, 11)


def shares(types: int) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(types), 10).T


def histograms(types: int) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 50, (types, 20)).astype(float)


def front(points, on_front=None, *, chosen=None, feasible=None) -> str:
    points = np.array(points, dtype=float).reshape(-1, 2)
    on = np.ones(len(points), bool) if on_front is None else np.array(on_front)
    none, all_ = np.zeros(len(points), bool), np.ones(len(points), bool)
    return front_plot(
        points,
        front=on,
        chosen=none if chosen is None else np.array(chosen),
        feasible=all_ if feasible is None else np.array(feasible),
        name="f",
    )


def plots() -> list[str]:
    return [
        share_plot(RANKS, shares(6), name="a"),
        histogram_plot(histograms(6), np.linspace(0, 1, 21), name="b", label="prediction"),
        front(
            [[0.1, 0.9], [0.5, 0.5], [0.4, 0.4]], [True, True, False], chosen=[True, False, True]
        ),
    ]


@pytest.fixture(scope="module")
def svgs() -> list[str]:
    return plots()


def parse(svg: str) -> ElementTree.Element:
    # The page's parser knows the xlink prefix without its declaration, this one does not.
    return ElementTree.fromstring(svg.replace("xlink:href", "href"))


def words(svg: str) -> list[str]:
    return [e.text or "" for e in parse(svg).iter("text")]


def painted(svg: str, style: str) -> list[list[tuple[float, float]]]:
    """Return the corners of each path whose style holds these words."""
    paths = [e.get("d") or "" for e in parse(svg).iter("path") if style in (e.get("style") or "")]
    numbers = [[float(n) for n in re.findall(r"-?[\d.]+", d)] for d in paths]
    return [list(zip(n[::2], n[1::2], strict=True)) for n in numbers]


def heights(svg: str, style: str) -> list[float]:
    ys = [[y for _, y in corners] for corners in painted(svg, style)]
    return [max(y) - min(y) for y in ys]


def line(svg: str) -> list[tuple[float, float]]:
    """Return the corners of the line of the front, the one path that is a line in our blue."""
    (corners,) = painted(svg, "fill: none; stroke: var(--series-0); stroke-width: 1.4")
    return corners


def places(svg: str, colour: str) -> list[tuple[float, float]]:
    """Return where the dots of a colour are, in the order of the blends."""
    dots = [e for e in parse(svg).iter("use") if f"fill: var({colour})" in (e.get("style") or "")]
    return [(float(e.get("x", "nan")), float(e.get("y", "nan"))) for e in dots]


def test_ids_are_unique_in_a_page_and_every_reference_is_met(svgs):
    elements = [e for svg in svgs for e in parse(svg).iter()]
    ids = [e.get("id") for e in elements if e.get("id")]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', "".join(svgs))) <= set(ids)


def test_nothing_outside_is_named_and_colours_are_those_of_the_page(svgs):
    text = "".join(svgs)
    assert "://" not in text
    assert set(re.findall(r"#[0-9a-f]{6}\b", text)) <= {"#ffffff"}  # backgrounds, not opaque
    for colour in (*(f"--series-{i}" for i in range(5)), "--soft", "--line", "--paper"):
        assert f"var({colour})" in text


def test_the_same_content_gives_the_same_plot(svgs):
    assert plots() == svgs


def test_bars_are_as_high_as_the_shares():
    given = shares(3)
    svg = share_plot(RANKS, given, name="x")
    full = heights(svg, "fill: var(--paper)")  # what lies behind a whole bar
    for number, expected in enumerate(given):
        drawn = heights(svg, f"fill: var(--series-{number})")
        assert np.allclose(np.array(drawn) / full[0], expected, atol=1e-4)


def test_bars_stand_on_one_another():
    svg = share_plot(RANKS, shares(3), name="x")
    layers = [painted(svg, f"fill: var(--series-{number})") for number in range(3)]
    for below, above in pairwise(layers):
        tops = [min(y for _, y in corners) for corners in below]  # the y of SVG grows downward
        assert np.allclose(tops, [max(y for _, y in corners) for corners in above], atol=1e-4)


def test_types_beyond_the_colours_are_grey():
    svg = share_plot(RANKS, shares(MOST_TYPES + 1), name="x")
    assert len(painted(svg, "fill: var(--soft)")) >= 10
    assert "fill: var(--soft)" in type_key(MOST_TYPES, line=False)
    assert "stroke: var(--soft)" in type_key(MOST_TYPES, line=True)


def test_places_of_a_long_list_are_thinned_out():
    svg = share_plot(np.arange(1, 51), np.ones((1, 50)), name="x")
    assert {"1", "6", "46"} <= set(words(svg))
    assert "2" not in words(svg)


def test_types_differ_without_colour():
    for line_ in (True, False):
        keys = [type_key(i, line=line_) for i in range(MOST_TYPES)]
        assert len({re.sub(r"--series-\d", "", key) for key in keys}) == MOST_TYPES


def test_a_histogram_is_of_shares_so_that_large_and_small_types_compare():
    counts = histograms(1)
    svg = histogram_plot(np.concatenate([counts, 1000 * counts]), np.linspace(0, 1, 21), name="x",
                         label="prediction")  # fmt: skip
    (small,), (large,) = (painted(svg, f"stroke: var(--series-{i})") for i in range(2))
    assert np.allclose(small, large)
    assert "prediction" in words(svg)


def test_steps_are_as_high_as_the_shares():
    counts = np.array([[2.0, 1.0, 4.0]])
    svg = histogram_plot(counts, np.array([0.0, 1.0, 2.0, 3.0]), name="x", label="prediction")
    (corners,) = painted(svg, "stroke: var(--series-0)")
    ys = list(dict.fromkeys(y for _, y in corners))  # each height once, from left to right
    assert (ys[0] - ys[1]) / (ys[0] - ys[2]) == pytest.approx((2 - 1) / (2 - 4), abs=1e-4)


def test_a_type_without_rows_is_not_drawn():
    counts = np.array([[1.0, 2.0], [0.0, 0.0]])
    svg = histogram_plot(counts, np.array([0.0, 1.0, 2.0]), name="x", label="prediction")
    assert "--series-0" in svg
    assert "--series-1" not in svg
    assert "nan" not in svg.lower()
    parse(histogram_plot(np.zeros((1, 2)), np.array([0.0, 1.0, 2.0]), name="x", label="p"))


def test_the_line_joins_the_front_from_left_to_right():
    svg = front([[0.9, 0.1], [0.1, 0.9], [0.5, 0.6], [0.2, 0.2]], [True, True, True, False])
    first, second, third = places(svg, "--series-0")
    assert np.allclose(line(svg), [second, third, first], atol=1e-4)


def test_the_line_leaves_out_what_is_beaten_in_these_two_tasks():
    # The third is on the front of more tasks; the last equals the first in one of the two.
    svg = front([[0.9, 0.1], [0.1, 0.9], [0.3, 0.3], [0.5, 0.6], [0.9, 0.05]])
    dots = places(svg, "--series-0")
    assert np.allclose(line(svg), [dots[1], dots[3], dots[0]], atol=1e-4)


def test_equal_points_are_one_corner():
    assert len(line(front([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]))) == 2


def test_dots_of_the_front_are_in_colour_and_others_are_soft():
    svg = front([[0.1, 0.9], [0.5, 0.5], [0.4, 0.4]], [True, True, False])
    assert len(places(svg, "--series-0")) == 2
    assert len(places(svg, "--soft")) == 1


def test_the_chosen_blend_is_marked():
    points = [[0.1, 0.2], [0.3, 0.1]]
    assert places(front(points), "--series-1") == []
    svg = front(points, chosen=[False, True])
    assert places(svg, "--series-1") == [places(svg, "--series-0")[1]]


def test_what_breaks_a_constraint_is_a_cross():
    def shapes(svg: str) -> set[str]:
        used = [e.get("href") for e in parse(svg).iter("use") if "--soft" in (e.get("style") or "")]
        return {u or "" for u in used}

    both = shapes(front([[0.1, 0.2], [0.3, 0.1]], [False] * 2, feasible=[True, False]))
    assert len(both) == 2
    assert len(shapes(front([[0.1, 0.2], [0.3, 0.1]], [False] * 2))) == 1


@pytest.mark.parametrize("points", [[], [[0.5, 0.5]], [[0.5, 0.5]] * 3])
def test_few_and_equal_blends_are_drawn(points):
    assert "nan" not in front(points).lower()


def test_numbers_close_together_are_written_in_full():
    texts = words(front([[0.987650, 0.1], [0.987654, 0.2]]))
    assert any(text.startswith("0.98765") for text in texts)
    assert not any("+" in text or "e" in text for text in texts)


@pytest.mark.parametrize("kind", ["tried", "infeasible", "front", "chosen"])
def test_keys_are_whole_elements_hidden_from_reading_aloud(kind):
    element = ElementTree.fromstring(point_key(kind))
    assert element.get("aria-hidden") == "true"
    assert len(element) >= 1
