import json
import math
from dataclasses import replace
from html import escape

import numpy as np
import polars as pl
import pytest
from scipy import stats

from crosstower.errors import DataError
from crosstower.experiments.off_policy.estimators import direct_method, doubly_robust, on_policy
from crosstower.experiments.off_policy.report import PolicyFacts, PolicyReport, policy_report

FACTS = PolicyFacts("click", "click__prediction", 0.0, None, "item", (), 4)
CLIPPED = PolicyFacts("click", "click__prediction", 0.0, 2.0, "item", (), 4)


def decisions(rows: int = 4000, seed: int = 0, lift: float = 0.2) -> pl.DataFrame:
    """Four actions, logged uniformly; the model's action earns `lift` more than others."""
    random = np.random.default_rng(seed)
    taken = random.random(rows) < 0.25
    reward = random.random(rows) < 0.3 + lift * taken
    best, mean = 0.3 + lift, 0.3 + lift / 4
    return pl.DataFrame(
        {
            "reward": reward * 1.0,
            "propensity": np.full(rows, 0.25),
            "predicted": np.where(taken, best, 0.3),
            "model:target": taken * 1.0,
            "model:expected": np.full(rows, best),
            "uniform:target": np.full(rows, 0.25),
            "uniform:expected": np.full(rows, mean),
            "slot": random.integers(1, 3, rows),
        }
    )


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


@pytest.mark.parametrize(
    ("lift", "words"),
    [
        (0.3, "is better beyond the noise."),
        (-0.25, "is worse beyond the noise."),
        (0.0, "is within the noise, these rows cannot tell."),
    ],
)
def test_the_verdict_goes_by_the_interval_of_the_gain(lift: float, words: str) -> None:
    report = policy_report(decisions(lift=lift), FACTS)
    low, high = report.gains["model"].estimate.interval()
    assert report.verdict().endswith(words)
    assert f"95 % interval {low:+.4g} to {high:+.4g}" in report.verdict()
    assert (low < 0 < high) == ("within" in words)


def test_the_interval_of_the_gain_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(300):
        report = policy_report(decisions(400, seed).drop("slot"), FACTS)
        low, high = report.gains["model"].estimate.interval()
        held += low < 0.15 < high
    assert 0.91 < held / 300 < 0.985


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
    assert report.gains["model"].telling_rows == pytest.approx(9.0)
    told = "9 effective rows with a reward other than the median: too few."
    assert report.verdict().endswith(f"rests on {told}")
    assert report.warnings[0].startswith("model: only 9.0 effective rows have a reward other than")
    assert not any(words.startswith("uniform") for words in report.warnings)


def test_one_row_has_no_interval_and_its_weight_is_no_mean() -> None:
    report = policy_report(decisions().filter(pl.col("model:target") > 0).head(1), FACTS)
    assert "(no interval)" in report.verdict()
    assert not any("weights average" in words for words in report.warnings)


def test_rows_that_tell_are_counted_by_their_weights() -> None:
    rows = decisions()
    told = rows.filter(pl.col("reward") == 1)
    weights = told["model:target"] / told["propensity"]
    assert policy_report(rows, FACTS).gains["model"].telling_rows == pytest.approx(
        weights.sum() ** 2 / (weights**2).sum()
    )
    numbers = rows.with_columns(reward=pl.int_range(pl.len()) * 1.0)
    assert policy_report(numbers, FACTS).gains["model"].telling_rows == rows["model:target"].sum()


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
    assert report.warnings[-1] == "slot 2: the model's order takes none of its logged actions."


def test_a_policy_that_takes_no_logged_action_has_no_value() -> None:
    rows = decisions().with_columns(pl.lit(0.0).alias("model:target"))
    with pytest.raises(DataError, match=r"takes none of the 4,000 .* a temperature above 0"):
        policy_report(rows, FACTS)


def warnings(rows: pl.DataFrame) -> tuple[str, ...]:
    return policy_report(rows.drop("slot"), FACTS).warnings


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
    assert "model: its weights count like 30 of 4,000 rows, less than 1%" in warnings(rows)[0]


def test_propensities_that_do_not_fit_are_named() -> None:
    rows = decisions().with_columns(pl.lit(0.5).alias("propensity"))
    model, uniform = warnings(rows)
    assert model.startswith("model: its weights average 0.5")
    assert uniform.startswith("uniform: its weights average 0.5 and not 1")
    never = decisions().with_columns((pl.col("model:target") * 0.5).alias("model:target"))
    (missing,) = warnings(never)
    assert "leave out actions that this policy takes" in missing


def test_a_reward_model_far_off_is_named() -> None:
    rows = decisions().with_columns(pl.col("predicted") * 2)
    (far,) = warnings(rows)
    mean, earned = rows["predicted"].mean(), rows["reward"].mean()
    assert far.startswith(f"the run predicts {mean:.4g} a row for the logged actions, which")
    assert f"earned {earned:.4g}" in far


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


def with_target(chance: float = 0.5) -> pl.DataFrame:
    """A policy that takes the better action with `chance`, the others alike."""
    rows = decisions()
    better = pl.col("model:target") == 1
    target = pl.when(better).then(chance).otherwise((1 - chance) / 3)
    return rows.with_columns(
        target.alias("target:target"), pl.lit(0.3 + 0.2 * chance).alias("target:expected")
    )


def test_a_given_policy_has_the_estimates_of_the_others_and_a_verdict() -> None:
    rows = with_target()
    report = policy_report(rows, replace(FACTS, target="chance"))
    names = ("reward", "propensity", "target:target", "predicted", "target:expected")
    assert report.policies["target"]["doubly_robust"] == doubly_robust(*(rows[n] for n in names))
    assert report.policies["target"].keys() == report.policies["model"].keys()
    assert "by the policy of 'chance' (doubly robust)" in report.verdict("target")
    assert "better beyond the noise" in report.verdict("target")
    assert report.slots["1"].keys() == {"logged", "model", "target"}
    assert report.plain()["verdicts"].keys() == {"model", "target"}


def test_a_policy_known_by_the_logged_actions_alone_needs_no_reward_model() -> None:
    rows = with_target().drop("target:expected")
    report = policy_report(rows, replace(FACTS, target="chance"))
    assert list(report.policies["target"]) == ["inverse_propensity", "self_normalised"]
    gain = report.gains["target"]
    weights = (rows["target:target"] / rows["propensity"]).to_numpy()
    paired = (weights - 1) * rows["reward"].to_numpy()
    assert gain.how == "inverse propensity"
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


def test_a_reward_model_wrong_for_the_policy_alone_is_named() -> None:
    """Right on the mean of the log, and wrong for what the policy takes."""
    rows = decisions(lift=0.3)
    mean = rows["reward"].mean()
    rows = rows.with_columns(pl.lit(mean).alias("predicted"), pl.lit(mean).alias("model:expected"))
    (words,) = policy_report(rows.drop("slot"), FACTS).warnings
    assert words.startswith("model: by the weighted rows the direct method is off by -0.2")


def test_a_notebook_shows_the_estimates_and_the_verdict() -> None:
    report = policy_report(decisions(), FACTS)
    html = report._repr_html_()
    assert "4,000 rows, 4 actions" in html
    assert f"{report.policies['model']['doubly_robust'].value:.4g}" in html
    assert escape(report.verdict()) in html
