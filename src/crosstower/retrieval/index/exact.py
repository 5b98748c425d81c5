"""The exact index: a blocked matrix product. The oracle of every other one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.errors import QueryError, RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.index import Hits, check_queries, excluded_pairs
from crosstower.retrieval.index.registry import IndexItems, register_index
from crosstower.retrieval.index.survivors import Survivors
from crosstower.retrieval.index.vectors import Floats, Storage, Vectors, top_places, top_rows
from crosstower.storage.documents import read_document
from crosstower.storage.files import new_folder
from crosstower.values.arrays import Indices

FORMAT = 2
GATHERED = 16_384  # survivors of a condition whose vectors are kept side by side


class IndexManifest(FrozenModel):
    """Content of `index.json`.

    The approximate index has `blocks` of `block_size` items, and the settings of its search.
    `model` names the model that the vectors are of, where somebody has to know.
    """

    format: Literal[2] = FORMAT
    kind: Literal["exact", "ann"] = "exact"
    storage: Storage
    items: int
    width: int
    blocks: int = 0
    block_size: int = 0
    depths: tuple[int, int, int] = (1, 1, 1)
    spare: int = 1
    model: str | None = None

    @staticmethod
    def read(folder: Path) -> IndexManifest:
        """Read it.

        Raises:
            RunError: there is none, or it is damaged or of another format.

        """
        path = folder / "index.json"
        if not path.is_file():
            raise RunError(f"{folder}: no index in this folder (no index.json)")
        again = "build the index again"
        return read_document(path, IndexManifest, newest=FORMAT, error=RunError, again=again)


@register_index("exact")
class ExactIndex:
    """Exact index: scores every item, fast enough for a few 100,000 items.

    `ExactIndex.build` or `Index.build` make one from vectors.

    Args:
        catalogue: ids and attributes of N items.
        vectors: encoded vectors `[N, D]`.

    """

    class Options(FrozenModel):
        """Options of the engine."""

        storage: Storage = "float32"

    def __init__(self, catalogue: Catalogue, vectors: Vectors) -> None:
        self.catalogue, self.vectors = catalogue, vectors

    @staticmethod
    def build(
        ids: Any,
        vectors: NDArray[Any],
        attributes: pl.DataFrame | None = None,
        *,
        storage: Storage = "float32",
    ) -> ExactIndex:
        """Return an index of items.

        >>> index = ExactIndex.build(["a", "b", "c"], np.eye(3))
        >>> index.search(np.array([[0.0, 2.0, 1.0]]), k=2).ids(0).to_list()
        ['b', 'c']

        Args:
            ids: `[N]` integers or text, each once.
            vectors: `[N, D]`, finite.
            attributes: columns to filter by, one row per item.
            storage: float32; bfloat16 in half the memory; int8 in a quarter.

        Raises:
            QueryError: ids, vectors and attributes do not fit together, or there is no item.

        """
        catalogue, encoded = Catalogue(ids, attributes), Vectors.encode(vectors, storage)
        _check_fit(len(catalogue.ids), len(encoded.stored))
        return ExactIndex(catalogue, encoded)

    @staticmethod
    def from_items(items: IndexItems, options: ExactIndex.Options) -> ExactIndex:
        """Build the index as a registered engine; see `build`."""
        return ExactIndex.build(items.ids, items.vectors, items.attributes, storage=options.storage)

    def search(
        self,
        queries: NDArray[Any],
        k: int,
        *,
        where: str | None = None,
        exclude: Sequence[Any] | None = None,
    ) -> Hits:
        """Return the k best items of each query; see `ItemIndex.search`."""
        x = check_queries(queries, k, width=self.vectors.width)
        pairs = excluded_pairs(self.catalogue, exclude, len(x))
        allowed = self.catalogue.survivors(where)
        return Hits(self.catalogue, *self.nearest(x, k, allowed=allowed, excluded=pairs))

    def nearest(
        self, x: Floats, k: int, *, allowed: Survivors | None, excluded: tuple[Indices, Indices]
    ) -> tuple[Indices, Floats]:
        """Return the places `[Q, k]` of the best items and their inner products; -1, -inf: none.

        Args:
            x: queries `[Q, D]`, finite.
            k: at least 1.
            allowed: the items that may be shown; all if None.
            excluded: (query, place) pairs that may not.

        """
        if allowed is None:
            return top_places(torch.from_numpy(x), self.vectors, k, excluded=excluded)
        if allowed.count <= GATHERED:
            rows = self._gathered(allowed)
            return top_rows(x, rows, allowed.places, k, excluded=excluded)
        places = allowed.places
        return top_places(torch.from_numpy(x), self.vectors, k, allowed=places, excluded=excluded)

    def _gathered(self, allowed: Survivors) -> Floats:
        """Return the vectors `[n, D]` of few items."""
        size = 4 * allowed.count * self.vectors.width
        return allowed.derived(
            self.vectors, lambda: self.vectors.rows(allowed.places).contiguous().numpy(), size
        )

    def add(self, ids: Any, vectors: NDArray[Any], attributes: pl.DataFrame | None = None) -> None:
        """Add items; an existing id gets the new vector and attributes."""
        catalogue = Catalogue(ids, attributes)
        encoded = Vectors.encode(vectors, self.vectors.storage)
        _check_fit(len(catalogue.ids), len(encoded.stored))
        if encoded.width != self.vectors.width:
            raise QueryError(
                f"item vectors: expected width {self.vectors.width}, got {encoded.width}"
            )
        extended = self.vectors.extended(encoded)
        self.catalogue.extend(catalogue)
        self.vectors = extended

    def remove(self, ids: Any) -> None:
        """Take items out; `save` drops their vectors."""
        self.catalogue.remove(ids)

    def save(self, folder: str | Path, *, model: str | None = None) -> None:
        """Write the index without removed items to a new folder.

        Args:
            folder: to make.
            model: a name of the model that the vectors are of.

        Raises:
            RunError: the folder already exists, or cannot be written.

        """
        folder = Path(folder)
        if folder.exists():
            raise RunError(f"{folder}: already exists; remove it, or choose another folder")
        kept = np.flatnonzero(self.catalogue.active_mask)
        try:
            with new_folder(folder) as aside:
                manifest = self._write(aside, kept).model_copy(update={"model": model})
                text = manifest.model_dump_json(indent=1)
                (aside / "index.json").write_text(text, encoding="utf-8")
        except OSError as error:
            raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error

    @staticmethod
    def load(folder: str | Path) -> ExactIndex:
        """Open a saved index; vectors are mapped from their file.

        Raises:
            RunError: there is none, or a file is damaged.

        """
        folder = Path(folder)
        manifest = IndexManifest.read(folder)
        catalogue = Catalogue.load(folder)
        vectors = Vectors.load(folder, manifest.storage, count=manifest.items, width=manifest.width)
        if len(catalogue.ids) != len(vectors):
            raise RunError(
                f"{folder}: {len(catalogue.ids):,} items but {len(vectors):,} vectors; build the"
                " index again"
            )
        return ExactIndex(catalogue, vectors)

    def _write(self, folder: Path, kept: Indices) -> IndexManifest:
        """Write the items at `kept` into a folder and return the contents of index.json."""
        catalogue, vectors = self.catalogue.take(kept), self.vectors.take(kept)
        catalogue.save(folder)
        vectors.save(folder)
        return IndexManifest(storage=vectors.storage, items=len(vectors), width=vectors.width)


def _check_fit(ids: int, vectors: int) -> None:
    if ids != vectors:
        raise QueryError(f"{ids:,} item ids for {vectors:,} vectors")
    if vectors == 0:
        raise QueryError("no items: an index needs at least one")


def are_unit_vectors(vectors: Vectors) -> bool:
    """Return whether the first vectors have length 1, so that the inner product is the cosine."""
    some = vectors.rows(slice(0, 1_000)).norm(dim=1)
    return bool(((some - 1.0).abs() <= _SAME_LENGTH).all())


def of_unit_length(index: ExactIndex) -> ExactIndex:
    """Return an index of the same vectors, scaled to length 1."""
    rows = index.vectors.rows(slice(0, None))
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=_TINY)
    return ExactIndex(index.catalogue, Vectors(unit.numpy(), "float32"))


_SAME_LENGTH, _TINY = 1e-3, 1e-12
