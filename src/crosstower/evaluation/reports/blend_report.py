"""The page about a blend: its orders, content types, scores and Pareto front."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.evaluation.reports.blend_content import BlendContent, Distribution
from crosstower.evaluation.reports.blend_plots import (
    MOST_TYPES,
    PointKind,
    front_plot,
    histogram_plot,
    point_key,
    share_plot,
    type_key,
)
from crosstower.evaluation.reports.page import (
    Block,
    Card,
    Items,
    Key,
    Plot,
    Plots,
    Section,
    Text,
    metrics_table,
    render_page,
    seeds_note,
    write_page,
)
from crosstower.values.addresses.address import Place

MOST_PAIRS = 6
"""Pairs of tasks whose front is drawn."""

_TITLES: Mapping[str, Callable[[str, int], str]] = {
    "utility": lambda _task, _k: "Utility",
    "ndcg": lambda task, k: f"NDCG@{k} of {task}",
    "gauc": lambda task, _k: f"gAUC of {task}",
    "total": lambda task, k: f"Total {task}@{k}",
    "expected": lambda task, k: f"Expected {task}@{k}",
    "share": lambda kind, _k: f"Share of {kind}",
}
_TOTALS = ("total", "expected")
_MISSING = "missing"


@dataclass(frozen=True)
class _Types:
    """The content types that have a colour, most rows first, and how many share the grey."""

    shown: tuple[str, ...]
    others: int

    def stack(self, rows: Mapping[str, NDArray[np.float64]], width: int) -> NDArray[np.float64]:
        """Return the values of the shown types and the sum of the others `[types, width]`."""
        stacked = np.zeros((len(self.shown) + bool(self.others), width))
        places = {kind: number for number, kind in enumerate(self.shown)}
        for kind, values in rows.items():
            stacked[places.get(kind, len(self.shown))] += values
        return stacked

    def legend(self, *, line: bool) -> list[Block]:
        """Return the legend; none for a single type."""
        labels = list(self.shown)
        if self.others:
            labels.append(f"{self.others} other type{'s' if self.others > 1 else ''}")
        if len(labels) < 2:
            return []
        keys = [Key(type_key(i, line=line), label) for i, label in enumerate(labels)]
        return [Items("legend", keys)]


def write_blend_report(path: Place, content: BlendContent) -> Place:
    """Write the page about a blend as one HTML file and return its path.

    Sections without content are left out.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(path, render_blend_report(content))


def render_blend_report(content: BlendContent) -> str:
    """Return the HTML of the page about a blend; every value is escaped."""
    lists = f"{content.rows:,} rows in {content.users:,} lists by {content.user}"
    return render_page(
        kicker="Crosstower blend",
        title=content.title,
        lead=f"{content.date} · {lists} · the first {content.k} places",
        sections=_sections(content),
        cards=_cards(content),
    )


def _cards(content: BlendContent) -> list[Card]:
    return [
        Card.of(title, "orders", metric, content.orders)
        for metric, title in _titles(content)[0].items()
        if metric == "utility" or metric.startswith("ndcg.")
    ]


def _sections(content: BlendContent) -> Iterator[Section]:
    types = _types(content)
    findings = [Items("verdicts", content.sentences)] if content.sentences else []
    yield Section("findings", "Findings", findings)
    small = "each list in the order of each score"
    yield Section("orders", "Orders", list(_orders(content)), small)
    yield Section("types", "Content types", list(_shares(content, types)), content.by or "")
    small = "before and after the transform, by type"
    yield Section("distributions", "Scores", list(_distributions(content, types)), small)
    front = list(_front(content))
    yield Section("front", "What tasks cost one another", front, "Pareto front")
    yield Section("blend", "Blend", [Text("source", content.blend)])
    utility = [Text("source", content.utility)] if content.utility is not None else []
    yield Section("utility", "Utility", utility)
    notes = [Items("notes", content.notes)] if content.notes else []
    yield Section("notes", "Notes", notes)


def _orders(content: BlendContent) -> Iterator[Block]:
    if not content.orders:
        return
    titles, totals, _ = _titles(content)
    if titles:
        yield metrics_table("Metrics of each order", "Order", titles, content.orders)
    if totals:
        yield Text("heading", f"What the first {content.k} places hold")
        yield metrics_table("Totals of the first places", "Order", totals, content.orders)
    yield Text("note", _orders_note(content, totals))


def _orders_note(content: BlendContent, totals: Collection[str]) -> str:
    seeds = max((s.seeds for o in content.orders for s in o.metrics.values()), default=1)
    words = f"{seeds_note(seeds)} In small type, low to high: 95\N{NO-BREAK SPACE}% bootstrap"
    words += f" interval over lists{', first seed' if seeds > 1 else ''}. NDCG and totals are means"
    words += f" over the values of {content.user}. NDCG@{content.k} is the discounted gain of the"
    words += f" first {content.k} places over that of the best order; a total is the sum of the"
    words += " labels in them"
    if any(metric.startswith("expected.") for metric in totals):
        words += ", an expected total that of the true probabilities"
    return f"{words}."


def _shares(content: BlendContent, types: _Types) -> Iterator[Block]:
    titles = _titles(content)[2]
    if titles:
        yield Text("heading", f"Share of the first {content.k} places")
        label = "Share of each type in the first places"
        yield metrics_table(label, "Order", titles, content.orders)
    plots = [
        _share_plot(order, table, types, f"share{i}")
        for i, (order, table) in enumerate(content.shares.items())
        if table.height
    ]
    if plots:
        yield Text("heading", "Share of each place")
        yield from types.legend(line=False)
        yield Plots(plots, "narrow", "Share of each type by place in the list")
        yield Text("note", "First seed. Lists that end before a place do not count there.")


