"""Files in the run folder of a retriever, besides its models.

- `retrieval/items.parquet`: the raw item table, with ids and numbers of training rows
- `retrieval/users.parquet`: each user's history, its times if the rows have a time, and the query
  columns of the last row
- `retrieval/segments.parquet`: training rows per segment and item, if the recipe names a segment
- `retrieval/queries.parquet`: the test queries and their relevant items
- `retrieval/baselines/NAME.parquet`: the lists of each baseline
- `retrieval/sources/NAME/`: learned arrays of each source of candidates, if the recipe has sources
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.split import SPLITS
from crosstower.errors import RunError, first_line
from crosstower.recipe.own_columns import MARK, raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.storage.files import replacing
from crosstower.training.run import Run
from crosstower.values.arrays import Indices
from crosstower.values.columns import to_ids

FOLDER = "retrieval"
_SEGMENTS = "segments.parquet"
QUERIES, OLD_QUERIES = "queries.parquet", "questions.parquet"
ID, COUNT, USER, SEEN_ITEMS, SEEN_TIMES = (
    f"{MARK}{name}" for name in ("id", "training_rows", "user", "items", "times")
)


@dataclass(frozen=True)
class StoredQueries:
    """The test queries of a run: `ids` and `cold` `[Q]`, and the relevant (query, item) pairs."""

    ids: pl.Series
    relevant: tuple[Indices, Indices]
    cold: NDArray[np.bool_]


def write_catalogue(folder: Path, recipe: Recipe, data: RetrievalData) -> None:
    """Write items, users and test queries to a run folder."""
    place = folder / FOLDER
    place.mkdir()
    items = data.items.attributes.with_columns(
        data.items.ids.alias(ID), pl.Series(COUNT, data.counts)
    )
    items.write_parquet(place / "items.parquet")
    _queries(data).write_parquet(place / QUERIES)
    section = retrieval_section_of(recipe)
    if section.user is not None:
        _users(recipe, data).write_parquet(place / "users.parquet")
    if section.segment is not None:
        rows_by_segment(section.segment, data).write_parquet(place / _SEGMENTS)


def _queries(data: RetrievalData) -> pl.DataFrame:
    queries = data.evaluation["test"]
    found = pl.DataFrame({"query": queries.relevant[0], "item": queries.relevant[1]})
    lists = found.group_by("query", maintain_order=True).agg("item")["item"]
    return pl.DataFrame({"id": queries.ids, "relevant": lists, "cold": queries.cold()})


def _users(recipe: Recipe, data: RetrievalData) -> pl.DataFrame:
    """Return every user's history over all splits, and the latest query columns."""
    rows = data.rows
    history = Histories.of(rows.user, rows.item, users=len(rows.users))
    lists = pl.DataFrame({"user": rows.user, SEEN_ITEMS: rows.item})
    if rows.times is not None:
        lists = lists.with_columns(pl.Series(SEEN_TIMES, rows.times))
    lists = lists.group_by("user", maintain_order=True).agg(pl.all()).sort("user").drop("user")
    last = rows.take(history.starts[1:] - 1)
    names = recipe.schema_.part(list(data.sides.query)).sources()
    raw = [last[raw_name(name)].alias(name) for name in names]
    return pl.DataFrame([rows.users.alias(USER), *lists.get_columns(), *raw])


def histories_of_users(users: pl.DataFrame) -> Histories:
    """Return the histories `[U]` of users in `users.parquet`; a null is an empty one.

    Args:
        users: `[U]`, with `SEEN_ITEMS`, and `SEEN_TIMES` if their rows have a time.

    """
    counts = users[SEEN_ITEMS].list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = {
        name: users[name].explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.int64)
        for name in (SEEN_ITEMS, SEEN_TIMES)
        if name in users.columns
    }
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Histories(flat[SEEN_ITEMS], starts, flat.get(SEEN_TIMES))


def without_histories(users: pl.DataFrame) -> pl.DataFrame:
    """Return the users with only their query columns."""
    return users.drop(SEEN_ITEMS, SEEN_TIMES, strict=False)


def rows_by_segment(column: str, data: RetrievalData) -> pl.DataFrame:
    """Return the number of training rows of each item per value of a data column."""
    rows = data.rows
    segment = to_ids(column, rows.frame[raw_name(column)])
    pairs = pl.DataFrame({"segment": segment, "item": rows.item})
    train = pairs.filter(pl.Series(rows.split == SPLITS.index("train"))).drop_nulls()
    return train.group_by("segment", "item").len("rows").sort("segment", "item")


def read_segments(folder: Path) -> pl.DataFrame | None:
    """Return the training rows per segment and item of a run, None if it has no segments.

    Args:
        folder: of the run.

    Returns:
        Columns `segment` (canonical ids), `item` (position in the catalogue) and `rows`.

    Raises:
        RunError: the file is damaged.

    """
    path = folder / FOLDER / _SEGMENTS
    return read(path) if path.is_file() else None


def read_queries(run: Run) -> StoredQueries:
    """Return the test queries of a run, also those of the file's old name.

    Raises:
        RunError: the file is missing or damaged.

    """
    place = run.folder / FOLDER
    old = not (place / QUERIES).is_file() and (place / OLD_QUERIES).is_file()
    frame = read(place / (OLD_QUERIES if old else QUERIES))
    flat = frame.with_row_index("query").explode("relevant")
    relevant = flat["query"].to_numpy().astype(np.int64), flat["relevant"].to_numpy()
    return StoredQueries(frame["asked" if old else "id"], relevant, frame["cold"].to_numpy())


def lists_frame(shown: Indices) -> pl.DataFrame:
    """Return lists `[Q, K]` as a frame; -1 ends a list early."""
    return pl.DataFrame({"shown": pl.Series(shown).arr.to_list()})


def load_lists(path: Path) -> Indices:
    """Return the lists `[Q, K]` of a Parquet file."""
    return np.stack(read(path)["shown"].to_list()).astype(np.int64)


def write_lists(path: Path, shown: Indices) -> None:
    """Write lists `[Q, K]`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside:
        lists_frame(shown).write_parquet(aside)


def read(path: Path) -> pl.DataFrame:
    """Read one of the files.

    Raises:
        RunError: it is missing or damaged.

    """
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = first_line(error)
        raise RunError(f"{path}: damaged or missing: {reason}; train the run again") from error
