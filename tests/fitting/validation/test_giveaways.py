import numpy as np
import polars as pl
import pytest

from crosstower.fitting.validation.giveaways import repeated_rows, single_auc
from crosstower.recipe.split import RandomSplit, TimeSplit

RANDOM = np.random.default_rng(0)
LABEL = pl.Series(RANDOM.integers(0, 2, 2000))


@pytest.mark.parametrize(
    "values",
    [
        LABEL * 2.0 + 7,
        -LABEL,
        LABEL.replace_strict({0: "no", 1: "yes"}),
        (LABEL - 0.5).abs() + LABEL,
    ],
)
def test_a_column_that_tells_the_label_has_an_auc_of_one(values: pl.Series) -> None:
    assert single_auc(values, LABEL) == pytest.approx(1.0)


def test_a_category_out_of_order_tells_by_its_mean_label() -> None:
    codes = LABEL.replace_strict({0: 5, 1: 3}) + pl.Series(RANDOM.integers(0, 2, 2000)) * 10
    assert single_auc(codes, LABEL) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "values",
    [
        pl.Series(RANDOM.normal(size=2000)),
        pl.Series([f"key-{n}" for n in range(2000)]),
        pl.Series(RANDOM.integers(0, 500, 2000)),
        pl.Series([None] * 2000, dtype=pl.Float64),
    ],
)
def test_noise_and_keys_tell_nothing(values: pl.Series) -> None:
    auc = single_auc(values, LABEL)
    assert auc is not None
    assert auc < 0.6


def test_too_few_rows_tell_nothing() -> None:
    assert single_auc(LABEL[:40], LABEL[:40]) is None
    assert single_auc(LABEL, pl.Series([1] * 2000)) is None


def test_rows_that_repeat_across_splits_are_counted() -> None:
    once = pl.DataFrame({"a": range(500), "click": [0, 1] * 250})
    assert repeated_rows(once, ["a", "click"], RandomSplit())[0] == 0
    twice = pl.concat([once, once])
    repeated, held_out = repeated_rows(twice, ["a", "click"], RandomSplit())
    assert held_out > 150
    assert repeated > 0.6 * held_out
    late = twice.with_columns(t=pl.int_range(1000))
    assert repeated_rows(late, ["a", "click"], TimeSplit(column="t")) == (200, 200)
    mixed = twice.with_columns(t=pl.lit("1/2/2024"))
    assert repeated_rows(mixed, ["a"], TimeSplit(column="t")) == (0, 0)
