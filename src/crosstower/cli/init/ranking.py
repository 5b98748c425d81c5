"""Infer a ranking recipe, its columns, tasks and split, from the first rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from crosstower.cli.init.checks import checks, split_lines, split_of, without_giveaways
from crosstower.cli.init.column_names import (
    names_display,
    names_label,
    names_position,
    names_user,
)
from crosstower.cli.init.guesses import (
    FEW,
    Guess,
    column_line,
    first_rows,
    guess,
    plain,
    positive_text,
)
from crosstower.cli.init.orders import with_orders, with_time
from crosstower.cli.init.suggestions import suggestions
from crosstower.data.sources.source import Source, require_columns
from crosstower.errors import DataError
from crosstower.models.registry import config_of, model_names
from crosstower.recipe.recipe import Recipe


def starter_recipe(
    source: Source, *, path: str, name: str, tasks: Sequence[str] = (), time: str | None = None
) -> str:
    """Return a commented YAML recipe for the rows of `source`.

    Lines that start with `CHECK` are warnings about the columns or the split.

    Args:
        source: source of the rows; only the first are read.
        path: value of `data.path`.
        name: name of the recipe.
        tasks: label columns; inferred from their names if empty.
        time: column by which the rows are split; inferred if None.

    Raises:
        DataError: no column looks like a label, no feature is left, or `time` is not a time.

    """
    frame = first_rows(source)
    require_columns(source, [*tasks, *([time] if time else [])])
    labels = list(tasks) or [c for c in frame.columns if _may_be_label(frame[c])][:1]
    if not labels:
        raise DataError(
            f"{source.name}: no column looks like a label; name it with --task COLUMN, or name the"
            " columns of users and items to retrieve with --user COLUMN --item COLUMN"
            f" (columns: {', '.join(frame.columns[:20])})"
        )
    guesses = {c: guess(frame[c]) for c in frame.columns if c not in labels}
    users = [c for c, g in guesses.items() if g.section and names_user(c)][:1]
    for user in users:
        guesses = with_orders(frame, guesses, user, but=names_position)
    guesses = with_time(frame, guesses, time)
    task_lines = [_task_line(frame[c]) for c in labels]
    guesses = _with_display_notes(without_giveaways(frame, guesses, labels[0]))
    if not any(guess.section for guess in guesses.values()):
        left = "".join(f"; '{c}' is left out: {g.note}" for c, g in guesses.items())
        raise DataError(
            f"{source.name}: no feature column besides {', '.join(labels)}{left}; add one"
        )
    split = {"kind": "time", "column": time} if time else split_of(frame, guesses)
    lines = checks(frame, guesses, labels, split)
    lines += [f"name: {name}", "data:", f"  path: {plain(path)}", *split_lines(split, guesses)]
    lines += ["schema:", "  columns:", *(column_line(c, g) for c, g in guesses.items())]
    event = _event_of(labels[0], task_lines[0])
    lines += suggestions(frame, guesses, split, users=users, event=event)
    lines += ["  tasks:", *task_lines, *_other_labels(frame, guesses), *_model_lines(users)]
    return "\n".join(lines) + "\n"


def _with_display_notes(guesses: dict[str, Guess]) -> dict[str, Guess]:
    """Return the guesses with notes at positions and propensities, which requests do not have."""
    kept = dict(guesses)
    for name, found in guesses.items():
        if found.section is not None and names_display(name):
            bias = ", or name it in bias" if names_position(name) else ""
            note = f"{found.note}; known only once the list is shown: leave it out{bias}"
            kept[name] = replace(found, note=note)
    return kept


def _event_of(label: str, task_line: str) -> str | None:
    """Return the type of the events that rows with a label are, if it is binary."""
    return label if "binary" in task_line.partition("#")[0].partition(": ")[2] else None


def _may_be_label(series: pl.Series) -> bool:
    return names_label(series.name) and series.drop_nulls().n_unique() > 1


def _other_labels(frame: pl.DataFrame, guesses: dict[str, Guess]) -> list[str]:
    """Return other labels as commented tasks."""
    others = [frame[c] for c, g in guesses.items() if g.role == "label"]
    fit = [s for s in others if s.dtype.is_numeric() or s.dtype == pl.Boolean]
    return [f"    # {_task_line(series).strip()}" for series in fit]


def editor_schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe with the options of all models, for editors."""
    schema = Recipe.model_json_schema(by_alias=True)
    options = []
    for name in model_names():
        config = config_of(name).model_json_schema()
        config["properties"] = {"name": {"const": name}, **config["properties"]}
        config["required"] = ["name", *config.get("required", [])]
        config["title"] = name
        options.append(config)
    names = {"type": "string", "enum": model_names()}
    schema["properties"]["model"] = {"anyOf": [names, *options]}
    return schema


def _task_line(series: pl.Series) -> str:
    name, known = plain(series.name), series.drop_nulls()
    if series.dtype == pl.Boolean:
        return f"    {name}: binary"
    values = known.unique().sort()
    if set(values.to_list()) <= {0, 1}:
        return f"    {name}: binary  # base rate {float(known.mean() or 0):.3f}"  # type: ignore[arg-type]
    if series.dtype.is_numeric():
        low, high = float(values.min() or 0), float(values.max() or 0)  # type: ignore[arg-type]
        if len(values) <= FEW:
            section = plain({"kind": "rating", "low": low, "high": high})
            return f"    {name}: {section}  # or {{kind: binary, threshold: {high:g}}}"
        return f"    {name}: regression  # {low:g} to {high:g}"
    if len(values) > FEW:
        raise DataError(
            f"column '{series.name}': a label with {len(values):,} different texts is not"
            " supported; name another column with --task COLUMN"
        )
    section = plain({"kind": "binary", "positive": positive_text(known)})
    return f"    {name}: {section}  # all other values count as 0"


def _model_lines(users: list[str]) -> list[str]:
    group = [f"  group: {plain(c)}  # also report the AUC within each user" for c in users]
    return [
        f"model: dcn_v2  # or {', '.join(n for n in model_names() if n != 'dcn_v2')}",
        "training:",
        "  epochs: 30  # maximum; early stopping uses the validation rows",
        "evaluation:",
        *group,
        "  baselines: [logistic_regression, mlp]",
    ]
