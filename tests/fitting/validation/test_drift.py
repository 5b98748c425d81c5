import numpy as np
import polars as pl
import pytest

from crosstower.data.sources.source import FrameSource
from crosstower.fitting.validation.checks import ALIKE
from crosstower.fitting.validation.drift import check_drift, check_unseen_by, stability
from crosstower.fitting.validation.finding import Finding
from crosstower.fitting.validation.seen_rows import SeenRows, see_rows
from crosstower.recipe.loading import parse_recipe

ROWS = 4_000
RECIPE = parse_recipe("""
data: {split: {kind: random, fractions: [0.8, 0.1, 0.1]}}
schema: {columns: {x: numeric, c: categorical, tags: bag}, tasks: {y: binary}}
""")


def rows(seed: int, *, shift: float = 0.0, first: float = 0.5, y: float = 0.5) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": random.normal(shift, 1, ROWS),
            "c": np.where(random.random(ROWS) < first, "a", "b"),
            "tags": [["t", "u"]] * ROWS,
            "y": (random.random(ROWS) < y).astype(int),
        }
    )


def seen(frame: pl.DataFrame, *, divided: bool = True) -> SeenRows:
    return see_rows(RECIPE, FrameSource(frame), coded=["c", "tags"], divided=divided)


def drift(new: pl.DataFrame) -> list[Finding]:
    return list(check_drift(seen(rows(0)), seen(new, divided=False)))


def test_rows_of_the_same_kind_have_no_drift() -> None:
    assert drift(rows(1)) == []
    assert drift(rows(1).drop("y")) == []


def test_columns_and_labels_that_are_distributed_differently_are_named() -> None:
    found = drift(rows(1, shift=1.0, first=0.3, y=0.1))
    assert [(one.severity, one.sentence.split(":")[0]) for one in found] == [
        ("warning", "column 'x'"),
        ("note", "column 'c'"),
        ("warning", "labels of 'y'"),
    ]


def test_the_index_of_categories_is_the_formula() -> None:
    expected = pl.Series(["a"] * 500 + ["b"] * 300 + ["c"] * 200)
    actual = pl.Series(["a"] * 100 + ["b"] * 300 + ["d"] * 600)
    e, a = np.array([0.5, 0.3, 0.2, 1e-4]), np.array([0.1, 0.3, 1e-4, 0.6])
    wanted = float(((a - e) * np.log(a / e)).sum())
    assert stability(expected, actual) == pytest.approx(wanted)
    assert stability(expected[:499], actual) is None


def test_ids_that_are_numbers_in_one_of_the_files_only_are_compared() -> None:
    numbers = rows(0).with_columns(c=pl.when(pl.col("c") == "a").then(1).otherwise(2))
    texts = rows(1).with_columns(
        c=pl.when(pl.col("c") == "a").then(pl.lit("1")).otherwise(pl.lit("x"))
    )
    (found,) = check_unseen_by(seen(numbers), seen(texts, divided=False))
    assert f"{(rows(1)['c'] == 'b').sum():,} of {ROWS:,} values" in found.sentence
    assert found.sentence.endswith(f"such as x; {ALIKE}")
    (known,) = check_unseen_by(seen(texts), seen(numbers, divided=False))
    assert known.sentence.endswith(f"such as 2; {ALIKE}")
    assert stability(pl.Series([1, 2] * 500), pl.Series(["1", "2"] * 500)) == 0.0


def test_values_that_the_run_never_saw_are_counted() -> None:
    strange = rows(1).with_columns(c=pl.when(pl.col("x") > 0).then(pl.lit("new")).otherwise("c"))
    (found,) = check_unseen_by(seen(rows(0)), seen(strange, divided=False))
    assert found.severity == "warning"
    assert "are in no training row of the run, such as new" in found.sentence
    assert list(check_unseen_by(seen(rows(0)), seen(rows(1), divided=False))) == []
