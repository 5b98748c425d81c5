from dataclasses import replace

import polars as pl
import pytest

from crosstower.fitting.off_policy.comparison import policy_report

from ...fixtures.decisions import FACTS, decisions


def warnings(rows: pl.DataFrame) -> tuple[str, ...]:
    return policy_report(rows.drop("slot"), FACTS).warnings


def test_informative_rows_are_counted_by_their_weights() -> None:
    rows = decisions()
    told = rows.filter(pl.col("reward") == 1)
    weights = told["model:target"] / told["propensity"]
    assert policy_report(rows, FACTS).gains["model"].informative_rows == pytest.approx(
        weights.sum() ** 2 / (weights**2).sum()
    )
    numbers = rows.with_columns(reward=pl.int_range(pl.len()) * 1.0)
    assert (
        policy_report(numbers, FACTS).gains["model"].informative_rows == rows["model:target"].sum()
    )


def test_clipped_weights_count_as_far_as_they_are_used() -> None:
    """1 of 25 rows with a reward has a weight of 100, the others have one of 1."""
    place = pl.int_range(pl.len())
    rows = decisions().with_columns(
        reward=pl.when(place < 25).then(1.0).otherwise(0.0),
        propensity=pl.when(place == 0).then(0.01).otherwise(1.0),
    )
    rows = rows.with_columns(pl.lit(1.0).alias("model:target"))
    for clip, expected in ((None, 124**2 / 10_024), (4.0, 28**2 / 40), (1.0, 25.0)):
        report = policy_report(rows, replace(FACTS, clip=clip))
        assert report.gains["model"].informative_rows == pytest.approx(expected)
        few = any(words.startswith("model: only 1.5 effective") for words in report.warnings)
        assert few == (clip is None)


def test_good_logs_give_no_warning() -> None:
    assert all(warnings(decisions(seed=seed)) == () for seed in range(20))
    rounded = decisions().with_columns(pl.lit(0.2495).alias("propensity"))
    assert warnings(rounded) == ()


def test_few_rows_that_count_are_named() -> None:
    first = pl.int_range(pl.len()) < 30
    rows = decisions().with_columns(
        pl.when(first).then(1.0).otherwise(0.0).alias("model:target"),
        pl.when(first).then(30 / 4000).otherwise(0.25).alias("propensity"),
    )
    assert "model: the effective sample size is 30 of 4,000 rows, less than 1%" in warnings(rows)[0]


def test_propensities_that_do_not_fit_are_named() -> None:
    rows = decisions().with_columns(pl.lit(0.5).alias("propensity"))
    model, uniform = warnings(rows)
    assert model.startswith("model: the mean weight is 0.5")
    assert uniform.startswith("uniform: the mean weight is 0.5, expected 1")
    never = decisions().with_columns((pl.col("model:target") * 0.5).alias("model:target"))
    (missing,) = warnings(never)
    assert "the log lacks actions that this policy takes" in missing


def test_a_reward_model_far_off_is_named() -> None:
    rows = decisions().with_columns(pl.col("predicted") * 2)
    (far,) = warnings(rows)
    mean, earned = rows["predicted"].mean(), rows["reward"].mean()
    assert far.startswith(f"the run predicts {mean:.4g} per row for the logged actions; the")
    assert f"the log has {earned:.4g}" in far


def test_a_reward_model_wrong_for_the_policy_alone_is_named() -> None:
    """Right on the mean of the log, and wrong for what the policy takes."""
    rows = decisions(lift=0.3)
    mean = rows["reward"].mean()
    rows = rows.with_columns(pl.lit(mean).alias("predicted"), pl.lit(mean).alias("model:expected"))
    (words,) = policy_report(rows.drop("slot"), FACTS).warnings
    assert words.startswith("model: the direct method is off by -0.2")
