"""MMoE: a mixture of experts per task."""

import torch

from .multitask import BATCH, LAYOUT, model_of, tower, x0_of


def test_gates_are_softmax_of_their_logits() -> None:
    model = model_of("mmoe", experts=3)
    for task, (head, weights) in enumerate(model.gates(BATCH).items()):
        assert head == LAYOUT.heads[task].name
        logits = x0_of(model) @ model.mixture.gates[task].linear.weight.T
        expected = logits.exp() / logits.exp().sum(1, keepdim=True)
        torch.testing.assert_close(weights, expected)
        outputs = torch.stack([expert(x0_of(model)) for expert in model.mixture.experts], 1)
        mixed = (weights[:, :, None] * outputs).sum(1)
        torch.testing.assert_close(model.mixture(x0_of(model))[task], mixed)


def test_mmoe_gives_each_tower_its_own_mixture() -> None:
    model = model_of("mmoe", experts=3)
    mixed = model.mixture(x0_of(model))
    assert len(model.mixture.experts) == 3
    for task, head in enumerate(LAYOUT.heads):
        torch.testing.assert_close(model(BATCH)[head.name], tower(model, task, mixed[task]))
