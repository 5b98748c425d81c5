import numpy as np
import pytest
import torch

from crosstower.losses.ranknet import ranknet

from ..fixtures.grouped_rows import GRADES, GROUPS, LABELS, SCORES, given


def of_paper(labels: np.ndarray) -> np.ndarray:
    """The sum by better row of -log σ(s_i - s_j) over the pairs of a group, over their number."""
    found = np.zeros(len(labels))
    for group in np.unique(GROUPS):
        rows = np.flatnonzero(group == GROUPS)
        pairs = [(i, j) for i in rows for j in rows if labels[i] > labels[j]]
        for i, j in pairs:
            p = 1 / (1 + np.exp(-(SCORES[i] - SCORES[j])))
            found[i] -= np.log(p) / len(pairs)
    return found


@pytest.mark.parametrize("labels", [LABELS, GRADES])
def test_the_loss_is_that_of_the_paper(labels: np.ndarray) -> None:
    found = ranknet(*given(labels))
    np.testing.assert_allclose(found.numpy(), of_paper(labels), rtol=1e-12)


def test_a_group_of_two_costs_torchs_soft_margin_loss() -> None:
    scores = torch.tensor([0.3, -1.2], dtype=torch.float64)
    found = ranknet(scores, torch.tensor([0.0, 1.0]).double(), torch.tensor([0, 0])).sum()
    expected = torch.nn.functional.soft_margin_loss(scores[1] - scores[0], torch.tensor(1.0))
    torch.testing.assert_close(found, expected)


def test_groups_without_an_order_cost_nothing() -> None:
    found = ranknet(*given())
    assert found[(torch.tensor(GROUPS) >= 2)].abs().sum() == 0


def test_gradients_are_the_numerical_ones() -> None:
    scores, labels, groups = given(GRADES)
    assert torch.autograd.gradcheck(
        lambda s: ranknet(s, labels, groups), (scores.requires_grad_(),)
    )
