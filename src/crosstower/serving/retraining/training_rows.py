"""Rows of a retraining: base rows, and rows from events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from crosstower.errors import DataError
from crosstower.recipe.own_columns import MARK, label_name
from crosstower.serving.retraining.event_rows import (
    Origins,
    complete_rows,
    required_columns,
    with_columns,
)
from crosstower.serving.retraining.item_table import ItemRows
from crosstower.serving.retraining.labels import LABELLED_AT, REQUEST, Labelled, label_impressions
from crosstower.serving.retraining.plan import Label, Labels
from crosstower.serving.retraining.stage import Stage
from crosstower.values.columns import text_of

TYPE = f"{MARK}type"
"""Column of the type of counted events; `type` may be one of their keys."""

_POSITIVE = f"{MARK}positive:"


@dataclass(frozen=True)
class EventRows:
    """Rows from events: `impressions` for ranking, `positives` for retrieval.

    Both have all data columns that the recipes read. `counted` are the events that counters count,
    with their keys. `notes` are sentences about omitted rows.
    """

    impressions: pl.DataFrame
    positives: pl.DataFrame
    counted: pl.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class EventRowMaker:
    """Makes rows of events for the stages of a bundle.

    Args:
        stages: to train again.
        labels: of the plan.
        tasks: events by label column.
        positives: types of events that are positives; none if `retrieval.where` selects them.
        items: the items; None for a bundle that only ranks.
        users: tables of users' columns, the first counts.
        user: column of the user's id.
        item: column of the item's id.

    """

    stages: Sequence[Stage]
    labels: Labels
    tasks: Mapping[str, Label]
    positives: Sequence[str]
    items: ItemRows | None
    users: Sequence[pl.DataFrame]
    user: str | None
    item: str
    _notes: list[str] = field(default_factory=list[str])

    def rows(
        self,
        events: pl.DataFrame,
        until: datetime,
        after: datetime | None,
        *,
        counted_after: datetime | None = None,
    ) -> EventRows:
        """Return the rows of events.

        Args:
            events: of impressions and labels, none of the future.
            until: last time of a row.
            after: rows up to this time are in the base rows already.
            counted_after: events up to this time are in the logs of counters already.

        Raises:
            DataError: no impressions, or no event of a label.

        """
        self._check_types(events)
        shown = label_impressions(events, self.labels, self._own_tasks, until=until)
        self._count(shown, events, until, after)
        impressions = self._complete(self._columns(shown.rows, after))
        positives = self._columns(self._positives(events, until), after)
        counted = self._counted(events, counted_after)
        return EventRows(impressions, positives, counted, tuple(self._notes))

    def _counted(self, events: pl.DataFrame, after: datetime | None) -> pl.DataFrame:
        """Return the events that counters and histories read, with the columns that these need.

        As in a server, the attributes of users are not keys of their events.
        """
        types = {kind for stage in self.stages for n in stage.event_columns for kind in n.events}
        events = events.filter(pl.col("type").is_in(list(types)))
        if after is not None:
            events = events.filter(pl.col("time") > after)
        events = events.with_columns(pl.col("type").alias(TYPE))
        keys = list(dict.fromkeys(key for stage in self.stages for key in stage.event_keys))
        made = with_columns(events, keys, replace(self._origins, users=()))
        return made.select(dict.fromkeys(["event_id", TYPE, "time", *keys]).keys())

    @property
    def _own_tasks(self) -> dict[str, Label]:
        """Events by the internal name of a label column, which no column of events has."""
        return {label_name(column): label for column, label in self.tasks.items()}

    @property
    def _origins(self) -> Origins:
        names = {self.item: "item_id"} | {stage.time: "time" for stage in self.stages}
        if self.user is not None:
            names[self.user] = "user"
        items = None if self.items is None else self.items.known
        return Origins(names, items, self.item, self.users)

    def _positives(self, events: pl.DataFrame, until: datetime) -> pl.DataFrame:
        """Return labelled rows that may be positives.

        A positive counts from the time of its events, as these do in a server's history.
        """
        named = {f"{_POSITIVE}{kind}": Label(event=kind) for kind in self.positives}
        events = events.filter(pl.col("time") <= until)
        found = label_impressions(events, self.labels, named or self._own_tasks, until=until)
        rows = pl.concat([found.rows, found.alone], how="diagonal_relaxed")
        if named:
            rows = rows.filter(pl.any_horizontal(pl.col(list(named)) == 1))
            rows = rows.with_columns(pl.lit(None, pl.Float64).alias(n) for n in self._own_tasks)
        return rows.with_columns(pl.coalesce(LABELLED_AT, "time").alias("time"))

    def _columns(self, rows: pl.DataFrame, after: datetime | None) -> pl.DataFrame:
        """Return rows of known items after a time, with all data columns."""
        if after is not None:
            rows = rows.filter(pl.col("time") > after)
        needed = dict.fromkeys(name for stage in self.stages for name in stage.needed)
        rows = self._known(rows)
        labels = self.labels
        more = {labels.rank: "rank", labels.propensity: _PROPENSITY, labels.request: REQUEST}
        own = {c: n for c, n in more.items() if c is not None and n in rows.columns}
        own |= {column: label_name(column) for column in self.tasks} | {REQUEST: REQUEST}
        names = {**self._origins.names, **own}
        wanted = list(dict.fromkeys([*needed, *names]))
        return with_columns(rows, wanted, replace(self._origins, names=names)).select(wanted)

    def _complete(self, impressions: pl.DataFrame) -> pl.DataFrame:
        """Return the impressions on which every ranker can be trained."""
        for stage in self.stages:
            if stage.recipe.retrieval is None:
                required = required_columns(stage.recipe)
                impressions, notes = complete_rows(impressions, required)
                for note in notes:
                    self._note(note)
        return impressions

    def _known(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of items that are or were known."""
        if self.items is None:
            return rows
        known = text_of(self.items.known[self.item])
        found = rows.filter(text_of(rows["item_id"]).is_in(known.implode()))
        if found.height < rows.height:
            self._note(f"rows left out, as their items are unknown: {rows.height - found.height:,}")
        return found

    def _check_types(self, events: pl.DataFrame) -> None:
        if events.is_empty():
            raise DataError(
                "no events yet; let the server log impressions (crosstower serve --log) and send it"
                " events; with --until, give a later time"
            )
        types = set(events["type"].unique())
        found = ", ".join(sorted(types)) or "none"
        for column, label in self.tasks.items():
            if label.event not in types:
                raise DataError(
                    f"labels.tasks.{column}: no event of type '{label.event}' has been sent; name"
                    f" the type that labels '{column}' (types found: {found})"
                )
            sent = events.filter(pl.col("type") == label.event)
            if label.value and sent["value"].null_count() == sent.height:
                raise DataError(
                    f"labels.tasks.{column}: no event of type '{label.event}' has a value, which"
                    " would be the label; send the events with value, or set value: false for"
                    " labels of 1 and 0"
                )
        if self.positives and not types & set(self.positives):
            raise DataError(
                f"labels.positives: no event of type {', '.join(self.positives)} has been sent;"
                f" name the types that are positives (types found: {found})"
            )

    def _count(
        self, shown: Labelled, events: pl.DataFrame, until: datetime, after: datetime | None
    ) -> None:
        kind = pl.col("type") == self.labels.impression
        waiting = events.filter(kind & (pl.col("time") > until)).height
        alone = shown.alone.filter(pl.col("time") <= until).height
        counts = {
            "impressions left out, as their attribution window is not over": waiting,
            "impressions left out, as they repeat one of the same request": shown.repeated,
            "events that label no impression": alone,
            "of these, events after the attribution window of their impression": shown.late,
        }
        if after is not None:
            words = f"impressions left out, as the base rows reach to {after.isoformat()}"
            counts[words] = shown.rows.filter(pl.col("time") <= after).height
        for words, count in counts.items():
            if count:
                self._note(f"{words}: {count:,}")

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


