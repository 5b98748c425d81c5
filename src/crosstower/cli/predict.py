"""`crosstower predict`: score a file of raw rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from crosstower.cli.options import RANK, Events, Json, Model, RunArgument, Seed
from crosstower.errors import QueryError
from crosstower.values.addresses.address import place_of

predict_app = typer.Typer()


@predict_app.command(
    rich_help_panel=RANK,
    epilog="Examples: crosstower predict runs/adult new_rows.parquet -o scores.parquet   |  "
    " crosstower predict runs/adult rows/ -o scores --partition-size 1000000 --processes 4",
)
def predict(
    run: RunArgument,
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="Raw rows: file, folder or glob; no labels needed."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Parquet file to write; a folder with --partition-size"
            " (default: predictions.parquet, or predictions).",
        ),
    ] = None,
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
    partition_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="ROWS",
            help="Write a folder: a part per file, or per ROWS rows of a Parquet file; resumable.",
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of workers; needs --partition-size.")
    ] = 1,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="Processes of this machine, or workers of a Ray cluster; needs --partition-size."
        ),
    ] = "local",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output file, or parts of another job.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score raw rows and write the predictions to Parquet."""
    if partition_size is not None:
        _in_parts(
            run,
            data,
            output or Path("predictions"),
            columns=column,
            events=events,
            model=model,
            seed=seed,
            blend=not no_blend,
            precision=precision,
            partition_size=partition_size,
            processes=processes,
            engine=engine,
            force=force,
            as_json=as_json,
        )
        return
    given = {"--processes": processes > 1, "--engine": engine != "local", "--json": as_json}
    if name := next((name for name, there in given.items() if there), None):
        raise QueryError(f"{name}: needs --partition-size ROWS, which writes a folder of parts")
    from crosstower.ranking.predict import predict_file
    from crosstower.training.run import Run

    opened, output = Run.open(run), output or Path("predictions.parquet")
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


def _in_parts(run: Path, data: str, output: Path, *, as_json: bool, **options: Any) -> None:
    """Score rows partition by partition, and print the totals and notes on the rows."""
    from crosstower.cli.job_progress import job_progress
    from crosstower.cli.recommend import print_summary
    from crosstower.serving.batch_jobs.predict import predict_partitions

    with job_progress("rows") as on_progress:
        summary, sentences = predict_partitions(
            str(run), data, str(output), **options, on_progress=on_progress
        )
    print_summary(replace(summary, counts={}), "rows", "predictions", as_json=as_json)
    for sentence in sentences:
        typer.echo(sentence, err=True)
