"""`crosstower evaluate`: metrics and report of a run, on its test rows or on other rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import TRAIN, Events, Json, RunArgument
from crosstower.errors import QueryError, RunError
from crosstower.values.addresses.address import Place, place_of

if TYPE_CHECKING:
    from crosstower.training.run import Run

evaluate_app = typer.Typer()


@evaluate_app.command(
    rich_help_panel=TRAIN, epilog="Example: crosstower evaluate runs/adult --data new_rows.parquet"
)
def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Other labelled rows (default: the run's test rows)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Report to write (default: in the run folder)."),
    ] = None,
    events: Events = None,
    as_json: Json = False,
) -> None:
    """Print metrics and slices of a run and write its report."""
    from crosstower.cli.tables import print_reports
    from crosstower.ranking import results
    from crosstower.training.history import untested
    from crosstower.training.run import Run

    opened, out_place = Run.open(run), None if out is None else place_of(out, error=RunError)
    if events is not None:
        if data is None:
            raise QueryError(f"--events {events}: needs --data, as test predictions are stored")
        opened = opened.with_events(events)
    if opened.recipe.retrieval is not None:
        _evaluate_retrieval(opened, data, out_place, as_json)
        return
    if data is None:
        if not opened.tested:
            raise untested(opened)
        reports, page = results.write_results(opened), opened.report
        if out_place is not None:
            page = results.write_report_of(opened, reports, out_place)
    else:
        reports, page = results.evaluate_on(opened, data, out_place)
    if as_json:
        typer.echo(json.dumps(results.metrics_of(reports), indent=1))
    else:
        print_reports(reports)
        typer.echo(f"report: {_shown(page)}")


def _evaluate_retrieval(run: Run, data: str | None, out: Place | None, as_json: bool) -> None:
    from crosstower.cli.retrieval_tables import print_retrieval
    from crosstower.retrieval import results
    from crosstower.retrieval.evaluate import evaluate_retrieval_on
    from crosstower.training.history import untested

    if data is None:
        report, page = results.write_retrieval_results(run), run.report
        if report is None:
            raise untested(run)
        if out is not None:
            page = results.write_retrieval_report(run, report, out)
    else:
        report, page = evaluate_retrieval_on(run, data, out)
    if as_json:
        typer.echo(json.dumps(results.metrics_of(report), indent=1))
    else:
        print_retrieval(report)
        typer.echo(f"report: {_shown(page)}")


def _shown(page: Place) -> Place:
    from crosstower.storage.folders import origin_of

    return origin_of(page) if isinstance(page, Path) else page
