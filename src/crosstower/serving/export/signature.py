"""The tensors of an exported ranker: their signature, and a batch as its inputs.

Lists of the user's columns are `[1, L]`, all others `[B, L]`. The encoder stays in Python;
`inputs.json` describes its output to other languages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.layout import MISSING, PADDING, UNSEEN, Layout
from crosstower.data.ragged import padded
from crosstower.data.request_batch import Request
from crosstower.errors import QueryError
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.own_columns import aged_column
from crosstower.recipe.tasks import HeadKind

FILE = "model.onnx"
CANDIDATES = "candidates"
CODES, NUMBERS = "codes", "numbers"


class Input(FrozenModel):
    """One input tensor.

    `fields` are the columns of `codes` and `numbers` in their order, or the one column of a list;
    `sizes` are the numbers of codes per coded column: codes are in [0, size). A list with times has
    a second input, `ages.COLUMN`: the seconds from its events to the row, with 0 as padding.
    """

    name: str
    dtype: Literal["int32", "int64", "float32"]
    shape: tuple[int | str, ...]
    fields: tuple[str, ...]
    sizes: tuple[int, ...] = ()


class Output(FrozenModel):
    """The logits `[B]` of one task; a binary task's probability is 1 / (1 + exp(-logit))."""

    name: str
    task: str
    kind: HeadKind
    dtype: Literal["float32"] = "float32"
    shape: tuple[str, ...] = (CANDIDATES,)


class Signature(FrozenModel):
    """All inputs and outputs, in their order.

    `shared` are the columns that must have one value in all rows of a call.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    shared: tuple[str, ...] = ()
    padding_code: int = PADDING
    missing_code: int = MISSING
    unseen_code: int = UNSEEN

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [tensor.name for tensor in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        return [tensor.name for tensor in self.outputs]

    @property
    def tasks(self) -> list[str]:
        """The task of each output."""
        return [tensor.task for tensor in self.outputs]


def signature_of(layout: Layout, shared: Iterable[str] = ()) -> Signature:
    """Return the signature of a ranker of this layout, `shared` being the user's columns."""
    own = frozenset(shared)
    codes = Input(
        name=CODES,
        dtype="int32",
        shape=(CANDIDATES, len(layout.codes)),
        fields=tuple(f.name for f in layout.codes),
        sizes=tuple(f.size for f in layout.codes),
    )
    numbers = Input(
        name=NUMBERS,
        dtype="float32",
        shape=(CANDIDATES, len(layout.numbers)),
        fields=layout.numbers,
    )
    lists = list[Input]()
    for field in layout.lists:
        shape = (1 if field.name in own else CANDIDATES, field.length)
        named = {"shape": shape, "fields": (field.name,)}
        name = list_input(field.name)
        lists.append(Input(name=name, dtype="int32", sizes=(field.size,), **named))
        if field.ages is not None:
            lists.append(Input(name=list_input(field.ages), dtype="int64", **named))
    outputs = [Output(name=f"logits.{h.name}", task=h.name, kind=h.kind) for h in layout.heads]
    return Signature(
        inputs=(codes, numbers, *lists), outputs=tuple(outputs), shared=tuple(sorted(own))
    )


def list_input(column: str) -> str:
    """Return the name of the input of a list column, or of its ages."""
    owner = aged_column(column)
    return f"lists.{column}" if owner == column else f"ages.{owner}"


def model_inputs(batch: Batch, shared: Iterable[str] = ()) -> dict[str, NDArray[np.generic]]:
    """Return a batch or a request as the input arrays of an exported ranker, by name.

    Args:
        batch: B rows.
        shared: the user's columns of the export, `Signature.shared`.

    Returns:
        `codes` `[B, F]` int32, `numbers` `[B, N]` float32, `lists.COLUMN` `[B, L]` int32, or
        `[1, L]` for a column of `shared`; and `ages.COLUMN` int64 alike for lists with times.

    Raises:
        QueryError: the rows may differ in columns of `shared`.

    """
    own = frozenset(shared)
    _check_shared(batch, own)
    tensors = {CODES: batch.codes, NUMBERS: batch.numbers}
    for column, codes in batch.lists.items():
        rows = 1 if aged_column(column) in own else len(batch)
        tensors[list_input(column)] = padded(codes).expand(rows, -1)
    return {name: tensor.contiguous().numpy() for name, tensor in tensors.items()}


def _check_shared(batch: Batch, own: frozenset[str]) -> None:
    """Reject rows of several users: the first row's user would be used for all."""
    given: frozenset[str] = batch.shared if isinstance(batch, Request) else frozenset()
    missing = sorted(own - given)
    if missing and len(batch) != 1:
        raise QueryError(
            f"{len(batch):,} rows: the ranker was exported for requests of one user, and these may"
            f" differ in {', '.join(missing)}; give requests that share these columns, or export"
            " it without --user"
        )
