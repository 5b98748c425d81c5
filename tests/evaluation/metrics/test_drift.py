import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from crosstower.errors import DataError
from crosstower.evaluation.metrics.drift import ScoreDrift, reference_of

TENTHS = np.linspace(0.1, 0.9, 9)


def psi_of(reference: Any, scores: Any) -> float:
    drift = ScoreDrift({"click": reference_of(reference)})
    drift.add({"click": scores})
    found = drift.psi()["click"]
    assert found is not None
    return found


def test_the_index_is_that_of_its_formula() -> None:
    reference = np.arange(200) / 200
    scores = np.random.default_rng(0).beta(2, 3, 5_000)
    edges = np.concatenate([[-np.inf], (np.arange(20, 200, 20) - 0.5) / 200, [np.inf]])
    actual = np.histogram(scores, edges)[0] / 5_000
    expected = np.histogram(reference, edges)[0] / 200
    assert expected.tolist() == [0.1] * 10
    by_hand = sum((a - 0.1) * math.log(a / 0.1) for a in actual)
    assert psi_of(reference, scores) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("shift", [0.1, 0.5, 1.5])
def test_a_shift_of_a_normal_distribution_gives_its_closed_form(shift: float) -> None:
    rng = np.random.default_rng(1)
    inner = np.diff(norm.cdf(norm.ppf(TENTHS) - shift), prepend=0.0, append=1.0)
    closed = float(np.sum((inner - 0.1) * np.log(inner / 0.1)))
    found = psi_of(rng.normal(size=1_000_000), rng.normal(shift, size=10_000))
    assert found == pytest.approx(closed, rel=0.08, abs=0.004)


def test_without_drift_it_is_about_nine_over_n() -> None:
    rng, reference = np.random.default_rng(2), np.linspace(0, 1, 100_001)
    found = np.array([psi_of(reference, rng.uniform(size=1_000)) for _ in range(400)])
    assert found.mean() * 1_000 == pytest.approx(9, abs=0.6)  # sd of the mean 0.21
    assert (found < 0.1).all()


def test_a_larger_shift_gives_more() -> None:
    rng = np.random.default_rng(3)
    reference, scores = rng.beta(1, 30, 20_000), rng.beta(1, 30, 10_000)
    found = [psi_of(reference, scores + shift) for shift in (0.0, 0.005, 0.01, 0.03, 0.2)]
    assert found == sorted(found)
    assert found[0] < 0.01
    assert found[2] > 0.1
    assert found[-1] > 1


def test_repeated_values_are_compared_with_their_own_share() -> None:
    rng = np.random.default_rng(4)
    steps, shares = np.array([0.01, 0.012, 0.05, 0.3]), [0.37, 0.25, 0.33, 0.05]
    reference, scores = rng.choice(steps, 20_000, p=shares), rng.choice(steps, 10_000, p=shares)
    assert psi_of(reference, scores) < 0.005
    assert psi_of(reference, scores + rng.normal(0, 1e-6, 10_000)) < 0.005  # rounding
    assert psi_of(reference, rng.choice(steps, 10_000, p=[0.25, 0.37, 0.33, 0.05])) > 0.05


def test_one_value_in_the_middle_of_others() -> None:
    rng = np.random.default_rng(5)

    def draw(n: int) -> Any:
        return np.where(rng.uniform(size=n) < 0.35, 0.5, rng.uniform(size=n))

    reference = draw(50_000)
    assert psi_of(reference, draw(10_000)) < 0.01
    assert psi_of(reference, draw(10_000).astype(np.float32)) < 0.01
    assert psi_of(reference, rng.uniform(size=10_000)) > 0.2


@pytest.mark.parametrize("value", [0.0, 0.03, -7.0, 1e6])
def test_a_constant_reference(value: float) -> None:
    reference = np.full(50, value)
    assert psi_of(reference, np.full(500, value)) == pytest.approx(0, abs=1e-12)
    assert psi_of(reference, np.full(500, value + 1e-5)) == pytest.approx(0, abs=1e-12)
    assert psi_of(reference, np.full(500, value * 1.01 + 0.01)) > 5
    assert psi_of(reference, np.full(500, value - 0.1 * abs(value) - 0.01)) > 5


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    reference=arrays(
        np.float64, st.integers(1, 300), elements=FLOATS | st.sampled_from([0.0, 1.0])
    ),
    scores=arrays(np.float64, 500, elements=FLOATS),
)
def test_it_is_finite_and_never_negative(reference: Any, scores: Any) -> None:
    assert 0 <= psi_of(reference, scores) < 100
    assert reference_of(reference) == reference_of(np.flip(reference))


@given(reference=arrays(np.float64, 500, elements=st.floats(-1e3, 1e3)))
def test_the_reference_itself_has_no_drift(reference: Any) -> None:
    assert psi_of(reference, reference) < 0.02  # shares are known to a quarter of a per cent


def test_there_is_no_value_before_500_scores() -> None:
    drift = ScoreDrift({"click": reference_of([0.1, 0.2]), "like": reference_of([1.0])})
    assert drift.psi() == {"click": None, "like": None}
    drift.add({"click": np.full(499, 0.1), "other": np.ones(3)})
    drift.add({"click": [math.nan, math.inf], "like": [1.0] * 499})
    assert drift.psi() == {"click": None, "like": None}
    drift.add({"click": [0.1]})
    assert drift.psi()["click"] is not None
    assert drift.psi()["like"] is None


@pytest.mark.parametrize("block", [1, 7, 600, 999, 1_000, 2_500])
def test_the_last_scores_count_whatever_the_blocks(block: int) -> None:
    rng = np.random.default_rng(block)
    reference, scores = reference_of(rng.uniform(size=5_000)), rng.beta(2, 2, 5_300)
    drift = ScoreDrift({"click": reference}, size=1_000)
    for start in range(0, len(scores), block):
        drift.add({"click": scores[start : start + block]})
    once = ScoreDrift({"click": reference})
    once.add({"click": scores[-1_000:]})
    assert drift.psi() == once.psi()


def test_old_scores_are_forgotten() -> None:
    rng = np.random.default_rng(6)
    drift = ScoreDrift({"click": reference_of(rng.uniform(size=5_000))})
    drift.add({"click": rng.uniform(2, 3, 10_000)})
    before = drift.psi()["click"]
    drift.add({"click": rng.uniform(size=10_000)})
    after = drift.psi()["click"]
    assert before is not None
    assert after is not None
    assert before > 5
    assert after < 0.01


def test_a_reference_is_of_the_predictions_themselves() -> None:
    given = np.random.default_rng(7).uniform(size=1_000).astype(np.float32)
    found = reference_of(given)
    assert len(found) == 200
    assert set(found) <= set(given.astype(np.float64))
    assert found == np.sort(given.astype(np.float64))[2::5].tolist()


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        ([], "predictions: none were given"),
        ([0.1, math.nan, math.inf], "predictions: 2 of 3 are not finite, the first in row 1: nan"),
    ],
)
def test_predictions_without_a_reference_are_refused(predictions: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        reference_of(predictions)


@pytest.mark.parametrize(
    "reference", [[], [0.1] * 9, [0.1] * 199 + [math.nan], [0.2] + [0.1] * 199]
)
def test_a_wrong_reference_is_refused(reference: list[float]) -> None:
    with pytest.raises(DataError, match="reference of 'click': expected 200 finite numbers in asc"):
        ScoreDrift({"click": reference})
