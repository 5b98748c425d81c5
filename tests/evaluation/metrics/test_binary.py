import math

import numpy as np
import pytest
from sklearn import metrics as sk

from crosstower.evaluation.metrics.binary import (
    log_loss,
    log_losses,
    majority_rate,
    normalised_entropy,
)


def rows(n: int = 3000):
    random = np.random.default_rng(0)
    p = random.beta(1, 5, n)
    return (random.random(n) < p).astype(float), p, random.integers(0, 200, n)


def test_majority_rate_is_nan_without_rows():
    assert math.isnan(majority_rate(np.empty(0)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_sure_and_wrong_answer_costs_what_its_precision_allows(kind):
    y, p = np.array([1.0, 0.0], kind), np.array([0.0, 1.0], kind)
    expected = -math.log(np.finfo(kind).eps)
    assert log_loss(y, p) == pytest.approx(expected, rel=1e-6)
    assert log_loss(y, p) == pytest.approx(sk.log_loss(y, p), rel=1e-6)


def test_losses_of_rows_under_several_models_are_those_of_each_model():
    y, p, _ = rows(300)
    both = np.stack([p, p[::-1]], axis=1)
    both[0], both[1] = (0.0, 1.0), (1.0, 0.0)
    found = log_losses(y[:, None], both)
    for model in range(2):
        pairs = zip(y, both[:, model], strict=True)
        expected = [sk.log_loss([one], [q], labels=[0, 1]) for one, q in pairs]
        np.testing.assert_allclose(found[:, model], expected, rtol=1e-12, atol=1e-15)


def test_normalised_entropy_of_the_base_rate_is_one():
    y, _, _ = rows()
    assert normalised_entropy(y, np.full(len(y), y.mean())) == pytest.approx(1.0)


def test_normalised_entropy_in_closed_form():
    y, p = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.5, 0.2, 0.2, 0.2])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    loss = -(math.log(0.5) + 3 * math.log(0.8)) / 4
    assert normalised_entropy(y, p) == pytest.approx(loss / entropy)
