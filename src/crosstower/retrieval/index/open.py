"""Build an index from vectors, or open a saved one of any kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import polars as pl
from numpy.typing import NDArray

from crosstower.errors import QueryError, RunError
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex, IndexManifest
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.index.milvus import Address, MilvusIndex
from crosstower.retrieval.index.vectors import Storage


def open_index(folder: str | Path, *, width: int | None = None) -> ItemIndex:
    """Return the index in a folder.

    Args:
        folder: that `save` wrote.
        width: of the vectors of the model that asks.

    Raises:
        RunError: there is none, it is damaged or of another format, or its vectors are of another
            width.

    """
    folder = Path(folder)
    path = folder / "index.json"
    try:
        kind = json.loads(path.read_bytes())["kind"] if path.is_file() else "exact"
        if kind == "milvus":
            return MilvusIndex(Address.model_validate_json(path.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}; build the index again") from error
    found = IndexManifest.read(folder).width
    if width is not None and found != width:
        raise RunError(
            f"{folder}: the index holds vectors of width {found}, the model's have {width}; it"
            " belongs to another model, build the index again"
        )
    return AnnIndex.load(folder) if kind == "ann" else ExactIndex.load(folder)


class Index:
    """Item indexes: the items with the largest inner product with a query.

    >>> import numpy as np
    >>> index = Index.build(["a", "b", "c"], np.eye(3))
    >>> index.search(np.array([[0.0, 2.0, 1.0]]), k=2).frame().rows()
    [(0, 1, 'b', 2.0), (0, 2, 'c', 1.0)]
    """

    @staticmethod
    def build(
        ids: Any,
        vectors: NDArray[Any],
        attributes: pl.DataFrame | None = None,
        *,
        kind: Literal["exact", "ann"] = "exact",
        storage: Storage = "float32",
    ) -> ExactIndex:
        """Return an index in memory.

        Args:
            ids: `[N]` integers or text, each once.
            vectors: `[N, D]`, finite.
            attributes: columns to filter by, one row per item.
            kind: exact, which scores every item; ann, approximate, for 20,000 items or more.
            storage: float32; bfloat16 in half the memory; int8 in a quarter.

        Returns:
            An index to `search`, change by `add` and `remove`, and `save` to a folder.

        Raises:
            QueryError: ids, vectors and attributes do not fit together, there is no item, or
                `kind` is unknown.

        """
        if kind == "ann":
            return AnnIndex.build(ids, vectors, attributes, storage=storage)
        if kind == "exact":
            return ExactIndex.build(ids, vectors, attributes, storage=storage)
        raise QueryError(f"kind: expected exact or ann, got {kind!r}")

    @staticmethod
    def open(folder: str | Path) -> ItemIndex:
        """Return the index that `save` wrote to a folder.

        Raises:
            RunError: there is no index, it is damaged, or of another format.

        """
        return open_index(folder)
