"""From raw rows to scores: one way for training, batch scoring and a server.

Clean, encode, run the model, decode the logits, calibrate, blend. Everything that scores uses
`Scorer.cleaner` for the rows and `Scorer.combine` for the logits:

- predictions of valid and test rows (`ranking/job.py`): the rows of a training run are clean and
  encoded already, its logits come from the trainer's device, and `Encoder.decode` gives what the
  calibration is fitted on;
- `Ranker.score` and `Ranker.predict`, chunk by chunk (`ranking/scored_rows.py`);
- the off-policy evaluation, every action for every row (`fitting/off_policy/scoring.py`);
- the batch evaluation of a funnel (`Funnel.score`);
- the online funnel, items encoded ahead of requests (`funnel/online/ranker.py`);
- rows that a request gives (`funnel/online/row_ranker.py`).

A scored frame has a column `TASK__prediction` per task, `TASK__raw` where calibration changed it,
and `blend__score` if there is a blend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from crosstower.blending.blender import FittedBlend
from crosstower.blending.columns import amounts_of, column_of
from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner, OnBadRows
from crosstower.data.content_types import ContentTypes
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.ragged import Ragged
from crosstower.errors import RunError
from crosstower.ranking.calibration.calibrators import Calibrators
from crosstower.recipe.own_columns import BLEND_SCORE, PREDICTION, RAW, raw_name
from crosstower.training.devices import autocast
from crosstower.values.arrays import Floats, Indices

Precision = Literal["float32", "bfloat16"]
# Small enough for the caches. Matrix libraries slow down beyond it, where a width is not a multiple
# of 16: at 429 x 429 by 1.4 from 1,024 rows to 4,096, in float32.
_SCORE_ROWS = 1024
_PADDED_CODES = 1 << 22  # 16 MiB


class Exported(Protocol):
    """A model in any form that gives logits: see `crosstower.serving.export`."""

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
class RawArrays:
    """Raw columns of rows as calibration and blend read them: types, and amounts, by column."""

    types: Mapping[str, ContentTypes]
    amounts: Mapping[str, Floats]

    def take(self, rows: Indices) -> RawArrays:
        """Return the values of the chosen rows, in that order."""
        types = {name: types[rows] for name, types in self.types.items()}
        return RawArrays(types, {name: amounts[rows] for name, amounts in self.amounts.items()})

    @staticmethod
    def concatenate(parts: Sequence[RawArrays], types_of: Iterable[str]) -> RawArrays:
        """Return the values of the rows of all parts, in order; types of some columns only."""
        if len(parts) == 1:
            return parts[0]
        types = {n: ContentTypes.concatenate([p.types[n] for p in parts]) for n in types_of}
        amounts = {n: np.concatenate([p.amounts[n] for p in parts]) for n in parts[0].amounts}
        return RawArrays(types, amounts)


@dataclass(frozen=True)
class Scores:
    """Scores of rows `[B]` by task, `before` calibration where it changed them, and the blend's."""

    predictions: Mapping[str, Floats]
    before: Mapping[str, Floats]
    blend: Floats | None = None

    def part(self, rows: slice) -> Scores:
        """Return the scores of some rows."""
        predictions = {task: p[rows] for task, p in self.predictions.items()}
        before = {task: p[rows] for task, p in self.before.items()}
        return Scores(predictions, before, None if self.blend is None else self.blend[rows])


