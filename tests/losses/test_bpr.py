import numpy as np
import torch

from crosstower.losses.bpr import bpr

from ..fixtures.grouped_rows import GROUPS, LABELS, SCORES, given


def of_paper() -> np.ndarray:
    """-log σ(s_i - s_j) of each positive, averaged over the negatives of its group."""
    found = np.zeros(len(LABELS))
    for i in np.flatnonzero(LABELS == 1):
        negatives = np.flatnonzero((GROUPS[i] == GROUPS) & (LABELS == 0))
        if len(negatives):
            found[i] = np.mean(np.log1p(np.exp(SCORES[negatives] - SCORES[i])))
    return found


def test_the_loss_is_that_of_the_paper() -> None:
    np.testing.assert_allclose(bpr(*given()).numpy(), of_paper(), rtol=1e-12)


def test_it_is_the_mean_over_drawn_negatives() -> None:
    random, found = np.random.default_rng(0), bpr(*given())
    i, negatives = 0, np.flatnonzero((GROUPS == 0) & (LABELS == 0))
    drawn = random.choice(negatives, 20_000)
    costs = -np.log(1 / (1 + np.exp(SCORES[drawn] - SCORES[i])))
    assert abs(costs.mean() - float(found[i])) < 5 * costs.std() / np.sqrt(len(drawn)) + 1e-9


def test_gradients_are_the_numerical_ones() -> None:
    scores, labels, groups = given()
    assert torch.autograd.gradcheck(lambda s: bpr(s, labels, groups), (scores.requires_grad_(),))
