import numpy as np
import pytest
import torch
from torch import nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Head, Layout
from crosstower.losses.pointwise import PointwiseObjective, task_losses
from crosstower.losses.task_balance import StaticBalance
from crosstower.nn.inputs import by_head
from crosstower.nn.wide import WideLinear
from crosstower.training.optimizers import count_rows
from crosstower.training.optimizers.ftrl import FTRL


class Paper:
    """Algorithm 1 of McMahan et al. 2013, one coordinate at a time."""

    def __init__(self, size: int, alpha: float, beta: float, l1: float, l2: float) -> None:
        self.alpha, self.beta, self.l1, self.l2 = alpha, beta, l1, l2
        self.z, self.n = np.zeros(size), np.zeros(size)

    def weight(self, i: int) -> float:
        if abs(self.z[i]) <= self.l1:
            return 0.0
        rate = (self.beta + np.sqrt(self.n[i])) / self.alpha + self.l2
        return -(self.z[i] - np.sign(self.z[i]) * self.l1) / rate

    def learn(self, i: int, g: float) -> None:
        sigma = (np.sqrt(self.n[i] + g * g) - np.sqrt(self.n[i])) / self.alpha
        self.z[i] += g - sigma * self.weight(i)
        self.n[i] += g * g


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.7, 2.0)])
def test_it_is_the_algorithm_of_the_paper(l1: float, l2: float) -> None:
    random = np.random.default_rng(0)
    options = {"alpha": 0.3, "beta": 1.0, "l1": l1, "l2": l2}
    parameter, paper = nn.Parameter(torch.zeros(5, 1)), Paper(5, **options)
    optimizer = FTRL([parameter], **options)
    for _ in range(40):
        rows = random.choice(5, size=2, replace=False)
        gradient = random.normal(size=2)
        values = torch.tensor(gradient[:, None], dtype=torch.float32)
        parameter.grad = torch.sparse_coo_tensor(
            torch.tensor(rows[None]), values, (5, 1), check_invariants=True
        )
        optimizer.step()
        for i, g in zip(rows, gradient, strict=True):
            paper.learn(i, g)
        expected = [paper.weight(i) for i in range(5)]
        np.testing.assert_allclose(parameter.detach()[:, 0], expected, rtol=1e-4, atol=1e-6)


def test_l1_keeps_weak_weights_at_exactly_zero() -> None:
    torch.manual_seed(0)
    weak_and_strong = nn.Parameter(torch.zeros(2, 1))
    optimizer = FTRL([weak_and_strong], l1=1.0)
    for _ in range(50):
        weak_and_strong.grad = torch.stack([torch.randn(1) * 0.01, torch.tensor([1.0])])
        optimizer.step()
    assert weak_and_strong[0].item() == 0.0
    assert weak_and_strong[1].item() < -0.1


def test_the_scale_turns_batch_means_into_sums() -> None:
    one, other = nn.Parameter(torch.zeros(3, 1)), nn.Parameter(torch.zeros(3, 1))
    gradient = torch.tensor([[0.5], [-1.0], [0.0]])
    one.grad, other.grad = gradient / 64, gradient
    summing = FTRL([one])
    count_rows([summing], torch.tensor([64]))
    summing.step()
    FTRL([other]).step()
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("labelled", [1, 7, 1024])
def test_each_head_learns_from_the_sum_over_its_labelled_rows(labelled: int) -> None:
    """Oracle: algorithm 1 for a bias alone, whose first gradient is p - y = ±0.5 a row."""
    model = WideLinear((), (), numbers=0, heads=2)
    labels = torch.full((1024, 2), torch.nan)
    labels[:labelled, 0], labels[:, 1] = 1.0, 0.0
    batch = Batch(torch.empty(1024, 0).int(), torch.empty(1024, 0), {}, labels)
    heads = Layout((), (), (), (Head("buy", "binary"), Head("click", "binary")))
    objective = PointwiseObjective(heads, StaticBalance([1.0, 1.0]))
    logits = model(batch.codes, batch.numbers, {})
    losses = task_losses(by_head(heads, logits), labels, heads.heads)
    objective.backward(model, objective.balance.total(*losses))
    optimizer = FTRL(model.parameters(), alpha=0.3, beta=1.0, l1=0.1, l2=2.0)
    count_rows([optimizer], objective.rows(batch))
    optimizer.step()
    paper = Paper(2, alpha=0.3, beta=1.0, l1=0.1, l2=2.0)
    for head, g in enumerate((-0.5 * labelled, 0.5 * 1024)):
        paper.learn(head, g)
    np.testing.assert_allclose(optimizer.state[model.bias]["n"], paper.n, rtol=1e-6)
    expected = [paper.weight(head) for head in range(2)]
    np.testing.assert_allclose(model.bias.detach(), expected, rtol=1e-6)
