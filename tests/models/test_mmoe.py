"""MMoE: a mixture of experts per task."""

import torch

from .multitask import BATCH, LAYOUT, model_of, tower, x0_of


def test_mmoe_gives_each_tower_its_own_mixture() -> None:
    model = model_of("mmoe", experts=3)
    mixed = model.mixture(x0_of(model))
    assert len(model.mixture.experts) == 3
    for task, head in enumerate(LAYOUT.heads):
        torch.testing.assert_close(model(BATCH)[head.name], tower(model, task, mixed[task]))
