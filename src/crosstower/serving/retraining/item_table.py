"""The items of the next bundle: those of the live one, with the changes that clients sent since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from crosstower.errors import CrosstowerError
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.state.item_log import Change
from crosstower.serving.state.state import State
from crosstower.values.columns import text_of


@dataclass(frozen=True)
class ItemRows:
    """Items by the column `id_column`.

    `current` are the items of the next bundle, `known` also has deleted ones, for rows about them.
    `sequence` is the number of the last change that was read. `unreadable` counts changed items
    that do not fit the bundle's columns, and are left out.
    """

    id_column: str
    current: pl.DataFrame
    known: pl.DataFrame
    sequence: int
    unreadable: int


def item_rows(retriever: Retriever, state: State, earlier: pl.DataFrame | None = None) -> ItemRows:
    """Return the items of a bundle after all changes in a state.

    Args:
        retriever: of the live bundle.
        state: of the server.
        earlier: items that were known to the version before, deleted ones among them.

    Raises:
        ServeError: the state is damaged.

    """
    catalogue = OnlineCatalogue(retriever, None)
    name, before = catalogue.id_column, retriever.catalogue.attributes
    gone = before.clear() if earlier is None else _without(earlier, name, _ids(before, name))
    put, last, sequence = dict[str, dict[str, Any]](), dict[str, Change](), 0
    for change in state.changes_after(0):
        key, sequence = str(change.id), change.sequence
        if change.vector is not None:
            continue  # a new training run computes its own
        last[key] = change
        if change.row is not None:
            put.pop(key, None)
            put[key] = change.row
    changed, unreadable = _read(catalogue, list(put.values()), before)
    there = pl.concat([_without(before, name, set(put)), changed], how="vertical_relaxed")
    deleted = {key for key, change in last.items() if change.row is None}
    gone = _without(gone, name, set(put))
    known = pl.concat([gone, there], how="diagonal_relaxed").select(there.columns)
    return ItemRows(name, _without(there, name, deleted), known, sequence, unreadable)


def _ids(items: pl.DataFrame, name: str) -> set[str]:
    return set(text_of(items[name]))


def _read(
    catalogue: OnlineCatalogue, rows: Sequence[dict[str, Any]], before: pl.DataFrame
) -> tuple[pl.DataFrame, int]:
    """Return the rows that the catalogue can read, and the number of others."""
    if not rows:
        return before.clear(), 0
    try:
        return catalogue.checked_rows(rows)[1], 0
    except CrosstowerError:
        if len(rows) == 1:
            return before.clear(), 1
    middle = len(rows) // 2
    (first, bad), (second, worse) = (
        _read(catalogue, part, before) for part in (rows[:middle], rows[middle:])
    )
    return pl.concat([first, second], how="vertical_relaxed"), bad + worse


def _without(items: pl.DataFrame, name: str, ids: set[str]) -> pl.DataFrame:
    return items.filter(~text_of(items[name]).is_in(list(ids)))
