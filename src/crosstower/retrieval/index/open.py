"""Open a saved index of any kind."""

from __future__ import annotations

import json
from pathlib import Path

from crosstower.errors import RunError
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex, IndexManifest
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.index.milvus import Address, MilvusIndex


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
