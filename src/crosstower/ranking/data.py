"""From a recipe and its rows to the encoded splits of a ranker: fit the encoder, encode, count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.cleaner import Cleaner
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.fit import EncoderFit
from crosstower.data.fingerprints import Fingerprints
from crosstower.data.prefetch import prefetch
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.sources.joins import join_matches
from crosstower.data.sources.source import Source, require_columns
from crosstower.data.split import SPLITS, Splitter, select, split_words, splitter_of
from crosstower.data.statistics import DatasetCounter, DatasetStats
from crosstower.errors import RecipeError
from crosstower.recipe.own_columns import check_kept, label_name, raw_name, truth_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary

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


def targets_of(frame: pl.DataFrame, schema: Schema, columns: list[str]) -> pl.DataFrame:
    """Return labels by task name, true probabilities and raw columns of cleaned rows."""
    chosen = {c: frame[raw_name(c)] for c in columns}
    for name, task in schema.tasks.items():
        if isinstance(task, Binary) and task.true_probability:
            chosen[task.true_probability] = frame[truth_name(name)]
        chosen[name] = frame[label_name(name)]
    return pl.DataFrame(chosen)


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
        encoder: of the rows, or what learns one from the training rows; a new one if None.
        on_progress: called after each chunk with the number of rows done.

    Raises:
        DataError: a bad cell, an empty split, a binary task with one class in a split.

    """
    schema, extras = recipe.schema_, evaluation_columns(recipe)
    named = [*schema.sources(), *schema.label_sources(), *extras]
    require_columns(source, named)
    splitter = splitter_of(recipe, source)
    cleaner = Cleaner(
        schema,
        list(dict.fromkeys([*extras, *splitter.columns])),
        on_bad_rows=recipe.data.on_bad_rows,
        amounts=recipe.amounts,
        clocks=splitter.clocks,
    )
    times = [clock.column for clock in splitter.clocks]
    columns = list(dict.fromkeys([*named, *splitter.columns, *times]))
    reading = _Reading(source, columns, cleaner, splitter, on_progress)
    encoder = encoder or EncoderFit(schema)
    if isinstance(encoder, EncoderFit):
        for frame, assignment in reading.frames("learning vocabularies", DatasetCounter()):
            encoder.add(select(frame, assignment, 0))
        join_matches(source)  # a join without a match is an error before anything is encoded
        encoder = encoder.finish()
    return _encode(recipe, reading, encoder, extras, spill)


@dataclass(frozen=True)
class _Reading:
    """One way to go over the rows, used for each pass."""

    source: Source
    columns: list[str]
    cleaner: Cleaner
    splitter: Splitter
    on_progress: OnProgress

    def frames(self, stage: str, census: DatasetCounter) -> Iterator[tuple[pl.DataFrame, Any]]:
        """Yield cleaned chunks with the split of each row; count the rows left out."""
        cleaner = self.cleaner.fresh_copy(skipped=census.skipped, implied=census.implied)
        rows = 0
        for frame, assignment, read in prefetch(self._cleaned(cleaner), depth=1):
            yield frame, assignment
            rows += read
            self.on_progress(stage, rows)

    def _cleaned(self, cleaner: Cleaner) -> Iterator[tuple[pl.DataFrame, Any, int]]:
        for chunk in self.source.chunks(self.columns):
            frame = cleaner.clean(chunk)
            yield frame, self.splitter.assign(frame), chunk.frame.height


def _encode(
    recipe: Recipe, reading: _Reading, encoder: Encoder, extras: list[str], spill: Path
) -> Prepared:
    rows = {s: EncodedRows(spill / s, memory_of(recipe, s)) for s in SPLITS}
    targets: dict[str, list[pl.DataFrame]] = {"valid": [], "test": []}
    census = DatasetCounter()
    for frame, assignment in reading.frames("encoding rows", census):
        # Encoded once, then split: texts are not copied, and long columns encode faster.
        batch, target = encoder.encode(frame), targets_of(frame, encoder.schema, extras)
        labels = target.select(list(encoder.schema.tasks))
        chosen = {s: np.flatnonzero(assignment == place) for place, s in enumerate(SPLITS)}
        parts = {split: batch.take(places) for split, places in chosen.items()}
        for split, part in parts.items():
            rows[split].add(part)
        for split, frames in targets.items():
            frames.append(target[chosen[split]])
        census.add(labels, batch, chosen, encoder, parts["test"])
    census.check(encoder.schema)
    joined = {split: pl.concat(frames) for split, frames in targets.items()}
    words = split_words(recipe.data.split, reading.splitter.clocks)
    joins = join_matches(reading.source)
    facts, fingerprints = census.finish(source=reading.source.name, split=words, joins=joins)
    return Prepared(encoder, rows, joined, facts, fingerprints)
