"""Turn cleaned rows into batches, and logits into predictions, by the learned state of columns.

The same `Encoder` serves training, batch scoring, export and the server, so nothing drifts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.encoders.groups import encode_groups
from crosstower.data.encoders.labels import decode_logits, encode_labels
from crosstower.data.layout import CodeField, Head, Layout, ListField
from crosstower.data.ragged import Lists, Ragged
from crosstower.errors import DataError
from crosstower.recipe.kinds.kind import Inputs, Kind
from crosstower.recipe.schema import Schema
from crosstower.values.codes import Table


@dataclass(frozen=True)
class Encoder:
    """The fitted state of a schema.

    `states` holds what each column learned, `label_scales` (mean, sd) of the labels of regressions
    and of balanced binary tasks, and `otherwise` the mean label of conditional ones in rows where
    their event did not happen.

    With `only` it encodes some of the columns, from frames that hold only those; see
    `PartialEncoder`.
    """

    schema: Schema
    states: dict[str, Any]
    label_scales: dict[str, tuple[float, float]]
    otherwise: dict[str, float] = field(default_factory=dict[str, float])
    only: tuple[str, ...] | None = None

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The vocabulary or the hash buckets of each column that owns one."""
        found = {n: c.table_of(self.states.get(n)) for n, c in self.schema.columns.items()}
        return {name: table for name, table in found.items() if table is not None}

    @cached_property
    def layout(self) -> Layout:
        """The inputs and outputs of a model for this encoder."""
        return self._plan.layout

    def without(self, names: Collection[str]) -> Encoder:
        """Return the encoder of all columns but some, which no other column shares."""
        states = {name: state for name, state in self.states.items() if name not in names}
        return replace(self, schema=self.schema.without(names), states=states)

    def encode(self, frame: pl.DataFrame) -> Batch:
        """Return cleaned rows as tensors; labels are NaN where the frame has none.

        Raises:
            DataError: an own kind of column returns other codes or numbers than it declares.

        """
        rows, plan, found, place = frame.height, self._plan, list[NDArray[np.int32]](), 0
        for one in plan.codes:
            parts = [found[part] for part in one.parts]
            found.append(one.encode(parts if parts else frame[one.name]))
        codes = np.empty((rows, len(found)), dtype=np.int32)
        for at, column in enumerate(found):
            codes[:, at] = column
        numbers = np.empty((rows, len(plan.layout.numbers)), dtype=np.float32)
        for one in plan.numbers:
            numbers[:, place : place + one.size] = one.encode(frame[one.name])
            place += one.size
        lists = {one.name: _lists(one.encode(frame[one.name]), one.size) for one in plan.lists}
        for one in plan.layout.lists:
            if one.ages is not None:
                lists[one.ages] = _ages(one, frame)
        if self.only is not None:
            labels = torch.empty(rows, 0)
            return Batch(torch.from_numpy(codes), torch.from_numpy(numbers), lists, labels)
        labels = torch.from_numpy(encode_labels(self.schema, self.label_scales, frame))
        extras = encode_groups(self.schema, frame)
        groups, weights = extras.get("groups"), extras.get("weights")
        inputs = torch.from_numpy(codes), torch.from_numpy(numbers), lists
        return Batch(*inputs, labels, groups=groups, weights=weights)

    def decode(
        self, logits: Mapping[str, NDArray[Any]], *, kept: Mapping[str, float] | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Return logits of all heads as probabilities, ratings or numbers in label units.

        `kept` is the share of the negatives of binary tasks that the training rows kept; the
        expectation of a conditional regression takes it into account.
        """
        return decode_logits(self.schema, self.label_scales, self.otherwise, logits, kept or {})

    @cached_property
    def _plan(self) -> _Plan:
        columns = self.schema.columns
        names = [n for n in columns if self.only is None or n in self.only]
        heads = tuple(Head(name, task.kind) for name, task in self.schema.tasks.items())
        return _plan_of({name: columns[name] for name in names}, columns, self.states, heads)


@dataclass(frozen=True)
class _Field:
    """A column and how it is encoded.

    `parts` are the places of the codes that a cross combines; `size` counts the numbers of a
    column, or the values of the longest list.
    """

    name: str
    encode: Callable[[Any], Any]
    parts: tuple[int, ...] = ()
    size: int = 1


@dataclass(frozen=True)
class _Plan:
    """Order in which fields are encoded: made once, used for each frame."""

    layout: Layout
    codes: list[_Field]
    numbers: list[_Field]
    lists: list[_Field]


def _plan_of(
    read: Mapping[str, Kind],
    columns: Mapping[str, Kind],
    states: Mapping[str, Any],
    heads: tuple[Head, ...],
) -> _Plan:
    """Return the plan of the columns that are `read`; the owners of their tables are `columns`."""
    kinds = {name: kind.resolved(columns) for name, kind in read.items()}
    inputs = {name: kind.inputs(name, states.get(name)) for name, kind in kinds.items()}
    coders = {name: kind.coder(states.get(name)) for name, kind in kinds.items()}
    for name, kind in kinds.items():
        if not type(kind).__module__.startswith("crosstower."):
            _check_inputs(name, kind, inputs[name])
            coders[name] = partial(_checked, coders[name], kind, inputs[name])
    ranked = sorted(kinds, key=lambda name: kinds[name].rank)
    codes = [field for name in ranked if isinstance(field := inputs[name], CodeField)]
    lists = [field for field in inputs.values() if isinstance(field, ListField)]
    wide = {name: found for name in ranked if isinstance(found := inputs[name], tuple)}
    places = {field.name: place for place, field in enumerate(codes)}
    parts = {f.name: tuple(places[c] for c in kinds[f.name].combines if c in places) for f in codes}
    names = tuple(part for found in wide.values() for part in found)
    owners = tuple(name for name, found in wide.items() for _ in found)
    return _Plan(
        Layout(tuple(codes), names, tuple(lists), heads, owners),
        [_Field(field.name, coders[field.name], parts[field.name]) for field in codes],
        [_Field(name, coders[name], size=len(found)) for name, found in wide.items()],
        [_Field(field.name, coders[field.name], size=field.length) for field in lists],
    )


def _checked(encode: Callable[[Any], Any], kind: Kind, inputs: Inputs, values: Any) -> Any:
    """Return the values of a custom coder, if they are as declared."""
    encoded, rows = encode(values), len(values)
    if isinstance(inputs, tuple):
        wanted = f"finite numbers [{rows}, {len(inputs)}]"
        parts, shape, size = [np.asarray(encoded)], (rows, len(inputs)), None
    elif isinstance(inputs, CodeField):
        wanted = f"integer codes [{rows}] from 0 to {inputs.size - 1}"
        parts, shape, size = [np.asarray(encoded)], (rows,), inputs.size
    elif isinstance(encoded, tuple):
        wanted = f"integer codes [V] from 0 to {inputs.size - 1}, and their numbers [{rows}]"
        parts = [np.asarray(part) for part in cast("tuple[Any, ...]", encoded)]
        shape, size = (int(parts[-1].sum()),), inputs.size
    else:
        wanted = f"integer codes [{rows}, {inputs.length}] from 0 to {inputs.size - 1}"
        parts, shape, size = [np.asarray(encoded)], (rows, inputs.length), inputs.size
    if _is_right(parts, shape, size, rows):
        return encoded
    got = ", ".join(f"{part.dtype} {list(part.shape)}" for part in parts)
    raise DataError(
        f"column kind '{kind.kind}': its coder must return {wanted}, as its inputs say; got {got}"
    )


def _is_right(
    parts: list[NDArray[Any]], shape: tuple[int, ...], size: int | None, rows: int
) -> bool:
    """Tell whether values have a shape, and as codes a size; lists have their lengths as well."""
    values = parts[0]
    if values.shape != shape or len(parts) > 2 or (len(parts) == 2 and len(parts[1]) != rows):
        return False
    if size is None:
        return np.issubdtype(values.dtype, np.number) and bool(np.isfinite(values).all())
    integers = np.issubdtype(values.dtype, np.integer)
    return integers and (values.size == 0 or bool(values.min() >= 0 and values.max() < size))


def _check_inputs(name: str, kind: Kind, inputs: Any) -> None:
    """Reject inputs of an own kind that no model could be given."""
    named = isinstance(inputs, CodeField | ListField) and inputs.name == name
    if named or (isinstance(inputs, tuple) and all(isinstance(n, str) for n in inputs)):
        return
    raise DataError(
        f"column kind '{kind.kind}': its inputs must return a CodeField or a ListField named"
        f" '{name}', or a tuple of names of numbers, got {inputs!r:.200}"
    )


def _ages(field: ListField, frame: pl.DataFrame) -> Ragged:
    """Return the ages of the last values of lists; all 0 where they are null, as of now.

    Raises:
        DataError: lists have other numbers of ages than of values.

    """
    values, ages = (frame[name].list.tail(field.length) for name in (field.name, str(field.ages)))
    counts = values.list.len().fill_null(0).to_numpy().astype(np.int64)
    given = ages.list.len().fill_null(0).to_numpy().astype(np.int64)
    there = ages.is_not_null().to_numpy() | (counts == 0)
    if (given[there] != counts[there]).any():
        row = int(np.flatnonzero(there & (given != counts))[0])
        raise DataError(
            f"column '{field.name}': a list has {counts[row]:,} values and {given[row]:,} times;"
            " blank ids are left out: fill them in"
        )
    flat = np.zeros(int(counts.sum()), np.int64)
    known = ages.explode(empty_as_null=False, keep_nulls=False).cast(pl.Int64).to_numpy()
    flat[np.repeat(there, counts)] = known
    return Ragged.of(flat, counts, field.length)


def _lists(codes: Any, length: int) -> Lists:
    if isinstance(codes, np.ndarray):
        return torch.from_numpy(codes.astype(np.int32, copy=False))  # of the column's `max_len`
    values, counts = codes
    return Ragged.of(np.asarray(values, np.int32), np.asarray(counts, np.int64), length)
