"""Write a recipe to start from: guess columns, tasks and split from the first rows of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import polars as pl
import yaml

from crosstower.data.sources import Source, require_columns
from crosstower.errors import DataError
from crosstower.models.registry import config_of, model_names
from crosstower.recipe import Recipe

_CHUNKS = 4
_FEW = 20
_LABEL = re.compile(
    r"^(label|target|y|click(ed)?|is_click|conversion|converted|purchase[d]?|bought|install(ed)?"
    r"|like[ds]?|did_watch|watched|booking|booked|income|rating|outcome)$"
)
_ID = re.compile(r"(^|[_\- ])(id|ids|user|item|uuid|code|zip)$")
_TIME = re.compile(r"^(time|ts|date|datetime|(.*[_\- ])?timestamp|.*[_\- ](at|ts|date))$")
_SKEWED = 5.0


@dataclass(frozen=True)
class _Guess:
    """What a data column seems to be; `section` None leaves it out, for the reason in `note`."""

    section: dict[str, Any] | None
    note: str


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
    frame = _first_rows(source)
    require_columns(source, tasks)
    labels = list(tasks) or [c for c in frame.columns if _LABEL.match(c.lower())][:1]
    if not labels:
        raise DataError(
            f"{source.name}: no column looks like a label; name it with --task COLUMN"
            f" (columns: {', '.join(frame.columns[:20])})"
        )
    guesses = {c: _guess(frame[c]) for c in frame.columns if c not in labels}
    if not any(guess.section for guess in guesses.values()):
        raise DataError(f"{source.name}: no column to learn from besides {', '.join(labels)}")
    lines = [f"name: {name}", "data:", f"  path: {_plain(path)}", *_split(frame, labels)]
    lines += ["schema:", "  columns:", *(_column_line(c, g) for c, g in guesses.items())]
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


def _first_rows(source: Source) -> pl.DataFrame:
    chunks = islice(source.chunks(source.columns()), _CHUNKS)
    frame = pl.concat([chunk.frame for chunk in chunks], how="vertical_relaxed")
    return frame.with_columns(_typed(frame[c]) for c in frame.columns)


def _typed(series: pl.Series) -> pl.Series:
    """Return text as the number that it spells (CSV); ids too long for 64 bits stay text."""
    if series.dtype != pl.String or series.null_count() == len(series):
        return series
    for kind in (pl.Int64, pl.Float64):
        numbers = series.cast(kind, strict=False)
        if numbers.null_count() == series.null_count():
            # Leading zeros and long digits are names, not amounts.
            return series if series.str.contains(r"^0\d|^\d{19,}$").any() else numbers
    return series


def _guess(series: pl.Series) -> _Guess:  # noqa: PLR0911 - one rule a line
    if series.null_count() == len(series):
        return _Guess(None, "empty")
    if isinstance(series.dtype, pl.List | pl.Array):
        return _guess_list(series)
    distinct = series.n_unique()
    note = f"{distinct:,} distinct"
    if series.null_count():
        note += f", {series.null_count() / len(series):.1%} missing"
    if distinct == 1:
        return _Guess(None, "one value only")
    if series.dtype.is_temporal() or _TIME.search(series.name.lower()):
        return _Guess(None, f"a time; for data.split: {{kind: time, column: {series.name}}}")
    if series.dtype.is_numeric():
        return _guess_number(series, distinct, note)
    if series.dtype == pl.String:
        return _guess_text(series, distinct, note)
    return _Guess({"kind": "categorical"}, note)


def _guess_number(series: pl.Series, distinct: int, note: str) -> _Guess:
    whole = series.dtype.is_integer()
    if whole and (_ID.search(series.name.lower()) or distinct <= _FEW):
        return _Guess({"kind": "categorical"}, note)
    known = series.cast(pl.Float64).drop_nulls()
    skew = known.skew() if len(known) > 2 else None
    low, high = known.min(), known.max()
    note = f"{low:g} to {high:g}, {note}"
    if skew is not None and skew > _SKEWED and isinstance(low, float) and low >= 0:
        return _Guess({"kind": "numeric", "transform": "log1p"}, f"{note}, long tail")
    return _Guess({"kind": "numeric"}, note)


def _guess_text(series: pl.Series, distinct: int, note: str) -> _Guess:
    known = series.drop_nulls()
    if float(known.str.contains("|", literal=True).mean() or 0.0) > 0.3:  # type: ignore[arg-type]
        return _Guess({"kind": "bag", "separator": "|"}, "values separated by |")
    words = float(known.str.count_matches(r"\s").mean() or 0.0)  # type: ignore[arg-type]
    if words > 3 and distinct > len(known) / 2:
        return _Guess(None, f"free text, {note}")
    return _Guess({"kind": "categorical"}, note)


def _guess_list(series: pl.Series) -> _Guess:
    lengths = series.drop_nulls().list.len() if isinstance(series.dtype, pl.List) else None
    inner = series.dtype.inner  # type: ignore[union-attr]
    width = series.dtype.size if isinstance(series.dtype, pl.Array) else None
    if lengths is not None and lengths.n_unique() == 1:
        width = int(lengths[0])
    if inner.is_float() and width:
        return _Guess({"kind": "vector", "width": width}, f"{width} numbers a row")
    if inner.is_float():
        return _Guess(None, "lists of floats of different lengths")
    return _Guess({"kind": "bag"}, "a list; use kind: sequence if the order counts")


def _column_line(name: str, guess: _Guess) -> str:
    if guess.section is None:
        return f"    # {name}: left out: {guess.note}"
    section = guess.section["kind"] if len(guess.section) == 1 else guess.section
    return f"    {_plain(name)}: {_plain(section)}  # {guess.note}"


def _task_line(series: pl.Series) -> str:
    name, known = _plain(series.name), series.drop_nulls()
    if series.dtype == pl.Boolean:
        return f"    {name}: binary"
    values = known.unique().sort()
    if set(values.to_list()) <= {0, 1}:
        return f"    {name}: binary  # base rate {float(known.mean() or 0):.3f}"  # type: ignore[arg-type]
    if series.dtype.is_numeric():
        low, high = float(values.min() or 0), float(values.max() or 0)  # type: ignore[arg-type]
        if len(values) <= _FEW:
            section = _plain({"kind": "rating", "low": low, "high": high})
            return f"    {name}: {section}  # or {{kind: binary, threshold: {high:g}}}"
        return f"    {name}: regression  # {low:g} to {high:g}"
    if len(values) > _FEW:
        raise DataError(
            f"column '{series.name}': has {len(values):,} different texts and cannot be a label;"
            " name another with --task COLUMN"
        )
    rarest = known.value_counts().sort("count", series.name)[series.name][0]
    section = _plain({"kind": "binary", "positive": rarest})
    return f"    {name}: {section}  # all other values count as 0"


def _split(frame: pl.DataFrame, labels: list[str]) -> list[str]:
    times = [
        c
        for c in frame.columns
        if c not in labels and (_TIME.search(c.lower()) or frame[c].dtype.is_temporal())
        and frame[c].null_count() == 0
    ]  # fmt: skip
    if times:
        return [f"  split: {_plain({'kind': 'time', 'column': times[0]})}  # train on the past"]
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


def _plain(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return text.strip().removesuffix("...").strip()
