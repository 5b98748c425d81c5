"""Inputs and outputs of a model, from a fitted encoder, and the shape legend of the package.

All docstrings use these letters for shapes:

| letter | meaning |
|---|---|
| B | rows in a batch |
| F | single-valued coded fields |
| N | numeric inputs, missing indicators and vector components included |
| D | embedding width |
| W | input width of a dense layer: everything concatenated |
| L | longest list of a bag or a sequence |
| T | tasks (heads) |
| C | candidates |
| K | top k |

Codes are dense integers. 0, 1 and 2 mean padding, missing and unseen in every field.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from crosstower.recipe.kinds.kind import CodeField, ListField
from crosstower.recipe.tasks import HeadKind
from crosstower.values.codes import MISSING, PADDING, RESERVED_CODES, UNSEEN

__all__ = [
    "MISSING",
    "PADDING",
    "RESERVED_CODES",
    "UNSEEN",
    "CodeField",
    "Head",
    "Layout",
    "ListField",
]


@dataclass(frozen=True)
class Head:
    """One output of a model, named by its task.

    >>> Head("click", "binary").kind
    'binary'

    Args:
        name: of the task.
        kind: of the task.

    """

    name: str
    kind: HeadKind


@dataclass(frozen=True)
class Layout:
    """The inputs and outputs of a model, derived from a fitted encoder.

    >>> layout = Layout(
    ...     codes=(CodeField("city", 103, "city"),),
    ...     numbers=("age",),
    ...     lists=(),
    ...     heads=(Head("click", "binary"),),
    ... )
    >>> layout.columns()
    ['city', 'age']

    Args:
        codes: F single-valued fields, in the order of `Batch.codes`.
        numbers: N names, in the order of `Batch.numbers`.
        lists: list fields.
        heads: T heads, in the order of `Batch.labels`.
        number_columns: schema column of each of `numbers`, which differs from the name of a missing
            indicator or of a vector's component; the names if empty.

    """

    codes: tuple[CodeField, ...]
    numbers: tuple[str, ...]
    lists: tuple[ListField, ...]
    heads: tuple[Head, ...]
    number_columns: tuple[str, ...] = ()

    def list_names(self) -> tuple[str, ...]:
        """Return the keys of `Batch.lists`: list fields, each followed by its ages, if read."""
        pairs = ((field.name, field.ages) for field in self.lists)
        return tuple(name for pair in pairs for name in pair if name is not None)

    def columns_of_numbers(self) -> tuple[str, ...]:
        """Return the schema column of each of `numbers`."""
        return self.number_columns or self.numbers

    def columns(self) -> list[str]:
        """Return the schema columns that every model reads, each once.

        Crosses that only the wide side reads are omitted.
        """
        names = [f.name for f in self.codes if f.dim != 0]
        names += [*self.columns_of_numbers(), *(f.name for f in self.lists)]
        return list(dict.fromkeys(names))

    def only(self, columns: Collection[str]) -> Layout:
        """Return the inputs of some columns, with all outputs."""
        owners = self.columns_of_numbers()
        numbers = [(n, o) for n, o in zip(self.numbers, owners, strict=True) if o in columns]
        return replace(
            self,
            codes=tuple(field for field in self.codes if field.name in columns),
            numbers=tuple(name for name, _ in numbers),
            lists=tuple(field for field in self.lists if field.name in columns),
            number_columns=tuple(owner for _, owner in numbers),
        )

    def without(self, columns: Collection[str]) -> Layout:
        """Return the inputs of all columns but some, with all outputs."""
        names = [*(f.name for f in (*self.codes, *self.lists)), *self.columns_of_numbers()]
        return self.only([name for name in names if name not in columns])
