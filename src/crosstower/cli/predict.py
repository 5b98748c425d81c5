"""`crosstower predict`: score a file of raw rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from crosstower.cli.options import RANK, Events, Force, Model, RunArgument, Seed
from crosstower.values.addresses.address import place_of

predict_app = typer.Typer()


@predict_app.command(
    rich_help_panel=RANK,
    epilog="Example: crosstower predict runs/adult new_rows.parquet -o scores.parquet",
)
def predict(
    run: RunArgument,
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="Raw rows: file, folder or glob; no labels needed."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet file to write.")
    ] = Path("predictions.parquet"),
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Input column to keep; repeatable (default: all of them)."
        ),
    ] = None,
    events: Events = None,
    model: Model = None,
    seed: Seed = None,
    no_blend: Annotated[bool, typer.Option("--no-blend", help="Omit the blend score.")] = False,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="bfloat16 is faster on CPUs that support it; scores change by ~0.001."),
    ] = "float32",
    force: Force = False,
) -> None:
    """Score raw rows and write the predictions to Parquet."""
    from crosstower.ranking.predict import predict_file
    from crosstower.training.run import Run

    opened = Run.open(run)
    rows = predict_file(
        opened if events is None else opened.with_events(events),
        data,
        output,
        columns=column,
        model=model,
        seed=seed,
        blend=not no_blend,
        precision=precision,
        force=force,
    )
    typer.echo(f"{place_of(output)}: {rows:,} rows")
