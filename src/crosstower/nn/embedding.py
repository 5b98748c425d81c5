"""Embeddings of all fields of a model in shared tables, with sparse gradients."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.layout import PADDING, RESERVED_CODES, CodeField, ListField
from crosstower.data.ragged import Lists, Ragged
from crosstower.nn.frozen_rows import freeze_rows
from crosstower.nn.pooling import AttentionPool, GruPool, max_pool, ragged_max

INIT_STD = 0.05


@dataclass(frozen=True)
class CodeRows:
    """Rows of a parameter that belong to the codes of a table: the first of them, and how many."""

    table: str
    start: int
    size: int


@dataclass(frozen=True)
class _Place:
    """Location of a field's rows: their parameter and the first row."""

    width: str
    offset: int


@dataclass(frozen=True)
class _Field:
    """Look-up of one field: by its `column` of the codes, or pooled over a list."""

    place: _Place
    column: int | None = None
    pooling: str = ""


class EmbeddingStore(nn.Module):
    """Embeddings of all fields; fields of equal width share one table `[rows, D]`.

    Gradients are sparse, so the cost of a step does not depend on the vocabulary. Rows start as
    N(0, `init_std`²): a standard deviation of 1, common in tutorials, drowns the signal. Rows of
    reserved codes start at zero, the mean of all others, so that a value unseen in training counts
    as an average one.

    >>> import torch, crosstower as ct
    >>> city = ct.CodeField("city", size=10, table="city")
    >>> tags = ct.ListField("tags", size=20, table="tags", length=5)
    >>> store = EmbeddingStore([city], [tags], dim=4)
    >>> codes, lists = torch.tensor([[3], [4]]), {"tags": torch.tensor([[5, 6], [7, 0]])}
    >>> store(codes, lists).shape
    torch.Size([2, 8])

    Args:
        codes: single-valued fields, in the order of `Batch.codes`; fields of dim 0 are skipped.
        lists: list fields, pooled over their values; an empty list gives zeros.
        dim: D of fields that do not set their own; a shared table has the width of its first field.
        init_std: standard deviation of the initial rows.
        dropout: within attention and recurrent pooling.

    """

    def __init__(
        self,
        codes: Sequence[CodeField],
        lists: Sequence[ListField],
        *,
        dim: int,
        init_std: float = INIT_STD,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        used = [(i, f) for i, f in enumerate(codes) if f.dim != 0]
        places, rows = _places([*(f for _, f in used), *lists], dim)
        self.tables = nn.ParameterDict(
            {width: _rows(count, int(width), init_std) for width, count in rows.items()}
        )
        for width, starts in _starts(places).items():
            with torch.no_grad():
                for start in starts:
                    self.tables[width][start : start + RESERVED_CODES] = 0.0
        self._fields = {f.name: _Field(places[f.table], column=i) for i, f in used}
        self._fields |= {f.name: _Field(places[f.table], pooling=f.pooling) for f in lists}
        self.pools = nn.ModuleDict()  # by the field's position, as its name may contain a dot
        for i, f in enumerate(lists):
            if f.pooling in _TRAINED:
                width = int(places[f.table].width)
                self.pools[str(i)] = _TRAINED[f.pooling](width, f.length, dropout=dropout)
        self._code_rows = _code_rows([*(f for _, f in used), *lists], places)
        self._groups = _group(used, places)
        self._lists = [f.name for f in lists]
        self._frozen = frozenset[_Place]()
        for width, (columns, offsets) in self._groups.items():
            self.register_buffer(f"columns_{width}", torch.tensor(columns), persistent=False)
            self.register_buffer(f"offsets_{width}", torch.tensor(offsets), persistent=False)
        self.output_width = sum(self.width(name) for name in self._fields)

    def forward(self, codes: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, W]` for codes `[B, F]` and lists of B rows, or of one row shared by all."""
        parts = [self._single(codes, width) for width in self._groups]
        parts += [self.field(name, codes, lists) for name in self._lists]
        return torch.cat(parts, dim=1) if parts else codes.new_zeros((codes.shape[0], 0)).float()

    @property
    def names(self) -> list[str]:
        """Names of the fields with an embedding, single-valued ones before lists."""
        return list(self._fields)

    def width(self, name: str) -> int:
        """Return D of a field."""
        return int(self._fields[name].place.width)

    def field(self, name: str, codes: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return the embeddings `[B, D]` of one field."""
        field = self._fields[name]
        width, offset = field.place.width, field.place.offset
        if field.column is not None:
            return self._look_up(codes[:, field.column].long() + offset, width)
        return self._pooled(name, lists[name]).expand(codes.shape[0], -1)

    def _pooled(self, name: str, values: Lists) -> Tensor:
        """Return `[B, D]` for a list field of B rows, or `[1, D]` for a list shared by all rows."""
        field = self._fields[name]
        if field.pooling in ("mean", "sum"):
            return self._bag(values, field)
        if isinstance(values, Ragged):
            if field.pooling == "max":  # needs no padding to the longest list
                codes = values.values.long() + field.place.offset
                return ragged_max(self._look_up(codes, field.place.width), values)
            values = values.to_longest()
        values = _without_tail(values)
        present = values != PADDING
        rows = self._look_up(values.long() + field.place.offset, field.place.width)  # [B, L, D]
        if field.pooling == "max":
            return max_pool(rows, present)
        return self.pools[str(self._lists.index(name))](rows, present)

    def _single(self, codes: Tensor, width: str) -> Tensor:
        columns, offsets = self.get_buffer(f"columns_{width}"), self.get_buffer(f"offsets_{width}")
        return self.rows(codes, columns, offsets, int(width))

    def rows(self, codes: Tensor, columns: Tensor, offsets: Tensor, width: int) -> Tensor:
        """Return the embeddings `[B, F * width]` of F single-valued fields, in one look-up.

        Args:
            codes: of the batch, `[B, F]`.
            columns: `[F]`, the fields' columns of the codes, from `places_of`.
            offsets: `[F]`, the fields' first rows, from `places_of`.
            width: D of all these fields.

        """
        found = self._look_up(codes.index_select(1, columns).long() + offsets, str(width))
        return found.flatten(1)

    def places_of(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return columns `[F]` of the codes and first rows `[F]` of single-valued fields."""
        fields = [self._fields[name] for name in names]
        columns = torch.tensor([field.column for field in fields], dtype=torch.long)
        return columns, torch.tensor([field.place.offset for field in fields], dtype=torch.long)

    def is_single(self, name: str) -> bool:
        """Return whether a field is single-valued rather than a list."""
        return self._fields[name].column is not None

    def freeze(self, names: Collection[str]) -> None:
        """Freeze the rows and the trained pooling of fields; other columns are ignored.

        The rows of a shared table are frozen for all its fields.
        """
        self._frozen = frozenset(self._fields[name].place for name in names if name in self._fields)
        for name in names:
            if (pool := self._pool(name)) is not None:
                pool.requires_grad_(requires_grad=False)
        for width, table in self.tables.items():
            rows = self._code_rows[f"tables.{width}"]
            frozen = [r for r in rows if _Place(width, r.start) in self._frozen]
            freeze_rows(table, [range(r.start, r.start + r.size) for r in frozen])

    def is_trained(self, name: str) -> bool:
        """Return whether a field has rows or pooling that are not frozen."""
        pool = self._pool(name)
        pooled = pool is not None and any(p.requires_grad for p in pool.parameters())
        return pooled or self._fields[name].place not in self._frozen

    def _pool(self, name: str) -> nn.Module | None:
        """Return the trained pooling of a field, None without one."""
        place = str(self._lists.index(name)) if name in self._lists else ""
        return dict(self.pools.items()).get(place)

    def code_rows(self) -> dict[str, list[CodeRows]]:
        """Return, by parameter, which of its rows belong to the codes of which table."""
        return self._code_rows

    def _bag(self, lists: Lists, field: _Field) -> Tensor:
        """Return mean or sum `[B, D]`, without a tensor of all looked-up rows."""
        table, offset = self.tables[field.place.width], field.place.offset
        ragged = isinstance(lists, Ragged)
        codes = lists.values if ragged else lists
        pooled = F.embedding_bag(
            (codes.long() + offset).to(table.device),
            table,
            lists.offsets.to(table.device) if ragged else None,
            mode=field.pooling,
            sparse=True,
            include_last_offset=ragged,
            padding_idx=None if ragged else offset + PADDING,
        )
        return pooled.to(codes.device)

    def _look_up(self, rows: Tensor, width: str) -> Tensor:
        # Sparse is about the gradient; a compiler has no code of its own for a sparse look-up.
        table = self.tables[width]
        found = F.embedding(rows.to(table.device), table, sparse=torch.is_grad_enabled())
        return found.to(rows.device)  # a table may be in host memory: rows go there and back


_TRAINED: dict[str, type[AttentionPool | GruPool]] = {"attention": AttentionPool, "gru": GruPool}


def offload_embeddings(model: nn.Module, device: torch.device | str) -> None:
    """Move the embedding tables of a model to `device`; its other parameters stay."""
    for module in model.modules():
        if isinstance(module, EmbeddingStore):
            module.tables.to(device)


def device_of(model: nn.Module) -> torch.device:
    """Return the device that a model computes on, regardless of that of its embedding tables."""
    stores = [m for m in model.modules() if isinstance(m, EmbeddingStore)]
    tables = {id(p) for store in stores for p in store.tables.values()}
    parameters = list(model.parameters())
    return next((p for p in parameters if id(p) not in tables), parameters[0]).device


def _without_tail(values: Tensor) -> Tensor:
    """Return lists `[B, L]` without trailing columns of padding; at least one column stays.

    A compiled or exported model keeps all columns, as its shapes must not depend on values.
    """
    if torch.compiler.is_compiling() or not len(values):
        return values
    longest = int((values != PADDING).sum(1).max())
    return values[:, : max(longest, 1)]


def _places(
    fields: Sequence[CodeField | ListField], dim: int
) -> tuple[dict[str, _Place], dict[str, int]]:
    places: dict[str, _Place] = {}
    rows: dict[str, int] = {}
    for field in fields:
        width = str(field.dim or dim)
        if field.table not in places:
            places[field.table] = _Place(width, rows.get(width, 0))
            rows[width] = rows.get(width, 0) + field.size
    return places, rows


def _code_rows(
    fields: Sequence[CodeField | ListField], places: Mapping[str, _Place]
) -> dict[str, list[CodeRows]]:
    rows: dict[str, list[CodeRows]] = {}
    for table, size in {f.table: f.size for f in reversed(fields)}.items():
        place = places[table]
        rows.setdefault(f"tables.{place.width}", []).append(CodeRows(table, place.offset, size))
    return rows


def _rows(count: int, width: int, std: float) -> nn.Parameter:
    return nn.Parameter(torch.empty(count, width).normal_(0.0, std))  # without a second copy


def _starts(places: dict[str, _Place]) -> dict[str, list[int]]:
    starts: dict[str, list[int]] = {}
    for place in places.values():
        starts.setdefault(place.width, []).append(place.offset)
    return starts


def _group(
    used: list[tuple[int, CodeField]], places: dict[str, _Place]
) -> dict[str, tuple[list[int], list[int]]]:
    groups: dict[str, tuple[list[int], list[int]]] = {}
    for column, field in used:
        place = places[field.table]
        columns, offsets = groups.setdefault(place.width, ([], []))
        columns.append(column)
        offsets.append(place.offset)
    return groups
