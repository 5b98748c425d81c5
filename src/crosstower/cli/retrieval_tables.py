"""Tables of retrieval on the terminal: items, metrics, and the properties of an index."""

from __future__ import annotations

import json
import math
from typing import Any

import polars as pl
import typer

from crosstower.cli.tables import console, print_data, print_table, print_training
from crosstower.evaluation.metrics.registry import names_of, title_of
from crosstower.evaluation.reports.content import RetrievalReport
from crosstower.recipe.schema import Text
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.indexing import IndexFacts
from crosstower.retrieval.results import stored_report
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

_SHOWN = 4
_WIDEST = 24
_WIDEST_SLICE = 48
NOTHING = "no item matches"


def print_hits(found: pl.DataFrame, as_json: bool, *, nothing: str = NOTHING) -> None:
    """Print a list of items with their first attributes, or with all of them as JSON.

    Args:
        found: rank, item_id, score and attributes.
        as_json: print JSON.
        nothing: sentence to print for an empty list.

    """
    if as_json:
        typer.echo(json.dumps(found.to_dicts(), indent=1, default=str))
        return
    names = found.columns[: 3 + _SHOWN]
    rows = [[cell_of(value) for value in row] for row in found.select(names).iter_rows()]
    titles = ["", "Item", "Score", *names[3:]]
    print_table(None, titles, rows) if rows else typer.echo(nothing)


def nothing_left(retriever: Retriever, user: str | None, where: str | None) -> str:
    """Return the sentence that explains an empty list of recommendations."""
    excludes = retrieval_section_of(retriever.run.recipe).exclude_seen
    if user is None or not excludes or retriever.queries.known(user) is None:
        return NOTHING
    what = "no item" if where is None else "no matching item"
    return f"{what} outside the history of user '{user}'"


def print_index(facts: IndexFacts) -> None:
    """Print the size, the recall and the speed of an index."""
    out = console()
    words = f"{facts.kind} index of {facts.items:,} items × {facts.width} dimensions"
    words += "".join(f", {name} {value}" for name, value in facts.options.items())
    out.print(f"{words}: built in {facts.build_seconds:.1f} s, {facts.megabytes:,.1f} MB")
    out.print(
        f"recall@10 {facts.recall:.4f} (exact index: 1), {facts.queries_per_second:,.0f} queries/s"
    )
    out.print(f"{facts.folder}", soft_wrap=True)


def print_retrieval_run(run: Run) -> None:
    """Print the results of a retrieval run and a command to query it."""
    print_data(run)
    if run.tested:
        print_retrieval(stored_report(run))
    print_training(run)
    console().print(f"query it: crosstower {example_query(run)}", highlight=False, soft_wrap=True)


def example_query(run: Run) -> str:
    """Return the arguments of a command that queries the run."""
    if retrieval_section_of(run.recipe).user:
        return f"recommend {run.folder} --user ID"
    columns = {
        name: run.recipe.schema_.columns[name] for name in tower_columns_of(run.recipe).query
    }
    if sum(isinstance(column, Text) for column in columns.values()) == 1:
        return f'search {run.folder} "TEXT"'
    named = {getattr(column, "source", None) or name for name, column in columns.items()}
    values = ", ".join(f'"{name}": "VALUE"' for name in sorted(named))
    return f"recommend {run.folder} --query '{{{values}}}'"


def print_retrieval(report: RetrievalReport) -> None:
    """Print the metrics at the headline's k, the verdicts and the slices."""
    k = report.headline
    metrics = names_of("list", "catalogue", shown="table")
    names = [f"{m}@{k}" for m in metrics]
    rows = [
        [f"{m.name} *" if m.role == "model" else m.name]
        + [str(m.metrics[name]).replace(" ± ", "±") for name in names]
        for m in report.models
    ]
    title = f"{report.queries:,} test queries, {report.items:,} items ranked (* the model)"
    print_table(title, ["", *(title_of(name) for name in names)], rows)
    if report.relevant_counts is not None:
        console().print(f"  {report.relevant_counts.words()}", highlight=False)
    for sentence in report.verdicts:
        console().print(f"  {sentence}", highlight=False)
    table = report.slices.table
    rows = [[cell_of(value, _WIDEST_SLICE) for value in row] for row in table.iter_rows()]
    print_table(f"Recall@{k} by slice", ["", "Relevant items", *table.columns[2:]], rows)


def cell_of(value: Any, widest: int = _WIDEST) -> str:
    """Return a value as the cell of a table, truncated to `widest` characters; sources are not."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    text = ", ".join(map(_part_of, value)) if isinstance(value, list) else str(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return text
    return text if len(text) <= widest else f"{text[: widest - 1]}…"


def _part_of(value: Any) -> str:
    """Return an element of a list; of a source that found an item, its name and the rank."""
    if isinstance(value, dict) and "source" in value:
        return f"{value['source']} {value['rank']}"
    return str(value)
