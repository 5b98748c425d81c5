"""The steps of one retraining, from the live version to a filled folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.data.progress import OnProgress
from crosstower.errors import ServeError
from crosstower.fitting.fit import fit
from crosstower.funnel.rows import filled_history
from crosstower.recipe.events import EventLog
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.rules import Rules
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.files import USER, read
from crosstower.serving.bundle.building import make_bundle
from crosstower.serving.bundle.bundle import RANKING, RETRIEVAL, Bundle
from crosstower.serving.retraining.division import Cuts, cuts_of, divided
from crosstower.serving.retraining.event_logs import event_logs, with_counts
from crosstower.serving.retraining.event_rows import histories, last_columns, user_columns
from crosstower.serving.retraining.item_table import ItemRows, item_rows
from crosstower.serving.retraining.label_columns import label_columns, positive_types
from crosstower.serving.retraining.plan import RetrainPlan
from crosstower.serving.retraining.recipes import check_training, ranking_recipe, retrieval_recipe
from crosstower.serving.retraining.stage import RECIPES, Stage, id_columns, stages_of
from crosstower.serving.retraining.training_rows import (
    EventRowMaker,
    EventRows,
    ranking_rows,
    retrieval_rows,
)
from crosstower.serving.retraining.versions import Attempt, Version
from crosstower.serving.state.event_frame import events_frame
from crosstower.serving.state.state import State
from crosstower.storage.documents import read_document
from crosstower.storage.files import write_atomic
from crosstower.training.run import Run

FACTS = "facts.json"
ITEMS, KNOWN = "items.parquet", "known_items.parquet"
_STEP = timedelta(microseconds=1)


class VersionFacts(FrozenModel):
    """What a version was trained on; kept beside its bundle.

    `rows` counts the new impressions, `until` is the last time of a row, `trained_until` that up
    to which rows were trained on (the others decided and tested), and `items` is the number of
    the last change of an item that the bundle has.
    """

    rows: int
    until: datetime
    trained_until: datetime
    items: int


@dataclass(frozen=True)
class Training:
    """What the gate needs of a finished training.

    `tested` are the newest impressions, `positives` the newest positives, and `earlier` those
    before them; both are None without a retriever.
    """

    tested: pl.DataFrame
    positives: pl.DataFrame | None
    earlier: pl.DataFrame | None
    facts: VersionFacts


class Work:
    """The steps of one retraining.

    Args:
        plan: of the retraining.
        live: the version that is served, whose runs the training goes on from.
        state: of the server.
        until: events before this time are used.

    """

    def __init__(self, plan: RetrainPlan, live: Version, state: State, until: datetime) -> None:
        self.plan, self.live, self.state, self.until = plan, live, state, until
        self.bundle = Bundle.open(live.bundle)
        self.stages = stages_of(self.bundle, live.folder, plan.runs)
        self.time = self.stages[0].time
        recipes = {stage.name: stage.recipe for stage in self.stages}
        for stage in self.stages:
            check_training(stage.recipe, stage.name, getattr(plan.training, stage.name))
        self.tasks = label_columns(recipes.get(RANKING), recipes.get(RETRIEVAL), plan.labels)
        self.positives = positive_types(recipes.get(RETRIEVAL), plan.labels)
        self.user, self.item = id_columns(recipes, plan.labels)

    def stage(self, name: str) -> Stage:
        """Return a stage that the bundle has."""
        return next(stage for stage in self.stages if stage.name == name)

    @cached_property
    def items(self) -> ItemRows | None:
        """The items of the next bundle; None if it only ranks."""
        if self.bundle.retrieval is None:
            return None
        known = None if self.live.folder is None else read(self.live.folder / KNOWN)
        return item_rows(self.bundle.retriever(), self.state, known)

    @cached_property
    def base(self) -> dict[str, pl.DataFrame]:
        """Base rows by stage."""
        labels = self.plan.labels
        extra = [self.user, self.item, labels.rank, labels.propensity]
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
        counts = [count for stage in self.stages for count in stage.counts]
        types |= {*self.positives, *(kind for count in counts for kind in count.events)}
        needed = [name for stage in self.stages for name in (*stage.needed, *stage.event_keys)]
        needed = list(dict.fromkeys(needed))
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
        window = timedelta(seconds=max(windows, default=0.0))
        return maker.rows(events, self.until - window - _STEP, after)

    def _users(self, needed: Sequence[str]) -> list[pl.DataFrame]:
        """Return tables of users' columns: attributes, then last rows, then the segment."""
        tables = [user_columns(self.state, needed)]
        if self.bundle.retrieval is None or self.user is None:
            return tables
        tables.append(last_columns(self.bundle.retriever().users))
        stage = self.stage(RETRIEVAL)
        segment = retrieval_section_of(stage.recipe).segment
        if segment is not None:
            rows = self.base[RETRIEVAL].sort(stage.time, nulls_last=False, maintain_order=True)
            last = rows.select(pl.col(self.user).alias(USER), segment).drop_nulls()
            tables.append(last.unique(USER, keep="last", maintain_order=True))
        return tables

    def new_from(self, rows: EventRows) -> datetime:
        """Return the time from which on rows have not been trained on."""
        if self.live.folder is not None:
            return self._facts().trained_until
        if self.base_until is not None:
            return self.base_until + _STEP
        first: Any = rows.impressions[self.time].min()
        return self.until if first is None else first

    def _facts(self) -> VersionFacts:
        path = Path(str(self.live.folder)) / FACTS
        return read_document(path, VersionFacts, newest=1, error=ServeError, again="retrain")

    def fill(self, attempt: Attempt, rows: EventRows, on_progress: OnProgress) -> Training:
        """Train the stages in the folder of an attempt, and make the bundle."""
        cuts = cuts_of(rows.impressions[self.time], self.plan.rows, self.new_from(rows))
        impressions, log, runs = rows.impressions, None, list[Run]()
        (attempt.folder / RECIPES).mkdir()
        for stage in self.stages:
            text = stage.recipe.to_yaml().encode()
            write_atomic(attempt.folder / RECIPES / f"{stage.name}.yaml", text)
        if self.items is not None:
            stage = self.stage(RETRIEVAL)
            on_progress("training the retriever")
            log = retrieval_rows(stage, self.base[RETRIEVAL], rows.positives, self.items, self.user)
            runs.append(self._retrieval(stage, attempt, log, cuts))
        if RANKING in self.base:
            stage = self.stage(RANKING)
            on_progress("training the ranker")
            impressions = self._with_histories(stage, impressions, log)
            logs = event_logs(stage, attempt.folder, self.base[RANKING], rows.counted)
            runs.append(self._ranking(stage, attempt, impressions, cuts, logs))
            impressions = with_counts(impressions, runs[-1].recipe)
        on_progress("making the bundle")
        self._bundle(runs, attempt)
        facts = self._new_facts(rows, cuts)
        write_atomic(attempt.folder / FACTS, facts.model_dump_json(indent=1).encode())
        newest = (pl.col(self.time) >= cuts.test_from).fill_null(value=False)
        parts = (None, None) if log is None else (log.filter(newest), log.filter(~newest))
        return Training(impressions.filter(newest), *parts, facts)

    def _retrieval(self, stage: Stage, attempt: Attempt, log: pl.DataFrame, cuts: Cuts) -> Run:
        items, rows = attempt.folder / ITEMS, attempt.folder / f"{RETRIEVAL}.parquet"
        if self.items is not None:
            self.items.current.write_parquet(items)
            self.items.known.write_parquet(attempt.folder / KNOWN)
        plan, seed = self.plan, attempt.number
        divided(log, stage.time, cuts, plan.rows, seed=seed, histories=True).write_parquet(rows)
        recipe = retrieval_recipe(
            stage.recipe,
            rows=rows,
            items=items,
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
        made = divided(made, stage.time, cuts, plan.rows, seed=attempt.number, histories=False)
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
        retrieval = next((s for s in self.stages if s.name == RETRIEVAL), None)
        if retrieval is None or log is None or self.user is None:
            return impressions
        column, length = filled_history(retrieval.recipe, stage.recipe.schema_, stage.needed)
        if column is None:
            return impressions
        lists = histories(
            impressions, log, user=self.user, item=self.item, time=self.time, length=length
        )
        return impressions.with_columns(lists.alias(column))

    def _bundle(self, runs: Sequence[Run], attempt: Attempt) -> None:
        """Make the bundle, with the rules and the exploration of the live one."""
        live, plan = self.bundle, self.plan
        explore = live.explore
        make_bundle(
            runs,
            attempt.bundle,
            index=plan.index,
            index_options=plan.index_options or None,
            candidates=plan.candidates or live.manifest.candidates,
            rules=None if live.rules == Rules() else live.rules,
            explore=explore,
        )

    def _new_facts(self, rows: EventRows, cuts: Cuts) -> VersionFacts:
        times = rows.impressions[self.time]
        last: Any = times.max()
        return VersionFacts(
            rows=int((times >= cuts.new_from).sum()),
            until=last,
            trained_until=cuts.valid_from,
            items=0 if self.items is None else self.items.sequence,
        )

    def _seed(self, stage: str) -> int:
        facts = {RETRIEVAL: self.bundle.manifest.retrieval, RANKING: self.bundle.manifest.ranking}
        found = facts[stage]
        return 0 if found is None else found.seed
