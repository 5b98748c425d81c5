"""The softmax of pairs that share queries, compared with that of pairs that do not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from crosstower.data.ragged import Ragged
from crosstower.losses.registry import LOSSES
from crosstower.losses.shared_softmax import shared_softmax_loss
from crosstower.recipe.retrieval import Retrieval


def inputs(queries: int, pairs: int) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    q, c = (torch.randn(n, 5, generator=random) for n in (queries, 11))
    owner = torch.randint(0, queries, (pairs,), generator=random).sort().values
    return q, c, owner, torch.randint(0, 11, (pairs,), generator=random)


def test_it_is_the_likelihood_of_a_multinomial() -> None:
    """Oracle: -Σ_u Σ_i x_ui log π_ui in float64 (Liang et al. 2018, equation 2), per pair."""
    q, c, owner, positive = inputs(4, 9)
    scores = q.double().numpy() @ c.double().numpy().T
    log_pi = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    counts = np.zeros_like(scores)
    np.add.at(counts, (owner.numpy(), positive.numpy()), 1.0)
    expected = -(counts * log_pi).sum() / len(owner)
    assert shared_softmax_loss(q, c, owner, positive).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("queries", [3, 700, 1200])
def test_loss_and_gradients_are_those_of_one_query_per_pair(queries: int) -> None:
    q, c, owner, positive = inputs(queries, 900)  # some queries have no pair, and several blocks
    found, expected = ([t.clone().requires_grad_() for t in (q, c)] for _ in range(2))
    (3.0 * shared_softmax_loss(found[0], found[1], owner, positive)).backward()
    loss = nn.functional.cross_entropy((expected[0] @ expected[1].T)[owner], positive)
    (3.0 * loss).backward()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("queries", [3, 1200])
def test_items_left_out_have_no_probability_and_no_gradient(queries: int) -> None:
    q, c, owner, positive = inputs(queries, 900)
    random = torch.Generator().manual_seed(1)
    outside = torch.rand(queries, len(c), generator=random) < 0.3
    outside[owner, positive] = False
    left_out = Ragged.of(outside.nonzero()[:, 1].numpy(), outside.sum(1).numpy(), len(c))
    found, expected = ([t.clone().requires_grad_() for t in (q, c)] for _ in range(2))
    loss = shared_softmax_loss(found[0], found[1], owner, positive, left_out)
    logits = (expected[0] @ expected[1].T).masked_fill(outside, -torch.inf)
    exact = nn.functional.cross_entropy(logits[owner], positive)
    torch.testing.assert_close(loss, exact)
    loss.backward()
    exact.backward()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_a_step_leaves_out_the_history_unless_lists_show_it() -> None:
    q, c, owner, positive = inputs(2, 4)
    others = np.setdiff1d(np.arange(11), positive.numpy())
    history = Ragged.of(others, np.array([len(others), 0]), 11)
    step = SimpleNamespace(
        distinct_queries=q, vectors=lambda: c, owner=owner, positives=positive, history=history
    )
    compute = LOSSES.get("full_softmax").compute
    for exclude_seen, left_out in ((True, history), (False, None)):
        step.section = Retrieval(item="film", user="user", exclude_seen=exclude_seen)
        assert compute(step) == shared_softmax_loss(q, c, owner, positive, left_out)
    whole = compute(step)
    step.section, step.history = Retrieval(item="film", user="user"), None
    assert compute(step) == whole > shared_softmax_loss(q, c, owner, positive, history)


def test_products_in_bfloat16_change_little() -> None:
    q, c, owner, positive = inputs(6, 40)
    exact = shared_softmax_loss(q, c, owner, positive)
    with torch.autocast("cpu", torch.bfloat16):
        low = shared_softmax_loss(q, c, owner, positive)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, exact, rtol=2e-2, atol=2e-2)
