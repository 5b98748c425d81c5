"""Live counts of a bundle that a worker serves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from crosstower.funnel.online.counters import counts_of
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.serving.bundle.live import Live
from crosstower.serving.state.event_keys import ITEM, USER, EventKeys, TableKeys
from crosstower.serving.state.live_counts import LiveCounts
from crosstower.serving.state.live_trends import LiveTrends
from crosstower.serving.state.state import State


def live_counts(live: Live, state: State) -> LiveCounts | None:
    """Return the counts of a bundle's ranker with the events of a state; None without counters.

    Raises:
        RunError: the counts in the bundle are missing or damaged.
        ServeError: the state is damaged or cannot be read.

    """
    counters, ranking, funnel = live.counters, live.bundle.ranking, live.funnel
    if counters is None or ranking is None or not counters.names:
        return None
    load = partial(counts_of, ranking)
    if funnel is None:
        return LiveCounts(state, counters, load, _keys_of_rows(counters.keys, ranking.recipe))
    items, keys = funnel.catalogue.keys, _keys_of_funnel(counters.keys, ranking.recipe, funnel)
    return LiveCounts(state, counters, load, keys, lambda: (items.puts, items.moved))


def live_trends(live: Live, state: State) -> LiveTrends | None:
    """Return the trends of a bundle's sources with the events of a state; None without any.

    Events count if `retrieval.history.events` names their type.

    Raises:
        ServeError: the state is damaged or cannot be read.

    """
    if live.funnel is None or live.funnel.catalogue.sources is None:
        return None
    events = retrieval_section_of(live.funnel.retriever.run.recipe).history.events
    trends = live.funnel.catalogue.sources.trends
    return LiveTrends(state, trends, events) if trends and events else None


def _keys_of_funnel(columns: Sequence[str], ranking: Recipe, funnel: OnlineFunnel) -> EventKeys:
    """Return the lookup of event keys in the catalogue and in tables of query columns."""
    section = retrieval_section_of(funnel.retriever.run.recipe)
    of_query, of_items = list[TableKeys](), list[TableKeys]()
    rows = funnel.ranker.rows if funnel.ranker is not None else None
    for table in rows.tables if rows is not None else ():
        side = of_query if rows is not None and rows.is_of_query(table.on) else of_items
        side.append(TableKeys(table.table, table.on))
    return EventKeys(
        columns,
        user={*_named(ranking, columns, USER), *([section.user] if section.user else [])},
        item={*_named(ranking, columns, ITEM), section.item},
        renamed=_renamed(ranking),
        tables=of_query,
        joined=[name for table in of_items for name in table.columns],
        of_items=funnel.catalogue.keys.of,
    )


def _keys_of_rows(columns: Sequence[str], ranking: Recipe) -> EventKeys:
    """Return the lookup of event keys by the columns of the training logs and in tables."""
    joins = ranking.data.joins
    names = [*columns, *(join.on for join in joins)]
    return EventKeys(
        columns,
        user=_named(ranking, names, USER),
        item=_named(ranking, names, ITEM),
        renamed=_renamed(ranking),
        tables=[TableKeys(pl.read_parquet(join.path), join.on) for join in joins],
    )


def _renamed(ranking: Recipe) -> dict[str, str]:
    """Return the exported column that the training logs rename to each column."""
    logs = ranking.data.events
    return {n: of for log in logs for n, of in log.columns.items() if of not in (USER, ITEM)}


def _named(ranking: Recipe, columns: Sequence[str], of_event: str) -> list[str]:
    """Return the columns that the training logs read from a column of exported events."""
    logs = ranking.data.events
    return [n for n in columns if n == of_event or any(x.columns.get(n) == of_event for x in logs)]