def _distributions(content: BlendContent, types: _Types) -> Iterator[Block]:
    if not content.distributions:
        return
    yield from types.legend(line=True)
    for i, distribution in enumerate(content.distributions):
        yield Text("heading", distribution.task)
        plots = _distribution_plots(distribution, types, f"task{i}")
        yield Plots(plots, "pair", distribution.task)
    yield Text("note", "First seed. Each line is a histogram of one type, as shares of its rows.")


def _titles(content: BlendContent) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the title of each metric that an order has: of lists, of first places, of types."""
    names = dict.fromkeys(name for order in content.orders for name in order.metrics)
    tables: tuple[dict[str, str], ...] = ({}, {}, {})
    for name in sorted(names, key=_place):
        group = name.partition(".")[0]
        number = 1 if group in _TOTALS else 2 if group == "share" else 0
        tables[number][name] = _title(name, content.k)
    return tables[0], tables[1], tables[2]


def _place(metric: str) -> int:
    group = metric.partition(".")[0]
    return list(_TITLES).index(group) if group in _TITLES else len(_TITLES)


def _title(metric: str, k: int) -> str:
    group, _, name = metric.partition(".")
    return _TITLES[group](name, k) if group in _TITLES else metric


def _types(content: BlendContent) -> _Types:
    rows = Counter[str]()
    for table in content.shares.values():
        for kind, count in _with_names(table).group_by("type").agg(pl.sum("rows")).iter_rows():
            rows[kind] += count
    for distribution in content.distributions:
        for kind in (*distribution.before, *distribution.after):
            rows[kind] += 0
    ordered = sorted(rows, key=lambda kind: (-rows[kind], kind))
    return _Types(tuple(ordered[:MOST_TYPES]), max(len(ordered) - MOST_TYPES, 0))


def _with_names(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col("type").cast(pl.String).fill_null(_MISSING))


def _share_plot(order: str, table: pl.DataFrame, types: _Types, name: str) -> Plot:
    ranks = table["rank"].unique().sort().to_numpy().astype(np.int64)
    kinds = _with_names(table).sort("rank").partition_by("type", as_dict=True)
    shares: dict[str, NDArray[np.float64]] = {}
    for (kind,), part in kinds.items():
        values = np.zeros(len(ranks))
        np.add.at(values, np.searchsorted(ranks, part["rank"].to_numpy()), part["share"].to_numpy())
        shares[str(kind)] = values
    svg = share_plot(ranks, types.stack(shares, len(ranks)), name=name)
    return Plot(order, "", svg)


def _distribution_plots(distribution: Distribution, types: _Types, name: str) -> tuple[Plot, ...]:
    sides = (
        ("Before", "What the model predicts.", "prediction"),
        ("After", "What the blend adds to the score.", "added to the score"),
    )
    counts = (distribution.before, distribution.after)
    edges = (distribution.before_edges, distribution.after_edges)
    plots: list[Plot] = []
    for (title, words, label), rows, bounds in zip(sides, counts, edges, strict=True):
        stacked = types.stack(rows, len(bounds) - 1)
        svg = histogram_plot(stacked, bounds, name=f"{name}-{label[:5]}", label=label)
        plots.append(Plot(title, words, svg))
    return tuple(plots)


def _front(content: BlendContent) -> Iterator[Block]:
    table = content.front
    if table is None:
        return
    tasks = [c for c in table.columns if c.startswith("ndcg.") and table[c].is_finite().any()]
    pairs = list(itertools.combinations(tasks, 2))
    if not pairs:
        return
    line = (
        " The line joins the blends that no other beats in the two tasks." if len(pairs) > 1 else ""
    )
    yield Text("note", _front_words(table) + line)
    yield Items("legend", _front_keys(table))
    drawn = [
        _front_plot(table, pair, content.k, f"front{i}")
        for i, pair in enumerate(pairs[:MOST_PAIRS])
    ]
    yield Plots(drawn, "pair", "What blends reach")
    if len(pairs) > MOST_PAIRS:
        words = f"{len(pairs) - MOST_PAIRS} more pairs of tasks are not drawn."
        yield Text("note", words)


def _front_plot(table: pl.DataFrame, pair: Sequence[str], k: int, name: str) -> Plot:
    known = table.filter(pl.all_horizontal(pl.col(*pair).is_finite()))
    flags = {f: known[f].to_numpy().astype(np.bool_) for f in ("front", "chosen", "feasible")}
    svg = front_plot(known.select(pair).to_numpy(), **flags, name=name)
    across, up = (_title(metric, k) for metric in pair)
    first, second = (metric.partition(".")[2] for metric in pair)
    return Plot(f"{first} and {second}", "", svg, across, up)


def _front_keys(table: pl.DataFrame) -> list[Key]:
    labels: dict[PointKind, str] = {"tried": "a blend", "front": "on the front"}
    if not table["feasible"].all():
        labels["infeasible"] = "breaks a constraint"
    if table["chosen"].any():
        labels["chosen"] = "the chosen blend"
    return [Key(point_key(kind), label) for kind, label in labels.items()]


def _front_words(table: pl.DataFrame) -> str:
    """Return how many blends there are, and how many of them keep to the constraints."""
    words = f"{table.height:,} blends; {int(table['front'].sum()):,} are on the front: no other is"
    words += " better in one task and as good in all."
    if not table["feasible"].all():
        words += f" {int(table['feasible'].sum()):,} keep to all constraints."
    chosen = table.filter("chosen")
    if chosen.height and "utility" in table.columns:
        words += f" The chosen one has utility {chosen['utility'][0]:.4f} here."
    return words
