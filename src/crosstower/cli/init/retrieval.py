"""Infer a retrieval recipe and the columns of its items from the first rows of a file."""

from __future__ import annotations

from typing import Any

import polars as pl

from crosstower.cli.init.checks import order_columns, split_lines, split_of
from crosstower.cli.init.column_names import names_display
from crosstower.cli.init.guesses import Guess, column_line, first_rows, guess, plain
from crosstower.cli.init.orders import with_orders, with_time
from crosstower.data.sources.source import Source, require_columns
from crosstower.errors import DataError

_SMALL, _SMALL_IF_SHARED = 20_000, 100_000
"""Items up to which the full softmax is quick; queries that rows share make it cheaper."""
_ORDERED_MODEL = ["  dropout: 0.5"]
_ORDERED_TRAINING = [
    "training:",
    "  batch_size: 512",
    "  embedding_learning_rate: 0.001",
    "  epochs: 100",
    "  patience: 10",
    "  refit: true  # then train on train and valid rows, for the best number of epochs",
]
"""Settings of ordered histories, those of examples/amazon_beauty.yaml."""

_IDS_MODEL = ["  normalise: false", "  temperature: 1.0", "  learn_temperature: false"]
_IDS_RETRIEVAL = ["  start: spectral  # from the singular vectors of the training pairs"]
_IDS_TRAINING = [
    "training:",
    "  batch_size: 4096",
    "  embedding_learning_rate: 0.01",
    "  ema_decay: 0.998  # an average of the weights over about 500 steps",
    "  epochs: 100  # early stopping usually ends earlier",
]
"""Settings of id-only recipes, which `python -m benchmarks ids_only` compares with models."""

_REPEATED = 0.1
"""Share of positives from which repeated items are pointed out."""

_HELD_OUT = 2
"""Rows of a user that leave_last_out takes for validation and test."""


def starter_retrieval_recipe(
    source: Source,
    *,
    path: str,
    name: str,
    item: str,
    user: str | None = None,
    time: str | None = None,
) -> str:
    """Return a commented YAML recipe that retrieves `item`.

    Columns with one value per item, in the first rows, belong to the item tower.

    Args:
        source: source of the rows; only the first are read.
        path: value of `data.path`.
        name: name of the recipe.
        item: item id column.
        user: user id column; without it, every row is its own query.
        time: column that orders the rows; inferred if None.

    Raises:
        DataError: a column is missing, no query column is left, or `time` is not a time.

    """
    require_columns(source, [column for column in (item, user, time) if column])
    frame = first_rows(source)
    others = [c for c in frame.columns if c not in (item, user)]
    guesses = {c: guess(frame[c]) for c in others}
    if user is not None:
        guesses = with_orders(frame, guesses, user)
    guesses = with_time(frame, guesses, time)
    labels = [c for c in others if guesses[c].role == "label"]
    own = [c for c in others if guesses[c].section and _belongs_to(frame, c, item)]
    shown = [c for c in others if guesses[c].section and c not in own and names_display(c)]
    guesses |= dict.fromkeys(shown, Guess(None, "known only once an item is shown, by its name"))
    query = [c for c in others if guesses[c].section and c not in own]
    if user is None and not query:
        raise DataError(f"{source.name}: no query column; name the user id with --user COLUMN")
    distinct = frame[item].drop_nulls().n_unique()
    id_guess = Guess({"kind": "categorical"}, f"{distinct:,} distinct; the item")
    columns = {item: id_guess} | {c: guesses[c] for c in own}
    times = order_columns(frame, guesses)
    alone = user is not None and not (times or query or own)  # pairs of ids, without an order
    split = split_of(frame, guesses)
    ordered = user is not None and bool(times) and split["kind"] != "column"
    if ordered and _most_rows(frame, user) <= _HELD_OUT:
        ordered = False  # nothing would be left to train on
    if ordered:
        split = {"kind": "leave_last_out", "group": user, "time": times[0]}
    if user is not None:
        pooling = "bsarec" if ordered else "attention" if times else None
        columns["history"] = _history(item, user, pooling)
    columns |= {c: g for c, g in guesses.items() if c not in own}
    lines = [f"name: {name}", "data:", f"  path: {plain(path)}", *split_lines(split, guesses)]
    lines += ["schema:", "  columns:", *(column_line(c, g) for c, g in columns.items())]
    lines += ["model:", "  name: two_tower", f"  item: {plain([item, *own])}  # the item tower"]
    width = 128 if alone else 64
    lines += [f"  embedding_dim: {width}", f"  dim: {width}", *(_ORDERED_MODEL if ordered else [])]
    lines += _IDS_MODEL if alone or ordered else []
    lines += ["retrieval:", f"  item: {plain(item)}"]
    lines += _retrieval(frame, user, times, labels, item)
    lines += _IDS_RETRIEVAL if alone else []
    lines += _IDS_TRAINING if alone else _ORDERED_TRAINING if ordered else []
    return "\n".join(lines) + "\n"


def _most_rows(frame: pl.DataFrame, column: str | None) -> int:
    """Return the number of rows of the value that has most."""
    rows: Any = frame.group_by(column).len()["len"].max()
    return rows or 0


def _history(item: str, user: str, pooling: str | None) -> Guess:
    """Return the column of a user's history: a set of items if there is no pooling in order."""
    if pooling is None:
        return Guess({"kind": "bag"}, f"other items of {user}, filled from the rows")
    section = {"kind": "sequence", "table": item, "max_len": 50, "pooling": pooling}
    return Guess(section, f"earlier items of {user}, filled from the rows")


def _belongs_to(frame: pl.DataFrame, column: str, item: str) -> bool:
    """Return whether repeated items always have the same value."""
    again = frame.filter(pl.col(item).is_duplicated())
    values = again.group_by(item).agg(pl.col(column).n_unique() == 1)[column]
    return len(values) > 0 and bool(values.all())


def _repeated(frame: pl.DataFrame, user: str, item: str, positives: list[str]) -> float:
    """Return the share of positives that repeat an item of their user."""
    rows = frame.filter(pl.col(name) == 1 for name in positives) if positives else frame
    return 1 - rows.select(user, item).n_unique() / max(rows.height, 1)


def _retrieval(
    frame: pl.DataFrame, user: str | None, times: list[str], labels: list[str], item: str
) -> list[str]:
    lines: list[str] = []
    binary = [c for c in labels if set(frame[c].drop_nulls().unique().to_list()) <= {0, 1}]
    positives = [c for c in binary[:1] if c.isidentifier()]
    if user is not None:
        history = plain({"column": "history", "events": positives or ["click"]})
        lines += [f"  user: {plain(user)}", f"  history: {history}  # events extend it in a server"]
        lines += [f"  time: {plain(c)}" for c in times[:1]]
    lines += [f'  where: "{label} == 1"  # positives' for label in positives]
    again = 0.0 if user is None else _repeated(frame, user, item, positives)
    if again >= _REPEATED:
        lines.append(
            f"  exclude_seen: true  # false lists items of the history again: {again:.0%} of the"
            " positives are such items"
        )
    if frame[item].n_unique() <= (_SMALL if times or user is None else _SMALL_IF_SHARED):
        lines.append("  objective: full_softmax  # sampled_softmax above about 100,000 items")
    return lines