_PROPENSITY = "attributes.propensity"


def retrieval_rows(
    stage: Stage, base: pl.DataFrame, positives: pl.DataFrame, items: ItemRows, user: str | None
) -> pl.DataFrame:
    """Return all positives of a retrieval recipe, of items that the next bundle has."""
    columns = list(dict.fromkeys([*stage.needed, stage.time]))
    rows = pl.concat(
        [_plain(stage.positives(part).select(columns)) for part in (base, positives)],
        how="diagonal_relaxed",
    )
    there = text_of(rows[items.id_column]).is_in(text_of(items.current[items.id_column]).implode())
    if user is not None:
        there = there & rows[user].is_not_null()
    return rows.filter(there)


def ranking_rows(stage: Stage, base: pl.DataFrame, impressions: pl.DataFrame) -> pl.DataFrame:
    """Return all rows of a ranking recipe: its base rows, then those of events."""
    shared = {*stage.needed, *base.columns}
    events = impressions.select(c for c in impressions.columns if c in shared)
    return pl.concat([_plain(base), _plain(events)], how="diagonal_relaxed")


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose categories are text, so that they can follow other rows."""
    kinds = (pl.Categorical, pl.Enum)
    names = [name for name, kind in rows.schema.items() if isinstance(kind, kinds)]
    return rows.with_columns(pl.col(names).cast(pl.String))
