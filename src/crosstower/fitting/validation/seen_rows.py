"""One pass over the rows of a recipe: counts of all rows, and a sample of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from crosstower.data.cleaner import BadCells, Cleaner
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.sources.joins import JoinMatch, join_matches
from crosstower.data.sources.source import Chunk, Source, require_columns
from crosstower.data.split import SPLITS, splitter_of
from crosstower.data.times.clocks import clocks_of
from crosstower.errors import DataError
from crosstower.recipe.own_columns import MARK, ROW, SPLIT, time_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import order_of

NEW = "new"
"""The split of rows that are compared with those of a run."""
PLACE = f"{MARK}place"
_HASH = f"{MARK}hash"
_SAMPLE = 200_000


@dataclass
class SampledRows:
    """Cleaned rows whose hash is small: equal rows are in the sample together, or not at all.

    Each has its split (`SPLIT`), its place in words (`PLACE`) and the hash of its cells.
    """

    size: int = _SAMPLE
    frame: pl.DataFrame | None = None
    limit: int = 2**64 - 1

    def add(self, frame: pl.DataFrame) -> None:
        """Add cleaned rows with `SPLIT` and `PLACE`."""
        cells = [name for name in frame.columns if name not in (ROW, SPLIT, PLACE)]
        hashed = frame.with_columns(pl.struct(cells).hash(seed=1).alias(_HASH))
        kept = hashed.filter(pl.col(_HASH) <= self.limit)
        whole = kept if self.frame is None else pl.concat([self.frame, kept], how="vertical")
        if whole.height > self.size:
            self.limit = int(np.partition(whole[_HASH].to_numpy(), self.size)[self.size])
            whole = whole.filter(pl.col(_HASH) <= self.limit)
        self.frame = whole

    @property
    def whole(self) -> bool:
        """Whether it has all rows."""
        return self.limit == 2**64 - 1


@dataclass
class SeenRows:
    """The rows of a recipe.

    Args:
        source: its name in messages.
        schema: the columns that the rows have.
        time: the column with their times; None without one.

    """

    source: str
    schema: Schema
    time: str | None
    rows: Counter[str] = field(default_factory=Counter[str])
    values: dict[str, ValueCounts] = field(default_factory=dict[str, "ValueCounts"])
    sample: SampledRows = field(default_factory=SampledRows)
    bad: dict[str, BadCells] = field(default_factory=dict[str, BadCells])
    joins: tuple[JoinMatch, ...] = ()
    unmatched: str | None = None

    @property
    def frame(self) -> pl.DataFrame:
        """The sampled rows.

        Raises:
            DataError: no row is left.

        """
        if self.sample.frame is None or not self.sample.frame.height:
            raise DataError(f"{self.source}: no good rows; the bad cells are: {self._bad_words()}")
        return self.sample.frame

    def _bad_words(self) -> str:
        return ", ".join(f"{cells.count:,} in '{name}'" for name, cells in self.bad.items())


@dataclass
class ValueCounts:
    """How often each value of a column occurs, by split."""

    counts: pl.DataFrame | None = None

    def add(self, values: pl.Series, splits: pl.Series) -> None:
        """Add the values of rows; lists count each of their values."""
        frame = pl.DataFrame({"value": values, "split": splits})
        if values.dtype == pl.List:
            frame = frame.explode("value")
        # As texts: ids are numbers in rows where all of them are, and texts in others.
        texts = frame.drop_nulls("value").with_columns(pl.col("value").cast(pl.String))
        found = texts.group_by("value", "split").len("rows")
        both = found if self.counts is None else pl.concat([self.counts, found])
        self.counts = both.group_by("value", "split").agg(pl.col("rows").sum())

    def unknown(self, split: str, among: ValueCounts | None = None) -> tuple[int, int, list[str]]:
        """Return how many values of a split no train row has, all of its values, and examples.

        Args:
            split: name.
            among: whose train rows are meant; its own if None.

        """
        other = self.counts if among is None else among.counts
        if self.counts is None or other is None:
            return 0, 0, []
        own = self.counts.filter(pl.col("split") == split)
        train = other.filter(pl.col("split") == "train")
        strange = own.join(train, on="value", how="anti").sort("rows", descending=True)
        shown = [str(value) for value in strange["value"].head(3)]
        return int(strange["rows"].sum()), int(own["rows"].sum()), shown


def see_rows(
    recipe: Recipe,
    source: Source,
    *,
    coded: Sequence[str],
    divided: bool = True,
    on_progress: OnProgress = no_progress,
) -> SeenRows:
    """Return the results of one pass over the rows; rows with a bad cell are left out and counted.

    Args:
        recipe: says columns, tasks and split.
        source: of the rows.
        coded: schema columns whose values are counted.
        divided: divide the rows as the recipe says; otherwise all are `NEW`.
        on_progress: called after each chunk.

    Raises:
        DataError: a column is missing.

    """
    schema = _present(recipe, source, unlabelled=not divided)
    seen = SeenRows(source.name, schema, _time_of(recipe, source))
    clocks = clocks_of(recipe.data.model_copy(update={"on_bad_rows": "skip"}), source)
    splitter = splitter_of(recipe, source, clocks) if divided else None
    timed = [] if seen.time is None else [clocks(seen.time)]
    clocked = [*(() if splitter is None else splitter.clocks), *timed]
    cleaner = Cleaner(
        seen.schema,
        [] if splitter is None else list(splitter.columns),
        on_bad_rows="skip",
        clocks=list({clock.column: clock for clock in clocked}.values()),
    )
    section = recipe.retrieval
    ids = [] if section is None else [name for name in (section.item, section.user) if name]
    require_columns(source, [*cleaner.sources(), *ids])
    for chunk in source.chunks(cleaner.sources()):
        frame = cleaner.clean(chunk)
        splits = [NEW] * frame.height if splitter is None else _names(splitter.assign(frame))
        _add(seen, frame, chunk, pl.Series(SPLIT, splits, dtype=pl.String), coded)
        on_progress("reading", sum(seen.rows.values()))
    seen.bad = cleaner.bad_cells
    try:
        seen.joins = join_matches(source)
    except DataError as error:
        seen.unmatched = str(error)
    return seen


def _add(
    seen: SeenRows, frame: pl.DataFrame, chunk: Chunk, splits: pl.Series, coded: Sequence[str]
) -> None:
    seen.rows.update(splits.drop_nulls())
    for name in coded:
        if name in frame.columns:
            seen.values.setdefault(name, ValueCounts()).add(frame[name], splits)
    kept = [name for name in frame.columns if not name.startswith(f"{MARK}raw:")]
    row = pl.col(ROW) - chunk.index + chunk.first_row
    place = pl.format("row {} of {}", row, pl.lit(chunk.origin.rpartition("/")[2]))
    seen.sample.add(frame.select(*kept, place.alias(PLACE)).with_columns(splits))


def _names(assignment: np.ndarray) -> list[str | None]:
    return [SPLITS[place] if place >= 0 else None for place in assignment]


def _present(recipe: Recipe, source: Source, *, unlabelled: bool) -> Schema:
    """Return the schema of the columns that are in the rows themselves.

    A retriever fills the column of the history from the rows, and has columns of its items in a
    table. New rows may have no labels.
    """
    schema, there = recipe.schema_, set(source.columns())
    columns, tasks = dict(schema.columns), dict(schema.tasks)
    if recipe.retrieval is not None:
        columns = {
            name: column
            for name, column in columns.items()
            if set(column.sources(name)) <= there and not column.combines
        }
    if unlabelled:
        labelled = {name for name, task in tasks.items() if (task.column or name) in there}
        tasks = {name: task for name, task in tasks.items() if name in labelled}
        needless = {name for name, task in tasks.items() if task.needs is None}
        tasks = {n: t for n, t in tasks.items() if n in needless or t.needs in labelled}
    return schema.model_copy(update={"columns": columns, "tasks": tasks})


def _time_of(recipe: Recipe, source: Source) -> str | None:
    of_retrieval = None if recipe.retrieval is None else recipe.retrieval.time
    named = of_retrieval or recipe.data.time or order_of(recipe.data.split)
    return named if named in source.columns() else None


def times_of(seen: SeenRows) -> pl.Series | None:
    """Return the times of the sampled rows, None if they have none."""
    return None if seen.time is None else seen.frame[time_name(seen.time)]
