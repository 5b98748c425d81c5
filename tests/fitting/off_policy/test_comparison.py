import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from crosstower.errors import DataError
from crosstower.fitting.off_policy.comparison import policy_report
from crosstower.fitting.off_policy.estimators import direct_method, doubly_robust, on_policy
from crosstower.fitting.off_policy.report import PolicyFacts

from ...fixtures.decisions import CLIPPED, FACTS, decisions, with_target


@pytest.mark.parametrize("facts", [FACTS, CLIPPED])
def test_the_gain_is_the_doubly_robust_value_minus_the_log_paired(facts: PolicyFacts) -> None:
    rows = decisions()
    report = policy_report(rows, facts)
    weights = rows["model:target"] / rows["propensity"]
    weights = weights if facts.clip is None else weights.clip(upper_bound=facts.clip)
    terms = rows["model:expected"] + weights * (rows["reward"] - rows["predicted"])
    paired = (terms - rows["reward"]).to_numpy()
    assert report.gains["model"].estimate.value == pytest.approx(paired.mean(), rel=1e-12)
    assert report.gains["model"].estimate.standard_error == pytest.approx(
        stats.sem(paired), rel=1e-12
    )
    robust, logged = report.policies["model"]["doubly_robust"], report.policies["logged"]["logged"]
    assert report.gains["model"].estimate.value == pytest.approx(
        robust.value - logged.value, rel=1e-9
    )
    assert robust.value == pytest.approx(terms.mean(), rel=1e-12)


def test_the_interval_of_the_gain_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(300):
        report = policy_report(decisions(400, seed).drop("slot"), FACTS)
        low, high = report.gains["model"].estimate.interval()
        held += low < 0.15 < high
    assert 0.91 < held / 300 < 0.985


def test_repeated_rows_of_a_list_change_no_value_and_no_interval() -> None:
    rows = decisions().drop("slot").with_row_index("list").with_columns(pl.col("list").cast(int))
    once = policy_report(rows, FACTS)
    twice = policy_report(pl.concat([rows, rows]), FACTS)
    for estimator, found in twice.policies["model"].items():
        expected = once.policies["model"][estimator]
        assert found.value == pytest.approx(expected.value, rel=1e-9), estimator
        if estimator != "direct_method":
            assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-9)
    gain = twice.gains["model"].estimate
    assert gain.interval() == pytest.approx(once.gains["model"].estimate.interval(), rel=1e-9)


def test_slots_are_estimated_each_on_its_own() -> None:
    rows = decisions()
    report = policy_report(rows, FACTS)
    assert list(report.slots) == ["1", "2"]
    for slot, found in report.slots.items():
        part = rows.filter(pl.col("slot") == int(slot))
        columns = ("reward", "propensity", "model:target", "predicted", "model:expected")
        assert found["logged"] == on_policy(part["reward"])
        assert found["model"] == doubly_robust(*(part[c] for c in columns))
    assert policy_report(rows.drop("slot"), FACTS).slots == {}


def test_a_slot_without_overlap_is_left_out_and_named() -> None:
    target = pl.when(pl.col("slot") == 2).then(0.0).otherwise("model:target")
    report = policy_report(decisions().with_columns(target.alias("model:target")), FACTS)
    assert list(report.slots) == ["1"]
    assert report.warnings[-1] == "slot 2: the model's policy takes none of its logged actions."


def test_a_policy_that_takes_no_logged_action_has_no_value() -> None:
    rows = decisions().with_columns(pl.lit(0.0).alias("model:target"))
    with pytest.raises(DataError, match=r"takes none of the 4,000 .* a temperature above 0"):
        policy_report(rows, FACTS)


def test_a_policy_known_by_the_logged_actions_alone_needs_no_reward_model() -> None:
    rows = with_target().drop("target:expected")
    report = policy_report(rows, replace(FACTS, target="chance"))
    assert list(report.policies["target"]) == ["inverse_propensity", "self_normalised"]
    gain = report.gains["target"]
    weights = (rows["target:target"] / rows["propensity"]).to_numpy()
    paired = (weights - 1) * rows["reward"].to_numpy()
    assert gain.estimator == "inverse propensity"
    assert gain.estimate.value == pytest.approx(paired.mean())
    assert gain.estimate.standard_error == pytest.approx(stats.sem(paired))


def test_a_given_policy_that_takes_no_logged_action_is_refused() -> None:
    rows = with_target().with_columns(pl.lit(0.0).alias("target:target"))
    with pytest.raises(DataError, match="the target policy takes none of the 4,000"):
        policy_report(rows, FACTS)


def test_refits_give_the_direct_method_an_interval() -> None:
    rows = decisions()
    refits = np.random.default_rng(0).normal(0.5, 0.02, (25, 1)).repeat(rows.height, axis=1)
    report = policy_report(rows, FACTS, {"model": refits})
    found = report.policies["model"]["direct_method"]
    assert found == direct_method(rows["model:expected"], refits)
    assert math.isnan(report.policies["uniform"]["direct_method"].standard_error)


@pytest.mark.parametrize("as_text", [False, True])
def test_slots_are_in_numeric_order(as_text: bool) -> None:
    rows = decisions().with_columns(pl.Series("slot", [10, 2, 9, 1] * 1_000))
    if as_text:
        rows = rows.with_columns(pl.col("slot").cast(pl.String))
    assert list(policy_report(rows, FACTS).slots) == ["1", "2", "9", "10"]
