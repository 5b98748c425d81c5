"""Three tasks and a small batch for models of several tasks."""

from typing import Any

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.models.registry import build

STARS = Head("stars", "rating")
CODES = (CodeField("a", 6, "a"), CodeField("a_b", 9, "a_b", 0))
LAYOUT = Layout(CODES, ("x",), (), (Head("click", "binary"), Head("buy", "binary"), STARS))
BATCH = Batch(
    torch.tensor([[3, 5], [4, 8], [5, 3]]).int(), torch.randn(3, 1), {}, torch.zeros(3, 3)
)
NAMES = ("shared_bottom", "mmoe", "ple", "esmm")


def model_of(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build(LAYOUT, {"name": name, **options}).eval()


def x0_of(model: nn.Module) -> Tensor:
    return model.input(BATCH.codes, BATCH.numbers, {})


def tower(model: nn.Module, task: int, x: Tensor) -> Tensor:
    return model.towers.heads[task](model.towers.towers[task](x))[:, 0]
