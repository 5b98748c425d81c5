"""Bags of rows: those of torch, with a gradient that has each row once."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from crosstower.nn.bags import pooled_bags, summed_by_row

IDS = torch.tensor([5, 2, 5, 5, 0, 2, 7])
OFFSETS = torch.tensor([0, 3, 3, 4, 7])  # the second bag is empty


def table(dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    made = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return torch.nn.Parameter(made)


@pytest.mark.parametrize("mode", ["mean", "sum"])
def test_bags_and_gradients_equal_those_of_torch(mode: str) -> None:
    own, theirs = table(), table()
    slopes = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = pooled_bags(IDS, own, OFFSETS, mode)
    expected = F.embedding_bag(IDS, theirs, OFFSETS, mode=mode, include_last_offset=True)
    torch.testing.assert_close(found, expected)
    (found * slopes).sum().backward()
    (expected * slopes).sum().backward()
    assert own.grad is not None
    assert theirs.grad is not None
    assert own.grad.is_sparse
    torch.testing.assert_close(own.grad.to_dense(), theirs.grad)


def test_the_gradient_has_each_row_once() -> None:
    rows = table()
    pooled_bags(IDS, rows, OFFSETS, "sum").sum().backward()
    assert rows.grad is not None
    assert rows.grad._indices().tolist() == [[0, 2, 5, 7]]
    assert rows.grad._values()[:, 0].tolist() == [1.0, 2.0, 3.0, 1.0]


def test_without_values_bags_and_gradients_are_zero() -> None:
    rows = table()
    found = pooled_bags(IDS[:0], rows, torch.zeros(3, dtype=torch.int64), "mean")
    assert found.tolist() == [[0.0] * 3] * 2
    found.sum().backward()
    assert rows.grad is not None
    assert not rows.grad.to_dense().any()


def test_a_gradient_that_is_a_view_is_read_in_its_order() -> None:
    own, theirs = table(), table()
    slopes = torch.randn(3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (pooled_bags(IDS, own, OFFSETS, "sum").T * slopes).sum().backward()
    bags = F.embedding_bag(IDS, theirs, OFFSETS, mode="sum", include_last_offset=True)
    (bags.T * slopes).sum().backward()
    assert own.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(own.grad.to_dense(), theirs.grad)


def test_values_are_summed_by_row_in_float64() -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randint(0, 20, (200,), generator=generator)
    places = torch.randint(0, 50, (200,), generator=generator)
    values = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    distinct, sums = summed_by_row(rows, places, values)

    def expected(row: Tensor) -> Tensor:
        return values[places[rows == row]].sum(0)

    assert distinct.tolist() == sorted(set(rows.tolist()))
    torch.testing.assert_close(sums, torch.stack([expected(row) for row in distinct]))
