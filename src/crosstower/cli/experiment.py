"""`crosstower experiment`: analyse A/B tests and interleaved lists."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import Json, checked_state, time_of
from crosstower.errors import QueryError

if TYPE_CHECKING:
    from crosstower.evaluation.experiments.report import ExperimentReport
    from crosstower.evaluation.experiments.specification import Experiment

experiment_app = typer.Typer(help="Analyse A/B tests and interleaved lists.", no_args_is_help=True)


@experiment_app.command(
    "report",
    epilog="Examples: crosstower experiment report experiments.yaml --state bundle.state   |  "
    " crosstower experiment report experiments.yaml --events events.parquet --html report.html",
)
def experiment_report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of experiments (YAML).")],
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            callback=checked_state,
            help="State of the server: a folder, or postgresql://USER@HOST/DATABASE.",
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Parquet file written by crosstower events."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Experiment of the file (default: the only one)."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Events before this date or time; UTC without a zone."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the report as an HTML page.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report lifts with always-valid intervals, the sample ratio, segments and verdicts."""
    from crosstower.evaluation.experiments.experiment_file import load_experiments

    experiment = load_experiments(file).named(name)
    report = _report(state, events, experiment, until=time_of("--until", until))
    if html is not None:
        from crosstower.evaluation.experiments.page import write_experiment_page

        write_experiment_page(html, report)
    if as_json:
        typer.echo(json.dumps(report.plain(), indent=1, allow_nan=False))
    else:
        print_experiment(report)


def print_experiment(report: ExperimentReport) -> None:
    """Print the verdicts, the tables and the notes."""
    from crosstower.cli.tables import console, print_table
    from crosstower.evaluation.experiments.report_tables import tables_of

    out = console()
    for words in report.verdicts:
        out.print(words, highlight=False)
    for table in tables_of(report):
        print_table(table.title, table.names, table.rows)
    for words in report.notes:
        out.print(f"Note: {words}", highlight=False)


def _report(
    state: str | None, events: Path | None, experiment: Experiment, *, until: datetime | None
) -> ExperimentReport:
    """Return the report from the events of a state or a file."""
    if (state is None) == (events is None):
        raise QueryError("events: give either --state STATE or --events FILE")
    if events is None:
        from crosstower.serving.experiment_report import state_report

        return state_report(state or "", experiment, until=until)
    import polars as pl

    from crosstower.data.sources.source import open_source
    from crosstower.evaluation.experiments.analysis import experiment_report as report_of

    source = open_source(events)
    frame = pl.concat([chunk.frame for chunk in source.chunks(source.columns())])
    return report_of(frame, experiment, until=until)
