"""`crosstower prepare`: encode the rows of a recipe once, for any number of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosstower.cli.options import TRAIN, Overrides

prepare_app = typer.Typer()


@prepare_app.command(
    rich_help_panel=TRAIN,
    epilog="Example: crosstower prepare recipe.yaml --out rows.prepared, then crosstower fit"
    " recipe.yaml --prepared rows.prepared -o training.learning_rate=0.003",
)
def prepare(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe.")],
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="New folder or address of the encoded rows.")
    ],
    override: Overrides = None,
) -> None:
    """Encode the rows of a recipe once, for any number of training runs."""
    from crosstower.fitting.prepared import prepare as write

    stored = write(recipe, out, overrides=override or [])
    rows = ", ".join(f"{split} {count:,}" for split, count in stored.facts.rows.items())
    typer.echo(f"{out}: {rows} rows")
    typer.echo(f"train with: crosstower fit {recipe} --prepared {out}")
