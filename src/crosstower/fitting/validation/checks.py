"""Checks of the rows of a recipe: bad cells, keys, labels, missing and unseen values, copies."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from crosstower.data.split import splits_of
from crosstower.fitting.validation.finding import Finding
from crosstower.fitting.validation.seen_rows import PLACE, SeenRows
from crosstower.recipe.own_columns import MARK, ROW, SPLIT, label_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tasks import Binary

HELD_OUT = ("valid", "test")
_REPEATED, _UNSEEN, _MISSING = 0.01, 0.5, 0.2
_SHOWN = 3


def check_cells(recipe: Recipe, seen: SeenRows) -> Iterator[Finding]:
    """Yield a finding per column with cells that cannot be read."""
    stops = recipe.data.on_bad_rows == "error"
    for name, cells in seen.bad.items():
        words = f"{cells.count:,} bad cells in '{name}': expected {cells.expected}; {cells.advice}"
        if stops:
            words += ", or set data.on_bad_rows: skip"
        yield Finding(
            check="cells",
            severity="problem" if stops else "warning",
            sentence=words,
            rows=tuple(cells.first),
        )


def check_joins(seen: SeenRows) -> Iterator[Finding]:
    """Yield how many rows found their keys in each joined table."""
    if seen.unmatched is not None:
        yield Finding(check="joins", severity="problem", sentence=seen.unmatched)
    for match in seen.joins:
        severity = "warning" if match.low else "note"
        yield Finding(check="joins", severity=severity, sentence=match.sentence)


def check_splits(recipe: Recipe, seen: SeenRows) -> Iterator[Finding]:
    """Yield the splits without rows, and binary tasks with one class in a split."""
    needed = splits_of(recipe.data.split)
    for split in needed:
        if not seen.rows[split]:
            words = f"the {split} split has no rows; change data.split, or give more rows"
            yield Finding(check="splits", severity="problem", sentence=words)
    for name, task in seen.schema.tasks.items():
        for split in needed:
            rows = seen.frame.filter(pl.col(SPLIT) == split)
            labels = rows[label_name(name)].drop_nulls()
            if rows.height and not len(labels):
                words = f"task '{name}': no row of the {split} split has a label"
                yield Finding(check="labels", severity="problem", sentence=words)
            elif isinstance(task, Binary) and len(labels) and labels.n_unique() == 1:
                words = f"task '{name}': all labels of the {split} split are {labels[0]:g}"
                yield Finding(check="labels", severity="problem", sentence=words)
            elif len(labels):
                words = f"task '{name}': mean label {labels.mean():.4g} in the {split} split"
                yield Finding(check="labels", severity="note", sentence=words)


def check_missing(seen: SeenRows, split: str = "test", known: str = "train") -> Iterator[Finding]:
    """Yield columns that are constant, or much more often missing in one split than in another."""
    frame = seen.frame
    one, other = (frame.filter(pl.col(SPLIT) == name) for name in (known, split))
    for name in input_columns(seen):
        values = one[name].drop_nulls()
        if one.height and not len(values):
            words = f"column '{name}': has no value in the {known} rows; remove it"
            yield Finding(check="missing", severity="warning", sentence=words)
            continue
        if len(values) > 1 and values.n_unique() == 1:
            words = f"column '{name}': has one value in all {known} rows; remove it"
            yield Finding(check="missing", severity="warning", sentence=words)
        if not one.height or not other.height:
            continue
        before, after = (part[name].null_count() / part.height for part in (one, other))
        if abs(after - before) >= _MISSING:
            words = f"column '{name}': missing in {before:.1%} of the {known} rows and in"
            words += f" {after:.1%} of the {split} rows"
            yield Finding(check="missing", severity="warning", sentence=words)


ALIKE = "the model treats all of these alike: add columns that distinguish them"
"""Consequence of a large share of unseen values."""


def check_unseen(seen: SeenRows, splits: tuple[str, ...] = HELD_OUT) -> Iterator[Finding]:
    """Yield the share of values that no training row has, by column."""
    for name, values in seen.values.items():
        for split in splits:
            strange, total, shown = values.unknown(split)
            if not strange:
                continue
            share = strange / total
            words = (
                f"column '{name}': {strange:,} of {total:,} {split} values ({share:.1%}) are in no"
            )
            words += f" training row, such as {', '.join(shown)}"
            yield unseen(words, much=share >= _UNSEEN)


def unseen(words: str, *, much: bool) -> Finding:
    """Return a finding about values that no training row has; of many, a warning with advice."""
    if not much:
        return Finding(check="unseen", severity="note", sentence=words)
    return Finding(check="unseen", severity="warning", sentence=f"{words}; {ALIKE}")


def check_copies(seen: SeenRows) -> Iterator[Finding]:
    """Yield whether held-out rows repeat a training row, inputs and labels."""
    frame = seen.frame
    cells = [*input_columns(seen), *map(label_name, seen.schema.tasks)]
    hashed = frame.select(SPLIT, PLACE, ROW, pl.struct(cells).hash(seed=2).alias("hash"))
    train = hashed.filter(pl.col(SPLIT) == "train").unique("hash", keep="first")
    held_out = hashed.filter(pl.col(SPLIT).is_in(HELD_OUT))
    both = held_out.join(train, on="hash", suffix="_train").sort(ROW)
    if not both.height or both.height < _REPEATED * held_out.height:
        return
    share = both.height / held_out.height
    words = f"{share:.1%} of the valid and test rows are copies of a training row; remove"
    words += " duplicates, or split by group"
    rows = (f"{a} repeats {b}" for a, b in both.select(PLACE, f"{PLACE}_train").head(3).iter_rows())
    yield Finding(check="copies", severity="warning", sentence=words, rows=tuple(rows))


def input_columns(seen: SeenRows) -> list[str]:
    """Return the sampled columns that a model reads."""
    return [name for name in seen.frame.columns if not name.startswith(MARK)]
