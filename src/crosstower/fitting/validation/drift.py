"""How far new rows are from the training rows of a run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from crosstower.evaluation.metrics.drift import ScoreDrift, reference_of
from crosstower.fitting.validation.checks import input_columns, unseen
from crosstower.fitting.validation.finding import Finding
from crosstower.fitting.validation.seen_rows import NEW, SeenRows
from crosstower.recipe.own_columns import SPLIT, label_name

_LITTLE, _MUCH = 0.1, 0.25
_LEAST, _TOP, _FLOOR = 500, 20, 1e-4


def check_drift(seen: SeenRows, new: SeenRows) -> Iterator[Finding]:
    """Yield the columns whose values are distributed differently in new rows.

    The distance is the population stability index: of numbers over ten bins between the deciles of
    the training rows, of other values over the 20 most frequent ones and the rest. By custom, below
    0.1 is little and above 0.25 is much.

    Args:
        seen: rows of the run; those of the train split are compared.
        new: other rows.

    """
    train, other = seen.frame.filter(pl.col(SPLIT) == "train"), new.frame
    columns = {name: f"column '{name}'" for name in input_columns(seen)}
    columns |= {label_name(task): f"labels of '{task}'" for task in new.schema.tasks}
    for name, words in columns.items():
        if name not in other.columns:
            continue
        distance = stability(train[name], other[name])
        if distance is not None and distance >= _LITTLE:
            much = distance >= _MUCH
            sentence = f"{words}: distributed {'very ' if much else ''}differently from the"
            sentence += f" training rows (PSI {distance:.2f})"
            severity = "warning" if much else "note"
            yield Finding(check="drift", severity=severity, sentence=sentence)


def check_unseen_by(seen: SeenRows, new: SeenRows) -> Iterator[Finding]:
    """Yield the share of new values that no training row of the run has, by column."""
    for name, values in new.values.items():
        strange, total, shown = values.unknown(NEW, seen.values.get(name))
        if strange:
            share = strange / total
            words = (
                f"column '{name}': {strange:,} of {total:,} values ({share:.1%}) are in no training"
            )
            words += f" row of the run, such as {', '.join(shown)}"
            yield unseen(words, much=share >= _MUCH)


def stability(expected: pl.Series, actual: pl.Series) -> float | None:
    """Return the population stability index of two columns; None below 500 values in one.

    >>> import polars as pl
    >>> half = pl.Series(["a", "b"] * 500)
    >>> round(stability(half, pl.Series(["a"] * 750 + ["b"] * 250)), 4)
    0.2747
    """
    expected, actual = (_flat(one) for one in (expected, actual))
    if min(len(expected), len(actual)) < _LEAST:
        return None
    if expected.dtype.is_float():
        drift = ScoreDrift({"": reference_of(expected.to_numpy())}, size=len(actual))
        drift.add({"": actual.cast(pl.Float64).to_numpy()})
        return drift.psi()[""]
    if expected.dtype != actual.dtype:  # ids, which are all numbers in only one of them
        expected, actual = expected.cast(pl.String), actual.cast(pl.String)
    top = expected.value_counts(sort=True).head(_TOP)[expected.name]
    e, a = (_shares(one, top) for one in (expected, actual))
    return float(((a - e) * np.log(a / e)).sum())


def _flat(values: pl.Series) -> pl.Series:
    if values.dtype == pl.List:
        values = values.explode()
    values = values.drop_nulls()
    return values.filter(values.is_finite()) if values.dtype.is_float() else values


def _shares(values: pl.Series, top: pl.Series) -> np.ndarray:
    """Return the share of each of the most frequent values, and of the rest."""
    counts = dict(values.value_counts().iter_rows())
    shares = [counts.get(value, 0) / len(values) for value in top]
    return np.maximum([*shares, 1 - sum(shares)], _FLOOR)
