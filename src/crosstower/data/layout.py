"""What a fitted encoder hands to a model: which tensors, how wide, which heads.

The shape legend of the whole package:

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

Codes are dense integers. Three of them mean the same in every field.
"""

from dataclasses import dataclass
from typing import Literal

from crosstower.recipe.tasks import HeadKind

PADDING, MISSING, UNSEEN = 0, 1, 2
RESERVED_CODES = 3


@dataclass(frozen=True)
class CodeField:
    """A field with one code a row: a category, a bucketised number, a cross.

    `size` counts all codes, reserved ones included. Fields with the same `table` share
    their embedding rows. `dim` None leaves the width to the model; 0 keeps the field out of
    embeddings (a cross that lives in the wide side only).
    """

    name: str
    size: int
    table: str
    dim: int | None = None


@dataclass(frozen=True)
class ListField:
    """A field with up to `length` codes a row, pooled by the model."""

    name: str
    size: int
    table: str
    length: int
    pooling: Literal["mean", "sum", "max", "attention", "gru"] = "mean"
    dim: int | None = None


@dataclass(frozen=True)
class Head:
    """One output of a model, named by its task."""

    name: str
    kind: HeadKind


@dataclass(frozen=True)
class Layout:
    """The inputs and outputs of a model, derived from a fitted encoder.

    `number_columns` names the schema column that each of `numbers` comes from: a missing indicator
    and the components of a vector come from another one than their own name.
    """

    codes: tuple[CodeField, ...]
    numbers: tuple[str, ...]
    lists: tuple[ListField, ...]
    heads: tuple[Head, ...]
    number_columns: tuple[str, ...] = ()

    def columns_of_numbers(self) -> tuple[str, ...]:
        """Return the schema column of each of `numbers`; its own name where none is given."""
        return self.number_columns or self.numbers

    def columns(self) -> list[str]:
        """Return the schema columns that models read by themselves, each once.

        Crosses that live in the wide side only are left out.
        """
        names = [f.name for f in self.codes if f.dim != 0]
        names += [*self.columns_of_numbers(), *(f.name for f in self.lists)]
        return list(dict.fromkeys(names))
