"""One stage of a bundle that is trained again: its recipe, its run, and the rows it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import torch

from crosstower.data.counters.list_ages import list_clock, list_moments
from crosstower.data.filters.filter import filter_columns, parse_filter
from crosstower.data.reading import training_source
from crosstower.data.sources.source import Source, open_source, require_columns
from crosstower.data.times.clocks import clocks_of
from crosstower.errors import DataError, RecipeError, RunError
from crosstower.funnel.retrieved_columns import RETRIEVED
from crosstower.ranking.data import evaluation_columns
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.own_columns import MARK
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.row_times import own_time
from crosstower.recipe.schema import Schema
from crosstower.recipe.split import GivenSplit, RandomSplit
from crosstower.recipe.times import ORDER, USUAL
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.serving.bundle.bundle import RANKING, RETRIEVAL, Bundle
from crosstower.serving.bundle.history_events import with_history
from crosstower.serving.retraining.labels import REQUEST
from crosstower.serving.retraining.plan import Labels, Runs
from crosstower.storage.files import write_atomic
from crosstower.training.run import Run

RECIPES = "recipes"
"""Folder of the first bundle's recipes, next to a version's bundle."""

DEFAULT_TIME = "time"
"""Column of the time of rows whose recipe names none."""


@dataclass(frozen=True)
class Stage:
    """A stage to train again.

    `recipe` is the one that the first bundle was trained with, all paths absolute. `start` is the
    run whose weights the training continues from. `time` is the column of the rows' time.
    """

    name: str
    recipe: Recipe
    start: Run
    time: str

    @cached_property
    def added(self) -> dict[str, list[str]]:
        """Columns that each join adds, by its key, in order."""
        data = self.recipe.data
        tables = {join.on: open_source(join.path, data.csv).columns() for join in data.joins}
        return {on: [name for name in names if name != on] for on, names in tables.items()}

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Data columns that rows must have, before joins; labels are among them."""
        recipe = self.recipe
        if recipe.retrieval is None:
            schema = recipe.schema_
            names = [*schema.sources(), *schema.label_sources(), *evaluation_columns(recipe)]
            names += [*recipe.amounts, *(one.times for one in schema.timed_lists())]
        else:
            section = recipe.retrieval
            query = recipe.schema_.part(list(tower_columns_of(recipe).query)).sources()
            own = [section.item, section.user, section.segment]
            names = [*(n for n in own if n is not None), *query]
            names += filter_columns(section.where or "True")
        return self._before_joins(names)

    @cached_property
    def event_keys(self) -> tuple[str, ...]:
        """Data columns of events that counters and histories need, before joins."""
        keys = [key for one in self.event_columns for key in one.by]
        values = [one.value for one in self.recipe.schema_.event_lists()]
        return self._before_joins([*keys, *values])

    @property
    def event_columns(self) -> tuple[EventCount | EventList, ...]:
        """Counts and histories that earlier events give the model."""
        return self.recipe.schema_.event_inputs()

    def _before_joins(self, names: Sequence[str]) -> tuple[str, ...]:
        added = {name for more in self.added.values() for name in more}
        added |= {one.column for one in self.recipe.schema_.event_lists()}
        own = [n for n in names if n not in added and not n.startswith(MARK)]
        return tuple(dict.fromkeys([*own, *self.added]))

    def base(self, given: str | None, extra: Sequence[str]) -> pl.DataFrame:
        """Return the rows that the first bundle was trained on, with their times as datetimes.

        Args:
            given: where they are; `data.path` of the recipe if None.
            extra: columns that are returned too, if the rows have them.

        Raises:
            DataError: they are missing or lack a column, or their times have no unit.

        """
        data = self.recipe.data.model_copy(update={"joins": ()})
        if given is not None:
            split = RandomSplit() if isinstance(data.split, GivenSplit) else data.split
            data = data.at(given).model_copy(update={"valid": None, "test": None, "split": split})
        try:
            source = training_source(data)
        except (DataError, RecipeError) as error:
            raise DataError(
                f"the rows of the {self.name} recipe cannot be read: {error}; name them in the"
                " plan: rows: {base: PATH}"
            ) from error
        require_columns(source, self.needed)
        known = source.columns()
        column = next((n for n in (own_time(self.recipe), self.time) if n in known), None)
        kept = [*self.needed, *(name for name in extra if name in known)]
        columns = list(dict.fromkeys(kept if column is None else [*kept, column]))
        frame = pl.concat([c.frame for c in source.chunks(columns)], how="vertical_relaxed")
        frame = self._with_list_times(frame, source)
        kept = list(dict.fromkeys([*kept, self.time]))
        if column is None:
            time = pl.lit(None, pl.Datetime("us", "UTC"))
            return frame.with_columns(time.alias(self.time)).select(kept)
        clock = clocks_of(data, source)(column)
        if clock.unit == ORDER:
            raise DataError(
                f"{source.name}: column '{column}' holds numbers that only order the rows, which"
                " cannot be compared with the times of events; set data.times to their unit"
            )
        times = clock.read(frame[column]).cast(pl.Datetime("ns", "UTC"))
        return frame.with_columns(times.dt.cast_time_unit("us").alias(self.time)).select(kept)

    def _with_list_times(self, frame: pl.DataFrame, source: Source) -> pl.DataFrame:
        """Return rows whose lists of times hold datetimes, as those of new rows do."""
        for one in self.recipe.schema_.timed_lists():
            clock = list_clock(source, one, self.recipe.data.times.get(one.times, USUAL))
            frame = frame.with_columns(list_moments(one, frame, clock))
        return frame

    def positives(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that a retrieval recipe learns from: its `where`.

        Raises:
            RecipeError: `where` reads a joined table.

        """
        where = retrieval_section_of(self.recipe).where
        for name in filter_columns(where or "True"):
            if name not in rows.columns:
                raise RecipeError(
                    f"retrieval.where: reads '{name}' of a joined table, but a retraining"
                    " selects positives before it joins tables; add the column to the rows"
                )
        return rows if where is None else rows.filter(parse_filter(where, dict(rows.schema)))


def stages_of(bundle: Bundle, folder: Path | None, runs: Runs) -> list[Stage]:
    """Return the stages of a live bundle, with the runs that their training continues from.

    Args:
        bundle: that is served.
        folder: of its version; None for a bundle not built by retraining.
        runs: of such a bundle.

    Raises:
        RunError: a run is missing, or not that of the bundle.
        RecipeError: the time of the rows is an input of a model, or the ranker reads columns of
            retrieval, which event rows do not have.

    """
    served = {RETRIEVAL: bundle.retrieval, RANKING: bundle.ranking}
    found = {name: run for name, run in served.items() if run is not None}
    starts, recipes = dict[str, Run](), dict[str, Recipe]()
    for name, run in found.items():
        if folder is not None:
            starts[name] = Run.open(folder / name)
            recipes[name] = load_recipe(folder / RECIPES / f"{name}.yaml")
        else:
            key = f"runs.{name}"
            starts[name] = run_of(getattr(runs, name), key=key)
            check_weights(starts[name], run, key=key)
            recipes[name] = starts[name].recipe
        _check_columns(recipes[name])
    if bundle.retrieval is not None:  # the events of its histories may have been given to it alone
        history = retrieval_section_of(bundle.retrieval.recipe).history
        recipes[RETRIEVAL] = with_history(recipes[RETRIEVAL], history)
    column = time_column(recipes.get(RETRIEVAL), recipes.get(RANKING))
    return [Stage(name, recipes[name], starts[name], column) for name in found]


def _check_columns(recipe: Recipe) -> None:
    read = [name for name in RETRIEVED if name in recipe.schema_.sources()]
    if read:
        raise RecipeError(
            f"{recipe.name}: reads {' and '.join(read)}, which rows from events do not have, as"
            " the retriever is trained on the same events; train both with crosstower fit and"
            " crosstower features, and make a bundle"
        )


def keep_recipes(stages: Sequence[Stage], folder: Path) -> None:
    """Write the recipes of stages into the folder of a version, for later retrainings."""
    (folder / RECIPES).mkdir()
    for stage in stages:
        path = folder / RECIPES / f"{stage.name}.yaml"
        write_atomic(path, stage.recipe.to_yaml().encode())


def id_columns(recipes: Mapping[str, Recipe], labels: Labels) -> tuple[str | None, str]:
    """Return the columns of the ids of users (None without users) and items.

    Raises:
        RecipeError: nothing names the column of the item.

    """
    if RETRIEVAL in recipes:
        section = retrieval_section_of(recipes[RETRIEVAL])
        return labels.user or section.user, labels.item or section.item
    if labels.item is None:
        raise RecipeError(
            "labels.item: missing; the bundle only ranks, so name the column of the item's id in"
            " its rows"
        )
    group = recipes[RANKING].evaluation.group
    return labels.user or (None if group in (labels.request, REQUEST) else group), labels.item


def time_column(*recipes: Recipe | None) -> str:
    """Return the column of the rows' time: that of the first recipe that names one.

    Raises:
        RecipeError: the column is also an input of a model.

    """
    for recipe in recipes:
        if recipe is None:
            continue
        time = own_time(recipe)
        if time is None:
            continue
        if any(r is not None and _is_input(time, r.schema_) for r in recipes):
            raise RecipeError(
                f"column '{time}' is both the time of the rows and an input of a model, but events"
                " write their times in another form; give the model a copy under another name"
            )
        return time
    return DEFAULT_TIME


def _is_input(time: str, schema: Schema) -> bool:
    """Return whether a model reads a time column as anything but a time."""
    return time in schema.sources() and time not in schema.row_times()


def check_weights(start: Run, served: Run, *, key: str) -> None:
    """Reject a run whose weights are not those of a bundle's stage.

    Args:
        start: the run.
        served: the stage of the bundle.
        key: of the plan, for messages.

    Raises:
        RunError: they differ.

    """
    name, seed = served.chosen(None, None)
    other = f"{key}: {start.folder} is not the run that the bundle was built from"
    if name not in start.info.models or seed not in start.info.seeds:
        raise RunError(f"{other} (it has no model '{name}' with seed {seed}); name that run")
    ours = start.model(name, seed=seed).state_dict()
    theirs = served.model(name, seed=seed).state_dict()
    same = ours.keys() == theirs.keys() and all(
        ours[key].shape == theirs[key].shape and torch.equal(ours[key], theirs[key]) for key in ours
    )
    if not same:
        raise RunError(f"{other} (its weights differ); name that run")


def run_of(given: str | Path | None, *, key: str) -> Run:
    """Return the run that a plan names.

    Raises:
        RunError: it names none, or there is none.

    """
    if given is None:
        raise RunError(
            f"{key}: missing; the first retraining continues from the runs that the bundle was"
            " built from: name them in the plan, or with --from"
        )
    try:
        return Run.open(given)
    except RunError as error:
        raise RunError(f"{key}: {error}") from error
