"""Shared bottom: one trunk for all tasks, one tower per task."""

import torch

from .multitask import BATCH, LAYOUT, model_of, tower, x0_of


def test_shared_bottom_is_one_trunk_and_a_tower_a_task() -> None:
    model = model_of("shared_bottom", tower_hidden=[5])
    shared = model.trunk(x0_of(model))
    for task, head in enumerate(LAYOUT.heads):
        torch.testing.assert_close(model(BATCH)[head.name], tower(model, task, shared))
