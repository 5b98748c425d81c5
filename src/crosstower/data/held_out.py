"""The raw rows behind the stored predictions: the valid and test rows of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Source, require_columns
from crosstower.data.split import SPLITS, select, splitter_of
from crosstower.recipe.own_columns import label_name, raw_name
from crosstower.recipe.recipe import Recipe

HeldOut = Literal["valid", "test"]
_HELD_OUT: tuple[HeldOut, ...] = ("valid", "test")


def held_out_columns(
    recipe: Recipe, source: Source, columns: Sequence[str], *, with_labels: bool = False
) -> dict[HeldOut, pl.DataFrame]:
    """Return {"valid": frame, "test": frame} of raw columns, as in `source`.

    The rows are those of the stored predictions, in their order: they are split and left out for
    bad cells by the same rules. Memory holds the two splits' rows, not those of the training.

    Args:
        recipe: of a ranker, as it was trained.
        source: the rows that it was trained on, from `source_of`.
        columns: at least one; one named twice is there once.
        with_labels: add the cleaned labels under `label_name(TASK)`.

    Raises:
        DataError: a column is missing, or a cell is bad (unless `data.on_bad_rows` is skip).

    """
    found = split_columns(recipe, source, columns, with_labels=with_labels, splits=_HELD_OUT)
    return {split: found[split] for split in _HELD_OUT}


def split_columns(
    recipe: Recipe,
    source: Source,
    columns: Sequence[str],
    *,
    with_labels: bool = False,
    splits: Sequence[str] = SPLITS,
) -> dict[str, pl.DataFrame]:
    """Return raw columns of the rows by split, as `held_out_columns`, of any of the splits."""
    names, schema = list(dict.fromkeys(columns)), recipe.schema_
    require_columns(source, [*schema.sources(), *schema.label_sources(), *names])
    splitter = splitter_of(recipe, source)
    extras = list(dict.fromkeys([*names, *splitter.columns]))
    how, amounts = recipe.data.on_bad_rows, recipe.amounts
    cleaner = Cleaner(schema, extras, on_bad_rows=how, amounts=amounts, clocks=splitter.clocks)
    parts: dict[str, list[pl.DataFrame]] = {split: [] for split in splits}
    for chunk in source.chunks(cleaner.sources()):
        frame = cleaner.clean(chunk)
        assignment = splitter.assign(frame)
        labels = [label_name(task) for task in schema.tasks] if with_labels else []
        raw = frame.select(*(pl.col(raw_name(name)).alias(name) for name in names), *labels)
        for split, part in parts.items():
            part.append(select(raw, assignment, SPLITS.index(split)))
    return {split: pl.concat(part, how="vertical_relaxed") for split, part in parts.items()}
