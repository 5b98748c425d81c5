"""`crosstower validate`: check rows before they are trained on or scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower.cli.options import DATA, Json, Overrides
from crosstower.errors import DataError, RecipeError, RunError
from crosstower.values.addresses.address import place_of

if TYPE_CHECKING:
    from crosstower.data.progress import OnProgress
    from crosstower.fitting.validation.finding import Validation

validate_app = typer.Typer()


@validate_app.command(
    rich_help_panel=DATA,
    epilog="Examples: crosstower validate recipe.yaml   |   crosstower validate recipe.yaml"
    " july.parquet --page rows.html   |   crosstower validate runs/clicks july.parquet --strict",
)
def validate(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Recipe, or a run to compare rows with.")
    ],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Rows (default: those of the recipe).")
    ] = None,
    override: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as problems.")] = False,
    page: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the findings as a web page.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check rows: bad cells, joins, labels, leaks, copies and unseen values, without training.

    With a run, DATA is compared with the rows it was trained on: unseen values and drift. The exit
    code is 3 if there is a problem.
    """
    from crosstower.data.progress import progress_console, progress_on
    from crosstower.fitting.validation.page import summary_words, write_validation_page

    place = None if page is None else place_of(page, error=RunError)
    with progress_console(quiet=as_json).status("reading") as status:
        found = _found(recipe, data, override or [], progress_on(status))
    if place is not None:
        write_validation_page(place, found)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        _show(found)
        if page is not None:
            typer.echo(f"page: {page}")
    if found.problems or (strict and found.of("warning")):
        raise DataError(f"{found.source}: {summary_words(found)}")


def _found(
    recipe: str, data: str | None, overrides: list[str], on_progress: OnProgress
) -> Validation:
    from crosstower.fitting.validation.validate import compare_rows, validate_rows
    from crosstower.training.run import MARKER, Run

    place = place_of(recipe, error=RecipeError)
    at_address = not isinstance(place, Path)
    is_run = place.suffix != ".yaml" if at_address else (place / MARKER).is_file()
    if not is_run:
        return validate_rows(recipe, data, overrides=overrides, on_progress=on_progress)
    if data is None or overrides:
        wrong = "DATA: missing; name the rows to compare with those of the run"
        raise RecipeError(wrong if data is None else "-o: only with a recipe")
    return compare_rows(Run.open(recipe), data, on_progress=on_progress)


def _show(found: Validation) -> None:
    from crosstower.cli.tables import console, indented, print_table
    from crosstower.fitting.validation.page import period_cells, summary_words

    out = console()
    rows = ", ".join(f"{split} {count:,}" for split, count in found.rows.items())
    against = f", compared with {found.compared:,} training rows" if found.compared else ""
    out.print(f"{found.source}: {rows} rows{against}", highlight=False, soft_wrap=True)
    for one in found.findings:
        out.print(indented(f"{one.severity}: {one.sentence}"), highlight=False)
        for row in one.rows:
            out.print(indented(f"  {row}"), highlight=False)
    if found.periods:
        tasks = list(found.periods[0].means)
        print_table("Mean labels by period", ["from", "rows", *tasks], period_cells(found))
    out.print(summary_words(found), highlight=False)
