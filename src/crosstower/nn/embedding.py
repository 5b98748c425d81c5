"""Embeddings of all fields of a model in shared tables, with sparse gradients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from crosstower.data.layout import PADDING, CodeField, ListField
from crosstower.data.prefixes import Prefixes
from crosstower.data.ragged import Lists, Ragged, joined_lists
from crosstower.nn.pooling import max_pool, ragged_max, without_tail
from crosstower.nn.propagated_rows import PropagatedRows
from crosstower.nn.shared_tables import (
    CodeRows,
    Place,
    code_rows_of,
    grouped_by_width,
    places_of_tables,
    reserved_rows,
)
from crosstower.nn.table_rows import LocalRows, Share, TableRows, normal_rows
from crosstower.nn.target_attention import TargetAttention
from crosstower.nn.trained_pooling import SequencePool, build_pooling

INIT_STD = 0.05


@dataclass(frozen=True)
class _Field:
    """Look-up of one field: by its `column` of the codes, or a list pooled for its `target`."""

    place: Place
    column: int | None = None
    pooling: str = ""
    target: str = ""
    ages: str | None = None


@dataclass(frozen=True)
class Inputs:
    """Inputs of a store: codes `[B, F]`, lists by field, and the fields that are read of them.

    All fields are read if `names` is None.
    """

    codes: Tensor
    lists: Mapping[str, Lists]
    names: Collection[str] | None = None

    def reads(self, name: str) -> bool:
        """Return whether a field is read."""
        return self.names is None or name in self.names


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
        dropout: within trained pooling.

    Raises:
        RecipeError: a pooling does not exist, or has no such option.

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
        places, self._sizes = places_of_tables([*(f for _, f in used), *lists], dim)
        self._code_rows = code_rows_of([*(f for _, f in used), *lists], places)
        self._groups, zeros = grouped_by_width(used, places), reserved_rows(places)
        self.tables = nn.ParameterDict(
            {
                width: normal_rows(count, int(width), init_std, zeros=zeros[width])
                for width, count in self._sizes.items()
            }
        )
        self._sharded: dict[str, TableRows] = {}
        self.propagated = nn.ModuleDict()
        self._fields = {f.name: _Field(places[f.table], column=i) for i, f in used}
        for f in lists:
            self._fields[f.name] = _Field(places[f.table], None, f.pooling, f.target or "", f.ages)
        self.pools = nn.ModuleDict()  # by the field's position, as its name may contain a dot
        for i, f in enumerate(lists):
            pool = build_pooling(f, int(places[f.table].width), dropout=dropout)
            if pool is not None:
                self.pools[str(i)] = pool
        self._lists = [f.name for f in lists]
        self._bagged = defaultdict[tuple[str, str], list[str]](list)
        for f in lists:
            if f.pooling in ("mean", "sum"):
                self._bagged[places[f.table].width, f.pooling].append(f.name)
        self._frozen = frozenset[Place]()
        for width, (columns, offsets) in self._groups.items():
            self.register_buffer(f"columns_{width}", torch.tensor(columns), persistent=False)
            self.register_buffer(f"offsets_{width}", torch.tensor(offsets), persistent=False)
        self.output_width = sum(self.width(name) for name in self._fields)

    def forward(self, codes: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, W]` for codes `[B, F]` and lists of B rows, or of one row shared by all."""
        if self._sharded:
            with self.fetched(Inputs(codes, lists)):
                return self._concatenated(codes, lists)
        return self._concatenated(codes, lists)

    def _concatenated(self, codes: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        parts = [self._single(codes, width) for width in self._groups]
        bags = self._bags(lists)
        for name in self._lists:
            found = bags.get(name)
            found = self.field(name, codes, lists) if found is None else found
            parts.append(found.expand(codes.shape[0], -1))
        return torch.cat(parts, dim=1) if parts else codes.new_zeros((codes.shape[0], 0)).float()

    def _bags(self, lists: Mapping[str, Lists]) -> dict[str, Tensor]:
        """Return, by name, the pooled ragged lists `[B, D]` that share a table with others.

        Lists of one table and pooling are one look-up. Each look-up adds a sparse gradient to its
        table, and adding one to another copies both: apart, L lists would copy O(L²) rows.
        """
        found = {}
        for (width, mode), names in self._bagged.items():
            ragged = {n: column for n in names if isinstance(column := lists[n], Ragged)}
            if len(ragged) < 2:
                continue
            rows = [
                replace(column, values=column.values.long() + self._fields[n].place.offset)
                for n, column in ragged.items()
            ]
            joint = cast("Ragged", joined_lists(rows))
            pooled = self._rows(width).bag(joint.values, joint.offsets, mode=mode)
            found |= zip(ragged, pooled.split([len(column) for column in rows]), strict=True)
        return found

    @contextmanager
    def fetched(self, *inputs: Inputs) -> Generator[None]:
        """Fetch all rows that some inputs need, by one look-up per table.

        Without effect on tables in this process, and within another such context.

        Args:
            inputs: of each use of the store in the context.

        """
        with ExitStack() as stack:
            for width, rows in self._sharded.items():
                stack.enter_context(rows.fetched(self._rows_of(width, inputs)))
            yield

    def _rows_of(self, width: str, inputs: Sequence[Inputs]) -> Tensor:
        """Return the rows `[n]` of a table that some inputs need."""
        found = [inputs[0].codes.new_empty(0).long()]
        for given in inputs:
            for name, field in self._fields.items():
                if field.place.width != width or not given.reads(name):
                    continue
                if field.column is not None:
                    values = given.codes[:, field.column]
                else:
                    column = given.lists[name]
                    values = column.values if isinstance(column, Ragged) else column
                    # Padding is always among them, as a bag leaves it out by its row.
                    found.append(found[0].new_tensor([PADDING + field.place.offset]))
                found.append(values.flatten().long() + field.place.offset)
        return torch.cat(found)

    @torch.no_grad()
    def write(self, table: str, places: Tensor, vectors: Tensor, share: Share) -> None:
        """Write vectors into the rows of a table that this process holds.

        Args:
            table: name of the parameter in `tables`.
            places: `[n]`, rows of the whole table.
            vectors: `[n, d]`, into the first d of its D columns.
            share: of this process.

        """
        held, values = share.of(self._sizes[table]), self.tables[table]
        mine = (places >= held.start) & (places < held.stop)
        rows = (places[mine] - held.start).to(values.device)
        values[rows, : vectors.shape[1]] = vectors[mine].to(values)

    def sizes(self) -> dict[str, int]:
        """Return the rows of each table, by the name of its parameter in `tables`."""
        return self._sizes

    @property
    def sharded(self) -> Mapping[str, TableRows]:
        """Tables that several processes hold, by the name of their parameter in `tables`."""
        return self._sharded

    def shard(self, table: str, rows: TableRows, own: nn.Parameter | None) -> None:
        """Replace a table by rows that several processes hold.

        Args:
            table: name of the parameter in `tables`.
            rows: look-ups in all processes.
            own: the rows of this process, to be trained by an optimiser; None if `rows` does.

        """
        self._sharded[table] = rows
        if own is None:
            del self.tables[table]
        else:
            self.tables[table] = own

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
        if field.target:
            return self._attended(name, self.field(field.target, codes, lists), lists)
        return self._pooled(name, lists).expand(codes.shape[0], -1)

    def _attended(self, name: str, target: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, D]` for targets `[B, D]` and lists of B rows, or one that they share."""
        place, pool = self._fields[name].place, self.pools[str(self._lists.index(name))]
        values = lists[name]
        if isinstance(values, Tensor) or not isinstance(pool, TargetAttention):
            return pool(target, *self._padded(name, lists))
        if len(values) != len(target):  # one list for all rows
            return pool(target, *self._padded(name, lists))
        rows = self._look_up(values.values.long() + place.offset, place.width)  # [V, D]
        return pool.ragged(target, rows, values)  # needs no padding

    def _pooled(self, name: str, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, D]` for a list field of B rows, or `[1, D]` for a list shared by all rows."""
        field, values = self._fields[name], lists[name]
        if field.pooling in ("mean", "sum"):
            return self._bag(values, field)
        pool = self.pool(name)
        if isinstance(pool, SequencePool) and isinstance(values, Prefixes):
            rows = self._look_up(values.values.long() + field.place.offset, field.place.width)
            ages = None if field.ages is None else lists[field.ages]
            return pool.prefixes(rows, values, ages.values if isinstance(ages, Ragged) else ages)
        if isinstance(values, Ragged) and field.pooling == "max":  # needs no padding
            codes = values.values.long() + field.place.offset
            return ragged_max(self._look_up(codes, field.place.width), values)
        padded = self._padded(name, lists)
        return max_pool(*padded) if pool is None else pool(*padded)

    def _padded(self, name: str, lists: Mapping[str, Lists]) -> tuple[Tensor, ...]:
        """Return embeddings `[B, L, D]`, which are present `[B, L]`, and ages if they are read."""
        field, values = self._fields[name], lists[name]
        table = without_tail(values.to_longest() if isinstance(values, Ragged) else values)
        rows = self._look_up(table.long() + field.place.offset, field.place.width)
        if field.ages is None:
            return rows, table != PADDING
        ages, length = lists[field.ages], table.shape[1]
        ages = ages.padded(length) if isinstance(ages, Ragged) else ages[:, :length]
        return rows, table != PADDING, ages

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
            if (pool := self.pool(name)) is not None:
                pool.requires_grad_(requires_grad=False)
        for width in self._sizes:
            rows = self._code_rows[f"tables.{width}"]
            frozen = [r for r in rows if Place(width, r.start) in self._frozen]
            self._rows(width).freeze([range(r.start, r.start + r.size) for r in frozen])

    def is_trained(self, name: str) -> bool:
        """Return whether a field has rows or pooling that are not frozen."""
        pool = self.pool(name)
        pooled = pool is not None and any(p.requires_grad for p in pool.parameters())
        return pooled or self._fields[name].place not in self._frozen

    def pool(self, name: str) -> nn.Module | None:
        """Return the trained pooling of a field, None without one."""
        place = str(self._lists.index(name)) if name in self._lists else ""
        return dict(self.pools.items()).get(place)

    def code_rows(self) -> dict[str, list[CodeRows]]:
        """Return, by parameter, the rows that belong to the codes of each table."""
        return self._code_rows

    def _bag(self, lists: Lists, field: _Field) -> Tensor:
        """Return mean or sum `[B, D]`, without a tensor of all looked-up rows."""
        table, offset = self._rows(field.place.width), field.place.offset
        if isinstance(lists, Ragged):
            return table.bag(lists.values.long() + offset, lists.offsets, mode=field.pooling)
        return table.bag(lists.long() + offset, None, mode=field.pooling, padding=offset + PADDING)

    def _look_up(self, rows: Tensor, width: str) -> Tensor:
        return self._rows(width).look_up(rows)

    def propagate(self, name: str, layers: int) -> None:
        """Pass the table of a field, and of all of its width, through a graph."""
        width = self._fields[name].place.width
        self.propagated[width] = PropagatedRows(self.tables[width], layers)

    def _rows(self, width: str) -> TableRows:
        if width in self.propagated:
            return cast("PropagatedRows", self.propagated[width])
        return self._sharded.get(width) or LocalRows(self.tables[width])
