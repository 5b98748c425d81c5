"""What the gate refuses, on simulated predictions of known quality."""

import math

import numpy as np
import pytest

from crosstower.evaluation.metrics.paired import (
    auc_statistic,
    mean_statistic,
    ratio_statistic,
)
from crosstower.serving.retraining.decision import decide
from crosstower.serving.retraining.figures import Verdict
from crosstower.serving.retraining.limits import GateLimits
from crosstower.serving.retraining.measures import BundleMeasures, Measure

USERS, ROWS = 150, 1_500
LIMITS = GateLimits(samples=300)


def simulated(
    seed: int, *, noise: float = 0.0, shift: float = 0.0, both: float = 0.4
) -> BundleMeasures:
    """True probabilities blurred by noise: independently `both` in each bundle, more in the new."""
    random = np.random.default_rng(seed)
    users = random.integers(0, USERS, ROWS)
    logit = random.normal(-1.0, 1.0, ROWS) + random.normal(0.0, 0.5, USERS)[users]
    y = (random.random(ROWS) < 1.0 / (1.0 + np.exp(-logit))).astype(np.float64)
    blurred = [
        logit + random.normal(0.0, both, ROWS),
        logit + random.normal(0.0, math.hypot(both, noise), ROWS) + shift,
    ]
    p = 1.0 / (1.0 + np.exp(-np.stack(blurred, axis=1)))
    return measured(y, p, users)


def measured(y: np.ndarray, p: np.ndarray, users: np.ndarray) -> BundleMeasures:
    loss = -np.log(np.where(y[:, None] == 1, p, 1.0 - p))
    count = len(np.unique(users))
    ratio = ratio_statistic(p, np.stack([y, y], axis=1), users)
    return BundleMeasures(
        [
            Measure("click", "auc", auc_statistic(y, p, users), count),
            Measure("click", "log_loss", mean_statistic(loss, users), count,
                    higher=False, relative=True),
        ],
        {"click": Measure("click", "ratio", ratio, count)},
        {"click": p},
    )  # fmt: skip


def verdict(measures: BundleMeasures, limits: GateLimits = LIMITS) -> Verdict:
    return decide([measures], rows=ROWS, users=USERS, limits=limits)


@pytest.mark.slow
def test_equal_bundles_are_refused_rarely() -> None:
    refused = sum(not verdict(simulated(seed)).passed for seed in range(100))
    # At most 5 % are; 12 of 100 or more would be a chance of 0.4 %.
    assert refused < 12


def test_a_clearly_worse_bundle_is_refused_nearly_always() -> None:
    refused = [verdict(simulated(seed, noise=1.2)) for seed in range(20)]
    assert sum(not one.passed for one in refused) >= 19
    assert "click: AUC is 0." in refused[0].reasons[0]
    assert "gate.max_loss allows 0.0000" in refused[0].reasons[0]


def test_the_same_predictions_pass_without_any_gain() -> None:
    found = verdict(simulated(0, both=0.0))
    assert found.passed
    assert all(c.gain == 0.0 and c.low == 0.0 for c in found.figures.comparisons)
    assert found.figures.drift[0].psi == pytest.approx(0.0, abs=0.01)


def test_a_loss_within_the_limit_passes() -> None:
    worse = simulated(0, noise=1.2)
    assert not verdict(worse).passed
    assert verdict(worse, LIMITS.model_copy(update={"max_loss": 0.3})).passed


@pytest.mark.slow
def test_the_smallest_loss_that_is_found_is_stated() -> None:
    """A bundle that is worse by the detectable loss is refused in about 80 % of the cases."""
    found = [verdict(simulated(seed, noise=0.65)).figures.comparisons[0] for seed in range(60)]
    loss = -float(np.mean([c.gain for c in found]))
    assert loss == pytest.approx(np.mean([c.detectable for c in found]), rel=0.05)
    assert 0.65 < np.mean([not c.passed for c in found]) < 0.95


def test_wrong_calibration_is_refused_in_words() -> None:
    found = verdict(simulated(0, shift=1.5), LIMITS.model_copy(update={"max_loss": 0.9}))
    assert [c.passed for c in found.figures.calibration] == [False]
    assert found.reasons[0].startswith("click: predictions are 1.91 times the labels")
    assert "gate.calibration allows 0.8 to 1.25" in found.reasons[0]
    any_ratio = LIMITS.model_copy(update={"max_loss": 0.9, "calibration": None, "drift": None})
    assert verdict(simulated(0, shift=1.5), any_ratio).passed


def test_calibration_that_is_as_wrong_as_the_live_one_passes() -> None:
    p = simulated(0, shift=1.5).predictions["click"][:, [1, 1]]
    random = np.random.default_rng(0)
    users = random.integers(0, USERS, ROWS)
    y = (random.random(ROWS) < 0.15).astype(np.float64)
    found = verdict(measured(y, p, users))
    assert found.figures.calibration[0].low > 1.25
    assert found.passed


def test_calibration_that_is_nearer_than_the_live_one_passes() -> None:
    swapped = simulated(0, shift=1.5).predictions["click"][:, ::-1]  # the live bundle is off
    random = np.random.default_rng(0)
    users = random.integers(0, USERS, ROWS)
    y = (random.random(ROWS) < 0.15).astype(np.float64)
    found = verdict(measured(y, swapped, users), LIMITS.model_copy(update={"max_loss": 0.9}))
    one = found.figures.calibration[0]
    assert one.low > 1.25
    assert one.live > one.candidate
    assert one.passed


def test_a_drift_is_allowed_for_a_better_bundle_only() -> None:
    random = np.random.default_rng(1)
    users = random.integers(0, USERS, ROWS)
    right = random.beta(0.8, 1.5, ROWS).clip(0.01, 0.99)
    y = (random.random(ROWS) < right).astype(np.float64)
    flat = np.full(ROWS, 0.35) + random.normal(0.0, 0.001, ROWS)
    lax = LIMITS.model_copy(update={"max_loss": 0.9})
    better = verdict(measured(y, np.stack([flat, right], axis=1), users), lax)
    assert better.figures.drift[0].psi > 0.25
    assert better.passed
    worse = verdict(measured(y, np.stack([right, flat], axis=1), users), lax)
    assert worse.reasons[-1] == (
        f"click: predictions have moved far from those of the live bundle (population stability"
        f" index {worse.figures.drift[0].psi:.2f}; gate.drift allows 0.25) without being better"
    )


def test_predictions_that_are_not_finite_are_refused() -> None:
    p = np.full((ROWS, 2), 0.5)
    p[3, 1] = np.nan
    found = verdict(BundleMeasures(predictions={"click": p}))
    assert found.reasons == ("click: 1 of 1,500 predictions of the new bundle are not finite",)


def test_measures_of_few_users_are_not_judged() -> None:
    few = simulated(0, noise=3.0)
    few = BundleMeasures([Measure(m.name, m.metric, m.statistic, 19) for m in few.measures])
    found = verdict(few)
    assert found.passed
    assert found.notes == (
        "click: auc is not judged: it has 19 users or lists, fewer than gate.min_users (20)",
        "click: log_loss is not judged: it has 19 users or lists, fewer than gate.min_users (20)",
        "nothing was compared; the bundle was only opened and sent requests",
    )
