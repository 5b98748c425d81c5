"""The columns of labelled impressions: query, user, item and history as the models read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from crosstower.errors import DataError
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.run_files import USER, without_histories
from crosstower.serving.state import user_table
from crosstower.serving.state.state import State
from crosstower.values.columns import text_of
from crosstower.values.ids import Id

_SERVER_FACTS = frozenset(
    {"version", "score", "propensity", "conditional_propensity", "drawn_rank", "team", "explore"}
)
"""Attributes of impressions that the server writes; they are not columns of a recipe."""

_KEY = "\0key"


@dataclass(frozen=True)
class Origins:
    """Where the columns of impressions come from.

    `names` gives columns of events by data column, such as that of the user's id. Other columns
    come, in this order, from the event's `query`, its `attributes`, the tables `items` (by the
    item's id in the column `item`), and `users` (by the user's id in the column `USER`).
    """

    names: Mapping[str, str]
    items: pl.DataFrame | None
    item: str | None
    users: Sequence[pl.DataFrame]


def with_columns(rows: pl.DataFrame, needed: Sequence[str], origins: Origins) -> pl.DataFrame:
    """Add data columns to events; a value that none of the origins has is missing.

    Args:
        rows: events.
        needed: data columns, which take the place of columns of `rows` with their name.
        origins: of the data columns.

    """
    found = dict[str, pl.Series]()
    for name in needed:
        if name in origins.names:
            found[name] = rows[origins.names[name]].alias(name)
        else:
            found[name] = _column(rows, name, origins)
    return rows.with_columns(found.values())


def missing_notes(rows: pl.DataFrame, needed: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence per data column without any value."""
    lacking = [name for name in needed if rows[name].null_count() == rows.height]
    return tuple(
        f"column '{name}' is missing in all new rows: send it in query or attributes of events, as"
        " an attribute of users, or as a column of items"
        for name in lacking
    )


def required_columns(recipe: Recipe) -> dict[str, str]:
    """Return the columns without which a ranker trains on no row, with the keys that name them.

    They are the sample weights, the group of the losses, and the amounts of the blend.
    """
    weights = recipe.schema_.sample_weights()
    keys = {column: f"schema.tasks.{task}.sample_weight" for task, column in weights.items()}
    if recipe.training.group is not None:
        keys[recipe.training.group] = "training.group"
    return keys | dict.fromkeys(recipe.amounts, "blend.amount")


def complete_rows(
    rows: pl.DataFrame, required: Mapping[str, str]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the rows that have all required columns, and a sentence per column that some lack.

    Raises:
        DataError: no row has a column.

    """
    notes = list[str]()
    for column, key in required.items():
        if column not in rows.columns:  # a joined table has it
            continue
        lacking = rows[column].null_count()
        if lacking and lacking == rows.height:
            fill = f"set labels.request: {column}, or " if key == "training.group" else ""
            raise DataError(
                f"column '{column}' ({key}) is missing in all {lacking:,} rows of events: {fill}"
                "send it in query or attributes of impressions, as an attribute of users, or as a"
                " column of items"
            )
        if lacking:
            notes.append(f"rows left out, as they lack '{column}' ({key}): {lacking:,}")
            rows = rows.drop_nulls(column)
    return rows, tuple(notes)


def _column(rows: pl.DataFrame, name: str, origins: Origins) -> pl.Series:
    parts = list[pl.Series]()
    flat = [f"query.{name}"] + ([] if name in _SERVER_FACTS else [f"attributes.{name}"])
    parts += [rows[column] for column in flat if column in rows.columns]
    items = origins.items
    if items is not None and origins.item is not None and name in items.columns:
        parts.append(_looked_up(rows["item_id"], items, origins.item, name))
    for table in origins.users:
        if name in table.columns:
            parts.append(_looked_up(rows["user"], table, USER, name))
    return _first_of(parts, name, rows.height)


def _looked_up(ids: pl.Series, table: pl.DataFrame, key: str, name: str) -> pl.Series:
    left = pl.DataFrame({_KEY: text_of(ids)})
    right = table.select(text_of(table[key]).alias(_KEY), pl.col(name).alias("value"))
    right = right.unique(_KEY, keep="last")
    return left.join(right, on=_KEY, how="left", maintain_order="left")["value"]


def _first_of(parts: Sequence[pl.Series], name: str, rows: int) -> pl.Series:
    """Return the first value per row that is not missing."""
    if not parts:
        return pl.repeat(None, rows, eager=True).alias(name)
    frame = pl.DataFrame([part.alias(str(n)) for n, part in enumerate(parts)])
    try:
        return frame.select(pl.coalesce(pl.all()).alias(name))[name]
    except pl.exceptions.PolarsError:  # of several types: as text, which every kind can read
        return frame.select(pl.coalesce(pl.all().cast(pl.String)).alias(name))[name]


def user_columns(state: State, needed: Sequence[str]) -> pl.DataFrame:
    """Return the attributes of users that clients have put, with the id in `USER`.

    Args:
        state: of the server.
        needed: only these columns, those of them that some user has.

    """
    ids, values = list[Id](), {name: list[Any]() for name in needed}
    with state.database.reading() as connection:
        for user, attributes in user_table.all_attributes(connection):
            ids.append(user)
            for name, column in values.items():
                column.append(attributes.get(name))
    found = [pl.Series(USER, [str(user) for user in ids], pl.String)]
    for name, column in values.items():
        if any(value is not None for value in column):
            found.append(pl.Series(name, column, strict=False))
    return pl.DataFrame(found)


def last_columns(users: pl.DataFrame) -> pl.DataFrame:
    """Return the query columns of the users' last training rows, with the id in `USER`."""
    return without_histories(users)


def histories(
    rows: pl.DataFrame, log: pl.DataFrame, *, user: str, item: str, time: str, length: int
) -> pl.Series:
    """Return the items of each row's user before the row's time, oldest first.

    Args:
        rows: `[R]` with user and time.
        log: positives, with user, item and time; one without a time comes first.
        user: column of the user's id in both.
        item: column of the item's id, or of another value to list, such as the time.
        time: column of the time.
        length: largest number of items, the newest ones.

    Returns:
        `[R]` lists of the column `item`.

    """
    users = pl.concat([text_of(log[user]), text_of(rows[user])]).rank("dense").fill_null(0)
    times = pl.concat([log[time], rows[time]]).rank("dense").fill_null(0)
    users, times = users.to_numpy().astype(np.int64), times.to_numpy().astype(np.int64)
    keys = users * (int(times.max(initial=0)) + 1) + times
    first = users * (int(times.max(initial=0)) + 1)
    count = log.height
    order = np.argsort(keys[:count], kind="stable")
    kept = order[users[:count][order] > 0]
    ends = np.searchsorted(keys[kept], keys[count:], side="left")
    starts = np.maximum(np.searchsorted(keys[kept], first[count:], side="left"), ends - length)
    sizes = np.where(users[count:] > 0, np.maximum(ends - starts, 0), 0)
    places = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    flat = log[item].gather(kept[places]) if len(kept) else log[item].clear()
    lists = pl.DataFrame({"row": np.repeat(np.arange(rows.height), sizes), "item": flat})
    lists = lists.group_by("row", maintain_order=True).agg("item")
    all_rows = pl.DataFrame({"row": np.arange(rows.height)})
    found = all_rows.join(lists, on="row", how="left", maintain_order="left")["item"]
    empty = pl.Series([[]], dtype=pl.List(log[item].dtype))
    return pl.select(pl.coalesce(pl.lit(found), pl.lit(empty).first())).to_series()
