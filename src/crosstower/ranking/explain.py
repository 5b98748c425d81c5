"""Explanations of single predictions: Shapley values against background rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.ranking.mixed_rows import ColumnMixer
from crosstower.ranking.scorer import RawArrays, Scorer
from crosstower.recipe.own_columns import BLEND_SCORE
from crosstower.values.arrays import Floats


@dataclass(frozen=True)
class TaskExplanation:
    """How the columns of a row lead from the base to its prediction.

    The contributions sum to `prediction - base`.

    Args:
        prediction: of the row, in the task's unit: a probability, a rating or a number.
        base: mean prediction of the background rows.
        contributions: by column.
        errors: standard errors of the contributions, which are estimated by sampling.

    """

    prediction: float
    base: float
    contributions: Mapping[str, float]
    errors: Mapping[str, float]


@dataclass(frozen=True)
class Explanation:
    """The explanation of one row.

    Args:
        row: number of the row in its source.
        values: raw values of the row, by column.
        tasks: by task; `blend__score` explains the score of a blend.

    """

    row: int
    values: Mapping[str, Any]
    tasks: Mapping[str, TaskExplanation]

    @property
    def frame(self) -> pl.DataFrame:
        """Task, column, value, contribution and error, the largest contributions first."""
        lines = [
            (task, column, str(self.values.get(column)), found, explained.errors[column])
            for task, explained in self.tasks.items()
            for column, found in sorted(
                explained.contributions.items(), key=lambda pair: -abs(pair[1])
            )
        ]
        names = ["task", "column", "value", "contribution", "error"]
        kinds = [pl.String, pl.String, pl.String, pl.Float64, pl.Float64]
        return pl.DataFrame(lines, schema=dict(zip(names, kinds, strict=True)), orient="row")

    def plain(self) -> dict[str, Any]:
        """Return the explanation as plain data, for JSON."""
        tasks = {
            task: {
                "prediction": one.prediction,
                "base": one.base,
                "contributions": dict(one.contributions),
                "errors": dict(one.errors),
            }
            for task, one in self.tasks.items()
        }
        return {"row": self.row, "values": dict(self.values), "tasks": tasks}


def shapley_values(
    scorer: Scorer, row: Batch, raw: RawArrays, background: Batch, *, seed: int = 0
) -> dict[str, TaskExplanation]:
    """Return the Shapley values of a row's columns, by task, estimated by sampling.

    Štrumbelj & Kononenko 2014, "Explaining prediction models and individual predictions with
    feature contributions": columns of the row replace those of a background row one by one, in
    random order, and each is credited with the change of the prediction. Every background row has
    one random order and its reverse (Castro et al. 2009 with antithetic pairs), so the
    contributions of a task sum to the prediction of the row minus the mean of the background.

    Args:
        scorer: of the model, with calibration and blend.
        row: encoded, one row.
        raw: columns of the row that calibration and blend read; they do not change.
        background: encoded rows.
        seed: of the orders.

    """
    mixer, random = ColumnMixer(scorer.encoder), np.random.default_rng(seed)
    rows, columns = len(background), len(mixer.columns)
    rank = np.argsort(random.random((rows, columns)), axis=1)
    rank = np.concatenate([rank, columns - 1 - rank])  # [2 rows, M], the turn of each column
    other = np.tile(np.arange(1, rows + 1), 2)
    steps = np.arange(columns + 1)
    taken = rank[:, None, :] < steps[:, None]  # [2 rows, M + 1, M]
    source = np.where(taken, 0, other[:, None, None]).reshape(-1, columns)
    both = Batch.concatenate([_plain(row), _plain(background)])
    batch = mixer.mix(both, source)
    scores = scorer.combine(scorer.logits(batch), raw.take(np.zeros(len(source), dtype=np.int64)))
    found = dict(scores.predictions)
    if scores.blend is not None:
        found[BLEND_SCORE] = scores.blend
    return {
        task: _credited(values.reshape(-1, columns + 1), rank, mixer.columns)
        for task, values in found.items()
    }


def _credited(values: Floats, rank: NDArray[np.int64], columns: Sequence[str]) -> TaskExplanation:
    """Return the mean change by each column at its turn.

    Args:
        values: `[2 rows, M + 1]`, predictions after each turn.
        rank: `[2 rows, M]`, turn of each column.
        columns: M names.

    """
    changes = np.take_along_axis(np.diff(values, axis=1), rank, 1)  # [2 rows, M]
    pairs = changes.reshape(2, -1, len(columns)).mean(0)  # an order and its reverse
    error = np.zeros(len(columns))
    if len(pairs) > 1:
        error = pairs.std(0, ddof=1) / np.sqrt(len(pairs))
    return TaskExplanation(
        prediction=float(values[0, -1]),
        base=float(values[:, 0].mean()),
        contributions=dict(zip(columns, pairs.mean(0).tolist(), strict=True)),
        errors=dict(zip(columns, error.tolist(), strict=True)),
    )


def _plain(batch: Batch) -> Batch:
    """Return a batch without labels, groups and weights, whose lists can be put together."""
    return Batch(batch.codes, batch.numbers, batch.lists, batch.labels[:, :0])
