"""The page about a tuning run: the best values, history, importance and parallel coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.page import (
    NOT_DEFINED,
    Block,
    Card,
    Items,
    Plot,
    Plots,
    Section,
    Table,
    Text,
    number,
    percent,
    render_page,
    write_page,
)
from crosstower.fitting.tuning.folder import Search
from crosstower.fitting.tuning.plots import axis_of, history_plot, parallel_plot, value_axis
from crosstower.fitting.tuning.result import TuneResult
from crosstower.training.history import training_figures

_MOST_TRIALS = 30


def write_tune_page(result: TuneResult, search: Search) -> None:
    """Write the page of a tuning run as one HTML file.

    Args:
        result: of the tuning.
        search: settings of the search.

    Raises:
        RunError: the file cannot be written.

    """
    write_page(result.page, render_tune_page(result, search))


def render_tune_page(result: TuneResult, search: Search) -> str:
    """Return the HTML of the page about a tuning run; every value is escaped."""
    counts = dict(result.trials["state"].value_counts().iter_rows())
    states = " · ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return render_page(
        kicker="Crosstower tuning",
        title=result.recipe.name.removesuffix("-tuned"),
        lead=f"{search.created} · {result.trials.height} trials · {states}",
        sections=_sections(result, search),
        cards=[_card(result)],
    )


def sentences_of(result: TuneResult) -> list[str]:
    """Return the findings of a search, in sentences."""
    best = f"Best {result.monitor} on validation rows: {result.value:.4f}, in trial {result.best}."
    own = own_value(result)
    if own is not None and result.best != 0:
        best += f" The recipe's own values reach {own:.4f}."
    if own is not None and result.best == 0:
        best += " No trial is better than the recipe's own values."
    again = winner_value(result)
    if again is None:
        return [best]
    seeds = f"{again.seeds} seed{'s' if again.seeds > 1 else ''}"
    words = f"Trained again with {seeds}, the best values reach {again} on validation rows."
    luck = "The best of many trials is partly luck: judge it by"
    rows = "the test rows, which no trial has seen" if result.run.tested else "rows of a test set"
    return [best, f"{words} {luck} {rows}."]


def own_value(result: TuneResult) -> float | None:
    """Return the value of the trial with the recipe's own values; None if it did not complete."""
    own = result.trials.filter(pl.col("start") == "recipe", pl.col("state") == "complete")
    return own["value"][0] if own.height else None


def winner_value(result: TuneResult) -> Summary | None:
    """Return the monitored metric of the winner's training runs, on validation rows."""
    main = next(iter(result.run.info.models))
    figures = training_figures(result.run)[main].values()
    values = [f["best_value"] for f in figures if f["best_value"] is not None]
    return Summary.of(values) if values else None


def _card(result: TuneResult) -> Card:
    own = own_value(result)
    below = [] if own is None else [("the recipe's own values", number(own))]
    title = f"{result.monitor}, validation rows"
    return Card(title, "values", number(result.value), f"trial {result.best}", below)


def _sections(result: TuneResult, search: Search) -> Iterator[Section]:
    yield Section("findings", "Findings", [Items("verdicts", sentences_of(result))])
    yield Section("values", "Best values", [_values(result, search)], _importance_note(result))
    drawn = history_plot(result.trials, higher=search.higher, name="history")
    history = Plot("Value by trial", "", drawn, "", search.monitor)
    yield Section("history", "History", [Plots([history], "wide")])
    yield Section("parallel", "Parallel coordinates", _parallel(result, search))
    yield Section("trials", "Trials", [_trials(result, search)], _trials_note(result))
    failed = result.trials.filter(pl.col("state") == "failed")
    words = [f"Trial {n}: {error}" for n, error in failed.select("trial", "error").iter_rows()]
    yield Section("failed", "Failed trials", [Items("notes", words)] if words else [])
    source = Text("source", result.tuned.read_text(encoding="utf-8"))
    test = Text("text", f"Report of the winner: {result.run.report.relative_to(result.folder)}")
    yield Section("recipe", "Tuned recipe", [test, source])


def _values(result: TuneResult, search: Search) -> Table:
    best = result.trials.row(_place(result), named=True)
    own = result.trials.filter(pl.col("start") == "recipe")
    first = own.row(0, named=True) if own.height else {}
    rows = [
        [
            key,
            cell(first.get(key)),
            cell(best[key]),
            percent(result.importance.get(key, float("nan"))),
        ]
        for key in _ordered(result, search)
    ]
    columns = ["Option", "First trial", f"Trial {result.best}", "Importance"]
    return Table("Best values", columns, rows)


def _importance_note(result: TuneResult) -> str:
    if not result.importance:
        return "no importance: it needs four complete trials of different values"
    return "importance is an option's share in the variance of the value over the space (fANOVA)"


def _ordered(result: TuneResult, search: Search) -> list[str]:
    """Return the options, the most important first."""
    return sorted(search.space, key=lambda key: -result.importance.get(key, 0.0))


def _place(result: TuneResult) -> int:
    return result.trials["trial"].to_list().index(result.best)


def _parallel(result: TuneResult, search: Search) -> list[Block]:
    complete = result.trials.filter(pl.col("state") == "complete")
    if complete.height < 2:
        return []
    values: list[float] = complete["value"].to_list()
    axes = [
        axis_of(key, search.space[key], complete[key].to_list()) for key in _ordered(result, search)
    ]
    border = complete["value"].quantile(0.75 if search.higher else 0.25) or 0.0
    good = [value >= border if search.higher else value <= border for value in values]
    best = complete["trial"].to_list().index(result.best)
    drawn = parallel_plot(
        [*axes, value_axis(search.monitor, values)], best=best, good=good, name="parallel"
    )
    words = "One line per complete trial, the best quarter in colour, the best one thick."
    return [Plots([Plot("Options and value", words, drawn)], "wide")]


def _trials(result: TuneResult, search: Search) -> Table:
    ordered = result.trials.sort(
        pl.col("state") != "complete", "value", descending=[False, search.higher], nulls_last=True
    )
    keys = _ordered(result, search)
    rows = [
        [str(row["trial"]), row["state"], cell(row["value"]), cell(row["epochs"])]
        + [cell(row[key]) for key in keys]
        for row in ordered.head(_MOST_TRIALS).iter_rows(named=True)
    ]
    names = [key.removeprefix("training.").removeprefix("model.") for key in keys]
    roles = ["model" if row[0] == str(result.best) else "baseline" for row in rows]
    return Table("Trials", ["Trial", "State", "Value", "Epochs", *names], rows, roles)


def _trials_note(result: TuneResult) -> str:
    left = result.trials.height - _MOST_TRIALS
    return f"the best {_MOST_TRIALS}; {left} more are in trials.json" if left > 0 else ""


def cell(value: Any) -> str:
    """Return a value of a trial as the cell of a table."""
    if value is None:
        return NOT_DEFINED
    return f"{value:.4g}" if isinstance(value, float) else str(value)
