import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import log_loss, mean_squared_error

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.errors import RecipeError
from crosstower.losses.pointwise import (
    BatchGroups,
    PointwiseObjective,
    column_statistics,
    cross_entropy,
    task_loss,
    task_losses,
)
from crosstower.losses.registry import LOSSES
from crosstower.losses.task_balance import StaticBalance
from crosstower.models.registry import build
from crosstower.nn.world import ALONE

NAN = math.nan
LAYOUT = Layout((CodeField("a", 13, "a"),), ("x",), (), (Head("click", "binary"),))


def test_statistics_show_range_and_mean_of_each_column() -> None:
    batch = Batch(
        torch.tensor([[3], [4]]).int(),
        torch.tensor([[1.0], [3.0]]),
        {},
        torch.tensor([[1.0], [NAN]]),
    )
    lines = column_statistics(LAYOUT, batch)
    assert lines == ["  x: min 1, mean 2, max 3", "  label click: min 1, mean 1, max 1"]


def test_the_loss_is_that_of_the_logits() -> None:
    torch.manual_seed(0)
    model = build(LAYOUT, {"name": "mlp"}).eval()
    labels = torch.tensor([[1.0], [0.0], [NAN]])
    batch = Batch(torch.tensor([[3], [4], [5]]).int(), torch.randn(3, 1), {}, labels)
    objective = PointwiseObjective(LAYOUT, StaticBalance([2.0]))
    loss = objective.loss(model, batch)
    torch.testing.assert_close(loss, 2 * task_loss("binary", model(batch)["click"], labels[:, 0]))
    objective.backward(model, loss)
    assert all(p.grad is not None for p in model.parameters())
    assert objective.log_values() == {"weight.click": 2.0}


def test_binary_loss_is_log_loss() -> None:
    logits, y = torch.randn(50), (torch.rand(50) < 0.3).float()
    expected = log_loss(y, torch.sigmoid(logits.double()))
    assert task_loss("binary", logits, y).item() == pytest.approx(expected, rel=1e-5)


def test_regression_loss_is_mean_squared_error() -> None:
    logits, y = torch.randn(50), torch.randn(50)
    expected = mean_squared_error(y, logits)
    assert task_loss("regression", logits, y).item() == pytest.approx(expected, rel=1e-5)


def test_a_weight_on_the_scale_of_the_label_is_divided_by_its_variance() -> None:
    random = torch.Generator().manual_seed(0)
    y = 300 * torch.rand(50, generator=random)
    mean, sd = y.mean(), y.std(correction=0)
    logits = torch.randn(50, generator=random)
    of_label = float(((logits * sd + mean - y) ** 2).mean())
    found = float(task_loss("regression", logits, (y - mean) / sd))
    assert found == pytest.approx(of_label / float(sd) ** 2, rel=1e-5)


def test_the_best_rating_logit_is_that_of_the_mean() -> None:
    y = torch.tensor([0.0, 0.25, 0.5, 1.0])
    logit = torch.logit(y.mean()).expand(4).clone().requires_grad_()
    task_loss("rating", logit, y).backward()
    assert logit.grad is not None
    assert logit.grad.sum().item() == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("kind", ["binary", "regression", "rating"])
def test_missing_labels_take_no_part(kind: str) -> None:
    logits = torch.tensor([0.3, -2.0, 1.0], requires_grad=True)
    y = torch.tensor([1.0, NAN, 0.0])
    loss = task_loss(kind, logits, y)  # type: ignore[arg-type]
    known = task_loss(kind, logits[[0, 2]], y[[0, 2]])  # type: ignore[arg-type]
    torch.testing.assert_close(loss, known)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[1] == 0


def test_without_any_label_the_loss_is_zero_and_moves_nothing() -> None:
    logits = torch.randn(3, requires_grad=True)
    loss = task_loss("binary", logits, torch.full((3,), NAN))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([1e4, -1e4])
    assert task_loss("binary", logits, torch.tensor([0.0, 1.0])).item() == pytest.approx(1e4)


