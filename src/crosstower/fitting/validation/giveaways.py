"""Columns that leak the label, and rows on both sides of a split."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.sources.source import FrameSource
from crosstower.data.split import SPLITS, fit_splitter
from crosstower.errors import DataError
from crosstower.evaluation.metrics.auc import roc_auc
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.split import Split

TELLING = 0.99
"""AUC above which a single column is probably an outcome known only afterwards."""
_ROWS = 100_000
_FEWEST = 50  # rows of each class


def single_auc(values: pl.Series, label: pl.Series) -> float | None:
    """Return the AUC of a single column for a label; None if there are too few rows.

    Numbers are scored by their order, in either direction. All values are also scored by their
    mean label in the other half of the rows, so a unique key has no effect.

    Args:
        values: `[R]`, a number or an id per row.
        label: `[R]`, 0 or 1; null where missing.

    """
    known = label.is_not_null()
    values, label = values.filter(known)[:_ROWS], label.filter(known)[:_ROWS]
    y = label.cast(pl.Float64).to_numpy()
    if min(y.sum(), len(y) - y.sum()) < _FEWEST:
        return None
    scores = [_mean_labels(values, label)]
    if values.dtype.is_numeric():
        numbers = values.cast(pl.Float64).fill_nan(None)
        middle = numbers.median() or 0.0
        scores.append(numbers.fill_null(middle).to_numpy())  # type: ignore[arg-type]
    aucs = [roc_auc(y, score) for score in scores]
    return max(max(auc, 1 - auc) for auc in aucs)


def _mean_labels(values: pl.Series, label: pl.Series) -> NDArray[np.float64]:
    """Return the mean label of each row's value in the other half of the rows."""
    code = values.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    half = np.random.default_rng(1).integers(0, 2, len(values))
    own, other = 2 * code + half, 2 * code + 1 - half
    size, y = 2 * int(code.max()) + 2, label.cast(pl.Float64).to_numpy()
    counts = np.bincount(own, minlength=size)[other]
    sums = np.bincount(own, weights=y, minlength=size)[other]
    return np.where(counts > 0, sums / np.maximum(counts, 1), y.mean())


def repeated_rows(frame: pl.DataFrame, columns: list[str], split: Split) -> tuple[int, int]:
    """Count the valid and test rows whose `columns` equal those of a training row.

    Args:
        frame: the raw rows.
        columns: columns to compare, including labels.
        split: split of the rows.

    Returns:
        Numbers of (repeated, all) valid and test rows; (0, 0) if the split fails.

    """
    try:
        splitter = fit_splitter(split, FrameSource(frame))
    except DataError:
        return 0, 0
    raw = [frame[c].alias(raw_name(c)) for c in splitter.columns]
    place = splitter.assign(pl.DataFrame([pl.Series(ROW, np.arange(frame.height)), *raw]))
    rows = frame.select(pl.struct(columns).hash(seed=1).alias("hash")).to_series().to_numpy()
    train, held_out = rows[place == SPLITS.index("train")], rows[place > 0]
    return int(np.isin(held_out, train).sum()), len(held_out)
