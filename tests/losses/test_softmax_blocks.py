"""Blocks of scores."""

import torch

from crosstower.losses.sampled_softmax import sampled_softmax_loss
from crosstower.losses.softmax_blocks import block_rows

CPU = torch.device("cpu")


def test_a_block_has_about_two_million_scores() -> None:
    assert [block_rows(n, CPU) for n in (0, 100, 20_000, 10_000_000)] == [512, 512, 104, 32]


def test_several_blocks_have_the_loss_and_gradients_of_the_formula() -> None:
    torch.manual_seed(0)
    queries, items = torch.randn(130, 3), torch.randn(40_000, 3)
    assert block_rows(len(items), CPU) < 60  # several blocks, the last one shorter
    positive = torch.randint(0, len(items), (130,))
    found = list[list[torch.Tensor]]()
    for own in (True, False):
        q, c = queries.clone().requires_grad_(), items.clone().requires_grad_()
        whole = torch.nn.functional.cross_entropy
        loss = sampled_softmax_loss(q, c, positive) if own else whole(q @ c.T, positive)
        loss.backward()
        assert q.grad is not None
        assert c.grad is not None
        found.append([loss.detach(), q.grad, c.grad])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-6)
