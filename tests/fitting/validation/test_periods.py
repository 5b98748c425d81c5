from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from crosstower.data.sources.source import FrameSource
from crosstower.fitting.validation.periods import check_periods, periods_of
from crosstower.fitting.validation.seen_rows import SeenRows, see_rows
from crosstower.recipe.loading import parse_recipe

ROWS = 5_000
RECIPE = """
data: {split: {kind: time, column: when}}
schema: {columns: {x: numeric}, tasks: {y: binary, z: regression}}
"""


def seen(y: object, *, rows: int = ROWS, recipe: str = RECIPE, when: object = None) -> SeenRows:
    times = [datetime(2024, 1, 1) + timedelta(minutes=n) for n in range(rows)]
    plain = {"x": range(rows), "y": y, "z": range(rows), "when": when or times}
    source = FrameSource(pl.DataFrame(plain, strict=False), "rows")
    return see_rows(parse_recipe(recipe), source, coded=[])


def test_means_are_those_of_ten_equal_periods() -> None:
    y = np.random.default_rng(0).integers(0, 2, ROWS)
    periods = periods_of(seen(y))
    assert [one.rows for one in periods] == [ROWS // 10] * 10
    assert periods[0].start == "2024-01-01 00:00"
    expected = y.reshape(10, -1).mean(1)
    assert [one.means["y"] for one in periods] == pytest.approx(expected.tolist())
    assert periods[3].means["z"] == pytest.approx(1749.5)


def test_a_last_period_with_another_rate_is_a_warning() -> None:
    y = np.random.default_rng(0).random(ROWS) < 0.3
    found = seen(y.astype(int))
    assert not list(check_periods(found, periods_of(found)))
    y[-ROWS // 10 :] = np.random.default_rng(1).random(ROWS // 10) < 0.03
    found = seen(y.astype(int))
    (warning,) = check_periods(found, periods_of(found))
    assert warning.sentence.startswith("task 'y': mean label 0.0")
    assert "from 2024-01-04 03:00 on, and 0.2" in warning.sentence


def test_few_rows_have_no_periods_and_rows_without_times_neither() -> None:
    assert periods_of(seen([0, 1] * 100, rows=200)) == []
    untimed = RECIPE.replace("{kind: time, column: when}", "{kind: random}")
    assert periods_of(seen([0, 1] * (ROWS // 2), recipe=untimed)) == []


def test_a_period_without_labels_has_no_mean() -> None:
    y = [0, 1] * (ROWS // 2 - 250) + [None] * 500
    periods = periods_of(seen(y))
    assert periods[-1].means["y"] is None
    assert not list(check_periods(seen(y), periods))


def test_numbers_that_only_order_rows_are_shown_as_they_are() -> None:
    periods = periods_of(seen([0, 1] * (ROWS // 2), when=list(range(ROWS))))
    assert [one.start for one in periods[:2]] == ["0", "500"]
