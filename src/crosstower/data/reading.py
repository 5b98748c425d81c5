"""Which rows a recipe reads: files, tables and worlds, joined, whole or already divided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

import polars as pl

from crosstower.data.datasets import worlds
from crosstower.data.sources.joins import join
from crosstower.data.sources.source import (
    SPLIT_COLUMN,
    Chunk,
    FrameSource,
    Source,
    open_source,
    require_columns,
)
from crosstower.data.sources.sql import open_sql
from crosstower.data.split import SPLITS
from crosstower.errors import DataError, RecipeError, did_you_mean
from crosstower.recipe.csv import Csv
from crosstower.recipe.data import given_split
from crosstower.recipe.history_times import timed_history
from crosstower.recipe.recipe import Data, Recipe
from crosstower.recipe.renamed import warn_renamed
from crosstower.recipe.split import GivenSplit, RandomSplit, order_of
from crosstower.recipe.sql import anchored_connection
from crosstower.values.addresses.address import anchored


def source_of(data: Data, frame: Any = None) -> Source:
    """Return the rows of a recipe with its joins; `frame` takes the place of `data.path`.

    These are rows to score. Rows to train on, which may come divided, are `training_source`'s.

    Raises:
        RecipeError: there is neither a path nor a frame.
        DataError: the rows or a table to join cannot be read.

    """
    if frame is not None:
        source: Source = open_source(frame, data.csv)
    elif data.sql is not None:
        source = open_sql(data.sql, data.connection or "")
    elif data.path is None:
        raise RecipeError(
            "data.path: missing; name a file, a folder, a glob or world:NAME, write a query as"
            " data.sql, or pass a data frame"
        )
    elif data.path.startswith("world:"):
        world = worlds.make(data.path.removeprefix("world:"), rows=data.rows, seed=data.seed)
        source = FrameSource(world.frame, data.path)
    else:
        source = open_source(data.path, data.csv)
    return joined(source, data)


def joined(source: Source, data: Data) -> Source:
    """Return a source with the tables that a recipe joins.

    Raises:
        DataError: a table cannot be read, or does not fit.

    """
    for other in data.joins:
        source = join(source, other.path, on=other.on, dialect=data.csv)
    return source


@dataclass(frozen=True)
class PartsSource:
    """Sources by split, one after the other, with the split of each row in a hidden column."""

    parts: Mapping[str, Source]

    @property
    def name(self) -> str:
        """Name for messages."""
        return ", ".join(f"{part.name} ({split})" for split, part in self.parts.items())

    def columns(self) -> list[str]:
        """Return the column names of the first part."""
        return next(iter(self.parts.values())).columns()

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows of every part in turn; rows are numbered over all parts."""
        own = [name for name in columns if name != SPLIT_COLUMN]
        first = 0
        for split, part in self.parts.items():
            require_columns(part, own)
            rows = 0
            for chunk in part.chunks(own or part.columns()[:1]):
                frame = chunk.frame
                if SPLIT_COLUMN in columns:
                    frame = frame.with_columns(pl.lit(split).alias(SPLIT_COLUMN)).select(columns)
                yield replace(chunk, frame=frame, index=first + chunk.index)
                rows += frame.height
            first += rows


def training_source(data: Data, frame: Any = None) -> Source:
    """Return the rows that a recipe trains, validates and tests on, with its joins.

    Args:
        data: the recipe's section.
        frame: a table or a path in place of `data.path`; of rows that come divided a mapping of
            "train", "valid" and "test" to them, as `parts_of` makes it.

    Raises:
        RecipeError: nothing says where the rows are.
        DataError: the rows or a table to join cannot be read.

    """
    if isinstance(frame, Mapping):
        return joined(_parts(cast("Mapping[str, Any]", frame), data.csv), data)
    if not isinstance(data.split, GivenSplit):
        return source_of(data, frame)
    if frame is not None:
        raise DataError(
            "data: the recipe's rows come divided, so one table does not say which row belongs"
            ' where; give {"train": ..., "valid": ..., "test": ...}'
        )
    if data.path is None or (data.valid is None and data.split.valid_fraction is None):
        raise RecipeError(
            "data: split is 'given', but no rows are; name files with data.path, data.valid and"
            " data.test, or pass fit(..., train=..., valid=..., test=...)"
        )
    named = {"train": data.path, "valid": data.valid, "test": data.test}
    parts = {split: path for split, path in named.items() if path is not None}
    return joined(_parts(parts, data.csv), data)


