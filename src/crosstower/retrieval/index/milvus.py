"""An index in Milvus, for catalogues beyond one machine; Milvus Lite keeps one in a file.

The engine searches, filters and stores; this adapter speaks to it. It needs the package pymilvus.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from crosstower.errors import IndexUnavailableError, QueryError, RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.external import checked_items, engine_ids, hits_of
from crosstower.retrieval.index.index import Hits, check_queries
from crosstower.retrieval.index.milvus_filters import columns_of_kinds, kinds_of, milvus_filter
from crosstower.retrieval.index.registry import IndexItems, register_index
from crosstower.retrieval.index.vectors import Floats
from crosstower.storage.documents import read_document
from crosstower.storage.files import new_folder

TOKEN = "CROSSTOWER_MILVUS_TOKEN"  # noqa: S105 - the name of a variable, not a secret
_BATCH = 1_000
_LIMIT = 16_384
_FEW = 1_000  # exclusions that are taken out of the hits
_PROPERTY = "crosstower"


class Address(FrozenModel):
    """Location of an index; contents of `index.json`. The token is only in the environment."""

    format: Literal[1] = 1
    kind: Literal["milvus"] = "milvus"
    uri: str
    collection: str
    width: int | None = None
    model: str | None = None


class _Description(FrozenModel):
    """Description stored with the collection."""

    crosstower: Literal[1] = 1
    width: int
    text_ids: bool
    attributes: dict[str, str]


@register_index("milvus")
class MilvusIndex:
    """Items in a Milvus collection: id, vector, and attributes as JSON.

    The token of a server (user:password) is read from the environment variable
    CROSSTOWER_MILVUS_TOKEN. `Index.build(ids, vectors, kind="milvus", uri=...)` makes one.

    It needs the extra "milvus", and a server unless `uri` is a file.

    >>> uri = "http://localhost:19530"
    >>> index = MilvusIndex.build(uri, "films", [7, 9], np.eye(2))  # doctest: +SKIP
    >>> hits = index.search(np.array([[0.0, 1.0]]), k=1)  # doctest: +SKIP
    >>> hits.ids(0).to_list()  # doctest: +SKIP
    [9]

    Args:
        address: server or file, and collection.

    Raises:
        QueryError: the package pymilvus is not installed.
        RunError: there is no such collection, another program made it, or the server cannot be
            reached.

    """

    class Options(FrozenModel):
        """Options of the engine."""

        uri: str = Field(min_length=1, description="http://HOST:19530, or a file such as items.db.")
        collection: str | None = Field(default=None, description="Its name; the run's if unset.")

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client = _client(address.uri)
        if not self._client.has_collection(address.collection):
            raise RunError(
                f"{address.uri}: no collection '{address.collection}'; build the index first"
            )
        described = self._client.describe_collection(address.collection)
        properties: dict[str, str] = described.get("properties") or {}
        try:
            about = properties.get(_PROPERTY) or described.get("description") or ""
            self._about = _Description.model_validate_json(about)
        except ValidationError:
            raise RunError(
                f"{address.uri}: collection '{address.collection}' was not created by crosstower;"
                " choose another name"
            ) from None

    @staticmethod
    def build(
        uri: str,
        collection: str,
        ids: Any,
        vectors: NDArray[Any],
        attributes: pl.DataFrame | None = None,
    ) -> MilvusIndex:
        """Make a collection of items; one of that name must not be there yet.

        Args:
            uri: http://HOST:19530, or a file such as items.db for Milvus Lite.
            collection: its name.
            ids: `[N]` integers or text, each once.
            vectors: `[N, D]`, finite.
            attributes: columns to filter by, one row per item.

        Raises:
            QueryError: ids, vectors and attributes do not fit together, or no package pymilvus.
            RunError: the collection already exists.

        """
        catalogue, x = checked_items(ids, vectors, attributes)
        client = _client(uri)
        if client.has_collection(collection):
            raise RunError(f"{uri}: collection '{collection}' already exists; choose another")
        about = _Description(
            width=x.shape[1],
            text_ids=catalogue.ids.dtype == pl.String,
            attributes=kinds_of(catalogue.attributes),
        )
        _create(client, collection, about)
        index = MilvusIndex(Address(uri=uri, collection=collection))
        index._upsert(catalogue, x)
        return index

    @staticmethod
    def from_items(items: IndexItems, options: MilvusIndex.Options) -> MilvusIndex:
        """Build the index as a registered engine; see `build`."""
        name = options.collection or items.name.replace("-", "_").replace(".", "_")
        return MilvusIndex.build(options.uri, name, items.ids, items.vectors, items.attributes)

    @staticmethod
    def load(folder: str | Path) -> MilvusIndex:
        """Connect to the collection that `save` wrote the address of.

        Raises:
            RunError: the file is damaged, or the engine cannot be reached.

        """
        path, again = Path(folder) / "index.json", "build the index again"
        return MilvusIndex(read_document(path, Address, newest=1, error=RunError, again=again))

    def __len__(self) -> int:
        """Return the number of items."""
        found = self._client.query(self.address.collection, filter="", output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def search(
        self,
        queries: NDArray[Any],
        k: int,
        *,
        where: str | None = None,
        exclude: Sequence[Any] | None = None,
    ) -> Hits:
        """Return the items that the engine finds; see `ItemIndex.search`."""
        x = check_queries(queries, k, width=self._about.width)
        if exclude is not None and len(exclude) != len(x):
            raise QueryError(f"exclude: {len(exclude):,} lists for {len(x):,} queries")
        left_out = [set(self._ids(e)) for e in exclude or [[]] * len(x)]
        if k > _LIMIT:
            raise QueryError(f"k: Milvus returns at most {_LIMIT:,} items, got {k:,}")
        columns = columns_of_kinds(self._about.attributes)
        condition = "" if where is None else milvus_filter(where, columns)
        most = max((len(e) for e in left_out), default=0)
        if most <= min(_FEW, _LIMIT - k):
            found = self._found(x, k + most, condition)
        else:  # many: the engine leaves them out, which takes a search per query
            conditions = [_without(condition, out) for out in left_out]
            found = [self._found(x[n : n + 1], k, c)[0] for n, c in enumerate(conditions)]
        lists = [
            [(h["id"], h["distance"]) for h in hits if h["id"] not in out][:k]
            for hits, out in zip(found, left_out, strict=True)
        ]
        return hits_of(lists, k)

    def _found(self, x: Floats, limit: int, condition: str) -> list[list[dict[str, Any]]]:
        """Return the hits of each query `[n, D]`.

        Raises:
            IndexUnavailableError: the engine cannot be reached, or refuses the search.

        """
        milvus = importlib.import_module("pymilvus")
        try:
            return self._client.search(
                self.address.collection, data=x.tolist(), limit=limit, filter=condition
            )
        except milvus.MilvusException as error:
            raise IndexUnavailableError(
                f"{self.address.uri}: {error.message}; see its server"
            ) from error

    def add(self, ids: Any, vectors: NDArray[Any], attributes: pl.DataFrame | None = None) -> None:
        """Add items; an existing id gets the new vector and attributes."""
        catalogue, x = checked_items(ids, vectors, attributes)
        if x.shape[1] != self._about.width:
            raise QueryError(f"item vectors: expected width {self._about.width}, got {x.shape[1]}")
        if kinds_of(catalogue.attributes) != self._about.attributes:
            raise QueryError(
                f"attributes: expected {self._about.attributes}, got"
                f" {kinds_of(catalogue.attributes)}"
            )
        self._upsert(catalogue, x)

    def remove(self, ids: Any) -> None:
        """Remove items; the engine ignores unknown ids."""
        self._client.delete(self.address.collection, ids=self._ids(ids))

    def save(self, folder: str | Path) -> None:
        """Write the location of the index to a new folder."""
        with new_folder(Path(folder)) as aside:
            text = self.address.model_dump_json(indent=1)
            (aside / "index.json").write_text(text, encoding="utf-8")

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _ids(self, ids: Any) -> list[Any]:
        return engine_ids(ids, text=self._about.text_ids)

    def _upsert(self, catalogue: Catalogue, x: NDArray[np.float32]) -> None:
        ids, rows = self._ids(catalogue.ids.to_list()), list(_rows(catalogue))
        if len(ids) < len(rows):
            raise QueryError(
                f"item ids: the collection {self.address.collection} holds integers, got text; make"
                " another collection for both"
            )
        for start in range(0, len(ids), _BATCH):
            part = range(start, min(start + _BATCH, len(ids)))
            data = [{"id": ids[i], "vector": x[i].tolist(), "attributes": rows[i]} for i in part]
            self._client.upsert(self.address.collection, data)


def _rows(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """Yield the attributes of each item as JSON values, missing ones left out."""
    if not catalogue.attributes.width:
        yield from ({} for _ in range(len(catalogue.ids)))
        return
    for row in catalogue.attributes.iter_rows(named=True):
        plain = {name: value for name, value in row.items() if value is not None}
        yield json.loads(json.dumps(plain, default=str))


def _create(client: Any, collection: str, about: _Description) -> None:
    milvus = importlib.import_module("pymilvus")
    # Servers keep the description, Milvus Lite the properties.
    words = about.model_dump_json()
    schema = client.create_schema(auto_id=False, description=words)
    if about.text_ids:
        schema.add_field("id", milvus.DataType.VARCHAR, is_primary=True, max_length=512)
    else:
        schema.add_field("id", milvus.DataType.INT64, is_primary=True)
    schema.add_field("vector", milvus.DataType.FLOAT_VECTOR, dim=about.width)
    schema.add_field("attributes", milvus.DataType.JSON)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
    client.create_collection(
        collection,
        schema=schema,
        index_params=index,
        properties={_PROPERTY: words},
        consistency_level="Strong",  # a search finds what was written before it
    )


def _without(condition: str, ids: set[Any]) -> str:
    """Return a condition that also excludes items."""
    if not ids:
        return condition
    left_out = f"id not in {json.dumps(sorted(ids))}"
    return f"{condition} and {left_out}" if condition else left_out


def _client(uri: str) -> Any:
    try:
        milvus = importlib.import_module("pymilvus")
    except ImportError as error:
        raise QueryError(
            "an index in Milvus needs the package pymilvus; install it with:"
            " pip install 'crosstower[milvus]'"
        ) from error
    token = os.environ.get(TOKEN)
    try:
        return milvus.MilvusClient(uri, **({"token": token} if token else {}))
    except milvus.MilvusException as error:
        raise RunError(f"{uri}: cannot be reached: {error.message}") from error
