"""Every action scored for every row."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import special

from crosstower.errors import DataError
from crosstower.fitting.off_policy import scoring as policy_scoring
from crosstower.fitting.off_policy.estimators import all_estimates
from crosstower.fitting.off_policy.evaluate import evaluate_policy
from crosstower.fitting.off_policy.importance import Estimate
from crosstower.fitting.off_policy.report import PolicyReport
from crosstower.training.run import Run

from ...fixtures.bandit import (
    ASK,
    coded,
    scored_tables,
)


def same(found: Estimate, expected: Estimate) -> None:
    assert found.value == pytest.approx(expected.value, rel=1e-5)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-4)
    size = found.effective_sample_size
    assert size == pytest.approx(expected.effective_sample_size, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 0.05])
@pytest.mark.parametrize("clip", [None, 2.0])
def test_the_numbers_are_those_of_scoring_one_item_after_the_other(
    bandit_run: Run, bandit_rows: pl.DataFrame, temperature: float, clip: float | None
) -> None:
    test = bandit_rows.filter(pl.col("split") == "test")
    scores = scored_tables(bandit_run, test)
    chances = (scores == scores.max(axis=1, keepdims=True)) * 1.0
    if temperature:
        chances = special.softmax(scores / temperature, axis=1)
    _, item = coded(test)
    at = (np.arange(test.height), item)
    expected = all_estimates(
        test["click"],
        test["propensity"],
        chances[at],
        predicted=scores[at],
        predicted_target=(chances * scores).sum(axis=1),
        clip=clip,
    )
    report = evaluate_policy(bandit_run, **ASK, temperature=temperature, clip=clip)
    found = report.policies["model"]
    assert list(found) == list(expected)[1:]
    for name, estimate in found.items():
        if name != "direct_method":  # trained once
            same(estimate, expected[name])
    direct = found["direct_method"]
    assert direct.value == pytest.approx(expected["direct_method"].value, rel=1e-5)
    assert math.isnan(direct.standard_error)
    assert (found["doubly_robust"].clipped > 0) == (clip is not None)
    facts = report.facts
    assert (facts.actions, facts.item_columns, facts.score) == (5, ("colour",), "click__prediction")


def test_a_hot_policy_is_the_uniform_one(bandit_run: Run) -> None:
    report = evaluate_policy(bandit_run, **ASK, temperature=1e9)
    for name, estimate in report.policies["model"].items():
        if name != "direct_method":
            same(estimate, report.policies["uniform"][name])


def test_blocks_change_nothing(
    bandit_run: Run, bandit_report: PolicyReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_scoring, "_BLOCK_PAIRS", 5 * 1000 + 3)
    told: list[int] = []
    small = evaluate_policy(
        bandit_run, **ASK, on_progress=lambda _stage, rows, _total=None: told.append(rows)
    )
    assert told == [*range(1000, bandit_report.rows, 1000), bandit_report.rows]
    same(small.gains["model"].estimate, bandit_report.gains["model"].estimate)


def test_too_many_pairs_are_refused(bandit_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_scoring, "MAX_PAIRS", 1000)
    with pytest.raises(DataError, match=r"rows x 5 actions: expected at most 1,000 pairs"):
        evaluate_policy(bandit_run, **ASK)
