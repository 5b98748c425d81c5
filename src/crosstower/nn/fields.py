"""The input of a model of field interactions: one vector per column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from crosstower.data.layout import Layout
from crosstower.data.ragged import Lists
from crosstower.nn.embedding import INIT_STD, EmbeddingStore
from crosstower.nn.inputs import as_autocast


class FieldInput(nn.Module):
    """One vector of width D per column: `[B, F, D]`, F = `len(names)`.

    A column of another width is projected to D by a matrix of its own (mixed dimensions: Ginart et
    al. 2021, arXiv 1909.11810). For the vector of a numeric column, see `NumberFields`.

    >>> import torch, crosstower as ct
    >>> user = ct.CodeField("user_id", size=100, table="user_id")
    >>> layout = ct.Layout(codes=(user,), numbers=("age",), lists=(), heads=())
    >>> read = FieldInput(layout, dim=4)
    >>> read(torch.tensor([[7], [8]]), torch.tensor([[0.3], [-1.2]]), {}).shape, read.names
    (torch.Size([2, 2, 4]), ('user_id', 'age'))

    Args:
        layout: fields and numbers of the model.
        dim: D.
        with_numbers: whether numeric columns are fields.

    """

    def __init__(self, layout: Layout, *, dim: int, with_numbers: bool = True) -> None:
        super().__init__()
        self.embed = EmbeddingStore(layout.codes, layout.lists, dim=dim)
        names = _in_order_of_output(self.embed)
        runs = [(w, len(list(run))) for w, run in groupby(self.embed.width(n) for n in names)]
        self._widths = [width * count for width, count in runs]
        self.resize = nn.ModuleList([_resized(width, count, dim) for width, count in runs])
        columns = layout.columns_of_numbers() if with_numbers else ()
        self.numbers = NumberFields(columns, dim=dim) if columns else None
        self.names = (*names, *(self.numbers.names if self.numbers else ()))
        self._dim = dim
        self.output_width = len(self.names) * dim

    def forward(self, codes: Tensor, numbers: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, F, D]` for codes `[B, C]`, numbers `[B, N]` and lists of B rows."""
        fields = [numbers.new_zeros((numbers.shape[0], 0, self._dim))]  # without any other field
        if self._widths:
            parts = self.embed(codes, lists).split(self._widths, dim=1)
            fields = [resize(part) for resize, part in zip(self.resize, parts, strict=True)]
        if self.numbers is not None:
            fields.append(self.numbers(numbers))
        return torch.cat([as_autocast(part) for part in fields], dim=1)


class NumberFields(nn.Module):
    """One vector per numeric column: x v, with a learned v of width D.

    Song et al. 2019 (arXiv 1810.11921), section 4.2. A column with several components x_c, such as
    a vector or a number with an indicator of missing values, has one vector: Σ_c x_c v_c. Columns
    with several components follow the others.

    >>> import torch
    >>> fields = NumberFields(["text", "text", "age"], dim=4)
    >>> fields(torch.ones(5, 3)).shape, fields.names
    (torch.Size([5, 2, 4]), ('age', 'text'))

    Args:
        columns: the column of each of N numbers.
        dim: D.

    """

    def __init__(self, columns: Sequence[str], *, dim: int) -> None:
        super().__init__()
        counts = Counter(columns)
        single = [name for name in counts if counts[name] == 1]
        several = [name for name in counts if counts[name] > 1]
        self.names = (*single, *several)
        order = [i for name in self.names for i, column in enumerate(columns) if column == name]
        self.register_buffer("order", torch.tensor(order), persistent=False)
        self._sizes = [len(single), *(counts[name] for name in several)]
        self.single = nn.Parameter(INIT_STD * torch.randn(len(single), dim)) if single else None
        self.several = nn.ParameterList(
            [nn.Parameter(INIT_STD * torch.randn(counts[name], dim)) for name in several]
        )

    def forward(self, numbers: Tensor) -> Tensor:
        """Return `[B, F, D]` for numbers `[B, N]`."""
        ordered = numbers.index_select(1, self.get_buffer("order"))
        single, *several = ordered.split(self._sizes, dim=1)
        fields = [(x @ v).unsqueeze(1) for x, v in zip(several, self.several, strict=True)]
        if self.single is not None:
            fields = [single.unsqueeze(-1) * self.single, *fields]
        return torch.cat(fields, dim=1)


class _Apart(nn.Module):
    """Fields of width D, apart: `[B, F * D]` to `[B, F, D]`."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self._shape = count, width

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, self._shape)


class _Projected(nn.Module):
    """Fields of another width V, each times a matrix: `[B, F * V]` to `[B, F, D]`."""

    def __init__(self, width: int, count: int, dim: int) -> None:
        super().__init__()
        self.apart = _Apart(width, count)
        self.weight = nn.Parameter(torch.randn(count, width, dim) * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bfv,fvd->bfd", self.apart(x), self.weight)


def _resized(width: int, count: int, dim: int) -> nn.Module:
    return _Apart(width, count) if width == dim else _Projected(width, count, dim)


def _in_order_of_output(store: EmbeddingStore) -> list[str]:
    """Return the fields of a store as its output has them: by width, then lists."""
    single = [name for name in store.names if store.is_single(name)]
    widths = dict.fromkeys(store.width(name) for name in single)
    ordered = [name for width in widths for name in single if store.width(name) == width]
    return ordered + [name for name in store.names if not store.is_single(name)]
