"""Item and user vectors of a run with a two-tower model, as a table of ids and vectors.

The run may retrieve, or rank by a two-tower model that is trained on labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.counters.counted_source import counted_source_of
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.sources.source import Chunk, open_source, require_columns
from crosstower.errors import QueryError, RunError
from crosstower.models.two_tower import TwoTower
from crosstower.nn.towers import Tower
from crosstower.recipe.kinds.calendar import present_minute
from crosstower.recipe.kinds.coded import Coded
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.history_ages import now_in_seconds
from crosstower.retrieval.inference import query_vectors
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import ID, USER, histories_of_users
from crosstower.training.run import Run
from crosstower.values.addresses.address import Address
from crosstower.values.codes import Vocabulary
from crosstower.values.ids import given_id

VECTOR = "vector"
_ROWS = 2_048


def item_vectors(
    run: Run, items: Any = None, *, model: str | None = None, seed: int | None = None
) -> pl.DataFrame:
    """Return the item vectors of a two-tower model.

    >>> import numpy as np, polars as pl, crosstower as ct
    >>> random = np.random.default_rng(0)
    >>> user, item = random.integers(0, 9, 200), random.integers(0, 50, 200)
    >>> rows = pl.DataFrame({"user": user, "item": item})
    >>> recipe = ct.parse_recipe('''
    ... schema: {columns: {user: categorical, item: categorical}}
    ... model: {name: two_tower, item: [item], dim: 4}
    ... retrieval: {user: user, item: item, baselines: [popularity]}
    ... training: {epochs: 1}
    ... ''')
    >>> run = ct.fit(recipe, data=rows, quiet=True)
    >>> item_vectors(run)["vector"].to_numpy().shape
    (50, 4)

    Args:
        run: a retrieval run, or a ranking run with a two-tower model.
        items: rows with the columns of the item tower: a polars, pandas or Arrow table, or a path.
            If None, the catalogue of a retrieval run, or the vocabulary of a ranker's item tower
            that reads a single categorical column.
        model: one of the run's models; the main one if None.
        seed: one of the run's seeds; the first if None.

    Returns:
        The id (`item_id`, or the columns of the tower) and `vector`, an array of D float32: its
        `to_numpy()` is `[N, D]`, and `write_parquet` of the frame writes a file.

    Raises:
        RunError: the model has no towers, or nothing says which items there are.
        DataError: a column is missing, or a cell is bad.

    """
    found = _two_tower(run, model, seed)
    if items is not None:
        return _of_rows(run, found.item_tower, found.items, items)
    if run.recipe.retrieval is None:
        return _of_vocabulary(run, found.item_tower, found.items, "items")
    retriever = Retriever.open(run, model=model, seed=seed)
    ids = retriever.catalogue.ids.alias(ID)
    return pl.DataFrame([ids.alias("item_id"), _column(retriever.vectors)])


def user_vectors(
    run: Run, users: Any = None, *, model: str | None = None, seed: int | None = None
) -> pl.DataFrame:
    """Return the query vectors of users of a two-tower model.

    >>> import numpy as np, polars as pl, crosstower as ct
    >>> random = np.random.default_rng(0)
    >>> user, item = random.integers(0, 9, 200), random.integers(0, 50, 200)
    >>> rows = pl.DataFrame({"user": user, "item": item})
    >>> recipe = ct.parse_recipe('''
    ... schema: {columns: {user: categorical, item: categorical}}
    ... model: {name: two_tower, item: [item], dim: 4}
    ... retrieval: {user: user, item: item, baselines: [popularity]}
    ... training: {epochs: 1}
    ... ''')
    >>> run = ct.fit(recipe, data=rows, quiet=True)
    >>> user_vectors(run, [3, 4]).columns
    ['user', 'vector']

    Args:
        run: a retrieval run with users, or a ranking run with a two-tower model.
        users: of a retrieval run, ids of users that it knows, all of them if None; or a table or
            path with a column of ids, that of `retrieval.user` if there are several columns. The
            history and the last query columns of each user count. Of a ranking run, rows with the
            columns of the query tower; if None, the vocabulary of a tower that reads a single
            categorical column.
        model: one of the run's models; the main one if None.
        seed: one of the run's seeds; the first if None.

    Returns:
        The id (`user`, or the columns of the tower) and `vector`, an array of D float32.

    Raises:
        RunError: the model has no towers, or nothing says which users there are.
        QueryError: the run does not know a user.
        DataError: a column is missing, or a cell is bad.

    """
    found = _two_tower(run, model, seed)
    if run.recipe.retrieval is not None:
        return _of_known_users(run, Retriever.open(run, model=model, seed=seed), users)
    if users is not None:
        return _of_rows(run, found.query_tower, found.queries, users)
    return _of_vocabulary(run, found.query_tower, found.queries, "users")


def _two_tower(run: Run, model: str | None, seed: int | None) -> TwoTower:
    name, number = run.chosen(model, seed)
    found = run.model(name, seed=number)
    if not isinstance(found, TwoTower):
        raise RunError(
            f"{run.folder}: {name} has no towers and so no vectors; train model: two_tower"
        )
    return found


def _of_vocabulary(
    run: Run, tower: Tower, vectors: Callable[[Batch], Tensor], what: str
) -> pl.DataFrame:
    """Return the vectors of all known values of a tower's only column."""
    names = sorted(tower.column_names)
    kind = run.recipe.schema_.columns[names[0]]
    table = run.encoder.tables.get(getattr(kind, "table", None) or names[0])
    if len(names) > 1 or not isinstance(kind, Coded) or not isinstance(table, Vocabulary):
        raise RunError(
            f"{run.folder}: does not store the {what} of its rows; give rows with the columns"
            f" {', '.join(run.recipe.schema_.part(names).sources())}: run.{what[:-1]}_vectors(rows)"
        )
    frame = table.values.alias(kind.source or names[0]).to_frame()
    return _of_rows(run, tower, vectors, frame)