@dataclass(frozen=True)
class GivenRows:
    """Rows that a call gives, each a table or a path; None where it does not.

    `data` are rows that the recipe divides, the others come divided.
    """

    data: Any = None
    train: Any = None
    valid: Any = None
    test: Any = None

    def divided(self) -> GivenRows:
        """Return the rows with `train` in place of its former name `data`, with a warning.

        Raises:
            RecipeError: both names are given.

        """
        parts = [name for name in SPLITS if getattr(self, name) is not None]
        if self.data is None or not parts:
            return self
        if self.train is not None or isinstance(self.data, Mapping):
            raise RecipeError(
                f"fit: data and {' and '.join(parts)} are given; data are rows that the recipe"
                " divides: give either data=, or train= with valid= and test="
            )
        warn_renamed(f"data= with {' and '.join(f'{name}=' for name in parts)}", "train=")
        return replace(self, data=None, train=self.data)


def parts_of(recipe: Recipe, given: GivenRows) -> tuple[Recipe, Any]:
    """Return the recipe and the rows of a training run whose rows may come divided.

    Args:
        recipe: as the user has it.
        given: rows of the call; training rows that it lacks are those of `data.path`.

    Returns:
        The recipe, its split 'given' if the rows come divided, and the rows for `training_source`.

    Raises:
        RecipeError: there are no training rows, or the recipe splits its rows itself.

    """
    given = given.divided()
    own = recipe.data
    if isinstance(given.data, Mapping):
        rows = dict(cast("Mapping[str, Any]", given.data))
        if other := [name for name in rows if name not in SPLITS]:
            if any(name in SPLITS for name in rows):
                hint = did_you_mean(str(other[0]), list(SPLITS))
                raise RecipeError(
                    f"fit: data: unknown part {other[0]!r}{hint}; allowed: {', '.join(SPLITS)}"
                )
            raise RecipeError(
                "fit: data: expected a path, a polars, pandas or Arrow table, or a mapping of"
                f" train, valid and test to such, got a mapping with {other[0]!r}; make a table of"
                " columns: pl.DataFrame(...)"
            )
    elif given.data is not None or (given.train is given.valid is given.test is None):
        return recipe, _of_files(own, given.data)
    else:
        rows = {
            "train": own.path if given.train is None else given.train,
            "valid": own.valid if given.valid is None else given.valid,
            "test": own.test if given.test is None else given.test,
        }
    rows = {name: part for name, part in rows.items() if part is not None}
    if "train" not in rows:
        raise RecipeError("fit: no train rows; give them with train=, or name them in data.path")
    if "split" in own.model_fields_set and not isinstance(own.split, GivenSplit):
        raise RecipeError(
            f"fit: {' and '.join(rows)} rows are given, so nothing is left to split; drop"
            f" data.split (got kind '{own.split.kind}'), or give all rows as data="
        )
    return recipe.model_copy(update={"data": _as_given(own, rows)}), rows


def _as_given(data: Data, rows: Mapping[str, Any]) -> Data:
    """Return the section of rows that come divided."""
    try:
        plain = given_split(data.split, valid="valid" in rows, test="test" in rows)
    except ValueError as error:
        raise RecipeError(f"data.{error}") from None
    return data.model_copy(update={"split": GivenSplit.model_validate(plain)})


