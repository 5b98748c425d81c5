"""Encode counts of events without data frames, once per request of a server."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.recipe.event_count import EventCount


class CountEncoder:
    """Encodes cleaned counts, with the results of `PartialEncoder.encode`.

    `side` has the columns that count events and nothing else, of kinds with a `count_coder`.

    Args:
        encoder: of all columns.

    """

    def __init__(self, encoder: Encoder) -> None:
        coders = {
            name: (kind.counts(), kind.count_coder(encoder.states.get(name)))
            for name, kind in encoder.schema.columns.items()
            # A kind made of another may encode values in its own way: it declares its own coder.
            if kind.counts() and "count_coder" in vars(type(kind))
        }
        self.side = PartialEncoder(encoder, [n for n, (_, coder) in coders.items() if coder])
        self._coders = [
            (counts, coder)
            for counts, coder in (coders[name] for name in self.side.columns)
            if coder is not None
        ]

    def encode(self, counts: Mapping[EventCount, NDArray[np.int64]], rows: int) -> Batch:
        """Return rows as a compact batch.

        Args:
            counts: `[B]` by count.
            rows: B.

        """
        numbers = np.empty((rows, len(self.side.number_names)), dtype=np.float32)
        place = 0
        for own, coder in self._coders:
            found = coder(np.stack([counts[count] for count in own], axis=1).astype(np.float64))
            numbers[:, place : place + found.shape[1]] = found
            place += found.shape[1]
        codes, labels = torch.empty(rows, 0, dtype=torch.int32), torch.empty(rows, 0)
        return Batch(codes, torch.from_numpy(numbers), {}, labels)
