"""From a recipe and its rows to the encoded splits of a ranker: fit the encoder, encode, count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.daft_runner import open_daft
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.encoded_shards import ShardedRows
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.fingerprints import Fingerprints
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.sources.joins import join_matches
from crosstower.data.sources.source import Source, require_columns
from crosstower.data.split import SPLITS, split_words, splits_of, splitter_of
from crosstower.data.statistics import DatasetCounter, DatasetStats
from crosstower.errors import DataError, RecipeError
from crosstower.ranking.daft_passes import DaftPasses
from crosstower.ranking.row_passes import RowReading, encode, learn
from crosstower.recipe.own_columns import check_kept
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema

_MEMORY_SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Prepared:
    """Encoded rows by split, and `targets`: labels and raw columns of valid and test rows.

    A target frame has one column per task (its label, null where missing), the true probability
    columns and the raw columns that evaluation asks for, in the order of the encoded rows.
    `fingerprints` recognise the training rows.
    """

    encoder: Encoder
    rows: dict[str, EncodedRows]
    targets: dict[str, pl.DataFrame]
    facts: DatasetStats
    fingerprints: Fingerprints


def evaluation_columns(recipe: Recipe) -> list[str]:
    """Return the raw columns that the evaluation of a recipe needs, each once.

    Raises:
        RecipeError: one of them has the name of a task, whose label would take its place.

    """
    evaluation = recipe.evaluation
    blended = recipe.blend.columns() if recipe.blend is not None else []
    named = {
        "evaluation.group": [evaluation.group],
        "evaluation.slices": evaluation.slices,
        "training.group": [recipe.training.group],
        "sample_weight": list(recipe.schema_.sample_weights().values()),
        "calibration.by": [recipe.calibration.by],
        "blend": blended,
    }
    for key, columns in named.items():
        for name in columns:
            if name in recipe.schema_.tasks:
                raise RecipeError(
                    f"{key}: '{name}' is the name of a task, whose label has its place; take"
                    " another column, or rename the task and set its column"
                )
        given = [name for name in columns if name is not None]
        advice = "rename it in the data, or take another column"
        check_kept(given, recipe.schema_.tasks, where=key, advice=advice)
    columns = [name for columns in named.values() for name in columns if name is not None]
    return list(dict.fromkeys(columns))


def memory_of(recipe: Recipe, split: str) -> int:
    """Return the bytes of encoded rows of a split that are held in memory."""
    return int(recipe.data.memory_mb * 1_000_000 * _MEMORY_SHARES[split])


def prepare(
    recipe: Recipe,
    source: Source,
    *,
    spill: Path,
    encoder: Encoder | EncoderFit | None = None,
    on_progress: OnProgress = no_progress,
) -> Prepared:
    """Return encoded splits; two passes over `source`, one more for splits by time.

    Args:
        recipe: says columns, tasks, split and what evaluation needs.
        source: from `source_of`.
        spill: folder for encoded rows beyond `data.memory_mb`; made only when needed.
        encoder: of the rows, or its learner from the training rows; a new one if None.
        on_progress: called after each chunk with the number of rows done.

    Raises:
        DataError: a bad cell, an empty split, a binary task with one class in a split.

    """
    if recipe.data.engine == "daft":
        open_daft(recipe.data.runner)  # what is missing is an error before anything is read
    schema, extras = recipe.schema_, evaluation_columns(recipe)
    weights, labels = schema.sample_weights(), schema.label_sources()
    named = [*schema.sources(), *labels, *extras]
    require_columns(source, named)
    splitter = splitter_of(recipe, source)
    cleaner = Cleaner(
        schema,
        list(dict.fromkeys([*extras, *splitter.columns])),
        on_bad_rows=recipe.data.on_bad_rows,
        amounts=recipe.amounts,
        clocks=splitter.clocks,
        group=recipe.training.group,
        weights=weights,
    )
    times = [clock.column for clock in splitter.clocks]
    columns = list(dict.fromkeys([*named, *splitter.columns, *times]))
    reading = RowReading(source, columns, cleaner, splitter, on_progress)
    go = _by_daft if recipe.data.engine == "daft" else _here
    return go(recipe, reading, extras, encoder or EncoderFit(schema), spill)


def _here(
    recipe: Recipe,
    reading: RowReading,
    extras: list[str],
    encoder: Encoder | EncoderFit,
    spill: Path,
) -> Prepared:
    """Go over the rows in this process."""
    if isinstance(encoder, EncoderFit):
        learn(reading, encoder)
        encoder = _finished(encoder, reading)
    rows = {split: EncodedRows(spill / split, memory_of(recipe, split)) for split in SPLITS}
    targets, census = encode(reading, encoder, extras, rows)
    return _counted(recipe, reading, encoder, rows, (targets, census))


def _by_daft(
    recipe: Recipe,
    reading: RowReading,
    extras: list[str],
    encoder: Encoder | EncoderFit,
    spill: Path,
) -> Prepared:
    """Go over the rows piece by piece; the encoded ones are in shards."""
    pieces = DaftPasses(reading, recipe.data.runner)
    if isinstance(encoder, EncoderFit):
        pieces.learn(encoder)
        encoder = _finished(encoder, reading)
    found = pieces.encode(encoder, extras, spill)
    rows = {
        split: ShardedRows(spill / split, shards, memory_of(recipe, split))
        for split, shards in found.shards.items()
    }
    return _counted(recipe, reading, encoder, rows, (found.targets, found.census))


def _finished(fit: EncoderFit, reading: RowReading) -> Encoder:
    join_matches(reading.source)  # a join without a match is an error before anything is encoded
    return fit.finish()


def _counted(
    recipe: Recipe,
    reading: RowReading,
    encoder: Encoder,
    rows: Mapping[str, EncodedRows],
    found: tuple[Mapping[str, list[pl.DataFrame]], DatasetCounter],
) -> Prepared:
    """Check the counts of all rows, and put the parts together."""
    targets, census = found
    split = recipe.data.split
    needed, words = splits_of(split), split_words(split, reading.splitter.clocks)
    joins = join_matches(reading.source)
    census.check(encoder.schema, needed)
    _check_weights(encoder.schema, rows)
    joined = {split: pl.concat(frames) for split, frames in targets.items()}
    facts, fingerprints = census.finish(
        source=reading.source.name,
        split=words,
        joins=joins,
    )
    return Prepared(encoder, dict(rows), joined, facts, fingerprints)


def _check_weights(schema: Schema, rows: Mapping[str, EncodedRows]) -> None:
    """Reject a task whose labelled rows all have the weight 0: nothing is learned or compared."""
    for place, (name, task) in enumerate(schema.tasks.items()):
        for split in ("train", "valid") if task.sample_weight is not None else ():
            if not any(_counts(rows[split].block(n), place) for n in range(rows[split].blocks)):
                raise DataError(
                    f"task '{name}': all labelled {split} rows have the weight 0 in"
                    f" '{task.sample_weight}'; give some of them a weight above 0, or remove"
                    " sample_weight"
                )


def _counts(block: Batch, place: int) -> bool:
    """Return whether a labelled row of a block has a weight above 0 in a task."""
    if block.weights is None:
        return True
    labelled = ~block.labels[:, place].isnan()
    return bool((labelled & (block.weights[:, place] > 0)).any())
