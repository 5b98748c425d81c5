import math

import torch

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.losses.pointwise import PointwiseObjective, column_statistics
from crosstower.losses.task_balance import StaticBalance
from crosstower.losses.tasks import task_loss
from crosstower.models.registry import build

LAYOUT = Layout((CodeField("a", 13, "a"),), ("x",), (), (Head("click", "binary"),))


def test_statistics_show_range_and_mean_of_each_column() -> None:
    batch = Batch(
        torch.tensor([[3], [4]]).int(),
        torch.tensor([[1.0], [3.0]]),
        {},
        torch.tensor([[1.0], [math.nan]]),
    )
    lines = column_statistics(LAYOUT, batch)
    assert lines == ["  x: min 1, mean 2, max 3", "  label click: min 1, mean 1, max 1"]


def test_the_loss_is_that_of_the_logits() -> None:
    torch.manual_seed(0)
    model = build(LAYOUT, {"name": "mlp"}).eval()
    labels = torch.tensor([[1.0], [0.0], [math.nan]])
    batch = Batch(torch.tensor([[3], [4], [5]]).int(), torch.randn(3, 1), {}, labels)
    objective = PointwiseObjective(LAYOUT, StaticBalance([2.0]))
    loss = objective.loss(model, batch)
    torch.testing.assert_close(loss, 2 * task_loss("binary", model(batch)["click"], labels[:, 0]))
    objective.backward(model, loss)
    assert all(p.grad is not None for p in model.parameters())
    assert objective.log_values() == {"weight.click": 2.0}