def located(recipe: Recipe, data: Any) -> tuple[Recipe, Any]:
    """Return the recipe with the paths of its rows, absolute; tables stay apart.

    Args:
        recipe: as the user has it.
        data: rows for `training_source`: a path, a table, a mapping of either, or None.

    Returns:
        The recipe, and the rows that it does not name.

    """
    if isinstance(data, str | PathLike):
        named = {"path": str(data)}
    elif isinstance(data, Mapping):
        parts = cast("Mapping[str, Any]", data)
        keys = {"train": "path", "valid": "valid", "test": "test"}
        if not all(isinstance(p, str | PathLike) for p in parts.values()):
            return _anchored(recipe), data
        named = {key: str(parts[name]) if name in parts else None for name, key in keys.items()}
    else:
        return _anchored(recipe), data
    rows = recipe.data.at("").model_copy(update=named)
    return _anchored(recipe.model_copy(update={"data": rows})), None


def _anchored(recipe: Recipe) -> Recipe:
    """Return the recipe with all paths of files absolute, from the working folder."""

    def absolute(path: str | None) -> str | None:
        return path if path is None or path.startswith("world:") else anchored(path, Path.cwd())

    data = recipe.data
    paths: dict[str, Any] = {n: absolute(getattr(data, n)) for n in ("path", "valid", "test")}
    for name in ("joins", "events"):
        given = getattr(data, name)
        paths[name] = tuple(x.model_copy(update={"path": absolute(x.path)}) for x in given)
    if data.connection is not None:
        paths["connection"] = anchored_connection(data.connection, Path.cwd())
    sections: dict[str, Any] = {"data": data.model_copy(update=paths)}
    given = recipe.training.pretrained
    if given:
        moved = {n: one.model_copy(update={"path": absolute(one.path)}) for n, one in given.items()}
        sections["training"] = recipe.training.model_copy(update={"pretrained": moved})
    if recipe.retrieval is not None:
        items = {"items": absolute(recipe.retrieval.items)}
        sections["retrieval"] = recipe.retrieval.model_copy(update=items)
    return recipe.model_copy(update=sections)


def undivided(recipe: Recipe, *, times: bool = False) -> Recipe:
    """Return a recipe for other rows, to which its split does not apply.

    The time of the split stays that of the rows if the history of a retriever reads times.

    Args:
        recipe: of a run.
        times: keep the time in any case, as a ranker reads times of the history.

    """
    plain = {"split": RandomSplit(), "valid": None, "test": None}
    found = recipe.model_copy(update={"data": recipe.data.model_copy(update=plain)})
    section = recipe.retrieval
    if section is None or not (times or timed_history(recipe.schema_, section.history.column)):
        return found
    time = section.time or order_of(recipe.data.split)
    return found.model_copy(update={"retrieval": section.model_copy(update={"time": time})})


def _of_files(data: Data, frame: Any) -> Any:
    """Return rows that replace `data.path`, with the recipe's other files."""
    if frame is None or (data.valid is None and data.test is None):
        return frame
    named = {"valid": data.valid, "test": data.test}
    return {"train": frame} | {split: path for split, path in named.items() if path is not None}


def _parts(rows: Mapping[str, Any], dialect: Csv) -> PartsSource:
    wrong = [name for name in rows if name not in SPLITS]
    if wrong or not rows:
        raise DataError(
            f"data: expected rows by the names {', '.join(SPLITS)}, got"
            f" {', '.join(map(repr, rows)) or 'none'}"
        )
    parts = {split: _part(split, rows[split], dialect) for split in SPLITS if split in rows}
    for part in parts.values():
        if SPLIT_COLUMN in part.columns():
            raise DataError(f"{part.name}: column {SPLIT_COLUMN!r} is reserved; rename it")
    return PartsSource(parts)


def _part(split: str, rows: Any, dialect: Csv) -> Source:
    try:
        source = open_source(rows, dialect)
    except DataError as error:
        raise DataError(f"{split} rows: {error}") from None
    if isinstance(source, FrameSource):
        return replace(source, name=f"{split} data frame")
    return source