def test_losses_come_in_the_order_of_the_heads_with_what_has_labels() -> None:
    heads = (Head("click", "binary"), Head("seconds", "regression"), Head("stars", "rating"))
    logits = {"click": torch.randn(9), "seconds": torch.randn(9), "stars": torch.randn(9)}
    labels = torch.stack([(torch.rand(9) < 0.5).float(), torch.randn(9), torch.full((9,), NAN)], 1)
    losses, labelled = task_losses(logits, labels, heads)
    assert losses[0] == task_loss("binary", logits["click"], labels[:, 0])
    assert losses[1] == task_loss("regression", logits["seconds"], labels[:, 1])
    assert losses[2] == 0
    assert labelled.tolist() == [True, True, False]


HEADS = (Head("click", "binary"), Head("seconds", "regression"))


def test_weights_multiply_the_loss_of_rows_and_leave_the_mean_over_rows() -> None:
    logits = {"click": torch.randn(6), "seconds": torch.randn(6)}
    labels = torch.stack([(torch.rand(6) < 0.5).float(), torch.randn(6)], 1)
    labels[4] = NAN
    weights = torch.rand(6, 2) * 3
    weights[0] = 0.0
    found, labelled = task_losses(logits, labels, HEADS, weights=weights)
    rows = [0, 1, 2, 3, 5]
    click = cross_entropy(logits["click"][rows], labels[rows, 0]) * weights[rows, 0]
    seconds = (logits["seconds"][rows] - labels[rows, 1]) ** 2 * weights[rows, 1]
    torch.testing.assert_close(found, torch.stack([click.sum(), seconds.sum()]) / 5)
    assert labelled.all()


def test_weights_of_1_change_nothing() -> None:
    logits, labels = {"click": torch.randn(6)}, (torch.rand(6, 1) < 0.5).float()
    plain = task_losses(logits, labels, HEADS[:1])[0]
    assert torch.equal(task_losses(logits, labels, HEADS[:1], weights=torch.ones(6, 1))[0], plain)


def test_a_loss_of_groups_compares_labelled_rows_and_is_a_mean_over_them() -> None:
    groups = torch.tensor([7, 9, 7, 7, 9, 9])  # ids, not codes
    labels = torch.tensor([[1.0], [0.0], [0.0], [NAN], [1.0], [0.0]])
    logits = torch.randn(6)
    batch = Batch(torch.zeros(6, 0), torch.zeros(6, 0), {}, labels, groups=groups)
    losses = {"click": LOSSES.get("softmax")}
    found, _ = task_losses(
        {"click": logits}, labels, HEADS[:1], losses, groups=BatchGroups.of(batch, ALONE)
    )
    one = F.cross_entropy(logits[[0, 2]], torch.tensor(0))
    other = F.cross_entropy(logits[[1, 4, 5]], torch.tensor(1))
    torch.testing.assert_close(found[0], (one + other) / 5)


def test_a_loss_of_groups_without_labels_is_zero_and_moves_nothing() -> None:
    logits, labels = torch.randn(3, requires_grad=True), torch.full((3, 1), NAN)
    for name in ("softmax", "ranknet", "bpr", "jrc"):
        groups = BatchGroups(torch.tensor([0, 0, 1]))
        losses = {"click": LOSSES.get(name)}
        found, labelled = task_losses({"click": logits}, labels, HEADS[:1], losses, groups=groups)
        found.sum().backward()
        assert (found.item(), labelled.item()) == (0.0, False)
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_loss_of_groups_needs_groups() -> None:
    losses = {"click": LOSSES.get("bpr")}
    with pytest.raises(RecipeError, match="loss 'bpr': compares the rows of a group, and the bat"):
        task_losses({"click": torch.zeros(2)}, torch.zeros(2, 1), HEADS[:1], losses)
