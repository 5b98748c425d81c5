"""Inputs that give the label away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from crosstower.fitting.validation.checks import input_columns
from crosstower.fitting.validation.finding import Finding
from crosstower.fitting.validation.giveaways import TELLING, single_auc
from crosstower.fitting.validation.seen_rows import PLACE, SeenRows
from crosstower.recipe.kinds.id_lists import ListColumn
from crosstower.recipe.kinds.sequence import Sequence
from crosstower.recipe.own_columns import label_name
from crosstower.recipe.tasks import Binary

_OWN = 0.5
_FIRST = 3


def check_leaks(seen: SeenRows) -> Iterator[Finding]:
    """Yield single columns that predict a label, and histories that contain their row's item."""
    yield from _telling(seen)
    yield from _own_items(seen)


def _telling(seen: SeenRows) -> Iterator[Finding]:
    for task, kind in seen.schema.tasks.items():
        labels = seen.frame[label_name(task)]
        if not isinstance(kind, Binary):
            labels = labels > labels.median()
        for name in input_columns(seen):
            values = seen.frame[name]
            if values.dtype.is_nested():
                continue
            auc = single_auc(values, labels.cast(pl.Int8))
            if auc is not None and auc > TELLING:
                words = f"column '{name}': predicts {task} by itself (AUC {auc:.3f}), like an"
                words += " outcome known only afterwards; remove it unless it is known when"
                words += " predicting"
                yield Finding(check="leaks", severity="problem", sentence=words)


def _own_items(seen: SeenRows) -> Iterator[Finding]:
    """Yield sequences whose newest value is mostly the item of the row itself.

    Histories that were made from the whole log, or up to and including the row, show this.
    """
    columns = seen.schema.columns
    for name, owner in _histories(seen).items():
        rows = seen.frame.select(PLACE, name, owner).filter(pl.col(name).list.len() > 0)
        if not rows.height:
            continue
        # As texts: ids of a list may be texts where those of the column are numbers.
        own: Any = pl.col(owner).cast(pl.String)
        values = pl.col(name).cast(pl.List(pl.String))
        newest = isinstance(columns[name], Sequence)
        holds = values.list.last() == own if newest else values.list.contains(own)
        found = rows.filter(holds)
        if found.height < _OWN * rows.height:
            continue
        share = found.height / rows.height
        words = f"column '{name}': {'ends with' if newest else 'holds'} the row's own '{owner}' in"
        words += f" {share:.1%} of the rows; a history must hold earlier values only"
        first = tuple(found[PLACE].head(_FIRST))
        yield Finding(check="leaks", severity="problem", sentence=words, rows=first)


def _histories(seen: SeenRows) -> dict[str, str]:
    """Return {column of lists: the column of single values whose table it shares}."""
    columns, there = seen.schema.columns, set(input_columns(seen))
    lists = {name: column for name, column in columns.items() if isinstance(column, ListColumn)}
    return {
        name: column.table
        for name, column in lists.items()
        if name in there and column.table in there and column.table not in lists
    }