def _of_rows(run: Run, tower: Tower, vectors: Callable[[Batch], Tensor], rows: Any) -> pl.DataFrame:
    names = [name for name in run.recipe.schema_.columns if name in tower.column_names]
    side = PartialEncoder(run.encoder, names)
    cleaner = Cleaner(side.schema, with_labels=False)
    source, columns = open_source(rows, run.recipe.data.csv), cleaner.sources()
    if not set(columns) <= set(source.columns()):  # of joined tables, or counted
        source = counted_source_of(run.recipe, rows)
    require_columns(source, columns)
    kept, found = list[pl.DataFrame](), list[NDArray[np.float32]]()
    for chunk in source.chunks(columns):
        batch = side.widen(side.encode(cleaner.clean(chunk)))
        kept.append(chunk.frame.select(side.schema.sources()))
        found.append(_computed(vectors, batch))
    return pl.concat(kept).with_columns(_column(np.concatenate(found)))


@torch.no_grad()
def _computed(vectors: Callable[[Batch], Tensor], batch: Batch) -> NDArray[np.float32]:
    parts = [vectors(batch[at : at + _ROWS]).numpy() for at in range(0, len(batch), _ROWS)]
    return np.concatenate(parts)


def _of_known_users(run: Run, retriever: Retriever, users: Any) -> pl.DataFrame:
    """Return the vectors of users with their histories, as a request by id would compute them."""
    if retrieval_section_of(run.recipe).user is None:
        raise RunError(f"{run.folder}: its queries have no users; set retrieval.user, train again")
    known, sides = retriever.users, tower_columns_of(run.recipe)
    if users is not None:
        known = known[_places(retriever, _ids_of(run, users))]
    encoder = QueryEncoder(run.encoder, sides, retriever.catalogue.ids)
    cleaner = Cleaner(encoder.side.schema, with_labels=False)
    present = pl.lit(present_minute())
    known = known.with_columns(present.alias(name) for name in retriever.queries.row_times)
    compact = encoder.side.encode(cleaner.clean(Chunk(known, f"{run.folder}: users", 0, 0)))
    places, histories = np.arange(known.height), histories_of_users(known)
    now = np.full(known.height, now_in_seconds())
    found = query_vectors(retriever.model, encoder, compact, places, histories, times=now)
    return pl.DataFrame([known[USER].alias("user"), _column(found.numpy())])


def _ids_of(run: Run, users: Any) -> list[Any]:
    """Return ids as they are given, or those of a table or a file."""
    named = isinstance(users, str | Path | Address | pl.LazyFrame)  # whose columns cost a query
    if not named and not hasattr(users, "columns"):
        return list(users)
    source, wanted = open_source(users, run.recipe.data.csv), retrieval_section_of(run.recipe).user
    names = source.columns()
    if len(names) != 1:
        names = [str(wanted)]
        require_columns(source, names)
    return [user for chunk in source.chunks(names) for user in chunk.frame[names[0]].to_list()]


def _places(retriever: Retriever, users: Sequence[Any]) -> list[int]:
    places = [retriever.queries.place_of(given_id("users", user)) for user in users]
    for user, place in zip(users, places, strict=True):
        if place < 0:
            raise QueryError(f"users: the run does not know user {user!r}; give ids of its rows")
    return places


def _column(vectors: NDArray[np.float32]) -> pl.Series:
    return pl.Series(VECTOR, vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
