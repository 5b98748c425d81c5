"""Draws of negatives, and how often each item is expected among them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from crosstower.recipe.retrieval import Retrieval
from crosstower.retrieval.data.pairs import Pairs
from crosstower.retrieval.negatives import NegativeSampler

from .test_objective import ITEMS, USERS, model, pairs


def sampler(size: int, top: Tensor | None = None, **section: Any) -> NegativeSampler:
    return NegativeSampler(
        Retrieval.model_validate({"item": "item", **section}),
        ITEMS,
        batch_size=size,
        top_lists=lambda _model, _k: torch.empty(0, 0) if top is None else top,
        user_rows=torch.tensor([4, 0, 2, 2, 0, 0]),
    )


def batch(users: list[int]) -> Pairs:
    return pairs(torch.tensor(users), torch.tensor([0, 1, 2, 3]))


def test_hard_negatives_come_from_the_users_lists() -> None:
    top = torch.tensor([[7, 8]] * USERS)
    top[2] = torch.tensor([6, -1])
    one = sampler(4, top, negatives={"hard": 2, "hard_pool": 2})
    one.begin_epoch(model())
    assert set(one.drawn(batch([2, 2, 2, 2]))[4:].tolist()) == {6}
    drawn = one.drawn(batch([1, 1, 1, 1]))
    assert set(drawn[4:].tolist()) <= {7, 8}
    assert len(drawn) == 4 + 8
    share = torch.zeros(ITEMS)
    share[6], share[7], share[8] = 0.25 / 2, 0.75 / 2, 0.75 / 2
    torch.testing.assert_close(one.hard_share, share)


def test_positives_come_first_then_uniform_items() -> None:
    one = sampler(4, negatives={"uniform": 5})
    torch.manual_seed(3)
    drawn = one.drawn(batch([0, 1, 2, 3]))
    torch.manual_seed(3)
    assert drawn.tolist() == [0, 1, 2, 3, *one.uniform().tolist()]


@pytest.mark.parametrize(("in_batch", "counts"), [(True, [2.0, 1.0, 1.0]), (False, [1.0, 0, 1.0])])
def test_positives_are_negatives_of_the_others_only_in_batch(
    in_batch: bool, counts: list[float]
) -> None:
    one = sampler(2, negatives={"in_batch": in_batch, "uniform": 2})
    found = one.negative_counts(torch.tensor([2, 1, 1]), torch.tensor([0, 1, 0, 2]), 2)
    assert found.tolist() == counts


def test_the_expected_draws_are_those_of_the_stream_and_the_uniform_items() -> None:
    one = sampler(4, negatives={"uniform": 6})
    assert sampler(4, log_q=False).log_q(torch.tensor([1]), torch.tensor([1])) is None
    for _ in range(200):  # each batch has item 1, none has item 8
        found = one.log_q(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 8]))
    assert found is not None
    often, never = found.exp().tolist()
    assert never == pytest.approx(6 / ITEMS, rel=0.01)
    assert often == pytest.approx(3 * 0.25 + 6 / ITEMS, rel=0.05)


def test_state_comes_back() -> None:
    one, other = sampler(4), sampler(4)
    for item in (1, 1, 5):
        one.frequency.update(torch.tensor([item]))
    other.restore({k: v.clone() for k, v in one.state().items()})
    ids = torch.arange(ITEMS)
    torch.testing.assert_close(
        other.frequency.probability(ids, batch_size=4), one.frequency.probability(ids, batch_size=4)
    )
