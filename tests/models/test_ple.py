"""PLE: specific and shared experts per task."""

import torch

from .multitask import BATCH, LAYOUT, model_of, tower, x0_of


def test_ple_gives_each_tower_its_own_extraction() -> None:
    model = model_of("ple", specific_experts=2, shared_experts=3, levels=2)
    extracted = model.extraction(x0_of(model))
    assert [len(e) for e in model.extraction.layers[0].specific] == [2, 2, 2]
    for task, head in enumerate(LAYOUT.heads):
        torch.testing.assert_close(model(BATCH)[head.name], tower(model, task, extracted[task]))
