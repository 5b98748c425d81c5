"""Retrieval on the terminal: options, lists of items, facts about an index."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import polars as pl
import typer

from crosstower.cli.tables import console, print_data, print_run, print_table, print_training
from crosstower.errors import QueryError, did_you_mean
from crosstower.evaluation.reports.content import RetrievalReport
from crosstower.evaluation.reports.report import TITLES
from crosstower.recipe.columns import Text
from crosstower.retrieval.build_index import IndexFacts, Kind
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.index.vectors import Storage
from crosstower.retrieval.results import stored_report
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

_SHOWN = 4
_WIDEST = 24
_WIDEST_SLICE = 48
NOTHING = "no item fulfils this"
_METRICS = ("recall", "ndcg", "mrr", "coverage", "novelty")


def checked_index_options(kind: str, storage: str) -> dict[str, Any]:
    """Return both options.

    Raises:
        QueryError: one is not known.

    """
    for name, value, allowed in (
        ("kind", kind, list(get_args(Kind))),
        ("storage", storage, list(get_args(Storage))),
    ):
        if value not in allowed:
            raise QueryError(
                f"--{name}: expected one of {', '.join(allowed)}, got '{value}'"
                f"{did_you_mean(value, allowed)}"
            )
    return {"kind": kind, "storage": storage}


def parsed_query(text: str | None) -> dict[str, Any] | None:
    """Return a query given as JSON.

    Raises:
        QueryError: it is not a JSON object.

    """
    if text is None:
        return None
    try:
        query = json.loads(text)
    except ValueError as error:
        raise QueryError(f"--query: not JSON: {error}") from error
    if not isinstance(query, dict):
        raise QueryError('--query: expected an object such as {"device": "tv"}')
    return query


def print_hits(found: pl.DataFrame, as_json: bool, *, nothing: str = NOTHING) -> None:
    """Print a list of items, the first attributes beside each; all of them as JSON.

    Args:
        found: rank, item_id, score and attributes.
        as_json: print JSON.
        nothing: what an empty list means.

    """
    if as_json:
        typer.echo(json.dumps(found.to_dicts(), indent=1, default=str))
        return
    names = found.columns[: 3 + _SHOWN]
    rows = [[cell_of(value) for value in row] for row in found.select(names).iter_rows()]
    titles = ["", "Item", "Score", *names[3:]]
    print_table(None, titles, rows) if rows else typer.echo(nothing)


def nothing_left(retriever: Retriever, user: str | None, where: str | None) -> str:
    """Return what an empty list of recommendations means."""
    excludes = retrieval_section_of(retriever.run.recipe).exclude_seen
    if user is None or not excludes or retriever.known(user).is_empty():
        return NOTHING
    why = "is left" if where is None else "fulfils this"
    return f"no item that user '{user}' has not had already {why}"


def print_index(facts: IndexFacts) -> None:
    """Print what an index is, how good and how fast."""
    out = console()
    words = f"{facts.kind} index of {facts.items:,} items x {facts.width}, {facts.storage}"
    out.print(f"{words}: built in {facts.build_seconds:.1f} s, {facts.megabytes:,.1f} MB")
    out.print(
        f"recall@10 against exact {facts.recall:.4f}, {facts.queries_per_second:,.0f} queries/s"
    )
    out.print(f"{facts.folder}", soft_wrap=True)


def print_any_run(run: Run) -> None:
    """Print a finished run of either kind."""
    if run.recipe.retrieval is None:
        print_run(run)
    else:
        print_retrieval_run(run)


def print_retrieval_run(run: Run) -> None:
    """Print what a finished retrieval run reached, how fast, and what to ask it."""
    print_data(run)
    print_retrieval(stored_report(run))
    print_training(run)
    console().print(f"ask it: crosstower {question(run)}", highlight=False, soft_wrap=True)


def question(run: Run) -> str:
    """Return the arguments of a command that the run can answer."""
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
    """Print the lists' metrics at the headline's k, what they mean, and the slices."""
    k = report.headline
    names = [f"{m}@{k}" for m in _METRICS]
    rows = [
        [f"{m.name} *" if m.role == "model" else m.name]
        + [str(m.metrics[name]).replace(" ± ", "±") for name in names]
        for m in report.models
    ]
    title = f"{report.questions:,} test questions, {report.items:,} items ranked (* the model)"
    print_table(title, ["", *(f"{TITLES[m]}@{k}" for m in _METRICS)], rows)
    if report.answers is not None:
        console().print(f"  {report.answers.words()}", highlight=False)
    for sentence in report.verdicts:
        console().print(f"  {sentence}", highlight=False)
    table = report.slices.table
    rows = [[cell_of(value, _WIDEST_SLICE) for value in row] for row in table.iter_rows()]
    print_table(f"Recall@{k} by slice", ["", "Answers", *table.columns[2:]], rows)


def cell_of(value: Any, widest: int = _WIDEST) -> str:
    """Return a value as the cell of a table, cut where it is too wide."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= widest else f"{text[: widest - 1]}…"
