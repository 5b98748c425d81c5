import numpy as np
import pytest
import torch
from torch import Tensor

from crosstower.losses.sampled_softmax import (
    mixed_log_q,
    sampled_softmax_loss,
)

ITEMS, DIM = 12, 3


def catalogue() -> tuple[Tensor, Tensor, Tensor]:
    """Query, item vectors and a skewed popularity."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(DIM, generator=generator)
    items = torch.randn(ITEMS, DIM, generator=generator)
    popularity = torch.softmax(2 * torch.randn(ITEMS, generator=generator), 0)
    return query, items, popularity


def negatives_of(positive: int) -> Tensor:
    """Popularity of all items but the positive."""
    _, _, others = catalogue()
    others[positive] = 0.0
    return others / others.sum()


def full_gradient(positive: int) -> Tensor:
    """Oracle: the gradient of the softmax over the whole catalogue, in closed form."""
    query, items, _ = catalogue()
    p = torch.softmax(items @ query, 0)
    return p @ items - items[positive]


def sampled_gradient(positive: int, drawn: Tensor, log_q: Tensor | None) -> Tensor:
    query, items, _ = catalogue()
    query.requires_grad_()
    both = torch.cat([torch.tensor([positive]), drawn])
    ids, place, counts = torch.unique(both, return_inverse=True, return_counts=True)
    q = None if log_q is None else log_q[ids]
    sampled_softmax_loss(
        query.unsqueeze(0), items[ids], place[:1], log_q=q, counts=counts.float()
    ).backward()
    assert query.grad is not None
    return query.grad


def mean_gradient(draw: Tensor, log_q: Tensor | None, *, positive: int = 4) -> Tensor:
    gradients = [sampled_gradient(positive, row, log_q) for row in draw]
    return torch.stack(gradients).mean(0)


def test_the_corrected_gradient_agrees_in_expectation_with_the_full_softmax() -> None:
    others = negatives_of(4)
    generator = torch.Generator().manual_seed(1)
    draw = torch.multinomial(others.expand(300, -1), 600, replacement=True, generator=generator)
    exact = full_gradient(4)
    with_correction = mean_gradient(draw, torch.log(600 * others))
    without = mean_gradient(draw, None)
    assert torch.allclose(with_correction, exact, atol=0.02)
    assert (without - exact).norm() > 10 * (with_correction - exact).norm()


def test_the_gradient_of_a_mixture_agrees_too() -> None:
    others = negatives_of(4)
    generator = torch.Generator().manual_seed(2)
    drawn = torch.multinomial(others.expand(300, -1), 400, replacement=True, generator=generator)
    choices = torch.tensor([i for i in range(ITEMS) if i != 4])
    uniform = choices[torch.randint(0, ITEMS - 1, (300, 200), generator=generator)]
    log_q = mixed_log_q(others, in_batch=400, uniform=200, catalogue=ITEMS - 1)
    mean = mean_gradient(torch.cat([drawn, uniform], 1), log_q)
    assert torch.allclose(mean, full_gradient(4), atol=0.02)


def naive(
    queries: Tensor, items: Tensor, drawn: Tensor, log_q: Tensor | None, *, masked: bool
) -> Tensor:
    """Oracle: one column a draw, row i's positive is draw i."""
    logits = queries @ items[drawn].T
    rows = torch.arange(len(queries))
    if log_q is not None:
        own = logits[rows, rows]
        logits = logits - log_q[drawn]
        logits[rows, rows] = own  # the positive is there for sure
    if masked:
        same = drawn.unsqueeze(0) == drawn[rows].unsqueeze(1)
        same[rows, rows] = False
        logits = logits.masked_fill(same, -torch.inf)
    return torch.nn.functional.cross_entropy(logits, rows)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("corrected_by_q", [True, False])
@pytest.mark.parametrize("rows", [5, 700])
def test_loss_and_gradients_are_those_of_one_column_a_draw(
    rows: int, *, masked: bool, corrected_by_q: bool
) -> None:
    generator = torch.Generator().manual_seed(rows)
    queries = torch.randn(rows, DIM, generator=generator, requires_grad=True)
    items = torch.randn(ITEMS, DIM, generator=generator, requires_grad=True)
    drawn = torch.randint(0, ITEMS, (rows + 30,), generator=generator)
    log_q = torch.randn(ITEMS, generator=generator) if corrected_by_q else None
    expected = naive(queries, items, drawn, log_q, masked=masked)
    slopes = torch.autograd.grad(expected, [queries, items])
    ids, place, counts = torch.unique(drawn, return_inverse=True, return_counts=True)
    loss = sampled_softmax_loss(
        queries,
        items[ids],
        place[:rows],
        log_q=None if log_q is None else log_q[ids],
        counts=counts.float(),
        mask_accidental=masked,
    )
    torch.testing.assert_close(loss, expected)
    for found, slope in zip(torch.autograd.grad(loss, [queries, items]), slopes, strict=True):
        torch.testing.assert_close(found, slope, atol=1e-6, rtol=1e-4)


def test_the_full_softmax_is_cross_entropy_over_the_catalogue() -> None:
    query, items, _ = catalogue()
    loss = sampled_softmax_loss(query.unsqueeze(0), items, torch.tensor([4]))
    scores = (items @ query).double().numpy()
    assert loss.item() == pytest.approx(np.log(np.exp(scores).sum()) - scores[4], rel=1e-5)


def test_bfloat16_comes_near_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, items = (torch.randn(64, 16, generator=generator) / 4 for _ in range(2))
    place = torch.arange(64)
    full = sampled_softmax_loss(queries, items, place)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = sampled_softmax_loss(queries, items, place)
    assert half.item() == pytest.approx(full.item(), rel=0.01)


def test_q_of_a_mixture_is_how_often_the_candidates_hold_the_item() -> None:
    p, hard = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.0, 2.0, 1.0, 3.0])
    q = mixed_log_q(p, in_batch=30, uniform=10, catalogue=4, hard=hard).exp()
    assert torch.allclose(q, 30 * p + 10 / 4 + hard)
    assert q.sum().item() == pytest.approx(46.0)
