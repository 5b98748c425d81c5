"""The split of an inferred recipe, and its warnings: leaking columns and repeated rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from crosstower.cli.init.guesses import Guess, plain, positive_text
from crosstower.data.split import SPLITS
from crosstower.fitting.validation.giveaways import TELLING, repeated_rows, single_auc
from crosstower.recipe.split import Split

CHECK = "# Check: "
"""Prefix of recipe lines with warnings."""
REPEATED = 0.01
"""Share of valid and test rows from which rows that repeat training rows are reported."""
_SINGLE = ("categorical", "numeric")


def without_giveaways(
    frame: pl.DataFrame, guesses: dict[str, Guess], label: str
) -> dict[str, Guess]:
    """Return the guesses without columns that by themselves predict `label`.

    Args:
        frame: the first rows.
        guesses: guess per column.
        label: column of the first task; rows above its median count as positive.

    """
    positive = _positive(frame[label])
    kept = dict(guesses)
    for name, guess in guesses.items():
        if guess.section is None or guess.section["kind"] not in _SINGLE or positive is None:
            continue
        auc = single_auc(frame[name], positive)
        if auc is not None and auc > TELLING:
            note = f"predicts {label} by itself (AUC {auc:.3f}), like an outcome"
            note += " known only afterwards"
            kept[name] = replace(guess, section=None, note=note, role="giveaway")
    if not any(guess.section for guess in kept.values()):  # no other columns are left
        kept = {n: replace(g, section=guesses[n].section) for n, g in kept.items()}
    return kept


def _positive(label: pl.Series) -> pl.Series | None:
    """Return a label as 0 and 1, null if missing."""
    if label.dtype == pl.String:
        return (label == positive_text(label.drop_nulls())).cast(pl.Int8)
    if not label.dtype.is_numeric() and label.dtype != pl.Boolean:
        return None
    numbers = label.cast(pl.Float64).fill_nan(None)
    lower = numbers.min() if numbers.drop_nulls().n_unique() == 2 else numbers.median()
    return (numbers > lower).cast(pl.Int8)


def split_of(frame: pl.DataFrame, guesses: dict[str, Guess]) -> dict[str, Any]:
    """Return the split: by a split column, by time, by an order, or random."""
    parts = [c for c in _of_role(guesses, "split") if set(frame[c].unique()) == set(SPLITS)]
    if parts:
        return {"kind": "column", "column": parts[0]}
    orders = order_columns(frame, guesses)
    if orders:
        return {"kind": "time", "column": orders[0]}
    return {"kind": "random", "seed": 0}


def order_columns(frame: pl.DataFrame, guesses: dict[str, Guess]) -> list[str]:
    """Return the columns that order the rows, times first."""
    times = [c for c in _of_role(guesses, "time") if "; set data.times" not in guesses[c].note]
    columns = [*times, *_of_role(guesses, "order")]
    return [c for c in columns if frame[c].null_count() == 0]


def split_lines(split: dict[str, Any], guesses: dict[str, Guess]) -> list[str]:
    """Return the lines of the split, and of the time format if it needs one."""
    words = {
        "time": "train on the past",
        "random": "or time, group, leave_last_out, column",
        "leave_last_out": "or random, time, group, column",
        "column": "as given in the data",
    }
    lines = [f"  split: {plain(split)}  # {words[split['kind']]}"]
    column = split.get("time") if split["kind"] == "leave_last_out" else split.get("column")
    guess = guesses.get(column or "")
    if guess is not None and guess.format is not None:
        lines.append(f"  times: {plain({column: guess.format})}")
    return lines


def checks(
    frame: pl.DataFrame, guesses: dict[str, Guess], labels: list[str], split: dict[str, Any]
) -> list[str]:
    """Return warnings about the columns and the split."""
    lines = [
        f"{CHECK}'{c}' {guesses[c].note}; keep it only if it is known at prediction time"
        for c in _of_role(guesses, "giveaway")
    ]
    columns = [*(c for c, g in guesses.items() if g.section is not None), *labels]
    repeated, rows = repeated_rows(frame, columns, TypeAdapter(Split).validate_python(split))
    if rows and repeated / rows >= REPEATED:
        lines.append(
            f"{CHECK}{repeated:,} of {rows:,} valid and test rows ({repeated / rows:.1%}) repeat a"
            " training row; remove duplicates, or split by group"
        )
    return lines


def _of_role(guesses: dict[str, Guess], role: str) -> Iterable[str]:
    return [name for name, guess in guesses.items() if guess.role == role]
