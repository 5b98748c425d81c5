import math

import numpy as np
import polars as pl
import pytest

from crosstower.fitting.tuning.plots import (
    axis_of,
    history_plot,
    parallel_plot,
    value_axis,
)
from crosstower.recipe.tune import Dimension

pytestmark = pytest.mark.usefixtures("drawn_plots")


def test_the_history_draws_trials_that_have_a_value() -> None:
    trials = pl.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "failed", "pruned", "complete"],
            "value": [0.5, None, 0.4, 0.7],
        }
    )
    svg = history_plot(trials, higher=True, name="history")
    assert svg.startswith("<svg")
    assert "best so far" in svg
    assert "var(--series-1)" in svg


def test_a_range_has_heights_on_its_own_scale() -> None:
    axis = axis_of("training.lr", Dimension(low=0.01, high=1.0, log=True), [0.01, 0.1, 1.0, None])
    np.testing.assert_allclose(axis.heights, [0.0, 0.5, 1.0, math.nan])
    assert axis.labels == [(0.0, "0.01"), (1.0, "1")]
    assert axis_of("model.layers", Dimension(low=1, high=3), [2]).heights == [0.5]


def test_choices_have_heights_in_their_order() -> None:
    dimension = Dimension(choices=([8], [16, 8], None))
    axis = axis_of("model.hidden", dimension, ["[8]", "[16, 8]", None, "[5]"])
    np.testing.assert_allclose(axis.heights, [0.0, 0.5, 1.0, math.nan])
    assert [words for _, words in axis.labels] == ["[8]", "[16, 8]", "None"]


def test_equal_values_have_an_axis_too() -> None:
    assert value_axis("click.auc", [0.5, 0.5]).heights == [0.0, 0.0]
    assert value_axis("click.auc", [0.5, 0.75, 0.6]).heights == pytest.approx([0.0, 1.0, 0.4])


def test_names_of_the_user_are_text_in_the_plot() -> None:
    hostile = "schema.columns.<script>$x$.dim"
    axes = [axis_of(hostile, Dimension(choices=("<b>", "$y$")), ["<b>", "$y$"])]
    svg = parallel_plot(
        [*axes, value_axis("click.auc", [0.5, 0.6])], best=1, good=[False, True], name="parallel"
    )
    assert "<script>" not in svg
    assert "&lt;script&gt;$x$" in svg
    assert "&lt;b&gt;" in svg


def test_the_most_important_axes_are_drawn() -> None:
    axes = [axis_of(f"model.o{i}", Dimension(low=0, high=4), [1, 2]) for i in range(12)]
    svg = parallel_plot([*axes, value_axis("m", [0.1, 0.2])], best=0, good=[True, False], name="p")
    assert "o7" in svg
    assert "o8" not in svg
