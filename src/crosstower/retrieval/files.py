"""Files in the run folder of a retriever, besides its models.

- `retrieval/items.parquet`: the raw item table, with ids and numbers of training rows
- `retrieval/users.parquet`: each user's history, and the query columns of the last row
- `retrieval/segments.parquet`: training rows per segment and item, if the recipe names a segment
- `retrieval/questions.parquet`: the test queries and their relevant items
- `retrieval/baselines/NAME.parquet`: the lists of each baseline
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crosstower.data.cleaning.cells import to_ids
from crosstower.data.split import SPLITS
from crosstower.errors import RunError
from crosstower.recipe.own_columns import MARK, raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.storage.files import replacing
from crosstower.values.arrays import Indices

FOLDER = "retrieval"
_SEGMENTS = "segments.parquet"
ID, COUNT, USER, SEEN_ITEMS = (f"{MARK}{name}" for name in ("id", "training_rows", "user", "items"))


def write_catalogue(folder: Path, recipe: Recipe, data: RetrievalData) -> None:
    """Write items, users and test queries to a run folder."""
    place = folder / FOLDER
    place.mkdir()
    items = data.items.attributes.with_columns(
        data.items.ids.alias(ID), pl.Series(COUNT, data.counts)
    )
    items.write_parquet(place / "items.parquet")
    _questions(data).write_parquet(place / "questions.parquet")
    section = retrieval_section_of(recipe)
    if section.user is not None:
        _users(recipe, data).write_parquet(place / "users.parquet")
    if section.segment is not None:
        _segments(section.segment, data).write_parquet(place / _SEGMENTS)


def _questions(data: RetrievalData) -> pl.DataFrame:
    questions = data.questions["test"]
    found = pl.DataFrame({"question": questions.relevant[0], "item": questions.relevant[1]})
    lists = found.group_by("question", maintain_order=True).agg("item")["item"]
    return pl.DataFrame({"asked": questions.asked, "relevant": lists, "cold": questions.cold()})


def _users(recipe: Recipe, data: RetrievalData) -> pl.DataFrame:
    """Return every user's history over all splits, and the latest query columns."""
    rows = data.rows
    history = Histories.of(rows.user, rows.item, users=len(rows.users))
    lists = pl.DataFrame({"user": rows.user, "item": rows.item})
    lists = lists.group_by("user", maintain_order=True).agg("item").sort("user")["item"]
    last = rows.take(history.starts[1:] - 1)
    names = recipe.schema_.part(list(data.sides.query)).sources()
    raw = [last[raw_name(name)].alias(name) for name in names]
    return pl.DataFrame([rows.users.alias(USER), lists.alias(SEEN_ITEMS), *raw])


def _segments(column: str, data: RetrievalData) -> pl.DataFrame:
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


def save_answers(shown: Indices) -> pl.DataFrame:
    """Return lists `[Q, K]` as a frame; -1 ends a list early."""
    return pl.DataFrame({"shown": pl.Series(shown).arr.to_list()})


def load_answers(path: Path) -> Indices:
    """Return the lists `[Q, K]` of a Parquet file."""
    return np.stack(read(path)["shown"].to_list()).astype(np.int64)


def write_answers(path: Path, shown: Indices) -> None:
    """Write lists `[Q, K]`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside:
        save_answers(shown).write_parquet(aside)


def read(path: Path) -> pl.DataFrame:
    """Read one of the files.

    Raises:
        RunError: it is missing or damaged.

    """
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: damaged or missing: {reason}; train the run again") from error
