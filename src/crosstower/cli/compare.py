"""`crosstower compare`: finished runs on the same test rows, with paired tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import TRAIN, Json

if TYPE_CHECKING:
    from crosstower.fitting.comparing.result import Comparison

compare_app = typer.Typer()


@compare_app.command(
    rich_help_panel=TRAIN,
    epilog="Examples: crosstower compare runs/dcn runs/mlp   |   crosstower compare runs/*"
    " --page comparison.html   |   crosstower compare runs/a runs/b --json",
)
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Two or more runs written by fit; the first is the reference."
        ),
    ],
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="HTML page to write, with learning curves."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare runs on the same test rows: metrics, and paired tests against the first run."""
    from crosstower.fitting.comparing.compare import compare as compare_runs

    result = compare_runs(runs, page=page)
    if as_json:
        typer.echo(json.dumps(result.plain(), indent=1, allow_nan=False))
        return
    _print(result)
    if page is not None:
        typer.echo(f"page: {page}")


def _print(result: Comparison) -> None:
    from crosstower.cli.tables import cell, console, indented, print_table
    from crosstower.fitting.comparing.page import sentences_of, tests_table

    for task in result.tasks:
        titles = task.shown()
        rows = [
            [run, *(cell(task.metrics[run].get(name)) for name in titles)] for run in result.runs
        ]
        print_table(f"{task.name}: {task.rows:,} {task.unit}", ["", *titles.values()], rows)
        tests = tests_table(task)
        short = [[part.partition(" over ")[0] for part in row] for row in tests.rows]
        print_table(f"{task.name}: differences to {result.runs[0]}", tests.columns, short)
    out = console()
    for sentence in [*sentences_of(result), *result.notes]:
        out.print(indented(sentence), highlight=False)
