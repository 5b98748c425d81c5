"""gBCE against NumPy."""

import numpy as np
import pytest
import torch

from crosstower.losses.gbce import gbce_loss

POSITIVE = np.array([0.9, -0.2])
NEGATIVE = np.array([[0.7, -3.0, 0.4], [0.5, 1.6, -0.8]])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_is_binary_cross_entropy_with_a_power_of_the_positive(calibration: float) -> None:
    share = 3 / 11
    power = share * (calibration * (1 - 1 / share) + 1 / share)
    wanted = -np.log(sigmoid(POSITIVE) ** power) - np.log(1 - sigmoid(NEGATIVE)).sum(1)
    found = gbce_loss(
        torch.from_numpy(POSITIVE),
        torch.from_numpy(NEGATIVE),
        sampled=share,
        calibration=calibration,
    )
    assert found.item() == pytest.approx((wanted / 4).mean())


def test_all_negatives_need_no_correction() -> None:
    """With every negative sampled the power is 1 whatever the calibration."""
    logits = torch.from_numpy(POSITIVE), torch.from_numpy(NEGATIVE)
    full, plain = (gbce_loss(*logits, sampled=1.0, calibration=t) for t in (1.0, 0.0))
    assert full.item() == pytest.approx(plain.item())


def test_the_score_of_full_calibration_is_the_log_odds_of_a_softmax() -> None:
    """With t = 1 the minimum over one positive's logit is the probability among all items."""
    share, rate = 0.1, 0.3  # sampled share of negatives; P(positive | query)
    logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logit], max_iter=100, tolerance_grad=1e-12)

    def loss() -> torch.Tensor:
        """The item is the positive of 30 % of the queries, and a sampled negative of others."""
        optimizer.zero_grad()
        none = torch.empty(1, 0, dtype=torch.float64)
        positive = gbce_loss(logit, none, sampled=share, calibration=1.0)
        negative = torch.nn.functional.softplus(logit).mean()
        value = rate * positive + (1 - rate) * share * negative
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    assert torch.sigmoid(logit).item() == pytest.approx(rate, abs=1e-4)


def test_an_accidental_hit_is_no_negative() -> None:
    hit = torch.tensor([[True, False, False], [False, False, False]])
    logits = torch.from_numpy(POSITIVE), torch.from_numpy(NEGATIVE)
    with_hit = gbce_loss(*logits, sampled=0.5)
    without = gbce_loss(*logits, sampled=0.5, left_out=hit)
    assert (with_hit - without).item() == pytest.approx(np.log1p(np.exp(0.7)) / 4 / 2)
