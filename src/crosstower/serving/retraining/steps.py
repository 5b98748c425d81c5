"""The steps of one retraining, from the live version to a filled folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import polars as pl

from crosstower.data.progress import OnProgress
from crosstower.fitting.fit import fit
from crosstower.funnel.row_maker import filled_history
from crosstower.recipe.events import EventLog
from crosstower.recipe.rules import Rules
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import USER, read
from crosstower.serving.bundle.building import make_bundle
from crosstower.serving.bundle.bundle import RANKING, RETRIEVAL, Bundle
from crosstower.serving.bundle.manifest import RunFacts
from crosstower.serving.retraining.division import Cuts, cuts_of, divided, trained_until_of
from crosstower.serving.retraining.event_logs import event_logs, logs_end, with_counts
from crosstower.serving.retraining.event_rows import (
    histories,
    last_columns,
    missing_notes,
    user_columns,
)
from crosstower.serving.retraining.item_table import ItemRows, item_rows
from crosstower.serving.retraining.label_columns import (
    absent_notes,
    label_columns,
    lost_notes,
    positive_types,
)
from crosstower.serving.retraining.plan import RetrainPlan
from crosstower.serving.retraining.recipes import check_training, ranking_recipe, retrieval_recipe
from crosstower.serving.retraining.stage import Stage, id_columns, keep_recipes, stages_of
from crosstower.serving.retraining.training_rows import (
    EventRowMaker,
    EventRows,
    ranking_rows,
    retrieval_rows,
)
from crosstower.serving.retraining.version_facts import FACTS, VersionFacts, read_facts
from crosstower.serving.retraining.version_folders import BUNDLE, local_version
from crosstower.serving.retraining.versions import Attempt, Version
from crosstower.serving.state.event_frame import events_frame
from crosstower.serving.state.state import State
from crosstower.storage.files import write_atomic
from crosstower.training.run import Run

ITEMS, KNOWN = "items.parquet", "known_items.parquet"
_STEP = timedelta(microseconds=1)


@dataclass(frozen=True)
class GateInput:
    """Input of the gate after a training run.

    `tested` are the newest impressions, `positives` the newest positives, and `earlier` those
    before them; both are None without a retriever. `notes` are sentences about the columns.
    """

    tested: pl.DataFrame
    positives: pl.DataFrame | None
    earlier: pl.DataFrame | None
    facts: VersionFacts
    notes: tuple[str, ...]


class RetrainingSteps:
    """The steps of one retraining.

    Args:
        plan: of the retraining.
        live: the version that is served, whose runs the training continues from.
        state: of the server.
        until: events before this time are used.

    """

    def __init__(self, plan: RetrainPlan, live: Version, state: State, until: datetime) -> None:
        self.plan, self.live, self.state, self.until = plan, live, state, until
        self.folder = None if live.folder is None else local_version(live.folder)
        self.bundle = Bundle.open(live.bundle if self.folder is None else self.folder / BUNDLE)
        self.stages = stages_of(self.bundle, self.folder, plan.runs)
        self.time = self.stages[0].time
        recipes = {stage.name: stage.recipe for stage in self.stages}
        for stage in self.stages:
            check_training(stage.recipe, stage.name, getattr(plan.training, stage.name))
        self.tasks = label_columns(recipes.get(RANKING), recipes.get(RETRIEVAL), plan.labels)
        self.positives = positive_types(recipes.get(RETRIEVAL), plan.labels)
        self.user, self.item = id_columns(recipes, plan.labels)
        self.notes = lost_notes(recipes.get(RETRIEVAL), self.tasks, self.positives)

    def stage(self, name: str) -> Stage:
        """Return a stage that the bundle has."""
        return next(stage for stage in self.stages if stage.name == name)

    @cached_property
    def retriever(self) -> Retriever:
        """The retriever of the live bundle."""
        return self.bundle.retriever()

    @cached_property
    def items(self) -> ItemRows | None:
        """The items of the next bundle; None if it only ranks."""
        if self.bundle.retrieval is None:
            return None
        known = None if self.folder is None else read(self.folder / KNOWN)
        return item_rows(self.retriever, self.state, known)

    @cached_property
    def base(self) -> dict[str, pl.DataFrame]:
        """Base rows by stage."""
        labels = self.plan.labels
        extra = [self.user, self.item, labels.rank, labels.propensity, labels.request]
        names = [name for name in extra if name is not None]
        return {stage.name: stage.base(self.plan.rows.base, names) for stage in self.stages}

    @cached_property
    def base_until(self) -> datetime | None:
        """Time of the last base row, None if they have no times."""
        times: list[Any] = [rows[self.time].max() for rows in self.base.values()]
        return max((time for time in times if time is not None), default=None)

    def event_rows(self, on_progress: OnProgress) -> EventRows:
        """Return the rows of all events whose attribution window is over."""
        on_progress("reading the base rows")
        after = self.base_until
        on_progress("labelling the events")
        labels = self.plan.labels
        types = {labels.impression, *(label.event for label in self.tasks.values())}
        read = [one for stage in self.stages for one in stage.event_columns]
        types |= {*self.positives, *(kind for one in read for kind in one.events)}
        needed = list(dict.fromkeys(n for s in self.stages for n in (*s.needed, *s.event_keys)))
        events = events_frame(self.state, sorted(types), [*needed, "propensity"])
        events = events.filter(pl.col("time") < self.until)
        windows = [label.window or labels.window for label in self.tasks.values()]
        maker = EventRowMaker(
            self.stages,
            labels,
            self.tasks,
            self.positives,
            self.items,
            self._users(needed),
            self.user,
            self.item,
        )
        until = self.until - timedelta(seconds=max(windows, default=0.0)) - _STEP
        found = maker.rows(events, until, after, counted_after=self._counted_until())
        absent = absent_notes(read, self.tasks, events["type"].unique())
        return replace(found, notes=(*found.notes, *self.notes, *absent))

    def _counted_until(self) -> datetime | None:
        """Return the time up to which the logs of the recipes have the events."""
        ends = [logs_end(stage, self.base[stage.name], self.until) for stage in self.stages]
        return max((end for end in ends if end is not None), default=None)

    def _users(self, needed: Sequence[str]) -> list[pl.DataFrame]:
        """Return tables of users' columns: attributes, then last rows, then the segment."""
        tables = [user_columns(self.state, needed)]
        if self.bundle.retrieval is None or self.user is None:
            return tables
        tables.append(last_columns(self.retriever.users))
        stage = self.stage(RETRIEVAL)
        segment = retrieval_section_of(stage.recipe).segment
        if segment is not None:
            rows = self.base[RETRIEVAL].sort(stage.time, nulls_last=False, maintain_order=True)
            last = rows.select(pl.col(self.user).alias(USER), segment).drop_nulls()
            tables.append(last.unique(USER, keep="last", maintain_order=True))
        return tables

    def new_rows(self, rows: EventRows) -> int:
        """Return the number of impressions that no version was trained on."""
        return int((rows.impressions[self.time] >= self._new_from(self.stages[-1], rows)).sum())

    def _new_from(self, stage: Stage, rows: EventRows) -> datetime:
        """Return the time from which on a stage was not trained on rows."""
        if self.folder is not None:
            return read_facts(self.folder).trained_until[stage.name]
        if self.base_until is not None:
            return self.base_until + _STEP
        times: list[Any] = [part[self.time].min() for part in (rows.impressions, rows.positives)]
        return min((time for time in times if time is not None), default=self.until)

    def fill(self, attempt: Attempt, rows: EventRows, on_progress: OnProgress) -> GateInput:
        """Train the stages in the folder of an attempt, and make the bundle."""
        impressions, log, runs, cuts = rows.impressions, None, list[Run](), dict[str, Cuts]()
        notes = ()
        keep_recipes(self.stages, attempt.folder)
        if self.items is not None:
            stage = self.stage(RETRIEVAL)
            on_progress("training the retriever")
            log = retrieval_rows(stage, self.base[RETRIEVAL], rows.positives, self.items, self.user)
            cuts[RETRIEVAL] = self._cuts(stage, log, rows)
            runs.append(self._retrieval(stage, attempt, log, cuts[RETRIEVAL], self.items))
        if RANKING in self.base:
            stage = self.stage(RANKING)
            on_progress("training the ranker")
            cuts[RANKING] = self._cuts(stage, impressions, rows)
            impressions = self._with_histories(stage, impressions, log)
            logs = event_logs(stage, attempt.folder, self.base[RANKING], rows.counted)
            runs.append(self._ranking(stage, attempt, impressions, cuts[RANKING], logs))
            notes = missing_notes(impressions, stage.needed)
            impressions = with_counts(impressions, runs[-1].recipe)
        on_progress("making the bundle")
        self._bundle(runs, attempt)
        facts = self._facts(
            rows, {run.folder.name: trained_until_of(run, cuts[run.folder.name]) for run in runs}
        )
        write_atomic(attempt.folder / FACTS, facts.model_dump_json(indent=1).encode())
        tested = impressions.filter(pl.col(self.time) >= cuts[self.stages[-1].name].test_from)
        if log is None:
            return GateInput(tested, None, None, facts, notes)
        newest = (pl.col(self.time) >= cuts[RETRIEVAL].test_from).fill_null(value=False)
        return GateInput(tested, log.filter(newest), log.filter(~newest), facts, notes)

    def _cuts(self, stage: Stage, rows: pl.DataFrame, events: EventRows) -> Cuts:
        return cuts_of(rows[stage.time], self.plan.rows, self._new_from(stage, events))

    def _retrieval(
        self, stage: Stage, attempt: Attempt, log: pl.DataFrame, cuts: Cuts, items: ItemRows
    ) -> Run:
        catalogue, rows = attempt.folder / ITEMS, attempt.folder / f"{RETRIEVAL}.parquet"
        items.current.write_parquet(catalogue)
        items.known.write_parquet(attempt.folder / KNOWN)
        plan, seed = self.plan, attempt.number
        divided(log, stage.time, cuts, plan.rows, seed=seed, histories=True).write_parquet(rows)
        recipe = retrieval_recipe(
            stage.recipe,
            rows=rows,
            items=catalogue,
            time=stage.time,
            training=plan.training.retrieval,
            seed=self._seed(RETRIEVAL),
        )
        return fit(recipe, out=attempt.folder / RETRIEVAL, warm_start=stage.start, quiet=True)

    def _ranking(
        self,
        stage: Stage,
        attempt: Attempt,
        impressions: pl.DataFrame,
        cuts: Cuts,
        logs: Sequence[EventLog],
    ) -> Run:
        rows, plan = attempt.folder / f"{RANKING}.parquet", self.plan
        made = ranking_rows(stage, self.base[RANKING], impressions)
        made = divided(
            made,
            stage.time,
            cuts,
            plan.rows,
            seed=attempt.number,
            histories=False,
            group=stage.recipe.training.group,
        )
        made.write_parquet(rows)
        blend = self.bundle.ranker.blend
        recipe = ranking_recipe(
            stage.recipe,
            rows=rows,
            time=stage.time,
            events=logs,
            blend=None if blend is None else blend.spec,
            training=plan.training.ranking,
            seed=self._seed(RANKING),
        )
        return fit(recipe, out=attempt.folder / RANKING, warm_start=stage.start, quiet=True)

    def _with_histories(
        self, stage: Stage, impressions: pl.DataFrame, log: pl.DataFrame | None
    ) -> pl.DataFrame:
        """Return impressions with the user's earlier items, if the ranker reads them."""
        if log is None or self.user is None:
            return impressions
        recipe = self.stage(RETRIEVAL).recipe
        column, length = filled_history(recipe, stage.recipe.schema_, stage.needed)
        if column is None:
            return impressions
        listed = partial(histories, impressions, log, user=self.user, time=self.time, length=length)
        lists = [listed(item=self.item).alias(column)]
        timed = [one for one in stage.recipe.schema_.timed_lists() if one.column == column]
        lists += [listed(item=self.time).alias(one.times) for one in timed]
        return impressions.with_columns(lists)

    def _bundle(self, runs: Sequence[Run], attempt: Attempt) -> None:
        """Make the bundle, with the rules and the exploration of the live one."""
        live, plan = self.bundle, self.plan
        make_bundle(
            runs,
            attempt.bundle,
            index=plan.index,
            index_options=plan.index_options or None,
            candidates=plan.candidates or live.manifest.candidates,
            rules=None if live.rules == Rules() else live.rules,
            explore=live.explore,
        )

    def _facts(self, rows: EventRows, trained_until: dict[str, datetime]) -> VersionFacts:
        last: Any = rows.impressions[self.time].max()
        return VersionFacts(
            rows=self.new_rows(rows),
            until=last,
            trained_until=trained_until,
            items=0 if self.items is None else self.items.sequence,
        )

    def _seed(self, stage: str) -> int:
        facts: RunFacts = getattr(self.bundle.manifest, stage)  # which has all stages
        return facts.seed
