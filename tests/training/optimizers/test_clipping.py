"""The joint norm of gradients, and its limit."""

import math

import pytest
import torch

from crosstower.data.layout import CodeField, Head, Layout
from crosstower.models.registry import build
from crosstower.recipe.training import Training
from crosstower.training.optimizers import build_optimizers, clip_gradients

LAYOUT = Layout((CodeField("a", 9, "a"),), ("x",), (), (Head("click", "binary"),))


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(LAYOUT, {"name": "wide_deep"})


def with_gradients(scale: float) -> tuple[torch.nn.Module, list[torch.optim.Optimizer]]:
    wide_deep = model()
    for parameter in wide_deep.parameters():
        parameter.grad = torch.randn_like(parameter) * scale
    table = wide_deep.input.embed.tables["16"]
    rows = torch.tensor([[4, 4, 7]])
    table.grad = torch.sparse_coo_tensor(
        rows, torch.randn(3, 16) * scale, table.shape, check_invariants=True
    )
    return wide_deep, build_optimizers(wide_deep, Training())


def total(wide_deep: torch.nn.Module) -> float:
    squares = [float(p.grad.to_dense().square().sum()) for p in wide_deep.parameters()]
    return math.sqrt(sum(squares))


def test_the_norm_counts_sparse_rows_once_and_is_limited() -> None:
    wide_deep, optimizers = with_gradients(5.0)
    expected = total(wide_deep)
    assert clip_gradients(optimizers, 1.0) == pytest.approx(expected, rel=1e-5)
    assert total(wide_deep) == pytest.approx(1.0, rel=1e-5)


def test_a_small_norm_is_left_alone() -> None:
    wide_deep, optimizers = with_gradients(1e-3)
    expected = total(wide_deep)
    clip_gradients(optimizers, 10.0)
    assert total(wide_deep) == expected


def test_an_infinite_norm_is_returned_for_the_trainer_to_refuse() -> None:
    wide_deep, optimizers = with_gradients(1.0)
    wide_deep.combine.head.weight.grad[0, 0] = math.inf
    assert clip_gradients(optimizers, 10.0) == math.inf
