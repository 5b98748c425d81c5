"""Build an index from vectors, save it, or open a saved one, with any engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import RecipeError, RunError
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.index.registry import INDEXES, IndexItems, build_engine


@dataclass(frozen=True)
class IndexHeader:
    """The part of `index.json` that all engines share.

    Args:
        kind: name of the engine.
        width: of the vectors; None if it was not recorded.
        model: name of the model that the vectors are of, None if it was not recorded.

    """

    kind: str
    width: int | None = None
    model: str | None = None

    @staticmethod
    def read(folder: Path) -> IndexHeader:
        """Read it from the folder of an index.

        Raises:
            RunError: there is no index, or the file is damaged.

        """
        path = folder / "index.json"
        if not path.is_file():
            raise RunError(f"{folder}: no index in this folder (no index.json)")
        try:
            found = json.loads(path.read_bytes())
            return IndexHeader(str(found["kind"]), found.get("width"), found.get("model"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path}: damaged: {error}; build the index again") from error


def save_index(
    index: ItemIndex, folder: Path, *, kind: str, width: int, model: str | None = None
) -> None:
    """Write an index and the facts that all engines record.

    Args:
        index: to write.
        folder: to make; it must not exist.
        kind: name of the engine.
        width: of the vectors.
        model: name of the model that the vectors are of.

    """
    index.save(folder)
    path = folder / "index.json"
    own = json.loads(path.read_bytes()) if path.is_file() else {}
    header = {"kind": kind, "width": width, "model": model}
    path.write_text(json.dumps({**own, **header}, indent=1), encoding="utf-8")


def open_index(folder: str | Path, *, width: int | None = None) -> ItemIndex:
    """Return the index in a folder.

    Args:
        folder: that `save` wrote.
        width: of the vectors of the model that asks.

    Raises:
        RunError: there is none, it is damaged or of another format, its engine is not known here,
            or its vectors are of another width.

    """
    folder = Path(folder)
    header = IndexHeader.read(folder)
    try:
        engine = INDEXES.get(header.kind, where=str(folder))
    except RecipeError as error:
        raise RunError(str(error)) from None
    if None not in (width, header.width) and header.width != width:
        raise RunError(
            f"{folder}: the index holds vectors of width {header.width}, the model's have {width};"
            " it belongs to another model, build the index again"
        )
    return engine.load(folder)


class Index:
    """Item index: finds the items with the largest inner product with a query.

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
        kind: str = "exact",
        **options: Any,
    ) -> ItemIndex:
        """Return an index in memory.

        Args:
            ids: `[N]` integers or text, each once.
            vectors: `[N, D]`, finite.
            attributes: columns to filter by, one row per item.
            kind: exact, which scores every item; ann, approximate, for 20,000 items or more;
                milvus; pgvector; or a registered engine of your own.
            options: of the engine. Of exact and ann `storage`: float32; bfloat16 in half the
                memory; int8 in a quarter. Of milvus `uri` and `collection`. Of pgvector those of
                `PgvectorIndex.Options`.

        Returns:
            An index to `search`, change by `add` and `remove`, and `save` to a folder.

        Raises:
            QueryError: ids, vectors and attributes do not fit together, there is no item, or
                there is no such engine or option.

        """
        return build_engine(kind, IndexItems(ids, np.asarray(vectors), attributes), options)

    @staticmethod
    def open(folder: str | Path) -> ItemIndex:
        """Return the index that `save` wrote to a folder.

        Raises:
            RunError: there is no index, it is damaged, or of another format.

        """
        return open_index(folder)
