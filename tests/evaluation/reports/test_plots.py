import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from crosstower.evaluation.metrics.calibration import reliability_curve
from crosstower.evaluation.reports.content import CalibrationCurve, SeedHistory
from crosstower.evaluation.reports.plots import reliability_plot, training_plot

pytestmark = pytest.mark.usefixtures("drawn_plots")


def calibration() -> CalibrationCurve:
    random = np.random.default_rng(0)
    p = random.beta(1, 5, 2000)
    y = (random.random(2000) < p).astype(float)
    counts, edges = np.histogram(p, bins=40)
    return CalibrationCurve(reliability_curve(y, p), edges, counts)


def trainings(aucs=(0.60, 0.66, 0.64)) -> list[SeedHistory]:
    history = [
        {"epoch": i, "train_loss": 0.5 - 0.1 * i, "valid": {"click.auc": auc}}
        for i, auc in enumerate(aucs)
    ]
    return [SeedHistory(0, history), SeedHistory(7, history)]


def plots() -> list[str]:
    return [
        reliability_plot(calibration(), name="a", percent=True),
        training_plot(trainings(), key="click.auc", name="b"),
        training_plot(trainings(), key=None, name="c"),
    ]


@pytest.fixture(scope="module")
def svgs() -> list[str]:
    return plots()


def parse(svg: str) -> ElementTree.Element:
    # The page's parser knows the xlink prefix without its declaration, this one does not.
    return ElementTree.fromstring(svg.replace("xlink:href", "href"))


def test_ids_are_unique_in_a_page_and_every_reference_is_met(svgs):
    elements = [e for svg in svgs for e in parse(svg).iter()]
    ids = [e.get("id") for e in elements if e.get("id")]
    assert len(ids) == len(set(ids))
    text = "".join(svgs)
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(ids)


def test_nothing_outside_is_named(svgs):
    assert "://" not in "".join(svgs)


def test_colours_are_those_of_the_page(svgs):
    colours = set(re.findall(r"#[0-9a-f]{6}\b", "".join(svgs)))
    assert colours <= {"#ffffff"}  # the backgrounds, which are not opaque
    assert "var(--ink)" in svgs[1]
    assert "var(--series-1)" in svgs[1]


def test_text_is_text(svgs):
    words = {e.text for svg in svgs for e in parse(svg).iter("text")}
    assert {"predicted", "observed", "rows", "epoch", "seed 0", "seed 7"} <= words
    assert any(word and word.endswith("%") for word in words)


def test_the_same_content_gives_the_same_plot(svgs):
    assert plots() == svgs


def test_the_settings_of_matplotlib_stay_as_they_were(svgs):
    assert mpl.rcParams["svg.hashsalt"] is None
    assert mpl.rcParams["svg.fonttype"] == "path"


@pytest.mark.parametrize("aucs", [(), (float("nan"),) * 2, (0.6, float("nan"), 0.7)])
def test_a_history_with_gaps_is_drawn_as_far_as_it_goes(aucs):
    parse(training_plot(trainings(aucs), key="click.auc", name="x"))


def test_a_model_with_one_answer_is_drawn():
    counts, edges = np.histogram(np.full(4, 0.2), bins=40)
    curve = reliability_curve(np.array([0.0, 1.0, 0.0, 0.0]), np.full(4, 0.2))
    words = [e.text for e in parse(reliability_plot(
        CalibrationCurve(curve, edges, counts), name="x", percent=False)).iter("text")]  # fmt: skip
    assert "observed" in words