@dataclass(frozen=True)
class Scorer:
    """A trained model with calibration and blend.

    `model` is the model itself, or an exported form of it, which computes in float32. `precision`
    is that of the matrix products; all before and after them is in float32 or better.
    """

    encoder: Encoder
    model: nn.Module | Exported
    calibrators: Calibrators | None = None
    blend: FittedBlend | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        """Reject an unknown precision."""
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
        """The raw columns that calibration and blend need in addition to the model's."""
        by = self.calibrators.by if self.calibrators is not None else None
        blended = self.blend.columns if self.blend is not None else []
        return list(dict.fromkeys([*([by] if by is not None else []), *blended]))

    def of_rows(self) -> Scorer:
        """Return a scorer of single rows: without the diversity of lists and its columns."""
        if self.blend is None:
            return self
        spec = self.blend.spec.model_copy(update={"diversity": None})
        return replace(self, blend=self.blend.model_copy(update={"spec": spec}))

    @property
    def amounts(self) -> tuple[str, ...]:
        """The raw columns that must hold an amount in every row."""
        amount = self.blend.spec.amount if self.blend is not None else None
        return () if amount is None else (amount,)

    def cleaner(
        self,
        *,
        extras: Iterable[str] = (),
        on_bad_rows: OnBadRows = "error",
        with_labels: bool = False,
        skipped: Counter[str] | None = None,
    ) -> Cleaner:
        """Return the cleaner of the raw rows that this scorer scores.

        Args:
            extras: raw columns to keep besides `columns`.
            on_bad_rows: error or skip.
            with_labels: clean the labels as well.
            skipped: counts up, by column, the rows that are skipped.

        """
        return Cleaner(
            self.encoder.schema,
            list(dict.fromkeys([*extras, *self.columns])),
            on_bad_rows=on_bad_rows,
            with_labels=with_labels,
            amounts=self.amounts,
            skipped=Counter() if skipped is None else skipped,
        )

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the scores of cleaned rows, which hold `columns` under `raw_name`."""
        return self.score_encoded(self.encoder.encode(frame), self.raw(frame))

    def raw(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `columns` of cleaned rows, as they were."""
        return frame.select(pl.col(raw_name(c)).alias(c) for c in self.columns)

    def score_encoded(self, batch: Batch, raw: pl.DataFrame) -> pl.DataFrame:
        """Return the scores of encoded rows, `raw` being their `columns`."""
        scores = self.combine(self.logits(batch), self.arrays(raw))
        columns = {f"{task}{PREDICTION}": p for task, p in scores.predictions.items()}
        columns |= {f"{task}{RAW}": p for task, p in scores.before.items()}
        if scores.blend is not None:
            columns[BLEND_SCORE] = scores.blend
        # A frame of arrays that are there: adding columns to one goes through a query engine.
        return pl.DataFrame({n: pl.Series(p) for n, p in columns.items() if n not in raw.columns})

    def combine(self, logits: Mapping[str, NDArray[np.float32]], raw: RawArrays) -> Scores:
        """Return the scores of rows from their logits `[B]`: decoded, calibrated and blended.

        Args:
            logits: by task.
            raw: of the same rows, `types` and `amounts` as the fields of that name say.

        Raises:
            DataError: a prediction cannot be calibrated or blended, as one that is not finite.

        """
        calibrators, blend = self.calibrators, self.blend
        kept = {} if calibrators is None else calibrators.kept
        found = self.encoder.decode(logits, kept=kept)
        before = dict[str, Floats]()
        if calibrators is not None:
            types = None if calibrators.by is None else raw.types[calibrators.by]
            right = calibrators.calibrate(found, types)
            before = {task: found[task] for task in right}
            found = found | right
        if blend is None:
            return Scores(found, before)
        by, amount = blend.spec.by, blend.spec.amount
        score = blend.combine(
            found,
            types=None if by is None else raw.types[by],
            amounts=None if amount is None else raw.amounts[amount],
        )
        return Scores(found, before, score)

    @property
    def types(self) -> tuple[str, ...]:
        """The raw columns whose content types calibration and blend distinguish."""
        named = [
            self.calibrators.by if self.calibrators is not None else None,
            self.blend.spec.by if self.blend is not None else None,
        ]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def typed(self) -> tuple[str, ...]:
        """The raw columns that are content types: `types`, and those that diversity looks at."""
        diversity = self.blend.spec.diversity if self.blend is not None else None
        mine = diversity.columns() if diversity is not None else []
        return tuple(dict.fromkeys([*self.types, *mine]))

    def arrays(self, raw: pl.DataFrame) -> RawArrays:
        """Return the raw `columns` of rows as `combine` reads them.

        Raises:
            DataError: one holds lists, or an amount is missing or negative.

        """
        types = {name: ContentTypes.of(column_of(raw, name)) for name in self.types}
        return RawArrays(types, {name: amounts_of(raw, name) for name in self.amounts})

    def logits(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Return the logits `[B]` of each head, a part of the rows at a time."""
        model = self.model
        form = Eager(model, self.precision) if isinstance(model, nn.Module) else model
        rows = _SCORE_ROWS if isinstance(form, Eager) else min(_SCORE_ROWS, _padded_rows(batch))
        if 0 < len(batch) <= rows:
            return form.logits(batch)
        parts = {name: [np.empty(0, np.float32)] for name in self.encoder.schema.tasks}
        for start in range(0, len(batch), rows):
            for name, logits in form.logits(batch[start : start + rows]).items():
                parts[name].append(logits)
        return {name: np.concatenate(chunks) for name, chunks in parts.items()}


def _padded_rows(batch: Batch) -> int:
    """Return how many rows an exported model takes at a time: it pads all lists alike."""
    lists = batch.lists.values()
    width = sum(c.length for c in lists if isinstance(c, Ragged) and len(c) == len(batch))
    return max(_PADDED_CODES // max(width, 1), 1)


def calibrated(frame: pl.DataFrame, calibrators: Calibrators) -> pl.DataFrame:
    """Return calibrated predictions; the uncalibrated ones are kept as `TASK__raw`."""
    changed = calibrators.apply(frame)
    before = [frame[f"{task}{PREDICTION}"].alias(f"{task}{RAW}") for task in changed]
    right = [pl.Series(f"{task}{PREDICTION}", values) for task, values in changed.items()]
    return frame.with_columns(right).with_columns(before)
