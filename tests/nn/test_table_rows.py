"""Rows of tables: those of one process are the same that one process alone would have."""

import pytest
import torch

from crosstower.nn import table_rows
from crosstower.nn.table_rows import LocalRows, Share, building, normal_rows, zero_rows


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("total", [5, 37, 64])
def test_blocks_are_the_rows_of_the_whole_table(
    size: int, total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "_DRAWN", 48)  # several draws per table
    zeros = [range(3), range(4, 5)]
    torch.manual_seed(5)
    whole, after = normal_rows(total, 3, 0.1, zeros=zeros), torch.randn(3)
    parts: list[torch.Tensor] = []
    for rank in range(size):
        torch.manual_seed(5)
        with building(Share(rank, size)):
            parts.append(normal_rows(total, 3, 0.1, zeros=zeros).detach())
            assert len(zero_rows(total, 2)) == len(parts[-1])
        assert torch.equal(torch.randn(3), after)  # what is drawn next is the same as well
    assert torch.equal(torch.cat(parts), whole)
    assert not whole[:3].any()


def test_shares_are_blocks_of_equal_size_but_the_last() -> None:
    assert [Share(rank, 3).of(7) for rank in range(3)] == [range(3), range(3, 6), range(6, 7)]
    assert [Share(rank, 3).of(4) for rank in range(3)] == [range(2), range(2, 4), range(4, 4)]


def test_local_rows_have_sparse_gradients() -> None:
    table = torch.nn.Parameter(torch.arange(8.0).view(4, 2))
    local = LocalRows(table)
    with local.fetched(torch.tensor([1])):
        found = local.look_up(torch.tensor([[1], [3]]))
    assert found.tolist() == [[[2.0, 3.0]], [[6.0, 7.0]]]
    bags = local.bag(torch.tensor([[1, 3], [2, 0]]), None, mode="sum", padding=0)
    assert bags.tolist() == [[8.0, 10.0], [4.0, 5.0]]
    bags.sum().backward()
    assert table.grad is not None
    assert table.grad.is_sparse
    assert table.grad.to_dense()[:, 0].tolist() == [0.0, 1.0, 1.0, 1.0]
