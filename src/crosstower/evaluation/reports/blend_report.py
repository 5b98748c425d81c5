"""One self-contained HTML page about a blend: works offline, on a phone and on paper."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from crosstower.evaluation.reports.report import render_page, write_page

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
class _Key:
    """An entry of a legend; `svg` is ours, `label` may hold a name of the user."""

    svg: str
    label: str


@dataclass(frozen=True)
class _Figure:
    """A plot with its words; `across` and `up` name the axes where names are the user's."""

    title: str
    description: str
    svg: str
    across: str = ""
    up: str = ""


@dataclass(frozen=True)
class _Front:
    """What blends reach in each pair of tasks; `left_out` counts the pairs that are not drawn."""

    words: str
    keys: tuple[_Key, ...]
    figures: tuple[_Figure, ...]
    left_out: int


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

    def keys(self, *, line: bool) -> tuple[_Key, ...]:
        """Return the legend; empty where there is one type only."""
        labels = list(self.shown)
        if self.others:
            labels.append(f"{self.others} other type{'s' if self.others > 1 else ''}")
        if len(labels) < 2:
            return ()
        return tuple(_Key(type_key(i, line=line), label) for i, label in enumerate(labels))


def write_blend_report(path: Path, content: BlendContent) -> Path:
    """Write the page of a blend as one HTML file and return its path.

    The file refers to nothing outside itself. Folders on the way are made.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(path, render_blend_report(content))


def render_blend_report(content: BlendContent) -> str:
    """Return the HTML of the page of a blend; every value given is escaped.

    Sections for which the content has nothing are left out.
    """
    columns, totals, shares = _tables(content)
    types = _types(content)
    return render_page(
        "blend.html.j2",
        content=content,
        cards={m: t for m, t in columns.items() if m == "utility" or m.startswith("ndcg.")},
        columns=columns,
        totals=totals,
        share_columns=shares,
        expected=any(m.startswith("expected.") for m in totals),
        seeds=max((s.seeds for o in content.orders for s in o.metrics.values()), default=1),
        area_keys=types.keys(line=False),
        line_keys=types.keys(line=True),
        shares=tuple(
            _share_figure(order, table, types, f"share{i}")
            for i, (order, table) in enumerate(content.shares.items())
            if table.height
        ),
        distributions={
            d.task: _distribution_figures(d, types, f"task{i}")
            for i, d in enumerate(content.distributions)
        },
        front=_front(content),
    )


def _tables(content: BlendContent) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
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


def _share_figure(order: str, table: pl.DataFrame, types: _Types, name: str) -> _Figure:
    ranks = table["rank"].unique().sort().to_numpy().astype(np.int64)
    kinds = _with_names(table).sort("rank").partition_by("type", as_dict=True)
    shares: dict[str, NDArray[np.float64]] = {}
    for (kind,), part in kinds.items():
        values = np.zeros(len(ranks))
        np.add.at(values, np.searchsorted(ranks, part["rank"].to_numpy()), part["share"].to_numpy())
        shares[str(kind)] = values
    svg = share_plot(ranks, types.stack(shares, len(ranks)), name=name)
    return _Figure(order, "", svg)


def _distribution_figures(
    distribution: Distribution, types: _Types, name: str
) -> tuple[_Figure, ...]:
    sides = (
        ("Before", "What the model predicts.", "prediction"),
        ("After", "What the blend adds to the score.", "added to the score"),
    )
    counts = (distribution.before, distribution.after)
    edges = (distribution.before_edges, distribution.after_edges)
    figures: list[_Figure] = []
    for (title, words, label), rows, bounds in zip(sides, counts, edges, strict=True):
        stacked = types.stack(rows, len(bounds) - 1)
        svg = histogram_plot(stacked, bounds, name=f"{name}-{label[:5]}", label=label)
        figures.append(_Figure(title, words, svg))
    return tuple(figures)


def _front(content: BlendContent) -> _Front | None:
    table = content.front
    if table is None:
        return None
    tasks = [c for c in table.columns if c.startswith("ndcg.") and table[c].is_finite().any()]
    pairs = list(itertools.combinations(tasks, 2))
    if not pairs:
        return None
    drawn = [
        _front_figure(table, pair, content.k, f"front{i}")
        for i, pair in enumerate(pairs[:MOST_PAIRS])
    ]
    left_out = max(len(pairs) - MOST_PAIRS, 0)
    return _Front(_front_words(table), tuple(_front_keys(table)), tuple(drawn), left_out)


def _front_figure(table: pl.DataFrame, pair: Sequence[str], k: int, name: str) -> _Figure:
    known = table.filter(pl.all_horizontal(pl.col(*pair).is_finite()))
    flags = {f: known[f].to_numpy().astype(np.bool_) for f in ("front", "chosen", "feasible")}
    svg = front_plot(known.select(pair).to_numpy(), **flags, name=name)
    across, up = (_title(metric, k) for metric in pair)
    first, second = (metric.partition(".")[2] for metric in pair)
    return _Figure(f"{first} and {second}", "", svg, across, up)


def _front_keys(table: pl.DataFrame) -> list[_Key]:
    labels: dict[PointKind, str] = {"tried": "a blend", "front": "on the front"}
    if not table["feasible"].all():
        labels["infeasible"] = "breaks a constraint"
    if table["chosen"].any():
        labels["chosen"] = "the chosen blend"
    return [_Key(point_key(kind), label) for kind, label in labels.items()]


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
