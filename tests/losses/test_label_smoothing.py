"""Smoothed labels and class weights: against the formula, in float64 by NumPy."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from crosstower.losses.label_smoothing import with_labels
from crosstower.losses.pointwise import cross_entropy

LOGITS = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
LABELS = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)


def test_a_smoothed_label_is_the_mean_of_the_losses_of_both_labels() -> None:
    p = 1 / (1 + np.exp(-LOGITS.numpy()))
    target = np.array([0.9, 0.1, 0.9])  # y (1 - 0.2) + 0.2 / 2
    expected = -target * np.log(p) - (1 - target) * np.log(1 - p)
    found = with_labels(cross_entropy, smoothing=0.2)(LOGITS, LABELS)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_weight_is_that_of_the_label_before_smoothing() -> None:
    plain = with_labels(cross_entropy, smoothing=0.2)(LOGITS, LABELS)
    found = with_labels(cross_entropy, weights=(2.0, 3.0), smoothing=0.2)(LOGITS, LABELS)
    np.testing.assert_allclose(found, plain * torch.tensor([3.0, 2.0, 3.0]), rtol=1e-12)


def test_the_weight_of_positives_is_that_of_torch() -> None:
    expected = binary_cross_entropy_with_logits(
        LOGITS, LABELS, pos_weight=torch.tensor(4.0), reduction="none"
    )
    found = with_labels(cross_entropy, weights=(1.0, 4.0))(LOGITS, LABELS)
    torch.testing.assert_close(found, expected)


def test_a_smoothed_loss_is_least_at_the_smoothed_label() -> None:
    smoothed = with_labels(cross_entropy, smoothing=0.1)
    logits = torch.linspace(-6.0, 6.0, 2_401, dtype=torch.float64)
    best = logits[smoothed(logits, torch.ones_like(logits)).argmin()].sigmoid()
    assert abs(best - 0.95) < 1e-3  # without smoothing, the loss falls for ever


def test_groups_reach_the_loss_and_plain_labels_leave_it_as_it_is() -> None:
    def of_groups(logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
        return logits * labels + groups

    assert with_labels(of_groups) is of_groups
    groups = torch.tensor([0.0, 10.0, 20.0], dtype=torch.float64)
    found = with_labels(of_groups, weights=(1.0, 2.0))(LOGITS, LABELS, groups)
    assert found.tolist() == [1.0, 10.0, 44.0]
