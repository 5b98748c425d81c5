"""Drift of a server's scores from those at training time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crosstower.errors import DataError
from crosstower.values.arrays import Floats

POINTS = 200  # quantiles of a reference
_TENTH = POINTS // 10
_LEVELS = (np.arange(POINTS) + 0.5) / POINTS
_LEAST = 500  # scores for a value
_FLOOR = 1e-4  # share of an empty bin, so that the logarithm is finite


def reference_of(predictions: ArrayLike) -> list[float]:
    """Return a summary of the predictions at training time, for later comparison.

    These are the 200 quantiles at 0.25 %, 0.75 %, ..., 99.75 %, each one of the predictions. Ten
    deciles would not do: calibrated predictions often repeat one value, and the deciles alone do
    not tell how many of them.

    Args:
        predictions: `[N]` of one task, as they are served.

    Raises:
        DataError: it is empty, or a prediction is not finite.

    """
    given = np.asarray(predictions, np.float64).ravel()
    if not given.size:
        raise DataError("predictions: none were given; a reference needs at least one")
    wrong = ~np.isfinite(given)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"predictions: {wrong.sum():,} of {given.size:,} are not finite, the first in row"
            f" {first}: {given[first]}"
        )
    return np.quantile(given, _LEVELS, method="inverted_cdf").tolist()


class ScoreDrift:
    """The last predictions of each task, and how far they are from the reference.

    One thread may add while others ask. The reference is of rows that were shown and logged:
    give it the scores of items that are shown, not those of all candidates.

    Args:
        reference: the result of `reference_of` by task.
        size: predictions kept a task.

    Raises:
        DataError: a reference is not of 200 finite numbers in ascending order.

    """

    def __init__(self, reference: Mapping[str, Sequence[float]], *, size: int = 10_000) -> None:
        self._bins = {task: _Bins(task, values) for task, values in reference.items()}
        self._rings = {task: _Ring(size) for task in reference}

    def add(self, predictions: Mapping[str, Any]) -> None:
        """Add `[N]` predictions per task; tasks without a reference and NaN are left out."""
        for task, ring in self._rings.items():
            if task in predictions:
                ring.add(np.asarray(predictions[task], np.float64))

    def psi(self) -> dict[str, float | None]:
        """Return the population stability index of each task, None below 500 predictions.

        It is Σ (a − e) ln(a / e) over ten bins with the shares e of the reference and a of the
        last predictions. Without any drift it is about 9 / n: 0.001 at n = 10,000, 0.018 at 500
        (Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of
        Risk Model Validation, 2020). By custom, below 0.1 is little and above 0.25 is much.
        """
        return {task: self._psi(task) for task in self._rings}

    def _psi(self, task: str) -> float | None:
        scores = self._rings[task].values()
        return None if len(scores) < _LEAST else self._bins[task].psi(scores)


class _Bins:
    """The ten bins between the deciles of a reference; fewer where it repeats values."""

    def __init__(self, task: str, reference: Sequence[float]) -> None:
        values = np.asarray(reference, np.float64)
        ascending = np.isfinite(values).all() and (np.diff(values) >= 0).all()
        if values.shape != (POINTS,) or not ascending:
            raise DataError(
                f"reference of '{task}': expected {POINTS} finite numbers in ascending order, as"
                f" reference_of gives them, got {len(values)}; make the bundle again"
            )
        self._edges = _edges(values)
        self._expected = self._shares(values)

    def psi(self, scores: Floats) -> float:
        """Return the index of `[N]` scores."""
        actual, expected = self._shares(scores), self._expected
        return float(np.sum((actual - expected) * np.log(actual / expected)))

    def _shares(self, scores: Floats) -> Floats:
        places = np.searchsorted(self._edges, scores)
        counts = np.bincount(places, minlength=len(self._edges) + 1)
        return np.maximum(counts / len(scores), _FLOOR)


class _Ring:
    """The last `size` numbers."""

    def __init__(self, size: int) -> None:
        self._kept = np.empty(size)
        self._next = self._filled = 0

    def add(self, values: Floats) -> None:
        size = len(self._kept)
        values = values[np.isfinite(values)][-size:]
        places = (self._next + np.arange(len(values))) % size
        self._kept[places] = values
        self._next = (self._next + len(values)) % size
        self._filled = min(self._filled + len(values), size)

    def values(self) -> Floats:
        return self._kept[: self._filled]


def _edges(values: Floats) -> Floats:
    """Return the edges between bins: each half-way to the next value, to be safe from rounding.

    A decile inside a run of equal values moves to the end of the run. Where all are equal, the
    bins are below, at, and above that value.
    """
    inner = values[_TENTH - 1 : -1 : _TENTH]  # [9]
    ends = np.unique(np.searchsorted(values, inner, side="right"))
    ends = ends[ends < POINTS]
    if values[0] == values[-1]:
        value = float(values[0])
        width = max(1e-4, 1e-3 * abs(value))  # far above the 1e-5 of rounding
        return np.array([value - width, value + width])  # infinite for the largest floats
    return values[ends - 1] / 2 + values[ends] / 2
