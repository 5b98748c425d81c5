"""The interface of a source of candidates. Shapes: N items of the catalogue, C candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.values.arrays import Floats, Indices
from crosstower.values.ids import Id

Part = tuple[Indices, Floats]
"""Places of items, best first, and their scores."""

Arrays = Mapping[str, NDArray[Any]]
"""Learned arrays of a source, by name; numbers or text, never objects."""

FIRST = 1_024  # items sorted before all others are

NO_ITEMS = np.empty(0, np.int64)


@dataclass(frozen=True)
class SourceQuery:
    """A query as sources see it.

    Args:
        history: places of the user's items, oldest first; places from N on are newer items.
        segment: the segment of the query; None if it is unknown.

    """

    history: Indices = field(default_factory=lambda: NO_ITEMS)
    segment: Id | None = None


class NoOptions(FrozenModel):
    """Options of a kind that has none."""


class CandidateSource(ABC):
    """Base of a source: `fit` learns arrays from rows, `parts` finds items for a query.

    Args:
        options: of the kind, an instance of `Options`.
        arrays: as returned by `fit`, mapped from files.

    """

    Options: ClassVar[type[FrozenModel]] = NoOptions
    needs_user: ClassVar[bool] = False
    """Whether `retrieval.user` must be set, since the source reads the user's history."""
    repeats: ClassVar[bool] = False
    """Whether it finds only items of the history."""
    is_model: ClassVar[bool] = False
    """Whether it is the retrieval model, whose index the caller searches."""

    def __init__(self, options: Any, arrays: Arrays) -> None:
        self.options, self.arrays = options, arrays

    @classmethod
    @abstractmethod
    def fit(cls, options: Any, rows: SourceRows) -> Arrays:
        """Return the arrays that the source learns from training rows.

        Args:
            options: of the kind, an instance of `Options`.
            rows: the training rows, and the items.

        Raises:
            DataError: the rows lack an input of the source, or no item results.

        """

    @abstractmethod
    def parts(self, query: SourceQuery) -> Iterator[Part]:
        """Yield items of the catalogue, the best part first, each part with its best item first.

        Items that a condition, an exclusion or a deletion forbids are left out by the caller, who
        asks for further parts until the quota is full.

        Args:
            query: a query.

        """

    def newer(self, attributes: pl.DataFrame, known: Indices) -> Floats | None:
        """Return scores `[n]` of items that were added or changed; with NaN, one is not found.

        They are compared with those of `parts`. By default, None: a changed item keeps the score
        of its id, and a new item is not found.

        Args:
            attributes: of the items, oldest change first.
            known: places in the catalogue of the items that replace another, -1 for new ones.

        """
        del attributes, known
        return None


def best_first(places: Indices, scores: Floats) -> Iterator[Part]:
    """Yield items by descending score; equal scores in the order of their places.

    >>> [places.tolist() for places, _ in best_first(np.array([4, 7]), np.array([0.1, 0.3]))]
    [[7, 4]]

    Args:
        places: `[C]`, ascending.
        scores: `[C]`.

    """
    if len(places) > FIRST:
        least = np.partition(scores, len(scores) - FIRST)[len(scores) - FIRST]
        for chosen in (scores > least, scores == least, scores < least):
            yield from _sorted(places[chosen], scores[chosen])
    else:
        yield from _sorted(places, scores)


def _sorted(places: Indices, scores: Floats) -> Iterator[Part]:
    if len(places):
        order = np.argsort(-scores, kind="stable")
        yield places[order], scores[order]
