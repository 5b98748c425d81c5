"""Embedding tables that start from given vectors, by the ids of a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError, RecipeError, did_you_mean
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.table_rows import Share
from crosstower.nn.world import World
from crosstower.recipe.kinds.coded import coded_columns
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.training import Pretrained
from crosstower.values.codes import RESERVED_CODES, Vocabulary
from crosstower.values.columns import to_ids

VECTOR = "vector"


@dataclass(frozen=True)
class GivenVectors:
    """Vectors `[n, D]` of the known values of a column, and their codes `[n]`."""

    column: str
    codes: NDArray[np.int64]
    vectors: NDArray[np.float32]


def check_pretrained(recipe: Recipe) -> None:
    """Reject columns that cannot start from vectors.

    Raises:
        RecipeError: a column is unknown, has no embedding of values of its own, or another key
            freezes a part of the model.

    """
    columns = coded_columns(recipe.schema_.columns)
    allowed = [name for name, c in columns.items() if c.table is None and c.hash_buckets is None]
    for name, given in recipe.training.pretrained.items():
        where = f"training.pretrained.{name}"
        if name not in allowed:
            raise RecipeError(
                f"{where}: not a column with a vocabulary of its own{did_you_mean(name, allowed)};"
                f" allowed: {', '.join(allowed) or 'none'}"
            )
        if given.freeze and recipe.training.freeze is not None:
            raise RecipeError(
                f"{where}.freeze: not allowed with training.freeze:"
                f" {recipe.training.freeze}, which freezes tables itself; drop one"
            )


def start_from_vectors(
    model: nn.Module, recipe: Recipe, encoder: Encoder, world: World, *, main: bool
) -> None:
    """Write given vectors into the tables of a new model.

    Args:
        model: new; of several processes, with the rows of this one.
        recipe: with `training.pretrained`.
        encoder: of the run, whose vocabularies name the rows.
        world: of the training.
        main: whether it is the main model, which must have an embedding of the column; a baseline
            without one is left as it is.

    Raises:
        DataError: a file is wrong; see `read_vectors`.
        RecipeError: an embedding has another width, or the main model has none of the column.

    """
    for name, given in recipe.training.pretrained.items():
        found = read_vectors(name, given, recipe, encoder)
        written = [
            _write(store, found, Share(world.rank, world.size))
            for store in model.modules()
            if isinstance(store, EmbeddingStore)
        ]
        if main and not any(written):
            raise RecipeError(
                f"training.pretrained.{name}: {type(model).__name__} has no embedding of the"
                " column; remove the key, or train another model"
            )


def check_vectors(recipe: Recipe, encoder: Encoder) -> None:
    """Reject wrong files of vectors before a run begins; see `read_vectors`."""
    for name, given in recipe.training.pretrained.items():
        read_vectors(name, given, recipe, encoder)


def freeze_pretrained(model: nn.Module, recipe: Recipe) -> None:
    """Freeze the tables whose given vectors stay as they are."""
    frozen = [name for name, given in recipe.training.pretrained.items() if given.freeze]
    for store in model.modules() if frozen else ():
        if isinstance(store, EmbeddingStore):
            store.freeze(frozen)


def read_vectors(name: str, given: Pretrained, recipe: Recipe, encoder: Encoder) -> GivenVectors:
    """Return the vectors of the known values of a column; others are ignored.

    Args:
        name: of the column.
        given: a file with a column of ids, called like the column or the only other one, and
            `vector`.
        recipe: of the run.
        encoder: of the run.

    Raises:
        DataError: the file is missing, lacks a column, repeats an id, has vectors of different
            widths or numbers that are not finite, or no vector of a known value; or the table is
            frozen and a known value has no vector.

    """
    source = open_source(given.path)
    where = f"training.pretrained.{name}: {source.name}"
    kind = coded_columns(recipe.schema_.columns)[name]
    id_column = _id_column(source.columns(), kind.source or name, where)
    frame = pl.concat([chunk.frame for chunk in source.chunks([id_column, VECTOR])])
    ids = to_ids(id_column, frame[id_column])
    if ids.is_duplicated().any():
        raise DataError(f"{where}: id {ids.filter(ids.is_duplicated())[0]!r} occurs twice")
    table = encoder.tables[name]
    codes = table.encode(ids).astype(np.int64)
    known = codes >= RESERVED_CODES
    values = len(table.values) if isinstance(table, Vocabulary) else 0
    if not known.any():
        raise DataError(
            f"{where}: no id is one of the {values:,} values of column '{name}'; check that ids are"
            " written as in the training rows"
        )
    if given.freeze and (missing := values - int(known.sum())):
        raise DataError(
            f"{where}: {missing:,} of {values:,} values of column '{name}' have no vector, and"
            " frozen rows would stay random; add their vectors, or drop freeze"
        )
    vectors = _matrix(frame[VECTOR], where)
    return GivenVectors(name, codes[known], vectors[known])


def _id_column(columns: list[str], wanted: str, where: str) -> str:
    others = [name for name in columns if name != VECTOR]
    if VECTOR in columns and wanted in others:
        return wanted
    if VECTOR in columns and len(others) == 1:
        return others[0]
    raise DataError(
        f"{where}: expected the columns '{wanted}' and '{VECTOR}', got {', '.join(columns)}"
    )


def _matrix(cells: pl.Series, where: str) -> NDArray[np.float32]:
    try:
        vectors = np.stack([np.asarray(cell, dtype=np.float32) for cell in cells.to_list()])
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: '{VECTOR}': expected lists of numbers of the same length ({error})"
        ) from None
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise DataError(f"{where}: '{VECTOR}': expected lists of finite numbers, got others")
    return vectors


def _write(store: EmbeddingStore, found: GivenVectors, share: Share) -> bool:
    """Write vectors into the rows of a store that this process holds; return whether it has any."""
    written = False
    for key, parts in store.code_rows().items():
        width = key.rpartition(".")[2]
        for part in parts:
            if part.table != found.column:
                continue
            if found.vectors.shape[1] != int(width):
                raise RecipeError(
                    f"training.pretrained.{found.column}: the vectors have"
                    f" {found.vectors.shape[1]} numbers, but the embedding has {width}; set"
                    f" schema.columns.{found.column}.dim: {found.vectors.shape[1]}"
                )
            places = torch.from_numpy(part.start + found.codes)
            store.write(width, places, torch.from_numpy(found.vectors), share)
            written = True
    return written
