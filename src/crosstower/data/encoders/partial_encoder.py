"""One side of a two-tower model: the columns of the query or of the item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl
import torch
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.layout import MISSING
from crosstower.data.ragged import Lists


class PartialEncoder:
    """Encodes some columns of a schema, compactly, and widens batches for the model.

    Args:
        encoder: of all columns.
        columns: of this side.

    `code_names` are those with a code, in the order of a compact batch's codes; `number_names` are
    its numbers, `list_names` its lists.

    """

    def __init__(self, encoder: Encoder, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.schema = encoder.schema.part(list(columns))
        self._encoder = replace(encoder, only=self.columns)
        whole, own = encoder.layout, self._encoder.layout
        self.code_names = tuple(field.name for field in own.codes)
        self.number_names = tuple(own.numbers)
        self.list_names = own.list_names()
        places = {f.name: i for i, f in enumerate(whole.codes)}
        self._codes = torch.tensor([places[f.name] for f in own.codes], dtype=torch.long)
        numbers = {name: i for i, name in enumerate(whole.numbers)}
        self._numbers = torch.tensor([numbers[n] for n in own.numbers], dtype=torch.long)
        self._width = len(whole.codes), len(whole.numbers)

    def encode(self, frame: pl.DataFrame) -> Batch:
        """Return cleaned rows of this side's columns, with no more columns than those."""
        return self._encoder.encode(frame)

    def widen(self, batch: Batch, lists: Mapping[str, Lists] | None = None) -> Batch:
        """Return a compact batch in the model's layout; the other side's columns are missing.

        `lists` are added, such as histories.
        """
        codes, numbers = self.blank(batch.codes.shape[0], batch.codes.device)
        self.put(batch, codes, numbers)
        return Batch(codes, numbers, {**batch.lists, **(lists or {})}, batch.labels)

    def blank(self, rows: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Return codes and numbers in the model's layout, all missing."""
        codes = torch.full((rows, self._width[0]), MISSING, dtype=torch.int32, device=device)
        return codes, torch.zeros(rows, self._width[1], device=device)

    def put(self, batch: Batch, codes: Tensor, numbers: Tensor) -> None:
        """Write a compact batch of B rows, or of one for all, into codes `[B, F]` and numbers."""
        if codes.device.type == "cpu":  # NumPy has the shorter way for a request's few rows
            codes.numpy()[:, self._codes.numpy()] = batch.codes.numpy()
            numbers.numpy()[:, self._numbers.numpy()] = batch.numbers.numpy()
        else:
            codes[:, self._codes.to(codes.device)] = batch.codes
            numbers[:, self._numbers.to(numbers.device)] = batch.numbers
