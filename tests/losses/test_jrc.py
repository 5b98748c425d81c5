import numpy as np
import pytest
import torch

from crosstower.losses.jrc import jrc
from crosstower.losses.pointwise import cross_entropy

from ..fixtures.grouped_rows import GROUPS, LABELS, SCORES, given


def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def of_paper(alpha: float) -> float:
    """The pseudocode of the paper, with the logits (-s/2, s/2)."""
    logits, rows = np.stack([-SCORES / 2, SCORES / 2], 1), len(SCORES)
    label = np.stack([1 - LABELS, LABELS], 1)
    calibration = -(label * log_softmax(logits, 1)).sum(1).mean()
    mask = GROUPS[:, None] == GROUPS[None, :]
    tiled = np.tile(logits[:, None, :], (1, rows, 1)) + np.where(mask, 0.0, -1e9)[:, :, None]
    targets = np.tile(label[:, None, :], (1, rows, 1)) * mask[:, :, None]
    negative = -(targets[:, :, 0] * log_softmax(tiled[:, :, 0], 0)).sum(0)
    positive = -(targets[:, :, 1] * log_softmax(tiled[:, :, 1], 0)).sum(0)
    ranking = ((positive + negative) / mask.sum(0)).mean()
    return alpha * calibration + (1 - alpha) * ranking


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_mean_loss_is_that_of_the_paper(alpha: float) -> None:
    assert jrc(*given(), alpha=alpha).mean().item() == pytest.approx(of_paper(alpha), rel=1e-12)


def test_with_alpha_1_it_is_the_cross_entropy() -> None:
    scores, labels, groups = given()
    found = jrc(scores, labels, groups, alpha=1.0)
    torch.testing.assert_close(found, cross_entropy(scores, labels))


def test_gradients_are_the_numerical_ones() -> None:
    scores, labels, groups = given()
    assert torch.autograd.gradcheck(lambda s: jrc(s, labels, groups), (scores.requires_grad_(),))
