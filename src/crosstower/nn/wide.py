"""The wide side: a linear model over one-hot columns, crosses and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from crosstower.data.layout import PADDING, CodeField, Layout, ListField
from crosstower.data.ragged import Lists, Ragged
from crosstower.errors import RecipeError, did_you_mean
from crosstower.nn.shared_tables import CodeRows
from crosstower.nn.table_rows import LocalRows, TableRows, zero_rows


class WideLinear(nn.Module):
    """Linear model over codes, lists and numbers (Cheng et al. 2016, section 3.1).

    y = Σ_codes w[code] + Σ_lists mean(w[codes of the list]) + W x + b. All weights start at zero,
    so that FTRL-proximal can keep unused ones at exactly zero.

    >>> import torch, crosstower as ct
    >>> city = ct.CodeField("city", size=10, table="city")
    >>> wide = WideLinear([(0, city)], [], numbers=1, heads=2)
    >>> wide(torch.tensor([[3], [4]]), torch.zeros(2, 1), {}).shape
    torch.Size([2, 2])

    Args:
        codes: (position in `Batch.codes`, field) pairs; each field has its own weights.
        lists: list fields, averaged.
        numbers: N; 0 omits numbers.
        heads: T.

    """

    def __init__(
        self,
        codes: Sequence[tuple[int, CodeField]],
        lists: Sequence[ListField],
        *,
        numbers: int,
        heads: int,
    ) -> None:
        super().__init__()
        sizes = [f.size for _, f in codes] + [f.size for f in lists]
        offsets = [0, *accumulate(sizes)]
        self.reads = tuple(i for i, _ in codes)
        self.register_buffer("columns", torch.tensor(self.reads, dtype=torch.long))
        self.register_buffer("offsets", torch.tensor(offsets[: len(codes)], dtype=torch.long))
        self._lists = [(f.name, o) for f, o in zip(lists, offsets[len(codes) :], strict=False)]
        fields = [*(f for _, f in codes), *lists]
        self._code_rows = [
            CodeRows(f.table, start, f.size) for f, start in zip(fields, offsets, strict=False)
        ]
        self.weight = zero_rows(offsets[-1], heads) if sizes else None
        self.size = offsets[-1]
        self._sharded: TableRows | None = None
        self.number_weight = nn.Parameter(torch.zeros(numbers, heads)) if numbers else None
        self.bias = nn.Parameter(torch.zeros(heads))

    def forward(self, codes: Tensor, numbers: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, T]` for codes `[B, F]`, numbers `[B, N]` and lists of B rows."""
        total = self.bias.expand(codes.shape[0], -1)
        if self.weight is not None:
            rows = codes.index_select(1, self.get_buffer("columns")).long()
            rows = rows + self.get_buffer("offsets")
            total = self._plus_values(total, rows, lists)
        if self.number_weight is not None:
            total = total + numbers @ self.number_weight
        return total

    def _plus_values(self, total: Tensor, rows: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Add the weights of codes and lists, by one look-up if the table is sharded."""
        table = self._rows()
        if self._sharded is None:
            return self._summed(table, total, rows, lists)
        with table.fetched(self._rows_of(rows, lists)):
            return self._summed(table, total, rows, lists)

    def _summed(
        self, table: TableRows, total: Tensor, rows: Tensor, lists: Mapping[str, Lists]
    ) -> Tensor:
        total = total + table.look_up(rows).sum(1)
        for name, offset in self._lists:
            total = total + _mean(table, lists[name], offset)
        return total

    def _rows_of(self, rows: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        found = [rows.flatten()]
        for name, offset in self._lists:
            column = lists[name]
            values = column.values if isinstance(column, Ragged) else column
            found.append(values.flatten().long() + offset)
        return torch.cat(found)

    @property
    def sharded(self) -> TableRows | None:
        """The weights of codes, if several processes hold them."""
        return self._sharded

    def shard(self, rows: TableRows, own: nn.Parameter) -> None:
        """Replace the weights by rows divided among processes; `own` are those held here."""
        self._sharded, self.weight = rows, own

    def code_rows(self) -> dict[str, list[CodeRows]]:
        """Return the rows of the weight that belong to the codes of each table."""
        return {"weight": self._code_rows} if self._code_rows else {}

    def _rows(self) -> TableRows:
        if self.weight is None:
            raise TypeError("a wide side without columns has no weights to look up")
        return self._sharded or LocalRows(self.weight)


def _mean(table: TableRows, lists: Lists, offset: int) -> Tensor:
    """Return the mean weight `[B, T]` of each list; 0 for an empty list."""
    if isinstance(lists, Ragged):
        return table.bag(lists.values.long() + offset, lists.offsets, mode="mean")
    present = (lists != PADDING).unsqueeze(-1)
    weights = table.look_up(lists.long() + offset) * present
    return weights.sum(1) / present.sum(1).clamp(min=1)


def unread_crosses(layout: Layout, model: nn.Module) -> list[str]:
    """Return names of crosses without a `dim` that no wide side of the model reads."""
    sides = [m for m in model.modules() if isinstance(m, WideLinear)]
    read = {i for side in sides for i in side.reads}
    return [f.name for i, f in enumerate(layout.codes) if f.dim == 0 and i not in read]


def wide_side(
    layout: Layout, *, columns: Sequence[str] | None = None, with_numbers: bool = True
) -> WideLinear:
    """Return a new wide side over coded columns, crosses and numbers of a layout.

    >>> import crosstower as ct
    >>> city = ct.CodeField("city", size=10, table="city")
    >>> heads = (ct.Head("click", "binary"),)
    >>> layout = ct.Layout(codes=(city,), numbers=("age",), lists=(), heads=heads)
    >>> wide_side(layout, columns=["city"], with_numbers=False).weight.shape
    torch.Size([10, 1])

    Args:
        layout: fields, numbers and T heads of the model.
        columns: coded columns and crosses to read; all of them if None.
        with_numbers: whether to read the numbers as well.

    Raises:
        RecipeError: a column is not a coded column or cross of the layout.

    """
    names = [f.name for f in (*layout.codes, *layout.lists)]
    chosen = names if columns is None else list(columns)
    for name in chosen:
        if name not in names:
            raise RecipeError(
                f"model.wide_columns: no coded column '{name}'{did_you_mean(name, names)};"
                f" allowed: {', '.join(names)}"
            )
    codes = [(i, f) for i, f in enumerate(layout.codes) if f.name in chosen]
    lists = [f for f in layout.lists if f.name in chosen]
    numbers = len(layout.numbers) if with_numbers else 0
    return WideLinear(codes, lists, numbers=numbers, heads=len(layout.heads))
