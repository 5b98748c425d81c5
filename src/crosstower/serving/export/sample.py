"""Random requests in code space: any code may occur."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Generator, Tensor

from crosstower.data.layout import PADDING, Layout, ListField
from crosstower.data.ragged import Lists
from crosstower.data.request_batch import Request


def sample(layout: Layout, rows: int, *, shared: Iterable[str] = (), seed: int = 0) -> Request:
    """Return a request with codes, numbers and lists of all lengths.

    Args:
        layout: of the model.
        rows: B, at least 1.
        shared: the columns with one value in all rows.
        seed: of the draw.

    """
    own, random = frozenset(shared), torch.Generator().manual_seed(seed)
    codes = torch.empty(rows, len(layout.codes), dtype=torch.int32)
    for place, field in enumerate(layout.codes):
        codes[:, place] = torch.randint(PADDING + 1, field.size, (rows,), generator=random)
    numbers = torch.randn(rows, len(layout.numbers), generator=random)
    _share(codes, [field.name in own for field in layout.codes])
    _share(numbers, [column in own for column in layout.columns_of_numbers()])
    lists: dict[str, Lists] = {}
    for field in layout.lists:
        listed = _lists(field, 1 if field.name in own else rows, random)
        lists[field.name] = listed
        if field.ages is not None:
            lists[field.ages] = _ages(listed, random)
    return Request(codes, numbers, lists, torch.empty(rows, 0), own)


def _ages(listed: Tensor, random: Generator) -> Tensor:
    """Return ages from a second to decades, the oldest first."""
    ages = (torch.rand(listed.shape, generator=random) * 20).exp().long()
    return ages.sort(descending=True).values.masked_fill(listed == PADDING, 0)


def _share(table: Tensor, shared: list[bool]) -> None:
    columns = torch.tensor(shared, dtype=torch.bool)
    table[:, columns] = table[:1, columns]


def _lists(field: ListField, rows: int, random: Generator) -> Tensor:
    size = (rows, field.length)
    codes = torch.randint(PADDING + 1, field.size, size, generator=random, dtype=torch.int32)
    counts = torch.randint(0, field.length + 1, (rows, 1), generator=random)
    return codes.masked_fill(torch.arange(field.length) >= counts, PADDING)
