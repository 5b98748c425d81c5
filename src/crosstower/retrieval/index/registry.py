"""Index engines by name: a new one is a class with `@register_index`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import QueryError, RecipeError
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.registry import Registry, itself
from crosstower.recipe.validation import validate
from crosstower.retrieval.index.index import ItemIndex


@dataclass(frozen=True)
class IndexItems:
    """Input of an index build: ids, vectors and attributes of items.

    >>> items = IndexItems([7, 9], np.eye(2, dtype=np.float32))
    >>> build_engine("exact", items).search(items.vectors, k=1).ids(1).to_list()
    [9]

    Args:
        ids: `[N]` integers or text, each once.
        vectors: `[N, D]`, finite.
        attributes: columns to filter by, one row per item.
        queries: `[Q, D]` examples of queries, to tune the search by; None without any.
        name: of the run, for engines that keep many indexes.

    """

    ids: Any
    vectors: NDArray[np.float32]
    attributes: pl.DataFrame | None = None
    queries: NDArray[np.float32] | None = None
    name: str = "items"


class IndexEngine(Protocol):
    """Interface of a registered class, whose instances are an `ItemIndex`."""

    Options: ClassVar[type[FrozenModel]]

    @staticmethod
    def from_items(items: IndexItems, options: Any) -> ItemIndex:
        """Build an index; `options` are an instance of `Options`."""
        ...

    @staticmethod
    def load(folder: str | Path) -> ItemIndex:
        """Open an index written by `save` to a folder."""
        ...


INDEXES = Registry[IndexEngine]("index engine", package="crosstower.retrieval.index")

register_index = INDEXES.decorator(
    "register_index",
    itself,
    doc="""Return a decorator that registers a class as an index engine.

    Args:
        name: value of `--kind` of `crosstower index`, of `--index` of `crosstower bundle`.

    Raises:
        RecipeError: another module has registered the name.

    """,
)


def options_of(kind: str, options: Mapping[str, Any] | None = None) -> FrozenModel:
    """Return the checked options of an engine, defaults included.

    Args:
        kind: name of the engine.
        options: those that differ from the defaults.

    Raises:
        QueryError: there is no such engine or option.

    """
    try:
        engine = INDEXES.get(kind, where="index")
        return validate(engine.Options, dict(options or {}), where=f"index {kind}")
    except RecipeError as error:
        raise QueryError(str(error)) from None


def build_engine(
    kind: str, items: IndexItems, options: Mapping[str, Any] | None = None
) -> ItemIndex:
    """Build an index with a registered engine.

    Args:
        kind: name of the engine.
        items: to index.
        options: of the engine.

    Raises:
        QueryError: there is no such engine or option, or the items do not fit together.

    """
    checked = options_of(kind, options)
    return INDEXES.get(kind).from_items(items, checked)
