import json
from dataclasses import replace
from html import escape

import polars as pl
import pytest

from crosstower.fitting.off_policy.comparison import policy_report
from crosstower.fitting.off_policy.estimators import doubly_robust
from crosstower.fitting.off_policy.report import PolicyReport

from ...fixtures.decisions import CLIPPED, FACTS, decisions, with_target


@pytest.mark.parametrize(
    ("lift", "words"),
    [
        (0.3, "is significant: the policy is better than the log."),
        (-0.25, "is significant: the policy is worse than the log."),
        (0.0, "is not significant."),
    ],
)
def test_the_verdict_goes_by_the_interval_of_the_gain(lift: float, words: str) -> None:
    report = policy_report(decisions(lift=lift), FACTS)
    low, high = report.gains["model"].estimate.interval()
    assert report.verdict().endswith(words)
    assert f"95 % interval {low:+.4g} to {high:+.4g}" in report.verdict()
    assert (low < 0 < high) == ("not" in words)


@pytest.mark.parametrize("usual", [0.0, 1.0])
def test_too_few_unusual_rewards_give_no_verdict_however_narrow_the_interval(usual: float) -> None:
    # 1,000 rows with the model's action, 9 of them with a reward; 200 others earned something.
    taken, row = pl.col("model:target") == 1, pl.int_range(pl.len())
    rows = decisions().drop("slot").sort("model:target")
    seldom = (row < 200) | (taken & (row >= 4000 - 9))
    rows = rows.with_columns(
        reward=pl.when(seldom).then(1.0 - usual).otherwise(usual), predicted=pl.lit(usual)
    ).with_columns(pl.lit(usual).alias("model:expected"), pl.lit(usual).alias("uniform:expected"))
    report = policy_report(rows, FACTS)
    low, high = report.gains["model"].estimate.interval()
    assert not low < 0 < high
    assert report.gains["model"].informative_rows == pytest.approx(9.0)
    told = "the effective number of those with a reward other than the median is 9."
    assert report.verdict().endswith(f"rests on too few rows for a verdict: {told}")
    assert report.warnings[0].startswith("model: only 9.0 effective rows have a reward other than")
    assert not any(words.startswith("uniform") for words in report.warnings)


def test_one_row_has_no_interval_and_its_weight_is_no_mean() -> None:
    report = policy_report(decisions().filter(pl.col("model:target") > 0).head(1), FACTS)
    assert "(no interval)" in report.verdict()
    assert not any("mean weight" in words for words in report.warnings)


def test_a_given_policy_has_the_estimates_of_the_others_and_a_verdict() -> None:
    rows = with_target()
    report = policy_report(rows, replace(FACTS, target="chance"))
    names = ("reward", "propensity", "target:target", "predicted", "target:expected")
    assert report.policies["target"]["doubly_robust"] == doubly_robust(*(rows[n] for n in names))
    assert report.policies["target"].keys() == report.policies["model"].keys()
    assert "with the policy in 'chance' (doubly robust)" in report.verdict("target")
    assert "the policy is better than the log" in report.verdict("target")
    assert report.slots["1"].keys() == {"logged", "model", "target"}
    assert report.plain()["verdicts"].keys() == {"model", "target"}


def test_plain_data_is_json_with_intervals_and_no_nan() -> None:
    one: PolicyReport = policy_report(decisions().filter(pl.col("model:target") == 1)[:1], FACTS)
    plain = json.loads(json.dumps(one.plain(), allow_nan=False))
    logged = plain["policies"]["logged"]["logged"]
    assert (logged["standard_error"], logged["low"], logged["rows"]) == (None, None, 1)
    full = policy_report(decisions(), CLIPPED)
    plain = full.plain()
    low, high = full.gains["model"].estimate.interval()
    assert (plain["gains"]["model"]["low"], plain["gains"]["model"]["high"]) == (low, high)
    assert plain["policies"]["model"]["inverse_propensity"]["clipped"] > 0
    assert (plain["clip"], plain["rows"], plain["warnings"]) == (2.0, 4000, list(full.warnings))
    assert set(plain["slots"]) == {"1", "2"}
    assert plain["policies"]["model"]["direct_method"]["standard_error"] is None
    chosen = plain["policies"]["uniform"]["switch_doubly_robust"]["parameter"]
    assert json.loads(json.dumps(chosen, allow_nan=False)) == chosen


def test_a_notebook_shows_the_estimates_and_the_verdict() -> None:
    report = policy_report(decisions(), FACTS)
    html = report._repr_html_()
    assert "4,000 rows, 4 actions" in html
    assert f"{report.policies['model']['doubly_robust'].value:.4g}" in html
    assert escape(report.verdict()) in html
    short = f"{report.facts.reward} per row, 4,000 rows, 4 actions; logged, model, uniform"
    assert repr(report) == f"PolicyReport({short})"
