"""Score a file of raw rows into a Parquet file, chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pyarrow import parquet
from rich.console import Console

from crosstower.blending.columns import named_types
from crosstower.data.counters.counted_source import counted
from crosstower.data.reading import source_of
from crosstower.data.sources.source import Source, require_columns
from crosstower.data.tally import Tally
from crosstower.errors import DataError, RunError
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import Precision
from crosstower.storage.files import refuse_missing_folder, refuse_other_format, replacing
from crosstower.training.run import Run
from crosstower.values.addresses.address import Place, place_of
from crosstower.values.addresses.remote import exists


def predict_file(
    run: Run,
    data: str | Place,
    output: str | Place,
    *,
    columns: Sequence[str] | None = None,
    model: str | None = None,
    seed: int | None = None,
    blend: bool = True,
    precision: Precision = "float32",
    force: bool = False,
) -> int:
    """Write `columns` (all if None) and a column `TASK__prediction` a task; return the row count.

    Tables that the recipe joins are joined here too. Memory does not grow with the rows; the
    output appears only when it is complete. Rows of content types that calibration or blend do not
    know are counted on stderr, as are skipped rows (their predictions are null), values never seen
    in training, keys that joined tables lack, and rows that trained the model. `blend` and
    `precision` are those of `Ranker.score`.

    Raises:
        RunError: the output already exists (and not `force`), has no folder, cannot be written, or
            has the suffix of another format.
        DataError: the rows lack a column or hold a bad cell.

    """
    place = place_of(output, error=RunError)
    refuse_other_format(place, error=RunError)
    if isinstance(place, Path):
        refuse_missing_folder(place, error=RunError)
    if not force:
        _refuse_existing(place)
    raw = source_of(run.recipe.data.at(str(data)))
    columns, source = raw.columns() if columns is None else list(columns), counted(raw, run.recipe)
    require_columns(source, columns)
    ranker = Ranker.open(run, model=model, seed=seed)
    rows, console, steps = 0, Console(stderr=True), type_steps(ranker, blend)
    tally = ranker.tally()
    frames = scored_frames(
        ranker, source, columns, steps, blend=blend, precision=precision, tally=tally
    )
    try:
        with replacing(place) as aside, console.status("scoring") as status:
            writer: parquet.ParquetWriter | None = None
            for frame in frames:
                table = _table(frame, writer)
                writer = writer or parquet.ParquetWriter(aside, table.schema)
                writer.write_table(table)
                rows += frame.height
                status.update(f"scoring: {rows:,} rows")
            if writer is None:
                raise DataError(f"{source.name}: no rows to score")
            writer.close()
    except OSError as error:
        raise RunError(f"{place}: cannot be written: {error.strerror or error}") from error
    if words := "; ".join(step.words(rows) for step in steps if step.unseen):
        console.print(f"{words}.", markup=False, highlight=False, soft_wrap=True)
    for sentence in tally.sentences():
        console.print(f"{sentence}.", markup=False, highlight=False, soft_wrap=True)
    return rows


def _refuse_existing(place: Place) -> None:
    try:
        found = exists(place)
    except OSError as error:
        raise RunError(f"{place}: cannot be written: {error}") from error
    if found:
        raise RunError(f"{place}: already exists; choose another with -o, or give --force")


def scored_frames(
    ranker: Ranker,
    source: Source,
    columns: Sequence[str],
    steps: Sequence[TypeStep],
    *,
    blend: bool,
    precision: Precision,
    tally: Tally,
) -> Iterator[pl.DataFrame]:
    """Yield columns and predictions chunk by chunk, and count the types that steps do not know.

    Args:
        ranker: scores the rows.
        source: of the rows.
        columns: raw columns to keep.
        steps: of `type_steps`, which count.
        blend: score by the blend that the run keeps as well.
        precision: see `Ranker.score`.
        tally: counts the rows.

    Raises:
        DataError: a column is missing, or a cell is bad.

    """
    beside = list(dict.fromkeys(step.by for step in steps if step.by not in columns))
    for frame in ranker.score(
        source, columns=[*columns, *beside], blend=blend, precision=precision, tally=tally
    ):
        for step in steps:
            step.unseen += step.unseen_in(frame)
        yield frame.drop(beside)


@dataclass
class TypeStep:
    """A step that treats rows by their type in column `by`; `unseen` counts other types."""

    name: str
    by: str
    reason: str
    unseen_in: Callable[[pl.DataFrame], Counter[str | None]]
    unseen: Counter[str | None] = field(default_factory=Counter[str | None])

    def words(self, rows: int) -> str:
        """Return how many of `rows` rows were not treated by their type, and why."""
        return (
            f"{self.unseen.total():,} of {rows:,} rows take the {self.name} of all types, as their"
            f" {self.by} was {self.reason} in fitting: {named_types(self.unseen)}"
        )


def type_steps(ranker: Ranker, blended: bool) -> list[TypeStep]:
    """Return calibration and blend, where the run has them and they look at a type."""
    right, blend = ranker.calibrators, ranker.blend
    steps: list[TypeStep] = []
    if right is not None and right.by is not None:
        steps.append(TypeStep("calibration", right.by, "missing or unseen", right.unseen))
    if blended and blend is not None and blend.spec.by is not None:
        steps.append(TypeStep("blend", blend.spec.by, "missing, unseen or rare", blend.unseen))
    return steps


def _table(frame: pl.DataFrame, writer: parquet.ParquetWriter | None) -> Any:
    table = frame.to_arrow()
    # A chunk whose column is all null would otherwise come with a type of its own.
    return table if writer is None else table.cast(writer.schema)
