"""From cleaned rows to scores: one way for training, batch scoring and a server.

Encode, ask the model, decode the logits, calibrate, blend. A scored frame has a column
`TASK__prediction` a task, `TASK__raw` where calibration changed it, and `blend__score` if there is
a blend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import nn

from crosstower.batch import Batch
from crosstower.blend.blender import FittedBlend
from crosstower.data.encode import Encoder
from crosstower.evaluate.calibrators import Calibrators

PREDICTION, RAW, BLEND_SCORE = "__prediction", "__raw", "blend__score"
_SCORE_ROWS = 8192


@dataclass(frozen=True)
class Scorer:
    """A trained model with all that comes after it."""

    encoder: Encoder
    model: nn.Module
    calibrators: Calibrators | None = None
    blend: FittedBlend | None = None

    @property
    def columns(self) -> list[str]:
        """The raw columns that calibration and blend need beside the model's own."""
        by = self.calibrators.by if self.calibrators is not None else None
        blended = self.blend.columns if self.blend is not None else []
        return list(dict.fromkeys([*([by] if by is not None else []), *blended]))

    @property
    def amounts(self) -> tuple[str, ...]:
        """The raw columns that must hold an amount in every row."""
        amount = self.blend.spec.amount if self.blend is not None else None
        return () if amount is None else (amount,)

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the scores of cleaned rows, which hold `raw:COLUMN` for each of `columns`."""
        batch = self.encoder.encode(frame)
        kept = {} if self.calibrators is None else self.calibrators.kept
        scored = pl.DataFrame(predictions(self.encoder, self.model, batch, kept))
        scored = scored.with_columns([frame[f"raw:{c}"].alias(c) for c in self.columns])
        if self.calibrators is not None:
            scored = calibrated(scored, self.calibrators)
        if self.blend is not None:
            score = self.blend.score(scored)
            scored = scored.with_columns(pl.Series(BLEND_SCORE, score))
        return scored.drop(self.columns)


def predictions(
    encoder: Encoder, model: nn.Module, batch: Batch, kept: Mapping[str, float]
) -> list[pl.Series]:
    """Return one column `TASK__prediction` a task for encoded rows, in float32 arithmetic.

    `kept` is the share of negatives in training, where it was not 1; see `Encoder.decode`.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in encoder.schema.tasks}
    with torch.inference_mode():
        for start in range(0, len(batch), _SCORE_ROWS):
            for name, logits in model(batch[start : start + _SCORE_ROWS]).items():
                parts[name].append(logits.numpy())
    empty = np.empty(0, dtype=np.float32)
    logits = {name: np.concatenate([empty, *chunks]) for name, chunks in parts.items()}
    return [pl.Series(f"{n}{PREDICTION}", v) for n, v in encoder.decode(logits, kept=kept).items()]


def calibrated(frame: pl.DataFrame, calibrators: Calibrators) -> pl.DataFrame:
    """Return predictions put right; what they were before is kept as `TASK__raw`."""
    changed = calibrators.apply(frame)
    raw = [frame[f"{task}{PREDICTION}"].alias(f"{task}{RAW}") for task in changed]
    right = [pl.Series(f"{task}{PREDICTION}", values) for task, values in changed.items()]
    return frame.with_columns([*raw, *right])
