"""A vector: width, scale and length."""

import numpy as np
import polars as pl
import pytest

from crosstower.recipe.kinds.vector import Vector

ROWS = [[3.0, 4.0], [0.0, 0.0], None]


def encoded(column: Vector) -> np.ndarray:
    learner = column.learner()
    learner.add(pl.Series(ROWS[:1]))
    learner.add(pl.Series(ROWS[1:]))
    return column.coder(learner.finish())(pl.Series(ROWS))


def test_vectors_of_another_width_or_not_finite_are_bad() -> None:
    cells = Vector(width=2).reader()(pl.Series("v", [[1.0, 2.0], [1.0], [1.0, np.nan], None]))
    assert cells.bad.to_list() == [False, True, True, False]
    assert cells.expected == "2 finite numbers"


def test_all_components_share_one_scale() -> None:
    x = np.array([3.0, 4.0, 0.0, 0.0])
    wanted = [*((x - x.mean()) / x.std()), 0.0, 0.0]  # a missing vector is the mean
    assert encoded(Vector(width=2)).ravel() == pytest.approx(wanted)


def test_a_vector_can_have_length_one_or_stay_as_it_is() -> None:
    unit = encoded(Vector(width=2, normalise="l2"))
    assert unit.ravel() == pytest.approx([0.6, 0.8, 0.0, 0.0, 0.0, 0.0])
    assert encoded(Vector(width=2, normalise="none"))[0].tolist() == [3.0, 4.0]


def test_each_component_is_a_number_of_the_model() -> None:
    assert Vector(width=2).inputs("v", None) == ("v[0]", "v[1]")
