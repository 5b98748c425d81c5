"""Labels as numbers, and which cells are none."""

import polars as pl
import pytest

from crosstower.data.cleaning.label_cells import implied_zeros, label_cells, label_reader
from crosstower.recipe.tasks import Binary, Rating, Regression, Task
from crosstower.values.columns import Cells


def read(task: Task, raw: pl.Series) -> Cells:
    return label_cells(task, label_reader(task)(raw))


def test_a_binary_label_is_0_or_1() -> None:
    cells = read(Binary(), pl.Series([0, 1, 2, None]))
    assert cells.values.to_list() == [0.0, 1.0, 2.0, None]
    assert cells.bad.to_list() == [False, False, True, False]
    assert "positive: VALUE or threshold: NUMBER" in cells.advice


@pytest.mark.parametrize(
    ("positive", "raw", "expected"),
    [
        (">50K", ["<=50K", ">50K", None], [0.0, 1.0, None]),
        (1, ["1", "1.0", "2"], [1.0, 1.0, 0.0]),
        (1, [1.0, 0.0, 3.0], [1.0, 0.0, 0.0]),
        (True, [True, False, None], [1.0, 0.0, None]),
    ],
)
def test_the_positive_value_is_found_by_text_or_by_number(
    positive: bool | float | str, raw: list[object], expected: list[float | None]
) -> None:
    cells = read(Binary(positive=positive), pl.Series(raw))
    assert cells.values.to_list() == expected
    assert not cells.bad.any()


def test_a_threshold_makes_a_label_of_a_number() -> None:
    cells = read(Binary(threshold=4), pl.Series(["3.9", "4", "x"]))
    assert cells.values.to_list()[:2] == [0.0, 1.0]
    assert cells.bad.to_list() == [False, False, True]


def test_a_rating_is_within_its_range() -> None:
    cells = read(Rating(low=1, high=5), pl.Series([1, 5, 6, None]))
    assert cells.bad.to_list() == [False, False, True, False]
    assert cells.expected == "a rating from 1 to 5"


@pytest.mark.parametrize(
    ("task", "values", "bad"),
    [
        (Regression(), [-1.0, 9.0], [False, False]),
        (Regression(log1p=True), [-1.0, 9.0], [True, False]),
        (Regression(clip=(0, 5)), [0.0, 5.0], [False, False]),
        (Regression(clip=(0, 5), log1p=True), [0.0, 5.0], [False, False]),
    ],
)
def test_regressions_are_clipped_before_they_are_checked(
    task: Task, values: list[float], bad: list[bool]
) -> None:
    cells = read(task, pl.Series([-1.0, 9.0]))
    assert cells.values.to_list() == values
    assert cells.bad.to_list() == bad


def test_a_missing_label_is_0_where_its_event_did_not_happen() -> None:
    raw, event = pl.Series([None, None, 7.0, None]), pl.Series([0.0, 1.0, 0.0, None])
    assert implied_zeros(Binary(), raw, raw, event).to_list() == [0.0, None, 7.0, None]
    clipped = implied_zeros(Regression(clip=(2, 9)), raw, raw, event)
    assert clipped.to_list() == [2.0, None, 7.0, None]
