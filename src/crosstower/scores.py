"""From cleaned rows to scores: one way for training, batch scoring and a server.

Encode, ask the model, decode the logits, calibrate, blend. A scored frame has a column
`TASK__prediction` a task, `TASK__raw` where calibration changed it, and `blend__score` if there is
a blend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from crosstower.batch import Batch
from crosstower.blend.blender import FittedBlend
from crosstower.data.encode import Encoder
from crosstower.data.request import RequestEncoder
from crosstower.errors import RunError
from crosstower.evaluate.calibrators import Calibrators
from crosstower.train.precision import autocast

Precision = Literal["float32", "bfloat16"]
PREDICTION, RAW, BLEND_SCORE = "__prediction", "__raw", "blend__score"
# Small enough for the caches. Matrix libraries slow down beyond it, where a width is no multiple
# of 16: at 429 x 429 by 1.4 from 1,024 rows to 4,096, in float32.
_SCORE_ROWS = 1024


class Exported(Protocol):
    """A model in any form that gives logits: see `crosstower.export`."""

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Return logits `[B]` by task, for a batch or a request."""
        ...


@dataclass(frozen=True)
class Eager:
    """A model as it was trained, run by torch operation by operation."""

    model: nn.Module
    precision: Precision = "float32"

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Return logits `[B]` by task."""
        with torch.inference_mode(), autocast(torch.device("cpu"), self.precision):
            found: dict[str, torch.Tensor] = self.model(batch)
            return {name: logits.float().numpy() for name, logits in found.items()}


@dataclass(frozen=True)
class Scorer:
    """A trained model with all that comes after it.

    `model` is the model itself, or an exported form of it, which computes in float32. `precision`
    is that of the matrix products; all before and after them is in float32 or better.
    """

    encoder: Encoder
    model: nn.Module | Exported
    calibrators: Calibrators | None = None
    blend: FittedBlend | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        """Refuse a precision that there is not."""
        if self.precision not in get_args(Precision):
            allowed = ", ".join(get_args(Precision))
            raise RunError(f"precision: expected one of {allowed}, got '{self.precision}'")
        if self.precision != "float32" and not isinstance(self.model, nn.Module):
            raise RunError(
                f"precision: an exported model computes in float32, got '{self.precision}'; use the"
                " model itself for it"
            )

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
        return self.score_encoded(self.encoder.encode(frame), self.raw(frame))

    def raw(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `columns` of cleaned rows, as they were."""
        return frame.select(pl.col(f"raw:{c}").alias(c) for c in self.columns)

    def score_encoded(self, batch: Batch, raw: pl.DataFrame) -> pl.DataFrame:
        """Return the scores of encoded rows, `raw` being their `columns`."""
        kept = {} if self.calibrators is None else self.calibrators.kept
        decoded = self.encoder.decode(self.logits(batch), kept=kept)
        # Frames of series that are there: adding columns to one goes through a query engine.
        scores = {f"{n}{PREDICTION}": pl.Series(v) for n, v in decoded.items()}
        if self.calibrators is not None:
            scores = _right(scores, _frame(scores, raw), self.calibrators)
        if self.blend is not None:
            scores[BLEND_SCORE] = pl.Series(self.blend.score(_frame(scores, raw)))
        return _frame({n: s for n, s in scores.items() if n not in raw.columns})

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Return the logits `[B]` of each head, a part of the rows at a time."""
        model = self.model
        form = Eager(model, self.precision) if isinstance(model, nn.Module) else model
        parts = {name: [np.empty(0, np.float32)] for name in self.encoder.schema.tasks}
        for start in range(0, len(batch), _SCORE_ROWS):
            for name, logits in form.logits(batch[start : start + _SCORE_ROWS]).items():
                parts[name].append(logits)
        return {name: np.concatenate(chunks) for name, chunks in parts.items()}


class Ranker:
    """Scores the candidates of one user; what is the user's is encoded and pooled once.

    Args:
        scorer: its scores of the same rows are the ranker's.
        user: the schema columns that have one value a request, such as those of the user and of
            the moment; crosses of them are found.

    Raises:
        QueryError: `user` names a column that is not there, or a cross.

    """

    def __init__(self, scorer: Scorer, user: Sequence[str]) -> None:
        self.scorer, self.encoder = scorer, RequestEncoder(scorer.encoder, user)

    def score(self, user: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
        """Return the scores of candidates, as `Scorer.score` does for whole rows.

        Args:
            user: one cleaned row with the user's columns.
            items: `[B]` cleaned rows with all other columns. Either has `raw:COLUMN` for each of
                the scorer's `columns`; the candidates' is taken where both have it.

        Raises:
            QueryError: `user` is not one row.

        """
        request = self.encoder.encode(user, items)
        raw = raw_columns(self.scorer.columns, user, items)
        return self.scorer.score_encoded(request, pl.DataFrame(raw))


def raw_columns(columns: Sequence[str], user: pl.DataFrame, items: pl.DataFrame) -> list[pl.Series]:
    """Return raw columns `[B]` of a request's candidates: their own, or else the user's."""
    found = {name: f"raw:{name}" for name in columns}
    return [
        (items[raw] if raw in items.columns else user[raw].new_from_index(0, items.height)).alias(n)
        for n, raw in found.items()
    ]


def calibrated(frame: pl.DataFrame, calibrators: Calibrators) -> pl.DataFrame:
    """Return predictions put right; what they were before is kept as `TASK__raw`."""
    columns = {column.name: column for column in frame.get_columns()}
    return _frame(_right(columns, frame, calibrators))


def _right(
    scores: Mapping[str, pl.Series], frame: pl.DataFrame, calibrators: Calibrators
) -> dict[str, pl.Series]:
    """Return columns with predictions put right, and those before as `TASK__raw` at the end."""
    changed = calibrators.apply(frame)
    right = {f"{task}{PREDICTION}": pl.Series(values) for task, values in changed.items()}
    before = {f"{task}{RAW}": scores[f"{task}{PREDICTION}"] for task in changed}
    return {**scores, **right, **before}


def _frame(columns: Mapping[str, pl.Series], more: pl.DataFrame | None = None) -> pl.DataFrame:
    series = [column.alias(name) for name, column in columns.items()]
    return pl.DataFrame([*series, *(more.get_columns() if more is not None else [])])
