import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from crosstower.losses.softmax import softmax

from ..fixtures.grouped_rows import GRADES, GROUPS, LABELS, SCORES, given


@pytest.mark.parametrize("labels", [LABELS, GRADES])
def test_the_loss_is_that_of_the_paper(labels: np.ndarray) -> None:
    expected = np.zeros(len(labels))
    for group in np.unique(GROUPS):
        rows = np.flatnonzero(group == GROUPS)
        if labels[rows].sum() > 0:
            shares = labels[rows] / labels[rows].sum()
            expected[rows] = -shares * log_softmax(SCORES[rows])
    np.testing.assert_allclose(softmax(*given(labels)).numpy(), expected, rtol=1e-12, atol=1e-15)


def test_a_group_costs_torchs_cross_entropy() -> None:
    scores, labels, groups = given(GRADES)
    rows = groups == 1
    target = labels[rows] / labels[rows].sum()
    expected = torch.nn.functional.cross_entropy(scores[rows], target)
    torch.testing.assert_close(softmax(scores, labels, groups)[rows].sum(), expected)


def test_large_scores_stay_finite() -> None:
    scores, labels, groups = given()
    assert softmax(scores * 1e5, labels, groups).isfinite().all()


def test_a_constant_added_to_a_group_changes_nothing() -> None:
    scores, labels, groups = given()
    moved = scores + groups * 7.0
    torch.testing.assert_close(softmax(moved, labels, groups), softmax(scores, labels, groups))


def test_gradients_are_the_numerical_ones() -> None:
    scores, labels, groups = given(GRADES)
    assert torch.autograd.gradcheck(
        lambda s: softmax(s, labels, groups), (scores.requires_grad_(),)
    )
