"""Write a recipe to start from: guess columns, tasks and split from the first rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from crosstower.data.sources import Source, require_columns
from crosstower.errors import DataError
from crosstower.guesses import FEW, LABEL, TIME, column_line, first_rows, guess, plain
from crosstower.models.registry import config_of, model_names
from crosstower.recipe import Recipe


def starter_recipe(source: Source, *, path: str, name: str, tasks: Sequence[str] = ()) -> str:
    """Return a commented YAML recipe for the rows of `source`.

    Args:
        source: looked at through its first rows only.
        path: is written as `data.path`.
        name: of the recipe.
        tasks: label columns; guessed from their names if none is given.

    Raises:
        DataError: no column looks like a label, or nothing is left to learn from.

    """
    frame = first_rows(source)
    require_columns(source, tasks)
    labels = list(tasks) or [c for c in frame.columns if LABEL.match(c.lower())][:1]
    if not labels:
        raise DataError(
            f"{source.name}: no column looks like a label; name it with --task COLUMN"
            f" (columns: {', '.join(frame.columns[:20])})"
        )
    guesses = {c: guess(frame[c]) for c in frame.columns if c not in labels}
    if not any(guess.section for guess in guesses.values()):
        raise DataError(f"{source.name}: no column to learn from besides {', '.join(labels)}")
    lines = [f"name: {name}", "data:", f"  path: {plain(path)}", *_split(frame, labels)]
    lines += ["schema:", "  columns:", *(column_line(c, g) for c, g in guesses.items())]
    lines += ["  tasks:", *(_task_line(frame[c]) for c in labels), *_model_lines(frame)]
    return "\n".join(lines) + "\n"


def editor_schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe with the options of every architecture, for editors."""
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
            f"column '{series.name}': has {len(values):,} different texts and cannot be a label;"
            " name another with --task COLUMN"
        )
    rarest = known.value_counts().sort("count", series.name)[series.name][0]
    section = plain({"kind": "binary", "positive": rarest})
    return f"    {name}: {section}  # all other values count as 0"


def _split(frame: pl.DataFrame, labels: list[str]) -> list[str]:
    times = [
        c
        for c in frame.columns
        if c not in labels and (TIME.search(c.lower()) or frame[c].dtype.is_temporal())
        and frame[c].null_count() == 0
    ]  # fmt: skip
    if times:
        return [f"  split: {plain({'kind': 'time', 'column': times[0]})}  # train on the past"]
    return ["  split: {kind: random, seed: 0}  # or time, group, leave_last_out, column"]


def _model_lines(frame: pl.DataFrame) -> list[str]:
    users = [c for c in frame.columns if c.lower() in ("user_id", "user", "userid")]
    group = [f"  group: {c}  # AUC within each user, beside the overall one" for c in users[:1]]
    return [
        f"model: dcn_v2  # or {', '.join(n for n in model_names() if n != 'dcn_v2')}",
        "training:",
        "  epochs: 30  # at most: early stopping watches the valid rows",
        "evaluation:",
        *group,
        "  baselines: [logistic_regression, mlp]",
    ]
